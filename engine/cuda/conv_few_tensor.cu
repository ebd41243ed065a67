/* engine/cuda/conv_few_tensor.cu - convolutions of images of few channels on tensor cores, forward and the gradient of
 * weights and bias, from patches in shared memory; see conv_launch.h and conv_few.cu, which does it by multiply-adds. A
 * term is a tap and a channel; where it lies in a patch, from a pixel's first value on, is looked up. All precisions
 * take the two halves of a float (RT_CONV_TF32X3): there are few products. */
#include "engine/cuda/conv_math.cuh"
#include "engine/cuda/conv_tiles.cuh"

namespace {

enum { GROUP = 16 /* channels of a warp */, COLUMNS = 64 /* of a block, forward */, WEIGHT_WARPS = 8,
       WEIGHT_THREADS = WEIGHT_WARPS * 32, PIECES = 4 /* of eight pixels, of a warp; of eight terms, at most */,
       PAD = 8, LIMIT = 48 << 10, SLOTS = 2 };

/* What a tile sees of the image: lines of so many floats, which lie one behind the other there, too. */
RT_DEVICE void copy_lines(const tiling &t, float *patch, const float *from, const rt_conv_shape &s, const spot &at,
                          int warps)
{
    const int floats = t.cut.patch_wide * s.c, lines = t.cut.images * t.cut.patch_high, wide = s.w * s.c,
              first = (at.x0 * s.sw - s.pl) * s.c;
    for (int l = (int)threadIdx.x >> 5; l < lines; l += warps) {
        const int r = quotient(l, t.patch_high), y = at.y0 * s.sh - s.pt + l - r * t.cut.patch_high;
        const bool in_line = at.r0 + r < t.rows && (unsigned)y < (unsigned)s.h;
        const float *line = from + (in_line ? ((at.r0 + r) * s.h + y) * wide : 0);
        RT_UNROLL_N(2)
        for (int i = (int)threadIdx.x & 31; i < floats; i += 32) {
            const bool in = in_line && (unsigned)(first + i) < (unsigned)wide;
            rt_copy_async(patch + l * floats + i, in ? line + first + i : from, 4, in);
        }
    }
}
/* Floats from a pixel's first value in a patch to term m of its sums. */
RT_DEVICE int term_of(const tiling &t, const rt_conv_shape &s, int m, const divider &channels, const divider &wide)
{
    const int tap = quotient(m, channels), ky = quotient(tap, wide);
    return (ky * s.dh * t.cut.patch_wide + (tap - ky * s.kw) * s.dw) * s.c + m - tap * s.c;
}
RT_DEVICE int begin_of(const tiling &t, const rt_conv_shape &s, const pixel &k)
{
    return ((k.r * t.cut.patch_high + k.y * s.sh) * t.cut.patch_wide + k.x * s.sw) * s.c;
}
/* c[j] += the products of a by b[j] over 16 terms, of which those of half h are a[h] and b[h][j]. Sums of a few start
 * from 0 and are then added as floats are: tensor cores cut off what they add. */
template <int N> RT_DEVICE void add_products(float (&c)[N][4], const uint32_t (&ah)[2][4], const uint32_t (&al)[2][4],
                                             const uint32_t (&bh)[2][N][2], const uint32_t (&bl)[2][N][2])
{
    float part[N][4] = {};
    RT_UNROLL
    for (int turn = 0; turn < 6; turn++) {
        const int h = turn % 2, kind = turn / 2;        /* low by high, high by low, high by high */
        RT_UNROLL
        for (int j = 0; j < N; j++) rt_mma_tf32(part[j], kind ? ah[h] : al[h], kind == 1 ? bl[h][j] : bh[h][j]);
    }
    RT_UNROLL
    for (int i = 0; i < N * 4; i++) c[i / 4][i % 4] += part[i / 4][i % 4];
}

/* ---- forward: a warp has 16 channels of 32 pixels at a time; of 16 terms lane t of four has t, t + 4, ... ---- */

struct job {
    rt_conv_shape s;
    tiling t;
    float *to;
    const float *from, *w, *bias;
    bounds act;
    int add, terms, deep, wide, patch;   /* terms, up to 16; channels of a block; floats of a patch */
    divider across, channels, line;      /* blocks along the channels */
};

__global__ void __launch_bounds__(THREADS, 6) k_few_tensor(job a)
{
    RT_SHARED_DYNAMIC(float, shared);
    const rt_conv_shape &s = a.s;
    const tiling &t = a.t;
    const int tile = quotient((int)blockIdx.x, a.across), n0 = ((int)blockIdx.x - tile * (int)a.across.by) * a.wide,
              pixels = t.cut.images * (int)t.pixels.by, groups = (pixels + PIECES * 8 - 1) / (PIECES * 8),
              w_ld = a.wide + PAD, lane = (int)threadIdx.x & 31, g = lane >> 2, u = lane & 3,
              shift = a.wide == 16 ? 2 : a.wide == 32 ? 3 : 4;
    const spot at = spot_of(t, tile);
    float *w = shared, *patch = w + a.deep * w_ld;
    int2 *place = (int2 *)(patch + a.patch);            /* of a pixel: where its patch begins, where it goes */
    int *term = (int *)(place + groups * (PIECES * 8));
    copy_lines(t, patch, a.from, s, at, THREADS / 32);
    for (int i = (int)threadIdx.x; i < a.deep << shift; i += THREADS) {
        const int m = i >> shift, n = (i & ((1 << shift) - 1)) * 4;
        const bool in = m < a.terms && n0 + n < s.n;
        rt_copy_async(w + m * w_ld + n, a.w + (in ? m * s.n + n0 + n : 0), 16, in);
    }
    rt_copy_commit();
    /* terms beyond the last are the first once more, by weights of 0 */
    RT_UNROLL_N(1)
    for (int i = (int)threadIdx.x; i < a.deep; i += THREADS)
        term[i] = term_of(t, s, i < a.terms ? i : 0, a.channels, a.line);
    RT_UNROLL_N(1)
    for (int i = (int)threadIdx.x; i < groups * (PIECES * 8); i += THREADS) {
        const pixel k = pixel_of(t, i);
        const int r = at.r0 + k.r, y = at.y0 + k.y, x = at.x0 + k.x;
        const bool in = i < pixels && r < t.rows && y < s.oh && x < s.ow;
        place[i] = make_int2(i < pixels ? begin_of(t, s, k) : 0, in ? ((r * s.oh + y) * s.ow + x) * s.n : -1);
    }
    rt_copy_wait<0>();
    __syncthreads();
    RT_UNROLL_N(1)
    for (int unit = (int)threadIdx.x >> 5; unit < groups << (shift - 2); unit += THREADS / 32) {
        const int n = (unit & ((1 << (shift - 2)) - 1)) * GROUP + 2 * g, p0 = (unit >> (shift - 2)) * (PIECES * 8);
        const float *x[PIECES];
        float acc[PIECES][4] = {};
        RT_UNROLL
        for (int j = 0; j < PIECES; j++) x[j] = patch + place[p0 + j * 8 + g].x;
        RT_UNROLL_N(1)
        for (int k0 = 0; k0 < a.deep; k0 += 16) {
            uint32_t ah[2][4], al[2][4], bh[2][PIECES][2], bl[2][PIECES][2];
            RT_UNROLL
            for (int i = 0; i < 4; i++) {
                const int k = k0 + u + i * 4, off = term[k];
                const float2 f = *(const float2 *)(w + k * w_ld + n);
                split(f.x, ah[i / 2][i % 2 * 2], al[i / 2][i % 2 * 2]);
                split(f.y, ah[i / 2][i % 2 * 2 + 1], al[i / 2][i % 2 * 2 + 1]);
                RT_UNROLL
                for (int j = 0; j < PIECES; j++) cut(x[j][off], bh[i / 2][j][i % 2], bl[i / 2][j][i % 2]);
            }
            add_products(acc, ah, al, bh, bl);
        }
        const bool has = n0 + n < s.n;
        const float2 bias = a.bias && has ? *(const float2 *)(a.bias + n0 + n) : make_float2(0, 0);
        RT_UNROLL
        for (int i = 0; i < PIECES * 2; i++) {
            const int at_pixel = place[p0 + i / 2 * 8 + 2 * u + i % 2].y;
            if (at_pixel < 0 || !has) continue;
            float2 *to = (float2 *)(a.to + at_pixel + n0 + n);
            float2 v = make_float2(acc[i / 2][i % 2] + bias.x, acc[i / 2][2 + i % 2] + bias.y);
            if (a.add) {
                const float2 old = *to;
                v.x += old.x, v.y += old.y;
            }
            *to = make_float2(within(v.x, a.act), within(v.y, a.act));
        }
        __syncwarp();
    }
}

/* ---- the gradient of weights and bias: a warp has 16 channels by N pieces of eight terms; 16 pixels at a time ---- */

struct weights_job {
    rt_conv_shape s;
    tiling t;
    float *dw, *dbias;                   /* or where the first part of each lies; dbias may be NULL */
    const float *x, *dy;
    size_t next;                         /* floats from part to part; 0: there is one */
    int add_dw, add_dbias, tiles, terms, slot, patch, units; /* floats of a slot, of a patch; warps along the terms */
    divider across, channels, line, turns;
};

/* What the warps have, added in their order: `sides` of them have different terms or channels. */
template <int N>
RT_DEVICE void write(const weights_job &a, const float *sums, int sides, int share, int terms, int m0, int n0)
{
    enum { FLOATS = N * 8 * GROUP };
    const rt_conv_shape &s = a.s;
    const int wide = a.t.cut.out > GROUP;
    const float *biases = sums + WEIGHT_WARPS * FLOATS;
    RT_UNROLL_N(1)
    for (int i = (int)threadIdx.x; i < sides * FLOATS; i += WEIGHT_THREADS) {
        const int q = i / FLOATS, m = (q >> wide) * (N * 8) + i % FLOATS / GROUP,
                  column = n0 + (q & wide) * GROUP + i % GROUP;
        float v = sums[i];
        for (int k = 1; k < share; k++) v += sums[i + k * sides * FLOATS];
        if (m >= terms || column >= s.n) continue;
        float *to = a.dw + blockIdx.y * a.next + (ptrdiff_t)(m0 + m) * s.n + column;
        *to = a.add_dw ? *to + v : v;
    }
    if (!a.dbias || m0) return;
    for (int i = (int)threadIdx.x; i < a.t.cut.out && n0 + i < s.n; i += WEIGHT_THREADS) {
        float v = biases[i];
        for (int k = 1; k < share; k++) v += biases[i + k * sides * GROUP];
        float *to = a.dbias + blockIdx.y * a.next + n0 + i;
        *to = a.add_dbias ? *to + v : v;
    }
}

template <int N> __global__ void __launch_bounds__(WEIGHT_THREADS, 2) k_few_tensor_weights(weights_job a)
{
    RT_SHARED_DYNAMIC(float, shared);
    enum { FLOATS = N * 8 * GROUP, COPIES = RT_CONV_CUT_PIXELS * 8 / WEIGHT_THREADS };
    const rt_conv_shape &s = a.s;
    const tiling &t = a.t;
    const int chunk = quotient((int)blockIdx.x, a.across), most = t.cut.taps * s.c, m0 = chunk * most,
              n0 = ((int)blockIdx.x - chunk * (int)a.across.by) * t.cut.out, left = a.terms - m0,
              terms = left < most ? left : most,
              warp = (int)threadIdx.x >> 5, lane = (int)threadIdx.x & 31, g = lane >> 2, u = lane & 3,
              wide = t.cut.out > GROUP, sides = a.units << wide, turn = quotient(warp, a.turns),
              side = warp - turn * sides, unit = side >> wide, n = (side & wide) * GROUP + 2 * g, ld = t.cut.out_apart,
              share = quotient(WEIGHT_WARPS, a.turns), pixels = t.cut.images * (int)t.pixels.by,
              first = (int)blockIdx.y * t.cut.per, end = a.tiles - first < t.cut.per ? a.tiles : first + t.cut.per,
              shift = 2 + wide, four = ((int)threadIdx.x & ((1 << shift) - 1)) * 4,
              count = (pixels + DEEP - 1) / DEEP * DEEP;
    int *begin = (int *)(shared + SLOTS * a.slot);
    int off[N];
    float acc[N][4] = {}, bias[2] = {};
    RT_UNROLL
    for (int j = 0; j < N; j++) {
        const int m = (unit * N + j) * 8 + g;
        off[j] = term_of(t, s, m0 + (m < terms ? m : 0), a.channels, a.line);
    }
    pixel mine[COPIES];                                 /* of which this thread copies 16 bytes; floats on to them */
    int on[COPIES];
    RT_UNROLL
    for (int k = 0; k < COPIES; k++) {
        const int p = ((int)threadIdx.x + k * WEIGHT_THREADS) >> shift;
        mine[k] = pixel_of(t, p);
        on[k] = ((mine[k].r * s.oh + mine[k].y) * s.ow + mine[k].x) * s.n;
        if (p >= pixels || n0 + four >= s.n) mine[k].r = t.rows;
    }
    for (int tile = first - 1, put = 0; tile < end; tile++, put ^= 1) {
        if (tile >= first) {
            rt_copy_wait<0>();
            __syncthreads();                            /* nobody reads any more what comes next */
        }
        if (tile + 1 < end) {
            const spot at = spot_of(t, tile + 1);
            float *to = shared + put * a.slot;
            copy_lines(t, to, a.x, s, at, WEIGHT_WARPS);
            const int from = ((at.r0 * s.oh + at.y0) * s.ow + at.x0) * s.n + n0 + four;
            RT_UNROLL
            for (int k = 0; k < COPIES; k++) {
                const int p = ((int)threadIdx.x + k * WEIGHT_THREADS) >> shift;
                const bool in = at.r0 + mine[k].r < t.rows && at.y0 + mine[k].y < s.oh && at.x0 + mine[k].x < s.ow;
                if (p < count)
                    rt_copy_async(to + a.patch + p * ld + four, a.dy + (in ? (unsigned)(from + on[k]) : 0u), 16, in);
            }
        }
        rt_copy_commit();
        if (tile < first && (int)threadIdx.x < count)   /* while the first copies are on their way */
            begin[threadIdx.x] = (int)threadIdx.x < pixels ? begin_of(t, s, pixel_of(t, (int)threadIdx.x)) : 0;
        if (tile < first || turn >= share) continue;
        const float *patch = shared + (put ^ 1) * a.slot, *dy = patch + a.patch + n;
        RT_UNROLL_N(1)
        for (int p0 = turn * DEEP; p0 < count; p0 += share * DEEP) {
            uint32_t ah[2][4], al[2][4], bh[2][N][2], bl[2][N][2];
            RT_UNROLL
            for (int i = 0; i < 4; i++) {
                const int p = p0 + u + i * 4;
                const float *x = patch + begin[p];
                const float2 f = *(const float2 *)(dy + p * ld);
                bias[0] += f.x, bias[1] += f.y;
                split(f.x, ah[i / 2][i % 2 * 2], al[i / 2][i % 2 * 2]);
                split(f.y, ah[i / 2][i % 2 * 2 + 1], al[i / 2][i % 2 * 2 + 1]);
                RT_UNROLL
                for (int j = 0; j < N; j++) cut(x[off[j]], bh[i / 2][j][i % 2], bl[i / 2][j][i % 2]);
            }
            add_products(acc, ah, al, bh, bl);
        }
    }
    RT_UNROLL
    for (int j = 0; j < 2; j++) {                       /* over the lanes that have other pixels */
        bias[j] += __shfl_xor_sync(~0u, bias[j], 1);
        bias[j] += __shfl_xor_sync(~0u, bias[j], 2);
    }
    __syncthreads();
    float *sums = shared + warp * FLOATS, *biases = shared + WEIGHT_WARPS * FLOATS;
    RT_UNROLL
    for (int i = 0; i < N * 2; i++)
        *(float2 *)(sums + (i / 2 * 8 + 2 * u + i % 2) * GROUP + 2 * g) =
            make_float2(acc[i / 2][i % 2], acc[i / 2][2 + i % 2]);
    if (u == 0) *(float2 *)(biases + warp * GROUP + 2 * g) = make_float2(bias[0], bias[1]);
    __syncthreads();
    write<N>(a, shared, sides, share, terms, m0, n0);
}

template <int N> void launch(cudaStream_t stream, const weights_job &a)
{
    const size_t sums = WEIGHT_WARPS * (size_t)(N * 8 * GROUP + GROUP),
                 tiles = SLOTS * (size_t)a.slot + (size_t)rt_conv_up(a.t.cut.images * (int)a.t.pixels.by, DEEP) * DEEP;
    rt_shared_allowed(k_few_tensor_weights<N>, 0);
    RT_LAUNCH((k_few_tensor_weights<N>), dim3((unsigned)a.t.cut.blocks, (unsigned)a.t.cut.parts), dim3(WEIGHT_THREADS),
              (sums > tiles ? sums : tiles) * sizeof(float), stream, a);
}
}

