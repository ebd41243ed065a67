/* student/onnx/onnx_lower_moves.c - what moves elements: most of it changes how a value is seen, and costs nothing. */
#include <limits.h>
#include <string.h>

#include "student/onnx/onnx_lower.h"

static rt_status same(rt_lowering *l, const rt_eval_node *n)
{
    rt_lower_alias(l, n, 0, rt_lower_in(l, n, 0));
    return RT_OK;
}

/* Numbers stay numbers, whatever their precision, and ids ids: what a teacher of halves loses by rounding is not lost
 * here. */
static rt_status cast(rt_lowering *l, const rt_eval_node *n)
{
    const rt_array *from = l->row->value[n->in[0]], *to = rt_lower_shape(l, n, 0);
    int numbers = to->type == RT_F16 || to->type == RT_BF16 || to->type == RT_F32 || to->type == RT_F64;
    int exact = numbers || from->type == to->type || from->type == RT_BOOL ||
                (rt_array_is_integer(from) && (to->type == RT_I64 || (to->type == RT_I32 && from->type != RT_U32 &&
                                                                      from->type != RT_U64)));
    if (!rt_lower_in(l, n, 0)) return rt_lower_no(l, "casts a constant");
    if (!exact || (rt_array_is_integer(from) && rt_array_is_float(to) && rt_lower_in(l, n, 0)->ids))
        return rt_lower_no(l, "a cast that rounds");
    return same(l, n);
}

/* Axes longer than one, as they come in the shape, and in memory (order; NULL: the same). */
static int long_axes(const int64_t *dim, int rank, const int *order, int list[RT_ARRAY_RANK])
{
    int n = 0;
    for (int i = 0; i < rank; i++) if (dim[order ? order[i] : i] != 1) list[n++] = order ? order[i] : i;
    return n;
}

/* Where the new shape merges axes that lie side by side in memory, too, splits some, lets ones come and go, axes keep
 * their places in memory: the order of y's. 0: not so. */
static int regroup(const rt_lowered_value *x, rt_lowered_value *y)
{
    int from[RT_ARRAY_RANK], to[RT_ARRAY_RANK], memory[RT_ARRAY_RANK], first[RT_ARRAY_RANK], behind[RT_ARRAY_RANK],
        taken[RT_ARRAY_RANK] = {0}, order[RT_ARRAY_RANK], k = 0, n = 0,
        nx = long_axes(x->dim, x->rank, NULL, from), ny = long_axes(y->dim, y->rank, NULL, to);
    if (x->base_rank != x->rank || memcmp(x->base, x->dim, (size_t)x->rank * sizeof *x->dim)) return 0;
    long_axes(x->dim, x->rank, x->order, memory);
    for (int i = 0; i < nx;) {
        int a = i, b = k, at = 0;
        if (k == ny) return 0;
        int64_t p = x->dim[from[i++]], q = y->dim[to[k++]];
        while (p != q) {
            if (p < q ? i == nx : k == ny) return 0;
            if (p < q) p *= x->dim[from[i++]];
            else q *= y->dim[to[k++]];
        }
        if (!p || (i - a > 1 && k - b > 1)) return 0;
        while (memory[at] != from[a]) at++;
        for (int m = a; m < i; m++, at++) {
            if (at == nx || memory[at] != from[m]) return 0;
            first[from[m]] = m == a ? b : k;               /* the group's axes come with the first of its old ones */
            behind[from[m]] = k;
        }
    }
    if (k < ny) return 0;
    for (int i = 0; i < nx; i++)
        for (int m = first[memory[i]]; m < behind[memory[i]]; m++) taken[order[n++] = to[m]] = 1;
    for (int i = 0; i < y->rank; i++) if (!taken[i]) order[n++] = i;
    memcpy(y->order, order, sizeof order);
    y->base_rank = y->rank;
    memcpy(y->base, y->dim, sizeof y->base);
    return 1;
}

