/* student/onnx/onnx_lower_quantized.c - quantized operators as layers, in graphs that are no integer program as a
 * whole: bytes are whole floats, which `quantize`, `pair_int8` and `conv_int8` make and take (engine/ops_quantize.c,
 * ops_conv_int8.c), exact to the integer. */
#include <math.h>
#include <string.h>

#include "student/onnx/onnx_lower.h"

/* ---- constants ---- */

typedef struct { int low, high; } limits;

/* 0: a type that is not quantized to here. */
static int limits_of(rt_dtype t, limits *to)
{
    switch (t) {
    case RT_U8: *to = (limits){0, 255}; return 1;
    case RT_I8: *to = (limits){-128, 127}; return 1;
    case RT_U16: *to = (limits){0, 65535}; return 1;
    case RT_I16: *to = (limits){-32768, 32767}; return 1;
    case RT_U4: *to = (limits){0, 15}; return 1;
    case RT_I4: *to = (limits){-8, 7}; return 1;
    case RT_U2: *to = (limits){0, 3}; return 1;
    case RT_I2: *to = (limits){-2, 1}; return 1;
    default: return 0;
    }
}

static int is_byte(const rt_array *a) { return a->type == RT_U8 || a->type == RT_I8; }

static int has(const rt_eval_node *n, int i) { return i < n->inputs && n->in[i] >= 0; }

typedef rt_lower_grain_of grain;

int rt_lower_grain(const rt_lowering *l, const rt_eval_node *n, int i, rt_lower_grain_of *g)
{
    const rt_array *s = rt_lower_const(l, n, i), *z = rt_lower_const(l, n, i + 1);
    if (!s || s->count != 1 || s->type != RT_F32 || (has(n, i + 1) && (!z || z->count != 1))) return 0;
    *g = (grain){(float)rt_array_double(s, 0), z ? (int)rt_array_int(z, 0) : 0};
    return 1;
}

static void set_number(cJSON *j, const char *key, int v, int usual)
{ if (v != usual) cJSON_AddNumberToObject(j, key, v); }

static void set_limits(cJSON *j, limits r)
{
    set_number(j, "low", r.low, 0);
    set_number(j, "high", r.high, 255);
}

/* ---- a value beside scales ---- */

/* A value as it lies in memory, axes of one left out: order of its own axes, shape, the layer. */
typedef struct { int order[RT_ARRAY_RANK]; rt_shape shape; const char *from; } lying;

static rt_status lie(rt_lowering *l, rt_lowered_value *v, lying *x)
{
    const int reshaped = v->base_rank != v->rank || memcmp(v->base, v->dim, (size_t)v->rank * sizeof *v->dim);
    for (int i = 0; i < v->rank; i++) x->order[i] = reshaped ? i : v->order[i];
    if (!rt_lower_memory(l, v, x->order, &x->shape)) return RT_OK;
    return rt_lower_as(l, v, x->order, &x->shape, &x->from);
}

/* Scales of node n for x: input i, or ones where i < 0, as an array of x's rank whose axes are x's or one. NULL with
 * l->bad; memory: NULL without. of: their zero points stand in the same places. */
static const rt_array *spread(rt_lowering *l, const rt_eval_node *n, const rt_lowered_value *x, const rt_array *s)
{
    const int64_t block = n->version >= 21 || *n->domain ? rt_lower_int(n, "block_size", 0) : 0;
    int64_t axis = n->version >= 13 || *n->domain ? rt_lower_int(n, "axis", 1) : 1, dim[RT_ARRAY_RANK];
    if (axis < 0) axis += x->rank;
    if (x->rank == 1) axis = 0;
    for (int i = 0; i < x->rank; i++) dim[i] = 1;
    if (s->count == 1 && s->rank <= 1) {
        rt_array *one = rt_region_take(l->region, sizeof *one);
        if (one) *one = *s, one->rank = x->rank, memcpy(one->dim, dim, sizeof dim);
        return one;
    }
    if (axis < 0 || axis >= x->rank) return l->bad = "its scales are along no axis of its input", NULL;
    dim[axis] = x->dim[axis];
    rt_array *all = NULL;
    if (!block) {
        if (s->rank != 1 || s->dim[0] != dim[axis]) return l->bad = "its scales are not one for each of an axis", NULL;
        if (!(all = rt_region_take(l->region, sizeof *all))) return NULL;
        *all = *s;
        all->rank = x->rank;
        memcpy(all->dim, dim, sizeof dim);
        return all;
    }
    if (s->rank != x->rank) return l->bad = "its scales are not of its input's dimensions", NULL;
    if (rt_array_make(&all, l->region, s->type, x->rank, x->dim)) return NULL;
    size_t inner = 1, line = (size_t)x->dim[axis], blocks = (size_t)s->dim[axis];
    for (int i = (int)axis + 1; i < x->rank; i++) inner *= (size_t)x->dim[i];
    for (size_t i = 0; i < all->count; i++) {
        const size_t o = i / (line * inner), at = i / inner % line, from = (o * blocks + at / (size_t)block) * inner +
                                                                          i % inner;
        if (from >= s->count) return l->bad = "its scales do not fit its blocks", NULL;
        if (rt_array_is_float(s)) rt_array_put(all, i, rt_array_double(s, from));
        else rt_array_put_int(all, i, rt_array_int(s, from));
    }
    return all;
}

