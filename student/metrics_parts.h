/* student/metrics_parts.h - what the files of the metrics share; nothing outside student/ includes it. */
#ifndef RT_STUDENT_METRICS_PARTS_H
#define RT_STUDENT_METRICS_PARTS_H

#include <math.h>

#include "student/metrics.h"

static inline double rt_ratio(double sum, uint64_t n) { return n ? sum / (double)n : NAN; }

typedef struct { double p; int positive; } rt_ranked;

/* Lists the rows of column j that count; returns how many. */
typedef uint64_t rt_rank_fn(const rt_scores *, int j, rt_ranked *);

/* Means over columns, from `first` on, of the area under the ROC curve and of the average precision: of those where it
 * is defined; NAN where that is none, or where the rows are not all kept. */
double rt_mean_auc(const rt_scores *, int first, rt_rank_fn *);
double rt_mean_precision(const rt_scores *, int first, rt_rank_fn *);
/* Mean over columns of F1; all: a column that is neither in the truth nor among the answers counts 0, else not. */
double rt_mean_f1(const rt_scores *, int all);
#endif
