/* data/label_scan.h - one pass over what a label store says, and what a row's logits say of its class. */
#ifndef RT_DATA_LABEL_SCAN_H
#define RT_DATA_LABEL_SCAN_H

#include "data/labels.h"

/* Of p = softmax(z / T) over K classes: the best class (the lower of equal ones), its probability, how far the next one
 * is below it, and the entropy -sum p log p in nats. K 1: confidence and margin 1, entropy 0. */
typedef struct { int best; double confidence, margin, entropy; } rt_label_facts;
rt_label_facts rt_label_facts_of(const float *z, int classes, double temperature);

/* The store's head of classes of this name; name "": the first one. RT_USAGE when there is none. */
rt_status rt_label_find_head(rt_labels *, const char *path, const char *name, const rt_head **);

/* Called with labelled rows in rising order, some at a time: element c of row i's answer is z[i * width + c]. */
typedef rt_status rt_label_rows_fn(void *arg, const uint64_t *row, int n, const float *z, size_t width);
/* Calls fn for the labelled ones among `rows`, all of which the store covers (NULL: all of the store's). Memory is
 * bounded whatever the store's size. status (or NULL) gets the counts of all rows by status. RT_INPUT for a row outside
 * the store, for damage, and for an answer that is not finite. Not while others set the store's heads. */
rt_status rt_label_scan(rt_labels *, const char *path, const rt_rows *rows, uint64_t status[RT_LABEL_STATUSES],
                        rt_label_rows_fn *fn, void *arg);
#endif
