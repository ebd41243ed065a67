/* Model files: saved and loaded to the same bits, damage found; ensembles; predictions do not depend on grouping;
 * sources bound by the names of their columns and by shape; classes in the order that is asked for. */
#include <unistd.h>

#include "data/files.h"
#include "student/model.h"
#include "student/predictor.h"
#include "tests/support.h"

static const char arch[] = "{\"input\":[9,9,2],\"classes\":4,\"family\":\"resnet\",\"width\":6,\"depth\":1}";

static rt_model *make(uint64_t seed)
{
    cJSON *j;
    rt_model *m;
    double mean[2] = {100, 50}, std[2] = {20, 30};
    check_ok(rt_json_parse(&j, arch, strlen(arch), "test"));
    check_ok(rt_model_new(&m, j, seed));
    check_ok(rt_input_set_normalization(&m->input[0], mean, std, 2));
    cJSON_Delete(j);
    return m;
}

static void round_trip(void **state)
{
    (void)state;
    char path[128], again[128];
    snprintf(path, sizeof path, "%s/m.h5", test_folder);
    snprintf(again, sizeof again, "%s/n.h5", test_folder);
    rt_model *m = make(3), *n;
    rt_digest a, b;
    check_ok(rt_model_save(m, path));
    check_ok(rt_model_load(&n, path));
    assert_string_equal(rt_model_digest(m).hex, rt_model_digest(n).hex);
    assert_memory_equal(m->params, n->params, m->graph->floats[RT_PARAM] * 4);
    check_ok(rt_model_save(n, again));
    check_ok(rt_digest_file(&a, path, 0));
    check_ok(rt_digest_file(&b, again, 0));
    assert_string_equal(a.hex, b.hex);
    rt_model_free(m);
    rt_model_free(n);
}

/* A copy of a model file, with a set of another name. */
static void rename_set(const char *from, const char *to, const char *was, const char *is)
{
    rt_h5_file *f;
    void *data[16] = {0};
    rt_h5_item it[16] = {{0}};
    check_ok(rt_h5_scan(&f, from));
    for (int i = 0; i < f->sets; i++) {
        const rt_h5_dataset *d = &f->set[i];
        check_ok(rt_h5_read_all(&data[i], f, d->name, 1 << 20));
        it[i] = (rt_h5_item){.name = strcmp(d->name, was) ? d->name : is, .type = d->type, .rank = d->rank,
                             .data = data[i], .element = d->type == RT_TEXT ? (uint32_t)strlen(data[i]) : 0};
        memcpy(it[i].dim, d->dim, sizeof it[i].dim);
    }
    check_ok(rt_h5_save(to, "retort-model-2", it, f->sets));
    for (int i = 0; i < f->sets; i++) free(data[i]);
    rt_h5_close(f);
}

/* Layers may be named as other tools name them, to 255 bytes; files of before, whose names had no '/', had '%' as it
 * is. */
