/* experiments/eval/evaluator.h - a teacher and students, or any models, side by side: quality, size, speed, in one run.
 *
 * Configuration: {"teacher": model or list, "students": [model, ...], "names": [..., teacher first],
 *  "data": {"source", "x", "y", "names", "rows", "test", "test_seed"},
 *  "eval": {"speed": true, "latency_samples": 2000, "seconds": 1, "rounds": 10}, "speed": {"seconds": 10}}
 * and {"baseline": model, ensemble or predictions, "candidate": the same, "compare": {"common": false, "find_slices":
 *  false, "confidence": 0.95, "seed": 1}, "data": {"id", "slices"}}, for which both are models before the others, and
 * "comparison" of the result (experiments/eval/comparison_result.h).
 * The reference, which the others are compared with, is the baseline, or the teacher, or the first student.
 *
 * Numbers of the result ("retort-evaluation-2"), which is the master of every report. n: rows with a label.
 *   accuracy        share of the n rows whose answer (largest logit, of equal ones the first) is the label;
 *                   accuracy_95: Wilson's interval
 *   top5, balanced_accuracy, macro_f1, ..., adaptive_ece: the metrics of student/metrics.h
 *   reliability     the bins of ece
 *   per_class       rows, answered, right; precision, recall, F1, null where there is nothing to divide by
 *   confusion       [truth][answer], up to 256 classes
 *   agreement       share of all rows, labelled or not, with the reference's answer
 *   kl_from_teacher, kl_from_reference: mean over all rows of sum q (log q - log p), nats; q the reference's softmax
 *   mcnemar_vs_reference   labelled rows that one of the two alone has right, exact two-sided p
 *   rows_seen_in_training  rows of the evaluation that the model or an ancestor was trained or chosen on, found by the
 *                   identity of the data: equal rows in another file are not found. seen: by whom
 *   latency_batch1_1thread, latency_batch8_1thread, throughput, cold_start_us, joules_per_row: experiments/speed.h.
 *                   p50 is the median; p90, p99, p99.9 are early-stopping estimates (statistics.h), over all calls, and
 *                   over the undisturbed ones. Microseconds; rows a second, by batch size, as the median, the lowest
 * and the highest of the rounds speed_vs_reference  ratios, above 1 where this model is slower, with 95 % intervals;
 * null where the machine was too noisy, which "speed" of the evaluation tells What is not defined is null, with the
 * reason under "undefined". "notes" says in words what a reader must know. */
#ifndef RT_EXPERIMENTS_EVALUATOR_H
#define RT_EXPERIMENTS_EVALUATOR_H

#include "data/json.h"
#include "data/output.h"
#include "engine/device.h"
#include "engine/progress.h"

/* Evaluates and, when out is not NULL, writes the report's files into that folder (report.h: tried before the work;
 * force replaces files of a run that were changed since) and names the page as "report" in *result, which the caller
 * deletes. RT_NOTHING when there is nothing to measure or to compare. Speed of one call at a time: one evaluation a
 * process. */
rt_status rt_evaluate(cJSON *config, const rt_target *out, rt_device *, const rt_progress *, cJSON **result);
/* Checks the configuration without opening a file. */
rt_status rt_evaluate_check(cJSON *config);
#endif
