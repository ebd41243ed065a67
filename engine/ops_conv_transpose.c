/* engine/ops_conv_transpose.c - transposed convolution, 1-D to 3-D (Zeiler et al. 2010; PyTorch's ConvTranspose):
 *
 *   y[iy sy + ky dy - pt][ix sx + kx dx - pl][n] += x[iy][ix][c] w[ky][kx][n][c], from the bias on
 *
 * w is (KH, KW, N / groups, C), N the output's channels. The output has (H - 1) stride + reach of the kernel +
 * output_padding - padding pixels. It is the gradient of the image of a convolution from the output's shape to the
 * input's, and is computed as that; its own gradients are that convolution. Of volumes (D, H, W, C), w being
 * (KD, KH, KW, N / groups, C), plane z of the output is the sum of what planes iz of the input give by taps kz of the
 * depth, z = iz sd + kz dd - pf. */
#include <string.h>

#include "engine/conv_direct.h"
#include "engine/ops.h"
#include "engine/window.h"

enum { WEIGHTS_COST = 4, SUM_COST = 16 };        /* as in ops_conv.c */

/* Of that convolution, of planes: its image is the output here. */
typedef struct {
    rt_conv_geometry plane;
    int d, od, kd, sd, dd, pf;         /* planes of input and output; of images 1, read by 1 tap */
    size_t x, y, w;                    /* floats of a plane of each; of a tap's weights */
} geometry;

static geometry geometry_of(const rt_plan *p, const rt_node *n)
{
    const rt_conv_transpose_attr *a = RT_ATTR(n, rt_conv_transpose_attr);
    const rt_depth *d = &a->depth;
    const rt_shape *in = rt_shape_of(p, n->in[0]), *out = rt_shape_of(p, n->out), from = rt_plane_of(in),
                   to = rt_plane_of(out);
    geometry g = {.plane = rt_conv_geometry_of(&a->window, a->groups, &to, &from), .d = 1, .od = 1, .kd = 1, .sd = 1,
                  .dd = 1, .x = rt_shape_count(&from), .y = rt_shape_count(&to)};
    if (d->kernel) {
        g.d = in->dim[0];
        g.od = out->dim[0];
        g.kd = d->kernel;
        g.sd = d->stride;
        g.dd = d->dilation;
        g.pf = d->pad[0];
    }
    g.w = p->graph->field[n->field[0]].count / (size_t)g.kd;
    return g;
}

/* The plane of the input that tap kz brings to plane z of the output; -1: none. */
static int giver_of(const geometry *g, int z, int kz)
{
    int at = z + g->pf - kz * g->dd;
    return at < 0 || at % g->sd || at / g->sd >= g->d ? -1 : at / g->sd;
}

static rt_status settle(const rt_graph *g, rt_node *n)
{
    rt_conv_transpose_attr *a = RT_ATTR_SET(n, rt_conv_transpose_attr);
    rt_window *w = &a->window;
    if (w->pad.given == RT_PAD_SAME) return rt_fail(RT_USAGE, "\"same\" has no meaning here: give padding as numbers");
    if (a->depth.kernel) return rt_depth_settle(&a->depth, w, &g->tensor[n->in[0]].shape);
    return rt_window_settle(w, &g->tensor[n->in[0]].shape);
}

/* Pixels along an axis of the output. */
static rt_status grown(int size, int stride, int reach, int dilation, int more, int before, int behind, int *to)
{
    int64_t pixels = (int64_t)(size - 1) * stride + reach + more - before - behind;
    if (more && more >= stride && more >= dilation)
        return rt_fail(RT_USAGE, "output_padding %d must be below stride or dilation", more);
    if (pixels < 1 || pixels > 1 << 30)
        return rt_fail(RT_USAGE, "its output would have %lld pixels along an axis", (long long)pixels);
    *to = (int)pixels;
    return RT_OK;
}

