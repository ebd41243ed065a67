/* cli/cmd_train.c - retort train */
#include "cli/cli.h"
#include "train/trainer.h"

static const char help[] =
    "usage: retort train CONFIG.json --out FOLDER [key=value ...] [--force] [--allow-numeric-change]\n\n"
    "Fits a model to hard labels, to a teacher's cached labels (data.labels), or to a teacher that sees every view\n"
    "(teacher). Run the same command again after an interruption: it resumes, bit-identical.\n\n"
    "  --out FOLDER            model.h5, metrics.csv, metrics.jsonl, config.json, result.json, checkpoints/\n"
    "  --force                 replace a folder that holds another run\n"
    "  --allow-numeric-change  resume on another kernel family (last bits will differ)\n\n"
    "configuration (defaults in brackets):\n"
    "  model     {\"input\": [28,28,1], \"classes\": 10, \"family\": \"cnn\", \"width\": 16, \"depth\": 3} or {..., \"layers\": [...]}\n"
    "  init      model file to start from, instead of model\n"
    "  teacher   model file or list (an ensemble) that labels each augmented view\n"
    "  data      source, x [\"x\"], y [\"y\"], rows [all], hard_rows [all], labels [none], normalize [\"auto\"],\n"
    "            validation [0.1] (share or count, drawn by seed; checkpoints are chosen on it),\n"
    "            names [match] (classes and columns of data, model, teacher and labels are matched by name; position: by number),\n"
    "            test [0] (share or count, drawn by test_seed [1]; never touched: 'retort eval' with the same data.test takes it)\n"
    "  loss      kind [ce; kd with a teacher] (ce kd dkd dist zscore mse), hard [0.1], soft [0.9], temperature [4],\n"
    "            label_smoothing [0], alpha, beta, gamma, warmup, hints [{\"student\", \"teacher\", \"weight\"}]\n"
    "  augment   flip [false], shift [0], erase [0], mixup [0]\n"
    "  train     epochs [20], batch [128], optimizer [sgd] (sgd adamw), lr, momentum, nesterov, weight_decay, schedule\n"
    "            [cosine] (constant cosine step one_cycle), warmup [0], clip [0], accumulate [1], ema [0],\n"
    "            drop_last [true] (an epoch's last batch, if it is not full), shuffle_window [by the data] (compressed data:\n"
    "            blocks of rows that are mixed with each other; the result's \"order\" says what was mixed),\n"
    "            checkpoint_every [1], checkpoint_seconds [60], prefetch [4], readers [1]\n"
    "  seed      [1]\n\n"
    "example:\n"
    "  retort train student.json --out runs/student data.labels=labels.h5 train.epochs=30 --seed 2\n";

static rt_status run(cli_args *a, cJSON **result)
{
    cJSON *config;
    rt_train_options o = {.out = cli_value(a, "out"), .force = cli_flag(a, "force"), .allow_numeric_change = cli_flag(a, "allow-numeric-change"), .pool = a->pool, .progress = &a->progress};
    if (!o.out) return rt_fail(RT_USAGE, "train: --out FOLDER is required; see 'retort train --help'");
    rt_status st = cli_config(a, &config);
    if (!st) st = rt_train(config, &o, result);
    cJSON_Delete(config);
    if (*result && !a->json) cJSON_DeleteItemFromObjectCaseSensitive(*result, "history");
    return st;
}

static const cli_option options[] = {{"out", 1}, {"force", 0}, {"allow-numeric-change", 0}, {NULL, 0}};
const cli_command cli_train = {"train", "fit a model to labels or to a teacher's answers", help, options, run,
                               NULL, CLI_SEED | CLI_KEYS | CLI_THREADS, 1};
