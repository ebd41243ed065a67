/* experiments/features.h - numbers by which rows are compared, in memory: those of a data set, or what a layer of a
 * model makes of the rows. */
#ifndef RT_EXPERIMENTS_FEATURES_H
#define RT_EXPERIMENTS_FEATURES_H

#include "data/x_where.h"
#include "engine/device.h"
#include "engine/progress.h"

typedef struct {
    float *x;                          /* (rows, width) */
    uint64_t rows;
    int width;
    char text[200];                    /* what they are, for results */
} rt_features;

/* Of a data set, any numbers as floats; max_bytes: what they may take. RT_INPUT for a row with NaN or infinity and for
 * texts, RT_USAGE when they take more. To be freed with rt_features_free, also after an error. */
rt_status rt_features_read(rt_features *, const char *path, const char *set, uint64_t max_bytes, const rt_progress *);
/* Of `layer` of a model ("": what its first head is computed from) for the rows of a source. */
rt_status rt_features_ask(rt_features *, const char *model, const char *layer, const rt_x_where *, uint64_t max_bytes,
                          rt_device *, const rt_progress *);
/* Rows become of length 1; rows of zeros stay. */
void rt_features_normalize(rt_features *);
void rt_features_free(rt_features *);
#endif
