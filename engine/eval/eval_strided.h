/* engine/eval/eval_strided.h - elements moved by steps. */
#ifndef RT_ENGINE_EVAL_STRIDED_H
#define RT_ENGINE_EVAL_STRIDED_H

#include <stddef.h>
#include <stdint.h>

enum { RT_STRIDED_RANK = 16 };

/* y, row-major of shape dim (rank), gets x[sum of index[i] step[i]]; steps in elements of `size` bytes (1, 2, 4 or 8),
 * any sign, 0 to repeat. Every place that is reached must be there: the caller has checked it. */
void rt_eval_strided(void *y, const void *x, size_t size, int rank, const int64_t *dim, const int64_t *step);
#endif
