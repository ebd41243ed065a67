/* Elements to other places: joined, cut, turned, repeated. */
#include <string.h>

#include "engine/eval/eval_elements.h"
#include "engine/eval/eval_move.h"
#include "engine/eval/eval_strided.h"

static rt_status concat(rt_eval_call *c)
{
    const rt_array *first, *in;
    rt_array *y;
    int64_t dim[RT_ARRAY_RANK], total = 0, at = 0;
    int axis;
    char s[128], t[128];
    if (c->version >= 4 && !rt_eval_has(c, "axis")) return rt_fail(RT_INPUT, "there is no axis");
    RT_TRY(rt_eval_need(c, 0, RT_EVAL_MOVED, &first));
    RT_TRY(rt_eval_axis(rt_eval_int(c, "axis", 1), first->rank, &axis));
    memcpy(dim, first->dim, sizeof dim);
    for (int i = 0; i < c->inputs; i++) {
        RT_TRY(rt_eval_need(c, i, 1u << first->type, &in));
        for (int k = 0; k < first->rank || k < in->rank; k++)
            if (in->rank != first->rank || (k != axis && in->dim[k] != first->dim[k]))
                return rt_fail(RT_INPUT, "%s and %s do not join at axis %d", rt_array_describe(first, s),
                               rt_array_describe(in, t), axis);
        if (__builtin_add_overflow(total, in->dim[axis], &total)) return rt_fail(RT_INPUT, "the axis is too long");
    }
    dim[axis] = total;
    RT_TRY(rt_eval_make(c, 0, first->type, first->rank, dim, &y));
    if (!y->count) return RT_OK;
    size_t outer, n, inner, size = rt_dtype_size(y->type);
    rt_eval_around(y, axis, &outer, &n, &inner);
    for (int i = 0; i < c->inputs; at += rt_eval_in(c, i++)->dim[axis]) {
        in = rt_eval_in(c, i);
        size_t bytes = (size_t)in->dim[axis] * inner * size, step = n * inner * size;
        char *to = (char *)y->data + (size_t)at * inner * size;
        for (size_t o = 0; o < outer && bytes; o++) memcpy(to + o * step, (const char *)in->data + o * bytes, bytes);
    }
    return RT_OK;
}

/* The lengths of the parts: an attribute or input, or parts alike, of which the last may be shorter from 18 on. */
static rt_status parts_of(rt_eval_call *c, int64_t whole, const int64_t **split, int *n)
{
    int parts = c->outputs;
    if (c->version < 2 || c->version >= 13) RT_TRY(rt_eval_list(c, 1, split, n));
    else *n = -1;
    if (c->version < 13 && *n < 0) *n = rt_eval_ints(c, "split", split);
    if (c->version >= 18 && rt_eval_has(c, "num_outputs")) {
        if (rt_eval_int(c, "num_outputs", 0) != parts || *n >= 0)
            return rt_fail(RT_INPUT, "num_outputs is not the number of outputs, or there is a split, too");
    }
    if (*n >= 0) return RT_OK;
    int64_t *made = rt_eval_scratch(c, (size_t)parts + !parts, sizeof *made),
            each = parts ? (whole + parts - 1) / parts : 0;
    if (!made) return RT_INPUT;
    if (c->version < 18 && parts && whole % parts)
        return rt_fail(RT_INPUT, "%lld elements do not make %d parts alike", (long long)whole, parts);
    for (int i = 0; i < parts; i++) made[i] = i < parts - 1 ? each : whole - each * (parts - 1);
    *split = made;
    *n = parts;
    return RT_OK;
}

static rt_status split(rt_eval_call *c)
{
    const rt_array *x;
    rt_array *y;
    const int64_t *part;
    int64_t dim[RT_ARRAY_RANK], at = 0, sum = 0;
    int axis, n;
    RT_TRY(rt_eval_need(c, 0, RT_EVAL_MOVED, &x));
    RT_TRY(rt_eval_axis(rt_eval_int(c, "axis", 0), x->rank, &axis));
    RT_TRY(parts_of(c, x->dim[axis], &part, &n));
    for (int i = 0; i < n; i++)
        if (part[i] < 0 || __builtin_add_overflow(sum, part[i], &sum))
            return rt_fail(RT_INPUT, "part %d has %lld elements", i, (long long)part[i]);
    if (n != c->outputs || sum != x->dim[axis])
        return rt_fail(RT_INPUT, "%d parts of %lld elements in all are not %d of %lld", n, (long long)sum, c->outputs,
                       (long long)x->dim[axis]);
    size_t outer, whole, inner, size = rt_dtype_size(x->type);
    rt_eval_around(x, axis, &outer, &whole, &inner);
    memcpy(dim, x->dim, sizeof dim);
    for (int i = 0; i < n; at += part[i++]) {
        if (!rt_eval_wants(c, i)) continue;
        dim[axis] = part[i];
        RT_TRY(rt_eval_make(c, i, x->type, x->rank, dim, &y));
        size_t bytes = (size_t)part[i] * inner * size;
        const char *from = (const char *)x->data + (size_t)at * inner * size;
        for (size_t o = 0; o < outer && y->count; o++)
            memcpy((char *)y->data + o * bytes, from + o * whole * inner * size, bytes);
    }
    return RT_OK;
}

