/* tests/engine/emulated_avx512.h - the instructions of AVX-512 VNNI that the templates of integer kernels use, in plain
 * C, from Intel's description of each (Intrinsics Guide). In place of immintrin.h. */
#ifndef RT_TESTS_ENGINE_EMULATED_AVX512_H
#define RT_TESTS_ENGINE_EMULATED_AVX512_H

#define RT_INT_EMULATED
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef union { uint8_t b[16]; } __m128i;
typedef union { uint8_t b[32]; } __m256i;
typedef union { int32_t i[16]; uint8_t u[64]; int8_t s[64]; int16_t h[32]; uint16_t w[32]; } __m512i;
typedef struct { float f[16]; } __m512;

#define EACH(n) for (int k = 0; k < (n); k++)
#define I(name, args, each) static __m512i name args { __m512i r; EACH(16) { r.i[k] = each; } return r; }
#define F(name, args, each) static __m512 name args { __m512 r; EACH(16) { r.f[k] = each; } return r; }
I(_mm512_setzero_si512, (void), 0)
I(_mm512_set1_epi32, (int32_t a), a)
I(_mm512_add_epi32, (__m512i a, __m512i b), (int32_t)((uint32_t)a.i[k] + (uint32_t)b.i[k]))
I(_mm512_sub_epi32, (__m512i a, __m512i b), (int32_t)((uint32_t)a.i[k] - (uint32_t)b.i[k]))
I(_mm512_mullo_epi32, (__m512i a, __m512i b), (int32_t)((uint32_t)a.i[k] * (uint32_t)b.i[k]))
I(_mm512_cvtepu8_epi32, (__m128i a), a.b[k])
I(_mm512_cvtps_epi32, (__m512 a), a.f[k] >= -0x1p31f && a.f[k] < 0x1p31f ? (int32_t)lrintf(a.f[k]) : INT32_MIN)
I(_mm512_dpbusd_epi32, (__m512i acc, __m512i x, __m512i w),
  (int32_t)((uint32_t)acc.i[k] + (uint32_t)(x.u[4 * k] * w.s[4 * k] + x.u[4 * k + 1] * w.s[4 * k + 1] +
                                            x.u[4 * k + 2] * w.s[4 * k + 2] + x.u[4 * k + 3] * w.s[4 * k + 3])))
I(_mm512_dpwssd_epi32, (__m512i acc, __m512i x, __m512i w),
  (int32_t)((uint32_t)acc.i[k] + (uint32_t)(x.h[2 * k] * w.h[2 * k]) + (uint32_t)(x.h[2 * k + 1] * w.h[2 * k + 1])))
I(_mm512_srai_epi32, (__m512i a, int by), a.i[k] < 0 ? (int32_t)~(~(uint32_t)a.i[k] >> by) : a.i[k] >> by)
F(_mm512_set1_ps, (float a), a)
F(_mm512_cvtepi32_ps, (__m512i a), (float)a.i[k])
F(_mm512_mul_ps, (__m512 a, __m512 b), a.f[k] * b.f[k])
F(_mm512_div_ps, (__m512 a, __m512 b), a.f[k] / b.f[k])
F(_mm512_fmadd_ps, (__m512 a, __m512 b, __m512 c), fmaf(a.f[k], b.f[k], c.f[k]))
F(_mm512_max_ps, (__m512 a, __m512 b), a.f[k] > b.f[k] ? a.f[k] : b.f[k])
F(_mm512_min_ps, (__m512 a, __m512 b), a.f[k] < b.f[k] ? a.f[k] : b.f[k])

#define MOVE(name, type, args, to, from) static type name args { type r; memcpy(to, from, sizeof r); return r; }
MOVE(_mm512_loadu_si512, __m512i, (const void *p), &r, p)
MOVE(_mm512_loadu_ps, __m512, (const float *p), &r, p)
MOVE(_mm_loadu_si128, __m128i, (const __m128i *p), &r, p)
static void _mm512_storeu_si512(void *p, __m512i a) { memcpy(p, &a, sizeof a); }
static void _mm512_storeu_ps(float *p, __m512 a) { memcpy(p, &a, sizeof a); }
static void _mm_storeu_si128(__m128i *p, __m128i a) { memcpy(p, &a, sizeof a); }
static void _mm512_mask_storeu_epi8(void *p, uint64_t m, __m512i a)
{
    EACH(64) if (m >> k & 1)((uint8_t *)p)[k] = a.u[k];
}
static __m128i _mm512_cvtepi32_epi8(__m512i a) { __m128i r; EACH(16) r.b[k] = (uint8_t)a.i[k]; return r; }
static __m128i _mm_max_epu8(__m128i a, __m128i b) { EACH(16) a.b[k] = a.b[k] > b.b[k] ? a.b[k] : b.b[k]; return a; }

