/* Element by element: one operand, two that broadcast, many. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/eval/eval_elements.h"
#include "engine/eval/eval_math.h"

/* ---- of one operand: y = f(x; p), p the attributes ---- */

#define ONE(X) \
    X(abs, fabs(x)) X(neg, -x) X(sqrt, sqrt(x)) X(exp, exp(x)) X(log, log(x)) X(reciprocal, 1 / x) X(sin, sin(x)) \
    X(cos, cos(x)) X(tan, tan(x)) X(asin, asin(x)) X(acos, acos(x)) X(atan, atan(x)) X(sinh, sinh(x)) X(cosh, cosh(x)) \
    X(tanh, tanh(x)) X(asinh, asinh(x)) X(acosh, acosh(x)) X(atanh, atanh(x)) X(ceil, ceil(x)) X(floor, floor(x)) \
    X(round, nearbyint(x)) X(sign, x > 0 ? 1 : x < 0 ? -1 : x) X(erf, erf(x)) X(relu, x < 0 ? 0 : x) \
    X(leaky_relu, x < 0 ? p[0] * x : x) X(elu, x < 0 ? p[0] * expm1(x) : x) \
    X(selu, x > 0 ? p[1] * x : p[1] * p[0] * expm1(x)) \
    X(celu, x > 0 ? x : p[0] * expm1(x / p[0])) \
    X(hard_sigmoid, between(p[0] * x + p[1])) X(hard_swish, x * between(x / 6 + 0.5)) X(sigmoid, sigmoid(x)) \
    X(softplus, softplus(x)) X(softsign, x / (1 + fabs(x))) X(swish, x * sigmoid(p[0] * x)) \
    X(mish, x * tanh(softplus(x))) X(thresholded_relu, x > p[0] ? x : isnan(x) ? x : 0) \
    X(shrink, x < -p[0] ? x + p[1] : x > p[0] ? x - p[1] : isnan(x) ? x : 0) X(gelu, rt_eval_gelu(x)) \
    X(gelu_tanh, rt_eval_gelu_tanh(x))

static double between(double x) { return x < 0 ? 0 : x > 1 ? 1 : x; }
static double sigmoid(double x) { return 1 / (1 + exp(-x)); }
static double softplus(double x) { return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x)); }
double rt_eval_gelu(double x) { return 0.5 * x * (1 + erf(x * M_SQRT1_2)); }
double rt_eval_gelu_tanh(double x) { return 0.5 * x * (1 + tanh(sqrt(M_2_PI) * (x + 0.044715 * x * x * x))); }

#define X(n, e) static double one_##n(double x, const double *p) { (void)p; return e; }
ONE(X)
#undef X

static int64_t whole_abs(int64_t x) { return x < 0 ? (int64_t)(0 - (uint64_t)x) : x; }
static int64_t whole_neg(int64_t x) { return (int64_t)(0 - (uint64_t)x); }
static int64_t whole_sign(int64_t x) { return (x > 0) - (x < 0); }
static int64_t whole_relu(int64_t x) { return x < 0 ? 0 : x; }
static int64_t whole_same(int64_t x) { return x; }

typedef struct {
    const char *name;
    double (*f)(double, const double *);
    int64_t (*whole)(int64_t);              /* NULL: no integers, or as doubles */
    unsigned types;
    const char *param[2];
    float none[2];
} one;

