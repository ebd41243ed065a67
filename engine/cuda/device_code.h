/* engine/cuda/device_code.h - the only header that a .cu file includes for device code (beside headers of its own
 * folder and of engine/). Under nvcc it is CUDA; with RT_CUDA_EMULATED, compiled as C++, the emulator of tests/cuda/,
 * which is found through the include path as <cuda_runtime.h>.
 *
 *   RT_LAUNCH(kernel, grid, block, dynamic_bytes, stream, arguments...)
 *       queues a kernel; a template's instance is put in parentheses: RT_LAUNCH((k<64, 2>), ...). Errors of the launch
 *       are those of cudaPeekAtLastError(). A block that takes more than 48 KiB of dynamic shared memory needs
 *       cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes) once before.
 *   RT_SHARED(type, name, count), RT_SHARED_2D(type, name, rows, columns)
 *       an array in shared memory, at the start of a block {}; 16-byte aligned, its contents not defined (NaN in the
 *       emulator).
 *   RT_SHARED_DYNAMIC(type, name)
 *       the launch's dynamic bytes, as a pointer to type; several of one kernel are the same memory.
 *   RT_UNROLL, RT_UNROLL_N(n)
 *       before a loop.
 *
 * Tensor cores and asynchronous copies are there from compute capability 8.0 on. Code compiled for less traps in them,
 * so that a wrong choice of the host shows, and is never empty; asynchronous copies are plain ones there. */
#ifndef RT_CUDA_DEVICE_CODE_H
#define RT_CUDA_DEVICE_CODE_H

#include <cuda_runtime.h>

#include <cstdint>

/* Headers of engine/ are C; a .cu file includes them within extern "C" {}. */
#ifndef _Noreturn
#define _Noreturn [[noreturn]]
#endif
#define _Alignas(bytes) alignas(bytes)
#define _Static_assert static_assert

/* Called behind each launch of this thread, where it is set (cuda_stamps.h). */
inline thread_local void (*rt_on_launch)(const char *kernel, cudaStream_t) = nullptr;
inline void rt_launched(const char *kernel, cudaStream_t stream) { if (rt_on_launch) rt_on_launch(kernel, stream); }

#ifdef RT_CUDA_EMULATED

#include <atomic>

