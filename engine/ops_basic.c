/* engine/ops_basic.c - operators that work element by element or only move data: input, activation,
 * concat, flatten, reshape, dropout. */
#include <string.h>

#include "engine/ops.h"
#include "engine/rng.h"

static rt_status infer_same(rt_graph *g, rt_node *n, rt_shape *out)
{
    *out = g->tensor[n->in[0]].shape;
    return RT_OK;
}

/* ---- input ---- */

static rt_status infer_input(rt_graph *g, rt_node *n, rt_shape *out)
{
    (void)g;
    *out = RT_ATTR(n, rt_shape_attr)->shape;
    return RT_OK;
}

static void run_input(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    x->plan->spec.input(x->plan->spec.input_arg, c->flag, rt_at(x, c->value[0], row0), row0, rows);
}

static void forward_input(rt_plan *p, const rt_node *n)
{
    int v = rt_plan_write(p, n->out), input = rt_graph_input_of(p->graph, n->out);
    if (!p->spec.input) {
        p->value[v].external = 1 + input;
        return;
    }
    rt_call *c = rt_plan_rows(p, "input", n, run_input);
    c->value[0] = v;
    c->flag = input;
}

static const rt_attr_spec shape_spec[] = {
    {"shape", RT_A_SHAPE, offsetof(rt_shape_attr, shape), 1, 1 << 24, 0, 1, "a list of dimensions, without the batch"}};
static const rt_schema shape_schema = {shape_spec, 1, sizeof(rt_shape_attr)};
static const rt_attr_spec input_spec[] = {
    {"shape", RT_A_SHAPE, offsetof(rt_shape_attr, shape), 1, 1 << 24, 0, 1, "a list of dimensions, without the batch"},
    {"ids", RT_A_BOOL, offsetof(rt_shape_attr, ids), 0, 1, 0, 0, "whole numbers from 0 on, for an embedding"}};
static const rt_schema input_schema = {input_spec, 2, sizeof(rt_shape_attr)};

const rt_op rt_op_input = {
    .name = "input", .help = "the rows", .schema = &input_schema, .infer = infer_input, .forward = forward_input};

/* ---- activation: y = act(x) ---- */

static rt_status infer_activation(rt_graph *g, rt_node *n, rt_shape *out)
{
    rt_act act = RT_ATTR(n, rt_activation_attr)->end.act;
    if (act <= RT_ACT_NONE || act >= RT_ACT_COUNT) return rt_fail(RT_USAGE, "unknown activation");
    return infer_same(g, n, out);
}

static void run_activation(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    size_t n = rt_floats_of(x, c->node->out, rows);
    const rt_epilogue *end = RT_ATTR(c->node, rt_epilogue);
    x->plan->k->affine_act(rt_at(x, c->value[1], row0), rt_at(x, c->value[0], row0), NULL, NULL, n, 1, end->act,
                           end->slope);
}

static void forward_activation(rt_plan *p, const rt_node *n)
{
    int in = rt_plan_read(p, n->in[0]), out = rt_plan_write(p, n->out);
    rt_call *c = rt_plan_rows(p, "activation", n, run_activation);
    c->value[0] = in;
    c->value[1] = out;
}

static void run_activation_back(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    size_t n = rt_floats_of(x, c->node->out, rows);
    x->plan->k->act_back(rt_at(x, c->value[2], row0), rt_at(x, c->value[1], row0), rt_at(x, c->value[0], row0), n,
                         RT_ATTR(c->node, rt_epilogue)->act, RT_ATTR(c->node, rt_epilogue)->slope, c->flag);
}

/* dx (+)= dy act'(ref) where ref is the input x, from which RELU and RELU6 have the same derivative as from the output.
 */
static void backward_activation(rt_plan *p, const rt_node *n)
{
    int accumulate, in = rt_plan_read(p, n->in[0]), dy = rt_plan_grad_read(p, n->out),
                    dx = rt_plan_grad_write(p, n->in[0], &accumulate);
    rt_call *c = rt_plan_rows(p, "activation back", n, run_activation_back);
    c->value[0] = in;
    c->value[1] = dy;
    c->value[2] = dx;
    c->flag = accumulate;
}

