/* engine/cuda/cuda_norms.h - launchers of columns.cu, norms.cu and batch_norm.cu, for C and C++. x, y and their
 * gradients are (rows, n) or what is said; all pointers are into device memory. `act` is an rt_act. */
#ifndef RT_ENGINE_CUDA_NORMS_H
#define RT_ENGINE_CUDA_NORMS_H

#include <cuda_runtime_api.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { RT_COLUMN_THREADS = 256, RT_COLUMN_TICKETS = 8 };

/* How a grid goes over (rows, n): a tile is `wide` vectors of `vec` columns; a block has `lanes` rows of a tile in
 * flight and walks `per` rows; `blocks` of them share a tile's rows. Where those add up, what each found goes to
 * `partial`, two doubles a column and block, and the last of a group of tiles to end adds them in order: tile t is of
 * group t % groups. */
typedef struct {
    size_t rows, per;
    int n, vec, wide, lanes, tiles, blocks, groups;
    double *partial;
    unsigned *ticket[RT_COLUMN_TICKETS];
} rt_columns;
/* sum (n) = or += the sum over rows of x. */
void rt_k_column_sums(cudaStream_t, const rt_columns *, float *sum, const float *x, int add);

/* How batch norm goes over (rows, n): a tile is `wide` columns, a power of two, `vec` of which a thread takes together.
 * The first launch of each way has `parts` blocks a tile, each of `per` rows, and leaves both sums of column c and part
 * k at partial[2 c room + k] and partial[(2 c + 1) room + k]; the second has `blocks` a tile, each of `each` places:
 * rows, or what is pooled to one value. */
enum { RT_BN_THREADS = 512, RT_BN_COLUMNS = 16, RT_BN_PARTS = 128 };
typedef struct {                                  /* what kernels ask for first comes first: lines are waited for */
    float *partial;
    int n, wide_log, wide, each, places, parts, room;
    float rows_part, rows_last, share;        /* rows of a part, and of the last one; 1 / rows */
    int rows, per, tiles, vec, blocks;
    int warps;                                /* that share an image whose mean is taken */
} rt_channels;

/* A pooling joined to it. Rows are pixels; y and its gradient are pooled. GREATEST: in windows of kh x kw that lie side
 * by side and cover images w wide, ow of them in a line; `won` says which tap it was. AVERAGE: over images. */
enum { RT_BN_ALONE, RT_BN_GREATEST, RT_BN_AVERAGE };
typedef struct {
    int kind, w, kh, kw, ow, pixels;
    uint8_t *won;
} rt_batch_pool;

/* Batch norm: y = act((x - mean) scale + shift). `coefficient` (RT_BN_COEFFICIENTS, n): the mean as the sum of two
 * floats, MEAN + LOW; 1 over the root of variance + eps; scale, and the shift without MEAN: beta - LOW scale. */
enum { RT_BN_MEAN, RT_BN_LOW, RT_BN_RSTD, RT_BN_SCALE, RT_BN_SHIFT, RT_BN_COEFFICIENTS };
typedef struct rt_batch_norm {
    float *coefficient;
    const float *gamma, *beta;
    /* An addition joined to it, or NULL: y = act((x - mean) scale + shift + other). Where the gradient of `other` goes,
     * or NULL. */
    const float *other;
    int act;
    float eps, momentum;
    int add_gamma, add_beta, add_other;
    float *running_mean, *running_variance;   /* stay where *bad is neither 0 nor *number */
    const unsigned long long *bad;            /* NULL: they never stay */
    const uint64_t *number;
    float *dgamma, *dbeta;                    /* or NULL */
    float *dother;
    rt_batch_pool pool;
    /* Or `other` is what the addition's other side is a batch norm of, without an activation, whose moments' parts are
     * at its `parts`: it is made along with this one, both ways. */
    const struct rt_batch_norm *side;
    float *parts;
} rt_batch_norm;
/* Moments of parts; then coefficients, running statistics and y from them. A joined pooling: of places, see
 * rt_channels_pool. */
void rt_k_batch_moments(cudaStream_t, const rt_channels *, const float *x);
void rt_k_batch_apply(cudaStream_t, const rt_channels *, const rt_batch_norm *, float *y, const float *x);
/* Sums of parts; then dgamma, dbeta and dx (NULL: not wanted, where nothing is joined) from them. */
void rt_k_batch_sums(cudaStream_t, const rt_channels *, const rt_batch_norm *, const float *x, const float *dy);
void rt_k_batch_back(cudaStream_t, const rt_channels *, const rt_batch_norm *, float *dx, int add, const float *x,
                     const float *dy);

/* x = x act'(.) over n, from y. */
void rt_k_act_back(cudaStream_t, float *x, const float *y, int act, float slope, size_t n);

/* Norms of what lies together in a row: of `rows` rows of (px, ch), each of `groups` groups of ch / groups channels.
 * y = (x - mean) rstd gamma + beta; with rms y = x rstd gamma. `keep` (3, rows groups): the mean as a sum of two floats
 * and rstd, for the backward pass; NULL: there is none. gamma and beta are (ch). */
typedef struct {
    size_t rows;
    int px, ch, groups, rms;
    float eps;
    float *keep;
    const float *gamma, *beta;
} rt_row_norm;
void rt_k_row_norm(cudaStream_t, const rt_row_norm *, float *y, const float *x);
void rt_k_row_norm_back(cudaStream_t, const rt_row_norm *, float *dx, int add, const float *x, const float *dy);
/* Sums over rows (and px) of dy xhat and of dy; columns are (rows px, ch), with a vec that divides a group. */
void rt_k_row_norm_sums(cudaStream_t, const rt_columns *, const rt_row_norm *, const float *x, const float *dy,
                        float *dgamma, int add_gamma, float *dbeta, int add_beta);

/* Local response norm of `positions` of ch channels. room: (2, positions, ch) */
typedef struct { size_t positions; int ch, size; float alpha, beta, bias; } rt_local_norm;
void rt_k_local_norm(cudaStream_t, const rt_local_norm *, float *y, const float *x);
void rt_k_local_norm_back(cudaStream_t, const rt_local_norm *, float *dx, int add, const float *x, const float *dy,
                          float *room);

#ifdef __cplusplus
}
#endif
#endif
