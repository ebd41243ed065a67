/* experiments/eval/comparison_ask.c - one question at a time: which rows it is about, the number of both sides, its
 * interval.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/rng.h"
#include "experiments/eval/comparison_parts.h"
#include "experiments/statistics/statistics.h"

/* ---- one question ---- */

void rt_asking_undefined(rt_delta *d, rt_delta_status status, const char *reason)
{
    d->status = status;
    snprintf(d->reason, sizeof d->reason, "%s", reason);
}

double rt_asking_value(const rt_asking *a, double baseline, double candidate)
{
    if (a->q->alone) return candidate;
    double drop = a->q->metric->higher ? baseline - candidate : candidate - baseline;
    if (!a->q->relative) return drop;
    return baseline > 0 ? drop / baseline : NAN;
}

int rt_asking_estimate(const rt_asking *a, double baseline, double candidate, rt_delta *d)
{
    d->baseline = baseline;
    d->candidate = candidate;
    if (!a->q->alone) d->drop = rt_asking_value(a, baseline, candidate);
    return !isnan(candidate) && (a->q->alone || !isnan(baseline));
}

/* The one-sided p of a true value within the limit, from that of one at most as large: of a number alone the limit may
 * be a least one. */
static double one_sided(const rt_asking *a, double at_most)
{ return a->q->alone && a->q->metric->higher ? 1 - at_most : at_most; }

enum { TAIL = 3 };                     /* resamples beyond an end of the interval, at least */

/* Where so few resamples say nothing of an end as far out: the wider of the widest interval that they do tell, and
 * the normal one of their standard deviation. */
static void widen(const rt_asking *a, int n, double estimate, double acceleration, rt_delta *d)
{
    double mean = 0, square = 0, z = rt_normal_quantile(0.5 + a->q->confidence / 2), range[2];
    for (int i = 0; i < n; i++) mean += a->value[i] / n;
    for (int i = 0; i < n; i++) square += (a->value[i] - mean) * (a->value[i] - mean) / (n - 1);
    rt_bca(a->value, n, estimate, acceleration, 1 - 2.0 * TAIL / n, range);
    d->lo = fmin(range[0], estimate - z * sqrt(square));
    d->hi = fmax(range[1], estimate + z * sqrt(square));
    d->method = "BCa bootstrap of pairs, and beyond what resamples tell the normal interval of their deviation";
}

/* Nothing differs between resamples, and that cannot tell how much might: as many rows without a flip, or, of a number
 * alone, without an error. */
static void from_equal(const rt_asking *a, double estimate, rt_delta *d)
{
    double range[2];
    if (a->q->alone) {
        rt_wilson(a->n, a->n, a->q->confidence, range);
        d->lo = estimate - (1 - range[0]);
        d->hi = estimate + (1 - range[0]);
        d->method = "no resample differs: Wilson's interval of as many rows without an error";
        return;
    }
    rt_tango(0, 0, a->n, a->q->confidence, range);
    d->lo = estimate + range[0];
    d->hi = estimate + range[1];
    d->p = 1;
    d->p_limit = rt_normal_cdf(-rt_tango_score(0, 0, a->n, a->q->limit - estimate));
    d->method = "no resample differs: Tango's interval of as many rows without a flip";
}

void rt_asking_resampled(rt_asking *a, rt_delta *d)
{
    int n = 0;
    double estimate = a->q->alone ? d->candidate : d->drop;
    for (int i = 0; i < a->times; i++) if (!isnan(a->value[i])) a->value[n++] = a->value[i];
    if (isnan(estimate)) {
        rt_asking_undefined(d, RT_UNDEFINED, "the baseline's number is 0: nothing is relative to it");
        return;
    }
    if (n < a->times - a->times / 10) {
        rt_asking_undefined(d, RT_UNDEFINED, "resamples of so few rows do not define it");
        return;
    }
    rt_sort_doubles(a->value, (uint64_t)n);
    if (a->value[0] == a->value[n - 1]) {
        from_equal(a, estimate, d);
        return;
    }
    double acceleration = rt_acceleration(a->left, a->lefts), range[2];
    double below = rt_bca_p(a->value, n, estimate, acceleration, 0);
    if ((1 - a->q->confidence) / 2 * n < TAIL) widen(a, n, estimate, acceleration, d);
    else {
        rt_bca(a->value, n, estimate, acceleration, a->q->confidence, range);
        d->lo = range[0];
        d->hi = range[1];
        d->method = a->q->alone ? "BCa bootstrap of rows" : "BCa bootstrap of pairs";
    }
    if (!a->q->alone) d->p = fmin(1, 2 * fmin(below, 1 - below));
    d->p_limit = one_sided(a, rt_bca_p(a->value, n, estimate, acceleration, a->q->limit));
}

