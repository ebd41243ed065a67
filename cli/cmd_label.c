/* cli/cmd_label.c - retort label */
#include "cli/cli.h"
#include "teacher/labeler.h"

static const char help[] =
    "usage: retort label [CONFIG.json] --teacher MODEL.h5 [--teacher ...] --data DATA.h5 --out LABELS.h5 [--rows a:b] [key=value ...] [--force]\n\n"
    "Writes the teacher's logits for rows of a data set into a label store. Several teachers make an ensemble. What is\n"
    "reported as done is on disk; the same command goes on after an interruption, to the same bytes.\n\n"
    "  --rows a:b            rows of the source (default all)\n"
    "  labels.type=f16       half the size (default f32)\n"
    "  labels.topk=5         only the 5 best classes and the tail (default: all logits)\n"
    "  label.batch, label.prefetch, label.readers   speed only\n"
    "  --force               replace a store made by another teacher or of other data\n\n"
    "example:\n"
    "  retort label --teacher runs/teacher/model.h5 --data train.h5 --rows 10000:60000 --out labels.h5\n";

static rt_status run(cli_args *a, cJSON **result)
{
    cJSON *config;
    const char *out = cli_value(a, "out");
    if (!out) return rt_fail(RT_USAGE, "label: --out LABELS.h5 is required; see 'retort label --help'");
    rt_status st = cli_config(a, &config);
    if (!st) st = cli_set_list(a, config, "teacher", "teacher");
    if (!st) st = cli_set_option(a, config, "data", "data.source");
    if (!st) st = cli_set_option(a, config, "rows", "data.rows");
    if (!st) st = rt_label(config, out, cli_flag(a, "force"), a->pool, &a->progress, result);
    cJSON_Delete(config);
    return st;
}

static const cli_option options[] = {{"teacher", CLI_LIST}, {"data", 1}, {"rows", 1}, {"out", 1}, {"force", 0}, {NULL, 0}};
const cli_command cli_label = {"label", "let a teacher label a data set", help, options, run, NULL,
                               CLI_KEYS | CLI_THREADS, 1};
