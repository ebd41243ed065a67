/* engine/cuda/conv_back.cu - the gradient of a convolution's image; see conv_launch.h. */
#include "engine/cuda/conv_gather.cuh"

extern "C" void rt_k_conv_back(cudaStream_t stream, const rt_conv_shape *s, rt_conv_math math, float *dx,
                               const float *dy, const float *w, const float *bias, int add)
{
    if (rt_k_point_back(stream, s, math, dx, dy, w, bias, add)) return;
    if (rt_k_conv_patch_back(stream, s, math, dx, dy, w, bias, add)) return;
    launch_math<true>(stream, job{*s, dx, dy, w, bias, bounds_of(RT_ACT_NONE), add, 0, 0, 0, 0}, math);
}
