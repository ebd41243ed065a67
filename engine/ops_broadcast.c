/* engine/ops_broadcast.c - functions of two numbers, element by element, whose shapes broadcast: of two inputs, or of
 * one and an operand, a field of the layer's own; the list is RT_BINARY. Sums and products of two inputs of one shape
 * go their own, shorter way; a sum of them can end with an activation and take up batch norms. And a choice between two
 * by a third, and rows that are a field.
 *
 * Gradients are taken in the shape of the output, then added up over what an operand repeats, in that order. */
#include <string.h>

#include "engine/broadcast.h"

enum {
    SHORT = 16,
    SPREAD = 1024
}; /* a line shorter than that is computed with its neighbours, so many floats at a time */

rt_binary rt_binary_of(const rt_node *n)
{
    if (n->op == RT_OP_ADD) return RT_BINARY_ADD;
    if (n->op == RT_OP_MUL) return RT_BINARY_MULTIPLY;
    return (rt_binary)(RT_BINARY_SUBTRACT + (n->op - RT_OP_SUBTRACT) + (n->op >= RT_OP_DIVIDE));
}

int rt_binary_has_gradient(rt_binary f) { return f < RT_BINARY_LESS; }

int rt_is_plain_pair(const rt_graph *g, const rt_node *n)
{
    return (n->op == RT_OP_ADD || n->op == RT_OP_MUL) && n->inputs == 2 &&
           rt_shape_equal(&g->tensor[n->in[0]].shape, &g->tensor[n->in[1]].shape);
}

/* ---- sums and products of two inputs of one shape ---- */

static void run_pair(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    size_t n = rt_floats_of(x, c->node->out, rows);
    float *y = rt_at(x, c->value[2], row0);
    const float *a = rt_at(x, c->value[0], row0), *b = rt_at(x, c->value[1], row0);
    if (c->node->op == RT_OP_MUL) x->plan->k->mul(y, a, b, n);
    else x->plan->k->add_act(y, a, b, n, RT_ATTR(c->node, rt_epilogue)->act, RT_ATTR(c->node, rt_epilogue)->slope);
}

static void forward_pair(rt_plan *p, const rt_node *n)
{
    int a = rt_plan_read(p, n->in[0]), b = rt_plan_read(p, n->in[1]), out = rt_plan_write(p, n->out);
    rt_call *c = rt_plan_rows(p, rt_ops[n->op]->name, n, run_pair);
    c->value[0] = a;
    c->value[1] = b;
    c->value[2] = out;
}

/* y = act(a scale + shift + b), or b scaled and shifted, too: batch norms and their addition in one pass. */
static void run_add_norms(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    const rt_shape *s = rt_shape_of(x->plan, c->node->out);
    int ch = s->dim[s->rank - 1];
    const float *first = x->plan->buffer + c->at[0], *second = c->at[1] >= 0 ? x->plan->buffer + c->at[1] : NULL;
    float *shift = x->scratch, *one = shift + ch;
    for (int i = 0; i < ch; i++) {
        shift[i] = first[ch + i] + (second ? second[ch + i] : 0.0f);
        one[i] = 1.0f;
    }
    x->plan->k->affine2(rt_at(x, c->value[2], row0), rt_at(x, c->value[0], row0), rt_at(x, c->value[1], row0), first,
                        second ? second : one, shift, rt_floats_of(x, c->node->out, rows) / (size_t)ch, ch,
                        RT_ATTR(c->node, rt_epilogue)->act);
}

static void forward_sum(rt_plan *p, const rt_node *n)
{
    ptrdiff_t at[2] = {-1, -1};
    int in[2] = {rt_bn_raw(p, n->in[0], &at[0]), rt_bn_raw(p, n->in[1], &at[1])}, first = in[0] < 0;
    if (in[0] < 0 && in[1] < 0) {
        forward_pair(p, n);
        return;
    }
    if (in[!first] < 0) in[!first] = rt_plan_read(p, n->in[!first]);
    int out = rt_plan_write(p, n->out);
    const rt_shape *s = rt_shape_of(p, n->out);
    rt_plan_need_scratch(p, 2 * (size_t)s->dim[s->rank - 1]);
    rt_call *c = rt_plan_rows(p, "add norms", n, run_add_norms);
    c->value[0] = in[first];
    c->value[1] = in[!first];
    c->value[2] = out;
    c->at[0] = at[first];
    c->at[1] = at[!first];
}

