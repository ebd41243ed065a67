#include "experiments/eval/evaluator.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/precision.h"
#include "experiments/eval/evaluator_parts.h"
#include "experiments/report/report.h"

/* Answers come as model 0's heads and classes are, by name or as they are. */
static rt_status match_heads(rt_evaluation *v, rt_eval_model *e)
{
    const rt_eval_model *first = &v->model[0];
    int *map, count;
    const rt_head *own = rt_teacher_heads(e->teacher, &count);
    RT_TRY(rt_teacher_answer_as(e->teacher, v->head, v->heads, first->spec.path[0], v->data.match));
    for (int h = 0; h < v->heads; h++) {
        int k = rt_heads_find(own, count, &v->head[h], v->heads);
        e->quality[h].there = k >= 0;
        if (k < 0)
            rt_eval_note(v->notes, "%s has no head '%s' of %s: there is nothing to tell of it.", e->name,
                         v->head[h].name, first->name);
        if (k < 0 || v->data.match == RT_MATCH_POSITION) continue;
        RT_TRY(rt_names_permute(&map, &own[k].names, &v->head[h].names, "class"));
        if (map && v->heads == 1)
            rt_eval_note(v->notes, "%s has its classes in another order than %s: matched by name.", e->name,
                         first->name);
        else if (map)
            rt_eval_note(v->notes, "%s has the names of head '%s' in another order than %s: matched by name.", e->name,
                         v->head[h].name, first->name);
        free(map);
    }
    for (int k = 0; k < count; k++)
        if (rt_heads_find(v->head, v->heads, &own[k], count) < 0)
            rt_eval_note(v->notes, "%s has a head '%s' that %s has not: it is left out.", e->name, own[k].name,
                         first->name);
    return RT_OK;
}

static rt_status open_model(rt_evaluation *v, rt_eval_model *e)
{
    rt_teacher_binding to = {.source = v->data.x, .id = v->data.identity, .match = v->data.match, .device = v->device,
                             .progress = v->progress, .notes = v->notes};
    RT_TRY(rt_teacher_bind(e->teacher, &to));
    RT_TRY(rt_teacher_digest(e->teacher, &e->digest));         /* once it is known whom "best" chose */
    RT_TRY(rt_teacher_ready(e->teacher, v->device, 0, NULL, 0));
    if (e == &v->model[0]) {
        v->head = rt_teacher_heads(e->teacher, &v->heads);
        v->width = rt_heads_width(v->head, v->heads);
    }
    RT_TRY(match_heads(v, e));
    for (int h = 0; h < v->heads; h++) {
        rt_eval_quality *q = &e->quality[h];
        size_t k = (size_t)v->head[h].size;
        if (v->head[h].task != RT_TASK_CLASSES) q->error = malloc(v->data.rows.count * sizeof *q->error);
        else if (k <= RT_EVAL_CONFUSION) q->confusion = calloc(k * k, sizeof *q->confusion);
        if (!q->error && !q->confusion && (v->head[h].task != RT_TASK_CLASSES || k <= RT_EVAL_CONFUSION))
            return rt_fail(RT_RUN, "out of memory");
    }
    return RT_OK;
}

/* A model compared with itself shows nothing. */
static void say_same(rt_evaluation *v)
{
    for (int i = 1; i < v->count; i++)
        for (int k = 0; k < i; k++) {
            if (strcmp(v->model[i].digest.hex, v->model[k].digest.hex)) continue;
            rt_eval_note(
                v->notes,
                "%s and %s are the same model (digest %.8s): their answers are equal, and so are their speeds.",
                v->model[k].name, v->model[i].name, v->model[k].digest.hex);
            break;
        }
}

static rt_status open_labels(rt_evaluation *v, cJSON *data)
{
    int any;
    RT_TRY(rt_eval_data_targets(&v->data, v->head, v->heads, data, v->notes, &any));
    if (!any && v->count == 1 && !v->set.speed)
        return rt_fail(RT_NOTHING,
                       "%s: has no labels, and there is one model and no timing: nothing to evaluate; %s names "
                       "the labels",
                       v->data.source, v->heads > 1 ? "data.targets" : "data.y");
    return RT_OK;
}

