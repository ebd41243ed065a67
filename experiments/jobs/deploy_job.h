/* experiments/jobs/deploy_job.h - exports to deploy: of a quantized model its integer program, as a file, as ONNX or as
 * C, of a float model ONNX; each with a manifest beside it, FILE.json: {"format", "files": [{"file", "bytes",
 * "xxh128"}], "made_by", "contract" and "program" (a digest, both of programs alone), "model" (a digest), "input",
 * "multiply_adds", "heads", "normalization" and "columns", or "inputs" of several, "provenance"}, and, where the model
 * lies in the folder of the run that made it, "result" without its history. */
#ifndef RT_EXPERIMENTS_DEPLOY_JOB_H
#define RT_EXPERIMENTS_DEPLOY_JOB_H

#include "data/json.h"
#include "export/exporter.h"

typedef enum { RT_DEPLOY_PROGRAM, RT_DEPLOY_ONNX, RT_DEPLOY_C, RT_DEPLOY_ONNX_FLOAT } rt_deploy_form;

typedef struct {
    rt_deploy_form form;
    const char *input;                 /* a quantized model, or a program; of ONNX_FLOAT a float model */
    rt_onnx_spec onnx;
    rt_onnx_float_spec onnx_float;
} rt_deploy_spec;

/* *program: whether the file begins as one of an integer program. */
rt_status rt_program_there(const char *path, int *program);
/* The program of a quantized model, or of a file of a program; and the model, which the caller frees: NULL where there
 * is none, or model is NULL. RT_USAGE for a model in float. */
rt_status rt_program_open(rt_program **, rt_model **model, const char *path);
/* Fills and commits the output, which may be replaced, and the files beside it: of C, out is NAME.c and they are NAME.h
 * and NAME_data.c. *result gets "files", "program", and what else the manifest says of it; notes: what is to be known.
 */
rt_status rt_deploy(const rt_deploy_spec *, rt_output *, const rt_target *out, const char *const *inputs, cJSON *result,
                    cJSON *notes);
#endif
