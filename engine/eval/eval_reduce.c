/* Along axes: sums and their kin, the place of the largest, the first few. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/eval/eval_elements.h"

typedef enum { SUM, MEAN, PROD, MAX, MIN, L1, L2, SQUARES, LOG_SUM, LOG_SUM_EXP, KINDS } reduction;
static const char *const names[KINDS] = {"ReduceSum", "ReduceMean", "ReduceProd", "ReduceMax", "ReduceMin", "ReduceL1",
                                         "ReduceL2", "ReduceSumSquare", "ReduceLogSum", "ReduceLogSumExp"};

static double start_real(reduction r)
{
    return r == PROD ? 1 : r == MAX || r == LOG_SUM_EXP ? -INFINITY : r == MIN ? INFINITY : 0;
}

/* The sum of e^x as its maximum m and the sum of e^(x - m), in one pass. */
static void add_exp(double x, double *m, double *sum)
{
    if (isnan(x) || isnan(*m)) *m = NAN;
    else if (x > *m) {
        *sum = isinf(*m) ? 1 : *sum * exp(*m - x) + 1;
        *m = x;
    } else if (isinf(x)) *sum += x > 0;
    else *sum += exp(x - *m);
}

static void add_real(reduction r, double x, double *acc, double *second)
{
    switch (r) {
    case PROD: *acc *= x; return;
    case MAX: if (!(*acc >= x) && !isnan(*acc)) *acc = x; return;
    case MIN: if (!(*acc <= x) && !isnan(*acc)) *acc = x; return;
    case L1: *acc += fabs(x); return;
    case L2: case SQUARES: *acc += x * x; return;
    case LOG_SUM_EXP: add_exp(x, acc, second); return;
    default: *acc += x; return;
    }
}

static double end_real(reduction r, double acc, double second, double n)
{
    switch (r) {
    case MEAN: return acc / n;
    case L2: return sqrt(acc);
    case LOG_SUM: return log(acc);
    case LOG_SUM_EXP: return isfinite(acc) ? acc + log(second) : acc;
    default: return acc;
    }
}

static void add_whole(reduction r, rt_dtype type, int64_t x, int64_t *acc)
{
    uint64_t u = (uint64_t)x, a = (uint64_t)*acc;
    int above = type == RT_U64 ? u > a : x > *acc, below = type == RT_U64 ? u < a : x < *acc;
    switch (r) {
    case PROD: a *= u; break;
    case MAX: a = above ? u : a; break;
    case MIN: a = below ? u : a; break;
    case L1: a += type != RT_U64 && x < 0 ? 0 - u : u; break;
    case L2: case SQUARES: a += u * u; break;
    default: a += u; break;
    }
    *acc = (int64_t)a;
}

/* The least (or greatest) integer of a type. */
static int64_t limit(rt_dtype t, int greatest)
{
    int bits = (int)rt_dtype_size(t) * 8, is_signed = t == RT_I8 || t == RT_I16 || t == RT_I32 || t == RT_I64;
    if (t == RT_BOOL) return greatest;
    if (!is_signed) return greatest ? (int64_t)(UINT64_MAX >> (64 - bits)) : 0;
    return greatest ? (int64_t)(UINT64_MAX >> (65 - bits)) : -1 - (int64_t)(UINT64_MAX >> (65 - bits));
}

static int64_t end_whole(reduction r, rt_dtype type, int64_t acc, int64_t n)
{
    if (r == MEAN) return !n ? 0 : type == RT_U64 ? (int64_t)((uint64_t)acc / (uint64_t)n) : acc / n;
    return r == L2 ? (int64_t)sqrt(type == RT_U64 ? (double)(uint64_t)acc : (double)acc) : acc;
}

