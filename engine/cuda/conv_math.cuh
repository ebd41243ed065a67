/* engine/cuda/conv_math.cuh - device code that the kernels of convolutions share: sums of products of two tiles in
 * shared memory, by multiply-adds or on tensor cores. Only the .cu files of convolutions include it.
 *
 * Tiles are of 32-bit floats; what is rounded is rounded on the way into registers. A block of 128 threads computes
 * sums (P, Q), RT_CONV_DEEP terms at a time. */
#ifndef RT_ENGINE_CUDA_CONV_MATH_CUH
#define RT_ENGINE_CUDA_CONV_MATH_CUH

#include "engine/cuda/conv_launch.h"
#include "engine/cuda/divider.cuh"

namespace {

enum { THREADS = 128, DEEP = RT_CONV_DEEP, STAGES = 3 };

/* An activation up to RELU6: values are kept between two bounds. */
struct bounds { float low, high; };
inline bounds bounds_of(rt_act act)
{
    return bounds{act == RT_ACT_NONE ? -INFINITY : 0.0f, act == RT_ACT_RELU6 ? 6.0f : INFINITY};
}
RT_DEVICE float within(float v, const bounds &b)
{
    v = v < b.low ? b.low : v;                          /* NaN stays */
    return v > b.high ? b.high : v;
}

/* A float as two of tf32, of which tensor cores read the upper 19 bits: the nearest, and the rest, which has few more.
 */
RT_DEVICE void split(float x, uint32_t &high, uint32_t &low)
{
    high = (__float_as_uint(x) + 0x1000u) & 0xffffe000u;
    low = __float_as_uint(x - __uint_as_float(high));
}
/* A float as two of tf32 in an instruction less than split(): tensor cores read the upper 19 bits of the first, which
 * is the float as it is, and the second is what they do not see. It has up to 13 bits and is of the float's sign, so
 * only one factor of a product is taken so: what is left out has either sign and sums do not drift. */
RT_DEVICE void cut(float x, uint32_t &high, uint32_t &low)
{
    high = __float_as_uint(x);
    low = __float_as_uint(x - __uint_as_float(high & 0xffffe000u));
}

/* A factor as MATH, which is not BF16, has it; one of the two is taken by take_cut(). */
template <int MATH> RT_DEVICE void take_split(float x, uint32_t &high, uint32_t &low)
{
    if (MATH == RT_CONV_TF32X3) split(x, high, low);
    else high = rt_tf32(x), low = 0;
}
template <int MATH> RT_DEVICE void take_cut(float x, uint32_t &high, uint32_t &low)
{
    if (MATH == RT_CONV_TF32X3) cut(x, high, low);
    else high = rt_tf32(x), low = 0;
}

/* Adds 16 terms, in halves of eight, of MI by NI pieces. Sums of a few terms start from 0 and are then added as floats
 * are: tensor cores cut off what they add. */
template <int MATH, int MI, int NI>
RT_DEVICE void add_halves(float (&acc)[MI][NI][4], const uint32_t (&ah)[2][MI][4], const uint32_t (&al)[2][MI][4],
                          const uint32_t (&bh)[2][NI][2], const uint32_t (&bl)[2][NI][2])
{
    if constexpr (MATH == RT_CONV_TF32) {
        RT_UNROLL
        for (int i = 0; i < 2 * MI * NI; i++)
            rt_mma_tf32(acc[i / NI % MI][i % NI], ah[i / (MI * NI)][i / NI % MI], bh[i / (MI * NI)][i % NI]);
    } else {
        float part[MI][NI][4] = {};
        RT_UNROLL
        for (int turn = 0; turn < 6; turn++) {
            const int s = turn % 2, kind = turn / 2;   /* low by high, high by low, high by high */
            RT_UNROLL
            for (int i = 0; i < MI * NI; i++)
                rt_mma_tf32(part[i / NI][i % NI], kind ? ah[s][i / NI] : al[s][i / NI],
                            kind == 1 ? bl[s][i % NI] : bh[s][i % NI]);
        }
        RT_UNROLL
        for (int i = 0; i < MI * NI * 4; i++) {
            const int p = i / (NI * 4), q = i / 4 % NI;
            acc[p][q][i % 4] += part[p][q][i % 4];
        }
    }
}

/* Where element (row, k) of a tile lies: rows of k (LINES) or k of rows, padded so that a warp's reads fall into
 * different banks. */
template <int MATH, int ROWS, bool LINES> struct layout {
    enum { LD = LINES ? DEEP + (MATH == RT_CONV_BF16 ? 8 : 4) : ROWS + (MATH == RT_CONV_BF16 ? 4 : 8),
           FLOATS = LINES ? ROWS * LD : DEEP * LD };
    RT_DEVICE int at(int row, int k) { return LINES ? row * LD + k : k * LD + row; }
};

/* ---- by multiply-adds ---- */

/* Thread (ty, tx) has rows row(i) and columns column(j). A_LINES: the left tile is rows of k. */
template <int MATH, int P, int Q, bool A_LINES, bool B_LINES> struct sums {
    enum { TN = !A_LINES && Q == 16 ? 2 : 4, TX = Q / TN, TY = THREADS / TX, TM = P / TY, BESIDE = TM < 4 ? TM : 4 };
    typedef layout<MATH, P, A_LINES> left;
    typedef layout<MATH, Q, B_LINES> right;
    float acc[TM][TN];

    RT_DEVICE int tx() { return (int)threadIdx.x % TX; }
    RT_DEVICE int ty() { return (int)threadIdx.x / TX; }
    RT_DEVICE int row(int i) { return A_LINES ? ty() + i * TY : (i / BESIDE * TY + ty()) * BESIDE + i % BESIDE; }
    RT_DEVICE int column(int j) { return B_LINES ? tx() + j * TX : tx() * TN + j; }

    __device__ void clear()
    {
        RT_UNROLL
        for (int i = 0; i < TM; i++) {
            RT_UNROLL
            for (int j = 0; j < TN; j++) acc[i][j] = 0.0f;
        }
    }
    /* Left rows of k: four terms at a time, as 16 bytes. */
    __device__ void add_lines(const float *a, const float *b)
    {
        RT_UNROLL
        for (int k = 0; k < DEEP; k += 4) {
            float v[TN][4];
            RT_UNROLL
            for (int j = 0; j < 4; j++) {
                float4 f = *(const float4 *)(B_LINES ? b + right::at(column(j), k) : b + right::at(tx() * TN, k + j));
                if (B_LINES) v[j][0] = f.x, v[j][1] = f.y, v[j][2] = f.z, v[j][3] = f.w;
                else v[0][j] = f.x, v[1][j] = f.y, v[2][j] = f.z, v[3][j] = f.w;
            }
            RT_UNROLL
            for (int i = 0; i < TM; i++) {
                float4 u = *(const float4 *)(a + left::at(row(i), k));
                RT_UNROLL
                for (int j = 0; j < TN; j++) {
                    float s = fmaf(u.x, v[j][0], acc[i][j]);
                    s = fmaf(u.y, v[j][1], s);
                    s = fmaf(u.z, v[j][2], s);
                    acc[i][j] = fmaf(u.w, v[j][3], s);
                }
            }
        }
    }
    /* Both k of rows: outer products. */
    __device__ void add_outer(const float *a, const float *b)
    {
        RT_UNROLL_N(4)
        for (int k = 0; k < DEEP; k++) {
            float u[TM], v[TN];
            RT_UNROLL
            for (int i = 0; i < TM; i += BESIDE) {
                const float *p = a + left::at(row(i), k);
                if constexpr (BESIDE == 4) {
                    float4 f = *(const float4 *)p;
                    u[i] = f.x, u[i + 1] = f.y, u[i + 2] = f.z, u[i + 3] = f.w;
                } else if constexpr (BESIDE == 2) {
                    float2 f = *(const float2 *)p;
                    u[i] = f.x, u[i + 1] = f.y;
                } else u[i] = *p;
            }
            RT_UNROLL
            for (int j = 0; j < TN; j += 2) {
                float2 f = *(const float2 *)(b + right::at(tx() * TN + j, k));
                v[j] = f.x, v[j + 1] = f.y;
            }
            RT_UNROLL
            for (int i = 0; i < TM; i++) {
                RT_UNROLL
                for (int j = 0; j < TN; j++) acc[i][j] = fmaf(u[i], v[j], acc[i][j]);
            }
        }
    }
    __device__ void add(const float *a, const float *b)
    {
        if constexpr (A_LINES) add_lines(a, b);
        else add_outer(a, b);
    }
    /* Each row's values, on top of those of out.bias(column), by out.put(out.row(row), column, value). */
    template <class T> __device__ void store(const T &out)
    {
        float bias[TN];
        RT_UNROLL
        for (int j = 0; j < TN; j++) bias[j] = out.bias(column(j));
        RT_UNROLL
        for (int i = 0; i < TM; i++) {
            float *to = out.row(row(i));
            if (!to) continue;
            RT_UNROLL
            for (int j = 0; j < TN; j++) out.put(to, column(j), acc[i][j] + bias[j]);
        }
    }
};

/* ---- on tensor cores: a warp computes (32 or 16, 16 or 32) by pieces of (16, 8) ---- */

template <int MATH, int P, int Q, bool A_LINES, bool B_LINES> struct tensor_sums {
    enum { ACROSS = P >= 128 || Q == 16 ? 1 : 2, ALONG = 4 / ACROSS, MI = P / ALONG / 16, NI = Q / ACROSS / 8 };
    typedef layout<MATH, P, A_LINES> left;
    typedef layout<MATH, Q, B_LINES> right;
    float acc[MI][NI][4];

    RT_DEVICE int lane() { return (int)threadIdx.x & 31; }
    RT_DEVICE int first_row() { return (int)(threadIdx.x >> 5) / ACROSS * (MI * 16); }
    RT_DEVICE int first_column() { return (int)(threadIdx.x >> 5) % ACROSS * (NI * 8); }

    static __device__ void zero(float (&c)[MI][NI][4])
    {
        RT_UNROLL
        for (int i = 0; i < MI; i++) {
            RT_UNROLL
            for (int j = 0; j < NI; j++) c[i][j][0] = c[i][j][1] = c[i][j][2] = c[i][j][3] = 0.0f;
        }
    }
    __device__ void clear() { zero(acc); }

    static __device__ void add_products(float (&c)[MI][NI][4], const uint32_t (&a)[MI][4], const uint32_t (&b)[NI][2])
    {
        RT_UNROLL
        for (int i = 0; i < MI; i++) {
            RT_UNROLL
            for (int j = 0; j < NI; j++) rt_mma_tf32(c[i][j], a[i], b[j]);
        }
    }
    /* Sums of a few terms start from 0 and are then added as floats are: tensor cores cut off what they add. */
    __device__ void add_split(const float *a, const float *b)
    {
        const int g = lane() >> 2, t = lane() & 3, r0 = first_row() + g, c0 = first_column() + g;
        float part[MI][NI][4];
        zero(part);
        RT_UNROLL
        for (int k = 0; k < DEEP; k += 8) {
            uint32_t bh[NI][2], bl[NI][2];
            RT_UNROLL
            for (int j = 0; j < NI; j++) {
                split(b[right::at(c0 + j * 8, k + t)], bh[j][0], bl[j][0]);
                split(b[right::at(c0 + j * 8, k + t + 4)], bh[j][1], bl[j][1]);
            }
            uint32_t ah[MI][4], al[MI][4];
            RT_UNROLL
            for (int i = 0; i < MI; i++) {
                RT_UNROLL
                for (int q = 0; q < 4; q++)
                    split(a[left::at(r0 + i * 16 + (q & 1) * 8, k + t + (q >> 1) * 4)], ah[i][q], al[i][q]);
            }
            add_products(part, al, bh);
            add_products(part, ah, bl);
            add_products(part, ah, bh);
        }
        RT_UNROLL
        for (int i = 0; i < MI; i++) {
            RT_UNROLL
            for (int j = 0; j < NI; j++) {
                RT_UNROLL
                for (int q = 0; q < 4; q++) acc[i][j][q] += part[i][j][q];
            }
        }
    }
    __device__ void add_tf32(const float *a, const float *b)
    {
        const int g = lane() >> 2, t = lane() & 3, r0 = first_row() + g, c0 = first_column() + g;
        RT_UNROLL
        for (int k = 0; k < DEEP; k += 8) {
            uint32_t v[NI][2], u[4];
            RT_UNROLL
            for (int j = 0; j < NI; j++) {
                v[j][0] = rt_tf32(b[right::at(c0 + j * 8, k + t)]);
                v[j][1] = rt_tf32(b[right::at(c0 + j * 8, k + t + 4)]);
            }
            RT_UNROLL
            for (int i = 0; i < MI; i++) {
                RT_UNROLL
                for (int q = 0; q < 4; q++)
                    u[q] = rt_tf32(a[left::at(r0 + i * 16 + (q & 1) * 8, k + t + (q >> 1) * 4)]);
                RT_UNROLL
                for (int j = 0; j < NI; j++) rt_mma_tf32(acc[i][j], u, v[j]);
            }
        }
    }
    template <class T> static __device__ uint32_t two(const float *tile, int row, int k)
    {
        const float *p = tile + T::at(row, k);
        const int next = T::at(0, 1);
        if (next == 1) {
            float2 f = *(const float2 *)p;
            return rt_bf16_pair(f.x, f.y);
        }
        return rt_bf16_pair(p[0], p[next]);
    }
    __device__ void add_bf16(const float *a, const float *b)
    {
        const int g = lane() >> 2, t = lane() & 3, r0 = first_row() + g, c0 = first_column() + g;
        uint32_t v[NI][2], u[4];
        RT_UNROLL
        for (int j = 0; j < NI; j++) {
            v[j][0] = two<right>(b, c0 + j * 8, 2 * t);
            v[j][1] = two<right>(b, c0 + j * 8, 2 * t + 8);
        }
        RT_UNROLL
        for (int i = 0; i < MI; i++) {
            RT_UNROLL
            for (int q = 0; q < 4; q++) u[q] = two<left>(a, r0 + i * 16 + (q & 1) * 8, 2 * t + (q >> 1) * 8);
            RT_UNROLL
            for (int j = 0; j < NI; j++) rt_mma_bf16(acc[i][j], u, v[j]);
        }
    }
    __device__ void add(const float *a, const float *b)
    {
        if constexpr (MATH == RT_CONV_TF32X3) add_split(a, b);
        else if constexpr (MATH == RT_CONV_TF32) add_tf32(a, b);
        else add_bf16(a, b);
    }
    template <class T> __device__ void store(const T &out)
    {
        const int r0 = first_row() + (lane() >> 2), c0 = first_column() + (lane() & 3) * 2;
        float bias[NI][2];
        RT_UNROLL
        for (int j = 0; j < NI; j++) bias[j][0] = out.bias(c0 + j * 8), bias[j][1] = out.bias(c0 + j * 8 + 1);
        RT_UNROLL
        for (int i = 0; i < MI; i++) {
            RT_UNROLL
            for (int q = 0; q < 4; q += 2) {
                float *to = out.row(r0 + i * 16 + q * 4);
                if (!to) continue;
                RT_UNROLL
                for (int j = 0; j < NI; j++)
                    out.put2(to, c0 + j * 8, acc[i][j][q] + bias[j][0], acc[i][j][q + 1] + bias[j][1]);
            }
        }
    }
};

template <int MATH, int P, int Q, bool A_LINES, bool B_LINES> struct sums_of {
    typedef tensor_sums<MATH, P, Q, A_LINES, B_LINES> type;
};
template <int P, int Q, bool A_LINES, bool B_LINES> struct sums_of<RT_CONV_FLOAT, P, Q, A_LINES, B_LINES> {
    typedef sums<RT_CONV_FLOAT, P, Q, A_LINES, B_LINES> type;
};
}
#endif
