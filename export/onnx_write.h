/* export/onnx_write.h - ONNX files: a graph that is built node by node and packed. Over protobuf-c's onnx.pb-c.h, which
 * is generated from libonnx's onnx.proto; nobody else knows of it. (github.com/onnx/onnx, docs/IR.md.)
 *
 * Memory that runs out is kept in mind until rt_onnx_pack tells, so calls need no check of their own. Names that are
 * handed out or in live as long as the file's builder. */
#ifndef RT_EXPORT_ONNX_WRITE_H
#define RT_EXPORT_ONNX_WRITE_H

#include <stddef.h>
#include <stdint.h>

#include "engine/error.h"

/* As ONNX numbers types (TensorProto.DataType). Data is given as it lies in memory; INT4 two to a byte, low half first.
 */
typedef enum {
    RT_ONNX_F32 = 1,
    RT_ONNX_U8 = 2,
    RT_ONNX_I8 = 3,
    RT_ONNX_U16 = 4,
    RT_ONNX_I16 = 5,
    RT_ONNX_I32 = 6,
    RT_ONNX_I64 = 7,
    RT_ONNX_BOOL = 9,
    RT_ONNX_F16 = 10,
    RT_ONNX_F64 = 11,
    RT_ONNX_U32 = 12,
    RT_ONNX_U64 = 13,
    RT_ONNX_BF16 = 16,
    RT_ONNX_I4 = 22
} rt_onnx_type;

typedef struct rt_onnx rt_onnx;
typedef struct rt_onnx_node rt_onnx_node;

enum { RT_ONNX_OLDEST = 13, RT_ONNX_NEWEST = 28 };     /* opsets */

/* Never NULL. opset: of the default domain, from OLDEST to NEWEST; the file is of the IR version that came with it.
 * graph: its name. */
rt_onnx *rt_onnx_new(int opset, const char *graph);
void rt_onnx_free(rt_onnx *);
const char *rt_onnx_name(rt_onnx *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* An initializer; its name. Data is copied. */
const char *rt_onnx_const(rt_onnx *, const char *name, rt_onnx_type, int rank, const int64_t *dim, const void *data);
const char *rt_onnx_scalar(rt_onnx *, const char *name, rt_onnx_type, const void *data);
/* Room for n names and the NULL behind them, as long as the builder lives; NULL when memory is out. */
const char **rt_onnx_list(rt_onnx *, int n);
/* A node of one output, "" where it is not wanted; inputs end with NULL. */
rt_onnx_node *rt_onnx_add(rt_onnx *, const char *op, const char *out, const char *const *in);
/* A further output of the node. */
void rt_onnx_more(rt_onnx_node *, const char *out);
void rt_onnx_int(rt_onnx_node *, const char *attribute, int64_t);
void rt_onnx_float(rt_onnx_node *, const char *attribute, float);
void rt_onnx_string(rt_onnx_node *, const char *attribute, const char *);
void rt_onnx_floats(rt_onnx_node *, const char *attribute, int n, const float *);
void rt_onnx_strings(rt_onnx_node *, const char *attribute, int n, const char *const *);
/* A tensor, as rt_onnx_const takes it. */
void rt_onnx_tensor_of(rt_onnx_node *, const char *attribute, rt_onnx_type, int rank, const int64_t *dim,
                       const void *data);
/* The node is of another domain than ONNX's own, whose operators are those of this version. */
void rt_onnx_domain(rt_onnx_node *, const char *domain, int version);
void rt_onnx_ints(rt_onnx_node *, const char *attribute, int n, const int64_t *);

/* The value that a node gives gets another name, wherever it is read. Returns 0 when no node gives it. */
int rt_onnx_rename(rt_onnx *, const char *from, const char *to);

/* The graph's inputs and outputs. A dimension 0 is any, named "batch". */
void rt_onnx_input(rt_onnx *, const char *name, rt_onnx_type, int rank, const int64_t *dim);
void rt_onnx_output(rt_onnx *, const char *name, rt_onnx_type, int rank, const int64_t *dim);
/* metadata_props */
void rt_onnx_meta(rt_onnx *, const char *key, const char *value);

/* The file's bytes, for the caller to free. Equal calls give equal bytes. RT_RUN when memory was out,
 * RT_USAGE beyond the 2 GiB that a file of protobuf can have. */
rt_status rt_onnx_pack(const rt_onnx *, uint8_t **bytes, size_t *n);
#endif
