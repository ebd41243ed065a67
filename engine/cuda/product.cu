/* engine/cuda/product.cu - dense products of 32-bit floats: a block computes a tile of c, stage by stage over k through
 * shared memory, a thread PER x PER values of it. Sums go over k in order, whatever the tile, so a row's bits do not
 * depend on where it stands.
 *
 * These serve small products, whose cost is that of a launch, and those whose k is far longer than c is large (weight
 * gradients), which are cut into parts by shape and added up in a second launch. */
#include "engine/cuda/device_code.h"

#include "engine/cuda/cuda_product.h"

enum { TILE = 64, DEPTH = 16, THREADS = 256, PER = 4, SKEW = 4, ENDS = 256 };

RT_DEVICE float rounded(float x, int round)
{
    if (round == 1) return __uint_as_float(rt_tf32(x));
    return round == 2 ? rt_of_bf16(rt_bf16_of(x)) : x;
}

RT_DEVICE float ended(float x, int act)
{
    if (act && !(x > 0)) x = x == x ? 0.0f : x;        /* NaN stays */
    return act == 2 && x > 6.0f ? 6.0f : x;
}

/* Element (row, at) of a factor whose rows count m or n; outside it is 0. */
RT_DEVICE float element(const float *p, int row, int at, int rows, int depth, int ld, int transposed)
{
    if (row >= rows || at >= depth) return 0;
    return transposed ? p[(size_t)at * ld + row] : p[(size_t)row * ld + at];
}

/* A stage of one factor into shared memory, (DEPTH, TILE): neighbouring threads read neighbouring memory. */
RT_DEVICE void stage(float (*to)[TILE + SKEW], const float *p, int row0, int k0, int rows, int depth, int ld,
                     int transposed, int round)
{
    RT_UNROLL
    for (int i = 0; i < TILE * DEPTH / THREADS; i++) {
        int at = (int)threadIdx.x + i * THREADS, row = transposed ? at % TILE : at / DEPTH,
            k = transposed ? at / TILE : at % DEPTH;
        to[k][row] = rounded(element(p, row0 + row, k0 + k, rows, depth, ld, transposed), round);
    }
}

__global__ void __launch_bounds__(THREADS) k_product(rt_k_product_spec s)
{
    RT_SHARED_2D(float, left, DEPTH, TILE + SKEW);
    RT_SHARED_2D(float, right, DEPTH, TILE + SKEW);
    int tiles = (s.n + TILE - 1) / TILE, m0 = (int)blockIdx.x / tiles * TILE, n0 = (int)blockIdx.x % tiles * TILE;
    int tm = (int)threadIdx.x / (TILE / PER) * PER, tn = (int)threadIdx.x % (TILE / PER) * PER;
    for (int z = (int)blockIdx.z; z < s.count; z += (int)gridDim.z) {
        const float *a = s.a + s.a_next * (size_t)z, *b = s.b + s.b_next * (size_t)z;
        float *c = s.c + s.c_next * (size_t)z, sum[PER][PER] = {};
        int k0 = (int)blockIdx.y * s.k_part, end = s.k - k0 < s.k_part ? s.k : k0 + s.k_part;
        for (; k0 < end; k0 += DEPTH) {
            stage(left, a, m0, k0, s.m, end, s.lda, s.trans_a, s.round);
            stage(right, b, n0, k0, s.n, end, s.ldb, !s.trans_b, s.round);
            __syncthreads();
            RT_UNROLL
            for (int k = 0; k < DEPTH; k++) {
                float x[PER], y[PER];
                RT_UNROLL
                for (int i = 0; i < PER; i++) x[i] = left[k][tm + i], y[i] = right[k][tn + i];
                RT_UNROLL
                for (int i = 0; i < PER; i++)
                    RT_UNROLL
                    for (int j = 0; j < PER; j++) sum[i][j] = fmaf(x[i], y[j], sum[i][j]);
            }
            __syncthreads();
        }
        for (int i = 0; i < PER; i++)
            for (int j = 0; j < PER; j++) {
                int row = m0 + tm + i, col = n0 + tn + j;
                if (row >= s.m || col >= s.n) continue;
                if (s.parts > 1) {
                    s.partial[((size_t)blockIdx.y * s.m + row) * s.n + col] = sum[i][j];
                    continue;
                }
                float *to = c + (size_t)row * s.ldc + col, v = s.alpha * sum[i][j] + (s.bias ? s.bias[col] : 0.0f);
                *to = s.add ? *to + v : ended(v, s.act);
            }
    }
}

__global__ void k_product_parts(rt_k_product_spec s)
{
    size_t all = (size_t)s.m * s.n, at = (size_t)blockIdx.x * ENDS + threadIdx.x;
    if (at >= all) return;
    float sum = 0;
    for (int i = 0; i < s.parts; i++) sum += s.partial[(size_t)i * all + at];
    int col = (int)(at % s.n);
    float *to = s.c + at / s.n * s.ldc + col, v = s.alpha * sum + (s.bias ? s.bias[col] : 0.0f);
    *to = s.add ? *to + v : ended(v, s.act);
}

__global__ void k_product_end(float *c, const float *bias, int act, int m, int n, int ldc, int count, size_t next)
{
    size_t each = (size_t)m * n, at = (size_t)blockIdx.x * ENDS + threadIdx.x;
    if (at >= each * count) return;
    int col = (int)(at % n);
    float *to = c + at / each * next + at % each / n * ldc + col;
    *to = ended(*to + (bias ? bias[col] : 0.0f), act);
}

static unsigned blocks_of(size_t n) { return (unsigned)((n + ENDS - 1) / ENDS); }

extern "C" void rt_k_product(cudaStream_t stream, const rt_k_product_spec *s)
{
    unsigned tiles = (unsigned)((s->m + TILE - 1) / TILE) * (unsigned)((s->n + TILE - 1) / TILE);
    dim3 grid(tiles, (unsigned)s->parts, (unsigned)(s->count < 65535 ? s->count : 65535));
    RT_LAUNCH(k_product, grid, dim3(THREADS), 0, stream, *s);
}

extern "C" void rt_k_product_parts(cudaStream_t stream, const rt_k_product_spec *s)
{
    RT_LAUNCH(k_product_parts, dim3(blocks_of((size_t)s->m * s->n)), dim3(ENDS), 0, stream, *s);
}

extern "C" void rt_k_product_end(cudaStream_t stream, float *c, const float *bias, int act, int m, int n, int ldc,
                                 int count, size_t next)
{
    RT_LAUNCH(k_product_end, dim3(blocks_of((size_t)m * n * count)), dim3(ENDS), 0, stream, c, bias, act, m, n, ldc,
              count, next);
}

extern "C" cudaError_t rt_k_code(void)
{
#ifdef RT_CUDA_EMULATED
    return cudaSuccess;
#else
    cudaFuncAttributes attributes;
    return cudaFuncGetAttributes(&attributes, k_product);
#endif
}
