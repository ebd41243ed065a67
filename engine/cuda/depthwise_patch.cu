/* engine/cuda/depthwise_patch.cu - depthwise convolutions from patches: see conv_launch.h. A block has 32 channels, one
 * a lane, of a tile of pixels, which its warps take in turns; what the tile sees of the source is copied to shared
 * memory first, each pixel once for all taps. */
#include "engine/cuda/conv_axis.cuh"
#include "engine/cuda/conv_math.cuh"
#include "engine/cuda/conv_tiles.cuh"

namespace {

enum { WARPS = 8, WIDE = WARPS * 32, LANES = RT_CONV_LANES, TAPS = RT_CONV_CUT_TAPS, CLASSES = 4, BESIDE = 4,
       LIMIT = 48 << 10 };

/* 32 channels of images (rows, h, w, c), from pixel (y, x) of image r0 on. */
RT_DEVICE void copy_patch(const tiling &t, float *patch, const float *from, int h, int w, int c, int r0, int y, int x,
                          int c0)
{
    const int count = t.cut.images * t.cut.patch_high * t.cut.patch_wide * (LANES / 4);
    RT_UNROLL_N(2)
    for (int i = (int)threadIdx.x; i < count; i += WIDE) {
        int q = i / (LANES / 4), four = i % (LANES / 4) * 4, l = quotient(q, t.patch_wide),
            r = quotient(l, t.patch_high), iy = y + l - r * t.cut.patch_high, ix = x + q - l * t.cut.patch_wide;
        bool in = r0 + r < t.rows && (unsigned)iy < (unsigned)h && (unsigned)ix < (unsigned)w && c0 + four < c;
        rt_copy_async(patch + q * LANES + four, from + (in ? (((r0 + r) * h + iy) * w + ix) * c + c0 + four : 0), 16,
                      in);
    }
}

/* ---- forward and back ---- */

struct job {
    rt_conv_shape s;
    axis y[CLASSES], x[CLASSES];         /* of each class of pixels */
    tiling t;
    float *to;
    const float *from, *w, *bias;
    bounds act;
    int add, across, classes;            /* blocks along the channels; classes along x */
};

/* Pixels from the first of a patch to what tap i reads. */
RT_DEVICE int first_of(const axis &v, int at) { return at * v.mul + v.off + (v.step < 0 ? (v.taps - 1) * v.step : 0); }
RT_DEVICE int shift(const axis &v, int i) { return v.step < 0 ? (i - v.taps + 1) * v.step : i * v.step; }

__global__ void __launch_bounds__(WIDE) k_lanes(job a)
{
    RT_SHARED_DYNAMIC(float, shared);
    const tiling &t = a.t;
    const int lane = (int)threadIdx.x & 31, warp = (int)threadIdx.x >> 5, cy = (int)blockIdx.y / a.classes,
              c0 = (int)(blockIdx.x % (unsigned)a.across) * LANES, c = a.s.c;
    const axis &y = a.y[cy], &x = a.x[(int)blockIdx.y - cy * a.classes];
    const spot at = spot_of(t, (int)(blockIdx.x / (unsigned)a.across));
    const int pixels = t.cut.images * (int)t.pixels.by, taps = y.taps * x.taps;
    float *w = shared + t.cut.images * t.cut.patch_high * t.cut.patch_wide * LANES;
    copy_patch(t, shared, a.from, y.from, x.from, c, at.r0, first_of(y, at.y0), first_of(x, at.x0), c0);
    for (int i = (int)threadIdx.x; i < taps * (LANES / 4); i += WIDE) {
        int tap = i / (LANES / 4), four = i % (LANES / 4) * 4, ty = tap / x.taps, tx = tap - ty * x.taps;
        bool in = c0 + four < c;
        rt_copy_async(w + tap * LANES + four,
                      in ? a.w + ((y.first + ty * y.jump) * a.s.kw + x.first + tx * x.jump) * c + c0 + four : a.w, 16,
                      in);
    }
    rt_copy_commit();
    rt_copy_wait<0>();
    __syncthreads();
    const bool on = c0 + lane < c;
    const float bias = a.bias && on ? a.bias[c0 + lane] : 0.0f;
    const int line = shift(y, 1) - shift(y, 0), next = shift(x, 1) - shift(x, 0);
    for (int p0 = warp; p0 < pixels; p0 += WARPS * BESIDE) {
        float sum[BESIDE] = {};
        const float *from[BESIDE];
        RT_UNROLL
        for (int i = 0; i < BESIDE; i++) {
            int p = p0 + i * WARPS;
            pixel k = pixel_of(t, p < pixels ? p : p0);
            from[i] = shared + ((k.r * t.cut.patch_high + k.y * y.mul + shift(y, 0)) * t.cut.patch_wide + k.x * x.mul +
                                shift(x, 0)) * LANES + lane;
        }
        for (int tap = 0, ty = 0, tx = 0; tap < taps; tap++) {
            const float v = w[tap * LANES + lane];
            const int off = (ty * line * t.cut.patch_wide + tx * next) * LANES;
            RT_UNROLL
            for (int i = 0; i < BESIDE; i++) sum[i] = fmaf(from[i][off], v, sum[i]);
            if (++tx == x.taps) tx = 0, ty++;
        }
        RT_UNROLL
        for (int i = 0; i < BESIDE; i++) {
            int p = p0 + i * WARPS;
            pixel k = pixel_of(t, p);
            int r = at.r0 + k.r, ay = at.y0 + k.y, ax = at.x0 + k.x;
            if (p >= pixels || !on || r >= t.rows || ay >= y.count || ax >= x.count) continue;
            float *to = a.to + (ptrdiff_t)((r * y.to + ay * y.apart + y.phase) * x.to + ax * x.apart + x.phase) * c +
                        c0 + lane,
                  v = sum[i] + bias;
            if (a.add) v += *to;
            *to = within(v, a.act);
        }
    }
}

int most_of(const axis *v, int classes, bool taps)
{
    int most = 0;
    for (int i = 0; i < classes; i++) {
        int n = taps ? v[i].taps : (v[i].taps - 1) * (v[i].step < 0 ? -v[i].step : v[i].step);
        if (n > most) most = n;
    }
    return most;
}

bool launch(cudaStream_t stream, job &a, int down, int beside)
{
    uintptr_t at = (uintptr_t)a.from | (uintptr_t)a.w;
    size_t weights = (size_t)most_of(a.y, down, true) * (size_t)most_of(a.x, beside, true) * LANES * sizeof(float);
    rt_conv_cut c = {};
    c.image_apart = LANES, c.slots = 1;
    if ((at & 15) || weights > LIMIT / 2 ||
        !rt_conv_tiles(&c, a.y[0].count, a.x[0].count, a.y[0].mul, a.x[0].mul, most_of(a.y, down, false),
                       most_of(a.x, beside, false), LIMIT - weights)) return false;
    a.t = tiling_of(c, a.s.rows);
    a.across = rt_conv_up(a.s.c, LANES), a.classes = beside;
    rt_shared_allowed(k_lanes, 0);
    RT_LAUNCH(k_lanes, dim3((unsigned)tiles_of(a.t) * (unsigned)a.across, (unsigned)(down * beside)), dim3(WIDE),
              rt_conv_cut_bytes(&c) + weights, stream, a);
    return true;
}

/* ---- the gradient of weights and bias ---- */

struct weights_job {
    rt_conv_shape s;
    tiling t;
    float *dw, *dbias;                   /* or where the first part of each lies; dbias may be NULL */
    const float *x, *dy;
    size_t next;                         /* floats from part to part; 0: there is one */
    int add_dw, add_dbias, tiles, across;
};

__global__ void __launch_bounds__(WIDE) k_lanes_weights(weights_job a)
{
    RT_SHARED_DYNAMIC(float, shared);
    const rt_conv_shape &s = a.s;
    const tiling &t = a.t;
    const int lane = (int)threadIdx.x & 31, warp = (int)threadIdx.x >> 5, c0 = (int)blockIdx.x % a.across * LANES,
              first_tap = (int)blockIdx.x / a.across * t.cut.taps, left = s.kh * s.kw - first_tap,
              taps = left < t.cut.taps ? left : t.cut.taps, pixels = t.cut.images * (int)t.pixels.by,
              first = (int)blockIdx.y * t.cut.per, end = a.tiles - first < t.cut.per ? a.tiles : first + t.cut.per;
    float *gradients = shared + t.cut.images * t.cut.patch_high * t.cut.patch_wide * LANES;
    float sum[TAPS + 1] = {};            /* the last: of the bias */
    int shift[TAPS];
    RT_UNROLL
    for (int i = 0; i < TAPS; i++) {
        int tap = first_tap + (i < taps ? i : 0), ky = tap / s.kw;
        shift[i] = (ky * s.dh * t.cut.patch_wide + (tap - ky * s.kw) * s.dw) * LANES;
    }
    for (int tile = first; tile < end; tile++) {
        const spot at = spot_of(t, tile);
        __syncthreads();                                /* nobody reads the last one any more */
        copy_patch(t, shared, a.x, s.h, s.w, s.c, at.r0, at.y0 * s.sh - s.pt, at.x0 * s.sw - s.pl, c0);
        for (int i = (int)threadIdx.x; i < pixels * (LANES / 4); i += WIDE) {
            int p = i / (LANES / 4), four = i % (LANES / 4) * 4;
            pixel k = pixel_of(t, p);
            int r = at.r0 + k.r, y = at.y0 + k.y, x = at.x0 + k.x;
            bool in = r < t.rows && y < s.oh && x < s.ow && c0 + four < s.c;
            rt_copy_async(gradients + p * LANES + four, a.dy + (in ? ((r * s.oh + y) * s.ow + x) * s.c + c0 + four : 0),
                          16, in);
        }
        rt_copy_commit();
        rt_copy_wait<0>();
        __syncthreads();
        RT_UNROLL_N(2)
        for (int p = warp; p < pixels; p += WARPS) {
            const pixel k = pixel_of(t, p);
            const float *x = shared + ((k.r * t.cut.patch_high + k.y * s.sh) * t.cut.patch_wide + k.x * s.sw) * LANES +
                             lane,
                        g = gradients[p * LANES + lane];
            sum[TAPS] += g;
            RT_UNROLL
            for (int i = 0; i < TAPS; i++) sum[i] = fmaf(x[shift[i]], g, sum[i]);
        }
    }
    __syncthreads();
    RT_UNROLL
    for (int i = 0; i <= TAPS; i++) shared[(warp * (TAPS + 1) + i) * LANES + lane] = sum[i];
    __syncthreads();
    for (int i = warp; i <= TAPS; i += WARPS) {
        float v = 0.0f;
        RT_UNROLL
        for (int k = 0; k < WARPS; k++) v += shared[(k * (TAPS + 1) + i) * LANES + lane];
        if (c0 + lane >= s.c || (i < TAPS ? i >= taps : first_tap || !a.dbias)) continue;
        float *to = blockIdx.y * a.next + c0 + lane + (i < TAPS ? a.dw + (ptrdiff_t)(first_tap + i) * s.c : a.dbias);
        *to = (i < TAPS ? a.add_dw : a.add_dbias) ? *to + v : v;
    }
}
}

