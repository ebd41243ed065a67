/* export/onnx_layers.c - operators as ONNX nodes, in the form that the opset has. */
#include <string.h>

#include "export/onnx_float_parts.h"

const char *rt_fo_before(rt_fo_graph *e, const rt_node *n)
{ return rt_node_act(n) ? rt_fo_own(e, n, "sum") : rt_fo_unique(e, n->name); }

void rt_fo_finish(rt_fo_graph *e, const rt_node *n, rt_fo_order order, const char *x)
{
    const char *out = x;
    if (rt_node_act(n)) {
        out = rt_fo_unique(e, n->name);
        rt_fo_act(e, n, RT_ATTR(n, rt_epilogue), x, out);
    }
    if (rt_is_plain_pair(e->g, n)) rt_fo_set_like(e, n, order, out);
    else rt_fo_set(e, n->out, order, out);
}

void rt_fo_set_like(rt_fo_graph *e, const rt_node *n, rt_fo_order order, const char *name)
{
    if (order == RT_FO_FIRST && e->g->tensor[n->out].shape.rank == 1)
        e->value[n->out].block = e->value[n->in[0]].block;
    rt_fo_set(e, n->out, order, name);
}

/* ---- activations ---- */

/* 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))), in the order in which runtimes know it again. */
static void put_gelu(rt_fo_graph *e, const rt_node *n, const char *x, const char *out)
{
    const char *v[7];
    static const char *const what[] = {"cube", "scaled_cube", "inner", "scaled_inner", "tanh", "one_more", "half"};
    if (e->spec->opset >= 20) {
        rt_onnx_string(rt_fo_node_of(e, "Gelu", out, x, NULL, NULL), "approximate", "tanh");
        return;
    }
    for (int i = 0; i < 7; i++) v[i] = rt_fo_own(e, n, what[i]);
    rt_fo_node_of(e, "Pow", v[0], x, rt_fo_number(e, n, "three", 3.0f), NULL);
    rt_fo_node_of(e, "Mul", v[1], v[0], rt_fo_number(e, n, "cubes", 0.044715f), NULL);
    rt_fo_node_of(e, "Add", v[2], x, v[1], NULL);
    rt_fo_node_of(e, "Mul", v[3], v[2], rt_fo_number(e, n, "root", 0.7978845608028654f), NULL);
    rt_fo_node_of(e, "Tanh", v[4], v[3], NULL, NULL);
    rt_fo_node_of(e, "Add", v[5], v[4], rt_fo_number(e, n, "one", 1.0f), NULL);
    rt_fo_node_of(e, "Mul", v[6], x, rt_fo_number(e, n, "a_half", 0.5f), NULL);
    rt_fo_node_of(e, "Mul", out, v[6], v[5], NULL);
}

/* 0.5 x (1 + erf(x / sqrt(2))), likewise. */
static void put_gelu_erf(rt_fo_graph *e, const rt_node *n, const char *x, const char *out)
{
    const char *v[4];
    static const char *const what[] = {"divided", "erf", "one_more", "product"};
    if (e->spec->opset >= 20) {
        rt_onnx_string(rt_fo_node_of(e, "Gelu", out, x, NULL, NULL), "approximate", "none");
        return;
    }
    for (int i = 0; i < 4; i++) v[i] = rt_fo_own(e, n, what[i]);
    rt_fo_node_of(e, "Div", v[0], x, rt_fo_number(e, n, "root", 1.4142135623730951f), NULL);
    rt_fo_node_of(e, "Erf", v[1], v[0], NULL, NULL);
    rt_fo_node_of(e, "Add", v[2], v[1], rt_fo_number(e, n, "one", 1.0f), NULL);
    rt_fo_node_of(e, "Mul", v[3], x, v[2], NULL);
    rt_fo_node_of(e, "Mul", out, v[3], rt_fo_number(e, n, "a_half", 0.5f), NULL);
}

