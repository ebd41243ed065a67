/* engine/eval/eval_image.c - Resize and Upsample; GridSample and AffineGrid are in eval_image_more.c.
 *
 * One dimension after the other: place o of the output looks at x(o) of the input, and is the sum of pixels around it
 * weighted by f(i - x), f a triangle (linear) or Keys' cubic of 1981. Antialiasing stretches f by the scale when that
 * is below 1. What lies outside is the border's pixel. */
#include <math.h>
#include <string.h>

#include "engine/eval/layers.h"

typedef enum { NEAREST, LINEAR, CUBIC } method;
typedef enum {
    HALF_PIXEL, HALF_PIXEL_SYMMETRIC, PYTORCH_HALF_PIXEL, ALIGN_CORNERS, ASYMMETRIC, CROP, HALF_PIXEL_FOR_NEAREST
} coordinates;
typedef enum { PREFER_FLOOR, PREFER_CEIL, FLOOR, CEIL, SIMPLE } rounding;

typedef struct {
    const rt_array *x;
    method how;
    coordinates where;
    rounding round;
    double cubic, outside;                  /* coefficient; the value of places outside a crop */
    int exclude, antialias;
    int64_t out[RT_ARRAY_RANK];
    double scale[RT_ARRAY_RANK], begin[RT_ARRAY_RANK], end[RT_ARRAY_RANK];      /* begin, end: of a crop */
} resize;

/* ---- places ---- */

/* Where place o of dimension d looks at; *out is set when that lies outside of a crop's image. */
static double coordinate(const resize *r, int d, int64_t o, int *out)
{
    double n = (double)r->x->dim[d], s = r->scale[d], length = s * n, at = (double)o;
    *out = 0;
    switch (r->where) {
    case ASYMMETRIC: return at / s;
    case ALIGN_CORNERS: return length == 1 || r->out[d] == 1 ? 0 : at * (n - 1) / (length - 1);
    case PYTORCH_HALF_PIXEL: return r->out[d] > 1 ? (at + 0.5) / s - 0.5 : 0;
    case HALF_PIXEL_FOR_NEAREST: return (at + 0.5) / s;
    case HALF_PIXEL_SYMMETRIC: return n / 2 * (1 - (double)r->out[d] / length) + (at + 0.5) / s - 0.5;
    case CROP: {
        double part = (r->end[d] - r->begin[d]) * (n - 1);
        double x = r->begin[d] * (n - 1) + (r->out[d] > 1 ? at * part / (length - 1) : part / 2);
        *out = x < 0 || x > n - 1;
        return x;
    }
    default: return (at + 0.5) / s - 0.5;
    }
}

static int64_t nearest(const resize *r, int d, double x)
{
    double i = r->round == PREFER_FLOOR ? ceil(x - 0.5) : r->round == PREFER_CEIL ? floor(x + 0.5) :
               r->round == CEIL || (r->round == SIMPLE && r->scale[d] < 1) ? ceil(x) : floor(x);
    int64_t last = r->x->dim[d] - 1;
    return i > 0 ? i < (double)last ? (int64_t)i : last : 0;
}

static double filter(const resize *r, double t)
{
    double a = r->cubic;
    t = fabs(t);
    if (r->how == LINEAR) return t < 1 ? 1 - t : 0;
    if (t <= 1) return ((a + 2) * t - (a + 3)) * t * t + 1;
    return t < 2 ? ((a * t - 5 * a) * t + 8 * a) * t - 4 * a : 0;
}

static int is_same(const resize *r, int d)
{ return r->out[d] == r->x->dim[d] && r->scale[d] == 1 && r->begin[d] == 0 && r->end[d] == 1; }

/* ---- nearest: elements of any type are copied ---- */

