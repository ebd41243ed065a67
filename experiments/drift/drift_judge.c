/* experiments/drift/drift_judge.c - from counts to checks, and from checks to a verdict. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/drift/drift_parts.h"
#include "experiments/statistics/statistics.h"
#include "experiments/statistics/statistics_samples.h"

const char *const rt_drift_verdict_name[3] = {"none", "drift", "undecided"};

static rt_status no_memory(void) { return rt_fail(RT_RUN, "out of memory"); }

rt_drift_finding *rt_drift_new_finding(rt_drift_work *w, const char *kind, int column)
{
    if (w->checks == w->check_room) {
        int room = w->check_room ? 2 * w->check_room : 64;
        rt_drift_finding *c = realloc(w->check, (size_t)room * sizeof *c);
        if (!c) return NULL;
        w->check = c;
        w->check_room = room;
    }
    rt_drift_finding *c = &w->check[w->checks++];
    *c = (rt_drift_finding){.kind = kind, .column = column, .test = "none", .statistic = NAN, .p = 1};
    return c;
}

/* A column's own limit, or that of all. */
static double limit_of(const rt_drift_work *w, int column, rt_drift_limit which)
{
    const cJSON *own = cJSON_GetObjectItemCaseSensitive(w->limits.columns, w->column[column].name);
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(own, rt_drift_limit_keys[which].key);
    return cJSON_IsNumber(v) ? v->valuedouble : w->limits.of[which];
}

static const char *const count_test[] = {"none", "chi_square", "fisher"};

/* ---- one column ---- */

static void take_psi(rt_drift_finding *c, const rt_drift_bins *b, double limit)
{
    c->bins = b->bins;
    c->effect[c->effects++] = (rt_drift_effect){"psi", RT_DRIFT_BY_PSI,
                                                rt_psi(b->count[0], b->count[1], b->bins), limit, NAN};
}

static rt_status judge_numbers(rt_drift_work *w, int column)
{
    const rt_drift_column *of = &w->column[column];
    rt_drift_bins bins;
    rt_drift_finding *c = rt_drift_new_finding(w, "distribution", column);
    if (!c) return no_memory();
    uint64_t n[RT_DRIFT_SIDES], above = 0, below = 0;
    for (int s = 0; s < RT_DRIFT_SIDES; s++) c->rows[s] = n[s] = of->side[s].rows - of->side[s].missing;
    RT_TRY(rt_drift_column_bins(of, &bins));
    c->test = "ks";
    c->statistic = rt_ks_distance(of->count[0], of->count[1], of->edges + 1);
    c->p = rt_ks_p(n[0], n[1], c->statistic, &c->exact);
    take_psi(c, &bins, limit_of(w, column, RT_DRIFT_MAX_PSI));
    c->effect[c->effects++] = (rt_drift_effect){"ks", RT_DRIFT_BY_KS, c->statistic,
                                                limit_of(w, column, RT_DRIFT_MAX_KS), NAN};
    for (int i = of->edges; i >= 0 && !of->count[0][i]; i--) above += of->count[1][i];
    for (int i = 0; i <= of->edges && !of->count[0][i]; i++) below += of->count[1][i];
    if (!(c = rt_drift_new_finding(w, "outside", column))) return no_memory();
    for (int s = 0; s < RT_DRIFT_SIDES; s++) c->rows[s] = n[s];
    c->test = "precedence";
    c->r = n[0];
    c->statistic = (double)(above + below);
    c->p = fmin(1, 2 * fmin(rt_above_p(n[0], n[0], n[1], above), rt_above_p(n[0], n[0], n[1], below)));
    c->effects = 1;
    c->effect[0] = (rt_drift_effect){"share", RT_DRIFT_BY_ABOVE, c->statistic / (double)n[1],
                                     limit_of(w, column, RT_DRIFT_MAX_OUTSIDE), NAN};
    return RT_OK;
}

/* By Good and Turing (1953) as large a share of new rows as stands once in the reference is of categories that it has
 * not. */
