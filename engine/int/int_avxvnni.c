/* engine/int/int_avxvnni.c - AVX-VNNI on 256 bits; compiled with -mavx2 -mfma -mavxvnni. */
#define RT_INT_AVXVNNI
#define RT_INT_NAME "avxvnni"
#define RT_INT_SYMBOL rt_int_family_avxvnni
#include "engine/int/int_simd.h"

#include "engine/int/int_depthwise.inc"
#include "engine/int/int_conv.inc"
#include "engine/int/int_winograd.inc"
#include "engine/int/int_elements.inc"
