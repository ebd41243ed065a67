/* Model files: saved and loaded to the same bits, damage found; ensembles; predictions do not depend on grouping. */
#include <unistd.h>

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
    check_ok(rt_model_set_normalization(m, mean, std, 2));
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
    assert_memory_equal(m->params, n->params, m->graph->param_floats * 4);
    check_ok(rt_model_save(n, again));
    check_ok(rt_digest_file(&a, path));
    check_ok(rt_digest_file(&b, again));
    assert_string_equal(a.hex, b.hex);
    rt_model_free(m);
    rt_model_free(n);
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
        long at = (long)f->set[i].offset + 1;
        FILE *out = fopen(path, "r+b");
        fseek(out, at, SEEK_SET);
        int c = fgetc(out);
        fseek(out, at, SEEK_SET);
        fputc(c ^ 0x10, out);
        fclose(out);
        check_fails(rt_model_load(&m, path), RT_INPUT, "damaged");
        out = fopen(path, "r+b");
        fseek(out, at, SEEK_SET);
        fputc(c, out);
        fclose(out);
    }
    rt_h5_close(f);
    check_ok(rt_model_load(&m, path));
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
    rt_pool *pool = rt_pool_new(3);
    rt_predictor *p;
    check_ok(rt_predictor_new(&p, m, 2, pool, 0, NULL, 0));
    rt_predict_raw(p, raw, RT_U8, ROWS, a);
    for (int at = 0, n = 1; at < ROWS; at += n, n = n * 2 % 61 + 1) {
        if (n > ROWS - at) n = ROWS - at;
        rt_predict_raw(p, raw[at], RT_U8, n, b + at * 4);
    }
    assert_memory_equal(a, b, sizeof a);
    rt_predictor_free(p);
    /* log of the mean of the members' softmax */
    for (int i = 0; i < 2; i++) {
        check_ok(rt_predictor_new(&p, &m[i], 1, pool, 0, NULL, 0));
        rt_predict_raw(p, raw, RT_U8, ROWS, i ? two : one);
        rt_predictor_free(p);
    }
    for (int r = 0; r < ROWS; r++) {
        double s1 = 0, s2 = 0;
        for (int c = 0; c < 4; c++) s1 += exp(one[r * 4 + c]), s2 += exp(two[r * 4 + c]);
        for (int c = 0; c < 4; c++) check_close("ensemble", a[r * 4 + c], log(0.5 * (exp(one[r * 4 + c]) / s1 + exp(two[r * 4 + c]) / s2)), 1e-5, 1e-5);
    }
    rt_pool_free(pool);
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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(round_trip), cmocka_unit_test(damage), cmocka_unit_test(grouping), cmocka_unit_test(refusals)};
    return cmocka_run_group_tests(tests, make_test_folder, remove_test_folder);
}