/* Reshape, Flatten, Squeeze, Unsqueeze: the order of elements, in ONNX's eyes, stays. */
static rt_status reshape(rt_lowering *l, const rt_eval_node *n)
{
    rt_lowered_value *x = rt_lower_in(l, n, 0);
    if (!x) return rt_lower_no(l, "a shape that depends on data");
    rt_lower_alias(l, n, 0, x);
    regroup(x, &l->v[n->out[0]]);
    return RT_OK;
}

static rt_status transpose(rt_lowering *l, const rt_eval_node *n)
{
    rt_lowered_value x = *rt_lower_in(l, n, 0);
    int to[RT_ARRAY_RANK];
    if (x.base_rank != x.rank || memcmp(x.base, x.dim, sizeof x.dim)) {     /* reshaped before: its own order first */
        rt_shape shape;
        if (!rt_lower_memory(l, &x, NULL, &shape)) return RT_OK;
        RT_TRY(rt_lower_as(l, &x, NULL, &shape, &x.layer));
        if (l->bad) return RT_OK;
        x.shape = shape;
        x.base_rank = x.rank;
        memcpy(x.base, x.dim, sizeof x.base);
        for (int i = 0; i < x.rank; i++) x.order[i] = i;
    }
    rt_lower_places(n, x.rank, to);
    rt_lower_alias(l, n, 0, &x);
    rt_lowered_value *y = &l->v[n->out[0]];
    memcpy(y->base, y->dim, sizeof y->base);
    for (int i = 0; i < x.rank; i++) y->order[i] = to[x.order[i]];
    return RT_OK;
}

/* ---- along axes ---- */

/* A value in an order that it can stay in: its own, or row-major where it was reshaped. Dimensions of one are left out
 * but for those that `grown`, as ONNX will have it, is longer in; place: of each axis among the layer's, -1: left out.
 */
typedef struct { const char *from; rt_shape shape; int order[RT_ARRAY_RANK], place[RT_ARRAY_RANK]; } laid;

static rt_status lay(rt_lowering *l, rt_lowered_value *v, const int64_t *grown, laid *x)
{
    int whole = v->base_rank == v->rank && !memcmp(v->base, v->dim, (size_t)v->rank * sizeof *v->dim);
    x->shape.rank = 0;
    for (int i = 0; i < v->rank; i++) x->order[i] = whole ? v->order[i] : i;
    for (int i = 0; i < v->rank; i++) {
        int axis = x->order[i];
        x->place[axis] = -1;
        if (v->dim[axis] == 1 && (!grown || grown[axis] == 1)) continue;
        if (x->shape.rank == RT_MAX_RANK || v->dim[axis] > INT32_MAX)
            return rt_lower_no(l, "a tensor of more dimensions than layers have");
        x->place[axis] = x->shape.rank;
        x->shape.dim[x->shape.rank++] = (int)v->dim[axis];
    }
    if (!x->shape.rank) x->shape.dim[x->shape.rank++] = 1;
    return rt_lower_as(l, v, x->order, &x->shape, &x->from);
}

/* What has the dimensions of ONNX's output, as a layer's. */
static rt_shape sized(const laid *x, const rt_array *y)
{
    rt_shape s = x->shape;
    for (int i = 0; i < y->rank; i++) if (x->place[i] >= 0) s.dim[x->place[i]] = (int)y->dim[i];
    return s;
}

static void add_ints(cJSON *j, const char *key, const int *v, int n)
{
    cJSON_AddItemToObject(j, key, cJSON_CreateIntArray(v, n));
}

