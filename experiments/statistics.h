/* experiments/statistics.h - the statistics of a comparison. Pure functions. */
#ifndef RT_EXPERIMENTS_STATISTICS_H
#define RT_EXPERIMENTS_STATISTICS_H

#include <stdint.h>

/* McNemar's exact two-sided p for b (first right, second wrong) and c (the reverse): the binomial test of min(b, c)
 * in b + c at 1/2 (Dietterich 1998). 1 when b = c. */
double rt_mcnemar(uint64_t b, uint64_t c);

/* MLPerf Inference's early-stopping estimate of a percentile p (0 < p < 1) of n sorted samples at 99 % confidence:
 * with t the largest count such that P(Binomial(n, 1 - p) <= t) <= 0.01, the largest sample after the t - 1 slowest
 * are left out. Returns the index, or -1 when n is too small (below 64 for p90, 662 for p99). */
int64_t rt_percentile_index(uint64_t n, double p);
/* The smallest n for which there is an estimate. */
uint64_t rt_percentile_needs(double p);

/* Wilson score interval of k successes in n at 95 %. */
void rt_wilson(uint64_t k, uint64_t n, double *low, double *high);

enum { RT_ECE_BINS = 15 };
/* Expected calibration error (Guo et al. 2017, eq. 3): equal-width bins of the top-1 confidence. */
typedef struct { uint64_t count; double confidence, right; } rt_ece_bin;
double rt_ece(const rt_ece_bin bin[RT_ECE_BINS], uint64_t n);

/* Which of n points (higher first[i] is better, lower second[i] is better) no other point beats. */
void rt_pareto(const double *first, const double *second, int n, int *on_front);
#endif
