/* train/loss_policy.h - what is decided about losses (engine/losses.h): kind and numbers of each head's, their
 * defaults, the denominator of the hard mean, weights of classes, warm-up.
 *
 * Every loss is the mean over the batch: a row without a label, and an element without one, counts in the denominator
 * of the hard loss too, unless hard_mean is "labelled" (then, of classes, as CrossEntropyLoss(ignore_index=-1); else
 * the mean over elements with a target, times the elements of a row; with weights of classes the sum of the labelled
 * rows' weights divides). The weight of dkd rises over `warmup` epochs. */
#ifndef RT_TRAIN_LOSS_POLICY_H
#define RT_TRAIN_LOSS_POLICY_H

#include "data/json.h"
#include "engine/losses.h"

typedef struct {
    rt_loss_desc desc;
    rt_loss_focal focal;           /* {"alpha", "beta"} of "focal" */
    int warmup, labelled_mean;
    int balanced;                  /* class_weight "balanced": rows / (K x rows of the class) */
    const cJSON *class_weight;     /* a list of K numbers; NULL: none given */
} rt_loss_config;

/* Who answers beside the labels: a second student that learns, too, is a peer. */
typedef enum { RT_BY_NOBODY, RT_BY_TEACHER, RT_BY_PEER } rt_soft_giver;

/* Reads {"kind", "hard", "soft", "temperature", "label_smoothing", "hard_mean", "class_weight", "focal",
 * "alpha", "beta", "gamma", "warmup", "target", "delta", "level"}; defaults go by task and kind, and a key that the
 * kind has no use for is refused. by: whose outputs there are, so that a soft loss is the default; by nobody's only a
 * hard one is possible, and a peer's count as much as labels do. */
void rt_loss_read(rt_cfg *, rt_loss_config *, rt_task, rt_soft_giver by);
const char *rt_soft_name(rt_soft_kind);

/* hard_scale of the labelled mean for `rows` rows of n outputs: rows by labelled ones, each by its class's weight or by
 * the part of its elements that has a target, halves of mixtures counted by their share. 1 where none has one. */
float rt_loss_labelled_scale(const rt_loss_batch *, int rows, int n);
#endif
