/* cli/cmd_train.c - retort train */
#include "cli/cli.h"
#include "train/trainer.h"

static const char help[] =
    "usage: retort train CONFIG.json --out FOLDER [key=value ...] [--force] [--allow-numeric-change]\n\n"
    "Fits a model to hard labels, to a teacher's cached labels (data.labels), or to a teacher that sees every view\n"
    "(teacher). Run the same command again after an interruption: it resumes, bit-identical. A folder belongs to the content of\n"
    "data, labels, teacher and init: where they lie may change, what they hold may not.\n\n"
    "  --out FOLDER            model.h5, metrics.csv, metrics.jsonl, config.json, result.json, checkpoints/\n"
    "  --force                 replace a folder that holds another run; files that no run wrote are never replaced\n"
    "  --allow-numeric-change  resume on another kernel family (last bits will differ)\n\n"
    "configuration, every key with its default in brackets; a key that does not apply to what others chose is refused:\n"
    "  model     {\"input\": [28,28,1], \"classes\": 10, \"family\": \"cnn\", \"width\": 16, \"depth\": 3} or {..., \"layers\": [...]}\n"
    "  init      model file to start from, instead of model\n"
    "  teacher   model file or list (an ensemble) that labels each augmented view\n"
    "  seed      [1]\n"
    "  data      source, x [\"x\"]\n"
    "            y [\"y\" where there is one]: classes; -1 is no label, and such a row learns from the teacher alone\n"
    "            labels [none]: a label store, instead of a teacher\n"
    "            rows [all] as first:end; hard_rows [all]: only there are labels looked at, and validation rows drawn\n"
    "            validation [0.1]: share or count, drawn by seed among labelled rows; the best epoch on it is kept, the\n"
    "            earliest of equal ones. Where no row has a label, the teacher's answers take their place\n"
    "            test [0]: share or count, drawn by test_seed [1], never touched: 'retort eval' with the same data.test takes it\n"
    "            names [match] (match position): classes and columns by name, or as numbered\n"
    "            check [known] (known full): what is known of the source's content is believed, or hashed again\n"
    "            normalize [auto] (auto channel all none, or {\"mean\": [...], \"std\": [...]}): auto is channel, and all for\n"
    "            flat rows of bytes\n"
    "  loss      kind [ce; kd with a teacher] (ce kd dkd dist zscore mse)\n"
    "            hard [ce, dkd, dist 1; kd, zscore, mse 0.1]: weight of the cross-entropy with labels\n"
    "            soft [kd, mse 0.9; dkd, dist 1; zscore 9]: weight of the teacher's part\n"
    "            temperature [kd, dkd 4; zscore 2; dist 1]\n"
    "            label_smoothing [0], hard_mean [batch] (batch labelled): what the cross-entropy is divided by: all rows of\n"
    "            the batch, or those with a label\n"
    "            dkd: alpha [1], beta [8], warmup [20] epochs, target [label] (label teacher): its class where a row has none\n"
    "            is the teacher's answer; dist: beta [1], gamma [1]\n"
    "            hints [none]: [{\"student\": layer, \"teacher\": layer, \"weight\" [1]}]\n"
    "  augment   flip [false], shift [0], erase [0] for images; mixup [0]\n"
    "  train     epochs [20], batch [128], drop_last [true] (an epoch's last batch, if it is not full), accumulate [1]\n"
    "            optimizer [sgd] (sgd adamw), lr [sgd 0.05; adamw 0.001], weight_decay [sgd 5e-4; adamw 0.01],\n"
    "            decay_all [false] (biases and norms too); sgd: momentum [0.9], nesterov [false]; adamw: beta1 [0.9],\n"
    "            beta2 [0.999], eps [1e-8]\n"
    "            schedule [cosine] (constant cosine step one_cycle), warmup [0] epochs; cosine, one_cycle: final_lr [0];\n"
    "            step: milestones (epochs), step_gamma [0.1]\n"
    "            clip [0], ema [0], shuffle_window [by the data]: compressed data: how many blocks of rows are mixed with\n"
    "            each other; the result's \"order\" says what was mixed\n"
    "            checkpoint_every [1] epochs, checkpoint_seconds [60], prefetch [4], readers [1]\n\n"
    "example:\n"
    "  retort train student.json --out runs/student data.labels=labels.h5 train.epochs=30 --seed 2\n";

static rt_status run(cli_args *a, cJSON **result)
{
    cJSON *config;
    rt_train_options o = {.out = cli_value(a, "out"),
                          .force = cli_flag(a, "force"),
                          .config = a->count ? a->positional[0] : NULL,
                          .allow_numeric_change = cli_flag(a, "allow-numeric-change"),
                          .pool = a->pool,
                          .progress = &a->progress};
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
