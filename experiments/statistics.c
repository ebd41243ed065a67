#include "experiments/statistics.h"

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

/* P(X = x) of X ~ Binomial(n, p) */
static double binomial_term(double n, double p, double x)
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
        return fmin(1, binomial_term(n, p, (double)t) * sum);
    }
    for (double i = (double)t + 1; i <= n && term > sum * 1e-18; i++) {
        sum += term;
        term *= (n - i) * odds / (i + 1);
    }
    return fmax(0, 1 - binomial_term(n, p, (double)t + 1) * sum);
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

double rt_median_of(double *v, int n)
{
    if (n < 1) return NAN;
    qsort(v, (size_t)n, sizeof *v, by_value);
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

void rt_wilson(uint64_t k, uint64_t n, double *low, double *high)
{
    const double z = 1.959963984540054;
    double p = (double)k / (double)n, d = 1 + z * z / (double)n, c = p + z * z / (2 * (double)n);
    double w = z * sqrt(p * (1 - p) / (double)n + z * z / (4 * (double)n * (double)n));
    *low = fmax(0, (c - w) / d);
    *high = fmin(1, (c + w) / d);
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
