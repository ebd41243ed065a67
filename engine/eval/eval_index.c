/* Elements by their places. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/eval/eval_elements.h"
#include "engine/eval/eval_index.h"

enum { PLACES = 1 << RT_I32 | 1 << RT_I64 };

/* A place on an axis of n, counted from the end when it is negative. */
static rt_status place(const rt_array *index, size_t i, int64_t n, int64_t *at)
{
    int64_t v = rt_array_int(index, i);
    if (v < -n || v >= n)
        return rt_fail(RT_INPUT, "index %lld is not within an axis of %lld", (long long)v, (long long)n);
    *at = v < 0 ? v + n : v;
    return RT_OK;
}

static rt_status gather(rt_eval_call *c)
{
    int64_t given = rt_eval_int(c, "axis", 0), dim[2 * RT_ARRAY_RANK], at = 0;
    const rt_array *x, *index;
    rt_array *y;
    size_t outer, n, inner;
    int axis, rank = 0;
    RT_TRY(rt_eval_need(c, 0, RT_EVAL_ANY, &x));
    RT_TRY(rt_eval_need(c, 1, PLACES, &index));
    RT_TRY(rt_eval_axis(given, x->rank, &axis));
    for (int i = 0; i < axis; i++) dim[rank++] = x->dim[i];
    for (int i = 0; i < index->rank; i++) dim[rank++] = index->dim[i];
    for (int i = axis + 1; i < x->rank; i++) dim[rank++] = x->dim[i];
    RT_TRY(rt_eval_make(c, 0, x->type, rank, dim, &y));
    rt_eval_around(x, axis, &outer, &n, &inner);
    size_t bytes = inner * rt_dtype_size(x->type);
    for (size_t i = 0; i < index->count; i++) {
        RT_TRY(place(index, i, x->dim[axis], &at));
        for (size_t o = 0; o < outer && bytes; o++)
            memcpy((char *)y->data + (o * index->count + i) * bytes,
                   (const char *)x->data + (o * n + (size_t)at) * bytes, bytes);
    }
    return RT_OK;
}

/* The shapes agree but along the axis, where the second may have any length; else the second may be shorter. */
static rt_status elements_fit(const rt_array *x, const rt_array *index, int axis)
{
    char s[128], t[128];
    int ok = x->rank == index->rank;
    for (int i = 0; ok && i < x->rank; i++) if (i != axis && index->dim[i] > x->dim[i]) ok = 0;
    return ok ? RT_OK
              : rt_fail(RT_INPUT, "indices %s do not fit %s", rt_array_describe(index, s), rt_array_describe(x, t));
}

/* Element i of an index array, along one axis of x: where it points to. */
static rt_status element_place(const rt_array *x, const rt_array *index, int axis, const int64_t *step,
                               const rt_walk *w, size_t i, size_t *to)
{
    int64_t at = 0, sum = 0;
    RT_TRY(place(index, i, x->dim[axis], &at));
    for (int k = 0; k < x->rank; k++) sum += step[k] * (k == axis ? at : w->at[k]);
    *to = (size_t)sum;
    return RT_OK;
}

static rt_status gather_elements(rt_eval_call *c)
{
    int64_t given = rt_eval_int(c, "axis", 0), step[RT_ARRAY_RANK];
    const rt_array *x, *index;
    rt_array *y;
    rt_walk w;
    size_t i = 0, from = 0;
    int axis = 0;
    RT_TRY(rt_eval_need(c, 0, RT_EVAL_ANY, &x));
    RT_TRY(rt_eval_need(c, 1, PLACES, &index));
    RT_TRY(rt_eval_axis(given, x->rank, &axis));
    RT_TRY(elements_fit(x, index, axis));
    RT_TRY(rt_eval_like(c, 0, x->type, index, &y));
    rt_array_steps(x->rank, x->dim, step);
    for (rt_walk_begin(&w, index->rank, index->dim, NULL, 0); w.left; rt_walk_next(&w), i++) {
        RT_TRY(element_place(x, index, axis, step, &w, i, &from));
        rt_array_copy(y, i, x, from);
    }
    return RT_OK;
}

/* ---- reductions of scatters ---- */

typedef enum { NONE, ADD, MUL, MAX, MIN } scatter_kind;

