/* engine/ops_conv_transpose.c - transposed convolution, 2-D and 1-D (Zeiler et al. 2010; PyTorch's ConvTranspose):
 *
 *   y[iy sy + ky dy - pt][ix sx + kx dx - pl][n] += x[iy][ix][c] w[ky][kx][n][c], from the bias on
 *
 * w is (KH, KW, N / groups, C), N the output's channels. The output has (H - 1) stride + reach of the kernel +
 * output_padding - padding pixels. It is the gradient of the image of a convolution from the output's shape to the
 * input's, and is computed as that; its own gradients are that convolution. */
#include <string.h>

#include "engine/conv_direct.h"
#include "engine/ops.h"
#include "engine/window.h"

enum { WEIGHTS_COST = 4, SUM_COST = 16 };        /* as in ops_conv.c */

/* Of that convolution: its image is the output here. */
static rt_conv_geometry geometry_of(const rt_plan *p, const rt_node *n)
{
    const rt_conv_transpose_attr *a = RT_ATTR(n, rt_conv_transpose_attr);
    return rt_conv_geometry_of(&a->window, a->groups, rt_shape_of(p, n->out), rt_shape_of(p, n->in[0]));
}

static rt_status settle(const rt_graph *g, rt_node *n)
{
    rt_window *w = &RT_ATTR_SET(n, rt_conv_transpose_attr)->window;
    if (w->pad.given == RT_PAD_SAME) return rt_fail(RT_USAGE, "\"same\" has no meaning here: give padding as numbers");
    return rt_window_settle(w, &g->tensor[n->in[0]].shape);
}

static rt_status infer(rt_graph *g, rt_node *n, rt_shape *out)
{
    const rt_shape *in = &g->tensor[n->in[0]].shape;
    const rt_conv_transpose_attr *a = RT_ATTR(n, rt_conv_transpose_attr);
    const rt_window *w = &a->window;
    int rank = n->op == RT_OP_CONV_TRANSPOSE1D ? 2 : 3, size[2], to[2], c;
    char text[64];
    if (in->rank != rank)
        return rt_fail(RT_USAGE, "input %s has %d dimensions, %d expected: %s", rt_shape_text(in, text), in->rank, rank,
                       rank == 3 ? "(H, W, C)" : "(T, C)");
    rt_shape_hwc(in, &size[0], &size[1], &c);
    if (c % a->groups || a->out % a->groups)
        return rt_fail(RT_USAGE, "%d groups do not divide %d input and %d output channels", a->groups, c, a->out);
    for (int i = 0; i < 2; i++) {
        int more = rank == 2 && i == 0 ? 0 : a->output_padding[i];
        int64_t pixels = (int64_t)(size[i] - 1) * w->stride[i] + rt_window_reach(w, i) + more - w->pad.side[2 * i] -
                         w->pad.side[2 * i + 1];
        if (more && more >= w->stride[i] && more >= w->dilation[i])
            return rt_fail(RT_USAGE, "output_padding %d must be below stride or dilation", more);
        if (pixels < 1 || pixels > 1 << 30)
            return rt_fail(RT_USAGE, "its output would have %lld pixels along an axis", (long long)pixels);
        to[i] = (int)pixels;
    }
    *out = rank == 3 ? (rt_shape){3, {to[0], to[1], a->out}} : (rt_shape){2, {to[1], a->out}};
    int ng = a->out / a->groups;
    int64_t taps = (int64_t)w->kernel[0] * w->kernel[1], fan_in = taps * (c / a->groups), fan_out = taps * ng;
    rt_shape ws = rank == 3 ? (rt_shape){4, {w->kernel[0], w->kernel[1], ng, c}} : (rt_shape){3, {w->kernel[1], ng, c}};
    RT_TRY(rt_graph_param(g, n, "weight", ws, RT_INIT_HE, fan_in, fan_out, 1));
    if (a->bias) RT_TRY(rt_graph_param(g, n, "bias", (rt_shape){1, {a->out}}, RT_INIT_ZERO, fan_in, a->out, 0));
    return RT_OK;
}

static void pack(const rt_call *c, rt_ctx *x, int tile, int unused)
{
    (void)tile;
    (void)unused;
    rt_conv_geometry g = geometry_of(x->plan, c->node);
    rt_conv_flip(&g, x->plan->buffer + c->at[0], rt_param(x, c->node, 0));
}

