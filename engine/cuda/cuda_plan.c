/* engine/cuda/cuda_plan.c - memory and the walk.
 *
 * Time, for life spans, is counted in launches of nodes: forward of node i is i, its backward 2 N - i, losses come at
 * N. In training a value is kept from its node's forward to its backward; a gradient lives from the backward of its
 * last reader to that of its node. */
#include "engine/cuda/cuda_plan.h"
#include "engine/cuda/cuda_stamps.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/memory.h"
#include "engine/place.h"

enum { PARTIALS = 1 << 20, ALIGNED = 256, PARTS = 64 << 20 /* bytes of parts, unless one field has more */ };

static size_t aligned(size_t n) { return (n + ALIGNED - 1) & ~(size_t)(ALIGNED - 1); }

static size_t bytes_of(const rt_cuda_plan *p, int t)
{ return aligned(rt_shape_count(&p->graph->tensor[t].shape) * (size_t)p->batch * sizeof(float)); }

static int memory_of(const rt_cuda_plan *p, int t) { return p->graph->tensor[t].memory; }

/* ---- which operators there are ---- */

static rt_status find_lacking(const rt_cuda_plan *p)
{
    char text[600];
    int n = 0, most = (int)sizeof text - 160, left = 0;
    for (int i = 0; i < p->graph->nodes; i++) {
        const rt_node *q = &p->graph->node[i];
        if (rt_ops[q->op]->view || q->op == RT_OP_INPUT) continue;
        const rt_cuda_op *op = rt_cuda_ops[q->op];
        const char *why = !op ? "" : op->lacks ? op->lacks(p->graph, q) : NULL;
        if (op && !why && p->train && !op->backward && p->graph->tensor[q->out].needs_grad)
            why = "has no gradient there";
        if (!why) continue;
        if (n > most) left++;
        else n += snprintf(text + n, sizeof text - (size_t)n, "%s%.60s (%s%s%s)", n ? ", " : "", q->name,
                           rt_layer_name(q), *why ? ": " : "", why);
    }
    if (!n) return RT_OK;
    if (left) snprintf(text + n, sizeof text - (size_t)n, " and %d more", left);
    return rt_fail(RT_USAGE, "cards cannot compute these layers: %s; use --device cpu", text);
}

/* ---- places ---- */

typedef struct { rt_span *s; int n; } spans;

static void add_span(spans *l, size_t bytes, int first, int last, size_t *at)
{ l->s[l->n++] = (rt_span){bytes, first, last, at}; }

/* The last node that reads tensor t or a view of it, or where that is made; -1: none does. */
static int last_reader(const rt_cuda_plan *p, int t)
{
    int last = -1;
    for (int i = 0; i < p->graph->nodes; i++)
        for (int k = 0; k < p->graph->node[i].inputs; k++) {
            int at = p->aside[i] > i ? p->aside[i] : i;
            if (memory_of(p, p->graph->node[i].in[k]) == t && at > last) last = at;
        }
    return last;
}

static int is_loss(const rt_cuda_plan *p, int t)
{
    for (int i = 0; i < p->losses; i++) if (memory_of(p, p->loss_tensor[i]) == t) return 1;
    return 0;
}

static int is_output(const rt_cuda_plan *p, int t)
{
    for (int i = 0; i < p->outputs; i++) if (memory_of(p, p->output[i]) == t) return 1;
    return 0;
}

static int reads(const rt_cuda_plan *p, const rt_cuda_chain *c, int t)
{
    for (int k = 0; k < c->layers; k++) if (memory_of(p, p->graph->node[c->node[k]].in[0]) == t) return 1;
    return 0;
}

/* ---- beside the walk ---- */

/* Whether node i launches something beside the walk, on its way back. */
static int is_beside(const rt_cuda_plan *p, int i)
{
    const rt_cuda_op *op = rt_cuda_ops[p->graph->node[i].op];
    return p->train && op && op->beside && p->chain_of[i] < 0;
}

/* Whether the fused chain does: it does not where its step ends with the update. */
static int chain_is_beside(const rt_cuda_plan *p) { return p->fused && !rt_cuda_chain_is_all(p); }

/* Until when what a turn's launches read must stay: the turn that waits for them begins after it. From the turn of node
 * `from` on (graph->nodes: of the fused chain's), with it. */
