/* engine/cuda/resize.cu - images at another size. See resize_launch.h. One block makes the tables of an axis, in double
 * as engine/ops_resize.c does; then a thread makes a value, the axes one after the other. Gradients are gathered: the
 * users of an input pixel lie side by side, as places rise along an axis. */
#include "engine/cuda/divider.cuh"
#include "engine/cuda/resize_launch.h"

namespace {

enum { THREADS = 256, TAPS = 4 };
enum { NEAREST, LINEAR, CUBIC };
enum { HALF_PIXEL, PYTORCH_HALF_PIXEL, SYMMETRIC, ALIGN_CORNERS, ASYMMETRIC, TF_HALF_PIXEL };
enum { PREFER_FLOOR, PREFER_CEIL, FLOOR, CEIL };

RT_DEVICE double place_of(int o, int in, int out, double scale, int coordinates)
{
    double half = (o + 0.5) / scale - 0.5;
    switch (coordinates) {
    case PYTORCH_HALF_PIXEL: return out > 1 ? half : 0;
    case SYMMETRIC: return in / 2.0 * (1 - out / (scale * in)) + half;
    case ALIGN_CORNERS: return out > 1 ? (double)o * (in - 1) / (out - 1) : 0;
    case ASYMMETRIC: return o / scale;
    case TF_HALF_PIXEL: return (o + 0.5) / scale;
    default: return half;
    }
}

RT_DEVICE double nearest_of(double x, int how)
{
    switch (how) {
    case PREFER_CEIL: return floor(x + 0.5);
    case FLOOR: return floor(x);
    case CEIL: return ceil(x);
    default: return ceil(x - 0.5);
    }
}

RT_DEVICE int clamped(double i, int in) { return i < 0 ? 0 : i > in - 1 ? in - 1 : (int)i; }

/* Keys's kernel at distances 1 + f, f, 1 - f, 2 - f. */
RT_DEVICE void cubic_weights(double (&w)[TAPS], double f, double a)
{
    const double far[2] = {1 + f, 2 - f}, near[2] = {f, 1 - f};
    RT_UNROLL
    for (int i = 0; i < 2; i++) {
        double u = far[i], v = near[i];
        w[3 * i] = ((a * u - 5 * a) * u + 8 * a) * u - 4 * a;
        w[1 + i] = ((a + 2) * v - (a + 3)) * v * v + 1;
    }
}

RT_DEVICE int taps_of(int mode) { return mode == NEAREST ? 1 : mode == LINEAR ? 2 : TAPS; }

__device__ rt_resize_pixel pixel_of(int o, int in, int out, float scale, const rt_resize_attr &a)
{
    rt_resize_pixel p = {};
    double by = scale > 0 ? (double)scale : (double)out / in, x = place_of(o, in, out, by, a.coordinates),
           first = floor(x), f = x - first, w[TAPS] = {1 - f, f, 0, 0}, sum = 0;
    const int taps = taps_of(a.mode);
    if (a.mode == NEAREST) first = nearest_of(x, a.nearest), w[0] = 1;
    if (a.mode == CUBIC) cubic_weights(w, f, (double)a.cubic), first--;
    RT_UNROLL
    for (int i = 0; i < TAPS; i++) {
        if (i >= taps) continue;
        if (a.exclude_outside && a.mode != NEAREST && (first + i < 0 || first + i > in - 1)) w[i] = 0;
        sum += w[i];
        p.at[i] = clamped(first + i, in);
    }
    if (!(fabs(sum) > 0)) sum = w[0] = 1;               /* none is inside: the border's */
    RT_UNROLL
    for (int i = 0; i < TAPS; i++) if (i < taps) p.weight[i] = (float)(a.exclude_outside ? w[i] / sum : w[i]);
    return p;
}

/* The first of `out` pixels whose tap i lies at `at` or behind. */
RT_DEVICE int first_at(const rt_resize_pixel *p, int out, int i, int at)
{
    int low = 0, high = out;
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (p[middle].at[i] >= at) high = middle;
        else low = middle + 1;
    }
    return low;
}

/* Block 0 the height, block 1 the width. */
__global__ void __launch_bounds__(THREADS) k_resize_tables(rt_resize_shape s, rt_resize_tables t, int users)
{
    const int width = (int)blockIdx.x, in = width ? s.w : s.h, out = width ? s.ow : s.oh;
    const float scale = width ? s.how.scale_w : s.how.scale_h;
    rt_resize_pixel *p = width ? t.x : t.y;
    rt_resize_users *u = width ? t.users_x : t.users_y;
    if (!width && s.line) {
        if (threadIdx.x == 0) {
            p[0] = rt_resize_pixel{{0, 0, 0, 0}, {1, 0, 0, 0}};
            if (users) u[0] = rt_resize_users{0, 1};
        }
        return;
    }
    for (int o = (int)threadIdx.x; o < out; o += THREADS) p[o] = pixel_of(o, in, out, scale, s.how);
    if (!users) return;
    __threadfence_block();
    __syncthreads();
    const int last = taps_of(s.how.mode) - 1;
    for (int i = (int)threadIdx.x; i < in; i += THREADS)
        u[i] = rt_resize_users{first_at(p, out, last, i), first_at(p, out, 0, i + 1)};
}

