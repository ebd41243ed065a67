#include "engine/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/clock.h"
#include "engine/memory.h"
#include "engine/plan_build.h"

enum {
    CHUNK_BYTES = 512 << 10,       /* what a chunk's rows may take: half of a small L2 and more */
    CONV_SLOTS = 16,               /* slots of a batch when gradients are summed per slot */
    DENSE_SLOT_ROWS = 32,
    INFER_CONV_ROWS = 4, INFER_DENSE_ROWS = 16,
    REDUCE = 4096,                 /* floats of a gradient that a tile merges */
    LATE = 1 << 28, SUM = LATE + 1, PACK = -1      /* phase numbers while building */
};

/* ---- building ---- */

typedef struct { rt_call call; int phase; } built;

/* Calls are gathered with their phase number and sorted into phases at the end. */
typedef struct { built *item; int count, room; int phase, tiles; } builder;

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
    p->value[p->values] = (rt_value){.row_bytes = (row_bytes + 15) & ~(size_t)15, .first = LATE + 1, .last = PACK - 1};
    if (row_bytes % 4 == 0) p->value[p->values].row_bytes = row_bytes;
    return p->values++;
}

/* Life spans of values follow from the calls that name them. */
static void find_spans(rt_plan *p, const builder *b)
{
    for (int i = 0; i < b->count; i++)
        for (int k = 0; k < RT_CALL_VALUES; k++) {
            int v = b->item[i].call.value[k];
            if (v < 0) continue;
            rt_value *x = &p->value[v];
            int phase = b->item[i].phase;
            if (x->last == PACK - 1) x->first_call = i;
            x->last_call = i;
            if (phase < x->first) x->first = phase;
            if (phase > x->last) x->last = phase;
        }
}

static rt_call *append(rt_plan *p, const char *what, const rt_node *n, int phase, int tiles,
                       void (*fn)(const rt_call *, rt_ctx *, int, int))
{
    builder *b = current;
    b->item = more(p, b->item, b->count, &b->room, sizeof *b->item);
    if (p->failed) b->count = 0;
    built *it = &b->item[b->count++];
    *it = (built){.phase = phase, .call = {.fn = fn, .what = what, .node = n, .tiles = tiles}};
    for (int i = 0; i < RT_CALL_VALUES; i++) it->call.value[i] = -1;
    return &it->call;
}