void rt_asking_normal(const rt_asking *a, double variance, const char *method, rt_delta *d)
{
    double z = rt_normal_quantile(0.5 + a->q->confidence / 2), deviation = sqrt(fmax(0, variance));
    double value = a->q->alone ? d->candidate : d->drop;
    int tells = deviation > 1e-9;
    if (a->q->relative) {
        rt_asking_undefined(d, RT_UNDEFINED, "its interval is of the drop itself, not of a relative one");
        return;
    }
    d->lo = value - z * deviation;
    d->hi = value + z * deviation;
    if (!a->q->alone) d->p = tells ? 2 * rt_normal_cdf(-fabs(value) / deviation) : value == 0 ? 1 : NAN;
    d->p_limit = one_sided(a, tells ? rt_normal_cdf(-(value - a->q->limit) / deviation) : value > a->q->limit ? 0 : 1);
    d->method = method;
}

rt_status rt_asking_room(rt_asking *a)
{
    a->times = a->n <= 20000 ? 4000 : a->n <= 200000 ? 2000 : 1000;
    a->lefts = a->n;
    a->value = malloc((size_t)a->times * sizeof *a->value);
    a->left = malloc((a->n + 1) * sizeof *a->left);
    return a->value && a->left ? RT_OK : rt_fail(RT_RUN, "out of memory");
}

/* ---- metrics of sums ---- */

typedef struct {
    const rt_asking *a;
    rt_scores *sums;                   /* (threads, sides) */
    rt_column_score *column;           /* (threads, size) */
    double *value;                     /* (sides, metrics, times) */
} resampling;

static void clear(rt_scores *s)
{
    size_t k = (size_t)s->size;
    rt_scores kept = *s;
    *s = (rt_scores){.task = kept.task, .size = kept.size, .truth = kept.truth, .answered = kept.answered,
                     .hit = kept.hit, .column = kept.column, .p = kept.p, .y = kept.y, .z = kept.z,
                     .label = kept.label};
    memset(s->truth, 0, k * sizeof *s->truth);
    memset(s->answered, 0, k * sizeof *s->answered);
    memset(s->hit, 0, k * sizeof *s->hit);
    memset(s->column, 0, k * sizeof *s->column);
}

/* What metric m is of sums; NAN for those that need every row's answer. */
static double value_of(const rt_metric *m, const rt_scores *s, rt_column_score *column)
{
    rt_scores done;
    rt_facts_finish(s, &done, column);
    return m->ranks ? NAN : m->of(&done);
}

static void resample(void *arg, int b, int thread)
{
    resampling *r = arg;
    const rt_asking *a = r->a;
    const rt_comparison *c = a->c;
    int h = a->q->head;
    const rt_metric_table *t = &rt_metrics[c->head[h].task];
    rt_scores *s = r->sums + RT_SIDES * thread;
    rt_column_score *column = r->column + (size_t)thread * (size_t)c->head[h].size;
    uint32_t w[4];
    if (rt_stopped()) return;
    for (int side = 0; side < RT_SIDES; side++) clear(&s[side]);
    for (uint64_t i = 0; i < a->n; i++) {
        uint32_t row = a->row[rt_asking_draw(w, a->q->seed, b, i, a->n)];
        rt_facts_add(c, RT_BASELINE, h, row, 1, &s[RT_BASELINE]);
        rt_facts_add(c, RT_CANDIDATE, h, row, 1, &s[RT_CANDIDATE]);
    }
    for (int side = 0; side < RT_SIDES; side++)
        for (int m = 0; m < t->count; m++)
            r->value[((size_t)side * (size_t)t->count + (size_t)m) * (size_t)a->times + (size_t)b] =
                value_of(&t->metric[m], &s[side], column);
}

