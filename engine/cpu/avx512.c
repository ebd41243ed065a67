/* engine/cpu/avx512.c - the AVX-512 family; compiled with -mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma -mf16c. */
#define RT_SIMD_AVX512
#include "engine/cpu/family.h"
#include "engine/cpu/simd.h"

#include "engine/cpu/conv_simd.inc"
#include "engine/cpu/depthwise.inc"
#include "engine/cpu/panels.inc"
#include "engine/cpu/winograd.inc"
#define RT_FAMILY_NAME "avx512"
#define RT_FAMILY_VECTOR 16
#define RT_FAMILY_SYMBOL rt_family_avx512
#include "engine/cpu/elementwise.inc"

#if defined(RT_AMX)
/* The same with products on matrix units. */
const rt_kernels rt_family_amx = {.name = "amx",
                                  .vector = RT_FAMILY_VECTOR,
                                  RT_FAMILY_KERNELS.product = rt_amx_product,
                                  .product_bytes = rt_amx_product_bytes,
                                  .product_pack = rt_amx_product_pack,
                                  .product_dw = rt_amx_product_dw};
#endif
