/* experiments/clean/clean_strata.h - folds that have of each class the same number of rows, but for one, and are of the
 * same size, but for one.
 *
 * Row j of the n rows of class c, in the data's order, is of fold (p + o) mod K: p is where rt_permute(j, n, seed,
 * RT_RNG_HELD, c + 1, 0) takes it, o the number of rows of the classes below c. Rows without a label are a class below
 * all others, c = -1. So the folds follow from seed, labels and range alone. */
#ifndef RT_EXPERIMENTS_CLEAN_STRATA_H
#define RT_EXPERIMENTS_CLEAN_STRATA_H

#include "experiments/clean/clean_input.h"

typedef struct {
    uint64_t rows;
    unsigned char *fold;               /* (rows) a fold, or RT_NO_FOLD outside of the range */
    int classes, rare;                 /* with labels; of these with fewer rows than there are folds */
    rt_digest digest;
} rt_strata;

/* in: the data, and where its labels are. RT_USAGE when the range has fewer rows than there are folds; as the reading
 * of labels fails otherwise. */
rt_status rt_strata_draw(rt_strata **out, const rt_clean_input *in, const char *range, int folds, uint64_t seed);
void rt_strata_free(rt_strata *);
/* As data set "fold" of a file that data.fold_by takes. RT_USAGE when another's file is there. */
rt_status rt_strata_save(const rt_strata *, const char *path);
#endif
