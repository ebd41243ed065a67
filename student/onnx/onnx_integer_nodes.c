/* student/onnx/onnx_integer_nodes.c - quantized operators: what each asks of its inputs, and the call that it becomes.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "student/onnx/onnx_integer_parts.h"

static const char of_bytes[] = "it computes with bytes, not with what they stand for",
                  another_axis[] = "it puts together along another axis than channels";
static const rt_pending nothing = {.call = {.head = -1, .kh = 1, .kw = 1, .sh = 1, .sw = 1, .groups = 1}};

/* ---- constants ---- */

/* The node that gives a value. */
static const rt_eval_node *giver(const rt_integer *g, int value)
{
    for (int i = 0; i < g->g->nodes; i++)
        for (int k = 0; k < g->g->node[i].outputs; k++) if (g->g->node[i].out[k] == value) return &g->g->node[i];
    return NULL;
}

/* What a constant was before it was dequantized, by moves of integers and floats that change nothing. */
static const rt_eval_node *dequantizer_of(const rt_integer *g, int value)
{
    const rt_eval_node *n = value >= 0 ? giver(g, value) : NULL;
    while (n && !*n->domain && !strcmp(n->op, "Identity")) n = giver(g, n->in[0]);
    return n && !*n->domain && !strcmp(n->op, "DequantizeLinear") ? n : NULL;
}

static rt_status region_floats(rt_integer *g, const rt_array *a, size_t n, const float **to)
{
    float *f = rt_region_list(g->region, n, sizeof *f);
    if (!f) return RT_RUN;
    for (size_t i = 0; i < n; i++) f[i] = (float)rt_array_double(a, a->count == 1 ? 0 : i);
    *to = f;
    return RT_OK;
}

/* Weights of n output channels, which are axis `axis` of theirs, with their scales and zero points. */
static rt_status take_weights(rt_integer *g, rt_pending *p, const rt_array *w, const rt_array *scale,
                              const rt_array *zero, int n)
{
    if (!w || !scale) return rt_integer_no(g, "its weights depend on data");
    if (w->type != RT_I8 && w->type != RT_U8 && w->type != RT_I4 && w->type != RT_I2)
        return rt_integer_no(g, "its weights are not of 8 bits or less");
    if (scale->count != 1 && scale->count != (size_t)n) return rt_integer_no(g, "its weights are quantized in blocks");
    if (!w->count) return rt_integer_no(g, "it has no weights");
    p->unsigned_by = w->type == RT_U8 ? 128 : 0;
    for (size_t i = 0; zero && i < zero->count; i++)
        if (rt_array_int(zero, i) != p->unsigned_by) return rt_integer_no(g, "its weights are not symmetric");
    if (!zero && p->unsigned_by) return rt_integer_no(g, "its weights are not symmetric");
    for (size_t i = 0; i < scale->count; i++)
        if (!(rt_array_double(scale, i) > 0) || !isfinite(rt_array_double(scale, i)))
            return rt_integer_no(g, "a scale of its weights is not above 0");
    for (size_t i = 0; i < w->count; i++)
        if (rt_array_int(w, i) - p->unsigned_by < -127)
            return rt_integer_no(g, "a weight is -128, and the contract has -127 to 127");
    p->weight = w;
    p->call.n = n;
    p->call.op = RT_NET_CONV;
    return region_floats(g, scale, (size_t)n, &p->step);
}

/* The same behind a DequantizeLinear, whose axis is that of the output channels. */
static rt_status weights_of(rt_integer *g, const rt_eval_node *n, int i, int axis, rt_pending *p)
{
    const rt_eval_node *d = i < n->inputs ? dequantizer_of(g, n->in[i]) : NULL;
    const rt_array *w = d ? rt_integer_const(g, d, 0) : NULL, *scale = d ? rt_integer_const(g, d, 1) : NULL;
    if (!d) return rt_integer_no(g, "its weights are floats, or depend on data");
    if (!w) return rt_integer_no(g, "its weights depend on data");
    int64_t along = rt_lower_int(d, "axis", 1);
    if (scale && scale->count > 1 && (along < 0 ? along + w->rank : along) != axis)
        return rt_integer_no(g, "its weights have scales along another axis than that of the outputs");
    if (rt_lower_int(d, "block_size", 0)) return rt_integer_no(g, "its weights are quantized in blocks");
    return take_weights(g, p, w, scale, rt_integer_const(g, d, 2), (int)w->dim[axis]);
}

