/* engine/cuda/conv.cu - convolution forward; see conv_launch.h. */
#include "engine/cuda/conv_gather.cuh"

extern "C" void rt_k_conv(cudaStream_t stream, const rt_conv_shape *s, rt_conv_math math, float *y, const float *x,
                          const float *w, const float *bias, rt_act act, int add)
{
    if (math != RT_CONV_FLOAT && rt_k_few_tensor(stream, s, y, x, w, bias, act, add)) return;
    if (rt_k_few(stream, s, y, x, w, bias, act, add)) return;
    if (rt_k_point(stream, s, math, y, x, w, bias, act, add)) return;
    if (rt_k_conv_patch(stream, s, math, y, x, w, bias, act, add)) return;
    launch_math<false>(stream, job{*s, y, x, w, bias, bounds_of(act), add, 0, 0, 0, 0}, math);
}
