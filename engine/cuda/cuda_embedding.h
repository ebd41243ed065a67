/* engine/cuda/cuda_embedding.h - launchers of embedding.cu, for C and C++. */
#ifndef RT_ENGINE_CUDA_EMBEDDING_H
#define RT_ENGINE_CUDA_EMBEDDING_H

#include <cuda_runtime_api.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* y (n, d) = table[ids]; an id that is not 0 to rows - 1 gives NaN. */
void rt_k_embedding(cudaStream_t, float *y, const float *table, const int32_t *ids, size_t n, int d, int rows);

/* dtable (rows, d) += dy (n, d) at its ids; those that the table has not are left out. Terms of a row of the table are
 * added in the order of n: in float within 64 of those that name the row, then these sums. n below 2^32. room:
 * rt_embedding_room bytes. */
void rt_k_embedding_back(cudaStream_t, float *dtable, const float *dy, const int32_t *ids, size_t n, int d, int rows,
                         void *room);
size_t rt_embedding_room(size_t n, int d);

/* y = x + w over `rows` rows of n; to = or += from over n. */
void rt_k_position(cudaStream_t, float *y, const float *x, const float *w, size_t rows, size_t n);
void rt_k_pass_on(cudaStream_t, float *to, const float *from, size_t n, int add);

#ifdef __cplusplus
}
#endif
#endif
