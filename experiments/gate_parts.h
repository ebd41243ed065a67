/* experiments/gate_parts.h - what the files of the gate share: sides, findings, forms. */
#ifndef RT_EXPERIMENTS_GATE_PARTS_H
#define RT_EXPERIMENTS_GATE_PARTS_H

#include "engine/text.h"
#include "experiments/eval_data.h"
#include "experiments/gate.h"
#include "experiments/verdict.h"

/* The anchor takes the baseline's place where a limit is held against it. */
enum { RT_ANCHOR = RT_SIDES, RT_GATE_SIDES };

typedef struct {
    const rt_gate_spec *spec;
    rt_policy policy;
    rt_finding *found;
    int count, room;
    rt_comparison *comparison;
    char sha256[RT_GATE_SIDES][72];    /* "sha256:..." of a side's first file */
    cJSON *notes, *refused, *sides[RT_GATE_SIDES], *speed;
    double rows;
    double confidence;                 /* of the intervals of answers: the policy's, or what is left to this look */
    /* what a model costs: both sides opened once more */
    rt_teacher *teacher[RT_GATE_SIDES];
    cJSON *data_json;
    rt_eval_data data;
    rt_speed timing;
} rt_gate_work;

/* "sha256:..." of a file, as sha256sum gives it. */
rt_status rt_gate_sha256(char out[72], const char *path);
/* A finding more, of a limit; named as the limit with `what` in the place of "*" (NULL: as it is). NULL when out of
 * memory. */
rt_finding *rt_gate_find(rt_gate_work *, const rt_limit *, const char *what, const char *kernels);
/* The files of a side. */
const char *const *rt_gate_files(const rt_gate_spec *, int side, int *count);
extern const char *const rt_gate_side[RT_GATE_SIDES];      /* "baseline", "candidate", "anchor" */
/* Answers of all sides by this family of kernels ("": whichever is selected): opens the comparison with the baseline,
 * asks it for every limit on answers, describes the sides, closes it; the same with the anchor. */
rt_status rt_gate_answers(rt_gate_work *, const char *kernels);
/* Size and speed, as far as limits ask for them. */
rt_status rt_gate_costs(rt_gate_work *);
/* Closes what rt_gate_costs opened. */
void rt_gate_costs_end(rt_gate_work *);

/* "limit 0.005", value and interval of a limit of a verdict, as every form shows them. */
void rt_gate_put_bound(rt_string *, const cJSON *limit);
void rt_gate_put_value(rt_string *, const cJSON *limit);
void rt_gate_put_interval(rt_string *, const cJSON *limit);
/* What is to be said of a limit in a sentence: value, interval, limit, n, b and c, or why there is none. */
void rt_gate_put_detail(rt_string *, const cJSON *limit);
/* As JUnit XML. */
void rt_gate_junit(rt_string *, const cJSON *verdict);
#endif
