/* engine/cuda/chain.cuh - device code that the launches of a chain of dense layers share; see cuda_chain.h. */
#ifndef RT_ENGINE_CUDA_CHAIN_CUH
#define RT_ENGINE_CUDA_CHAIN_CUH

#include "engine/cuda/cuda_chain.h"
#include "engine/cuda/device_code.h"

namespace {
enum { THREADS = 256, QUAD = 4, NOW_WORDS = sizeof(rt_cuda_now) / sizeof(uint64_t) };

RT_DEVICE float rounded(float x, int round)
{
    if (round == 1) return __uint_as_float(rt_tf32(x));
    return round == 2 ? rt_of_bf16(rt_bf16_of(x)) : x;
}
RT_DEVICE float act_of(float x, int act)
{
    if (act && !(x > 0)) x = x == x ? 0.0f : x;        /* NaN stays */
    return act == 2 && x > 6.0f ? 6.0f : x;
}
RT_DEVICE float slope_of(float y, int act) { return !act || (y > 0 && (act == 1 || y < 6)) ? 1.0f : 0.0f; }

inline __host__ __device__ int padded(int n) { return (n + QUAD - 1) / QUAD * QUAD; }

template <int V> RT_DEVICE void load(float (&v)[V], const float *from)
{
    if constexpr (V == 4) {
        float4 f = *(const float4 *)(const void *)from;
        v[0] = f.x, v[1] = f.y, v[2] = f.z, v[3] = f.w;
    } else if constexpr (V == 2) {
        float2 f = *(const float2 *)(const void *)from;
        v[0] = f.x, v[1] = f.y;
    } else {
        v[0] = *from;
    }
}

/* A kernel's argument, of whole words, in shared memory behind the next barrier: where a struct is read field by field,
 * each of its lines would be waited for by itself. */
template <class T> RT_DEVICE const T *take_argument(uint64_t *to, const T &from)
{
    static_assert(sizeof(T) % sizeof *to == 0, "an argument is whole words");
    const uint64_t *words = (const uint64_t *)(const void *)&from;
    for (int i = (int)threadIdx.x; i < (int)(sizeof(T) / sizeof *to); i += THREADS) to[i] = words[i];
    return (const T *)(const void *)to;
}

/* The step's record in shared memory, by one read of each word: what is read of it afterwards is at hand. It is there
 * behind the next barrier. */
RT_DEVICE const rt_cuda_now *take_record(uint64_t *to, const rt_cuda_now *now)
{
    static_assert(sizeof *now % sizeof *to == 0, "a record is whole words");
    const uint64_t *from = (const uint64_t *)now;
    for (int i = (int)threadIdx.x; i < NOW_WORDS; i += THREADS) to[i] = from[i];
    return (const rt_cuda_now *)to;
}
}
#endif
