/* engine/cuda/cuda_joins.c - which additions batch norms make in training: those at the end of residual blocks. The sum
 * is made where the norm stands, so the other side must be there by then. */
#include "engine/cuda/cuda_plan.h"

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
        if (norm->op == RT_OP_BATCH_NORM && memory_of(g, t) == t && g->tensor[t].needs_grad &&
            RT_ATTR(norm, rt_batch_norm_attr)->end.act == RT_ACT_NONE && memory_of(g, other) != t &&
            g->tensor[memory_of(g, other)].producer < from && is_between(p, t, a))
            return side;
    }
    return -1;
}

void rt_cuda_joins_find(rt_cuda_plan *p)
{
    for (int i = 0; i < p->graph->nodes; i++) p->joined[i] = -1;
    for (int i = 0; p->train && i < p->graph->nodes; i++) {
        int side = norm_side(p, i);
        if (side < 0) continue;
        int norm = p->graph->tensor[p->graph->node[i].in[side]].producer;
        p->joined[i] = norm;
        p->joined[norm] = i;
    }
}

const rt_node *rt_cuda_joined(const rt_cuda_emit *e, const rt_node *n)
{
    int i = (int)(n - e->graph->node), to = e->plan->joined[i];
    return to > i ? &e->graph->node[to] : NULL;
}
