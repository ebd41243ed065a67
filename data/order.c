#include "data/order.h"

#include <stdlib.h>

enum { UNITS = 1 << 20 };             /* at most: what a reader sums up at the start of an epoch */

static uint64_t windows_of(const rt_order *o) { return (o->units - 1) / o->window + 1; }

static uint64_t blocks_in(const rt_order *o, int file)
{
    uint64_t rows = o->file_first[file + 1] - o->file_first[file];
    return rows / o->block + (rows % o->block != 0);
}

uint64_t rt_order_block_of(const rt_order *o, uint64_t row)
{
    uint64_t n = 0;
    int k = 0;
    if (!o->file_first) return row / o->block;
    for (; k + 1 < o->files && o->file_first[k + 1] <= row; k++) n += blocks_in(o, k);
    return n + (row - o->file_first[k]) / o->block;
}

static uint64_t blocks_of(const rt_order *o)
{ return rt_order_block_of(o, o->rows->end - 1) - rt_order_block_of(o, o->rows->first) + 1; }

void rt_order_plan(rt_order *o)
{
    uint64_t n = o->rows->count;
    if ((uint64_t)o->batch > n) o->batch = (int)n;
    o->steps = o->keep_tail ? (n - 1) / (uint64_t)o->batch + 1 : n / (uint64_t)o->batch;
    uint64_t blocks = blocks_of(o);
    if (o->block <= 1 || blocks <= o->window) {
        o->window = 0;
        return;
    }
    uint64_t several = (blocks - 1) / UNITS + 1;
    o->block *= several;
    o->window = o->window > several ? o->window / several : 1;
    o->first = rt_order_block_of(o, o->rows->first);
    o->units = blocks_of(o);
}

rt_status rt_order_reader_open(rt_order_reader *c, const rt_order *o)
{
    *c = (rt_order_reader){.order = o};
    if (!o->shuffle || !o->window) return RT_OK;
    c->start = malloc((windows_of(o) + 1) * sizeof *c->start);
    c->before = malloc((o->window + 1) * sizeof *c->before);
    c->member = malloc(o->window * sizeof *c->member);
    if (o->file_first) c->file_unit = calloc((size_t)o->files + 1, sizeof *c->file_unit);
    for (int k = 0; k < o->files && c->file_unit; k++) c->file_unit[k + 1] = c->file_unit[k] + blocks_in(o, k);
    if (c->start && c->before && c->member && (c->file_unit || !o->file_first)) return RT_OK;
    rt_order_reader_close(c);
    return rt_fail(RT_RUN, "out of memory for the order of %llu rows", (unsigned long long)o->rows->count);
}

void rt_order_reader_close(rt_order_reader *c)
{
    rt_permutation_free(&c->units);
    rt_permutation_free(&c->inside);
    free(c->start);
    free(c->before);
    free(c->member);
    free(c->file_unit);
    *c = (rt_order_reader){0};
}

/* The last of at[0..n) that is not above v; at[0] <= v. */
static uint64_t last_not_above(const uint64_t *at, uint64_t n, uint64_t v)
{
    uint64_t low = 0;
    while (n > 1) {
        uint64_t half = n / 2;
        low = at[low + half] <= v ? low + half : low;
        n -= half;
    }
    return low;
}

/* Rows [*from, *to) of a unit, as far as members may lie there. */
static void unit_rows(const rt_order_reader *c, uint64_t unit, uint64_t *from, uint64_t *to)
{
    const rt_order *o = c->order;
    uint64_t end = o->rows->end;
    *from = unit * o->block;
    if (o->file_first) {
        uint64_t k = last_not_above(c->file_unit, (uint64_t)o->files, unit);
        *from = o->file_first[k] + (unit - c->file_unit[k]) * o->block;
        if (o->file_first[k + 1] < end) end = o->file_first[k + 1];
    }
    *to = end - *from > o->block ? *from + o->block : end;
}

/* Members below a row. */
static uint64_t below(const rt_order_reader *c, uint64_t row)
{
    const rt_order *o = c->order;
    return o->draws ? rt_row_draws_below(o->draws, c->drawn, row) : rt_rows_below(o->rows, row);
}

