/* export/onnx_float.c - a float model as an ONNX graph: its inputs, layers, outputs, and what is said of it. */
#include <stdlib.h>
#include <string.h>

#include "data/json.h"
#include "engine/pass.h"
#include "engine/version.h"
#include "export/onnx_float_parts.h"
#include "student/quantizers.h"

/* ---- inputs ---- */

static int is_identity(const rt_input *in)
{
    int same = 1;
    for (int i = 0; i < in->channels; i++) same &= in->mul[i] == 1 && in->add[i] == 0;
    return same;
}

/* Ids are whole numbers also where no embedding reads them, and nobody knows how many there are. */
static int are_ids(const rt_fo_graph *e, const rt_input *in)
{ return e->m->graph->tensor[e->m->graph->input[in - e->m->input]].type == RT_I32; }

/* The order in which the input's rows come. */
static rt_fo_order order_of(const rt_fo_graph *e, const rt_input *in)
{ return e->spec->nchw && !are_ids(e, in) && in->shape.rank > 1 ? RT_FO_FIRST : RT_FO_LAST; }

/* The normalisation's numbers, one or one a channel, beside a tensor in that order. A single one has no dimension: with
 * one, ONNX Runtime goes number by number where there is one channel. */
static const char *factors(rt_fo_graph *e, const rt_node *n, const char *what, const rt_input *in, const float *v,
                           rt_fo_order order)
{
    int64_t dim[RT_MAX_RANK] = {in->channels, 1, 1, 1, 1, 1};
    int rank = in->channels == 1 ? 0 : order == RT_FO_FIRST ? in->shape.rank : 1;
    return rt_onnx_const(e->o, rt_fo_own(e, n, what), RT_ONNX_F32, rank, dim, v);
}

/* Whether a layer that reads the tensor takes channels first: then they come first before numbers are normalised, which
 * ONNX Runtime does faster so. */
static int wants_first(const rt_graph *g, int tensor)
{
    int wants = 0;
    for (int i = 0; i < g->nodes; i++)
        for (int k = 0; k < g->node[i].inputs; k++)
            wants |= g->node[i].in[k] == tensor && rt_fo_takes_first(&g->node[i]);
    return wants;
}

static rt_status put_input(rt_fo_graph *e, int i)
{
    const rt_input *in = &e->m->input[i];
    const int t = e->g->input[i];
    const rt_node *n = &e->g->node[e->g->tensor[t].producer];
    rt_fo_order order = order_of(e, in);
    int64_t dim[RT_MAX_RANK + 1];
    int rank = rt_fo_dims(e, t, order, dim);
    dim[0] = e->spec->single;
    const char *x = e->input[i] = rt_fo_unique(e, n->name), *next;
    if (e->spec->raw && e->spec->u8 && !are_ids(e, in) && !is_identity(in))
        return rt_fail(RT_USAGE, "input '%s': bytes cannot be normalised before; leave input_type=u8 or raw_input out",
                       in->name);
    const rt_onnx_type ids = e->spec->ids32 ? RT_ONNX_I32 : RT_ONNX_I64;
    rt_onnx_input(e->o, x, are_ids(e, in) ? ids : e->spec->u8 ? RT_ONNX_U8 : RT_ONNX_F32, rank, dim);
    rt_fo_set(e, t, order, x);
    if (order == RT_FO_LAST && in->shape.rank > 1 && wants_first(e->g, t)) {
        x = rt_fo_take(e, t, order = RT_FO_FIRST);
        if (e->spec->u8 || !(e->spec->raw || is_identity(in))) e->value[t] = (rt_fo_value){0};    /* not yet numbers */
    }
    if (e->spec->u8 && !are_ids(e, in)) {
        next = rt_fo_own(e, n, "float");
        rt_onnx_int(rt_fo_node_of(e, "Cast", next, x, NULL, NULL), "to", RT_ONNX_F32);
        x = next;
    }
    int centred = 0, scaled = 0;
    for (int k = 0; k < in->channels && !e->spec->raw && !are_ids(e, in); k++) {
        centred |= in->add[k] != 0;
        scaled |= in->mul[k] != 1;
    }
    if (centred) {
        next = rt_fo_own(e, n, "centred");
        rt_fo_node_of(e, "Add", next, x, factors(e, n, "add", in, in->add, order), NULL);
        x = next;
    }
    if (scaled) {
        next = rt_fo_own(e, n, "normalized");
        rt_fo_node_of(e, "Mul", next, x, factors(e, n, "mul", in, in->mul, order), NULL);
        x = next;
    }
    rt_fo_set(e, t, order, x);
    return RT_OK;
}

