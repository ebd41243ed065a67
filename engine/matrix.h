/* engine/matrix.h - the product of two matrices of a row, whatever way they lie, on one thread, out of packed panels
 * (see panels.h). */
#ifndef RT_ENGINE_MATRIX_H
#define RT_ENGINE_MATRIX_H

#include "engine/panels.h"

/* y (m, n) (+)= bias + scale a b: a is (m, k), or transposed (k, m); b is (k, n), or transposed (n, k). Strides of rows
 * are in floats. Every element is the sum of its products in the order of k: its bits do not depend on m and n. (In the
 * openblas family a row's depend on m, unless `alone` asks that they do not.) */
typedef struct {
    float *y;       ptrdiff_t y_ld;
    const float *a; ptrdiff_t a_ld;
    const float *b; ptrdiff_t b_ld;
    int m, k, n;
    int a_transposed, b_transposed, accumulate, alone;
    float scale;
    const float *bias;   /* (n), what sums start from, or NULL */
} rt_matrices;

/* scratch: rt_matrix_scratch() floats. */
void rt_matrix_product(const rt_kernels *, const rt_matrices *, float *scratch);
size_t rt_matrix_scratch(void);
/* Floats of n columns in panels, for each of k. */
static inline int rt_panel_width(const rt_kernels *k, int n)
{
    return (n + k->panel_cols - 1) / k->panel_cols * k->panel_cols;
}
#endif
