/* engine/ops_pool.c - max, average and global average pooling.
 *
 * max: y[oy][ox][c] = max over the kernel's taps inside the image; the gradient goes to the first tap that won.
 * average: the mean over the taps inside the image (padding does not count). */
#include <string.h>

#include "engine/ops.h"
#include "engine/window.h"

typedef struct { int h, w, c, oh, ow, kh, kw, sh, sw, pt, pl; } geometry;

static geometry geometry_of(const rt_plan *p, const rt_node *n)
{
    const rt_window *w = &RT_ATTR(n, rt_pool_attr)->window;
    geometry g = {.kh = w->kernel[0], .kw = w->kernel[1], .sh = w->stride[0], .sw = w->stride[1],
                  .pt = w->pad.side[0], .pl = w->pad.side[2]};
    int c;
    rt_shape_hwc(rt_shape_of(p, n->in[0]), &g.h, &g.w, &g.c);
    rt_shape_hwc(rt_shape_of(p, n->out), &g.oh, &g.ow, &c);
    return g;
}

static rt_status settle(const rt_graph *g, rt_node *n)
{
    return rt_window_settle(&RT_ATTR_SET(n, rt_pool_attr)->window, &g->tensor[n->in[0]].shape);
}

static rt_status infer(rt_graph *g, rt_node *n, rt_shape *out)
{
    const rt_window *w = &RT_ATTR(n, rt_pool_attr)->window;
    const rt_shape *in = &g->tensor[n->in[0]].shape;
    int oh, ow, c = in->dim[in->rank - 1];
    if (in->rank != 2 && in->rank != 3) return rt_fail(RT_USAGE, "pooling needs an input of shape (H, W, C) or (T, C)");
    if (w->kernel[0] * w->kernel[1] > 256)
        return rt_fail(RT_USAGE, "a pooling window of more than 256 taps is not supported; use global_avg_pool");
    for (int i = 0; i < 4; i++)
        if (w->pad.side[i] >= w->kernel[i / 2]) return rt_fail(RT_USAGE, "padding must be smaller than the kernel");
    RT_TRY(rt_window_out(w, in, &oh, &ow));
    *out = in->rank == 3 ? (rt_shape){3, {oh, ow, c}} : (rt_shape){2, {ow, c}};
    return RT_OK;
}

typedef struct { int r0, r1, s0, s1; ptrdiff_t at; } window;   /* taps inside the image; offset of tap (0, 0) */

static window window_of(const geometry *g, int oy, int ox)
{
    int iy = oy * g->sh - g->pt, ix = ox * g->sw - g->pl;
    return (window){iy < 0 ? -iy : 0, iy + g->kh > g->h ? g->h - iy : g->kh, ix < 0 ? -ix : 0,
                    ix + g->kw > g->w ? g->w - ix : g->kw, ((ptrdiff_t)iy * g->w + ix) * g->c};
}

/* The run of pixels from (oy, ox) on that share their taps, and in *w their window. */
static rt_pooling run_of(const geometry *g, int oy, int ox, window *w)
{
    *w = window_of(g, oy, ox);
    int n = 1;
    for (; ox + n < g->ow; n++) {
        window next = window_of(g, oy, ox + n);
        if (next.s0 != w->s0 || next.s1 != w->s1) break;
    }
    return (rt_pooling){.x_px = (ptrdiff_t)g->sw * g->c, .x_row = (ptrdiff_t)g->w * g->c, .x_tap = g->c, .px = n,
                         .c = g->c, .r0 = w->r0, .r1 = w->r1, .s0 = w->s0, .s1 = w->s1, .kw = g->kw};
}

static void run_max(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    geometry g = geometry_of(x->plan, c->node);
    const float *in = rt_at(x, c->value[0], row0);
    float *out = rt_at(x, c->value[1], row0);
    uint8_t *index = c->value[2] >= 0 ? rt_at(x, c->value[2], row0) : NULL;
    window w;
    for (int r = 0; r < rows; r++, in += g.h * g.w * g.c)
        for (int oy = 0; oy < g.oh; oy++)
            for (int ox = 0; ox < g.ow;) {
                rt_pooling a = run_of(&g, oy, ox, &w);
                x->plan->k->max_pool(out, index, in + w.at, &a);
                out += a.px * g.c;
                if (index) index += a.px * g.c;
                ox += a.px;
            }
}

