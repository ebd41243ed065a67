/* engine/eval/eval_bytes.c - operators of domain com.microsoft that are others with their inputs, or inputs and output,
 * as integers with a scale and a zero point: what ONNX Runtime's quantizer and its layout of integers write.
 *
 * Source: github.com/microsoft/onnxruntime, docs/ContribOperators.md, and where that leaves it open, what its kernels
 * for CPUs answer. Attention and embeddings without a past, as in floats. */
#include <math.h>
#include <string.h>

#include "engine/eval/eval_elements.h"
#include "engine/eval/eval_quant.h"
#include "engine/eval/layers.h"

/* Another operator, with these inputs, into out; it reads the node's attributes. */
static rt_status as(rt_eval_call *c, rt_status (*run)(rt_eval_call *), int version, const rt_array *const *in,
                    int inputs, rt_array **out, int outputs)
{
    rt_eval_call inner = *c;
    inner.version = version;
    inner.in = in;
    inner.inputs = inputs;
    inner.out = out;
    inner.outputs = outputs;
    const rt_status st = run(&inner);
    c->read |= inner.read;
    return st;
}

/* Input i as floats (x - zero) scale; scale and zero point of inputs `scale` and `zero` (which may be missing), one of
 * each or one a column of the last axis. */
static rt_status real(rt_eval_call *c, int i, int scale, int zero, rt_array **to)
{
    const rt_array *x, *s, *z;
    RT_TRY(rt_eval_need(c, i, RT_EVAL_BYTES, &x));
    RT_TRY(rt_eval_need(c, scale, 1u << RT_F32, &s));
    RT_TRY(rt_eval_may(c, zero, 1u << x->type, &z));
    size_t columns = x->rank ? (size_t)x->dim[x->rank - 1] : 1;
    if ((s->count != 1 && s->count != columns) || (z && z->count != 1 && z->count != columns))
        return rt_fail(RT_INPUT, "inputs %d and %d are neither one nor one a column", scale, zero);
    RT_TRY(rt_eval_temp(c, RT_F32, x->rank, x->dim, to));
    for (size_t k = 0; k < x->count; k++) {
        size_t column = k % columns;
        int64_t whole = rt_array_int(x, k) - (z ? rt_array_int(z, z->count > 1 ? column : 0) : 0);
        ((float *)(*to)->data)[k] = (float)whole * ((const float *)s->data)[s->count > 1 ? column : 0];
    }
    return RT_OK;
}

/* Output 0 is x in steps of `type` with the scale and zero point of inputs i and i + 1. */
static rt_status whole(rt_eval_call *c, const rt_array *x, rt_dtype type, int i)
{
    float scale;
    int64_t zero;
    rt_array *y;
    RT_TRY(rt_eval_scale(c, i, &scale));
    RT_TRY(rt_eval_zero(c, i + 1, 1u << type, &zero, &type));
    RT_TRY(rt_eval_like(c, 0, type, x, &y));
    for (size_t k = 0; k < x->count; k++)
        rt_array_put_int(y, k, rt_eval_saturate(type, (double)nearbyintf(((const float *)x->data)[k] / scale) +
                                                          (double)zero));
    return RT_OK;
}

/* Channels from the last place to the second, or back. */
static rt_status move_channels(rt_eval_call *c, const rt_array *x, int to_second, rt_array **y)
{
    int64_t dim[RT_ARRAY_RANK];
    const int last = x->rank - 1;
    if (x->rank < 3) return rt_fail(RT_INPUT, "the input has %d axes, not 3 or more", x->rank);
    dim[0] = x->dim[0];
    for (int i = 1; i <= last; i++) dim[i] = to_second ? x->dim[i == 1 ? last : i - 1] : x->dim[i == last ? 1 : i + 1];
    RT_TRY(rt_eval_temp(c, x->type, x->rank, dim, y));
    const size_t size = rt_dtype_size(x->type), n = x->count && x->dim[0] ? x->count / (size_t)x->dim[0] : 0;
    const size_t wide = (size_t)(to_second ? x->dim[last] : x->dim[1]), pixels = wide ? n / wide : 0;
    for (size_t k = 0; k < x->count; k++) {
        const size_t row = k / n * n, channel = to_second ? k % wide : k % n / pixels,
                     pixel = to_second ? k % n / wide : k % pixels;
        const size_t to = row + (to_second ? channel * pixels + pixel : pixel * wide + channel);
        memcpy((char *)(*y)->data + to * size, (const char *)x->data + k * size, size);
    }
    return RT_OK;
}