static rt_status copy_nearest(rt_eval_call *call, const resize *r, rt_array *y)
{
    int64_t *from[RT_ARRAY_RANK], step[RT_ARRAY_RANK], at[RT_ARRAY_RANK] = {0};
    rt_array_steps(r->x->rank, r->x->dim, step);
    for (int d = 0; d < r->x->rank; d++) {
        from[d] = rt_eval_scratch(call, (size_t)r->out[d], sizeof *from[d]);
        if (!from[d]) return RT_INPUT;
        for (int64_t o = 0; o < r->out[d]; o++) {
            int outside = 0;
            double x = is_same(r, d) ? (double)o : coordinate(r, d, o, &outside);
            from[d][o] = outside ? -1 : is_same(r, d) ? o : nearest(r, d, x);
        }
    }
    for (size_t i = 0; i < y->count; i++) {
        int64_t place = 0;
        if (i % 65536 == 0) RT_TRY(rt_eval_tick(call, 65536));
        for (int d = 0; d < r->x->rank && place >= 0; d++)
            place = from[d][at[d]] < 0 ? -1 : place + from[d][at[d]] * step[d];
        if (place >= 0) rt_array_copy(y, i, r->x, (size_t)place);
        else rt_array_put(y, i, r->outside);
        for (int d = r->x->rank - 1; d >= 0 && ++at[d] == r->out[d]; d--) at[d] = 0;
    }
    return RT_OK;
}

/* ---- linear and cubic ---- */

/* Pixels around one place and their weights, in `taps` places. Returns whether it is outside of a crop. */
static int weights(const resize *r, int d, int64_t o, int64_t start, int64_t taps, int64_t *pixel, double *weight)
{
    int outside;
    double x = coordinate(r, d, o, &outside), base = floor(x), sum = 0;
    double s = r->antialias && r->scale[d] < 1 ? r->scale[d] : 1;
    int64_t n = r->x->dim[d];
    for (int64_t k = 0; k < taps; k++) {
        double at = base + (double)(start + k);
        int in = at >= 0 && at < (double)n;
        weight[k] = r->exclude && !in ? 0 : filter(r, s * ((double)(start + k) - (x - base)));
        pixel[k] = in ? (int64_t)at : at < 0 ? 0 : n - 1;
        sum += weight[k];
    }
    for (int64_t k = 0; k < taps && sum != 0; k++) weight[k] /= sum;
    return outside;
}

/* One dimension: (before, n, behind) to (before, out, behind). */
static rt_status resize_dimension(rt_eval_call *call, const resize *r, int d, int64_t before, int64_t behind,
                                  const double *from, double *to)
{
    double s = r->antialias && r->scale[d] < 1 ? r->scale[d] : 1, reach = (r->how == LINEAR ? 1 : 2) / s;
    if (!(reach < 1 << 24)) return rt_fail(RT_INPUT, "a scale of %g is too small", r->scale[d]);
    int64_t start = (int64_t)floor(-reach) + 1, taps = 2 - 2 * start, n = r->x->dim[d];
    int64_t *pixel = rt_eval_scratch(call, (size_t)taps, sizeof *pixel);
    double *weight = rt_eval_scratch(call, (size_t)taps, sizeof *weight);
    if (!pixel || !weight) return RT_INPUT;
    for (int64_t o = 0; o < r->out[d]; o++) {
        int outside = weights(r, d, o, start, taps, pixel, weight);
        for (int64_t b = 0; b < before; b++) {
            double *line = to + (b * r->out[d] + o) * behind;
            RT_TRY(rt_eval_tick(call, (double)taps * (double)behind));
            memset(line, 0, (size_t)behind * sizeof *line);
            for (int64_t k = 0; k < taps && !outside; k++) {
                const double *x = from + (b * n + pixel[k]) * behind;
                for (int64_t i = 0; i < behind; i++) line[i] += weight[k] * x[i];
            }
            for (int64_t i = 0; i < behind && outside; i++) line[i] = r->outside;
        }
    }
    return RT_OK;
}

/* Integers are rounded to the nearest, even, and stay in their range. */
static void put_clamped(rt_array *y, size_t i, double v)
{
    static const double low[RT_DTYPE_COUNT] = {[RT_I8] = INT8_MIN, [RT_I16] = INT16_MIN, [RT_I32] = INT32_MIN,
                                               [RT_I64] = -0x1p63};
    static const double high[RT_DTYPE_COUNT] = {[RT_U8] = UINT8_MAX, [RT_I8] = INT8_MAX, [RT_U16] = UINT16_MAX,
                                                [RT_I16] = INT16_MAX, [RT_U32] = UINT32_MAX, [RT_I32] = INT32_MAX,
                                                [RT_U64] = 0x1p64, [RT_I64] = 0x1p63};
    if (rt_array_is_integer(y)) v = fmin(fmax(nearbyint(v), low[y->type]), high[y->type]);
    rt_array_put(y, i, v);
}

