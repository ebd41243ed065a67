#include "experiments/statistics/statistics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/rng.h"

static const double two_pi = 6.283185307179586;

/* log(n!) - log(sqrt(2 pi n) (n / e)^n) */
static double stirling_error(double n)
{
    if (n < 16) return lgamma(n + 1) - (n + 0.5) * log(n) + n - 0.5 * log(two_pi);
    double s = n * n;
    return (1.0 / 12 - (1.0 / 360 - (1.0 / 1260 - (1.0 / 1680 - 1.0 / 1188 / s) / s) / s) / s) / n;
}

/* x log(x / m) + m - x without cancellation where x is near m */
static double deviance(double x, double m)
{
    if (fabs(x - m) >= 0.1 * (x + m)) return x * log(x / m) + m - x;
    double v = (x - m) / (x + m), s = (x - m) * v, e = 2 * x * v;
    for (int j = 1; j < 1000; j++) {
        e *= v * v;
        double next = s + e / (2 * j + 1);
        if (next == s) break;
        s = next;
    }
    return s;
}

double rt_binomial_term(double n, double p, double x)
{
    if (x == 0) return exp(n * log1p(-p));
    if (x == n) return exp(n * log(p));
    double e = stirling_error(n) - stirling_error(x) - stirling_error(n - x) - deviance(x, n * p) -
               deviance(n - x, n * (1 - p));
    return exp(e) * sqrt(n / (two_pi * x * (n - x)));
}

double rt_binomial_cdf(uint64_t count, double p, uint64_t t)
{
    double n = (double)count, odds = p / (1 - p), sum = 0, term = 1;
    if (t >= count) return 1;
    if ((double)t <= n * p) {
        for (double i = (double)t; i >= 0 && term > sum * 1e-18; i--) {
            sum += term;
            term *= i / ((n - i + 1) * odds);
        }
        return fmin(1, rt_binomial_term(n, p, (double)t) * sum);
    }
    for (double i = (double)t + 1; i <= n && term > sum * 1e-18; i++) {
        sum += term;
        term *= (n - i) * odds / (i + 1);
    }
    return fmax(0, 1 - rt_binomial_term(n, p, (double)t + 1) * sum);
}

double rt_mcnemar(uint64_t b, uint64_t c)
{
    return b == c ? 1 : fmin(1, 2 * rt_binomial_cdf(b + c, 0.5, b < c ? b : c));
}

int64_t rt_percentile_index(uint64_t n, double p)
{
    /* The probability rises with t: low is the largest t known to be within 1 %, high one that is not. */
    uint64_t low = 0, high = n;
    while (low + 1 < high) {
        uint64_t t = low + (high - low) / 2;
        if (rt_binomial_cdf(n, 1 - p, t) <= 0.01) low = t;
        else high = t;
    }
    return low == 0 ? -1 : (int64_t)(n - low);
}

uint64_t rt_percentile_needs(double p)
{
    uint64_t n = 2;
    while (rt_percentile_index(n, p) < 0) n++;
    return n;
}

void rt_sort_floats(float *v, float *room, uint64_t n)
{
    enum { BITS = 11, DIGITS = 1 << BITS, PASSES = 3 };
    uint64_t count[PASSES][DIGITS] = {{0}};
    float *from = v, *to = room;
    for (uint64_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, v + i, 4);
        for (int p = 0; p < PASSES; p++) count[p][bits >> p * BITS & (DIGITS - 1)]++;
    }
    for (int p = 0; p < PASSES; p++) {
        uint64_t at = 0;
        for (int d = 0; d < DIGITS; d++) {
            uint64_t c = count[p][d];
            count[p][d] = at;
            at += c;
        }
        for (uint64_t i = 0; i < n; i++) {
            uint32_t bits;
            memcpy(&bits, from + i, 4);
            to[count[p][bits >> p * BITS & (DIGITS - 1)]++] = from[i];
        }
        float *swap = from;
        from = to;
        to = swap;
    }
    memcpy(v, from, n * sizeof *v);           /* an odd number of passes ends in room */
}