static void layer_names(void **state)
{
    (void)state;
    char path[128], older[128], longest[256], text[1024];
    rt_model *m, *n;
    rt_h5_file *f;
    cJSON *j;
    snprintf(path, sizeof path, "%s/named.h5", test_folder);
    snprintf(older, sizeof older, "%s/older.h5", test_folder);
    memset(longest, '/', 255);
    longest[255] = 0;
    for (int i = 0; i < 2; i++) {
        snprintf(text, sizeof text, "{\"input\":[3],\"classes\":2,\"layers\":[{\"op\":\"dense\",\"out\":2,\"name\":"
                 "\"block.1/conv%%\"},{\"op\":\"dense\",\"out\":2,\"name\":\"%s%s\"}]}", longest, i ? "x" : "");
        check_ok(rt_json_parse(&j, text, strlen(text), "test"));
        if (i) check_fails(rt_model_new(&m, j, 1), RT_USAGE, "longer than 255 bytes");
        else check_ok(rt_model_new(&m, j, 1));
        cJSON_Delete(j);
        if (i) break;
        check_ok(rt_model_save(m, path));
        check_ok(rt_h5_scan(&f, path));
        assert_non_null(rt_h5_find(f, "params/block.1%2Fconv%25.weight"));
        rt_h5_close(f);
        check_ok(rt_model_load(&n, path));
        assert_string_equal(n->graph->field[0].name, "block.1/conv%.weight");
        assert_memory_equal(m->params, n->params, m->graph->floats[RT_PARAM] * sizeof(float));
        rt_model_free(m);
        rt_model_free(n);
    }
    const char *plain = "{\"input\":[3],\"classes\":2,\"layers\":[{\"op\":\"dense\",\"out\":2,\"name\":\"50%\"}]}";
    check_ok(rt_json_parse(&j, plain, strlen(plain), "test"));
    check_ok(rt_model_new(&m, j, 1));
    cJSON_Delete(j);
    check_ok(rt_model_save(m, path));
    rename_set(path, older, "params/50%25.weight", "params/50%.weight");
    check_ok(rt_model_load(&n, older));
    assert_memory_equal(m->params, n->params, m->graph->floats[RT_PARAM] * sizeof(float));
    rt_model_free(m);
    rt_model_free(n);
}

/* Weights that two layers share are there once: in memory, in the file, in the count. */
static void shared_weights(void **state)
{
    (void)state;
    char path[128];
    rt_model *m, *n;
    rt_h5_file *f;
    cJSON *j;
    static const char *const head = "{\"input\":[4],\"classes\":4,\"layers\":["
                                    "{\"op\":\"dense\",\"name\":\"a\",\"out\":4},"
                                    "{\"op\":\"batch_norm\",\"name\":\"n\"},";
    static const char *const tail[][2] = {
        {"{\"op\":\"dense\",\"out\":4,\"share\":\"a\"}]}", NULL},
        {"{\"op\":\"dense\",\"out\":4,\"share\":\"b\"}]}", "no layer before it is named 'b'"},
        {"{\"op\":\"layer_norm\",\"share\":\"a\"}]}", "another kind of layer"},
        {"{\"op\":\"dense\",\"out\":5,\"share\":\"a\"}]}", "weight has the shape (4, 5)"},
        {"{\"op\":\"batch_norm\",\"share\":\"n\"}]}", "mean is of its own input"},
        {"{\"op\":\"relu\",\"name\":\"r\"},{\"op\":\"relu\",\"share\":\"r\"}]}", "there are none"}};
    snprintf(path, sizeof path, "%s/shared.h5", test_folder);
    for (size_t i = 0; i < sizeof tail / sizeof tail[0]; i++) {
        char text[400];
        snprintf(text, sizeof text, "%s%s", head, tail[i][0]);
        check_ok(rt_json_parse(&j, text, strlen(text), "test"));
        if (tail[i][1]) check_fails(rt_model_new(&m, j, 1), RT_USAGE, tail[i][1]);
        else check_ok(rt_model_new(&m, j, 1));
        cJSON_Delete(j);
        if (tail[i][1]) continue;
        assert_int_equal(rt_graph_param_count(m->graph), 4 * 4 + 4 + 2 * 4);
        check_ok(rt_model_save(m, path));
        check_ok(rt_h5_scan(&f, path));
        assert_int_equal(f->sets, 6 + 1);
        rt_h5_close(f);
        check_ok(rt_model_load(&n, path));
        assert_memory_equal(m->params, n->params, m->graph->floats[RT_PARAM] * sizeof(float));
        rt_model_free(m);
        rt_model_free(n);
    }
}

