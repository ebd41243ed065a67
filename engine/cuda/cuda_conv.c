/* engine/cuda/cuda_conv.c - convolutions and transposed ones on a card; see engine/ops_conv.c, conv_launch.h. Large
 * ones of one pixel are products of matrices, but for the gradient of their weights, a sum over all pixels that is cut
 * into parts. */
#include "engine/cuda/conv_launch.h"
#include "engine/cuda/cuda_ops.h"
#include "engine/cuda/cuda_size.h"

typedef rt_conv_shape shape;

static shape shape_of(const rt_window *w, int groups, const rt_shape *image, const rt_shape *out, int rows)
{
    shape s = {.rows = rows,
               .kh = w->kernel[0],
               .kw = w->kernel[1],
               .sh = w->stride[0],
               .sw = w->stride[1],
               .dh = w->dilation[0],
               .dw = w->dilation[1],
               .pt = w->pad.side[0],
               .pl = w->pad.side[2],
               .groups = groups};
    rt_shape_hwc(image, &s.h, &s.w, &s.c);
    rt_shape_hwc(out, &s.oh, &s.ow, &s.n);
    s.cg = s.c / groups;
    s.ng = s.n / groups;
    return s;
}

static shape conv_of(const rt_graph *g, const rt_node *n, int rows)
{
    const rt_conv_attr *a = RT_ATTR(n, rt_conv_attr);
    return shape_of(&a->window, a->groups, &g->tensor[n->in[0]].shape, &g->tensor[n->out].shape, rows);
}

/* The convolution whose transpose it is: its image is the output here. */
static shape transpose_of(const rt_graph *g, const rt_node *n, int rows)
{
    const rt_conv_transpose_attr *a = RT_ATTR(n, rt_conv_transpose_attr);
    return shape_of(&a->window, a->groups, &g->tensor[n->out].shape, &g->tensor[n->in[0]].shape, rows);
}

/* One pixel sees one, and there are channels enough for cuBLASLt; fewer are as fast by our own kernels, on tensor cores
 * from 8.0 on. */
static int is_product(const shape *s)
{
    enum { LIBRARY = 1 << 16 };
    return s->kh == 1 && s->kw == 1 && s->sh == 1 && s->sw == 1 && s->groups == 1 && s->oh == s->h && s->ow == s->w &&
           (int64_t)s->c * s->n >= LIBRARY;
}

static rt_status check(const rt_node *n, const shape *s)
{
    return rt_cuda_check_count(n, s->rows, (size_t)s->h * (size_t)s->w * (size_t)s->c,
                               (size_t)s->oh * (size_t)s->ow * (size_t)s->n);
}

static rt_conv_math math_of(const rt_cuda_emit *e)
{
    if (e->capability < 80) return RT_CONV_FLOAT;
    return e->precision == RT_P_BF16 ? RT_CONV_BF16 : e->precision == RT_P_TF32 ? RT_CONV_TF32 : RT_CONV_TF32X3;
}

/* What a convolution computes, and what its transpose gets as gradient. */
static rt_status run(rt_cuda_emit *e, const shape *s, float *y, const float *x, const float *w, const float *bias,
                     rt_act act, int add)
{
    if (is_product(s))
        return rt_cuda_multiply(e, &(rt_cuda_product){.c = y, .a = x, .b = w, .m = (int)rt_conv_pixels(s), .n = s->n,
                                                      .k = s->c, .ldc = s->n, .lda = s->c, .ldb = s->n, .bias = bias,
                                                      .add = add, .act = act});
    if (rt_conv_is_direct(s)) rt_k_direct(e->stream, s, y, x, w, bias, act, add);
    else rt_k_conv(e->stream, s, math_of(e), y, x, w, bias, act, add);
    return RT_OK;
}

static rt_status run_back(rt_cuda_emit *e, const shape *s, float *dx, const float *dy, const float *w,
                          const float *bias, int add)
{
    if (is_product(s))
        return rt_cuda_multiply(e, &(rt_cuda_product){.c = dx, .a = dy, .b = w, .m = (int)rt_conv_pixels(s), .n = s->c,
                                                      .k = s->n, .ldc = s->c, .lda = s->n, .ldb = s->n, .trans_b = 1,
                                                      .bias = bias, .add = add});
    if (rt_conv_is_direct(s)) rt_k_direct_back(e->stream, s, dx, dy, w, bias, add);
    else rt_k_conv_back(e->stream, s, math_of(e), dx, dy, w, bias, add);
    return RT_OK;
}