/* A bias of int32 in steps of input times weight, dequantized by that. */
static rt_status bias_of(rt_integer *g, const rt_eval_node *n, int i, rt_pending *p)
{
    if (i >= n->inputs || n->in[i] < 0) return RT_OK;
    const rt_eval_node *d = dequantizer_of(g, n->in[i]);
    const rt_array *b = d ? rt_integer_const(g, d, 0) : NULL, *scale = d ? rt_integer_const(g, d, 1) : NULL,
                   *zero = d ? rt_integer_const(g, d, 2) : NULL;
    const float sx = g->net.tensor[p->call.in[0]].q.scale;
    if (!b || !scale || b->type != RT_I32 || b->count != (size_t)p->call.n)
        return rt_integer_no(g, "its bias is not int32");
    for (size_t k = 0; zero && k < zero->count; k++)
        if (rt_array_int(zero, k)) return rt_integer_no(g, "its bias has a zero point");
    for (size_t k = 0; k < b->count; k++) {
        double s = rt_array_double(scale, scale->count == 1 ? 0 : k), want = (double)sx * (double)p->step[k];
        if (!(fabs(s - want) <= 1e-6 * want))
            return rt_integer_no(g, "the scale of its bias is not that of its input times that of its weights");
    }
    p->bias = b;
    return RT_OK;
}

/* ---- layers ---- */

static int take_window(rt_integer *g, const rt_eval_node *n, const int64_t *kernel, rt_net_call *c)
{
    rt_lower_window w;
    if (!rt_lower_find_window(&w, n, kernel, g->row->value[n->in[0]], g->row->value[n->out[0]]))
        return g->bad = "its window is beyond the limits of layers", 0;
    if (w.dilation[0] > 1 || w.dilation[1] > 1) return g->bad = "it has dilation", 0;
    c->kh = w.kernel[0];
    c->kw = w.kernel[1];
    c->sh = w.stride[0];
    c->sw = w.stride[1];
    memcpy(c->pad, w.pad, sizeof c->pad);
    return 1;
}

/* Input i as a tensor; 0: bad, or memory with *st. */
static int take_input(rt_integer *g, const rt_eval_node *n, int i, int *tensor, rt_status *st)
{
    *st = RT_OK;
    const rt_integer_value *x = rt_integer_in(g, n, i);
    if (!x) g->bad = "one of its inputs is a constant";
    else if (x->chw[0]) g->bad = "reads a row of an image that lies in another order";
    else if ((*tensor = rt_integer_tensor(g, n->in[i])) == -2) *st = RT_RUN;
    return !*st && !g->bad;
}

/* The same of what was dequantized. */
static int take_floats(rt_integer *g, const rt_eval_node *n, int i, int *tensor, rt_status *st)
{
    if (!take_input(g, n, i, tensor, st)) return 0;
    if (g->v[n->in[i]].kind != RT_IV_FLOATS) g->bad = of_bytes;
    return !g->bad;
}

static rt_status conv(rt_integer *g, const rt_eval_node *n)
{
    rt_pending p = nothing;
    rt_status st;
    if (!take_floats(g, n, 0, &p.call.in[0], &st)) return st;
    RT_TRY(weights_of(g, n, 1, 0, &p));
    if (g->bad || !take_window(g, n, p.weight->dim + 2, &p.call)) return RT_OK;
    p.call.groups = (int)rt_lower_int(n, "group", 1);
    RT_TRY(bias_of(g, n, 2, &p));
    return g->bad ? RT_OK : rt_integer_wait(g, n, &p);
}

/* A row through a matrix; rows of an image that ONNX has channels first are taken in memory's order. */
static rt_status take_row(rt_integer *g, const rt_eval_node *n, rt_pending *p)
{
    const rt_integer_value *x = rt_integer_in(g, n, 0);
    if (!x) return rt_integer_no(g, "its first input is a constant");
    if ((x->kind == RT_IV_FLOATS) == (n->op[0] == 'Q')) return rt_integer_no(g, of_bytes);
    memcpy(p->chw, x->chw, sizeof p->chw);
    if (g->row->value[n->in[0]]->rank != 2) return rt_integer_no(g, "its input is no row");
    p->dense = 1;
    p->call.in[0] = rt_integer_tensor(g, n->in[0]);
    return p->call.in[0] == -2 ? RT_RUN : RT_OK;
}

