/* Numbers as integers with a scale and a zero point. */
#include "engine/eval/eval_quant.h"

#include <math.h>
#include <string.h>

#include "engine/eval/eval_elements.h"
#include "engine/narrow.h"

static void range_of(rt_dtype t, double *low, double *high)
{
    static const double lows[RT_DTYPE_COUNT] = {[RT_I8] = -128, [RT_I16] = -32768, [RT_I4] = -8, [RT_I2] = -2};
    static const double highs[RT_DTYPE_COUNT] = {[RT_U8] = 255, [RT_I8] = 127, [RT_U16] = 65535, [RT_I16] = 32767,
                                                 [RT_U4] = 15, [RT_I4] = 7, [RT_U2] = 3, [RT_I2] = 1};
    *low = lows[t];
    *high = highs[t];
}

int64_t rt_eval_saturate(rt_dtype t, double v)
{
    double low, high;
    range_of(t, &low, &high);
    return isnan(v) ? 0 : (int64_t)(v < low ? low : v > high ? high : v);
}

int64_t rt_eval_requantize(rt_dtype t, int32_t acc, float m, int64_t zero)
{ return rt_eval_saturate(t, (double)nearbyintf((float)acc * m) + (double)zero); }

rt_status rt_eval_scale(rt_eval_call *c, int i, float *scale)
{
    const rt_array *s;
    RT_TRY(rt_eval_need(c, i, RT_EVAL_FLOATS, &s));
    if (s->count != 1) return rt_fail(RT_INPUT, "input %d is not one scale", i);
    *scale = (float)rt_array_double(s, 0);
    return RT_OK;
}

rt_status rt_eval_zero(rt_eval_call *c, int i, unsigned types, int64_t *zero, rt_dtype *type)
{
    const rt_array *z;
    RT_TRY(rt_eval_may(c, i, types, &z));
    *zero = 0;
    if (!z) return RT_OK;
    if (z->count != 1) return rt_fail(RT_INPUT, "input %d is not one zero point", i);
    *zero = rt_array_int(z, 0);
    *type = z->type;
    return RT_OK;
}

/* Where the scale of an element is: x seen as outer x n x inner, one scale for all, for each of n, or for `block` of n
 * each with its own outer and inner. */
typedef struct {
    const rt_array *scale, *zero;
    size_t outer, n, inner, block, blocks;
    int per_axis;
} grains;

static size_t grain_of(const grains *g, size_t o, size_t i, size_t k)
{ return g->block ? (o * g->blocks + i / g->block) * g->inner + k : g->per_axis ? i : 0; }

/* Inputs 1 and 2, and attributes axis and block_size; newest: whatever the opset. */
static rt_status grains_of(rt_eval_call *c, const rt_array *x, unsigned zeros, int newest, grains *g)
{
    int64_t given = 1, block = 0;
    int axis = 0;
    char s[128], t[128];
    memset(g, 0, sizeof *g);
    g->outer = g->n = 1;
    g->inner = x->count;
    if (newest || c->version >= 13) given = rt_eval_int(c, "axis", 1);
    if (newest || c->version >= 21) block = rt_eval_int(c, "block_size", 0);
    RT_TRY(rt_eval_need(c, 1, RT_EVAL_FLOATS, &g->scale));
    RT_TRY(rt_eval_may(c, 2, zeros, &g->zero));
    if (g->zero && g->zero->count != g->scale->count)
        return rt_fail(RT_INPUT, "scales and zero points differ in number");
    if (g->scale->count == 1 && g->scale->rank <= 1) return RT_OK;
    if (x->rank != 1) RT_TRY(rt_eval_axis(given, x->rank, &axis));
    rt_eval_around(x, axis, &g->outer, &g->n, &g->inner);
    int ok = 0;
    if (block) {
        ok = block > 0 && g->scale->rank == x->rank;
        for (int i = 0; ok && i < x->rank; i++)
            ok = g->scale->dim[i] == (i == axis ? x->dim[i] / block + (x->dim[i] % block > 0) : x->dim[i]);
        g->block = ok ? (size_t)block : 0;
        g->blocks = ok ? (size_t)g->scale->dim[axis] : 0;
    } else ok = g->per_axis = g->scale->rank == 1 && g->scale->count == g->n && (newest || c->version >= 13);
    return ok ? RT_OK
              : rt_fail(RT_INPUT, "scales %s do not fit %s", rt_array_describe(g->scale, s), rt_array_describe(x, t));
}

static double rounded(rt_dtype t, double v)
{
    double one[1] = {0};
    rt_array a = {.type = t, .rank = 0, .count = 1, .data = one};
    if (t == RT_F32) return (float)v;
    rt_array_put(&a, 0, v);
    return rt_array_double(&a, 0);
}

/* Floats of few bits have no zero point but 0. */
static rt_status no_offset(const grains *g, rt_dtype type)
{
    for (size_t i = 0; g->zero && rt_narrow_is_float(type) && i < g->zero->count; i++)
        if (rt_array_double(g->zero, i) != 0) return rt_fail(RT_INPUT, "%s has a zero point", rt_array_type_name(type));
    return RT_OK;
}

