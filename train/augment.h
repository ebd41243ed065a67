/* train/augment.h - which views of rows a training run shows (engine/views.h), and the draw of mixtures: mixup, lambda
 * ~ Beta(mixup, mixup) once a batch, each row with another one of its batch (Zhang et al. 2018). */
#ifndef RT_TRAIN_AUGMENT_H
#define RT_TRAIN_AUGMENT_H

#include "data/stream.h"
#include "engine/views.h"
#include "student/input.h"

typedef struct {
    rt_view_desc view;
    double mixup;
} rt_augment;

void rt_augment_read(rt_cfg *, rt_augment *);
/* Sets view.input where it was not given. RT_USAGE when it is no image, or there is none or more than one. */
rt_status rt_augment_check(rt_augment *, const rt_input *, int inputs);

/* lambda and partners of a batch; partner has room for batch->rows. */
float rt_mixup_draw(const rt_augment *, uint64_t seed, const rt_batch *, int *partner);
#endif
