/* engine/cpu/simd.h - the few vector operations that the convolution template needs, per instruction set.
 * Included by avx2.c and avx512.c alone, which are compiled with the flags of their set. */
#ifndef RT_ENGINE_CPU_SIMD_H
#define RT_ENGINE_CPU_SIMD_H

#include <immintrin.h>

#if defined(RT_SIMD_AVX512)
typedef __m512 V;
typedef __mmask16 VM;
enum { VL = 16, ACC_MAX = 24, NV_MAX = 4 };
static inline VM v_mask(int n) { return (VM)(n >= 16 ? 0xffffu : (1u << n) - 1u); }
static inline V v_zero(void) { return _mm512_setzero_ps(); }
static inline V v_set1(float a) { return _mm512_set1_ps(a); }
static inline V v_load(const float *p) { return _mm512_loadu_ps(p); }
static inline V v_loadm(const float *p, VM m) { return _mm512_maskz_loadu_ps(m, p); }
static inline void v_store(float *p, V a) { _mm512_storeu_ps(p, a); }
static inline void v_storem(float *p, V a, VM m) { _mm512_mask_storeu_ps(p, m, a); }
static inline V v_fma(V a, V b, V c) { return _mm512_fmadd_ps(a, b, c); }
static inline V v_add(V a, V b) { return _mm512_add_ps(a, b); }
static inline V v_max(V a, V b) { return _mm512_max_ps(a, b); }
static inline V v_min(V a, V b) { return _mm512_min_ps(a, b); }
#elif defined(RT_SIMD_AVX2)
typedef __m256 V;
typedef __m256i VM;
enum { VL = 8, ACC_MAX = 12, NV_MAX = 2 };
static inline VM v_mask(int n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
static inline V v_zero(void) { return _mm256_setzero_ps(); }
static inline V v_set1(float a) { return _mm256_set1_ps(a); }
static inline V v_load(const float *p) { return _mm256_loadu_ps(p); }
static inline V v_loadm(const float *p, VM m) { return _mm256_maskload_ps(p, m); }
static inline void v_store(float *p, V a) { _mm256_storeu_ps(p, a); }
static inline void v_storem(float *p, V a, VM m) { _mm256_maskstore_ps(p, m, a); }
static inline V v_fma(V a, V b, V c) { return _mm256_fmadd_ps(a, b, c); }
static inline V v_add(V a, V b) { return _mm256_add_ps(a, b); }
static inline V v_max(V a, V b) { return _mm256_max_ps(a, b); }
static inline V v_min(V a, V b) { return _mm256_min_ps(a, b); }
#else
#error "simd.h needs RT_SIMD_AVX512 or RT_SIMD_AVX2"
#endif

/* Keeps the compiler from turning one stride register into many pointers. */
#define RT_OPAQUE(x) __asm__("" : "+r"(x))
#define RT_INLINE static inline __attribute__((always_inline))
#endif