static rt_status scatter_kind_of(rt_eval_call *c, const rt_array *x, scatter_kind *kind)
{
    static const char *const names[] = {"none", "add", "mul", "max", "min"};
    const char *name = c->version >= 16 ? rt_eval_string(c, "reduction", "none") : "none";
    for (int i = 0; i < (c->version >= 18 ? 5 : 3); i++)
        if (!strcmp(name, names[i])) {
            *kind = (scatter_kind)i;
            if (i && (x->type == RT_STRING || x->type == RT_BOOL))
                return rt_fail(RT_INPUT, "reduction '%s' of %s", name, rt_array_type_name(x->type));
            return RT_OK;
        }
    return rt_fail(RT_INPUT, "reduction '%s' is not known in opset %d", name, c->version);
}

static void scatter_put(rt_array *y, size_t to, const rt_array *u, size_t i, scatter_kind kind)
{
    if (kind == NONE) rt_array_copy(y, to, u, i);
    else if (rt_array_is_float(y)) {
        double a = rt_array_double(y, to), b = rt_array_double(u, i);
        rt_array_put(y, to, kind == ADD ? a + b : kind == MUL ? a * b : isnan(a) || isnan(b) ? NAN
                            : kind == MAX ? fmax(a, b) : fmin(a, b));
    } else {
        uint64_t a = (uint64_t)rt_array_int(y, to), b = (uint64_t)rt_array_int(u, i);
        int less = y->type == RT_U64 ? a < b : (int64_t)a < (int64_t)b;
        rt_array_put_int(y, to, (int64_t)(kind == ADD ? a + b : kind == MUL ? a * b : (kind == MAX) == less ? b : a));
    }
}

static rt_status scatter_elements(rt_eval_call *c)
{
    int64_t given = rt_eval_int(c, "axis", 0), step[RT_ARRAY_RANK];
    const rt_array *x, *index, *u;
    rt_array *y;
    rt_walk w;
    scatter_kind kind = NONE;
    size_t i = 0, to = 0;
    int axis = 0;
    RT_TRY(rt_eval_need(c, 0, RT_EVAL_ANY, &x));
    RT_TRY(rt_eval_need(c, 1, PLACES, &index));
    RT_TRY(rt_eval_need(c, 2, 1u << x->type, &u));
    RT_TRY(scatter_kind_of(c, x, &kind));
    RT_TRY(rt_eval_axis(given, x->rank, &axis));
    RT_TRY(elements_fit(x, index, axis));
    if (u->rank != index->rank || memcmp(u->dim, index->dim, (size_t)u->rank * sizeof *u->dim))
        return rt_fail(RT_INPUT, "updates and indices differ in shape");
    RT_TRY(rt_eval_like(c, 0, x->type, x, &y));
    memcpy(y->data, x->data, x->count * rt_dtype_size(x->type));
    rt_array_steps(x->rank, x->dim, step);
    for (rt_walk_begin(&w, index->rank, index->dim, NULL, 0); w.left; rt_walk_next(&w), i++) {
        RT_TRY(element_place(x, index, axis, step, &w, i, &to));
        scatter_put(y, to, u, i, kind);
    }
    return RT_OK;
}

/* ---- by tuples: the last axis of the indices names a place on m axes of x from `first` on ---- */

static rt_status tuple_place(const rt_array *x, const rt_array *index, size_t i, int first, int m, const int64_t *step,
                             size_t *to)
{
    int64_t at = 0, sum = 0;
    for (int k = 0; k < m; k++) {
        RT_TRY(place(index, i * (size_t)m + (size_t)k, x->dim[first + k], &at));
        sum += at * step[first + k];
    }
    *to = (size_t)sum;
    return RT_OK;
}

static rt_status tuples_of(const rt_array *x, const rt_array *index, int64_t batch, int *m)
{
    char s[128], t[128];
    int ok = x->rank && index->rank && batch >= 0 && batch < index->rank && batch < x->rank;
    if (ok) ok = index->dim[index->rank - 1] <= x->rank - batch && index->dim[index->rank - 1] >= 0;
    for (int i = 0; ok && i < batch; i++) ok = x->dim[i] == index->dim[i];
    if (!ok) return rt_fail(RT_INPUT, "indices %s do not fit %s", rt_array_describe(index, s), rt_array_describe(x, t));
    *m = (int)index->dim[index->rank - 1];
    return RT_OK;
}

