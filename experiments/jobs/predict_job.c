#include "experiments/jobs/predict_job.h"

#include <math.h>
#include <string.h>

#include "data/precision.h"
#include "experiments/eval/predictions.h"

enum { H5, CSV, NPY };
static const char *const forms[] = {"h5", "csv", "npy", NULL};

typedef struct {
    rt_teacher_spec model;
    int to, topk;
    rt_precision precision;
    cJSON *data;
    const char *file[RT_EVAL_DATA_FILES + 1];     /* of the data, ended by NULL */
} settings;

const char *rt_predict_form_of(const char *path)
{
    const char *slash = strrchr(path, '/'), *dot = strrchr(slash ? slash : path, '.');
    return dot ? dot + 1 : "";
}

static rt_status read_settings(cJSON *config, settings *s)
{
    rt_cfg c = rt_cfg_begin(config, "");
    *s = (settings){0};
    s->model = rt_teacher_spec_read(&c, "model", "a model file, a list of up to 16, or a specification {...}");
    if (!s->model.paths) rt_cfg_fail(&c, "model", "a model file is required, or a list of them (an ensemble)");
    s->to = rt_cfg_choice(&c, "to", forms, H5);
    s->topk = rt_cfg_int(&c, "topk", 0, 0, 1 << 20);
    if (s->topk && s->to != H5) rt_cfg_fail(&c, "topk", "belongs to to=h5");
    s->precision = rt_precision_read(&c);
    rt_cfg d = rt_cfg_object(&c, "data");
    RT_TRY(d.status);
    s->data = d.object;
    RT_TRY(rt_cfg_end(&c));
    return rt_predictions_check(s->data, s->file);
}

rt_status rt_predict_check(cJSON *config)
{
    settings s;
    return read_settings(config, &s);
}

/* A file is not called what it is not. */
static rt_status check_ending(const settings *s, const char *path)
{
    const char *ending = rt_predict_form_of(path);
    for (int i = 0; forms[i]; i++)
        if (i != s->to && !strcmp(ending, forms[i]))
            return rt_fail(RT_USAGE,
                           "%s: its name ends in .%s, but %s is asked for; give --out another ending, or --to %s", path,
                           ending, forms[s->to], forms[i]);
    return RT_OK;
}

static cJSON *describe(const settings *s, const char *path, const rt_predictions *p, cJSON *notes)
{
    cJSON *j = cJSON_CreateObject();
    cJSON_AddStringToObject(j, "file", path);
    cJSON_AddStringToObject(j, "format", forms[s->to]);
    cJSON_AddNumberToObject(j, "rows", (double)p->rows);
    cJSON_AddStringToObject(j, "model_digest", p->model.hex);
    cJSON_AddStringToObject(j, "data_digest", p->data.hex);
    cJSON_AddStringToObject(j, "rows_digest", p->of_rows.hex);
    cJSON_AddStringToObject(j, "kernels", p->kernels);
    if (isnan(p->seen)) cJSON_AddNullToObject(j, "rows_seen_in_training");
    else cJSON_AddNumberToObject(j, "rows_seen_in_training", p->seen);
    if (notes->child) cJSON_AddItemToObject(j, "notes", cJSON_Duplicate(notes, 1));
    return j;
}

rt_status rt_predict_rows(cJSON *config, const rt_target *out, rt_device *device, const rt_progress *progress,
                          cJSON **result)
{
    settings s;
    rt_output *o;
    rt_predictions *p = NULL;
    const char *inputs[RT_TEACHER_FILES + RT_EVAL_DATA_FILES + 2];
    int n = 0;
    *result = NULL;
    RT_TRY(read_settings(config, &s));
    RT_TRY(check_ending(&s, out->path));
    RT_TRY(rt_precision_take(device, s.precision, "precision"));
    for (int i = 0; i < s.model.paths; i++) inputs[n++] = s.model.path[i];
    for (int i = 0; s.file[i]; i++) inputs[n++] = s.file[i];
    inputs[n] = NULL;
    RT_TRY(rt_output_take(&o, out, inputs));
    cJSON *notes = cJSON_CreateArray();
    rt_status st = rt_output_may_replace(o, s.to == H5 ? RT_OUTPUT_PREDICTIONS : RT_OUTPUT_EXPORT);
    const rt_teacher_spec *model = &s.model;
    rt_predictions_spec spec = {&model, 1, s.data, s.topk, device, progress, notes};
    if (!st) st = rt_predictions_ask(&p, &spec);
    if (!st) st = s.to == H5 ? rt_predictions_write(p, o) : rt_predictions_export(p, o, s.to == CSV);
    if (!st) *result = describe(&s, out->path, p, notes);
    rt_predictions_free(p);
    rt_output_end(o);
    cJSON_Delete(notes);
    return st;
}
