/* export/onnx_moves.c - layers that take pixels from elsewhere, as ONNX nodes. */
#include <limits.h>
#include <stdlib.h>

#include "export/onnx_float_parts.h"

/* ---- resize ---- */

/* As rt_resize_attr numbers them. */
static const char *const modes[] = {"nearest", "linear", "cubic"},
    *const places[] = {"half_pixel", "pytorch_half_pixel", "half_pixel_symmetric", "align_corners", "asymmetric", NULL},
    *const roundings[] = {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"};
enum { NEAREST, SYMMETRIC = 2, TF_HALF_PIXEL = 5, PREFER_FLOOR = 0, PREFER_CEIL, FLOOR, CEIL };

/* (o + 0.5) / scale went from ONNX with opset 13. Half a pixel less, and another rounding, finds the same pixel, where
 * there is such a rounding: floor(x) is the nearest of x - 0.5, of two the upper; and ceil(x - 0.5) that above it. */
static const char *settle_places(rt_fo_graph *e, const rt_node *n, int *rounding)
{
    const rt_resize_attr *a = RT_ATTR(n, rt_resize_attr);
    *rounding = a->nearest;
    if (a->coordinates == SYMMETRIC && e->spec->opset < 19)
        e->status = rt_fail(RT_USAGE, "layer '%s': ONNX has these coordinates from opset 19 on", n->name);
    if (a->coordinates != TF_HALF_PIXEL) return places[a->coordinates];
    if (a->mode != NEAREST || (a->nearest != FLOOR && a->nearest != PREFER_FLOOR))
        e->status = rt_fail(RT_USAGE, "layer '%s': ONNX has its coordinates no more from opset 13 on", n->name);
    *rounding = a->nearest == FLOOR ? PREFER_CEIL : CEIL;
    return places[0];
}

/* Whether a float holds the one by the other. */
static int is_exact(int out, int in) { return (double)((float)out / (float)in) * in == out; }

/* Inputs 2 and 3 of Resize: scales where some were given, or before opset 18 where they are exact; else sizes, of the
 * two axes or of all. */
static void sizes_of(rt_fo_graph *e, const rt_node *n, const int in[3], const int out[3], const char **scales,
                     const char **sizes)
{
    const rt_resize_attr *a = RT_ATTR(n, rt_resize_attr);
    const int64_t to[] = {in[2], out[0], out[1]};
    const int exact = e->spec->opset < 18 && is_exact(out[0], in[0]) && is_exact(out[1], in[1]);
    if (a->scale_h > 0 || a->scale_w > 0 || exact) {
        const float by[] = {1, 1, a->scale_h > 0 ? a->scale_h : (float)out[0] / (float)in[0],
                            a->scale_w > 0 ? a->scale_w : (float)out[1] / (float)in[1]};
        *scales = rt_fo_numbers(e, n, "scales", 4, by);
    } else if (e->spec->opset >= 18) *sizes = rt_fo_whole(e, n, "sizes", 2, to + 1);
    else {
        const char *rows = rt_fo_rows(e, n), *rest = rt_fo_whole(e, n, "row_sizes", 3, to),
                   *parts[] = {rows, rest, NULL};
        *sizes = rt_fo_own(e, n, "sizes");
        rt_onnx_int(rt_onnx_add(e->o, "Concat", *sizes, parts), "axis", 0);
    }
}

/* A line is an image of the height 1. */
void rt_fo_put_resize(rt_fo_graph *e, const rt_node *n)
{
    const rt_resize_attr *a = RT_ATTR(n, rt_resize_attr);
    const rt_shape *s = &e->g->tensor[n->in[0]].shape;
    const int line = s->rank == 2;
    int in[3], size[3], rounding;
    rt_shape_hwc(s, &in[0], &in[1], &in[2]);
    rt_shape_hwc(&e->g->tensor[n->out].shape, &size[0], &size[1], &size[2]);
    const int64_t image[] = {0, in[2], 1, in[1]}, back[] = {0, in[2], size[1]};
    static const int64_t axes[] = {2, 3};
    const char *out = rt_fo_unique(e, n->name), *x = rt_fo_take(e, n->in[0], RT_FO_FIRST), *scales = "", *sizes = NULL,
               *where = settle_places(e, n, &rounding), *to = out;
    rt_fo_set(e, n->out, RT_FO_FIRST, out);
    if (e->status) return;
    if (line) {
        x = rt_fo_chain(e, n, "Reshape", "image", x, rt_fo_whole(e, n, "image/shape", 4, image));
        to = rt_fo_own(e, n, "resized");
    }
    sizes_of(e, n, in, size, &scales, &sizes);
    const char *list[] = {x, "", scales, sizes, NULL};
    rt_onnx_node *p = rt_onnx_add(e->o, "Resize", to, list);
    rt_onnx_string(p, "mode", modes[a->mode]);
    rt_onnx_string(p, "coordinate_transformation_mode", where);
    if (a->mode == NEAREST) rt_onnx_string(p, "nearest_mode", roundings[rounding]);
    else rt_onnx_int(p, "exclude_outside", a->exclude_outside);
    if (a->mode == 2) rt_onnx_float(p, "cubic_coeff_a", a->cubic);
    if (sizes && e->spec->opset >= 18) rt_onnx_ints(p, "axes", 2, axes);
    if (line) rt_fo_node_of(e, "Reshape", out, to, rt_fo_whole(e, n, "line/shape", 3, back), NULL);
}

/* ---- moves ---- */

/* In which order the input of a node that keeps its rank is taken. */
static rt_fo_order order_of(const rt_fo_graph *e, const rt_node *n)
{ return rt_fo_rank(e, n->in[0]) == 1 ? RT_FO_LAST : rt_fo_common(e, n); }

static int number(const rt_ints *list, int i, int none) { return i < list->count ? list->value[i] : none; }

/* The tensor's dimensions in another order, which is nothing where the order in which they stand is that. */
void rt_fo_put_permute(rt_fo_graph *e, const rt_node *n)
{
    const rt_ints *axes = &RT_ATTR(n, rt_permute_attr)->axes;
    const int rank = rt_fo_rank(e, n->in[0]);
    rt_fo_order order = RT_FO_LAST;
    int64_t perm[RT_MAX_RANK + 1] = {0};
    int same = 0;
    for (int k = 0; k < RT_FO_ORDERS && !same && rank > 1; k++) {
        if (!rt_fo_has(e, n->in[0], (rt_fo_order)k)) continue;
        order = (rt_fo_order)k;
        same = 1;
        for (int i = 0; i < rank; i++) same &= rt_fo_axis(axes->value[i], rank, order) == i + 1;
    }
    const char *x = rt_fo_take(e, n->in[0], order);
    for (int i = 0; i < rank; i++) perm[1 + i] = rt_fo_axis(axes->value[i], rank, order);
    const char *out = rank == 1 || same ? x : rt_fo_unique(e, n->name);
    if (out != x) rt_onnx_ints(rt_fo_node_of(e, "Transpose", out, x, NULL, NULL), "perm", rank + 1, perm);
    rt_fo_set(e, n->out, RT_FO_LAST, out);
}

/* INT_MAX and INT_MIN stand for the ends, as beyond them ONNX knows no more either. */
void rt_fo_put_slice(rt_fo_graph *e, const rt_node *n)
{
    const rt_slice_attr *a = RT_ATTR(n, rt_slice_attr);
    const int rank = rt_fo_rank(e, n->in[0]);
    const rt_fo_order order = order_of(e, n);
    int64_t start[RT_MAX_RANK], end[RT_MAX_RANK], axis[RT_MAX_RANK], step[RT_MAX_RANK];
    for (int i = 0; i < rank; i++) {
        step[i] = number(&a->step, i, 1);
        start[i] = number(&a->start, i, step[i] > 0 ? 0 : INT_MAX);
        end[i] = number(&a->end, i, step[i] > 0 ? INT_MAX : INT_MIN);
        axis[i] = rt_fo_axis(i, rank, order);
    }
    const char *out = rt_fo_unique(e, n->name), *x = rt_fo_take(e, n->in[0], order),
               *from = rt_fo_whole(e, n, "start", rank, start), *to = rt_fo_whole(e, n, "end", rank, end),
               *axes = rt_fo_whole(e, n, "axes", rank, axis),
               *in[] = {x, from, to, axes, rt_fo_whole(e, n, "step", rank, step), NULL};
    rt_onnx_add(e->o, "Slice", out, in);
    rt_fo_set(e, n->out, order, out);
}

void rt_fo_put_pad(rt_fo_graph *e, const rt_node *n)
{
    static const char *const pads[] = {"constant", "reflect", "edge", "wrap"};
    const rt_pad_attr *a = RT_ATTR(n, rt_pad_attr);
    const int rank = rt_fo_rank(e, n->in[0]);
    const rt_fo_order order = order_of(e, n);
    int64_t list[2 * RT_MAX_RANK + 2] = {0};
    if (a->mode == RT_PAD_WRAP && e->spec->opset < 19) {
        e->status = rt_fail(RT_USAGE, "layer '%s': ONNX has its mode from opset 19 on", n->name);
        return;
    }
    for (int i = 0; i < rank; i++) {
        list[rt_fo_axis(i, rank, order)] = number(&a->before, i, 0);
        list[rank + 1 + rt_fo_axis(i, rank, order)] = number(&a->behind, i, 0);
    }
    const char *out = rt_fo_unique(e, n->name), *x = rt_fo_take(e, n->in[0], order),
               *by = rt_fo_whole(e, n, "pads", 2 * rank + 2, list),
               *value = a->mode == RT_PAD_CONSTANT ? rt_fo_number(e, n, "value", a->value) : NULL;
    rt_onnx_string(rt_fo_node_of(e, "Pad", out, x, by, value), "mode", pads[a->mode]);
    rt_fo_set(e, n->out, order, out);
}

/* The indices are whole numbers that the input's dimension has; ONNX has nothing for others. */
static const char *indices_of(rt_fo_graph *e, const rt_node *n, int size)
{
    const rt_shape *s = &RT_ATTR(n, rt_gather_attr)->shape;
    const float *v = e->field[n->field[0]];
    const size_t count = rt_shape_count(s);
    const char *name = rt_fo_own(e, n, "indices");
    int64_t dim[RT_MAX_RANK], *list = malloc(count * sizeof *list);
    for (int i = 0; i < s->rank; i++) dim[i] = s->dim[i];
    if (!list) e->status = rt_fail(RT_RUN, "out of memory");
    for (size_t i = 0; i < count && !e->status; i++) {
        if (v[i] >= (float)-size && v[i] < (float)size) list[i] = (int64_t)v[i];
        else
            e->status = rt_fail(RT_USAGE, "layer '%s': its index %zu is %g, and there are %d", n->name, i,
                                (double)v[i], size);
    }
    if (!e->status) rt_onnx_const(e->o, name, RT_ONNX_I64, s->rank, dim, list);
    free(list);
    return name;
}

void rt_fo_put_gather(rt_fo_graph *e, const rt_node *n)
{
    const rt_gather_attr *a = RT_ATTR(n, rt_gather_attr);
    const rt_shape *s = &e->g->tensor[n->in[0]].shape;
    const int axis = a->axis < 0 ? a->axis + s->rank : a->axis;
    const rt_fo_order order = a->shape.rank == 1 ? order_of(e, n) : RT_FO_LAST;
    const char *out = rt_fo_unique(e, n->name), *x = rt_fo_take(e, n->in[0], order),
               *indices = indices_of(e, n, s->dim[axis]);
    rt_onnx_int(rt_fo_node_of(e, "Gather", out, x, indices, NULL), "axis", rt_fo_axis(axis, s->rank, order));
    rt_fo_set(e, n->out, order, out);
}

void rt_fo_put_expand(rt_fo_graph *e, const rt_node *n)
{
    const rt_shape *s = &e->g->tensor[n->in[0]].shape, *to = &e->g->tensor[n->out].shape,
                   wide = rt_fo_widened(s, to->rank);
    int64_t dim[RT_MAX_RANK + 1];
    const char *out = rt_fo_unique(e, n->name), *x = rt_fo_take(e, n->in[0], RT_FO_LAST);
    int rank = rt_fo_shape(&wide, RT_FO_LAST, dim);
    if (s->rank < to->rank) x = rt_fo_chain(e, n, "Reshape", "wide", x, rt_fo_whole(e, n, "wide/shape", rank, dim));
    rt_fo_shape(to, RT_FO_LAST, dim);
    dim[0] = 1;                                          /* as many rows as there are */
    rt_fo_node_of(e, "Expand", out, x, rt_fo_whole(e, n, "shape", rank, dim), NULL);
    rt_fo_set(e, n->out, RT_FO_LAST, out);
}

void rt_fo_put_tile(rt_fo_graph *e, const rt_node *n)
{
    const rt_ints *repeats = &RT_ATTR(n, rt_tile_attr)->repeats;
    const rt_fo_order order = order_of(e, n);
    int64_t times[RT_MAX_RANK + 1] = {1};
    for (int i = 0; i < repeats->count; i++) times[rt_fo_axis(i, repeats->count, order)] = repeats->value[i];
    const char *out = rt_fo_unique(e, n->name), *x = rt_fo_take(e, n->in[0], order);
    rt_fo_node_of(e, "Tile", out, x, rt_fo_whole(e, n, "repeats", repeats->count + 1, times), NULL);
    rt_fo_set(e, n->out, order, out);
}

/* ---- reductions ---- */

/* What is left of channels first is channels first, unless the channels went. A row of which nothing is left has one
 * number. */
void rt_fo_put_reduce(rt_fo_graph *e, const rt_node *n)
{
    static const char *const ops[] = {"ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1",
                                      "ReduceL2", "ReduceSumSquare", "ReduceLogSum", "ReduceLogSumExp"};
    _Static_assert(sizeof ops / sizeof ops[0] == RT_REDUCE_COUNT, "an operator for each");
    const rt_reduce_attr *a = RT_ATTR(n, rt_reduce_attr);
    const int rank = rt_fo_rank(e, n->in[0]), all = !a->axes.count || a->axes.count == rank, whole = all && !a->keep;
    const rt_fo_order order = order_of(e, n);
    const int64_t one[] = {-1, 1};
    int64_t axes[RT_MAX_RANK];
    int channels = all;
    for (int i = 0; i < (all ? rank : a->axes.count); i++) {
        int axis = all ? i : a->axes.value[i] < 0 ? a->axes.value[i] + rank : a->axes.value[i];
        channels |= axis == rank - 1;
        axes[i] = rt_fo_axis(axis, rank, order);
    }
    const char *out = rt_fo_unique(e, n->name), *x = rt_fo_take(e, n->in[0], order),
               *to = whole ? rt_fo_own(e, n, "whole") : out;
    rt_fo_reduced(e, n, ops[n->op - RT_OP_REDUCE_SUM], x, to, all ? rank : a->axes.count, axes, a->keep);
    if (whole) rt_fo_node_of(e, "Reshape", out, to, rt_fo_whole(e, n, "shape", 2, one), NULL);
    rt_fo_set(e, n->out, order == RT_FO_FIRST && (a->keep || !channels) ? RT_FO_FIRST : RT_FO_LAST, out);
}
