/* engine/cuda/batch_norm.cu - batch norm in training, two launches each way: the first leaves sums of parts of the
 * rows, the second adds the parts up, every block for the columns that it needs, and goes over the rows; the first
 * block of those columns writes what is kept. No block waits for another.
 *
 * A thread takes AT_ONCE rows at a time and adds in a tree from there on, in an order of shape alone. Moments are a
 * mean, about the first row's value, and squares about that mean at every level (Chan, Golub & LeVeque 1983): nothing
 * cancels where the mean is far from 0 or the first row is far from the others, so that floats do. */
#include "engine/cuda/device_space.cuh"
#include "engine/cuda/device_sums.cuh"

#include "engine/cuda/cuda_norms.h"

namespace {

enum { THREADS = RT_BN_THREADS, WARPS = THREADS / 32, COLUMNS = RT_BN_COLUMNS, MOST_AT_ONCE = 8 };
enum { NONE, RELU, RELU6 };                           /* rt_act */
static_assert(WARPS >= COLUMNS, "a warp adds up the parts of a column");
static_assert(RT_BN_PARTS <= 4 * 32, "a lane takes four parts");

/* NaN stays NaN. */
RT_DEVICE float relu(float x) { return 0.0f > x ? 0.0f : x; }
RT_DEVICE float relu6(float x) { float v = relu(x); return 6.0f < v ? 6.0f : v; }

RT_DEVICE float activated(float z, int act) { return act == NONE ? z : act == RELU ? relu(z) : relu6(z); }
RT_DEVICE bool lets_through(float z, int act) { return act == NONE || (z > 0 && (act == RELU || z < 6)); }

/* Where a thread stands: a block has a tile of columns and a run of rows. */
template <int V> struct channel_place {
    int tile, run, in_tile, col;
    size_t row, end, step;
    __device__ __forceinline__ channel_place(const rt_channels &g, int runs, size_t rows)
    {
        int t = (int)threadIdx.x, wide = g.wide / V;
        tile = (int)blockIdx.x / runs;
        run = (int)blockIdx.x % runs;
        in_tile = t % wide * V;
        col = tile * g.wide + in_tile;
        step = (size_t)(THREADS / wide);
        row = (size_t)run * rows;
        end = row + rows < g.rows ? row + rows : g.rows;
        row += (size_t)(t / wide);
        if (col >= g.n) row = end;
    }
};

/* U rows of V columns, those that are there. */
template <int U, int V>
RT_DEVICE void fetch(rt_pack<V> (&to)[U], const float *from, const rt_channels &g, const channel_place<V> &p,
                     size_t row)
{
    RT_UNROLL
    for (int u = 0; u < U; u++) {
        size_t r = row + (size_t)u * p.step;
        to[u] = r < p.end ? rt_load<V>(from + r * (size_t)g.n + (size_t)p.col) : rt_pack<V>{};
    }
}

/* Both sums of part `part` of a column lie at room * 2 c and room (2 c + 1), one behind the other. */
RT_DEVICE size_t partial_at(const rt_channels &g, int col, int which)
{ return (2 * (size_t)col + (size_t)which) * (size_t)g.room; }

/* ---- the first launch ---- */

/* A mean and squares about it, of two sets as one. */
RT_DEVICE void unite(float count, float &mean, float &square, float count2, float mean2, float square2)
{
    float all = count + count2, share = all > 0 ? count2 / all : 0.0f, d = mean2 - mean;
    mean = fmaf(d, share, mean);
    square += fmaf(d * d, count * share, square2);
}

template <int V> __global__ void __launch_bounds__(THREADS) k_batch_moments(rt_channels g, const float *x)
{
    enum { U = MOST_AT_ONCE };
    RT_SHARED_2D(float, means, WARPS, COLUMNS + 1);
    RT_SHARED_2D(float, squares, WARPS, COLUMNS + 1);
    RT_SHARED(float, counts, WARPS);
    channel_place<V> p(g, g.parts, g.per);
    int t = (int)threadIdx.x, warp = t / 32, wide = g.wide / V;
    float count = 0;
    rt_pack<V> mean = {}, square = {}, first = p.row < p.end ? rt_load<V>(x + p.col) : rt_pack<V>{};
    for (size_t row = p.row; row < p.end; row += U * p.step) {
        rt_pack<V> in[U];
        fetch<U, V>(in, x, g, p, row);
        size_t left = (p.end - row + p.step - 1) / p.step;
        int there = left < U ? (int)left : U;
        float now = (float)there;
        RT_UNROLL
        for (int v = 0; v < V; v++) {
            float s = 0, q = 0;
            RT_UNROLL
            for (int u = 0; u < U; u++) s += in[u].v[v] = u < there ? in[u].v[v] - first.v[v] : 0.0f;
            float m = s / now;
            RT_UNROLL
            for (int u = 0; u < U; u++) {
                float d = u < there ? in[u].v[v] - m : 0.0f;
                q = fmaf(d, d, q);
            }
            unite(count, mean.v[v], square.v[v], now, m, q);
        }
        count += now;
    }
    for (int d = wide; d < 32; d *= 2) {
        float other = __shfl_xor_sync(~0u, count, d);
        RT_UNROLL
        for (int v = 0; v < V; v++) {
            float m = __shfl_xor_sync(~0u, mean.v[v], d), q = __shfl_xor_sync(~0u, square.v[v], d);
            unite(count, mean.v[v], square.v[v], other, m, q);
        }
        count += other;
    }
    if (t % 32 < wide) {
        RT_UNROLL
        for (int v = 0; v < V; v++) {
            means[warp][p.in_tile + v] = mean.v[v];
            squares[warp][p.in_tile + v] = square.v[v];
        }
        if (t % 32 == 0) counts[warp] = count;
    }
    __syncthreads();
    int c = t / WARPS, w = t % WARPS, col = p.tile * g.wide + c;
    if (c >= COLUMNS) return;
    bool on = c < g.wide && col < g.n;
    float n = on ? counts[w] : 0.0f, m0 = on ? means[0][c] : 0.0f, m = on && n > 0 ? means[w][c] - m0 : 0.0f,
          q = on ? squares[w][c] : 0.0f;              /* about the first warp's mean: those differ by little */
    for (int d = WARPS / 2; d > 0; d /= 2) {
        float n2 = __shfl_xor_sync(~0u, n, d), m2 = __shfl_xor_sync(~0u, m, d), q2 = __shfl_xor_sync(~0u, q, d);
        unite(n, m, q, n2, m2, q2);
        n += n2;
    }
    if (!on || w) return;
    g.partial[partial_at(g, col, 0) + (size_t)p.run] = m0 + m;
    g.partial[partial_at(g, col, 1) + (size_t)p.run] = q;
}

/* Sums of dz and of dz (x - MEAN), where dz is dy in which the activation lets through; with JOIN that is of `out`. */
template <int V, bool JOIN>
__global__ void __launch_bounds__(THREADS) k_batch_sums(rt_channels g, rt_batch_norm bn, const float *x,
                                                        const float *dy)
{
    enum { U = MOST_AT_ONCE / 2 };
    RT_SHARED_2D(float, ones, WARPS, COLUMNS + 1);
    RT_SHARED_2D(float, twos, WARPS, COLUMNS + 1);
    channel_place<V> p(g, g.parts, g.per);
    int t = (int)threadIdx.x, warp = t / 32, wide = g.wide / V;
    size_t n = (size_t)g.n;
    rt_pack<V> a = {}, b = {}, mean = {}, scale = {}, shift = {};
    if (p.row < p.end) {
        const float *c = bn.coefficient + p.col;
        mean = rt_load<V>(c + RT_BN_MEAN * n), scale = rt_load<V>(c + RT_BN_SCALE * n);
        shift = rt_load<V>(c + RT_BN_SHIFT * n);
    }
    for (size_t row = p.row; row < p.end; row += U * p.step) {
        rt_pack<V> in[U], dz[U], out[U];
        fetch<U, V>(in, x, g, p, row);
        fetch<U, V>(dz, dy, g, p, row);
        if (JOIN) fetch<U, V>(out, bn.out, g, p, row);
        RT_UNROLL
        for (int v = 0; v < V; v++) {
            float s1 = 0, s2 = 0;
            RT_UNROLL
            for (int u = 0; u < U; u++) {
                float d = in[u].v[v] - mean.v[v], z = JOIN ? out[u].v[v] : fmaf(d, scale.v[v], shift.v[v]);
                bool there = row + (size_t)u * p.step < p.end;
                float g1 = there && lets_through(z, bn.act) ? dz[u].v[v] : 0.0f;
                s1 += g1;
                s2 = there ? fmaf(g1, d, s2) : s2;
            }
            a.v[v] += s1;
            b.v[v] += s2;
        }
    }
    for (int d = wide; d < 32; d *= 2) {
        RT_UNROLL
        for (int v = 0; v < V; v++) {
            a.v[v] += __shfl_xor_sync(~0u, a.v[v], d);
            b.v[v] += __shfl_xor_sync(~0u, b.v[v], d);
        }
    }
    if (t % 32 < wide) {
        RT_UNROLL
        for (int v = 0; v < V; v++) ones[warp][p.in_tile + v] = a.v[v], twos[warp][p.in_tile + v] = b.v[v];
    }
    __syncthreads();
    int c = t / WARPS, w = t % WARPS, col = p.tile * g.wide + c;
    if (c >= COLUMNS) return;
    bool on = c < g.wide && col < g.n;
    float s1 = on ? ones[w][c] : 0.0f, s2 = on ? twos[w][c] : 0.0f;
    for (int d = WARPS / 2; d > 0; d /= 2) {
        s1 += __shfl_xor_sync(~0u, s1, d);
        s2 += __shfl_xor_sync(~0u, s2, d);
    }
    if (!on || w) return;
    g.partial[partial_at(g, col, 0) + (size_t)p.run] = s1;
    g.partial[partial_at(g, col, 1) + (size_t)p.run] = s2;
}

/* ---- the second launch ---- */

/* What a lane takes of both sums of a column: four parts, 0 where there is none, and how many rows each has. Reads are
 * asked for before the block's rows are, which would keep them waiting. */
struct column_parts {
    rt_pack<4> a, b;
    float rows[4];
    __device__ __forceinline__ void ask(const rt_channels &g, int col, int lane)
    {
        int at = 4 * lane < g.parts ? 4 * lane : 0;
        a = rt_load<4>(g.partial + partial_at(g, col, 0) + at);
        b = rt_load<4>(g.partial + partial_at(g, col, 1) + at);
    }
    __device__ __forceinline__ void get(const rt_channels &g, int lane)
    {
        RT_UNROLL
        for (int k = 0; k < 4; k++) {
            int part = 4 * lane + k;
            bool there = part < g.parts;
            a.v[k] = there ? a.v[k] : 0.0f;
            b.v[k] = there ? b.v[k] : 0.0f;
            rows[k] = !there ? 0.0f
                             : (float)(part + 1 < g.parts ? g.per : g.rows - (size_t)(g.parts - 1) * g.per);
        }
    }
};

struct moments_asked {
    column_parts p;
    float first, gamma, beta;
    __device__ __forceinline__ void ask(const rt_channels &g, const rt_batch_norm &bn, const float *x, int col,
                                        int lane)
    {
        p.ask(g, col, lane);
        first = x[col], gamma = bn.gamma[col], beta = bn.beta[col];
    }
};

/* By a warp: coefficients of a column from its moments; `keeps`: and writes them and running statistics. */
RT_DEVICE void finish_moments(const rt_channels &g, const rt_batch_norm &bn, moments_asked &m, int col, int lane,
                              bool keeps, float (&to)[3][COLUMNS], int at)
{
    column_parts &p = m.p;
    p.get(g, lane);
    float count = (float)g.rows, s = 0, q = 0, high, low;
    float a0 = __shfl_sync(~0u, p.a.v[0], 0);         /* about the first part's mean: others differ by little */
    RT_UNROLL
    for (int k = 0; k < 4; k++) s = fmaf(p.rows[k], p.a.v[k] = p.rows[k] > 0 ? p.a.v[k] - a0 : 0.0f, s);
    float d = warp_sum(s) / count;
    RT_UNROLL
    for (int k = 0; k < 4; k++) q += fmaf(p.rows[k] * (p.a.v[k] - d), p.a.v[k] - d, p.b.v[k]);
    float var = warp_sum(q) / count, spread = var + bn.eps, rstd = 1.0f / sqrtf(spread), scale = m.gamma * rstd;
    if (lane) return;
    two_floats(&high, &low, m.first, a0);
    two_floats(&high, &low, high, low + d);
    float shift = fmaf(-low, scale, m.beta);
    to[0][at] = high, to[1][at] = scale, to[2][at] = shift;
    if (!keeps) return;
    float *c = bn.coefficient + col;
    size_t n = (size_t)g.n;
    c[RT_BN_MEAN * n] = high, c[RT_BN_LOW * n] = low, c[RT_BN_SPREAD * n] = spread;
    c[RT_BN_RSTD * n] = rstd, c[RT_BN_SCALE * n] = scale, c[RT_BN_SHIFT * n] = shift;
    if (bn.bad && *bn.bad != 0 && *bn.bad != *bn.number) return;
    float *r = bn.running_mean + col, *v = bn.running_variance + col;
    *r += bn.momentum * ((high - *r) + low);
    *v += bn.momentum * ((g.rows > 1 ? var * (count / (float)(g.rows - 1)) : var) - *v);
}

/* y = act((x - mean) scale + shift), or with JOIN act(... + other) */
template <int V, bool JOIN>
__global__ void __launch_bounds__(THREADS, 2) k_batch_apply(rt_channels g, rt_batch_norm bn, float *y, const float *x)
{
    enum { U = JOIN ? 2 : 4 };
    RT_SHARED_2D(float, co, 3, COLUMNS);
    channel_place<V> p(g, g.blocks, g.each);
    int warp = (int)threadIdx.x / 32, lane = (int)threadIdx.x % 32, col = p.tile * g.wide + warp;
    bool on = warp < g.wide && col < g.n;
    rt_pack<V> in[U], other[U], mean, scale, shift;
    moments_asked m;
    if (on) m.ask(g, bn, x, col, lane);
    fetch<U, V>(in, x, g, p, p.row);                  /* on their way while parts are added */
    if (JOIN) fetch<U, V>(other, bn.other, g, p, p.row);
    if (on) finish_moments(g, bn, m, col, lane, p.run == 0, co, warp);
    __syncthreads();
    if (p.row >= p.end) return;
    mean = rt_load<V>(&co[0][p.in_tile]), scale = rt_load<V>(&co[1][p.in_tile]), shift = rt_load<V>(&co[2][p.in_tile]);
    for (size_t row = p.row;;) {
        RT_UNROLL
        for (int u = 0; u < U; u++) {
            size_t r = row + (size_t)u * p.step;
            if (r >= p.end) break;
            RT_UNROLL
            for (int v = 0; v < V; v++) {
                float z = fmaf(in[u].v[v] - mean.v[v], scale.v[v], shift.v[v]);
                in[u].v[v] = activated(JOIN ? z + other[u].v[v] : z, bn.act);
            }
            rt_store<V>(y + r * (size_t)g.n + (size_t)p.col, in[u]);
        }
        if ((row += U * p.step) >= p.end) return;
        fetch<U, V>(in, x, g, p, row);
        if (JOIN) fetch<U, V>(other, bn.other, g, p, row);
    }
}

RT_DEVICE void put(float *to, float v, int add) { *to = add ? *to + v : v; }

struct sums_asked {
    column_parts p;
    float c[RT_BN_COEFFICIENTS];
    __device__ __forceinline__ void ask(const rt_channels &g, const rt_batch_norm &bn, int col, int lane)
    {
        p.ask(g, col, lane);
        RT_UNROLL
        for (int i = 0; i < RT_BN_COEFFICIENTS; i++) c[i] = bn.coefficient[(size_t)i * (size_t)g.n + (size_t)col];
    }
};

/* By a warp: what k_batch_back takes of a column; `keeps`: and writes gradients of gamma and beta. */
RT_DEVICE void finish_sums(const rt_channels &g, const rt_batch_norm &bn, sums_asked &m, int col, int lane, bool keeps,
                           float (&to)[5][COLUMNS], int at)
{
    m.p.get(g, lane);
    const rt_pack<4> &a = m.p.a, &b4 = m.p.b;
    float mean = m.c[RT_BN_MEAN], low = m.c[RT_BN_LOW], spread = m.c[RT_BN_SPREAD], rstd = m.c[RT_BN_RSTD],
          scale = m.c[RT_BN_SCALE], shift = m.c[RT_BN_SHIFT], count = (float)g.rows;
    float s1 = warp_sum((a.v[0] + a.v[1]) + (a.v[2] + a.v[3])),
          s2 = warp_sum((b4.v[0] + b4.v[1]) + (b4.v[2] + b4.v[3]));
    if (lane) return;
    s2 = fmaf(-low, s1, s2);
    float b = s2 / (spread * count);
    to[0][at] = mean, to[1][at] = scale, to[2][at] = shift, to[3][at] = b;
    to[4][at] = fmaf(-b, low, s1 / count);
    if (!keeps) return;
    if (bn.dgamma) put(bn.dgamma + col, s2 * rstd, bn.add_gamma);
    if (bn.dbeta) put(bn.dbeta + col, s1, bn.add_beta);
}

/* dx = scale (dz - rest - b (x - mean)); with JOIN the gradient of `other` is dz. */
template <int V, bool JOIN>
__global__ void __launch_bounds__(THREADS, 2) k_batch_back(rt_channels g, rt_batch_norm bn, float *dx, int add,
                                                           const float *x, const float *dy)
{
    enum { U = 2 };
    RT_SHARED_2D(float, co, 5, COLUMNS);
    channel_place<V> p(g, g.blocks, g.each);
    int warp = (int)threadIdx.x / 32, lane = (int)threadIdx.x % 32, col = p.tile * g.wide + warp;
    bool on = warp < g.wide && col < g.n;
    rt_pack<V> in[U], dz[U], out[U], k[5];
    sums_asked m;
    if (on) m.ask(g, bn, col, lane);
    if (!dx && !bn.dother) p.row = p.end;
    fetch<U, V>(in, x, g, p, p.row);
    fetch<U, V>(dz, dy, g, p, p.row);
    if (JOIN) fetch<U, V>(out, bn.out, g, p, p.row);
    if (on) finish_sums(g, bn, m, col, lane, p.run == 0, co, warp);
    __syncthreads();
    if (p.row >= p.end) return;
    RT_UNROLL
    for (int i = 0; i < 5; i++) k[i] = rt_load<V>(&co[i][p.in_tile]);
    for (size_t row = p.row;;) {
        RT_UNROLL
        for (int u = 0; u < U; u++) {
            size_t r = row + (size_t)u * p.step;
            if (r >= p.end) break;
            RT_UNROLL
            for (int v = 0; v < V; v++) {
                float far = in[u].v[v] - k[0].v[v], z = JOIN ? out[u].v[v] : fmaf(far, k[1].v[v], k[2].v[v]);
                dz[u].v[v] = lets_through(z, bn.act) ? dz[u].v[v] : 0.0f;
                in[u].v[v] = k[1].v[v] * fmaf(-k[3].v[v], far, dz[u].v[v] - k[4].v[v]);
            }
            size_t at = r * (size_t)g.n + (size_t)p.col;
            if (JOIN && bn.dother) rt_store_or_add<V>(bn.dother + at, dz[u], bn.add_other);
            if (!JOIN || dx) rt_store_or_add<V>(dx + at, in[u], add);
        }
        if ((row += U * p.step) >= p.end) return;
        fetch<U, V>(in, x, g, p, row);
        fetch<U, V>(dz, dy, g, p, row);
        if (JOIN) fetch<U, V>(out, bn.out, g, p, row);
    }
}

dim3 grid_of(const rt_channels *g, int runs) { return dim3((unsigned)g->tiles * (unsigned)runs); }

}

