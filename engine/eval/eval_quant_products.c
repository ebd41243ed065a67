/* Products and convolutions of integers: exact sums of int32, which wrap as the hardware's do. */
#include <math.h>
#include <string.h>

#include "engine/eval/eval_elements.h"
#include "engine/eval/eval_quant.h"
#include "engine/eval/eval_strided.h"

rt_status rt_eval_centred(rt_eval_call *c, const rt_array *x, const rt_array *zero, rt_array **to)
{
    const rt_array *in[2] = {x, zero};
    int64_t dim[RT_ARRAY_RANK];
    int rank;
    rt_walk w;
    size_t i = 0;
    RT_TRY(rt_array_broadcast(in, 2, &rank, dim));
    if (rank != x->rank || (rank && memcmp(dim, x->dim, (size_t)rank * sizeof *dim)))
        return rt_fail(RT_INPUT, "the zero point does not broadcast to what it belongs to");
    RT_TRY(rt_eval_temp(c, RT_I32, x->rank, x->dim, to));
    int32_t *y = (*to)->data;
    if (!zero || zero->count == 1) {
        int64_t z = zero ? rt_array_int(zero, 0) : 0;
        for (; i < x->count; i++) y[i] = (int32_t)(rt_array_int(x, i) - z);
        return RT_OK;
    }
    for (rt_walk_begin(&w, rank, dim, in, 2); w.left; rt_walk_next(&w), i++)
        y[i] = (int32_t)(rt_array_int(x, i) - rt_array_int(zero, w.pos[1]));
    return RT_OK;
}

/* y (m, n) = a (m, k) b (k, n) */
static rt_status product_whole(rt_eval_call *c, const int32_t *a, const int32_t *b, int32_t *y, size_t m, size_t k,
                               size_t n)
{
    for (size_t i = 0; i < m; i++) {
        uint32_t *to = (uint32_t *)y + i * n;
        RT_TRY(rt_eval_tick(c, (double)k * (double)n));
        for (size_t l = 0; l < k; l++) {
            uint32_t v = (uint32_t)a[i * k + l];
            const uint32_t *row = (const uint32_t *)b + l * n;
            for (size_t j = 0; v && j < n; j++) to[j] += v * row[j];
        }
    }
    return RT_OK;
}

static rt_status product_real(rt_eval_call *c, const float *a, const float *b, float *y, size_t m, size_t k, size_t n)
{
    double *sum = rt_eval_scratch(c, n, sizeof *sum);
    if (!sum) return RT_INPUT;
    for (size_t i = 0; i < m; i++) {
        RT_TRY(rt_eval_tick(c, (double)k * (double)n));
        memset(sum, 0, n * sizeof *sum);
        for (size_t l = 0; l < k; l++)
            for (size_t j = 0; j < n; j++) sum[j] += (double)a[i * k + l] * (double)b[l * n + j];
        for (size_t j = 0; j < n; j++) y[i * n + j] = (float)sum[j];
    }
    return RT_OK;
}

rt_status rt_eval_product(rt_eval_call *c, const rt_array *a, const rt_array *b, rt_array **out)
{
    char s[128], t[128];
    if (!a->rank || !b->rank) return rt_fail(RT_INPUT, "a product of a scalar");
    int64_t m = a->rank > 1 ? a->dim[a->rank - 2] : 1, k = a->dim[a->rank - 1];
    int64_t n = b->rank > 1 ? b->dim[b->rank - 1] : 1, k2 = b->dim[b->rank > 1 ? b->rank - 2 : 0], dim[RT_ARRAY_RANK];
    rt_array lead[2] = {*a, *b};
    const rt_array *in[2] = {&lead[0], &lead[1]};
    rt_walk w;
    int rank;
    if (k != k2)
        return rt_fail(RT_INPUT, "%s times %s", rt_array_describe(a, s), rt_array_describe(b, t));
    for (int i = 0; i < 2; i++) lead[i].rank = lead[i].rank > 2 ? lead[i].rank - 2 : 0;
    RT_TRY(rt_array_broadcast(in, 2, &rank, dim));
    int batch = rank;
    if (a->rank > 1) dim[rank++] = m;
    if (b->rank > 1) dim[rank++] = n;
    RT_TRY(rt_eval_temp(c, a->type, rank, dim, out));
    if (!(*out)->count) return RT_OK;
    size_t at = 0, mk = (size_t)(m * k), kn = (size_t)(k * n), mn = (size_t)(m * n);
    for (rt_walk_begin(&w, batch, dim, in, 2); w.left; rt_walk_next(&w), at += mn) {
        size_t p = w.pos[0] * mk, q = w.pos[1] * kn;
        if (a->type == RT_F32)
            RT_TRY(product_real(c, (const float *)a->data + p, (const float *)b->data + q, (float *)(*out)->data + at,
                                (size_t)m, (size_t)k, (size_t)n));
        else
            RT_TRY(product_whole(c, (const int32_t *)a->data + p, (const int32_t *)b->data + q,
                                 (int32_t *)(*out)->data + at, (size_t)m, (size_t)k, (size_t)n));
    }
    return RT_OK;
}