static rt_status gemm(rt_integer *g, const rt_eval_node *n)
{
    rt_pending p = nothing;
    if (rt_lower_int(n, "transA", 0) || rt_lower_float(n, "alpha", 1) != 1 || rt_lower_float(n, "beta", 1) != 1)
        return rt_integer_no(g, "it scales or turns its input");
    RT_TRY(take_row(g, n, &p));
    p.by_rows = rt_lower_int(n, "transB", 0) != 0;
    if (!g->bad) RT_TRY(weights_of(g, n, 1, p.by_rows ? 0 : 1, &p));
    if (!g->bad) RT_TRY(bias_of(g, n, 2, &p));
    return g->bad ? RT_OK : rt_integer_wait(g, n, &p);
}

static rt_status matmul(rt_integer *g, const rt_eval_node *n)
{
    rt_pending p = nothing;
    RT_TRY(take_row(g, n, &p));
    if (!g->bad && g->row->value[n->in[1]]->rank != 2) return rt_integer_no(g, "its weights are no matrix");
    if (!g->bad) RT_TRY(weights_of(g, n, 1, 1, &p));
    return g->bad ? RT_OK : rt_integer_wait(g, n, &p);
}

/* ---- the same with their quantizers in one operator ---- */

static rt_status emit(rt_integer *g, const rt_eval_node *n, const rt_pending *p, int scale)
{
    rt_integer_value *v = &g->v[n->out[0]];
    rt_quant q;
    RT_TRY(rt_integer_wait(g, n, p));
    if (g->bad || !rt_integer_quant(g, n, scale, scale + 1, g->row->value[n->out[0]]->type, &q)) return RT_OK;
    v->kind = RT_IV_BYTES;
    return rt_integer_emit(g, v->sums, q, -1, &v->tensor);
}

/* Input i's bytes have the scale and zero point that follow it. */
static int has_scale(rt_integer *g, const rt_eval_node *n, int i, int tensor)
{
    rt_quant q;
    return rt_integer_quant(g, n, i + 1, i + 2, g->row->value[n->in[i]]->type, &q) && rt_integer_has(g, tensor, q);
}

/* x, its scale and zero point, w, its, those of y, bias. */
static rt_status qlinear_conv(rt_integer *g, const rt_eval_node *n)
{
    rt_pending p = nothing;
    rt_status st;
    const rt_array *w = rt_integer_const(g, n, 3), *b = rt_integer_const(g, n, 8);
    if (!take_input(g, n, 0, &p.call.in[0], &st) || !has_scale(g, n, 0, p.call.in[0])) return st;
    if (!w || w->rank < 3) return rt_integer_no(g, "its weights depend on data");
    RT_TRY(take_weights(g, &p, w, rt_integer_const(g, n, 4), rt_integer_const(g, n, 5), (int)w->dim[0]));
    if (g->bad || !take_window(g, n, w->dim + 2, &p.call)) return RT_OK;
    p.call.groups = (int)rt_lower_int(n, "group", 1);
    if (n->inputs > 8 && n->in[8] >= 0 && (!b || b->type != RT_I32 || b->count != (size_t)p.call.n))
        return rt_integer_no(g, "its bias is not int32");
    p.bias = b;
    return emit(g, n, &p, 6);
}

