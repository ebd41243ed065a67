/* experiments/gate/verdict.h - from what was measured to what is decided: three verdicts a limit, one exit code for
 * all. Pure functions. */
#ifndef RT_EXPERIMENTS_VERDICT_H
#define RT_EXPERIMENTS_VERDICT_H

#include "experiments/policy.h"

typedef enum {
    RT_PASSED,                         /* the whole interval is within the limit */
    RT_REGRESSED,                      /* the whole interval is beyond it */
    RT_OPEN,                           /* undecided: the limit lies in the interval, or the machine is too noisy */
    RT_NOT_MEASURED,
    RT_LISTED,                         /* not measured, of a limit of each class or slice: it does not count */
    RT_OUTCOMES
} rt_outcome;
extern const char *const rt_outcome_name[RT_OUTCOMES];

/* One limit, or one class or slice of one, with what was found. */
typedef struct {
    const rt_limit *limit;
    const rt_waiver *waiver;           /* NULL: none */
    char name[RT_LIMIT_NAME];
    char kernels[64];                  /* family, where several are asked for; else "" */
    rt_outcome outcome;
    double value, lo, hi;              /* what the limit is about, in the bad direction; NAN: not known */
    double baseline, candidate;        /* NAN: there is none */
    double p;                          /* one-sided, of a value that is at most the limit; NAN */
    uint64_t n, b, c;
    int shares;                        /* b and c are known */
    const char *method;
    char reason[256];                  /* why it is not measured or open; "" */
    double detects, undecided;         /* smallest drop that is found with 80 %; chance of RT_OPEN with no change */
} rt_finding;

/* Of the interval [lo, hi] against a limit: RT_PASSED where hi <= most, RT_REGRESSED where lo > most, else RT_OPEN. */
rt_outcome rt_decide(double lo, double hi, double most);
/* Regressions of one family (a limit of each class or slice, in one family of kernels) are claimed after Holm's
 * correction of their p at (1 - confidence) / 2, that they are regressions by chance alone; others become RT_OPEN. */
rt_status rt_verdict_claims(rt_finding *, int count, double confidence);
/* Of all: RT_GATE when a limit without a waiver regressed, else RT_NOTHING when one was not measured (or nothing was at
 * all, as where every class or slice is too small), else, unless
 * proven is enough, RT_UNDECIDED when one is open; else RT_OK. */
rt_status rt_verdict(const rt_policy *, const rt_finding *, int count);
#endif
