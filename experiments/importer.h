/* experiments/importer.h - one import from a configuration: the way in for 'retort import' and for experiments.
 *
 * {"format": "idx"|"csv"|"npy"|"images"|"auto", "input": path, "labels": path (idx, npy), "label": column (csv),
 *  "separator": "," (csv), "size": [H, W], "channels": 1 or 3 (images)} */
#ifndef RT_EXPERIMENTS_IMPORTER_H
#define RT_EXPERIMENTS_IMPORTER_H

#include "data/json.h"

rt_status rt_import(cJSON *config, const char *out, int force, cJSON **result);
#endif
