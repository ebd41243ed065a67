/* engine/cuda/conv_patch_weights.cu - the gradient of a convolution's weights and bias on tensor cores, from patches:
 * products (taps and channels of the image, channels) over all pixels. See conv_launch.h, whose rt_conv_cut says how
 * the work is cut. A block of four warps goes through the tiles of its part: the patch of the image and the gradients
 * of the tile, the next two of which are on their way while it adds; eight warps would be faster alone, but leave no
 * registers to the kernels of the way back, which go on beside. A warp has 16 by 16 channels for all taps of the
 * block; warps of the same channels share the pixels, 16 at a time, and are added up in their order at the end.
 *
 * Which 16 terms of a sum are which of a product is free, so lane t of four has a run of four pixels of a line, and
 * reads and splits what the taps of a line see of it once for all of them. */
#include "engine/cuda/conv_math.cuh"
#include "engine/cuda/conv_tiles.cuh"

namespace {

enum { WARPS = 4, WIDE = WARPS * 32, SLOTS = 3, FEW = RT_CONV_CUT_FEW, RUN = RT_CONV_RUN, GAP = RT_CONV_GAP };
enum { PIECE = 16 };                     /* channels of a warp, each way */

struct job {
    const float *x, *dy;
    int rows, h, w, c, oh, ow, n;
    int sh, sw, pt, pl;
    int tiles, per;
    int images, high, wide, patch_wide, line;
    int patch, slot, gradients, apart;   /* floats: of a patch, of a slot; pixels, up to 16; floats of one */
    int out, first_line, taps;           /* channels of a block; floats from a line of taps to the next; taps of it */
    divider down, across, lines, patch_lines, pixels, lengths, along, beside, kw;
    float *dw, *dbias;                   /* or where the first part of each lies; dbias may be NULL */
    size_t next;                         /* floats from part to part; 0: there is one */
    int add_dw, add_dbias, all_taps, dw_apart;
};

RT_DEVICE spot spot_of(const job &a, int tile)
{
    int l = quotient(tile, a.across), r = quotient(l, a.down);
    return spot{r * a.images, (l - r * (int)a.down.by) * a.high, (tile - l * (int)a.across.by) * a.wide};
}
RT_DEVICE void go_on(const job &a, spot &at)
{
    at.x0 += a.wide;
    if (at.x0 < (int)a.across.by * a.wide) return;
    at.x0 = 0, at.y0 += a.high;
    if (at.y0 < (int)a.down.by * a.high) return;
    at.y0 = 0, at.r0 += a.images;
}

/* SW: the stride along a line, 1 or 2, of taps that lie side by side; 0: taps are anywhere. */
template <int SW> struct places {
    enum { SHIFT = SW == 2 ? 3 : 2 };                   /* pixels to a gap */
    static __device__ __forceinline__ int of(int x) { return x * PIECE + (x >> SHIFT) * GAP; }
};

/* A thread copies 16 bytes of the same pixel of every so many-th line, and where lines are longer than the threads'
 * pixels, of the next ones of it. */
struct copier { int x, line, four, pixels, lines; };
RT_DEVICE copier copier_of(int channels, const divider &wide)
{
    const int shift = channels == PIECE ? 2 : 3,        /* divisions take their time */
              pixels = WIDE >> shift, q = (int)threadIdx.x >> shift, line = quotient(q, wide),
              lines = quotient(pixels, wide);
    return copier{q - line * (int)wide.by, line, ((int)threadIdx.x & ((1 << shift) - 1)) * 4, pixels,
                  lines ? lines : 1};
}

/* From line to line it but adds: what a warp computes between its copies is what they take, as it issues in order. */
template <int SW> RT_DEVICE void copy_patch(const job &a, const copier &k, float *patch, const spot &at, int c0)
{
    const int y0 = at.y0 * a.sh - a.pt + k.line, x0 = at.x0 * a.sw - a.pl, c = c0 + k.four,
              image = a.h * a.w * a.c, step = k.lines * a.w * a.c, apart = k.lines * a.line;
    if (k.line >= k.lines) return;
    RT_UNROLL_N(1)
    for (int x = k.x; x < a.patch_wide; x += k.pixels) {
        const bool in_line = (unsigned)(x0 + x) < (unsigned)a.w && c < a.c;
        int first = ((at.r0 * a.h + y0) * a.w + x0 + x) * a.c + c;
        float *begin = patch + k.line * a.line + places<SW>::of(x) + k.four;
        RT_UNROLL_N(1)
        for (int r = 0; r < a.images; r++, first += image, begin += (int)a.patch_lines.by * a.line) {
            const int high = in_line && at.r0 + r < a.rows ? a.h : 0;
            int from = first, y = y0;
            float *to = begin;
            RT_UNROLL_N(2)
            for (int l = k.line; l < (int)a.patch_lines.by; l += k.lines, y += k.lines, from += step, to += apart) {
                const bool in = (unsigned)y < (unsigned)high;
                rt_copy_async(to, a.x + (in ? (unsigned)from : 0u), 16, in);
            }
        }
    }
}
/* What there is no pixel for is 0. */
RT_DEVICE void copy_gradients(const job &a, const copier &k, float *gradients, const spot &at, int n0)
{
    const int y0 = at.y0 + k.line, n = n0 + k.four, image = a.oh * a.ow * a.n, step = k.lines * a.ow * a.n,
              line = a.wide * a.apart, apart = k.lines * line;
    if (k.line >= k.lines) return;
    RT_UNROLL_N(1)
    for (int x = k.x; x < a.wide; x += k.pixels) {
        const bool in_line = at.x0 + x < a.ow && n < a.n;
        int first = ((at.r0 * a.oh + y0) * a.ow + at.x0 + x) * a.n + n;
        float *begin = gradients + k.line * line + x * a.out + x / RUN * GAP + k.four;
        RT_UNROLL_N(1)
        for (int r = 0; r < a.images; r++, first += image, begin += (int)a.lines.by * line) {
            const int high = in_line && at.r0 + r < a.rows ? a.oh : 0;
            int from = first, y = y0;
            float *to = begin;
            RT_UNROLL_N(2)
            for (int l = k.line; l < (int)a.lines.by; l += k.lines, y += k.lines, from += step, to += apart) {
                const bool in = y < high;
                rt_copy_async(to, a.dy + (in ? (unsigned)from : 0u), 16, in);
            }
        }
    }
}

/* Where the runs of a tile begin in a patch; where taps that are anywhere see the pixels of a run. */
template <int SW> RT_DEVICE void find_places(const job &a, int *begin, int4 *offsets, int first_tap, int taps)
{
    const int i = (int)threadIdx.x, p = i * RUN, l = quotient(p, a.pixels), r = quotient(l, a.lines),
              line = (r * (int)a.patch_lines.by + (l - r * (int)a.lines.by) * a.sh) * a.line;
    if (p < a.gradients) begin[i] = r < a.images ? line + places<SW>::of((p - l * a.wide) * a.sw) : 0;
    if (SW || i >= taps) return;
    const int tap = first_tap + i, ky = quotient(tap, a.kw), y = ky * a.first_line,
              x = (tap - ky * (int)a.kw.by) * a.dw_apart;
    offsets[i] = make_int4(y + places<SW>::of(x), y + places<SW>::of(x + a.sw), y + places<SW>::of(x + 2 * a.sw),
                           y + places<SW>::of(x + 3 * a.sw));
}

/* A warp's sums: of each tap 16 channels of the image by 16, as two pieces (16, 8). Row g of a piece is channel 2g, row
 * g + 8 channel 2g + 1; column g of piece j is 2g + j. Of a lane's four pixels the products of a tap take two and two:
 * neighbours, or those in the middle and those at the ends, so that taps side by side take the same two pixels of the
 * image, as registers that lie side by side. */
template <int MATH, int LINES, int KW, int SW> struct tap_sums {
    enum { TAPS = LINES * KW, STEP = SW ? SW : 1, SEEN = 3 * STEP + KW };
    float acc[TAPS][2][4], bias[2];
    uint32_t high[4][2][2], low[4][2][2];               /* gradients: which two pixels; piece; pixel */

    __device__ void clear()
    {
        RT_UNROLL
        for (int i = 0; i < TAPS * 8; i++) acc[i / 8][i / 4 % 2][i % 4] = 0.0f;
        bias[0] = bias[1] = 0.0f;
    }
    static __device__ __forceinline__ bool ends(int k) { return SW == 1 ? k % 2 == 1 : SW == 2 && k == 0; }
    /* Pixel i of the two h of tap k: of the lane's run. */
    static __device__ __forceinline__ int pixel_of(int k, int h, int i)
    { return !ends(k) ? 2 * h + i : h ? 3 * i : 1 + i; }

    __device__ void begin(const float *dy, int out)
    {
        float2 d[4];
        RT_UNROLL
        for (int i = 0; i < 4; i++) {
            d[i] = *(const float2 *)(dy + i * out);
            bias[0] += d[i].x, bias[1] += d[i].y;
        }
        if constexpr (MATH == RT_CONV_BF16) {
            RT_UNROLL
            for (int h = 0; h < 2; h++) {
                high[0][0][h] = rt_bf16_pair(d[2 * h].x, d[2 * h + 1].x);
                high[0][1][h] = rt_bf16_pair(d[2 * h].y, d[2 * h + 1].y);
            }
        } else {
            uint32_t u[4][2], v[4][2];
            RT_UNROLL
            for (int i = 0; i < 4; i++)
                take_split<MATH>(d[i].x, u[i][0], v[i][0]), take_split<MATH>(d[i].y, u[i][1], v[i][1]);
            RT_UNROLL
            for (int q = 0; q < 16; q++) {
                const int two = q / 4, j = q / 2 % 2, i = q % 2, p = two < 2 ? 2 * two + i : two == 2 ? 1 + i : 3 * i;
                high[two][j][i] = u[p][j], low[two][j][i] = v[p][j];
            }
        }
    }
    /* Sums of a few terms start from 0 and are then added as floats are: tensor cores cut off what they add. */
    __device__ void add_line(float (&c)[KW][2][4], const float2 (&seen)[SEEN])
    {
        if constexpr (MATH == RT_CONV_BF16) {
            RT_UNROLL
            for (int k = 0; k < KW; k++) {
                uint32_t a[4];
                RT_UNROLL
                for (int h = 0; h < 2; h++) {
                    const float2 p = seen[2 * h * STEP + k], q = seen[(2 * h + 1) * STEP + k];
                    a[2 * h] = rt_bf16_pair(p.x, q.x);
                    a[2 * h + 1] = rt_bf16_pair(p.y, q.y);
                }
                RT_UNROLL
                for (int j = 0; j < 2; j++) rt_mma_bf16(c[k][j], a, high[0][j]);
            }
        } else {
            enum { THREE = MATH == RT_CONV_TF32X3 };
            uint32_t u[SEEN][2], v[SEEN][2];
            float part[KW][2][4] = {};
            RT_UNROLL
            for (int i = 0; i < SEEN; i++) {
                take_cut<MATH>(seen[i].x, u[i][0], v[i][0]);
                take_cut<MATH>(seen[i].y, u[i][1], v[i][1]);
            }
            RT_UNROLL
            for (int turn = THREE ? 0 : 4; turn < 6; turn++) {
                const int h = turn % 2, kind = turn / 2;    /* low by high, high by low, high by high */
                RT_UNROLL
                for (int k = 0; k < KW; k++) {
                    const int p = pixel_of(k, h, 0) * STEP + k, q = pixel_of(k, h, 1) * STEP + k,
                              two = (ends(k) ? 2 : 0) + h;
                    const uint32_t a[4] = {kind ? u[p][0] : v[p][0], kind ? u[p][1] : v[p][1],
                                           kind ? u[q][0] : v[q][0], kind ? u[q][1] : v[q][1]};
                    RT_UNROLL
                    for (int j = 0; j < 2; j++)
                        rt_mma_tf32(THREE ? part[k][j] : c[k][j], a, kind == 1 ? low[two][j] : high[two][j]);
                }
            }
            if constexpr (THREE) {
                RT_UNROLL
                for (int i = 0; i < KW * 8; i++) c[i / 8][i / 4 % 2][i % 4] += part[i / 8][i / 4 % 2][i % 4];
            }
        }
    }
    /* x, dy: the first pixel of the lane's run, at its channels. The next line of taps is `line` floats on; of taps
     * that are anywhere, `offsets` has where each sees the four pixels. */
    __device__ void add(const float *x, const float *dy, int out, int line, const int4 *offsets, int taps)
    {
        begin(dy, out);
        RT_UNROLL
        for (int l = 0; l < LINES; l++) {
            float2 seen[SEEN];
            if (SW) {
                RT_UNROLL
                for (int i = 0; i < SEEN; i++) seen[i] = *(const float2 *)(x + places<SW>::of(i));
                x += line;
            } else {
                if (l >= taps) break;
                const int4 at = offsets[l];
                seen[0] = *(const float2 *)(x + at.x), seen[1] = *(const float2 *)(x + at.y);
                seen[2] = *(const float2 *)(x + at.z), seen[3] = *(const float2 *)(x + at.w);
            }
            float (&c)[KW][2][4] = *(float (*)[KW][2][4])&acc[l * KW];
            add_line(c, seen);
        }
    }
    /* Four neighbouring channels of every tap: rows are k * 8 + g for channel 2g + k. */
    __device__ void store(float *to, float *to_bias, int lane) const
    {
        RT_UNROLL
        for (int i = 0; i < TAPS * 2; i++) {
            const int k = i % 2;
            const float(&v)[2][4] = acc[i / 2];
            *(float4 *)(to + i * 128 + lane * 4) = make_float4(v[0][2 * k], v[1][2 * k], v[0][2 * k + 1],
                                                               v[1][2 * k + 1]);
        }
        if (lane % 4 == 0) *(float2 *)(to_bias + lane / 2) = make_float2(bias[0], bias[1]);
    }
};

RT_DEVICE void add_to(float4 &sum, const float4 &v) { sum.x += v.x, sum.y += v.y, sum.z += v.z, sum.w += v.w; }

/* What the warps have, added in their order. */
template <int TAPS>
RT_DEVICE void write(const job &a, const float *sums, int pairs, int n0, int c0, int first, int taps)
{
    enum { FLOATS = TAPS * PIECE * PIECE };
    const float *bias = sums + WARPS * FLOATS;
    RT_UNROLL_N(1)
    for (int i = (int)threadIdx.x; i < pairs * TAPS * 64; i += WIDE) {
        const int pair = i / (TAPS * 64), tap = i / 64 % TAPS, k = i >> 5 & 1, g = i >> 2 & 7,
                  n = n0 + pair * PIECE + (i & 3) * 4, c = c0 + 2 * g + k;
        const float *from = sums + i * 4;
        float4 v = *(const float4 *)from;
        for (int warp = pairs; warp < WARPS; warp += pairs) add_to(v, *(const float4 *)(from + warp * FLOATS));
        if (tap >= taps || n >= a.n || c >= a.c) continue;
        float4 *to = (float4 *)(a.dw + blockIdx.y * a.next + ((ptrdiff_t)(first + tap) * a.c + c) * a.n + n);
        if (a.add_dw) add_to(v, *to);
        *to = v;
    }
    if (!a.dbias || first || c0) return;
    RT_UNROLL_N(1)
    for (int i = (int)threadIdx.x; i < pairs * PIECE && n0 + i < a.n; i += WIDE) {
        float v = bias[i];
        for (int warp = pairs; warp < WARPS; warp += pairs) v += bias[warp * PIECE + i];
        float *to = a.dbias + blockIdx.y * a.next + n0 + i;
        *to = a.add_dbias ? *to + v : v;
    }
}

template <int MATH, int LINES, int KW, int SW> __global__ void __launch_bounds__(WIDE, 1) k_patch_weights(job a)
{
    RT_SHARED_DYNAMIC(float, shared);
    const int warp = (int)threadIdx.x >> 5, lane = (int)threadIdx.x & 31, g = lane >> 2, t = lane & 3,
              two = a.out > PIECE, pair = warp & two, turn = warp >> two, share = WARPS >> two,
              late = warp >= WARPS / 2;
    const int b = quotient((int)blockIdx.x, a.beside), chunk = quotient(b, a.along),
              n0 = ((int)blockIdx.x - b * (int)a.beside.by) * a.out, c0 = (b - chunk * (int)a.along.by) * PIECE,
              first_tap = chunk * a.taps, left = a.all_taps - first_tap, taps = left < a.taps ? left : a.taps,
              first = (int)blockIdx.y * a.per, end = a.tiles - first < a.per ? a.tiles : first + a.per,
              groups = a.gradients / DEEP, out = a.out;
    int *begin = (int *)(shared + SLOTS * a.slot);
    int4 *offsets = (int4 *)begin;
    begin += FEW * 4;
    const int line = SW ? a.first_line : 0;
    const int above = SW ? first_tap / KW * a.first_line : 0;
    const copier of_patch = copier_of(PIECE, a.lengths), of_gradients = copier_of(out, a.pixels);
    spot at = spot_of(a, first);
    tap_sums<MATH, LINES, KW, SW> sum;
    sum.clear();
    for (int tile = first + 1 - SLOTS, put = 0, get = 0; tile < end; tile++) {
        if (tile >= first) {
            rt_copy_wait<SLOTS - 2>();
            __syncthreads();                            /* nobody reads any more what comes next */
        }
        /* half of the warps copy while the others add */
        RT_UNROLL_N(1)
        for (int half = 0; half < 2; half++) {
            if (half != late) {
                if (tile < first) continue;
                const float *patch = shared + get * a.slot + above + 2 * g,
                            *gradients = shared + get * a.slot + a.patch + pair * PIECE + 2 * g;
                RT_UNROLL_N(1)
                for (int i = turn; i < groups; i += share)
                    sum.add(patch + begin[i * 4 + t], gradients + (i * 4 + t) * (RUN * out + GAP), out, line, offsets,
                            taps);
            } else {
                if (tile + SLOTS - 1 < end) {
                    float *to = shared + put * a.slot;
                    copy_patch<SW>(a, of_patch, to, at, c0);
                    copy_gradients(a, of_gradients, to + a.patch, at, n0);
                    go_on(a, at);
                }
                rt_copy_commit();
            }
        }
        put = put == SLOTS - 1 ? 0 : put + 1;
        if (tile >= first) get = get == SLOTS - 1 ? 0 : get + 1;
        if (tile + SLOTS == first + 1) {                /* while the first copies are on their way */
            find_places<SW>(a, begin, offsets, first_tap, taps);
            for (int i = a.images * a.high * a.wide * a.apart + (int)threadIdx.x; i < a.gradients * a.apart; i += WIDE)
                for (int k = 0; k < SLOTS; k++) shared[k * a.slot + a.patch + i] = 0.0f;
        }
    }
    /* of the bias: over the lanes that have other pixels */
    RT_UNROLL
    for (int j = 0; j < 2; j++) {
        sum.bias[j] += __shfl_xor_sync(~0u, sum.bias[j], 1);
        sum.bias[j] += __shfl_xor_sync(~0u, sum.bias[j], 2);
    }
    enum { TAPS = LINES * KW, FLOATS = TAPS * PIECE * PIECE };
    rt_copy_wait<0>();
    __syncthreads();
    sum.store(shared + warp * FLOATS, shared + WARPS * FLOATS + warp * PIECE, lane);
    __syncthreads();
    write<TAPS>(a, shared, 1 + two, n0, c0, first_tap, taps);
}

template <int MATH, int LINES, int KW, int SW> bool launch(cudaStream_t stream, const job &a, dim3 grid)
{
    const size_t sums = WARPS * (LINES * KW * PIECE * PIECE + PIECE),
                 tiles = SLOTS * (size_t)a.slot + FEW * 4 + (size_t)(a.gradients / RUN),
                 bytes = (sums > tiles ? sums : tiles) * sizeof(float);
    if (!rt_shared_allowed(k_patch_weights<MATH, LINES, KW, SW>, bytes)) return false;
    RT_LAUNCH((k_patch_weights<MATH, LINES, KW, SW>), grid, dim3(WIDE), bytes, stream, a);
    return true;
}

template <int MATH> bool launch_taps(cudaStream_t stream, const rt_conv_shape &s, const job &a, dim3 grid)
{
    if (rt_conv_three_lines(&s))
        return s.sw == 1 ? launch<MATH, 3, 3, 1>(stream, a, grid) : launch<MATH, 3, 3, 2>(stream, a, grid);
    return s.kw == FEW && s.dw == 1 && s.sw == 1 ? launch<MATH, 1, FEW, 1>(stream, a, grid)
                                                 : launch<MATH, FEW, 1, 0>(stream, a, grid);
}
}

