/* student/onnx/onnx_batch.c - graphs whose exporter wrote a batch of several rows into them: Reshape to [8, -1, 64],
 * Expand to [8, 1, 64], first states (1, 8, 64). With a batch of one in place of that they are what the model is of a
 * row; whoever calls proves it, by evaluating the file's own graph on so many rows. */
#include <string.h>

#include "student/onnx/onnx_row.h"

/* What a shape becomes where `rows` leads it, alone or as a factor: NULL where it does not. */
static rt_array *of_one(rt_region *r, const rt_array *a, int64_t rows, rt_status *st)
{
    rt_array *b = NULL;
    int at = -1;
    if (a->rank != 1 || !rt_array_is_integer(a)) return NULL;
    if (a->count && rt_array_int(a, 0) < 1) return NULL;   /* rows are what is left, or as they were */
    for (size_t i = 0; i < a->count && at < 0; i++) if (rt_array_int(a, i) == rows) at = (int)i;
    if (at < 0 && a->count && rt_array_int(a, 0) > 0 && rt_array_int(a, 0) % rows == 0) at = 0;
    if (at < 0) return NULL;
    if ((*st = rt_array_make(&b, r, a->type, a->rank, a->dim))) return NULL;
    for (size_t i = 0; i < a->count; i++)
        rt_array_put_int(b, i, i == (size_t)at ? rt_array_int(a, i) / rows : rt_array_int(a, i));
    return b;
}

/* A first state that is the same in every row, (1, rows, n), as one of a row; NULL where it is not. */
static rt_array *first_of(rt_region *r, const rt_array *a, int64_t rows, rt_status *st)
{
    rt_array *b = NULL;
    if (a->rank != 3 || a->dim[1] != rows || !rt_array_is_float(a)) return NULL;
    const int64_t dim[] = {a->dim[0], 1, a->dim[2]};
    const size_t n = (size_t)a->dim[2], all = (size_t)rows * n;
    for (size_t i = 0; i < a->count; i++)
        if (rt_array_double(a, i) != rt_array_double(a, i / all * all + i % n)) return NULL;
    if ((*st = rt_array_make(&b, r, a->type, 3, dim))) return NULL;
    for (size_t i = 0; i < b->count; i++) rt_array_put(b, i, rt_array_double(a, i / n * all + i % n));
    return b;
}

static int is_one_of(const char *op, const char *const *list)
{
    while (*list && strcmp(op, *list)) list++;
    return *list != NULL;
}

/* The value of a constant, also of one that a node gives. */
static const rt_array *constant_of(const rt_eval_graph *g, int value)
{
    if (value < 0 || g->known[value]) return value < 0 ? NULL : g->known[value];
    for (const rt_eval_node *n = g->node; n < g->node + g->nodes; n++)
        if (!*n->domain && !strcmp(n->op, "Constant") && n->outputs == 1 && n->out[0] == value)
            for (int a = 0; a < n->attrs; a++)
                if (n->attr[a].kind == RT_EA_TENSOR && !strcmp(n->attr[a].name, "value")) return n->attr[a].t;
    return NULL;
}

rt_status rt_onnx_one_row(rt_onnx_row *row, int64_t rows, int *changed)
{
    static const char *const shaped[] = {"Reshape", "Expand", NULL}, *const filled[] = {"ConstantOfShape", NULL},
                      *const stated[] = {"Expand", "LSTM", "GRU", "RNN", NULL};
    rt_eval_graph *g = row->graph;
    *changed = 0;
    for (const rt_eval_node *n = g->node; n < g->node + g->nodes; n++)
        for (int i = 0; i < n->inputs && !*n->domain; i++) {
            const int shape = i == is_one_of(n->op, shaped) && (i || is_one_of(n->op, filled)),
                      state = is_one_of(n->op, stated) && i == (*n->op == 'E' ? 0 : i < 6 ? 5 : 6);
            const rt_array *a = shape || state ? constant_of(g, n->in[i]) : NULL;
            rt_status st = RT_OK;
            rt_array *one = !a ? NULL : shape ? of_one(row->region, a, rows, &st) : first_of(row->region, a, rows, &st);
            if (st) return st;
            if (!one) continue;
            g->known[n->in[i]] = one;
            *changed = 1;
        }
    return RT_OK;
}
