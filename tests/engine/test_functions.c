/* Kernels of functions of one and of two numbers and of folds: each family against its plain-C twin at lengths 1 to 70,
 * values against the C library in double, and what is special (infinities, NaN, signs of zero, steps). */
#include <float.h>

#include "engine/kernels.h"
#include "tests/support.h"

static const rt_kernels *twin;

static const rt_kernels *const *next_family(const rt_kernels *const *k)
{
    for (; *k; k++) if (rt_kernels_runnable(*k)) return k;
    return k;
}
#define EACH_FAMILY(k) for (const rt_kernels *const *k = next_family(rt_kernels_all()); *k; k = next_family(k + 1))

/* ---- one number ---- */

typedef struct {
    rt_unary fn;
    float a, b, low, high;
    double ulp; /* -1: 1.2e-7 of 1 */
    double (*is)(double);
    double (*slope)(double);
} sample;

static double reciprocal(double x) { return 1 / x; }
static double minus(double x) { return -x; }
static double elu(double x) { return x > 0 ? x : 0.7f * expm1(x); }
static double selu(double x) { return 1.1f * (x > 0 ? x : 1.7f * expm1(x)); }
static double celu(double x) { return x > 0 ? x : 1.3f * expm1(x / 1.3f); }
static double softplus(double x) { return fmax(x, 0) + log1p(exp(-fabs(x))); }
static double softsign(double x) { return x / (1 + fabs(x)); }
static double hard_sigmoid(double x) { return fmin(fmax(0.2f * x + 0.5f, 0), 1); }
static double mish(double x) { return x * tanh(softplus(x)); }
static double thresholded(double x) { return x > 0.5 ? x : 0; }
static double shrink(double x) { return x < -0.5 ? x + 0.25 : x > 0.5 ? x - 0.25 : 0; }
static double clip(double x) { return fmin(fmax(x, -1.25), 2); }
static double square(double x) { return x * x; }
static double cube(double x) { return x * x * x; }
static double root(double x) { return pow(x, 0.3f); }
static double inverse(double x) { return pow(x, -2.7f); }
static double sign(double x) { return (x > 0) - (x < 0); }
static double not(double x) { return !(x < 0 || x > 0); }
static double nothing(double x) { return 0 * x; }