/* kept: the shape of x with 1 in place of what is reduced. acc and second have an element for each of its. */
static rt_status accumulate(rt_eval_call *c, reduction r, const rt_array *x, const rt_array *kept, rt_array *y)
{
    const rt_array *in[2] = {x, kept};
    size_t n = kept->count ? x->count / kept->count : 0;
    int real = rt_array_is_float(x);
    double *acc = rt_eval_scratch(c, kept->count, sizeof *acc), *second = acc;
    int64_t *whole = (int64_t *)acc;
    RT_TRY(rt_eval_reckon(c, x->count, r == LOG_SUM_EXP ? 2 * RT_EVAL_SLOW : RT_EVAL_SLOW / 4));
    if (!acc || (r == LOG_SUM_EXP && !(second = rt_eval_scratch(c, kept->count, sizeof *second)))) return RT_INPUT;
    for (size_t i = 0; i < kept->count; i++) {
        if (real) acc[i] = start_real(r);
        else whole[i] = r == PROD ? 1 : r == MAX || r == MIN ? limit(x->type, r == MIN) : 0;
    }
    rt_walk w;
    int64_t dim[RT_ARRAY_RANK] = {0};
    size_t at = 0, run = 1, step = 0;
    int last = x->rank - 1;
    if (x->rank) {                     /* by lines of the last axis */
        memcpy(dim, x->dim, sizeof dim);
        run = (size_t)dim[last];
        step = kept->dim[last] != 1;
        dim[last] = 1;
    }
    for (rt_walk_begin(&w, x->rank, dim, in, 2); x->count && w.left; rt_walk_next(&w))
        for (size_t i = 0; i < run; i++, at++) {
            size_t to = w.pos[1] + i * step;
            if (real) add_real(r, rt_array_double(x, at), &acc[to], &second[to]);
            else add_whole(r, x->type, rt_array_int(x, at), &whole[to]);
        }
    for (size_t i = 0; i < kept->count; i++) {
        if (real) rt_array_put(y, i, end_real(r, acc[i], second[i], (double)n));
        else rt_array_put_int(y, i, end_whole(r, x->type, whole[i], (int64_t)n));
    }
    return RT_OK;
}

/* The axes: an attribute, from opset 18 (of the sum: 13) on an input. None is all, or none at all if so asked for. */
static rt_status reduce(rt_eval_call *c)
{
    reduction r = SUM;
    while (r < KINDS - 1 && strcmp(names[r], c->node->op)) r++;
    const rt_array *x;
    rt_array *y, kept;
    const int64_t *axes;
    int64_t keep = rt_eval_int(c, "keepdims", 1), noop = 0, dim[RT_ARRAY_RANK];
    int n, rank = 0, flag[RT_ARRAY_RANK] = {0}, logs = r == LOG_SUM || r == LOG_SUM_EXP;
    unsigned types = logs ? RT_EVAL_FLOATS : RT_EVAL_NUMBERS;
    if ((r == MAX || r == MIN) && c->version >= 20) types |= 1u << RT_BOOL;
    RT_TRY(rt_eval_need(c, 0, types, &x));
    if (c->version >= 18 || (r == SUM && c->version >= 13)) {
        RT_TRY(rt_eval_list(c, 1, &axes, &n));
        noop = rt_eval_int(c, "noop_with_empty_axes", 0);
    } else n = rt_eval_ints(c, "axes", &axes);
    if (n > 0) RT_TRY(rt_eval_axes(x->rank, axes, n, flag));
    kept = *x;
    kept.count = 1;
    for (int i = 0; i < x->rank; i++) {
        if (n <= 0) flag[i] = !noop;
        if (flag[i]) kept.dim[i] = 1;
        kept.count *= (size_t)kept.dim[i];
        if (!flag[i] || keep) dim[rank++] = kept.dim[i];
    }
    RT_TRY(rt_eval_make(c, 0, x->type, rank, dim, &y));
    if (r == MEAN && !rt_array_is_float(x) && !x->count && y->count)
        return rt_fail(RT_INPUT, "the mean of no integers is no integer");
    return accumulate(c, r, x, &kept, y);
}

/* ---- places ---- */

/* Whether element i comes before k where the largest (or smallest) is first; not a number counts as the largest and
 * as the smallest. */
static int beats(const rt_array *x, size_t i, size_t k, int largest)
{
    if (rt_array_is_float(x)) {
        double u = rt_array_double(x, i), v = rt_array_double(x, k);
        if (isnan(v)) return 0;
        return isnan(u) || (largest ? u > v : u < v);
    }
    int64_t u = rt_array_int(x, i), v = rt_array_int(x, k);
    if (x->type == RT_U64) return largest ? (uint64_t)u > (uint64_t)v : (uint64_t)u < (uint64_t)v;
    return largest ? u > v : u < v;
}

static rt_status arg(rt_eval_call *c)
{
    int largest = !strcmp(c->node->op, "ArgMax"), axis, rank = 0;
    int64_t keep = rt_eval_int(c, "keepdims", 1), last = c->version >= 12 ? rt_eval_int(c, "select_last_index", 0) : 0;
    int64_t given = rt_eval_int(c, "axis", 0), dim[RT_ARRAY_RANK];
    const rt_array *x;
    rt_array *y;
    size_t outer, n, inner;
    RT_TRY(rt_eval_need(c, 0, RT_EVAL_NUMBERS, &x));
    RT_TRY(rt_eval_axis(given, x->rank, &axis));
    for (int i = 0; i < x->rank; i++) if (i != axis || keep) dim[rank++] = i == axis ? 1 : x->dim[i];
    RT_TRY(rt_eval_make(c, 0, RT_I64, rank, dim, &y));
    rt_eval_around(x, axis, &outer, &n, &inner);
    if (!n && y->count) return rt_fail(RT_INPUT, "axis %d has no elements", axis);
    for (size_t o = 0; o < y->count; o++) {
        size_t base = o / inner * n * inner + o % inner, best = 0;
        for (size_t i = 1; i < n; i++)
            if (last ? !beats(x, base + best * inner, base + i * inner, largest)
                     : beats(x, base + i * inner, base + best * inner, largest))
                best = i;
        ((int64_t *)y->data)[o] = (int64_t)best;
    }
    return RT_OK;
}

