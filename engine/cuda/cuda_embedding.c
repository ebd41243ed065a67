/* engine/cuda/cuda_embedding.c - rows of a table by number, and tables of positions, on cards. See
 * engine/ops_embedding.c and engine/ops_position.c. */
#include "engine/cuda/cuda_embedding.h"
#include "engine/cuda/cuda_ops.h"

/* ---- embedding ---- */

static size_t places(const rt_graph *g, const rt_node *n, int rows)
{ return rt_shape_count(&g->tensor[n->in[0]].shape) * (size_t)rows; }

static size_t scratch_embedding(const rt_graph *g, const rt_node *n, int batch, int train)
{ return train ? rt_embedding_room(places(g, n, batch), RT_ATTR(n, rt_embedding_attr)->out) : 0; }

static rt_status forward_embedding(rt_cuda_emit *e, const rt_node *n)
{
    const rt_embedding_attr *a = RT_ATTR(n, rt_embedding_attr);
    const int32_t *ids = (int32_t *)(void *)rt_cuda_value(e, n->in[0]);
    rt_k_embedding(e->stream, rt_cuda_value(e, n->out), rt_cuda_field(e, n, 0), ids, places(e->graph, n, e->rows),
                   a->out, a->rows);
    return rt_cuda_launched(e, n);
}

static rt_status backward_embedding(rt_cuda_emit *e, const rt_node *n)
{
    const rt_embedding_attr *a = RT_ATTR(n, rt_embedding_attr);
    size_t count = places(e->graph, n, e->rows);
    const int32_t *ids = (int32_t *)(void *)rt_cuda_value(e, n->in[0]);
    int add;
    float *dw = rt_cuda_field_grad(e, n, 0, &add);
    if (!dw) return RT_OK;
    if (count > UINT32_MAX)
        return rt_fail(RT_USAGE, "%s: %zu ids in a batch are too many for a card: take a smaller batch", n->name,
                       count);
    if (!add) cudaMemsetAsync(dw, 0, (size_t)a->rows * (size_t)a->out * sizeof *dw, e->stream);
    rt_k_embedding_back(e->stream, dw, rt_cuda_grad(e, n), ids, count, a->out, a->rows, rt_cuda_scratch(e));
    return rt_cuda_launched(e, n);
}

const rt_cuda_op rt_cuda_embedding = {.scratch = scratch_embedding, .forward = forward_embedding,
                                      .backward = backward_embedding};

/* ---- position: y = x + w ---- */

static rt_status forward_position(rt_cuda_emit *e, const rt_node *n)
{
    rt_k_position(e->stream, rt_cuda_value(e, n->out), rt_cuda_value(e, n->in[0]), rt_cuda_field(e, n, 0),
                  (size_t)e->rows, rt_cuda_size(e, n->out));
    return rt_cuda_launched(e, n);
}

static rt_status backward_position(rt_cuda_emit *e, const rt_node *n)
{
    int add;
    size_t size = rt_cuda_size(e, n->out);
    const float *dy = rt_cuda_grad(e, n);
    float *dw = rt_cuda_field_grad(e, n, 0, &add);
    if (dw) RT_TRY(rt_cuda_column_sums(e, n, dw, dy, (size_t)e->rows, (int)size, add));
    float *dx = rt_cuda_grad_into(e, n, 0, &add);
    if (dx) rt_k_pass_on(e->stream, dx, dy, size * (size_t)e->rows, add);
    return rt_cuda_launched(e, n);
}

const rt_cuda_op rt_cuda_position = {.forward = forward_position, .backward = backward_position};
