/* cli/cmd_eval.c - retort eval */
#include <stdio.h>
#include <stdlib.h>

#include "cli/cli.h"
#include "experiments/eval/evaluator.h"
#include "experiments/report/report.h"

static rt_status run(cli_args *a, cJSON **result)
{
    cJSON *config;
    const char *out = cli_value(a, "out");
    if (!out) return rt_fail(RT_USAGE, "eval: --out FOLDER is required; see 'retort eval --help'");
    rt_status st = cli_config(a, &config);
    if (!st) st = cli_set_list(a, config, "teacher", "teacher");
    if (!st) st = cli_set_list(a, config, "student", "students");
    if (!st) st = cli_set_list(a, config, "baseline", "baseline");
    if (!st) st = cli_set_list(a, config, "candidate", "candidate");
    if (!st && cli_flag(a, "common")) st = rt_json_override(config, "compare.common=true");
    if (!st && cli_flag(a, "find-slices")) st = rt_json_override(config, "compare.find_slices=true");
    if (!st) st = cli_set_option(a, config, "id", "data.id");
    if (!st) st = cli_set_columns(a, config, "slices", "data.slices");
    if (!st) st = cli_set_option(a, config, "data", "data.source");
    if (!st) st = cli_set_option(a, config, "rows", "data.rows");
    rt_target target = {.path = out, .force = cli_flag(a, "force"), .config = a->count ? a->positional[0] : NULL};
    if (!st) st = rt_evaluate(config, &target, a->device, &a->progress, result);
    cJSON_Delete(config);
    return st;
}

static void show(const cJSON *result)
{
    char *table = rt_report_table(result);
    const char *page = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(result, "report"));
    printf("%s\nreport: ", table ? table : "");
    cli_print_text(page ? page : "-");
    putchar('\n');
    free(table);
}

static const cli_option options[] = {
    {"teacher", CLI_LIST, "MODEL.h5", "given more than once: an ensemble; or T.json, a specification ('retort help "
     "teachers')", NULL},
    {"student", CLI_LIST, "MODEL.h5", "once for each model", NULL},
    {"baseline", CLI_LIST, "MODEL.h5",
     "a model or predictions ('retort predict'), which the candidate is compared with, row by row", NULL},
    {"candidate", CLI_LIST, "MODEL.h5", "the same; rows of both are paired by their ids", NULL},
    {"slices", CLI_VALUE, "COL,...",
     "columns that rows are grouped by; predictions bring their own. Always: class, predicted, confidence, input.mean, "
     "input.deviation, input.min, input.max",
     NULL},
    {"find-slices", CLI_FLAG, NULL,
     "slices on which the candidate is worse, of one column or two: sought on one half of the rows, confirmed on the "
     "other",
     NULL},
    {"common", CLI_FLAG, NULL, "rows that one side lacks are left out and counted; without it they are refused", NULL},
    {"id", CLI_VALUE, "COLUMN", "what rows are called, as in 'retort predict'", NULL},
    {"data", CLI_SOURCE, "TEST.h5", "the same as data.source", NULL},
    {"rows", CLI_VALUE, "A:B",
     "rows of the source; or data.test=0.1: the rows that training with the same data.test "
     "left out",
     NULL},
    {"out", CLI_VALUE, "FOLDER",
     "tried before the work; an earlier report there is replaced when it is as its run left "
     "it",
     NULL},
    {"force", CLI_FLAG, NULL,
     "replace an earlier report also when it was changed since; what no run wrote is never "
     "replaced",
     NULL},
    {0}};

