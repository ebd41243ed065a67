/* experiments/jobs/near_job.h - rows that are nearly copies of others, and rows that lie far from all, as files: the
 * ways "duplicates" and "outliers" of 'retort clean' (experiments/jobs/clean_job.h).
 *
 * {"find": "duplicates" | "outliers",
 *  "data": {"source", "x"}: the rows, whose numbers are compared, or in their place by the same numbers
 *  "features": "FILE.h5[:SET]" (x), or "model" and "layer" (what its first head is computed from): what that layer
 * makes of the rows of data.source, "metric": "euclid" | "cosine" (1 - cosine of the angle; rows of zeros are at 0 from
 * each other, at 1/2 from others), "exact": 200000: up to so many rows all pairs are compared, above they are hashed
 * (data/near.h), "seed": 1, of duplicates: "within": distance of what counts as a copy, by default 0.13 times the
 * median distance of 1,000 rows, drawn by the seed, to their nearest (cleanlab's rule), "recall": 0.99, "against":
 * "FILE.h5[:SET]", rows (or features) of another split: rows that have a copy there, not here, of outliers: "by":
 * "distance": the mean distance to the "k": 10 nearest rows; "energy": -log sum exp of the logits of "from",
 * predictions or a label store ("head") (Liu et al., 2020); "share": 0.01 of the rows are outliers, those of the
 * highest scores, "tables": 32 of the hashed way, "all": false}
 *
 * CSV of duplicates: row, of, distance: the nearest row before it, or of the other split, within the distance; of
 * several the lower. Rows that have none are not listed: of rows that are copies of each other the first one stays. CSV
 * of outliers: row, score, outlier; with "all" every row. Mask: 0 for a row that is listed as one. */
#ifndef RT_EXPERIMENTS_NEAR_JOB_H
#define RT_EXPERIMENTS_NEAR_JOB_H

#include "data/json.h"
#include "data/output.h"
#include "engine/device.h"
#include "engine/progress.h"

/* RT_USAGE when the configuration has an error that needs no look inside of a file. Adds defaults. */
rt_status rt_near_check(cJSON *config);
/* RT_USAGE when there are no more than k rows; rt_features_read's. */
rt_status rt_near_clean(cJSON *config, const rt_target *out, const rt_target *mask, rt_device *, const rt_progress *,
                        cJSON **result);
#endif
