/* experiments/statistics/statistics.h - the statistics of a comparison. Pure functions; any thread may call them. */
#ifndef RT_EXPERIMENTS_STATISTICS_H
#define RT_EXPERIMENTS_STATISTICS_H

#include <stdint.h>

#include "engine/error.h"

/* P(X <= t) of X ~ Binomial(n, p), 0 < p < 1, n below 2^53: the term at t by Loader's saddle-point form (C. Loader,
 * "Fast and accurate computation of binomial probabilities", 2000), its neighbours by their ratio, towards the nearer
 * tail. O(sqrt(n)) where the result is not 0 or 1. */
double rt_binomial_cdf(uint64_t n, double p, uint64_t t);
/* P(X = x) of X ~ Binomial(n, p), 0 < p < 1, by the same form; n and x are whole. */
double rt_binomial_term(double n, double p, double x);

/* McNemar's exact two-sided p for b (first right, second wrong) and c (the reverse): the binomial test of min(b, c)
 * in b + c at 1/2 (Dietterich 1998). 1 when b = c. */
double rt_mcnemar(uint64_t b, uint64_t c);

/* MLPerf Inference's early-stopping estimate of a percentile p (0 < p < 1) of n sorted samples at 99 % confidence:
 * with t the largest count such that P(Binomial(n, 1 - p) <= t) <= 0.01, the largest sample after the t - 1 slowest
 * are left out. Returns the index, or -1 when n is too small (below 64 for p90, 662 for p99). */
int64_t rt_percentile_index(uint64_t n, double p);
/* The smallest n for which there is an estimate. */
uint64_t rt_percentile_needs(double p);

/* Sorts n floats >= 0 in rising order, by digits of their bits: O(n). room holds n more. */
void rt_sort_floats(float *v, float *room, uint64_t n);
void rt_sort_doubles(double *v, uint64_t n);           /* in rising order */
/* The middle of n >= 1 sorted values, or the mean of the two in the middle. */
double rt_median(const float *sorted, uint64_t n);
/* The same of n values in any order, which it sorts; NAN of none. */
double rt_median_of(double *v, int n);
/* rt_median_of with a confidence interval of the distribution's median, whatever the distribution: from the k-th
 * smallest to the k-th largest, with the largest k such that P(Binomial(n, 1/2) < k) <= (1 - confidence) / 2 (Conover
 * 1999, section 3.2). lo and hi are NAN where n is too small (below 6 at 95 %). */
double rt_median_interval(double *v, int n, double confidence, double *lo, double *hi);

/* Wilson's score interval of k successes in n >= 1, two-sided (Wilson 1927). */
void rt_wilson(uint64_t k, uint64_t n, double confidence, double range[2]);

/* McNemar's mid-p: rt_mcnemar less the probability of what was seen (Fagerland, Lydersen, Laake 2013). */
double rt_mcnemar_midp(uint64_t b, uint64_t c);

/* Bias-corrected and accelerated bootstrap interval (Efron 1987) of an estimate from n resamples in rising order;
 * resamples equal to the estimate count half below it. */
void rt_bca(const double *sorted, int n, double estimate, double acceleration, double confidence, double range[2]);
/* The one-sided p of a true value that is at most the limit, by the same interval: where its lower end is. */
double rt_bca_p(const double *sorted, int n, double estimate, double acceleration, double limit);
/* The acceleration from the estimates with each of n rows (or blocks) left out. */
double rt_acceleration(const double *left_out, uint64_t n);

/* The area under the ROC curve of a score p of n rows (y: 1 positive), equal scores counting half, and what each row
 * has to do with it: part (n), of a row of a kind (positive, negative) of k rows its placement less the area, over
 * sqrt(k (k - 1)). The sum over rows of part^2 is the area's variance; of the parts of two scores of the same rows, of
 * their product, the covariance (DeLong, DeLong, Clarke-Pearson 1988). NAN where there is no row of a kind; parts of a
 * kind of one row, too. RT_RUN when memory is out. */
rt_status rt_delong(const unsigned char *y, const double *p, uint64_t n, double *auc, double *part);

/* x with P(X <= x) = p of a standard normal X, 0 < p < 1: to 1e-15 (Wichura 1988, algorithm AS 241, PPND16). */
double rt_normal_quantile(double p);
/* P(X <= x) of a standard normal X. */
double rt_normal_cdf(double x);

/* A paired difference of two shares of n >= 1 rows, p1 - p2 estimated by (b - c) / n: b rows that the first alone has
 * right, c that the second alone has. rt_tango_score is the score statistic of p1 - p2 = d, -1 <= d <= 1, standard
 * normal where that is so, falling in d; rt_tango the interval of all d that it does not refuse at this confidence
 * (Tango 1998). It has a width even without a flip. */
double rt_tango_score(uint64_t b, uint64_t c, uint64_t n, double d);
void rt_tango(uint64_t b, uint64_t c, uint64_t n, double confidence, double range[2]);

/* Holm's adjusted p of n tests (Holm 1979): below a level, the hypothesis is rejected at that level over all. */
rt_status rt_holm(const double *p, int n, double *adjusted);

/* Mean of n >= 1 differences of pairs and its 95 % interval: up to 20,000 pairs the 2.5th and 97.5th percentile of the
 * means of 2,000 resamples of the pairs (Efron and Tibshirani 1993, ch. 13; the draws are the same each time), of more
 * pairs mean -+ 1.96 standard errors. *method says which, in words. */
void rt_paired_interval(const float *difference, uint64_t n, double *mean, double range[2], const char **method);

/* Which of n points (higher first[i] is better, lower second[i] is better) no other point beats. */
void rt_pareto(const double *first, const double *second, int n, int *on_front);
#endif
