/* export/onnx_attention.c - products of two inputs and attention as ONNX nodes. */
#include <math.h>
#include <stdlib.h>

#include "export/onnx_float_parts.h"

static const char *reshaped(rt_fo_graph *e, const rt_node *n, const char *what, const char *x, int rank,
                            const int64_t *dim)
{ return rt_fo_chain(e, n, "Reshape", what, x, rt_fo_whole(e, n, rt_onnx_name(e->o, "%s/shape", what), rank, dim)); }

static const char *turned(rt_fo_graph *e, const rt_node *n, const char *what, const char *x, int rank,
                          const int64_t *perm)
{
    const char *out = rt_fo_own(e, n, what);
    rt_onnx_ints(rt_fo_node_of(e, "Transpose", out, x, NULL, NULL), "perm", rank, perm);
    return out;
}

/* ---- matmul ---- */

/* Input i as (batch, ones, its dimensions) of this rank of a row, its matrices turned where they are transposed. */
static const char *matrices(rt_fo_graph *e, const rt_node *n, int i, int rank, int turn)
{
    const rt_shape *s = &e->g->tensor[n->in[i]].shape;
    int64_t dim[RT_MAX_RANK + 1] = {0}, perm[RT_MAX_RANK + 1];
    const char *x = rt_fo_take(e, n->in[i], RT_FO_LAST);
    for (int k = 0; k < rank; k++) dim[1 + k] = k < rank - s->rank ? 1 : s->dim[k - (rank - s->rank)];
    if (rank > s->rank) x = reshaped(e, n, i ? "b" : "a", x, rank + 1, dim);
    if (!turn) return x;
    for (int k = 0; k <= rank; k++) perm[k] = k;
    perm[rank - 1] = rank;
    perm[rank] = rank - 1;
    return turned(e, n, i ? "b_turned" : "a_turned", x, rank + 1, perm);
}

void rt_fo_put_matmul(rt_fo_graph *e, const rt_node *n)
{
    const rt_matmul_attr *a = RT_ATTR(n, rt_matmul_attr);
    const int rank = rt_fo_rank(e, n->out);
    const char *out = rt_fo_unique(e, n->name), *left = matrices(e, n, 0, rank, a->transpose_a),
               *right = matrices(e, n, 1, rank, a->transpose_b), *product = out;
    if (a->scale != 1) product = rt_fo_own(e, n, "product");
    rt_fo_node_of(e, "MatMul", product, left, right, NULL);
    if (a->scale != 1) rt_fo_node_of(e, "Mul", out, product, rt_fo_number(e, n, "scale", a->scale), NULL);
    rt_fo_set(e, n->out, RT_FO_LAST, out);
}

/* ---- attention ---- */

typedef struct {
    int t, s, heads, groups, per;      /* per: heads of queries that read the same keys */
    float scale;
    const char *q, *k, *v;             /* (batch, T, H d), (batch, S, G d), (batch, S, G e) */
    int d, e;
    int mask;                          /* the number of the mask's input; 0: none */
} parts;

static parts parts_of(rt_fo_graph *e, const rt_node *n)
{
    const rt_attention_attr *a = RT_ATTR(n, rt_attention_attr);
    const int packed = n->inputs < 3;
    const rt_shape *x = &e->g->tensor[n->in[0]].shape, *v = &e->g->tensor[n->in[packed ? 0 : 2]].shape;
    parts p = {.t = x->dim[0], .s = v->dim[0], .heads = a->heads, .groups = a->kv_heads ? a->kv_heads : a->heads,
               .mask = n->inputs == 2 ? 1 : n->inputs == 4 ? 3 : 0, .q = rt_fo_take(e, n->in[0], RT_FO_LAST)};
    p.per = p.heads / p.groups;
    p.d = x->dim[1] / (packed ? p.heads + 2 * p.groups : p.heads);
    p.e = packed ? p.d : v->dim[1] / p.groups;
    p.scale = a->scale > 0 ? a->scale : (float)(1 / sqrt(p.d));
    if (packed) {
        const int64_t sizes[] = {(int64_t)p.heads * p.d, (int64_t)p.groups * p.d, (int64_t)p.groups * p.d};
        const char *q = rt_fo_own(e, n, "q");
        rt_onnx_node *split = rt_fo_node_of(e, "Split", q, p.q, rt_fo_whole(e, n, "sizes", 3, sizes), NULL);
        rt_onnx_int(split, "axis", 2);
        p.q = q;
        rt_onnx_more(split, p.k = rt_fo_own(e, n, "k"));
        rt_onnx_more(split, p.v = rt_fo_own(e, n, "v"));
    } else {
        p.k = rt_fo_take(e, n->in[1], RT_FO_LAST);
        p.v = rt_fo_take(e, n->in[2], RT_FO_LAST);
    }
    return p;
}

/* (batch, T, H d) as (batch, H, T, d); columns: (batch, H, d, T). */
static const char *by_heads(rt_fo_graph *e, const rt_node *n, const char *what, const char *x, const parts *p, int t,
                            int d, int columns)
{
    const int64_t dim[] = {0, t, p->heads, d}, rows[] = {0, 2, 1, 3}, lines[] = {0, 2, 3, 1};
    const char *parted = rt_onnx_name(e->o, "%s_parts", what), *headed = rt_onnx_name(e->o, "%s_heads", what);
    return turned(e, n, headed, reshaped(e, n, parted, x, 4, dim), 4, columns ? lines : rows);
}

