/* The update of all that is trained, in one launch over the flat buffers; see cuda_update.h. */
#include "engine/cuda/update.cuh"

namespace {
/* A block of the table is PARTS blocks of THREADS threads, each of which has four floats. */
enum { THREADS = 256, FOUR = 4, PART = THREADS * FOUR, PARTS = RT_UPDATE_BLOCK / PART, WARP = 32 };
static_assert(PARTS == 8, "rt_cuda_update_work counts parts");

/* The floats of a thread, from `w` on in the weights and `g` on in gradients and moments; false: it has none. */
struct place {
    const rt_update_block *block;
    size_t w, g;
};
RT_DEVICE bool placed(place *p, const rt_cuda_update &u)
{
    size_t at = (size_t)(blockIdx.x % PARTS) * PART + (size_t)threadIdx.x * FOUR;
    p->block = u.block + blockIdx.x / PARTS;
    p->w = p->block->first + at;
    p->g = p->block->grad + at;
    return at < p->block->count;
}

RT_DEVICE void take(float (&x)[FOUR], const float *from)
{
    float4 v = *(const float4 *)from;
    x[0] = v.x;
    x[1] = v.y;
    x[2] = v.z;
    x[3] = v.w;
}
RT_DEVICE void give(float *to, const float (&x)[FOUR]) { *(float4 *)to = make_float4(x[0], x[1], x[2], x[3]); }

/* The gradient of the accumulation so far; `grows`: with this step's. */
RT_DEVICE void gradient(float (&g)[FOUR], const rt_cuda_update &u, const place &p, bool grows)
{
    if (!u.sum) return take(g, u.g + p.g);
    if (!grows) return take(g, u.sum + p.g);
    take(g, u.g + p.g);
    if (!u.now->first) {
        float s[FOUR];
        take(s, u.sum + p.g);
        RT_UNROLL
        for (int i = 0; i < FOUR; i++) g[i] = s[i] + g[i];
    }
    give(u.sum + p.g, g);
}

/* The sum over a block, in a fixed order, for its first thread. */
RT_DEVICE double block_sum(double x)
{
    RT_SHARED(double, part, THREADS / WARP);
    for (int d = WARP / 2; d; d >>= 1) x += __shfl_down_sync(~0u, x, d);
    if (threadIdx.x % WARP == 0) part[threadIdx.x / WARP] = x;
    __syncthreads();
    for (int w = 1; w < THREADS / WARP && threadIdx.x == 0; w++) x += part[w];
    __syncthreads();
    return x;
}

/* Accumulates; work[1 + block] = its sum of squares; the last block to end makes of those the factor of all gradients,
 * work[0]. */
__global__ void __launch_bounds__(THREADS) k_clip(rt_cuda_update u)
{
    RT_SHARED(unsigned, last, 1);
    place p;
    float g[FOUR];
    double s = 0;
    if (u.trouble->bad) return;
    if (placed(&p, u)) {
        gradient(g, u, p, true);
        RT_UNROLL
        for (int i = 0; i < FOUR; i++) s += (double)g[i] * g[i];
        s *= (double)p.block->how.grad_scale * p.block->how.grad_scale;
    }
    if (!u.now->last) return;
    s = block_sum(s);
    if (threadIdx.x == 0) {
        u.work[1 + blockIdx.x] = s;
        __threadfence();
        last[0] = atomicInc(u.ticket, gridDim.x - 1) == gridDim.x - 1;
    }
    __syncthreads();
    if (!last[0]) return;
    __threadfence();
    s = 0;
    for (unsigned b = threadIdx.x; b < gridDim.x; b += THREADS) s += u.work[1 + b];
    s = block_sum(s);
    if (threadIdx.x) return;
    double norm = sqrt(s) * u.now->grad_scale;
    u.work[0] = norm > u.clip ? u.now->grad_scale * (u.clip / norm) : u.now->grad_scale;
}

/* Least indices of what is not finite, by all threads of the grid. */
RT_DEVICE void look_for_bad(unsigned long long *least, const float *x, size_t n)
{
    for (size_t i = (size_t)blockIdx.x * THREADS + threadIdx.x; i < n; i += (size_t)gridDim.x * THREADS)
        if (!(fabsf(x[i]) < INFINITY)) {
            atomicMin(least, (unsigned long long)i);
            return;                                   /* later ones of this thread are greater */
        }
}

__global__ void __launch_bounds__(THREADS) k_update(rt_cuda_update u)
{
    unsigned long long bad = u.trouble->bad, number = u.now->number;
    float decay = u.now->ema;                         /* asked for together: none waits for another */
    int last = u.now->last;
    if (bad == number) {
        look_for_bad(&u.trouble->weight, u.w, u.params);
        look_for_bad(&u.trouble->gradient, u.g, u.grads);
    }
    if (bad) return;
    if (blockIdx.x >= (unsigned)u.blocks * PARTS) {   /* averages of states */
        size_t at = (size_t)(blockIdx.x - (unsigned)u.blocks * PARTS) * PART + threadIdx.x, end = at + PART;
        for (; at < end && at < u.states && u.ema_state && last; at += THREADS)
            u.ema_state[at] += (1.0f - decay) * (u.state[at] - u.ema_state[at]);
        return;
    }
    place p;
    float g[FOUR], w[FOUR], m[FOUR], v[FOUR];
    if (!placed(&p, u)) return;
    gradient(g, u, p, !(u.clip > 0));
    if (!last) return;
    take(w, u.w + p.w);
    take(m, u.m + p.g);
    if (u.adamw) take(v, u.v + p.g);
    update<FOUR>(u, p.block->how, u.clip > 0 ? u.work[0] : u.now->grad_scale, g, w, m, v);
    give(u.m + p.g, m);
    if (u.adamw) give(u.v + p.g, v);
    give(u.w + p.w, w);
    if (!u.ema) return;
    float e[FOUR];
    take(e, u.ema + p.w);
    RT_UNROLL
    for (int i = 0; i < FOUR; i++) e[i] += (1.0f - decay) * (w[i] - e[i]);
    give(u.ema + p.w, e);
}
}

extern "C" void rt_k_update(cudaStream_t stream, const rt_cuda_update *u)
{
    size_t parts = (size_t)u->blocks * PARTS, states = u->ema_state ? (u->states + PART - 1) / PART : 0;
    if (u->clip > 0 && parts) RT_LAUNCH(k_clip, dim3((unsigned)parts), dim3(THREADS), 0, stream, *u);
    RT_LAUNCH(k_update, dim3((unsigned)(parts + states ? parts + states : 1)), dim3(THREADS), 0, stream, *u);
}
