/* engine/cuda/device_functions.cuh - activations and functions of one and two numbers in kernels, with their
 * derivatives: what engine/functions.h and engine/kernels.h define. In 32-bit floats, in forms that cancel nowhere; a
 * float below 2^-126 counts as 0 where that matters. */
#ifndef RT_CUDA_DEVICE_FUNCTIONS_H
#define RT_CUDA_DEVICE_FUNCTIONS_H

#include <cfloat>
#include <cmath>

#include "engine/cuda/device_code.h"
#include "engine/kernels.h"

RT_DEVICE float rt_flushed(float x) { return fabsf(x) < FLT_MIN ? copysignf(0.0f, x) : x; }
RT_DEVICE float rt_infinity() { return __uint_as_float(0x7f800000u); }
RT_DEVICE float rt_nan() { return __uint_as_float(0x7fc00000u); }
RT_DEVICE bool rt_is_zero(float x) { return x >= 0.0f && x <= 0.0f; }

/* ---- activations ---- */

RT_DEVICE float rt_logistic(float x) { return 1.0f / (1.0f + expf(-x)); }
/* Its derivative, s (1 - s). */
RT_DEVICE float rt_logistic_slope(float x)
{
    float e = expf(-fabsf(x)), n = 1.0f + e;
    return e / (n * n);
}
/* u of gelu, x sigmoid(2 u) = 0.5 x (1 + tanh u), doubled. */
RT_DEVICE float rt_gelu_inner(float x) { return 1.5957691216f * (x + 0.044715f * x * x * x); }
RT_DEVICE float rt_normal(float x) { return 0.5f * erfcf(-0.70710678f * x); }

/* act(x). NaN stays. */
RT_DEVICE float rt_act_of(float x, rt_act act, float slope)
{
    switch (act) {
    case RT_ACT_RELU: return 0.0f > x ? 0.0f : x;
    case RT_ACT_RELU6: return 0.0f > x ? 0.0f : 6.0f < x ? 6.0f : x;
    case RT_ACT_LEAKY: return x < 0.0f ? slope * x : x;
    case RT_ACT_GELU: return x * rt_logistic(rt_gelu_inner(x));
    case RT_ACT_SILU: return x * rt_logistic(x);
    case RT_ACT_HARDSWISH: return x > 5e37f ? x : x * fminf(fmaxf(x + 3.0f, 0.0f), 6.0f) * (1.0f / 6.0f);
    case RT_ACT_SIGMOID: return rt_logistic(x);
    case RT_ACT_TANH: return tanhf(x);
    case RT_ACT_GELU_ERF: return x * rt_normal(x);
    default: return x;
    }
}

/* act'(x); of RELU and RELU6 the same from act(x). */
RT_DEVICE float rt_act_slope(float x, rt_act act, float slope)
{
    switch (act) {
    case RT_ACT_RELU: return x > 0.0f ? 1.0f : 0.0f;
    case RT_ACT_RELU6: return x > 0.0f && x < 6.0f ? 1.0f : 0.0f;
    case RT_ACT_LEAKY: return x < 0.0f ? slope : 1.0f;
    case RT_ACT_GELU: {
        x = x > 20.0f ? 20.0f : x < -20.0f ? -20.0f : x;       /* 1 and 0 from there on */
        float u = rt_gelu_inner(x);
        return rt_logistic(u) + x * rt_logistic_slope(u) * 1.5957691216f * (1.0f + 3.0f * 0.044715f * x * x);
    }
    case RT_ACT_SILU: return rt_logistic(x) + x * rt_logistic_slope(x);
    case RT_ACT_HARDSWISH: return x <= -3.0f ? 0.0f : x >= 3.0f ? 1.0f : x * (1.0f / 3.0f) + 0.5f;
    case RT_ACT_SIGMOID: return rt_logistic_slope(x);
    case RT_ACT_TANH: return 4.0f * rt_logistic_slope(2.0f * x);
    case RT_ACT_GELU_ERF: return rt_normal(x) + x * expf(-0.5f * x * x) * 0.39894228f;
    default: return 1.0f;
    }
}

/* ---- functions of one number ---- */

RT_DEVICE float rt_mish(float x)
{
    float e = expf(fminf(x, 20.0f)), n = e * (e + 2.0f);
    return x > 20.0f ? x : x * (n / (n + 2.0f));
}
RT_DEVICE float rt_mish_slope(float x)
{
    if (x > 20.0f) return 1.0f;
    float e = expf(x), n = e * (e + 2.0f), m = 1.0f / (n + 2.0f);
    return n * m + x * (4.0f * (n + 1.0f) * m * m) * (e / (1.0f + e));
}

