/* engine/cuda/cuda_elements.h - launchers of elements.cu and pairs.cu: what is computed element by element. All arrays
 * are in device memory; `add`: results are added to what is there. Addresses that are multiples of 16 bytes are faster.
 */
#ifndef RT_ENGINE_CUDA_ELEMENTS_H
#define RT_ENGINE_CUDA_ELEMENTS_H

#include <cuda_runtime_api.h>

#include "engine/cuda/cuda_space.h"
#include "engine/cuda/cuda_step.h"
#include "engine/kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

/* y = act(x), and dx (+)= dy act'(x), over n. */
void rt_k_act(cudaStream_t, float *y, const float *x, size_t n, rt_act, float slope);
void rt_k_act_grad(cudaStream_t, float *dx, const float *dy, const float *x, size_t n, rt_act, float slope, int add);
/* The same of engine/functions.h. */
void rt_k_unary(cudaStream_t, float *y, const float *x, size_t n, rt_unary, float a, float b);
void rt_k_unary_grad(cudaStream_t, float *dx, const float *dy, const float *x, size_t n, rt_unary, float a, float b,
                     int add);
/* y = act(a + b), and da (+)= dy act'(y), db (+)= the same, of act up to RELU6; da or db may be NULL, or the same. */
void rt_k_add(cudaStream_t, float *y, const float *a, const float *b, size_t n, rt_act, float slope);
void rt_k_add_grad(cudaStream_t, float *da, int add_a, float *db, int add_b, const float *dy, const float *y, size_t n,
                   rt_act);
/* da (+)= dy b, db (+)= dy a; da or db may be NULL, or the same. */
void rt_k_multiply_grad(cudaStream_t, float *da, int add_a, float *db, int add_b, const float *dy, const float *a,
                        const float *b, size_t n);
/* y = act(x scale[c] + shift[c]), and dx (+)= dy act'(y) scale[c] of act up to RELU6, over (px, C). */
void rt_k_affine(cudaStream_t, float *y, const float *x, const float *scale, const float *shift, size_t px, int c,
                 rt_act, float slope);
void rt_k_affine_grad(cudaStream_t, float *dx, const float *dy, const float *y, const float *scale, size_t px, int c,
                      rt_act, int add);
/* y (+)= x mask / (1 - rate) over (rows, n), with the mask of engine/ops_basic.c for the step that *now tells. */
void rt_k_dropout(cudaStream_t, float *y, const float *x, size_t rows, size_t n, const rt_cuda_now *now, uint32_t key,
                  float rate, int add);

/* ---- over spaces: place i of the output, which is written without gaps; operands lie by the space's steps ---- */

/* y = f(a, b): operands a, b. */
void rt_k_pair(cudaStream_t, float *y, const float *a, const float *b, const rt_space *, rt_binary);
/* dx (+)= dy times the derivative by a (side 0) or b: operands a, b. */
void rt_k_pair_grad(cudaStream_t, float *dx, const float *dy, const float *a, const float *b, const rt_space *,
                    rt_binary, int side, int add);
/* y = a where condition is not 0, else b: operands condition, a, b. */
void rt_k_where(cudaStream_t, float *y, const float *condition, const float *a, const float *b, const rt_space *);
/* dx (+)= dy where condition is not 0 (side 0), or is (side 1), else 0: operand condition. */
void rt_k_where_grad(cudaStream_t, float *dx, const float *dy, const float *condition, const rt_space *, int side,
                     int add);
/* y (+)= x: operand x. */
void rt_k_spread(cudaStream_t, float *y, const float *x, const rt_space *, int add);

#ifdef __cplusplus
}
#endif
#endif
