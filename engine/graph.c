#include "engine/graph.h"

#include <fnmatch.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/rng.h"

/* Memory for names and lists, which live as long as the graph. */
enum { BLOCK_BYTES = 4096 };
struct rt_graph_block { rt_graph_block *next; size_t used, room; _Alignas(8) char bytes[]; };

rt_graph *rt_graph_new(void)
{
    rt_graph *g = calloc(1, sizeof *g);
    if (g) g->output = -1;
    else rt_fail(RT_RUN, "out of memory for a graph");
    return g;
}

void rt_graph_free(rt_graph *g)
{
    if (!g) return;
    free(g->node);
    free(g->tensor);
    free(g->field);
    for (int i = 0; i < g->owns; i++) g->own[i].end(g->own[i].thing);
    free(g->own);
    while (g->block) {
        rt_graph_block *next = g->block->next;
        free(g->block);
        g->block = next;
    }
    free(g);
}

rt_status rt_graph_own(rt_graph *g, void *thing, void (*end)(void *))
{
    rt_graph_thing *more = realloc(g->own, (size_t)(g->owns + 1) * sizeof *more);
    if (!more) {
        end(thing);
        return rt_fail(RT_RUN, "out of memory for the graph");
    }
    g->own = more;
    more[g->owns++] = (rt_graph_thing){thing, end};
    return RT_OK;
}

/* ---- names and lists ---- */

static void *take(rt_graph *g, const void *from, size_t bytes)
{
    rt_graph_block *b = g->block;
    size_t at = b ? (b->used + 7) & ~(size_t)7 : 0;
    if (!b || at + bytes > b->room) {
        size_t room = bytes > BLOCK_BYTES ? bytes : BLOCK_BYTES;
        b = calloc(1, sizeof *b + room);             /* large zeros take no memory until they are read */
        if (!b) {
            rt_fail(RT_RUN, "out of memory for the graph");
            return NULL;
        }
        b->next = g->block;
        b->room = room;
        g->block = b;
        at = 0;
    }
    b->used = at + bytes;
    if (from && bytes) memcpy(b->bytes + at, from, bytes);
    return b->bytes + at;
}

int *rt_graph_list(rt_graph *g, const int *from, int n) { return take(g, from, (size_t)n * sizeof *from); }
const char *rt_graph_text(rt_graph *g, const char *text) { return take(g, text, strlen(text) + 1); }

/* ---- kinds of layers ---- */

static const char *const act_help[RT_ACT_COUNT] = {
    NULL, "max(x, 0)", "min(max(x, 0), 6)", "x, or slope x below 0", "0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))",
    "x sigmoid(x)", "x min(max(x + 3, 0), 6) / 6", "1 / (1 + exp(-x))", "tanh(x)", "0.5 x (1 + erf(x / sqrt(2)))"};

static const char *const unary_name[RT_UNARY_COUNT] = {
    NULL,
#define X(E, n, help) #n,
    RT_UNARY(X)
#undef X
};
static const char *const unary_help[RT_UNARY_COUNT] = {
    NULL,
#define X(E, n, help) help,
    RT_UNARY(X)
#undef X
};

static const rt_schema *schema_of(rt_op_id op, const void *attributes)
{ return rt_ops[op]->schema_of ? rt_ops[op]->schema_of(attributes) : rt_ops[op]->schema; }

const rt_schema *rt_node_schema(const rt_node *n)
{
    int plain = n->op == RT_OP_ACTIVATION && RT_ATTR(n, rt_activation_attr)->end.act != RT_ACT_LEAKY;
    return plain ? NULL : schema_of(n->op, n->attr);
}

