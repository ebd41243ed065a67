#include "experiments/drift/drift_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/precision.h"
#include "engine/version.h"
#include "experiments/machine.h"
#include "experiments/report/report_parts.h"
#include "experiments/result_files.h"
#include "experiments/statistics/statistics_samples.h"

static const rt_result_list files = {.name = {"drift.json", "drift.txt", "drift.csv", "drift.html"},
                                     .sums = "drift.xxh128",
                                     .by = "a look at drift",
                                     .keeps = 1};

/* ---- as JSON ---- */

static void add_number(cJSON *j, const char *key, double v)
{
    if (isfinite(v)) cJSON_AddNumberToObject(j, key, v);
    else cJSON_AddNullToObject(j, key);
}

static cJSON *describe_check(const rt_drift_work *w, const rt_drift_finding *c)
{
    cJSON *j = cJSON_CreateObject();
    rt_string name = {0};
    rt_put(&name, "%s", c->kind);
    if (c->column >= 0) rt_put(&name, " %s", w->column[c->column].name);
    cJSON_AddStringToObject(j, "name", name.p ? name.p : c->kind);
    free(name.p);
    cJSON_AddStringToObject(j, "kind", c->kind);
    if (c->column >= 0) {
        cJSON_AddStringToObject(j, "column", w->column[c->column].name);
        cJSON_AddStringToObject(j, "group", w->column[c->column].group);
    }
    cJSON_AddStringToObject(j, "test", c->test);
    add_number(j, "statistic", c->statistic);
    cJSON_AddNumberToObject(j, "p", c->p);
    if (!strcmp(c->test, "ks")) cJSON_AddBoolToObject(j, "p_exact", c->exact);
    cJSON_AddNumberToObject(j, "p_holm", c->p_holm);
    cJSON_AddNumberToObject(j, "rows_reference", (double)c->rows[0]);
    cJSON_AddNumberToObject(j, "rows_data", (double)c->rows[1]);
    cJSON *effects = cJSON_AddArrayToObject(j, "effects");
    for (int i = 0; i < c->effects; i++) {
        cJSON *e = cJSON_CreateObject();
        cJSON_AddStringToObject(e, "name", c->effect[i].name);
        add_number(e, "value", c->effect[i].value);
        cJSON_AddNumberToObject(e, "limit", c->effect[i].limit);
        add_number(e, "detects", c->effect[i].detects);
        cJSON_AddItemToArray(effects, e);
    }
    cJSON_AddStringToObject(j, "verdict", rt_drift_verdict_name[c->verdict]);
    if (*c->reason) cJSON_AddStringToObject(j, "reason", c->reason);
    return j;
}

static cJSON *describe_moments(const rt_drift_column *c, int side)
{
    const rt_drift_moments *m = &c->side[side];
    cJSON *j = cJSON_CreateObject();
    double n = (double)(m->rows - m->missing - m->infinite);
    cJSON_AddNumberToObject(j, "rows", (double)m->rows);
    cJSON_AddNumberToObject(j, "missing", (double)m->missing);
    if (c->category) return j;
    if (m->infinite) cJSON_AddNumberToObject(j, "infinite", (double)m->infinite);
    add_number(j, "mean", n > 0 ? m->mean : NAN);
    add_number(j, "deviation", n > 1 ? sqrt(m->m2 / (n - 1)) : NAN);
    add_number(j, "least", m->rows > m->missing ? m->least : NAN);
    add_number(j, "greatest", m->rows > m->missing ? m->most : NAN);
    return j;
}

static void add_bins(cJSON *j, const rt_drift_column *c, const rt_drift_bins *b)
{
    cJSON *bins = cJSON_AddObjectToObject(j, "bins"),
          *names = cJSON_AddArrayToObject(bins, c->category ? "of" : "upto");
    for (int i = 0; i < b->bins; i++) {
        rt_string text = {0};
        double e = b->edge[i];
        if (!c->category) cJSON_AddItemToArray(names, isfinite(e) ? cJSON_CreateNumber(e) : cJSON_CreateNull());
        else {
            if (isnan(e)) rt_put(&text, "(all others)");
            else if (isinf(e)) rt_put(&text, "(not in the reference)");
            else rt_drift_put_category(&text, c, e);
            cJSON_AddItemToArray(names, cJSON_CreateString(text.p ? text.p : ""));
        }
        free(text.p);
    }
    for (int s = 0; s < RT_DRIFT_SIDES; s++) {
        cJSON *count = cJSON_AddArrayToObject(bins, s ? "data" : "reference");
        for (int i = 0; i < b->bins; i++) cJSON_AddItemToArray(count, cJSON_CreateNumber((double)b->count[s][i]));
    }
}