extern "C" void rt_k_batch_moments(cudaStream_t s, const rt_channels *g, const float *x)
{
    dim3 grid = grid_of(g, g->parts), block(THREADS);
    if (g->vec == 4) RT_LAUNCH((k_batch_moments<4>), grid, block, 0, s, *g, x);
    else RT_LAUNCH((k_batch_moments<1>), grid, block, 0, s, *g, x);
}

/* By the columns that a thread has, and whether an addition is joined. */
#define BY_SHAPE(kernel, join, runs, ...) \
    dim3 grid = grid_of(g, runs), block(THREADS); \
    if (g->vec == 4 && (join)) RT_LAUNCH((kernel<4, true>), grid, block, 0, s, *g, __VA_ARGS__); \
    else if (g->vec == 4) RT_LAUNCH((kernel<4, false>), grid, block, 0, s, *g, __VA_ARGS__); \
    else if (join) RT_LAUNCH((kernel<1, true>), grid, block, 0, s, *g, __VA_ARGS__); \
    else RT_LAUNCH((kernel<1, false>), grid, block, 0, s, *g, __VA_ARGS__)

extern "C" void rt_k_batch_apply(cudaStream_t s, const rt_channels *g, const rt_batch_norm *bn, float *y,
                                 const float *x)
{ BY_SHAPE(k_batch_apply, bn->other != nullptr, g->blocks, *bn, y, x); }

extern "C" void rt_k_batch_sums(cudaStream_t s, const rt_channels *g, const rt_batch_norm *bn, const float *x,
                                const float *dy)
{ BY_SHAPE(k_batch_sums, bn->out != nullptr, g->parts, *bn, x, dy); }

extern "C" void rt_k_batch_back(cudaStream_t s, const rt_channels *g, const rt_batch_norm *bn, float *dx, int add,
                                const float *x, const float *dy)
{ BY_SHAPE(k_batch_back, bn->out != nullptr, dx || bn->dother ? g->blocks : 1, *bn, dx, add, x, dy); }
