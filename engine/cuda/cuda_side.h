/* engine/cuda/cuda_side.h - work of the way back that nothing waits for until the step's end, the gradients of weights,
 * in a second stream beside the way itself: few kernels fill a card alone. Private to engine/cuda/.
 *
 * Such work stands in the first stream's order by turns. A turn begins at a node of the walk; what is launched in it
 * beside the walk reads tensors that stay until the turn after the next begins, which waits for it (cuda_plan.c gives
 * them that life). All of it has ended behind rt_cuda_side_join. */
#ifndef RT_ENGINE_CUDA_SIDE_H
#define RT_ENGINE_CUDA_SIDE_H

#include <cuda_runtime_api.h>

#include "engine/error.h"

enum { RT_CUDA_TURNS = 2 };

typedef struct {
    cudaStream_t stream;
    cudaEvent_t fork, join, done[RT_CUDA_TURNS];
    int turn;                          /* of this step, from 1 */
    int used, recorded[RT_CUDA_TURNS]; /* something is beside since the last join; done[i] is of a turn since then */
    cudaError_t error;                 /* the first of a call since the step began */
} rt_cuda_side;

struct rt_cuda_emit;

cudaError_t rt_cuda_side_new(rt_cuda_side *);          /* zeroed before; for rt_cuda_side_free, also after an error */
void rt_cuda_side_free(rt_cuda_side *);

/* For the walk, with emit->side NULL (all is in one stream) as well. A step begins; a turn begins; all so far has
 * ended; an error of any of these calls. */
void rt_cuda_side_begin(struct rt_cuda_emit *);
void rt_cuda_side_turn(struct rt_cuda_emit *);
void rt_cuda_side_join(struct rt_cuda_emit *);
rt_status rt_cuda_side_status(const struct rt_cuda_emit *);
#endif
