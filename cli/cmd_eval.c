/* cli/cmd_eval.c - retort eval */
#include <stdio.h>
#include <stdlib.h>

#include "cli/cli.h"
#include "experiments/evaluator.h"
#include "experiments/report.h"

static const char help[] =
    "usage: retort eval [CONFIG.json] --teacher MODEL.h5 --student MODEL.h5 [--student ...] --data TEST.h5 --out FOLDER [--rows a:b]\n\n"
    "Runs teacher and students over labelled rows and writes evaluation.json, report.md, report.csv and report.html:\n"
    "accuracy with its 95 % interval, top-5, macro-F1, confusion, agreement with the teacher and KL from it, ECE, McNemar;\n"
    "parameters, multiply-adds, file size, memory; batch-1 latency and throughput, interleaved.\n\n"
    "  --teacher given more than once is an ensemble\n"
    "  --rows a:b, or data.test=0.1 data.test_seed=1: the rows that training with the same data.test left out; a model that has\n"
    "  seen the rows is named\n"
    "  eval.latency_samples=2000 (p99 needs 662), eval.seconds=0.5, eval.rounds=5, eval.speed=false to leave timing out\n\n"
    "example:\n"
    "  retort eval --teacher runs/teacher/model.h5 --student runs/small/model.h5 --data test.h5 --out runs/eval\n";

static rt_status run(cli_args *a, cJSON **result)
{
    cJSON *config;
    const char *out = cli_value(a, "out");
    if (!out) return rt_fail(RT_USAGE, "eval: --out FOLDER is required; see 'retort eval --help'");
    rt_status st = cli_config(a, &config);
    if (!st) st = cli_set_list(a, config, "teacher", "teacher");
    if (!st) st = cli_set_list(a, config, "student", "students");
    if (!st) st = cli_set_option(a, config, "data", "data.source");
    if (!st) st = cli_set_option(a, config, "rows", "data.rows");
    if (!st) st = rt_evaluate(config, a->pool, &a->progress, result);
    if (!st) st = rt_report_write(*result, out);
    if (!st) {
        char path[1200];
        snprintf(path, sizeof path, "%s/report.html", out);
        cJSON_AddStringToObject(*result, "report", path);
    }
    cJSON_Delete(config);
    return st;
}

static void show(const cJSON *result)
{
    char *table = rt_report_table(result);
    printf("%s\nreport: %s\n", table ? table : "", cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(result, "report")));
    free(table);
}

static const cli_option options[] = {{"teacher", CLI_LIST}, {"student", CLI_LIST}, {"data", 1}, {"rows", 1}, {"out", 1}, {NULL, 0}};
const cli_command cli_eval = {"eval", "compare students with their teacher: quality, size, speed", help, options, run, show,
                              CLI_KEYS | CLI_THREADS, 1};
