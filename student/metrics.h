/* student/metrics.h - what a classifier's answers are worth: one table of metrics, for validation, evaluation and
 * reports. Over labelled rows; K classes, B rows, p = softmax of a row's logits, y its class. A row's answer is its
 * largest logit's class, of equal ones the first. */
#ifndef RT_STUDENT_METRICS_H
#define RT_STUDENT_METRICS_H

#include <stdint.h>

#include "engine/error.h"

/* One row's answer, by rt_score_row. */
typedef struct {
    int answer, above;                 /* -1: a logit is not finite; classes before the true one */
    double confidence, nll, brier;     /* p of the answer; -ln p_y; sum over classes of (p - onehot(y))^2 */
    double sum, log_sum;               /* sum over classes of exp(z - largest z); log sum exp(z) */
} rt_row_score;

/* z: K logits. y: class, or -1, when above, nll and brier are 0. Thread-safe. */
rt_row_score rt_score_row(const float *z, int classes, int y);

enum { RT_ECE_BINS = 15 };
/* Expected calibration error (Guo et al. 2017, eq. 3): bins of equal width of the top-1 confidence, bin b from b / 15
 * to below (b + 1) / 15, the last one with 1. */
typedef struct { uint64_t count; double confidence, right; } rt_ece_bin;
int rt_ece_bin_of(double confidence);
double rt_ece(const rt_ece_bin bin[RT_ECE_BINS], uint64_t n);

/* F1 of one class, 2 hit / (truth + answered); NAN for a class that is neither in the truth nor among the answers. */
double rt_f1(uint64_t hit, uint64_t truth, uint64_t answered);

/* Sums over rows. */
typedef struct {
    int classes;
    uint64_t rows, right, right5;      /* labelled rows; of these: top-1, top-5 */
    uint64_t *truth, *answered, *hit;  /* (K) rows by class, by answer, by class when right */
    double nll, brier;
    rt_ece_bin bin[RT_ECE_BINS];
    int ranks;                         /* every row's p is kept, for metrics of order */
    double *p;                         /* (rows, K) */
    int32_t *y;                        /* (rows) */
    uint64_t room;
} rt_scores;

/* Most that is kept of p, for metrics of order. */
#define RT_RANK_BYTES ((uint64_t)512 << 20)

/* ranks: metrics of order are wanted of `rows` rows at most; they are undefined where their p would take more than
 * RT_RANK_BYTES. The caller frees the fields by rt_scores_free. */
rt_status rt_scores_begin(rt_scores *, int classes, int ranks, uint64_t rows);
void rt_scores_free(rt_scores *);
/* Adds a labelled row: y >= 0. */
void rt_scores_add(rt_scores *, const rt_row_score *, const float *z, int y);

typedef struct {
    const char *name;
    const char *equals;                /* the function of scikit-learn (or PyTorch) that gives the same number */
    const char *help;
    int higher;                        /* 1: higher is better; 0: lower */
    int ranks;                         /* needs rt_scores.p */
    double (*of)(const rt_scores *);   /* NAN where it is not defined */
} rt_metric;

enum { RT_METRICS = 12, RT_ACCURACY = 0, RT_NLL = 7 };    /* places in the table */
extern const rt_metric rt_metrics[RT_METRICS];

/* The metric of this name, or NULL, with RT_USAGE and the nearest one. */
const rt_metric *rt_metric_find(const char *name);
/* Why it is NAN of these rows. */
const char *rt_metric_undefined(const rt_metric *, const rt_scores *);
#endif