/* A, B as above, C, the scale and zero point of Y; without those Y are floats. */
static rt_status qgemm(rt_integer *g, const rt_eval_node *n)
{
    rt_pending p = nothing;
    const rt_array *w = rt_integer_const(g, n, 3), *b = rt_integer_const(g, n, 6);
    if (rt_lower_int(n, "transA", 0) || rt_lower_float(n, "alpha", 1) != 1)
        return rt_integer_no(g, "it scales or turns its input");
    RT_TRY(take_row(g, n, &p));
    if (g->bad || !has_scale(g, n, 0, p.call.in[0])) return RT_OK;
    if (!w || w->rank != 2) return rt_integer_no(g, "its weights are no matrix of constants");
    p.by_rows = rt_lower_int(n, "transB", 0) != 0;
    RT_TRY(take_weights(g, &p, w, rt_integer_const(g, n, 4), rt_integer_const(g, n, 5), (int)w->dim[!p.by_rows]));
    if (!g->bad && n->inputs > 6 && n->in[6] >= 0 && (!b || b->type != RT_I32 || b->count != (size_t)p.call.n))
        return rt_integer_no(g, "its bias is not int32");
    p.bias = b;
    if (g->bad) return RT_OK;
    return n->inputs > 7 && n->in[7] >= 0 ? emit(g, n, &p, 7) : rt_integer_wait(g, n, &p);
}

static rt_status qlinear_matmul(rt_integer *g, const rt_eval_node *n)
{
    rt_pending p = nothing;
    const rt_array *w = rt_integer_const(g, n, 3);
    RT_TRY(take_row(g, n, &p));
    if (g->bad || !has_scale(g, n, 0, p.call.in[0])) return RT_OK;
    if (!w || w->rank != 2) return rt_integer_no(g, "its weights are no matrix of constants");
    RT_TRY(take_weights(g, &p, w, rt_integer_const(g, n, 4), rt_integer_const(g, n, 5), (int)w->dim[1]));
    return g->bad ? RT_OK : emit(g, n, &p, 6);
}

/* ---- pairs, pools, concat ---- */

/* A constant for each channel that is added to the rows of the input, or that they are multiplied by. */
static rt_status normalize(rt_integer *g, const rt_eval_node *n, const rt_integer_value *x, const rt_array *by)
{
    rt_integer_value *v = &g->v[n->out[0]];
    const rt_array *a = g->row->value[n->in[0]];
    int add = !strcmp(n->op, "Add"), channel = by->rank < a->rank ? by->rank - (a->rank - 1) : 1;
    *v = *x;
    if ((add && (x->add || x->mul)) || (!add && x->mul)) return rt_integer_no(g, "the input is normalised twice");
    if (by->type != RT_F32 || g->row->value[n->out[0]]->count != a->count)
        return rt_integer_no(g, "the input is computed with before it is quantized");
    if (by->count > 1 && (channel < 0 || by->dim[channel] != (int64_t)by->count || a->dim[1] != (int64_t)by->count))
        return rt_integer_no(g, "the input's normalisation is not a number a channel");
    *(add ? &v->add : &v->mul) = by;
    return RT_OK;
}

static rt_status pair(rt_integer *g, const rt_eval_node *n)
{
    rt_pending p = nothing;
    const rt_integer_value *x = rt_integer_in(g, n, 0);
    const rt_array *by = rt_integer_const(g, n, 1);
    int a[3], b[3];
    rt_status st;
    if (x && x->kind == RT_IV_INPUT && by) return normalize(g, n, x, by);
    p.call.op = strcmp(n->op, "Add") ? RT_NET_MUL : RT_NET_ADD;
    if (!take_floats(g, n, 0, &p.call.in[0], &st) || !take_floats(g, n, 1, &p.call.in[1], &st)) return st;
    rt_integer_image(g, n->in[0], a);
    rt_integer_image(g, n->in[1], b);
    if (memcmp(a, b, sizeof a)) return rt_integer_no(g, "its inputs have different shapes");
    return rt_integer_wait(g, n, &p);
}

static rt_status qlinear_pair(rt_integer *g, const rt_eval_node *n)
{
    rt_pending p = nothing;
    int shape[2][3];
    rt_status st;
    p.call.op = strcmp(n->op, "QLinearAdd") ? RT_NET_MUL : RT_NET_ADD;
    for (int i = 0; i < 2; i++) {
        if (!take_input(g, n, 3 * i, &p.call.in[i], &st) || !has_scale(g, n, 3 * i, p.call.in[i])) return st;
        rt_integer_image(g, n->in[3 * i], shape[i]);
    }
    if (memcmp(shape[0], shape[1], sizeof shape[0])) return rt_integer_no(g, "its inputs have different shapes");
    return emit(g, n, &p, 6);
}

