/* engine/ops_dense.c - dense: y[b][n] = act(bias[n] + sum_k x[b][k] w[k][n]); w is (K, N). */
#include <string.h>

#include "engine/ops.h"
#include "engine/panels.h"

enum {
    K_BLOCK = 128,                 /* rows of w that stay in L1 while a chunk's rows pass */
    FLIP_BLOCK = 48,               /* rows of w that a tile transposes */
    UNIT_BLOCK = 32,               /* rows of dw that a tile computes on matrix units */
    UNIT_LEAST = 32, UNIT_FROM = 4096   /* K, N and K N from which matrix units pay */
};

static rt_status infer(rt_graph *g, rt_node *n, rt_shape *out)
{
    const rt_shape *in = &g->tensor[n->in[0]].shape;
    const rt_dense_attr *a = RT_ATTR(n, rt_dense_attr);
    int k = in->dim[in->rank - 1], o = a->out;
    *out = *in;
    out->dim[out->rank - 1] = o;
    RT_TRY(rt_graph_param(g, n, "weight", (rt_shape){2, {k, o}}, RT_INIT_HE, k, o, 1));
    if (a->bias) RT_TRY(rt_graph_param(g, n, "bias", (rt_shape){1, {o}}, RT_INIT_ZERO, k, o, 0));
    return RT_OK;
}

/* Rows of the product for a row of the batch (1, or T for sequences), K and N. */
static void sizes(const rt_plan *p, const rt_node *n, int *m, int *k, int *o)
{
    const rt_shape *in = rt_shape_of(p, n->in[0]);
    *k = in->dim[in->rank - 1];
    *m = (int)(rt_shape_count(in) / (size_t)*k);
    *o = RT_ATTR(n, rt_dense_attr)->out;
}

/* Training's products go by the family's matrix units, where it has some. Inference does not: a row alone would leave
 * them idle, and its result may not depend on the batch it comes in. */
static int on_units(const rt_plan *p, int k, int o)
{
    return p->spec.train && p->k->product && k >= UNIT_LEAST && o >= UNIT_LEAST && (size_t)k * (size_t)o >= UNIT_FROM;
}

/* Large products are cut into tiles of columns rather than run over a slot's rows, so that weights are packed once for
 * many rows, and a small batch has work for many threads. The terms of a sum come in the order in which conv_line adds
 * them: which way a product goes is a matter of speed alone. */
static int by_panels(const rt_plan *p, int k, int o)
{ return !on_units(p, k, o) && (size_t)k * (size_t)o >= (size_t)p->k->panels_from; }

/* y (rows, o) (+)= x (rows, k) w (k, o) + bias */
static void product(const rt_kernels *kn, int units, float *y, const float *x, const float *w, const float *bias,
                    int rows, int k, int o, int accumulate, rt_act act)
{
    if (units) {
        kn->product(&(rt_conv_line){.y = y,
                                    .y_px = o,
                                    .x = x,
                                    .x_px = k,
                                    .w = w,
                                    .w_ld = o,
                                    .bias = bias,
                                    .px = rows,
                                    .kh = 1,
                                    .klen = k,
                                    .n = o,
                                    .accumulate = accumulate,
                                    .act = act});
        return;
    }
    for (int k0 = 0; k0 < k; k0 += K_BLOCK) {
        int last = k0 + K_BLOCK >= k;
        rt_conv_line a = {.y = y,
                          .y_px = o,
                          .x = x + k0,
                          .x_px = k,
                          .w = w + (size_t)k0 * (size_t)o,
                          .w_ld = o,
                          .bias = bias,
                          .px = rows,
                          .kh = 1,
                          .klen = last ? k - k0 : K_BLOCK,
                          .n = o,
                          .accumulate = accumulate || k0,
                          .act = last ? act : RT_ACT_NONE};
        kn->conv_line(&a);
    }
}

static void run_forward(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    int m, k, o;
    sizes(x->plan, c->node, &m, &k, &o);
    const float *w = rt_param(x, c->node, 0), *b = rt_param(x, c->node, 1);
    product(x->plan->k, on_units(x->plan, k, o), rt_at(x, c->value[1], row0), rt_at(x, c->value[0], row0), w, b,
            rows * (m / x->px), k, o, 0, RT_ATTR(c->node, rt_epilogue)->act);
}

/* Tiles of a product of panels: blocks of rows by groups of columns. */
static int panel_tiles(const rt_plan *p, int m, int n)
{ return (p->spec.batch * m + RT_PANEL_TILE_ROWS - 1) / RT_PANEL_TILE_ROWS * rt_panels_groups(n); }

static void run_panel_tile(rt_ctx *x, rt_panels_product *a, int tile, int rows)
{
    int row0 = tile / rt_panels_groups(a->n) * RT_PANEL_TILE_ROWS;
    if (row0 >= rows) return;
    a->rows = rows - row0 < RT_PANEL_TILE_ROWS ? rows - row0 : RT_PANEL_TILE_ROWS;
    a->x += (ptrdiff_t)row0 * a->k;
    a->y += (ptrdiff_t)row0 * a->n;
    a->x_ld = a->k;
    a->y_ld = a->n;
    rt_panels_run(x->plan->k, a, tile % rt_panels_groups(a->n), x->scratch);
}

