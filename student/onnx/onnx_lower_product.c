/* student/onnx/onnx_lower_product.c - products of two tensors that both depend on data, and attention, which is two of
 * them with a softmax between: one layer, whose scores are never in memory. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "student/onnx/onnx_lower.h"

/* ---- attention ---- */

typedef struct {
    const rt_eval_node *qk, *pv, *last;        /* last: whose output is the layer's */
    int taken[8], takes;                       /* nodes that it takes up */
    double scale;
    rt_lowered_value *mask;
    const rt_array *mask_c;
} pattern;

static int is_scalar(const rt_array *a) { return a && a->count == 1 && rt_array_is_float(a); }

static const rt_eval_node *follow(const rt_lowering *l, const rt_eval_node *n, const char *op, pattern *p)
{
    int at = rt_lower_next(l, n, op);
    if (at < 0) return NULL;
    p->taken[p->takes++] = at;
    return &l->g->node[at];
}

/* Some exporters put zeros in the place of probabilities that are NaN, of a query that sees no key: which is what the
 * layer gives then. The Where that does so; NULL: there is none. */
static const rt_eval_node *guarded(const rt_lowering *l, const rt_eval_node *softmax, pattern *p)
{
    int is_nan = -1, where = -1, v = softmax->out[0];
    if (l->readers[v] != 2) return NULL;
    for (int i = (int)(softmax - l->g->node) + 1; i < l->g->nodes; i++) {
        const rt_eval_node *n = &l->g->node[i];
        if (!strcmp(n->op, "IsNaN") && n->in[0] == v) is_nan = i;
        if (!strcmp(n->op, "Where") && n->inputs == 3 && n->in[2] == v) where = i;
    }
    if (is_nan < 0 || where < 0 || l->g->node[where].in[0] != l->g->node[is_nan].out[0] ||
        l->readers[l->g->node[is_nan].out[0]] != 1)
        return NULL;
    const rt_array *zero = rt_lower_const(l, &l->g->node[where], 1);
    if (!zero || zero->count != 1 || rt_array_double(zero, 0) != 0) return NULL;
    p->taken[p->takes++] = is_nan;
    p->taken[p->takes++] = where;
    return &l->g->node[where];
}

/* MatMul, perhaps Mul or Div by a number, perhaps Add of a mask, Softmax over the last axis, MatMul: of heads
 * (1, H, T, d), (1, H, d, S), (1, H, S, e). */
static int find_attention(rt_lowering *l, const rt_eval_node *qk, pattern *p)
{
    const rt_eval_node *n = qk, *m;
    const rt_array *scores = rt_lower_shape(l, qk, 0);
    *p = (pattern){.qk = qk, .scale = 1};
    if (scores->rank != 4 || scores->dim[0] != 1 || !rt_lower_in(l, qk, 0) || !rt_lower_in(l, qk, 1)) return 0;
    int takes = p->takes;
    if (((m = follow(l, n, "Mul", p)) || (m = follow(l, n, "Div", p))) &&
        is_scalar(rt_lower_const(l, m, m->in[0] == n->out[0]))) {
        double s = rt_array_double(rt_lower_const(l, m, m->in[0] == n->out[0]), 0);
        int divides = !strcmp(m->op, "Div");
        if (divides && m->in[0] != n->out[0]) return 0;
        p->scale = divides ? 1 / s : s;
        n = m;
        takes = p->takes;
    }
    p->takes = takes;
    if ((m = follow(l, n, "Add", p))) {
        int side = m->in[0] == n->out[0];
        p->mask = rt_lower_in(l, m, side);
        p->mask_c = rt_lower_const(l, m, side);
        if (!p->mask_c && (!p->mask || !p->mask->layer)) return 0;
        n = m;
        takes = p->takes;
    }
    p->takes = takes;
    if (!(m = follow(l, n, "Softmax", p))) return 0;
    int64_t axis = rt_lower_int(m, "axis", m->version < 13 ? 1 : -1);
    if (axis != 3 && axis != -1) return 0;
    const rt_eval_node *guard = guarded(l, m, p);
    if (guard) m = guard;
    p->pv = follow(l, m, "MatMul", p);
    if (!p->pv || p->pv->in[0] != m->out[0] || !rt_lower_in(l, p->pv, 1) || !rt_lower_in(l, p->pv, 1)->layer) return 0;
    p->last = p->pv;
    return p->scale > 0 && p->scale < 1e6;
}