static rt_status interpolate(rt_eval_call *call, const resize *r, rt_array *y)
{
    const double *from;
    int64_t before = 1, behind = 1;
    RT_TRY(rt_eval_types(call, 0, RT_EVAL_NUMBERS));
    RT_TRY(rt_layer_doubles(call, r->x, &from));
    for (int d = 1; d < r->x->rank; d++) behind *= r->x->dim[d];
    for (int d = 0; d < r->x->rank; d++) {
        if (!is_same(r, d)) {
            size_t count;
            if (__builtin_mul_overflow((size_t)(before * r->out[d]), (size_t)behind, &count))
                return rt_fail(RT_INPUT, "the output has more places than memory can hold");
            double *to = rt_eval_scratch(call, count, sizeof *to);
            if (!to) return RT_INPUT;
            RT_TRY(resize_dimension(call, r, d, before, behind, from, to));
            from = to;
        }
        before *= r->out[d];
        if (d + 1 < r->x->rank) behind /= r->x->dim[d + 1];
    }
    for (size_t i = 0; i < y->count; i++) put_clamped(y, i, from[i]);
    return RT_OK;
}

static rt_status run_resize(rt_eval_call *call, const resize *r)
{
    rt_array *y;
    RT_TRY(rt_eval_make(call, 0, r->x->type, r->x->rank, r->out, &y));
    if (!y->count) return RT_OK;
    for (int d = 0; d < r->x->rank; d++)
        if (!r->x->dim[d] || !(r->scale[d] > 0 && r->scale[d] < 1e9))
            return rt_fail(RT_INPUT, "dimension %d of %lld with scale %g", d, (long long)r->x->dim[d], r->scale[d]);
    return r->how == NEAREST ? copy_nearest(call, r, y) : interpolate(call, r, y);
}

/* ---- definitions ---- */

/* out = floor(in * scale) in floats, as all implementations have it; scales beyond reason are refused later. */
static rt_status take_scale(resize *r, int d, double scale)
{
    float length = floorf((float)r->x->dim[d] * (float)scale);
    if (!(length >= 0 && length < 0x1p31f)) return rt_fail(RT_INPUT, "a scale of %g of %lld", scale,
                                                          (long long)r->x->dim[d]);
    r->scale[d] = scale;
    r->out[d] = (int64_t)length;
    return RT_OK;
}

static void begin_resize(resize *r)
{
    for (int d = 0; d < r->x->rank; d++) {
        r->out[d] = r->x->dim[d];
        r->scale[d] = 1;
        r->begin[d] = 0;
        r->end[d] = 1;
    }
}

static rt_status named(rt_eval_call *call, const char *attribute, const char *usual, const char *const *names, int *out)
{
    const char *name = rt_eval_string(call, attribute, usual);
    for (*out = 0; names[*out]; ++*out)
        if (!strcmp(names[*out], name)) return RT_OK;
    return rt_fail(RT_INPUT, "%s \"%s\" is unknown in opset %d", attribute, name, call->version);
}

/* Scales of all dimensions, and the coordinates of the time before they had names. */
static rt_status run_scaled(rt_eval_call *call, const double *scale, int n, int linear)
{
    resize r = {.how = linear ? LINEAR : NEAREST, .where = ASYMMETRIC, .round = SIMPLE};
    RT_TRY(rt_layer_in(call, 0, RT_EVAL_ANY, 0, RT_ARRAY_RANK, &r.x));
    if (n != r.x->rank) return rt_fail(RT_INPUT, "%d scales of %d dimensions", n, r.x->rank);
    begin_resize(&r);
    for (int d = 0; d < n; d++) RT_TRY(take_scale(&r, d, scale[d]));
    return run_resize(call, &r);
}