/* The functions that most models have, and those that take many registers, apart. */
static inline bool rt_unary_is_heavy(rt_unary f)
{
    return f == RT_UNARY_POW || (f >= RT_UNARY_SIN && f <= RT_UNARY_ATANH);
}

RT_DEVICE float rt_unary_heavy(float x, rt_unary f, float a)
{
    switch (f) {
    case RT_UNARY_POW: return powf(x, a);
    case RT_UNARY_SIN: return sinf(x);
    case RT_UNARY_COS: return cosf(x);
    case RT_UNARY_TAN: return tanf(x);
    case RT_UNARY_ASIN: return asinf(x);
    case RT_UNARY_ACOS: return acosf(x);
    case RT_UNARY_ATAN: return atanf(x);
    case RT_UNARY_SINH: return sinhf(x);
    case RT_UNARY_COSH: return coshf(x);
    case RT_UNARY_ASINH: return asinhf(x);
    case RT_UNARY_ACOSH: return acoshf(x);
    default: return atanhf(x);
    }
}

/* f(x), x flushed. */
RT_DEVICE float rt_unary_light(float x, rt_unary f, float a, float b)
{
    switch (f) {
    case RT_UNARY_EXP: return expf(x);
    case RT_UNARY_LOG: return logf(x);
    case RT_UNARY_SQRT: return sqrtf(x);
    case RT_UNARY_RECIPROCAL: return 1.0f / x;
    case RT_UNARY_ABS: return fabsf(x);
    case RT_UNARY_NEG: return -x;
    case RT_UNARY_ERF: return erff(x);
    case RT_UNARY_ELU: return x > 0.0f ? x : a * expm1f(x);
    case RT_UNARY_SELU: return b * (x > 0.0f ? x : a * expm1f(x));
    case RT_UNARY_CELU: return x > 0.0f ? x : a * expm1f(x / a);
    case RT_UNARY_SOFTPLUS: return x != x ? x : fmaxf(x, 0.0f) + log1pf(expf(-fabsf(x)));
    case RT_UNARY_SOFTSIGN: return x / (1.0f + fabsf(x));
    case RT_UNARY_HARD_SIGMOID: {
        float v = a * x + b;
        return v < 0.0f ? 0.0f : v > 1.0f ? 1.0f : v;
    }
    case RT_UNARY_MISH: return rt_mish(x);
    case RT_UNARY_THRESHOLDED_RELU: return x <= a ? 0.0f : x;
    case RT_UNARY_SHRINK: return x < -a ? x + b : x > a ? x - b : x * 0.0f;
    case RT_UNARY_CLIP: {
        float v = x < a ? a : x;
        return v > b ? b : v;
    }
    case RT_UNARY_FLOOR: return floorf(x);
    case RT_UNARY_CEIL: return ceilf(x);
    case RT_UNARY_ROUND: return rintf(x);
    case RT_UNARY_SIGN: return x > 0.0f ? 1.0f : x < 0.0f ? -1.0f : x;
    case RT_UNARY_NOT: return rt_is_zero(x) ? 1.0f : 0.0f;
    case RT_UNARY_IS_NAN: return x != x ? 1.0f : 0.0f;
    default: return fabsf(x) > FLT_MAX ? 1.0f : 0.0f;
    }
}

RT_DEVICE float rt_unary_heavy_slope(float x, rt_unary f, float a)
{
    switch (f) {
    case RT_UNARY_POW: return a * powf(x, a - 1.0f);
    case RT_UNARY_SIN: return cosf(x);
    case RT_UNARY_COS: return -sinf(x);
    case RT_UNARY_TAN: {
        float t = tanf(x);
        return 1.0f + t * t;
    }
    case RT_UNARY_ASIN: return 1.0f / sqrtf((1.0f - x) * (1.0f + x));
    case RT_UNARY_ACOS: return -1.0f / sqrtf((1.0f - x) * (1.0f + x));
    case RT_UNARY_ATAN: return 1.0f / (1.0f + x * x);
    case RT_UNARY_SINH: return coshf(x);
    case RT_UNARY_COSH: return sinhf(x);
    case RT_UNARY_ASINH: return fabsf(x) > 1e10f ? 1.0f / fabsf(x) : 1.0f / sqrtf(x * x + 1.0f);
    case RT_UNARY_ACOSH: return fabsf(x) > 1e10f ? 1.0f / fabsf(x) : 1.0f / fabsf(sqrtf((x - 1.0f) * (x + 1.0f)));
    default: return 1.0f / ((1.0f - x) * (1.0f + x));
    }
}