static void put_hard_swish(rt_fo_graph *e, const rt_node *n, const char *x, const char *out)
{
    if (e->spec->opset >= 14) {
        rt_fo_node_of(e, "HardSwish", out, x, NULL, NULL);
        return;
    }
    const char *gate = rt_fo_own(e, n, "gate");
    rt_onnx_node *h = rt_fo_node_of(e, "HardSigmoid", gate, x, NULL, NULL);
    rt_onnx_float(h, "alpha", 1.0f / 6.0f);
    rt_onnx_float(h, "beta", 0.5f);
    rt_fo_node_of(e, "Mul", out, x, gate, NULL);
}

void rt_fo_act(rt_fo_graph *e, const rt_node *n, const rt_epilogue *end, const char *x, const char *out)
{
    const char *gate, *low, *high;
    switch (end->act) {
    case RT_ACT_NONE: rt_fo_node_of(e, "Identity", out, x, NULL, NULL); return;
    case RT_ACT_RELU: rt_fo_node_of(e, "Relu", out, x, NULL, NULL); return;
    case RT_ACT_RELU6:
        low = rt_fo_number(e, n, "low", 0);
        high = rt_fo_number(e, n, "high", 6);
        rt_fo_node_of(e, "Clip", out, x, low, high);
        return;
    case RT_ACT_LEAKY:
        rt_onnx_float(rt_fo_node_of(e, "LeakyRelu", out, x, NULL, NULL), "alpha", end->slope);
        return;
    case RT_ACT_GELU: put_gelu(e, n, x, out); return;
    case RT_ACT_SILU:
        gate = rt_fo_own(e, n, "gate");
        rt_fo_node_of(e, "Sigmoid", gate, x, NULL, NULL);
        rt_fo_node_of(e, "Mul", out, x, gate, NULL);
        return;
    case RT_ACT_HARDSWISH: put_hard_swish(e, n, x, out); return;
    case RT_ACT_SIGMOID: rt_fo_node_of(e, "Sigmoid", out, x, NULL, NULL); return;
    case RT_ACT_TANH: rt_fo_node_of(e, "Tanh", out, x, NULL, NULL); return;
    case RT_ACT_GELU_ERF: put_gelu_erf(e, n, x, out); return;
    case RT_ACT_COUNT: break;
    }
    e->status = rt_fail(RT_USAGE, "layer '%s': its activation has no export to ONNX", n->name);
}

static void put_activation(rt_fo_graph *e, const rt_node *n)
{
    rt_fo_order order = rt_fo_common(e, n);
    const char *out = rt_fo_unique(e, n->name);
    rt_fo_act(e, n, RT_ATTR(n, rt_epilogue), rt_fo_take(e, n->in[0], order), out);
    rt_fo_set_like(e, n, order, out);
}

/* ---- sums of products ---- */

/* Whether what follows would be taken for the layer's bias, which is added before the products: it stays apart when
 * the layer has a bias of zeros. */
static int needs_zeros(const rt_fo_graph *e, const rt_node *n)
{
    for (int i = 0; i < e->g->nodes; i++) {
        const rt_node *q = &e->g->node[i];
        if (q->op == RT_OP_ADD && q->inputs == 1 && q->in[0] == n->out && RT_ATTR(q, rt_binary_attr)->operand.rank == 1)
            return 1;
    }
    return 0;
}

