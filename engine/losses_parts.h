/* engine/losses_parts.h - what the files of losses share, and how a plan calls them; nothing outside engine/ includes
 * it. */
#ifndef RT_ENGINE_LOSSES_PARTS_H
#define RT_ENGINE_LOSSES_PARTS_H

#include "engine/plan.h"

/* Adds an element's loss, times weight, and its gradient. at: of the target in (B, D). */
typedef void rt_hard_element(const rt_loss_batch *, size_t at, float z, float weight, float total, float *g,
                             float *loss);
/* The same of the teacher's answer t[j], or of the mixture with other[j], when that is not NULL. */
typedef void rt_soft_element(const rt_loss_batch *, float z, const float *t, const float *other, int j, float total,
                             float *g, float *loss);

/* Gradient and losses of the rows of io, element by element; hard or soft NULL: without that part. */
void rt_loss_elements(const rt_loss_batch *, const rt_loss_io *, rt_hard_element *hard, rt_soft_element *soft);
void rt_loss_classes(const rt_loss_batch *, const rt_loss_io *);
void rt_loss_multilabel(const rt_loss_batch *, const rt_loss_io *);
void rt_loss_real(const rt_loss_batch *, const rt_loss_io *);

/* The loss on a tensor of n outputs, for a plan. The batch is borrowed and read at each run; its config stays. */
rt_loss_spec rt_loss_spec_of(const rt_loss_batch *, int tensor, int n);
#endif
