/* engine/cuda/device_sums.cuh - sums and greatest values over a warp, and over a block, in an order of lanes alone; all
 * threads take part and all get the result. */
#ifndef RT_ENGINE_CUDA_DEVICE_SUMS_CUH
#define RT_ENGINE_CUDA_DEVICE_SUMS_CUH

#include "engine/cuda/device_code.h"

namespace {

RT_DEVICE float warp_sum(float v)
{
    for (int d = 16; d > 0; d /= 2) v += __shfl_xor_sync(~0u, v, d);
    return v;
}

RT_DEVICE float warp_most(float v)
{
    for (int d = 16; d > 0; d /= 2) v = fmaxf(v, __shfl_xor_sync(~0u, v, d));
    return v;
}

/* part: shared memory, a float each of the WARPS. */
template <int WARPS> RT_DEVICE float block_sum(float v, float *part)
{
    v = warp_sum(v);
    __syncthreads();
    if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = v;
    __syncthreads();
    v = part[0];
    for (int i = 1; i < WARPS; i++) v += part[i];
    return v;
}

template <int WARPS> RT_DEVICE float block_most(float v, float *part)
{
    v = warp_most(v);
    __syncthreads();
    if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = v;
    __syncthreads();
    v = part[0];
    for (int i = 1; i < WARPS; i++) v = fmaxf(v, part[i]);
    return v;
}

/* The mean x0 + c as the sum of two floats. */
RT_DEVICE void two_floats(float *high, float *low, float x0, float c)
{
    float h = x0 + c, b = h - x0;
    *high = h;
    *low = (x0 - (h - b)) + (c - b);
}

}

#endif
