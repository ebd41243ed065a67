#include "train/trainer_parts.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/provenance.h"
#include "engine/text.h"
#include "engine/version.h"

/* ---- what is said at the start ---- */

static void say(const rt_trainer *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void say(const rt_trainer *t, const char *fmt, ...)
{
    char text[400];
    va_list list;
    va_start(list, fmt);
    vsnprintf(text, sizeof text, fmt, list);
    va_end(list);
    rt_progress_line(t->opt->progress, text);
}

static const char *against(const rt_trainer *t)
{
    int labels = 0;
    for (int h = 0; h < t->set.heads; h++) labels += t->learn[h].judged;
    return labels == t->set.heads ? "labels" : labels ? "labels, or the teacher where a head has none" : "teacher";
}

static void say_loss(const rt_trainer *t, int h)
{
    static const char *const hard[] = {"cross-entropy", "binary cross-entropy", "squared error", "Huber loss",
                                       "quantile loss"};
    const rt_loss_config *l = &t->set.of[h].loss;
    char soft[160] = "", hints[40] = "", of[RT_HEAD_NAME + 8] = "";
    if (l->desc.kind != RT_SOFT_NONE)
        snprintf(soft, sizeof soft, " + %g x %s", (double)l->desc.soft, rt_soft_name(l->desc.kind));
    if (l->desc.kind != RT_SOFT_NONE && l->desc.kind != RT_SOFT_MSE && l->desc.kind != RT_SOFT_VALUES)
        snprintf(soft + strlen(soft), sizeof soft - strlen(soft), " (temperature %g)", (double)l->desc.temperature);
    if (l->focal.on)
        snprintf(soft + strlen(soft), sizeof soft - strlen(soft), ", times %g + %g where the teacher is right",
                 (double)l->focal.alpha, (double)l->focal.beta);
    if (t->set.hints && h == 0) snprintf(hints, sizeof hints, " + %d hints", t->set.hints);
    if (t->set.heads > 1) snprintf(of, sizeof of, " of %s", t->set.head[h].name);
    say(t, "loss%s: %g x %s with %s (mean over %s)%s%s", of, (double)l->desc.hard, hard[l->desc.hard_kind],
        l->desc.task == RT_TASK_REAL ? "targets" : "labels", l->labelled_mean ? "labelled rows" : "the batch", soft,
        hints);
    if (t->learn[h].class_weight)
        say(t, "class weights: %s; divided by %s", l->balanced ? "balanced" : "as given",
            l->labelled_mean ? "the sum of the rows' weights (PyTorch's weight)"
                             : "the rows of the batch (Keras' class_weight)");
}

static void say_input(const rt_trainer *t, int i)
{
    const rt_normalized *n = &t->normalized[i];
    const rt_input *in = &t->model->input[i];
    char name[RT_NAME_MAX + 12] = "input";
    if (t->model->inputs > 1) snprintf(name, sizeof name, "input %s", in->name);
    if (!n->how) say(t, "%s: normalised as the model of init is", name);
    else if (in->ids) say(t, "%s: %d ids", name, in->ids);
    else if (!n->rows) say(t, "%s: normalisation %s", name, n->how);
    else
        say(t, "%s: normalised by %s: %d %s over %llu rows%s", name, n->how, in->channels,
            in->channels == 1 ? "mean and deviation" : "means and deviations", (unsigned long long)n->rows,
            n->why ? n->why : "");
    if (n->constant) say(t, "note: %d channels of the %s are constant", n->constant, name);
}

void rt_train_say(const rt_trainer *t)
{
    char held[120] = "no row for validation: the last epoch is kept", test[48] = "";
    unsigned long long rows = t->train.count, labelled = t->labelled;
    if (t->held.count)
        snprintf(held, sizeof held, "%llu for validation, against %s", (unsigned long long)t->held.count,
                 !strcmp(against(t), "labels")    ? "their labels"
                 : !strcmp(against(t), "teacher") ? "the teacher's answers"
                                                  : against(t));
    if (t->test.count) snprintf(test, sizeof test, "; %llu test rows left out", (unsigned long long)t->test.count);
    say(t, "rows: %llu to learn from, %llu with a label; %s%s", rows, labelled, held, test);
    if (t->unlabelled_out)
        say(t, "note: %llu rows have no label and there is no teacher: they are left out",
            (unsigned long long)t->unlabelled_out);
    if (t->policy)
        say(t, "policy: %.0f of %.0f labelled rows are learnt from; %.0f abstain, %.0f are more than wanted",
            rt_train_number(t->policy, "rows_after"), rt_train_number(t->policy, "rows_before"),
            rt_train_number(t->policy, "abstained"), rt_train_number(t->policy, "cut"));
    if (t->policy && rt_train_number(t->policy, "labelled_kept") > 0)
        say(t, "policy: %.0f rows more have a label of the data, and stay whatever it says (data.policy_labelled)",
            rt_train_number(t->policy, "labelled_kept"));
    if (t->draws)
        say(t,
            "weights: rows are drawn in proportion to them, so that an epoch has some more than once and some not at "
            "all");
    for (int h = 0; h < t->set.heads; h++) {
        const rt_loss_config *l = &t->set.of[h].loss;
        if (l->desc.kind == RT_SOFT_DKD && !l->desc.teacher_target && t->learn[h].labelled < rows)
            say(t, "note: %llu rows have no label: dkd takes the teacher's answer for their class",
                rows - (unsigned long long)t->learn[h].labelled);
        if (t->set.heads > 1)
            say(t, "head %s: %llu rows have a target; %llu of the validation rows judge it", t->set.head[h].name,
                (unsigned long long)t->learn[h].labelled, (unsigned long long)t->learn[h].held);
        say_loss(t, h);
    }
    for (int i = 0; i < t->model->inputs; i++) say_input(t, i);
    for (const cJSON *n = t->notes->child; n; n = n->next) say(t, "note: %s", cJSON_GetStringValue(n));
}

/* ---- metrics ---- */

static void put_metric(rt_string *csv, const cJSON *epoch, const char *key)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(epoch, key);
    if (cJSON_IsNumber(v)) rt_put(csv, ",%.9g", v->valuedouble);
    else rt_put(csv, ",");
}

