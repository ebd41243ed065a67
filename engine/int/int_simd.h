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
/* Two products of 16 bits. */
static inline VI vi_dot16(VI acc, VI x, VI w) { return _mm512_dpwssd_epi32(acc, x, w); }
#define vi_sra(a, k) _mm512_srai_epi32(a, k)
static inline VI vi_add16(VI a, VI b) { return _mm512_add_epi16(a, b); }
static inline VI vi_sub16(VI a, VI b) { return _mm512_sub_epi16(a, b); }
#define vi_shl16(a, k) _mm512_slli_epi16(a, k)
/* 16 bytes at p, and `next` behind it where a vector has room for them. */
static inline VI vi_bytes16(const uint8_t *p, ptrdiff_t next)
{
    const __m256i first = _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)p));
    return _mm512_cvtepu8_epi16(_mm256_inserti128_si256(first, _mm_loadu_si128((const __m128i *)(p + next)), 1));
}
static inline void vi_store16(int16_t *p, int16_t *q, VI a)
{
    _mm256_storeu_si256((__m256i *)(void *)p, _mm512_castsi512_si256(a));
    _mm256_storeu_si256((__m256i *)(void *)q, _mm512_extracti64x4_epi64(a, 1));
}
static inline VI vi_and(VI a, VI b) { return _mm512_and_si512(a, b); }
static inline VI vi_least(VI a, VI b) { return _mm512_min_epi32(a, b); }
static inline VI vi_most(VI a, VI b) { return _mm512_max_epi32(a, b); }
static inline int vi_any_upto(VI a, int most) { return _mm512_cmple_epi32_mask(a, vi_set1(most)) != 0; }
static inline VI vi_bytes(const uint8_t *p) { return _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p)); }
static inline VF vf_set1(float a) { return _mm512_set1_ps(a); }
static inline VF vf_load(const float *p) { return _mm512_loadu_ps(p); }
static inline VF vf_load_some(const float *p, int n) { return _mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p); }
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
static inline VI vi_set16(int a) { return _mm512_set1_epi16((int16_t)a); }
static inline VI vi_set8(int a) { return _mm512_set1_epi8((int8_t)a); }
/* In each part of 16 bytes the numbers of a, b, c and d, plus zero, clamped to [0, 255]. */
static inline VI vi_any_bytes(VI a, VI b, VI c, VI d, VI zero)
{
    VI ab = _mm512_adds_epi16(_mm512_packs_epi32(a, b), zero), cd = _mm512_adds_epi16(_mm512_packs_epi32(c, d), zero);
    return _mm512_packus_epi16(ab, cd);
}
/* The same, clamped to [low, high]. */
static inline VI vi_mixed_bytes(VI a, VI b, VI c, VI d, VI zero, VI low, VI high)
{ return _mm512_min_epu8(_mm512_max_epu8(vi_any_bytes(a, b, c, d, zero), low), high); }
/* Those of a, then of b, c and d. */
static inline VI vi_sorted_bytes(VI mixed)
{
    return _mm512_permutexvar_epi32(_mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), mixed);
}
/* VL bytes of part e; with two, of e and the next. */
RT_INLINE void vi_store_part(uint8_t *p, VI bytes, const int e, const int two)
{
    if (two) _mm256_storeu_si256((__m256i *)(void *)p, e ? _mm512_extracti64x4_epi64(bytes, 1)
                                                         : _mm512_castsi512_si256(bytes));
    else if (e == 0) _mm_storeu_si128((__m128i *)(void *)p, _mm512_castsi512_si128(bytes));
    else if (e == 1) _mm_storeu_si128((__m128i *)(void *)p, _mm512_extracti32x4_epi32(bytes, 1));
    else if (e == 2) _mm_storeu_si128((__m128i *)(void *)p, _mm512_extracti32x4_epi32(bytes, 2));
    else _mm_storeu_si128((__m128i *)(void *)p, _mm512_extracti32x4_epi32(bytes, 3));
}
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
#define vi_sra(a, k) _mm256_srai_epi32(a, k)
static inline VI vi_add16(VI a, VI b) { return _mm256_add_epi16(a, b); }
static inline VI vi_sub16(VI a, VI b) { return _mm256_sub_epi16(a, b); }
#define vi_shl16(a, k) _mm256_slli_epi16(a, k)
static inline VI vi_bytes16(const uint8_t *p, ptrdiff_t next)
{ return (void)next, _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)p)); }
static inline void vi_store16(int16_t *p, int16_t *q, VI a) { (void)q, _mm256_storeu_si256((__m256i *)(void *)p, a); }
static inline VI vi_and(VI a, VI b) { return _mm256_and_si256(a, b); }
static inline VI vi_least(VI a, VI b) { return _mm256_min_epi32(a, b); }
static inline VI vi_most(VI a, VI b) { return _mm256_max_epi32(a, b); }
static inline int vi_any_upto(VI a, int most)
{ return _mm256_movemask_epi8(_mm256_cmpgt_epi32(vi_set1(most + 1), a)) != 0; }
static inline VI vi_bytes(const uint8_t *p) { return _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p)); }
static inline VF vf_set1(float a) { return _mm256_set1_ps(a); }
static inline VF vf_load(const float *p) { return _mm256_loadu_ps(p); }
/* n of them, below VL; zeros behind. */
static inline VF vf_load_some(const float *p, int n)
{
    static const int32_t bits[2 * VL] = {-1, -1, -1, -1, -1, -1, -1, -1};
    return _mm256_maskload_ps(p, _mm256_loadu_si256((const __m256i *)(const void *)(bits + VL - n)));
}
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
static inline VI vi_set16(int a) { return _mm256_set1_epi16((int16_t)a); }
static inline VI vi_set8(int a) { return _mm256_set1_epi8((int8_t)a); }
/* In each part of 16 bytes the numbers of a, b, c and d, plus zero, clamped to [0, 255]. */
static inline VI vi_any_bytes(VI a, VI b, VI c, VI d, VI zero)
{
    VI ab = _mm256_adds_epi16(_mm256_packs_epi32(a, b), zero), cd = _mm256_adds_epi16(_mm256_packs_epi32(c, d), zero);
    return _mm256_packus_epi16(ab, cd);
}
/* The same, clamped to [low, high]. */
static inline VI vi_mixed_bytes(VI a, VI b, VI c, VI d, VI zero, VI low, VI high)
{ return _mm256_min_epu8(_mm256_max_epu8(vi_any_bytes(a, b, c, d, zero), low), high); }
/* Those of a, then of b, c and d. */
static inline VI vi_sorted_bytes(VI mixed)
{ return _mm256_permutevar8x32_epi32(mixed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7)); }
/* VL bytes of part e; with two, of e and the next. */
RT_INLINE void vi_store_part(uint8_t *p, VI bytes, const int e, const int two)
{
    __m128i half = e < 2 ? _mm256_castsi256_si128(bytes) : _mm256_extracti128_si256(bytes, 1);
    if (two) _mm_storeu_si128((__m128i *)(void *)p, half);
    else if (e % 2 == 0) _mm_storel_epi64((__m128i *)(void *)p, half);
    else _mm_storeh_pi((__m64 *)(void *)p, _mm_castsi128_ps(half));
}
#if defined(RT_INT_AVXVNNI)
static inline VI vi_dot(VI acc, VI x, VI w) { return _mm256_dpbusd_avx_epi32(acc, x, w); }
static inline VI vi_dot16(VI acc, VI x, VI w) { return _mm256_dpwssd_avx_epi32(acc, x, w); }
#else
/* Sums of two products in 16 bits, and of four in 32: exact where no pair's sum leaves 16 bits. */
static inline VI vi_pairs(VI x, VI w) { return _mm256_maddubs_epi16(x, w); }
static inline VI vi_xor(VI a, VI b) { return _mm256_xor_si256(a, b); }
static inline VI vi_widen(VI pairs) { return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)); }
static inline VI vi_dot(VI acc, VI x, VI w) { return vi_add(acc, vi_widen(vi_pairs(x, w))); }
/* Two products of 16 bits. */
static inline VI vi_dot16(VI acc, VI x, VI w) { return vi_add(acc, _mm256_madd_epi16(x, w)); }
#endif
#endif

/* acc as the number of a byte, less its zero point: what sat and rne of the contract give; any acc is let through. */
static inline VI vi_requantize(VI acc, VF m, VF low, VF high)
{ return vi_round(vf_min(vf_max(vf_mul(vf_of(acc), m), low), high)); }
/* The same before it is clamped, which vi_mixed_bytes does; of a factor from FLAT on what no int holds would become the
 * least one. */
#define FLAT 1.0f
static inline VI vi_scaled(VI acc, VF m) { return vi_round(vf_mul(vf_of(acc), m)); }
static inline int is_flat(const float *m, int n)
{
    for (int c = 0; c < n; c++) if (!(m[c] < FLAT)) return 0;
    return 1;
}

/* What vi_mixed_bytes takes. */
typedef struct { VI zero, low, high; } ends;
static inline ends ends_of(const rt_int_range *r)
{
    return (ends){vi_set16(r->zero), vi_set8(r->low), vi_set8(r->high)};
}
#endif