/* One bit in any field is found. */
static void damage(void **state)
{
    (void)state;
    char path[128];
    rt_h5_file *f;
    rt_model *m;
    snprintf(path, sizeof path, "%s/m.h5", test_folder);
    check_ok(rt_h5_scan(&f, path));
    for (int i = 0; i < f->sets; i++) {
        if (f->set[i].type != RT_F32) continue;
        flip_bit(path, f->set[i].offset + 1, 4);
        check_fails(rt_model_load(&m, path), RT_INPUT, "damaged");
        flip_bit(path, f->set[i].offset + 1, 4);
    }
    rt_h5_close(f);
    check_ok(rt_model_load(&m, path));
    rt_model_free(m);
}

/* Constants come with the model: in its digest and its file, whatever the formula says that they were made by. */
static void constants(void **state)
{
    (void)state;
    char path[128];
    rt_model *m, *n;
    snprintf(path, sizeof path, "%s/constants.h5", test_folder);
    cJSON *arch = cJSON_Parse(
        "{\"input\": [3, 4], \"classes\": 2, \"layers\": [{\"op\": \"position\"}, {\"op\": \"flatten\"}, "
        "{\"op\": \"dense\", \"out\": 2}]}");
    check_ok(rt_model_new(&m, arch, 1));
    cJSON_Delete(arch);
    int f = rt_graph_next_field(m->graph, RT_CONST, -1);
    assert_true(f >= 0 && rt_graph_next_field(m->graph, RT_CONST, f) < 0);
    assert_string_equal(m->graph->field[f].name, "position1.table");
    assert_int_equal(rt_graph_param_count(m->graph), 26);
    float *w = rt_model_field(m, f);
    const double want[12] = {0, 1, 0, 1, sin(1), cos(1), sin(0.01), cos(0.01), sin(2), cos(2), sin(0.02), cos(0.02)};
    for (int i = 0; i < 12; i++) check_close("table", w[i], want[i], 1e-7, 1e-7);
    rt_digest before = rt_model_digest(m);
    w[5] = 7;
    assert_string_not_equal(before.hex, rt_model_digest(m).hex);
    check_ok(rt_model_save(m, path));
    check_ok(rt_model_load(&n, path));
    assert_string_equal(rt_model_digest(m).hex, rt_model_digest(n).hex);
    assert_true(rt_model_field(n, f)[5] == 7);
    /* and are what a plan computes with */
    rt_device *device = rt_device_cpu(1);
    rt_predictor *p;
    float x[12] = {0}, z[2], sum[2] = {0};
    for (int i = 0; i < 24; i++)
        sum[i % 2] += rt_model_field(n, rt_graph_next_field(n->graph, RT_PARAM, -1))[i] * w[i / 2];
    check_ok(rt_predictor_new(&p, &n, 1, device, 1, NULL, 0));
    rt_predict(p, &(rt_feed){.raw = x, .rows = 1}, z);
    for (int k = 0; k < 2; k++) check_close("answer", z[k], sum[k], 1e-5, 1e-5);
    rt_predictor_free(p);
    rt_device_close(device);
    rt_model_free(n);
    rt_model_free(m);
}

static void grouping(void **state)
{
    (void)state;
    enum { ROWS = 150, SIZE = 162 };
    rt_model *m[2] = {make(1), make(2)};
    static unsigned char raw[ROWS][SIZE];
    static float a[ROWS * 4], b[ROWS * 4], one[ROWS * 4], two[ROWS * 4];
    for (int i = 0; i < ROWS * SIZE; i++) (&raw[0][0])[i] = (unsigned char)(i * 31 % 251);
    for (int i = 0; i < 2; i++) rt_input_take(&m[i]->input[0], RT_U8);
    rt_device *device = rt_device_cpu(3);
    rt_predictor *p;
    check_ok(rt_predictor_new(&p, m, 2, device, 0, NULL, 0));
    rt_predict(p, &(rt_feed){.raw = raw, .rows = ROWS}, a);
    for (int at = 0, n = 1; at < ROWS; at += n, n = n * 2 % 61 + 1) {
        if (n > ROWS - at) n = ROWS - at;
        rt_predict(p, &(rt_feed){.raw = raw[at], .rows = n}, b + at * 4);
    }
    assert_memory_equal(a, b, sizeof a);
    rt_predictor_free(p);
    /* log of the mean of the members' softmax */
    for (int i = 0; i < 2; i++) {
        check_ok(rt_predictor_new(&p, &m[i], 1, device, 0, NULL, 0));
        rt_predict(p, &(rt_feed){.raw = raw, .rows = ROWS}, i ? two : one);
        rt_predictor_free(p);
    }
    for (int r = 0; r < ROWS; r++) {
        double s1 = 0, s2 = 0;
        for (int c = 0; c < 4; c++) s1 += exp(one[r * 4 + c]), s2 += exp(two[r * 4 + c]);
        for (int c = 0; c < 4; c++)
            check_close("ensemble", a[r * 4 + c], log(0.5 * (exp(one[r * 4 + c]) / s1 + exp(two[r * 4 + c]) / s2)),
                        1e-5, 1e-5);
    }
    rt_device_close(device);
    rt_model_free(m[0]);
    rt_model_free(m[1]);
}

