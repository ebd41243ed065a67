/* engine/cuda/columns.cu - sums over the rows of (rows, n), one launch each: of x, of what the backward pass of norms
 * within a row needs; those of batch norm are in batch_norm.cu. Columns lie side by side in a row, so neighbouring
 * threads read neighbouring columns.
 *
 * A thread adds a few rows in float, then goes on in double; rows in flight are added in a tree, blocks in order by the
 * last that ends. The order depends on rows and n alone. */
#include "engine/cuda/device_code.h"

#include "engine/cuda/cuda_norms.h"

enum { THREADS = RT_COLUMN_THREADS, AT_ONCE = 4 };
enum { SUM, ROW_BACK };

struct column_job {
    const float *x, *dy;
    float *sum;                                   /* SUM; of ROW_BACK: dgamma */
    float *sum2;                                  /* ROW_BACK: dbeta */
    int add, add2;
    rt_row_norm row;
};

template <int V> RT_DEVICE void load(float (&v)[V], const float *from)
{
    if constexpr (V == 4) {
        float4 f = *(const float4 *)(const void *)from;
        v[0] = f.x, v[1] = f.y, v[2] = f.z, v[3] = f.w;
    } else {
        v[0] = *from;
    }
}

/* Adds what row `row` has in V columns. */
template <int MODE, int V>
RT_DEVICE void add_row(const rt_columns &g, const column_job &j, float (&a)[V], float (&b)[V], size_t row, int col)
{
    float x[V], dy[V], mean = 0, low = 0, rstd = 0;
    size_t at = row * (size_t)g.n + col;
    load<V>(x, j.x + at);
    if constexpr (MODE == ROW_BACK) {
        size_t i = row, count = j.row.rows * (size_t)j.row.groups;
        load<V>(dy, j.dy + at);
        if (j.row.px > 1 || j.row.groups > 1)
            i = (unsigned)row / (unsigned)j.row.px * (size_t)j.row.groups +
                (unsigned)col / (unsigned)(j.row.ch / j.row.groups);
        mean = j.row.keep[i], low = j.row.keep[count + i], rstd = j.row.keep[2 * count + i];
    }
    RT_UNROLL
    for (int v = 0; v < V; v++) {
        if constexpr (MODE == SUM) {
            a[v] += x[v];
        } else {
            a[v] = fmaf(dy[v], ((x[v] - mean) - low) * rstd, a[v]);
            b[v] += dy[v];
        }
    }
}

/* Both sums of V columns over the thread's rows. */
template <int MODE, int V>
RT_DEVICE void add_rows(const rt_columns &g, const column_job &j, double (&a)[V], double (&b)[V], size_t row,
                        size_t end, int col)
{
    size_t step = (size_t)g.lanes;
    while (row < end) {
        float p[V] = {}, q[V] = {};
        if (row + (AT_ONCE - 1) * step < end) {
            RT_UNROLL
            for (int u = 0; u < AT_ONCE; u++) add_row<MODE, V>(g, j, p, q, row + u * step, col);
        } else {
            for (size_t r = row; r < end; r += step) add_row<MODE, V>(g, j, p, q, r, col);
        }
        RT_UNROLL
        for (int v = 0; v < V; v++) a[v] += (double)p[v], b[v] += (double)q[v];
        row += AT_ONCE * step;
    }
}

RT_DEVICE void put(float *to, double v, int add) { *to = add ? *to + (float)v : (float)v; }

template <int MODE> RT_DEVICE void finish(const column_job &j, int col, double s1, double s2)
{
    if constexpr (MODE == SUM) {
        put(j.sum + col, s1, j.add);
    } else {
        if (j.sum) put(j.sum + col, s1, j.add);
        if (j.sum2) put(j.sum2 + col, s2, j.add2);
    }
}

/* red[t] += what stands `lanes` times `wide` further, K arrays of THREADS. */
template <int K> RT_DEVICE void tree(double *red, int t, int wide, int lanes)
{
    int top = 1;
    while (top < lanes) top *= 2;
    __syncthreads();
    for (int s = top / 2; s > 0; s /= 2) {
        int lane = t / wide;
        if (lane < s && lane + s < lanes)
            for (int k = 0; k < K; k++) red[k * THREADS + t] += red[k * THREADS + t + s * wide];
        __syncthreads();
    }
}

