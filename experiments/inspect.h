/* experiments/inspect.h - what a file is: any file of ours, the data sets of an HDF5 file with statistics, or a teacher
 * by its specification (teacher/spec.h); an ONNX file: what it holds, and the layers that it becomes. */
#ifndef RT_EXPERIMENTS_INSPECT_H
#define RT_EXPERIMENTS_INSPECT_H

#include "data/json.h"
#include "engine/device.h"

typedef struct {
    const char *dataset;               /* only this one; "": all */
    int plan;                          /* for models, also the plan of this batch size; 0: none */
    int stages;                        /* for models, also what passes make of its layers */
    int train;                         /* plan and stages of training, too */
} rt_inspect_options;

rt_status rt_inspect(const char *path, const rt_inspect_options *, rt_device *, cJSON **result);
/* {"devices": [{"name", "card", "capability", "processors", "memory_bytes", "free_bytes", "precisions", "trouble"}],
 * "note": why there are no cards, "operators_of_cards": [...], "operators_of_the_cpu_alone": [...]}; what is not known,
 * or does not apply, is null. */
rt_status rt_inspect_devices(cJSON **result);
#endif
