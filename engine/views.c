#include "engine/views.h"

#include <math.h>
#include <string.h>

#include "engine/convert.h"
#include "engine/kernels.h"
#include "engine/rng.h"

static const char *raw_row(const rt_row_desc *in, const rt_feed *f, int i)
{ return (const char *)f->raw + (size_t)i * in->bytes + in->at; }

/* ---- resized ---- */

/* Where pixel i of a side of `out`, made of `in` ones, lies: between *a and *b, t of the way. */
static void between(int i, int in, int out, int *a, int *b, float *t)
{
    float s = (float)in / (float)out * ((float)i + 0.5f) - 0.5f;
    if (s < 0) s = 0;
    *a = (int)s < in - 1 ? (int)s : in - 1;
    *b = *a + (*a < in - 1);
    *t = s - (float)*a;
}

static float raw_value(const char *at, rt_dtype type)
{
    float v;
    if (type == RT_U8) return (float)*(const uint8_t *)at;
    if (type == RT_F32) memcpy(&v, at, sizeof v);
    else rt_to_float(&v, at, type, 1);
    return v;
}

/* dst (h, w, c) of a row's image, before normalisation. */
static void resize_raw(const rt_row_desc *in, float *dst, const char *raw)
{
    const rt_resize *z = &in->resize;
    int h, w, c, y0, y1, x0, x1;
    rt_shape_hwc(&in->shape, &h, &w, &c);
    size_t size = rt_dtype_size(in->type), pixel = (size_t)c * size, line = (size_t)z->from_w * pixel;
    float ty, tx;
    for (int y = 0; y < h; y++) {
        between(y + z->top, z->from_h, z->to_h, &y0, &y1, &ty);
        const char *upper = raw + (size_t)y0 * line, *lower = raw + (size_t)y1 * line;
        for (int x = 0; x < w; x++) {
            between(x + z->left, z->from_w, z->to_w, &x0, &x1, &tx);
            size_t l = (size_t)x0 * pixel, r = (size_t)x1 * pixel;
            for (int k = 0; k < c; k++, dst++, l += size, r += size) {
                float a = (1 - tx) * raw_value(upper + l, in->type) + tx * raw_value(upper + r, in->type),
                      b = (1 - tx) * raw_value(lower + l, in->type) + tx * raw_value(lower + r, in->type);
                *dst = (1 - ty) * a + ty * b;
            }
        }
    }
}

/* ---- as they are ---- */

/* The elements of a row that are picked, a few at a time. */
static void picked_to_float(const rt_row_desc *in, float *dst, const char *raw)
{
    enum { FEW = 256 };
    char few[FEW * 8];
    size_t n = in->size, size = rt_dtype_size(in->type);
    for (size_t at = 0; at < n; at += FEW) {
        size_t count = n - at < FEW ? n - at : FEW;
        for (size_t i = 0; i < count; i++) memcpy(few + i * size, raw + (size_t)in->pick[at + i] * size, size);
        rt_to_float(dst + at, few, in->type, count);
    }
}

void rt_rows_raw(const rt_row_desc *in, float *dst, const void *row)
{
    const char *raw = (const char *)row + in->at;
    if (in->resize.from_h) resize_raw(in, dst, raw);
    else if (in->pick) picked_to_float(in, dst, raw);
    else rt_to_float(dst, raw, in->type, in->size);
}

static void normalize(const rt_row_desc *in, const rt_feed *f, float *dst, int first, int rows)
{
    size_t width = in->size, n = width * (size_t)rows, c = (size_t)in->channels;
    const rt_kernels *k = rt_kernels_get();
    const char *from = raw_row(in, f, first);
    int alone = in->bytes == width * rt_dtype_size(in->type);
    if (in->type == RT_U8 && !in->pick && !in->resize.from_h) {
        if (alone) k->from_u8(dst, (const uint8_t *)from, in->mul, in->add, n / c, in->channels);
        for (int r = 0; r < rows && !alone; r++)
            k->from_u8(dst + (size_t)r * width, (const uint8_t *)from + (size_t)r * in->bytes, in->mul, in->add,
                       width / c, in->channels);
        return;
    }
    if (!in->pick && alone && !in->resize.from_h) rt_to_float(dst, from, in->type, n);
    else for (int r = 0; r < rows; r++) rt_rows_raw(in, dst + (size_t)r * width, raw_row(in, f, first + r) - in->at);
    for (size_t i = 0; i < n; i += c)
        for (size_t j = 0; j < c; j++) dst[i + j] = (dst[i + j] + in->add[j]) * in->mul[j];
}

