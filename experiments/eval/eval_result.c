#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "data/files.h"
#include "engine/version.h"
#include "experiments/eval/evaluator_parts.h"

/* ---- numbers, and why there is none ---- */

static double ratio(double sum, uint64_t n) { return n ? sum / (double)n : NAN; }

static cJSON *counts(const uint64_t *n, int k)
{
    cJSON *list = cJSON_CreateArray();
    for (int c = 0; c < k; c++) cJSON_AddItemToArray(list, cJSON_CreateNumber((double)n[c]));
    return list;
}

/* Lists hold null where a class has no rows or no answers: scikit-learn would say 0 and warn. */
static void add_item(cJSON *list, double value)
{
    cJSON_AddItemToArray(list, isfinite(value) ? cJSON_CreateNumber(value) : cJSON_CreateNull());
}

/* ---- quality ---- */

static const char no_labels[] = "no row has a label";

static void add_classes(cJSON *j, const rt_scores *q)
{
    cJSON *p = cJSON_AddObjectToObject(j, "per_class");
    cJSON_AddItemToObject(p, "rows", counts(q->truth, q->size));
    cJSON_AddItemToObject(p, "answered", counts(q->answered, q->size));
    cJSON_AddItemToObject(p, "right", counts(q->hit, q->size));
    cJSON *precision = cJSON_AddArrayToObject(p, "precision"), *recall = cJSON_AddArrayToObject(p, "recall");
    cJSON *f1 = cJSON_AddArrayToObject(p, "f1");
    for (int c = 0; c < q->size; c++) {
        add_item(precision, ratio((double)q->hit[c], q->answered[c]));
        add_item(recall, ratio((double)q->hit[c], q->truth[c]));
        add_item(f1, rt_f1(q->hit[c], q->truth[c], q->answered[c]));
    }
}

static void add_reliability(cJSON *j, const rt_scores *q)
{
    cJSON *bins = cJSON_AddArrayToObject(j, "reliability");
    for (int b = 0; b < RT_ECE_BINS; b++) {
        cJSON *bin = cJSON_CreateObject();
        const rt_ece_bin *from = &q->bin[b];
        cJSON_AddNumberToObject(bin, "count", (double)from->count);
        if (from->count) {
            cJSON_AddNumberToObject(bin, "confidence", ratio(from->confidence, from->count));
            cJSON_AddNumberToObject(bin, "accuracy", ratio(from->right, from->count));
        }
        cJSON_AddItemToArray(bins, bin);
    }
}

static void add_confusion(cJSON *j, const rt_head *head, const rt_eval_quality *q)
{
    char reason[80];
    snprintf(reason, sizeof reason, "%d classes; the matrix is kept up to %d", head->size, RT_EVAL_CONFUSION);
    if (!q->confusion) {
        rt_json_number(j, "confusion", NAN, reason);
        return;
    }
    cJSON *m = cJSON_AddArrayToObject(j, "confusion");
    size_t k = (size_t)head->size;
    for (size_t y = 0; y < k; y++) cJSON_AddItemToArray(m, counts(q->confusion + y * k, (int)k));
}

/* Of each column of values. */
static void add_columns(cJSON *j, const rt_scores *s)
{
    cJSON *p = cJSON_AddObjectToObject(j, "per_column"), *rows = cJSON_AddArrayToObject(p, "rows");
    cJSON *mae = cJSON_AddArrayToObject(p, "mae"), *rmse = cJSON_AddArrayToObject(p, "rmse");
    cJSON *most = cJSON_AddArrayToObject(p, "max_error");
    for (int c = 0; c < s->size; c++) {
        const rt_column_score *of = &s->column[c];
        cJSON_AddItemToArray(rows, cJSON_CreateNumber((double)of->rows));
        add_item(mae, ratio(of->abs, of->rows));
        add_item(rmse, sqrt(ratio(of->square, of->rows)));
        add_item(most, of->rows ? of->most : NAN);
    }
}

