/* engine/ops_call.c - an ONNX node as an operator: y = node(inputs), a row at a time (engine/call.h). */
#include <math.h>
#include <string.h>

#include "engine/call.h"
#include "engine/ops.h"

enum { SECONDS = 4 /* a row that takes more is of no use */ };

static rt_status evaluate(const rt_onnx_call *c, rt_region *r, rt_array **value, rt_array **answer, double seconds)
{
    rt_eval *e = NULL;
    rt_array **out = rt_region_list(r, (size_t)c->graph.node[0].outputs, sizeof *out);
    rt_status st = out ? rt_eval_new(&e, r) : RT_RUN;
    if (!st) rt_eval_limit(e, seconds);
    for (int v = 0; v < c->graph.values && !st; v++) if (!value[v]) value[v] = c->graph.known[v];
    if (!st) st = rt_eval_one(e, &c->graph, &c->graph.node[0], value, out);
    for (int i = 0; i < c->graph.node[0].outputs && !st; i++)
        if (c->graph.node[0].out[i] == c->output) *answer = out[i];
    return st;
}

/* The row's arrays: elements of float or int32, or all of them `fill` where in is NULL. */
static rt_array **inputs_of(const rt_onnx_call *c, rt_region *r, const void *const *in, const char *ids, double fill)
{
    rt_array **value = rt_region_list(r, (size_t)c->graph.values, sizeof *value);
    for (int i = 0; i < c->graph.inputs && value; i++) {
        rt_array *a;
        if (rt_array_make(&a, r, c->in[i].type, c->in[i].rank, c->in[i].dim)) return NULL;
        for (size_t k = 0; k < a->count; k++) {
            if (!in) rt_array_put(a, k, fill);
            else if (ids[i]) rt_array_put_int(a, k, ((const int32_t *)in[i])[k]);
            else rt_array_put(a, k, (double)((const float *)in[i])[k]);
        }
        value[c->graph.input[i]] = a;
    }
    return value;
}

static rt_status try_with(rt_onnx_call *c, double fill)
{
    rt_region *r = rt_region_new((size_t)1 << 30);
    rt_array *y = NULL;
    if (!r) return RT_RUN;
    rt_array **value = inputs_of(c, r, NULL, NULL, fill);
    rt_status st = value ? evaluate(c, r, value, &y, SECONDS) : RT_INPUT;
    if (!st) {
        c->type = y->type;
        c->rank = y->rank;
        memcpy(c->dim, y->dim, sizeof c->dim);
        c->bytes = rt_region_footprint(r);
        if (!y->count || y->count > (size_t)1 << 24 || y->type == RT_STRING)
            st = rt_fail(RT_INPUT, "gives what no tensor of numbers is");
    }
    rt_region_free(r);
    return st;
}

/* Ones are in no axis of one, which indices may be of. */
rt_status rt_onnx_call_try(rt_onnx_call *c)
{
    rt_status st = try_with(c, 1);
    return st == RT_INPUT ? try_with(c, 0) : st;
}

static int row_in(const rt_onnx_call *c, rt_region *r, float *y, const void *const *in, const char *ids)
{
    rt_array *a = NULL, **value = r ? inputs_of(c, r, in, ids, 0) : NULL;
    if (!value || evaluate(c, r, value, &a, 0)) return 0;
    if (a->rank != c->rank || memcmp(a->dim, c->dim, sizeof c->dim)) return 0;
    for (size_t i = 0; i < a->count; i++) y[i] = (float)rt_array_double(a, i);
    return 1;
}

void rt_onnx_call_row(const rt_onnx_call *c, float *y, const void *const *in, const char *ids, void *memory,
                      size_t bytes)
{
    size_t count, size;
    rt_region *r = rt_region_over(memory, bytes), *more = NULL;
    if (row_in(c, r, y, in, ids)) return;
    /* what is in the data may ask for more than ones do */
    more = rt_region_new((size_t)1 << 30);
    if (!row_in(c, more, y, in, ids) && !rt_array_size(RT_F32, c->rank, c->dim, &count, &size))
        for (size_t i = 0; i < count; i++) y[i] = NAN;
    rt_region_free(more);
}

/* ---- the operator ---- */

static const rt_onnx_call *of(const rt_node *n) { return RT_ATTR(n, rt_call_attr)->call; }

static rt_status infer(rt_graph *g, rt_node *n, rt_shape *out)
{
    const rt_onnx_call *c = of(n);
    char text[64];
    if (!c) return rt_fail(RT_USAGE, "has no node to compute");
    if (n->inputs != c->graph.inputs)
        return rt_fail(RT_USAGE, "its node takes %d inputs that depend on data, %d are given", c->graph.inputs,
                       n->inputs);
    for (int i = 0; i < n->inputs; i++) {
        size_t count, bytes;
        const rt_tensor *t = &g->tensor[n->in[i]];
        RT_TRY(rt_array_size(c->in[i].type, c->in[i].rank, c->in[i].dim, &count, &bytes));
        if (count != rt_shape_count(&t->shape))
            return rt_fail(RT_USAGE, "input %d of its node has %zu elements, and %s is given", i, count,
                           rt_shape_text(&t->shape, text));
    }
    *out = (rt_shape){.rank = 0};
    for (int i = 0; i < c->rank; i++) {
        if (c->dim[i] == 1) continue;
        if (out->rank == RT_MAX_RANK) return rt_fail(RT_USAGE, "its output has more than %d dimensions", RT_MAX_RANK);
        out->dim[out->rank++] = (int)c->dim[i];
    }
    if (!out->rank) out->dim[out->rank++] = 1;
    return RT_OK;
}

static void run(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    const rt_onnx_call *f = of(c->node);
    char ids[RT_CALL_INPUTS] = {0};
    const rt_graph *g = x->plan->graph;
    size_t out = rt_shape_count(rt_shape_of(x->plan, c->node->out));
    for (int i = 0; i < c->node->inputs; i++) ids[i] = g->tensor[c->node->in[i]].type == RT_I32;
    for (int r = row0; r < row0 + rows; r++) {
        const void *in[RT_CALL_INPUTS];
        for (int i = 0; i < c->node->inputs; i++) in[i] = rt_at(x, c->value[1 + i], r);
        rt_onnx_call_row(f, (float *)rt_at(x, c->value[0], row0) + (size_t)(r - row0) * out, in, ids, x->scratch,
                         f->bytes);
    }
}

static void forward(rt_plan *p, const rt_node *n)
{
    int in[RT_CALL_INPUTS];
    for (int i = 0; i < n->inputs; i++) in[i] = rt_plan_read(p, n->in[i]);
    int out = rt_plan_write(p, n->out);
    rt_plan_need_scratch(p, of(n)->bytes / sizeof(float) + 64);
    rt_call *c = rt_plan_rows(p, "call", n, run);
    c->value[0] = out;
    memcpy(c->value + 1, in, (size_t)n->inputs * sizeof *in);
    c->work = 50 * (double)rt_shape_count(rt_shape_of(p, n->out));
}

/* What it is told is read elsewhere: student/onnx/onnx_call.h. */
static const rt_schema schema = {NULL, 0, sizeof(rt_call_attr)};

const rt_op rt_op_call = {
    .name = "call",
    .help = "a node of an ONNX graph that has no layer of its own, computed by its definition; not trained through",
    .min_inputs = 1,
    .max_inputs = RT_CALL_INPUTS,
    .ids = 1,
    .schema = &schema,
    .infer = infer,
    .forward = forward};