/* A layer `quantize` of this form beside scales and zero points (NULL: none), of v. */
static rt_status quantizing(rt_lowering *l, const rt_eval_node *n, rt_lowered_value *v, const char *form,
                            const rt_array *scale, const rt_array *zero, limits r, cJSON **layer, lying *x)
{
    const rt_array *s = spread(l, n, v, scale), *z = zero && s ? spread(l, n, v, zero) : NULL;
    if (l->bad || !s || (zero && !z)) return l->bad ? RT_OK : RT_RUN;
    if (z && z->count != s->count) return rt_lower_no(l, "its scales and zero points differ in number");
    RT_TRY(lie(l, v, x));
    if (l->bad) return RT_OK;
    rt_shape operand = {.rank = 0};
    for (int i = 0; i < v->rank; i++)
        if (v->dim[x->order[i]] != 1 && (operand.rank || s->dim[x->order[i]] != 1))
            operand.dim[operand.rank++] = (int)s->dim[x->order[i]];
    cJSON *j = *layer = rt_lower_layer(l, "quantize", n->name, &x->from, 1);
    if (strcmp(form, "quantize")) cJSON_AddStringToObject(j, "form", form);
    if (operand.rank) cJSON_AddItemToObject(j, "operand", cJSON_CreateIntArray(operand.dim, operand.rank));
    set_limits(j, r);
    RT_TRY(rt_lower_put(l, j, "scale", s, x->order));
    if (z) return rt_lower_put(l, j, "zero", z, x->order);
    return rt_lower_fill(l, j, "zero", s->count) ? RT_OK : RT_RUN;
}

static int same_array(const rt_array *a, const rt_array *b)
{
    if (!a || !b) return a == b;
    if (a->count != b->count || a->type != b->type) return 0;
    for (size_t i = 0; i < a->count; i++)
        if (rt_array_is_float(a) ? rt_array_double(a, i) != rt_array_double(b, i)
                                 : rt_array_int(a, i) != rt_array_int(b, i))
            return 0;
    return 1;
}

/* The node that dequantizes what n gives, alone, by the same scales; -1. */
static int undone_by(const rt_lowering *l, const rt_eval_node *n)
{
    const int at = *n->domain ? -1 : rt_lower_next(l, n, "DequantizeLinear");
    const rt_eval_node *d = at >= 0 ? &l->g->node[at] : NULL;
    const int same = d && d->in[0] == n->out[0] && !rt_lower_is_fed(l, d) &&
                     same_array(rt_lower_const(l, n, 1), rt_lower_const(l, d, 1)) &&
                     same_array(rt_lower_const(l, n, 2), rt_lower_const(l, d, 2)) && has(n, 2) == has(d, 2) &&
                     rt_lower_int(n, "axis", 1) == rt_lower_int(d, "axis", 1) &&
                     rt_lower_int(n, "block_size", 0) == rt_lower_int(d, "block_size", 0) &&
                     rt_lower_shape(l, d, 0)->type == RT_F32;
    return same ? at : -1;
}

static rt_status quantize_linear(rt_lowering *l, const rt_eval_node *n)
{
    rt_lowered_value *v = rt_lower_in(l, n, 0);
    const rt_array *scale = rt_lower_const(l, n, 1), *zero = rt_lower_const(l, n, 2);
    limits r;
    lying x;
    cJSON *j = NULL;
    if (!v || v->ids || !scale || (has(n, 2) && !zero)) return rt_lower_no(l, "its scales depend on data");
    if (!limits_of(rt_lower_shape(l, n, 0)->type, &r)) return rt_lower_no(l, "is no quantization to integers");
    if (scale->type != RT_F32 || rt_lower_int(n, "precision", 1) != 1)
        return rt_lower_no(l, "divides in another precision than float");
    const int undone = undone_by(l, n);
    RT_TRY(quantizing(l, n, v, undone < 0 ? "quantize" : "both", scale, zero, r, &j, &x));
    if (l->bad) return RT_OK;
    rt_lower_give(l, undone < 0 ? n : &l->g->node[undone], 0, j, &x.shape, x.order);
    if (undone >= 0) l->done[undone] = 1;
    return RT_OK;
}

