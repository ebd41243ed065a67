/* engine/cuda/device_philox.cuh - the random numbers of engine/rng.h in kernels, to the bit: Philox4x32-10 (Salmon et
 * al., SC'11), key = (seed, purpose), counter = (epoch, step, row, lane). */
#ifndef RT_CUDA_DEVICE_PHILOX_H
#define RT_CUDA_DEVICE_PHILOX_H

#include "engine/cuda/device_code.h"
#include "engine/rng.h"

/* rt_random4: four words. */
RT_DEVICE void rt_device_random4(uint32_t (&out)[4], uint64_t seed, rt_rng_purpose purpose, uint32_t epoch,
                                 uint32_t step, uint32_t row, uint32_t lane)
{
    uint32_t c0 = epoch, c1 = step, c2 = row, c3 = lane;
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32) ^ ((uint32_t)purpose * 0x9E3779B1u);
    RT_UNROLL
    for (int r = 0; r < 10; r++) {
        uint32_t high0 = __umulhi(0xD2511F53u, c0), low0 = 0xD2511F53u * c0;
        uint32_t high1 = __umulhi(0xCD9E8D57u, c2), low1 = 0xCD9E8D57u * c2;
        c0 = high1 ^ c1 ^ k0;
        c1 = low1;
        c2 = high0 ^ c3 ^ k1;
        c3 = low0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}
#endif
