/* engine/cuda/conv_weights.cu - the gradient of a convolution's weights and bias: products (taps and channels, n) over
 * all pixels. See conv_launch.h. A block of 128 threads computes ROWS rows of Q channels over a part of the pixels, 16
 * at a time; ROWS is 64, or less where an image has few channels; parts lie one behind the other in scratch memory,
 * from where rt_k_add_parts adds them up. */
#include "engine/cuda/conv_math.cuh"

namespace {

struct job {
    rt_conv_shape s;
    float *dw, *dbias;                   /* or where the first part of each lies; dbias may be NULL */
    const float *x, *dy;
    size_t next;                         /* floats from part to part; 0: there is one */
    int add_dw, add_dbias;
    int pixels, part;
    int m;                               /* rows of the weights: taps times channels of a group */
    int down, across;                    /* tiles */
    int wide;
    divider ow, oh;
};

/* One of a thread's rows of the weights: where its tap is, and how many values behind the first of a pixel of the image
 * its channel's is. */
struct row { int dy, dx, off, inside; };

RT_DEVICE row row_of(const rt_conv_shape &s, int m, int rows)
{
    int tap = m / s.cg, ky = tap / s.kw, dy = ky * s.dh - s.pt, dx = (tap - ky * s.kw) * s.dw - s.pl;
    return row{dy, dx, (dy * s.w + dx) * s.c + m - tap * s.cg, m < rows};
}

template <int MATH, int ROWS, int Q, bool VEC> struct reader {
    typedef layout<MATH, ROWS, false> left;
    typedef layout<MATH, Q, false> right;
    enum { COUNT = VEC ? 1 : 4, STEP = THREADS / (ROWS / 4) };
    row t[COUNT];
    int m0, line;                        /* first of the four rows; first pixel of a tile */

    __device__ void begin(const job &a, int first)
    {
        m0 = (int)threadIdx.x % (ROWS / 4) * 4, line = (int)threadIdx.x / (ROWS / 4);
        RT_UNROLL
        for (int u = 0; u < COUNT; u++) t[u] = row_of(a.s, first + m0 + u, a.m);
    }
    __device__ void images(float *tile, const job &a, int group, int p0, int end)
    {
        const rt_conv_shape &s = a.s;
        RT_UNROLL
        for (int i = 0; i < (DEEP + STEP - 1) / STEP; i++) {
            int k = line + i * STEP, p = p0 + k;
            if (DEEP % STEP && k >= DEEP) continue;
            int l = quotient(p, a.ow), ox = p - l * s.ow, r = quotient(l, a.oh), oy = l - r * s.oh;
            const int y0 = oy * s.sh, x0 = ox * s.sw, first = ((r * s.h + y0) * s.w + x0) * s.c + group * s.cg;
            RT_UNROLL
            for (int u = 0; u < COUNT; u++) {
                bool in = t[u].inside && p < end && (unsigned)(y0 + t[u].dy) < (unsigned)s.h &&
                          (unsigned)(x0 + t[u].dx) < (unsigned)s.w;
                rt_copy_async(tile + left::at(m0 + u, k), a.x + (in ? first + t[u].off : 0), VEC ? 16 : 4, in);
            }
        }
    }
    __device__ void gradients(float *tile, const job &a, int group, int column, int p0, int end)
    {
        const rt_conv_shape &s = a.s;
        RT_UNROLL
        for (int turn = 0; turn < (DEEP * Q / 4 + THREADS - 1) / THREADS; turn++) {
            int i = (int)threadIdx.x + turn * THREADS;
            if (DEEP * Q / 4 % THREADS && i >= DEEP * Q / 4) continue;
            int k = i / (Q / 4), q = i % (Q / 4) * 4, p = p0 + k, n = column + q;
            const float *at = a.dy + (ptrdiff_t)p * s.n + group * s.ng + n;
            if (a.wide) {
                bool in = p < end && n < s.ng;
                rt_copy_async(tile + right::at(q, k), in ? at : a.dy, 16, in);
            } else {
                RT_UNROLL
                for (int u = 0; u < 4; u++) {
                    bool in = p < end && n + u < s.ng;
                    rt_copy_async(tile + right::at(q + u, k), in ? at + u : a.dy, 4, in);
                }
            }
        }
    }
    __device__ void read(float *image_tile, float *gradient_tile, const job &a, int group, int column, int p0, int end)
    {
        images(image_tile, a, group, p0, end);
        gradients(gradient_tile, a, group, column, p0, end);
    }
};

struct writer {
    const job &a;
    float *dw;
    int m0, column, group;

