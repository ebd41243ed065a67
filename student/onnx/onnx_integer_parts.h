/* student/onnx/onnx_integer_parts.h - what reading quantized operators shares: values of the graph as tensors of a net.
 */
#ifndef RT_STUDENT_ONNX_ONNX_INTEGER_PARTS_H
#define RT_STUDENT_ONNX_ONNX_INTEGER_PARTS_H

#include "engine/int/net.h"
#include "student/onnx/onnx_integer.h"

/* A call that waits for the scale of what it gives. */
typedef struct {
    rt_net_call call;                  /* in, window, groups, n, act */
    int h, w, c;                       /* what it gives */
    const rt_array *weight, *bias;     /* CONV: as ONNX has them; bias int32 or NULL */
    const float *step;                 /* (n) */
    int unsigned_by;                   /* what is taken from weights: 128 of unsigned ones */
    int dense, by_rows;                /* weights (K, N); (N, K) */
    int chw[3];                        /* rows of a dense layer stand for an image in this order; [0] 0: as they lie */
    const int *parts; int count;       /* MAP: of a concat, tensors; else one input and an activation */
    rt_act table; float slope;
    const char *name;                  /* of the node; NULL: of the one that waits */
} rt_pending;

/* INPUT: rows of floats before their quantizer; BYTES: a tensor's; FLOATS: what those stand for; SUMS: before the
 * quantizer of its output; INDEX: bytes as numbers of places in a table. */
typedef enum { RT_IV_NONE, RT_IV_INPUT, RT_IV_BYTES, RT_IV_FLOATS, RT_IV_SUMS, RT_IV_INDEX } rt_integer_kind;

typedef struct {
    rt_integer_kind kind;
    int tensor;
    int order[RT_ARRAY_RANK];          /* of ONNX's axes, as they lie in memory */
    int chw[3];                        /* a row that is an image in ONNX's order while memory has channels last */
    const rt_pending *sums;
    const rt_array *mul, *add;         /* INPUT */
} rt_integer_value;

typedef struct {
    const rt_onnx_integer_spec *of;
    const rt_onnx_row *row;
    const rt_eval_graph *g;
    rt_region *region;
    rt_integer_value *v;               /* (values) */
    rt_net net;
    int tensor_room, call_room, table_room, convs;
    size_t weight_room, channel_room;
    const char **name;                 /* (calls) of nodes */
    char *answered;                    /* (outputs) */
    float *mul, *add; int channels;    /* normalisation */
    const cJSON *bits, *scales, *zeros;      /* of the file's own */
    int own_bytes;
    const char *bad;                   /* why the node has no form; NULL */
} rt_integer;

/* The node has no form here, for this reason: returns RT_OK. */
rt_status rt_integer_no(rt_integer *, const char *why);
/* Input i of a node that depends on data; NULL: it has none, or is a constant. */
const rt_integer_value *rt_integer_in(const rt_integer *, const rt_eval_node *, int i);
const rt_array *rt_integer_const(const rt_integer *, const rt_eval_node *, int i);
/* The dimensions of a value's memory as an image; 0: it is none. */
int rt_integer_image(const rt_integer *, int value, int hwc[3]);
/* The tensor that has the value's bytes in its shape: of the value itself, or of a RESHAPE that is put in. -1 with
 * bad set; -2: memory. */
int rt_integer_tensor(rt_integer *, int value);
/* The tensor, or a copy of it where a layer gives its sums: an activation, or an answer, that takes its bytes is not
 * that layer's own then. pairs: sums of two tensors, too. -1: memory. */
int rt_integer_apart(rt_integer *, int tensor, int pairs);
/* The node's output waits for its scale; it is an image, channels first in ONNX's order, or a row. */
rt_status rt_integer_wait(rt_integer *, const rt_eval_node *, const rt_pending *);
/* What waits becomes tensor of this scale and zero point, or with head >= 0 the answer of that head. */
rt_status rt_integer_emit(rt_integer *, const rt_pending *, rt_quant, int head, int *tensor);
/* Scale and zero point by inputs i and i + 1 of the node, as unsigned bytes have them. 0 with bad set. */
int rt_integer_quant(rt_integer *, const rt_eval_node *, int scale, int zero, rt_dtype, rt_quant *);
/* The bytes of a tensor have this scale: 0 with bad set when they have another. */
int rt_integer_has(rt_integer *, int tensor, rt_quant);

/* onnx_integer_nodes.c: what a node of an operator gives; NULL: there is no such operator. */
typedef rt_status rt_integer_fn(rt_integer *, const rt_eval_node *);
rt_integer_fn *rt_integer_function(const rt_eval_node *);
#endif
