/* experiments/jobs/verify_job.h - whether an integer program answers the same wherever it runs: in every family of
 * integer kernels that this processor has, layer by layer; in a training step, whose forward pass it is once ranges
 * stand (engine/qat.h); in exported C that is compiled here; and against answers of ONNX Runtime that
 * experiments/peers/ort_run.py recorded. */
#ifndef RT_EXPERIMENTS_VERIFY_JOB_H
#define RT_EXPERIMENTS_VERIFY_JOB_H

#include "data/json.h"
#include "engine/progress.h"

typedef struct {
    const char *input;                 /* a quantized model, or a program */
    const char *data, *x, *rows;       /* rows of a file of data, "A:B"; NULL: those of `against`, else some made up */
    const char *against;               /* an NPZ, or NULL */
    const char *c;                     /* NAME.c beside NAME.h and NAME_data.c, or NULL; compiled by CC or cc */
} rt_verify_spec;

/* *result: {"rows", "of" (what), "layers" (how many), "kernels": [{"name", "us", "bytes", "layers": [{"layer",
 * "bytes"}], "answers", "flips"}], "training": {"numbers" (weights, steps and biases, as a step makes them anew, that
 * are not the program's), "us" (forward and backward), "bytes", "layers", "answers", "flips"} or {"left_out": why},
 * "c": [{"form", "selftest", "us", "bytes", "layers", "answers", "flips"}], "onnx":
 * {"us" (where it was recorded), "answers", "flips"}, "equal"}; bytes, answers (numbers) and flips (of the best class)
 * count what differs from the plain-C family. RT_GATE, with *result, when something differs. */
rt_status rt_verify(const rt_verify_spec *, const rt_progress *, cJSON **result);
#endif