rt_status rt_eval_turned(rt_eval_call *c, const rt_array *x, rt_array **y)
{
    int64_t dim[RT_ARRAY_RANK], step[RT_ARRAY_RANK], d;
    int r = x->rank;
    if (r < 2) return rt_fail(RT_INPUT, "fewer than two axes are turned");
    memcpy(dim, x->dim, sizeof dim);
    rt_array_steps(r, x->dim, step);
    d = dim[r - 2], dim[r - 2] = dim[r - 1], dim[r - 1] = d;
    d = step[r - 2], step[r - 2] = step[r - 1], step[r - 1] = d;
    RT_TRY(rt_eval_temp(c, x->type, r, dim, y));
    rt_eval_strided((*y)->data, x->data, rt_dtype_size(x->type), r, dim, step);
    return RT_OK;
}

/* A zero point of a matrix by rows: a list stands for a column. */
static const rt_array *by_rows(const rt_array *x, const rt_array *z, rt_array *column)
{
    if (!z || z->rank != 1 || z->count == 1 || x->rank < 2) return z;
    *column = *z;
    column->rank = 2;
    column->dim[1] = 1;
    return column;
}

static rt_status centred_product(rt_eval_call *c, int b_at, int za_at, int zb_at, rt_array **sum)
{
    const rt_array *a, *b, *za, *zb;
    rt_array *x, *y, column;
    RT_TRY(rt_eval_need(c, 0, RT_EVAL_BYTES, &a));
    RT_TRY(rt_eval_need(c, b_at, RT_EVAL_BYTES, &b));
    RT_TRY(rt_eval_may(c, za_at, 1u << a->type, &za));
    RT_TRY(rt_eval_may(c, zb_at, 1u << b->type, &zb));
    RT_TRY(rt_eval_centred(c, a, by_rows(a, za, &column), &x));
    RT_TRY(rt_eval_centred(c, b, zb, &y));
    return rt_eval_product(c, x, y, sum);
}

rt_status rt_eval_matmul_integer(rt_eval_call *c)
{
    rt_array *sum;
    RT_TRY(centred_product(c, 1, 2, 3, &sum));
    return rt_eval_view(c, 0, sum, sum->rank, sum->dim);
}

/* Scales by rows of a and by columns of b; y's is one. */
rt_status rt_eval_qlinear_matmul(rt_eval_call *c)
{
    rt_array *sum, *y, column;
    const rt_array *a = rt_eval_in(c, 0), *sa, *sb, *zy;
    float sy;
    RT_TRY(centred_product(c, 3, 2, 5, &sum));
    RT_TRY(rt_eval_need(c, 1, RT_EVAL_FLOATS, &sa));
    RT_TRY(rt_eval_need(c, 4, RT_EVAL_FLOATS, &sb));
    RT_TRY(rt_eval_scale(c, 6, &sy));
    RT_TRY(rt_eval_need(c, 7, RT_EVAL_BYTES, &zy));
    if (zy->count != 1) return rt_fail(RT_INPUT, "y has not one zero point");
    RT_TRY(rt_eval_make(c, 0, zy->type, sum->rank, sum->dim, &y));
    const rt_array *in[3] = {sum, by_rows(a, sa, &column), sb};
    int64_t dim[RT_ARRAY_RANK], zero = rt_array_int(zy, 0);
    int rank;
    rt_walk w;
    size_t i = 0;
    RT_TRY(rt_array_broadcast(in, 3, &rank, dim));
    if (rank != sum->rank || (rank && memcmp(dim, sum->dim, (size_t)rank * sizeof *dim)))
        return rt_fail(RT_INPUT, "the scales do not broadcast to the product");
    for (rt_walk_begin(&w, rank, dim, in, 3); w.left; rt_walk_next(&w), i++) {
        float m = (float)rt_array_double(in[1], w.pos[1]) * (float)rt_array_double(sb, w.pos[2]) / sy;
        rt_array_put_int(y, i, rt_eval_requantize(y->type, ((const int32_t *)sum->data)[i], m, zero));
    }
    return RT_OK;
}

/* ---- convolution ---- */

enum { SPACE = RT_ARRAY_RANK - 2 };
typedef struct {
    int n;                             /* axes in space */
    int64_t kernel[SPACE], stride[SPACE], gap[SPACE], pad[SPACE], out[SPACE], groups;
} geometry;