/* Resamples of all metrics of sums over the rows, made once for the questions that follow. */
static rt_status resamples_of(rt_asking *a, const double **value)
{
    rt_comparison *c = a->c;
    int h = a->q->head, threads = rt_device_threads(c->device);
    size_t metrics = (size_t)rt_metrics[c->head[h].task].count;
    for (int i = 0; i < RT_RESAMPLES_KEPT; i++) {
        const rt_resamples *k = &c->kept[i];
        if (!k->value || k->head != h || k->slice != a->q->slice || k->seed != a->q->seed) continue;
        *value = k->value;
        return RT_OK;
    }
    rt_resamples *to = &c->kept[c->turn++ % RT_RESAMPLES_KEPT];
    free(to->value);
    *to = (rt_resamples){h, a->times, a->q->slice, a->q->seed,
                         malloc(RT_SIDES * metrics * (size_t)a->times * sizeof *to->value)};
    resampling r = {a, calloc((size_t)threads * RT_SIDES, sizeof *r.sums),
                    calloc((size_t)threads * (size_t)c->head[h].size, sizeof *r.column), to->value};
    rt_status st = r.sums && r.column && r.value ? RT_OK : rt_fail(RT_RUN, "out of memory");
    for (int i = 0; i < threads * RT_SIDES && !st; i++)
        st = rt_scores_begin(&r.sums[i], c->head[h].task, c->head[h].size, 0, 0);
    if (!st && c->device) rt_pool_run(rt_device_pool(c->device), a->times, resample, &r);
    for (int b = 0; !st && !c->device && b < a->times; b++) resample(&r, b, 0);
    if (!st) st = rt_check_stop();
    for (int i = 0; i < threads * RT_SIDES && r.sums; i++) rt_scores_free(&r.sums[i]);
    free(r.sums);
    free(r.column);
    if (st) {
        free(to->value);
        to->value = NULL;
    }
    *value = to->value;
    return st;
}

enum { BLOCKS = 1000 };

/* Values with each row left out; of many rows with each of a thousand blocks, which are random, as rows lie in the
 * order of hashes. */
static void leave_out(rt_asking *a, rt_scores *s, rt_column_score *column)
{
    const rt_comparison *c = a->c;
    int h = a->q->head;
    uint64_t size = a->n * (uint64_t)c->head[h].size > 100000000 ? (a->n + BLOCKS - 1) / BLOCKS : 1;
    a->lefts = 0;
    for (uint64_t at = 0; at < a->n; at += size) {
        double v[RT_SIDES];
        uint64_t end = at + size < a->n ? at + size : a->n;
        for (int side = 0; side < RT_SIDES; side++) {
            for (uint64_t i = at; i < end; i++) rt_facts_add(c, side, h, a->row[i], -1, &s[side]);
            v[side] = value_of(a->metric, &s[side], column);
            for (uint64_t i = at; i < end; i++) rt_facts_add(c, side, h, a->row[i], 1, &s[side]);
        }
        double drop = rt_asking_value(a, v[0], v[1]);
        if (!isnan(drop)) a->left[a->lefts++] = drop;
    }
}

static const char *why_not(const rt_asking *a, const rt_scores *s)
{
    int top = (a->c->p[0]->topk && !a->q->alone) || a->c->p[1]->topk;
    if (s->rows && top && !a->metric->undefined) return "the predictions keep the largest logits alone (topk)";
    return rt_metric_undefined(a->metric, s) ? rt_metric_undefined(a->metric, s) : "it is not defined of these rows";
}

static rt_status ask_sums(rt_asking *a, rt_delta *d)
{
    const rt_comparison *c = a->c;
    int h = a->q->head;
    const double *value;
    rt_scores s[RT_SIDES] = {{0}};
    rt_column_score *column = calloc((size_t)c->head[h].size, sizeof *column);
    rt_status st = column ? RT_OK : rt_fail(RT_RUN, "out of memory");
    double v[RT_SIDES] = {NAN, NAN};
    for (int side = 0; side < RT_SIDES && !st; side++) {
        st = rt_scores_begin(&s[side], c->head[h].task, c->head[h].size, 0, 0);
        for (uint64_t i = 0; i < a->n && !st; i++) rt_facts_add(c, side, h, a->row[i], 1, &s[side]);
        if (!st) v[side] = value_of(a->metric, &s[side], column);
    }
    int tells = rt_asking_estimate(a, v[0], v[1], d);
    if (!st && !tells) rt_asking_undefined(d, RT_UNDEFINED, why_not(a, &s[a->q->alone ? RT_CANDIDATE : RT_BASELINE]));
    else if (!st && !strcmp(a->metric->name, "max_error"))
        rt_asking_undefined(d, RT_UNDEFINED, "a largest error has no interval that resamples could tell");
    else if (!st && a->n < 2) rt_asking_undefined(d, RT_UNDEFINED, "one row has no interval");
    else if (!st && !(st = rt_asking_room(a)) && !(st = resamples_of(a, &value))) {
        size_t metrics = (size_t)rt_metrics[c->head[h].task].count, times = (size_t)a->times, m = (size_t)a->place;
        for (size_t b = 0; b < times; b++)
            a->value[b] = rt_asking_value(a, value[m * times + b], value[(metrics + m) * times + b]);
        leave_out(a, s, column);
        rt_asking_resampled(a, d);
    }
    for (int side = 0; side < RT_SIDES; side++) rt_scores_free(&s[side]);
    free(column);
    return st;
}

