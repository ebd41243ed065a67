/* experiments/jobs/quantize_job.h - post-training quantization from a configuration: the way in for 'retort quantize'
 * and for experiments.
 *
 * {"model": a model file, "data": {"source", "x", "rows", "names", "check"}, "quant": {...} (student/quant_config.h)}
 *
 * The rows of calibration are drawn among those of data.rows, by a seed that does not change. */
#ifndef RT_EXPERIMENTS_QUANTIZE_JOB_H
#define RT_EXPERIMENTS_QUANTIZE_JOB_H

#include "data/json.h"
#include "data/output.h"
#include "engine/device.h"
#include "engine/progress.h"

/* RT_USAGE when the configuration has an error that needs no look at model or data. Adds defaults. */
rt_status rt_quantize_check(cJSON *config);
rt_status rt_quantize(cJSON *config, const rt_target *out, rt_device *, const rt_progress *, cJSON **result);
#endif