/* ---- views ---- */

int rt_view_moves(const rt_row_desc *in, const rt_feed *f)
{
    const rt_view_desc *v = f->view;
    if (!v || !(v->flip || v->shift || v->erase > 0) || in->shape.rank != 3) return 0;
    return !v->input || !strcmp(v->input, in->name);
}

rt_view_draw rt_view_of(const rt_row_desc *in, const rt_feed *f, int i)
{
    const rt_view_desc *v = f->view;
    rt_view_draw d = {0};
    uint32_t r[4], e[4], high = (uint32_t)(f->row[i] >> 32), low = (uint32_t)f->row[i];
    int h = in->resize.from_h ? in->resize.from_h : in->shape.dim[0],
        w = in->resize.from_h ? in->resize.from_w : in->shape.dim[1];
    rt_random4(r, f->seed, RT_RNG_AUGMENT, f->epoch, high, low, 0);
    if (v->flip) d.flip = r[0] & 1;
    if (v->shift) {
        d.dy = (int)(r[1] % (uint32_t)(2 * v->shift + 1)) - v->shift;
        d.dx = (int)(r[2] % (uint32_t)(2 * v->shift + 1)) - v->shift;
    }
    if (v->erase > 0 && rt_unit(r[3]) < v->erase) {
        rt_random4(e, f->seed, RT_RNG_AUGMENT, f->epoch, high, low, 1);
        double area = (0.02 + 0.31 * rt_unit(e[0])) * h * w, ratio = exp((2.0 * rt_unit(e[1]) - 1) * log(1 / 0.3));
        d.eh = (int)(sqrt(area * ratio) + 0.5);
        d.ew = (int)(sqrt(area / ratio) + 0.5);
        if (d.eh > h) d.eh = h;
        if (d.ew > w) d.ew = w;
        d.ey = (int)(e[2] % (uint32_t)(h - d.eh + 1));
        d.ex = (int)(e[3] % (uint32_t)(w - d.ew + 1));
    }
    return d;
}

typedef struct { const rt_row_desc *in; const char *raw; rt_view_draw d; int h, w, c; } picture;

/* The raw value of an element of the data's image in a view; what is erased is the mean. */
static float seen(const picture *p, int y, int x, int k)
{
    const rt_view_draw *d = &p->d;
    int sy = y + d->dy, sx = (d->flip ? p->w - 1 - x : x) + d->dx;
    if (y >= d->ey && y < d->ey + d->eh && x >= d->ex && x < d->ex + d->ew)
        return -p->in->add[p->in->channels == 1 ? 0 : k];
    if (sy < 0 || sy >= p->h || sx < 0 || sx >= p->w) return 0;
    return raw_value(p->raw + (((size_t)sy * (size_t)p->w + (size_t)sx) * (size_t)p->c + (size_t)k) *
                     rt_dtype_size(p->in->type), p->in->type);
}

/* dst (+)= weight x view of one image of another size; view NULL: of the image as it is. */
static void view_resized(const rt_row_desc *in, const rt_feed *f, float *dst, int i, float weight, int add)
{
    const rt_resize *z = &in->resize;
    int h, w, c, y0, y1, x0, x1;
    float ty, tx;
    rt_shape_hwc(&in->shape, &h, &w, &c);
    picture p = {.in = in, .raw = raw_row(in, f, i), .h = z->from_h, .w = z->from_w, .c = c};
    if (rt_view_moves(in, f)) p.d = rt_view_of(in, f, i);
    for (int y = 0; y < h; y++) {
        between(y + z->top, z->from_h, z->to_h, &y0, &y1, &ty);
        for (int x = 0; x < w; x++) {
            between(x + z->left, z->from_w, z->to_w, &x0, &x1, &tx);
            for (int k = 0; k < c; k++, dst++) {
                int ch = in->channels == 1 ? 0 : k;
                float a = (1 - tx) * seen(&p, y0, x0, k) + tx * seen(&p, y0, x1, k),
                      b = (1 - tx) * seen(&p, y1, x0, k) + tx * seen(&p, y1, x1, k),
                      value = ((1 - ty) * a + ty * b + in->add[ch]) * in->mul[ch];
                *dst = add ? *dst + weight * value : weight * value;
            }
        }
    }
}

