/* experiments/eval/comparison_order.c - metrics of order: those that need every row's answer at once. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/eval/comparison_parts.h"
#include "experiments/statistics/statistics.h"

/* An answer among those of a side, and which of the question's rows it is of. */
typedef struct { double p; uint32_t at; int right; } ordered;

static int falling(const void *a, const void *b)
{
    double x = ((const ordered *)a)->p, y = ((const ordered *)b)->p;
    return x < y ? 1 : x > y ? -1 : 0;
}

static int first_side(const rt_asking *a) { return a->q->alone ? RT_CANDIDATE : RT_BASELINE; }

/* The baseline's number is told beside the candidate's own where it is known. */
static int first_known(const rt_asking *a)
{
    const rt_facts *f = &a->c->facts[RT_BASELINE][a->q->head];
    int known = f->there && (a->c->head[a->q->head].task != RT_TASK_CLASSES || f->sum);
    return known ? RT_BASELINE : first_side(a);
}

/* ---- one list a side: adaptive ECE, the worst tenth ---- */

/* rt_adaptive_ece of rows that stand as often as they weigh, from the largest confidence down to the least: groups are
 * the same but for their ends. */
static double adaptive_of(const ordered *r, const uint32_t *weight, uint64_t n)
{
    double all = 0, seen = 0, confidence = 0, right = 0, e = 0;
    int group = 1;
    for (uint64_t i = 0; i < n; i++) all += weight[r[i].at];
    for (uint64_t i = n; i-- > 0;) {
        double w = weight[r[i].at];
        seen += w;
        confidence += w * r[i].p;
        right += r[i].right ? w : 0;
        if (i && r[i - 1].p - r[i].p < 1e-12) continue;
        if (seen < floor(group * all / RT_ECE_BINS)) continue;
        e += fabs(right - confidence);
        confidence = right = 0;
        while (seen >= floor(group * all / RT_ECE_BINS) && group < RT_ECE_BINS) group++;
    }
    return all > 0 ? (e + fabs(right - confidence)) / all : NAN;
}

/* The mean of the largest tenth of all errors, rounded up to whole ones. */
static double worst_of(const ordered *r, const uint32_t *weight, uint64_t n)
{
    double all = 0, sum = 0;
    for (uint64_t i = 0; i < n; i++) all += weight[r[i].at];
    double worst = floor((all + 9) / 10), left = worst;
    for (uint64_t i = 0; i < n && left > 0; i++) {
        double w = fmin(left, weight[r[i].at]);
        sum += w * r[i].p;
        left -= w;
    }
    return worst > 0 ? sum / worst : NAN;
}

typedef double order_fn(const ordered *, const uint32_t *weight, uint64_t n);
typedef struct {
    const rt_asking *a;
    ordered *list[RT_SIDES];
    uint64_t count;                    /* of a list */
    order_fn *of;
    uint32_t *weight;                  /* (threads, n) */
} ordering;

static void draw_weights(const rt_asking *a, int b, uint32_t *weight)
{
    uint32_t w[4];
    memset(weight, 0, a->n * sizeof *weight);
    for (uint64_t i = 0; i < a->n; i++) weight[rt_asking_draw(w, a->q->seed, b, i, a->n)]++;
}

static double value_of(const ordering *o, const uint32_t *weight)
{
    double v[RT_SIDES] = {NAN, NAN};
    for (int s = first_side(o->a); s < RT_SIDES; s++) v[s] = o->of(o->list[s], weight, o->count);
    return rt_asking_value(o->a, v[0], v[1]);
}

static void resample_order(void *arg, int b, int thread)
{
    const ordering *o = arg;
    uint32_t *weight = o->weight + o->a->n * (uint64_t)thread;
    if (rt_stopped()) return;
    draw_weights(o->a, b, weight);
    o->a->value[b] = value_of(o, weight);
}

/* Runs fn for every resample, on all threads where there is a device. */
static rt_status run_resamples(const rt_asking *a, void (*fn)(void *, int, int), void *arg)
{
    if (a->c->device) rt_pool_run(rt_device_pool(a->c->device), a->times, fn, arg);
    for (int b = 0; !a->c->device && b < a->times; b++) fn(arg, b, 0);
    return rt_check_stop();
}

