/* experiments/eval/eval_data.h - the rows that models are compared on, and what is true of them: "data" of an
 * evaluation, of predictions and of a gate. */
#ifndef RT_EXPERIMENTS_EVAL_DATA_H
#define RT_EXPERIMENTS_EVAL_DATA_H

#include "data/identity.h"
#include "data/rows.h"
#include "data/targets.h"
#include "data/x_where.h"
#include "engine/device.h"
#include "engine/progress.h"
#include "teacher/teacher.h"

typedef struct {
    /* what the configuration says; texts belong to it */
    const char *source;
    rt_target_where labels;            /* data.y, where labelled is not 0 */
    int labelled;
    const char *beside[RT_TARGET_SOURCES];   /* where y and targets lie, as far as that is told */
    int besides;
    rt_x_where where;
    rt_target_where target[RT_MAX_HEADS];
    rt_rows_config wanted;
    rt_check check;
    rt_match match;
    /* what is open */
    rt_source *x;
    rt_targets *y[RT_MAX_HEADS];       /* by head; NULL: no labels */
    rt_rows rows;
    rt_identity *identity;
    rt_digest digest;                  /* of the data */
    rt_digest part[RT_SOURCE_PARTS];   /* the root of each of its parts */
} rt_eval_data;

/* Keys source, x, y, targets, rows, test, fold, test_seed, check, names of "data". */
void rt_eval_data_read(rt_cfg *data, rt_eval_data *);
/* Opens the rows, for models with inputs of these names, and knows their content. data gets defaults. RT_NOTHING when
 * there are no rows. */
rt_status rt_eval_data_open(rt_eval_data *, cJSON *data, const char *const *input, int inputs, rt_device *,
                            const rt_progress *);
/* Targets of these heads where the file has them, or where they are asked for by name; data keeps what was found. *any:
 * some head has targets. */
rt_status rt_eval_data_targets(rt_eval_data *, const rt_head *, int heads, cJSON *data, cJSON *notes, int *any);
void rt_eval_data_close(rt_eval_data *);
/* Appends its files to a list of n, as inputs that no output may replace; the new n. */
enum { RT_EVAL_DATA_FILES = RT_SOURCE_PARTS + RT_TARGET_SOURCES + 1 };      /* at most */
int rt_eval_data_files(const rt_eval_data *, const char **list, int n);

/* Rows of the evaluation that a model knows, by data/provenance.h: in all, and by who saw them. */
enum { RT_EVAL_KIN = 4 };
extern const char *const rt_eval_kin[RT_EVAL_KIN];     /* "self", "init", "teacher", "labels" */
typedef struct {
    uint64_t rows, by[RT_EVAL_KIN];
    int unknown;                       /* files among its ancestors (and itself) that do not say */
} rt_eval_seen;
/* path: of the model's members. */
rt_status rt_eval_data_seen(const rt_eval_data *, const rt_teacher *, const char *const *path, rt_eval_seen *);

/* Adds a sentence to a list (printf style); to NULL nothing. */
void rt_eval_note(cJSON *notes, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
#endif
