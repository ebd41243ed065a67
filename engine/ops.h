/* engine/ops.h - the operators of the registry, each defined in its own place; see rt_ops in graph.h. */
#ifndef RT_ENGINE_OPS_H
#define RT_ENGINE_OPS_H

#include "engine/plan_build.h"

#define X(E, n) extern const rt_op rt_op_##n;
RT_OPS(X)
#undef X

/* Nothing to be told, but an activation that passes may give it. */
extern const rt_schema rt_end_schema;

/* Layer norms: their attributes; the shape of their gamma, RT_USAGE when the input has fewer dimensions; true when it
 * is of several. */
extern const rt_schema rt_layer_norm_schema;
rt_status rt_norm_shape(const rt_node *, const rt_shape *in, rt_shape *gamma);
int rt_norm_is_alone(const rt_graph *, const rt_node *);

/* Helpers that operators share. */

/* Training: if t is x scale[c] + shift[c] by a batch norm, the value of x, so that a reader computes t on its way;
 * scale lies in the plan's buffer at *scale, shift C floats behind. Else -1. To be asked before other values are read:
 * it may end the phase. */
int rt_bn_raw(rt_plan *, int tensor, ptrdiff_t *scale);

/* The axis that the node is told, from 0 on; RT_USAGE where the shape has none; whether it is the last. */
int rt_axis(const rt_node *, const rt_shape *);
rt_status rt_axis_check(const rt_node *, const rt_shape *);
int rt_axis_is_last(const rt_graph *, const rt_node *);
extern const rt_schema rt_axis_schema;

/* The gradient dy of n's output goes unchanged to this input of it: added to what is there, or copied. */
void rt_grad_pass_on(rt_plan *, const rt_node *n, int dy, int input);

/* The gradient of n's output before the activation that was fused into n, if there is one. */
int rt_act_back_in_place(rt_plan *, const rt_node *n);
#endif