static rt_status infer(rt_graph *g, rt_node *n, rt_shape *out)
{
    const rt_shape *in = &g->tensor[n->in[0]].shape;
    const rt_conv_transpose_attr *a = RT_ATTR(n, rt_conv_transpose_attr);
    const rt_window *w = &a->window;
    const rt_depth *d = &a->depth;
    int rank = n->op == RT_OP_CONV_TRANSPOSE1D ? 2 : d->kernel ? 4 : 3, size[2], to[2], planes = 1, c;
    char text[64];
    if (in->rank != rank)
        return rt_fail(RT_USAGE, "input %s has %d dimensions, %d expected: %s", rt_shape_text(in, text), in->rank, rank,
                       rank == 3 ? "(H, W, C)" : "(T, C)");
    rt_shape plane = rt_plane_of(in);
    rt_shape_hwc(&plane, &size[0], &size[1], &c);
    if (c % a->groups || a->out % a->groups)
        return rt_fail(RT_USAGE, "%d groups do not divide %d input and %d output channels", a->groups, c, a->out);
    for (int i = 0; i < 2; i++)
        RT_TRY(grown(size[i], w->stride[i], rt_window_reach(w, i), w->dilation[i],
                     rank == 2 && i == 0 ? 0 : a->output_padding[i], w->pad.side[2 * i], w->pad.side[2 * i + 1],
                     &to[i]));
    if (rank == 4)
        RT_TRY(grown(in->dim[0], d->stride, (d->kernel - 1) * d->dilation + 1, d->dilation, a->depth_output_padding,
                     d->pad[0], d->pad[1], &planes));
    *out = rank == 4   ? (rt_shape){4, {planes, to[0], to[1], a->out}}
           : rank == 3 ? (rt_shape){3, {to[0], to[1], a->out}}
                       : (rt_shape){2, {to[1], a->out}};
    int ng = a->out / a->groups;
    int64_t taps = (int64_t)w->kernel[0] * w->kernel[1] * (rank == 4 ? d->kernel : 1), fan_in = taps * (c / a->groups),
            fan_out = taps * ng;
    rt_shape ws = rank == 4   ? (rt_shape){5, {d->kernel, w->kernel[0], w->kernel[1], ng, c}}
                  : rank == 3 ? (rt_shape){4, {w->kernel[0], w->kernel[1], ng, c}}
                              : (rt_shape){3, {w->kernel[1], ng, c}};
    RT_TRY(rt_graph_param(g, n, "weight", ws, RT_INIT_HE, fan_in, fan_out, 1));
    if (a->bias) RT_TRY(rt_graph_param(g, n, "bias", (rt_shape){1, {a->out}}, RT_INIT_ZERO, fan_in, a->out, 0));
    return RT_OK;
}

static void pack(const rt_call *c, rt_ctx *x, int tap, int unused)
{
    (void)unused;
    geometry g = geometry_of(x->plan, c->node);
    rt_conv_flip(&g.plane, x->plan->buffer + c->at[0] + (size_t)tap * g.w,
                 rt_param(x, c->node, 0) + (size_t)tap * g.w);
}

static void run_forward(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    geometry g = geometry_of(x->plan, c->node);
    const float *bias = rt_param(x, c->node, 1), *in = rt_at(x, c->value[0], row0), *w = x->plan->buffer + c->at[0];
    float *y = rt_at(x, c->value[1], row0), *to = y;
    for (size_t p = (size_t)rows * (size_t)g.od * (size_t)g.plane.h * (size_t)g.plane.w; bias && p > 0;
         p--, to += g.plane.c)
        memcpy(to, bias, (size_t)g.plane.c * sizeof *to);
    if (g.d == 1 && g.od == 1 && g.kd == 1) {
        rt_conv_dx(x->plan->k, &g.plane, y, in, w, rows, bias != NULL, x->scratch);
        return;
    }
    for (int r = 0; r < rows; r++, in += (size_t)g.d * g.x)
        for (int z = 0; z < g.od; z++, y += g.y) {
            int there = bias != NULL;
            for (int kz = 0; kz < g.kd; kz++) {
                int iz = giver_of(&g, z, kz);
                if (iz < 0) continue;
                rt_conv_dx(x->plan->k, &g.plane, y, in + (size_t)iz * g.x, w + (size_t)kz * g.w, 1, there, x->scratch);
                there = 1;
            }
            if (!there) memset(y, 0, g.y * sizeof *y);
        }
}

