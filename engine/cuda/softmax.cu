/* engine/cuda/softmax.cu - softmax and log softmax over one dimension. Lines whose values lie together: a warp for up
 * to 1,024 of them, which stay in registers, else a block. Others: a thread a line, neighbours side by side; a block a
 * line where lines are long and few lie side by side. A NaN makes its line NaN. */
#include "engine/cuda/device_sums.cuh"

#include "engine/cuda/cuda_softmax.h"

enum { THREADS = 256, WARPS = 4, WARP_MOST = 1024 };

RT_DEVICE size_t start_of(const rt_softmax_lines &l, size_t line)
{
    size_t outer = line / l.inner;
    return outer * (size_t)l.d * l.inner + (line - outer * l.inner);
}

RT_DEVICE void give(float *to, float v, int add) { *to = add ? *to + v : v; }

/* A value's gradient; s is sum dy y, or with logs sum dy. */
RT_DEVICE float back_of(float y, float dy, float s, int logs) { return logs ? dy - expf(y) * s : y * (dy - s); }

/* ---- a warp a line, its values together ---- */

template <int N>
__global__ void __launch_bounds__(32 * WARPS) k_softmax_warp(rt_softmax_lines l, float *y, const float *x)
{
    size_t line = (size_t)blockIdx.x * WARPS + threadIdx.x / 32;
    int lane = (int)threadIdx.x % 32;
    if (line >= l.outer) return;
    x += line * (size_t)l.d;
    y += line * (size_t)l.d;
    float v[N], e[N], most = -INFINITY, sum = 0;
    RT_UNROLL
    for (int k = 0; k < N; k++) v[k] = 32 * k + lane < l.d ? x[32 * k + lane] : -INFINITY;
    RT_UNROLL
    for (int k = 0; k < N; k++) most = fmaxf(most, v[k]);
    most = warp_most(most);
    RT_UNROLL
    for (int k = 0; k < N; k++) {
        e[k] = 32 * k + lane < l.d ? expf(v[k] - most) : 0.0f;
        sum += e[k];
    }
    sum = warp_sum(sum);
    float log_sum = l.logs ? logf(sum) : 0.0f;
    RT_UNROLL
    for (int k = 0; k < N; k++)
        if (32 * k + lane < l.d) y[32 * k + lane] = l.logs ? (v[k] - most) - log_sum : e[k] / sum;
}

template <int N>
__global__ void __launch_bounds__(32 * WARPS) k_softmax_warp_back(rt_softmax_lines l, float *dx, int add,
                                                                  const float *y, const float *dy)
{
    size_t line = (size_t)blockIdx.x * WARPS + threadIdx.x / 32;
    int lane = (int)threadIdx.x % 32;
    if (line >= l.outer) return;
    size_t at = line * (size_t)l.d;
    float p[N], g[N], s = 0;
    RT_UNROLL
    for (int k = 0; k < N; k++) {
        int in = 32 * k + lane < l.d;
        p[k] = in ? y[at + 32 * k + lane] : 0.0f;
        g[k] = in ? dy[at + 32 * k + lane] : 0.0f;
        s = l.logs ? s + g[k] : fmaf(g[k], p[k], s);
    }
    s = warp_sum(s);
    RT_UNROLL
    for (int k = 0; k < N; k++)
        if (32 * k + lane < l.d) give(dx + at + 32 * k + lane, back_of(p[k], g[k], s, l.logs), add);
}

/* ---- a block a line ---- */

__global__ void __launch_bounds__(THREADS) k_softmax_block(rt_softmax_lines l, float *y, const float *x)
{
    RT_SHARED(float, part, THREADS / 32);
    size_t lines = l.outer * l.inner;
    for (size_t line = blockIdx.x; line < lines; line += gridDim.x) {
        const float *in = x + start_of(l, line);
        float *out = y + start_of(l, line), most = -INFINITY, sum = 0;
        for (int k = (int)threadIdx.x; k < l.d; k += THREADS) most = fmaxf(most, in[(size_t)k * l.inner]);
        most = block_most<THREADS / 32>(most, part);
        for (int k = (int)threadIdx.x; k < l.d; k += THREADS) sum += expf(in[(size_t)k * l.inner] - most);
        sum = block_sum<THREADS / 32>(sum, part);
        float log_sum = l.logs ? logf(sum) : 0.0f;
        for (int k = (int)threadIdx.x; k < l.d; k += THREADS) {
            float v = in[(size_t)k * l.inner] - most;
            out[(size_t)k * l.inner] = l.logs ? v - log_sum : expf(v) / sum;
        }
    }
}

__global__ void __launch_bounds__(THREADS) k_softmax_block_back(rt_softmax_lines l, float *dx, int add, const float *y,
                                                                const float *dy)
{
    RT_SHARED(float, part, THREADS / 32);
    size_t lines = l.outer * l.inner;
    for (size_t line = blockIdx.x; line < lines; line += gridDim.x) {
        size_t first = start_of(l, line);
        float s = 0;
        for (int k = (int)threadIdx.x; k < l.d; k += THREADS) {
            size_t at = first + (size_t)k * l.inner;
            s = l.logs ? s + dy[at] : fmaf(dy[at], y[at], s);
        }
        s = block_sum<THREADS / 32>(s, part);
        for (int k = (int)threadIdx.x; k < l.d; k += THREADS) {
            size_t at = first + (size_t)k * l.inner;
            give(dx + at, back_of(y[at], dy[at], s, l.logs), add);
        }
    }
}

