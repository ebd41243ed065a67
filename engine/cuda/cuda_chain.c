/* engine/cuda/cuda_chain.c - small dense layers one behind the other, found in the graph; see cuda_chain.h. */
#include "engine/cuda/cuda_chain.h"

#include "engine/cuda/cuda_plan.h"

enum {
    SMALL = 1 << 17,                   /* k n of a layer, at most: larger products are the library's */
    BATCH = 1024,                      /* rows of a training step, at most: beyond, products have work enough */
    OUTPUTS = 256                      /* of a loss, at most, whose row a warp has */
};

static int memory_of(const rt_graph *g, int t) { return g->tensor[t].memory; }

static void sizes_of(const rt_cuda_plan *p, const rt_node *n, int *k, int *o)
{
    const rt_shape *in = &p->graph->tensor[n->in[0]].shape;
    *k = in->dim[in->rank - 1];
    *o = RT_ATTR(n, rt_dense_attr)->out;
}

/* Whether the chain with one more layer fits into shared memory. */
static int fits(const rt_cuda_plan *p, const rt_cuda_chain *c, const rt_node *more)
{
    rt_chain all = {.layers = c->layers + 1};
    for (int i = 0; i < all.layers; i++)
        sizes_of(p, i < c->layers ? &p->graph->node[c->node[i]] : more, &all.layer[i].k, &all.layer[i].n);
    return rt_chain_shared(&all, RT_CHAIN_ROWS) <= RT_CHAIN_SHARED;
}

/* One position a row, and weights that every block reads. */
static int is_small(const rt_cuda_plan *p, const rt_node *n)
{
    int k, o;
    if (n->op != RT_OP_DENSE || RT_ATTR(n, rt_epilogue)->act > RT_ACT_RELU6) return 0;
    sizes_of(p, n, &k, &o);
    return rt_shape_count(&p->graph->tensor[n->in[0]].shape) == (size_t)k && (size_t)k * (size_t)o <= SMALL &&
           fits(p, &(rt_cuda_chain){0}, n);
}

static int readers(const rt_cuda_plan *p, int t)
{
    int n = 0;
    for (int i = 0; i < p->graph->nodes; i++) {
        const rt_node *q = &p->graph->node[i];
        for (int k = 0; k < q->inputs; k++) n += !rt_ops[q->op]->view && memory_of(p->graph, q->in[k]) == t;
    }
    return n;
}

static int is_loss(const rt_cuda_plan *p, int t)
{
    for (int i = 0; i < p->losses; i++) if (memory_of(p->graph, p->loss_tensor[i]) == t) return 1;
    return 0;
}

/* Whether a field of n is one of the chain's: parts of one gradient are not made side by side. */
static int shares(const rt_cuda_plan *p, const rt_cuda_chain *c, const rt_node *n)
{
    for (int k = 0; k < c->layers; k++) {
        const rt_node *q = &p->graph->node[c->node[k]];
        for (int i = 0; i < q->fields; i++)
            for (int j = 0; j < n->fields; j++) if (q->field[i] == n->field[j]) return 1;
    }
    return 0;
}

/* Whether node n reads what the chain gives, alone. */
static int follows(const rt_cuda_plan *p, const rt_cuda_chain *c, const rt_node *n)
{
    const rt_graph *g = p->graph;
    int t = memory_of(g, g->node[c->node[c->layers - 1]].out);
    return c->layers < RT_CHAIN_LAYERS && memory_of(g, n->in[0]) == t && readers(p, t) == 1 && !is_loss(p, t) &&
           !shares(p, c, n) && fits(p, c, n);
}

rt_status rt_cuda_chains_find(rt_cuda_plan *p, const rt_session_spec *spec)
{
    const rt_graph *g = p->graph;
    for (int i = 0; i < g->nodes; i++) p->chain_of[i] = -1;
    if (p->train && p->batch > BATCH) return RT_OK;
    for (int i = 0; i < g->nodes; i++) {
        int c = 0;
        if (!is_small(p, &g->node[i])) continue;
        while (c < p->chains && !follows(p, &p->chain[c], &g->node[i])) c++;
        if (c == p->chains) p->chain[p->chains++] = (rt_cuda_chain){0};
        p->chain[c].node[p->chain[c].layers++] = i;
        p->chain_of[i] = c;
    }
    if (!p->train || p->losses != 1) return RT_OK;
    const rt_loss_desc *loss = &spec->loss[0].batch->config;
    int t = memory_of(g, p->loss_tensor[0]), dist = loss->task == RT_TASK_CLASSES && loss->kind == RT_SOFT_DIST;
    for (int i = 0; i < p->chains; i++) {
        rt_cuda_chain *c = &p->chain[i];
        if (memory_of(g, g->node[c->node[c->layers - 1]].out) != t) continue;
        c->fused = !dist && !readers(p, t) && g->tensor[t].needs_grad && rt_shape_count(&g->tensor[t].shape) <= OUTPUTS;
        if (c->fused) p->fused = c;
    }
    return RT_OK;
}

