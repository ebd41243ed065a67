/* export/onnx_integers.c - layers of integers that stand for numbers, as ONNX's operators of bytes. Between layers the
 * integers are whole floats: an operator's bytes are made of them by a QuantizeLinear of scale 1, which is exact, and
 * cast back. */
#include <stdlib.h>

#include "export/onnx_float_parts.h"

enum { QUANTIZE, SCALED, DEQUANTIZE, BOTH, TABLE };        /* forms of engine/ops_quantize.c */
enum { BYTES, SUMS, FLOATS };                              /* what engine/ops_conv_int8.c gives */

static const char *byte_number(rt_fo_graph *e, const rt_node *n, const char *what, int value, int is_signed)
{
    const int8_t low = (int8_t)value;
    const uint8_t high = (uint8_t)value;
    return rt_onnx_scalar(e->o, rt_fo_own(e, n, what), is_signed ? RT_ONNX_I8 : RT_ONNX_U8,
                          is_signed ? (const void *)&low : (const void *)&high);
}

static const char *cast(rt_fo_graph *e, const rt_node *n, const char *what, const char *x, rt_onnx_type to)
{
    const char *out = rt_fo_own(e, n, what);
    rt_onnx_int(rt_fo_node_of(e, "Cast", out, x, NULL, NULL), "to", to);
    return out;
}

/* Whole floats as bytes that are `zero` higher. */
static const char *to_bytes(rt_fo_graph *e, const rt_node *n, const char *what, const char *x, int zero, int is_signed)
{
    const char *out = rt_fo_own(e, n, what);
    rt_fo_node_of(e, "QuantizeLinear", out, x, rt_fo_number(e, n, rt_onnx_name(e->o, "%s_step", what), 1),
                  byte_number(e, n, rt_onnx_name(e->o, "%s_zero", what), zero, is_signed));
    return out;
}

/* ---- element by element ---- */

static void put_table(rt_fo_graph *e, const rt_node *n)
{
    const rt_quantize_attr *a = RT_ATTR(n, rt_quantize_attr);
    const rt_fo_order order = rt_fo_common(e, n);
    const char *out = rt_fo_unique(e, n->name),
               *bytes = to_bytes(e, n, "bytes", rt_fo_take(e, n->in[0], order), -a->low, 0),
               *at = cast(e, n, "places", bytes, RT_ONNX_I64);
    rt_fo_node_of(e, "Gather", out, rt_fo_field(e, n->field[0], RT_FO_AS_IS, &e->g->field[n->field[0]].shape), at,
                  NULL);
    rt_fo_set_like(e, n, order, out);
}

void rt_fo_put_quantize(rt_fo_graph *e, const rt_node *n)
{
    const rt_quantize_attr *a = RT_ATTR(n, rt_quantize_attr);
    if (a->form == TABLE) {
        put_table(e, n);
        return;
    }
    const rt_shape *s = &e->g->field[n->field[0]].shape;
    const rt_fo_order order = rt_shape_count(s) == 1 ? rt_fo_common(e, n) : RT_FO_LAST;
    const char *x = rt_fo_take(e, n->in[0], order), *out = rt_fo_unique(e, n->name),
               *scale = rt_fo_field(e, n->field[0], RT_FO_AS_IS, s),
               *zero = rt_fo_field(e, n->field[1], RT_FO_AS_IS, s);
    if (a->form != DEQUANTIZE) {
        const char *steps = rt_fo_chain(e, n, a->form == SCALED ? "Mul" : "Div", "steps", x, scale),
                   *whole = rt_fo_chain(e, n, "Round", "whole", steps, NULL),
                   *moved = rt_fo_chain(e, n, "Add", "moved", whole, zero);
        x = a->form == BOTH ? rt_fo_own(e, n, "integers") : out;
        rt_fo_node_of(e, "Clip", x, moved, rt_fo_number(e, n, "low", (float)a->low),
                      rt_fo_number(e, n, "high", (float)a->high));
    }
    if (a->form == DEQUANTIZE || a->form == BOTH)
        rt_fo_node_of(e, "Mul", out, rt_fo_chain(e, n, "Sub", "centred", x, zero), scale, NULL);
    rt_fo_set_like(e, n, order, out);
}

