#include "student/metrics.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/json.h"

/* ---- rows ---- */

rt_row_score rt_score_row(const float *z, int k, int y)
{
    int best = 0, finite = 1;
    double sum = 0;
    for (int c = 0; c < k; c++) {
        finite &= isfinite(z[c]) != 0;
        if (z[c] > z[best]) best = c;
    }
    if (!finite) return (rt_row_score){.answer = -1};
    for (int c = 0; c < k; c++) sum += exp((double)z[c] - z[best]);
    rt_row_score s = {.answer = best, .confidence = 1 / sum, .sum = sum, .log_sum = log(sum) + z[best]};
    if (y < 0) return s;
    for (int c = 0; c < k; c++) {
        double p = exp((double)z[c] - z[best]) / sum - (c == y);
        s.above += z[c] > z[y] || (z[c] == z[y] && c < y);
        s.brier += p * p;
    }
    s.nll = s.log_sum - z[y];
    return s;
}

int rt_ece_bin_of(double confidence)
{
    int b = (int)(confidence * RT_ECE_BINS);
    return b < RT_ECE_BINS ? b : RT_ECE_BINS - 1;
}

double rt_ece(const rt_ece_bin bin[RT_ECE_BINS], uint64_t n)
{
    double e = 0;
    for (int i = 0; i < RT_ECE_BINS; i++)
        if (bin[i].count) e += fabs(bin[i].right - bin[i].confidence) / (double)n;
    return e;
}

double rt_f1(uint64_t hit, uint64_t truth, uint64_t answered)
{
    return truth + answered ? 2 * (double)hit / (double)(truth + answered) : NAN;
}

/* ---- sums ---- */

rt_status rt_scores_begin(rt_scores *s, int classes, int ranks, uint64_t rows)
{
    size_t k = (size_t)classes;
    *s = (rt_scores){.classes = classes};
    s->ranks = ranks && rows <= RT_RANK_BYTES / sizeof(double) / k;
    s->room = s->ranks ? rows : 0;
    s->truth = calloc(k, sizeof *s->truth);
    s->answered = calloc(k, sizeof *s->answered);
    s->hit = calloc(k, sizeof *s->hit);
    s->p = calloc(s->room * k + 1, sizeof *s->p);
    s->y = calloc(s->room + 1, sizeof *s->y);
    if (s->truth && s->answered && s->hit && s->p && s->y) return RT_OK;
    rt_scores_free(s);
    return rt_fail(RT_RUN, "out of memory for the scores of %llu rows", (unsigned long long)rows);
}

void rt_scores_free(rt_scores *s)
{
    void *owned[] = {s->truth, s->answered, s->hit, s->p, s->y};
    for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++) free(owned[i]);
    *s = (rt_scores){0};
}

void rt_scores_add(rt_scores *s, const rt_row_score *r, const float *z, int y)
{
    int right = r->answer == y;
    if (s->rows < s->room) {
        double *p = s->p + s->rows * (uint64_t)s->classes;
        /* By differences alone, so that rows whose logits differ by a constant are tied. */
        for (int c = 0; c < s->classes; c++) p[c] = exp((double)z[c] - z[r->answer]) / r->sum;
        s->y[s->rows] = y;
    }
    s->rows++;
    s->right += (uint64_t)right;
    s->right5 += r->above < 5;
    s->nll += r->nll;
    s->brier += r->brier;
    s->truth[y]++;
    s->answered[r->answer]++;
    s->hit[y] += (uint64_t)right;
    rt_ece_bin *b = &s->bin[rt_ece_bin_of(r->confidence)];
    b->count++;
    b->confidence += r->confidence;
    b->right += right;
}

/* ---- metrics of counts ---- */

static double ratio(double sum, uint64_t n) { return n ? sum / (double)n : NAN; }

static double accuracy(const rt_scores *s) { return ratio((double)s->right, s->rows); }
static double top5(const rt_scores *s) { return s->classes > 5 ? ratio((double)s->right5, s->rows) : NAN; }
static double nll(const rt_scores *s) { return ratio(s->nll, s->rows); }
static double brier(const rt_scores *s) { return ratio(s->brier, s->rows); }
static double ece(const rt_scores *s) { return s->rows ? rt_ece(s->bin, s->rows) : NAN; }

static double balanced_accuracy(const rt_scores *s)
{
    double sum = 0;
    uint64_t n = 0;
    for (int c = 0; c < s->classes; c++)
        if (s->truth[c]) {
            sum += (double)s->hit[c] / (double)s->truth[c];
            n++;
        }
    return ratio(sum, n);
}

static double macro_f1(const rt_scores *s)
{
    double sum = 0;
    uint64_t n = 0;
    for (int c = 0; c < s->classes; c++) {
        double f1 = rt_f1(s->hit[c], s->truth[c], s->answered[c]);
        if (isnan(f1)) continue;
        sum += f1;
        n++;
    }
    return ratio(sum, n);
}

static double macro_f1_all(const rt_scores *s)
{
    double sum = 0;
    for (int c = 0; c < s->classes; c++) {
        double f1 = rt_f1(s->hit[c], s->truth[c], s->answered[c]);
        if (!isnan(f1)) sum += f1;
    }
    return s->rows ? sum / s->classes : NAN;
}

