#include "data/row_weights.h"

#include <stdlib.h>
#include <string.h>

enum { BLOCK = 256 };

typedef unsigned __int128 wide;

struct rt_row_draws {
    uint64_t first, end, places;       /* N */
    uint16_t *weight;                  /* (end - first) 0 of a row that is no member */
    uint64_t *sum;                     /* (blocks + 1) of the weights before each block */
    uint64_t blocks, total;            /* W */
};

rt_status rt_row_weights_new(rt_row_weights *w, uint64_t first, uint64_t end)
{
    uint64_t n = end - first;
    *w = (rt_row_weights){first, end, n < SIZE_MAX / 4 ? calloc((size_t)n + 1, sizeof *w->weight) : NULL};
    return w->weight ? RT_OK : rt_fail(RT_RUN, "out of memory for the weights of %llu rows", (unsigned long long)n);
}

void rt_row_weights_free(rt_row_weights *w)
{
    free(w->weight);
    *w = (rt_row_weights){0};
}

/* Takes the members' weights over, with their sums. */
static rt_status fill(rt_row_draws *d, const rt_rows *rows, const rt_row_weights *w)
{
    enum { PIECE = 1024 };
    uint64_t row[PIECE], n;
    for (uint64_t i = 0; i < rows->count; i += n) {
        n = rows->count - i < PIECE ? rows->count - i : PIECE;
        rt_rows_list(rows, i, n, row);
        for (uint64_t k = 0; k < n; k++) {
            uint16_t v = row[k] >= w->first && row[k] < w->end ? w->weight[row[k] - w->first] : 0;
            if (!v) return rt_fail(RT_INPUT, "row %llu has no weight", (unsigned long long)row[k]);
            d->weight[row[k] - d->first] = v;
        }
    }
    for (uint64_t r = 0, b = 0; r < d->end - d->first; r++) {
        if (r % BLOCK == 0) d->sum[b++] = d->total;
        d->total += d->weight[r];
    }
    d->sum[d->blocks] = d->total;
    return RT_OK;
}

rt_status rt_row_draws_new(rt_row_draws **out, const rt_rows *rows, const rt_row_weights *w)
{
    uint64_t span = rows->end - rows->first;
    rt_row_draws *d = *out = calloc(1, sizeof *d);
    if (!d) return rt_fail(RT_RUN, "out of memory");
    d->first = rows->first;
    d->end = rows->end;
    d->places = rows->count;
    d->blocks = (span + BLOCK - 1) / BLOCK;
    d->weight = span < SIZE_MAX / 4 ? calloc((size_t)span + 1, sizeof *d->weight) : NULL;
    d->sum = calloc((size_t)d->blocks + 1, sizeof *d->sum);
    rt_status st = d->weight && d->sum ? fill(d, rows, w) : rt_fail(RT_RUN, "out of memory for the weights of rows");
    if (!st) return RT_OK;
    rt_row_draws_free(d);
    *out = NULL;
    return st;
}

void rt_row_draws_free(rt_row_draws *d)
{
    if (!d) return;
    free(d->weight);
    free(d->sum);
    free(d);
}

uint64_t rt_row_draws_start(const rt_row_draws *d, uint64_t seed, uint32_t epoch)
{
    uint32_t w[4];
    rt_random4(w, seed, RT_RNG_WEIGHT, epoch, 0, 0, 0);
    return ((uint64_t)w[0] << 32 | w[1]) % d->total;
}

uint64_t rt_row_draws_at(const rt_row_draws *d, uint64_t start, uint64_t k)
{
    uint64_t at = (uint64_t)(((wide)k * d->total + start) / d->places), low = 0, high = d->blocks;
    while (high - low > 1) {                            /* the last block whose weights begin at or before it */
        uint64_t middle = low + (high - low) / 2;
        if (d->sum[middle] <= at) low = middle;
        else high = middle;
    }
    uint64_t sum = d->sum[low], r = low * BLOCK;
    while (sum + d->weight[r] <= at) sum += d->weight[r++];
    return d->first + r;
}

uint64_t rt_row_draws_below(const rt_row_draws *d, uint64_t start, uint64_t row)
{
    if (row <= d->first) return 0;
    uint64_t r = (row < d->end ? row : d->end) - d->first, b = r / BLOCK, sum = d->sum[b];
    for (uint64_t i = b * BLOCK; i < r; i++) sum += d->weight[i];
    wide places = (wide)sum * d->places;
    return places <= start ? 0 : (uint64_t)((places - start + d->total - 1) / d->total);
}
