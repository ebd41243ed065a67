/* experiments/jobs/export_job.h - one export from a configuration: the way in for 'retort export' and for experiments.
 *
 * {"input": model or label store, "to": "safetensors"|"npz"|"csv"|"npy"|"program"|"onnx"|"onnx-qdq"|"c",
 *  "opset", "input_type" (of onnx and onnx-qdq), "int4" (of onnx-qdq), "layout", "fold", "raw_input", "ids",
 *  "batch" (of onnx)}
 *
 * What is neither an input nor applies is refused. An output that exists is replaced by force alone, and only when it
 * is an export that nobody changed since (data/output.h). */
#ifndef RT_EXPERIMENTS_EXPORT_JOB_H
#define RT_EXPERIMENTS_EXPORT_JOB_H

#include "data/json.h"
#include "data/output.h"

/* RT_USAGE when the configuration has an error that needs no look inside of a model or of data. stores: paths that will
 * be label stores when the export runs, ended by NULL; other inputs are looked at where they are there, and are models
 * where not. Adds defaults. */
rt_status rt_export_check(cJSON *config, const char *const *stores);
/* What "to" is by a file's ending (what stands there when it is none that is known), of ONNX by what the input is:
 * quantized or not, RT_RUN where the machine does not let one see; and the ending of a form. */
rt_status rt_export_form_of(const char **form, const char *path, const char *input);
const char *rt_export_ending_of(const char *form);
rt_status rt_export(cJSON *config, const rt_target *out, cJSON **result);
#endif
