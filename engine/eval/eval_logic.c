/* Comparisons, truth, and the choice by it. */
#include "engine/eval/eval_elements.h"

typedef enum { EQUAL, LESS, LESS_EQUAL, GREATER, GREATER_EQUAL } relation;

static int holds_real(relation r, double u, double v)
{ return r == EQUAL ? u == v : r == LESS ? u < v : r == LESS_EQUAL ? u <= v : r == GREATER ? u > v : u >= v; }

static rt_status compare(rt_eval_call *c, relation r, unsigned types)
{
    const rt_array *a;
    rt_array b, *y;
    rt_walk w;
    int64_t dim[RT_ARRAY_RANK];
    int rank;
    size_t i = 0;
    RT_TRY(rt_eval_pair(c, 7, types, &a, &b));
    if (a->type != b.type)
        return rt_fail(RT_INPUT, "%s is compared with %s", rt_array_type_name(a->type), rt_array_type_name(b.type));
    const rt_array *in[2] = {a, &b};
    RT_TRY(rt_array_broadcast(in, 2, &rank, dim));
    RT_TRY(rt_eval_make(c, 0, RT_BOOL, rank, dim, &y));
    for (rt_walk_begin(&w, rank, dim, in, 2); w.left; rt_walk_next(&w)) {
        size_t p = w.pos[0], q = w.pos[1];
        ((uint8_t *)y->data)[i++] = rt_array_is_float(a)
                                        ? holds_real(r, rt_array_double(a, p), rt_array_double(&b, q)) != 0
                                        : holds_real(r, rt_eval_order(a, p, &b, q), 0) != 0;
    }
    return RT_OK;
}
static rt_status equal(rt_eval_call *c) { return compare(c, EQUAL, RT_EVAL_ANY); }
static rt_status less(rt_eval_call *c) { return compare(c, LESS, RT_EVAL_NUMBERS); }
static rt_status less_equal(rt_eval_call *c) { return compare(c, LESS_EQUAL, RT_EVAL_NUMBERS); }
static rt_status greater(rt_eval_call *c) { return compare(c, GREATER, RT_EVAL_NUMBERS); }
static rt_status greater_equal(rt_eval_call *c) { return compare(c, GREATER_EQUAL, RT_EVAL_NUMBERS); }

static int64_t truth_and(int64_t u, int64_t v) { return u && v; }
static int64_t truth_or(int64_t u, int64_t v) { return u || v; }
static int64_t truth_xor(int64_t u, int64_t v) { return !u != !v; }

static rt_status truth(rt_eval_call *c, int64_t (*f)(int64_t, int64_t))
{
    rt_eval_dyad d = {NULL, f, NULL, NULL};
    const rt_array *a;
    rt_array b, *y;
    RT_TRY(rt_eval_pair(c, 7, 1u << RT_BOOL, &a, &b));
    return rt_eval_dyad_make(c, &d, a, &b, &y);
}
static rt_status both(rt_eval_call *c) { return truth(c, truth_and); }
static rt_status either(rt_eval_call *c) { return truth(c, truth_or); }
static rt_status one_alone(rt_eval_call *c) { return truth(c, truth_xor); }

static rt_status negate(rt_eval_call *c)
{
    const rt_array *x;
    rt_array *y;
    RT_TRY(rt_eval_need(c, 0, 1u << RT_BOOL, &x));
    RT_TRY(rt_eval_like(c, 0, RT_BOOL, x, &y));
    for (size_t i = 0; i < x->count; i++) ((uint8_t *)y->data)[i] = !((const uint8_t *)x->data)[i];
    return RT_OK;
}

static rt_status where(rt_eval_call *c)
{
    const rt_array *in[3];
    rt_array *y;
    rt_walk w;
    int64_t dim[RT_ARRAY_RANK];
    int rank;
    size_t i = 0;
    RT_TRY(rt_eval_need(c, 0, 1u << RT_BOOL, &in[0]));
    RT_TRY(rt_eval_need(c, 1, RT_EVAL_ANY, &in[1]));
    RT_TRY(rt_eval_need(c, 2, 1u << in[1]->type, &in[2]));
    RT_TRY(rt_array_broadcast(in, 3, &rank, dim));
    RT_TRY(rt_eval_make(c, 0, in[1]->type, rank, dim, &y));
    for (rt_walk_begin(&w, rank, dim, in, 3); w.left; rt_walk_next(&w)) {
        int from = ((const uint8_t *)in[0]->data)[w.pos[0]] ? 1 : 2;
        rt_array_copy(y, i++, in[from], w.pos[from]);
    }
    return RT_OK;
}

const rt_eval_op rt_eval_logic_ops[] = {
    {"", "And", 1, 2, 2, 1, both, 0},
    {"", "Or", 1, 2, 2, 1, either, 0},
    {"", "Xor", 1, 2, 2, 1, one_alone, 0},
    {"", "Not", 1, 1, 1, 1, negate, 0},
    {"", "Equal", 1, 2, 2, 1, equal, 0},
    {"", "Greater", 1, 2, 2, 1, greater, 0},
    {"", "GreaterOrEqual", 12, 2, 2, 1, greater_equal, 0},
    {"", "Less", 1, 2, 2, 1, less, 0},
    {"", "LessOrEqual", 12, 2, 2, 1, less_equal, 0},
    {"", "Where", 9, 3, 3, 1, where, 0},
    {NULL, NULL, 0, 0, 0, 0, NULL, 0}};
