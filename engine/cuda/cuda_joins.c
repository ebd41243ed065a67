/* engine/cuda/cuda_joins.c - what batch norms make in training beside their own: additions at the end of residual
 * blocks, and poolings behind that. Both are made where the norm stands, so an addition's other side must be there by
 * then; a norm on the other side, of a skip, is made along. */
#include "engine/cuda/cuda_plan.h"

enum { MOST_PIXELS = 1024 };           /* that a warp takes the mean of */

static int memory_of(const rt_graph *g, int t) { return g->tensor[t].memory; }

/* Whether only node `one` reads tensor t, and nobody wants it. */
static int is_between(const rt_cuda_plan *p, int t, int one)
{
    const rt_graph *g = p->graph;
    for (int i = 0; i < p->losses; i++) if (memory_of(g, p->loss_tensor[i]) == memory_of(g, t)) return 0;
    for (int i = 0; i < p->outputs; i++) if (memory_of(g, p->output[i]) == memory_of(g, t)) return 0;
    for (int i = 0; i < g->nodes; i++)
        for (int k = 0; k < g->node[i].inputs; k++)
            if (i != one && memory_of(g, g->node[i].in[k]) == memory_of(g, t)) return 0;
    return 1;
}

/* Which input of the addition at a is such a norm's; -1: none. */
static int norm_side(const rt_cuda_plan *p, int a)
{
    const rt_graph *g = p->graph;
    const rt_node *n = &g->node[a];
    if (n->op != RT_OP_ADD || n->inputs != 2 || !rt_is_plain_pair(g, n) || RT_ATTR(n, rt_epilogue)->act > RT_ACT_RELU6)
        return -1;
    for (int side = 0; side < 2; side++) {
        int t = n->in[side], other = n->in[!side], from = g->tensor[t].producer;
        const rt_node *norm = &g->node[from];
        if (norm->op == RT_OP_BATCH_NORM && memory_of(g, t) == t && g->tensor[memory_of(g, norm->in[0])].needs_grad &&
            RT_ATTR(norm, rt_batch_norm_attr)->end.act == RT_ACT_NONE && memory_of(g, other) != t &&
            g->tensor[memory_of(g, other)].producer < from && is_between(p, t, a))
            return side;
    }
    return -1;
}

/* The batch norm on the other side of an addition that norm makes; -1: none. */
static int other_norm(const rt_cuda_plan *p, int a, int side)
{
    const rt_graph *g = p->graph;
    int t = g->node[a].in[!side], from = g->tensor[t].producer;
    const rt_node *n = &g->node[from];
    return n->op == RT_OP_BATCH_NORM && memory_of(g, t) == t && p->joined[from] < 0 && is_between(p, t, a) &&
                   RT_ATTR(n, rt_batch_norm_attr)->end.act == RT_ACT_NONE &&
                   g->tensor[memory_of(g, n->in[0])].needs_grad
               ? from : -1;
}

/* Where windows lie side by side and cover the image, so that each value is in one. */
static int are_apart(const rt_graph *g, const rt_node *n)
{
    const rt_pool_attr *a = RT_ATTR(n, rt_pool_attr);
    const rt_window *w = &a->window;
    int h, wide, oh, ow, c;
    if (a->depth.kernel) return 0;
    rt_shape_hwc(&g->tensor[n->in[0]].shape, &h, &wide, &c);
    rt_shape_hwc(&g->tensor[n->out].shape, &oh, &ow, &c);
    return w->kernel[0] == w->stride[0] && w->kernel[1] == w->stride[1] && w->dilation[0] == 1 &&
           w->dilation[1] == 1 && w->pad.side[0] == 0 && w->pad.side[2] == 0 && h == oh * w->kernel[0] &&
           wide == ow * w->kernel[1];
}

/* The batch norm whose launches make the pooling at i; -1: none. */
static int norm_before(const rt_cuda_plan *p, int i)
{
    const rt_graph *g = p->graph;
    const rt_node *n = &g->node[i];
    if (n->op != RT_OP_MAX_POOL && n->op != RT_OP_GLOBAL_AVG_POOL) return -1;
    int t = n->in[0], from = g->tensor[t].producer, norm = from;
    if (memory_of(g, t) != t || !is_between(p, t, i)) return -1;
    if (g->node[from].op == RT_OP_ADD && p->joined[from] >= 0) norm = p->joined[from];
    if (g->node[norm].op != RT_OP_BATCH_NORM || !g->tensor[memory_of(g, g->node[norm].in[0])].needs_grad) return -1;
    if (n->op == RT_OP_MAX_POOL) return norm == from && are_apart(g, n) ? norm : -1;
    size_t c = rt_shape_count(&g->tensor[n->out].shape);
    return rt_shape_count(&g->tensor[t].shape) / c <= MOST_PIXELS ? norm : -1;
}

void rt_cuda_joins_find(rt_cuda_plan *p)
{
    for (int i = 0; i < p->graph->nodes; i++) p->joined[i] = p->pooled[i] = p->aside[i] = -1;
    for (int i = 0; p->train && i < p->graph->nodes; i++) {
        int side = norm_side(p, i);
        if (side < 0) continue;
        int norm = p->graph->tensor[p->graph->node[i].in[side]].producer;
        p->joined[i] = norm;
        p->joined[norm] = i;
        int other = other_norm(p, i, side);
        if (other < 0) continue;
        p->aside[other] = norm;
        p->aside[norm] = other;
    }
    for (int i = 0; p->train && i < p->graph->nodes; i++) {
        int norm = norm_before(p, i);
        if (norm < 0) continue;
        p->pooled[i] = norm;
        p->pooled[norm] = i;
    }
}

int rt_cuda_made_at(const rt_cuda_plan *p, int i)
{
    int norm = p->joined[i] >= 0 && p->joined[i] < i ? p->joined[i] : p->pooled[i];
    return norm >= 0 && norm < i ? norm : i;
}

int rt_cuda_made_last(const rt_cuda_plan *p, int i)
{
    int norm = rt_cuda_made_at(p, i), last = p->pooled[norm] > norm ? p->pooled[norm] : p->joined[norm];
    return last > norm ? last : norm;
}

static const rt_node *behind(const rt_cuda_emit *e, const rt_node *n, const int *table)
{
    int i = (int)(n - e->graph->node), to = table[i];
    return to > i ? &e->graph->node[to] : NULL;
}

const rt_node *rt_cuda_joined(const rt_cuda_emit *e, const rt_node *n) { return behind(e, n, e->plan->joined); }
const rt_node *rt_cuda_pooled(const rt_cuda_emit *e, const rt_node *n) { return behind(e, n, e->plan->pooled); }

const rt_node *rt_cuda_side_norm(const rt_cuda_emit *e, const rt_node *n)
{
    int i = (int)(n - e->graph->node), other = e->plan->aside[i];
    return other >= 0 && other < i ? &e->graph->node[other] : NULL;
}

int rt_cuda_is_side_norm(const rt_cuda_emit *e, const rt_node *n) { return behind(e, n, e->plan->aside) != NULL; }
