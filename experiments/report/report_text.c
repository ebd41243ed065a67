#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/report/report.h"
#include "experiments/report/report_parts.h"

void rt_put_si(rt_string *t, double v)
{
    if (!isfinite(v)) rt_put(t, "-");
    else if (v >= 1e9) rt_put(t, "%.2f G", v / 1e9);
    else if (v >= 1e6) rt_put(t, "%.2f M", v / 1e6);
    else if (v >= 1e4) rt_put(t, "%.1f K", v / 1e3);
    else rt_put(t, "%.4g", v);
}

const cJSON *rt_member(const cJSON *j, const char *key) { return cJSON_GetObjectItemCaseSensitive(j, key); }

const char *rt_text(const cJSON *j, const char *key)
{
    const char *text = cJSON_GetStringValue(rt_member(j, key));
    return text ? text : "";
}

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

int rt_report_has(const cJSON *e, const char *key)
{
    for (const cJSON *m = rt_first_model(e); m; m = m->next) if (rt_member(m, key)) return 1;
    return 0;
}

/* ---- the table ---- */

static const cJSON *latency(const cJSON *m) { return rt_member(m, "latency_batch1_1thread"); }

#define VALUE(name, key) static double name(const cJSON *m) { return rt_number(m, key); }
VALUE(accuracy, "accuracy") VALUE(top5, "top5") VALUE(macro_f1, "macro_f1") VALUE(balanced, "balanced_accuracy")
VALUE(weighted_f1, "weighted_f1") VALUE(mcc, "mcc") VALUE(brier, "brier") VALUE(auc, "auc") VALUE(nll, "nll")
VALUE(average_precision, "average_precision") VALUE(ece, "ece") VALUE(agreement, "agreement")
VALUE(subset, "subset_accuracy") VALUE(hamming, "hamming") VALUE(micro_f1, "micro_f1") VALUE(jaccard, "jaccard")
VALUE(bce, "bce") VALUE(mae, "mae") VALUE(rmse, "rmse") VALUE(r2, "r2") VALUE(max_error, "max_error")
VALUE(worst_decile, "worst_decile") VALUE(within_tenth, "within_tenth") VALUE(distance, "distance_from_reference")
VALUE(seen, "rows_seen_in_training") VALUE(macs, "macs")
#undef VALUE
/* Of a quantized model that of its program, which is deployed. */
static double bytes(const cJSON *m)
{
    double program = rt_number(rt_member(m, "quantized"), "program_bytes");
    return isfinite(program) ? program : rt_number(m, "file_bytes");
}
static double kl(const cJSON *m)
{
    return rt_number(m, rt_member(m, "kl_from_teacher") ? "kl_from_teacher" : "kl_from_reference");
}
static double mcnemar(const cJSON *m) { return rt_number(rt_member(m, "mcnemar_vs_reference"), "p"); }
static double difference(const cJSON *m) { return rt_number(rt_member(m, "difference_vs_reference"), "mean"); }
static double p99(const cJSON *m) { return rt_number(latency(m), "p99_us"); }
static double p99_undisturbed(const cJSON *m) { return rt_number(rt_member(latency(m), "undisturbed"), "p99_us"); }
static double disturbed(const cJSON *m) { return rt_number(latency(m), "disturbed"); }
static double rate(const cJSON *m) { return rt_number(rt_member(m, "throughput"), "rows_per_second"); }
static double energy(const cJSON *m) { return rt_number(rt_member(m, "energy"), "joules_per_million"); }
static double cold(const cJSON *m) { return rt_number(m, "cold_start_us"); }
static double rss(const cJSON *m) { return rt_number(rt_member(m, "cold_start"), "peak_rss_bytes"); }
static double cost(const cJSON *m) { return rt_number(rt_member(m, "cost"), "per_million"); }
double rt_report_parameters(const cJSON *m) { return rt_number(m, "parameters"); }
double rt_report_p50(const cJSON *m) { return rt_number(latency(m), "p50_us"); }

