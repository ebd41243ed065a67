/* cli/cmd_clean.c - retort clean */
#include "cli/cli.h"
#include "experiments/jobs/clean_job.h"

static rt_status run(cli_args *a, cJSON **result)
{
    const char *out = cli_value(a, "out");
    if (!out) return rt_fail(RT_USAGE, "clean: --out ISSUES.csv is required; see 'retort clean --help'");
    cJSON *config = cJSON_CreateObject();
    rt_status st = RT_OK;
    for (int i = 0; i < a->overrides && !st; i++) st = rt_json_override(config, a->override[i]);
    if (!st && a->count && cJSON_HasObjectItem(config, "from"))
        st = rt_fail(RT_USAGE, "%s and the key from say the same thing; give one of them", a->positional[0]);
    if (!st && a->count == 1) cJSON_AddStringToObject(config, "from", a->positional[0]);
    cJSON *from = !st && a->count > 1 ? cJSON_AddArrayToObject(config, "from") : NULL;
    for (int i = 0; i < a->count && from; i++) cJSON_AddItemToArray(from, cJSON_CreateString(a->positional[i]));
    if (!st) st = cli_set_option(a, config, "set", "set");
    if (!st && cli_value(a, "folds")) {
        int folds;
        if (cJSON_HasObjectItem(config, "folds")) st = rt_fail(RT_USAGE, "--folds and folds=... say the same thing");
        if (!st) st = cli_int(a, "folds", 0, 2, 20, &folds);
        if (!st) cJSON_AddNumberToObject(config, "folds", folds);
    }
    if (!st) st = cli_set_option(a, config, "train", "train");
    if (!st) st = cli_set_option(a, config, "work", "work");
    if (!st && a->seed) st = cli_set(config, "seed", a->seed);
    if (!st) st = cli_set_option(a, config, "method", "method");
    if (!st) st = cli_set_option(a, config, "find", "find");
    if (!st) st = cli_set_option(a, config, "features", "features");
    if (!st) st = cli_set_option(a, config, "model", "model");
    if (!st) st = cli_set_option(a, config, "against", "against");
    if (!st) st = cli_set_option(a, config, "data", "data.source");
    rt_target csv = {.path = out, .force = cli_flag(a, "force")};
    rt_target mask = {.path = cli_value(a, "mask"), .force = csv.force};
    if (!st) st = rt_clean(config, &csv, &mask, a->device, &a->progress, result);
    cJSON_Delete(config);
    return st;
}

static const cli_option options[] = {
    {"data", CLI_SOURCE, "DATA.h5", "the labels that are judged; the same as data.source", NULL},
    {"set", CLI_VALUE, "NAME", "the file is another program's: this data set in it holds probabilities", NULL},
    {"method", CLI_VALUE, "NAME", "how issues are told from the rest", NULL},
    {"folds", CLI_VALUE, "K",
     "no answers are at hand: the rows are drawn into K folds (2 to 20), and a model trained on the others answers "
     "each", NULL},
    {"train", CLI_VALUE, "RUN.json",
     "with --folds: how these models are trained, as 'retort train' takes it; without it a small model that fits the "
     "rows: cnn for images, conv1d for signals, else mlp; 10 epochs",
     NULL},
    {"work", CLI_VALUE, "FOLDER", "with --folds: models and answers, which are not made twice (default: OUT.folds)",
     NULL},
    {"find", CLI_VALUE, "WHAT", "labels (likely wrong; the default), duplicates or outliers", NULL},
    {"features", CLI_VALUE, "FILE.h5[:SET]",
     "duplicates and outliers: the numbers by which rows are compared, by the rows' numbers (x); without it the rows "
     "themselves",
     NULL},
    {"model", CLI_VALUE, "MODEL.h5",
     "in their place: what a layer of this model makes of the rows (layer=NAME; by default what its answer is computed "
     "from)",
     NULL},
    {"against", CLI_VALUE, "FILE.h5[:SET]",
     "duplicates: rows (or features) of another split: rows of DATA.h5 that have a copy there", NULL},
    {"out", CLI_VALUE, "LIST.csv", "the rows that are found", NULL},
    {"mask", CLI_VALUE, "KEEP.h5|.npy", "u8 of all rows of the data, 0 for an issue: for data.mask of 'retort train'",
     NULL},
    {"force", CLI_FLAG, NULL, "replace what this command wrote and nobody changed since", NULL},
    {0}};