static uint32_t *weights_of(const rt_asking *a)
{ return malloc((a->n * (uint64_t)rt_device_threads(a->c->device) + 1) * sizeof(uint32_t)); }

/* Of classes the confidences, with who is right; of values the absolute errors of all elements. */
static rt_status make_lists(const rt_asking *a, ordering *o)
{
    const rt_comparison *c = a->c;
    int h = a->q->head, real = c->head[h].task == RT_TASK_REAL;
    size_t d = real ? (size_t)c->head[h].size : 1;
    o->weight = weights_of(a);
    for (int s = first_known(a); s < RT_SIDES; s++) {
        const rt_facts *f = &c->facts[s][h];
        ordered *r = o->list[s] = malloc((a->n * d + 1) * sizeof *r);
        uint64_t n = 0;
        if (!o->weight || !r) return rt_fail(RT_RUN, "out of memory");
        for (uint64_t i = 0; i < a->n; i++) {
            size_t row = a->row[i];
            if (!real) r[n++] = (ordered){f->confidence[row], (uint32_t)i, f->answer[row] == c->y[h].y[row]};
            for (size_t e = row * d; real && e < (row + 1) * d; e++)
                if (c->y[h].mask[e]) r[n++] = (ordered){fabs((double)f->z[e] - c->y[h].values[e]), (uint32_t)i, 0};
        }
        qsort(r, n, sizeof *r, falling);
        o->count = n;
    }
    return RT_OK;
}

static rt_status ask_list(rt_asking *a, order_fn *of, rt_delta *d)
{
    enum { BLOCKS = 250 };
    ordering o = {.a = a, .of = of};
    double v[RT_SIDES] = {NAN, NAN};
    rt_status st = rt_asking_room(a);
    if (!st) st = make_lists(a, &o);
    for (uint64_t i = 0; i < a->n && !st; i++) o.weight[i] = 1;
    if (!st) {
        uint64_t blocks = a->n < BLOCKS ? a->n : BLOCKS;
        for (int s = first_known(a); s < RT_SIDES; s++) v[s] = of(o.list[s], o.weight, o.count);
        a->lefts = 0;
        for (uint64_t g = 0; g < blocks; g++) {
            for (uint64_t i = g; i < a->n; i += blocks) o.weight[i] = 0;
            double value = value_of(&o, o.weight);
            if (!isnan(value)) a->left[a->lefts++] = value;
            for (uint64_t i = g; i < a->n; i += blocks) o.weight[i] = 1;
        }
        if (!rt_asking_estimate(a, v[0], v[1], d)) rt_asking_undefined(d, RT_UNDEFINED, a->metric->undefined);
        else if (a->n < 2) rt_asking_undefined(d, RT_UNDEFINED, "one row has no interval");
        else if (!(st = run_resamples(a, resample_order, &o))) rt_asking_resampled(a, d);
    }
    for (int s = 0; s < RT_SIDES; s++) free(o.list[s]);
    free(o.weight);
    return st;
}

/* ---- a list a column: classes against the rest, labels ---- */

/* Columns that the metric is a mean of: of two classes the second alone. */
static int first_column(const rt_asking *a)
{ return a->c->head[a->q->head].task == RT_TASK_CLASSES && a->c->head[a->q->head].size == 2; }

/* Whether row i of the question says something of the column; *yes: whether it is of it. */
static int tells(const rt_asking *a, uint64_t i, int e, int *yes)
{
    const rt_comparison *c = a->c;
    int h = a->q->head;
    size_t at = (size_t)a->row[i] * (size_t)c->head[h].size + (size_t)e;
    if (c->y[h].y) *yes = c->y[h].y[a->row[i]] == e;
    else *yes = c->y[h].mask[at] && c->y[h].labels[at];
    return c->y[h].y || c->y[h].mask[at];
}

static double score_of(const rt_asking *a, int side, uint64_t i, int e)
{
    const rt_comparison *c = a->c;
    int h = a->q->head;
    if (c->head[h].task == RT_TASK_CLASSES) return rt_facts_p(c, side, h, a->row[i], e);
    return c->facts[side][h].z[(size_t)a->row[i] * (size_t)c->head[h].size + (size_t)e];
}

