/* tests/cuda/include/cuda_runtime.h - CUDA's language extensions as C++, for kernels that the emulator runs:
 * qualifiers, vector types, built-in variables, warp and block operations, atomics, mathematics.
 * engine/cuda/device_code.h includes it where nvcc would find NVIDIA's. What kernels must not use is left out
 * (__shared__ by itself) or deleted (atomics on floats, whose order is not fixed). The bodies are in
 * tests/cuda/emulator.cpp. */
#ifndef RT_TESTS_CUDA_RUNTIME_H
#define RT_TESTS_CUDA_RUNTIME_H

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>

#include "cuda_runtime_api.h"

#define __global__
#define __device__
#define __host__
#define __constant__
#define __forceinline__ inline
#define __launch_bounds__(...)

struct uint3 { unsigned x, y, z; };
struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned a = 1, unsigned b = 1, unsigned c = 1) : x(a), y(b), z(c) {}
};
struct alignas(8) int2 { int x, y; };
struct alignas(8) uint2 { unsigned x, y; };
struct alignas(8) float2 { float x, y; };
struct alignas(16) int4 { int x, y, z, w; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(16) double2 { double x, y; };
inline int2 make_int2(int x, int y) { return {x, y}; }
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline float2 make_float2(float x, float y) { return {x, y}; }
inline double2 make_double2(double x, double y) { return {x, y}; }
inline int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

/* What the emulator offers to the code below and to device_code.h. */
namespace rt_emulated {
struct site { const char *file; int line; };           /* where an operation stands: lanes must meet at the same */
extern struct builtin { uint3 thread, block; dim3 block_dim, grid_dim; } now;
void sync_block(site);
void sync_warp(unsigned mask, site);
uint64_t shuffle(unsigned mask, uint64_t value, int source, site);     /* the value of lane `source` */
unsigned ballot(unsigned mask, int predicate, site);
void mma_tf32(float *c, const uint32_t *a, const uint32_t *b, site);
void mma_bf16(float *c, const uint32_t *a, const uint32_t *b, site);
void copy_async(void *to, const void *from, int bytes, int valid);
void copy_commit();
void copy_wait(int pending);
void fence();
[[noreturn]] void trap(const char *why);
void *shared(const void *key, const char *name, size_t bytes);
void *shared_dynamic(size_t align);
void enqueue_kernel(const char *name, const void *kernel, dim3 grid, dim3 block, size_t dynamic, cudaStream_t,
                    std::function<void()> thread);

inline int lane()
{
    return (int)((now.thread.x + now.block_dim.x * (now.thread.y + now.block_dim.y * now.thread.z)) & 31);
}
template <class T> T shuffle_any(unsigned mask, T v, int source, site at)
{
    static_assert(sizeof(T) == 4 || sizeof(T) == 8, "shuffles move 4 or 8 bytes");
    uint64_t word = 0;
    memcpy(&word, &v, sizeof v);
    word = shuffle(mask, word, source, at);
    memcpy(&v, &word, sizeof v);
    return v;
}
template <class... P, class... A>
void launch(const char *name, void (*kernel)(P...), dim3 grid, dim3 block, size_t dynamic, cudaStream_t stream,
            A... args)
{
    static_assert((sizeof(P) + ... + 0) <= 4096, "a kernel's arguments take at most 4096 bytes");
    static_assert(sizeof...(P) == sizeof...(A), "as many arguments as the kernel has");
    enqueue_kernel(name, (const void *)kernel, grid, block, dynamic, stream, [=] { kernel(args...); });
}
template <class To, class From> To bits(From from)
{
    static_assert(sizeof(To) == sizeof(From), "");
    To to;
    memcpy(&to, &from, sizeof to);
    return to;
}
}

#define threadIdx (rt_emulated::now.thread)
#define blockIdx (rt_emulated::now.block)
#define blockDim (rt_emulated::now.block_dim)
#define gridDim (rt_emulated::now.grid_dim)
enum { warpSize = 32 };

/* The caller's own place, as the default of a last argument. */
#define RT_EMULATED_HERE const char *file = __builtin_FILE(), int line = __builtin_LINE()
#define RT_EMULATED_SITE rt_emulated::site{file, line}
inline void __syncthreads(RT_EMULATED_HERE) { rt_emulated::sync_block(RT_EMULATED_SITE); }
inline void __syncwarp(unsigned mask = ~0u, RT_EMULATED_HERE) { rt_emulated::sync_warp(mask, RT_EMULATED_SITE); }
inline unsigned __ballot_sync(unsigned mask, int predicate, RT_EMULATED_HERE)
{
    return rt_emulated::ballot(mask, predicate, RT_EMULATED_SITE);
}
inline int __any_sync(unsigned mask, int predicate, RT_EMULATED_HERE)
{
    return rt_emulated::ballot(mask, predicate, RT_EMULATED_SITE) != 0;
}
inline int __all_sync(unsigned mask, int predicate, RT_EMULATED_HERE)
{
    return rt_emulated::ballot(mask, predicate, RT_EMULATED_SITE) == mask;
}
/* As PTX's shfl.sync: a lane beyond its segment of `width` gives the caller's own value. */
template <class T> T __shfl_sync(unsigned mask, T v, int source, int width = 32, RT_EMULATED_HERE)
{
    int lane = rt_emulated::lane();
    return rt_emulated::shuffle_any(mask, v, (lane & ~(width - 1)) | (source & (width - 1)), RT_EMULATED_SITE);
}
template <class T> T __shfl_up_sync(unsigned mask, T v, unsigned delta, int width = 32, RT_EMULATED_HERE)
{
    int lane = rt_emulated::lane(), from = lane - (int)delta;
    return rt_emulated::shuffle_any(mask, v, from >= (lane & ~(width - 1)) ? from : lane, RT_EMULATED_SITE);
}
template <class T> T __shfl_down_sync(unsigned mask, T v, unsigned delta, int width = 32, RT_EMULATED_HERE)
{
    int lane = rt_emulated::lane(), from = lane + (int)delta;
    return rt_emulated::shuffle_any(mask, v, from <= (lane | (width - 1)) ? from : lane, RT_EMULATED_SITE);
}
template <class T> T __shfl_xor_sync(unsigned mask, T v, int with, int width = 32, RT_EMULATED_HERE)
{
    int lane = rt_emulated::lane(), from = lane ^ with;
    return rt_emulated::shuffle_any(mask, v, from <= (lane | (width - 1)) ? from : lane, RT_EMULATED_SITE);
}

inline void __threadfence() { rt_emulated::fence(); }
inline void __threadfence_block() { rt_emulated::fence(); }
[[noreturn]] inline void __trap() { rt_emulated::trap("__trap()"); }

template <class T> struct rt_atomic_type;             /* those that atomics take */
template <> struct rt_atomic_type<int> { typedef int type; };
template <> struct rt_atomic_type<unsigned> { typedef unsigned type; };
template <> struct rt_atomic_type<unsigned long long> { typedef unsigned long long type; };
template <class T> using rt_atomic = typename rt_atomic_type<T>::type;
template <class T> T atomicAdd(T *p, rt_atomic<T> v) { return __atomic_fetch_add(p, v, __ATOMIC_RELAXED); }
template <class T> T atomicSub(T *p, rt_atomic<T> v) { return __atomic_fetch_sub(p, v, __ATOMIC_RELAXED); }
template <class T> T atomicOr(T *p, rt_atomic<T> v) { return __atomic_fetch_or(p, v, __ATOMIC_RELAXED); }
template <class T> T atomicAnd(T *p, rt_atomic<T> v) { return __atomic_fetch_and(p, v, __ATOMIC_RELAXED); }
template <class T> T atomicExch(T *p, rt_atomic<T> v) { return __atomic_exchange_n(p, v, __ATOMIC_RELAXED); }
template <class T> T atomicCAS(T *p, rt_atomic<T> was, rt_atomic<T> v)
{
    __atomic_compare_exchange_n(p, &was, v, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
    return was;
}
template <class T> T atomicMax(T *p, rt_atomic<T> v)
{
    T old = __atomic_load_n(p, __ATOMIC_RELAXED);
    while (old < v && !__atomic_compare_exchange_n(p, &old, v, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {}
    return old;
}
template <class T> T atomicMin(T *p, rt_atomic<T> v)
{
    T old = __atomic_load_n(p, __ATOMIC_RELAXED);
    while (old > v && !__atomic_compare_exchange_n(p, &old, v, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {}
    return old;
}
inline unsigned atomicInc(unsigned *p, unsigned most)
{
    unsigned old = __atomic_load_n(p, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(p, &old, old >= most ? 0 : old + 1, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {}
    return old;
}
float atomicAdd(float *, float) = delete;             /* the order of such sums is not fixed */
double atomicAdd(double *, double) = delete;

template <class T> T __ldg(const T *p) { return *p; }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __clz(int x) { return x ? __builtin_clz((unsigned)x) : 32; }
inline unsigned __umulhi(unsigned a, unsigned b) { return (unsigned)((uint64_t)a * b >> 32); }
inline unsigned __float_as_uint(float x) { return rt_emulated::bits<unsigned>(x); }
inline int __float_as_int(float x) { return rt_emulated::bits<int>(x); }
inline float __uint_as_float(unsigned x) { return rt_emulated::bits<float>(x); }
inline float __int_as_float(int x) { return rt_emulated::bits<float>(x); }
inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
inline double rsqrt(double x) { return 1.0 / sqrt(x); }
inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __frcp_rn(float a) { return 1.0f / a; }
inline float __fsqrt_rn(float a) { return sqrtf(a); }
inline double __dadd_rn(double a, double b) { return a + b; }
inline double __dmul_rn(double a, double b) { return a * b; }
inline double __fma_rn(double a, double b, double c) { return fma(a, b, c); }
inline int __float2int_rn(float x) { return (int)rintf(x); }
inline float __int2float_rn(int x) { return (float)x; }
inline float __uint2float_rn(unsigned x) { return (float)x; }
inline float __double2float_rn(double x) { return (float)x; }

#define RT_EMULATED_LEAST_MOST(type) \
    inline type min(type a, type b) { return b < a ? b : a; } \
    inline type max(type a, type b) { return a < b ? b : a; }
RT_EMULATED_LEAST_MOST(int)
RT_EMULATED_LEAST_MOST(unsigned)
RT_EMULATED_LEAST_MOST(long)
RT_EMULATED_LEAST_MOST(unsigned long)
RT_EMULATED_LEAST_MOST(long long)
RT_EMULATED_LEAST_MOST(unsigned long long)
inline float min(float a, float b) { return fminf(a, b); }
inline float max(float a, float b) { return fmaxf(a, b); }
inline double min(double a, double b) { return fmin(a, b); }
inline double max(double a, double b) { return fmax(a, b); }
#undef RT_EMULATED_LEAST_MOST

template <class T> cudaError_t cudaMalloc(T **at, size_t bytes) { return cudaMalloc((void **)(void *)at, bytes); }
template <class T> cudaError_t cudaMallocHost(T **at, size_t bytes)
{
    return cudaMallocHost((void **)(void *)at, bytes);
}
template <class... P> cudaError_t cudaFuncSetAttribute(void (*function)(P...), cudaFuncAttribute attribute, int value)
{
    return cudaFuncSetAttribute((const void *)function, attribute, value);
}
#endif
