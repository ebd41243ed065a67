/* engine/cuda/cuda_dense.c - products: the choice between cuBLASLt and our own, and the operator dense. */
#include <stdio.h>

#include "engine/cuda/cuda_plan.h"
#include "engine/cuda/cuda_product.h"
#include "engine/cuda/cuda_stamps.h"

enum {
    SMALL = 1 << 16,               /* n k below which a product of ours is as good as the library's: it is one launch */
    LONG = 2048, PART = 512        /* k from which few tiles are cut into parts; and k of a part, at least */
};

static const int acts[RT_ACT_COUNT] = {[RT_ACT_RELU] = 1, [RT_ACT_RELU6] = 2};

/* Parts of k: by shape alone, and only in training, where m and n are of weights. */
static int parts_of(const rt_cuda_emit *e, const rt_cuda_product *p)
{
    size_t tiles = (((size_t)p->m + 63) / 64) * (((size_t)p->n + 63) / 64), room;
    if (!e->train || !p->trans_a || p->count > 1 || p->k < LONG || tiles >= 64) return 1;
    rt_cuda_partials(e, &room);
    size_t parts = 128 / tiles, most = (size_t)p->k / PART, fits = room / ((size_t)p->m * (size_t)p->n);
    if (parts > most) parts = most;
    if (parts > fits) parts = fits;
    return parts > 1 ? (int)parts : 1;
}

static void multiply_ours(rt_cuda_emit *e, const rt_cuda_product *p, int parts)
{
    rt_k_product_spec s = {.c = p->c, .a = p->a, .b = p->b, .bias = p->bias, .m = p->m, .n = p->n, .k = p->k,
                           .ldc = p->ldc, .lda = p->lda, .ldb = p->ldb, .trans_a = p->trans_a, .trans_b = p->trans_b,
                           .count = p->count > 1 ? p->count : 1, .c_next = p->c_next, .a_next = p->a_next,
                           .b_next = p->b_next, .alpha = p->alpha != 0 ? p->alpha : 1, .add = p->add,
                           .act = acts[p->act], .round = e->precision, .parts = parts};
    s.k_part = parts > 1 ? ((p->k + parts - 1) / parts + 15) / 16 * 16 : p->k;
    s.parts = parts > 1 ? (p->k + s.k_part - 1) / s.k_part : 1;
    if (s.parts > 1) s.partial = rt_cuda_partials(e, NULL);
    rt_k_product(e->stream, &s);
    if (s.parts > 1) rt_k_product_parts(e->stream, &s);
}

rt_status rt_cuda_multiply(rt_cuda_emit *e, const rt_cuda_product *p)
{
    int taken, finished, parts = parts_of(e, p);
    RT_ASSERT(!p->add || p->act == RT_ACT_NONE);
    if (p->m < 1 || p->n < 1) return RT_OK;
    if (parts == 1 && (size_t)p->n * (size_t)p->k >= SMALL) {
        size_t bytes;
        void *workspace = rt_cuda_workspace(e, &bytes);
        RT_TRY(
            rt_cuda_blas_multiply(rt_cuda_blas_of(e), e->stream, p, e->precision, workspace, bytes, &taken, &finished));
        if (taken) rt_cuda_stamps_launched("cublasLtMatmul", e->stream);
        if (taken && !finished && (p->bias || p->act != RT_ACT_NONE))
            rt_k_product_end(e->stream, p->c, p->bias, acts[p->act], p->m, p->n, p->ldc, p->count > 1 ? p->count : 1,
                             p->c_next);
        if (taken) return RT_OK;
    }
    multiply_ours(e, p, parts);
    return RT_OK;
}

/* ---- dense: y (M, N) = act(x (M, K) w (K, N) + bias) ---- */

static void sizes(const rt_cuda_emit *e, const rt_node *n, int *m, int *k, int *o)
{
    const rt_shape *in = &e->graph->tensor[n->in[0]].shape;
    *k = in->dim[in->rank - 1];
    *m = (int)(rt_shape_count(in) / (size_t)*k) * e->rows;
    *o = RT_ATTR(n, rt_dense_attr)->out;
}

static rt_status forward(rt_cuda_emit *e, const rt_node *n)
{
    int m, k, o;
    sizes(e, n, &m, &k, &o);
    rt_cuda_product p = {.c = rt_cuda_value(e, n->out), .a = rt_cuda_value(e, n->in[0]), .b = rt_cuda_field(e, n, 0),
                         .m = m, .n = o, .k = k, .ldc = o, .lda = k, .ldb = o, .bias = rt_cuda_field(e, n, 1),
                         .act = RT_ATTR(n, rt_epilogue)->act};
    RT_TRY(rt_cuda_multiply(e, &p));
    return rt_cuda_launched(e, n);
}

static rt_status backward(rt_cuda_emit *e, const rt_node *n)
{
    int m, k, o, add;
    sizes(e, n, &m, &k, &o);
    const rt_epilogue *end = RT_ATTR(n, rt_epilogue);
    float *dy = rt_cuda_grad(e, n), *to;
    if (end->act)
        RT_TRY(rt_cuda_act_back(e, dy, rt_cuda_value(e, n->out), end->act, end->slope, (size_t)m * (size_t)o));
    if ((to = rt_cuda_field_grad(e, n, 0, &add)))
        RT_TRY(rt_cuda_multiply(e, &(rt_cuda_product){.c = to, .a = rt_cuda_value(e, n->in[0]), .b = dy, .m = k, .n = o,
                                                      .k = m, .ldc = o, .lda = k, .ldb = o, .trans_a = 1, .add = add}));
    if ((to = rt_cuda_field_grad(e, n, 1, &add))) RT_TRY(rt_cuda_column_sums(e, n, to, dy, (size_t)m, o, add));
    if ((to = rt_cuda_grad_into(e, n, 0, &add)))
        RT_TRY(rt_cuda_multiply(e, &(rt_cuda_product){.c = to, .a = dy, .b = rt_cuda_field(e, n, 0), .m = m, .n = k,
                                                      .k = o, .ldc = k, .lda = o, .ldb = o, .trans_b = 1, .add = add}));
    return rt_cuda_launched(e, n);
}

const rt_cuda_op rt_cuda_dense = {.forward = forward, .backward = backward};