/* ---- layers ---- */

/* live (nodes): an answer depends on it. */
static char *live_nodes(const rt_fo_graph *e)
{
    const rt_graph *g = e->g;
    char *live = calloc((size_t)g->nodes + 1, 1);
    if (!live) return NULL;
    for (int h = 0; h < e->m->heads; h++) live[g->tensor[e->head[h]].producer] = 1;
    for (int i = g->nodes - 1; i >= 0; i--)
        for (int k = 0; k < g->node[i].inputs && live[i]; k++) live[g->tensor[g->node[i].in[k]].producer] = 1;
    return live;
}

static rt_status put_layers(rt_fo_graph *e)
{
    char *live = live_nodes(e);
    if (!live) return rt_fail(RT_RUN, "out of memory");
    for (int i = 0; i < e->g->nodes && !e->status; i++) {
        const rt_node *n = &e->g->node[i];
        if (!live[i]) continue;
        if (rt_fo_put[n->op]) rt_fo_put[n->op](e, n);
        else e->status = rt_fail(RT_USAGE, "layer '%s': %s has no export to ONNX", n->name, rt_ops[n->op]->name);
    }
    free(live);
    return e->status;
}

/* An answer is the value of its layer under the head's name. */
static void put_output(rt_fo_graph *e, int h)
{
    const char *name = e->m->head[h].name, *x = rt_fo_take(e, e->head[h], RT_FO_LAST);
    const int64_t dim[] = {e->spec->single, e->m->head[h].size};
    int shared = e->g->node[e->g->tensor[e->head[h]].producer].op == RT_OP_INPUT;
    for (int k = 0; k < e->m->heads; k++) shared |= !strcmp(x, e->m->head[k].name);
    if (shared || !rt_onnx_rename(e->o, x, name)) rt_fo_node_of(e, "Identity", name, x, NULL, NULL);
    else
        for (int t = 0; t < e->g->tensors; t++)
            for (int k = 0; k < RT_FO_ORDERS; k++)
                if (e->value[t].name[k] == x) e->value[t].name[k] = name;
    rt_onnx_output(e->o, name, RT_ONNX_F32, 2, dim);
}

/* ---- metadata ---- */

static void put_text(rt_fo_graph *e, const char *key, cJSON *j)
{
    char *text = j ? rt_json_text(j, 0) : NULL;
    if (text) rt_onnx_meta(e->o, key, text);
    free(text);
    cJSON_Delete(j);
}

/* "KEY", or of several "KEY.NAME". */
static const char *key_of(rt_fo_graph *e, const char *key, int several, const char *name)
{ return several ? rt_onnx_name(e->o, "%s.%s", key, name) : key; }

static cJSON *describe_input(const rt_fo_graph *e, int i)
{
    const rt_input *in = &e->m->input[i];
    const char *done = are_ids(e, in) || is_identity(in) ? "not" : e->spec->raw ? "before" : "inside",
               *type = are_ids(e, in) ? e->spec->ids32 ? "i32" : "i64" : e->spec->u8 ? "u8" : "f32";
    cJSON *j = cJSON_CreateObject();
    cJSON_AddStringToObject(j, "name", e->input[i]);
    cJSON_AddItemToObject(j, "shape", cJSON_CreateIntArray(in->shape.dim, in->shape.rank));
    cJSON_AddStringToObject(j, "type", type);
    cJSON_AddStringToObject(j, "layout", order_of(e, in) == RT_FO_FIRST ? "nchw" : "nhwc");
    cJSON_AddStringToObject(j, "normalized", done);
    if (in->ids) cJSON_AddNumberToObject(j, "ids", in->ids);
    return j;
}

