/* cli/cmd_gate.c - retort gate */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "data/files.h"
#include "data/precision.h"
#include "experiments/gate/gate.h"

enum { MEMBERS = 16 };

/* The files of an option that may be given again: an ensemble. */
static int files_of(const cli_args *a, const char *option, const char **file)
{
    int n = 0;
    while (n < MEMBERS && cli_value_at(a, option, n)) {
        file[n] = cli_value_at(a, option, n);
        n++;
    }
    return n;
}

static const char *registry_of(const cli_args *a)
{
    const char *given = cli_value(a, "registry"), *env = getenv("RETORT_REGISTRY");
    return given ? given : env && *env ? env : NULL;
}

/* Appends to the summary of a step; NULL where no step runs. */
static rt_status add_summary(const char *path, const char *markdown)
{
    if (!path || !*path) return RT_OK;
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0) return rt_fail(RT_RUN, "%s: GITHUB_STEP_SUMMARY cannot be written", path);
    rt_status st = rt_write_all(fd, markdown, strlen(markdown), path);
    close(fd);
    return st;
}

static rt_status tell_github(const cJSON *verdict)
{
    char *lines = rt_gate_annotations(verdict), *markdown = rt_gate_markdown(verdict);
    rt_status st = lines && markdown ? add_summary(getenv("GITHUB_STEP_SUMMARY"), markdown)
                                     : rt_fail(RT_RUN, "out of memory");
    if (!st) fputs(lines, stderr);                     /* standard output may be JSON; both are read */
    free(lines);
    free(markdown);
    return st;
}

static rt_status check(const cli_args *a)
{
    static const char *const with_init[] = {"baseline", "candidate", "policy", "anchor", "common", "allow-same",
                                            "github", "registry"};
    const char *init = cli_value(a, "init");
    for (int i = 0; init && i < 8; i++)
        if (cli_value(a, with_init[i]))
            return rt_fail(RT_USAGE, "gate: --%s does not apply to --init, which writes a policy", with_init[i]);
    if (init && !cli_value(a, "out")) return rt_fail(RT_USAGE, "gate: --init needs --out POLICY.json");
    for (int i = 0; !init && i < 3; i++)
        if (!cli_value(a, with_init[i]))
            return rt_fail(RT_USAGE, "gate: --%s is required; see 'retort gate --help'", with_init[i]);
    return RT_OK;
}

static rt_status run(cli_args *a, cJSON **result)
{
    const char *baseline[MEMBERS], *candidate[MEMBERS], *anchor[MEMBERS];
    const char *out = cli_value(a, "out"), *kernels = cli_value(a, "kernels");
    int init = cli_value(a, "init") != NULL, any = a->overrides || cli_value(a, "data") || cli_value(a, "rows");
    RT_TRY(check(a));
    cJSON *config = cJSON_CreateObject();
    rt_status st = RT_OK;
    for (int i = 0; i < a->overrides && !st; i++) st = rt_json_override(config, a->override[i]);
    if (!st) st = cli_set_option(a, config, "data", "data.source");
    if (!st) st = cli_set_option(a, config, "rows", "data.rows");
    for (const cJSON *k = config->child; k && !st; k = k->next)
        if (strcmp(k->string, "data") && strcmp(k->string, "precision"))
            st = rt_fail(RT_USAGE, "%s: keys of data, and precision, are taken here; limits and speed stand in the "
                         "policy", k->string);
    rt_cfg own = rt_cfg_begin(config, "");
    rt_precision precision = st ? RT_P_FP32 : rt_precision_read(&own);
    if (!st) st = own.status;
    rt_gate_spec spec = {.baseline = baseline,
                         .baselines = files_of(a, init ? "init" : "baseline", baseline),
                         .candidate = candidate,
                         .candidates = files_of(a, "candidate", candidate),
                         .anchor = anchor,
                         .anchors = files_of(a, "anchor", anchor),
                         .policy = cli_value(a, "policy"),
                         .registry = init ? NULL : registry_of(a),
                         .data = any ? cJSON_GetObjectItemCaseSensitive(config, "data") : NULL,
                         .common = cli_flag(a, "common"),
                         .allow_same = cli_flag(a, "allow-same"),
                         .all_kernels = kernels && !strcmp(kernels, "all"),
                         .device = a->device,
                         .precision = precision,
                         .progress = &a->progress};
    rt_target target = {.path = out, .force = cli_flag(a, "force"), .config = spec.policy};
    if (!st && init) st = rt_gate_init(&spec, &target, result);
    else if (!st) st = rt_gate(&spec, out ? &target : NULL, result);
    if (*result && cli_flag(a, "github")) {
        rt_status told = tell_github(*result);
        if (told) st = told;
    }
    cJSON_Delete(config);
    return st;
}

static void show(const cJSON *result)
{
    char *screen = cJSON_GetObjectItemCaseSensitive(result, "verdict") ? rt_gate_screen(result) : NULL;
    if (screen) fputs(screen, stdout);
    else cli_print_tree(result, 0);
    free(screen);
}