static rt_status dequantize_linear(rt_lowering *l, const rt_eval_node *n)
{
    rt_lowered_value *v = rt_lower_in(l, n, 0);
    const rt_array *scale = rt_lower_const(l, n, 1), *zero = rt_lower_const(l, n, 2);
    const rt_dtype type = l->row->value[n->in[0]]->type;
    limits r = {0, 255};
    lying x;
    cJSON *j = NULL;
    if (!v || v->ids || !scale || (has(n, 2) && !zero)) return rt_lower_no(l, "its scales depend on data");
    if (!limits_of(type, &r) && (type != RT_I32 || zero)) return rt_lower_no(l, "is no quantization of integers");
    if (scale->type != RT_F32 || rt_lower_shape(l, n, 0)->type != RT_F32)
        return rt_lower_no(l, "gives another type than float");
    RT_TRY(quantizing(l, n, v, "dequantize", scale, zero, r, &j, &x));
    if (!l->bad) rt_lower_give(l, n, 0, j, &x.shape, x.order);
    return RT_OK;
}

/* ---- products of integers ---- */

/* Whole weights as a layer has them: taps x inputs x outputs of (outputs, inputs, taps), or of (inputs, outputs) where
 * by_columns; less their zero points, one or one an output. */
static rt_status put_weights(rt_lowering *l, const cJSON *j, const rt_array *w, const rt_array *zero, size_t outputs,
                             size_t inputs, int by_columns)
{
    const size_t taps = w->count / (outputs * inputs);
    float *to = rt_lower_fill(l, j, "weight", w->count);
    if (!to) return RT_RUN;
    for (size_t o = 0; o < outputs; o++) {
        const int64_t z = zero ? rt_array_int(zero, zero->count > 1 ? o : 0) : 0;
        for (size_t i = 0; i < inputs; i++)
            for (size_t t = 0; t < taps; t++)
                to[(t * inputs + i) * outputs + o] =
                    (float)(rt_array_int(w, by_columns ? i * outputs + o : (o * inputs + i) * taps + t) - z);
    }
    return RT_OK;
}

static rt_status put_bias(rt_lowering *l, const cJSON *j, const rt_array *bias)
{
    float *to = rt_lower_fill(l, j, "bias", 2 * bias->count);
    for (size_t i = 0; to && i < bias->count; i++) {
        const int32_t b = (int32_t)rt_array_int(bias, i), low = b & 0xffff;
        to[i] = (float)((b - low) / 65536);
        to[bias->count + i] = (float)low;
    }
    return to ? RT_OK : RT_RUN;
}

/* M of each output: what its sum is multiplied by. */
static rt_status put_steps(rt_lowering *l, const cJSON *j, size_t outputs, float sx, const rt_array *sw, float sy)
{
    float *to = rt_lower_fill(l, j, "step", outputs);
    for (size_t i = 0; to && i < outputs; i++) {
        const float s = sx * (float)rt_array_double(sw, sw->count > 1 ? i : 0);
        to[i] = s / sy;
    }
    return to ? RT_OK : RT_RUN;
}

static int each_or_one(const rt_array *a, size_t n) { return !a || a->count == 1 || (a->rank == 1 && a->count == n); }

static void set_input(cJSON *j, rt_dtype type, int zero)
{
    set_number(j, "x_low", type == RT_I8 ? -128 : 0, 0);
    set_number(j, "x_zero", zero, 0);
}

static void set_output(cJSON *j, rt_dtype type, int zero, int relu)
{
    set_number(j, "y_low", relu ? zero : type == RT_I8 ? -128 : 0, 0);
    set_number(j, "y_high", type == RT_I8 ? 127 : 255, 255);
    set_number(j, "y_zero", zero, 0);
}

/* The window of a convolution of bytes; NULL with l->bad. */
static cJSON *window_layer(rt_lowering *l, const rt_eval_node *n, rt_lowered_value *x, const rt_array *w,
                           const char *name, int order[RT_ARRAY_RANK], rt_status *st)
{
    const char *from;
    rt_shape shape;
    rt_lower_window win;
    const int groups = (int)rt_lower_int(n, "group", 1);
    *st = rt_lower_images(l, x, order, &shape, &from);
    if (*st || l->bad) return NULL;
    if (w->rank != shape.rank + 1 || !w->count ||
        !rt_lower_find_window(&win, n, w->dim + 2, l->row->value[n->in[0]], rt_lower_shape(l, n, 0)) ||
        win.sides > 2)
        return l->bad = "its window is beyond the limits of layers", NULL;
    const double reach = (double)((win.kernel[0] - 1) * win.dilation[0] + 1) *
                         ((win.kernel[1] - 1) * win.dilation[1] + 1) * (double)w->dim[1];
    if (reach > 1 << 20 || reach * (double)w->dim[0] > 1 << 28)
        return l->bad = "its window is beyond the limits of layers", NULL;
    cJSON *j = rt_lower_layer(l, "conv_int8", name, &from, 1);
    cJSON_AddNumberToObject(j, "out", (double)w->dim[0]);
    rt_lower_set_window(j, &win);
    set_number(j, "groups", groups, 1);
    return j;
}