static const one ones[] = {
    {"Abs", one_abs, whole_abs, RT_EVAL_NUMBERS, {0}, {0}},
    {"Neg", one_neg, whole_neg, RT_EVAL_NUMBERS, {0}, {0}},
    {"Sign", one_sign, whole_sign, RT_EVAL_NUMBERS, {0}, {0}},
    {"Relu", one_relu, whole_relu, RT_EVAL_NUMBERS, {0}, {0}},
    {"Round", one_round, whole_same, RT_EVAL_FLOATS, {0}, {0}},
    {"Sqrt", one_sqrt, NULL, RT_EVAL_FLOATS, {0}, {0}},
    {"Exp", one_exp, NULL, RT_EVAL_FLOATS, {0}, {0}},
    {"Log", one_log, NULL, RT_EVAL_FLOATS, {0}, {0}},
    {"Reciprocal", one_reciprocal, NULL, RT_EVAL_FLOATS, {0}, {0}},
    {"Sin", one_sin, NULL, RT_EVAL_FLOATS, {0}, {0}},
    {"Cos", one_cos, NULL, RT_EVAL_FLOATS, {0}, {0}},
    {"Tan", one_tan, NULL, RT_EVAL_FLOATS, {0}, {0}},
    {"Asin", one_asin, NULL, RT_EVAL_FLOATS, {0}, {0}},
    {"Acos", one_acos, NULL, RT_EVAL_FLOATS, {0}, {0}},
    {"Atan", one_atan, NULL, RT_EVAL_FLOATS, {0}, {0}},
    {"Sinh", one_sinh, NULL, RT_EVAL_FLOATS, {0}, {0}},
    {"Cosh", one_cosh, NULL, RT_EVAL_FLOATS, {0}, {0}},
    {"Tanh", one_tanh, NULL, RT_EVAL_FLOATS, {0}, {0}},
    {"Asinh", one_asinh, NULL, RT_EVAL_FLOATS, {0}, {0}},
    {"Acosh", one_acosh, NULL, RT_EVAL_FLOATS, {0}, {0}},
    {"Atanh", one_atanh, NULL, RT_EVAL_FLOATS, {0}, {0}},
    {"Ceil", one_ceil, NULL, RT_EVAL_FLOATS, {0}, {0}},
    {"Floor", one_floor, NULL, RT_EVAL_FLOATS, {0}, {0}},
    {"Erf", one_erf, NULL, RT_EVAL_NUMBERS, {0}, {0}},
    {"LeakyRelu", one_leaky_relu, NULL, RT_EVAL_FLOATS, {"alpha"}, {0.01f}},
    {"Elu", one_elu, NULL, RT_EVAL_FLOATS, {"alpha"}, {1}},
    {"Selu",
     one_selu,
     NULL,
     RT_EVAL_FLOATS,
     {"alpha", "gamma"},
     {1.67326319217681884765625f, 1.05070102214813232421875f}},
    {"Celu", one_celu, NULL, RT_EVAL_FLOATS, {"alpha"}, {1}},
    {"HardSigmoid", one_hard_sigmoid, NULL, RT_EVAL_FLOATS, {"alpha", "beta"}, {0.2f, 0.5f}},
    {"HardSwish", one_hard_swish, NULL, RT_EVAL_FLOATS, {0}, {0}},
    {"Sigmoid", one_sigmoid, NULL, RT_EVAL_FLOATS, {0}, {0}},
    {"Softplus", one_softplus, NULL, RT_EVAL_FLOATS, {0}, {0}},
    {"Softsign", one_softsign, NULL, RT_EVAL_FLOATS, {0}, {0}},
    {"Swish", one_swish, NULL, RT_EVAL_FLOATS, {"alpha"}, {1}},
    {"Mish", one_mish, NULL, RT_EVAL_FLOATS, {0}, {0}},
    {"ThresholdedRelu", one_thresholded_relu, NULL, RT_EVAL_FLOATS, {"alpha"}, {1}},
    {"Shrink", one_shrink, NULL, RT_EVAL_NUMBERS, {"lambd", "bias"}, {0.5f, 0}},
};

static rt_status run_one(rt_eval_call *c, const one *o)
{
    const rt_array *x;
    rt_array *y;
    double p[2] = {0, 0};
    rt_eval_consumed(c);
    for (int i = 0; i < 2; i++) if (o->param[i]) p[i] = rt_eval_float(c, o->param[i], o->none[i]);
    if (!strcmp(o->name, "Selu") && c->version < 6) {
        p[0] = rt_eval_float(c, "alpha", 1.6732f);
        p[1] = rt_eval_float(c, "gamma", 1.0507f);
    }
    RT_TRY(rt_eval_need(c, 0, o->types, &x));
    RT_TRY(rt_eval_reckon(c, x->count, RT_EVAL_SLOW));
    RT_TRY(rt_eval_like(c, 0, x->type, x, &y));
    if (x->type == RT_F32) {
        const float *from = x->data;
        float *to = y->data;
        for (size_t i = 0; i < x->count; i++) to[i] = (float)o->f(from[i], p);
    } else if (!rt_array_is_float(x) && o->whole) {
        for (size_t i = 0; i < x->count; i++)
            rt_array_put_int(y, i,
                             x->type == RT_U64 && o->whole != whole_neg
                                 ? (int64_t)(o->whole == whole_sign ? rt_array_int(x, i) != 0 : rt_array_int(x, i))
                                 : o->whole(rt_array_int(x, i)));
    } else
        for (size_t i = 0; i < x->count; i++) rt_array_put(y, i, o->f(rt_array_double(x, i), p));
    return RT_OK;
}

