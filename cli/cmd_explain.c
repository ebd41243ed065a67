/* cli/cmd_explain.c - retort explain */
#include <stdlib.h>

#include "cli/cli.h"
#include "experiments/explain/explain.h"

static rt_status files_of(const cli_args *a, cJSON *config)
{
    if (!a->count) return RT_OK;
    if (cJSON_HasObjectItem(config, "model"))
        return rt_fail(RT_USAGE, "%s and the key model say the same thing; give one of them", a->positional[0]);
    cJSON *list = cJSON_AddArrayToObject(config, "model");
    for (int i = 0; i < a->count; i++) cJSON_AddItemToArray(list, cJSON_CreateString(a->positional[i]));
    return RT_OK;
}

static rt_status run(cli_args *a, cJSON **result)
{
    static const struct { const char *option, *path; } same[] = {{"method", "explain.method"},
                                                                 {"baseline", "explain.baseline"},
                                                                 {"steps", "explain.steps"},
                                                                 {"target", "explain.target"},
                                                                 {"data", "data.source"},
                                                                 {"rows", "data.rows"}};
    const char *out = cli_value(a, "out");
    if (!out) return rt_fail(RT_USAGE, "explain: --out FOLDER is required; see 'retort explain --help'");
    cJSON *config = cJSON_CreateObject();
    rt_status st = RT_OK;
    for (int i = 0; i < a->overrides && !st; i++) st = rt_json_override(config, a->override[i]);
    if (!st) st = files_of(a, config);
    if (!st) st = cli_set_list(a, config, "against", "against");
    for (size_t i = 0; i < sizeof same / sizeof same[0] && !st; i++)
        st = cli_set_option(a, config, same[i].option, same[i].path);
    if (!st && cli_flag(a, "flips")) st = rt_json_override(config, "explain.flips=true");
    rt_target target = {.path = out, .force = cli_flag(a, "force")};
    if (!st) st = rt_explain(config, &target, a->device, &a->progress, result);
    cJSON_Delete(config);
    return st;
}

static void show(const cJSON *result)
{
    char *screen = rt_explain_screen(result);
    if (screen) fputs(screen, stdout);
    free(screen);
}

static const cli_option options[] = {
    {"data", CLI_VALUE, "DATA.h5", "the rows; the same as data.source", NULL},
    {"rows", CLI_VALUE, "A:B", "some of them; 100 are explained, evenly among them (explain.most)", NULL},
    {"against", CLI_LIST, "MODEL.h5",
     "another model, asked the same about the same rows: how far both look at the same parts. Given more than once: an "
     "ensemble", NULL},
    {"flips", CLI_FLAG, NULL, "only rows that --against has right and the model has wrong, asked about their label",
     NULL},
    {"method", CLI_VALUE, "NAME", "integrated (the default), gradient or occlusion", NULL},
    {"baseline", CLI_VALUE, "NAME", "zero (the default), mean, blur or row:N: what stands for nothing there", NULL},
    {"steps", CLI_VALUE, "N", "integrated: points on the line, at first (64)", NULL},
    {"target", CLI_VALUE, "NAME", "predicted (the default), label, or a class: whose output is explained", NULL},
    {"out", CLI_VALUE, "FOLDER", "explanation.html, explanation.json and attributions.csv", NULL},
    {"force", CLI_FLAG, NULL, "replace an earlier explanation that was changed since", NULL},
    {0}};

static const cli_term terms[] = {
    {"part", "how much an element of a row (a column, a pixel, an id) adds to what is asked; below 0 it takes away"},
    {"integrated",
     "(x - b) times the mean gradient on the line from the baseline b to the row x. Parts sum to f(x) - f(b); the "
     "residual "
     "is what they are off by, and a row above explain.limit has none. Sundararajan, Taly and Yan, 2017"},
    {"gradient", "(x - b) times the gradient at x: one step, and no sum that could be checked"},
    {"occlusion",
     "f(x) less f of x with a patch, a column or an id of the baseline: for models without gradients, too"},
    {"quantized models",
     "f is the integer program's answer; gradients go straight through its roundings, so residuals are larger, and "
     "occlusion is exact"},
    {"rank correlation, cosine, overlap",
     "of a row's parts of both models: Spearman's; cosine; the share of the explain.top largest that are the same. "
     "Beside them the same for another row's parts: what agreement is when the row does not matter"},
    {0}};

const cli_command cli_explain = {
    .name = "explain",
    .summary = "which columns, pixels or ids a model's answers rest on, and whether its teacher looks at the same",
    .usage = "MODEL.h5 [MODEL.h5 ...] --data DATA.h5 --out FOLDER [--rows A:B] [--against MODEL.h5] [--flips] "
             "[--method NAME] [--baseline NAME] [--steps N] [--target NAME] [--force] [key=value ...]",
    .about =
        "Explains one number of a model's answer to each row: its best class's logit, unless --target and explain.of "
        "say "
        "otherwise. Native models and ONNX files, float or quantized, alone or as ensembles; a model with a layer "
        "that has "
        "no gradient is named, and explained by occlusion. Gradients are those of inference, and the CPU's.\n\n"
        "The page draws images beside their parts, ranks the columns of tables by mean |part| with 95 % intervals, and "
        "shows agreement with another model. It is one file, without scripts.",
    .options = options,
    .keys = cli_explain_keys,
    .terms = terms,
    .examples =
        "retort explain runs/student/model.h5 --data test.h5 --out why\n"
        "retort explain runs/student/model.h5 --against runs/teacher/model.h5 --data test.h5 --baseline mean "
        "--out why\n"
        "retort explain v2.h5 --against v1.h5 --flips --data test.h5 --out flips explain.of=centred\n"
        "retort explain teacher.onnx --data test.h5 --rows 0:20 --method occlusion --out why\n",
    .run = run,
    .show = show,
    .takes = CLI_KEYS | CLI_THREADS | CLI_DEVICE | CLI_REGISTRY,
    .files = 16};
