/* engine/cuda/batch_norm_back.cu - batch norm in training, the way back; see batch_norm.cuh. */
#include "engine/cuda/batch_norm.cuh"

namespace {

/* Whether an activation lets the gradient of z through. */
struct gate {
    bool open;
    float high;                                       /* NaN: there is no such end */
    __device__ __forceinline__ explicit gate(int act) : open(act == NONE), high(act == RELU6 ? 6.0f : NAN) {}
    __device__ __forceinline__ bool lets(float z) const { return ((z > 0.0f) | open) & !(z >= high); }
};

/* ---- where gradients of a row's values come from: first asked for, then taken; dy is at the thread's columns ---- */

/* Of the values themselves. */
struct of_values {
    const float *dy;
    template <int V> struct asked { rt_pack<V> dz; };
    template <int V> __device__ __forceinline__ void ask(asked<V> &to, const channel_place<V> &p, int row) const
    { to.dz = rt_load<V>(p.at(dy, row)); }
    template <int V> __device__ __forceinline__ float take(const asked<V> &a, int v) const { return a.dz.v[v]; }
};

/* Of means over images. */
struct of_means {
    const float *dy;
    divider pixels;
    float share;
    template <int V> struct asked { rt_pack<V> dz; };
    template <int V> __device__ __forceinline__ void ask(asked<V> &to, const channel_place<V> &p, int row) const
    { to.dz = rt_load<V>(p.at(dy, quotient(row, pixels))); }
    template <int V> __device__ __forceinline__ float take(const asked<V> &a, int v) const { return a.dz.v[v] * share; }
};

/* Of the greatest in windows that lie side by side and cover the images. */
struct of_windows {
    const float *dy;
    const uint8_t *won;
    divider w, kh, kw;
    int ow, n;
    template <int V> struct asked { rt_pack<V> dz; uint32_t won; int tap; };
    template <int V> __device__ __forceinline__ void ask(asked<V> &to, const channel_place<V> &p, int row) const
    {
        int line = quotient(row, w), x = row - line * (int)w.by, oy = quotient(line, kh), ox = quotient(x, kw),
            at = oy * ow + ox;
        const uint8_t *tap = won + p.col + (size_t)(unsigned)at * (size_t)n;
        to.dz = rt_load<V>(p.at(dy, at));
        to.won = V == 4 ? *(const uint32_t *)(const void *)tap : *tap;
        to.tap = (line - oy * (int)kh.by) * (int)kw.by + x - ox * (int)kw.by;
    }
    template <int V> __device__ __forceinline__ float take(const asked<V> &a, int v) const
    { return (int)(a.won >> 8 * v & 255) == a.tap ? a.dz.v[v] : 0.0f; }
};

template <int U, int V, class FROM>
RT_DEVICE void ask_rows(typename FROM::template asked<V> (&to)[U], const FROM &from, const channel_place<V> &p, int row)
{
    RT_UNROLL
    for (int u = 0; u < U; u++) {
        int r = row + u * p.step;
        from.template ask<V>(to[u], p, r < p.last ? r : p.last);
    }
}

template <int V> RT_DEVICE void read_affine(affine<V> &f, const float *coefficient, const channel_place<V> &p)
{
    f.mean = rt_load<V>(p.at(coefficient, RT_BN_MEAN)), f.scale = rt_load<V>(p.at(coefficient, RT_BN_SCALE));
    f.shift = rt_load<V>(p.at(coefficient, RT_BN_SHIFT));
}

/* Sums of dz and of dz (x - MEAN), where dz is the gradient that the activation lets through; with JOIN that is one of
 * the sum with `other`; of a norm that is added, of dz (other - its MEAN), too. U rows a thread at a time, read before
 * any is added. */
template <int V, int U, int JOIN, class FROM>
__global__ void __launch_bounds__(THREADS, 1)
k_batch_sums(const float *x, FROM from, rt_channels g, rt_batch_norm bn, side_norm<JOIN> side)
{
    RT_SHARED_2D(float, ones, WARPS, COLUMNS + 4);
    RT_SHARED_2D(float, twos, WARPS, COLUMNS + 4);
    RT_SHARED_2D(float, threes, JOIN == NORM ? WARPS : 1, COLUMNS + 4);
    channel_place<V> p(g);
    rt_pack<V> in[U], other[U], a = {}, b = {}, b2 = {};
    affine<V> f, f2;
    read_affine<V>(f, bn.coefficient, p);
    if constexpr (JOIN == NORM) read_affine<V>(f2, side.bn.coefficient, p);
    typename FROM::template asked<V> asked[U];
    gate act(bn.act);
    RT_UNROLL_N(1)
    for (int row = p.row; row < p.end; row += U * p.step) {
        fetch<U, V>(in, x, p, row);
        ask_rows<U, V>(asked, from, p, row);
        if (JOIN) fetch<U, V>(other, bn.other, p, row);
        RT_UNROLL
        for (int u = 0; u < U; u++) {
            bool there = row + u * p.step < p.end;
            RT_UNROLL
            for (int v = 0; v < V; v++) {
                float d = in[u].v[v] - f.mean.v[v], z = fmaf(d, f.scale.v[v], f.shift.v[v]), d2 = 0.0f;
                if (JOIN == VALUES) z += other[u].v[v];
                if (JOIN == NORM) d2 = other[u].v[v] - f2.mean.v[v], z += fmaf(d2, f2.scale.v[v], f2.shift.v[v]);
                float dz = act.lets(z) & there ? from.template take<V>(asked[u], v) : 0.0f;
                a.v[v] += dz;
                b.v[v] = fmaf(dz, d, b.v[v]);
                if (JOIN == NORM) b2.v[v] = fmaf(dz, d2, b2.v[v]);
            }
        }
    }
    lane_sums<V>(a, p);
    lane_sums<V>(b, p);
    leave_sums<V>(ones, a, p);
    leave_sums<V>(twos, b, p);
    if constexpr (JOIN == NORM) {
        lane_sums<V>(b2, p);
        leave_sums<V>(threes, b2, p);
    }
    __syncthreads();
    int t = (int)threadIdx.x, c = t / WARPS, col = (int)blockIdx.x * g.wide + c;
    if (c >= COLUMNS) return;
    bool on = c < g.wide && col < g.n;
    float s1 = taken_sum(ones, t, on), s2 = taken_sum(twos, t, on), s3 = 0.0f;
    if constexpr (JOIN == NORM) s3 = taken_sum(threes, t, on);
    if (!on || t % WARPS) return;
    partial_at(g, g.partial, col, 0)[blockIdx.y] = s1;
    partial_at(g, g.partial, col, 1)[blockIdx.y] = s2;
    if (JOIN == NORM) partial_at(g, g.partial, col, 2)[blockIdx.y] = s3;
}

RT_DEVICE void put(float *to, float v, int add) { *to = add ? *to + v : v; }

struct sums_asked {
    column_parts p;
    float c[RT_BN_COEFFICIENTS];
    __device__ __forceinline__ void ask(const rt_channels &g, const rt_batch_norm &bn, int which, int col, int lane)
    {
        p.ask(g, partial_at(g, g.partial, col, 0), partial_at(g, g.partial, col, which), lane);
        RT_UNROLL
        for (int i = 0; i < RT_BN_COEFFICIENTS; i++) c[i] = bn.coefficient[(size_t)i * (size_t)g.n + (size_t)col];
    }
};

/* By a warp: what k_batch_back takes of a column; `keeps`: and writes gradients of gamma and beta. */
RT_DEVICE void finish_sums(const rt_channels &g, const rt_batch_norm &bn, sums_asked &m, int col, int lane, bool keeps,
                           float (*to)[COLUMNS], int at)
{
    m.p.get(g, lane);
    const rt_pack<4> &a = m.p.a, &b4 = m.p.b;
    float mean = m.c[RT_BN_MEAN], low = m.c[RT_BN_LOW], rstd = m.c[RT_BN_RSTD], scale = m.c[RT_BN_SCALE],
          shift = m.c[RT_BN_SHIFT];
    float s1 = warp_sum((a.v[0] + a.v[1]) + (a.v[2] + a.v[3])),
          s2 = warp_sum((b4.v[0] + b4.v[1]) + (b4.v[2] + b4.v[3]));
    if (lane) return;
    s2 = fmaf(-low, s1, s2);
    float b = s2 * rstd * (rstd * g.share);
    to[0][at] = mean, to[1][at] = scale, to[2][at] = shift, to[3][at] = b;
    to[4][at] = fmaf(-b, low, s1 * g.share);
    if (!keeps) return;
    if (bn.dgamma) put(bn.dgamma + col, s2 * rstd, bn.add_gamma);
    if (bn.dbeta) put(bn.dbeta + col, s1, bn.add_beta);
}

/* dx = scale (dz - rest - b (x - mean)); with JOIN the gradient of `other` is dz, or that of a norm of it. */
template <int V, int JOIN, class FROM>
__global__ void __launch_bounds__(THREADS, JOIN == NORM ? 1 : 2)
k_batch_back(const float *x, FROM from, float *dx, rt_channels g, rt_batch_norm bn, int add, side_norm<JOIN> side)
{
    enum { U = JOIN == NORM ? 4 : 2, KEPT = 5 };
    RT_SHARED_2D(float, co, JOIN == NORM ? 2 * KEPT : KEPT, COLUMNS);
    channel_place<V> p(g);
    int warp = (int)threadIdx.x / 32, lane = (int)threadIdx.x % 32, col = (int)blockIdx.x * g.wide + warp;
    bool on = warp < g.wide && col < g.n, keeps = blockIdx.y == 0;
    rt_pack<V> in[U], other[U], dz, k[KEPT], k2[KEPT];
    typename FROM::template asked<V> asked[U];
    sums_asked m, m2;
    if (on) m.ask(g, bn, 1, col, lane);
    if constexpr (JOIN == NORM) if (on) m2.ask(g, side.bn, 2, col, lane);
    if (!dx) p.end = 0;
    fetch<U, V>(in, x, p, p.row);
    ask_rows<U, V>(asked, from, p, p.row);
    if (JOIN) fetch<U, V>(other, bn.other, p, p.row);
    if (on) finish_sums(g, bn, m, col, lane, keeps, co, warp);
    if constexpr (JOIN == NORM) if (on) finish_sums(g, side.bn, m2, col, lane, keeps, co + KEPT, warp);
    __syncthreads();
    if (p.row >= p.end) return;
    gate act(bn.act);
    RT_UNROLL
    for (int i = 0; i < KEPT; i++) {
        k[i] = rt_load<V>(&co[i][p.in_tile]);
        if (JOIN == NORM) k2[i] = rt_load<V>(&co[KEPT * (JOIN == NORM) + i][p.in_tile]);
    }
    RT_UNROLL_N(1)
    for (int row = p.row;;) {
        RT_UNROLL
        for (int u = 0; u < U; u++) {
            int r = row + u * p.step;
            if (r > p.last) break;
            RT_UNROLL
            for (int v = 0; v < V; v++) {
                float far = in[u].v[v] - k[0].v[v], z = fmaf(far, k[1].v[v], k[2].v[v]), far2 = 0.0f;
                if (JOIN == VALUES) z += other[u].v[v];
                if (JOIN == NORM) far2 = other[u].v[v] - k2[0].v[v], z += fmaf(far2, k2[1].v[v], k2[2].v[v]);
                dz.v[v] = act.lets(z) ? from.template take<V>(asked[u], v) : 0.0f;
                in[u].v[v] = k[1].v[v] * fmaf(-k[3].v[v], far, dz.v[v] - k[4].v[v]);
                if (JOIN == NORM) dz.v[v] = k2[1].v[v] * fmaf(-k2[3].v[v], far2, dz.v[v] - k2[4].v[v]);
            }
            rt_store_or_add<V>(p.at(dx, r), in[u], add);
            if (JOIN && bn.dother) rt_store_or_add<V>(p.at(bn.dother, r), dz, bn.add_other);
        }
        if ((row += U * p.step) > p.last) return;
        fetch<U, V>(in, x, p, row);
        ask_rows<U, V>(asked, from, p, row);
        if (JOIN) fetch<U, V>(other, bn.other, p, row);
    }
}

/* A way back by what is added and by where gradients come from. */
template <int JOIN, class FROM>
void sums_of(cudaStream_t s, const rt_channels *channels, const rt_batch_norm *bn, const side_norm<JOIN> &side,
             const float *x, const FROM &from)
{
    rt_channels g = over_rows(channels);
    if (has_more_rows(g, 4) && JOIN != NORM)
        BY_COLUMNS(g, (k_batch_sums<4, JOIN == NORM ? 4 : 8, JOIN, FROM>),
                   (k_batch_sums<1, JOIN == NORM ? 4 : 8, JOIN, FROM>), x, from, g, *bn, side);
    else
        BY_COLUMNS(g, (k_batch_sums<4, 4, JOIN, FROM>), (k_batch_sums<1, 4, JOIN, FROM>), x, from, g, *bn, side);
}
template <class FROM>
void sums_from(cudaStream_t s, const rt_channels *g, const rt_batch_norm *bn, const float *x, const FROM &from)
{
    if (bn->side) sums_of<NORM>(s, g, bn, side_norm<NORM>{*bn->side}, x, from);
    else if (bn->other) sums_of<VALUES>(s, g, bn, side_norm<VALUES>{}, x, from);
    else sums_of<ALONE>(s, g, bn, side_norm<ALONE>{}, x, from);
}

template <int JOIN, class FROM>
void back_of(cudaStream_t s, const rt_channels *channels, const rt_batch_norm *bn, const side_norm<JOIN> &side,
             float *dx, int add, const float *x, const FROM &from)
{
    rt_channels g = *channels;
    if (!dx) g.blocks = 1;                            /* for the gradients of gamma and beta */
    BY_COLUMNS(g, (k_batch_back<4, JOIN, FROM>), (k_batch_back<1, JOIN, FROM>), x, from, dx, g, *bn, add, side);
}
template <class FROM>
void back_from(cudaStream_t s, const rt_channels *g, const rt_batch_norm *bn, float *dx, int add, const float *x,
               const FROM &from)
{
    if (bn->side) back_of<NORM>(s, g, bn, side_norm<NORM>{*bn->side}, dx, add, x, from);
    else if (bn->other) back_of<VALUES>(s, g, bn, side_norm<VALUES>{}, dx, add, x, from);
    else back_of<ALONE>(s, g, bn, side_norm<ALONE>{}, dx, add, x, from);
}

of_means means_of(const rt_batch_pool &p, const float *dy)
{ return of_means{dy, divider_of(p.pixels), 1.0f / (float)p.pixels}; }
of_windows windows_of(const rt_channels *g, const rt_batch_pool &p, const float *dy)
{ return of_windows{dy, p.won, divider_of(p.w), divider_of(p.kh), divider_of(p.kw), p.ow, g->n}; }

}

extern "C" void rt_k_batch_sums(cudaStream_t s, const rt_channels *g, const rt_batch_norm *bn, const float *x,
                                const float *dy)
{
    const rt_batch_pool &p = bn->pool;
    if (p.kind == RT_BN_GREATEST) sums_of<ALONE>(s, g, bn, side_norm<ALONE>{}, x, windows_of(g, p, dy));
    else if (p.kind == RT_BN_AVERAGE) sums_from(s, g, bn, x, means_of(p, dy));
    else sums_from(s, g, bn, x, of_values{dy});
}

extern "C" void rt_k_batch_back(cudaStream_t s, const rt_channels *g, const rt_batch_norm *bn, float *dx, int add,
                                const float *x, const float *dy)
{
    const rt_batch_pool &p = bn->pool;
    if (p.kind == RT_BN_GREATEST) back_of<ALONE>(s, g, bn, side_norm<ALONE>{}, dx, add, x, windows_of(g, p, dy));
    else if (p.kind == RT_BN_AVERAGE) back_from(s, g, bn, dx, add, x, means_of(p, dy));
    else back_from(s, g, bn, dx, add, x, of_values{dy});
}