static void put_dense(rt_fo_graph *e, const rt_node *n)
{
    const int x = n->in[0];
    const char *out = rt_fo_before(e, n), *bias = n->fields > 1 ? rt_fo_field(e, n->field[1], RT_FO_AS_IS, NULL) : NULL;
    if (!bias && needs_zeros(e, n)) bias = rt_fo_fill(e, n, "zeros", RT_ATTR(n, rt_dense_attr)->out, 0);
    if (rt_fo_rank(e, x) == 1) {
        int first = !rt_fo_has(e, x, RT_FO_LAST);       /* an image's row: weights follow it */
        const char *w = rt_fo_field(e, n->field[0], first ? RT_FO_ROWS : RT_FO_AS_IS,
                                      first ? &e->value[x].block : NULL);
        rt_fo_node_of(e, "Gemm", out, rt_fo_take(e, x, first ? RT_FO_FIRST : RT_FO_LAST), w, bias);
    } else {
        const char *w = rt_fo_field(e, n->field[0], RT_FO_AS_IS, NULL), *product = bias ? rt_fo_own(e, n, "product")
                                                                                            : out;
        rt_fo_node_of(e, "MatMul", product, rt_fo_take(e, x, RT_FO_LAST), w, NULL);
        if (bias) rt_fo_node_of(e, "Add", out, product, bias, NULL);
    }
    rt_fo_finish(e, n, RT_FO_LAST, out);
}

void rt_fo_set_window(rt_onnx_node *p, const rt_window *w, int sides)
{
    const int *pad = w->pad.side, from = 2 - sides;
    const int64_t kernel[] = {w->kernel[0], w->kernel[1]}, strides[] = {w->stride[0], w->stride[1]},
                  pads[] = {pad[0], pad[2], pad[1], pad[3]}, line[] = {pad[2], pad[3]},
                  apart[] = {w->dilation[0], w->dilation[1]};
    rt_onnx_ints(p, "kernel_shape", sides, kernel + from);
    rt_onnx_ints(p, "strides", sides, strides + from);
    rt_onnx_ints(p, "pads", 2 * sides, sides == 2 ? pads : line);
    if (w->dilation[0] > 1 || w->dilation[1] > 1) rt_onnx_ints(p, "dilations", sides, apart + from);
}

static void set_volume_window(rt_onnx_node *p, const rt_window *w, const rt_depth *d)
{
    const int *pad = w->pad.side;
    const int64_t kernel[] = {d->kernel, w->kernel[0], w->kernel[1]},
                  strides[] = {d->stride, w->stride[0], w->stride[1]},
                  pads[] = {d->pad[0], pad[0], pad[2], d->pad[1], pad[1], pad[3]},
                  apart[] = {d->dilation, w->dilation[0], w->dilation[1]};
    rt_onnx_ints(p, "kernel_shape", 3, kernel);
    rt_onnx_ints(p, "strides", 3, strides);
    rt_onnx_ints(p, "pads", 6, pads);
    if (apart[0] > 1 || apart[1] > 1 || apart[2] > 1) rt_onnx_ints(p, "dilations", 3, apart);
}

static void put_conv(rt_fo_graph *e, const rt_node *n)
{
    const rt_conv_attr *a = RT_ATTR(n, rt_conv_attr);
    const char *out = rt_fo_before(e, n), *x = rt_fo_take(e, n->in[0], RT_FO_FIRST),
               *w = rt_fo_field(e, n->field[0], RT_FO_CONV, NULL),
               *bias = n->fields > 1 ? rt_fo_field(e, n->field[1], RT_FO_AS_IS, NULL) : NULL;
    rt_onnx_node *p = rt_fo_node_of(e, "Conv", out, x, w, bias);
    if (n->op == RT_OP_CONV3D) set_volume_window(p, &a->window, &RT_ATTR(n, rt_conv3d_attr)->depth);
    else rt_fo_set_window(p, &a->window, n->op == RT_OP_CONV1D ? 1 : 2);
    rt_onnx_int(p, "group", a->groups);
    rt_fo_finish(e, n, RT_FO_FIRST, out);
}

