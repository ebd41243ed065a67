#include "experiments/eval/eval_data.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "data/provenance.h"
#include "data/source_files.h"

void rt_eval_note(cJSON *notes, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (notes) cJSON_AddItemToArray(notes, cJSON_CreateString(text));
}

void rt_eval_data_read(rt_cfg *d, rt_eval_data *e)
{
    e->source = rt_cfg_source(d, "source", NULL);
    rt_x_where_read(d, e->source, &e->where);
    e->labelled = rt_target_y_read(d, &e->labels);
    e->besides = rt_target_sources(d->object, e->beside, 0);
    rt_target_where_read(d, NULL, 0, NULL, e->target, NULL);       /* once the heads are known */
    rt_rows_read(d, &e->wanted);
    e->check = rt_check_read(d);
    e->match = rt_match_read(d);
}

/* The test rows where there are some, or the range. */
static rt_status select_rows(rt_eval_data *e)
{
    rt_rows others, test;
    rt_status st = rt_rows_select(&e->wanted, rt_source_rows(e->x), &others, &test);
    rt_rows *mine = rt_rows_tests(&e->wanted) ? &test : &others;
    e->rows = *mine;
    *mine = (rt_rows){0};
    rt_rows_free(&others);
    rt_rows_free(&test);
    if (!st && !e->rows.count) st = rt_fail(RT_NOTHING, "%s: no rows to evaluate on", e->source);
    return st;
}

rt_status rt_eval_data_open(rt_eval_data *e, cJSON *data, const char *const *input, int inputs, rt_device *device,
                            const rt_progress *progress)
{
    RT_TRY(rt_x_where_settle(&e->where, data, input, inputs));
    RT_TRY(rt_x_open(&e->x, &e->where));
    RT_TRY(select_rows(e));
    RT_TRY(rt_identity_open(&e->identity, e->x, e->check));
    RT_TRY(rt_identity_root(&e->digest, e->identity, rt_device_pool(device), progress));
    return rt_identity_roots(e->part, e->identity, rt_device_pool(device), progress);
}

rt_status rt_eval_data_targets(rt_eval_data *e, const rt_head *head, int heads, cJSON *data, cJSON *notes, int *any)
{
    cJSON *targets;
    const rt_h5_file *file = rt_source_file(e->x);
    int given[RT_MAX_HEADS];
    char text[RT_TARGETS_TEXT];
    rt_cfg c = rt_cfg_begin(data, "data");
    rt_target_where_read(&c, head, heads, e->labelled ? &e->labels : NULL, e->target, given);
    RT_TRY(c.status);
    *any = 0;
    for (int h = 0; h < heads; h++) {
        rt_target_where *w = &e->target[h];
        if (!given[h] && !w->source && !rt_h5_find(file, w->set)) {
            int falls = heads == 1 && rt_h5_find(file, "y");
            if (falls)
                rt_eval_note(notes,
                             "head '%s' is compared with 'y', as the data has no set '%s'; data.y names another.",
                             head[h].name, w->set);
            w->set = falls ? "y" : "";
        }
        targets = cJSON_GetObjectItemCaseSensitive(data, "targets");
        if (heads == 1 && !given[h]) cJSON_AddStringToObject(data, "y", w->set);
        else if (!given[h] && *w->set)
            cJSON_AddStringToObject(targets ? targets : cJSON_AddObjectToObject(data, "targets"), head[h].name, w->set);
        if (*w->set) RT_TRY(rt_targets_open_head(&e->y[h], e->x, w, &head[h], e->match));
        *any |= e->y[h] != NULL;
        if (e->y[h] && rt_targets_unnamed(e->y[h], head[h].name, text)) rt_eval_note(notes, "%s.", text);
    }
    return RT_OK;
}

void rt_eval_data_close(rt_eval_data *e)
{
    for (int h = 0; h < RT_MAX_HEADS; h++) rt_targets_close(e->y[h]);
    rt_identity_close(e->identity);
    rt_source_close(e->x);
    rt_rows_free(&e->rows);
}

int rt_eval_data_files(const rt_eval_data *e, const char **list, int n)
{
    list[n++] = e->source;
    for (int i = 0; i < e->besides; i++) list[n++] = e->beside[i];
    return rt_x_where_files(&e->where, list, n);
}

/* ---- what models have seen of it ---- */

const char *const rt_eval_kin[RT_EVAL_KIN] = {"self", "init", "teacher", "labels"};

static const cJSON *get(const cJSON *j, const char *key) { return cJSON_GetObjectItemCaseSensitive(j, key); }

/* A file of before lists were kept tells its own data and configuration at most: without a configuration all rows
 * count, and of its ancestors nothing is known. */
static rt_status add_old_file(cJSON *list, const rt_eval_data *e, const cJSON *provenance)
{
    rt_seen_run run = {.data = cJSON_GetStringValue(get(provenance, "data_digest"))};
    rt_status st = RT_OK;
    if (run.data && strcmp(run.data, e->digest.hex) == 0) {
        const cJSON *kept = get(get(provenance, "config"), "data");
        cJSON *data = cJSON_IsObject(kept) ? cJSON_Duplicate(kept, 1) : cJSON_CreateObject();
        rt_cfg d = rt_cfg_begin(data, "data");
        rt_rows_read(&d, &run.rows);
        run.source_rows = rt_source_rows(e->x);
        st = d.status ? d.status : rt_seen_add(list, &run);
        cJSON_Delete(data);
    }
    cJSON *unknown = cJSON_CreateObject();
    cJSON_AddTrueToObject(unknown, "unknown");
    cJSON_AddItemToArray(list, unknown);
    return st;
}

/* What the members of a model have seen, one list after the other. */
static rt_status join_members(cJSON *list, const rt_eval_data *e, const rt_teacher *t, const char *const *path)
{
    const cJSON *own;
    for (int p = 0; (own = rt_teacher_provenance(t, p)); p++) {
        const cJSON *seen = get(own, "seen");
        if (!cJSON_IsArray(seen)) {
            rt_status st = add_old_file(list, e, own);
            if (st) return rt_fail_in(st == RT_RUN ? RT_RUN : RT_INPUT, "%s: its provenance is damaged", path[p]);
        }
        for (const cJSON *s = cJSON_IsArray(seen) ? seen->child : NULL; s; s = s->next)
            cJSON_AddItemToArray(list, cJSON_Duplicate(s, 1));
    }
    return RT_OK;
}

rt_status rt_eval_data_seen(const rt_eval_data *e, const rt_teacher *t, const char *const *path, rt_eval_seen *s)
{
    uint64_t all = rt_source_rows(e->x);
    cJSON *list = cJSON_CreateArray();
    const char *data[RT_SOURCE_PARTS + 1] = {NULL};
    for (int p = 0; p < rt_source_parts(e->x); p++) data[p] = e->part[p].hex;
    rt_status st = join_members(list, e, t, path);
    if (!st) st = rt_seen_count(list, data, all, &e->rows, NULL, path[0], &s->rows);
    for (int k = 0; k < RT_EVAL_KIN && !st; k++)
        st = rt_seen_count(list, data, all, &e->rows, rt_eval_kin[k], path[0], &s->by[k]);
    s->unknown = rt_seen_unknown(list);
    cJSON_Delete(list);
    return st;
}
