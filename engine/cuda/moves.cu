/* engine/cuda/moves.cu - kernels that put values elsewhere: by a rule for each axis, transposed, side by side. */
#include <type_traits>

#include "engine/cuda/cuda_moves.h"
#include "engine/cuda/device_functions.cuh"
#include "engine/cuda/device_space.cuh"

enum { OUTSIDE = -1, NOWHERE = -2, TILE = 32, TILE_ROWS = 8, WARPS = RT_FLAT / 32 };

static __device__ __forceinline__ int64_t picked(const float *pick, int64_t i, int64_t n)
{
    float v = pick[i];
    if (!(v >= (float)-n && v < (float)n)) return NOWHERE;
    int64_t j = (int64_t)v;
    return j < 0 ? j + n : j;
}

/* Which of the input's axis output index i is. */
static __device__ __forceinline__ int64_t source(const rt_moved_axis &a, int64_t i)
{
    int64_t n = a.n, j = i - a.first;
    switch (a.kind) {
    case RT_MOVE_STEP: return a.first + i * a.step;
    case RT_MOVE_TILE: return i % n;
    case RT_MOVE_PICK: return picked(a.pick, i, n);
    default: break;
    }
    if (j >= 0 && j < n) return j;
    switch (a.mode) {
    case RT_PAD_EDGE: return j < 0 ? 0 : n - 1;
    case RT_PAD_WRAP: return j % n < 0 ? j % n + n : j % n;
    case RT_PAD_REFLECT:
        if (n == 1) return 0;
        j %= 2 * (n - 1);
        j = j < 0 ? -j : j;
        return j < n ? j : 2 * (n - 1) - j;
    default: return OUTSIDE;
    }
}

/* A thread has a pack of V outputs along the innermost axis, where the input has them in one run. */
template <int V, class I>
static __global__ void __launch_bounds__(RT_FLAT) k_move(float *y, const float *x, rt_moved m)
{
    size_t t = (size_t)blockIdx.x * RT_FLAT + threadIdx.x;
    if (t >= m.space.places) return;
    I rest = (I)t;
    int64_t from = 0;
    bool outside = false, nowhere = false;
    RT_UNROLL
    for (int d = 0; d < RT_SPACE_DIMS; d++) {
        if (d >= m.axes) break;
        I i = rest;
        if (d + 1 < m.axes) rest = rt_divide(m.space, d, rest, i);
        int64_t j = source(m.axis[d], (int64_t)i);
        outside |= j == OUTSIDE;
        nowhere |= j == NOWHERE;
        from += j * m.axis[d].in_step;
    }
    rt_pack<V> v;
    if (nowhere || outside) {
        RT_UNROLL
        for (int k = 0; k < V; k++) v.v[k] = nowhere ? rt_nan() : m.value;
    } else v = rt_load<V>(x + from);
    rt_store<V>(y + V * t, v);
}

#define MOVE_LAUNCH(kernel, ...) \
    do { \
        unsigned blocks = rt_blocks(m->space.places); \
        int narrow = m->space.narrow; \
        if (m->pack == 4 && narrow) RT_LAUNCH((kernel<4, uint32_t>), blocks, RT_FLAT, 0, stream, __VA_ARGS__); \
        else if (m->pack == 4) RT_LAUNCH((kernel<4, uint64_t>), blocks, RT_FLAT, 0, stream, __VA_ARGS__); \
        else if (narrow) RT_LAUNCH((kernel<1, uint32_t>), blocks, RT_FLAT, 0, stream, __VA_ARGS__); \
        else RT_LAUNCH((kernel<1, uint64_t>), blocks, RT_FLAT, 0, stream, __VA_ARGS__); \
    } while (0)

extern "C" void rt_k_move(cudaStream_t stream, float *y, const float *x, const rt_moved *m)
{
    MOVE_LAUNCH(k_move, y, x, *m);
}

/* ---- gradients: each input adds up what its outputs have, axis by axis in two runs of them ---- */

template <class J> struct runs { J first, many, step, first2, many2; };

template <class J> static __device__ __forceinline__ J modulo(J a, J n)
{
    a %= n;
    return a < 0 ? a + n : a;
}

/* How many of first, first + step ... are below count. */
template <class J> static __device__ __forceinline__ J steps_to(J first, J step, J count)
{
    return first < count ? (count - 1 - first) / step + 1 : 0;
}

/* The output that has input j, of axes where there is one or none: below 0 or beyond count for none. */
template <class J> static __device__ __forceinline__ J target(const rt_moved_axis &a, J j)
{
    if (a.kind == RT_MOVE_PAD) return j + (J)a.first;
    J d = j - (J)a.first, step = (J)a.step;
    if (step == 1) return d;
    J i = d / step;
    return i * step == d ? i : -1;
}

