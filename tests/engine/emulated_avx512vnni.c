/* The template of AVX-512 VNNI with its instructions in plain C. */
#include "tests/engine/emulated_avx512.h"

#define RT_INT_AVX512
#define RT_INT_NAME "avx512vnni (emulated)"
#define RT_INT_SYMBOL emulated_avx512vnni
#include "tests/engine/emulated.h"

#include "engine/int/int_simd.h"

#include "engine/int/int_depthwise.inc"
#include "engine/int/int_conv.inc"
#include "engine/int/int_winograd.inc"
#include "engine/int/int_elements.inc"
