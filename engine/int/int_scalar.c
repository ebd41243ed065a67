/* engine/int/int_scalar.c - the plain-C family: the definition that every faster kernel must give the bits of. */
#include <math.h>
#include <string.h>

#include "engine/int/int_family.h"

static size_t conv_bytes(const rt_int_conv *a) { return (void)a, 0; }
static void conv_pack(const rt_int_conv *a, void *packed) { (void)a, (void)packed; }

static int conv_pairs(const rt_int_conv *a) { return (void)a, 1; }

/* acc of channel n of output pixel (i, j). */
static int32_t sum_at(const rt_int_conv *a, int i, int j, int n)
{
    const int cg = a->x.c / a->groups, ng = a->n / a->groups;
    const uint8_t *x = a->x.p + i * a->sh * a->x.row + j * a->sw * a->x.px + n / ng * cg;
    const int8_t *w = a->w + n;
    int32_t acc = a->bias[n];
    for (int r = 0; r < a->kh; r++)
        for (int s = 0; s < a->kw; s++)
            for (int k = 0; k < cg; k++, w += a->n) acc += x[r * a->x.row + s * a->x.px + k] * *w;
    return acc;
}

static void plain_conv(const rt_int_conv *a)
{
    size_t at = 0;
    for (int i = 0; i < a->y.h; i++)
        for (int j = 0; j < a->y.w; j++)
            for (int n = 0; n < a->n; n++, at++) {
                int32_t acc = sum_at(a, i, a->pairs ? 2 * j : j, n);
                if (a->pairs) {
                    const int32_t other = sum_at(a, i, 2 * j + 1, n);
                    acc = other > acc ? other : acc;
                }
                if (a->sums) a->sums[at] = acc;
                else if (a->logits) a->logits[at] = (float)acc * a->m[n];
                else a->y.p[i * a->y.row + j * a->y.px + n] = rt_int_byte(acc, a->m[n], &a->range);
            }
}

static void plain_add(const rt_int_pair *p)
{
    for (int i = 0; i < p->y.h; i++)
        for (int j = 0; j < p->y.w; j++)
            for (int c = 0; c < p->y.c; c++) {
                float a = p->a.p[i * p->a.row + j * p->a.px + c], b = p->b.p[i * p->b.row + j * p->b.px + c];
                float v = fmaf(a, p->ra, fmaf(b, p->rb, p->fx));
                p->y.p[i * p->y.row + j * p->y.px + c] = (uint8_t)rt_int_round(v, p->range.low, p->range.high);
            }
}

static void plain_mul(const rt_int_pair *p)
{
    for (int i = 0; i < p->y.h; i++)
        for (int j = 0; j < p->y.w; j++)
            for (int c = 0; c < p->y.c; c++) {
                int a = p->a.p[i * p->a.row + j * p->a.px + c], b = p->b.p[i * p->b.row + j * p->b.px + c];
                p->y.p[i * p->y.row + j * p->y.px + c] = rt_int_byte((a - p->za) * (b - p->zb), p->ra, &p->range);
            }
}

rt_int_window rt_int_window_at(const rt_int_pool *p, int i, int j)
{
    int y = i * p->sh - p->top, x = j * p->sw - p->left;
    rt_int_window w = {.r0 = y < 0 ? 0 : y, .r1 = y + p->kh > p->x.h ? p->x.h : y + p->kh, .s0 = x < 0 ? 0 : x,
                       .s1 = x + p->kw > p->x.w ? p->x.w : x + p->kw};
    return w;
}

static void plain_max_pool(const rt_int_pool *p)
{
    for (int i = 0; i < p->y.h; i++)
        for (int j = 0; j < p->y.w; j++) {
            rt_int_window w = rt_int_window_at(p, i, j);
            for (int c = 0; c < p->y.c; c++) {
                uint8_t best = 0;
                for (int r = w.r0; r < w.r1; r++)
                    for (int s = w.s0; s < w.s1; s++) {
                        uint8_t v = p->x.p[r * p->x.row + s * p->x.px + c];
                        best = v > best ? v : best;
                    }
                p->y.p[i * p->y.row + j * p->y.px + c] = best;
            }
        }
}

static void plain_avg_pool(const rt_int_pool *p)
{
    for (int i = 0; i < p->y.h; i++)
        for (int j = 0; j < p->y.w; j++) {
            rt_int_window w = rt_int_window_at(p, i, j);
            int taps = (w.r1 - w.r0) * (w.s1 - w.s0);
            float m = rt_int_average(p, taps);
            for (int c = 0; c < p->y.c; c++) {
                int32_t sum = -taps * p->zx;
                for (int r = w.r0; r < w.r1; r++)
                    for (int s = w.s0; s < w.s1; s++) sum += p->x.p[r * p->x.row + s * p->x.px + c];
                p->y.p[i * p->y.row + j * p->y.px + c] = rt_int_byte(sum, m, &p->range);
            }
        }
}

static void plain_map(const rt_int_map *p)
{
    for (int i = 0; i < p->y.h; i++)
        for (int j = 0; j < p->y.w; j++) {
            const uint8_t *x = p->x.p + i * p->x.row + j * p->x.px;
            uint8_t *y = p->y.p + i * p->y.row + j * p->y.px;
            for (int c = 0; c < p->y.c; c++) y[c] = p->table[x[c]];
        }
}

static void quantize(uint8_t *y, const float *x, size_t n, float scale, int zero)
{
    for (size_t i = 0; i < n; i++) y[i] = (uint8_t)(rt_int_round(x[i] / scale, -zero, 255 - zero) + zero);
}

#include "engine/int/int_floats.inc"

const rt_int_kernels rt_int_family_scalar = {.name = "scalar",
                                             .conv_bytes = conv_bytes,
                                             .conv_pack = conv_pack,
                                             .conv = plain_conv,
                                             .conv_pairs = conv_pairs,
                                             .add = plain_add,
                                             .mul = plain_mul,
                                             .max_pool = plain_max_pool,
                                             .avg_pool = plain_avg_pool,
                                             .map = plain_map,
                                             .quantize = quantize,
                                             .range = range,
                                             .floats = floats};
