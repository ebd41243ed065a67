/* engine/cuda/cuda_columns.c - grids over (rows, n). */
#include "engine/cuda/cuda_columns.h"

_Static_assert(RT_ACT_NONE == 0 && RT_ACT_RELU == 1 && RT_ACT_RELU6 == 2 && RT_ACT_LEAKY == 3,
               "columns.cu and norms.cu have the activations by these numbers");

int rt_cuda_aligned(const void *a, const void *b, const void *c)
{ return (((uintptr_t)a | (uintptr_t)b | (uintptr_t)c) & 15) == 0; }

void rt_columns_of(rt_columns *g, size_t rows, int n, int aligned, size_t sums)
{
    *g = (rt_columns){.rows = rows, .n = n, .vec = aligned && n % 4 == 0 ? 4 : 1};
    int m = n / g->vec;
    g->wide = m < 32 ? m : 32;
    g->lanes = RT_COLUMN_THREADS / g->wide;
    g->tiles = (m + g->wide - 1) / g->wide;
    size_t lanes = (size_t)g->lanes, tiles = (size_t)g->tiles, blocks, most;
    if (sums) {                                       /* eight rows a thread before another block pays */
        blocks = (rows + lanes * 8 - 1) / (lanes * 8);
        most = 512 / tiles;
        if (most > sums / (2 * sizeof(double)) / (size_t)n) most = sums / (2 * sizeof(double)) / (size_t)n;
    } else {
        blocks = (rows + lanes - 1) / lanes;
        most = blocks / 8 > 1056 / tiles ? blocks / 8 : 1056 / tiles;
    }
    if (blocks > most) blocks = most;
    if (blocks < 1) blocks = 1;
    g->per = (rows + blocks - 1) / blocks;
    g->blocks = (int)((rows + g->per - 1) / g->per);
    g->groups = g->tiles < RT_COLUMN_TICKETS ? g->tiles : RT_COLUMN_TICKETS;
}
