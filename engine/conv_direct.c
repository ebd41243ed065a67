#include "engine/conv_direct.h"

#include <string.h>

#include "engine/conv_image.h"

typedef rt_conv_geometry geometry;

void rt_conv_complete(geometry *g)
{
    g->depthwise = g->groups > 1 && g->groups == g->c && g->c == g->n;
    g->cg = g->depthwise ? g->c : g->c / g->groups;
    g->ng = g->depthwise ? g->n : g->n / g->groups;
    if (g->depthwise) g->groups = 1;
    g->point = !g->depthwise && g->kh == 1 && g->kw == 1 && g->sh == 1 && g->sw == 1 && g->groups == 1 &&
               g->oh == g->h && g->ow == g->w;
    g->hp = (g->oh - 1) * g->sh + g->kh;
    g->wp = (g->ow - 1) * g->sw + g->kw;
    if (g->hp < g->h + g->pt) g->hp = g->h + g->pt;
    if (g->wp < g->w + g->pl) g->wp = g->w + g->pl;
    g->dpy = (g->kh + g->sh - 1) / g->sh - 1;
    g->dpx = (g->kw + g->sw - 1) / g->sw - 1;
    g->hd = g->dpy + 1 + (g->h - 1 + g->pt) / g->sh;
    g->wd = g->dpx + 1 + (g->w - 1 + g->pl) / g->sw;
    if (g->hd < g->dpy + g->oh) g->hd = g->dpy + g->oh;
    if (g->wd < g->dpx + g->ow) g->wd = g->dpx + g->ow;
}

geometry rt_conv_geometry_of(const rt_window *w, int groups, const rt_shape *image, const rt_shape *out)
{
    geometry g = {.kh = w->kernel[0], .kw = w->kernel[1], .sh = w->stride[0], .sw = w->stride[1],
                  .dh = w->dilation[0], .dw = w->dilation[1], .pt = w->pad.side[0], .pl = w->pad.side[2],
                  .groups = groups};
    rt_shape_hwc(image, &g.h, &g.w, &g.c);
    rt_shape_hwc(out, &g.oh, &g.ow, &g.n);
    rt_conv_complete(&g);
    return g;
}

/* A plane of pixels and the border of zeros that a kernel wants around it: (h, w, c), of which channels [c0, c0 + cg)
 * are read, with pt rows above and pl pixels left, wp pixels wide in all. */
typedef struct { const float *px; int h, w, c, c0, cg, pt, pl, wp; } plane;

/* Copies padded rows [row0, row0 + rows) of a plane to (rows, wp, cg). Small rows are all cleared at once: to clear the
 * border of each would take longer. */
static void pad_rows(float *dst, const plane *s, int row0, int rows)
{
    enum { SMALL = 128 };
    size_t line = (size_t)s->wp * (size_t)s->cg;
    int m = s->w < s->wp - s->pl ? s->w : s->wp - s->pl, small = line <= SMALL;
    if (small) memset(dst, 0, (size_t)rows * line * sizeof *dst);
    for (int r = row0; r < row0 + rows; r++, dst += line) {
        int y = r - s->pt;
        if (y < 0 || y >= s->h) {
            if (!small) memset(dst, 0, line * sizeof *dst);
            continue;
        }
        const float *src = s->px + (size_t)y * (size_t)s->w * (size_t)s->c;
        if (s->pl && !small) memset(dst, 0, (size_t)(s->pl * s->cg) * sizeof *dst);
        if (s->cg == s->c) memcpy(dst + s->pl * s->cg, src, (size_t)m * (size_t)s->c * sizeof *dst);
        else
            for (int i = 0; i < m; i++)
                memcpy(dst + (s->pl + i) * s->cg, src + i * s->c + s->c0, (size_t)s->cg * sizeof *dst);
        if (s->pl + m < s->wp && !small)
            memset(dst + (s->pl + m) * s->cg, 0, (size_t)((s->wp - s->pl - m) * s->cg) * sizeof *dst);
    }
}

/* Output rows whose padded input (and what else is read beside it, a row of `beside` floats each) stays in L1. */
static int rows_at_a_time(int line, int beside, int stride, int kernel, int rows)
{
    enum { L1_FLOATS = 7168 };                             /* 28 KiB */
    int n = (L1_FLOATS - (kernel - stride) * line) / (stride * line + beside);
    return n < 2 ? (rows < 2 ? rows : 2) : n < rows ? n : rows;
}

static int reads_in_place(const geometry *g)
{ return g->groups == 1 && g->pt == 0 && g->pl == 0 && g->hp <= g->h && g->wp <= g->w; }

static plane input_plane(const geometry *g, const float *x, int group)
{
    return (plane){x, g->h, g->w, g->c, group * g->cg, g->cg, g->pt, g->pl, g->wp};
}

