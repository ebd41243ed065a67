/* cli/cmd_quantize.c - retort quantize */
#include <stdio.h>

#include "cli/cli.h"
#include "data/file_name.h"
#include "experiments/jobs/quantize_job.h"

static rt_status run(cli_args *a, cJSON **result)
{
    const char *out = cli_value(a, "out"), *file = cli_value(a, "config");
    cJSON *config = NULL;
    if (!out) return rt_fail(RT_USAGE, "quantize: --out MODEL.h5 is required; see 'retort quantize --help'");
    rt_status st = file ? rt_json_file(&config, file) : RT_OK;
    if (!st && !file) config = cJSON_CreateObject();
    if (!st && !cJSON_IsObject(config)) st = rt_fail(RT_USAGE, "%s: an object {...} is expected", file);
    for (int i = 0; i < a->overrides && !st; i++) st = rt_json_override(config, a->override[i]);
    if (!st) st = rt_file_names_in(config);
    if (!st && a->count && cJSON_HasObjectItem(config, "model"))
        st = rt_fail(RT_USAGE, "%s and the key model say the same thing; give one of them", a->positional[0]);
    if (!st && a->count) st = cli_set(config, "model", a->positional[0]);
    if (!st) st = cli_set_option(a, config, "data", "data.source");
    if (!st) st = cli_set_option(a, config, "rows", "data.rows");
    rt_target target = {.path = out, .force = cli_flag(a, "force"), .config = file};
    if (!st) st = rt_quantize(config, &target, a->device, &a->progress, result);
    cJSON_Delete(config);
    return st;
}

static const cJSON *member(const cJSON *j, const char *key) { return cJSON_GetObjectItemCaseSensitive(j, key); }

static void show(const cJSON *result)
{
    cJSON *rest = cJSON_Duplicate(result, 1);
    cli_print_layers(member(result, "layers"));
    putchar('\n');
    cJSON_DeleteItemFromObjectCaseSensitive(rest, "layers");
    cli_print_tree(rest, 0);
    cJSON_Delete(rest);
}

static const cli_option options[] = {
    {"data", CLI_SOURCE, "DATA.h5", "rows to calibrate with; the same as data.source", NULL},
    {"rows", CLI_VALUE, "A:B", "among which they are drawn (default: all); the same as data.rows", NULL},
    {"config", CLI_VALUE, "FILE.json", "the configuration", NULL},
    {"out", CLI_VALUE, "MODEL.h5", "the quantized model", NULL},
    {"force", CLI_FLAG, NULL, "replace a model that this command wrote; another one is never replaced", NULL},
    {0}};

static const cli_term terms[] = {
    {"bits", "of the layer's weights; each output channel has a step of its own"},
    {"least, greatest", "what the bytes of the layer's output stand for; a head's answer is not rounded"},
    {"clipped", "share of the float model's values that lie outside"},
    {"dB", "10 log10 of the power of the float model's values over that of what the integers differ by, with the "
           "errors of all layers before"},
    {"bytes", "of weights, steps and biases"},
    {"arena_bytes", "of working memory for a row; program_bytes: of the file that is deployed"},
    {0}};

const cli_command cli_quantize = {
    .name = "quantize",
    .summary = "turn a model into one of integers, from rows of data",
    .usage = "[MODEL.h5] --data DATA.h5 --out MODEL.h5 [--rows A:B] [--config FILE.json] [key=value ...] [--force]",
    .about =
        "Post-training quantization: weights of 4 to 8 bits, activations of 8. Ranges come from rows of data, "
        "which need no labels. The model that is written keeps its weights in float beside the quantizers, and answers "
        "by integers wherever it is used: label, eval, export, bench. Those answers are the same bits on every "
        "machine.\n\n"
        "Layer normalisation and softmax have no integer form: a model with them is refused.",
    .options = options,
    .keys = cli_quantize_keys,
    .terms = terms,
    .examples = "retort quantize runs/small/model.h5 --data train.h5 --out small-int8.h5\n"
                "retort quantize runs/small/model.h5 --data train.h5 --out small-int4.h5 quant.weights=4 "
                "quant.method=mse quant.layers.conv2d5.weights=8\n",
    .run = run,
    .show = show,
    .takes = CLI_KEYS | CLI_THREADS | CLI_REGISTRY,
    .files = 1};
