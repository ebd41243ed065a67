/* experiments/jobs/select_job.h - rows to label by hand, chosen (data/select.h) from what a model said of them.
 *
 * {"from": predictions or a label store, of one head of classes, "n", "by": "badge", "seed": 1 (of k-center and badge),
 *  "pool": 10 (of mix), "features": "FILE.h5[:SET]" (x), by the rows' numbers, in place of the probabilities,
 *  "data": "FILE.h5[:SET]" (x), equal rows of which are copies; without it ids tell if they are hashes, or the file
 * that a store was made of, where that is, "labelled": CSV whose first column is the row} */
#ifndef RT_EXPERIMENTS_SELECT_JOB_H
#define RT_EXPERIMENTS_SELECT_JOB_H

#include "data/json.h"
#include "data/output.h"
#include "data/select.h"

enum { RT_SELECT_MOST = 1 << 24 };

/* RT_USAGE when the configuration has an error that needs no look at files. Adds defaults. */
rt_status rt_select_check(cJSON *config);
/* Writes CSV, a line for each row in the order of their choice: row, id (of the predictions, or the hash of the row, or
 * nothing where neither is known), score, why. RT_NOTHING when fewer different rows are there; RT_INPUT for features or
 * labelled rows that do not fit. Answers and features are held in memory. */
rt_status rt_select_rows(cJSON *config, const rt_target *out, cJSON **result);
#endif
