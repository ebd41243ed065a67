/* engine/cuda/pool_launch.h - pooling on a card: what launches its kernels. C17 and C++. What is computed is written in
 * engine/ops_pool.c. Tensors are (rows, h, w, c) and (rows, oh, ow, c). Each value is computed by one thread, in the
 * order of the taps; gradients are gathered, in the order of the windows. */
#ifndef RT_ENGINE_CUDA_POOL_LAUNCH_H
#define RT_ENGINE_CUDA_POOL_LAUNCH_H

#include <cuda_runtime_api.h>
#include <stdint.h>

typedef struct {
    int rows, h, w, c, oh, ow, kh, kw, sh, sw, dh, dw, pt, pl;
    int hp, wp;                     /* where padding ends, counted from the image's first pixel */
    int count_padding;
} rt_pool_shape;

#ifdef __cplusplus
extern "C" {
#endif
/* index (rows, oh, ow, c): the tap that won, or NULL. */
void rt_k_max_pool(cudaStream_t, const rt_pool_shape *, float *y, uint8_t *index, const float *x);
void rt_k_max_pool_back(cudaStream_t, const rt_pool_shape *, float *dx, const float *dy, const uint8_t *index, int add);
void rt_k_avg_pool(cudaStream_t, const rt_pool_shape *, float *y, const float *x);
void rt_k_avg_pool_back(cudaStream_t, const rt_pool_shape *, float *dx, const float *dy, int add);

/* Of x (rows, pixels, c): y (rows, c) the mean, or the maximum with the pixel that won (or NULL). */
void rt_k_global_avg(cudaStream_t, float *y, const float *x, int rows, int pixels, int c);
void rt_k_global_avg_back(cudaStream_t, float *dx, const float *dy, int rows, int pixels, int c, int add);
void rt_k_global_max(cudaStream_t, float *y, int32_t *index, const float *x, int rows, int pixels, int c);
void rt_k_global_max_back(cudaStream_t, float *dx, const float *dy, const int32_t *index, int rows, int pixels, int c,
                          int add);
#ifdef __cplusplus
}
#endif
#endif