static void refusals(void **state)
{
    (void)state;
    char path[128];
    rt_model *m;
    rt_h5_item it = {.name = "x", .type = RT_F32, .rank = 1, .dim = {4}};
    snprintf(path, sizeof path, "%s/no.h5", test_folder);
    check_ok(rt_h5_save(path, "other", &it, 1));
    check_fails(rt_model_load(&m, path), RT_INPUT, "no retort model");
    check_fails(rt_model_load(&m, "/nonexistent"), RT_INPUT, "No such file");
}

static rt_names list(const char *json)
{
    rt_names n;
    cJSON *j = cJSON_Parse(json);
    check_ok(rt_names_from_json(&n, j, NULL, "names"));
    cJSON_Delete(j);
    return n;
}

/* One dense layer of known weights, 3 columns to 3 classes: logit c of a row x is sum_k x[k] (10 k + c + 1), and c
 * more. */
static rt_model *make_linear(const char *classes, const char *columns)
{
    cJSON *j = cJSON_Parse("{\"input\":[3],\"classes\":3,\"layers\":[{\"op\":\"dense\",\"out\":3}]}");
    rt_model *m;
    rt_names k = list(classes), c = list(columns);
    check_ok(rt_model_new(&m, j, 1));
    check_ok(rt_model_set_names(m, &k, &c));
    const rt_graph *g = m->graph;
    assert_int_equal(g->fields, 2);
    for (int i = 0; i < 9; i++) m->params[g->field[0].offset + (size_t)i] = (float)(10 * (i / 3) + i % 3 + 1);
    for (int i = 0; i < 3; i++) m->params[g->field[1].offset + (size_t)i] = (float)i;
    rt_names_free(&k);
    rt_names_free(&c);
    cJSON_Delete(j);
    return m;
}

static void logits_of(const float x[3], float z[3])
{
    for (int c = 0; c < 3; c++)
        z[c] = x[0] * (float)(c + 1) + x[1] * (float)(c + 11) + x[2] * (float)(c + 21) + (float)c;
}

static rt_source *write_rows(rt_dtype type, int rank, const uint64_t *dim, const void *x, const char *manifest)
{
    char path[128];
    rt_source *s;
    snprintf(path, sizeof path, "%s/rows.h5", test_folder);
    rt_h5_item it[2] = {{.name = "x", .type = type, .rank = rank, .data = x},
                        {.name = "manifest", .type = RT_TEXT, .element = (uint32_t)strlen(manifest), .data = manifest}};
    memcpy(it[0].dim, dim, (size_t)rank * sizeof *dim);
    check_ok(rt_h5_save(path, "retort-data-1", it, *manifest ? 2 : 1));
    check_ok(rt_source_open(&s, path, "x"));
    return s;
}

