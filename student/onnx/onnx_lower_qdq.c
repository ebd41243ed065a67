/* student/onnx/onnx_lower_qdq.c - a convolution or a product with constants between DequantizeLinear and
 * QuantizeLinear, in a graph that is no integer program as a whole: it is the QLinearConv, or QLinearMatMul, that ONNX
 * Runtime makes of it, and becomes one layer of bytes. */
#include <math.h>
#include <string.h>

#include "student/onnx/onnx_lower.h"

typedef struct {
    int x;                             /* the bytes */
    rt_lower_grain_of in, out;
    const rt_array *w, *sw, *zw, *bias;
    int relu, taken[2], takes;
    const rt_eval_node *last;
} pattern;

static const rt_eval_node *dequantizer(const rt_lowering *l, const rt_eval_node *n, int i)
{
    const rt_eval_node *d = i < n->inputs && n->in[i] >= 0 ? rt_lower_giver(l, n->in[i]) : NULL;
    return d && !*d->domain && !strcmp(d->op, "DequantizeLinear") && !rt_lower_int(d, "block_size", 0) ? d : NULL;
}

/* Weights whose scales are one, or along their axis of outputs. */
static int find_weights(const rt_lowering *l, const rt_eval_node *n, int axis, pattern *p)
{
    const rt_eval_node *d = dequantizer(l, n, 1);
    if (!d || !(p->w = rt_lower_const(l, d, 0)) || !(p->sw = rt_lower_const(l, d, 1))) return 0;
    p->zw = rt_lower_const(l, d, 2);
    int64_t along = rt_lower_int(d, "axis", 1);
    if (along < 0) along += p->w->rank;
    const int each = p->sw->count > 1;
    return (p->w->type == RT_I8 || p->w->type == RT_U8) && p->w->rank > axis && p->sw->type == RT_F32 &&
           (!each || (along == axis && p->sw->rank == 1 && p->sw->dim[0] == p->w->dim[axis])) &&
           (!p->zw || p->zw->count == p->sw->count) && (d->inputs < 3 || d->in[2] < 0 || p->zw);
}

/* A bias of int32 in steps of input times weight. */
static int find_bias(const rt_lowering *l, const rt_eval_node *n, size_t outputs, pattern *p)
{
    if (n->inputs < 3 || n->in[2] < 0) return 1;
    const rt_eval_node *d = dequantizer(l, n, 2);
    const rt_array *s = d ? rt_lower_const(l, d, 1) : NULL, *z = d ? rt_lower_const(l, d, 2) : NULL;
    p->bias = d ? rt_lower_const(l, d, 0) : NULL;
    if (!p->bias || !s || p->bias->type != RT_I32 || p->bias->count != outputs ||
        (s->count != 1 && s->count != outputs))
        return 0;
    for (size_t i = 0; z && i < z->count; i++) if (rt_array_int(z, i)) return 0;
    for (size_t i = 0; i < outputs; i++) {
        const double want = (double)p->in.scale * rt_array_double(p->sw, p->sw->count > 1 ? i : 0);
        if (!(fabs(rt_array_double(s, s->count > 1 ? i : 0) - want) <= 1e-6 * want)) return 0;
    }
    return 1;
}

/* Perhaps Relu, then the quantizer of what comes out, alone. */
static int find_end(const rt_lowering *l, const rt_eval_node *n, pattern *p)
{
    int at = rt_lower_next(l, n, "Relu");
    if (at >= 0) {
        p->relu = 1;
        p->taken[p->takes++] = at;
        n = &l->g->node[at];
    }
    if ((at = rt_lower_next(l, n, "QuantizeLinear")) < 0) return 0;
    p->taken[p->takes++] = at;
    p->last = &l->g->node[at];
    const rt_dtype type = rt_lower_shape(l, p->last, 0)->type;
    return p->last->in[0] == n->out[0] && (type == RT_U8 || type == RT_I8) && rt_lower_grain(l, p->last, 1, &p->out) &&
           rt_lower_int(p->last, "precision", 1) == 1;
}

static int find(const rt_lowering *l, const rt_eval_node *n, int axis, pattern *p)
{
    const rt_eval_node *d = dequantizer(l, n, 0);
    if (!d || !l->row->varies[n->in[0]] || !l->v[d->in[0]].layer || !rt_lower_grain(l, d, 1, &p->in)) return 0;
    const rt_dtype type = l->row->value[d->in[0]]->type;
    p->x = d->in[0];
    return (type == RT_U8 || type == RT_I8) && find_weights(l, n, axis, p) &&
           find_bias(l, n, (size_t)p->w->dim[axis], p) && find_end(l, n, p);
}

int rt_lower_is_fed(const rt_lowering *l, const rt_eval_node *d)
{
    for (int i = 0; i < l->g->nodes; i++) {
        const rt_eval_node *n = &l->g->node[i];
        const int products = !*n->domain &&
                             (!strcmp(n->op, "Conv") || !strcmp(n->op, "Gemm") || !strcmp(n->op, "MatMul"));
        if (products && n->in[0] == d->out[0] && dequantizer(l, n, 1)) return 1;
    }
    return 0;
}

static void end(rt_lowering *l, const pattern *p)
{ for (int i = 0; i < p->takes; i++) l->done[p->taken[i]] = 1; }

static rt_lower_bytes layer_of(const rt_lowering *l, const pattern *p, size_t outputs)
{
    return (rt_lower_bytes){.x = p->x, .in = p->in, .out = p->out, .w = p->w, .sw = p->sw, .zw = p->zw, .bias = p->bias,
                            .type = l->row->value[p->x]->type, .to = rt_lower_shape(l, p->last, 0)->type,
                            .relu = p->relu, .outputs = outputs, .last = p->last};
}

rt_status rt_lower_paired_conv(rt_lowering *l, const rt_eval_node *n, int *taken)
{
    pattern p = {.x = 0};
    *taken = 0;
    if (!find(l, n, 0, &p) || p.w->rank < 3) return RT_OK;
    const rt_lower_bytes b = layer_of(l, &p, (size_t)p.w->dim[0]);
    RT_TRY(rt_lower_bytes_conv(l, n, &b));
    if ((*taken = !l->bad)) end(l, &p);
    l->bad = NULL;
    return RT_OK;
}

rt_status rt_lower_paired_rows(rt_lowering *l, const rt_eval_node *n, int *taken)
{
    pattern p = {.x = 0};
    const int gemm = *n->op == 'G', by_rows = gemm && rt_lower_int(n, "transB", 0);
    *taken = 0;
    if (gemm &&
        (rt_lower_int(n, "transA", 0) || rt_lower_float(n, "alpha", 1) != 1 || rt_lower_float(n, "beta", 1) != 1))
        return RT_OK;
    if (!find(l, n, !by_rows, &p) || p.w->rank != 2) return RT_OK;
    const rt_lower_bytes b = layer_of(l, &p, (size_t)p.w->dim[!by_rows]);
    RT_TRY(rt_lower_bytes_rows(l, n, &b, !by_rows));
    if ((*taken = !l->bad)) end(l, &p);
    l->bad = NULL;
    return RT_OK;
}
