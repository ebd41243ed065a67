/* engine/int/int_amx_int8.c - AVX-512 VNNI with matrix units; compiled with its flags and -mamx-tile -mamx-int8. */
#define RT_INT_AVX512
#define RT_INT_AMX
#define RT_INT_NAME "amx_int8"
#define RT_INT_SYMBOL rt_int_family_amx_int8
#include "engine/int/int_simd.h"

#include "engine/int/int_depthwise.inc"
#include "engine/int/int_conv.inc"

#include "engine/int/int_amx.inc"
#include "engine/int/int_winograd.inc"
#include "engine/int/int_elements.inc"
