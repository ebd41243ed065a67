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
#include "engine/cuda/conv_tiles.cuh"

namespace {

enum { WARPS = 8, WIDE = WARPS * 32, TAPS = 9, LIMIT = 99 << 10 /* bytes: what every card from 8.0 on has */ };

/* Where source values lie: pixels of 16 channels, so far apart that the 8-byte reads of four neighbours are in
 * different banks. */
enum { APART = DEEP + 8 };

enum { CLASSES = 4 };                    /* of pixels along an axis, at most */

/* What a kernel is told; what all directions read comes first, as every line of it is waited for. */
struct job {
    float *to;
    const float *from, *w, *bias;
    int rows, depth, columns;            /* channels read; written */
    int kernel_wide, classes;            /* taps of a line of the kernel; classes of pixels along x */
    int down, beside, across;            /* tiles of an image (of its largest class); along the channels */
    int slots, ahead, taps;              /* stages in shared memory; on their way at once; taps of one, at most */
    int patch, weights;                  /* floats of a slot */
    int images, high;                    /* of a tile */
    divider tile_wide, tile_pixels, patch_wide, patch_high;
    bounds act;
    int add;
    axis y[CLASSES], x[CLASSES];         /* of each class */
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
    int column, r0, y0, x0;              /* first of the tile */
    int py, px;                          /* where the patch begins */
    int passes, slices;                  /* of taps for a slice of channels; of channels */

    __device__ work(const job &given, unsigned b, int cy, int cx) : a(given), y(given.y[cy]), x(given.x[cx])
    {
        column = (int)(b % (unsigned)a.across) * Q, b /= (unsigned)a.across;
        x0 = (int)(b % (unsigned)a.beside) * (int)a.tile_wide.by, b /= (unsigned)a.beside;
        y0 = (int)(b % (unsigned)a.down) * a.high, b /= (unsigned)a.down;
        r0 = (int)b * a.images;
        py = first_of(y, y0), px = first_of(x, x0);
        passes = (y.taps * x.taps + a.taps - 1) / a.taps;
        slices = (a.depth + DEEP - 1) / DEEP;
    }
    static __device__ int first_of(const axis &v, int at)
    { return at * v.mul + v.off + (v.step < 0 ? (v.taps - 1) * v.step : 0); }
    /* Pixels of the patch from its first to what tap i reads. */
    static __device__ int shift(const axis &v, int i) { return v.step < 0 ? (i - v.taps + 1) * v.step : i * v.step; }