static void run_forward(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    rt_conv_geometry g = geometry_of(x->plan, c->node);
    const float *bias = rt_param(x, c->node, 1);
    float *y = rt_at(x, c->value[1], row0), *to = y;
    for (size_t p = (size_t)rows * (size_t)g.h * (size_t)g.w; bias && p > 0; p--, to += g.c)
        memcpy(to, bias, (size_t)g.c * sizeof *to);
    rt_conv_dx(x->plan->k, &g, y, rt_at(x, c->value[0], row0), x->plan->buffer + c->at[0], rows, bias != NULL,
               x->scratch);
}

static void forward(rt_plan *p, const rt_node *n)
{
    rt_conv_geometry g = geometry_of(p, n);
    size_t weights = p->graph->field[n->field[0]].count;
    int in = rt_plan_read(p, n->in[0]), out = rt_plan_write(p, n->out);
    ptrdiff_t at = rt_plan_buffer(p, weights);
    rt_plan_pack(p, "pack", n, 1, pack)->at[0] = at;
    rt_plan_need_scratch(p, rt_conv_scratch(&g));
    rt_call *c = rt_plan_rows(p, "conv transpose", n, run_forward);
    c->value[0] = in;
    c->value[1] = out;
    c->at[0] = at;
    c->weights = WEIGHTS_COST * (double)weights;
}

/* value: 0 x, 1 dy, 2 dx or -1 */
static void run_backward(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    rt_conv_geometry g = geometry_of(x->plan, c->node);
    const float *in = rt_at(x, c->value[0], row0), *dy = rt_at(x, c->value[1], row0);
    const rt_kernels *k = x->plan->k;
    if (rt_plan_trains(x->plan, c->node, 1))
        k->channel_sum(rt_slot_grad(x, c->node, 1, row0), dy, (size_t)rows * (size_t)g.h * (size_t)g.w, g.c);
    if (rt_plan_trains(x->plan, c->node, 0))
        rt_conv_dw_part(k, &g, rt_slot_grad(x, c->node, 0, row0), dy, in, rows, (rt_conv_part){0, g.kh, 0, g.ng},
                        x->scratch);
    if (c->value[2] >= 0)
        rt_conv_forward(k, &g, rt_at(x, c->value[2], row0), dy, rt_param(x, c->node, 0), NULL, RT_ACT_NONE, c->flag,
                        rows, x->scratch);
}

static void backward(rt_plan *p, const rt_node *n)
{
    rt_conv_geometry g = geometry_of(p, n);
    int accumulate = 0, dy = rt_plan_grad_read(p, n->out), in = rt_plan_read(p, n->in[0]), dx = -1,
        weight = rt_plan_trains(p, n, 0);
    if (rt_plan_needs_grad(p, n->in[0])) dx = rt_plan_grad_write(p, n->in[0], &accumulate);
    rt_plan_need_scratch(p, rt_conv_scratch(&g));
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
           (a->out / a->groups);
}

static const rt_attr_spec spec[] = {
    {"out", RT_A_INT, offsetof(rt_conv_transpose_attr, out), 1, 1 << 16, 0, 1, "output channels"},
    RT_WINDOW_SPEC(rt_conv_transpose_attr, 1, ""),
    {"output_padding", RT_A_PAIR, offsetof(rt_conv_transpose_attr, output_padding), 0, 1024, 0, 0,
     "pixels more behind, or [h, w]"},
    {"groups", RT_A_INT, offsetof(rt_conv_transpose_attr, groups), 1, 1 << 16, 1, 0, "equal groups of channels"},
    {"bias", RT_A_BOOL, offsetof(rt_conv_transpose_attr, bias), 0, 1, 1, 0, "add a bias"}};
static const rt_schema schema = {spec, sizeof spec / sizeof *spec, sizeof(rt_conv_transpose_attr)};
_Static_assert(sizeof(rt_conv_transpose_attr) <= RT_ATTR_BYTES, "room for attributes");

#define OP(NAME, HELP) {.name = NAME, .help = HELP, .min_inputs = 1, .max_inputs = 1, .schema = &schema, \
                        .settle = settle, .infer = infer, .forward = forward, .backward = backward, .macs = macs}
const rt_op rt_op_conv_transpose2d = OP("conv_transpose2d", "transposed convolution of (H, W, C)");
const rt_op rt_op_conv_transpose1d = OP("conv_transpose1d", "transposed convolution of (T, C)");
