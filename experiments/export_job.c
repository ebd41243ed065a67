#include "experiments/export_job.h"

#include <string.h>

#include "data/rows.h"
#include "data/stream.h"
#include "export/exporter.h"
#include "student/predictor.h"

enum { MAX_MODELS = 16, SAFETENSORS = 0, NPZ, CSV, NPY };

static int is_label_store(const char *path)
{
    rt_h5_file *f;
    if (rt_h5_scan(&f, path)) return 0;
    int yes = rt_h5_find(f, "labels/status") != NULL;
    rt_h5_close(f);
    return yes;
}

static rt_status predict(const char *const *path, int models, const char *data, const char *x, const char *rows, const char *out, int csv, rt_pool *pool, const rt_progress *progress)
{
    rt_model **m = NULL;
    rt_source *s = NULL;
    uint64_t first, end;
    rt_status st = rt_models_load(&m, path, models);
    if (!st) st = rt_source_open(&s, data, x);
    if (!st) st = rt_parse_range(rows, rt_source_rows(s), &first, &end);
    if (!st) st = rt_export_predictions(m, models, s, first, end, out, csv, pool, progress);
    rt_source_close(s);
    rt_models_free(m, models);
    return st;
}

rt_status rt_export(cJSON *config, const char *out, rt_pool *pool, const rt_progress *progress, cJSON **result)
{
    static const char *const forms[] = {"safetensors", "npz", "csv", "npy", NULL};
    const char *path[MAX_MODELS];
    *result = NULL;
    rt_cfg c = rt_cfg_begin(config, "");
    int models = rt_cfg_strings(&c, "input", path, MAX_MODELS);
    if (!models) rt_cfg_fail(&c, "input", "a model or a label store is required");
    int to = rt_cfg_choice(&c, "to", forms, -1);
    const char *data = rt_cfg_string(&c, "data", ""), *x = rt_cfg_string(&c, "x", "x"), *rows = rt_cfg_string(&c, "rows", "");
    RT_TRY(rt_cfg_end(&c));
    rt_status st;
    if (to == SAFETENSORS || to == NPZ) {
        rt_model *m;
        if (models != 1) return rt_fail(RT_USAGE, "to: weights of one model are exported at a time");
        RT_TRY(rt_model_load(&m, path[0]));
        st = to == NPZ ? rt_export_npz(m, out) : rt_export_safetensors(m, out);
        rt_model_free(m);
    } else if (models == 1 && is_label_store(path[0])) {
        rt_labels *l;
        if (*data) return rt_fail(RT_USAGE, "data: a label store needs none");
        RT_TRY(rt_labels_open(&l, path[0], 0));
        st = rt_export_labels(l, out, to == CSV);
        rt_labels_close(l);
    } else if (!*data) st = rt_fail(RT_USAGE, "to: '%s' writes predictions, which need rows: give the data, too", forms[to]);
    else st = predict(path, models, data, x, rows, out, to == CSV, pool, progress);
    if (!st) {
        *result = cJSON_CreateObject();
        cJSON_AddStringToObject(*result, "file", out);
        cJSON_AddStringToObject(*result, "format", forms[to]);
    }
    return st;
}
