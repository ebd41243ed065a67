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

void rt_cuda_columns(rt_cuda_emit *e, const rt_node *node, rt_columns *g, size_t rows, int n, int aligned)
{
    size_t floats;
    float *partials = rt_cuda_partials(e, &floats);
    rt_columns_of(g, rows, n, aligned, floats * sizeof(float));
    g->partial = (double *)(void *)partials;
    for (int i = 0; i < g->groups; i++) g->ticket[i] = rt_cuda_ticket(e, node);
}

rt_status rt_cuda_column_sums(rt_cuda_emit *e, const rt_node *node, float *sum, const float *x, size_t rows, int n,
                              int add)
{
    rt_columns g;
    rt_cuda_columns(e, node, &g, rows, n, rt_cuda_aligned(x, sum, NULL));
    rt_k_column_sums(e->stream, &g, sum, x, add);
    return rt_cuda_launched(e, node);
}

rt_status rt_cuda_act_back(rt_cuda_emit *e, float *x, const float *y, rt_act act, float slope, size_t n)
{
    rt_k_act_back(e->stream, x, y, (int)act, slope, n);
    return RT_OK;
}
