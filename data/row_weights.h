/* data/row_weights.h - rows that are drawn more or less often than others.
 *
 * An epoch of N places over N member rows of weights w has row i about N w_i / W times, W the sum: as whole numbers, so
 * many times or one more, and over epochs that in the mean. Place k of epoch e is the row in whose stretch of the
 * summed weights floor((k W + f_e) / N) lies, f_e drawn by (seed, RT_RNG_WEIGHT, e) in [0, W) (systematic sampling,
 * Madow 1949): a pure function of k and e, in whole numbers, and rows stand by rising number, so that any order of the
 * places is an order of rows. 2 bytes a row of the span, 8 for each 256 of them. */
#ifndef RT_DATA_ROW_WEIGHTS_H
#define RT_DATA_ROW_WEIGHTS_H

#include "data/rows.h"

/* Of rows [first, end): 1 to 65535 in proportion to the weight, 0: none is known. */
typedef struct {
    uint64_t first, end;
    uint16_t *weight;                  /* NULL: all rows alike */
} rt_row_weights;

rt_status rt_row_weights_new(rt_row_weights *, uint64_t first, uint64_t end);
void rt_row_weights_free(rt_row_weights *);

typedef struct rt_row_draws rt_row_draws;

/* The rows are members of this set, all of which have a weight (RT_INPUT else); neither is kept. */
rt_status rt_row_draws_new(rt_row_draws **, const rt_rows *, const rt_row_weights *);
void rt_row_draws_free(rt_row_draws *);
/* f_e of epoch e. */
uint64_t rt_row_draws_start(const rt_row_draws *, uint64_t seed, uint32_t epoch);
/* The row at place k < N; how many places lie before the first one of `row` and of all rows behind it. */
uint64_t rt_row_draws_at(const rt_row_draws *, uint64_t start, uint64_t k);
uint64_t rt_row_draws_below(const rt_row_draws *, uint64_t start, uint64_t row);
#endif
