/* data/rows.h - which rows of a source a job is about: a range, parts drawn from it by seed. */
#ifndef RT_DATA_ROWS_H
#define RT_DATA_ROWS_H

#include "data/json.h"
#include "engine/rng.h"

/* Row numbers in rising order; rt_rows_free frees them. */
typedef struct {
    uint64_t *row, count;
} rt_rows;

/* What `data` says of rows, in a training run and in an evaluation alike, so that the same three keys leave out of the one
 * what the other is about: the range, and the test rows drawn from it (a count, or a share below 1) by a seed of their own,
 * which stays when the seed of the run changes. The string belongs to the configuration. */
typedef struct {
    const char *range;
    double test;
    uint64_t test_seed;
} rt_rows_config;

/* Keys rows [all], test [0], test_seed [1]. */
void rt_rows_read(rt_cfg *data, rt_rows_config *);
/* The range's test rows and the others; both are for the caller to free, also after an error. */
rt_status rt_rows_select(const rt_rows_config *, uint64_t source_rows, rt_rows *others, rt_rows *test);

/* "a:b", "a:", ":b" or "" within [0, rows]. */
rt_status rt_parse_range(const char *range, uint64_t rows, uint64_t *first, uint64_t *end);
rt_status rt_rows_range(rt_rows *out, const char *range, uint64_t source_rows);
/* Moves `part` of the rows (a count, or a share below 1), drawn by (seed, purpose), to *drawn. At least one must stay; `what`
 * names the part in the error. */
rt_status rt_rows_draw(rt_rows *from, double part, uint64_t seed, rt_rng_purpose purpose, const char *what, rt_rows *drawn);
void rt_rows_remove(rt_rows *from, const rt_rows *these);
/* How many are in both. */
uint64_t rt_rows_common(const rt_rows *a, const rt_rows *b);
void rt_rows_free(rt_rows *);
#endif
