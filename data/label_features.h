/* data/label_features.h - features that a label store keeps, for what compares rows by such. */
#ifndef RT_DATA_LABEL_FEATURES_H
#define RT_DATA_LABEL_FEATURES_H

#include "data/labels.h"

typedef struct {
    rt_labels *labels;                 /* NULL: it is no feature of a store */
    int feature, width;
    uint64_t first, rows;              /* of the source, that the store covers */
} rt_label_features;

/* Of the set "labels/features/NAME", or "features/NAME", of a store; labels is NULL where the file is none. RT_INPUT
 * when the store is damaged or not complete, or has no such feature. To be closed, also after an error. */
rt_status rt_label_features_open(rt_label_features *, const char *path, const char *set);
void rt_label_features_close(rt_label_features *);
/* (n, width) of source rows. Rows without a label are zeros with `lenient`, else RT_INPUT. Thread-safe. */
rt_status rt_label_features_read(const rt_label_features *, const uint64_t *row, int n, int lenient, float *to);
#endif