static void back_sum(rt_plan *p, const rt_node *n)
{
    int dy = rt_act_back_in_place(p, n), twice = rt_memory_of(p, n->in[0]) == rt_memory_of(p, n->in[1]);
    for (int i = 0; i < 2; i++)
        if (rt_plan_needs_grad(p, n->in[i]) && (twice || !rt_plan_grad_share(p, n->out, n->in[i])))
            rt_grad_pass_on(p, n, dy, i);
}

static void run_mul_back(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    size_t n = rt_floats_of(x, c->node->out, rows);
    float *dx = rt_at(x, c->value[2], row0), *temp = c->flag ? rt_at(x, c->value[3], row0) : dx;
    x->plan->k->mul(temp, rt_at(x, c->value[0], row0), rt_at(x, c->value[1], row0), n);
    if (c->flag) x->plan->k->accumulate(dx, temp, n);
}

static void back_product(rt_plan *p, const rt_node *n)
{
    int dy = rt_plan_grad_read(p, n->out);
    for (int i = 0; i < 2; i++) {
        int accumulate, other = rt_plan_read(p, n->in[1 - i]);
        if (!rt_plan_needs_grad(p, n->in[i])) continue;
        int dx = rt_plan_grad_write(p, n->in[i], &accumulate);
        int temp = accumulate ? rt_plan_temp(p, p->value[dx].row_bytes) : -1;
        rt_call *c = rt_plan_rows(p, "multiply back", n, run_mul_back);
        c->value[0] = dy;
        c->value[1] = other;
        c->value[2] = dx;
        c->value[3] = temp;
        c->flag = accumulate;
    }
}

/* ---- all others ---- */

int rt_binary_input(const rt_node *n, int side)
{
    if (n->inputs == 2) return side;
    return side == RT_ATTR(n, rt_binary_attr)->reverse ? 0 : -1;
}

const rt_shape *rt_binary_shape(const rt_graph *g, const rt_node *n, int side)
{
    int i = rt_binary_input(n, side);
    return i >= 0 ? &g->tensor[n->in[i]].shape : &RT_ATTR(n, rt_binary_attr)->operand;
}

static rt_status infer(rt_graph *g, rt_node *n, rt_shape *out)
{
    const rt_binary_attr *a = RT_ATTR(n, rt_binary_attr);
    rt_binary f = rt_binary_of(n);
    if (n->inputs == 2 && (a->operand.rank || a->learned || a->reverse))
        return rt_fail(RT_USAGE, "takes two inputs, or one and an operand; of two there is no 'operand', 'learned' or "
                       "'reverse'");
    if (n->inputs == 1 && !a->operand.rank)
        return rt_fail(RT_USAGE, "takes two inputs, or one and the shape of an 'operand' of its own");
    RT_TRY(rt_broadcast(rt_binary_shape(g, n, 0), rt_binary_shape(g, n, 1), out));
    if (n->inputs == 2) return RT_OK;
    RT_TRY(rt_graph_check_shape(&a->operand));
    if (!a->learned) return rt_graph_constant(g, n, "operand", a->operand, NULL);
    rt_init init = f == RT_BINARY_MULTIPLY || f == RT_BINARY_DIVIDE || f == RT_BINARY_POWER ? RT_INIT_ONE
                                                                                            : RT_INIT_ZERO;
    return rt_graph_param(g, n, "operand", a->operand, init, 0, 0, 0);
}

/* Positions are alone where nothing but what lies within one is repeated. */
static int alone(const rt_graph *g, const rt_node *n)
{
    const rt_shape *out = &g->tensor[n->out].shape;
    for (int side = 0; side < 2; side++) {
        const rt_shape *s = rt_binary_shape(g, n, side);
        if (rt_binary_input(n, side) >= 0 ? !rt_shape_equal(s, out) : rt_shape_count(s) != (size_t)s->dim[s->rank - 1])
            return 0;
    }
    return 1;
}

static rt_runs runs_of(const rt_ctx *x, const rt_node *n, int rows)
{
    const rt_graph *g = x->plan->graph;
    const rt_shape *shape[2] = {rt_binary_shape(g, n, 0), rt_binary_shape(g, n, 1)};
    unsigned fields = (rt_binary_input(n, 0) < 0) | (unsigned)(rt_binary_input(n, 1) < 0) << 1;
    return rt_runs_of(&g->tensor[n->out].shape, shape, 2, x->px, rows, fields);
}

static const float *side_at(const rt_call *c, const rt_ctx *x, int side, int row0)
{ return rt_binary_input(c->node, side) >= 0 ? rt_at(x, c->value[side], row0) : rt_param(x, c->node, 0); }

