#include <math.h>

#include "student/metrics.h"
#include "student/metrics_parts.h"

int rt_scores_add_labels(rt_scores *s, const float *z, const uint8_t *y, const uint8_t *mask)
{
    int k = s->size, known = 0, right = 0;
    uint64_t at = s->rows * (uint64_t)k;
    for (int j = 0; j < k; j++) {
        if (!isfinite(z[j])) return 0;
        known += !mask || mask[j];
    }
    if (!known) return 1;
    for (int j = 0; j < k; j++) {
        int there = !mask || mask[j], truth = y[j] != 0, answer = z[j] > 0;
        if (s->rows < s->room) {
            s->z[at + (uint64_t)j] = z[j];
            s->label[at + (uint64_t)j] = there ? (uint8_t)truth : 2;
        }
        if (!there) continue;
        double e = exp(-fabs((double)z[j])), wrong = (truth ? z[j] < 0 : z[j] > 0) ? 1 / (1 + e) : e / (1 + e);
        s->column[j].rows++;
        s->truth[j] += (uint64_t)truth;
        s->answered[j] += (uint64_t)answer;
        s->hit[j] += (uint64_t)(truth && answer);
        s->nll += log1p(e) + (truth ? fmax(-(double)z[j], 0) : fmax((double)z[j], 0));
        s->brier += wrong * wrong;
        right += truth == answer;
    }
    s->rows++;
    s->complete += known == k;
    s->right += known == k && right == k;
    return 1;
}

/* Over all labels: elements, labels that are there, answers, both. */
typedef struct { uint64_t elements, truth, answered, hit; } sums;

static sums add_up(const rt_scores *s)
{
    sums a = {0};
    for (int j = 0; j < s->size; j++) {
        a.elements += s->column[j].rows;
        a.truth += s->truth[j];
        a.answered += s->answered[j];
        a.hit += s->hit[j];
    }
    return a;
}

static double subset_accuracy(const rt_scores *s) { return rt_ratio((double)s->right, s->complete); }
static double bce(const rt_scores *s) { return rt_ratio(s->nll, add_up(s).elements); }
static double brier(const rt_scores *s) { return rt_ratio(s->brier, add_up(s).elements); }

static double hamming(const rt_scores *s)
{
    sums a = add_up(s);
    return rt_ratio((double)(a.truth - a.hit + a.answered - a.hit), a.elements);
}

static double micro_f1(const rt_scores *s)
{
    sums a = add_up(s);
    double f1 = rt_f1(a.hit, a.truth, a.answered);
    return !s->rows ? NAN : isnan(f1) ? 0 : f1;
}

static double macro_f1(const rt_scores *s) { return rt_mean_f1(s, 0); }
static double macro_f1_all(const rt_scores *s) { return rt_mean_f1(s, 1); }

static double weighted_f1(const rt_scores *s)
{
    double sum = 0;
    uint64_t n = 0;
    for (int j = 0; j < s->size; j++) {
        if (!s->truth[j]) continue;
        sum += (double)s->truth[j] * rt_f1(s->hit[j], s->truth[j], s->answered[j]);
        n += s->truth[j];
    }
    return !s->rows ? NAN : n ? sum / (double)n : 0;
}

static double jaccard(const rt_scores *s)
{
    sums a = add_up(s);
    uint64_t either = a.truth + a.answered - a.hit;
    return !s->rows ? NAN : either ? (double)a.hit / (double)either : 0;
}

/* Those where the label is known. */
static uint64_t rows_of_label(const rt_scores *s, int label, rt_ranked *r)
{
    uint64_t n = 0, k = (uint64_t)s->size, j = (uint64_t)label;
    for (uint64_t i = 0; i < s->rows; i++)
        if (s->label[i * k + j] < 2) r[n++] = (rt_ranked){s->z[i * k + j], s->label[i * k + j]};
    return n;
}

static double auc(const rt_scores *s) { return rt_mean_auc(s, 0, rows_of_label); }
static double average_precision(const rt_scores *s) { return rt_mean_precision(s, 0, rows_of_label); }

const rt_metric rt_multilabel_metrics[RT_MULTILABEL_METRICS] = {
    {"subset_accuracy", "accuracy_score", "share of rows, of those whose every label is known, with all labels right",
     1, 0, subset_accuracy, "no row has all its labels"},
    {"hamming", "hamming_loss", "share of elements that are wrong", 0, 0, hamming, NULL},
    {"micro_f1", "f1_score(average='micro', zero_division=0)", "F1 of all elements together", 1, 0, micro_f1, NULL},
    {"macro_f1", "f1_score(average='macro', zero_division=nan)",
     "mean F1 of the labels that are in the truth or among the answers", 1, 0, macro_f1,
     "no label is in the truth or among the answers"},
    {"macro_f1_all", "f1_score(average='macro', zero_division=0)",
     "mean F1 of all labels: one that is neither in the truth nor among the answers counts 0", 1, 0, macro_f1_all,
     NULL},
    {"weighted_f1", "f1_score(average='weighted', zero_division=0)", "mean F1, each label by its rows", 1, 0,
     weighted_f1, NULL},
    {"jaccard", "jaccard_score(average='micro', zero_division=0)",
     "elements that are yes in truth and answer by those that are yes in either", 1, 0, jaccard, NULL},
    {"bce", "log_loss of all elements; PyTorch's BCEWithLogitsLoss", "mean over elements of -ln p(label), in nats", 0,
     0, bce, NULL},
    {"brier", "brier_score_loss of all elements", "mean over elements of (p - 1 or 0)^2: 0 to 1", 0, 0, brier, NULL},
    {"auc", "roc_auc_score(average='macro')",
     "area under the ROC curve, mean over labels that have rows with and rows without them", 1, 1, auc,
     "no label has rows with and rows without it"},
    {"average_precision", "average_precision_score(average='macro')",
     "mean over labels that have rows of the average precision", 1, 1, average_precision, "no label has a row"}};
