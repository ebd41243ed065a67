/* experiments/inspect.h - what a file is: any file of ours, or the data sets of an HDF5 file with statistics. */
#ifndef RT_EXPERIMENTS_INSPECT_H
#define RT_EXPERIMENTS_INSPECT_H

#include "data/json.h"
#include "engine/pool.h"

/* dataset: only this one ("" for all). plan: for models, also the plan of this batch size (0: none). */
rt_status rt_inspect(const char *path, const char *dataset, int plan_batch, int train, rt_pool *, cJSON **result);
#endif
