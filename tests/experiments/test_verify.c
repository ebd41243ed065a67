/* Verification: what is equal counts as equal, and a bit that is not is found: in recorded answers, in exported C. */
#include <unistd.h>
#include <zlib.h>

#include "data/files.h"
#include "engine/text.h"
#include "experiments/jobs/export_job.h"
#include "experiments/jobs/verify_job.h"
#include "export/out_file.h"
#include "tests/export/integer_nets.h"

static const char *at(const char *name)
{
    static char path[16][160];
    static int turn;
    char *p = path[turn++ % 16];
    snprintf(p, sizeof path[0], "%s/%s", test_folder, name);
    return p;
}

static double number(const cJSON *j, const char *list, int i, const char *key)
{
    const cJSON *l = cJSON_GetObjectItem(j, list);
    const cJSON *v = cJSON_GetObjectItem(i < 0 ? l : cJSON_GetArrayItem(l, i), key);
    assert_true(cJSON_IsNumber(v));
    return v->valuedouble;
}

static void put(rt_string *s, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++) rt_put_bytes(s, &(char){(char)(v >> 8 * i)}, 1);
}

typedef struct { const char *name, *type; uint64_t dim[2]; const void *data; size_t n; } array;

/* What numpy.savez writes: a ZIP of stored NPY files. */
static void save_npz(const char *path, const array *a, int count)
{
    rt_string s = {0}, directory = {0};
    for (int i = 0; i < count; i++) {
        rt_string npy = {0}, name = {0};
        char head[256];
        rt_put_bytes(&npy, head, rt_npy_header(head, a[i].type, a[i].dim, 2));
        rt_put_bytes(&npy, a[i].data, a[i].n);
        rt_put(&name, "%s.npy", a[i].name);
        size_t start = s.n;
        for (int k = 0; k < 2; k++) {
            rt_string *to = k ? &directory : &s;
            put(to, k ? 0x02014b50 : 0x04034b50, 4);
            if (k) put(to, 20, 2);
            put(to, 20, 2);
            put(to, 0, 8);                            /* flags, method, time, date */
            put(to, crc32(0, (const Bytef *)npy.p, (uInt)npy.n), 4);
            put(to, npy.n, 4);
            put(to, npy.n, 4);
            put(to, name.n, 2);
            put(to, 0, 2);
            if (k) put(to, 0, 8), put(to, 0, 2), put(to, start, 4);
            rt_put_bytes(to, name.p, name.n);
        }
        rt_put_bytes(&s, npy.p, npy.n);
        free(npy.p);
        free(name.p);
    }
    size_t start = s.n;
    rt_put_bytes(&s, directory.p, directory.n);
    put(&s, 0x06054b50, 4);
    put(&s, 0, 4);
    put(&s, (uint64_t)count, 2);
    put(&s, (uint64_t)count, 2);
    put(&s, directory.n, 4);
    put(&s, start, 4);
    put(&s, 0, 2);
    check_ok(rt_write_file(path, s.p, s.n));
    free(s.p);
    free(directory.p);
}

static void kernels_and_recorded_answers(void **state)
{
    (void)state;
    net_scene s = net_scene_new(3, 1);
    size_t row;
    const void *rows = net_rows(&s, &row);
    float *y = net_answers(s.p, rows, row), kind[NET_ROWS][4], worth[NET_ROWS][2];
    for (int r = 0; r < NET_ROWS; r++) {
        memcpy(kind[r], y + r * 6, sizeof kind[r]);
        memcpy(worth[r], y + r * 6 + 4, sizeof worth[r]);
    }
    const array a[] = {{"x", "|u1", {NET_ROWS, row}, rows, NET_ROWS * row},
                       {"kind", "<f4", {NET_ROWS, 4}, kind, sizeof kind},
                       {"what it's worth", "<f4", {NET_ROWS, 2}, worth, sizeof worth}};
    check_ok(rt_program_save(s.p, at("net.q")));
    const float us = 12.5f;
    const array timed[] = {a[0], a[1], a[2], {"microseconds", "<f4", {1, 1}, &us, sizeof us}};
    save_npz(at("same.npz"), timed, 4);
    rt_verify_spec spec = {.input = at("net.q"), .against = at("same.npz")};
    cJSON *r;
    check_ok(rt_verify(&spec, NULL, &r));
    const rt_int_kernels *const *k = rt_int_kernels_all();
    int families = 0;
    for (int i = 0; k[i]; i++) families += rt_int_kernels_runnable(k[i]);
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(r, "kernels")), families);
    for (int i = 0; i < families; i++)
        assert_true(number(r, "kernels", i, "bytes") + number(r, "kernels", i, "answers") == 0);
    assert_true(number(r, "onnx", -1, "answers") == 0 && number(r, "onnx", -1, "us") == 12.5);
    assert_true(cJSON_IsTrue(cJSON_GetObjectItem(r, "equal")));
    cJSON_Delete(r);
    kind[7][2] = nextafterf(kind[7][2], 9);
    worth[8][0] += 1;
    for (int c = 0; c < 4; c++) kind[11][c] = -kind[11][c];
    save_npz(at("other.npz"), a, 3);
    spec.against = at("other.npz");
    check_fails(rt_verify(&spec, NULL, &r), RT_GATE, "does not answer the same everywhere");
    assert_true(number(r, "onnx", -1, "answers") == 6 && number(r, "onnx", -1, "flips") == 1);
    assert_true(cJSON_IsFalse(cJSON_GetObjectItem(r, "equal")));
    cJSON_Delete(r);
    save_npz(at("short.npz"), a, 2);
    spec.against = at("short.npz");
    check_fails(rt_verify(&spec, NULL, &r), RT_INPUT, "has no array 'what it's worth'");
    spec.data = at("d.h5");
    check_fails(rt_verify(&spec, NULL, &r), RT_USAGE, "give --data or --against");
    free(y);
    net_scene_free(&s);
}

