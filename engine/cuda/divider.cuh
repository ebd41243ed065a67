/* engine/cuda/divider.cuh - divisions by a number that stays, as a multiplication: Granlund & Montgomery 1994, figure
 * 4.1. Kernels take dividers that the host has made. */
#ifndef RT_ENGINE_CUDA_DIVIDER_CUH
#define RT_ENGINE_CUDA_DIVIDER_CUH

#include "engine/cuda/device_code.h"

namespace {

struct divider { unsigned by, mul, shift; };

/* by: 1 to 2^31 - 1. */
inline divider divider_of(int by)
{
    unsigned d = (unsigned)by, shift = 0;
    while (((uint64_t)1 << shift) < d) shift++;
    return divider{d, (unsigned)((((uint64_t)1 << 32) * (((uint64_t)1 << shift) - d)) / d + 1), shift};
}
/* x / by of an x from 0 on. */
RT_DEVICE int quotient(int x, const divider &d)
{
    return (int)(((unsigned)((uint64_t)(unsigned)x * d.mul >> 32) + (unsigned)x) >> d.shift);
}
}
#endif
