#include "train/augment.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "engine/rng.h"

void rt_augment_read(rt_cfg *c, rt_augment *a)
{
    a->flip = rt_cfg_bool(c, "flip", 0);
    a->shift = rt_cfg_int(c, "shift", 0, 0, 1024);
    a->erase = rt_cfg_number(c, "erase", 0, 0, 1);
    a->mixup = rt_cfg_number(c, "mixup", 0, 0, 100);
    a->input = rt_cfg_has(c, "input") ? rt_cfg_string(c, "input", NULL) : NULL;
}

rt_status rt_augment_check(rt_augment *a, const rt_input *in, int inputs)
{
    const char *key = a->flip ? "flip" : a->shift ? "shift" : a->erase > 0 ? "erase" : NULL;
    int image = -1, images = 0, at = 0;
    for (int i = 0; i < inputs; i++)
        if (in[i].shape.rank == 3) {
            image = i;
            images++;
        }
    if (!key) return a->input ? rt_fail(RT_USAGE, "augment.input: is not used without flip, shift or erase") : RT_OK;
    while (a->input && at < inputs && strcmp(in[at].name, a->input)) at++;
    if (a->input && at == inputs) return rt_fail(RT_USAGE, "augment.input: the model has no input '%.60s'", a->input);
    if (a->input || inputs == 1) image = at;
    else if (images > 1)
        return rt_fail(RT_USAGE, "augment.%s: the model has %d inputs that are images; augment.input names one", key,
                       images);
    else if (!images) return rt_fail(RT_USAGE, "augment.%s: needs images, and no input is one; leave it out", key);
    const rt_shape *s = &in[image].shape;
    if (s->rank != 3)
        return rt_fail(RT_USAGE, "augment.%s: needs images, but the model's input has %d dimension%s; leave it out",
                       key, s->rank, s->rank == 1 ? "" : "s");
    if (inputs > 1) a->input = in[image].name;
    return RT_OK;
}

/* Gamma(a) for any a > 0 by Marsaglia & Tsang 2000, on a counter: draw i is lane i. For a < 1 the value is
 * u^(1/a) Gamma(a + 1), and *log_u is log u, else 0; *whole is the other factor. */
static double gamma_draw(double a, uint64_t seed, const rt_batch *b, uint32_t which, double *log_u, double *whole)
{
    double boost = 1;
    uint32_t w[4], lane = 0;
    *log_u = 0;
    if (a < 1) {
        rt_random4(w, seed, RT_RNG_MIXUP, b->epoch, b->step, which, lane++);
        *log_u = log((w[0] + 0.5) * 0x1p-32);
        boost = pow((w[0] + 0.5) * 0x1p-32, 1 / a);
        a += 1;
    }
    double d = a - 1.0 / 3, c = 1 / sqrt(9 * d);
    for (;;) {
        rt_random4(w, seed, RT_RNG_MIXUP, b->epoch, b->step, which, lane++);
        double x = sqrt(-2 * log((w[0] + 0.5) * 0x1p-32)) * cos(6.283185307179586 * w[1] * 0x1p-32);
        double v = 1 + c * x, u = (w[2] + 0.5) * 0x1p-32;
        v = v * v * v;
        if (v > 0 && log(u) < 0.5 * x * x + d - d * v + d * log(v)) {
            *whole = d * v;
            return boost * d * v;
        }
    }
}

/* Beta(a, a) is x / (x + y) of two gammas. Where a is tiny both may be too small for a double, but not their quotient.
 */
float rt_mixup_draw(const rt_augment *a, uint64_t seed, const rt_batch *b, int *partner)
{
    double log_u[2], whole[2], x = gamma_draw(a->mixup, seed, b, 0, &log_u[0], &whole[0]);
    double y = gamma_draw(a->mixup, seed, b, 1, &log_u[1], &whole[1]);
    for (int i = 0; i < b->rows; i++)
        partner[i] = (int)rt_permute((uint64_t)i, (uint64_t)b->rows, seed, RT_RNG_MIXUP, b->epoch, b->step);
    if (x + y >= DBL_MIN) return (float)(x / (x + y));
    return (float)(1 / (1 + exp((log_u[1] - log_u[0]) / a->mixup + log(whole[1] / whole[0]))));
}

typedef struct { int flip, dy, dx, ey, ex, eh, ew; } draw;

static draw draw_view(const rt_augment *a, uint64_t seed, uint32_t epoch, uint64_t row, int h, int w)
{
    draw d = {0};
    uint32_t r[4], e[4];
    rt_random4(r, seed, RT_RNG_AUGMENT, epoch, (uint32_t)(row >> 32), (uint32_t)row, 0);
    if (a->flip) d.flip = r[0] & 1;
    if (a->shift) {
        d.dy = (int)(r[1] % (uint32_t)(2 * a->shift + 1)) - a->shift;
        d.dx = (int)(r[2] % (uint32_t)(2 * a->shift + 1)) - a->shift;
    }
    if (a->erase > 0 && rt_unit(r[3]) < a->erase) {
        rt_random4(e, seed, RT_RNG_AUGMENT, epoch, (uint32_t)(row >> 32), (uint32_t)row, 1);
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

/* dst (+)= weight x view of one image */
static void view_image(const rt_view *v, const rt_input *in, float *dst, int i, float weight, int add)
{
    int h, w, c;
    rt_shape_hwc(&in->shape, &h, &w, &c);
    const char *raw = v->batch->x + (size_t)i * in->raw_bytes + in->raw_at;
    const int *pick = in->pick;
    draw d = draw_view(v->augment, v->seed, v->batch->epoch, v->batch->row[i], h, w);
    size_t size = rt_dtype_size(in->raw_type);
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
                    if (in->raw_type == RT_U8) value = (float)*(const uint8_t *)at;
                    else rt_to_float(&value, at, in->raw_type, 1);
                }
                value = erased ? 0.0f : (value + in->add[ch]) * in->mul[ch];
                *dst = add ? *dst + weight * value : weight * value;
            }
        }
}

static void view_flat(const rt_view *v, const rt_input *in, float *dst, int i, float weight, int add)
{
    size_t n = in->size, size = rt_dtype_size(in->raw_type);
    const char *raw = v->batch->x + (size_t)i * in->raw_bytes + in->raw_at;
    const int *pick = in->pick;
    for (size_t k = 0; k < n; k++) {
        float value;
        size_t ch = in->channels == 1 ? 0 : k % (size_t)in->channels;
        rt_to_float(&value, raw + (pick ? (size_t)pick[k] : k) * size, in->raw_type, 1);
        value = (value + in->add[ch]) * in->mul[ch];
        dst[k] = add ? dst[k] + weight * value : weight * value;
    }
}

void rt_view_fill(void *arg, const rt_input *in, float *dst, int row0, int rows)
{
    const rt_view *v = arg;
    const rt_augment *a = v->augment;
    int moves = (a->flip || a->shift || a->erase > 0) && (!a->input || !strcmp(a->input, in->name));
    size_t n = in->size;
    if (!moves && !v->partner) {
        rt_input_normalize(in, dst, v->batch->x + (size_t)row0 * in->raw_bytes, rows);
        return;
    }
    void (*one)(const rt_view *, const rt_input *, float *, int, float, int) = moves ? view_image : view_flat;
    for (int r = row0; r < row0 + rows; r++, dst += n) {
        one(v, in, dst, r, v->partner ? v->lambda : 1.0f, 0);
        if (v->partner) one(v, in, dst, v->partner[r], 1.0f - v->lambda, 1);
    }
}