/* ---- shares ---- */

/* One share, of both sides together or of the candidate alone: successes among n. */
static void one_share(const rt_asking *a, uint64_t k, uint64_t n, const char *none, rt_delta *d)
{
    double range[2], limit = a->q->limit, sign = a->q->metric->higher ? -1 : 1;
    if (!n) {
        rt_asking_undefined(d, RT_UNDEFINED, none);
        return;
    }
    rt_wilson(k, n, a->q->confidence, range);
    d->candidate = (double)k / (double)n;
    d->lo = range[0];
    d->hi = range[1];
    d->method = "Wilson's score interval";
    if (limit > 0 && limit < 1)
        d->p_limit = rt_normal_cdf(-sign * (d->candidate - limit) / sqrt(limit * (1 - limit) / (double)n));
}

static rt_status ask_share(rt_asking *a, int (*is)(const rt_asking *, int side, uint32_t row), rt_delta *d)
{
    uint64_t right[RT_SIDES] = {0}, n = a->n;
    double range[2];
    for (uint64_t i = 0; i < n; i++) {
        int first = is(a, RT_BASELINE, a->row[i]), second = is(a, RT_CANDIDATE, a->row[i]);
        right[0] += (uint64_t)first;
        right[1] += (uint64_t)second;
        d->b += first && !second;
        d->c += !first && second;
    }
    d->baseline = (double)right[0] / (double)n;
    d->candidate = (double)right[1] / (double)n;
    if (a->q->alone) {
        d->b = d->c = 0;
        one_share(a, right[1], n, "", d);
        return RT_OK;
    }
    d->drop = ((double)d->b - (double)d->c) / (double)n;
    rt_tango(d->b, d->c, n, a->q->confidence, range);
    d->lo = range[0];
    d->hi = range[1];
    d->p = rt_mcnemar(d->b, d->c);
    d->p_limit = rt_normal_cdf(-rt_tango_score(d->b, d->c, n, a->q->limit));
    d->method = "Tango's score interval";
    return RT_OK;
}

static int is_right(const rt_asking *a, int side, uint32_t row) { return rt_facts_right(a->c, side, a->q->head, row); }
static int is_top5(const rt_asking *a, int side, uint32_t row) { return a->c->facts[side][a->q->head].above[row] < 5; }

static void ask_pair(rt_asking *a, rt_delta *d)
{
    uint64_t cell[4] = {0}, same = 0;          /* a, b, c, d */
    const rt_facts *f[RT_SIDES] = {&a->c->facts[0][a->q->head], &a->c->facts[1][a->q->head]};
    const char *name = a->q->metric->name;
    for (uint64_t i = 0; i < a->n; i++) {
        int first = is_right(a, RT_BASELINE, a->row[i]), second = is_right(a, RT_CANDIDATE, a->row[i]);
        cell[(first ? 0 : 2) + !second]++;
        if (f[0]->answer) same += f[0]->answer[a->row[i]] == f[1]->answer[a->row[i]];
    }
    d->b = cell[1];
    d->c = cell[2];
    if (!strcmp(name, "nfr")) one_share(a, cell[1], a->n, "", d);
    else if (!strcmp(name, "btc")) one_share(a, cell[0], cell[0] + cell[1], "the baseline has no row right", d);
    else if (!strcmp(name, "nfi")) one_share(a, cell[1], cell[1] + cell[3], "the candidate has no row wrong", d);
    else one_share(a, same, a->n, "", d);
}

/* ---- one class ---- */