/* ---- a thread a line ---- */

__global__ void __launch_bounds__(THREADS) k_softmax_lines(rt_softmax_lines l, float *y, const float *x)
{
    size_t lines = l.outer * l.inner, step = (size_t)gridDim.x * THREADS;
    for (size_t line = (size_t)blockIdx.x * THREADS + threadIdx.x; line < lines; line += step) {
        const float *in = x + start_of(l, line);
        float *out = y + start_of(l, line), most = -INFINITY, sum = 0;
        RT_UNROLL_N(4)
        for (int k = 0; k < l.d; k++) most = fmaxf(most, in[(size_t)k * l.inner]);
        RT_UNROLL_N(4)
        for (int k = 0; k < l.d; k++) sum += expf(in[(size_t)k * l.inner] - most);
        float log_sum = l.logs ? logf(sum) : 0.0f;
        RT_UNROLL_N(4)
        for (int k = 0; k < l.d; k++) {
            float v = in[(size_t)k * l.inner] - most;
            out[(size_t)k * l.inner] = l.logs ? v - log_sum : expf(v) / sum;
        }
    }
}

__global__ void __launch_bounds__(THREADS) k_softmax_lines_back(rt_softmax_lines l, float *dx, int add, const float *y,
                                                                const float *dy)
{
    size_t lines = l.outer * l.inner, step = (size_t)gridDim.x * THREADS;
    for (size_t line = (size_t)blockIdx.x * THREADS + threadIdx.x; line < lines; line += step) {
        size_t first = start_of(l, line);
        float s = 0;
        RT_UNROLL_N(4)
        for (int k = 0; k < l.d; k++) {
            size_t at = first + (size_t)k * l.inner;
            s = l.logs ? s + dy[at] : fmaf(dy[at], y[at], s);
        }
        RT_UNROLL_N(4)
        for (int k = 0; k < l.d; k++) {
            size_t at = first + (size_t)k * l.inner;
            give(dx + at, back_of(y[at], dy[at], s, l.logs), add);
        }
    }
}

static unsigned grid_of(size_t n, size_t each)
{
    size_t b = (n + each - 1) / each;
    return (unsigned)(b < 1 ? 1 : b > 1u << 20 ? 1u << 20 : b);
}

/* By the shape of a line and of what lies beside it alone. */
enum { BY_WARP, BY_BLOCK, BY_THREAD };
static int way_of(const rt_softmax_lines *l)
{
    if (l->inner == 1) return l->d <= WARP_MOST ? BY_WARP : BY_BLOCK;
    return l->d > 256 && l->inner < 32 ? BY_BLOCK : BY_THREAD;
}

#define BY_COUNT(count, CALL) \
    if ((count) <= 32) { CALL(1); } else if ((count) <= 64) { CALL(2); } else if ((count) <= 128) { CALL(4); } \
    else if ((count) <= 256) { CALL(8); } else if ((count) <= 512) { CALL(16); } else { CALL(32); }

extern "C" void rt_k_softmax(cudaStream_t s, const rt_softmax_lines *l, float *y, const float *x)
{
    size_t lines = l->outer * l->inner;
    int way = way_of(l);
    dim3 grid((unsigned)((lines + WARPS - 1) / WARPS)), block(32 * WARPS);
    if (way == BY_BLOCK) RT_LAUNCH(k_softmax_block, dim3(grid_of(lines, 1)), dim3(THREADS), 0, s, *l, y, x);
    else if (way == BY_THREAD) RT_LAUNCH(k_softmax_lines, dim3(grid_of(lines, THREADS)), dim3(THREADS), 0, s, *l, y, x);
#define CALL(N) RT_LAUNCH((k_softmax_warp<N>), grid, block, 0, s, *l, y, x)
    else BY_COUNT(l->d, CALL)
#undef CALL
}

extern "C" void rt_k_softmax_back(cudaStream_t s, const rt_softmax_lines *l, float *dx, int add, const float *y,
                                  const float *dy)
{
    size_t lines = l->outer * l->inner;
    int way = way_of(l);
    dim3 grid((unsigned)((lines + WARPS - 1) / WARPS)), block(32 * WARPS);
    if (way == BY_BLOCK)
        RT_LAUNCH(k_softmax_block_back, dim3(grid_of(lines, 1)), dim3(THREADS), 0, s, *l, dx, add, y, dy);
    else if (way == BY_THREAD)
        RT_LAUNCH(k_softmax_lines_back, dim3(grid_of(lines, THREADS)), dim3(THREADS), 0, s, *l, dx, add, y, dy);
#define CALL(N) RT_LAUNCH((k_softmax_warp_back<N>), grid, block, 0, s, *l, dx, add, y, dy)
    else BY_COUNT(l->d, CALL)
#undef CALL
}
