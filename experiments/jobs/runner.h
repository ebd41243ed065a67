/* experiments/jobs/runner.h - a whole experiment from one JSON file.
 *
 * {"name": "...", "out": folder, "seed": 1, "steps": [
 *    {"name": "train_data", "do": "import", "with": {"input": "...", "labels": "..."}},
 *    {"name": "teacher", "do": "train", "with": {"model": {...},
 *     "data": {"source": "${train_data}", "rows": "0:10000"}}},
 *    {"name": "labels", "do": "label", "with": {"teacher": "${teacher}", "data": {"source": "${train_data}"}}},
 *    {"name": "report", "do": "eval", "with": {"teacher": "${teacher}", "students": ["${small}"], "data": {...}}}]}
 *
 * "${step}" stands for what that step makes: import, label, vote (data/vote_job.h) and quantize a file (OUT/step.h5),
 * clean (experiments/jobs/clean_job.h) a mask of rows (OUT/step.h5, and its list OUT/step.csv), select
 * (experiments/jobs/select_job.h) a list (OUT/step.csv), calibrate (experiments/jobs/calibrate_job.h) a temperature
 * (OUT/step.json), train a model (OUT/step/model.h5), export and predict a file (OUT/step.FORMAT), eval and gate
 * (experiments/jobs/gate_job.h) a folder (OUT/step). The table of these is in experiments/jobs/steps.c. A gate that
 * does not pass ends the experiment with its exit code, also when it is skipped; one that is a day old is asked again,
 * as waivers end. All steps are checked before the first one runs. A step is skipped when the hash of its configuration
 * and of every file it reads is the one its last success had and its output is still there; otherwise it runs, or goes
 * on where it was interrupted. */
#ifndef RT_EXPERIMENTS_RUNNER_H
#define RT_EXPERIMENTS_RUNNER_H

#include "data/json.h"
#include "data/output.h"
#include "engine/device.h"
#include "engine/progress.h"

/* out->path, when it is not NULL, takes the place of "out" in the configuration. The folder is locked until the end.
 * *result: for each step its state, seconds and result; "evaluation" of the last eval step. */
rt_status rt_experiment_run(cJSON *config, const rt_target *out, rt_device *, const rt_progress *, cJSON **result);
#endif
