/* export/onnx_float_parts.h - what the parts of the exporter of float graphs share (rt_fo_: float, out): values in two
 * orders, names, and the table of operators.
 *
 * A tensor is (batch, H, W, C) in memory, channels last. ONNX's convolutions and pools want channels first. So a tensor
 * may stand in the graph in either order, or in both: an operator takes the one that it needs, a Transpose is put where
 * that is not there yet, and once. A row of one dimension that came of an image by flatten may stand in the order in
 * which channels come first; a dense layer then has the rows of its weights in that order, and no Transpose is
 * needed. */
#ifndef RT_EXPORT_ONNX_FLOAT_PARTS_H
#define RT_EXPORT_ONNX_FLOAT_PARTS_H

#include "export/exporter.h"
#include "export/onnx_write.h"

typedef enum { RT_FO_LAST, RT_FO_FIRST, RT_FO_ORDERS } rt_fo_order;       /* channels last, first */

typedef struct {
    const char *name[RT_FO_ORDERS];      /* NULL: is not there in that order */
    rt_shape block;                        /* of a row of one dimension that came of more: what it was */
} rt_fo_value;

typedef struct rt_fo_names rt_fo_names;
typedef struct rt_fo_constants rt_fo_constants;

typedef struct {
    const rt_model *m;
    const rt_onnx_float_spec *spec;
    const int *head;                       /* (heads) their tensors of g */
    const char *input[RT_MAX_INPUTS];      /* the graph's names of them */
    const rt_graph *g;                     /* the model's, or what it became with batch norms folded */
    float *const *field;                   /* (fields of g) their values */
    rt_onnx *o;
    rt_fo_value *value;                  /* (tensors of g) */
    rt_fo_names *names;
    rt_fo_constants *constants;
    const char *rows;                      /* how many there are, (1), once somebody asked */
    rt_status status;                      /* the first failure */
} rt_fo_graph;

/* What an operator of the graph becomes: nodes, and the value of n->out. */
typedef void rt_fo_put_fn(rt_fo_graph *, const rt_node *n);
/* NULL: the operator has no export yet, and models with it are refused. A new operator is a function and its line. */
extern rt_fo_put_fn *const rt_fo_put[RT_OP_COUNT];
/* Whether it takes tensors of more than one dimension with channels first. */
int rt_fo_takes_first(const rt_node *);

/* ---- onnx_values.c ---- */

/* Starts names, values and constants; RT_RUN when memory is out. End frees them. */
rt_status rt_fo_begin(rt_fo_graph *);
void rt_fo_end(rt_fo_graph *);
/* The text, or that with a number behind it where the graph has the name already; the graph's from now on. */
const char *rt_fo_unique(rt_fo_graph *, const char *text);
/* A value beside a layer's own: "LAYER/what". */
const char *rt_fo_own(rt_fo_graph *, const rt_node *, const char *what);

/* Whether the tensor is there in that order. */
int rt_fo_has(const rt_fo_graph *, int tensor, rt_fo_order);
/* Its value in that order, brought into it where it is not there yet. A row of one dimension has channels first only
 * where rt_fo_has says so. */
const char *rt_fo_take(rt_fo_graph *, int tensor, rt_fo_order);
/* The order in which all inputs of the node are taken with the least to transpose. */
rt_fo_order rt_fo_common(const rt_fo_graph *, const rt_node *);
/* Tensor t is this value. Of one dimension: in both orders, unless the value's block says otherwise. */
void rt_fo_set(rt_fo_graph *, int tensor, rt_fo_order, const char *name);
int rt_fo_rank(const rt_fo_graph *, int tensor);       /* of a row */
/* The shape of a tensor with its batch in front, which is 0; returns the rank. */
int rt_fo_dims(const rt_fo_graph *, int tensor, rt_fo_order, int64_t dim[RT_MAX_RANK + 1]);
/* The same of any shape of a row. */
int rt_fo_shape(const rt_shape *, rt_fo_order, int64_t dim[RT_MAX_RANK + 1]);
/* Where dimension `axis` of a row stands in the tensor. */
int rt_fo_axis(int axis, int rank, rt_fo_order);
/* The shape with ones in front, of this rank. */
rt_shape rt_fo_widened(const rt_shape *, int rank);

