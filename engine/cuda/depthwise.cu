/* engine/cuda/depthwise.cu - convolutions with few channels a group, forward and back: a thread computes four pixels of
 * a channel, or of four channels of a depthwise one, lanes along the channels. See conv_launch.h. Their weight
 * gradients are in conv_weights.cu. */
#include "engine/cuda/conv_math.cuh"

namespace {

enum { PIXELS = 4 };                     /* of a line, that a thread computes */

struct job {
    rt_conv_shape s;
    float *to;
    const float *from, *w, *bias;
    bounds act;
    int add;
    divider channels, runs, lines;       /* threads of a pixel; of a line; lines of an image */
    size_t count;                        /* of threads in all */
};

/* A thread's place: its channel (the first of four), and PIXELS pixels of line y of image r, from x on. */
struct place { int r, y, x, channel; };

RT_DEVICE place place_of(const job &a, int i, int wide)
{
    int p = quotient(i, a.channels), channel = (i - p * (int)a.channels.by) * wide, l = quotient(p, a.runs),
        x = (p - l * (int)a.runs.by) * PIXELS, r = quotient(l, a.lines);
    return place{r, l - r * (int)a.lines.by, x, channel};
}

RT_DEVICE void zero(float4 &v) { v = make_float4(0, 0, 0, 0); }
RT_DEVICE void zero(float &v) { v = 0.0f; }
RT_DEVICE void add_product(float4 &s, const float4 &x, const float4 &w)
{
    s.x = fmaf(x.x, w.x, s.x), s.y = fmaf(x.y, w.y, s.y), s.z = fmaf(x.z, w.z, s.z), s.w = fmaf(x.w, w.w, s.w);
}
RT_DEVICE void add_product(float &s, const float &x, const float &w) { s = fmaf(x, w, s); }
RT_DEVICE float finish(float v, float bias, float old, const bounds &act) { return within(v + bias + old, act); }
RT_DEVICE float4 finish(const float4 &v, const float4 &b, const float4 &o, const bounds &act)
{
    return make_float4(finish(v.x, b.x, o.x, act), finish(v.y, b.y, o.y, act), finish(v.z, b.z, o.z, act),
                       finish(v.w, b.w, o.w, act));
}

template <class T> RT_DEVICE void put(const job &a, T *to, const T *bias, const T &v)
{
    T b, old;
    zero(b);
    zero(old);
    if (bias) b = *bias;
    if (a.add) old = *to;
    *to = finish(v, b, old, a.act);
}

/* T: float4 of a depthwise convolution with one output a channel, else float. */
template <class T> __global__ void __launch_bounds__(THREADS, 8) k_direct(job a)
{
    const rt_conv_shape &s = a.s;
    const size_t i = (size_t)blockIdx.x * THREADS + threadIdx.x;
    if (i >= a.count) return;
    const int wide = (int)(sizeof(T) / sizeof(float));
    const place at = place_of(a, (int)i, wide);
    const int depth = wide > 1 ? 1 : s.cg, x0 = wide > 1 ? at.channel : at.channel / s.ng * s.cg;
    T sum[PIXELS];
    RT_UNROLL
    for (int p = 0; p < PIXELS; p++) zero(sum[p]);
    for (int ky = 0; ky < s.kh; ky++) {
        const int iy = at.y * s.sh + ky * s.dh - s.pt;
        if ((unsigned)iy >= (unsigned)s.h) continue;
        const float *line = a.from + (ptrdiff_t)((at.r * s.h + iy) * s.w) * s.c + x0;
        for (int kx = 0; kx < s.kw; kx++)
            for (int c = 0; c < depth; c++) {
                const T w = *(const T *)(a.w + ((ptrdiff_t)(ky * s.kw + kx) * s.cg + c) * s.n + at.channel);
                RT_UNROLL
                for (int p = 0; p < PIXELS; p++) {
                    int ix = (at.x + p) * s.sw + kx * s.dw - s.pl;
                    if ((unsigned)ix < (unsigned)s.w)
                        add_product(sum[p], *(const T *)(line + (ptrdiff_t)ix * s.c + c), w);
                }
            }
    }
    RT_UNROLL
    for (int p = 0; p < PIXELS; p++)
        if (at.x + p < s.ow)
            put(a, (T *)(a.to + (ptrdiff_t)((at.r * s.oh + at.y) * s.ow + at.x + p) * s.n + at.channel),
                a.bias ? (const T *)(a.bias + at.channel) : (const T *)nullptr, sum[p]);
}

template <class T> __global__ void __launch_bounds__(THREADS, 8) k_direct_back(job a)
{
    const rt_conv_shape &s = a.s;
    const size_t i = (size_t)blockIdx.x * THREADS + threadIdx.x;
    if (i >= a.count) return;
    const int wide = (int)(sizeof(T) / sizeof(float));
    const place at = place_of(a, (int)i, wide);
    const int depth = wide > 1 ? 1 : s.ng, group = at.channel / s.cg, n0 = wide > 1 ? at.channel : group * s.ng,
              ci = wide > 1 ? 0 : at.channel - group * s.cg;
    T sum[PIXELS];
    RT_UNROLL
    for (int p = 0; p < PIXELS; p++) zero(sum[p]);
    for (int ky = 0; ky < s.kh; ky++) {
        const int ty = at.y + s.pt - ky * s.dh, oy = s.sh == 1 ? ty : ty / s.sh;
        if (ty < 0 || oy >= s.oh || oy * s.sh != ty) continue;
        const float *line = a.from + (ptrdiff_t)((at.r * s.oh + oy) * s.ow) * s.n + n0;
        for (int kx = 0; kx < s.kw; kx++)
            for (int j = 0; j < depth; j++) {
                const T w = *(const T *)(a.w + ((ptrdiff_t)(ky * s.kw + kx) * s.cg + ci) * s.n + n0 + j);
                RT_UNROLL
                for (int p = 0; p < PIXELS; p++) {
                    int tx = at.x + p + s.pl - kx * s.dw, ox = s.sw == 1 ? tx : tx / s.sw;
                    if (tx >= 0 && ox < s.ow && ox * s.sw == tx)
                        add_product(sum[p], *(const T *)(line + (ptrdiff_t)ox * s.n + j), w);
                }
            }
    }
    RT_UNROLL
    for (int p = 0; p < PIXELS; p++)
        if (at.x + p < s.w)
            put(a, (T *)(a.to + (ptrdiff_t)((at.r * s.h + at.y) * s.w + at.x + p) * s.c + at.channel),
                a.bias ? (const T *)(a.bias + at.channel) : (const T *)nullptr, sum[p]);
}

/* Four channels a thread where there is one a group and each pixel of both sides is aligned. */
bool four(const job &a)
{
    const rt_conv_shape &s = a.s;
    uintptr_t at = (uintptr_t)a.to | (uintptr_t)a.from | (uintptr_t)a.w | (uintptr_t)a.bias;
    return s.cg == 1 && s.ng == 1 && s.c % 4 == 0 && (at & 15) == 0;
}

unsigned blocks_of(job &a, int channels, int w, int h)
{
    a.channels = divider_of(channels);
    a.runs = divider_of((w + PIXELS - 1) / PIXELS);
    a.lines = divider_of(h);
    a.count = (size_t)a.s.rows * (size_t)h * a.runs.by * (size_t)channels;
    return (unsigned)((a.count + THREADS - 1) / THREADS);
}
}

