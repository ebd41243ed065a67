/* engine/eval/eval_linear.c - products: MatMul, Gemm, Det; Einsum is in eval_einsum.c. */
#include <math.h>
#include <string.h>

#include "engine/eval/layers.h"

enum { PRODUCT_TYPES = RT_EVAL_FLOATS | 1 << RT_U32 | 1 << RT_U64 | 1 << RT_I32 | 1 << RT_I64 };

/* A product's operands and result, whatever their type: C[i ci + j] += sum over l of A[i ai + l al] B[l bl + j bj]. */
typedef struct {
    rt_dtype type;
    int64_t m, n, k;
    ptrdiff_t ai, al, bl, bj;
    const void *a, *b;                      /* of what it is computed in: float, double or uint64_t */
    void *c;
    float *room;
    size_t size;
} product;

/* Integers wrap, so that unsigned ones of 64 bits answer for all. */
static rt_status whole_product(rt_eval_call *call, const product *p, const uint64_t *a, const uint64_t *b, uint64_t *c)
{
    for (int64_t i = 0; i < p->m; i++) {
        RT_TRY(rt_eval_tick(call, (double)p->n * (double)p->k));
        for (int64_t l = 0; l < p->k; l++)
            for (int64_t j = 0; j < p->n; j++)
                c[i * p->n + j] += a[i * p->ai + l * p->al] * b[l * p->bl + j * p->bj];
    }
    return RT_OK;
}

/* The product of the matrices at these elements of a and b, into the place of c. */
static rt_status multiply(rt_eval_call *call, const product *p, int64_t a_at, int64_t b_at, int64_t c_at)
{
    const char *a = (const char *)p->a + (size_t)a_at * p->size, *b = (const char *)p->b + (size_t)b_at * p->size;
    char *c = (char *)p->c + (size_t)c_at * p->size;
    if (p->type == RT_F32)
        return rt_layer_product(call, p->m, p->n, p->k, (const float *)a, p->ai, p->al, (const float *)b, p->bl, p->bj,
                                (float *)c, p->n, p->room);
    if (p->type == RT_F64)
        return rt_layer_product_double(call, p->m, p->n, p->k, (const double *)a, p->ai, p->al, (const double *)b,
                                       p->bl, p->bj, (double *)c, p->n);
    return whole_product(call, p, (const uint64_t *)a, (const uint64_t *)b, (uint64_t *)c);
}

static rt_status wholes(rt_eval_call *call, const rt_array *a, const void **out)
{
    uint64_t *copy = rt_eval_scratch(call, a->count, sizeof *copy);
    if (!copy) return RT_INPUT;
    for (size_t i = 0; i < a->count; i++) copy[i] = (uint64_t)rt_array_int(a, i);
    *out = copy;
    return RT_OK;
}

/* Operands in the type that the product is computed in, and room for its `count` sums; y's own where it has that
 * type. */
static rt_status prepare(rt_eval_call *call, const rt_array *a, const rt_array *b, rt_array *y, product *p)
{
    if (a->type != b->type) return rt_fail(RT_INPUT, "inputs are of %s and %s", rt_array_type_name(a->type),
                                           rt_array_type_name(b->type));
    p->type = a->type == RT_F16 || a->type == RT_BF16 ? RT_F32 : rt_array_is_float(a) ? a->type : RT_U64;
    p->size = p->type == RT_F32 ? sizeof(float) : sizeof(double);
    if (p->type == RT_F32) {
        RT_TRY(rt_layer_floats(call, a, (const float **)&p->a));
        RT_TRY(rt_layer_floats(call, b, (const float **)&p->b));
        p->room = rt_eval_scratch(call, RT_LAYER_ROOM, sizeof(float));
        if (!p->room) return RT_INPUT;
    } else if (p->type == RT_F64) {
        p->a = a->data;
        p->b = b->data;
    } else {
        RT_TRY(wholes(call, a, &p->a));
        RT_TRY(wholes(call, b, &p->b));
    }
    p->c = y->type == p->type ? y->data : rt_eval_scratch(call, y->count, p->size);
    return p->c ? RT_OK : RT_INPUT;
}

static void finish(const product *p, rt_array *y)
{
    if (p->c == y->data) return;
    for (size_t i = 0; i < y->count; i++)
        if (p->type == RT_F32) rt_array_put(y, i, ((const float *)p->c)[i]);
        else rt_array_put_int(y, i, (int64_t)((const uint64_t *)p->c)[i]);
}

/* ---- MatMul ---- */