/* A column's title, which has a head's name in it. */
static void put_title(rt_string *csv, const char *key)
{
    rt_put(csv, ",");
    rt_put_csv(csv, key);
}

/* Of one head of classes the columns are as they always were: without validation rows two empty ones. */
rt_status rt_train_write_metrics(rt_trainer *t)
{
    rt_string csv = {0}, lines = {0};
    rt_train_column list[RT_TRAIN_COLUMNS];
    int n = rt_train_columns(t, list), first = rt_heads_plain(t->set.head, t->set.heads) ? 2 : n;
    rt_put(&csv, "epoch,loss");
    if (!n) rt_put(&csv, first ? ",validation_accuracy,validation_loss" : "");
    for (int i = 0; i < n && i < first; i++) put_title(&csv, list[i].key);
    rt_put(&csv, ",lr,digest");
    for (int i = first; i < n; i++) put_title(&csv, list[i].key);
    rt_put(&csv, "\n");
    rt_put(&lines, "%s", "");
    for (const cJSON *e = t->history->child; e; e = e->next) {
        const char *digest = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(e, "digest"));
        rt_put(&csv, "%.0f,%.9g", rt_train_number(e, "epoch"), rt_train_number(e, "loss"));
        if (!n) rt_put(&csv, first ? ",," : "");
        for (int i = 0; i < n && i < first; i++) put_metric(&csv, e, list[i].key);
        rt_put(&csv, ",%.9g,", rt_train_number(e, "lr"));
        if (digest) rt_put_csv(&csv, digest);
        for (int i = first; i < n; i++) put_metric(&csv, e, list[i].key);
        rt_put(&csv, "\n");
        char *one = rt_json_text(e, 0);
        if (one) rt_put(&lines, "%s\n", one);
        else lines.failed = 1;
        free(one);
    }
    rt_status st = csv.failed || lines.failed ? rt_fail(RT_RUN, "out of memory")
                                              : rt_train_write_text(t, "metrics.csv", csv.p);
    if (!st) st = rt_train_write_text(t, "metrics.jsonl", lines.p);
    free(csv.p);
    free(lines.p);
    return st;
}

rt_status rt_train_weights_digest(const rt_trainer *t, rt_digest *digest)
{
    RT_TRY(rt_session_read(t->session, RT_B_WEIGHTS));
    const rt_graph *g = t->model->graph;
    rt_hasher *h = rt_hasher_new();
    for (rt_home home = RT_PARAM; home <= RT_STATE; home++)
        for (int i = -1; (i = rt_graph_next_field(g, home, i)) >= 0;)
            rt_hasher_add(h,
                          rt_session_buffer(t->session, home == RT_PARAM ? RT_B_PARAMS : RT_B_STATES, NULL) +
                              g->field[i].offset,
                          g->field[i].count * sizeof(float));
    *digest = rt_hasher_end(h);
    return RT_OK;
}

/* ---- provenance ---- */

