/* data/select.h - which rows are worth a hand label: those that a model is least sure of, those that lie far from each
 * other, and both.
 *
 * Of N rows, p (N, K) are probabilities, h (N, D) features. Scores of uncertainty, the larger the sooner:
 *   entropy            -sum p ln p
 *   margin             1 - (p of the best class - p of the second)
 *   least confidence   1 - p of the best class
 * k-center (Sener and Savarese, arXiv 1708.00489): the row farthest (Euclid) from all that is chosen or labelled, again
 * and again; the first one is drawn where nothing is labelled.
 * BADGE (Ash et al., arXiv 1906.03671): k-means++ on g = (p - onehot(argmax p)) x h: the first row has the longest g,
 * each other one is drawn with probability in proportion to its squared distance from the nearest chosen g. g is never
 * formed: g_i . g_j = (a_i . a_j)(h_i . h_j).
 * Mix: k-center among the `pool` * n rows of the largest entropy.
 * Rows of one group are copies of each other: once one is chosen or labelled no other is. Ties go to the lower row. The
 * answer depends on what is given alone. Threads: one. */
#ifndef RT_DATA_SELECT_H
#define RT_DATA_SELECT_H

#include <stdint.h>

#include "engine/error.h"

typedef enum {
    RT_SELECT_ENTROPY, RT_SELECT_MARGIN, RT_SELECT_LEAST_CONFIDENCE, RT_SELECT_K_CENTER, RT_SELECT_BADGE,
    RT_SELECT_MIX
} rt_select_by;
extern const char *const rt_select_names[];           /* in this order, ended by NULL */

#define RT_NO_NEAR UINT64_MAX

typedef struct { uint64_t row; double score; uint64_t near; } rt_selected;
/* score: uncertainty; of k-center the distance to the nearest row that is chosen or labelled, which is `near`
 * (RT_NO_NEAR of the first); of BADGE the same of gradients. */

typedef struct {
    rt_select_by by;
    uint64_t rows, n;
    int classes, width;                /* K, D */
    const float *p;                    /* (rows, K); NULL with k-center */
    const float *h;                    /* (rows, D); NULL where by needs none; with BADGE NULL: h is 1 */
    const uint64_t *group;             /* (rows) the first row that each is a copy of; NULL: all rows differ */
    const unsigned char *labelled;     /* (rows); NULL: none */
    const unsigned char *left_out;     /* (rows) never chosen, for want of an answer; NULL: none */
    const double *draw;                /* (n) in [0, 1): what is drawn */
    int pool;                          /* of mix */
    int (*stop)(void);                 /* NULL: never */
} rt_select_spec;

double rt_uncertainty(const float *p, int classes, rt_select_by);
/* The rows in the order of their choice; out (n). RT_NOTHING when fewer than n different ones are left to choose
 * from. */
rt_status rt_select(rt_selected *out, const rt_select_spec *);
#endif
