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

/* Where things lie in a block's shared memory, in floats: the inputs of layers, rounded, of which the last is what the
 * chain gives; the same as they are, for the way back (-1: they are not kept); gradients of layers with even and with
 * odd numbers; sums; weights and biases (-1: they are read where they are), which are a copy of `many` floats from
 * `from` on. And how threads lie: along 1 << over[n] columns of layer n at a time, and beside each other along slices
 * of `per` of its k; on the way back along 1 << under[n] of its k, and along rows. Divisions take longer than
 * products. */
struct room {
    const float *from;
    int many, copy, part, all, dz[2];
    int in[RT_CHAIN_LAYERS + 1], kept[RT_CHAIN_LAYERS + 1], w[RT_CHAIN_LAYERS], bias[RT_CHAIN_LAYERS];
    int over[RT_CHAIN_LAYERS], per[RT_CHAIN_LAYERS], under[RT_CHAIN_LAYERS];
};

/* Starts the copy of weights and biases. */
RT_DEVICE void fetch(const room &m, float *all)
{
    const float *from = m.from;
    float *to = all + m.copy;
    int many = m.many;
    RT_UNROLL_N(4)
    for (int i = (int)threadIdx.x * QUAD; i < many; i += THREADS * QUAD) rt_copy_async(to + i, from + i, 16, 1);
    rt_copy_commit();
}

/* part (slices, R, 1 << over) = the sums of each slice, of columns col0 on; x (R, padded k) in shared memory, 0 behind
 * k. */
