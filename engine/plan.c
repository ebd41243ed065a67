#include "engine/plan.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/memory.h"
#include "engine/plan_build.h"

enum {
    MANY = 64,                     /* rows of a batch from which training need not tell positions apart */
    REDUCE = 4096,                 /* floats of a gradient that a tile merges */
    LATE = 1 << 28, MERGE = LATE + 1, SUM = LATE + 2, LAST = LATE + 3,      /* phase numbers while building, */
    PACK = -1, DERIVE = -2,                                                 /* and of what comes in front */
    AHEAD = 2                      /* phases before the first that has a number */
};

/* ---- building ---- */

typedef struct { rt_call call; int phase, px; } built;

/* Calls are gathered with their phase number and sorted into phases at the end. */
typedef struct {
    built *item; int count, room;
    int phase, tiles, px;          /* the phase that is open, of which kind: tiles -1 is none */
    int want;                      /* positions of a row that the calls to come can be cut by; 1: rows */
    int by_position;
} builder;

static _Thread_local builder *current;   /* of the rt_plan_new in progress on this thread */

static void *more(rt_plan *p, void *array, int count, int *room, size_t size)
{
    if (count < *room) return array;
    int next = *room ? 2 * *room : 64;
    void *q = realloc(array, (size_t)next * size);
    if (!q) {
        p->failed = 1;
        return array;
    }
    *room = next;
    return q;
}

static int value_room(int values)
{ return values < 64 ? (values ? 64 : 0) : 1 << (32 - __builtin_clz((unsigned)values - 1)); }

int rt_plan_temp(rt_plan *p, size_t row_bytes)
{
    int room = value_room(p->values);
    p->value = more(p, p->value, p->values, &room, sizeof *p->value);
    if (p->failed) return 0;
    p->value[p->values] = (rt_value){.row_bytes = (row_bytes + 15) & ~(size_t)15};
    if (row_bytes % 4 == 0) p->value[p->values].row_bytes = row_bytes;
    return p->values++;
}

static rt_call *append(rt_plan *p, const char *what, const rt_node *n, int phase, int tiles,
                       void (*fn)(const rt_call *, rt_ctx *, int, int))
{
    builder *b = current;
    b->item = more(p, b->item, b->count, &b->room, sizeof *b->item);
    if (p->failed) b->count = 0;
    built *it = &b->item[b->count++];
    *it = (built){.phase = phase, .px = b->px, .call = {.fn = fn, .what = what, .node = n, .tiles = tiles, .grain = 1}};
    if (n && rt_ops[n->op]->macs) it->call.work = rt_ops[n->op]->macs(p->graph, n);
    for (int i = 0; n && i < n->fields; i++) it->call.weights += (double)p->graph->field[n->field[i]].count;
    for (int i = 0; i < RT_CALL_VALUES; i++) it->call.value[i] = -1;
    return &it->call;
}

static void open_phase(int tiles)
{
    int px = tiles ? 1 : current->want;
    if (current->tiles == tiles && current->px == px) return;
    if (current->tiles >= 0) current->phase++;
    current->tiles = tiles;
    current->px = px;
}

int rt_plan_positions(const rt_plan *p)
{
    (void)p;
    return current->px;
}

/* Positions that the node computes alone, if that is of use in this plan; else 1. */
static int positions_of(const rt_plan *p, const rt_node *n)
{
    const rt_shape *s = rt_shape_of(p, n->out);
    size_t px = rt_shape_count(s) / (size_t)s->dim[s->rank - 1];
    if (!current->by_position || !rt_node_positions(p->graph, n) || px > INT_MAX / (size_t)p->spec.batch) return 1;
    return (int)px;
}

rt_call *rt_plan_rows(rt_plan *p, const char *what, const rt_node *n, void (*fn)(const rt_call *, rt_ctx *, int, int))
{
    open_phase(0);
    return append(p, what, n, current->phase, 0, fn);
}

rt_call *rt_plan_tiles(rt_plan *p, const char *what, const rt_node *n, int tiles,
                       void (*fn)(const rt_call *, rt_ctx *, int, int))
{
    open_phase(1);
    return append(p, what, n, current->phase, tiles, fn);
}