/* ---- slice ---- */

/* One axis of n elements: the first that is taken, how many, and how far apart. */
static rt_status slice_axis(int64_t n, int64_t start, int64_t end, int64_t by, int64_t *first, int64_t *count,
                            int64_t *step)
{
    if (!by) return rt_fail(RT_INPUT, "a slice has step 0");
    if (by < -INT64_MAX) by = -INT64_MAX;
    if (start < 0) start += n;
    if (end < 0) end += n;
    int64_t low = by < 0 ? -1 : 0, high = by < 0 ? n - 1 : n;
    start = start < low + (by < 0) ? low + (by < 0) : start > high ? high : start;
    end = end < low ? low : end > high ? high : end;
    if (by > 0) *count = end > start ? (end - start - 1) / by + 1 : 0;
    else *count = n && start > end ? (start - end - 1) / -by + 1 : 0;
    *first = *count ? start : 0;
    *step = *count > 1 ? by : 1;
    return RT_OK;
}

static rt_status slice(rt_eval_call *c)
{
    const rt_array *x;
    rt_array *y;
    const int64_t *start, *end, *axes = NULL, *by = NULL;
    int64_t dim[RT_ARRAY_RANK], step[RT_ARRAY_RANK], from = 0;
    int n, ends, axes_given, steps = -1, seen[RT_ARRAY_RANK] = {0};
    RT_TRY(rt_eval_need(c, 0, RT_EVAL_MOVED, &x));
    if (c->version < 10) {
        n = rt_eval_ints(c, "starts", &start);
        ends = rt_eval_ints(c, "ends", &end);
        axes_given = rt_eval_ints(c, "axes", &axes);
    } else {
        RT_TRY(rt_eval_list(c, 1, &start, &n));
        RT_TRY(rt_eval_list(c, 2, &end, &ends));
        RT_TRY(rt_eval_list(c, 3, &axes, &axes_given));
        RT_TRY(rt_eval_list(c, 4, &by, &steps));
    }
    if (!axes_given && n > 0) axes_given = -1;
    if (n < 0 || ends != n || (axes_given >= 0 && axes_given != n) || (steps >= 0 && steps != n) || n > RT_ARRAY_RANK)
        return rt_fail(RT_INPUT, "starts, ends, axes and steps differ in length");
    memcpy(dim, x->dim, sizeof dim);
    rt_array_steps(x->rank, x->dim, step);
    for (int i = 0; i < n; i++) {
        int axis;
        int64_t first = 0, far = 1;
        RT_TRY(rt_eval_axis(axes_given >= 0 ? axes[i] : i, x->rank, &axis));
        if (seen[axis]++) return rt_fail(RT_INPUT, "axis %d is sliced twice", axis);
        RT_TRY(slice_axis(x->dim[axis], start[i], end[i], steps >= 0 ? by[i] : 1, &first, &dim[axis], &far));
        if (x->count) from += first * step[axis], step[axis] *= far;
    }
    RT_TRY(rt_eval_make(c, 0, x->type, x->rank, dim, &y));
    size_t size = rt_dtype_size(x->type);
    if (y->count) rt_eval_strided(y->data, (const char *)x->data + from * (int64_t)size, size, x->rank, dim, step);
    return RT_OK;
}

/* ---- turned and repeated ---- */

static rt_status transpose(rt_eval_call *c)
{
    const rt_array *x;
    rt_array *y;
    const int64_t *perm;
    int64_t dim[RT_ARRAY_RANK], own[RT_ARRAY_RANK], step[RT_ARRAY_RANK];
    int n = rt_eval_ints(c, "perm", &perm), seen[RT_ARRAY_RANK];
    RT_TRY(rt_eval_need(c, 0, RT_EVAL_MOVED, &x));
    if (n == 0) n = -1;
    if (n >= 0) RT_TRY(rt_eval_axes(x->rank, perm, n, seen));
    if (n >= 0 && n != x->rank) return rt_fail(RT_INPUT, "perm has %d axes of %d", n, x->rank);
    rt_array_steps(x->rank, x->dim, own);
    for (int i = 0; i < x->rank; i++) {
        int64_t from = n < 0 ? x->rank - 1 - i : perm[i] < 0 ? perm[i] + x->rank : perm[i];
        dim[i] = x->dim[from];
        step[i] = own[from];
    }
    RT_TRY(rt_eval_make(c, 0, x->type, x->rank, dim, &y));
    rt_eval_strided(y->data, x->data, rt_dtype_size(x->type), x->rank, dim, step);
    return RT_OK;
}

