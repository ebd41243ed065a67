/* student/onnx/onnx_lower.h - a row's graph (student/onnx/onnx_row.h) written as layers of a native model.
 *
 * A value keeps its shape as ONNX has it and, apart, the order in which its elements lie in memory. A Transpose
 * changes the order alone and costs nothing; a layer is put in only where an operator needs another order than the
 * value has. So convolutions stand channels last whatever the exporter did, and who flattens an image gets the rows of
 * the next dense layer in another order instead. */
#ifndef RT_STUDENT_ONNX_ONNX_LOWER_H
#define RT_STUDENT_ONNX_ONNX_LOWER_H

#include "student/model.h"
#include "student/onnx/onnx_row.h"

/* A value that depends on data. */
typedef struct {
    const char *layer;                 /* that gives it; NULL: not yet */
    rt_shape shape;                    /* of that layer's output */
    int ids;                           /* it is an input of ids */
    int rank; int64_t dim[RT_ARRAY_RANK];      /* as ONNX has it, at a batch of one */
    /* Its elements in memory: axes order[0], order[1] ... of the shape base, whose row-major order is that of dim. */
    int base_rank; int64_t base[RT_ARRAY_RANK];
    int order[RT_ARRAY_RANK];
} rt_lowered_value;

/* Values for a field of a layer, once the model is there. */
typedef struct { const char *field; const float *value; size_t count; } rt_lowered_field;

/* What stands for an input: name, shape of its rows, and in which order of ONNX's axes their elements lie. */
typedef struct { const char *name; rt_shape shape; int ids; int order[RT_ARRAY_RANK]; } rt_lower_input;

/* What the model is to give: heads that answer, and layers beside them, called `name`, that are kept for who asks for
 * features: as layers have them, images with their channels last. */
typedef struct { int value; const char *name; rt_task task; } rt_lower_head;
typedef struct { int value; const char *name, *tensor; } rt_lower_feature;
typedef struct {
    rt_lower_head head[RT_MAX_HEADS];
    int heads;
    const rt_lower_feature *feature;
    int features;
    int shorter;                       /* the file leaves the length of all its ids open */
} rt_lower_wanted;

typedef struct rt_lowering {
    const rt_onnx_row *row;
    const rt_eval_graph *g;
    rt_region *region;                 /* for what is made on the way */
    const rt_lower_input *in;          /* (graph inputs) */
    const rt_lower_wanted *want;
    rt_lowered_value *v;               /* (values) */
    int *readers;                      /* (values) how many nodes, or outputs, read it */
    char *done;                        /* (nodes) taken up by another */
    int node;                          /* the one that is being lowered */
    cJSON *layers;
    rt_lowered_field *field; int fields, field_room;
    int total, made, calls;            /* layers; that were put in; that are computed by definition */
    const char *bad;                   /* why the node has no form here; NULL */
} rt_lowering;

/* Lowers a node: its outputs get values. RT_OK and l->bad where it has no fast form. */
typedef rt_status rt_lower_fn(rt_lowering *, const rt_eval_node *);
/* The tables: (operator of ai.onnx, or of another domain as "domain:name") to function. */
typedef struct { const char *op; rt_lower_fn *fn; } rt_lower_entry;
extern const rt_lower_entry rt_lower_layers[], rt_lower_math[], rt_lower_moves[], rt_lower_recurrent[],
    rt_lower_trees[], rt_lower_dynamic[], rt_lower_quantized[];

/* Gather of a value by constants. */
rt_status rt_lower_pick(rt_lowering *, const rt_eval_node *);
/* MatMul of two values; attention where it is one. */
rt_status rt_lower_product(rt_lowering *, const rt_eval_node *);
/* The matrix product of two values, as numpy.matmul; what node n gives has its shape. */
rt_status rt_lower_matmul(rt_lowering *, const rt_eval_node *n, rt_lowered_value *a, rt_lowered_value *b,
                          rt_lowered_value *y);
/* Values side by side along an axis: output 0 of the node. */
rt_status rt_lower_join(rt_lowering *, const rt_eval_node *, rt_lowered_value *part, int count, int axis);
/* Attention as an operator, of opset 23 and later. */
rt_status rt_lower_attention(rt_lowering *, const rt_eval_node *);