static void set_bytes(cJSON *j, const rt_lower_bytes *b)
{
    if (!b->bias) cJSON_AddBoolToObject(j, "bias", 0);
    set_input(j, b->type, b->in.zero);
    set_output(j, b->to, b->out.zero, b->relu);
}

rt_status rt_lower_bytes_conv(rt_lowering *l, const rt_eval_node *n, const rt_lower_bytes *b)
{
    int order[RT_ARRAY_RANK];
    rt_status st;
    if (!is_byte(b->w) || !each_or_one(b->sw, b->outputs) || !each_or_one(b->zw, b->outputs) ||
        (b->bias && b->bias->count != b->outputs))
        return rt_lower_no(l, "its scales are not one, or one an output");
    cJSON *j = window_layer(l, n, &l->v[b->x], b->w, n->name, order, &st);
    if (!j) return st;
    set_bytes(j, b);
    RT_TRY(put_weights(l, j, b->w, b->zw, b->outputs, (size_t)b->w->dim[1], 0));
    RT_TRY(put_steps(l, j, b->outputs, b->in.scale, b->sw, b->out.scale));
    if (b->bias) RT_TRY(put_bias(l, j, b->bias));
    rt_lower_give_images(l, b->last, j, order);
    return RT_OK;
}

static rt_status qlinear_conv(rt_lowering *l, const rt_eval_node *n)
{
    rt_lower_bytes b = {.x = n->in[0], .w = rt_lower_const(l, n, 3), .sw = rt_lower_const(l, n, 4),
                        .zw = rt_lower_const(l, n, 5), .bias = rt_lower_const(l, n, 8), .last = n,
                        .type = l->row->value[n->in[0]]->type, .to = rt_lower_shape(l, n, 0)->type};
    if (!rt_lower_in(l, n, 0) || !b.w || !b.sw || (has(n, 5) && !b.zw) || (has(n, 8) && !b.bias) ||
        !rt_lower_grain(l, n, 1, &b.in) || !rt_lower_grain(l, n, 6, &b.out))
        return rt_lower_no(l, "its weights or scales depend on data");
    b.outputs = b.w->rank ? (size_t)b.w->dim[0] : 0;
    return rt_lower_bytes_conv(l, n, &b);
}

static rt_status conv_integer(rt_lowering *l, const rt_eval_node *n)
{
    rt_lower_ranged d = {.w = rt_lower_const(l, n, 1), .zero = rt_lower_const(l, n, 3)};
    const rt_array *zx = rt_lower_const(l, n, 2);
    int order[RT_ARRAY_RANK];
    rt_status st;
    if (!d.w || (has(n, 3) && !d.zero)) return rt_lower_no(l, "its weights depend on data");
    const size_t out = d.w->rank ? (size_t)d.w->dim[0] : 0;
    const int fixed = !has(n, 2) || (zx && zx->count == 1);
    if (!is_byte(d.w) || !each_or_one(d.zero, out))
        return rt_lower_no(l, "its zero points are not one, or one an output");
    if (!fixed && !rt_lower_find_dynamic(l, n, &d)) return RT_OK;
    rt_lowered_value *x = fixed ? rt_lower_in(l, n, 0) : &l->v[d.x];
    if (!x) return rt_lower_no(l, "its input is a constant");
    if (!fixed && ((d.step->count != 1 && d.step->count != out) || (d.bias && d.bias->count != out)))
        return rt_lower_no(l, "its scales are not one, or one an output");
    cJSON *j = window_layer(l, n, x, d.w, fixed ? n->name : d.last->name, order, &st);
    if (!j) return st;
    cJSON_AddStringToObject(j, "gives", fixed ? "sums" : "floats");
    if (fixed || !d.bias) cJSON_AddBoolToObject(j, "bias", 0);
    if (fixed) set_input(j, l->row->value[n->in[0]]->type, zx ? (int)rt_array_int(zx, 0) : 0);
    RT_TRY(put_weights(l, j, d.w, d.zero, out, (size_t)d.w->dim[1], 0));
    if (!fixed) {
        RT_TRY(put_steps(l, j, out, 1, d.step, 1));
        if (d.bias) RT_TRY(rt_lower_put(l, j, "bias", d.bias, NULL));
        rt_lower_take_dynamic(l, &d);
    }
    rt_lower_give_images(l, fixed ? n : d.last, j, order);
    return RT_OK;
}