static rt_status unary(rt_eval_call *c)
{
    for (size_t i = 0; i < sizeof ones / sizeof *ones; i++)
        if (!strcmp(ones[i].name, c->node->op)) return run_one(c, &ones[i]);
    return rt_fail(RT_INPUT, "%s is not known", c->node->op);
}

static rt_status gelu(rt_eval_call *c)
{
    const char *kind = rt_eval_string(c, "approximate", "none");
    one o = {"Gelu", one_gelu, NULL, RT_EVAL_FLOATS, {0}, {0}};
    if (!strcmp(kind, "tanh")) o.f = one_gelu_tanh;
    else if (strcmp(kind, "none")) return rt_fail(RT_INPUT, "approximate '%s' is neither none nor tanh", kind);
    return run_one(c, &o);
}

/* ---- of two ---- */

#define ROW(n, e) \
    static void row_##n(float *y, const float *a, int da, const float *b, int db, size_t n_) \
    { \
        if (da && db) for (size_t i = 0; i < n_; i++) { float u = a[i], v = b[i]; y[i] = e; } \
        else if (da) for (size_t i = 0; i < n_; i++) { float u = a[i], v = *b; y[i] = e; } \
        else for (size_t i = 0; i < n_; i++) { float u = *a, v = b[i * (size_t)db]; y[i] = e; } \
    }
ROW(add, u + v)
ROW(sub, u - v)
ROW(mul, u * v)
ROW(div, u / v)
ROW(max, u > v || isnan(u) ? u : v)
ROW(min, u < v || isnan(u) ? u : v)
static double two_add(double u, double v) { return u + v; }
static double two_sub(double u, double v) { return u - v; }
static double two_mul(double u, double v) { return u * v; }
static double two_div(double u, double v) { return u / v; }
static double two_max(double u, double v) { return u > v || isnan(u) ? u : v; }
static double two_min(double u, double v) { return u < v || isnan(u) ? u : v; }
static double two_mod(double u, double v)
{
    double r = fmod(u, v);
    return r == 0 ? copysign(0, v) : (r < 0) != (v < 0) ? r + v : r;
}
static int64_t whole_add(int64_t u, int64_t v) { return (int64_t)((uint64_t)u + (uint64_t)v); }
static int64_t whole_sub(int64_t u, int64_t v) { return (int64_t)((uint64_t)u - (uint64_t)v); }
static int64_t whole_mul(int64_t u, int64_t v) { return (int64_t)((uint64_t)u * (uint64_t)v); }
static int64_t whole_div(int64_t u, int64_t v) { return v == -1 ? whole_neg(u) : u / v; }
static int64_t whole_max(int64_t u, int64_t v) { return u > v ? u : v; }
static int64_t whole_min(int64_t u, int64_t v) { return u < v ? u : v; }
static int64_t whole_rem(int64_t u, int64_t v) { return v == -1 ? 0 : u % v; }
static int64_t whole_mod(int64_t u, int64_t v)
{
    int64_t r = whole_rem(u, v);
    return r && (r < 0) != (v < 0) ? r + v : r;
}
static uint64_t natural_div(uint64_t u, uint64_t v) { return u / v; }
static uint64_t natural_mod(uint64_t u, uint64_t v) { return u % v; }
static uint64_t natural_max(uint64_t u, uint64_t v) { return u > v ? u : v; }
static uint64_t natural_min(uint64_t u, uint64_t v) { return u < v ? u : v; }
static int64_t whole_pow(int64_t u, int64_t v)
{
    uint64_t r = 1, b = (uint64_t)u;
    for (uint64_t e = (uint64_t)v; e; e >>= 1, b *= b) if (e & 1) r *= b;
    return (int64_t)r;
}

