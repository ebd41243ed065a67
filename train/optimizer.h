/* train/optimizer.h - what an optimizer is told: its kind and numbers, and the learning rate's schedule. */
#ifndef RT_TRAIN_OPTIMIZER_H
#define RT_TRAIN_OPTIMIZER_H

#include "data/json.h"
#include "engine/updates.h"

typedef enum { RT_CONSTANT, RT_COSINE, RT_STEP, RT_ONE_CYCLE } rt_schedule;

typedef struct {
    rt_update_desc update;
    rt_schedule schedule;
    double lr, warmup, final_lr, step_gamma;
    double milestone[16];          /* epochs, of the step schedule */
    int milestones;
} rt_optimizer_config;

void rt_optimizer_read(rt_cfg *, rt_optimizer_config *, double epochs);

/* Learning rate at step s of total, with `steps` a epoch. Warm-up rises linearly over config.warmup epochs; then
 * cosine: lr/2 (1 + cos(pi x)) down to final_lr; step: times step_gamma at each milestone; one_cycle (Smith & Topin
 * 2018): a linear rise over 30 %, then a cosine down to final_lr. */
double rt_learning_rate(const rt_optimizer_config *, uint64_t s, uint64_t total, uint64_t steps);
#endif
