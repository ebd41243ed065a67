#include "engine/graph.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/rng.h"

rt_graph *rt_graph_new(void)
{
    rt_graph *g = calloc(1, sizeof *g);
    if (g) g->input = g->output = -1;
    else rt_fail(RT_RUN, "out of memory for a graph");
    return g;
}

void rt_graph_free(rt_graph *g)
{
    if (!g) return;
    free(g->node);
    free(g->tensor);
    free(g->param);
    free(g->state);
    free(g);
}

/* ---- kinds of layers ---- */

static const char *const act_help[RT_ACT_COUNT] = {
    NULL, "max(x, 0)", "min(max(x, 0), 6)", "x, or slope x below 0", "0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))",
    "x sigmoid(x)", "x min(max(x + 3, 0), 6) / 6", "1 / (1 + exp(-x))", "tanh(x)"};

rt_layer_kind rt_layer_kind_at(int i)
{
    int op = RT_OP_INPUT + 1 + i;
    op += op >= RT_OP_ACTIVATION;
    if (op < RT_OP_COUNT) return (rt_layer_kind){rt_ops[op]->name, rt_ops[op]->help, (rt_op_id)op, RT_ACT_NONE,
                                                 rt_ops[op]->schema};
    rt_act act = (rt_act)(op - RT_OP_COUNT + RT_ACT_NONE + 1);
    return (rt_layer_kind){rt_act_name(act), act_help[act], RT_OP_ACTIVATION, act,
                           act == RT_ACT_LEAKY ? rt_ops[RT_OP_ACTIVATION]->schema : NULL};
}

const char *rt_layer_name(const rt_node *n)
{
    return n->op == RT_OP_ACTIVATION ? rt_act_name(RT_ATTR(n, rt_activation_attr)->end.act) : rt_ops[n->op]->name;
}

/* ---- building ---- */

static void *grow(void *array, int count, size_t size)
{
    if (count & (count - 1)) return array;               /* room doubles at powers of two */
    return realloc(array, (count ? 2 * (size_t)count : 1) * size);
}

static rt_status check_shape(const rt_shape *s)
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
    if (op->schema) {
        rt_schema_defaults(op->schema, n->attr);
        if (attributes) memcpy(n->attr, attributes, op->schema->size);
        RT_TRY(rt_schema_check(op->schema, n->attr));
    }
    return op->settle ? op->settle(g, n) : RT_OK;
}

rt_status rt_graph_add(rt_graph *g, rt_op_id id, const char *name, const int *in, int inputs, const void *attributes,
                       int *out)
{
    const rt_op *op = rt_ops[id];
    if (g->nodes >= RT_MAX_NODES) return rt_fail(RT_USAGE, "more than %d layers", RT_MAX_NODES);
    if (inputs < op->min_inputs || inputs > op->max_inputs)
        return rt_fail(RT_USAGE, "layer '%s' (%s): %d inputs given, %d to %d expected", name, op->name, inputs,
                       op->min_inputs, op->max_inputs);
    for (int i = 0; i < inputs; i++)
        if (in[i] < 0 || in[i] >= g->tensors)
            return rt_fail(RT_USAGE, "layer '%s': input %d is no tensor of this graph", name, i);
    if ((id == RT_OP_INPUT) != (g->nodes == 0))
        return rt_fail(RT_USAGE, "layer '%s': a graph starts with its one input", name);
    for (int i = 0; i < g->nodes; i++)
        if (strcmp(g->node[i].name, name) == 0) return rt_fail(RT_USAGE, "two layers are named '%s'", name);
    if (strlen(name) >= RT_NAME_MAX)
        return rt_fail(RT_USAGE, "layer name '%.20s...' is longer than %d", name, RT_NAME_MAX - 1);

    void *nodes = grow(g->node, g->nodes, sizeof *g->node);
    if (nodes) g->node = nodes;
    void *tensors = grow(g->tensor, g->tensors, sizeof *g->tensor);
    if (tensors) g->tensor = tensors;
    if (!nodes || !tensors) return rt_fail(RT_RUN, "out of memory for the graph");

    rt_node *n = &g->node[g->nodes];
    *n = (rt_node){.op = id, .inputs = inputs, .out = g->tensors};
    snprintf(n->name, sizeof n->name, "%s", name);
    if (inputs) memcpy(n->in, in, (size_t)inputs * sizeof in[0]);
    rt_shape shape = {0};
    rt_status st = set_attributes(g, n, attributes);
    if (!st) st = op->infer(g, n, &shape);
    if (!st) st = check_shape(&shape);
    if (st) return rt_fail_in(st, "layer '%s' (%s)", name, op->name);
    g->tensor[g->tensors] = (rt_tensor){.shape = shape, .producer = g->nodes};
    g->tensor[g->tensors].needs_grad = n->params > 0;
    for (int i = 0; i < inputs; i++) {
        g->tensor[in[i]].consumers++;
        g->tensor[g->tensors].needs_grad |= g->tensor[in[i]].needs_grad;
    }
    g->nodes++;
    *out = g->output = g->tensors++;
    if (id == RT_OP_INPUT) g->input = *out;
    return RT_OK;
}