/* Names do not change the weights' digest, are kept, and any bit of the manifest is watched. */
static void names_are_kept(void **state)
{
    (void)state;
    char path[128];
    rt_model *plain = make_linear("[]", "[]"), *m = make_linear("[\"a\",\"b \",\"\u00e4\"]", "[\"u\",\"v\",\"w\"]"), *n;
    rt_h5_file *f;
    snprintf(path, sizeof path, "%s/named.h5", test_folder);
    assert_string_equal(rt_model_digest(m).hex, rt_model_digest(plain).hex);
    assert_int_equal(plain->head[0].names.count, 3);
    assert_null(plain->head[0].names.name);
    check_ok(rt_model_save(m, path));
    check_ok(rt_model_load(&n, path));
    assert_string_equal(n->head[0].names.name[1], "b ");
    assert_string_equal(n->head[0].names.name[2], "\u00e4");
    assert_string_equal(n->input[0].columns.name[2], "w");
    assert_string_equal(n->head[0].names.of, path);
    rt_model_free(n);
    check_ok(rt_h5_scan(&f, path));
    const rt_h5_dataset *d = rt_h5_find(f, "manifest");
    for (uint32_t i = 0; i < d->element; i += 5) {
        flip_bit(path, d->offset + i, (int)i % 7);
        assert_int_equal(rt_model_load(&n, path), RT_INPUT);
        flip_bit(path, d->offset + i, (int)i % 7);
    }
    rt_h5_close(f);
    check_ok(rt_model_load(&n, path));
    rt_model_free(n);
    rt_model_free(m);
    rt_model_free(plain);
}

/* A model of the format before, which had neither columns nor a digest of its manifest. */
static void older_format(void **state)
{
    (void)state;
    char path[128];
    rt_model *m = make_linear("[\"a\",\"b\",\"c\"]", "[]"), *n;
    rt_h5_file *f;
    cJSON *j;
    void *data[8] = {0};
    rt_h5_item it[8] = {{0}};
    snprintf(path, sizeof path, "%s/old.h5", test_folder);
    check_ok(rt_model_save(m, path));
    check_ok(rt_h5_scan(&f, path));
    int items = f->sets;
    char *text = NULL;
    for (int i = 0; i < items; i++) {
        const rt_h5_dataset *d = &f->set[i];
        check_ok(rt_h5_read_all(&data[i], f, d->name, 1 << 20));
        it[i] = (rt_h5_item){.name = d->name, .type = d->type, .rank = d->rank, .data = data[i]};
        memcpy(it[i].dim, d->dim, sizeof it[i].dim);
        if (strcmp(d->name, "manifest")) continue;
        check_ok(rt_json_parse(&j, data[i], strlen(data[i]), "manifest"));
        cJSON_ReplaceItemInObjectCaseSensitive(j, "format", cJSON_CreateString("retort-model-1"));
        cJSON_DeleteItemFromObjectCaseSensitive(j, "manifest_digest");
        text = cJSON_Print(j);
        it[i].data = text;
        it[i].element = (uint32_t)strlen(text);
        cJSON_Delete(j);
    }
    char again[128];
    snprintf(again, sizeof again, "%s/old1.h5", test_folder);
    check_ok(rt_h5_save(again, "retort-model-1", it, items));
    check_ok(rt_model_load(&n, again));
    assert_string_equal(n->head[0].names.name[2], "c");
    assert_string_equal(rt_model_digest(m).hex, rt_model_digest(n).hex);
    for (int i = 0; i < items; i++) free(data[i]);
    cJSON_free(text);
    rt_h5_close(f);
    rt_model_free(m);
    rt_model_free(n);
}

