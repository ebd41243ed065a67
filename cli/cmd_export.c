/* cli/cmd_export.c - retort export */
#include <string.h>

#include "cli/cli.h"
#include "experiments/export_job.h"

static rt_status run(cli_args *a, cJSON **result)
{
    const char *out = cli_value(a, "out"), *to = cli_value(a, "to");
    if (!out || a->count < 1)
        return rt_fail(RT_USAGE,
                       "export: a model or label store and --out FILE are required; see 'retort export --help'");
    if (!to) to = strrchr(out, '.') ? strrchr(out, '.') + 1 : "";
    cJSON *config = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(config, "input");
    for (int i = 0; i < a->count; i++) cJSON_AddItemToArray(list, cJSON_CreateString(a->positional[i]));
    rt_status st = RT_OK;
    for (int i = 0; i < a->overrides && !st; i++) st = rt_json_override(config, a->override[i]);
    if (!st && !cJSON_HasObjectItem(config, "to")) st = cli_set(config, "to", to);
    if (!st) st = cli_set_option(a, config, "to", "to");
    if (!st) st = cli_set_option(a, config, "data", "data");
    if (!st) st = cli_set_option(a, config, "rows", "rows");
    if (!st)
        st = rt_export(config, &(rt_target){.path = out, .force = cli_flag(a, "force")}, a->pool, &a->progress, result);
    cJSON_Delete(config);
    return st;
}

static const cli_option options[] = {
    {"to", CLI_VALUE, "FORM", "safetensors, npz, csv or npy; without it the ending of --out decides", NULL},
    {"data", CLI_VALUE, "DATA.h5", "predictions for these rows", NULL},
    {"rows", CLI_VALUE, "A:B", "some of them", NULL},
    {"out", CLI_VALUE, "FILE", "what is written", NULL},
    {"force", CLI_FLAG, NULL,
     "replace an earlier export. It is known by a mark that the file system keeps beside it (the "
     "extended attribute user.retort.xxh128): a file without one, or that was changed since, is "
     "never replaced",
     NULL},
    {0}};

const cli_command cli_export = {
    .name = "export",
    .summary = "write weights, predictions or labels for other tools",
    .usage = "MODEL.h5 --to safetensors|npz --out FILE [--force]\n"
             "MODEL.h5 [MODEL.h5 ...] --data DATA.h5 [--rows A:B] --to csv|npy --out FILE\n"
             "LABELS.h5 --to csv|npy --out FILE",
    .about =
        "Weights, predictions or labels for other tools. csv: row; of a head of classes the prediction, its name where "
        "classes have names, and a probability for each; of labels a probability for each; of numbers the numbers; of "
        "several heads titles begin with HEAD:. npy: what the model answers (rows, outputs of all heads), logits of "
        "classes and labels. Columns of the data are matched with the model's by name.",
    .options = options,
    .keys = cli_export_keys,
    .examples = "retort export runs/small/model.h5 --out small.safetensors\n"
                "retort export runs/small/model.h5 --data test.h5 --out predictions.csv\n",
    .run = run,
    .takes = CLI_KEYS | CLI_THREADS,
    .files = 32};