static void run_forward_panels(const rt_call *c, rt_ctx *x, int tile, int unused)
{
    (void)unused;
    int m, k, o;
    sizes(x->plan, c->node, &m, &k, &o);
    rt_panels_product a = {.y = rt_at(x, c->value[1], 0), .x = rt_at(x, c->value[0], 0), .k = k, .n = o,
                           .w = rt_param(x, c->node, 0), .w_ld = o, .bias = rt_param(x, c->node, 1),
                           .act = RT_ATTR(c->node, rt_epilogue)->act, .alone = !x->plan->spec.train};
    if (!x->plan->spec.train) a.packed = x->plan->buffer + c->at[0];
    run_panel_tile(x, &a, tile, x->run->rows * m);
}

static void run_pack_panels(const rt_call *c, rt_ctx *x, int group, int unused)
{
    (void)unused;
    int m, k, o;
    sizes(x->plan, c->node, &m, &k, &o);
    rt_panels_product a = {.k = k, .n = o, .w = rt_param(x, c->node, 0), .w_ld = o};
    rt_panels_pack(x->plan->k, x->plan->buffer + c->at[0], &a, group);
}

/* Weights that stay are packed once; those of a training step where they are used, while they are in the cache. */
static void forward(rt_plan *p, const rt_node *n)
{
    int m, k, o, in = rt_plan_read(p, n->in[0]), out = rt_plan_write(p, n->out);
    sizes(p, n, &m, &k, &o);
    int panels = by_panels(p, k, o);
    ptrdiff_t at = -1;
    if (panels && !p->spec.train) {
        rt_call *t = rt_plan_pack(p, "pack", n, rt_panels_groups(o), run_pack_panels);
        t->at[0] = at = rt_plan_buffer(p, rt_panels_floats(k, o));
    }
    if (panels) rt_plan_need_scratch(p, rt_panels_scratch());
    rt_call *c = panels ? rt_plan_tiles(p, "dense", n, panel_tiles(p, m, o), run_forward_panels)
                        : rt_plan_rows(p, "dense", n, run_forward);
    c->value[0] = in;
    c->value[1] = out;
    c->at[0] = at;
}

static void pack_transposed(const rt_call *c, rt_ctx *x, int tile, int unused)
{
    (void)unused;
    int m, k, o;
    sizes(x->plan, c->node, &m, &k, &o);
    const float *w = rt_param(x, c->node, 0);
    float *t = x->plan->buffer + c->at[0];
    int last = (tile + 1) * FLIP_BLOCK < k ? (tile + 1) * FLIP_BLOCK : k;
    for (int j = 0; j < o; j++)
        for (int i = tile * FLIP_BLOCK; i < last; i++)
            t[(size_t)j * (size_t)k + (size_t)i] = w[(size_t)i * (size_t)o + (size_t)j];
}

static void run_dx(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    int m, k, o;
    sizes(x->plan, c->node, &m, &k, &o);
    product(x->plan->k, on_units(x->plan, k, o), rt_at(x, c->value[1], row0), rt_at(x, c->value[0], row0),
            x->plan->buffer + c->at[0], NULL, rows * (m / x->px), o, k, c->flag, RT_ACT_NONE);
}

static void run_dx_panels(const rt_call *c, rt_ctx *x, int tile, int unused)
{
    (void)unused;
    int m, k, o;
    sizes(x->plan, c->node, &m, &k, &o);
    rt_panels_product a = {.y = rt_at(x, c->value[1], 0), .x = rt_at(x, c->value[0], 0), .k = o, .n = k,
                           .w = rt_param(x, c->node, 0), .w_ld = o, .transposed = 1, .accumulate = c->flag};
    run_panel_tile(x, &a, tile, x->run->rows * m);
}

static void bias_gradient(const rt_call *c, const rt_ctx *x, const float *dy, int rows, int o)
{
    if (!rt_plan_trains(x->plan, c->node, 1)) return;
    float *db = rt_grad(x, c->node, 1);
    memset(db, 0, (size_t)o * sizeof *db);
    x->plan->k->channel_sum(db, dy, (size_t)rows, o);
}

static void run_dw_units(const rt_call *c, rt_ctx *x, int tile, int unused)
{
    (void)unused;
    int m, k, o;
    sizes(x->plan, c->node, &m, &k, &o);
    int rows = x->run->rows * m, k0 = tile * UNIT_BLOCK;
    const float *dy = rt_at(x, c->value[1], 0);
    rt_conv_dw a = {.dw = rt_grad(x, c->node, 0) + (size_t)k0 * (size_t)o,
                    .dw_ld = o,
                    .x = (const float *)rt_at(x, c->value[0], 0) + k0,
                    .x_px = k,
                    .dy = dy,
                    .dy_px = o,
                    .lines = 1,
                    .px = rows,
                    .kh = 1,
                    .klen = k - k0 < UNIT_BLOCK ? k - k0 : UNIT_BLOCK,
                    .n = o,
                    .overwrite = 1};
    x->plan->k->product_dw(&a, rt_at(x, c->value[2], 0));
    if (tile == 0) bias_gradient(c, x, dy, rows, o);
}

