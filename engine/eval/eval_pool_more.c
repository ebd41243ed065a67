/* engine/eval/eval_pool_more.c - MaxUnpool, and pooling of regions: MaxRoiPool (Girshick 2015), RoiAlign (He et al.
 * 2017). */
#include <math.h>
#include <string.h>

#include "engine/eval/layers.h"

/* ---- MaxUnpool ---- */

/* Puts each value at the index that its maximum had in the image that was pooled; a larger output_shape has it in its
 * first corner. */
rt_status rt_eval_max_unpool(rt_eval_call *call)
{
    const rt_array *x, *index;
    rt_array *y;
    const char *automatic;
    const int64_t *shape;
    int given;
    rt_layer_window w = {0};
    RT_TRY(rt_layer_in(call, 0, RT_EVAL_FLOATS, 3, RT_ARRAY_RANK, &x));
    RT_TRY(rt_layer_in(call, 1, 1 << RT_I64, x->rank, x->rank, &index));
    RT_TRY(rt_eval_list(call, 2, &shape, &given));
    RT_TRY(rt_layer_shape(index, "the indices", RT_I64, x->rank, x->dim));
    RT_TRY(rt_layer_window_parts(call, x->rank - 2, x->dim + 2, NULL, RT_LAYER_NO_AUTO_PAD | RT_LAYER_NO_DILATION, &w,
                                 &automatic));
    int64_t dim[RT_ARRAY_RANK] = {x->dim[0], x->dim[1]}, step[RT_ARRAY_RANK];
    for (int d = 0; d < w.n; d++)
        dim[d + 2] = (w.in[d] - 1) * w.stride[d] - w.begin[d] - w.end[d] + w.kernel[d];
    size_t total, bytes;
    RT_TRY(rt_array_size(RT_F64, x->rank, dim, &total, &bytes));
    if (given >= 0 && given != x->rank)
        return rt_fail(RT_INPUT, "output_shape has %d numbers for an image of rank %d", given, x->rank);
    for (int d = 0; given >= 0 && d < x->rank; d++)
        if (shape[d] < dim[d] || (d < 2 && shape[d] != dim[d]))
            return rt_fail(RT_INPUT, "output_shape is %lld in dimension %d; what is unpooled has %lld",
                           (long long)shape[d], d, (long long)dim[d]);
    RT_TRY(rt_eval_make(call, 0, x->type, x->rank, given >= 0 ? shape : dim, &y));
    rt_array_steps(y->rank, y->dim, step);
    RT_TRY(rt_eval_tick(call, 8 * (double)x->count));
    for (size_t i = 0; i < x->count; i++) {
        int64_t at = rt_array_int(index, i), to = 0;
        if (at < 0 || (size_t)at >= total)
            return rt_fail(RT_INPUT, "index %lld is outside of the %zu elements", (long long)at, total);
        for (int d = x->rank - 1; d >= 0; d--) {
            to += at % dim[d] * step[d];
            at /= dim[d];
        }
        rt_array_copy(y, (size_t)to, x, i);
    }
    return RT_OK;
}

/* ---- regions ---- */

static rt_status region_inputs(rt_eval_call *call, int columns, const rt_array **x, const rt_array **roi)
{
    RT_TRY(rt_layer_in(call, 0, RT_EVAL_FLOATS, 4, 4, x));
    RT_TRY(rt_layer_in(call, 1, RT_EVAL_FLOATS, 2, 2, roi));
    return rt_layer_shape(*roi, "the list of regions", (*x)->type, 2, (int64_t[]){-1, columns});
}

static rt_status region_image(double index, const rt_array *x, int64_t *image)
{
    if (!(index >= 0 && index < (double)x->dim[0]))
        return rt_fail(RT_INPUT, "a region of image %g; there are %lld", index, (long long)x->dim[0]);
    *image = (int64_t)index;
    return RT_OK;
}

/* Where bin i of n begins or ends, within [0, size]. */
static int64_t edge(double start, double bin, double i, int64_t size, int up)
{
    double at = (up ? ceil(i * bin) : floor(i * bin)) + start;
    return at > 0 ? at < (double)size ? (int64_t)at : size : 0;
}

