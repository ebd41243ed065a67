/* engine/eval/eval_conv_more.c - DeformConv, CausalConvWithState, Col2Im. */
#include <math.h>
#include <string.h>

#include "engine/eval/layers.h"

/* ---- DeformConv ---- */

typedef struct {
    rt_layer_window w;
    int64_t batch, channels, groups, offset_groups, outs, rows;
    const double *x, *offset, *mask;
    double *col;                            /* (rows, places of a block) */
} deform;

/* The image at a point by linear interpolation between the pixels around it; those outside are 0. */
static double sample(const rt_layer_window *w, const double *image, const double *point)
{
    double sum = 0;
    for (int corner = 0; corner < 1 << w->n; corner++) {
        double share = 1;
        int64_t pixel = 0;
        for (int d = 0; d < w->n && share != 0; d++) {
            double low = floor(point[d]), at = low + (corner >> d & 1);
            share *= corner >> d & 1 ? point[d] - low : 1 - (point[d] - low);
            if (!(at >= 0 && at < (double)w->in[d])) share = 0;
            else pixel = pixel * w->in[d] + (int64_t)at;
        }
        if (share != 0) sum += share * image[pixel];
    }
    return sum;
}

/* One line of the matrix of columns: tap k of a channel at places [first, first + width). */
static void sampled_line(const deform *f, int64_t n, int64_t channel, int64_t k, int64_t first, int64_t width,
                         double *to)
{
    const rt_layer_window *w = &f->w;
    int64_t group = n * f->offset_groups + channel / (f->channels / f->offset_groups);
    const double *offset = f->offset + (group * w->taps + k) * w->n * w->places;
    const double *mask = f->mask ? f->mask + (group * w->taps + k) * w->places : NULL;
    for (int64_t p = first; p < first + width; p++) {
        double point[RT_LAYER_SPACE];
        int64_t o = p, tap = k;
        for (int d = w->n - 1; d >= 0; d--) {
            point[d] = (double)(o % w->out[d] * w->stride[d] - w->begin[d] + tap % w->kernel[d] * w->dilation[d]) +
                       offset[d * w->places + p];
            o /= w->out[d];
            tap /= w->kernel[d];
        }
        *to++ = sample(w, f->x + (n * f->channels + channel) * w->pixels, point) * (mask ? mask[p] : 1);
    }
}

static rt_status deform_read(rt_eval_call *call, const rt_array **x, const rt_array **weight, const rt_array **bias,
                             deform *f)
{
    const rt_array *offset, *mask;
    char tx[128], tw[128];
    RT_TRY(rt_layer_in(call, 0, RT_EVAL_FLOATS, 3, RT_ARRAY_RANK, x));
    int rank = (*x)->rank;
    RT_TRY(rt_layer_in(call, 1, RT_EVAL_FLOATS, rank, rank, weight));
    RT_TRY(rt_layer_in(call, 2, RT_EVAL_FLOATS, rank, rank, &offset));
    RT_TRY(rt_layer_optional(call, 3, RT_EVAL_FLOATS, 1, 1, bias));
    RT_TRY(rt_layer_optional(call, 4, RT_EVAL_FLOATS, rank, rank, &mask));
    RT_TRY(rt_layer_window_read(call, rank - 2, (*x)->dim + 2, (*weight)->dim + 2, RT_LAYER_NO_AUTO_PAD, &f->w));
    f->batch = (*x)->dim[0];
    f->channels = (*x)->dim[1];
    f->outs = (*weight)->dim[0];
    f->groups = rt_eval_int(call, "group", 1);
    f->offset_groups = rt_eval_int(call, "offset_group", 1);
    if (f->groups < 1 || f->offset_groups < 1 || !f->channels || f->channels % f->groups ||
        f->channels % f->offset_groups || f->outs % f->groups || (*weight)->dim[1] != f->channels / f->groups)
        return rt_fail(RT_INPUT, "%s and a weight of %s in %lld groups, with %lld groups of offsets",
                       rt_array_describe(*x, tx), rt_array_describe(*weight, tw), (long long)f->groups,
                       (long long)f->offset_groups);
    int64_t dim[RT_ARRAY_RANK] = {f->batch}, mask_dim[RT_ARRAY_RANK];
    memcpy(dim + 2, f->w.out, (size_t)f->w.n * sizeof *dim);
    memcpy(mask_dim, dim, sizeof dim);
    if (__builtin_mul_overflow(f->offset_groups, f->w.taps, &mask_dim[1]) ||
        __builtin_mul_overflow(mask_dim[1], f->w.n, &dim[1]))
        return rt_fail(RT_INPUT, "too many groups of offsets");
    RT_TRY(rt_layer_shape(offset, "the offset", (*x)->type, rank, dim));
    RT_TRY(rt_layer_shape(mask, "the mask", (*x)->type, rank, mask_dim));
    RT_TRY(rt_layer_shape(*bias, "the bias", (*x)->type, 1, &f->outs));
    RT_TRY(rt_layer_doubles(call, *x, &f->x));
    RT_TRY(rt_layer_doubles(call, offset, &f->offset));
    return mask ? rt_layer_doubles(call, mask, &f->mask) : RT_OK;
}

