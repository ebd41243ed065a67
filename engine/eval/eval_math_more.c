/* Along an axis, and on bits. */
#include <math.h>
#include <string.h>

#include "engine/eval/eval_elements.h"
#include "engine/eval/eval_math.h"

typedef enum { SOFT, LOG, HARD } soft_kind;

/* n elements that are `step` apart from element `at` on: e^(x - max) / sum, its logarithm, or 1 at the first maximum.
 */
static void soft_line(soft_kind kind, const rt_array *x, rt_array *y, size_t at, size_t n, size_t step)
{
    double top = -INFINITY, sum = 0;
    size_t first = 0;
    for (size_t i = 0; i < n; i++) {
        double v = rt_array_double(x, at + i * step);
        if (!(v <= top)) top = v, first = i;
        if (isnan(v)) break;
    }
    if (kind == HARD) {
        for (size_t i = 0; i < n; i++) rt_array_put(y, at + i * step, i == first);
        return;
    }
    for (size_t i = 0; i < n; i++) sum += exp(rt_array_double(x, at + i * step) - top);
    for (size_t i = 0; i < n; i++) {
        double v = rt_array_double(x, at + i * step) - top;
        rt_array_put(y, at + i * step, kind == SOFT ? exp(v) / sum : v - log(sum));
    }
}

/* Along one axis; before opset 13 over all from the axis on. */
rt_status rt_eval_softmax(rt_eval_call *c)
{
    soft_kind kind = *c->node->op == 'S' ? SOFT : *c->node->op == 'L' ? LOG : HARD;
    const rt_array *x;
    rt_array *y;
    size_t outer, n, inner;
    int axis;
    int64_t given = rt_eval_int(c, "axis", c->version < 13 ? 1 : -1);
    RT_TRY(rt_eval_need(c, 0, RT_EVAL_FLOATS, &x));
    RT_TRY(rt_eval_like(c, 0, x->type, x, &y));
    if (c->version < 13) {
        if (given < 0) given += x->rank;
        if (given < 0 || given > x->rank) return rt_fail(RT_INPUT, "axis %lld is not there", (long long)given);
        outer = n = inner = 1;
        for (int i = 0; i < x->rank; i++) *(i < given ? &outer : &n) *= (size_t)x->dim[i];
    } else {
        if (!x->rank && (given == 0 || given == -1)) axis = 0;
        else RT_TRY(rt_eval_axis(given, x->rank, &axis));
        rt_eval_around(x, axis, &outer, &n, &inner);
    }
    if (!x->count) return RT_OK;
    RT_TRY(rt_eval_reckon(c, x->count, 2 * RT_EVAL_SLOW));
    for (size_t o = 0; o < outer; o++)
        for (size_t i = 0; i < inner; i++) soft_line(kind, x, y, o * n * inner + i, n, inner);
    return RT_OK;
}

/* y[i] = the sum or product of x[..i], or of those before i; from the end when `reverse`. */
rt_status rt_eval_cumulate(rt_eval_call *c)
{
    int product = !strcmp(c->node->op, "CumProd"), axis;
    int64_t exclusive = rt_eval_int(c, "exclusive", 0), reverse = rt_eval_int(c, "reverse", 0), given;
    const rt_array *x;
    rt_array *y;
    size_t outer, n, inner;
    RT_TRY(rt_eval_need(c, 0, RT_EVAL_NUMBERS, &x));
    RT_TRY(rt_eval_one_int(c, 1, &given));
    RT_TRY(rt_eval_axis(given, x->rank, &axis));
    RT_TRY(rt_eval_like(c, 0, x->type, x, &y));
    rt_eval_around(x, axis, &outer, &n, &inner);
    if (!x->count) return RT_OK;
    for (size_t line = 0; line < outer * inner; line++) {
        size_t base = line / inner * n * inner + line % inner;
        double real = product;
        uint64_t whole = (uint64_t)product;
        for (size_t k = 0; k < n; k++) {
            size_t at = base + (reverse ? n - 1 - k : k) * inner;
            if (rt_array_is_float(x)) {
                double v = rt_array_double(x, at), next = product ? real * v : real + v;
                rt_array_put(y, at, exclusive ? real : next);
                real = next;
            } else {
                uint64_t v = (uint64_t)rt_array_int(x, at), next = product ? whole * v : whole + v;
                rt_array_put_int(y, at, (int64_t)(exclusive ? whole : next));
                whole = next;
            }
        }
    }
    return RT_OK;
}

