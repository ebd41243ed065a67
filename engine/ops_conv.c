/* engine/ops_conv.c - convolution, 2-D and 1-D, grouped and depthwise.
 *
 *   y[b][oy][ox][n] = act(bias[n] + sum_{ky, kx, c} x[b][oy sy + ky - pt][ox sx + kx - pl][c] w[ky][kx][c][n])
 * w is (KH, KW, C / groups, N). Depthwise (groups = C = N) has w as (KH, KW, 1, C).
 *
 * Direct, no im2col: rows of an image are copied with their border of zeros to scratch, as many as stay in L1, and in
 * NHWC the taps of a kernel row are then contiguous. dX is the same line kernel over dY with flipped, transposed
 * weights; with strides, the input pixels fall into sy x sx classes, each of which sees its own subset of the taps. 3x3
 * kernels of stride 1 with channels enough go by winograd.h instead. */
#include <string.h>

#include "engine/conv_image.h"
#include "engine/ops.h"
#include "engine/window.h"
#include "engine/winograd.h"

enum { WINOGRAD_DW_MOST = 1 << 16 };     /* C N up to which every slot may hold 36 planes of sums: 9 MiB */

typedef struct {
    int h, w, c, oh, ow, n;              /* image and output */
    int kh, kw, sh, sw, pt, pl, groups;
    int cg, ng;                          /* channels a group reads and writes */
    int depthwise, point;                /* point: 1x1, stride 1, no padding, one group */
    int hp, wp;                          /* padded image */
    int dpy, dpx, hd, wd;                /* padded dy: border in front, size */
    int winograd, winograd_dx, winograd_dw;
    rt_wino_shape shape, shape_dx;
} geometry;

static geometry geometry_of(const rt_plan *p, const rt_node *n)
{
    const rt_conv_attr *a = RT_ATTR(n, rt_conv_attr);
    const rt_window *w = &a->window;
    geometry g = {.kh = w->kernel[0], .kw = w->kernel[1], .sh = w->stride[0], .sw = w->stride[1],
                  .pt = w->pad.side[0], .pl = w->pad.side[2], .groups = a->groups};
    rt_shape_hwc(rt_shape_of(p, n->in[0]), &g.h, &g.w, &g.c);
    rt_shape_hwc(rt_shape_of(p, n->out), &g.oh, &g.ow, &g.n);
    g.depthwise = g.groups > 1 && g.groups == g.c && g.c == g.n;
    g.cg = g.depthwise ? g.c : g.c / g.groups;
    g.ng = g.depthwise ? g.n : g.n / g.groups;
    if (g.depthwise) g.groups = 1;
    g.point = !g.depthwise && g.kh == 1 && g.kw == 1 && g.sh == 1 && g.sw == 1 && g.groups == 1 && g.oh == g.h &&
              g.ow == g.w;
    g.hp = (g.oh - 1) * g.sh + g.kh;
    g.wp = (g.ow - 1) * g.sw + g.kw;
    if (g.hp < g.h + g.pt) g.hp = g.h + g.pt;
    if (g.wp < g.w + g.pl) g.wp = g.w + g.pl;
    g.dpy = (g.kh + g.sh - 1) / g.sh - 1;
    g.dpx = (g.kw + g.sw - 1) / g.sw - 1;
    g.hd = g.dpy + 1 + (g.h - 1 + g.pt) / g.sh;
    g.wd = g.dpx + 1 + (g.w - 1 + g.pl) / g.sw;
    if (g.hd < g.dpy + g.oh) g.hd = g.dpy + g.oh;
    if (g.wd < g.dpx + g.ow) g.wd = g.dpx + g.ow;
    if (g.kh == 3 && g.kw == 3 && g.sh == 1 && g.sw == 1 && g.groups == 1 && !g.depthwise) {
        g.shape = (rt_wino_shape){g.h, g.w, g.c, g.oh, g.ow, g.n, g.pt, g.pl};
        g.shape_dx = (rt_wino_shape){g.oh, g.ow, g.n, g.h, g.w, g.c, 2 - g.pt, 2 - g.pl};
        g.winograd = rt_wino_pays(&g.shape);
        g.winograd_dx = rt_wino_pays(&g.shape_dx);
        g.winograd_dw = g.winograd && (long)g.c * g.n <= WINOGRAD_DW_MOST;
    }
    return g;
}