/* In each of four parts of 16 bytes. */
static __m512i unpack(__m512i a, __m512i b, int size, int at)
{
    __m512i r;
    EACH(64) {
        int part = k / 16 * 16, pair = k % 16 / (2 * size), byte = k % size;
        r.u[k] = (k / size % 2 ? b : a).u[part + at + pair * size + byte];
    }
    return r;
}
static __m512i _mm512_unpacklo_epi8(__m512i a, __m512i b) { return unpack(a, b, 1, 0); }
static __m512i _mm512_unpackhi_epi8(__m512i a, __m512i b) { return unpack(a, b, 1, 8); }
static __m512i _mm512_unpacklo_epi16(__m512i a, __m512i b) { return unpack(a, b, 2, 0); }
static __m512i _mm512_unpackhi_epi16(__m512i a, __m512i b) { return unpack(a, b, 2, 8); }
static int between(int v, int low, int high) { return v < low ? low : v > high ? high : v; }
static __m512i _mm512_packs_epi32(__m512i a, __m512i b)
{
    __m512i r;
    EACH(32) r.h[k] = (int16_t)between((k % 8 < 4 ? a : b).i[k / 8 * 4 + k % 4], -32768, 32767);
    return r;
}
static __m512i _mm512_packus_epi16(__m512i a, __m512i b)
{
    __m512i r;
    EACH(64) r.u[k] = (uint8_t)between((k % 16 < 8 ? a : b).h[k / 16 * 8 + k % 8], 0, 255);
    return r;
}
static __m512i _mm512_set1_epi16(int16_t a) { __m512i r; EACH(32) r.h[k] = a; return r; }
static __m512i _mm512_set1_epi8(int8_t a) { __m512i r; EACH(64) r.s[k] = a; return r; }
static __m512i _mm512_adds_epi16(__m512i a, __m512i b)
{
    EACH(32) a.h[k] = (int16_t)between(a.h[k] + b.h[k], -32768, 32767);
    return a;
}
static __m512i _mm512_max_epu8(__m512i a, __m512i b) { EACH(64) a.u[k] = a.u[k] > b.u[k] ? a.u[k] : b.u[k]; return a; }
static __m512i _mm512_min_epu8(__m512i a, __m512i b) { EACH(64) a.u[k] = a.u[k] < b.u[k] ? a.u[k] : b.u[k]; return a; }
static __m512i _mm512_setr_epi32(int a0, int a1, int a2, int a3, int a4, int a5, int a6, int a7, int a8, int a9,
                                 int a10, int a11, int a12, int a13, int a14, int a15)
{ return (__m512i){.i = {a0, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15}}; }
I(_mm512_permutexvar_epi32, (__m512i at, __m512i a), a.i[at.i[k] & 15])
static __m256i _mm512_extracti64x4_epi64(__m512i a, int part)
{
    __m256i r;
    EACH(32) r.b[k] = a.u[32 * part + k];
    return r;
}
static __m128i _mm512_extracti32x4_epi32(__m512i a, int part)
{
    __m128i r;
    EACH(16) r.b[k] = a.u[16 * part + k];
    return r;
}
static __m256i _mm512_castsi512_si256(__m512i a) { return _mm512_extracti64x4_epi64(a, 0); }
static __m128i _mm512_castsi512_si128(__m512i a) { return _mm512_extracti32x4_epi32(a, 0); }
static void _mm256_storeu_si256(void *p, __m256i a) { memcpy(p, &a, sizeof a); }
static __m512i _mm512_cvtepu8_epi16(__m256i a) { __m512i r; EACH(32) r.w[k] = a.b[k]; return r; }
static __m512i _mm512_add_epi16(__m512i a, __m512i b) { EACH(32) a.w[k] = (uint16_t)(a.w[k] + b.w[k]); return a; }
static __m512i _mm512_sub_epi16(__m512i a, __m512i b) { EACH(32) a.w[k] = (uint16_t)(a.w[k] - b.w[k]); return a; }
static __m512i _mm512_slli_epi16(__m512i a, int by) { EACH(32) a.w[k] = (uint16_t)(a.w[k] << by); return a; }
static __m256i _mm256_castsi128_si256(__m128i a) { __m256i r = {{0}}; memcpy(&r, &a, sizeof a); return r; }
static __m256i _mm256_inserti128_si256(__m256i a, __m128i b, int at) { memcpy(a.b + 16 * at, &b, sizeof b); return a; }
typedef uint16_t __mmask16;
F(_mm512_maskz_loadu_ps, (uint16_t m, const float *p), m >> k & 1 ? p[k] : 0)
I(_mm512_and_si512, (__m512i a, __m512i b), a.i[k] & b.i[k])
I(_mm512_max_epi32, (__m512i a, __m512i b), a.i[k] > b.i[k] ? a.i[k] : b.i[k])
I(_mm512_min_epi32, (__m512i a, __m512i b), a.i[k] < b.i[k] ? a.i[k] : b.i[k])
static uint16_t _mm512_cmple_epi32_mask(__m512i a, __m512i b)
{
    unsigned m = 0;
    EACH(16) m |= (unsigned)(a.i[k] <= b.i[k]) << k;
    return (uint16_t)m;
}
#endif