int rt_cuda_chain_is_all(const rt_cuda_plan *p)
{
    for (int i = 0; i < p->graph->nodes; i++) {
        const rt_node *n = &p->graph->node[i];
        if (!rt_ops[n->op]->view && n->op != RT_OP_INPUT && p->chain_of[i] < 0) return 0;
    }
    return p->fused != NULL && p->chains == 1;
}

int rt_cuda_chain_trains_all(const rt_cuda_plan *p)
{
    const rt_graph *g = p->graph;
    for (int i = -1; (i = rt_graph_next_field(g, RT_PARAM, i)) >= 0;) {
        rt_node one = {.fields = 1, .field = &i};
        if (g->field[i].grad_at == RT_NOWHERE || !p->fused || !shares(p, p->fused, &one)) return 0;
    }
    return 1;
}

static rt_chain chain_of(rt_cuda_emit *e, const rt_cuda_chain *c)
{
    static const int acts[RT_ACT_COUNT] = {[RT_ACT_RELU] = 1, [RT_ACT_RELU6] = 2};
    rt_chain k = {.layers = c->layers, .rows = e->rows, .round = e->precision,
                  .x = rt_cuda_value(e, e->graph->node[c->node[0]].in[0])};
    for (int i = 0; i < c->layers; i++) {
        const rt_node *n = &e->graph->node[c->node[i]];
        k.layer[i] = (rt_chain_layer){.w = rt_cuda_field(e, n, 0), .bias = rt_cuda_field(e, n, 1),
                                      .y = rt_cuda_value(e, n->out), .act = acts[RT_ATTR(n, rt_epilogue)->act]};
        sizes_of(e->plan, n, &k.layer[i].k, &k.layer[i].n);
    }
    k.from = rt_chain_has_first(k.layers, k.layer[0].k, k.layer[0].n);
    size_t room;
    float *part = rt_cuda_partials(e, &room);
    if (k.from && (size_t)RT_CHAIN_PARTS * (size_t)k.rows * (size_t)k.layer[0].n <= room) k.part = part;
    return k;
}

/* What is asked for on the way back. */
static void add_gradients(rt_cuda_emit *e, const rt_cuda_chain *c, rt_chain *k)
{
    while (!e->graph->tensor[e->graph->node[c->node[k->stop]].out].needs_grad) k->stop++;
    for (int i = k->stop; i < c->layers; i++) {
        const rt_node *n = &e->graph->node[c->node[i]];
        k->layer[i].dz = rt_cuda_grad(e, n);
        k->layer[i].dw = rt_cuda_field_grad(e, n, 0, &k->layer[i].add_dw);
        k->layer[i].dbias = rt_cuda_field_grad(e, n, 1, &k->layer[i].add_dbias);
    }
    if (k->stop == 0) k->dx = rt_cuda_grad_into(e, &e->graph->node[c->node[0]], 0, &k->add_dx);
}

rt_status rt_cuda_chain_forward(rt_cuda_emit *e, const rt_cuda_chain *c)
{
    rt_chain k = chain_of(e, c);
    if (k.from) rt_k_chain_first(e->stream, &k);
    rt_k_chain(e->stream, &k);
    return rt_cuda_launched(e, &e->graph->node[c->node[0]]);
}

rt_status rt_cuda_chain_backward(rt_cuda_emit *e, const rt_cuda_chain *c)
{
    rt_chain k = chain_of(e, c);
    add_gradients(e, c, &k);
    rt_k_chain_back(e->stream, &k);
    rt_k_chain_weights(e->stream, &k, NULL, NULL, e->now);
    return rt_cuda_launched(e, &e->graph->node[c->node[0]]);
}

rt_status rt_cuda_chain_step(rt_cuda_emit *e, const rt_cuda_chain *c, const rt_loss_desc *loss,
                             const rt_loss_sums *sums, float *loss_rows)
{
    rt_chain k = chain_of(e, c);
    const rt_node *last = &e->graph->node[c->node[c->layers - 1]];
    rt_chain_loss with = {.loss = *loss, .rows = loss_rows};
    add_gradients(e, c, &k);
    if (k.from) rt_k_chain_first(e->stream, &k);
    rt_k_chain_step(e->stream, &k, &with, e->now);
    /* With the update they are the step's end; else nothing waits for them. */
    cudaStream_t stream = e->stream;
    if (!e->plan->update) {
        rt_cuda_side_turn(e);
        stream = rt_cuda_beside_begin(e);
    }
    rt_k_chain_weights(stream, &k, e->plan->update, sums, e->now);
    if (!e->plan->update) rt_cuda_beside_end(e);
    return rt_cuda_launched(e, last);
}