/* ---- areas, by DeLong ---- */

typedef struct { double *sum[RT_SIDES], *p, *part; uint32_t *at; unsigned char *y; } area_room;

/* Adds a column's area and every row's part in it, where it has rows of both kinds. */
static rt_status add_area(const rt_asking *a, area_room *r, int e, double area[RT_SIDES], double *columns)
{
    uint64_t m = 0, positives = 0;
    for (uint64_t i = 0; i < a->n; i++) {
        int yes;
        if (!tells(a, i, e, &yes)) continue;
        r->y[m] = (unsigned char)yes;
        positives += (uint64_t)yes;
        r->at[m++] = (uint32_t)i;
    }
    if (!positives || positives == m) return RT_OK;
    for (int s = first_known(a); s < RT_SIDES; s++) {
        double auc;
        for (uint64_t k = 0; k < m; k++) r->p[k] = score_of(a, s, r->at[k], e);
        RT_TRY(rt_delong(r->y, r->p, m, &auc, r->part));
        for (uint64_t k = 0; k < m; k++) r->sum[s][r->at[k]] += r->part[k];
        area[s] += auc;
    }
    ++*columns;
    return rt_check_stop();
}

static rt_status ask_area(rt_asking *a, rt_delta *d)
{
    size_t n = a->n + 1;
    area_room r = {{calloc(n, sizeof(double)), calloc(n, sizeof(double))}, malloc(n * sizeof(double)),
                   malloc(n * sizeof(double)), malloc(n * sizeof *r.at), malloc(n)};
    double area[RT_SIDES] = {0}, columns = 0, variance = 0;
    int two = first_side(a) == RT_BASELINE;
    rt_status st = r.sum[0] && r.sum[1] && r.p && r.part && r.at && r.y ? RT_OK : rt_fail(RT_RUN, "out of memory");
    for (int e = first_column(a); e < a->c->head[a->q->head].size && !st; e++) st = add_area(a, &r, e, area, &columns);
    for (uint64_t i = 0; i < a->n && !st; i++) {
        double part = r.sum[RT_CANDIDATE][i] - (two ? r.sum[RT_BASELINE][i] : 0);
        variance += part * part / (columns * columns);
    }
    for (int s = 0; s < RT_SIDES; s++) area[s] = columns > 0 && s >= first_known(a) ? area[s] / columns : NAN;
    if (!st && !rt_asking_estimate(a, area[0], area[1], d))
        rt_asking_undefined(d, RT_UNDEFINED, a->metric->undefined);
    else if (!st && isnan(variance))
        rt_asking_undefined(d, RT_UNDEFINED, "a class has one row: DeLong's variance is not defined");
    else if (!st) rt_asking_normal(a, variance, columns > 1 ? "DeLong, columns averaged row by row" : "DeLong", d);
    void *owned[] = {r.sum[0], r.sum[1], r.p, r.part, r.at, r.y};
    for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++) free(owned[i]);
    return st;
}

/* ---- average precision ---- */

/* Of a column: rows by falling score. */
typedef struct { ordered *r; uint64_t n; double value; } column;
typedef struct {
    const rt_asking *a;
    column *of[RT_SIDES];              /* (size) */
    double *left[RT_SIDES], *lefts[RT_SIDES];      /* (n) sums of columns without row i, and of how many */
    uint32_t *weight;
} precision;

/* Of rows that stand as often as they weigh (NULL: once). */
static double precision_of(const column *c, const uint32_t *weight)
{
    double hits = 0, rows = 0, sum = 0;
    for (uint64_t i = 0, end; i < c->n; i = end) {
        double in = 0;
        for (end = i; end < c->n && c->r[end].p == c->r[i].p; end++) {
            double w = weight ? weight[c->r[end].at] : 1;
            in += c->r[end].right ? w : 0;
            rows += w;
        }
        hits += in;
        if (in > 0) sum += in * hits / rows;
    }
    return hits > 0 ? sum / hits : NAN;
}