static void add_labelled(cJSON *j, const rt_head *head, const rt_eval_quality *q)
{
    const rt_scores *s = &q->scores;
    const rt_metric_table *table = &rt_metrics[head->task];
    for (int i = 0; i < table->count; i++) {
        const rt_metric *m = &table->metric[i];
        rt_json_number(j, m->name, m->of(s), rt_metric_undefined(m, s));
        if (m != &rt_classes_metrics[RT_ACCURACY] || !s->rows) continue;
        double range[2];
        rt_wilson(s->right, s->rows, 0.95, range);
        cJSON_AddItemToObject(j, "accuracy_95", cJSON_CreateDoubleArray(range, 2));
    }
    if (!s->rows) return;
    if (head->task == RT_TASK_REAL) add_columns(j, s);
    else add_classes(j, s);
    if (head->task != RT_TASK_CLASSES) return;
    add_reliability(j, s);
    add_confusion(j, head, q);
}

static const char *kl_key(const rt_evaluation *v) { return v->set.teacher ? "kl_from_teacher" : "kl_from_reference"; }

/* This model's error less the reference's, row by row: below 0 it is the better one. */
static rt_status add_difference(cJSON *j, const rt_evaluation *v, int i, int h)
{
    const rt_eval_quality *q = &v->model[i].quality[h], *first = &v->model[0].quality[h];
    uint64_t n = q->scores.rows;
    double range[2], mean;
    const char *method;
    if (!n) {
        rt_json_number(j, "difference_vs_reference", NAN, no_labels);
        return RT_OK;
    }
    float *d = malloc(n * sizeof *d);
    if (!d) return rt_fail(RT_RUN, "out of memory");
    for (uint64_t r = 0; r < n; r++) d[r] = q->error[r] - first->error[r];
    rt_paired_interval(d, n, &mean, range, &method);
    free(d);
    cJSON *o = cJSON_AddObjectToObject(j, "difference_vs_reference");
    cJSON_AddStringToObject(o, "of", v->head[h].task == RT_TASK_REAL ? "mean absolute error of a row"
                                                                     : "share of a row's labels that is wrong");
    cJSON_AddNumberToObject(o, "mean", mean);
    cJSON_AddItemToObject(o, "interval_95", cJSON_CreateDoubleArray(range, 2));
    cJSON_AddStringToObject(o, "method", method);
    return RT_OK;
}

/* Model 0 is what the others are compared with; there is nothing to compare it with. */
static rt_status add_comparison(cJSON *j, const rt_evaluation *v, int i, int h)
{
    const rt_eval_quality *q = &v->model[i].quality[h];
    rt_task task = v->head[h].task;
    if (i == 0) return RT_OK;
    rt_json_number(j, "agreement", ratio((double)q->agree, q->compared), "");
    if (task == RT_TASK_REAL) rt_json_number(j, "distance_from_reference", ratio(q->away, q->compared), "");
    else rt_json_number(j, kl_key(v), ratio(q->kl, q->compared), "");
    if (task != RT_TASK_CLASSES) RT_TRY(add_difference(j, v, i, h));
    if (task == RT_TASK_REAL) return RT_OK;
    int complete = task == RT_TASK_CLASSES || q->scores.complete;          /* what is right is a whole row */
    if (!v->labelled[h] || !complete) {
        rt_json_number(j, "mcnemar_vs_reference", NAN, v->labelled[h] ? "no row has all its labels" : no_labels);
        return RT_OK;
    }
    cJSON *m = cJSON_AddObjectToObject(j, "mcnemar_vs_reference");
    cJSON_AddNumberToObject(m, "reference_right_only", (double)q->reference_only);
    cJSON_AddNumberToObject(m, "this_right_only", (double)q->this_only);
    cJSON_AddNumberToObject(m, "p", rt_mcnemar(q->reference_only, q->this_only));
    return RT_OK;
}

/* Of a single head among the model's members, of several by head. */
static rt_status add_quality(cJSON *j, const rt_evaluation *v, int i)
{
    cJSON *all = v->heads > 1 ? cJSON_AddArrayToObject(j, "heads") : NULL;
    for (int h = 0; h < v->heads; h++) {
        const rt_eval_quality *q = &v->model[i].quality[h];
        cJSON *one = all ? cJSON_CreateObject() : j;
        if (all) {
            cJSON_AddItemToArray(all, one);
            cJSON_AddStringToObject(one, "name", v->head[h].name);
            cJSON_AddStringToObject(one, "task", rt_task_name(v->head[h].task));
        }
        if (!q->there) {
            cJSON_AddBoolToObject(one, "missing", 1);
            continue;
        }
        add_labelled(one, &v->head[h], q);
        RT_TRY(add_comparison(one, v, i, h));
    }
    return RT_OK;
}