void rt_fo_put_pair_int8(rt_fo_graph *e, const rt_node *n)
{
    const rt_pair_int8_attr *a = RT_ATTR(n, rt_pair_int8_attr);
    const float *v = e->field[n->field[0]];
    const int is_signed = a->low < 0,
              alike = rt_shape_equal(&e->g->tensor[n->in[0]].shape, &e->g->tensor[n->in[1]].shape);
    const rt_shape *to = &e->g->tensor[n->out].shape;
    const rt_fo_order order = rt_fo_meeting(e, n, to, alike);
    const char *out = rt_fo_unique(e, n->name), *in[9], *bytes = rt_fo_own(e, n, "bytes");
    static const char *const what[] = {"a", "b", "c"};
    for (int i = 0; i < 3; i++) {
        const int at = i < 2 ? 3 * i : 6;
        if (i < 2) in[at] = to_bytes(e, n, what[i], rt_fo_beside(e, n, i, to->rank, order), 0, is_signed);
        in[at + (i < 2)] = rt_fo_number(e, n, rt_onnx_name(e->o, "%s_scale", what[i]), v[2 * i]);
        in[at + (i < 2) + 1] = byte_number(e, n, rt_onnx_name(e->o, "%s_at", what[i]), (int)v[2 * i + 1], is_signed);
    }
    in[8] = NULL;
    rt_onnx_domain(rt_onnx_add(e->o, a->op ? "QLinearMul" : "QLinearAdd", bytes, in), "com.microsoft", 1);
    rt_onnx_int(rt_fo_node_of(e, "Cast", out, bytes, NULL, NULL), "to", RT_ONNX_F32);
    if (alike) rt_fo_set_like(e, n, order, out);
    else rt_fo_set(e, n->out, order, out);
}

/* ---- convolutions and products ---- */

typedef struct { const char *weight, *zero, *bias; } constants;

/* Weights (taps, C, N) of -255 to 255 as bytes (N, C, taps) with a zero point, one for all where that does. */
static constants constants_of(rt_fo_graph *e, const rt_node *n, int sides)
{
    const rt_conv_int8_attr *a = RT_ATTR(n, rt_conv_int8_attr);
    const rt_shape *s = &e->g->field[n->field[0]].shape;
    const size_t taps = (size_t)(s->dim[0] * s->dim[1]), c = (size_t)s->dim[2], out = (size_t)a->out,
                 count = taps * c * out;
    const float *v = e->field[n->field[0]], *b = e->field[n->field[n->fields - 1]];
    const int64_t dim[] = {a->out, s->dim[2], sides == 2 ? s->dim[0] : s->dim[1], s->dim[1]}, outs = a->out;
    uint8_t *w = malloc(count), *zero = malloc(out);
    int32_t *bias = malloc(out * sizeof *bias);
    constants to = {"", "", ""};
    float low = 0, high = 0;
    if (!w || !zero || !bias) {
        if (!e->status) e->status = rt_fail(RT_RUN, "out of memory");
        goto end;
    }
    for (size_t i = 0; i < count; i++) low = v[i] < low ? v[i] : low, high = v[i] > high ? v[i] : high;
    const int is_signed = low >= -128 && high <= 127, alike = is_signed || high - low <= 255;
    for (size_t o = 0; o < out; o++) {
        float least = alike ? low : 0;
        for (size_t i = 0; i < taps * c && !alike; i++) least = v[i * out + o] < least ? v[i * out + o] : least;
        zero[o] = is_signed ? 0 : (uint8_t)(int)-least;
        for (size_t i = 0; i < c; i++)
            for (size_t t = 0; t < taps; t++)
                w[(o * c + i) * taps + t] = (uint8_t)(int)(v[(t * c + i) * out + o] + (float)zero[o]);
    }
    const rt_onnx_type type = is_signed ? RT_ONNX_I8 : RT_ONNX_U8;
    to.weight = rt_onnx_const(e->o, rt_fo_own(e, n, "weight"), type, sides + 2, dim, w);
    to.zero = rt_onnx_const(e->o, rt_fo_own(e, n, "weight_zero"), type, alike ? 0 : 1, &outs, zero);
    for (size_t o = 0; o < out && a->bias && a->gives != FLOATS; o++)
        bias[o] = (int32_t)((int64_t)b[o] * 65536 + (int64_t)b[out + o]);
    const int64_t of_sums[] = {1, a->out, 1, 1};
    if (a->bias && a->gives == BYTES)
        to.bias = rt_onnx_const(e->o, rt_fo_own(e, n, "bias"), RT_ONNX_I32, 1, &outs, bias);
    if (a->bias && a->gives == SUMS)
        to.bias = rt_onnx_const(e->o, rt_fo_own(e, n, "bias"), RT_ONNX_I32, sides + 2, of_sums, bias);
    if (a->bias && a->gives == FLOATS)
        to.bias = rt_onnx_const(e->o, rt_fo_own(e, n, "bias"), RT_ONNX_F32, sides + 2, of_sums, b);
end:
    free(w);
    free(zero);
    free(bias);
    return to;
}

