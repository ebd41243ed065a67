/* engine/cuda/pool.cu - max, average and global pooling. See pool_launch.h. Lanes lie along the channels; where 4
 * divides them a thread has four. */
#include "engine/cuda/divider.cuh"
#include "engine/cuda/pool_launch.h"

namespace {

enum { THREADS = 256 };

/* V channels of a pixel. */
template <int V> struct channels { float v[V]; };

template <int V> RT_DEVICE channels<V> read(const float *at)
{
    channels<V> x;
    if constexpr (V == 4) {
        float4 f = *(const float4 *)at;
        x.v[0] = f.x, x.v[1] = f.y, x.v[2] = f.z, x.v[3] = f.w;
    } else x.v[0] = *at;
    return x;
}
template <int V> RT_DEVICE void write(float *at, const channels<V> &x)
{
    if constexpr (V == 4) *(float4 *)at = make_float4(x.v[0], x.v[1], x.v[2], x.v[3]);
    else *at = x.v[0];
}
template <int V> RT_DEVICE void write_or_add(float *at, channels<V> x, int add)
{
    if (add) {
        channels<V> old = read<V>(at);
        RT_UNROLL
        for (int i = 0; i < V; i++) x.v[i] += old.v[i];
    }
    write<V>(at, x);
}
/* V bytes as one word, the first lowest. */
template <int V> RT_DEVICE uint32_t read_bytes(const uint8_t *at)
{
    if constexpr (V == 4) return *(const uint32_t *)at;
    else return *at;
}
template <int V> RT_DEVICE void write_bytes(uint8_t *at, const int *x)
{
    if constexpr (V == 4)
        *(uint32_t *)at = (uint32_t)x[0] | (uint32_t)x[1] << 8 | (uint32_t)x[2] << 16 | (uint32_t)x[3] << 24;
    else *at = (uint8_t)x[0];
}

struct job {
    rt_pool_shape s;
    divider channels, width, height;     /* of the side that threads go along: threads a pixel, its sizes */
    int count;
};

struct place { int r, y, x, channel; };
template <int V> RT_DEVICE place place_of(const job &a, int i)
{
    int p = quotient(i, a.channels), l = quotient(p, a.width), r = quotient(l, a.height);
    return place{r, l - r * (int)a.height.by, p - l * (int)a.width.by, (i - p * (int)a.channels.by) * V};
}

/* Taps of k, the first of them at `at` and d apart, that lie in an axis of `size`. */
struct span { int from, to; };
RT_DEVICE span taps_inside(int at, int k, int d, int size)
{
    span s = {at < 0 ? (d - 1 - at) / d : 0, at < size ? (size - at + d - 1) / d : 0};
    if (s.to > k) s.to = k;
    return s;
}

/* What the sum over a window's taps is multiplied by: 1 / those that count. */
RT_DEVICE float share_of(const rt_pool_shape &s, int oy, int ox)
{
    int up = s.count_padding ? 0 : s.pt, left = s.count_padding ? 0 : s.pl;
    span y = taps_inside(oy * s.sh - up, s.kh, s.dh, s.count_padding ? s.hp + s.pt : s.h),
         x = taps_inside(ox * s.sw - left, s.kw, s.dw, s.count_padding ? s.wp + s.pl : s.w);
    return 1.0f / (float)((y.to - y.from) * (x.to - x.from));
}

template <int V> __global__ void __launch_bounds__(THREADS) k_max_pool(float *y, uint8_t *index, const float *x, job a)
{
    const rt_pool_shape &s = a.s;
    const int i = (int)(blockIdx.x * THREADS + threadIdx.x);
    if (i >= a.count) return;
    const place at = place_of<V>(a, i);
    const int iy = at.y * s.sh - s.pt, ix = at.x * s.sw - s.pl;
    const span r = taps_inside(iy, s.kh, s.dh, s.h), q = taps_inside(ix, s.kw, s.dw, s.w);
    const float *from = x + (ptrdiff_t)((at.r * s.h + iy) * s.w + ix) * s.c + at.channel;
    channels<V> best;
    int won[V];
    RT_UNROLL
    for (int u = 0; u < V; u++) best.v[u] = -INFINITY, won[u] = -1;
    for (int ky = r.from; ky < r.to; ky++)
        for (int kx = q.from; kx < q.to; kx++) {
            const channels<V> v = read<V>(from + (ptrdiff_t)(ky * s.dh * s.w + kx * s.dw) * s.c);
            RT_UNROLL
            for (int u = 0; u < V; u++)
                if (v.v[u] > best.v[u] || v.v[u] != v.v[u] || won[u] < 0) best.v[u] = v.v[u], won[u] = ky * s.kw + kx;
        }
    const ptrdiff_t to = (ptrdiff_t)((at.r * s.oh + at.y) * s.ow + at.x) * s.c + at.channel;
    write<V>(y + to, best);
    if (index) write_bytes<V>(index + to, won);
}

/* Window `o` along an axis whose tap k is pixel i; -1: none. */
RT_DEVICE int window_of(int i, int pad, int k, int dilation, int stride, int windows)
{
    int t = i + pad - k * dilation, o = stride == 1 ? t : t / stride;
    return t >= 0 && o < windows && o * stride == t ? o : -1;
}

template <int V> __global__ void __launch_bounds__(THREADS, 1)
k_max_pool_back(float *dx, const float *dy, const uint8_t *index, int add, job a)
{
    const rt_pool_shape &s = a.s;
    const int i = (int)(blockIdx.x * THREADS + threadIdx.x);
    if (i >= a.count) return;
    const place at = place_of<V>(a, i);
    channels<V> sum = {};
    for (int ky = s.kh - 1; ky >= 0; ky--) {
        const int oy = window_of(at.y, s.pt, ky, s.dh, s.sh, s.oh);
        if (oy < 0) continue;
        for (int kx = s.kw - 1; kx >= 0; kx--) {
            const int ox = window_of(at.x, s.pl, kx, s.dw, s.sw, s.ow);
            if (ox < 0) continue;
            const ptrdiff_t from = (ptrdiff_t)((at.r * s.oh + oy) * s.ow + ox) * s.c + at.channel;
            const channels<V> g = read<V>(dy + from);
            const uint32_t won = read_bytes<V>(index + from);
            RT_UNROLL
            for (int u = 0; u < V; u++)
                if ((int)(won >> 8 * u & 255) == ky * s.kw + kx) sum.v[u] += g.v[u];
        }
    }
    write_or_add<V>(dx + (ptrdiff_t)((at.r * s.h + at.y) * s.w + at.x) * s.c + at.channel, sum, add);
}

/* The same where windows lie side by side and cover the image: a thread has a window. */
template <int V> __global__ void __launch_bounds__(THREADS)
k_max_pool_back_apart(float *dx, const float *dy, const uint8_t *index, int add, job a)
{
    const rt_pool_shape &s = a.s;
    const int i = (int)(blockIdx.x * THREADS + threadIdx.x);
    if (i >= a.count) return;
    const place at = place_of<V>(a, i);
    const ptrdiff_t from = (ptrdiff_t)((at.r * s.oh + at.y) * s.ow + at.x) * s.c + at.channel;
    const channels<V> g = read<V>(dy + from);
    const uint32_t won = read_bytes<V>(index + from);
    float *to = dx + (ptrdiff_t)((at.r * s.h + at.y * s.kh) * s.w + at.x * s.kw) * s.c + at.channel;
    for (int ky = 0; ky < s.kh; ky++)
        for (int kx = 0; kx < s.kw; kx++) {
            channels<V> v;
            RT_UNROLL
            for (int u = 0; u < V; u++) v.v[u] = (int)(won >> 8 * u & 255) == ky * s.kw + kx ? g.v[u] : 0.0f;
            write_or_add<V>(to + (ptrdiff_t)(ky * s.w + kx) * s.c, v, add);
        }
}

template <int V> __global__ void __launch_bounds__(THREADS) k_avg_pool(float *y, const float *x, job a)
{
    const rt_pool_shape &s = a.s;
    const int i = (int)(blockIdx.x * THREADS + threadIdx.x);
    if (i >= a.count) return;
    const place at = place_of<V>(a, i);
    const int iy = at.y * s.sh - s.pt, ix = at.x * s.sw - s.pl;
    const span r = taps_inside(iy, s.kh, s.dh, s.h), q = taps_inside(ix, s.kw, s.dw, s.w);
    const float *from = x + (ptrdiff_t)((at.r * s.h + iy) * s.w + ix) * s.c + at.channel;
    channels<V> sum = {};
    for (int ky = r.from; ky < r.to; ky++)
        for (int kx = q.from; kx < q.to; kx++) {
            const channels<V> v = read<V>(from + (ptrdiff_t)(ky * s.dh * s.w + kx * s.dw) * s.c);
            RT_UNROLL
            for (int u = 0; u < V; u++) sum.v[u] += v.v[u];
        }
    const float share = share_of(s, at.y, at.x);
    RT_UNROLL
    for (int u = 0; u < V; u++) sum.v[u] *= share;
    write<V>(y + (ptrdiff_t)((at.r * s.oh + at.y) * s.ow + at.x) * s.c + at.channel, sum);
}

template <int V> __global__ void __launch_bounds__(THREADS) k_avg_pool_back(float *dx, const float *dy, int add, job a)
{
    const rt_pool_shape &s = a.s;
    const int i = (int)(blockIdx.x * THREADS + threadIdx.x);
    if (i >= a.count) return;
    const place at = place_of<V>(a, i);
    channels<V> sum = {};
    for (int ky = s.kh - 1; ky >= 0; ky--) {
        const int oy = window_of(at.y, s.pt, ky, s.dh, s.sh, s.oh);
        if (oy < 0) continue;
        for (int kx = s.kw - 1; kx >= 0; kx--) {
            const int ox = window_of(at.x, s.pl, kx, s.dw, s.sw, s.ow);
            if (ox < 0) continue;
            const channels<V> g = read<V>(dy + (ptrdiff_t)((at.r * s.oh + oy) * s.ow + ox) * s.c + at.channel);
            const float share = share_of(s, oy, ox);
            RT_UNROLL
            for (int u = 0; u < V; u++) sum.v[u] = fmaf(g.v[u], share, sum.v[u]);
        }
    }
    write_or_add<V>(dx + (ptrdiff_t)((at.r * s.h + at.y) * s.w + at.x) * s.c + at.channel, sum, add);
}

/* ---- global: a block has 32 channels of a row; each warp sees every eighth pixel, the sums meet in their order ----
 */

enum { LANES = 32, WARPS = THREADS / LANES };

__global__ void __launch_bounds__(THREADS) k_global_avg(float *y, const float *x, int pixels, int c, int blocks)
{
    RT_SHARED_2D(float, sums, WARPS, LANES);
    const int lane = (int)threadIdx.x % LANES, warp = (int)threadIdx.x / LANES, r = (int)blockIdx.x / blocks,
              channel = (int)blockIdx.x % blocks * LANES + lane;
    const float *from = x + (ptrdiff_t)r * pixels * c + channel;
    float sum = 0.0f;
    for (int p = warp; p < pixels && channel < c; p += WARPS) sum += from[(ptrdiff_t)p * c];
    sums[warp][lane] = sum;
    __syncthreads();
    if (warp || channel >= c) return;
    RT_UNROLL
    for (int i = 1; i < WARPS; i++) sum += sums[i][lane];
    y[(ptrdiff_t)r * c + channel] = sum * (1.0f / (float)pixels);
}

/* Whether pixel p of value v wins over the best so far: the greater, of equal ones the first; NaN over all, and of NaNs
 * the last pixel is said to have won, as on the CPU. */
RT_DEVICE bool wins(float v, int p, float best, int at)
{
    if (best != best) return false;
    return v != v || v > best || (v == best && p < at);
}

__global__ void __launch_bounds__(THREADS)
k_global_max(float *y, int32_t *index, const float *x, int pixels, int c, int blocks)
{
    RT_SHARED_2D(float, values, WARPS, LANES);
    RT_SHARED_2D(int, places, WARPS, LANES);
    const int lane = (int)threadIdx.x % LANES, warp = (int)threadIdx.x / LANES, r = (int)blockIdx.x / blocks,
              channel = (int)blockIdx.x % blocks * LANES + lane;
    const float *from = x + (ptrdiff_t)r * pixels * c + channel;
    float best = -INFINITY;
    int at = pixels;
    for (int p = warp; p < pixels && channel < c; p += WARPS) {
        float v = from[(ptrdiff_t)p * c];
        if (wins(v, p, best, at)) best = v, at = p;
    }
    values[warp][lane] = best;
    places[warp][lane] = at;
    __syncthreads();
    if (warp || channel >= c) return;
    RT_UNROLL
    for (int i = 1; i < WARPS; i++)
        if (wins(values[i][lane], places[i][lane], best, at)) best = values[i][lane], at = places[i][lane];
    y[(ptrdiff_t)r * c + channel] = best;
    if (index) index[(ptrdiff_t)r * c + channel] = best != best ? pixels - 1 : at;
}

template <int V> __global__ void __launch_bounds__(THREADS)
k_global_avg_back(float *dx, const float *dy, int add, divider channels_, divider pixels, int count)
{
    const int i = (int)(blockIdx.x * THREADS + threadIdx.x);
    if (i >= count) return;
    const int p = quotient(i, channels_), channel = (i - p * (int)channels_.by) * V, c = (int)channels_.by * V;
    channels<V> g = read<V>(dy + (ptrdiff_t)quotient(p, pixels) * c + channel);
    const float share = 1.0f / (float)pixels.by;
    RT_UNROLL
    for (int u = 0; u < V; u++) g.v[u] *= share;
    write_or_add<V>(dx + (ptrdiff_t)p * c + channel, g, add);
}

__global__ void __launch_bounds__(THREADS) k_global_max_back(float *dx, const float *dy, const int32_t *index, int add,
                                                             divider c, divider pixels, int count)
{
    const int i = (int)(blockIdx.x * THREADS + threadIdx.x);
    if (i >= count) return;
    const int p = quotient(i, c), channel = i - p * (int)c.by, r = quotient(p, pixels), at = r * (int)c.by + channel;
    channels<1> g = {{index[at] == p - r * (int)pixels.by ? dy[at] : 0.0f}};
    write_or_add<1>(dx + i, g, add);
}

unsigned blocks_for(int count) { return (unsigned)((count + (int64_t)THREADS - 1) / THREADS); }

/* Whether all of these are aligned to 16 bytes, and pixels stay so. */
bool four(int c, const void *p, const void *q) { return c % 4 == 0 && (((uintptr_t)p | (uintptr_t)q) & 15) == 0; }

job job_of(const rt_pool_shape *s, int h, int w, bool wide)
{
    int channels = wide ? s->c / 4 : s->c;
    return job{*s, divider_of(channels), divider_of(w), divider_of(h), s->rows * h * w * channels};
}
}