/* Rows of this run and of all that it learnt from. */
static rt_status list_seen(const rt_trainer *t, cJSON *seen)
{
    const rt_train_settings *s = &t->set;
    rt_seen_run run = {.source_rows = rt_source_rows(t->x), .rows = s->rows, .seed = s->seed};
    if (t->held.count) run.validation_range = s->hard_rows;
    if (!t->held_of_labelled) run.validation = s->validation;
    for (int i = 0; i < rt_source_parts(t->x); i++) {
        run.data = t->part_digest[i].hex;
        RT_TRY(rt_seen_add(seen, &run));
    }
    rt_status st = *s->init ? rt_seen_join(seen, t->model->provenance, "init", t->init_digest.hex) : RT_OK;
    if (st) return rt_fail_in(st, "%s", s->init);
    return t->teacher ? rt_teacher_seen(t->teacher, seen) : RT_OK;
}

static rt_status set_provenance(rt_trainer *t)
{
    static const char *const old[] = {"tool", "kernels", "config", "data", "data_digest", "labels", "teacher_digest",
                                      "teacher", "best_epoch", "seed", "seen", "content", "quantized", "policy"};
    char family[RT_FAMILY_TEXT];
    cJSON *p = t->model->provenance, *seen = cJSON_CreateArray();
    rt_status st = list_seen(t, seen);
    if (st) {
        cJSON_Delete(seen);
        return st;
    }
    for (size_t i = 0; i < sizeof old / sizeof old[0]; i++) cJSON_DeleteItemFromObjectCaseSensitive(p, old[i]);
    cJSON_AddStringToObject(p, "tool", rt_tool());
    cJSON_AddStringToObject(p, "kernels", rt_device_family(t->opt->device, family));
    cJSON_AddItemToObject(p, "seed", cJSON_Duplicate(cJSON_GetObjectItemCaseSensitive(t->config, "seed"), 1));
    cJSON_AddStringToObject(p, "data", t->set.source);
    cJSON_AddStringToObject(p, "data_digest", t->data_digest.hex);
    cJSON_AddItemToObject(p, "content", cJSON_Duplicate(t->content, 1));
    if (t->teacher && (st = rt_teacher_describe(t->teacher, p))) {
        cJSON_Delete(seen);
        return st;
    }
    rt_train_peer_tell(t, p);
    if (t->policy) cJSON_AddItemToObject(p, "policy", cJSON_Duplicate(t->policy, 1));
    cJSON_AddNumberToObject(p, "best_epoch", t->best_epoch);
    cJSON_AddItemToObject(p, "config", cJSON_Duplicate(t->config, 1));
    rt_train_quant_describe(t, p);
    cJSON_AddItemToObject(p, "seen", seen);
    return RT_OK;
}

/* ---- result ---- */

static void add_class_weights(const rt_trainer *t, cJSON *r)
{
    cJSON *all = t->set.heads > 1 ? cJSON_CreateObject() : NULL;
    for (int h = 0; h < t->set.heads; h++) {
        if (!t->learn[h].class_weight) continue;
        cJSON *w = cJSON_AddArrayToObject(all ? all : r, all ? t->set.head[h].name : "class_weight");
        for (int c = 0; c < t->set.head[h].size; c++)
            cJSON_AddItemToArray(w, cJSON_CreateNumber(t->learn[h].class_weight[c]));
    }
    if (all && all->child) cJSON_AddItemToObject(r, "class_weight", all);
    else cJSON_Delete(all);
}