static const rt_eval_dyad dyad_add = {two_add, whole_add, NULL, row_add},
                          dyad_sub = {two_sub, whole_sub, NULL, row_sub},
                          dyad_mul = {two_mul, whole_mul, NULL, row_mul},
                          dyad_div = {two_div, whole_div, natural_div, row_div},
                          dyad_max = {two_max, whole_max, natural_max, row_max},
                          dyad_min = {two_min, whole_min, natural_min, row_min},
                          dyad_mod = {two_mod, whole_mod, natural_mod, NULL},
                          dyad_fmod = {fmod, whole_rem, natural_mod, NULL}, dyad_pow = {pow, whole_pow, NULL, NULL};

static rt_status no_zero(const rt_array *b)
{
    if (rt_array_is_integer(b))
        for (size_t i = 0; i < b->count; i++)
            if (!rt_array_int(b, i)) return rt_fail(RT_INPUT, "integers are divided by zero");
    return RT_OK;
}

static rt_status binary(rt_eval_call *c, const rt_eval_dyad *d, int divides)
{
    const rt_array *a;
    rt_array b, *y;
    RT_TRY(rt_eval_pair(c, 7, RT_EVAL_NUMBERS, &a, &b));
    if (divides) RT_TRY(no_zero(&b));
    return rt_eval_dyad_make(c, d, a, &b, &y);
}
static rt_status add(rt_eval_call *c) { return binary(c, &dyad_add, 0); }
static rt_status sub(rt_eval_call *c) { return binary(c, &dyad_sub, 0); }
static rt_status mul(rt_eval_call *c) { return binary(c, &dyad_mul, 0); }
static rt_status divide(rt_eval_call *c) { return binary(c, &dyad_div, 1); }
static rt_status mod(rt_eval_call *c)
{ return binary(c, rt_eval_int(c, "fmod", 0) ? &dyad_fmod : &dyad_mod, 1); }

/* The base's type; the exponent may have another. */
static rt_status power(rt_eval_call *c)
{
    const rt_array *a, *in[2];
    rt_array b, *y, *t;
    int64_t dim[RT_ARRAY_RANK];
    int rank, by_whole;
    RT_TRY(rt_eval_pair(c, 7, RT_EVAL_NUMBERS, &a, &b));
    in[0] = a;
    in[1] = &b;
    RT_TRY(rt_array_broadcast(in, 2, &rank, dim));
    RT_TRY(rt_eval_make(c, 0, a->type, rank, dim, &y));
    RT_TRY(rt_eval_reckon(c, y->count, 2 * RT_EVAL_SLOW));
    by_whole = rt_array_is_integer(&b);
    if (rt_array_is_float(a)) {
        rt_eval_dyad_run(&dyad_pow, a, &b, y);
        return RT_OK;
    }
    if (by_whole) {
        for (size_t i = 0; i < b.count && b.type != RT_U64; i++)
            if (rt_array_int(&b, i) < 0) return rt_fail(RT_INPUT, "integers to a negative power are no integers");
        rt_eval_dyad_run(&dyad_pow, a, &b, y);
        return RT_OK;
    }
    RT_TRY(rt_eval_temp(c, RT_F64, rank, dim, &t));
    rt_eval_dyad_run(&dyad_pow, a, &b, t);
    for (size_t i = 0; i < y->count; i++) rt_array_put(y, i, rt_array_double(t, i));
    return RT_OK;
}

