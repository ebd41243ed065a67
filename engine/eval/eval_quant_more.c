/* Operators of domain com.microsoft that exports of ONNX Runtime's quantizer and optimizer carry. */
#include <math.h>
#include <string.h>

#include "engine/eval/eval_elements.h"
#include "engine/eval/eval_math.h"
#include "engine/eval/eval_quant.h"

/* A scale and a zero point of inputs i and i + 1, of the type of what they belong to. */
static rt_status grain(rt_eval_call *c, int i, rt_dtype type, float *scale, int64_t *zero)
{
    RT_TRY(rt_eval_scale(c, i, scale));
    return rt_eval_zero(c, i + 1, 1u << type, zero, &type);
}

/* QLinearAdd: sat(rne(fma(a, ra, fma(b, rb, zc - fma(ra, za, fl(rb zb)))))), ra = fl(sa / sc);
 * QLinearMul: sat(rne(fl(fl(fl((a - za)(b - zb)) fl(fl(sa sb) / sc)) + zc))). */
rt_status rt_eval_qlinear_pair(rt_eval_call *c)
{
    int product = !strcmp(c->node->op, "QLinearMul");
    const rt_array *in[2];
    rt_array *y;
    float s[3];
    int64_t z[3], dim[RT_ARRAY_RANK];
    int rank;
    rt_walk w;
    size_t i = 0;
    RT_TRY(rt_eval_need(c, 0, RT_EVAL_BYTES, &in[0]));
    rt_dtype type = in[0]->type;
    RT_TRY(rt_eval_need(c, 3, 1u << type, &in[1]));
    RT_TRY(grain(c, 1, type, &s[0], &z[0]));
    RT_TRY(grain(c, 4, type, &s[1], &z[1]));
    RT_TRY(grain(c, 6, type, &s[2], &z[2]));
    RT_TRY(rt_array_broadcast(in, 2, &rank, dim));
    RT_TRY(rt_eval_make(c, 0, type, rank, dim, &y));
    float ra = s[0] / s[2], rb = s[1] / s[2], m = s[0] * s[1] / s[2];
    float fixed = (float)z[2] - fmaf(ra, (float)z[0], rb * (float)z[1]);
    for (rt_walk_begin(&w, rank, dim, in, 2); w.left; rt_walk_next(&w), i++) {
        int64_t a = rt_array_int(in[0], w.pos[0]), b = rt_array_int(in[1], w.pos[1]);
        float v = product ? (float)((a - z[0]) * (b - z[1])) * m + (float)z[2]
                          : fmaf((float)a, ra, fmaf((float)b, rb, fixed));
        rt_array_put_int(y, i, rt_eval_saturate(type, nearbyintf(v)));
    }
    return RT_OK;
}

/* The exact sum over all places, times fl(fl(sx / n) / sy). */
rt_status rt_eval_qlinear_average(rt_eval_call *c)
{
    int64_t last = rt_eval_int(c, "channels_last", 0), zx, zy, dim[RT_ARRAY_RANK];
    const rt_array *x;
    rt_array *y;
    float sx, sy;
    RT_TRY(rt_eval_need(c, 0, RT_EVAL_BYTES, &x));
    RT_TRY(grain(c, 1, x->type, &sx, &zx));
    RT_TRY(grain(c, 3, x->type, &sy, &zy));
    if (x->rank < 3) return rt_fail(RT_INPUT, "the input has %d axes, not 3 or more", x->rank);
    int channel = last ? x->rank - 1 : 1;
    for (int i = 0; i < x->rank; i++) dim[i] = i == 0 || i == channel ? x->dim[i] : 1;
    RT_TRY(rt_eval_make(c, 0, x->type, x->rank, dim, &y));
    if (!y->count) return RT_OK;
    size_t channels = (size_t)x->dim[channel], n = x->count / y->count;
    if (!n || n > 1 << 23) return rt_fail(RT_INPUT, "the average of %zu elements", n);
    for (size_t i = 0; i < y->count; i++) {
        int32_t sum = 0;
        size_t from = last ? i / channels * n * channels + i % channels : i * n;
        for (size_t k = 0; k < n; k++) sum += (int32_t)(rt_array_int(x, from + k * (last ? channels : 1)) - zx);
        rt_array_put_int(y, i, rt_eval_requantize(x->type, sum, sx / (float)n / sy, zy));
    }
    return RT_OK;
}

