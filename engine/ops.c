/* engine/ops.c - the registry of operators. */
#include "engine/ops.h"

const rt_op *const rt_ops[RT_OP_COUNT] = {
#define X(E, n) &rt_op_##n,
    RT_OPS(X)
#undef X
};