    __device__ float bias(int) const { return 0.0f; }
    __device__ float *row(int i) const
    {
        int m = m0 + i;
        return m < a.m ? dw + (ptrdiff_t)m * a.s.n + group * a.s.ng + column : nullptr;
    }
    __device__ void put(float *row, int q, float v) const
    {
        if (column + q < a.s.ng) row[q] = a.add_dw ? row[q] + v : v;
    }
    __device__ void put2(float *row, int q, float v0, float v1) const
    {
        put(row, q, v0);
        put(row, q + 1, v1);
    }
};

template <int MATH, int ROWS, int Q, bool VEC> __global__ void __launch_bounds__(THREADS, 2) k_conv_weights(job a)
{
    typedef reader<MATH, ROWS, Q, VEC> tiles;
    RT_SHARED_2D(float, left, STAGES, tiles::left::FLOATS);
    RT_SHARED_2D(float, right, STAGES, tiles::right::FLOATS);
    unsigned b = blockIdx.x;
    const int m0 = (int)(b % (unsigned)a.down) * ROWS;
    b /= (unsigned)a.down;
    const int column = (int)(b % (unsigned)a.across) * Q, group = (int)(b / (unsigned)a.across),
              p0 = (int)blockIdx.y * a.part, end = a.pixels - p0 < a.part ? a.pixels : p0 + a.part,
              chunks = end > p0 ? (end - p0 + DEEP - 1) / DEEP : 0;
    tiles in;
    in.begin(a, m0);
    typename sums_of<MATH, ROWS, Q, false, false>::type sum;
    sum.clear();
    float bias = 0.0f;                                  /* of column threadIdx.x, by the first tile */
    const int has_bias = a.dbias && m0 == 0 && threadIdx.x < Q;
    for (int i = 1 - STAGES, at = 0, next = 0; i < chunks; i++) {
        if (i >= 0) {
            rt_copy_wait<STAGES - 2>();
            __syncthreads();
        }
        if (i + STAGES - 1 < chunks)
            in.read(left[next], right[next], a, group, column, p0 + (i + STAGES - 1) * DEEP, end);
        rt_copy_commit();
        next = next == STAGES - 1 ? 0 : next + 1;
        if (i < 0) continue;
        if (has_bias) {
            RT_UNROLL
            for (int k = 0; k < DEEP; k++) bias += right[at][tiles::right::at((int)threadIdx.x, k)];
        }
        sum.add(left[at], right[at]);
        at = at == STAGES - 1 ? 0 : at + 1;
    }
    writer out = {a, a.dw + blockIdx.y * a.next, m0, column, group};
    sum.store(out);
    if (has_bias && column + (int)threadIdx.x < a.s.ng) {
        float *to = a.dbias + blockIdx.y * a.next + group * a.s.ng + column + (int)threadIdx.x;
        *to = a.add_dbias ? *to + bias : bias;
    }
}

template <int MATH, int ROWS, bool VEC> void launch(cudaStream_t stream, job a, int parts)
{
    int q = rt_conv_columns(a.s.ng);
    a.down = (a.m + ROWS - 1) / ROWS;
    a.across = (a.s.ng + q - 1) / q;
    dim3 grid((unsigned)((size_t)a.down * (size_t)a.across * (size_t)a.s.groups), (unsigned)parts);
    if (q == 16) RT_LAUNCH((k_conv_weights<MATH, ROWS, 16, VEC>), grid, dim3(THREADS), 0, stream, a);
    else if (q == 32) RT_LAUNCH((k_conv_weights<MATH, ROWS, 32, VEC>), grid, dim3(THREADS), 0, stream, a);
    else RT_LAUNCH((k_conv_weights<MATH, ROWS, 64, VEC>), grid, dim3(THREADS), 0, stream, a);
}

/* Few channels a group: lanes along the channels, of which each adds nine rows of the weights, and bias, over every so
 * many-th pixel of the part; their sums are added in shared memory in the order of the pixels. */
enum { SUMS = RT_CONV_SUMS, LANES = RT_CONV_LANES, BESIDE = THREADS / LANES };

__global__ void __launch_bounds__(THREADS) k_direct_weights(job a)
{
    RT_SHARED_2D(float, sums, THREADS, SUMS + 2);
    const rt_conv_shape &s = a.s;
    const int lane = (int)threadIdx.x % LANES, beside = (int)threadIdx.x / LANES,
              n = (int)(blockIdx.x / (unsigned)a.down) * LANES + lane, m0 = (int)(blockIdx.x % (unsigned)a.down) * SUMS,
              p0 = (int)blockIdx.y * a.part, end = a.pixels - p0 < a.part ? a.pixels : p0 + a.part;
    float sum[SUMS] = {}, bias = 0.0f;
    row t[SUMS];
    RT_UNROLL
    for (int i = 0; i < SUMS; i++) t[i] = row_of(s, m0 + i, a.m);
    const float *x = a.x + (n < s.n ? n / s.ng * s.cg : 0);
    for (int p = p0 + beside; p < end && n < s.n; p += BESIDE) {
        int l = quotient(p, a.ow), ox = p - l * s.ow, r = quotient(l, a.oh), oy = l - r * s.oh;
        const int y0 = oy * s.sh, x0 = ox * s.sw, first = ((r * s.h + y0) * s.w + x0) * s.c;
        float g = a.dy[p * s.n + n];
        bias += g;
        RT_UNROLL
        for (int i = 0; i < SUMS; i++)
            if (t[i].inside && (unsigned)(y0 + t[i].dy) < (unsigned)s.h && (unsigned)(x0 + t[i].dx) < (unsigned)s.w)
                sum[i] = fmaf(x[first + t[i].off], g, sum[i]);
    }
    RT_UNROLL
    for (int i = 0; i < SUMS; i++) sums[threadIdx.x][i] = sum[i];
    sums[threadIdx.x][SUMS] = bias;
    __syncthreads();
    for (int i = beside; i <= SUMS && n < s.n; i += BESIDE) {
        float v = 0.0f;
        RT_UNROLL
        for (int q = 0; q < BESIDE; q++) v += sums[q * LANES + lane][i];
        if (i == SUMS && (m0 != 0 || !a.dbias)) continue;
        if (i < SUMS && m0 + i >= a.m) continue;
        float *to = blockIdx.y * a.next + (i == SUMS ? a.dbias + n : a.dw + (ptrdiff_t)(m0 + i) * s.n + n);
        *to = (i == SUMS ? a.add_dbias : a.add_dw) ? *to + v : v;
    }
}

/* A part may have no pixels. */
job job_of(const rt_conv_shape *s, float *dw, float *dbias, float *partial, const float *x, const float *dy, int add_dw,
           int add_dbias, int parts)
{
    job a = {*s, dw, dbias, x, dy, 0, add_dw, add_dbias, (int)rt_conv_pixels(s), (int)rt_conv_part(s, (size_t)parts),
             s->kh * s->kw * s->cg, 1, 1, 0, divider_of(s->ow), divider_of(s->oh)};
    a.wide = ((uintptr_t)dy & 15) == 0 && s->n % 4 == 0 && s->ng % 4 == 0;
    if (parts > 1) {
        a.dw = partial;
        a.dbias = dbias ? partial + rt_conv_weights(s) : nullptr;
        a.next = rt_conv_weights(s) + (size_t)s->n;
        a.add_dw = a.add_dbias = 0;
    }
    return a;
}
}