/* Rows of k through a matrix (k, n), or (n, k): a convolution of one tap. *out: what it gives; NULL with l->bad. */
static cJSON *rows_layer(rt_lowering *l, const rt_eval_node *last, const char *name, rt_lowered_value *x, size_t k,
                         size_t n, rt_shape *out, rt_status *st)
{
    const rt_array *y = rt_lower_shape(l, last, 0);
    const char *from;
    size_t count = 1;
    *st = RT_OK;
    for (int i = 0; i < x->rank; i++) count *= (size_t)x->dim[i];
    if (!count || !k || k > 1 << 20 || n > 1 << 20 || k * n > 1 << 28 || count / k > 1 << 20 || y->rank < 1 ||
        count % k || count / k * n != y->count)
        return l->bad = "is beyond the limits of layers", NULL;
    const size_t rows = count / k;
    const rt_shape lines = {rows == 1 ? 1 : 2, {rows == 1 ? (int)k : (int)rows, (int)k}};
    *out = (rt_shape){rows == 1 ? 1 : 2, {rows == 1 ? (int)n : (int)rows, (int)n}};
    *st = rt_lower_as(l, x, NULL, &lines, &from);
    if (*st || l->bad) return NULL;
    cJSON *j = rt_lower_layer(l, "conv_int8", name, &from, 1);
    cJSON_AddNumberToObject(j, "out", (double)n);
    cJSON_AddNumberToObject(j, "kernel", 1);
    return j;
}

rt_status rt_lower_dynamic_rows(rt_lowering *l, const rt_lower_ranged *d)
{
    rt_status st;
    rt_shape out;
    const size_t k = (size_t)d->w->dim[0], n = (size_t)d->w->dim[1];
    if (!each_or_one(d->zero, n)) return rt_lower_no(l, "its zero points are not one, or one a column");
    cJSON *j = rows_layer(l, d->last, d->last->name, &l->v[d->x], k, n, &out, &st);
    if (!j) return st;
    cJSON_AddStringToObject(j, "gives", "floats");
    if (!d->bias) cJSON_AddBoolToObject(j, "bias", 0);
    RT_TRY(put_weights(l, j, d->w, d->zero, n, k, 1));
    RT_TRY(put_steps(l, j, n, 1, d->step, 1));
    if (d->bias) RT_TRY(rt_lower_put(l, j, "bias", d->bias, NULL));
    rt_lower_give(l, d->last, 0, j, &out, NULL);
    return RT_OK;
}

/* Of two values that depend on data: by floats, whose sums of whole numbers are exact below 2^24. product: their layer;
 * NULL with l->bad. */
static rt_status whole_product(rt_lowering *l, const rt_eval_node *n, int a, int za, int b, int zb, rt_lowered_value *y)
{
    const int in[2] = {a, b}, zero[2] = {za, zb};
    rt_lowered_value side[2];
    const rt_lowered_value *sides[2];
    double most = 1;
    for (int i = 0; i < 2; i++) {
        rt_lowered_value *v = rt_lower_in(l, n, in[i]);
        const rt_array *z = rt_lower_const(l, n, zero[i]), *own = l->row->value[n->in[in[i]]];
        const limits r = {own->type == RT_I8 ? -128 : 0, own->type == RT_I8 ? 127 : 255};
        lying x;
        cJSON *j = NULL;
        if (has(n, zero[i]) && (!z || z->count != 1)) return rt_lower_no(l, "its zero points are not one a side");
        if (!v || v->rank < 2) return rt_lower_no(l, "a product of vectors, or with a constant that is no matrix");
        const int at = z ? (int)rt_array_int(z, 0) : 0;
        most *= fmax(at - r.low, r.high - at);
        rt_array one = {.type = RT_F32, .count = 1}, *ones = &one;
        float value = 1;
        one.data = &value;
        rt_array whole = {.type = RT_I32, .count = 1};
        int32_t number = at;
        whole.data = &number;
        RT_TRY(quantizing(l, n, v, "dequantize", ones, &whole, r, &j, &x));
        if (l->bad) return RT_OK;
        side[i] = *v;
        side[i].layer = rt_lower_name(j);
        side[i].shape = x.shape;
        side[i].base_rank = v->rank;
        memcpy(side[i].base, v->dim, sizeof v->dim);
        memcpy(side[i].order, x.order, sizeof x.order);
        sides[i] = &side[i];
    }
    if (most * (double)sides[0]->dim[sides[0]->rank - 1] > 1 << 24)
        return rt_lower_no(l, "its sums may be above 2^24");
    return rt_lower_matmul(l, n, &side[0], &side[1], y);
}

rt_status rt_lower_static_rows(rt_lowering *l, const rt_eval_node *n)
{
    rt_lowered_value *x = rt_lower_in(l, n, 0), product;
    const rt_array *w = rt_lower_const(l, n, 1), *zx = rt_lower_const(l, n, 2), *zw = rt_lower_const(l, n, 3);
    rt_status st;
    rt_shape out;
    if (!w && rt_lower_in(l, n, 1)) {
        RT_TRY(whole_product(l, n, 0, 2, 1, 3, &product));
        if (!l->bad) l->v[n->out[0]] = product;
        return RT_OK;
    }
    if (!x || !w || w->rank != 2 || (has(n, 2) && (!zx || zx->count != 1)) || (has(n, 3) && !zw))
        return rt_lower_no(l, "multiplies other integers than constants, or by zero points that depend on data");
    const size_t k = (size_t)w->dim[0], m = (size_t)w->dim[1];
    if (!is_byte(w) || !each_or_one(zw, m)) return rt_lower_no(l, "its zero points are not one, or one a column");
    cJSON *j = rows_layer(l, n, n->name, x, k, m, &out, &st);
    if (!j) return st;
    cJSON_AddStringToObject(j, "gives", "sums");
    cJSON_AddBoolToObject(j, "bias", 0);
    set_input(j, l->row->value[n->in[0]]->type, zx ? (int)rt_array_int(zx, 0) : 0);
    RT_TRY(put_weights(l, j, w, zw, m, k, 1));
    rt_lower_give(l, n, 0, j, &out, NULL);
    return RT_OK;
}