rt_layer_kind rt_layer_kind_at(int i)
{
    int op = RT_OP_INPUT + 1 + i;
    op += op >= RT_OP_ACTIVATION;
    op += op >= RT_OP_UNARY;
    if (op < RT_OP_AFFINE)
        return (rt_layer_kind){rt_ops[op]->name, rt_ops[op]->help, (rt_op_id)op, RT_ACT_NONE, RT_UNARY_NONE,
                               rt_ops[op]->schema};
    rt_act act = (rt_act)(op - RT_OP_AFFINE + RT_ACT_NONE + 1);
    if (act < RT_ACT_COUNT)
        return (rt_layer_kind){rt_act_name(act), act_help[act], RT_OP_ACTIVATION, act, RT_UNARY_NONE,
                               act == RT_ACT_LEAKY ? rt_ops[RT_OP_ACTIVATION]->schema : NULL};
    rt_unary_attr a = {.fn = (rt_unary)((int)act - RT_ACT_COUNT + RT_UNARY_NONE + 1)};
    return (rt_layer_kind){unary_name[a.fn], unary_help[a.fn], RT_OP_UNARY, RT_ACT_NONE, a.fn,
                           schema_of(RT_OP_UNARY, &a)};
}

void rt_layer_function(const rt_layer_kind *k, void *attributes)
{
    if (k->act) ((rt_activation_attr *)attributes)->end.act = k->act;
    if (k->unary) ((rt_unary_attr *)attributes)->fn = k->unary;
}

int rt_node_positions(const rt_graph *g, const rt_node *n)
{ return rt_ops[n->op]->positions && (!rt_ops[n->op]->alone || rt_ops[n->op]->alone(g, n)); }

const char *rt_layer_name(const rt_node *n)
{
    switch (n->op) {
    case RT_OP_ACTIVATION: return rt_act_name(RT_ATTR(n, rt_activation_attr)->end.act);
    case RT_OP_UNARY: return unary_name[RT_ATTR(n, rt_unary_attr)->fn];
    default: return rt_ops[n->op]->name;
    }
}

rt_act rt_node_act(const rt_node *n)
{
    switch (n->op) {
    case RT_OP_DENSE: case RT_OP_CONV2D: case RT_OP_CONV1D: case RT_OP_BATCH_NORM: case RT_OP_ACTIVATION:
    case RT_OP_ADD: case RT_OP_AFFINE: case RT_OP_CONV3D: return RT_ATTR(n, rt_epilogue)->act;
    default: return RT_ACT_NONE;
    }
}

/* ---- building ---- */

static void *grow(void *array, int count, size_t size)
{
    if (count & (count - 1)) return array;               /* room doubles at powers of two */
    return realloc(array, (count ? 2 * (size_t)count : 1) * size);
}

rt_status rt_graph_check_shape(const rt_shape *s)
{
    char text[64];
    double n = 1;
    for (int i = 0; i < s->rank; i++) {
        if (s->dim[i] <= 0) return rt_fail(RT_USAGE, "shape %s has a dimension below 1", rt_shape_text(s, text));
        n *= s->dim[i];
    }
    if (s->rank < 1 || s->rank > RT_MAX_RANK || n > 1e9)
        return rt_fail(RT_USAGE, "shape %s is too large", rt_shape_text(s, text));
    return RT_OK;
}

/* The node's attributes, checked and settled. */
static rt_status set_attributes(const rt_graph *g, rt_node *n, const void *attributes)
{
    const rt_op *op = rt_ops[n->op];
    const rt_schema *schema = schema_of(n->op, attributes ? attributes : n->attr);
    if (schema) {
        rt_schema_defaults(schema, n->attr);
        if (attributes) memcpy(n->attr, attributes, schema->size);
        RT_TRY(rt_schema_check(schema, n->attr));
    }
    return op->settle ? op->settle(g, n) : RT_OK;
}

