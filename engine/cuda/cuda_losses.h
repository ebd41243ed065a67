/* engine/cuda/cuda_losses.h - launches of losses: what they compute stands in engine/losses.h. C and C++.
 *
 * A step launches rt_k_loss for each loss, at any place behind the value's last writer, and rt_k_loss_end once behind
 * all of them. What is there of a loss (labels, mask, the teacher's answers, weights of classes), mixture, scales and
 * the number that losses are divided by stand in the step's record. Sums go in an order that n alone decides. */
#ifndef RT_ENGINE_CUDA_LOSSES_H
#define RT_ENGINE_CUDA_LOSSES_H

#include <cuda_runtime_api.h>

#include "engine/cuda/cuda_step.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Floats of work space, aligned to 8 bytes, that a loss of up to so many rows of n outputs needs; 0: none. */
static inline size_t rt_cuda_loss_planes(const rt_loss_desc *d, int rows, int n)
{
    if (d->task != RT_TASK_CLASSES || d->kind != RT_SOFT_DIST || !(d->soft > 0)) return 0;
    return (size_t)n * (12 + 4 * (size_t)rows);      /* doubles */
}

/* Loss i of the step: of value (rows, n), grad (rows, n) = or (add) += the gradient, loss_rows (rows) = each row's part
 * before the division. desc is read by the call. Rows behind now->rows give 0. One launch; three for dist. */
void rt_k_loss(cudaStream_t, const rt_loss_desc *desc, int i, const float *value, float *grad, int add,
               float *loss_rows, float *planes, int rows, int n, const rt_cuda_now *now);

/* What is added up at the end: rows (losses, batch) of rt_k_loss. */
typedef struct {
    const float *rows;
    int losses, batch;
    rt_cuda_result *result;
    int results;
    rt_cuda_trouble *trouble;
    rt_cuda_result *held;              /* (results) in device memory, or NULL: every step tells what it gave */
    int tells;                         /* with held: so many steps, of which this is the last; 0: it is held alone */
    unsigned long long *count;         /* NULL, or becomes the step's number when it tells */
} rt_loss_sums;

/* Each loss's sum over rows, divided by now->total, and the sum of those, into result[(now->number - 1) % results].
 * Where that is not finite and trouble->bad is 0, it becomes now->number; the result is bad when trouble->bad is set,
 * now or since an earlier step. result is the host's memory: a launch that wrote there ends when the host's memory has
 * answered, later than all else, so that steps which are launched together are held on the card and told by the last.
 */
void rt_k_loss_end(cudaStream_t, const rt_loss_sums *, const rt_cuda_now *now);

#ifdef __cplusplus
}
#endif
#endif