enum { C = 1 << RT_TASK_CLASSES, L = 1 << RT_TASK_MULTILABEL, R = 1 << RT_TASK_REAL, ALL = C | L | R };

const rt_column rt_columns[RT_COLUMNS] = {
    {"accuracy", RT_QUALITY, RT_SHARE, accuracy, C, 1, RT_INTERVAL},
    {"top-5", RT_QUALITY, RT_SHARE, top5, C, 0, RT_NO_DETAIL},
    {"micro-F1", RT_QUALITY, RT_SHARE, micro_f1, L, 1, RT_NO_DETAIL},
    {"macro-F1", RT_QUALITY, RT_SHARE, macro_f1, C | L, 1, RT_NO_DETAIL},
    {"subset accuracy", RT_QUALITY, RT_SHARE, subset, L, 1, RT_NO_DETAIL},
    {"Hamming loss", RT_QUALITY, RT_SHARE, hamming, L, 1, RT_NO_DETAIL},
    {"RMSE", RT_QUALITY, RT_DIGITS, rmse, R, 1, RT_NO_DETAIL},
    {"MAE", RT_QUALITY, RT_DIGITS, mae, R, 1, RT_NO_DETAIL},
    {"R2", RT_QUALITY, RT_SHARE, r2, R, 1, RT_NO_DETAIL},
    {"NLL", RT_QUALITY, RT_SHARE, nll, C, 0, RT_NO_DETAIL},
    {"ECE", RT_QUALITY, RT_SHARE, ece, C, 1, RT_NO_DETAIL},
    {"agreement", RT_QUALITY, RT_SHARE, agreement, ALL, 1, RT_NO_DETAIL},
    {"KL", RT_QUALITY, RT_SHARE, kl, C | L, 1, RT_NO_DETAIL},
    {"distance", RT_QUALITY, RT_DIGITS, distance, R, 1, RT_NO_DETAIL},
    {"McNemar p", RT_QUALITY, RT_PROBABILITY, mcnemar, C | L, 1, RT_FLIPS},
    {"error difference", RT_QUALITY, RT_DIGITS, difference, L | R, 1, RT_SPAN},
    {"rows seen", RT_QUALITY, RT_COUNT, seen, ALL, 0, RT_NO_DETAIL},
    {"balanced accuracy", RT_QUALITY, RT_SHARE, balanced, C, 0, RT_NO_DETAIL},
    {"weighted F1", RT_QUALITY, RT_SHARE, weighted_f1, C | L, 0, RT_NO_DETAIL},
    {"MCC", RT_QUALITY, RT_SHARE, mcc, C, 0, RT_NO_DETAIL},
    {"AUC", RT_QUALITY, RT_SHARE, auc, C | L, 0, RT_NO_DETAIL},
    {"average precision", RT_QUALITY, RT_SHARE, average_precision, C | L, 0, RT_NO_DETAIL},
    {"Brier", RT_QUALITY, RT_SHARE, brier, C | L, 0, RT_NO_DETAIL},
    {"Jaccard", RT_QUALITY, RT_SHARE, jaccard, L, 0, RT_NO_DETAIL},
    {"BCE", RT_QUALITY, RT_SHARE, bce, L, 0, RT_NO_DETAIL},
    {"max error", RT_QUALITY, RT_DIGITS, max_error, R, 0, RT_NO_DETAIL},
    {"worst decile", RT_QUALITY, RT_DIGITS, worst_decile, R, 0, RT_NO_DETAIL},
    {"within a tenth", RT_QUALITY, RT_SHARE, within_tenth, R, 0, RT_NO_DETAIL},
    {"parameters", RT_COST, RT_SI, rt_report_parameters, ALL, 1, RT_NO_DETAIL},
    {"MACs", RT_COST, RT_SI, macs, ALL, 1, RT_NO_DETAIL},
    {"file bytes", RT_COST, RT_SI, bytes, ALL, 0, RT_NO_DETAIL},
    {"p50 us", RT_COST, RT_MICROSECONDS, rt_report_p50, ALL, 1, RT_NO_DETAIL},
    {"p99 us", RT_COST, RT_MICROSECONDS, p99, ALL, 1, RT_NO_DETAIL},
    {"p99 us undisturbed", RT_COST, RT_MICROSECONDS, p99_undisturbed, ALL, 1, RT_NO_DETAIL},
    {"disturbed calls", RT_COST, RT_COUNT, disturbed, ALL, 0, RT_OF_CALLS},
    {"rows/s", RT_COST, RT_SI, rate, ALL, 1, RT_RANGE},
    {"J/million rows", RT_COST, RT_SI, energy, ALL, 1, RT_NO_DETAIL},
    {"cost/million rows", RT_COST, RT_SI, cost, ALL, 1, RT_NO_DETAIL},
    {"cold start us", RT_COST, RT_MICROSECONDS, cold, ALL, 0, RT_OF_STARTS},
    {"peak RSS bytes", RT_COST, RT_SI, rss, ALL, 0, RT_NO_DETAIL},
};