/* dst (+)= weight x view of one image */
static void view_image(const rt_row_desc *in, const rt_feed *f, float *dst, int i, float weight, int add)
{
    int h, w, c;
    rt_shape_hwc(&in->shape, &h, &w, &c);
    const char *raw = raw_row(in, f, i);
    const int *pick = in->pick;
    rt_view_draw d = rt_view_of(in, f, i);
    size_t size = rt_dtype_size(in->type);
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            int sy = y + d.dy, sx = (d.flip ? w - 1 - x : x) + d.dx;
            int inside = sy >= 0 && sy < h && sx >= 0 && sx < w;
            int erased = y >= d.ey && y < d.ey + d.eh && x >= d.ex && x < d.ex + d.ew;
            size_t px = ((size_t)sy * (size_t)w + (size_t)sx) * (size_t)c;
            for (int k = 0; k < c; k++, dst++) {
                int ch = in->channels == 1 ? 0 : k;
                float value = 0;
                if (inside && !erased) {
                    const char *at = raw + (pick ? (size_t)pick[px + (size_t)k] : px + (size_t)k) * size;
                    if (in->type == RT_U8) value = (float)*(const uint8_t *)at;
                    else rt_to_float(&value, at, in->type, 1);
                }
                value = erased ? 0.0f : (value + in->add[ch]) * in->mul[ch];
                *dst = add ? *dst + weight * value : weight * value;
            }
        }
}

static void view_flat(const rt_row_desc *in, const rt_feed *f, float *dst, int i, float weight, int add)
{
    size_t n = in->size, size = rt_dtype_size(in->type);
    const char *raw = raw_row(in, f, i);
    const int *pick = in->pick;
    for (size_t k = 0; k < n; k++) {
        float value;
        size_t ch = in->channels == 1 ? 0 : k % (size_t)in->channels;
        rt_to_float(&value, raw + (pick ? (size_t)pick[k] : k) * size, in->type, 1);
        value = (value + in->add[ch]) * in->mul[ch];
        dst[k] = add ? dst[k] + weight * value : weight * value;
    }
}

/* Whole numbers from 0 to 2^31 - 1; -1 stands for anything else. */
static void copy_ids(const rt_row_desc *in, const rt_feed *f, float *dst, int first, int rows)
{
    size_t size = rt_dtype_size(in->type);
    int32_t *id = (int32_t *)(void *)dst;
    for (int r = 0; r < rows; r++) {
        const char *raw = raw_row(in, f, first + r);
        for (size_t k = 0; k < in->size; k++, id++) {
            double v;
            rt_to_double(&v, raw + (in->pick ? (size_t)in->pick[k] : k) * size, in->type, 1);
            *id = v >= 0 && v <= INT32_MAX && v == floor(v) ? (int32_t)v : -1;
        }
    }
}

void rt_rows_fill(const rt_row_desc *in, const rt_feed *f, float *dst, int row0, int n)
{
    int moved = rt_view_moves(in, f), there = f->rows - row0 < n ? f->rows - row0 : n;
    if (there < 0) there = 0;
    if (there < n) memset(dst + (size_t)there * in->size, 0, (size_t)(n - there) * in->size * sizeof *dst);
    if (!there) return;
    if (in->ids) {
        copy_ids(in, f, dst, f->first + row0, there);
        return;
    }
    if (!moved && !f->partner) {
        normalize(in, f, dst, f->first + row0, there);
        return;
    }
    void (*one)(const rt_row_desc *, const rt_feed *, float *, int, float, int) = in->resize.from_h ? view_resized
                                                                                  : moved           ? view_image
                                                                                                    : view_flat;
    for (int r = f->first + row0; r < f->first + row0 + there; r++, dst += in->size) {
        one(in, f, dst, r, f->partner ? f->lambda : 1.0f, 0);
        if (f->partner) one(in, f, dst, f->partner[r], 1.0f - f->lambda, 1);
    }
}