typedef struct {
    const rt_kernels *k;
    const rt_runs *r;
    rt_binary f;
    int back;                          /* -1: forward; else the side by which to derive */
    const float *side[2], *dy;
    float *y, *scratch;
} pairing;

static void compute(const pairing *p, float *y, const float *dy, const rt_lines *l)
{
    if (p->back < 0) p->k->binary(y, l, p->f);
    else p->k->binary_back(y, dy, l, p->f, p->back);
}

static inline __attribute__((always_inline)) void repeat(float *to, const float *from, ptrdiff_t line, size_t lines,
                                                         const size_t n)
{
    for (size_t l = 0; l < lines; l++, from += line)
        for (size_t i = 0; i < n; i++) *to++ = *from;
}

/* What a side has for `lines` lines of n, one behind the other; again: it is what it was, at least. */
static const float *spread(float *to, const float *from, ptrdiff_t line, int step, size_t lines, size_t n, int again)
{
    if (step && line == (ptrdiff_t)n) return from;
    if (again && !line) return to;
    switch (step ? 0 : n) {
    case 0:
        for (size_t l = 0; l < lines; l++, from += line) memcpy(to + l * n, from, n * sizeof *to);
        break;
    case 1: repeat(to, from, line, lines, 1); break;
    case 2: repeat(to, from, line, lines, 2); break;
    case 3: repeat(to, from, line, lines, 3); break;
    case 4: repeat(to, from, line, lines, 4); break;
    default: repeat(to, from, line, lines, n); break;
    }
    return to;
}

static void pair_lines(void *arg, const ptrdiff_t *at, size_t out)
{
    const pairing *p = arg;
    const rt_runs *r = p->r;
    int more = r->runs > 1;
    rt_lines l = {.a = p->side[0] + at[0], .b = p->side[1] + at[1], .lines = more ? r->count[1] : 1, .n = r->count[0],
                  .a_step = r->stride[0][0] != 0, .b_step = r->stride[1][0] != 0,
                  .a_line = more ? r->stride[0][1] : 0, .b_line = more ? r->stride[1][1] : 0};
    float *y = p->y + out;
    const float *dy = p->dy ? p->dy + out : NULL;
    if (l.n >= SHORT || l.lines == 1) {
        compute(p, y, dy, &l);
        return;
    }
    size_t block = SPREAD / l.n, n = l.n, lines = l.lines;
    const float *a = l.a, *b = l.b;
    for (size_t first = 0; first < lines; first += block) {
        size_t count = lines - first < block ? lines - first : block;
        rt_lines flat = {.a_step = 1, .b_step = 1, .lines = 1, .n = count * n};
        flat.a = spread(p->scratch, a + (ptrdiff_t)first * l.a_line, l.a_line, l.a_step, count, n, first > 0);
        flat.b = spread(p->scratch + SPREAD, b + (ptrdiff_t)first * l.b_line, l.b_line, l.b_step, count, n, first > 0);
        compute(p, y + first * n, dy ? dy + first * n : NULL, &flat);
    }
}

static void run_binary(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    rt_runs r = runs_of(x, c->node, rows);
    pairing p = {.k = x->plan->k, .r = &r, .f = rt_binary_of(c->node), .back = -1, .y = rt_at(x, c->value[2], row0),
                 .scratch = x->scratch, .side = {side_at(c, x, 0, row0), side_at(c, x, 1, row0)}};
    rt_runs_each(&r, 2, pair_lines, &p);
}

static void read_sides(rt_plan *p, const rt_node *n, int value[2])
{
    for (int side = 0; side < 2; side++) {
        int i = rt_binary_input(n, side);
        value[side] = i >= 0 ? rt_plan_read(p, n->in[i]) : -1;
    }
}

static void forward_any(rt_plan *p, const rt_node *n)
{
    int in[2];
    read_sides(p, n, in);
    int out = rt_plan_write(p, n->out);
    rt_plan_need_scratch(p, 2 * SPREAD);
    rt_call *c = rt_plan_rows(p, rt_ops[n->op]->name, n, run_binary);
    c->value[0] = in[0];
    c->value[1] = in[1];
    c->value[2] = out;
    c->weights = 0;
}

static void forward(rt_plan *p, const rt_node *n)
{
    if (!rt_is_plain_pair(p->graph, n)) forward_any(p, n);
    else if (n->op == RT_OP_ADD) forward_sum(p, n);
    else forward_pair(p, n);
}

/* value: 0 and 1 the sides, 2 dy, 3 the gradient of a side that is an input, 4 room for what is not added up yet, or
 * -1; at[0]: the side. */
