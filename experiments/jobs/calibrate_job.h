/* experiments/jobs/calibrate_job.h - a teacher's temperature as a file, which a policy may name: the step "calibrate".
 *
 * {"labels": label store, "head", "data": {"source", "x", "y", "rows"}}; the file is the JSON of
 * rt_label_calibrate_report (data/label_report.h). */
#ifndef RT_EXPERIMENTS_CALIBRATE_JOB_H
#define RT_EXPERIMENTS_CALIBRATE_JOB_H

#include "data/json.h"
#include "data/output.h"
#include "engine/pool.h"
#include "engine/progress.h"

/* RT_USAGE when the configuration has an error that needs no look at files. Adds defaults. */
rt_status rt_calibrate_labels_check(cJSON *config);
/* An output that exists is replaced by force alone, when nobody changed it since (RT_OUTPUT_EXPORT). */
rt_status rt_calibrate_labels(cJSON *config, const rt_target *out, rt_pool *, const rt_progress *, cJSON **result);
#endif
