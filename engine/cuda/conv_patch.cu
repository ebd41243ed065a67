/* engine/cuda/conv_patch.cu - convolution forward from patches; see conv_launch.h. */
#include "engine/cuda/conv_patch.cuh"

extern "C" int rt_k_conv_patch(cudaStream_t stream, const rt_conv_shape *s, rt_conv_math math, float *y, const float *x,
                               const float *w, const float *bias, rt_act act, int add)
{
    job a = {};
    a.to = y, a.from = x, a.w = w, a.bias = bias, a.act = bounds_of(act), a.add = add;
    return launch_patch<false>(stream, *s, a, math);
}
