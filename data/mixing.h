/* data/mixing.h - how well an order that is no full permutation mixes the rows.
 *
 * Of the n rows of an epoch (one that is drawn more often, as its weight has it, counts so often), that of rank r (by
 * rising number, from 0) stands at place p. Over the first m places of the
 * first epoch, at most RT_MIXING_PLACES:
 *   displacement  sum of |p - r|, over what a uniform permutation gives on average, the sum over p of
 *                 (p (p + 1) + (n - 1 - p) (n - p)) / 2 n
 *   class_runs    runs of neighbouring places of one class (rows without a class left out), over the average of uniform
 *                 permutations, 1 + (m' - 1) (1 - sum over classes of c (c - 1) / N (N - 1)), for m' places with a
 * class and c rows of each class among the N rows that have one; NaN where no classes are known window_share  of the
 * rows, those that a place is drawn from: of windows of w rows the sum of (w / n)^2 Each is about 1 for a full
 * permutation. Blocks that are permuted move rows far, so that displacement alone says little; class_runs is what
 * training feels: of data sorted by class, a window of few blocks has few classes at a time. */
#ifndef RT_DATA_MIXING_H
#define RT_DATA_MIXING_H

#include "data/stream.h"

enum { RT_MIXING_PLACES = 1 << 20, RT_MIXING_TEXT = 320 };
/* Below this share of class runs an order is worth a warning: in a batch, pairs of one class are that much too many. */
#define RT_MIXING_LOW 0.9

typedef struct {
    int measured;                  /* 0: all rows are mixed, or none is moved, and nothing else is set */
    uint64_t places;
    double displacement, class_runs, window_share;
} rt_mixing;

/* Of the order of a stream by this specification, with its last batch. y: targets of a head of classes, or NULL. Labels
 * of all its rows are read, x is not. Fails as reading labels does, and RT_INTERRUPTED. */
rt_status rt_mixing_of(rt_mixing *, const rt_stream_spec *, const rt_targets *y);
/* In a line of words. */
void rt_mixing_text(const rt_mixing *, char text[RT_MIXING_TEXT]);
/* {"places", "displacement", "class_runs", "window_share"}; for the caller to delete. */
cJSON *rt_mixing_json(const rt_mixing *);
#endif