static rt_status add_field(rt_field **list, int *count, size_t *floats, const rt_node *n, const char *suffix,
                           rt_shape shape)
{
    void *p = grow(*list, *count, sizeof **list);
    if (!p) return rt_fail(RT_RUN, "out of memory for the graph");
    *list = p;
    rt_field *f = &(*list)[*count];
    *f = (rt_field){.shape = shape, .offset = *floats, .count = rt_shape_count(&shape)};
    snprintf(f->name, sizeof f->name, "%s.%s", n->name, suffix);
    RT_TRY(check_shape(&shape));
    *floats += (f->count + 15) & ~(size_t)15;
    (*count)++;
    return RT_OK;
}

rt_status rt_graph_param(rt_graph *g, rt_node *n, const char *suffix, rt_shape shape, rt_init init, int64_t fan_in,
                         int64_t fan_out, int decay)
{
    RT_TRY(add_field(&g->param, &g->params, &g->param_floats, n, suffix, shape));
    rt_field *f = &g->param[g->params - 1];
    f->init = init;
    f->fan_in = fan_in;
    f->fan_out = fan_out;
    f->decay = decay;
    n->param[n->params++] = g->params - 1;
    return RT_OK;
}

rt_status rt_graph_state(rt_graph *g, rt_node *n, const char *suffix, rt_shape shape, rt_init init)
{
    RT_TRY(add_field(&g->state, &g->states, &g->state_floats, n, suffix, shape));
    g->state[g->states - 1].init = init;
    n->state[n->states++] = g->states - 1;
    return RT_OK;
}

static void init_field(const rt_field *f, uint64_t seed, uint32_t index, float *x)
{
    float *p = x + f->offset;
    if (f->init == RT_INIT_HE || f->init == RT_INIT_XAVIER) {
        double scale = f->init == RT_INIT_HE ? sqrt(2.0 / (double)f->fan_in)
                                             : sqrt(2.0 / (double)(f->fan_in + f->fan_out));
        rt_normal(p, f->count, seed, RT_RNG_INIT, index);
        for (size_t i = 0; i < f->count; i++) p[i] = (float)(p[i] * scale);
    } else {
        for (size_t i = 0; i < f->count; i++) p[i] = f->init == RT_INIT_ONE ? 1.0f : 0.0f;
    }
}

void rt_graph_init(const rt_graph *g, uint64_t seed, float *params, float *states)
{
    memset(params, 0, g->param_floats * sizeof *params);
    if (g->state_floats) memset(states, 0, g->state_floats * sizeof *states);
    for (int i = 0; i < g->params; i++) init_field(&g->param[i], seed, (uint32_t)i, params);
    for (int i = 0; i < g->states; i++) init_field(&g->state[i], seed, (uint32_t)i, states);
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
    for (int i = 0; i < g->params; i++) n += g->param[i].count;
    return n;
}
