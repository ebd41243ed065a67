/* Gradients of a chain's weights, with the step's end and the update where they are asked for; see cuda_chain.h. All
 * that a block reads is asked for before anything is waited for. */
#include "engine/cuda/chain.cuh"
#include "engine/cuda/divider.cuh"
#include "engine/cuda/loss_rows.cuh"
#include "engine/cuda/update.cuh"

namespace {
enum { WIDE = 512, TILE = 32, DEEP = 128, SHARES = WIDE / TILE, OF_SHARE = DEEP / SHARES, SIDE = TILE / QUAD,
       TEAMS = WIDE / (SIDE * SIDE), ENDS = SIDE * TILE };
static_assert(TEAMS * TILE <= 2 * DEEP, "sums of teams take the place of what was staged");

/* Starts copies of a tile (DEEP, TILE) of columns `first` on of x (rows, n), from row0 on; 0 outside. Or, when they are
 * done, rounds what the thread has copied. */
template <bool ROUND, int EACH>
RT_DEVICE void stage_by(float (*to)[TILE], const float *x, int row0, int rows, int first, int n, int round)
{
    enum { SPAN = TILE / EACH, STEP = WIDE / SPAN };
    const int r = (int)threadIdx.x / SPAN, col = (int)threadIdx.x % SPAN * EACH;
    const bool in = first + col < n;
    const float *from = x + (row0 + r) * n + first + col;
    RT_UNROLL
    for (int i = 0; i < DEEP; i += STEP, from += STEP * n) {
        float *place = &to[r + i][col];
        if constexpr (ROUND) {
            RT_UNROLL
            for (int u = 0; u < EACH; u++) place[u] = rounded(place[u], round);
        } else {
            bool there = in && row0 + r + i < rows;
            rt_copy_async(place, there ? from : x, EACH * (int)sizeof(float), there);
        }
    }
}
template <bool ROUND>
RT_DEVICE void stage(float (*to)[TILE], const float *x, bool fours, int row0, int rows, int first, int n, int round)
{
    if (fours) stage_by<ROUND, QUAD>(to, x, row0, rows, first, n, round);
    else stage_by<ROUND, 1>(to, x, row0, rows, first, n, round);
}

inline __host__ __device__ int tiles_along(int n) { return (n + TILE - 1) / TILE; }
/* Blocks of a layer. */
inline __host__ __device__ int tiles_of(const rt_chain_layer &l)
{
    return l.dw ? tiles_along(l.k) * tiles_along(l.n) : l.dbias ? tiles_along(l.n) : 0;
}

/* N neighbouring parameters, and what the update keeps of them. */
template <int N> struct own { float w[N], m[N], v[N], ema[N]; };
template <int N> RT_DEVICE void own_of(own<N> &o, const rt_cuda_update &u, int to, int from)
{
    load<N>(o.w, u.w + from);
    load<N>(o.m, u.m + to);
    if (u.adamw) load<N>(o.v, u.v + to);
    if (u.ema) load<N>(o.ema, u.ema + from);
}
template <int N> RT_DEVICE void store(float *to, const float (&v)[N])
{
    if constexpr (N == 4) *(float4 *)(void *)to = make_float4(v[0], v[1], v[2], v[3]);
    else *to = v[0];
}

/* The update of parameters by their gradients, which are whole; or, in the step whose loss is not finite, the least of
 * what is not. */
template <int N>
RT_DEVICE void use(const rt_cuda_update &u, const rt_tuning &how, int to, int from, const float (&g)[N], own<N> &o,
                   bool bad)
{
    if (bad) {
        for (int i = 0; i < N; i++) {
            if (!(fabsf(o.w[i]) < INFINITY)) atomicMin(&u.trouble->weight, (unsigned long long)from + i);
            if (!(fabsf(g[i]) < INFINITY)) atomicMin(&u.trouble->gradient, (unsigned long long)to + i);
        }
        return;
    }
    if (!u.now->last) return;
    update<N>(u, how, u.now->grad_scale, g, o.w, o.m, o.v);
    store<N>(u.w + from, o.w);
    store<N>(u.m + to, o.m);
    if (u.adamw) store<N>(u.v + to, o.v);
    if (!u.ema) return;
    RT_UNROLL
    for (int i = 0; i < N; i++) o.ema[i] += (1.0f - u.now->ema) * (o.w[i] - o.ema[i]);
    store<N>(u.ema + from, o.ema);
}

/* Adds up the products of a team's rows: every so many-th of those that are staged. A thread has 4 x 4 of the tile. */
RT_DEVICE void add_rows(float (&sum)[QUAD][QUAD], const float (*left)[TILE], const float (*right)[TILE], int end)
{
    const int place = (int)threadIdx.x % (SIDE * SIDE), tk = place / SIDE * QUAD, tn = place % SIDE * QUAD;
    RT_UNROLL_N(4)
    for (int r = (int)threadIdx.x / (SIDE * SIDE); r < end; r += TEAMS) {
        float a[QUAD], b[QUAD];
        load<QUAD>(a, &left[r][tk]);
        load<QUAD>(b, &right[r][tn]);
        RT_UNROLL
        for (int i = 0; i < QUAD; i++) {
            RT_UNROLL
            for (int j = 0; j < QUAD; j++) sum[i][j] = fmaf(a[i], b[j], sum[i][j]);
        }
    }
}
/* The teams' sums, in their order, of four neighbours: row threadIdx.x / SIDE of the tile. */
RT_DEVICE void add_teams(float (&g)[QUAD], const float (&sum)[QUAD][QUAD], float *work)
{
    const int t = (int)threadIdx.x, team = t / (SIDE * SIDE), place = t % (SIDE * SIDE);
    RT_UNROLL
    for (int i = 0; i < QUAD; i++)
        store<QUAD>(work + (team * TILE + place / SIDE * QUAD + i) * TILE + place % SIDE * QUAD, sum[i]);
    __syncthreads();
    if (t >= ENDS) return;
    load<QUAD>(g, work + t * QUAD);
    RT_UNROLL
    for (int i = 1; i < TEAMS; i++) {
        float more[QUAD];
        load<QUAD>(more, work + i * TILE * TILE + t * QUAD);
        RT_UNROLL
        for (int j = 0; j < QUAD; j++) g[j] += more[j];
    }
}

/* A layer, and where its weights and bias lie among all parameters and gradients, in floats. */
struct alignas(16) tile_layer {
    const float *x, *dz;
    float *dw, *dbias;
    int k, n, first;                   /* first: blocks before those of the layer */
    int w, g, bias_w, bias_g;
    int add_dw, add_dbias, x_fours, dz_fours;
    int fours;                         /* four neighbours of its weights, and all that lies beside them, come at once */
    divider across;                    /* tiles along n */
};

struct arguments {
    tile_layer layer[RT_CHAIN_LAYERS];
    rt_chain_update update;
    rt_loss_sums sums;
    int from, last, rows, round;
};

/* The bias's gradient: every thread adds a share of the rows of a column, as they are. */
RT_DEVICE float share_of(const arguments &a, const tile_layer &l, const float (*right)[TILE], int row0, int n0)
{
    int col = (int)threadIdx.x % TILE, first = (int)threadIdx.x / TILE * OF_SHARE;
    float s = 0;
    if (a.round) {
        RT_UNROLL_N(4)
        for (int r = first; r < first + OF_SHARE; r++)
            if (row0 + r < a.rows && n0 + col < l.n) s += l.dz[(row0 + r) * l.n + n0 + col];
        return s;
    }
    RT_UNROLL
    for (int r = first; r < first + OF_SHARE; r++) s += right[r][col];
    return s;
}

/* The block's place: a layer and a tile of its weights. */
struct place { int layer, k0, n0; };
RT_DEVICE place place_of(const arguments &a, int block)
{
    int n = a.from;
    while (n < a.last && block >= a.layer[n + 1].first) n++;
    int tile = block - a.layer[n].first, down = quotient(tile, a.layer[n].across);
    return place{n, down * TILE, (tile - down * (int)a.layer[n].across.by) * TILE};
}

/* Row k of the tile's weights, columns n to n + 3: four at once, or those that there are, one by one. */
template <bool UPDATE>
RT_DEVICE void finish(const tile_layer &l, const rt_cuda_update &of, const rt_tuning &how, int k, int n,
                      float (&g)[QUAD], own<QUAD> &mine, bool bad)
{
    if (!l.dw || k >= l.k || n >= l.n) return;
    const int at = k * l.n + n;
    if (l.fours) {
        if (l.add_dw) {
            float old[QUAD];
            load<QUAD>(old, l.dw + at);
            RT_UNROLL
            for (int j = 0; j < QUAD; j++) g[j] += old[j];
        }
        store<QUAD>(l.dw + at, g);
        if constexpr (UPDATE) use<QUAD>(of, how, l.g + at, l.w + at, g, mine, bad);
        return;
    }
    RT_UNROLL
    for (int j = 0; j < QUAD; j++) {
        if (n + j >= l.n) continue;
        float one[1] = {l.add_dw ? l.dw[at + j] + g[j] : g[j]};
        l.dw[at + j] = one[0];
        if constexpr (UPDATE) {
            own<1> o = {{mine.w[j]}, {mine.m[j]}, {mine.v[j]}, {mine.ema[j]}};
            use<1>(of, how, l.g + at + j, l.w + at + j, one, o, bad);
        }
    }
}

/* What finish will need, on its way while the sums are made. */
RT_DEVICE void prepare(own<QUAD> &mine, const tile_layer &l, const rt_cuda_update &of, int k, int n)
{
    if (!l.dw || k >= l.k || n >= l.n) return;
    const int at = k * l.n + n;
    if (l.fours) return own_of<QUAD>(mine, of, l.g + at, l.w + at);
    RT_UNROLL
    for (int j = 0; j < QUAD; j++) {
        if (n + j >= l.n) continue;
        own<1> o = {};
        own_of<1>(o, of, l.g + at + j, l.w + at + j);
        mine.w[j] = o.w[0], mine.m[j] = o.m[0], mine.v[j] = o.v[0], mine.ema[j] = o.ema[0];
    }
}

/* With sums the first block tells what the step gave, which takes as long as all else. */
template <bool UPDATE>
__global__ void __launch_bounds__(WIDE) k_chain_weights(const rt_cuda_now *now, const RT_CONSTANT arguments args)
{
    static_assert((int)NOW_WORDS <= (int)WIDE, "a word of the record a thread");
    RT_SHARED(uint64_t, record, NOW_WORDS);
    RT_SHARED(uint64_t, words, sizeof(arguments) / sizeof(uint64_t));
    RT_SHARED(unsigned, lost, 1);
    RT_SHARED_2D(float, tiles, 2 * DEEP, TILE);
    RT_SHARED_2D(float, shares, SHARES, TILE);
    const int t = (int)threadIdx.x;
    float (*left)[TILE] = tiles, (*right)[TILE] = tiles + DEEP;
    const uint64_t word = t < NOW_WORDS ? ((const uint64_t *)now)[t] : 0;
    const arguments &given = *take_argument<WIDE>(words, args);
    const rt_chain_update &u = given.update;
    const rt_loss_sums &e = given.sums;
    if (t < NOW_WORDS) record[t] = word;
    now = (const rt_cuda_now *)(const void *)record;
    if (t == 0) lost[0] = 0;
    __syncthreads();
    const int tells = e.losses > 0;
    if (tells && blockIdx.x == 0) {
        end_losses<WIDE>(e, now);
        return;
    }
    const place at = place_of(given, (int)blockIdx.x - tells);
    const tile_layer &l = given.layer[at.layer];
    const float *x = l.x, *dz = l.dz;
    const int k = at.k0 + t / SIDE, n = at.n0 + t % SIDE * QUAD, rows = given.rows, round = given.round;
    const bool has_bias = l.dbias && at.k0 == 0, my_bias = has_bias && t < TILE && at.n0 + t < l.n;
    if (l.dw) stage<false>(left, x, l.x_fours, 0, rows, at.k0, l.k, 0);
    stage<false>(right, dz, l.dz_fours, 0, rows, at.n0, l.n, 0);
    rt_copy_commit();
    rt_cuda_update of = u.of;
    unsigned long long before = 0;
    own<QUAD> mine = {};
    own<1> bias = {};
    float sum[QUAD][QUAD] = {}, of_bias = 0, of_row = 0;
    if constexpr (UPDATE) {
        before = RT_LOAD_WORD(of.trouble->bad);        /* the first block may write this step's number */
        if (t < ENDS) prepare(mine, l, of, k, n);
        if (my_bias) own_of<1>(bias, of, l.bias_g + at.n0 + t, l.bias_w + at.n0 + t);
        of.now = now;
        RT_UNROLL_N(1)
        for (int r = t; tells && r < rows; r += WIDE) of_row += fabsf(e.rows[r]);   /* not finite if one is not */
    }
    for (int row0 = 0; row0 < rows; row0 += DEEP) {
        if (row0) {
            __syncthreads();
            if (l.dw) stage<false>(left, x, l.x_fours, row0, rows, at.k0, l.k, 0);
            stage<false>(right, dz, l.dz_fours, row0, rows, at.n0, l.n, 0);
            rt_copy_commit();
        }
        rt_copy_wait<0>();
        if (round) {
            if (l.dw) stage<true>(left, x, l.x_fours, row0, rows, at.k0, l.k, round);
            stage<true>(right, dz, l.dz_fours, row0, rows, at.n0, l.n, round);
        }
        if (UPDATE && row0 == 0 && !(of_row < INFINITY)) atomicOr(lost, 1u);
        __syncthreads();
        if (has_bias) of_bias += share_of(given, l, right, row0, at.n0);
        if (l.dw) add_rows(sum, left, right, rows - row0 < DEEP ? rows - row0 : DEEP);
    }
    __syncthreads();
    float g[QUAD] = {};
    if (has_bias) shares[t / TILE][t % TILE] = of_bias;
    if (l.dw || has_bias) add_teams(g, sum, &tiles[0][0]);
    if (t >= ENDS) return;
    const bool bad = UPDATE && (before == now->number || (!before && lost[0]));
    if (UPDATE && before && !bad) return;              /* a step before was */
    if (my_bias) {
        float *to = l.dbias + at.n0 + t, b[1] = {shares[0][t]};
        RT_UNROLL
        for (int i = 1; i < SHARES; i++) b[0] += shares[i][t];
        if (l.add_dbias) b[0] += *to;
        *to = b[0];
        if constexpr (UPDATE) use<1>(of, u.how[at.layer][1], l.bias_g + at.n0 + t, l.bias_w + at.n0 + t, b, bias, bad);
    }
    finish<UPDATE>(l, of, u.how[at.layer][0], k, n, g, mine, bad);
}
}