static void add_rows(const rt_trainer *t, cJSON *r)
{
    char monitored[RT_HEAD_NAME + 40];
    snprintf(monitored, sizeof monitored, "%s%s%s", t->set.heads > 1 ? t->set.head[t->set.monitor_head].name : "",
             t->set.heads > 1 ? "." : "", t->set.monitor->name);
    if (t->held.count) {
        const cJSON *best = cJSON_GetArrayItem(t->history, t->best_epoch - 1);
        rt_train_column list[RT_TRAIN_COLUMNS];
        int n = rt_train_columns(t, list), plain = rt_heads_plain(t->set.head, t->set.heads);
        for (int i = 0; i < (plain ? 1 : n); i++) {
            const cJSON *v = cJSON_GetObjectItemCaseSensitive(best, list[i].key);
            cJSON_AddItemToObject(r, list[i].key, cJSON_Duplicate(v, 0));
        }
        if (t->set.monitor != &rt_classes_metrics[RT_ACCURACY]) {
            cJSON_AddStringToObject(r, "monitor", monitored);
            cJSON_AddNumberToObject(r, "monitor_value", t->best);
        }
        cJSON_AddStringToObject(r, "validation_against", against(t));
        cJSON_AddNumberToObject(r, "validation_rows", (double)t->held.count);
        cJSON *held = t->set.heads > 1 ? cJSON_AddObjectToObject(r, "validation_rows_by_head") : NULL;
        for (int h = 0; h < t->set.heads && held; h++)
            cJSON_AddNumberToObject(held, t->set.head[h].name, (double)t->learn[h].held);
    }
    char chosen[200];
    snprintf(chosen, sizeof chosen, "validation %s, the earliest of equal epochs", monitored);
    cJSON_AddStringToObject(r, "chosen_by", t->held.count ? chosen : "no validation: the last epoch");
    if (t->done < t->total) cJSON_AddNumberToObject(r, "stopped_after_epoch", cJSON_GetArraySize(t->history));
    add_class_weights(t, r);
    cJSON_AddNumberToObject(r, "training_rows", (double)t->train.count);
    cJSON_AddNumberToObject(r, "labelled_rows", (double)t->labelled);
    cJSON *by = t->set.heads > 1 ? cJSON_AddObjectToObject(r, "labelled_rows_by_head") : NULL;
    for (int h = 0; h < t->set.heads && by; h++)
        cJSON_AddNumberToObject(by, t->set.head[h].name, (double)t->learn[h].labelled);
    if (t->unlabelled_out) cJSON_AddNumberToObject(r, "unlabelled_rows_left_out", (double)t->unlabelled_out);
    if (t->policy) cJSON_AddItemToObject(r, "policy", cJSON_Duplicate(t->policy, 1));
    if (t->masked_out) cJSON_AddNumberToObject(r, "masked_rows_left_out", (double)t->masked_out);
    if (t->test.count) cJSON_AddNumberToObject(r, "test_rows_left_out", (double)t->test.count);
    cJSON *of = t->model->inputs > 1 ? cJSON_AddObjectToObject(r, "normalization") : r;
    for (int i = 0; i < t->model->inputs; i++)
        cJSON_AddStringToObject(of, of == r ? "normalization" : t->model->input[i].name,
                                t->normalized[i].how ? t->normalized[i].how : "of init");
    int constant = 0;
    for (int k = 0; k < t->model->inputs; k++) constant += t->normalized[k].constant;
    if (constant) cJSON_AddNumberToObject(r, "constant_channels", constant);
}

rt_status rt_train_take_best(rt_trainer *t)
{
    RT_TRY(rt_session_read(t->session, 1u << RT_B_BEST | 1u << RT_B_BEST_STATES));
    return rt_train_quant_take(t, rt_session_buffer(t->session, RT_B_BEST, NULL),
                               rt_session_buffer(t->session, RT_B_BEST_STATES, NULL));
}

rt_status rt_train_finish(rt_trainer *t, cJSON **result)
{
    char path[1200];
    rt_model *m = t->model;
    rt_digest last;
    RT_TRY(rt_train_weights_digest(t, &last));
    RT_TRY(rt_train_take_best(t));
    RT_TRY(rt_identity_unchanged(t->identity));
    RT_TRY(set_provenance(t));
    snprintf(path, sizeof path, "%s/model.h5", t->opt->out);
    RT_TRY(rt_model_save(m, path));
    cJSON *r = cJSON_CreateObject();
    cJSON_AddStringToObject(r, "model", path);
    cJSON_AddStringToObject(r, "digest", rt_model_digest(m).hex);
    cJSON_AddStringToObject(r, "last_weights_digest", last.hex);
    cJSON_AddNumberToObject(r, "epochs", t->set.epochs);
    cJSON_AddNumberToObject(r, "best_epoch", t->best_epoch);
    add_rows(t, r);
    cJSON_AddStringToObject(r, "order", t->order);
    if (t->mixing.measured) cJSON_AddItemToObject(r, "mixing", rt_mixing_json(&t->mixing));
    cJSON_AddNumberToObject(r, "steps", (double)t->done);
    cJSON_AddNumberToObject(r, "parameters", (double)rt_graph_param_count(m->graph));
    cJSON_AddNumberToObject(r, "seconds", t->seconds);
    if (t->peer_result) cJSON_AddItemToObject(r, "peer", cJSON_Duplicate(t->peer_result, 1));
    if (t->notes->child) cJSON_AddItemToObject(r, "notes", cJSON_Duplicate(t->notes, 1));
    cJSON_AddStringToObject(r, "config_digest", t->config_digest);
    cJSON_AddItemToObject(r, "content", cJSON_Duplicate(t->content, 1));
    cJSON_AddItemToObject(r, "history", cJSON_Duplicate(t->history, 1));
    char *text = rt_json_sealed(r);
    rt_status st = text ? rt_train_write_text(t, "result.json", text) : rt_fail(RT_RUN, "out of memory");
    free(text);
    if (st) cJSON_Delete(r); else *result = r;
    return st;
}
