/* engine/cuda/conv_point.cu - convolutions of one pixel (1 by 1) on tensor cores, forward and back to the image:
 * products of the weights by pixels. See conv_launch.h. A block of four warps has 64 pixels of the side with fewer of
 * them and up to 64 channels; 32 terms of its sums come at a time, the next two such pieces are on their way.
 *
 * Which terms of a sum are which of a product is free, so that of 16 of them lane t of four has four side by side of a
 * pixel, which it reads at once. */
#include "engine/cuda/conv_math.cuh"
#include "engine/cuda/conv_tiles.cuh"

namespace {

enum { PIXELS = 64, WARPS = 4, WIDE = WARPS * 32, DEPTH = 32, SLOTS = 3, MOST = 64 /* channels of a block */ };

struct job {
    const float *from, *w, *bias;
    float *to;
    int pixels, depth, columns;          /* terms of a sum; channels of the target */
    int strided, add;
    int image_wide, image_high, up, left;                       /* of the larger side, and from pixel to pixel of it */
    divider wide, high, across;                                 /* of the smaller side; blocks along the channels */
    bounds act;
};

/* Pixel p of the smaller side among those of the larger. */
RT_DEVICE int larger(const job &a, int p)
{
    if (!a.strided) return p;
    const int l = quotient(p, a.wide), x = p - l * (int)a.wide.by, r = quotient(l, a.high), y = l - r * (int)a.high.by;
    return (r * a.image_high + y * a.up) * a.image_wide + x * a.left;
}

template <int MATH, int Q, bool BACK> struct point {
    enum { ACROSS = Q == 64 ? 2 : 1, MI = Q / ACROSS / 16, NI = PIXELS / (WARPS / ACROSS) / 8, LD = Q + 8,
           IMAGE = PIXELS * DEPTH, WEIGHTS = BACK ? Q * DEPTH : DEPTH * LD, SLOT = IMAGE + WEIGHTS, EACH = 16,
           ROWS = WIDE / (Q / 4) };
    float acc[MI][NI][4];
    int at[PIXELS / EACH], k0, line;     /* where this thread's pixels begin, -1: there is none; its terms; its line */

    __device__ void begin(const job &a, int p0)
    {
        k0 = (int)(threadIdx.x & 7) * 4, line = (int)threadIdx.x >> 3;
        RT_UNROLL
        for (int i = 0; i < PIXELS / EACH; i++) {
            const int p = p0 + line + i * EACH;
            at[i] = p < a.pixels ? (BACK ? p : larger(a, p)) * a.depth : -1;
        }
        RT_UNROLL
        for (int i = 0; i < MI * NI * 4; i++) acc[i / (NI * 4)][i / 4 % NI][i % 4] = 0.0f;
    }
    /* Of a line of pixels or of a channel's weights: 16 terms of all lines lie one behind the other. Channels are such
     * that row g of a product is 2g and row g + 8 is 2g + 1. */
    static __device__ __forceinline__ int place(int line, int lines, int k)
    { return (k >> 4) * (lines * 16) + line * 16 + (k & 15); }
    static __device__ __forceinline__ int row_of(int c) { return (c & ~15) + (c & 1) * 8 + (c >> 1 & 7); }

    __device__ void copy(const job &a, float *slot, int first, int column)
    {
        const int k = first + k0;
        RT_UNROLL
        for (int i = 0; i < PIXELS / EACH; i++) {
            const bool in = at[i] >= 0 && k < a.depth;
            rt_copy_async(slot + place(line + i * EACH, PIXELS, k0), a.from + (in ? at[i] + k : 0), 16, in);
        }
        float *w = slot + IMAGE;
        if constexpr (BACK) {
            RT_UNROLL
            for (int i = 0; i < Q / EACH; i++) {
                const int c = line + i * EACH;
                const bool in = column + c < a.columns && k < a.depth;
                rt_copy_async(w + place(row_of(c), Q, k0), a.w + (in ? (column + c) * a.depth + k : 0), 16, in);
            }
        } else {
            const int n = (int)threadIdx.x % (Q / 4) * 4, row = (int)threadIdx.x / (Q / 4);
            RT_UNROLL
            for (int i = 0; i < DEPTH / ROWS; i++) {    /* terms 4t + i of 16 lie in row 4i + t of them */
                const int r = row + i * ROWS, to = (r & 16) + (r & 3) * 4 + (r >> 2 & 3);
                const bool in = first + r < a.depth && column + n < a.columns;
                rt_copy_async(w + to * LD + n, a.w + (in ? (first + r) * a.columns + column + n : 0), 16, in);
            }
        }
    }
    /* Of channels 2g and 2g + 1 of piece i the lane's four terms. */
    static __device__ __forceinline__ void weights(float (&v)[2][4], const float *w, int i, int g, int t)
    {
        if constexpr (BACK) {
            RT_UNROLL
            for (int h = 0; h < 2; h++) {
                const float4 f = *(const float4 *)(w + (i * 16 + h * 8 + g) * 16 + t * 4);
                v[h][0] = f.x, v[h][1] = f.y, v[h][2] = f.z, v[h][3] = f.w;
            }
        } else {
            RT_UNROLL
            for (int k = 0; k < 4; k++) {
                const float2 f = *(const float2 *)(w + (k * 4 + t) * LD + i * 16 + 2 * g);
                v[0][k] = f.x, v[1][k] = f.y;
            }
        }
    }
    /* 16 terms. Sums of a few start from 0 and are then added as floats are: tensor cores cut off what they add. */
    __device__ void add(const float *pixels, const float *w, int g, int t)
    {
        uint32_t bh[2][NI][2], bl[2][NI][2], ah[2][MI][4], al[2][MI][4];
        RT_UNROLL
        for (int j = 0; j < NI; j++) {
            const float4 f = *(const float4 *)(pixels + (j * 8 + g) * 16 + t * 4);
            if (MATH == RT_CONV_BF16) {
                bh[0][j][0] = rt_bf16_pair(f.x, f.y), bh[0][j][1] = rt_bf16_pair(f.z, f.w);
                continue;
            }
            take_cut<MATH>(f.x, bh[0][j][0], bl[0][j][0]), take_cut<MATH>(f.y, bh[0][j][1], bl[0][j][1]);
            take_cut<MATH>(f.z, bh[1][j][0], bl[1][j][0]), take_cut<MATH>(f.w, bh[1][j][1], bl[1][j][1]);
        }
        RT_UNROLL
        for (int i = 0; i < MI; i++) {
            float v[2][4];
            weights(v, w, i, g, t);
            RT_UNROLL
            for (int q = 0; q < 8; q++) {
                const int h = q % 2, k = q / 2;
                if (MATH != RT_CONV_BF16)
                    take_split<MATH>(v[h][k], ah[k / 2][i][k % 2 * 2 + h], al[k / 2][i][k % 2 * 2 + h]);
                else if (k % 2 == 0) ah[0][i][k + h] = rt_bf16_pair(v[h][k], v[h][k + 1]);
            }
        }
        if constexpr (MATH == RT_CONV_BF16) {
            RT_UNROLL
            for (int i = 0; i < MI * NI; i++) rt_mma_bf16(acc[i / NI][i % NI], ah[0][i / NI], bh[0][i % NI]);
        } else add_halves<MATH>(acc, ah, al, bh, bl);
    }
};

RT_DEVICE void put(const job &a, float *to, float x, float y)
{
    if (a.add) {
        const float2 old = *(const float2 *)to;
        x += old.x, y += old.y;
    }
    *(float2 *)to = make_float2(within(x, a.act), within(y, a.act));
}

/* Back with a stride: pixels of the image behind those of a block, up to the next ones, which no pixel of the output
 * saw, have the bias alone. */
template <int Q> RT_DEVICE void fill(const job &a, int p0, int column)
{
    RT_UNROLL_N(1)
    for (int q = (int)threadIdx.x; q < PIXELS * (Q / 2); q += WIDE) {
        const int p = p0 + q / (Q / 2), n = column + q % (Q / 2) * 2;
        if (p >= a.pixels || n >= a.columns) continue;
        const float2 bias = a.bias ? *(const float2 *)(a.bias + n) : make_float2(0, 0);
        const int l = quotient(p, a.wide), r = quotient(l, a.high), x0 = (p - l * (int)a.wide.by) * a.left,
                  y0 = (l - r * (int)a.high.by) * a.up;
        for (int i = 0; i < a.up && y0 + i < a.image_high; i++) {
            RT_UNROLL_N(1)
            for (int j = i == 0; j < a.left && x0 + j < a.image_wide; j++)
                put(a, a.to + ((r * a.image_high + y0 + i) * a.image_wide + x0 + j) * a.columns + n, bias.x, bias.y);
        }
    }
}

template <int MATH, int Q, bool BACK> __global__ void __launch_bounds__(WIDE, 3) k_point(job a)
{
    typedef point<MATH, Q, BACK> sums;
    RT_SHARED_DYNAMIC(float, shared);
    const int warp = (int)threadIdx.x >> 5, lane = (int)threadIdx.x & 31, g = lane >> 2, t = lane & 3,
              channel = warp % sums::ACROSS * (sums::MI * 16), pixel = warp / sums::ACROSS * (sums::NI * 8),
              tile = quotient((int)blockIdx.x, a.across), p0 = tile * PIXELS,
              column = ((int)blockIdx.x - tile * (int)a.across.by) * Q,
              pieces = (a.depth + DEPTH - 1) / DEPTH;
    sums sum;
    sum.begin(a, p0);
    for (int i = 1 - SLOTS, next = 0, now = 0; i < pieces; i++) {
        if (i >= 0) {
            rt_copy_wait<SLOTS - 2>();
            __syncthreads();                            /* nobody reads any more what comes next */
        }
        if (i + SLOTS - 1 < pieces) sum.copy(a, shared + next * sums::SLOT, (i + SLOTS - 1) * DEPTH, column);
        rt_copy_commit();
        next = next == SLOTS - 1 ? 0 : next + 1;
        if (i < 0) continue;
        const float *slot = shared + now * sums::SLOT + pixel * 16,
                    *w = shared + now * sums::SLOT + sums::IMAGE + (BACK ? channel * 16 : channel);
        now = now == SLOTS - 1 ? 0 : now + 1;
        const int left = a.depth - i * DEPTH;
        sum.add(slot, w, g, t);
        if (left > 16) sum.add(slot + PIXELS * 16, w + (BACK ? Q * 16 : 16 * sums::LD), g, t);
    }
    RT_UNROLL
    for (int j = 0; j < sums::NI * 2; j++) {
        const int p = p0 + pixel + j / 2 * 8 + 2 * t + j % 2;
        if (p >= a.pixels) continue;
        float *to = a.to + (BACK ? larger(a, p) : p) * a.columns;
        RT_UNROLL
        for (int i = 0; i < sums::MI; i++) {
            const int n = column + channel + i * 16 + 2 * g;
            if (n >= a.columns) continue;
            const float2 bias = a.bias ? *(const float2 *)(a.bias + n) : make_float2(0, 0);
            put(a, to + n, sum.acc[i][j / 2][j % 2] + bias.x, sum.acc[i][j / 2][2 + j % 2] + bias.y);
        }
    }
    if (BACK && a.strided && (a.bias || !a.add)) fill<Q>(a, p0, column);
}

template <int MATH, int Q, bool BACK> void launch(cudaStream_t stream, job a)
{
    const int pieces = (a.depth + DEPTH - 1) / DEPTH;
    const size_t bytes = (size_t)(pieces < SLOTS ? pieces : SLOTS) * point<MATH, Q, BACK>::SLOT * sizeof(float);
    const int across = rt_conv_up(a.columns, Q);
    a.across = divider_of(across);
    rt_shared_allowed(k_point<MATH, Q, BACK>, bytes);
    RT_LAUNCH((k_point<MATH, Q, BACK>), dim3((unsigned)(rt_conv_up(a.pixels, PIXELS) * across)), dim3(WIDE), bytes,
              stream, a);
}
template <int MATH, bool BACK> void launch_columns(cudaStream_t stream, const job &a)
{
    if (a.columns <= 16) launch<MATH, 16, BACK>(stream, a);
    else if (a.columns <= 32) launch<MATH, 32, BACK>(stream, a);
    else launch<MATH, MOST, BACK>(stream, a);
}
template <bool BACK> int run(cudaStream_t stream, const rt_conv_shape *s, rt_conv_math math, float *to,
                             const float *from, const float *w, const float *bias, rt_act act, int add)
{
    if (!rt_conv_is_point(s, math) || (((uintptr_t)from | (uintptr_t)w | (uintptr_t)to | (uintptr_t)bias) & 15))
        return 0;
    job a = {from, w, bias, to, (int)rt_conv_pixels(s), BACK ? s->n : s->c, BACK ? s->c : s->n,
             s->sh > 1 || s->sw > 1, add, s->w, s->h, s->sh, s->sw, divider_of(s->ow), divider_of(s->oh),
             divider_of(1), bounds_of(act)};
    if (math == RT_CONV_TF32X3) launch_columns<RT_CONV_TF32X3, BACK>(stream, a);
    else if (math == RT_CONV_TF32) launch_columns<RT_CONV_TF32, BACK>(stream, a);
    else launch_columns<RT_CONV_BF16, BACK>(stream, a);
    return 1;
}
}

extern "C" int rt_k_point(cudaStream_t stream, const rt_conv_shape *s, rt_conv_math math, float *y, const float *x,
                          const float *w, const float *bias, rt_act act, int add)
{ return run<false>(stream, s, math, y, x, w, bias, act, add); }

extern "C" int rt_k_point_back(cudaStream_t stream, const rt_conv_shape *s, rt_conv_math math, float *dx,
                               const float *dy, const float *w, const float *bias, int add)
{ return run<true>(stream, s, math, dx, dy, w, bias, RT_ACT_NONE, add); }
