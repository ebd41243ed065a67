/* engine/cuda/conv_launch.h - convolutions on a card: their shapes, and what launches their kernels. C17 and C++.
 *
 * Everything is about one convolution of images (rows, h, w, c) to outputs (rows, oh, ow, n), weights w (kh, kw, cg,
 * n):
 *
 *   forward   y[p][n] (+)= act(bias[n] + sum_{tap, ci} x[pixel of p and tap][ci] w[tap][ci][n])
 *   back      dx[q][c] (+)= bias[c] + sum_{tap, j} dy[pixel of q and tap][j] w[tap][c][j]
 *   weights   dw[tap][ci][n] (+)= sum_p x[pixel of p and tap][ci] dy[p][n];  dbias[n] (+)= sum_p dy[p][n]
 *
 * A transposed convolution is that of its output's shape, with forward and back exchanged. The first two are products
 * of pixels by channels whose left factor is gathered while it is read; a value is a sum in the order of its taps and
 * channels, whatever the tile that it falls into. With a stride, `back` goes by classes of pixels that see the same
 * taps. The third is cut into parts along the pixels, by shape alone, which cuda_parts.h adds up.
 * A tensor has fewer than 2^31 values. */
#ifndef RT_ENGINE_CUDA_CONV_LAUNCH_H
#define RT_ENGINE_CUDA_CONV_LAUNCH_H

#include <cuda_runtime_api.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/kernels.h"

typedef struct {
    int rows;
    int h, w, c, oh, ow, n;
    int kh, kw, sh, sw, dh, dw, pt, pl;  /* taps lie dh and dw apart */
    int groups, cg, ng;                  /* channels that a group reads and writes */
} rt_conv_shape;

/* How products are computed: in floats; as sums of three products of the two halves that a float is of tf32, which is
 * as good; of factors rounded to tf32 or bfloat16. All but the first need compute capability 8.0, and channels of a
 * group that 4 divides, else the first is taken. */
typedef enum { RT_CONV_FLOAT, RT_CONV_TF32X3, RT_CONV_TF32, RT_CONV_BF16 } rt_conv_math;

enum { RT_CONV_DEEP = 16 };              /* terms of a sum that a block reads at once */

/* Few channels a group, as in depthwise convolutions: a thread computes a value alone. */
static inline int rt_conv_is_direct(const rt_conv_shape *s)
{ return s->groups > 1 && (s->cg < 8 || s->ng < 8); }

static inline size_t rt_conv_pixels(const rt_conv_shape *s) { return (size_t)s->rows * (size_t)s->oh * (size_t)s->ow; }
static inline size_t rt_conv_weights(const rt_conv_shape *s)
{ return (size_t)s->kh * (size_t)s->kw * (size_t)s->cg * (size_t)s->n; }

/* What `weights` cuts the work into: tiles of rows (taps and channels) by columns; and parts along the pixels, so many
 * that a large card is busy. */
enum { RT_CONV_ROWS = 64, RT_CONV_SUMS = 9, RT_CONV_LANES = 32 };
static inline int rt_conv_columns(int n) { return n <= 16 ? 16 : n <= 32 ? 32 : 64; }
static inline size_t rt_conv_most_parts(const rt_conv_shape *s)
{
    enum { BLOCKS = 528 };
    size_t m = (size_t)s->kh * (size_t)s->kw * (size_t)s->cg, q = (size_t)rt_conv_columns(s->ng), tiles;
    if (rt_conv_is_direct(s))
        tiles = (m + RT_CONV_SUMS - 1) / RT_CONV_SUMS * (((size_t)s->n + RT_CONV_LANES - 1) / RT_CONV_LANES);
    else tiles = (m + RT_CONV_ROWS - 1) / RT_CONV_ROWS * (((size_t)s->ng + q - 1) / q) * (size_t)s->groups;
    return tiles < BLOCKS ? BLOCKS / tiles : 1;
}
/* Pixels of a part but the last; parts. */
enum { RT_CONV_LEAST = 128 };
static inline size_t rt_conv_part(const rt_conv_shape *s)
{
    size_t parts = rt_conv_most_parts(s), part = (rt_conv_pixels(s) + parts - 1) / parts;
    if (part < RT_CONV_LEAST) part = RT_CONV_LEAST;
    return (part + RT_CONV_DEEP - 1) / RT_CONV_DEEP * RT_CONV_DEEP;
}
static inline int rt_conv_parts(const rt_conv_shape *s)
{
    size_t part = rt_conv_part(s);
    return (int)((rt_conv_pixels(s) + part - 1) / part);
}
/* Floats that `weights` works in: of the parts, weights and bias. Fewer rows never take more. */
static inline size_t rt_conv_partial(const rt_conv_shape *s)
{
    size_t most = rt_conv_most_parts(s), parts = (rt_conv_pixels(s) + RT_CONV_LEAST - 1) / RT_CONV_LEAST;
    if (parts > most) parts = most;
    return parts > 1 ? parts * (rt_conv_weights(s) + (size_t)s->n) : 0;
}

#ifdef __cplusplus
extern "C" {
#endif
/* bias may be NULL; act: NONE, RELU, RELU6; not both act and add. */
void rt_k_conv(cudaStream_t, const rt_conv_shape *, rt_conv_math, float *y, const float *x, const float *w,
               const float *bias, rt_act act, int add);
void rt_k_conv_back(cudaStream_t, const rt_conv_shape *, rt_conv_math, float *dx, const float *dy, const float *w,
                    const float *bias, int add);
/* dbias may be NULL. Where rt_conv_parts are more than one, they go to partial (rt_conv_partial floats), each weights
 * and bias, in place of dw and dbias. */
void rt_k_conv_weights(cudaStream_t, const rt_conv_shape *, rt_conv_math, float *dw, float *dbias, float *partial,
                       const float *x, const float *dy, int add_dw, int add_dbias);
/* The same of shapes for which rt_conv_is_direct. */
void rt_k_direct(cudaStream_t, const rt_conv_shape *, float *y, const float *x, const float *w, const float *bias,
                 rt_act act, int add);
void rt_k_direct_back(cudaStream_t, const rt_conv_shape *, float *dx, const float *dy, const float *w,
                      const float *bias, int add);
void rt_k_direct_weights(cudaStream_t, const rt_conv_shape *, float *dw, float *dbias, float *partial, const float *x,
                         const float *dy, int add_dw, int add_dbias);
#ifdef __cplusplus
}
#endif
#endif
