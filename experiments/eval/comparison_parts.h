/* experiments/eval/comparison_parts.h - what the files of a comparison share. */
#ifndef RT_EXPERIMENTS_COMPARISON_PARTS_H
#define RT_EXPERIMENTS_COMPARISON_PARTS_H

#include "engine/rng.h"
#include "experiments/eval/comparison.h"
#include "experiments/eval/predictions.h"
#include "student/metrics.h"

/* One side's answers to the compared rows, of one head, in the baseline's order of classes, labels and columns. */
typedef struct {
    int there;                         /* 0: the side lacks the head */
    int32_t *answer;                   /* classes: (n) */
    double *confidence, *nll, *brier;  /* classes: (n); NAN where the largest logits alone do not tell */
    int32_t *above;                    /* classes: (n) classes before the true one, at least */
    double *sum;                       /* classes, of all logits: (n) sum of exp(z - largest z); NULL: not known */
    const rt_predicted *from;          /* classes: the side's logits; element e is its element map[e] (NULL: e) */
    int *map;
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
    int lent;                          /* the candidate's are another comparison's */
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

/* ---- one question that is being answered ---- */

typedef struct {
    rt_comparison *c;
    const rt_question *q;
    const rt_metric *metric;           /* of RT_OF_MODEL */
    int place;                         /* of it in its table */
    uint32_t *row;                     /* (n) rows that count */
    uint64_t n;
    double *value;                     /* (times) of resamples, then in rising order */
    int times;
    double *left;                      /* (lefts) values with a row, or a block of rows, left out */
    uint64_t lefts;
} rt_asking;

/* What the question is about: the drop, or the candidate's number. */
double rt_asking_value(const rt_asking *, double baseline, double candidate);
/* Fills baseline, candidate and drop; whether what the question is about is defined. */
int rt_asking_estimate(const rt_asking *, double baseline, double candidate, rt_delta *);
void rt_asking_undefined(rt_delta *, rt_delta_status, const char *reason);
/* Room for resamples and left-out values of n rows. */
rt_status rt_asking_room(rt_asking *);
/* The interval and the tests from resamples and left-out values; from a variance, by the normal distribution. */
void rt_asking_resampled(rt_asking *, rt_delta *);
void rt_asking_normal(const rt_asking *, double variance, const char *method, rt_delta *);
/* Metrics of order: auc, average_precision, adaptive_ece, worst_decile. */
rt_status rt_asking_order(rt_asking *, rt_delta *);

/* Draw i of resample b: a place below n. */
static inline uint64_t rt_asking_draw(uint32_t w[4], uint64_t seed, int b, uint64_t i, uint64_t n)
{
    if (i % 4 == 0) rt_random4(w, seed, RT_RNG_BOOTSTRAP, (uint32_t)b, (uint32_t)(i / 4), 0, 0);
    return (uint64_t)w[i % 4] * n >> 32;
}

/* The probability of element e of row i of a head of classes, where all logits are known. */
double rt_facts_p(const rt_comparison *, int side, int head, uint64_t i, int e);

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
