#include "experiments/statistics.h"

#include <math.h>

static double log_choose(double n, double k) { return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1); }

double rt_mcnemar(uint64_t b, uint64_t c)
{
    uint64_t n = b + c, m = b < c ? b : c;
    double p = 0;
    if (b == c) return 1;
    for (uint64_t i = 0; i <= m; i++) p += exp(log_choose((double)n, (double)i) - (double)n * log(2.0));
    return 2 * p < 1 ? 2 * p : 1;
}

/* P(Binomial(n, q) <= t) */
static double binomial_cdf(uint64_t n, double q, uint64_t t)
{
    double p = 0;
    for (uint64_t i = 0; i <= t && i <= n; i++) p += exp(log_choose((double)n, (double)i) + (double)i * log(q) + (double)(n - i) * log1p(-q));
    return p;
}

int64_t rt_percentile_index(uint64_t n, double p)
{
    uint64_t t = 0;
    while (t < n && binomial_cdf(n, 1 - p, t + 1) <= 0.01) t++;
    return t == 0 ? -1 : (int64_t)(n - t);
}

uint64_t rt_percentile_needs(double p)
{
    uint64_t n = 2;
    while (binomial_cdf(n, 1 - p, 1) > 0.01) n++;
    return n;
}

void rt_wilson(uint64_t k, uint64_t n, double *low, double *high)
{
    const double z = 1.959963984540054;
    if (!n) {
        *low = 0;
        *high = 1;
        return;
    }
    double p = (double)k / (double)n, d = 1 + z * z / (double)n, c = p + z * z / (2 * (double)n);
    double w = z * sqrt(p * (1 - p) / (double)n + z * z / (4 * (double)n * (double)n));
    *low = (c - w) / d;
    *high = (c + w) / d;
}

double rt_ece(const rt_ece_bin bin[RT_ECE_BINS], uint64_t n)
{
    double e = 0;
    for (int i = 0; i < RT_ECE_BINS; i++)
        if (bin[i].count) e += fabs(bin[i].right - bin[i].confidence) / (double)n;
    return e;
}

void rt_pareto(const double *first, const double *second, int n, int *on_front)
{
    for (int i = 0; i < n; i++) {
        on_front[i] = 1;
        for (int k = 0; k < n; k++)
            if (first[k] >= first[i] && second[k] <= second[i] && (first[k] > first[i] || second[k] < second[i])) on_front[i] = 0;
    }
}
