/* engine/ops_move.c - operators that put values elsewhere, see move.h: permute, slice, pad, gather by constant places,
 * expand, tile. The gradient of a value is the sum of those of all places it went to. Axes are counted without the
 * batch. */
#include <float.h>
#include <limits.h>
#include <string.h>

#include "engine/broadcast.h"
#include "engine/move.h"

/* ---- what all have in common ---- */

static ptrdiff_t stride_of(const rt_shape *s, int axis)
{
    ptrdiff_t n = 1;
    for (int i = axis + 1; i < s->rank; i++) n *= s->dim[i];
    return n;
}

static rt_move_axis along(const rt_shape *in, int axis)
{ return (rt_move_axis){.count = in->dim[axis], .step = 1, .n = in->dim[axis], .stride = stride_of(in, axis)}; }

typedef void describe_fn(rt_move *, const rt_node *, const rt_shape *in, const rt_shape *out, const float *field);
static describe_fn permuted, sliced, padded, gathered, expanded, tiled;

rt_move rt_move_of(const rt_graph *g, const rt_node *n, const float *field)
{
    static describe_fn *const all[] = {permuted, sliced, padded, gathered, expanded, tiled};
    rt_move m = {.run = 1};
    all[n->op - RT_OP_PERMUTE](&m, n, &g->tensor[n->in[0]].shape, &g->tensor[n->out].shape, field);
    return m;
}

static rt_move move_of(const rt_plan *p, const rt_node *n, const float *field)
{
    rt_move m = rt_move_of(p->graph, n, field);
    rt_move_simplify(&m);
    return m;
}

static void run_forward(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    rt_move m = move_of(x->plan, c->node, rt_param(x, c->node, 0));
    size_t from = rt_shape_count(rt_shape_of(x->plan, c->node->in[0])),
           to = rt_shape_count(rt_shape_of(x->plan, c->node->out));
    const float *in = rt_at(x, c->value[0], row0);
    float *out = rt_at(x, c->value[1], row0);
    for (int r = 0; r < rows; r++, in += from, out += to) rt_move_forward(&m, out, in);
}

static void forward(rt_plan *p, const rt_node *n)
{
    int in = rt_plan_read(p, n->in[0]), out = rt_plan_write(p, n->out);
    rt_call *c = rt_plan_rows(p, rt_ops[n->op]->name, n, run_forward);
    c->value[0] = in;
    c->value[1] = out;
    c->weights = 0;
}

static void run_back(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    rt_move m = move_of(x->plan, c->node, rt_param(x, c->node, 0));
    size_t from = rt_shape_count(rt_shape_of(x->plan, c->node->in[0])),
           to = rt_shape_count(rt_shape_of(x->plan, c->node->out));
    const float *dy = rt_at(x, c->value[0], row0);
    float *dx = rt_at(x, c->value[1], row0);
    int assign = c->node->op == RT_OP_PERMUTE && !c->flag;
    if (!c->flag && !assign) memset(dx, 0, (size_t)rows * from * sizeof *dx);
    for (int r = 0; r < rows; r++, dx += from, dy += to) rt_move_back(&m, x->plan->k, dx, dy, assign);
}

static void backward(rt_plan *p, const rt_node *n)
{
    int accumulate, dy = rt_plan_grad_read(p, n->out), dx = rt_plan_grad_write(p, n->in[0], &accumulate);
    rt_call *c = rt_plan_rows(p, "move back", n, run_back);
    c->value[0] = dy;
    c->value[1] = dx;
    c->flag = accumulate;
    c->weights = 0;
}

#define MOVE(n, table, h, rule) \
    static const rt_schema n##_schema = {table, sizeof table / sizeof *table, sizeof(rt_##n##_attr)}; \
    const rt_op rt_op_##n = {.name = #n, .help = h, .min_inputs = 1, .max_inputs = 1, .schema = &n##_schema, \
                             .infer = rule, .forward = forward, .backward = backward};

/* A list that has a number for each axis. */
static rt_status one_each(const rt_ints *list, const char *name, int rank)
{
    if (list->count == rank) return RT_OK;
    return rt_fail(RT_USAGE, "'%s' has %d numbers, and the input %d dimensions: give one each", name, list->count,
                   rank);
}