/* Bytes through a table of what each of the 256 becomes: y = sat(rne(f(s (x - z)) / sy) + zy). */
static void by_table(const rt_array *x, float s, int64_t z, float (*f)(float, float), float p, float sy, int64_t zy,
                     rt_dtype type, uint8_t table[256])
{
    for (int i = 0; i < 256; i++) {
        float v = (float)((x->type == RT_I8 ? (int)(int8_t)i : i) - z) * s;
        table[i] = (uint8_t)rt_eval_saturate(type, (double)nearbyintf((f ? f(v, p) : v) / sy) + (double)zy);
    }
}

/* Inputs: y's scale and zero point, then three for each that is joined. */
rt_status rt_eval_qlinear_concat(rt_eval_call *c)
{
    int64_t given = rt_eval_int(c, "axis", 0), zy, z, dim[RT_ARRAY_RANK], total = 0;
    const rt_array *x, *first;
    rt_array *y;
    rt_dtype type = RT_U8;
    float sy, s;
    int axis, n = (c->node->inputs - 2) / 3;
    uint8_t table[256];
    RT_TRY(rt_eval_scale(c, 0, &sy));
    RT_TRY(rt_eval_zero(c, 1, RT_EVAL_BYTES, &zy, &type));
    RT_TRY(rt_eval_need(c, 2, RT_EVAL_BYTES, &first));
    RT_TRY(rt_eval_axis(given, first->rank, &axis));
    if ((c->node->inputs - 2) % 3) return rt_fail(RT_INPUT, "the inputs are not three for each that is joined");
    memcpy(dim, first->dim, sizeof dim);
    for (int i = 0; i < n; i++) {
        RT_TRY(rt_eval_need(c, 2 + 3 * i, 1u << type, &x));
        int ok = x->rank == first->rank;
        for (int k = 0; ok && k < x->rank; k++) ok = k == axis || x->dim[k] == first->dim[k];
        if (!ok || __builtin_add_overflow(total, x->dim[axis], &total))
            return rt_fail(RT_INPUT, "the shapes do not join");
    }
    dim[axis] = total;
    RT_TRY(rt_eval_make(c, 0, type, first->rank, dim, &y));
    size_t outer, whole, inner, at = 0;
    rt_eval_around(y, axis, &outer, &whole, &inner);
    for (int i = 0; i < n; i++) {
        x = rt_eval_in(c, 2 + 3 * i);
        RT_TRY(grain(c, 3 + 3 * i, type, &s, &z));
        by_table(x, s, z, NULL, 0, sy, zy, type, table);
        size_t line = (size_t)x->dim[axis] * inner;
        for (size_t k = 0; k < x->count; k++)
            ((uint8_t *)y->data)[k / line * whole * inner + at + k % line] = table[((const uint8_t *)x->data)[k]];
        at += line;
    }
    return RT_OK;
}

static float curve_sigmoid(float x, float p) { (void)p; return (float)(1 / (1 + exp(-(double)x))); }
static float curve_leaky(float x, float p) { return x < 0 ? p * x : x; }

rt_status rt_eval_qlinear_curve(rt_eval_call *c)
{
    int leaky = !strcmp(c->node->op, "QLinearLeakyRelu");
    float alpha = leaky ? (float)rt_eval_float(c, "alpha", 0.01f) : 0, s, sy;
    int64_t z, zy;
    const rt_array *x;
    rt_array *y;
    uint8_t table[256];
    RT_TRY(rt_eval_need(c, 0, RT_EVAL_BYTES, &x));
    RT_TRY(grain(c, 1, x->type, &s, &z));
    RT_TRY(grain(c, 3, x->type, &sy, &zy));
    RT_TRY(rt_eval_like(c, 0, x->type, x, &y));
    by_table(x, s, z, leaky ? curve_leaky : curve_sigmoid, alpha, sy, zy, x->type, table);
    for (size_t i = 0; i < x->count; i++) ((uint8_t *)y->data)[i] = table[((const uint8_t *)x->data)[i]];
    return RT_OK;
}