/* Slope: of one element, of the shape of X's dimensions from 1 on in opsets before 7, else one that broadcasts. */
static rt_status prelu(rt_eval_call *c)
{
    const rt_array *x, *given;
    rt_array s, *y;
    rt_walk w;
    rt_eval_consumed(c);
    RT_TRY(rt_eval_need(c, 0, RT_EVAL_NUMBERS, &x));
    RT_TRY(rt_eval_need(c, 1, 1u << x->type, &given));
    s = *given;
    if (c->version < 7 && s.rank == 1 && x->rank > 1 && s.count > 1) {
        s.rank = x->rank - 1;
        for (int i = 1; i < s.rank; i++) s.dim[i] = 1;
    }
    const rt_array *in[2] = {x, &s};
    int64_t dim[RT_ARRAY_RANK];
    int rank;
    RT_TRY(rt_array_broadcast(in, 2, &rank, dim));
    if (rank != x->rank || (rank && memcmp(dim, x->dim, (size_t)rank * sizeof *dim)))
        return rt_fail(RT_INPUT, "the slope does not broadcast to the shape of X");
    RT_TRY(rt_eval_like(c, 0, x->type, x, &y));
    size_t i = 0;
    for (rt_walk_begin(&w, rank, dim, in, 2); w.left; rt_walk_next(&w), i++)
        if (rt_array_is_float(x)) {
            double v = rt_array_double(x, i);
            rt_array_put(y, i, v < 0 ? v * rt_array_double(&s, w.pos[1]) : v);
        } else {
            int64_t v = rt_array_int(x, i);
            rt_array_put_int(y, i, v < 0 && x->type != RT_U64 ? whole_mul(v, rt_array_int(&s, w.pos[1])) : v);
        }
    return RT_OK;
}

/* ---- of many ---- */

/* y = ((in0 . in1) . in2) ..., then a factor for the mean. */
static rt_status many(rt_eval_call *c, const rt_eval_dyad *d, int mean)
{
    const rt_array *in, *so_far;
    rt_array *y = NULL;
    rt_eval_consumed(c);
    RT_TRY(rt_eval_need(c, 0, RT_EVAL_NUMBERS, &so_far));
    if (c->inputs < 2) {
        RT_TRY(rt_eval_like(c, 0, so_far->type, so_far, &y));
        memcpy(y->data, so_far->data, so_far->count * rt_dtype_size(so_far->type));
        return RT_OK;
    }
    for (int i = 1; i < c->inputs; i++, so_far = y) {
        RT_TRY(rt_eval_need(c, i, 1u << so_far->type, &in));
        const rt_array *pair[2] = {so_far, in};
        int64_t dim[RT_ARRAY_RANK];
        int rank;
        RT_TRY(rt_array_broadcast(pair, 2, &rank, dim));
        if (i == c->inputs - 1) RT_TRY(rt_eval_make(c, 0, in->type, rank, dim, &y));
        else RT_TRY(rt_eval_temp(c, in->type, rank, dim, &y));
        RT_TRY(rt_eval_reckon(c, y->count, y->type == RT_F32 ? 1 : RT_EVAL_SLOW));
        rt_eval_dyad_run(d, so_far, in, y);
    }
    for (size_t i = 0; mean && i < y->count; i++) {
        if (rt_array_is_float(y)) rt_array_put(y, i, rt_array_double(y, i) / c->inputs);
        else rt_array_put_int(y, i, rt_array_int(y, i) / c->inputs);
    }
    return RT_OK;
}
static rt_status maximum(rt_eval_call *c) { return many(c, &dyad_max, 0); }
static rt_status minimum(rt_eval_call *c) { return many(c, &dyad_min, 0); }
static rt_status sum(rt_eval_call *c) { return many(c, &dyad_add, 0); }
static rt_status mean(rt_eval_call *c) { return many(c, &dyad_add, 1); }

/* min(max(x, low), high), each where given: attributes before opset 11, then inputs. */
static rt_status clip(rt_eval_call *c)
{
    static const rt_eval_dyad *const by[2] = {&dyad_max, &dyad_min};
    static const char *const name[2] = {"min", "max"};
    const rt_array *x, *limit;
    rt_array *y, one;
    rt_eval_consumed(c);
    RT_TRY(rt_eval_need(c, 0, RT_EVAL_NUMBERS, &x));
    RT_TRY(rt_eval_like(c, 0, x->type, x, &y));
    memcpy(y->data, x->data, x->count * rt_dtype_size(x->type));
    for (int i = 0; i < 2; i++) {
        if (c->version < 11) {
            rt_array *made;
            if (!rt_eval_has(c, name[i]) && c->version < 6) continue;
            RT_TRY(rt_eval_temp(c, x->type, 0, NULL, &made));
            rt_array_put(made, 0, rt_eval_float(c, name[i], i ? 3.4028234663852886e38 : -3.4028234663852886e38));
            one = *made;
        } else {
            RT_TRY(rt_eval_may(c, 1 + i, 1u << x->type, &limit));
            if (!limit) continue;
            if (limit->count != 1) return rt_fail(RT_INPUT, "%s is not one number", name[i]);
            one = *limit;
            one.rank = 0;
        }
        rt_eval_dyad_run(by[i], y, &one, y);
    }
    return RT_OK;
}