static void put_metadata(rt_fo_graph *e)
{
    const rt_model *m = e->m;
    cJSON *inputs = cJSON_CreateArray();
    rt_onnx_meta(e->o, "retort", rt_tool());
    rt_onnx_meta(e->o, "model", rt_model_digest(m).hex);
    put_text(e, "heads", rt_heads_to_json(m->head, m->heads));
    for (int h = 0; h < m->heads; h++)
        if (m->head[h].names.name)
            put_text(e, key_of(e, "class_names", m->heads > 1, m->head[h].name), rt_names_to_json(&m->head[h].names));
    for (int i = 0; i < m->inputs; i++) {
        const rt_input *in = &m->input[i];
        cJSON_AddItemToArray(inputs, describe_input(e, i));
        put_text(e, key_of(e, "normalization", m->inputs > 1, in->name), rt_input_normalization(in));
        if (in->columns.name)
            put_text(e, key_of(e, "columns", m->inputs > 1, in->name), rt_names_to_json(&in->columns));
    }
    put_text(e, "inputs", inputs);
    rt_onnx_meta(e->o, "batch_norm", e->spec->fold ? "folded" : "kept");
    put_text(e, "provenance", cJSON_Duplicate(m->provenance, 1));
}

/* ---- the whole ---- */

static rt_status export(rt_fo_graph *e, uint8_t **bytes, size_t *n)
{
    RT_TRY(rt_fo_begin(e));
    for (int h = 0; h < e->m->heads; h++) rt_fo_unique(e, e->m->head[h].name);
    for (int i = 0; i < e->m->inputs; i++) RT_TRY(put_input(e, i));
    RT_TRY(put_layers(e));
    for (int h = 0; h < e->m->heads; h++) put_output(e, h);
    put_metadata(e);
    if (e->status) return e->status;
    return rt_onnx_pack(e->o, bytes, n);
}

/* The values of all fields of the graph, those of derived ones made by their recipes into *derived. */
static float **fields_of(const rt_model *m, const rt_graph *g, const rt_lowered *low, float **derived)
{
    float **field = calloc((size_t)g->fields + 1, sizeof *field);
    *derived = rt_floats_new(g->floats[RT_DERIVED] + 1);
    if (!field || !*derived) {
        free(field);
        return NULL;
    }
    for (int i = 0; i < g->fields; i++)
        field[i] = g->field[i].home == RT_DERIVED ? *derived + g->field[i].offset : rt_model_field(m, i);
    for (int i = 0; i < low->recipes; i++) rt_recipe_run(g, &low->recipe[i], field);
    return field;
}

rt_status rt_export_onnx_float(const rt_model *m, const rt_onnx_float_spec *spec, uint8_t **bytes, size_t *n)
{
    rt_fo_graph e = {.m = m, .spec = spec, .g = m->graph};
    rt_lowered low = {0};
    int head[RT_MAX_HEADS];
    *bytes = NULL;
    if (spec->opset < RT_ONNX_OLDEST || spec->opset > RT_ONNX_NEWEST)
        return rt_fail(RT_USAGE, "opset: %d is not from %d to %d", spec->opset, RT_ONNX_OLDEST, RT_ONNX_NEWEST);
    if (rt_model_quantized(m))
        return rt_fail(RT_USAGE, "the model is quantized: it answers by integers, as its export to=onnx-qdq does");
    rt_model_outputs(m, head);
    if (spec->fold) {
        const rt_lower_spec how = {.mode = RT_INFER, .keep = head, .keeps = m->heads};
        RT_TRY(rt_graph_lower(m->graph, &how, &low, NULL, NULL));
        e.g = low.graph;
        for (int h = 0; h < m->heads; h++) head[h] = low.tensor_of[head[h]];
    }
    float *derived, **field = fields_of(m, e.g, &low, &derived);
    e.o = rt_onnx_new(spec->opset, "retort");
    e.field = field;
    e.head = head;
    rt_status st = field ? export(&e, bytes, n) : rt_fail(RT_RUN, "out of memory");
    rt_fo_end(&e);
    rt_onnx_free(e.o);
    free(field);
    free(derived);
    rt_lowered_free(&low);
    return st;
}
