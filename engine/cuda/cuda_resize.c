/* engine/cuda/cuda_resize.c - images at another size on a card; see engine/ops_resize.c, resize_launch.h. The tables
 * are made in scratch memory, as they are small. */
#include "engine/cuda/cuda_ops.h"
#include "engine/cuda/cuda_size.h"
#include "engine/cuda/resize_launch.h"

typedef rt_resize_shape shape;

static shape shape_of(const rt_graph *g, const rt_node *n, int rows)
{
    const rt_shape *in = &g->tensor[n->in[0]].shape;
    shape s = {.rows = rows, .how = *RT_ATTR(n, rt_resize_attr)};
    int c;
    rt_shape_hwc(in, &s.h, &s.w, &s.c);
    rt_shape_hwc(&g->tensor[n->out].shape, &s.oh, &s.ow, &c);
    s.line = in->rank == 2 || (s.h == 1 && s.oh == 1);
    return s;
}

static size_t scratch(const rt_graph *g, const rt_node *n, int batch, int train)
{
    shape s = shape_of(g, n, batch);
    (void)train;
    return ((size_t)s.oh + (size_t)s.ow) * sizeof(rt_resize_pixel) +
           ((size_t)s.h + (size_t)s.w) * sizeof(rt_resize_users);
}

static rt_resize_tables tables_of(const rt_cuda_emit *e, const shape *s)
{
    rt_resize_tables t;
    t.y = rt_cuda_scratch(e);
    t.x = t.y + s->oh;
    t.users_y = (rt_resize_users *)(void *)(t.x + s->ow);
    t.users_x = t.users_y + s->h;
    return t;
}

static rt_status forward(rt_cuda_emit *e, const rt_node *n)
{
    shape s = shape_of(e->graph, n, e->rows);
    rt_resize_tables t = tables_of(e, &s);
    RT_TRY(rt_cuda_check_count(n, e->rows, rt_cuda_size(e, n->in[0]), rt_cuda_size(e, n->out)));
    rt_k_resize_tables(e->stream, &s, &t, 0);
    rt_k_resize(e->stream, &s, &t, rt_cuda_value(e, n->out), rt_cuda_value(e, n->in[0]));
    return rt_cuda_launched(e, n);
}

static rt_status backward(rt_cuda_emit *e, const rt_node *n)
{
    shape s = shape_of(e->graph, n, e->rows);
    rt_resize_tables t = tables_of(e, &s);
    int add = 0;
    const float *dy = rt_cuda_grad(e, n);
    float *dx = rt_cuda_grad_into(e, n, 0, &add);
    if (!dx) return RT_OK;
    rt_k_resize_tables(e->stream, &s, &t, 1);
    rt_k_resize_back(e->stream, &s, &t, dx, dy, add);
    return rt_cuda_launched(e, n);
}
const rt_cuda_op rt_cuda_resize = {.scratch = scratch, .forward = forward, .backward = backward};