rt_call *rt_plan_pack(rt_plan *p, const char *what, const rt_node *n, int tiles,
                      void (*fn)(const rt_call *, rt_ctx *, int, int))
{
    return append(p, what, n, PACK, tiles, fn);
}

rt_call *rt_plan_late_tiles(rt_plan *p, const char *what, const rt_node *n, int tiles,
                            void (*fn)(const rt_call *, rt_ctx *, int, int))
{
    return append(p, what, n, LATE, tiles, fn);
}

rt_call *rt_plan_merge_tiles(rt_plan *p, const char *what, const rt_node *n, int tiles,
                             void (*fn)(const rt_call *, rt_ctx *, int, int))
{
    return append(p, what, n, MERGE, tiles, fn);
}

rt_call *rt_plan_last_tiles(rt_plan *p, const char *what, const rt_node *n, int tiles,
                            void (*fn)(const rt_call *, rt_ctx *, int, int))
{
    return append(p, what, n, LAST, tiles, fn);
}

void rt_plan_barrier(rt_plan *p)
{
    (void)p;
    current->phase++;
    current->tiles = -1;
}

/* The node's forward pass, or the next part of it. */
static void emit_forward(rt_plan *p, const rt_node *n)
{
    int t = rt_memory_of(p, n->out), before = p->value_of[t];
    rt_ops[n->op]->forward(p, n);
    if (p->value_of[t] != before) rt_quant_made(p, t);
}

int rt_plan_read(rt_plan *p, int t)
{
    t = rt_memory_of(p, t);
    open_phase(0);
    const rt_node *n = &p->node[p->graph->tensor[t].producer];
    int v = p->value_of[t];
    if (rt_frozen_has(p, n) && (v < 0 || p->value[v].made != current->phase)) {
        int made = rt_frozen_read(p, t);
        if (made >= 0) return made;
    }
    if (v < 0 || (rt_ops[n->op]->recompute && p->spec.train && !p->keep[t] && p->value[v].made != current->phase)) {
        int want = current->want;
        if (positions_of(p, n) != want) current->want = 1;
        emit_forward(p, n);
        current->want = want;
        open_phase(0);
        v = p->value_of[t];
    }
    return v;
}

int rt_plan_write(rt_plan *p, int t)
{
    t = rt_memory_of(p, t);
    open_phase(0);
    p->value_of[t] = rt_plan_temp(p, rt_shape_count(rt_shape_of(p, t)) * sizeof(float));
    p->value[p->value_of[t]].made = current->phase;
    return p->value_of[t];
}

int rt_plan_grad_read(rt_plan *p, int t)
{
    open_phase(0);
    return p->grad_of[rt_memory_of(p, t)];
}

static void copy_value(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    memcpy(rt_at(x, c->value[1], row0), rt_at(x, c->value[0], row0),
           (size_t)rows * x->plan->value[c->value[0]].row_bytes / (size_t)x->px);
}

int rt_plan_grad_share(rt_plan *p, int from, int to)
{
    from = rt_memory_of(p, from);
    to = rt_memory_of(p, to);
    if (p->grad_of[to] >= 0) return 0;
    p->grad_of[to] = p->grad_of[from];
    return 1;
}

int rt_plan_grad_own(rt_plan *p, int t)
{
    t = rt_memory_of(p, t);
    open_phase(0);
    int v = p->grad_of[t], shared = 0;
    for (int u = 0; u < p->graph->tensors; u++) {
        const rt_tensor *q = &p->graph->tensor[u];
        int later = u != t && q->producer < p->turn;
        shared |= rt_memory_of(p, u) == u && p->grad_of[u] == v && (later || q->wanted);
    }
    for (int i = 0; i < current->count; i++)
        for (int k = 0; k < RT_CALL_VALUES; k++)
            shared |= current->item[i].phase == LATE && current->item[i].call.value[k] == v;
    if (!shared) return v;
    int own = rt_plan_temp(p, p->value[v].row_bytes);
    rt_call *c = rt_plan_rows(p, "copy", NULL, copy_value);
    c->value[0] = v;
    c->value[1] = own;
    return p->grad_of[t] = own;
}