static rt_status gather_nd(rt_eval_call *c)
{
    int64_t batch = c->version >= 12 ? rt_eval_int(c, "batch_dims", 0) : 0, dim[2 * RT_ARRAY_RANK], step[RT_ARRAY_RANK];
    const rt_array *x, *index;
    rt_array *y;
    int m = 0, rank = 0;
    size_t block = 1, tuples = 1, each = 1, from = 0;
    RT_TRY(rt_eval_need(c, 0, RT_EVAL_ANY, &x));
    RT_TRY(rt_eval_need(c, 1, PLACES, &index));
    RT_TRY(tuples_of(x, index, batch, &m));
    int lead = (int)batch;
    for (int i = 0; i < index->rank - 1; i++) tuples *= (size_t)(dim[rank++] = index->dim[i]);
    for (int i = lead; i < index->rank - 1; i++) each *= (size_t)index->dim[i];
    for (int i = lead + m; i < x->rank; i++) block *= (size_t)(dim[rank++] = x->dim[i]);
    RT_TRY(rt_eval_make(c, 0, x->type, rank, dim, &y));
    if (!y->count) return RT_OK;
    rt_array_steps(x->rank, x->dim, step);
    size_t bytes = block * rt_dtype_size(x->type), part = 1;
    for (int i = lead; i < x->rank; i++) part *= (size_t)x->dim[i];
    for (size_t i = 0; i < tuples; i++) {
        RT_TRY(tuple_place(x, index, i, lead, m, step, &from));
        memcpy((char *)y->data + i * bytes,
               (const char *)x->data + (i / each * part + from) * rt_dtype_size(x->type), bytes);
    }
    return RT_OK;
}

static rt_status scatter_nd(rt_eval_call *c)
{
    const rt_array *x, *index, *u;
    rt_array *y;
    scatter_kind kind = NONE;
    int m = 0, ok;
    size_t block = 1, tuples = 1, to = 0;
    int64_t step[RT_ARRAY_RANK];
    RT_TRY(rt_eval_need(c, 0, RT_EVAL_ANY, &x));
    RT_TRY(rt_eval_need(c, 1, PLACES, &index));
    RT_TRY(rt_eval_need(c, 2, 1u << x->type, &u));
    RT_TRY(scatter_kind_of(c, x, &kind));
    RT_TRY(tuples_of(x, index, 0, &m));
    ok = u->rank == index->rank - 1 + x->rank - m;
    for (int i = 0; ok && i < index->rank - 1; i++) ok = u->dim[i] == index->dim[i], tuples *= (size_t)index->dim[i];
    for (int i = m; ok && i < x->rank; i++)
        ok = u->dim[index->rank - 1 + i - m] == x->dim[i], block *= (size_t)x->dim[i];
    if (!ok) return rt_fail(RT_INPUT, "the updates do not fit the indices");
    RT_TRY(rt_eval_like(c, 0, x->type, x, &y));
    memcpy(y->data, x->data, x->count * rt_dtype_size(x->type));
    rt_array_steps(x->rank, x->dim, step);
    for (size_t i = 0; block && i < tuples; i++) {
        RT_TRY(tuple_place(x, index, i, 0, m, step, &to));
        for (size_t k = 0; k < block; k++) scatter_put(y, to + k, u, i * block + k, kind);
    }
    return RT_OK;
}

/* ---- masks ---- */