/* ---- for those functions ---- */

/* The node has no form here, for this reason: returns RT_OK. */
rt_status rt_lower_no(rt_lowering *, const char *why);
/* Input i: a constant (NULL: it is none), a value (NULL: likewise); both NULL when it is left out. */
const rt_array *rt_lower_const(const rt_lowering *, const rt_eval_node *, int i);
rt_lowered_value *rt_lower_in(rt_lowering *, const rt_eval_node *, int i);
/* As ONNX has output i at a batch of one. */
const rt_array *rt_lower_shape(const rt_lowering *, const rt_eval_node *, int i);
/* Attributes without a call. */
int64_t rt_lower_int(const rt_eval_node *, const char *name, int64_t none);
double rt_lower_float(const rt_eval_node *, const char *name, double none);
const char *rt_lower_string(const rt_eval_node *, const char *name, const char *none);
int rt_lower_ints(const rt_eval_node *, const char *name, const int64_t **list);      /* -1: not given */
/* Of a Transpose: where each axis of its input goes. */
void rt_lower_places(const rt_eval_node *, int rank, int to[RT_ARRAY_RANK]);
/* A list that later opsets have as input i, earlier ones as an attribute; -1: neither. A list that depends on data is
 * no list: l->bad is set. */
int rt_lower_list(rt_lowering *, const rt_eval_node *, int i, const char *name, const int64_t **list);

/* Kernel, stride, dilation and padding as attributes have them, for an input and output (1, C, ...) of one to three
 * sides: of lines h is 1, pad 0; of three sides the first is the depth. 0: not such a window. */
typedef struct { int sides, kernel[2], stride[2], dilation[2], pad[4]; rt_depth depth; } rt_lower_window;
int rt_lower_find_window(rt_lower_window *, const rt_eval_node *, const int64_t *kernel, const rt_array *x,
                         const rt_array *y);

/* A value as a sequence, image or volume, channels last: order of its axes, shape, layer. l->bad: it is none. */
rt_status rt_lower_images(rt_lowering *, rt_lowered_value *, int order[RT_ARRAY_RANK], rt_shape *, const char **from);
void rt_lower_set_window(cJSON *layer, const rt_lower_window *);
/* Output 0 is what the layer gives, an image in this order. */
void rt_lower_give_images(rt_lowering *, const rt_eval_node *, const cJSON *layer, const int *order);

/* Two inputs of a node, values or constants, as layers whose shapes broadcast in memory: order of the output's axes,
 * and its shape. l->bad: more dimensions than layers have. */
rt_status rt_lower_sides(rt_lowering *, const rt_eval_node *, const int input[2], const char *from[2],
                         int order[RT_ARRAY_RANK], rt_shape *out);
/* The node that gives a value, NULL: none. */
const rt_eval_node *rt_lower_giver(const rt_lowering *, int value);
/* Inputs i and i + 1 of a node: one scale and its zero point, 0 where there is none, as constants. 0: others. */
typedef struct { float scale; int zero; } rt_lower_grain_of;
int rt_lower_grain(const rt_lowering *, const rt_eval_node *, int i, rt_lower_grain_of *);
/* Bytes x through constants w with scales and zero points (or NULL) of their own, and an int32 bias or NULL, to bytes:
 * output 0 of node `last`. */
typedef struct {
    int x;
    rt_lower_grain_of in, out;
    rt_dtype type, to;
    const rt_array *w, *sw, *zw, *bias;
    int relu;
    size_t outputs;
    const rt_eval_node *last;
} rt_lower_bytes;
/* The window of node n, a convolution whose first input has x's shape; rows of x through w (K, N), or (N, K) without
 * by_columns. l->bad: beyond the limits of layers. */
rt_status rt_lower_bytes_conv(rt_lowering *, const rt_eval_node *n, const rt_lower_bytes *);
rt_status rt_lower_bytes_rows(rt_lowering *, const rt_eval_node *n, const rt_lower_bytes *, int by_columns);
/* Conv, or Gemm and MatMul with constants, between DequantizeLinear and QuantizeLinear: *taken where it is one. */
rt_status rt_lower_paired_conv(rt_lowering *, const rt_eval_node *, int *taken);
rt_status rt_lower_paired_rows(rt_lowering *, const rt_eval_node *, int *taken);
/* A DequantizeLinear whose output may go into one of these. */
int rt_lower_is_fed(const rt_lowering *, const rt_eval_node *);