static rt_status settle(const rt_graph *g, rt_node *n)
{
    return rt_window_settle(&RT_ATTR_SET(n, rt_conv_attr)->window, &g->tensor[n->in[0]].shape);
}

static rt_status infer(rt_graph *g, rt_node *n, rt_shape *out)
{
    const rt_shape *in = &g->tensor[n->in[0]].shape;
    const rt_conv_attr *a = RT_ATTR(n, rt_conv_attr);
    const int *kernel = a->window.kernel;
    int rank = n->op == RT_OP_CONV1D ? 2 : 3, h, w, c, oh, ow;
    char text[64];
    if (in->rank != rank)
        return rt_fail(RT_USAGE, "input %s has %d dimensions, %d expected: %s", rt_shape_text(in, text), in->rank, rank,
                       rank == 3 ? "(H, W, C)" : "(T, C)");
    rt_shape_hwc(in, &h, &w, &c);
    if (c % a->groups || a->out % a->groups)
        return rt_fail(RT_USAGE, "%d groups do not divide %d input and %d output channels", a->groups, c, a->out);
    RT_TRY(rt_window_out(&a->window, in, &oh, &ow));
    *out = rank == 3 ? (rt_shape){3, {oh, ow, a->out}} : (rt_shape){2, {ow, a->out}};
    int cg = c / a->groups;
    int64_t taps = (int64_t)kernel[0] * kernel[1], fan_in = taps * cg, fan_out = taps * a->out / a->groups;
    rt_shape ws = rank == 3 ? (rt_shape){4, {kernel[0], kernel[1], cg, a->out}}
                            : (rt_shape){3, {kernel[1], cg, a->out}};
    RT_TRY(rt_graph_param(g, n, "weight", ws, RT_INIT_HE, fan_in, fan_out, 1));
    if (a->bias) RT_TRY(rt_graph_param(g, n, "bias", (rt_shape){1, {a->out}}, RT_INIT_ZERO, fan_in, a->out, 0));
    return RT_OK;
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

static size_t padded_floats(const geometry *g)
{
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

static void run_forward(const rt_call *c, rt_ctx *ctx, int row0, int rows)
{
    geometry g = geometry_of(ctx->plan, c->node);
    const rt_kernels *k = ctx->plan->k;
    const float *x = rt_at(ctx, c->value[0], row0), *w = rt_param(ctx, c->node, 0), *bias = rt_param(ctx, c->node, 1);
    float *y = rt_at(ctx, c->value[1], row0);
    rt_act act = RT_ATTR(c->node, rt_epilogue)->act;
    if (g.winograd) {
        rt_wino_forward(k, &g.shape, y, x, ctx->plan->buffer + c->at[0], bias, act, 0, rows, ctx->scratch);
        return;
    }
    if (g.depthwise) {
        rt_depthwise a = {.y = y,
                          .y_px = g.c,
                          .y_line = (ptrdiff_t)g.ow * g.c,
                          .x = x,
                          .h = g.h,
                          .w = g.w,
                          .y0 = -g.pt,
                          .x0 = -g.pl,
                          .sy = g.sh,
                          .sx = g.sw,
                          .taps = w,
                          .bias = bias,
                          .lines = g.oh,
                          .px = g.ow,
                          .kh = g.kh,
                          .kw = g.kw,
                          .c = g.c,
                          .act = act};
        for (int r = 0; r < rows; r++, a.x += g.h * g.w * g.c, a.y += g.oh * a.y_line) depthwise_image(k, &a);
        return;
    }
    if (g.point) {
        rt_conv_line a = {.y = y,
                          .y_px = g.n,
                          .x = x,
                          .x_px = g.c,
                          .w = w,
                          .w_ld = g.n,
                          .bias = bias,
                          .px = rows * g.h * g.w,
                          .kh = 1,
                          .klen = g.c,
                          .n = g.n,
                          .act = act};
        k->conv_line(&a);
        return;
    }
    int in_place = reads_in_place(&g), step = in_place ? g.oh : rows_at_a_time(g.wp * g.cg, 0, g.sh, g.kh, g.oh);
    ptrdiff_t x_row = (ptrdiff_t)(in_place ? g.w : g.wp) * g.cg, y_row = (ptrdiff_t)g.ow * g.n;
    for (int r = 0; r < rows; r++, x += g.h * g.w * g.c, y += g.oh * g.ow * g.n)
        for (int q = 0; q < g.groups; q++)
            for (int y0 = 0; y0 < g.oh; y0 += step) {
                int lines = g.oh - y0 < step ? g.oh - y0 : step;
                const float *in = x;
                float *out = y + y0 * y_row + q * g.ng;
                if (!in_place) {
                    plane s = input_plane(&g, x, q);
                    pad_rows(ctx->scratch, &s, y0 * g.sh, (lines - 1) * g.sh + g.kh);
                    in = ctx->scratch;
                }
                rt_conv_line a = {.y = out,
                                  .y_px = g.n,
                                  .y_line = y_row,
                                  .x = in,
                                  .x_px = g.sw * g.cg,
                                  .x_row = x_row,
                                  .x_line = g.sh * x_row,
                                  .lines = lines,
                                  .w = w + q * g.ng,
                                  .w_ld = g.n,
                                  .bias = bias ? bias + q * g.ng : NULL,
                                  .px = g.ow,
                                  .kh = g.kh,
                                  .klen = g.kw * g.cg,
                                  .kw = g.kw,
                                  .n = g.ng,
                                  .act = act};
                rt_conv_image(k, &a);
            }
}

/* What it costs a slot to read weights, above their floats, as products of few rows are slow; and to have sums. */
enum { DIRECT_COST = 4, WINOGRAD_COST = 6, SUM_COST = 16 };

static double weights_read(const geometry *g, int winograd)
{
    double count = (double)(g->depthwise ? 1 : g->cg) * g->n;
    return count * (winograd ? WINOGRAD_COST * RT_WINO_PLANES : DIRECT_COST * g->kh * g->kw);
}

static void pack_winograd(const rt_call *c, rt_ctx *x, int tile, int unused)
{
    (void)tile;
    (void)unused;
    geometry g = geometry_of(x->plan, c->node);
    rt_wino_weights(x->plan->k, x->plan->buffer + c->at[0], rt_param(x, c->node, 0), g.c, g.n);
}

static void forward(rt_plan *p, const rt_node *n)
{
    geometry g = geometry_of(p, n);
    int in = rt_plan_read(p, n->in[0]), out = rt_plan_write(p, n->out);
    ptrdiff_t packed = g.winograd ? rt_plan_buffer(p, RT_WINO_PLANES * (size_t)g.c * (size_t)g.n) : -1;
    rt_plan_need_scratch(p, g.winograd ? rt_wino_scratch(&g.shape) : padded_floats(&g));
    rt_call *c = rt_plan_rows(p, g.depthwise ? "depthwise" : g.winograd ? "conv winograd" : "conv", n, run_forward);
    c->value[0] = in;
    c->value[1] = out;
    c->at[0] = packed;
    c->weights = weights_read(&g, g.winograd);
    if (g.winograd) rt_plan_pack(p, "pack", n, 1, pack_winograd)->at[0] = packed;
}

/* Taps of class r along one axis: ky = r + s j for j < count. */
static int taps(int k, int s, int r) { return r < k ? (k - r + s - 1) / s : 0; }

/* For each class of input pixels the taps in the order in which dy is read (falling ky), as (taps_y, taps_x, N, C). */
static void pack_flipped(const rt_call *c, rt_ctx *x, int tile, int unused)
{
    (void)unused;
    (void)tile;
    geometry g = geometry_of(x->plan, c->node);
    const float *w = rt_param(x, c->node, 0);
    float *t = x->plan->buffer + c->at[0];
    if (g.winograd_dx) {
        rt_wino_weights_flipped(x->plan->k, t, w, g.c, g.n, x->scratch);
        return;
    }
    for (int q = 0; q < g.groups; q++)
        for (int ry = 0; ry < g.sh; ry++)
            for (int rx = 0; rx < g.sw; rx++) {
                int ny = taps(g.kh, g.sh, ry), nx = taps(g.kw, g.sw, rx);
                for (int jy = ny - 1; jy >= 0; jy--)
                    for (int jx = nx - 1; jx >= 0; jx--) {
                        int ky = ry + g.sh * jy, kx = rx + g.sw * jx;
                        if (g.depthwise) {
                            memcpy(t, w + (ptrdiff_t)(ky * g.kw + kx) * g.c, (size_t)g.c * sizeof *t);
                            t += g.c;
                            continue;
                        }
                        const float *s = w + (ptrdiff_t)(ky * g.kw + kx) * g.cg * g.n + q * g.ng;
                        for (int o = 0; o < g.ng; o++, t += g.cg)
                            for (int i = 0; i < g.cg; i++) t[i] = s[(ptrdiff_t)i * g.n + o];
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

/* A part of a weight gradient: kernel rows [ky, ky + rows), of each group channels [n0, n0 + n). */
typedef struct { int ky, rows, n0, n; } dw_part;

/* A part of dW of some images, on top of what is there. */
static void run_dw(const geometry *g, rt_ctx *ctx, float *dw, const float *x, const float *dy, int rows, dw_part part)
{
    const rt_kernels *k = ctx->plan->k;
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
                    pad_rows(ctx->scratch, &s, y0 * g->sh + part.ky, (lines - 1) * g->sh + part.rows);
                    in = ctx->scratch;
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

/* dX of some images. */
static void run_dx(const geometry *g, rt_ctx *ctx, float *dx, const float *dy, const float *flipped, int rows,
                   int accumulate)
{
    const rt_kernels *k = ctx->plan->k;
    if (g->winograd_dx) {
        rt_wino_forward(k, &g->shape_dx, dx, dy, flipped, NULL, RT_ACT_NONE, accumulate, rows, ctx->scratch);
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
            dx_image(k, g, dx, dy, ctx->scratch, flipped + q * per_group, q, accumulate);
}

/* ---- the backward pass: dX by rows; dW by rows into a room, or late ----
 *
 * Slots add up dW while x and dY are in the cache; but each writes and reads sums as large as the weights, and where
 * images are small against them, that, and products of few rows, cost more than to keep x and dY for the batch. There
 * dW is late: 3x3 by Winograd in some groups of rows, else in parts that each see all rows. */

enum { LATE_FROM = 32, LATE_GROUPS = 8, PART = 64 };

static size_t sums_of(const geometry *g)
{
    if (g->winograd_dw) return RT_WINO_PLANES * (size_t)g->c * (size_t)g->n;
    return (size_t)g->kh * (size_t)g->kw * (size_t)(g->depthwise ? 1 : g->cg) * (size_t)g->n;
}

static double kept_floats(const rt_plan *p, const geometry *g)
{ return (double)p->spec.batch * ((double)g->h * g->w * g->c + (double)g->oh * g->ow * g->n); }

static int is_late(const rt_plan *p, const geometry *g)
{ return !g->depthwise && (double)sums_of(g) * LATE_FROM > kept_floats(p, g); }

/* value: 0 x, 1 dy, 2 dx (or -1); at[0]: flipped weights; at[1]: room of Winograd's sums, or -1; at[2]: dW is late;
 * flag: accumulate into dx */
static void run_backward(const rt_call *c, rt_ctx *ctx, int row0, int rows)
{
    geometry g = geometry_of(ctx->plan, c->node);
    const float *x = rt_at(ctx, c->value[0], row0), *dy = rt_at(ctx, c->value[1], row0);
    if (rt_plan_trains(ctx->plan, c->node, 1))
        ctx->plan->k->channel_sum(rt_slot_grad(ctx, c->node, 1, row0), dy, (size_t)(rows * g.oh * g.ow), g.n);
    if (c->at[1] >= 0)
        rt_wino_grad(ctx->plan->k, &g.shape, rt_slot_sums(ctx, (int)c->at[1], ctx->slot), x, dy,
                     row0 != ctx->slot_row0, rows, ctx->scratch);
    else if (!c->at[2] && rt_plan_trains(ctx->plan, c->node, 0))
        run_dw(&g, ctx, rt_slot_grad(ctx, c->node, 0, row0), x, dy, rows, (dw_part){0, g.kh, 0, g.ng});
    if (c->value[2] >= 0)
        run_dx(&g, ctx, rt_at(ctx, c->value[2], row0), dy, ctx->plan->buffer + c->at[0], rows, c->flag);
}

/* Merges sums of some input channels and turns them into weight gradients. */
static int winograd_rows(const geometry *g) { return g->n < 512 ? 512 / g->n : 1; }

static void run_winograd_dw(const rt_call *c, rt_ctx *x, int tile, int unused)
{
    (void)unused;
    geometry g = geometry_of(x->plan, c->node);
    int c0 = tile * winograd_rows(&g), rows = g.c - c0 < winograd_rows(&g) ? g.c - c0 : winograd_rows(&g);
    size_t count = (size_t)rows * (size_t)g.n;
    for (size_t i = 0; i < RT_WINO_PLANES; i++)
        rt_merge_slots(x, x->scratch + i * count, (int)c->at[1], (i * (size_t)g.c + (size_t)c0) * (size_t)g.n, count);
    rt_wino_grad_weights(x->plan->k, rt_grad(x, c->node, 0), x->scratch, g.c, g.n, c0, rows);
}

/* at[1]: the room; flag: rows of a group */
static void run_winograd_group(const rt_call *c, rt_ctx *x, int group, int unused)
{
    (void)unused;
    geometry g = geometry_of(x->plan, c->node);
    int row0 = group * c->flag, rows = x->run->rows - row0 < c->flag ? x->run->rows - row0 : c->flag;
    if (rows > 0)
        rt_wino_grad(x->plan->k, &g.shape, rt_slot_sums(x, (int)c->at[1], group), rt_at(x, c->value[0], row0),
                     rt_at(x, c->value[1], row0), 0, rows, x->scratch);
}

static int parts_across(const geometry *g) { return (g->ng + PART - 1) / PART; }

static void run_part_dw(const rt_call *c, rt_ctx *x, int tile, int unused)
{
    (void)unused;
    geometry g = geometry_of(x->plan, c->node);
    int across = parts_across(&g), n0 = tile % across * PART;
    dw_part part = {tile / across, 1, n0, g.ng - n0 < PART ? g.ng - n0 : PART};
    float *dw = rt_grad(x, c->node, 0);
    for (int i = part.ky * g.kw * g.cg; i < (part.ky + 1) * g.kw * g.cg; i++)
        for (int q = 0; q < g.groups; q++)
            memset(dw + (ptrdiff_t)i * g.n + q * g.ng + n0, 0, (size_t)part.n * sizeof *dw);
    run_dw(&g, x, dw, rt_at(x, c->value[0], 0), rt_at(x, c->value[1], 0), x->run->rows, part);
}

static int emit_late(rt_plan *p, const rt_node *n, const geometry *g, int in, int dy)
{
    rt_call *c;
    int room = -1;
    if (g->winograd_dw) {
        int groups = (int)(kept_floats(p, g) / (4 * (double)sums_of(g))), batch = p->spec.batch;
        groups = groups < 1 ? 1 : groups > LATE_GROUPS ? LATE_GROUPS : groups;
        int rows = (batch + groups - 1) / groups;
        room = rt_plan_late_room(p, sums_of(g), rows);
        c = rt_plan_late_tiles(p, "winograd dW", n, (batch + rows - 1) / rows, run_winograd_group);
        c->at[1] = room;
        c->flag = rows;
    } else c = rt_plan_late_tiles(p, "conv dW", n, g->kh * parts_across(g), run_part_dw);
    c->value[0] = in;
    c->value[1] = dy;
    return room;
}

static void emit_winograd_merge(rt_plan *p, const rt_node *n, const geometry *g, int room, int late)
{
    int rows = winograd_rows(g), tiles = (g->c + rows - 1) / rows;
    rt_plan_need_scratch(p, RT_WINO_PLANES * (size_t)rows * (size_t)g->n);
    rt_call *c = (late ? rt_plan_merge_tiles : rt_plan_late_tiles)(p, "merge dW", n, tiles, run_winograd_dw);
    c->at[1] = room;
}

static void backward(rt_plan *p, const rt_node *n)
{
    geometry g = geometry_of(p, n);
    int weight = rt_plan_trains(p, n, 0), late = weight && is_late(p, &g), planes = weight && g.winograd_dw && !late;
    int dx = -1, accumulate = 0, dy = rt_act_back_in_place(p, n), in = weight ? rt_plan_read(p, n->in[0]) : dy;
    ptrdiff_t at = -1;
    if (!planes || !g.winograd_dx) rt_plan_need_scratch(p, padded_floats(&g));
    if (weight && g.winograd_dw) rt_plan_need_scratch(p, rt_wino_scratch(&g.shape));
    if (rt_plan_needs_grad(p, n->in[0])) {
        rt_call *t = rt_plan_pack(p, "pack", n, 1, pack_flipped);
        at = t->at[0] = rt_plan_buffer(p, g.winograd_dx ? RT_WINO_PLANES * (size_t)g.c * (size_t)g.n
                                                        : p->graph->field[n->field[0]].count);
        dx = rt_plan_grad_write(p, n->in[0], &accumulate);
        if (g.winograd_dx) {
            rt_plan_need_scratch(p, rt_wino_scratch(&g.shape_dx));
            rt_plan_need_scratch(p, p->graph->field[n->field[0]].count);
        }
    }
    int room = late ? emit_late(p, n, &g, in, dy) : -1;
    if (dx >= 0 || (weight && !late) || rt_plan_trains(p, n, 1)) {
        rt_call *c = rt_plan_rows(p,
                                  g.depthwise     ? "depthwise back"
                                  : planes        ? "winograd back"
                                                  : "conv back",
                                  n, run_backward);
        c->value[0] = in;
        c->value[1] = dy;
        c->value[2] = dx;
        c->at[0] = at;
        c->at[1] = planes ? rt_plan_slot_room(p, sums_of(&g)) : -1;
        c->at[2] = late;
        c->flag = accumulate;
        double sums = weight && !late ? SUM_COST * (double)sums_of(&g) : 0;
        c->weights = sums + (dx >= 0 ? weights_read(&g, g.winograd_dx) : 0);
        c->work *= (dx >= 0) + (weight && !late);
        for (int i = planes || late; i < n->fields; i++) if (rt_plan_trains(p, n, i)) rt_plan_slot_grad(p, n, i);
        if (planes) emit_winograd_merge(p, n, &g, (int)c->at[1], 0);
    }
    if (room >= 0) emit_winograd_merge(p, n, &g, room, 1);
}

static double macs(const rt_graph *g, const rt_node *n)
{
    const rt_shape *in = &g->tensor[n->in[0]].shape;
    const rt_conv_attr *a = RT_ATTR(n, rt_conv_attr);
    int c = in->dim[in->rank - 1];
    return (double)rt_shape_count(&g->tensor[n->out].shape) * a->window.kernel[0] * a->window.kernel[1] * c / a->groups;
}

static const rt_attr_spec conv_spec[] = {
    {"out", RT_A_INT, offsetof(rt_conv_attr, out), 1, 1 << 16, 0, 1, "output channels"},
    RT_WINDOW_SPEC(rt_conv_attr, 1, ""),
    {"groups", RT_A_INT, offsetof(rt_conv_attr, groups), 1, 1 << 16, 1, 0, "equal groups of channels"},
    {"bias", RT_A_BOOL, offsetof(rt_conv_attr, bias), 0, 1, 1, 0, "add a bias"}};
static const rt_schema conv_schema = {conv_spec, 6, sizeof(rt_conv_attr)};
_Static_assert(sizeof(rt_conv_attr) <= RT_ATTR_BYTES, "the largest attributes");

#define CONV(NAME, HELP) {.name = NAME, .help = HELP, .min_inputs = 1, .max_inputs = 1, .schema = &conv_schema, \
                          .settle = settle, .infer = infer, .forward = forward, .backward = backward, .macs = macs}
const rt_op rt_op_conv2d = CONV("conv2d", "convolution of (H, W, C)");
const rt_op rt_op_conv1d = CONV("conv1d", "convolution of (T, C)");