/* ---- heads ---- */

static rt_task task_of(const cJSON *head)
{
    const char *name = cJSON_GetStringValue(rt_member(head, "task"));
    for (int t = 0; name && t < RT_TASK_COUNT; t++) if (!strcmp(name, rt_metrics[t].task)) return (rt_task)t;
    return RT_TASK_CLASSES;
}

static void copy_member(cJSON *to, const cJSON *from, const char *key, const char *as)
{
    const cJSON *v = rt_member(from, key);
    if (v) cJSON_AddItemToObject(to, as, cJSON_Duplicate(v, 1));
}

/* What the evaluation would be of head h alone. */
static cJSON *only(const cJSON *e, const cJSON *head, int h)
{
    cJSON *view = cJSON_CreateObject(), *data = cJSON_AddObjectToObject(view, "data");
    cJSON *models = cJSON_AddArrayToObject(view, "models");
    copy_member(data, rt_member(e, "data"), "rows", "rows");
    copy_member(data, head, "labelled_rows", "labelled_rows");
    copy_member(data, head, "size", "classes");
    copy_member(data, head, "names", "class_names");
    copy_member(view, e, "reference", "reference");
    for (const cJSON *m = rt_first_model(e); m; m = m->next) {
        cJSON *one = cJSON_Duplicate(cJSON_GetArrayItem(rt_member(m, "heads"), h), 1);
        if (!one) continue;
        cJSON_DeleteItemFromObjectCaseSensitive(one, "name");
        copy_member(one, m, "name", "name");
        const char *const of_model[] = {"rows_seen_in_training", "parameters", "latency_batch1_1thread"};
        for (int i = 0; i < 3; i++) copy_member(one, m, of_model[i], of_model[i]);
        if (!cJSON_IsTrue(rt_member(one, "missing"))) copy_member(one, m, "history", "history");
        cJSON_AddItemToArray(models, one);
    }
    return view;
}

int rt_report_views(const cJSON *e, rt_report_view view[RT_VIEWS])
{
    const cJSON *heads = rt_member(rt_member(e, "data"), "heads");
    int n = 0, count = cJSON_GetArraySize(heads);
    if (!rt_member(e, "data")) return 0;           /* a comparison of predictions alone */
    if (count < 2) {
        view[0] = (rt_report_view){.e = e, .task = task_of(heads ? heads->child : NULL)};
        return 1;
    }
    for (const cJSON *h = heads->child; h && n < RT_VIEWS; h = h->next, n++) {
        cJSON *owned = only(e, h, n);
        view[n] = (rt_report_view){.e = owned, .owned = owned, .name = rt_model_name(h), .task = task_of(h)};
    }
    return n;
}

