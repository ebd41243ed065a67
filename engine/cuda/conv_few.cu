/* engine/cuda/conv_few.cu - convolutions of images of few channels, forward and the gradient of weights and bias, by
 * multiply-adds from patches in shared memory; see conv_launch.h. */
#include "engine/cuda/conv_math.cuh"
#include "engine/cuda/conv_tiles.cuh"

namespace {

enum { QUAD = 4, COLUMNS = 64 /* of a block, forward */, WEIGHT_THREADS = 256, LIMIT = 48 << 10 };

/* What a tile sees of the image; n threads copy. */
RT_DEVICE void copy_patch(const tiling &t, float *patch, const float *from, const rt_conv_shape &s, const spot &at,
                          const divider &channels, int threads)
{
    const int count = t.cut.images * t.cut.patch_high * t.cut.patch_wide * s.c;
    for (int i = (int)threadIdx.x; i < count; i += threads) {
        int q = quotient(i, channels), l = quotient(q, t.patch_wide), r = quotient(l, t.patch_high),
            y = at.y0 * s.sh - s.pt + l - r * t.cut.patch_high, x = at.x0 * s.sw - s.pl + q - l * t.cut.patch_wide;
        bool in = at.r0 + r < t.rows && (unsigned)y < (unsigned)s.h && (unsigned)x < (unsigned)s.w;
        rt_copy_async(patch + i, from + (in ? (((at.r0 + r) * s.h + y) * s.w + x - q) * s.c + i : 0), 4, in);
    }
}
/* Floats from a pixel's first value in a patch to term m of its sums. */
RT_DEVICE int term_of(const tiling &t, const rt_conv_shape &s, int m)
{
    int tap = m / s.c, ky = tap / s.kw;
    return (ky * s.dh * t.cut.patch_wide + (tap - ky * s.kw) * s.dw) * s.c + m - tap * s.c;
}
/* Where the patch of pixel p begins in that of its tile. */
RT_DEVICE int begin_of(const tiling &t, const rt_conv_shape &s, int p)
{
    pixel k = pixel_of(t, p);
    return ((k.r * t.cut.patch_high + k.y * s.sh) * t.cut.patch_wide + k.x * s.sw) * s.c;
}
RT_DEVICE void add_product(float4 &sum, float x, const float4 &w)
{
    sum.x = fmaf(x, w.x, sum.x), sum.y = fmaf(x, w.y, sum.y), sum.z = fmaf(x, w.z, sum.z), sum.w = fmaf(x, w.w, sum.w);
}

/* ---- forward: a thread has four pixels of four channels ---- */

struct job {
    rt_conv_shape s;
    tiling t;
    float *to;
    const float *from, *w, *bias;
    bounds act;
    int add, terms, across, wide;        /* blocks along the channels; channels of one */
    divider channels, fours;
};

__global__ void __launch_bounds__(THREADS) k_few(job a)
{
    RT_SHARED_DYNAMIC(float, shared);
    const rt_conv_shape &s = a.s;
    const tiling &t = a.t;
    const int n0 = (int)(blockIdx.x % (unsigned)a.across) * a.wide, wide = s.n - n0 < a.wide ? s.n - n0 : a.wide,
              pixels = t.cut.images * (int)t.pixels.by, groups = (pixels + QUAD - 1) / QUAD;
    const spot at = spot_of(t, (int)(blockIdx.x / (unsigned)a.across));
    float *w = shared, *patch = w + a.terms * a.wide;
    int *term = (int *)(patch + t.cut.images * t.cut.patch_high * t.cut.patch_wide * s.c);
    copy_patch(t, patch, a.from, s, at, a.channels, THREADS);
    for (int i = (int)threadIdx.x; i < a.terms * (a.wide / 4); i += THREADS) {
        int m = quotient(i, a.fours), four = (i - m * (int)a.fours.by) * 4;
        rt_copy_async(w + m * a.wide + four, a.w + (four < wide ? (ptrdiff_t)m * s.n + n0 + four : 0), 16, four < wide);
    }
    rt_copy_commit();
    for (int i = (int)threadIdx.x; i < a.terms; i += THREADS) term[i] = term_of(t, s, i);
    rt_copy_wait<0>();
    __syncthreads();
    for (int unit = (int)threadIdx.x; unit < groups * (int)a.fours.by; unit += THREADS) {
        const int p0 = quotient(unit, a.fours), n = (unit - p0 * (int)a.fours.by) * 4;
        const float *x[QUAD];
        float4 sum[QUAD];
        RT_UNROLL
        for (int i = 0; i < QUAD; i++) {
            int p = p0 + i * groups;
            x[i] = patch + begin_of(t, s, p < pixels ? p : p0);
            sum[i] = make_float4(0, 0, 0, 0);
        }
        RT_UNROLL_N(4)
        for (int m = 0; m < a.terms; m++) {
            const float4 v = *(const float4 *)(w + m * a.wide + n);
            const int off = term[m];
            RT_UNROLL
            for (int i = 0; i < QUAD; i++) add_product(sum[i], x[i][off], v);
        }
        if (n >= wide) continue;
        const float4 bias = a.bias ? *(const float4 *)(a.bias + n0 + n) : make_float4(0, 0, 0, 0);
        RT_UNROLL
        for (int i = 0; i < QUAD; i++) {
            int p = p0 + i * groups;
            pixel k = pixel_of(t, p);
            int r = at.r0 + k.r, y = at.y0 + k.y, c = at.x0 + k.x;
            if (p >= pixels || r >= t.rows || y >= s.oh || c >= s.ow) continue;
            float4 *to = (float4 *)(a.to + (ptrdiff_t)((r * s.oh + y) * s.ow + c) * s.n + n0 + n);
            float4 v = make_float4(sum[i].x + bias.x, sum[i].y + bias.y, sum[i].z + bias.z, sum[i].w + bias.w);
            if (a.add) {
                float4 old = *to;
                v.x += old.x, v.y += old.y, v.z += old.z, v.w += old.w;
            }
            *to = make_float4(within(v.x, a.act), within(v.y, a.act), within(v.z, a.act), within(v.w, a.act));
        }
    }
}

/* ---- the gradient of weights and bias: a thread has four terms of four channels, of every so many-th pixel ---- */

struct weights_job {
    rt_conv_shape s;
    tiling t;
    float *dw, *dbias;                   /* or where the first part of each lies; dbias may be NULL */
    const float *x, *dy;
    size_t next;                         /* floats from part to part; 0: there is one */
    int add_dw, add_dbias, tiles, across, terms;
    divider channels, fours;
};

enum { SUMS = QUAD * QUAD + QUAD /* of the bias */, APART = SUMS + 1 };

__global__ void __launch_bounds__(WEIGHT_THREADS) k_few_weights(weights_job a)
{
    RT_SHARED_DYNAMIC(float, shared);
    const rt_conv_shape &s = a.s;
    const tiling &t = a.t;
    const int n0 = (int)blockIdx.x % a.across * t.cut.out, m0 = (int)blockIdx.x / a.across * t.cut.taps * s.c,
              left = a.terms - m0, terms = left < t.cut.taps * s.c ? left : t.cut.taps * s.c, fours = (int)a.fours.by,
              units = (terms + QUAD - 1) / QUAD * fours, groups = WEIGHT_THREADS / units,
              unit = (int)threadIdx.x % units, turn = (int)threadIdx.x / units, m = unit / fours * QUAD,
              n = (unit - unit / fours * fours) * QUAD, pixels = t.cut.images * (int)t.pixels.by,
              first = (int)blockIdx.y * t.cut.per, end = a.tiles - first < t.cut.per ? a.tiles : first + t.cut.per;
    float *gradients = shared, *patch = gradients + pixels * t.cut.out;
    int *begin = (int *)(patch + t.cut.images * t.cut.patch_high * t.cut.patch_wide * s.c);
    int term[QUAD];
    float4 sum[QUAD], bias = make_float4(0, 0, 0, 0);
    RT_UNROLL
    for (int i = 0; i < QUAD; i++) {
        term[i] = term_of(t, s, m0 + (m + i < terms ? m + i : 0));
        sum[i] = make_float4(0, 0, 0, 0);
    }
    for (int i = (int)threadIdx.x; i < pixels; i += WEIGHT_THREADS) begin[i] = begin_of(t, s, i);
    for (int tile = first; tile < end; tile++) {
        const spot at = spot_of(t, tile);
        __syncthreads();                                /* nobody reads the last one any more */
        copy_patch(t, patch, a.x, s, at, a.channels, WEIGHT_THREADS);
        for (int i = (int)threadIdx.x; i < pixels * fours; i += WEIGHT_THREADS) {
            int p = quotient(i, a.fours), four = (i - p * fours) * 4;
            pixel k = pixel_of(t, p);
            int r = at.r0 + k.r, y = at.y0 + k.y, x = at.x0 + k.x;
            bool in = r < t.rows && y < s.oh && x < s.ow && n0 + four < s.n;
            rt_copy_async(gradients + p * t.cut.out + four,
                          a.dy + (in ? ((r * s.oh + y) * s.ow + x) * s.n + n0 + four : 0), 16, in);
        }
        rt_copy_commit();
        rt_copy_wait<0>();
        __syncthreads();
        RT_UNROLL_N(2)
        for (int p = turn; p < pixels && turn < groups; p += groups) {
            const float4 g = *(const float4 *)(gradients + p * t.cut.out + n);
            const float *x = patch + begin[p];
            bias.x += g.x, bias.y += g.y, bias.z += g.z, bias.w += g.w;
            RT_UNROLL
            for (int i = 0; i < QUAD; i++) add_product(sum[i], x[term[i]], g);
        }
    }
    __syncthreads();
    float *mine = shared + (int)threadIdx.x * APART;
    RT_UNROLL
    for (int i = 0; i <= QUAD; i++) {
        const float4 v = i < QUAD ? sum[i] : bias;
        mine[4 * i] = v.x, mine[4 * i + 1] = v.y, mine[4 * i + 2] = v.z, mine[4 * i + 3] = v.w;
    }
    __syncthreads();
    for (int i = (int)threadIdx.x; i < units * SUMS; i += WEIGHT_THREADS) {
        const int u = i / SUMS, k = i - u * SUMS, row = u / fours * QUAD + k / QUAD,
                  column = n0 + (u - u / fours * fours) * QUAD + k % QUAD;
        float v = 0.0f;
        for (int g = 0; g < groups; g++) v += shared[(g * units + u) * APART + k];
        if (column >= s.n) continue;
        if (k >= QUAD * QUAD) {
            if (u / fours || m0 || !a.dbias) continue;
            float *to = a.dbias + blockIdx.y * a.next + column;
            *to = a.add_dbias ? *to + v : v;
        } else if (row < terms) {
            float *to = a.dw + blockIdx.y * a.next + (ptrdiff_t)(m0 + row) * s.n + column;
            *to = a.add_dw ? *to + v : v;
        }
    }
}
}

