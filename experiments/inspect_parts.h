/* experiments/inspect_parts.h - what the parts of rt_inspect share. */
#ifndef RT_EXPERIMENTS_INSPECT_PARTS_H
#define RT_EXPERIMENTS_INSPECT_PARTS_H

#include "experiments/inspect.h"

/* A model's layers and the like, into an object. */
rt_status rt_inspect_model(const char *path, const rt_inspect_options *, rt_device *, cJSON *);
rt_status rt_inspect_onnx(const char *path, const rt_inspect_options *, rt_device *, cJSON **result);
#endif
