/* student/onnx/onnx_lower_layers.c - operators with weights, and those of images, as layers. Weights change their order
 * here: ONNX has (N, C, H, W), layers (H, W, C, N); what they compute is the same. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/window.h"
#include "student/onnx/onnx_lower.h"

static void set_number(cJSON *j, const char *key, double v) { cJSON_AddNumberToObject(j, key, v); }
static void set_ints(cJSON *j, const char *key, const int *v, int n)
{
    cJSON_AddItemToObject(j, key, cJSON_CreateIntArray(v, n));
}

/* ---- windows ---- */

typedef rt_lower_window window;

/* Along one axis, of those after the channels. */
typedef struct { int kernel, stride, dilation, before, behind; } window_axis;

static int find_axis(window_axis *w, const rt_eval_node *n, int64_t kernel, int at, int sides, int64_t size,
                     int64_t out)
{
    const char *automatic = rt_lower_string(n, "auto_pad", "NOTSET");
    const int64_t *strides, *dilations, *pads;
    int has_strides = rt_lower_ints(n, "strides", &strides), has_dilations = rt_lower_ints(n, "dilations", &dilations),
        has_pads = rt_lower_ints(n, "pads", &pads), same = !strcmp(automatic, "SAME_UPPER"),
        lower = !strcmp(automatic, "SAME_LOWER");
    int64_t s = has_strides > at ? strides[at] : 1, d = has_dilations > at && kernel > 1 ? dilations[at] : 1,
            before = 0, behind = 0;
    if (kernel < 1 || kernel > 1024 || s < 1 || s > 1024 || d < 1 || d > 1024) return 0;
    if (same || lower) {
        int64_t all = (out - 1) * s + (kernel - 1) * d + 1 - size;
        if (all < 0) all = 0;
        before = (all + lower) / 2;
        behind = all - before;
    } else if (has_pads == 2 * sides && strcmp(automatic, "VALID")) {
        before = pads[at];
        behind = pads[at + sides];
    }
    if (before < 0 || behind < 0 || before > 1024 || behind > 1024) return 0;
    *w = (window_axis){(int)kernel, (int)s, (int)d, (int)before, (int)behind};
    return 1;
}

int rt_lower_find_window(rt_lower_window *w, const rt_eval_node *n, const int64_t *kernel, const rt_array *x,
                         const rt_array *y)
{
    int sides = x->rank - 2;
    window_axis a;
    if (sides < 1 || sides > 3 || x->dim[0] != 1) return 0;
    *w = (rt_lower_window){.sides = sides, .kernel = {1, 1}, .stride = {1, 1}, .dilation = {1, 1}};
    for (int at = 0; at < sides; at++) {
        int i = at + 2 - sides;                             /* below 0: the depth */
        if (!find_axis(&a, n, kernel[at], at, sides, x->dim[2 + at], y->dim[2 + at])) return 0;
        if (i < 0) w->depth = (rt_depth){a.kernel, a.stride, {a.before, a.behind}, a.dilation};
        else {
            w->kernel[i] = a.kernel;
            w->stride[i] = a.stride;
            w->dilation[i] = a.dilation;
            w->pad[2 * i] = a.before;
            w->pad[2 * i + 1] = a.behind;
        }
    }
    return 1;
}

static int window_of(const rt_lowering *l, const rt_eval_node *n, const int64_t *kernel, window *w)
{ return rt_lower_find_window(w, n, kernel, l->row->value[n->in[0]], rt_lower_shape(l, n, 0)); }

void rt_lower_set_window(cJSON *j, const window *w)
{
    set_ints(j, "kernel", w->kernel, 2);
    set_ints(j, "stride", w->stride, 2);
    if (w->pad[0] || w->pad[1] || w->pad[2] || w->pad[3]) set_ints(j, "padding", w->pad, 4);
    if (w->dilation[0] > 1 || w->dilation[1] > 1) set_ints(j, "dilation", w->dilation, 2);
    if (w->sides < 3) return;
    set_number(j, "depth", w->depth.kernel);
    set_number(j, "depth_stride", w->depth.stride);
    if (w->depth.pad[0] || w->depth.pad[1]) set_ints(j, "depth_padding", w->depth.pad, 2);
    if (w->depth.dilation > 1) set_number(j, "depth_dilation", w->depth.dilation);
}

