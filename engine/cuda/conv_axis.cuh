/* engine/cuda/conv_axis.cuh - which pixels a convolution reads, along one axis, forward and back to its image. Only the
 * .cu files of convolutions include it. */
#ifndef RT_ENGINE_CUDA_CONV_AXIS_CUH
#define RT_ENGINE_CUDA_CONV_AXIS_CUH

#include "engine/cuda/device_code.h"

namespace {

/* One axis: target pixel a, counted within its class, reads source pixel a mul + off + i step by tap first + i jump,
 * i < taps; it lies at a apart + phase of `to`. */
struct axis { int count, mul, off, step, taps, first, jump, apart, phase, from, to; };

/* Of a convolution: all pixels are one class. */
inline __host__ __device__ axis axis_forward(int from, int to, int kernel, int stride, int dilation, int pad)
{
    return axis{to, stride, -pad, dilation, kernel, 0, 1, 1, 0, from, to};
}
/* Back: pixels `phase` modulo the stride see the taps k with phase + pad - k dilation divisible by the stride. */
inline __host__ __device__ axis axis_back(int from, int to, int kernel, int stride, int dilation, int pad, int phase)
{
    int first = 0, jump = 1;
    while (jump * dilation % stride) jump++;
    while (first < jump && (phase + pad - first * dilation) % stride) first++;
    axis x = {to > phase ? (to - phase + stride - 1) / stride : 0, 1, 0, -(jump * dilation / stride), 0, first, jump,
              stride, phase, from, to};
    if (first < jump && first < kernel) {
        x.taps = (kernel - 1 - first) / jump + 1;
        x.off = (phase + pad - first * dilation) / stride;
    }
    return x;
}
}
#endif
