#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/precision.h"
#include "experiments/chances.h"
#include "experiments/gate/gate_parts.h"

/* Of rows that flip between two good versions of one model, where no second one is there to count. */
static const double flips = 0.05, chance = 0.8, confidence = 0.95;
enum { ENOUGH = 200 };                 /* rows of a class or slice that are worth a limit */

/* Up to two digits: a limit is read by people. */
static double rounded(double x)
{
    double unit = pow(10, floor(log10(x)) - 1);
    return ceil(x / unit - 1e-9) * unit;
}

/* The smallest drop that n rows find where `flips` of them flip, or as many as a drop takes that they find at all. */
static double found_by(double n, double *psi)
{
    *psi = flips;
    double drop;
    while (isnan(drop = rt_power_mcnemar(n, *psi, confidence, chance)) && *psi < 1) *psi = fmin(1, *psi * 1.1);
    return isnan(drop) ? 1 : drop;
}

static cJSON *add_limit(cJSON *limits, const char *metric, const char *head)
{
    cJSON *l = cJSON_CreateObject();
    cJSON_AddItemToArray(limits, l);
    cJSON_AddStringToObject(l, "metric", metric);
    if (*head) cJSON_AddStringToObject(l, "head", head);
    return l;
}

/* A limit on a share that n rows can tell apart from nothing. */
static void bound_share(cJSON *l, uint64_t n, const char *of)
{
    char note[256];
    double psi, drop = found_by((double)n, &psi);
    cJSON_AddNumberToObject(l, "max_drop", rounded(drop));
    snprintf(note, sizeof note, "%llu rows%s find a drop of %.2g with 80 %% where %.2g %% of them flip; as often an "
             "unchanged model passes this limit", (unsigned long long)n, of, drop, 100 * psi);
    cJSON_AddStringToObject(l, "note", note);
}

static rt_status rows_of(rt_comparison *c, rt_question *q, const char *metric, uint64_t *n)
{
    rt_delta d;
    q->metric = rt_paired_metric_find(RT_TASK_CLASSES, metric);
    if (!q->metric) return RT_USAGE;
    RT_TRY(rt_comparison_ask(c, q, &d));
    *n = d.n;
    return rt_check_stop();
}

/* A limit of each class or slice, as wide as the smallest that has enough rows needs. */
static void bound_each(cJSON *limits, const char *metric, const char *head, const char *key, const char *value,
                       uint64_t least)
{
    cJSON *l = add_limit(limits, metric, head);
    cJSON_AddStringToObject(l, key, value);
    bound_share(l, least, " (the fewest that are enough)");
    cJSON_AddNumberToObject(l, "min_rows", ENOUGH);
}

static rt_status add_classes(cJSON *limits, rt_comparison *c, int h, const rt_head *head, const char *name)
{
    rt_question q = {.head = h, .class = -1, .confidence = confidence, .seed = 1};
    const char *const *column;
    uint64_t n, least = UINT64_MAX;
    RT_TRY(rows_of(c, &q, "accuracy", &n));
    if (!n) return RT_OK;
    bound_share(add_limit(limits, "accuracy", name), n, "");
    for (int k = 0; k < head->size; k++) {
        uint64_t rows;
        q.class = k;
        RT_TRY(rows_of(c, &q, "recall", &rows));
        if (rows >= ENOUGH && rows < least) least = rows;
    }
    if (least != UINT64_MAX) bound_each(limits, "recall", name, "class", "*", least);
    q.class = -1;
    int columns = rt_comparison_columns(c, h, &column);
    for (int i = 0; i < columns; i++) {
        const rt_slice *slice;
        int count;
        char value[160];
        static const char *const own[] = {"class", "predicted", "confidence"};
        int built_in = !strncmp(column[i], "input.", 6);
        for (int k = 0; k < 3; k++) built_in |= !strcmp(column[i], own[k]);
        if (built_in) continue;
        RT_TRY(rt_comparison_slices(c, h, column[i], &slice, &count));
        least = UINT64_MAX;
        for (int k = 0; k < count; k++) {
            uint64_t rows;
            q.slice = &slice[k];
            RT_TRY(rows_of(c, &q, "accuracy", &rows));
            if (rows >= ENOUGH && rows < least) least = rows;
        }
        q.slice = NULL;
        snprintf(value, sizeof value, "%.120s=*", column[i]);
        if (least != UINT64_MAX) bound_each(limits, "accuracy", name, "slice", value, least);
    }
    double psi, drop = found_by((double)n, &psi);
    cJSON *nfr = add_limit(limits, "nfr", name);
    cJSON_AddNumberToObject(nfr, "max", rounded(fmin(0.99, psi / 2 + drop)));
    cJSON_AddStringToObject(nfr, "note",
                            "rows that the baseline has right and the candidate has not: half of those that "
                            "flip, and the drop that is allowed");
    return RT_OK;
}

