/* engine/cuda/batch_norm.cu - batch norm in training, forward; see batch_norm.cuh.
 *
 * Moments are a mean, about the first row's value, and squares about that mean: of a part, whose rows are gone over
 * twice, and of parts (Chan, Golub & LeVeque 1983). Nothing cancels where the mean is far from 0 or the first row is
 * far from the others, so that floats do. */
#include "engine/cuda/batch_norm.cuh"

namespace {

/* What keeps z between the ends of an activation. NaN stays NaN. */
struct bounds {
    float low, high;
    __device__ __forceinline__ explicit bounds(int act)
        : low(act == NONE ? -INFINITY : 0.0f), high(act == RELU6 ? 6.0f : INFINITY) {}
    __device__ __forceinline__ float of(float z) const
    {
        z = low > z ? low : z;
        return high < z ? high : z;
    }
};

/* ---- the first launch ---- */

/* U rows a thread at a time: those of a part, where it has no more. */
template <int V, int U> __global__ void __launch_bounds__(THREADS) k_batch_moments(const float *x, rt_channels g)
{
    RT_SHARED_2D(float, room, WARPS, COLUMNS + 4);
    RT_SHARED(float, means, COLUMNS);
    channel_place<V> p(g);
    int t = (int)threadIdx.x, c = t / WARPS;
    bool on = c < g.wide && (int)blockIdx.x * g.wide + c < g.n, last = (int)blockIdx.y + 1 == g.parts;
    rt_pack<V> in[U], first, mean, sum = {}, square = {};
    first = rt_load<V>(p.at(x, 0));
    RT_UNROLL_N(1)
    for (int row = p.row; row < p.end; row += U * p.step) {
        fetch<U, V>(in, x, p, row);
        RT_UNROLL
        for (int u = 0; u < U; u++) {
            bool there = row + u * p.step < p.end;
            RT_UNROLL
            for (int v = 0; v < V; v++) sum.v[v] += there ? in[u].v[v] - first.v[v] : 0.0f;
        }
    }
    lane_sums<V>(sum, p);
    leave_sums<V>(room, sum, p);
    __syncthreads();
    float m = taken_sum(room, t, on) / (last ? g.rows_last : g.rows_part);
    if (on && t % WARPS == 0) means[c] = m;
    __syncthreads();
    mean = rt_load<V>(&means[p.end ? p.in_tile : 0]);
    bool more = p.end - p.row > U * p.step;
    RT_UNROLL_N(1)
    for (int row = p.row; row < p.end; row += U * p.step) {
        if (more) fetch<U, V>(in, x, p, row);
        RT_UNROLL
        for (int u = 0; u < U; u++) {
            bool there = row + u * p.step < p.end;
            RT_UNROLL
            for (int v = 0; v < V; v++) {
                float d = there ? (in[u].v[v] - first.v[v]) - mean.v[v] : 0.0f;
                square.v[v] = fmaf(d, d, square.v[v]);
            }
        }
    }
    lane_sums<V>(square, p);
    leave_sums<V>(room, square, p);
    __syncthreads();
    float q = taken_sum(room, t, on);
    if (!on || t % WARPS) return;
    float *to = partial_at(g, g.partial, (int)blockIdx.x * g.wide + c, 0) + blockIdx.y;
    to[0] = m;
    to[g.room] = q;
}

/* ---- the second launch ---- */

enum { COEFFICIENTS = 3 };                             /* MEAN, SCALE, SHIFT */

struct moments_asked {
    column_parts p;
    float first, gamma, beta, running_mean, running_variance;
    bool stay;                                        /* running statistics do */
    __device__ __forceinline__ void ask(const rt_channels &g, const rt_batch_norm &bn, float *partial, const float *x,
                                        int col, int lane)
    {
        float *parts = partial_at(g, partial, col, 0);
        p.ask(g, parts, parts + g.room, lane);
        first = x[col], gamma = bn.gamma[col], beta = bn.beta[col];
    }
    /* What is kept, in one wait with the parts. */
    __device__ __forceinline__ void ask_kept(const rt_batch_norm &bn, int col)
    {
        unsigned long long bad = 0, number = 0;
        running_mean = bn.running_mean[col], running_variance = bn.running_variance[col];
        if (bn.bad) bad = *bn.bad, number = *bn.number;
        stay = bad != 0 && bad != number;
    }
};

/* By a warp: coefficients of a column from its moments; `keeps`: and writes them and running statistics. */
RT_DEVICE void finish_moments(const rt_channels &g, const rt_batch_norm &bn, moments_asked &m, int col, int lane,
                              bool keeps, float (*to)[COLUMNS], int at)
{
    column_parts &p = m.p;
    p.get(g, lane);
    float s = 0, q = 0, rows[4], high, low;
    float a0 = __shfl_sync(~0u, p.a.v[0], 0);         /* about the first part's mean: others differ by little */
    RT_UNROLL
    for (int k = 0; k < 4; k++) {
        int part = 4 * lane + k;
        rows[k] = part + 1 < g.parts ? g.rows_part : part < g.parts ? g.rows_last : 0.0f;
        s = fmaf(rows[k], p.a.v[k] = part < g.parts ? p.a.v[k] - a0 : 0.0f, s);
    }
    float d = warp_sum(s) * g.share;
    RT_UNROLL
    for (int k = 0; k < 4; k++) q += fmaf(rows[k] * (p.a.v[k] - d), p.a.v[k] - d, p.b.v[k]);
    float var = warp_sum(q) * g.share, rstd = 1.0f / sqrtf(var + bn.eps), scale = m.gamma * rstd;
    if (lane) return;
    two_floats(&high, &low, m.first, a0);
    two_floats(&high, &low, high, low + d);
    float shift = fmaf(-low, scale, m.beta);
    to[0][at] = high, to[1][at] = scale, to[2][at] = shift;
    if (!keeps) return;
    float *c = bn.coefficient + col;
    size_t n = (size_t)g.n;
    c[RT_BN_MEAN * n] = high, c[RT_BN_LOW * n] = low, c[RT_BN_RSTD * n] = rstd;
    c[RT_BN_SCALE * n] = scale, c[RT_BN_SHIFT * n] = shift;
    if (m.stay) return;
    float old = m.running_mean, wide = m.running_variance, unbiased = g.rows > 1 ? (float)g.rows - 1.0f : 1.0f;
    bn.running_mean[col] = old + bn.momentum * ((high - old) + low);
    bn.running_variance[col] = wide + bn.momentum * (var * ((float)g.rows / unbiased) - wide);
}

/* The tile's coefficients, by its first columns' warps: asked for, and there behind a barrier. */
struct tile_moments {
    moments_asked m;
    int col, lane;
    bool on;
    __device__ __forceinline__ tile_moments(const rt_channels &g, const rt_batch_norm &bn, float *partial,
                                            const float *x)
        : m(), col((int)blockIdx.x * g.wide + (int)threadIdx.x / 32), lane((int)threadIdx.x % 32),
          on((int)threadIdx.x / 32 < g.wide && col < g.n)
    {
        if (on) m.ask(g, bn, partial, x, col, lane);
    }
    __device__ __forceinline__ void finish(const rt_channels &g, const rt_batch_norm &bn, float (*to)[COLUMNS])
    {
        if (on && blockIdx.y == 0) m.ask_kept(bn, col);
        /* All warps go through its shuffles, where the others have no first lane: calls that some warps make alone are
         * functions of the compiler's before 9.0, and spill. */
        finish_moments(g, bn, m, col, on ? lane : 1, blockIdx.y == 0, to, (int)threadIdx.x / 32);
    }
};

/* The same of the norm that is added, if one is, and of what is added: a value of `other`. */
template <int V, int JOIN> struct addend {
    __device__ __forceinline__ addend(const rt_channels &, const side_norm<JOIN> &, const float *) {}
    __device__ __forceinline__ void finish(const rt_channels &, const side_norm<JOIN> &, float (*)[COLUMNS]) {}
    __device__ __forceinline__ void take(float (*)[COLUMNS], int) {}
    __device__ __forceinline__ float of(float z, float other, int) const { return JOIN == VALUES ? z + other : z; }
};
template <int V> struct addend<V, NORM> {
    tile_moments m;
    affine<V> f;
    __device__ __forceinline__ addend(const rt_channels &g, const side_norm<NORM> &side, const float *other)
        : m(g, side.bn, side.bn.parts, other) {}
    __device__ __forceinline__ void finish(const rt_channels &g, const side_norm<NORM> &side, float (*to)[COLUMNS])
    { m.finish(g, side.bn, to); }
    __device__ __forceinline__ void take(float (*to)[COLUMNS], int at) { f = affine<V>(to, at); }
    __device__ __forceinline__ float of(float z, float other, int v) const { return z + f.of(other, v); }
};

/* y = act((x - mean) scale + shift), or with JOIN act(... + other) */
template <int V, int JOIN>
__global__ void __launch_bounds__(THREADS, 2)
k_batch_apply(const float *x, float *y, rt_channels g, rt_batch_norm bn, side_norm<JOIN> side)
{
    enum { U = JOIN == NORM ? 2 : 4 };
    RT_SHARED_2D(float, co, JOIN == NORM ? 2 * COEFFICIENTS : COEFFICIENTS, COLUMNS);
    channel_place<V> p(g);
    rt_pack<V> in[U], other[U];
    tile_moments m(g, bn, g.partial, x);
    addend<V, JOIN> added(g, side, bn.other);
    fetch<U, V>(in, x, p, p.row);                     /* on their way while parts are added */
    if (JOIN) fetch<U, V>(other, bn.other, p, p.row);
    m.finish(g, bn, co);
    added.finish(g, side, co + COEFFICIENTS);
    __syncthreads();
    if (p.row >= p.end) return;
    affine<V> f(co, p.in_tile);
    added.take(co + COEFFICIENTS, p.in_tile);
    bounds act(bn.act);
    RT_UNROLL_N(1)
    for (int row = p.row;;) {
        RT_UNROLL
        for (int u = 0; u < U; u++) {
            int r = row + u * p.step;
            if (r >= p.end) break;
            RT_UNROLL
            for (int v = 0; v < V; v++) {
                in[u].v[v] = act.of(added.of(f.of(in[u].v[v], v), JOIN ? other[u].v[v] : 0.0f, v));
            }
            rt_store<V>(p.at(y, r), in[u]);
        }
        if ((row += U * p.step) >= p.end) return;
        fetch<U, V>(in, x, p, row);
        if (JOIN) fetch<U, V>(other, bn.other, p, row);
    }
}

/* Windows that lie side by side and cover the images; a place is a window. */
struct windows {
    divider ow;
    int w, kh, kw;
    /* The window's first pixel. */
    __device__ __forceinline__ int first(int place) const
    {
        int line = quotient(place, ow);
        return line * kh * w + (place - line * (int)ow.by) * kw;
    }
};

/* U taps from (ky, kx) on, which becomes where the next ones begin. */
template <int U, int V>
RT_DEVICE void fetch_taps(rt_pack<V> (&to)[U], const float *x, const channel_place<V> &p, const windows &s, int first,
                          int &ky, int &kx)
{
    RT_UNROLL
    for (int u = 0; u < U; u++) {
        to[u] = rt_load<V>(p.at(x, first + (ky < s.kh ? ky * s.w + kx : 0)));
        if (++kx == s.kw) kx = 0, ky++;
    }
}

template <int V> RT_DEVICE void store_taps(uint8_t *to, const int (&won)[V])
{
    if constexpr (V == 4)
        *(uint32_t *)(void *)to =
            (uint32_t)won[0] | (uint32_t)won[1] << 8 | (uint32_t)won[2] << 16 | (uint32_t)won[3] << 24;
    else *to = (uint8_t)won[0];
}

/* y = the greatest of act((x - mean) scale + shift) in each window, and which tap that is, as k_max_pool finds it. */
template <int V>
__global__ void __launch_bounds__(THREADS, 2) k_batch_max(const float *x, float *y, uint8_t *won, windows s,
                                                          rt_channels g, rt_batch_norm bn)
{
    enum { U = 4 };
    RT_SHARED_2D(float, co, 3, COLUMNS);
    channel_place<V> p(g);
    int ky = 0, kx = 0, taps = s.kh * s.kw;
    rt_pack<V> in[U], best;
    tile_moments m(g, bn, g.partial, x);
    fetch_taps<U, V>(in, x, p, s, s.first(p.row < p.last ? p.row : p.last), ky, kx);
    m.finish(g, bn, co);
    __syncthreads();
    if (p.row >= p.end) return;
    affine<V> f(co, p.in_tile);
    bounds act(bn.act);
    RT_UNROLL_N(1)
    for (int place = p.row;;) {
        int at[V];
        RT_UNROLL
        for (int v = 0; v < V; v++) best.v[v] = -INFINITY, at[v] = -1;
        RT_UNROLL_N(1)
        for (int tap = 0;;) {
            RT_UNROLL
            for (int u = 0; u < U; u++) {
                if (tap + u >= taps) break;
                RT_UNROLL
                for (int v = 0; v < V; v++) {
                    float z = act.of(f.of(in[u].v[v], v));
                    if (z > best.v[v] || z != z || at[v] < 0) best.v[v] = z, at[v] = tap + u;
                }
            }
            if ((tap += U) >= taps) break;
            fetch_taps<U, V>(in, x, p, s, s.first(place), ky, kx);
        }
        rt_store<V>(p.at(y, place), best);
        store_taps<V>(won + ((size_t)(unsigned)place * (size_t)g.n + (size_t)p.col), at);
        if ((place += p.step) >= p.end) return;
        ky = kx = 0;
        fetch_taps<U, V>(in, x, p, s, s.first(place), ky, kx);
    }
}

/* y = the mean over an image of act((x - mean) scale + shift), or with JOIN of act(... + other): g.warps warps have a
 * tile of an image, a place is an image. */
template <int V, int JOIN>
__global__ void __launch_bounds__(THREADS, JOIN == NORM ? 1 : 2)
k_batch_mean(const float *x, float *y, rt_channels g, rt_batch_norm bn, int pixels, side_norm<JOIN> side)
{
    enum { U = 2 };
    RT_SHARED_2D(float, co, JOIN == NORM ? 2 * COEFFICIENTS : COEFFICIENTS, COLUMNS);
    RT_SHARED_2D(float, room, WARPS, COLUMNS + 4);
    channel_place<V> p(g);
    const int lane = (int)threadIdx.x % 32, warp = (int)threadIdx.x / 32, share = warp & (g.warps - 1),
              image = (int)blockIdx.y * g.each + warp / g.warps, images = p.last + 1, beside = 32 / p.threads;
    bool here = p.end > 0;
    p.step = beside * g.warps;                        /* from here on of pixels of the image */
    p.row = image * pixels + share * beside + lane / p.threads;
    p.last = (image < images ? image + 1 : images) * pixels - 1;
    p.end = here && image < images ? p.last + 1 : 0;
    rt_pack<V> in[U], other[U], sum = {};
    tile_moments m(g, bn, g.partial, x);
    addend<V, JOIN> added(g, side, bn.other);
    fetch<U, V>(in, x, p, p.row);
    if (JOIN) fetch<U, V>(other, bn.other, p, p.row);
    m.finish(g, bn, co);
    added.finish(g, side, co + COEFFICIENTS);
    __syncthreads();
    affine<V> f(co, here ? p.in_tile : 0);
    added.take(co + COEFFICIENTS, here ? p.in_tile : 0);
    bounds act(bn.act);
    RT_UNROLL_N(1)
    for (int row = p.row; row < p.end;) {
        RT_UNROLL
        for (int u = 0; u < U; u++) {
            if (row + u * p.step >= p.end) break;
            RT_UNROLL
            for (int v = 0; v < V; v++) {
                sum.v[v] += act.of(added.of(f.of(in[u].v[v], v), JOIN ? other[u].v[v] : 0.0f, v));
            }
        }
        if ((row += U * p.step) >= p.end) break;
        fetch<U, V>(in, x, p, row);
        if (JOIN) fetch<U, V>(other, bn.other, p, row);
    }
    lane_sums<V>(sum, p);
    leave_sums<V>(room, sum, p);
    __syncthreads();
    if (!p.end || share || lane >= p.threads) return;
    for (int i = 1; i < g.warps; i++) {
        rt_pack<V> more = rt_load<V>(&room[warp + i][p.in_tile]);
        RT_UNROLL
        for (int v = 0; v < V; v++) sum.v[v] += more.v[v];
    }
    RT_UNROLL
    for (int v = 0; v < V; v++) sum.v[v] *= 1.0f / (float)pixels;
    rt_store<V>(p.at(y, image), sum);
}

}

