/* student/onnx/onnx_lower_dynamic.c - products of int8 weights with an input that is quantized where it stands:
 * DynamicQuantizeLinear, MatMulInteger, Cast, Mul by both scales, perhaps Add of a bias, as ONNX Runtime's
 * quantize_dynamic writes them, or in one node of com.microsoft. */
#include <math.h>
#include <string.h>

#include "student/onnx/onnx_lower.h"

const rt_eval_node *rt_lower_giver(const rt_lowering *l, int value)
{
    for (int i = 0; i < l->g->nodes; i++)
        for (int k = 0; k < l->g->node[i].outputs; k++) if (l->g->node[i].out[k] == value) return &l->g->node[i];
    return NULL;
}

typedef rt_lower_ranged pattern;

/* The DynamicQuantizeLinear that gives bytes and their zero point. */
static const rt_eval_node *quantizer(const rt_lowering *l, int bytes, int zero)
{
    const rt_eval_node *q = bytes >= 0 ? rt_lower_giver(l, bytes) : NULL;
    int fits = q && !*q->domain && !strcmp(q->op, "DynamicQuantizeLinear") && q->outputs == 3 && q->out[0] == bytes &&
               q->out[2] == zero;
    return fits ? q : NULL;
}

/* The constant that the scale of q's bytes is multiplied by to this value; NULL: it is no such product. */
static const rt_array *times_scale(const rt_lowering *l, int value, const rt_eval_node *q)
{
    const rt_eval_node *m = rt_lower_giver(l, value);
    if (!m || *m->domain || strcmp(m->op, "Mul")) return NULL;
    for (int i = 0; i < 2; i++) if (m->in[i] == q->out[1]) return rt_lower_const(l, m, 1 - i);
    return NULL;
}

/* Weights are -127 to 127 once their zero point is taken away, which all have in common. */
static int is_symmetric(const pattern *p)
{
    const int by = p->w->type == RT_U8 ? 128 : 0;
    if ((p->w->type != RT_I8 && p->w->type != RT_U8) || p->w->rank != 2 || (!p->zero && by)) return 0;
    for (size_t i = 0; p->zero && i < p->zero->count; i++) if (rt_array_int(p->zero, i) != by) return 0;
    for (size_t i = 0; i < p->w->count; i++) if (rt_array_int(p->w, i) - by < -127) return 0;
    return 1;
}

static const rt_eval_node *follow(const rt_lowering *l, const rt_eval_node *n, const char *op, pattern *p)
{
    int at = rt_lower_next(l, n, op);
    if (at < 0) return NULL;
    p->taken[p->takes++] = at;
    return &l->g->node[at];
}

/* One number, or one for each of an axis of y that it is broadcast to. */
static int lies_along(const rt_array *a, const rt_array *y, int axis)
{
    if (a->count == 1) return 1;
    for (int i = 0; i < a->rank; i++) {
        const int at = y->rank - a->rank + i;
        if (at < 0 || (a->dim[i] != 1 && (at != axis || a->dim[i] != y->dim[axis]))) return 0;
    }
    return 1;
}

int rt_lower_find_dynamic(rt_lowering *l, const rt_eval_node *n, rt_lower_ranged *p)
{
    const rt_eval_node *q = n->inputs > 2 ? quantizer(l, n->in[0], n->in[2]) : NULL, *cast, *mul, *add;
    const rt_array *y = rt_lower_shape(l, n, 0);
    const int axis = *n->op == 'C' ? 1 : y->rank - 1;
    if (!q) return l->bad = "multiplies other integers than constants with an input that is quantized before it", 0;
    p->x = q->in[0];
    if (!(cast = follow(l, n, "Cast", p)) || rt_lower_shape(l, cast, 0)->type != RT_F32 ||
        !(mul = follow(l, cast, "Mul", p)) ||
        !(p->step = times_scale(l, mul->in[mul->in[0] == cast->out[0]], q)) || axis < 0 ||
        rt_lower_shape(l, mul, 0)->rank != y->rank || !lies_along(p->step, y, axis))
        return l->bad = "its sums are not brought back to floats by the scales", 0;
    p->last = mul;
    if ((add = follow(l, mul, "Add", p))) {
        const rt_array *b = rt_lower_const(l, add, add->in[0] == mul->out[0]);
        if (b && b->type == RT_F32 && b->count == (size_t)y->dim[axis] && lies_along(b, y, axis) &&
            rt_lower_shape(l, add, 0)->count == y->count && rt_lower_shape(l, add, 0)->rank == y->rank)
            p->last = add, p->bias = b;
        else p->takes--;
    }
    return 1;
}

void rt_lower_take_dynamic(rt_lowering *l, const rt_lower_ranged *p)
{ for (int i = 0; i < p->takes; i++) l->done[p->taken[i]] = 1; }

