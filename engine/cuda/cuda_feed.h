/* engine/cuda/cuda_feed.h - launches that begin a step: its record, and its rows. C and C++. */
#ifndef RT_ENGINE_CUDA_FEED_H
#define RT_ENGINE_CUDA_FEED_H

#include <cuda_runtime_api.h>

#include "engine/cuda/cuda_step.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Blocks of `bytes` (a multiple of 8) in device memory, each of which begins with a record. Block *count % count_of is
 * the one in turn; without count the first. */
typedef struct {
    rt_cuda_now *fixed;
    const char *blocks;
    size_t bytes;
    int count_of;
    unsigned long long *count;
    unsigned *ticket;                  /* 0 at first, and left at 0 */
    size_t stride;                     /* without count: floats from a step's dst to the next one's */
} rt_cuda_ring;

/* dst (rows, size) = the rows of input desc->input in the block, as rt_rows_fill makes them: from raw rows of any type
 * (ids become int32), in the views and the mixture that the record tells, or as they are where now->x has them. Rows
 * behind now->rows are 0. desc lies in device memory, so that it may change between steps; size (elements of a row) is
 * the graph's.
 *
 * The first launch of a step is told the ring: it takes the block in turn, of whose record it makes *fixed, with
 * fixed->block where the block lies; raw rows that have places in now->held go there; *count grows by one. Those behind
 * it are told NULL. */
void rt_k_rows(cudaStream_t, float *dst, const rt_cuda_rows *desc, size_t size, int rows, const rt_cuda_now *now,
               const rt_cuda_ring *ring);

/* The same for so many blocks of a ring without count, one behind the other: that of step i becomes fixed[i] and the
 * rows at dst + i stride. All of them at once: no step reads rows that another one brings. */
void rt_k_rows_ahead(cudaStream_t, float *dst, const rt_cuda_rows *desc, size_t size, int rows,
                     const rt_cuda_ring *ring, int steps);

#ifdef __cplusplus
}
#endif
#endif
