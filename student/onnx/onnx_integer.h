/* student/onnx/onnx_integer.h - an ONNX graph of quantized operators as an integer program (engine/int/net.h), and so
 * as a quantized model.
 *
 * Between DequantizeLinear and QuantizeLinear, or as QLinearConv and QLinearMatMul, an operator stands for one call of
 * the program, if it obeys the integer contract (engine/int/integer.h): activations of 8 bits with one scale and zero
 * point a tensor, weights of 8 bits or less, symmetric, biases int32 in steps of input times weight. Signed activations
 * and weights that are unsigned around 128 are the same numbers with another zero point. The graph is read as a whole:
 * one operator that computes in float between, and there is no program. */
#ifndef RT_STUDENT_ONNX_ONNX_INTEGER_H
#define RT_STUDENT_ONNX_ONNX_INTEGER_H

#include "student/onnx/onnx_lower.h"

typedef struct {
    const rt_onnx_row *row;
    const rt_lower_input *in;          /* (graph inputs) */
    int input;                         /* of the graph: the only one that data come by; -1: there are several */
    const int *output; int outputs;    /* values that answer */
    const rt_head *head;               /* (outputs) without sizes; names may be there */
    const char *own;                   /* what export/onnx_qdq.c tells of bits and scales, as text; NULL: not ours */
    const cJSON *normalization;        /* that it tells, or NULL */
} rt_onnx_integer_spec;

/* Whether something quantizes or dequantizes what depends on data. */
int rt_onnx_is_quantized(const rt_onnx_row *);
/* *out NULL and *why, in the row's region, when the graph is no such program: RT_OK. */
rt_status rt_onnx_integer(rt_model **out, const rt_onnx_integer_spec *, const char **why);
#endif