static void run_dw(const rt_call *c, rt_ctx *x, int tile, int unused)
{
    (void)unused;
    int m, k, o;
    sizes(x->plan, c->node, &m, &k, &o);
    const float *dy = rt_at(x, c->value[1], 0);
    if (rt_plan_trains(x->plan, c->node, 0))
        rt_panels_dw(x->plan->k, rt_grad(x, c->node, 0), rt_at(x, c->value[0], 0), dy, x->run->rows * m, k, o, tile,
                     x->scratch);
    if (tile == 0) bias_gradient(c, x, dy, x->run->rows * m, o);
}

static void run_pack_dy(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    int m, k, o;
    sizes(x->plan, c->node, &m, &k, &o);
    int per = m / x->px;
    x->plan->k->product_pack(rt_at(x, c->value[1], 0), rt_at(x, c->value[0], 0), o, row0 * per, (row0 + rows) * per,
                             x->run->rows * m, o);
}

static int packed_dy(rt_plan *p, const rt_node *n, int dy, int m, int o)
{
    int all = (p->spec.batch * m + RT_PACK_ROWS - 1) / RT_PACK_ROWS * RT_PACK_ROWS, px;
    size_t bytes = p->k->product_bytes(all, o), batch = (size_t)p->spec.batch;
    int packed = rt_plan_temp(p, (bytes / 4 + batch - 1) / batch * 4);
    rt_call *c = rt_plan_rows(p, "pack dy", n, run_pack_dy);
    c->value[0] = dy;
    c->value[1] = packed;
    c->grain = RT_PACK_ROWS;
    for (px = m / rt_plan_positions(p); px % 2 == 0 && c->grain > 1; px /= 2) c->grain /= 2;
    return packed;
}

/* The weight's gradient needs the whole batch. */
static void backward_dw(rt_plan *p, const rt_node *n, int in, int dy)
{
    int m, k, o, weight = rt_plan_trains(p, n, 0);
    sizes(p, n, &m, &k, &o);
    int units = weight && on_units(p, k, o), packed = units ? packed_dy(p, n, dy, m, o) : -1;
    int tiles = units ? (k + UNIT_BLOCK - 1) / UNIT_BLOCK : weight ? rt_panels_dw_tiles(p->k, k, o) : 1;
    if (weight && !units) rt_plan_need_scratch(p, rt_panels_scratch());
    rt_call *late = rt_plan_late_tiles(p, "dense dW", n, tiles, units ? run_dw_units : run_dw);
    late->value[0] = in;
    late->value[1] = dy;
    late->value[2] = packed;
}

static void backward(rt_plan *p, const rt_node *n)
{
    int m, k, o, accumulate;
    sizes(p, n, &m, &k, &o);
    int weight = rt_plan_trains(p, n, 0), dy = rt_act_back_in_place(p, n), in = weight ? rt_plan_read(p, n->in[0]) : dy;
    if (weight || rt_plan_trains(p, n, 1)) backward_dw(p, n, in, dy);
    if (!rt_plan_needs_grad(p, n->in[0])) return;
    ptrdiff_t at = -1;
    int panels = by_panels(p, k, o), dx = rt_plan_grad_write(p, n->in[0], &accumulate);
    if (panels) rt_plan_need_scratch(p, rt_panels_scratch());
    else {
        rt_call *t = rt_plan_pack(p, "pack", n, (k + FLIP_BLOCK - 1) / FLIP_BLOCK, pack_transposed);
        at = t->at[0] = rt_plan_buffer(p, (size_t)k * (size_t)o);
    }
    rt_call *c = panels ? rt_plan_tiles(p, "dense dX", n, panel_tiles(p, m, k), run_dx_panels)
                        : rt_plan_rows(p, "dense dX", n, run_dx);
    c->value[0] = dy;
    c->value[1] = dx;
    c->at[0] = at;
    c->flag = accumulate;
}

static double macs(const rt_graph *g, const rt_node *n)
{ return (double)rt_shape_count(&g->tensor[n->in[0]].shape) * RT_ATTR(n, rt_dense_attr)->out; }

static const rt_attr_spec dense_spec[] = {
    {"out", RT_A_INT, offsetof(rt_dense_attr, out), 1, 1 << 20, 0, 1, "output features"},
    {"bias", RT_A_BOOL, offsetof(rt_dense_attr, bias), 0, 1, 1, 0, "add a bias"}};
static const rt_schema dense_schema = {dense_spec, 2, sizeof(rt_dense_attr)};

const rt_op rt_op_dense = {.name = "dense",
                           .help = "x w + bias over the last dimension",
                           .min_inputs = 1,
                           .max_inputs = 1,
                           .schema = &dense_schema,
                           .positions = 1,
                           .infer = infer,
                           .forward = forward,
                           .backward = backward,
                           .macs = macs};