static rt_status expand(rt_eval_call *c)
{
    const rt_array *x, *in[2];
    rt_array *y, shape = {.type = RT_U8};
    const int64_t *want;
    int64_t dim[RT_ARRAY_RANK], own[RT_ARRAY_RANK], step[RT_ARRAY_RANK];
    int n, rank;
    RT_TRY(rt_eval_need(c, 0, RT_EVAL_MOVED, &x));
    RT_TRY(rt_eval_list(c, 1, &want, &n));
    if (n < 0 || n > RT_ARRAY_RANK) return rt_fail(RT_INPUT, "no shape of at most %d dimensions", RT_ARRAY_RANK);
    for (int i = 0; i < n; i++)
        if ((shape.dim[i] = want[i]) < 0) return rt_fail(RT_INPUT, "dimension %d is %lld", i, (long long)want[i]);
    shape.rank = n;
    in[0] = x;
    in[1] = &shape;
    RT_TRY(rt_array_broadcast(in, 2, &rank, dim));
    RT_TRY(rt_eval_make(c, 0, x->type, rank, dim, &y));
    rt_array_steps(x->rank, x->dim, own);
    for (int i = 0; i < rank; i++) {
        int at = i - (rank - x->rank);
        step[i] = at < 0 || x->dim[at] == 1 ? 0 : own[at];
    }
    rt_eval_strided(y->data, x->data, rt_dtype_size(x->type), rank, dim, step);
    return RT_OK;
}

static rt_status tile(rt_eval_call *c)
{
    const rt_array *x;
    rt_array *y;
    const int64_t *repeats = NULL;
    int64_t dim[RT_ARRAY_RANK], own[RT_ARRAY_RANK], d[2 * RT_ARRAY_RANK], s[2 * RT_ARRAY_RANK], times = 0, axis = 0;
    int n, at = -1;
    RT_TRY(rt_eval_need(c, 0, RT_EVAL_MOVED, &x));
    if (c->version < 6) {
        const rt_array *a, *b;
        RT_TRY(rt_eval_need(c, 1, RT_EVAL_NUMBERS, &a));
        RT_TRY(rt_eval_need(c, 2, RT_EVAL_NUMBERS, &b));
        if (a->count != 1 || b->count != 1) return rt_fail(RT_INPUT, "tiles and axis are not one number each");
        times = rt_array_int(a, 0);
        axis = rt_array_int(b, 0);
        RT_TRY(rt_eval_axis(axis, x->rank, &at));
    } else {
        RT_TRY(rt_eval_list(c, 1, &repeats, &n));
        if (n != x->rank) return rt_fail(RT_INPUT, "%d repeats for %d dimensions", n, x->rank);
    }
    rt_array_steps(x->rank, x->dim, own);
    for (int i = 0; i < x->rank; i++) {
        int64_t r = repeats ? repeats[i] : i == at ? times : 1;
        if (r < 0 || __builtin_mul_overflow(x->dim[i], r, &dim[i]))
            return rt_fail(RT_INPUT, "dimension %d is repeated %lld times", i, (long long)r);
        d[2 * i] = r;
        d[2 * i + 1] = x->dim[i];
        s[2 * i] = 0;
        s[2 * i + 1] = own[i];
    }
    RT_TRY(rt_eval_make(c, 0, x->type, x->rank, dim, &y));
    rt_eval_strided(y->data, x->data, rt_dtype_size(x->type), 2 * x->rank, d, s);
    return RT_OK;
}

const rt_eval_op rt_eval_move_ops[] = {
    {"", "Concat", 1, 1, -1, 1, concat, 0},
    {"", "Split", 1, 1, 2, -1, split, 0},
    {"", "Split", 2, 1, 1, -1, split, 0},
    {"", "Split", 13, 1, 2, -1, split, 0},
    {"", "Slice", 1, 1, 1, 1, slice, 0},
    {"", "Slice", 10, 3, 5, 1, slice, 0},
    {"", "Transpose", 1, 1, 1, 1, transpose, 0},
    {"", "Expand", 8, 2, 2, 1, expand, 0},
    {"", "Tile", 1, 3, 3, 1, tile, 0},
    {"", "Tile", 6, 2, 2, 1, tile, 0},
    {"", "Pad", 1, 1, 1, 1, rt_eval_pad, 0},
    {"", "Pad", 11, 2, 3, 1, rt_eval_pad, 0},
    {"", "Pad", 18, 2, 4, 1, rt_eval_pad, 0},
    {"", "Trilu", 14, 1, 2, 1, rt_eval_trilu, 0},
    {"", "ReverseSequence", 10, 2, 2, 1, rt_eval_reverse_sequence, 0},
    {"", "DepthToSpace", 1, 1, 1, 1, rt_eval_depth_to_space, 0},
    {"", "SpaceToDepth", 1, 1, 1, 1, rt_eval_space_to_depth, 0},
    {"", "CenterCropPad", 18, 2, 2, 1, rt_eval_center_crop_pad, 0},
    {NULL, NULL, 0, 0, 0, 0, NULL, 0}};