/* Output i is [first, ..) in steps of the input along each axis, as long as ONNX has it. */
static rt_status part(rt_lowering *l, const rt_eval_node *n, int i, const laid *x, const int64_t *first,
                      const int64_t *step)
{
    const rt_array *y = rt_lower_shape(l, n, i);
    int start[RT_MAX_RANK] = {0}, end[RT_MAX_RANK], by[RT_MAX_RANK], backwards = 0;
    for (int k = 0; k < x->shape.rank; k++) end[k] = x->shape.dim[k], by[k] = 1;
    for (int a = 0; a < y->rank; a++) {
        int p = x->place[a];
        if (p < 0) continue;
        int64_t behind = first[a] + step[a] * y->dim[a];
        if (y->dim[a] < 1 || step[a] > INT32_MAX || step[a] < -INT32_MAX)
            return rt_lower_no(l, "nothing is left of a dimension");
        start[p] = (int)first[a];
        by[p] = (int)step[a];
        end[p] = behind > x->shape.dim[p] ? x->shape.dim[p] : behind < 0 ? INT32_MIN : (int)behind;
        backwards |= step[a] != 1;
    }
    cJSON *j = rt_lower_layer(l, "slice", n->name, &x->from, 1);
    add_ints(j, "start", start, x->shape.rank);
    add_ints(j, "end", end, x->shape.rank);
    if (backwards) add_ints(j, "step", by, x->shape.rank);
    rt_shape out = sized(x, y);
    rt_lower_give(l, n, i, j, &out, x->order);
    return RT_OK;
}

static rt_status slice(rt_lowering *l, const rt_eval_node *n)
{
    rt_lowered_value *v = rt_lower_in(l, n, 0);
    const int64_t *starts, *ends, *axes, *steps;
    int64_t first[RT_ARRAY_RANK] = {0}, step[RT_ARRAY_RANK];
    laid x;
    if (!v) return rt_lower_no(l, "its bounds depend on data");
    int count = rt_lower_list(l, n, 1, "starts", &starts), ended = rt_lower_list(l, n, 2, "ends", &ends),
        named = rt_lower_list(l, n, 3, "axes", &axes), stepped = rt_lower_list(l, n, 4, NULL, &steps);
    if (l->bad || count < 0 || ended != count || (named >= 0 && named != count) || (stepped >= 0 && stepped != count))
        return rt_lower_no(l, "its bounds depend on data");
    for (int i = 0; i < v->rank; i++) step[i] = 1;
    for (int i = 0; i < count; i++) {
        int64_t axis = named >= 0 ? axes[i] : i, by = stepped >= 0 ? steps[i] : 1;
        if (axis < 0) axis += v->rank;
        if (axis < 0 || axis >= v->rank || !by) return rt_lower_no(l, "an axis beyond its input's");
        int64_t d = v->dim[axis], at = starts[i] < 0 ? starts[i] + d : starts[i], most = by > 0 ? d : d - 1;
        first[axis] = at < 0 ? 0 : at > most ? most : at;
        step[axis] = by;
    }
    RT_TRY(lay(l, v, NULL, &x));
    return l->bad ? RT_OK : part(l, n, 0, &x, first, step);
}

static rt_status split(rt_lowering *l, const rt_eval_node *n)
{
    rt_lowered_value *v = rt_lower_in(l, n, 0);
    int64_t axis = rt_lower_int(n, "axis", 0), first[RT_ARRAY_RANK] = {0}, step[RT_ARRAY_RANK];
    laid x;
    if (!v) return rt_lower_no(l, "its sizes depend on data");
    if (axis < 0) axis += v->rank;
    for (int i = 0; i < v->rank; i++) step[i] = 1;
    RT_TRY(lay(l, v, NULL, &x));
    if (l->bad) return RT_OK;
    for (int i = 0; i < n->outputs; i++) {
        if (n->out[i] < 0) return rt_lower_no(l, "an output without a name");
        int64_t size = rt_lower_shape(l, n, i)->dim[axis];
        if (l->readers[n->out[i]]) RT_TRY(part(l, n, i, &x, first, step));
        if (l->bad) return RT_OK;
        first[axis] += size;
    }
    return RT_OK;
}

