/* engine/cuda/cuda_reduce.h - launchers of reduce.cu: sums and other folds over some dimensions, in double, in a fixed
 * order that depends on the shape of what is folded alone. */
#ifndef RT_ENGINE_CUDA_REDUCE_H
#define RT_ENGINE_CUDA_REDUCE_H

#include <cuda_runtime_api.h>

#include "engine/cuda/cuda_space.h"
#include "engine/functions.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What is folded for each output o, over all places that go:
 *   REDUCE    x, by the reduction; out[o] is its value
 *   EQUAL     how many x are y[o]; both[o] is their number
 *   FACTORS   x other than 0 are multiplied, zeros counted; both[o] is the product, both[outputs + o] the number
 *   PAIR      x, a gradient, times the derivative of f(a, b) by side; out[o] (+)= the sum
 *   WHERE     x, a gradient, where a is not 0 (side 0), or is (side 1); out[o] (+)= the sum */
typedef enum { RT_FOLDS_REDUCE, RT_FOLDS_EQUAL, RT_FOLDS_FACTORS, RT_FOLDS_PAIR, RT_FOLDS_WHERE } rt_folds;

/* Places of `kept` are outputs, in order; operands 0, 1, 2 of both spaces are x, a, b. */
typedef struct {
    rt_space kept, gone;
    const float *x, *a, *b, *y;
    rt_folds what;
    rt_reduce reduce;
    rt_binary f;
    int side, add;
    float *out;
    double *both;
    double *parts;                     /* room of rt_folding_room bytes; not read when that is 0 */
    /* Set by rt_folding_plan: a block is so many lanes of what goes by 256 / lanes outputs; across: neighbours in
     * memory are outputs; each output's places are cut into so many parts, which other blocks add up. */
    int lanes, across, splits;
} rt_folding;

/* To be called when the spaces are there, before rt_k_fold. Spaces are sealed. blocks: how many blocks there should be
 * at least, to be reached by parts; 0: parts depend on `gone` alone. Returns the bytes of parts. */
size_t rt_folding_plan(rt_folding *, int blocks);
/* At most so many, of so many outputs of so many places each, or fewer of both; of folds that keep one value. */
size_t rt_folding_room(size_t outputs, size_t places, int blocks);
void rt_k_fold(cudaStream_t, const rt_folding *);

/* dx (+)= the derivative of a reduction, over places of x in order; operand 0: outputs. both: of EQUAL for MAX and MIN,
 * of FACTORS for PROD, else not read. parts: places of x an output. */
void rt_k_reduce_grad(cudaStream_t, float *dx, const float *dy, const float *x, const float *y, const double *both,
                      const rt_space *, rt_reduce, uint64_t outputs, double parts, int add);

#ifdef __cplusplus
}
#endif
#endif