static rt_status judge_unseen(rt_drift_work *w, int column, const uint64_t n[2])
{
    const rt_drift_column *of = &w->column[column];
    uint64_t once = 0, unseen = of->other[1];
    rt_counts_result r;
    if (of->other[0]) return RT_OK;
    for (int i = 0; i < of->codes; i++) {
        once += of->of[0][i] == 1;
        if (!of->of[0][i]) unseen += of->of[1][i];
    }
    rt_drift_finding *c = rt_drift_new_finding(w, "unseen", column);
    if (!c) return no_memory();
    uint64_t a[2] = {once, n[0] - once}, b[2] = {unseen, n[1] - unseen};
    RT_TRY(rt_counts_p(a, b, 2, &r));
    double more = (double)unseen / (double)n[1] - (double)once / (double)n[0];
    c->test = count_test[r.test];
    c->statistic = (double)unseen;
    c->p = more > 0 ? r.p : 1;
    c->base = (double)once / (double)n[0];
    for (int s = 0; s < RT_DRIFT_SIDES; s++) c->rows[s] = n[s];
    c->effects = 1;
    c->effect[0] = (rt_drift_effect){"share", RT_DRIFT_BY_SHARES, fmax(0, more),
                                     limit_of(w, column, RT_DRIFT_MAX_UNSEEN), NAN};
    return RT_OK;
}

static rt_status judge_categories(rt_drift_work *w, int column)
{
    const rt_drift_column *of = &w->column[column];
    rt_drift_bins bins;
    rt_counts_result r;
    rt_drift_finding *c = rt_drift_new_finding(w, "distribution", column);
    if (!c) return no_memory();
    size_t k = (size_t)of->codes + 1;
    uint64_t *count[RT_DRIFT_SIDES], n[RT_DRIFT_SIDES];
    for (int s = 0; s < RT_DRIFT_SIDES; s++) {
        c->rows[s] = n[s] = of->side[s].rows - of->side[s].missing;
        count[s] = malloc(k * sizeof *count[s]);
        if (count[s] && of->codes) memcpy(count[s], of->of[s], (k - 1) * sizeof *count[s]);
        if (count[s]) count[s][k - 1] = of->other[s];
    }
    rt_status st = count[0] && count[1] ? rt_counts_p(count[0], count[1], (int)k, &r) : no_memory();
    for (int s = 0; s < RT_DRIFT_SIDES; s++) free(count[s]);
    if (!st) st = rt_drift_column_bins(of, &bins);
    if (st) return st;
    c->test = count_test[r.test];
    c->statistic = r.statistic;
    c->p = r.p;
    take_psi(c, &bins, limit_of(w, column, RT_DRIFT_MAX_PSI));
    return judge_unseen(w, column, n);
}

static rt_status judge_missing(rt_drift_work *w, int column)
{
    const rt_drift_moments *a = &w->column[column].side[0], *b = &w->column[column].side[1];
    uint64_t x[2] = {a->missing, a->rows - a->missing}, y[2] = {b->missing, b->rows - b->missing};
    rt_counts_result r;
    if (!a->missing && !b->missing) return RT_OK;
    rt_drift_finding *c = rt_drift_new_finding(w, "missing", column);
    if (!c) return no_memory();
    RT_TRY(rt_counts_p(x, y, 2, &r));
    c->test = count_test[r.test];
    c->statistic = r.statistic;
    c->p = r.p;
    c->rows[0] = a->rows;
    c->rows[1] = b->rows;
    c->base = (double)a->missing / (double)a->rows;
    c->effects = 1;
    c->effect[0] = (rt_drift_effect){"change", RT_DRIFT_BY_SHARES, fabs((double)b->missing / (double)b->rows - c->base),
                                     limit_of(w, column, RT_DRIFT_MAX_MISSING), NAN};
    return RT_OK;
}

static rt_status judge_column(rt_drift_work *w, int column)
{
    const rt_drift_column *of = &w->column[column];
    RT_TRY(judge_missing(w, column));
    for (int s = 0; s < RT_DRIFT_SIDES; s++)
        if (of->side[s].missing == of->side[s].rows) return RT_OK;      /* the check of missing values has said it */
    return of->category ? judge_categories(w, column) : judge_numbers(w, column);
}