/* An operator over images whose inputs from 1 on stay as they are, over one whose channels come last. */
static rt_status channels_last(rt_eval_call *c, const char *op, int version)
{
    const rt_array **in = rt_eval_scratch(c, (size_t)c->inputs, sizeof *in), *x;
    const rt_eval_op *other = rt_eval_find("", op, version);
    rt_array *first, *out[1] = {NULL}, *y;
    if (!in || !other) return RT_INPUT;
    RT_TRY(rt_eval_need(c, 0, RT_EVAL_NUMBERS, &x));
    memcpy(in, c->in, (size_t)c->inputs * sizeof *in);
    RT_TRY(move_channels(c, x, 1, &first));
    in[0] = first;
    RT_TRY(as(c, other->run, version, in, c->inputs, out, 1));
    RT_TRY(move_channels(c, out[0], 0, &y));
    return rt_eval_view(c, 0, y, y->rank, y->dim);
}

rt_status rt_eval_nhwc_max_pool(rt_eval_call *c) { return channels_last(c, "MaxPool", 12); }

rt_status rt_eval_qlinear_conv_last(rt_eval_call *c)
{
    if (rt_eval_int(c, "channels_last", 0)) return channels_last(c, "QLinearConv", 10);
    return rt_eval_qlinear_conv(c);
}

/* The mean of what a window at place o sees of an image of floats, in floats; of all its taps with `padded`. */
static float window_mean(const rt_layer_window *w, const float *x, const int64_t *o, int padded)
{
    int64_t from[RT_LAYER_SPACE], to[RT_LAYER_SPACE], k[RT_LAYER_SPACE], seen = 1;
    float sum = 0;
    for (int d = 0; d < w->n; d++) {
        rt_layer_window_taps(w, d, o[d], &from[d], &to[d]);
        k[d] = from[d];
        seen *= to[d] > from[d] ? to[d] - from[d] : 0;
    }
    for (int64_t i = 0; i < seen; i++) {
        int64_t at = 0;
        for (int d = 0; d < w->n; d++) at = at * w->in[d] + o[d] * w->stride[d] - w->begin[d] + k[d] * w->dilation[d];
        sum += x[at];
        for (int d = w->n - 1; d >= 0 && ++k[d] == to[d]; d--) k[d] = from[d];
    }
    return seen ? sum / (float)(padded ? w->taps : seen) : 0;
}

/* X, its scale and zero point, Y's: y = sat(rne(mean / sy + zy)). */
rt_status rt_eval_qlinear_pool(rt_eval_call *c)
{
    const int last = rt_eval_int(c, "channels_last", 0) != 0, padded = rt_eval_int(c, "count_include_pad", 0) != 0;
    rt_layer_window w = {.ceil = rt_eval_int(c, "ceil_mode", 0) != 0};
    rt_array *x, *y;
    float sy;
    int64_t zy;
    RT_TRY(real(c, 0, 1, 2, &x));
    rt_dtype type = rt_eval_in(c, 0)->type;
    RT_TRY(rt_eval_scale(c, 3, &sy));
    RT_TRY(rt_eval_zero(c, 4, 1u << type, &zy, &type));
    if (x->rank < 3) return rt_fail(RT_INPUT, "the input has %d axes, not 3 or more", x->rank);
    if (last) RT_TRY(move_channels(c, x, 1, &x));
    RT_TRY(rt_layer_window_read(c, x->rank - 2, x->dim + 2, NULL, RT_LAYER_NO_DILATION, &w));
    int64_t dim[RT_ARRAY_RANK] = {x->dim[0], x->dim[1]};
    memcpy(dim + 2, w.out, (size_t)w.n * sizeof *dim);
    RT_TRY(rt_eval_temp(c, type, x->rank, dim, &y));
    int64_t o[RT_LAYER_SPACE] = {0};
    for (size_t k = 0; k < y->count; k++) {
        const float *image = (const float *)x->data + (int64_t)k / w.places * w.pixels;
        const float mean = window_mean(&w, image, o, padded);
        rt_array_put_int(y, k, rt_eval_saturate(type, (double)nearbyintf(mean / sy + (float)zy)));
        RT_TRY(rt_eval_tick(c, 8 + 4 * (double)w.taps));
        for (int d = w.n - 1; d >= 0 && ++o[d] == w.out[d]; d--) o[d] = 0;
    }
    if (last) RT_TRY(move_channels(c, y, 0, &y));
    return rt_eval_view(c, 0, y, y->rank, y->dim);
}

