/* engine/broadcast.h - shapes that broadcast as in NumPy: the smaller rank gets leading ones, and a dimension of one
 * goes with any. The batch leads and is everybody's; a field has none. */
#ifndef RT_ENGINE_BROADCAST_H
#define RT_ENGINE_BROADCAST_H

#include "engine/ops.h"

enum { RT_OPERANDS = 3 };

/* RT_USAGE with both shapes when they do not go together. */
rt_status rt_broadcast(const rt_shape *a, const rt_shape *b, rt_shape *out);

/* The output, rows and all, as nested runs, the innermost first: run g has count[g] values of each operand,
 * stride[k][g] floats apart, or one that stays (0). Neighbours in which the same operands stay are one run. */
typedef struct {
    int operands, runs;
    size_t count[RT_MAX_RANK + 1];
    ptrdiff_t stride[RT_OPERANDS][RT_MAX_RANK + 1];
} rt_runs;

/* rows of a phase in which a row of the batch has px rows; whole: bits of the operands that are fields, without rows.
 */
rt_runs rt_runs_of(const rt_shape *out, const rt_shape *const *operand, int operands, int px, int rows,
                   unsigned fields);

/* Calls fn for each place of the runs from `first` on: at: where the operands stand, out: where the output. */
typedef void rt_runs_fn(void *arg, const ptrdiff_t *at, size_t out);
void rt_runs_each(const rt_runs *, int first, rt_runs_fn *fn, void *arg);

/* What a function of two numbers is, of a node: which; whether it has a gradient; the input on side 0 (a) or 1 (b), -1
 * where the layer's own operand stands there; and that side's shape. */
rt_binary rt_binary_of(const rt_node *);
int rt_binary_has_gradient(rt_binary);
int rt_binary_input(const rt_node *, int side);
const rt_shape *rt_binary_shape(const rt_graph *, const rt_node *, int side);

/* Of a reduction: which, and its dimensions that go, as bits. */
rt_reduce rt_reduce_of(const rt_node *);
unsigned rt_reduce_gone(const rt_node *, int rank);

/* dx (+)= the sums of g, an output's gradient, over what operand k repeats; in the order of the output. */
void rt_runs_sum(const rt_kernels *, const rt_runs *, int k, float *dx, const float *g, int accumulate);
#endif