static void put_conv_transpose(rt_fo_graph *e, const rt_node *n)
{
    const rt_conv_transpose_attr *a = RT_ATTR(n, rt_conv_transpose_attr);
    const int sides = n->op == RT_OP_CONV_TRANSPOSE1D ? 1 : a->depth.kernel ? 3 : 2;
    const int64_t more[] = {a->depth_output_padding, a->output_padding[0], a->output_padding[1]};
    const char *out = rt_fo_unique(e, n->name), *x = rt_fo_take(e, n->in[0], RT_FO_FIRST),
               *w = rt_fo_field(e, n->field[0], RT_FO_CONV, NULL),
               *bias = n->fields > 1 ? rt_fo_field(e, n->field[1], RT_FO_AS_IS, NULL) : NULL;
    rt_onnx_node *p = rt_fo_node_of(e, "ConvTranspose", out, x, w, bias);
    if (sides == 3) set_volume_window(p, &a->window, &a->depth);
    else rt_fo_set_window(p, &a->window, sides);
    rt_onnx_int(p, "group", a->groups);
    if (more[0] || more[1] || more[2]) rt_onnx_ints(p, "output_padding", sides, more + 3 - sides);
    rt_fo_set(e, n->out, RT_FO_FIRST, out);
}

/* ---- softmax, pools ---- */

void rt_fo_reduced(rt_fo_graph *e, const rt_node *n, const char *op, const char *in, const char *out, int count,
                        const int64_t *axes, int keep)
{
    int by_input = e->spec->opset >= (strcmp(op, "ReduceSum") ? 18 : 13);
    rt_onnx_node *p = rt_fo_node_of(e, op, out, in, by_input ? rt_fo_whole(e, n, "axes", count, axes) : NULL, NULL);
    if (!by_input) rt_onnx_ints(p, "axes", count, axes);
    rt_onnx_int(p, "keepdims", keep);
}

static int told_axis(const rt_fo_graph *e, const rt_node *n, rt_fo_order order)
{
    const int axis = RT_ATTR(n, rt_axis_attr)->axis, rank = rt_fo_rank(e, n->in[0]);
    return rt_fo_axis(axis < 0 ? axis + rank : axis, rank, order);
}

static void put_softmax(rt_fo_graph *e, const rt_node *n)
{
    rt_fo_order order = rt_fo_common(e, n);
    const char *out = rt_fo_unique(e, n->name), *x = rt_fo_take(e, n->in[0], order);
    rt_onnx_int(rt_fo_node_of(e, n->op == RT_OP_SOFTMAX ? "Softmax" : "LogSoftmax", out, x, NULL, NULL), "axis",
                told_axis(e, n, order));
    rt_fo_set_like(e, n, order, out);
}

/* ONNX's max pools pad with the least number, and its average pools count no padding unless told. Dilation of average
 * pools came with opset 19; so did runtimes that agree on what a window counts that reaches beyond the padding. */
static void put_pool(rt_fo_graph *e, const rt_node *n)
{
    const rt_pool_attr *a = RT_ATTR(n, rt_pool_attr);
    const char *out = rt_fo_unique(e, n->name), *x = rt_fo_take(e, n->in[0], RT_FO_FIRST);
    const int max = n->op == RT_OP_MAX_POOL || n->op == RT_OP_MAX_POOL3D, volume = a->depth.kernel > 0;
    if (!max && e->spec->opset < 19 &&
        (a->window.dilation[0] > 1 || a->window.dilation[1] > 1 || (volume && a->depth.dilation > 1))) {
        e->status = rt_fail(RT_USAGE, "layer '%s': ONNX has average pools with dilation from opset 19 on",
                            n->name);
        return;
    }
    rt_onnx_node *p = rt_fo_node_of(e, max ? "MaxPool" : "AveragePool", out, x, NULL, NULL);
    if (volume) set_volume_window(p, &a->window, &a->depth);
    else rt_fo_set_window(p, &a->window, rt_fo_rank(e, n->in[0]) - 1);
    if (a->ceil) rt_onnx_int(p, "ceil_mode", 1);
    if (!max && a->count_padding) rt_onnx_int(p, "count_include_pad", 1);
    rt_fo_set(e, n->out, RT_FO_FIRST, out);
}

/* A mean is a GlobalAveragePool even where channels come last, as who imports the graph sums it up otherwise than a
 * reduction. */
