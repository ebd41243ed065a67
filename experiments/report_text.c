#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/report.h"
#include "experiments/report_parts.h"

void rt_put_si(rt_string *t, double v)
{
    if (!isfinite(v)) rt_put(t, "-");
    else if (v >= 1e9) rt_put(t, "%.2f G", v / 1e9);
    else if (v >= 1e6) rt_put(t, "%.2f M", v / 1e6);
    else if (v >= 1e4) rt_put(t, "%.1f K", v / 1e3);
    else rt_put(t, "%.4g", v);
}

const cJSON *rt_member(const cJSON *j, const char *key) { return cJSON_GetObjectItemCaseSensitive(j, key); }

double rt_number(const cJSON *j, const char *key)
{
    const cJSON *v = rt_member(j, key);
    return cJSON_IsNumber(v) ? v->valuedouble : NAN;
}

const char *rt_model_name(const cJSON *m) { return cJSON_GetStringValue(rt_member(m, "name")); }

static const cJSON *first(const cJSON *e, const char *list)
{
    const cJSON *l = rt_member(e, list);
    return l ? l->child : NULL;
}

const cJSON *rt_first_model(const cJSON *e) { return first(e, "models"); }

/* ---- the table ---- */

static const cJSON *latency(const cJSON *m) { return rt_member(m, "latency_batch1_1thread"); }

static double top5(const cJSON *m) { return rt_number(m, "top5"); }
static double macro_f1(const cJSON *m) { return rt_number(m, "macro_f1"); }
static double balanced(const cJSON *m) { return rt_number(m, "balanced_accuracy"); }
static double weighted_f1(const cJSON *m) { return rt_number(m, "weighted_f1"); }
static double mcc(const cJSON *m) { return rt_number(m, "mcc"); }
static double brier(const cJSON *m) { return rt_number(m, "brier"); }
static double auc(const cJSON *m) { return rt_number(m, "auc"); }
static double average_precision(const cJSON *m) { return rt_number(m, "average_precision"); }
static double nll(const cJSON *m) { return rt_number(m, "nll"); }
static double ece(const cJSON *m) { return rt_number(m, "ece"); }
static double agreement(const cJSON *m) { return rt_number(m, "agreement"); }
static double kl(const cJSON *m)
{
    return rt_number(m, rt_member(m, "kl_from_teacher") ? "kl_from_teacher" : "kl_from_reference");
}
static double mcnemar(const cJSON *m) { return rt_number(rt_member(m, "mcnemar_vs_reference"), "p"); }
static double seen(const cJSON *m) { return rt_number(m, "rows_seen_in_training"); }
static double macs(const cJSON *m) { return rt_number(m, "macs"); }
static double bytes(const cJSON *m) { return rt_number(m, "file_bytes"); }
static double p99(const cJSON *m) { return rt_number(latency(m), "p99_us"); }
static double p99_undisturbed(const cJSON *m) { return rt_number(rt_member(latency(m), "undisturbed"), "p99_us"); }
static double disturbed(const cJSON *m) { return rt_number(latency(m), "disturbed"); }
static double rate(const cJSON *m) { return rt_number(rt_member(m, "throughput"), "rows_per_second"); }
double rt_report_accuracy(const cJSON *m) { return rt_number(m, "accuracy"); }
double rt_report_parameters(const cJSON *m) { return rt_number(m, "parameters"); }
double rt_report_p50(const cJSON *m) { return rt_number(latency(m), "p50_us"); }