static const sample samples[] = {
    {RT_UNARY_EXP, 0, 0, -87, 88.7f, 2.5, exp, NULL}, {RT_UNARY_LOG, 0, 0, 1e-30f, 1e30f, 2, log, NULL},
    {RT_UNARY_LOG, 0, 0, 0.9f, 1.1f, 2, log, NULL}, {RT_UNARY_SQRT, 0, 0, 0, 1e30f, 0.51, sqrt, NULL},
    {RT_UNARY_RECIPROCAL, 0, 0, -1e3f, 1e3f, 0.51, reciprocal, NULL}, {RT_UNARY_ABS, 0, 0, -9, 9, 0, fabs, NULL},
    {RT_UNARY_NEG, 0, 0, -9, 9, 0, minus, NULL}, {RT_UNARY_ERF, 0, 0, -1, 1, 2, erf, NULL},
    {RT_UNARY_ERF, 0, 0, -6, 6, 2, erf, NULL}, {RT_UNARY_ELU, 0.7f, 0, -20, 20, 3.5, elu, NULL},
    {RT_UNARY_SELU, 1.7f, 1.1f, -20, 20, 4.5, selu, NULL}, {RT_UNARY_CELU, 1.3f, 0, -20, 20, 4.5, celu, NULL},
    {RT_UNARY_SOFTPLUS, 0, 0, -80, 80, 4, softplus, NULL}, {RT_UNARY_SOFTSIGN, 0, 0, -80, 80, 1.6, softsign, NULL},
    {RT_UNARY_HARD_SIGMOID, 0.2f, 0.5f, -4, 4, -1, hard_sigmoid, NULL}, {RT_UNARY_MISH, 0, 0, -30, 40, 6, mish, NULL},
    {RT_UNARY_THRESHOLDED_RELU, 0.5f, 0, -2, 2, 0, thresholded, NULL},
    {RT_UNARY_SHRINK, 0.5f, 0.25f, -2, 2, 0.51, shrink, NULL}, {RT_UNARY_CLIP, -1.25f, 2, -4, 4, 0, clip, NULL},
    {RT_UNARY_POW, 2, 0, -9, 9, 0.51, square, NULL}, {RT_UNARY_POW, 3, 0, -9, 9, 0.51, cube, NULL},
    {RT_UNARY_POW, 0.3f, 0, 0, 1e30f, 0.51, root, NULL}, {RT_UNARY_POW, -2.7f, 0, 1e-3f, 1e9f, 0.51, inverse, NULL},
    {RT_UNARY_POW, 0.5f, 0, 0, 1e9f, 0.51, sqrt, NULL}, {RT_UNARY_POW, -1, 0, -9, 9, 0.51, reciprocal, NULL},
    {RT_UNARY_SIN, 0, 0, -4, 4, 0.51, sin, NULL}, {RT_UNARY_SIN, 0, 0, -3e6f, 3e6f, 0.51, sin, NULL},
    {RT_UNARY_COS, 0, 0, -40, 40, 0.51, cos, NULL}, {RT_UNARY_COS, 0, 0, -3e6f, 3e6f, 0.51, cos, NULL},
    {RT_UNARY_TAN, 0, 0, -9, 9, 0.51, tan, NULL}, {RT_UNARY_ASIN, 0, 0, -1, 1, 0.51, asin, NULL},
    {RT_UNARY_ACOS, 0, 0, -1, 1, 0.51, acos, NULL}, {RT_UNARY_ATAN, 0, 0, -9, 9, 0.51, atan, NULL},
    {RT_UNARY_SINH, 0, 0, -9, 9, 0.51, sinh, NULL}, {RT_UNARY_COSH, 0, 0, -9, 9, 0.51, cosh, NULL},
    {RT_UNARY_ASINH, 0, 0, -9, 9, 0.51, asinh, NULL}, {RT_UNARY_ACOSH, 0, 0, 1, 9, 0.51, acosh, NULL},
    {RT_UNARY_ATANH, 0, 0, -1, 1, 0.51, atanh, NULL}, {RT_UNARY_FLOOR, 0, 0, -9, 9, 0, floor, NULL},
    {RT_UNARY_CEIL, 0, 0, -9, 9, 0, ceil, NULL}, {RT_UNARY_ROUND, 0, 0, -9, 9, 0, nearbyint, NULL},
    {RT_UNARY_SIGN, 0, 0, -9, 9, 0, sign, NULL}, {RT_UNARY_NOT, 0, 0, -9, 9, 0, not, NULL},
    {RT_UNARY_IS_NAN, 0, 0, -9, 9, 0, nothing, NULL}, {RT_UNARY_IS_INF, 0, 0, -9, 9, 0, nothing, NULL}};
enum { SAMPLES = sizeof samples / sizeof samples[0] };

/* Of positive ranges wide in size, of others even. */
static float *spread(float low, float high, size_t n)
{
    float *x = random_floats(n, 1);
    for (size_t i = 0; i < n; i++) {
        double part = (double)i / (double)(n - 1);
        x[i] = low > 0 && high > 1e6f * low ? (float)(low * pow((double)high / low, part))
                                            : low + (high - low) * (float)part;
    }
    return x;
}

static void values(void **state)
{
    (void)state;
    enum { N = 20011 };
    int seen[RT_UNARY_COUNT] = {0};
    float *y = random_floats(N, 2);
    for (int s = 0; s < SAMPLES; s++) {
        const sample *q = &samples[s];
        float *x = spread(q->low, q->high, N);
        seen[q->fn] = 1;
        EACH_FAMILY(k) {
            int fused = (*k)->vector > 1;
            (*k)->unary(y, x, N, q->fn, q->a, q->b);
            for (size_t i = 0; i < N; i++) {
                double want = q->is((double)x[i]), ulp = ldexp(1, fmax(ilogb(want), -126) - 23);
                char text[120];
                snprintf(text, sizeof text, "function %d of %.9g (%s)", (int)q->fn, (double)x[i], (*k)->name);
                if (fabs(want) < FLT_MIN) check_close(text, y[i], want, FLT_MIN, 0);
                else if (q->ulp < 0) check_close(text, y[i], want, 1.2e-7, 0);
                else if (!isinf(want)) check_close(text, y[i], want, q->ulp * (fused ? 1 : 2) * ulp, 0);
                else assert_true(isinf(y[i]) && (y[i] > 0) == (want > 0));
            }
        }
        free(x);
    }
    for (int f = RT_UNARY_NONE + 1; f < RT_UNARY_COUNT; f++) assert_true(seen[f]);
    free(y);
}