extern "C" int rt_k_lanes(cudaStream_t stream, const rt_conv_shape *s, float *y, const float *x, const float *w,
                          const float *bias, rt_act act, int add)
{
    if (!rt_conv_is_lanes(s)) return 0;
    job a = {};
    a.s = *s, a.to = y, a.from = x, a.w = w, a.bias = bias, a.act = bounds_of(act), a.add = add;
    a.y[0] = axis_forward(s->h, s->oh, s->kh, s->sh, s->dh, s->pt);
    a.x[0] = axis_forward(s->w, s->ow, s->kw, s->sw, s->dw, s->pl);
    return launch(stream, a, 1, 1);
}

extern "C" int rt_k_lanes_back(cudaStream_t stream, const rt_conv_shape *s, float *dx, const float *dy, const float *w,
                               const float *bias, int add)
{
    if (!rt_conv_is_lanes(s) || s->sh > CLASSES || s->sw > CLASSES) return 0;
    job a = {};
    a.s = *s, a.to = dx, a.from = dy, a.w = w, a.bias = bias, a.act = bounds_of(RT_ACT_NONE), a.add = add;
    for (int i = 0; i < s->sh; i++) a.y[i] = axis_back(s->oh, s->h, s->kh, s->sh, s->dh, s->pt, i);
    for (int i = 0; i < s->sw; i++) a.x[i] = axis_back(s->ow, s->w, s->kw, s->sw, s->dw, s->pl, i);
    return launch(stream, a, s->sh, s->sw);
}