/* A window's node of bytes x at this zero point. */
static const char *bytes_of(rt_fo_graph *e, const rt_node *n, const constants *k, const char *x, int sides)
{
    const rt_conv_int8_attr *a = RT_ATTR(n, rt_conv_int8_attr);
    const int shift = -a->x_low, up = a->y_low < 0 ? 128 : 0;
    const int64_t outs = a->out;
    const char *in[] = {to_bytes(e, n, "bytes", x, shift, 0), rt_fo_number(e, n, "x_step", 1),
                        byte_number(e, n, "x_zero", a->x_zero + shift, 0), k->weight,
                        rt_onnx_const(e->o, rt_fo_own(e, n, "step"), RT_ONNX_F32, 1, &outs, e->field[n->field[1]]),
                        k->zero, rt_fo_number(e, n, "y_step", 1), byte_number(e, n, "y_zero", a->y_zero + up, 0),
                        *k->bias ? k->bias : NULL, NULL},
               *y = rt_fo_own(e, n, "quantized");
    rt_onnx_node *p = rt_onnx_add(e->o, "QLinearConv", y, in);
    rt_fo_set_window(p, &a->window, sides);
    rt_onnx_int(p, "group", a->groups);
    y = cast(e, n, "numbers", y, RT_ONNX_F32);
    if (up) y = rt_fo_chain(e, n, "Sub", "signed", y, rt_fo_number(e, n, "up", (float)up));
    if (a->y_low == -up && a->y_high == 255 - up) return y;
    const char *out = rt_fo_own(e, n, "clipped");
    rt_fo_node_of(e, "Clip", out, y, rt_fo_number(e, n, "least", (float)a->y_low),
                  rt_fo_number(e, n, "most", (float)a->y_high));
    return out;
}

static const char *sums_of(rt_fo_graph *e, const rt_node *n, const constants *k, const char *bytes, const char *zero,
                           int sides)
{
    const rt_conv_int8_attr *a = RT_ATTR(n, rt_conv_int8_attr);
    const char *in[] = {bytes, k->weight, zero, k->zero, NULL}, *y = rt_fo_own(e, n, "sums");
    rt_onnx_node *p = rt_onnx_add(e->o, "ConvInteger", y, in);
    rt_fo_set_window(p, &a->window, sides);
    rt_onnx_int(p, "group", a->groups);
    if (a->gives == SUMS && *k->bias) y = rt_fo_chain(e, n, "Add", "with_bias", y, k->bias);
    return cast(e, n, "floats", y, RT_ONNX_F32);
}

/* Of an input whose range is that of its row: in a graph of one row at a time. */
static const char *floats_of(rt_fo_graph *e, const rt_node *n, const constants *k, const char *x, int sides)
{
    const rt_conv_int8_attr *a = RT_ATTR(n, rt_conv_int8_attr);
    const int64_t dim[] = {1, a->out, 1, 1};
    const char *bytes = rt_fo_own(e, n, "bytes"), *scale = rt_fo_own(e, n, "scale"), *zero = rt_fo_own(e, n, "zero");
    if (!e->spec->single && !e->status)
        e->status = rt_fail(RT_USAGE, "layer '%s': takes the range of each row by itself: give batch=1 for a graph of "
                                      "one row at a time", n->name);
    rt_onnx_node *q = rt_fo_node_of(e, "DynamicQuantizeLinear", bytes, x, NULL, NULL);
    rt_onnx_more(q, scale);
    rt_onnx_more(q, zero);
    const char *sums = sums_of(e, n, k, bytes, zero, sides),
               *by = rt_fo_chain(e, n, "Mul", "scales", scale,
                                 rt_onnx_const(e->o, rt_fo_own(e, n, "step"), RT_ONNX_F32, sides + 2, dim,
                                               e->field[n->field[1]])),
               *y = rt_fo_chain(e, n, "Mul", "product", sums, by);
    return *k->bias ? rt_fo_chain(e, n, "Add", "with_bias", y, k->bias) : y;
}

void rt_fo_put_conv_int8(rt_fo_graph *e, const rt_node *n)
{
    const rt_conv_int8_attr *a = RT_ATTR(n, rt_conv_int8_attr);
    const int rank = rt_fo_rank(e, n->in[0]), sides = rank == 3 ? 2 : 1;
    const int64_t row[] = {0, -1, 1}, flat[] = {0, -1};
    const constants k = constants_of(e, n, sides);
    const char *out = rt_fo_unique(e, n->name), *x = rt_fo_take(e, n->in[0], rank > 1 ? RT_FO_FIRST : RT_FO_LAST), *y;
    if (rank == 1) x = rt_fo_chain(e, n, "Reshape", "line", x, rt_fo_whole(e, n, "as_line", 3, row));
    if (a->gives == FLOATS) y = floats_of(e, n, &k, x, sides);
    else if (a->gives == BYTES) y = bytes_of(e, n, &k, x, sides);
    else
        y = sums_of(e, n, &k, to_bytes(e, n, "bytes", x, -a->x_low, 0),
                    byte_number(e, n, "x_zero", a->x_zero - a->x_low, 0), sides);
    if (rank == 1) rt_fo_node_of(e, "Reshape", out, y, rt_fo_whole(e, n, "as_row", 2, flat), NULL);
    else rt_fo_node_of(e, "Identity", out, y, NULL, NULL);
    rt_fo_set(e, n->out, rank > 1 ? RT_FO_FIRST : RT_FO_LAST, out);
}
