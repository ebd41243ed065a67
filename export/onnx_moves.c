/* export/onnx_moves.c - layers that take pixels from elsewhere, as ONNX nodes. */
#include <math.h>

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

/* Inputs 2 and 3 of Resize: scales where some were given, else sizes, of the two axes or of all. */
static void sizes_of(rt_fo_graph *e, const rt_node *n, const int in[3], const int out[3], const char **scales,
                     const char **sizes)
{
    const rt_resize_attr *a = RT_ATTR(n, rt_resize_attr);
    const int64_t to[] = {in[2], out[0], out[1]};
    if (a->scale_h > 0 || a->scale_w > 0) {
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
