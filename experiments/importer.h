/* experiments/importer.h - one import from a configuration: the way in for 'retort import' and for experiments.
 *
 * {"input": path, "labels": path, "format": "auto"|"idx"|"csv"|"npy"|"npz"|"images",
 *  "missing_labels": "no-label"|"refuse", "no_label": label, "classes": [name, ...] or "a,b,c", "like": path,
 *  "max_classes": n,
 *  CSV: "label": column, "separator": one character, "tab" or "blanks", "decimal": "." or ",",
 *       "header": "auto"|"yes"|"no", "encoding": name, "missing": "refuse"|"drop", "drop": [column, ...] or "a,b,c",
 *       "keep_index": bool,
 *  images: "size": [H, W], "channels": 1 or 3, "alpha": "drop"|"white"|"black", "skip_bad": bool,
 *  NPY, NPZ: "x": array, "y": array, "channels": "first"|"last"}
 *
 * An ONNX file becomes a model: {"input": path, "inputs": {...}, "output": name, "gives": ..., "classes": [name, ...]
 * or "a,b,c", "data_root": folder}, see student/onnx/onnx_import.h. */
#ifndef RT_EXPERIMENTS_IMPORTER_H
#define RT_EXPERIMENTS_IMPORTER_H

#include "data/json.h"
#include "data/output.h"
#include "engine/progress.h"

/* RT_USAGE when the configuration has an error that needs no more of the data than its format. Adds defaults. */
rt_status rt_import_check(cJSON *config);
/* Makes out; *result is for the caller to delete (data/import.h). RT_USAGE when out exists and force is 0. */
rt_status rt_import(cJSON *config, const rt_target *out, const rt_progress *, cJSON **result);
#endif
