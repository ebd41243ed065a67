/* experiments/eval/agreement.h - how alike two lists of numbers are that say how much each part of a row counts. Pure
 * functions. */
#ifndef RT_EXPERIMENTS_AGREEMENT_H
#define RT_EXPERIMENTS_AGREEMENT_H

#include <stddef.h>

#include "engine/error.h"

typedef struct {
    double spearman;   /* correlation of ranks, equal numbers having the mean of theirs (scipy.stats.spearmanr) */
    double cosine;     /* sum a b / sqrt(sum a^2 sum b^2) */
    double overlap;    /* share of the `top` largest |a|, of equal ones the first, that are among those of |b| */
} rt_agreement;

/* Of n numbers each. NAN where it is not defined: spearman of a list of equal numbers, cosine of one of zeros, all of
 * what is not finite. */
rt_status rt_agree(const float *a, const float *b, size_t n, size_t top, rt_agreement *);
#endif
