/* engine/int/int_avx2.c - AVX2 without VNNI; compiled with -mavx2 -mfma. */
#define RT_INT_NAME "avx2"
#define RT_INT_SYMBOL rt_int_family_avx2
#include "engine/int/int_simd.h"

#include "engine/int/int_depthwise.inc"
#include "engine/int/int_conv.inc"

#include "engine/int/int_winograd.inc"
#include "engine/int/int_elements.inc"