static void put_global(rt_fo_graph *e, const rt_node *n)
{
    const int rank = rt_fo_rank(e, n->in[0]), max = n->op == RT_OP_GLOBAL_MAX_POOL,
              images = rank <= 4 && (!max || rt_fo_has(e, n->in[0], RT_FO_FIRST));
    const char *out = rt_fo_unique(e, n->name);
    int64_t axes[RT_MAX_RANK];
    if (images) {
        const char *whole = rt_fo_own(e, n, max ? "max" : "mean");
        rt_fo_node_of(e, max ? "GlobalMaxPool" : "GlobalAveragePool", whole, rt_fo_take(e, n->in[0], RT_FO_FIRST), NULL,
                      NULL);
        rt_onnx_int(rt_fo_node_of(e, "Flatten", out, whole, NULL, NULL), "axis", 1);
    } else {
        for (int i = 0; i < rank - 1; i++) axes[i] = i + 1;
        const char *x = rt_fo_take(e, n->in[0], RT_FO_LAST);
        rt_fo_reduced(e, n, max ? "ReduceMax" : "ReduceMean", x, out, rank - 1, axes, 0);
    }
    rt_fo_set(e, n->out, RT_FO_LAST, out);
}

/* ---- element by element ---- */

/* Many parts may be one tensor, or a list of any length. */
static void put_concat(rt_fo_graph *e, const rt_node *n)
{
    rt_fo_order order = rt_fo_rank(e, n->in[0]) == 1 ? RT_FO_LAST : rt_fo_common(e, n);
    const char *out = rt_fo_unique(e, n->name), **in = rt_onnx_list(e->o, n->inputs);
    if (!in) return;
    for (int i = 0; i < n->inputs; i++) in[i] = rt_fo_take(e, n->in[i], order);
    rt_onnx_int(rt_onnx_add(e->o, "Concat", out, in), "axis", told_axis(e, n, order));
    rt_fo_set(e, n->out, order, out);
}

static void put_position(rt_fo_graph *e, const rt_node *n)
{
    rt_fo_order order = rt_fo_common(e, n);
    const char *out = rt_fo_unique(e, n->name), *x = rt_fo_take(e, n->in[0], order),
               *table = rt_fo_field(e, n->field[0], order == RT_FO_FIRST ? RT_FO_TO_FIRST : RT_FO_AS_IS,
                                      &e->g->tensor[n->in[0]].shape);
    rt_fo_node_of(e, "Add", out, x, table, NULL);
    rt_fo_set(e, n->out, order, out);
}

static void put_embedding(rt_fo_graph *e, const rt_node *n)
{
    const char *out = rt_fo_unique(e, n->name), *table = rt_fo_field(e, n->field[0], RT_FO_AS_IS, NULL);
    rt_onnx_int(rt_fo_node_of(e, "Gather", out, table, rt_fo_take(e, n->in[0], RT_FO_LAST), NULL), "axis", 0);
    rt_fo_set(e, n->out, RT_FO_LAST, out);
}

/* ---- what moves nothing ---- */

static void put_nothing(rt_fo_graph *e, const rt_node *n) { e->value[n->out] = e->value[n->in[0]]; }

/* Whether dense layers alone read the tensor, or what is the same. */
static int feeds_dense(const rt_fo_graph *e, int tensor)
{
    int dense = 1;
    for (int h = 0; h < e->m->heads; h++) dense &= e->head[h] != tensor;
    for (int i = e->g->tensor[tensor].producer + 1; i < e->g->nodes && dense; i++)
        for (int k = 0; k < e->g->node[i].inputs; k++)
            if (e->g->node[i].in[k] == tensor)
                dense &= e->g->node[i].op == RT_OP_DENSE ||
                         (e->g->node[i].op == RT_OP_DROPOUT && feeds_dense(e, e->g->node[i].out));
    return dense;
}

/* An image that has channels first alone keeps them first in its row, for dense layers, whose weights follow: who
 * imports the graph brings both back, and sums up in the same order as here. */
