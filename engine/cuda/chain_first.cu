/* The first layer of a chain where it has many weights; see cuda_chain.h. k is cut into RT_CHAIN_PARTS. A block
 * computes ROWS rows of COLUMNS columns of one of them, or of all, one behind the other: its lanes have QUAD columns
 * each, and a part is cut into SLICES, which k alone decides and whose sums are added in their order. */
#include "engine/cuda/chain.cuh"

namespace {
enum { ROWS = 8, COLUMNS = 32, ACROSS = COLUMNS / QUAD, SLICES = THREADS / ACROSS, MOST = RT_CHAIN_FIRST_K,
       PARTS = RT_CHAIN_PARTS, AT_ONCE = 2 * QUAD };

/* Four weights of row k from column col on; those that are not there are 0. */
RT_DEVICE void four(float (&w)[QUAD], const rt_chain_layer &l, int k, int end, int col, bool whole)
{
    RT_UNROLL
    for (int v = 0; v < QUAD; v++) w[v] = 0;
    if (k >= end) return;
    const float *at = l.w + k * l.n + col;
    if (whole) load<QUAD>(w, at);
    else {
        RT_UNROLL
        for (int v = 0; v < QUAD; v++) if (col + v < l.n) w[v] = at[v];
    }
}

/* Of the block's rows k from k0 on, `count` of them, with 0 where there is none: their copies, and, behind these, the
 * thread's own ones rounded. */
template <bool ROUND>
RT_DEVICE void rows_of(float *to, const rt_chain &c, int row0, int k0, int count, bool fours)
{
    const int k = c.layer[0].k, each = fours ? QUAD : 1, along = (count + each - 1) / each;
    for (int i = (int)threadIdx.x; i < ROWS * along; i += THREADS) {
        int r = i / along, at = i % along * each;
        bool in = row0 + r < c.rows && k0 + at < k;
        float *place = to + r * count + at;
        if constexpr (ROUND) {
            for (int u = 0; u < each; u++) place[u] = rounded(place[u], c.round);
        } else {
            const float *from = in ? c.x + (size_t)(row0 + r) * (size_t)k + k0 + at : c.x;
            rt_copy_async(place, from, each * (int)sizeof(float), in);
        }
    }
}

__global__ void __launch_bounds__(THREADS, 2) k_chain_first(const RT_CONSTANT rt_chain c, int across)
{
    static_assert(ROWS * COLUMNS == THREADS, "a sum of a thread's");
    RT_SHARED(float, x, ROWS * MOST / PARTS);
    RT_SHARED(float, sums, SLICES * THREADS);
    const rt_chain_layer &l = c.layer[0];
    const int t = (int)threadIdx.x, row0 = (int)blockIdx.x / across * ROWS,
              col0 = (int)blockIdx.x % across * COLUMNS, col = col0 + t % ACROSS * QUAD,
              length = padded((l.k + PARTS - 1) / PARTS),
              per = ((length + SLICES - 1) / SLICES + AT_ONCE - 1) / AT_ONCE * AT_ONCE;
    const bool whole = l.n % QUAD == 0 && ((uintptr_t)l.w & 15) == 0 && col < l.n,
               fours = l.k % QUAD == 0 && ((uintptr_t)c.x & 15) == 0;
    const int row = row0 + t / COLUMNS, at = col0 + t % COLUMNS;
    float y = 0;
    for (int p = (int)blockIdx.y; p < PARTS; p += (int)gridDim.y) {
        const int k0 = p * length, first = t / ACROSS * per;
        const int end = first + per < length ? first + per : length;
        rows_of<false>(x, c, row0, k0, length, fours);
        rt_copy_commit();
        float sum[ROWS][QUAD] = {};
        for (int k = 0; k < per; k += AT_ONCE) {
            float w[AT_ONCE][QUAD];
            RT_UNROLL
            for (int u = 0; u < AT_ONCE; u++)
                four(w[u], l, k0 + first + k + u, k0 + end < l.k ? k0 + end : l.k, col, whole);
            if (k == 0) {                              /* all of them are on their way */
                rt_copy_wait<0>();
                if (c.round) rows_of<true>(x, c, row0, k0, length, fours);
                __syncthreads();
            }
            if (c.round) {
                RT_UNROLL
                for (int u = 0; u < AT_ONCE * QUAD; u++)
                    w[u / QUAD][u % QUAD] = rounded(w[u / QUAD][u % QUAD], c.round);
            }
            RT_UNROLL
            for (int u = 0; u < AT_ONCE; u += QUAD) {
                if (first + k + u >= end) continue;
                RT_UNROLL
                for (int r = 0; r < ROWS; r++) {
                    float4 f = *(const float4 *)(const void *)(x + r * length + first + k + u);
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
        RT_UNROLL_N(8)
        for (int s = 1; s < SLICES; s++) v += sums[s * THREADS + t];
        y = p ? y + v : v;
        if (gridDim.y > 1) {
            if (row < c.rows && at < l.n) c.part[(p * c.rows + row) * l.n + at] = v;
            return;
        }
        __syncthreads();
    }
    if (row < c.rows && at < l.n) l.y[(size_t)row * (size_t)l.n + at] = act_of(y + (l.bias ? l.bias[at] : 0.0f), l.act);
}
}

extern "C" void rt_k_chain_first(cudaStream_t stream, const rt_chain *c)
{
    int across = (c->layer[0].n + COLUMNS - 1) / COLUMNS;
    unsigned down = (unsigned)((c->rows + ROWS - 1) / ROWS);
    RT_LAUNCH(k_chain_first, dim3(down * (unsigned)across, c->part ? PARTS : 1), dim3(THREADS), 0, stream, *c, across);
}
