/* data/label_policy.h - a policy: which rows of a label store are learnt from, by what the teacher said of them.
 *
 * A view of the rows: nothing is relabelled, written or thrown away. A policy is a JSON object,
 *   {"head": NAME,                            of classes; absent: the first one
 *    "temperature": T,                        p = softmax(logits / T); 1. A text names a file that holds the number as
 *                                            "temperature", as the step "calibrate" of an experiment writes it
 *    "confidence": {"min", "max"}, "margin": {"min", "max"}, "entropy": {"min", "max"},      data/label_scan.h
 *    "per_class": {"min": [x, ...] or {"CLASS": x, ...}     least confidence of rows of a class
 *                  "median_capped": x         confidence at least min(median of the class, x)
 *                  "top": n                   the best n rows of each class
 *                  "quota": {"CLASS": n}},    the best n rows of a class
 *    "balance": "none" | "equal" | "prior" | "sqrt",
 *    "choose": "confidence" | "random", "seed": s,      what makes a row better, where there are more than wanted
 *    "weights": {"classes": "none" | "equal" | "prior" | "sqrt", "confidence": 0},      how often chosen rows are drawn
 *    "allow_empty": false}
 * A row's class is the teacher's best one. What does not pass every threshold abstains. Of class c with n_c rows left
 * (after top and quota) balance keeps the best m_c <= n_c: equal: the least n of any class; prior and sqrt: in
 * proportion to the rows that the class had before, or to their square root, as many as the scarcest class allows, at
 * least 1. With weights no row is left out for them, but rows are drawn (data/row_weights.h) in proportion to
 * confidence^"confidence" and to their class's factor: equal: 1 / m_c, so that classes come equally often; prior: what
 * the class had before / m_c, so that they come as they did before thresholds; sqrt: the square root of what it had
 * before / m_c. The median of a class is over all its rows, of an even number the upper of the middle two.
 *
 * "Best" is exact without sorting, in two passes over the store for each cut: ranks are whole numbers of 24 bits,
 * floor(confidence 2^24), or drawn by (seed, row), counted by their upper 12 bits and then, within the bin of the cut,
 * by their lower 12. Equal ranks go by row number, the lower first. Memory: 32 KiB a class that is cut, and a few bits
 * a row. */
#ifndef RT_DATA_LABEL_POLICY_H
#define RT_DATA_LABEL_POLICY_H

#include "data/labels.h"
#include "data/row_weights.h"

typedef struct rt_label_policy rt_label_policy;

/* from: the object, or a text, which names a file that holds it; key: what the configuration calls it, for messages.
 * RT_USAGE for keys and values that are none, RT_INPUT and RT_RUN as rt_json_file. */
rt_status rt_label_policy_read(rt_label_policy **out, const cJSON *from, const char *key);
void rt_label_policy_free(rt_label_policy *);
/* With defaults, keys in order; belongs to the policy. */
const cJSON *rt_label_policy_effective(const rt_label_policy *);
rt_digest rt_label_policy_digest(const rt_label_policy *);

/* Whether it weighs rows. */
int rt_label_policy_weighs(const rt_label_policy *);
/* Leaves of `rows`, all of which the store covers, those that the policy chooses. *report, for the caller to delete:
 * {"digest", "effective", "head", "rows_before", "rows_after", "abstained" (below a threshold), "cut" (more than
 * wanted), "classes": {"NAME": {"before", "passed", "after", "drawn" (with weights: share of the draws)}}}. weights,
 * where not NULL: those of the rows it leaves, empty without weights, for rt_row_weights_free. path: the store, for
 * messages. RT_USAGE when the store does not have what the policy asks for: a head, a class, or confidence where it
 * keeps classes alone or too few logits. RT_NOTHING when no row is left, or none of a class that had some, unless
 * allow_empty. */
rt_status rt_label_policy_apply(const rt_label_policy *, rt_labels *, const char *path, rt_rows *rows,
                                rt_row_weights *weights, cJSON **report);
#endif
