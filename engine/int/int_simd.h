/* engine/int/int_simd.h - the vector operations that the templates of integer kernels need, per instruction set. A
 * vector holds VL sums of 32 bits. Tests compile the templates once more with plain-C definitions of the intrinsics in
 * place of the compiler's: RT_INT_EMULATED. */
#ifndef RT_ENGINE_INT_INT_SIMD_H
#define RT_ENGINE_INT_INT_SIMD_H

#include <string.h>

#include "engine/int/int_family.h"

/* KEEP: the compiler is not to regroup sums of integers, which it may, and which would leave no registers. */
#ifndef RT_INT_EMULATED
#include <immintrin.h>
#define RT_INLINE static inline __attribute__((always_inline))
#define KEEP(sum) __asm__("" : "+v"(sum))
#else
#define RT_INLINE static
#define KEEP(sum) (void)(sum)
#endif
/* Keeps the compiler from turning one stride register into many pointers. */
#define RT_OPAQUE(x) __asm__("" : "+r"(x))

static inline int32_t load_4(const uint8_t *p)
{
    int32_t v;
    memcpy(&v, p, 4);
    return v;
}

/* n bytes. */
static inline void store_some(uint8_t *p, const uint8_t *from, int n)
{
    for (; n >= 16; n -= 16, p += 16, from += 16) memcpy(p, from, 16);
    if (n & 8) { memcpy(p, from, 8); p += 8; from += 8; }
    if (n & 4) { memcpy(p, from, 4); p += 4; from += 4; }
    if (n & 2) { memcpy(p, from, 2); p += 2; from += 2; }
    if (n & 1) *p = *from;
}

#if defined(RT_INT_AVX512)
typedef __m512i VI;
typedef __m512 VF;
enum { VL = 16, ACC_MAX = 20, NV_MAX = 4 };
static inline VI vi_zero(void) { return _mm512_setzero_si512(); }
static inline VI vi_set1(int32_t a) { return _mm512_set1_epi32(a); }
static inline VI vi_load(const void *p) { return _mm512_loadu_si512(p); }
static inline void vi_store(void *p, VI a) { _mm512_storeu_si512(p, a); }
static inline VI vi_add(VI a, VI b) { return _mm512_add_epi32(a, b); }
static inline VI vi_sub(VI a, VI b) { return _mm512_sub_epi32(a, b); }
static inline VI vi_mul(VI a, VI b) { return _mm512_mullo_epi32(a, b); }
static inline VI vi_dot(VI acc, VI x, VI w) { return _mm512_dpbusd_epi32(acc, x, w); }
static inline VI vi_bytes(const uint8_t *p) { return _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p)); }
static inline VF vf_set1(float a) { return _mm512_set1_ps(a); }
static inline VF vf_load(const float *p) { return _mm512_loadu_ps(p); }
static inline void vf_store(float *p, VF a) { _mm512_storeu_ps(p, a); }
static inline VF vf_mul(VF a, VF b) { return _mm512_mul_ps(a, b); }
static inline VF vf_div(VF a, VF b) { return _mm512_div_ps(a, b); }
static inline VF vf_fma(VF a, VF b, VF c) { return _mm512_fmadd_ps(a, b, c); }
static inline VF vf_max(VF a, VF b) { return _mm512_max_ps(a, b); }
static inline VF vf_min(VF a, VF b) { return _mm512_min_ps(a, b); }
static inline VF vf_of(VI a) { return _mm512_cvtepi32_ps(a); }
static inline VI vi_round(VF a) { return _mm512_cvtps_epi32(a); }
/* VL numbers in [0, 255] as bytes. */
static inline void vi_store_bytes(uint8_t *p, VI a) { _mm_storeu_si128((__m128i *)p, _mm512_cvtepi32_epi8(a)); }
#else
typedef __m256i VI;
typedef __m256 VF;
enum { VL = 8, ACC_MAX = 12, NV_MAX = 2 };
static inline VI vi_zero(void) { return _mm256_setzero_si256(); }
static inline VI vi_set1(int32_t a) { return _mm256_set1_epi32(a); }
static inline VI vi_load(const void *p) { return _mm256_loadu_si256((const __m256i *)p); }
static inline void vi_store(void *p, VI a) { _mm256_storeu_si256((__m256i *)p, a); }
static inline VI vi_add(VI a, VI b) { return _mm256_add_epi32(a, b); }
static inline VI vi_sub(VI a, VI b) { return _mm256_sub_epi32(a, b); }
static inline VI vi_mul(VI a, VI b) { return _mm256_mullo_epi32(a, b); }
static inline VI vi_bytes(const uint8_t *p) { return _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p)); }
static inline VF vf_set1(float a) { return _mm256_set1_ps(a); }
static inline VF vf_load(const float *p) { return _mm256_loadu_ps(p); }
static inline void vf_store(float *p, VF a) { _mm256_storeu_ps(p, a); }
static inline VF vf_mul(VF a, VF b) { return _mm256_mul_ps(a, b); }
static inline VF vf_div(VF a, VF b) { return _mm256_div_ps(a, b); }
static inline VF vf_fma(VF a, VF b, VF c) { return _mm256_fmadd_ps(a, b, c); }
static inline VF vf_max(VF a, VF b) { return _mm256_max_ps(a, b); }
static inline VF vf_min(VF a, VF b) { return _mm256_min_ps(a, b); }
static inline VF vf_of(VI a) { return _mm256_cvtepi32_ps(a); }
static inline VI vi_round(VF a) { return _mm256_cvtps_epi32(a); }
static inline void vi_store_bytes(uint8_t *p, VI a)
{
    __m128i h = _mm_packs_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
    _mm_storel_epi64((__m128i *)p, _mm_packus_epi16(h, h));
}
#if defined(RT_INT_AVXVNNI)
static inline VI vi_dot(VI acc, VI x, VI w) { return _mm256_dpbusd_avx_epi32(acc, x, w); }
#else
/* Sums of two products in 16 bits, and of four in 32: exact where no pair's sum leaves 16 bits. */
static inline VI vi_pairs(VI x, VI w) { return _mm256_maddubs_epi16(x, w); }
static inline VI vi_add16(VI a, VI b) { return _mm256_add_epi16(a, b); }
static inline VI vi_widen(VI pairs) { return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)); }
static inline VI vi_dot(VI acc, VI x, VI w) { return vi_add(acc, vi_widen(vi_pairs(x, w))); }
/* The same on 16 bits: bytes 0 and 2 of each four (odd 0), or 1 and 3, times the two of w. */
static inline VI vi_dot16(VI acc, VI x, VI w, const int odd)
{
    x = odd ? _mm256_srli_epi16(x, 8) : _mm256_and_si256(x, _mm256_set1_epi16(255));
    return vi_add(acc, _mm256_madd_epi16(x, w));
}
#endif
#endif

/* acc as the number of a byte, less its zero point: what sat and rne of the contract give; any acc is let through. */
static inline VI vi_requantize(VI acc, VF m, VF low, VF high)
{ return vi_round(vf_min(vf_max(vf_mul(vf_of(acc), m), low), high)); }
#endif
