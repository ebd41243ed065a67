/* engine/cuda/norms.cu - what norms give, and their gradients; their sums over rows are in columns.cu. Norms within a
 * row: a warp for up to 1,024 values, else a block. Means are about the row's first value, and kept as a sum of two
 * floats, so that nothing cancels where the mean is far from 0. */
#include "engine/cuda/device_sums.cuh"

#include "engine/cuda/cuda_norms.h"

enum { THREADS = RT_COLUMN_THREADS, WARPS = 4, WARP_MOST = 1024 };
enum { NONE, RELU, RELU6, LEAKY };                    /* rt_act */

/* Of those up to RELU6, and LEAKY, from what they gave. */
RT_DEVICE float slope_of(float y, int act, float slope)
{
    switch (act) {
    case RELU: return y > 0 ? 1.0f : 0.0f;
    case RELU6: return y > 0 && y < 6 ? 1.0f : 0.0f;
    case LEAKY: return y < 0 ? slope : 1.0f;
    default: return 1.0f;
    }
}

template <int V> RT_DEVICE void load(float (&v)[V], const float *from)
{
    if constexpr (V == 4) {
        float4 f = *(const float4 *)(const void *)from;
        v[0] = f.x, v[1] = f.y, v[2] = f.z, v[3] = f.w;
    } else {
        v[0] = *from;
    }
}
template <int V> RT_DEVICE void store(float *to, const float (&v)[V])
{
    if constexpr (V == 4) *(float4 *)(void *)to = make_float4(v[0], v[1], v[2], v[3]);
    else *to = v[0];
}

template <int V> __global__ void __launch_bounds__(THREADS) k_act_back(float *x, const float *y, int act, float slope,
                                                                       size_t n)
{
    size_t step = (size_t)gridDim.x * THREADS * V;
    for (size_t at = ((size_t)blockIdx.x * THREADS + threadIdx.x) * V; at < n; at += step) {
        float a[V], b[V];
        load<V>(a, x + at);
        load<V>(b, y + at);
        RT_UNROLL
        for (int i = 0; i < V; i++) a[i] *= slope_of(b[i], act, slope);
        store<V>(x + at, a);
    }
}

/* ---- within a row ---- */

/* Value k of a group lies at first + at(k), its gamma at channel + of(k). */
struct norm_place {
    size_t first;
    int channel, per, ch, together, count;
    __device__ __forceinline__ norm_place(const rt_row_norm &n, size_t i)
    {
        size_t row = i / (size_t)n.groups;
        per = n.ch / n.groups;
        ch = n.ch;
        channel = (int)(i - row * (size_t)n.groups) * per;
        first = row * (size_t)n.px * (size_t)n.ch + (size_t)channel;
        together = n.px == 1;
        count = n.px * per;
    }
    __device__ __forceinline__ size_t at(int k) const
    { return together ? (size_t)k : (size_t)(k / per) * (size_t)ch + (size_t)(k % per); }
    __device__ __forceinline__ int of(int k) const { return channel + (together ? k : k % per); }
};

template <int N> __global__ void __launch_bounds__(32 * WARPS) k_row_warp(rt_row_norm n, float *y, const float *x)
{
    size_t i = (size_t)blockIdx.x * WARPS + threadIdx.x / 32, all = n.rows * (size_t)n.groups;
    int lane = (int)threadIdx.x % 32;
    if (i >= all) return;
    norm_place p(n, i);
    float v[N], mean = 0, low = 0;
    RT_UNROLL
    for (int k = 0; k < N; k++) v[k] = 32 * k + lane < p.count ? x[p.first + p.at(32 * k + lane)] : 0.0f;
    if (!n.rms) {
        float x0 = __shfl_sync(~0u, v[0], 0), s = 0;
        RT_UNROLL
        for (int k = 0; k < N; k++) if (32 * k + lane < p.count) s += v[k] - x0;
        two_floats(&mean, &low, x0, warp_sum(s) / (float)p.count);
    }
    float q = 0;
    RT_UNROLL
    for (int k = 0; k < N; k++) {
        v[k] = (v[k] - mean) - low;
        if (32 * k + lane < p.count) q = fmaf(v[k], v[k], q);
    }
    float rstd = 1.0f / sqrtf(warp_sum(q) / (float)p.count + n.eps);
    if (n.keep && lane == 0) n.keep[i] = mean, n.keep[all + i] = low, n.keep[2 * all + i] = rstd;
    RT_UNROLL
    for (int k = 0; k < N; k++) {
        if (32 * k + lane >= p.count) continue;
        int c = p.of(32 * k + lane);
        y[p.first + p.at(32 * k + lane)] = fmaf(v[k] * rstd, n.gamma[c], n.beta ? n.beta[c] : 0.0f);
    }
}

