/* student/onnx/onnx_file.h - ONNX files, read: bytes become a graph of engine/eval/eval.h.
 *
 * The bytes are walked once for their depth and lengths before protobuf-c sees them; what it makes is counted against
 * a budget. Initializers become known values, external data is read, model-local functions are put where they are
 * called, nodes are sorted. Types that the evaluator has not are refused with the tensor's name. Source:
 * github.com/onnx/onnx, docs/IR.md, ExternalData.md. */
#ifndef RT_STUDENT_ONNX_ONNX_FILE_H
#define RT_STUDENT_ONNX_ONNX_FILE_H

#include "engine/digest.h"
#include "engine/eval/eval.h"

/* A declared input or output. */
typedef struct {
    const char *name;
    rt_dtype type;                     /* RT_DTYPE_COUNT: not told */
    const char *strange; /* "sequence", "optional", "float8e4m3fn" ..., when it is no array of ours; NULL */
    int rank;                          /* -1: not told */
    int64_t dim[RT_ARRAY_RANK];        /* -1: any */
    const char *param[RT_ARRAY_RANK];  /* name of an open dimension, or NULL */
} rt_onnx_value;

typedef struct { const char *key, *value; } rt_onnx_pair;

typedef struct {
    rt_region *region;                 /* has all of it */
    rt_eval_graph *graph;
    rt_onnx_value *input, *output;     /* (graph's inputs, outputs) */
    int64_t ir_version;
    struct { const char *domain; int version; } opset[32];
    int opsets;
    const char *producer, *producer_version;
    rt_onnx_pair *meta; int metas;
    rt_digest digest;                  /* of the file's bytes and of external data, in order */
    uint64_t bytes;                    /* of both */
    int external;                      /* tensors whose data lies in other files */
    size_t budget;                     /* bytes of memory that reading and importing may take, and CPU seconds */
    double seconds;
} rt_onnx_file;

typedef struct {
    size_t budget;                     /* bytes of memory; 0: 1 GiB and 16 for each byte of the file and of external
                                          data (weights of int8 become floats, once as they are and once in the order of
                                          layers, and their model), RT_ONNX_BUDGET at most; and up to 4 GiB for weights
                                          that ConstantOfShape fills */
    double seconds;                    /* of computing, in an import; 0: 4, and one more for each MiB */
    const char *data_root;             /* folder in which external data may lie, through links too; NULL: the model's
                                          own folder, and no links */
} rt_onnx_spec_read;
#define RT_ONNX_BUDGET ((size_t)8 << 30)

/* RT_INPUT with the reason when it is no ONNX file, damaged, hostile, or holds what is not supported. */
rt_status rt_onnx_read(rt_onnx_file **, const char *path, const rt_onnx_spec_read *);
/* The same of bytes in memory, which has no external data; they may go afterwards. */
rt_status rt_onnx_parse(rt_onnx_file **, const void *bytes, size_t n, const rt_onnx_spec_read *);
void rt_onnx_close(rt_onnx_file *);

/* Whether a file looks like ONNX: a protobuf message with an IR version. Reads some bytes of it. */
rt_status rt_onnx_look(const char *path, int *is_onnx);

/* A TensorProto file, as conformance tests hold inputs and outputs; *name may be NULL. RT_INPUT for other content. */
rt_status rt_onnx_tensor(rt_array **, const char **name, rt_region *, const void *bytes, size_t n);
#endif