static const cli_term terms[] = {
    {"low_self_confidence", "of all rows the ones of lowest p(label), as many as confident_learning finds"},
    {"low_normalized_margin", "the same, of p(label) less the largest other probability"},
    {"prune_by_noise_rate", "cleanlab's default: for each pair of classes as many rows as the joint has, those of "
                            "largest p(other) - p(label)"},
    {"prune_by_class", "of each class as many rows as the joint calls others, those of lowest p(label)"},
    {"both", "in prune_by_noise_rate and in prune_by_class"},
    {"confident_learning", "the class that a row is confidently of is another than its label"},
    {"predicted_neq_given", "the most probable class is another than the label"},
    {"threshold", "of a class: mean p(class) over its rows; a row is confidently of a class from there on"},
    {"confident_joint, joint", "[label][class that a row is confidently of] rows; scaled to all rows, and whole"},
    {"labels_wrong", "share of the class's labels that the joint calls wrong"},
    {"rows_labelled_otherwise", "share of the class's rows that carry another label, by the joint"},
    {"quality", "p(label) less the class's threshold, as a share over all classes: low where the label is unlikely, "
                "also where a class is hard as a whole"},
    {0}};

const cli_command cli_clean = {
    .name = "clean",
    .summary = "rows to leave out: likely wrong labels, near copies, outliers",
    .usage = "P.h5|LABELS.h5|PROBS.h5 ... [--data DATA.h5] --out ISSUES.csv [--mask KEEP.h5|KEEP.npy] [--set NAME] "
             "[--method NAME] [--force] [key=value ...]\n"
             "--folds K --data DATA.h5 [--train RUN.json] --out ISSUES.csv [--mask KEEP.h5|KEEP.npy] [--method NAME] "
             "[--work FOLDER] [--seed S] [--force] [key=value ...]\n"
             "--find duplicates --data DATA.h5 [--features FILE.h5[:SET] | --model MODEL.h5] [--against FILE.h5[:SET]] "
             "--out LIST.csv [--mask KEEP.h5|KEEP.npy] [within=X] [metric=cosine] [key=value ...]\n"
             "--find outliers --data DATA.h5 [--features FILE.h5[:SET] | --model MODEL.h5] --out LIST.csv "
             "[--mask KEEP.h5|KEEP.npy] [k=10] [share=0.01] [key=value ...]\n"
             "P.h5|LABELS.h5 --find outliers by=energy --out LIST.csv [--mask KEEP.h5|KEEP.npy] [key=value ...]",
    .about =
        "Confident learning, with the rows that cleanlab finds by the method of the same name. The answers are of "
        "'retort predict', of 'retort label', or probabilities of another program, and must come from a model that did "
        "not see the rows in training: one that did believes wrong labels. What the files say of that is told. "
        "Several files have rows of their own each, such as those that each of two models was not trained on.\n\n"
        "--folds makes such answers: K folds of equal size, drawn by --seed class by class, so that each has as many "
        "rows of a class as the others, but for one; a model for each that never saw it, and its answers. Folds "
        "(folds.h5, for data.fold_by of 'retort train'), models and answers lie in a folder as those of 'retort run': "
        "an interrupted command goes on, a repeated one trains nothing, and the same seed and labels give the same "
        "rows.\n\n"
        "--find duplicates: rows that lie within a distance of a row before them (or of one of --against, such as "
        "test rows that leaked into training); the first of several stays. The distance is within=X, or 0.13 times "
        "the median distance of 1,000 drawn rows to their nearest. --find outliers: the share=0.01 of rows with the "
        "largest mean distance to their k nearest, or with by=energy those that the model's logits speak least for. "
        "Up to exact=200000 rows all pairs are compared; above that rows are hashed by planes drawn by the seed, "
        "each pair that may count is measured, and the result says what share of pairs that finds: recall_bound for "
        "duplicates, a measured recall for outliers. The lists are the same for any number of threads and on any "
        "CPU. The numbers of all rows are held in memory.\n\n"
        "Labels are judged without that: rows are read several times and never held, so that any number of them "
        "takes the same memory. Rows without a label, and rows that a label store has no answer for, take no part. "
        "Of equal values lower rows come first.",
    .options = options,
    .keys = cli_clean_keys,
    .terms = terms,
    .examples = "retort clean --find duplicates --data train.h5 --against test.h5 --out leaks.csv --mask keep.h5\n"
                "retort clean --find outliers --data train.h5 --model teacher.h5 metric=cosine --out far.csv\n"
                "retort clean --folds 3 --data train.h5 --out issues.csv --mask keep.h5\n"
                "retort predict half1/model.h5 --data train.h5 --rows 30000: --out p1.h5\n"
                "retort predict half2/model.h5 --data train.h5 --rows :30000 --out p2.h5\n"
                "retort clean p1.h5 p2.h5 --data train.h5 --out issues.csv --mask keep.h5\n"
                "retort train run.json --out clean data.mask=keep.h5\n"
                "retort clean probs.h5 --set pred_probs data.y=labels --out issues.csv --method both\n",
    .run = run,
    .takes = CLI_KEYS | CLI_SEED | CLI_THREADS | CLI_DEVICE | CLI_REGISTRY,
    .files = CLI_MAX};