/* GELU by erf keeps its digits where 1 + erf has none left, and its derivative is the difference quotient. */
static void gelu(void **state)
{
    (void)state;
    enum { N = 40001 };
    float *x = spread(-12, 12, N), *y = random_floats(N, 2), *one = random_floats(N, 3), *d = random_floats(N, 4);
    for (size_t i = 0; i < N; i++) one[i] = 1;
    EACH_FAMILY(k) {
        (*k)->affine_act(y, x, NULL, NULL, N, 1, RT_ACT_GELU_ERF, 0);
        (*k)->act_back(d, one, x, N, RT_ACT_GELU_ERF, 0, 0);
        for (size_t i = 0; i < N; i++) {
            double v = x[i], phi = 0.5 * erfc(-v / sqrt(2)), want = v * phi;
            check_close("gelu_erf", y[i], want, 1e-37, v > 0 ? 6e-7 : 6e-7 + 1.2e-7 * v * v);
            check_close("its derivative", d[i], phi + v * exp(-0.5 * v * v) / sqrt(2 * 3.14159265358979323846), 4e-7,
                        3e-7);
        }
    }
    free(x); free(y); free(one); free(d);
}

/* The derivative by differences of the function itself, in double, away from steps and kinks. */
static void slopes(void **state)
{
    (void)state;
    enum { N = 1009 };
    float *one = random_floats(N, 3), *d = random_floats(N, 4);
    for (size_t i = 0; i < N; i++) one[i] = 1;
    for (int s = 0; s < SAMPLES; s++) {
        const sample *q = &samples[s];
        float *x = spread(q->low, q->high, N);
        EACH_FAMILY(k) {
            (*k)->unary_back(d, one, x, N, q->fn, q->a, q->b, 0);
            for (size_t i = 1; i + 1 < N; i++) {
                double v = x[i], h = 1e-5 * fmax(fabs(v), 1e-3), far = (q->is(v + h) - q->is(v - h)) / (2 * h),
                       near = (q->is(v + h / 2) - q->is(v - h / 2)) / h;
                if (!(fabs(far - near) <= 1e-5 * (1 + fabs(near))) || fabs(near) > 1e30 || fabs(v) > 1e6 ||
                    fabs(v) < 1e-6 || (q->fn == RT_UNARY_CLIP && (x[i] <= q->a || x[i] >= q->b)))
                    continue;
                char text[120];
                snprintf(text, sizeof text, "derivative %d at %.9g (%s)", (int)q->fn, v, (*k)->name);
                check_close(text, d[i], near, 3e-5, 3e-5);
            }
        }
        free(x);
    }
    free(one); free(d);
}

static int by_exp(rt_unary f)
{
    return f == RT_UNARY_EXP || f == RT_UNARY_LOG || f == RT_UNARY_ERF ||
           (f >= RT_UNARY_ELU && f <= RT_UNARY_SOFTPLUS) || f == RT_UNARY_MISH;
}

/* Lengths 1 to 70: the very same bits where nothing is fused, and the same in all families that fuse; nothing beyond
 * the end is written. */