/* Regions (image, x1, y1, x2, y2), rounded to pixels; the maximum of each of their bins, 0 of an empty one. */
rt_status rt_eval_max_roi_pool(rt_eval_call *call)
{
    const rt_array *x, *roi;
    const int64_t *shape;
    rt_array *y;
    double scale = rt_eval_float(call, "spatial_scale", 1);
    int n = rt_eval_ints(call, "pooled_shape", &shape);
    RT_TRY(region_inputs(call, 5, &x, &roi));
    if (n != 2 || shape[0] < 1 || shape[1] < 1) return rt_fail(RT_INPUT, "pooled_shape must be two numbers above 0");
    int64_t dim[] = {roi->dim[0], x->dim[1], shape[0], shape[1]}, height = x->dim[2], width = x->dim[3];
    RT_TRY(rt_eval_make(call, 0, x->type, 4, dim, &y));
    for (size_t i = 0; i < y->count; i++) {
        int64_t column = (int64_t)i % dim[3], row = (int64_t)i / dim[3] % dim[2], image = 0;
        size_t channel = i / (size_t)(dim[3] * dim[2]) % (size_t)dim[1], r = i / (size_t)(dim[1] * dim[2] * dim[3]) * 5;
        double box[4];
        for (int k = 0; k < 4; k++) box[k] = round(rt_array_double(roi, r + 1 + (size_t)k) * scale);
        RT_TRY(region_image(rt_array_double(roi, r), x, &image));
        double bin_w = fmax(box[2] - box[0] + 1, 1) / (double)dim[3];
        double bin_h = fmax(box[3] - box[1] + 1, 1) / (double)dim[2], most = 0;
        int64_t x0 = edge(box[0], bin_w, (double)column, width, 0);
        int64_t x1 = edge(box[0], bin_w, (double)column + 1, width, 1);
        int64_t y0 = edge(box[1], bin_h, (double)row, height, 0);
        int64_t y1 = edge(box[1], bin_h, (double)row + 1, height, 1);
        size_t plane = ((size_t)image * (size_t)dim[1] + channel) * (size_t)(height * width);
        for (int64_t v = y0; v < y1; v++)
            for (int64_t u = x0; u < x1; u++) {
                double p = rt_array_double(x, plane + (size_t)(v * width + u));
                if ((v == y0 && u == x0) || p > most) most = p;
            }
        rt_array_put(y, i, most);
        RT_TRY(rt_eval_tick(call, 32 + (y1 > y0 && x1 > x0 ? (double)(y1 - y0) * (double)(x1 - x0) : 0)));
    }
    return RT_OK;
}

/* ---- RoiAlign ---- */

typedef struct {
    const rt_array *x, *roi, *image;
    int64_t channels, height, width, out_h, out_w, ratio;
    double scale;
    int half_pixel, maximum;
} align;

/* The four pixels around a point and their shares; shares of 0 outside of the image. */
typedef struct { int64_t pixel[4]; double share[4]; } around;

static around around_point(const align *f, double v, double u)
{
    around a = {{0}, {0}};
    if (!(v >= -1 && v <= (double)f->height && u >= -1 && u <= (double)f->width)) return a;
    v = v > 0 ? v : 0;
    u = u > 0 ? u : 0;
    int64_t v0 = (int64_t)v, u0 = (int64_t)u, v1 = v0 + 1, u1 = u0 + 1;
    if (v0 >= f->height - 1) v = (double)(v0 = v1 = f->height - 1);
    if (u0 >= f->width - 1) u = (double)(u0 = u1 = f->width - 1);
    double dv = v - (double)v0, du = u - (double)u0;
    return (around){{v0 * f->width + u0, v0 * f->width + u1, v1 * f->width + u0, v1 * f->width + u1},
                    {(1 - dv) * (1 - du), (1 - dv) * du, dv * (1 - du), dv * du}};
}

/* One bin of one channel: the mean of its points, or the greatest of their weighted pixels. */
static rt_status bin_value(rt_eval_call *call, const align *f, size_t plane, double v0, double u0, double h, double w,
                           int64_t rows, int64_t columns, double *out)
{
    double sum = 0;
    int first = 1;
    for (int64_t i = 0; i < rows; i++) {
        RT_TRY(rt_eval_tick(call, 32 * (double)columns));
        for (int64_t j = 0; j < columns; j++) {
            around a = around_point(f, v0 + ((double)i + 0.5) * h / (double)rows,
                                    u0 + ((double)j + 0.5) * w / (double)columns);
            for (int k = 0; k < 4; k++) {
                double p = a.share[k] * rt_array_double(f->x, plane + (size_t)a.pixel[k]);
                if (!f->maximum) sum += p;
                else if (first || p > sum) sum = p;
                first = 0;
            }
        }
    }
    *out = f->maximum || !rows || !columns ? sum : sum / ((double)rows * (double)columns);
    return RT_OK;
}