extern "C" int rt_k_few(cudaStream_t stream, const rt_conv_shape *s, float *y, const float *x, const float *w,
                        const float *bias, rt_act act, int add)
{
    if (!rt_conv_is_few(s) || (((uintptr_t)y | (uintptr_t)w | (uintptr_t)bias) & 15)) return 0;
    job a = {};
    a.s = *s, a.to = y, a.from = x, a.w = w, a.bias = bias, a.act = bounds_of(act), a.add = add;
    a.terms = s->kh * s->kw * s->c;
    a.wide = s->n < COLUMNS ? s->n : COLUMNS, a.across = rt_conv_up(s->n, a.wide);
    size_t more = (size_t)a.terms * (size_t)(a.wide + 1) * sizeof(float);
    rt_conv_cut c = {};
    c.image_apart = s->c, c.slots = 1;
    if (more >= LIMIT) {
        a.wide = 16, a.across = rt_conv_up(s->n, a.wide);
        more = (size_t)a.terms * (size_t)(a.wide + 1) * sizeof(float);
    }
    if (!rt_conv_tiles(&c, s->oh, s->ow, s->sh, s->sw, (s->kh - 1) * s->dh, (s->kw - 1) * s->dw, LIMIT - more))
        return 0;
    a.t = tiling_of(c, s->rows);
    a.channels = divider_of(s->c), a.fours = divider_of(a.wide / 4);
    rt_shared_allowed(k_few, 0);
    RT_LAUNCH(k_few, dim3((unsigned)tiles_of(a.t) * (unsigned)a.across), dim3(THREADS), rt_conv_cut_bytes(&c) + more,
              stream, a);
    return 1;
}