static void add_seen(cJSON *j, const rt_eval_seen *s)
{
    rt_json_number(j, "rows_seen_in_training", s->unknown && !s->rows ? NAN : (double)s->rows,
        "not known: a file that the model comes from does not say what it was trained on");
    cJSON *seen = cJSON_AddObjectToObject(j, "seen");
    for (int k = 0; k < RT_EVAL_KIN; k++) cJSON_AddNumberToObject(seen, rt_eval_kin[k], (double)s->by[k]);
    cJSON_AddNumberToObject(seen, "files_that_do_not_say", s->unknown);
}

/* ---- models ---- */

/* The curve of the run that made the model, when it lies beside it and is of this model. What is there and no such
 * thing is said; what the machine cannot read is an error, as a part of the report would be missing without a word. */
static rt_status add_history(cJSON *j, rt_evaluation *v, const rt_eval_model *e)
{
    char path[1200];
    cJSON *r;
    struct stat s;
    const char *slash = strrchr(e->spec.path[0], '/');
    int folder = slash ? (int)(slash - e->spec.path[0]) + 1 : 0;
    if (e->spec.paths > 1 ||
        snprintf(path, sizeof path, "%.*sresult.json", folder, e->spec.path[0]) >= (int)sizeof path)
        return RT_OK;
    if (stat(path, &s))
        return errno == ENOENT ? RT_OK : rt_fail(rt_errno_status(errno), "%s: %s", path, strerror(errno));
    rt_status st = rt_json_sealed_file(&r, path);
    if (st == RT_INPUT) rt_eval_note(v->notes, "no training curve of %s: %s", e->name, rt_error_message());
    if (st) return st == RT_INPUT ? RT_OK : st;
    const char *made = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(r, "digest"));
    cJSON *h = cJSON_DetachItemFromObjectCaseSensitive(r, "history");
    int good = cJSON_IsArray(h) && made && strcmp(made, e->digest.hex) == 0;
    for (const cJSON *p = good ? h->child : NULL; p; p = p->next) good &= cJSON_IsObject(p);
    if (good) cJSON_AddItemToObject(j, "history", h);
    else cJSON_Delete(h);
    cJSON_Delete(r);
    return RT_OK;
}

/* What a model that answers by integers is. */
static void add_quantized(cJSON *j, const rt_eval_model *e, const rt_teacher_cost *cost)
{
    cJSON *q = cJSON_AddObjectToObject(j, "quantized");
    cJSON_AddNumberToObject(q, "models", rt_teacher_quantized(e->teacher));
    cJSON_AddNumberToObject(q, "contract", RT_INT_CONTRACT);
    cJSON_AddNumberToObject(q, "program_bytes", cost->program_bytes);
}

static rt_status describe(cJSON *models, rt_evaluation *v, int i)
{
    rt_eval_model *e = &v->model[i];
    rt_teacher_cost cost = rt_teacher_costs(e->timed >= 0 ? v->speed.subject[e->timed].stream[0] : e->teacher);
    cJSON *j = cJSON_CreateObject(), *files = cJSON_AddArrayToObject(j, "files");
    cJSON_AddItemToArray(models, j);
    cJSON_AddStringToObject(j, "name", e->name);
    for (int p = 0; p < e->spec.paths; p++) cJSON_AddItemToArray(files, cJSON_CreateString(e->spec.path[p]));
    cJSON_AddStringToObject(j, "digest", e->digest.hex);
    add_seen(j, &e->seen);
    RT_TRY(add_quality(j, v, i));
    if (rt_teacher_abilities(e->teacher) & RT_TEACHER_TIMED) {
        cJSON_AddNumberToObject(j, "parameters", cost.parameters);
        cJSON_AddNumberToObject(j, "macs", cost.macs);
        cJSON_AddNumberToObject(j, "file_bytes", cost.file_bytes);
        if (rt_teacher_quantized(e->teacher)) add_quantized(j, e, &cost);
    }
    if (e->timed >= 0) {
        cJSON_AddNumberToObject(j, "peak_memory_bytes", cost.weight_bytes + cost.plan_bytes);
        RT_TRY(rt_speed_describe(j, &v->speed, e->timed));
        if (e->timed > 0)
            rt_speed_describe_ratios(cJSON_AddObjectToObject(j, "speed_vs_reference"), &v->speed, e->timed);
    }
    RT_TRY(add_history(j, v, e));
    return rt_check_stop();
}