/* All of them, of other axes. */
template <class J> static __device__ __forceinline__ runs<J> targets(const rt_moved_axis &a, J j)
{
    J n = (J)a.n, count = (J)a.count, before = (J)a.first;
    runs<J> r = {j + before, 0, 1, 0, 0};
    if (a.kind == RT_MOVE_STEP || (a.kind == RT_MOVE_PAD && a.mode == RT_PAD_CONSTANT)) {
        r.first = target<J>(a, j);
        r.many = r.first >= 0 && r.first < count;
    } else if (a.kind == RT_MOVE_TILE) {
        r.first = j;
        r.step = n;
        r.many = steps_to<J>(j, n, count);
    } else if (a.mode == RT_PAD_WRAP) {
        r.first = modulo<J>(j + before, n);
        r.step = n;
        r.many = steps_to<J>(r.first, n, count);
    } else if (a.mode == RT_PAD_REFLECT && n > 1) {
        r.step = 2 * (n - 1);
        r.first = modulo<J>(j + before, r.step);
        r.many = steps_to<J>(r.first, r.step, count);
        r.first2 = modulo<J>(before - j, r.step);
        r.many2 = r.first2 == r.first ? 0 : steps_to<J>(r.first2, r.step, count);
    } else {                                           /* an edge, or the only one */
        J low = j == 0 ? 0 : j + before, high = j == n - 1 ? count - 1 : j + before;
        r.first = low < 0 ? 0 : low;
        high = high < count ? high : count - 1;
        r.many = high >= r.first ? high - r.first + 1 : 0;
    }
    return r;
}

template <class J> static __device__ __forceinline__ J run_at(const runs<J> &r, J t)
{
    return t < r.many ? r.first + t * r.step : r.first2 + (t - r.many) * r.step;
}

/* Where each input went to one place at most. */
template <int V, class I>
static __global__ void __launch_bounds__(RT_FLAT) k_move_grad(float *dx, const float *dy, rt_moved m, int add)
{
    typedef std::make_signed_t<I> J;
    size_t t = (size_t)blockIdx.x * RT_FLAT + threadIdx.x;
    if (t >= m.space.places) return;
    I rest = (I)t;
    J at = 0;
    bool there = true;
    RT_UNROLL
    for (int d = 0; d < RT_SPACE_DIMS; d++) {
        if (d >= m.axes) break;
        I j = rest;
        if (d + 1 < m.axes) rest = rt_divide(m.space, d, rest, j);
        J i = target<J>(m.axis[d], (J)j);
        there &= i >= 0 && i < (J)m.axis[d].count;
        at += i * (J)m.axis[d].out_step;
    }
    rt_pack<V> sum = {};
    if (there) sum = rt_load<V>(dy + at);
    rt_store_or_add<V>(dx + V * t, sum, add);
}

/* Where it went to several. */
template <int V, class I>
static __global__ void __launch_bounds__(RT_FLAT) k_move_sum(float *dx, const float *dy, rt_moved m, int add)
{
    typedef std::make_signed_t<I> J;
    size_t t = (size_t)blockIdx.x * RT_FLAT + threadIdx.x;
    if (t >= m.space.places) return;
    runs<J> to[RT_SPACE_DIMS];
    I rest = (I)t;
    J all = 1;
    RT_UNROLL
    for (int d = 0; d < RT_SPACE_DIMS; d++) {
        if (d >= m.axes) break;
        I j = rest;
        if (d + 1 < m.axes) rest = rt_divide(m.space, d, rest, j);
        to[d] = targets<J>(m.axis[d], (J)j);
        all *= to[d].many + to[d].many2;
    }
    rt_pack<V> sum = {};
    for (J i = 0; i < all; i++) {
        J left = i, from = 0;
        RT_UNROLL
        for (int d = 0; d < RT_SPACE_DIMS; d++) {
            if (d >= m.axes) break;
            J many = to[d].many + to[d].many2, q = many == 1 ? left : left / many;
            from += run_at<J>(to[d], left - q * many) * (J)m.axis[d].out_step;
            left = q;
        }
        rt_pack<V> v = rt_load<V>(dy + from);
        RT_UNROLL
        for (int k = 0; k < V; k++) sum.v[k] += v.v[k];
    }
    rt_store_or_add<V>(dx + V * t, sum, add);
}

extern "C" void rt_k_move_grad(cudaStream_t stream, float *dx, const float *dy, const rt_moved *m, int add)
{
    if (m->several) MOVE_LAUNCH(k_move_sum, dx, dy, *m, add);
    else MOVE_LAUNCH(k_move_grad, dx, dy, *m, add);
}