static rt_status set_up(rt_evaluation *v, cJSON *config)
{
    const char *input[RT_SOURCE_PARTS];
    cJSON *data = cJSON_GetObjectItemCaseSensitive(config, "data");
    int inputs = 0;
    for (int i = 0; i < v->count; i++) {
        rt_eval_model *e = &v->model[i];
        RT_TRY(rt_teacher_open_spec(&e->teacher, &e->spec, &v->data.where));
        inputs = rt_teacher_inputs(e->teacher, input, inputs);
    }
    RT_TRY(rt_eval_data_open(&v->data, data, input, inputs, v->device, v->progress));
    for (int i = 0; i < v->count; i++) RT_TRY(open_model(v, &v->model[i]));
    RT_TRY(open_labels(v, data));
    say_same(v);
    return rt_eval_find_seen(v);
}

static void say_labelled(rt_evaluation *v)
{
    unsigned long long rows = v->data.rows.count;
    if (!v->labelled_rows) {
        rt_eval_note(v->notes, "none of the %llu rows has a label: no accuracy, only what needs none%s.", rows,
                     v->count > 1 ? " (agreement, KL)" : "");
        return;
    }
    for (int h = 0; h < v->heads; h++) {
        unsigned long long labelled = v->labelled[h];
        if (labelled == rows) continue;
        if (rt_heads_plain(v->head, v->heads))
            rt_eval_note(v->notes,
                         "%llu of the %llu rows have no label: accuracy, top-5, macro-F1, NLL, ECE and McNemar are "
                         "over the %llu that have one; agreement and KL over all.",
                         rows - labelled, rows, labelled);
        else
            rt_eval_note(v->notes,
                         "head '%s': %llu of the %llu rows have no target: what needs one is over the %llu that have "
                         "one, the comparison with the reference over all.",
                         v->head[h].name, rows - labelled, rows, labelled);
    }
}

static cJSON *spec_as_json(const rt_teacher_spec *s)
{ return s->object ? cJSON_Duplicate(s->object, 1) : cJSON_CreateStringArray(s->path, s->paths); }

static rt_status measure(rt_evaluation *v, const cJSON *data)
{
    rt_speed *s = &v->speed;
    s->scenarios = 1u << RT_SINGLE_STREAM | 1u << RT_MULTI_STREAM | 1u << RT_OFFLINE;
    s->seed = 1;
    s->x = v->data.x;
    s->rows = &v->data.rows;
    s->device = v->device;
    s->progress = v->progress;
    s->notes = v->notes;
    for (int i = 0; i < v->count; i++) {
        rt_eval_model *e = &v->model[i];
        if (!(rt_teacher_abilities(e->teacher) & RT_TEACHER_TIMED)) {
            if (rt_teacher_abilities(e->teacher) & RT_TEACHER_COMPUTES)
                rt_eval_note(v->notes, "%s is a %s: what it costs is not seen from here, and it is not timed.", e->name,
                             rt_teacher_kind_name(e->teacher));
            continue;
        }
        e->timed = s->count;
        s->subject[s->count] = (rt_speed_subject){.name = e->name, .teacher = e->teacher};
        s->subject[s->count++].cold = (rt_cold){.model = e->as_json = spec_as_json(&e->spec), .data = data};
    }
    return rt_speed_measure(s);
}

static void say_disturbed(rt_evaluation *v)
{
    uint64_t all = 0, disturbed = 0;
    for (int i = 0; i < v->speed.count; i++)
        for (int k = 0; k < 2; k++) {
            const rt_speed_calls *c = &v->speed.subject[i].calls[k];
            all += c->undisturbed + c->disturbed;
            disturbed += c->disturbed;
        }
    if (disturbed)
        rt_eval_note(
            v->notes,
            "%llu of %llu timed calls lost the CPU to something else: percentiles are given over all calls and "
            "over the undisturbed ones.",
            (unsigned long long)disturbed, (unsigned long long)all);
    for (int k = 0; k < RT_SCENARIOS && v->speed.count; k++) {
        char text[256];
        if (!rt_speed_noise(&v->speed, (rt_scenario)k).noisy) continue;
        rt_speed_say_noisy(&v->speed, (rt_scenario)k, text, sizeof text);
        rt_eval_note(v->notes, "%s.", text);
    }
}