/* ---- products ---- */

/* One scale, or one a column. */
static rt_status column_scales(rt_eval_call *c, int i, int64_t columns, const rt_array **s)
{
    RT_TRY(rt_eval_need(c, i, 1u << RT_F32, s));
    if ((*s)->count == 1 || ((*s)->rank == 1 && (*s)->dim[0] == columns)) return RT_OK;
    return rt_fail(RT_INPUT, "input %d is neither one scale nor one a column", i);
}

static float scale_at(const rt_array *s, size_t column) { return ((const float *)s->data)[s->count > 1 ? column : 0]; }

rt_status rt_eval_qgemm(rt_eval_call *c)
{
    float alpha = (float)rt_eval_float(c, "alpha", 1), sa, sy = 1;
    int64_t turn[2] = {rt_eval_int(c, "transA", 0), rt_eval_int(c, "transB", 0)}, zy = 0;
    const rt_array *in[2], *zero[2], *sb, *bias;
    rt_array *whole[2], *sum, *y;
    rt_dtype type = RT_F32;
    for (int i = 0; i < 2; i++) {
        RT_TRY(rt_eval_need(c, 3 * i, RT_EVAL_BYTES, &in[i]));
        RT_TRY(rt_eval_may(c, 3 * i + 2, 1u << in[i]->type, &zero[i]));
        if (in[i]->rank != 2) return rt_fail(RT_INPUT, "input %d is not a matrix", 3 * i);
        if (i == 0 && zero[0] && zero[0]->count != 1) return rt_fail(RT_INPUT, "A has not one zero point");
        rt_array shaped;
        if (zero[i] && zero[i]->rank == 1 && i && turn[1]) {       /* of columns, which lie as rows */
            shaped = *zero[i];
            shaped.rank = 2;
            shaped.dim[1] = 1;
            zero[i] = &shaped;
        }
        RT_TRY(rt_eval_centred(c, in[i], zero[i], &whole[i]));
        if (turn[i]) RT_TRY(rt_eval_turned(c, whole[i], &whole[i]));
    }
    RT_TRY(rt_eval_scale(c, 1, &sa));
    RT_TRY(rt_eval_product(c, whole[0], whole[1], &sum));
    RT_TRY(column_scales(c, 4, sum->dim[1], &sb));
    RT_TRY(rt_eval_may(c, 6, 1u << RT_I32, &bias));
    if (rt_eval_in(c, 7)) {
        type = in[0]->type;
        RT_TRY(rt_eval_scale(c, 7, &sy));
        RT_TRY(rt_eval_zero(c, 8, RT_EVAL_BYTES, &zy, &type));
    }
    const rt_array *pair[2] = {sum, bias};
    int64_t dim[RT_ARRAY_RANK];
    int rank;
    rt_walk w;
    size_t i = 0;
    RT_TRY(rt_array_broadcast(pair, 2, &rank, dim));
    if (rank != 2 || memcmp(dim, sum->dim, 2 * sizeof *dim))
        return rt_fail(RT_INPUT, "C does not broadcast to the product");
    RT_TRY(rt_eval_make(c, 0, type, 2, dim, &y));
    for (rt_walk_begin(&w, 2, dim, pair, 2); w.left; rt_walk_next(&w), i++) {
        uint32_t acc = ((const uint32_t *)sum->data)[i] + (bias ? ((const uint32_t *)bias->data)[w.pos[1]] : 0);
        float m = alpha * sa * scale_at(sb, i % (size_t)dim[1]);
        if (type == RT_F32) ((float *)y->data)[i] = (float)(int32_t)acc * m;
        else rt_array_put_int(y, i, rt_eval_requantize(type, (int32_t)acc, m / sy, zy));
    }
    return RT_OK;
}