static const rt_attr_spec slope_spec[] = {
    {"slope", RT_A_NUMBER, offsetof(rt_activation_attr, end.slope), 0, 1, 0.01, 0, "what x below 0 is multiplied by"}};
static const rt_schema slope_schema = {slope_spec, 1, sizeof(rt_activation_attr)};

const rt_op rt_op_activation = {.name = "activation", .help = "act(x)", .min_inputs = 1, .max_inputs = 1,
                                .schema = &slope_schema, .positions = 1, .infer = infer_activation,
                                .forward = forward_activation, .backward = backward_activation, .recompute = 1};

int rt_act_back_in_place(rt_plan *p, const rt_node *n)
{
    if (!RT_ATTR(n, rt_epilogue)->act || rt_quant_clips(p, n)) return rt_plan_grad_read(p, n->out);
    int y = rt_plan_read(p, n->out), dy = rt_plan_grad_own(p, n->out);
    rt_call *c = rt_plan_rows(p, "activation back", n, run_activation_back);
    c->value[0] = y;
    c->value[1] = dy;
    c->value[2] = dy;
    return dy;
}

/* ---- gradients that go on as they are ---- */

static void run_pass_on(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    size_t n = rt_floats_of(x, c->node->out, rows);
    float *dx = rt_at(x, c->value[1], row0);
    const float *dy = rt_at(x, c->value[0], row0);
    if (c->flag) x->plan->k->accumulate(dx, dy, n);
    else memcpy(dx, dy, n * sizeof *dx);
}

void rt_grad_pass_on(rt_plan *p, const rt_node *n, int dy, int input)
{
    int accumulate, dx = rt_plan_grad_write(p, n->in[input], &accumulate);
    rt_call *c = rt_plan_rows(p, n->op == RT_OP_ADD ? "add back" : "position back", n, run_pass_on);
    c->value[0] = dy;
    c->value[1] = dx;
    c->flag = accumulate;
}

const rt_schema rt_end_schema = {NULL, 0, sizeof(rt_activation_attr)};

/* ---- concat along one dimension, the last unless another is told: what follows it goes with it ---- */

int rt_axis(const rt_node *n, const rt_shape *s)
{
    int axis = RT_ATTR(n, rt_axis_attr)->axis;
    return axis < 0 ? axis + s->rank : axis;
}

rt_status rt_axis_check(const rt_node *n, const rt_shape *s)
{
    int axis = rt_axis(n, s);
    if (axis >= 0 && axis < s->rank) return RT_OK;
    return rt_fail(RT_USAGE, "'axis' is %d, and the input has %d dimensions", RT_ATTR(n, rt_axis_attr)->axis, s->rank);
}

int rt_axis_is_last(const rt_graph *g, const rt_node *n)
{
    const rt_shape *s = &g->tensor[n->out].shape;
    return rt_axis(n, s) == s->rank - 1;
}

/* Floats of a run that a concat copies from the shape. */
static size_t run_of(const rt_node *n, const rt_shape *s)
{
    size_t run = 1;
    for (int i = rt_axis(n, s); i < s->rank; i++) run *= (size_t)s->dim[i];
    return run;
}

static rt_status infer_concat(rt_graph *g, rt_node *n, rt_shape *out)
{
    *out = g->tensor[n->in[0]].shape;
    RT_TRY(rt_axis_check(n, out));
    int axis = rt_axis(n, out);
    for (int i = 1; i < n->inputs; i++) {
        rt_shape s = g->tensor[n->in[i]].shape;
        int c = axis < s.rank ? s.dim[axis] : 0;
        s.dim[axis] = out->dim[axis];
        if (!rt_shape_equal(&s, out))
            return rt_fail(RT_USAGE, "input %d differs from input 0 in more than its %s", i,
                           axis == out->rank - 1 ? "last dimension" : "dimension of the axis");
        if (__builtin_add_overflow(out->dim[axis], c, &out->dim[axis]))
            return rt_fail(RT_USAGE, "the inputs together are too large");
    }
    return RT_OK;
}