/* All taps of a window. */
static size_t taps_of(const window *w)
{ return (size_t)w->kernel[0] * (size_t)w->kernel[1] * (size_t)(w->sides == 3 ? w->depth.kernel : 1); }

rt_status rt_lower_images(rt_lowering *l, rt_lowered_value *x, int order[RT_ARRAY_RANK], rt_shape *shape,
                          const char **from)
{
    if (!x || !rt_lower_channels_last(x, order, shape))
        return rt_lower_no(l, "its input is no sequence, image or volume");
    return rt_lower_as(l, x, order, shape, from);
}

/* The layer's name of the node's first input, channels last. */
static rt_status images(rt_lowering *l, const rt_eval_node *n, int order[RT_ARRAY_RANK], rt_shape *shape,
                        const char **from)
{ return rt_lower_images(l, rt_lower_in(l, n, 0), order, shape, from); }

void rt_lower_give_images(rt_lowering *l, const rt_eval_node *n, const cJSON *layer, const int *order)
{
    const rt_array *y = rt_lower_shape(l, n, 0);
    rt_shape s = {.rank = y->rank - 1};
    for (int i = 1; i < y->rank; i++) s.dim[i - 1] = (int)y->dim[order[i]];
    rt_lower_give(l, n, 0, layer, &s, order);
}

/* ---- convolution ---- */

static rt_status conv(rt_lowering *l, const rt_eval_node *n)
{
    const rt_array *w = rt_lower_const(l, n, 1), *b = rt_lower_const(l, n, 2);
    int order[RT_ARRAY_RANK], groups = (int)rt_lower_int(n, "group", 1);
    rt_shape shape;
    window win;
    const char *from;
    int paired;
    RT_TRY(rt_lower_paired_conv(l, n, &paired));
    if (paired) return RT_OK;
    if (!w || (n->inputs > 2 && n->in[2] >= 0 && !b)) return rt_lower_no(l, "its weights depend on data");
    RT_TRY(images(l, n, order, &shape, &from));
    if (l->bad) return RT_OK;
    if (w->rank != shape.rank + 1 || !window_of(l, n, w->dim + 2, &win))
        return rt_lower_no(l, "its window is beyond the limits of layers");
    static const char *const layer[] = {NULL, "conv1d", "conv2d", "conv3d"};
    cJSON *j = rt_lower_layer(l, layer[win.sides], n->name, &from, 1);
    set_number(j, "out", (double)w->dim[0]);
    rt_lower_set_window(j, &win);
    if (groups != 1) set_number(j, "groups", groups);
    if (!b) cJSON_AddBoolToObject(j, "bias", 0);
    size_t taps = taps_of(&win), out = (size_t)w->dim[0], in = (size_t)w->dim[1];
    float *to = rt_lower_fill(l, j, "weight", w->count), *bias = b ? rt_lower_fill(l, j, "bias", b->count) : NULL;
    const float *v = rt_lower_floats(l, w);
    if (!to || !v || (b && !bias)) return RT_RUN;
    for (size_t o = 0; o < out; o++)
        for (size_t c = 0; c < in; c++)
            for (size_t t = 0; t < taps; t++) to[(t * in + c) * out + o] = v[(o * in + c) * taps + t];
    for (size_t i = 0; b && i < b->count; i++) bias[i] = (float)rt_array_double(b, i);
    rt_lower_give_images(l, n, j, order);
    return RT_OK;
}

