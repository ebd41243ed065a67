/* student/onnx/onnx_import.c - an ONNX file as a native model. */
#include "student/onnx/onnx_import.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "student/onnx/onnx_binding.h"
#include "student/onnx/onnx_quantized.h"

/* Lists that export/onnx_float.c and onnx_qdq.c write; a file of another origin, or whose lists are damaged, has none.
 */
static void read_own(rt_onnx_importer *m)
{
    const char *heads = rt_onnx_meta_of(m->file, "heads"), *inputs = rt_onnx_meta_of(m->file, "inputs");
    m->program = rt_onnx_is_own_program(m->file);
    if (m->program) inputs = "[]";
    if (!(m->program || rt_onnx_meta_of(m->file, "retort")) || !heads || !inputs) return;
    if (rt_json_parse(&m->own_heads, heads, strlen(heads), "heads")) m->own_heads = NULL;
    if (rt_json_parse(&m->own_inputs, inputs, strlen(inputs), "inputs")) m->own_inputs = NULL;
    if (cJSON_IsArray(m->own_heads) && cJSON_IsArray(m->own_inputs)) return;
    cJSON_Delete(m->own_heads);
    cJSON_Delete(m->own_inputs);
    m->own_heads = m->own_inputs = NULL;
}

const cJSON *rt_onnx_own(const cJSON *list, const char *name)
{
    for (const cJSON *j = list ? list->child : NULL; j; j = j->next) {
        const char *own = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(j, "name"));
        if (own && !strcmp(own, name)) return j;
    }
    return NULL;
}

void rt_onnx_note(const rt_onnx_importer *m, const char *fmt, const char *a, const char *b)
{
    char text[400];
    if (!m->notes) return;
    snprintf(text, sizeof text, fmt, a, b);
    cJSON_AddItemToArray(m->notes, cJSON_CreateString(text));
}

static rt_status read_binding(rt_onnx_importer *m, cJSON *binding)
{
    rt_cfg c = rt_cfg_begin(binding, "teacher");
    cJSON *inputs = rt_cfg_has(&c, "inputs") ? rt_cfg_any(&c, "inputs") : NULL;
    rt_cfg_any(&c, "data_root");                           /* for whoever reads the file */
    if (rt_cfg_has(&c, "memory")) rt_cfg_int(&c, "memory", 1024, 1, 1 << 20);      /* for whoever reads the file */
    if (rt_cfg_has(&c, "seconds")) rt_cfg_number(&c, "seconds", 4, 0.001, 1e6);
    m->whole = rt_cfg_has(&c, "shorter") && !rt_cfg_bool(&c, "shorter", 1);
    if (inputs && !cJSON_IsObject(inputs)) rt_cfg_fail(&c, "inputs", "an object of input names is required here");
    RT_TRY(c.status);
    RT_TRY(rt_onnx_bind_heads(m, &c));
    return rt_onnx_bind_inputs(m, inputs);
}

static rt_status finish(const rt_onnx_importer *m, rt_model *model, const rt_onnx_row *row, const int *value)
{
    RT_TRY(rt_onnx_normalize(m, model));
    RT_TRY(rt_onnx_name_heads(m, model, row, value));
    /* what a model of ours was trained on stays known through its export */
    const char *text = m->own_heads ? rt_onnx_meta_of(m->file, "provenance") : NULL;
    static const char *const kept[] = {"data", "data_digest", "seen"};
    cJSON *known = NULL, *item;
    if (text && rt_json_parse(&known, text, strlen(text), "provenance")) known = NULL;
    for (size_t i = 0; known && i < sizeof kept / sizeof kept[0]; i++)
        if ((item = cJSON_DetachItemFromObjectCaseSensitive(known, kept[i])))
            cJSON_AddItemToObject(model->provenance, kept[i], item);
    cJSON_Delete(known);
    cJSON *from = cJSON_AddObjectToObject(model->provenance, "onnx");
    cJSON_AddStringToObject(from, "digest", m->file->digest.hex);
    cJSON_AddStringToObject(from, "producer", m->file->producer);
    cJSON_AddStringToObject(from, "producer_version", m->file->producer_version);
    rt_onnx_tell_heads(m, from);
    return RT_OK;
}

