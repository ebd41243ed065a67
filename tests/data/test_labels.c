/* The label store: resume to the same bytes, top-k, refusals, damage found. */
#include <unistd.h>

#include "data/labels.h"
#include "tests/support.h"

enum { ROWS = 2 * RT_LABEL_BLOCK + 77, K = 6 };
static float *logits;

static int set_up(void **state)
{
    (void)state;
    logits = random_floats((size_t)ROWS * K, 4);
    return make_test_folder(state);
}

static int tear_down(void **state)
{
    (void)state;
    free(logits);
    return remove_test_folder(state);
}

static cJSON *manifest(const char *teacher)
{
    cJSON *m = cJSON_CreateObject();
    cJSON_AddStringToObject(cJSON_AddObjectToObject(m, "teacher"), "digest", teacher);
    cJSON_AddStringToObject(cJSON_AddObjectToObject(m, "source"), "digest", "s");
    return m;
}

static rt_status write_blocks(const char *path, rt_labels_spec spec, const char *teacher, int upto, int force)
{
    rt_labels_writer *w;
    cJSON *m = manifest(teacher);
    rt_status st = rt_labels_begin(&w, path, &spec, m, force);
    cJSON_Delete(m);
    if (st) return st;
    for (int b = 0; b < upto && !st; b++)
        if (!rt_labels_done(w, (uint64_t)b))
            st = rt_labels_put(w, (uint64_t)b, logits + (size_t)b * RT_LABEL_BLOCK * K);
    rt_status ended = rt_labels_end(w);
    return st ? st : ended;
}

static void files_equal(const char *a, const char *b)
{
    rt_digest x, y;
    check_ok(rt_digest_file(&x, a));
    check_ok(rt_digest_file(&y, b));
    assert_string_equal(x.hex, y.hex);
}

static void resume(void **state)
{
    (void)state;
    char a[128], b[128], journal[160];
    rt_labels_spec spec = {.first = 100, .rows = ROWS, .classes = K, .type = RT_F32};
    rt_labels *l;
    snprintf(a, sizeof a, "%s/a.h5", test_folder);
    snprintf(b, sizeof b, "%s/b.h5", test_folder);
    snprintf(journal, sizeof journal, "%s.journal", b);
    check_ok(write_blocks(a, spec, "t", 3, 0));
    check_ok(write_blocks(b, spec, "t", 1, 0));
    check_fails(rt_labels_open(&l, b, 0), RT_INPUT, "not finished");
    check_ok(rt_labels_open(&l, b, 1));
    assert_int_equal(rt_labels_count_done(l), RT_LABEL_BLOCK);
    rt_labels_close(l);
    assert_int_equal(access(journal, F_OK), 0);
    check_ok(write_blocks(b, spec, "t", 2, 0));
    FILE *f = fopen(journal, "a");                     /* a torn line, and one that lies */
    fputs("2 deadbeef 01234567\n2 12", f);
    fclose(f);
    check_ok(write_blocks(b, spec, "t", 3, 0));
    files_equal(a, b);
    assert_int_equal(access(journal, F_OK), -1);
    check_ok(rt_labels_open(&l, b, 0));
    check_ok(rt_labels_verify(l));
    uint64_t row[3] = {100, 100 + ROWS - 1, 1200};
    float got[3 * K];
    check_ok(rt_labels_read(l, row, 3, got));
    for (int i = 0; i < 3; i++) assert_memory_equal(got + i * K, logits + (row[i] - 100) * K, K * 4);
    row[0] = 99;
    check_fails(rt_labels_read(l, row, 1, got), RT_INPUT, "no label for row 99");
    rt_labels_close(l);
}

static void stale(void **state)
{
    (void)state;
    char a[128];
    rt_labels_spec spec = {.first = 100, .rows = ROWS, .classes = K, .type = RT_F32}, other = spec;
    snprintf(a, sizeof a, "%s/a.h5", test_folder);
    check_fails(write_blocks(a, spec, "t2", 3, 0), RT_USAGE, "another teacher");
    other.type = RT_F16;
    check_fails(write_blocks(a, other, "t", 3, 0), RT_USAGE, "another coding");
    check_ok(write_blocks(a, spec, "t2", 3, 1));
}

