/* experiments/deploy_job.h - exports of a quantized model: its integer program, as a file, as ONNX or as C, each with a
 * manifest beside it, FILE.json: {"format", "files": [{"file", "bytes", "xxh128"}], "made_by", "contract", "program"
 * and "model" (digests), "input", "multiply_adds", "heads", "normalization", "columns", "provenance"}, and, where the
 * model lies in the folder of the run that made it, "result" without its history. */
#ifndef RT_EXPERIMENTS_DEPLOY_JOB_H
#define RT_EXPERIMENTS_DEPLOY_JOB_H

#include "data/json.h"
#include "export/exporter.h"

typedef enum { RT_DEPLOY_PROGRAM, RT_DEPLOY_ONNX, RT_DEPLOY_C } rt_deploy_form;

typedef struct {
    rt_deploy_form form;
    const char *input;                 /* a quantized model, or a program */
    rt_onnx_spec onnx;
} rt_deploy_spec;

/* *program: whether the file begins as one of an integer program. */
rt_status rt_program_there(const char *path, int *program);
/* The program of a quantized model, or of a file of a program. RT_USAGE for a model in float. */
rt_status rt_program_open(rt_program **, const char *path);
/* Fills and commits the output, which may be replaced, and the files beside it: of C, out is NAME.c and they are NAME.h
 * and NAME_data.c. *result gets "files", "program", and what else the manifest says of it; notes: what is to be known.
 */
rt_status rt_deploy(const rt_deploy_spec *, rt_output *, const rt_target *out, const char *const *inputs, cJSON *result,
                    cJSON *notes);
#endif