/* The categories of the data that the reference has not, the most frequent first, at most ten. */
static void add_unseen(cJSON *j, const rt_drift_column *c)
{
    enum { MOST = 10 };
    int at[MOST], kept = 0;
    for (int i = 0; i < c->codes; i++) {
        if (c->of[0][i] || !c->of[1][i]) continue;
        int k = kept < MOST ? kept++ : kept;
        for (; k > 0 && c->of[1][at[k - 1]] < c->of[1][i]; k--) if (k < MOST) at[k] = at[k - 1];
        if (k < MOST) at[k] = i;
    }
    if (!kept) return;
    cJSON *list = cJSON_AddArrayToObject(j, "unseen");
    for (int i = 0; i < kept; i++) {
        rt_string text = {0};
        cJSON *one = cJSON_CreateObject();
        rt_drift_put_category(&text, c, c->code[at[i]]);
        cJSON_AddStringToObject(one, "value", text.p ? text.p : "");
        cJSON_AddNumberToObject(one, "rows", (double)c->of[1][at[i]]);
        cJSON_AddItemToArray(list, one);
        free(text.p);
    }
}

/* No distance between distribution functions is larger than what is found at the cells' ends and this. */
static double ks_error(const rt_drift_column *c)
{
    double most = 0, n = 0, m = 0;
    for (int i = 0; i <= c->edges; i++) {
        n += (double)c->count[0][i];
        m += (double)c->count[1][i];
    }
    for (int i = 0; i <= c->edges && !c->exact && n > 0 && m > 0; i++)
        most = fmax(most, fmax((double)c->count[0][i] / n, (double)c->count[1][i] / m));
    return most;
}

static rt_status describe_column(cJSON *list, const rt_drift_column *c)
{
    rt_drift_bins bins;
    cJSON *j = cJSON_CreateObject();
    cJSON_AddItemToArray(list, j);
    cJSON_AddStringToObject(j, "name", c->name);
    cJSON_AddStringToObject(j, "group", c->group);
    cJSON_AddStringToObject(j, "kind", c->category ? "categories" : "numbers");
    cJSON_AddItemToObject(j, "reference", describe_moments(c, 0));
    cJSON_AddItemToObject(j, "data", describe_moments(c, 1));
    for (int s = 0; s < RT_DRIFT_SIDES; s++) if (c->side[s].rows == c->side[s].missing) return RT_OK;
    RT_TRY(rt_drift_column_bins(c, &bins));
    cJSON_AddNumberToObject(j, "psi", rt_psi(bins.count[0], bins.count[1], bins.bins));
    if (!c->category) {
        cJSON_AddNumberToObject(j, "ks", rt_ks_distance(c->count[0], c->count[1], c->edges + 1));
        cJSON_AddNumberToObject(j, "ks_error", ks_error(c));
    } else cJSON_AddNumberToObject(j, "categories", c->codes);
    add_bins(j, c, &bins);
    if (c->category) add_unseen(j, c);
    return RT_OK;
}

static cJSON *describe_side(const rt_drift_side *s)
{
    cJSON *j = cJSON_CreateObject();
    cJSON_AddStringToObject(j, "path", s->data.source);
    cJSON_AddStringToObject(j, "kind", s->predictions ? "predictions" : "data");
    cJSON_AddStringToObject(j, "digest", s->predictions ? s->predictions->data.hex : s->data.digest.hex);
    if (s->predictions) cJSON_AddStringToObject(j, "rows_digest", s->predictions->of_rows.hex);
    cJSON_AddNumberToObject(j, "rows", (double)s->rows);
    cJSON_AddNumberToObject(j, "sampled", s->sampled);
    return j;
}

static const char *word_of(rt_status st) { return st == RT_GATE ? "drift" : st ? "undecided" : "none"; }

static rt_status describe(rt_drift_work *w, rt_status decided, cJSON **result)
{
    char date[32];
    int count[3] = {0};
    rt_status st = RT_OK;
    cJSON *r = *result = cJSON_CreateObject();
    rt_machine_date(date);
    cJSON_AddStringToObject(r, "format", "retort-drift-1");
    cJSON_AddStringToObject(r, "verdict", word_of(decided));
    cJSON_AddNumberToObject(r, "exit_code", decided);
    cJSON_AddStringToObject(r, "tool", rt_tool());
    cJSON_AddStringToObject(r, "time", date);
    cJSON_AddNumberToObject(r, "seed", (double)w->seed);
    cJSON_AddItemToObject(r, "reference", describe_side(&w->side[0]));
    cJSON_AddItemToObject(r, "data", describe_side(&w->side[1]));
    if (w->heads) {
        cJSON *m = cJSON_AddObjectToObject(r, "model");
        if (w->model.paths) cJSON_AddStringToObject(m, "path", w->model.path[0]);
        cJSON_AddStringToObject(m, "digest", w->model_digest.hex);
        cJSON_AddStringToObject(m, "kernels", w->kernels);
    }
    for (int i = 0; i < w->checks; i++) count[w->check[i].verdict]++;
    cJSON *counts = cJSON_AddObjectToObject(r, "counts");
    for (int i = 0; i < 3; i++) cJSON_AddNumberToObject(counts, rt_drift_verdict_name[i], count[i]);
    cJSON_AddItemToObject(r, "limits", cJSON_Duplicate(w->limits_json, 1));
    cJSON *checks = cJSON_AddArrayToObject(r, "checks");
    for (int i = 0; i < w->checks; i++) cJSON_AddItemToArray(checks, describe_check(w, &w->check[i]));
    cJSON *columns = cJSON_AddArrayToObject(r, "columns");
    for (int i = 0; i < w->columns && !st; i++) st = describe_column(columns, &w->column[i]);
    if (w->accuracy) cJSON_AddItemToObject(r, "accuracy", w->accuracy);
    if (w->unlike) cJSON_AddItemToObject(r, "unlike", w->unlike);
    w->accuracy = w->unlike = NULL;
    cJSON_AddItemToObject(r, "notes", cJSON_Duplicate(w->notes, 1));
    return st;
}

