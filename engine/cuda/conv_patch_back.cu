/* engine/cuda/conv_patch_back.cu - the gradient of a convolution's image from patches; see conv_launch.h. */
#include "engine/cuda/conv_patch.cuh"

extern "C" int rt_k_conv_patch_back(cudaStream_t stream, const rt_conv_shape *s, rt_conv_math math, float *dx,
                                    const float *dy, const float *w, const float *bias, int add)
{
    job a = {};
    a.to = dx, a.from = dy, a.w = w, a.bias = bias, a.act = bounds_of(RT_ACT_NONE), a.add = add;
    return launch_patch<true>(stream, *s, a, math);
}