/* All data are lines of ids whose length the file does not tell. */
static int length_is_open(const rt_onnx_importer *m)
{
    for (int i = 0; i < m->g->inputs; i++) {
        const rt_onnx_value *v = &m->file->input[i];
        if (m->whole) return 0;
        if (m->bound[i].role == RT_ONNX_CONST) continue;
        if (m->bound[i].role == RT_ONNX_DATA && !m->in[i].ids) return 0;
        if (m->bound[i].rank != 2 || (v->rank == 2 && v->dim[1] >= 0)) return 0;
    }
    return 1;
}

static rt_status import(rt_onnx_importer *m, rt_model **out, cJSON *binding)
{
    rt_onnx_row row;
    rt_lower_wanted want = {.feature = m->feature};
    int value[2 * RT_MAX_HEADS], all = 0, fused = 0;
    RT_TRY(read_binding(m, binding));
    for (int i = 0; i < m->heads; i++) value[all++] = m->head[i].value;
    for (int i = 0; i < m->features; i++) value[all++] = m->feature[i].value;
    RT_TRY(rt_onnx_row_new(&row, m->file, m->bound, value, all));
    rt_status st = rt_onnx_take_logits(m, &row, value);
    const char *name[RT_MAX_HEADS];
    rt_task task[RT_MAX_HEADS];
    for (int i = 0; i < m->heads; i++) {
        want.head[i] = (rt_lower_head){value[i], m->head[i].name, m->head[i].task};
        name[i] = m->head[i].name;
        task[i] = m->head[i].task;
    }
    want.heads = m->heads;
    want.features = m->features;
    want.shorter = length_is_open(m);
    rt_onnx_quantized_spec spec = {m->file, &row, m->bound, m->in, value, m->heads, name, task, m->own};
    if (!st && !m->features) st = rt_onnx_quantized(out, &spec, m->notes);
    for (const rt_eval_node *n = row.graph->node; !st && n < row.graph->node + row.graph->nodes; n++)
        if (strstr(n->op, "DynamicQuantize") && !*n->domain && row.varies[n->in[0]]) {
            rt_onnx_note(m, "what is quantized where it stands, such as by node '%s', takes the range of each row by "
                         "itself%s", n->name, "");
            break;
        }
    int quantized = !st && *out;
    if (!st && !quantized) st = rt_onnx_fuse(&row, &fused);
    if (!st && !quantized) st = rt_onnx_row_trim(&row, value, all);
    if (!st && !quantized) st = rt_onnx_lower(out, &row, m->bound, m->in, &want);
    if (!st) st = finish(m, *out, &row, value);
    if (!st && quantized && m->program) st = rt_onnx_keep_program(*out, m->file, m->notes);
    if (st && *out) {
        rt_model_free(*out);
        *out = NULL;
    }
    rt_onnx_row_free(&row);
    return st;
}

rt_status rt_onnx_import(rt_model **out, const rt_onnx_file *f, const cJSON *binding, const rt_x_where *x, cJSON *notes)
{
    size_t n = (size_t)f->graph->inputs + 1;
    rt_onnx_importer m = {.file = f, .g = f->graph, .x = x, .notes = notes};
    cJSON *own = binding ? cJSON_Duplicate(binding, 1) : cJSON_CreateObject();
    *out = NULL;
    m.bound = calloc(n, sizeof *m.bound);
    m.in = calloc(n, sizeof *m.in);
    m.told = calloc(n, sizeof *m.told);
    rt_status st = RT_OK;
    if (!own || !m.bound || !m.in || !m.told) st = rt_fail(RT_RUN, "out of memory");
    if (!st) read_own(&m);
    if (!st) st = import(&m, out, own);
    cJSON_Delete(m.own_heads);
    cJSON_Delete(m.own_inputs);
    cJSON_Delete(own);
    free(m.bound);
    free(m.in);
    free(m.told);
    return st;
}
