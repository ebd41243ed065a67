/* engine/cuda/cuda_columns.h - how operators go over (rows, n), see rt_columns. Only engine/cuda/ includes it. */
#ifndef RT_ENGINE_CUDA_COLUMNS_H
#define RT_ENGINE_CUDA_COLUMNS_H

#include "engine/cuda/cuda_norms.h"
#include "engine/cuda/cuda_ops.h"

/* Chosen by shape alone, with at most so many bytes of partial sums. aligned: rows begin at multiples of 16 bytes where
 * n is one of 4. */
void rt_columns_of(rt_columns *, size_t rows, int n, int aligned, size_t sums);

/* For sums in this step: with its partial sums and tickets, RT_COLUMN_TICKETS at most. */
void rt_cuda_columns(rt_cuda_emit *, const rt_node *, rt_columns *, size_t rows, int n, int aligned);
/* For batch norm, chosen by shape alone, too; partial sums take so many bytes, at a multiple of 16. */
void rt_channels_of(rt_channels *, size_t rows, int n, int aligned);
/* The second launch goes over what is pooled: so many values a column. */
void rt_channels_pool(rt_channels *, const rt_batch_pool *);
size_t rt_channels_bytes(const rt_channels *);
/* All of them lie at multiples of 16 bytes; NULL does. */
int rt_cuda_aligned(const void *a, const void *b, const void *c);
#endif