static rt_status conv_transpose(rt_lowering *l, const rt_eval_node *n)
{
    const rt_array *w = rt_lower_const(l, n, 1), *b = rt_lower_const(l, n, 2), *y = rt_lower_shape(l, n, 0);
    int order[RT_ARRAY_RANK], groups = (int)rt_lower_int(n, "group", 1), more[3] = {0, 0, 0};
    const int64_t *list;
    rt_shape shape;
    window win;
    const char *from;
    if (!w || (n->inputs > 2 && n->in[2] >= 0 && !b)) return rt_lower_no(l, "its weights depend on data");
    RT_TRY(images(l, n, order, &shape, &from));
    if (l->bad) return RT_OK;
    if (w->rank != shape.rank + 1 || strcmp(rt_lower_string(n, "auto_pad", "NOTSET"), "NOTSET") ||
        rt_lower_ints(n, "output_shape", &list) >= 0 || !window_of(l, n, w->dim + 2, &win))
        return rt_lower_no(l, "its window is beyond the limits of layers");
    if (rt_lower_ints(n, "output_padding", &list) == win.sides)
        for (int i = 0; i < win.sides; i++) more[3 - win.sides + i] = (int)list[i];
    static const char *const layer[] = {NULL, "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"};
    cJSON *j = rt_lower_layer(l, layer[win.sides], n->name, &from, 1);
    set_number(j, "out", (double)y->dim[1]);
    rt_lower_set_window(j, &win);
    if (more[1] || more[2]) set_ints(j, "output_padding", more + 1, 2);
    if (more[0]) set_number(j, "depth_output_padding", more[0]);
    if (groups != 1) set_number(j, "groups", groups);
    if (!b) cJSON_AddBoolToObject(j, "bias", 0);
    size_t taps = taps_of(&win), in = (size_t)w->dim[0], out = (size_t)w->dim[1];
    float *to = rt_lower_fill(l, j, "weight", w->count), *bias = b ? rt_lower_fill(l, j, "bias", b->count) : NULL;
    const float *v = rt_lower_floats(l, w);
    if (!to || !v || (b && !bias)) return RT_RUN;
    for (size_t c = 0; c < in; c++)                         /* (C, N / groups, taps) as (taps, N / groups, C) */
        for (size_t o = 0; o < out; o++)
            for (size_t t = 0; t < taps; t++) to[(t * out + o) * in + c] = v[(c * out + o) * taps + t];
    for (size_t i = 0; b && i < b->count; i++) bias[i] = (float)rt_array_double(b, i);
    rt_lower_give_images(l, n, j, order);
    return RT_OK;
}

/* ---- other sizes ---- */

/* Whether scales give lengths without rounding: with "align_corners" the definition has the length before that. */
static int is_whole(const rt_lowering *l, const rt_eval_node *n, const rt_array *scales)
{
    const int64_t *axes;
    const rt_array *x = l->row->value[n->in[0]], *y = rt_lower_shape(l, n, 0);
    int named = rt_lower_ints(n, "axes", &axes);
    for (size_t i = 0; i < scales->count; i++) {
        int64_t axis = named > (int)i ? axes[i] + (axes[i] < 0 ? x->rank : 0) : (int64_t)i;
        double length = rt_array_double(scales, i) * (double)x->dim[axis];
        if (fabs(length - (double)y->dim[axis]) > 1e-6 * length) return 0;
    }
    return 1;
}

/* Before opset 11 the nearest pixel is that above where sizes shrink, that below where they grow. 0: some do either, or
 * scales are not known here. */
static int old_rounding(const rt_lowering *l, const rt_eval_node *n, const rt_array *scales, const char **nearest)
{
    const rt_array *x = l->row->value[n->in[0]], *y = rt_lower_shape(l, n, 0);
    int less = 0, more = 0;
    for (int i = 2; i < x->rank; i++) {
        if (scales && scales->count != (size_t)x->rank) return 0;
        if (!scales && y->dim[i] % x->dim[i]) return 0;
        double by = scales ? rt_array_double(scales, (size_t)i) : (double)(y->dim[i] / x->dim[i]);
        less |= by < 1;
        more |= by > 1;
    }
    *nearest = less ? "ceil" : "floor";
    return !(less && more);
}

/* How a node resizes, as layers are told it. */
typedef struct { const char *place, *nearest, *mode; double cubic; int exclude; } resizing;