void rt_report_views_free(rt_report_view *view, int count)
{
    for (int i = 0; i < count; i++) cJSON_Delete(view[i].owned);
}

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
    else if (c->kind == RT_DIGITS) rt_put(t, "%.5g", v);
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
    rt_put(t, "%s compare with %s (%s).",
           rt_member(rt_member(e, "data"), "heads") ? "Agreement and the columns beside it"
                                                    : "Agreement, KL and McNemar", rt_model_name(r),
           !strcmp(role, "teacher")    ? "the teacher"
           : !strcmp(role, "baseline") ? "the baseline"
                                       : "the first model given; no teacher is named");
}

/* ---- the forms ---- */

/* Whether a table of the view shows the column. which -1: quality and cost side by side. */
static int shown(const rt_column *c, const rt_report_view *v, int which)
{
    return (which < 0 || (int)c->table == which) && c->tasks & 1u << v->task && rt_column_used(c, v->e);
}

static void put_terminal(rt_string *t, const rt_report_view *view, int which)
{
    rt_put(t, "%-20s", "model");
    for (int c = 0; c < RT_COLUMNS; c++) {
        const rt_column *q = &rt_columns[c];
        int width = strlen(q->title) > 10 ? (int)strlen(q->title) : 10;
        if (q->terminal && shown(q, view, which)) rt_put(t, " %*s", width, q->title);
    }
    rt_put(t, "\n");
    for (const cJSON *m = rt_first_model(view->e); m; m = m->next) {
        rt_put_padded(t, rt_model_name(m), 20);
        for (int c = 0; c < RT_COLUMNS; c++) {
            const rt_column *q = &rt_columns[c];
            int width = strlen(q->title) > 10 ? (int)strlen(q->title) : 10;
            rt_string v = {0};
            if (!q->terminal || !shown(q, view, which)) continue;
            rt_put_value(&v, q, m);
            rt_put(t, " %*s", width, v.p ? v.p : "");
            free(v.p);
        }
        rt_put(t, "\n");
    }
}

