#include "train/trial.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "train/trainer_parts.h"

struct rt_trial {
    rt_trainer trainer;
    rt_train_options options;
};

rt_status rt_trial_open(rt_trial **out, cJSON *config, rt_device *device, rt_sources *sources,
                        const rt_progress *progress)
{
    *out = NULL;
    rt_trial *t = calloc(1, sizeof *t);
    if (!t) return rt_fail(RT_RUN, "out of memory");
    t->options = (rt_train_options){.device = device, .sources = sources, .progress = progress};
    t->trainer = (rt_trainer){.opt = &t->options, .config = config, .history = cJSON_CreateArray(),
                              .notes = cJSON_CreateArray()};
    rt_status st = rt_train_settings_read(config, &t->trainer.set);
    if (!st && t->trainer.set.peer) st = rt_fail(RT_USAGE, "teacher: a trial trains one student, without a peer");
    if (!st) st = rt_train_set_up(&t->trainer);
    if (st) rt_trial_close(t);
    else *out = t;
    return st;
}

void rt_trial_close(rt_trial *t)
{
    if (!t) return;
    rt_train_tear_down(&t->trainer);
    free(t);
}

rt_status rt_trial_run(rt_trial *t, int epochs, int *ended)
{
    rt_status st = rt_train_ended(&t->trainer) ? RT_OK : rt_train_epochs(&t->trainer, epochs);
    *ended = rt_train_ended(&t->trainer);
    return st;
}

const cJSON *rt_trial_history(const rt_trial *t) { return t->trainer.history; }

double rt_trial_best(const rt_trial *t, int *epoch)
{
    *epoch = t->trainer.best_epoch;
    return *epoch ? t->trainer.best : NAN;
}

rt_status rt_trial_model(rt_trial *t, const rt_model **m)
{
    rt_trainer *q = &t->trainer;
    if (!q->best_epoch) return rt_fail(RT_USAGE, "the trial has no model before its first epoch");
    RT_TRY(rt_train_take_best(q));
    *m = q->model;
    return RT_OK;
}
