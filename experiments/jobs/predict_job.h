/* experiments/jobs/predict_job.h - answers of a model to rows as a file: the way in for 'retort predict' and for
 * experiments.
 *
 * {"model": file, or a list of files (an ensemble), "to": "h5"|"csv"|"npy", "topk": 0,
 *  "data": {"source", "x", "y", "targets", "rows", "test", "test_seed", "names", "check", "id", "slices"}}
 *
 * An output that exists is replaced by force alone, and only when it is one of ours (data/output.h). */
#ifndef RT_EXPERIMENTS_PREDICT_JOB_H
#define RT_EXPERIMENTS_PREDICT_JOB_H

#include "data/json.h"
#include "data/output.h"
#include "engine/device.h"
#include "engine/progress.h"

/* RT_USAGE when the configuration has an error that needs no look inside of a file. Adds defaults. */
rt_status rt_predict_check(cJSON *config);
/* What "to" is by a file's ending; what stands there when it is none that is known. */
const char *rt_predict_form_of(const char *path);
rt_status rt_predict_rows(cJSON *config, const rt_target *out, rt_device *, const rt_progress *, cJSON **result);
#endif
