/* engine/tuning.h - how parameters are trained, as plain data, C and C++. */
#ifndef RT_ENGINE_TUNING_H
#define RT_ENGINE_TUNING_H

#include <stddef.h>

/* How a parameter is trained, beside what the optimizer is told for all. */
typedef struct {
    float lr_scale;                  /* factor of the learning rate */
    float grad_scale;                /* factor of the gradient, before it is clipped */
    float weight_decay;              /* in place of the optimizer's; NAN: that one, where RT_F_DECAY is set */
    float low;                       /* the least value that an update leaves; -INFINITY: none */
    int relative;                    /* an update is multiplied by the value that it changes */
} rt_tuning;

/* Neighbours that are trained alike: floats of the parameters from `first` on, of gradients and moments from `grad` on;
 * all three are multiples of 16. how.weight_decay is the one that applies. */
enum { RT_UPDATE_BLOCK = 8192 };
typedef struct { size_t first, grad, count; rt_tuning how; int decays; } rt_update_block;
#endif
