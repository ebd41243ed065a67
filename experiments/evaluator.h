/* experiments/evaluator.h - teacher and students side by side: quality on labelled rows, size, speed, in one run.
 *
 * Configuration: {"teacher": model or list, "students": [model, ...], "names": [..., teacher first], "data": {"source", "x",
 *  "y", "rows"}, "eval": {"latency_samples": 2000, "seconds": 0.5, "rounds": 5, "speed": true}}
 * The result (JSON) is the master of every report. Speed is measured interleaved, model after model, round after round;
 * percentiles follow the rules of statistics.h and are absent when there are too few samples. */
#ifndef RT_EXPERIMENTS_EVALUATOR_H
#define RT_EXPERIMENTS_EVALUATOR_H

#include "data/json.h"
#include "engine/pool.h"
#include "engine/progress.h"

rt_status rt_evaluate(cJSON *config, rt_pool *, const rt_progress *, cJSON **result);
rt_status rt_evaluate_check(cJSON *config);
#endif
