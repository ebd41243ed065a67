/* cli/cmd_export.c - retort export */
#include "cli/cli.h"
#include "experiments/jobs/export_job.h"

static rt_status run(cli_args *a, cJSON **result)
{
    const char *out = cli_value(a, "out"), *to = cli_value(a, "to");
    if (!out || a->count < 1)
        return rt_fail(RT_USAGE,
                       "export: a model or label store and --out FILE are required; see 'retort export --help'");
    if (!to) RT_TRY(rt_export_form_of(&to, out, a->positional[0]));
    cJSON *config = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(config, "input");
    for (int i = 0; i < a->count; i++) cJSON_AddItemToArray(list, cJSON_CreateString(a->positional[i]));
    rt_status st = RT_OK;
    for (int i = 0; i < a->overrides && !st; i++) st = rt_json_override(config, a->override[i]);
    if (!st && !cJSON_HasObjectItem(config, "to")) st = cli_set(config, "to", to);
    if (!st) st = cli_set_option(a, config, "to", "to");
    if (!st && cli_flag(a, "raw-input") && cJSON_HasObjectItem(config, "raw_input"))
        st = rt_fail(RT_USAGE, "--raw-input and raw_input say the same thing; give one of them");
    if (!st && cli_flag(a, "raw-input")) st = rt_json_override(config, "raw_input=true");
    if (!st)
        st = rt_export(config, &(rt_target){.path = out, .force = cli_flag(a, "force")}, result);
    cJSON_Delete(config);
    return st;
}

static const cli_option options[] = {
    {"to", CLI_VALUE, "FORM",
     "safetensors, npz, csv, npy, program, onnx, onnx-qdq or c; without it the ending of --out decides (.q, .onnx, "
     ".c); .onnx is onnx-qdq of quantized models, and onnx of others",
     NULL},
    {"out", CLI_VALUE, "FILE", "what is written", NULL},
    {"raw-input", CLI_FLAG, NULL, "to onnx: as raw_input=true", NULL},
    {"force", CLI_FLAG, NULL,
     "replace an earlier export. It is known by a mark that the file system keeps beside it (the "
     "extended attribute user.retort.xxh128): a file without one, or that was changed since, is "
     "never replaced",
     NULL},
    {0}};

const cli_command cli_export = {
    .name = "export",
    .summary = "write weights or labels for other tools, and ONNX, integer programs and C to deploy",
    .usage = "MODEL.h5 --to safetensors|npz --out FILE [--force]\n"
             "MODEL.h5 --to onnx --out FILE.onnx [opset=13...28] [input_type=f32|u8] [layout=nhwc|nchw] [--raw-input]\n"
             "LABELS.h5 --to csv|npy --out FILE [data.policy=FILE] [all=true] [column=NAME]\n"
             "QUANTIZED.h5|PROGRAM.q --to program|onnx-qdq|c --out FILE [opset=17|21] [input_type=auto|u8|f32]\n"
             "PROGRAM.q --to safetensors --out FILE",
    .about =
        "Weights or labels for other tools; 'retort predict' writes predictions. Labels as csv: row; of a head of "
        "classes the prediction, its name where classes have names, and a probability for each; of labels a "
        "probability for each; of numbers the numbers; of several heads titles begin with HEAD:; then the columns that "
        "the store keeps (hard, confidence, margin, entropy) and the row's status in words: labelled, by hand. A label "
        "by hand is the prediction, and certain. npy: the answers (rows, outputs of all heads), logits of classes and "
        "labels, or one column.\n\n"
        "A model is exported to be deployed with a manifest beside it (FILE.json). onnx, of a float model: weights and "
        "layers as ONNX has them, for any number of rows (the dimension \"batch\"). Inputs and heads keep their names; "
        "an input's rows are as in the data, channels last unless layout=nchw, and are normalised in the graph unless "
        "--raw-input says that they are already. metadata_props: retort (the tool), model (digest), heads, class_names "
        "(class_names.HEAD of several), columns and normalization (columns.INPUT, normalization.INPUT of several), "
        "inputs (of each: name, shape of a row, type, layout, and where it is normalized: inside, before or not), "
        "batch_norm (kept or folded), provenance. An id that an embedding does not have is an error in ONNX Runtime; a "
        "negative one counts from the table's end there.\n\n"
        "program, of a quantized model: the packed "
        "integer program, which rt_program_load() reads; its arrays as safetensors by exporting that file. onnx-qdq: a "
        "graph for runtimes with integer kernels; ONNX Runtime answers the same to the bit. c: C99 that needs nothing "
        "but <stdint.h> and <string.h>; --out NAME.c gives NAME.c, NAME.h and NAME_data.c, and NAME_selftest() tells "
        "whether a compiler and a processor compute as this one did.",
    .options = options,
    .keys = cli_export_keys,
    .examples = "retort export runs/small/model.h5 --out small.safetensors\n"
                "retort export runs/small/model.h5 --out small.onnx opset=13 layout=nchw\n"
                "retort export labels.h5 --out labels.csv\n"
                "retort export labels.h5 --out confidence.npy column=confidence\n"
                "retort export small-int8.h5 --out small.onnx input_type=u8\n"
                "retort export small-int8.h5 --out firmware/small.c\n",
    .run = run,
    .takes = CLI_KEYS | CLI_REGISTRY,
    .files = 1};