static rt_status scales_of(rt_eval_call *call, int i, double scale[RT_ARRAY_RANK], int *n)
{
    const rt_array *a;
    RT_TRY(rt_layer_optional(call, i, 1 << RT_F32, 1, 1, &a));
    *n = a ? (int)(a->count <= RT_ARRAY_RANK ? a->count : RT_ARRAY_RANK + 1) : 0;
    for (int d = 0; d < *n && d < RT_ARRAY_RANK; d++) scale[d] = rt_array_double(a, (size_t)d);
    return RT_OK;
}

static rt_status run_upsample(rt_eval_call *call)
{
    static const char *const first[] = {"nearest", "bilinear", NULL}, *const later[] = {"nearest", "linear", NULL};
    double scale[RT_ARRAY_RANK] = {1, 1, 1, 1};
    int linear, n = 4;
    if (call->version >= 10) return rt_fail(RT_INPUT, "there is no Upsample from opset 10 on");
    RT_TRY(named(call, "mode", "nearest", call->version < 7 ? first : later, &linear));
    if (call->version < 7) {
        scale[2] = rt_eval_float(call, "height_scale", 0);
        scale[3] = rt_eval_float(call, "width_scale", 0);
    } else if (call->version < 9) {
        const float *list;
        n = rt_eval_floats(call, "scales", &list);
        for (int i = 0; i < n && i < RT_ARRAY_RANK; i++) scale[i] = list[i];
    } else {
        RT_TRY(scales_of(call, 1, scale, &n));
    }
    return run_scaled(call, scale, n, linear);
}

static rt_status run_resize_10(rt_eval_call *call)
{
    static const char *const modes[] = {"nearest", "linear", NULL};
    double scale[RT_ARRAY_RANK];
    int linear, n;
    RT_TRY(named(call, "mode", "nearest", modes, &linear));
    RT_TRY(scales_of(call, 1, scale, &n));
    return run_scaled(call, scale, n, linear);
}