#define UNARY(name, since) {"", name, since, 1, 1, 1, unary, 0}
const rt_eval_op rt_eval_math_ops[] = {
    UNARY("Abs", 1), UNARY("Neg", 1), UNARY("Sign", 9), UNARY("Relu", 1), UNARY("Round", 11), UNARY("Sqrt", 1),
    UNARY("Exp", 1), UNARY("Log", 1), UNARY("Reciprocal", 1), UNARY("Sin", 7), UNARY("Cos", 7), UNARY("Tan", 7),
    UNARY("Asin", 7), UNARY("Acos", 7), UNARY("Atan", 7), UNARY("Sinh", 9), UNARY("Cosh", 9), UNARY("Tanh", 1),
    UNARY("Asinh", 9), UNARY("Acosh", 9), UNARY("Atanh", 9), UNARY("Ceil", 1), UNARY("Floor", 1), UNARY("Erf", 9),
    UNARY("LeakyRelu", 1), UNARY("Elu", 1), UNARY("Selu", 1), UNARY("Celu", 12), UNARY("HardSigmoid", 1),
    UNARY("HardSwish", 14), UNARY("Sigmoid", 1), UNARY("Softplus", 1), UNARY("Softsign", 1), UNARY("Swish", 24),
    UNARY("Mish", 18), UNARY("ThresholdedRelu", 10), UNARY("Shrink", 9),
    {"", "Gelu", 20, 1, 1, 1, gelu, 0},
    {"", "Add", 1, 2, 2, 1, add, 0},
    {"", "Sub", 1, 2, 2, 1, sub, 0},
    {"", "Mul", 1, 2, 2, 1, mul, 0},
    {"", "Div", 1, 2, 2, 1, divide, 0},
    {"", "Mod", 10, 2, 2, 1, mod, 0},
    {"", "Pow", 1, 2, 2, 1, power, 0},
    {"", "PRelu", 1, 2, 2, 1, prelu, 0},
    {"", "Max", 1, 1, -1, 1, maximum, 0},
    {"", "Min", 1, 1, -1, 1, minimum, 0},
    {"", "Sum", 1, 1, -1, 1, sum, 0},
    {"", "Mean", 1, 1, -1, 1, mean, 0},
    {"", "Clip", 1, 1, 1, 1, clip, 0},
    {"", "Clip", 11, 1, 3, 1, clip, 0},
    {"", "Softmax", 1, 1, 1, 1, rt_eval_softmax, 0},
    {"", "LogSoftmax", 1, 1, 1, 1, rt_eval_softmax, 0},
    {"", "Hardmax", 1, 1, 1, 1, rt_eval_softmax, 0},
    {"", "CumSum", 11, 2, 2, 1, rt_eval_cumulate, 0},
    {"", "CumProd", 26, 2, 2, 1, rt_eval_cumulate, 0},
    {"", "BitShift", 11, 2, 2, 1, rt_eval_bit_shift, 0},
    {"", "BitwiseAnd", 18, 2, 2, 1, rt_eval_bitwise, 0},
    {"", "BitwiseOr", 18, 2, 2, 1, rt_eval_bitwise, 0},
    {"", "BitwiseXor", 18, 2, 2, 1, rt_eval_bitwise, 0},
    {"", "BitwiseNot", 18, 1, 1, 1, rt_eval_bitwise_not, 0},
    {"", "IsNaN", 9, 1, 1, 1, rt_eval_is_nan, 0},
    {"", "IsInf", 10, 1, 1, 1, rt_eval_is_inf, 0},
    {NULL, NULL, 0, 0, 0, 0, NULL, 0}};
