/* engine/cuda/resize_launch.h - images at another size on a card: what launches its kernels. C17 and C++. What is
 * computed is written in engine/ops_resize.c. */
#ifndef RT_ENGINE_CUDA_RESIZE_LAUNCH_H
#define RT_ENGINE_CUDA_RESIZE_LAUNCH_H

#include <cuda_runtime_api.h>

#include "engine/attr.h"

/* Which input pixels an output pixel of an axis is made of. */
typedef struct { int at[4]; float weight[4]; } rt_resize_pixel;
/* Which output pixels an input pixel is part of: from `from` on, below `to`. */
typedef struct { int from, to; } rt_resize_users;

/* The tables of both axes: y (oh), x (ow), users_y (h), users_x (w), in device memory. */
typedef struct { rt_resize_pixel *y, *x; rt_resize_users *users_y, *users_x; } rt_resize_tables;

typedef struct {
    int rows, h, w, c, oh, ow;
    int line;                            /* (T, C): the height is no axis */
    rt_resize_attr how;
} rt_resize_shape;

#ifdef __cplusplus
extern "C" {
#endif
/* users: 0: those of output pixels alone. */
void rt_k_resize_tables(cudaStream_t, const rt_resize_shape *, const rt_resize_tables *, int users);
void rt_k_resize(cudaStream_t, const rt_resize_shape *, const rt_resize_tables *, float *y, const float *x);
void rt_k_resize_back(cudaStream_t, const rt_resize_shape *, const rt_resize_tables *, float *dx, const float *dy,
                      int add);
#ifdef __cplusplus
}
#endif
#endif