extern "C" int rt_k_conv_patch_weights(cudaStream_t stream, const rt_conv_shape *s, rt_conv_math math, float *dw,
                                       float *dbias, float *partial, const float *x, const float *dy, int add_dw,
                                       int add_dbias)
{
    const rt_conv_cut c = rt_conv_cut_of(s);
    const uintptr_t at = (uintptr_t)x | (uintptr_t)dy | (uintptr_t)(c.parts > 1 ? partial : dw);
    if (!rt_conv_cuts(s, math) || (at & 15)) return 0;
    job a = {};
    a.x = x, a.dy = dy, a.dw = dw, a.dbias = dbias, a.add_dw = add_dw, a.add_dbias = add_dbias;
    a.rows = s->rows, a.h = s->h, a.w = s->w, a.c = s->c, a.oh = s->oh, a.ow = s->ow, a.n = s->n;
    a.sh = s->sh, a.sw = s->sw, a.pt = s->pt, a.pl = s->pl;
    if (c.parts > 1) {
        a.dw = partial;
        a.dbias = dbias ? partial + rt_conv_weights(s) : nullptr;
        a.next = rt_conv_weights(s) + (size_t)s->n;
        a.add_dw = a.add_dbias = 0;
    }
    a.tiles = rt_conv_up(s->rows, c.images) * c.down * c.across, a.per = c.per;
    a.images = c.images, a.high = c.high, a.wide = c.wide, a.patch_wide = c.patch_wide, a.line = c.line;
    a.patch = c.images * c.patch_high * c.line;
    a.slot = (int)(rt_conv_cut_bytes(&c) / sizeof(float)) / SLOTS;
    a.apart = c.out_apart;
    a.gradients = rt_conv_up(c.images * c.high * c.wide, DEEP) * DEEP;
    a.out = c.out, a.first_line = s->dh * c.line, a.taps = c.taps,
    a.all_taps = s->kh * s->kw, a.dw_apart = s->dw;
    a.down = divider_of(c.down), a.across = divider_of(c.across), a.lines = divider_of(c.high);
    a.patch_lines = divider_of(c.patch_high), a.pixels = divider_of(c.wide), a.lengths = divider_of(c.patch_wide);
    a.along = divider_of(rt_conv_up(s->c, c.image)), a.beside = divider_of(rt_conv_up(s->n, c.out));
    a.kw = divider_of(s->kw);
    const dim3 grid((unsigned)c.blocks, (unsigned)c.parts);
    if (math == RT_CONV_TF32X3) return launch_taps<RT_CONV_TF32X3>(stream, *s, a, grid);
    if (math == RT_CONV_TF32) return launch_taps<RT_CONV_TF32>(stream, *s, a, grid);
    return launch_taps<RT_CONV_BF16>(stream, *s, a, grid);
}