static rt_status qlinear_average(rt_integer *g, const rt_eval_node *n)
{
    rt_pending p = nothing;
    const rt_array *x = g->row->value[n->in[0]];
    rt_status st;
    if (!take_input(g, n, 0, &p.call.in[0], &st) || !has_scale(g, n, 0, p.call.in[0])) return st;
    if (x->rank < 3 || rt_lower_int(n, "channels_last", 0)) return rt_integer_no(g, "its input is no image or line");
    p.call.op = RT_NET_AVG_POOL;
    p.call.kh = x->rank == 4 ? (int)x->dim[2] : 1;
    p.call.kw = (int)x->dim[x->rank - 1];
    return emit(g, n, &p, 3);
}

static rt_status pool(rt_integer *g, const rt_eval_node *n)
{
    rt_pending p = nothing;
    const rt_array *x = g->row->value[n->in[0]];
    const int64_t *kernel;
    int max = !strcmp(n->op, "MaxPool");
    rt_status st;
    if (!take_input(g, n, 0, &p.call.in[0], &st)) return st;
    if (x->rank < 3) return rt_integer_no(g, "its input is no image or line");
    p.call.op = max ? RT_NET_MAX_POOL : RT_NET_AVG_POOL;
    if (!strcmp(n->op, "GlobalAveragePool")) {
        p.call.kh = x->rank == 4 ? (int)x->dim[2] : 1;
        p.call.kw = (int)x->dim[x->rank - 1];
        if (g->v[n->in[0]].kind == RT_IV_BYTES) return rt_integer_no(g, of_bytes);
        return rt_integer_wait(g, n, &p);
    }
    if (rt_lower_int(n, "ceil_mode", 0) || rt_lower_int(n, "count_include_pad", 0))
        return rt_integer_no(g, "it counts padding, or windows that reach over the edge");
    if (rt_lower_ints(n, "kernel_shape", &kernel) != x->rank - 2) return rt_integer_no(g, "its window is no window");
    if (!take_window(g, n, kernel, &p.call)) return RT_OK;
    RT_TRY(rt_integer_wait(g, n, &p));
    rt_integer_value *v = &g->v[n->out[0]];
    if (g->bad || g->v[n->in[0]].kind != RT_IV_BYTES) return RT_OK;
    v->kind = RT_IV_BYTES;                                 /* of bytes as they are, which it gives */
    if (!max) return rt_integer_no(g, of_bytes);
    return rt_integer_emit(g, v->sums, g->net.tensor[p.call.in[0]].q, -1, &v->tensor);
}

static rt_status concat(rt_integer *g, const rt_eval_node *n)
{
    rt_pending p = nothing;
    int *parts = rt_region_list(g->region, (size_t)n->inputs, sizeof *parts), rank = g->row->value[n->out[0]]->rank;
    int64_t axis = rt_lower_int(n, "axis", 1);
    rt_status st;
    if (!parts) return RT_RUN;
    if ((axis < 0 ? axis + rank : axis) != 1) return rt_integer_no(g, another_axis);
    if (n->inputs < 2) return rt_integer_no(g, "it has a single input");
    for (int i = 0; i < n->inputs; i++) {
        if (!take_floats(g, n, i, &parts[i], &st)) return st;
    }
    p.call.op = RT_NET_MAP;
    p.parts = parts;
    p.count = n->inputs;
    return rt_integer_wait(g, n, &p);
}

/* The scale and zero point of Y, then each part with its own. */
static rt_status qlinear_concat(rt_integer *g, const rt_eval_node *n)
{
    rt_pending p = nothing;
    const int count = (n->inputs - 2) / 3, rank = g->row->value[n->out[0]]->rank;
    int *parts = rt_region_list(g->region, (size_t)count, sizeof *parts);
    int64_t axis = rt_lower_int(n, "axis", 1);
    rt_status st;
    if (!parts) return RT_RUN;
    if ((axis < 0 ? axis + rank : axis) != 1 || count < 2)
        return rt_integer_no(g, another_axis);
    for (int i = 0; i < count; i++)
        if (!take_input(g, n, 2 + 3 * i, &parts[i], &st) || !has_scale(g, n, 2 + 3 * i, parts[i])) return st;
    p.call.op = RT_NET_MAP;
    p.parts = parts;
    p.count = count;
    return emit(g, n, &p, 0);
}

/* ---- activations ---- */