/* ---- the whole ---- */

static void add_machine(cJSON *r, const rt_evaluation *v)
{
    cJSON *m = cJSON_AddObjectToObject(r, "machine");
    rt_machine_describe(m, v->device, v->speed.count ? &v->speed.before : NULL);
    int quantized = 0;
    for (int i = 0; i < v->count; i++) quantized += rt_teacher_quantized(v->model[i].teacher);
    if (quantized) cJSON_AddStringToObject(m, "int_kernels", rt_int_kernels_get()->name);
    if (!v->speed.count) return;
    if (rt_device_is_cpu(v->device))
        cJSON_AddNumberToObject(m, "peak_gflops_1thread", rt_kernels_peak(rt_kernels_get()));
    rt_speed_describe_all(cJSON_AddObjectToObject(r, "speed"), &v->speed);
}

static void add_data(cJSON *r, const rt_evaluation *v)
{
    cJSON *data = cJSON_AddObjectToObject(r, "data");
    cJSON_AddStringToObject(data, "source", v->data.source);
    cJSON_AddNumberToObject(data, "rows", (double)v->data.rows.count);
    int plain = rt_heads_plain(v->head, v->heads);
    cJSON_AddNumberToObject(data, "labelled_rows", (double)v->labelled_rows);
    if (plain) cJSON_AddNumberToObject(data, "classes", v->head[0].size);
    else {
        cJSON *heads = rt_heads_to_json(v->head, v->heads), *one = heads->child;
        cJSON_AddItemToObject(data, "heads", heads);
        for (int h = 0; h < v->heads; h++, one = one->next)
            cJSON_AddNumberToObject(one, "labelled_rows", (double)v->labelled[h]);
    }
    if (rt_rows_tests(&v->data.wanted))
        cJSON_AddStringToObject(data, "part", v->data.wanted.folds ? "fold" : "test");
    cJSON_AddStringToObject(data, "digest", v->data.digest.hex);
    cJSON *names = plain ? rt_names_to_json(&v->head[0].names) : NULL;
    if (names) cJSON_AddItemToObject(data, "class_names", names);
}

rt_status rt_eval_result(rt_evaluation *v, const cJSON *config, cJSON **result)
{
    cJSON *r = cJSON_CreateObject();
    cJSON_AddStringToObject(r, "format", "retort-evaluation-2");
    cJSON_AddStringToObject(r, "tool", rt_tool());
    if (v->count) add_data(r, v);
    add_machine(r, v);
    if (v->count > 1) {
        cJSON *reference = cJSON_AddObjectToObject(r, "reference");
        cJSON_AddStringToObject(reference, "name", v->model[0].name);
        cJSON_AddStringToObject(reference, "role", v->set.teacher                                ? "teacher"
                                : v->pair.on && !v->pair.stored[RT_BASELINE] ? "baseline"
                                                                                   : "the first model given");
    }
    cJSON *models = cJSON_CreateArray();
    rt_status st = RT_OK;
    for (int i = 0; i < v->count && !st; i++) st = describe(models, v, i);
    cJSON_AddItemToObject(r, "notes", cJSON_Duplicate(v->notes, 1));       /* describing may have added some */
    cJSON_AddItemToObject(r, "models", models);
    if (v->pair.result) cJSON_AddItemToObject(r, "comparison", cJSON_Duplicate(v->pair.result, 1));
    cJSON_AddItemToObject(r, "config", cJSON_Duplicate(config, 1));
    if (st) cJSON_Delete(r);
    else *result = r;
    return st;
}
