/* student/onnx/onnx_lower_math.c - functions element by element, and what joins two tensors, as layers. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "student/onnx/onnx_lower.h"

/* A layer of one input that changes no shape, on the value as it lies in memory. */
static cJSON *in_place(rt_lowering *l, const rt_eval_node *n, const char *op)
{
    rt_lowered_value *x = rt_lower_in(l, n, 0);
    cJSON *j = rt_lower_layer(l, op, n->name, &x->layer, 1);
    rt_lower_alias(l, n, 0, x);
    l->v[n->out[0]].layer = rt_lower_name(j);
    return j;
}

static rt_status plain(rt_lowering *l, const rt_eval_node *n, const char *op)
{
    in_place(l, n, op);
    return RT_OK;
}

static rt_status relu(rt_lowering *l, const rt_eval_node *n) { return plain(l, n, "relu"); }
static rt_status sigmoid(rt_lowering *l, const rt_eval_node *n) { return plain(l, n, "sigmoid"); }
static rt_status hyperbolic(rt_lowering *l, const rt_eval_node *n) { return plain(l, n, "tanh"); }
static rt_status hard_swish(rt_lowering *l, const rt_eval_node *n) { return plain(l, n, "hard_swish"); }

static rt_status leaky(rt_lowering *l, const rt_eval_node *n)
{
    double slope = rt_lower_float(n, "alpha", 0.01);
    if (slope < 0 || slope > 1) return rt_lower_no(l, "its slope is not within 0 and 1");
    cJSON_AddNumberToObject(in_place(l, n, "leaky_relu"), "slope", slope);
    return RT_OK;
}

static rt_status clip(rt_lowering *l, const rt_eval_node *n)
{
    const rt_array *a = rt_lower_const(l, n, 1), *b = rt_lower_const(l, n, 2);
    if ((n->inputs > 1 && n->in[1] >= 0 && !a) || (n->inputs > 2 && n->in[2] >= 0 && !b))
        return rt_lower_no(l, "its bounds depend on data");
    double low = a ? rt_array_double(a, 0) : rt_lower_float(n, "min", -INFINITY),
           high = b ? rt_array_double(b, 0) : rt_lower_float(n, "max", INFINITY);
    if (low == 0 && high == 6) return plain(l, n, "relu6");
    if (low == 0 && high >= 3.4e38) return plain(l, n, "relu");
    return rt_lower_no(l, "bounds other than those of ReLU and ReLU6");
}

static rt_status dropout(rt_lowering *l, const rt_eval_node *n)
{
    rt_lowered_value *x = rt_lower_in(l, n, 0);
    if (n->outputs > 1 && n->out[1] >= 0) return rt_lower_no(l, "its mask is read");
    rt_lower_alias(l, n, 0, x);
    return RT_OK;
}

static rt_status softmax(rt_lowering *l, const rt_eval_node *n)
{
    rt_lowered_value *x = rt_lower_in(l, n, 0);
    int64_t axis = rt_lower_int(n, "axis", n->version < 13 ? 1 : -1), width = 1, rows = 1;
    const char *from;
    if (axis < 0) axis += x->rank;
    for (int i = 0; i < x->rank; i++) *(i < axis ? &rows : &width) *= x->dim[i];
    if (n->version >= 13 && width != x->dim[axis]) return rt_lower_no(l, "along an axis that is not the last");
    rt_shape shape = rows == 1 ? (rt_shape){1, {(int)width}} : (rt_shape){2, {(int)rows, (int)width}};
    RT_TRY(rt_lower_as(l, x, NULL, &shape, &from));
    if (l->bad) return RT_OK;
    rt_lower_give(l, n, 0, rt_lower_layer(l, "softmax", n->name, &from, 1), &shape, NULL);
    return RT_OK;
}

/* Add and Mul of two values of one shape: the second takes the order of the first. */
static rt_status join(rt_lowering *l, const rt_eval_node *n)
{
    rt_lowered_value *a = rt_lower_in(l, n, 0), *b = rt_lower_in(l, n, 1);
    const char *from[2];
    if (!a || !b) return rt_lower_no(l, "a constant on one side");
    if (a->rank != b->rank || memcmp(a->dim, b->dim, sizeof a->dim)) return rt_lower_no(l, "two shapes that differ");
    int fits = a->base_rank == a->rank && !memcmp(a->base, a->dim, sizeof a->dim);
    const int *order = fits ? a->order : NULL;
    rt_shape shape;
    if (!rt_lower_memory(l, a, order, &shape)) return RT_OK;
    if (fits) shape = a->shape;
    RT_TRY(rt_lower_as(l, a, order, &shape, &from[0]));
    if (!l->bad) RT_TRY(rt_lower_as(l, b, order, &shape, &from[1]));
    if (l->bad) return RT_OK;
    cJSON *j = rt_lower_layer(l, !strcmp(n->op, "Mul") ? "multiply" : "add", n->name, from, 2);
    rt_lower_give(l, n, 0, j, &shape, order);
    return RT_OK;
}

const rt_lower_entry rt_lower_math[] = {
    {"Relu", relu}, {"Sigmoid", sigmoid}, {"Tanh", hyperbolic}, {"HardSwish", hard_swish}, {"LeakyRelu", leaky}, {"Clip", clip},
    {"Dropout", dropout}, {"Softmax", softmax}, {"Add", join}, {"Mul", join}, {"Sum", join}, {NULL, NULL}};