/* ---- permute: out[i_0, i_1, ...] = in[..., i_0 at axes[0], ...] ---- */

static rt_status infer_permute(rt_graph *g, rt_node *n, rt_shape *out)
{
    const rt_shape *in = &g->tensor[n->in[0]].shape;
    const rt_ints *axes = &RT_ATTR(n, rt_permute_attr)->axes;
    unsigned seen = 0;
    RT_TRY(one_each(axes, "axes", in->rank));
    *out = (rt_shape){.rank = in->rank};
    for (int i = 0; i < in->rank; i++) {
        int a = axes->value[i];
        if (a >= in->rank || seen >> a & 1)
            return rt_fail(RT_USAGE, "'axes' must hold each number from 0 to %d once", in->rank - 1);
        seen |= 1u << a;
        out->dim[i] = in->dim[a];
    }
    return RT_OK;
}

static void permuted(rt_move *m, const rt_node *n, const rt_shape *in, const rt_shape *out, const float *field)
{
    (void)field;
    for (int i = 0; i < out->rank; i++) m->axis[m->axes++] = along(in, RT_ATTR(n, rt_permute_attr)->axes.value[i]);
}

static const rt_attr_spec permute_spec[] = {
    {"axes", RT_A_INTS, offsetof(rt_permute_attr, axes), 0, RT_MAX_RANK - 1, 0, 1,
     "which dimension of the input each one of the output is; the batch is not counted", NULL}};
MOVE(permute, permute_spec, "dimensions in another order", infer_permute)

/* ---- slice: from start to before end, as NumPy has it ---- */

static int number(const rt_ints *list, int i, int fallback) { return i < list->count ? list->value[i] : fallback; }

/* The first index, and how many there are from there in steps: Python's rules for indices below 0 and out of range. */
static int slice_of(const rt_slice_attr *a, int axis, int n, int *first)
{
    int64_t step = number(&a->step, axis, 1), start = number(&a->start, axis, step > 0 ? 0 : INT_MAX),
            end = number(&a->end, axis, step > 0 ? INT_MAX : INT_MIN);
    start += start < 0 ? n : 0;
    end += end < 0 ? n : 0;
    int64_t low = step > 0 ? 0 : -1, high = step > 0 ? n : n - 1;
    start = start < low ? low : start > high ? high : start;
    end = end < low ? low : end > high ? high : end;
    *first = (int)start;
    int64_t span = step > 0 ? end - start : start - end, size = step > 0 ? step : -step;
    return span > 0 ? (int)((span + size - 1) / size) : 0;
}

static rt_status infer_slice(rt_graph *g, rt_node *n, rt_shape *out)
{
    const rt_shape *in = &g->tensor[n->in[0]].shape;
    const rt_slice_attr *a = RT_ATTR(n, rt_slice_attr);
    const struct { const rt_ints *list; const char *name; } lists[] = {{&a->start, "start"}, {&a->end, "end"},
                                                                       {&a->step, "step"}};
    int given = 0, first;
    for (int i = 0; i < 3; i++) {
        if (lists[i].list->count) RT_TRY(one_each(lists[i].list, lists[i].name, in->rank));
        given += lists[i].list->count;
    }
    if (!given) return rt_fail(RT_USAGE, "needs 'start', 'end' or 'step', each a list of one number a dimension");
    *out = *in;
    for (int i = 0; i < in->rank; i++) {
        if (a->step.count && !a->step.value[i]) return rt_fail(RT_USAGE, "'step' must not be 0");
        out->dim[i] = slice_of(a, i, in->dim[i], &first);
        if (!out->dim[i]) return rt_fail(RT_USAGE, "nothing is left of dimension %d, which has %d", i, in->dim[i]);
    }
    return RT_OK;
}

static void sliced(rt_move *m, const rt_node *n, const rt_shape *in, const rt_shape *out, const float *field)
{
    (void)field;
    for (int i = 0; i < out->rank; i++) {
        rt_move_axis a = along(in, i);
        a.count = slice_of(RT_ATTR(n, rt_slice_attr), i, in->dim[i], &a.first);
        a.step = a.count > 1 ? number(&RT_ATTR(n, rt_slice_attr)->step, i, 1) : 1;
        m->axis[m->axes++] = a;
    }
}

