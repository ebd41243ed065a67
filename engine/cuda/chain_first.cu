/* The first layer of a chain where it has many weights; see cuda_chain.h. k is cut into RT_CHAIN_PARTS. A block
 * computes ROWS rows of COLUMNS columns of one of them, or of all, one behind the other: its lanes have QUAD columns
 * each, and a part is cut into SLICES, which k alone decides and whose sums are added in their order. A warp copies a
 * row. */
#include "engine/cuda/chain.cuh"

namespace {
enum { ROWS = 8, COLUMNS = 32, ACROSS = COLUMNS / QUAD, SLICES = THREADS / ACROSS, MOST = RT_CHAIN_FIRST_K,
       PARTS = RT_CHAIN_PARTS, AT_ONCE = 2 * QUAD, LANES = THREADS / ROWS };

/* All that a block needs, in few lines of arguments: each of them is waited for. */
struct first_arguments {
    const float *x, *w;
    float *to;                         /* parts, or y */
    const float *bias;
    int k, n, rows, act, round;
    int length, per;                   /* of a part; of a slice */
    int fours, whole;                  /* x, and w, are read by QUAD */
};

/* Of the block's rows k from k0 on, a part's, with 0 where there is none: their copies, and, behind these, the thread's
 * own ones rounded. */
template <bool ROUND> RT_DEVICE void rows_of(float *to, const first_arguments &a, int row0, int k0)
{
    const int r = (int)threadIdx.x / LANES, lane = (int)threadIdx.x % LANES, each = a.fours ? QUAD : 1;
    const bool there = row0 + r < a.rows;
    const float *from = a.x + (there ? row0 + r : 0) * a.k;
    to += r * a.length;
    for (int i = lane * each; i < a.length; i += LANES * each) {
        bool in = there && k0 + i < a.k;
        if constexpr (ROUND) {
            for (int u = 0; u < each; u++) to[i + u] = rounded(to[i + u], a.round);
        } else {
            rt_copy_async(to + i, in ? from + k0 + i : a.x, each * (int)sizeof(float), in);
        }
    }
}

/* Weights of rows k to k + AT_ONCE - 1, of which `count` are there, from column col on; 0 for the others. */
RT_DEVICE void weights_of(float (&w)[AT_ONCE][QUAD], const first_arguments &a, int k, int count, int col)
{
    const float *at = a.w + k * a.n + col;
    const bool whole = a.whole && col < a.n;
    RT_UNROLL
    for (int u = 0; u < AT_ONCE; u++, at += a.n) {
        RT_UNROLL
        for (int v = 0; v < QUAD; v++) w[u][v] = 0;
        if (u >= count) continue;
        if (whole) load<QUAD>(w[u], at);
        else {
            RT_UNROLL
            for (int v = 0; v < QUAD; v++) if (col + v < a.n) w[u][v] = at[v];
        }
    }
}

__global__ void __launch_bounds__(THREADS, 2) k_chain_first(const RT_CONSTANT first_arguments a)
{
    static_assert(ROWS * COLUMNS == THREADS, "a sum of a thread's");
    RT_SHARED(float, x, ROWS * MOST / PARTS);
    RT_SHARED(float, sums, SLICES * THREADS);
    const int t = (int)threadIdx.x, row0 = (int)blockIdx.y * ROWS, col0 = (int)blockIdx.x * COLUMNS,
              col = col0 + t % ACROSS * QUAD, row = row0 + t / COLUMNS, at = col0 + t % COLUMNS, length = a.length,
              first = t / ACROSS * a.per, end = first + a.per < length ? first + a.per : length;
    const bool mine = row < a.rows && at < a.n;
    float y = 0;
    for (int p = (int)blockIdx.z; p < PARTS; p += (int)gridDim.z) {
        const int k0 = p * length, last = k0 + end < a.k ? end : a.k - k0;
        rows_of<false>(x, a, row0, k0);
        rt_copy_commit();
        float sum[ROWS][QUAD] = {};
        for (int k = first; k < first + a.per; k += AT_ONCE) {
            float w[AT_ONCE][QUAD];
            weights_of(w, a, k0 + k, last - k, col);
            if (k == first) {                          /* all of them are on their way */
                rt_copy_wait<0>();
                if (a.round) rows_of<true>(x, a, row0, k0);
                __syncthreads();
            }
            if (a.round) {
                RT_UNROLL
                for (int u = 0; u < AT_ONCE * QUAD; u++)
                    w[u / QUAD][u % QUAD] = rounded(w[u / QUAD][u % QUAD], a.round);
            }
            RT_UNROLL
            for (int u = 0; u < AT_ONCE; u += QUAD) {
                if (k + u >= end) continue;
                RT_UNROLL
                for (int r = 0; r < ROWS; r++) {
                    float4 f = *(const float4 *)(const void *)(x + r * length + k + u);
                    RT_UNROLL
                    for (int v = 0; v < QUAD; v++)
                        sum[r][v] = fmaf(f.w, w[u + 3][v], fmaf(f.z, w[u + 2][v],
                                         fmaf(f.y, w[u + 1][v], fmaf(f.x, w[u][v], sum[r][v]))));
                }
            }
        }
        RT_UNROLL
        for (int r = 0; r < ROWS; r++)
            *(float4 *)(void *)(sums + t / ACROSS * THREADS + r * COLUMNS + t % ACROSS * QUAD) =
                make_float4(sum[r][0], sum[r][1], sum[r][2], sum[r][3]);
        __syncthreads();
        float v = sums[t];
        RT_UNROLL
        for (int s = 1; s < SLICES; s++) v += sums[s * THREADS + t];
        y = p ? y + v : v;
        if (gridDim.z > 1) {
            if (mine) a.to[(p * a.rows + row) * a.n + at] = v;
            return;
        }
        __syncthreads();
    }
    if (mine) a.to[row * a.n + at] = act_of(y + (a.bias ? a.bias[at] : 0.0f), a.act);
}
}

extern "C" void rt_k_chain_first(cudaStream_t stream, const rt_chain *c)
{
    const rt_chain_layer *l = &c->layer[0];
    const int length = padded((l->k + PARTS - 1) / PARTS), slice = (length + SLICES - 1) / SLICES;
    const first_arguments a = {c->x, l->w, c->part ? c->part : l->y, l->bias, l->k, l->n, c->rows, l->act, c->round,
                               length, (slice + AT_ONCE - 1) / AT_ONCE * AT_ONCE,
                               l->k % QUAD == 0 && ((uintptr_t)c->x & 15) == 0,
                               l->n % QUAD == 0 && ((uintptr_t)l->w & 15) == 0};
    const dim3 grid((unsigned)((l->n + COLUMNS - 1) / COLUMNS), (unsigned)((c->rows + ROWS - 1) / ROWS),
                    c->part ? PARTS : 1);
    RT_LAUNCH(k_chain_first, grid, dim3(THREADS), 0, stream, a);
}
