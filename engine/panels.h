/* engine/panels.h - products of large matrices on one thread, out of packed panels (Goto & van de Geijn 2008): blocks
 * of RT_PANEL_K terms, whose panels stay in L1, by groups of RT_PANEL_GROUP columns.
 *
 * Every element is the sum of its products in the order of k, from what it starts with: its bits depend neither on the
 * cut into groups and rows nor on rows beside it, and are those of conv_line, or conv_dw. (The openblas family has an
 * order of its own; there a row's bits depend on no other row's where `alone` asks for that.) */
#ifndef RT_ENGINE_PANELS_H
#define RT_ENGINE_PANELS_H

#include "engine/kernels.h"

enum {
    RT_PANEL_K = 256,
    RT_PANEL_GROUP = 64, /* columns of a product that are worked on at a time: a multiple of any panel_cols */
    RT_PANEL_TILE_ROWS = 256, /* rows of a tile of a plan, at most */
    RT_PANEL_DW_K = 96,
    RT_PANEL_DW_N = 256 /* rows and columns of a tile of a weight gradient; multiples of any panel */
};

/* y (rows, n) (+)= act(bias + x (rows, k) w): w is (k, n), or transposed (n, k), of row stride w_ld; or it is in
 * `packed`, of rt_panels_floats(k, n) floats that rt_panels_pack filled for every group. */
typedef struct {
    float *y;            ptrdiff_t y_ld;
    const float *x;      ptrdiff_t x_ld;
    const float *w;      ptrdiff_t w_ld;
    const float *packed; /* or NULL */
    const float *bias;   /* (n) or NULL */
    int rows, k, n;
    int transposed, accumulate, alone;     /* see rt_panels */
    rt_act act;          /* NONE, RELU or RELU6 */
} rt_panels_product;

static inline int rt_panels_groups(int n) { return (n + RT_PANEL_GROUP - 1) / RT_PANEL_GROUP; }
size_t rt_panels_floats(int k, int n);
void rt_panels_pack(const rt_kernels *, float *packed, const rt_panels_product *, int group);
/* The columns of one group. scratch is rt_panels_scratch() floats, of which a product of packed weights needs none. */
void rt_panels_run(const rt_kernels *, const rt_panels_product *, int group, float *scratch);
size_t rt_panels_scratch(void);

/* One tile of dw (k, n) = x^T dy with x (rows, k), dy (rows, n), all dense: by panels from the family's panels_dw_from
 * weights on; of fewer, which the cache serves as well where they lie, by conv_dw. */
int rt_panels_dw_tiles(const rt_kernels *, int k, int n);
void rt_panels_dw(const rt_kernels *, float *dw, const float *x, const float *dy, int rows, int k, int n, int tile,
                  float *scratch);
#endif