/* Sums that become bytes: y = sat(rne(fl(fl(acc) M)) + zero). */
static rt_status requantized(rt_lowering *l, const rt_eval_node *n, rt_lowered_value *sums, float m, int zero)
{
    limits r = {0, 255};
    lying x;
    cJSON *j = NULL;
    int32_t whole = zero;
    rt_array scale = {.type = RT_F32, .count = 1, .data = &m}, z = {.type = RT_I32, .count = 1, .data = &whole};
    limits_of(rt_lower_shape(l, n, 0)->type, &r);
    RT_TRY(quantizing(l, n, sums, "scaled", &scale, &z, r, &j, &x));
    if (!l->bad) rt_lower_give(l, n, 0, j, &x.shape, x.order);
    return RT_OK;
}

rt_status rt_lower_bytes_rows(rt_lowering *l, const rt_eval_node *n, const rt_lower_bytes *b, int by_columns)
{
    const size_t k = (size_t)b->w->dim[!by_columns], m = b->outputs;
    rt_shape out;
    rt_status st;
    if (!is_byte(b->w) || !each_or_one(b->sw, m) || !each_or_one(b->zw, m) || (b->bias && b->bias->count != m))
        return rt_lower_no(l, "its scales are not one, or one a column");
    cJSON *j = rows_layer(l, b->last, n->name, &l->v[b->x], k, m, &out, &st);
    if (!j) return st;
    set_bytes(j, b);
    RT_TRY(put_weights(l, j, b->w, b->zw, m, k, by_columns));
    RT_TRY(put_steps(l, j, m, b->in.scale, b->sw, b->out.scale));
    if (b->bias) RT_TRY(put_bias(l, j, b->bias));
    rt_lower_give(l, b->last, 0, j, &out, NULL);
    return RT_OK;
}

static rt_status qlinear_matmul(rt_lowering *l, const rt_eval_node *n)
{
    rt_lowered_value product;
    rt_lower_bytes b = {.x = n->in[0], .w = rt_lower_const(l, n, 3), .sw = rt_lower_const(l, n, 4),
                        .zw = rt_lower_const(l, n, 5), .last = n, .type = l->row->value[n->in[0]]->type,
                        .to = rt_lower_shape(l, n, 0)->type};
    grain gw;
    if (!rt_lower_grain(l, n, 1, &b.in) || !rt_lower_grain(l, n, 6, &b.out) || !b.sw || b.sw->type != RT_F32)
        return rt_lower_no(l, "its scales are not one a tensor, or depend on data");
    if (!b.w) {
        if (!rt_lower_grain(l, n, 4, &gw)) return rt_lower_no(l, "its scales are not one a tensor, or depend on data");
        RT_TRY(whole_product(l, n, 0, 2, 3, 5, &product));
        if (l->bad) return RT_OK;
        const float s = b.in.scale * gw.scale;
        return requantized(l, n, &product, s / b.out.scale, b.out.zero);
    }
    if (!rt_lower_in(l, n, 0) || b.w->rank != 2 || (has(n, 5) && !b.zw))
        return rt_lower_no(l, "its weights are no matrix");
    b.outputs = (size_t)b.w->dim[1];
    return rt_lower_bytes_rows(l, n, &b, 1);
}

