/* engine/cuda/conv_patch_weights.cu - the gradient of a convolution's weights and bias on tensor cores, from patches:
 * products (taps and channels of the image, channels) over all pixels. See conv_launch.h, whose rt_conv_cut says how
 * the work is cut. A block of eight warps goes through the tiles of its part: the patch of the image and the gradients
 * of the tile, the next ones of which are on their way while it adds. A warp has 16 by 16 channels for all taps of the
 * block; where a block has fewer pairs of them than warps, these share the pixels, 16 at a time, and are added up in
 * their order at the end. */
#include "engine/cuda/conv_math.cuh"
#include "engine/cuda/conv_tiles.cuh"

namespace {

enum { WARPS = 8, WIDE = WARPS * 32, NINE = RT_CONV_CUT_TAPS, FIVE = RT_CONV_CUT_FEW };
enum { PIECE = 16 };                     /* channels of a warp */

struct job {
    rt_conv_shape s;
    rt_conv_cut cut;
    float *dw, *dbias;                   /* or where the first part of each lies; dbias may be NULL */
    const float *x, *dy;
    size_t next;                         /* floats from part to part; 0: there is one */
    int add_dw, add_dbias;
    int tiles;
    int patch, gradients;                /* floats of a slot */
    divider wide, pixels, down, across, patch_wide, patch_high, image_four, out_four;
};

/* Where a tile lies. */
RT_DEVICE spot spot_of(const job &a, int tile)
{
    int l = quotient(tile, a.across), r = quotient(l, a.down);
    return spot{r * a.cut.images, (l - r * a.cut.down) * a.cut.high, (tile - l * a.cut.across) * a.cut.wide};
}

RT_DEVICE void copy_patch(const job &a, float *patch, const spot &at, int c0)
{
    const rt_conv_shape &s = a.s;
    const int apart = a.cut.image_apart, fours = a.cut.image / 4, py = at.y0 * s.sh - s.pt,
              px = at.x0 * s.sw - s.pl, count = a.cut.images * a.cut.patch_high * a.cut.patch_wide * fours;
    RT_UNROLL_N(2)
    for (int i = (int)threadIdx.x; i < count; i += WIDE) {
        int q = quotient(i, a.image_four), four = (i - q * fours) * 4, l = quotient(q, a.patch_wide),
            r = quotient(l, a.patch_high), iy = py + l - r * a.cut.patch_high, ix = px + q - l * a.cut.patch_wide;
        bool in = at.r0 + r < s.rows && (unsigned)iy < (unsigned)s.h && (unsigned)ix < (unsigned)s.w && c0 + four < s.c;
        rt_copy_async(patch + q * apart + four,
                      a.x + (in ? (((at.r0 + r) * s.h + iy) * s.w + ix) * s.c + c0 + four : 0), 16, in);
    }
}
/* What there is no pixel for is 0. */
RT_DEVICE void copy_gradients(const job &a, float *gradients, const spot &at, int n0)
{
    const rt_conv_shape &s = a.s;
    const int apart = a.cut.out_apart, fours = a.cut.out / 4,
              count = (a.cut.images * (int)a.pixels.by + DEEP - 1) / DEEP * DEEP * fours;
    RT_UNROLL_N(2)
    for (int i = (int)threadIdx.x; i < count; i += WIDE) {
        int p = quotient(i, a.out_four), four = (i - p * fours) * 4, r = quotient(p, a.pixels),
            q = p - r * (int)a.pixels.by, ty = quotient(q, a.wide), y = at.y0 + ty,
            x = at.x0 + q - ty * a.cut.wide;
        bool in = r < a.cut.images && at.r0 + r < s.rows && y < s.oh && x < s.ow && n0 + four < s.n;
        rt_copy_async(gradients + p * apart + four,
                      a.dy + (in ? (((at.r0 + r) * s.oh + y) * s.ow + x) * s.n + n0 + four : 0), 16, in);
    }
}

/* A warp's sums: of each tap 16 channels of the image by 16, as two pieces (16, 8). Of 16 pixels lane (g, t) reads t,
 * t + 4, t + 8 and t + 12. Row g of a piece is channel 2g, row g + 8 channel 2g + 1; column g of piece j is 2g + j. */
template <int MATH, int TAPS> struct tap_sums {
    float acc[TAPS][2][4], bias[2];

    __device__ void clear()
    {
        RT_UNROLL
        for (int i = 0; i < TAPS * 8; i++) acc[i / 8][i / 4 % 2][i % 4] = 0.0f;
        bias[0] = bias[1] = 0.0f;
    }
    static __device__ void take(float x, uint32_t &high, uint32_t &low)
    {
        if (MATH == RT_CONV_TF32X3) split(x, high, low);
        else high = rt_tf32(x);
    }
    /* Halves h of 16 pixels: products of b[h][j] with a[h]. */
    static __device__ void products(float (&c)[2][2][4], const uint32_t (&a)[2][4], const uint32_t (&b)[2][2][2])
    {
        RT_UNROLL
        for (int h = 0; h < 2; h++) {
            RT_UNROLL
            for (int j = 0; j < 2; j++) rt_mma_tf32(c[h][j], a[h], b[h][j]);
        }
    }
    /* x[i], dy[i]: where the four pixels of this lane lie, with its channels; shifts of the taps count from there.
     * Sums of a few terms start from 0 and are then added as floats are: tensor cores cut off what they add. */
    template <class SHIFT>
    __device__ void add(const float *const (&x)[4], const float *const (&dy)[4], SHIFT shift, int taps)
    {
        float2 d[4];
        RT_UNROLL
        for (int i = 0; i < 4; i++) {
            d[i] = *(const float2 *)dy[i];
            bias[0] += d[i].x, bias[1] += d[i].y;
        }
        if constexpr (MATH == RT_CONV_BF16) {
            uint32_t b[2][2];
            RT_UNROLL
            for (int h = 0; h < 2; h++) {
                b[0][h] = rt_bf16_pair(d[2 * h].x, d[2 * h + 1].x);
                b[1][h] = rt_bf16_pair(d[2 * h].y, d[2 * h + 1].y);
            }
            RT_UNROLL
            for (int t = 0; t < TAPS; t++) {
                if ((TAPS != NINE || t == 3 || t == 6) && t >= taps) continue;      /* of nine there are all */
                const int at = shift.next();
                uint32_t a[4];
                RT_UNROLL
                for (int h = 0; h < 2; h++) {
                    float2 u = *(const float2 *)(x[2 * h] + at), v = *(const float2 *)(x[2 * h + 1] + at);
                    a[2 * h] = rt_bf16_pair(u.x, v.x);
                    a[2 * h + 1] = rt_bf16_pair(u.y, v.y);
                }
                RT_UNROLL
                for (int j = 0; j < 2; j++) rt_mma_bf16(acc[t][j], a, b[j]);
            }
        } else {
            uint32_t bh[2][2][2], bl[2][2][2];
            RT_UNROLL
            for (int i = 0; i < 4; i++) {
                take(d[i].x, bh[i / 2][0][i % 2], bl[i / 2][0][i % 2]);
                take(d[i].y, bh[i / 2][1][i % 2], bl[i / 2][1][i % 2]);
            }
            RT_UNROLL
            for (int t = 0; t < TAPS; t++) {
                if ((TAPS != NINE || t == 3 || t == 6) && t >= taps) continue;      /* of nine there are all */
                const int at = shift.next();
                uint32_t ah[2][4], al[2][4];
                RT_UNROLL
                for (int i = 0; i < 4; i++) {
                    float2 u = *(const float2 *)(x[i] + at);
                    take(u.x, ah[i / 2][i % 2 * 2], al[i / 2][i % 2 * 2]);
                    take(u.y, ah[i / 2][i % 2 * 2 + 1], al[i / 2][i % 2 * 2 + 1]);
                }
                if constexpr (MATH == RT_CONV_TF32X3) {
                    float part[2][2][4] = {};
                    products(part, al, bh);
                    products(part, ah, bl);
                    products(part, ah, bh);
                    RT_UNROLL
                    for (int i = 0; i < 8; i++)
                        acc[t][i / 4][i % 4] += part[0][i / 4][i % 4] + part[1][i / 4][i % 4];
                } else {
                    RT_UNROLL
                    for (int h = 0; h < 2; h++) {
                        RT_UNROLL
                        for (int j = 0; j < 2; j++) rt_mma_tf32(acc[t][j], ah[h], bh[h][j]);
                    }
                }
            }
        }
    }
};

/* From the first tap's pixel to the next ones', floats of the patch. */
struct shifts {
    int at, left, right, down, line; /* taps of a line still to come; to the next of it; to the next line; of a line */
    __device__ int next()
    {
        int here = at;
        if (--left) at += right;
        else at += down, left = line;
        return here;
    }
};

template <int MATH, int TAPS> __global__ void __launch_bounds__(WIDE, 1) k_patch_weights(job a)
{
    RT_SHARED_DYNAMIC(float, shared);
    const rt_conv_shape &s = a.s;
    const rt_conv_cut &cut = a.cut;
    const int warp = (int)threadIdx.x >> 5, lane = (int)threadIdx.x & 31, g = lane >> 2, t = lane & 3,
              out_pieces = cut.out / PIECE, pairs = cut.image / PIECE * out_pieces, share = WARPS / pairs,
              pair = warp % pairs, turn = warp / pairs, ci = pair / out_pieces * PIECE, q = pair % out_pieces * PIECE;
    unsigned b = blockIdx.x;
    const unsigned beside = (unsigned)((s.n + cut.out - 1) / cut.out),
                   along = (unsigned)((s.c + cut.image - 1) / cut.image);
    const int n0 = (int)(b % beside) * cut.out, c0 = (int)(b / beside % along) * cut.image,
              first_tap = (int)(b / beside / along) * cut.taps, left = s.kh * s.kw - first_tap,
              taps = left < cut.taps ? left : cut.taps;
    const int first = (int)blockIdx.y * cut.per, end = a.tiles - first < cut.per ? a.tiles : first + cut.per;
    const int apart = a.cut.image_apart, dy_apart = a.cut.out_apart,
              pixels = cut.images * (int)a.pixels.by, slot = a.patch + a.gradients, ky = first_tap / s.kw,
              kx = first_tap - ky * s.kw, line = cut.patch_wide * s.dh * apart;
    const shifts start = {ky * line + kx * s.dw * apart, s.kw - kx, s.dw * apart, line - (s.kw - 1) * s.dw * apart,
                          s.kw};
    tap_sums<MATH, TAPS> sum;
    sum.clear();
    for (int tile = first - 1; tile < end; tile++) {
        if (tile >= first) {
            rt_copy_wait<0>();
            __syncthreads();                            /* nobody reads any more what comes next */
        }
        if (tile + 1 < end) {
            const spot at = spot_of(a, tile + 1);
            float *to = shared + (tile + 1 - first) % 2 * slot;
            copy_patch(a, to, at, c0);
            copy_gradients(a, to + a.patch, at, n0);
        }
        rt_copy_commit();
        if (tile < first) continue;
        const float *patch = shared + (tile - first) % 2 * slot, *gradients = patch + a.patch;
        for (int p0 = turn * DEEP; p0 < pixels; p0 += share * DEEP) {
            const float *x[4], *dy[4];
            RT_UNROLL
            for (int i = 0; i < 4; i++) {
                int p = p0 + t + i * 4;
                dy[i] = gradients + p * dy_apart + q + 2 * g;
                if (p >= pixels) p = 0;
                int r = quotient(p, a.pixels), k = p - r * (int)a.pixels.by, ty = quotient(k, a.wide),
                    tx = k - ty * cut.wide;
                x[i] = patch + ((r * cut.patch_high + ty * s.sh) * cut.patch_wide + tx * s.sw) * apart + ci + 2 * g;
            }
            sum.add(x, dy, start, taps);
        }
    }
    /* of the bias: over the lanes that have other pixels */
    RT_UNROLL
    for (int j = 0; j < 2; j++) {
        sum.bias[j] += __shfl_xor_sync(~0u, sum.bias[j], 1);
        sum.bias[j] += __shfl_xor_sync(~0u, sum.bias[j], 2);
    }
    /* over the warps that share the pixels: the upper half of them hands over to the lower one */
    for (int half = share / 2; half; half /= 2) {
        __syncthreads();
        float *at = shared + ((turn - half) * pairs + pair) * ((TAPS * 8 + 2) * 32) + lane;
        if (turn >= half && turn < 2 * half) {
            RT_UNROLL
            for (int i = 0; i < TAPS * 8; i++) at[i * 32] = sum.acc[i / 8][i / 4 % 2][i % 4];
            at[TAPS * 8 * 32] = sum.bias[0], at[(TAPS * 8 + 1) * 32] = sum.bias[1];
        }
        __syncthreads();
        at += half * pairs * ((TAPS * 8 + 2) * 32);
        if (turn < half) {
            RT_UNROLL
            for (int i = 0; i < TAPS * 8; i++) sum.acc[i / 8][i / 4 % 2][i % 4] += at[i * 32];
            sum.bias[0] += at[TAPS * 8 * 32], sum.bias[1] += at[(TAPS * 8 + 1) * 32];
        }
    }
    const int n = n0 + q + 4 * t, c = c0 + ci + 2 * g;
    if (turn) return;
    if (a.dbias && first_tap == 0 && c0 + ci == 0 && t == 0) {
        RT_UNROLL
        for (int j = 0; j < 2; j++) {
            if (n0 + q + 2 * g + j >= s.n) continue;
            float *to = a.dbias + blockIdx.y * a.next + n0 + q + 2 * g + j;
            *to = a.add_dbias ? *to + sum.bias[j] : sum.bias[j];
        }
    }
    if (n >= s.n) return;
    RT_UNROLL
    for (int i = 0; i < TAPS; i++) {
        RT_UNROLL
        for (int k = 0; k < 2; k++) {
            if ((TAPS != NINE && i >= taps) || c + k >= s.c) continue;
            float4 *to = (float4 *)(a.dw + blockIdx.y * a.next + ((ptrdiff_t)(first_tap + i) * s.c + c + k) * s.n + n);
            float4 v = make_float4(sum.acc[i][0][2 * k], sum.acc[i][1][2 * k], sum.acc[i][0][2 * k + 1],
                                   sum.acc[i][1][2 * k + 1]);
            if (a.add_dw) {
                float4 old = *to;
                v.x += old.x, v.y += old.y, v.z += old.z, v.w += old.w;
            }
            *to = v;
        }
    }
}

template <int MATH, int TAPS> bool launch(cudaStream_t stream, const job &a)
{
    const size_t pairs = (size_t)(a.cut.image / PIECE * (a.cut.out / PIECE)), share = WARPS / pairs,
                 sums = share / 2 * pairs * (TAPS * 8 + 2) * 32 * sizeof(float),
                 tiles = 2 * (size_t)(a.patch + a.gradients) * sizeof(float), bytes = sums > tiles ? sums : tiles;
    if (!rt_shared_allowed(k_patch_weights<MATH, TAPS>, bytes)) return false;
    RT_LAUNCH((k_patch_weights<MATH, TAPS>), dim3((unsigned)a.cut.blocks, (unsigned)a.cut.parts), dim3(WIDE), bytes,
              stream, a);
    return true;
}

template <int MATH> bool launch_taps(cudaStream_t stream, const job &a)
{ return a.cut.taps == NINE ? launch<MATH, NINE>(stream, a) : launch<MATH, FIVE>(stream, a); }
}