extern "C" void rt_k_max_pool(cudaStream_t stream, const rt_pool_shape *s, float *y, uint8_t *index, const float *x)
{
    bool wide = four(s->c, x, y) && ((uintptr_t)index & 3) == 0;
    job a = job_of(s, s->oh, s->ow, wide);
    if (wide) RT_LAUNCH((k_max_pool<4>), dim3(blocks_for(a.count)), dim3(THREADS), 0, stream, y, index, x, a);
    else RT_LAUNCH((k_max_pool<1>), dim3(blocks_for(a.count)), dim3(THREADS), 0, stream, y, index, x, a);
}

extern "C" void rt_k_max_pool_back(cudaStream_t stream, const rt_pool_shape *s, float *dx, const float *dy,
                                   const uint8_t *index, int add)
{
    bool wide = four(s->c, dx, dy) && ((uintptr_t)index & 3) == 0;
    bool apart = s->kh == s->sh && s->kw == s->sw && s->dh == 1 && s->dw == 1 && s->h == s->oh * s->sh &&
                 s->w == s->ow * s->sw && s->pt == 0 && s->pl == 0;
    job a = apart ? job_of(s, s->oh, s->ow, wide) : job_of(s, s->h, s->w, wide);
    if (apart && wide)
        RT_LAUNCH((k_max_pool_back_apart<4>), dim3(blocks_for(a.count)), dim3(THREADS), 0, stream, dx, dy, index, add,
                  a);
    else if (apart)
        RT_LAUNCH((k_max_pool_back_apart<1>), dim3(blocks_for(a.count)), dim3(THREADS), 0, stream, dx, dy, index, add,
                  a);
    else if (wide)
        RT_LAUNCH((k_max_pool_back<4>), dim3(blocks_for(a.count)), dim3(THREADS), 0, stream, dx, dy, index, add, a);
    else RT_LAUNCH((k_max_pool_back<1>), dim3(blocks_for(a.count)), dim3(THREADS), 0, stream, dx, dy, index, add, a);
}