typedef struct { double real; int64_t whole, at; } ranked;

/* Largest first; not a number is the largest; the earlier of two alike comes first. */
static int falling(const void *p, const void *q)
{
    const ranked *a = p, *b = q;
    int u = isnan(a->real) != 0, v = isnan(b->real) != 0;
    if (u != v) return v - u;
    if (!u && a->real != b->real) return a->real > b->real ? -1 : 1;
    if (a->whole != b->whole) return a->whole > b->whole ? -1 : 1;
    return a->at < b->at ? -1 : 1;
}
static int rising(const void *p, const void *q)
{
    const ranked *a = p, *b = q;
    if (a->at == b->at) return 0;
    ranked u = *a, v = *b;
    u.at = -u.at;
    v.at = -v.at;
    return -falling(&u, &v);
}

static rt_status top_k(rt_eval_call *c)
{
    int64_t largest = 1, k, given = rt_eval_int(c, "axis", -1), dim[RT_ARRAY_RANK];
    const rt_array *x;
    rt_array *value, *place;
    size_t outer, n, inner;
    int axis;
    if (c->version >= 11) {
        largest = rt_eval_int(c, "largest", 1);
        rt_eval_int(c, "sorted", 1);
    }
    RT_TRY(rt_eval_need(c, 0, RT_EVAL_NUMBERS, &x));
    RT_TRY(rt_eval_axis(given, x->rank, &axis));
    if (c->version < 10) k = rt_eval_int(c, "k", -1);
    else RT_TRY(rt_eval_one_int(c, 1, &k));
    if (k < 0 || k > x->dim[axis]) return rt_fail(RT_INPUT, "k is %lld of %lld", (long long)k, (long long)x->dim[axis]);
    memcpy(dim, x->dim, sizeof dim);
    dim[axis] = k;
    RT_TRY(rt_eval_make(c, 0, x->type, x->rank, dim, &value));
    RT_TRY(rt_eval_make(c, 1, RT_I64, x->rank, dim, &place));
    rt_eval_around(x, axis, &outer, &n, &inner);
    ranked *line = rt_eval_scratch(c, n, sizeof *line);
    if (!line) return RT_INPUT;
    for (size_t l = 0; value->count && l < outer * inner; l++) {
        size_t from = l / inner * n * inner + l % inner, to = l / inner * (size_t)k * inner + l % inner;
        for (size_t i = 0; i < n; i++) {
            size_t at = from + i * inner;
            line[i] = (ranked){rt_array_is_float(x) ? rt_array_double(x, at) : 0,
                               rt_array_is_float(x) ? 0 : rt_array_int(x, at), (int64_t)i};
            if (x->type == RT_U64) line[i].whole ^= INT64_MIN;
        }
        RT_TRY(rt_eval_tick(c, 20.0 * (double)n));
        qsort(line, n, sizeof *line, largest ? falling : rising);
        for (size_t i = 0; i < (size_t)k; i++) {
            rt_array_copy(value, to + i * inner, x, from + (size_t)line[i].at * inner);
            ((int64_t *)place->data)[to + i * inner] = line[i].at;
        }
    }
    return RT_OK;
}

#define REDUCE(name, moved) {"", name, 1, 1, 1, 1, reduce, 0}, {"", name, moved, 1, 2, 1, reduce, 0}
const rt_eval_op rt_eval_reduce_ops[] = {
    REDUCE("ReduceSum", 13), REDUCE("ReduceMean", 18), REDUCE("ReduceProd", 18), REDUCE("ReduceMax", 18),
    REDUCE("ReduceMin", 18), REDUCE("ReduceL1", 18), REDUCE("ReduceL2", 18), REDUCE("ReduceSumSquare", 18),
    REDUCE("ReduceLogSum", 18), REDUCE("ReduceLogSumExp", 18),
    {"", "ArgMax", 1, 1, 1, 1, arg, 0},
    {"", "ArgMin", 1, 1, 1, 1, arg, 0},
    {"", "TopK", 1, 1, 1, 2, top_k, 0},
    {"", "TopK", 10, 2, 2, 2, top_k, 0},
    {NULL, NULL, 0, 0, 0, 0, NULL, 0}};