static void add_number(cJSON *limits, const char *metric, const char *head, const char *bound, double most,
                       const char *note)
{
    cJSON *l = add_limit(limits, metric, head);
    cJSON_AddNumberToObject(l, bound, most);
    cJSON_AddStringToObject(l, "note", note);
}

static rt_status add_limits(cJSON *limits, rt_comparison *c)
{
    static const char unknown[] = "what these rows find depends on how far both models differ row by row: a gate's "
                                  "verdict says it";
    int heads;
    const rt_head *head = rt_comparison_heads(c, &heads);
    for (int h = 0; h < heads; h++) {
        const char *name = heads > 1 ? head[h].name : "";
        switch (head[h].task) {
        case RT_TASK_CLASSES: RT_TRY(add_classes(limits, c, h, &head[h], name)); break;
        case RT_TASK_MULTILABEL: add_number(limits, "micro_f1", name, "max_drop", 0.01, unknown); break;
        default: add_number(limits, "rmse", name, "max_drop_rel", 0.02, unknown);
        }
    }
    if (rt_comparison_side(c, RT_BASELINE)->stored) return RT_OK;
    add_number(limits, "latency_p50", "", "max_ratio", 1.1, "below 1.03 the noise that is allowed for is as large");
    add_number(limits, "file_bytes", "", "max_ratio", 1.05, "exact");
    return RT_OK;
}

static rt_status write_policy(rt_output *out, const cJSON *policy)
{
    rt_string text = {0};
    char *json = rt_json_text(policy, 1);
    int fd;
    if (json) rt_put(&text, "%s\n", json);
    free(json);
    if (!text.p || text.failed) {
        free(text.p);
        return rt_fail(RT_RUN, "out of memory");
    }
    rt_digest digest = rt_digest_of(text.p, text.n);
    rt_status st = rt_output_create(out, &fd);
    if (!st) st = rt_write_all(fd, text.p, text.n, rt_output_path(out));
    if (!st) rt_output_mark(out, &digest);
    if (!st) st = rt_output_commit(out);
    free(text.p);
    return st;
}

static rt_status make_policy(const rt_gate_spec *g, cJSON *policy, double *rows)
{
    rt_comparison *c;
    char sha256[72];
    cJSON *data = g->data ? cJSON_Duplicate(g->data, 1) : NULL;
    rt_teacher_spec baseline = rt_teacher_of_files(g->baseline, g->baselines);
    rt_comparison_spec spec = {
        .side = {&baseline, &baseline}, .data = data, .device = g->device, .progress = g->progress};
    rt_status st = rt_gate_sha256(sha256, g->baseline[0]);
    if (!st) st = rt_comparison_open(&c, &spec);
    if (!st) {
        cJSON_AddStringToObject(policy, "format", "retort-policy-1");
        cJSON_AddStringToObject(policy, "mode", "noninferior");
        cJSON_AddNumberToObject(policy, "confidence", confidence);
        cJSON_AddNumberToObject(policy, "seed", 1);
        cJSON_AddStringToObject(policy, "baseline", sha256);
        cJSON *limits = cJSON_AddArrayToObject(policy, "limits");
        cJSON_AddArrayToObject(policy, "waivers");
        *rows = (double)rt_comparison_rows(c);
        st = add_limits(limits, c);
        if (!st && !limits->child)
            st = rt_fail(RT_NOTHING, "%s: no row has a label, and a limit takes some", g->baseline[0]);
        rt_comparison_close(c);
    }
    cJSON_Delete(data);
    return st;
}

rt_status rt_gate_init(const rt_gate_spec *g, const rt_target *target, cJSON **result)
{
    const char *inputs[RT_TEACHER_MODELS + 2] = {NULL};
    rt_output *out = NULL;
    cJSON *policy = cJSON_CreateObject();
    double rows = 0;
    int n = 0;
    *result = NULL;
    for (int i = 0; i < g->baselines && i < RT_TEACHER_MODELS; i++) inputs[n++] = g->baseline[i];
    inputs[n] = rt_source_in(g->data);
    rt_status st = rt_precision_take(g->device, g->precision, "precision");
    if (!st) st = rt_output_take(&out, target, inputs);
    if (!st) st = rt_output_may_replace(out, RT_OUTPUT_EXPORT);
    if (!st) st = make_policy(g, policy, &rows);
    if (!st) st = write_policy(out, policy);
    if (!st) {
        cJSON *r = *result = cJSON_CreateObject();
        cJSON_AddStringToObject(r, "policy", rt_output_path(out));
        cJSON_AddStringToObject(r, "baseline",
                                cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(policy, "baseline")));
        cJSON_AddNumberToObject(r, "rows", rows);
        cJSON_AddItemToObject(r, "limits", cJSON_DetachItemFromObjectCaseSensitive(policy, "limits"));
    }
    rt_output_end(out);
    cJSON_Delete(policy);
    return st;
}
