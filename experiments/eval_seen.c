#include <stdio.h>
#include <string.h>

#include "data/provenance.h"
#include "experiments/evaluator_parts.h"

const char *const rt_eval_kin[RT_EVAL_KIN] = {"self", "init", "teacher", "labels"};

static const cJSON *get(const cJSON *j, const char *key) { return cJSON_GetObjectItemCaseSensitive(j, key); }

/* A file of before lists were kept tells its own data and configuration at most: without a configuration all rows
 * count, and of its ancestors nothing is known. */
static rt_status add_old_file(cJSON *list, const rt_evaluation *v, const cJSON *provenance)
{
    rt_seen_run run = {.data = cJSON_GetStringValue(get(provenance, "data_digest"))};
    rt_status st = RT_OK;
    if (run.data && strcmp(run.data, v->digest.hex) == 0) {
        const cJSON *kept = get(get(provenance, "config"), "data");
        cJSON *data = cJSON_IsObject(kept) ? cJSON_Duplicate(kept, 1) : cJSON_CreateObject();
        rt_cfg d = rt_cfg_begin(data, "data");
        rt_rows_read(&d, &run.rows);
        run.source_rows = rt_source_rows(v->x);
        st = d.status ? d.status : rt_seen_add(list, &run);
        cJSON_Delete(data);
    }
    cJSON *unknown = cJSON_CreateObject();
    cJSON_AddTrueToObject(unknown, "unknown");
    cJSON_AddItemToArray(list, unknown);
    return st;
}

/* What the members of a model have seen, one list after the other. */
static rt_status join_members(cJSON *list, const rt_evaluation *v, const rt_eval_model *e)
{
    const cJSON *own;
    for (int p = 0; (own = rt_teacher_provenance(e->teacher, p)); p++) {
        const cJSON *seen = get(own, "seen");
        if (!cJSON_IsArray(seen)) {
            rt_status st = add_old_file(list, v, own);
            if (st) return rt_fail_in(st == RT_RUN ? RT_RUN : RT_INPUT, "%s: its provenance is damaged", e->path[p]);
        }
        for (const cJSON *s = cJSON_IsArray(seen) ? seen->child : NULL; s; s = s->next)
            cJSON_AddItemToArray(list, cJSON_Duplicate(s, 1));
    }
    return RT_OK;
}

/* "was trained or chosen on", or, where only its ancestors were, "has seen, by its teacher and its labels,". */
static void say(rt_evaluation *v, const rt_eval_model *e)
{
    char how[160] = "was trained or chosen on";
    unsigned long long rows = v->rows.count, seen = e->seen.rows;
    if (!e->seen.by[0]) {
        int n = snprintf(how, sizeof how, "has seen, by its"), any = 0;
        for (int i = 1; i < RT_EVAL_KIN; i++)
            if (e->seen.by[i])
                n += snprintf(how + n, sizeof how - (size_t)n, "%s %s", any++ ? " and its" : "", rt_eval_kin[i]);
        snprintf(how + n, sizeof how - (size_t)n, ",");
    }
    if (seen)
        rt_eval_note(
            v, "%s %s %llu of these %llu rows: its figures say nothing about new data (data.test keeps rows apart).",
            e->name, how, seen, rows);
    if (e->seen.unknown)
        rt_eval_note(
            v,
            "%s: %d file%s that it comes from %s not say what %s trained on; whether %s of these rows were seen "
            "is not known.",
            e->name, e->seen.unknown, e->seen.unknown == 1 ? "" : "s", e->seen.unknown == 1 ? "does" : "do",
            e->seen.unknown == 1 ? "it was" : "they were", seen ? "more" : "any");
}

rt_status rt_eval_find_seen(rt_evaluation *v)
{
    for (int i = 0; i < v->count; i++) {
        rt_eval_model *e = &v->model[i];
        uint64_t all = rt_source_rows(v->x);
        cJSON *list = cJSON_CreateArray();
        const char *data[RT_SOURCE_PARTS + 1] = {NULL};
        for (int p = 0; p < rt_source_parts(v->x); p++) data[p] = v->part[p].hex;
        rt_status st = join_members(list, v, e);
        if (!st) st = rt_seen_count(list, data, all, &v->rows, NULL, e->path[0], &e->seen.rows);
        for (int k = 0; k < RT_EVAL_KIN && !st; k++)
            st = rt_seen_count(list, data, all, &v->rows, rt_eval_kin[k], e->path[0], &e->seen.by[k]);
        e->seen.unknown = rt_seen_unknown(list);
        cJSON_Delete(list);
        RT_TRY(st);
        say(v, e);
    }
    return RT_OK;
}
