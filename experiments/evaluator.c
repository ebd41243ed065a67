#include "experiments/evaluator.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/evaluator_parts.h"
#include "experiments/report.h"

/* Logits come in the order of model 0's classes, by name or as they are. */
static rt_status match_classes(rt_evaluation *v, rt_eval_model *e)
{
    const rt_eval_model *first = &v->model[0];
    int *map = NULL;
    if (e->model[0]->head[0].size != v->classes)
        return rt_fail(RT_INPUT, "%s: has %d classes, %s has %d", e->path[0], e->model[0]->head[0].size, first->path[0],
                       v->classes);
    if (v->set.match == RT_MATCH_POSITION) return RT_OK;
    RT_TRY(rt_predictor_set_classes(e->predictor, &first->model[0]->head[0].names));
    RT_TRY(rt_names_permute(&map, &e->model[0]->head[0].names, &first->model[0]->head[0].names, "class"));
    if (map)
        rt_eval_note(v, "%s has its classes in another order than %s: matched by name.", e->name, first->name);
    free(map);
    return RT_OK;
}

static rt_status open_model(rt_evaluation *v, rt_eval_model *e)
{
    rt_eval_quality *q = &e->quality;
    RT_TRY(rt_models_load(&e->model, e->path, e->paths));
    e->digest = rt_models_digest(e->model, e->paths);
    RT_TRY(rt_models_bind(e->model, e->paths, v->x, v->set.match, v->notes));
    RT_TRY(rt_predictor_new(&e->predictor, e->model, e->paths, v->pool, 0, NULL, 0));
    if (e == &v->model[0]) v->classes = e->model[0]->head[0].size;
    RT_TRY(match_classes(v, e));
    size_t k = (size_t)v->classes;
    if (k <= RT_EVAL_CONFUSION) q->confusion = calloc(k * k, sizeof *q->confusion);
    return q->confusion || k > RT_EVAL_CONFUSION ? RT_OK : rt_fail(RT_RUN, "out of memory");
}

/* A model compared with itself shows nothing. */
static void say_same(rt_evaluation *v)
{
    for (int i = 1; i < v->count; i++)
        for (int k = 0; k < i; k++) {
            if (strcmp(v->model[i].digest.hex, v->model[k].digest.hex)) continue;
            rt_eval_note(
                v, "%s and %s are the same model (digest %.8s): their answers are equal, and so are their speeds.",
                v->model[k].name, v->model[i].name, v->model[k].digest.hex);
            break;
        }
}

/* The test rows where there are some, or the range. */
static rt_status select_rows(rt_evaluation *v)
{
    rt_rows others, test;
    rt_status st = rt_rows_select(&v->set.rows, rt_source_rows(v->x), &others, &test);
    rt_rows *mine = v->set.rows.test > 0 ? &test : &others;
    v->rows = *mine;
    *mine = (rt_rows){0};
    rt_rows_free(&others);
    rt_rows_free(&test);
    if (!st && !v->rows.count) st = rt_fail(RT_NOTHING, "%s: no rows to evaluate on", v->set.source);
    return st;
}

/* Labels where the file has them, or where they are asked for by name. The configuration keeps what was found. */
static rt_status open_labels(rt_evaluation *v, cJSON *config)
{
    rt_eval_settings *s = &v->set;
    if (!s->y) {
        int there = rt_h5_find(rt_source_file(v->x), "y") != NULL;
        cJSON *data = cJSON_GetObjectItemCaseSensitive(config, "data");
        s->y = cJSON_GetStringValue(cJSON_AddStringToObject(data, "y", there ? "y" : ""));
    }
    if (*s->y) RT_TRY(rt_targets_open(&v->y, v->x, s->y, &v->model[0].model[0]->head[0].names, s->match));
    if (!v->y && v->count == 1 && !s->speed)
        return rt_fail(RT_NOTHING,
                       "%s: has no labels, and there is one model and no timing: nothing to evaluate; data.y names "
                       "the labels",
                       s->source);
    return RT_OK;
}