/* ---- all of it ---- */

static rt_status write_files(rt_result_files *out, const cJSON *result)
{
    rt_string text[4] = {{0}};
    char *json = rt_json_text(result, 1), *screen = rt_drift_screen(result);
    if (json) rt_put(&text[0], "%s\n", json);
    if (screen) rt_put_bytes(&text[1], screen, strlen(screen));
    rt_drift_csv(&text[2], result);
    rt_drift_page(&text[3], result);
    rt_status st = rt_result_files_write(out, text);
    for (int i = 0; i < 4; i++) free(text[i].p);
    free(json);
    free(screen);
    return st;
}

static rt_status open_out(rt_result_files **out, const rt_drift_work *w, const rt_target *target)
{
    const char *inputs[RT_TEACHER_FILES + 2 * RT_SOURCE_PARTS + 8];
    int n = 0;
    for (int i = 0; i < w->model.paths; i++) inputs[n++] = w->model.path[i];
    for (int s = 0; s < RT_DRIFT_SIDES; s++) n = rt_eval_data_files(&w->side[s].data, inputs, n);
    if (w->limits_path) inputs[n++] = w->limits_path;
    inputs[n] = NULL;
    return rt_result_files_open(out, target, inputs, &files);
}

/* One line, of what decided: the farthest beyond its limit. */
static rt_status say(rt_status decided, const cJSON *result)
{
    int n;
    if (!decided) return RT_OK;
    const cJSON **sorted = rt_drift_sorted(rt_member(result, "checks"), &n);
    const cJSON *first = sorted && n ? sorted[0] : NULL, *e = cJSON_GetArrayItem(rt_member(first, "effects"), 0);
    const char *reason = cJSON_GetStringValue(rt_member(first, "reason"));
    free(sorted);
    rt_fail(decided, "%s: %s: %s %.4g, limit %.4g, p %.3g%s%s", word_of(decided),
            cJSON_GetStringValue(rt_member(first, "name")), cJSON_GetStringValue(rt_member(e, "name")),
            rt_number(e, "value"), rt_number(e, "limit"), rt_number(first, "p_holm"), reason ? "; " : "",
            reason ? reason : "");
    double more = rt_number(rt_member(result, "counts"), word_of(decided)) - 1;
    return more > 0 ? rt_fail(decided, "%s (and %.0f more)", rt_error_message(), more) : decided;
}

static rt_status look(rt_drift_work *w)
{
    RT_TRY(rt_drift_open(w));
    if (w->side[0].predictions) RT_TRY(rt_drift_take_predictions(w));
    else RT_TRY(rt_drift_ask(w));
    RT_TRY(rt_drift_count(w));
    RT_TRY(rt_drift_judge(w));
    return rt_drift_joint(w);
}

rt_status rt_drift(cJSON *config, const rt_target *target, rt_device *device, const rt_progress *progress,
                   cJSON **result)
{
    rt_result_files *out = NULL;
    rt_status decided = RT_OK;
    rt_drift_work *w = calloc(1, sizeof *w);
    *result = NULL;
    if (!w) return rt_fail(RT_RUN, "out of memory");
    w->device = device;
    w->progress = progress;
    w->notes = cJSON_CreateArray();
    rt_status st = rt_drift_read_settings(config, w);
    if (!st) st = rt_precision_take(device, w->precision, "precision");
    if (!st) st = rt_drift_read_limits(w);
    if (!st && target) st = open_out(&out, w, target);
    if (!st) st = look(w);
    if (!st) st = rt_drift_decide(w, &decided);
    if (!st) st = describe(w, decided, result);
    if (!st && out) st = write_files(out, *result);
    if (st) {
        cJSON_Delete(*result);
        *result = NULL;
    } else st = say(decided, *result);
    rt_result_files_close(out);
    rt_drift_close(w);
    free(w);
    return st;
}
