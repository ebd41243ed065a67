/* engine/ops_conv3d.c - convolution of volumes: a sum over the depth's taps of convolutions of planes.
 *
 *   y[b][oz] = act(bias + sum_kz conv2d(x[b][oz sd + kz dd - pf], w[kz]))
 *
 * x is (D, H, W, C), w (KD, KH, KW, C / groups, N); of a depthwise convolution (KD, KH, KW, 1, C). Planes outside of
 * the volume are zeros. What a plane's convolution computes is written in ops_conv.c; it is that of conv_direct.h, or,
 * for 3x3 kernels of stride 1 with channels enough, of winograd.h. */
#include <string.h>

#include "engine/conv_direct.h"
#include "engine/ops.h"
#include "engine/window.h"
#include "engine/winograd.h"

enum { WEIGHTS_COST = 4, SUM_COST = 16 };        /* as in ops_conv.c */

typedef struct {
    rt_conv_geometry plane;
    int d, od, kd, sd, dd, pf;                   /* planes, and the window along them */
    size_t x, y, w, packed;                      /* floats of a plane of input and output; of a tap's weights */
} geometry;

static geometry geometry_of(const rt_plan *p, const rt_node *n)
{
    const rt_conv3d_attr *a = RT_ATTR(n, rt_conv3d_attr);
    const rt_shape *in = rt_shape_of(p, n->in[0]), *out = rt_shape_of(p, n->out), image = rt_plane_of(in),
                   to = rt_plane_of(out);
    geometry g = {.plane = rt_conv_geometry_of(&a->plane.window, a->plane.groups, &image, &to),
                  .d = in->dim[0],
                  .od = out->dim[0],
                  .kd = a->depth.kernel,
                  .sd = a->depth.stride,
                  .dd = a->depth.dilation,
                  .pf = a->depth.pad[0],
                  .x = rt_shape_count(&image),
                  .y = rt_shape_count(&to)};
    rt_conv_geometry *q = &g.plane;
    g.w = g.packed = (size_t)q->kh * (size_t)q->kw * (size_t)(q->depthwise ? 1 : q->cg) * (size_t)q->n;
    if (q->kh == 3 && q->kw == 3 && q->sh == 1 && q->sw == 1 && q->groups == 1 && !q->depthwise &&
        !rt_conv_dilated(q)) {
        q->shape = (rt_wino_shape){q->h, q->w, q->c, q->oh, q->ow, q->n, q->pt, q->pl};
        q->winograd = rt_wino_pays(&q->shape);
        if (q->winograd) g.packed = RT_WINO_PLANES * (size_t)q->c * (size_t)q->n;
    }
    return g;
}

static rt_taps taps_of(const geometry *g, int oz) { return rt_taps_inside(oz * g->sd - g->pf, g->kd, g->dd, g->d); }
static size_t plane_of(const geometry *g, int oz, int kz) { return (size_t)(oz * g->sd - g->pf + kz * g->dd); }

static rt_status settle(const rt_graph *g, rt_node *n)
{
    rt_conv3d_attr *a = RT_ATTR_SET(n, rt_conv3d_attr);
    return rt_depth_settle(&a->depth, &a->plane.window, &g->tensor[n->in[0]].shape);
}

static rt_status infer(rt_graph *g, rt_node *n, rt_shape *out)
{
    const rt_shape *in = &g->tensor[n->in[0]].shape;
    const rt_conv3d_attr *a = RT_ATTR(n, rt_conv3d_attr);
    const int *kernel = a->plane.window.kernel, c = in->dim[3], groups = a->plane.groups, to = a->plane.out;
    int size[3];
    if (c % groups || to % groups)
        return rt_fail(RT_USAGE, "%d groups do not divide %d input and %d output channels", groups, c, to);
    RT_TRY(rt_depth_out(&a->depth, &a->plane.window, in, 0, size));
    *out = (rt_shape){4, {size[0], size[1], size[2], to}};
    int64_t taps = (int64_t)a->depth.kernel * kernel[0] * kernel[1], fan_in = taps * (c / groups),
            fan_out = taps * to / groups;
    rt_shape ws = {5, {a->depth.kernel, kernel[0], kernel[1], c / groups, to}};
    RT_TRY(rt_graph_param(g, n, "weight", ws, RT_INIT_HE, fan_in, fan_out, 1));
    if (a->plane.bias) RT_TRY(rt_graph_param(g, n, "bias", (rt_shape){1, {to}}, RT_INIT_ZERO, fan_in, to, 0));
    return RT_OK;
}

