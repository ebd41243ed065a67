/* tests/cuda/every_helper.cu - everything that engine/cuda/device_code.h offers and takes from CUDA, once: native.sh
 * compiles it with nvcc, so that what the emulator has is no more than what there is. */
#include "engine/cuda/device_code.h"

template <int N, bool B>
__global__ void every_helper(float *y, const float *x, unsigned *u, int *i32, unsigned long long *u64, int n)
{
    RT_SHARED(float, s, 256);
    RT_SHARED_2D(uint32_t, grid, 8, 33);
    RT_SHARED_DYNAMIC(float, more);
    int i = (int)(threadIdx.x + blockDim.x * threadIdx.y);
    s[i] = B ? x[i] : 0;
    grid[i % 8][i % 33] = gridDim.x + blockIdx.x;
    rt_copy_async(&more[i * 4], &x[i * 4], 16, i < n);
    rt_copy_async(&s[i], &x[i], 4, 1);
    rt_copy_async(&more[i * 2 + 2048], &x[i * 2], 8, i < n);
    rt_copy_commit();
    rt_copy_wait<0>();
    __syncthreads();
    float c[4] = {0, 0, 0, 0};
    uint32_t a[4] = {rt_tf32(s[i]), rt_tf32(more[i]), 0, 0}, b[2] = {rt_tf32(s[i]), grid[1][i % 33]};
    rt_mma_tf32(c, a, b);
    a[0] = rt_bf16_pair(s[i], s[0]);
    rt_mma_bf16(c, a, b);
    RT_UNROLL
    for (int k = 0; k < 4; k++) y[i * 4 + k] = c[k] + rt_of_bf16(rt_bf16_of(c[k]));
    RT_UNROLL_N(2)
    for (int k = 16; k; k >>= 1)
        c[0] += __shfl_xor_sync(~0u, c[0], k) + __shfl_down_sync(~0u, c[0], 1u) + __shfl_up_sync(~0u, c[0], 1u, 16) +
                __shfl_sync(~0u, c[0], 0, 8);
    double wide = __shfl_xor_sync(~0u, (double)c[1], 1);
    unsigned v = __ballot_sync(~0u, c[0] > 0) + (unsigned)__any_sync(~0u, i) + (unsigned)__all_sync(~0u, i);
    __syncwarp();
    __threadfence();
    __threadfence_block();
    atomicAdd(u, (unsigned)__popc(v)), atomicInc(u, 3u), atomicCAS(u, 1u, 2u), atomicExch(u, 4u), atomicOr(u, 1u),
        atomicAnd(u, 7u);
    atomicMax(i32, __ffs((int)v)), atomicMin(i32, __clz(i)), atomicSub(i32, 1), atomicAdd(u64, 1ull);
    float4 f = make_float4(1, 2, 3, 4);
    float2 g = make_float2(1, 2);
    int4 q = make_int4(1, 2, 3, 4);
    uint4 w = make_uint4(1, 2, 3, 4);
    int2 p = make_int2(1, 2);
    uint2 r = make_uint2(1, 2);
    double2 d = make_double2(1, 2);
    y[i] += rsqrtf(f.x) + expf(g.y) + logf(f.z) + tanhf(f.w) + erff(f.y) + fmaf(f.x, f.y, f.z) +
            __fmaf_rn(f.x, f.y, f.z) + __fmul_rn(f.x, f.y) + __fadd_rn(f.x, f.y) + __fsub_rn(f.x, f.y) +
            __fdiv_rn(f.x, f.y) + __frcp_rn(f.x) + __fsqrt_rn(f.x) + (float)min(q.x, p.y) + (float)max(w.x, r.y) +
            min(f.x, g.x) + __ldg(x) + __uint_as_float(v) + (float)__float_as_uint(f.x) + __int_as_float(q.z) +
            (float)__float_as_int(f.z) + (float)__umulhi(v, 3u) + (float)__popcll(*u64) + (float)__float2int_rn(f.x) +
            __int2float_rn(q.x) + __uint2float_rn(w.x) +
            __double2float_rn(__fma_rn(wide, d.x, d.y) + __dadd_rn(wide, 1) + __dmul_rn(wide, 2) + rsqrt(wide) +
                              max(wide, d.y));
    if (n < 0) __trap();
}

extern "C" cudaError_t launch_every_helper(float *y, const float *x, unsigned *u, int *i32, unsigned long long *u64,
                                           cudaStream_t stream);
extern "C" cudaError_t launch_every_helper(float *y, const float *x, unsigned *u, int *i32, unsigned long long *u64,
                                           cudaStream_t stream)
{
    cudaError_t e = cudaFuncSetAttribute((every_helper<4, true>), cudaFuncAttributeMaxDynamicSharedMemorySize, 60000);
    if (e) return e;
    RT_LAUNCH((every_helper<4, true>), dim3(3, 2), 256, 60000, stream, y, x, u, i32, u64, 3);
    return cudaPeekAtLastError();
}