static int64_t bits_and(int64_t u, int64_t v) { return u & v; }
static int64_t bits_or(int64_t u, int64_t v) { return u | v; }
static int64_t bits_xor(int64_t u, int64_t v) { return u ^ v; }

rt_status rt_eval_bitwise(rt_eval_call *c)
{
    const char *op = c->node->op;
    rt_eval_dyad d = {NULL,
                      !strcmp(op, "BitwiseAnd")  ? bits_and
                      : !strcmp(op, "BitwiseOr") ? bits_or
                                                 : bits_xor,
                      NULL, NULL};
    const rt_array *a, *b;
    rt_array *y;
    RT_TRY(rt_eval_need(c, 0, RT_EVAL_INTEGERS, &a));
    RT_TRY(rt_eval_need(c, 1, RT_EVAL_INTEGERS, &b));
    return rt_eval_dyad_make(c, &d, a, b, &y);
}

rt_status rt_eval_bitwise_not(rt_eval_call *c)
{
    const rt_array *x;
    rt_array *y;
    RT_TRY(rt_eval_need(c, 0, RT_EVAL_INTEGERS, &x));
    RT_TRY(rt_eval_like(c, 0, x->type, x, &y));
    for (size_t i = 0; i < x->count; i++) rt_array_put_int(y, i, ~rt_array_int(x, i));
    return RT_OK;
}

/* By as many bits as the type has, or a negative number of them, what remains is the sign of a right shift. */
static int64_t shift(int64_t u, int64_t by, int left, int bits, int is_signed)
{
    if (by < 0 || by >= bits) return !left && is_signed && u < 0 ? -1 : 0;
    if (left) return (int64_t)((uint64_t)u << by);
    return is_signed ? u >> by : (int64_t)((uint64_t)u >> by);
}

rt_status rt_eval_bit_shift(rt_eval_call *c)
{
    const char *way = rt_eval_string(c, "direction", "");
    int left = !strcmp(way, "LEFT");
    const rt_array *in[2];
    rt_array *y;
    rt_walk w;
    int64_t dim[RT_ARRAY_RANK];
    int rank;
    size_t i = 0;
    if (!left && strcmp(way, "RIGHT")) return rt_fail(RT_INPUT, "direction '%s' is neither LEFT nor RIGHT", way);
    RT_TRY(rt_eval_need(c, 0, RT_EVAL_INTEGERS, &in[0]));
    rt_dtype t = in[0]->type;
    int is_signed = t == RT_I8 || t == RT_I16 || t == RT_I32 || t == RT_I64, bits = (int)rt_dtype_size(t) * 8;
    RT_TRY(rt_eval_need(c, 1, 1u << t, &in[1]));
    RT_TRY(rt_array_broadcast(in, 2, &rank, dim));
    RT_TRY(rt_eval_make(c, 0, t, rank, dim, &y));
    for (rt_walk_begin(&w, rank, dim, in, 2); w.left; rt_walk_next(&w))
        rt_array_put_int(y, i++,
                         shift(rt_array_int(in[0], w.pos[0]), rt_array_int(in[1], w.pos[1]), left, bits, is_signed));
    return RT_OK;
}

rt_status rt_eval_is_nan(rt_eval_call *c)
{
    const rt_array *x;
    rt_array *y;
    RT_TRY(rt_eval_need(c, 0, RT_EVAL_FLOATS, &x));
    RT_TRY(rt_eval_like(c, 0, RT_BOOL, x, &y));
    for (size_t i = 0; i < x->count; i++) ((uint8_t *)y->data)[i] = isnan(rt_array_double(x, i)) != 0;
    return RT_OK;
}

rt_status rt_eval_is_inf(rt_eval_call *c)
{
    int64_t below = rt_eval_int(c, "detect_negative", 1), above = rt_eval_int(c, "detect_positive", 1);
    const rt_array *x;
    rt_array *y;
    RT_TRY(rt_eval_need(c, 0, RT_EVAL_FLOATS, &x));
    RT_TRY(rt_eval_like(c, 0, RT_BOOL, x, &y));
    for (size_t i = 0; i < x->count; i++) {
        double v = rt_array_double(x, i);
        ((uint8_t *)y->data)[i] = isinf(v) && (v < 0 ? below : above);
    }
    return RT_OK;
}
