/* What is there once, and boxes that do not lie on each other. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/eval/eval_elements.h"
#include "engine/eval/eval_index.h"

/* ---- unique ---- */

typedef struct {
    const rt_array *x;
    size_t outer, n, inner;            /* entries lie along the axis of n */
} entries;

static int compare_entries(const void *p, const void *q, void *of)
{
    const entries *e = of;
    size_t a = *(const size_t *)p, b = *(const size_t *)q;
    for (size_t o = 0; o < e->outer; o++)
        for (size_t i = 0; i < e->inner; i++) {
            int r = rt_eval_order(e->x, (o * e->n + a) * e->inner + i, e->x, (o * e->n + b) * e->inner + i);
            if (r) return r;
        }
    return 0;
}

/* Of the same, the first one first. */
static int sort_entries(const void *p, const void *q, void *of)
{
    int r = compare_entries(p, q, of);
    size_t a = *(const size_t *)p, b = *(const size_t *)q;
    return r ? r : (a > b) - (a < b);
}

static int by_number(const void *p, const void *q)
{
    const int64_t *a = p, *b = q;
    return (a[0] > b[0]) - (a[0] < b[0]);
}

/* Groups of the same entries: group[entry], and of each its first entry; groups in order of the entries, or of
 * appearance. */
static rt_status group(rt_eval_call *c, entries *e, int sorted, size_t *groups, int64_t **of, int64_t **first)
{
    size_t *order = rt_eval_scratch(c, e->n, sizeof *order);
    int64_t *number = rt_eval_scratch(c, e->n, sizeof *number), *pairs, *renamed;
    *of = rt_eval_scratch(c, e->n, sizeof **of);
    *first = rt_eval_scratch(c, e->n, sizeof **first);
    pairs = rt_eval_scratch(c, e->n, 2 * sizeof *pairs);
    renamed = rt_eval_scratch(c, e->n, sizeof *renamed);
    if (!order || !number || !*of || !*first || !pairs || !renamed) return RT_INPUT;
    for (size_t i = 0; i < e->n; i++) order[i] = i;
    RT_TRY(rt_eval_tick(c, 20.0 * (double)e->n * (double)(e->outer * e->inner)));
    qsort_r(order, e->n, sizeof *order, sort_entries, e);
    *groups = 0;
    for (size_t i = 0; i < e->n; i++) {
        if (!i || compare_entries(&order[i - 1], &order[i], e)) (*first)[(*groups)++] = (int64_t)order[i];
        (*of)[order[i]] = (int64_t)*groups - 1;
    }
    if (sorted) return RT_OK;
    for (size_t g = 0; g < *groups; g++) {
        pairs[2 * g] = (*first)[g];
        pairs[2 * g + 1] = (int64_t)g;
    }
    qsort(pairs, *groups, 2 * sizeof *pairs, by_number);
    for (size_t g = 0; g < *groups; g++) {
        (*first)[g] = pairs[2 * g];
        renamed[pairs[2 * g + 1]] = (int64_t)g;
    }
    for (size_t i = 0; i < e->n; i++) (*of)[i] = renamed[(*of)[i]];
    return RT_OK;
}

rt_status rt_eval_unique(rt_eval_call *c)
{
    int flat = !rt_eval_has(c, "axis"), axis = 0, sorted = rt_eval_int(c, "sorted", 1) != 0;
    int64_t given = rt_eval_int(c, "axis", 0), dim[RT_ARRAY_RANK], *of = NULL, *first = NULL, n;
    rt_array *y, *lists[3];
    entries e = {NULL, 1, 0, 1};
    size_t groups = 0, size;
    RT_TRY(rt_eval_need(c, 0, RT_EVAL_ANY, &e.x));
    if (flat) e.n = e.x->count;
    else {
        RT_TRY(rt_eval_axis(given, e.x->rank, &axis));
        rt_eval_around(e.x, axis, &e.outer, &e.n, &e.inner);
        if (!e.x->count && e.n) return rt_fail(RT_INPUT, "what has no elements is not told apart");
    }
    RT_TRY(group(c, &e, sorted, &groups, &of, &first));
    memcpy(dim, e.x->dim, sizeof dim);
    dim[axis] = n = (int64_t)groups;
    RT_TRY(rt_eval_make(c, 0, e.x->type, flat ? 1 : e.x->rank, dim, &y));
    size = rt_dtype_size(e.x->type) * e.inner;
    for (size_t g = 0; g < groups; g++)
        for (size_t o = 0; o < e.outer; o++)
            memcpy((char *)y->data + (o * groups + g) * size,
                   (const char *)e.x->data + (o * e.n + (size_t)first[g]) * size, size);
    for (int i = 0; i < 3; i++) {
        int64_t length = i == 1 ? (int64_t)e.n : n;
        RT_TRY(rt_eval_make(c, 1 + i, RT_I64, 1, &length, &lists[i]));
    }
    for (size_t g = 0; g < groups; g++) ((int64_t *)lists[0]->data)[g] = first[g];
    for (size_t i = 0; i < e.n; i++) {
        ((int64_t *)lists[1]->data)[i] = of[i];
        ((int64_t *)lists[2]->data)[of[i]]++;
    }
    return RT_OK;
}