/* MatMulIntegerToFloat, and DynamicQuantizeMatMul, which makes A's bytes, scale and zero point of floats itself. */
rt_status rt_eval_to_float(rt_eval_call *c)
{
    int dynamic = *c->node->op == 'D', sb_at = dynamic ? 2 : 3, zb_at = dynamic ? 3 : 5, bias_at = dynamic ? 4 : 6;
    const rt_array *a, *b, *za, *zb, *sb, *bias;
    rt_array *bytes, *zero, *whole[2], *sum, *y;
    float sa;
    int64_t z = 0;
    RT_TRY(rt_eval_need(c, 0, dynamic ? 1u << RT_F32 : RT_EVAL_BYTES, &a));
    RT_TRY(rt_eval_need(c, 1, RT_EVAL_BYTES, &b));
    if (dynamic) {
        RT_TRY(rt_eval_temp(c, RT_U8, a->rank, a->dim, &bytes));
        RT_TRY(rt_eval_temp(c, RT_U8, 0, NULL, &zero));
        rt_eval_dynamic(a, bytes, &sa, &z);
        rt_array_put_int(zero, 0, z);
        a = bytes;
        za = zero;
    } else {
        RT_TRY(rt_eval_scale(c, 2, &sa));
        RT_TRY(rt_eval_may(c, 4, 1u << a->type, &za));
        if (za && za->count != 1) return rt_fail(RT_INPUT, "A has not one zero point");
    }
    RT_TRY(rt_eval_may(c, zb_at, 1u << b->type, &zb));
    RT_TRY(rt_eval_centred(c, a, za, &whole[0]));
    RT_TRY(rt_eval_centred(c, b, zb, &whole[1]));
    RT_TRY(rt_eval_product(c, whole[0], whole[1], &sum));
    if (!sum->rank || b->rank < 2) return rt_fail(RT_INPUT, "B is not a matrix");
    int64_t n = sum->dim[sum->rank - 1];
    RT_TRY(column_scales(c, sb_at, n, &sb));
    RT_TRY(rt_eval_may(c, bias_at, 1u << RT_F32, &bias));
    if (bias && (bias->rank != 1 || bias->dim[0] != n)) return rt_fail(RT_INPUT, "the bias is not one a column");
    RT_TRY(rt_eval_like(c, 0, RT_F32, sum, &y));
    for (size_t i = 0; i < sum->count; i++) {
        size_t column = i % (size_t)n;
        float v = (float)((const int32_t *)sum->data)[i] * (sa * scale_at(sb, column));
        ((float *)y->data)[i] = v + (bias ? ((const float *)bias->data)[column] : 0);
    }
    return RT_OK;
}

rt_status rt_eval_fused_matmul(rt_eval_call *c)
{
    float alpha = (float)rt_eval_float(c, "alpha", 1);
    int64_t turn[2] = {rt_eval_int(c, "transA", 0), rt_eval_int(c, "transB", 0)};
    const rt_array *in[2];
    rt_array *turned, *y;
    if (rt_eval_int(c, "transBatchA", 0) || rt_eval_int(c, "transBatchB", 0))
        return rt_fail(RT_INPUT, "transBatchA and transBatchB are not supported");
    for (int i = 0; i < 2; i++) {
        RT_TRY(rt_eval_need(c, i, 1u << RT_F32, &in[i]));
        if (!turn[i] || in[i]->rank < 2) continue;
        RT_TRY(rt_eval_turned(c, in[i], &turned));
        in[i] = turned;
    }
    RT_TRY(rt_eval_product(c, in[0], in[1], &y));
    for (size_t i = 0; alpha != 1 && i < y->count; i++) ((float *)y->data)[i] *= alpha;
    return rt_eval_view(c, 0, y, y->rank, y->dim);
}

/* ---- element by element, and norms of sums ---- */

