/* engine/cuda/cuda_norms.c - batch norm, layer norm, root mean square norm, group norm, local response norm on cards.
 * See engine/ops_norm.c and engine/ops_group_norm.c for what they are. */
#include "engine/cuda/cuda_columns.h"
#include "engine/cuda/cuda_size.h"

#include <limits.h>

/* The last dimension, and what counts it in a row. */
static size_t pixels(const rt_graph *g, const rt_node *n, int *ch)
{
    const rt_shape *s = &g->tensor[n->in[0]].shape;
    *ch = s->dim[s->rank - 1];
    return rt_shape_count(s) / (size_t)*ch;
}

/* ---- batch norm, training: two launches each way ---- */

enum { GAMMA, BETA, RUNNING_MEAN, RUNNING_VARIANCE };    /* fields */

/* Coefficients; behind them parts of moments, for a norm that another one makes along. */
static size_t coefficients_of(int ch) { return ((size_t)ch * RT_BN_COEFFICIENTS + 3) / 4 * 4; }

static size_t keeps_bn(const rt_graph *g, const rt_node *n, int batch)
{
    int ch;
    size_t px = pixels(g, n, &ch);
    rt_channels c;
    rt_channels_of(&c, px * (size_t)batch, ch, 1);
    return coefficients_of(ch) * sizeof(float) + rt_channels_bytes(&c);
}

static size_t scratch_bn(const rt_graph *g, const rt_node *n, int batch, int train)
{
    int ch;
    size_t px = pixels(g, n, &ch);
    rt_channels c;
    rt_channels_of(&c, px * (size_t)batch, ch, 1);
    return train ? rt_channels_bytes(&c) : 0;
}

static rt_batch_norm norm_of(const rt_cuda_emit *e, const rt_node *n)
{
    const rt_batch_norm_attr *a = RT_ATTR(n, rt_batch_norm_attr);
    int ch;
    pixels(e->graph, n, &ch);
    rt_batch_norm bn = {.coefficient = rt_cuda_kept(e, n), .gamma = rt_cuda_field(e, n, GAMMA),
                        .beta = rt_cuda_field(e, n, BETA), .running_mean = rt_cuda_field(e, n, RUNNING_MEAN),
                        .running_variance = rt_cuda_field(e, n, RUNNING_VARIANCE), .momentum = a->momentum,
                        .eps = a->eps, .act = a->end.act};
    bn.parts = bn.coefficient + coefficients_of(ch);
    if (e->trouble) {
        bn.bad = &e->trouble->bad;
        bn.number = &e->now->number;
    }
    return bn;
}

/* The input of a joined addition that the norm does not give. */
static int other_side(const rt_node *n, const rt_node *adds) { return adds->in[0] == n->out; }

/* The pooling behind the norm. */
static rt_batch_pool pool_of(const rt_cuda_emit *e, const rt_node *n)
{
    int oh, ch, h;
    if (n->op == RT_OP_GLOBAL_AVG_POOL)
        return (rt_batch_pool){.kind = RT_BN_AVERAGE, .pixels = (int)(pixels(e->graph, n, &ch))};
    const rt_window *w = &RT_ATTR(n, rt_pool_attr)->window;
    rt_batch_pool pool = {.kind = RT_BN_GREATEST, .kh = w->kernel[0], .kw = w->kernel[1], .won = rt_cuda_kept(e, n)};
    rt_shape_hwc(&e->graph->tensor[n->in[0]].shape, &h, &pool.w, &ch);
    rt_shape_hwc(&e->graph->tensor[n->out].shape, &oh, &pool.ow, &ch);
    return pool;
}

static rt_status too_many(const rt_node *n, size_t rows)
{
    return rt_fail(RT_USAGE, "%s: %zu positions in a batch are too many for a card: take a smaller batch", n->name,
                   rows);
}

/* What is joined to the norm; `side`: room for the norm of the other side, where it is one. */
static void join(const rt_cuda_emit *e, const rt_node *n, rt_batch_norm *bn, rt_batch_norm *side)
{
    const rt_node *adds = rt_cuda_joined(e, n), *pools = rt_cuda_pooled(e, n), *norm = rt_cuda_side_norm(e, n);
    if (adds) {
        bn->other = rt_cuda_value(e, norm ? norm->in[0] : adds->in[other_side(n, adds)]);
        bn->act = RT_ATTR(adds, rt_epilogue)->act;
    }
    if (norm) {
        *side = norm_of(e, norm);
        bn->side = side;
    }
    if (pools) bn->pool = pool_of(e, pools);
}

