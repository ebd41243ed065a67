/* student/onnx/onnx_lower_moves.c - what moves elements: most of it changes how a value is seen, and costs nothing. */
#include <string.h>

#include "student/onnx/onnx_lower.h"

static rt_status same(rt_lowering *l, const rt_eval_node *n)
{
    rt_lower_alias(l, n, 0, rt_lower_in(l, n, 0));
    return RT_OK;
}

/* Numbers stay numbers, whatever their precision, and ids ids: what a teacher of halves loses by rounding is not lost
 * here. */
static rt_status cast(rt_lowering *l, const rt_eval_node *n)
{
    const rt_array *from = l->row->value[n->in[0]], *to = rt_lower_shape(l, n, 0);
    int exact = rt_array_is_float(to) || from->type == to->type || from->type == RT_BOOL ||
                (rt_array_is_integer(from) && rt_array_is_integer(to));
    if (!exact || (rt_array_is_integer(from) && rt_array_is_float(to) && rt_lower_in(l, n, 0)->ids))
        return rt_lower_no(l, "a cast that rounds");
    return same(l, n);
}

/* Reshape, Flatten, Squeeze, Unsqueeze: the order of elements, in ONNX's eyes, stays. */
static rt_status reshape(rt_lowering *l, const rt_eval_node *n)
{
    rt_lowered_value *x = rt_lower_in(l, n, 0);
    if (!x) return rt_lower_no(l, "a shape that depends on data");
    rt_lower_alias(l, n, 0, x);
    rt_lowered_value *y = &l->v[n->out[0]];
    /* while only axes of one come and go, axes keep their names */
    int map[RT_ARRAY_RANK], k = 0, whole = x->base_rank == x->rank && !memcmp(x->base, x->dim, sizeof x->dim);
    for (int i = 0; i < x->rank; i++) {
        map[i] = -1;
        if (x->dim[i] == 1) continue;
        while (k < y->rank && y->dim[k] == 1) k++;
        whole = whole && k < y->rank && y->dim[k] == x->dim[i];
        map[i] = k++;
    }
    while (whole && k < y->rank) whole = y->dim[k++] == 1;
    if (!whole) return RT_OK;
    int taken[RT_ARRAY_RANK] = {0}, n_order = 0;
    for (int i = 0; i < x->rank; i++)
        if (map[x->order[i]] >= 0) taken[y->order[n_order++] = map[x->order[i]]] = 1;
    for (int i = 0; i < y->rank; i++) if (!taken[i]) y->order[n_order++] = i;
    y->base_rank = y->rank;
    memcpy(y->base, y->dim, sizeof y->base);
    return RT_OK;
}

static rt_status transpose(rt_lowering *l, const rt_eval_node *n)
{
    rt_lowered_value x = *rt_lower_in(l, n, 0);
    const int64_t *perm;
    int given = rt_lower_ints(n, "perm", &perm), to[RT_ARRAY_RANK];
    if (x.base_rank != x.rank || memcmp(x.base, x.dim, sizeof x.dim)) {     /* reshaped before: its own order first */
        rt_shape shape;
        if (!rt_lower_memory(l, &x, NULL, &shape)) return RT_OK;
        RT_TRY(rt_lower_as(l, &x, NULL, &shape, &x.layer));
        if (l->bad) return RT_OK;
        x.shape = shape;
        x.base_rank = x.rank;
        memcpy(x.base, x.dim, sizeof x.base);
        for (int i = 0; i < x.rank; i++) x.order[i] = i;
    }
    for (int i = 0; i < x.rank; i++) to[given < 0 ? x.rank - 1 - i : (int)perm[i]] = i;    /* where an axis goes */
    rt_lower_alias(l, n, 0, &x);
    rt_lowered_value *y = &l->v[n->out[0]];
    memcpy(y->base, y->dim, sizeof y->base);
    for (int i = 0; i < x.rank; i++) y->order[i] = to[x.order[i]];
    return RT_OK;
}

static rt_status concat(rt_lowering *l, const rt_eval_node *n)
{
    int64_t axis = rt_lower_int(n, "axis", 1);
    const rt_array *y = rt_lower_shape(l, n, 0);
    const char *from[RT_MAX_INPUTS];
    int order[RT_ARRAY_RANK], k = 0;
    rt_shape shape = {0};
    if (axis < 0) axis += y->rank;
    if (n->inputs > RT_MAX_INPUTS) return rt_lower_no(l, "more inputs than a layer has");
    for (int i = 0; i < y->rank; i++) if (i != axis) order[k++] = i;
    order[k] = (int)axis;
    int last = 0;
    for (int i = 0; i < n->inputs; i++) {
        rt_lowered_value *x = rt_lower_in(l, n, i);
        if (!x) return rt_lower_no(l, "a constant among its inputs");
        if (!rt_lower_memory(l, x, order, &shape)) return RT_OK;
        if (x->dim[axis] == 1) {
            if (shape.rank == RT_MAX_RANK) return rt_lower_no(l, "a tensor of more dimensions than layers have");
            if (x->dim[axis] == 1 && !(shape.rank == 1 && shape.dim[0] == 1)) shape.dim[shape.rank++] = 1;
        }
        RT_TRY(rt_lower_as(l, x, order, &shape, &from[i]));
        if (l->bad) return RT_OK;
        last += shape.dim[shape.rank - 1];
    }
    shape.dim[shape.rank - 1] = last;
    rt_lower_give(l, n, 0, rt_lower_layer(l, "concat", n->name, from, n->inputs), &shape, order);
    return RT_OK;
}

const rt_lower_entry rt_lower_moves[] = {
    {"Identity", same}, {"Cast", cast}, {"Reshape", reshape}, {"Flatten", reshape}, {"Squeeze", reshape}, {"Unsqueeze", reshape},
    {"Transpose", transpose}, {"Concat", concat}, {NULL, NULL}};
