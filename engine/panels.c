#include "engine/panels.h"

static int at_most(int n, int most) { return n < most ? n : most; }

/* A group's columns in memory: of the last one as many as its panels have. */
static int group_cols(const rt_kernels *kn, int n, int group)
{
    int cols = at_most(n - group * RT_PANEL_GROUP, RT_PANEL_GROUP);
    return (cols + kn->panel_cols - 1) / kn->panel_cols * kn->panel_cols;
}

size_t rt_panels_floats(int k, int n) { return (size_t)k * (size_t)rt_panels_groups(n) * RT_PANEL_GROUP; }

/* Rows k0 .. k0 + k of w, columns from n0 on. */
static void pack(const rt_kernels *kn, float *to, const rt_panels_product *a, int k0, int k, int n0, int n)
{
    if (a->transposed) kn->panel_pack_transposed(to, a->w + n0 * a->w_ld + k0, a->w_ld, k, n);
    else kn->panel_pack(to, a->w + k0 * a->w_ld + n0, a->w_ld, k, n);
}

/* The block of w that comes after the one at k0 of a group: further terms, or the next group's first. */
static rt_ahead block_after(const rt_kernels *kn, const rt_panels_product *a, int k0, int group)
{
    k0 += RT_PANEL_K;
    if (k0 >= a->k && group + 1 < rt_panels_groups(a->n)) {
        k0 = 0;
        group++;
    }
    int n0 = group * RT_PANEL_GROUP, left = a->k - k0;
    if (left <= 0) return (rt_ahead){a->x, 0, 0, 0};
    if (a->packed)
        return (rt_ahead){a->packed + (size_t)a->k * (size_t)n0 + k0 * group_cols(kn, a->n, group),
                          (ptrdiff_t)at_most(left, RT_PANEL_K) * kn->panel_cols, RT_PANEL_K / 4 * kn->panel_cols,
                          kn->panel_cols};
    if (a->transposed)
        return (rt_ahead){a->w + n0 * a->w_ld + k0, 4 * kn->panel_cols, kn->panel_cols, a->w_ld};
    return (rt_ahead){a->w + k0 * a->w_ld + n0, kn->panel_cols, RT_PANEL_K / 4 * a->w_ld, a->w_ld};
}

void rt_panels_pack(const rt_kernels *kn, float *packed, const rt_panels_product *a, int group)
{
    int n0 = group * RT_PANEL_GROUP, cols = group_cols(kn, a->n, group);
    packed += (size_t)a->k * (size_t)n0;
    for (int k0 = 0; k0 < a->k; k0 += RT_PANEL_K)
        pack(kn, packed + (size_t)k0 * (size_t)cols, a, k0, at_most(a->k - k0, RT_PANEL_K), n0,
             at_most(a->n - n0, RT_PANEL_GROUP));
}

size_t rt_panels_scratch(void)
{ return (size_t)RT_PANEL_K * (RT_PANEL_DW_K + RT_PANEL_DW_N); }

void rt_panels_run(const rt_kernels *kn, const rt_panels_product *a, int group, float *scratch)
{
    int n0 = group * RT_PANEL_GROUP, cols = group_cols(kn, a->n, group);
    const float *packed = a->packed ? a->packed + (size_t)a->k * (size_t)n0 : NULL;
    for (int k0 = 0; k0 < a->k; k0 += RT_PANEL_K) {
        int k = at_most(a->k - k0, RT_PANEL_K), n = at_most(a->n - n0, RT_PANEL_GROUP);
        if (!packed) pack(kn, scratch, a, k0, k, n0, n);
        kn->panel_product(&(rt_panels){.y = a->y + n0,
                                       .y_ld = a->y_ld,
                                       .x = a->x + k0,
                                       .x_ld = a->x_ld,
                                       .w = packed ? packed + (size_t)k0 * (size_t)cols : scratch,
                                       .bias = a->bias ? a->bias + n0 : NULL,
                                       .rows = a->rows,
                                       .alone = a->alone,
                                       .k = k,
                                       .n = n,
                                       .accumulate = a->accumulate || k0,
                                       .act = k0 + k == a->k ? a->act : RT_ACT_NONE,
                                       .next = block_after(kn, a, k0, group)});
    }
}

/* What a tile has of dw. Without panels: all rows of x and dy that are read for it at a time stay in L2. */
typedef struct { int rows, cols, across; } dw_cut;

enum { DIRECT_ROWS = 48, DIRECT_WIDE_ROWS = 192, DIRECT_TERMS = 128 };

static int dw_direct(const rt_kernels *kn, int k, int n) { return (int64_t)k * n < kn->panels_dw_from; }

static dw_cut dw_cut_of(const rt_kernels *kn, int k, int n)
{
    dw_cut c = {.rows = RT_PANEL_DW_K, .cols = RT_PANEL_DW_N};
    if (dw_direct(kn, k, n)) c.rows = n > RT_PANEL_DW_N ? DIRECT_WIDE_ROWS : DIRECT_ROWS;
    c.across = (n + c.cols - 1) / c.cols;
    return c;
}

int rt_panels_dw_tiles(const rt_kernels *kn, int k, int n)
{
    dw_cut c = dw_cut_of(kn, k, n);
    return (k + c.rows - 1) / c.rows * c.across;
}

static void dw_tile_direct(const rt_kernels *kn, float *dw, const float *x, const float *dy, int rows, int k, int n,
                           int kb, int nb)
{
    for (int r = 0; r < rows; r += DIRECT_TERMS)
        kn->conv_dw(&(rt_conv_dw){.dw = dw,
                                  .dw_ld = n,
                                  .x = x + (ptrdiff_t)r * k,
                                  .x_px = k,
                                  .dy = dy + (ptrdiff_t)r * n,
                                  .dy_px = n,
                                  .lines = 1,
                                  .px = at_most(rows - r, DIRECT_TERMS),
                                  .kh = 1,
                                  .klen = kb,
                                  .n = nb,
                                  .overwrite = r == 0});
}

void rt_panels_dw(const rt_kernels *kn, float *dw, const float *x, const float *dy, int rows, int k, int n, int tile,
                  float *scratch)
{
    dw_cut c = dw_cut_of(kn, k, n);
    int k0 = tile / c.across * c.rows, n0 = tile % c.across * c.cols;
    int kb = at_most(k - k0, c.rows), nb = at_most(n - n0, c.cols);
    dw += (ptrdiff_t)k0 * n + n0;
    x += k0;
    dy += n0;
    if (dw_direct(kn, k, n)) {
        dw_tile_direct(kn, dw, x, dy, rows, k, n, kb, nb);
        return;
    }
    float *left = scratch, *right = scratch + RT_PANEL_K * RT_PANEL_DW_K;
    for (int r = 0; r < rows; r += RT_PANEL_K) {
        int terms = at_most(rows - r, RT_PANEL_K);
        const float *after = dy + (ptrdiff_t)(r + terms) * n;
        kn->panel_pack_left(left, x + (ptrdiff_t)r * k, k, kb, terms);
        kn->panel_pack(right, dy + (ptrdiff_t)r * n, n, terms, nb);
        kn->panel_product(&(rt_panels){.y = dw,
                                       .y_ld = n,
                                       .x = left,
                                       .w = right,
                                       .rows = kb,
                                       .k = terms,
                                       .n = nb,
                                       .left = 1,
                                       .accumulate = r > 0,
                                       .next = r + terms < rows
                                                   ? (rt_ahead){after, kn->panel_cols, RT_PANEL_K / 4 * n, n}
                                                   : (rt_ahead){left, 0, 0, 0}});
    }
}
