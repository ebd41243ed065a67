#include "experiments/jobs/export_job.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/files.h"
#include "data/h5.h"
#include "data/label_policy.h"
#include "experiments/jobs/deploy_job.h"
#include "export/exporter.h"

enum { SAFETENSORS = 0, NPZ, CSV, NPY, PROGRAM, ONNX_QDQ, C, ONNX };
static const char *const forms[] = {"safetensors", "npz", "csv", "npy", "program", "onnx-qdq", "c", "onnx", NULL};
static const char *const endings[] = {"safetensors", "npz", "csv", "npy", "q", "onnx", "c", "onnx"};

/* Whether the file answers by integers; one that is no such file is told of by who exports it. */
static rt_status is_quantized(const char *path, int *yes)
{
    rt_h5_file *f;
    char *text = NULL;
    cJSON *j = NULL;
    *yes = 0;
    rt_status st = rt_program_there(path, yes);
    if (st || *yes) return st == RT_INPUT ? RT_OK : st;
    if ((st = rt_h5_scan(&f, path))) return st == RT_INPUT ? RT_OK : st;
    st = rt_h5_find(f, "manifest") ? rt_h5_read_all((void **)&text, f, "manifest", RT_JSON_MAX_BYTES) : RT_INPUT;
    if (!st) st = rt_json_parse(&j, text, strlen(text), path);
    if (!st) *yes = cJSON_HasObjectItem(j, "quantization");
    cJSON_Delete(j);
    free(text);
    rt_h5_close(f);
    return st == RT_INPUT ? RT_OK : st;
}

rt_status rt_export_form_of(const char **form, const char *path, const char *input)
{
    const char *slash = strrchr(path, '/'), *dot = strrchr(slash ? slash : path, '.');
    int i = 0, integers = 1;
    *form = dot ? dot + 1 : "";
    while (forms[i] && strcmp(*form, endings[i])) i++;
    if (!dot || !forms[i]) return RT_OK;
    if (i == ONNX_QDQ) RT_TRY(is_quantized(input, &integers));
    *form = forms[integers ? i : ONNX];
    return RT_OK;
}

const char *rt_export_ending_of(const char *form)
{
    for (int i = 0; forms[i]; i++) if (!strcmp(form, forms[i])) return endings[i];
    return "out";
}

typedef struct {
    const char *path;
    int to;
    rt_output *out;
    rt_onnx_spec onnx;
    rt_onnx_float_spec onnx_float;
    const cJSON *policy;               /* of labels, or NULL */
    int all;                           /* rows without a label, too */
    const char *column;                /* of labels to npy, or NULL */
    int view;                          /* of labels; RT_LABEL_NO_VIEW: of rows as they are */
} settings;

/* Keys that ONNX has, and nothing else. */
static void read_onnx(rt_cfg *c, settings *s)
{
    static const struct { const char *name; int floats, integers; } keys[] = {
        {"opset", 1, 1},  {"input_type", 1, 1}, {"int4", 0, 1}, {"layout", 1, 0},
        {"fold", 1, 0},   {"raw_input", 1, 0},  {"ids", 1, 0},  {"batch", 1, 0}};
    static const char *const types[] = {"auto", "u8", "f32", NULL}, *const int4[] = {"widened", "packed", NULL},
                      *const layouts[] = {"nhwc", "nchw", NULL}, *const ids[] = {"i64", "i32", NULL};
    rt_onnx_float_spec *f = &s->onnx_float;
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (s->to == ONNX ? !keys[i].floats : s->to != ONNX_QDQ || !keys[i].integers)
            rt_cfg_refuse(c, keys[i].name, !keys[i].integers ? "belongs to to=onnx"
                                           : !keys[i].floats ? "belongs to to=onnx-qdq"
                                                             : "belongs to to=onnx and to=onnx-qdq");
    if (s->to != ONNX && s->to != ONNX_QDQ) return;
    const int opset = s->to == ONNX ? rt_cfg_int(c, "opset", 17, 13, 28) : rt_cfg_int(c, "opset", 17, 17, 21);
    const unsigned type = (unsigned)rt_cfg_choice(c, "input_type", types, RT_ONNX_INPUT_AUTO);
    if (s->to == ONNX_QDQ) s->onnx = (rt_onnx_spec){opset, type, rt_cfg_choice(c, "int4", int4, 0)};
    else {
        f->opset = opset;
        f->u8 = type == RT_ONNX_INPUT_U8;
        f->nchw = rt_cfg_choice(c, "layout", layouts, 0);
        f->fold = rt_cfg_bool(c, "fold", 0);
        f->raw = rt_cfg_bool(c, "raw_input", 0);
        f->ids32 = rt_cfg_choice(c, "ids", ids, 0);
        f->single = rt_cfg_int(c, "batch", 0, 0, 1);
    }
}

