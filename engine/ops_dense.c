/* engine/ops_dense.c - dense: y[b][n] = act(bias[n] + sum_k x[b][k] w[k][n]); w is (K, N). */
#include <cblas.h>
#include <string.h>

#include "engine/ops.h"

enum {
    K_BLOCK = 128,                 /* rows of w that stay in L1 while a chunk's rows pass */
    DW_BLOCK = 48,                 /* rows of dw a tile computes */
    BLAS_FROM = 1 << 20            /* K N from which OpenBLAS, with its packing for large matrices, is taken */
};

static rt_status infer(rt_graph *g, rt_node *n, rt_shape *out)
{
    const rt_shape *in = &g->tensor[n->in[0]].shape;
    int k = in->dim[in->rank - 1], o = n->attr.out;
    if (o < 1) return rt_fail(RT_USAGE, "'out' must be at least 1");
    *out = *in;
    out->dim[out->rank - 1] = o;
    RT_TRY(rt_graph_param(g, n, "weight", (rt_shape){2, {k, o}}, RT_INIT_HE, k, o, 1));
    if (n->attr.bias) RT_TRY(rt_graph_param(g, n, "bias", (rt_shape){1, {o}}, RT_INIT_ZERO, k, o, 0));
    return RT_OK;
}

/* Rows of the product for a row of the batch (1, or T for sequences), K and N. */
static void sizes(const rt_plan *p, const rt_node *n, int *m, int *k, int *o)
{
    const rt_shape *in = rt_shape_of(p, n->in[0]);
    *k = in->dim[in->rank - 1];
    *m = (int)(rt_shape_count(in) / (size_t)*k);
    *o = n->attr.out;
}

/* y (rows, o) (+)= x (rows, k) w (k, o) + bias */
static void product(const rt_kernels *kn, float *y, const float *x, const float *w, const float *bias, int rows, int k,
                    int o, int accumulate, rt_act act)
{
    if ((size_t)k * (size_t)o >= BLAS_FROM && rows > 1) {
        if (bias) for (int r = 0; r < rows; r++) memcpy(y + (size_t)r * (size_t)o, bias, (size_t)o * sizeof *y);
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, rows, o, k, 1.0f, x, k, w, o, bias || accumulate ? 1.0f : 0.0f, y, o);
        if (act) kn->affine_act(y, y, NULL, NULL, (size_t)rows, o, act, 0);
        return;
    }
    for (int k0 = 0; k0 < k; k0 += K_BLOCK) {
        int last = k0 + K_BLOCK >= k;
        rt_conv_line a = {.y = y, .y_px = o, .x = x + k0, .x_px = k, .w = w + (size_t)k0 * (size_t)o, .w_ld = o, .bias = bias, .px = rows,
                          .kh = 1, .klen = last ? k - k0 : K_BLOCK, .n = o, .accumulate = accumulate || k0, .act = last ? act : RT_ACT_NONE};
        kn->conv_line(&a);
    }
}

static void run_forward(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    int m, k, o;
    sizes(x->plan, c->node, &m, &k, &o);
    const float *w = rt_param(x, c->node, 0), *b = rt_param(x, c->node, 1);
    if (c->at[0] >= 0) w = x->plan->buffer + c->at[0];
    if (c->at[1] >= 0) b = x->plan->buffer + c->at[1];
    product(x->plan->k, rt_at(x, c->value[1], row0), rt_at(x, c->value[0], row0), w, b, rows * m, k, o, 0, c->node->attr.act);
}

static void forward(rt_plan *p, const rt_node *n)
{
    int in = rt_plan_read(p, n->in[0]), out = rt_plan_write(p, n->out), m, k, o;
    sizes(p, n, &m, &k, &o);
    rt_call *c = rt_plan_rows(p, "dense", n, run_forward);
    c->value[0] = in;
    c->value[1] = out;
    c->at[0] = c->at[1] = -1;
    rt_fold_batch_norm(p, n, c, (size_t)k);
}

static void pack_transposed(const rt_call *c, rt_ctx *x, int tile, int unused)
{
    (void)unused;
    int m, k, o;
    sizes(x->plan, c->node, &m, &k, &o);
    const float *w = rt_param(x, c->node, 0);
    float *t = x->plan->buffer + c->at[0];
    int last = (tile + 1) * DW_BLOCK < k ? (tile + 1) * DW_BLOCK : k;
    for (int j = 0; j < o; j++)
        for (int i = tile * DW_BLOCK; i < last; i++) t[(size_t)j * (size_t)k + (size_t)i] = w[(size_t)i * (size_t)o + (size_t)j];
}

static void run_dx(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    int m, k, o;
    sizes(x->plan, c->node, &m, &k, &o);
    product(x->plan->k, rt_at(x, c->value[1], row0), rt_at(x, c->value[0], row0), x->plan->buffer + c->at[0], NULL, rows * m, o, k,
            c->flag, RT_ACT_NONE);
}

static void run_dw(const rt_call *c, rt_ctx *x, int tile, int unused)
{
    (void)unused;
    int m, k, o;
    sizes(x->plan, c->node, &m, &k, &o);
    int rows = x->run->rows * m, k0 = tile * DW_BLOCK, kb = k - k0 < DW_BLOCK ? k - k0 : DW_BLOCK;
    const float *in = rt_at(x, c->value[0], 0), *dy = rt_at(x, c->value[1], 0);
    float *dw = rt_grad(x, c->node, 0) + (size_t)k0 * (size_t)o;
    /* Rows pass in blocks that stay in L1 for all of the tile. */
    for (int r = 0; r < rows; r += 128) {
        rt_conv_dw a = {.dw = dw, .dw_ld = o, .x = in + (size_t)r * (size_t)k + k0, .x_px = k, .dy = dy + (size_t)r * (size_t)o, .dy_px = o,
                        .lines = 1, .px = rows - r < 128 ? rows - r : 128, .kh = 1, .klen = kb, .n = o, .overwrite = r == 0};
        x->plan->k->conv_dw(&a);
    }
    if (tile == 0 && c->node->params > 1) {
        float *db = rt_grad(x, c->node, 1);
        memset(db, 0, (size_t)o * sizeof *db);
        x->plan->k->channel_sum(db, dy, (size_t)rows, o);
    }
}

static void backward(rt_plan *p, const rt_node *n)
{
    int m, k, o, accumulate;
    sizes(p, n, &m, &k, &o);
    int dy = rt_act_back_in_place(p, n), in = rt_plan_read(p, n->in[0]);
    rt_call *late = rt_plan_late_tiles(p, "dense dW", n, (k + DW_BLOCK - 1) / DW_BLOCK, run_dw);
    late->value[0] = in;
    late->value[1] = dy;
    if (!rt_plan_needs_grad(p, n->in[0])) return;
    rt_call *t = rt_plan_pack(p, "pack", n, (k + DW_BLOCK - 1) / DW_BLOCK, pack_transposed);
    ptrdiff_t at = t->at[0] = rt_plan_buffer(p, (size_t)k * (size_t)o);
    int dx = rt_plan_grad_write(p, n->in[0], &accumulate);
    rt_call *c = rt_plan_rows(p, "dense dX", n, run_dx);
    c->value[0] = dy;
    c->value[1] = dx;
    c->at[0] = at;
    c->flag = accumulate;
}

static double macs(const rt_graph *g, const rt_node *n) { return (double)rt_shape_count(&g->tensor[n->in[0]].shape) * n->attr.out; }

const rt_op rt_op_dense = {"dense", 1, 1, infer, forward, backward, macs, 0, NULL};
