/* experiments/select_job.h - rows to label by hand, chosen (data/select.h) from what a model said of them. */
#ifndef RT_EXPERIMENTS_SELECT_JOB_H
#define RT_EXPERIMENTS_SELECT_JOB_H

#include "data/json.h"
#include "data/output.h"
#include "data/select.h"

typedef struct {
    const char *from;                  /* predictions, or a label store; one head of classes */
    rt_select_by by;
    uint64_t n, seed;
    int pool;                          /* of mix */
    const char *features;              /* "FILE.h5[:SET]" (x), by the rows' numbers; NULL: the probabilities */
    const char *data;                  /* "FILE.h5[:SET]" (x): equal rows in it are copies; NULL: by ids if hashes,
                                        * or by the file that a store was made of, where that is */
    const char *labelled;              /* CSV whose first column is the row; NULL: none */
} rt_select_request;

enum { RT_SELECT_MOST = 1 << 24 };

/* Writes CSV, a line for each row in the order of their choice: row, id (of the predictions, or the hash of the row, or
 * nothing where neither is known), score, why. RT_NOTHING when fewer different rows are there; RT_INPUT for features or
 * labelled rows that do not fit. Answers and features are held in memory. */
rt_status rt_select_rows(const rt_select_request *, const rt_target *out, cJSON **result);
#endif