/* A training step's forward pass is the program: its numbers, all bytes and answers, with rows of bytes and of floats,
 * several in a context, heads that others read, and weights of fewer bits. Of a file of a program that is not known. */
static void training_steps(void **state)
{
    (void)state;
    for (int which = 0; which < NETS; which++)
        for (int bytes = nets[which].bytes > 1; bytes <= (nets[which].bytes > 0); bytes++) {
            cJSON *r;
            net_scene s = net_scene_new(which, bytes);
            check_ok(rt_model_save(s.m, at("trained.h5")));
            check_ok(rt_verify(&(rt_verify_spec){.input = at("trained.h5")}, NULL, &r));
            static const char *const none[] = {"numbers", "bytes", "answers", "flips"};
            for (int k = 0; k < 4; k++)
                if (number(r, "training", -1, none[k]) != 0) fail_msg("net %d, bytes %d: %s", which, bytes, none[k]);
            assert_true(number(r, "training", -1, "us") > 0);
            cJSON_Delete(r);
            net_scene_free(&s);
        }
}

static void what_is_not_trained(void **state)
{
    (void)state;
    cJSON *r;
    net_scene s = net_scene_new(1, 0);
    check_ok(rt_program_save(s.p, at("alone.q")));
    check_ok(rt_verify(&(rt_verify_spec){.input = at("alone.q")}, NULL, &r));
    const cJSON *t = cJSON_GetObjectItem(r, "training");
    assert_non_null(strstr(cJSON_GetObjectItem(t, "left_out")->valuestring, "no weights in float"));
    assert_int_equal(cJSON_GetArraySize(t), 1);
    cJSON_Delete(r);
    net_scene_free(&s);
}

/* The first weight of a layer in the exported data, another one. */
static void change_weight(const char *path)
{
    char *text, *p;
    size_t n;
    check_ok(rt_read_file(&text, &n, path, 1 << 24));
    assert_non_null(p = strstr(text, "_plain_w0["));
    p = strchr(p, '{') + 2;
    *p = *p == '-' ? '1' : *p == '9' ? '8' : (char)(*p + 1);
    check_ok(rt_write_file(path, text, n));
    free(text);
}

static void blank(const char *path, const char *what)
{
    char *text, *p;
    size_t n;
    check_ok(rt_read_file(&text, &n, path, 1 << 24));
    assert_non_null(p = strstr(text, what));
    memset(p, ' ', strlen(what));
    check_ok(rt_write_file(path, text, n));
    free(text);
}

static void exported_c(void **state)
{
    cJSON *config = cJSON_CreateObject(), *r;
    (void)state;
    net_scene s = net_scene_new(1, 0);
    check_ok(rt_model_save(s.m, at("dense.h5")));
    cJSON_AddStringToObject(config, "input", at("dense.h5"));
    cJSON_AddStringToObject(config, "to", "c");
    check_ok(rt_export(config, &(rt_target){.path = at("dense.c")}, &r));
    cJSON_Delete(r);
    cJSON_Delete(config);
    const char *in = at("dense.h5"), *code = at("dense.c"), *data = at("dense_data.c");
    const rt_verify_spec spec = {.input = in, .c = code};
    check_ok(rt_verify(&spec, NULL, &r));
    for (int form = 0; form < 2; form++)
        assert_true(number(r, "c", form, "answers") + number(r, "c", form, "selftest") +
                        number(r, "c", form, "bytes") == 0);
    cJSON_Delete(r);
    change_weight(data);
    check_fails(rt_verify(&spec, NULL, &r), RT_GATE, "does not answer the same");
    assert_true(number(r, "c", 1, "answers") > 0 && number(r, "c", 1, "selftest") == 1);
    const cJSON *plain = cJSON_GetArrayItem(cJSON_GetObjectItem(r, "c"), 1),
                *layers = cJSON_GetObjectItem(plain, "layers");
    assert_true(number(plain, "layers", 0, "layer") == 0 && number(plain, "layers", 0, "bytes") > 0);
    /* one weight: one output of the 70 of each row at most; what follows differs by it */
    assert_true(number(plain, "layers", 0, "bytes") <= 64 && cJSON_GetArraySize(layers) >= 2);
    cJSON_Delete(r);
    blank(code, "DENSE_SEE(call, p, n);");
    check_fails(rt_verify(&spec, NULL, &r), RT_INPUT, "export it again");
    check_fails(rt_verify(&(rt_verify_spec){.input = in, .c = "dense.h"}, NULL, &r), RT_USAGE, "give --c NAME.c");
    net_scene_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(kernels_and_recorded_answers), cmocka_unit_test(training_steps),
                                       cmocka_unit_test(what_is_not_trained), cmocka_unit_test(exported_c)};
    net_device = rt_device_cpu(2);
    int failed = cmocka_run_group_tests(tests, make_test_folder, remove_test_folder);
    rt_device_close(net_device);
    return failed;
}
