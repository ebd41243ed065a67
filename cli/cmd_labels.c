/* cli/cmd_labels.c - retort labels */
#include <string.h>

#include "cli/cli.h"
#include "data/label_append.h"
#include "data/label_merge.h"
#include "data/label_pack.h"
#include "data/label_report.h"
#include "data/labels.h"

static rt_label_report report_of(const cli_args *a)
{
    return (rt_label_report){.store = a->positional[1],
                             .data = cli_value(a, "data"),
                             .x = cli_value(a, "x"),
                             .y = cli_value(a, "y"),
                             .rows = cli_value(a, "rows"),
                             .head = cli_value(a, "head"),
                             .policy = cli_value(a, "policy"),
                             .pool = rt_device_pool(a->device),
                             .progress = &a->progress};
}

static rt_status verify(cli_args *a, cJSON **result)
{
    rt_label_report r = report_of(a);
    return rt_label_verify_report(&r, result);
}

static rt_status summary(cli_args *a, cJSON **result)
{
    rt_label_report r = report_of(a);
    return rt_label_summary_report(&r, result);
}

static rt_status calibrate(cli_args *a, cJSON **result)
{
    rt_label_report r = report_of(a);
    return rt_label_calibrate_report(&r, result);
}

static rt_status append(cli_args *a, cJSON **result)
{
    rt_label_append_job job = {.store = a->positional[1],
                               .hand = cli_value(a, "hand"),
                               .data = cli_value(a, "data"),
                               .x = cli_value(a, "x"),
                               .id = cli_value(a, "id"),
                               .head = cli_value(a, "head"),
                               .replace = cli_flag(a, "replace"),
                               .progress = &a->progress};
    if (!job.hand) return rt_fail(RT_USAGE, "labels append: --hand FILE.csv is required; see 'retort labels --help'");
    return rt_label_append(&job, result);
}

static rt_status pack(cli_args *a, cJSON **result)
{
    rt_label_pack_job job = {.store = a->positional[1],
                             .type = cli_value(a, "type"),
                             .columns = cli_value(a, "columns"),
                             .hard = cli_flag(a, "hard"),
                             .pool = rt_device_pool(a->device),
                             .progress = &a->progress};
    rt_target target = {.path = cli_value(a, "out"), .force = cli_flag(a, "force")};
    if (!target.path) return rt_fail(RT_USAGE, "labels pack: --out SMALL.h5 is required; see 'retort labels --help'");
    RT_TRY(cli_int(a, "topk", 0, 1, RT_LABEL_TOPK, &job.topk));
    RT_TRY(cli_int(a, "views", -1, 0, RT_LABEL_VIEWS, &job.views));
    return rt_label_pack(&job, &target, result);
}

static rt_status merge(cli_args *a, cJSON **result)
{
    const rt_label_merge_job job = {.part = (const char *const *)a->positional + 1,
                                    .parts = a->count - 1,
                                    .pool = rt_device_pool(a->device),
                                    .progress = &a->progress};
    const rt_target target = {.path = cli_value(a, "out"), .force = cli_flag(a, "force")};
    if (!target.path) return rt_fail(RT_USAGE, "labels merge: --out ALL.h5 is required; see 'retort labels --help'");
    return rt_label_merge(&job, &target, result);
}

/* What the actions take. */
static const struct {
    const char *name, *takes[8];
    rt_status (*run)(cli_args *, cJSON **);
} actions[] = {{"verify", {NULL}, verify},
               {"summary", {"data", "x", "y", "rows", "head", "policy", NULL}, summary},
               {"calibrate", {"data", "x", "y", "rows", "head", NULL}, calibrate},
               {"append", {"hand", "head", "replace", "data", "x", "id", NULL}, append},
               {"merge", {"out", "force", NULL}, merge},
               {"pack", {"out", "type", "topk", "hard", "columns", "views", "force", NULL}, pack}};
enum { ACTIONS = sizeof actions / sizeof actions[0] };

static rt_status check_options(const cli_args *a, int action)
{
    static const char *const all[] = {"data", "x",       "y",   "rows", "head", "policy", "hand",
                                      "replace", "out", "type", "topk", "hard",   "columns", "force", "id",
                                      "views"};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        int taken = 0;
        for (int k = 0; actions[action].takes[k]; k++) taken |= !strcmp(actions[action].takes[k], all[i]);
        if ((cli_value(a, all[i]) || cli_flag(a, all[i])) && !taken)
            return rt_fail(RT_USAGE, "labels %s: --%s would do nothing here", actions[action].name, all[i]);
    }
    if (cli_value(a, "data")) return RT_OK;
    static const char *const sets[] = {"x", "y", "id"};
    for (int i = 0; i < 3; i++)
        if (cli_value(a, sets[i])) return rt_fail(RT_USAGE, "labels: --%s is a set of --data", sets[i]);
    return RT_OK;
}