#define FROM_END "a number a dimension; below 0 from the end"
static const rt_attr_spec slice_spec[] = {{"start", RT_A_INTS, offsetof(rt_slice_attr, start), INT_MIN, INT_MAX, 0, 0,
                                           FROM_END "; the beginning if not given", NULL},
                                          {"end", RT_A_INTS, offsetof(rt_slice_attr, end), INT_MIN, INT_MAX, 0, 0,
                                           "the first that is left out, " FROM_END "; none if not given", NULL},
                                          {"step", RT_A_INTS, offsetof(rt_slice_attr, step), INT_MIN + 1, INT_MAX, 0, 0,
                                           "a number a dimension, not 0; below 0: backwards; 1 if not given", NULL}};
MOVE(slice, slice_spec, "a part of each dimension, from start to before end in steps", infer_slice)

/* ---- pad ---- */

static rt_status infer_pad(rt_graph *g, rt_node *n, rt_shape *out)
{
    const rt_shape *in = &g->tensor[n->in[0]].shape;
    const rt_pad_attr *a = RT_ATTR(n, rt_pad_attr);
    if (!a->before.count && !a->behind.count) return rt_fail(RT_USAGE, "needs 'before' or 'behind'");
    if (a->before.count) RT_TRY(one_each(&a->before, "before", in->rank));
    if (a->behind.count) RT_TRY(one_each(&a->behind, "behind", in->rank));
    *out = *in;
    for (int i = 0; i < in->rank; i++) {
        int64_t d = (int64_t)in->dim[i] + number(&a->before, i, 0) + number(&a->behind, i, 0);
        if (d < 1 || d > INT_MAX)
            return rt_fail(RT_USAGE, "dimension %d would have %lld values", i, (long long)d);
        out->dim[i] = (int)d;
    }
    return RT_OK;
}

static void padded(rt_move *m, const rt_node *n, const rt_shape *in, const rt_shape *out, const float *field)
{
    const rt_pad_attr *a = RT_ATTR(n, rt_pad_attr);
    (void)field;
    m->value = a->value;
    for (int i = 0; i < out->rank; i++) {
        rt_move_axis x = along(in, i);
        int before = number(&a->before, i, 0), behind = number(&a->behind, i, 0);
        x.count = out->dim[i];
        if (before > 0 || behind > 0) {
            x.kind = RT_MOVE_PAD;
            x.first = before;
            x.mode = a->mode;
        } else x.first = -before;
        m->axis[m->axes++] = x;
    }
}

static const char *const pad_modes[] = {"constant", "reflect", "edge", "wrap", NULL};
static const rt_attr_spec pad_spec[] = {
    {"before", RT_A_INTS, offsetof(rt_pad_attr, before), -(1 << 24), 1 << 24, 0, 0,
     "a number a dimension; below 0: so many are cut away; 0 if not given", NULL},
    {"behind", RT_A_INTS, offsetof(rt_pad_attr, behind), -(1 << 24), 1 << 24, 0, 0, "the same at the end", NULL},
    {"mode", RT_A_CHOICE, offsetof(rt_pad_attr, mode), 0, 3, 0, 0,
     "a value, the input mirrored at its first and last value, these repeated, or the input from its other end",
     pad_modes},
    {"value", RT_A_NUMBER, offsetof(rt_pad_attr, value), -FLT_MAX, FLT_MAX, 0, 0, "of constant padding", NULL}};
MOVE(pad, pad_spec, "more values in front of each dimension and behind it, or fewer", infer_pad)

/* ---- gather: along one axis the places that a constant names ---- */

static int axis_of(int axis, int rank) { return axis < 0 ? axis + rank : axis; }

static rt_status infer_gather(rt_graph *g, rt_node *n, rt_shape *out)
{
    const rt_shape *in = &g->tensor[n->in[0]].shape;
    const rt_gather_attr *a = RT_ATTR(n, rt_gather_attr);
    int axis = axis_of(a->axis, in->rank);
    if (axis < 0 || axis >= in->rank)
        return rt_fail(RT_USAGE, "'axis' is %d, and the input has %d dimensions", a->axis, in->rank);
    if (in->rank - 1 + a->shape.rank > RT_MAX_RANK)
        return rt_fail(RT_USAGE, "the output would have %d dimensions, and %d are allowed",
                       in->rank - 1 + a->shape.rank, RT_MAX_RANK);
    RT_TRY(rt_graph_check_shape(&a->shape));
    *out = (rt_shape){.rank = 0};
    for (int i = 0; i < axis; i++) out->dim[out->rank++] = in->dim[i];
    for (int i = 0; i < a->shape.rank; i++) out->dim[out->rank++] = a->shape.dim[i];
    for (int i = axis + 1; i < in->rank; i++) out->dim[out->rank++] = in->dim[i];
    RT_TRY(rt_graph_check_shape(out));
    return rt_graph_constant(g, n, "indices", a->shape, NULL);
}