/* Bits: the row is of the class; the baseline answers it; the candidate does. */
static int cell_of(const rt_asking *a, uint32_t row)
{
    const rt_comparison *c = a->c;
    int h = a->q->head, class = a->q->class, truth, answer[RT_SIDES];
    size_t at = (size_t)row * (size_t)c->head[h].size + (size_t)class;
    truth = c->y[h].y ? c->y[h].y[row] == class : c->y[h].labels[at] != 0;
    for (int s = 0; s < RT_SIDES; s++) {
        const rt_facts *f = &c->facts[s][h];
        answer[s] = f->answer ? f->answer[row] == class : f->z[at] > 0;
    }
    return truth | answer[0] << 1 | answer[1] << 2;
}

static int is_answered(const rt_asking *a, int side, uint32_t row) { return cell_of(a, row) >> (1 + side) & 1; }

/* Precision, recall or F1 of a side from counts by cell. */
static double of_cells(const rt_asking *a, const double count[8], int side)
{
    double hit = 0, truth = 0, answered = 0;
    const char *name = a->q->metric->name;
    for (int k = 0; k < 8; k++) {
        int t = k & 1, y = k >> (1 + side) & 1;
        hit += t && y ? count[k] : 0;
        truth += t ? count[k] : 0;
        answered += y ? count[k] : 0;
    }
    if (*name == 'p') return answered > 0 ? hit / answered : NAN;
    if (*name == 'r') return truth > 0 ? hit / truth : NAN;
    return truth + answered > 0 ? 2 * hit / (truth + answered) : NAN;
}

static rt_status resample_cells(rt_asking *a, double count[8], rt_delta *d)
{
    unsigned char *cell = malloc(a->n + 1);
    rt_status st = cell ? rt_asking_room(a) : rt_fail(RT_RUN, "out of memory");
    for (uint64_t i = 0; i < a->n && !st; i++) cell[i] = (unsigned char)cell_of(a, a->row[i]);
    for (int b = 0; b < a->times && !st; b++) {
        double drawn[8] = {0};
        uint32_t w[4];
        for (uint64_t i = 0; i < a->n; i++) drawn[cell[rt_asking_draw(w, a->q->seed, b, i, a->n)]]++;
        a->value[b] = rt_asking_value(a, of_cells(a, drawn, 0), of_cells(a, drawn, 1));
        st = rt_check_stop();
    }
    a->lefts = 0;
    for (uint64_t i = 0; i < a->n && !st; i++) {
        count[cell[i]]--;
        double drop = rt_asking_value(a, of_cells(a, count, 0), of_cells(a, count, 1));
        count[cell[i]]++;
        if (!isnan(drop)) a->left[a->lefts++] = drop;
    }
    free(cell);
    if (!st) rt_asking_resampled(a, d);
    return st;
}

/* Rows without the class in truth and answers say nothing of it, and are left out of resamples. */
static rt_status ask_class(rt_asking *a, rt_delta *d)
{
    double count[8] = {0};
    int recall = !strcmp(a->q->metric->name, "recall");
    uint64_t n = 0;
    char reason[160], number[16];
    for (uint64_t i = 0; i < a->n; i++) {
        int cell = cell_of(a, a->row[i]);
        if (recall ? !(cell & 1) : !cell) continue;
        count[cell]++;
        a->row[n++] = a->row[i];
    }
    a->n = n;
    d->n = recall ? n : (uint64_t)(count[1] + count[3] + count[5] + count[7]);
    if (d->n < a->q->min_rows) {
        snprintf(reason, sizeof reason, "n = %llu, and %llu are asked for", (unsigned long long)d->n,
                 (unsigned long long)a->q->min_rows);
        rt_asking_undefined(d, RT_TOO_FEW_ROWS, reason);
        return RT_OK;
    }
    int tells = rt_asking_estimate(a, of_cells(a, count, 0), of_cells(a, count, 1), d);
    snprintf(reason, sizeof reason, "no row %s '%.60s'", recall ? "is of" : "is answered by both with",
             rt_names_at(&a->c->head[a->q->head].names, a->q->class, number));
    if (!tells) rt_asking_undefined(d, RT_UNDEFINED, reason);
    else if (recall && !a->q->relative) return ask_share(a, is_answered, d);
    else if (n < 2) rt_asking_undefined(d, RT_UNDEFINED, "one row has no interval");
    else return resample_cells(a, count, d);
    return RT_OK;
}

/* ---- all ---- */

