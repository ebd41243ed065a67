/* engine/eval/eval_conv.c - convolutions as products: columns of a block of places times the kernels. ConvTranspose is
 * the same product the other way round, and its columns are added to the output. Others: eval_conv_more.c. */
#include <string.h>

#include "engine/eval/layers.h"

/* Computed in floats, or in doubles when that is the type. */
typedef struct {
    int64_t batch, channels, groups, in_group, out_group;       /* channels of input and output in a group */
    int64_t width;                          /* places at a time */
    size_t size;
    const void *x, *weight;
    void *y, *col;
    float *room;
} conv;

static rt_status product(rt_eval_call *call, const conv *v, int64_t m, int64_t n, int64_t k, const void *a,
                         ptrdiff_t ai, ptrdiff_t al, const void *b, ptrdiff_t bl, void *c, ptrdiff_t ci)
{
    if (v->size == sizeof(float)) return rt_layer_product(call, m, n, k, a, ai, al, b, bl, 1, c, ci, v->room);
    return rt_layer_product_double(call, m, n, k, a, ai, al, b, bl, 1, c, ci);
}

static void *at(const void *base, int64_t elements, const conv *v)
{ return (char *)(uintptr_t)base + (size_t)elements * v->size; }

/* Operands as floats or doubles, and a result that begins with the bias. rows: of the matrix of columns. */
static rt_status prepare(rt_eval_call *call, const rt_array *x, const rt_array *weight, const rt_array *bias,
                         int64_t rows, int64_t places, int64_t looked_at, rt_array *y, conv *v)
{
    int wide = x->type == RT_F64;
    if (weight->type != x->type || (bias && bias->type != x->type))
        return rt_fail(RT_INPUT, "input, weight and bias have different types");
    v->size = wide ? sizeof(double) : sizeof(float);
    if (wide) {
        v->x = x->data;
        v->weight = weight->data;
    } else {
        RT_TRY(rt_layer_floats(call, x, (const float **)&v->x));
        RT_TRY(rt_layer_floats(call, weight, (const float **)&v->weight));
    }
    v->y = y->type == RT_F32 || wide ? y->data : rt_eval_scratch(call, y->count, sizeof(float));
    v->room = rt_eval_scratch(call, RT_LAYER_ROOM, sizeof(float));
    v->width = rows < 256 ? 1024 : rows < 4096 ? 262144 / rows : 64;
    if (v->width > looked_at) v->width = looked_at;
    size_t columns;
    if (rows < 0 || __builtin_mul_overflow((size_t)rows, (size_t)v->width, &columns))
        return rt_fail(RT_INPUT, "the kernel is larger than memory");
    v->col = rt_eval_scratch(call, columns, v->size);
    if (!v->y || !v->room || !v->col) return RT_INPUT;
    int64_t outs = v->groups * v->out_group;
    for (int64_t line = 0; bias && line < v->batch * outs; line++)
        for (int64_t p = 0; p < places; p++) {
            double b = rt_array_double(bias, (size_t)(line % outs));
            if (wide) ((double *)v->y)[line * places + p] = b;
            else ((float *)v->y)[line * places + p] = (float)b;
        }
    return RT_OK;
}

static void finish(const conv *v, rt_array *y)
{
    if (v->y == y->data) return;
    for (size_t i = 0; i < y->count; i++) rt_array_put(y, i, ((const float *)v->y)[i]);
}

/* X (N, C, ...), W (A, B, ...), optional bias (outs); and the groups, which divide C. */
static rt_status inputs(rt_eval_call *call, const rt_array **x, const rt_array **weight, const rt_array **bias, conv *v)
{
    char tx[128], tw[128];
    RT_TRY(rt_layer_in(call, 0, RT_EVAL_FLOATS, 3, RT_ARRAY_RANK, x));
    RT_TRY(rt_layer_in(call, 1, RT_EVAL_FLOATS, (*x)->rank, (*x)->rank, weight));
    RT_TRY(rt_layer_optional(call, 2, RT_EVAL_FLOATS, 1, 1, bias));
    v->batch = (*x)->dim[0];
    v->channels = (*x)->dim[1];
    v->groups = rt_eval_int(call, "group", 1);
    if (v->groups < 1 || v->channels % v->groups)
        return rt_fail(RT_INPUT, "%lld groups of %lld channels", (long long)v->groups, (long long)v->channels);
    v->in_group = v->channels / v->groups;
    if (!v->in_group)
        return rt_fail(RT_INPUT, "no channels: %s with %s", rt_array_describe(*x, tx), rt_array_describe(*weight, tw));
    return RT_OK;
}