static void twins(void **state)
{
    (void)state;
    enum { MOST = 70, ROOM = MOST + 20 };
    const rt_kernels *first = NULL;
    EACH_FAMILY(k) if ((*k)->vector > 1 && !first) first = *k;
    for (int s = 0; s < SAMPLES; s++) {
        const sample *q = &samples[s];
        float *x = spread(q->low, q->high, MOST), *dy = random_floats(MOST, 5), want[ROOM], got[ROOM];
        for (size_t n = 1; n <= MOST; n++)
            EACH_FAMILY(k)
                for (int mode = 0; mode < 3; mode++) {
                    const rt_kernels *of = by_exp(q->fn) && (*k)->vector > 1 ? first : twin;
                    for (size_t i = 0; i < ROOM; i++) want[i] = got[i] = (float)(i % 7) * 0.125f;
                    if (!mode) of->unary(want, x, n, q->fn, q->a, q->b);
                    else of->unary_back(want, dy, x, n, q->fn, q->a, q->b, mode - 1);
                    if (!mode) (*k)->unary(got, x, n, q->fn, q->a, q->b);
                    else (*k)->unary_back(got, dy, x, n, q->fn, q->a, q->b, mode - 1);
                    for (size_t i = 0; i < ROOM; i++)
                        if (memcmp(&want[i], &got[i], 4) && !(isnan(want[i]) && isnan(got[i])))
                            fail_msg("function %d mode %d of %s at %zu of %zu: %.9g, %.9g", (int)q->fn, mode,
                                     (*k)->name, i, n, (double)got[i], (double)want[i]);
                    if (mode) {                                   /* in place */
                        memcpy(got, dy, n * sizeof *got);
                        memcpy(want, dy, n * sizeof *got);
                        of->unary_back(want, dy, x, n, q->fn, q->a, q->b, 0);
                        (*k)->unary_back(got, got, x, n, q->fn, q->a, q->b, 0);
                        for (size_t i = 0; i < n; i++) assert_true(!memcmp(&got[i], &want[i], 4) || isnan(got[i]));
                    }
                }
        free(x);
        free(dy);
    }
}

/* Derivatives far out, where what vanishes is multiplied by what grows: the limits. */
static void far_slopes(void **state)
{
    (void)state;
    static const struct { rt_unary fn; float a, b; double below, above; } limits[] = {
        {RT_UNARY_MISH, 0, 0, 0, 1}, {RT_UNARY_SOFTPLUS, 0, 0, 0, 1}, {RT_UNARY_SOFTSIGN, 0, 0, 0, 0},
        {RT_UNARY_ELU, 1.5f, 0, 0, 1}, {RT_UNARY_CELU, 1.5f, 0, 0, 1}, {RT_UNARY_SELU, 1.7f, 1.25f, 0, 1.25},
        {RT_UNARY_ERF, 0, 0, 0, 0}, {RT_UNARY_ABS, 0, 0, -1, 1}, {RT_UNARY_HARD_SIGMOID, 0.2f, 0.5f, 0, 0},
        {RT_UNARY_THRESHOLDED_RELU, 1, 0, 0, 1}, {RT_UNARY_SHRINK, 0.5f, 0, 1, 1}, {RT_UNARY_CLIP, -1, 1, 0, 0},
        {RT_UNARY_ATAN, 0, 0, 0, 0}, {RT_UNARY_ASINH, 0, 0, 0, 0}};
    static const struct { rt_act act; double below, above; } acts[] = {
        {RT_ACT_GELU, 0, 1}, {RT_ACT_SILU, 0, 1}, {RT_ACT_GELU_ERF, 0, 1}, {RT_ACT_HARDSWISH, 0, 1},
        {RT_ACT_SIGMOID, 0, 0}, {RT_ACT_TANH, 0, 0}};
    static const float at[] = {-1e38f, -1e30f, -1e20f, -1e15f, -2e10f, 2e10f, 1e15f, 1e20f, 1e30f, 1e38f};
    enum { N = sizeof at / sizeof at[0] };
    float one[N], d[N];
    for (int i = 0; i < N; i++) one[i] = 1;
    EACH_FAMILY(k) {
        for (size_t f = 0; f < sizeof limits / sizeof limits[0]; f++) {
            (*k)->unary_back(d, one, at, N, limits[f].fn, limits[f].a, limits[f].b, 0);
            for (int i = 0; i < N; i++)
                check_close((*k)->name, (double)d[i], at[i] < 0 ? limits[f].below : limits[f].above, 1e-9, 1e-7);
        }
        for (size_t f = 0; f < sizeof acts / sizeof acts[0]; f++) {
            (*k)->act_back(d, one, at, N, acts[f].act, 0, 0);
            for (int i = 0; i < N; i++)
                check_close((*k)->name, (double)d[i], at[i] < 0 ? acts[f].below : acts[f].above, 1e-9, 1e-7);
            if (acts[f].above < 1) continue;                          /* those that go to 0 and to x */
            (*k)->affine_act(d, at, NULL, NULL, 1, N, acts[f].act, 0);
            for (int i = 0; i < N; i++)
                check_close((*k)->name, (double)d[i], at[i] < 0 ? 0 : (double)at[i], 1e-9, 3e-7);
        }
    }
}