/* The dimensions before the last `two`, as an array without elements for what broadcasts. */
static rt_array leading(const rt_array *a, int two)
{
    rt_array lead = {.type = a->type, .rank = a->rank > two ? a->rank - two : 0, .count = 1};
    for (int i = 0; i < lead.rank; i++) lead.count *= (size_t)(lead.dim[i] = a->dim[i]);
    return lead;
}

static rt_status run_matmul(rt_eval_call *call)
{
    const rt_array *a, *b;
    rt_array *y;
    char ta[128], tb[128];
    unsigned types = call->version < 9 ? RT_EVAL_FLOATS : PRODUCT_TYPES;
    RT_TRY(rt_layer_in(call, 0, types, 1, RT_ARRAY_RANK, &a));
    RT_TRY(rt_layer_in(call, 1, types, 1, RT_ARRAY_RANK, &b));
    int row = a->rank == 1, column = b->rank == 1, rank;
    product p = {.k = a->dim[a->rank - 1], .m = row ? 1 : a->dim[a->rank - 2], .n = column ? 1 : b->dim[b->rank - 1]};
    if (p.k != b->dim[column ? 0 : b->rank - 2])
        return rt_fail(RT_INPUT, "%s times %s: the inner dimensions differ", rt_array_describe(a, ta),
                       rt_array_describe(b, tb));
    p.ai = p.k;
    p.al = 1;
    p.bl = p.n;
    p.bj = 1;
    const rt_array la = leading(a, 2), lb = leading(b, 2), *lead[] = {&la, &lb};
    int64_t dim[RT_ARRAY_RANK];
    RT_TRY(rt_array_broadcast(lead, 2, &rank, dim));
    int batch = rank;
    if (!row) dim[rank++] = p.m;
    if (!column) dim[rank++] = p.n;
    RT_TRY(rt_eval_make(call, 0, a->type, rank, dim, &y));
    if (!y->count) return RT_OK;
    RT_TRY(prepare(call, a, b, y, &p));
    if (lb.count == 1 && la.rank >= lb.rank) {              /* one matrix for all: the batch is more lines */
        p.m *= (int64_t)la.count;
        RT_TRY(multiply(call, &p, 0, 0, 0));
    } else {
        rt_walk w;
        int64_t at = 0;
        for (rt_walk_begin(&w, batch, dim, lead, 2); w.left; rt_walk_next(&w), at += p.m * p.n)
            RT_TRY(multiply(call, &p, (int64_t)w.pos[0] * p.m * p.k, (int64_t)w.pos[1] * p.k * p.n, at));
    }
    finish(&p, y);
    return RT_OK;
}

/* ---- Gemm ---- */

/* Y = alpha A B + beta C; of integers exactly where both factors are 1. */
static rt_status add_bias(rt_eval_call *call, const product *p, double alpha, double beta, const rt_array *bias,
                          rt_array *y)
{
    const rt_array *in[] = {bias};
    rt_walk w;
    size_t i = 0;
    for (rt_walk_begin(&w, 2, y->dim, in, 1); w.left; rt_walk_next(&w), i++) {
        if (i % 65536 == 0) RT_TRY(rt_eval_tick(call, 65536));
        if (p->type == RT_U64 && alpha == 1 && beta == 1) {
            uint64_t more = bias ? (uint64_t)rt_array_int(bias, w.pos[0]) : 0;
            rt_array_put_int(y, i, (int64_t)(((const uint64_t *)p->c)[i] + more));
            continue;
        }
        double sum = p->type == RT_F32 ? ((const float *)p->c)[i] : p->type == RT_F64 ? ((const double *)p->c)[i] :
                     y->type == RT_U64 ? (double)((const uint64_t *)p->c)[i] : (double)((const int64_t *)p->c)[i];
        rt_array_put(y, i, alpha * sum + (bias ? beta * rt_array_double(bias, w.pos[0]) : 0));
    }
    return RT_OK;
}

