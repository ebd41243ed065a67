/* engine/cuda/cuda_softmax.c - softmax and log softmax on cards, see engine/ops_softmax.c. */
#include "engine/cuda/cuda_ops.h"
#include "engine/cuda/cuda_softmax.h"

static rt_softmax_lines lines_of(const rt_cuda_emit *e, const rt_node *n)
{
    const rt_shape *s = &e->graph->tensor[n->out].shape;
    int axis = RT_ATTR(n, rt_axis_attr)->axis;
    if (axis < 0) axis += s->rank;
    rt_softmax_lines l = {.outer = (size_t)e->rows, .inner = 1, .d = s->dim[axis], .logs = n->op == RT_OP_LOG_SOFTMAX};
    for (int i = 0; i < axis; i++) l.outer *= (size_t)s->dim[i];
    for (int i = axis + 1; i < s->rank; i++) l.inner *= (size_t)s->dim[i];
    return l;
}

static rt_status forward(rt_cuda_emit *e, const rt_node *n)
{
    rt_softmax_lines l = lines_of(e, n);
    rt_k_softmax(e->stream, &l, rt_cuda_value(e, n->out), rt_cuda_value(e, n->in[0]));
    return rt_cuda_launched(e, n);
}

static rt_status backward(rt_cuda_emit *e, const rt_node *n)
{
    int add;
    rt_softmax_lines l = lines_of(e, n);
    const float *y = rt_cuda_value(e, n->out), *dy = rt_cuda_grad(e, n);
    float *dx = rt_cuda_grad_into(e, n, 0, &add);
    if (dx) rt_k_softmax_back(e->stream, &l, dx, add, y, dy);
    return rt_cuda_launched(e, n);
}

const rt_cuda_op rt_cuda_softmax = {.forward = forward, .backward = backward};
const rt_cuda_op rt_cuda_log_softmax = {.forward = forward, .backward = backward};