static rt_status outputs(rt_eval_call *call, const rt_array *x, const rt_array *bias, const rt_layer_window *w,
                         const conv *v, rt_array **y)
{
    int64_t dim[RT_ARRAY_RANK] = {v->batch, v->groups * v->out_group};
    memcpy(dim + 2, w->out, (size_t)w->n * sizeof *dim);
    RT_TRY(rt_layer_shape(bias, "the bias", x->type, 1, dim + 1));
    return rt_eval_make(call, 0, x->type, x->rank, dim, y);
}

static int is_pointwise(const rt_layer_window *w)
{
    int plain = w->taps == 1;
    for (int i = 0; i < w->n; i++) plain = plain && w->stride[i] == 1 && !w->begin[i] && !w->end[i];
    return plain;
}

static rt_status run_conv(rt_eval_call *call)
{
    const rt_array *x, *weight, *bias;
    rt_array *y;
    conv v = {0};
    rt_layer_window w = {0};
    char tx[128], tw[128];
    RT_TRY(inputs(call, &x, &weight, &bias, &v));
    RT_TRY(rt_layer_window_read(call, x->rank - 2, x->dim + 2, weight->dim + 2, 0, &w));
    v.out_group = weight->dim[0] / v.groups;
    if (weight->dim[1] != v.in_group || weight->dim[0] % v.groups)
        return rt_fail(RT_INPUT, "%s and a weight of %s in %lld groups", rt_array_describe(x, tx),
                       rt_array_describe(weight, tw), (long long)v.groups);
    RT_TRY(outputs(call, x, bias, &w, &v, &y));
    if (!y->count) return RT_OK;
    int64_t rows = v.in_group * w.taps;
    RT_TRY(prepare(call, x, weight, bias, rows, w.places, w.places, y, &v));
    for (int64_t n = 0; n < v.batch; n++)
        for (int64_t g = 0; g < v.groups; g++) {
            const void *image = at(v.x, (n * v.channels + g * v.in_group) * w.pixels, &v);
            const void *kernels = at(v.weight, g * v.out_group * rows, &v);
            void *to = at(v.y, (n * v.groups + g) * v.out_group * w.places, &v);
            if (is_pointwise(&w)) {
                RT_TRY(product(call, &v, v.out_group, w.places, rows, kernels, rows, 1, image, w.places, to, w.places));
                continue;
            }
            for (int64_t p = 0; p < w.places; p += v.width) {
                int64_t width = w.places - p < v.width ? w.places - p : v.width;
                RT_TRY(rt_eval_tick(call, (double)rows * (double)width));
                rt_layer_columns(&w, image, v.in_group, p, width, v.size, v.col);
                RT_TRY(product(call, &v, v.out_group, width, rows, kernels, rows, 1, v.col, width, at(to, p, &v),
                               w.places));
            }
        }
    finish(&v, y);
    return RT_OK;
}

/* ---- ConvTranspose ---- */