/* y = sat(rne(x / scale) + zero), or the nearest float of few bits to x / scale; the division in the precision of the
 * scale, or of attribute `precision`. */
rt_status rt_eval_quantize(rt_eval_call *c)
{
    int newest = *c->node->domain == 'c';
    const rt_array *x;
    rt_array *y;
    rt_dtype type = RT_U8, precise;
    grains g;
    int64_t code = 0, precision = 0, saturate = 1;
    if (c->version >= 19) saturate = rt_eval_int(c, "saturate", 1);
    if (c->version >= 21) code = rt_eval_int(c, "output_dtype", 0);
    if (c->version >= 23) precision = rt_eval_int(c, "precision", 0);
    RT_TRY(rt_eval_need(c, 0, RT_EVAL_FLOATS | 1u << RT_I32, &x));
    RT_TRY(grains_of(c, x, RT_EVAL_QUANTIZED, newest, &g));
    if (code) RT_TRY(rt_eval_type_of(code, &type));
    if (code && g.zero && g.zero->type != type)
        return rt_fail(RT_INPUT, "output_dtype is not the type of the zero point");
    if (g.zero) type = g.zero->type;
    precise = g.scale->type;
    if (precision) RT_TRY(rt_eval_type_of(precision, &precise));
    if (!((RT_EVAL_QUANTIZED) >> type & 1))
        return rt_fail(RT_INPUT, "type %s is not quantized to", rt_array_type_name(type));
    if (!(RT_EVAL_FLOATS >> precise & 1)) return rt_fail(RT_INPUT, "precision is no type of floats");
    RT_TRY(no_offset(&g, type));
    RT_TRY(rt_eval_like(c, 0, type, x, &y));
    size_t at = 0;
    for (size_t o = 0; x->count && o < g.outer; o++)
        for (size_t i = 0; i < g.n; i++)
            for (size_t k = 0; k < g.inner; k++, at++) {
                size_t s = grain_of(&g, o, i, k);
                double v = rounded(precise, rt_array_double(x, at)) / rounded(precise, rt_array_double(g.scale, s));
                v = rounded(precise, v);
                if (rt_narrow_is_float(type)) {
                    ((uint8_t *)y->data)[at] = rt_narrow_code(type, v, saturate != 0);
                    continue;
                }
                v = nearbyint(v) + (g.zero ? (double)rt_array_int(g.zero, s) : 0);
                rt_array_put_int(y, at, rt_eval_saturate(type, v));
            }
    return RT_OK;
}

/* y = (x - zero) scale, in the type of the scale or of output_dtype. */
rt_status rt_eval_dequantize(rt_eval_call *c)
{
    int newest = *c->node->domain == 'c';
    const rt_array *x;
    rt_array *y;
    grains g;
    rt_dtype type;
    int64_t code = c->version >= 23 ? rt_eval_int(c, "output_dtype", 0) : 0;
    RT_TRY(rt_eval_need(c, 0, RT_EVAL_QUANTIZED | 1u << RT_I32, &x));
    RT_TRY(grains_of(c, x, 1u << x->type, newest, &g));
    type = g.scale->type;
    RT_TRY(no_offset(&g, x->type));
    if (code) RT_TRY(rt_eval_type_of(code, &type));
    if (!(RT_EVAL_FLOATS >> type & 1)) return rt_fail(RT_INPUT, "%s is no type of floats", rt_array_type_name(type));
    RT_TRY(rt_eval_like(c, 0, type, x, &y));
    size_t at = 0;
    for (size_t o = 0; x->count && o < g.outer; o++)
        for (size_t i = 0; i < g.n; i++) {
            size_t s = grain_of(&g, o, i, 0);
            float scale = (float)rt_array_double(g.scale, s);
            int64_t zero = g.zero ? rt_array_int(g.zero, s) : 0;
            if (type == RT_F32 && !g.block && (x->type == RT_I8 || x->type == RT_U8)) {
                float *to = (float *)y->data + at;
                const uint8_t *from = (const uint8_t *)x->data + at;
                for (size_t k = 0; k < g.inner; k++)
                    to[k] = (float)((x->type == RT_I8 ? (int)(int8_t)from[k] : (int)from[k]) - (int)zero) * scale;
                at += g.inner;
                continue;
            }
            for (size_t k = 0; k < g.inner; k++, at++) {
                if (g.block) {
                    s = grain_of(&g, o, i, k);
                    zero = g.zero ? rt_array_int(g.zero, s) : 0;
                }
                double own = rt_narrow_is_float(x->type) ? rt_array_double(x, at)
                                                         : (double)(float)(rt_array_int(x, at) - zero);
                double v = own * rt_array_double(g.scale, s);
                rt_array_put(y, at, type == RT_F64 ? v : (double)(float)v);
            }
        }
    return RT_OK;
}

