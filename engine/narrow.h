/* engine/narrow.h - floats of 8 and 4 bits: a code of a byte is a sign, an exponent and a fraction.
 *
 * F8E4M3 (finite, one NaN of each sign), F8E4M3Z and F8E5M2Z (no -0: its code is the only NaN), F8E5M2 (as IEEE 754 has
 * it), F4E2M1 (no NaN); of F8E8M0 it is an exponent alone. Source: github.com/onnx/onnx,
 * docs/docsgen/source/technical/float8.md and float4.md. */
#ifndef RT_ENGINE_NARROW_H
#define RT_ENGINE_NARROW_H

#include <stdint.h>

#include "engine/types.h"

int rt_narrow_is_float(rt_dtype);
double rt_narrow_value(rt_dtype, uint8_t code);
/* To nearest, ties to even. What is beyond the greatest is the greatest or, without `saturate`, infinite where the type
 * has that, else NaN. NaN of F4E2M1 is -0. */
uint8_t rt_narrow_code(rt_dtype, double, int saturate);
/* F8E8M0 of a float's magnitude: rounded "up" (as rt_narrow_code does), "down", or to the "nearest" power of two. */
typedef enum { RT_NARROW_UP, RT_NARROW_DOWN, RT_NARROW_NEAREST } rt_narrow_rounding;
uint8_t rt_narrow_exponent(float, int saturate, rt_narrow_rounding);
#endif
