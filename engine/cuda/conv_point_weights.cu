/* engine/cuda/conv_point_weights.cu - the gradient of weights and bias of a convolution of one pixel (1 by 1) on tensor
 * cores: a product (channels of the image, channels) over all pixels. See conv_launch.h, whose rt_conv_point says how
 * the work is cut. A block of eight warps goes through the tiles of its part, of which the next is on its way while it
 * adds. A warp has up to 32 by 32 channels; warps of the same ones share the pixels, 16 at a time, and are added up in
 * their order at the end. */
#include "engine/cuda/conv_math.cuh"
#include "engine/cuda/conv_tiles.cuh"

namespace {

enum { WARPS = 8, WIDE = WARPS * 32, SLOTS = 2, PAD = 8, SIDE = 32 /* channels of a warp */ };

struct job {
    const float *x, *dy;
    int pixels, c, n, image, out, per, tile, tiles;
    int strided, image_wide, image_high, up, left;
    divider wide, high, along;           /* of the output; blocks along the channels of the image */
    float *dw, *dbias;                   /* or where the first part of each lies; dbias may be NULL */
    size_t next;                         /* floats from part to part; 0: there is one */
    int add_dw, add_dbias;
};

RT_DEVICE int seen_by(const job &a, int p)
{
    if (!a.strided) return p;
    const int l = quotient(p, a.wide), x = p - l * (int)a.wide.by, r = quotient(l, a.high), y = l - r * (int)a.high.by;
    return (r * a.image_high + y * a.up) * a.image_wide + x * a.left;
}

/* Tile of `channels` from c0 on of pixels that have `ld`; what there is no pixel for is 0. */
template <bool IMAGE> RT_DEVICE void copy(const job &a, float *to, const float *from, int p0, int c0, int channels,
                                          int ld)
{
    const int shift = channels == 16 ? 2 : channels == 32 ? 3 : 4,      /* divisions take their time */
              c = ((int)threadIdx.x & ((1 << shift) - 1)) * 4, each = WIDE >> shift;
    RT_UNROLL_N(2)
    for (int p = (int)threadIdx.x >> shift; p < a.tile; p += each) {
        const bool in = p0 + p < a.pixels && c0 + c < ld;
        rt_copy_async(to + p * (channels + PAD) + c,
                      from + (in ? (IMAGE ? seen_by(a, p0 + p) : p0 + p) * ld + c0 + c : 0), 16, in);
    }
}

/* A warp's sums as MI by NI pieces (16, 8) of 16 pixels at a time, of which lane t of four has t, t + 4, t + 8 and
 * t + 12. Row g of piece i is channel 2g of its 16, row g + 8 is 2g + 1; column g of pieces 2j and 2j + 1 is 2g and
 * 2g + 1 of 16. */
template <int MATH, int MI, int NI> struct point_sums {
    enum { FLOATS = MI * NI * 128, BIAS = NI * 8 };
    float acc[MI][NI][4], bias[NI];

    __device__ void clear()
    {
        RT_UNROLL
        for (int i = 0; i < MI * NI * 4; i++) acc[i / (NI * 4)][i / 4 % NI][i % 4] = 0.0f;
        RT_UNROLL
        for (int j = 0; j < NI; j++) bias[j] = 0.0f;
    }
    /* x, dy: this lane's first pixel at its channels. Sums of a few terms start from 0 and are then added as floats
     * are: tensor cores cut off what they add. */
    __device__ void add(const float *x, int x_ld, const float *dy, int dy_ld)
    {
        float u[MI][2][4], d[NI][4];
        RT_UNROLL
        for (int k = 0; k < 4; k++) {
            RT_UNROLL
            for (int i = 0; i < MI; i++) {
                const float2 f = *(const float2 *)(x + k * 4 * x_ld + i * 16);
                u[i][0][k] = f.x, u[i][1][k] = f.y;
            }
            RT_UNROLL
            for (int j = 0; j < NI; j += 2) {
                const float2 f = *(const float2 *)(dy + k * 4 * dy_ld + j * 8);
                d[j][k] = f.x, d[j + 1][k] = f.y;
                bias[j] += f.x, bias[j + 1] += f.y;
            }
        }
        if constexpr (MATH == RT_CONV_BF16) {
            RT_UNROLL
            for (int i = 0; i < MI * NI; i++) {
                const float(&v)[2][4] = u[i / NI];
                const float(&w)[4] = d[i % NI];
                const uint32_t p[4] = {rt_bf16_pair(v[0][0], v[0][1]), rt_bf16_pair(v[1][0], v[1][1]),
                                       rt_bf16_pair(v[0][2], v[0][3]), rt_bf16_pair(v[1][2], v[1][3])},
                               q[2] = {rt_bf16_pair(w[0], w[1]), rt_bf16_pair(w[2], w[3])};
                rt_mma_bf16(acc[i / NI][i % NI], p, q);
            }
        } else {
            uint32_t ah[2][MI][4], al[2][MI][4], bh[2][NI][2], bl[2][NI][2];
            RT_UNROLL
            for (int i = 0; i < MI * 8; i++) {
                const int q = i / 8, k = i / 2 % 4, h = i % 2;
                take_cut<MATH>(u[q][h][k], ah[k / 2][q][k % 2 * 2 + h], al[k / 2][q][k % 2 * 2 + h]);
            }
            RT_UNROLL
            for (int j = 0; j < NI * 4; j++)
                take_split<MATH>(d[j / 4][j % 4], bh[j / 2 % 2][j / 4][j % 2], bl[j / 2 % 2][j / 4][j % 2]);
            add_halves<MATH>(acc, ah, al, bh, bl);
        }
    }
    /* Four neighbouring channels of row 2g + h of 16 at a time. */
    __device__ void store(float *to, float *to_bias, int lane) const
    {
        RT_UNROLL
        for (int i = 0; i < MI * NI; i++) {
            const int h = i / (NI / 2) % 2, j = i % (NI / 2) * 2;
            const float(&v)[NI][4] = acc[i / NI];
            *(float4 *)(to + i * 128 + lane * 4) = make_float4(v[j][2 * h], v[j + 1][2 * h], v[j][2 * h + 1],
                                                               v[j + 1][2 * h + 1]);
        }
        if (lane % 4) return;
        RT_UNROLL
        for (int j = 0; j < NI; j += 2) *(float2 *)(to_bias + j * 8 + lane / 2) = make_float2(bias[j], bias[j + 1]);
    }
};

RT_DEVICE void add_to(float4 &sum, const float4 &v) { sum.x += v.x, sum.y += v.y, sum.z += v.z, sum.w += v.w; }

/* What the warps have, added in their order; `sides` of them have different channels, two along the output's
 * where it is wide. */
template <int MI, int NI> RT_DEVICE void write(const job &a, const float *all, int sides, int wide, int c0, int n0)
{
    enum { FLOATS = MI * NI * 128, BIAS = NI * 8 };
    RT_UNROLL_N(1)
    for (int q = (int)threadIdx.x; q < sides * (FLOATS / 4); q += WIDE) {
        const int side = q / (FLOATS / 4), i = q / 32 % (MI * NI), t = q & 3, g = q >> 2 & 7,
                  c = c0 + (side >> wide) * SIDE + i / NI * 16 + 2 * g + i / (NI / 2) % 2,
                  n = n0 + (side & wide) * SIDE + i % (NI / 2) * 16 + t * 4;
        float4 v = *(const float4 *)(all + q * 4);
        for (int warp = sides; warp < WARPS; warp += sides) add_to(v, *(const float4 *)(all + q * 4 + warp * FLOATS));
        if (n >= a.n || c >= a.c) continue;
        float4 *to = (float4 *)(a.dw + blockIdx.y * a.next + (ptrdiff_t)c * a.n + n);
        if (a.add_dw) add_to(v, *to);
        *to = v;
    }
    if (!a.dbias || c0) return;
    const float *bias = all + WARPS * FLOATS;
    for (int i = (int)threadIdx.x; i < (1 + wide) * BIAS && n0 + i < a.n; i += WIDE) {
        float v = bias[i];
        for (int warp = sides; warp < WARPS; warp += sides) v += bias[warp * BIAS + i];
        float *to = a.dbias + blockIdx.y * a.next + n0 + i;
        *to = a.add_dbias ? *to + v : v;
    }
}

template <int MATH, int MI, int NI> __global__ void __launch_bounds__(WIDE, 1) k_point_weights(job a)
{
    RT_SHARED_DYNAMIC(float, shared);
    const int warp = (int)threadIdx.x >> 5, lane = (int)threadIdx.x & 31, g = lane >> 2, t = lane & 3,
              wide = a.out > SIDE, shift = wide + (a.image > SIDE), side = warp & ((1 << shift) - 1),
              share = WARPS >> shift, turn = warp >> shift, b = quotient((int)blockIdx.x, a.along),
              c0 = ((int)blockIdx.x - b * (int)a.along.by) * a.image, n0 = b * a.out,
              x_ld = a.image + PAD, dy_ld = a.out + PAD,
              slot = a.tile * (x_ld + dy_ld), first = (int)blockIdx.y * a.per,
              end = a.tiles - first < a.per ? a.tiles : first + a.per;
    point_sums<MATH, MI, NI> sum;
    sum.clear();
    for (int tile = first + 1 - SLOTS, put = 0; tile < end; tile++, put ^= 1) {
        if (tile >= first) {
            rt_copy_wait<0>();
            __syncthreads();                            /* nobody reads any more what comes next */
        }
        if (tile + 1 < end) {
            float *to = shared + put * slot;
            copy<true>(a, to, a.x, (tile + 1) * a.tile, c0, a.image, a.c);
            copy<false>(a, to + a.tile * x_ld, a.dy, (tile + 1) * a.tile, n0, a.out, a.n);
        }
        rt_copy_commit();
        if (tile < first) continue;
        const float *x = shared + (put ^ 1) * slot + t * x_ld + (side >> wide) * SIDE + 2 * g,
                    *dy = shared + (put ^ 1) * slot + a.tile * x_ld + t * dy_ld + (side & wide) * SIDE + 2 * g;
        for (int i = turn; i < a.tile / 16; i += share) sum.add(x + i * 16 * x_ld, x_ld, dy + i * 16 * dy_ld, dy_ld);
    }
    /* of the bias: over the lanes that have other pixels */
    RT_UNROLL
    for (int j = 0; j < NI; j++) {
        sum.bias[j] += __shfl_xor_sync(~0u, sum.bias[j], 1);
        sum.bias[j] += __shfl_xor_sync(~0u, sum.bias[j], 2);
    }
    typedef point_sums<MATH, MI, NI> mine;
    __syncthreads();
    sum.store(shared + warp * mine::FLOATS, shared + WARPS * mine::FLOATS + warp * mine::BIAS, lane);
    __syncthreads();
    write<MI, NI>(a, shared, 1 << shift, wide, c0, n0);
}

template <int MATH, int MI, int NI> bool launch(cudaStream_t stream, const job &a, const rt_conv_point &c)
{
    const size_t floats = WARPS * (size_t)(MI * NI * 128 + NI * 8),
                 tiles = (a.per > 1 ? SLOTS : 1) * (size_t)a.tile * (size_t)(a.image + a.out + 2 * PAD),
                 bytes = (floats > tiles ? floats : tiles) * sizeof(float);
    if (!rt_shared_allowed(k_point_weights<MATH, MI, NI>, bytes)) return false;
    RT_LAUNCH((k_point_weights<MATH, MI, NI>), dim3((unsigned)c.blocks, (unsigned)c.parts), dim3(WIDE), bytes, stream,
              a);
    return true;
}
template <int MATH> bool launch_sides(cudaStream_t stream, const job &a, const rt_conv_point &c)
{
    if (a.image == 16) return a.out == 16 ? launch<MATH, 1, 2>(stream, a, c) : launch<MATH, 1, 4>(stream, a, c);
    return a.out == 16 ? launch<MATH, 2, 2>(stream, a, c) : launch<MATH, 2, 4>(stream, a, c);
}
}