/* ---- what the model is expected to get right ---- */

static int falling(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x > y ? -1 : x < y;
}

static double mean_of(const double *v, uint64_t n)
{
    double sum = 0;
    for (uint64_t i = 0; i < n; i++) sum += v[i];
    return n ? sum / (double)n : NAN;
}

/* Rows with a label, and how many of them are right. */
static uint64_t count_right(const signed char *right, uint64_t n, uint64_t *labelled)
{
    uint64_t hits = 0;
    *labelled = 0;
    for (uint64_t i = 0; right && i < n; i++) {
        *labelled += right[i] >= 0;
        hits += right[i] == 1;
    }
    return hits;
}

/* Average thresholded confidence (Garg and others, ICLR 2022): the confidence t that as large a share of the reference
 * reaches as is right; the data's accuracy is expected to be the share that reaches it. */
static rt_status judge_accuracy(rt_drift_work *w, int h)
{
    const double *own = w->confidence[0][h], *data = w->confidence[1][h];
    uint64_t n = w->held_rows[0], m = w->held_rows[1], labelled, of_data, reach[2] = {0, 0}, k = 0;
    uint64_t hits = count_right(w->right[0][h], n, &labelled), data_hits = count_right(w->right[1][h], m, &of_data);
    rt_counts_result r;
    if (!own || !labelled) return RT_OK;
    double *v = malloc((size_t)labelled * sizeof *v);
    if (!v) return no_memory();
    for (uint64_t i = 0; i < n; i++) if (w->right[0][h][i] >= 0) v[k++] = own[i];
    qsort(v, (size_t)labelled, sizeof *v, falling);
    double t = hits ? v[hits - 1] : INFINITY, sure = mean_of(v, labelled);
    for (uint64_t i = 0; i < labelled; i++) reach[0] += v[i] >= t;
    for (uint64_t i = 0; i < m; i++) reach[1] += data[i] >= t;
    free(v);
    double accuracy = (double)hits / (double)labelled, expected = (double)reach[1] / (double)m;
    double of_reference = (double)reach[0] / (double)labelled;
    cJSON *a = cJSON_CreateObject();
    if (!w->accuracy) w->accuracy = cJSON_CreateArray();
    cJSON_AddItemToArray(w->accuracy, a);
    cJSON_AddStringToObject(a, "head", w->head[h].name);
    cJSON_AddNumberToObject(a, "reference", accuracy);
    cJSON_AddNumberToObject(a, "reference_labelled", (double)labelled);
    cJSON_AddNumberToObject(a, "expected_atc", expected - (of_reference - accuracy));
    cJSON_AddNumberToObject(a, "threshold", t == INFINITY ? 1 : t);
    cJSON_AddNumberToObject(a, "confidence_reference", sure);
    cJSON_AddNumberToObject(a, "confidence_data", mean_of(data, m));
    cJSON_AddNumberToObject(a, "expected_doc", fmax(0, fmin(1, accuracy - sure + mean_of(data, m))));
    cJSON_AddNumberToObject(a, "data_labelled", (double)of_data);
    if (of_data) cJSON_AddNumberToObject(a, "data", (double)data_hits / (double)of_data);
    rt_drift_finding *c = rt_drift_new_finding(w, "expected_accuracy", -1);
    if (!c) return no_memory();
    uint64_t x[2] = {reach[0], labelled - reach[0]}, y[2] = {reach[1], m - reach[1]};
    RT_TRY(rt_counts_p(x, y, 2, &r));
    c->test = count_test[r.test];
    c->statistic = r.statistic;
    c->p = expected < of_reference ? r.p : 1;
    c->rows[0] = labelled;
    c->rows[1] = m;
    c->base = 1 - of_reference;
    c->effects = 1;
    c->effect[0] = (rt_drift_effect){"drop", RT_DRIFT_BY_SHARES, of_reference - expected,
                                     w->limits.of[RT_DRIFT_MAX_ACCURACY_DROP], NAN};
    return RT_OK;
}