static rt_status run_gemm(rt_eval_call *call)
{
    const rt_array *a, *b, *bias;
    rt_array *y;
    char text[128];
    double alpha = rt_eval_float(call, "alpha", 1), beta = rt_eval_float(call, "beta", 1);
    int ta = rt_eval_int(call, "transA", 0) != 0, tb = rt_eval_int(call, "transB", 0) != 0;
    int stretches = call->version >= 7 || rt_eval_int(call, "broadcast", 0) != 0;
    unsigned types = call->version < 9 ? RT_EVAL_FLOATS : PRODUCT_TYPES;
    RT_TRY(rt_layer_in(call, 0, types, 2, 2, &a));
    RT_TRY(rt_layer_in(call, 1, types, 2, 2, &b));
    RT_TRY(rt_layer_optional(call, 2, types, 0, 2, &bias));
    product p = {.m = a->dim[ta], .k = a->dim[!ta], .n = b->dim[!tb]};
    if (p.k != b->dim[tb])
        return rt_fail(RT_INPUT, "the inner dimensions are %lld and %lld", (long long)p.k, (long long)b->dim[tb]);
    p.ai = ta ? 1 : p.k;
    p.al = ta ? p.m : 1;
    p.bl = tb ? 1 : p.n;
    p.bj = tb ? p.k : 1;
    int64_t dim[] = {p.m, p.n};
    for (int i = 0; bias && i < bias->rank; i++) {
        int64_t d = bias->dim[i], want = dim[2 - bias->rank + i];
        if (d != want && (d != 1 || !stretches))
            return rt_fail(RT_INPUT, "C is %s, which does not broadcast to (%lld, %lld)", rt_array_describe(bias, text),
                           (long long)p.m, (long long)p.n);
    }
    if (bias && (bias->type != a->type || (bias->rank != 2 && !stretches)))
        return rt_fail(RT_INPUT, "C is %s; A is of %s%s", rt_array_describe(bias, text), rt_array_type_name(a->type),
                       stretches ? "" : ", and without `broadcast` C has the result's shape");
    RT_TRY(rt_eval_make(call, 0, a->type, 2, dim, &y));
    if (!y->count) return RT_OK;
    RT_TRY(prepare(call, a, b, y, &p));
    RT_TRY(multiply(call, &p, 0, 0, 0));
    return add_bias(call, &p, alpha, beta, bias, y);
}

/* ---- Det ---- */

/* By elimination with the largest pivot of each column. */
static rt_status determinant(rt_eval_call *call, double *x, int64_t n, double *to)
{
    double det = *to = 1;
    for (int64_t c = 0; c < n; c++) {
        RT_TRY(rt_eval_tick(call, (double)(n - c) * (double)(n - c)));
        int64_t best = c;
        for (int64_t r = c + 1; r < n; r++) if (fabs(x[r * n + c]) > fabs(x[best * n + c])) best = r;
        double pivot = x[best * n + c];
        if (pivot == 0) {
            *to = 0;
            return RT_OK;
        }
        if (best != c) {
            det = -det;
            for (int64_t i = 0; i < n; i++) {
                double t = x[c * n + i];
                x[c * n + i] = x[best * n + i];
                x[best * n + i] = t;
            }
        }
        det *= pivot;
        for (int64_t r = c + 1; r < n; r++) {
            double f = x[r * n + c] / pivot;
            for (int64_t i = c; i < n; i++) x[r * n + i] -= f * x[c * n + i];
        }
    }
    *to = det;
    return RT_OK;
}

static rt_status run_det(rt_eval_call *call)
{
    const rt_array *x;
    rt_array *y;
    char text[128];
    RT_TRY(rt_layer_in(call, 0, RT_EVAL_FLOATS, 2, RT_ARRAY_RANK, &x));
    int64_t n = x->dim[x->rank - 1];
    if (n != x->dim[x->rank - 2]) return rt_fail(RT_INPUT, "%s is no square matrix", rt_array_describe(x, text));
    RT_TRY(rt_eval_make(call, 0, x->type, x->rank - 2, x->dim, &y));
    double *matrix = y->count ? rt_eval_scratch(call, (size_t)(n * n), sizeof *matrix) : NULL;
    if (!matrix && y->count) return RT_INPUT;
    for (size_t i = 0; i < y->count; i++) {
        double det;
        rt_layer_load(matrix, x, i * (size_t)(n * n), 1, (size_t)(n * n));
        RT_TRY(determinant(call, matrix, n, &det));
        rt_array_put(y, i, det);
    }
    return RT_OK;
}

const rt_eval_op rt_eval_linear_ops[] = {
    {"", "MatMul", 1, 2, 2, 1, run_matmul, 0},
    {"", "Gemm", 1, 3, 3, 1, run_gemm, 0},
    {"", "Gemm", 11, 2, 3, 1, run_gemm, 0},
    {"", "Einsum", 12, 1, -1, 1, rt_eval_einsum, 0},
    {"", "Det", 11, 1, 1, 1, run_det, 0},
    {NULL, NULL, 0, 0, 0, 0, NULL, 0}};
