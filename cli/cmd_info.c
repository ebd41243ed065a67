/* cli/cmd_info.c - retort info */
#include "cli/cli.h"
#include "experiments/inspect.h"

static rt_status devices(const cli_args *a, cJSON **result)
{
    static const char *const others[] = {"plan", "stages", "training", "device"};
    for (int i = 0; i < 4; i++)
        if (cli_value(a, others[i]))
            return rt_fail(RT_USAGE, "info: --%s does not apply to --devices, which lists what there is", others[i]);
    if (a->count)
        return rt_fail(RT_USAGE, "info: --devices is about no file, so '%s' would do nothing", a->positional[0]);
    return rt_inspect_devices(result);
}

static rt_status run(cli_args *a, cJSON **result)
{
    int batch;
    RT_TRY(cli_int(a, "plan", 0, 1, 1 << 20, &batch));
    if (cli_flag(a, "devices")) return devices(a, result);
    if (a->count < 1) return rt_fail(RT_USAGE, "info: one FILE is required; see 'retort info --help'");
    if (a->device_name && !batch) return rt_fail(RT_USAGE, "info: --device belongs to --plan BATCH");
    if (cli_flag(a, "training") && !batch && !cli_flag(a, "stages"))
        return rt_fail(RT_USAGE, "info: --training belongs to --plan BATCH or --stages");
    const char *set = a->count == 2 ? a->positional[1] : "";
    rt_inspect_options o = {.dataset = set, .plan = batch, .stages = cli_flag(a, "stages"),
                            .train = cli_flag(a, "training")};
    rt_device *device = NULL;                    /* elsewhere none is opened, whatever RETORT_DEVICE says */
    if (batch) RT_TRY(rt_device_open(&device, a->device_name, a->threads));
    rt_status st = rt_inspect(a->positional[0], &o, device ? device : a->device, result);
    rt_device_close(device);
    return st;
}

/* As a tree; the layers of a quantized model, and devices, as a table. */
static void show(const cJSON *result)
{
    if (cJSON_HasObjectItem(result, "devices")) {
        cli_print_devices(result);
        return;
    }
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
    {"device", CLI_VALUE, "D", "with --plan: on which device (also RETORT_DEVICE); of a card: launches and bytes",
     NULL},
    {"devices", CLI_FLAG, NULL, "in place of a file: what there is to compute on, and which operators cards have",
     NULL},
    {0}};

const cli_command cli_info = {
    .name = "info",
    .summary = "tell what a data set, model, label store or checkpoint is",
    .usage = "FILE [DATASET] [--plan BATCH [--device D]] [--stages] [--training]\n"
             "--devices",
    .about =
        "Tells what a file is. A data set: shape, type, chunks, statistics, provenance. A model: layers, parameters, "
        "multiply-adds, memory, provenance; of a quantized one the quantizers of each layer, too. A label store: how "
        "far it is, who made it, and whether its checksums "
        "hold. A checkpoint: its buffers and state. A teacher's specification (NAME.json): kind, identity, classes.\n\n"
        "--devices: of each device its name, the card, compute capability, multiprocessors (of the CPU: threads), "
        "memory and how much of it is free, precisions, and why it cannot be used, if it cannot. The CPU has every "
        "operator; a model that needs one that cards lack is refused there before work starts.",
    .options = options,
    .examples = "retort info train.h5 x\n"
                "retort info runs/teacher/model.h5 --plan 64\n"
                "retort info runs/teacher/model.h5 --stages\n"
                "retort info --devices\n",
    .run = run,
    .show = show,
    .takes = CLI_THREADS | CLI_REGISTRY,
    .files = 2};