extern "C" void rt_k_conv_weights(cudaStream_t stream, const rt_conv_shape *s, rt_conv_math math, float *dw,
                                  float *dbias, float *partial, const float *x, const float *dy, int add_dw,
                                  int add_dbias)
{
    if (math != RT_CONV_FLOAT && rt_k_few_tensor_weights(stream, s, dw, dbias, partial, x, dy, add_dw, add_dbias))
        return;
    if (rt_k_few_weights(stream, s, dw, dbias, partial, x, dy, add_dw, add_dbias)) return;
    if (rt_k_point_weights(stream, s, math, dw, dbias, partial, x, dy, add_dw, add_dbias)) return;
    if (rt_k_conv_patch_weights(stream, s, math, dw, dbias, partial, x, dy, add_dw, add_dbias)) return;
    int parts = rt_conv_parts(s, math);
    job a = job_of(s, dw, dbias, partial, x, dy, add_dw, add_dbias, parts);
    bool vec = ((uintptr_t)x & 15) == 0 && s->cg % 4 == 0 && s->c % 4 == 0;
    if (!vec && a.m <= 16) launch<RT_CONV_FLOAT, 16, false>(stream, a, parts);
    else if (!vec && a.m <= 32) launch<RT_CONV_FLOAT, 32, false>(stream, a, parts);
    else if (!vec) launch<RT_CONV_FLOAT, RT_CONV_ROWS, false>(stream, a, parts);
    else if (math == RT_CONV_TF32X3) launch<RT_CONV_TF32X3, RT_CONV_ROWS, true>(stream, a, parts);
    else if (math == RT_CONV_TF32) launch<RT_CONV_TF32, RT_CONV_ROWS, true>(stream, a, parts);
    else if (math == RT_CONV_BF16) launch<RT_CONV_BF16, RT_CONV_ROWS, true>(stream, a, parts);
    else launch<RT_CONV_FLOAT, RT_CONV_ROWS, true>(stream, a, parts);
}

extern "C" void rt_k_direct_weights(cudaStream_t stream, const rt_conv_shape *s, float *dw, float *dbias,
                                    float *partial, const float *x, const float *dy, int add_dw, int add_dbias)
{
    if (rt_k_lanes_weights(stream, s, dw, dbias, partial, x, dy, add_dw, add_dbias)) return;
    int parts = rt_conv_parts(s, RT_CONV_FLOAT);
    job a = job_of(s, dw, dbias, partial, x, dy, add_dw, add_dbias, parts);
    a.down = (a.m + SUMS - 1) / SUMS;
    unsigned blocks = (unsigned)a.down * (unsigned)((s->n + LANES - 1) / LANES);
    RT_LAUNCH(k_direct_weights, dim3(blocks, (unsigned)parts), dim3(THREADS), 0, stream, a);
}