static rt_status pad(rt_lowering *l, const rt_eval_node *n)
{
    rt_lowered_value *v = rt_lower_in(l, n, 0);
    const rt_array *y = rt_lower_shape(l, n, 0), *value = rt_lower_const(l, n, 2);
    const int64_t *pads, *axes;
    const char *mode = rt_lower_string(n, "mode", "constant");
    int before[RT_MAX_RANK] = {0}, behind[RT_MAX_RANK] = {0};
    laid x;
    if (!v || (n->inputs > 2 && n->in[2] >= 0 && !value)) return rt_lower_no(l, "its padding depends on data");
    int count = rt_lower_list(l, n, 1, rt_lower_ints(n, "paddings", &pads) >= 0 ? "paddings" : "pads", &pads),
        named = rt_lower_list(l, n, 3, NULL, &axes), each = named >= 0 ? named : v->rank;
    if (l->bad || count != 2 * each) return rt_lower_no(l, "its padding depends on data");
    RT_TRY(lay(l, v, y->dim, &x));
    if (l->bad) return RT_OK;
    for (int i = 0; i < each; i++) {
        int64_t axis = named >= 0 ? axes[i] : i;
        if (axis < 0) axis += v->rank;
        if (axis < 0 || axis >= v->rank) return rt_lower_no(l, "an axis beyond its input's");
        if (x.place[axis] < 0) continue;
        before[x.place[axis]] = (int)pads[i];
        behind[x.place[axis]] = (int)pads[each + i];
    }
    double fill = value ? rt_array_double(value, 0) : rt_lower_float(n, "value", 0);
    cJSON *j = rt_lower_layer(l, "pad", n->name, &x.from, 1);
    add_ints(j, "before", before, x.shape.rank);
    add_ints(j, "behind", behind, x.shape.rank);
    if (strcmp(mode, "constant")) cJSON_AddStringToObject(j, "mode", mode);
    else if (fill != 0) cJSON_AddNumberToObject(j, "value", fill < -3.4e38 ? -3.4e38 : fill > 3.4e38 ? 3.4e38 : fill);
    rt_shape out = sized(&x, y);
    rt_lower_give(l, n, 0, j, &out, x.order);
    return RT_OK;
}

/* Expand and Tile: what is repeated has as many axes as the output, ones in front. */
static rt_status repeat(rt_lowering *l, const rt_eval_node *n)
{
    rt_lowered_value *v = rt_lower_in(l, n, 0), wide;
    const rt_array *y = rt_lower_shape(l, n, 0);
    int more, tile = !strcmp(n->op, "Tile"), times[RT_MAX_RANK], ones = 1;
    laid x;
    if (!v) return rt_lower_no(l, "its shape depends on data");
    wide = *v;
    more = y->rank - v->rank;
    if (more > 0) {                                        /* ones in front change no order */
        wide.rank += more;
        wide.base_rank += more;
        if (wide.rank > RT_ARRAY_RANK || wide.base_rank > RT_ARRAY_RANK)
            return rt_lower_no(l, "a tensor of more dimensions than layers have");
        for (int i = 0; i < v->rank; i++) wide.dim[i + more] = v->dim[i];
        for (int i = 0; i < v->base_rank; i++)
            wide.base[i + more] = v->base[i], wide.order[i + more] = v->order[i] + more;
        for (int i = 0; i < more; i++) wide.dim[i] = wide.base[i] = 1, wide.order[i] = i;
    }
    RT_TRY(lay(l, &wide, y->dim, &x));
    if (l->bad) return RT_OK;
    for (int i = 0; i < y->rank; i++)
        if (x.place[i] >= 0) {
            times[x.place[i]] = wide.dim[i] ? (int)(y->dim[i] / wide.dim[i]) : 1;
            ones &= y->dim[i] == wide.dim[i];
        }
    if (ones) {
        rt_lower_alias(l, n, 0, &wide);
        return RT_OK;
    }
    rt_shape out = sized(&x, y);
    cJSON *j = rt_lower_layer(l, tile ? "tile" : "expand", n->name, &x.from, 1);
    add_ints(j, tile ? "repeats" : "shape", tile ? times : out.dim, x.shape.rank);
    rt_lower_give(l, n, 0, j, &out, x.order);
    return RT_OK;
}