/* May the node be added at all? *share becomes the node whose fields it is to use, or -1. */
static rt_status check_node(const rt_graph *g, rt_op_id id, const char *name, const int *in, int inputs,
                            const char *shared, int *share)
{
    const rt_op *op = rt_ops[id];
    *share = -1;
    RT_ASSERT(op->infer);
    if (g->nodes >= RT_MAX_NODES) return rt_fail(RT_USAGE, "more than %d layers", RT_MAX_NODES);
    if (inputs < op->min_inputs || inputs > op->max_inputs)
        return rt_fail(RT_USAGE, "layer '%s' (%s): %d inputs given, %d to %d expected", name, op->name, inputs,
                       op->min_inputs, op->max_inputs);
    for (int i = 0; i < inputs; i++)
        if (in[i] < 0 || in[i] >= g->tensors)
            return rt_fail(RT_USAGE, "layer '%s': input %d is no tensor of this graph", name, i);
    if (id == RT_OP_INPUT ? g->nodes > g->inputs : !g->inputs)
        return rt_fail(RT_USAGE, "layer '%s': a graph starts with its inputs", name);
    if (id == RT_OP_INPUT && g->inputs == RT_MAX_INPUTS)
        return rt_fail(RT_USAGE, "input '%s': more than %d inputs", name, RT_MAX_INPUTS);
    if (strlen(name) > RT_NAME_MAX)
        return rt_fail(RT_USAGE, "layer name '%.20s...' is longer than %d bytes", name, RT_NAME_MAX);
    for (int i = 0; i < g->nodes; i++) {
        if (strcmp(g->node[i].name, name) == 0) return rt_fail(RT_USAGE, "two layers are named '%s'", name);
        if (shared && strcmp(g->node[i].name, shared) == 0) *share = i;
    }
    if (!shared) return RT_OK;
    if (*share < 0)
        return rt_fail(RT_USAGE, "layer '%s': no layer before it is named '%s', whose weights it is to share", name,
                       shared);
    const rt_node *s = &g->node[*share];
    if (s->op != id || !s->fields)
        return rt_fail(RT_USAGE, "layer '%s' (%s) cannot share the weights of '%s' (%s): %s", name, op->name, shared,
                       rt_ops[s->op]->name, s->op != id ? "it is another kind of layer" : "there are none");
    return RT_OK;
}

rt_status rt_graph_add(rt_graph *g, rt_op_id id, const char *name, const int *in, int inputs, const void *attributes,
                       const char *shared, int *out)
{
    const rt_op *op = rt_ops[id];
    int share;
    RT_TRY(check_node(g, id, name, in, inputs, shared, &share));
    void *nodes = grow(g->node, g->nodes, sizeof *g->node);
    if (nodes) g->node = nodes;
    void *tensors = grow(g->tensor, g->tensors, sizeof *g->tensor);
    if (tensors) g->tensor = tensors;
    if (!nodes || !tensors) return rt_fail(RT_RUN, "out of memory for the graph");

    rt_node *n = &g->node[g->nodes];
    *n = (rt_node){.op = id, .key = (uint32_t)g->nodes, .inputs = inputs, .out = g->tensors, .share = share};
    n->name = rt_graph_text(g, name);
    n->in = rt_graph_list(g, in, inputs);
    if (!n->name || !n->in) return RT_RUN;
    rt_shape shape = {0};
    int fields = g->fields;
    rt_status st = set_attributes(g, n, attributes);
    for (int i = 0; i < inputs && !st; i++)
        if (g->tensor[in[i]].type == RT_I32 && !op->ids && !op->view)
            st = rt_fail(RT_USAGE, "takes numbers, and '%s' gives ids; put an embedding between them",
                         g->node[g->tensor[in[i]].producer].name);
    if (!st) st = op->infer(g, n, &shape);
    if (!st) st = rt_graph_check_shape(&shape);
    if (st) {
        while (g->fields > fields) {                 /* as if it had not been tried */
            const rt_field *f = &g->field[--g->fields];
            g->floats[f->home] = f->offset;
        }
        return rt_fail_in(st, "layer '%s' (%s)", name, op->name);
    }
    rt_dtype type = id == RT_OP_INPUT ? RT_ATTR(n, rt_shape_attr)->ids ? RT_I32 : RT_F32
                    : op->view        ? g->tensor[in[0]].type
                                      : RT_F32;
    g->tensor[g->tensors] = (rt_tensor){.shape = shape, .type = type, .producer = g->nodes};
    g->nodes++;
    g->sealed = 0;
    *out = g->output = g->tensors++;
    if (id == RT_OP_INPUT) g->input[g->inputs++] = *out;
    return RT_OK;
}