static rt_status geometry_of(rt_eval_call *c, const rt_array *x, const rt_array *w, geometry *g)
{
    const int64_t *kernel, *stride, *gap, *pad;
    const char *how = rt_eval_string(c, "auto_pad", "NOTSET");
    int nk = rt_eval_ints(c, "kernel_shape", &kernel), ns = rt_eval_ints(c, "strides", &stride);
    int nd = rt_eval_ints(c, "dilations", &gap), np = rt_eval_ints(c, "pads", &pad), same = !strncmp(how, "SAME_", 5);
    g->groups = rt_eval_int(c, "group", 1);
    g->n = x->rank - 2;
    if (g->n < 1 || w->rank != x->rank) return rt_fail(RT_INPUT, "x and w do not have the same three axes or more");
    if (g->groups < 1 || w->dim[0] % g->groups || x->dim[1] % g->groups || w->dim[1] != x->dim[1] / g->groups)
        return rt_fail(RT_INPUT, "channels do not fit %lld groups", (long long)g->groups);
    if ((nk >= 0 && nk != g->n) || (ns >= 0 && ns != g->n) || (nd >= 0 && nd != g->n) || (np >= 0 && np != 2 * g->n))
        return rt_fail(RT_INPUT, "kernel_shape, strides, dilations or pads are not of %d axes", g->n);
    if (!same && strcmp(how, "NOTSET") && strcmp(how, "VALID"))
        return rt_fail(RT_INPUT, "auto_pad '%s' is not known", how);
    for (int i = 0; i < g->n; i++) {
        int64_t in = x->dim[2 + i], k = w->dim[2 + i], s = ns >= 0 ? stride[i] : 1, d = nd >= 0 ? gap[i] : 1, end = 0;
        g->pad[i] = 0;
        if (np >= 0 && !strcmp(how, "NOTSET")) g->pad[i] = pad[i], end = pad[g->n + i];
        if (k < 1 || (nk >= 0 && kernel[i] != k) || s < 1 || d < 1 || d > 1 << 24 || s > 1 << 24 || k > 1 << 24 ||
            g->pad[i] < 0 || end < 0 || g->pad[i] > 1 << 30 || end > 1 << 30)
            return rt_fail(RT_INPUT, "kernel, stride, dilation or pads of axis %d are not possible", i);
        int64_t reach = (k - 1) * d + 1;
        if (same) {
            g->out[i] = (in + s - 1) / s;
            int64_t total = (g->out[i] - 1) * s + reach - in;
            if (total < 0) total = 0;
            g->pad[i] = !strcmp(how, "SAME_LOWER") ? total - total / 2 : total / 2;
        } else {
            int64_t room = in + g->pad[i] + end - reach;
            g->out[i] = room < 0 ? 0 : room / s + 1;
        }
        g->kernel[i] = k;
        g->stride[i] = s;
        g->gap[i] = d;
    }
    return RT_OK;
}

/* One channel of x and one tap of the kernel (at its place `tap` on each axis) added to a plane of sums. */
static void add_tap(const geometry *g, const int64_t *in, const int32_t *x, uint32_t weight, const int64_t *tap,
                    uint32_t *sum)
{
    int last = g->n - 1;
    int64_t at[SPACE] = {0}, shift = tap[last] * g->gap[last] - g->pad[last], s = g->stride[last];
    for (;;) {
        int64_t base = 0;
        int inside = 1;
        for (int i = 0; i < last && inside; i++) {
            int64_t p = at[i] * g->stride[i] + tap[i] * g->gap[i] - g->pad[i];
            inside = p >= 0 && p < in[i];
            if (inside) base = base * in[i] + p;
        }
        base *= in[last];
        if (inside) {
            int64_t first = shift < 0 ? (-shift + s - 1) / s : 0, room = in[last] - 1 - shift;
            int64_t end = room < 0 ? 0 : room / s + 1;
            if (end > g->out[last]) end = g->out[last];
            for (int64_t i = first; i < end; i++) sum[i] += weight * (uint32_t)x[base + shift + i * s];
        }
        sum += g->out[last];
        int i = last - 1;
        for (; i >= 0; i--) {
            if (++at[i] < g->out[i]) break;
            at[i] = 0;
        }
        if (i < 0) return;
    }
}

