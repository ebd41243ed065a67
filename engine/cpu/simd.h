/* engine/cpu/simd.h - the few vector operations that the convolution templates need, per instruction set; without one,
 * a vector is one float. avx2.c and avx512.c are compiled with the flags of their set. */
#ifndef RT_ENGINE_CPU_SIMD_H
#define RT_ENGINE_CPU_SIMD_H

#include <stdint.h>
#include <string.h>

#include "engine/kernels.h"

#if defined(RT_SIMD_AVX512)
#include <immintrin.h>
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
static inline V v_sub(V a, V b) { return _mm512_sub_ps(a, b); }
static inline V v_mul(V a, V b) { return _mm512_mul_ps(a, b); }
static inline V v_div(V a, V b) { return _mm512_div_ps(a, b); }
static inline V v_max(V a, V b) { return _mm512_max_ps(a, b); }
static inline V v_min(V a, V b) { return _mm512_min_ps(a, b); }
/* Lane i at p[i * stride], i * stride below 2^31. */
static inline __m512i v_strided(int stride)
{
    return _mm512_mullo_epi32(_mm512_set1_epi32(stride),
                              _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
}
static inline V v_gatherm(const float *p, int stride, VM m)
{ return _mm512_mask_i32gather_ps(v_zero(), m, v_strided(stride), p, 4); }
static inline void v_scatterm(float *p, int stride, V a, VM m)
{ _mm512_mask_i32scatter_ps(p, m, v_strided(stride), a, 4); }
/* Max pooling: b where q is greater or NaN, with the index that goes with it; indices are bytes in memory. */
typedef __m512i VI;
static inline VI vi_set1(int i) { return _mm512_set1_epi32(i); }
static inline VI vi_load_u8(const uint8_t *p) { return _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p)); }
static inline VI vi_load_u8m(const uint8_t *p, VM m) { return _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(m, p)); }
static inline void vi_store_u8(uint8_t *p, VI i) { _mm_storeu_si128((__m128i *)p, _mm512_cvtepi32_epi8(i)); }
static inline void vi_store_u8m(uint8_t *p, VI i, VM m) { _mm_mask_storeu_epi8(p, m, _mm512_cvtepi32_epi8(i)); }
static inline void v_take_max(V *best, VI *at, V q, VI id)
{
    __mmask16 m = _mm512_cmp_ps_mask(q, *best, _CMP_GT_OQ) | _mm512_cmp_ps_mask(q, q, _CMP_UNORD_Q);
    *best = _mm512_mask_mov_ps(*best, m, q);
    *at = _mm512_mask_mov_epi32(*at, m, id);
}
/* The same without place: NaN are gathered in nan, which begins as 0, and put over the rest by v_or_nan. */
static inline void v_take_greater(V *best, V *nan, V q)
{
    *best = _mm512_max_ps(q, *best);
    *nan = _mm512_mask_mov_ps(*nan, _mm512_cmp_ps_mask(q, q, _CMP_UNORD_Q), q);
}
static inline V v_or_nan(V best, V nan)
{ return _mm512_castsi512_ps(_mm512_or_si512(_mm512_castps_si512(best), _mm512_castps_si512(nan))); }
static inline V v_where_equal(VI a, VI b, V x) { return _mm512_maskz_mov_ps(_mm512_cmpeq_epi32_mask(a, b), x); }
static inline V v_where_greater(V a, V b, V x)
{ return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(a, b, _CMP_GT_OQ), x); }
/* The square whose rows are r, transposed. */
static inline void v_transpose(V r[VL])
{
    V t[VL];
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
    }
    for (int i = 0; i < 16; i += 4)
        for (int j = 0; j < 2; j++) {
            r[i + 2 * j] = _mm512_castpd_ps(
                _mm512_unpacklo_pd(_mm512_castps_pd(t[i + j]), _mm512_castps_pd(t[i + j + 2])));
            r[i + 2 * j + 1] = _mm512_castpd_ps(
                _mm512_unpackhi_pd(_mm512_castps_pd(t[i + j]), _mm512_castps_pd(t[i + j + 2])));
        }
    for (int i = 0; i < 16; i += 8)
        for (int j = 0; j < 4; j++) {
            t[i + j] = _mm512_shuffle_f32x4(r[i + j], r[i + j + 4], 0x88);
            t[i + j + 4] = _mm512_shuffle_f32x4(r[i + j], r[i + j + 4], 0xdd);
        }
    for (int j = 0; j < 8; j++) {
        r[j] = _mm512_shuffle_f32x4(t[j], t[j + 8], 0x88);
        r[j + 8] = _mm512_shuffle_f32x4(t[j], t[j + 8], 0xdd);
    }
}
#elif defined(RT_SIMD_AVX2)
#include <immintrin.h>
typedef __m256 V;
typedef struct { __m256i lanes; int n; } VM;
enum { VL = 8, ACC_MAX = 12, NV_MAX = 2 };
static inline VM v_mask(int n)
{
    return (VM){_mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)), n};
}
static inline V v_zero(void) { return _mm256_setzero_ps(); }
static inline V v_set1(float a) { return _mm256_set1_ps(a); }
static inline V v_load(const float *p) { return _mm256_loadu_ps(p); }
static inline V v_loadm(const float *p, VM m) { return _mm256_maskload_ps(p, m.lanes); }
static inline void v_store(float *p, V a) { _mm256_storeu_ps(p, a); }
/* Not by maskstore: AMD's processors take 12 cycles for one, and loads that follow cannot be served from it. */
static inline void v_storem(float *p, V a, VM m)
{
    __m128 part = _mm256_castps256_ps128(a);
    if (m.n >= VL) {
        v_store(p, a);
        return;
    }
    if (m.n & 4) {
        _mm_storeu_ps(p, part);
        part = _mm256_extractf128_ps(a, 1);
        p += 4;
    }
    if (m.n & 2) {
        _mm_storel_pi((__m64 *)p, part);
        part = _mm_movehl_ps(part, part);
        p += 2;
    }
    if (m.n & 1) _mm_store_ss(p, part);
}
static inline V v_fma(V a, V b, V c) { return _mm256_fmadd_ps(a, b, c); }
static inline V v_add(V a, V b) { return _mm256_add_ps(a, b); }
static inline V v_sub(V a, V b) { return _mm256_sub_ps(a, b); }
static inline V v_mul(V a, V b) { return _mm256_mul_ps(a, b); }
static inline V v_div(V a, V b) { return _mm256_div_ps(a, b); }
static inline V v_max(V a, V b) { return _mm256_max_ps(a, b); }
static inline V v_min(V a, V b) { return _mm256_min_ps(a, b); }
static inline V v_gatherm(const float *p, int stride, VM m)
{
    __m256i at = _mm256_mullo_epi32(_mm256_set1_epi32(stride), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
    return _mm256_mask_i32gather_ps(v_zero(), p, at, _mm256_castsi256_ps(m.lanes), 4);
}
typedef __m256i VI;
static inline VI vi_set1(int i) { return _mm256_set1_epi32(i); }
static inline VI vi_load_u8(const uint8_t *p) { return _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p)); }
static inline __m128i vi_bytes(VI i)
{
    __m128i w = _mm_packus_epi32(_mm256_castsi256_si128(i), _mm256_extracti128_si256(i, 1));
    return _mm_packus_epi16(w, w);
}
static inline void vi_store_u8(uint8_t *p, VI i) { _mm_storel_epi64((__m128i *)p, vi_bytes(i)); }
/* The first 1 to 7 bytes, in parts. */
static inline VI vi_load_u8m(const uint8_t *p, VM m)
{
    uint64_t bytes = 0;
    uint32_t four = 0;
    uint16_t two = 0;
    if (m.n & 1) bytes = p[m.n & 6];
    if (m.n & 2) {
        memcpy(&two, p + (m.n & 4), 2);
        bytes = bytes << 16 | two;
    }
    if (m.n & 4) {
        memcpy(&four, p, 4);
        bytes = bytes << 32 | four;
    }
    return _mm256_cvtepu8_epi32(_mm_cvtsi64_si128((long long)bytes));
}
static inline void vi_store_u8m(uint8_t *p, VI i, VM m)
{
    uint64_t bytes = (uint64_t)_mm_cvtsi128_si64(vi_bytes(i));
    if (m.n & 4) {
        memcpy(p, &bytes, 4);
        bytes >>= 32;
        p += 4;
    }
    if (m.n & 2) {
        memcpy(p, &bytes, 2);
        bytes >>= 16;
        p += 2;
    }
    if (m.n & 1) *p = (uint8_t)bytes;
}
static inline void v_take_max(V *best, VI *at, V q, VI id)
{
    V m = _mm256_or_ps(_mm256_cmp_ps(q, *best, _CMP_GT_OQ), _mm256_cmp_ps(q, q, _CMP_UNORD_Q));
    *best = _mm256_blendv_ps(*best, q, m);
    *at = _mm256_blendv_epi8(*at, id, _mm256_castps_si256(m));
}
/* The same without place: NaN are gathered in nan, which begins as 0, and put over the rest by v_or_nan. */
static inline void v_take_greater(V *best, V *nan, V q)
{
    *best = _mm256_max_ps(q, *best);
    *nan = _mm256_or_ps(*nan, _mm256_cmp_ps(q, q, _CMP_UNORD_Q));
}
static inline V v_or_nan(V best, V nan) { return _mm256_or_ps(best, nan); }
static inline V v_where_equal(VI a, VI b, V x)
{ return _mm256_and_ps(_mm256_castsi256_ps(_mm256_cmpeq_epi32(a, b)), x); }
static inline V v_where_greater(V a, V b, V x) { return _mm256_and_ps(_mm256_cmp_ps(a, b, _CMP_GT_OQ), x); }
/* The square whose rows are r, transposed. */
static inline void v_transpose(V r[VL])
{
    V t[VL];
    for (int i = 0; i < 8; i += 4)
        for (int j = 0; j < 4; j += 2) {
            V a = _mm256_unpacklo_ps(r[i + j], r[i + j + 1]), b = _mm256_unpackhi_ps(r[i + j], r[i + j + 1]);
            t[i + j] = a;
            t[i + j + 1] = b;
        }
    for (int i = 0; i < 8; i += 4) {
        r[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
        r[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
        r[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
        r[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
    }
    for (int i = 0; i < 4; i++) {
        t[i] = _mm256_permute2f128_ps(r[i], r[i + 4], 0x20);
        t[i + 4] = _mm256_permute2f128_ps(r[i], r[i + 4], 0x31);
    }
    for (int i = 0; i < 8; i++) r[i] = t[i];
}
#else
typedef float V;
typedef int VM;
enum { VL = 1 };
static inline VM v_mask(int n) { return n; }
static inline V v_zero(void) { return 0.0f; }
static inline V v_set1(float a) { return a; }
static inline V v_load(const float *p) { return *p; }
static inline V v_loadm(const float *p, VM m) { return m > 0 ? *p : 0.0f; }
static inline void v_store(float *p, V a) { *p = a; }
static inline void v_storem(float *p, V a, VM m) { if (m > 0) *p = a; }
static inline V v_fma(V a, V b, V c) { return a * b + c; }
static inline V v_add(V a, V b) { return a + b; }
static inline V v_sub(V a, V b) { return a - b; }
static inline V v_mul(V a, V b) { return a * b; }
static inline V v_div(V a, V b) { return a / b; }
static inline V v_max(V a, V b) { return a > b ? a : b; }
static inline V v_min(V a, V b) { return a < b ? a : b; }
#endif

/* a b + c of one float, in loops that the compiler vectorizes: fused where the family has the instruction. */
#if defined(RT_SIMD_AVX512) || defined(RT_SIMD_AVX2)
static inline float fma_1(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
#else
static inline float fma_1(float a, float b, float c) { return a * b + c; }
#endif

static inline V act_v(V a, rt_act act)
{
    if (act == RT_ACT_RELU || act == RT_ACT_RELU6) a = v_max(v_zero(), a);     /* in this order NaN stays NaN */
    if (act == RT_ACT_RELU6) a = v_min(v_set1(6.0f), a);
    return a;
}

/* *acc += a b, in the register where it is: compilers take turns of registers, and then have too few. */
#if defined(RT_SIMD_AVX512) || defined(RT_SIMD_AVX2)
static inline void v_fma_to(V *acc, V a, V b) { __asm__("vfmadd231ps %2, %1, %0" : "+v"(*acc) : "v"(a), "v"(b)); }
#endif

/* Keeps the compiler from turning one stride register into many pointers. */
#define RT_OPAQUE(x) __asm__("" : "+r"(x))
#define RT_INLINE static inline __attribute__((always_inline))
#endif