/* What the column is without each of its rows, less what it is: without a row r of a group g of equal scores, of which
 * `in` of `hits` so far and `rows` so far are, the precisions before g stay, and from g on a row is missing, and, where
 * r is of the class, a hit. A column that is not defined any more is taken from the count of the row's columns. */
static void leave_out(const column *c, double *left, double *lefts)
{
    double hits = 0, all = 0, before = 0, after[2] = {0};      /* after: of rows that are not of the class, that are */
    uint64_t end;
    for (uint64_t i = 0; i < c->n; i++) all += c->r[i].right;
    for (int pass = 0; pass < 2; pass++) {
        hits = 0;
        for (uint64_t i = 0; i < c->n; i = end) {
            double in = 0;
            for (end = i; end < c->n && c->r[end].p == c->r[i].p; end++) in += c->r[end].right;
            double rows = (double)end, without = rows > 1 ? in * (hits + in) / (rows - 1) : 0;
            double with = rows > 1 ? in * (hits + in - 1) / (rows - 1) : 0;
            double mine = rows > 1 && in > 0 ? (in - 1) * (hits + in - 1) / (rows - 1) : 0;
            if (pass) after[1] -= with;
            for (uint64_t k = i; pass && k < end; k++) {
                double was = c->value, now;
                if (c->r[k].right) now = all > 1 ? (before + mine + after[1]) / (all - 1) : NAN;
                else now = (before + after[0]) / all;
                left[c->r[k].at] += isnan(now) ? -was : now - was;
                lefts[c->r[k].at] -= isnan(now);
            }
            if (pass) {
                after[0] -= without;
                before += in * (hits + in) / rows;
            } else {
                after[0] += without;
                after[1] += with;
            }
            hits += in;
        }
    }
}

static void resample_precision(void *arg, int b, int thread)
{
    const precision *p = arg;
    const rt_asking *a = p->a;
    uint32_t *weight = p->weight + a->n * (uint64_t)thread;
    double mean[RT_SIDES] = {NAN, NAN};
    if (rt_stopped()) return;
    draw_weights(a, b, weight);
    for (int s = first_side(a); s < RT_SIDES; s++) {
        double sum = 0, columns = 0;
        for (int e = first_column(a); e < a->c->head[a->q->head].size; e++) {
            double v = precision_of(&p->of[s][e], weight);
            if (isnan(v)) continue;
            sum += v;
            columns++;
        }
        mean[s] = columns > 0 ? sum / columns : NAN;
    }
    a->value[b] = rt_asking_value(a, mean[0], mean[1]);
}

/* A column's rows, its value, and what it is without each row; `keep`: the rows stay for resamples. */
static rt_status add_column(precision *p, int s, int e, int keep, double *sum, double *columns)
{
    const rt_asking *a = p->a;
    column *c = &p->of[s][e];
    if (!(c->r = malloc((a->n + 1) * sizeof *c->r))) return rt_fail(RT_RUN, "out of memory");
    for (uint64_t i = 0; i < a->n; i++) {
        int yes;
        if (tells(a, i, e, &yes)) c->r[c->n++] = (ordered){score_of(a, s, i, e), (uint32_t)i, yes};
    }
    qsort(c->r, c->n, sizeof *c->r, falling);
    c->value = precision_of(c, NULL);
    if (!isnan(c->value)) {
        *sum += c->value;
        ++*columns;
        leave_out(c, p->left[s], p->lefts[s]);
    }
    if (!keep) {
        free(c->r);
        *c = (column){0};
    }
    return rt_check_stop();
}

/* Values without each row, from the sums of the columns. */
static void put_lefts(rt_asking *a, const precision *p, const double sum[RT_SIDES], const double columns[RT_SIDES])
{
    a->lefts = 0;
    for (uint64_t i = 0; i < a->n; i++) {
        double v[RT_SIDES] = {NAN, NAN};
        for (int s = first_side(a); s < RT_SIDES; s++)
            v[s] = (sum[s] + p->left[s][i]) / (columns[s] + p->lefts[s][i]);
        double value = rt_asking_value(a, v[0], v[1]);
        if (isfinite(value)) a->left[a->lefts++] = value;
    }
}