int rt_plan_grad_write(rt_plan *p, int t, int *accumulate)
{
    t = rt_memory_of(p, t);
    open_phase(0);
    *accumulate = p->grad_of[t] >= 0;
    if (*accumulate) rt_plan_grad_own(p, t);
    else p->grad_of[t] = rt_plan_temp(p, rt_shape_count(rt_shape_of(p, t)) * sizeof(float));
    return p->grad_of[t];
}

int rt_plan_needs_grad(const rt_plan *p, int t) { return p->graph->tensor[t].needs_grad; }

ptrdiff_t rt_plan_buffer(rt_plan *p, size_t floats)
{
    size_t at = p->buffer_floats;
    p->buffer_floats += (floats + 15) & ~(size_t)15;
    return (ptrdiff_t)at;
}

void rt_plan_need_scratch(rt_plan *p, size_t floats)
{
    if (floats > p->scratch_floats) p->scratch_floats = floats;
}

static int add_room(rt_plan *p, rt_room r)
{
    int room = value_room(p->rooms);
    p->room = more(p, p->room, p->rooms, &room, sizeof *p->room);
    if (p->failed) return 0;
    p->room[p->rooms] = r;
    return p->rooms++;
}

int rt_plan_slot_room(rt_plan *p, size_t floats)
{
    open_phase(0);
    return add_room(p, (rt_room){.floats = floats, .phase = current->phase + AHEAD});
}

int rt_plan_late_room(rt_plan *p, size_t floats, int rows)
{
    return add_room(p, (rt_room){.floats = floats, .px = 1, .rows = rows, .slots = (p->spec.batch + rows - 1) / rows});
}

void rt_plan_slot_grad(rt_plan *p, const rt_node *n, int i)
{
    int *room = &p->slot_room[p->use[n - p->node] + i];
    RT_ASSERT(*room < 0);
    *room = rt_plan_slot_room(p, p->graph->field[n->field[i]].count);
}

/* ---- losses ---- */

static void loss_rows(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    const rt_loss_spec *l = c->arg;
    rt_plan *p = (rt_plan *)x->plan;
    rt_loss_io io = {.value = rt_at(x, c->value[0], row0),
                     .row0 = row0,
                     .rows = rows,
                     .total = x->run->total ? x->run->total : x->run->rows,
                     .n = c->flag,
                     .loss = p->loss_rows + (l - p->spec.loss) * p->spec.batch + row0};
    io.planes = c->value[3] >= 0 ? rt_at(x, c->value[3], row0) : NULL;
    io.scratch = x->scratch;
    if (c->value[2] < 0) {
        io.grad = rt_at(x, c->value[1], row0);
        l->fn(l->arg, &io);
        return;
    }
    io.grad = rt_at(x, c->value[2], row0);          /* another loss on this tensor came first */
    l->fn(l->arg, &io);
    p->k->accumulate(rt_at(x, c->value[1], row0), io.grad, (size_t)rows * (size_t)io.n);
}

static void loss_whole(const rt_call *c, rt_ctx *x, int tile, int unused)
{
    (void)tile;
    (void)unused;
    loss_rows(c, x, 0, x->run->rows);
}

static void emit_loss(rt_plan *p, const rt_loss_spec *l)
{
    size_t n = rt_shape_count(rt_shape_of(p, l->tensor));
    int accumulate, answer = rt_frozen_answer(p, l->tensor), v = answer >= 0 ? answer : rt_plan_read(p, l->tensor),
                    g = rt_plan_grad_write(p, l->tensor, &accumulate);
    int extra = accumulate ? rt_plan_temp(p, n * sizeof(float)) : -1;
    int planes = l->planes ? rt_plan_temp(p, n * sizeof(float) * (size_t)l->planes) : -1;
    rt_plan_need_scratch(p, l->scratch);
    rt_call *c = l->whole ? rt_plan_tiles(p, "loss", NULL, 1, loss_whole) : rt_plan_rows(p, "loss", NULL, loss_rows);
    int values[4] = {v, g, extra, planes};
    for (int i = 0; i < 4; i++) c->value[i] = values[i];
    c->arg = l;
    c->flag = (int)n;
}

static void reduce_grads(const rt_call *c, rt_ctx *x, int tile, int unused)
{
    (void)unused;
    const rt_field *f = &x->plan->graph->field[c->node->field[c->flag]];
    size_t first = (size_t)tile * REDUCE, n = f->count - first < REDUCE ? f->count - first : REDUCE;
    rt_merge_slots(x, rt_grad(x, c->node, c->flag) + first,
                   x->plan->slot_room[x->plan->use[c->node - x->plan->node] + c->flag], first, n);
}

