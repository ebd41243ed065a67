/* What other programs get: labels by name, names in NPZ and safetensors. */
#include "export/exporter.h"
#include "export/out_file.h"
#include "tests/support.h"

static char *text_of(const char *path, size_t *size)
{
    static char text[1 << 16];
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    *size = fread(text, 1, sizeof text - 1, f);
    text[*size] = 0;
    fclose(f);
    return text;
}

/* Two rows from 40 on, or as many as status tells. */
static rt_labels *store(const char *path, const char *classes, int topk, const unsigned char *status, int n)
{
    static const float logits[6][3] = {{0, 0, 0.69314718f}, {2, 1, 0}, {1, 2, 3}, {4, 5, 6}, {7, 8, 9}, {1, 0, 0}};
    rt_labels_spec spec = {.first = 40, .rows = status ? (uint64_t)n : 2, .classes = 3, .topk = topk, .type = RT_F32};
    static const float rows[46];
    rt_labels_writer *w;
    rt_labels *l;
    rt_source *x;
    rt_identity *id;
    char data[128];
    cJSON *m = cJSON_CreateObject(), *names = cJSON_Parse(classes);
    if (names) cJSON_AddItemToObject(m, "classes", names);
    snprintf(data, sizeof data, "%s/labelled.h5", test_folder);
    rt_h5_item it = {.name = "x", .type = RT_F32, .rank = 1, .dim = {46}, .data = rows};
    check_ok(rt_h5_save(data, "retort-data-1", &it, 1));
    check_ok(rt_source_open(&x, data, "x"));
    check_ok(rt_identity_open(&id, x, RT_CHECK_KNOWN));
    rt_labels_job job = {.source = id, .mark_bad = 1};
    check_ok(rt_labels_begin(&w, &(rt_target){.path = path, .force = 1}, &spec, m, &job));
    check_ok(rt_labels_put(w, 0, logits[0], status));
    check_ok(rt_labels_end(w));
    rt_identity_close(id);
    rt_source_close(x);
    cJSON_Delete(m);
    check_ok(rt_labels_open(&l, path, 0));
    return l;
}

/* The output at path, which ends when the next one is taken. */
static rt_output *taken(const char *path)
{
    static rt_output *last;
    rt_output_end(last);
    last = NULL;
    if (!path) return NULL;
    check_ok(rt_output_take(&last, &(rt_target){.path = path, .force = 1}, NULL));
    check_ok(rt_output_may_replace(last, RT_OUTPUT_EXPORT));
    return last;
}

/* softmax(0, 0, ln 2) is (1/4, 1/4, 1/2). */
static void labels(void **state)
{
    (void)state;
    char path[128], csv[128];
    size_t n;
    snprintf(path, sizeof path, "%s/l.h5", test_folder);
    snprintf(csv, sizeof csv, "%s/l.csv", test_folder);
    rt_labels *l = store(path, "[\"=a\",\"b,c\",\"d\"]", 0, NULL, 0);
    check_ok(rt_export_labels(l, &(rt_label_export){.csv = 1, .view = RT_LABEL_NO_VIEW}, taken(csv)));
    assert_string_equal(text_of(csv, &n),
                        "row,prediction,name,p:=a,\"p:b,c\",p:d,status\n40,2,d,0.25,0.25,0.5,labelled\n"
                        "41,0,\"'=a\",0.665241,0.2447285,0.09003057,labelled\n");
    rt_labels_close(l);
    l = store(path, "", 0, NULL, 0);
    check_ok(rt_export_labels(l, &(rt_label_export){.csv = 1, .view = RT_LABEL_NO_VIEW}, taken(csv)));
    assert_string_equal(text_of(csv, &n),
                        "row,prediction,p0,p1,p2,status\n40,2,0.25,0.25,0.5,labelled\n"
                        "41,0,0.665241,0.2447285,0.09003057,labelled\n");
    rt_labels_close(l);
    l = store(path, "[\"x\",\"y\",\"z\"]", 1, NULL, 0);
    check_ok(rt_export_labels(l, &(rt_label_export){.csv = 1, .view = RT_LABEL_NO_VIEW}, taken(csv)));
    assert_string_equal(text_of(csv, &n),
                        "row,prediction,name,p:x,p:y,p:z,status\n40,2,z,0.25,0.25,0.5,labelled\n"
                        "41,0,x,0.665241,0.1673795,0.1673795,labelled\n");
    rt_labels_close(l);
}

