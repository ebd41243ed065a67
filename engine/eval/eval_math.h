/* engine/eval/eval_math.h - what the files of table `math` have of each other. */
#ifndef RT_ENGINE_EVAL_MATH_H
#define RT_ENGINE_EVAL_MATH_H

#include "engine/eval/eval.h"

double rt_eval_gelu(double), rt_eval_gelu_tanh(double);
rt_status rt_eval_softmax(rt_eval_call *), rt_eval_cumulate(rt_eval_call *), rt_eval_bit_shift(rt_eval_call *),
    rt_eval_bitwise(rt_eval_call *), rt_eval_bitwise_not(rt_eval_call *), rt_eval_is_nan(rt_eval_call *),
    rt_eval_is_inf(rt_eval_call *);
#endif
