/* student/metrics.h - what a model's answers are worth: one table of metrics a task, for validation, evaluation and
 * reports. Over rows that have a target; B rows.
 * Classes: K classes, p = softmax of a row's logits, y its class. A row's answer is its largest logit's class, of equal
 * ones the first. Multilabel: K labels, p = 1 / (1 + e^-z) of each; the answer is yes where z > 0. Real: D columns.
 * Elements without a target (mask 0) are left out one by one. */
#ifndef RT_STUDENT_METRICS_H
#define RT_STUDENT_METRICS_H

#include <stdint.h>

#include "engine/error.h"
#include "engine/types.h"

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

/* The same over 15 groups of about equal size: rows sorted by confidence, group g from row g n / 15 to below
 * (g + 1) n / 15, and on as long as confidences are equal to 1e-12, so that it does not depend on the order of rows
 * (after Nixon et al. 2019). Sorts the rows; NAN of none. */
typedef struct { double confidence; int right; } rt_calibrated;
double rt_adaptive_ece(rt_calibrated *, uint64_t n);

/* F1 of one class, 2 hit / (truth + answered); NAN for a class that is neither in the truth nor among the answers. */
double rt_f1(uint64_t hit, uint64_t truth, uint64_t answered);

/* Of one column of values, or one label: rows with a target; sums of |d|, d^2, of elements within a tenth; largest |d|;
 * mean and summed squared deviation of the targets (Welford 1962). */
typedef struct { uint64_t rows, near; double abs, square, most, mean, spread; } rt_column_score;

/* Sums over rows. */
typedef struct {
    rt_task task;
    int size;                          /* K classes or labels, D columns */
    uint64_t rows, right;              /* rows with a target; rightly answered: of classes; of labels, all of a row's */
    uint64_t right5;                   /* of classes: the label is among the five largest */
    uint64_t complete;                 /* of labels: rows whose every label is known */
    uint64_t *truth, *answered, *hit;  /* (K) rows by class or label, by answer, by class when right */
    rt_column_score *column;           /* (K or D); of labels rows alone */
    double nll, brier;                 /* of labels: over elements */
    rt_ece_bin bin[RT_ECE_BINS];
    int ranks;                         /* every row's answer is kept, for metrics of order */
    double *p;                         /* classes: (rows, K) */
    int32_t *y;                        /* classes: (rows) */
    float *z;                          /* labels: (rows, K) logits; real: (rows, D) |d|, -1 where there is no target */
    uint8_t *label;                    /* labels: (rows, K) 0, 1, or 2: not known */
    uint64_t room;
} rt_scores;

/* Most that is kept of the answers, for metrics of order. */
#define RT_RANK_BYTES ((uint64_t)512 << 20)

/* ranks: metrics of order are wanted of `rows` rows at most; they are undefined where their answers would take more
 * than RT_RANK_BYTES. All else is summed row by row. The caller frees the fields by rt_scores_free. */
rt_status rt_scores_begin(rt_scores *, rt_task, int size, int ranks, uint64_t rows);
void rt_scores_free(rt_scores *);
/* Adds a labelled row of classes: y >= 0. */
void rt_scores_add(rt_scores *, const rt_row_score *, const float *z, int y);
/* Adds a row of K logits with labels of 0 and 1, or of D values; mask (NULL: all are there) is 0 where there is no
 * target. A row without any is not counted. 0, and nothing is added, when an output is not finite. */
int rt_scores_add_labels(rt_scores *, const float *z, const uint8_t *y, const uint8_t *mask);
int rt_scores_add_values(rt_scores *, const float *z, const float *y, const uint8_t *mask);

typedef struct {
    const char *name;
    const char *equals;                /* the function of scikit-learn (or another tool) that gives the same number */
    const char *help;
    int higher;                        /* 1: higher is better; 0: lower */
    int ranks;                         /* needs the rows' answers */
    double (*of)(const rt_scores *);   /* NAN where it is not defined */
    const char *undefined;             /* why, when there are rows and their answers; NULL: it is defined then */
} rt_metric;

enum { RT_CLASSES_METRICS = 13, RT_MULTILABEL_METRICS = 11, RT_REAL_METRICS = 6 };
enum { RT_ACCURACY = 0, RT_TOP5 = 1, RT_NLL = 7 };                     /* places among the classes' */
extern const rt_metric rt_classes_metrics[RT_CLASSES_METRICS], rt_multilabel_metrics[RT_MULTILABEL_METRICS],
    rt_real_metrics[RT_REAL_METRICS];

/* first, second: places of the two that an epoch of training shows. */
typedef struct { const char *task; const rt_metric *metric; int count, first, second; } rt_metric_table;
extern const rt_metric_table rt_metrics[RT_TASK_COUNT];

const rt_metric *rt_metric_first(rt_task);             /* accuracy, micro_f1, rmse */
/* The task's metric of this name, or NULL, with RT_USAGE and the nearest one. */
const rt_metric *rt_metric_find(rt_task, const char *name);
/* Whether it can be defined of a head of this size at all. */
int rt_metric_fits(const rt_metric *, int size);
/* Why it is NAN of these rows. */
const char *rt_metric_undefined(const rt_metric *, const rt_scores *);
#endif
