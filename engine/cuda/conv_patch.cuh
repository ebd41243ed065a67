/* engine/cuda/conv_patch.cuh - convolutions of one group on tensor cores, forward and back to their image, from
 * patches: see conv_launch.h for what is computed. A block of eight warps computes a tile of pixels by Q channels. What
 * its pixels read, 16 channels of it, is a patch of the source, which is copied once for all taps; with it come those
 * 16 rows of the weights of up to TAPS taps. That is a stage; the next ones are on their way while one is added up. A
 * warp has 32 pixels of 16 channels and reads its factors straight from the patch. conv_patch.cu and conv_patch_back.cu
 * have one direction each. */
#ifndef RT_ENGINE_CUDA_CONV_PATCH_CUH
#define RT_ENGINE_CUDA_CONV_PATCH_CUH

#include "engine/cuda/conv_axis.cuh"
#include "engine/cuda/conv_math.cuh"

namespace {

enum { WARPS = 8, WIDE = WARPS * 32, TAPS = 9, LIMIT = 99 << 10 /* bytes: what every card from 8.0 on has */ };

/* Where source values lie: pixels of 16 channels, so far apart that the 8-byte reads of four neighbours are in
 * different banks. */
enum { APART = DEEP + 8 };

enum { CLASSES = 4 };                    /* of pixels along an axis, at most */

struct job {
    rt_conv_shape s;
    axis y[CLASSES], x[CLASSES];         /* of each class */
    float *to;
    const float *from, *w, *bias;
    bounds act;
    int add;
    int down, beside, across;            /* tiles of an image (of its largest class); along the channels */
    int slots, ahead, taps;              /* stages in shared memory; on their way at once; taps of one, at most */
    int patch, weights;                  /* floats of a slot */
    int images, high, wide;              /* of a tile */
    divider tile_wide, tile_pixels, patch_wide, patch_high;
};

/* Where (k, column) of a tap's 16 rows of weights lies. Forward they are rows of Q; back, columns of 16, two by two as
 * four pieces of eight, whose order changes from pair to pair: so reads of 8 bytes fall into different banks. */
template <int Q, bool BACK> RT_DEVICE int weight_at(int k, int q)
{
    if (!BACK) return k * (Q + 4) + q;
    return (q >> 1) * 32 + ((((q & 1) * 2 + (k >> 3)) ^ (q >> 1 & 3)) << 3) + (k & 7);
}
template <int Q, bool BACK> struct weights_of { enum { FLOATS = DEEP * (BACK ? Q : Q + 4) }; };

/* What a block works on. */
template <int Q, bool BACK> struct work {
    const job &a;
    const axis &y, &x;
    int depth, columns;                  /* channels read; written */
    int column, r0, y0, x0;              /* first of the tile */
    int py, px;                          /* where the patch begins */
    int passes, stages;                  /* of a slice of channels; in all */

    __device__ work(const job &given, unsigned b, int cy, int cx) : a(given), y(given.y[cy]), x(given.x[cx])
    {
        depth = BACK ? a.s.n : a.s.c, columns = BACK ? a.s.c : a.s.n;
        column = (int)(b % (unsigned)a.across) * Q, b /= (unsigned)a.across;
        x0 = (int)(b % (unsigned)a.beside) * (int)a.tile_wide.by, b /= (unsigned)a.beside;
        y0 = (int)(b % (unsigned)a.down) * a.high, b /= (unsigned)a.down;
        r0 = (int)b * a.images;
        py = first_of(y, y0), px = first_of(x, x0);
        passes = (y.taps * x.taps + a.taps - 1) / a.taps;
        stages = (depth + DEEP - 1) / DEEP * passes;
    }
    static __device__ int first_of(const axis &v, int at)
    { return at * v.mul + v.off + (v.step < 0 ? (v.taps - 1) * v.step : 0); }
    /* Pixels of the patch from its first to what tap i reads. */
    static __device__ int shift(const axis &v, int i) { return v.step < 0 ? (i - v.taps + 1) * v.step : i * v.step; }

    __device__ float *patch(float *shared, int slice) const { return shared + slice % a.slots * a.patch; }
    __device__ float *weights(float *shared, int stage) const
    { return shared + a.slots * a.patch + stage % a.slots * a.weights; }

    __device__ void copy_patch(float *patch, int slice) const
    {
        const int count = a.images * (int)a.patch_high.by * (int)a.patch_wide.by * (DEEP / 4);
        RT_UNROLL_N(2)
        for (int i = (int)threadIdx.x; i < count; i += WIDE) {
            int q = i / (DEEP / 4), four = i % (DEEP / 4) * 4, l = quotient(q, a.patch_wide),
                r = quotient(l, a.patch_high), iy = py + l - r * (int)a.patch_high.by,
                ix = px + q - l * (int)a.patch_wide.by, c = slice * DEEP + four;
            bool in = r0 + r < a.s.rows && (unsigned)iy < (unsigned)y.from && (unsigned)ix < (unsigned)x.from &&
                      c < depth;
            rt_copy_async(patch + q * APART + four,
                          a.from + (in ? (((r0 + r) * y.from + iy) * x.from + ix) * depth + c : 0), 16, in);
        }
    }
    __device__ void copy_weights(float *weights, int slice, int first) const
    {
        const int left = y.taps * x.taps - first, taps = left < a.taps ? left : a.taps;
        RT_UNROLL_N(2)
        for (int i = (int)threadIdx.x; i < taps * (DEEP * Q / 4); i += WIDE) {
            int t = i / (DEEP * Q / 4), k, q;
            if (BACK) k = i % (DEEP / 4) * 4, q = i / (DEEP / 4) % Q;
            else q = i % (Q / 4) * 4, k = i / (Q / 4) % DEEP;
            int ty = (first + t) / x.taps, tx = first + t - ty * x.taps,
                tap = (y.first + ty * y.jump) * a.s.kw + x.first + tx * x.jump;
            bool in = slice * DEEP + k < depth && column + q < columns;
            const float *at = BACK ? a.w + ((ptrdiff_t)tap * columns + column + q) * depth + slice * DEEP + k
                                   : a.w + ((ptrdiff_t)tap * depth + slice * DEEP + k) * columns + column + q;
            rt_copy_async(weights + t * weights_of<Q, BACK>::FLOATS + weight_at<Q, BACK>(k, q), in ? at : a.w, 16, in);
        }
    }
    __device__ void copy(float *shared, int stage) const
    {
        int slice = stage / passes, pass = stage - slice * passes;
        if (pass == 0) copy_patch(patch(shared, slice), slice);
        copy_weights(weights(shared, stage), slice, pass * a.taps);
    }
    /* Of pixel p of the tile: pixels of the patch from its first to what the first tap of the pixel reads; where its
     * values go, nullptr: there is no such pixel. */
    __device__ int begin(int p) const
    {
        if (p >= a.images * (int)a.tile_pixels.by) p = 0;
        int r = quotient(p, a.tile_pixels), q = p - r * (int)a.tile_pixels.by, ty = quotient(q, a.tile_wide),
            tx = q - ty * (int)a.tile_wide.by;
        return (r * (int)a.patch_high.by + ty * y.mul) * (int)a.patch_wide.by + tx * x.mul;
    }
    __device__ float *target(int p) const
    {
        int r = quotient(p, a.tile_pixels), q = p - r * (int)a.tile_pixels.by, ty = quotient(q, a.tile_wide),
            tx = q - ty * (int)a.tile_wide.by;
        if (r >= a.images || r0 + r >= a.s.rows || y0 + ty >= y.count || x0 + tx >= x.count) return nullptr;
        return a.to + (ptrdiff_t)(((r0 + r) * y.to + (y0 + ty) * y.apart + y.phase) * x.to + (x0 + tx) * x.apart +
                                  x.phase) * columns;
    }
};

/* A warp's sums: 32 pixels of 16 channels, as two by two pieces (16, 8). Of 16 terms lane (g, t) reads the pairs 2t and
 * 2t + 1 of either half, and takes them for terms t and t + 4 of a product of eight; column g of piece j is channel
 * 2g + j. */
template <int MATH, int Q, bool BACK> struct warp_sums {
    enum { N = 2 };
    float acc[N][N][4];

    RT_DEVICE int lane() { return (int)threadIdx.x & 31; }

    static __device__ void zero(float (&c)[N][N][4])
    {
        RT_UNROLL
        for (int i = 0; i < N * N * 4; i++) c[i / 8][i / 4 % 2][i % 4] = 0.0f;
    }
    __device__ void clear() { zero(acc); }

    /* The two terms of this lane in half h of each column. */
    static __device__ void columns(float2 (&b)[N], const float *w, int h)
    {
        const int g = lane() >> 2, t = lane() & 3;
        if (BACK) {
            RT_UNROLL
            for (int j = 0; j < N; j++) b[j] = *(const float2 *)(w + weight_at<Q, true>(h * 8 + 2 * t, 2 * g + j));
        } else {
            float2 u = *(const float2 *)(w + weight_at<Q, false>(h * 8 + 2 * t, 2 * g)),
                   v = *(const float2 *)(w + weight_at<Q, false>(h * 8 + 2 * t + 1, 2 * g));
            b[0] = make_float2(u.x, v.x);
            b[1] = make_float2(u.y, v.y);
        }
    }
    static __device__ void products(float (&c)[N][N][4], const uint32_t (&a)[N][4], const uint32_t (&b)[N][2])
    {
        RT_UNROLL
        for (int i = 0; i < N; i++) {
            RT_UNROLL
            for (int j = 0; j < N; j++) rt_mma_tf32(c[i][j], a[i], b[j]);
        }
    }
    /* 16 terms: at[i][0] and [1] are where those of pixels g and g + 8 of piece i lie, behind `patch`; w: those of the
     * warp's first channel. Sums of a few terms start from 0 and are then added as floats are: tensor cores cut off
     * what they add. */
    __device__ void add(const float *patch, const int (&at)[N][2], const float *w)
    {
        if constexpr (MATH == RT_CONV_BF16) {
            add_bf16(patch, at, w);
            return;
        }
        float part[N][N][4];
        zero(part);
        RT_UNROLL
        for (int h = 0; h < 2; h++) {
            float2 v[N];
            uint32_t ah[N][4], al[N][4], bh[N][2], bl[N][2];
            columns(v, w, h);
            RT_UNROLL
            for (int j = 0; j < N; j++) {
                take(v[j].x, bh[j][0], bl[j][0]);
                take(v[j].y, bh[j][1], bl[j][1]);
            }
            RT_UNROLL
            for (int i = 0; i < N; i++) {
                RT_UNROLL
                for (int q = 0; q < 2; q++) {
                    float2 u = *(const float2 *)(patch + at[i][q] + h * 8);
                    take(u.x, ah[i][q], al[i][q]);
                    take(u.y, ah[i][q + 2], al[i][q + 2]);
                }
            }
            if (MATH == RT_CONV_TF32X3) {
                products(part, al, bh);
                products(part, ah, bl);
                products(part, ah, bh);
            } else products(acc, ah, bh);
        }
        if (MATH == RT_CONV_TF32X3) {
            RT_UNROLL
            for (int i = 0; i < N * N * 4; i++) acc[i / 8][i / 4 % 2][i % 4] += part[i / 8][i / 4 % 2][i % 4];
        }
    }
    static __device__ void take(float x, uint32_t &high, uint32_t &low)
    {
        if (MATH == RT_CONV_TF32X3) split(x, high, low);
        else high = rt_tf32(x);
    }
    __device__ void add_bf16(const float *patch, const int (&at)[N][2], const float *w)
    {
        uint32_t b[N][2], a[N][4];
        RT_UNROLL
        for (int h = 0; h < 2; h++) {
            float2 v[N];
            columns(v, w, h);
            RT_UNROLL
            for (int j = 0; j < N; j++) b[j][h] = rt_bf16_pair(v[j].x, v[j].y);
            RT_UNROLL
            for (int i = 0; i < N; i++) {
                RT_UNROLL
                for (int q = 0; q < 2; q++) {
                    float2 u = *(const float2 *)(patch + at[i][q] + h * 8);
                    a[i][q + 2 * h] = rt_bf16_pair(u.x, u.y);
                }
            }
        }
        RT_UNROLL
        for (int i = 0; i < N; i++) {
            RT_UNROLL
            for (int j = 0; j < N; j++) rt_mma_bf16(acc[i][j], a[i], b[j]);
        }
    }
    /* The lane's four channels of pixel g (q = 0) or g + 8 (q = 1) of piece i. */
    __device__ float4 four(int i, int q) const
    { return make_float4(acc[i][0][2 * q], acc[i][1][2 * q], acc[i][0][2 * q + 1], acc[i][1][2 * q + 1]); }
};

template <int MATH, int Q, bool BACK> __global__ void __launch_bounds__(WIDE, 3) k_patch(job a)
{
    RT_SHARED_DYNAMIC(float, shared);
    typedef warp_sums<MATH, Q, BACK> sums;
    const int c = BACK ? (int)blockIdx.y : 0, cy = c / a.s.sw;           /* class of the pixels */
    const work<Q, BACK> w(a, blockIdx.x, BACK ? cy : 0, BACK ? c - cy * a.s.sw : 0);
    const int warp = (int)threadIdx.x >> 5, lane = (int)threadIdx.x & 31, p0 = warp / (Q / 16) * 32 + (lane >> 2),
              q0 = warp % (Q / 16) * 16, works = p0 - (lane >> 2) < a.images * (int)a.tile_pixels.by;
    for (int i = 0; i < a.ahead; i++) {
        if (i < w.stages) w.copy(shared, i);
        rt_copy_commit();
    }
    int at[2][2];
    RT_UNROLL
    for (int i = 0; i < 4; i++) at[i / 2][i % 2] = w.begin(p0 + i * 8) * APART + 2 * (lane & 3);
    sums sum;
    sum.clear();
    for (int stage = 0; stage < w.stages; stage++) {
        if (a.ahead > 1) rt_copy_wait<2>();
        else rt_copy_wait<0>();
        __syncthreads();                                /* nobody reads any more what comes next */
        if (stage + a.ahead < w.stages) w.copy(shared, stage + a.ahead);
        rt_copy_commit();
        if (!works) continue;
        const int slice = stage / w.passes, first = (stage - slice * w.passes) * a.taps,
                  left = w.y.taps * w.x.taps - first, taps = left < a.taps ? left : a.taps;
        const float *patch = w.patch(shared, slice),
                    *weights = w.weights(shared, stage) + weight_at<Q, BACK>(0, q0);
        int ty = first / w.x.taps, tx = first - ty * w.x.taps;
        RT_UNROLL_N(1)
        for (int t = 0; t < taps; t++) {
            sum.add(patch + (w.shift(w.y, ty) * (int)a.patch_wide.by + w.shift(w.x, tx)) * APART, at, weights);
            weights += weights_of<Q, BACK>::FLOATS;
            if (++tx == w.x.taps) tx = 0, ty++;
        }
    }
    const int column = w.column + q0 + (lane & 3) * 4;
    if (!works || column >= w.columns) return;
    float4 bias = a.bias ? *(const float4 *)(a.bias + column) : make_float4(0, 0, 0, 0);
    RT_UNROLL
    for (int i = 0; i < 4; i++) {
        float *to = w.target(p0 + i * 8);
        if (!to) continue;
        float4 v = sum.four(i / 2, i % 2);
        v.x += bias.x, v.y += bias.y, v.z += bias.z, v.w += bias.w;
        if (a.add) {
            float4 old = *(const float4 *)(to + column);
            v.x += old.x, v.y += old.y, v.z += old.z, v.w += old.w;
        }
        *(float4 *)(to + column) = make_float4(within(v.x, a.act), within(v.y, a.act), within(v.z, a.act),
                                               within(v.w, a.act));
    }
}

/* ---- the host's side: how pixels are cut into tiles; that changes no sum ---- */

/* Pixels of a patch along an axis. */
inline int patch_of(const axis *v, int classes, int tile)
{
    int most = 0;
    for (int i = 0; i < classes; i++) {
        int step = v[i].step < 0 ? -v[i].step : v[i].step, reads = (tile - 1) * v[i].mul + (v[i].taps - 1) * step + 1;
        if (reads > most) most = reads;
    }
    return most;
}
inline int most_taps(const axis *v, int classes)
{
    int most = 0;
    for (int i = 0; i < classes; i++) if (v[i].taps > most) most = v[i].taps;
    return most;
}

inline size_t bytes_of(const job &a) { return (size_t)a.slots * (size_t)(a.patch + a.weights) * sizeof(float); }

/* Tries a tile; its cost in clocks of a processor, about; 0: it takes too much. */
template <int Q, bool BACK> double try_tile(job &a, int high, int wide, int images)
{
    enum { CARD = 132, STEP = 38, BYTES = 40, FREE = 48 << 10 };   /* of a warp's 16 terms; copied in a clock */
    const rt_conv_shape &s = a.s;
    const int depth = BACK ? s.n : s.c, columns = BACK ? s.c : s.n, slices = (depth + DEEP - 1) / DEEP,
              down = BACK ? s.sh : 1, beside = BACK ? s.sw : 1, taps = most_taps(a.y, down) * most_taps(a.x, beside),
              ph = patch_of(a.y, down, high), pw = patch_of(a.x, beside, wide);
    a.taps = taps < TAPS ? taps : TAPS;
    a.patch = images * ph * pw * APART;
    a.weights = a.taps * weights_of<Q, BACK>::FLOATS;
    const int stages = slices * ((taps + a.taps - 1) / a.taps);
    a.slots = stages > 2 ? 4 : stages;
    if (a.slots == 4 && bytes_of(a) > FREE) a.slots = 2;
    a.ahead = a.slots > 1 ? a.slots - 1 : 1;
    if (bytes_of(a) > LIMIT) return 0;
    a.images = images, a.high = high, a.wide = wide;
    a.down = (a.y[0].count + high - 1) / high, a.beside = (a.x[0].count + wide - 1) / wide;
    a.across = (columns + Q - 1) / Q;
    a.tile_wide = divider_of(wide), a.tile_pixels = divider_of(high * wide);
    a.patch_wide = divider_of(pw), a.patch_high = divider_of(ph);
    double blocks = (double)((s.rows + images - 1) / images) * a.down * a.beside * a.across * down * beside,
           rounds = blocks / CARD;
    if (rounds < 4) rounds = ceil(rounds);
    int warps = (images * high * wide + 31) / 32 * (Q / 16);
    if (warps < 4) warps = 4;
    return rounds * (STEP * (double)warps * slices * taps +
                     64.0 * slices * ((double)images * ph * pw + (double)taps * Q) / BYTES);
}

/* The cheapest of tiles that cut images evenly, or have several of them. */
template <int Q, bool BACK> bool choose_tile(job &a)
{
    const int rows = a.y[0].count, columns = a.x[0].count;    /* the first class is the largest */
    enum { PIXELS = WARPS * 32 * 16 / Q };
    double least = 0;
    job best = a;
    for (int beside = 1; beside <= columns; beside++) {
        int wide = (columns + beside - 1) / beside;
        if (wide > PIXELS || (beside > 1 && (wide - 1) * beside >= columns)) continue;
        if (wide < 8 && beside > 1) break;
        int most = PIXELS / wide < rows ? PIXELS / wide : rows;
        for (int down = (rows + most - 1) / most, tries = 0; down <= rows && tries < 6; down++, tries++) {
            int high = (rows + down - 1) / down, whole = down == 1 && beside == 1;
            for (int images = 1; images * high * wide <= PIXELS && images <= a.s.rows; images++) {
                double cost = try_tile<Q, BACK>(a, high, wide, images);
                if (cost > 0 && (least <= 0 || cost < least)) least = cost, best = a;
                if (!whole) break;
            }
        }
    }
    a = best;
    return least > 0;
}

template <int MATH, int Q, bool BACK> bool launch(cudaStream_t stream, job a)
{
    const rt_conv_shape &s = a.s;
    if (!choose_tile<Q, BACK>(a)) return false;
    size_t bytes = bytes_of(a), blocks = (size_t)((s.rows + a.images - 1) / a.images) * (size_t)a.down *
                                         (size_t)a.beside * (size_t)a.across;
    if (blocks > INT32_MAX) return false;
    if (bytes > 48 << 10 && cudaFuncSetAttribute(k_patch<MATH, Q, BACK>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                                 (int)bytes) != cudaSuccess) return false;
    RT_LAUNCH((k_patch<MATH, Q, BACK>), dim3((unsigned)blocks, BACK ? (unsigned)(s.sh * s.sw) : 1),
              dim3(WIDE), bytes, stream, a);
    return true;
}

template <int MATH, bool BACK> bool launch_columns(cudaStream_t stream, const job &a)
{
    int columns = BACK ? a.s.c : a.s.n;
    if (columns <= 16) return launch<MATH, 16, BACK>(stream, a);
    if (columns <= 32) return launch<MATH, 32, BACK>(stream, a);
    return launch<MATH, 64, BACK>(stream, a);
}

/* False: not with this shape; nothing was launched. */
template <bool BACK> bool launch_patch(cudaStream_t stream, job a, rt_conv_math math)
{
    const rt_conv_shape &s = a.s;
    uintptr_t at = (uintptr_t)a.from | (uintptr_t)a.w | (uintptr_t)a.to | (uintptr_t)a.bias;
    if (math == RT_CONV_FLOAT || s.groups != 1 || s.c % 4 || s.n % 4 || (at & 15)) return false;
    if (BACK && (s.sh > CLASSES || s.sw > CLASSES)) return false;
    for (int i = 0; i < (BACK ? s.sh : 1); i++)
        a.y[i] = BACK ? axis_back(s.oh, s.h, s.kh, s.sh, s.dh, s.pt, i)
                      : axis_forward(s.h, s.oh, s.kh, s.sh, s.dh, s.pt);
    for (int i = 0; i < (BACK ? s.sw : 1); i++)
        a.x[i] = BACK ? axis_back(s.ow, s.w, s.kw, s.sw, s.dw, s.pl, i)
                      : axis_forward(s.w, s.ow, s.kw, s.sw, s.dw, s.pl);
    if (math == RT_CONV_TF32X3) return launch_columns<RT_CONV_TF32X3, BACK>(stream, a);
    if (math == RT_CONV_TF32) return launch_columns<RT_CONV_TF32, BACK>(stream, a);
    return launch_columns<RT_CONV_BF16, BACK>(stream, a);
}
}
#endif