static int turn_ends(const rt_cuda_plan *p, int from)
{
    int nodes = p->graph->nodes, left = RT_CUDA_TURNS;
    for (int i = from - 1; i >= 0; i--) if (is_beside(p, i) && !--left) return 2 * nodes - i - 1;
    return 2 * nodes + 1;
}

/* Of tensor t: until when its value and its gradient are read beside the walk. -1: they are not. */
static void find_beside(const rt_cuda_plan *p, int t, int *value, int *gradient)
{
    const rt_graph *g = p->graph;
    *value = *gradient = -1;
    for (int i = 0; i < g->nodes; i++) {
        int chained = chain_is_beside(p) && p->chain_of[i] >= 0 && &p->chain[p->chain_of[i]] == p->fused;
        if (!chained && !is_beside(p, i)) continue;
        int end = turn_ends(p, chained ? g->nodes : i);
        if (memory_of(p, g->node[i].in[0]) == t && end > *value) *value = end;
        if (memory_of(p, g->node[i].out) == t && end > *gradient) *gradient = end;
        if (memory_of(p, g->node[i].out) == t && chained && end > *value) *value = end;
    }
}

/* A chain makes all its values where its first layer stands, and all its gradients where its last one does, or, with
 * the loss, at N. */
static void widen(const rt_cuda_plan *p, int t, int *value, int *gradient)
{
    int from = p->graph->tensor[t].producer, nodes = p->graph->nodes;
    for (int i = 0; i < p->chains; i++) {
        const rt_cuda_chain *c = &p->chain[i];
        int own = p->chain_of[from] == i, start = c->fused ? nodes : 2 * nodes - c->node[c->layers - 1];
        if (own && c->node[0] < *value) *value = c->node[0];
        if ((own || reads(p, c, t)) && start < *gradient) *gradient = start;
    }
}

static void list_tensor(rt_cuda_plan *p, spans *l, int t)
{
    const rt_graph *g = p->graph;
    int nodes = g->nodes, from = g->tensor[t].producer, last = last_reader(p, t), end = 2 * nodes + 1;
    if (rt_cuda_made_last(p, from) != from || p->aside[from] > from) return;    /* made on the way, it is nowhere */
    int gradient = is_loss(p, t) || last < 0 ? nodes : 2 * nodes - last, value;
    from = rt_cuda_made_at(p, from);                   /* and the end of it is made where the norm stands */
    value = from;
    widen(p, t, &value, &gradient);
    int until = p->train ? 2 * nodes - from : is_output(p, t) ? end : last < from ? from : last, read, read_gradient;
    if (g->node[from].op == RT_OP_INPUT) until = p->train ? end : until;
    find_beside(p, t, &read, &read_gradient);
    if (read > until) until = read;
    add_span(l, bytes_of(p, t), value, is_output(p, t) ? end : until, &p->value_at[t]);
    if (!p->train || !g->tensor[t].needs_grad) return;
    int gone = 2 * nodes - from;
    add_span(l, bytes_of(p, t), gradient, read_gradient > gone ? read_gradient : gone, &p->grad_at[t]);
}

static rt_status place_all(rt_cuda_plan *p)
{
    const rt_graph *g = p->graph;
    size_t most_parts = 0, all_parts = 0;
    spans l = {calloc((size_t)(2 * g->tensors + g->nodes) + 1, sizeof(rt_span)), 0};
    if (!l.s) return rt_fail(RT_RUN, "out of memory for a plan");
    for (int t = 0; t < g->tensors; t++) if (memory_of(p, t) == t) list_tensor(p, &l, t);
    for (int i = 0; i < g->nodes; i++) {
        const rt_cuda_op *op = rt_cuda_ops[g->node[i].op];
        if (!op) continue;
        size_t keep = p->train && op->keeps ? op->keeps(g, &g->node[i], p->batch) : 0;
        size_t scratch = op->scratch ? op->scratch(g, &g->node[i], p->batch, p->train) : 0;
        size_t parts = p->train && op->parts ? aligned(op->parts(g, &g->node[i], p->batch)) : 0;
        most_parts = parts > most_parts ? parts : most_parts;
        all_parts += parts;
        int at = rt_cuda_made_at(p, i);
        if (keep) add_span(&l, aligned(keep), at, 2 * g->nodes - at, &p->keep_at[i]);
        if (aligned(scratch) > p->scratch_bytes) p->scratch_bytes = aligned(scratch);
    }
    p->scratch_at = aligned(rt_place(l.s, l.n));
    p->parts_at = p->scratch_at + p->scratch_bytes;
    p->parts_bytes = all_parts < PARTS ? all_parts : most_parts < PARTS ? PARTS : most_parts;
    p->arena_bytes = p->parts_at + p->parts_bytes;
    free(l.s);
    for (int i = 0; i < g->fields; i++) {
        p->const_at[i] = p->const_floats;
        if (g->field[i].home == RT_CONST) p->const_floats += (g->field[i].count + 63) & ~(size_t)63;
    }
    return RT_OK;
}