/* Logits in the order of other names: as the student has its classes, in every coding. */
static void class_order(void **state)
{
    (void)state;
    static const int to[K] = {3, 0, 5, 1, 2,
                              4};       /* place of the store's class c in the student's order: no involution */
    static const char *const name[K] = {"a", "b", "c", "d", "e", "f"};
    const char *turned[K];
    for (int c = 0; c < K; c++) turned[to[c]] = name[c];
    cJSON *classes = cJSON_CreateStringArray(name, K), *order = cJSON_CreateStringArray(turned, K),
        *other = cJSON_Duplicate(order, 1);
    cJSON_ReplaceItemInArray(other, 2, cJSON_CreateString("g"));
    rt_names student, stranger;
    check_ok(rt_names_from_json(&student, order, "s.h5", "classes"));
    check_ok(rt_names_from_json(&stranger, other, "s.h5", "classes"));
    for (int topk = 0; topk <= 3; topk += 3) {
        char path[128];
        rt_labels_writer *w;
        rt_labels *l;
        rt_labels_spec spec = {.rows = RT_LABEL_BLOCK, .classes = K, .topk = topk, .type = RT_F32};
        cJSON *m = manifest("t");
        cJSON_AddItemToObject(m, "classes", cJSON_Duplicate(classes, 1));
        snprintf(path, sizeof path, "%s/order%d.h5", test_folder, topk);
        check_ok(rt_labels_begin(&w, path, &spec, m, 0));
        check_ok(rt_labels_put(w, 0, logits));
        check_ok(rt_labels_end(w));
        cJSON_Delete(m);
        check_ok(rt_labels_open(&l, path, 0));
        assert_string_equal(rt_labels_classes(l)->name[5], "f");
        uint64_t row[2] = {7, 900};
        float own[2 * K], got[2 * K];
        check_ok(rt_labels_read(l, row, 2, own));
        check_fails(rt_labels_set_classes(l, &stranger), RT_INPUT, "s.h5: its class 'g' is not among those of ");
        check_ok(rt_labels_set_classes(l, &student));
        check_ok(rt_labels_read(l, row, 2, got));
        for (int i = 0; i < 2; i++)
            for (int c = 0; c < K; c++) {
                assert_true(got[i * K + to[c]] == own[i * K + c]);
                if (!topk) assert_true(own[i * K + c] == logits[row[i] * K + (uint64_t)c]);
            }
        rt_labels_close(l);
    }
    cJSON_Delete(classes);
    cJSON_Delete(order);
    cJSON_Delete(other);
    rt_names_free(&student);
    rt_names_free(&stranger);
}

static void codings(void **state)
{
    (void)state;
    char path[128];
    for (int topk = 0; topk <= 3; topk += 3)
        for (int half = 0; half < 2; half++) {
            rt_labels_spec spec = {.rows = ROWS, .classes = K, .topk = topk, .type = half ? RT_F16 : RT_F32};
            rt_labels *l;
            snprintf(path, sizeof path, "%s/code%d%d.h5", test_folder, topk, half);
            check_ok(write_blocks(path, spec, "t", 3, 0));
            check_ok(rt_labels_open(&l, path, 0));
            for (uint64_t r = 0; r < ROWS; r += 97) {
                float z[K];
                const float *want = logits + r * K;
                double a = 0, b = 0;
                int best = 0, got = 0;
                check_ok(rt_labels_read(l, &r, 1, z));
                for (int c = 0; c < K; c++) {
                    a += exp(want[c]);
                    b += exp(z[c]);
                    if (want[c] > want[best]) best = c;
                    if (z[c] > z[got]) got = c;
                    if (!topk) check_close("logit", z[c], want[c], 1e-6, half ? 5e-4 : 0);
                }
                check_close("total probability", b, a, 0, half ? 2e-3 : 1e-5);
                assert_int_equal(best, got);
            }
            rt_labels_close(l);
        }
}

static void damage(void **state)
{
    (void)state;
    char a[128];
    rt_h5_file *f;
    rt_labels *l;
    snprintf(a, sizeof a, "%s/b.h5", test_folder);
    check_ok(rt_h5_scan(&f, a));
    uint64_t at = rt_h5_find(f, "labels/logits")->offset + 12345;
    rt_h5_close(f);
    FILE *out = fopen(a, "r+b");
    fseek(out, (long)at, SEEK_SET);
    int c = fgetc(out);
    fseek(out, (long)at, SEEK_SET);
    fputc(c ^ 1, out);
    fclose(out);
    check_ok(rt_labels_open(&l, a, 0));
    check_fails(rt_labels_verify(l), RT_INPUT, "block 0");
    rt_labels_close(l);
}

static void bad_logits(void **state)
{
    (void)state;
    char path[128];
    rt_labels_spec spec = {.rows = ROWS, .classes = K, .type = RT_F16};
    float keep = logits[10];
    snprintf(path, sizeof path, "%s/bad.h5", test_folder);
    logits[10] = NAN;
    check_fails(write_blocks(path, spec, "t", 1, 0), RT_INPUT, "row 1, class 4");
    logits[10] = 1e5f;
    check_fails(write_blocks(path, spec, "t", 1, 0), RT_INPUT, "use labels.type=f32");
    logits[10] = keep;
    spec.rows = 0;
    check_fails(write_blocks(path, spec, "t", 1, 1), RT_NOTHING, "no rows");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(resume), cmocka_unit_test(stale),
                                       cmocka_unit_test(class_order), cmocka_unit_test(codings),
                                           cmocka_unit_test(damage), cmocka_unit_test(bad_logits)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