/* A layer that resizes an image (H, W, C) to (h, w); scales that its sizes alone would not tell, or 0. */
static const cJSON *resize_image(rt_lowering *l, const char *name, const char *from, const resizing *z, int h, int w,
                                double scale_h, double scale_w)
{
    cJSON *j = rt_lower_layer(l, "resize", name, &from, 1);
    set_ints(j, "size", (int[]){h, w}, 2);
    if (!strcmp(z->mode, "linear") || !strcmp(z->mode, "bilinear")) cJSON_AddStringToObject(j, "mode", "linear");
    else if (!strcmp(z->mode, "cubic")) cJSON_AddStringToObject(j, "mode", "cubic");
    cJSON_AddStringToObject(j, "coordinates", z->place);
    cJSON_AddStringToObject(j, "nearest", z->nearest);
    if (scale_h > 0) set_number(j, "scale_h", scale_h);
    if (scale_w > 0) set_number(j, "scale_w", scale_w);
    if (!strcmp(z->mode, "cubic")) set_number(j, "cubic", z->cubic);
    if (z->exclude) cJSON_AddBoolToObject(j, "exclude_outside", 1);
    return j;
}

static const cJSON *seen_as(rt_lowering *l, const char *from, rt_shape shape)
{
    cJSON *j = rt_lower_layer(l, "reshape", "", &from, 1);
    set_ints(j, "shape", shape.dim, shape.rank);
    l->made++;
    return j;
}

/* Each axis is resized by itself: of volumes (D, H, W, C) W as that of an image (D H, W, C), then D and H as those of
 * (D, H, W C). */
static const cJSON *resize_volume(rt_lowering *l, const rt_eval_node *n, const char *from, const resizing *z,
                                  const rt_shape *in, const rt_shape *out, const double scale[3])
{
    const int *x = in->dim, *y = out->dim, c = x[3];
    const cJSON *j = seen_as(l, from, (rt_shape){3, {x[0] * x[1], x[2], c}});
    j = resize_image(l, n->name, rt_lower_name(j), z, x[0] * x[1], y[2], 0, scale[2]);
    j = seen_as(l, rt_lower_name(j), (rt_shape){3, {x[0], x[1], y[2] * c}});
    j = resize_image(l, n->name, rt_lower_name(j), z, y[0], y[1], scale[0], scale[1]);
    return seen_as(l, rt_lower_name(j), *out);
}

static rt_status resize(rt_lowering *l, const rt_eval_node *n)
{
    rt_lowered_value *x = rt_lower_in(l, n, 0);
    const rt_array *y = rt_lower_shape(l, n, 0), *scales;
    int order[RT_ARRAY_RANK], upsample = !strcmp(n->op, "Upsample"), old = upsample || n->version < 11;
    resizing z = {.place = rt_lower_string(n, "coordinate_transformation_mode", old ? "asymmetric" : "half_pixel"),
                  .nearest = rt_lower_string(n, "nearest_mode", old ? "floor" : "round_prefer_floor"),
                  .mode = rt_lower_string(n, "mode", "nearest"), .cubic = rt_lower_float(n, "cubic_coeff_a", -0.75),
                  .exclude = rt_lower_int(n, "exclude_outside", 0) != 0};
    const char *from;
    double scale[3] = {0, 0, 0};               /* of D, H and W */
    rt_shape shape, to;
    if (!x) return rt_lower_no(l, "its size depends on data");
    RT_TRY(images(l, n, order, &shape, &from));
    if (l->bad) return RT_OK;
    if (y->dim[1] != x->dim[1] || y->dim[0] != 1) return rt_lower_no(l, "resizes channels");
    if (rt_lower_int(n, "antialias", 0) || !strcmp(z.place, "tf_crop_and_resize") ||
        strcmp(rt_lower_string(n, "keep_aspect_ratio_policy", "stretch"), "stretch"))
        return rt_lower_no(l, "antialiasing, cropping or a kept aspect ratio");
    scales = rt_lower_const(l, n, old ? 1 : 2);
    if (old && !old_rounding(l, n, scales, &z.nearest)) return rt_lower_no(l, "a size that shrinks and one that grows");
    if (scales && !strcmp(z.place, "align_corners") && !is_whole(l, n, scales))
        return rt_lower_no(l, "aligned corners of a length that is no whole number");
    const int64_t *axes;
    int named = rt_lower_ints(n, "axes", &axes);
    for (size_t i = 0; scales && i < scales->count; i++) {
        int64_t axis = named > (int)i ? axes[i] + (axes[i] < 0 ? x->rank : 0) : (int64_t)i;
        if (axis >= 2) scale[axis - x->rank + 3] = rt_array_double(scales, i);
    }
    to = (rt_shape){.rank = shape.rank};
    for (int i = 0; i < shape.rank; i++) to.dim[i] = (int)y->dim[order[i + 1]];
    if (shape.rank == 4) rt_lower_give(l, n, 0, resize_volume(l, n, from, &z, &shape, &to, scale), &to, order);
    else
        rt_lower_give(l, n, 0,
                      resize_image(l, n->name, from, &z, shape.rank == 3 ? to.dim[0] : 1, to.dim[to.rank - 2],
                                   scale[1], scale[2]),
                      &to, order);
    return RT_OK;
}