template <int R>
RT_DEVICE void multiply(const rt_chain_layer &l, const float *w, int over, int per, int col0, const float *x,
                        float *part, int round)
{
    const int n = l.n, k_all = l.k, t = (int)threadIdx.x & ((1 << over) - 1), col = col0 + t,
              slice = (int)threadIdx.x >> over, ld = padded(k_all), first = slice * per,
              end = first + per < k_all ? first + per : k_all;
    float sum[R] = {};
    if (col >= n) return;
    RT_UNROLL_N(2)
    for (int k = first; k + QUAD <= end; k += QUAD) {
        float v[QUAD];
        RT_UNROLL
        for (int u = 0; u < QUAD; u++) v[u] = w[(k + u) * n + col];
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
        float v = rounded(w[k * n + col], round);
        RT_UNROLL
        for (int r = 0; r < R; r++) sum[r] = fmaf(x[r * ld + k], v, sum[r]);
    }
    RT_UNROLL
    for (int r = 0; r < R; r++) part[((slice * R + r) << over) + t] = sum[r];
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
template <int R> RT_DEVICE void finish(const rt_chain &c, const room &m, float *all, int n, int col0, int row0)
{
    const rt_chain_layer &l = c.layer[n];
    const int over = m.over[n], wide = 1 << over, slices = THREADS >> over, columns = l.n, act = l.act,
              ld = padded(columns);
    const float *part = all + m.part, *bias = m.bias[n] >= 0 ? all + m.bias[n] : l.bias;
    int y = m.in[n + 1], kept = m.kept[n + 1] == y ? -1 : m.kept[n + 1];
    for (int i = (int)threadIdx.x; i < R * wide; i += THREADS) {
        int r = i >> over, col = col0 + (i & (wide - 1));
        float v = 0;
        if (col >= ld) continue;
        if (col < columns) {
            RT_UNROLL_N(8)
            for (int s = 0; s < slices; s++) v += part[((s * R) << over) + i];
            v = act_of(v + (bias ? bias[col] : 0.0f), act);
            if (row0 + r < c.rows) l.y[(size_t)(row0 + r) * (size_t)columns + col] = v;
        }
        all[y + r * ld + col] = rounded(v, c.round);
        if (kept >= 0) all[kept + r * ld + col] = v;
    }
}

template <int R> RT_DEVICE void forward(const rt_chain &c, const room &m, float *all, int row0)
{
    take_rows<R>(c, m, all, row0);
    rt_copy_wait<0>();
    for (int n = c.from; n < c.layers; n++) {
        const rt_chain_layer &l = c.layer[n];
        for (int col = 0; col < l.n; col += 1 << m.over[n]) {
            __syncthreads();
            multiply<R>(l, m.w[n] >= 0 ? all + m.w[n] : l.w, m.over[n], m.per[n], col, all + m.in[n], all + m.part,
                        c.round);
            __syncthreads();
            finish<R>(c, m, all, n, col, row0);
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

/* The gradients of ROWS rows of an input: dz, of rows ld apart, by the input's row of the weights. Neighbouring threads
 * have neighbouring rows, and begin at neighbouring places of them, so that they read different banks. */
template <int ROWS>
RT_DEVICE void row_back(float (&sum)[ROWS], const float *w, const float *dz, int ld, int n, int begin, bool fours,
                        int round)
{
    RT_UNROLL
    for (int r = 0; r < ROWS; r++) sum[r] = 0;
    if (fours) {
        int j = begin;
        RT_UNROLL_N(4)
        for (int i = 0; i < n; i += QUAD) {
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
            j = j + QUAD == n ? 0 : j + QUAD;
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
template <int ROWS> RT_DEVICE void back(const rt_chain &c, const room &m, float *all, int n, int row0)
{
    const rt_chain_layer &l = c.layer[n];
    const int under = m.under[n], columns = l.n, k_all = l.k, ld = padded(columns), ld_to = padded(k_all),
              r0 = ((int)threadIdx.x >> under) * ROWS, act = n > c.stop ? c.layer[n - 1].act : 0;
    const float *weights = m.w[n] >= 0 ? all + m.w[n] : l.w, *dz = all + m.dz[n & 1] + r0 * ld;
    const float *kept = m.kept[n] >= 0 ? all + m.kept[n] : nullptr;
    const bool fours = columns % QUAD == 0 && ((uintptr_t)l.w & 15) == 0;
    const int turn = columns / QUAD - 1, turns = (turn & (turn + 1)) == 0;
    float *to = all + m.dz[(n + 1) & 1], *out = n > c.stop ? c.layer[n - 1].dz : c.dx;
    if (r0 >= RT_CHAIN_ROWS) return;
    for (int k = (int)threadIdx.x & ((1 << under) - 1); k < ld_to; k += 1 << under) {
        float sum[ROWS] = {};
        if (k < k_all)
            row_back<ROWS>(sum, weights + k * columns, dz, ld, columns, turns ? (k & turn) * QUAD : 0, fours, c.round);
        RT_UNROLL
        for (int i = 0; i < ROWS; i++) {
            int r = r0 + i, row = row0 + r;
            float v = sum[i];
            if (k >= k_all || row >= c.rows) v = 0;
            else {
                size_t place = (size_t)row * (size_t)k_all + k;
                if (act) v *= slope_of(kept ? kept[r * ld_to + k] : c.layer[n - 1].y[place], act);
                if (n == c.stop && c.add_dx) v += out[place];
                out[place] = v;
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
    fetch(m, all);
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
            if (m.under[n] == 8) back<4>(c, m, all, n, row0);
            else if (m.under[n] == 7) back<2>(c, m, all, n, row0);
            else back<1>(c, m, all, n, row0);
            __syncthreads();
        }
    }
}

/* ---- launches ---- */

/* Weights and biases as one copy, where they lie close enough to each other for `most` floats. */
void hold(room *m, const rt_chain *c, size_t most)
{
    const float *first;
    size_t many = weights_of(c, &first);
    if (((uintptr_t)first & 15) || (size_t)m->all + many > most) return;
    for (int i = c->from; i < c->layers; i++) {
        m->w[i] = m->all + (int)(c->layer[i].w - first);
        if (c->layer[i].bias) m->bias[i] = m->all + (int)(c->layer[i].bias - first);
    }
    m->from = first;
    m->many = (int)many;
    m->copy = m->all;
    m->all += (int)many;
}

/* The room of a block of so many rows that goes forward, back, or both: in `most` floats, weights are held where there
 * is place for them. */
room room_of(const rt_chain *c, int rows, int forward, int back, size_t most)
{
    room m = {};
    int at = 0, side[2] = {0, 0}, part = forward ? THREADS * rows : 0;
    for (int i = 0; i <= RT_CHAIN_LAYERS; i++) m.in[i] = m.kept[i] = -1;
    for (int i = 0; i < RT_CHAIN_LAYERS; i++) m.w[i] = m.bias[i] = -1;
    for (int i = 0; i < c->layers; i++) {
        m.over[i] = along(c->layer[i].n);
        m.under[i] = along(c->layer[i].k);
        m.per[i] = padded((c->layer[i].k + (THREADS >> m.over[i]) - 1) / (THREADS >> m.over[i]));
    }
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
    m.all = m.part + part > at + side[0] + side[1] ? m.part + part : at + side[0] + side[1];
    if (back && most) hold(&m, c, most);
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
    if (rt_k_chain_row(stream, c, e, now)) return;
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