static void check_one(const rt_kernels *k, rt_unary f, float a, float x, float want)
{
    float in[20], out[20];
    for (int i = 0; i < 20; i++) in[i] = i % 3 ? 0.5f : x;
    k->unary(out, in, 19, f, a, 0);
    for (int i = 0; i < 19; i += 3)
        if (!(out[i] <= want && out[i] >= want && signbit(out[i]) == signbit(want)) && !(isnan(want) && isnan(out[i])))
            fail_msg("function %d (%g) of %g is %g, want %g (%s)", (int)f, (double)a, (double)x, (double)out[i],
                     (double)want, k->name);
}

static void special(void **state)
{
    (void)state;
    static const rt_unary all_nan[] = {
        RT_UNARY_EXP,      RT_UNARY_LOG,      RT_UNARY_SQRT,         RT_UNARY_RECIPROCAL, RT_UNARY_ABS,
        RT_UNARY_NEG,      RT_UNARY_ERF,      RT_UNARY_ELU,          RT_UNARY_SELU,       RT_UNARY_CELU,
        RT_UNARY_SOFTPLUS, RT_UNARY_SOFTSIGN, RT_UNARY_HARD_SIGMOID, RT_UNARY_MISH,       RT_UNARY_THRESHOLDED_RELU,
        RT_UNARY_SHRINK,   RT_UNARY_CLIP,     RT_UNARY_POW,          RT_UNARY_SIN,        RT_UNARY_COS,
        RT_UNARY_TAN,      RT_UNARY_FLOOR,    RT_UNARY_ROUND,        RT_UNARY_SIGN};
    EACH_FAMILY(k) {
        for (size_t i = 0; i < sizeof all_nan / sizeof all_nan[0]; i++) check_one(*k, all_nan[i], 1.5f, NAN, NAN);
        check_one(*k, RT_UNARY_EXP, 0, INFINITY, INFINITY);
        check_one(*k, RT_UNARY_EXP, 0, -INFINITY, 0);
        check_one(*k, RT_UNARY_EXP, 0, 100, INFINITY);
        check_one(*k, RT_UNARY_EXP, 0, 0, 1);
        check_one(*k, RT_UNARY_LOG, 0, 0, -INFINITY);
        check_one(*k, RT_UNARY_LOG, 0, -1, NAN);
        check_one(*k, RT_UNARY_LOG, 0, 1, 0);
        check_one(*k, RT_UNARY_LOG, 0, INFINITY, INFINITY);
        check_one(*k, RT_UNARY_ERF, 0, INFINITY, 1);
        check_one(*k, RT_UNARY_ERF, 0, -INFINITY, -1);
        check_one(*k, RT_UNARY_SOFTPLUS, 0, INFINITY, INFINITY);
        check_one(*k, RT_UNARY_SOFTPLUS, 0, -INFINITY, 0);
        check_one(*k, RT_UNARY_MISH, 0, INFINITY, INFINITY);
        check_one(*k, RT_UNARY_ELU, 1.5f, -INFINITY, -1.5f);
        check_one(*k, RT_UNARY_ROUND, 0, 0.5f, 0);
        check_one(*k, RT_UNARY_ROUND, 0, 1.5f, 2);
        check_one(*k, RT_UNARY_ROUND, 0, -2.5f, -2);
        check_one(*k, RT_UNARY_IS_NAN, 0, NAN, 1);
        check_one(*k, RT_UNARY_IS_INF, 0, -INFINITY, 1);
        check_one(*k, RT_UNARY_IS_INF, 0, NAN, 0);
        check_one(*k, RT_UNARY_NOT, 0, -0.0f, 1);
        check_one(*k, RT_UNARY_NOT, 0, NAN, 0);
        check_one(*k, RT_UNARY_SIN, 0, INFINITY, NAN);
        check_one(*k, RT_UNARY_RECIPROCAL, 0, -0.0f, -INFINITY);
        static const float bases[] = {0, -0.0f, 1, -1, 2, -2, INFINITY, -INFINITY, 0.25f, -0.25f, NAN},
                           powers[] = {0, 1, -1, 3, -3, 4, -2, 0.5f, -1.5f, 0.25f, 200, -200};
        for (size_t i = 0; i < sizeof bases / sizeof bases[0]; i++)
            for (size_t j = 0; j < sizeof powers / sizeof powers[0]; j++) {
                float want = powf(bases[i], powers[j]);
                if (powers[j] > 0.49f && powers[j] < 0.51f && isinf(bases[i])) want = INFINITY;
                check_one(*k, RT_UNARY_POW, powers[j], bases[i], want);
            }
    }
}