/* ---- dense ---- */

/* x (.., K) times w (K, N), where w's element (k, n) is at k * row + n * col. extra: added to sums, or NULL. */
typedef struct { const rt_array *w, *b; int64_t k, n; size_t row, col; double alpha, beta; } product;

/* In which order rows of the weight come when x, flattened, is not in its own. */
static int *row_order(rt_lowering *l, const rt_lowered_value *x)
{
    size_t count = 1;
    int64_t step[RT_ARRAY_RANK];
    for (int i = 0; i < x->base_rank; i++) count *= (size_t)x->base[i];
    int *at = rt_region_list(l->region, count, sizeof *at);
    rt_array_steps(x->base_rank, x->base, step);
    for (size_t m = 0; at && m < count; m++) {              /* place in memory to place in row-major order */
        size_t rest = m;
        int64_t to = 0;
        for (int i = x->base_rank - 1; i >= 0; i--) {
            int axis = x->order[i];
            to += (int64_t)(rest % (size_t)x->base[axis]) * step[axis];
            rest /= (size_t)x->base[axis];
        }
        at[m] = (int)to;
    }
    return at;
}

static rt_status dense(rt_lowering *l, const rt_eval_node *n, const product *p)
{
    rt_lowered_value *x = rt_lower_in(l, n, 0);
    const char *from;
    size_t count = 1;
    for (int i = 0; i < x->rank; i++) count *= (size_t)x->dim[i];
    size_t rows = p->k ? count / (size_t)p->k : 0;
    rt_shape flat = {1, {(int)p->k}}, lines = {2, {(int)rows, (int)p->k}}, out = {1, {(int)p->n}},
             outs = {2, {(int)rows, (int)p->n}};
    int *at = NULL;
    if (!count || p->k > 1 << 20 || p->n > 1 << 20 || count > INT32_MAX)
        return rt_lower_no(l, "is beyond the limits of layers");
    if (rows == 1 && !rt_lower_is(x, NULL)) {               /* an image that is flattened: the weights move */
        if (!(at = row_order(l, x))) return RT_RUN;
        from = x->layer;
        if (x->shape.rank != 1) {
            cJSON *j = rt_lower_layer(l, "flatten", "", &from, 1);
            from = rt_lower_name(j);
        }
    } else RT_TRY(rt_lower_as(l, x, NULL, rows == 1 ? &flat : &lines, &from));
    if (l->bad) return RT_OK;
    cJSON *j = rt_lower_layer(l, "dense", n->name, &from, 1);
    set_number(j, "out", (double)p->n);
    if (!p->b) cJSON_AddBoolToObject(j, "bias", 0);
    float *w = rt_lower_fill(l, j, "weight", p->w->count),
          *b = p->b ? rt_lower_fill(l, j, "bias", (size_t)p->n) : NULL;
    const float *v = rt_lower_floats(l, p->w);
    if (!w || !v || (p->b && !b)) return RT_RUN;
    for (size_t k = 0; k < (size_t)p->k; k++)
        for (size_t i = 0; i < (size_t)p->n; i++) {
            float value = v[(at ? (size_t)at[k] : k) * p->row + i * p->col];
            w[k * (size_t)p->n + i] = p->alpha == 1 ? value : (float)(p->alpha * (double)value);
        }
    for (size_t i = 0; p->b && i < (size_t)p->n; i++)
        b[i] = (float)(p->beta * rt_array_double(p->b, p->b->count == 1 ? 0 : i));
    rt_lower_give(l, n, 0, j, rows == 1 ? &out : &outs, NULL);
    return RT_OK;
}

