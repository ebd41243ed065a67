/* Exports of integer programs by configuration: the files and their manifest, from a model or from a program; what is
 * refused, and that nothing is left then. */
#include <sys/stat.h>
#include <unistd.h>

#include "data/files.h"
#include "experiments/jobs/deploy_job.h"
#include "experiments/jobs/export_job.h"
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

/* Array `name` of a safetensors file: its type, its bytes. */
static const char *array_of(const cJSON *head, const char *bytes, const char *name, const char *type, size_t *n)
{
    const cJSON *a = cJSON_GetObjectItem(head, name), *span = cJSON_GetObjectItem(a, "data_offsets");
    if (!a) fail_msg("no array %s", name);
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(a, "dtype")), type);
    double from = cJSON_GetNumberValue(cJSON_GetArrayItem(span, 0)),
           to = cJSON_GetNumberValue(cJSON_GetArrayItem(span, 1));
    *n = (size_t)(to - from);
    return bytes + (size_t)from;
}

static void check_array(const cJSON *head, const char *bytes, int call, const char *what, const char *type,
                        const void *want, size_t size)
{
    char name[32];
    size_t n;
    snprintf(name, sizeof name, "call%d.%s", call, what);
    const char *got = array_of(head, bytes, name, type, &n);
    assert_int_equal(n, size);
    assert_memory_equal(got, want, size);
}

/* The arrays of a program file, and what its calls are. */
static void arrays(void **state)
{
    cJSON *r, *head;
    rt_program *p;
    uint64_t size;
    size_t n, some;
    (void)state;
    check_ok(rt_program_load(&p, at("net.q")));
    check_ok(export("net.q", "net.safetensors", "safetensors", "{}", 0, &r));
    cJSON_Delete(r);
    char *file = slurp("net.safetensors", &n);
    memcpy(&size, file, 8);
    assert_int_equal(size % 8, 0);
    head = cJSON_ParseWithLength(file + 8, size);
    assert_non_null(head);
    const char *bytes = file + 8 + size;
    const rt_net *net = rt_program_net(p);
    const cJSON *meta = cJSON_GetObjectItem(head, "__metadata__");
    cJSON *calls = cJSON_Parse(cJSON_GetStringValue(cJSON_GetObjectItem(meta, "calls"))), *c;
    assert_int_equal(cJSON_GetArraySize(calls), net->calls);
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(meta, "contract")), "1");
    int i = 0, sums = 0, heads = 0;
    size_t total = 16 * (size_t)net->tensors + 4 * (size_t)net->tensors + 256 * (size_t)net->tables;
    cJSON_ArrayForEach(c, calls) {
        const rt_net_call *k = &net->call[i];
        heads += cJSON_HasObjectItem(c, "head");
        if (!strcmp(cJSON_GetStringValue(cJSON_GetObjectItem(c, "op")), "sums")) {
            const size_t w = (size_t)(k->kh * k->kw * (net->tensor[k->in[0]].c / k->groups)) * (size_t)k->n;
            check_array(head, bytes, i, "weight", "I8", net->weight + k->weight, w);
            check_array(head, bytes, i, "step", "F32", net->step + k->channel, 4 * (size_t)k->n);
            check_array(head, bytes, i, "bias", "I32", net->bias + k->channel, 4 * (size_t)k->n);
            assert_int_equal(cJSON_GetNumberValue(cJSON_GetObjectItem(c, "bits")), k->bits);
            total += w + 8 * (size_t)k->n;
            sums++;
        }
        i++;
    }
    assert_true(sums >= 6 && heads == 2);
    const float *scale = (const void *)array_of(head, bytes, "tensor.scale", "F32", &some);
    for (int t = 0; t < net->tensors; t++) assert_memory_equal(&scale[t], &net->tensor[t].q.scale, 4);
    assert_memory_equal(array_of(head, bytes, "table", "U8", &some), net->table, 256 * (size_t)net->tables);
    assert_int_equal(n - 8 - size, total);
    check_fails(export("net.q", "net.npz", "npz", "{}", 0, &r), RT_USAGE, "is an integer program");
    cJSON_Delete(calls);
    cJSON_Delete(head);
    free(file);
    rt_program_free(p);
}

static void save_result(const char *digest, const char *break_it)
{
    cJSON *j = cJSON_Parse("{\"accuracy\":0.75,\"history\":[1,2],\"model\":\"model.h5\"}");
    cJSON_AddStringToObject(j, "digest", digest);
    char *text = rt_json_sealed(j), *p = break_it ? strstr(text, break_it) : NULL;
    if (p) *p = '9';
    check_ok(rt_write_file(at("R/result.json"), text, strlen(text)));
    free(text);
    cJSON_Delete(j);
}