/* Rows whose columns are named give the same logits in any order, with any others between them, in any type. */
static void columns(void **state)
{
    (void)state;
    enum { ROWS = 70 };
    static float x[ROWS][3], round[ROWS][3], wide[ROWS][5], z[ROWS * 3], want[3];
    static unsigned char bytes[ROWS][5];
    static const int place[3] = {3, 0, 4};            /* of u, v, w among v, s, t, u, w */
    rt_model *m = make_linear("[]", "[\"u\",\"v\",\"w\"]");
    double mean[3] = {5, 6, 7}, std[3] = {1, 2, 4};
    check_ok(rt_input_set_normalization(&m->input[0], mean, std, 3));
    for (int i = 0; i < ROWS; i++) {
        for (int k = 0; k < 5; k++) wide[i][k] = bytes[i][k] = (unsigned char)(99 + i);
        for (int k = 0; k < 3; k++)
            x[i][k] = round[i][(k + 1) % 3] = wide[i][place[k]] = bytes[i][place[k]] = (unsigned char)(i + 7 * k);
    }
    static const struct { rt_dtype type; const void *x; int columns; const char *names; int notes; } cases[] = {
        {RT_F32, x, 3, "{\"columns\":[\"u\",\"v\",\"w\"]}", 0},
        {RT_F32, round, 3, "{\"columns\":[\"w\",\"u\",\"v\"]}", 1},
        {RT_F32, wide, 5, "{\"columns\":[\"v\",\"s\",\"t\",\"u\",\"w\"]}", 2},
        {RT_U8, bytes, 5, "{\"columns\":[\"v\",\"s\",\"t\",\"u\",\"w\"]}", 2}};
    rt_device *device = rt_device_cpu(2);
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        rt_source *s = write_rows(cases[c].type, 2, (uint64_t[]){ROWS, (uint64_t)cases[c].columns}, cases[c].x,
                                  cases[c].names);
        cJSON *notes = cJSON_CreateArray();
        rt_predictor *p;
        char *raw = malloc(ROWS * rt_source_row_bytes(s));
        uint64_t row[ROWS];
        for (int i = 0; i < ROWS; i++) row[i] = (uint64_t)i;
        check_ok(rt_inputs_bind(m->input, 1, s, RT_MATCH_NAMES, notes));
        assert_int_equal(cJSON_GetArraySize(notes), cases[c].notes);
        if (cases[c].notes) {
            assert_non_null(strstr(cJSON_GetArrayItem(notes, 0)->valuestring, "in another order than the model's"));
        }
        if (cases[c].notes > 1) {
            assert_non_null(strstr(cJSON_GetArrayItem(notes, 1)->valuestring,
                                   "2 columns that the model does not know left out: s, t"));
        }
        check_ok(rt_source_read(s, row, ROWS, raw));
        check_ok(rt_predictor_new(&p, &m, 1, device, 32, NULL, 0));
        rt_predict(p, &(rt_feed){.raw = raw, .rows = ROWS}, z);
        for (int i = 0; i < ROWS; i++) {
            float in[3] = {x[i][0] - 5, (x[i][1] - 6) / 2, (x[i][2] - 7) / 4};
            logits_of(in, want);
            for (int k = 0; k < 3; k++) check_close("logit", z[i * 3 + k], want[k], 1e-3, 1e-5);
        }
        rt_predictor_free(p);
        rt_source_close(s);
        cJSON_Delete(notes);
        free(raw);
    }
    rt_device_close(device);
    rt_model_free(m);
}