static rt_status read_settings(cJSON *config, settings *s)
{
    rt_cfg c = rt_cfg_begin(config, "");
    memset(s, 0, sizeof *s);
    if (!rt_cfg_strings(&c, "input", &s->path, 1)) rt_cfg_fail(&c, "input", "a model or a label store is required");
    s->to = rt_cfg_choice(&c, "to", forms, -1);
    read_onnx(&c, s);
    if (s->to != CSV && s->to != NPY) rt_cfg_refuse(&c, "data", "belongs to to=csv and to=npy of a label store");
    else {
        rt_cfg d = rt_cfg_object(&c, "data");
        s->policy = rt_cfg_any(&d, "policy");
        rt_cfg_join(&c, &d);
    }
    if (s->to == CSV) s->all = rt_cfg_bool(&c, "all", 0);
    else rt_cfg_refuse(&c, "all", "belongs to to=csv of a label store");
    if (s->to == NPY && rt_cfg_has(&c, "column")) s->column = rt_cfg_string(&c, "column", NULL);
    else rt_cfg_refuse(&c, "column", "belongs to to=npy of a label store; csv has all columns");
    s->view = RT_LABEL_NO_VIEW;
    if (s->to != CSV && s->to != NPY) rt_cfg_refuse(&c, "view", "belongs to to=csv and to=npy of a label store");
    else if (rt_cfg_has(&c, "view")) s->view = rt_cfg_int(&c, "view", 0, 0, RT_LABEL_VIEWS - 1);
    if (s->policy && s->all) rt_cfg_fail(&c, "all", "a policy chooses among rows that have a label; give one of them");
    if (s->policy && s->column && !strcmp(s->column, "status"))
        rt_cfg_fail(&c, "column", "status is of all rows; leave data.policy out");
    RT_TRY(rt_cfg_end(&c));
    rt_label_policy *p = NULL;
    rt_status st = s->policy ? rt_label_policy_read(&p, s->policy, "data.policy") : RT_OK;
    if (p && rt_label_policy_weighs(p))
        st = rt_fail(RT_USAGE, "data.policy: weights say how often training draws a row; an export has each once");
    rt_label_policy_free(p);
    return st;
}

/* Whether the file is a label store: one that will be, or that is there. */
static rt_status look(const char *path, const char *const *stores, int *is_store)
{
    rt_h5_file *f;
    *is_store = 0;
    for (int i = 0; stores && stores[i]; i++) *is_store |= !strcmp(stores[i], path);
    int there = 1;
    if (stores && !*is_store) RT_TRY(rt_file_there(path, &there));
    if (*is_store || !there) return RT_OK;
    RT_TRY(rt_h5_scan(&f, path));
    *is_store = rt_h5_find(f, "labels/status") != NULL;
    int known = *is_store || f->sets < 2;             /* a model without fields has its manifest alone */
    for (int i = 0; i < f->sets; i++) known |= !strncmp(f->set[i].name, "params/", 7);
    rt_h5_close(f);
    return known ? RT_OK : rt_fail(RT_INPUT, "%s: is neither a model nor a label store, or is damaged", path);
}

/* What was given must apply to what is to be written. stores: as of rt_export_check, NULL when the export runs now.
 * *store: the one input is a label store. */
static rt_status check_applies(const settings *s, const char *const *stores, int *store)
{
    *store = 0;
    int there = 1, program = 0;
    if (s->to >= PROGRAM) return RT_OK;
    if (stores) RT_TRY(rt_file_there(s->path, &there));
    if (there) RT_TRY(rt_program_there(s->path, &program));
    if (program && s->to != SAFETENSORS)
        return rt_fail(RT_USAGE, "%s: is an integer program, which is exported to safetensors, onnx-qdq or c", s->path);
    if (program) return RT_OK;
    RT_TRY(look(s->path, stores, store));
    if (*store && (s->to == SAFETENSORS || s->to == NPZ))
        return rt_fail(RT_USAGE, "%s: is a label store, which is exported to csv or npy", s->path);
    if (!*store && (s->to == CSV || s->to == NPY))
        return rt_fail(RT_USAGE, "%s: to=%s is of label stores; 'retort predict' writes a model's answers to rows",
                       s->path, forms[s->to]);
    return RT_OK;
}

rt_status rt_export_check(cJSON *config, const char *const *stores)
{
    settings s;
    int store;
    RT_TRY(read_settings(config, &s));
    return check_applies(&s, stores, &store);
}

static rt_status weights(const settings *s)
{
    rt_model *m;
    int program;
    RT_TRY(rt_program_there(s->path, &program));
    if (program) {
        rt_program *p;
        RT_TRY(rt_program_load(&p, s->path));
        rt_status st = rt_export_program_safetensors(p, s->out);
        rt_program_free(p);
        return st;
    }
    RT_TRY(rt_model_load(&m, s->path));
    rt_status st = s->to == NPZ ? rt_export_npz(m, s->out) : rt_export_safetensors(m, s->out);
    rt_model_free(m);
    return st;
}

