/* experiments/registry/history.h - one metric over the versions of a name, from what its registry keeps of them.
 *
 * History ("retort-history-1"), the master of the page:
 *   registry, name, metric, better ("higher", "lower"), kind: "quality" (of rows), "size", "speed" (of a machine);
 * tool, time versions       [{number, version: "student@3", time, sha256, note, tags, releases: that it is the anchor
 * of; value, lo, hi; source: "evaluation" or "gate"; test_set, machine: places in the lists below, or null; joined:
 * whether a line leads here from the version before that has a value; gate: of the last gate run with it as the
 * candidate {verdict, baseline, time, alpha, runs}, or null; step: drop since that version before; anchor: {number,
 * release} in force, drop, drop_lo, drop_hi, drop_limit, drop_from: "pairs" or "values"; why_none: in the place of a
 * number}] test_sets      [{data, rows}]; decisions: gates on the test set of the newest verdict machines
 * [{fingerprint, cpu, kernels, threads}] metrics        that this name has; notes
 *
 * The value of a version is that of its newest evaluation on the newest version's test set (of speed: on its machine),
 * else on that of the version before, else of its newest evaluation; where it has none, what the newest gate run with
 * it as the candidate has measured. A line never joins two test sets, and of speed never two machines. A drop is in the
 * bad direction: since an anchor it is that of pairs of rows, with its interval, where a gate compared them; else the
 * difference of both values, which has none. The anchor in force is the last version up to this one that was pinned. */
#ifndef RT_EXPERIMENTS_HISTORY_H
#define RT_EXPERIMENTS_HISTORY_H

#include "data/json.h"
#include "data/output.h"
#include "engine/text.h"
#include "experiments/registry/registry.h"

/* metric NULL: accuracy, else the first that the newest version has. last: versions, the newest ones; 0: all.
 * RT_NOTHING when the name has no version, or none with this metric, with the nearest. */
rt_status rt_history(rt_registry *, const char *name, const char *metric, int last, cJSON **history);
/* For a terminal; the caller frees. NULL when out of memory. */
char *rt_history_screen(const cJSON *history);
/* One page, without a script and with nothing from elsewhere, into an rt_string. */
void rt_history_html(rt_string *, const cJSON *history);
/* The page as a file; an existing one is replaced by force alone, and only as retort wrote it. */
rt_status rt_history_write(const cJSON *history, const rt_target *);
#endif