/* Each element of X or Y in the steps of Z. */
rt_status rt_eval_qlinear_where(rt_eval_call *c)
{
    const rt_array *in[3];
    rt_array *side[2], *z;
    int64_t dim[RT_ARRAY_RANK];
    int rank;
    rt_walk w;
    size_t k = 0;
    RT_TRY(rt_eval_need(c, 0, 1u << RT_BOOL, &in[0]));
    for (int i = 0; i < 2; i++) {
        RT_TRY(real(c, 1 + 3 * i, 2 + 3 * i, 3 + 3 * i, &side[i]));
        in[1 + i] = side[i];
    }
    if (rt_eval_in(c, 1)->type != rt_eval_in(c, 4)->type) return rt_fail(RT_INPUT, "X and Y are of two types");
    RT_TRY(rt_array_broadcast(in, 3, &rank, dim));
    RT_TRY(rt_eval_temp(c, RT_F32, rank, dim, &z));
    for (rt_walk_begin(&w, rank, dim, in, 3); w.left; rt_walk_next(&w), k++) {
        const int at = rt_array_int(in[0], w.pos[0]) ? 1 : 2;
        ((float *)z->data)[k] = ((const float *)in[at]->data)[w.pos[at]];
    }
    return whole(c, z, rt_eval_in(c, 1)->type, 7);
}

/* e[i] = exp((i - 255) scale + what keeps a sum of n of them below 2^126 or so), in floats, of differences from the
 * greatest x; y = sat(rne(e floor(1 / sy) / sum) + zy). Before opset 13 over all axes from `axis` on. */
rt_status rt_eval_qlinear_softmax(rt_eval_call *c)
{
    const int64_t opset = rt_eval_int(c, "opset", 13), given = rt_eval_int(c, "axis", opset < 13 ? 1 : -1);
    const rt_array *x;
    rt_array *y;
    float sx, sy, table[256];
    int64_t zx, zy;
    rt_dtype type;
    int axis;
    size_t outer, n, inner;
    RT_TRY(rt_eval_need(c, 0, RT_EVAL_BYTES, &x));
    type = x->type;
    RT_TRY(rt_eval_scale(c, 1, &sx));
    RT_TRY(rt_eval_zero(c, 2, 1u << type, &zx, &type));
    RT_TRY(rt_eval_scale(c, 3, &sy));
    RT_TRY(rt_eval_zero(c, 4, 1u << type, &zy, &type));
    RT_TRY(rt_eval_axis(given, x->rank, &axis));
    RT_TRY(rt_eval_like(c, 0, type, x, &y));
    if (!x->count) return RT_OK;
    rt_eval_around(x, axis, &outer, &n, &inner);
    if (opset < 13) {
        n *= inner;
        inner = 1;
    }
    const float per = floorf(1.0f / sy);
    const double more = fmax(0, log((double)(3.40282347e38f / (float)n)) - 5) / (double)sx;
    for (int i = 0; i < 256; i++) table[i] = (float)exp(((double)i - 255 + more) * (double)sx);
    for (size_t o = 0; o < outer * inner; o++) {
        const size_t first = o / inner * n * inner + o % inner;
        int64_t most = INT64_MIN;
        float sum = 0;
        for (size_t i = 0; i < n; i++) {
            const int64_t v = rt_array_int(x, first + i * inner);
            most = v > most ? v : most;
        }
        for (size_t i = 0; i < n; i++) sum += table[255 + rt_array_int(x, first + i * inner) - most];
        for (size_t i = 0; i < n && sum != 0; i++) {
            const float e = table[255 + rt_array_int(x, first + i * inner) - most] * per;
            rt_array_put_int(y, first + i * inner, rt_eval_saturate(type, (double)nearbyintf(e / sum) + (double)zy));
        }
        RT_TRY(rt_eval_tick(c, 8 * (double)n));
    }
    return RT_OK;
}

/* Attention whose input and weight are bytes. */
rt_status rt_eval_qattention(rt_eval_call *c)
{
    rt_array *x, *w;
    if (rt_eval_in(c, 8)) return rt_fail(RT_INPUT, "attention with a past is not supported");
    RT_TRY(real(c, 0, 3, 6, &x));
    RT_TRY(real(c, 1, 4, 7, &w));
    const rt_array *in[4] = {x, w, rt_eval_in(c, 2), rt_eval_in(c, 5)};
    return as(c, rt_eval_fused_attention, 1, in, in[3] ? 4 : 3, c->out, c->outputs);
}

/* Layer norm of embeddings whose tables and weights are bytes. */
rt_status rt_eval_qembed(rt_eval_call *c)
{
    const rt_array *in[8] = {rt_eval_in(c, 0), rt_eval_in(c, 1)};
    for (int i = 0; i < 5; i++) {           /* words, positions, segments, gamma, beta */
        rt_array *table = NULL;
        if (i != 2 || rt_eval_in(c, 4)) RT_TRY(real(c, 2 + i, 8 + i, 13 + i, &table));
        in[2 + i] = table;
    }
    in[7] = rt_eval_in(c, 7);
    return as(c, rt_eval_embed_layer_norm, 1, in, in[7] ? 8 : 7, c->out, c->outputs);
}

