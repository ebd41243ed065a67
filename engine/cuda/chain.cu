/* Chains of small dense layers; see cuda_chain.h. */
#include "engine/cuda/cuda_chain.h"
#include "engine/cuda/loss_rows.cuh"
#include "engine/cuda/update.cuh"

namespace {
enum { THREADS = 256, WARPS = THREADS / WARP, QUAD = 4 };
enum { BACK_ONLY = -1, FORWARD_ONLY = -2 };          /* beside the kinds of losses */

RT_DEVICE float rounded(float x, int round)
{
    if (round == 1) return __uint_as_float(rt_tf32(x));
    return round == 2 ? rt_of_bf16(rt_bf16_of(x)) : x;
}
RT_DEVICE float act_of(float x, int act)
{
    if (act && !(x > 0)) x = x == x ? 0.0f : x;        /* NaN stays */
    return act == 2 && x > 6.0f ? 6.0f : x;
}
RT_DEVICE float slope_of(float y, int act) { return !act || (y > 0 && (act == 1 || y < 6)) ? 1.0f : 0.0f; }

inline __host__ __device__ int padded(int n) { return (n + QUAD - 1) / QUAD * QUAD; }

/* Columns of a lane; groups of columns, which warps have; slices of k, that they share where groups are few. */
struct cut { int wide, groups, slices; };
inline __host__ __device__ cut cut_of(int n)
{
    cut c = {n % 4 == 0 && n > 64 ? 4 : n % 2 == 0 && n > 32 ? 2 : 1, 0, 1};
    c.groups = (n + WARP * c.wide - 1) / (WARP * c.wide);
    if (c.groups < WARPS) c.slices = WARPS / c.groups;
    return c;
}

template <int V> RT_DEVICE void load(float (&v)[V], const float *from)
{
    if constexpr (V == 4) {
        float4 f = *(const float4 *)(const void *)from;
        v[0] = f.x, v[1] = f.y, v[2] = f.z, v[3] = f.w;
    } else if constexpr (V == 2) {
        float2 f = *(const float2 *)(const void *)from;
        v[0] = f.x, v[1] = f.y;
    } else {
        v[0] = *from;
    }
}

/* part (slices, R, n) = the sums of each slice; x (R, padded k) in shared memory, 0 behind k. */
template <int R, int V>
RT_DEVICE void multiply(const rt_chain_layer &l, const cut &c, const float *x, float *part, int round)
{
    int lane = (int)threadIdx.x % WARP, ld = padded(l.k), per = padded((l.k + c.slices - 1) / c.slices);
    for (int job = (int)threadIdx.x / WARP; job < c.groups * c.slices; job += WARPS) {
        int slice = job / c.groups, col = (job % c.groups * WARP + lane) * V, first = slice * per,
            end = first + per < l.k ? first + per : l.k;
        float sum[R][V] = {};
        if (col >= l.n) continue;
        RT_UNROLL_N(2)
        for (int k = first; k < end; k += QUAD) {
            float w[QUAD][V] = {};
            RT_UNROLL
            for (int u = 0; u < QUAD; u++) if (k + u < end) load<V>(w[u], l.w + (size_t)(k + u) * (size_t)l.n + col);
            if (round) {
                RT_UNROLL
                for (int u = 0; u < QUAD; u++) {
                    RT_UNROLL
                    for (int v = 0; v < V; v++) w[u][v] = rounded(w[u][v], round);
                }
            }
            RT_UNROLL
            for (int r = 0; r < R; r++) {
                float4 f = *(const float4 *)(const void *)(x + r * ld + k);
                RT_UNROLL
                for (int v = 0; v < V; v++) {
                    float s = fmaf(f.x, w[0][v], sum[r][v]);
                    s = fmaf(f.y, w[1][v], s);
                    s = fmaf(f.z, w[2][v], s);
                    sum[r][v] = fmaf(f.w, w[3][v], s);
                }
            }
        }
        RT_UNROLL
        for (int r = 0; r < R; r++) {
            RT_UNROLL
            for (int v = 0; v < V; v++) part[(slice * R + r) * l.n + col + v] = sum[r][v];
        }
    }
}

/* What a block works in: the inputs, or gradients, of layers with even and with odd numbers; sums. */
struct room {
    float *all, *part;
    int odd;
    __device__ __forceinline__ float *side(int layer) const { return all + (layer & 1) * odd; }
};

template <int R> RT_DEVICE void forward(const rt_chain &c, const room &m, int row0)
{
    int first = padded(c.layer[0].k);
    for (int i = (int)threadIdx.x; i < R * first; i += THREADS) {
        int row = row0 + i / first, k = i % first;
        bool in = row < c.rows && k < c.layer[0].k;
        m.all[i] = in ? rounded(c.x[(size_t)row * (size_t)c.layer[0].k + k], c.round) : 0.0f;
    }
    for (int n = 0; n < c.layers; n++) {
        const rt_chain_layer &l = c.layer[n];
        cut t = cut_of(l.n);
        const float *x = m.side(n);
        float *y = m.side(n + 1);
        int ld = padded(l.n);
        __syncthreads();
        if (t.wide == 4) multiply<R, 4>(l, t, x, m.part, c.round);
        else if (t.wide == 2) multiply<R, 2>(l, t, x, m.part, c.round);
        else multiply<R, 1>(l, t, x, m.part, c.round);
        __syncthreads();
        for (int i = (int)threadIdx.x; i < R * ld; i += THREADS) {
            int r = i / ld, col = i % ld, row = row0 + r;
            float v = 0;
            if (col < l.n) {
                v = m.part[r * l.n + col];
                for (int s = 1; s < t.slices; s++) v += m.part[(s * R + r) * l.n + col];
                v = act_of(v + (l.bias ? l.bias[col] : 0.0f), l.act);
                if (row < c.rows) l.y[(size_t)row * (size_t)l.n + col] = v;
            }
            y[i] = rounded(v, c.round);
        }
    }
    __syncthreads();
}

/* 2 HALF values each become their sums with the lane D away, which has the other half of them afterwards. */
template <int HALF, int D> RT_DEVICE void fold(float (&v)[16])
{
    bool high = ((int)threadIdx.x & D) != 0;
    RT_UNROLL
    for (int i = 0; i < HALF; i++) {
        float other = __shfl_xor_sync(~0u, high ? v[i] : v[i + HALF], D);
        v[i] = (high ? v[i + HALF] : v[i]) + other;
    }
}
/* The sum over the warp of value lane / 2. */
RT_DEVICE float sum_16(float (&v)[16])
{
    fold<8, 16>(v);
    fold<4, 8>(v);
    fold<2, 4>(v);
    fold<1, 2>(v);
    return v[0] + __shfl_xor_sync(~0u, v[0], 1);
}

/* dz (R, padded n) of layer n, in shared memory: the gradient of what it read, dz of the layer before or dx. A warp has
 * four k at a time, its lanes run along n. */
RT_DEVICE void back(const rt_chain &c, int n, const float *dz, float *to, int row0)
{
    enum { R = RT_CHAIN_ROWS };
    static_assert(R * QUAD == 16, "sums of a warp");
    const rt_chain_layer &l = c.layer[n];
    int lane = (int)threadIdx.x % WARP, ld = padded(l.n), ld_to = padded(l.k);
    for (int k = (int)threadIdx.x / WARP * QUAD; k < l.k; k += WARPS * QUAD) {
        float sum[R * QUAD] = {};
        RT_UNROLL_N(2)
        for (int col = lane; col < l.n; col += WARP) {
            float w[QUAD], d[R];
            RT_UNROLL
            for (int u = 0; u < QUAD; u++)
                w[u] = k + u < l.k ? rounded(l.w[(size_t)(k + u) * (size_t)l.n + col], c.round) : 0.0f;
            RT_UNROLL
            for (int r = 0; r < R; r++) d[r] = dz[r * ld + col];
            RT_UNROLL
            for (int i = 0; i < R * QUAD; i++) sum[i] = fmaf(d[i / QUAD], w[i % QUAD], sum[i]);
        }
        float v = sum_16(sum);
        int i = lane / 2, r = i / QUAD, at = k + i % QUAD, row = row0 + r;
        if (lane % 2 || at >= ld_to) continue;
        size_t place = (size_t)row * (size_t)l.k + at;
        if (at >= l.k || row >= c.rows) v = 0;
        else if (n > c.stop) {
            v *= slope_of(c.layer[n - 1].y[place], c.layer[n - 1].act);
            c.layer[n - 1].dz[place] = v;
        } else {
            c.dx[place] = c.add_dx ? c.dx[place] + v : v;
        }
        if (n > c.stop) to[r * ld_to + at] = rounded(v, c.round);
    }
}

/* The loss's gradient of row r into g (R, padded n), 0 behind n and rows. */
template <int WHAT>
RT_DEVICE void lose(const rt_chain &c, const rt_chain_loss &e, float *g, int row0, const rt_cuda_now *now)
{
    const rt_chain_layer &l = c.layer[c.layers - 1];
    int r = (int)threadIdx.x / WARP, lane = (int)threadIdx.x % WARP, row = row0 + r, ld = padded(l.n);
    if (r >= RT_CHAIN_ROWS) return;
    float *to = g + r * ld;
    for (int j = lane + (row < c.rows ? l.n : 0); j < ld; j += WARP) to[j] = 0;
    if (row >= c.rows) return;
    loss_row own;
    bool there = begin<WARP>(&own, 0, row, l.y + (size_t)row * (size_t)l.n, to, 0, l.n, now);
    float loss = there ? loss_of<WARP, WHAT>(&own, e.loss, nullptr, 0) : 0.0f;
    if (lane == 0) e.rows[row] = loss;
}

template <int R, int WHAT>
__global__ void __launch_bounds__(THREADS, 2)
    k_chain(rt_chain c, rt_chain_loss e, int odd, int part, const rt_cuda_now *now)
{
    RT_SHARED_DYNAMIC(float, all);
    room m = {all, all + part, odd};
    int row0 = (int)blockIdx.x * R;
    if (WHAT != BACK_ONLY) forward<R>(c, m, row0);
    if (WHAT == FORWARD_ONLY) return;
    if constexpr (R == RT_CHAIN_ROWS && WHAT != FORWARD_ONLY) {
        const rt_chain_layer &l = c.layer[c.layers - 1];
        int ld = padded(l.n);
        float *dz = m.side(c.layers);
        if constexpr (WHAT >= 0) {
            lose<WHAT>(c, e, dz, row0, now);
            __syncthreads();
        }
        for (int i = (int)threadIdx.x; i < R * ld; i += THREADS) {
            int row = row0 + i / ld, col = i % ld;
            size_t at = (size_t)row * (size_t)l.n + col;
            float v = 0;
            if (row < c.rows && col < l.n) {
                v = (WHAT >= 0 ? dz[i] : l.dz[at]) * slope_of(l.y[at], l.act);
                l.dz[at] = v;
            }
            dz[i] = rounded(v, c.round);
        }
        __syncthreads();
        for (int n = c.layers - 1; n > c.stop || (n == c.stop && c.dx); n--) {
            back(c, n, m.side(n + 1), m.side(n), row0);
            __syncthreads();
        }
        if constexpr (WHAT >= 0) {
            RT_SHARED(unsigned, last, 1);
            __threadfence();
            __syncthreads();
            if (threadIdx.x == 0) last[0] = atomicInc(e.ticket, gridDim.x - 1) == gridDim.x - 1;
            __syncthreads();
            if (!last[0]) return;
            __threadfence();
            end_losses<THREADS>(e.sums, now);
        }
    }
}

/* ---- gradients of weights ---- */

enum { TILE = 32, DEEP = 128, PER = 2 };

/* A tile (DEEP, TILE) of columns `first` on of x (rows, n), from row0 on; 0 outside. */
RT_DEVICE void stage(float (*to)[TILE], const float *x, int row0, int rows, int first, int n, int round)
{
    bool fours = n % QUAD == 0 && ((uintptr_t)x & 15) == 0;
    if (fours) {
        RT_UNROLL
        for (int i = 0; i < DEEP * TILE / QUAD / THREADS; i++) {
            int at = (int)threadIdx.x + i * THREADS, r = at / (TILE / QUAD), col = at % (TILE / QUAD) * QUAD;
            float v[QUAD] = {0, 0, 0, 0};
            if (row0 + r < rows && first + col < n) load<QUAD>(v, x + (size_t)(row0 + r) * (size_t)n + first + col);
            RT_UNROLL
            for (int u = 0; u < QUAD; u++) to[r][col + u] = rounded(v[u], round);
        }
        return;
    }
    for (int at = (int)threadIdx.x; at < DEEP * TILE; at += THREADS) {
        int r = at / TILE, col = at % TILE;
        bool in = row0 + r < rows && first + col < n;
        to[r][col] = in ? rounded(x[(size_t)(row0 + r) * (size_t)n + first + col], round) : 0.0f;
    }
}

inline __host__ __device__ int tiles_along(int n) { return (n + TILE - 1) / TILE; }
/* Blocks of a layer. */
inline __host__ __device__ int tiles_of(const rt_chain_layer &l)
{
    return l.dw ? tiles_along(l.k) * tiles_along(l.n) : l.dbias ? tiles_along(l.n) : 0;
}

/* N neighbours of a gradient, which is whole, and the parameters that they are of: the update, or, in the step whose
 * loss is not finite, the least of what is not. */
template <int N>
RT_DEVICE void use(const rt_chain_update &u, const rt_tuning &how, const float *at, const float *weight,
                   const float (&g)[N], unsigned long long bad)
{
    size_t to = (size_t)(at - u.of.g), from = (size_t)(weight - u.of.w);
    float *w_at = u.of.w + from, w[N], m[N], v[N] = {};
    RT_UNROLL
    for (int i = 0; i < N; i++) {
        w[i] = w_at[i];
        if (bad && !(fabsf(w[i]) < INFINITY)) atomicMin(&u.of.trouble->weight, (unsigned long long)(from + i));
        if (bad && !(fabsf(g[i]) < INFINITY)) atomicMin(&u.of.trouble->gradient, (unsigned long long)(to + i));
    }
    if (bad || !u.of.now->last) return;
    RT_UNROLL
    for (int i = 0; i < N; i++) {
        m[i] = u.of.m[to + i];
        if (u.of.adamw) v[i] = u.of.v[to + i];
    }
    update<N>(u.of, how, u.of.now->grad_scale, g, w, m, v);
    RT_UNROLL
    for (int i = 0; i < N; i++) {
        w_at[i] = w[i];
        u.of.m[to + i] = m[i];
        if (u.of.adamw) u.of.v[to + i] = v[i];
        if (u.of.ema) u.of.ema[from + i] += (1.0f - u.of.now->ema) * (w[i] - u.of.ema[from + i]);
    }
}

template <bool UPDATE> __global__ void __launch_bounds__(THREADS, 2) k_chain_weights(rt_chain c, rt_chain_update u)
{
    unsigned long long bad = UPDATE ? u.of.trouble->bad : 0;
    if (bad && bad != u.of.now->number) return;
    RT_SHARED_2D(float, left, DEEP, TILE);
    RT_SHARED_2D(float, right, DEEP, TILE);
    int n = c.stop, tile = (int)blockIdx.x, t = (int)threadIdx.x, tk = t / (TILE / PER) * PER,
        tn = t % (TILE / PER) * PER;
    for (; tile >= tiles_of(c.layer[n]); n++) tile -= tiles_of(c.layer[n]);
    const rt_chain_layer &l = c.layer[n];
    const float *x = n ? c.layer[n - 1].y : c.x;
    int k0 = tile / tiles_along(l.n) * TILE, n0 = tile % tiles_along(l.n) * TILE;
    bool has_bias = l.dbias && k0 == 0 && t < TILE && n0 + t < l.n;
    float sum[PER][PER] = {}, bias = 0;
    for (int row0 = 0; row0 < c.rows; row0 += DEEP) {
        int end = c.rows - row0 < DEEP ? c.rows - row0 : DEEP;
        __syncthreads();
        if (l.dw) stage(left, x, row0, c.rows, k0, l.k, c.round);
        stage(right, l.dz, row0, c.rows, n0, l.n, c.round);
        __syncthreads();
        for (int r = 0; has_bias && r < end; r++)
            bias += c.round ? l.dz[(size_t)(row0 + r) * (size_t)l.n + n0 + t] : right[r][t];
        RT_UNROLL_N(8)
        for (int r = 0; r < (l.dw ? end : 0); r++) {
            float2 a = *(const float2 *)(const void *)&left[r][tk], b = *(const float2 *)(const void *)&right[r][tn];
            sum[0][0] = fmaf(a.x, b.x, sum[0][0]);
            sum[0][1] = fmaf(a.x, b.y, sum[0][1]);
            sum[1][0] = fmaf(a.y, b.x, sum[1][0]);
            sum[1][1] = fmaf(a.y, b.y, sum[1][1]);
        }
    }
    if (has_bias) {
        float *to = l.dbias + n0 + t, g[1] = {l.add_dbias ? *to + bias : bias};
        *to = g[0];
        if constexpr (UPDATE) use<1>(u, u.how[n][1], to, l.bias + n0 + t, g, bad);
    }
    RT_UNROLL
    for (int i = 0; i < PER; i++) {
        RT_UNROLL
        for (int j = 0; j < PER; j++) {
            int k = k0 + tk + i, col = n0 + tn + j;
            if (!l.dw || k >= l.k || col >= l.n) continue;
            size_t at = (size_t)k * (size_t)l.n + col;
            float *to = l.dw + at, g[1] = {l.add_dw ? *to + sum[i][j] : sum[i][j]};
            *to = g[0];
            if constexpr (UPDATE) use<1>(u, u.how[n][0], to, l.w + at, g, bad);
        }
    }
}

/* ---- launches ---- */

/* Floats of the three parts of shared memory. */
struct sizes { int side[2], part; };
sizes sizes_of(const rt_chain *c, int rows)
{
    sizes s = {{0, 0}, 0};
    for (int i = 0; i <= c->layers; i++) {
        int n = padded(i < c->layers ? c->layer[i].k : c->layer[i - 1].n) * rows;
        if (n > s.side[i % 2]) s.side[i % 2] = n;
        if (i == c->layers) continue;
        int part = cut_of(c->layer[i].n).slices * c->layer[i].n * rows;
        if (part > s.part) s.part = part;
    }
    return s;
}

template <int R, int WHAT>
void launch(cudaStream_t stream, const rt_chain *c, const rt_chain_loss &e, const rt_cuda_now *now)
{
    sizes s = sizes_of(c, R);
    RT_LAUNCH((k_chain<R, WHAT>), dim3((unsigned)((c->rows + R - 1) / R)), dim3(THREADS), rt_chain_shared(c, R), stream,
              *c, e, s.side[0], s.side[0] + s.side[1], now);
}
}

