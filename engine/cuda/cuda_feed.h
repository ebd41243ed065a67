/* engine/cuda/cuda_feed.h - launches that begin a step: its record, and its rows. C and C++. */
#ifndef RT_ENGINE_CUDA_FEED_H
#define RT_ENGINE_CUDA_FEED_H

#include <cuda_runtime_api.h>

#include "engine/cuda/cuda_step.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The first launch of a step. ring: blocks of block_bytes (a multiple of 8) in device memory, each of which begins with
 * a record. Block *count % blocks is the one in turn: fixed = its record, fixed->block = where it lies; *count grows by
 * one. */
void rt_k_take(cudaStream_t, rt_cuda_now *fixed, const char *ring, size_t block_bytes, int blocks,
               unsigned long long *count);

/* Behind it, where rows are held: raw rows of the block go to their places in now->held. */
void rt_k_hold(cudaStream_t, size_t row_bytes, int rows, const rt_cuda_now *now);

/* dst (rows, size) = the rows of input desc->input in the block, as rt_rows_fill makes them: from raw rows of any type
 * (ids become int32), in the views and the mixture that the record tells, or as they are where now->x has them. Rows
 * behind now->rows are 0. desc lies in device memory, so that it may change between steps; size (elements of a row) is
 * the graph's. */
void rt_k_rows(cudaStream_t, float *dst, const rt_cuda_rows *desc, size_t size, int rows, const rt_cuda_now *now);

#ifdef __cplusplus
}
#endif
#endif
