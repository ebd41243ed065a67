/* cli/cmd_train.c - retort train */
#include "cli/cli.h"
#include "train/trainer.h"

static rt_status run(cli_args *a, cJSON **result)
{
    cJSON *config;
    rt_train_options o = {.out = cli_value(a, "out"),
                          .force = cli_flag(a, "force"),
                          .config = a->count ? a->positional[0] : NULL,
                          .allow_numeric_change = cli_flag(a, "allow-numeric-change"),
                          .device = a->device,
                          .progress = &a->progress};
    if (!o.out) return rt_fail(RT_USAGE, "train: --out FOLDER is required; see 'retort train --help'");
    rt_status st = cli_config(a, &config);
    if (!st) st = rt_train(config, &o, result);
    cJSON_Delete(config);
    if (*result && !a->json) cJSON_DeleteItemFromObjectCaseSensitive(*result, "history");
    return st;
}

static const cli_option options[] = {
    {"out", CLI_VALUE, "FOLDER", "gets model.h5, metrics.csv, metrics.jsonl, config.json, result.json, checkpoints/",
     NULL},
    {"force", CLI_FLAG, NULL, "replace a folder that holds another run; files that no run wrote are never replaced",
     NULL},
    {"allow-numeric-change", CLI_FLAG, NULL,
     "resume with other kernels: of another family, on another card, with another precision or library (last bits will "
     "differ)", NULL},
    {0}};

const cli_command cli_train = {
    .name = "train",
    .summary = "fit a model to labels or to a teacher's answers",
    .usage = "CONFIG.json --out FOLDER [key=value ...] [--force] [--allow-numeric-change]",
    .about = "Fits a model to hard labels, to a teacher's cached labels (data.labels), or to a teacher that sees every "
             "view (teacher).\n\n"
             "Run the same command again after an interruption: it resumes, bit-identical. A folder belongs to the "
             "content of data, labels, teacher and init: where they lie may change, what they hold may not.",
    .options = options,
    .keys = cli_train_keys,
    .keys_about = "A key that does not apply to what others chose is refused.",
    .examples = "retort train student.json --out runs/student data.labels=labels.h5 train.epochs=30 --seed 2\n",
    .run = run,
    .takes = CLI_SEED | CLI_KEYS | CLI_THREADS | CLI_DEVICE | CLI_REGISTRY,
    .files = 1};
