/* cli/cmd_run.c - retort run */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "experiments/drift/drift.h"
#include "experiments/gate/gate.h"
#include "experiments/report/report.h"
#include "experiments/jobs/runner.h"

static rt_status run(cli_args *a, cJSON **result)
{
    cJSON *config;
    if (a->count != 1) return rt_fail(RT_USAGE, "run: one EXPERIMENT.json is required; see 'retort run --help'");
    rt_status st = cli_config(a, &config);
    if (!st)
        st = rt_experiment_run(config, &(rt_target){.path = cli_value(a, "out"), .config = a->positional[0]}, a->device,
                               &a->progress, result);
    cJSON_Delete(config);
    return st;
}

static const char *text_of(const cJSON *j, const char *key)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(j, key));
}

static void show(const cJSON *r)
{
    const cJSON *steps = cJSON_GetObjectItemCaseSensitive(r, "steps");
    const cJSON *e = cJSON_GetObjectItemCaseSensitive(r, "evaluation");
    for (const cJSON *s = steps->child; s; s = s->next) {
        const cJSON *t = cJSON_GetObjectItemCaseSensitive(s, "seconds");
        printf("%-12s %-20s ", text_of(s, "state"), text_of(s, "name"));       /* both are words of ours */
        cli_print_text(text_of(s, "output"));
        if (t) printf("  (%.1f s)", t->valuedouble);
        putchar('\n');
    }
    for (const cJSON *s = steps->child; s; s = s->next) {
        const cJSON *verdict = cJSON_GetObjectItemCaseSensitive(s, "result");
        if (!cJSON_HasObjectItem(verdict, "verdict")) continue;
        int drift = !strcmp(text_of(verdict, "format"), "retort-drift-1");
        char *screen = drift ? rt_drift_screen(verdict) : rt_gate_screen(verdict);
        printf("\n%s", screen ? screen : "");
        free(screen);
    }
    if (!e) return;
    char *table = rt_report_table(e);
    printf("\n%s\nreport: ", table ? table : "");
    cli_print_text(text_of(r, "report"));
    putchar('\n');
    free(table);
}

static const cli_option options[] = {
    {"out", CLI_VALUE, "FOLDER", "the folder of all steps, in place of the experiment's \"out\"", NULL}, {0}};

const cli_command cli_run = {
    .name = "run",
    .summary = "run a whole experiment from one JSON file",
    .usage = "EXPERIMENT.json [--out FOLDER] [key=value ...]",
    .about =
        "Runs the steps of an experiment (import, train, label, vote, calibrate, clean, select, quantize, predict, "
        "eval, export, gate, drift) in order, each with the configuration of the command of its name. \"${step}\" in "
        "a later step stands for what that step made; of clean that is the mask, and its list lies beside it "
        "(OUT/step.csv). calibrate takes {\"labels\", \"head\", \"data\"} and makes a file that the \"temperature\" "
        "of a policy may name. A gate takes {\"baseline\", \"candidate\", \"policy\", \"data\", \"common\", "
        "\"allow_same\"}; one that does not pass, and a drift that is found, ends the experiment with its exit code "
        "(see 'retort gate --help'), and its folder has the verdict. A step whose configuration and input files (for "
        "images: all files of the folder) have not changed is skipped; an interrupted one goes on. Every step's "
        "configuration is checked before the first one runs.\n\n"
        "--device is of train, label, clean with folds, predict, eval and gate, each in the precision that its own "
        "configuration names; the other steps are work of the CPU.",
    .options = options,
    .keys = cli_run_keys,
    .examples = "retort run experiments/fashion.json --out runs/fashion\n"
                "retort run experiments/fashion.json --out runs/seed2 --seed 2\n",
    .run = run,
    .show = show,
    .takes = CLI_SEED | CLI_KEYS | CLI_THREADS | CLI_DEVICE | CLI_BOTH | CLI_REGISTRY,
    .files = 1};