extern "C" void rt_k_direct(cudaStream_t stream, const rt_conv_shape *s, float *y, const float *x, const float *w,
                            const float *bias, rt_act act, int add)
{
    if (rt_k_lanes(stream, s, y, x, w, bias, act, add)) return;
    job a = {*s, y, x, w, bias, bounds_of(act), add, {}, {}, {}, 0};
    bool wide = four(a);
    unsigned blocks = blocks_of(a, wide ? s->n / 4 : s->n, s->ow, s->oh);
    if (wide) RT_LAUNCH((k_direct<float4>), dim3(blocks), dim3(THREADS), 0, stream, a);
    else RT_LAUNCH((k_direct<float>), dim3(blocks), dim3(THREADS), 0, stream, a);
}

extern "C" void rt_k_direct_back(cudaStream_t stream, const rt_conv_shape *s, float *dx, const float *dy,
                                 const float *w, const float *bias, int add)
{
    if (rt_k_lanes_back(stream, s, dx, dy, w, bias, add)) return;
    job a = {*s, dx, dy, w, bias, bounds_of(RT_ACT_NONE), add, {}, {}, {}, 0};
    bool wide = four(a);
    unsigned blocks = blocks_of(a, wide ? s->c / 4 : s->c, s->w, s->h);
    if (wide) RT_LAUNCH((k_direct_back<float4>), dim3(blocks), dim3(THREADS), 0, stream, a);
    else RT_LAUNCH((k_direct_back<float>), dim3(blocks), dim3(THREADS), 0, stream, a);
}