/* The gradient of a field is the sum of what its users found. */
static void sum_parts(const rt_call *c, rt_ctx *x, int tile, int unused)
{
    (void)unused;
    const rt_field *f = &x->plan->graph->field[c->flag];
    size_t first = (size_t)tile * REDUCE, n = f->count - first < REDUCE ? f->count - first : REDUCE;
    x->plan->k->reduce_slots(x->plan->grad[c->flag] + first, x->plan->buffer + c->at[0] + first, (size_t)c->at[1],
                             (int)c->at[2], n);
}

static int reduce_tiles(const rt_field *f) { return (int)((f->count + REDUCE - 1) / REDUCE); }

/* How many uses of field f have a gradient in this plan; their parts get room from `at` on, unless that is -1. */
static int place_parts(rt_plan *p, int f, ptrdiff_t at, size_t stride)
{
    int parts = 0;
    for (int i = 0; i < p->graph->nodes; i++)
        for (int k = 0; k < p->node[i].fields; k++) {
            if (p->node[i].field[k] != f || !p->has_back[i]) continue;
            if (at >= 0) p->part_at[p->use[i] + k] = at + (ptrdiff_t)stride * parts;
            parts++;
        }
    return parts;
}

/* Gradients that slots hold are merged; then those of fields that several nodes use, which each have their own part
 * until here, are summed in the order of the nodes. */
static void emit_reduce(rt_plan *p)
{
    const rt_graph *g = p->graph;
    for (int i = 0; i < g->nodes; i++)
        for (int k = 0; k < p->node[i].fields; k++)
            if (p->slot_room[p->use[i] + k] >= 0)
                rt_plan_late_tiles(p, "reduce", &p->node[i], reduce_tiles(&g->field[p->node[i].field[k]]),
                                   reduce_grads)->flag = k;
    for (int f = 0; f < g->fields; f++) {
        const rt_field *q = &g->field[f];
        size_t stride = (q->count + 15) & ~(size_t)15;
        int parts = q->users > 1 && q->grad_at != RT_NOWHERE ? place_parts(p, f, -1, stride) : 0;
        if (parts < 2) continue;
        ptrdiff_t at = rt_plan_buffer(p, stride * (size_t)parts);
        place_parts(p, f, at, stride);
        rt_call *c = append(p, "sum parts", NULL, SUM, reduce_tiles(q), sum_parts);
        c->flag = f;
        c->at[0] = at;
        c->at[1] = (ptrdiff_t)stride;
        c->at[2] = parts;
    }
}

/* ---- phases ---- */

static void collect(rt_plan *p, const builder *b, int phase, int tiles)
{
    rt_phase f = {.tiles = tiles, .first = p->calls, .px = 1};
    for (int i = 0; i < b->count; i++)
        if (b->item[i].phase == phase) {
            if (!tiles) f.px = b->item[i].px;
            p->call[p->calls++] = b->item[i].call;
        }
    f.count = p->calls - f.first;
    if (tiles) {
        f.tiles = 0;
        for (int i = f.first; i < p->calls; i++) f.tiles += p->call[i].tiles;
    }
    p->phase[p->phases++] = f;
}

/* All that adds to the gradient of t has been emitted. */
static int grad_complete(const rt_plan *p, int t)
{
    for (int i = 0; i < p->turn; i++)
        for (int k = 0; k < p->node[i].inputs && !rt_ops[p->node[i].op]->view; k++)
            if (rt_memory_of(p, p->node[i].in[k]) == rt_memory_of(p, t)) return 0;
    return p->grad_of[rt_memory_of(p, t)] >= 0;
}

static void derive(const rt_call *c, rt_ctx *x, int tile, int unused)
{
    (void)tile;
    (void)unused;
    rt_recipe_run(x->plan->graph, c->arg, x->plan->field);
}

static int is_first_user(const rt_plan *p, const rt_node *n, int field)
{
    for (const rt_node *m = p->node; m < n; m++)
        for (int k = 0; k < m->fields; k++) if (m->field[k] == field) return 0;
    return 1;
}

