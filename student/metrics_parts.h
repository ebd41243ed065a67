/* student/metrics_parts.h - what the files of the metrics share; nothing outside student/ includes it. */
#ifndef RT_STUDENT_METRICS_PARTS_H
#define RT_STUDENT_METRICS_PARTS_H

#include <math.h>

#include "student/metrics.h"

static inline double rt_ratio(double sum, uint64_t n) { return n ? sum / (double)n : NAN; }

typedef struct { double p; int positive; } rt_ranked;

/* Room for all rows of the scores; NULL where they are not all kept. The caller frees it. */
rt_ranked *rt_ranked_new(const rt_scores *);
/* Area under the ROC curve: the share of pairs of a positive row and another row that p ranks rightly, equal ones
 * counting half. Average precision: the mean over positive rows, of falling p, of the precision there; rows of equal p
 * come together. NAN where there is no such row. */
void rt_order_of(rt_ranked *, uint64_t n, double *auc, double *precision);
#endif
