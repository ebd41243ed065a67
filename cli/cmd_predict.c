/* cli/cmd_predict.c - retort predict */
#include "cli/cli.h"
#include "experiments/jobs/predict_job.h"

static rt_status run(cli_args *a, cJSON **result)
{
    const char *out = cli_value(a, "out"), *to = cli_value(a, "to");
    if (!out || a->count < 1)
        return rt_fail(RT_USAGE, "predict: a model and --out FILE are required; see 'retort predict --help'");
    if (!to) to = rt_predict_form_of(out);
    cJSON *config = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(config, "model");
    for (int i = 0; i < a->count; i++) cJSON_AddItemToArray(list, cJSON_CreateString(a->positional[i]));
    rt_status st = RT_OK;
    for (int i = 0; i < a->overrides && !st; i++) st = rt_json_override(config, a->override[i]);
    if (!st && !cJSON_HasObjectItem(config, "to")) st = cli_set(config, "to", to);
    if (!st) st = cli_set_option(a, config, "to", "to");
    if (!st) st = cli_set_option(a, config, "data", "data.source");
    if (!st) st = cli_set_option(a, config, "rows", "data.rows");
    if (!st) st = cli_set_option(a, config, "id", "data.id");
    if (!st) st = cli_set_columns(a, config, "slices", "data.slices");
    rt_target target = {.path = out, .force = cli_flag(a, "force")};
    if (!st) st = rt_predict_rows(config, &target, a->device, &a->progress, result);
    cJSON_Delete(config);
    return st;
}

static const cli_option options[] = {
    {"data", CLI_SOURCE, "DATA.h5", "the rows; the same as data.source", NULL},
    {"rows", CLI_VALUE, "A:B", "some of them", NULL},
    {"id", CLI_VALUE, "COLUMN",
     "what rows are called: a data set of as many rows, or a column of x, whose values tell rows apart. "
     "Without it a row is called by the hash of its bytes",
     NULL},
    {"slices", CLI_VALUE, "COL,...", "columns that rows will be grouped by, as --id names them", NULL},
    {"to", CLI_VALUE, "FORM", "h5, csv or npy; without it the ending of --out decides", NULL},
    {"out", CLI_VALUE, "FILE", "what is written", NULL},
    {"force", CLI_FLAG, NULL,
     "replace earlier predictions: a file of predictions, or a .csv or .npy that carries retort's mark "
     "(the extended attribute user.retort.xxh128) and was not changed since",
     NULL},
    {0}};

const cli_command cli_predict = {
    .name = "predict",
    .summary = "a model's answers to rows, to compare with others later, or for other tools",
    .usage = "MODEL.h5 [MODEL.h5 ...] --data DATA.h5 --out P.h5|P.csv|P.npy [--rows A:B] [--id COLUMN] "
             "[--slices COL,...] [--force] [key=value ...]",
    .about =
        "h5: logits (or the topk largest), truth, the row's id, columns for slices, digests of model, data and rows, "
        "the family of kernels and the tool; 'retort eval' takes it in place of a model, and pairs rows by their "
        "ids. csv: row; of a head of classes the prediction, its name where classes have names, and a probability "
        "for each; of labels a probability for each; of numbers the numbers; of several heads titles begin with "
        "HEAD:; then id, truth and slices. npy: what the model answers (rows, outputs of all heads), logits of classes "
        "and labels.\n\n"
        "Columns of the data are matched with the model's by name. Several models are an ensemble. Equal rows have "
        "equal hashes: they pair in any order, as a model answers them alike.",
    .options = options,
    .keys = cli_predict_keys,
    .examples = "retort predict runs/small/model.h5 --data test.h5 --out small.h5 --slices country\n"
                "retort predict runs/small/model.h5 --data test.h5 --out predictions.csv --id user_id\n"
                "retort predict big.h5 --data test.h5 --out big.h5 topk=5 data.test=0.1\n",
    .run = run,
    .takes = CLI_KEYS | CLI_THREADS | CLI_DEVICE | CLI_REGISTRY,
    .files = 16};
