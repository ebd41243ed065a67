#include "student/quantizers.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "student/arch.h"

int rt_has_weights(const rt_node *n)
{ return n->op == RT_OP_DENSE || n->op == RT_OP_CONV2D || n->op == RT_OP_CONV1D; }

int rt_model_quantized(const rt_model *m) { return m->graph->quant.range != NULL; }

/* The same values in a buffer of so many floats. */
static rt_status grow(float **buffer, size_t from, size_t to)
{
    float *more = rt_floats_new(to);
    if (!more) return RT_RUN;
    if (from) memcpy(more, *buffer, from * sizeof *more);
    free(*buffer);
    *buffer = more;
    return RT_OK;
}

rt_status rt_model_quantize(rt_model *m, const rt_quantize_spec *spec)
{
    rt_graph *g = m->graph;
    size_t params = g->floats[RT_PARAM], states = g->floats[RT_STATE];
    RT_TRY(rt_graph_quantize(g, spec));
    RT_TRY(grow(&m->params, params, g->floats[RT_PARAM]));
    RT_TRY(grow(&m->states, states, g->floats[RT_STATE]));
    for (int i = 0; i < g->nodes; i++) {
        float *step = rt_model_steps(m, i);
        for (size_t k = 0; step && k < g->field[g->quant.step[i]].count; k++) step[k] = 1;
    }
    return RT_OK;
}

void rt_model_unquantize(rt_model *m) { rt_graph_unquantize(m->graph); }

static float *field_or_none(const rt_model *m, const int *list, int i)
{ return list && list[i] >= 0 ? rt_model_field(m, list[i]) : NULL; }

float *rt_model_range(const rt_model *m, int tensor) { return field_or_none(m, m->graph->quant.range, tensor); }
float *rt_model_steps(const rt_model *m, int node) { return field_or_none(m, m->graph->quant.step, node); }
float *rt_model_shifts(const rt_model *m, int node) { return field_or_none(m, m->graph->quant.shift, node); }

rt_status rt_quantizers_check(const rt_model *m, const char *of)
{
    const rt_graph *g = m->graph;
    for (int t = 0; t < g->tensors; t++) {
        const float *r = rt_model_range(m, t);
        if (!r) continue;
        if (!isfinite(r[0]) || !isfinite(r[1]) || !(r[0] <= 0 && r[1] >= 0) ||
            !(rt_quant_of(r[0], r[1]).scale >= FLT_MIN))
            return rt_fail(RT_INPUT, "%s: the range of '%s' is [%g, %g]; it must be finite, hold 0 and have a width: "
                           "quantize the model again", of, rt_arch_layer(g, t), (double)r[0], (double)r[1]);
    }
    for (int i = 0; i < g->nodes; i++) {
        const float *step = rt_model_steps(m, i), *shift = rt_model_shifts(m, i);
        for (size_t k = 0; step && k < g->field[g->quant.step[i]].count; k++) {
            if (!isfinite(step[k]) || !(step[k] >= FLT_MIN))
                return rt_fail(RT_INPUT, "%s: the step of output channel %zu of layer '%s' is %g; it must be finite "
                               "and above 0: quantize the model again", of, k, g->node[i].name, (double)step[k]);
            if (shift && !isfinite(shift[k]))
                return rt_fail(RT_INPUT, "%s: the correction of output channel %zu of layer '%s' is not finite: "
                               "quantize the model again", of, k, g->node[i].name);
        }
    }
    return RT_OK;
}

void rt_quantizers_hash(const rt_model *m, rt_hasher *h)
{
    const rt_graph *g = m->graph;
    const int32_t head[] = {RT_INT_CONTRACT, g->quant.bytes};
    if (!rt_model_quantized(m)) return;
    rt_hasher_add(h, head, sizeof head);
    for (int i = 0; i < g->nodes; i++) {
        const int32_t has[] = {g->quant.bits[i], g->quant.shift[i] >= 0, g->quant.range[g->node[i].out] >= 0};
        rt_hasher_add(h, has, sizeof has);
    }
}

/* ---- the manifest ---- */