static void forward(rt_plan *p, const rt_node *n)
{
    geometry g = geometry_of(p, n);
    size_t weights = p->graph->field[n->field[0]].count;
    int in = rt_plan_read(p, n->in[0]), out = rt_plan_write(p, n->out);
    ptrdiff_t at = rt_plan_buffer(p, weights);
    rt_plan_pack(p, "pack", n, g.kd, pack)->at[0] = at;
    rt_plan_need_scratch(p, rt_conv_scratch(&g.plane));
    rt_call *c = rt_plan_rows(p, "conv transpose", n, run_forward);
    c->value[0] = in;
    c->value[1] = out;
    c->at[0] = at;
    c->weights = WEIGHTS_COST * (double)weights;
}

/* A row's planes: gradients of weights, and of the input, to which each tap adds. */
static void plane_backward(const geometry *g, rt_ctx *x, float *dx, float *dw, const float *in, const float *dy,
                           const float *w, int accumulate)
{
    const rt_kernels *k = x->plan->k;
    for (int iz = 0; iz < g->d; iz++) {
        int there = accumulate;
        for (int kz = 0; kz < g->kd; kz++) {
            int z = iz * g->sd + kz * g->dd - g->pf;
            if (z < 0 || z >= g->od) continue;
            const float *from = dy + (size_t)z * g->y;
            if (dw)
                rt_conv_dw_part(k, &g->plane, dw + (size_t)kz * g->w, from, in + (size_t)iz * g->x, 1,
                                (rt_conv_part){0, g->plane.kh, 0, g->plane.ng}, x->scratch);
            if (dx)
                rt_conv_forward(k, &g->plane, dx + (size_t)iz * g->x, from, w + (size_t)kz * g->w, NULL, RT_ACT_NONE,
                                there, 1, x->scratch);
            there = 1;
        }
        if (dx && !there) memset(dx + (size_t)iz * g->x, 0, g->x * sizeof *dx);
    }
}

/* value: 0 x, 1 dy, 2 dx or -1 */
static void run_backward(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    geometry g = geometry_of(x->plan, c->node);
    const float *in = rt_at(x, c->value[0], row0), *dy = rt_at(x, c->value[1], row0), *w = rt_param(x, c->node, 0);
    float *dw = rt_plan_trains(x->plan, c->node, 0) ? rt_slot_grad(x, c->node, 0, row0) : NULL,
          *dx = c->value[2] >= 0 ? rt_at(x, c->value[2], row0) : NULL;
    const rt_kernels *k = x->plan->k;
    if (rt_plan_trains(x->plan, c->node, 1))
        k->channel_sum(rt_slot_grad(x, c->node, 1, row0), dy,
                       (size_t)rows * (size_t)g.od * (size_t)g.plane.h * (size_t)g.plane.w, g.plane.c);
    if (g.d == 1 && g.od == 1 && g.kd == 1) {
        if (dw)
            rt_conv_dw_part(k, &g.plane, dw, dy, in, rows, (rt_conv_part){0, g.plane.kh, 0, g.plane.ng}, x->scratch);
        if (dx) rt_conv_forward(k, &g.plane, dx, dy, w, NULL, RT_ACT_NONE, c->flag, rows, x->scratch);
        return;
    }
    for (int r = 0; r < rows; r++)
        plane_backward(&g, x, dx ? dx + (size_t)r * (size_t)g.d * g.x : NULL, dw, in + (size_t)r * (size_t)g.d * g.x,
                       dy + (size_t)r * (size_t)g.od * g.y, w, c->flag);
}