/* The last block of a group adds what all blocks found. */
template <int MODE>
RT_DEVICE void add_blocks(const rt_columns &g, const column_job &j, double *red, int group, int columns)
{
    int t = (int)threadIdx.x, lanes = THREADS / columns, lane = t / columns;
    size_t n = (size_t)g.n;
    for (int tile = group; tile < g.tiles; tile += g.groups) {
        int col = tile * columns + t % columns;
        bool on = lane < lanes && col < g.n;
        double s1 = 0, s2 = 0;
        const volatile double *from = g.partial + col;
        for (int b = lane; on && b < g.blocks; b += lanes) {
            s1 += from[2 * (size_t)b * n];
            if (MODE != SUM) s2 += from[(2 * (size_t)b + 1) * n];
        }
        red[t] = s1;
        red[THREADS + t] = s2;
        tree<2>(red, t, columns, lanes);
        if (on && lane == 0) finish<MODE>(j, col, red[t], red[THREADS + t]);
    }
}

template <int MODE, int V> __global__ void __launch_bounds__(THREADS, 1) k_columns(rt_columns g, column_job j)
{
    RT_SHARED(double, red, (2 * V * THREADS));
    RT_SHARED(unsigned, last, 1);
    int t = (int)threadIdx.x, tile = (int)blockIdx.x / g.blocks, block = (int)blockIdx.x % g.blocks;
    int lane = t / g.wide, col = (tile * g.wide + t % g.wide) * V;
    bool on = lane < g.lanes && col < g.n;
    size_t row = (size_t)block * g.per, end = row + g.per < g.rows ? row + g.per : g.rows;
    double a[V] = {}, b[V] = {};
    if (on) add_rows<MODE, V>(g, j, a, b, row + (size_t)lane, end, col);
    RT_UNROLL
    for (int v = 0; v < V; v++) red[v * THREADS + t] = a[v], red[(V + v) * THREADS + t] = b[v];
    tree<2 * V>(red, t, g.wide, g.lanes);
    for (int v = 0; on && lane == 0 && v < V; v++) {
        double s1 = red[v * THREADS + t], s2 = red[(V + v) * THREADS + t];
        if (g.blocks == 1) {
            finish<MODE>(j, col + v, s1, s2);
        } else {
            double *to = g.partial + 2 * (size_t)block * (size_t)g.n + col + v;
            to[0] = s1;
            if (MODE != SUM) to[g.n] = s2;
        }
    }
    if (g.blocks == 1) return;
    int group = tile % g.groups, tiles = (g.tiles - group + g.groups - 1) / g.groups;
    unsigned all = (unsigned)tiles * (unsigned)g.blocks;
    __threadfence();
    __syncthreads();
    unsigned *ticket = g.ticket[0];
    RT_UNROLL
    for (int k = 1; k < RT_COLUMN_TICKETS; k++) if (k == group) ticket = g.ticket[k];
    if (t == 0) last[0] = atomicInc(ticket, all - 1) == all - 1;
    __syncthreads();
    if (!last[0]) return;
    __threadfence();
    add_blocks<MODE>(g, j, red, group, g.wide * V);
}

template <int MODE> static void launch(cudaStream_t s, const rt_columns *g, const column_job &j)
{
    dim3 grid((unsigned)g->tiles * (unsigned)g->blocks), block(THREADS);
    if (g->vec == 4) RT_LAUNCH((k_columns<MODE, 4>), grid, block, 0, s, *g, j);
    else RT_LAUNCH((k_columns<MODE, 1>), grid, block, 0, s, *g, j);
}

extern "C" void rt_k_column_sums(cudaStream_t s, const rt_columns *g, float *sum, const float *x, int add)
{
    column_job j = {};
    j.x = x;
    j.sum = sum;
    j.add = add;
    launch<SUM>(s, g, j);
}

extern "C" void rt_k_row_norm_sums(cudaStream_t s, const rt_columns *g, const rt_row_norm *row, const float *x,
                                   const float *dy, float *dgamma, int add_gamma, float *dbeta, int add_beta)
{
    column_job j = {};
    j.x = x;
    j.dy = dy;
    j.row = *row;
    j.sum = dgamma;
    j.add = add_gamma;
    j.sum2 = dbeta;
    j.add2 = add_beta;
    launch<ROW_BACK>(s, g, j);
}
