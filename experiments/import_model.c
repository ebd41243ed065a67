/* experiments/import_model.c - 'retort import' of a model of another format: ONNX becomes a model of ours. */
#include "experiments/import_model.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "data/files.h"
#include "data/source_files.h"
#include "engine/version.h"
#include "student/model.h"
#include "student/onnx/onnx_file.h"

/* Keys that tell what a model takes and answers; the rest of a configuration is of data alone. */
static const char *const told[] = {"inputs",  "output",   "task",      "gives",  "classes",
                                   "outputs", "features", "data_root", "shorter", "memory", "seconds"};

rt_status rt_import_is_model(const cJSON *config, int *is_model)
{
    const char *path = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(config, "input"));
    struct stat s;
    *is_model = 0;
    if (!path || stat(path, &s) || !S_ISREG(s.st_mode)) return RT_OK;    /* whoever reads it says why not */
    return rt_onnx_look(path, is_model);
}

/* "a,b,c" of a command line as a list. */
static void split_names(cJSON *binding)
{
    const cJSON *c = cJSON_GetObjectItemCaseSensitive(binding, "classes");
    if (!cJSON_IsString(c)) return;
    cJSON *list = cJSON_CreateArray();
    for (const char *p = c->valuestring;; p++) {
        size_t n = strcspn(p, ",");
        char *one = strndup(p, n);
        if (!one) rt_out_of_memory();
        cJSON_AddItemToArray(list, cJSON_CreateString(one));
        free(one);
        if (!*(p += n)) break;
    }
    cJSON_ReplaceItemInObjectCaseSensitive(binding, "classes", list);
}

static int is_same_file(const char *a, const char *b)
{
    struct stat x, y;
    return !stat(a, &x) && !stat(b, &y) && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* "data", whose rows tell the shapes that the model leaves open. */
static rt_status read_model_config(cJSON *config, cJSON *binding, const char **path, rt_x_where *x)
{
    rt_cfg c = rt_cfg_begin(config, "");
    *path = rt_cfg_file(&c, "input", NULL);
    for (size_t i = 0; i < sizeof told / sizeof told[0]; i++) {
        const cJSON *value = rt_cfg_any(&c, told[i]);
        if (value) cJSON_AddItemToObject(binding, told[i], cJSON_Duplicate(value, 1));
    }
    const char *file = rt_cfg_string(&c, "file", "");      /* of a teacher's specification */
    if (*file && *path && !is_same_file(file, *path))
        rt_cfg_fail(&c, "file", "is another file than the one that is imported");
    *x = (rt_x_where){.source = NULL};
    if (rt_cfg_has(&c, "data")) {
        rt_cfg d = rt_cfg_object(&c, "data");
        const char *source = rt_cfg_source(&d, "source", NULL);
        rt_x_where_read(&d, source, x);
        rt_cfg_join(&c, &d);
    }
    RT_TRY(rt_cfg_end(&c));
    split_names(binding);
    return RT_OK;
}

rt_status rt_import_model_check(cJSON *config)
{
    const char *path;
    rt_x_where x;
    cJSON *binding = cJSON_CreateObject();
    rt_status st = read_model_config(config, binding, &path, &x);
    cJSON_Delete(binding);
    return st;
}

static cJSON *result_of(const rt_model *m, const char *path, const char *out)
{
    const cJSON *from = cJSON_GetObjectItemCaseSensitive(m->provenance, "onnx");
    cJSON *r = cJSON_CreateObject();
    cJSON_AddStringToObject(r, "input", path);
    cJSON_AddStringToObject(r, "model", out);
    cJSON_AddStringToObject(r, "digest", rt_model_digest(m).hex);
    cJSON *inputs = cJSON_AddArrayToObject(r, "inputs");
    for (int i = 0; i < m->inputs; i++) {
        cJSON *j = cJSON_CreateObject();
        cJSON_AddStringToObject(j, "name", m->input[i].name);
        cJSON_AddItemToObject(j, "shape", cJSON_CreateIntArray(m->input[i].shape.dim, m->input[i].shape.rank));
        if (m->input[i].ids) cJSON_AddNumberToObject(j, "ids", m->input[i].ids);
        cJSON_AddItemToArray(inputs, j);
    }
    cJSON_AddItemToObject(r, "heads", rt_heads_to_json(m->head, m->heads));
    cJSON_AddNumberToObject(r, "layers", m->graph->nodes - m->graph->inputs);
    cJSON_AddNumberToObject(r, "parameters", (double)rt_graph_param_count(m->graph));
    cJSON_AddNumberToObject(r, "macs", rt_graph_macs(m->graph));
    cJSON_AddItemToObject(r, "onnx", cJSON_Duplicate(from, 1));
    return r;
}

rt_status rt_import_model(cJSON *config, const rt_target *target, cJSON **result)
{
    rt_output *out = NULL;
    rt_model *m = NULL;
    const char *path, *inputs[RT_SOURCE_PARTS + 3];
    rt_x_where x;
    int n = 0;
    cJSON *binding = cJSON_CreateObject();
    *result = NULL;
    rt_status st = read_model_config(config, binding, &path, &x);
    if (!st) {
        inputs[n++] = path;
        if (x.source) inputs[n++] = x.source;
        inputs[rt_x_where_files(&x, inputs, n)] = NULL;
        st = rt_output_take(&out, target, inputs);
    }
    if (!st) st = rt_output_may_replace(out, RT_OUTPUT_MODEL);
    if (!st) st = rt_model_load_bound(&m, path, binding, x.source ? &x : NULL);
    if (!st) st = rt_check_stop();
    if (!st) {
        cJSON_AddStringToObject(cJSON_GetObjectItemCaseSensitive(m->provenance, "onnx"), "tool", rt_tool());
        st = rt_model_put(m, out);
    }
    if (!st) *result = result_of(m, path, rt_output_path(out));
    rt_output_end(out);
    rt_model_free(m);
    cJSON_Delete(binding);
    return st;
}