static void put_flatten(rt_fo_graph *e, const rt_node *n)
{
    const rt_shape *from = &e->g->tensor[n->in[0]].shape;
    if (from->rank == 1) {
        put_nothing(e, n);
        return;
    }
    const int last = rt_fo_has(e, n->in[0], RT_FO_LAST) || !feeds_dense(e, n->out);
    rt_fo_order order = last ? RT_FO_LAST : RT_FO_FIRST;
    const char *out = rt_fo_unique(e, n->name), *x = rt_fo_take(e, n->in[0], order);
    rt_onnx_int(rt_fo_node_of(e, "Flatten", out, x, NULL, NULL), "axis", 1);
    if (order == RT_FO_FIRST) e->value[n->out].block = *from;
    rt_fo_set(e, n->out, order, out);
}

static void put_reshape(rt_fo_graph *e, const rt_node *n)
{
    const rt_shape *from = &e->g->tensor[n->in[0]].shape, *to = &e->g->tensor[n->out].shape;
    int64_t dim[RT_MAX_RANK + 1];
    if (rt_shape_equal(from, to)) put_nothing(e, n);
    else if (to->rank == 1) put_flatten(e, n);
    else {
        int rank = rt_fo_dims(e, n->out, RT_FO_LAST, dim);
        const char *out = rt_fo_unique(e, n->name), *x = rt_fo_take(e, n->in[0], RT_FO_LAST);
        rt_fo_node_of(e, "Reshape", out, x, rt_fo_whole(e, n, "shape", rank, dim), NULL);
        rt_fo_set(e, n->out, RT_FO_LAST, out);
    }
}

/* The graph's inputs are there before its layers. */
static void put_input(rt_fo_graph *e, const rt_node *n)
{
    (void)e;
    (void)n;
}

int rt_fo_takes_first(const rt_node *n)
{
    switch (n->op) {
    case RT_OP_CONV2D: case RT_OP_CONV1D: case RT_OP_BATCH_NORM: case RT_OP_MAX_POOL: case RT_OP_AVG_POOL:
    case RT_OP_GROUP_NORM: case RT_OP_LRN: case RT_OP_CONV_TRANSPOSE2D: case RT_OP_CONV_TRANSPOSE1D:
    case RT_OP_RESIZE:
    case RT_OP_CONV_INT8:
    case RT_OP_CONV3D:
    case RT_OP_CONV_TRANSPOSE3D:
    case RT_OP_MAX_POOL3D:
    case RT_OP_AVG_POOL3D: return 1;
    default: return 0;
    }
}