    __device__ void copy_patch(float *patch, int slice) const
    {
        const int count = a.images * (int)a.patch_high.by * (int)a.patch_wide.by, four = (int)threadIdx.x % 4 * 4,
                  c = slice * DEEP + four;
        RT_UNROLL_N(1)
        for (int q = (int)threadIdx.x / 4; q < count; q += WIDE / 4) {
            int l = quotient(q, a.patch_wide), r = quotient(l, a.patch_high), iy = py + l - r * (int)a.patch_high.by,
                ix = px + q - l * (int)a.patch_wide.by;
            bool in = r0 + r < a.rows && (unsigned)iy < (unsigned)y.from && (unsigned)ix < (unsigned)x.from &&
                      c < a.depth;
            rt_copy_async(patch + q * APART + four,
                          a.from + (in ? (((r0 + r) * y.from + iy) * x.from + ix) * a.depth + c : 0), 16, in);
        }
    }
    /* Of a pass: its taps from `first` on. A thread has the same piece of each tap, or of each second or fourth. */
    __device__ void copy_weights(float *weights, int slice, int first) const
    {
        enum { PIECES = DEEP * Q / 4, STEP = WIDE / PIECES };
        const int left = y.taps * x.taps - first, taps = left < a.taps ? left : a.taps,
                  piece = (int)threadIdx.x % PIECES, k = BACK ? piece % 4 * 4 : piece / (Q / 4),
                  q = BACK ? piece / 4 : piece % (Q / 4) * 4;
        const bool in = slice * DEEP + k < a.depth && column + q < a.columns;
        const float *from = a.w + (BACK ? (column + q) * a.depth + slice * DEEP + k
                                        : (slice * DEEP + k) * a.columns + column + q);
        int t = (int)threadIdx.x / PIECES, ty = (first + t) / x.taps, tx = first + t - ty * x.taps;
        float *to = weights + t * weights_of<Q, BACK>::FLOATS + weight_at<Q, BACK>(k, q);
        RT_UNROLL_N(1)
        for (; t < taps; t += STEP) {
            int tap = (y.first + ty * y.jump) * a.kernel_wide + x.first + tx * x.jump;
            rt_copy_async(to, in ? from + tap * (a.depth * a.columns) : a.w, 16, in);
            to += STEP * weights_of<Q, BACK>::FLOATS;
            for (tx += STEP; tx >= x.taps; tx -= x.taps) ty++;
        }
    }
    /* Of pixel p of the tile: floats of the patch from its first to what its first tap reads; where its values go, -1:
     * there is no such pixel. */
    __device__ int2 place(int p) const
    {
        int r = quotient(p, a.tile_pixels), q = p - r * (int)a.tile_pixels.by, ty = quotient(q, a.tile_wide),
            tx = q - ty * (int)a.tile_wide.by, ay = y0 + ty, ax = x0 + tx;
        if (r >= a.images) return make_int2(0, -1);
        bool is = r0 + r < a.rows && ay < y.count && ax < x.count;
        return make_int2(((r * (int)a.patch_high.by + ty * y.mul) * (int)a.patch_wide.by + tx * x.mul) * APART,
                         is ? ((r0 + r) * y.to + ay * y.apart + y.phase) * x.to + ax * x.apart + x.phase : -1);
    }
};

/* Which stage: of a slice of channels the pass, and where both lie in shared memory. */
struct stage_at {
    int slice, pass, patch, weights;     /* the latter two: slots */
    __device__ void next(int passes, int slots)
    {
        if (++weights == slots) weights = 0;
        if (++pass < passes) return;
        pass = 0, slice++;
        if (++patch == slots) patch = 0;
    }
};

/* A warp's sums: TALL by two pieces (16, 8) of pixels by channels. Of 16 terms lane (g, t) reads the pairs 2t and 2t +
 * 1 of either half, and takes them for terms t and t + 4 of a product of eight; column g of piece j is channel 2g + j.
 */
template <int MATH, int Q, bool BACK> struct warp_sums {
    enum { N = 2, TALL = 2 };
    float acc[TALL][N][4];

    RT_DEVICE int lane() { return (int)threadIdx.x & 31; }

    __device__ void clear()
    {
        RT_UNROLL
        for (int i = 0; i < TALL * N * 4; i++) acc[i / 8][i / 4 % 2][i % 4] = 0.0f;
    }
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
    static __device__ void take(float x, uint32_t &high, uint32_t &low)
    {
        if (MATH == RT_CONV_TF32X3) split(x, high, low);
        else high = rt_tf32(x);
    }
    static __device__ void products(float (*c)[N][4], const uint32_t (&a)[N][4], const uint32_t (&b)[N][2])
    {
        RT_UNROLL
        for (int i = 0; i < N; i++) {
            RT_UNROLL
            for (int j = 0; j < N; j++) rt_mma_tf32(c[i][j], a[i], b[j]);
        }
    }
    /* 16 terms: at[2i] and at[2i + 1] are where those of pixels g and g + 8 of piece i lie, behind `patch`; w: those of
     * the warp's first channel. Sums of a few terms start from 0 and are then added as floats are: tensor cores cut off
     * what they add. */
    __device__ void add_tf32(const float *patch, const int (&at)[2 * TALL], const float *w)
    {
        uint32_t bh[2][N][2], bl[2][N][2];
        RT_UNROLL
        for (int h = 0; h < 2; h++) {
            float2 v[N];
            columns(v, w, h);
            RT_UNROLL
            for (int j = 0; j < N; j++) {
                take(v[j].x, bh[h][j][0], bl[h][j][0]);
                take(v[j].y, bh[h][j][1], bl[h][j][1]);
            }
        }
        RT_UNROLL
        for (int two = 0; two < TALL; two += N) {
            float part[2][N][N][4] = {};                /* of the halves: chains of products are short */
            RT_UNROLL
            for (int h = 0; h < 2; h++) {
                uint32_t ah[N][4], al[N][4];
                RT_UNROLL
                for (int i = 0; i < 2 * N; i++) {
                    float2 u = *(const float2 *)(patch + at[2 * two + i] + h * 8);
                    take(u.x, ah[i / 2][i % 2], al[i / 2][i % 2]);
                    take(u.y, ah[i / 2][i % 2 + 2], al[i / 2][i % 2 + 2]);
                }
                if constexpr (MATH == RT_CONV_TF32X3) {
                    products(part[h], al, bh[h]);
                    products(part[h], ah, bl[h]);
                    products(part[h], ah, bh[h]);
                } else products(acc + two, ah, bh[h]);
            }
            if constexpr (MATH == RT_CONV_TF32X3) {
                RT_UNROLL
                for (int i = 0; i < N * N * 4; i++) {
                    const int y = i / 8, x = i / 4 % 2, q = i % 4;
                    acc[two + y][x][q] += part[0][y][x][q] + part[1][y][x][q];
                }
            }
        }
    }
    __device__ void add_bf16(const float *patch, const int (&at)[2 * TALL], const float *w)
    {
        uint32_t b[N][2], a[TALL][4];
        RT_UNROLL
        for (int h = 0; h < 2; h++) {
            float2 v[N];
            columns(v, w, h);
            RT_UNROLL
            for (int j = 0; j < N; j++) b[j][h] = rt_bf16_pair(v[j].x, v[j].y);
            RT_UNROLL
            for (int i = 0; i < 2 * TALL; i++) {
                float2 u = *(const float2 *)(patch + at[i] + h * 8);
                a[i / 2][i % 2 + 2 * h] = rt_bf16_pair(u.x, u.y);
            }
        }
        RT_UNROLL
        for (int i = 0; i < TALL; i++) {
            RT_UNROLL
            for (int j = 0; j < N; j++) rt_mma_bf16(acc[i][j], a[i], b[j]);
        }
    }
    __device__ void add(const float *patch, const int (&at)[2 * TALL], const float *w)
    {
        if constexpr (MATH == RT_CONV_BF16) add_bf16(patch, at, w);
        else add_tf32(patch, at, w);
    }
    /* The lane's four channels of pixel 8 i + g. */
    __device__ float4 four(int i) const
    {
        const int q = i % 2 * 2;
        return make_float4(acc[i / 2][0][q], acc[i / 2][1][q], acc[i / 2][0][q + 1], acc[i / 2][1][q + 1]);
    }
};

template <int MATH, int Q, bool BACK> __global__ void __launch_bounds__(WIDE, 2) k_patch(job a)
{
    RT_SHARED_DYNAMIC(float, shared);
    typedef warp_sums<MATH, Q, BACK> sums;
    enum { PLACES = 2 * sums::TALL };
    const int c = BACK ? (int)blockIdx.y : 0, cy = BACK ? c / a.classes : 0;             /* class of the pixels */
    const work<Q, BACK> w(a, blockIdx.x, cy, c - cy * (BACK ? a.classes : 1));
    const int warp = (int)threadIdx.x >> 5, lane = (int)threadIdx.x & 31, p0 = warp / (Q / 16) * (8 * PLACES),
              q0 = warp % (Q / 16) * 16, works = p0 < a.images * (int)a.tile_pixels.by, stages = w.slices * w.passes;
    float *weights = shared + a.slots * a.patch;
    int at[PLACES];
    sums sum;
    sum.clear();
    stage_at now = {}, next = {};
    for (int stage = -a.ahead; stage < stages; stage++) {
        if (stage >= 0) {
            if (a.ahead > 1) rt_copy_wait<2>();
            else rt_copy_wait<0>();
            __syncthreads();                            /* nobody reads any more what comes next */
        }
        if (stage + a.ahead < stages) {
            if (next.pass == 0) w.copy_patch(shared + next.patch * a.patch, next.slice);
            w.copy_weights(weights + next.weights * a.weights, next.slice, next.pass * a.taps);
            next.next(w.passes, a.slots);
        }
        rt_copy_commit();
        if (stage < 0 || !works) continue;
        if (stage == 0) {
            RT_UNROLL
            for (int i = 0; i < PLACES; i++) at[i] = w.place(p0 + i * 8 + (lane >> 2)).x + 2 * (lane & 3);
        }
        const int first = now.pass * a.taps, left = w.y.taps * w.x.taps - first, taps = left < a.taps ? left : a.taps;
        const float *patch = shared + now.patch * a.patch,
                    *rows = weights + now.weights * a.weights + weight_at<Q, BACK>(0, q0);
        int ty = first / w.x.taps, tx = first - ty * w.x.taps;
        RT_UNROLL_N(1)
        for (int t = 0; t < taps; t++) {
            sum.add(patch + (w.shift(w.y, ty) * (int)a.patch_wide.by + w.shift(w.x, tx)) * APART, at, rows);
            rows += weights_of<Q, BACK>::FLOATS;
            if (++tx == w.x.taps) tx = 0, ty++;
        }
        now.next(w.passes, a.slots);
    }
    const int column = w.column + q0 + (lane & 3) * 4;
    if (!works || column >= a.columns) return;
    float4 bias = a.bias ? *(const float4 *)(a.bias + column) : make_float4(0, 0, 0, 0);
    RT_UNROLL
    for (int i = 0; i < PLACES; i++) {
        int place = w.place(p0 + i * 8 + (lane >> 2)).y;
        if (place < 0) continue;
        float4 v = sum.four(i), *at = (float4 *)(a.to + (ptrdiff_t)place * a.columns + column);
        v.x += bias.x, v.y += bias.y, v.z += bias.z, v.w += bias.w;
        if (a.add) {
            float4 old = *at;
            v.x += old.x, v.y += old.y, v.z += old.z, v.w += old.w;
        }
        *at = make_float4(within(v.x, a.act), within(v.y, a.act), within(v.z, a.act), within(v.w, a.act));
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
template <int Q, bool BACK> double try_tile(job &a, const rt_conv_shape &s, int high, int wide, int images)
{
    enum { CARD = 132, STEP = 38, BYTES = 40, FREE = 48 << 10 };   /* of a warp's 16 terms; copied in a clock */
    const int slices = (a.depth + DEEP - 1) / DEEP,
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
    a.images = images, a.high = high;
    a.down = (a.y[0].count + high - 1) / high, a.beside = (a.x[0].count + wide - 1) / wide;
    a.across = (a.columns + Q - 1) / Q;
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
template <int Q, bool BACK> bool choose_tile(job &a, const rt_conv_shape &s)
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
            for (int images = 1; images * high * wide <= PIXELS && images <= a.rows; images++) {
                double cost = try_tile<Q, BACK>(a, s, high, wide, images);
                if (cost > 0 && (least <= 0 || cost < least)) least = cost, best = a;
                if (!whole) break;
            }
        }
    }
    a = best;
    return least > 0;
}

template <int MATH, int Q, bool BACK> bool launch(cudaStream_t stream, job a, const rt_conv_shape &s)
{
    if (!choose_tile<Q, BACK>(a, s)) return false;
    size_t bytes = bytes_of(a), blocks = (size_t)((s.rows + a.images - 1) / a.images) * (size_t)a.down *
                                         (size_t)a.beside * (size_t)a.across;
    if (blocks > INT32_MAX) return false;
    if (!rt_shared_allowed(k_patch<MATH, Q, BACK>, bytes)) return false;
    RT_LAUNCH((k_patch<MATH, Q, BACK>), dim3((unsigned)blocks, BACK ? (unsigned)(s.sh * s.sw) : 1),
              dim3(WIDE), bytes, stream, a);
    return true;
}

template <int MATH, bool BACK> bool launch_columns(cudaStream_t stream, const job &a, const rt_conv_shape &s)
{
    if (a.columns <= 16) return launch<MATH, 16, BACK>(stream, a, s);
    if (a.columns <= 32) return launch<MATH, 32, BACK>(stream, a, s);
    return launch<MATH, 64, BACK>(stream, a, s);
}

/* False: not with this shape; nothing was launched. */
template <bool BACK> bool launch_patch(cudaStream_t stream, const rt_conv_shape &s, job a, rt_conv_math math)
{
    uintptr_t at = (uintptr_t)a.from | (uintptr_t)a.w | (uintptr_t)a.to | (uintptr_t)a.bias;
    if (math == RT_CONV_FLOAT || s.groups != 1 || s.c % 4 || s.n % 4 || (at & 15)) return false;
    if (s.kh * s.kw == 1) return false;                 /* each pixel is read once as it is */
    if (BACK && (s.sh > CLASSES || s.sw > CLASSES)) return false;
    a.rows = s.rows, a.depth = BACK ? s.n : s.c, a.columns = BACK ? s.c : s.n, a.kernel_wide = s.kw, a.classes = s.sw;
    for (int i = 0; i < (BACK ? s.sh : 1); i++)
        a.y[i] = BACK ? axis_back(s.oh, s.h, s.kh, s.sh, s.dh, s.pt, i)
                      : axis_forward(s.h, s.oh, s.kh, s.sh, s.dh, s.pt);
    for (int i = 0; i < (BACK ? s.sw : 1); i++)
        a.x[i] = BACK ? axis_back(s.ow, s.w, s.kw, s.sw, s.dw, s.pl, i)
                      : axis_forward(s.w, s.ow, s.kw, s.sw, s.dw, s.pl);
    if (math == RT_CONV_TF32X3) return launch_columns<RT_CONV_TF32X3, BACK>(stream, a, s);
    if (math == RT_CONV_TF32) return launch_columns<RT_CONV_TF32, BACK>(stream, a, s);
    return launch_columns<RT_CONV_BF16, BACK>(stream, a, s);
}
}
#endif