extern "C" int rt_k_lanes_weights(cudaStream_t stream, const rt_conv_shape *s, float *dw, float *dbias, float *partial,
                                  const float *x, const float *dy, int add_dw, int add_dbias)
{
    if (!rt_conv_is_lanes(s) || (((uintptr_t)x | (uintptr_t)dy) & 15)) return 0;
    const rt_conv_cut c = rt_conv_cut_of(s);
    if (!c.blocks) return 0;
    weights_job a = {*s, tiling_of(c, s->rows), dw, dbias, x, dy, 0, add_dw, add_dbias, 0, rt_conv_up(s->c, LANES)};
    a.tiles = tiles_of(a.t);
    if (c.parts > 1) {
        a.dw = partial;
        a.dbias = dbias ? partial + rt_conv_weights(s) : nullptr;
        a.next = rt_conv_weights(s) + (size_t)s->n;
        a.add_dw = a.add_dbias = 0;
    }
    const size_t sums = WARPS * (TAPS + 1) * LANES * sizeof(float), bytes = rt_conv_cut_bytes(&c);
    rt_shared_allowed(k_lanes_weights, 0);
    RT_LAUNCH(k_lanes_weights, dim3((unsigned)c.blocks, (unsigned)c.parts), dim3(WIDE), bytes > sums ? bytes : sums,
              stream, a);
    return 1;
}