static const cli_term terms[] = {
    {"accuracy",
     "share of labelled rows whose largest logit (of equal ones the first) is the label, with Wilson's 95 % "
     "interval. top5: the label is among the five largest; above five classes"},
    {"macro_f1, nll, auc, ...",
     "'retort help metrics' defines them, with the function of scikit-learn that gives the same"},
    {"per_class", "rows, answered, right, precision, recall, F1. confusion: [truth][answer], up to 256 classes"},
    {"agreement", "share of rows with the reference's answer"},
    {"kl_from_teacher, kl_from_reference", "mean of sum q ln(q/p), q the reference's softmax, in nats"},
    {"mcnemar_vs_reference", "rows that one of the two alone has right; exact two-sided p"},
    {"rows_seen_in_training", "rows that the model, or one that it comes from, was trained or chosen on; found by the "
                              "identity of the data: equal rows in another file are not found"},
    {"drop, lo, hi",
     "baseline minus candidate in the bad direction, and its interval: of shares of rows Tango's score interval, of "
     "auc DeLong's (of several classes or labels of the mean of their areas, row by row), of other metrics, as of "
     "average_precision, a BCa bootstrap of 4,000 resamples of pairs (of more than 20,000 rows, and of several "
     "classes, fewer). b: rows that the baseline alone has right, c: the candidate alone"},
    {"nfr, btc, nfi",
     "negative flips b/n; backward trust a/(a+b); share of the candidate's errors that are new, b/(b+d): with Wilson's "
     "interval"},
    {"latency",
     "one row (batch1), or eight (batch8), a call, one thread, models in turns drawn anew each round, less the cost of "
     "the clock. p50: median; p90 (from 64 samples), p99 (662), p99.9 (6,636): MLPerf's early-stopping estimates at "
     "99 %. A call that took longer than 1.1 times its CPU time and 10 us is disturbed: it lost the CPU. Percentiles "
     "are over all calls, and without the disturbed ones"},
    {"throughput", "rows a second on all threads at batches of 1, 16, 64, 256: median, lowest, highest round"},
    {"speed",
     "the first model is timed twice, as a control: where it differs from itself by 3 %, or more than 5 % of calls "
     "were disturbed, the machine is too noisy, and speed_vs_reference (ratios, above 1: slower) is null"},
    {"cold_start_us, cold_start",
     "apart from the rounds: a new process of this program loads the model, plans and answers one row; median, lowest "
     "and highest of five starts, from before the process to its answer, opening the data taken off, files in the page "
     "cache. peak_rss_bytes: the most memory that it held"},
    {"joules_per_row, energy",
     "at the batch size of the throughput, by the processor's counters (RAPL) of packages and memory, where they can "
     "be read: all that the machine used, of which idle_share is what it uses asleep"},
    {"cost", "of a million rows: eval.price_per_hour / 3600 * seconds / eval.copies, at the throughput"},
    {0}};

const cli_command cli_eval = {
    .name = "eval",
    .summary = "compare students with their teacher: quality, size, speed",
    .usage = "[CONFIG.json] [--teacher MODEL.h5] [--student MODEL.h5 ...] --data TEST.h5 --out FOLDER [--rows A:B] "
             "[--force] [key=value ...]\n"
             "--baseline MODEL.h5|P.h5 --candidate MODEL.h5|P.h5 [--teacher MODEL.h5] [--data TEST.h5] "
             "[--slices COL,...] [--find-slices] [--common] --out FOLDER",
    .about =
        "Runs models over rows and writes evaluation.json, report.md, report.csv, report.html, and report.xxh128 with "
        "their hashes. Models are compared with the teacher, or with the first student where no teacher is given. "
        "With a baseline and a candidate, models are compared with the baseline, and both row by row: every metric "
        "with its drop and interval, classes, slices, rows that flipped. A drop is baseline minus candidate in the bad "
        "direction. "
        "A number that is not defined is null, with the reason beside it.",
    .options = options,
    .keys = cli_eval_keys,
    .terms = terms,
    .examples =
        "retort eval --teacher runs/teacher/model.h5 --student runs/small/model.h5 --data test.h5 --out runs/eval\n"
        "retort eval --baseline v1.h5 --candidate runs/small/model.h5 --data test.h5 --slices country --find-slices "
        "--out runs/v2\n"
        "retort eval --baseline v1_answers.h5 --candidate v2_answers.h5 --out runs/v2 --common\n",
    .run = run,
    .show = show,
    .takes = CLI_KEYS | CLI_THREADS | CLI_DEVICE | CLI_REGISTRY,
    .files = 1};
