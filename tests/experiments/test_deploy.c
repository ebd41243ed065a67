/* Exports of integer programs by configuration: the files and their manifest, from a model or from a program; what is
 * refused, and that nothing is left then. */
#include <unistd.h>

#include "data/files.h"
#include "experiments/deploy_job.h"
#include "experiments/export_job.h"
#include "tests/export/integer_nets.h"

static const char *at(const char *name)
{
    static char path[4][160];
    static int turn;
    char *p = path[turn++ % 4];
    snprintf(p, sizeof path[0], "%s/%s", test_folder, name);
    return p;
}

static char *slurp(const char *name, size_t *n)
{
    char *bytes;
    size_t size;
    check_ok(rt_read_file(&bytes, &size, at(name), 1 << 24));
    if (n) *n = size;
    return bytes;
}

static rt_status export(const char *in, const char *out, const char *to, const char *more, int force, cJSON **result)
{
    cJSON *config = cJSON_Parse(more);
    cJSON_AddStringToObject(config, "input", at(in));
    cJSON_AddStringToObject(config, "to", to);
    rt_status st = rt_export(config, &(rt_target){.path = at(out), .force = force}, result);
    cJSON_Delete(config);
    return st;
}

static void make(void)
{
    net_scene s = net_scene_new(3, 1);
    check_ok(rt_model_save(s.m, at("quantized.h5")));
    rt_model_unquantize(s.m);
    check_ok(rt_model_save(s.m, at("float.h5")));
    net_scene_free(&s);
}

/* The manifest names every file with its digest, and the program. */
static void check_manifest(const char *out, const char *format, int files, const char *program)
{
    char name[64];
    cJSON *m, *f;
    snprintf(name, sizeof name, "%s.json", out);
    check_ok(rt_json_file(&m, at(name)));
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(m, "format")), format);
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(m, "program")), program);
    assert_int_equal(cJSON_GetNumberValue(cJSON_GetObjectItem(m, "contract")), 1);
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(m, "heads")), 2);
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(m, "files")), files);
    cJSON_ArrayForEach(f, cJSON_GetObjectItem(m, "files")) {
        size_t n;
        char *bytes = slurp(cJSON_GetStringValue(cJSON_GetObjectItem(f, "file")), &n);
        assert_int_equal(cJSON_GetNumberValue(cJSON_GetObjectItem(f, "bytes")), n);
        assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(f, "xxh128")), rt_digest_of(bytes, n).hex);
        free(bytes);
    }
    cJSON_Delete(m);
}

static void forms(void **state)
{
    cJSON *r;
    (void)state;
    make();
    check_ok(export("quantized.h5", "net.q", "program", "{}", 0, &r));
    char *program = strdup(cJSON_GetStringValue(cJSON_GetObjectItem(r, "program")));
    cJSON_Delete(r);
    check_manifest("net.q", "program", 1, program);
    const struct { const char *out, *to, *more; int files; } cases[] = {
        {"net.onnx", "onnx-qdq", "{\"opset\":21}", 1}, {"net.c", "c", "{}", 3}, {"again.q", "program", "{}", 1}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t n, m;
        check_ok(export("quantized.h5", cases[i].out, cases[i].to, cases[i].more, 0, &r));
        assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(r, "program")), program);
        cJSON_Delete(r);
        check_manifest(cases[i].out, cases[i].to, cases[i].files, program);
        char *first = slurp(cases[i].out, &n);
        check_fails(export("net.q", cases[i].out, cases[i].to, cases[i].more, 0, &r), RT_USAGE, "exists");
        check_ok(export("net.q", cases[i].out, cases[i].to, cases[i].more, 1, &r));
        cJSON_Delete(r);
        char *second = slurp(cases[i].out, &m);
        assert_int_equal(n, m);
        assert_memory_equal(first, second, n);
        free(first);
        free(second);
    }
    check_ok(export("quantized.h5", "packed.onnx", "onnx-qdq", "{\"opset\":21,\"int4\":\"packed\"}", 0, &r));
    assert_non_null(strstr(cJSON_GetStringValue(cJSON_GetArrayItem(cJSON_GetObjectItem(r, "notes"), 0)), "INT4"));
    cJSON_Delete(r);
    free(program);
}

static void refusals(void **state)
{
    cJSON *r;
    (void)state;
    check_fails(export("float.h5", "f.c", "c", "{}", 0, &r), RT_USAGE, "computes in float");
    check_fails(export("quantized.h5", "my-net.c", "c", "{}", 0, &r), RT_USAGE, "'my-net' is no C identifier");
    check_fails(export("quantized.h5", "folder", "c", "{}", 0, &r), RT_USAGE, "give --out NAME.c");
    check_fails(export("quantized.h5", "f.onnx", "c", "{}", 0, &r), RT_USAGE, "or --to onnx-qdq");
    check_fails(export("quantized.h5", "f.c", "c", "{\"opset\":17}", 0, &r), RT_USAGE, "belongs to to=onnx-qdq");
    check_fails(export("quantized.h5", "f.c", "c", "{\"data\":\"d.h5\"}", 0, &r), RT_USAGE, "data: unknown key");
    check_fails(export("quantized.h5", "f.onnx", "onnx-qdq", "{\"opset\":18}", 0, &r), RT_USAGE, "neither 17 nor 21");
    check_fails(export("nothing.h5", "f.q", "program", "{}", 0, &r), RT_INPUT, "nothing.h5");
    FILE *f = fopen(at("g_data.c"), "w");
    fclose(f);
    check_fails(export("quantized.h5", "g.c", "c", "{}", 1, &r), RT_USAGE,
                "g_data.c: is not a file that retort exported");
    flip_bit(at("net.q"), 500, 2);
    check_fails(export("net.q", "f.q", "program", "{}", 0, &r), RT_INPUT, "does not match its digest");
    const char *left[] = {"f.c",         "f.h", "f_data.c", "f.c.json", "f.onnx",
                          "f.onnx.json", "f.q", "g.c",      "g.h",      "g.c.json"};
    for (size_t i = 0; i < sizeof left / sizeof left[0]; i++)
        if (!access(at(left[i]), F_OK)) fail_msg("%s was left", left[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(forms), cmocka_unit_test(refusals)};
    net_pool = rt_pool_new(2);
    int failed = cmocka_run_group_tests(tests, make_test_folder, remove_test_folder);
    rt_pool_free(net_pool);
    return failed;
}
