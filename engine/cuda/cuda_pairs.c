/* engine/cuda/cuda_pairs.c - operators on cards whose operands broadcast: functions of two numbers, a choice between
 * two, rows that are a field, dimensions repeated. */
#include "engine/cuda/cuda_elements.h"
#include "engine/cuda/cuda_sums.h"

static size_t all(const rt_cuda_emit *e, const rt_node *n) { return rt_cuda_size(e, n->out) * (size_t)e->rows; }

rt_space rt_space_of_runs(const rt_runs *r)
{
    rt_space s = {0};
    for (int i = 0; i < r->runs; i++)
        rt_space_add(&s, r->count[i], r->stride[0][i], r->operands > 1 ? r->stride[1][i] : 0,
                     r->operands > 2 ? r->stride[2][i] : 0);
    return s;
}

/* Places an operand has, and how often it repeats each. */
static size_t places_of(const rt_runs *r, int by, int kept)
{
    size_t n = 1;
    for (int i = 0; i < r->runs; i++) if ((r->stride[by][i] != 0) == kept) n *= r->count[i];
    return n;
}

static void no_gradient(rt_cuda_emit *e, float *dx, int add, size_t n)
{ if (dx && !add) cudaMemsetAsync(dx, 0, n * sizeof *dx, e->stream); }

/* to (+)= the sums of dy over what operand `by` repeats. */
static void sum_repeats(rt_cuda_emit *e, float *to, int add, const float *dy, const rt_runs *r, int by)
{
    rt_folding f = {.what = RT_FOLDS_PAIR, .f = RT_BINARY_ADD, .x = dy, .out = to, .add = add};
    rt_folding_spaces(&f, r, by);
    rt_cuda_sum(e, &f);
}

/* to (+)= from, n of them. */
static void pass_on(rt_cuda_emit *e, float *to, int add, const float *from, size_t n)
{
    rt_space s = {0};
    rt_space_add(&s, n, 1, 0, 0);
    rt_k_spread(e->stream, to, from, &s, add);
}

/* ---- functions of two numbers ---- */

static rt_runs pair_runs(const rt_graph *g, const rt_node *n, int rows)
{
    unsigned fields = (rt_binary_input(n, 0) < 0) | (unsigned)(rt_binary_input(n, 1) < 0) << 1;
    const rt_shape *const shape[2] = {rt_binary_shape(g, n, 0), rt_binary_shape(g, n, 1)};
    return rt_runs_of(&g->tensor[n->out].shape, shape, 2, 1, rows, fields);
}

static const float *side_of(const rt_cuda_emit *e, const rt_node *n, int side)
{
    int i = rt_binary_input(n, side);
    return i < 0 ? rt_cuda_field(e, n, 0) : rt_cuda_value(e, n->in[i]);
}

static size_t pair_scratch(const rt_graph *g, const rt_node *n, int batch, int train)
{
    size_t most = 0;
    if (!train || rt_is_plain_pair(g, n)) return 0;
    rt_runs r = pair_runs(g, n, batch);
    for (int side = 0; side < 2; side++) {
        size_t places = places_of(&r, side, 0), room = rt_cuda_sum_room(places_of(&r, side, 1), places);
        if (places > 1 && room > most) most = room;
    }
    return most;
}

static rt_status pair(rt_cuda_emit *e, const rt_node *n)
{
    const float *a = side_of(e, n, 0), *b = side_of(e, n, 1);
    float *y = rt_cuda_value(e, n->out);
    if (n->op == RT_OP_ADD && rt_is_plain_pair(e->graph, n)) {
        const rt_epilogue *end = RT_ATTR(n, rt_epilogue);
        rt_k_add(e->stream, y, a, b, all(e, n), end->act, end->slope);
    } else {
        rt_runs r = pair_runs(e->graph, n, e->rows);
        rt_space s = rt_space_of_runs(&r);
        rt_k_pair(e->stream, y, a, b, &s, rt_binary_of(n));
    }
    return rt_cuda_launched(e, n);
}

static rt_status plain_back(rt_cuda_emit *e, const rt_node *n)
{
    int add_a = 0, add_b = 0;
    const float *dy = rt_cuda_grad(e, n);
    float *da = rt_cuda_grad_into(e, n, 0, &add_a), *db = rt_cuda_grad_into(e, n, 1, &add_b);
    if (n->op == RT_OP_ADD)
        rt_k_add_grad(e->stream, da, add_a, db, add_b, dy, rt_cuda_value(e, n->out), all(e, n),
                      RT_ATTR(n, rt_epilogue)->act);
    else
        rt_k_multiply_grad(e->stream, da, add_a, db, add_b, dy, rt_cuda_value(e, n->in[0]), rt_cuda_value(e, n->in[1]),
                           all(e, n));
    return rt_cuda_launched(e, n);
}

static void side_back(rt_cuda_emit *e, const rt_node *n, int side, float *dx, int add, const float *dy)
{
    rt_binary f = rt_binary_of(n);
    rt_runs r = pair_runs(e->graph, n, e->rows);
    const float *a = side_of(e, n, 0), *b = side_of(e, n, 1);
    int as_it_is = f == RT_BINARY_ADD || (f == RT_BINARY_SUBTRACT && !side);
    if (!rt_binary_has_gradient(f)) no_gradient(e, dx, add, places_of(&r, side, 1));
    else if (places_of(&r, side, 0) > 1) {
        rt_folding s = {.what = RT_FOLDS_PAIR, .f = f, .side = side, .x = dy, .a = a, .b = b, .out = dx, .add = add};
        if (f == RT_BINARY_ADD || f == RT_BINARY_SUBTRACT) s.a = s.b = NULL;
        rt_folding_spaces(&s, &r, side);
        rt_cuda_sum(e, &s);
    } else if (as_it_is) pass_on(e, dx, add, dy, all(e, n));
    else {
        rt_space s = rt_space_of_runs(&r);
        rt_k_pair_grad(e->stream, dx, dy, a, b, &s, f, side, add);
    }
}

