/* experiments/jobs/bench_job.h - the speed of training, labelling and the kernels here, for comparison scripts. */
#ifndef RT_EXPERIMENTS_BENCH_JOB_H
#define RT_EXPERIMENTS_BENCH_JOB_H

#include "data/json.h"
#include "engine/device.h"
#include "engine/progress.h"

/* {"what": "train"|"infer"|"kernels"|"cold", "model": architecture or model file, "batch": 128, "seconds": 1, "rounds":
 * 3, "optimizer": "sgd"|"adamw", "loss": "ce"|"kd"} cold: {"model", "data", "rounds": 5, "once": false}
 * (experiments/cold_start.h). train: steps on random data already in memory: forward, loss, backward, update. rate: the
 * median round. */
rt_status rt_bench(cJSON *config, rt_device *, const rt_progress *, cJSON **result);
#endif
