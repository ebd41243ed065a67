/* data/rows.h - which rows of a source a job is about: a range, parts drawn from it by seed.
 *
 * A set of rows is a range, which takes no memory, or a mask of one bit a row with an index for rank and select. Sets
 * are read by any number of threads at once while nobody changes them. */
#ifndef RT_DATA_ROWS_H
#define RT_DATA_ROWS_H

#include "data/json.h"
#include "engine/rng.h"

typedef struct {
    uint64_t count;                /* members; they lie in [first, end) */
    uint64_t first, end;
    uint64_t *word;                /* bit r % 64 of word[r / 64 - first / 64]: row r; NULL: all of [first, end) */
    uint64_t *rank;                /* members before each block of words */
    uint32_t *hint;                /* block of every so many members */
} rt_rows;

/* What `data` says of rows, in a training run and in an evaluation alike, so that the same keys leave out of the one
 * what the other is about: the range, and the test rows drawn from it, by a seed of their own, which stays when the
 * seed of the run changes. They are a count or a share below 1, or one of several folds, which are of equal size but
 * for a row, have no row in common and together have all. The string belongs to the configuration. */
typedef struct {
    const char *range;
    double test;
    uint64_t test_seed;
    int fold, folds;                   /* number fold, from 0 on, of so many; folds 0: no fold */
    const char *by, *by_set, *by_digest;   /* where a file tells the folds (data/row_folds.h); by NULL or "": drawn */
} rt_rows_config;

enum { RT_FOLDS = 100 };               /* at most */

/* Keys rows [all], test [0], fold ["": none, or "i/n"], fold_by, test_seed [1]; another seed is refused without test
 * rows. */
void rt_rows_read(rt_cfg *data, rt_rows_config *);
/* A part of rows: a share below 1, or a whole number of them; else the configuration fails. */
double rt_rows_part(rt_cfg *, const char *key, double fallback);
/* Whether rows are drawn for a test. */
static inline int rt_rows_tests(const rt_rows_config *c) { return c->test > 0 || c->folds; }
/* "i/n" with i < n, n from 2 to RT_FOLDS; *folds 0 of "". 0: it is none. */
int rt_rows_fold_of(const char *text, int *fold, int *folds);
/* The range's test rows and the others; both are for the caller to free, also after an error. Member i of the range is
 * in fold f of n when rt_permute(i, count, test_seed, RT_RNG_HELD, 0, 0) lies in [f count / n, (f + 1) count / n), or
 * where the configuration's file says so. */
rt_status rt_rows_select(const rt_rows_config *, uint64_t source_rows, rt_rows *others, rt_rows *test);

/* "a:b", "a:", ":b" or "" within [0, rows]. */
rt_status rt_parse_range(const char *range, uint64_t rows, uint64_t *first, uint64_t *end);
rt_status rt_rows_range(rt_rows *out, const char *range, uint64_t source_rows);
/* All of [first, end), without memory: needs no rt_rows_free. */
rt_rows rt_rows_between(uint64_t first, uint64_t end);
/* Of rows [first, first + rows) in blocks of `block` rows (the last may be short), those of blocks b with in[b] set. */
rt_status rt_rows_from_blocks(rt_rows *out, uint64_t first, uint64_t rows, uint64_t block, const unsigned char *in);
/* Frees what the set holds; it is empty then. */
void rt_rows_free(rt_rows *);

/* Member i in rising order; i < count. */
uint64_t rt_rows_at(const rt_rows *, uint64_t i);
/* Members [i, i + n) to row[0..n): much faster than one by one. */
void rt_rows_list(const rt_rows *, uint64_t i, uint64_t n, uint64_t *row);
/* i[k] becomes member i[k], in any order: faster than one by one in large sets. */
void rt_rows_pick(const rt_rows *, uint64_t *i, int n);
int rt_rows_has(const rt_rows *, uint64_t row);
/* Members below a row. */
uint64_t rt_rows_below(const rt_rows *, uint64_t row);

/* Moves `part` of the rows (a count, or a share below 1), drawn by (seed, purpose), to *drawn: member i of `from` is
 * drawn when rt_permute(i, from->count, seed, purpose, 0, 0) is below the count. At least one must stay; `what` names
 * the part in the error. */
rt_status rt_rows_draw(rt_rows *from, double part, uint64_t seed, rt_rng_purpose purpose, const char *what,
                       rt_rows *drawn);
rt_status rt_rows_add(rt_rows *to, const rt_rows *these);
rt_status rt_rows_remove(rt_rows *from, const rt_rows *these);
/* How many are in both. */
uint64_t rt_rows_common(const rt_rows *a, const rt_rows *b);
#endif