size_t rt_conv_scratch(const geometry *g)
{
    if (rt_conv_dilated(g)) return rt_conv_dilated_scratch(g);
    if (g->depthwise) return 0;
    size_t image = (size_t)g->hp * (size_t)g->wp * (size_t)g->cg, dy = (size_t)g->hd * (size_t)g->wd * (size_t)g->ng;
    return image > dy ? image : dy;
}

/* Lines that go through all vectors of channels while they are in L2, of so many floats each. */
static int depthwise_lines(int line)
{
    enum { FLOATS = 16384 };
    return line < FLOATS ? FLOATS / line : 1;
}

static void depthwise_image(const rt_kernels *k, const rt_depthwise *whole)
{
    rt_depthwise a = *whole;
    int step = depthwise_lines((a.sy * a.w + a.px) * a.c);
    for (int left = whole->lines; left > 0; left -= step, a.y += step * a.y_line, a.y0 += step * a.sy) {
        a.lines = left < step ? left : step;
        k->depthwise(&a);
    }
}

void rt_conv_forward(const rt_kernels *k, const geometry *g, float *y, const float *x, const float *w,
                     const float *bias, rt_act act, int accumulate, int rows, float *scratch)
{
    if (rt_conv_dilated(g)) {
        rt_conv_dilated_forward(k, g, y, x, w, bias, act, accumulate, rows, scratch);
        return;
    }
    if (g->depthwise) {
        rt_depthwise a = {.y = y,
                          .y_px = g->c,
                          .y_line = (ptrdiff_t)g->ow * g->c,
                          .x = x,
                          .h = g->h,
                          .w = g->w,
                          .y0 = -g->pt,
                          .x0 = -g->pl,
                          .sy = g->sh,
                          .sx = g->sw,
                          .taps = w,
                          .bias = bias,
                          .lines = g->oh,
                          .px = g->ow,
                          .kh = g->kh,
                          .kw = g->kw,
                          .c = g->c,
                          .accumulate = accumulate,
                                  .act = act};
        for (int r = 0; r < rows; r++, a.x += g->h * g->w * g->c, a.y += g->oh * a.y_line) depthwise_image(k, &a);
        return;
    }
    if (g->point) {
        rt_conv_line a = {.y = y,
                          .y_px = g->n,
                          .x = x,
                          .x_px = g->c,
                          .w = w,
                          .w_ld = g->n,
                          .bias = bias,
                          .px = rows * g->h * g->w,
                          .kh = 1,
                          .klen = g->c,
                          .n = g->n,
                          .accumulate = accumulate,
                                  .act = act};
        k->conv_line(&a);
        return;
    }
    int in_place = reads_in_place(g), step = in_place ? g->oh : rows_at_a_time(g->wp * g->cg, 0, g->sh, g->kh, g->oh);
    ptrdiff_t x_row = (ptrdiff_t)(in_place ? g->w : g->wp) * g->cg, y_row = (ptrdiff_t)g->ow * g->n;
    for (int r = 0; r < rows; r++, x += g->h * g->w * g->c, y += g->oh * g->ow * g->n)
        for (int q = 0; q < g->groups; q++)
            for (int y0 = 0; y0 < g->oh; y0 += step) {
                int lines = g->oh - y0 < step ? g->oh - y0 : step;
                const float *in = x;
                float *out = y + y0 * y_row + q * g->ng;
                if (!in_place) {
                    plane s = input_plane(g, x, q);
                    pad_rows(scratch, &s, y0 * g->sh, (lines - 1) * g->sh + g->kh);
                    in = scratch;
                }
                rt_conv_line a = {.y = out,
                                  .y_px = g->n,
                                  .y_line = y_row,
                                  .x = in,
                                  .x_px = g->sw * g->cg,
                                  .x_row = x_row,
                                  .x_line = g->sh * x_row,
                                  .lines = lines,
                                  .w = w + q * g->ng,
                                  .w_ld = g->n,
                                  .bias = bias ? bias + q * g->ng : NULL,
                                  .px = g->ow,
                                  .kh = g->kh,
                                  .klen = g->kw * g->cg,
                                  .kw = g->kw,
                                  .n = g->ng,
                                  .accumulate = accumulate,
                                  .act = act};
                rt_conv_image(k, &a);
            }
}

/* Taps of class r along one axis: ky = r + s j for j < count. */
static int taps(int k, int s, int r) { return r < k ? (k - r + s - 1) / s : 0; }