/* Members of the unit that stands at place u of the epoch's order: how many, and the first one's index. */
static uint64_t unit_at(const rt_order_reader *c, uint64_t u, uint64_t *first)
{
    const rt_order *o = c->order;
    uint64_t from, to;
    unit_rows(c, o->first + rt_permutation_at(&c->units, u), &from, &to);
    *first = below(c, from);
    return below(c, to) - *first;
}

static rt_status set_epoch(rt_order_reader *c, uint32_t epoch)
{
    const rt_order *o = c->order;
    uint64_t first;
    c->ready = 0;
    RT_TRY(rt_permutation_set(&c->units, o->window ? o->units : o->rows->count, o->seed, RT_RNG_SHUFFLE, epoch, 0));
    c->epoch = epoch;
    c->ready = 1;
    if (o->draws) c->drawn = rt_row_draws_start(o->draws, o->seed, epoch);
    if (!o->window) return RT_OK;
    uint32_t w[4];
    rt_random4(w, o->seed, RT_RNG_SHUFFLE, epoch, UINT32_MAX, 0, UINT32_MAX);
    c->skip = ((uint64_t)w[0] << 32 | w[1]) % o->rows->count;
    c->start[0] = 0;
    for (uint64_t k = 0; k < windows_of(o); k++) {
        c->start[k + 1] = c->start[k];
        for (uint64_t u = k * o->window; u < (k + 1) * o->window && u < o->units; u++)
            c->start[k + 1] += unit_at(c, u, &first);
    }
    c->window = UINT64_MAX;
    return RT_OK;
}

static rt_status set_window(rt_order_reader *c, uint64_t k)
{
    const rt_order *o = c->order;
    c->window = UINT64_MAX;
    c->before[0] = 0;
    for (uint64_t u = 0; u < o->window; u++) {
        uint64_t at = k * o->window + u, size = at < o->units ? unit_at(c, at, &c->member[u]) : 0;
        c->before[u + 1] = c->before[u] + size;
    }
    RT_TRY(rt_permutation_set(&c->inside, c->before[o->window], o->seed, RT_RNG_SHUFFLE, c->epoch, (uint32_t)k + 1));
    c->window = k;
    return RT_OK;
}

/* The place in the epoch of row i of batch `step`: place k = step batch + i of the m that are used of n is
 * floor((k n + skip) / m), so that with skip uniform in [0, n) each of the n is used with probability m / n. */
static uint64_t place_of(const rt_order_reader *c, uint64_t step, uint64_t i)
{
    const rt_order *o = c->order;
    uint64_t batch = (uint64_t)o->batch, m = o->steps * batch, n = o->rows->count, k = step * batch + i;
    if (m >= n) return k;
    uint64_t left = n - m, whole = step * left / o->steps, rest = step * left % o->steps;
    return k + whole + (rest * batch + i * left + c->skip) / m;
}

rt_status rt_order_batch(rt_order_reader *c, uint64_t g, uint64_t *row, int *n)
{
    const rt_order *o = c->order;
    uint64_t step = g % o->steps, first = step * (uint64_t)o->batch, left = o->rows->count - first;
    uint32_t epoch = (uint32_t)(g / o->steps);
    *n = left < (uint64_t)o->batch ? (int)left : o->batch;
    if (!o->shuffle) {
        rt_rows_list(o->rows, first, (uint64_t)*n, row);
        return RT_OK;
    }
    if (!c->ready || c->epoch != epoch) RT_TRY(set_epoch(c, epoch));
    for (int i = 0; i < *n; i++) {
        if (!o->window) {
            row[i] = rt_permutation_at(&c->units, first + (uint64_t)i);
            continue;
        }
        uint64_t at = place_of(c, step, (uint64_t)i);
        if (c->window == UINT64_MAX || at < c->start[c->window] || at >= c->start[c->window + 1])
            RT_TRY(set_window(c, last_not_above(c->start, windows_of(o), at)));
        uint64_t j = rt_permutation_at(&c->inside, at - c->start[c->window]);
        uint64_t u = last_not_above(c->before, o->window, j);
        row[i] = c->member[u] + (j - c->before[u]);
    }
    for (int i = 0; i < *n && o->draws; i++) row[i] = rt_row_draws_at(o->draws, c->drawn, row[i]);
    if (!o->draws) rt_rows_pick(o->rows, row, *n);
    return RT_OK;
}
