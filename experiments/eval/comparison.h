/* experiments/eval/comparison.h - a baseline and a candidate over the same rows: one number of both, its drop, and what
 * is known of the drop.
 *
 * A side is a model, an ensemble, or a file of predictions (experiments/eval/predictions.h). Rows pair by their ids,
 * never by their place: the same rows in another order are the same comparison. Row sets that differ are refused, or,
 * with `common`, compared where both have a row. Classes and heads pair by name, in the baseline's order.
 *
 * A drop is baseline minus candidate in the bad direction: accuracy 0.90 to 0.88 is a drop of 0.02, and so is an RMSE
 * of 0.50 to 0.52. Per row with a label: a, both are right; b, the baseline alone; c, the candidate alone; d, neither.
 */
#ifndef RT_EXPERIMENTS_COMPARISON_H
#define RT_EXPERIMENTS_COMPARISON_H

#include "data/heads.h"
#include "data/json.h"
#include "engine/digest.h"
#include "engine/device.h"
#include "engine/progress.h"
#include "teacher/spec.h"

typedef struct rt_comparison rt_comparison;

typedef struct {
    const rt_teacher_spec *side[2];        /* baseline, candidate: a file of predictions, or what is asked */
    const rt_comparison *before;   /* one of the same data and candidate, which outlives this one: its answers are
                                    * taken, and nobody asks the candidate again; or NULL */
    cJSON *data;                   /* "data" of 'retort eval', which gets its defaults; NULL: both are predictions */
    int common;                    /* 1: rows that one side lacks are left out, and counted */
    rt_device *device;
    const rt_progress *progress;
    cJSON *notes;                  /* gets sentences that a reader of the numbers must know; or NULL */
} rt_comparison_spec;

/* Asks the models, reads the files, pairs the rows. RT_USAGE: a model without data, or a key that does not apply;
 * RT_INPUT: a file is damaged, an answer is not finite, classes differ, a column is missing; RT_NOTHING: there are no
 * rows, or row sets or truths differ. One thread at a time. */
rt_status rt_comparison_open(rt_comparison **, const rt_comparison_spec *);
void rt_comparison_close(rt_comparison *);

/* What a side is. Texts live as long as the comparison. */
typedef struct {
    const char *path, *name;       /* its first file; the file's or its folder's name */
    const char *model, *data, *rows;       /* digests: of the model, of the data set, of its rows with their truths */
    const char *kernels;           /* family that computed the answers; of integers: "avx2, integers avx2" */
    const char *tool;              /* what computed them */
    int stored;                    /* 1: a file of predictions */
    uint64_t count, alone;         /* its rows; those that the other side lacks */
    double seen;                   /* rows that it or an ancestor was trained or chosen on; NAN: not known */
} rt_side_info;
enum { RT_BASELINE, RT_CANDIDATE, RT_SIDES };
const rt_side_info *rt_comparison_side(const rt_comparison *, int side);
uint64_t rt_comparison_rows(const rt_comparison *);        /* that are compared, with a label or without */
/* Memory that it takes, about: answers of both sides, what is told of rows, and what is found out of them. */
double rt_comparison_bytes(const rt_comparison *);
/* What a side's model answered to the data's rows, in their order: (rows, size) of head h of the first side that was
 * asked. NULL: the side is a file, or lacks the head. So that who needs the answers too does not ask again. */
const float *rt_comparison_answers(const rt_comparison *, int side, int head);
const rt_head *rt_comparison_heads(const rt_comparison *, int *count);
/* The head of this name; NULL or "": the first. -1 with RT_USAGE and the list of heads when there is none. */
int rt_comparison_head(const rt_comparison *, const char *name);

/* ---- what can be asked ---- */

typedef enum {
    RT_OF_MODEL,                   /* a number of each side: accuracy, macro_f1, nll, rmse, ... */
    RT_OF_CLASS,                   /* of each side and one class: precision, recall, f1 */
    RT_OF_PAIR                     /* of both sides together: nfr, btc, nfi, agreement */
} rt_metric_of;