/* Beside the walk: nothing waits for it until weights are updated. */
static void run_weights(rt_cuda_emit *e, const shape *s, float *dw, float *dbias, const float *x, const float *dy,
                        int add_dw, int add_dbias)
{
    const rt_conv_math math = rt_conv_is_direct(s) ? RT_CONV_FLOAT : math_of(e);
    rt_parts p = {.to = {dw, dbias}, .count = {rt_conv_weights(s), (size_t)s->n}, .add = {add_dw, add_dbias},
                  .parts = rt_conv_parts(s, math)};
    float *partial = NULL;
    if (p.parts > 1) p.from = partial = rt_cuda_parts(e, (size_t)p.parts * (p.count[0] + p.count[1]));
    cudaStream_t stream = rt_cuda_beside_begin(e);
    if (rt_conv_is_direct(s)) rt_k_direct_weights(stream, s, dw, dbias, partial, x, dy, add_dw, add_dbias);
    else rt_k_conv_weights(stream, s, math, dw, dbias, partial, x, dy, add_dw, add_dbias);
    if (p.parts > 1) rt_cuda_add_later(e, &p, stream);
    rt_cuda_beside_end(e);
}

static size_t parts(const rt_graph *g, const rt_node *n, int batch)
{
    shape s = conv_of(g, n, batch);
    return rt_conv_partial(&s) * sizeof(float);
}

static rt_status forward(rt_cuda_emit *e, const rt_node *n)
{
    shape s = conv_of(e->graph, n, e->rows);
    RT_TRY(check(n, &s));
    RT_TRY(run(e, &s, rt_cuda_value(e, n->out), rt_cuda_value(e, n->in[0]), rt_cuda_field(e, n, 0),
               rt_cuda_field(e, n, 1), RT_ATTR(n, rt_epilogue)->act, 0));
    return rt_cuda_launched(e, n);
}

static rt_status backward(rt_cuda_emit *e, const rt_node *n)
{
    shape s = conv_of(e->graph, n, e->rows);
    float *dy = rt_cuda_grad(e, n);
    int add = 0, add_dw = 0, add_dbias = 0;
    RT_TRY(check(n, &s));
    if (RT_ATTR(n, rt_epilogue)->act != RT_ACT_NONE)
        RT_TRY(rt_cuda_act_back(e, dy, rt_cuda_value(e, n->out), RT_ATTR(n, rt_epilogue)->act, 0,
                                rt_conv_pixels(&s) * (size_t)s.n));
    float *dw = rt_cuda_field_grad(e, n, 0, &add_dw), *dbias = rt_cuda_field_grad(e, n, 1, &add_dbias);
    if (dw) run_weights(e, &s, dw, dbias, rt_cuda_value(e, n->in[0]), dy, add_dw, add_dbias);
    else if (dbias) RT_TRY(rt_cuda_column_sums(e, n, dbias, dy, rt_conv_pixels(&s), s.n, add_dbias));
    float *dx = rt_cuda_grad_into(e, n, 0, &add);
    if (dx) RT_TRY(run_back(e, &s, dx, dy, rt_cuda_field(e, n, 0), NULL, add));
    return rt_cuda_launched(e, n);
}

const rt_cuda_op rt_cuda_conv = {.parts = parts, .beside = 1, .forward = forward, .backward = backward};

/* ---- transposed: forward and backward change places; its input is the convolution's output ---- */

static size_t transpose_parts(const rt_graph *g, const rt_node *n, int batch)
{
    shape s = transpose_of(g, n, batch);
    return rt_conv_partial(&s) * sizeof(float);
}

static rt_status transpose_forward(rt_cuda_emit *e, const rt_node *n)
{
    shape s = transpose_of(e->graph, n, e->rows);
    RT_TRY(check(n, &s));
    RT_TRY(run_back(e, &s, rt_cuda_value(e, n->out), rt_cuda_value(e, n->in[0]), rt_cuda_field(e, n, 0),
                    rt_cuda_field(e, n, 1), 0));
    return rt_cuda_launched(e, n);
}

static rt_status transpose_backward(rt_cuda_emit *e, const rt_node *n)
{
    shape s = transpose_of(e->graph, n, e->rows);
    const float *dy = rt_cuda_grad(e, n);
    int add = 0, add_dw = 0, add_dbias = 0;
    RT_TRY(check(n, &s));
    float *dw = rt_cuda_field_grad(e, n, 0, &add_dw), *dbias = rt_cuda_field_grad(e, n, 1, &add_dbias);
    if (dw) run_weights(e, &s, dw, NULL, dy, rt_cuda_value(e, n->in[0]), add_dw, 0);
    if (dbias)
        RT_TRY(rt_cuda_column_sums(e, n, dbias, dy, (size_t)s.rows * (size_t)s.h * (size_t)s.w, s.c, add_dbias));
    float *dx = rt_cuda_grad_into(e, n, 0, &add);
    if (dx) RT_TRY(run(e, &s, dx, dy, rt_cuda_field(e, n, 0), NULL, RT_ACT_NONE, add));
    return rt_cuda_launched(e, n);
}

const rt_cuda_op rt_cuda_conv_transpose = {.parts = transpose_parts, .beside = 1, .forward = transpose_forward,
                                           .backward = transpose_backward};
