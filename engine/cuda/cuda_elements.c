/* engine/cuda/cuda_elements.c - operators on cards that work element by element, on one input: activations, functions
 * of one number, scales and shifts, dropout. */
#include "engine/cuda/cuda_elements.h"

#include "engine/cuda/cuda_ops.h"

static size_t all(const rt_cuda_emit *e, const rt_node *n) { return rt_cuda_size(e, n->out) * (size_t)e->rows; }

/* ---- activations ---- */

static rt_status activate(rt_cuda_emit *e, const rt_node *n)
{
    const rt_epilogue *end = RT_ATTR(n, rt_epilogue);
    rt_k_act(e->stream, rt_cuda_value(e, n->out), rt_cuda_value(e, n->in[0]), all(e, n), end->act, end->slope);
    return rt_cuda_launched(e, n);
}

static rt_status activate_back(rt_cuda_emit *e, const rt_node *n)
{
    const rt_epilogue *end = RT_ATTR(n, rt_epilogue);
    int add;
    const float *dy = rt_cuda_grad(e, n);
    float *dx = rt_cuda_grad_into(e, n, 0, &add);
    if (dx) rt_k_act_grad(e->stream, dx, dy, rt_cuda_value(e, n->in[0]), all(e, n), end->act, end->slope, add);
    return rt_cuda_launched(e, n);
}

const rt_cuda_op rt_cuda_activation = {.forward = activate, .backward = activate_back};

/* ---- functions of one number ---- */

static rt_status unary(rt_cuda_emit *e, const rt_node *n)
{
    const rt_unary_attr *a = RT_ATTR(n, rt_unary_attr);
    rt_k_unary(e->stream, rt_cuda_value(e, n->out), rt_cuda_value(e, n->in[0]), all(e, n), a->fn, a->a, a->b);
    return rt_cuda_launched(e, n);
}

static rt_status unary_back(rt_cuda_emit *e, const rt_node *n)
{
    const rt_unary_attr *a = RT_ATTR(n, rt_unary_attr);
    int add;
    const float *dy = rt_cuda_grad(e, n);
    float *dx = rt_cuda_grad_into(e, n, 0, &add);
    if (dx) rt_k_unary_grad(e->stream, dx, dy, rt_cuda_value(e, n->in[0]), all(e, n), a->fn, a->a, a->b, add);
    return rt_cuda_launched(e, n);
}

const rt_cuda_op rt_cuda_unary = {.forward = unary, .backward = unary_back};

/* ---- scales and shifts ---- */

static rt_status affine(rt_cuda_emit *e, const rt_node *n)
{
    const rt_epilogue *end = RT_ATTR(n, rt_epilogue);
    const rt_shape *s = &e->graph->tensor[n->out].shape;
    int c = s->dim[s->rank - 1];
    rt_k_affine(e->stream, rt_cuda_value(e, n->out), rt_cuda_value(e, n->in[0]), rt_cuda_field(e, n, 0),
                rt_cuda_field(e, n, 1), all(e, n) / (size_t)c, c, end->act, end->slope);
    return rt_cuda_launched(e, n);
}

static rt_status affine_back(rt_cuda_emit *e, const rt_node *n)
{
    const rt_shape *s = &e->graph->tensor[n->out].shape;
    int add, c = s->dim[s->rank - 1];
    const float *dy = rt_cuda_grad(e, n);
    float *dx = rt_cuda_grad_into(e, n, 0, &add);
    if (dx)
        rt_k_affine_grad(e->stream, dx, dy, rt_cuda_value(e, n->out), rt_cuda_field(e, n, 0), all(e, n) / (size_t)c, c,
                         RT_ATTR(n, rt_epilogue)->act, add);
    return rt_cuda_launched(e, n);
}

const rt_cuda_op rt_cuda_affine = {.forward = affine, .backward = affine_back};

/* ---- dropout ---- */

static void drop(rt_cuda_emit *e, const rt_node *n, float *y, const float *x, int add)
{
    rt_k_dropout(e->stream, y, x, (size_t)e->rows, rt_cuda_size(e, n->out), e->now, n->key,
                 RT_ATTR(n, rt_dropout_attr)->rate, add);
}

static rt_status dropout(rt_cuda_emit *e, const rt_node *n)
{
    drop(e, n, rt_cuda_value(e, n->out), rt_cuda_value(e, n->in[0]), 0);
    return rt_cuda_launched(e, n);
}

static rt_status dropout_back(rt_cuda_emit *e, const rt_node *n)
{
    int add;
    const float *dy = rt_cuda_grad(e, n);
    float *dx = rt_cuda_grad_into(e, n, 0, &add);
    if (dx) drop(e, n, dx, dy, add);
    return rt_cuda_launched(e, n);
}

const rt_cuda_op rt_cuda_dropout = {.forward = dropout, .backward = dropout_back};
