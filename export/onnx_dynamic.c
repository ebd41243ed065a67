/* export/onnx_dynamic.c - dense layers of int8 weights, whose input is quantized by its own range. In a graph of one
 * row at a time that is DynamicQuantizeLinear and MatMulInteger; DynamicQuantizeLinear takes the range of all rows, so
 * for any number of them the same is spelled in floats, whose sums of whole numbers are exact below 2^24. */
#include <stdlib.h>

#include "export/onnx_float_parts.h"

/* Sums of bytes as floats, and the bytes' scale. */
static const char *by_integers(rt_fo_graph *e, const rt_node *n, const char *x, const char **scale)
{
    const rt_shape *s = &e->g->field[n->field[0]].shape;
    const int64_t dim[] = {s->dim[0], s->dim[1]};
    const size_t count = (size_t)dim[0] * (size_t)dim[1];
    const char *bytes = rt_fo_own(e, n, "bytes"), *zero = rt_fo_own(e, n, "zero"), *floats = rt_fo_own(e, n, "floats");
    int8_t *w = malloc(count);
    *scale = rt_fo_own(e, n, "scale");
    rt_onnx_node *q = rt_fo_node_of(e, "DynamicQuantizeLinear", bytes, x, NULL, NULL);
    rt_onnx_more(q, *scale);
    rt_onnx_more(q, zero);
    if (!w && !e->status) e->status = rt_fail(RT_RUN, "out of memory");
    for (size_t i = 0; w && i < count; i++) w[i] = (int8_t)e->field[n->field[0]][i];
    const char *weight = w ? rt_onnx_const(e->o, rt_fo_own(e, n, "weight"), RT_ONNX_I8, 2, dim, w) : "",
               *sums = rt_fo_own(e, n, "sums");
    rt_fo_node_of(e, "MatMulInteger", sums, bytes, weight, zero);
    rt_onnx_int(rt_fo_node_of(e, "Cast", floats, sums, NULL, NULL), "to", RT_ONNX_F32);
    free(w);
    return floats;
}

static const char *by_floats(rt_fo_graph *e, const rt_node *n, const char *x, const char **scale)
{
    static const int64_t axes[RT_MAX_RANK] = {1, 2, 3, 4, 5, 6};
    const int rank = rt_fo_rank(e, n->in[0]);
    const char *least = rt_fo_own(e, n, "least"), *most = rt_fo_own(e, n, "most"),
               *none = rt_fo_number(e, n, "none", 0), *all = rt_fo_number(e, n, "all", 255),
               *wide = rt_fo_own(e, n, "wide"), *q = rt_fo_own(e, n, "bytes");
    rt_fo_reduced(e, n, "ReduceMin", x, least, rank, axes, 1);
    rt_fo_reduced(e, n, "ReduceMax", x, most, rank, axes, 1);
    const char *low = rt_fo_chain(e, n, "Min", "low", least, none),
               *high = rt_fo_chain(e, n, "Max", "high", most, none),
               *range = rt_fo_chain(e, n, "Sub", "range", high, low),
               *has = rt_fo_chain(e, n, "Greater", "has_range", range, none);
    rt_fo_node_of(e, "Where", wide, has, range, rt_fo_number(e, n, "one", 1));
    *scale = rt_fo_chain(e, n, "Div", "scale", wide, all);
    const char *at = rt_fo_chain(e, n, "Div", "zero_at", rt_fo_chain(e, n, "Neg", "depth", low, NULL), *scale),
               *zero = rt_fo_chain(e, n, "Round", "zero", rt_fo_chain(e, n, "Min", "zero_to", at, all), NULL),
               *steps = rt_fo_chain(e, n, "Round", "steps", rt_fo_chain(e, n, "Div", "steps_at", x, *scale), NULL);
    rt_fo_node_of(e, "Clip", q, rt_fo_chain(e, n, "Add", "places", steps, zero), none, all);
    return rt_fo_chain(e, n, "MatMul", "sums", rt_fo_chain(e, n, "Sub", "centred", q, zero),
                       rt_fo_field(e, n->field[0], RT_FO_AS_IS, &e->g->field[n->field[0]].shape));
}

void rt_fo_put_dense_int8(rt_fo_graph *e, const rt_node *n)
{
    const rt_field *bias = n->fields > 2 ? &e->g->field[n->field[2]] : NULL;
    const char *out = rt_fo_unique(e, n->name), *x = rt_fo_take(e, n->in[0], RT_FO_LAST), *scale,
               *sums = (e->spec->single ? by_integers : by_floats)(e, n, x, &scale),
               *by = rt_fo_chain(e, n, "Mul", "scales", scale,
                                 rt_fo_field(e, n->field[1], RT_FO_AS_IS, &e->g->field[n->field[1]].shape)),
               *y = bias ? rt_fo_own(e, n, "product") : out;
    rt_fo_node_of(e, "Mul", y, sums, by, NULL);
    if (bias) rt_fo_node_of(e, "Add", out, y, rt_fo_field(e, n->field[2], RT_FO_AS_IS, &bias->shape), NULL);
    rt_fo_set(e, n->out, RT_FO_LAST, out);
}