/* One place of an axis: a slice, whatever the order. */
static rt_status pick_one(rt_lowering *l, const rt_eval_node *n, rt_lowered_value *v, int axis, int64_t at)
{
    const rt_array *y = rt_lower_shape(l, n, 0);
    int start[RT_MAX_RANK] = {0}, end[RT_MAX_RANK], order[RT_ARRAY_RANK], k = 0, stays = y->rank == v->rank;
    laid x;
    RT_TRY(lay(l, v, NULL, &x));
    if (l->bad) return RT_OK;
    if (at < 0) at += v->dim[axis];
    if (at < 0 || at >= v->dim[axis]) return rt_lower_no(l, "a place beyond its axis");
    for (int i = 0; i < v->rank; i++)
        if (stays || x.order[i] != axis) order[k++] = x.order[i] - (!stays && x.order[i] > axis);
    rt_shape out = x.shape;
    if (x.place[axis] < 0) {                               /* there is one place */
        rt_lower_alias(l, n, 0, v);
        rt_lowered_value *w = &l->v[n->out[0]];
        w->layer = x.from;
        w->shape = x.shape;
    } else {
        for (int i = 0; i < x.shape.rank; i++) end[i] = x.shape.dim[i];
        start[x.place[axis]] = (int)at;
        end[x.place[axis]] = (int)at + 1;
        cJSON *j = rt_lower_layer(l, "slice", n->name, &x.from, 1);
        add_ints(j, "start", start, x.shape.rank);
        add_ints(j, "end", end, x.shape.rank);
        out.dim[x.place[axis]] = 1;
        rt_lower_give(l, n, 0, j, &out, order);
        return RT_OK;
    }
    rt_lowered_value *w = &l->v[n->out[0]];
    w->base_rank = w->rank;
    memcpy(w->base, w->dim, sizeof w->base);
    memcpy(w->order, order, sizeof order);
    return RT_OK;
}

/* Places of an axis that are constant. */
rt_status rt_lower_pick(rt_lowering *l, const rt_eval_node *n)
{
    rt_lowered_value *v = rt_lower_in(l, n, 0);
    const rt_array *at = rt_lower_const(l, n, 1);
    int64_t axis = rt_lower_int(n, "axis", 0);
    rt_shape shape = {.rank = 0}, out = {.rank = 0};
    int place = 0;
    const char *from;
    if (axis < 0) axis += v->rank;
    if (at->count == 1) return pick_one(l, n, v, (int)axis, rt_array_int(at, 0));
    for (int i = 0; i < v->rank; i++) {
        if (i == axis) place = shape.rank;
        if (v->dim[i] == 1 && i != axis) continue;
        if (shape.rank == RT_MAX_RANK) return rt_lower_no(l, "a tensor of more dimensions than layers have");
        shape.dim[shape.rank++] = (int)v->dim[i];
    }
    RT_TRY(rt_lower_as(l, v, NULL, &shape, &from));
    if (l->bad) return RT_OK;
    cJSON *j = rt_lower_layer(l, "gather", n->name, &from, 1);
    int count = (int)at->count;
    cJSON_AddNumberToObject(j, "axis", place);
    add_ints(j, "shape", &count, 1);
    float *to = rt_lower_fill(l, j, "indices", at->count);
    if (!to) return RT_RUN;
    for (size_t i = 0; i < at->count; i++) to[i] = (float)rt_array_int(at, i);
    out = shape;
    out.dim[place] = count;
    rt_lower_give(l, n, 0, j, &out, NULL);
    return RT_OK;
}

/* ---- several inputs along one axis ---- */

