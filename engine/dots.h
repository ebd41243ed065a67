/* engine/dots.h - inner products of many rows by OpenBLAS, for questions about distances in data of any size.
 *
 * The bits depend on what OpenBLAS makes of this CPU: whoever decides by them must allow for rt_dots_error and look
 * closer where that leaves it open. */
#ifndef RT_ENGINE_DOTS_H
#define RT_ENGINE_DOTS_H

#include <stddef.h>

#include "engine/error.h"

/* To be called before products are made by up to so many threads. RT_RUN where there is no room for OpenBLAS's work
 * space, of which it would never say so. */
rt_status rt_dots_begin(int threads);

/* s[i * ld + j] = a_i . b_j of rows a (m, d) and b (n, d). Thread-safe, on the caller's thread alone. */
void rt_dots(float *s, ptrdiff_t ld, const float *a, int m, const float *b, int n, int d);
/* E such that |a|^2 + |b|^2 - 2 a.b, computed in float from rt_dots and from squares rounded to float, lies within
 * E (|a|^2 + |b|^2) + 1e-30 of the exact value where nothing overflows (Higham, Accuracy and Stability, 3.1: an inner
 * product of d terms in any order is within d u / (1 - d u) |a| |b|). */
double rt_dots_error(int d);
#endif
