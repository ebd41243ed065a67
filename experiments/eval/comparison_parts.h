/* experiments/eval/comparison_parts.h - what the files of a comparison share. */
#ifndef RT_EXPERIMENTS_COMPARISON_PARTS_H
#define RT_EXPERIMENTS_COMPARISON_PARTS_H

#include "experiments/eval/comparison.h"
#include "experiments/eval/predictions.h"
#include "student/metrics.h"

/* One side's answers to the compared rows, of one head, in the baseline's order of classes, labels and columns. */
typedef struct {
    int there;                         /* 0: the side lacks the head */
    int32_t *answer;                   /* classes: (n) */
    double *confidence, *nll, *brier;  /* classes: (n); NAN where the largest logits alone do not tell */
    int32_t *above;                    /* classes: (n) classes before the true one, at least */
    double *second;                    /* two classes: (n) probability of the second; NULL: not known */
    float *z;                          /* labels and values: (n, size) */
} rt_facts;

/* Resamples of the metrics of one head over a set of rows. */
typedef struct {
    int head, times;
    const rt_slice *slice;
    uint64_t seed;
    double *value;                     /* (sides, metrics, times) */
} rt_resamples;
enum { RT_RESAMPLES_KEPT = 32 };

struct rt_comparison {
    rt_predictions *p[RT_SIDES];
    rt_side_info info[RT_SIDES];
    char name[RT_SIDES][RT_PREDICTIONS_NAME];
    uint64_t n;
    uint32_t *at[RT_SIDES];            /* (n) place of compared row i among the side's */
    uint64_t *id_hash;                 /* (n) a hash of the row's id, the same for any pair of models */
    int heads;                         /* the baseline's, which head lists */
    rt_head *head;
    rt_target_rows y[RT_MAX_HEADS];    /* (n) what is true, in the baseline's order */
    rt_facts facts[RT_SIDES][RT_MAX_HEADS];
    float *centre[RT_MAX_HEADS]; /* of values: (size) a target of each column, so that sums of squares stay small */
    rt_device *device;
    struct slice_list *lists;          /* of columns that were asked for */
    const char **columns;
    rt_resamples kept[RT_RESAMPLES_KEPT];
    int turn;                          /* the next place among them to be used */
};

/* Whether side s has row i of a head right: its answer is the label, or all labels are. */
int rt_facts_right(const rt_comparison *, int side, int head, uint64_t i);
/* Whether row i counts: it has a label; of labels all of them are known; of values one is there. */
int rt_facts_counts(const rt_comparison *, int head, uint64_t i);

/* Sums of side s over one row, `times` over; times may be negative (what was added is taken away). */
void rt_facts_add(const rt_comparison *, int side, int head, uint64_t i, int64_t times, rt_scores *);
/* After the last row: sums become what metrics take. `to` is a copy of `from` that shares its arrays but `column`. */
void rt_facts_finish(const rt_scores *from, rt_scores *to, rt_column_score *column);

void rt_slices_free(rt_comparison *);
#endif