static rt_status gemm(rt_lowering *l, const rt_eval_node *n)
{
    product p = {.w = rt_lower_const(l, n, 1), .b = rt_lower_const(l, n, 2), .alpha = rt_lower_float(n, "alpha", 1),
                 .beta = rt_lower_float(n, "beta", 1)};
    int paired;
    RT_TRY(rt_lower_paired_rows(l, n, &paired));
    if (paired) return RT_OK;
    if (!rt_lower_in(l, n, 0) || !p.w || (n->inputs > 2 && n->in[2] >= 0 && !p.b))
        return rt_lower_no(l, "its weights depend on data");
    if (rt_lower_int(n, "transA", 0)) return rt_lower_no(l, "its left side is transposed");
    int turned = rt_lower_int(n, "transB", 0) != 0;
    p.k = p.w->dim[turned];
    p.n = p.w->dim[!turned];
    p.row = turned ? 1 : (size_t)p.n;
    p.col = turned ? (size_t)p.k : 1;
    if (p.b && p.b->count != 1 && p.b->count != (size_t)p.n) return rt_lower_no(l, "its bias differs by row");
    return dense(l, n, &p);
}

/* The bias that an Add behind the product brings, which is then done: a constant (N), or (1, .., N). */
static const rt_array *bias_behind(rt_lowering *l, const rt_eval_node *n, int64_t width, int *add)
{
    *add = rt_lower_next(l, n, "Add");
    if (*add < 0) return NULL;
    const rt_eval_node *a = &l->g->node[*add];
    const rt_array *b = rt_lower_const(l, a, a->in[0] == n->out[0]), *was = l->row->value[n->out[0]],
                   *is = rt_lower_shape(l, a, 0);
    if (b && b->count == (size_t)width && b->rank && b->dim[b->rank - 1] == width && is->count == was->count) return b;
    *add = -1;
    return NULL;
}

static rt_status matmul_const(rt_lowering *l, const rt_eval_node *n)
{
    int add = -1, paired;
    product p = {.w = rt_lower_const(l, n, 1), .alpha = 1, .beta = 1, .col = 1};
    RT_TRY(rt_lower_paired_rows(l, n, &paired));
    if (paired) return RT_OK;
    if (rt_lower_in(l, n, 0) && rt_lower_in(l, n, 1)) return rt_lower_product(l, n);
    if (!p.w) return rt_lower_no(l, "its left side is constant");
    if (p.w->rank != 2) return rt_lower_no(l, "its weights are no matrix");
    p.k = p.w->dim[0];
    p.n = p.w->dim[1];
    p.row = (size_t)p.n;
    p.b = bias_behind(l, n, p.n, &add);
    RT_TRY(dense(l, n, &p));
    if (l->bad || add < 0) return RT_OK;
    l->done[add] = 1;
    rt_lower_alias(l, &l->g->node[add], 0, &l->v[n->out[0]]);
    return RT_OK;
}

/* ---- norms ---- */

static int is_vector(const rt_array *a, int64_t n) { return a && a->count == (size_t)n; }

