/* experiments/statistics/statistics_paired.c - intervals and tests of shares, of differences in pairs, and of areas. */
#include <math.h>
#include <stdlib.h>

#include "experiments/statistics/statistics.h"

/* ---- shares ---- */

void rt_wilson(uint64_t k, uint64_t n, double confidence, double range[2])
{
    const double z = rt_normal_quantile(0.5 + confidence / 2);
    double p = (double)k / (double)n, d = 1 + z * z / (double)n, c = p + z * z / (2 * (double)n);
    double w = z * sqrt(p * (1 - p) / (double)n + z * z / (4 * (double)n * (double)n));
    range[0] = k == 0 ? 0 : fmax(0, (c - w) / d);
    range[1] = k == n ? 1 : fmin(1, (c + w) / d);
}

double rt_mcnemar_midp(uint64_t b, uint64_t c)
{
    uint64_t n = b + c, least = b < c ? b : c;
    if (!n) return 1;
    double tail = rt_binomial_cdf(n, 0.5, least);
    double below = least ? rt_binomial_cdf(n, 0.5, least - 1) : 0;
    return rt_mcnemar(b, c) - (tail - below);
}

/* ---- resamples ---- */

static double quantile(const double *sorted, int n, double p)
{
    double at = p * (n - 1), low = floor(at);
    int i = (int)low;
    if (i < 0) return sorted[0];
    return i + 1 < n ? sorted[i] + (at - low) * (sorted[i + 1] - sorted[i]) : sorted[n - 1];
}

/* Phi^-1 of the share of resamples below x, of equal ones half; never infinite. */
static double place_of(const double *sorted, int n, double x)
{
    int below = 0, equal = 0;
    for (int i = 0; i < n; i++) {
        below += sorted[i] < x;
        equal += sorted[i] == x;
    }
    double share = (below + 0.5 * equal) / n, least = 0.5 / n;
    return rt_normal_quantile(fmin(fmax(share, least), 1 - least));
}

void rt_bca(const double *sorted, int n, double estimate, double acceleration, double confidence, double range[2])
{
    double z0 = place_of(sorted, n, estimate), z = rt_normal_quantile(0.5 + confidence / 2);
    for (int i = 0; i < 2; i++) {
        double w = z0 + (i ? z : -z);
        range[i] = quantile(sorted, n, rt_normal_cdf(z0 + w / (1 - acceleration * w)));
    }
}

double rt_bca_p(const double *sorted, int n, double estimate, double acceleration, double limit)
{
    double z0 = place_of(sorted, n, estimate), w = place_of(sorted, n, limit) - z0;
    return rt_normal_cdf(w / (1 + acceleration * w) - z0);
}

double rt_acceleration(const double *left_out, uint64_t n)
{
    double mean = 0, square = 0, cube = 0;
    for (uint64_t i = 0; i < n; i++) mean += left_out[i] / (double)n;
    for (uint64_t i = 0; i < n; i++) {
        double d = mean - left_out[i];
        square += d * d;
        cube += d * d * d;
    }
    return square > 0 ? cube / (6 * pow(square, 1.5)) : 0;
}

/* ---- the area under a ROC curve ---- */

typedef struct { double p; uint64_t at; int positive; } ranked;

static int by_p(const void *a, const void *b)
{
    double x = ((const ranked *)a)->p, y = ((const ranked *)b)->p;
    return x < y ? -1 : x > y;
}

/* The placement of a positive row: the share of negative rows below it, equal ones half; of a negative row: of positive
 * rows above it. Their means over either are the area (Sun and Xu 2014). */
static double place(ranked *r, const unsigned char *y, const double *p, uint64_t n, double positives, double *placement)
{
    double negatives = (double)n - positives, hits = 0, misses = 0, sum = 0;
    for (uint64_t i = 0; i < n; i++) r[i] = (ranked){p[i], i, y[i] != 0};
    qsort(r, n, sizeof *r, by_p);
    for (uint64_t i = 0, end; i < n; i = end) {
        double in = 0, out = 0;
        for (end = i; end < n && r[end].p == r[i].p; end++) {
            in += r[end].positive;
            out += !r[end].positive;
        }
        for (uint64_t k = i; k < end; k++)
            placement[r[k].at] = r[k].positive ? (misses + out / 2) / negatives
                                               : (positives - hits - in / 2) / positives;
        sum += in * (misses + out / 2);
        hits += in;
        misses += out;
    }
    return sum / (positives * negatives);
}

rt_status rt_delong(const unsigned char *y, const double *p, uint64_t n, double *auc, double *part)
{
    double count[2] = {0}, scale[2];
    ranked *r = malloc((n + 1) * sizeof *r);
    if (!r) return rt_fail(RT_RUN, "out of memory");
    for (uint64_t i = 0; i < n; i++) count[y[i] != 0]++;
    int there = count[0] > 0 && count[1] > 0;
    *auc = there ? place(r, y, p, n, count[1], part) : NAN;
    for (int k = 0; k < 2; k++) scale[k] = there && count[k] > 1 ? 1 / sqrt(count[k] * (count[k] - 1)) : NAN;
    for (uint64_t i = 0; i < n; i++) part[i] = there ? (part[i] - *auc) * scale[y[i] != 0] : NAN;
    free(r);
    return RT_OK;
}
