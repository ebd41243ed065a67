/* engine/ops_conv.c - convolution, 2-D and 1-D, grouped and depthwise.
 *
 *   y[b][oy][ox][n] = act(bias[n] + sum_{ky, kx, c} x[b][oy sy + ky - pt][ox sx + kx - pl][c] w[ky][kx][c][n])
 * w is (KH, KW, C / groups, N). Depthwise (groups = C = N) has w as (KH, KW, 1, C).
 *
 * With dilation taps lie dy and dx apart: ky dy, kx dx. Direct, see conv_direct.h; 3x3 kernels of stride 1 with
 * channels enough go by winograd.h instead. */
#include <string.h>

#include "engine/conv_direct.h"
#include "engine/ops.h"
#include "engine/window.h"
#include "engine/winograd.h"

enum { WINOGRAD_DW_MOST = 1 << 16 };     /* C N up to which every slot may hold 36 planes of sums: 9 MiB */

typedef rt_conv_geometry geometry;

static geometry geometry_of(const rt_plan *p, const rt_node *n)
{
    const rt_conv_attr *a = RT_ATTR(n, rt_conv_attr);
    geometry g = rt_conv_geometry_of(&a->window, a->groups, rt_shape_of(p, n->in[0]), rt_shape_of(p, n->out));
    if (g.kh == 3 && g.kw == 3 && g.sh == 1 && g.sw == 1 && g.groups == 1 && !g.depthwise && !rt_conv_dilated(&g)) {
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

static void run_forward(const rt_call *c, rt_ctx *ctx, int row0, int rows)
{
    geometry g = geometry_of(ctx->plan, c->node);
    const rt_kernels *k = ctx->plan->k;
    const float *x = rt_at(ctx, c->value[0], row0), *w = rt_param(ctx, c->node, 0), *bias = rt_param(ctx, c->node, 1);
    float *y = rt_at(ctx, c->value[1], row0);
    rt_act act = RT_ATTR(c->node, rt_epilogue)->act;
    if (g.winograd)
        rt_wino_forward(k, &g.shape, y, x, c->at[0] < 0 ? NULL : ctx->plan->buffer + c->at[0], w, bias, act, 0, rows,
                        ctx->scratch);
    else rt_conv_forward(k, &g, y, x, w, bias, act, 0, rows, ctx->scratch);
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
    int planes = g.winograd && !rt_wino_is_few(&g.shape, p->spec.batch);
    ptrdiff_t packed = planes ? rt_plan_buffer(p, RT_WINO_PLANES * (size_t)g.c * (size_t)g.n) : -1;
    rt_plan_need_scratch(p, g.winograd ? rt_wino_scratch(&g.shape) : rt_conv_scratch(&g));
    rt_call *c = rt_plan_rows(p, g.depthwise ? "depthwise" : g.winograd ? "conv winograd" : "conv", n, run_forward);
    c->value[0] = in;
    c->value[1] = out;
    c->at[0] = packed;
    c->weights = weights_read(&g, g.winograd);
    if (planes) rt_plan_pack(p, "pack", n, 1, pack_winograd)->at[0] = packed;
}

static void pack_flipped(const rt_call *c, rt_ctx *x, int tile, int unused)
{
    (void)unused;
    (void)tile;
    geometry g = geometry_of(x->plan, c->node);
    const float *w = rt_param(x, c->node, 0);
    float *t = x->plan->buffer + c->at[0];
    if (g.winograd_dx) rt_wino_weights_flipped(x->plan->k, t, w, g.c, g.n, x->scratch);
    else rt_conv_flip(&g, t, w);
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

static void run_dx(const geometry *g, rt_ctx *ctx, float *dx, const float *dy, const float *flipped, int rows,
                   int accumulate)
{
    const rt_kernels *k = ctx->plan->k;
    if (g->winograd_dx)
        rt_wino_forward(k, &g->shape_dx, dx, dy, flipped, NULL, NULL, RT_ACT_NONE, accumulate, rows, ctx->scratch);
    else rt_conv_dx(k, g, dx, dy, flipped, rows, accumulate, ctx->scratch);
}

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
        rt_conv_dw_part(ctx->plan->k, &g, rt_slot_grad(ctx, c->node, 0, row0), x, dy, rows,
                        (rt_conv_part){0, g.kh, 0, g.ng}, ctx->scratch);
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
    rt_conv_part part = {tile / across, 1, n0, g.ng - n0 < PART ? g.ng - n0 : PART};
    float *dw = rt_grad(x, c->node, 0);
    for (int i = part.ky * g.kw * g.cg; i < (part.ky + 1) * g.kw * g.cg; i++)
        for (int q = 0; q < g.groups; q++)
            memset(dw + (ptrdiff_t)i * g.n + q * g.ng + n0, 0, (size_t)part.n * sizeof *dw);
    rt_conv_dw_part(x->plan->k, &g, dw, rt_at(x, c->value[0], 0), rt_at(x, c->value[1], 0), x->run->rows, part,
                    x->scratch);
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
    if (!planes || !g.winograd_dx) rt_plan_need_scratch(p, rt_conv_scratch(&g));
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
static const rt_schema conv_schema = {conv_spec, sizeof conv_spec / sizeof *conv_spec, sizeof(rt_conv_attr)};
_Static_assert(sizeof(rt_conv_attr) <= RT_ATTR_BYTES, "the largest attributes");

#define CONV(NAME, HELP) {.name = NAME, .help = HELP, .min_inputs = 1, .max_inputs = 1, .schema = &conv_schema, \
                          .settle = settle, .infer = infer, .forward = forward, .backward = backward, .macs = macs}
const rt_op rt_op_conv2d = CONV("conv2d", "convolution of (H, W, C)");
const rt_op rt_op_conv1d = CONV("conv1d", "convolution of (T, C)");