extern "C" int rt_k_few_tensor(cudaStream_t stream, const rt_conv_shape *s, float *y, const float *x, const float *w,
                               const float *bias, rt_act act, int add)
{
    if (!rt_conv_is_few(s) || (((uintptr_t)y | (uintptr_t)w | (uintptr_t)bias) & 15)) return 0;
    job a = {};
    a.s = *s, a.to = y, a.from = x, a.w = w, a.bias = bias, a.act = bounds_of(act), a.add = add;
    a.terms = s->kh * s->kw * s->c, a.deep = rt_conv_up(a.terms, DEEP) * DEEP;
    a.wide = rt_conv_columns(s->n);
    if (a.deep * (a.wide + PAD) * 4 > LIMIT / 2) a.wide = GROUP;
    const int across = rt_conv_up(s->n, a.wide);
    /* and for each pixel two numbers */
    const size_t more = (size_t)a.deep * (size_t)(a.wide + PAD + 1) * sizeof(float) + 2 * RT_CONV_CUT_PIXELS * 8;
    rt_conv_cut c = {};
    c.image_apart = s->c, c.slots = 1;
    if (more >= LIMIT || !rt_conv_tiles(&c, s->oh, s->ow, s->sh, s->sw, (s->kh - 1) * s->dh, (s->kw - 1) * s->dw,
                                        LIMIT - more))
        return 0;
    a.t = tiling_of(c, s->rows);
    a.patch = rt_conv_up(c.images * c.patch_high * c.line, 4) * 4;
    a.across = divider_of(across), a.channels = divider_of(s->c), a.line = divider_of(s->kw);
    rt_shared_allowed(k_few_tensor, 0);
    RT_LAUNCH(k_few_tensor, dim3((unsigned)tiles_of(a.t) * (unsigned)across), dim3(THREADS),
              rt_conv_cut_bytes(&c) + more, stream, a);
    return 1;
}

