/* experiments/policy.h - what a candidate may lose against its baseline: the policy of a gate, as JSON.
 *
 * {"format": "retort-policy-1", "mode": "noninferior" | "proven", "confidence": 0.95, "seed": 1,
 *  "baseline": "sha256:..." or "xxh128:..." (of the file given as baseline; of the model, as retort calls it), "head",
 *  "against": "baseline" | "anchor", "spending": "none" | "obrien_fleming" | "pocock", "releases": 12,
 *  "limits": [{"metric", "head", "class", "slice": "COLUMN=VALUE", "against", "min_rows", "note", and one bound}, ...],
 *  "waivers": [{"limit": a limit's name, "until": "YYYY-MM-DD", "reason"}, ...],
 *  "speed": {"seconds": 60, "rounds": 40, "samples": 8000, "price_per_hour": 0, "copies": 1}}
 *
 * Bounds: max_drop and max_drop_rel of metrics of each side (a drop is baseline minus candidate in the bad direction;
 * max_drop_rel divides it by the baseline's value), and of the candidate's own number min where higher is better, else
 * max; max or min of metrics of the pair; max_ratio of costs (candidate over baseline, of a rate baseline over
 * candidate), max_us of latencies, max of sizes. A class or slice value "*" is
 * one limit for each that has none of its own. A limit's name is its metric, then against=, head=, class= and slice= as
 * far as it has them: "recall class=6".
 *
 * "against": "anchor" of a limit (or of the policy: of every limit with two sides that says nothing else) holds it
 * against the anchor too, a version that was pinned at a release, under the name "accuracy against=anchor"; so that
 * small drops, each of them allowed, cannot add up. A limit of the same name and bound without "against" takes the
 * baseline's place, and may be another number.
 *
 * "spending" divides 1 - confidence over so many "releases", decisions on the same test set
 * (experiments/gate/spending.h); "none" with "releases" warns when they are over. */
#ifndef RT_EXPERIMENTS_POLICY_H
#define RT_EXPERIMENTS_POLICY_H

#include "experiments/eval/comparison.h"
#include "experiments/speed.h"
#include "experiments/gate/spending.h"

enum { RT_LIMIT_NAME = 256, RT_POLICY_LIMITS = 256, RT_POLICY_RELEASES = 1000 };

typedef enum { RT_MAX_DROP, RT_MAX_DROP_REL, RT_MAX, RT_MIN, RT_MAX_RATIO, RT_MAX_US, RT_BOUNDS } rt_bound;
extern const char *const rt_bound_name[RT_BOUNDS];

/* What a model costs. size: a number of the file, not of the clock. */
typedef enum { RT_FILE_BYTES, RT_MEMORY_BYTES, RT_PARAMETERS, RT_MACS, RT_TIMED } rt_cost_size;
typedef struct {
    const char *name;
    rt_cost_size size;
    rt_scenario scenario;              /* of what is timed */
    int quantile;
    const char *help;
} rt_cost_metric;
enum { RT_COST_METRICS = 13 };
extern const rt_cost_metric rt_cost_metrics[RT_COST_METRICS];

typedef struct {
    char name[RT_LIMIT_NAME];
    const char *metric, *head, *class, *note;  /* "": not given */
    char column[128];                  /* of the slice; "": none */
    const char *value;
    const rt_cost_metric *cost;        /* NULL: a metric of answers */
    rt_bound bound;
    double most;                       /* of RT_MIN: least */
    uint64_t min_rows;
    int each;                          /* class or slice is "*" */
    int anchor;                        /* its baseline is the anchor */
    int index;                         /* of "limits" */
} rt_limit;

typedef struct { const char *limit, *until, *reason; } rt_waiver;

typedef struct {
    cJSON *json;                       /* with all defaults; texts belong to it */
    int proven;                        /* mode: undecided is a warning */
    double confidence;
    uint64_t seed;
    const char *baseline, *head;       /* "": not given */
    rt_spending spending;
    int releases;                      /* 0: not given */
    rt_limit *limit;
    int limits, anchored;              /* anchored: of them, those against the anchor */
    rt_waiver *waiver;
    int waivers;
    double seconds, price;             /* price: of an hour of the machine; 0: not told */
    int rounds, samples, copies;
    unsigned scenarios;                /* that limits need */
} rt_policy;

/* Days since 1970-01-01 of a date, "YYYY-MM-DD"; -1 where it is none. */
long rt_days(const char *date);
/* Reads and checks a policy; today: as rt_days, in UTC. RT_USAGE says what is wrong with it: a metric or key that there
 * is not (with the nearest name), a limit given twice or that nothing could break, a waiver that has expired or waives
 * nothing. For rt_policy_free, also after an error. */
rt_status rt_policy_read(rt_policy *, const char *path, long today);
/* The same of JSON, which it takes. */
rt_status rt_policy_take(rt_policy *, cJSON *json, const char *name, long today);
void rt_policy_free(rt_policy *);

/* The waiver of a limit, or of one class or slice of it, by names; NULL. */
const rt_waiver *rt_policy_waiver(const rt_policy *, const rt_limit *, const char *name);
/* Whether it bounds the candidate's own number, to which no other side matters. */
int rt_limit_is_alone(const rt_limit *);
/* The head that a limit is about: its own, or the policy's; "": the first. */
const char *rt_limit_head(const rt_policy *, const rt_limit *);
/* RT_USAGE unless the digests, as "sha256:..." and "xxh128:...", are those that the policy names. */
rt_status rt_policy_check_baseline(const rt_policy *, const char *path, const char *sha256, const char *xxh128);
#endif
