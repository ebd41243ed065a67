/* Rows seen by an artifact and its ancestors: each count is made again row by row from the documented draws. */
#include "data/provenance.h"
#include "tests/support.h"

enum { ROWS = 1000 };
static const char *const DATA = "00112233445566778899aabbccddeeff";
static const char *const OTHER = "ffeeddccbbaa99887766554433221100";

static rt_seen_run run_of(const char *range, double test, uint64_t test_seed)
{
    return (rt_seen_run){.data = DATA, .source_rows = ROWS,
                         .rows = {.range = range, .test = test, .test_seed = test_seed}};
}

static uint64_t count(const cJSON *seen, const char *data, const rt_rows *rows, const char *by)
{
    uint64_t n = 0;
    check_ok(rt_seen_count(seen, (const char *[]){data, NULL}, ROWS, rows, by, "m.h5", &n));
    return n;
}

static void test_own_rows(void **s)
{
    (void)s;
    cJSON *seen = cJSON_CreateArray();
    rt_seen_run r = run_of("100:700", 0.25, 9);
    check_ok(rt_seen_add(seen, &r));
    rt_rows all = rt_rows_between(0, ROWS), some = rt_rows_between(50, 300);
    uint64_t in = 0;
    for (uint64_t i = 0; i < 600; i++) {
        if (rt_permute(i, 600, 9, RT_RNG_HELD, 0, 0) < 150) continue;      /* a quarter of the range is test */
        in += 100 + i < 300;
    }
    assert_int_equal(count(seen, DATA, &all, NULL), 450);
    assert_int_equal(count(seen, DATA, &some, NULL), in);
    assert_int_equal(count(seen, DATA, &all, "self"), 450);
    assert_int_equal(count(seen, DATA, &all, "init"), 0);
    assert_int_equal(count(seen, OTHER, &all, NULL), 0);
    cJSON_Delete(seen);
}

static void test_validation_range(void **s)
{
    (void)s;
    cJSON *seen = cJSON_CreateArray();
    rt_seen_run r = run_of("500:", 100, 3);
    r.validation_range = "0:600";
    r.validation = 60;
    r.seed = 5;
    check_ok(rt_seen_add(seen, &r));
    rt_rows early = rt_rows_between(0, 500), all = rt_rows_between(0, ROWS);
    unsigned char test[ROWS] = {0};
    for (uint64_t i = 0; i < 500; i++) test[500 + i] = rt_permute(i, 500, 3, RT_RNG_HELD, 0, 0) < 100;
    uint64_t pool = 0, at = 0, expected = 0;
    for (int i = 0; i < 600; i++) pool += !test[i];
    for (int i = 0; i < 600; i++) {
        if (test[i]) continue;
        expected += rt_permute(at++, pool, 5, RT_RNG_SPLIT, 0, 0) < 60 && i < 500;
    }
    assert_true(expected > 30 && expected < 60);
    assert_int_equal(count(seen, DATA, &early, NULL), expected);
    assert_int_equal(count(seen, DATA, &all, NULL), expected + 400);
    r.validation = 0;                                      /* no draw that can be made anew: all of the range */
    check_ok(rt_seen_add(seen, &r));
    assert_int_equal(count(seen, DATA, &early, NULL), 500);
    cJSON_Delete(seen);
}