/* Gives the node one more field. */
static rt_status name_field(rt_graph *g, rt_node *n, int field)
{
    int *list = take(g, NULL, ((size_t)n->fields + 1) * sizeof *list);
    if (!list) return RT_RUN;
    if (n->fields) memcpy(list, n->field, (size_t)n->fields * sizeof *list);
    list[n->fields++] = field;
    n->field = list;
    return RT_OK;
}

/* The field of the same place in the node that n shares with. */
static rt_status share_field(rt_graph *g, rt_node *n, const char *suffix, const rt_shape *shape)
{
    const rt_node *from = &g->node[n->share];
    char a[64], b[64];
    if (n->fields >= from->fields)
        return rt_fail(RT_USAGE, "layer '%s', whose weights it is to share, has no %s", from->name, suffix);
    const rt_field *f = &g->field[from->field[n->fields]];
    if (!rt_shape_equal(&f->shape, shape))
        return rt_fail(RT_USAGE, "its %s has the shape %s, that of layer '%s', which it is to share, %s", suffix,
                       rt_shape_text(shape, a), from->name, rt_shape_text(&f->shape, b));
    return name_field(g, n, from->field[n->fields]);
}

rt_status rt_graph_field(rt_graph *g, const char *name, const rt_field *like, int *number)
{
    RT_TRY(rt_graph_check_shape(&like->shape));
    void *p = grow(g->field, g->fields, sizeof *g->field);
    if (!p) return rt_fail(RT_RUN, "out of memory for the graph");
    g->field = p;
    rt_field *f = &g->field[g->fields];
    *f = *like;
    f->offset = g->floats[f->home];
    f->count = rt_shape_count(&f->shape);
    f->grad_at = RT_NOWHERE;
    for (int i = 0; i < g->fields; i++) f->key += g->field[i].home == f->home;
    f->name = rt_graph_text(g, name);
    if (!f->name) return RT_RUN;
    g->floats[f->home] += (f->count + 15) & ~(size_t)15;
    *number = g->fields++;
    return RT_OK;
}

static rt_status add_field(rt_graph *g, rt_node *n, const char *suffix, const rt_field *like)
{
    char name[RT_NAME_MAX + 32];
    int number;
    snprintf(name, sizeof name, "%s.%s", n->name, suffix);
    RT_TRY(rt_graph_field(g, name, like, &number));
    return name_field(g, n, number);
}

rt_status rt_graph_param(rt_graph *g, rt_node *n, const char *suffix, rt_shape shape, rt_init init, int64_t fan_in,
                         int64_t fan_out, int decay)
{
    if (n->share >= 0) return share_field(g, n, suffix, &shape);
    return add_field(g, n, suffix, &(rt_field){.home = RT_PARAM, .shape = shape, .init = init, .fan_in = fan_in,
                                               .fan_out = fan_out, .flags = decay ? RT_F_DECAY : 0,
                                               .tuning = {1, 1, NAN, -INFINITY}});
}

rt_status rt_graph_constant(rt_graph *g, rt_node *n, const char *suffix, rt_shape shape, const float *value)
{
    if (n->share >= 0) return share_field(g, n, suffix, &shape);
    const float *kept = take(g, value, rt_shape_count(&shape) * sizeof *value);
    return kept ? add_field(g, n, suffix, &(rt_field){.home = RT_CONST, .shape = shape, .value = kept}) : RT_RUN;
}

float *rt_graph_constant_values(rt_graph *g, int i)
{
    RT_ASSERT(g->field[i].home == RT_CONST);
    return (float *)(uintptr_t)g->field[i].value;      /* memory of the graph's own */
}

rt_status rt_graph_state(rt_graph *g, rt_node *n, const char *suffix, rt_shape shape, rt_init init)
{
    if (n->share >= 0)
        return rt_fail(RT_USAGE, "its %s is of its own input and cannot be shared with layer '%s'", suffix,
                       g->node[n->share].name);
    return add_field(g, n, suffix, &(rt_field){.home = RT_STATE, .shape = shape, .init = init});
}

/* ---- sealing ---- */

int rt_graph_next_field(const rt_graph *g, rt_home home, int after)
{
    for (int i = after + 1; i < g->fields; i++) if (g->field[i].home == home) return i;
    return -1;
}

