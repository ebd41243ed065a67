/* data/select.c - uncertainty, k-center, BADGE and their mix. */
#include "data/select.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const rt_select_names[] = {"entropy", "margin", "least-confidence", "k-center", "badge", "mix", NULL};

double rt_uncertainty(const float *p, int classes, rt_select_by by)
{
    double first = -1, second = -1, entropy = 0;
    for (int c = 0; c < classes; c++) {
        double x = (double)p[c];
        if (x > 0) entropy -= x * log(x);
        if (x > first) {
            second = first;
            first = x;
        } else if (x > second) second = x;
    }
    if (by == RT_SELECT_MARGIN) return 1 - (first - second);
    return by == RT_SELECT_LEAST_CONFIDENCE ? 1 - first : entropy;
}

/* ---- what may be chosen ---- */

typedef struct {
    const rt_select_spec *s;
    unsigned char *gone;               /* (rows) by group: chosen, or a copy of what is labelled */
    uint64_t left;                     /* groups with a row to choose */
} choice;

static uint64_t group_of(const rt_select_spec *s, uint64_t row) { return s->group ? s->group[row] : row; }

static int is_open(const choice *c, uint64_t row)
{ return !c->gone[group_of(c->s, row)] && !(c->s->left_out && c->s->left_out[row]); }

/* Closes a row and its copies. */
static void close_row(choice *c, uint64_t row) { c->gone[group_of(c->s, row)] = 1; }

static rt_status begin(choice *c, const rt_select_spec *s)
{
    *c = (choice){.s = s, .gone = calloc(s->rows + 1, 1)};
    unsigned char *counted = calloc(s->rows + 1, 1);
    if (!c->gone || !counted) {
        free(counted);
        return rt_fail(RT_RUN, "out of memory");
    }
    for (uint64_t i = 0; i < s->rows; i++) if (s->labelled && s->labelled[i]) close_row(c, i);
    for (uint64_t i = 0; i < s->rows; i++) {
        uint64_t g = group_of(s, i);
        if (!is_open(c, i) || counted[g]) continue;
        counted[g] = 1;
        c->left++;
    }
    free(counted);
    if (s->n <= c->left) return RT_OK;
    return rt_fail(RT_NOTHING, "%" PRIu64 " rows are asked for, and there are %" PRIu64 " different ones without a "
                   "label to choose from", s->n, c->left);
}

/* ---- by a score ---- */

typedef struct { double score; uint64_t row; } scored;

static int by_score(const void *a, const void *b)
{
    const scored *x = a, *y = b;
    if (x->score != y->score) return x->score > y->score ? -1 : 1;
    return x->row < y->row ? -1 : x->row > y->row;
}

/* Open rows by falling uncertainty; of copies the first. */
static rt_status rank(choice *c, rt_select_by by, scored **out, uint64_t *count)
{
    const rt_select_spec *s = c->s;
    uint64_t n = 0;
    scored *list = malloc((s->rows + 1) * sizeof *list);
    *out = list;
    if (!list) return rt_fail(RT_RUN, "out of memory");
    for (uint64_t i = 0; i < s->rows; i++)
        if (is_open(c, i))
            list[n++] = (scored){rt_uncertainty(s->p + i * (uint64_t)s->classes, s->classes, by), i};
    qsort(list, n, sizeof *list, by_score);
    *count = n;
    return RT_OK;
}

static rt_status by_uncertainty(choice *c, rt_selected *out)
{
    scored *list;
    uint64_t count, n = 0;
    rt_status st = rank(c, c->s->by, &list, &count);
    for (uint64_t i = 0; i < count && n < c->s->n && !st; i++) {
        if (!is_open(c, list[i].row)) continue;
        out[n++] = (rt_selected){list[i].row, list[i].score, RT_NO_NEAR};
        close_row(c, list[i].row);
    }
    free(list);
    return st;
}

/* ---- by distance ---- */

/* Squared distances of all rows from the nearest centre so far. */
typedef struct { double *d; uint64_t *near; } field;

static double dot(const float *a, const float *b, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++) sum += (double)a[i] * (double)b[i];
    return sum;
}

