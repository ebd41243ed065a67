/* engine/cuda/pairs.cu - kernels of one element a place whose operands broadcast: functions of two numbers, a choice
 * between two, copies. */
#include "engine/cuda/cuda_elements.h"
#include "engine/cuda/device_functions.cuh"
#include "engine/cuda/device_space.cuh"

#define EACH(V, i) RT_UNROLL for (int i = 0; i < (V); i++)

template <int V, class I>
static __device__ __forceinline__ rt_pack<V> side(const float *p, const I *at, int k, const rt_space &s)
{
    return rt_load_or_repeat<V>(p + at[k], s.step[k][0] == 0);
}

template <bool HEAVY> struct pair_of {
    enum { OPERANDS = 2 };
    float *y;
    const float *a, *b;
    rt_binary f;
    template <int V, class I> __device__ void at(size_t i, const I (&at)[2], const rt_space &s) const
    {
        rt_pack<V> p = side<V>(a, at, 0, s), q = side<V>(b, at, 1, s);
        EACH(V, k) p.v[k] = rt_binary_of<HEAVY>(rt_flushed(p.v[k]), rt_flushed(q.v[k]), f);
        rt_store<V>(y + i, p);
    }
};

extern "C" void rt_k_pair(cudaStream_t stream, float *y, const float *a, const float *b, const rt_space *s, rt_binary f)
{
    int aligned = rt_aligned(y, a, b);
    if (rt_binary_is_heavy(f)) rt_over(stream, pair_of<true>{y, a, b, f}, s, aligned);
    else rt_over(stream, pair_of<false>{y, a, b, f}, s, aligned);
}

template <bool HEAVY> struct pair_grad {
    enum { OPERANDS = 2 };
    float *dx;
    const float *dy, *a, *b;
    rt_binary f;
    int by, add;
    template <int V, class I> __device__ void at(size_t i, const I (&at)[2], const rt_space &s) const
    {
        rt_pack<V> p = side<V>(a, at, 0, s), q = side<V>(b, at, 1, s), d = rt_load<V>(dy + i);
        EACH(V, k) d.v[k] *= rt_binary_slope<HEAVY>(rt_flushed(p.v[k]), rt_flushed(q.v[k]), f, by);
        rt_store_or_add<V>(dx + i, d, add);
    }
};

extern "C" void rt_k_pair_grad(cudaStream_t stream, float *dx, const float *dy, const float *a, const float *b,
                               const rt_space *s, rt_binary f, int by, int add)
{
    int aligned = rt_aligned(dx, dy, a, b);
    if (rt_binary_is_heavy(f)) rt_over(stream, pair_grad<true>{dx, dy, a, b, f, by, add}, s, aligned);
    else rt_over(stream, pair_grad<false>{dx, dy, a, b, f, by, add}, s, aligned);
}

struct where_of {
    enum { OPERANDS = 3 };
    float *y;
    const float *condition, *a, *b;
    template <int V, class I> __device__ void at(size_t i, const I (&at)[3], const rt_space &s) const
    {
        rt_pack<V> c = side<V>(condition, at, 0, s), p = side<V>(a, at, 1, s), q = side<V>(b, at, 2, s);
        EACH(V, k) p.v[k] = rt_is_zero(rt_flushed(c.v[k])) ? q.v[k] : p.v[k];
        rt_store<V>(y + i, p);
    }
};

extern "C" void rt_k_where(cudaStream_t stream, float *y, const float *condition, const float *a, const float *b,
                           const rt_space *s)
{
    rt_over(stream, where_of{y, condition, a, b}, s, rt_aligned(y, condition, a, b));
}

struct where_grad {
    enum { OPERANDS = 1 };
    float *dx;
    const float *dy, *condition;
    int by, add;
    template <int V, class I> __device__ void at(size_t i, const I (&at)[1], const rt_space &s) const
    {
        rt_pack<V> c = side<V>(condition, at, 0, s), d = rt_load<V>(dy + i);
        EACH(V, k) d.v[k] = (int)rt_is_zero(rt_flushed(c.v[k])) == by ? d.v[k] : 0.0f;
        rt_store_or_add<V>(dx + i, d, add);
    }
};

extern "C" void rt_k_where_grad(cudaStream_t stream, float *dx, const float *dy, const float *condition,
                                const rt_space *s, int by, int add)
{
    rt_over(stream, where_grad{dx, dy, condition, by, add}, s, rt_aligned(dx, dy, condition));
}

struct spread_of {
    enum { OPERANDS = 1 };
    float *y;
    const float *x;
    int add;
    template <int V, class I> __device__ void at(size_t i, const I (&at)[1], const rt_space &s) const
    {
        rt_store_or_add<V>(y + i, side<V>(x, at, 0, s), add);
    }
};

extern "C" void rt_k_spread(cudaStream_t stream, float *y, const float *x, const rt_space *s, int add)
{
    rt_over(stream, spread_of{y, x, add}, s, rt_aligned(y, x));
}