static rt_status forward_bn(rt_cuda_emit *e, const rt_node *n)
{
    int ch;
    size_t rows = pixels(e->graph, n, &ch) * (size_t)e->rows;
    const float *x = rt_cuda_value(e, n->in[0]);
    const rt_node *adds = rt_cuda_joined(e, n), *pools = rt_cuda_pooled(e, n);
    rt_batch_norm bn = norm_of(e, n), side;
    rt_channels g;
    join(e, n, &bn, &side);
    if (pools)
        RT_TRY(rt_cuda_check_count(pools, e->rows, rt_cuda_size(e, pools->in[0]), rt_cuda_size(e, pools->out)));
    RT_ASSERT(e->train && bn.act <= RT_ACT_RELU6);
    if (rows > INT_MAX / 2) return too_many(n, rows);
    if (rt_cuda_is_side_norm(e, n)) {
        rt_channels_of(&g, rows, ch, rt_cuda_aligned(x, NULL, NULL));
        g.partial = bn.parts;
        rt_k_batch_moments(e->stream, &g, x);
        return rt_cuda_launched(e, n);
    }
    float *y = rt_cuda_value(e, pools ? pools->out : adds ? adds->out : n->out);
    rt_channels_of(&g, rows, ch, rt_cuda_aligned(x, y, bn.other));
    rt_channels_pool(&g, &bn.pool);
    g.partial = rt_cuda_scratch(e);
    rt_k_batch_moments(e->stream, &g, x);
    rt_k_batch_apply(e->stream, &g, &bn, y, x);
    return rt_cuda_launched(e, n);
}

static void ask_gradients(rt_cuda_emit *e, const rt_node *n, rt_batch_norm *bn)
{
    bn->dgamma = rt_cuda_field_grad(e, n, GAMMA, &bn->add_gamma);
    bn->dbeta = rt_cuda_field_grad(e, n, BETA, &bn->add_beta);
}

static rt_status backward_bn(rt_cuda_emit *e, const rt_node *n)
{
    int ch, add;
    size_t rows = pixels(e->graph, n, &ch) * (size_t)e->rows;
    const rt_node *adds = rt_cuda_joined(e, n), *pools = rt_cuda_pooled(e, n), *norm = rt_cuda_side_norm(e, n);
    const float *x = rt_cuda_value(e, n->in[0]), *dy = rt_cuda_grad(e, pools ? pools : adds ? adds : n);
    rt_batch_norm bn = norm_of(e, n), side;
    rt_channels g;
    join(e, n, &bn, &side);
    float *dx = rt_cuda_grad_into(e, n, 0, &add);     /* is written first, where both are one */
    if (norm) bn.dother = rt_cuda_grad_into(e, norm, 0, &bn.add_other);
    else if (adds) bn.dother = rt_cuda_grad_into(e, adds, other_side(n, adds), &bn.add_other);
    ask_gradients(e, n, &bn);
    if (norm) ask_gradients(e, norm, &side);
    rt_channels_of(&g, rows, ch,
                   rt_cuda_aligned(x, dy, bn.coefficient) && rt_cuda_aligned(dx, bn.other, bn.dother));
    g.partial = rt_cuda_scratch(e);
    rt_k_batch_sums(e->stream, &g, &bn, x, dy);
    rt_k_batch_back(e->stream, &g, &bn, dx, add, x, dy);
    return rt_cuda_launched(e, n);
}

const rt_cuda_op rt_cuda_batch_norm = {.keeps = keeps_bn, .scratch = scratch_bn, .forward = forward_bn,
                                       .backward = backward_bn};

/* ---- norms within a row ---- */

/* As groups of a row: a layer norm's row is a position. */
static void shape_of(const rt_graph *g, const rt_node *n, int rows, rt_row_norm *norm)
{
    const rt_shape *s = &g->tensor[n->in[0]].shape;
    size_t size = rt_shape_count(s);
    if (n->op == RT_OP_GROUP_NORM) {
        norm->ch = s->dim[s->rank - 1];
        norm->px = (int)(size / (size_t)norm->ch);
        norm->groups = RT_ATTR(n, rt_group_norm_attr)->groups;
        norm->eps = RT_ATTR(n, rt_group_norm_attr)->eps;
        norm->rows = (size_t)rows;
        return;
    }
    norm->ch = norm->px = norm->groups = 1;
    for (int i = s->rank - RT_ATTR(n, rt_layer_norm_attr)->dims; i < s->rank; i++) norm->ch *= s->dim[i];
    norm->eps = RT_ATTR(n, rt_layer_norm_attr)->eps;
    norm->rms = n->op == RT_OP_RMS_NORM;
    norm->rows = size / (size_t)norm->ch * (size_t)rows;
}

