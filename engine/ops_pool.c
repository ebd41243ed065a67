/* engine/ops_pool.c - max, average, global average and global max pooling; of images, lines, and of volumes (D, H, W,
 * C) plane by plane.
 *
 * max: y[oy][ox][c] = max over the kernel's taps inside the image; the gradient goes to the first tap that won.
 * average: the mean over the taps inside the image, or, where padding counts, over those inside image and padding; what
 * a window of `ceil` reaches beyond never counts. */
#include <math.h>
#include <string.h>

#include "engine/ops.h"
#include "engine/window.h"

typedef struct {
    int h, w, c, oh, ow, kh, kw, sh, sw, dh, dw, pt, pl;
    int hp, wp;                     /* where padding ends, counted from the image's first pixel */
    int count_padding;
    int d, od, kd, sd, dd, pf, dp;  /* the same along D: of images 1 plane, read by 1 tap */
} geometry;

static geometry geometry_of(const rt_plan *p, const rt_node *n)
{
    const rt_pool_attr *a = RT_ATTR(n, rt_pool_attr);
    const rt_window *w = &a->window;
    geometry g = {.kh = w->kernel[0], .kw = w->kernel[1], .sh = w->stride[0], .sw = w->stride[1],
                  .dh = w->dilation[0], .dw = w->dilation[1], .pt = w->pad.side[0], .pl = w->pad.side[2],
                  .count_padding = a->count_padding};
    const rt_shape *in = rt_shape_of(p, n->in[0]), *out = rt_shape_of(p, n->out), plane = rt_plane_of(in),
                   to = rt_plane_of(out);
    const rt_depth *d = &a->depth;
    int c;
    rt_shape_hwc(&plane, &g.h, &g.w, &g.c);
    rt_shape_hwc(&to, &g.oh, &g.ow, &c);
    g.hp = g.h + w->pad.side[1];
    g.wp = g.w + w->pad.side[3];
    g.d = g.od = g.kd = g.sd = g.dd = g.dp = 1;
    if (d->kernel) {
        g.d = in->dim[0];
        g.od = out->dim[0];
        g.kd = d->kernel;
        g.sd = d->stride;
        g.dd = d->dilation;
        g.pf = d->pad[0];
        g.dp = g.d + d->pad[1];
    }
    return g;
}

static size_t plane_in(const geometry *g) { return (size_t)g->h * (size_t)g->w * (size_t)g->c; }
static size_t row_in(const geometry *g) { return (size_t)g->d * plane_in(g); }
/* The depth's taps inside of the volume for planes oz of the output, and where tap kz of them lies. */
static rt_taps planes_of(const geometry *g, int oz) { return rt_taps_inside(oz * g->sd - g->pf, g->kd, g->dd, g->d); }
static ptrdiff_t plane_at(const geometry *g, int oz, int kz)
{ return (ptrdiff_t)(oz * g->sd - g->pf + kz * g->dd) * (ptrdiff_t)plane_in(g); }

static rt_status settle(const rt_graph *g, rt_node *n)
{
    rt_pool_attr *a = RT_ATTR_SET(n, rt_pool_attr);
    if (a->depth.kernel) return rt_depth_settle(&a->depth, &a->window, &g->tensor[n->in[0]].shape);
    return rt_window_settle(&a->window, &g->tensor[n->in[0]].shape);
}

/* Every window along an axis has a tap inside of it. */
static int has_taps(int windows, int stride, int before, int k, int d, int size)
{
    for (int o = 0; o < windows && d > 1; o++) {
        rt_taps s = rt_taps_inside(o * stride - before, k, d, size);
        if (s.from >= s.to) return 0;
    }
    return 1;
}