static rt_status put(rt_lowering *l, pattern *p)
{
    rt_lowered_value *x = &l->v[p->x];
    const rt_array *y = rt_lower_shape(l, p->last, 0);
    const char *from;
    size_t count = 1;
    if ((p->w->type != RT_I8 && p->w->type != RT_U8) || p->w->rank != 2)
        return rt_lower_no(l, "its weights are no matrix of bytes");
    const int64_t k = p->w->dim[0], n = p->w->dim[1];
    for (int i = 0; i < x->rank; i++) count *= (size_t)x->dim[i];
    if (!count || k > 1 << 16 || n > 1 << 20 || count > INT32_MAX || y->rank < 1 || y->dim[y->rank - 1] != n)
        return rt_lower_no(l, "is beyond the limits of layers");
    if (p->step->count != 1 && p->step->count != (size_t)n) return rt_lower_no(l, "its scales are not one a column");
    if (p->bias && p->bias->count != (size_t)n) return rt_lower_no(l, "its bias differs by row");
    if (!is_symmetric(p)) {
        RT_TRY(rt_lower_dynamic_rows(l, p));
        if (!l->bad) rt_lower_take_dynamic(l, p);
        return RT_OK;
    }
    const size_t rows = count / (size_t)k;
    const rt_shape flat = {1, {(int)k}}, lines = {2, {(int)rows, (int)k}}, out = {1, {(int)n}},
                   outs = {2, {(int)rows, (int)n}};
    RT_TRY(rt_lower_as(l, x, NULL, rows == 1 ? &flat : &lines, &from));
    if (l->bad) return RT_OK;
    cJSON *j = rt_lower_layer(l, "dense_int8", p->last->name, &from, 1);
    cJSON_AddNumberToObject(j, "out", (double)n);
    if (!p->bias) cJSON_AddBoolToObject(j, "bias", 0);
    float *w = rt_lower_fill(l, j, "weight", p->w->count), *step = rt_lower_fill(l, j, "step", (size_t)n),
          *bias = p->bias ? rt_lower_fill(l, j, "bias", (size_t)n) : NULL;
    if (!w || !step || (p->bias && !bias)) return RT_RUN;
    for (size_t i = 0; i < p->w->count; i++) w[i] = (float)(rt_array_int(p->w, i) - (p->w->type == RT_U8 ? 128 : 0));
    for (size_t i = 0; i < (size_t)n; i++) {
        step[i] = (float)rt_array_double(p->step, p->step->count == 1 ? 0 : i);
        if (bias) bias[i] = (float)rt_array_double(p->bias, i);
    }
    rt_lower_give(l, p->last, 0, j, rows == 1 ? &out : &outs, NULL);
    rt_lower_take_dynamic(l, p);
    return RT_OK;
}

static rt_status matmul_integer(rt_lowering *l, const rt_eval_node *n)
{
    pattern p = {.w = rt_lower_const(l, n, 1), .zero = rt_lower_const(l, n, 3)};
    const int known = n->inputs < 3 || n->in[2] < 0 || rt_lower_const(l, n, 2);
    if (known) return rt_lower_static_rows(l, n);
    if (!p.w || (n->inputs > 3 && n->in[3] >= 0 && !p.zero))
        return rt_lower_no(l, "multiplies other integers than constants with an input that is quantized before it");
    return rt_lower_find_dynamic(l, n, &p) ? put(l, &p) : RT_OK;
}

/* A of floats, B, its scale and zero point, bias. */
static rt_status dynamic_matmul(rt_lowering *l, const rt_eval_node *n)
{
    pattern p = {.last = n, .w = rt_lower_const(l, n, 1), .step = rt_lower_const(l, n, 2),
                 .zero = rt_lower_const(l, n, 3), .bias = rt_lower_const(l, n, 4)};
    if (!rt_lower_in(l, n, 0) || !p.w || !p.step) return rt_lower_no(l, "its weights depend on data");
    p.x = n->in[0];
    return put(l, &p);
}

/* A of bytes, B, their scales, their zero points, bias. */
static rt_status integer_to_float(rt_lowering *l, const rt_eval_node *n)
{
    pattern p = {.last = n, .w = rt_lower_const(l, n, 1), .step = rt_lower_const(l, n, 3),
                 .zero = rt_lower_const(l, n, 5), .bias = rt_lower_const(l, n, 6)};
    const rt_eval_node *q = n->inputs > 4 ? quantizer(l, n->in[0], n->in[4]) : NULL;
    if (!q || n->in[2] != q->out[1] || !p.w || !p.step)
        return rt_lower_no(l, "multiplies other integers than constants with an input that is quantized before it");
    p.x = q->in[0];
    return put(l, &p);
}

const rt_lower_entry rt_lower_dynamic[] = {{"MatMulInteger", matmul_integer},
                                           {"com.microsoft:DynamicQuantizeMatMul", dynamic_matmul},
                                           {"com.microsoft:MatMulIntegerToFloat", integer_to_float},
                                           {NULL, NULL}};
