/* data/quality.h - which labels are likely wrong: confident learning (Northcutt, Jiang, Chuang, JAIR 70, 2021), with
 * the results of cleanlab 2.9 (find_label_issues on arrays in memory), over rows that need not fit into memory.
 *
 * p(r, j) are probabilities of K classes by a model that was not trained on row r, y(r) its label:
 *   t_k      mean of p(r, k) over rows of label k, at least 2e-6; 2 for a class without rows
 *   guess    of a row: its only class with p(r, j) >= t_j - 1e-6, of several its most probable class; none without one
 *   C        (K, K), C[y][guess] rows; its diagonal at least 1
 *   joint    C with each row scaled to the label's count, rounded so that each row keeps its sum
 *   issues   by one of the methods below. Rows whose p(r, y) + 1e-6 is the largest are none, but in low_*.
 *
 *   predicted_neq_given    the most probable class is not the label
 *   confident_learning     guess is there and is not the label
 *   prune_by_class         of class k the (count - joint[k][k]) rows of lowest p(r, k)
 *   prune_by_noise_rate    for each j other than k, of class k the joint[k][j] rows of largest p(r, j) - p(r, k)
 *   both                   in prune_by_class and in prune_by_noise_rate
 *   low_self_confidence    of all rows so many of lowest p(r, y) as confident_learning finds
 *   low_normalized_margin  of all rows so many of lowest (p(r, y) - largest other + 1) / 2
 * A class keeps a row in prune_*: a class of one row has no issues. Of equal values lower rows come first.
 *
 * The rows are read several times: for t, for C, for the values at which the methods cut (exactly, by histograms and
 * then the values of single bins), and for the result. Memory is about that of the matrices, and `memory` at most. */
#ifndef RT_DATA_QUALITY_H
#define RT_DATA_QUALITY_H

#include <stddef.h>
#include <stdint.h>

#include "engine/progress.h"

enum { RT_QUALITY_CLASSES = 1 << 14, RT_QUALITY_BLOCK = 4096 };

typedef enum {
    RT_LOW_SELF_CONFIDENCE,
    RT_LOW_NORMALIZED_MARGIN,
    RT_PRUNE_BY_NOISE_RATE,
    RT_PRUNE_BY_CLASS,
    RT_PRUNE_BOTH,
    RT_CONFIDENT_LEARNING,
    RT_PREDICTED_NEQ_GIVEN
} rt_quality_method;
extern const char *const rt_quality_methods[];         /* their names, ended by NULL */

/* Rows and their probabilities. */
typedef struct {
    uint64_t rows;
    int classes;
    /* Rows [first, first + n): y (n), -1 for a row without a label, which takes no part; p (n, classes), each in
     * [-1e-6, 1 + 1e-6]. Rows are the same each time. */
    rt_status (*read)(void *of, uint64_t first, int n, int32_t *y, double *p);
    void *of;
} rt_quality_input;

/* What is found of a row. */
typedef struct {
    int32_t given, suggested;          /* the label, -1: none; the most probable class */
    int issue;
    double self_confidence, normalized_margin;
    double quality;                    /* cleanlab's adjusted self-confidence: (p(y) - t_y + max t) / sum of these */
} rt_quality_row;

typedef struct {
    rt_quality_method method;
    int block;                         /* rows read at a time */
    size_t memory;                     /* bytes for histograms and values; the result does not depend on it */
    /* Rows [first, first + n), in order, all of them once; may be NULL. */
    rt_status (*put)(void *to, uint64_t first, int n, const rt_quality_row *);
    void *to;
    const rt_progress *progress;
} rt_quality_job;

typedef struct {
    int classes, passes;               /* passes: how often the rows were read */
    uint64_t rows, labelled, issues;
    double *threshold;                 /* (K) t */
    uint64_t *given, *flagged;         /* (K) rows by label, issues by label */
    int64_t *confident, *joint;        /* (K, K) C, joint */
} rt_quality;

/* The result is for rt_quality_free. RT_NOTHING when no row has a label, RT_INPUT for fewer than two classes or more
 * than RT_QUALITY_CLASSES. Thread: one. */
rt_status rt_quality_find(rt_quality **out, const rt_quality_input *, const rt_quality_job *);
void rt_quality_free(rt_quality *);
#endif