static rt_status one_hot(rt_eval_call *c)
{
    int64_t given = rt_eval_int(c, "axis", -1), dim[RT_ARRAY_RANK + 1];
    const rt_array *index, *depth, *values;
    rt_array *y;
    size_t outer, n, inner;
    int axis;
    RT_TRY(rt_eval_need(c, 0, RT_EVAL_NUMBERS, &index));
    RT_TRY(rt_eval_need(c, 1, RT_EVAL_NUMBERS, &depth));
    RT_TRY(rt_eval_need(c, 2, RT_EVAL_ANY, &values));
    if (depth->count != 1 || values->count != 2) return rt_fail(RT_INPUT, "depth is not one number, or values not two");
    int64_t deep = rt_array_int(depth, 0);
    if (deep < 0) return rt_fail(RT_INPUT, "depth is %lld", (long long)deep);
    RT_TRY(rt_eval_axis(given, index->rank + 1, &axis));
    for (int i = 0; i <= index->rank; i++) dim[i] = i == axis ? deep : index->dim[i - (i > axis)];
    RT_TRY(rt_eval_make(c, 0, values->type, index->rank + 1, dim, &y));
    rt_eval_around(y, axis, &outer, &n, &inner);
    for (size_t i = 0; i < y->count; i++) {
        size_t from = i / (n * inner) * inner + i % inner;
        int64_t v = rt_array_int(index, from), at = (int64_t)(i / inner % n);
        if (v < 0 && v >= -deep) v += deep;
        rt_array_copy(y, i, values, v == at);
    }
    return RT_OK;
}

static int is_set(const rt_array *x, size_t i)
{
    return x->type == RT_STRING   ? *rt_array_text(x, i) != 0
           : rt_array_is_float(x) ? rt_array_double(x, i) != 0
                                  : rt_array_int(x, i) != 0;
}

static rt_status non_zero(rt_eval_call *c)
{
    const rt_array *x;
    rt_array *y;
    int64_t dim[2], step[RT_ARRAY_RANK];
    size_t n = 0, k = 0;
    RT_TRY(rt_eval_need(c, 0, RT_EVAL_ANY, &x));
    for (size_t i = 0; i < x->count; i++) n += (size_t)is_set(x, i);
    dim[0] = x->rank;
    dim[1] = (int64_t)n;
    RT_TRY(rt_eval_make(c, 0, RT_I64, 2, dim, &y));
    rt_array_steps(x->rank, x->dim, step);
    for (size_t i = 0; i < x->count; i++) {
        if (!is_set(x, i)) continue;
        for (int d = 0; d < x->rank; d++) ((int64_t *)y->data)[(size_t)d * n + k] = (int64_t)i / step[d] % x->dim[d];
        k++;
    }
    return RT_OK;
}

static rt_status compress(rt_eval_call *c)
{
    const rt_array *x, *which;
    rt_array *y;
    int64_t dim[RT_ARRAY_RANK], n = 0, whole;
    int flat = !rt_eval_has(c, "axis"), axis = 0;
    int64_t given = rt_eval_int(c, "axis", 0);
    RT_TRY(rt_eval_need(c, 0, RT_EVAL_ANY, &x));
    RT_TRY(rt_eval_need(c, 1, 1u << RT_BOOL, &which));
    if (which->rank != 1) return rt_fail(RT_INPUT, "the condition is not a list");
    if (!flat) RT_TRY(rt_eval_axis(given, x->rank, &axis));
    whole = flat ? (int64_t)x->count : x->dim[axis];
    for (size_t i = 0; i < which->count; i++) {
        if (!rt_array_int(which, i)) continue;
        if ((int64_t)i >= whole)
            return rt_fail(RT_INPUT, "the condition is longer than the axis of %lld", (long long)whole);
        n++;
    }
    memcpy(dim, x->dim, sizeof dim);
    dim[axis] = n;
    RT_TRY(rt_eval_make(c, 0, x->type, flat ? 1 : x->rank, dim, &y));
    if (!y->count) return RT_OK;
    size_t outer = 1, inner = 1, unused, size = rt_dtype_size(x->type), k = 0;
    if (!flat) rt_eval_around(x, axis, &outer, &unused, &inner);
    for (size_t i = 0; i < which->count; i++) {
        if (!rt_array_int(which, i)) continue;
        for (size_t o = 0; o < outer; o++)
            memcpy((char *)y->data + (o * (size_t)n + k) * inner * size,
                   (const char *)x->data + (o * (size_t)whole + i) * inner * size, inner * size);
        k++;
    }
    return RT_OK;
}

