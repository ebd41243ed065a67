/* engine/int/contract.c - the numbers of the contract that layers are given: factors, bounds, tables, biases. */
#include <math.h>

#include "engine/int/integer.h"

rt_quant rt_quant_of(float low, float high)
{
    low = low < 0 ? low : 0;
    high = high > 0 ? high : 0;
    rt_quant q = {(float)(((double)high - (double)low) / 255), 0};
    double zero = rint(-(double)low / (double)q.scale);
    q.zero = zero > 255 ? 255 : zero > 0 ? (int)zero : 0;
    return q;
}

float rt_int_multiplier(float sx, float sw, float sy)
{
    float s = sx * sw;
    return s / sy;
}

static int to_byte(double v) { return v < 0 ? 0 : v > 255 ? 255 : (int)v; }

rt_int_range rt_int_range_of(rt_quant y, rt_act act)
{
    rt_int_range r = {y.zero, 0, 255};
    if (act == RT_ACT_RELU || act == RT_ACT_RELU6) r.low = y.zero;
    if (act == RT_ACT_RELU6) r.high = to_byte((double)rintf(6.0f / y.scale) + y.zero);
    return r;
}

void rt_int_add_factors(rt_int_pair *p, rt_quant a, rt_quant b, rt_quant c)
{
    p->ra = a.scale / c.scale;
    p->rb = b.scale / c.scale;
    float zb = p->rb * (float)b.zero;
    p->fx = (float)c.zero - fmaf(p->ra, (float)a.zero, zb);
    p->za = a.zero;
    p->zb = b.zero;
}

void rt_int_mul_factors(rt_int_pair *p, rt_quant a, rt_quant b, rt_quant c)
{
    float s = a.scale * b.scale;
    p->ra = s / c.scale;
    p->rb = p->fx = 0;
    p->za = a.zero;
    p->zb = b.zero;
}

static double act_of(double x, rt_act act, double slope)
{
    switch (act) {
    case RT_ACT_RELU: return x > 0 ? x : 0;
    case RT_ACT_RELU6: return x > 6 ? 6 : x > 0 ? x : 0;
    case RT_ACT_LEAKY: return x < 0 ? slope * x : x;
    case RT_ACT_GELU: return 0.5 * x * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case RT_ACT_SILU: return x / (1 + exp(-x));
    case RT_ACT_HARDSWISH: return x * (x > 3 ? 6 : x < -3 ? 0 : x + 3) / 6;
    case RT_ACT_SIGMOID: return 1 / (1 + exp(-x));
    case RT_ACT_TANH: return tanh(x);
    case RT_ACT_GELU_ERF: return 0.5 * x * erfc(-x / sqrt(2));
    case RT_ACT_NONE: case RT_ACT_COUNT: break;
    }
    return x;
}

static double steps_of(int q, rt_quant x, rt_quant y, rt_act act, float slope)
{
    if (act != RT_ACT_NONE) return act_of((double)x.scale * q, act, (double)slope) / (double)y.scale;
    float v = x.scale * (float)q;
    return (double)(v / y.scale);
}

void rt_int_table(uint8_t table[256], rt_quant x, rt_quant y, rt_act act, float slope)
{
    for (int q = 0; q < 256; q++)
        table[q] = (uint8_t)to_byte(rint(steps_of(q - x.zero, x, y, act, slope)) + y.zero);
}

rt_status rt_int_bias(int32_t *bias, const float *b, const float *sw, float sx, int n)
{
    for (int c = 0; c < n; c++) {
        double v = b ? rint((double)b[c] / ((double)sx * (double)sw[c])) : 0;
        if (!(fabs(v) <= INT32_MAX))
            return rt_fail(RT_USAGE, "the bias of output channel %d, %.9g, is %.9g steps, which leave 32 bits; take a "
                           "wider range of the input, or keep the layer in float", c, (double)b[c], v);
        bias[c] = (int32_t)v;
    }
    return RT_OK;
}

rt_status rt_int_start(int32_t *start, const int32_t *bias, int zx, const int8_t *w, int taps, int n)
{
    enum { SOME = 64, FEW = 255 };       /* channels, and taps whose sums fit 16 bits, at a time */
    for (int c0 = 0; c0 < n; c0 += SOME) {
        int64_t sum[SOME] = {0}, most[SOME] = {0};
        int m = n - c0 < SOME ? n - c0 : SOME;
        for (int t0 = 0; t0 < taps; t0 += FEW) {
            int16_t some[SOME] = {0}, large[SOME] = {0};
            for (int t = t0; t < taps && t < t0 + FEW; t++)
                for (int c = 0; c < m; c++) {
                    int16_t v = w[(ptrdiff_t)t * n + c0 + c];
                    some[c] = (int16_t)(some[c] + v);
                    large[c] = (int16_t)(large[c] + (v < 0 ? -v : v));
                }
            for (int c = 0; c < m; c++) {
                sum[c] += some[c];
                most[c] += large[c];
            }
        }
        for (int c = 0; c < m; c++) {
            int64_t first = bias[c0 + c] - zx * sum[c];
            if ((first < 0 ? -first : first) + 255 * most[c] > INT32_MAX)
                return rt_fail(RT_USAGE,
                               "sums of output channel %d may leave 32 bits (bias %d steps, %d weights); take "
                               "fewer bits, a wider range of the input, or keep the layer in float",
                               c0 + c, (int)bias[c0 + c], taps);
            start[c0 + c] = (int32_t)first;
        }
    }
    return RT_OK;
}