extern "C" void rt_k_avg_pool(cudaStream_t stream, const rt_pool_shape *s, float *y, const float *x)
{
    bool wide = four(s->c, x, y);
    job a = job_of(s, s->oh, s->ow, wide);
    if (wide) RT_LAUNCH((k_avg_pool<4>), dim3(blocks_for(a.count)), dim3(THREADS), 0, stream, y, x, a);
    else RT_LAUNCH((k_avg_pool<1>), dim3(blocks_for(a.count)), dim3(THREADS), 0, stream, y, x, a);
}

extern "C" void rt_k_avg_pool_back(cudaStream_t stream, const rt_pool_shape *s, float *dx, const float *dy, int add)
{
    bool wide = four(s->c, dx, dy);
    job a = job_of(s, s->h, s->w, wide);
    if (wide) RT_LAUNCH((k_avg_pool_back<4>), dim3(blocks_for(a.count)), dim3(THREADS), 0, stream, dx, dy, add, a);
    else RT_LAUNCH((k_avg_pool_back<1>), dim3(blocks_for(a.count)), dim3(THREADS), 0, stream, dx, dy, add, a);
}

extern "C" void rt_k_global_avg(cudaStream_t stream, float *y, const float *x, int rows, int pixels, int c)
{
    int blocks = (c + LANES - 1) / LANES;
    RT_LAUNCH(k_global_avg, dim3((unsigned)rows * (unsigned)blocks), dim3(THREADS), 0, stream, y, x, pixels, c, blocks);
}