int rt_graph_ids(const rt_graph *g, int input)
{
    int least = 0;
    for (int i = 0; i < g->nodes; i++) {
        const rt_node *n = &g->node[i];
        if (n->op != RT_OP_EMBEDDING) continue;
        int t = n->in[0], rows = RT_ATTR(n, rt_embedding_attr)->rows;
        while (rt_ops[g->node[g->tensor[t].producer].op]->view) t = g->node[g->tensor[t].producer].in[0];
        if (t == g->input[input] && (!least || rows < least)) least = rows;
    }
    return least;
}

int rt_graph_input_of(const rt_graph *g, int tensor)
{
    for (int i = 0; i < g->inputs; i++) if (g->input[i] == tensor) return i;
    return -1;
}

static int trained(const rt_graph *g, const rt_field *f)
{
    if (f->home == RT_DERIVED && f->straight) f = &g->field[f->straight - 1];
    return f->home == RT_PARAM && !(f->flags & RT_F_FROZEN) && !g->still;
}

static void check_sealed(const rt_graph *g)
{
    size_t end[RT_HOMES] = {0};
    for (int i = 0; i < g->fields; i++) {
        const rt_field *f = &g->field[i];
        RT_ASSERT(f->offset >= end[f->home] && f->offset % 16 == 0); /* disjoint, in order; with gaps where a graph */
        end[f->home] = f->offset + ((f->count + 15) & ~(size_t)15); /* reads the first values of another's fields */
        RT_ASSERT(end[f->home] <= g->floats[f->home]);
        RT_ASSERT((f->grad_at != RT_NOWHERE) == trained(g, f));
    }
    for (int i = 0; i < g->nodes; i++) {
        const rt_node *n = &g->node[i];
        size_t used = schema_of(n->op, n->attr) ? schema_of(n->op, n->attr)->size : 0;
        RT_ASSERT(g->tensor[n->out].producer == i && (i == 0 || n->key > g->node[i - 1].key));
        for (int k = 0; k < n->inputs; k++) RT_ASSERT(g->tensor[n->in[k]].producer < i);
        for (size_t k = used; k < RT_ATTR_BYTES; k++) RT_ASSERT(!n->attr[k]);
        for (int k = 0; k < i; k++) RT_ASSERT(strcmp(g->node[k].name, n->name) != 0);
        const rt_tensor *t = &g->tensor[n->out], *m = &g->tensor[t->memory];
        RT_ASSERT(m->memory == t->memory && rt_shape_count(&m->shape) == rt_shape_count(&t->shape));
    }
}

void rt_graph_seal(rt_graph *g)
{
    g->grad_floats = 0;
    for (int i = 0; i < g->fields; i++) {
        rt_field *f = &g->field[i];
        f->users = 0;
        f->grad_at = !trained(g, f) ? RT_NOWHERE : f->straight ? g->field[f->straight - 1].grad_at : g->grad_floats;
        if (trained(g, f) && !f->straight) g->grad_floats += (f->count + 15) & ~(size_t)15;
    }
    for (int t = 0; t < g->tensors; t++) {
        g->tensor[t].consumers = 0;
        g->tensor[t].needs_grad = g->tensor[t].wanted;
    }
    for (int i = 0; i < g->nodes; i++) {
        const rt_node *n = &g->node[i];
        rt_tensor *out = &g->tensor[n->out];
        out->memory = rt_ops[n->op]->view ? g->tensor[n->in[0]].memory : n->out;
        for (int k = 0; k < n->fields; k++) {
            g->field[n->field[k]].users++;
            out->needs_grad |= trained(g, &g->field[n->field[k]]);
        }
        for (int k = 0; k < n->inputs; k++) {
            g->tensor[n->in[k]].consumers++;
            out->needs_grad |= g->tensor[n->in[k]].needs_grad;
        }
    }
    g->sealed = 1;
    check_sealed(g);
}

