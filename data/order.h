/* data/order.h - which rows each batch of a stream has: rising, or a new order each epoch by seed.
 *
 * Batch g (counted over all epochs) is a pure function of the order and g. Where any row is read as fast as any other,
 * the rows of an epoch are permuted as a whole. Where rows are decoded in blocks, the blocks are permuted, and then the
 * rows within windows of so many blocks, so that each block is decoded about once an epoch, whichever of its rows are
 * members. Batches are full unless the tail is kept. Rows that are left over are then others in each epoch, each row
 * with the same probability: the last ones of a whole permutation, and with windows places spread evenly over the epoch
 * from a random one on. */
#ifndef RT_DATA_ORDER_H
#define RT_DATA_ORDER_H

#include "data/row_weights.h"
#include "data/rows.h"

/* The fields above the blank line are given, rt_order_plan sets the others. Blocks are counted in each file from its
 * first row on. */
typedef struct {
    const rt_rows *rows;           /* borrowed; not empty */
    int batch, shuffle, keep_tail;
    uint64_t seed;
    uint64_t block;                /* rows of the source that are decoded together */
    uint64_t window;               /* blocks mixed with each other; UINT64_MAX: all */
    const rt_row_draws *draws;     /* of the rows, with shuffle: "members" are its places then; NULL: each row once */
    const uint64_t *file_first;    /* (files + 1) rows that files behind each other begin with; NULL: one file */
    int files;

    uint64_t first, units;         /* number of the first block, how many; of several each where they are very many */
    uint64_t steps;                /* batches an epoch, at least 1 */
} rt_order;

/* Number of the block that has this row. */
uint64_t rt_order_block_of(const rt_order *, uint64_t row);
/* Makes batch no larger than the rows, block and window as they are used (window 0: all rows are mixed). */
void rt_order_plan(rt_order *);

/* What one reader thread remembers of an order: nothing but time depends on it. */
typedef struct {
    const rt_order *order;
    int ready;                     /* an epoch is set */
    uint32_t epoch;
    rt_permutation units, inside;  /* of the units, or of all rows; of the rows of the window */
    uint64_t drawn;                /* rt_row_draws_start of the epoch */
    uint64_t skip;                 /* where the rows that are left out of the epoch begin */
    uint64_t *file_unit;           /* (files + 1) units before each file */
    uint64_t *start;               /* (windows + 1) members before each window */
    uint64_t window;               /* the one that is set */
    uint64_t *before, *member;     /* (window + 1) members of it before each unit; each unit's first member */
} rt_order_reader;

rt_status rt_order_reader_open(rt_order_reader *, const rt_order *);
void rt_order_reader_close(rt_order_reader *);
/* Rows of batch g into row[0..*n), with room for order->batch. */
rt_status rt_order_batch(rt_order_reader *, uint64_t g, uint64_t *row, int *n);
#endif
