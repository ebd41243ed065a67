/* train/train_validate.c - what the model is worth on the validation rows, head by head, and what an epoch is chosen
 * by. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "train/trainer_parts.h"

enum { AT_ONCE = 256 };                /* rows; a device may take more */

/* ---- what is shown of an epoch ---- */

static int add_column(const rt_trainer *t, rt_train_column *list, int n, int head, const rt_metric *m)
{
    const rt_train_settings *s = &t->set;
    const char *name = m->name;
    for (int i = 0; i < n; i++) if (list[i].head == head && list[i].metric == m) return n;
    if (rt_heads_plain(s->head, s->heads) && m == &rt_classes_metrics[RT_NLL]) name = "loss";
    snprintf(list[n].key, sizeof list[n].key, "validation_%s%s%s", s->heads > 1 ? s->head[head].name : "",
             s->heads > 1 ? "." : "", name);
    list[n].head = head;
    list[n].metric = m;
    return n + 1;
}

int rt_train_columns(const rt_trainer *t, rt_train_column list[RT_TRAIN_COLUMNS])
{
    int n = 0;
    if (!t->held.count) return 0;
    for (int h = 0; h < t->set.heads; h++) {
        const rt_metric_table *of = &rt_metrics[t->set.head[h].task];
        n = add_column(t, list, n, h, &of->metric[of->first]);
        n = add_column(t, list, n, h, &of->metric[of->second]);
    }
    return add_column(t, list, n, t->set.monitor_head, t->set.monitor);
}

/* ---- scores ---- */

static int best_of(const float *z, int k)
{
    int best = 0;
    for (int c = 1; c < k; c++) if (z[c] > z[best]) best = c;
    return best;
}

/* Row r of a batch: answer a against the targets, or against the teacher's answer q where that is what judges. 0 when
 * an output is not finite. */
static int score(const rt_head *head, rt_scores *s, const rt_target_rows *y, int r, const float *a, const float *q,
                 uint8_t *labels)
{
    size_t k = (size_t)head->size, at = (size_t)r * k;
    if (head->task == RT_TASK_CLASSES) {
        int label = q ? best_of(q, head->size) : y->y[r];
        rt_row_score row = rt_score_row(a, head->size, label);
        if (row.answer < 0) return 0;
        if (label >= 0) rt_scores_add(s, &row, a, label);
        return 1;
    }
    if (head->task == RT_TASK_REAL)
        return q ? rt_scores_add_values(s, a, q, NULL) : rt_scores_add_values(s, a, y->values + at, y->mask + at);
    for (size_t j = 0; j < k && q; j++) labels[j] = q[j] > 0;
    return q ? rt_scores_add_labels(s, a, labels, NULL) : rt_scores_add_labels(s, a, y->labels + at, y->mask + at);
}

typedef struct { float *answer, *teacher; uint8_t *labels; } buffers;

/* blind: nobody is asked, and the model's answers are zeros. */
static rt_status score_batch(rt_trainer *t, const rt_batch *b, buffers *x, int ask, int blind, rt_scores *scores)
{
    size_t width = (size_t)rt_model_width(t->model);
    const float *soft = b->soft;
    const rt_feed feed = {.raw = b->x, .rows = b->rows, .row = b->row};
    if (ask && !soft) {
        RT_TRY(rt_teacher_ask(t->teacher, &feed, x->teacher));
        soft = x->teacher;
    }
    if (!blind) RT_TRY(rt_predict(t->validator, &feed, x->answer));
    for (int r = 0; r < b->rows; r++)
        for (int h = 0; h < t->set.heads; h++) {
            const rt_head *head = &t->model->head[h];
            size_t at = (size_t)r * width + (size_t)head->at;
            if (!t->learn[h].judged && (!soft || !rt_learns_soft(&t->set.of[h].loss))) continue;
            if (!score(head, &scores[h], &b->target[h], r, x->answer + at, t->learn[h].judged ? NULL : soft + at,
                       x->labels))
                return rt_fail(RT_RUN, "the model gives %s that is not finite for validation row %llu; lower train.lr",
                               head->task == RT_TASK_REAL ? "a value" : "a logit", (unsigned long long)b->row[r]);
        }
    return RT_OK;
}

/* What answers is what is deployed: with quantizers the integer program of the weights as they are, made anew. */
static rt_status ready_validator(rt_trainer *t)
{
    RT_TRY(rt_session_read(t->session, RT_B_BEST_SEEN));
    const float *params = rt_session_best(t->session, 0), *states = rt_session_best(t->session, 1);
    if (t->quant.of.qat.mode == RT_QAT_OFF) {
        rt_predictor_set_weights(t->validator, 0, params, states);
        return RT_OK;
    }
    rt_predictor_free(t->validator);
    t->validator = NULL;
    RT_TRY(rt_train_quant_take(t, params, states));
    return rt_predictor_new(&t->validator, &t->model, 1, t->opt->device, 0, NULL, 0);
}