static double between(const rt_select_spec *s, uint64_t a, uint64_t b)
{
    const float *x = s->h + a * (uint64_t)s->width, *y = s->h + b * (uint64_t)s->width;
    double sum = 0;
    for (int i = 0; i < s->width; i++) {
        double d = (double)x[i] - (double)y[i];
        sum += d * d;
    }
    return sum;
}

/* p - onehot(argmax p) */
static void residual(const rt_select_spec *s, uint64_t row, float *a)
{
    const float *p = s->p + row * (uint64_t)s->classes;
    int best = 0;
    memcpy(a, p, (size_t)s->classes * sizeof *a);
    for (int c = 1; c < s->classes; c++) if (p[c] > p[best]) best = c;
    a[best] -= 1;
}

/* g_i . g_j of rows whose residuals are a and b. */
static double product(const rt_select_spec *s, uint64_t i, uint64_t j, const float *a, const float *b)
{
    double features = s->h ? dot(s->h + i * (uint64_t)s->width, s->h + j * (uint64_t)s->width, s->width) : 1;
    return dot(a, b, s->classes) * features;
}

static void add_center(const choice *c, field *f, uint64_t center, const unsigned char *in)
{
    for (uint64_t i = 0; i < c->s->rows; i++) {
        if ((in && !in[i]) || !is_open(c, i)) continue;
        double d = between(c->s, i, center);
        if (d < f->d[i]) {
            f->d[i] = d;
            f->near[i] = center;
        }
    }
}

/* The open row farthest from all centres, the first of equals; in: of these alone. */
static uint64_t farthest(const choice *c, const field *f, const unsigned char *in)
{
    uint64_t best = RT_NO_NEAR;
    for (uint64_t i = 0; i < c->s->rows; i++)
        if (is_open(c, i) && (!in || in[i]) && (best == RT_NO_NEAR || f->d[i] > f->d[best])) best = i;
    return best;
}

/* Open row number `at` * their count. */
static uint64_t draw_open(const choice *c, double at, const unsigned char *in)
{
    uint64_t count = 0, last = RT_NO_NEAR;
    for (uint64_t i = 0; i < c->s->rows; i++) count += is_open(c, i) && (!in || in[i]);
    uint64_t skip = (uint64_t)(at * (double)count);
    for (uint64_t i = 0; i < c->s->rows; i++) {
        if (!is_open(c, i) || (in && !in[i])) continue;
        last = i;
        if (!skip--) break;
    }
    return last;
}

static rt_status new_field(field *f, uint64_t rows)
{
    f->d = malloc((rows + 1) * sizeof *f->d);
    f->near = malloc((rows + 1) * sizeof *f->near);
    if (!f->d || !f->near) return rt_fail(RT_RUN, "out of memory");
    for (uint64_t i = 0; i < rows; i++) {
        f->d[i] = INFINITY;
        f->near[i] = RT_NO_NEAR;
    }
    return RT_OK;
}

static void free_field(field *f)
{
    free(f->d);
    free(f->near);
}

static rt_status stopped(const rt_select_spec *s)
{ return s->stop && s->stop() ? rt_fail(RT_INTERRUPTED, "interrupted") : RT_OK; }

/* in: of these rows alone; NULL: of all. first: the row to begin with where nothing is labelled; RT_NO_NEAR: drawn. */
static rt_status k_center(choice *c, rt_selected *out, const unsigned char *in, uint64_t first)
{
    const rt_select_spec *s = c->s;
    field f = {0};
    rt_status st = new_field(&f, s->rows);
    int any = 0;
    for (uint64_t i = 0; i < s->rows && !st; i++) {
        if (!s->labelled || !s->labelled[i]) continue;
        add_center(c, &f, i, in);
        any = 1;
        st = stopped(s);
    }
    for (uint64_t n = 0; n < s->n && !st; n++) {
        uint64_t row = n || any ? farthest(c, &f, in) : first != RT_NO_NEAR ? first : draw_open(c, s->draw[0], in);
        out[n] = (rt_selected){row, f.near[row] == RT_NO_NEAR ? 0 : sqrt(f.d[row]), f.near[row]};
        close_row(c, row);
        add_center(c, &f, row, in);
        st = stopped(s);
    }
    free_field(&f);
    return st;
}

