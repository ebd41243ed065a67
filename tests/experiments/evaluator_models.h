/* tests/experiments/evaluator_models.h - the rows and models of evaluator_reference.h as files. */
#ifndef RT_TESTS_EVALUATOR_MODELS_H
#define RT_TESTS_EVALUATOR_MODELS_H

#include "data/h5.h"
#include "engine/device.h"
#include "experiments/eval/evaluator.h"
#include "student/model.h"
#include "tests/experiments/evaluator_reference.h"
#include "tests/support.h"

static char path_text[16][160];

/* NAME in the scratch folder; a text that lives until sixteen others were asked for. */
static inline const char *at(const char *name)
{
    static int turn;
    char *p = path_text[turn++ % 16];
    snprintf(p, sizeof path_text[0], "%s/%s", test_folder, name);
    return p;
}

/* A list of K names: a letter and 0 to count - 1, or the same backwards. */
static inline cJSON *names(char letter, int count, int backwards)
{
    cJSON *list = cJSON_CreateArray();
    for (int i = 0; i < count; i++) {
        char name[16];
        snprintf(name, sizeof name, "%c%d", letter, backwards ? count - 1 - i : i);
        cJSON_AddItemToArray(list, cJSON_CreateString(name));
    }
    return list;
}

/* x and y; the file names only the classes 4 to 0, in this order, so label l is stored as 4 - l. labels 0: no y at
 * all. */
static inline void write_data(const char *name, int labels)
{
    int32_t y[ROWS];
    for (int i = 0; i < ROWS; i++) y[i] = row_y[i] < 0 ? -1 : 4 - row_y[i];
    cJSON *m = cJSON_CreateObject();
    cJSON_AddItemToObject(m, "classes", names('c', 5, 1));
    cJSON_AddItemToObject(m, "columns", names('f', K, 0));
    char *text = cJSON_PrintUnformatted(m);
    rt_h5_item it[] = {{.name = "x", .type = RT_F32, .rank = 2, .dim = {ROWS, K}, .data = row_x},
                       {.name = "manifest", .type = RT_TEXT, .element = (uint32_t)strlen(text), .data = text},
                       {.name = "y", .type = RT_I32, .rank = 1, .dim = {ROWS}, .data = y}};
    check_ok(rt_h5_save(at(name), "retort-data-1", it, labels ? 3 : 2));
    cJSON_free(text);
    cJSON_Delete(m);
}

/* Model i: logits d x + b. Its columns stand backwards in model 1, its classes in model 2. seen: its list, or NULL. */
static inline void write_model(const char *name, int i, cJSON *seen)
{
    static const char arch[] = "{\"input\":[7],\"classes\":7,\"layers\":[{\"op\":\"dense\",\"out\":7}]}";
    cJSON *j, *classes = names('c', K, i == 2), *columns = names('f', K, i == 1);
    rt_model *m;
    rt_names class_names, column_names;
    check_ok(rt_json_parse(&j, arch, strlen(arch), "test"));
    check_ok(rt_model_new(&m, j, 1));
    check_ok(rt_names_from_json(&class_names, classes, name, "classes"));
    check_ok(rt_names_from_json(&column_names, columns, name, "columns"));
    check_ok(rt_model_set_names(m, &class_names, &column_names));
    float *w = m->params + m->graph->field[0].offset, *b = m->params + m->graph->field[1].offset;
    memset(w, 0, K * K * sizeof *w);
    for (int c = 0; c < K; c++) {
        int in = i == 1 ? K - 1 - c : c, out = i == 2 ? K - 1 - c : c;
        w[in * K + out] = diagonal[i * K + c];
        b[out] = bias[i * K + c];
    }
    if (seen) cJSON_AddItemToObject(m->provenance, "seen", seen);
    check_ok(rt_model_save(m, at(name)));
    rt_names_free(&class_names);
    rt_names_free(&column_names);
    rt_model_free(m);
    cJSON_Delete(j);
    cJSON_Delete(classes);
    cJSON_Delete(columns);
}

/* The scratch folder with data.h5, unlabelled.h5, a.h5, b.h5 and c.h5; the models know that they have seen nothing. */
static inline int make_models(void **state)
{
    if (make_test_folder(state)) return -1;
    write_data("data.h5", 1);
    write_data("unlabelled.h5", 0);
    write_model("a.h5", 0, cJSON_CreateArray());
    write_model("b.h5", 1, cJSON_CreateArray());
    write_model("c.h5", 2, cJSON_CreateArray());
    return 0;
}

/* {"teacher": [...] (when given), "students": [...], "data": {"source": data}, "eval": {"speed": false}}; lists of
 * names in the scratch folder, divided by spaces. */
static inline cJSON *config_of(const char *teacher, const char *students, const char *data)
{
    cJSON *c = cJSON_CreateObject(), *d, *list;
    char text[256], *save = NULL;
    if (*teacher) cJSON_AddStringToObject(c, "teacher", at(teacher));
    list = cJSON_AddArrayToObject(c, "students");
    snprintf(text, sizeof text, "%s", students);
    for (char *s = strtok_r(text, " ", &save); s; s = strtok_r(NULL, " ", &save))
        cJSON_AddItemToArray(list, cJSON_CreateString(at(s)));
    d = cJSON_AddObjectToObject(c, "data");
    cJSON_AddStringToObject(d, "source", at(data));
    cJSON_AddFalseToObject(cJSON_AddObjectToObject(c, "eval"), "speed");
    return c;
}

static inline void override(cJSON *config, const char *assignment) { check_ok(rt_json_override(config, assignment)); }

/* Evaluates, deletes the configuration. */
static inline rt_status evaluate(cJSON *config, const char *out, int force, cJSON **result)
{
    rt_device *device = rt_device_cpu(2);
    rt_status st = rt_evaluate(config, out ? &(rt_target){.path = out, .force = force} : NULL, device, NULL, result);
    rt_device_close(device);
    cJSON_Delete(config);
    return st;
}

static inline const cJSON *get(const cJSON *j, const char *key) { return cJSON_GetObjectItemCaseSensitive(j, key); }
static inline const cJSON *model_of(const cJSON *e, int i) { return cJSON_GetArrayItem(get(e, "models"), i); }

/* "a.b" within j must be this number; NAN: null, or not there. */
static inline void check_number(const cJSON *j, const char *path, double want)
{
    char text[64], *save = NULL;
    snprintf(text, sizeof text, "%s", path);
    for (char *s = strtok_r(text, ".", &save); s; s = strtok_r(NULL, ".", &save)) j = get(j, s);
    if (isnan(want)) {
        if (j && !cJSON_IsNull(j)) fail_msg("%s is there", path);
        return;
    }
    if (!cJSON_IsNumber(j)) fail_msg("%s is not there", path);
    check_close(path, j->valuedouble, want, 1e-12, 1e-10);
}

static inline void check_numbers(const cJSON *list, const char *what, const double *want, int n)
{
    assert_int_equal(cJSON_GetArraySize(list), n);
    for (int i = 0; i < n; i++) {
        const cJSON *v = cJSON_GetArrayItem(list, i);
        if (isnan(want[i])) assert_true(cJSON_IsNull(v));
        else check_close(what, cJSON_GetNumberValue(v), want[i], 1e-12, 1e-10);
    }
}

/* Whether one of the notes holds this text. */
static inline int noted(const cJSON *e, const char *part)
{
    for (const cJSON *n = get(e, "notes")->child; n; n = n->next) if (strstr(n->valuestring, part)) return 1;
    return 0;
}
#endif