/* Dimensions in this order, those of one left out but for the axis. */
static int side_shape(const int64_t *dim, int rank, const int *order, int axis, rt_shape *s, int *place)
{
    s->rank = 0;
    for (int i = 0; i < rank; i++) {
        if (order[i] == axis) *place = s->rank;
        else if (dim[order[i]] == 1) continue;
        if (s->rank == RT_MAX_RANK || dim[order[i]] > INT32_MAX) return 0;
        s->dim[s->rank++] = (int)dim[order[i]];
    }
    return 1;
}

rt_status rt_lower_join(rt_lowering *l, const rt_eval_node *n, rt_lowered_value *part, int count, int axis)
{
    const rt_array *y = rt_lower_shape(l, n, 0);
    const char **from = rt_region_list(l->region, (size_t)count, sizeof *from);
    int place = 0;
    rt_shape shape;
    if (!from) return RT_RUN;
    for (int i = 0; i < count; i++) {
        if (!side_shape(part[i].dim, y->rank, part[0].order, axis, &shape, &place))
            return rt_lower_no(l, "a tensor of more dimensions than layers have");
        RT_TRY(rt_lower_as(l, &part[i], part[0].order, &shape, &from[i]));
        if (l->bad) return RT_OK;
    }
    if (count == 1) {
        l->v[n->out[0]] = part[0];
        return RT_OK;
    }
    cJSON *j = rt_lower_layer(l, "concat", n->name, from, count);
    if (place != shape.rank - 1) cJSON_AddNumberToObject(j, "axis", place);
    shape.dim[place] = (int)y->dim[axis];
    rt_lower_give(l, n, 0, j, &shape, part[0].order);
    return RT_OK;
}

static rt_status concat(rt_lowering *l, const rt_eval_node *n)
{
    const rt_array *y = rt_lower_shape(l, n, 0);
    int64_t axis = rt_lower_int(n, "axis", 1);
    const char **from = rt_region_list(l->region, (size_t)n->inputs, sizeof *from);
    int order[RT_ARRAY_RANK], place = 0, sides = 0, first = 1;
    rt_lowered_value *only = NULL;
    rt_shape shape;
    if (!from) return RT_RUN;
    if (axis < 0) axis += y->rank;
    if (!rt_array_is_float(y) && y->type != RT_BOOL && y->type != RT_U8 && y->type != RT_I8)
        return rt_lower_no(l, "computes with integers that depend on data");
    for (int i = 0; i < y->rank; i++) order[i] = i;
    for (int i = 0; i < n->inputs && first; i++) {
        const rt_lowered_value *v = rt_lower_in(l, n, i);
        if (!v || v->base_rank != v->rank || memcmp(v->base, v->dim, (size_t)v->rank * sizeof *v->dim)) continue;
        memcpy(order, v->order, sizeof order);
        first = 0;
    }
    for (int i = 0; i < n->inputs; i++) {
        rt_lowered_value *v = rt_lower_in(l, n, i);
        const rt_array *c = rt_lower_const(l, n, i);
        if (c && !c->count) continue;                      /* nothing */
        if (!side_shape(v ? v->dim : c->dim, y->rank, order, (int)axis, &shape, &place))
            return rt_lower_no(l, "a tensor of more dimensions than layers have");
        RT_TRY(v ? rt_lower_as(l, v, order, &shape, &from[sides])
                 : rt_lower_constant(l, c, &shape, order, &from[sides]));
        if (l->bad) return RT_OK;
        only = v;
        sides++;
    }
    if (sides == 1 && only) {
        rt_lower_alias(l, n, 0, only);
        return RT_OK;
    }
    cJSON *j = rt_lower_layer(l, "concat", n->name, from, sides);
    if (place != shape.rank - 1) cJSON_AddNumberToObject(j, "axis", place);
    shape.dim[place] = (int)y->dim[axis];
    rt_lower_give(l, n, 0, j, &shape, order);
    return RT_OK;
}

/* ---- reductions ---- */

