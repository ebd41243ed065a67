/* experiments/jobs/clean_job.h - labels that are likely wrong, as files: the way in for 'retort clean'.
 *
 * {"from": predictions, a label store or an HDF5 file of probabilities, or a list of up to 64 of them with rows of
 * their own each, "set": data set of the probabilities, "head", "method": data/quality.h, "all": false, "block": rows
 * read at a time, "data": {"source", "x", "y", "names", "check"}}; in place of "from" {"folds": K, "train": a training
 * run's configuration or its file, "seed": 1, "work": folder}, experiments/clean/clean_folds.h.
 *
 * "find": "labels" (this), or "duplicates" or "outliers" (experiments/jobs/near_job.h).
 *
 * CSV, by rising row: row, given, suggested (with names where classes have some), self_confidence, normalized_margin,
 * quality, issue; the issues, or with "all" every row that has a label. Mask: u8 of all rows of the data, 0 for an
 * issue, as data set "keep" of an HDF5 file or as NPY. */
#ifndef RT_EXPERIMENTS_CLEAN_JOB_H
#define RT_EXPERIMENTS_CLEAN_JOB_H

#include "data/json.h"
#include "data/output.h"
#include "engine/device.h"
#include "engine/progress.h"

/* RT_USAGE when the configuration has an error that needs no look inside of a file. Adds defaults. */
rt_status rt_clean_check(cJSON *config);
/* mask->path NULL: none. */
rt_status rt_clean(cJSON *config, const rt_target *out, const rt_target *mask, rt_device *, const rt_progress *,
                   cJSON **result);
#endif