/* ---- weights of few bits ---- */

/* Element i of codes of `bits` bits, the first in the lowest. */
static int64_t code_at(const rt_array *a, size_t first_byte, size_t i, int bits)
{
    const size_t each = (size_t)(8 / bits);
    return ((const uint8_t *)a->data)[first_byte + i / each] >> (i % each * (size_t)bits) & ((1 << bits) - 1);
}

/* (columns, rows) -> the matrix (rows, columns) of floats: (code - zero) scale, a scale for each block of a column. */
static rt_status nbits_weight(rt_eval_call *c, int64_t rows, int64_t columns, rt_array **to)
{
    const int64_t bits = rt_eval_int(c, "bits", 4), block = rt_eval_int(c, "block_size", 0);
    const rt_array *b, *scale, *zero;
    RT_TRY(rt_eval_need(c, 1, 1u << RT_U8, &b));
    RT_TRY(rt_eval_need(c, 2, RT_EVAL_FLOATS, &scale));
    RT_TRY(rt_eval_may(c, 3, RT_EVAL_FLOATS | 1u << RT_U8, &zero));
    if ((bits != 2 && bits != 4 && bits != 8) || block < 16 || block > 1 << 20 || block & (block - 1))
        return rt_fail(RT_INPUT, "%lld bits in blocks of %lld", (long long)bits, (long long)block);
    if (rows < 1 || columns < 1 || rows > 1 << 28 || columns > 1 << 28)
        return rt_fail(RT_INPUT, "K is %lld and N %lld", (long long)rows, (long long)columns);
    const int64_t blocks = (rows + block - 1) / block, bytes = block * bits / 8, zeros = (blocks * bits + 7) / 8;
    if (b->count != (size_t)(columns * blocks * bytes) || scale->count != (size_t)(columns * blocks) ||
        (zero && zero->count != (size_t)(columns * (zero->type == RT_U8 ? zeros : blocks))))
        return rt_fail(RT_INPUT, "B, its scales or its zero points have not the size of %lld x %lld", (long long)rows,
                       (long long)columns);
    const int64_t dim[2] = {rows, columns};
    RT_TRY(rt_eval_temp(c, RT_F32, 2, dim, to));
    for (int64_t n = 0; n < columns; n++)
        for (int64_t k = 0; k < rows; k++) {
            const size_t at = (size_t)(n * blocks + k / block);
            const double z = !zero ? 1 << (bits - 1) : zero->type != RT_U8 ? rt_array_double(zero, at) :
                             (double)code_at(zero, (size_t)(n * zeros), (size_t)(k / block), (int)bits);
            const double code = (double)code_at(b, at * (size_t)bytes, (size_t)(k % block), (int)bits);
            ((float *)(*to)->data)[k * columns + n] = (float)((code - z) * rt_array_double(scale, at));
        }
    return rt_eval_tick(c, 8 * (double)rows * (double)columns);
}

rt_status rt_eval_matmul_nbits(rt_eval_call *c)
{
    const int64_t rows = rt_eval_int(c, "K", 0), columns = rt_eval_int(c, "N", 0);
    const rt_array *a, *bias;
    rt_array *weight, *real_a, *sum, *y;
    rt_eval_int(c, "accuracy_level", 0);    /* how coarse a kernel may be; here it is exact */
    if (rt_eval_int(c, "weight_prepacked", 0) || rt_eval_in(c, 4))
        return rt_fail(RT_INPUT, "weight_prepacked and g_idx are not supported");
    RT_TRY(rt_eval_need(c, 0, 1u << RT_F32 | 1u << RT_F16, &a));
    RT_TRY(rt_eval_may(c, 5, 1u << a->type, &bias));
    RT_TRY(nbits_weight(c, rows, columns, &weight));
    if (bias && bias->count != (size_t)columns) return rt_fail(RT_INPUT, "the bias is not one a column");
    if (!a->rank || a->dim[a->rank - 1] != rows) return rt_fail(RT_INPUT, "the rows of A have not K numbers");
    RT_TRY(rt_eval_temp(c, RT_F32, a->rank, a->dim, &real_a));
    for (size_t i = 0; i < a->count; i++) rt_array_put(real_a, i, rt_array_double(a, i));
    RT_TRY(rt_eval_product(c, real_a, weight, &sum));
    RT_TRY(rt_eval_like(c, 0, a->type, sum, &y));
    for (size_t i = 0; i < sum->count; i++)
        rt_array_put(y, i, rt_array_double(sum, i) + (bias ? rt_array_double(bias, i % (size_t)columns) : 0));
    return RT_OK;
}