rt_fo_put_fn *const rt_fo_put[RT_OP_COUNT] = {
    [RT_OP_INPUT] = put_input,
    [RT_OP_DENSE] = put_dense,
    [RT_OP_CONV2D] = put_conv,
    [RT_OP_CONV1D] = put_conv,
    [RT_OP_CONV3D] = put_conv,
    [RT_OP_MAX_POOL3D] = put_pool,
    [RT_OP_AVG_POOL3D] = put_pool,
    [RT_OP_BATCH_NORM] = rt_fo_put_batch_norm,
    [RT_OP_LAYER_NORM] = rt_fo_put_layer_norm,
    [RT_OP_ACTIVATION] = put_activation,
    [RT_OP_UNARY] = rt_fo_put_unary,
    [RT_OP_MAX_POOL] = put_pool,
    [RT_OP_AVG_POOL] = put_pool,
    [RT_OP_GLOBAL_AVG_POOL] = put_global,
    [RT_OP_GLOBAL_MAX_POOL] = put_global,
    [RT_OP_ADD] = rt_fo_put_binary,
    [RT_OP_MUL] = rt_fo_put_binary,
    [RT_OP_CONCAT] = put_concat,
    [RT_OP_FLATTEN] = put_flatten,
    [RT_OP_RESHAPE] = put_reshape,
    [RT_OP_DROPOUT] = put_nothing,
    [RT_OP_SOFTMAX] = put_softmax,
    [RT_OP_EMBEDDING] = put_embedding,
    [RT_OP_POSITION] = put_position,
    [RT_OP_LOG_SOFTMAX] = put_softmax,
    [RT_OP_TREES] = rt_fo_put_trees,
    [RT_OP_DENSE_INT8] = rt_fo_put_dense_int8,
    [RT_OP_CONV_INT8] = rt_fo_put_conv_int8,
    [RT_OP_PAIR_INT8] = rt_fo_put_pair_int8,
    [RT_OP_QUANTIZE] = rt_fo_put_quantize,
    [RT_OP_CALL] = rt_fo_put_call,
    [RT_OP_PERMUTE] = rt_fo_put_permute,
    [RT_OP_SLICE] = rt_fo_put_slice,
    [RT_OP_PAD] = rt_fo_put_pad,
    [RT_OP_GATHER] = rt_fo_put_gather,
    [RT_OP_EXPAND] = rt_fo_put_expand,
    [RT_OP_TILE] = rt_fo_put_tile,
    [RT_OP_REDUCE_SUM] = rt_fo_put_reduce,
    [RT_OP_REDUCE_MEAN] = rt_fo_put_reduce,
    [RT_OP_REDUCE_MAX] = rt_fo_put_reduce,
    [RT_OP_REDUCE_MIN] = rt_fo_put_reduce,
    [RT_OP_REDUCE_PROD] = rt_fo_put_reduce,
    [RT_OP_REDUCE_L1] = rt_fo_put_reduce,
    [RT_OP_REDUCE_L2] = rt_fo_put_reduce,
    [RT_OP_REDUCE_SUM_SQUARE] = rt_fo_put_reduce,
    [RT_OP_REDUCE_LOG_SUM] = rt_fo_put_reduce,
    [RT_OP_REDUCE_LOG_SUM_EXP] = rt_fo_put_reduce,
    [RT_OP_CONV_TRANSPOSE2D] = put_conv_transpose,
    [RT_OP_CONV_TRANSPOSE1D] = put_conv_transpose,
    [RT_OP_CONV_TRANSPOSE3D] = put_conv_transpose,
    [RT_OP_RESIZE] = rt_fo_put_resize,
    [RT_OP_LSTM] = rt_fo_put_recurrent,
    [RT_OP_GRU] = rt_fo_put_recurrent,
    [RT_OP_RNN] = rt_fo_put_recurrent,
    [RT_OP_SUBTRACT] = rt_fo_put_binary,
    [RT_OP_DIVIDE] = rt_fo_put_binary,
    [RT_OP_MINIMUM] = rt_fo_put_binary,
    [RT_OP_MAXIMUM] = rt_fo_put_binary,
    [RT_OP_POWER] = rt_fo_put_binary,
    [RT_OP_PRELU] = rt_fo_put_binary,
    [RT_OP_MODULO] = rt_fo_put_binary,
    [RT_OP_LESS] = rt_fo_put_binary,
    [RT_OP_LESS_OR_EQUAL] = rt_fo_put_binary,
    [RT_OP_GREATER] = rt_fo_put_binary,
    [RT_OP_GREATER_OR_EQUAL] = rt_fo_put_binary,
    [RT_OP_EQUAL] = rt_fo_put_binary,
    [RT_OP_AND] = rt_fo_put_binary,
    [RT_OP_OR] = rt_fo_put_binary,
    [RT_OP_XOR] = rt_fo_put_binary,
    [RT_OP_WHERE] = rt_fo_put_where,
    [RT_OP_CONSTANT] = rt_fo_put_constant,
    [RT_OP_MATMUL] = rt_fo_put_matmul,
    [RT_OP_ATTENTION] = rt_fo_put_attention,
    [RT_OP_GROUP_NORM] = rt_fo_put_group_norm,
    [RT_OP_RMS_NORM] = rt_fo_put_rms_norm,
    [RT_OP_LRN] = rt_fo_put_lrn,
    [RT_OP_AFFINE] = rt_fo_put_affine,
};