static void run_side_back(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    int side = (int)c->at[0], field = rt_binary_input(c->node, side) < 0;
    rt_runs r = runs_of(x, c->node, rows);
    const float *dy = rt_at(x, c->value[2], row0), *g = dy;
    float *dx = field ? rt_slot_grad(x, c->node, 0, row0) : rt_at(x, c->value[3], row0);
    size_t n = rt_floats_of(x, c->node->out, rows);
    if (!rt_binary_has_gradient(rt_binary_of(c->node))) {
        if (!field && !c->flag)
            memset(dx, 0, rt_floats_of(x, c->node->in[rt_binary_input(c->node, side)], rows) * sizeof *dx);
        return;
    }
    if (rt_binary_of(c->node) != RT_BINARY_ADD) {
        float *to = c->value[4] >= 0 ? rt_at(x, c->value[4], row0) : dx;
        pairing p = {.k = x->plan->k, .r = &r, .f = rt_binary_of(c->node), .back = side, .y = to, .dy = dy,
                     .scratch = x->scratch, .side = {side_at(c, x, 0, row0), side_at(c, x, 1, row0)}};
        rt_runs_each(&r, 2, pair_lines, &p);
        if (to == dx) return;
        g = to;
    }
    int repeats = 0;
    for (int i = 0; i < r.runs; i++) repeats |= !r.stride[side][i];
    if (repeats || field) rt_runs_sum(x->plan->k, &r, side, dx, g, c->flag || field);
    else if (c->flag) x->plan->k->accumulate(dx, g, n);
    else memcpy(dx, g, n * sizeof *dx);
}

static void backward_any(rt_plan *p, const rt_node *n)
{
    const rt_shape *out = rt_shape_of(p, n->out);
    for (int side = 0; side < 2; side++) {
        int i = rt_binary_input(n, side), accumulate = 0, in[2], dx = -1, temp = -1;
        if (i >= 0 ? !rt_plan_needs_grad(p, n->in[i]) : !rt_plan_trains(p, n, 0)) continue;
        read_sides(p, n, in);
        int dy = rt_plan_grad_read(p, n->out);
        if (i >= 0) dx = rt_plan_grad_write(p, n->in[i], &accumulate);
        if (rt_binary_of(n) != RT_BINARY_ADD &&
            (i < 0 || accumulate || !rt_shape_equal(rt_binary_shape(p->graph, n, side), out)))
            temp = rt_plan_temp(p, rt_shape_count(out) * sizeof(float));
        rt_plan_need_scratch(p, 2 * SPREAD);
        rt_call *c = rt_plan_rows(p, "operand back", n, run_side_back);
        int values[5] = {in[0], in[1], dy, dx, temp};
        memcpy(c->value, values, sizeof values);
        c->at[0] = side;
        c->flag = accumulate;
        c->weights = 0;
        if (i < 0) rt_plan_slot_grad(p, n, 0);
    }
}

static void backward(rt_plan *p, const rt_node *n)
{
    if (!rt_is_plain_pair(p->graph, n)) backward_any(p, n);
    else if (n->op == RT_OP_ADD) back_sum(p, n);
    else back_product(p, n);
}

static const rt_attr_spec binary_spec[] = {
    {"operand", RT_A_SHAPE, offsetof(rt_binary_attr, operand), 1, 1 << 24, 0, 0,
     "of one input: the shape of b, a field of the layer's own (values are its file's), which broadcasts with a", NULL},
    {"learned", RT_A_BOOL, offsetof(rt_binary_attr, learned), 0, 1, 0, RT_A_LATER, "the operand is trained", NULL},
    {"reverse", RT_A_BOOL, offsetof(rt_binary_attr, reverse), 0, 1, 0, RT_A_LATER, "the operand is a, and the input b",
     NULL}};
static const rt_schema binary_schema = {binary_spec, 3, sizeof(rt_binary_attr)};

#define X(E, n, h) \
    const rt_op rt_op_##n = {.name = #n, .help = h, .min_inputs = 1, .max_inputs = 2, .schema = &binary_schema, \
                             .positions = 1, .alone = alone, .infer = infer, .forward = forward, .backward = backward};
RT_BINARY(X)
#undef X

/* ---- where: b where a is not 0, else c ---- */

static rt_status infer_where(rt_graph *g, rt_node *n, rt_shape *out)
{
    rt_shape both;
    RT_TRY(rt_broadcast(&g->tensor[n->in[0]].shape, &g->tensor[n->in[1]].shape, &both));
    return rt_broadcast(&both, &g->tensor[n->in[2]].shape, out);
}

