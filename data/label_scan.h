/* data/label_scan.h - one pass over what a label store says, and what a row's logits say of its class. */
#ifndef RT_DATA_LABEL_SCAN_H
#define RT_DATA_LABEL_SCAN_H

#include "data/labels.h"

/* The store's head of classes of this name; name "": the first one. RT_USAGE when there is none. */
rt_status rt_label_find_head(rt_labels *, const char *path, const char *name, const rt_head **);

/* Some labelled rows, in rising order: element c of row i's answer is z[i * width + c]; fact[i]: what the store's
 * columns say of the head that was asked about, or, where it has none, its logits at temperature 1; of labels by hand
 * that they are certain. */
typedef struct {
    const uint64_t *row;
    int n;
    const float *z;
    size_t width;
    const unsigned char *status;
    const rt_label_facts *fact;
} rt_label_batch;
typedef rt_status rt_label_rows_fn(void *arg, const rt_label_batch *);
/* Calls fn for the labelled ones among `rows`, all of which the store covers (NULL: all of the store's). head: of
 * classes, one of the store's own. Memory is bounded whatever the store's size. status (or NULL) gets the counts of all
 * rows by status. RT_INPUT for a row outside the store, for damage, and for an answer that is not finite. Not while
 * others set the store's heads. */
rt_status rt_label_scan(rt_labels *, const char *path, const rt_head *head, const rt_rows *rows,
                        uint64_t status[RT_LABEL_STATUSES], rt_label_rows_fn *fn, void *arg);
/* The same members of facts, of row i of the batch, at another temperature; a label by hand is certain at any. */
rt_label_facts rt_label_facts_at(const rt_label_batch *, int i, const rt_head *, double temperature);
#endif