/* The output's size, and what is cut off it: total = stride (in - 1) + output_padding + extent - out, in halves. */
static rt_status transposed_size(rt_eval_call *call, rt_layer_window *w, const char *automatic)
{
    const int64_t *extra, *shape;
    int extras = rt_eval_ints(call, "output_padding", &extra), shapes = rt_eval_ints(call, "output_shape", &shape);
    int upper = !strcmp(automatic, "SAME_UPPER"), same = upper || !strcmp(automatic, "SAME_LOWER");
    if (!same && strcmp(automatic, "NOTSET") && strcmp(automatic, "VALID") && *automatic)
        return rt_fail(RT_INPUT, "auto_pad \"%s\" is unknown", automatic);
    if ((extras > 0 && extras != w->n) || (shapes > 0 && shapes != w->n))
        return rt_fail(RT_INPUT, "output_padding and output_shape must have %d numbers", w->n);
    for (int i = 0; i < w->n; i++) {
        int64_t more = extras > 0 ? extra[i] : 0, out = shapes > 0 ? shape[i] : same ? w->in[i] * w->stride[i] : -1;
        if (more < 0 || more > 1 << 30 || (shapes > 0 && (out < 0 || out > 1 << 30)))
            return rt_fail(RT_INPUT, "output_padding or output_shape is out of range");
        int64_t full = w->in[i] ? w->stride[i] * (w->in[i] - 1) + w->dilation[i] * (w->kernel[i] - 1) + 1 + more : more;
        if (shapes > 0 || same) {
            int64_t cut = full > out ? full - out : 0;
            w->begin[i] = upper ? cut / 2 : cut - cut / 2;
            w->end[i] = cut - w->begin[i];
        } else {
            out = full - w->begin[i] - w->end[i];
        }
        if (out < 0) return rt_fail(RT_INPUT, "pads cut off more than there is");
        w->out[i] = out;
    }
    return RT_OK;
}

static rt_status run_conv_transpose(rt_eval_call *call)
{
    const rt_array *x, *weight, *bias;
    const char *automatic;
    rt_array *y;
    conv v = {0};
    rt_layer_window w = {0};
    char tx[128], tw[128];
    RT_TRY(inputs(call, &x, &weight, &bias, &v));
    RT_TRY(rt_layer_window_parts(call, x->rank - 2, x->dim + 2, weight->dim + 2, 0, &w, &automatic));
    RT_TRY(transposed_size(call, &w, automatic));
    if (weight->dim[0] != v.channels)
        return rt_fail(RT_INPUT, "%s and a weight of %s", rt_array_describe(x, tx), rt_array_describe(weight, tw));
    v.out_group = weight->dim[1];
    if (v.out_group > INT64_MAX / v.groups) return rt_fail(RT_INPUT, "too many groups");
    RT_TRY(outputs(call, x, bias, &w, &v, &y));
    if (!y->count) return RT_OK;
    for (int i = 0; i < w.n; i++) {         /* seen from the output: its places are the input's pixels */
        int64_t in = w.in[i];
        w.in[i] = w.out[i];
        w.out[i] = in;
    }
    int64_t looked_at = w.pixels, places = 1, rows;
    for (int i = 0; i < w.n; i++) places *= w.in[i];
    w.pixels = places;
    if (__builtin_mul_overflow(v.out_group, w.taps, &rows)) rows = -1;
    RT_TRY(prepare(call, x, weight, bias, rows, places, looked_at, y, &v));
    for (int64_t n = 0; n < v.batch; n++)
        for (int64_t g = 0; g < v.groups; g++)
            for (int64_t p = 0; p < looked_at; p += v.width) {
                int64_t width = looked_at - p < v.width ? looked_at - p : v.width;
                memset(v.col, 0, (size_t)(rows * width) * v.size);
                RT_TRY(product(call, &v, rows, width, v.in_group, at(v.weight, g * v.in_group * rows, &v), 1, rows,
                               at(v.x, (n * v.channels + g * v.in_group) * looked_at + p, &v), looked_at, v.col,
                               width));
                rt_layer_columns_add(&w, v.col, v.out_group, p, width, v.size == sizeof(float) ? RT_F32 : RT_F64,
                                     at(v.y, (n * v.groups + g) * v.out_group * places, &v));
                RT_TRY(rt_eval_tick(call, (double)rows * (double)width));
            }
    finish(&v, y);
    return RT_OK;
}

const rt_eval_op rt_eval_conv_ops[] = {
    {"", "Conv", 1, 2, 3, 1, run_conv, 0},
    {"", "ConvTranspose", 1, 2, 3, 1, run_conv_transpose, 0},
    {"", "DeformConv", 19, 3, 5, 1, rt_eval_deform_conv, 0},
    {"", "CausalConvWithState", 27, 2, 4, 2, rt_eval_causal_conv, 0},
    {"", "Col2Im", 18, 3, 3, 1, rt_eval_col2im, 0},
    {NULL, NULL, 0, 0, 0, 0, NULL, 0}};