static rt_status lower(rt_cuda_plan *p, const rt_session_spec *spec)
{
    int keep[RT_MAX_LOSSES + RT_MAX_OUTPUTS], keeps = 0;
    p->outputs = spec->outputs;
    p->losses = spec->losses;
    memcpy(p->output, spec->output, sizeof p->output);
    if (!spec->train && !spec->outputs) {
        p->output[0] = spec->graph->output;
        p->outputs = 1;
    }
    for (int i = 0; i < p->losses; i++) keep[keeps++] = spec->loss[i].tensor;
    for (int i = 0; i < p->outputs; i++) keep[keeps++] = p->output[i];
    rt_lower_spec how = {.mode = spec->train ? RT_TRAIN : RT_INFER, .keep = keep, .keeps = keeps};
    RT_TRY(rt_graph_lower(spec->graph, &how, &p->low, NULL, NULL));
    p->graph = p->low.graph;
    for (int i = 0; i < p->losses; i++) p->loss_tensor[i] = p->low.tensor_of[spec->loss[i].tensor];
    for (int i = 0; i < p->outputs; i++) p->output[i] = p->low.tensor_of[p->output[i]];
    return RT_OK;
}

static rt_status take_tables(rt_cuda_plan *p)
{
    size_t tensors = (size_t)p->graph->tensors + 1, nodes = (size_t)p->graph->nodes + 1,
           fields = (size_t)p->graph->fields + 1;
    p->value_at = calloc(tensors, sizeof *p->value_at);
    p->grad_at = calloc(tensors, sizeof *p->grad_at);
    p->keep_at = calloc(nodes, sizeof *p->keep_at);
    p->const_at = calloc(fields, sizeof *p->const_at);
    p->started = calloc(tensors, 1);
    p->field_started = calloc(fields, 1);
    p->tickets = calloc(nodes, sizeof *p->tickets);
    p->chain = calloc(nodes, sizeof *p->chain);
    p->chain_of = malloc(nodes * sizeof *p->chain_of);
    p->joined = malloc(nodes * sizeof *p->joined);
    p->pooled = malloc(nodes * sizeof *p->pooled);
    p->aside = malloc(nodes * sizeof *p->aside);
    return p->value_at && p->grad_at && p->keep_at && p->const_at && p->started && p->field_started && p->tickets &&
                   p->chain && p->chain_of && p->joined && p->pooled && p->aside
               ? RT_OK : rt_fail(RT_RUN, "out of memory for a plan");
}

rt_status rt_cuda_plan_new(rt_cuda_plan **out, const rt_session_spec *spec, const rt_cuda_card *card)
{
    *out = NULL;
    if (spec->batch < 1 || spec->batch > 1 << 20)
        return rt_fail(RT_USAGE, "batch size %d is out of range: give 1 to %d", spec->batch, 1 << 20);
    if (spec->qat || spec->graph->quant.range)
        return rt_fail(RT_USAGE, "cards have no quantized kernels: quantization-aware training needs --device cpu");
    rt_cuda_plan *p = calloc(1, sizeof *p);
    if (!p) return rt_fail(RT_RUN, "out of memory");
    p->card = card;
    p->batch = spec->batch;
    p->train = spec->train;
    p->workspace_bytes = card->capability >= 90 ? (size_t)32 << 20 : (size_t)4 << 20;
    rt_status st = lower(p, spec);
    if (!st) st = find_lacking(p);
    if (!st) st = take_tables(p);
    if (!st) st = rt_cuda_chains_find(p, spec);
    if (!st) rt_cuda_joins_find(p);
    if (!st) st = place_all(p);
    if (st) rt_cuda_plan_free(p);
    else *out = p;
    return st;
}

