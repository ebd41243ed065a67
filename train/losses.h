/* train/losses.h - losses on logits, hard and soft. Letters: B batch, K classes, T temperature; z student's logits, t
 * teacher's; p(z) = softmax(z). Every loss sums over classes and is the mean over the batch: a row without a label
 * counts in the denominator of the hard loss too, unless hard_mean is "labelled" (then as
 * CrossEntropyLoss(ignore_index=-1)).
 *
 *   hard: weight `hard` x cross-entropy with label smoothing e: -sum_k q_k log p(z)_k, q = (1 - e) onehot + e / K.
 *         Rows without a label (y < 0) contribute 0 to it. With weights w of classes: -sum_k w_k q_k log p(z)_k, and
 * the "labelled" mean divides by the sum of the rows' w_y (then as CrossEntropyLoss(weight=w, label_smoothing=e)).
 *   soft: weight `soft` x one of
 *     kd      T^2 KL(p(t/T) || p(z/T))                                          Hinton et al. 2015
 *     dkd     T^2 (alpha TCKD + beta NCKD), weight rising over `warmup` epochs     Zhao et al. 2022, eq. 7
 *             the target class is the row's label; the teacher's answer for rows without one, or for all (target
 * "teacher") dist    T^2 (beta inter + gamma intra), 1 - Pearson over classes / batch   Huang et al. 2022, eq. 6-9
 *     zscore  kd on logits standardised per row (mean 0, unbiased deviation 1)   Sun et al. 2024, alg. 1
 *     mse     sum_k (z_k - t_k)^2
 * A row may be a mixture: lambda of itself, 1 - lambda of row `partner` (mixup, Zhang et al. 2018). */
#ifndef RT_TRAIN_LOSSES_H
#define RT_TRAIN_LOSSES_H

#include "data/json.h"
#include "engine/plan.h"

typedef enum { RT_SOFT_NONE, RT_SOFT_KD, RT_SOFT_DKD, RT_SOFT_DIST, RT_SOFT_ZSCORE, RT_SOFT_MSE } rt_soft_kind;

typedef struct {
    rt_soft_kind kind;
    float hard, soft, temperature, smoothing;
    float alpha, beta, gamma;
    int warmup, teacher_target, labelled_mean;
    int balanced;                  /* class_weight "balanced": rows / (K x rows of the class) */
    const cJSON *class_weight;     /* a list of K numbers; NULL: none given */
} rt_loss_config;

/* Reads {"kind", "hard", "soft", "temperature", "label_smoothing", "hard_mean", "class_weight", "alpha", "beta",
 * "gamma", "warmup", "target"}; defaults go by kind, and a key that the kind has no use for is refused. soft_given: a
 * teacher's logits are there, so that kd is the default; else only cross-entropy is possible. */
void rt_loss_read(rt_cfg *, rt_loss_config *, int soft_given);
const char *rt_soft_name(rt_soft_kind);

/* What a loss sees of the batch in hand; set before each run. */
typedef struct {
    rt_loss_config config;
    const int32_t *y;              /* (B) or NULL */
    const float *teacher;          /* (B, K) logits or NULL */
    const int *partner;            /* (B) or NULL: no mixture */
    float lambda;
    const float *class_weight;     /* (K) or NULL: all 1 */
    int teacher_mixed;             /* the teacher saw the mixture: its logits are not to be mixed again */
    float soft_scale;              /* warm-up of dkd: 0 to 1 */
    float hard_scale; /* rows of the batch / labelled ones (or their weights) for the labelled mean; 0: 1 */
} rt_loss_batch;

/* The loss on a tensor of logits for K classes, for a plan. config must be set; the batch is borrowed and read at each
 * run. */
rt_loss_spec rt_loss_spec_logits(rt_loss_batch *, int tensor, int k);

/* Feature hint: mean over the elements of (value - target)^2, times weight (FitNets, Romero et al. 2015, eq. 3). */
typedef struct { const float *target; float weight; } rt_hint_batch;
void rt_loss_fn_hint(void *arg, const rt_loss_io *);
#endif
