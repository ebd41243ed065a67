/* engine/cuda/device_space.cuh - kernels of one place a thread: walking index spaces, values in packs of 1 or 4. */
#ifndef RT_CUDA_DEVICE_SPACE_H
#define RT_CUDA_DEVICE_SPACE_H

#include "engine/cuda/cuda_space.h"
#include "engine/cuda/device_code.h"

/* n / count[d] and what is left. */
RT_DEVICE uint32_t rt_divide(const rt_space &s, int d, uint32_t n, uint32_t &rest)
{
    uint32_t q = (__umulhi(n, s.mul[d]) + n) >> s.shift[d];
    rest = n - q * (uint32_t)s.count[d];
    return q;
}
RT_DEVICE uint64_t rt_divide(const rt_space &s, int d, uint64_t n, uint64_t &rest)
{
    uint64_t q = n / s.count[d];
    rest = n - q * s.count[d];
    return q;
}

/* Where the first K operands of place n lie, from `at` on. */
template <int K, class I> RT_DEVICE void rt_places(const rt_space &s, I n, I (&at)[K])
{
    RT_UNROLL
    for (int d = 0; d < RT_SPACE_DIMS; d++) {
        if (d >= s.dims) break;
        I rest = n;
        if (d + 1 < s.dims) n = rt_divide(s, d, n, rest);
        RT_UNROLL
        for (int k = 0; k < K; k++) at[k] += rest * (I)s.step[k][d];
    }
}

/* V values as they lie in memory; V is 4 where addresses are multiples of 16 bytes. */
template <int V> struct rt_pack { float v[V]; };

template <int V> RT_DEVICE rt_pack<V> rt_load(const float *p)
{
    rt_pack<V> r;
    const int b = V == 4 ? 1 : 0, c = V == 4 ? 2 : 0, d = V == 4 ? 3 : 0;
    if (V == 4) {
        float4 x = *reinterpret_cast<const float4 *>(p);
        r.v[0] = x.x;
        r.v[b] = x.y;
        r.v[c] = x.z;
        r.v[d] = x.w;
    } else r.v[0] = *p;
    return r;
}
/* The same, or one value V times. */
template <int V> RT_DEVICE rt_pack<V> rt_load_or_repeat(const float *p, bool repeat)
{
    if (V == 1 || !repeat) return rt_load<V>(p);
    rt_pack<V> r;
    float x = *p;
    RT_UNROLL
    for (int i = 0; i < V; i++) r.v[i] = x;
    return r;
}
template <int V> RT_DEVICE void rt_store(float *p, const rt_pack<V> &r)
{
    const int b = V == 4 ? 1 : 0, c = V == 4 ? 2 : 0, d = V == 4 ? 3 : 0;
    if (V == 4) *reinterpret_cast<float4 *>(p) = make_float4(r.v[0], r.v[b], r.v[c], r.v[d]);
    else *p = r.v[0];
}
/* p (+)= r */
template <int V> RT_DEVICE void rt_store_or_add(float *p, rt_pack<V> r, int add)
{
    if (add) {
        rt_pack<V> old = rt_load<V>(p);
        RT_UNROLL
        for (int i = 0; i < V; i++) r.v[i] += old.v[i];
    }
    rt_store<V>(p, r);
}

enum { RT_FLAT = 256 };                /* threads of a block */
static inline unsigned rt_blocks(uint64_t threads) { return (unsigned)((threads + RT_FLAT - 1) / RT_FLAT); }
static inline int rt_aligned(const void *a, const void *b = nullptr, const void *c = nullptr, const void *d = nullptr)
{
    return (((uintptr_t)a | (uintptr_t)b | (uintptr_t)c | (uintptr_t)d) & 15) == 0;
}

/* ---- one place a thread: f.at<V>(i) for each i of n, in packs of 4 where wide, and what is left by one ---- */

template <class F> static __global__ void __launch_bounds__(RT_FLAT) k_each(F f, size_t n, int wide)
{
    size_t t = (size_t)blockIdx.x * RT_FLAT + threadIdx.x, whole = wide ? n / 4 : 0;
    if (t < whole) f.template at<4>(4 * t);
    else if (t + 3 * whole < n) f.template at<1>(t + 3 * whole);
}
template <class F> static void rt_each(cudaStream_t stream, const F &f, size_t n, int wide)
{
    if (n) RT_LAUNCH((k_each<F>), rt_blocks(wide ? n / 4 + n % 4 : n), RT_FLAT, 0, stream, f, n, wide);
}

/* The same over a space: f.at<V>(i, at, s), where operand k lies at[k] floats from its beginning, and is one value for
 * the whole pack where s.step[k][0] is 0. */
template <class F, int V, class I> static __global__ void __launch_bounds__(RT_FLAT) k_over(F f, rt_space s)
{
    size_t t = (size_t)blockIdx.x * RT_FLAT + threadIdx.x;
    if (t >= s.places) return;
    I at[F::OPERANDS] = {};
    rt_places(s, (I)t, at);
    f.template at<V>(V * t, at, s);
}
template <class F> static void rt_over(cudaStream_t stream, const F &f, const rt_space *space, int aligned)
{
    rt_space s = *space;
    int by4 = aligned && rt_space_by_4(&s);
    rt_space_seal(&s);
    unsigned blocks = rt_blocks(s.places);
    if (by4 && s.narrow) RT_LAUNCH((k_over<F, 4, uint32_t>), blocks, RT_FLAT, 0, stream, f, s);
    else if (by4) RT_LAUNCH((k_over<F, 4, uint64_t>), blocks, RT_FLAT, 0, stream, f, s);
    else if (s.narrow) RT_LAUNCH((k_over<F, 1, uint32_t>), blocks, RT_FLAT, 0, stream, f, s);
    else RT_LAUNCH((k_over<F, 1, uint64_t>), blocks, RT_FLAT, 0, stream, f, s);
}
#endif