/* A warp has 32 neighbours of one input line: it looks through all picks for those that took that line. */
static __global__ void __launch_bounds__(RT_FLAT)
    k_pick_grad(float *dx, const float *dy, const float *pick, size_t outer, int n, int count, size_t inner, int add)
{
    size_t chunks = (inner + 31) / 32, place = (size_t)blockIdx.x * WARPS + threadIdx.x / 32;
    if (place >= outer * n * chunks) return;
    int lane = threadIdx.x % 32;
    size_t line = place / chunks, c = place % chunks * 32 + lane, o = line / n;
    int64_t j = (int64_t)(line % n);
    double sum = 0.0;
    for (int first = 0; first < count; first += 32) {
        int mine = first + lane < count && picked(pick, first + lane, n) == j;
        for (unsigned hits = __ballot_sync(~0u, mine); hits; hits &= hits - 1) {
            int i = first + __ffs((int)hits) - 1;
            if (c < inner) sum += (double)dy[(o * count + i) * inner + c];
        }
    }
    if (c < inner) rt_store_or_add<1>(dx + line * inner + c, rt_pack<1>{{(float)sum}}, add);
}

extern "C" void rt_k_pick_grad(cudaStream_t stream, float *dx, const float *dy, const float *pick, size_t outer, int n,
                               int count, size_t inner, int add)
{
    size_t places = outer * (size_t)n * ((inner + 31) / 32);
    RT_LAUNCH(k_pick_grad, (unsigned)((places + WARPS - 1) / WARPS), RT_FLAT, 0, stream, dx, dy, pick, outer, n, count,
              inner, add);
}

/* ---- transposed, by tiles in shared memory, so that both sides go along neighbours ---- */

static __global__ void __launch_bounds__(TILE *TILE_ROWS)
    k_transpose(float *to, const float *from, rt_transposition m, size_t across, size_t down, int add)
{
    RT_SHARED_2D(float, tile, TILE, TILE + 1);
    size_t b = blockIdx.x, column0 = b % across * TILE, row0 = b / across % down * TILE, batch = b / across / down;
    int x = threadIdx.x, y = threadIdx.y;
    from += batch * m.from_next;
    to += batch * m.to_next;
    for (int i = y; i < TILE; i += TILE_ROWS)
        if (row0 + i < m.rows && column0 + x < m.columns) tile[i][x] = from[(row0 + i) * m.from_ld + column0 + x];
    __syncthreads();
    for (int i = y; i < TILE; i += TILE_ROWS)
        if (column0 + i < m.columns && row0 + x < m.rows)
            rt_store_or_add<1>(to + (column0 + i) * m.to_ld + row0 + x, rt_pack<1>{{tile[x][i]}}, add);
}

extern "C" void rt_k_transpose(cudaStream_t stream, float *to, const float *from, const rt_transposition *m, int add)
{
    size_t across = (m->columns + TILE - 1) / TILE, down = (m->rows + TILE - 1) / TILE;
    RT_LAUNCH(k_transpose, (unsigned)(across * down * m->batch), dim3(TILE, TILE_ROWS), 0, stream, to, from, *m, across,
              down, add);
}

/* ---- side by side ---- */

/* Block row y has strip y. */
template <int V, bool JOIN> static __global__ void __launch_bounds__(RT_FLAT) k_strips(rt_strips s)
{
    rt_strip part = s.strip[blockIdx.y];
    size_t width = part.width / V, t = (size_t)blockIdx.x * RT_FLAT + threadIdx.x;
    if (t >= s.lines * width) return;
    size_t line = t >> 32 ? t / width : (uint32_t)t / (uint32_t)width;
    float *whole = s.whole + line * s.width + part.at + (t - line * width) * V, *own = part.strip + t * V;
    if (JOIN) rt_store<V>(whole, rt_load<V>(own));
    else rt_store_or_add<V>(own, rt_load<V>(whole), part.add);
}

template <bool JOIN> static void strips(cudaStream_t stream, const rt_strips *s)
{
    size_t most = 0;
    int by4 = s->width % 4 == 0 && rt_aligned(s->whole);
    for (int i = 0; i < s->strips; i++) {
        const rt_strip *p = &s->strip[i];
        by4 &= p->width % 4 == 0 && p->at % 4 == 0 && rt_aligned(p->strip);
        if (p->width > most) most = p->width;
    }
    dim3 grid(rt_blocks(s->lines * most / (by4 ? 4 : 1)), (unsigned)s->strips);
    if (by4) RT_LAUNCH((k_strips<4, JOIN>), grid, RT_FLAT, 0, stream, *s);
    else RT_LAUNCH((k_strips<1, JOIN>), grid, RT_FLAT, 0, stream, *s);
}

extern "C" void rt_k_join(cudaStream_t stream, const rt_strips *s) { strips<true>(stream, s); }
extern "C" void rt_k_part(cudaStream_t stream, const rt_strips *s) { strips<false>(stream, s); }