extern "C" int rt_k_few_tensor_weights(cudaStream_t stream, const rt_conv_shape *s, float *dw, float *dbias,
                                       float *partial, const float *x, const float *dy, int add_dw, int add_dbias)
{
    if (!rt_conv_is_few(s) || ((uintptr_t)dy & 15)) return 0;
    const rt_conv_cut c = rt_conv_cut_of(s);
    if (!c.blocks) return 0;
    weights_job a = {*s, tiling_of(c, s->rows), dw, dbias, x, dy, 0, add_dw, add_dbias};
    a.tiles = tiles_of(a.t), a.terms = s->kh * s->kw * s->c;
    a.patch = rt_conv_up(c.images * c.patch_high * c.line, 4) * 4;
    a.slot = a.patch + rt_conv_up(c.images * c.high * c.wide, DEEP) * DEEP * c.out_apart;
    a.across = divider_of(rt_conv_up(s->n, c.out)), a.channels = divider_of(s->c), a.line = divider_of(s->kw);
    if (c.parts > 1) {
        a.dw = partial;
        a.dbias = dbias ? partial + rt_conv_weights(s) : nullptr;
        a.next = rt_conv_weights(s) + (size_t)s->n;
        a.add_dw = a.add_dbias = 0;
    }
    const int pieces = rt_conv_up(a.terms < c.taps * s->c ? a.terms : c.taps * s->c, 8);
    a.units = rt_conv_up(pieces, PIECES);
    a.turns = divider_of(a.units << (c.out > GROUP));
    const int each = rt_conv_up(pieces, a.units);
    if (each <= 2) launch<2>(stream, a);
    else if (each == 3) launch<3>(stream, a);
    else launch<PIECES>(stream, a);
    return 1;
}