static size_t keeps_rows(const rt_graph *g, const rt_node *n, int batch)
{
    rt_row_norm norm = {0};
    shape_of(g, n, batch, &norm);
    return norm.rows * (size_t)norm.groups * 3 * sizeof(float);
}

static rt_row_norm row_norm_of(const rt_cuda_emit *e, const rt_node *n)
{
    rt_row_norm norm = {.keep = e->train ? rt_cuda_kept(e, n) : NULL, .gamma = rt_cuda_field(e, n, 0)};
    shape_of(e->graph, n, e->rows, &norm);
    if (!norm.rms) norm.beta = rt_cuda_field(e, n, 1);
    return norm;
}

static rt_status forward_rows(rt_cuda_emit *e, const rt_node *n)
{
    rt_row_norm norm = row_norm_of(e, n);
    rt_k_row_norm(e->stream, &norm, rt_cuda_value(e, n->out), rt_cuda_value(e, n->in[0]));
    return rt_cuda_launched(e, n);
}

static rt_status backward_rows(rt_cuda_emit *e, const rt_node *n)
{
    rt_row_norm norm = row_norm_of(e, n);
    const float *x = rt_cuda_value(e, n->in[0]), *dy = rt_cuda_grad(e, n);
    int add = 0, add_gamma = 0, add_beta = 0, per = norm.ch / norm.groups;
    size_t rows = norm.rows * (size_t)norm.px;
    float *dgamma = rt_cuda_field_grad(e, n, 0, &add_gamma),
          *dbeta = norm.rms ? NULL : rt_cuda_field_grad(e, n, 1, &add_beta);
    if (norm.px > 1 && rows > UINT32_MAX) return too_many(n, rows);
    if (dgamma || dbeta) {
        rt_columns g;
        rt_cuda_columns(e, n, &g, rows, norm.ch, rt_cuda_aligned(x, dy, NULL) && (norm.groups == 1 || per % 4 == 0));
        rt_k_row_norm_sums(e->stream, &g, &norm, x, dy, dgamma, add_gamma, dbeta, add_beta);
    }
    float *dx = rt_cuda_grad_into(e, n, 0, &add);
    if (dx) rt_k_row_norm_back(e->stream, &norm, dx, add, x, dy);
    return rt_cuda_launched(e, n);
}

const rt_cuda_op rt_cuda_layer_norm = {.keeps = keeps_rows, .forward = forward_rows, .backward = backward_rows};
const rt_cuda_op rt_cuda_rms_norm = {.keeps = keeps_rows, .forward = forward_rows, .backward = backward_rows};
const rt_cuda_op rt_cuda_group_norm = {.keeps = keeps_rows, .forward = forward_rows, .backward = backward_rows};

/* ---- local response norm ---- */

static size_t scratch_lrn(const rt_graph *g, const rt_node *n, int batch, int train)
{ return train ? 2 * sizeof(float) * (size_t)batch * rt_shape_count(&g->tensor[n->in[0]].shape) : 0; }

static rt_local_norm local_of(const rt_cuda_emit *e, const rt_node *n)
{
    const rt_lrn_attr *a = RT_ATTR(n, rt_lrn_attr);
    rt_local_norm norm = {.size = a->size, .alpha = a->alpha, .beta = a->beta, .bias = a->bias};
    norm.positions = pixels(e->graph, n, &norm.ch) * (size_t)e->rows;
    return norm;
}

static rt_status forward_lrn(rt_cuda_emit *e, const rt_node *n)
{
    rt_local_norm norm = local_of(e, n);
    rt_k_local_norm(e->stream, &norm, rt_cuda_value(e, n->out), rt_cuda_value(e, n->in[0]));
    return rt_cuda_launched(e, n);
}

static rt_status backward_lrn(rt_cuda_emit *e, const rt_node *n)
{
    int add;
    rt_local_norm norm = local_of(e, n);
    const float *x = rt_cuda_value(e, n->in[0]), *dy = rt_cuda_grad(e, n);
    float *dx = rt_cuda_grad_into(e, n, 0, &add);
    if (dx) rt_k_local_norm_back(e->stream, &norm, dx, add, x, dy, rt_cuda_scratch(e));
    return rt_cuda_launched(e, n);
}

const rt_cuda_op rt_cuda_lrn = {.scratch = scratch_lrn, .forward = forward_lrn, .backward = backward_lrn};