static rt_status batch_norm(rt_lowering *l, const rt_eval_node *n)
{
    static const char *const field[] = {NULL, "gamma", "beta", "mean", "variance"};
    rt_lowered_value *x = rt_lower_in(l, n, 0);
    int order[RT_ARRAY_RANK] = {0, 1};
    rt_shape shape;
    const char *from;
    if (!x || x->rank < 2 || x->dim[0] != 1) return rt_lower_no(l, "its input is no image, sequence or row");
    for (int i = 1; i < 5; i++)
        if (!is_vector(rt_lower_const(l, n, i), x->dim[1])) return rt_lower_no(l, "its statistics depend on data");
    if (rt_lower_int(n, "training_mode", 0)) return rt_lower_no(l, "is in training mode");
    if (x->rank == 2) shape = (rt_shape){1, {(int)x->dim[1]}};
    else if (!rt_lower_channels_last(x, order, &shape)) return rt_lower_no(l, "its input is no image, sequence or row");
    RT_TRY(rt_lower_as(l, x, order, &shape, &from));
    if (l->bad) return RT_OK;
    cJSON *j = rt_lower_layer(l, "batch_norm", n->name, &from, 1);
    set_number(j, "eps", fmax(rt_lower_float(n, "epsilon", 1e-5), 1e-12));
    for (int i = 1; i < 5; i++) RT_TRY(rt_lower_put(l, j, field[i], rt_lower_const(l, n, i), NULL));
    rt_lower_give(l, n, 0, j, &shape, order);
    return RT_OK;
}

static rt_status layer_norm(rt_lowering *l, const rt_eval_node *n)
{
    rt_lowered_value *x = rt_lower_in(l, n, 0);
    const rt_array *gamma = rt_lower_const(l, n, 1), *beta = rt_lower_const(l, n, 2);
    int64_t axis = rt_lower_int(n, "axis", -1), width = 1, rows = 1;
    const char *from;
    if (!x || !gamma || (n->inputs > 2 && n->in[2] >= 0 && !beta)) return rt_lower_no(l, "its scale depends on data");
    if (n->outputs > 1) return rt_lower_no(l, "its mean and deviation are read");
    if (axis < 0) axis += x->rank;
    for (int i = 0; i < x->rank; i++) *(i < axis ? &rows : &width) *= x->dim[i];
    if (gamma->count != (size_t)width || width > 1 << 20)
        return rt_lower_no(l, "its scale is not one number an element");
    rt_shape shape = rows == 1 ? (rt_shape){1, {(int)width}} : (rt_shape){2, {(int)rows, (int)width}};
    RT_TRY(rt_lower_as(l, x, NULL, &shape, &from));
    if (l->bad) return RT_OK;
    cJSON *j = rt_lower_layer(l, "layer_norm", n->name, &from, 1);
    set_number(j, "eps", fmax(rt_lower_float(n, "epsilon", 1e-5), 1e-12));
    RT_TRY(rt_lower_put(l, j, "gamma", gamma, NULL));
    if (beta) RT_TRY(rt_lower_put(l, j, "beta", beta, NULL));
    rt_lower_give(l, n, 0, j, &shape, NULL);
    return RT_OK;
}

/* ---- pools ---- */

enum { POOL_TAPS = 256 };

/* Along one axis: padding is smaller than the kernel, and every window has a tap inside. */
static int pools_inside(const rt_array *x, const rt_array *y, int axis, int kernel, int stride, int dilation,
                        const int pad[2])
{
    const int reach = (kernel - 1) * dilation + 1;
    if (pad[0] >= reach || pad[1] >= reach || x->dim[axis] > INT32_MAX / 2) return 0;
    for (int64_t o = 0; dilation > 1 && o < y->dim[axis]; o++) {
        rt_taps s = rt_taps_inside((int)(o * stride) - pad[0], kernel, dilation, (int)x->dim[axis]);
        if (s.from >= s.to) return 0;
    }
    return 1;
}

static int is_pool(const rt_lowering *l, const rt_eval_node *n, const window *w)
{
    const rt_array *x = l->row->value[n->in[0]], *y = rt_lower_shape(l, n, 0);
    int at = 2, fits = 1;
    if (w->sides == 3)
        fits = pools_inside(x, y, at++, w->depth.kernel, w->depth.stride, w->depth.dilation, w->depth.pad);
    for (int i = w->sides == 1; i < 2; i++)
        fits &= pools_inside(x, y, at++, w->kernel[i], w->stride[i], w->dilation[i], w->pad + 2 * i);
    return fits;
}

