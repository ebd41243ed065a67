/* engine/cuda/batch_norm.cuh - what both ways of batch norm share: where a thread stands, sums over a block, parts.
 *
 * A way is two launches: the first leaves sums of parts of the rows, the second adds the parts up, every block for the
 * columns that it needs, and goes over the rows; the first block of those columns writes what is kept. No block waits
 * for another. Sums go in an order of shape alone. */
#ifndef RT_ENGINE_CUDA_BATCH_NORM_CUH
#define RT_ENGINE_CUDA_BATCH_NORM_CUH

#include "engine/cuda/device_space.cuh"
#include "engine/cuda/device_sums.cuh"
#include "engine/cuda/divider.cuh"

#include "engine/cuda/cuda_norms.h"

namespace {

enum { THREADS = RT_BN_THREADS, WARPS = THREADS / 32, COLUMNS = RT_BN_COLUMNS };
enum { NONE, RELU, RELU6 };                           /* rt_act */
enum { ALONE, VALUES, NORM };                         /* what is added: nothing, values, what a norm makes of values */

/* That norm; of others it is nothing. */
template <int JOIN> struct side_norm {};
template <> struct side_norm<NORM> { rt_batch_norm bn; };

template <int V> struct affine {
    rt_pack<V> mean, scale, shift;
    __device__ __forceinline__ affine() : mean{}, scale{}, shift{} {}
    __device__ __forceinline__ affine(const float (*co)[COLUMNS], int at)
        : mean(rt_load<V>(co[0] + at)), scale(rt_load<V>(co[1] + at)), shift(rt_load<V>(co[2] + at)) {}
    __device__ __forceinline__ float of(float x, int v) const { return fmaf(x - mean.v[v], scale.v[v], shift.v[v]); }
};
static_assert(WARPS == COLUMNS, "a warp adds up the parts of a column, and a column has a value of each warp");
static_assert(RT_BN_PARTS <= 4 * 32, "a lane takes four parts");

/* Where a thread stands: a block has a tile of columns, blockIdx.x, and a run of rows, blockIdx.y. Rows from `end` on
 * are not the thread's: in their place it reads row `last`, which is cheaper than not to read. */
template <int V> struct channel_place {
    int threads, in_tile, col, row, end, last, step;  /* threads: that have a row's columns of the tile */
    unsigned pitch;                                   /* bytes from row to row */
    __device__ __forceinline__ explicit channel_place(const rt_channels &g)
    {
        int t = (int)threadIdx.x, log = g.wide_log - (V == 4 ? 2 : 0), run = (int)blockIdx.y * g.each;
        threads = 1 << log;
        in_tile = (t & (threads - 1)) * V;
        col = (int)blockIdx.x * g.wide + in_tile;
        step = THREADS >> log;
        end = run + g.each < g.places ? run + g.each : g.places;
        last = end - 1;
        if (col >= g.n) col = end = 0;
        row = run + (t >> log);
        pitch = (unsigned)g.n * (unsigned)sizeof(float);
    }
    /* Row r of the thread's columns. */
    template <class T> __device__ __forceinline__ T *at(T *from, int r) const
    { return (T *)((char *)from + ((uint64_t)(unsigned)r * pitch + (unsigned)col * 4u)); }
};

/* U rows of V columns. */
template <int U, int V>
RT_DEVICE void fetch(rt_pack<V> (&to)[U], const float *from, const channel_place<V> &p, int row)
{
    RT_UNROLL
    for (int u = 0; u < U; u++) {
        int r = row + u * p.step;
        to[u] = rt_load<V>(p.at(from, r < p.last ? r : p.last));
    }
}

/* Both sums of a column's parts lie at room * 2 c and room (2 c + 1), a part behind the other; a third one, of a norm
 * that is added, at room (2 n + c). */
RT_DEVICE float *partial_at(const rt_channels &g, float *partial, int col, int which)
{ return partial + (which == 2 ? 2 * (size_t)g.n + (size_t)col : 2 * (size_t)col + (size_t)which) * (size_t)g.room; }

/* Sums of a column over the lanes of a warp that have it, all of which get it. */
template <int V> RT_DEVICE void lane_sums(rt_pack<V> &a, const channel_place<V> &p)
{
    for (int d = p.threads; d < 32; d *= 2) {
        RT_UNROLL
        for (int v = 0; v < V; v++) a.v[v] += __shfl_xor_sync(~0u, a.v[v], d);
    }
}

/* Over the block: warps leave theirs in `room`; what thread t takes, behind a barrier, is of column t / WARPS. */
typedef float column_room[WARPS][COLUMNS + 4];
template <int V> RT_DEVICE void leave_sums(column_room &room, const rt_pack<V> &a, const channel_place<V> &p)
{
    int t = (int)threadIdx.x;
    if (t % 32 < p.threads) rt_store<V>(&room[t / 32][p.in_tile], a);
}
RT_DEVICE float taken_sum(const column_room &room, int t, bool on)
{
    float s = on ? room[t % WARPS][t / WARPS] : 0.0f;
    for (int d = WARPS / 2; d > 0; d /= 2) s += __shfl_xor_sync(~0u, s, d);
    return s;
}

/* What a lane takes of both sums of a column: four parts, 0 where there is none. Reads are asked for before the block's
 * rows are, which would keep them waiting. */
struct column_parts {
    rt_pack<4> a, b;
    __device__ __forceinline__ void ask(const rt_channels &g, const float *first, const float *second, int lane)
    {
        int at = 4 * lane < g.parts ? 4 * lane : 0;
        a = rt_load<4>(first + at);
        b = rt_load<4>(second + at);
    }
    __device__ __forceinline__ void get(const rt_channels &g, int lane)
    {
        RT_UNROLL
        for (int k = 0; k < 4; k++) {
            bool there = 4 * lane + k < g.parts;
            a.v[k] = there ? a.v[k] : 0.0f;
            b.v[k] = there ? b.v[k] : 0.0f;
        }
    }
};

/* Whether a thread has more rows than so many. */
bool has_more_rows(const rt_channels &g, int rows) { return g.each > rows * (THREADS / g.wide * g.vec); }

/* For the first launch, which goes over rows. */
rt_channels over_rows(const rt_channels *g)
{
    rt_channels to = *g;
    to.each = g->per, to.places = g->rows, to.blocks = g->parts;
    return to;
}

/* By the columns that a thread has. */
#define BY_COLUMNS(g, four, one, ...) \
    do { \
        dim3 grid((unsigned)(g).tiles, (unsigned)(g).blocks), block(THREADS); \
        if ((g).vec == 4) RT_LAUNCH(four, grid, block, 0, s, __VA_ARGS__); \
        else RT_LAUNCH(one, grid, block, 0, s, __VA_ARGS__); \
    } while (0)
}
#endif