/* A side of (1, G, rows, d) as (rows, G d); turned: it is (1, G, d, rows). */
static rt_status heads(rt_lowering *l, rt_lowered_value *v, int turned, const char **from)
{
    const int straight[4] = {0, 2, 1, 3}, crossed[4] = {0, 3, 1, 2};
    int64_t rows = v->dim[turned ? 3 : 2], width = v->dim[1] * v->dim[turned ? 2 : 3];
    if (rows > INT32_MAX || width > INT32_MAX) return rt_lower_no(l, "is beyond the limits of layers");
    rt_shape s = {2, {(int)rows, (int)width}};
    return rt_lower_as(l, v, turned ? crossed : straight, &s, from);
}

static rt_status mask(rt_lowering *l, const pattern *p, const char **from)
{
    int rank = p->mask ? p->mask->rank : p->mask_c->rank;
    const int64_t *dim = p->mask ? p->mask->dim : p->mask_c->dim;
    rt_shape s = {.rank = 0};
    for (int i = rank > 3 ? rank - 3 : 0; i < rank; i++) s.dim[s.rank++] = (int)dim[i];
    if (rank > 4 || (rank == 4 && dim[0] != 1)) return rt_lower_no(l, "its mask has other dimensions than its scores");
    if (!s.rank) s = (rt_shape){1, {1}};
    if (p->mask) return rt_lower_as(l, p->mask, NULL, &s, from);
    return rt_lower_constant(l, p->mask_c, &s, NULL, from);
}

/* ---- q, k and v side by side ---- */

static const cJSON *layer_named(const rt_lowering *l, const char *name)
{
    for (const cJSON *j = l->layers->child; j; j = j->next) if (!strcmp(rt_lower_name(j), name)) return j;
    return NULL;
}

static const char *text_of(const cJSON *j, const char *key)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(j, key));
}

/* The layer behind views and factors of one number, which multiply *scale; NULL: an input of the model. */
static const cJSON *source_of(const rt_lowering *l, const char *name, double *scale)
{
    for (;;) {
        const cJSON *j = layer_named(l, name);
        const char *op = j ? text_of(j, "op") : "", *from = j ? text_of(j, "from") : NULL;
        char field[RT_NAME_MAX + 16];
        if (!from || cJSON_HasObjectItem(j, "learned")) return j;
        if (!strcmp(op, "multiply")) {
            const float *factor = NULL;
            snprintf(field, sizeof field, "%s.operand", name);
            for (int i = 0; i < l->fields; i++)
                if (l->field[i].count == 1 && !strcmp(l->field[i].field, field)) factor = l->field[i].value;
            if (!factor) return j;
            *scale *= (double)*factor;
        } else if (strcmp(op, "reshape")) return j;
        name = from;
    }
}

/* Whether the layer is part i of three, along the middle of (T, 3, D): what it is part of, else NULL. */
static const char *third_of(const cJSON *j, int i, int t, int d)
{
    if (!j || strcmp(text_of(j, "op"), "slice") || cJSON_HasObjectItem(j, "step")) return NULL;
    const cJSON *start = cJSON_GetObjectItemCaseSensitive(j, "start"),
                *end = cJSON_GetObjectItemCaseSensitive(j, "end");
    const int want[2][3] = {{0, i, 0}, {t, i + 1, d}};
    for (int k = 0; k < 3; k++) {
        const cJSON *a = cJSON_GetArrayItem(start, k), *b = cJSON_GetArrayItem(end, k);
        if (!a || !b || a->valueint != want[0][k] || b->valueint != want[1][k]) return NULL;
    }
    return cJSON_GetArraySize(start) == 3 ? text_of(j, "from") : NULL;
}

/* The layer (T, 3 D) that q, k and v are the parts of, and what their factors make of the scale. */
static const char *packed(const rt_lowering *l, const char *const from[3], int t, int d, double *scale)
{
    double s[3] = {1, 1, 1}, none = 1;
    const cJSON *whole[3];
    for (int i = 0; i < 3; i++) {
        const char *part = third_of(source_of(l, from[i], &s[i]), i, t, d);
        whole[i] = part ? source_of(l, part, &none) : NULL;
    }
    const cJSON *j = whole[0];
    if (!j || whole[1] != j || whole[2] != j || s[2] != 1 || none != 1 || strcmp(text_of(j, "op"), "dense") ||
        s[0] * s[1] <= 0)
        return NULL;
    *scale *= s[0] * s[1];
    return rt_lower_name(j);
}