static void refused_columns(void **state)
{
    (void)state;
    static const float x[8];
    static const struct { const char *model, *data; int columns; rt_match match; const char *part; } cases[] = {
        {"[\"u\",\"v\",\"w\"]", "{\"columns\":[\"u\",\"v\",\"x\"]}", 3, RT_MATCH_NAMES,
         "the model: its column 'w' is not among those of "},
        {"[\"u\",\"v\",\"w\"]", "{\"columns\":[\"u\",\"v\",\"x\"]}", 3, RT_MATCH_NAMES, "rows.h5: u, v, x"},
        {"[\"u\",\"v\",\"w\"]", "{\"columns\":[\"u\",\"v\"]}", 2, RT_MATCH_NAMES, "columns of the model: u, v, w; of "},
        {"[\"u\",\"v\",\"w\"]", "", 3, RT_MATCH_NAMES, "names cannot be matched with numbers: name them on both sides"},
        {"[]", "{\"columns\":[\"u\",\"v\",\"w\"]}", 3, RT_MATCH_NAMES, "data.names=position"},
        {"[]", "{\"columns\":[\"u\",\"v\"]}", 2, RT_MATCH_POSITION,
         "rows have the shape (2), but the model's input is (3)"},
        {"[]", "{\"columns\":[\"u\",\"v\"]}", 4, RT_MATCH_NAMES,
         "its manifest names 2 columns, which is not how many data set 'x' has"},
        {"[\"u\",\"v\",\"w\"]", "{\"columns\":[\"u\",\"v\",\"x\"]}", 3, RT_MATCH_POSITION, ""},
        {"[\"0\",\"1\",\"2\"]", "", 3, RT_MATCH_NAMES, ""},
        {"[]", "{\"columns\":[\"0\",\"1\",\"2\"]}", 3, RT_MATCH_NAMES, ""}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        rt_model *m = make_linear("[]", cases[i].model);
        rt_source *s = write_rows(RT_F32, 2, (uint64_t[]){2, (uint64_t)cases[i].columns}, x, cases[i].data);
        if (*cases[i].part) check_fails(rt_inputs_bind(m->input, 1, s, cases[i].match, NULL), RT_INPUT, cases[i].part);
        else check_ok(rt_inputs_bind(m->input, 1, s, cases[i].match, NULL));
        assert_null(m->input[0].pick);
        rt_source_close(s);
        rt_model_free(m);
    }
    rt_model *m = make_linear("[]", "[]");
    rt_names four = list("[\"a\",\"b\",\"c\",\"d\"]");
    check_fails(rt_model_set_names(m, &four, NULL), RT_INPUT,
                "names 4 classes, but there are 3 classes in the model; set model.classes");
    check_fails(rt_model_set_names(m, NULL, &four), RT_INPUT,
                "names 4 columns, but there are 3 columns in the model; set model.input");
    rt_names_free(&four);
    rt_model_free(m);
}

