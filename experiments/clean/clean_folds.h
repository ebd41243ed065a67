/* experiments/clean/clean_folds.h - answers to rows by models that did not see them, for rows whose labels are judged:
 * of K folds each is answered by a model of the others (data.fold, data/rows.h). The folds are drawn class by class
 * (clean_strata.h) and lie in the folder as folds.h5, unless that is not wanted.
 *
 * The folder is that of an experiment (experiments/jobs/runner.h): model I/model.h5 ("modelI") and answers,
 * "answersI.h5", of each fold I. What is there is not made again; an interrupted training goes on. Its bits depend on
 * the configuration, the data and the kernels' family alone. */
#ifndef RT_EXPERIMENTS_CLEAN_FOLDS_H
#define RT_EXPERIMENTS_CLEAN_FOLDS_H

#include "data/rows.h"
#include "experiments/clean/clean_input.h"

enum { RT_CLEAN_FOLDS = 20, RT_CLEAN_PATH = 1200 };

typedef struct {
    int folds;                         /* 0: none */
    int stratify;
    char by[RT_CLEAN_PATH];            /* folds.h5; "": drawn by data.fold */
    rt_digest digest;                  /* of its numbers */
    cJSON *train;                      /* a training run's configuration; NULL: one that fits the data */
    uint64_t seed;                     /* of the draw, and of the training where its configuration names none */
    char folder[RT_CLEAN_PATH];
    char answers[RT_CLEAN_FOLDS][RT_CLEAN_PATH];
} rt_clean_folds;

/* Keys folds [0], train, seed [1], stratify [true], work. out: the list, beside which the folder is made where none is
 * named. */
void rt_clean_folds_read(rt_cfg *, rt_clean_folds *, const char *out);
void rt_clean_folds_free(rt_clean_folds *);
/* RT_USAGE when the training's configuration has an error that needs no look inside of files. in: the data. */
rt_status rt_clean_folds_check(const rt_clean_folds *, const rt_clean_input *in);
/* Trains and answers; notes gets what was assumed. RT_USAGE where no training is given and none fits the data. */
rt_status rt_clean_folds_run(rt_clean_folds *, const rt_clean_input *in, rt_device *, const rt_progress *,
                             cJSON *notes);
#endif
