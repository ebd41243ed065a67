/* engine/cpu/avx2.c - the AVX2 + FMA family; compiled with -mavx2 -mfma -mf16c. */
#define RT_SIMD_AVX2
#include "engine/cpu/family.h"
#include "engine/cpu/simd.h"

#include "engine/cpu/conv_simd.inc"
#include "engine/cpu/depthwise.inc"
#include "engine/cpu/panels.inc"
#include "engine/cpu/winograd.inc"
#define RT_FAMILY_NAME "avx2"
#define RT_FAMILY_VECTOR 8
#define RT_FAMILY_SYMBOL rt_family_avx2
#include "engine/cpu/elementwise.inc"
