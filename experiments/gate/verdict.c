#include "experiments/gate/verdict.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/statistics/statistics.h"

const char *const rt_outcome_name[RT_OUTCOMES] = {"pass", "regression", "undecided", "not measured", "listed"};

rt_outcome rt_decide(double lo, double hi, double most)
{
    return hi <= most ? RT_PASSED : lo > most ? RT_REGRESSED : RT_OPEN;
}

static int same_family(const rt_finding *a, const rt_finding *b)
{ return a->limit == b->limit && !strcmp(a->kernels, b->kernels); }

static int measured(const rt_finding *f) { return f->outcome != RT_NOT_MEASURED && f->outcome != RT_LISTED; }

/* f: the first of its family, of `left` findings; room holds 2 left numbers. */
static rt_status claim(rt_finding *f, int left, double alpha, double *room)
{
    int n = 0;
    for (int i = 0; i < left; i++)
        if (same_family(f, &f[i]) && measured(&f[i])) room[n++] = f[i].p;
    RT_TRY(rt_holm(room, n, room + n));
    for (int i = 0, k = 0; i < left; i++) {
        if (!same_family(f, &f[i]) || !measured(&f[i])) continue;
        double adjusted = room[n + k++];
        if (f[i].outcome != RT_REGRESSED || adjusted <= alpha) continue;
        f[i].outcome = RT_OPEN;
        snprintf(f[i].reason, sizeof f[i].reason,
                 "beyond the limit, but not after Holm's correction for %d classes or slices (p %.3g)", n, adjusted);
    }
    return RT_OK;
}

rt_status rt_verdict_claims(rt_finding *f, int count, double confidence)
{
    double *room = malloc((2 * (size_t)count + 1) * sizeof *room);
    rt_status st = room ? RT_OK : rt_fail(RT_RUN, "out of memory");
    for (int i = 0; i < count && !st; i++) {
        int first = f[i].limit->each;
        for (int k = 0; k < i && first; k++) first = !same_family(&f[k], &f[i]);
        if (first) st = claim(&f[i], count - i, (1 - confidence) / 2, room);
    }
    free(room);
    return st;
}

rt_status rt_verdict(const rt_policy *p, const rt_finding *f, int count)
{
    int any[RT_OUTCOMES] = {0}, decided = 0;
    for (int i = 0; i < count; i++) {
        if (!f[i].waiver) any[f[i].outcome]++;
        decided += measured(&f[i]);
    }
    if (any[RT_REGRESSED]) return RT_GATE;
    if (any[RT_NOT_MEASURED] || !decided) return RT_NOTHING;
    return any[RT_OPEN] && !p->proven ? RT_UNDECIDED : RT_OK;
}
