/* engine/cuda/cuda_size.h - what kernels count with is an int: whether a batch has too many values for that. */
#ifndef RT_ENGINE_CUDA_SIZE_H
#define RT_ENGINE_CUDA_SIZE_H

#include "engine/cuda/cuda_ops.h"
#include "engine/error.h"

/* RT_RUN with the remedy when `rows` times the greater of a and b, values of a row, are 2^31 or more. */
static inline rt_status rt_cuda_check_count(const rt_node *n, int rows, size_t a, size_t b)
{
    size_t most = a > b ? a : b;
    if ((uint64_t)rows * most < (uint64_t)1 << 31) return RT_OK;
    return rt_fail(RT_RUN, "%s: %d rows of %zu values are more than a card counts: use a batch of %zu rows at most",
                   n->name, rows, most, (((size_t)1 << 31) - 1) / most);
}
#endif
