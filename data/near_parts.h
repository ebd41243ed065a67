/* data/near_parts.h - what the files of data/near.h share. */
#ifndef RT_DATA_NEAR_PARTS_H
#define RT_DATA_NEAR_PARTS_H

#include "data/near.h"

/* Rows of a block of the products; a block of others. */
enum { RT_NEAR_ROWS = 128, RT_NEAR_OTHERS = 1024 };

typedef struct {
    const rt_near_spec *s;
    rt_near *to;
    const float *o;                    /* the others */
    float *x_norm, *o_norm;            /* squares; o_norm is x_norm where they are the same */
    double error;                      /* E: rt_dots_error */
    int large;                         /* products may overflow */
} rt_near_job;

/* Squares of the rows' lengths, in double and then rounded. */
void rt_near_norms(float *norm, const float *x, uint64_t rows, int width);
/* Row i, whose list is number `at`, and others [j, j + n), of which dots tells the products: those are measured that
 * may be among its k nearest. */
void rt_near_offer(rt_near_job *, uint64_t at, uint64_t i, uint64_t j, int n, const float *dots);
/* One pair, whatever it is. */
void rt_near_measure(rt_near_job *, uint64_t at, uint64_t i, uint64_t j);
/* What (1 - E) |o|^2 - 2 x.o must not be above for the pair to be worth a look. */
double rt_near_limit(const rt_near_job *, uint64_t at, uint64_t i);
/* Space for lists of `rows` rows, all of them empty. */
rt_status rt_near_lists(rt_near *, uint64_t rows, int k);

rt_status rt_near_hashed(rt_near_job *);
#endif
