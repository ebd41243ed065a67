/* train/trial.h - a training run in memory: opened, run some epochs at a time, looked at, closed. No file is written.
 * Several trials live in one process, each as it would be alone, to the bit; they may share the device, which one of
 * them uses at a time, and their sources. */
#ifndef RT_TRAIN_TRIAL_H
#define RT_TRAIN_TRIAL_H

#include "data/json.h"
#include "data/sources.h"
#include "engine/device.h"
#include "engine/progress.h"
#include "student/model.h"

typedef struct rt_trial rt_trial;

/* config: as of rt_train; it becomes the effective one and is borrowed, with device, sources and progress, until the
 * trial is closed. sources: where trials on the same data find it open; NULL: it is opened for this one. */
rt_status rt_trial_open(rt_trial **, cJSON *config, rt_device *, rt_sources *, const rt_progress *);
void rt_trial_close(rt_trial *);
/* At most `epochs` more (0: all that are left). *ended: all of train.epochs are done, or train.patience is over.
 * RT_INTERRUPTED between steps when the user asked to stop; the trial can go on. */
rt_status rt_trial_run(rt_trial *, int epochs, int *ended);
/* A member an epoch so far, as in result.json; belongs to the trial. */
const cJSON *rt_trial_history(const rt_trial *);
/* The monitored value of the best epoch so far, from 1; 0 and NAN before the first. */
double rt_trial_best(const rt_trial *, int *epoch);
/* The model with the best epoch's weights; belongs to the trial, until it is run again or closed. RT_USAGE before an
 * epoch. */
rt_status rt_trial_model(rt_trial *, const rt_model **);
#endif
