#include "engine/matrix.h"

enum { COLUMNS = RT_PANEL_DW_N, ROWS = RT_PANEL_DW_K };      /* of a block of b; of a that is packed */

size_t rt_matrix_scratch(void) { return (size_t)RT_PANEL_K * (COLUMNS + ROWS); }

static int at_most(int n, int most) { return n < most ? n : most; }

/* Columns n0 .. n0 + n of y by terms k0 .. k0 + k, which lie packed. */
static void block(const rt_kernels *kn, const rt_matrices *p, const float *packed, float *left, int k0, int k, int n0,
                  int n)
{
    rt_panels a = {.y = p->y + n0,
                   .y_ld = p->y_ld,
                   .x = p->a + k0,
                   .x_ld = p->a_ld,
                   .w = packed,
                   .rows = p->m,
                   .k = k,
                   .n = n,
                   .alone = p->alone,
                   .accumulate = p->accumulate || k0,
                   .bias = p->bias && !p->accumulate && !k0 ? p->bias + n0 : NULL,
                   .next = {packed, 0, 0, 0}};
    if (!p->a_transposed) {
        kn->panel_product(&a);
        return;
    }
    a.left = 1;
    a.x = left;
    for (int m0 = 0; m0 < p->m; m0 += ROWS, a.y += ROWS * p->y_ld) {
        a.rows = at_most(p->m - m0, ROWS);
        kn->panel_pack_left(left, p->a + k0 * p->a_ld + m0, p->a_ld, a.rows, k);
        kn->panel_product(&a);
    }
}

void rt_matrix_product(const rt_kernels *kn, const rt_matrices *p, float *scratch)
{
    float *right = scratch, *left = scratch + RT_PANEL_K * COLUMNS;
    for (int k0 = 0; k0 < p->k; k0 += RT_PANEL_K)
        for (int n0 = 0; n0 < p->n; n0 += COLUMNS) {
            int k = at_most(p->k - k0, RT_PANEL_K), n = at_most(p->n - n0, COLUMNS);
            if (p->b_transposed) kn->panel_pack_transposed(right, p->b + n0 * p->b_ld + k0, p->b_ld, k, n);
            else kn->panel_pack(right, p->b + k0 * p->b_ld + n0, p->b_ld, k, n);
            size_t floats = (size_t)k * (size_t)rt_panel_width(kn, n);
            for (size_t i = 0; i < floats && (p->scale < 1 || p->scale > 1); i++) right[i] *= p->scale;
            block(kn, p, right, left, k0, k, n0, n);
        }
}