/* For each class of input pixels the taps in the order in which dy is read (falling ky), as (taps_y, taps_x, N, C). */
void rt_conv_flip(const geometry *g, float *t, const float *w)
{
    if (rt_conv_dilated(g)) {
        rt_conv_dilated_flip(g, t, w);
        return;
    }
    for (int q = 0; q < g->groups; q++)
        for (int ry = 0; ry < g->sh; ry++)
            for (int rx = 0; rx < g->sw; rx++) {
                int ny = taps(g->kh, g->sh, ry), nx = taps(g->kw, g->sw, rx);
                for (int jy = ny - 1; jy >= 0; jy--)
                    for (int jx = nx - 1; jx >= 0; jx--) {
                        int ky = ry + g->sh * jy, kx = rx + g->sw * jx;
                        if (g->depthwise) {
                            memcpy(t, w + (ptrdiff_t)(ky * g->kw + kx) * g->c, (size_t)g->c * sizeof *t);
                            t += g->c;
                            continue;
                        }
                        const float *s = w + (ptrdiff_t)(ky * g->kw + kx) * g->cg * g->n + q * g->ng;
                        for (int o = 0; o < g->ng; o++, t += g->cg)
                            for (int i = 0; i < g->cg; i++) t[i] = s[(ptrdiff_t)i * g->n + o];
                    }
            }
}

/* dX of one image and group. With stride 1 dy passes in blocks of padded rows that stay in L1; with strides it is
 * padded whole, once for all classes of pixels. */
static void dx_image(const rt_kernels *k, const geometry *g, float *dx, const float *dy, float *scratch, const float *w,
                     int group, int accumulate)
{
    ptrdiff_t row = (ptrdiff_t)g->wd * g->ng, out_line = (ptrdiff_t)g->sh * g->w * g->c,
              out_px = (ptrdiff_t)g->sw * g->c;
    plane s = {dy, g->oh, g->ow, g->n, group * g->ng, g->ng, g->dpy, g->dpx, g->wd};
    int blocked = g->sh == 1, step = blocked ? rows_at_a_time((int)row, 0, 1, g->kh, g->h) : g->h;
    if (!blocked && !g->depthwise) pad_rows(scratch, &s, 0, g->hd);
    for (int ry = 0; ry < g->sh; ry++)
        for (int rx = 0; rx < g->sw; rx++) {
            int ny = taps(g->kh, g->sh, ry), nx = taps(g->kw, g->sw, rx);
            int iy0 = ((ry - g->pt) % g->sh + g->sh) % g->sh, ix0 = ((rx - g->pl) % g->sw + g->sw) % g->sw;
            int px = ix0 < g->w ? (g->w - ix0 + g->sw - 1) / g->sw : 0,
                lines = iy0 < g->h && px ? (g->h - iy0 + g->sh - 1) / g->sh : 0;
            float *out = dx + ((ptrdiff_t)iy0 * g->w + ix0) * g->c + group * g->cg;
            if (!ny || !nx) {
                for (int l = 0; l < lines && !accumulate; l++)
                    for (int i = 0; i < px; i++)
                        memset(out + l * out_line + i * out_px, 0, (size_t)g->cg * sizeof *out);
                continue;
            }
            int y0 = (iy0 + g->pt) / g->sh - ny + 1, x0 = (ix0 + g->pl) / g->sw - nx + 1;
            if (g->depthwise) {
                rt_depthwise a = {.y = out,
                                  .y_px = out_px,
                                  .y_line = out_line,
                                  .x = dy,
                                  .h = g->oh,
                                  .w = g->ow,
                                  .y0 = y0,
                                  .x0 = x0,
                                  .sy = 1,
                                  .sx = 1,
                                  .taps = w,
                                  .lines = lines,
                                  .px = px,
                                  .kh = ny,
                                  .kw = nx,
                                  .c = g->c,
                                  .accumulate = accumulate};
                depthwise_image(k, &a);
                w += (ptrdiff_t)ny * nx * g->c;
                continue;
            }
            int top = y0 + g->dpy, left = x0 + g->dpx;
            for (int l0 = 0; l0 < lines; l0 += step, out += step * out_line) {
                int n = lines - l0 < step ? lines - l0 : step;
                const float *in = scratch + (blocked ? 0 : top + l0) * row + (ptrdiff_t)left * g->ng;
                if (blocked) pad_rows(scratch, &s, top + l0, n + ny - 1);
                rt_conv_line a = {.y = out,
                                  .y_px = out_px,
                                  .y_line = out_line,
                                  .x = in,
                                  .x_px = g->ng,
                                  .x_row = row,
                                  .x_line = row,
                                  .w = w,
                                  .w_ld = g->cg,
                                  .lines = n,
                                  .px = px,
                                  .kh = ny,
                                  .klen = nx * g->ng,
                                  .kw = nx,
                                  .n = g->cg,
                                  .accumulate = accumulate};
                rt_conv_image(k, &a);
            }
            w += (ptrdiff_t)ny * nx * g->ng * g->cg;
        }
}