extern "C" int rt_k_conv_patch_weights(cudaStream_t stream, const rt_conv_shape *s, rt_conv_math math, float *dw,
                                       float *dbias, float *partial, const float *x, const float *dy, int add_dw,
                                       int add_dbias)
{
    job a = {*s, rt_conv_cut_of(s), dw, dbias, x, dy, 0, add_dw, add_dbias};
    const rt_conv_cut &c = a.cut;
    uintptr_t at = (uintptr_t)x | (uintptr_t)dy | (uintptr_t)(c.parts > 1 ? partial : dw);
    if (!rt_conv_cuts(s, math) || (at & 15)) return 0;
    if (c.parts > 1) {
        a.dw = partial;
        a.dbias = dbias ? partial + rt_conv_weights(s) : nullptr;
        a.next = rt_conv_weights(s) + (size_t)s->n;
        a.add_dw = a.add_dbias = 0;
    }
    a.tiles = rt_conv_up(s->rows, c.images) * c.down * c.across;
    a.patch = c.images * c.patch_high * c.patch_wide * a.cut.image_apart;
    a.gradients = rt_conv_up(c.images * c.high * c.wide, DEEP) * DEEP * a.cut.out_apart;
    a.wide = divider_of(c.wide), a.pixels = divider_of(c.high * c.wide);
    a.down = divider_of(c.down), a.across = divider_of(c.across);
    a.patch_wide = divider_of(c.patch_wide), a.patch_high = divider_of(c.patch_high);
    a.image_four = divider_of(c.image / 4), a.out_four = divider_of(c.out / 4);
    if (math == RT_CONV_TF32X3) return launch_taps<RT_CONV_TF32X3>(stream, a);
    if (math == RT_CONV_TF32) return launch_taps<RT_CONV_TF32>(stream, a);
    return launch_taps<RT_CONV_BF16>(stream, a);
}