/* Rows that have no label are left out of CSV and NaN in an array. */
static void rows_without_label(void **state)
{
    (void)state;
    static const unsigned char status[6] = {3, 1, 3, 3, 1, 1};
    static const float want[6][3] = {{NAN, NAN, NAN}, {2, 1, 0}, {NAN, NAN, NAN}, {NAN, NAN, NAN}, {7, 8, 9},
                                     {1, 0, 0}};
    char path[128], out[128];
    size_t n;
    snprintf(path, sizeof path, "%s/bad.h5", test_folder);
    snprintf(out, sizeof out, "%s/bad.out", test_folder);
    rt_labels *l = store(path, "", 0, status, 6);
    check_ok(rt_export_labels(l, &(rt_label_export){.csv = 1, .view = RT_LABEL_NO_VIEW}, taken(out)));
    assert_string_equal(text_of(out, &n),
                        "row,prediction,p0,p1,p2,status\n41,0,0.665241,0.2447285,0.09003057,labelled\n"
                        "44,2,0.09003057,0.2447285,0.665241,labelled\n"
                        "45,0,0.5761169,0.2119416,0.2119416,labelled\n");
    check_ok(rt_export_labels(l, &(rt_label_export){.view = RT_LABEL_NO_VIEW}, taken(out)));
    const char *npy = text_of(out, &n);
    float got[6][3];
    assert_int_equal(n, 10 + npy[8] + sizeof got);
    memcpy(got, npy + 10 + npy[8], sizeof got);
    for (int i = 0; i < 6; i++)
        for (int c = 0; c < 3; c++) assert_true(isnan(want[i][c]) ? isnan(got[i][c]) : got[i][c] == want[i][c]);
    rt_labels_close(l);
}

static rt_model *make(void)
{
    cJSON *j = cJSON_Parse("{\"input\":[2],\"classes\":3,\"layers\":[{\"op\":\"dense\",\"out\":3,\"name\":\"d\"}]}"),
        *k = cJSON_Parse("[\"a\",\"\u00e4\u20ac\U0001f600\",\"\\\"\"]"),
          *c = cJSON_Parse("[\"u\",\"v\"]");
    rt_names classes, columns;
    rt_model *m;
    check_ok(rt_model_new(&m, j, 1));
    check_ok(rt_names_from_json(&classes, k, NULL, "classes"));
    check_ok(rt_names_from_json(&columns, c, NULL, "columns"));
    check_ok(rt_model_set_names(m, &classes, &columns));
    rt_names_free(&classes);
    rt_names_free(&columns);
    cJSON_Delete(j);
    cJSON_Delete(k);
    cJSON_Delete(c);
    return m;
}

/* The array's data behind its header, at the place that its local file has in the ZIP. */
static const char *array_in(const char *zip, size_t n, const char *name, const char *header)
{
    for (size_t i = 30; i + 100 < n; i++) {
        if (memcmp(zip + i - 30, "PK\3\4", 4) || strncmp(zip + i, name, strlen(name))) continue;
        const char *npy = zip + i + strlen(name);
        assert_memory_equal(npy, "\223NUMPY\1\0", 8);
        assert_non_null(strstr(npy + 10, header));
        return npy + 10 + (unsigned char)npy[8];
    }
    fail_msg("no array %s", name);
    return NULL;
}

/* numpy.load reads class_names as ['a', 'ä€😀', '"'] of dtype <U3. */
static void weights(void **state)
{
    (void)state;
    char path[128];
    size_t n;
    rt_model *m = make();
    static const uint32_t classes[9] = {'a', 0, 0, 0xe4, 0x20ac, 0x1f600, '"', 0, 0}, columns[2] = {'u', 'v'};
    snprintf(path, sizeof path, "%s/m.npz", test_folder);
    check_ok(rt_export_npz(m, taken(path)));
    const char *zip = text_of(path, &n);
    assert_memory_equal(array_in(zip, n, "class_names.npy", "'descr': '<U3', 'fortran_order': False, 'shape': (3,)"),
                        classes, sizeof classes);
    assert_memory_equal(array_in(zip, n, "columns.npy", "'descr': '<U1', 'fortran_order': False, 'shape': (2,)"),
                        columns, sizeof columns);
    assert_memory_equal(array_in(zip, n, "d.weight.npy", "'descr': '<f4', 'fortran_order': False, 'shape': (2, 3"),
                        m->params + m->graph->field[0].offset, 24);
    snprintf(path, sizeof path, "%s/m.safetensors", test_folder);
    check_ok(rt_export_safetensors(m, taken(path)));
    const char *text = text_of(path, &n);
    uint64_t size;
    memcpy(&size, text, 8);
    cJSON *h = cJSON_ParseWithLength(text + 8, size), *meta = cJSON_GetObjectItemCaseSensitive(h, "__metadata__");
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(meta, "class_names")),
                        "[\"a\",\"\u00e4\u20ac\U0001f600\",\"\\\"\"]");
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(meta, "columns")), "[\"u\",\"v\"]");
    cJSON_Delete(h);
    rt_model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(labels),
                                       cmocka_unit_test(rows_without_label), cmocka_unit_test(weights)};
    int failed = cmocka_run_group_tests(tests, make_test_folder, remove_test_folder);
    taken(NULL);
    return failed;
}
