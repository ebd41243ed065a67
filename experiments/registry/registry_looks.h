/* experiments/registry/registry_looks.h - how often a test set has been used: each decision on it is one more look.
 *
 * A decision is one candidate against one baseline (and anchor) by one policy, whatever the files are called and
 * however often it is made again: only the first time counts. It is counted before anything is compared, within one
 * transaction, so that of gates that run at once each has a number of its own, and a gate that is killed has used the
 * rows. */
#ifndef RT_EXPERIMENTS_REGISTRY_LOOKS_H
#define RT_EXPERIMENTS_REGISTRY_LOOKS_H

#include "experiments/registry/registry.h"

typedef struct {
    const char *test_set;              /* digest of the rows with their truths */
    const char *baseline, *candidate;  /* digests of the models */
    const char *anchor;                /* SHA-256 of its file; "": there is none */
    const char *policy;                /* digest: rt_registry_policy_digest */
} rt_look_of;

typedef struct {
    int number;                        /* of this decision among those on the test set, from 1; 0: not counted */
    int decisions;                     /* on the test set, this one with them */
    int again;                         /* it had been made before */
} rt_look;

/* Counts it. Not counted, and nothing is written, where the registry cannot be written, or where it is a new one and
 * `most` decisions (0: any number) were made already. */
rt_status rt_registry_look(rt_registry *, const rt_look_of *, int most, rt_look *);
/* The same within a transaction at hand. */
rt_status rt_registry_take_look(rt_registry *, const rt_look_of *, int most, rt_look *);
/* Decisions on a test set so far. */
rt_status rt_registry_decisions(rt_registry *, const char *test_set, int *count);
/* How many anchors were ever pinned: none is taken back, so another number tells that there is another one. */
rt_status rt_registry_pins(rt_registry *, int64_t *count);
/* SHA-256 of a policy as JSON with its keys in order. */
rt_status rt_registry_policy_digest(char out[RT_SHA256], const cJSON *policy);
#endif