/* ---- non-maximum suppression ---- */

typedef struct { double score; int64_t at; } scored;

static int by_score(const void *p, const void *q)
{
    const scored *a = p, *b = q;
    if (a->score != b->score) return a->score > b->score ? -1 : 1;
    return (a->at > b->at) - (a->at < b->at);
}

/* low and high of both directions: corners in any order, or a centre and widths. */
static void box_of(const rt_array *boxes, size_t at, int center, double b[4])
{
    double v[4];
    for (int i = 0; i < 4; i++) v[i] = rt_array_double(boxes, at * 4 + (size_t)i);
    if (center) {                      /* x, y, width, height */
        for (int i = 0; i < 2; i++) {
            b[i] = v[i] - v[2 + i] / 2;
            b[2 + i] = v[i] + v[2 + i] / 2;
        }
        return;
    }
    for (int i = 0; i < 2; i++) {
        b[i] = fmin(v[i], v[2 + i]);
        b[2 + i] = fmax(v[i], v[2 + i]);
    }
}

/* Intersection over union beyond a threshold. */
static int covers(const double a[4], const double b[4], double threshold)
{
    double side[2], area = 1;
    for (int i = 0; i < 2; i++) {
        side[i] = fmin(a[2 + i], b[2 + i]) - fmax(a[i], b[i]);
        if (side[i] <= 0) return 0;
        area *= side[i];
    }
    double u = (a[2] - a[0]) * (a[3] - a[1]), v = (b[2] - b[0]) * (b[3] - b[1]);
    return u > 0 && v > 0 && area / (u + v - area) > threshold;
}

static rt_status scalar_in(rt_eval_call *c, int i, unsigned types, double none, double *v)
{
    const rt_array *a;
    RT_TRY(rt_eval_may(c, i, types, &a));
    if (a && a->count != 1) return rt_fail(RT_INPUT, "input %d is not one number", i);
    *v = a ? rt_array_double(a, 0) : none;
    return RT_OK;
}

/* boxes (N, S, 4), scores (N, C, S): [batch, class, box] of what stays. */
rt_status rt_eval_non_max_suppression(rt_eval_call *c)
{
    int center = rt_eval_int(c, "center_point_box", 0) != 0;
    const rt_array *boxes, *scores;
    rt_array *y;
    double most = 0, overlap = 0, least = -INFINITY;
    RT_TRY(rt_eval_need(c, 0, 1u << RT_F32, &boxes));
    RT_TRY(rt_eval_need(c, 1, 1u << RT_F32, &scores));
    RT_TRY(scalar_in(c, 2, 1u << RT_I64, 0, &most));
    RT_TRY(scalar_in(c, 3, 1u << RT_F32, 0, &overlap));
    RT_TRY(scalar_in(c, 4, 1u << RT_F32, -INFINITY, &least));
    if (boxes->rank != 3 || scores->rank != 3 || boxes->dim[2] != 4 || boxes->dim[0] != scores->dim[0] ||
        boxes->dim[1] != scores->dim[2])
        return rt_fail(RT_INPUT, "boxes and scores are not (N, S, 4) and (N, C, S)");
    size_t n = (size_t)boxes->dim[1], classes = (size_t)scores->dim[1], found = 0;
    size_t each = most < 0 ? 0 : most < (double)n ? (size_t)most : n;
    int64_t *list = rt_eval_scratch(c, scores->count ? (size_t)scores->dim[0] * classes * each : 0, 3 * sizeof *list);
    scored *line = rt_eval_scratch(c, n, sizeof *line);
    double (*kept)[4] = rt_eval_scratch(c, each, sizeof *kept), b[4];
    if (!list || !line || !kept) return RT_INPUT;
    for (size_t row = 0; scores->count && row < (size_t)scores->dim[0] * classes; row++) {
        size_t m = 0, batch = row / classes, stays = 0;
        for (size_t i = 0; i < n; i++) {
            double s = rt_array_double(scores, row * n + i);
            if (s > least) line[m++] = (scored){s, (int64_t)i};
        }
        qsort(line, m, sizeof *line, by_score);
        for (size_t i = 0; i < m && stays < each; i++) {
            box_of(boxes, batch * n + (size_t)line[i].at, center, b);
            RT_TRY(rt_eval_tick(c, 10.0 * (double)(stays + 1)));
            size_t k = 0;
            while (k < stays && !covers(b, kept[k], overlap)) k++;
            if (k < stays) continue;
            memcpy(kept[stays++], b, sizeof b);
            list[3 * found] = (int64_t)batch;
            list[3 * found + 1] = (int64_t)(row % classes);
            list[3 * found++ + 2] = line[i].at;
        }
    }
    int64_t dim[2] = {(int64_t)found, 3};
    RT_TRY(rt_eval_make(c, 0, RT_I64, 2, dim, &y));
    memcpy(y->data, list, found * 3 * sizeof *list);
    return RT_OK;
}