static void gathered(rt_move *m, const rt_node *n, const rt_shape *in, const rt_shape *out, const float *field)
{
    const rt_gather_attr *a = RT_ATTR(n, rt_gather_attr);
    (void)out;
    for (int i = 0; i < in->rank; i++) {
        rt_move_axis x = along(in, i);
        if (i == axis_of(a->axis, in->rank)) {
            x.kind = RT_MOVE_PICK;
            x.pick = field;
            x.count = (int)rt_shape_count(&a->shape);
        }
        m->axis[m->axes++] = x;
    }
}

static const rt_attr_spec gather_spec[] = {
    {"axis", RT_A_INT, offsetof(rt_gather_attr, axis), -RT_MAX_RANK, RT_MAX_RANK - 1, 0, 0,
     "the dimension; below 0 from the last", NULL},
    {"shape", RT_A_SHAPE, offsetof(rt_gather_attr, shape), 1, 1 << 24, 0, 1,
     "of its indices, a field (values are its file's), which stands in the place of the dimension", NULL}};
MOVE(gather, gather_spec, "values at constant places of a dimension; below 0 from its end, NaN where there is none",
     infer_gather)

/* ---- expand: dimensions of one become others; tile: each dimension several times ---- */

static rt_status infer_expand(rt_graph *g, rt_node *n, rt_shape *out)
{
    const rt_shape *in = &g->tensor[n->in[0]].shape;
    return rt_broadcast(in, &RT_ATTR(n, rt_expand_attr)->shape, out);
}

static void expanded(rt_move *m, const rt_node *n, const rt_shape *in, const rt_shape *out, const float *field)
{
    (void)n;
    (void)field;
    for (int i = 0; i < out->rank; i++) {
        int from = i - (out->rank - in->rank);
        rt_move_axis a = {.step = 1};
        if (from >= 0 && in->dim[from] > 1) a = along(in, from);
        a.count = out->dim[i];
        m->axis[m->axes++] = a;
    }
}

static const rt_attr_spec expand_spec[] = {
    {"shape", RT_A_SHAPE, offsetof(rt_expand_attr, shape), 1, 1 << 24, 0, 1,
     "what the input's shape broadcasts with; 1 leaves a dimension as it is", NULL}};
MOVE(expand, expand_spec, "dimensions of 1 repeated, as NumPy broadcasts", infer_expand)

static rt_status infer_tile(rt_graph *g, rt_node *n, rt_shape *out)
{
    const rt_ints *repeats = &RT_ATTR(n, rt_tile_attr)->repeats;
    *out = g->tensor[n->in[0]].shape;
    RT_TRY(one_each(repeats, "repeats", out->rank));
    for (int i = 0; i < out->rank; i++)
        if (__builtin_mul_overflow(out->dim[i], repeats->value[i], &out->dim[i]))
            return rt_fail(RT_USAGE, "dimension %d would have too many values", i);
    return RT_OK;
}

static void tiled(rt_move *m, const rt_node *n, const rt_shape *in, const rt_shape *out, const float *field)
{
    (void)field;
    for (int i = 0; i < out->rank; i++) {
        rt_move_axis a = along(in, i);
        a.count = out->dim[i];
        if (RT_ATTR(n, rt_tile_attr)->repeats.value[i] > 1) a.kind = RT_MOVE_TILE;
        m->axis[m->axes++] = a;
    }
}

static const rt_attr_spec tile_spec[] = {
    {"repeats", RT_A_INTS, offsetof(rt_tile_attr, repeats), 1, 1 << 24, 0, 1, "how often, a number a dimension", NULL}};
MOVE(tile, tile_spec, "each dimension several times, one behind the other", infer_tile)