static rt_status by_table(rt_integer *g, const rt_eval_node *n, rt_act act, float slope)
{
    rt_pending p = nothing;
    int *part = rt_region_list(g->region, 1, sizeof *part);
    rt_status st;
    if (!part) return RT_RUN;
    if (!(*n->domain ? take_input : take_floats)(g, n, 0, part, &st)) return st;
    if (act <= RT_ACT_RELU6 && (*part = rt_integer_apart(g, *part, 1)) < 0) return RT_RUN;
    p.call.op = RT_NET_MAP;
    p.parts = part;
    p.count = 1;
    p.table = act;
    p.slope = slope;
    return rt_integer_wait(g, n, &p);
}

/* ReLU and ReLU6 of sums are bounds of the bytes; of bytes they are tables as others. */
static rt_status bounded(rt_integer *g, const rt_eval_node *n, rt_act act)
{
    const rt_integer_value *x = rt_integer_in(g, n, 0);
    if (!x || x->kind != RT_IV_SUMS) return by_table(g, n, act, 0);
    rt_pending p = *x->sums;
    if (p.call.act != RT_ACT_NONE || (p.call.op != RT_NET_CONV && p.call.op != RT_NET_ADD))
        return rt_integer_no(g, "its input is not quantized");
    p.call.act = act;
    return rt_integer_wait(g, n, &p);
}

static rt_status relu(rt_integer *g, const rt_eval_node *n) { return bounded(g, n, RT_ACT_RELU); }

static rt_status clip(rt_integer *g, const rt_eval_node *n)
{
    double low = rt_lower_float(n, "min", -INFINITY), high = rt_lower_float(n, "max", INFINITY);
    const rt_array *a = rt_integer_const(g, n, 1), *b = rt_integer_const(g, n, 2);
    if (rt_integer_in(g, n, 1) || rt_integer_in(g, n, 2)) return rt_integer_no(g, "its bounds depend on data");
    if (a && a->count == 1) low = rt_array_double(a, 0);
    if (b && b->count == 1) high = rt_array_double(b, 0);
    if (low != 0 || (high != 6 && high < 1e30)) return rt_integer_no(g, "its bounds are other than 0 and 6");
    return bounded(g, n, high == 6 ? RT_ACT_RELU6 : RT_ACT_RELU);
}

static rt_status leaky(rt_integer *g, const rt_eval_node *n)
{ return by_table(g, n, RT_ACT_LEAKY, (float)rt_lower_float(n, "alpha", 0.01)); }

static rt_status gelu(rt_integer *g, const rt_eval_node *n)
{ return by_table(g, n, strcmp(rt_lower_string(n, "approximate", "none"), "tanh") ? RT_ACT_GELU_ERF : RT_ACT_GELU, 0); }

static rt_status sigmoid(rt_integer *g, const rt_eval_node *n) { return by_table(g, n, RT_ACT_SIGMOID, 0); }
static rt_status tangent(rt_integer *g, const rt_eval_node *n) { return by_table(g, n, RT_ACT_TANH, 0); }
static rt_status hard_swish(rt_integer *g, const rt_eval_node *n) { return by_table(g, n, RT_ACT_HARDSWISH, 0); }

static rt_status qlinear_curve(rt_integer *g, const rt_eval_node *n)
{
    int leaks = !strcmp(n->op, "QLinearLeakyRelu");
    const rt_integer_value *x = rt_integer_in(g, n, 0);
    if (x && x->kind == RT_IV_BYTES && !has_scale(g, n, 0, x->tensor)) return RT_OK;
    RT_TRY(by_table(g, n, leaks ? RT_ACT_LEAKY : RT_ACT_SIGMOID, leaks ? (float)rt_lower_float(n, "alpha", 0.01) : 0));
    return g->bad ? RT_OK : emit(g, n, g->v[n->out[0]].sums, 3);
}

/* ---- tables of bytes ---- */

static rt_status cast(rt_integer *g, const rt_eval_node *n)
{
    const rt_integer_value *x = rt_integer_in(g, n, 0);
    if (!x || x->kind != RT_IV_BYTES || g->row->value[n->in[0]]->type != RT_U8 ||
        !rt_array_is_integer(g->row->value[n->out[0]]))
        return rt_integer_no(g, "has no integer form here");
    g->v[n->out[0]] = *x;
    g->v[n->out[0]].kind = RT_IV_INDEX;
    return RT_OK;
}

