/* engine/cuda/cuda_softmax.h - launchers of softmax.cu, for C and C++. */
#ifndef RT_ENGINE_CUDA_SOFTMAX_H
#define RT_ENGINE_CUDA_SOFTMAX_H

#include <cuda_runtime_api.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Softmax, or with logs its logarithm, of the lines of d values of an array (outer, d, inner). */
typedef struct { size_t outer, inner; int d, logs; } rt_softmax_lines;
void rt_k_softmax(cudaStream_t, const rt_softmax_lines *, float *y, const float *x);
/* dx = or += y (dy - sum dy y); with logs dy - exp(y) sum dy. */
void rt_k_softmax_back(cudaStream_t, const rt_softmax_lines *, float *dx, int add, const float *y, const float *dy);

#ifdef __cplusplus
}
#endif
#endif