/* ---- two numbers ---- */

static double of_two(rt_binary f, double a, double b)
{
    switch (f) {
    case RT_BINARY_ADD: return a + b;
    case RT_BINARY_SUBTRACT: return a - b;
    case RT_BINARY_MULTIPLY: return a * b;
    case RT_BINARY_DIVIDE: return a / b;
    case RT_BINARY_MINIMUM: return isnan(a) || isnan(b) ? NAN : fmin(a, b);
    case RT_BINARY_MAXIMUM: return isnan(a) || isnan(b) ? NAN : fmax(a, b);
    case RT_BINARY_POWER: return pow(a, b);
    case RT_BINARY_PRELU: return a < 0 ? a * b : a;
    case RT_BINARY_MODULO: return fmod(a, b);
    case RT_BINARY_LESS: return a < b;
    case RT_BINARY_LESS_OR_EQUAL: return a <= b;
    case RT_BINARY_GREATER: return a > b;
    case RT_BINARY_GREATER_OR_EQUAL: return a >= b;
    case RT_BINARY_EQUAL: return !(a < b) && !(a > b) && !isnan(a) && !isnan(b);
    case RT_BINARY_AND: return (a < 0 || a > 0 || isnan(a)) && (b < 0 || b > 0 || isnan(b));
    case RT_BINARY_OR: return a < 0 || a > 0 || isnan(a) || b < 0 || b > 0 || isnan(b);
    case RT_BINARY_XOR: return (a < 0 || a > 0 || isnan(a)) != (b < 0 || b > 0 || isnan(b));
    case RT_BINARY_COUNT: break;
    }
    return NAN;
}

/* Numbers of which some are 0, some equal in both, some infinite or NaN. */
static void odd_numbers(float *a, float *b, size_t n)
{
    static const float odd[] = {0, -0.0f, 1, -1, 2, INFINITY, -INFINITY, NAN};
    for (size_t i = 0; i < n; i++) {
        if (i % 5 == 1) a[i] = odd[i / 5 % 8];
        if (i % 7 == 2) b[i] = odd[i / 7 % 8];
        if (i % 11 == 3) b[i] = a[i];
        if (i % 3 == 0) b[i] = rintf(b[i] * 2);
    }
}

/* Every function by lines of every length whose numbers go along or stay: the formula rounded, the bits of the twin,
 * and nothing beyond the end. */