/* The manifest's "result" after an export of R/m.h5, for the caller to delete; *note: what it told, or "". */
static cJSON *result_of_export(char note[512])
{
    cJSON *r, *m;
    check_ok(export("R/m.h5", "R/net.q", "program", "{}", 1, &r));
    const char *text = cJSON_GetStringValue(cJSON_GetArrayItem(cJSON_GetObjectItem(r, "notes"), 0));
    snprintf(note, 512, "%s", text ? text : "");
    cJSON_Delete(r);
    check_ok(rt_json_file(&m, at("R/net.q.json")));
    cJSON *result = cJSON_DetachItemFromObject(m, "result");
    cJSON_Delete(m);
    return result;
}

/* The run's result enters the manifest when the model is the one that it speaks of, whole, without its history. */
static void results(void **state)
{
    char note[512];
    (void)state;
    net_scene s = net_scene_new(1, 0);
    assert_int_equal(mkdir(at("R"), 0777), 0);
    check_ok(rt_model_save(s.m, at("R/m.h5")));
    assert_null(result_of_export(note));
    save_result(rt_model_digest(s.m).hex, NULL);
    cJSON *r = result_of_export(note);
    assert_true(cJSON_GetNumberValue(cJSON_GetObjectItem(r, "accuracy")) == 0.75);
    assert_false(cJSON_HasObjectItem(r, "history") || cJSON_HasObjectItem(r, "model"));
    assert_string_equal(note, "");
    cJSON_Delete(r);
    save_result("0123456789abcdef0123456789abcdef", NULL);
    assert_null(result_of_export(note));
    assert_string_equal(note, "");
    save_result(rt_model_digest(s.m).hex, "75");
    assert_null(result_of_export(note));
    assert_non_null(strstr(note, "the manifest has no result of the run: "));
    assert_non_null(strstr(note, "R/result.json"));
    net_scene_free(&s);
}

static void refusals(void **state)
{
    cJSON *r;
    (void)state;
    check_fails(export("float.h5", "f.c", "c", "{}", 0, &r), RT_USAGE, "computes in float");
    check_fails(export("quantized.h5", "my-net.c", "c", "{}", 0, &r), RT_USAGE, "'my-net' is no C identifier");
    check_fails(export("quantized.h5", "stdint.c", "c", "{}", 0, &r), RT_USAGE, "'stdint.h' is a header of C");
    check_fails(export("quantized.h5", "folder", "c", "{}", 0, &r), RT_USAGE, "give --out NAME.c");
    check_fails(export("quantized.h5", "f.onnx", "c", "{}", 0, &r), RT_USAGE, "or --to onnx-qdq");
    check_fails(export("quantized.h5", "f.c", "c", "{\"opset\":17}", 0, &r), RT_USAGE,
                "belongs to to=onnx and to=onnx-qdq");
    check_fails(export("quantized.h5", "f.onnx", "onnx-qdq", "{\"fold\":true}", 0, &r), RT_USAGE, "belongs to to=onnx");
    check_fails(export("float.h5", "f.onnx", "onnx", "{\"int4\":\"packed\"}", 0, &r), RT_USAGE,
                "belongs to to=onnx-qdq");
    check_fails(export("float.h5", "f.onnx", "onnx", "{\"opset\":29}", 0, &r), RT_USAGE, "opset");
    check_fails(export("quantized.h5", "f.onnx", "onnx", "{}", 0, &r), RT_USAGE, "the model is quantized");
    check_fails(export("quantized.h5", "f.c", "c", "{\"data\":\"d.h5\"}", 0, &r), RT_USAGE,
                "data: belongs to to=csv and to=npy of a label store");
    check_fails(export("quantized.h5", "f.onnx", "onnx-qdq", "{\"opset\":18}", 0, &r), RT_USAGE, "neither 17 nor 21");
    check_fails(export("nothing.h5", "f.q", "program", "{}", 0, &r), RT_INPUT, "nothing.h5");
    FILE *f = fopen(at("g_data.c"), "w");
    fclose(f);
    check_fails(export("quantized.h5", "g.c", "c", "{}", 1, &r), RT_USAGE,
                "g_data.c: is not a file that retort exported");
    flip_bit(at("net.q"), 500, 2);
    check_fails(export("net.q", "f.q", "program", "{}", 0, &r), RT_INPUT, "does not match its digest");
    check_fails(export("quantized.h5", "c.d.c", "c", "{}", 0, &r), RT_USAGE, "'c.d' is no C identifier");
    const char *left[] = {"stdint.c", "stdint.h", "c.d.c", "f.c",         "f.h", "f_data.c", "f.c.json", "f.onnx",
                          "f.onnx.json", "f.q", "g.c",      "g.h",      "g.c.json"};
    for (size_t i = 0; i < sizeof left / sizeof left[0]; i++)
        if (!access(at(left[i]), F_OK)) fail_msg("%s was left", left[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(forms), cmocka_unit_test(arrays), cmocka_unit_test(results),
                                       cmocka_unit_test(refusals)};
    net_device = rt_device_cpu(2);
    int failed = cmocka_run_group_tests(tests, make_test_folder, remove_test_folder);
    rt_device_close(net_device);
    return failed;
}