/* y (N, M, out...) of x (N, C, in...) and w (M, C / groups, kernel...), all int32. */
static rt_status convolve(rt_eval_call *c, const geometry *g, const rt_array *x, const rt_array *w, rt_array **y)
{
    int64_t dim[RT_ARRAY_RANK] = {x->dim[0], w->dim[0]}, tap[SPACE];
    size_t plane = 1, taps = 1, space = 1, in = (size_t)w->dim[1], each = (size_t)(w->dim[0] / g->groups);
    for (int i = 0; i < g->n; i++) {
        dim[2 + i] = g->out[i];
        taps *= (size_t)g->kernel[i];
        space *= (size_t)x->dim[2 + i];
    }
    RT_TRY(rt_eval_temp(c, RT_I32, x->rank, dim, y));
    if (!(*y)->count || !x->count) return RT_OK;
    plane = (*y)->count / (size_t)(dim[0] * dim[1]);
    for (size_t n = 0; n < (size_t)dim[0]; n++)
        for (size_t m = 0; m < (size_t)dim[1]; m++) {
            uint32_t *sum = (uint32_t *)(*y)->data + (n * (size_t)dim[1] + m) * plane;
            for (size_t k = 0; k < in; k++) {
                const int32_t *from = (const int32_t *)x->data + (n * (size_t)x->dim[1] + m / each * in + k) * space;
                for (size_t t = 0; t < taps; t++) {
                    size_t rest = t;
                    RT_TRY(rt_eval_tick(c, (double)plane));
                    for (int i = g->n - 1; i >= 0; i--)
                        tap[i] = (int64_t)(rest % (size_t)g->kernel[i]), rest /= (size_t)g->kernel[i];
                    add_tap(g, x->dim + 2, from, ((const uint32_t *)w->data)[(m * in + k) * taps + t], tap, sum);
                }
            }
        }
    return RT_OK;
}

static rt_status centred_convolution(rt_eval_call *c, int w_at, int zx_at, int zw_at, rt_array **sum)
{
    const rt_array *x, *w, *zx, *zw;
    rt_array *a, *b, by_channel;
    geometry g;
    RT_TRY(rt_eval_need(c, 0, RT_EVAL_BYTES, &x));
    RT_TRY(rt_eval_need(c, w_at, RT_EVAL_BYTES, &w));
    RT_TRY(rt_eval_may(c, zx_at, 1u << x->type, &zx));
    RT_TRY(rt_eval_may(c, zw_at, 1u << w->type, &zw));
    RT_TRY(geometry_of(c, x, w, &g));
    if (zx && zx->count != 1) return rt_fail(RT_INPUT, "x has not one zero point");
    if (zw && zw->rank == 1) {
        by_channel = *zw;
        by_channel.rank = w->rank;
        for (int i = 1; i < w->rank; i++) by_channel.dim[i] = 1;
        zw = &by_channel;
    }
    RT_TRY(rt_eval_centred(c, x, zx, &a));
    RT_TRY(rt_eval_centred(c, w, zw, &b));
    return convolve(c, &g, a, b, sum);
}

rt_status rt_eval_conv_integer(rt_eval_call *c)
{
    rt_array *sum;
    RT_TRY(centred_convolution(c, 1, 2, 3, &sum));
    return rt_eval_view(c, 0, sum, sum->rank, sum->dim);
}

rt_status rt_eval_qlinear_conv(rt_eval_call *c)
{
    rt_array *sum, *y;
    const rt_array *sw, *bias;
    float sx, sy;
    int64_t zero = 0;
    RT_TRY(centred_convolution(c, 3, 2, 5, &sum));
    rt_dtype type = rt_eval_in(c, 0)->type;
    RT_TRY(rt_eval_scale(c, 1, &sx));
    RT_TRY(rt_eval_need(c, 4, RT_EVAL_FLOATS, &sw));
    RT_TRY(rt_eval_scale(c, 6, &sy));
    RT_TRY(rt_eval_zero(c, 7, RT_EVAL_BYTES, &zero, &type));
    RT_TRY(rt_eval_may(c, 8, 1u << RT_I32, &bias));
    size_t channels = (size_t)sum->dim[1], plane = sum->count ? sum->count / ((size_t)sum->dim[0] * channels) : 1;
    if ((sw->count != 1 && sw->count != channels) || (bias && bias->count != channels))
        return rt_fail(RT_INPUT, "scales or bias are not one a channel");
    RT_TRY(rt_eval_make(c, 0, type, sum->rank, sum->dim, &y));
    for (size_t i = 0; i < sum->count; i++) {
        size_t m = i / plane % channels;
        uint32_t acc = ((const uint32_t *)sum->data)[i] + (bias ? ((const uint32_t *)bias->data)[m] : 0);
        float by = sx * (float)rt_array_double(sw, sw->count > 1 ? m : 0) / sy;
        rt_array_put_int(y, i, rt_eval_requantize(type, (int32_t)acc, by, zero));
    }
    return RT_OK;
}
