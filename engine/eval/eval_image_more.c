/* engine/eval/eval_image_more.c - GridSample and AffineGrid (Jaderberg et al. 2015). */
#include <math.h>
#include <string.h>

#include "engine/eval/layers.h"

/* ---- GridSample ---- */

typedef enum { ZEROS, BORDER, REFLECTION } padding;

typedef struct {
    const rt_array *x, *grid;
    int n, taps;                            /* dimensions of the image; taps: 1 nearest, 2 linear, 4 cubic */
    padding pad;
    int align;
    int64_t dim[RT_LAYER_SPACE];
    size_t pixels;
} grid_sample;

/* Thrown back at both ends until it is between them. */
static double reflect(double x, double low, double high)
{
    double range = high - low, d = x < low ? low - x : x > high ? x - high : -1;
    if (d < 0) return x;
    if (!(range > 0) || !isfinite(d)) return low;
    double turns = floor(d / range), rest = d - turns * range;
    return (fmod(turns, 2) == 0) == (x < low) ? low + rest : high - rest;
}

/* The grid's number in [-1, 1] as a pixel's; in floats unless the grid is of doubles, as ties depend on it. */
static double unscale(const grid_sample *g, double v, int64_t n)
{
    if (g->grid->type == RT_F64) return g->align ? (v + 1) / 2 * (double)(n - 1) : ((v + 1) * (double)n - 1) / 2;
    float f = (float)v, size = (float)n;
    return (double)(g->align ? (f + 1) / 2 * (size - 1) : ((f + 1) * size - 1) / 2);
}

/* The pixel that position i means; -1: none. */
static int64_t pixel_of(const grid_sample *g, double i, int d)
{
    double last = (double)g->dim[d] - 1;
    if (g->pad == REFLECTION) i = trunc(reflect(i, g->align ? 0 : -0.5, g->align ? last : last + 0.5));
    if (g->pad == ZEROS && !(i >= 0 && i <= last)) return -1;
    return i > 0 ? i < last ? (int64_t)i : (int64_t)last : 0;
}

/* Pixels and weights along dimension d for a point at v. */
static void taps_at(const grid_sample *g, int d, double v, int64_t *pixel, double *weight)
{
    const double a = -0.75, last = (double)g->dim[d] - 1;
    double x = unscale(g, v, g->dim[d]), low = g->align ? 0 : -0.5, high = g->align ? last : last + 0.5;
    if (!isfinite(x)) x = -2;                       /* nowhere */
    if (g->taps == 1) x = nearbyint(x);
    if (g->taps < 4 && (x < low || x > high)) {     /* cubic: of each pixel by itself */
        if (g->pad == BORDER) x = fmin(fmax(x, 0), last);
        if (g->pad == REFLECTION) x = reflect(x, low, high);
    }
    double base = floor(x), t = x - base;
    for (int k = 0; k < g->taps; k++) pixel[k] = pixel_of(g, g->taps == 1 ? x : base + k - (g->taps == 4), d);
    weight[0] = 1;
    if (g->taps == 2) {
        weight[0] = 1 - t;
        weight[1] = t;
    } else if (g->taps == 4) {
        weight[0] = ((a * (t + 1) - 5 * a) * (t + 1) + 8 * a) * (t + 1) - 4 * a;
        weight[1] = ((a + 2) * t - (a + 3)) * t * t + 1;
        weight[2] = ((a + 2) * (1 - t) - (a + 3)) * (1 - t) * (1 - t) + 1;
        weight[3] = ((a * (2 - t) - 5 * a) * (2 - t) + 8 * a) * (2 - t) - 4 * a;
    }
}

/* The value of one channel at a point that has these taps: element i of y. */
static void sample_at(const grid_sample *g, size_t plane, int64_t pixel[][4], double weight[][4], rt_array *y, size_t i)
{
    int k[RT_LAYER_SPACE] = {0};
    double sum = 0;
    for (int d = 0; d >= 0;) {
        int64_t at = 0;
        double w = 1;
        for (d = 0; d < g->n && at >= 0; d++) {
            at = pixel[d][k[d]] < 0 ? -1 : at * g->dim[d] + pixel[d][k[d]];
            w *= weight[d][k[d]];
        }
        if (g->taps == 1) {
            if (at >= 0) rt_array_copy(y, i, g->x, plane + (size_t)at);
            return;
        }
        if (at >= 0) sum += w * rt_array_double(g->x, plane + (size_t)at);
        for (d = g->n - 1; d >= 0 && ++k[d] == g->taps; d--) k[d] = 0;
    }
    rt_array_put(y, i, sum);
}

static rt_status grid_attributes(rt_eval_call *call, grid_sample *g)
{
    int old = call->version < 20;
    const char *mode = rt_eval_string(call, "mode", old ? "bilinear" : "linear");
    const char *pad = rt_eval_string(call, "padding_mode", "zeros");
    g->align = rt_eval_int(call, "align_corners", 0) != 0;
    g->taps = !strcmp(mode, "nearest") ? 1 : !strcmp(mode, old ? "bilinear" : "linear") ? 2 :
              !strcmp(mode, old ? "bicubic" : "cubic") ? 4 : 0;
    if (!g->taps) return rt_fail(RT_INPUT, "mode \"%s\" is unknown in opset %d", mode, call->version);
    g->pad = !strcmp(pad, "border") ? BORDER : !strcmp(pad, "reflection") ? REFLECTION : ZEROS;
    if (g->pad == ZEROS && strcmp(pad, "zeros")) return rt_fail(RT_INPUT, "padding_mode \"%s\" is unknown", pad);
    return RT_OK;
}