/* (batch, S, G d) once for each head of queries, (batch, S, H d): heads that share keys have copies of them. */
static const char *for_each_head(rt_fo_graph *e, const rt_node *n, const char *what, const char *x, const parts *p,
                                 int d)
{
    const int64_t alone[] = {0, p->s, p->groups, 1, d}, copies[] = {1, 1, 1, p->per, 1},
                  whole[] = {0, p->s, (int64_t)p->heads * d};
    if (p->per == 1) return x;
    const char *shared = rt_onnx_name(e->o, "%s_shared", what), *each = rt_onnx_name(e->o, "%s_each", what),
               *all = rt_onnx_name(e->o, "%s_all", what),
               *times = rt_fo_whole(e, n, rt_onnx_name(e->o, "%s_copies", what), 5, copies);
    x = rt_fo_chain(e, n, "Expand", each, reshaped(e, n, shared, x, 5, alone), times);
    return reshaped(e, n, all, x, 3, whole);
}

/* The mask beside the scores. */
static const char *mask_of(rt_fo_graph *e, const rt_node *n, const parts *p)
{
    const rt_shape *s = &e->g->tensor[n->in[p->mask]].shape;
    const int heads = s->rank == 3 ? s->dim[0] : 1, t = s->rank > 1 ? s->dim[s->rank - 2] : 1, k = s->dim[s->rank - 1];
    const int64_t dim[] = {0, heads, t, k};
    const char *x = rt_fo_take(e, n->in[p->mask], RT_FO_LAST);
    return s->rank == 3 ? x : reshaped(e, n, "mask", x, 4, dim);
}

/* (T, S) of 0 and, where a query does not see a key, -INFINITY. */
static const char *causal_mask(rt_fo_graph *e, const rt_node *n, const parts *p)
{
    const int64_t dim[] = {p->t, p->s};
    const char *name = rt_fo_own(e, n, "causal");
    float *v = calloc((size_t)p->t * (size_t)p->s, sizeof *v);
    for (int t = 0; t < p->t && v; t++)
        for (int s = t + 1; s < p->s; s++) v[(size_t)t * (size_t)p->s + (size_t)s] = -INFINITY;
    if (v) rt_onnx_const(e->o, name, RT_ONNX_F32, 2, dim, v);
    else e->status = rt_fail(RT_RUN, "out of memory");
    free(v);
    return name;
}

/* ONNX's own operator from opset 23 on. Not where a mask can hide all keys from a query: what it answers is open. */
static void put_operator(rt_fo_graph *e, const rt_node *n, const parts *p, const char *out)
{
    rt_onnx_node *y = rt_fo_node_of(e, "Attention", out, p->q, p->k, p->v);
    rt_onnx_int(y, "q_num_heads", p->heads);
    rt_onnx_int(y, "kv_num_heads", p->groups);
    rt_onnx_float(y, "scale", p->scale);
    rt_onnx_int(y, "is_causal", RT_ATTR(n, rt_attention_attr)->causal);
}

void rt_fo_put_attention(rt_fo_graph *e, const rt_node *n)
{
    const int causal = RT_ATTR(n, rt_attention_attr)->causal;
    const char *out = rt_fo_unique(e, n->name);
    const parts p = parts_of(e, n);
    rt_fo_set(e, n->out, RT_FO_LAST, out);
    if (e->spec->opset >= 23 && !p.mask) {
        put_operator(e, n, &p, out);
        return;
    }
    const char *q = by_heads(e, n, "q", p.q, &p, p.t, p.d, 0),
               *k = by_heads(e, n, "k", for_each_head(e, n, "k", p.k, &p, p.d), &p, p.s, p.d, 1),
               *v = by_heads(e, n, "v", for_each_head(e, n, "v", p.v, &p, p.e), &p, p.s, p.e, 0),
               *mask = p.mask ? mask_of(e, n, &p) : NULL, *x = rt_fo_chain(e, n, "MatMul", "products", q, k);
    x = rt_fo_chain(e, n, "Mul", "scores", x, rt_fo_number(e, n, "scale", p.scale));
    if (mask) x = rt_fo_chain(e, n, "Add", "masked", x, mask);
    if (causal) x = rt_fo_chain(e, n, "Add", "seen", x, causal_mask(e, n, &p));
    const char *shares = rt_fo_own(e, n, "shares");
    rt_onnx_int(rt_fo_node_of(e, "Softmax", shares, x, NULL, NULL), "axis", -1);
    if (p.mask) {                        /* a query that sees no key gives 0 */
        const char *none = rt_fo_chain(e, n, "IsNaN", "none", shares, NULL), *sure = rt_fo_own(e, n, "sure");
        rt_fo_node_of(e, "Where", sure, none, rt_fo_number(e, n, "nothing", 0), shares);
        shares = sure;
    }
    static const int64_t rows[] = {0, 2, 1, 3};
    const int64_t dim[] = {0, p.t, (int64_t)p.heads * p.e};
    x = rt_fo_chain(e, n, "MatMul", "values", shares, v);
    x = turned(e, n, "by_row", x, 4, rows);
    rt_fo_node_of(e, "Reshape", out, x, rt_fo_whole(e, n, "shape", 3, dim), NULL);
}