char *rt_report_table(const cJSON *e)
{
    rt_string t = {0}, line = {0};
    rt_report_view view[RT_VIEWS], whole = {.e = e};
    int views = rt_report_views(e, view);
    if (views == 1) put_terminal(&t, view, -1);
    for (int i = 0; i < views && views > 1; i++) {
        rt_put(&t, "head ");
        rt_put_plain(&t, view[i].name);
        rt_put(&t, " (%s)\n", rt_metrics[view[i].task].task);
        put_terminal(&t, &view[i], RT_QUALITY);
        rt_put(&t, "\n");
    }
    if (views > 1) put_terminal(&t, &whole, RT_COST);
    rt_report_views_free(view, views);
    if (views && rt_member(e, "comparison")) rt_put(&t, "\n");
    rt_put_pair(&t, RT_FORM_PLAIN, e);
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

static void put_markdown_table(rt_string *t, const rt_report_view *view, int which)
{
    rt_put(t, "\n\n| model |");
    for (int c = 0; c < RT_COLUMNS; c++)
        if (shown(&rt_columns[c], view, which)) rt_put(t, " %s |", rt_columns[c].title);
    rt_put(t, "\n|---|");
    for (int c = 0; c < RT_COLUMNS; c++) if (shown(&rt_columns[c], view, which)) rt_put(t, "---:|");
    rt_put(t, "\n");
    for (const cJSON *m = rt_first_model(view->e); m; m = m->next) {
        rt_put(t, "| ");
        rt_put_markdown(t, rt_model_name(m));
        rt_put(t, " |");
        for (int c = 0; c < RT_COLUMNS; c++) {
            if (!shown(&rt_columns[c], view, which)) continue;
            rt_put(t, " ");
            rt_put_value(t, &rt_columns[c], m);
            rt_put(t, " |");
        }
        rt_put(t, "\n");
    }
}

void rt_report_markdown(rt_string *t, const cJSON *e)
{
    const cJSON *data = rt_member(e, "data");
    rt_string line = {0};
    rt_report_view view[RT_VIEWS], whole = {.e = e};
    int views = rt_report_views(e, view);
    rt_put(t, "# Evaluation\n\n");
    if (data) {
        rt_put(t, "Data ");
        rt_put_code(t, cJSON_GetStringValue(rt_member(data, "source")));
        rt_put(t, ", %.0f rows (%.0f with a label)", rt_number(data, "rows"), rt_number(data, "labelled_rows"));
        if (rt_member(data, "classes")) rt_put(t, ", %.0f classes", rt_number(data, "classes"));
        rt_put(t, ". ");
    }
    rt_put_reference(&line, e);
    rt_put_markdown(t, line.p);
    free(line.p);
    const cJSON *machine = rt_member(e, "machine"), *card = rt_member(machine, "card");
    if (card) {
        rt_put(t, " Computed on ");
        rt_put_markdown(t, cJSON_GetStringValue(card));
        rt_put(t, " (");
        rt_put_markdown(t, cJSON_GetStringValue(rt_member(machine, "kernels")));
        rt_put(t, ").");
    }
    if (rt_report_has(e, "throughput"))
        rt_put(t,
               " p50 and p99: batch 1, one thread; rows/s: the median of the rounds at the fastest batch size, %.0f "
               "threads.",
               rt_number(machine, "threads"));
    if (views == 1) put_markdown_table(t, view, -1);
    for (int i = 0; i < views && views > 1; i++) {
        rt_put(t, "\n\n## Head ");
        rt_put_markdown(t, view[i].name);
        rt_put(t, " (%s)", rt_metrics[view[i].task].task);
        put_markdown_table(t, &view[i], RT_QUALITY);
    }
    if (views > 1) {
        rt_put(t, "\n\n## Cost");
        put_markdown_table(t, &whole, RT_COST);
    }
    rt_report_views_free(view, views);
    rt_put_pair(t, RT_FORM_MARKDOWN, e);
    for (const cJSON *n = first(e, "notes"); n; n = n->next) {
        rt_put(t, "\n");
        rt_put_markdown(t, cJSON_GetStringValue(n));
        rt_put(t, "\n");
    }
}

static void put_csv_rows(rt_string *t, const rt_report_view *view, const cJSON *e, unsigned tasks)
{
    const cJSON *whole = rt_first_model(e);                       /* what a model costs stands there */
    for (const cJSON *m = rt_first_model(view->e); m; m = m->next, whole = whole->next) {
        rt_put_csv(t, rt_model_name(m));
        if (view->name) {
            rt_put(t, ",");
            rt_put_csv(t, view->name);
        }
        for (int c = 0; c < RT_COLUMNS; c++) {
            const rt_column *q = &rt_columns[c];
            if (!(q->tasks & tasks)) continue;
            double v = q->tasks & 1u << view->task ? q->value(q->table == RT_COST ? whole : m) : NAN;
            char digits[40] = "";
            if (isfinite(v) && snprintf(digits, sizeof digits, "%.15g", v) && strtod(digits, NULL) != v)
                snprintf(digits, sizeof digits, "%.17g", v);
            rt_put(t, ",%s", digits);
        }
        rt_put(t, "\n");
    }
}

/* A line for each model, or for each head of each model. */
void rt_report_csv(rt_string *t, const cJSON *e)
{
    rt_report_view view[RT_VIEWS];
    int views = rt_report_views(e, view);
    unsigned tasks = 0;
    for (int i = 0; i < views; i++) tasks |= 1u << view[i].task;
    rt_put(t, views > 1 ? "model,head" : "model");
    for (int c = 0; c < RT_COLUMNS; c++) if (rt_columns[c].tasks & tasks) rt_put(t, ",%s", rt_columns[c].title);
    rt_put(t, "\n");
    for (int i = 0; i < views; i++) put_csv_rows(t, &view[i], e, tasks);
    rt_report_views_free(view, views);
}