static rt_status resize_attributes(rt_eval_call *call, resize *r, int *policy)
{
    static const char *const modes[] = {"nearest", "linear", "cubic", NULL};
    static const char *const places[] = {"half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners",
                                         "asymmetric", "tf_crop_and_resize", "tf_half_pixel_for_nn", NULL};
    static const char *const rounds[] = {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil", NULL};
    static const char *const policies[] = {"stretch", "not_larger", "not_smaller", NULL};
    int how, where, round;
    RT_TRY(named(call, "mode", "nearest", modes, &how));
    RT_TRY(named(call, "coordinate_transformation_mode", "half_pixel", places, &where));
    RT_TRY(named(call, "nearest_mode", "round_prefer_floor", rounds, &round));
    r->how = (method)how;
    r->where = (coordinates)where;
    r->round = (rounding)round;
    r->cubic = rt_eval_float(call, "cubic_coeff_a", -0.75);
    r->outside = rt_eval_float(call, "extrapolation_value", 0);
    r->exclude = rt_eval_int(call, "exclude_outside", 0) != 0;
    *policy = 0;
    if ((r->where == HALF_PIXEL_FOR_NEAREST && call->version >= 13) ||
        (r->where == HALF_PIXEL_SYMMETRIC && call->version < 19))
        return rt_fail(RT_INPUT, "coordinate_transformation_mode \"%s\" is unknown in opset %d", places[where],
                       call->version);
    if (call->version < 18) return RT_OK;
    r->antialias = rt_eval_int(call, "antialias", 0) != 0;
    if (r->antialias && r->how == NEAREST) return rt_fail(RT_INPUT, "antialias with mode \"nearest\"");
    return named(call, "keep_aspect_ratio_policy", "stretch", policies, policy);
}

/* The region of each resized dimension, of which only a crop takes notice. */
static rt_status resize_region(rt_eval_call *call, resize *r, const int *axis, int n, int scaled)
{
    const rt_array *roi;
    RT_TRY(rt_layer_optional(call, 1, 1 << RT_F16 | 1 << RT_F32 | 1 << RT_F64, 1, 1, &roi));
    if (r->where != CROP) return RT_OK;
    if (!roi || roi->count != 2 * (size_t)n) return rt_fail(RT_INPUT, "roi must have %d numbers", 2 * n);
    for (int i = 0; i < n; i++) {
        double begin = r->begin[axis[i]] = rt_array_double(roi, (size_t)i);
        double end = r->end[axis[i]] = rt_array_double(roi, (size_t)(n + i));
        if (scaled && (begin != 0 || end != 1))
            return rt_fail(RT_INPUT, "a crop with scales, of which definition and practice differ; use sizes");
    }
    return RT_OK;
}

static rt_status resize_sizes(resize *r, const int *axis, int n, const int64_t *size, int policy)
{
    double scale = 0;
    for (int i = 0; i < n; i++) {
        int d = axis[i];
        if (size[i] < 0 || size[i] > INT32_MAX || (size[i] && !r->x->dim[d]))
            return rt_fail(RT_INPUT, "a size of %lld for %lld", (long long)size[i], (long long)r->x->dim[d]);
        r->out[d] = size[i];
        r->scale[d] = size[i] ? (double)size[i] / (double)r->x->dim[d] : 1;
        if (!i || (policy == 1 ? r->scale[d] < scale : r->scale[d] > scale)) scale = r->scale[d];
    }
    for (int i = 0; i < n && policy; i++) {
        int d = axis[i];
        double length = floor(scale * (double)r->x->dim[d] + 0.5);
        if (!(length < 0x1p31)) return rt_fail(RT_INPUT, "a size of %g", length);
        r->scale[d] = scale;
        r->out[d] = (int64_t)length;
    }
    return RT_OK;
}

static rt_status run_resize_11(rt_eval_call *call)
{
    resize r = {0};
    const int64_t *size, *list;
    double scale[RT_ARRAY_RANK];
    int axis[RT_ARRAY_RANK], flag[RT_ARRAY_RANK], n, scales, sizes, policy;
    RT_TRY(rt_layer_in(call, 0, RT_EVAL_ANY, 0, RT_ARRAY_RANK, &r.x));
    RT_TRY(resize_attributes(call, &r, &policy));
    n = call->version >= 18 ? rt_eval_ints(call, "axes", &list) : -1;
    if (n >= 0) RT_TRY(rt_eval_axes(r.x->rank, list, n, flag));
    for (int i = 0; i < (n < 0 ? r.x->rank : n); i++) {
        axis[i] = i;
        if (n >= 0) RT_TRY(rt_eval_axis(list[i], r.x->rank, &axis[i]));
    }
    if (n < 0) n = r.x->rank;
    RT_TRY(scales_of(call, 2, scale, &scales));
    RT_TRY(rt_eval_list(call, 3, &size, &sizes));
    begin_resize(&r);
    if (!(scales > 0) == !(sizes > 0) && n)
        return rt_fail(RT_INPUT, "%d scales and %d sizes are given; one of them is needed", scales, sizes);
    if ((scales > 0 && scales != n) || (sizes > 0 && sizes != n))
        return rt_fail(RT_INPUT, "%d scales or sizes for %d dimensions", scales > 0 ? scales : sizes, n);
    RT_TRY(resize_region(call, &r, axis, n, scales > 0));
    for (int i = 0; i < n && scales > 0; i++) RT_TRY(take_scale(&r, axis[i], scale[i]));
    if (sizes > 0) RT_TRY(resize_sizes(&r, axis, n, size, policy));
    return run_resize(call, &r);
}

const rt_eval_op rt_eval_image_ops[] = {
    {"", "Upsample", 1, 1, 1, 1, run_upsample, 0},
    {"", "Upsample", 9, 2, 2, 1, run_upsample, 0},
    {"", "Resize", 10, 2, 2, 1, run_resize_10, 0},
    {"", "Resize", 11, 3, 4, 1, run_resize_11, 0},
    {"", "Resize", 13, 1, 4, 1, run_resize_11, 0},
    {"", "GridSample", 16, 2, 2, 1, rt_eval_grid_sample, 0},
    {"", "AffineGrid", 20, 2, 2, 1, rt_eval_affine_grid, 0},
    {NULL, NULL, 0, 0, 0, 0, NULL, 0}};
