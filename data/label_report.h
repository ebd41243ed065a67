/* data/label_report.h - what a label store says, in figures: a check, a summary, and the teacher's temperature. */
#ifndef RT_DATA_LABEL_REPORT_H
#define RT_DATA_LABEL_REPORT_H

#include "data/heads.h"
#include "data/json.h"
#include "data/targets.h"
#include "data/x_where.h"
#include "engine/pool.h"
#include "engine/progress.h"

enum { RT_ECE_BINS = 15 };

typedef struct {
    const char *store;
    const char *data, *x, *y;          /* the rows' file and sets, to compare with true classes; NULL: not, "x", "y" */
    const rt_target_where *truth;      /* NULL: y tells where they lie */
    const char *rows;                  /* of the source, "A:B"; NULL: the store's */
    const char *head;                  /* of classes; NULL: the first */
    const char *policy;                /* a file: of the rows that it chooses; NULL: of all. Of a summary alone */
    const rt_x_where *where;           /* NULL: data and x tell where the rows lie */
    rt_pool *pool;                     /* NULL: alone */
    const rt_progress *progress;       /* may be NULL */
} rt_label_report;

/* Checks every committed block's CRC. {"labels", "rows", "rows_labelled", "complete", "checksums", "digest" of a
 * complete store}. RT_INPUT for damage. */
rt_status rt_label_verify_report(const rt_label_report *, cJSON **result);

/* {"labels", "head", "rows", "rows_labelled", "by_hand" where there are some, "not_yet", "abstained", "bad_input",
 * "bad_answer", "class_counts", "confidence": {"mean", "histogram": rows in (i / 10, (i + 1) / 10]}, "entropy_mean"
 * (nats), "margin_mean", "agreement": {"rows", "agree", "share", "commonest_class"} with data, "policy", "code_error"
 * of 8 bits, "views": {"count", "compared", "disagree" (views whose best class is not their row's), "share"} where
 * there are some, "warnings"}. Warned of: one class, classes without a row, confidence near chance, logits that are
 * constant or saturated, agreement no better than the commonest class. RT_NOTHING when no row has a label. */
rt_status rt_label_summary_report(const rt_label_report *, cJSON **result);

/* The same of about `most` rows, in blocks spread evenly, or of all where they are fewer, without what a store counts
 * itself: {"rows", "confidence": {"histogram"}, "entropy_mean", "margin_mean", "agreement"}. Warnings are appended to
 * the list. RT_NOTHING when none of the rows has a label. */
rt_status rt_label_glance(const rt_label_report *, uint64_t most, cJSON *warnings, cJSON **result);

/* Appends what is right by the rules and most likely wrong all the same: one class for all rows or nearly all, classes
 * without a row, confidence (NaN: not known) near chance. count (K) adds up to `labelled`; of: words behind "the
 * teacher's answer", such as " in head 'y'". */
void rt_label_warn_classes(cJSON *warnings, const rt_head *, const char *of, const uint64_t *count, uint64_t labelled,
                           double confidence);

/* The temperature T > 0 that makes the mean of -log softmax(z / T)[y] least, over labelled rows with a true class
 * (Guo et al. 2017): in 1 / T that mean is convex, and safeguarded Newton steps find it to 1e-9. {"labels", "head",
 * "rows", "seen_by_teacher", "accuracy", "temperature", "nll_before", "nll_after", "ece_before", "ece_after", "bins",
 * "warnings"}; ECE over RT_ECE_BINS bins of confidence (lo, hi] of equal width: sum of shares |right - confidence|.
 * RT_NOTHING when no row has both; RT_USAGE without data. */
rt_status rt_label_calibrate_report(const rt_label_report *, cJSON **result);
#endif