static const struct {
    const char *onnx, *layer;
    int keeps;
} reductions[] = {/* keeps: of one value it is that value */
                  {"ReduceSum", "reduce_sum", 1},        {"ReduceMean", "reduce_mean", 1},
                  {"ReduceMax", "reduce_max", 1},        {"ReduceMin", "reduce_min", 1},
                  {"ReduceProd", "reduce_prod", 1},      {"ReduceL1", "reduce_l1", 0},
                  {"ReduceL2", "reduce_l2", 0},          {"ReduceSumSquare", "reduce_sum_square", 0},
                  {"ReduceLogSum", "reduce_log_sum", 0}, {"ReduceLogSumExp", "reduce_log_sum_exp", 0}};

static rt_status reduce(rt_lowering *l, const rt_eval_node *n)
{
    rt_lowered_value *v = rt_lower_in(l, n, 0);
    const int64_t *axes;
    const rt_array *y = rt_lower_shape(l, n, 0);
    int kind = 0, goes[RT_ARRAY_RANK] = {0}, list[RT_MAX_RANK], reduced = 0, keep = rt_lower_int(n, "keepdims", 1) != 0;
    laid x;
    while (strcmp(reductions[kind].onnx, n->op)) kind++;
    if (!v || !rt_array_is_float(y)) return rt_lower_no(l, "computes with integers that depend on data");
    int count = rt_lower_list(l, n, 1, "axes", &axes);
    if (l->bad) return RT_OK;
    if (count <= 0 && rt_lower_int(n, "noop_with_empty_axes", 0)) return rt_lower_no(l, "reduces nothing");
    for (int i = 0; i < v->rank; i++) goes[i] = count <= 0;
    for (int i = 0; i < count; i++) goes[axes[i] < 0 ? axes[i] + v->rank : axes[i]] = 1;
    RT_TRY(lay(l, v, NULL, &x));
    if (l->bad) return RT_OK;
    rt_shape out = {.rank = 0};
    int order[RT_ARRAY_RANK], k = 0, index[RT_ARRAY_RANK], at = 0;
    for (int i = 0; i < v->rank; i++) index[i] = keep ? i : goes[i] ? -1 : at++;      /* of an axis in the output */
    for (int i = 0; i < v->rank; i++) {
        int axis = x.order[i], p = x.place[axis];
        if (index[axis] >= 0) order[k++] = index[axis];
        if (p < 0) continue;
        if (goes[axis]) list[reduced++] = p;
        else out.dim[out.rank++] = x.shape.dim[p];
    }
    if (!out.rank) out.dim[out.rank++] = 1;
    if (!reduced && !reductions[kind].keeps) return rt_lower_no(l, "reduces dimensions of one");
    if (!reduced) return reshape(l, n);
    cJSON *j = rt_lower_layer(l, reductions[kind].layer, n->name, &x.from, 1);
    add_ints(j, "axes", list, reduced);
    rt_lower_give(l, n, 0, j, &out, order);
    return RT_OK;
}

const rt_lower_entry rt_lower_moves[] = {{"Identity", same},
                                         {"Cast", cast},
                                         {"CastLike", cast},
                                         {"Reshape", reshape},
                                         {"Flatten", reshape},
                                         {"Squeeze", reshape},
                                         {"Unsqueeze", reshape},
                                         {"Transpose", transpose},
                                         {"Concat", concat},
                                         {"Slice", slice},
                                         {"Split", split},
                                         {"Pad", pad},
                                         {"Expand", repeat},
                                         {"Tile", repeat},
                                         {"ReduceSum", reduce},
                                         {"ReduceMean", reduce},
                                         {"ReduceMax", reduce},
                                         {"ReduceMin", reduce},
                                         {"ReduceProd", reduce},
                                         {"ReduceL1", reduce},
                                         {"ReduceL2", reduce},
                                         {"ReduceSumSquare", reduce},
                                         {"ReduceLogSum", reduce},
                                         {"ReduceLogSumExp", reduce},
                                         {NULL, NULL}};
