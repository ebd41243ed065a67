/* engine/cuda/cuda_space.h - an index space that kernels walk. Plain data, C and C++. */
#ifndef RT_ENGINE_CUDA_SPACE_H
#define RT_ENGINE_CUDA_SPACE_H

#include <stdint.h>

#include "engine/types.h"

enum { RT_SPACE_DIMS = RT_MAX_RANK + 1 /* the rows */, RT_SPACE_OPERANDS = 3 };

/* Dimensions, the innermost first: a place in it is one number, which counts through them, and operand k of a place
 * lies at the sum of index times step[k]. Kernels count in 32 bits where all numbers are below 2^31 (narrow): then
 * n / count[d] is (mulhi(n, mul[d]) + n) >> shift[d] (Granlund & Montgomery 1994, section 4). dims 0: one place. */
typedef struct {
    uint64_t places, count[RT_SPACE_DIMS];
    int64_t step[RT_SPACE_OPERANDS][RT_SPACE_DIMS];
    uint32_t mul[RT_SPACE_DIMS], shift[RT_SPACE_DIMS];
    int dims, narrow;
} rt_space;

#ifdef __cplusplus
extern "C" {
#endif

/* Appends a dimension: count, and the steps of up to three operands. */
void rt_space_add(rt_space *, size_t count, int64_t step0, int64_t step1, int64_t step2);
/* Ready for kernels: multipliers, and whether 32 bits do. */
void rt_space_seal(rt_space *);
/* Places become blocks of 4 along the innermost dimension, if it divides by 4 and its steps are 0 or 1: true, and
 * offsets stay in floats. Before it is sealed. */
int rt_space_by_4(rt_space *);

#ifdef __cplusplus
}
#endif
#endif