extern "C" int rt_k_point_weights(cudaStream_t stream, const rt_conv_shape *s, rt_conv_math math, float *dw,
                                  float *dbias, float *partial, const float *x, const float *dy, int add_dw,
                                  int add_dbias)
{
    if (!rt_conv_is_point(s, math)) return 0;
    const rt_conv_point c = rt_conv_point_of(s);
    if (((uintptr_t)x | (uintptr_t)dy | (uintptr_t)(c.parts > 1 ? partial : dw)) & 15) return 0;
    job a = {};
    a.x = x, a.dy = dy, a.dw = dw, a.dbias = dbias, a.add_dw = add_dw, a.add_dbias = add_dbias;
    a.pixels = (int)rt_conv_pixels(s), a.c = s->c, a.n = s->n, a.image = c.image, a.out = c.out;
    a.tile = c.pixels, a.tiles = rt_conv_up(a.pixels, c.pixels), a.per = c.per;
    a.along = divider_of(rt_conv_up(s->c, c.image));
    a.strided = s->sh > 1 || s->sw > 1, a.image_wide = s->w, a.image_high = s->h, a.up = s->sh, a.left = s->sw;
    a.wide = divider_of(s->ow), a.high = divider_of(s->oh);
    if (c.parts > 1) {
        a.dw = partial;
        a.dbias = dbias ? partial + rt_conv_weights(s) : nullptr;
        a.next = rt_conv_weights(s) + (size_t)s->n;
        a.add_dw = a.add_dbias = 0;
    }
    if (math == RT_CONV_TF32X3) return launch_sides<RT_CONV_TF32X3>(stream, a, c);
    if (math == RT_CONV_TF32) return launch_sides<RT_CONV_TF32>(stream, a, c);
    return launch_sides<RT_CONV_BF16>(stream, a, c);
}