static void open_phase(int tiles)
{
    if (current->tiles != tiles) {
        if (current->tiles >= 0) current->phase++;
        current->tiles = tiles;
    }
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

void rt_plan_barrier(rt_plan *p)
{
    (void)p;
    current->phase++;
    current->tiles = -1;
}

int rt_plan_read(rt_plan *p, int t)
{
    t = p->root[t];
    open_phase(0);
    const rt_node *n = &p->node[p->graph->tensor[t].producer];
    int v = p->value_of[t];
    if (v < 0 || (rt_ops[n->op]->recompute && p->spec.train && !p->keep[t] && p->value[v].made != current->phase)) {
        rt_ops[n->op]->forward(p, n);
        v = p->value_of[t];
    }
    return v;
}

int rt_plan_write(rt_plan *p, int t)
{
    t = p->root[t];
    open_phase(0);
    p->value_of[t] = rt_plan_temp(p, rt_shape_count(rt_shape_of(p, t)) * sizeof(float));
    p->value[p->value_of[t]].made = current->phase;
    return p->value_of[t];
}

int rt_plan_grad_read(rt_plan *p, int t)
{
    open_phase(0);
    return p->grad_of[p->root[t]];
}

static void copy_value(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    memcpy(rt_at(x, c->value[1], row0), rt_at(x, c->value[0], row0),
           (size_t)rows * x->plan->value[c->value[0]].row_bytes);
}

int rt_plan_grad_share(rt_plan *p, int from, int to)
{
    from = p->root[from];
    to = p->root[to];
    if (p->grad_of[to] >= 0) return 0;
    p->grad_of[to] = p->grad_of[from];
    return 1;
}

int rt_plan_grad_own(rt_plan *p, int t)
{
    t = p->root[t];
    open_phase(0);
    int v = p->grad_of[t], shared = 0;
    for (int u = 0; u < p->graph->tensors; u++)
        shared |= u != t && p->root[u] == u && p->grad_of[u] == v && p->graph->tensor[u].producer < p->turn;
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
    t = p->root[t];
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

void rt_plan_slot_grad(rt_plan *p, const rt_node *n, int i)
{
    ptrdiff_t *at = &p->slot_at[p->use[n - p->node] + i];
    if (*at < 0) *at = rt_plan_slot_room(p, p->graph->field[n->field[i]].count);
}

ptrdiff_t rt_plan_slot_room(rt_plan *p, size_t floats)
{
    size_t at = p->slot_floats;
    p->slot_floats += (floats + 15) & ~(size_t)15;
    return (ptrdiff_t)at;
}

/* ---- fusing: batch norm + activation, add + activation, dense or convolution + activation or (inference) + batch norm
 * ---- */

static int only_consumer(const rt_plan *p, int t)
{
    if (p->graph->tensor[t].consumers != 1 || p->keep[t]) return -1;
    for (int i = 0; i < p->graph->nodes; i++)
        for (int k = 0; k < p->node[i].inputs; k++)
            if (p->node[i].in[k] == t) return p->skip[i] ? -1 : i;
    return -1;
}

static int read_off_output(rt_act a) { return a == RT_ACT_RELU || a == RT_ACT_RELU6; }

static void alias(rt_plan *p, int tensor, int to)
{
    int root = p->root[to], old = p->root[tensor];
    for (int t = 0; t < p->graph->tensors; t++)
        if (p->root[t] == old) p->root[t] = root;
}

static void fuse(rt_plan *p)
{
    for (int i = 0; i < p->graph->nodes; i++) {
        rt_node *n = &p->node[i];
        if (p->skip[i]) continue;
        int producer = n->op == RT_OP_DENSE || n->op == RT_OP_CONV2D || n->op == RT_OP_CONV1D;
        int c = only_consumer(p, n->out);
        if (c < 0) continue;
        if (producer && !p->spec.train && p->node[c].op == RT_OP_BATCH_NORM) {
            p->memo[i] = c;
            p->skip[c] = 1;
            alias(p, p->node[c].out, n->out);
            c = only_consumer(p, p->node[c].out);
            if (c < 0) continue;
        }
        const rt_epilogue *end = RT_ATTR(&p->node[c], rt_epilogue);
        rt_act act = p->node[c].op == RT_OP_ACTIVATION ? end->act : RT_ACT_NONE;
        int ok = (producer && read_off_output(act)) ||
                 (n->op == RT_OP_BATCH_NORM && (read_off_output(act) || (act && !p->spec.train))) ||
                 (n->op == RT_OP_ADD && (read_off_output(act) || (act && !p->spec.train)));
        if (!act || !ok) continue;
        *RT_ATTR_SET(n, rt_epilogue) = *end;
        p->skip[c] = 1;
        alias(p, p->node[c].out, n->out);
    }
    for (int i = 0; i < p->graph->nodes; i++) {
        rt_node *n = &p->node[i];
        if (n->op == RT_OP_FLATTEN || n->op == RT_OP_RESHAPE ||
            (n->op == RT_OP_DROPOUT && (!p->spec.train || RT_ATTR(n, rt_dropout_attr)->rate <= 0))) {
            p->skip[i] = 1;
            alias(p, n->out, n->in[0]);
        }
    }
}

/* ---- losses ---- */

static void loss_rows(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    const rt_loss_spec *l = c->arg;
    rt_plan *p = (rt_plan *)x->plan;
    rt_loss_io io = {.value = rt_at(x, c->value[0], row0),
                     .row0 = row0,
                     .rows = rows,
                     .total = x->run->rows,
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
    int accumulate, v = rt_plan_read(p, l->tensor), g = rt_plan_grad_write(p, l->tensor, &accumulate);
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
                   x->plan->slot_at[x->plan->use[c->node - x->plan->node] + c->flag], first, n);
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
            if (p->slot_at[p->use[i] + k] >= 0)
                rt_plan_late_tiles(p, "reduce", &p->node[i], reduce_tiles(&g->field[p->node[i].field[k]]),
                                   reduce_grads)->flag = k;
    for (int f = 0; f < g->fields; f++) {
        const rt_field *q = &g->field[f];
        size_t stride = (q->count + 15) & ~(size_t)15;
        int parts = q->users > 1 ? place_parts(p, f, -1, stride) : 0;
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

/* ---- memory: first fit over life spans ---- */

typedef struct { size_t size; int first, last; size_t *at; } span;

static int by_size(const void *a, const void *b)
{
    const span *x = a, *y = b;
    if (x->size != y->size) return x->size < y->size ? 1 : -1;
    return x->at < y->at ? -1 : x->at > y->at;
}

static size_t place(span *s, int n)
{
    size_t total = 0;
    qsort(s, (size_t)n, sizeof *s, by_size);
    for (int i = 0; i < n; i++) {
        size_t at = 0;
        for (int moved = 1; moved;) {
            moved = 0;
            for (int k = 0; k < i; k++)
                if (s[k].first <= s[i].last && s[i].first <= s[k].last && at < *s[k].at + s[k].size &&
                    *s[k].at < at + s[i].size) {
                    at = *s[k].at + s[k].size;
                    moved = 1;
                }
        }
        *s[i].at = at;
        if (at + s[i].size > total) total = at + s[i].size;
    }
    return total;
}

static size_t aligned(size_t n) { return (n + 63) & ~(size_t)63; }

static rt_status plan_memory(rt_plan *p, int phases)
{
    span *s = calloc((size_t)p->values + 1, sizeof *s);
    if (!s) return rt_fail(RT_RUN, "out of memory for a plan");
    int n = 0;
    for (int v = 0; v < p->values; v++) {
        rt_value *x = &p->value[v];
        x->local = !x->external && x->first == x->last && x->first >= 0 && x->first < LATE &&
                   p->phase[x->first].tiles == 0;
        for (int i = 0; i < p->spec.outputs; i++) if (p->output_value[i] == v) x->local = 0;
        if (x->local || x->external || x->last < 0) continue;
        int last = x->last >= LATE ? phases : x->last;
        for (int i = 0; i < p->spec.outputs; i++) if (p->output_value[i] == v) last = phases;
        s[n++] = (span){aligned(x->row_bytes * (size_t)p->spec.batch), x->first, last, &x->offset};
    }
    p->arena_bytes = place(s, n);
    for (int ph = 0; ph < p->phases; ph++) {
        rt_phase *f = &p->phase[ph];
        if (f->tiles) continue;
        size_t row = 1;
        for (int v = 0; v < p->values; v++)
            if (p->value[v].first <= ph && ph <= p->value[v].last) {
                /* values kept from earlier phases count only where this phase reads them */
                int used = p->value[v].local;
                for (int c = f->first; c < f->first + f->count && !used; c++)
                    for (int i = 0; i < RT_CALL_VALUES; i++) used |= p->call[c].value[i] == v;
                if (used) row += p->value[v].row_bytes;
            }
        size_t chunk = CHUNK_BYTES / row;
        f->chunk = chunk < 1 ? 1 : chunk > (size_t)p->slot_rows ? p->slot_rows : (int)chunk;
        n = 0;
        for (int v = 0; v < p->values; v++) {
            rt_value *x = &p->value[v];
            if (x->local && x->first == ph)
                s[n++] = (span){aligned(x->row_bytes * (size_t)f->chunk), x->first_call, x->last_call, &x->offset};
        }
        f->arena = place(s, n);
        if (f->arena > p->local_bytes) p->local_bytes = f->arena;
    }
    free(s);
    return RT_OK;
}

static void collect(rt_plan *p, const builder *b, int phase, int tiles)
{
    rt_phase f = {.tiles = tiles, .first = p->calls};
    for (int i = 0; i < b->count; i++)
        if (b->item[i].phase == phase) p->call[p->calls++] = b->item[i].call;
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
        for (int k = 0; k < p->node[i].inputs && !p->skip[i]; k++)
            if (p->root[p->node[i].in[k]] == p->root[t]) return 0;
    return p->grad_of[p->root[t]] >= 0;
}

static void emit(rt_plan *p)
{
    const rt_graph *g = p->graph;
    for (int i = 0; i < g->nodes; i++)
        if (!p->skip[i]) rt_ops[p->node[i].op]->forward(p, &p->node[i]);
    for (int i = 0; i < p->spec.outputs; i++) p->output_value[i] = rt_plan_read(p, p->spec.output[i]);
    if (!p->spec.train) return;
    for (int i = 0; i < p->spec.losses; i++) emit_loss(p, &p->spec.loss[i]);
    for (int i = g->nodes - 1; i >= 0; i--) {
        const rt_node *n = &p->node[i];
        if (p->skip[i] || p->grad_of[p->root[n->out]] < 0 || !rt_ops[n->op]->backward) continue;
        p->turn = i + 1;
        p->has_back[i] = 1;
        rt_ops[n->op]->backward(p, n);
        p->turn = i;
        for (int k = 0; k < n->inputs; k++) {
            int from = g->tensor[p->root[n->in[k]]].producer;
            const rt_op *op = rt_ops[p->node[from].op];
            if (op->backward_early && grad_complete(p, p->node[from].out)) op->backward_early(p, &p->node[from]);
        }
    }
    emit_reduce(p);
}

static int has_conv(const rt_graph *g)
{
    for (int i = 0; i < g->nodes; i++)
        if (g->node[i].op == RT_OP_CONV2D || g->node[i].op == RT_OP_CONV1D) return 1;
    return 0;
}

rt_plan *rt_plan_new(const rt_plan_spec *spec, rt_pool *pool)
{
    const rt_graph *g = spec->graph;
    if (spec->batch < 1 || spec->batch > 1 << 20) {
        rt_fail(RT_USAGE, "batch size %d is out of range: give 1 to %d", spec->batch, 1 << 20);
        return NULL;
    }
    RT_ASSERT(g->sealed);
    rt_plan *p = calloc(1, sizeof *p);
    builder b = {.tiles = -1};
    if (!p) goto memory;
    p->spec = *spec;
    p->graph = g;
    p->pool = pool;
    p->k = rt_kernels_get();
    if (!spec->train && !spec->outputs) {
        p->spec.output[0] = g->output;
        p->spec.outputs = 1;
    }
    int conv = has_conv(g), batch = spec->batch;
    if (!spec->train) p->slot_rows = conv ? INFER_CONV_ROWS : INFER_DENSE_ROWS;
    else if (conv) p->slot_rows = (batch + CONV_SLOTS - 1) / CONV_SLOTS;
    else p->slot_rows = DENSE_SLOT_ROWS;
    p->slots = (batch + p->slot_rows - 1) / p->slot_rows;

    size_t nodes = (size_t)g->nodes, tensors = (size_t)g->tensors;
    p->node = malloc(nodes * sizeof *p->node);
    p->skip = calloc(nodes, 1);
    p->memo = malloc(nodes * sizeof *p->memo);
    p->stage = calloc(nodes, 1);
    p->turn = g->nodes;
    p->root = malloc(tensors * sizeof *p->root);
    p->value_of = malloc(tensors * sizeof *p->value_of);
    p->grad_of = malloc(tensors * sizeof *p->grad_of);
    p->keep = calloc(tensors, 1);
    p->use = malloc(nodes * sizeof *p->use);
    p->has_back = calloc(nodes, 1);
    size_t uses = 0;
    for (int i = 0; i < g->nodes; i++) uses += (size_t)g->node[i].fields;
    p->slot_at = malloc((uses + 1) * sizeof *p->slot_at);
    p->part_at = malloc((uses + 1) * sizeof *p->part_at);
    p->field = calloc((size_t)g->fields + 1, sizeof *p->field);
    p->grad = calloc((size_t)g->fields + 1, sizeof *p->grad);
    if (!p->node || !p->skip || !p->memo || !p->stage || !p->root || !p->value_of || !p->grad_of || !p->keep ||
        !p->use || !p->has_back || !p->slot_at || !p->part_at || !p->field || !p->grad)
        goto memory;
    memcpy(p->node, g->node, nodes * sizeof *p->node);
    for (size_t i = 0; i < nodes; i++) p->memo[i] = -1;
    for (size_t i = 0; i < uses; i++) p->slot_at[i] = p->part_at[i] = -1;
    for (int i = 0, first = 0; i < g->nodes; first += g->node[i++].fields) p->use[i] = first;
    for (size_t t = 0; t < tensors; t++) {
        p->root[t] = (int)t;
        p->value_of[t] = p->grad_of[t] = -1;
    }
    for (int i = 0; i < p->spec.losses; i++) p->keep[p->spec.loss[i].tensor] = 1;
    for (int i = 0; i < p->spec.outputs; i++) p->keep[p->spec.output[i]] = 1;
    fuse(p);

    current = &b;
    emit(p);
    current = NULL;
    if (p->failed) goto memory;
    find_spans(p, &b);

    int body = b.phase + 1;
    p->phase = calloc((size_t)body + 3, sizeof *p->phase);
    p->call = calloc((size_t)b.count + 1, sizeof *p->call);
    if (!p->phase || !p->call) goto memory;
    /* Phase numbers of values are those of the body; packing comes in front, late work behind. */
    int *is_tiles = calloc((size_t)body, sizeof *is_tiles);
    if (!is_tiles) goto memory;
    for (int i = 0; i < b.count; i++)
        if (b.item[i].phase >= 0 && b.item[i].phase < body) is_tiles[b.item[i].phase] = b.item[i].call.tiles > 0;
    collect(p, &b, PACK, 1);
    for (int i = 0; i < body; i++) collect(p, &b, i, is_tiles[i]);
    collect(p, &b, LATE, 1);
    collect(p, &b, SUM, 1);
    free(is_tiles);
    for (int v = 0; v < p->values; v++) {
        p->value[v].first += p->value[v].first < LATE;
        p->value[v].last += p->value[v].last < LATE;
    }
    p->prepare_phases = 1;
    if (plan_memory(p, p->phases)) goto fail;

    size_t threads = (size_t)rt_pool_threads(pool);
    p->local_bytes = aligned(p->local_bytes) + 64;
    p->scratch_floats = (p->scratch_floats + 31) & ~(size_t)15;
    p->arena = (char *)rt_floats_new(p->arena_bytes / sizeof(float));
    p->local = (char *)rt_floats_new(p->local_bytes * threads / sizeof(float));
    p->scratch = rt_floats_new(p->scratch_floats * threads);
    p->buffer = rt_floats_new(p->buffer_floats);
    p->slot_grads = rt_floats_new(p->slot_floats * (size_t)p->slots);
    p->loss_rows = rt_floats_new((size_t)batch * (size_t)(p->spec.losses + 1));
    if (!p->arena || !p->local || !p->scratch || !p->buffer || !p->slot_grads || !p->loss_rows) goto memory;
    free(b.item);
    return p;
memory:
    rt_fail(RT_RUN, "out of memory for a plan of %d rows; use a smaller batch", spec->batch);
fail:
    current = NULL;
    free(b.item);
    rt_plan_free(p);
    return NULL;
}

void rt_plan_free(rt_plan *p)
{
    if (!p) return;
    void *owned[] = {p->node,    p->skip,  p->memo,    p->stage,  p->root,       p->value_of,
                     p->grad_of, p->keep,  p->slot_at, p->call,   p->phase,      p->value,
                     p->use, p->has_back, p->part_at, p->field, p->grad,
                     p->arena,   p->local, p->scratch, p->buffer, p->slot_grads, p->loss_rows};
    for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++) free(owned[i]);
    free(p);
}

/* ---- running ---- */

float *rt_slot_sums(const rt_ctx *c, ptrdiff_t at)
{ return c->plan->slot_grads + (size_t)c->slot * c->plan->slot_floats + at; }

float *rt_slot_grad(const rt_ctx *c, const rt_node *n, int i, int row0)
{
    float *g = rt_slot_sums(c, c->plan->slot_at[c->plan->use[n - c->plan->node] + i]);
    if (row0 == c->slot_row0) memset(g, 0, c->plan->graph->field[n->field[i]].count * sizeof *g);
    return g;
}

void rt_merge_slots(const rt_ctx *c, float *sum, ptrdiff_t at, size_t first, size_t n)
{
    const rt_plan *p = c->plan;
    int used = (c->run->rows + p->slot_rows - 1) / p->slot_rows;
    p->k->reduce_slots(sum, p->slot_grads + at + (ptrdiff_t)first, p->slot_floats, used, n);
}

static inline void call_fn(rt_plan *p, rt_call *c, rt_ctx *x, int a, int b)
{
    if (!p->profile) {
        c->fn(c, x, a, b);
        return;
    }
    double t = rt_seconds();
    c->fn(c, x, a, b);
    c->seconds += rt_seconds() - t;
}

static void run_tile(void *arg, int tile, int thread)
{
    rt_plan *p = arg;
    const rt_phase *f = p->running;
    rt_ctx x = {.plan = p, .run = p->run, .arena = p->local + p->local_bytes * (size_t)thread,
                .scratch = p->scratch + p->scratch_floats * (size_t)thread};
    if (f->tiles) {
        int c = f->first;
        while (tile >= p->call[c].tiles) tile -= p->call[c++].tiles;
        call_fn(p, &p->call[c], &x, tile, 0);
        return;
    }
    x.slot = tile;
    x.slot_row0 = tile * p->slot_rows;
    int end = x.slot_row0 + p->slot_rows;
    if (end > p->run->rows) end = p->run->rows;
    for (x.chunk0 = x.slot_row0; x.chunk0 < end; x.chunk0 += f->chunk) {
        int rows = end - x.chunk0 < f->chunk ? end - x.chunk0 : f->chunk;
        for (int c = f->first; c < f->first + f->count; c++) call_fn(p, &p->call[c], &x, x.chunk0, rows);
    }
}

static void find_fields(rt_plan *p, const rt_run *run)
{
    for (int i = 0; i < p->graph->fields; i++) {
        const rt_field *f = &p->graph->field[i];
        float *const home[RT_HOMES] = {run->params, run->states, NULL};
        p->field[i] = home[f->home] ? home[f->home] + f->offset : NULL;
        p->grad[i] = run->grads && f->grad_at != RT_NOWHERE ? run->grads + f->grad_at : NULL;
    }
}

static void run_phases(rt_plan *p, const rt_run *run, int from, int to)
{
    p->run = (rt_run *)run;
    find_fields(p, run);
    int used = (run->rows + p->slot_rows - 1) / p->slot_rows;
    for (int i = from; i < to; i++) {
        if (!p->phase[i].count) continue;
        p->running = &p->phase[i];
        rt_pool_run(p->pool, p->phase[i].tiles ? p->phase[i].tiles : used, run_tile, p);
    }
}

void rt_plan_prepare(rt_plan *p, const rt_run *run) { run_phases(p, run, 0, p->prepare_phases); }

void rt_plan_run(rt_plan *p, rt_run *run)
{
    run_phases(p, run, p->spec.train ? 0 : p->prepare_phases, p->phases);
    for (int l = 0; l < p->spec.losses; l++) {
        double s = 0;
        for (int i = 0; i < run->rows; i++) s += p->loss_rows[l * p->spec.batch + i];
        run->loss[l] = s / run->rows;
    }
}

const float *rt_plan_output(const rt_plan *p, int i)
{
    const rt_value *v = &p->value[p->output_value[i]];
    return v->external ? p->run->x : (const float *)(p->arena + v->offset);
}

size_t rt_plan_bytes(const rt_plan *p)
{
    size_t threads = (size_t)rt_pool_threads(p->pool);
    return p->arena_bytes + p->local_bytes * threads +
           (p->scratch_floats * threads + p->buffer_floats + p->slot_floats * (size_t)p->slots) * sizeof(float);
}

int rt_plan_batch(const rt_plan *p) { return p->spec.batch; }
void rt_plan_profile(rt_plan *p, int on) { p->profile = on; }

void rt_plan_describe(const rt_plan *p, void (*line)(void *, const char *), void *arg)
{
    char text[256];
    for (int i = 0; i < p->phases; i++) {
        const rt_phase *f = &p->phase[i];
        if (!f->count) continue;
        if (f->tiles) snprintf(text, sizeof text, "phase %d: %d tiles", i, f->tiles);
        else
            snprintf(text, sizeof text, "phase %d: rows in %d slots of %d, chunks of %d, %zu KiB a thread", i, p->slots,
                     p->slot_rows, f->chunk, f->arena >> 10);
        line(arg, text);
        for (int c = f->first; c < f->first + f->count; c++) {
            const rt_call *q = &p->call[c];
            int n = snprintf(text, sizeof text, "  %-14s %-24s", q->what, q->node ? q->node->name : "");
            if (p->profile) snprintf(text + n, sizeof text - (size_t)n, " %.3f s", q->seconds);
            line(arg, text);
        }
    }
}
