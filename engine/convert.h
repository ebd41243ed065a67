/* engine/convert.h - elements in memory: byte order, and any type as float. */
#ifndef RT_ENGINE_CONVERT_H
#define RT_ENGINE_CONVERT_H

#include "engine/types.h"

/* Reverses the bytes of each of n elements of this size (2, 4 or 8; others stay as they are). */
void rt_swap_bytes(void *p, size_t n, size_t size);

/* n elements as float: exact for f16, bf16, f32 and integers below 2^24, rounded to nearest else. TEXT gives zeros. */
void rt_to_float(float *dst, const void *src, rt_dtype, size_t n);
/* The same as double: exact for integers up to 2^53. */
void rt_to_double(double *dst, const void *src, rt_dtype, size_t n);
#endif