double rt_median(const float *sorted, uint64_t n)
{
    return 0.5 * ((double)sorted[(n - 1) / 2] + (double)sorted[n / 2]);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

void rt_sort_doubles(double *v, uint64_t n) { qsort(v, n, sizeof *v, by_value); }

double rt_median_of(double *v, int n)
{
    if (n < 1) return NAN;
    rt_sort_doubles(v, (uint64_t)n);
    return 0.5 * (v[(n - 1) / 2] + v[n / 2]);
}

double rt_median_interval(double *v, int n, double confidence, double *lo, double *hi)
{
    double middle = rt_median_of(v, n);
    int k = 0;
    while (2 * k + 2 <= n && rt_binomial_cdf((uint64_t)n, 0.5, (uint64_t)k) <= (1 - confidence) / 2) k++;
    *lo = k ? v[k - 1] : NAN;
    *hi = k ? v[n - k] : NAN;
    return middle;
}

/* sum of a[i] x^i */
static double polynomial(const double *a, int n, double x)
{
    double sum = 0;
    while (n--) sum = sum * x + a[n];
    return sum;
}

double rt_normal_quantile(double p)
{
    static const double a[] = {3.3871328727963666080e0,  1.3314166789178437745e+2, 1.9715909503065514427e+3,
                               1.3731693765509461125e+4, 4.5921953931549871457e+4, 6.7265770927008700853e+4,
                               3.3430575583588128105e+4, 2.5090809287301226727e+3};
    static const double b[] = {1.0,                      4.2313330701600911252e+1, 6.8718700749205790830e+2,
                               5.3941960214247511077e+3, 2.1213794301586595867e+4, 3.9307895800092710610e+4,
                               2.8729085735721942674e+4, 5.2264952788528545610e+3};
    static const double c[] = {1.42343711074968357734e0,  4.63033784615654529590e0,  5.76949722146069140550e0,
                               3.64784832476320460504e0,  1.27045825245236838258e0,  2.41780725177450611770e-1,
                               2.27238449892691845833e-2, 7.74545014278341407640e-4};
    static const double d[] = {1.0,                       2.05319162663775882187e0,  1.67638483018380384940e0,
                               6.89767334985100004550e-1, 1.48103976427480074590e-1, 1.51986665636164571966e-2,
                               5.47593808499534494600e-4, 1.05075007164441684324e-9};
    static const double e[] = {6.65790464350110377720e0,  5.46378491116411436990e0,  1.78482653991729133580e0,
                               2.96560571828504891230e-1, 2.65321895265761230930e-2, 1.24266094738807843860e-3,
                               2.71155556874348757815e-5, 2.01033439929228813265e-7};
    static const double f[] = {1.0,                       5.99832206555887937690e-1, 1.36929880922735805310e-1,
                               1.48753612908506148525e-2, 7.86869131145613259100e-4, 1.84631831751005468180e-5,
                               1.42151175831644588870e-7, 2.04426310338993978564e-15};
    double q = p - 0.5;
    if (fabs(q) <= 0.425) {
        double r = 0.180625 - q * q;
        return q * polynomial(a, 8, r) / polynomial(b, 8, r);
    }
    double r = sqrt(-log(q < 0 ? p : 1 - p));
    double x = r <= 5 ? polynomial(c, 8, r - 1.6) / polynomial(d, 8, r - 1.6)
                      : polynomial(e, 8, r - 5) / polynomial(f, 8, r - 5);
    return q < 0 ? -x : x;
}

double rt_normal_cdf(double x) { return 0.5 * erfc(-x * 0.7071067811865476); }

double rt_tango_score(uint64_t b, uint64_t c, uint64_t n, double d)
{
    /* q: the likeliest share of c where the difference is d */
    double x = (double)b, y = (double)c, m = (double)n;
    double two_a = 4 * m, k = (2 * m - x + y) * d - x - y, l = -y * d * (1 - d);
    double q = fmax(0, (sqrt(fmax(0, k * k - 2 * two_a * l)) - k) / two_a);
    double variance = m * (2 * q + d * (1 - d)), away = x - y - m * d;
    return variance > 0 ? away / sqrt(variance) : away == 0 ? 0 : copysign(INFINITY, away);
}

/* Where the score has fallen to z. */
static double tango_end(uint64_t b, uint64_t c, uint64_t n, double z)
{
    double low = -1, high = 1;
    for (int i = 0; i < 200 && low < high; i++) {
        double d = low + (high - low) / 2;
        if (d == low || d == high) break;
        if (rt_tango_score(b, c, n, d) > z) low = d;
        else high = d;
    }
    return low + (high - low) / 2;
}

void rt_tango(uint64_t b, uint64_t c, uint64_t n, double confidence, double range[2])
{
    double z = rt_normal_quantile(0.5 + confidence / 2);
    range[0] = tango_end(b, c, n, z);
    range[1] = tango_end(b, c, n, -z);
}

typedef struct { double p; int at; } ranked;

static int by_p(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    return x->p < y->p ? -1 : x->p > y->p ? 1 : (x->at > y->at) - (x->at < y->at);
}

rt_status rt_holm(const double *p, int n, double *adjusted)
{
    ranked *order = malloc(((size_t)n + 1) * sizeof *order);
    if (!order) return rt_fail(RT_RUN, "out of memory");
    for (int i = 0; i < n; i++) order[i] = (ranked){p[i], i};
    qsort(order, (size_t)n, sizeof *order, by_p);
    double most = 0;
    for (int i = 0; i < n; i++) {
        most = fmax(most, fmin(1, (double)(n - i) * order[i].p));
        adjusted[order[i].at] = most;
    }
    free(order);
    return RT_OK;
}

static double mean_of(const float *d, uint64_t n, int resample)
{
    double sum = 0;
    uint32_t w[4];
    for (uint64_t i = 0; i < n; i++) {
        if (resample >= 0 && i % 2 == 0)
            rt_random4(w, 1, RT_RNG_BOOTSTRAP, (uint32_t)resample, (uint32_t)(i >> 33), (uint32_t)(i >> 1), 0);
        uint64_t bits = i % 2 ? (uint64_t)w[2] << 32 | w[3] : (uint64_t)w[0] << 32 | w[1];
        sum += d[resample < 0 ? i : (uint64_t)((unsigned __int128)bits * n >> 64)];
    }
    return sum / (double)n;
}

void rt_paired_interval(const float *d, uint64_t n, double *mean, double range[2], const char **method)
{
    enum { RESAMPLES = 2000, PAIRS = 20000 };
    *mean = mean_of(d, n, -1);
    if (n <= PAIRS) {
        float sample[RESAMPLES], *sorted = sample, low = 0;
        /* rt_sort_floats takes numbers from 0 up */
        for (int i = 0; i < RESAMPLES; i++) {
            sample[i] = (float)(mean_of(d, n, i) - *mean);
            low = fminf(low, sample[i]);
        }
        float room[RESAMPLES];
        for (int i = 0; i < RESAMPLES; i++) sample[i] -= low;
        rt_sort_floats(sorted, room, RESAMPLES);
        range[0] = *mean + low + sorted[RESAMPLES / 40];
        range[1] = *mean + low + sorted[RESAMPLES - 1 - RESAMPLES / 40];
        *method = "bootstrap of pairs, 2000 resamples";
        return;
    }
    double square = 0;
    for (uint64_t i = 0; i < n; i++) square += (d[i] - *mean) * (d[i] - *mean);
    double error = 1.959963984540054 * sqrt(square / (double)(n - 1) / (double)n);
    range[0] = *mean - error;
    range[1] = *mean + error;
    *method = "normal approximation of the mean of pairs";
}

void rt_pareto(const double *first, const double *second, int n, int *on_front)
{
    for (int i = 0; i < n; i++) {
        on_front[i] = 1;
        for (int k = 0; k < n; k++)
            if (first[k] >= first[i] && second[k] <= second[i] && (first[k] > first[i] || second[k] < second[i]))
                on_front[i] = 0;
    }
}