static void depthwise_dw(const rt_kernels *k, const geometry *g, float *dw, const float *x, const float *dy, int rows)
{
    int step = depthwise_lines((g->sh * g->w + g->ow) * g->c);
    rt_depthwise_dw a = {.dw = dw,
                         .x = x,
                         .h = g->h,
                         .w = g->w,
                         .x0 = -g->pl,
                         .sy = g->sh,
                         .sx = g->sw,
                         .dy = dy,
                         .dy_px = g->c,
                         .dy_line = (ptrdiff_t)g->ow * g->c,
                         .px = g->ow,
                         .kh = g->kh,
                         .kw = g->kw,
                         .c = g->c};
    for (int r = 0; r < rows; r++, a.x += g->h * g->w * g->c)
        for (int l = 0; l < g->oh; l += step, a.dy += a.lines * a.dy_line) {
            a.y0 = l * g->sh - g->pt;
            a.lines = g->oh - l < step ? g->oh - l : step;
            k->depthwise_dw(&a);
        }
}

void rt_conv_dw_part(const rt_kernels *k, const geometry *g, float *dw, const float *x, const float *dy, int rows,
                     rt_conv_part part, float *scratch)
{
    if (rt_conv_dilated(g)) {
        rt_conv_dilated_dw(k, g, dw, x, dy, rows, part, scratch);
        return;
    }
    if (g->depthwise) {
        depthwise_dw(k, g, dw, x, dy, rows);
        return;
    }
    if (g->point) {
        int px = rows * g->h * g->w;
        for (int p0 = 0; p0 < px; p0 += 128) {
            rt_conv_dw a = {.dw = dw + part.n0,
                            .dw_ld = g->n,
                            .x = x + (ptrdiff_t)p0 * g->c,
                            .x_px = g->c,
                            .dy = dy + (ptrdiff_t)p0 * g->n + part.n0,
                            .dy_px = g->n,
                            .lines = 1,
                            .px = px - p0 < 128 ? px - p0 : 128,
                            .kh = 1,
                            .klen = g->c,
                            .n = part.n};
            k->conv_dw(&a);
        }
        return;
    }
    int in_place = reads_in_place(g),
        step = rows_at_a_time((in_place ? g->w : g->wp) * g->cg, g->ow * g->n, g->sh, g->kh, g->oh);
    ptrdiff_t x_row = (ptrdiff_t)(in_place ? g->w : g->wp) * g->cg, dy_row = (ptrdiff_t)g->ow * g->n;
    dw += (ptrdiff_t)part.ky * g->kw * g->cg * g->n + part.n0;
    for (int r = 0; r < rows; r++, x += g->h * g->w * g->c, dy += g->oh * g->ow * g->n)
        for (int q = 0; q < g->groups; q++)
            for (int y0 = 0; y0 < g->oh; y0 += step) {
                int lines = g->oh - y0 < step ? g->oh - y0 : step;
                const float *in = x + (ptrdiff_t)(y0 * g->sh + part.ky) * x_row, *d = dy + y0 * dy_row;
                if (!in_place) {
                    plane s = input_plane(g, x, q);
                    pad_rows(scratch, &s, y0 * g->sh + part.ky, (lines - 1) * g->sh + part.rows);
                    in = scratch;
                }
                rt_conv_dw a = {.dw = dw + q * g->ng,
                                .dw_ld = g->n,
                                .x = in,
                                .x_px = g->sw * g->cg,
                                .x_row = x_row,
                                .x_line = g->sh * x_row,
                                .dy = d + q * g->ng + part.n0,
                                .dy_px = g->n,
                                .dy_line = dy_row,
                                .lines = lines,
                                .px = g->ow,
                                .kh = part.rows,
                                .klen = g->kw * g->cg,
                                .n = part.n};
                k->conv_dw(&a);
            }
}

void rt_conv_dx(const rt_kernels *k, const geometry *g, float *dx, const float *dy, const float *flipped, int rows,
                int accumulate, float *scratch)
{
    if (rt_conv_dilated(g)) {
        rt_conv_dilated_dx(k, g, dx, dy, flipped, rows, accumulate, scratch);
        return;
    }
    if (g->point) {
        rt_conv_line a = {.y = dx,
                          .y_px = g->c,
                          .x = dy,
                          .x_px = g->n,
                          .w = flipped,
                          .w_ld = g->c,
                          .px = rows * g->h * g->w,
                          .kh = 1,
                          .klen = g->n,
                          .n = g->c,
                          .accumulate = accumulate};
        k->conv_line(&a);
        return;
    }
    ptrdiff_t per_group = (ptrdiff_t)g->kh * g->kw * g->ng * (g->depthwise ? 1 : g->cg);
    for (int r = 0; r < rows; r++, dy += g->oh * g->ow * g->n, dx += g->h * g->w * g->c)
        for (int q = 0; q < g->groups; q++)
            dx_image(k, g, dx, dy, scratch, flipped + q * per_group, q, accumulate);
}