void rt_eval_dynamic(const rt_array *x, rt_array *y, float *scale, int64_t *zero)
{
    const float *v = x->data;
    float low = 0, high = 0;
    for (size_t i = 0; i < x->count; i++) {
        low = v[i] < low ? v[i] : low;
        high = v[i] > high ? v[i] : high;
    }
    *scale = (high == low ? 1.0f : high - low) / 255.0f;
    float z = -low / *scale;
    *zero = rt_eval_saturate(RT_U8, nearbyintf(z < 0 ? 0 : z > 255 ? 255 : z));
    for (size_t i = 0; i < x->count; i++)
        ((uint8_t *)y->data)[i] = (uint8_t)rt_eval_saturate(RT_U8, (double)nearbyintf(v[i] / *scale) + (double)*zero);
}

static rt_status dynamic_quantize(rt_eval_call *c)
{
    const rt_array *x;
    rt_array *y, *s, *z;
    float scale;
    int64_t zero;
    RT_TRY(rt_eval_need(c, 0, 1u << RT_F32, &x));
    RT_TRY(rt_eval_like(c, 0, RT_U8, x, &y));
    RT_TRY(rt_eval_make(c, 1, RT_F32, 0, NULL, &s));
    RT_TRY(rt_eval_make(c, 2, RT_U8, 0, NULL, &z));
    rt_eval_dynamic(x, y, &scale, &zero);
    *(float *)s->data = scale;
    *(uint8_t *)z->data = (uint8_t)zero;
    return RT_OK;
}

#define MS "com.microsoft"
const rt_eval_op rt_eval_quant_ops[] = {
    {"", "QuantizeLinear", 10, 2, 3, 1, rt_eval_quantize, 0},
    {"", "DequantizeLinear", 10, 2, 3, 1, rt_eval_dequantize, 0},
    {"", "DynamicQuantizeLinear", 11, 1, 1, 3, dynamic_quantize, 0},
    {"", "MatMulInteger", 10, 2, 4, 1, rt_eval_matmul_integer, 0},
    {"", "ConvInteger", 10, 2, 4, 1, rt_eval_conv_integer, 0},
    {"", "QLinearConv", 10, 8, 9, 1, rt_eval_qlinear_conv, 0},
    {"", "QLinearMatMul", 10, 8, 8, 1, rt_eval_qlinear_matmul, 0},
    {MS, "QuantizeLinear", 1, 2, 3, 1, rt_eval_quantize, 0},
    {MS, "DequantizeLinear", 1, 2, 3, 1, rt_eval_dequantize, 0},
    {MS, "QLinearAdd", 1, 7, 8, 1, rt_eval_qlinear_pair, 0},
    {MS, "QLinearMul", 1, 7, 8, 1, rt_eval_qlinear_pair, 0},
    {MS, "QLinearGlobalAveragePool", 1, 5, 5, 1, rt_eval_qlinear_average, 0},
    {MS, "QLinearConcat", 1, 5, -1, 1, rt_eval_qlinear_concat, 0},
    {MS, "QLinearConv", 1, 8, 9, 1, rt_eval_qlinear_conv_last, 0},
    {MS, "QLinearAveragePool", 1, 4, 5, 1, rt_eval_qlinear_pool, 0},
    {MS, "QLinearWhere", 1, 9, 9, 1, rt_eval_qlinear_where, 0},
    {MS, "QLinearSoftmax", 1, 4, 5, 1, rt_eval_qlinear_softmax, 0},
    {MS, "NhwcMaxPool", 1, 1, 1, 1, rt_eval_nhwc_max_pool, 0},
    {MS, "QAttention", 1, 5, 9, 2, rt_eval_qattention, 0},
    {MS, "QEmbedLayerNormalization", 1, 17, 18, 2, rt_eval_qembed, 0},
    {MS, "MatMulNBits", 1, 3, 6, 1, rt_eval_matmul_nbits, 0},
    {MS, "QLinearSigmoid", 1, 4, 5, 1, rt_eval_qlinear_curve, 0},
    {MS, "QLinearLeakyRelu", 1, 4, 5, 1, rt_eval_qlinear_curve, 0},
    {MS, "QGemm", 1, 6, 9, 1, rt_eval_qgemm, 0},
    {MS, "DynamicQuantizeMatMul", 1, 3, 5, 1, rt_eval_to_float, 0},
    {MS, "MatMulIntegerToFloat", 1, 4, 7, 1, rt_eval_to_float, 0},
    {MS, "FusedMatMul", 1, 2, 2, 1, rt_eval_fused_matmul, 0},
    {MS, "Gelu", 1, 1, 1, 1, rt_eval_gelus, 0},
    {MS, "BiasGelu", 1, 2, 2, 1, rt_eval_gelus, 0},
    {MS, "FastGelu", 1, 1, 2, 1, rt_eval_gelus, 0},
    {MS, "QuickGelu", 1, 1, 1, 1, rt_eval_gelus, 0},
    {MS, "SkipLayerNormalization", 1, 3, 5, 4, rt_eval_skip_norm, 0},
    {MS, "SkipSimplifiedLayerNormalization", 1, 3, 4, 4, rt_eval_skip_norm, 0},
    {NULL, NULL, 0, 0, 0, 0, NULL, 0}};