static bool by_fours(const float *x, int n) { return n % QUAD == 0 && ((uintptr_t)x & 15) == 0; }
static tile_layer layer_of(const rt_chain *c, int i, const rt_cuda_update *u)
{
    const rt_chain_layer *l = &c->layer[i];
    tile_layer to = {i ? c->layer[i - 1].y : c->x, l->dz, l->dw, l->dbias, l->k, l->n};
    to.add_dw = l->add_dw, to.add_dbias = l->add_dbias;
    to.x_fours = by_fours(to.x, l->k), to.dz_fours = by_fours(l->dz, l->n), to.fours = by_fours(l->dw, l->n);
    to.across = divider_of(tiles_along(l->n));
    if (!u) return to;
    if (l->dw) to.w = (int)(l->w - u->w), to.g = (int)(l->dw - u->g);
    if (l->dbias) to.bias_w = (int)(l->bias - u->w), to.bias_g = (int)(l->dbias - u->g);
    to.fours = to.fours && by_fours(u->w + to.w, l->n) && by_fours(u->m + to.g, l->n) &&
               by_fours(u->adamw ? u->v + to.g : u->m, 4) && by_fours(u->ema ? u->ema + to.w : u->m, 4);
    return to;
}

extern "C" void rt_k_chain_weights(cudaStream_t stream, const rt_chain *c, const rt_chain_update *u,
                                   const rt_loss_sums *sums, const rt_cuda_now *now)
{
    arguments a = {{}, u ? *u : rt_chain_update{}, sums ? *sums : rt_loss_sums{}, c->stop, c->layers - 1, c->rows,
                   c->round};
    int blocks = 0;
    for (int i = c->stop; i < c->layers; i++) {
        a.layer[i] = layer_of(c, i, u ? &u->of : nullptr);
        a.layer[i].first = blocks;
        blocks += tiles_of(c->layer[i]);
    }
    if (!blocks && sums) rt_k_loss_end(stream, sums, now);
    if (!blocks) return;
    dim3 grid((unsigned)(blocks + (sums != nullptr))), block(WIDE);
    if (u) RT_LAUNCH((k_chain_weights<true>), grid, block, 0, stream, now, a);
    else RT_LAUNCH((k_chain_weights<false>), grid, block, 0, stream, now, a);
}