rt_status rt_drift_judge(rt_drift_work *w)
{
    for (int i = 0; i < w->columns; i++) {
        RT_TRY(judge_column(w, i));
        if (i % 64 == 0) RT_TRY(rt_check_stop());
    }
    for (int h = 0; h < w->heads; h++)
        if (w->confidence[0][h] && w->right[0][h]) RT_TRY(judge_accuracy(w, h));
    return RT_OK;
}

/* ---- the verdict ---- */

/* The least count of m for which a test is significant, as a share of m; 1: none is. */
static double least_share(const rt_drift_finding *c, double level, rt_status *st)
{
    uint64_t low = 0, high = c->rows[1], n = c->rows[0], m = c->rows[1];
    uint64_t base = (uint64_t)llround(c->base * (double)n), start = (uint64_t)llround(c->base * (double)m);
    while (low + 1 < high) {
        uint64_t k = low + (high - low) / 2, more = start + k < m ? start + k : m;
        double p;
        if (c->effect[0].by == RT_DRIFT_BY_ABOVE) p = rt_above_p(n, c->r, m, k);
        else {
            rt_counts_result r;
            uint64_t a[2] = {base, n - base}, b[2] = {more, m - more};
            *st = rt_counts_p(a, b, 2, &r);
            p = r.p;
            if (*st) return 1;
        }
        if (p <= level) high = k;
        else low = k;
    }
    return m ? (double)high / (double)m : 1;
}

static rt_status find_detects(rt_drift_finding *c, double level)
{
    rt_status st = RT_OK;
    for (int i = 0; i < c->effects && !st; i++) {
        rt_drift_effect *e = &c->effect[i];
        if (!isfinite(e->value)) continue;
        uint64_t n = c->rows[0], m = c->rows[1];
        if (e->by == RT_DRIFT_BY_PSI) e->detects = rt_psi_detects(n, m, c->bins, level);
        else if (e->by == RT_DRIFT_BY_KS) e->detects = rt_ks_detects(n, m, level);
        else if (e->by == RT_DRIFT_BY_AUC) e->detects = rt_auc_detects(n, m, level);
        else e->detects = least_share(c, strcmp(c->kind, "outside") ? level : level / 2, &st);
    }
    return st;
}

static void decide(rt_drift_finding *c, double alpha)
{
    int beyond = 0, blind = -1;
    if (*c->reason) {
        c->verdict = RT_DRIFT_OPEN;
        return;
    }
    for (int i = 0; i < c->effects; i++) {
        beyond |= c->effect[i].value > c->effect[i].limit;
        if (c->effect[i].detects > c->effect[i].limit && c->effect[i].limit < 1) blind = i;
    }
    if (beyond) {
        c->verdict = c->p_holm <= alpha ? RT_DRIFT_DRIFTS : RT_DRIFT_OPEN;
        if (c->verdict == RT_DRIFT_OPEN)
            snprintf(c->reason, sizeof c->reason, "beyond the limit, but it may be chance: p is %.3g after Holm's "
                     "correction", c->p_holm);
    } else if (blind >= 0) {
        c->verdict = RT_DRIFT_OPEN;
        snprintf(c->reason, sizeof c->reason, "too few rows: the least %s that would be significant is %.3g",
                 c->effect[blind].name, c->effect[blind].detects);
    } else c->verdict = RT_DRIFT_NONE;
}

rt_status rt_drift_decide(rt_drift_work *w, rt_status *decided)
{
    double *p = malloc((size_t)(2 * w->checks + 1) * sizeof *p);
    int count[3] = {0};
    if (!p) return no_memory();
    for (int i = 0; i < w->checks; i++) p[i] = w->check[i].p;
    rt_status st = w->checks ? rt_holm(p, w->checks, p + w->checks) : RT_OK;
    for (int i = 0; i < w->checks && !st; i++) {
        rt_drift_finding *c = &w->check[i];
        c->p_holm = p[w->checks + i];
        st = find_detects(c, w->limits.alpha / w->checks);
        decide(c, w->limits.alpha);
        count[c->verdict]++;
    }
    free(p);
    *decided = count[RT_DRIFT_DRIFTS] ? RT_GATE : count[RT_DRIFT_OPEN] ? RT_UNDECIDED : RT_OK;
    return st;
}
