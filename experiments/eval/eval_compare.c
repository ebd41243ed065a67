/* experiments/eval/eval_compare.c - a baseline and a candidate within an evaluation. */
#include <string.h>

#include "experiments/eval/comparison_result.h"
#include "experiments/eval/evaluator_parts.h"
#include "experiments/eval/predictions.h"

rt_status rt_eval_find_stored(rt_evaluation *v)
{
    rt_eval_pair *p = &v->pair;
    for (int s = RT_SIDES - 1; s >= 0; s--) {
        if (p->spec[s].paths == 1 && !p->spec[s].object)
            RT_TRY(rt_predictions_is(p->spec[s].path[0], &p->stored[s]));
        if (!p->stored[s]) continue;
        memmove(&v->model[s], &v->model[s + 1], (size_t)(--v->count - s) * sizeof *v->model);
        memset(&v->model[v->count], 0, sizeof *v->model);
        v->model[v->count].timed = -1;
    }
    if (v->count && !p->data)
        return rt_fail(RT_USAGE, "%s: is a model, which needs rows to answer: give --data, or predictions in its place "
                       "('retort predict')", v->model[0].spec.path[0]);
    if (!v->count && v->set.speed)
        rt_eval_note(v->notes, "both sides are predictions: there is no model to be timed.");
    return RT_OK;
}

int rt_eval_side(const rt_evaluation *v, int i)
{
    const rt_eval_pair *p = &v->pair;
    for (int s = 0; s < RT_SIDES && p->on; s++)
        if (!p->stored[s] && !i--) return s;
    return -1;
}

/* What was said already, of models that were bound before, is not said again. */
static void add_notes(rt_evaluation *v, const cJSON *notes)
{
    for (const cJSON *n = notes->child; n; n = n->next) {
        const cJSON *k = v->notes->child;
        while (k && strcmp(k->valuestring, n->valuestring)) k = k->next;
        if (!k) rt_eval_note(v->notes, "%s", n->valuestring);
    }
}

rt_status rt_eval_compare(rt_evaluation *v, cJSON *config)
{
    rt_eval_pair *p = &v->pair;
    cJSON *data = p->data ? cJSON_GetObjectItemCaseSensitive(config, "data") : NULL;
    if (!v->count && data) RT_TRY(rt_eval_data_open(&v->data, data, NULL, 0, v->device, v->progress));
    rt_comparison_spec spec = {.side = {&p->spec[RT_BASELINE], &p->spec[RT_CANDIDATE]},
                               .data = data,
                               .common = p->common,
                               .device = v->device,
                               .progress = v->progress,
                               .notes = cJSON_CreateArray()};
    rt_status st = rt_comparison_open(&p->comparison, &spec);
    rt_comparison_options o = {.confidence = p->confidence, .seed = p->seed, .find = p->find, .rows = v->data.x,
                               .data = v->data.digest.hex};
    if (!st) st = rt_comparison_result(p->comparison, &o, spec.notes, &p->result);
    if (!st) add_notes(v, spec.notes);
    cJSON_Delete(spec.notes);
    return st;
}