static rt_status attention(rt_lowering *l, const pattern *p)
{
    static const int order[4] = {0, 2, 1, 3};
    rt_lowered_value *q = rt_lower_in(l, p->qk, 0), *k = rt_lower_in(l, p->qk, 1), *v = rt_lower_in(l, p->pv, 1);
    const rt_array *y = rt_lower_shape(l, p->last, 0);
    const char *from[4];
    int inputs = 3;
    RT_TRY(heads(l, q, 0, &from[0]));
    if (!l->bad) RT_TRY(heads(l, k, 1, &from[1]));
    if (!l->bad) RT_TRY(heads(l, v, 0, &from[2]));
    if (!l->bad && (p->mask || p->mask_c)) RT_TRY(mask(l, p, &from[inputs++]));
    if (l->bad) return RT_OK;
    double scale = p->scale;
    const char *all = q->dim[2] == k->dim[3] && q->dim[3] == v->dim[3]
                          ? packed(l, from, (int)q->dim[2], (int)(q->dim[1] * q->dim[3]), &scale)
                          : NULL;
    if (all) {
        from[0] = all;
        from[1] = from[3];
        inputs -= 2;
    }
    cJSON *j = rt_lower_layer(l, "attention", p->qk->name, from, inputs);
    cJSON_AddNumberToObject(j, "heads", (double)q->dim[1]);
    cJSON_AddNumberToObject(j, "scale", scale);
    rt_shape out = {2, {(int)y->dim[2], (int)(y->dim[1] * y->dim[3])}};
    rt_lower_give(l, p->last, 0, j, &out, order);
    for (int i = 0; i < p->takes; i++) l->done[p->taken[i]] = 1;
    return RT_OK;
}

/* ---- ONNX's own operator, from opset 23 on ---- */

/* A side as (rows, heads d): (1, rows, heads d), or (1, heads, rows, d). */
static rt_status side(rt_lowering *l, rt_lowered_value *v, const char **from)
{
    if (v->rank == 4) return heads(l, v, 0, from);
    if (v->dim[1] > INT32_MAX || v->dim[2] > INT32_MAX) return rt_lower_no(l, "is beyond the limits of layers");
    rt_shape s = {2, {(int)v->dim[1], (int)v->dim[2]}};
    return rt_lower_as(l, v, NULL, &s, from);
}

rt_status rt_lower_attention(rt_lowering *l, const rt_eval_node *n)
{
    static const int order[4] = {0, 2, 1, 3};
    rt_lowered_value *x[3];
    pattern p = {.scale = 0};
    const rt_array *y = rt_lower_shape(l, n, 0);
    const char *from[4];
    int inputs = 3;
    for (int i = 0; i < 3; i++) {
        x[i] = rt_lower_in(l, n, i);
        if (!x[i] || x[i]->dim[0] != 1 || x[i]->rank != y->rank || (y->rank != 3 && y->rank != 4))
            return rt_lower_no(l, "one of its sides is a constant, or of several rows");
    }
    for (int i = 4; i < n->inputs; i++)
        if (n->in[i] >= 0) return rt_lower_no(l, "has keys of the past, or lengths");
    for (int i = 1; i < n->outputs; i++)
        if (n->out[i] >= 0 && l->readers[n->out[i]]) return rt_lower_no(l, "gives more than its answer");
    if (rt_lower_float(n, "softcap", 0) != 0 || rt_lower_int(n, "softmax_precision", 1) != 1)
        return rt_lower_no(l, "caps its scores, or has them in another type");
    int64_t h = y->rank == 4 ? x[0]->dim[1] : rt_lower_int(n, "q_num_heads", 0),
            g = y->rank == 4 ? x[1]->dim[1] : rt_lower_int(n, "kv_num_heads", 0);
    if (h < 1 || g < 1 || h % g || h > INT32_MAX) return rt_lower_no(l, "its heads do not share keys evenly");
    if (n->inputs > 3 && n->in[3] >= 0) {
        p.mask = rt_lower_in(l, n, 3);
        p.mask_c = rt_lower_const(l, n, 3);
        if (l->row->value[n->in[3]]->type == RT_BOOL || (p.mask && !rt_array_is_float(l->row->value[n->in[3]])))
            return rt_lower_no(l, "its mask is of truths");
    }
    for (int i = 0; i < 3 && !l->bad; i++) RT_TRY(side(l, x[i], &from[i]));
    if (!l->bad && (p.mask || p.mask_c)) RT_TRY(mask(l, &p, &from[inputs++]));
    if (l->bad) return RT_OK;
    double width = (double)(y->rank == 4 ? x[0]->dim[3] : x[0]->dim[2] / h), scale = rt_lower_float(n, "scale", 0);
    cJSON *j = rt_lower_layer(l, "attention", n->name, from, inputs);
    cJSON_AddNumberToObject(j, "heads", (double)h);
    if (g != h) cJSON_AddNumberToObject(j, "kv_heads", (double)g);
    if (rt_lower_int(n, "is_causal", 0)) cJSON_AddBoolToObject(j, "causal", 1);
    cJSON_AddNumberToObject(j, "scale", scale > 0 ? scale : 1 / sqrt(width));
    rt_shape out = {2, {(int)y->dim[y->rank - 2], (int)(y->rank == 4 ? y->dim[1] * y->dim[3] : y->dim[2])}};
    rt_lower_give(l, n, 0, j, &out, y->rank == 4 ? order : NULL);
    return RT_OK;
}