rt_status rt_eval_deform_conv(rt_eval_call *call)
{
    const rt_array *x, *weight, *bias;
    const double *kernels;
    deform f = {0};
    enum { WIDTH = 128 };
    RT_TRY(deform_read(call, &x, &weight, &bias, &f));
    if (weight->type != x->type) return rt_fail(RT_INPUT, "input and weight have different types");
    int64_t in_group = f.channels / f.groups, out_group = f.outs / f.groups, rows = in_group * f.w.taps;
    int64_t dim[RT_ARRAY_RANK] = {f.batch, f.outs};
    memcpy(dim + 2, f.w.out, (size_t)f.w.n * sizeof *dim);
    rt_array *y;
    RT_TRY(rt_eval_make(call, 0, x->type, x->rank, dim, &y));
    if (!y->count) return RT_OK;
    RT_TRY(rt_layer_doubles(call, weight, &kernels));
    f.col = rt_eval_scratch(call, (size_t)rows, WIDTH * sizeof(double));
    double *sums = rt_eval_scratch(call, (size_t)out_group, WIDTH * sizeof(double));
    if (!f.col || !sums) return RT_INPUT;
    for (int64_t n = 0; n < f.batch; n++)
        for (int64_t g = 0; g < f.groups; g++)
            for (int64_t p = 0; p < f.w.places; p += WIDTH) {
                int64_t width = f.w.places - p < WIDTH ? f.w.places - p : WIDTH;
                for (int64_t r = 0; r < rows; r++) {
                    RT_TRY(rt_eval_tick(call, 32 * (double)width));
                    sampled_line(&f, n, g * in_group + r / f.w.taps, r % f.w.taps, p, width, f.col + r * width);
                }
                for (int64_t m = 0; m < out_group; m++)
                    for (int64_t i = 0; i < width; i++)
                        sums[m * width + i] = bias ? rt_array_double(bias, (size_t)(g * out_group + m)) : 0;
                RT_TRY(rt_layer_product_double(call, out_group, width, rows, kernels + g * out_group * rows, rows, 1,
                                               f.col, width, 1, sums, width));
                for (int64_t m = 0; m < out_group; m++)
                    rt_layer_store(y, (size_t)((n * f.outs + g * out_group + m) * f.w.places + p), 1, sums + m * width,
                                   (size_t)width);
            }
    return RT_OK;
}

/* ---- CausalConvWithState ---- */

/* Each channel by itself: y[t] = act(bias + sum over k of weight[k] z[t + k]), z the state of the last taps - 1
 * elements and then the input; the new state is the end of z. */
