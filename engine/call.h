/* engine/call.h - what the graph operator `call` computes: one node of an ONNX graph (engine/eval/eval.h), row by row,
 * by the evaluator. It is for operators without a form of their own, in inference alone. */
#ifndef RT_ENGINE_CALL_H
#define RT_ENGINE_CALL_H

#include "engine/eval/eval.h"

enum { RT_CALL_INPUTS = 8 };

/* Lies in a region of its own; plans read it, any number of threads at once. */
typedef struct rt_onnx_call {
    rt_region *region;
    rt_eval_graph graph;               /* one node; its inputs that depend on data are the graph's inputs */
    struct { rt_dtype type; int rank; int64_t dim[RT_ARRAY_RANK]; } in[RT_CALL_INPUTS];
    int output;                        /* value that answers */
    rt_dtype type;                     /* of the answer */
    int rank; int64_t dim[RT_ARRAY_RANK];
    size_t bytes;                      /* of a region for one row, as a row of ones needs it */
} rt_onnx_call;

/* Evaluates a row: in[i] the elements of input i, as floats, or as int32 where ids[i]; y those of the output as floats.
 * memory (bytes) is worked in, where that is enough; more is taken where it is not. A row that cannot be computed
 * becomes NaN. */
void rt_onnx_call_row(const rt_onnx_call *, float *y, const void *const *in, const char *ids, void *memory,
                      size_t bytes);
/* Evaluates a row of ones, and finds type, shape and bytes. RT_INPUT when it cannot be computed. */
rt_status rt_onnx_call_try(rt_onnx_call *);
#endif