struct job {
    rt_resize_shape s;
    rt_resize_tables t;
    divider c, width, height;            /* of the side that threads go along */
    int count;
};
struct place { int r, y, x, channel; };
RT_DEVICE place place_of_thread(const job &a, int i)
{
    int p = quotient(i, a.c), l = quotient(p, a.width), r = quotient(l, a.height);
    return place{r, l - r * (int)a.height.by, p - l * (int)a.width.by, i - p * (int)a.c.by};
}

__global__ void __launch_bounds__(THREADS) k_resize(float *y, const float *x, job a)
{
    const rt_resize_shape &s = a.s;
    const int i = (int)(blockIdx.x * THREADS + threadIdx.x);
    if (i >= a.count) return;
    const place at = place_of_thread(a, i);
    const rt_resize_pixel v = a.t.y[at.y], h = a.t.x[at.x];
    const int taps = taps_of(s.how.mode), down = s.h == 1 && s.oh == 1 ? 1 : taps;
    const float *from = x + (ptrdiff_t)at.r * s.h * s.w * s.c + at.channel;
    float sum = 0.0f;
    RT_UNROLL
    for (int q = 0; q < TAPS; q++) {
        if (q >= taps) continue;
        float line = 0.0f;
        RT_UNROLL
        for (int u = 0; u < TAPS; u++)
            if (u < down) {
                float f = from[(ptrdiff_t)(v.at[u] * s.w + h.at[q]) * s.c];
                line = down == 1 ? f : fmaf(f, v.weight[u], line);
            }
        sum = taps == 1 ? line : fmaf(line, h.weight[q], sum);
    }
    y[i] = sum;
}

/* How much of input pixel i there is in an output pixel. */
RT_DEVICE float weight_of(const rt_resize_pixel &p, int i, int taps)
{
    float w = 0.0f;
    RT_UNROLL
    for (int q = 0; q < TAPS; q++) if (q < taps && p.at[q] == i) w += p.weight[q];
    return w;
}

__global__ void __launch_bounds__(THREADS) k_resize_back(float *dx, const float *dy, int add, job a)
{
    const rt_resize_shape &s = a.s;
    const int i = (int)(blockIdx.x * THREADS + threadIdx.x);
    if (i >= a.count) return;
    const place at = place_of_thread(a, i);
    const rt_resize_users v = a.t.users_y[at.y], h = a.t.users_x[at.x];
    const int taps = taps_of(s.how.mode), down = s.h == 1 && s.oh == 1 ? 1 : taps;
    float sum = 0.0f;
    for (int oy = v.from; oy < v.to; oy++) {
        const float *from = dy + (ptrdiff_t)((at.r * s.oh + oy) * s.ow) * s.c + at.channel;
        float line = 0.0f;
        for (int ox = h.from; ox < h.to; ox++)
            line = fmaf(from[(ptrdiff_t)ox * s.c], weight_of(a.t.x[ox], at.x, taps), line);
        sum = fmaf(line, down == 1 ? a.t.y[oy].weight[0] : weight_of(a.t.y[oy], at.y, taps), sum);
    }
    dx[i] = add ? dx[i] + sum : sum;
}

unsigned blocks_for(int count) { return (unsigned)((count + (int64_t)THREADS - 1) / THREADS); }
}

extern "C" void rt_k_resize_tables(cudaStream_t stream, const rt_resize_shape *s, const rt_resize_tables *t, int users)
{
    RT_LAUNCH(k_resize_tables, dim3(2), dim3(THREADS), 0, stream, *s, *t, users);
}

extern "C" void rt_k_resize(cudaStream_t stream, const rt_resize_shape *s, const rt_resize_tables *t, float *y,
                            const float *x)
{
    job a = {*s, *t, divider_of(s->c), divider_of(s->ow), divider_of(s->oh), s->rows * s->oh * s->ow * s->c};
    RT_LAUNCH(k_resize, dim3(blocks_for(a.count)), dim3(THREADS), 0, stream, y, x, a);
}

extern "C" void rt_k_resize_back(cudaStream_t stream, const rt_resize_shape *s, const rt_resize_tables *t, float *dx,
                                 const float *dy, int add)
{
    job a = {*s, *t, divider_of(s->c), divider_of(s->w), divider_of(s->h), s->rows * s->h * s->w * s->c};
    RT_LAUNCH(k_resize_back, dim3(blocks_for(a.count)), dim3(THREADS), 0, stream, dx, dy, add, a);
}
