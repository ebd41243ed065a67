/* experiments/gate/gate.h - one candidate against one baseline by a policy (experiments/policy.h): the way in for
 * 'retort gate'.
 *
 * Verdict ("retort-verdict-2"), the master of every other form:
 *   verdict        "pass", "regression", "undecided", "not measured" or "not comparable"; exit_code, which it ends with
 *   command        what does the same again, in the words of a shell
 *   mode, confidence, seed, policy: what was asked for, with defaults. tool, time (UTC), machine, kernels
 *   baseline, candidate, anchor (where a limit is held against it): a side as "comparison" of an evaluation has it
 *                  (experiments/eval/comparison_result.h), and sha256 of its first file. Version 1 had "path", "model"
 *                  and "data" for "file", "model_digest" and "data_digest"
 *   test_set       digest of the rows; with a registry also decisions that were made on them, this one's number among
 *                  them (look), whether it was made before (again), releases, spending, and of alpha (two-sided) what
 *                  this look has, what is spent with it, and all of it. confidence is 1 - alpha then: of answers alone,
 *                  as costs are measured anew
 *   counts         limits by outcome; a limit with a waiver counts as "waived" in place of what it is
 *   refused        why the sides cannot be compared at all: rows that were seen in training
 *   limits         [{name, metric, bound, limit, outcome; value, lo, hi: what is bounded, in the bad direction, and its
 *                  interval; baseline, candidate; n, b, c; p; method; reason; waiver; power}], where known; null is
 *                  "not defined", with the reason
 *   heads          of candidate and baseline, by the first family of kernels: of each head of classes "per_class" (of
 *                  recall) and "flips", as "comparison" of an evaluation has them
 *   power          of a limit: detects, the smallest true drop that is called a regression with a chance of 80 %;
 *                  undecided_if_unchanged, the chance of no verdict where nothing changed
 *   speed          noise (experiments/speed.h), and what was measured of both sides
 *   stored_speeds  what a registry has of the sides' models, of limits on speed: {side, version, metric, value, unit,
 *                  time, cpu, same_machine}. Shown, and never held against a limit
 *   notes */
#ifndef RT_EXPERIMENTS_GATE_H
#define RT_EXPERIMENTS_GATE_H

#include "data/json.h"
#include "data/output.h"
#include "engine/device.h"
#include "engine/progress.h"

typedef struct {
    const char *const *baseline, *const *candidate;        /* files; several models are an ensemble */
    int baselines, candidates;
    const char *const *anchor;     /* the same, of limits that are held "against" it; where the policy has one */
    int anchors;
    const char *policy;
    const char *registry; /* folder: counts decisions on a test set, keeps the verdict, and has the anchor where
                           * none is given; NULL: nothing is counted */
    cJSON *data;                   /* "data" of 'retort eval'; NULL: both sides are predictions */
    int common, allow_same, all_kernels;
    long today;                    /* rt_days; 0: by the clock */
    rt_device *device;
    rt_precision precision;        /* that both sides are computed in */
    const rt_progress *progress;
} rt_gate_spec;

/* Decides, and when out is not NULL writes verdict.json, gate.md, junit.xml, gate.html and gate.xxh128 with their
 * hashes into that folder, which is opened before the work; nothing is replaced without force. *verdict is for the
 * caller to delete; NULL after an error. Returns what the process ends with: RT_OK, RT_GATE, RT_NOTHING and
 * RT_UNDECIDED with a verdict; RT_USAGE (arguments, policy), RT_INPUT, RT_RUN, RT_NOTHING (the sides are the same
 * model, or their rows differ) and RT_INTERRUPTED without one. */
rt_status rt_gate(const rt_gate_spec *, const rt_target *out, cJSON **verdict);
/* Writes a policy for this baseline (spec->candidate and policy are not looked at) as out->path: limits as small as its
 * rows can tell, each with a note that says so. An existing file is replaced by force alone, and only a policy.
 * *result: {"policy", "baseline", "rows", "limits"}. */
rt_status rt_gate_init(const rt_gate_spec *, const rt_target *out, cJSON **result);

/* Forms of a verdict. The screen is for a terminal: what did not pass first, 24 lines at most; the caller frees. NULL
 * when out of memory. */
char *rt_gate_screen(const cJSON *verdict);
/* Commands of GitHub Actions, a line each: an error for what regressed or could not be measured, a warning for what is
 * undecided, a notice for what is waived; the caller frees. */
char *rt_gate_annotations(const cJSON *verdict);
/* The Markdown of gate.md, whose first line marks it for one comment that is renewed; the caller frees. */
char *rt_gate_markdown(const cJSON *verdict);
#endif
