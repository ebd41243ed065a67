/* cli/cmd_info.c - retort info */
#include "cli/cli.h"
#include "experiments/inspect.h"

static rt_status run(cli_args *a, cJSON **result)
{
    int batch;
    if (a->count < 1) return rt_fail(RT_USAGE, "info: one FILE is required; see 'retort info --help'");
    RT_TRY(cli_int(a, "plan", 0, 1, 1 << 20, &batch));
    if (cli_flag(a, "training") && !batch && !cli_flag(a, "stages"))
        return rt_fail(RT_USAGE, "info: --training belongs to --plan BATCH or --stages");
    const char *set = a->count == 2 ? a->positional[1] : "";
    rt_inspect_options o = {.dataset = set, .plan = batch, .stages = cli_flag(a, "stages"),
                            .train = cli_flag(a, "training")};
    return rt_inspect(a->positional[0], &o, a->device, result);
}

/* As a tree; the layers of a quantized model as a table. */
static void show(const cJSON *result)
{
    cJSON *copy = cJSON_Duplicate(result, 1), *program = cJSON_GetObjectItemCaseSensitive(copy, "integer_program");
    cJSON *layers = program ? cJSON_DetachItemFromObjectCaseSensitive(program, "layers") : NULL;
    cli_print_tree(copy, 0);
    if (layers) {
        putchar('\n');
        cli_print_layers(layers);
    }
    cJSON_Delete(layers);
    cJSON_Delete(copy);
}

static const cli_option options[] = {
    {"plan", CLI_VALUE, "BATCH", "the kernel calls that a model compiles to for this batch size", NULL},
    {"stages", CLI_FLAG, NULL, "the layers that a model becomes when it runs, after each pass that changes them", NULL},
    {"training", CLI_FLAG, NULL, "with --plan and --stages: of a training step", NULL},
    {0}};

const cli_command cli_info = {
    .name = "info",
    .summary = "tell what a data set, model, label store or checkpoint is",
    .usage = "FILE [DATASET] [--plan BATCH] [--stages] [--training]",
    .about =
        "Tells what a file is. A data set: shape, type, chunks, statistics, provenance. A model: layers, parameters, "
        "multiply-adds, memory, provenance; of a quantized one the quantizers of each layer, too. A label store: how "
        "far it is, who made it, and whether its checksums "
        "hold. A checkpoint: its buffers and state. A teacher's specification (NAME.json): kind, identity, classes.",
    .options = options,
    .examples = "retort info train.h5 x\n"
                "retort info runs/teacher/model.h5 --plan 64\n"
                "retort info runs/teacher/model.h5 --stages\n",
    .run = run,
    .show = show,
    .takes = CLI_THREADS,
    .files = 2};
