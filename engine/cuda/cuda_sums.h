/* engine/cuda/cuda_sums.h - sums over what an operand repeats, for operators whose gradients end in one. */
#ifndef RT_ENGINE_CUDA_SUMS_H
#define RT_ENGINE_CUDA_SUMS_H

#include "engine/broadcast.h"
#include "engine/cuda/cuda_ops.h"
#include "engine/cuda/cuda_reduce.h"

/* Spaces of a fold over the places of the runs, x in their order, that operand `by` repeats; operands 0 and 1 of the
 * runs are a and b. */
void rt_folding_spaces(rt_folding *, const rt_runs *, int by);
/* Bytes of scratch that rt_cuda_sum takes at most, of so many outputs and places each. */
size_t rt_cuda_sum_room(size_t outputs, size_t places);
/* Folds in the node's scratch, by as many parts as keep a card busy: for training. All but plan and parts is set. */
void rt_cuda_sum(rt_cuda_emit *, rt_folding *);
/* The runs as a space; x, operand 0 alone. */
rt_space rt_space_of_runs(const rt_runs *);
#endif