extern "C" size_t rt_chain_shared(const rt_chain *c, int rows)
{
    sizes s = sizes_of(c, rows);
    return sizeof(float) * (size_t)(s.side[0] + s.side[1] + s.part);
}

extern "C" void rt_k_chain(cudaStream_t stream, const rt_chain *c)
{
    enum { MANY = 1024, MORE = 2 * RT_CHAIN_ROWS };
    if (c->rows >= MANY && rt_chain_shared(c, MORE) <= RT_CHAIN_SHARED)
        launch<MORE, FORWARD_ONLY>(stream, c, rt_chain_loss{}, nullptr);
    else launch<RT_CHAIN_ROWS, FORWARD_ONLY>(stream, c, rt_chain_loss{}, nullptr);
}

extern "C" void rt_k_chain_back(cudaStream_t stream, const rt_chain *c)
{
    launch<RT_CHAIN_ROWS, BACK_ONLY>(stream, c, rt_chain_loss{}, nullptr);
}

extern "C" void rt_k_chain_step(cudaStream_t stream, const rt_chain *c, const rt_chain_loss *e, const rt_cuda_now *now)
{
    switch (kind_of(e->loss)) {
    case RT_SOFT_KD: return launch<RT_CHAIN_ROWS, RT_SOFT_KD>(stream, c, *e, now);
    case RT_SOFT_DKD: return launch<RT_CHAIN_ROWS, RT_SOFT_DKD>(stream, c, *e, now);
    case RT_SOFT_ZSCORE: return launch<RT_CHAIN_ROWS, RT_SOFT_ZSCORE>(stream, c, *e, now);
    case RT_SOFT_MSE: return launch<RT_CHAIN_ROWS, RT_SOFT_MSE>(stream, c, *e, now);
    case OF_LABELS: return launch<RT_CHAIN_ROWS, OF_LABELS>(stream, c, *e, now);
    case OF_VALUES: return launch<RT_CHAIN_ROWS, OF_VALUES>(stream, c, *e, now);
    case OF_HINTS: return launch<RT_CHAIN_ROWS, OF_HINTS>(stream, c, *e, now);
    default: return launch<RT_CHAIN_ROWS, RT_SOFT_NONE>(stream, c, *e, now);
    }
}

extern "C" void rt_k_chain_weights(cudaStream_t stream, const rt_chain *c, const rt_chain_update *u)
{
    int tiles = 0;
    for (int i = c->stop; i < c->layers; i++) tiles += tiles_of(c->layer[i]);
    dim3 grid((unsigned)tiles), block(THREADS);
    if (!tiles) return;
    if (u) RT_LAUNCH((k_chain_weights<true>), grid, block, 0, stream, *c, *u);
    else RT_LAUNCH((k_chain_weights<false>), grid, block, 0, stream, *c, rt_chain_update{});
}
