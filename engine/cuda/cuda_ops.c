/* engine/cuda/cuda_ops.c - which operators cards have. */
#include "engine/cuda/cuda_ops.h"

/* Each family's file defines its own. */
#define OPS(X) \
    X(DENSE, dense) \
    X(ACTIVATION, activation) X(UNARY, unary) X(AFFINE, affine) X(DROPOUT, dropout) X(ADD, pair) X(MUL, pair) \
    X(SUBTRACT, pair) X(DIVIDE, pair) X(MINIMUM, pair) X(MAXIMUM, pair) X(POWER, pair) X(PRELU, pair) \
    X(MODULO, pair) X(LESS, pair) X(LESS_OR_EQUAL, pair) X(GREATER, pair) X(GREATER_OR_EQUAL, pair) X(EQUAL, pair) \
    X(AND, pair) X(OR, pair) X(XOR, pair) X(WHERE, where) X(CONSTANT, constant) X(EXPAND, expand) \
    X(PERMUTE, move) X(SLICE, move) X(PAD, move) X(TILE, move) X(GATHER, gather) X(CONCAT, concat) \
    X(REDUCE_SUM, reduce) X(REDUCE_MEAN, reduce) X(REDUCE_MAX, reduce) X(REDUCE_MIN, reduce) \
    X(REDUCE_PROD, reduce) X(REDUCE_L1, reduce) X(REDUCE_L2, reduce) X(REDUCE_SUM_SQUARE, reduce) \
    X(REDUCE_LOG_SUM, reduce) X(REDUCE_LOG_SUM_EXP, reduce) X(MATMUL, matmul) \
    X(CONV2D, conv) X(CONV1D, conv) X(CONV_TRANSPOSE2D, conv_transpose) X(CONV_TRANSPOSE1D, conv_transpose) \
    X(MAX_POOL, max_pool) X(AVG_POOL, avg_pool) X(GLOBAL_AVG_POOL, global_avg_pool) \
    X(GLOBAL_MAX_POOL, global_max_pool) X(RESIZE, resize) \
    X(BATCH_NORM, batch_norm) X(LAYER_NORM, layer_norm) X(RMS_NORM, rms_norm) X(GROUP_NORM, group_norm) X(LRN, lrn) \
    X(SOFTMAX, softmax) X(LOG_SOFTMAX, log_softmax) X(EMBEDDING, embedding) X(POSITION, position)
#define X(E, name) extern const rt_cuda_op rt_cuda_##name;
OPS(X)
#undef X

const rt_cuda_op *const rt_cuda_ops[RT_OP_COUNT] = {
#define X(E, name) [RT_OP_##E] = &rt_cuda_##name,
    OPS(X)
#undef X
};
