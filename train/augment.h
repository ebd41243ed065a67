/* train/augment.h - views of rows: flip, shift-crop, random erasing, mixup, as functions of (seed, epoch, row).
 *
 *   flip   mirror left-right with probability 1/2
 *   shift  move by up to this many pixels each way; what comes in from outside is 0 in raw units
 *   erase  with this probability, a rectangle of 2 % to 33 % of the area becomes the mean (Zhong et al. 2020)
 *   mixup  lambda ~ Beta(mixup, mixup) once a batch; each row is mixed with another one of its batch (Zhang et al.
 * 2018) Each view needs nothing but these numbers, so the teacher can be shown the very same one. */
#ifndef RT_TRAIN_AUGMENT_H
#define RT_TRAIN_AUGMENT_H

#include "data/stream.h"
#include "student/input.h"

typedef struct {
    int flip, shift;
    double erase, mixup;
    const char *input;                 /* which of several inputs flip, shift and erase are for; NULL: the one image */
} rt_augment;

void rt_augment_read(rt_cfg *, rt_augment *);
/* Sets `input` where it was not given. RT_USAGE when it is no image, or there is none or more than one. */
rt_status rt_augment_check(rt_augment *, const rt_input *, int inputs);

typedef struct {
    const rt_augment *augment;
    const rt_batch *batch;
    uint64_t seed;
    const int *partner;            /* NULL: no mixup */
    float lambda;
} rt_view;

/* lambda and partners of a batch; partner has room for batch->rows. */
float rt_mixup_draw(const rt_augment *, uint64_t seed, const rt_batch *, int *partner);
/* An rt_view_fn; arg is an rt_view. */
void rt_view_fill(void *arg, const rt_input *, float *dst, int row0, int rows);
#endif