/* ---- products ---- */

/* Whether memory holds the last two axes the other way round, all before as they are. */
static int is_turned(const rt_lowered_value *v)
{
    int order[RT_ARRAY_RANK];
    if (v->rank < 2 || rt_lower_is(v, NULL)) return 0;
    for (int i = 0; i < v->rank; i++) order[i] = i;
    order[v->rank - 2] = v->rank - 1;
    order[v->rank - 1] = v->rank - 2;
    return rt_lower_is(v, order);
}

static rt_status factor(rt_lowering *l, rt_lowered_value *v, int *turned, const char **from)
{
    int order[RT_ARRAY_RANK];
    rt_shape s = {.rank = 0};
    *turned = is_turned(v);
    for (int i = 0; i < v->rank; i++) order[i] = i;
    if (*turned) order[v->rank - 2] = v->rank - 1, order[v->rank - 1] = v->rank - 2;
    for (int i = 0; i < v->rank; i++) {
        int64_t d = v->dim[order[i]];
        if (i < v->rank - 2 && d == 1 && !s.rank) continue;           /* leading ones need not be there */
        if (s.rank == RT_MAX_RANK || d > INT32_MAX)
            return rt_lower_no(l, "a tensor of more dimensions than layers have");
        s.dim[s.rank++] = (int)d;
    }
    return rt_lower_as(l, v, order, &s, from);
}

rt_status rt_lower_matmul(rt_lowering *l, const rt_eval_node *n, rt_lowered_value *a, rt_lowered_value *b,
                          rt_lowered_value *to)
{
    const rt_array *y = rt_lower_shape(l, n, 0);
    const char *from[2];
    int turned[2];
    RT_TRY(factor(l, a, &turned[0], &from[0]));
    if (!l->bad) RT_TRY(factor(l, b, &turned[1], &from[1]));
    if (l->bad) return RT_OK;
    cJSON *j = rt_lower_layer(l, "matmul", n->name, from, 2);
    if (turned[0]) cJSON_AddBoolToObject(j, "transpose_a", 1);
    if (turned[1]) cJSON_AddBoolToObject(j, "transpose_b", 1);
    rt_shape out = {.rank = 0};
    for (int i = 0; i < y->rank; i++)
        if (i >= y->rank - 2 || y->dim[i] != 1 || out.rank) out.dim[out.rank++] = (int)y->dim[i];
    const rt_lowered_value before = l->v[n->out[0]];
    rt_lower_give(l, n, 0, j, &out, NULL);
    *to = l->v[n->out[0]];
    l->v[n->out[0]] = before;
    return RT_OK;
}

rt_status rt_lower_product(rt_lowering *l, const rt_eval_node *n)
{
    rt_lowered_value *a = rt_lower_in(l, n, 0), *b = rt_lower_in(l, n, 1), y;
    pattern p;
    if (a->rank < 2 || b->rank < 2) return rt_lower_no(l, "a product of vectors");
    if (find_attention(l, n, &p)) return attention(l, &p);
    RT_TRY(rt_lower_matmul(l, n, a, b, &y));
    if (!l->bad) l->v[n->out[0]] = y;
    return RT_OK;
}
