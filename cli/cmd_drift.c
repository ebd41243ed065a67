/* cli/cmd_drift.c - retort drift */
#include <stdio.h>
#include <stdlib.h>

#include "cli/cli.h"
#include "experiments/drift/drift.h"

static rt_status set_number(cJSON *config, const char *key, const char *value)
{
    char text[200];
    if (snprintf(text, sizeof text, "%s=%s", key, value) >= (int)sizeof text)
        return rt_fail(RT_USAGE, "%s: '%.60s...' is no number", key, value);
    return rt_json_override(config, text);
}

static rt_status run(cli_args *a, cJSON **result)
{
    static const char *const limit[] = {"max-psi", "max-ks", "max-unlike"};
    static const char *const key[] = {"limits.max_psi", "limits.max_ks", "limits.max_unlike"};
    const char *out = cli_value(a, "out");
    cJSON *config = cJSON_CreateObject();
    rt_status st = RT_OK;
    for (int i = 0; i < a->overrides && !st; i++) st = rt_json_override(config, a->override[i]);
    if (!st) st = cli_set_option(a, config, "reference", "reference.source");
    if (!st) st = cli_set_option(a, config, "data", "data.source");
    if (!st) st = cli_set_option(a, config, "limits", "limits");
    for (int i = 0; i < 3 && !st; i++) {
        if (cli_value(a, limit[i]) && cli_value(a, "limits"))
            st = rt_fail(RT_USAGE, "--%s and --limits say the same thing; give one of them", limit[i]);
        if (!st && cli_value(a, limit[i])) st = set_number(config, key[i], cli_value(a, limit[i]));
    }
    if (!st && a->count && cJSON_HasObjectItem(config, "model"))
        st = rt_fail(RT_USAGE, "%s and the key model say the same thing; give one of them", a->positional[0]);
    if (!st && a->count == 1) st = cli_set(config, "model", a->positional[0]);
    cJSON *models = !st && a->count > 1 ? cJSON_AddArrayToObject(config, "model") : NULL;
    for (int i = 0; i < a->count && models; i++) cJSON_AddItemToArray(models, cJSON_CreateString(a->positional[i]));
    if (!st && a->seed) st = set_number(config, "seed", a->seed);
    if (!st && cli_flag(a, "allow-same")) st = rt_json_override(config, "allow_same=true");
    rt_target target = {.path = out, .force = cli_flag(a, "force"), .config = cli_value(a, "limits")};
    if (!st) st = rt_drift(config, out ? &target : NULL, a->device, &a->progress, result);
    cJSON_Delete(config);
    return st;
}

static void show(const cJSON *result)
{
    char *screen = rt_drift_screen(result);
    if (screen) fputs(screen, stdout);
    free(screen);
}

static const cli_option options[] = {
    {"reference", CLI_VALUE, "A.h5", "what the model was made and judged with: data, or predictions of it", NULL},
    {"data", CLI_VALUE, "B.h5", "newer data, of the same kind", NULL},
    {"limits", CLI_VALUE, "FILE", "limits as JSON, or limits.KEY=VALUE of each", NULL},
    {"max-psi", CLI_VALUE, "X", "the same as limits.max_psi", NULL},
    {"max-ks", CLI_VALUE, "X", "the same as limits.max_ks", NULL},
    {"max-unlike", CLI_VALUE, "X", "the same as limits.max_unlike", NULL},
    {"out", CLI_VALUE, "FOLDER", "drift.json, drift.txt, drift.csv, drift.html; tried before the work", NULL},
    {"force", CLI_FLAG, NULL, "replace what an earlier look wrote there", NULL},
    {"allow-same", CLI_FLAG, NULL, "compare rows with themselves, else refused with exit code 5", NULL},
    {0}};

static const cli_term terms[] = {
    {"drift, none, undecided",
     "drift: the effect is beyond its limit, and p after Holm's correction over all checks is at most limits.alpha. "
     "none: it is within its limit, and one beyond would have been significant. undecided: too few rows for either"},
    {"distribution",
     "of a column of numbers psi and ks, tested by Kolmogorov and Smirnov (exact up to 10,000 rows a side); of "
     "categories psi, tested by chi-square, with Fisher's test where too few rows are expected. Whole numbers with up "
     "to 32 values are categories"},
    {"psi",
     "population stability index over tenths of the reference (a value that fills several is a bin of its own), half a "
     "row added to each; below 0.1 small, from 0.25 on large"},
    {"missing, outside, unseen",
     "change of the share of missing values; share of values beyond the reference's range; share of rows of categories "
     "that the reference has not, less the share that stands in it once"},
    {"images, text", "of images mean, contrast (deviation), sharpness (variance of the Laplacian), least and greatest "
                     "value, and of each channel mean and contrast; of ids and text the length and one token of each "
                     "row, drawn by --seed"},
    {"answer, confidence, entropy", "of the model, on `sample` rows of each side; of predictions on all rows"},
    {"expected_accuracy",
     "where the reference has labels: what the model's confidence says of its accuracy on the data "
     "(average thresholded confidence); an estimate"},
    {"features, unlike",
     "of the layer before the model's last, or of its answers; without a model of the columns of numbers. features: "
     "area under the ROC curve of a classifier that tells the sides apart; unlike: share of rows farther from the "
     "reference than 99 % of it"},
    {"exit codes",
     "0 no drift, 1 drift, 2 usage or limits, 3 bad input, 4 could not run, 5 nothing to compare (no rows, "
     "the same rows twice), 6 undecided, 130 interrupted"},
    {0}};

const cli_command cli_drift = {
    .name = "drift",
    .summary = "whether newer data is still like the data a model was made with",
    .usage = "--reference A.h5 --data B.h5 [MODEL.h5 ...] [--limits FILE|--max-psi X ...] [--out FOLDER] [key=value "
             "...]\n--reference P1.h5 --data P2.h5 [...]",
    .about =
        "Compares two data sets, or two files of predictions: each column, the classes, and with a model its answers, "
        "how sure it is of them, and its features. Columns, labels and classes pair by name.\n\n"
        "With a million rows everything is significant, and with a hundred nothing is: a check says drift only where "
        "the effect is beyond its limit and is no chance, and none only where there are rows enough to have seen it. "
        "The data is read twice and not held: it may be larger than memory.",
    .options = options,
    .keys = cli_drift_keys,
    .terms = terms,
    .examples = "retort drift --reference train.h5 --data march.h5 --out drift\n"
                "retort drift --reference test.h5 --data march.h5 student/model.h5 --max-psi 0.2\n"
                "retort drift --reference p_test.h5 --data p_march.h5 --limits limits.json --json\n"
                "retort drift --reference a.h5 --data b.h5 'limits.ignore=[\"id\"]' "
                "'limits.columns={\"age\": {\"max_ks\": 0.05}}'\n",
    .run = run,
    .show = show,
    .takes = CLI_SEED | CLI_KEYS | CLI_THREADS | CLI_DEVICE | CLI_REGISTRY,
    .files = 16};
