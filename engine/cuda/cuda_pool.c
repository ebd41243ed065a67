/* engine/cuda/cuda_pool.c - pooling on a card; see engine/ops_pool.c, pool_launch.h. */
#include "engine/cuda/cuda_ops.h"
#include "engine/cuda/cuda_size.h"
#include "engine/cuda/pool_launch.h"

typedef rt_pool_shape shape;

static shape shape_of(const rt_cuda_emit *e, const rt_node *n)
{
    const rt_pool_attr *a = RT_ATTR(n, rt_pool_attr);
    const rt_window *w = &a->window;
    shape s = {.rows = e->rows, .kh = w->kernel[0], .kw = w->kernel[1], .sh = w->stride[0], .sw = w->stride[1],
               .dh = w->dilation[0], .dw = w->dilation[1], .pt = w->pad.side[0], .pl = w->pad.side[2],
               .count_padding = a->count_padding};
    int c;
    rt_shape_hwc(&e->graph->tensor[n->in[0]].shape, &s.h, &s.w, &s.c);
    rt_shape_hwc(&e->graph->tensor[n->out].shape, &s.oh, &s.ow, &c);
    s.hp = s.h + w->pad.side[1];
    s.wp = s.w + w->pad.side[3];
    return s;
}

static rt_status check(const rt_cuda_emit *e, const rt_node *n)
{ return rt_cuda_check_count(n, e->rows, rt_cuda_size(e, n->in[0]), rt_cuda_size(e, n->out)); }

/* Which tap won: a byte. */
static size_t max_keeps(const rt_graph *g, const rt_node *n, int batch)
{ return (size_t)batch * rt_shape_count(&g->tensor[n->out].shape); }

static rt_status max_forward(rt_cuda_emit *e, const rt_node *n)
{
    shape s = shape_of(e, n);
    RT_TRY(check(e, n));
    rt_k_max_pool(e->stream, &s, rt_cuda_value(e, n->out), e->train ? rt_cuda_kept(e, n) : NULL,
                  rt_cuda_value(e, n->in[0]));
    return rt_cuda_launched(e, n);
}

static rt_status max_backward(rt_cuda_emit *e, const rt_node *n)
{
    shape s = shape_of(e, n);
    int add = 0;
    const float *dy = rt_cuda_grad(e, n);
    float *dx = rt_cuda_grad_into(e, n, 0, &add);
    if (dx) rt_k_max_pool_back(e->stream, &s, dx, dy, rt_cuda_kept(e, n), add);
    return rt_cuda_launched(e, n);
}
const rt_cuda_op rt_cuda_max_pool = {.keeps = max_keeps, .forward = max_forward, .backward = max_backward};

static rt_status avg_forward(rt_cuda_emit *e, const rt_node *n)
{
    shape s = shape_of(e, n);
    RT_TRY(check(e, n));
    rt_k_avg_pool(e->stream, &s, rt_cuda_value(e, n->out), rt_cuda_value(e, n->in[0]));
    return rt_cuda_launched(e, n);
}

static rt_status avg_backward(rt_cuda_emit *e, const rt_node *n)
{
    shape s = shape_of(e, n);
    int add = 0;
    const float *dy = rt_cuda_grad(e, n);
    float *dx = rt_cuda_grad_into(e, n, 0, &add);
    if (dx) rt_k_avg_pool_back(e->stream, &s, dx, dy, add);
    return rt_cuda_launched(e, n);
}
const rt_cuda_op rt_cuda_avg_pool = {.forward = avg_forward, .backward = avg_backward};

/* ---- global ---- */

typedef struct { int pixels, c; } image;
static image image_of(const rt_cuda_emit *e, const rt_node *n)
{
    int c = (int)rt_cuda_size(e, n->out);
    return (image){(int)(rt_cuda_size(e, n->in[0]) / (size_t)c), c};
}

static rt_status global_avg_forward(rt_cuda_emit *e, const rt_node *n)
{
    image i = image_of(e, n);
    RT_TRY(check(e, n));
    rt_k_global_avg(e->stream, rt_cuda_value(e, n->out), rt_cuda_value(e, n->in[0]), e->rows, i.pixels, i.c);
    return rt_cuda_launched(e, n);
}

static rt_status global_avg_backward(rt_cuda_emit *e, const rt_node *n)
{
    image i = image_of(e, n);
    int add = 0;
    const float *dy = rt_cuda_grad(e, n);
    float *dx = rt_cuda_grad_into(e, n, 0, &add);
    if (dx) rt_k_global_avg_back(e->stream, dx, dy, e->rows, i.pixels, i.c, add);
    return rt_cuda_launched(e, n);
}
const rt_cuda_op rt_cuda_global_avg_pool = {.forward = global_avg_forward, .backward = global_avg_backward};

/* Which pixel won: an int. */
static size_t global_max_keeps(const rt_graph *g, const rt_node *n, int batch)
{ return (size_t)batch * rt_shape_count(&g->tensor[n->out].shape) * sizeof(int32_t); }

static rt_status global_max_forward(rt_cuda_emit *e, const rt_node *n)
{
    image i = image_of(e, n);
    RT_TRY(check(e, n));
    rt_k_global_max(e->stream, rt_cuda_value(e, n->out), e->train ? rt_cuda_kept(e, n) : NULL,
                    rt_cuda_value(e, n->in[0]), e->rows, i.pixels, i.c);
    return rt_cuda_launched(e, n);
}

static rt_status global_max_backward(rt_cuda_emit *e, const rt_node *n)
{
    image i = image_of(e, n);
    int add = 0;
    const float *dy = rt_cuda_grad(e, n);
    float *dx = rt_cuda_grad_into(e, n, 0, &add);
    if (dx) rt_k_global_max_back(e->stream, dx, dy, rt_cuda_kept(e, n), e->rows, i.pixels, i.c, add);
    return rt_cuda_launched(e, n);
}
const rt_cuda_op rt_cuda_global_max_pool = {.keeps = global_max_keeps, .forward = global_max_forward,
                                            .backward = global_max_backward};
