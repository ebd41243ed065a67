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

/* The least power of two that n does not exceed, up to a block's threads. */
inline __host__ __device__ int power_of(int n)
{
    int w = 8;
    while (w < n && w < THREADS) w *= 2;
    return w;
}
/* Threads lie along so many columns at a time; those beside them have slices of k. */
struct cut { int wide, slices; };
inline __host__ __device__ cut cut_of(int n)
{
    int wide = power_of(n);
    return cut{wide, THREADS / wide};
}
/* Floats from row to row of weights in shared memory: threads along rows read different banks. */
inline __host__ __device__ int row_of(int n) { return n % QUAD == 0 ? n + QUAD : n; }

/* Where things lie in a block's shared memory, in floats: the inputs of layers, rounded, of which the last is what the
 * chain gives; the same as they are, for the way back (-1: they are not kept); gradients of layers with even and with
 * odd numbers; sums; weights and biases (-1: they are read where they are). */
struct room {
    int in[RT_CHAIN_LAYERS + 1], kept[RT_CHAIN_LAYERS + 1], dz[2], part, all, w[RT_CHAIN_LAYERS], bias[RT_CHAIN_LAYERS];
};

/* Starts the copies of rows of n floats, which lie ld apart in shared memory. */
RT_DEVICE void fetch(float *to, int ld, const float *from, int rows, int n)
{
    if (((uintptr_t)from & 15) == 0 && n % QUAD == 0) {
        const unsigned along = (unsigned)n / QUAD, all = (unsigned)rows * along;
        for (unsigned i = threadIdx.x; i < all; i += THREADS) {
            unsigned row = i / along;
            rt_copy_async(to + row * (unsigned)ld + (i - row * along) * QUAD, from + i * QUAD, 16, 1);
        }
        return;
    }
    const unsigned along = (unsigned)n, all = (unsigned)rows * along;
    for (unsigned i = threadIdx.x; i < all; i += THREADS) {
        unsigned row = i / along;
        rt_copy_async(to + row * (unsigned)ld + (i - row * along), from + i, 4, 1);
    }
}
RT_DEVICE void fetch_all(const rt_chain &c, const room &m, float *all)
{
    for (int n = c.from; n < c.layers; n++) {
        const rt_chain_layer &l = c.layer[n];
        if (m.bias[n] >= 0) fetch(all + m.bias[n], 0, l.bias, 1, l.n);
        if (m.w[n] >= 0) fetch(all + m.w[n], row_of(l.n), l.w, l.k, l.n);
    }
    rt_copy_commit();
}

/* part (slices, R, wide) = the sums of each slice, of columns col0 on; x (R, padded k) in shared memory, 0 behind k. */
template <int R>
RT_DEVICE void multiply(const rt_chain_layer &l, const float *w, int ld_w, const cut &c, int col0, const float *x,
                        float *part, int round)
{
    int t = (int)threadIdx.x % c.wide, col = col0 + t, slice = (int)threadIdx.x / c.wide, ld = padded(l.k),
        per = padded((l.k + c.slices - 1) / c.slices), first = slice * per, end = first + per < l.k ? first + per : l.k;
    float sum[R] = {};
    if (col >= l.n) return;
    RT_UNROLL_N(2)
    for (int k = first; k + QUAD <= end; k += QUAD) {
        float v[QUAD];
        RT_UNROLL
        for (int u = 0; u < QUAD; u++) v[u] = w[(k + u) * ld_w + col];
        if (round) {
            RT_UNROLL
            for (int u = 0; u < QUAD; u++) v[u] = rounded(v[u], round);
        }
        RT_UNROLL
        for (int r = 0; r < R; r++) {
            float4 f = *(const float4 *)(const void *)(x + r * ld + k);
            sum[r] = fmaf(f.w, v[3], fmaf(f.z, v[2], fmaf(f.y, v[1], fmaf(f.x, v[0], sum[r]))));
        }
    }
    for (int k = end > first ? end - (end - first) % QUAD : end; k < end; k++) {
        float v = rounded(w[k * ld_w + col], round);
        RT_UNROLL
        for (int r = 0; r < R; r++) sum[r] = fmaf(x[r * ld + k], v, sum[r]);
    }
    RT_UNROLL
    for (int r = 0; r < R; r++) part[(slice * R + r) * c.wide + t] = sum[r];
}