/* With h = xhat and g = dy gamma: dx = rstd (g - mean(g) - h mean(g h)), without mean(g) where means are not taken. */
template <int N>
__global__ void __launch_bounds__(32 * WARPS) k_row_warp_back(rt_row_norm n, float *dx, int add, const float *x,
                                                              const float *dy)
{
    size_t i = (size_t)blockIdx.x * WARPS + threadIdx.x / 32, all = n.rows * (size_t)n.groups;
    int lane = (int)threadIdx.x % 32;
    if (i >= all) return;
    norm_place p(n, i);
    float mean = n.keep[i], low = n.keep[all + i], rstd = n.keep[2 * all + i], h[N], g[N], s1 = 0, s2 = 0;
    RT_UNROLL
    for (int k = 0; k < N; k++) {
        int j = 32 * k + lane;
        h[k] = g[k] = 0;
        if (j >= p.count) continue;
        h[k] = ((x[p.first + p.at(j)] - mean) - low) * rstd;
        g[k] = dy[p.first + p.at(j)] * n.gamma[p.of(j)];
        s1 += g[k];
        s2 = fmaf(g[k], h[k], s2);
    }
    s1 = n.rms ? 0.0f : warp_sum(s1) / (float)p.count;
    s2 = warp_sum(s2) / (float)p.count;
    RT_UNROLL
    for (int k = 0; k < N; k++) {
        int j = 32 * k + lane;
        if (j >= p.count) continue;
        float v = rstd * ((g[k] - s1) - h[k] * s2), *to = dx + p.first + p.at(j);
        *to = add ? *to + v : v;
    }
}

__global__ void __launch_bounds__(THREADS) k_row_block(rt_row_norm n, float *y, const float *x)
{
    RT_SHARED(float, part, THREADS / 32);
    int t = (int)threadIdx.x;
    size_t all = n.rows * (size_t)n.groups;
    for (size_t i = blockIdx.x; i < all; i += gridDim.x) {
        norm_place p(n, i);
        const float *in = x + p.first;
        float mean = 0, low = 0, q = 0;
        if (!n.rms) {
            float x0 = in[0], s = 0;
            RT_UNROLL_N(4)
            for (int k = t; k < p.count; k += THREADS) s += in[p.at(k)] - x0;
            two_floats(&mean, &low, x0, block_sum<THREADS / 32>(s, part) / (float)p.count);
        }
        RT_UNROLL_N(4)
        for (int k = t; k < p.count; k += THREADS) {
            float d = (in[p.at(k)] - mean) - low;
            q = fmaf(d, d, q);
        }
        float rstd = 1.0f / sqrtf(block_sum<THREADS / 32>(q, part) / (float)p.count + n.eps);
        if (n.keep && t == 0) n.keep[i] = mean, n.keep[all + i] = low, n.keep[2 * all + i] = rstd;
        RT_UNROLL_N(4)
        for (int k = t; k < p.count; k += THREADS) {
            int c = p.of(k);
            y[p.first + p.at(k)] = fmaf(((in[p.at(k)] - mean) - low) * rstd, n.gamma[c], n.beta ? n.beta[c] : 0.0f);
        }
    }
}

