/* train/losses.h - losses of a model's outputs, hard and soft, by task. Letters: B batch, K classes or labels, D
 * values, T temperature; z student's outputs, t teacher's; p(z) = softmax(z), s(z) = 1 / (1 + e^-z). Every loss sums
 * over the elements of a row and is the mean over the batch: a row without a label, and an element without one, counts
 * in the denominator of the hard loss too, unless hard_mean is "labelled" (then, of classes, as
 * CrossEntropyLoss(ignore_index=-1); else the mean over elements with a target, times the elements of a row).
 *
 * Classes, logits (B, K):
 *   hard: weight `hard` x cross-entropy with label smoothing e: -sum_k q_k log p(z)_k, q = (1 - e) onehot + e / K.
 *         Rows without a label (y < 0) contribute 0 to it. With weights w of classes: -sum_k w_k q_k log p(z)_k, and
 *         the "labelled" mean divides by the sum of the rows' w_y (as CrossEntropyLoss(weight=w, label_smoothing=e)).
 *   soft: weight `soft` x one of
 *     kd      T^2 KL(p(t/T) || p(z/T))                                             Hinton et al. 2015
 *     dkd     T^2 (alpha TCKD + beta NCKD), weight rising over `warmup` epochs     Zhao et al. 2022, eq. 7
 *             the target class is the row's label; the teacher's answer for rows without one, or for all ("teacher")
 *     dist    T^2 (beta inter + gamma intra), 1 - Pearson over classes / batch     Huang et al. 2022, eq. 6-9
 *     zscore  kd on logits standardised per row (mean 0, unbiased deviation 1)     Sun et al. 2024, alg. 1
 *     mse     sum_k (z_k - t_k)^2
 * Multilabel, a logit a label (B, K):
 *   hard: bce   sum_k log(1 + e^z_k) - y_k z_k; BCEWithLogitsLoss(reduction="sum") / B
 *   soft: bkd   T^2 sum_k KL(Bernoulli(s(t_k/T)) || Bernoulli(s(z_k/T)))
 * Real, values (B, D), d = z - y; the soft loss is the same one of z - t:
 *   mse       sum d^2
 *   huber     sum of d^2 / 2 where |d| <= delta, else delta (|d| - delta / 2)      HuberLoss(delta)
 *   quantile  sum of max(-level d, (1 - level) d)            scikit-learn's mean_pinball_loss(alpha=level), times D
 * A row may be a mixture: lambda of itself, 1 - lambda of row `partner` (mixup, Zhang et al. 2018). */
#ifndef RT_TRAIN_LOSSES_H
#define RT_TRAIN_LOSSES_H

#include "data/json.h"
#include "engine/loss.h"

typedef enum {
    RT_SOFT_NONE, RT_SOFT_KD, RT_SOFT_DKD, RT_SOFT_DIST, RT_SOFT_ZSCORE, RT_SOFT_MSE,      /* of classes */
    RT_SOFT_BKD,                   /* of labels */
    RT_SOFT_VALUES                 /* of values: the hard loss of the teacher's */
} rt_soft_kind;

typedef enum { RT_HARD_CE, RT_HARD_BCE, RT_HARD_MSE, RT_HARD_HUBER, RT_HARD_QUANTILE } rt_hard_kind;

typedef struct {
    rt_task task;
    rt_hard_kind hard_kind;
    rt_soft_kind kind;
    float hard, soft, temperature, smoothing;
    float alpha, beta, gamma;
    float delta, level;            /* of huber and quantile */
    int warmup, teacher_target, labelled_mean;
    int balanced;                  /* class_weight "balanced": rows / (K x rows of the class) */
    const cJSON *class_weight;     /* a list of K numbers; NULL: none given */
} rt_loss_config;

/* Reads {"kind", "hard", "soft", "temperature", "label_smoothing", "hard_mean", "class_weight", "alpha", "beta",
 * "gamma", "warmup", "target", "delta", "level"}; defaults go by task and kind, and a key that the kind has no use for
 * is refused. soft_given: a teacher's outputs are there, so that a soft loss is the default; else only a hard one is
 * possible. */
void rt_loss_read(rt_cfg *, rt_loss_config *, rt_task, int soft_given);
const char *rt_soft_name(rt_soft_kind);

/* What a loss sees of the batch in hand; set before each run. */
typedef struct {
    rt_loss_config config;
    const int32_t *y;              /* classes: (B) or NULL */
    const uint8_t *labels;         /* multilabel: (B, K) of 0 and 1, or NULL */
    const float *values;           /* real: (B, D) or NULL */
    const uint8_t *mask;           /* of labels and values: 0 where there is none; NULL: all are there */
    const float *teacher;          /* (B, K) outputs or NULL */
    size_t stride;                 /* floats from row to row of teacher, where that is not K; else 0 */
    const int *partner;            /* (B) or NULL: no mixture */
    float lambda;
    const float *class_weight;     /* (K) or NULL: all 1 */
    int teacher_mixed;             /* the teacher saw the mixture: its logits are not to be mixed again */
    float soft_scale;              /* warm-up of dkd: 0 to 1 */
    float hard_scale; /* rows of the batch / labelled ones (or their weights) for the labelled mean; 0: 1 */
} rt_loss_batch;

/* Row `row` of the teacher's outputs, of n elements. */
static inline const float *rt_loss_teacher(const rt_loss_batch *b, int row, int n)
{ return b->teacher + (size_t)row * (b->stride ? b->stride : (size_t)n); }

/* The loss on a tensor of n outputs, for a plan. config must be set; the batch is borrowed and read at each run. */
rt_loss_spec rt_loss_spec_of(rt_loss_batch *, int tensor, int n);
rt_loss_fn rt_loss_fn_classes, rt_loss_fn_multilabel, rt_loss_fn_real;

/* hard_scale of the labelled mean for `rows` rows of n outputs: rows by labelled ones, each by its class's weight or by
 * the part of its elements that has a target, halves of mixtures counted by their share. 1 where none has one. */
float rt_loss_labelled_scale(const rt_loss_batch *, int rows, int n);

/* Feature hint: mean over the elements of (value - target)^2, times weight (FitNets, Romero et al. 2015, eq. 3). */
typedef struct { const float *target; float weight; } rt_hint_batch;
void rt_loss_fn_hint(void *arg, const rt_loss_io *);
#endif
