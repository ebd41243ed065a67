/* engine/cuda/elements.cu - kernels of one element a place: activations, functions of one number, sums and products of
 * equal shapes, scales and shifts of channels, dropout. */
#include "engine/cuda/cuda_elements.h"
#include "engine/cuda/device_functions.cuh"
#include "engine/cuda/device_philox.cuh"
#include "engine/cuda/device_space.cuh"

#define EACH(V, i) RT_UNROLL for (int i = 0; i < (V); i++)

/* ---- activations ---- */

struct act_of {
    float *y;
    const float *x;
    rt_act act;
    float slope;
    template <int V> __device__ void at(size_t i) const
    {
        rt_pack<V> v = rt_load<V>(x + i);
        EACH(V, k) v.v[k] = rt_act_of(v.v[k], act, slope);
        rt_store<V>(y + i, v);
    }
};

extern "C" void rt_k_act(cudaStream_t stream, float *y, const float *x, size_t n, rt_act act, float slope)
{
    rt_each(stream, act_of{y, x, act, slope}, n, rt_aligned(y, x));
}

struct act_grad {
    float *dx;
    const float *dy, *x;
    rt_act act;
    float slope;
    int add;
    template <int V> __device__ void at(size_t i) const
    {
        rt_pack<V> v = rt_load<V>(x + i), d = rt_load<V>(dy + i);
        EACH(V, k) v.v[k] = d.v[k] * rt_act_slope(v.v[k], act, slope);
        rt_store_or_add<V>(dx + i, v, add);
    }
};

extern "C" void rt_k_act_grad(cudaStream_t stream, float *dx, const float *dy, const float *x, size_t n, rt_act act,
                              float slope, int add)
{
    rt_each(stream, act_grad{dx, dy, x, act, slope, add}, n, rt_aligned(dx, dy, x));
}

/* ---- functions of one number ---- */

template <bool HEAVY> struct unary_of {
    float *y;
    const float *x;
    rt_unary f;
    float a, b;
    template <int V> __device__ void at(size_t i) const
    {
        rt_pack<V> v = rt_load<V>(x + i);
        EACH(V, k)
        {
            float t = rt_flushed(v.v[k]);
            v.v[k] = HEAVY ? rt_unary_heavy(t, f, a) : rt_unary_light(t, f, a, b);
        }
        rt_store<V>(y + i, v);
    }
};

extern "C" void rt_k_unary(cudaStream_t stream, float *y, const float *x, size_t n, rt_unary f, float a, float b)
{
    int wide = rt_aligned(y, x);
    if (rt_unary_is_heavy(f)) rt_each(stream, unary_of<true>{y, x, f, a, b}, n, wide);
    else rt_each(stream, unary_of<false>{y, x, f, a, b}, n, wide);
}

template <bool HEAVY> struct unary_grad {
    float *dx;
    const float *dy, *x;
    rt_unary f;
    float a, b;
    int add;
    template <int V> __device__ void at(size_t i) const
    {
        rt_pack<V> v = rt_load<V>(x + i), d = rt_load<V>(dy + i);
        EACH(V, k)
        {
            float t = rt_flushed(v.v[k]);
            v.v[k] = d.v[k] * (HEAVY ? rt_unary_heavy_slope(t, f, a) : rt_unary_light_slope(t, f, a, b));
        }
        rt_store_or_add<V>(dx + i, v, add);
    }
};

extern "C" void rt_k_unary_grad(cudaStream_t stream, float *dx, const float *dy, const float *x, size_t n, rt_unary f,
                                float a, float b, int add)
{
    int wide = rt_aligned(dx, dy, x);
    if (f >= RT_UNARY_FLOOR) {                        /* steps: 0, whatever dy is */
        if (!add) cudaMemsetAsync(dx, 0, n * sizeof *dx, stream);
    } else if (rt_unary_is_heavy(f)) rt_each(stream, unary_grad<true>{dx, dy, x, f, a, b, add}, n, wide);
    else rt_each(stream, unary_grad<false>{dx, dy, x, f, a, b, add}, n, wide);
}

/* ---- sums and products of equal shapes ---- */

struct add_of {
    float *y;
    const float *a, *b;
    rt_act act;
    float slope;
    template <int V> __device__ void at(size_t i) const
    {
        rt_pack<V> v = rt_load<V>(a + i), w = rt_load<V>(b + i);
        EACH(V, k) v.v[k] = rt_act_of(v.v[k] + w.v[k], act, slope);
        rt_store<V>(y + i, v);
    }
};

extern "C" void rt_k_add(cudaStream_t stream, float *y, const float *a, const float *b, size_t n, rt_act act,
                         float slope)
{
    rt_each(stream, add_of{y, a, b, act, slope}, n, rt_aligned(y, a, b));
}

/* Where both go to one place, the second reads what the first has written: the same thread does both. */
struct add_grad {
    float *da, *db;
    int add_a, add_b;
    const float *dy, *y;
    rt_act act;
    template <int V> __device__ void at(size_t i) const
    {
        rt_pack<V> d = rt_load<V>(dy + i);
        if (act != RT_ACT_NONE) {
            rt_pack<V> v = rt_load<V>(y + i);
            EACH(V, k) d.v[k] *= rt_act_slope(v.v[k], act, 0.0f);
        }
        if (da) rt_store_or_add<V>(da + i, d, add_a);
        if (db) rt_store_or_add<V>(db + i, d, add_b);
    }
};