static void pairs(void **state)
{
    (void)state;
    enum { MOST = 70, LINES = 3, ROOM = LINES * MOST + 20 };
    float *a = random_floats(ROOM, 11), *b = random_floats(ROOM, 12), *dy = random_floats(ROOM, 13), want[ROOM],
          got[ROOM];
    odd_numbers(a, b, ROOM);
    for (size_t n = 1; n <= MOST; n++)
        for (int steps = 0; steps < 4; steps++) {
            rt_lines l = {.a = a, .b = b, .a_step = steps & 1, .b_step = steps >> 1, .lines = LINES, .n = n,
                          .a_line = steps & 1 ? (ptrdiff_t)n : 2, .b_line = n % 2 ? 0 : 5};
            for (int f = 0; f < RT_BINARY_COUNT; f++)
                EACH_FAMILY(k)
                    for (int mode = -1; mode < 2; mode++) {
                        if (mode >= 0 && f >= RT_BINARY_LESS) continue;
                        for (size_t i = 0; i < ROOM; i++) want[i] = got[i] = (float)(i % 7) * 0.125f;
                        if (mode < 0) twin->binary(want, &l, f);
                        else twin->binary_back(want, dy, &l, f, mode);
                        if (mode < 0) (*k)->binary(got, &l, f);
                        else (*k)->binary_back(got, dy, &l, f, mode);
                        for (size_t i = 0; i < ROOM; i++) {
                            size_t r = i < LINES * n ? i / n : 0, e = i % n;
                            float p = a[r * (size_t)l.a_line + e * (size_t)l.a_step],
                                  q = b[r * (size_t)l.b_line + e * (size_t)l.b_step];
                            if (i < LINES * n && mode < 0 && *k == twin) {
                                float sure = (float)of_two(f, (double)p, (double)q);
                                if (fabsf(sure) > 0 && fabsf(sure) < FLT_MIN) continue;
                                if (!(got[i] <= sure && got[i] >= sure) && !(isnan(got[i]) && isnan(sure)))
                                    fail_msg("pair %d of %g, %g is %.9g, want %.9g", f, (double)p, (double)q,
                                             (double)got[i], (double)sure);
                            }
                            int fused = f == RT_BINARY_POWER && mode == 1;       /* a logarithm is in it */
                            if (memcmp(&want[i], &got[i], 4) && !(isnan(want[i]) && isnan(got[i])) &&
                                !(fused && fabsf(want[i] - got[i]) <= 1e-6f * fabsf(want[i])))
                                fail_msg("pair %d mode %d of %s, %zu of %zu: %.9g, %.9g", f, mode, (*k)->name, i, n,
                                         (double)got[i], (double)want[i]);
                        }
                    }
        }
    free(a); free(b); free(dy);
}

/* ---- folds ---- */

static double fold_d(rt_fold f, double s, double v)
{
    switch (f) {
    case RT_FOLD_SUM: return s + v;
    case RT_FOLD_ABS: return s + fabs(v);
    case RT_FOLD_SQUARE: return s + v * v;
    case RT_FOLD_PROD: return s * v;
    case RT_FOLD_MAX: return fmax(s, v);
    default: return fmin(s, v);
    }
}

static void folds(void **state)
{
    (void)state;
    enum { MOST = 70 };
    float *x = random_floats(MOST + 1, 14);
    for (int f = RT_FOLD_SUM; f <= RT_FOLD_MIN; f++)
        for (size_t n = 1; n <= MOST; n++)
            EACH_FAMILY(k) {
                double acc[MOST + 1], same[MOST + 1], all = 0.75, from = 0.75;
                for (size_t i = 0; i <= MOST; i++) acc[i] = same[i] = 0.5 - (double)i / 60;
                (*k)->fold_lines(acc, x, n, f);
                for (size_t i = 0; i <= MOST; i++) {
                    double want = i < n ? fold_d(f, same[i], (double)x[i]) : same[i];
                    assert_memory_equal(&acc[i], &want, sizeof want);
                }
                for (size_t i = 0; i < n; i++) all = fold_d(f, all, (double)x[i]);
                double got = (*k)->fold_run(from, x, n, f), sure = twin->fold_run(from, x, n, f);
                check_close("fold", got, all, 1e-14, 1e-13);
                assert_memory_equal(&got, &sure, sizeof got);
                if (f < RT_FOLD_MAX) continue;
                float keep = x[n / 2];
                x[n / 2] = NAN;
                assert_true(isnan((*k)->fold_run(from, x, n, f)));
                (*k)->fold_lines(acc, x, n, f);
                assert_true(isnan(acc[n / 2]));
                x[n / 2] = keep;
            }
    free(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(values), cmocka_unit_test(gelu), cmocka_unit_test(slopes),
                                       cmocka_unit_test(far_slopes),
                                       cmocka_unit_test(twins), cmocka_unit_test(special), cmocka_unit_test(pairs),
                                       cmocka_unit_test(folds)};
    for (const rt_kernels *const *k = rt_kernels_all(); *k; k++) if (!strcmp((*k)->name, "scalar")) twin = *k;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