/* A, B and C with scales and zero points; without those of Y it gives floats, fl(fl(acc) m). */
static rt_status qgemm(rt_lowering *l, const rt_eval_node *n)
{
    const int by_columns = !rt_lower_int(n, "transB", 0), floats = !has(n, 7);
    rt_lower_bytes b = {.x = n->in[0], .w = rt_lower_const(l, n, 3), .sw = rt_lower_const(l, n, 4),
                        .zw = rt_lower_const(l, n, 5), .bias = rt_lower_const(l, n, 6), .last = n,
                        .type = l->row->value[n->in[0]]->type, .to = rt_lower_shape(l, n, 0)->type};
    rt_status st;
    rt_shape out;
    if (!rt_lower_in(l, n, 0) || !b.w || b.w->rank != 2 || !b.sw || (has(n, 5) && !b.zw) || (has(n, 6) && !b.bias) ||
        !rt_lower_grain(l, n, 1, &b.in) || (!floats && !rt_lower_grain(l, n, 7, &b.out)) ||
        rt_lower_int(n, "transA", 0) || rt_lower_float(n, "alpha", 1) != 1)
        return rt_lower_no(l, "its weights or scales depend on data, or A is turned or scaled");
    const size_t m = b.outputs = (size_t)b.w->dim[by_columns], k = (size_t)b.w->dim[!by_columns];
    if (!floats) return rt_lower_bytes_rows(l, n, &b, by_columns);
    if (!is_byte(b.w) || !each_or_one(b.sw, m) || !each_or_one(b.zw, m) || (b.bias && b.bias->count != m))
        return rt_lower_no(l, "its scales are not one, or one a column");
    cJSON *j = rows_layer(l, n, n->name, &l->v[b.x], k, m, &out, &st);
    if (!j) return st;
    if (!b.bias) cJSON_AddBoolToObject(j, "bias", 0);
    cJSON_AddStringToObject(j, "gives", "sums");
    set_input(j, b.type, b.in.zero);
    RT_TRY(put_weights(l, j, b.w, b.zw, m, k, by_columns));
    if (b.bias) RT_TRY(put_bias(l, j, b.bias));
    const char *sums = rt_lower_name(j);
    cJSON *f = rt_lower_layer(l, "quantize", n->name, &sums, 1);
    const int columns = (int)m;
    cJSON_AddStringToObject(f, "form", "dequantize");
    cJSON_AddItemToObject(f, "operand", cJSON_CreateIntArray(&columns, 1));
    float *to = rt_lower_fill(l, f, "scale", m);
    if (!to || !rt_lower_fill(l, f, "zero", m)) return RT_RUN;
    for (size_t i = 0; i < m; i++) to[i] = b.in.scale * (float)rt_array_double(b.sw, b.sw->count > 1 ? i : 0);
    rt_lower_give(l, n, 0, f, &out, NULL);
    return RT_OK;
}

/* ---- pairs, averages, tables ---- */

static rt_status qlinear_pair(rt_lowering *l, const rt_eval_node *n)
{
    grain g[3];
    const char *from[2];
    int order[RT_ARRAY_RANK];
    rt_shape out;
    if (!rt_lower_grain(l, n, 1, &g[0]) || !rt_lower_grain(l, n, 4, &g[1]) || !rt_lower_grain(l, n, 6, &g[2]))
        return rt_lower_no(l, "a scale depends on data");
    RT_TRY(rt_lower_sides(l, n, (const int[]){0, 3}, from, order, &out));
    if (l->bad) return RT_OK;
    cJSON *j = rt_lower_layer(l, "pair_int8", n->name, from, 2);
    limits r = {0, 255};
    limits_of(rt_lower_shape(l, n, 0)->type, &r);
    if (!strcmp(n->op, "QLinearMul")) cJSON_AddStringToObject(j, "what", "multiply");
    set_limits(j, r);
    float *to = rt_lower_fill(l, j, "scales", 6);
    if (!to) return RT_RUN;
    for (int i = 0; i < 3; i++) to[2 * i] = g[i].scale, to[2 * i + 1] = (float)g[i].zero;
    rt_lower_give(l, n, 0, j, &out, order);
    return RT_OK;
}

/* The exact sum over all places, times fl(fl(sx / n) / sy). */
static rt_status qlinear_average(rt_lowering *l, const rt_eval_node *n)
{
    rt_lowered_value *x = rt_lower_in(l, n, 0), sums;
    grain gx, gy;
    rt_shape shape;
    int order[RT_ARRAY_RANK];
    static const int places[] = {0, 1, 2};
    const char *from;
    if (!x || !rt_lower_grain(l, n, 1, &gx) || !rt_lower_grain(l, n, 3, &gy))
        return rt_lower_no(l, "a scale depends on data");
    if (rt_lower_int(n, "channels_last", 0)) return rt_lower_no(l, "has its channels last");
    RT_TRY(rt_lower_images(l, x, order, &shape, &from));
    if (l->bad) return RT_OK;
    const size_t count = rt_shape_count(&shape) / (size_t)shape.dim[shape.rank - 1];
    if (count > 1 << 16) return rt_lower_no(l, "its sums may be above 2^24");
    const rt_shape channels = {1, {shape.dim[shape.rank - 1]}};
    cJSON *zeroed = rt_lower_layer(l, "quantize", n->name, &from, 1);
    float *one = rt_lower_fill(l, zeroed, "scale", 1), *zero = rt_lower_fill(l, zeroed, "zero", 1);
    if (!one || !zero) return RT_RUN;
    cJSON_AddStringToObject(zeroed, "form", "dequantize");
    *one = 1;
    *zero = (float)gx.zero;
    from = rt_lower_name(zeroed);
    cJSON *sum = rt_lower_layer(l, "reduce_sum", n->name, &from, 1);
    cJSON_AddItemToObject(sum, "axes", cJSON_CreateIntArray(places, shape.rank - 1));
    rt_lower_give(l, n, 0, sum, &channels, NULL);
    sums = l->v[n->out[0]];
    const float mean = gx.scale / (float)count;
    return requantized(l, n, &sums, mean / gy.scale, gy.zero);
}