void rt_cuda_plan_free(rt_cuda_plan *p)
{
    if (!p) return;
    void *device[] = {p->arena, p->workspace, p->partials, p->ticket, p->home[RT_CONST], p->home[RT_DERIVED]};
    for (size_t i = 0; i < sizeof device / sizeof device[0]; i++) if (device[i]) cudaFree(device[i]);
    rt_lowered_free(&p->low);
    void *owned[] = {p->value_at, p->grad_at, p->keep_at, p->const_at, p->started, p->field_started, p->tickets,
                     p->chain, p->chain_of, p->joined, p->pooled, p->aside};
    for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++) free(owned[i]);
    free(p);
}

static size_t ticket_bytes(const rt_cuda_plan *p)
{ return (size_t)p->graph->nodes * RT_CUDA_TICKETS * sizeof *p->ticket; }

size_t rt_cuda_plan_bytes(const rt_cuda_plan *p)
{
    return p->arena_bytes + p->workspace_bytes + PARTIALS + ticket_bytes(p) +
           (p->const_floats + p->graph->floats[RT_DERIVED]) * sizeof(float);
}

static rt_status take(const rt_cuda_plan *p, void *at, size_t bytes)
{ return rt_cuda_check(p->card, cudaMalloc((void **)at, bytes ? bytes : 1), "taking device memory"); }

rt_status rt_cuda_plan_take(rt_cuda_plan *p, cudaStream_t stream)
{
    const rt_graph *g = p->graph;
    RT_TRY(take(p, &p->arena, p->arena_bytes));
    RT_TRY(take(p, &p->workspace, p->workspace_bytes));
    RT_TRY(take(p, &p->partials, PARTIALS));
    RT_TRY(take(p, &p->ticket, ticket_bytes(p)));
    RT_TRY(take(p, &p->home[RT_CONST], p->const_floats * sizeof(float)));
    RT_TRY(take(p, &p->home[RT_DERIVED], g->floats[RT_DERIVED] * sizeof(float)));
    RT_TRY(rt_cuda_check(p->card, cudaMemsetAsync(p->ticket, 0, ticket_bytes(p), stream), "clearing device memory"));
    for (int i = 0; i < g->fields; i++) {
        const rt_field *f = &g->field[i];
        if (f->home != RT_CONST || !f->count) continue;
        RT_TRY(rt_cuda_check(p->card, cudaMemcpyAsync(p->home[RT_CONST] + p->const_at[i], f->value,
                                                      f->count * sizeof(float), cudaMemcpyHostToDevice, stream),
                             "copying constants"));
    }
    return rt_cuda_check(p->card, cudaStreamSynchronize(stream), "copying constants");
}

rt_status rt_cuda_plan_derive(rt_cuda_plan *p, const float *params, const float *states, cudaStream_t stream)
{
    const rt_graph *g = p->graph;
    size_t floats = g->floats[RT_DERIVED];
    if (!p->low.recipes) return RT_OK;
    float *derived = rt_floats_new(floats), **field = calloc((size_t)g->fields + 1, sizeof *field);
    rt_status st = derived && field ? RT_OK : rt_fail(RT_RUN, "out of memory for derived fields");
    for (int i = 0; i < g->fields && !st; i++) {
        const rt_field *f = &g->field[i];
        const float *const home[RT_HOMES] = {[RT_PARAM] = params, [RT_STATE] = states, [RT_DERIVED] = derived};
        field[i] = (float *)(uintptr_t)(home[f->home] ? home[f->home] + f->offset : f->value);
    }
    for (int i = 0; i < p->low.recipes && !st; i++) rt_recipe_run(g, &p->low.recipe[i], field);
    if (!st) st = rt_cuda_check(p->card, cudaMemcpyAsync(p->home[RT_DERIVED], derived, floats * sizeof *derived,
                                                         cudaMemcpyHostToDevice, stream), "copying derived fields");
    if (!st) st = rt_cuda_check(p->card, cudaStreamSynchronize(stream), "copying derived fields");
    free(derived);
    free(field);
    return st;
}

/* ---- for operators ---- */