static void backward(rt_plan *p, const rt_node *n)
{
    geometry g = geometry_of(p, n);
    int accumulate = 0, dy = rt_plan_grad_read(p, n->out), in = rt_plan_read(p, n->in[0]), dx = -1,
        weight = rt_plan_trains(p, n, 0);
    if (rt_plan_needs_grad(p, n->in[0])) dx = rt_plan_grad_write(p, n->in[0], &accumulate);
    rt_plan_need_scratch(p, rt_conv_scratch(&g.plane));
    rt_call *c = rt_plan_rows(p, "conv transpose back", n, run_backward);
    c->value[0] = in;
    c->value[1] = dy;
    c->value[2] = dx;
    c->flag = accumulate;
    double weights = (double)p->graph->field[n->field[0]].count;
    c->weights = (weight ? SUM_COST * weights : 0) + (dx >= 0 ? WEIGHTS_COST * weights : 0);
    c->work *= (dx >= 0) + weight;
    for (int i = 0; i < n->fields; i++) if (rt_plan_trains(p, n, i)) rt_plan_slot_grad(p, n, i);
}

static double macs(const rt_graph *g, const rt_node *n)
{
    const rt_conv_transpose_attr *a = RT_ATTR(n, rt_conv_transpose_attr);
    return (double)rt_shape_count(&g->tensor[n->in[0]].shape) * a->window.kernel[0] * a->window.kernel[1] *
           (a->depth.kernel ? a->depth.kernel : 1) * (a->out / a->groups);
}

#define SPEC {"out", RT_A_INT, offsetof(rt_conv_transpose_attr, out), 1, 1 << 16, 0, 1, "output channels"}, \
    RT_WINDOW_SPEC(rt_conv_transpose_attr, 1, ""), \
    {"output_padding", RT_A_PAIR, offsetof(rt_conv_transpose_attr, output_padding), 0, 1024, 0, 0, \
     "pixels more behind, or [h, w]"}, \
    {"groups", RT_A_INT, offsetof(rt_conv_transpose_attr, groups), 1, 1 << 16, 1, 0, "equal groups of channels"}, \
    {"bias", RT_A_BOOL, offsetof(rt_conv_transpose_attr, bias), 0, 1, 1, 0, "add a bias"}
static const rt_attr_spec spec[] = {SPEC},
    volume_spec[] = {SPEC, RT_DEPTH_SPEC(rt_conv_transpose_attr, 1, ""),
                     {"depth_output_padding", RT_A_INT, offsetof(rt_conv_transpose_attr, depth_output_padding), 0, 1024,
                      0, 0, "planes more behind"}};
static const rt_schema schema = {spec, sizeof spec / sizeof *spec, sizeof(rt_conv_transpose_attr)},
                       volume_schema = {volume_spec, sizeof volume_spec / sizeof *volume_spec,
                                        sizeof(rt_conv_transpose_attr)};
_Static_assert(sizeof(rt_conv_transpose_attr) <= RT_ATTR_BYTES, "room for attributes");

#define OP(NAME, HELP, SCHEMA) {.name = NAME, .help = HELP, .min_inputs = 1, .max_inputs = 1, .schema = &SCHEMA, \
                                .settle = settle, .infer = infer, .forward = forward, .backward = backward, \
                                .macs = macs}
const rt_op rt_op_conv_transpose3d = OP("conv_transpose3d", "transposed convolution of (D, H, W, C)", volume_schema);
const rt_op rt_op_conv_transpose2d = OP("conv_transpose2d", "transposed convolution of (H, W, C)", schema);
const rt_op rt_op_conv_transpose1d = OP("conv_transpose1d", "transposed convolution of (T, C)", schema);
