/* engine/cuda/cuda_columns.c - grids over (rows, n). */
#include "engine/cuda/cuda_columns.h"

_Static_assert(RT_ACT_NONE == 0 && RT_ACT_RELU == 1 && RT_ACT_RELU6 == 2 && RT_ACT_LEAKY == 3,
               "batch_norm.cu and norms.cu have the activations by these numbers");

int rt_cuda_aligned(const void *a, const void *b, const void *c)
{ return (((uintptr_t)a | (uintptr_t)b | (uintptr_t)c) & 15) == 0; }

void rt_columns_of(rt_columns *g, size_t rows, int n, int aligned, size_t sums)
{
    *g = (rt_columns){.rows = rows, .n = n, .vec = aligned && n % 4 == 0 ? 4 : 1};
    int m = n / g->vec;
    g->wide = m < 32 ? m : 32;
    g->lanes = RT_COLUMN_THREADS / g->wide;
    g->tiles = (m + g->wide - 1) / g->wide;
    size_t lanes = (size_t)g->lanes, blocks = (rows + lanes * 8 - 1) / (lanes * 8),       /* eight rows a thread */
           most = 512 / (size_t)g->tiles, held = sums / (2 * sizeof(double)) / (size_t)n;
    if (most > held) most = held;
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

/* Blocks of a run of rows of a tile each: `few` rows a thread at least, and `most` blocks in all tiles together. */
static int run_of(const rt_channels *g, size_t rows, size_t few, size_t most, int *runs)
{
    size_t lanes = (size_t)(RT_BN_THREADS / (g->wide > 4 ? g->wide / 4 : 1)), tiles = (size_t)g->tiles,
           n = (rows + lanes * few - 1) / (lanes * few), cap = tiles < most ? most / tiles : 1;
    if (n > cap) n = cap;
    if (n < 1) n = 1;
    size_t per = (rows + n - 1) / n;
    *runs = (int)((rows + per - 1) / per);
    return (int)per;
}

static void second_of(rt_channels *g, size_t places)
{
    g->places = (int)places;
    for (size_t few = 4; few; few /= 2) {             /* fewer blocks add the parts up less often */
        g->each = run_of(g, places, few, 1056, &g->blocks);
        if (g->blocks * g->tiles >= RT_BN_PARTS) break;
    }
}

void rt_channels_of(rt_channels *g, size_t rows, int n, int aligned)
{
    *g = (rt_channels){.rows = (int)rows, .n = n, .vec = aligned && n % 4 == 0 ? 4 : 1, .wide = 1};
    while (g->wide < n && g->wide < RT_BN_COLUMNS) g->wide *= 2, g->wide_log++;
    g->tiles = (n + g->wide - 1) / g->wide;
    g->per = run_of(g, rows, 2, RT_BN_PARTS, &g->parts);
    g->room = (g->parts + 3) / 4 * 4;
    g->share = 1.0f / (float)rows;
    g->rows_part = (float)g->per;
    g->rows_last = (float)(g->rows - (g->parts - 1) * g->per);
    second_of(g, rows);
}

void rt_channels_pool(rt_channels *g, const rt_batch_pool *p)
{
    if (p->kind == RT_BN_GREATEST) second_of(g, (size_t)(g->rows / (p->kh * p->kw)));
    if (p->kind != RT_BN_AVERAGE) return;
    int warps = RT_BN_THREADS / 32, pixels = 2 * 32 / (g->wide / g->vec);       /* of a warp: two a lane */
    g->places = g->rows / p->pixels;
    for (g->warps = 1; g->warps < warps && g->warps * pixels < p->pixels;) g->warps *= 2;
    g->each = warps / g->warps;
    g->blocks = (g->places + g->each - 1) / g->each;
}

size_t rt_channels_bytes(const rt_channels *g) { return 3 * sizeof(float) * (size_t)g->n * (size_t)g->room; }

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