extern "C" void rt_k_add_grad(cudaStream_t stream, float *da, int add_a, float *db, int add_b, const float *dy,
                              const float *y, size_t n, rt_act act)
{
    if (da || db) rt_each(stream, add_grad{da, db, add_a, add_b, dy, y, act}, n, rt_aligned(da, db, dy, y));
}

struct multiply_grad {
    float *da, *db;
    int add_a, add_b;
    const float *dy, *a, *b;
    template <int V> __device__ void at(size_t i) const
    {
        rt_pack<V> d = rt_load<V>(dy + i), v;
        if (da) {
            v = rt_load<V>(b + i);
            EACH(V, k) v.v[k] *= d.v[k];
            rt_store_or_add<V>(da + i, v, add_a);
        }
        if (db) {
            v = rt_load<V>(a + i);
            EACH(V, k) v.v[k] *= d.v[k];
            rt_store_or_add<V>(db + i, v, add_b);
        }
    }
};

extern "C" void rt_k_multiply_grad(cudaStream_t stream, float *da, int add_a, float *db, int add_b, const float *dy,
                                   const float *a, const float *b, size_t n)
{
    if (da || db)
        rt_each(stream, multiply_grad{da, db, add_a, add_b, dy, a, b}, n, rt_aligned(da, db, dy) && rt_aligned(a, b));
}

/* ---- scale and shift of channels ---- */

struct affine_of {
    enum { OPERANDS = 1 };
    float *y;
    const float *x, *scale, *shift;
    rt_act act;
    float slope;
    template <int V, class I> __device__ void at(size_t i, const I (&c)[1], const rt_space &) const
    {
        rt_pack<V> v = rt_load<V>(x + i), s = rt_load<V>(scale + c[0]), t = rt_load<V>(shift + c[0]);
        EACH(V, k) v.v[k] = rt_act_of(v.v[k] * s.v[k] + t.v[k], act, slope);
        rt_store<V>(y + i, v);
    }
};

static rt_space channels(size_t px, int c)
{
    rt_space s = {};
    rt_space_add(&s, (size_t)c, 1, 0, 0);
    rt_space_add(&s, px, 0, 0, 0);
    return s;
}

extern "C" void rt_k_affine(cudaStream_t stream, float *y, const float *x, const float *scale, const float *shift,
                            size_t px, int c, rt_act act, float slope)
{
    rt_space s = channels(px, c);
    rt_over(stream, affine_of{y, x, scale, shift, act, slope}, &s, c % 4 == 0 && rt_aligned(y, x, scale, shift));
}

struct affine_grad {
    enum { OPERANDS = 1 };
    float *dx;
    const float *dy, *y, *scale;
    rt_act act;
    int add;
    template <int V, class I> __device__ void at(size_t i, const I (&c)[1], const rt_space &) const
    {
        rt_pack<V> d = rt_load<V>(dy + i), s = rt_load<V>(scale + c[0]);
        EACH(V, k) d.v[k] *= s.v[k];
        if (act != RT_ACT_NONE) {
            rt_pack<V> v = rt_load<V>(y + i);
            EACH(V, k) d.v[k] *= rt_act_slope(v.v[k], act, 0.0f);
        }
        rt_store_or_add<V>(dx + i, d, add);
    }
};

extern "C" void rt_k_affine_grad(cudaStream_t stream, float *dx, const float *dy, const float *y, const float *scale,
                                 size_t px, int c, rt_act act, int add)
{
    rt_space s = channels(px, c);
    rt_over(stream, affine_grad{dx, dy, y, scale, act, add}, &s, c % 4 == 0 && rt_aligned(dx, dy, y, scale));
}

/* ---- dropout ---- */

/* Four words are for elements 4 j to 4 j + 3 of a row: a thread has one such group. */
template <int V> static __global__ void __launch_bounds__(RT_FLAT)
    k_dropout(float *y, const float *x, size_t rows, size_t n, const rt_cuda_now *now, uint32_t key, uint32_t limit,
              float keep, int add)
{
    size_t groups = (n + 3) / 4, t = (size_t)blockIdx.x * RT_FLAT + threadIdx.x, row = t / groups, i = t % groups * 4;
    if (row >= rows) return;
    uint32_t w[4];
    rt_device_random4(w, now->seed + ((uint64_t)key << 40), RT_RNG_DROPOUT, now->epoch, now->step,
                      now->row_base + (uint32_t)row, (uint32_t)i);
    size_t first = row * n + i;
    RT_UNROLL
    for (int g = 0; g < 4; g += V) {
        if (V == 1 && i + (size_t)g >= n) break;
        rt_pack<V> v = rt_load<V>(x + first + g);
        EACH(V, k) v.v[k] = w[g + k] < limit ? 0.0f : __fmul_rn(v.v[k], keep);
        rt_store_or_add<V>(y + first + g, v, add);
    }
}

extern "C" void rt_k_dropout(cudaStream_t stream, float *y, const float *x, size_t rows, size_t n,
                             const rt_cuda_now *now, uint32_t key, float rate, int add)
{
    uint32_t limit = (uint32_t)(rate * 4294967296.0);
    float keep = 1.0f / (1.0f - rate);
    unsigned blocks = rt_blocks(rows * ((n + 3) / 4));
    if (n % 4 == 0 && rt_aligned(y, x))
        RT_LAUNCH((k_dropout<4>), blocks, RT_FLAT, 0, stream, y, x, rows, n, now, key, limit, keep, add);
    else RT_LAUNCH((k_dropout<1>), blocks, RT_FLAT, 0, stream, y, x, rows, n, now, key, limit, keep, add);
}