extern "C" void rt_k_global_avg_back(cudaStream_t stream, float *dx, const float *dy, int rows, int pixels, int c,
                                     int add)
{
    bool wide = four(c, dx, dy);
    int lanes = wide ? c / 4 : c, count = rows * pixels * lanes;
    divider channels = divider_of(lanes), per_row = divider_of(pixels);
    if (wide)
        RT_LAUNCH((k_global_avg_back<4>), dim3(blocks_for(count)), dim3(THREADS), 0, stream, dx, dy, add, channels,
                  per_row, count);
    else
        RT_LAUNCH((k_global_avg_back<1>), dim3(blocks_for(count)), dim3(THREADS), 0, stream, dx, dy, add, channels,
                  per_row, count);
}

extern "C" void rt_k_global_max(cudaStream_t stream, float *y, int32_t *index, const float *x, int rows, int pixels,
                                int c)
{
    int blocks = (c + LANES - 1) / LANES;
    RT_LAUNCH(k_global_max, dim3((unsigned)rows * (unsigned)blocks), dim3(THREADS), 0, stream, y, index, x, pixels, c,
              blocks);
}

extern "C" void rt_k_global_max_back(cudaStream_t stream, float *dx, const float *dy, const int32_t *index, int rows,
                                     int pixels, int c, int add)
{
    int count = rows * pixels * c;
    RT_LAUNCH(k_global_max_back, dim3(blocks_for(count)), dim3(THREADS), 0, stream, dx, dy, index, add, divider_of(c),
              divider_of(pixels), count);
}
