/* export/onnx_parts.h - what the parts of the exporter of float graphs share: values in two orders, names, and the
 * table of operators.
 *
 * A tensor is (batch, H, W, C) in memory, channels last. ONNX's convolutions and pools want channels first. So a tensor
 * may stand in the graph in either order, or in both: an operator takes the one that it needs, a Transpose is put where
 * that is not there yet, and once. A row of one dimension that came of an image by flatten may stand in the order in
 * which channels come first; a dense layer then has the rows of its weights in that order, and no Transpose is
 * needed. */
#ifndef RT_EXPORT_ONNX_PARTS_H
#define RT_EXPORT_ONNX_PARTS_H

#include "export/exporter.h"
#include "export/onnx_write.h"

typedef enum { RT_ONNX_LAST, RT_ONNX_FIRST, RT_ONNX_ORDERS } rt_onnx_order;       /* channels last, first */

typedef struct {
    const char *name[RT_ONNX_ORDERS];      /* NULL: is not there in that order */
    rt_shape block;                        /* of a row of one dimension that came of more: what it was */
} rt_onnx_value;

typedef struct rt_onnx_names rt_onnx_names;
typedef struct rt_onnx_constants rt_onnx_constants;

typedef struct {
    const rt_model *m;
    const rt_onnx_float_spec *spec;
    const rt_graph *g;                     /* the model's, or what it became with batch norms folded */
    float *const *field;                   /* (fields of g) their values */
    rt_onnx *o;
    rt_onnx_value *value;                  /* (tensors of g) */
    rt_onnx_names *names;
    rt_onnx_constants *constants;
    rt_status status;                      /* the first failure */
} rt_onnx_graph;

/* What an operator of the graph becomes: nodes, and the value of n->out. */
typedef void rt_onnx_put_fn(rt_onnx_graph *, const rt_node *n);
/* NULL: the operator has no export yet, and models with it are refused. A new operator is a function and its line. */
extern rt_onnx_put_fn *const rt_onnx_put[RT_OP_COUNT];
/* Whether it takes tensors of more than one dimension with channels first. */
int rt_onnx_takes_first(const rt_node *);

/* ---- onnx_values.c ---- */

/* Starts names, values and constants; RT_RUN when memory is out. End frees them. */
rt_status rt_onnx_begin(rt_onnx_graph *);
void rt_onnx_end(rt_onnx_graph *);
/* The text, or that with a number behind it where the graph has the name already; the graph's from now on. */
const char *rt_onnx_unique(rt_onnx_graph *, const char *text);
/* A value beside a layer's own: "LAYER/what". */
const char *rt_onnx_own(rt_onnx_graph *, const rt_node *, const char *what);

/* Whether the tensor is there in that order. */
int rt_onnx_has(const rt_onnx_graph *, int tensor, rt_onnx_order);
/* Its value in that order, brought into it where it is not there yet. A row of one dimension has channels first only
 * where rt_onnx_has says so. */
const char *rt_onnx_take(rt_onnx_graph *, int tensor, rt_onnx_order);
/* The order in which all inputs of the node are taken with the least to transpose. */
rt_onnx_order rt_onnx_common(const rt_onnx_graph *, const rt_node *);
/* Tensor t is this value. Of one dimension: in both orders, unless the value's block says otherwise. */
void rt_onnx_set(rt_onnx_graph *, int tensor, rt_onnx_order, const char *name);
/* The shape of a tensor with its batch in front, which is 0; returns the rank. */
int rt_onnx_dims(const rt_onnx_graph *, int tensor, rt_onnx_order, int64_t dim[RT_MAX_RANK + 1]);

/* How a field's values stand in the file. AS_IS: of `shape`. TO_FIRST: as rows (..., C) of `shape`, and channels come
 * first. CONV: (taps..., C / groups, N) become (N, C / groups, taps...). ROWS: (K, N), rows as channels of `shape` come
 * first. CHANNEL: (C), and `shape.rank` - 1 ones behind. */
typedef enum { RT_ONNX_AS_IS, RT_ONNX_TO_FIRST, RT_ONNX_CONV, RT_ONNX_ROWS, RT_ONNX_CHANNEL } rt_onnx_form_kind;
typedef struct { rt_onnx_form_kind kind; rt_shape shape; } rt_onnx_form;
/* An initializer with the field's values, once for all who ask for the same form; its name. */
const char *rt_onnx_field(rt_onnx_graph *, int field, rt_onnx_form_kind, const rt_shape *);
/* One that no field has. */
const char *rt_onnx_number(rt_onnx_graph *, const rt_node *, const char *what, float);
const char *rt_onnx_whole(rt_onnx_graph *, const rt_node *, const char *what, int count, const int64_t *);
/* A node with one to three inputs; NULL: no more. */
rt_onnx_node *rt_onnx_node_of(rt_onnx_graph *, const char *op, const char *out, const char *a, const char *b,
                              const char *c);

/* ---- onnx_layers.c ---- */

/* act(x), as value `out`. */
void rt_onnx_act(rt_onnx_graph *, const rt_node *, const rt_epilogue *, const char *x, const char *out);
#endif
