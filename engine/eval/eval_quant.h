/* engine/eval/eval_quant.h - what the files of table `quant` have of each other. Sources of the operators of domain
 * com.microsoft: github.com/microsoft/onnxruntime, docs/ContribOperators.md. */
#ifndef RT_ENGINE_EVAL_QUANT_H
#define RT_ENGINE_EVAL_QUANT_H

#include "engine/eval/eval.h"

enum { RT_EVAL_BYTES = 1 << RT_U8 | 1 << RT_I8, RT_EVAL_CODES = RT_EVAL_BYTES | 1 << RT_U16 | 1 << RT_I16,
       RT_EVAL_QUANTIZED = RT_EVAL_CODES | (RT_EVAL_NARROW & ~(1 << RT_F8E8M0)) };

/* An integer within the type's range: of U8, I8, U16, I16. */
int64_t rt_eval_saturate(rt_dtype, double);
/* sat(rne(fl(fl(acc) m)) + zero) */
int64_t rt_eval_requantize(rt_dtype, int32_t acc, float m, int64_t zero);
/* Inputs i and i + 1: one scale, and a zero point of the type of `like` (or its own, like NULL) that may be missing. */
rt_status rt_eval_scale(rt_eval_call *, int i, float *scale);
rt_status rt_eval_zero(rt_eval_call *, int i, unsigned types, int64_t *zero, rt_dtype *type);

/* An operand as int32, less its zero point, which broadcasts to it (zero NULL: none). */
rt_status rt_eval_centred(rt_eval_call *, const rt_array *x, const rt_array *zero, rt_array **to);
/* The product of two arrays of int32 (or float32), as numpy.matmul; sums wrap (are rounded once). */
rt_status rt_eval_product(rt_eval_call *, const rt_array *a, const rt_array *b, rt_array **y);
/* The last two axes turned. */
rt_status rt_eval_turned(rt_eval_call *, const rt_array *x, rt_array **y);
/* x (f32) in 256 steps from its least to its greatest, 0 one of them. */
void rt_eval_dynamic(const rt_array *x, rt_array *y, float *scale, int64_t *zero);

rt_status rt_eval_quantize(rt_eval_call *), rt_eval_dequantize(rt_eval_call *);
rt_status rt_eval_matmul_integer(rt_eval_call *), rt_eval_conv_integer(rt_eval_call *),
    rt_eval_qlinear_conv(rt_eval_call *), rt_eval_qlinear_matmul(rt_eval_call *);
/* com.microsoft */
rt_status rt_eval_nhwc_max_pool(rt_eval_call *), rt_eval_qlinear_conv_last(rt_eval_call *),
    rt_eval_qlinear_pool(rt_eval_call *), rt_eval_qlinear_where(rt_eval_call *),
    rt_eval_qlinear_softmax(rt_eval_call *), rt_eval_qattention(rt_eval_call *), rt_eval_qembed(rt_eval_call *),
    rt_eval_matmul_nbits(rt_eval_call *);
rt_status rt_eval_qlinear_pair(rt_eval_call *), rt_eval_qlinear_average(rt_eval_call *),
    rt_eval_qlinear_concat(rt_eval_call *), rt_eval_qlinear_curve(rt_eval_call *), rt_eval_qgemm(rt_eval_call *),
    rt_eval_to_float(rt_eval_call *), rt_eval_fused_matmul(rt_eval_call *), rt_eval_gelus(rt_eval_call *),
    rt_eval_skip_norm(rt_eval_call *);
#endif