/* A field that several nodes use is made for the first. */
static void emit_derived(rt_plan *p, const rt_node *n)
{
    for (int i = 0; i < p->low.recipes; i++)
        for (int k = 0; k < n->fields; k++)
            if (n->field[k] == p->low.recipe[i].field && is_first_user(p, n, n->field[k]))
                append(p, "derive", n, DERIVE, 1, derive)->arg = &p->low.recipe[i];
}

static void emit_backward(rt_plan *p)
{
    const rt_graph *g = p->graph;
    for (int i = g->nodes - 1; i >= 0; i--) {
        const rt_node *n = &p->node[i];
        for (int k = 0; k < p->spec.wants; k++)             /* whole, and not yet taken through an activation */
            if (p->spec.wanted[k] == n->out) p->wanted_value[k] = p->grad_of[n->out];
        if (p->grad_of[rt_memory_of(p, n->out)] < 0 || !rt_ops[n->op]->backward) continue;
        p->turn = i + 1;
        if (g->tensor[n->out].needs_grad) {
            p->has_back[i] = 1;
            current->want = positions_of(p, n);
            rt_quant_clip(p, n);
            if (rt_frozen_has(p, n) && n->op == RT_OP_MAX_POOL) rt_ops[n->op]->forward(p, n);     /* which tap won */
            rt_ops[n->op]->backward(p, n);
        }
        p->turn = i;
        for (int k = 0; k < n->inputs; k++) {
            int from = g->tensor[rt_memory_of(p, n->in[k])].producer;
            const rt_op *op = rt_ops[p->node[from].op];
            current->want = positions_of(p, &p->node[from]);
            if (!op->backward_early || !g->tensor[p->node[from].out].needs_grad ||
                !grad_complete(p, p->node[from].out))
                continue;
            rt_quant_clip(p, &p->node[from]);
            op->backward_early(p, &p->node[from]);
        }
    }
}

static void emit(rt_plan *p)
{
    const rt_graph *g = p->graph;
    for (int i = 0; i < g->nodes; i++) {
        const rt_op *op = rt_ops[p->node[i].op];
        emit_derived(p, &p->node[i]);
        current->want = positions_of(p, &p->node[i]);
        if (!op->view && !rt_frozen_has(p, &p->node[i])) emit_forward(p, &p->node[i]);
        if (p->frozen && i + 1 == g->inputs) rt_frozen_forward(p);
    }
    current->want = 1;
    for (int i = 0; i < p->spec.outputs; i++) p->output_value[i] = rt_plan_read(p, p->spec.output[i]);
    if (!p->spec.train) return;
    for (int i = 0; i < p->spec.losses; i++) emit_loss(p, &p->spec.loss[i]);
    emit_backward(p);
    emit_reduce(p);
    rt_quant_end(p);
}

/* Positions are of use where a batch has few rows (inference: for the threads) and layers that see one position at a
 * time do most of the work: where others lie between them, phases would be cut at each. */
static int by_position(const rt_plan *p)
{
    const rt_graph *g = p->graph;
    double alone = 0, others = 0;
    if (p->spec.batch >= (p->spec.train ? MANY : 4 * (rt_pool_threads(p->pool) - 1))) return 0;
    for (int i = 0; i < g->nodes; i++) {
        const rt_op *op = rt_ops[g->node[i].op];
        const rt_shape *s = rt_shape_of(p, g->node[i].out);
        int many = s->rank > 1 && (size_t)s->dim[s->rank - 1] < rt_shape_count(s);
        *(many && rt_node_positions(g, &g->node[i]) ? &alone : &others) += op->macs ? op->macs(g, &g->node[i]) : 0;
    }
    return alone > 4 * others;
}

/* Whatever a gradient is to go through has one. */
static rt_status check_backward(const rt_plan *p)
{
    for (int i = 0; i < p->graph->nodes; i++) {
        const rt_node *n = &p->node[i];
        const rt_op *op = rt_ops[n->op];
        if (op->backward || op->view || n->op == RT_OP_INPUT || !p->graph->tensor[n->out].needs_grad) continue;
        if (p->spec.wants)
            return rt_fail(RT_USAGE, "layer '%s' (%s) has no gradient%s", n->name, rt_layer_name(n),
                           n->op == RT_OP_CALL ? ": it computes a node of an ONNX graph by its definition" : "");
        if (n->op == RT_OP_CALL)
            return rt_fail(RT_USAGE,
                           "layer '%s' computes a node of an ONNX graph by its definition, which has no gradient: "
                           "freeze all layers before it that have weights (train.freeze)", n->name);
        return rt_fail(RT_USAGE, "layer '%s' (%s) has no gradient: freeze all layers before it that have weights "
                       "(train.freeze)", n->name, rt_layer_name(n));
    }
    return RT_OK;
}