/* A plane of the output from one of the input: on top of what is there, or from the bias on; act behind the last. */
static void convolve(const geometry *g, rt_ctx *x, float *y, const float *in, const float *w, const float *bias,
                     rt_act act, int accumulate)
{
    const rt_kernels *k = x->plan->k;
    if (g->plane.winograd)
        rt_wino_forward(k, &g->plane.shape, y, in, w, NULL, bias, act, accumulate, 1, x->scratch);
    else rt_conv_forward(k, &g->plane, y, in, w, bias, act, accumulate, 1, x->scratch);
}

/* at[0]: transformed weights, or -1; at[1]: where in scratch a plane of zeros is, which those outputs read that lie in
 * the padding; -1: there are none. */
static void run_forward(const rt_call *c, rt_ctx *ctx, int row0, int rows)
{
    geometry g = geometry_of(ctx->plan, c->node);
    const float *x = rt_at(ctx, c->value[0], row0), *bias = rt_param(ctx, c->node, 1),
                *w = c->at[0] >= 0 ? ctx->plan->buffer + c->at[0] : rt_param(ctx, c->node, 0);
    float *y = rt_at(ctx, c->value[1], row0), *zeros = c->at[1] >= 0 ? ctx->scratch + c->at[1] : NULL;
    rt_act act = RT_ATTR(c->node, rt_epilogue)->act;
    if (zeros) memset(zeros, 0, g.x * sizeof *zeros);
    for (int r = 0; r < rows; r++, x += (size_t)g.d * g.x)
        for (int oz = 0; oz < g.od; oz++, y += g.y) {
            rt_taps z = taps_of(&g, oz);
            if (z.from >= z.to) convolve(&g, ctx, y, zeros, w, bias, act, 0);
            for (int kz = z.from; kz < z.to; kz++)
                convolve(&g, ctx, y, x + plane_of(&g, oz, kz) * g.x, w + (size_t)kz * g.packed,
                         kz == z.from ? bias : NULL, kz == z.to - 1 ? act : RT_ACT_NONE, kz > z.from);
        }
}

static void pack_winograd(const rt_call *c, rt_ctx *x, int tap, int unused)
{
    (void)unused;
    geometry g = geometry_of(x->plan, c->node);
    rt_wino_weights(x->plan->k, x->plan->buffer + c->at[0] + (size_t)tap * g.packed,
                    rt_param(x, c->node, 0) + (size_t)tap * g.w, g.plane.c, g.plane.n);
}

static void forward(rt_plan *p, const rt_node *n)
{
    geometry g = geometry_of(p, n);
    int in = rt_plan_read(p, n->in[0]), out = rt_plan_write(p, n->out), outside = 0;
    size_t scratch = g.plane.winograd ? rt_wino_scratch(&g.plane.shape) : rt_conv_scratch(&g.plane);
    ptrdiff_t packed = g.plane.winograd ? rt_plan_buffer(p, (size_t)g.kd * g.packed) : -1;
    for (int oz = 0; oz < g.od; oz++) {
        rt_taps z = taps_of(&g, oz);
        outside |= z.from >= z.to;
    }
    rt_plan_need_scratch(p, scratch + (outside ? g.x : 0));
    rt_call *c = rt_plan_rows(p, g.plane.winograd ? "conv3d winograd" : "conv3d", n, run_forward);
    c->value[0] = in;
    c->value[1] = out;
    c->at[0] = packed;
    c->at[1] = outside ? (ptrdiff_t)scratch : -1;
    c->weights = WEIGHTS_COST * (double)((size_t)g.kd * g.packed);
    if (packed >= 0) rt_plan_pack(p, "pack", n, g.kd, pack_winograd)->at[0] = packed;
}

static void pack_flipped(const rt_call *c, rt_ctx *x, int tap, int unused)
{
    (void)unused;
    geometry g = geometry_of(x->plan, c->node);
    rt_conv_flip(&g.plane, x->plan->buffer + c->at[0] + (size_t)tap * g.w,
                 rt_param(x, c->node, 0) + (size_t)tap * g.w);
}

static void run_dx(const geometry *g, rt_ctx *x, float *dx, const float *dy, const float *flipped, int accumulate)
{
    for (int z = 0; z < g->d; z++, dx += g->x) {
        int there = accumulate;
        for (int kz = 0; kz < g->kd; kz++) {
            int at = z + g->pf - kz * g->dd, oz = at / g->sd;
            if (at < 0 || at % g->sd || oz >= g->od) continue;
            rt_conv_dx(x->plan->k, &g->plane, dx, dy + (size_t)oz * g->y, flipped + (size_t)kz * g->w, 1, there,
                       x->scratch);
            there = 1;
        }
        if (!there) memset(dx, 0, g->x * sizeof *dx);
    }
}

