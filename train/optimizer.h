/* train/optimizer.h - SGD and AdamW over flat buffers, schedules, clipping, weight averages. */
#ifndef RT_TRAIN_OPTIMIZER_H
#define RT_TRAIN_OPTIMIZER_H

#include "data/json.h"
#include "engine/graph.h"
#include "engine/pool.h"

typedef enum { RT_SGD, RT_ADAMW } rt_optimizer_kind;
typedef enum { RT_CONSTANT, RT_COSINE, RT_STEP, RT_ONE_CYCLE } rt_schedule;

typedef struct {
    rt_optimizer_kind kind;
    rt_schedule schedule;
    double lr, momentum, weight_decay, beta1, beta2, eps, clip, ema, warmup, final_lr, step_gamma;
    double milestone[16];          /* epochs, of the step schedule */
    int milestones, nesterov, decay_all;
} rt_optimizer_config;

void rt_optimizer_read(rt_cfg *, rt_optimizer_config *, double epochs);

/* Learning rate at step s of total, with `steps` a epoch. Warm-up rises linearly over config.warmup epochs; then
 * cosine: lr/2 (1 + cos(pi x)) down to final_lr; step: times step_gamma at each milestone; one_cycle (Smith & Topin
 * 2018): a linear rise over 30 %, then a cosine down to final_lr. */
double rt_learning_rate(const rt_optimizer_config *, uint64_t s, uint64_t total, uint64_t steps);

typedef struct {
    rt_optimizer_config config;
    const rt_graph *graph;
    rt_pool *pool;
    float *m, *v, *ema;            /* flat; v for AdamW, ema when asked */
    uint64_t updates;
    double grad_norm;              /* of the last step, when clipping is on */
    struct rt_block *block;
    int blocks;
    double *partial;
    float *w;
    const float *g;
    rt_update update;
} rt_optimizer;

rt_status rt_optimizer_new(rt_optimizer **out, const rt_optimizer_config *, const rt_graph *, rt_pool *,
                           const float *params);
void rt_optimizer_free(rt_optimizer *);
/* One update of params from grads; grads are scaled by grad_scale first. */
void rt_optimizer_step(rt_optimizer *, float *params, const float *grads, double lr, double grad_scale);
#endif
