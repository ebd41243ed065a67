/* experiments/jobs/gate_job.h - a gate from a configuration: the step "gate" of an experiment.
 *
 * {"baseline": model or predictions, or a list of models, "candidate": the same, "anchor": the same where limits are
 * held against it, "policy": file, "data": as of eval, "registry": folder, "common": false, "allow_same": false} */
#ifndef RT_EXPERIMENTS_GATE_JOB_H
#define RT_EXPERIMENTS_GATE_JOB_H

#include "engine/digest.h"
#include "experiments/gate/gate.h"

/* RT_USAGE when the configuration, or a policy that is there, has an error that needs no look at models or data. */
rt_status rt_gate_check(cJSON *config);
/* rt_gate of it. */
rt_status rt_gate_run(cJSON *config, const rt_target *out, rt_device *, const rt_progress *, cJSON **verdict);
/* Adds what the result depends on beside files: which anchors the registry has. */
rt_status rt_gate_depends(const cJSON *config, rt_hasher *);
#endif