cJSON *rt_quantizers_to_json(const rt_model *m)
{
    const rt_graph *g = m->graph;
    int shifts = 0;
    cJSON *j = cJSON_CreateObject();
    cJSON_AddNumberToObject(j, "contract", RT_INT_CONTRACT);
    cJSON_AddStringToObject(j, "input", g->quant.bytes ? "u8" : "f32");
    cJSON_AddNumberToObject(j, "activations", 8);
    cJSON *weights = cJSON_AddObjectToObject(j, "weights"), *ranges = cJSON_AddArrayToObject(j, "ranges");
    for (int i = 0; i < g->nodes; i++) {
        if (g->quant.bits[i] && g->node[i].share < 0)
            cJSON_AddNumberToObject(weights, g->node[i].name, g->quant.bits[i]);
        if (g->quant.range[g->node[i].out] >= 0)
            cJSON_AddItemToArray(ranges, cJSON_CreateString(g->node[i].name));
        shifts |= g->quant.shift[i] >= 0;
    }
    cJSON_AddBoolToObject(j, "shifts", shifts);
    return j;
}

static int node_of(const rt_graph *g, const char *name)
{
    for (int i = 0; i < g->nodes && name; i++) if (strcmp(g->node[i].name, name) == 0) return i;
    return -1;
}

static rt_status read_weights(const rt_graph *g, const cJSON *j, int *bits, const char *path)
{
    const cJSON *b;
    cJSON_ArrayForEach(b, cJSON_GetObjectItemCaseSensitive(j, "weights")) {
        int i = node_of(g, b->string);
        if (i < 0 || !rt_has_weights(&g->node[i]) || g->node[i].share >= 0)
            return rt_fail(RT_INPUT, "%s: its manifest quantizes the weights of '%.60s', which is no layer that has "
                           "weights of its own", path, b->string);
        if (!cJSON_IsNumber(b) || !(b->valuedouble >= 2 && b->valuedouble <= 8) || b->valuedouble != b->valueint)
            return rt_fail(RT_INPUT, "%s: its manifest gives the weights of '%.60s' a number of bits that is none from "
                           "2 to 8", path, b->string);
        bits[i] = b->valueint;
    }
    return RT_OK;
}

static rt_status read_ranges(const rt_graph *g, const cJSON *j, char *range, const char *path)
{
    const cJSON *name;
    cJSON_ArrayForEach(name, cJSON_GetObjectItemCaseSensitive(j, "ranges")) {
        int i = node_of(g, cJSON_GetStringValue(name));
        if (i < 0)
            return rt_fail(RT_INPUT, "%s: its manifest gives a range to '%.60s', which is no layer", path,
                           cJSON_IsString(name) ? name->valuestring : "");
        if (range[g->node[i].out])               /* which bounds how often names are looked for, too */
            return rt_fail(RT_INPUT, "%s: its manifest gives '%.60s' a range twice", path, name->valuestring);
        range[g->node[i].out] = 1;
    }
    return RT_OK;
}

rt_status rt_quantizers_from_json(rt_model *m, const cJSON *j, const char *path)
{
    rt_graph *g = m->graph;
    const cJSON *contract = cJSON_GetObjectItemCaseSensitive(j, "contract"),
                *activations = cJSON_GetObjectItemCaseSensitive(j, "activations");
    const char *input = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(j, "input"));
    if (!cJSON_IsObject(j) || !cJSON_IsNumber(contract) || !cJSON_IsNumber(activations) || !input ||
        (strcmp(input, "u8") && strcmp(input, "f32")))
        return rt_fail(RT_INPUT, "%s: its manifest does not say how it is quantized", path);
    if (contract->valueint != RT_INT_CONTRACT || activations->valueint != 8)
        return rt_fail(RT_INPUT, "%s: is quantized by version %d of the integer contract with %d bits of activations; "
                       "this version has %d with 8: quantize its float model again", path, contract->valueint,
                       activations->valueint, RT_INT_CONTRACT);
    if (g->inputs != 1) return rt_fail(RT_INPUT, "%s: is quantized, but has %d inputs", path, g->inputs);
    int *bits = calloc((size_t)g->nodes, sizeof *bits);
    char *range = calloc((size_t)g->tensors, 1);
    rt_status st = bits && range ? RT_OK : rt_fail(RT_RUN, "out of memory");
    if (!st) st = read_weights(g, j, bits, path);
    if (!st) st = read_ranges(g, j, range, path);
    if (!st)
        st = rt_graph_quantize(g, &(rt_quantize_spec){
                                      .bytes = !strcmp(input, "u8"),
                                      .bits = bits,
                                      .range = range,
                                      .shift = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(j, "shifts"))});
    free(bits);
    free(range);
    return st;
}
