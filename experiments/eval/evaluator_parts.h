/* experiments/eval/evaluator_parts.h - what the files of the evaluator share: configuration, models, quality, speed,
 * result. */
#ifndef RT_EXPERIMENTS_EVALUATOR_PARTS_H
#define RT_EXPERIMENTS_EVALUATOR_PARTS_H

#include "data/json.h"
#include "data/stream.h"
#include "engine/device.h"
#include "engine/progress.h"
#include "experiments/eval/comparison.h"
#include "experiments/eval/eval_data.h"
#include "experiments/speed.h"
#include "experiments/statistics/statistics.h"
#include "student/metrics.h"
#include "teacher/spec.h"

enum { RT_EVAL_MODELS = 32, RT_EVAL_NAME = 96, RT_EVAL_CONFUSION = 256 };
enum { RT_EVAL_BATCH = 1024 };         /* rows in the pass over the data: what fills a card, as labels do */

/* What is counted of one head's answers. What metrics of order need, and the errors of rows that are compared in pairs,
 * grow with the rows; nothing else does. */
typedef struct {
    int there;                         /* the model has the head */
    rt_scores scores;                  /* of labelled rows */
    uint64_t *confusion;               /* (K truth, K answer); NULL above RT_EVAL_CONFUSION classes */
    uint64_t agree;                    /* rows with the reference's class; elements with its label, or near its value */
    uint64_t compared;                 /* rows, or elements */
    uint64_t reference_only, this_only;/* labelled rows (all of a row's labels) that just one of the two has right */
    double kl;                         /* sum over what is compared, in nats */
    double away;                       /* of values: sum of |z - the reference's| */
    float *error;                      /* (labelled rows) of labels: share that is wrong; of values: mean |d| */
} rt_eval_quality;

typedef struct {
    char name[RT_EVAL_NAME];
    rt_teacher_spec spec;
    cJSON *as_json;                    /* the spec, for a process that is started anew; own; NULL */
    rt_teacher *teacher;
    rt_digest digest;
    rt_eval_quality quality[RT_MAX_HEADS];
    int timed;                         /* as which subject of the evaluation's speed; -1: not */
    rt_eval_seen seen;
} rt_eval_model;

typedef struct {
    int speed, teacher;                /* models are timed; model 0 was named as the teacher */
    rt_precision precision;
} rt_eval_settings;

/* A baseline and a candidate (experiments/eval/comparison.h); sides that are predictions are no models. */
typedef struct {
    rt_teacher_spec spec[RT_SIDES];
    int on;                            /* there is a pair */
    int stored[RT_SIDES], common, find, data;      /* data: rows are given */
    double confidence;
    uint64_t seed;
    cJSON *result;
    rt_comparison *comparison;         /* until all is scored: it has the answers of the sides' models */
} rt_eval_pair;

typedef struct {
    rt_eval_settings set;
    rt_eval_data data;
    rt_eval_pair pair;
    rt_eval_model model[RT_EVAL_MODELS];
    int count;
    const rt_head *head;               /* model 0's, in whose order of classes all is */
    int heads, width;
    uint64_t labelled[RT_MAX_HEADS];   /* rows with a label */
    uint64_t labelled_rows;            /* of any head */
    rt_speed speed;                    /* of the models that compute; a store has none */
    rt_device *device;
    const rt_progress *progress;
    cJSON *notes;                      /* sentences that a reader of the numbers must know */
} rt_evaluation;

/* Reads and checks the configuration; names the models. */
rt_status rt_eval_read(cJSON *config, rt_evaluation *);
/* Which sides of the pair are predictions: those are taken from the models. */
rt_status rt_eval_find_stored(rt_evaluation *);
/* Compares the pair: fills its result, and leaves the comparison open. */
rt_status rt_eval_compare(rt_evaluation *, cJSON *config);
/* The side of the pair that model i is; -1: none. */
int rt_eval_side(const rt_evaluation *, int i);

/* One pass over the rows: fills every model's quality. */
rt_status rt_eval_score(rt_evaluation *);

/* Fills every model's seen, with notes for those that know rows or whose past is unknown. */
rt_status rt_eval_find_seen(rt_evaluation *);

/* The whole result, for the caller to delete. */
rt_status rt_eval_result(rt_evaluation *, const cJSON *config, cJSON **result);
#endif
