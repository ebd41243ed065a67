/* engine/losses.h - losses of a model's outputs, hard and soft, by task, as descriptors that a device can read: what is
 * computed. What is decided (defaults, warm-up, denominators, weights of classes) stands in train/loss_policy.h.
 *
 * Letters: B batch, K classes or labels, D values, T temperature; z student's outputs, t teacher's; p(z) = softmax(z),
 * s(z) = 1 / (1 + e^-z). Every loss sums over the elements of a row and is the mean over the batch, the hard one times
 * hard_scale.
 *
 * Classes, logits (B, K):
 *   hard: weight `hard` x cross-entropy with label smoothing e: -sum_k q_k log p(z)_k, q = (1 - e) onehot + e / K.
 *         Rows without a label (y < 0) contribute 0 to it. With weights w of classes: -sum_k w_k q_k log p(z)_k (as
 *         CrossEntropyLoss(weight=w, label_smoothing=e)).
 *   soft: weight `soft` x one of
 *     kd      T^2 KL(p(t/T) || p(z/T))                                             Hinton et al. 2015
 *     dkd     T^2 (alpha TCKD + beta NCKD), times soft_scale                       Zhao et al. 2022, eq. 7
 *             the target class is the row's label; the teacher's answer for rows without one, or for all ("teacher")
 *     dist    T^2 (beta inter + gamma intra), 1 - Pearson over classes / batch     Huang et al. 2022, eq. 6-9
 *     zscore  kd on logits standardised per row (mean 0, unbiased deviation 1)     Sun et al. 2024, alg. 1
 *     mse     sum_k (z_k - t_k)^2
 *         focal: the soft loss of a row is times alpha + beta r, r = 1 where the teacher is right, argmax_k t_k = y,
 * else 0, also of rows without a label (Yan et al. 2021, Positive-Congruent Training, eq. 5, whose teacher is the model
 * that is replaced); r of a mixture is that of its rows by their shares. Not of dist, which has no rows. Multilabel, a
 * logit a label (B, K): hard: bce   sum_k log(1 + e^z_k) - y_k z_k; BCEWithLogitsLoss(reduction="sum") / B soft: bkd
 * T^2 sum_k KL(Bernoulli(s(t_k/T)) || Bernoulli(s(z_k/T))) Real, values (B, D), d = z - y; the soft loss is the same
 * one of z - t: mse       sum d^2 huber     sum of d^2 / 2 where |d| <= delta, else delta (|d| - delta / 2)
 * HuberLoss(delta) quantile  sum of max(-level d, (1 - level) d)            scikit-learn's
 * mean_pinball_loss(alpha=level), times D hint      mean over the elements of d^2, times hard: a layer like the
 * teacher's    FitNets, Romero et al. 2015, eq. 3 A row may be a mixture: lambda of itself, 1 - lambda of row `partner`
 * (mixup, Zhang et al. 2018). */
#ifndef RT_ENGINE_LOSSES_H
#define RT_ENGINE_LOSSES_H

#include <stddef.h>
#include <stdint.h>

#include "engine/types.h"

enum { RT_MAX_LOSSES = 15, RT_MAX_OUTPUTS = 15 };

typedef enum {
    RT_SOFT_NONE, RT_SOFT_KD, RT_SOFT_DKD, RT_SOFT_DIST, RT_SOFT_ZSCORE, RT_SOFT_MSE,      /* of classes */
    RT_SOFT_BKD,                   /* of labels */
    RT_SOFT_VALUES                 /* of values: the hard loss of the teacher's */
} rt_soft_kind;

typedef enum { RT_HARD_CE, RT_HARD_BCE, RT_HARD_MSE, RT_HARD_HUBER, RT_HARD_QUANTILE, RT_HARD_HINT } rt_hard_kind;

typedef struct {
    rt_task task;
    rt_hard_kind hard_kind;
    rt_soft_kind kind;
    float hard, soft, temperature, smoothing;
    float alpha, beta, gamma;
    float delta, level;            /* of huber and quantile */
    int teacher_target;            /* dkd: the teacher's answer is the class, also of rows with a label */
} rt_loss_desc;

typedef struct { int on; float alpha, beta; } rt_loss_focal;

/* What a loss sees of the batch in hand; set before each step. */
typedef struct {
    rt_loss_desc config;
    rt_loss_focal focal;           /* stays, as config does; the CPU's */
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
#endif
