/* engine/cpu/family.h - what the CPU kernel families share: their tables and peak loops. */
#ifndef RT_ENGINE_CPU_FAMILY_H
#define RT_ENGINE_CPU_FAMILY_H

#include "engine/kernels.h"

/* The iterations of the loop that follows do not depend on each other. */
#if defined(__clang__)
#define RT_IVDEP _Pragma("clang loop vectorize(assume_safety)")
#else
#define RT_IVDEP _Pragma("GCC ivdep")
#endif

extern const rt_kernels rt_family_scalar;
extern double rt_family_scalar_peak(long rounds);
/* Panels of `width` columns: to[(p k + r) width + c] = w[r * row + (p width + c) * col], or 0 from column n on. */
void rt_panels_by(float *to, const float *w, ptrdiff_t row, ptrdiff_t col, int k, int n, int width);
extern rt_kernels rt_family_openblas;
/* Fills that table; once, before it is used. */
void rt_family_openblas_init(void);
#if defined(__x86_64__)
extern const rt_kernels rt_family_avx2, rt_family_avx512;
#if defined(RT_AMX)
extern const rt_kernels rt_family_amx;
void rt_amx_product(const rt_conv_line *);
size_t rt_amx_product_bytes(int rows, int n);
void rt_amx_product_pack(void *packed, const float *dy, ptrdiff_t ld, int row0, int row1, int rows, int n);
void rt_amx_product_dw(const rt_conv_dw *, const void *packed);
#endif
extern double rt_family_avx2_peak(long rounds), rt_family_avx512_peak(long rounds);
#endif
#endif