enum { AT_ONCE = RT_CALL_VALUES - 1 };        /* inputs that a call copies; the last value is the output */

/* Copies flag (px, from) blocks, from input at[0] on, into (px, total) at channel at[1]. */
static void run_concat(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    const rt_shape *s = rt_shape_of(x->plan, c->node->out);
    size_t total = run_of(c->node, s), px = rt_floats_of(x, c->node->out, rows) / total;
    float *y = (float *)rt_at(x, c->value[AT_ONCE], row0) + c->at[1];
    for (int i = 0; i < c->flag; i++) {
        const rt_shape *f = rt_shape_of(x->plan, c->node->in[c->at[0] + i]);
        size_t from = run_of(c->node, f);
        const float *a = rt_at(x, c->value[i], row0);
        for (size_t p = 0; p < px; p++) memcpy(y + p * total, a + p * from, from * sizeof *y);
        y += from;
    }
}

static void forward_concat(rt_plan *p, const rt_node *n)
{
    int v[AT_ONCE], out = -1;
    ptrdiff_t at = 0, next = 0;
    for (int first = 0; first < n->inputs; first += AT_ONCE, at = next) {
        int count = n->inputs - first < AT_ONCE ? n->inputs - first : AT_ONCE;
        for (int i = 0; i < count; i++) {
            const rt_shape *f = rt_shape_of(p, n->in[first + i]);
            next += (ptrdiff_t)run_of(n, f);
            v[i] = rt_plan_read(p, n->in[first + i]);
        }
        if (first == 0) out = rt_plan_write(p, n->out);
        rt_call *c = rt_plan_rows(p, "concat", n, run_concat);
        memcpy(c->value, v, (size_t)count * sizeof v[0]);
        c->value[AT_ONCE] = out;
        c->at[0] = first;
        c->at[1] = at;
        c->flag = count;
    }
}

static void run_concat_back(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    const rt_shape *s = rt_shape_of(x->plan, c->node->out), *f = rt_shape_of(x->plan, c->node->in[c->at[0]]);
    size_t total = run_of(c->node, s), px = rt_floats_of(x, c->node->out, rows) / total, to = run_of(c->node, f);
    const float *dy = (const float *)rt_at(x, c->value[0], row0) + c->at[1];
    float *dx = rt_at(x, c->value[1], row0);
    for (size_t p = 0; p < px; p++, dx += to, dy += total) {
        if (c->flag) for (size_t i = 0; i < to; i++) dx[i] += dy[i];
        else memcpy(dx, dy, to * sizeof *dx);
    }
}

static void backward_concat(rt_plan *p, const rt_node *n)
{
    int dy = rt_plan_grad_read(p, n->out);
    ptrdiff_t at = 0;
    for (int i = 0; i < n->inputs; i++) {
        const rt_shape *f = rt_shape_of(p, n->in[i]);
        if (rt_plan_needs_grad(p, n->in[i])) {
            int accumulate, dx = rt_plan_grad_write(p, n->in[i], &accumulate);
            rt_call *c = rt_plan_rows(p, "concat back", n, run_concat_back);
            c->value[0] = dy;
            c->value[1] = dx;
            c->at[0] = i;
            c->at[1] = at;
            c->flag = accumulate;
        }
        at += (ptrdiff_t)run_of(n, f);
    }
}

static const rt_attr_spec axis_spec[] = {
    {"axis", RT_A_INT, offsetof(rt_axis_attr, axis), -RT_MAX_RANK, RT_MAX_RANK - 1, -1, RT_A_LATER,
     "the dimension; below 0 from the last", NULL}};
const rt_schema rt_axis_schema = {axis_spec, 1, sizeof(rt_axis_attr)};

const rt_op rt_op_concat = {.name = "concat",
                            .help = "inputs side by side along one dimension, the last unless another is told",
                            .min_inputs = 2,
                            .max_inputs = RT_MAX_NODES,
                            .schema = &rt_axis_schema,
                            .positions = 1,
                            .alone = rt_axis_is_last,
                            .infer = infer_concat,
                            .forward = forward_concat,
                            .backward = backward_concat};