/* The graph that the plan runs, and what is known of its tensors. */
static rt_status lower(rt_plan *p, const rt_graph *g)
{
    rt_plan_spec *s = &p->spec;
    int keep[RT_MAX_LOSSES + 2 * RT_MAX_OUTPUTS], keeps = 0;
    for (int i = 0; i < s->losses; i++) keep[keeps++] = s->loss[i].tensor;
    for (int i = 0; i < s->outputs; i++) keep[keeps++] = s->output[i];
    for (int i = 0; i < s->wants; i++) keep[keeps++] = s->wanted[i];
    rt_lower_spec how = {.mode = s->train ? RT_TRAIN : RT_INFER, .keep = keep, .keeps = keeps, .plain = s->plain,
                         .qat = s->qat, .wanted = s->wanted, .wants = s->wants};
    RT_TRY(rt_graph_lower(g, &how, &p->low, NULL, NULL));
    p->graph = p->low.graph;
    p->node = p->graph->node;
    p->keep = calloc((size_t)p->graph->tensors + 1, 1);
    if (!p->keep) return rt_fail(RT_RUN, "out of memory for a plan");
    /* A tensor is kept for its own sake: not for that of an activation that its layer took up, which is cheap to
     * compute again. */
    for (int i = 0; i < keeps; i++) {
        int t = p->low.tensor_of[keep[i]], first = 1;
        for (int k = 0; k < keep[i]; k++) first &= p->low.tensor_of[k] != t;
        p->keep[t] |= (char)first;
    }
    if (s->train) RT_TRY(check_backward(p));
    for (int i = 0; i < s->losses; i++) s->loss[i].tensor = p->low.tensor_of[s->loss[i].tensor];
    for (int i = 0; i < s->outputs; i++) s->output[i] = p->low.tensor_of[s->output[i]];
    for (int i = 0; i < s->wants; i++) {
        s->wanted[i] = p->low.tensor_of[s->wanted[i]];
        p->wanted_value[i] = -1;
    }
    return RT_OK;
}

/* Tables by node, tensor, field and use. */
static rt_status take_tables(rt_plan *p)
{
    const rt_graph *g = p->graph;
    size_t nodes = (size_t)g->nodes, tensors = (size_t)g->tensors, uses = 0;
    for (int i = 0; i < g->nodes; i++) uses += (size_t)g->node[i].fields;
    p->note = malloc(nodes * sizeof *p->note);
    p->use = malloc(nodes * sizeof *p->use);
    p->has_back = calloc(nodes, 1);
    p->value_of = malloc(tensors * sizeof *p->value_of);
    p->grad_of = malloc(tensors * sizeof *p->grad_of);
    p->slot_room = malloc((uses + 1) * sizeof *p->slot_room);
    p->part_at = malloc((uses + 1) * sizeof *p->part_at);
    p->field = calloc((size_t)g->fields + 1, sizeof *p->field);
    p->grad = calloc((size_t)g->fields + 1, sizeof *p->grad);
    if (!p->note || !p->use || !p->has_back || !p->value_of || !p->grad_of || !p->slot_room || !p->part_at ||
        !p->field || !p->grad)
        return RT_RUN;
    for (size_t i = 0; i < nodes; i++) p->note[i] = (rt_note){.value = -1, .buffer = -1};
    for (size_t i = 0; i < tensors; i++) p->value_of[i] = p->grad_of[i] = -1;
    for (size_t i = 0; i < uses; i++) p->slot_room[i] = p->part_at[i] = -1;
    for (int i = 0, first = 0; i < g->nodes; first += g->node[i++].fields) p->use[i] = first;
    p->turn = g->nodes;
    return RT_OK;
}

/* Calls sorted into phases. Phase numbers of values are those of the body; what is derived and packed comes in front,
 * late work behind. */