static double weighted_f1(const rt_scores *s)
{
    double sum = 0;
    for (int c = 0; c < s->classes; c++)
        if (s->truth[c]) sum += (double)s->truth[c] * rt_f1(s->hit[c], s->truth[c], s->answered[c]);
    return ratio(sum, s->rows);
}

/* Gorodkin 2004: the correlation of truth and answer over rows and classes; 0 where one of them is constant. */
static double matthews(const rt_scores *s)
{
    double n = (double)s->rows, both = 0, truths = 0, answers = 0;
    for (int c = 0; c < s->classes; c++) {
        double t = (double)s->truth[c], a = (double)s->answered[c];
        both += t * a;
        truths += t * t;
        answers += a * a;
    }
    double spread = (n * n - answers) * (n * n - truths);
    return !s->rows ? NAN : spread > 0 ? ((double)s->right * n - both) / sqrt(spread) : 0;
}

/* ---- metrics of order ---- */

typedef struct { double p; int positive; } ranked;

static int falling(const void *a, const void *b)
{
    double x = ((const ranked *)a)->p, y = ((const ranked *)b)->p;
    return x < y ? 1 : x > y ? -1 : 0;
}

/* Area under the ROC curve: the share of pairs of a row of the class and another row that p ranks rightly, equal ones
 * counting half. Average precision: the mean over rows of the class, of falling p, of the precision there; rows of
 * equal p come together. */
static void order_of_class(ranked *r, uint64_t n, double *auc, double *precision)
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

/* Mean over the classes; of two classes the second one's alone. */
static void order(const rt_scores *s, double *auc, double *precision)
{
    double value[2], sum[2] = {0, 0};
    int count[2] = {0, 0};
    ranked *r = s->ranks && s->rows && s->rows <= s->room ? malloc(s->rows * sizeof *r) : NULL;
    for (int c = s->classes == 2; c < s->classes && r; c++) {
        for (uint64_t i = 0; i < s->rows; i++)
            r[i] = (ranked){s->p[i * (uint64_t)s->classes + (uint64_t)c], s->y[i] == c};
        order_of_class(r, s->rows, &value[0], &value[1]);
        for (int i = 0; i < 2; i++)
            if (!isnan(value[i])) {
                sum[i] += value[i];
                count[i]++;
            }
    }
    free(r);
    *auc = count[0] ? sum[0] / count[0] : NAN;
    *precision = count[1] ? sum[1] / count[1] : NAN;
}

static double auc(const rt_scores *s)
{
    double a, b;
    order(s, &a, &b);
    return a;
}

static double average_precision(const rt_scores *s)
{
    double a, b;
    order(s, &a, &b);
    return b;
}

/* ---- the table ---- */

const rt_metric rt_metrics[RT_METRICS] = {
    {"accuracy", "accuracy_score", "share of rows whose answer is the label", 1, 0, accuracy},
    {"top5", "top_k_accuracy_score(k=5)", "share of rows whose label is among the five largest; above five classes", 1,
     0, top5},
    {"balanced_accuracy", "balanced_accuracy_score", "mean recall of the classes that have rows", 1, 0,
     balanced_accuracy},
    {"macro_f1", "f1_score(average='macro')", "mean F1 of the classes that are in the truth or among the answers", 1, 0,
     macro_f1},
    {"macro_f1_all", "f1_score(average='macro', labels=range(K), zero_division=0)",
     "mean F1 of all classes: one that is neither in the truth nor among the answers counts 0", 1, 0, macro_f1_all},
    {"weighted_f1", "f1_score(average='weighted')", "mean F1, each class by its rows", 1, 0, weighted_f1},
    {"mcc", "matthews_corrcoef", "Matthews' correlation of labels and answers (Gorodkin 2004)", 1, 0, matthews},
    {"nll", "log_loss, which clips p at 2.2e-16", "mean -ln p(label), in nats", 0, 0, nll},
    {"brier", "brier_score_loss(scale_by_half=False)",
     "mean over rows of the sum over classes of (p - 1 or 0)^2: 0 to 2 (Brier 1950)", 0, 0, brier},
    {"ece", "none: Guo et al. 2017, eq. 3", "expected calibration error, 15 bins of equal width", 0, 0, ece},
    {"auc", "roc_auc_score(multi_class='ovr')",
     "area under the ROC curve, a class against the rest, mean over classes that have rows; of two classes the "
     "second's",
     1, 1, auc},
    {"average_precision", "average_precision_score(average='macro')",
     "mean over classes that have rows of the average precision; of two classes the second's", 1, 1,
     average_precision}};

const rt_metric *rt_metric_find(const char *name)
{
    const char *names[RT_METRICS];
    for (int i = 0; i < RT_METRICS; i++) {
        names[i] = rt_metrics[i].name;
        if (strcmp(name, names[i]) == 0) return &rt_metrics[i];
    }
    const char *near = rt_nearest(name, names, RT_METRICS);
    rt_fail(RT_USAGE, "there is no metric '%.60s'%s%s%s; see 'retort help metrics'", name,
            near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    return NULL;
}

const char *rt_metric_undefined(const rt_metric *m, const rt_scores *s)
{
    if (!s->rows) return "no row has a label";
    if (m->of == top5) return "of five classes or fewer it is 1 for any model";
    if (m->ranks && !s->ranks) return "the probabilities of so many rows and classes are not kept";
    return "all labelled rows are of one class";
}