static rt_status run(cli_args *a, cJSON **result)
{
    const char *names[ACTIONS];
    int action = 0;
    for (int i = 0; i < ACTIONS; i++) names[i] = actions[i].name;
    if (a->count < 2)
        return rt_fail(
            RT_USAGE,
            "labels: what to do (verify, summary, calibrate, append, merge or pack) and a label store are required; "
            "see 'retort labels --help'");
    while (action < ACTIONS && strcmp(names[action], a->positional[0])) action++;
    if (action == ACTIONS) {
        const char *near = rt_nearest(a->positional[0], names, ACTIONS);
        return rt_fail(RT_USAGE, "labels: '%s' is not verify, summary, calibrate, append, merge or pack%s%s%s",
                       a->positional[0], near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    }
    RT_TRY(check_options(a, action));
    if (a->count > 2 && actions[action].run != merge)
        return rt_fail(RT_USAGE, "labels %s: takes one label store; '%s' is too many", actions[action].name,
                       a->positional[2]);
    return actions[action].run(a, result);
}

static const cli_option options[] = {
    {"data", CLI_SOURCE, "DATA.h5", "the labelled data, for true classes; required by calibrate", NULL},
    {"x", CLI_VALUE, "SET", "its data set that was labelled (default: x)", NULL},
    {"y", CLI_VALUE, "SET", "its true classes (default: y)", NULL},
    {"rows", CLI_VALUE, "A:B", "rows of the source (default: the store's)", NULL},
    {"head", CLI_VALUE, "NAME", "a head of classes (default: the first)", NULL},
    {"policy", CLI_VALUE, "FILE", "summary: of the rows that this policy chooses; as data.policy of train", NULL},
    {"hand", CLI_VALUE, "FILE.csv", "append: labels that people gave, columns row and label", NULL},
    {"id", CLI_VALUE, "SET",
     "append: of --data: the CSV has a column id in place of row; without it, with --data, ids are "
     "hashes of rows, as select writes them",
     NULL},
    {"replace", CLI_FLAG, NULL, "append: a row that has another label by hand gets the new one", NULL},
    {"out", CLI_VALUE, "FILE.h5", "pack, merge: the store that is made", NULL},
    {"type", CLI_VALUE, "TYPE", "pack: f32, f16 or q8 (default: the store's)", NULL},
    {"topk", CLI_VALUE, "K", "pack: only so many best classes and the tail", NULL},
    {"hard", CLI_FLAG, NULL, "pack: the best class and its confidence alone", NULL},
    {"columns", CLI_VALUE, "A,B,...",
     "pack: hard, confidence, margin, entropy beside the logits (default: the "
     "store's)",
     NULL},
    {"views", CLI_VALUE, "N", "pack: the first N views of each row alone, 0: none (default: the store's)", NULL},
    {"force", CLI_FLAG, NULL, "pack, merge: replace an earlier label store", NULL},
    {0}};

static const cli_term terms[] = {
    {"confidence", "the probability of a row's best class; histogram: rows in tenths, from (0, 0.1] to (0.9, 1]"},
    {"entropy_mean", "of the probabilities, in nats; margin_mean: from the best probability to the next"},
    {"agreement", "rows whose best class is the true one; commonest_class: the share that always guessing it reaches"},
    {"policy", "of each class rows before, rows that pass the thresholds, and rows after; abstained: those that do not "
               "pass, cut: those that are more than wanted"},
    {"code_error", "of labels in 8 bits: how far a logit, and a probability, is from the teacher's at most"},
    {"views", "disagree: views of rows whose best class is not that of the row as it is, of so many compared"},
    {"by_hand", "rows with a label that somebody gave; it stands before the teacher's"},
    {"error", "of pack: how far a logit, and a probability, is from the store's at most"},
    {"nll", "the mean of -log of the true class's probability, at temperature 1 (before) and at the one found (after)"},
    {"ece", "expected calibration error, over 15 bins of confidence of equal width (lo, hi]"},
    {"seen_by_teacher", "rows that the teacher was trained on, as far as the store says"},
    {0}};

const cli_command cli_labels = {
    .name = "labels",
    .summary =
        "check and describe a label store, calibrate its teacher, add labels by hand, merge parts, make it smaller",
    .usage =
        "verify LABELS.h5\n"
        "summary LABELS.h5 [--data DATA.h5 [--y SET]] [--rows A:B] [--head NAME] [--policy FILE]\n"
        "calibrate LABELS.h5 --data DATA.h5 [--y SET] [--rows A:B] [--head NAME]\n"
        "append LABELS.h5 --hand FILE.csv [--head NAME] [--data DATA.h5 [--id SET]] [--replace]\n"
        "merge PART.h5 ... --out ALL.h5 [--force]\n"
        "pack LABELS.h5 --out SMALL.h5 [--type f16|q8] [--topk K] [--hard] [--columns A,B,...] [--views N] [--force]",
    .about =
        "verify: whether the checksums of all blocks hold. summary: what the labels say, with warnings where they "
        "say little: one class, confidence near chance, constant or saturated logits, no agreement with true "
        "classes. calibrate: the temperature that makes the teacher's probabilities fit true classes best; it can "
        "stand in a policy; above 1 the teacher is too sure, below not sure enough. Give rows that the teacher was "
        "not trained on; it says so where it was. These write nothing; no row with a label is exit 5.\n\n"
        "append: labels that people gave, from a CSV whose first line names the columns row (of the source) and label "
        "(a class); 'retort select' writes such rows. They count as certain, and stand before the teacher's answer, "
        "which stays beside them. All or none are taken. merge: stores of parts of a source (label --rows A:B), as one "
        "by the same teacher, of the same data, without gap and overlap; the bytes are those that labelling all rows "
        "at once makes. pack: a copy of the store with less in it, which tells its largest error.",
    .options = options,
    .terms = terms,
    .examples = "retort labels verify labels.h5\n"
                "retort labels summary labels.h5 --data train.h5 --policy policy.json\n"
                "retort labels calibrate labels.h5 --data train.h5 --rows 0:5000\n"
                "retort labels append labels.h5 --hand answered.csv\n"
                "retort labels merge part0.h5 part1.h5 part2.h5 --out labels.h5\n"
                "retort labels pack labels.h5 --out small.h5 --type q8\n",
    .run = run,
    .takes = CLI_THREADS,
    .files = CLI_MAX};
