/* Gradients of a chain's weights, with the step's end and the update where they are asked for; see cuda_chain.h. What
 * the update needs is read before the sums are made. */
#include "engine/cuda/chain.cuh"
#include "engine/cuda/loss_rows.cuh"
#include "engine/cuda/update.cuh"

namespace {
enum { TILE = 32, DEEP = 128, PER = 2, SHARES = THREADS / TILE, OF_SHARE = DEEP / SHARES };

/* A tile (DEEP, TILE) of columns `first` on of x (rows, n), from row0 on; 0 outside. */
RT_DEVICE void stage(float (*to)[TILE], const float *x, int row0, int rows, int first, int n, int round)
{
    if (n % QUAD == 0 && ((uintptr_t)x & 15) == 0) {
        enum { TURNS = DEEP * TILE / QUAD / THREADS };
        float v[TURNS][QUAD] = {};
        RT_UNROLL
        for (int i = 0; i < TURNS; i++) {
            int at = (int)threadIdx.x + i * THREADS, r = at / (TILE / QUAD), col = at % (TILE / QUAD) * QUAD;
            if (row0 + r < rows && first + col < n) load<QUAD>(v[i], x + (size_t)(row0 + r) * (size_t)n + first + col);
        }
        RT_UNROLL
        for (int i = 0; i < TURNS; i++) {
            int at = (int)threadIdx.x + i * THREADS, r = at / (TILE / QUAD), col = at % (TILE / QUAD) * QUAD;
            RT_UNROLL
            for (int u = 0; u < QUAD; u++) to[r][col + u] = rounded(v[i][u], round);
        }
        return;
    }
    enum { AT_ONCE = 8 };
    RT_UNROLL_N(1)
    for (int first_at = (int)threadIdx.x; first_at < DEEP * TILE; first_at += AT_ONCE * THREADS) {
        float v[AT_ONCE];
        RT_UNROLL
        for (int i = 0; i < AT_ONCE; i++) {
            int at = first_at + i * THREADS, r = at / TILE, col = at % TILE;
            bool in = row0 + r < rows && first + col < n;
            v[i] = in ? x[(row0 + r) * n + first + col] : 0.0f;
        }
        RT_UNROLL
        for (int i = 0; i < AT_ONCE; i++) {
            int at = first_at + i * THREADS;
            to[at / TILE][at % TILE] = rounded(v[i], round);
        }
    }
}

inline __host__ __device__ int tiles_along(int n) { return (n + TILE - 1) / TILE; }
/* Blocks of a layer. */
inline __host__ __device__ int tiles_of(const rt_chain_layer &l)
{
    return l.dw ? tiles_along(l.k) * tiles_along(l.n) : l.dbias ? tiles_along(l.n) : 0;
}

/* A parameter, and what the update keeps of it. */
struct own { float w, m, v, ema; };
RT_DEVICE own own_of(const rt_cuda_update &u, const float *grad, const float *weight)
{
    size_t to = (size_t)(grad - u.g), from = (size_t)(weight - u.w);
    own o = {u.w[from], u.m[to], u.adamw ? u.v[to] : 0.0f, u.ema ? u.ema[from] : 0.0f};
    return o;
}

/* The update of a parameter by its gradient, which is whole; or, in the step whose loss is not finite, the least of
 * what is not. */
RT_DEVICE void use(const rt_cuda_update &u, const rt_tuning &how, const float *grad, const float *weight, float value,
                   const own &o, bool bad)
{
    size_t to = (size_t)(grad - u.g), from = (size_t)(weight - u.w);
    if (bad) {
        if (!(fabsf(o.w) < INFINITY)) atomicMin(&u.trouble->weight, (unsigned long long)from);
        if (!(fabsf(value) < INFINITY)) atomicMin(&u.trouble->gradient, (unsigned long long)to);
        return;
    }
    if (!u.now->last) return;
    float w[1] = {o.w}, m[1] = {o.m}, v[1] = {o.v}, g[1] = {value};
    update<1>(u, how, u.now->grad_scale, g, w, m, v);
    u.w[from] = w[0];
    u.m[to] = m[0];
    if (u.adamw) u.v[to] = v[0];
    if (u.ema) u.ema[from] = o.ema + (1.0f - u.now->ema) * (w[0] - o.ema);
}

/* Adds up the products of the staged rows. */
RT_DEVICE void add_rows(float (&sum)[PER][PER], const float (*left)[TILE], const float (*right)[TILE], int tk, int tn,
                        int end)
{
    RT_UNROLL_N(8)
    for (int r = 0; r < end; r++) {
        float2 a = *(const float2 *)(const void *)&left[r][tk], b = *(const float2 *)(const void *)&right[r][tn];
        sum[0][0] = fmaf(a.x, b.x, sum[0][0]);
        sum[0][1] = fmaf(a.x, b.y, sum[0][1]);
        sum[1][0] = fmaf(a.y, b.x, sum[1][0]);
        sum[1][1] = fmaf(a.y, b.y, sum[1][1]);
    }
}

/* The bias's gradient: every thread adds a share of the rows of a column, as they are. */
RT_DEVICE float share_of(const rt_chain &c, const rt_chain_layer &l, const float (*right)[TILE], int row0, int n0)
{
    int col = (int)threadIdx.x % TILE, first = (int)threadIdx.x / TILE * OF_SHARE;
    float s = 0;
    if (c.round) {
        RT_UNROLL_N(4)
        for (int r = first; r < first + OF_SHARE; r++)
            if (row0 + r < c.rows && n0 + col < l.n) s += l.dz[(row0 + r) * l.n + n0 + col];
        return s;
    }
    RT_UNROLL
    for (int r = first; r < first + OF_SHARE; r++) s += right[r][col];
    return s;
}

/* The block's place: a layer and a tile of its weights. */
struct place { int layer, k0, n0; };
RT_DEVICE place place_of(const rt_chain &c, int tile)
{
    int n = c.stop;
    for (; tile >= tiles_of(c.layer[n]); n++) tile -= tiles_of(c.layer[n]);
    int across = tiles_along(c.layer[n].n);
    return place{n, tile / across * TILE, tile % across * TILE};
}

/* With sums the first block tells the host what the step gave, which takes as long as all else. */
template <bool UPDATE>
__global__ void __launch_bounds__(THREADS, 2) k_chain_weights(const RT_CONSTANT rt_chain c,
                                                              const RT_CONSTANT rt_chain_update u,
                                                              const RT_CONSTANT rt_loss_sums e, const rt_cuda_now *now)
{
    RT_SHARED(uint64_t, words, NOW_WORDS);
    RT_SHARED(double, part, THREADS / WARP);
    RT_SHARED_2D(float, left, DEEP, TILE);
    RT_SHARED_2D(float, right, DEEP, TILE);
    RT_SHARED_2D(float, shares, SHARES, TILE);
    const int tells = e.losses > 0, t = (int)threadIdx.x;
    if (tells && blockIdx.x == 0) {
        end_losses<THREADS>(e, now);
        return;
    }
    const place at = place_of(c, (int)blockIdx.x - tells);
    const rt_chain_layer &l = c.layer[at.layer];
    const float *x = at.layer ? c.layer[at.layer - 1].y : c.x;
    const int k = at.k0 + t / (TILE / PER) * PER, n = at.n0 + t % (TILE / PER) * PER;
    const bool has_bias = l.dbias && at.k0 == 0, my_bias = has_bias && t < TILE && at.n0 + t < l.n;
    rt_cuda_update of = u.of;
    unsigned long long before = UPDATE ? of.trouble->bad : 0;
    own mine[PER][PER] = {}, bias = {};
    if constexpr (UPDATE) {
        RT_UNROLL
        for (int i = 0; i < PER * PER; i++) {
            int row = k + i / PER, col = n + i % PER;
            size_t from = (size_t)row * (size_t)l.n + col;
            if (l.dw && row < l.k && col < l.n) mine[i / PER][i % PER] = own_of(of, l.dw + from, l.w + from);
        }
        if (my_bias) bias = own_of(of, l.dbias + at.n0 + t, l.bias + at.n0 + t);
        of.now = now = take_record(words, now);
    }
    float sum[PER][PER] = {}, of_bias = 0;
    for (int row0 = 0; row0 < c.rows; row0 += DEEP) {
        __syncthreads();
        if (l.dw) stage(left, x, row0, c.rows, at.k0, l.k, c.round);
        stage(right, l.dz, row0, c.rows, at.n0, l.n, c.round);
        if (UPDATE && row0 == 0 && tells) add_losses<THREADS>(e, now, part);
        __syncthreads();
        if (has_bias) of_bias += share_of(c, l, right, row0, at.n0);
        if (l.dw) add_rows(sum, left, right, k - at.k0, n - at.n0, c.rows - row0 < DEEP ? c.rows - row0 : DEEP);
    }
    if (has_bias) {
        shares[t / TILE][t % TILE] = of_bias;
        __syncthreads();
    }
    bool bad = false;
    if constexpr (UPDATE) {
        bad = before == now->number ||
              (!before && tells && !(fabs(loss_of_parts<THREADS>(e, part, 0)) < INFINITY));
        if (before && !bad) return;                    /* a step before was */
    }
    if (my_bias) {
        float *to = l.dbias + at.n0 + t, g = shares[0][t];
        for (int i = 1; i < SHARES; i++) g += shares[i][t];
        if (l.add_dbias) g += *to;
        *to = g;
        if constexpr (UPDATE) use(of, u.how[at.layer][1], to, l.bias + at.n0 + t, g, bias, bad);
    }
    RT_UNROLL
    for (int i = 0; i < PER * PER; i++) {
        int row = k + i / PER, col = n + i % PER;
        if (!l.dw || row >= l.k || col >= l.n) continue;
        size_t from = (size_t)row * (size_t)l.n + col;
        float *to = l.dw + from, g = sum[i / PER][i % PER];
        if (l.add_dw) g += *to;
        *to = g;
        if constexpr (UPDATE) use(of, u.how[at.layer][0], to, l.w + from, g, mine[i / PER][i % PER], bad);
    }
}
}

extern "C" void rt_k_chain_weights(cudaStream_t stream, const rt_chain *c, const rt_chain_update *u,
                                   const rt_loss_sums *sums, const rt_cuda_now *now)
{
    int tiles = 0;
    for (int i = c->stop; i < c->layers; i++) tiles += tiles_of(c->layer[i]);
    rt_loss_sums e = sums ? *sums : rt_loss_sums{};
    dim3 grid((unsigned)(tiles + (sums != nullptr))), block(THREADS);
    if (!tiles && sums) rt_k_loss_end(stream, sums, now);
    if (!tiles) return;
    if (u) RT_LAUNCH((k_chain_weights<true>), grid, block, 0, stream, *c, *u, e, now);
    else RT_LAUNCH((k_chain_weights<false>), grid, block, 0, stream, *c, rt_chain_update{}, e, now);
}