/* The rows that data.policy chooses; what it did goes to `more`. */
static rt_status choose(const settings *s, rt_labels *l, rt_rows *rows, cJSON *more)
{
    rt_label_policy *p;
    cJSON *report;
    RT_TRY(rt_label_policy_read(&p, s->policy, "data.policy"));
    rt_status st = rt_label_policy_apply(p, l, s->path, rows, NULL, &report);
    if (report) cJSON_AddItemToObject(more, "policy", report);
    rt_label_policy_free(p);
    return st;
}

static rt_status labels(const settings *s, cJSON *more, cJSON *notes)
{
    rt_labels *l;
    rt_labels_summary sum;
    RT_TRY(rt_labels_open(&l, s->path, 0));
    const rt_labels_spec *of = rt_labels_info(l);
    rt_rows rows = rt_rows_between(of->first, of->first + of->rows);
    rt_status st = s->policy ? choose(s, l, &rows, more) : RT_OK;
    if (!st)
        st = rt_export_labels(l,
                              &(rt_label_export){.path = s->path,
                                                 .chosen = s->policy ? &rows : NULL,
                                                 .csv = s->to == CSV,
                                                 .all = s->all,
                                                 .column = s->column,
                                                 .view = s->view},
                              s->out);
    rt_rows_free(&rows);
    if (!st) st = rt_labels_summarize(l, &sum);
    uint64_t without = st ? 0 : rt_labels_info(l)->rows - rt_labels_labelled(sum.status);
    if (without) {
        char text[96];
        snprintf(text, sizeof text, "%llu rows have no label and are %s", (unsigned long long)without,
                 s->all ? "there with their status alone" : s->to == CSV ? "left out" :
                 s->column && strcmp(s->column, "status") == 0 ? "there with their status" :
                 s->column && strstr(s->column, "hard") ? "-1" : "NaN");
        cJSON_AddItemToArray(notes, cJSON_CreateString(text));
    }
    const rt_labels_spec *kept = rt_labels_info(l);
    if (!st && kept->topk) {
        char text[160];
        int heads, most = 0;
        const rt_head *head = rt_labels_heads(l, &heads);
        for (int h = 0; h < heads; h++)
            if (head[h].task == RT_TASK_CLASSES && head[h].size > most) most = head[h].size;
        snprintf(text, sizeof text, "the store keeps %d of %d classes a row: the others stand with equal parts of what "
                 "is left, not with the teacher's answers", kept->topk, most);
        cJSON_AddItemToArray(notes, cJSON_CreateString(text));
    }
    rt_labels_close(l);
    return st;
}

/* A file is not called what it is not. */
static rt_status check_ending(const settings *s, const char *path)
{
    const char *slash = strrchr(path, '/'), *dot = strrchr(slash ? slash : path, '.');
    for (int i = 0; dot && forms[i] && strcmp(dot + 1, endings[s->to]); i++)
        if (!strcmp(dot + 1, endings[i]))
            return rt_fail(RT_USAGE,
                           "%s: its name ends in .%s, but %s is asked for; give --out another ending, or --to %s", path,
                           endings[i], forms[s->to], forms[i]);
    return RT_OK;
}

rt_status rt_export(cJSON *config, const rt_target *out, cJSON **result)
{
    settings s;
    *result = NULL;
    RT_TRY(read_settings(config, &s));
    RT_TRY(check_ending(&s, out->path));
    const char *inputs[] = {s.path, s.policy ? cJSON_GetStringValue(s.policy) : NULL, NULL};
    RT_TRY(rt_output_take(&s.out, out, inputs));
    cJSON *notes = cJSON_CreateArray();
    int store = 0;
    rt_status st = rt_output_may_replace(s.out, RT_OUTPUT_EXPORT);
    cJSON *more = cJSON_CreateObject();
    if (!st) st = check_applies(&s, NULL, &store);
    if (st) ;
    else if (s.to >= PROGRAM)
        st = rt_deploy(&(rt_deploy_spec){(rt_deploy_form)(s.to - PROGRAM), s.path, s.onnx, s.onnx_float}, s.out, out,
                       inputs, more, notes);
    else if (s.to == SAFETENSORS || s.to == NPZ) st = weights(&s);
    else st = labels(&s, more, notes);
    if (!st) {
        *result = cJSON_CreateObject();
        cJSON_AddStringToObject(*result, "file", out->path);
        cJSON_AddStringToObject(*result, "format", forms[s.to]);
        for (cJSON *i; (i = more->child);)
            cJSON_AddItemToObject(*result, i->string, cJSON_DetachItemViaPointer(more, i));
        if (notes->child) cJSON_AddItemToObject(*result, "notes", cJSON_Duplicate(notes, 1));
    }
    rt_output_end(s.out);
    cJSON_Delete(more);
    cJSON_Delete(notes);
    return st;
}
