/* engine/cuda/conv_gather.cuh - convolution forward and back to its image: products of gathered pixels by weights. See
 * conv_launch.h for what is computed. A block of 128 threads computes P pixels of Q channels; a tile of the left factor
 * is P rows of 16 terms (taps and channels), which come by asynchronous copies, two tiles ahead. conv.cu and
 * conv_back.cu have one direction each, as compilers take their time. */
#ifndef RT_ENGINE_CUDA_CONV_GATHER_CUH
#define RT_ENGINE_CUDA_CONV_GATHER_CUH

#include "engine/cuda/conv_axis.cuh"
#include "engine/cuda/conv_math.cuh"

namespace {

/* What a kernel is told. Source: x of a convolution, dy of one back; target: the other. */
struct job {
    rt_conv_shape s;
    float *to;
    const float *from, *w, *bias;
    bounds act;
    int add;
    int tiles, across;                   /* along pixels (of the largest class), along channels of a group */
    int wide, pairs;                     /* rows of weights can be read 16 bytes, values written 8 bytes at a time */
};

/* What a block works on. */
template <bool BACK> struct work {
    axis y, x;
    int group, column, tile;             /* first channel of the group; tile along the pixels */
    int depth, columns, from_ld, to_ld;  /* terms a tap; channels of a group written; of a pixel */
    int terms;

    __device__ work(const job &a, int q)
    {
        const rt_conv_shape &s = a.s;
        unsigned b = blockIdx.x;
        tile = (int)(b % (unsigned)a.tiles), b /= (unsigned)a.tiles;
        column = (int)(b % (unsigned)a.across) * q, b /= (unsigned)a.across;
        if (BACK) {
            unsigned classes = (unsigned)s.sh * (unsigned)s.sw, c = b % classes;
            group = (int)(b / classes);
            y = axis_back(s.oh, s.h, s.kh, s.sh, s.dh, s.pt, (int)c / s.sw);
            x = axis_back(s.ow, s.w, s.kw, s.sw, s.dw, s.pl, (int)c % s.sw);
            depth = s.ng, columns = s.cg, from_ld = s.n, to_ld = s.c;
        } else {
            group = (int)b;
            y = axis_forward(s.h, s.oh, s.kh, s.sh, s.dh, s.pt);
            x = axis_forward(s.w, s.ow, s.kw, s.sw, s.dw, s.pl);
            depth = s.cg, columns = s.ng, from_ld = s.c, to_ld = s.n;
        }
        terms = y.taps * x.taps * depth;
    }
    __device__ int pixels(int rows) { return rows * y.count * x.count; }

    /* Of pixel p: the first source pixel's row and column, where that pixel's values begin (it may lie outside), and
     * the number of the target pixel, -1 where there is none. */
    __device__ int4 place(int p, int rows)
    {
        const int of_row = y.count * x.count, outside = -(1 << 29);
        if (p >= pixels(rows)) return make_int4(outside, outside, 0, -1);
        int r = p / of_row, q = p - r * of_row, py = q / x.count, px = q - py * x.count,
            sy = py * y.mul + y.off, sx = px * x.mul + x.off;
        return make_int4(sy, sx, ((r * y.from + sy) * x.from + sx) * from_ld,
                         (r * y.to + py * y.apart + y.phase) * x.to + px * x.apart + x.phase);
    }
};

/* Where term k, of a thread's column of a tile, comes from. */
struct term {
    int ty, tx, channel, dy, dx, off, inside;          /* off: from the pixel's first value to this */