static void shapes(void **state)
{
    (void)state;
    static const unsigned char x[2 * 4 * 4 * 4];
    static const struct { const char *input; int rank; uint64_t dim[5]; const char *part; } cases[] = {
        {"[4,4,1]", 3, {2, 4, 4}, ""}, {"[4,4,1]", 2, {2, 16}, ""}, {"[4,4,1]", 4, {2, 1, 4, 4}, ""},
            {"[16]", 4, {2, 4, 4, 1}, ""},
        {"[4,4,1]", 3, {2, 2, 8}, "rows have the shape (2, 8), but the model's input is (4, 4, 1)"},
        {"[4,4,2]", 4, {2, 4, 4, 2}, ""},
        {"[4,4,2]", 4, {2, 2, 4, 4},
         "channels first, but the model's input is (4, 4, 2), channels last; store np.transpose(x, (0, 2, 3, 1))"},
        {"[8,4]", 3, {2, 4, 8}, "channels last; store np.transpose(x, (0, 2, 1))"},
        {"[2,4,1]", 4, {2, 4, 2, 1}, "rows have the shape"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[160];
        rt_model *m;
        snprintf(text, sizeof text,
                 "{\"input\":%s,\"classes\":2,\"layers\":[{\"op\":\"flatten\"},{\"op\":\"dense\",\"out\":2}]}",
                     cases[i].input);
        cJSON *j = cJSON_Parse(text);
        check_ok(rt_model_new(&m, j, 1));
        rt_source *s = write_rows(RT_U8, cases[i].rank, cases[i].dim, x, "");
        if (*cases[i].part) check_fails(rt_inputs_bind(m->input, 1, s, RT_MATCH_NAMES, NULL), RT_INPUT, cases[i].part);
        else check_ok(rt_inputs_bind(m->input, 1, s, RT_MATCH_NAMES, NULL));
        cJSON_Delete(j);
        rt_source_close(s);
        rt_model_free(m);
    }
}

/* A model whose classes stand in another order is the same member of an ensemble, and gives logits in any order. */
static void class_order(void **state)
{
    (void)state;
    static const int from[3] = {2, 0, 1};              /* class c of the twin is class from[c] of the first: c, a, b */
    rt_model *m[2] = {make_linear("[\"a\",\"b\",\"c\"]", "[]"), make_linear("[\"c\",\"a\",\"b\"]", "[]")},
        *odd = make_linear("[\"a\",\"b\",\"d\"]", "[]");
    const rt_graph *g = m[0]->graph;
    for (int c = 0; c < 3; c++) {
        for (int k = 0; k < 3; k++)
            m[1]->params[g->field[0].offset + (size_t)(3 * k + c)] =
                m[0]->params[g->field[0].offset + (size_t)(3 * k + from[c])];
        m[1]->params[g->field[1].offset + (size_t)c] = m[0]->params[g->field[1].offset + (size_t)from[c]];
    }
    static float x[40][3], one[120], two[120], both[120], want[3];
    for (int i = 0; i < 120; i++) (&x[0][0])[i] = (float)(i * 37 % 11) / 64;
    rt_device *device = rt_device_cpu(2);
    rt_predictor *p;
    check_ok(rt_predictor_new(&p, m, 1, device, 16, NULL, 0));
    rt_predict(p, &(rt_feed){.raw = x, .rows = 40}, one);
    rt_predictor_free(p);
    check_ok(rt_predictor_new(&p, m + 1, 1, device, 16, NULL, 0));
    rt_predict(p, &(rt_feed){.raw = x, .rows = 40}, two);
    for (int i = 0; i < 40; i++) {
        logits_of(x[i], want);
        for (int c = 0; c < 3; c++) {
            check_close("logit", one[3 * i + c], want[c], 1e-5, 1e-5);
            assert_true(two[3 * i + c] == one[3 * i + from[c]]);
        }
    }
    check_ok(rt_predictor_set_heads(p, m[0]->head, 1, NULL, RT_MATCH_NAMES));
    rt_predict(p, &(rt_feed){.raw = x, .rows = 40}, two);
    assert_memory_equal(one, two, sizeof one);
    check_fails(rt_predictor_set_heads(p, odd->head, 1, NULL, RT_MATCH_NAMES), RT_INPUT,
                "its class 'd' is not among those of the model");
    rt_predictor_free(p);
    check_ok(rt_predictor_new(&p, m, 2, device, 16, NULL, 0));
    rt_predict(p, &(rt_feed){.raw = x, .rows = 40}, both);
    for (int i = 0; i < 40; i++) {
        double sum = 0;
        for (int c = 0; c < 3; c++) sum += exp((double)one[3 * i + c]);
        for (int c = 0; c < 3; c++)
            check_close("ensemble", both[3 * i + c], log(exp((double)one[3 * i + c]) / sum), 1e-4, 1e-5);
    }
    rt_predictor_free(p);
    rt_model *three[3] = {m[0], odd, m[1]};
    check_fails(rt_predictor_new(&p, three, 3, device, 16, NULL, 0), RT_INPUT, "is not among those of the model");
    rt_device_close(device);
    rt_model_free(m[0]);
    rt_model_free(m[1]);
    rt_model_free(odd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),     cmocka_unit_test(damage),          cmocka_unit_test(constants),
        cmocka_unit_test(grouping),       cmocka_unit_test(refusals),        cmocka_unit_test(layer_names),
        cmocka_unit_test(shared_weights), cmocka_unit_test(names_are_kept),  cmocka_unit_test(older_format),
        cmocka_unit_test(columns),        cmocka_unit_test(refused_columns), cmocka_unit_test(shapes),
        cmocka_unit_test(class_order)};
    return cmocka_run_group_tests(tests, make_test_folder, remove_test_folder);
}
