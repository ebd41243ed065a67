/* train/augment.h - which views of rows a training run shows (engine/views.h), and the draw of mixtures: mixup, lambda
 * ~ Beta(mixup, mixup) once a batch, each row with another one of its batch (Zhang et al. 2018). */
#ifndef RT_TRAIN_AUGMENT_H
#define RT_TRAIN_AUGMENT_H

#include "data/labels.h"
#include "data/stream.h"
#include "student/view_config.h"

typedef struct {
    rt_view_desc view;
    double mixup;
    int views;                     /* epoch e shows view e mod views; 0: another one each epoch */
    uint64_t seed;                 /* of the views */
    int views_given, seed_given;   /* the configuration tells them */
    int kept;                      /* labels of these views are in the store, and are learnt from */
} rt_augment;

void rt_augment_read(rt_cfg *, rt_augment *);
/* Sets view.input where it was not given. RT_USAGE when it is no image, or there is none or more than one. */
rt_status rt_augment_check(rt_augment *, const rt_input *, int inputs);
/* Which views there are, once the label store is known (store "": there is none) with the views that it keeps (or
 * NULL); seed: the run's, where the views have none of their own; moved: the input that is, of a source of several
 * (NULL: it has one, or view.input tells). notes gets what is not used. RT_USAGE when the run asks for views that the
 * store does not keep. */
rt_status rt_augment_settle(rt_augment *, uint64_t seed, const rt_label_views *kept, const char *moved,
                            const char *store, cJSON *notes);
/* The view whose labels an epoch learns from; RT_LABEL_NO_VIEW: those of rows as they are. */
int rt_augment_view(const rt_augment *, uint32_t epoch);

/* lambda and partners of a batch; partner has room for batch->rows. */
float rt_mixup_draw(const rt_augment *, uint64_t seed, const rt_batch *, int *partner);
#endif