/* X (N, C, D1, ...), grid (N, O1, ..., n) of points whose last coordinate comes first. */
rt_status rt_eval_grid_sample(rt_eval_call *call)
{
    grid_sample g = {.pixels = 1};
    rt_array *y;
    char tx[128], tg[128];
    RT_TRY(grid_attributes(call, &g));
    int most = call->version < 20 ? 4 : RT_ARRAY_RANK;
    RT_TRY(rt_layer_in(call, 0, g.taps == 1 ? RT_EVAL_NUMBERS | 1 << RT_BOOL : RT_EVAL_FLOATS,
                       call->version < 20 ? 4 : 3, most, &g.x));
    RT_TRY(rt_layer_in(call, 1, RT_EVAL_FLOATS, g.x->rank, g.x->rank, &g.grid));
    g.n = g.x->rank - 2;
    if (g.grid->dim[0] != g.x->dim[0] || g.grid->dim[g.n + 1] != g.n)
        return rt_fail(RT_INPUT, "a grid of %s for %s", rt_array_describe(g.grid, tg), rt_array_describe(g.x, tx));
    int64_t dim[RT_ARRAY_RANK] = {g.x->dim[0], g.x->dim[1]};
    memcpy(dim + 2, g.grid->dim + 1, (size_t)g.n * sizeof *dim);
    memcpy(g.dim, g.x->dim + 2, (size_t)g.n * sizeof *dim);
    for (int d = 0; d < g.n; d++) g.pixels *= (size_t)g.dim[d];
    RT_TRY(rt_eval_make(call, 0, g.x->type, g.x->rank, dim, &y));
    if (!y->count) return RT_OK;
    if (!g.pixels) return rt_fail(RT_INPUT, "an image without pixels");
    size_t channels = (size_t)dim[1], places = y->count / (size_t)dim[0] / channels;
    for (size_t p = 0; p < (size_t)dim[0] * places; p++) {
        int64_t pixel[RT_LAYER_SPACE][4];
        double weight[RT_LAYER_SPACE][4];
        RT_TRY(rt_eval_tick(call, (double)channels * pow(g.taps, g.n) * 8));
        for (int d = 0; d < g.n; d++)
            taps_at(&g, d, rt_array_double(g.grid, p * (size_t)g.n + (size_t)(g.n - 1 - d)), pixel[d], weight[d]);
        for (size_t c = 0; c < channels; c++) {
            size_t line = p / places * channels + c;
            sample_at(&g, line * g.pixels, pixel, weight, y, line * places + p % places);
        }
    }
    return RT_OK;
}

/* ---- AffineGrid ---- */

/* theta (N, n, n + 1) times (coordinates in [-1, 1], 1) of every place of an image of `size` (N, C, D1, ..., Dn). */
rt_status rt_eval_affine_grid(rt_eval_call *call)
{
    const rt_array *theta;
    const int64_t *size;
    rt_array *y;
    int n, align = rt_eval_int(call, "align_corners", 0) != 0;
    RT_TRY(rt_layer_in(call, 0, RT_EVAL_FLOATS, 3, 3, &theta));
    if (!rt_eval_in(call, 1)) return rt_fail(RT_INPUT, "input 1 is missing");
    RT_TRY(rt_eval_list(call, 1, &size, &n));
    n -= 2;
    if (n != 2 && n != 3) return rt_fail(RT_INPUT, "size has %d numbers; it must have 4 or 5", n + 2);
    RT_TRY(rt_layer_shape(theta, "theta", theta->type, 3, (int64_t[]){size[0], n, n + 1}));
    int64_t dim[RT_ARRAY_RANK] = {size[0]};
    memcpy(dim + 1, size + 2, (size_t)n * sizeof *dim);
    dim[n + 1] = n;
    for (int d = 1; d <= n; d++)
        if (align && dim[d] == 1) return rt_fail(RT_INPUT, "corners to align of a dimension of 1");
    RT_TRY(rt_eval_make(call, 0, theta->type, n + 2, dim, &y));
    for (size_t p = 0; p < y->count / (size_t)n; p++) {
        double at[4] = {0};
        size_t rest = p;
        if (p % 4096 == 0) RT_TRY(rt_eval_tick(call, 4096 * 40));
        for (int d = n; d >= 1; d--) {              /* the last dimension is the first coordinate */
            double length = (double)dim[d], i = (double)(rest % (size_t)dim[d]);
            at[n - d] = align ? 2 * i / (length - 1) - 1 : (2 * i + 1) / length - 1;
            rest /= (size_t)dim[d];
        }
        at[n] = 1;
        for (int k = 0; k < n; k++) {
            double sum = 0;
            for (int j = 0; j <= n; j++)
                sum += at[j] * rt_array_double(theta, (rest * (size_t)n + (size_t)k) * (size_t)(n + 1) + (size_t)j);
            rt_array_put(y, p * (size_t)n + (size_t)k, sum);
        }
    }
    return RT_OK;
}
