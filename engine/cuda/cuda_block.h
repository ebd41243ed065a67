/* engine/cuda/cuda_block.h - a step packed for the card: see cuda_step.h. */
#ifndef RT_ENGINE_CUDA_BLOCK_H
#define RT_ENGINE_CUDA_BLOCK_H

#include "engine/cuda/cuda_step.h"
#include "engine/pool.h"
#include "engine/session.h"

/* Bytes of a block of such a session, whose raw rows have row_bytes (0: rows come as floats). A multiple of 256. */
size_t rt_cuda_block_bytes(const rt_session_spec *, const rt_graph *, size_t row_bytes);
/* Rows of the data that a card holds: those that were packed once, by their numbers. */
typedef struct { char *rows; uint64_t *seen; uint64_t count; } rt_cuda_held;

/* Packs rows and targets of the step; the record but for what an update needs. block: host memory, of that size. held
 * may be NULL; rows that it has are not packed. `copies`: threads for many rows, NULL: the caller alone. Returns the
 * bytes that there are to copy. */
size_t rt_cuda_block_pack(char *block, size_t bytes, const rt_session_spec *, const rt_graph *, const rt_step *,
                          rt_cuda_held *held, rt_pool *copies);
#endif