static int equal_shapes(const rt_graph *g, const rt_node *n)
{
    for (int i = 0; i < n->inputs; i++)
        if (!rt_shape_equal(&g->tensor[n->in[i]].shape, &g->tensor[n->out].shape)) return 0;
    return 1;
}

typedef struct { const rt_runs *r; const float *side[3], *dy; float *y; int back; } choosing;

static void choose(void *arg, const ptrdiff_t *at, size_t out)
{
    const choosing *w = arg;
    const float *a = w->side[0] + at[0], *b = w->side[1] + at[1], *c = w->side[2] + at[2];
    float *y = w->y + out;
    size_t n = w->r->count[0], sa = w->r->stride[0][0] != 0, sb = w->r->stride[1][0] != 0, sc = w->r->stride[2][0] != 0;
    if (w->back) {
        const float *dy = w->dy + out;
        for (size_t i = 0; i < n; i++) {
            int chosen = a[i * sa] < 0.0f || a[i * sa] > 0.0f || a[i * sa] != a[i * sa];
            y[i] = chosen == (w->back == 1) ? dy[i] : 0.0f;
        }
    } else {
        for (size_t i = 0; i < n; i++) {
            int chosen = a[i * sa] < 0.0f || a[i * sa] > 0.0f || a[i * sa] != a[i * sa];
            y[i] = chosen ? b[i * sb] : c[i * sc];
        }
    }
}

static rt_runs where_runs(const rt_ctx *x, const rt_node *n, int rows)
{
    const rt_graph *g = x->plan->graph;
    const rt_shape *shape[3] = {&g->tensor[n->in[0]].shape, &g->tensor[n->in[1]].shape, &g->tensor[n->in[2]].shape};
    return rt_runs_of(&g->tensor[n->out].shape, shape, 3, x->px, rows, 0);
}

static void run_where(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    rt_runs r = where_runs(x, c->node, rows);
    choosing w = {&r, {rt_at(x, c->value[0], row0), rt_at(x, c->value[1], row0), rt_at(x, c->value[2], row0)}, NULL,
                  rt_at(x, c->value[3], row0), 0};
    rt_runs_each(&r, 1, choose, &w);
}

static void forward_where(rt_plan *p, const rt_node *n)
{
    int in[3];
    for (int i = 0; i < 3; i++) in[i] = rt_plan_read(p, n->in[i]);
    int out = rt_plan_write(p, n->out);
    rt_call *c = rt_plan_rows(p, "where", n, run_where);
    memcpy(c->value, in, sizeof in);
    c->value[3] = out;
}

/* value: 0 the condition, 1 dy, 2 the gradient of input at[0], 3 room; of the condition it is 0. */
static void run_where_back(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    int side = (int)c->at[0];
    float *dx = rt_at(x, c->value[2], row0);
    if (!side) {
        if (!c->flag) memset(dx, 0, rt_floats_of(x, c->node->in[0], rows) * sizeof *dx);
        return;
    }
    rt_runs r = where_runs(x, c->node, rows);
    float *g = rt_at(x, c->value[3], row0);
    choosing w = {&r, {rt_at(x, c->value[0], row0), NULL, NULL}, rt_at(x, c->value[1], row0), g, side};
    rt_runs_each(&r, 1, choose, &w);
    rt_runs_sum(x->plan->k, &r, side, dx, g, c->flag);
}

static void backward_where(rt_plan *p, const rt_node *n)
{
    for (int side = 0; side < 3; side++) {
        if (!rt_plan_needs_grad(p, n->in[side])) continue;
        int accumulate, condition = rt_plan_read(p, n->in[0]), dy = rt_plan_grad_read(p, n->out),
                        dx = rt_plan_grad_write(p, n->in[side], &accumulate),
                        temp = rt_plan_temp(p, rt_shape_count(rt_shape_of(p, n->out)) * sizeof(float));
        rt_call *c = rt_plan_rows(p, "where back", n, run_where_back);
        int values[4] = {condition, dy, dx, temp};
        memcpy(c->value, values, sizeof values);
        c->at[0] = side;
        c->flag = accumulate;
    }
}

const rt_op rt_op_where = {
    .name = "where",
    .help = "of three inputs that broadcast: the second where the first is not 0, else the third",
    .min_inputs = 3,
    .max_inputs = 3,
    .positions = 1,
    .alone = equal_shapes,
    .infer = infer_where,
    .forward = forward_where,
    .backward = backward_where};
