/* data/vote_job.h - what label stores and columns of data sets say of rows, as one store of soft labels.
 *
 * Configuration:
 *   voters     list of "LABELS.h5" (a store of one head of classes: its best class, the lower of equals; rows without a
 *              label abstain) and "DATA.h5:SET" (whole numbers, -1 or NaN abstains; a set of several columns is as many
 *              voters)
 *   data       source, x, check, names: whose rows they are. Without source: what the first store was made of, or the
 *              first column's file
 *   truth      "DATA.h5:SET": classes that are known of some rows, for accuracies alone
 *   vote       method, priors, tolerance, iterations (data/votes.h)
 *   labels     type
 * The store's logits are ln p, at least -30; rows without a vote have RT_LABEL_ABSTAINED and no label. */
#ifndef RT_DATA_VOTE_JOB_H
#define RT_DATA_VOTE_JOB_H

#include "data/json.h"
#include "data/output.h"
#include "engine/pool.h"
#include "engine/progress.h"

enum { RT_VOTE_CONFUSION = 100 /* classes up to which the result tells confusions */, RT_VOTE_ROWS = 100 };

/* RT_USAGE when the configuration has an error that needs no look at files. Adds defaults. */
rt_status rt_vote_check(cJSON *config);
/* RT_INPUT with one line for voters of other classes (matched by name) or rows, and where all abstain from every row.
 * *result: what was found; overruled.rows has the first RT_VOTE_ROWS of its rows. */
rt_status rt_vote(cJSON *config, const rt_target *out, rt_pool *, const rt_progress *, cJSON **result);
#endif