/* Scores of the validation rows: against targets, or the teacher's answers where a head has none. */
static rt_status score_rows(rt_trainer *t, rt_scores *scores, int blind)
{
    int width = rt_model_width(t->model), ask = 0, micro = t->validator ? rt_predictor_micro(t->validator) : 0;
    int batch = micro > AT_ONCE ? micro : AT_ONCE;
    size_t n = (size_t)batch * (size_t)width;
    rt_stream *stream;
    rt_stream_spec s = {.x = t->x, .heads = t->set.heads, .rows = &t->held, .width = width, .batch = batch,
                        .keep_tail = 1};
    rt_train_ids(t, &s);
    for (int h = 0; h < s.heads; h++) {
        s.target[h] = t->learn[h].judged ? t->learn[h].y : NULL;
        ask |= !t->learn[h].judged && rt_learns_soft(&t->set.of[h].loss);
    }
    if (ask && *t->set.labels) rt_train_stream_answers(t, &s);
    if (!blind) RT_TRY(ready_validator(t));
    RT_TRY(rt_stream_open(&stream, &s, 0));
    buffers x = {rt_floats_new(n), rt_floats_new(n), malloc((size_t)width)};
    rt_status st = x.answer && x.teacher && x.labels ? RT_OK : rt_fail(RT_RUN, "out of memory");
    for (uint64_t i = 0; i < rt_stream_steps(stream) && !st; i++) {
        const rt_batch *b;
        st = rt_check_stop();
        if (!st) st = rt_stream_next(stream, &b);
        if (!st) st = score_batch(t, b, &x, ask && t->set.teachers && !blind, blind, scores);
    }
    free(x.answer);
    free(x.teacher);
    free(x.labels);
    rt_stream_close(stream);
    return st;
}

/* The monitored value of the scores; RT_INPUT where there is none, for then no epoch could be chosen. */
static rt_status judge(const rt_trainer *t, const rt_scores *scores, double *value)
{
    const rt_metric *m = t->set.monitor;
    const rt_scores *s = &scores[t->set.monitor_head];
    *value = m->of(s);
    if (!isnan(*value)) return RT_OK;
    return rt_fail(RT_INPUT, "train.monitor: %s is not defined on the validation rows: %s; choose another metric",
                   m->name, rt_metric_undefined(m, s));
}

static rt_status take_scores(rt_trainer *t, int blind, rt_scores scores[RT_MAX_HEADS], double *value)
{
    const rt_train_settings *set = &t->set;
    rt_status st = RT_OK;
    memset(scores, 0, RT_MAX_HEADS * sizeof *scores);
    for (int h = 0; h < set->heads && !st; h++) {
        int ranks = h == set->monitor_head && set->monitor->ranks;
        st = rt_scores_begin(&scores[h], set->head[h].task, set->head[h].size, ranks, t->held.count);
    }
    if (!st) st = score_rows(t, scores, blind);
    return st ? st : judge(t, scores, value);
}

rt_status rt_train_check_monitor(rt_trainer *t)
{
    const rt_learner *l = &t->learn[t->set.monitor_head];
    rt_scores scores[RT_MAX_HEADS];
    double value;
    int told_later = !l->judged && t->set.teachers;        /* by a teacher in the loop */
    int always = !t->set.monitor->undefined && (t->set.heads == 1 || l->held);
    if (!t->held.count || told_later || always) return RT_OK;
    rt_status st = take_scores(t, 1, scores, &value);
    for (int h = 0; h < t->set.heads; h++) rt_scores_free(&scores[h]);
    return st;
}

rt_status rt_train_validate(rt_trainer *t, cJSON *epoch, double *value)
{
    const rt_train_settings *set = &t->set;
    rt_scores scores[RT_MAX_HEADS];
    rt_train_column list[RT_TRAIN_COLUMNS];
    int n = rt_train_columns(t, list);
    rt_status st = take_scores(t, 0, scores, value);
    for (int i = 0; i < n && !st; i++) {
        double v = list[i].metric->of(&scores[list[i].head]);
        cJSON_AddItemToObject(epoch, list[i].key, isfinite(v) ? cJSON_CreateNumber(v) : cJSON_CreateNull());
    }
    for (int h = 0; h < set->heads; h++) rt_scores_free(&scores[h]);
    return st;
}