const rt_column rt_columns[RT_COLUMNS] = {
    {"accuracy", RT_QUALITY, RT_SHARE, rt_report_accuracy, 1, RT_INTERVAL},
    {"top-5", RT_QUALITY, RT_SHARE, top5, 0, RT_NO_DETAIL},
    {"macro-F1", RT_QUALITY, RT_SHARE, macro_f1, 1, RT_NO_DETAIL},
    {"NLL", RT_QUALITY, RT_SHARE, nll, 0, RT_NO_DETAIL},
    {"ECE", RT_QUALITY, RT_SHARE, ece, 1, RT_NO_DETAIL},
    {"agreement", RT_QUALITY, RT_SHARE, agreement, 1, RT_NO_DETAIL},
    {"KL", RT_QUALITY, RT_SHARE, kl, 1, RT_NO_DETAIL},
    {"McNemar p", RT_QUALITY, RT_PROBABILITY, mcnemar, 1, RT_FLIPS},
    {"rows seen", RT_QUALITY, RT_COUNT, seen, 0, RT_NO_DETAIL},
    {"balanced accuracy", RT_QUALITY, RT_SHARE, balanced, 0, RT_NO_DETAIL},
    {"weighted F1", RT_QUALITY, RT_SHARE, weighted_f1, 0, RT_NO_DETAIL},
    {"MCC", RT_QUALITY, RT_SHARE, mcc, 0, RT_NO_DETAIL},
    {"AUC", RT_QUALITY, RT_SHARE, auc, 0, RT_NO_DETAIL},
    {"average precision", RT_QUALITY, RT_SHARE, average_precision, 0, RT_NO_DETAIL},
    {"Brier", RT_QUALITY, RT_SHARE, brier, 0, RT_NO_DETAIL},
    {"parameters", RT_COST, RT_SI, rt_report_parameters, 1, RT_NO_DETAIL},
    {"MACs", RT_COST, RT_SI, macs, 1, RT_NO_DETAIL},
    {"file bytes", RT_COST, RT_SI, bytes, 0, RT_NO_DETAIL},
    {"p50 us", RT_COST, RT_MICROSECONDS, rt_report_p50, 1, RT_NO_DETAIL},
    {"p99 us", RT_COST, RT_MICROSECONDS, p99, 1, RT_NO_DETAIL},
    {"p99 us undisturbed", RT_COST, RT_MICROSECONDS, p99_undisturbed, 1, RT_NO_DETAIL},
    {"disturbed calls", RT_COST, RT_COUNT, disturbed, 0, RT_OF_CALLS},
    {"rows/s", RT_COST, RT_SI, rate, 1, RT_RANGE},
};

int rt_column_used(const rt_column *c, const cJSON *e)
{
    for (const cJSON *m = rt_first_model(e); m; m = m->next) if (isfinite(c->value(m))) return 1;
    return 0;
}

void rt_put_value(rt_string *t, const rt_column *c, const cJSON *m)
{
    double v = c->value(m);
    if (!isfinite(v)) rt_put(t, "-");
    else if (c->kind == RT_SHARE) rt_put(t, "%.4f", v);
    else if (c->kind == RT_MICROSECONDS) rt_put(t, v < 100 ? "%.2f" : "%.0f", v);
    else if (c->kind == RT_COUNT) rt_put(t, "%.0f", v);
    else if (c->kind == RT_SI) rt_put_si(t, v);
    else if (v == 0) rt_put(t, "<1e-300");
    else rt_put(t, "%.3g", v);
}

void rt_put_reference(rt_string *t, const cJSON *e)
{
    const cJSON *r = rt_member(e, "reference");
    if (!r) return;
    const char *role = cJSON_GetStringValue(rt_member(r, "role"));
    rt_put(t, "Agreement, KL and McNemar compare with %s (%s).", rt_model_name(r),
           strcmp(role, "teacher") ? "the first model given; no teacher is named" : "the teacher");
}

/* ---- the forms ---- */