static int number_of(const rt_cuda_emit *e, const rt_node *n) { return (int)(n - e->graph->node); }

float *rt_cuda_value(const rt_cuda_emit *e, int t)
{
    if (e->given && memory_of(e->plan, t) == memory_of(e->plan, e->graph->input[0])) return e->given;
    return (float *)(void *)(e->plan->arena + e->plan->value_at[memory_of(e->plan, t)]);
}

static float *grad_of(const rt_cuda_emit *e, int t)
{ return (float *)(void *)(e->plan->arena + e->plan->grad_at[memory_of(e->plan, t)]); }

float *rt_cuda_grad(const rt_cuda_emit *e, const rt_node *n) { return grad_of(e, n->out); }

float *rt_cuda_loss_grad(rt_cuda_emit *e, int t, int *add)
{
    char *started = &e->plan->started[memory_of(e->plan, t)];
    *add = *started;
    *started = 1;
    return grad_of(e, t);
}

float *rt_cuda_grad_into(rt_cuda_emit *e, const rt_node *n, int i, int *add)
{
    *add = 0;
    if (!e->graph->tensor[memory_of(e->plan, n->in[i])].needs_grad) return NULL;
    return rt_cuda_loss_grad(e, n->in[i], add);
}

float *rt_cuda_field(const rt_cuda_emit *e, const rt_node *n, int i)
{
    if (i >= n->fields) return NULL;
    const rt_field *f = &e->graph->field[n->field[i]];
    size_t at = f->home == RT_CONST ? e->plan->const_at[n->field[i]] : f->offset;
    return e->plan->home[f->home] + at;
}

static void add_parts(rt_cuda_emit *e)
{
    rt_cuda_plan *p = e->plan;
    rt_cuda_side_join(e);
    if (p->laters) rt_k_add_parts(e->stream, p->later, p->laters);
    p->laters = 0;
    p->later_bytes = p->parts_used = 0;
}

float *rt_cuda_parts(rt_cuda_emit *e, size_t floats)
{
    rt_cuda_plan *p = e->plan;
    size_t bytes = aligned(floats * sizeof(float));
    if (p->parts_used + bytes > p->parts_bytes || p->laters == RT_PARTS_JOBS) add_parts(e);
    RT_ASSERT(p->parts_used + bytes <= p->parts_bytes);
    char *at = p->arena + p->parts_at + p->parts_used;
    p->parts_used += bytes;
    return (float *)(void *)at;
}

void rt_cuda_add_later(rt_cuda_emit *e, const rt_parts *parts, cudaStream_t stream)
{
    enum { ENOUGH = 3 << 20 };         /* bytes for a launch */
    rt_cuda_plan *p = e->plan;
    p->later[p->laters++] = *parts;
    p->later_bytes += (size_t)parts->parts * (parts->count[0] + parts->count[1]) * sizeof(float);
    if (stream == e->stream || p->later_bytes < ENOUGH) return;
    rt_k_add_parts(stream, p->later, p->laters);
    p->laters = 0;
    p->later_bytes = 0;
}

float *rt_cuda_field_grad(rt_cuda_emit *e, const rt_node *n, int i, int *add)
{
    *add = 0;
    if (i >= n->fields || e->graph->field[n->field[i]].grad_at == RT_NOWHERE) return NULL;
    char *started = &e->plan->field_started[n->field[i]];
    *add = *started;
    if (*add) add_parts(e);
    *started = 1;
    return e->plan->grads + e->graph->field[n->field[i]].grad_at;
}

void *rt_cuda_kept(const rt_cuda_emit *e, const rt_node *n)
{
    return e->plan->arena + e->plan->keep_at[number_of(e, n)];
}
void *rt_cuda_scratch(const rt_cuda_emit *e) { return e->plan->arena + e->plan->scratch_at; }

unsigned *rt_cuda_ticket(rt_cuda_emit *e, const rt_node *n)
{
    int i = number_of(e, n), k = e->plan->tickets[i]++;
    RT_ASSERT(k < RT_CUDA_TICKETS);
    return e->plan->ticket + (size_t)i * RT_CUDA_TICKETS + k;
}

float *rt_cuda_partials(const rt_cuda_emit *e, size_t *floats)
{
    if (floats) *floats = PARTIALS / sizeof(float);
    return e->plan->partials;
}

