/* The first layer of a chain where it has many weights; see cuda_chain.h. A block computes ROWS rows of COLUMNS
 * columns: its lanes have QUAD columns each, and k is cut into SLICES, which k alone decides and whose sums are added
 * in their order. */
#include "engine/cuda/chain.cuh"

namespace {
enum { ROWS = 8, COLUMNS = 32, ACROSS = COLUMNS / QUAD, SLICES = THREADS / ACROSS, MOST = RT_CHAIN_FIRST_K };

/* Four weights of row k from column col on; those that are not there are 0. */
RT_DEVICE void four(float (&w)[QUAD], const rt_chain_layer &l, int k, int end, int col, bool whole, int round)
{
    RT_UNROLL
    for (int v = 0; v < QUAD; v++) w[v] = 0;
    if (k >= end) return;
    const float *at = l.w + (size_t)k * (size_t)l.n + col;
    if (whole) load<QUAD>(w, at);
    else {
        RT_UNROLL
        for (int v = 0; v < QUAD; v++) if (col + v < l.n) w[v] = at[v];
    }
    if (round) {
        RT_UNROLL
        for (int v = 0; v < QUAD; v++) w[v] = rounded(w[v], round);
    }
}

__global__ void __launch_bounds__(THREADS, 2) k_chain_first(rt_chain c, int across)
{
    static_assert(ROWS * COLUMNS == THREADS, "a sum of a thread's");
    RT_SHARED(float, shared, ROWS * MOST > SLICES * THREADS ? ROWS * MOST : SLICES * THREADS);
    const rt_chain_layer &l = c.layer[0];
    int t = (int)threadIdx.x, row0 = (int)blockIdx.x / across * ROWS, col0 = (int)blockIdx.x % across * COLUMNS,
        ld = padded(l.k), per = padded((l.k + SLICES - 1) / SLICES), slice = t / ACROSS,
        col = col0 + t % ACROSS * QUAD, first = slice * per, end = first + per < l.k ? first + per : l.k;
    bool whole = l.n % QUAD == 0 && ((uintptr_t)l.w & 15) == 0 && col < l.n;
    for (int k = t; k < ld; k += THREADS) {
        float v[ROWS];
        RT_UNROLL
        for (int r = 0; r < ROWS; r++)
            v[r] = row0 + r < c.rows && k < l.k ? c.x[(size_t)(row0 + r) * (size_t)l.k + k] : 0.0f;
        RT_UNROLL
        for (int r = 0; r < ROWS; r++) shared[r * ld + k] = rounded(v[r], c.round);
    }
    __syncthreads();
    float sum[ROWS][QUAD] = {};
    RT_UNROLL_N(2)
    for (int k = first; k < end; k += QUAD) {
        float w[QUAD][QUAD];
        RT_UNROLL
        for (int u = 0; u < QUAD; u++) four(w[u], l, k + u, end, col, whole, c.round);
        RT_UNROLL
        for (int r = 0; r < ROWS; r++) {
            float4 f = *(const float4 *)(const void *)(shared + r * ld + k);
            RT_UNROLL
            for (int v = 0; v < QUAD; v++) {
                float s = fmaf(f.x, w[0][v], sum[r][v]);
                s = fmaf(f.y, w[1][v], s);
                s = fmaf(f.z, w[2][v], s);
                sum[r][v] = fmaf(f.w, w[3][v], s);
            }
        }
    }
    __syncthreads();                                   /* nobody reads the rows any more */
    RT_UNROLL
    for (int r = 0; r < ROWS; r++)
        *(float4 *)(void *)(shared + slice * THREADS + r * COLUMNS + t % ACROSS * QUAD) =
            make_float4(sum[r][0], sum[r][1], sum[r][2], sum[r][3]);
    __syncthreads();
    int row = row0 + t / COLUMNS, at = col0 + t % COLUMNS;
    if (row >= c.rows || at >= l.n) return;
    float v = shared[t];
    RT_UNROLL_N(8)
    for (int s = 1; s < SLICES; s++) v += shared[s * THREADS + t];
    l.y[(size_t)row * (size_t)l.n + at] = act_of(v + (l.bias ? l.bias[at] : 0.0f), l.act);
}
}

extern "C" void rt_k_chain_first(cudaStream_t stream, const rt_chain *c)
{
    int across = (c->layer[0].n + COLUMNS - 1) / COLUMNS;
    unsigned down = (unsigned)((c->rows + ROWS - 1) / ROWS);
    RT_LAUNCH(k_chain_first, dim3(down * (unsigned)across), dim3(THREADS), 0, stream, *c, across);
}