char *rt_report_table(const cJSON *e)
{
    rt_string t = {0}, line = {0};
    rt_put(&t, "%-20s", "model");
    for (int c = 0; c < RT_COLUMNS; c++) {
        const rt_column *q = &rt_columns[c];
        int width = strlen(q->title) > 10 ? (int)strlen(q->title) : 10;
        if (q->terminal && rt_column_used(q, e)) rt_put(&t, " %*s", width, q->title);
    }
    rt_put(&t, "\n");
    for (const cJSON *m = rt_first_model(e); m; m = m->next) {
        rt_put_padded(&t, rt_model_name(m), 20);
        for (int c = 0; c < RT_COLUMNS; c++) {
            const rt_column *q = &rt_columns[c];
            int width = strlen(q->title) > 10 ? (int)strlen(q->title) : 10;
            rt_string v = {0};
            if (!q->terminal || !rt_column_used(q, e)) continue;
            rt_put_value(&v, q, m);
            rt_put(&t, " %*s", width, v.p ? v.p : "");
            free(v.p);
        }
        rt_put(&t, "\n");
    }
    rt_put_reference(&line, e);
    if (line.p) {
        rt_put_plain(&t, line.p);
        rt_put(&t, "\n");
    }
    free(line.p);
    for (const cJSON *n = first(e, "notes"); n; n = n->next) {
        rt_put(&t, "note: ");
        rt_put_plain(&t, cJSON_GetStringValue(n));
        rt_put(&t, "\n");
    }
    if (t.failed) free(t.p);
    return t.failed ? NULL : t.p;
}

void rt_report_markdown(rt_string *t, const cJSON *e)
{
    const cJSON *data = rt_member(e, "data");
    rt_string line = {0};
    rt_put(t, "# Evaluation\n\nData ");
    rt_put_code(t, cJSON_GetStringValue(rt_member(data, "source")));
    rt_put(t, ", %.0f rows (%.0f with a label), %.0f classes. ", rt_number(data, "rows"),
           rt_number(data, "labelled_rows"), rt_number(data, "classes"));
    rt_put_reference(&line, e);
    rt_put_markdown(t, line.p);
    free(line.p);
    if (rt_member(rt_first_model(e), "throughput"))
        rt_put(t,
               " p50 and p99: batch 1, one thread; rows/s: the median of the rounds at the fastest batch size, %.0f "
               "threads.",
               rt_number(rt_member(e, "machine"), "threads"));
    rt_put(t, "\n\n| model |");
    for (int c = 0; c < RT_COLUMNS; c++) if (rt_column_used(&rt_columns[c], e)) rt_put(t, " %s |", rt_columns[c].title);
    rt_put(t, "\n|---|");
    for (int c = 0; c < RT_COLUMNS; c++) if (rt_column_used(&rt_columns[c], e)) rt_put(t, "---:|");
    rt_put(t, "\n");
    for (const cJSON *m = rt_first_model(e); m; m = m->next) {
        rt_put(t, "| ");
        rt_put_markdown(t, rt_model_name(m));
        rt_put(t, " |");
        for (int c = 0; c < RT_COLUMNS; c++) {
            if (!rt_column_used(&rt_columns[c], e)) continue;
            rt_put(t, " ");
            rt_put_value(t, &rt_columns[c], m);
            rt_put(t, " |");
        }
        rt_put(t, "\n");
    }
    for (const cJSON *n = first(e, "notes"); n; n = n->next) {
        rt_put(t, "\n");
        rt_put_markdown(t, cJSON_GetStringValue(n));
        rt_put(t, "\n");
    }
}

void rt_report_csv(rt_string *t, const cJSON *e)
{
    rt_put(t, "model");
    for (int c = 0; c < RT_COLUMNS; c++) rt_put(t, ",%s", rt_columns[c].title);
    rt_put(t, "\n");
    for (const cJSON *m = rt_first_model(e); m; m = m->next) {
        rt_put_csv(t, rt_model_name(m));
        for (int c = 0; c < RT_COLUMNS; c++) {
            double v = rt_columns[c].value(m);
            char digits[40] = "";
            if (isfinite(v) && snprintf(digits, sizeof digits, "%.15g", v) && strtod(digits, NULL) != v)
                snprintf(digits, sizeof digits, "%.17g", v);
            rt_put(t, ",%s", digits);
        }
        rt_put(t, "\n");
    }
}
