/* experiments/drift/drift_config.c - what 'retort drift' is asked. */
#include <stdio.h>
#include <string.h>

#include "data/precision.h"
#include "experiments/drift/drift_parts.h"

const rt_drift_limit_key rt_drift_limit_keys[RT_DRIFT_LIMITS] = {
    {"max_psi", 0.1, 100, "population stability index of a column; below 0.1 is small, from 0.25 on large"},
    {"max_ks", 0.1, 1, "largest distance of the two distribution functions of a column"},
    {"max_missing", 0.05, 1, "change of the share of missing values"},
    {"max_outside", 0.02, 1, "share of values outside of the reference's range"},
    {"max_unseen", 0.02, 1, "share of rows of categories that the reference has not, above what is expected of it"},
    {"max_auc", 0.6, 1, "area under the ROC curve of a classifier that tells the sides apart by features"},
    {"max_unlike", 0.035, 1, "share of rows farther from the reference than 99 % of itself"},
    {"max_accuracy_drop", 0.05, 1, "expected drop of the accuracy"},
};

/* Limits of single columns are read to find mistakes; who judges a column reads its own again. */
static void read_columns(rt_cfg *c, rt_drift_limits *l)
{
    cJSON *list = rt_cfg_any(c, "columns");
    l->columns = list;
    if (list && !cJSON_IsObject(list)) rt_cfg_fail(c, "columns", "{\"NAME\": {\"max_psi\": ...}} is expected");
    for (cJSON *j = list ? list->child : NULL; j && !c->status; j = j->next) {
        char path[160];
        snprintf(path, sizeof path, "limits.columns.%.60s", j->string);
        rt_cfg one = rt_cfg_begin(j, path);
        for (int i = 0; i < RT_DRIFT_MAX_AUC; i++)
            if (rt_cfg_has(&one, rt_drift_limit_keys[i].key))
                rt_cfg_number(&one, rt_drift_limit_keys[i].key, 0, 0, rt_drift_limit_keys[i].most);
        rt_status st = rt_cfg_end(&one);
        if (st) c->status = st;
    }
}

static rt_status read_limits(cJSON *json, const char *path, rt_drift_limits *l)
{
    rt_cfg c = rt_cfg_begin(json, path);
    if (rt_cfg_has(&c, "format") && strcmp(rt_cfg_string(&c, "format", ""), "retort-drift-limits-1"))
        rt_cfg_fail(&c, "format", "\"retort-drift-limits-1\" is expected");
    l->alpha = rt_cfg_number(&c, "alpha", 0.05, 1e-6, 0.5);
    for (int i = 0; i < RT_DRIFT_LIMITS; i++) {
        const rt_drift_limit_key *k = &rt_drift_limit_keys[i];
        l->of[i] = rt_cfg_number(&c, k->key, k->fallback, 0, k->most);
    }
    read_columns(&c, l);
    l->ignored = rt_cfg_strings(&c, "ignore", l->ignore, RT_PREDICTIONS_COLUMNS);
    return rt_cfg_end(&c);
}

/* Keys that the data does not have are those of the reference. */
static void inherit(cJSON *data, const cJSON *reference)
{
    static const char *const key[] = {"x", "y", "targets", "slices", "names"};
    for (size_t i = 0; i < sizeof key / sizeof key[0]; i++) {
        const cJSON *v = cJSON_GetObjectItemCaseSensitive(reference, key[i]);
        if (v && !cJSON_HasObjectItem(data, key[i]))
            cJSON_AddItemToObject(data, key[i], cJSON_Duplicate(v, 1));
    }
}

static void read_side(rt_cfg *c, const char *key, rt_drift_side *s)
{
    rt_cfg d = rt_cfg_object(c, key);
    s->json = d.object;
    if (!rt_cfg_has(&d, "source"))
        rt_cfg_fail(&d, "source", "a data file, or predictions, is required");
    else {
        rt_eval_data_read(&d, &s->data);
        s->slices = rt_cfg_strings(&d, "slices", s->slice, RT_PREDICTIONS_COLUMNS);
    }
    rt_cfg_join(c, &d);
}

rt_status rt_drift_read_settings(cJSON *config, rt_drift_work *w)
{
    static const char *const kinds[] = {"auto", "table", "images", "ids", NULL};
    rt_cfg c = rt_cfg_begin(config, "");
    cJSON *reference = cJSON_GetObjectItemCaseSensitive(config, "reference");
    cJSON *data = cJSON_GetObjectItemCaseSensitive(config, "data");
    if (cJSON_IsObject(reference) && cJSON_IsObject(data)) inherit(data, reference);
    read_side(&c, "reference", &w->side[RT_DRIFT_REFERENCE]);
    read_side(&c, "data", &w->side[RT_DRIFT_DATA]);
    w->model = rt_teacher_spec_read(&c, "model", "a model file, a list of up to 16, or a specification {...}");
    w->sample = rt_cfg_int(&c, "sample", 10000, 10, 1000000);
    w->kind = rt_cfg_choice(&c, "kind", kinds, RT_DRIFT_AUTO);
    w->seed = rt_cfg_u64(&c, "seed", 1);
    w->allow_same = rt_cfg_bool(&c, "allow_same", 0);
    w->precision = rt_precision_read(&c);
    cJSON *limits = rt_cfg_any(&c, "limits");
    if (cJSON_IsString(limits)) w->limits_path = limits->valuestring;
    else if (!limits || cJSON_IsObject(limits)) {
        rt_cfg l = rt_cfg_object(&c, "limits");
        w->limits_json = l.object;
    } else rt_cfg_fail(&c, "limits", "a file, or {\"max_psi\": ...}, is expected");
    RT_TRY(rt_cfg_end(&c));
    return w->limits_json ? read_limits(w->limits_json, "limits", &w->limits) : RT_OK;
}

/* Limits in a file of their own, once files are looked at. */
rt_status rt_drift_read_limits(rt_drift_work *w)
{
    if (!w->limits_path) return RT_OK;
    RT_TRY(rt_json_file(&w->limits_file, w->limits_path));
    w->limits_json = w->limits_file;
    rt_status st = read_limits(w->limits_json, "", &w->limits);
    return st ? rt_fail_in(st, "%s", w->limits_path) : RT_OK;
}

rt_status rt_drift_check(cJSON *config)
{
    rt_drift_work w = {0};
    return rt_drift_read_settings(config, &w);
}
