/* engine/cuda/cuda_update.h - the launch of an update: accumulation, clipping, SGD or AdamW, averages of weights and
 * states. What is computed stands in engine/updates.h. C and C++. */
#ifndef RT_ENGINE_CUDA_UPDATE_H
#define RT_ENGINE_CUDA_UPDATE_H

#include <cuda_runtime_api.h>

#include "engine/cuda/cuda_step.h"
#include "engine/tuning.h"

#ifdef __cplusplus
extern "C" {
#endif

/* All pointers are to device memory. What lies between fields in the flat buffers is 0 at first, of the gradients too,
 * and stays so. */
typedef struct {
    const rt_update_block *block;      /* of rt_update_blocks */
    int blocks;
    int adamw, nesterov;               /* else SGD */
    float momentum, beta1, beta2, eps;
    double clip;                       /* 0: none */
    size_t params, grads, states;      /* floats of the buffers */
    float *w, *ema;                    /* (params); ema NULL: no average is kept */
    const float *g;                    /* (grads) of this step */
    float *sum;                        /* (grads) or NULL: steps are not accumulated */
    float *m, *v;                      /* (grads); v of AdamW */
    const float *state;                /* (states) */
    float *ema_state;                  /* (states) or NULL */
    double *work;                      /* (rt_cuda_update_work(blocks)) with clip, else NULL */
    unsigned *ticket;                  /* with clip: 0 at first; the launch leaves it at 0 */
    const rt_cuda_now *now;
    rt_cuda_trouble *trouble;
} rt_cuda_update;

/* Doubles of work space for clipping. */
static inline size_t rt_cuda_update_work(int blocks) { return 1 + 8 * (size_t)blocks; }

/* Of a step, behind rt_k_loss_end: sum becomes g (now->first) or grows by it; with now->last the update is made, scaled
 * by now->grad_scale, and the averages follow. One launch, two with clipping. Where trouble->bad is set nothing is
 * changed; in the step that set it (trouble->bad == now->number) the least indices into w and g of what is not finite
 * are brought to trouble->weight and ->gradient, which were ~0. The struct is read by the call. */
void rt_k_update(cudaStream_t, const rt_cuda_update *);

#ifdef __cplusplus
}
#endif
#endif