    template <bool BACK> __device__ void set(const work<BACK> &w)
    {
        inside = ty < w.y.taps;
        dy = ty * w.y.step, dx = tx * w.x.step;
        off = (dy * w.x.from + dx) * w.from_ld + w.group * w.depth + channel;
    }
    template <bool BACK> __device__ void begin(const work<BACK> &w, int k)
    {
        int tap = k / w.depth;
        channel = k - tap * w.depth;
        ty = w.x.taps ? tap / w.x.taps : w.y.taps;
        tx = tap - ty * w.x.taps;
        set(w);
    }
    template <bool BACK> __device__ void go_on(const work<BACK> &w)
    {
        channel += DEEP;
        while (channel >= w.depth) {
            channel -= w.depth;
            if (++tx == w.x.taps) tx = 0, ty++;
        }
        set(w);
    }
    /* The tap's number among the kernel's. */
    template <bool BACK> __device__ int tap(const work<BACK> &w, int kw)
    { return (w.y.first + ty * w.y.jump) * kw + w.x.first + tx * w.x.jump; }
    __device__ bool reads(const int4 &p, int h, int w)
    { return inside && (unsigned)(p.x + dy) < (unsigned)h && (unsigned)(p.y + dx) < (unsigned)w; }
};

/* Copies tiles. A thread reads the same four terms of every 32nd row of lines; VEC: they are 16 bytes. */
template <int MATH, int P, int Q, bool BACK, bool VEC> struct reader {
    typedef layout<MATH, P, true> left;
    typedef layout<MATH, Q, BACK> right;
    enum { COUNT = VEC ? 1 : 4, STEP = THREADS / (DEEP / 4) };
    term t[COUNT];
    int k0, line;

    __device__ void begin(const work<BACK> &w)
    {
        k0 = (int)threadIdx.x % (DEEP / 4) * 4, line = (int)threadIdx.x / (DEEP / 4);
        RT_UNROLL
        for (int u = 0; u < COUNT; u++) t[u].begin(w, k0 + u);
    }
    __device__ void pixels(float *tile, const job &a, const work<BACK> &w, const int4 *place)
    {
        RT_UNROLL_N(4)
        for (int i = 0; i < P / STEP; i++) {
            int r = line + i * STEP;
            int4 p = place[r];
            RT_UNROLL
            for (int u = 0; u < COUNT; u++) {
                bool in = t[u].reads(p, w.y.from, w.x.from);
                rt_copy_async(tile + left::at(r, k0 + u), a.from + (in ? p.z + t[u].off : 0), VEC ? 16 : 4, in);
            }
        }
    }
    /* Back: lines of terms of a channel. */
    __device__ void weight_lines(float *tile, const job &a, const work<BACK> &w)
    {
        RT_UNROLL
        for (int i = 0; i < (Q + STEP - 1) / STEP; i++) {
            int r = line + i * STEP;
            if (Q % STEP && r >= Q) continue;
            RT_UNROLL
            for (int u = 0; u < COUNT; u++) {
                bool in = t[u].inside && w.column + r < w.columns;
                ptrdiff_t at = ((ptrdiff_t)t[u].tap(w, a.s.kw) * w.columns + w.column + r) * a.s.n;
                rt_copy_async(tile + right::at(r, k0 + u), in ? a.w + at + w.group * w.depth + t[u].channel : a.w,
                              VEC ? 16 : 4, in);
            }
        }
    }
    /* Forward: rows of the weights. */
    __device__ void weight_rows(float *tile, const job &a, const work<BACK> &w, int chunk)
    {
        RT_UNROLL
        for (int turn = 0; turn < (DEEP * Q / 4 + THREADS - 1) / THREADS; turn++) {
            int i = (int)threadIdx.x + turn * THREADS;
            if (DEEP * Q / 4 % THREADS && i >= DEEP * Q / 4) continue;
            int k = i / (Q / 4), q = i % (Q / 4) * 4, row = chunk * DEEP + k, column = w.column + q;
            const float *at = a.w + (ptrdiff_t)row * a.s.n + w.group * w.columns + column;
            if (a.wide) {
                bool in = row < w.terms && column < w.columns;
                rt_copy_async(tile + right::at(q, k), in ? at : a.w, 16, in);
            } else {
                RT_UNROLL
                for (int u = 0; u < 4; u++) {
                    bool in = row < w.terms && column + u < w.columns;
                    rt_copy_async(tile + right::at(q + u, k), in ? at + u : a.w, 4, in);
                }
            }
        }
    }
    __device__ void read(float *pixel_tile, float *weight_tile, const job &a, const work<BACK> &w, const int4 *place,
                         int chunk)
    {
        pixels(pixel_tile, a, w, place);
        if constexpr (BACK) weight_lines(weight_tile, a, w);
        else weight_rows(weight_tile, a, w, chunk);
        RT_UNROLL
        for (int u = 0; u < COUNT; u++) {
            if (VEC) t[u].go_on(w);
            else t[u].begin(w, (chunk + 1) * DEEP + k0 + u);
        }
    }
};

template <bool BACK> struct writer {
    const job &a;
    const work<BACK> &w;
    const int4 *place;

    __device__ float bias(int q) const
    {
        int column = w.column + q;
        return a.bias && column < w.columns ? a.bias[w.group * w.columns + column] : 0.0f;
    }
    /* Of the tile's columns; nullptr: there is no such pixel. */
    __device__ float *row(int row) const
    {
        int p = place[row].w;
        return p < 0 ? nullptr : a.to + (ptrdiff_t)p * w.to_ld + w.group * w.columns + w.column;
    }
    __device__ void put(float *row, int q, float v) const
    {
        if (w.column + q >= w.columns) return;
        if (a.add) v += row[q];
        row[q] = within(v, a.act);
    }
    __device__ void put2(float *row, int q, float v0, float v1) const
    {
        if (!a.pairs) {
            put(row, q, v0);
            put(row, q + 1, v1);
        } else if (w.column + q < w.columns) {
            float2 *to = (float2 *)(row + q);
            if (a.add) {
                float2 old = *to;
                v0 += old.x, v1 += old.y;
            }
            *to = make_float2(within(v0, a.act), within(v1, a.act));
        }
    }
};

template <int MATH, int P, int Q, bool BACK, bool VEC> __global__ void __launch_bounds__(THREADS) k_conv(job a)
{
    typedef reader<MATH, P, Q, BACK, VEC> tiles;
    RT_SHARED_2D(float, left, STAGES, tiles::left::FLOATS);
    RT_SHARED_2D(float, right, STAGES, tiles::right::FLOATS);
    RT_SHARED(int4, place, P);
    work<BACK> w(a, Q);
    if (w.tile >= (w.pixels(a.s.rows) + P - 1) / P) return;
    for (int i = (int)threadIdx.x; i < P; i += THREADS) place[i] = w.place(w.tile * P + i, a.s.rows);
    __syncthreads();
    tiles in;
    in.begin(w);
    const int chunks = (w.terms + DEEP - 1) / DEEP;
    typename sums_of<MATH, P, Q, true, BACK>::type sum;
    sum.clear();
    for (int i = 1 - STAGES, at = 0, next = 0; i < chunks; i++) {
        if (i >= 0) {
            rt_copy_wait<STAGES - 2>();
            __syncthreads();                            /* nobody reads any more what comes next */
        }
        if (i + STAGES - 1 < chunks) in.read(left[next], right[next], a, w, place, i + STAGES - 1);
        rt_copy_commit();
        next = next == STAGES - 1 ? 0 : next + 1;
        if (i < 0) continue;
        sum.add(left[at], right[at]);
        at = at == STAGES - 1 ? 0 : at + 1;
    }
    writer<BACK> out = {a, w, place};
    sum.store(out);
}

template <int MATH, int P, int Q, bool BACK, bool VEC> void launch(cudaStream_t stream, job a, int columns)
{
    const rt_conv_shape &s = a.s;
    int classes = BACK ? s.sh * s.sw : 1, h = BACK ? (s.h + s.sh - 1) / s.sh : s.oh,
        w = BACK ? (s.w + s.sw - 1) / s.sw : s.ow;
    a.tiles = (int)(((size_t)s.rows * (size_t)h * (size_t)w + P - 1) / P);
    a.across = (columns + Q - 1) / Q;
    size_t blocks = (size_t)a.tiles * (size_t)a.across * (size_t)classes * (size_t)s.groups;
    RT_LAUNCH((k_conv<MATH, P, Q, BACK, VEC>), dim3((unsigned)blocks), dim3(THREADS), 0, stream, a);
}

/* Tiles of 64 channels where there are so many, and blocks enough for a large card. */
template <int MATH, bool BACK, bool VEC> void launch_tiles(cudaStream_t stream, const job &a)
{
    enum { BLOCKS = 264 };
    const rt_conv_shape &s = a.s;
    int columns = BACK ? s.cg : s.ng;
    size_t pixels = (size_t)s.rows * (size_t)(BACK ? s.h : s.oh) * (size_t)(BACK ? s.w : s.ow),
           blocks = (pixels + 63) / 64 * (((size_t)columns + 63) / 64) * (size_t)s.groups;
    if (columns <= 16) launch<MATH, 128, 16, BACK, VEC>(stream, a, columns);
    else if (columns <= 32 || blocks < BLOCKS) launch<MATH, 64, 32, BACK, VEC>(stream, a, columns);
    else launch<MATH, 64, 64, BACK, VEC>(stream, a, columns);
}

template <bool BACK> void launch_math(cudaStream_t stream, job a, rt_conv_math math)
{
    const rt_conv_shape &s = a.s;
    const int depth = BACK ? s.ng : s.cg, from = BACK ? s.n : s.c, columns = BACK ? s.cg : s.ng, to = BACK ? s.c : s.n;
    const bool aligned = (((uintptr_t)a.from | (uintptr_t)a.w) & 15) == 0,
               vec = aligned && depth % 4 == 0 && from % 4 == 0;
    a.wide = ((uintptr_t)a.w & 15) == 0 && s.n % 4 == 0 && s.ng % 4 == 0;
    a.pairs = ((uintptr_t)a.to & 7) == 0 && columns % 2 == 0 && to % 2 == 0;
    if (!vec) launch_tiles<RT_CONV_FLOAT, BACK, false>(stream, a);
    else if (math == RT_CONV_TF32X3) launch_tiles<RT_CONV_TF32X3, BACK, true>(stream, a);
    else if (math == RT_CONV_TF32) launch_tiles<RT_CONV_TF32, BACK, true>(stream, a);
    else if (math == RT_CONV_BF16) launch_tiles<RT_CONV_BF16, BACK, true>(stream, a);
    else launch_tiles<RT_CONV_FLOAT, BACK, true>(stream, a);
}
}
#endif