#define RT_SHARED(type, name, count) \
    static char name##_key; \
    type(&name)[count] = *(type(*)[count])rt_emulated::shared(&name##_key, #name, sizeof(type[count]))
#define RT_SHARED_2D(type, name, rows, columns) \
    static char name##_key; \
    type(&name)[rows][columns] = *(type(*)[rows][columns])rt_emulated::shared(&name##_key, #name, \
                                                                              sizeof(type[rows][columns]))
#define RT_SHARED_DYNAMIC(type, name) type *name = (type *)rt_emulated::shared_dynamic(alignof(type))
#define RT_LAUNCH(kernel, grid, block, dynamic, stream, ...) \
    (rt_emulated::launch(#kernel, kernel, grid, block, dynamic, stream, __VA_ARGS__), rt_launched(#kernel, stream))
#define RT_UNROLL
#define RT_UNROLL_N(n)
#define RT_DEVICE static inline
#define RT_CONSTANT                                  /* a kernel's argument that is not written, so is not copied */
#define RT_HERE , RT_EMULATED_HERE                    /* the place of the call, for messages */
/* A word that one block writes and others read, without a fence between: whole, as a card moves it. Either value is
 * right to who reads it, or all have read it before (behind a barrier) when the one that writes is told so by a ticket.
 */
#define RT_LOAD_WORD(word) __atomic_load_n(&(word), __ATOMIC_RELAXED)
#define RT_STORE_WORD(word, value) __atomic_store_n(&(word), (value), __ATOMIC_RELAXED)

#else

#define RT_SHARED(type, name, count) __shared__ __align__(16) type name[count]
#define RT_SHARED_2D(type, name, rows, columns) __shared__ __align__(16) type name[rows][columns]
#define RT_SHARED_DYNAMIC(type, name) \
    extern __shared__ __align__(16) unsigned char rt_shared_bytes[]; \
    type *name = reinterpret_cast<type *>(rt_shared_bytes)
#define RT_LAUNCH(kernel, grid, block, dynamic, stream, ...) \
    (kernel<<<grid, block, dynamic, stream>>>(__VA_ARGS__), rt_launched(#kernel, stream))
#define RT_PRAGMA(text) _Pragma(#text)
#define RT_UNROLL RT_PRAGMA(unroll)
#define RT_UNROLL_N(n) RT_PRAGMA(unroll n)
#define RT_DEVICE static __device__ __forceinline__
#define RT_CONSTANT __grid_constant__
#define RT_HERE
#define RT_LOAD_WORD(word) (word)
#define RT_STORE_WORD(word, value) ((word) = (value))

#endif

/* Keeps x in a register from here on: the compiler would rather compute it again. */
RT_DEVICE void rt_keep(int &x)
{
#if !defined(RT_CUDA_EMULATED) && defined(__CUDA_ARCH__)
    asm volatile("" : "+r"(x));
#else
    (void)x;
#endif
}

/* Nanoseconds of the card's clock. The emulator has none: every call is a microsecond. */
RT_DEVICE unsigned long long rt_clock()
{
#ifdef RT_CUDA_EMULATED
    static std::atomic<unsigned long long> calls;
    return 1000 * ++calls;
#else
    unsigned long long t;
    asm volatile("mov.u64 %0, %globaltimer;" : "=l"(t)::"memory");
    return t;
#endif
}

/* x rounded to 10 bits of mantissa, to the nearest, halves away from 0: what tensor cores take as tf32. NaN stays. */
RT_DEVICE uint32_t rt_tf32(float x)
{
#if defined(RT_CUDA_EMULATED) || !defined(__CUDA_ARCH__) || __CUDA_ARCH__ < 800
    uint32_t u = __float_as_uint(x);
    if ((u & 0x7f800000u) != 0x7f800000u) u += 0x1000u;
    return u & 0xffffe000u;
#else
    uint32_t u;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(u) : "f"(x));
    return u;
#endif
}

/* x as bfloat16, rounded to the nearest, ties to even; NaN gives 0x7fff. And back. */
RT_DEVICE uint16_t rt_bf16_of(float x)
{
    uint32_t u = __float_as_uint(x);
    if ((u & 0x7fffffffu) > 0x7f800000u) return 0x7fff;
    return (uint16_t)((u + 0x7fffu + (u >> 16 & 1)) >> 16);
}
RT_DEVICE float rt_of_bf16(uint16_t x) { return __uint_as_float((uint32_t)x << 16); }
/* Two of them in a register as mma takes them: `low` has the smaller index. */
RT_DEVICE uint32_t rt_bf16_pair(float low, float high)
{
#if defined(RT_CUDA_EMULATED) || !defined(__CUDA_ARCH__) || __CUDA_ARCH__ < 800
    return (uint32_t)rt_bf16_of(low) | (uint32_t)rt_bf16_of(high) << 16;
#else
    uint32_t u;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(u) : "f"(high), "f"(low));
    return u;
#endif
}

/* c (16, 8) += a (16, 8) b (8, 8) in tf32 with sums in float, by a whole warp. With g = lane / 4, t = lane % 4:
 *   a[0] = A[g][t], a[1] = A[g + 8][t], a[2] = A[g][t + 4], a[3] = A[g + 8][t + 4]     (bits of rt_tf32)
 *   b[0] = B[t][g], b[1] = B[t + 4][g]
 *   c[0], c[1] = C[g][2t], C[g][2t + 1];  c[2], c[3] = C[g + 8][2t], C[g + 8][2t + 1]
 * Source: PTX ISA, mma.m16n8k8 for .tf32. */
RT_DEVICE void rt_mma_tf32(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2] RT_HERE)
{
#ifdef RT_CUDA_EMULATED
    rt_emulated::mma_tf32(c, a, b, RT_EMULATED_SITE);
#elif defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},{%0,%1,%2,%3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
    (void)c, (void)a, (void)b;
    __trap();
#endif
}

/* c (16, 8) += a (16, 16) b (16, 8) in bfloat16 with sums in float. Each register holds two neighbours in k
 * (rt_bf16_pair), P(M, r, k) = M[r][k], M[r][k + 1]:
 *   a[0] = P(A, g, 2t), a[1] = P(A, g + 8, 2t), a[2] = P(A, g, 2t + 8), a[3] = P(A, g + 8, 2t + 8)
 *   b[0] = B[2t][g], B[2t + 1][g];  b[1] = B[2t + 8][g], B[2t + 9][g];  c as above.
 * Source: PTX ISA, mma.m16n8k16 for .bf16. */
RT_DEVICE void rt_mma_bf16(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2] RT_HERE)
{
#ifdef RT_CUDA_EMULATED
    rt_emulated::mma_bf16(c, a, b, RT_EMULATED_SITE);
#elif defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},{%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
    (void)c, (void)a, (void)b;
    __trap();
#endif
}

/* Starts a copy of 4, 8 or 16 bytes (both ends aligned to as many) from global to shared memory; zeros are written and
 * nothing is read when !valid. It is done for the thread that asked after rt_copy_wait<N>() where all but the latest N
 * of its committed groups have ended, and for others after a barrier beyond that. Until then its target is not defined.
 */
RT_DEVICE void rt_copy_async(void *to, const void *from, int bytes, int valid)
{
#ifdef RT_CUDA_EMULATED
    rt_emulated::copy_async(to, from, bytes, valid);
#elif defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
    uint32_t at = (uint32_t)__cvta_generic_to_shared(to);
    int read = valid ? bytes : 0;
    if (bytes == 16)
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(at), "l"(from), "r"(read) : "memory");
    else if (bytes == 8)
        asm volatile("cp.async.ca.shared.global [%0], [%1], 8, %2;" ::"r"(at), "l"(from), "r"(read) : "memory");
    else
        asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(at), "l"(from), "r"(read) : "memory");
#else
    if (bytes == 16)
        *(uint4 *)to = valid ? *(const uint4 *)from : make_uint4(0, 0, 0, 0);
    else if (bytes == 8)
        *(uint2 *)to = valid ? *(const uint2 *)from : make_uint2(0, 0);
    else
        *(uint32_t *)to = valid ? *(const uint32_t *)from : 0;
#endif
}
/* Closes the group of the copies asked for since the last one. */
RT_DEVICE void rt_copy_commit()
{
#ifdef RT_CUDA_EMULATED
    rt_emulated::copy_commit();
#elif defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
    asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}
template <int N> RT_DEVICE void rt_copy_wait()
{
#ifdef RT_CUDA_EMULATED
    rt_emulated::copy_wait(N);
#elif defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
    asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
#endif
}
#endif
