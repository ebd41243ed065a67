/* data/near.h - for each of many rows of numbers those that lie nearest to it, by Euclid's distance: copies that are
 * nearly equal, and rows that lie far from all others.
 *
 * Of rows x (N, D) and others o (M, D), each row's `k` nearest others: by rising distance, of equal ones the lower row
 * first; only those within `within`; a row is not its own neighbour, and with `lower` only rows before it are.
 *   exact   |x|^2 + |o|^2 - 2 x.o for all pairs, in blocks by OpenBLAS (engine/dots.h)
 *   hashed  rows are put side by side by the signs of 64 hyperplanes through their mean, drawn by Philox from (seed,
 *           RT_RNG_NEAR, table), and compared with those that share a prefix of the signs (within given) or stand
 *           nearby in their order (within infinite), in `tables` of such orders (Charikar, STOC 2002)
 * In both the product only tells which pairs are worth a look: a pair that its error leaves in doubt is measured in
 * double, the squares of differences of floats in eight sums, so that what is found, and the distances, depend neither
 * on the number of threads nor on the CPU. Of the hashed way some pairs are missed, never a wrong one found. */
#ifndef RT_DATA_NEAR_H
#define RT_DATA_NEAR_H

#include <stdint.h>

#include "engine/pool.h"
#include "engine/progress.h"

enum { RT_NEAR_TABLES = 64, RT_NEAR_MOST = 256 /* k */ };
#define RT_NEAR_NONE UINT32_MAX

typedef struct {
    const float *x, *o;                /* (rows, width), (others, width), finite; o NULL: x itself */
    uint64_t rows, others;             /* each below 2^32 - 1; others of x itself: rows */
    int width, k;
    double within;                     /* INFINITY: any */
    int lower;                         /* of x itself: only rows before a row */
    int exact;
    double recall;                     /* hashed, within given: tables are added until the bound reaches it */
    int tables;                        /* hashed, without: so many */
    uint64_t seed;
    rt_pool *pool;                     /* NULL: alone */
    const rt_progress *progress;
} rt_near_spec;

typedef struct {
    uint32_t *row;                     /* (rows, k); RT_NEAR_NONE behind the last one found */
    double *square;                    /* (rows, k) of the distance */
    int tables;                        /* that were made; 0: exact */
    double bound;                      /* hashed, within given: of pairs no farther apart than it, of every row alike,
                                        * at least this share is found in the mean over seeds; else NAN */
} rt_near;

/* For rt_near_free, also after an error. RT_RUN out of memory, RT_INTERRUPTED. */
rt_status rt_near_find(rt_near *, const rt_near_spec *);
void rt_near_free(rt_near *);
/* |a - b|^2 as above. */
double rt_near_square(const float *a, const float *b, int width);
/* The exact answer for `count` rows of x alone, as rt_near_find would give it for them. */
rt_status rt_near_some(rt_near *, const rt_near_spec *, const uint64_t *row, int count);
#endif
