#include <math.h>
#include <stdlib.h>

#include "student/metrics.h"
#include "student/metrics_parts.h"

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

static int by_confidence(const void *a, const void *b)
{
    double x = ((const rt_calibrated *)a)->confidence, y = ((const rt_calibrated *)b)->confidence;
    return x < y ? -1 : x > y;
}

double rt_adaptive_ece(rt_calibrated *r, uint64_t n)
{
    double e = 0;
    if (n) qsort(r, n, sizeof *r, by_confidence);
    for (uint64_t g = 0, at = 0; g < RT_ECE_BINS; g++) {
        uint64_t end = (g + 1) * n / RT_ECE_BINS;
        double confidence = 0, right = 0;
        while (end > at && end < n && r[end].confidence - r[end - 1].confidence < 1e-12) end++;
        for (; at < end; at++) {
            confidence += r[at].confidence;
            right += r[at].right;
        }
        e += fabs(right - confidence);
    }
    return rt_ratio(e, n);
}

double rt_f1(uint64_t hit, uint64_t truth, uint64_t answered)
{
    return truth + answered ? 2 * (double)hit / (double)(truth + answered) : NAN;
}

/* ---- sums ---- */

void rt_scores_add(rt_scores *s, const rt_row_score *r, const float *z, int y)
{
    int right = r->answer == y;
    if (s->rows < s->room) {
        double *p = s->p + s->rows * (uint64_t)s->size;
        /* By differences alone, so that rows whose logits differ by a constant are tied. */
        for (int c = 0; c < s->size; c++) p[c] = exp((double)z[c] - z[r->answer]) / r->sum;
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

static double accuracy(const rt_scores *s) { return rt_ratio((double)s->right, s->rows); }
static double top5(const rt_scores *s) { return s->size > 5 ? rt_ratio((double)s->right5, s->rows) : NAN; }
static double nll(const rt_scores *s) { return rt_ratio(s->nll, s->rows); }
static double brier(const rt_scores *s) { return rt_ratio(s->brier, s->rows); }
static double ece(const rt_scores *s) { return s->rows ? rt_ece(s->bin, s->rows) : NAN; }

static double balanced_accuracy(const rt_scores *s)
{
    double sum = 0;
    uint64_t n = 0;
    for (int c = 0; c < s->size; c++)
        if (s->truth[c]) {
            sum += (double)s->hit[c] / (double)s->truth[c];
            n++;
        }
    return rt_ratio(sum, n);
}

static double macro_f1(const rt_scores *s) { return rt_mean_f1(s, 0); }
static double macro_f1_all(const rt_scores *s) { return rt_mean_f1(s, 1); }

static double weighted_f1(const rt_scores *s)
{
    double sum = 0;
    for (int c = 0; c < s->size; c++)
        if (s->truth[c]) sum += (double)s->truth[c] * rt_f1(s->hit[c], s->truth[c], s->answered[c]);
    return rt_ratio(sum, s->rows);
}

/* Gorodkin 2004: the correlation of truth and answer over rows and classes; 0 where one of them is constant. */
static double matthews(const rt_scores *s)
{
    double n = (double)s->rows, both = 0, truths = 0, answers = 0;
    for (int c = 0; c < s->size; c++) {
        double t = (double)s->truth[c], a = (double)s->answered[c];
        both += t * a;
        truths += t * t;
        answers += a * a;
    }
    double spread = (n * n - answers) * (n * n - truths);
    return !s->rows ? NAN : spread > 0 ? ((double)s->right * n - both) / sqrt(spread) : 0;
}

/* ---- metrics of order ---- */

static uint64_t rows_of_class(const rt_scores *s, int c, rt_ranked *r)
{
    for (uint64_t i = 0; i < s->rows; i++)
        r[i] = (rt_ranked){s->p[i * (uint64_t)s->size + (uint64_t)c], s->y[i] == c};
    return s->rows;
}

/* Of two classes the second one's alone. */
static double auc(const rt_scores *s) { return rt_mean_auc(s, s->size == 2, rows_of_class); }
static double average_precision(const rt_scores *s) { return rt_mean_precision(s, s->size == 2, rows_of_class); }

static double adaptive_ece(const rt_scores *s)
{
    size_t k = (size_t)s->size;
    rt_calibrated *r = s->ranks && s->rows && s->rows <= s->room ? malloc(s->rows * sizeof *r) : NULL;
    if (!r) return NAN;
    for (uint64_t i = 0; i < s->rows; i++) {
        const double *p = s->p + i * k;
        size_t best = 0;
        for (size_t c = 1; c < k; c++) if (p[c] > p[best]) best = c;
        r[i] = (rt_calibrated){p[best], s->y[i] == (int32_t)best};
    }
    double e = rt_adaptive_ece(r, s->rows);
    free(r);
    return e;
}

/* ---- the table ---- */

static const char one_class[] = "all labelled rows are of one class";

const rt_metric rt_classes_metrics[RT_CLASSES_METRICS] = {
    {"accuracy", "accuracy_score", "share of rows whose answer is the label", 1, 0, accuracy, NULL},
    {"top5", "top_k_accuracy_score(k=5)", "share of rows whose label is among the five largest; above five classes", 1,
     0, top5, "of five classes or fewer it is 1 for any model"},
    {"balanced_accuracy", "balanced_accuracy_score", "mean recall of the classes that have rows", 1, 0,
     balanced_accuracy, NULL},
    {"macro_f1", "f1_score(average='macro')", "mean F1 of the classes that are in the truth or among the answers", 1, 0,
     macro_f1, NULL},
    {"macro_f1_all", "f1_score(average='macro', labels=range(K), zero_division=0)",
     "mean F1 of all classes: one that is neither in the truth nor among the answers counts 0", 1, 0, macro_f1_all,
     NULL},
    {"weighted_f1", "f1_score(average='weighted')", "mean F1, each class by its rows", 1, 0, weighted_f1, NULL},
    {"mcc", "matthews_corrcoef", "Matthews' correlation of labels and answers (Gorodkin 2004)", 1, 0, matthews, NULL},
    {"nll", "log_loss, which clips p at 2.2e-16", "mean -ln p(label), in nats", 0, 0, nll, NULL},
    {"brier", "brier_score_loss(scale_by_half=False)",
     "mean over rows of the sum over classes of (p - 1 or 0)^2: 0 to 2 (Brier 1950)", 0, 0, brier, NULL},
    {"ece", "none: Guo et al. 2017, eq. 3", "expected calibration error, 15 bins of equal width", 0, 0, ece, NULL},
    {"auc", "roc_auc_score(multi_class='ovr')",
     "area under the ROC curve, a class against the rest, mean over classes that have rows; of two classes the "
     "second's",
     1, 1, auc, one_class},
    {"average_precision", "average_precision_score(average='macro')",
     "mean over classes that have rows of the average precision; of two classes the second's", 1, 1,
     average_precision, one_class},
    {"adaptive_ece", "none: after Nixon et al. 2019", "expected calibration error, 15 groups of equal size; equal "
     "confidences stay together", 0, 1, adaptive_ece, NULL}};