/* f'(x), x flushed; of steps 0. */
RT_DEVICE float rt_unary_light_slope(float x, rt_unary f, float a, float b)
{
    switch (f) {
    case RT_UNARY_EXP: return expf(x);
    case RT_UNARY_LOG: return 1.0f / x;
    case RT_UNARY_SQRT: return 0.5f / sqrtf(x);
    case RT_UNARY_RECIPROCAL: return -1.0f / (x * x);
    case RT_UNARY_ABS: return x > 0.0f ? 1.0f : x < 0.0f ? -1.0f : x;
    case RT_UNARY_NEG: return -1.0f;
    case RT_UNARY_ERF: return 1.12837917f * expf(-x * x);
    case RT_UNARY_ELU: return x > 0.0f ? 1.0f : a * expf(x);
    case RT_UNARY_SELU: return b * (x > 0.0f ? 1.0f : a * expf(x));
    case RT_UNARY_CELU: return x > 0.0f ? 1.0f : expf(x / a);
    case RT_UNARY_SOFTPLUS: return rt_logistic(x);
    case RT_UNARY_SOFTSIGN: {
        float n = 1.0f + fabsf(x);
        return 1.0f / (n * n);
    }
    case RT_UNARY_HARD_SIGMOID: return a * x + b > 0.0f && a * x + b < 1.0f ? a : 0.0f;
    case RT_UNARY_MISH: return rt_mish_slope(x);
    case RT_UNARY_THRESHOLDED_RELU: return x > a ? 1.0f : 0.0f;
    case RT_UNARY_SHRINK: return x < -a || x > a ? 1.0f : 0.0f;
    case RT_UNARY_CLIP: return x >= a && x <= b ? 1.0f : 0.0f;
    default: return 0.0f;
    }
}

/* ---- functions of two numbers ---- */

static inline bool rt_binary_is_heavy(rt_binary f) { return f == RT_BINARY_POWER || f == RT_BINARY_MODULO; }

/* f(a, b), both flushed. */
template <bool HEAVY> RT_DEVICE float rt_binary_of(float a, float b, rt_binary f)
{
    if (HEAVY) return f == RT_BINARY_POWER ? powf(a, b) : fmodf(a, b);
    switch (f) {
    case RT_BINARY_ADD: return a + b;
    case RT_BINARY_SUBTRACT: return a - b;
    case RT_BINARY_MULTIPLY: return a * b;
    case RT_BINARY_DIVIDE: return a / b;
    case RT_BINARY_MINIMUM: return a < b || a != a ? a : b;
    case RT_BINARY_MAXIMUM: return a > b || a != a ? a : b;
    case RT_BINARY_PRELU: return a < 0.0f ? a * b : a;
    case RT_BINARY_LESS: return a < b ? 1.0f : 0.0f;
    case RT_BINARY_LESS_OR_EQUAL: return a <= b ? 1.0f : 0.0f;
    case RT_BINARY_GREATER: return a > b ? 1.0f : 0.0f;
    case RT_BINARY_GREATER_OR_EQUAL: return a >= b ? 1.0f : 0.0f;
    case RT_BINARY_EQUAL: return a >= b && a <= b ? 1.0f : 0.0f;
    case RT_BINARY_AND: return rt_is_zero(a) || rt_is_zero(b) ? 0.0f : 1.0f;
    case RT_BINARY_OR: return rt_is_zero(a) && rt_is_zero(b) ? 0.0f : 1.0f;
    default: return rt_is_zero(a) != rt_is_zero(b) ? 1.0f : 0.0f;
    }
}

/* Its derivative by a (side 0) or by b; of functions that have one. */
template <bool HEAVY> RT_DEVICE float rt_binary_slope(float a, float b, rt_binary f, int side)
{
    if (HEAVY) {
        if (f == RT_BINARY_MODULO) return side ? -truncf(a / b) : 1.0f;
        if (!side) return rt_is_zero(b) ? 0.0f : b * powf(a, b - 1.0f);
        return rt_is_zero(a) && b >= 0.0f ? 0.0f : powf(a, b) * logf(a);
    }
    switch (f) {
    case RT_BINARY_ADD: return 1.0f;
    case RT_BINARY_SUBTRACT: return side ? -1.0f : 1.0f;
    case RT_BINARY_MULTIPLY: return side ? a : b;
    case RT_BINARY_DIVIDE: return side ? -a / (b * b) : 1.0f / b;
    case RT_BINARY_MINIMUM: return a < b ? !side : a > b ? side : 0.5f;
    case RT_BINARY_MAXIMUM: return a > b ? !side : a < b ? side : 0.5f;
    default: return side ? (a < 0.0f ? a : 0.0f) : a < 0.0f ? b : 1.0f;             /* PRELU */
    }
}
#endif