static rt_status infer(rt_graph *g, rt_node *n, rt_shape *out)
{
    const rt_pool_attr *a = RT_ATTR(n, rt_pool_attr);
    const rt_window *w = &a->window;
    const rt_shape *in = &g->tensor[n->in[0]].shape;
    const rt_depth *d = &a->depth;
    int size[2], count[3] = {1, 0, 0}, c = in->dim[in->rank - 1], volume = d->kernel > 0;
    if (!volume && in->rank != 2 && in->rank != 3)
        return rt_fail(RT_USAGE, "pooling needs an input of shape (H, W, C) or (T, C)");
    if ((int64_t)w->kernel[0] * w->kernel[1] * (volume ? d->kernel : 1) > 256)
        return rt_fail(RT_USAGE, "a pooling window of more than 256 taps is not supported; use global_avg_pool or "
                       "global_max_pool");
    for (int i = 0; i < 4; i++)
        if (w->pad.side[i] >= rt_window_reach(w, i / 2))
            return rt_fail(RT_USAGE, "padding must be smaller than the kernel");
    for (int i = 0; i < 2 && volume; i++)
        if (d->pad[i] > (d->kernel - 1) * d->dilation)
            return rt_fail(RT_USAGE, "padding must be smaller than the kernel");
    if (volume) RT_TRY(rt_depth_out(d, w, in, a->ceil, count));
    else if (a->ceil) RT_TRY(rt_window_out_ceil(w, in, &count[1], &count[2]));
    else RT_TRY(rt_window_out(w, in, &count[1], &count[2]));
    rt_shape plane = rt_plane_of(in);
    rt_shape_hwc(&plane, &size[0], &size[1], &c);
    int inside = !volume || has_taps(count[0], d->stride, d->pad[0], d->kernel, d->dilation, in->dim[0]);
    for (int i = 0; i < 2; i++)
        inside &= has_taps(count[1 + i], w->stride[i], w->pad.side[2 * i], w->kernel[i], w->dilation[i], size[i]);
    if (!inside && !a->count_padding) return rt_fail(RT_USAGE, "all taps of a window lie in the padding");
    *out = volume          ? (rt_shape){4, {count[0], count[1], count[2], c}}
           : in->rank == 3 ? (rt_shape){3, {count[1], count[2], c}}
                           : (rt_shape){2, {count[2], c}};
    return RT_OK;
}

typedef struct { int r0, r1, s0, s1; ptrdiff_t at; } window;   /* taps inside the image; offset of tap (0, 0) */

static window window_of(const geometry *g, int oy, int ox)
{
    int iy = oy * g->sh - g->pt, ix = ox * g->sw - g->pl;
    rt_taps y = rt_taps_inside(iy, g->kh, g->dh, g->h), x = rt_taps_inside(ix, g->kw, g->dw, g->w);
    return (window){y.from, y.to, x.from, x.to, ((ptrdiff_t)iy * g->w + ix) * g->c};
}

/* What the sum over a window's taps is multiplied by: 1 / those that count. */
static float share_of(const geometry *g, const window *w, rt_taps z, int oz, int oy, int ox)
{
    if (!g->count_padding) return 1.0f / (float)((z.to - z.from) * (w->r1 - w->r0) * (w->s1 - w->s0));
    rt_taps y = rt_taps_inside(oy * g->sh, g->kh, g->dh, g->hp + g->pt),
            x = rt_taps_inside(ox * g->sw, g->kw, g->dw, g->wp + g->pl);
    return 1.0f / (float)(rt_taps_inside(oz * g->sd, g->kd, g->dd, g->dp + g->pf).to * y.to * x.to);
}

/* The run of pixels from (oy, ox) on that share their taps, and in *w their window. */
static rt_pooling run_of(const geometry *g, int oy, int ox, window *w)
{
    *w = window_of(g, oy, ox);
    int n = 1;
    if (w->s0 == 0 && w->s1 == g->kw) {                    /* up to the last whose taps are all inside */
        int last = (g->w - 1 - (g->kw - 1) * g->dw + g->pl) / g->sw;
        n = (last < g->ow ? last : g->ow - 1) - ox + 1;
    } else
        for (; ox + n < g->ow; n++) {
            window next = window_of(g, oy, ox + n);
            if (next.s0 != w->s0 || next.s1 != w->s1) break;
        }
    return (rt_pooling){.x_px = (ptrdiff_t)g->sw * g->c, .x_row = (ptrdiff_t)g->dh * g->w * g->c,
                         .x_tap = (ptrdiff_t)g->dw * g->c, .px = n,
                         .c = g->c, .r0 = w->r0, .r1 = w->r1, .s0 = w->s0, .s1 = w->s1, .kw = g->kw};
}

