/* Chains of small dense layers: values, losses and gradients of values; see cuda_chain.h.
 *
 * A step of such a net has little to compute and much to wait for, so nothing is read from far away twice: weights and
 * biases are copied to shared memory while the first rows are read, values stay there for the way back, and the step's
 * record is read at once. */
#include "engine/cuda/chain.cuh"
#include "engine/cuda/loss_rows.cuh"

namespace {
enum { WARPS = THREADS / WARP };
enum { BACK_ONLY = -1, FORWARD_ONLY = -2 };          /* beside the kinds of losses */

/* Columns of a lane; groups of columns, which warps have; slices of k, that they share where groups are few. */
struct cut { int wide, groups, slices; };
inline __host__ __device__ cut cut_of(int n)
{
    cut c = {n % 4 == 0 && n > 64 ? 4 : n % 2 == 0 && n > 32 ? 2 : 1, 0, 1};
    c.groups = (n + WARP * c.wide - 1) / (WARP * c.wide);
    if (c.groups < WARPS) c.slices = WARPS / c.groups;
    return c;
}

/* Where things lie in a block's shared memory, in floats: the inputs of layers, rounded, of which the last is what the
 * chain gives; the same as they are, for the way back (-1: they are not kept); gradients of layers with even and with
 * odd numbers; sums; weights and biases (-1: they are read where they are). */
struct room {
    int in[RT_CHAIN_LAYERS + 1], kept[RT_CHAIN_LAYERS + 1], dz[2], part, w[RT_CHAIN_LAYERS], bias[RT_CHAIN_LAYERS], all;
};

/* Starts the copies of weights. */
RT_DEVICE void fetch(float *to, const float *from, int count)
{
    int each = ((uintptr_t)from & 15) == 0 && count % QUAD == 0 ? QUAD : 1;
    for (int i = (int)threadIdx.x * each; i < count; i += THREADS * each)
        rt_copy_async(to + i, from + i, each * (int)sizeof(float), 1);
}
RT_DEVICE void fetch_all(const rt_chain &c, const room &m, float *all)
{
    for (int n = c.from; n < c.layers; n++) {
        const rt_chain_layer &l = c.layer[n];
        if (m.bias[n] >= 0) fetch(all + m.bias[n], l.bias, l.n);
        if (m.w[n] >= 0) fetch(all + m.w[n], l.w, l.k * l.n);
    }
    rt_copy_commit();
}

/* part (slices, R, n) = the sums of each slice; x (R, padded k) in shared memory, 0 behind k. */
template <int R, int V>
RT_DEVICE void multiply(const rt_chain_layer &l, const float *weights, const cut &c, const float *x, float *part,
                        int round)
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
            for (int u = 0; u < QUAD; u++) if (k + u < end) load<V>(w[u], weights + (k + u) * l.n + col);
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

/* What the chain begins with: rows of x, or of the layer that was made before. */
template <int R> RT_DEVICE void take_rows(const rt_chain &c, const room &m, float *all, int row0)
{
    const float *from = c.from ? c.layer[c.from - 1].y : c.x;
    int n = c.layer[c.from].k, ld = padded(n), kept = m.kept[c.from], to = m.in[c.from];
    for (int k = (int)threadIdx.x; k < ld; k += THREADS) {
        float v[R];
        RT_UNROLL
        for (int r = 0; r < R; r++)
            v[r] = row0 + r < c.rows && k < n ? from[(size_t)(row0 + r) * (size_t)n + k] : 0.0f;
        RT_UNROLL
        for (int r = 0; r < R; r++) {
            all[to + r * ld + k] = rounded(v[r], c.round);
            if (kept >= 0 && kept != to) all[kept + r * ld + k] = v[r];
        }
    }
}

template <int R> RT_DEVICE void forward(const rt_chain &c, const room &m, float *all, int row0)
{
    take_rows<R>(c, m, all, row0);
    for (int n = c.from; n < c.layers; n++) {
        const rt_chain_layer &l = c.layer[n];
        const float *w = m.w[n] >= 0 ? all + m.w[n] : l.w, *bias = m.bias[n] >= 0 ? all + m.bias[n] : l.bias;
        cut t = cut_of(l.n);
        float *x = all + m.in[n], *y = all + m.in[n + 1], *part = all + m.part;
        int ld = padded(l.n);
        if (m.w[n] >= 0 || m.bias[n] >= 0) rt_copy_wait<0>();
        __syncthreads();
        if (t.wide == 4) multiply<R, 4>(l, w, t, x, part, c.round);
        else if (t.wide == 2) multiply<R, 2>(l, w, t, x, part, c.round);
        else multiply<R, 1>(l, w, t, x, part, c.round);
        __syncthreads();
        for (int i = (int)threadIdx.x; i < R * ld; i += THREADS) {
            int r = i / ld, col = i % ld, row = row0 + r;
            float v = 0;
            if (col < l.n) {
                v = part[r * l.n + col];
                for (int s = 1; s < t.slices; s++) v += part[(s * R + r) * l.n + col];
                v = act_of(v + (bias ? bias[col] : 0.0f), l.act);
                if (row < c.rows) l.y[(size_t)row * (size_t)l.n + col] = v;
            }
            y[i] = rounded(v, c.round);
            if (m.kept[n + 1] >= 0 && m.kept[n + 1] != m.in[n + 1]) all[m.kept[n + 1] + i] = v;
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

/* The slope of what layer n gave, in row r of the block and of all. */
RT_DEVICE float slope_at(const rt_chain &c, const room &m, const float *all, int n, int r, int row, int col)
{
    const rt_chain_layer &l = c.layer[n];
    if (!l.act) return 1.0f;
    float y = m.kept[n + 1] >= 0 ? all[m.kept[n + 1] + r * padded(l.n) + col] : l.y[(size_t)row * (size_t)l.n + col];
    return slope_of(y, l.act);
}

/* From dz of layer n, in shared memory, the gradient of what it read: dz of the layer before, or dx. A warp has four k
 * at a time, its lanes run along n. */
RT_DEVICE void back(const rt_chain &c, const room &m, float *all, int n, int row0)
{
    enum { R = RT_CHAIN_ROWS };
    static_assert(R * QUAD == 16, "sums of a warp");
    const rt_chain_layer &l = c.layer[n];
    const float *weights = n >= c.from && m.w[n] >= 0 ? all + m.w[n] : l.w, *dz = all + m.dz[n & 1];
    float *to = all + m.dz[(n + 1) & 1];
    int lane = (int)threadIdx.x % WARP, ld = padded(l.n), ld_to = padded(l.k);
    for (int k = (int)threadIdx.x / WARP * QUAD; k < l.k; k += WARPS * QUAD) {
        float sum[R * QUAD] = {};
        RT_UNROLL_N(2)
        for (int col = lane; col < l.n; col += WARP) {
            float w[QUAD], d[R];
            RT_UNROLL
            for (int u = 0; u < QUAD; u++) w[u] = k + u < l.k ? rounded(weights[(k + u) * l.n + col], c.round) : 0.0f;
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
            v *= slope_at(c, m, all, n - 1, r, row, at);
            c.layer[n - 1].dz[place] = v;
        } else {
            c.dx[place] = c.add_dx ? c.dx[place] + v : v;
        }
        if (n > c.stop) to[r * ld_to + at] = rounded(v, c.round);
    }
}

/* The loss's gradient of row r into g (R, padded n), 0 behind n and rows. */
template <int WHAT>
RT_DEVICE void lose(const rt_chain &c, const rt_chain_loss &e, const float *y, float *g, int row0,
                    const rt_cuda_now *now)
{
    int n = c.layer[c.layers - 1].n, r = (int)threadIdx.x / WARP, lane = (int)threadIdx.x % WARP, row = row0 + r,
        ld = padded(n);
    if (r >= RT_CHAIN_ROWS) return;
    float *to = g + r * ld;
    for (int j = lane + (row < c.rows ? n : 0); j < ld; j += WARP) to[j] = 0;
    if (row >= c.rows) return;
    loss_row own;
    bool there = begin<WARP>(&own, 0, row, y + r * ld, to, 0, n, now);
    float loss = there ? loss_of<WARP, WHAT>(&own, e.loss, nullptr, 0) : 0.0f;
    if (lane == 0) e.rows[row] = loss;
}

template <int R, int WHAT>
__global__ void __launch_bounds__(THREADS, 2)
    k_chain(rt_chain c, rt_chain_loss e, room m, const rt_cuda_now *now)
{
    RT_SHARED_DYNAMIC(float, all);
    RT_SHARED(uint64_t, words, NOW_WORDS);
    int row0 = (int)blockIdx.x * R;
    fetch_all(c, m, all);
    if (WHAT >= 0) now = take_record(words, now);
    if (WHAT != BACK_ONLY) forward<R>(c, m, all, row0);
    if (WHAT == FORWARD_ONLY) return;
    if constexpr (R == RT_CHAIN_ROWS && WHAT != FORWARD_ONLY) {
        const int last = c.layers - 1;
        const rt_chain_layer &l = c.layer[last];
        int ld = padded(l.n);
        float *dz = all + m.dz[last & 1];
        if constexpr (WHAT >= 0) {
            lose<WHAT>(c, e, all + m.kept[c.layers], dz, row0, now);
            __syncthreads();
        }
        for (int i = (int)threadIdx.x; i < R * ld; i += THREADS) {
            int r = i / ld, row = row0 + r, col = i % ld;
            size_t at = (size_t)row * (size_t)l.n + col;
            float v = 0;
            if (row < c.rows && col < l.n) {
                v = (WHAT >= 0 ? dz[i] : l.dz[at]) * slope_at(c, m, all, last, r, row, col);
                l.dz[at] = v;
            }
            dz[i] = rounded(v, c.round);
        }
        rt_copy_wait<0>();
        __syncthreads();
        for (int n = last; n > c.stop || (n == c.stop && c.dx); n--) {
            back(c, m, all, n, row0);
            __syncthreads();
        }
    }
}

/* ---- launches ---- */

/* The room of a block of so many rows that goes forward, back, or both: in `most` floats, as many weights are held as
 * they leave. */
room room_of(const rt_chain *c, int rows, int forward, int back, size_t most)
{
    room m;
    int at = 0, side[2] = {0, 0}, part = 0;
    for (int i = 0; i <= RT_CHAIN_LAYERS; i++) m.in[i] = m.kept[i] = -1;
    for (int i = 0; i < RT_CHAIN_LAYERS; i++) m.w[i] = m.bias[i] = -1;
    for (int i = c->from; i <= c->layers; i++) {
        int n = padded(i < c->layers ? c->layer[i].k : c->layer[i - 1].n) * rows;
        if (n > side[i % 2]) side[i % 2] = n;
        if (forward && i < c->layers) {
            int p = cut_of(c->layer[i].n).slices * c->layer[i].n * rows;
            if (p > part) part = p;
        }
        if (!forward || !back) continue;
        m.in[i] = m.kept[i] = at;
        at += n;
        if (!c->round) continue;
        m.kept[i] = at;
        at += n;
    }
    for (int i = c->from; i <= c->layers && forward && !back; i++) m.in[i] = at + (i % 2 ? side[0] : 0);
    /* dz of layer n is as large as the input of layer n + 1. Sums of the way forward are gone when it is made. */
    m.dz[0] = at + side[0];
    m.dz[1] = at;
    m.part = forward && back ? at : at + side[0] + side[1];
    at = m.part + part > at + side[0] + side[1] ? m.part + part : at + side[0] + side[1];
    m.all = at;
    for (int i = c->layers - 1; i >= c->from && back; i--) {
        const rt_chain_layer *l = &c->layer[i];
        int w = padded(l->k * l->n), bias = l->bias && forward ? padded(l->n) : 0;
        if ((size_t)(m.all + w + bias) > most) continue;
        m.w[i] = m.all;
        if (bias) m.bias[i] = m.all + w;
        m.all += w + bias;
    }
    return m;
}

template <int R, int WHAT>
void launch(cudaStream_t stream, const rt_chain *c, const rt_chain_loss &e, const rt_cuda_now *now)
{
    room m = room_of(c, R, WHAT != BACK_ONLY, WHAT != FORWARD_ONLY, RT_CHAIN_SHARED / sizeof(float));
    RT_LAUNCH((k_chain<R, WHAT>), dim3((unsigned)((c->rows + R - 1) / R)), dim3(THREADS), sizeof(float) * (size_t)m.all,
              stream, *c, e, m, now);
}
}

extern "C" size_t rt_chain_shared(const rt_chain *c, int rows)
{
    return sizeof(float) * (size_t)room_of(c, rows, 1, rows == RT_CHAIN_ROWS, 0).all;
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
