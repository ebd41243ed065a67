/* Parts of gradients; see cuda_parts.h. A block has some values, four of which a thread takes together where they lie
 * so, and as many lanes of threads for each as give a lane few parts: a lane takes every so many-th part, and the sums
 * of lanes are added within a warp in a tree and over the warps in their order. */
#include "engine/cuda/cuda_parts.h"
#include "engine/cuda/device_space.cuh"

namespace {
enum { THREADS = 256, AT_ONCE = 8, MOST_LANES = 64 };

struct parts_jobs {
    rt_parts job[RT_PARTS_JOBS];
    unsigned first[RT_PARTS_JOBS];     /* block of each */
    int lanes[RT_PARTS_JOBS];          /* a power of two */
    int wide[RT_PARTS_JOBS];
    int jobs;
};

/* V values by each of THREADS / lanes threads. */
template <int V> RT_DEVICE void add_values(const rt_parts &p, int lanes, unsigned block, float *sums)
{
    const int t = (int)threadIdx.x, columns = THREADS / lanes, column = t % columns, lane = t / columns;
    const size_t i = ((size_t)block * (size_t)columns + (size_t)column) * V, next = p.count[0] + p.count[1];
    const float *from = p.from + (i < next ? i : 0);
    rt_pack<V> sum = {};
    for (int part = lane; part < p.parts; part += AT_ONCE * lanes) {
        rt_pack<V> in[AT_ONCE];                       /* all on their way at once; beyond the last part, that again */
        RT_UNROLL
        for (int u = 0; u < AT_ONCE; u++) {
            const int at = part + u * lanes;
            in[u] = rt_load<V>(from + (size_t)(at < p.parts ? at : p.parts - 1) * next);
        }
        RT_UNROLL
        for (int u = 0; u < AT_ONCE; u++)
            RT_UNROLL
            for (int v = 0; v < V; v++) sum.v[v] += part + u * lanes < p.parts ? in[u].v[v] : 0.0f;
    }
    for (int d = columns; d < 32; d *= 2)
        RT_UNROLL
        for (int v = 0; v < V; v++) sum.v[v] += __shfl_xor_sync(~0u, sum.v[v], d);
    const int apart = columns < 32 ? 32 : columns;
    if (apart < THREADS) {
        rt_store<V>(sums + V * t, sum);
        __syncthreads();
    }
    if (t >= columns || i >= next) return;
    for (int n = t + apart; n < THREADS; n += apart)
        RT_UNROLL
        for (int v = 0; v < V; v++) sum.v[v] += sums[V * n + v];
    RT_UNROLL
    for (int v = 0; v < V; v++) {
        const int side = i + (size_t)v >= p.count[0];
        if (!p.to[side]) continue;
        float *to = p.to[side] + (side ? i + (size_t)v - p.count[0] : i + (size_t)v);
        *to = p.add[side] ? *to + sum.v[v] : sum.v[v];
    }
}

__global__ void __launch_bounds__(THREADS) k_add_parts(parts_jobs all)
{
    RT_SHARED(float, sums, (4 * THREADS));
    int k = 0;
    while (k + 1 < all.jobs && blockIdx.x >= all.first[k + 1]) k++;
    if (all.wide[k]) add_values<4>(all.job[k], all.lanes[k], blockIdx.x - all.first[k], sums);
    else add_values<1>(all.job[k], all.lanes[k], blockIdx.x - all.first[k], sums);
}
}

extern "C" void rt_k_add_parts(cudaStream_t stream, const rt_parts *jobs, int count)
{
    parts_jobs all = {};
    size_t blocks = 0;
    for (int i = 0; i < count; i++) {
        const size_t next = jobs[i].count[0] + jobs[i].count[1];
        all.job[i] = jobs[i];
        all.first[i] = (unsigned)blocks;
        all.wide[i] = next % 4 == 0 && rt_aligned(jobs[i].from);
        for (all.lanes[i] = 1; all.lanes[i] < MOST_LANES && all.lanes[i] * AT_ONCE < jobs[i].parts;) all.lanes[i] *= 2;
        const size_t values = (size_t)(THREADS / all.lanes[i]) * (all.wide[i] ? 4 : 1);
        blocks += (next + values - 1) / values;
    }
    all.jobs = count;
    RT_LAUNCH(k_add_parts, dim3((unsigned)blocks), dim3(THREADS), 0, stream, all);
}
