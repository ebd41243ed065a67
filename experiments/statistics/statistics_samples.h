/* experiments/statistics/statistics_samples.h - whether two samples come from one distribution. Pure functions; any
 * thread may call them. n and m are the rows of the first sample (the reference) and of the second. */
#ifndef RT_EXPERIMENTS_STATISTICS_SAMPLES_H
#define RT_EXPERIMENTS_STATISTICS_SAMPLES_H

#include <stdint.h>

#include "engine/error.h"

/* ---- numbers ---- */

enum { RT_KS_EXACT = 10000 };

/* p of the two-sided Kolmogorov-Smirnov test, of a largest distance d between two empirical distribution functions.
 * Up to RT_KS_EXACT rows a side the share of all orders of the pooled rows with a distance of d or more: of paths from
 * (0, 0) to (n, m) that leave a band, by u(i, j) = (i u(i - 1, j) + j u(i, j - 1)) / (i + j), 1 outside (Hodges 1957;
 * all terms are positive, so that small p are exact too). With more rows, and where 2 exp(-2 d^2 nm / (n + m)) is below
 * 1e-20, one sample's distribution at round(nm / (n + m)) rows, as SciPy: by Durbin's matrix (Marsaglia, Tsang, Wang
 * 2003), Pelz and Good's series (1976) or twice Smirnov's sum (Simard, L'Ecuyer 2011). Equal values make p larger than
 * it is: the test is then conservative. *exact says which it was; NULL: not asked. n, m >= 1. */
double rt_ks_p(uint64_t n, uint64_t m, double d, int *exact);
/* The least d with rt_ks_p <= p, about: sqrt(-ln(p / 2) / 2 (n + m) / nm), at most 1 (Smirnov's limit). */
double rt_ks_detects(uint64_t n, uint64_t m, double p);
/* The largest distance of two empirical distribution functions at the ends of cells: a, b (cells) are counts. */
double rt_ks_distance(const uint64_t *a, const uint64_t *b, int cells);

/* The chance that k or more of m new values lie above the r-th smallest of n (1 <= r <= n), when all n + m come from
 * one continuous distribution: a negative hypergeometric tail. The share above a sample's 99th percentile is 1 % by
 * it, whatever the distribution (conformal; Vovk, Gammerman, Shafer 2005). Equal values make it larger than it is. */
double rt_above_p(uint64_t n, uint64_t r, uint64_t m, uint64_t k);

/* Area under the ROC curve of scores of two samples, that a score of the second is above one of the first, ties half;
 * *p: one-sided, of no difference, by the normal approximation of the rank sum's permutation distribution with its
 * correction for ties (Mann, Whitney 1947). 1 where all are equal. RT_RUN when memory is out. n, m >= 1. */
rt_status rt_rank_auc(const double *first, uint64_t n, const double *second, uint64_t m, double *auc, double *p);
/* The least area that is significant at p, about. */
double rt_auc_detects(uint64_t n, uint64_t m, double p);

/* ---- counts ---- */

/* P(X >= x) of X ~ chi-square with df degrees of freedom: the regularised incomplete gamma function Q(df / 2, x / 2),
 * by its series or its continued fraction. */
double rt_chi_square_tail(double x, double df);
/* x with rt_chi_square_tail(x, df) = p, 0 < p < 1. */
double rt_chi_square_quantile(double p, double df);
/* Fisher's exact two-sided p of a 2 x 2 table {{a, b}, {c, d}}: the tables as likely as this one, or less. */
double rt_fisher_p(uint64_t a, uint64_t b, uint64_t c, uint64_t d);

typedef enum { RT_COUNTS_NONE, RT_COUNTS_CHI_SQUARE, RT_COUNTS_FISHER } rt_counts_test;
typedef struct {
    rt_counts_test test;               /* RT_COUNTS_NONE: all rows are of one category, or a side has none: p is 1 */
    double statistic, p;
    int df, merged;                    /* merged: categories that were put together, as too few rows are expected */
} rt_counts_result;

/* Pearson's chi-square test of homogeneity of two samples of k categories, without correction. Categories of which
 * fewer than 5 rows are expected in either sample are put together, and with them, while that is fewer still, the next
 * smallest (Cochran 1954); where a single category would remain, Fisher's exact test of the largest against all
 * others. RT_RUN when memory is out. */
rt_status rt_counts_p(const uint64_t *a, const uint64_t *b, int k, rt_counts_result *);

/* Population stability index of counts in `bins` bins: sum (q - p) ln(q / p), p = (a + 1/2) / (n + bins / 2), q
 * likewise of b: half a row more in every bin, so that an empty one has no infinite share. Below 0.1 small, from 0.25
 * on large (Siddiqi 2006). Its expectation without drift is about (bins - 1) (1 / n + 1 / m). */
double rt_psi(const uint64_t *a, const uint64_t *b, int bins);
/* The least index that is significant at p, about: near 0 it is chi-square (1 / n + 1 / m). */
double rt_psi_detects(uint64_t n, uint64_t m, int bins, double p);
#endif