static rt_status eye_like(rt_eval_call *c)
{
    int64_t k = rt_eval_int(c, "k", 0), code = rt_eval_int(c, "dtype", 0);
    int has = rt_eval_has(c, "dtype");
    const rt_array *x;
    rt_array *y;
    rt_dtype type;
    RT_TRY(rt_eval_need(c, 0, RT_EVAL_NUMBERS | 1u << RT_BOOL, &x));
    type = x->type;
    if (has) RT_TRY(rt_eval_type_of(code, &type));
    if (x->rank != 2 || type == RT_STRING) return rt_fail(RT_INPUT, "a matrix of numbers is needed");
    RT_TRY(rt_eval_like(c, 0, type, x, &y));
    for (int64_t i = 0; i < x->dim[0]; i++) {
        int64_t at;
        if (!__builtin_add_overflow(i, k, &at) && at >= 0 && at < x->dim[1])
            rt_array_put_int(y, (size_t)(i * x->dim[1] + at), 1);
    }
    return RT_OK;
}

/* Updates go into a cache at write_indices[b] of axis, for each b of axis 0. */
static rt_status tensor_scatter(rt_eval_call *c)
{
    int64_t given = rt_eval_int(c, "axis", -2), start = 0;
    const char *mode = rt_eval_string(c, "mode", "linear");
    const rt_array *past, *u, *at;
    rt_array *y;
    int axis, turns = !strcmp(mode, "circular"), ok;
    if (!turns && strcmp(mode, "linear")) return rt_fail(RT_INPUT, "mode '%s' is neither linear nor circular", mode);
    RT_TRY(rt_eval_need(c, 0, RT_EVAL_ANY, &past));
    RT_TRY(rt_eval_need(c, 1, 1u << past->type, &u));
    RT_TRY(rt_eval_may(c, 2, PLACES, &at));
    RT_TRY(rt_eval_axis(given, past->rank, &axis));
    ok = axis > 0 && u->rank == past->rank && (!at || (at->rank == 1 && at->dim[0] == past->dim[0]));
    for (int i = 0; ok && i < past->rank; i++) ok = i == axis ? u->dim[i] <= past->dim[i] : u->dim[i] == past->dim[i];
    if (!ok) return rt_fail(RT_INPUT, "the update or the places do not fit the cache");
    RT_TRY(rt_eval_like(c, 0, past->type, past, &y));
    size_t outer, n, inner, size = rt_dtype_size(past->type);
    memcpy(y->data, past->data, past->count * size);
    rt_eval_around(past, axis, &outer, &n, &inner);
    size_t rows = (size_t)u->dim[axis];
    if (!u->count) return RT_OK;
    for (size_t o = 0; o < outer; o++) {
        if (at) start = rt_array_int(at, o / (outer / (size_t)past->dim[0]));
        if (start < 0 || (turns ? start >= (int64_t)n : start > (int64_t)(n - rows)))
            return rt_fail(RT_INPUT, "place %lld is not within the cache of %zu", (long long)start, n);
        for (size_t i = 0; i < rows; i++)
            memcpy((char *)y->data + (o * n + ((size_t)start + i) % n) * inner * size,
                   (const char *)u->data + (o * rows + i) * inner * size, inner * size);
    }
    return RT_OK;
}

const rt_eval_op rt_eval_index_ops[] = {
    {"", "Gather", 1, 2, 2, 1, gather, 0},
    {"", "GatherElements", 11, 2, 2, 1, gather_elements, 0},
    {"", "GatherND", 11, 2, 2, 1, gather_nd, 0},
    {"", "Scatter", 9, 3, 3, 1, scatter_elements, 0},
    {"", "ScatterElements", 11, 3, 3, 1, scatter_elements, 0},
    {"", "ScatterND", 11, 3, 3, 1, scatter_nd, 0},
    {"", "OneHot", 9, 3, 3, 1, one_hot, 0},
    {"", "NonZero", 9, 1, 1, 1, non_zero, 0},
    {"", "Compress", 9, 2, 2, 1, compress, 0},
    {"", "Unique", 11, 1, 1, 4, rt_eval_unique, 0},
    {"", "EyeLike", 9, 1, 1, 1, eye_like, 0},
    {"", "NonMaxSuppression", 10, 2, 5, 1, rt_eval_non_max_suppression, 0},
    {"", "TensorScatter", 24, 2, 3, 1, tensor_scatter, 0},
    {NULL, NULL, 0, 0, 0, 0, NULL, 0}};