static const cli_option options[] = {
    {"baseline", CLI_LIST, "MODEL.h5", "or predictions ('retort predict'); given more than once: an ensemble", NULL},
    {"candidate", CLI_LIST, "MODEL.h5", "the same", NULL},
    {"anchor", CLI_LIST, "MODEL.h5", "the same, for limits \"against\": \"anchor\": a version pinned at a release",
     NULL},
    {"policy", CLI_VALUE, "FILE", "limits, as --init writes them; see below", NULL},
    {"data", CLI_SOURCE, "TEST.h5", "rows with labels; not where both sides are predictions", NULL},
    {"rows", CLI_VALUE, "A:B",
     "rows of the data; or data.test=0.1: those that training with the same data.test left out", NULL},
    {"common", CLI_FLAG, NULL, "compare the rows that both sides have; else unequal row sets are refused", NULL},
    {"out", CLI_VALUE, "FOLDER",
     "verdict.json, gate.md, junit.xml, gate.html; tried before the work. With --init: the policy", NULL},
    {"force", CLI_FLAG, NULL, "replace what an earlier gate wrote there", NULL},
    {"allow-same", CLI_FLAG, NULL, "compare a model with itself, else refused with exit code 5", NULL},
    {"github", CLI_FLAG, NULL,
     "annotations on standard error, and gate.md into the step's summary (GITHUB_STEP_SUMMARY)", NULL},
    {"init", CLI_LIST, "MODEL.h5", "write a policy for this baseline, with the smallest drops that the rows can show",
     NULL},
    {0}};

static const cli_term terms[] = {
    {"drop", "baseline minus candidate in the bad direction: accuracy 0.90 to 0.88 is 0.02, RMSE 0.50 to 0.52 as well"},
    {"pass, regression, undecided",
     "with the interval [lo, hi] of the drop: hi <= limit passes, lo > limit is a regression, between is undecided. "
     "Mode noninferior (a release) ends with 6 on undecided, mode proven (a pull request) warns and ends with 0"},
    {"max_drop, max_drop_rel",
     "of metrics of each side (accuracy, macro_f1, rmse, ...; recall, precision, f1 with \"class\"); max_drop_rel "
     "divides the drop by the baseline's value"},
    {"min, max",
     "of the candidate's own number, whatever the baseline's is: accuracy, recall, ... at least (\"min\": 0.9), nll, "
     " ece, rmse, ... at most; of metrics of the pair: nfr, nfi at most, btc, agreement at least; of sizes at most. "
     "The same three verdicts, by the number's own interval"},
    {"max_ratio, max_us",
     "candidate over baseline (of throughput baseline over candidate), microseconds. latency_p50, latency_p90, "
     "latency_p99: a row a call; multistream_p50, _p90, _p99: eight; throughput; cost_per_million, "
     "energy_per_million (joules; max, too); file_bytes, memory_bytes, parameters, "
     "macs"},
    {"against",
     "\"anchor\", of a limit or of the policy: held against the version that was pinned at a release too, as "
     "\"accuracy against=anchor\", so that small drops cannot add up. A limit of the same metric and bound without it "
     "is the one against the baseline"},
    {"spending, releases",
     "of the policy: \"obrien_fleming\" or \"pocock\" divides 1 - confidence (two-sided) over so many releases on one "
     "test set; look i of K has a(i/K) - a((i-1)/K) of it, and more than K are refused (5). \"none\" with releases "
     "notes that they are over. Costs are measured anew, and keep the confidence"},
    {"--registry",
     "keeps the verdict, counts decisions on the test set, and has the anchor, where one is wanted and none given: of "
     "the name whose version the baseline is"},
    {"look, decisions",
     "one candidate against one baseline (and anchor) by one policy is one decision on a test set, counted by the "
     "registry before anything is compared; made again it does not count"},
    {"class, slice, head",
     "\"class\": \"6\", \"slice\": \"country=DE\", \"head\": \"kind\"; \"*\" as class or value: a "
     "limit of each. Regressions among them are claimed after Holm; below min_rows one is listed"},
    {"waivers",
     "[{\"limit\": \"recall class=6\", \"until\": \"2027-01-31\", \"reason\": \"...\"}]; expired ones are refused"},
    {"b, c", "rows that the baseline alone has right, that the candidate alone has right"},
    {"speed",
     "of the policy: {\"seconds\": 60, \"rounds\": 40, \"samples\": 8000}. The baseline is timed twice; where it "
     "differs from itself by 3 %, or 5 % of calls lost the CPU, the machine is too noisy: undecided"},
    {"exit codes",
     "0 pass, 1 regression, 2 usage or policy, 3 bad input, 4 could not run, 5 not measured or not comparable "
     "(rows differ, the same model twice, rows seen in training), 6 undecided or too noisy, 130 interrupted. "
     "A regression beats 5, and 5 beats 6"},
    {0}};

const cli_command cli_gate = {
    .name = "gate",
    .summary = "compare a candidate with a baseline by a policy, and fail on a regression",
    .usage =
        "--baseline MODEL.h5 --candidate MODEL.h5 --policy POLICY.json [--data TEST.h5] [--rows A:B] [--out FOLDER] "
        "[--force] [--common] [--allow-same] [--github] [data.KEY=value ...]\n"
        "--init MODEL.h5 --data TEST.h5 --out POLICY.json",
    .about =
        "Asks both sides about the same rows, paired by id, and holds every difference, with its interval, against the "
        "policy's limits. One screen says what failed; verdict.json (retort-verdict-2) is the master of gate.md (for "
        "one comment, marked <!-- retort-gate -->) and junit.xml (a case a limit).\n\n"
        "--kernels all asks the models by every family of kernels that runs here; each must hold.",
    .options = options,
    .keys = cli_gate_keys,
    .terms = terms,
    .examples =
        "retort gate --init runs/v1/model.h5 --data test.h5 --out policy.json\n"
        "retort gate --baseline runs/v1/model.h5 --candidate runs/v2/model.h5 --policy policy.json --data test.h5 "
        "--out gate\n"
        "retort gate --baseline v1.predictions.h5 --candidate v2.predictions.h5 --policy policy.json --github\n",
    .run = run,
    .show = show,
    .takes = CLI_KEYS | CLI_THREADS | CLI_DEVICE | CLI_ALL_KERNELS | CLI_REGISTRY,
    .files = 0};
