/* engine/attr.h - the attributes of operators that have some. Their tables (rt_schema) stand beside each operator. */
#ifndef RT_ENGINE_ATTR_H
#define RT_ENGINE_ATTR_H

#include "engine/kernels.h"
#include "engine/schema.h"

/* What follows an operator's sum. Attributes of operators that can take up an activation begin with it. */
typedef struct { rt_act act; float slope; } rt_epilogue;

/* Kernel, stride, padding and how far taps are apart; (T, C) has the height 1. */
typedef struct { int kernel[2], stride[2]; rt_padding pad; int dilation[2]; } rt_window;
/* The same along the D of (D, H, W, C), planes in front and behind; a kernel of 0: there is no D. */
typedef struct { int kernel, stride, pad[2], dilation; } rt_depth;

typedef struct { rt_shape shape; int ids; } rt_shape_attr;                   /* input, reshape; ids: of an input */
typedef struct { rt_epilogue end; int out, bias; } rt_dense_attr;
typedef struct { rt_epilogue end; int out, groups, bias; rt_window window; } rt_conv_attr;
typedef struct { rt_conv_attr plane; rt_depth depth; } rt_conv3d_attr;
typedef struct { rt_window window; int ceil, count_padding; rt_depth depth; } rt_pool_attr; /* all but global pools */
typedef struct { rt_epilogue end; float momentum, eps; } rt_batch_norm_attr;
typedef struct { float eps; int dims; } rt_layer_norm_attr;                  /* layer_norm, rms_norm */
typedef struct { int groups; float eps; } rt_group_norm_attr;
typedef struct { int size; float alpha, beta, bias; } rt_lrn_attr;
typedef struct { rt_epilogue end; } rt_activation_attr;                      /* activation, affine */
typedef struct { rt_unary fn; float a, b; } rt_unary_attr;
/* add and what it stands for; the activation is an addition's. operand: of rank 0 where there are two inputs. */
typedef struct { rt_epilogue end; rt_shape operand; int learned, reverse; } rt_binary_attr;
typedef struct { rt_shape shape; int learned; } rt_constant_attr;
typedef struct { int axis; } rt_axis_attr;                                   /* concat, softmax, log_softmax */
typedef struct { rt_ints axes; } rt_permute_attr;
typedef struct { rt_ints start, end, step; } rt_slice_attr;
typedef enum { RT_PAD_CONSTANT, RT_PAD_REFLECT, RT_PAD_EDGE, RT_PAD_WRAP } rt_pad_mode;
typedef struct { rt_ints before, behind; rt_pad_mode mode; float value; } rt_pad_attr;
typedef struct { int axis; rt_shape shape; } rt_gather_attr;
typedef struct { rt_shape shape; } rt_expand_attr;
typedef struct { rt_ints repeats; } rt_tile_attr;
typedef struct { rt_ints axes; int keep; } rt_reduce_attr;
typedef struct { float rate; } rt_dropout_attr;
typedef struct { const struct rt_onnx_call *call; } rt_call_attr;            /* the source graph's: rt_graph_own */
typedef struct { int rows, out; } rt_embedding_attr;
typedef struct { int learned; } rt_position_attr;
typedef struct { int transpose_a, transpose_b; float scale; } rt_matmul_attr;
typedef struct { int out, direction, last, linear_before_reset; } rt_recurrent_attr;  /* lstm, gru, rnn */
typedef struct {
    int out, groups, bias, output_padding[2];
    rt_window window;
    rt_depth depth; int depth_output_padding;              /* of conv_transpose3d */
} rt_conv_transpose_attr;
typedef struct {
    int size[2], mode, coordinates, nearest, exclude_outside;
    float scale_h, scale_w, cubic;
} rt_resize_attr;
typedef struct { int out, bias; } rt_dense_int8_attr;
typedef struct {
    int out, groups, bias, gives, x_low, x_zero, y_low, y_high, y_zero;
    rt_window window;
} rt_conv_int8_attr;
typedef struct { int op, low, high; } rt_pair_int8_attr;
typedef struct { rt_shape operand; int form, low, high; } rt_quantize_attr;   /* operand: of rank 0 for one */
typedef struct { int trees, nodes, leaves, out, test, aggregate; } rt_trees_attr;
typedef struct { int heads, kv_heads, causal; float scale; } rt_attention_attr;

enum { RT_ATTR_BYTES = 96 };                                                 /* of the largest */
/* The attributes of a node, as the type that its operator has. */
#define RT_ATTR(node, type) ((const type *)(const void *)(node)->attr)
#define RT_ATTR_SET(node, type) ((type *)(void *)(node)->attr)
#endif