/* (n - 1) / n times the summed squares of what the values without a row are from their mean (Efron, Stein 1981). */
static double jackknife(const double *left, uint64_t n)
{
    double mean = 0, square = 0;
    for (uint64_t i = 0; i < n; i++) mean += left[i] / (double)n;
    for (uint64_t i = 0; i < n; i++) square += (left[i] - mean) * (left[i] - mean);
    return square * (double)(n - 1) / (double)n;
}

static rt_status answer_precision(rt_asking *a, precision *p, const double sum[RT_SIDES],
                                  const double columns[RT_SIDES], int keep, rt_delta *d)
{
    double v[RT_SIDES] = {NAN, NAN};
    for (int s = first_known(a); s < RT_SIDES; s++) v[s] = columns[s] > 0 ? sum[s] / columns[s] : NAN;
    if (!rt_asking_estimate(a, v[0], v[1], d)) rt_asking_undefined(d, RT_UNDEFINED, a->metric->undefined);
    else if (a->n < 2) rt_asking_undefined(d, RT_UNDEFINED, "one row has no interval");
    else {
        put_lefts(a, p, sum, columns);
        if (keep) {
            RT_TRY(run_resamples(a, resample_precision, p));
            rt_asking_resampled(a, d);
        } else if (a->lefts < 2) rt_asking_undefined(d, RT_UNDEFINED, "rows left out do not define it");
        else rt_asking_normal(a, jackknife(a->left, a->lefts), "jackknife of rows, normal interval", d);
    }
    return RT_OK;
}

/* Resamples of many columns are fewer: what they cost is columns times rows times resamples. */
static rt_status ask_precision(rt_asking *a, rt_delta *d)
{
    enum { MOST = 2000000, LEAST = 1000 };
    static const double steps = 2e8;
    int size = a->c->head[a->q->head].size;
    precision p = {.a = a, .weight = weights_of(a)};
    double sum[RT_SIDES] = {0}, columns[RT_SIDES] = {0}, all = (double)a->n * (size - first_column(a));
    int keep = all <= MOST;
    rt_status st = rt_asking_room(a);
    if (!st && !p.weight) st = rt_fail(RT_RUN, "out of memory");
    if (!st && all * a->times > steps) a->times = steps / all > LEAST ? (int)(steps / all) : LEAST;
    for (int s = first_known(a); s < RT_SIDES && !st; s++) {
        p.of[s] = calloc((size_t)size, sizeof *p.of[s]);
        p.left[s] = calloc(a->n + 1, sizeof(double));
        p.lefts[s] = calloc(a->n + 1, sizeof(double));
        if (!p.of[s] || !p.left[s] || !p.lefts[s]) st = rt_fail(RT_RUN, "out of memory");
        for (int e = first_column(a); e < size && !st; e++)
            st = add_column(&p, s, e, keep && s >= first_side(a), &sum[s], &columns[s]);
    }
    if (!st) st = answer_precision(a, &p, sum, columns, keep, d);
    for (int s = 0; s < RT_SIDES; s++) {
        for (int e = 0; e < size && p.of[s]; e++) free(p.of[s][e].r);
        free(p.of[s]);
        free(p.left[s]);
        free(p.lefts[s]);
    }
    free(p.weight);
    return st;
}

/* ---- all ---- */

rt_status rt_asking_order(rt_asking *a, rt_delta *d)
{
    const rt_comparison *c = a->c;
    int h = a->q->head;
    if (!strcmp(a->metric->name, "adaptive_ece")) return ask_list(a, adaptive_of, d);
    if (!strcmp(a->metric->name, "worst_decile")) return ask_list(a, worst_of, d);
    for (int s = first_side(a); s < RT_SIDES && c->head[h].task == RT_TASK_CLASSES; s++)
        if (!c->facts[s][h].sum) {
            rt_asking_undefined(d, RT_UNDEFINED, "the predictions keep the largest logits alone (topk)");
            return RT_OK;
        }
    return strcmp(a->metric->name, "auc") ? ask_precision(a, d) : ask_area(a, d);
}