/* value: 0 x, 1 dy, 2 dx or -1; at[0]: flipped weights; flag: accumulate into dx */
static void run_backward(const rt_call *c, rt_ctx *ctx, int row0, int rows)
{
    geometry g = geometry_of(ctx->plan, c->node);
    const float *x = rt_at(ctx, c->value[0], row0), *dy = rt_at(ctx, c->value[1], row0);
    float *dx = c->value[2] >= 0 ? rt_at(ctx, c->value[2], row0) : NULL;
    const rt_kernels *k = ctx->plan->k;
    if (rt_plan_trains(ctx->plan, c->node, 1))
        k->channel_sum(rt_slot_grad(ctx, c->node, 1, row0), dy,
                       (size_t)(rows * g.od) * (size_t)(g.plane.oh * g.plane.ow), g.plane.n);
    float *dw = rt_plan_trains(ctx->plan, c->node, 0) ? rt_slot_grad(ctx, c->node, 0, row0) : NULL;
    for (int r = 0; r < rows; r++, x += (size_t)g.d * g.x, dy += (size_t)g.od * g.y) {
        for (int oz = 0; oz < g.od && dw; oz++) {
            rt_taps z = taps_of(&g, oz);
            for (int kz = z.from; kz < z.to; kz++)
                rt_conv_dw_part(k, &g.plane, dw + (size_t)kz * g.w, x + plane_of(&g, oz, kz) * g.x,
                                dy + (size_t)oz * g.y, 1, (rt_conv_part){0, g.plane.kh, 0, g.plane.ng}, ctx->scratch);
        }
        if (dx) run_dx(&g, ctx, dx + (size_t)r * (size_t)g.d * g.x, dy, ctx->plan->buffer + c->at[0], c->flag);
    }
}

static void backward(rt_plan *p, const rt_node *n)
{
    geometry g = geometry_of(p, n);
    int weight = rt_plan_trains(p, n, 0), dx = -1, accumulate = 0, dy = rt_act_back_in_place(p, n),
        in = weight ? rt_plan_read(p, n->in[0]) : dy;
    ptrdiff_t at = -1;
    if (rt_plan_needs_grad(p, n->in[0])) {
        at = rt_plan_buffer(p, (size_t)g.kd * g.w);
        rt_plan_pack(p, "pack", n, g.kd, pack_flipped)->at[0] = at;
        dx = rt_plan_grad_write(p, n->in[0], &accumulate);
    }
    if (dx < 0 && !weight && !rt_plan_trains(p, n, 1)) return;
    rt_plan_need_scratch(p, rt_conv_scratch(&g.plane));
    rt_call *c = rt_plan_rows(p, "conv3d back", n, run_backward);
    c->value[0] = in;
    c->value[1] = dy;
    c->value[2] = dx;
    c->at[0] = at;
    c->flag = accumulate;
    double weights = (double)((size_t)g.kd * g.w);
    c->weights = (weight ? SUM_COST * weights : 0) + (dx >= 0 ? WEIGHTS_COST * weights : 0);
    c->work *= (dx >= 0) + weight;
    for (int i = 0; i < n->fields; i++) if (rt_plan_trains(p, n, i)) rt_plan_slot_grad(p, n, i);
}

static double macs(const rt_graph *g, const rt_node *n)
{
    const rt_conv3d_attr *a = RT_ATTR(n, rt_conv3d_attr);
    const int *kernel = a->plane.window.kernel;
    return (double)rt_shape_count(&g->tensor[n->out].shape) * a->depth.kernel * kernel[0] * kernel[1] *
           g->tensor[n->in[0]].shape.dim[3] / a->plane.groups;
}

static const rt_attr_spec spec[] = {
    {"out", RT_A_INT, offsetof(rt_conv3d_attr, plane.out), 1, 1 << 16, 0, 1, "output channels"},
    RT_WINDOW_SPEC(rt_conv_attr, 1, ""),           /* which they begin with */
    RT_DEPTH_SPEC(rt_conv3d_attr, 1, ""),
    {"groups", RT_A_INT, offsetof(rt_conv3d_attr, plane.groups), 1, 1 << 16, 1, 0, "equal groups of channels"},
    {"bias", RT_A_BOOL, offsetof(rt_conv3d_attr, plane.bias), 0, 1, 1, 0, "add a bias"}};
static const rt_schema schema = {spec, sizeof spec / sizeof *spec, sizeof(rt_conv3d_attr)};
_Static_assert(sizeof(rt_conv3d_attr) <= RT_ATTR_BYTES, "room for attributes");

const rt_op rt_op_conv3d = {.name = "conv3d", .help = "convolution of (D, H, W, C)", .min_inputs = 1, .max_inputs = 1,
                            .schema = &schema, .settle = settle, .infer = infer, .forward = forward,
                            .backward = backward, .macs = macs};
