/* engine/cuda/conv_patch.cuh - convolutions of one group on tensor cores, forward and back to their image, from
 * patches: see conv_launch.h for what is computed. A block of eight warps computes a tile of pixels by Q channels. What
 * its pixels read, 16 channels of it, is a patch of the source, which is copied once for all taps; with it come those
 * 16 rows of the weights of up to TAPS taps. That is a stage; the next ones are on their way while one is added up. A
 * warp has 32 pixels of 16 channels and reads its factors straight from the patch. Where a layer has few pixels, two or
 * four warps have the same ones and share the taps; their sums are added in the end, in a fixed order. conv_patch.cu
 * and conv_patch_back.cu have one direction each. */
#ifndef RT_ENGINE_CUDA_CONV_PATCH_CUH
#define RT_ENGINE_CUDA_CONV_PATCH_CUH

#include "engine/cuda/conv_axis.cuh"
#include "engine/cuda/conv_math.cuh"
#include "engine/cuda/conv_tiles.cuh"

namespace {

enum { WARPS = 8, WIDE = WARPS * 32, TAPS = 9, LIMIT = 99 << 10 /* bytes: what every card from 8.0 on has */ };

/* Where source values lie: pixels of 16 channels, so far apart that the 8-byte reads of four neighbours are in
 * different banks. */
enum { APART = DEEP + 8 };

enum { SPOTS = 6 };                      /* pixels of a patch that a thread remembers */

enum { CLASSES = 4 };                    /* of pixels along an axis, at most */

/* Of a class of pixels along either axis. */
struct side {
    axis y, x;
    divider line;                        /* by x.taps */
};

/* What a kernel is told; what all directions read comes first, as every line of it is waited for. */
struct job {
    const float *from, *w;
    float *to;
    const float *bias;
    int rows, depth, columns;            /* channels read; written */
    int shares, order;                   /* warps that share the taps of their pixels: 8 >> order */
    int slots, ahead;                    /* stages in shared memory; on their way at once */
    int tiles, blocks;                   /* a block has each blocks-th tile */
    int keeps;                           /* the weights are one stage and stay for all tiles */
    divider taps;                        /* of a stage, at most */
    int patch, weights;                  /* floats of a slot */
    int images, high;                    /* of a tile */
    divider across, beside, down;        /* tiles along the channels; of an image (of its largest class) */
    divider tile_wide, tile_pixels, patch_wide, patch_high;
    int kernel_wide, classes;            /* taps of a line of the kernel; classes of pixels along x */
    int add, bounded;
    bounds act;
    side sides[CLASSES];
};

/* Where (k, column) of a tap's 16 rows of weights lies. Forward they are rows of Q; back, columns of 16, two by two as
 * four pieces of eight, whose order changes from pair to pair: so reads of 8 bytes fall into different banks. */
template <int Q, bool BACK> RT_DEVICE int weight_at(int k, int q)
{
    if (!BACK) return k * (Q + 4) + q;
    return (q >> 1) * 32 + ((((q & 1) * 2 + (k >> 3)) ^ (q >> 1 & 3)) << 3) + (k & 7);
}
template <int Q, bool BACK> struct weights_of { enum { FLOATS = DEEP * (BACK ? Q : Q + 4) }; };

/* Where a tile begins. */
struct tile_at { int column, r0, y0, x0; };

/* What a block works on. */
template <int Q, bool BACK> struct work {
    const job &a;
    const axis &y, &x;
    const divider &line;                 /* of the kernel's taps */
    int warp, lane;
    int all, passes, slices;             /* taps; passes of taps for a slice of channels; of channels */

    __device__ work(const job &given, int cy, int cx)
        : a(given), y(given.sides[cy].y), x(given.sides[cx].x), line(given.sides[cx].line)
    {
        warp = (int)threadIdx.x >> 5, lane = (int)threadIdx.x & 31;
        all = y.taps * x.taps;
        passes = all ? quotient(all + (int)a.taps.by - 1, a.taps) : 1;           /* a class may see no tap */
        slices = (a.depth + DEEP - 1) / DEEP;
    }
    __device__ tile_at tile(int b) const
    {
        int l = quotient(b, a.across), m = quotient(l, a.beside), n = quotient(m, a.down);
        return tile_at{(b - l * (int)a.across.by) * Q, n * a.images, (m - n * (int)a.down.by) * a.high,
                       (l - m * (int)a.beside.by) * (int)a.tile_wide.by};
    }
    static __device__ int first_of(const axis &v, int at)
    { return at * v.mul + v.off + (v.step < 0 ? (v.taps - 1) * v.step : 0); }

    /* Pixel q of a patch as image, line and place in it. */
    __device__ int spot(int q) const
    {
        int l = quotient(q, a.patch_wide), r = quotient(l, a.patch_high);
        return r << 22 | (l - r * (int)a.patch_high.by) << 11 | (q - l * (int)a.patch_wide.by);
    }
    /* Four lanes copy a pixel. Of what is outside the image nothing is read, wherever that would be. */
    __device__ void copy_pixel(float *to, const tile_at &from, int slice, int spot) const
    {
        const int c = slice * DEEP + lane % 4 * 4, r = from.r0 + (spot >> 22), iy = from.y0 + (spot >> 11 & 2047),
                  ix = from.x0 + (spot & 2047);
        rt_copy_async(to, a.from + ((ptrdiff_t)((r * y.from + iy) * x.from + ix) * a.depth + c), 16,
                      r < a.rows && (unsigned)iy < (unsigned)y.from && (unsigned)ix < (unsigned)x.from && c < a.depth);
    }
    /* `spots` are those of the pixels that this thread has a part of, the first SPOTS of them. */
    __device__ void copy_patch(float *patch, const tile_at &tile, int slice, const int (&spots)[SPOTS]) const
    {
        const int count = a.images * (int)a.patch_high.by * (int)a.patch_wide.by, q0 = (int)threadIdx.x / 4;
        float *to = patch + q0 * APART + lane % 4 * 4;
        tile_at from = {0, tile.r0, first_of(y, tile.y0), first_of(x, tile.x0)};
        rt_keep(from.y0), rt_keep(from.x0);
        RT_UNROLL
        for (int i = 0; i < SPOTS; i++)
            if (q0 + i * (WIDE / 4) < count) copy_pixel(to + i * (WIDE / 4 * APART), from, slice, spots[i]);
        RT_UNROLL_N(1)
        for (int q = q0 + SPOTS * (WIDE / 4); q < count; q += WIDE / 4)
            copy_pixel(patch + q * APART + lane % 4 * 4, from, slice, spot(q));
    }
    __device__ int taps_from(int first) const { return all - first < (int)a.taps.by ? all - first : (int)a.taps.by; }
    /* Of a pass: its taps from `first` on; a warp copies one. */
    __device__ void copy_weights(float *weights, int column, int slice, int first) const
    {
        const int taps = taps_from(first), k = BACK ? lane % 4 * 4 : lane / (Q / 4),
                  q = BACK ? lane / 4 : lane % (Q / 4) * 4, c = slice * DEEP + k,
                  apart = BACK ? 8 * a.depth : 128 / Q * a.columns;    /* of a lane's pieces */
        RT_UNROLL_N(1)
        for (int t = warp; t < taps; t += WARPS) {
            const int ty = quotient(first + t, line), tx = first + t - ty * x.taps,
                      tap = (y.first + ty * y.jump) * a.kernel_wide + x.first + tx * x.jump;
            const float *from = a.w + (tap * a.depth * a.columns + (BACK ? (column + q) * a.depth + c
                                                                         : c * a.columns + column + q));
            float *to = weights + t * weights_of<Q, BACK>::FLOATS + weight_at<Q, BACK>(k, q);
            RT_UNROLL
            for (int i = 0; i < DEEP * Q / 128; i++) {
                bool in = c + (BACK ? 0 : i * (128 / Q)) < a.depth && column + q + (BACK ? i * 8 : 0) < a.columns;
                rt_copy_async(to + weight_at<Q, BACK>(BACK ? 0 : i * (128 / Q), BACK ? i * 8 : 0),
                              from + i * apart, 16, in);
            }
        }
    }
    /* Of pixel p of a tile: bytes of the patch from its first to what tap 0 reads. */
    __device__ int source(int p) const
    {
        int r = quotient(p, a.tile_pixels), q = p - r * (int)a.tile_pixels.by, ty = quotient(q, a.tile_wide),
            tx = q - ty * (int)a.tile_wide.by;
        if (r >= a.images) r = ty = tx = 0;             /* its taps are read, too, and lie before what tap 0 reads */
        ty = ty * y.mul - (y.step < 0 ? (y.taps - 1) * y.step : 0);
        tx = tx * x.mul - (x.step < 0 ? (x.taps - 1) * x.step : 0);
        return ((r * (int)a.patch_high.by + ty) * (int)a.patch_wide.by + tx) * (APART * 4);
    }
    /* Which pixel of the target it is; -1: there is none. */
    __device__ int target(int p, const tile_at &t) const
    {
        int r = quotient(p, a.tile_pixels), q = p - r * (int)a.tile_pixels.by, ty = quotient(q, a.tile_wide),
            ay = t.y0 + ty, ax = t.x0 + q - ty * (int)a.tile_wide.by;
        bool is = r < a.images && t.r0 + r < a.rows && ay < y.count && ax < x.count;
        return is ? ((t.r0 + r) * y.to + ay * y.apart + y.phase) * x.to + ax * x.apart + x.phase : -1;
    }
    /* Bytes from what tap 0 reads to what a tap reads. */
    __device__ int shift(int tap) const
    {
        int ty = quotient(tap, line);
        return (ty * (y.step * (int)a.patch_wide.by - x.taps * x.step) + tap * x.step) * (APART * 4);
    }
};

/* Which stage: of a slice of channels the pass, and where both lie in shared memory. */
struct stage_at {
    int slice, pass, patch, weights;     /* the latter two: slots */
    /* True: the next is of another tile. */
    __device__ bool next(int passes, int slices, int slots)
    {
        if (++weights == slots) weights = 0;
        if (++pass < passes) return false;
        pass = 0;
        if (++patch == slots) patch = 0;
        if (++slice < slices) return false;
        slice = 0;
        return true;
    }
};

/* A warp's sums: 16 channels by PIECES of eight pixels. Channels are the left factor of a product, pixels the right
 * one, whose registers are then those that a pair of terms is read into: of 16 terms lane (g, t) reads the pairs 2t and
 * 2t + 1 of either half, and takes them for terms t and t + 4 of a product of eight. Lines g and g + 8 of the left
 * factor are channels 2g and 2g + 1. */
enum { PIECES = 4, PIXELS = 8 * PIECES };
static_assert(PIXELS == 32, "a lane knows a pixel");
template <int MATH, int Q, bool BACK> struct warp_sums {
    float acc[PIECES][4];                /* channel 2g of pixels 2t, 2t + 1, then channel 2g + 1 */

    RT_DEVICE int lane() { return (int)threadIdx.x & 31; }

    __device__ void clear()
    {
        RT_UNROLL
        for (int i = 0; i < PIECES * 4; i++) acc[i / 4][i % 4] = 0.0f;
    }
    /* The two terms of this lane in half h of either channel. */
    static __device__ void weights(float2 (&v)[2], const float *w, int h)
    {
        const int g = lane() >> 2, t = lane() & 3;
        if (BACK) {
            RT_UNROLL
            for (int j = 0; j < 2; j++) v[j] = *(const float2 *)(w + weight_at<Q, true>(h * 8 + 2 * t, 2 * g + j));
        } else {
            float2 k = *(const float2 *)(w + weight_at<Q, false>(h * 8 + 2 * t, 2 * g)),
                   l = *(const float2 *)(w + weight_at<Q, false>(h * 8 + 2 * t + 1, 2 * g));
            v[0] = make_float2(k.x, l.x);
            v[1] = make_float2(k.y, l.y);
        }
    }
    /* 16 terms: those of pixel g of piece i lie `shift` bytes behind at[i], where this lane's begin; w: those of the
     * warp's first channel. Sums of 16 terms start from 0 and are then added as floats are: tensor cores cut off what
     * they add. */
    __device__ void add_split(const char *const (&at)[PIECES], int shift, const float *w)
    {
        uint32_t high[2][4], low[2][4];
        RT_UNROLL
        for (int h = 0; h < 2; h++) {
            float2 v[2];
            weights(v, w, h);
            RT_UNROLL
            for (int j = 0; j < 2; j++) {
                split(v[j].x, high[h][j], low[h][j]);
                split(v[j].y, high[h][j + 2], low[h][j + 2]);
            }
        }
        float part[PIECES][4] = {};
        RT_UNROLL
        for (int h = 0; h < 2; h++) {
            uint32_t bh[PIECES][2], bl[PIECES][2];
            RT_UNROLL
            for (int i = 0; i < PIECES; i++) {
                float2 u = *(const float2 *)(at[i] + shift + h * 32);
                cut(u.x, bh[i][0], bl[i][0]);
                cut(u.y, bh[i][1], bl[i][1]);
            }
            RT_UNROLL
            for (int i = 0; i < PIECES; i++) rt_mma_tf32(part[i], high[h], bl[i]);
            RT_UNROLL
            for (int i = 0; i < PIECES; i++) rt_mma_tf32(part[i], low[h], bh[i]);
            RT_UNROLL
            for (int i = 0; i < PIECES; i++) rt_mma_tf32(part[i], high[h], bh[i]);
        }
        RT_UNROLL
        for (int i = 0; i < PIECES * 4; i++) acc[i / 4][i % 4] += part[i / 4][i % 4];
    }
    __device__ void add_tf32(const char *const (&at)[PIECES], int shift, const float *w)
    {
        RT_UNROLL
        for (int h = 0; h < 2; h++) {
            float2 v[2];
            weights(v, w, h);
            const uint32_t a[4] = {rt_tf32(v[0].x), rt_tf32(v[1].x), rt_tf32(v[0].y), rt_tf32(v[1].y)};
            RT_UNROLL
            for (int i = 0; i < PIECES; i++) {
                float2 u = *(const float2 *)(at[i] + shift + h * 32);
                const uint32_t b[2] = {rt_tf32(u.x), rt_tf32(u.y)};
                rt_mma_tf32(acc[i], a, b);
            }
        }
    }
    __device__ void add_bf16(const char *const (&at)[PIECES], int shift, const float *w)
    {
        uint32_t a[4];
        RT_UNROLL
        for (int h = 0; h < 2; h++) {
            float2 v[2];
            weights(v, w, h);
            a[2 * h] = rt_bf16_pair(v[0].x, v[0].y), a[2 * h + 1] = rt_bf16_pair(v[1].x, v[1].y);
        }
        RT_UNROLL
        for (int i = 0; i < PIECES; i++) {
            float2 u = *(const float2 *)(at[i] + shift), v = *(const float2 *)(at[i] + shift + 32);
            const uint32_t b[2] = {rt_bf16_pair(u.x, u.y), rt_bf16_pair(v.x, v.y)};
            rt_mma_bf16(acc[i], a, b);
        }
    }
    __device__ void add(const char *const (&at)[PIECES], int shift, const float *w)
    {
        if constexpr (MATH == RT_CONV_BF16) add_bf16(at, shift, w);
        else if constexpr (MATH == RT_CONV_TF32) add_tf32(at, shift, w);
        else add_split(at, shift, w);
    }
    /* Adds up what `shares` warps have of the same pixels; each of them then has the sums of the pieces of its share.
     * `there`: 16 bytes of each lane, piece and warp of these pixels; all warps of the block are here, idle ones too.
     */
    __device__ void gather(float4 *there, int share, int shares, bool works)
    {
        __syncthreads();                                /* nobody reads the last stage any more */
        RT_UNROLL
        for (int i = 0; works && i < PIECES; i++)
            there[(share * PIECES + i) * 32 + lane()] = make_float4(acc[i][0], acc[i][1], acc[i][2], acc[i][3]);
        __syncthreads();
        if (!works) return;
        clear();
        RT_UNROLL_N(1)
        for (int s = 0; s < shares; s++) {
            RT_UNROLL
            for (int i = 0; i < PIECES; i++) {
                if (!has(i, share, shares)) continue;
                float4 u = there[(s * PIECES + i) * 32 + lane()];
                acc[i][0] += u.x, acc[i][1] += u.y, acc[i][2] += u.z, acc[i][3] += u.w;
            }
        }
    }
    static __device__ bool has(int i, int share, int shares) { return (i & (shares - 1)) == share; }
    /* Writes the pieces of its share: this lane two channels, from `column` on, of pixels 8 i + 2t and 8 i + 2t + 1.
     * Lane p has where pixel p goes. */
    __device__ void store(const job &a, int target, int column, int share) const
    {
        const bool there = column < a.columns;
        const float2 bias = there && a.bias ? *(const float2 *)(a.bias + column) : make_float2(0, 0);
        char *to = (char *)(a.to + column);
        const int apart = a.columns * (int)sizeof(float);
        float2 v[2 * PIECES];
        int at[2 * PIECES];
        RT_UNROLL
        for (int i = 0; i < 2 * PIECES; i++) {
            at[i] = __shfl_sync(~0u, target, i / 2 * 8 + 2 * (lane() & 3) + i % 2);
            if (!there || !has(i / 2, share, a.shares)) at[i] = -1;
            v[i] = make_float2(acc[i / 2][i % 2] + bias.x, acc[i / 2][2 + i % 2] + bias.y);
        }
        if (a.add) {                                    /* all are read before one is written */
            RT_UNROLL
            for (int i = 0; i < 2 * PIECES; i++) {
                float2 old = make_float2(0, 0);
                if (at[i] >= 0) old = *(const float2 *)(to + (ptrdiff_t)at[i] * apart);
                v[i].x += old.x, v[i].y += old.y;
            }
        }
        if (a.bounded) {
            RT_UNROLL
            for (int i = 0; i < 2 * PIECES; i++) v[i] = make_float2(within(v[i].x, a.act), within(v[i].y, a.act));
        }
        RT_UNROLL
        for (int i = 0; i < 2 * PIECES; i++) if (at[i] >= 0) *(float2 *)(to + (ptrdiff_t)at[i] * apart) = v[i];
    }
};

template <int MATH, int Q, bool BACK> __global__ void __launch_bounds__(WIDE, 2) k_patch(job a)
{
    RT_SHARED_DYNAMIC(float, shared);                   /* patches, then weights */
    enum { BESIDE = Q / 16 };                           /* warps along the channels */
    const int c = BACK ? (int)blockIdx.y : 0, cy = BACK ? c / a.classes : 0;             /* class of the pixels */
    const work<Q, BACK> w(a, cy, c - cy * (BACK ? a.classes : 1));
    const int lane = w.lane, share = w.warp >> a.order, piece = w.warp & ((1 << a.order) - 1),
              p0 = piece / BESIDE * PIXELS, q0 = piece % BESIDE * 16, stages = w.slices * w.passes,
              works = p0 < a.images * (int)a.tile_pixels.by;
    float *weights = shared + a.slots * a.patch;
    const char *at[PIECES];                             /* of each piece: what tap 0 of patch 0 reads */
    int done = 0, tile = (int)blockIdx.x, left = 0;     /* taps of the stages before; stages, of all tiles */
    for (int i = tile; i < a.tiles; i += a.blocks) left += stages;
    warp_sums<MATH, Q, BACK> sum;
    sum.clear();
    stage_at now = {}, next = {};
    tile_at to_copy = w.tile(tile);
    int spots[SPOTS];
    RT_UNROLL
    for (int i = 0; i < SPOTS; i++) {
        spots[i] = w.spot((int)threadIdx.x / 4 + i * (WIDE / 4));
        rt_keep(spots[i]);
    }
    for (int stage = -a.ahead, b = tile, kept = 0; stage < left; stage++) {
        if (stage >= 0) {
            if (a.ahead > 2) rt_copy_wait<2>();
            else if (a.ahead > 1) rt_copy_wait<1>();
            else rt_copy_wait<0>();
            __syncthreads();                            /* nobody reads any more what comes next */
        }
        if (stage + a.ahead < left) {
            if (next.pass == 0) w.copy_patch(shared + next.patch * a.patch, to_copy, next.slice, spots);
            if (!kept)
                w.copy_weights(weights + next.weights * a.weights, to_copy.column, next.slice,
                               next.pass * (int)a.taps.by);
            kept = a.keeps;
            if (next.next(w.passes, w.slices, a.slots)) to_copy = w.tile(b += a.blocks);
        }
        rt_copy_commit();
        if (stage < 0) continue;
        if (stage == 0) {
            const int from = w.source(p0 + lane);
            RT_UNROLL
            for (int i = 0; i < PIECES; i++)
                at[i] = (const char *)(shared + 2 * (lane & 3)) + __shfl_sync(~0u, from, i * 8 + (lane >> 2));
        }
        const int first = now.pass * (int)a.taps.by, taps = works ? w.taps_from(first) : 0;
        int t = (share - done) & (a.shares - 1);
        const float *rows = weights + (a.keeps ? 0 : now.weights * a.weights) + weight_at<Q, BACK>(0, q0) +
                            t * weights_of<Q, BACK>::FLOATS;
        RT_UNROLL_N(1)
        for (; t < taps; t += a.shares) {
            sum.add(at, now.patch * a.patch * 4 + w.shift(first + t), rows);
            rows += a.shares * weights_of<Q, BACK>::FLOATS;
        }
        done += taps;
        if (!now.next(w.passes, w.slices, a.slots)) continue;
        if (a.shares > 1) sum.gather((float4 *)shared + piece * (a.shares * PIECES * 32), share, a.shares, works);
        const tile_at ended = w.tile(tile);
        if (works) sum.store(a, w.target(p0 + lane, ended), ended.column + q0 + (lane >> 2) * 2, share);
        sum.clear();
        tile += a.blocks;
    }
}

/* ---- the host's side: how pixels are cut into tiles; that changes no sum ---- */

/* Pixels of a patch along an axis. */
inline int patch_of(const job &a, axis side::*along, int classes, int tile)
{
    int most = 0;
    for (int i = 0; i < classes; i++) {
        const axis &v = a.sides[i].*along;
        int step = v.step < 0 ? -v.step : v.step, reads = (tile - 1) * v.mul + (v.taps - 1) * step + 1;
        if (reads > most) most = reads;
    }
    return most;
}
/* Of a class, at most. */
template <bool BACK> int most_taps(const job &a, const rt_conv_shape &s)
{
    int y = 0, x = 0;
    for (int i = 0; i < (BACK ? s.sh : 1); i++) if (a.sides[i].y.taps > y) y = a.sides[i].y.taps;
    for (int i = 0; i < (BACK ? s.sw : 1); i++) if (a.sides[i].x.taps > x) x = a.sides[i].x.taps;
    return y * x;
}

/* Of a tile, at most. */
template <int Q> int pixels_of(const job &a) { return WARPS / a.shares / (Q / 16) * PIXELS; }

template <int Q> size_t bytes_of(const job &a)
{
    size_t stages = ((size_t)a.slots * (size_t)a.patch + (size_t)(a.keeps ? 1 : a.slots) * (size_t)a.weights) *
                    sizeof(float),
           sums = a.shares > 1 ? WARPS * PIXELS * 16 * sizeof(float) : 0;
    return stages > sums ? stages : sums;
}

/* Tries a tile; its cost in clocks of a processor, about; 0: it takes too much. */
template <int Q, bool BACK> double try_tile(job &a, const rt_conv_shape &s, int high, int wide, int images)
{
    /* Of a warp's 16 terms: when tensor cores are busy; when it is alone. Copied in a clock. Of a block. */
    enum { CARD = 132, AT_ONCE = 2 * CARD, STEP = 48, ALONE = 250, BYTES = 40, ONCE = 1500 };
    const int slices = (a.depth + DEEP - 1) / DEEP,
              down = BACK ? s.sh : 1, beside = BACK ? s.sw : 1, taps = most_taps<BACK>(a, s),
              ph = patch_of(a, &side::y, down, high), pw = patch_of(a, &side::x, beside, wide);
    a.taps = divider_of(taps < TAPS ? taps : TAPS);
    a.patch = images * ph * pw * APART;
    a.weights = (int)a.taps.by * weights_of<Q, BACK>::FLOATS;
    a.images = images, a.high = high;
    a.down = divider_of((a.sides[0].y.count + high - 1) / high);
    a.beside = divider_of((a.sides[0].x.count + wide - 1) / wide);
    a.across = divider_of((a.columns + Q - 1) / Q);
    a.tile_wide = divider_of(wide), a.tile_pixels = divider_of(high * wide);
    a.patch_wide = divider_of(pw), a.patch_high = divider_of(ph);
    const double tiles = (double)((s.rows + images - 1) / images) * a.down.by * a.beside.by * a.across.by;
    if (tiles > INT32_MAX / 2) return 0;
    a.tiles = a.blocks = (int)tiles;
    const int stages = slices * ((taps + (int)a.taps.by - 1) / (int)a.taps.by);
    int all = stages;
    if (a.shares == 1 && down * beside == 1 && a.tiles > AT_ONCE) {
        const int each = (a.tiles + AT_ONCE - 1) / AT_ONCE;
        a.blocks = (a.tiles + each - 1) / each, all = stages * each;
    }
    a.keeps = stages == 1 && a.across.by == 1;
    for (a.slots = all < 4 ? all : 4; a.slots > 1 && bytes_of<Q>(a) > LIMIT;) a.slots--;
    if (bytes_of<Q>(a) > LIMIT || (a.slots == 1 && stages > 1)) return 0;
    if (a.slots == 1) a.blocks = a.tiles;
    a.ahead = a.slots > 1 ? a.slots - 1 : 1;
    double rounds = tiles * down * beside / CARD, pairs;
    if (rounds < 4) rounds = ceil(rounds);
    pairs = rounds < 4 ? ceil(rounds / 2) : rounds / 2;               /* two blocks at once */
    double steps = (double)slices * taps, busy = rounds * STEP * steps * ((images * high * wide + PIXELS - 1) / PIXELS *
                                                                         (Q / 16)),
           alone = pairs * ALONE * steps / a.shares;
    return (busy > alone ? busy : alone) + pairs * ONCE +
           rounds * 64.0 * slices * ((double)images * ph * pw + (double)taps * Q) / BYTES;
}

/* The cheapest of tiles that cut images evenly, or have several of them. */
template <int Q, bool BACK> bool choose_tile(job &a, const rt_conv_shape &s)
{
    const int rows = a.sides[0].y.count, columns = a.sides[0].x.count;    /* the first class is the largest */
    const int most_pixels = pixels_of<Q>(a);
    double least = 0;
    job best = a;
    for (int beside = 1; beside <= columns; beside++) {
        int wide = (columns + beside - 1) / beside;
        if (wide > most_pixels || (beside > 1 && (wide - 1) * beside >= columns)) continue;
        if (wide < 8 && beside > 1) break;
        int most = most_pixels / wide < rows ? most_pixels / wide : rows;
        for (int down = (rows + most - 1) / most, tries = 0; down <= rows && tries < 6; down++, tries++) {
            int high = (rows + down - 1) / down, whole = down == 1 && beside == 1;
            for (int images = 1; images * high * wide <= most_pixels && images <= a.rows; images++) {
                double cost = try_tile<Q, BACK>(a, s, high, wide, images);
                if (cost > 0 && (least <= 0 || cost < least)) least = cost, best = a;
                if (!whole) break;
            }
        }
    }
    a = best;
    return least > 0;
}

/* Warps that share the taps of a pixel, by the shape alone, as it orders the sums: so many that a batch of common size
 * keeps a large card busy. */
template <bool BACK> int shares_of(const job &a, const rt_conv_shape &s)
{
    const int most = most_taps<BACK>(a, s);
    if (!most) return 1;
    const int64_t pieces = (a.sides[0].y.count * a.sides[0].x.count + PIXELS - 1) / PIXELS * ((a.columns + 15) / 16),
                  warps = pieces * s.kh * s.kw / most,  /* classes by their taps, in such of the first */
                  steps = (int64_t)most * ((a.depth + DEEP - 1) / DEEP);
    return warps <= 4 && steps >= 12 ? 4 : warps <= 8 && steps >= 12 ? 2 : 1;
}

template <int MATH, int Q, bool BACK> bool launch(cudaStream_t stream, job a, const rt_conv_shape &s)
{
    if (!choose_tile<Q, BACK>(a, s)) return false;
    size_t bytes = bytes_of<Q>(a);
    if (!rt_shared_allowed(k_patch<MATH, Q, BACK>, bytes)) return false;
    RT_LAUNCH((k_patch<MATH, Q, BACK>), dim3((unsigned)a.blocks, BACK ? (unsigned)(s.sh * s.sw) : 1), dim3(WIDE), bytes,
              stream, a);
    return true;
}

template <int MATH, bool BACK> bool launch_columns(cudaStream_t stream, const job &a, const rt_conv_shape &s)
{
    if (a.columns <= 16) return launch<MATH, 16, BACK>(stream, a, s);
    return launch<MATH, 32, BACK>(stream, a, s);
}

/* False: not with this shape; nothing was launched. */
template <bool BACK> bool launch_patch(cudaStream_t stream, const rt_conv_shape &s, job a, rt_conv_math math)
{
    uintptr_t at = (uintptr_t)a.from | (uintptr_t)a.w | (uintptr_t)a.to | (uintptr_t)a.bias;
    if (math == RT_CONV_FLOAT || s.groups != 1 || s.c % 4 || s.n % 4 || (at & 15)) return false;
    if (s.kh * s.kw == 1) return false;                 /* each pixel is read once as it is */
    if (BACK && (s.sh > CLASSES || s.sw > CLASSES)) return false;
    a.rows = s.rows, a.depth = BACK ? s.n : s.c, a.columns = BACK ? s.c : s.n, a.kernel_wide = s.kw, a.classes = s.sw;
    a.bounded = a.act.low > -INFINITY || a.act.high < INFINITY;
    for (int i = 0; i < (BACK ? s.sh : 1); i++)
        a.sides[i].y = BACK ? axis_back(s.oh, s.h, s.kh, s.sh, s.dh, s.pt, i)
                            : axis_forward(s.h, s.oh, s.kh, s.sh, s.dh, s.pt);
    for (int i = 0; i < (BACK ? s.sw : 1); i++) {
        axis x = BACK ? axis_back(s.ow, s.w, s.kw, s.sw, s.dw, s.pl, i)
                      : axis_forward(s.w, s.ow, s.kw, s.sw, s.dw, s.pl);
        a.sides[i].x = x, a.sides[i].line = divider_of(x.taps > 0 ? x.taps : 1);
    }
    a.shares = shares_of<BACK>(a, s);
    while (WARPS >> a.order > a.shares) a.order++;
    if (math == RT_CONV_TF32X3) return launch_columns<RT_CONV_TF32X3, BACK>(stream, a, s);
    if (math == RT_CONV_TF32) return launch_columns<RT_CONV_TF32, BACK>(stream, a, s);
    return launch_columns<RT_CONV_BF16, BACK>(stream, a, s);
}
}
#endif