/* Rows of the question: in the slice, with a label, and for what is right only those with all their labels. */
static rt_status find_rows(rt_asking *a)
{
    const rt_comparison *c = a->c;
    const rt_slice *s = a->q->slice;
    int h = a->q->head, whole = c->head[h].task == RT_TASK_MULTILABEL &&
                                (a->q->metric->of == RT_OF_PAIR || !strcmp(a->q->metric->name, "subset_accuracy"));
    size_t k = (size_t)c->head[h].size;
    uint64_t n = s ? s->rows : c->n;
    a->row = malloc((n + 1) * sizeof *a->row);
    if (!a->row) return rt_fail(RT_RUN, "out of memory");
    for (uint64_t i = 0; i < n; i++) {
        uint32_t row = s ? s->row[i] : (uint32_t)i;
        int counts = rt_facts_counts(c, h, row);
        for (size_t e = 0; e < k && counts && whole; e++) counts = c->y[h].mask[row * k + e];
        if (counts && a->q->metric->of == RT_OF_CLASS && c->y[h].mask)
            counts = c->y[h].mask[row * k + (size_t)a->q->class];
        if (counts) a->row[a->n++] = row;
    }
    return RT_OK;
}

static rt_status answer(rt_asking *a, rt_delta *d)
{
    const rt_comparison *c = a->c;
    const rt_paired_metric *m = a->q->metric;
    int h = a->q->head, first = a->q->alone ? RT_CANDIDATE : RT_BASELINE;
    if (m->of == RT_OF_CLASS) return ask_class(a, d);
    if (m->of == RT_OF_PAIR) {
        ask_pair(a, d);
        return RT_OK;
    }
    a->place = (int)(a->metric - rt_metrics[m->task].metric);
    if (!rt_metric_fits(a->metric, c->head[h].size)) {
        rt_asking_undefined(d, RT_UNDEFINED, a->metric->undefined);
        return RT_OK;
    }
    if (a->metric->ranks) return rt_asking_order(a, d);
    if (!strcmp(m->name, "top5")) {
        for (int s = first; s < RT_SIDES; s++)
            if (c->p[s]->topk && c->p[s]->topk < 5) {
                rt_asking_undefined(d, RT_UNDEFINED, "the predictions keep fewer than five logits (topk)");
                return RT_OK;
            }
        if (!a->q->relative) return ask_share(a, is_top5, d);
    }
    if (!a->q->relative && (!strcmp(m->name, "accuracy") || !strcmp(m->name, "subset_accuracy")))
        return ask_share(a, is_right, d);
    return ask_sums(a, d);
}

rt_status rt_comparison_ask(rt_comparison *c, const rt_question *q, rt_delta *d)
{
    rt_asking a = {.c = c, .q = q};
    char reason[160];
    rt_task task = c->head[q->head].task;
    *d = (rt_delta){.baseline = NAN, .candidate = NAN, .drop = NAN, .lo = NAN, .hi = NAN, .p = NAN, .p_limit = NAN,
                    .method = ""};
    if (q->metric->task != task) {
        snprintf(reason, sizeof reason, "'%s' is of heads of %s, and '%.40s' is of %s", q->metric->name,
                 rt_task_name(q->metric->task), c->head[q->head].name, rt_task_name(task));
        rt_asking_undefined(d, RT_UNDEFINED, reason);
        return RT_OK;
    }
    if (q->metric->of == RT_OF_MODEL) a.metric = rt_metric_find(task, q->metric->name);
    rt_status st = RT_OK;
    for (int s = q->alone ? RT_CANDIDATE : RT_BASELINE; s < RT_SIDES; s++)
        if (!c->facts[s][q->head].there) rt_asking_undefined(d, RT_UNDEFINED, "a side lacks the head");
    if (d->status) return RT_OK;
    st = find_rows(&a);
    d->n = a.n;
    if (!st && !a.n)
        rt_asking_undefined(d, RT_UNDEFINED, task == RT_TASK_REAL ? "no row has a target" : "no row has a label");
    else if (!st && a.n < q->min_rows && q->metric->of != RT_OF_CLASS) {
        snprintf(reason, sizeof reason, "n = %llu, and %llu are asked for", (unsigned long long)a.n,
                 (unsigned long long)q->min_rows);
        rt_asking_undefined(d, RT_TOO_FEW_ROWS, reason);
    } else if (!st) st = answer(&a, d);
    free(a.row);
    free(a.value);
    free(a.left);
    return st;
}
