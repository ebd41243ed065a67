/* engine/updates.h - SGD and AdamW over flat buffers: clipping, weight decay, the average of the weights. */
#ifndef RT_ENGINE_UPDATES_H
#define RT_ENGINE_UPDATES_H

#include "engine/graph.h"
#include "engine/pool.h"

typedef enum { RT_SGD, RT_ADAMW } rt_optimizer_kind;

typedef struct {
    rt_optimizer_kind kind;
    double momentum, weight_decay, beta1, beta2, eps;
    double clip;                   /* largest norm of the gradient; 0: none */
    double ema;                    /* decay of the weights' average; 0: none */
    int nesterov, decay_all;
} rt_update_desc;

/* Flat buffers of a graph: w and ema of its parameters, g, m and v of what is trained. v of AdamW, ema where it is
 * asked for. */
typedef struct { float *w, *m, *v, *ema; const float *g; } rt_update_buffers;

typedef struct rt_updates rt_updates;
/* The graph and the pool are borrowed. */
rt_status rt_updates_new(rt_updates **out, const rt_update_desc *, const rt_graph *, rt_pool *);
void rt_updates_free(rt_updates *);
/* Update number t (from 1) of w from g, which is scaled by grad_scale first, and by clip / norm where its norm is above
 * clip. A field's tuning changes its gradient (before the norm is taken), its learning rate, its decay, and the least
 * value that it has afterwards. SGD: m = momentum m + g + decay w, w -= lr (m, or with nesterov g + decay w + momentum
 * m) (Sutskever et al. 2013); AdamW (Loshchilov and Hutter 2019, alg. 2). ema += (1 - d)(w - ema) with d = min(ema, (1
 * + t) / (10 + t)), which it returns. */
double rt_updates_step(rt_updates *, const rt_update_buffers *, uint64_t t, double lr, double grad_scale);
#endif