rt_status rt_eval_causal_conv(rt_eval_call *call)
{
    const rt_array *x, *weight, *bias, *past;
    rt_array *y, *present;
    const unsigned types = 1 << RT_F32 | 1 << RT_F16 | 1 << RT_BF16;
    const char *act = rt_eval_string(call, "activation", "none");
    int silu = !strcmp(act, "silu") || !strcmp(act, "swish");
    if (!silu && strcmp(act, "none")) return rt_fail(RT_INPUT, "activation \"%s\" is unknown", act);
    RT_TRY(rt_layer_in(call, 0, types, 3, 3, &x));
    RT_TRY(rt_layer_in(call, 1, types, 3, 3, &weight));
    RT_TRY(rt_layer_optional(call, 2, types, 1, 1, &bias));
    RT_TRY(rt_layer_optional(call, 3, types, 3, 3, &past));
    int64_t taps = weight->dim[2], length = x->dim[2], state = taps - 1;
    if (taps < 1) return rt_fail(RT_INPUT, "a kernel without elements");
    RT_TRY(rt_layer_shape(weight, "the weight", x->type, 3, (int64_t[]){x->dim[1], 1, taps}));
    RT_TRY(rt_layer_shape(bias, "the bias", x->type, 1, x->dim + 1));
    RT_TRY(rt_layer_shape(past, "the state", x->type, 3, (int64_t[]){x->dim[0], x->dim[1], state}));
    RT_TRY(rt_eval_like(call, 0, x->type, x, &y));
    RT_TRY(rt_eval_make(call, 1, x->type, 3, (int64_t[]){x->dim[0], x->dim[1], state}, &present));
    double *z = rt_eval_scratch(call, (size_t)(state + length), sizeof *z);
    double *w = rt_eval_scratch(call, (size_t)taps, sizeof *w);
    double *out = rt_eval_scratch(call, (size_t)length, sizeof *out);
    if (!z || !w || !out) return RT_INPUT;
    for (int64_t line = 0; line < x->dim[0] * x->dim[1]; line++) {
        int64_t channel = line % x->dim[1];
        RT_TRY(rt_eval_tick(call, (double)length * (double)taps));
        if (past) rt_layer_load(z, past, (size_t)(line * state), 1, (size_t)state);
        rt_layer_load(z + state, x, (size_t)(line * length), 1, (size_t)length);
        rt_layer_load(w, weight, (size_t)(channel * taps), 1, (size_t)taps);
        for (int64_t t = 0; t < length; t++) {
            double sum = bias ? rt_array_double(bias, (size_t)channel) : 0;
            for (int64_t k = 0; k < taps; k++) sum += w[k] * z[t + k];
            out[t] = silu ? sum / (1 + exp(-sum)) : sum;
        }
        rt_layer_store(y, (size_t)(line * length), 1, out, (size_t)length);
        rt_layer_store(present, (size_t)(line * state), 1, z + length, (size_t)state);
    }
    return RT_OK;
}

/* ---- Col2Im ---- */

/* (N, C taps, L) to (N, C, image): every element is added to the pixel that its place and tap look at. */
rt_status rt_eval_col2im(rt_eval_call *call)
{
    const rt_array *x;
    rt_array *y;
    const int64_t *image, *block;
    int n, blocks;
    char text[128];
    rt_layer_window w = {0};
    RT_TRY(rt_layer_in(call, 0, RT_EVAL_NUMBERS | 1 << RT_BOOL, 3, 3, &x));
    RT_TRY(rt_eval_list(call, 1, &image, &n));
    RT_TRY(rt_eval_list(call, 2, &block, &blocks));
    if (n < 1 || n > RT_LAYER_SPACE || blocks != n)
        return rt_fail(RT_INPUT, "an image of %d and a block of %d dimensions", n, blocks);
    for (int i = 0; i < n; i++)
        if (image[i] < 0) return rt_fail(RT_INPUT, "the image's dimension %d is %lld", i, (long long)image[i]);
    int64_t dim[RT_ARRAY_RANK] = {x->dim[0]};
    size_t count, bytes;
    memcpy(dim + 2, image, (size_t)n * sizeof *dim);
    RT_TRY(rt_array_size(RT_F64, n, image, &count, &bytes));
    RT_TRY(rt_layer_window_read(call, n, image, block, RT_LAYER_NO_AUTO_PAD | RT_LAYER_NO_KERNEL, &w));
    if (x->dim[1] % w.taps || x->dim[2] != w.places)
        return rt_fail(RT_INPUT, "%s does not hold blocks of %lld at %lld places", rt_array_describe(x, text),
                       (long long)w.taps, (long long)w.places);
    dim[1] = x->dim[1] / w.taps;
    RT_TRY(rt_eval_make(call, 0, x->type, n + 2, dim, &y));
    if (!y->count || !x->count) return RT_OK;
    int real = rt_array_is_float(x);
    size_t block_count = (size_t)(x->dim[1] * x->dim[2]), image_count = (size_t)(dim[1] * w.pixels);
    double *from = rt_eval_scratch(call, block_count, sizeof *from);
    double *to = rt_eval_scratch(call, image_count, sizeof *to);
    if (!from || !to) return RT_INPUT;
    for (size_t b = 0; b < (size_t)x->dim[0]; b++) {
        RT_TRY(rt_eval_tick(call, 4 * (double)block_count));
        memset(to, 0, image_count * sizeof *to);
        if (real) rt_layer_load(from, x, b * block_count, 1, block_count);
        else
            for (size_t i = 0; i < block_count; i++)
                ((uint64_t *)(void *)from)[i] = (uint64_t)rt_array_int(x, b * block_count + i);
        rt_layer_columns_add(&w, from, dim[1], 0, w.places, real ? RT_F64 : RT_U64, to);
        if (real) rt_layer_store(y, b * image_count, 1, to, image_count);
        else
            for (size_t i = 0; i < image_count; i++)
                rt_array_put_int(y, b * image_count + i, (int64_t)((uint64_t *)(void *)to)[i]);
    }
    return RT_OK;
}