static rt_status pair_back(rt_cuda_emit *e, const rt_node *n)
{
    if (rt_is_plain_pair(e->graph, n)) return plain_back(e, n);
    const float *dy = rt_cuda_grad(e, n);
    for (int side = 0; side < 2; side++) {
        int add = 0, i = rt_binary_input(n, side);
        float *dx = i < 0 ? rt_cuda_field_grad(e, n, 0, &add) : rt_cuda_grad_into(e, n, i, &add);
        if (dx) side_back(e, n, side, dx, add, dy);
    }
    return rt_cuda_launched(e, n);
}

const rt_cuda_op rt_cuda_pair = {.scratch = pair_scratch, .forward = pair, .backward = pair_back};

/* ---- where ---- */

static rt_runs where_runs(const rt_graph *g, const rt_node *n, int rows)
{
    const rt_shape *const shape[3] = {&g->tensor[n->in[0]].shape, &g->tensor[n->in[1]].shape,
                                      &g->tensor[n->in[2]].shape};
    return rt_runs_of(&g->tensor[n->out].shape, shape, 3, 1, rows, 0);
}

static size_t where_scratch(const rt_graph *g, const rt_node *n, int batch, int train)
{
    size_t most = 0;
    rt_runs r = where_runs(g, n, batch);
    for (int i = 1; i < 3 && train; i++) {
        size_t places = places_of(&r, i, 0), room = rt_cuda_sum_room(places_of(&r, i, 1), places);
        if (places > 1 && room > most) most = room;
    }
    return most;
}

static rt_status where(rt_cuda_emit *e, const rt_node *n)
{
    rt_runs r = where_runs(e->graph, n, e->rows);
    rt_space s = rt_space_of_runs(&r);
    rt_k_where(e->stream, rt_cuda_value(e, n->out), rt_cuda_value(e, n->in[0]), rt_cuda_value(e, n->in[1]),
               rt_cuda_value(e, n->in[2]), &s);
    return rt_cuda_launched(e, n);
}

static rt_status where_back(rt_cuda_emit *e, const rt_node *n)
{
    rt_runs r = where_runs(e->graph, n, e->rows);
    const float *dy = rt_cuda_grad(e, n), *condition = rt_cuda_value(e, n->in[0]);
    for (int i = 0; i < 3; i++) {
        int add = 0;
        float *dx = rt_cuda_grad_into(e, n, i, &add);
        if (!dx) continue;
        if (!i) no_gradient(e, dx, add, places_of(&r, 0, 1));
        else if (places_of(&r, i, 0) > 1) {
            rt_folding f = {.what = RT_FOLDS_WHERE, .side = i - 1, .x = dy, .a = condition, .out = dx, .add = add};
            rt_folding_spaces(&f, &r, i);
            rt_cuda_sum(e, &f);
        } else {
            rt_space s = {0};
            for (int k = 0; k < r.runs; k++) rt_space_add(&s, r.count[k], r.stride[0][k], 0, 0);
            rt_k_where_grad(e->stream, dx, dy, condition, &s, i - 1, add);
        }
    }
    return rt_cuda_launched(e, n);
}

const rt_cuda_op rt_cuda_where = {.scratch = where_scratch, .forward = where, .backward = where_back};

/* ---- constant: every row is the field; expand: dimensions of one repeated ---- */

static rt_runs spread_runs(const rt_graph *g, const rt_node *n, int rows)
{
    const rt_shape *out = &g->tensor[n->out].shape, *from = n->inputs ? &g->tensor[n->in[0]].shape : out;
    return rt_runs_of(out, &from, 1, 1, rows, !n->inputs);
}

static size_t spread_scratch(const rt_graph *g, const rt_node *n, int batch, int train)
{
    rt_runs r = spread_runs(g, n, batch);
    size_t places = places_of(&r, 0, 0);
    return train && places > 1 ? rt_cuda_sum_room(places_of(&r, 0, 1), places) : 0;
}

static rt_status spread(rt_cuda_emit *e, const rt_node *n)
{
    rt_runs r = spread_runs(e->graph, n, e->rows);
    rt_space s = rt_space_of_runs(&r);
    const float *x = n->inputs ? rt_cuda_value(e, n->in[0]) : rt_cuda_field(e, n, 0);
    rt_k_spread(e->stream, rt_cuda_value(e, n->out), x, &s, 0);
    return rt_cuda_launched(e, n);
}

static rt_status spread_back(rt_cuda_emit *e, const rt_node *n)
{
    rt_runs r = spread_runs(e->graph, n, e->rows);
    int add = 0;
    const float *dy = rt_cuda_grad(e, n);
    float *dx = n->inputs ? rt_cuda_grad_into(e, n, 0, &add) : rt_cuda_field_grad(e, n, 0, &add);
    if (dx && places_of(&r, 0, 0) > 1) sum_repeats(e, dx, add, dy, &r, 0);
    else if (dx) pass_on(e, dx, add, dy, all(e, n));
    return rt_cuda_launched(e, n);
}

const rt_cuda_op rt_cuda_constant = {.scratch = spread_scratch, .forward = spread, .backward = spread_back};
const rt_cuda_op rt_cuda_expand = {.scratch = spread_scratch, .forward = spread, .backward = spread_back};
