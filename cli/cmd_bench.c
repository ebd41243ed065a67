/* cli/cmd_bench.c - retort bench */
#include "cli/cli.h"
#include "experiments/bench_job.h"

static const char help[] =
    "usage: retort bench MODEL.json [--infer] [key=value ...]\n"
    "       retort bench --kernels-only\n\n"
    "Samples a second of training (forward, loss, backward, update) or of inference on data in memory, for an architecture;\n"
    "or the share of this machine's measured multiply-add peak that the convolution kernels reach.\n\n"
    "  batch=128 seconds=1 rounds=3 optimizer=sgd loss=ce|kd profile=true\n"
    "  Kernels take a quarter of seconds each, in every round; on a shared machine many short rounds tell most:\n"
    "  retort bench --kernels-only --threads 1 rounds=15 seconds=0.2\n\n"
    "example:\n"
    "  retort bench experiments/peers/models/cnn.json --threads 1 --json\n";

static rt_status run(cli_args *a, cJSON **result)
{
    cJSON *config = cJSON_CreateObject(), *arch;
    rt_status st = a->count && cli_flag(a, "kernels-only")
                       ? rt_fail(RT_USAGE, "bench: --kernels-only takes no model, so '%s' would do nothing",
                                 a->positional[0])
                       : RT_OK;
    if (!st && a->count) {
        st = rt_json_file(&arch, a->positional[0]);
        if (!st) cJSON_AddItemToObject(config, "model", arch);
    }
    if (!st && cli_flag(a, "infer") && cli_flag(a, "kernels-only"))
        st = rt_fail(RT_USAGE, "bench: give either --infer or --kernels-only");
    if (cli_flag(a, "infer")) cJSON_AddStringToObject(config, "what", "infer");
    if (cli_flag(a, "kernels-only")) cJSON_AddStringToObject(config, "what", "kernels");
    for (int i = 0; i < a->overrides && !st; i++) st = rt_json_override(config, a->override[i]);
    if (!st) st = rt_bench(config, a->pool, &a->progress, result);
    cJSON_Delete(config);
    return st;
}

static const cli_option options[] = {{"infer", 0}, {"kernels-only", 0}, {NULL, 0}};
const cli_command cli_bench = {
    "bench", "measure the speed of training, inference and kernels", help, options, run, NULL, CLI_KEYS | CLI_THREADS,
    1};