/* A product of integers with an input that is quantized where it stands, and what follows it: DynamicQuantizeLinear of
 * value x, MatMulInteger or ConvInteger with w, Cast, Mul by the input's scale times step, perhaps Add of a bias (one
 * an output) in node `last`; w has zero points, or NULL. */
typedef struct {
    const rt_eval_node *last;
    int x, taken[3], takes;
    const rt_array *w, *zero, *step, *bias;
} rt_lower_ranged;
/* Of a node whose bytes are input 0 and whose zero point input 2; w and zero are there. 0 with l->bad. */
int rt_lower_find_dynamic(rt_lowering *, const rt_eval_node *, rt_lower_ranged *);
/* The nodes between are done. */
void rt_lower_take_dynamic(rt_lowering *, const rt_lower_ranged *);
/* w (K, N) of any zero points as a layer; MatMulInteger of bytes whose zero point is known. */
rt_status rt_lower_dynamic_rows(rt_lowering *, const rt_lower_ranged *);
rt_status rt_lower_static_rows(rt_lowering *, const rt_eval_node *);

/* A new layer that reads these values, which the caller completes; its name. hint: of the ONNX node. */
cJSON *rt_lower_layer(rt_lowering *, const char *op, const char *hint, const char *const *from, int inputs);
const char *rt_lower_name(const cJSON *layer);
/* Values of a field of a layer: n floats in the region, to be filled. NULL: memory. */
float *rt_lower_fill(rt_lowering *, const cJSON *layer, const char *suffix, size_t n);
/* Constants as floats, its own where it has them; NULL: memory. */
const float *rt_lower_floats(rt_lowering *, const rt_array *);
/* A constant as a field of a layer, its axes in this order (NULL: as they are). */
rt_status rt_lower_put(rt_lowering *, const cJSON *layer, const char *suffix, const rt_array *, const int *order);
/* A constant as a layer of this shape, without input, its axes in this order. */
rt_status rt_lower_constant(rt_lowering *, const rt_array *, const rt_shape *, const int *order, const char **layer);

/* The layer that has the value in this order of its own axes (order NULL: row-major), as this shape; layers that
 * permute and reshape are put in where needed. */
rt_status rt_lower_as(rt_lowering *, rt_lowered_value *, const int *order, const rt_shape *, const char **layer);
/* Whether the value is in this order, axes of one element aside. */
int rt_lower_is(const rt_lowered_value *, const int *order);
/* The shape of the value's memory in this order: dimensions of one left out, at least rank 1. RT_USAGE-like l->bad when
 * there are more than RT_MAX_RANK. */
int rt_lower_memory(rt_lowering *, const rt_lowered_value *, const int *order, rt_shape *);
/* (1, C, ...) with channels last: its order, and its shape as (..., C), of rank 2 for lines, 3 for images. */
int rt_lower_channels_last(const rt_lowered_value *, int order[RT_ARRAY_RANK], rt_shape *);

/* Output i of the node is what the layer gives, its memory in this order of the output's axes (NULL: row-major). */
void rt_lower_give(rt_lowering *, const rt_eval_node *, int i, const cJSON *layer, const rt_shape *, const int *order);
/* Output i is the same memory as the value, seen as ONNX's output has it. */
void rt_lower_alias(rt_lowering *, const rt_eval_node *, int i, const rt_lowered_value *);
/* The only node that reads output 0 of n, if it has this operator and is not done; else -1. */
int rt_lower_next(const rt_lowering *, const rt_eval_node *, const char *op);

/* Lowers all nodes to a model: layers and fields. names of inputs (graph inputs) as the model is to have them, shapes
 * of rows. RT_INPUT with all nodes that have no form here. */
rt_status rt_onnx_lower(rt_model **, const rt_onnx_row *, const rt_onnx_bound *, const rt_lower_input *,
                        const rt_lower_wanted *);
#endif
