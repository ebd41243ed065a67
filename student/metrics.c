#include "student/metrics.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/json.h"
#include "student/metrics_parts.h"

/* ---- sums ---- */

rt_status rt_scores_begin(rt_scores *s, rt_task task, int size, int ranks, uint64_t rows)
{
    static const size_t kept[RT_TASK_COUNT] = {sizeof *s->p, sizeof *s->z, sizeof *s->z};
    size_t k = (size_t)size;
    *s = (rt_scores){.task = task, .size = size};
    s->ranks = ranks && rows <= RT_RANK_BYTES / kept[task] / k;
    s->room = s->ranks ? rows : 0;
    size_t p = task == RT_TASK_CLASSES ? s->room * k : 0, z = task == RT_TASK_CLASSES ? 0 : s->room * k;
    s->truth = calloc(k, sizeof *s->truth);
    s->answered = calloc(k, sizeof *s->answered);
    s->hit = calloc(k, sizeof *s->hit);
    s->column = calloc(k, sizeof *s->column);
    s->p = calloc(p + 1, sizeof *s->p);
    s->y = calloc((task == RT_TASK_CLASSES ? s->room : 0) + 1, sizeof *s->y);
    s->z = calloc(z + 1, sizeof *s->z);
    s->label = calloc((task == RT_TASK_MULTILABEL ? z : 0) + 1, sizeof *s->label);
    if (s->truth && s->answered && s->hit && s->column && s->p && s->y && s->z && s->label) return RT_OK;
    rt_scores_free(s);
    return rt_fail(RT_RUN, "out of memory for the scores of %llu rows", (unsigned long long)rows);
}

void rt_scores_free(rt_scores *s)
{
    void *owned[] = {s->truth, s->answered, s->hit, s->column, s->p, s->y, s->z, s->label};
    for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++) free(owned[i]);
    *s = (rt_scores){0};
}

/* ---- metrics of order ---- */

static int falling(const void *a, const void *b)
{
    double x = ((const rt_ranked *)a)->p, y = ((const rt_ranked *)b)->p;
    return x < y ? 1 : x > y ? -1 : 0;
}

/* Area under the ROC curve: the share of pairs of a positive row and another row that p ranks rightly, equal ones
 * counting half. Average precision: the mean over positive rows, of falling p, of the precision there; rows of equal p
 * come together. NAN where there is no such row. */
static void order_of(rt_ranked *r, uint64_t n, double *auc, double *precision)
{
    double positives = 0, above = 0, hits = 0, pairs = 0, sum = 0;
    for (uint64_t i = 0; i < n; i++) positives += r[i].positive;
    double negatives = (double)n - positives;
    qsort(r, n, sizeof *r, falling);
    for (uint64_t i = 0, end; i < n; i = end) {
        double in = 0;
        for (end = i; end < n && r[end].p == r[i].p; end++) in += r[end].positive;
        double out = (double)(end - i) - in;
        pairs += in * (negatives - above - out + out / 2);
        above += out;
        hits += in;
        if (in > 0) sum += in * hits / (double)end;
    }
    *auc = positives > 0 && negatives > 0 ? pairs / (positives * negatives) : NAN;
    *precision = positives > 0 ? sum / positives : NAN;
}

/* which 0: area, 1: precision. */
static double mean_order(const rt_scores *s, int first, rt_rank_fn *list, int which)
{
    double value[2], sum = 0;
    uint64_t count = 0;
    rt_ranked *r = s->ranks && s->rows && s->rows <= s->room ? malloc(s->rows * sizeof *r) : NULL;
    for (int j = first; j < s->size && r; j++) {
        order_of(r, list(s, j, r), &value[0], &value[1]);
        if (isnan(value[which])) continue;
        sum += value[which];
        count++;
    }
    free(r);
    return rt_ratio(sum, count);
}

double rt_mean_auc(const rt_scores *s, int first, rt_rank_fn *list) { return mean_order(s, first, list, 0); }
double rt_mean_precision(const rt_scores *s, int first, rt_rank_fn *list) { return mean_order(s, first, list, 1); }

double rt_mean_f1(const rt_scores *s, int all)
{
    double sum = 0;
    uint64_t n = 0;
    for (int j = 0; j < s->size; j++) {
        double f1 = rt_f1(s->hit[j], s->truth[j], s->answered[j]);
        if (!isnan(f1)) sum += f1;
        n += all || !isnan(f1);
    }
    return s->rows ? rt_ratio(sum, n) : NAN;
}

/* ---- the table ---- */

const rt_metric_table rt_metrics[RT_TASK_COUNT] = {
    [RT_TASK_CLASSES] = {"classes", rt_classes_metrics, RT_CLASSES_METRICS, RT_ACCURACY, RT_NLL},
    [RT_TASK_MULTILABEL] = {"multilabel", rt_multilabel_metrics, RT_MULTILABEL_METRICS, 2, 7},
    [RT_TASK_REAL] = {"real", rt_real_metrics, RT_REAL_METRICS, 1, 0},
};

const rt_metric *rt_metric_first(rt_task task) { return &rt_metrics[task].metric[rt_metrics[task].first]; }

const rt_metric *rt_metric_find(rt_task task, const char *name)
{
    enum { MOST = 32 };
    const rt_metric_table *t = &rt_metrics[task];
    const char *names[MOST];
    for (int i = 0; i < t->count; i++) {
        names[i] = t->metric[i].name;
        if (strcmp(name, names[i]) == 0) return &t->metric[i];
    }
    const char *near = rt_nearest(name, names, t->count);
    rt_fail(RT_USAGE, "there is no metric '%.60s'%s%s%s; see 'retort help metrics'", name,
            near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    return NULL;
}

int rt_metric_fits(const rt_metric *m, int size) { return m != &rt_classes_metrics[RT_TOP5] || size > 5; }

const char *rt_metric_undefined(const rt_metric *m, const rt_scores *s)
{
    if (!s->rows) return s->task == RT_TASK_REAL ? "no row has a target" : "no row has a label";
    if (m->ranks && (!s->ranks || s->rows > s->room)) return "the answers to so many rows are not kept";
    return m->undefined;
}
