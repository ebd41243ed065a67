/* The template of AVX-VNNI on AVX2, with the two instructions beyond it in plain C. */
#include <immintrin.h>
#include <stdint.h>

static __attribute__((noinline)) __m256i plain_dpbusd(__m256i acc, __m256i x, __m256i w)
{
    union { __m256i v; int32_t i[8]; uint8_t u[32]; int8_t s[32]; } a = {acc}, b = {x}, c = {w};
    for (int k = 0; k < 8; k++) {
        int sum = 0;
        for (int j = 0; j < 4; j++) sum += b.u[4 * k + j] * c.s[4 * k + j];
        a.i[k] = (int32_t)((uint32_t)a.i[k] + (uint32_t)sum);
    }
    return a.v;
}

static __attribute__((noinline)) __m256i plain_dpwssd(__m256i acc, __m256i x, __m256i w)
{
    union { __m256i v; int32_t i[8]; int16_t h[16]; } a = {acc}, b = {x}, c = {w};
    for (int k = 0; k < 8; k++)
        for (int j = 0; j < 2; j++)
            a.i[k] = (int32_t)((uint32_t)a.i[k] + (uint32_t)(b.h[2 * k + j] * c.h[2 * k + j]));
    return a.v;
}

#define _mm256_dpbusd_avx_epi32 plain_dpbusd
#define _mm256_dpwssd_avx_epi32 plain_dpwssd
#define RT_INT_AVXVNNI
#define RT_INT_NAME "avxvnni (emulated)"
#define RT_INT_SYMBOL emulated_avxvnni
#include "tests/engine/emulated.h"

#include "engine/int/int_simd.h"

#include "engine/int/int_depthwise.inc"
#include "engine/int/int_conv.inc"
#include "engine/int/int_winograd.inc"
#include "engine/int/int_elements.inc"
