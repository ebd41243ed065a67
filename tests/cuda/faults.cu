/* tests/cuda/faults.cu - kernels and calls with one planted fault each, and some without: faults NAME [ORDER]. What
 * each must say is in faults.sh, which builds this with and without sanitizers. Prints a digest of the output. */
#include <string>
#include <vector>

#include "emulator.h"
#include "engine/cuda/device_code.h"

enum { N = 256 };
#define KERNEL(name) __global__ void name(float *y, const float *x, unsigned *u)
#define T ((int)threadIdx.x)

/* Barriers and warps. */

KERNEL(divergent)
{
    if (T < 100) __syncthreads();
    y[T] = x[T] + (float)u[0];
}
KERNEL(two_barriers)
{
    if (T < 128)
        __syncthreads();
    else
        __syncthreads();
    y[T] = x[T] + (float)u[0];
}
KERNEL(early_exit)
{
    if (T >= 100) return;
    __syncthreads();
    y[T] = x[T] + (float)u[0];
}
KERNEL(dead_lane)
{
    if (T % 32 > 20) return;
    y[T] = __shfl_down_sync(~0u, x[T], 1) + (float)u[0];
}
KERNEL(lane_ends)                          /* while others wait for it */
{
    if (T % 32 == 31) return;
    y[T] = __shfl_xor_sync(~0u, x[T], 1) + (float)u[0];
}
KERNEL(outside_mask) { y[T] = (T % 32 < 16 ? __shfl_sync(0xffffu, x[T], 20) : 0) + (float)u[0]; }
KERNEL(not_in_mask) { y[T] = __shfl_sync(T % 32 < 16 ? 0xffffu : 0xffu, x[T], 0) + (float)u[0]; }
KERNEL(mixed)
{
    if (T % 2)
        y[T] = __shfl_xor_sync(~0u, x[T], 1);
    else
        y[T] = (float)__ballot_sync(~0u, x[T] > (float)u[0]);
}
KERNEL(half_warp)                          /* the other half never comes */
{
    if (T % 32 < 16) __syncwarp();
    __syncthreads();
    y[T] = x[T] + (float)u[0];
}
KERNEL(mma)
{
    float c[4] = {0, 0, 0, 0};
    const uint32_t a[4] = {1, 2, 3, 4}, b[2] = {1, 2};
    if (u[0] || T % 32 < 32) rt_mma_tf32(c, a, b);
    y[T] = c[0] + x[T];
}
KERNEL(trap)
{
    if (T == 77 && u[0] == 0) __trap();
    y[T] = x[T];
}

/* Memory. */

KERNEL(big_static)
{
    RT_SHARED(float, s, 12000);
    RT_SHARED(float, more, 400);
    s[T] = more[T] = x[T] + (float)u[0];
    y[T] = s[T];
}
KERNEL(dynamic)
{
    RT_SHARED_DYNAMIC(float, s);
    s[T] = x[T] + (float)u[0];
    y[T] = s[T];
}
KERNEL(copy_unwaited)
{
    RT_SHARED(float, s, N);
    rt_copy_async(&s[T], &x[T], 4, 1);
    rt_copy_commit();
    y[T] = x[T] + (float)u[0];
}
KERNEL(copy_misaligned)
{
    RT_SHARED(float, s, 4 * N);
    rt_copy_async(&s[4 * T], &x[1], 16, 1);
    rt_copy_wait<0>();
    y[T] = s[T] + (float)u[0];
}
KERNEL(copy_to_global) { rt_copy_async(&y[T + (int)u[0]], &x[T], 4, 1); }
KERNEL(far_out) { y[T == 9 ? 5000 : T] = x[T] + (float)u[0]; }
KERNEL(just_out) { y[T + 1] = x[T] + (float)u[0]; }
KERNEL(just_out_read) { y[T] = x[T + 1] + (float)u[0]; }
KERNEL(shared_out)
{
    RT_SHARED(float, s, N);
    volatile int one = 1;
    s[T] = x[T] + (float)u[0];
    __syncthreads();
    y[T] = (&s[T])[one];
}
KERNEL(shared_before)
{
    RT_SHARED(float, s, N);
    volatile int far = -300;
    s[T] = x[T] + (float)u[0];
    __syncthreads();
    y[T] = (&s[T])[far];
}
KERNEL(unwritten)
{
    RT_SHARED(float, s, N);
    if (T < 100) s[T] = x[T] + (float)u[0];
    __syncthreads();
    y[T] = s[T];
}
KERNEL(deep)                               /* beyond its stack */
{
    volatile float big[1 << 17];
    big[T] = x[T];
    y[T] = big[T] + (float)u[0];
}