/* What the chain begins with: rows of x, or of the layer before, whose parts are added up here. */
template <int R> RT_DEVICE void take_rows(const rt_chain &c, const room &m, float *all, int row0)
{
    enum { P = RT_CHAIN_PARTS };
    const float *from = c.part ? c.part : c.from ? c.layer[c.from - 1].y : c.x;
    int n = c.layer[c.from].k, ld = padded(n), kept = m.kept[c.from], to = m.in[c.from];
    for (int k = (int)threadIdx.x; k < ld; k += THREADS) {
        float v[R];
        RT_UNROLL
        for (int r = 0; r < R; r++)
            v[r] = row0 + r < c.rows && k < n ? from[(size_t)(row0 + r) * (size_t)n + k] : 0.0f;
        if (c.part && k < n) {
            const rt_chain_layer &l = c.layer[0];
            float more[P - 1][R], bias = l.bias ? l.bias[k] : 0.0f;
            RT_UNROLL
            for (int i = 0; i < (P - 1) * R; i++)
                more[i / R][i % R] = row0 + i % R < c.rows ? from[((i / R + 1) * c.rows + row0 + i % R) * n + k] : 0.0f;
            RT_UNROLL
            for (int r = 0; r < R; r++) {
                RT_UNROLL
                for (int i = 0; i < P - 1; i++) v[r] += more[i][r];
                v[r] = act_of(v[r] + bias, l.act);
                if (row0 + r < c.rows) l.y[(row0 + r) * n + k] = v[r];
            }
        }
        RT_UNROLL
        for (int r = 0; r < R; r++) {
            all[to + r * ld + k] = rounded(v[r], c.round);
            if (kept >= 0 && kept != to) all[kept + r * ld + k] = v[r];
        }
    }
}

/* Sums of slices as values of columns col0 on. */
template <int R>
RT_DEVICE void finish(const rt_chain &c, const room &m, float *all, int n, const cut &t, int col0, int row0)
{
    const rt_chain_layer &l = c.layer[n];
    const float *part = all + m.part, *bias = m.bias[n] >= 0 ? all + m.bias[n] : l.bias;
    int ld = padded(l.n), y = m.in[n + 1], kept = m.kept[n + 1] == y ? -1 : m.kept[n + 1];
    for (int i = (int)threadIdx.x; i < R * t.wide; i += THREADS) {
        int r = i / t.wide, col = col0 + i % t.wide;
        float v = 0;
        if (col >= ld) continue;
        if (col < l.n) {
            RT_UNROLL_N(4)
            for (int s = 0; s < t.slices; s++) v += part[s * R * t.wide + i];
            v = act_of(v + (bias ? bias[col] : 0.0f), l.act);
            if (row0 + r < c.rows) l.y[(size_t)(row0 + r) * (size_t)l.n + col] = v;
        }
        all[y + r * ld + col] = rounded(v, c.round);
        if (kept >= 0) all[kept + r * ld + col] = v;
    }
}

template <int R> RT_DEVICE void forward(const rt_chain &c, const room &m, float *all, int row0)
{
    take_rows<R>(c, m, all, row0);
    for (int n = c.from; n < c.layers; n++) {
        const rt_chain_layer &l = c.layer[n];
        const cut t = cut_of(l.n);
        const bool here = m.w[n] >= 0;
        if (here || m.bias[n] >= 0) rt_copy_wait<0>();
        for (int col = 0; col < l.n; col += t.wide) {
            __syncthreads();
            multiply<R>(l, here ? all + m.w[n] : l.w, here ? row_of(l.n) : l.n, t, col, all + m.in[n], all + m.part,
                        c.round);
            __syncthreads();
            finish<R>(c, m, all, n, t, col, row0);
        }
    }
    __syncthreads();
}

/* The slope of what layer n gave, in row r of the block and of all. */
RT_DEVICE float slope_at(const rt_chain &c, const room &m, const float *all, int n, int r, int row, int col)
{
    const rt_chain_layer &l = c.layer[n];
    if (!l.act) return 1.0f;
    float y = m.kept[n + 1] >= 0 ? all[m.kept[n + 1] + r * padded(l.n) + col] : l.y[(size_t)row * (size_t)l.n + col];
    return slope_of(y, l.act);
}