__global__ void __launch_bounds__(THREADS) k_row_block_back(rt_row_norm n, float *dx, int add, const float *x,
                                                            const float *dy)
{
    RT_SHARED(float, part, THREADS / 32);
    int t = (int)threadIdx.x;
    size_t all = n.rows * (size_t)n.groups;
    for (size_t i = blockIdx.x; i < all; i += gridDim.x) {
        norm_place p(n, i);
        float mean = n.keep[i], low = n.keep[all + i], rstd = n.keep[2 * all + i], s1 = 0, s2 = 0;
        RT_UNROLL_N(4)
        for (int k = t; k < p.count; k += THREADS) {
            float h = ((x[p.first + p.at(k)] - mean) - low) * rstd, g = dy[p.first + p.at(k)] * n.gamma[p.of(k)];
            s1 += g;
            s2 = fmaf(g, h, s2);
        }
        s1 = n.rms ? 0.0f : block_sum<THREADS / 32>(s1, part) / (float)p.count;
        s2 = block_sum<THREADS / 32>(s2, part) / (float)p.count;
        RT_UNROLL_N(4)
        for (int k = t; k < p.count; k += THREADS) {
            float h = ((x[p.first + p.at(k)] - mean) - low) * rstd, g = dy[p.first + p.at(k)] * n.gamma[p.of(k)];
            float v = rstd * ((g - s1) - h * s2), *to = dx + p.first + p.at(k);
            *to = add ? *to + v : v;
        }
    }
}

/* ---- local response norm ---- */

/* bias + alpha / size sum of x^2 over the window of channel c. */
RT_DEVICE float denominator(const rt_local_norm &n, const float *x, int c)
{
    int before = (n.size - 1) / 2, behind = n.size / 2, from = c < before ? 0 : c - before,
        to = n.ch - 1 - c < behind ? n.ch - 1 : c + behind;
    float s = 0;
    for (int k = from; k <= to; k++) s = fmaf(x[k], x[k], s);
    return fmaf(n.alpha / (float)n.size, s, n.bias);
}

__global__ void __launch_bounds__(THREADS) k_local(rt_local_norm n, float *y, const float *x)
{
    size_t all = n.positions * (size_t)n.ch, step = (size_t)gridDim.x * THREADS;
    for (size_t i = (size_t)blockIdx.x * THREADS + threadIdx.x; i < all; i += step) {
        size_t p = i / (size_t)n.ch * (size_t)n.ch;
        y[i] = x[i] * powf(denominator(n, x + p, (int)(i - p)), -n.beta);
    }
}

/* room: s^-beta, and dy x s^(-beta - 1). */
__global__ void __launch_bounds__(THREADS) k_local_parts(rt_local_norm n, float *room, const float *x, const float *dy)
{
    size_t all = n.positions * (size_t)n.ch, step = (size_t)gridDim.x * THREADS;
    for (size_t i = (size_t)blockIdx.x * THREADS + threadIdx.x; i < all; i += step) {
        size_t p = i / (size_t)n.ch * (size_t)n.ch;
        float s = denominator(n, x + p, (int)(i - p)), power = powf(s, -n.beta);
        room[i] = power;
        room[all + i] = dy[i] * x[i] * power / s;
    }
}

/* dx[c] = dy[c] s[c]^-beta - 2 alpha beta / size x[c] times the sum of parts over the channels whose windows hold c. */
__global__ void __launch_bounds__(THREADS) k_local_back(rt_local_norm n, float *dx, int add, const float *x,
                                                        const float *dy, const float *room)
{
    size_t all = n.positions * (size_t)n.ch, step = (size_t)gridDim.x * THREADS;
    int before = n.size / 2, behind = (n.size - 1) / 2;
    float by = -2 * n.alpha * n.beta / (float)n.size;
    for (size_t i = (size_t)blockIdx.x * THREADS + threadIdx.x; i < all; i += step) {
        size_t p = i / (size_t)n.ch * (size_t)n.ch;
        int c = (int)(i - p), from = c < before ? 0 : c - before, to = n.ch - 1 - c < behind ? n.ch - 1 : c + behind;
        float s = 0;
        for (int k = from; k <= to; k++) s += room[all + p + (size_t)k];
        float v = fmaf(by * x[i], s, dy[i] * room[i]);
        dx[i] = add ? dx[i] + v : v;
    }
}

