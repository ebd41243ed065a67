/* experiments/inspect_onnx.c - what an ONNX file holds, and what of it becomes layers. */
#include <stdio.h>
#include <string.h>

#include "engine/attr.h"
#include "engine/call.h"
#include "engine/progress.h"
#include "experiments/inspect_parts.h"
#include "student/onnx/onnx_import.h"

static cJSON *values(const rt_onnx_value *v, int n)
{
    cJSON *list = cJSON_CreateArray();
    for (int i = 0; i < n; i++) {
        cJSON *j = cJSON_CreateObject(), *shape = v[i].rank >= 0 ? cJSON_CreateArray() : cJSON_CreateNull();
        cJSON_AddStringToObject(j, "name", v[i].name);
        cJSON_AddStringToObject(j, "type",
                                v[i].strange                 ? v[i].strange
                                : v[i].type < RT_DTYPE_COUNT ? rt_array_type_name(v[i].type)
                                                             : "unknown");
        for (int k = 0; k < v[i].rank; k++) {
            char any[] = "?";
            const char *name = v[i].param[k] ? v[i].param[k] : any;
            cJSON_AddItemToArray(shape,
                                 v[i].dim[k] >= 0 ? cJSON_CreateNumber((double)v[i].dim[k]) : cJSON_CreateString(name));
        }
        cJSON_AddItemToObject(j, "shape", shape);
        cJSON_AddItemToArray(list, j);
    }
    return list;
}

/* Inputs whose shape the file does not tell in full. */
static int open_inputs(const rt_onnx_file *f, cJSON *j)
{
    char shape[160];
    cJSON *list = cJSON_CreateObject();
    for (int i = 0; i < f->graph->inputs; i++)
        if (rt_onnx_open_dimension(&f->input[i]) >= 0)
            cJSON_AddStringToObject(list, f->input[i].name, rt_onnx_shape_text(&f->input[i], shape));
    int open = list->child != NULL;
    if (open) cJSON_AddItemToObject(j, "open_shapes", list);
    else cJSON_Delete(list);
    return open;
}

/* How many nodes there are of each operator, and those that nothing here knows. */
static void count_nodes(const rt_eval_graph *g, cJSON *operators, cJSON *unknown)
{
    for (const rt_eval_node *n = g->node; n < g->node + g->nodes; n++) {
        char name[160];
        snprintf(name, sizeof name, "%s%s%.100s", n->domain, *n->domain ? ":" : "", n->op);
        cJSON *c = cJSON_GetObjectItemCaseSensitive(operators, name);
        if (c) cJSON_SetNumberValue(c, c->valuedouble + 1);
        else cJSON_AddNumberToObject(operators, name, 1);
        if (!n->def && !cJSON_GetObjectItemCaseSensitive(unknown, name))
            cJSON_AddNumberToObject(unknown, name, n->version);
        for (int a = 0; a < n->attrs; a++)
            if (n->attr[a].kind == RT_EA_GRAPH) count_nodes(n->attr[a].g, operators, unknown);
    }
}

static cJSON *about(const rt_onnx_file *f)
{
    cJSON *j = cJSON_CreateObject(), *opsets = cJSON_AddObjectToObject(j, "opsets"), *meta = cJSON_CreateObject(),
          *operators = cJSON_CreateObject(), *unknown = cJSON_CreateObject();
    cJSON_AddNumberToObject(j, "ir_version", (double)f->ir_version);
    for (int i = 0; i < f->opsets; i++)
        if (!cJSON_HasObjectItem(opsets, f->opset[i].domain))
            cJSON_AddNumberToObject(opsets, *f->opset[i].domain ? f->opset[i].domain : "ai.onnx", f->opset[i].version);
    cJSON_AddStringToObject(j, "producer", f->producer);
    cJSON_AddStringToObject(j, "producer_version", f->producer_version);
    cJSON_AddItemToObject(j, "inputs", values(f->input, f->graph->inputs));
    cJSON_AddItemToObject(j, "outputs", values(f->output, f->graph->outputs));
    cJSON_AddNumberToObject(j, "nodes", f->graph->nodes);
    count_nodes(f->graph, operators, unknown);
    cJSON_AddItemToObject(j, "operators", operators);
    if (unknown->child) cJSON_AddItemToObject(j, "unknown_operators", unknown);
    else cJSON_Delete(unknown);
    if (f->external) cJSON_AddNumberToObject(j, "external_tensors", f->external);
    for (int i = 0; i < f->metas; i++)
        if (!cJSON_HasObjectItem(meta, f->meta[i].key) && strlen(f->meta[i].value) < 4096)
            cJSON_AddStringToObject(meta, f->meta[i].key, f->meta[i].value);
    if (meta->child) cJSON_AddItemToObject(j, "metadata", meta);
    else cJSON_Delete(meta);
    return j;
}

rt_status rt_inspect_onnx(const char *path, const rt_inspect_options *o, rt_device *device, cJSON **result)
{
    rt_onnx_file *f;
    *result = NULL;
    if (*o->dataset) return rt_fail(RT_USAGE, "%s: is an ONNX model, and has no data sets", path);
    RT_TRY(rt_onnx_read(&f, path, NULL));
    cJSON *j = cJSON_CreateObject();
    cJSON_AddStringToObject(j, "file", path);
    cJSON_AddNumberToObject(j, "bytes", (double)f->bytes);
    cJSON_AddStringToObject(j, "format", "onnx");
    cJSON_AddItemToObject(j, "onnx", about(f));
    int open = open_inputs(f, j);
    rt_onnx_close(f);
    rt_status st = rt_inspect_model(path, o, device, j);
    if (st == RT_INPUT || st == RT_USAGE) { /* the file is what it is, though nothing can be made of it */
        if (o->plan || o->stages) {
            cJSON_Delete(j);
            return st;
        }
        cJSON_AddStringToObject(j, "what", "model");
        cJSON_AddStringToObject(j, open && st == RT_USAGE ? "to_be_told" : "cannot_be_used", rt_error_message());
        st = RT_OK;
    }
    if (st) cJSON_Delete(j);
    else *result = j;
    return st;
}