static void forward_max(rt_plan *p, const rt_node *n)
{
    int in = rt_plan_read(p, n->in[0]), out = rt_plan_write(p, n->out);
    size_t count = rt_shape_count(rt_shape_of(p, n->out));
    int index = -1;
    if (p->spec.train) {                            /* which tap won, for the gradient */
        index = rt_plan_note(p, n)->value = rt_plan_temp(p, count);
        p->value[index].row_bytes = count;          /* rows follow each other without gaps */
    }
    rt_call *c = rt_plan_rows(p, "max pool", n, run_max);
    c->value[0] = in;
    c->value[1] = out;
    c->value[2] = index;
}

/* Windows that tile the image write each pixel once; others add to a cleared one. */
static void run_max_back(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    geometry g = geometry_of(x->plan, c->node);
    const float *dy = rt_at(x, c->value[0], row0);
    float *dx = rt_at(x, c->value[1], row0);
    const uint8_t *index = rt_at(x, c->value[2], row0);
    window w;
    int tiling = g.sh == g.kh && g.sw == g.kw && g.oh * g.sh == g.h && g.ow * g.sw == g.w && !g.pt && !g.pl;
    if (!c->flag && !tiling) memset(dx, 0, (size_t)rows * (size_t)(g.h * g.w * g.c) * sizeof *dx);
    for (int r = 0; r < rows; r++, dx += g.h * g.w * g.c)
        for (int oy = 0; oy < g.oh; oy++)
            for (int ox = 0; ox < g.ow;) {
                rt_pooling a = run_of(&g, oy, ox, &w);
                x->plan->k->max_pool_back(dx + w.at, dy, index, &a, c->flag || !tiling);
                dy += a.px * g.c;
                index += a.px * g.c;
                ox += a.px;
            }
}

static void backward_max(rt_plan *p, const rt_node *n)
{
    int accumulate, dy = rt_plan_grad_read(p, n->out), dx = rt_plan_grad_write(p, n->in[0], &accumulate);
    rt_call *c = rt_plan_rows(p, "max pool back", n, run_max_back);
    c->value[0] = dy;
    c->value[1] = dx;
    c->value[2] = rt_plan_note(p, n)->value;
    c->flag = accumulate;
}

static const rt_attr_spec pool_spec[] = {RT_WINDOW_SPEC(rt_pool_attr, 0, "; the kernel's size when not given")};
static const rt_schema pool_schema = {pool_spec, 3, sizeof(rt_pool_attr)};

const rt_op rt_op_max_pool = {.name = "max_pool",
                              .help = "the greatest value under the kernel; padding does not count",
                              .min_inputs = 1,
                              .max_inputs = 1,
                              .schema = &pool_schema,
                              .settle = settle,
                              .infer = infer,
                              .forward = forward_max,
                              .backward = backward_max};

static void run_avg(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    geometry g = geometry_of(x->plan, c->node);
    const float *in = rt_at(x, c->value[0], row0);
    float *out = rt_at(x, c->value[1], row0);
    for (int r = 0; r < rows; r++, in += g.h * g.w * g.c)
        for (int oy = 0; oy < g.oh; oy++)
            for (int ox = 0; ox < g.ow; ox++, out += g.c) {
                window w = window_of(&g, oy, ox);
                float scale = 1.0f / (float)((w.r1 - w.r0) * (w.s1 - w.s0));
                memset(out, 0, (size_t)g.c * sizeof *out);
                for (int ky = w.r0; ky < w.r1; ky++)
                    x->plan->k->channel_sum(out, in + w.at + ((ptrdiff_t)ky * g.w + w.s0) * g.c, (size_t)(w.s1 - w.s0),
                                            g.c);
                for (int i = 0; i < g.c; i++) out[i] *= scale;
            }
}