/* dx (ROWS rows from r0 on) of input k: dz, of rows ld apart, by row k of the weights. */
template <int ROWS>
RT_DEVICE void row_back(float (&sum)[ROWS], const float *w, const float *dz, int ld, int n, bool fours, int round)
{
    RT_UNROLL
    for (int r = 0; r < ROWS; r++) sum[r] = 0;
    if (fours) {
        RT_UNROLL_N(4)
        for (int j = 0; j < n; j += QUAD) {
            float v[QUAD];
            load<QUAD>(v, w + j);
            if (round) {
                RT_UNROLL
                for (int u = 0; u < QUAD; u++) v[u] = rounded(v[u], round);
            }
            RT_UNROLL
            for (int r = 0; r < ROWS; r++) {
                float4 d = *(const float4 *)(const void *)(dz + r * ld + j);
                sum[r] = fmaf(d.w, v[3], fmaf(d.z, v[2], fmaf(d.y, v[1], fmaf(d.x, v[0], sum[r]))));
            }
        }
        return;
    }
    RT_UNROLL_N(4)
    for (int j = 0; j < n; j++) {
        float v = rounded(w[j], round);
        RT_UNROLL
        for (int r = 0; r < ROWS; r++) sum[r] = fmaf(dz[r * ld + j], v, sum[r]);
    }
}

/* From dz of layer n, in shared memory, the gradient of what it read: dz of the layer before, or dx. Threads lie along
 * k; those beside them have other rows. */
template <int ROWS> RT_DEVICE void back(const rt_chain &c, const room &m, float *all, int n, int row0, int wide)
{
    const rt_chain_layer &l = c.layer[n];
    const bool here = n >= c.from && m.w[n] >= 0;
    const float *weights = here ? all + m.w[n] : l.w;
    const int ld_w = here ? row_of(l.n) : l.n, ld = padded(l.n), ld_to = padded(l.k),
              r0 = (int)threadIdx.x / wide * ROWS;
    const bool fours = l.n % QUAD == 0 && (here || ((uintptr_t)l.w & 15) == 0);
    float *to = all + m.dz[(n + 1) & 1];
    if (r0 >= RT_CHAIN_ROWS) return;
    for (int k = (int)threadIdx.x % wide; k < ld_to; k += wide) {
        float sum[ROWS] = {};
        if (k < l.k) row_back<ROWS>(sum, weights + k * ld_w, all + m.dz[n & 1] + r0 * ld, ld, l.n, fours, c.round);
        RT_UNROLL
        for (int i = 0; i < ROWS; i++) {
            int r = r0 + i, row = row0 + r;
            float v = sum[i];
            if (k >= l.k || row >= c.rows) v = 0;
            else if (n > c.stop) {
                v *= slope_at(c, m, all, n - 1, r, row, k);
                c.layer[n - 1].dz[(size_t)row * (size_t)l.k + k] = v;
            } else {
                float *dx = c.dx + (size_t)row * (size_t)l.k + k;
                *dx = c.add_dx ? *dx + v : v;
            }
            if (n > c.stop) to[r * ld_to + k] = rounded(v, c.round);
        }
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

struct arguments {
    rt_chain chain;
    rt_chain_loss loss;
    room places;
};

template <int R, int WHAT>
__global__ void __launch_bounds__(THREADS, 2)
    k_chain(const RT_CONSTANT arguments args, const rt_cuda_now *now)
{
    RT_SHARED_DYNAMIC(float, all);
    RT_SHARED(uint64_t, record, NOW_WORDS);
    RT_SHARED(uint64_t, words, sizeof(arguments) / sizeof(uint64_t));
    int row0 = (int)blockIdx.x * R;
    const arguments &own = *take_argument(words, args);
    const rt_chain &c = own.chain;
    const rt_chain_loss &e = own.loss;
    const room &m = own.places;
    if (WHAT >= 0) now = take_record(record, now);
    __syncthreads();
    fetch_all(c, m, all);
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
            int wide = power_of(c.layer[n].k);
            if (wide == THREADS) back<4>(c, m, all, n, row0, wide);
            else if (wide == THREADS / 2) back<2>(c, m, all, n, row0, wide);
            else back<1>(c, m, all, n, row0, wide);
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
    int at = 0, side[2] = {0, 0}, part = forward ? THREADS * rows : 0;
    for (int i = 0; i <= RT_CHAIN_LAYERS; i++) m.in[i] = m.kept[i] = -1;
    for (int i = 0; i < RT_CHAIN_LAYERS; i++) m.w[i] = m.bias[i] = -1;
    for (int i = c->from; i <= c->layers; i++) {
        int n = padded(i < c->layers ? c->layer[i].k : c->layer[i - 1].n) * rows;
        if (n > side[i % 2]) side[i % 2] = n;
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
        int w = padded(l->k * row_of(l->n)), bias = l->bias && forward ? padded(l->n) : 0;
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
              stream, (arguments{*c, e, m}), now);
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