/* v through a table of 256; *to: the value. */
static rt_status through(rt_lowering *l, const rt_eval_node *n, rt_lowered_value *v, int low, const float *table,
                         rt_lowered_value *to)
{
    lying x;
    RT_TRY(lie(l, v, &x));
    if (l->bad) return RT_OK;
    cJSON *j = rt_lower_layer(l, "quantize", n->name, &x.from, 1);
    cJSON_AddStringToObject(j, "form", "table");
    set_limits(j, (limits){low, low + 255});
    float *values = rt_lower_fill(l, j, "table", 256);
    if (!values) return RT_RUN;
    memcpy(values, table, 256 * sizeof *table);
    *to = *v;
    to->layer = rt_lower_name(j);
    to->shape = x.shape;
    to->base_rank = v->rank;
    memcpy(to->base, v->dim, sizeof v->dim);
    memcpy(to->order, x.order, sizeof x.order);
    return RT_OK;
}

/* A node that goes element by element over bytes: what it makes of each of them. */
static rt_status by_table(rt_lowering *l, const rt_eval_node *n)
{
    rt_lowered_value *x = rt_lower_in(l, n, 0), y;
    grain g;
    rt_array **in = rt_region_list(l->region, (size_t)l->g->values, sizeof *in), *bytes, *out[1] = {NULL};
    const int64_t all = 256;
    rt_eval *e;
    float table[256];
    if (!in) return RT_RUN;
    if (!x || !rt_lower_grain(l, n, 1, &g) || !rt_lower_grain(l, n, 3, &g))
        return rt_lower_no(l, "a scale depends on data");
    const rt_dtype type = l->row->value[n->in[0]]->type;
    const int low = type == RT_I8 ? -128 : 0;
    RT_TRY(rt_array_make(&bytes, l->region, type, 1, &all));
    for (int i = 0; i < 256; i++) rt_array_put_int(bytes, (size_t)i, low + i);
    memcpy(in, l->row->value, (size_t)l->g->values * sizeof *in);
    in[n->in[0]] = bytes;
    RT_TRY(rt_eval_new(&e, l->region));
    RT_TRY(rt_eval_one(e, l->g, n, in, out));
    for (int i = 0; i < 256; i++) table[i] = (float)rt_array_int(out[0], (size_t)i);
    RT_TRY(through(l, n, x, low, table, &y));
    if (!l->bad) l->v[n->out[0]] = y;
    return RT_OK;
}

/* The scale and zero point of Y, then each part with its own. */
static rt_status qlinear_concat(rt_lowering *l, const rt_eval_node *n)
{
    const int count = (n->inputs - 2) / 3;
    const rt_array *y = rt_lower_shape(l, n, 0);
    rt_lowered_value *part = rt_region_list(l->region, (size_t)count, sizeof *part);
    grain gy, g;
    limits r;
    int64_t axis = rt_lower_int(n, "axis", 1);
    if (!part) return RT_RUN;
    if (!rt_lower_grain(l, n, 0, &gy) || !limits_of(y->type, &r)) return rt_lower_no(l, "a scale depends on data");
    if (axis < 0) axis += y->rank;
    for (int i = 0; i < count; i++) {
        rt_lowered_value *x = rt_lower_in(l, n, 2 + 3 * i);
        float table[256];
        if (!x || !rt_lower_grain(l, n, 3 + 3 * i, &g))
            return rt_lower_no(l, "a part is a constant, or a scale depends on data");
        for (int k = 0; k < 256; k++) {
            const float v = (float)(r.low + k - g.zero) * g.scale, steps = nearbyintf(v / gy.scale) + (float)gy.zero;
            table[k] = fminf(fmaxf(steps, (float)r.low), (float)r.high);
        }
        RT_TRY(through(l, n, x, r.low, table, &part[i]));
        if (l->bad) return RT_OK;
    }
    return rt_lower_join(l, n, part, count, (int)axis);
}

#define MS "com.microsoft:"
const rt_lower_entry rt_lower_quantized[] = {{"QuantizeLinear", quantize_linear},
                                             {MS "QuantizeLinear", quantize_linear},
                                             {"DequantizeLinear", dequantize_linear},
                                             {MS "DequantizeLinear", dequantize_linear},
                                             {"QLinearConv", qlinear_conv},
                                             {"ConvInteger", conv_integer},
                                             {"QLinearMatMul", qlinear_matmul},
                                             {MS "QGemm", qgemm},
                                             {MS "QLinearAdd", qlinear_pair},
                                             {MS "QLinearMul", qlinear_pair},
                                             {MS "QLinearGlobalAveragePool", qlinear_average},
                                             {MS "QLinearConcat", qlinear_concat},
                                             {MS "QLinearSigmoid", by_table},
                                             {MS "QLinearLeakyRelu", by_table},
                                             {NULL, NULL}};
