#include "engine/eval/eval_elements.h"

#include <math.h>
#include <string.h>

rt_status rt_eval_may(const rt_eval_call *c, int i, unsigned types, const rt_array **a)
{
    *a = rt_eval_in(c, i);
    return *a ? rt_eval_types(c, i, types) : RT_OK;
}

rt_status rt_eval_need(const rt_eval_call *c, int i, unsigned types, const rt_array **a)
{
    RT_TRY(rt_eval_may(c, i, types, a));
    return *a ? RT_OK : rt_fail(RT_INPUT, "input %d is missing", i);
}

rt_status rt_eval_one_int(const rt_eval_call *c, int i, int64_t *v)
{
    const rt_array *a;
    char text[128];
    RT_TRY(rt_eval_need(c, i, RT_EVAL_INTEGERS, &a));
    if (a->count != 1) return rt_fail(RT_INPUT, "input %d is %s, not one number", i, rt_array_describe(a, text));
    *v = rt_array_int(a, 0);
    return RT_OK;
}

void rt_eval_consumed(rt_eval_call *c)
{
    const int64_t *list;
    if (c->version < 6) rt_eval_ints(c, "consumed_inputs", &list);
}

rt_status rt_eval_type_of(int64_t code, rt_dtype *type)
{
    static const rt_dtype known[] = {[1] = RT_F32, RT_U8, RT_I8, RT_U16, RT_I16, RT_I32, RT_I64, RT_STRING, RT_BOOL,
                                     RT_F16, RT_F64, RT_U32, RT_U64, [16] = RT_BF16, RT_F8E4M3, RT_F8E4M3Z,
                                     RT_F8E5M2, RT_F8E5M2Z, RT_U4, RT_I4, RT_F4E2M1, RT_F8E8M0, RT_U2, RT_I2};
    static const char *const other[] = {[14] = "complex64", "complex128", [27] = "float6e2m3",
                                        "float6e3m2"};
    if (code >= 0 && code < (int64_t)(sizeof other / sizeof *other) && other[code])
        return rt_fail(RT_INPUT, "type %s is not supported", other[code]);
    if (code < 1 || code > 26) return rt_fail(RT_INPUT, "%lld is no type of elements", (long long)code);
    *type = known[code];
    return RT_OK;
}

rt_status rt_eval_pair(rt_eval_call *c, int since, unsigned types, const rt_array **a, rt_array *b)
{
    const rt_array *second;
    char s[128], t[128];
    rt_eval_consumed(c);
    RT_TRY(rt_eval_need(c, 0, types, a));
    RT_TRY(rt_eval_need(c, 1, types, &second));
    *b = *second;
    if (c->version >= since) return RT_OK;
    int64_t broadcast = rt_eval_int(c, "broadcast", 0), has = rt_eval_has(c, "axis"), axis = rt_eval_int(c, "axis", 0);
    int rank = (*a)->rank, lead, ok = broadcast || second->rank == rank;
    if (broadcast && second->count == 1) {
        b->rank = 0;
        return RT_OK;
    }
    lead = rank - second->rank;
    if (broadcast && has) {
        int at;
        RT_TRY(rt_eval_axis(axis, rank, &at));
        lead = at;
    }
    ok = ok && lead >= 0 && lead + second->rank <= rank;
    for (int i = 0; ok && i < rank; i++) {
        b->dim[i] = i >= lead && i < lead + second->rank ? second->dim[i - lead] : 1;
        if (b->dim[i] != (*a)->dim[i] && (b->dim[i] != 1 || !broadcast)) ok = 0;
    }
    b->rank = rank;
    return ok ? RT_OK
              : rt_fail(RT_INPUT, "%s does not broadcast to %s as opset %d has it", rt_array_describe(second, s),
                        rt_array_describe(*a, t), c->version);
}

void rt_eval_dyad_run(const rt_eval_dyad *d, const rt_array *a, const rt_array *b, rt_array *y)
{
    const rt_array *in[2] = {a, b};
    int64_t dim[RT_ARRAY_RANK] = {0};
    int rank = y->rank, last = rank - 1, step[2] = {0, 0};
    size_t n = 1;
    rt_walk w;
    for (int i = 0; i < rank; i++) dim[i] = y->dim[i];
    if (rank) {
        n = (size_t)dim[last];
        dim[last] = 1;
        for (int k = 0; k < 2; k++) step[k] = in[k]->rank && in[k]->dim[in[k]->rank - 1] != 1;
    }
    if (!y->count) return;
    size_t at = 0;
    for (rt_walk_begin(&w, rank, dim, in, 2); w.left; rt_walk_next(&w), at += n) {
        size_t p = w.pos[0], q = w.pos[1];
        if (y->type == RT_F32 && d->row) {
            d->row((float *)y->data + at, (const float *)a->data + p, step[0], (const float *)b->data + q, step[1], n);
            continue;
        }
        for (size_t i = 0; i < n; i++) {
            size_t k = p + i * (size_t)step[0], l = q + i * (size_t)step[1];
            if (rt_array_is_float(y)) rt_array_put(y, at + i, d->real(rt_array_double(a, k), rt_array_double(b, l)));
            else if (y->type == RT_U64 && d->natural)
                rt_array_put_int(y, at + i,
                                 (int64_t)d->natural((uint64_t)rt_array_int(a, k), (uint64_t)rt_array_int(b, l)));
            else rt_array_put_int(y, at + i, d->whole(rt_array_int(a, k), rt_array_int(b, l)));
        }
    }
}

rt_status rt_eval_dyad_make(rt_eval_call *c, const rt_eval_dyad *d, const rt_array *a, const rt_array *b, rt_array **y)
{
    const rt_array *in[2] = {a, b};
    int64_t dim[RT_ARRAY_RANK];
    int rank;
    char s[128], t[128];
    if (a->type != b->type)
        return rt_fail(RT_INPUT, "%s and %s have two types", rt_array_describe(a, s), rt_array_describe(b, t));
    RT_TRY(rt_array_broadcast(in, 2, &rank, dim));
    RT_TRY(rt_eval_make(c, 0, a->type, rank, dim, y));
    if (a->type != RT_F32 || !d->row) RT_TRY(rt_eval_reckon(c, (*y)->count, RT_EVAL_SLOW));
    rt_eval_dyad_run(d, a, b, *y);
    return RT_OK;
}

int rt_eval_order(const rt_array *a, size_t i, const rt_array *b, size_t k)
{
    if (a->type == RT_STRING) return strcmp(rt_array_text(a, i), rt_array_text(b, k));
    if (rt_array_is_float(a)) {
        double u = rt_array_double(a, i), v = rt_array_double(b, k);
        if (isnan(u) || isnan(v)) return (isnan(u) != 0) - (isnan(v) != 0);
        return (u > v) - (u < v);
    }
    int64_t u = rt_array_int(a, i), v = rt_array_int(b, k);
    return a->type == RT_U64 ? ((uint64_t)u > (uint64_t)v) - ((uint64_t)u < (uint64_t)v) : (u > v) - (u < v);
}

void rt_eval_around(const rt_array *a, int axis, size_t *outer, size_t *n, size_t *inner)
{
    *outer = *inner = 1;
    for (int i = 0; i < axis; i++) *outer *= (size_t)a->dim[i];
    for (int i = axis + 1; i < a->rank; i++) *inner *= (size_t)a->dim[i];
    *n = axis < a->rank ? (size_t)a->dim[axis] : 1;
}