static rt_status mix(choice *c, rt_selected *out)
{
    const rt_select_spec *s = c->s;
    scored *list = NULL;
    uint64_t count, distinct = 0, most = s->n > UINT64_MAX / (uint64_t)s->pool ? s->rows : s->n * (uint64_t)s->pool;
    unsigned char *in = calloc(s->rows + 1, 1), *seen = calloc(s->rows + 1, 1);
    rt_status st = in && seen ? rank(c, RT_SELECT_ENTROPY, &list, &count) : rt_fail(RT_RUN, "out of memory");
    for (uint64_t i = 0; !st && i < count && distinct < most; i++) {
        uint64_t g = group_of(s, list[i].row);
        if (seen[g]) continue;
        seen[g] = in[list[i].row] = 1;
        distinct++;
    }
    if (!st) st = k_center(c, out, in, list[0].row);
    free(list);
    free(in);
    free(seen);
    return st;
}

/* ---- BADGE ---- */

static void add_gradient(const choice *c, field *f, uint64_t center, const double *norm, float *a, float *b)
{
    const rt_select_spec *s = c->s;
    residual(s, center, b);
    for (uint64_t i = 0; i < s->rows; i++) {
        if (!is_open(c, i)) continue;
        residual(s, i, a);
        double d = norm[i] + norm[center] - 2 * product(s, i, center, a, b);
        if (d < 0) d = 0;
        if (d < f->d[i]) {
            f->d[i] = d;
            f->near[i] = center;
        }
    }
}

/* The first open row whose sum of distances up to it is above `at` of the whole. */
static uint64_t draw_far(const choice *c, const field *f, double at)
{
    double sum = 0, so_far = 0;
    uint64_t last = RT_NO_NEAR;
    for (uint64_t i = 0; i < c->s->rows; i++) if (is_open(c, i)) sum += f->d[i];
    if (!(sum > 0)) return draw_open(c, at, NULL);        /* only gradients that are chosen already */
    for (uint64_t i = 0; i < c->s->rows; i++) {
        if (!is_open(c, i) || !(f->d[i] > 0)) continue;
        so_far += f->d[i];
        last = i;
        if (so_far > at * sum) break;
    }
    return last;
}

static rt_status badge(choice *c, rt_selected *out)
{
    const rt_select_spec *s = c->s;
    field f = {0};
    double *norm = malloc((s->rows + 1) * sizeof *norm);
    float *a = malloc(2 * (size_t)s->classes * sizeof *a);
    rt_status st = new_field(&f, s->rows);
    if (!st && (!norm || !a)) st = rt_fail(RT_RUN, "out of memory");
    uint64_t first = RT_NO_NEAR;
    for (uint64_t i = 0; i < s->rows && !st; i++) {
        if (s->left_out && s->left_out[i]) continue;
        residual(s, i, a);
        norm[i] = product(s, i, i, a, a);
        if (is_open(c, i) && (first == RT_NO_NEAR || norm[i] > norm[first])) first = i;
    }
    for (uint64_t n = 0; n < s->n && !st; n++) {
        uint64_t row = n ? draw_far(c, &f, s->draw[n]) : first;
        out[n] = (rt_selected){row, n ? sqrt(f.d[row]) : sqrt(norm[row]), f.near[row]};
        close_row(c, row);
        add_gradient(c, &f, row, norm, a, a + s->classes);
        st = stopped(s);
    }
    free_field(&f);
    free(norm);
    free(a);
    return st;
}

rt_status rt_select(rt_selected *out, const rt_select_spec *s)
{
    choice c;
    rt_status st = begin(&c, s);
    if (!st && s->by <= RT_SELECT_LEAST_CONFIDENCE) st = by_uncertainty(&c, out);
    else if (!st && s->by == RT_SELECT_K_CENTER) st = k_center(&c, out, NULL, RT_NO_NEAR);
    else if (!st && s->by == RT_SELECT_BADGE) st = badge(&c, out);
    else if (!st) st = mix(&c, out);
    free(c.gone);
    return st;
}
