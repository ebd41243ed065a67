#include <stdio.h>

#include "experiments/eval/evaluator_parts.h"

/* "was trained or chosen on", or, where only its ancestors were, "has seen, by its teacher and its labels,". */
static void say(rt_evaluation *v, const rt_eval_model *e)
{
    char how[160] = "was trained or chosen on";
    unsigned long long rows = v->data.rows.count, seen = e->seen.rows;
    if (!e->seen.by[0]) {
        int n = snprintf(how, sizeof how, "has seen, by its"), any = 0;
        for (int i = 1; i < RT_EVAL_KIN; i++)
            if (e->seen.by[i])
                n += snprintf(how + n, sizeof how - (size_t)n, "%s %s", any++ ? " and its" : "", rt_eval_kin[i]);
        snprintf(how + n, sizeof how - (size_t)n, ",");
    }
    if (seen)
        rt_eval_note(
            v->notes,
            "%s %s %llu of these %llu rows: its figures say nothing about new data (data.test keeps rows apart).",
            e->name, how, seen, rows);
    if (e->seen.unknown)
        rt_eval_note(
            v->notes,
            "%s: %d file%s that it comes from %s not say what %s trained on; whether %s of these rows were seen "
            "is not known.",
            e->name, e->seen.unknown, e->seen.unknown == 1 ? "" : "s", e->seen.unknown == 1 ? "does" : "do",
            e->seen.unknown == 1 ? "it was" : "they were", seen ? "more" : "any");
}

rt_status rt_eval_find_seen(rt_evaluation *v)
{
    for (int i = 0; i < v->count; i++) {
        rt_eval_model *e = &v->model[i];
        RT_TRY(rt_eval_data_seen(&v->data, e->teacher, e->spec.path, &e->seen));
        say(v, e);
    }
    return RT_OK;
}
