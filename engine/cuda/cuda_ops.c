/* engine/cuda/cuda_ops.c - which operators cards have. */
#include "engine/cuda/cuda_ops.h"

/* Each family's file defines its own. */
#define OPS(X) \
    X(DENSE, dense)
#define X(E, name) extern const rt_cuda_op rt_cuda_##name;
OPS(X)
#undef X

const rt_cuda_op *const rt_cuda_ops[RT_OP_COUNT] = {
#define X(E, name) [RT_OP_##E] = &rt_cuda_##name,
    OPS(X)
#undef X
};