/* Points in a bin along one side. */
static rt_status points(const align *f, double size, int64_t bins, int64_t *n)
{
    double d = f->ratio > 0 ? (double)f->ratio : ceil(size / (double)bins);
    if (isnan(d) || d > 1 << 24) return rt_fail(RT_INPUT, "a region needs more points than can be computed");
    *n = d > 0 ? (int64_t)d : 0;
    return RT_OK;
}

static rt_status region(rt_eval_call *call, const align *f, size_t r, rt_array *y)
{
    double box[4], offset = f->half_pixel ? 0.5 : 0;
    int64_t image = 0, rows = 0, columns = 0;
    for (int k = 0; k < 4; k++) box[k] = rt_array_double(f->roi, r * 4 + (size_t)k) * f->scale - offset;
    RT_TRY(region_image((double)rt_array_int(f->image, r), f->x, &image));
    double width = box[2] - box[0], height = box[3] - box[1];
    if (!f->half_pixel) width = fmax(width, 1), height = fmax(height, 1);
    RT_TRY(points(f, height, f->out_h, &rows));
    RT_TRY(points(f, width, f->out_w, &columns));
    double h = height / (double)f->out_h, w = width / (double)f->out_w;
    size_t to = r * (size_t)(f->channels * f->out_h * f->out_w);
    for (int64_t c = 0; c < f->channels; c++)
        for (int64_t i = 0; i < f->out_h; i++)
            for (int64_t j = 0; j < f->out_w; j++, to++) {
                double v = 0;
                RT_TRY(bin_value(call, f, (size_t)((image * f->channels + c) * f->height * f->width),
                                 box[1] + (double)i * h, box[0] + (double)j * w, h, w, rows, columns, &v));
                rt_array_put(y, to, v);
            }
    return RT_OK;
}

rt_status rt_eval_roi_align(rt_eval_call *call)
{
    align f = {.half_pixel = call->version >= 16, .scale = rt_eval_float(call, "spatial_scale", 1),
               .out_h = rt_eval_int(call, "output_height", 1), .out_w = rt_eval_int(call, "output_width", 1),
               .ratio = rt_eval_int(call, "sampling_ratio", 0)};
    rt_array *y;
    const char *mode = rt_eval_string(call, "mode", "avg");
    f.maximum = !strcmp(mode, "max");
    if (!f.maximum && strcmp(mode, "avg")) return rt_fail(RT_INPUT, "mode \"%s\" is unknown", mode);
    if (f.half_pixel) {
        const char *at = rt_eval_string(call, "coordinate_transformation_mode", "half_pixel");
        f.half_pixel = !strcmp(at, "half_pixel");
        if (!f.half_pixel && strcmp(at, "output_half_pixel"))
            return rt_fail(RT_INPUT, "coordinate_transformation_mode \"%s\" is unknown", at);
    }
    RT_TRY(region_inputs(call, 4, &f.x, &f.roi));
    RT_TRY(rt_layer_in(call, 2, 1 << RT_I64, 1, 1, &f.image));
    RT_TRY(rt_layer_shape(f.image, "the list of images", RT_I64, 1, f.roi->dim));
    if (f.out_h < 1 || f.out_w < 1) return rt_fail(RT_INPUT, "an output of no size");
    f.channels = f.x->dim[1];
    f.height = f.x->dim[2];
    f.width = f.x->dim[3];
    RT_TRY(rt_eval_make(call, 0, f.x->type, 4, (int64_t[]){f.roi->dim[0], f.channels, f.out_h, f.out_w}, &y));
    if (!f.height || !f.width) return y->count ? rt_fail(RT_INPUT, "an image without pixels") : RT_OK;
    for (size_t r = 0; r < (size_t)f.roi->dim[0]; r++) RT_TRY(region(call, &f, r, y));
    return RT_OK;
}