/* Of a run that tap kz of the depth reads: its rows are those kz kh .. of all that a window has, from `at` on. */
static rt_pooling run_at_depth(const geometry *g, rt_pooling a, int oz, int kz, ptrdiff_t *at)
{
    *at += plane_at(g, oz, kz) - (ptrdiff_t)kz * g->kh * a.x_row;
    a.r0 += kz * g->kh;
    a.r1 += kz * g->kh;
    return a;
}

/* What is greater of another plane; NaN wins. */
static void take_greater(float *best, uint8_t *index, const float *v, const uint8_t *at, int n)
{
    for (int i = 0; i < n; i++)
        if (v[i] > best[i] || isnan(v[i])) {
            best[i] = v[i];
            if (index) index[i] = at[i];
        }
}

static void max_of_run(const rt_kernels *k, const geometry *g, float *out, uint8_t *index, const float *in,
                       const rt_pooling *a, ptrdiff_t at, int oz, float *scratch)
{
    rt_taps z = planes_of(g, oz);
    int n = a->px * g->c;
    uint8_t *other = index ? (uint8_t *)(scratch + n) : NULL;
    for (int kz = z.from; kz < z.to; kz++) {
        ptrdiff_t from = at;
        rt_pooling one = run_at_depth(g, *a, oz, kz, &from);
        k->max_pool(kz == z.from ? out : scratch, kz == z.from ? index : other, in + from, &one);
        if (kz > z.from) take_greater(out, index, scratch, other, n);
    }
}