/* A was trained on rows 0:400, B on 300:500 from A; a store of B's answers teaches C on 600:700. */
static void test_chain(void **s)
{
    (void)s;
    cJSON *a = cJSON_CreateObject(), *b = cJSON_CreateObject();
    cJSON *store = cJSON_CreateObject(), *c = cJSON_CreateObject();
    cJSON *sa = cJSON_AddArrayToObject(a, "seen"), *sb = cJSON_AddArrayToObject(b, "seen");
    cJSON *sl = cJSON_AddArrayToObject(store, "seen"), *sc = cJSON_AddArrayToObject(c, "seen");
    rt_seen_run ra = run_of(":400", 0, 1), rb = run_of("300:500", 0, 1);
    rt_seen_run rc = run_of("600:700", 0, 1);
    check_ok(rt_seen_add(sa, &ra));
    check_ok(rt_seen_add(sb, &rb));
    check_ok(rt_seen_join(sb, a, "init", "digest-of-a"));
    check_ok(rt_seen_join(sl, b, "teacher", "digest-of-b"));
    check_ok(rt_seen_add(sc, &rc));
    check_ok(rt_seen_join(sc, store, "labels", "digest-of-b"));
    check_ok(rt_seen_join(sc, a, "init", "digest-of-a"));            /* known already: stands once */
    rt_rows all = rt_rows_between(0, ROWS), early = rt_rows_between(0, 300);
    assert_int_equal(cJSON_GetArraySize(sc), 3);
    assert_int_equal(count(sc, DATA, &all, NULL), 600);
    assert_int_equal(count(sc, DATA, &early, NULL), 300);
    assert_int_equal(count(sc, DATA, &early, "labels"), 300);
    assert_int_equal(count(sc, DATA, &all, "self"), 100);
    assert_int_equal(rt_seen_unknown(sc), 0);
    const cJSON *last = cJSON_GetArrayItem(sc, 2);
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(last, "model")), "digest-of-a");
    cJSON *stranger = cJSON_CreateObject();
    check_ok(rt_seen_join(sc, stranger, "teacher", "digest-of-x"));
    check_ok(rt_seen_join(sc, stranger, "teacher", "digest-of-x"));
    assert_int_equal(rt_seen_unknown(sc), 1);
    assert_int_equal(count(sc, DATA, &all, NULL), 600);
    cJSON *all_five[] = {a, b, store, c, stranger};
    for (int i = 0; i < 5; i++) cJSON_Delete(all_five[i]);
}

static void test_damaged(void **s)
{
    (void)s;
    static const char *const text[] = {
        "[{\"data\": \"00112233445566778899aabbccddeeff\"}]",
        "[{\"data\": \"00112233445566778899aabbccddeeff\", \"rows\": {\"range\": \"0:2000\"}}]",
        "[{\"data\": \"00112233445566778899aabbccddeeff\", \"rows\": {\"range\": \"a:b\", \"test\": 1}}]",
        "[{\"data\": \"00112233445566778899aabbccddeeff\", \"rows\": {\"range\": \"0:9\", \"validation\": {}}}]",
    };
    rt_rows all = rt_rows_between(0, ROWS);
    for (size_t i = 0; i < sizeof text / sizeof text[0]; i++) {
        cJSON *seen = cJSON_Parse(text[i]);
        uint64_t n;
        assert_non_null(seen);
        assert_int_equal(rt_seen_count(seen, (const char *[]){DATA, NULL}, ROWS, &all, NULL, "m.h5", &n), RT_INPUT);
        assert_non_null(strstr(rt_error_message(), "m.h5: "));
        cJSON_Delete(seen);
    }
}

/* What would take minutes to compare is refused at once. */
static void test_long_lists(void **s)
{
    (void)s;
    cJSON *holder = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(holder, "seen"), *out = cJSON_CreateArray();
    for (int i = 0; i < 1024; i++) {
        cJSON *e = cJSON_CreateObject();
        cJSON_AddNumberToObject(cJSON_AddObjectToObject(e, "rows"), "k", i);
        cJSON_AddItemToArray(list, e);
    }
    uint64_t n;
    rt_rows all = rt_rows_between(0, ROWS);
    check_ok(rt_seen_join(out, holder, "init", "m"));
    check_ok(rt_seen_count(list, (const char *[]){DATA, NULL}, ROWS, &all, NULL, "m.h5", &n));
    cJSON_AddItemToArray(list, cJSON_CreateObject());
    check_fails(rt_seen_join(out, holder, "init", "m"), RT_INPUT, "more than 1024 entries");
    check_fails(rt_seen_count(list, (const char *[]){DATA, NULL}, ROWS, &all, NULL, "m.h5", &n), RT_INPUT,
                "m.h5: its list");
    cJSON_DeleteItemFromArray(list, 0);
    cJSON *rows = cJSON_GetObjectItem(list->child, "rows");
    for (int i = 0; i < 16; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%d", i);
        cJSON_AddNumberToObject(rows, key, 1);
    }
    check_fails(rt_seen_join(out, holder, "init", "m"), RT_INPUT, "damaged");
    cJSON_Delete(holder);
    cJSON_Delete(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_own_rows),
        cmocka_unit_test(test_validation_range),
        cmocka_unit_test(test_chain),
        cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_long_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
