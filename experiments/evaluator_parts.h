/* experiments/evaluator_parts.h - what the files of the evaluator share: configuration, models, quality, speed,
 * result. */
#ifndef RT_EXPERIMENTS_EVALUATOR_PARTS_H
#define RT_EXPERIMENTS_EVALUATOR_PARTS_H

#include "data/identity.h"
#include "data/json.h"
#include "data/rows.h"
#include "data/stream.h"
#include "data/targets.h"
#include "engine/pool.h"
#include "engine/progress.h"
#include "experiments/statistics.h"
#include "student/metrics.h"
#include "teacher/teacher.h"

enum { RT_EVAL_MODELS = 32, RT_EVAL_MEMBERS = 16, RT_EVAL_NAME = 96, RT_EVAL_CONFUSION = 256 };
/* Rows of a batch in the pass over the data; batch sizes that throughput is measured at. */
enum { RT_EVAL_BATCH = 256, RT_EVAL_SIZES = 4, RT_EVAL_GROUP = 16 };
extern const int rt_eval_size[RT_EVAL_SIZES];

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

/* Timings of one model. sample holds seconds of single calls: undisturbed ones from its start, disturbed ones from its
 * end backwards. */
typedef struct {
    rt_teacher *one, *many[RT_EVAL_SIZES];
    char *raw;                         /* rows to answer, as the source stores them */
    float *sample;
    uint64_t undisturbed, disturbed;
    double cold, call;                 /* the first call; a warm one, about */
    float *rate[RT_EVAL_SIZES];        /* (rounds) rows per second; NULL: left out, a call would take too long */
} rt_eval_speed;

/* Rows of the evaluation that a model knows, by data/provenance.h: in all, and by who saw them. */
enum { RT_EVAL_KIN = 4 };
extern const char *const rt_eval_kin[RT_EVAL_KIN];     /* "self", "init", "teacher", "labels" */
typedef struct {
    uint64_t rows, by[RT_EVAL_KIN];
    int unknown;                       /* files among its ancestors (and itself) that do not say */
} rt_eval_seen;

typedef struct {
    char name[RT_EVAL_NAME];
    const char *path[RT_EVAL_MEMBERS];
    int paths;
    rt_teacher *teacher;
    rt_digest digest;
    rt_eval_quality quality[RT_MAX_HEADS];
    rt_eval_speed speed;
    rt_eval_seen seen;
} rt_eval_model;

typedef struct {
    const char *source, *y;            /* y NULL: not given; "": none */
    rt_x_where x;
    rt_target_where where[RT_MAX_HEADS];
    rt_rows_config rows;
    rt_check check;
    rt_match match;
    int samples, rounds, speed, teacher;   /* teacher: model 0 was named as the teacher */
    double seconds;
} rt_eval_settings;

typedef struct {
    rt_eval_settings set;
    rt_eval_model model[RT_EVAL_MODELS];
    int count;
    const rt_head *head;               /* model 0's, in whose order of classes all is */
    int heads, width;
    rt_source *x;
    rt_targets *y[RT_MAX_HEADS];       /* NULL: no labels */
    rt_rows rows;
    uint64_t labelled[RT_MAX_HEADS];   /* rows with a label */
    uint64_t labelled_rows;            /* of any head */
    rt_identity *identity;             /* of the data, and its root */
    rt_digest digest;
    rt_digest part[RT_SOURCE_PARTS];   /* the root of each of its parts */
    double clock_cost;                 /* seconds that reading the clock adds to a timed call; taken off */
    rt_pool *pool, *single;
    const rt_progress *progress;
    cJSON *notes;                      /* sentences that a reader of the numbers must know */
} rt_evaluation;

/* Reads and checks the configuration; names the models. */
rt_status rt_eval_read(cJSON *config, rt_evaluation *);
/* Adds a note (printf style). */
void rt_eval_note(rt_evaluation *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* One pass over the rows: fills every model's quality. */
rt_status rt_eval_score(rt_evaluation *);

/* Times every model, interleaved: fills speed. */
rt_status rt_eval_measure(rt_evaluation *);
/* Of `calls` calls between stamp[0], stamp[1], ... that took `cpu` seconds of the thread's CPU time in all: lost[k] = 1
 * when call k lost the CPU (see evaluator.h). */
void rt_eval_disturbed(const double *stamp, int calls, double cpu, unsigned char *lost);

/* Fills every model's seen, with notes for those that know rows or whose past is unknown. */
rt_status rt_eval_find_seen(rt_evaluation *);

/* Percentiles of n seconds, which it sorts, as members of `into`, in microseconds; room holds n more. */
void rt_eval_percentiles(cJSON *into, float *seconds, float *room, uint64_t n);
/* The whole result, for the caller to delete. */
rt_status rt_eval_result(rt_evaluation *, const cJSON *config, cJSON **result);
#endif