/* Races. */

KERNEL(missing_sync)
{
    RT_SHARED(float, s, N);
    s[T] = x[T] + (float)u[0];
    y[T] = s[(T + 1) % N];
}
KERNEL(loop_sync)                          /* no barrier at the loop's end */
{
    RT_SHARED(float, s, N);
    float sum = (float)u[0];
    for (int i = 1; i < 5; i++) {
        s[T] = x[T] * (float)i;
        __syncthreads();
        sum += s[(T + 37) % N];
    }
    y[T] = sum;
}
KERNEL(block_race) { y[T] = x[T] + (float)(blockIdx.x + u[0]); }
KERNEL(thread_race) { y[T / 2] = x[T] + (float)u[0]; }
KERNEL(warp_race)                          /* lanes do not run in step */
{
    RT_SHARED(float, s, N);
    s[T] = x[T] + (float)u[0];
    y[T] = s[T ^ 1];
}
KERNEL(copy_early)                         /* into what others still read */
{
    RT_SHARED(float, s, N);
    s[T] = x[T] + (float)u[0];
    __syncthreads();
    float v = s[(T + 1) % N];
    rt_copy_async(&s[T], &x[N - 1 - T], 4, 1);
    rt_copy_commit();
    rt_copy_wait<0>();
    __syncthreads();
    y[T] = v + s[(T + 1) % N];
}
KERNEL(no_fence)                           /* the last block reads what has not been made visible */
{
    RT_SHARED(int, last, 1);
    y[N + 1 + (int)blockIdx.x * N + T] = x[T];
    __syncthreads();
    if (T == 0) last[0] = atomicInc(u, gridDim.x - 1) == gridDim.x - 1;
    __syncthreads();
    if (last[0] && T == 0) y[0] = y[N + 1] + y[2 * N + 1];
}

/* Without faults: no sanitizer says anything. */

KERNEL(correct)
{
    RT_SHARED(float, s, N);
    RT_SHARED(int, last, 1);
    RT_SHARED_2D(float, stage, 2, N);
    float sum = (float)blockIdx.x;
    rt_copy_async(&stage[0][T], &x[T], 4, 1);
    rt_copy_commit();
    for (int i = 0; i < 4; i++) {
        if (i < 3) rt_copy_async(&stage[(i + 1) % 2][T], &x[N - 1 - T], 4, i != 1);
        rt_copy_commit();
        rt_copy_wait<1>();
        __syncthreads();
        sum += stage[i % 2][(T + 5) % N];
        __syncthreads();
        s[T] = sum;
        __syncwarp();
        sum += s[T ^ 1];
        for (int k = 16; k; k >>= 1) sum += __shfl_xor_sync(~0u, sum, k);
        s[T] = sum;
        __syncthreads();
        sum = s[(T + 100) % N] * 0.001f + (float)__popc(__ballot_sync(~0u, T % 3));
    }
    y[N + 1 + (int)blockIdx.x * N + T] = sum;
    __syncthreads();
    if (T == 0) {
        __threadfence();
        last[0] = atomicInc(u, gridDim.x - 1) == gridDim.x - 1;
    }
    __syncthreads();
    if (!last[0]) return;
    __threadfence();
    float all = 0;
    for (unsigned b = 0; b < gridDim.x; b++) all += y[N + 1 + (int)b * N + T];
    y[T] = all;
}