/* Gelu and BiasGelu with erf, FastGelu with tanh, QuickGelu x sigmoid(alpha x); a bias is of the last axis. */
rt_status rt_eval_gelus(rt_eval_call *c)
{
    const char *op = c->node->op;
    int quick = *op == 'Q', fast = *op == 'F';
    double alpha = quick ? rt_eval_float(c, "alpha", 1.702f) : 0;
    const rt_array *x, *bias;
    rt_array *y;
    RT_TRY(rt_eval_need(c, 0, RT_EVAL_FLOATS, &x));
    RT_TRY(rt_eval_may(c, 1, 1u << x->type, &bias));
    if (bias && (bias->rank != 1 || !x->rank || bias->dim[0] != x->dim[x->rank - 1]))
        return rt_fail(RT_INPUT, "the bias is not one an element of the last axis");
    RT_TRY(rt_eval_like(c, 0, x->type, x, &y));
    for (size_t i = 0; i < x->count; i++) {
        double v = rt_array_double(x, i) + (bias ? rt_array_double(bias, i % bias->count) : 0);
        rt_array_put(y, i, quick ? v / (1 + exp(-alpha * v)) : fast ? rt_eval_gelu_tanh(v) : rt_eval_gelu(v));
    }
    return RT_OK;
}

/* s = x + skip (+ bias); y = (s - mean) / sqrt(var + epsilon) gamma + beta, or s / sqrt(mean(s^2) + epsilon) gamma. */
rt_status rt_eval_skip_norm(rt_eval_call *c)
{
    int simple = !strcmp(c->node->op, "SkipSimplifiedLayerNormalization");
    double epsilon = rt_eval_float(c, "epsilon", 1e-12f);
    const rt_array *x, *skip, *part[3] = {0};              /* gamma, beta, bias */
    rt_array *y, *s;
    RT_TRY(rt_eval_need(c, 0, RT_EVAL_FLOATS, &x));
    RT_TRY(rt_eval_need(c, 1, 1u << x->type, &skip));
    RT_TRY(rt_eval_need(c, 2, 1u << x->type, &part[0]));
    if (!simple) RT_TRY(rt_eval_may(c, 3, 1u << x->type, &part[1]));
    RT_TRY(rt_eval_may(c, simple ? 3 : 4, 1u << x->type, &part[2]));
    if (!x->rank || !skip->count || x->count % skip->count || skip->rank > x->rank)
        return rt_fail(RT_INPUT, "skip has not the shape of the input");
    for (int i = 1; i <= skip->rank; i++)
        if (skip->dim[skip->rank - i] != x->dim[x->rank - i] && !(i == x->rank && skip->dim[0] == 1))
            return rt_fail(RT_INPUT, "skip has not the shape of the input");
    size_t n = (size_t)x->dim[x->rank - 1];
    for (int i = 0; i < 3; i++)
        if (part[i] && part[i]->count != n) return rt_fail(RT_INPUT, "weights are not of the last axis");
    RT_TRY(rt_eval_like(c, 0, x->type, x, &y));
    RT_TRY(rt_eval_like(c, 3, x->type, x, &s));
    for (size_t base = 0; n && base < x->count; base += n) {
        double mean = 0, square = 0;
        for (size_t i = 0; i < n; i++) {
            rt_array_put(s, base + i, rt_array_double(x, base + i) + rt_array_double(skip, (base + i) % skip->count) +
                                          (part[2] ? rt_array_double(part[2], i) : 0));
            mean += rt_array_double(s, base + i) / (double)n;
        }
        if (simple) mean = 0;
        for (size_t i = 0; i < n; i++) square += pow(rt_array_double(s, base + i) - mean, 2) / (double)n;
        for (size_t i = 0; i < n; i++)
            rt_array_put(y, base + i,
                         (rt_array_double(s, base + i) - mean) / sqrt(square + epsilon) * rt_array_double(part[0], i) +
                             (part[1] ? rt_array_double(part[1], i) : 0));
    }
    return RT_OK;
}
