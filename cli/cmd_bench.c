/* cli/cmd_bench.c - retort bench */
#include <string.h>

#include "cli/cli.h"
#include "data/file_name.h"
#include "experiments/jobs/bench_job.h"

static rt_status run(cli_args *a, cJSON **result)
{
    cJSON *config = cJSON_CreateObject(), *arch;
    rt_status st = a->count && cli_flag(a, "kernels-only")
                       ? rt_fail(RT_USAGE, "bench: --kernels-only takes no model, so '%s' would do nothing",
                                 a->positional[0])
                       : RT_OK;
    int cold = cli_flag(a, "cold");
    const char *dot = a->count ? strrchr(a->positional[0], '.') : NULL;
    if (!st && a->count &&
        (cold || (dot && (!strcmp(dot, ".h5") || !strcmp(dot, ".onnx"))) || rt_file_called(a->positional[0])))
        cJSON_AddStringToObject(config, "model", a->positional[0]);
    else if (!st && a->count) {
        st = rt_json_file(&arch, a->positional[0]);
        if (!st) cJSON_AddItemToObject(config, "model", arch);
    }
    if (!st && cli_flag(a, "infer") + cli_flag(a, "kernels-only") + cold > 1)
        st = rt_fail(RT_USAGE, "bench: give one of --infer, --kernels-only and --cold");
    if (!st && cli_value(a, "data") && !cold) st = rt_fail(RT_USAGE, "bench: --data belongs to --cold");
    if (cold) cJSON_AddStringToObject(config, "what", "cold");
    if (!st) st = cli_set_option(a, config, "data", "data.source");
    if (cli_flag(a, "infer")) cJSON_AddStringToObject(config, "what", "infer");
    if (cli_flag(a, "kernels-only")) cJSON_AddStringToObject(config, "what", "kernels");
    for (int i = 0; i < a->overrides && !st; i++) st = rt_json_override(config, a->override[i]);
    if (!st) st = rt_bench(config, a->device, &a->progress, result);
    cJSON_Delete(config);
    return st;
}

static const cli_option options[] = {
    {"infer", CLI_FLAG, NULL, "inference, in place of training", NULL},
    {"kernels-only", CLI_FLAG, NULL,
     "the share of this machine's measured multiply-add peak that the convolution kernels "
     "reach",
     NULL},
    {"cold", CLI_FLAG, NULL, "start this program anew, load the model and answer one row of --data, again and again",
     NULL},
    {"data", CLI_SOURCE, "TEST.h5", "rows, with --cold", NULL},
    {0}};

const cli_command cli_bench = {
    .name = "bench",
    .summary = "measure the speed of training, inference and kernels",
    .usage = "MODEL.json|MODEL.h5 [--infer] [key=value ...]\n"
             "--kernels-only [key=value ...]\n"
             "MODEL.h5 --cold --data TEST.h5 [rounds=5]",
    .about =
        "Samples a second of training (forward, loss, backward, update) or of inference on data in memory, for an "
        "architecture or a model file, ONNX ones too; or the speed of the kernels. Of a quantized model inference is "
        "that of its "
        "integer program.",
    .options = options,
    .keys = cli_bench_keys,
    .examples = "retort bench experiments/peers/models/cnn.json --threads 1 --json\n"
                "retort bench --kernels-only --threads 1 rounds=15 seconds=0.2\n"
                "retort bench runs/small/model.h5 --cold --data test.h5\n",
    .run = run,
    .takes = CLI_KEYS | CLI_THREADS | CLI_DEVICE | CLI_REGISTRY,
    .files = 1};
