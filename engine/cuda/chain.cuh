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

/* N words, by one turn of a block of T threads where they are not more. */
template <int N, int T = THREADS> RT_DEVICE void take_words(uint64_t *to, const uint64_t *from)
{
    RT_UNROLL
    for (int i = 0; i < (N + T - 1) / T; i++) {
        int at = (int)threadIdx.x + i * T;
        if (at < N) to[at] = from[at];
    }
}

/* A kernel's argument, of whole words, in shared memory behind the next barrier: where a struct is read field by field,
 * each of its lines would be waited for by itself. */
template <int T = THREADS, class A> RT_DEVICE const A *take_argument(uint64_t *to, const A &from)
{
    static_assert(sizeof(A) % sizeof *to == 0, "an argument is whole words");
    take_words<(int)(sizeof(A) / sizeof *to), T>(to, (const uint64_t *)(const void *)&from);
    return (const A *)(const void *)to;
}

/* log2 of the threads that lie along n columns. */
inline int along(int n)
{
    int bits = 3;
    while (1 << bits < n && 1 << bits < THREADS) bits++;
    return bits;
}

/* Weights and biases as one piece of memory: where it begins; how many floats, a multiple of QUAD. They lie close to
 * each other where a model is this chain alone. */
inline size_t weights_of(const rt_chain *c, const float **begin)
{
    const float *first = nullptr, *end = nullptr;
    for (int i = c->from; i < c->layers; i++) {
        const rt_chain_layer *l = &c->layer[i];
        const float *at[2] = {l->w, l->bias}, *to[2] = {l->w + l->k * l->n, l->bias + l->n};
        for (int k = 0; k < 2; k++) {
            if (!at[k]) continue;
            if (!first || at[k] < first) first = at[k];
            if (!end || to[k] > end) end = to[k];
        }
    }
    *begin = first;
    return (size_t)(end - first + QUAD - 1) / QUAD * QUAD;
}

/* The step's record in shared memory, by one read of each word: what is read of it afterwards is at hand. It is there
 * behind the next barrier. */
RT_DEVICE const rt_cuda_now *take_record(uint64_t *to, const rt_cuda_now *now)
{
    static_assert(sizeof *now % sizeof *to == 0, "a record is whole words");
    take_words<NOW_WORDS>(to, (const uint64_t *)now);
    return (const rt_cuda_now *)to;
}
}
#endif
