/* engine/int/int_avx512vnni.c - AVX-512 VNNI; compiled with -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni
 * -mfma. */
#define RT_INT_AVX512
#define RT_INT_NAME "avx512vnni"
#define RT_INT_SYMBOL rt_int_family_avx512vnni
#include "engine/int/int_simd.h"

#include "engine/int/int_depthwise.inc"
#include "engine/int/int_conv.inc"
#include "engine/int/int_winograd.inc"
#include "engine/int/int_elements.inc"