/* Flags the fields of layers that match; how many there are. */
static int flag_layers(rt_graph *g, const char *pattern, unsigned flags)
{
    int matched = 0;
    for (int i = 0; i < g->nodes; i++) {
        if (fnmatch(pattern, g->node[i].name, 0)) continue;
        for (int k = 0; k < g->node[i].fields; k++, matched++) g->field[g->node[i].field[k]].flags |= flags;
    }
    return matched;
}

rt_status rt_graph_freeze(rt_graph *g, const char *const *patterns, int n)
{
    char text[400];
    int at = 0;
    for (int p = 0; p < n; p++) {
        if (flag_layers(g, patterns[p], 0)) continue;
        for (int i = 0; i < g->nodes && at < 320; i++)
            if (g->node[i].fields) at += snprintf(text + at, sizeof text - (size_t)at, " %.60s", g->node[i].name);
        return rt_fail(RT_USAGE, "no layer that has weights matches '%.60s'; there are:%s%s", patterns[p],
                       at ? text : " none", at >= 320 ? " ..." : "");
    }
    for (int p = 0; p < n; p++) flag_layers(g, patterns[p], RT_F_FROZEN);
    rt_graph_seal(g);
    return RT_OK;
}

static void retune(float *now, float to) { if (!isnan(to)) *now = to; }

rt_status rt_graph_tune(rt_graph *g, const char *pattern, const rt_tuning *to)
{
    char text[400];
    int at = 0, matched = 0;
    for (int i = 0; i < g->nodes; i++)
        for (int k = 0; k < g->node[i].fields; k++) {
            rt_field *f = &g->field[g->node[i].field[k]];
            if (!trained(g, f)) continue;
            if (at < 320) at += snprintf(text + at, sizeof text - (size_t)at, " %.60s", f->name);
            if (fnmatch(pattern, g->node[i].name, 0) && fnmatch(pattern, f->name, 0)) continue;
            retune(&f->tuning.lr_scale, to->lr_scale);
            retune(&f->tuning.grad_scale, to->grad_scale);
            retune(&f->tuning.weight_decay, to->weight_decay);
            retune(&f->tuning.low, to->low);
            matched++;
        }
    if (matched) return RT_OK;
    return rt_fail(RT_USAGE, "no weights that are trained match '%.60s'; there are:%s%s", pattern, at ? text : " none",
                   at >= 320 ? " ..." : "");
}

static void init_field(const rt_field *f, uint64_t seed, float *p)
{
    if (f->init == RT_INIT_HE || f->init == RT_INIT_XAVIER) {
        double scale = f->init == RT_INIT_HE ? sqrt(2.0 / (double)f->fan_in)
                                             : sqrt(2.0 / (double)(f->fan_in + f->fan_out));
        rt_normal(p, f->count, seed, RT_RNG_INIT, f->key);
        for (size_t i = 0; i < f->count; i++) p[i] = (float)(p[i] * scale);
    } else {
        for (size_t i = 0; i < f->count; i++) p[i] = f->init == RT_INIT_ONE ? 1.0f : 0.0f;
    }
}

void rt_graph_init(const rt_graph *g, uint64_t seed, float *params, float *states)
{
    memset(params, 0, g->floats[RT_PARAM] * sizeof *params);
    if (g->floats[RT_STATE]) memset(states, 0, g->floats[RT_STATE] * sizeof *states);
    for (int i = 0; i < g->fields; i++) {
        const rt_field *f = &g->field[i];
        if (f->home == RT_PARAM || f->home == RT_STATE)
            init_field(f, seed, (f->home == RT_PARAM ? params : states) + f->offset);
    }
}

void rt_graph_set_output(rt_graph *g, int tensor) { g->output = tensor; }

double rt_graph_macs(const rt_graph *g)
{
    double macs = 0;
    for (int i = 0; i < g->nodes; i++)
        if (rt_ops[g->node[i].op]->macs) macs += rt_ops[g->node[i].op]->macs(g, &g->node[i]);
    return macs;
}

size_t rt_graph_param_count(const rt_graph *g)
{
    size_t n = 0;
    for (int i = -1; (i = rt_graph_next_field(g, RT_PARAM, i)) >= 0;)
        if (!(g->field[i].flags & RT_F_QUANTIZER)) n += g->field[i].count;
    return n;
}
