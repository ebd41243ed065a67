/* tests/export/emulated_lanes.h - the instructions beyond AVX2 that exported C uses in its forms 3 and 4, in plain C,
 * for processors that lack them: compiled with -include, -mavx2 and -DNET_FORM=3 or 4. */
#ifndef RT_TESTS_EXPORT_EMULATED_LANES_H
#define RT_TESTS_EXPORT_EMULATED_LANES_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

typedef union { int32_t i[16]; uint8_t u[64]; int8_t s[64]; } e_ints;
typedef struct { float f[16]; } e_floats;

#define EMULATED static __attribute__((unused))
#define EACH(n) for (int k = 0; k < (n); k++)
#define INTS(name, args, each) EMULATED e_ints name args { e_ints r; EACH(16) { r.i[k] = each; } return r; }
#define FLOATS(name, args, each) EMULATED e_floats name args { e_floats r; EACH(16) { r.f[k] = each; } return r; }

EMULATED int32_t e_four(int32_t acc, const uint8_t *x, const int8_t *w)
{
    return (int32_t)((uint32_t)acc + (uint32_t)(x[0] * w[0] + x[1] * w[1] + x[2] * w[2] + x[3] * w[3]));
}
INTS(e_zero, (void), 0)
INTS(e_set1, (int32_t a), a)
INTS(e_add, (e_ints a, e_ints b), (int32_t)((uint32_t)a.i[k] + (uint32_t)b.i[k]))
INTS(e_round, (e_floats a), _mm_cvtss_si32(_mm_set_ss(a.f[k])))
INTS(e_dot, (e_ints acc, e_ints x, e_ints w), e_four(acc.i[k], x.u + 4 * k, w.s + 4 * k))
FLOATS(e_set1_ps, (float a), a)
FLOATS(e_float, (e_ints a), (float)a.i[k])
FLOATS(e_mul, (e_floats a, e_floats b), a.f[k] * b.f[k])
FLOATS(e_max, (e_floats a, e_floats b), a.f[k] > b.f[k] ? a.f[k] : b.f[k])
FLOATS(e_min, (e_floats a, e_floats b), a.f[k] < b.f[k] ? a.f[k] : b.f[k])
EMULATED e_ints e_load(const void *p) { e_ints r; memcpy(&r, p, sizeof r); return r; }
EMULATED e_floats e_load_ps(const float *p) { e_floats r; memcpy(&r, p, sizeof r); return r; }
EMULATED void e_store_ps(float *p, __mmask16 m, e_floats a) { EACH(16) if (m >> k & 1) p[k] = a.f[k]; }
EMULATED void e_store_bytes(uint8_t *p, __mmask16 m, e_ints a) { EACH(16) if (m >> k & 1) p[k] = a.u[4 * k]; }
EMULATED e_ints e_halves(__m256i a, __m256i b)
{
    e_ints r;
    memcpy(r.u, &a, 32);
    memcpy(r.u + 32, &b, 32);
    return r;
}
EMULATED __m256i e_dot_256(__m256i acc, __m256i x, __m256i w)
{
    int32_t a[8];
    uint8_t u[32];
    int8_t s[32];
    memcpy(a, &acc, 32);
    memcpy(u, &x, 32);
    memcpy(s, &w, 32);
    EACH(8) a[k] = e_four(a[k], u + 4 * k, s + 4 * k);
    memcpy(&acc, a, 32);
    return acc;
}

#define _mm256_dpbusd_avx_epi32 e_dot_256
#define __m512i e_ints
#define __m512 e_floats
#define _mm512_setzero_si512 e_zero
#define _mm512_set1_epi32 e_set1
#define _mm512_add_epi32 e_add
#define _mm512_cvtps_epi32 e_round
#define _mm512_dpbusd_epi32 e_dot
#define _mm512_set1_ps e_set1_ps
#define _mm512_cvtepi32_ps e_float
#define _mm512_mul_ps e_mul
#define _mm512_max_ps e_max
#define _mm512_min_ps e_min
#define _mm512_loadu_si512 e_load
#define _mm512_loadu_ps e_load_ps
#define _mm512_mask_storeu_ps e_store_ps
#define _mm512_cvtepi32_epi8(a) (a)
#define _mm_mask_storeu_epi8 e_store_bytes
#define _mm512_castsi256_si512(a) (a)
#define _mm512_inserti64x4(a, b, at) e_halves(a, b)
#endif