extern "C" void rt_k_batch_moments(cudaStream_t s, const rt_channels *channels, const float *x)
{
    rt_channels g = over_rows(channels);
    if (has_more_rows(g, 2)) BY_COLUMNS(g, (k_batch_moments<4, 8>), (k_batch_moments<1, 8>), x, g);
    else BY_COLUMNS(g, (k_batch_moments<4, 2>), (k_batch_moments<1, 2>), x, g);
}

template <int JOIN>
static void apply_of(cudaStream_t s, const rt_channels &g, const rt_batch_norm &bn, const side_norm<JOIN> &side,
                     float *y, const float *x)
{
    if (bn.pool.kind == RT_BN_AVERAGE)
        BY_COLUMNS(g, (k_batch_mean<4, JOIN>), (k_batch_mean<1, JOIN>), x, y, g, bn, bn.pool.pixels, side);
    else
        BY_COLUMNS(g, (k_batch_apply<4, JOIN>), (k_batch_apply<1, JOIN>), x, y, g, bn, side);
}

extern "C" void rt_k_batch_apply(cudaStream_t s, const rt_channels *g, const rt_batch_norm *bn, float *y,
                                 const float *x)
{
    const rt_batch_pool &p = bn->pool;
    windows w = {divider_of(p.ow > 0 ? p.ow : 1), p.w, p.kh, p.kw};
    if (p.kind == RT_BN_GREATEST) BY_COLUMNS(*g, (k_batch_max<4>), (k_batch_max<1>), x, y, p.won, w, *g, *bn);
    else if (bn->side) apply_of<NORM>(s, *g, *bn, side_norm<NORM>{*bn->side}, y, x);
    else if (bn->other) apply_of<VALUES>(s, *g, *bn, side_norm<VALUES>{}, y, x);
    else apply_of<ALONE>(s, *g, *bn, side_norm<ALONE>{}, y, x);
}