/* ---- flatten and reshape: the planner gives input and output the same memory ---- */

static rt_status infer_flatten(rt_graph *g, rt_node *n, rt_shape *out)
{
    *out = (rt_shape){1, {(int)rt_shape_count(&g->tensor[n->in[0]].shape)}};
    return RT_OK;
}

static rt_status infer_reshape(rt_graph *g, rt_node *n, rt_shape *out)
{
    char a[64], b[64];
    *out = RT_ATTR(n, rt_shape_attr)->shape;
    if (rt_shape_count(out) != rt_shape_count(&g->tensor[n->in[0]].shape))
        return rt_fail(RT_USAGE, "cannot reshape %s to %s", rt_shape_text(&g->tensor[n->in[0]].shape, a),
                       rt_shape_text(out, b));
    return RT_OK;
}

const rt_op rt_op_flatten = {.name = "flatten", .help = "all of a row in one dimension",
                             .min_inputs = 1, .max_inputs = 1, .infer = infer_flatten, .view = 1};
const rt_op rt_op_reshape = {.name = "reshape", .help = "the same values in other dimensions",
                             .min_inputs = 1, .max_inputs = 1, .schema = &shape_schema,
                             .infer = infer_reshape, .view = 1};

/* ---- dropout: y = x mask / (1 - rate), the mask a function of (seed, epoch, step, row, element) ---- */

static void run_dropout(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    size_t n = rt_shape_count(rt_shape_of(x->plan, c->node->out)), part = n / (size_t)x->px;
    const float *in = rt_at(x, c->value[0], row0);
    float rate = RT_ATTR(c->node, rt_dropout_attr)->rate;
    float *out = rt_at(x, c->value[1], row0), keep = 1.0f / (1.0f - rate);
    uint32_t limit = (uint32_t)(rate * 4294967296.0), node = c->node->key;
    for (int r = row0; r < row0 + rows; r++, in += part, out += part) {
        size_t first = (size_t)(r % x->px) * part;
        for (size_t i = first & ~(size_t)3; i < first + part; i += 4) {
            uint32_t w[4];
            rt_random4(w, x->run->seed + ((uint64_t)node << 40), RT_RNG_DROPOUT, x->run->epoch, x->run->step,
                       x->run->row_base + (uint32_t)(r / x->px), (uint32_t)i);
            for (size_t k = 0; k < 4; k++) {
                if (i + k < first || i + k >= first + part) continue;
                size_t at = i + k - first;
                float v = w[k] < limit ? 0.0f : in[at] * keep;
                out[at] = c->flag ? out[at] + v : v;
            }
        }
    }
}

static void emit_dropout(rt_plan *p, const rt_node *n, const char *what, int in, int out, int accumulate)
{
    rt_call *c = rt_plan_rows(p, what, n, run_dropout);
    c->value[0] = in;
    c->value[1] = out;
    c->flag = accumulate;
}

static void forward_dropout(rt_plan *p, const rt_node *n)
{
    int in = rt_plan_read(p, n->in[0]), out = rt_plan_write(p, n->out);
    emit_dropout(p, n, "dropout", in, out, 0);
}

static void backward_dropout(rt_plan *p, const rt_node *n)
{
    int accumulate, dy = rt_plan_grad_read(p, n->out), dx = rt_plan_grad_write(p, n->in[0], &accumulate);
    emit_dropout(p, n, "dropout back", dy, dx, accumulate);
}

static const rt_attr_spec dropout_spec[] = {{"rate", RT_A_NUMBER, offsetof(rt_dropout_attr, rate), 0, 0.999, 0.5, 0,
                                             "share of the values that training sets to 0"}};
static const rt_schema dropout_schema = {dropout_spec, 1, sizeof(rt_dropout_attr)};

const rt_op rt_op_dropout = {.name = "dropout",
                             .help = "in training x mask / (1 - rate), else x",
                             .min_inputs = 1,
                             .max_inputs = 1,
                             .schema = &dropout_schema,
                             .positions = 1,
                             .infer = infer_same,
                             .forward = forward_dropout,
                             .backward = backward_dropout,
                             .recompute = 1};