static void close_model(rt_eval_model *e)
{
    rt_teacher_close(e->teacher);
    cJSON_Delete(e->as_json);
    for (int h = 0; h < RT_MAX_HEADS; h++) {
        rt_scores_free(&e->quality[h].scores);
        free(e->quality[h].confusion);
        free(e->quality[h].error);
    }
}

static void clean_up(rt_evaluation *v)
{
    rt_speed_free(&v->speed);                  /* its twins go before their models */
    for (int i = 0; i < v->count; i++) close_model(&v->model[i]);
    rt_eval_data_close(&v->data);
    rt_comparison_close(v->pair.comparison);
    cJSON_Delete(v->pair.result);
    cJSON_Delete(v->notes);
    free(v);
}

static rt_evaluation *start(void)
{
    rt_evaluation *v = calloc(1, sizeof *v);
    if (!v) rt_fail(RT_RUN, "out of memory");
    else v->notes = cJSON_CreateArray();
    for (int i = 0; v && i < RT_EVAL_MODELS; i++) v->model[i].timed = -1;
    return v;
}

rt_status rt_evaluate_check(cJSON *config)
{
    rt_evaluation *v = start();
    rt_status st = v ? rt_eval_read(config, v) : RT_RUN;
    if (v) clean_up(v);
    return st;
}

static rt_status open_report(rt_report **report, const rt_evaluation *v, const rt_target *out)
{
    const char *inputs[(RT_EVAL_MODELS + RT_SIDES) * RT_TEACHER_FILES + RT_EVAL_DATA_FILES + 1] = {NULL};
    int n = v->pair.data ? rt_eval_data_files(&v->data, inputs, 0) : 0;
    for (int s = 0; s < RT_SIDES; s++)
        for (int k = 0; k < v->pair.spec[s].paths; k++) inputs[n++] = v->pair.spec[s].path[k];
    for (int i = 0; i < v->count; i++)
        for (int k = 0; k < v->model[i].spec.paths; k++) inputs[n++] = v->model[i].spec.path[k];
    return rt_report_open(report, out, inputs);
}

static rt_status evaluate_models(rt_evaluation *v, cJSON *config)
{
    RT_TRY(set_up(v, config));
    if (v->pair.on) RT_TRY(rt_eval_compare(v, config));      /* first: it may refuse a column, or rows */
    RT_TRY(rt_eval_score(v));
    rt_comparison_close(v->pair.comparison);                 /* before the timing: it holds every answer */
    v->pair.comparison = NULL;
    RT_TRY(rt_identity_unchanged(v->data.identity));
    say_labelled(v);
    if (!v->set.speed) return RT_OK;
    RT_TRY(measure(v, cJSON_GetObjectItemCaseSensitive(config, "data")));
    say_disturbed(v);
    return RT_OK;
}

rt_status rt_evaluate(cJSON *config, const rt_target *out, rt_device *device, const rt_progress *progress,
                      cJSON **result)
{
    rt_report *report = NULL;
    rt_evaluation *v = start();
    *result = NULL;
    if (!v) return RT_RUN;
    v->device = device;
    v->progress = progress;
    rt_status st = rt_eval_read(config, v);
    if (!st) st = rt_precision_take(device, v->set.precision, "eval.precision");
    if (!st && out) st = open_report(&report, v, out);
    if (!st && v->pair.on) st = rt_eval_find_stored(v);
    if (!st) st = v->count ? evaluate_models(v, config) : rt_eval_compare(v, config);
    if (!st) st = rt_eval_result(v, config, result);
    if (!st && report) st = rt_report_write(report, *result);
    rt_report_close(report);
    clean_up(v);
    return st;
}