static void run_max(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    geometry g = geometry_of(x->plan, c->node);
    const float *in = rt_at(x, c->value[0], row0);
    float *out = rt_at(x, c->value[1], row0);
    uint8_t *index = c->value[2] >= 0 ? rt_at(x, c->value[2], row0) : NULL;
    window w;
    for (int r = 0; r < rows; r++, in += row_in(&g))
        for (int o = 0; o < g.od * g.oh; o++)
            for (int ox = 0; ox < g.ow;) {
                rt_pooling a = run_of(&g, o % g.oh, ox, &w);
                max_of_run(x->plan->k, &g, out, index, in, &a, w.at, o / g.oh, x->scratch);
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
    geometry g = geometry_of(p, n);
    if (g.kd > 1) rt_plan_need_scratch(p, 2 * (size_t)g.ow * (size_t)g.c);
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
    int tiling = g.sh == g.kh && g.sw == g.kw && g.oh * g.sh == g.h && g.ow * g.sw == g.w && !g.pt && !g.pl &&
                 g.dh == 1 && g.dw == 1 && g.sd == g.kd && g.od * g.sd == g.d && !g.pf && g.dd == 1;
    if (!c->flag && !tiling) memset(dx, 0, (size_t)rows * row_in(&g) * sizeof *dx);
    for (int r = 0; r < rows; r++, dx += row_in(&g))
        for (int o = 0; o < g.od * g.oh; o++)
            for (int ox = 0; ox < g.ow;) {
                rt_pooling a = run_of(&g, o % g.oh, ox, &w);
                rt_taps z = planes_of(&g, o / g.oh);
                for (int kz = z.from; kz < z.to; kz++) {
                    ptrdiff_t at = w.at;
                    rt_pooling one = run_at_depth(&g, a, o / g.oh, kz, &at);
                    x->plan->k->max_pool_back(dx + at, dy, index, &one, c->flag || !tiling);
                }
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

#define STRIDE_HELP "; the kernel's size when not given"
#define POOL_SPEC RT_WINDOW_SPEC(rt_pool_attr, 0, STRIDE_HELP), \
    {"ceil", RT_A_BOOL, offsetof(rt_pool_attr, ceil), 0, 1, 0, RT_A_LATER, \
     "a last window that reaches over the padding counts, if it begins inside of it"}
#define COUNT_SPEC {"count_padding", RT_A_BOOL, offsetof(rt_pool_attr, count_padding), 0, 1, 0, RT_A_LATER, \
                    "the mean is over padding, too, which is 0"}
static const rt_attr_spec max_spec[] = {POOL_SPEC}, avg_spec[] = {POOL_SPEC, COUNT_SPEC},
    max3d_spec[] = {POOL_SPEC, RT_DEPTH_SPEC(rt_pool_attr, 0, STRIDE_HELP)},
    avg3d_spec[] = {POOL_SPEC, COUNT_SPEC, RT_DEPTH_SPEC(rt_pool_attr, 0, STRIDE_HELP)};
#define SCHEMA(spec) {spec, sizeof spec / sizeof *spec, sizeof(rt_pool_attr)}
static const rt_schema max_schema = SCHEMA(max_spec), avg_schema = SCHEMA(avg_spec), max3d_schema = SCHEMA(max3d_spec),
                       avg3d_schema = SCHEMA(avg3d_spec);

#define POOL(NAME, HELP, SCHEMA_OF, WAY) {.name = NAME, .help = HELP, .min_inputs = 1, .max_inputs = 1, \
                                        .schema = &SCHEMA_OF, .settle = settle, .infer = infer, \
                                        .forward = forward_##WAY, .backward = backward_##WAY}
const rt_op rt_op_max_pool = POOL("max_pool", "the greatest value under the kernel; padding does not count", max_schema,
                                  max);
const rt_op rt_op_max_pool3d = POOL("max_pool3d", "max_pool of (D, H, W, C)", max3d_schema, max);

static void run_avg(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    geometry g = geometry_of(x->plan, c->node);
    const float *in = rt_at(x, c->value[0], row0);
    float *out = rt_at(x, c->value[1], row0);
    for (int r = 0; r < rows; r++, in += row_in(&g))
        for (int o = 0; o < g.od * g.oh; o++)
            for (int ox = 0; ox < g.ow; ox++, out += g.c) {
                const int oz = o / g.oh, oy = o % g.oh;
                window w = window_of(&g, oy, ox);
                rt_taps z = planes_of(&g, oz);
                float scale = share_of(&g, &w, z, oz, oy, ox);
                int at_once = g.dw == 1 ? w.s1 - w.s0 : 1;         /* taps side by side */
                memset(out, 0, (size_t)g.c * sizeof *out);
                for (int kz = z.from; kz < z.to; kz++)
                    for (int ky = w.r0; ky < w.r1; ky++)
                        for (int kx = w.s0; kx < w.s1; kx += at_once)
                            x->plan->k->channel_sum(out,
                                                    in + plane_at(&g, oz, kz) + w.at +
                                                        ((ptrdiff_t)ky * g.dh * g.w + kx * g.dw) * g.c,
                                                    (size_t)at_once, g.c);
                for (int i = 0; i < g.c; i++) out[i] *= scale;
            }
}

static void run_avg_back(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    geometry g = geometry_of(x->plan, c->node);
    const float *dy = rt_at(x, c->value[0], row0);
    float *dx = rt_at(x, c->value[1], row0);
    if (!c->flag) memset(dx, 0, (size_t)rows * row_in(&g) * sizeof *dx);
    for (int r = 0; r < rows; r++, dx += row_in(&g))
        for (int o = 0; o < g.od * g.oh; o++)
            for (int ox = 0; ox < g.ow; ox++, dy += g.c) {
                const int oz = o / g.oh, oy = o % g.oh;
                window w = window_of(&g, oy, ox);
                rt_taps z = planes_of(&g, oz);
                float scale = share_of(&g, &w, z, oz, oy, ox);
                for (int kz = z.from; kz < z.to; kz++)
                    for (int ky = w.r0; ky < w.r1; ky++)
                        for (int kx = w.s0; kx < w.s1; kx++) {
                            float *d = dx + plane_at(&g, oz, kz) + w.at +
                                       ((ptrdiff_t)ky * g.dh * g.w + kx * g.dw) * g.c;
                            for (int i = 0; i < g.c; i++) d[i] += dy[i] * scale;
                        }
            }
}

static rt_call *emit(rt_plan *p, const rt_node *n, const char *what, int from, int to, int flag,
                     void (*fn)(const rt_call *, rt_ctx *, int, int))
{
    rt_call *c = rt_plan_rows(p, what, n, fn);
    c->value[0] = from;
    c->value[1] = to;
    c->flag = flag;
    return c;
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

const rt_op rt_op_avg_pool = POOL("avg_pool", "the mean under the kernel; padding does not count unless told so",
                                  avg_schema, avg);
const rt_op rt_op_avg_pool3d = POOL("avg_pool3d", "avg_pool of (D, H, W, C)", avg3d_schema, avg);

/* ---- global: (D, H, W, C), (H, W, C) or (T, C) to (C) ---- */

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

/* ---- global max: the gradient goes to the first pixel that won ---- */

static void run_global_max(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    const rt_shape *s = rt_shape_of(x->plan, c->node->in[0]);
    int ch = s->dim[s->rank - 1], px = (int)(rt_shape_count(s) / (size_t)ch);
    const float *in = rt_at(x, c->value[0], row0);
    float *out = rt_at(x, c->value[1], row0);
    int32_t *index = c->value[2] >= 0 ? rt_at(x, c->value[2], row0) : NULL;
    rt_pooling a = {.x_row = (ptrdiff_t)px * ch, .x_tap = ch, .px = 1, .c = ch, .r1 = 1, .s1 = px, .kw = px};
    for (int r = 0; r < rows; r++, in += (ptrdiff_t)px * ch, out += ch) {
        x->plan->k->max_pool(out, NULL, in, &a);
        for (int i = 0; i < ch && index; i++) {
            int p = 0;
            while (p < px - 1 && !(in[(ptrdiff_t)p * ch + i] >= out[i])) p++;       /* of NaN any */
            *index++ = p;
        }
    }
}

static void run_global_max_back(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    const rt_shape *s = rt_shape_of(x->plan, c->node->in[0]);
    int ch = s->dim[s->rank - 1], px = (int)(rt_shape_count(s) / (size_t)ch);
    const float *dy = rt_at(x, c->value[0], row0);
    float *dx = rt_at(x, c->value[1], row0);
    const int32_t *index = rt_at(x, c->value[2], row0);
    if (!c->flag) memset(dx, 0, (size_t)rows * (size_t)px * (size_t)ch * sizeof *dx);
    for (int r = 0; r < rows; r++, dx += (ptrdiff_t)px * ch)
        for (int i = 0; i < ch; i++) dx[(ptrdiff_t)*index++ * ch + i] += *dy++;
}

static void forward_global_max(rt_plan *p, const rt_node *n)
{
    int in = rt_plan_read(p, n->in[0]), out = rt_plan_write(p, n->out), index = -1;
    if (p->spec.train)
        index = rt_plan_note(p, n)->value = rt_plan_temp(p, rt_shape_count(rt_shape_of(p, n->out)) * sizeof(int32_t));
    emit(p, n, "global max pool", in, out, 0, run_global_max)->value[2] = index;
}

static void backward_global_max(rt_plan *p, const rt_node *n)
{
    int accumulate, dy = rt_plan_grad_read(p, n->out), dx = rt_plan_grad_write(p, n->in[0], &accumulate);
    emit(p, n, "global max back", dy, dx, accumulate, run_global_max_back)->value[2] = rt_plan_note(p, n)->value;
}

const rt_op rt_op_global_max_pool = {.name = "global_max_pool", .help = "the greatest value of each channel",
                                     .min_inputs = 1, .max_inputs = 1, .infer = infer_global,
                                     .forward = forward_global_max, .backward = backward_global_max};
