/* Parts of gradients; see cuda_parts.h. A block has COLUMNS values, each of which LANES threads add up: a lane takes
 * every so many-th part, and their sums are added in the order of the lanes. */
#include "engine/cuda/cuda_parts.h"
#include "engine/cuda/device_code.h"

namespace {
enum { COLUMNS = 16, LANES = 16 };

struct parts_jobs {
    rt_parts job[RT_PARTS_JOBS];
    unsigned first[RT_PARTS_JOBS];     /* block of each */
    int jobs;
};

__global__ void __launch_bounds__(COLUMNS * LANES) k_add_parts(parts_jobs all)
{
    RT_SHARED_2D(float, sums, LANES, COLUMNS);
    int k = 0, column = (int)threadIdx.x % COLUMNS, lane = (int)threadIdx.x / COLUMNS;
    while (k + 1 < all.jobs && blockIdx.x >= all.first[k + 1]) k++;
    const rt_parts &p = all.job[k];
    const size_t i = (size_t)(blockIdx.x - all.first[k]) * COLUMNS + (size_t)column, next = p.count[0] + p.count[1];
    float sum = 0.0f;
    if (i < next) {
        RT_UNROLL_N(8)
        for (int part = lane; part < p.parts; part += LANES) sum += p.from[(size_t)part * next + i];
    }
    sums[lane][column] = sum;
    __syncthreads();
    const int side = i >= p.count[0];
    if (lane || i >= next || !p.to[side]) return;
    for (int n = 1; n < LANES; n++) sum += sums[n][column];
    float *to = p.to[side] + (side ? i - p.count[0] : i);
    *to = p.add[side] ? *to + sum : sum;
}
}

extern "C" void rt_k_add_parts(cudaStream_t stream, const rt_parts *jobs, int count)
{
    parts_jobs all = {};
    size_t blocks = 0;
    for (int i = 0; i < count; i++) {
        all.job[i] = jobs[i];
        all.first[i] = (unsigned)blocks;
        blocks += (jobs[i].count[0] + jobs[i].count[1] + COLUMNS - 1) / COLUMNS;
    }
    all.jobs = count;
    RT_LAUNCH(k_add_parts, dim3((unsigned)blocks), dim3(COLUMNS * LANES), 0, stream, all);
}