typedef struct {
    const char *name;
    rt_task task;
    rt_metric_of of;
    int higher;                    /* 1: higher is better */
    const char *help;
} rt_paired_metric;

/* All of them, task by task. */
const rt_paired_metric *rt_paired_metrics(int *count);
/* By name, of heads of this task; RT_TASK_COUNT: of any. NULL, with RT_USAGE and the nearest name. Needs no file. */
const rt_paired_metric *rt_paired_metric_find(rt_task, const char *name);

/* Rows that have something in common. */
typedef struct {
    const char *column, *value;    /* "country", "DE"; of numbers "0.5 to 1.5" */
    uint64_t rows;
    const uint32_t *row;           /* (rows) places among the compared rows, rising */
} rt_slice;

/* The slices of a column, in the order of their values; they live as long as the comparison. Columns are those that the
 * predictions were made with (data.slices), and "class", "predicted" (by the baseline), "confidence" (the baseline's,
 * in tenths), "input.mean", "input.deviation", "input.min", "input.max" (of a row's numbers, in fifths of the rows).
 * RT_INPUT with the list of columns when there is none of this name. */
rt_status rt_comparison_slices(rt_comparison *, int head, const char *column, const rt_slice **, int *count);
/* Names of the columns that can be asked for. */
int rt_comparison_columns(const rt_comparison *, int head, const char *const **names);

typedef struct {
    const rt_paired_metric *metric;
    int head, class;               /* class: of a metric of one class; else -1 */
    const rt_slice *slice;         /* NULL: all rows */
    double confidence;             /* of the two-sided interval, as 0.95 */
    uint64_t seed;                 /* of resamples */
    uint64_t min_rows;             /* below as many rows with a label there is no answer; 0: one is enough */
    int relative;                  /* 1: the drop is divided by the baseline's value */
    int alone;                     /* 1: about the candidate's own number, whatever the baseline's is */
    double limit;                  /* for p_limit: a drop that is allowed; of a number alone the least or the most */
} rt_question;

typedef enum { RT_MEASURED, RT_UNDEFINED, RT_TOO_FEW_ROWS } rt_delta_status;

/* What is not defined is NAN, with the reason. Of RT_OF_PAIR, and of a number alone, `candidate` is the number, lo and
 * hi are its interval, drop is NAN; baseline is NAN of RT_OF_PAIR, and beside a number alone where it is
 * not known.
 *
 * Intervals: of shares of rows (accuracy, recall, ...) Tango's score interval of a drop and Wilson's of one number; of
 * auc DeLong's (DeLong, DeLong, Clarke-Pearson 1988): a row's part is how far its placement is from the area, over the
 * root of n (n - 1) rows of its kind; parts of columns (classes against the rest, labels) are averaged row by row, and
 * the variance is the sum of their squares. Of average_precision, and of all else, BCa bootstraps: 4,000 resamples of
 * rows, up to 1,000 of many; of more columns times rows than two millions average_precision has the normal interval of
 * its jackknife, each row left out once. `method` says which. */
typedef struct {
    rt_delta_status status;
    char reason[160];              /* "" when measured */
    double baseline, candidate;
    double drop, lo, hi;           /* baseline minus candidate in the bad direction, and its interval */
    double p;                      /* two-sided, of no drop at all; of shares McNemar's exact test */
    double p_limit;                /* one-sided, of a true drop (or number) within the limit: small says regression */
    const char *method;            /* how lo and hi came about */
    uint64_t n, b, c;              /* rows with a label; b and c of shares of rows, else 0 */
} rt_delta;

/* One question. Equal questions have equal answers, whatever the number of threads. RT_RUN and RT_INTERRUPTED apart,
 * it does not fail: what cannot be told is a status of the answer. */
rt_status rt_comparison_ask(rt_comparison *, const rt_question *, rt_delta *);
/* "measured", "undefined", "too few rows" */
const char *rt_delta_status_name(rt_delta_status);
#endif