static rt_status make_phases(rt_plan *p, const builder *b)
{
    int body = b->phase + 1;
    p->phase = calloc((size_t)body + AHEAD + 4, sizeof *p->phase);
    p->call = calloc((size_t)b->count + 1, sizeof *p->call);
    int *is_tiles = calloc((size_t)body, sizeof *is_tiles);
    if (!p->phase || !p->call || !is_tiles) {
        free(is_tiles);
        return RT_RUN;
    }
    for (int i = 0; i < b->count; i++)
        if (b->item[i].phase >= 0 && b->item[i].phase < body) is_tiles[b->item[i].phase] = b->item[i].call.tiles > 0;
    collect(p, b, DERIVE, 1);
    collect(p, b, PACK, 1);
    for (int i = 0; i < body; i++) collect(p, b, i, is_tiles[i]);
    collect(p, b, LATE, 1);
    collect(p, b, MERGE, 1);
    collect(p, b, SUM, 1);
    collect(p, b, LAST, 1);
    free(is_tiles);
    p->prepare_phases = AHEAD;
    return RT_OK;
}

static rt_status take_arenas(rt_plan *p)
{
    size_t threads = (size_t)rt_pool_threads(p->pool);
    p->scratch_floats = (p->scratch_floats + 31) & ~(size_t)15;
    p->arena = (char *)rt_floats_new(p->arena_bytes / sizeof(float));
    p->local = (char *)rt_floats_new(p->local_bytes * threads / sizeof(float));
    p->scratch = rt_floats_new(p->scratch_floats * threads);
    p->buffer = rt_floats_new(p->buffer_floats);
    p->derived = rt_floats_new(p->graph->floats[RT_DERIVED]);
    p->slot_grads = rt_floats_new(p->slot_floats);
    p->loss_rows = rt_floats_new((size_t)p->spec.batch * (size_t)(p->spec.losses + 1));
    int ok = p->arena && p->local && p->scratch && p->buffer && p->derived && p->slot_grads && p->loss_rows;
    return ok ? RT_OK : RT_RUN;
}

rt_status rt_plan_new(rt_plan **out, const rt_plan_spec *spec, rt_pool *pool)
{
    const rt_graph *g = spec->graph;
    *out = NULL;
    if (spec->batch < 1 || spec->batch > 1 << 20)
        return rt_fail(RT_USAGE, "batch size %d is out of range: give 1 to %d", spec->batch, 1 << 20);
    rt_plan *p = calloc(1, sizeof *p);
    builder b = {.tiles = -1, .px = 1, .want = 1};
    rt_status st = p ? RT_OK : RT_RUN;
    if (!st) {
        p->spec = *spec;
        p->pool = pool;
        p->k = rt_kernels_get();
        if (!spec->train && !spec->outputs) {
            p->spec.output[0] = g->output;
            p->spec.outputs = 1;
        }
        st = lower(p, g);
    }
    if (!st) st = take_tables(p);
    if (!st) st = rt_quant_begin(p, g);
    if (!st) st = rt_frozen_begin(p, g);
    if (!st) {
        current = &b;
        b.by_position = by_position(p);
        emit(p);
        current = NULL;
        if (p->failed) st = RT_RUN;
    }
    if (!st) st = make_phases(p, &b);
    if (!st) st = rt_plan_place(p);
    if (!st) st = take_arenas(p);
    free(b.item);
    if (!st) *out = p;
    else rt_plan_free(p);
    if (st == RT_RUN) return rt_fail(RT_RUN, "out of memory for a plan of %d rows; use a smaller batch", spec->batch);
    return st;
}

void rt_plan_free(rt_plan *p)
{
    if (!p) return;
    rt_frozen_end(p);
    rt_lowered_free(&p->low);
    void *owned[] = {p->range_of, p->seen_room, p->seen,       p->clipped,   p->note,  p->use,     p->has_back,
                     p->value_of, p->grad_of,   p->keep,       p->slot_room, p->room,  p->part_at, p->field,
                     p->grad,     p->call,      p->phase,      p->value,     p->arena, p->local,   p->scratch,
                     p->buffer,   p->derived,   p->slot_grads, p->loss_rows};
    for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++) free(owned[i]);
    free(p);
}
