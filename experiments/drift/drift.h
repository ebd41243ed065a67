/* experiments/drift/drift.h - whether newer data is still like the data that a model was made and judged with: the way
 * in for 'retort drift'.
 *
 * A side is a data set, or a file of predictions (experiments/eval/predictions.h). Each of its columns is looked at,
 * each class, and with a model its answers, how sure it is of them, and its features. Columns, labels and classes pair
 * by name. A check ends as drift       the effect is beyond its limit, and p, by Holm's correction over all checks, is
 * at most alpha none        the effect is within its limit, and one beyond it would have been significant undecided
 * neither: there are too few rows
 *
 * Result ("retort-drift-1"), the master of every other form:
 *   verdict, exit_code     "drift" (1) where any check is, else "undecided" (6), else "none" (0)
 *   reference, data        path, digest (of the content), rows, sampled; model {path, digest, kernels}; tool, time,
 * seed limits                 what was asked for, with defaults; counts: checks by verdict checks [{name, kind, column,
 * test, statistic, p, p_holm, effects: [{name, value, limit, detects}], verdict, reason}] columns [{name, group, kind,
 * reference, data: {rows, missing, ...}, psi, ks, bins}] accuracy               of each head of classes: of the
 * reference, and what is expected of the data unlike                 share of rows unlike the reference, and those that
 * are most notes */
#ifndef RT_EXPERIMENTS_DRIFT_H
#define RT_EXPERIMENTS_DRIFT_H

#include "data/json.h"
#include "data/output.h"
#include "engine/device.h"
#include "engine/progress.h"

/* {"reference": {"source", ...}, "data": {"source", ...}, "model", "limits": file or object, "sample", "seed",
 * "allow_same", "precision"}. RT_USAGE for an error that needs no look at a file. */
rt_status rt_drift_check(cJSON *config);
/* Compares, and when out is not NULL writes drift.json, drift.txt, drift.csv, drift.html and drift.xxh128 with their
 * hashes into that folder. *result is for the caller to delete; NULL after an error. RT_OK, RT_GATE (drift) and
 * RT_UNDECIDED with a result; RT_USAGE, RT_INPUT (files, columns that do not pair), RT_NOTHING (no rows, the same rows
 * twice), RT_RUN and RT_INTERRUPTED without. Equal data, settings and kernels give an equal result but for time. */
rt_status rt_drift(cJSON *config, const rt_target *out, rt_device *, const rt_progress *, cJSON **result);
/* For a terminal: what is not "none" first; the caller frees. NULL when out of memory. */
char *rt_drift_screen(const cJSON *result);
#endif
