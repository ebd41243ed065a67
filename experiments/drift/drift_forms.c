/* experiments/drift/drift_forms.c - a look at drift for a terminal and for a spreadsheet. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/drift/drift_parts.h"
#include "experiments/report/report_parts.h"

enum { MOST_LINES = 30 };

static void put_side(rt_string *t, const char *word, const cJSON *side)
{
    rt_put(t, "%-10s ", word);
    rt_put_plain(t, rt_text(side, "path"));
    rt_put(t, "  (%.8s, %.0f rows)\n", rt_text(side, "digest"), rt_number(side, "rows"));
}

static void put_check(rt_string *t, const cJSON *c)
{
    rt_put(t, "%-10s", rt_text(c, "verdict"));
    rt_put_padded(t, rt_text(c, "name"), 34);
    for (const cJSON *e = rt_member(c, "effects")->child; e; e = e->next) {
        double v = rt_number(e, "value");
        rt_put(t, isfinite(v) ? " %s %.3g" : " %s -", rt_text(e, "name"), v);
        rt_put(t, " (limit %.3g)", rt_number(e, "limit"));
    }
    rt_put(t, rt_number(c, "p_holm") > 0 ? "  p %.2g\n" : "  p below 1e-300\n", rt_number(c, "p_holm"));
    if (!strcmp(rt_text(c, "verdict"), "undecided") && *rt_text(c, "reason")) {
        rt_put(t, "            ");
        rt_put_plain(t, rt_text(c, "reason"));
        rt_put(t, "\n");
    }
}

/* How far the first effect that has gone farthest has gone, as a part of its limit. */
double rt_drift_reach(const cJSON *c)
{
    double most = 0;
    for (const cJSON *e = rt_member(c, "effects")->child; e; e = e->next) {
        double v = rt_number(e, "value"), limit = rt_number(e, "limit"), from = 0;
        if (!strcmp(rt_text(e, "name"), "auc")) from = 0.5;
        if (isfinite(v) && limit > from) most = fmax(most, (v - from) / (limit - from));
        else if (isfinite(v) && v > limit) most = INFINITY;
    }
    return most;
}

typedef struct { const cJSON *c; int rank, at; double reach; } ranked;

static int by_weight(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    if (x->rank != y->rank) return x->rank - y->rank;
    return x->reach != y->reach ? (x->reach < y->reach ? 1 : -1) : x->at - y->at;
}

const cJSON **rt_drift_sorted(const cJSON *list, int *count)
{
    int n = cJSON_GetArraySize(list), i = 0;
    ranked *r = calloc((size_t)n + 1, sizeof *r);
    const cJSON **out = calloc((size_t)n + 1, sizeof *out);
    *count = 0;
    for (const cJSON *c = list ? list->child : NULL; c && r && out; c = c->next, i++) {
        const char *v = rt_text(c, "verdict");
        r[i] = (ranked){c, !strcmp(v, "drift") ? 0 : !strcmp(v, "undecided") ? 1 : 2, i, rt_drift_reach(c)};
    }
    if (r && out) {
        qsort(r, (size_t)n, sizeof *r, by_weight);
        for (*count = 0; *count < n; ++*count) out[*count] = r[*count].c;
    }
    free(r);
    return out;
}

char *rt_drift_screen(const cJSON *result)
{
    rt_string t = {0};
    int n, shown = 0;
    const cJSON *counts = rt_member(result, "counts"), *model = rt_member(result, "model");
    const cJSON **sorted = rt_drift_sorted(rt_member(result, "checks"), &n);
    if (!sorted) return NULL;
    rt_put(&t, "drift: %s  (%.0f checks drift, %.0f undecided, %.0f do not)\n\n", rt_text(result, "verdict"),
           rt_number(counts, "drift"), rt_number(counts, "undecided"), rt_number(counts, "none"));
    put_side(&t, "reference", rt_member(result, "reference"));
    put_side(&t, "data", rt_member(result, "data"));
    if (model) {
        rt_put(&t, "model      ");
        if (rt_member(model, "path")) rt_put_plain(&t, rt_text(model, "path"));
        else rt_put(&t, "of the predictions");
        rt_put(&t, "  (%.8s)\n", rt_text(model, "digest"));
    }
    rt_put(&t, "\n");
    for (; shown < n && shown < MOST_LINES; shown++) put_check(&t, sorted[shown]);
    if (shown < n) rt_put(&t, "... and %d more, in drift.csv\n", n - shown);
    free(sorted);
    for (const cJSON *a = rt_member(result, "accuracy") ? rt_member(result, "accuracy")->child : NULL; a; a = a->next) {
        rt_put(&t, "\naccuracy of ");
        rt_put_plain(&t, rt_text(a, "head"));
        rt_put(&t, ": %.4f of the reference; of the data %.4f is expected by confidence thresholds (ATC), %.4f by "
               "differences of confidence (DoC): estimates", rt_number(a, "reference"), rt_number(a, "expected_atc"),
               rt_number(a, "expected_doc"));
        if (rt_member(a, "data")) rt_put(&t, "; %.4f by its labels", rt_number(a, "data"));
        rt_put(&t, "\n");
    }
    const cJSON *u = rt_member(result, "unlike");
    if (rt_member(u, "share"))
        rt_put(&t, "\nunlike any row of the reference: %.2f %% of the data, %.2f %% is usual (%s)\n",
               100 * rt_number(u, "share"), 100 * rt_number(u, "expected"), rt_text(u, "features"));
    for (const cJSON *note = rt_member(result, "notes")->child; note; note = note->next) {
        rt_put(&t, "note: ");
        rt_put_plain(&t, note->valuestring);
        rt_put(&t, "\n");
    }
    if (t.failed) free(t.p);
    return t.failed ? NULL : t.p;
}

static void put_number(rt_string *t, double v)
{ if (isfinite(v)) rt_put(t, ",%.9g", v); else rt_put(t, ","); }

void rt_drift_csv(rt_string *t, const cJSON *result)
{
    rt_put(t, "name,kind,column,group,test,statistic,p,p_holm,effect,value,limit,detects,rows_reference,rows_data,"
              "verdict,reason\n");
    for (const cJSON *c = rt_member(result, "checks")->child; c; c = c->next)
        for (const cJSON *e = rt_member(c, "effects")->child; e; e = e->next) {
            static const char *const text[] = {"name", "kind", "column", "group", "test"};
            for (int i = 0; i < 5; i++) {
                if (i) rt_put(t, ",");
                rt_put_csv(t, rt_text(c, text[i]));
            }
            put_number(t, rt_number(c, "statistic"));
            put_number(t, rt_number(c, "p"));
            put_number(t, rt_number(c, "p_holm"));
            rt_put(t, ",%s", rt_text(e, "name"));
            put_number(t, rt_number(e, "value"));
            put_number(t, rt_number(e, "limit"));
            put_number(t, rt_number(e, "detects"));
            put_number(t, rt_number(c, "rows_reference"));
            put_number(t, rt_number(c, "rows_data"));
            rt_put(t, ",%s,", rt_text(c, "verdict"));
            rt_put_csv(t, rt_text(c, "reason"));
            rt_put(t, "\n");
        }
}