static rt_status pool(rt_lowering *l, const rt_eval_node *n)
{
    int order[RT_ARRAY_RANK], max = !strcmp(n->op, "MaxPool");
    const int64_t *kernel;
    rt_shape shape;
    window w;
    const char *from;
    RT_TRY(images(l, n, order, &shape, &from));
    if (l->bad) return RT_OK;
    if (n->outputs > 1 && n->out[1] >= 0) return rt_lower_no(l, "its indices are read");
    if (rt_lower_ints(n, "kernel_shape", &kernel) != shape.rank - 1 || !window_of(l, n, kernel, &w))
        return rt_lower_no(l, "its window is beyond the limits of layers");
    if (taps_of(&w) > POOL_TAPS || !is_pool(l, n, &w))
        return rt_lower_no(l, "its window is beyond the limits of layers");
    static const char *const layer[2][2] = {{"avg_pool", "avg_pool3d"}, {"max_pool", "max_pool3d"}};
    cJSON *j = rt_lower_layer(l, layer[max][w.sides == 3], n->name, &from, 1);
    rt_lower_set_window(j, &w);
    if (rt_lower_int(n, "ceil_mode", 0)) cJSON_AddBoolToObject(j, "ceil", 1);
    if (!max && rt_lower_int(n, "count_include_pad", 0)) cJSON_AddBoolToObject(j, "count_padding", 1);
    rt_lower_give_images(l, n, j, order);
    return RT_OK;
}

static rt_status global_pool(rt_lowering *l, const rt_eval_node *n)
{
    int order[RT_ARRAY_RANK];
    rt_shape shape;
    const char *from;
    RT_TRY(images(l, n, order, &shape, &from));
    if (l->bad) return RT_OK;
    cJSON *j = rt_lower_layer(l, strcmp(n->op, "GlobalMaxPool") ? "global_avg_pool" : "global_max_pool", n->name, &from,
                              1);
    rt_shape flat = {1, {shape.dim[shape.rank - 1]}};
    rt_lower_give(l, n, 0, j, &flat, order);
    return RT_OK;
}

/* ---- tables ---- */

/* Gather of rows of a constant by ids of an input. */
static rt_status embedding(rt_lowering *l, const rt_eval_node *n)
{
    const rt_array *table = rt_lower_const(l, n, 0);
    rt_lowered_value *ids = rt_lower_in(l, n, 1);
    const char *from;
    if (!table && !ids) return rt_lower_pick(l, n);
    if (!table || !ids) return rt_lower_no(l, "picks from a tensor that depends on data, by another");
    if (rt_lower_int(n, "axis", 0) || table->rank != 2 || !rt_array_is_float(table) || !ids->ids)
        return rt_lower_no(l, "is no table of rows by ids of an input");
    rt_shape flat, out;
    if (!rt_lower_memory(l, ids, NULL, &flat)) return RT_OK;
    flat = (rt_shape){1, {(int)rt_shape_count(&flat)}};
    out = (rt_shape){2, {flat.dim[0], (int)table->dim[1]}};
    RT_TRY(rt_lower_as(l, ids, NULL, &flat, &from));
    if (l->bad) return RT_OK;
    cJSON *j = rt_lower_layer(l, "embedding", n->name, &from, 1);
    set_number(j, "rows", (double)table->dim[0]);
    set_number(j, "out", (double)table->dim[1]);
    RT_TRY(rt_lower_put(l, j, "weight", table, NULL));
    rt_lower_give(l, n, 0, j, &out, NULL);
    return RT_OK;
}

const rt_lower_entry rt_lower_layers[] = {{"Conv", conv},
                                          {"ConvTranspose", conv_transpose},
                                          {"Resize", resize},
                                          {"Upsample", resize},
                                          {"Gemm", gemm},
                                          {"MatMul", matmul_const},
                                          {"Attention", rt_lower_attention},
                                          {"BatchNormalization", batch_norm},
                                          {"LayerNormalization", layer_norm},
                                          {"MaxPool", pool},
                                          {"AveragePool", pool},
                                          {"GlobalAveragePool", global_pool},
                                          {"GlobalMaxPool", global_pool},
                                          {"Gather", embedding},
                                          {NULL, NULL}};