void *rt_cuda_workspace(const rt_cuda_emit *e, size_t *bytes)
{
    *bytes = e->plan->workspace_bytes;
    return e->plan->workspace;
}

rt_cuda_blas *rt_cuda_blas_of(const rt_cuda_emit *e) { return e->plan->card->blas; }

rt_status rt_cuda_launched(const rt_cuda_emit *e, const rt_node *n)
{
    cudaError_t error = cudaGetLastError();
    if (error == cudaSuccess) return RT_OK;
    return rt_fail(RT_RUN, "cuda:%d: layer '%s': a launch failed: %s (%s)", e->plan->card->index, n->name,
                   cudaGetErrorString(error), cudaGetErrorName(error));
}

/* ---- the walk ---- */

void rt_cuda_plan_begin(rt_cuda_emit *e)
{
    rt_cuda_plan *p = e->plan;
    memset(p->started, 0, (size_t)p->graph->tensors);
    memset(p->field_started, 0, (size_t)p->graph->fields);
    memset(p->tickets, 0, (size_t)p->graph->nodes * sizeof *p->tickets);
    p->laters = 0;
    p->later_bytes = p->parts_used = 0;
    rt_cuda_side_begin(e);
}

static const rt_cuda_chain *chain_at(const rt_cuda_emit *e, int node)
{
    int c = e->plan->chain_of[node];
    return c < 0 ? NULL : &e->plan->chain[c];
}

/* Whether a norm before node i makes it. */
static int is_joined(const rt_cuda_plan *p, int i) { return rt_cuda_made_at(p, i) != i; }

rt_status rt_cuda_plan_forward(rt_cuda_emit *e)
{
    for (int i = 0; i < e->graph->nodes; i++) {
        const rt_node *n = &e->graph->node[i];
        if (rt_ops[n->op]->view || n->op == RT_OP_INPUT || is_joined(e->plan, i)) continue;
        const rt_cuda_chain *c = chain_at(e, i);
        rt_cuda_stamps_layer(n->name, 0);
        if (!c) RT_TRY(rt_cuda_ops[n->op]->forward(e, n));
        else if (i == c->node[0] && !c->fused) RT_TRY(rt_cuda_chain_forward(e, c));
    }
    return RT_OK;
}

rt_status rt_cuda_plan_backward(rt_cuda_emit *e)
{
    for (int i = e->graph->nodes - 1; i >= 0; i--) {
        const rt_node *n = &e->graph->node[i];
        int out = e->graph->node[rt_cuda_made_last(e->plan, i)].out;
        if (is_beside(e->plan, i)) rt_cuda_side_turn(e);
        if (rt_ops[n->op]->view || n->op == RT_OP_INPUT || is_joined(e->plan, i) ||
            !e->graph->tensor[out].needs_grad || !e->plan->started[memory_of(e->plan, out)])
            continue;
        const rt_cuda_chain *c = chain_at(e, i);
        rt_cuda_stamps_layer(n->name, 1);
        if (!c) RT_TRY(rt_cuda_ops[n->op]->backward(e, n));
        else if (i == c->node[c->layers - 1] && !c->fused) RT_TRY(rt_cuda_chain_backward(e, c));
    }
    rt_cuda_stamps_layer("all", 1);
    add_parts(e);
    return rt_cuda_side_status(e);
}

void rt_cuda_plan_describe(const rt_cuda_plan *p, void (*line)(void *, const char *), void *arg)
{
    char text[300];
    snprintf(text, sizeof text,
             "activations%s %.1f MiB, scratch %.1f MiB, parts of gradients %.1f MiB, workspace of products %.1f MiB",
             p->train ? " and gradients" : "", (double)p->scratch_at / 0x1p20, (double)p->scratch_bytes / 0x1p20,
             (double)p->parts_bytes / 0x1p20, (double)p->workspace_bytes / 0x1p20);
    line(arg, text);
    for (int i = 0; i < p->graph->nodes; i++) {
        const rt_node *n = &p->graph->node[i];
        char shape[64];
        snprintf(text, sizeof text, "  %-18s %-24.100s %s", rt_layer_name(n), n->name,
                 rt_shape_text(&p->graph->tensor[n->out].shape, shape));
        line(arg, text);
    }
}