/* How a field's values stand in the file. AS_IS: of `shape`. TO_FIRST: as rows (..., C) of `shape`, and channels come
 * first. CONV: (taps..., C / groups, N) become (N, C / groups, taps...). ROWS: (K, N), rows as channels of `shape` come
 * first. CHANNEL: (C), and `shape.rank` - 1 ones behind. TURNED: matrices, rows and columns in each
 * other's place, to `shape`. */
typedef enum {
    RT_FO_AS_IS, RT_FO_TO_FIRST, RT_FO_CONV, RT_FO_ROWS, RT_FO_CHANNEL, RT_FO_TURNED
} rt_fo_form_kind;
typedef struct { rt_fo_form_kind kind; rt_shape shape; } rt_fo_form;
/* An initializer with the field's values, once for all who ask for the same form; its name. */
const char *rt_fo_field(rt_fo_graph *, int field, rt_fo_form_kind, const rt_shape *);
/* One that no field has. */
const char *rt_fo_number(rt_fo_graph *, const rt_node *, const char *what, float);
const char *rt_fo_whole(rt_fo_graph *, const rt_node *, const char *what, int count, const int64_t *);
const char *rt_fo_numbers(rt_fo_graph *, const rt_node *, const char *what, int count, const float *);
/* How many rows there are, as a list of one. */
const char *rt_fo_rows(rt_fo_graph *, const rt_node *);
const char *rt_fo_fill(rt_fo_graph *, const rt_node *, const char *what, int64_t count, float);       /* count times */
/* A node with one to three inputs; NULL: no more. */
rt_onnx_node *rt_fo_node_of(rt_fo_graph *, const char *op, const char *out, const char *a, const char *b,
                              const char *c);

/* A node of two inputs, or one, whose output is a value beside a layer's own; its name. */
const char *rt_fo_chain(rt_fo_graph *, const rt_node *, const char *op, const char *what, const char *a,
                        const char *b);

/* ---- onnx_functions.c ---- */

/* In which order inputs whose shapes may differ (plain: do not) are brought together; input i beside an output of this
 * rank. */
rt_fo_order rt_fo_meeting(const rt_fo_graph *, const rt_node *, const rt_shape *out, int plain);
const char *rt_fo_beside(rt_fo_graph *, const rt_node *, int i, int rank, rt_fo_order);
rt_fo_put_fn rt_fo_put_unary, rt_fo_put_binary, rt_fo_put_where, rt_fo_put_constant;

/* ---- onnx_norms.c, onnx_attention.c, onnx_recurrent.c, onnx_moves.c, onnx_single.c,
 * onnx_trees.c, onnx_dynamic.c, onnx_integers.c ---- */

rt_fo_put_fn rt_fo_put_batch_norm, rt_fo_put_affine, rt_fo_put_layer_norm, rt_fo_put_rms_norm, rt_fo_put_group_norm,
    rt_fo_put_lrn;
rt_fo_put_fn rt_fo_put_matmul, rt_fo_put_attention, rt_fo_put_recurrent, rt_fo_put_call,
    rt_fo_put_trees, rt_fo_put_dense_int8, rt_fo_put_conv_int8, rt_fo_put_pair_int8, rt_fo_put_quantize;
rt_fo_put_fn rt_fo_put_resize, rt_fo_put_permute, rt_fo_put_slice, rt_fo_put_pad, rt_fo_put_gather, rt_fo_put_expand,
    rt_fo_put_tile, rt_fo_put_reduce;

/* ---- onnx_layers.c ---- */

/* The name of what a node computes before its activation, and then the node's value. */
const char *rt_fo_before(rt_fo_graph *, const rt_node *);
void rt_fo_finish(rt_fo_graph *, const rt_node *, rt_fo_order, const char *x);
/* Attributes of a window over so many sides. */
void rt_fo_set_window(rt_onnx_node *, const rt_window *, int sides);
/* Means and the like over axes, which are an attribute before opset 18 and an input from then on. */
void rt_fo_reduced(rt_fo_graph *, const rt_node *, const char *op, const char *in, const char *out, int count,
                   const int64_t *axes, int keep);

/* The output of an operator that goes element by element stands as its first input does; sets it. */
void rt_fo_set_like(rt_fo_graph *, const rt_node *, rt_fo_order, const char *name);

/* act(x), as value `out`. */
void rt_fo_act(rt_fo_graph *, const rt_node *, const rt_epilogue *, const char *x, const char *out);
#endif