/* The scale of bytes that a table gives: what dequantizes them says it, or what the file tells of its tensors. */
static int scale_of(rt_integer *g, int value, rt_quant *q)
{
    for (int i = 0, v = value; i < g->g->nodes; i++) {
        const rt_eval_node *n = &g->g->node[i];
        if (!n->inputs || n->in[0] != v || *n->domain) continue;
        if (!strcmp(n->op, "DequantizeLinear")) return rt_integer_quant(g, n, 1, 2, RT_U8, q);
        if (!strcmp(n->op, "Transpose") || !strcmp(n->op, "Reshape") || !strcmp(n->op, "Flatten")) v = n->out[0];
    }
    const cJSON *s = cJSON_GetArrayItem(g->scales, g->net.tensors), *z = cJSON_GetArrayItem(g->zeros, g->net.tensors);
    if (!cJSON_IsNumber(s) || !cJSON_IsNumber(z) || !(s->valuedouble > 0) || z->valuedouble < 0 || z->valuedouble > 255)
        return 0;
    *q = (rt_quant){(float)s->valuedouble, z->valueint};
    return 1;
}

static rt_status gather(rt_integer *g, const rt_eval_node *n)
{
    const rt_array *table = rt_integer_const(g, n, 0);
    const rt_integer_value *x = rt_integer_in(g, n, 1);
    rt_integer_value *v = &g->v[n->out[0]];
    rt_pending p = nothing;
    rt_quant q;
    int *part = rt_region_list(g->region, 1, sizeof *part), none;
    if (!part) return RT_RUN;
    if (!table || table->type != RT_U8 || table->rank != 1 || table->count != 256 || !x || x->kind != RT_IV_INDEX)
        return rt_integer_no(g, "has no integer form here");
    if (!scale_of(g, n->out[0], &q)) return rt_integer_no(g, "nothing tells the scale of what its table gives");
    *v = *x;
    v->kind = RT_IV_BYTES;
    if ((*part = rt_integer_tensor(g, n->out[0])) == -2) return RT_RUN;
    if (g->bad) return RT_OK;
    const rt_net_tensor t = g->net.tensor[*part];
    p.call.op = RT_NET_MAP;
    p.parts = part;
    p.count = 1;
    p.h = t.h;
    p.w = t.w;
    p.c = t.c;
    p.name = n->name;
    RT_TRY(rt_integer_emit(g, &p, q, -1, &none));
    v->tensor = none;
    memcpy(g->net.table[g->net.tables - 1], table->data, 256);
    return RT_OK;
}

rt_integer_fn *rt_integer_function(const rt_eval_node *n)
{
    static const struct { const char *op; rt_integer_fn *fn; } table[] = {
        {"Conv", conv}, {"Gemm", gemm}, {"MatMul", matmul}, {"QLinearConv", qlinear_conv},
        {"QLinearMatMul", qlinear_matmul}, {"Add", pair}, {"Mul", pair}, {"MaxPool", pool}, {"AveragePool", pool},
        {"GlobalAveragePool", pool}, {"Concat", concat}, {"Relu", relu}, {"Clip", clip}, {"LeakyRelu", leaky},
        {"Gelu", gelu}, {"Sigmoid", sigmoid}, {"Tanh", tangent}, {"HardSwish", hard_swish}, {"Cast", cast},
        {"Gather", gather}},
        fused[] = {{"QGemm", qgemm}, {"QLinearAdd", qlinear_pair}, {"QLinearMul", qlinear_pair},
                   {"QLinearGlobalAveragePool", qlinear_average}, {"QLinearConcat", qlinear_concat},
                   {"QLinearSigmoid", qlinear_curve}, {"QLinearLeakyRelu", qlinear_curve}};
    for (size_t i = 0; i < sizeof table / sizeof *table && !*n->domain; i++)
        if (!strcmp(n->op, table[i].op)) return table[i].fn;
    for (size_t i = 0; i < sizeof fused / sizeof *fused && !strcmp(n->domain, "com.microsoft"); i++)
        if (!strcmp(n->op, fused[i].op)) return fused[i].fn;
    return NULL;
}