static void run_avg_back(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    geometry g = geometry_of(x->plan, c->node);
    const float *dy = rt_at(x, c->value[0], row0);
    float *dx = rt_at(x, c->value[1], row0);
    if (!c->flag) memset(dx, 0, (size_t)rows * (size_t)(g.h * g.w * g.c) * sizeof *dx);
    for (int r = 0; r < rows; r++, dx += g.h * g.w * g.c)
        for (int oy = 0; oy < g.oh; oy++)
            for (int ox = 0; ox < g.ow; ox++, dy += g.c) {
                window w = window_of(&g, oy, ox);
                float scale = 1.0f / (float)((w.r1 - w.r0) * (w.s1 - w.s0));
                for (int ky = w.r0; ky < w.r1; ky++)
                    for (int kx = w.s0; kx < w.s1; kx++) {
                        float *d = dx + w.at + ((ptrdiff_t)ky * g.w + kx) * g.c;
                        for (int i = 0; i < g.c; i++) d[i] += dy[i] * scale;
                    }
            }
}

static void emit(rt_plan *p, const rt_node *n, const char *what, int from, int to, int flag,
                 void (*fn)(const rt_call *, rt_ctx *, int, int))
{
    rt_call *c = rt_plan_rows(p, what, n, fn);
    c->value[0] = from;
    c->value[1] = to;
    c->flag = flag;
}

static void forward_avg(rt_plan *p, const rt_node *n)
{
    int in = rt_plan_read(p, n->in[0]), out = rt_plan_write(p, n->out);
    emit(p, n, "avg pool", in, out, 0, run_avg);
}

static void backward_avg(rt_plan *p, const rt_node *n)
{
    int accumulate, dy = rt_plan_grad_read(p, n->out), dx = rt_plan_grad_write(p, n->in[0], &accumulate);
    emit(p, n, "avg pool back", dy, dx, accumulate, run_avg_back);
}

const rt_op rt_op_avg_pool = {.name = "avg_pool",
                              .help = "the mean under the kernel; padding does not count",
                              .min_inputs = 1,
                              .max_inputs = 1,
                              .schema = &pool_schema,
                              .settle = settle,
                              .infer = infer,
                              .forward = forward_avg,
                              .backward = backward_avg};

/* ---- global average: (H, W, C) or (T, C) to (C) ---- */

static rt_status infer_global(rt_graph *g, rt_node *n, rt_shape *out)
{
    const rt_shape *in = &g->tensor[n->in[0]].shape;
    if (in->rank < 2) return rt_fail(RT_USAGE, "global pooling needs an input of shape (H, W, C) or (T, C)");
    *out = (rt_shape){1, {in->dim[in->rank - 1]}};
    return RT_OK;
}

static void run_global(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    const rt_shape *s = rt_shape_of(x->plan, c->node->in[0]);
    int ch = s->dim[s->rank - 1], px = (int)(rt_shape_count(s) / (size_t)ch);
    const float *in = rt_at(x, c->value[0], row0);
    float *out = rt_at(x, c->value[1], row0), scale = 1.0f / (float)px;
    for (int r = 0; r < rows; r++, in += px * ch, out += ch) {
        memset(out, 0, (size_t)ch * sizeof *out);
        x->plan->k->channel_sum(out, in, (size_t)px, ch);
        for (int i = 0; i < ch; i++) out[i] *= scale;
    }
}

static void run_global_back(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    const rt_shape *s = rt_shape_of(x->plan, c->node->in[0]);
    int ch = s->dim[s->rank - 1], px = (int)(rt_shape_count(s) / (size_t)ch);
    const float *dy = rt_at(x, c->value[0], row0);
    float *dx = rt_at(x, c->value[1], row0), scale = 1.0f / (float)px;
    for (int r = 0; r < rows; r++, dy += ch)
        for (int p = 0; p < px; p++, dx += ch) {
            if (c->flag) for (int i = 0; i < ch; i++) dx[i] += dy[i] * scale;
            else for (int i = 0; i < ch; i++) dx[i] = dy[i] * scale;
        }
}

static void forward_global(rt_plan *p, const rt_node *n)
{
    int in = rt_plan_read(p, n->in[0]), out = rt_plan_write(p, n->out);
    emit(p, n, "global pool", in, out, 0, run_global);
}

static void backward_global(rt_plan *p, const rt_node *n)
{
    int accumulate, dy = rt_plan_grad_read(p, n->out), dx = rt_plan_grad_write(p, n->in[0], &accumulate);
    emit(p, n, "global pool back", dy, dx, accumulate, run_global_back);
}

const rt_op rt_op_global_avg_pool = {.name = "global_avg_pool", .help = "the mean of each channel",
                                     .min_inputs = 1, .max_inputs = 1, .infer = infer_global,
                                     .forward = forward_global, .backward = backward_global};