extern "C" int rt_k_few_weights(cudaStream_t stream, const rt_conv_shape *s, float *dw, float *dbias, float *partial,
                                const float *x, const float *dy, int add_dw, int add_dbias)
{
    if (!rt_conv_is_few(s) || ((uintptr_t)dy & 15)) return 0;
    const rt_conv_cut c = rt_conv_cut_of(s);
    if (!c.blocks) return 0;
    weights_job a = {*s, tiling_of(c, s->rows), dw, dbias, x, dy, 0, add_dw, add_dbias};
    a.tiles = tiles_of(a.t), a.across = rt_conv_up(s->n, c.out), a.terms = s->kh * s->kw * s->c;
    a.channels = divider_of(s->c), a.fours = divider_of(c.out / 4);
    if (c.parts > 1) {
        a.dw = partial;
        a.dbias = dbias ? partial + rt_conv_weights(s) : nullptr;
        a.next = rt_conv_weights(s) + (size_t)s->n;
        a.add_dw = a.add_dbias = 0;
    }
    const size_t sums = WEIGHT_THREADS * APART * sizeof(float),
                 bytes = rt_conv_cut_bytes(&c) + (size_t)(c.images * c.high * c.wide) * sizeof(int);
    rt_shared_allowed(k_few_weights, 0);
    RT_LAUNCH(k_few_weights, dim3((unsigned)c.blocks, (unsigned)c.parts), dim3(WEIGHT_THREADS),
              bytes > sums ? bytes : sums, stream, a);
    return 1;
}