static unsigned blocks_of(size_t n, size_t each)
{
    size_t b = (n + each - 1) / each;
    return (unsigned)(b < 1 ? 1 : b > 1u << 20 ? 1u << 20 : b);
}

extern "C" void rt_k_act_back(cudaStream_t s, float *x, const float *y, int act, float slope, size_t n)
{
    int vec = n % 4 == 0 && (((uintptr_t)x | (uintptr_t)y) & 15) == 0;
    if (vec) RT_LAUNCH((k_act_back<4>), dim3(blocks_of(n, 4 * THREADS)), dim3(THREADS), 0, s, x, y, act, slope, n);
    else RT_LAUNCH((k_act_back<1>), dim3(blocks_of(n, THREADS)), dim3(THREADS), 0, s, x, y, act, slope, n);
}

/* Lanes of a warp hold 1, 2, 4 .. 32 values each. */
#define BY_COUNT(count, CALL) \
    if ((count) <= 32) { CALL(1); } else if ((count) <= 64) { CALL(2); } else if ((count) <= 128) { CALL(4); } \
    else if ((count) <= 256) { CALL(8); } else if ((count) <= 512) { CALL(16); } else { CALL(32); }

static size_t count_of(const rt_row_norm *n) { return (size_t)n->px * (size_t)(n->ch / n->groups); }

extern "C" void rt_k_row_norm(cudaStream_t s, const rt_row_norm *n, float *y, const float *x)
{
    size_t count = count_of(n), all = n->rows * (size_t)n->groups;
    dim3 grid((unsigned)((all + WARPS - 1) / WARPS)), block(32 * WARPS);
    if (count > WARP_MOST) RT_LAUNCH(k_row_block, dim3(blocks_of(all, 1)), dim3(THREADS), 0, s, *n, y, x);
#define CALL(N) RT_LAUNCH((k_row_warp<N>), grid, block, 0, s, *n, y, x)
    else BY_COUNT(count, CALL)
#undef CALL
}

extern "C" void rt_k_row_norm_back(cudaStream_t s, const rt_row_norm *n, float *dx, int add, const float *x,
                                   const float *dy)
{
    size_t count = count_of(n), all = n->rows * (size_t)n->groups;
    dim3 grid((unsigned)((all + WARPS - 1) / WARPS)), block(32 * WARPS);
    if (count > WARP_MOST)
        RT_LAUNCH(k_row_block_back, dim3(blocks_of(all, 1)), dim3(THREADS), 0, s, *n, dx, add, x, dy);
#define CALL(N) RT_LAUNCH((k_row_warp_back<N>), grid, block, 0, s, *n, dx, add, x, dy)
    else BY_COUNT(count, CALL)
#undef CALL
}

extern "C" void rt_k_local_norm(cudaStream_t s, const rt_local_norm *n, float *y, const float *x)
{
    size_t all = n->positions * (size_t)n->ch;
    RT_LAUNCH(k_local, dim3(blocks_of(all, THREADS)), dim3(THREADS), 0, s, *n, y, x);
}

extern "C" void rt_k_local_norm_back(cudaStream_t s, const rt_local_norm *n, float *dx, int add, const float *x,
                                     const float *dy, float *room)
{
    size_t all = n->positions * (size_t)n->ch;
    RT_LAUNCH(k_local_parts, dim3(blocks_of(all, THREADS)), dim3(THREADS), 0, s, *n, room, x, dy);
    RT_LAUNCH(k_local_back, dim3(blocks_of(all, THREADS)), dim3(THREADS), 0, s, *n, dx, add, x, dy, room);
}