static rt_status set_up(rt_evaluation *v, cJSON *config)
{
    RT_TRY(rt_source_open(&v->x, v->set.source, v->set.x));
    RT_TRY(select_rows(v));
    RT_TRY(rt_identity_open(&v->identity, v->x, v->set.check));
    RT_TRY(rt_identity_root(&v->digest, v->identity, v->pool, v->progress));
    v->single = rt_pool_new(1);
    if (!v->single) return RT_RUN;
    for (int i = 0; i < v->count; i++) RT_TRY(open_model(v, &v->model[i]));
    RT_TRY(open_labels(v, config));
    say_same(v);
    return rt_eval_find_seen(v);
}

static void say_labelled(rt_evaluation *v)
{
    unsigned long long rows = v->rows.count, labelled = v->labelled;
    if (!labelled)
        rt_eval_note(v, "none of the %llu rows has a label: no accuracy, only what needs none%s.", rows,
                     v->count > 1 ? " (agreement, KL)" : "");
    else if (labelled < rows)
        rt_eval_note(
            v,
            "%llu of the %llu rows have no label: accuracy, top-5, macro-F1, NLL, ECE and McNemar are over the "
            "%llu that have one; agreement and KL over all.",
            rows - labelled, rows, labelled);
}

static void say_disturbed(rt_evaluation *v)
{
    uint64_t all = 0, disturbed = 0;
    for (int i = 0; i < v->count; i++) {
        all += v->model[i].speed.undisturbed + v->model[i].speed.disturbed;
        disturbed += v->model[i].speed.disturbed;
    }
    if (disturbed)
        rt_eval_note(
            v,
            "%llu of %llu timed calls lost the CPU to something else: percentiles are given over all calls and "
            "over the undisturbed ones.",
            (unsigned long long)disturbed, (unsigned long long)all);
}

static void close_model(rt_eval_model *e)
{
    rt_predictor_free(e->predictor);
    rt_predictor_free(e->speed.one);
    for (int b = 0; b < RT_EVAL_SIZES; b++) {
        rt_predictor_free(e->speed.many[b]);
        free(e->speed.rate[b]);
    }
    rt_models_free(e->model, e->paths);
    rt_scores_free(&e->quality.scores);
    free(e->quality.confusion);
    free(e->speed.raw);
    free(e->speed.sample);
}

static void clean_up(rt_evaluation *v)
{
    for (int i = 0; i < v->count; i++) close_model(&v->model[i]);
    rt_targets_close(v->y);
    rt_identity_close(v->identity);
    rt_source_close(v->x);
    rt_rows_free(&v->rows);
    rt_pool_free(v->single);
    cJSON_Delete(v->notes);
    free(v);
}

static rt_evaluation *start(void)
{
    rt_evaluation *v = calloc(1, sizeof *v);
    if (v) v->notes = cJSON_CreateArray();
    else rt_fail(RT_RUN, "out of memory");
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
    const char *inputs[RT_EVAL_MODELS * RT_EVAL_MEMBERS + 2] = {v->set.source};
    int n = 1;
    for (int i = 0; i < v->count; i++)
        for (int k = 0; k < v->model[i].paths; k++) inputs[n++] = v->model[i].path[k];
    return rt_report_open(report, out, inputs);
}

rt_status rt_evaluate(cJSON *config, const rt_target *out, rt_pool *pool, const rt_progress *progress,
                      cJSON **result)
{
    rt_report *report = NULL;
    rt_evaluation *v = start();
    *result = NULL;
    if (!v) return RT_RUN;
    v->pool = pool;
    v->progress = progress;
    rt_status st = rt_eval_read(config, v);
    if (!st && out) st = open_report(&report, v, out);
    if (!st) st = set_up(v, config);
    if (!st) st = rt_eval_score(v);
    if (!st) st = rt_identity_unchanged(v->identity);
    if (!st) say_labelled(v);
    if (!st && v->set.speed) st = rt_eval_measure(v);
    if (!st && v->set.speed) say_disturbed(v);
    if (!st) st = rt_eval_result(v, config, result);
    if (!st && report) st = rt_report_write(report, *result);
    rt_report_close(report);
    clean_up(v);
    return st;
}