typedef void (*kernel)(float *, const float *, unsigned *);
static const struct { const char *name; kernel run; unsigned blocks, threads;
} kernels[] = {
    {"divergent", divergent, 1, N},
    {"two_barriers", two_barriers, 1, N},
    {"early_exit", early_exit, 1, N},
    {"dead_lane", dead_lane, 1, N},
    {"lane_ends", lane_ends, 1, N},
    {"outside_mask", outside_mask, 1, N},
    {"not_in_mask", not_in_mask, 1, N},
    {"mixed", mixed, 1, N},
    {"half_warp", half_warp, 1, N},
    {"mma", mma, 1, N},
    {"part_mma", mma, 1, 48},
    {"trap", trap, 1, N},
    {"many_threads", thread_race, 1, 1025},
    {"no_blocks", thread_race, 0, N},
    {"big_static", big_static, 1, N},
    {"dynamic", dynamic, 1, N},
    {"big_dynamic", dynamic, 1, N},
    {"copy_unwaited", copy_unwaited, 1, N},
    {"copy_misaligned", copy_misaligned, 1, N},
    {"copy_to_global", copy_to_global, 1, N},
    {"far_out", far_out, 1, N},
    {"just_out", just_out, 1, N},
    {"just_out_read", just_out_read, 1, N},
    {"shared_out", shared_out, 1, N},
    {"shared_before", shared_before, 1, N},
    {"unwritten", unwritten, 1, N},
    {"deep", deep, 1, N},
    {"missing_sync", missing_sync, 1, N},
    {"loop_sync", loop_sync, 1, N},
    {"block_race", block_race, 2, N},
    {"thread_race", thread_race, 1, N},
    {"warp_race", warp_race, 1, 32},
    {"copy_early", copy_early, 1, N},
    {"no_fence", no_fence, 2, 64},
    {"correct", correct, 9, N},
};

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    std::string order = argc > 2 ? argv[2] : "forward";
    rt_emulated_order(order == "forward"   ? RT_EMULATED_FORWARD
                      : order == "reverse" ? RT_EMULATED_REVERSE
                                           : RT_EMULATED_RANDOM,
                      5);
    bool wide = !strcmp(name, "no_fence") || !strcmp(name, "correct");
    size_t size = wide ? 11 * N : N;
    float *x, *y;
    unsigned *u;
    std::vector<float> in(N), out(size);
    for (int i = 0; i < N; i++) in[(size_t)i] = (float)(i % 17 + 1);
    cudaMalloc(&x, N * sizeof *x);
    cudaMalloc(&y, size * sizeof *y);
    cudaMalloc(&u, sizeof *u);
    cudaMemcpy(x, in.data(), N * sizeof *x, cudaMemcpyHostToDevice);
    cudaMemset(y, 0, size * sizeof *y);
    cudaMemset(u, 0, sizeof *u);
    if (!strcmp(name, "host_touches")) return x[3] > 0;
    if (!strcmp(name, "freed")) cudaFree(x);
    bool found = !strcmp(name, "freed");
    size_t dynamic_bytes = !strcmp(name, "big_dynamic") ? 50000 : 0;
    for (auto &k : kernels)
        if (!strcmp(name, found ? "" : k.name)) {
            rt_emulated::launch(k.name, k.run, k.blocks, k.threads, dynamic_bytes, nullptr, y, (const float *)x, u);
            found = true;
        }
    if (!strcmp(name, "freed")) rt_emulated::launch("freed", thread_race, 1, N, 0, nullptr, y, (const float *)x, u);
    if (!found) {
        fprintf(stderr, "faults: no fault is called '%s'\n", name);
        return 2;
    }
    cudaMemcpy(out.data(), y, size * sizeof *y, cudaMemcpyDeviceToHost);
    uint64_t digest = 1469598103934665603u;
    int nan = 0;
    for (size_t i = 0; i < N; i++)
        nan += out[i] != out[i], digest = (digest ^ __float_as_uint(out[i])) * 1099511628211u;
    printf("digest %016llx, %d of %d NaN\n", (unsigned long long)digest, nan, (int)N);
    cudaFree(y);
    cudaFree(u);
    if (strcmp(name, "freed")) cudaFree(x);
    return 0;
}
