/* JSON: the JSONTestSuite of Nicolas Seriot (in the test material), limits, overrides, validation messages. */
#include <dirent.h>

#include <time.h>

#include "data/json.h"
#include "tests/support.h"

static cJSON *parse(const char *text)
{
    cJSON *j;
    check_ok(rt_json_parse(&j, text, strlen(text), "test"));
    return j;
}

/* y_ must parse; n_ must be refused. What cJSON knowingly takes though it should not is listed. */
static void suite(void **state)
{
    static const char *const known[] = {"n_number_",
                                        "n_structure_null-byte",
                                        "n_structure_whitespace_formfeed",
                                        "n_string_unescaped",
                                        "n_string_1_surrogate",
                                        "n_array_newlines_unclosed",
                                        "n_object_trailing_comment_slash_open_incomplete.json",
                                        "n_object_trailing_comment",
                                        "n_structure_object_with_comment",
                                        "n_string_invalid",
                                        "n_array_invalid_utf8",
                                        "n_string_incomplete",
                                        "n_string_escaped_ctrl",
                                        "n_structure_100000",
                                        "n_single_space",
                                        "n_array_star",
                                        "n_string_with_trailing",
                                        "n_structure_no_data"};
    const char *folder = RETORT_TEST_MATERIAL "/json/JSONTestSuite/test_parsing";
    DIR *d = opendir(folder);
    struct dirent *e;
    int yes = 0, no = 0, taken = 0;
    (void)state;
    if (!d) skip();
    while ((e = readdir(d))) {
        char path[1024];
        cJSON *j = NULL;
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        if (e->d_name[0] != 'y' && e->d_name[0] != 'n' && e->d_name[0] != 'i') continue;
        rt_status st = rt_json_file(&j, path);
        if (e->d_name[0] == 'y' && st && !strstr(rt_error_message(), "twice") &&
            !strstr(rt_error_message(), "zero byte"))
            fail_msg("%s: %s", e->d_name, rt_error_message());
        yes += e->d_name[0] == 'y';
        if (e->d_name[0] == 'n') {
            int listed = 0;
            for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
                listed |= strncmp(e->d_name, known[i], strlen(known[i])) == 0;
            if (!st && !listed) fail_msg("%s was accepted", e->d_name);
            no++;
            taken += !st;
        }
        cJSON_Delete(j);
    }
    closedir(d);
    assert_true(yes >= 90 && no >= 180 && taken < 30);
}

static void refusals(void **state)
{
    cJSON *j;
    (void)state;
    check_fails(rt_json_parse(&j, "{\"a\": 1,\n \"a\": 2}", 17, "f"), RT_INPUT, "twice");
    check_fails(rt_json_parse(&j, "{\"a\": 1e999}", 12, "f"), RT_INPUT, "too large");
    check_fails(rt_json_parse(&j, "{\"a\": 1,\n  oops}", 16, "f"), RT_INPUT, "line 2, column");
    check_fails(rt_json_parse(&j, "{\"a\": 1} x", 10, "f"), RT_INPUT, "not valid JSON");
    char *big = malloc(RT_JSON_MAX_BYTES + 10);
    memset(big, ' ', RT_JSON_MAX_BYTES + 10);
    check_fails(rt_json_parse(&j, big, RT_JSON_MAX_BYTES + 1, "f"), RT_INPUT, "at most");
    free(big);
    char *deep = malloc(200001);
    memset(deep, '[', 200000);
    check_fails(rt_json_parse(&j, deep, 200000, "f"), RT_INPUT, "not valid JSON");
    free(deep);
}

static void comments(void **state)
{
    (void)state;
    cJSON *j = parse("{ // one\n \"a\": \"x // y /* z */\", /* two\n */ \"b\": 2 }");
    assert_string_equal(cJSON_GetObjectItem(j, "a")->valuestring, "x // y /* z */");
    assert_int_equal(cJSON_GetObjectItem(j, "b")->valueint, 2);
    cJSON_Delete(j);
}

static void overrides(void **state)
{
    (void)state;
    cJSON *j = parse("{\"train\": {\"epochs\": 5}, \"x\": 1}");
    check_ok(rt_json_override(j, "train.epochs=20"));
    check_ok(rt_json_override(j, "data.source=a/b.h5"));
    check_ok(rt_json_override(j, "list=[1,2]"));
    check_ok(rt_json_override(j, "rows=0:900"));
    assert_string_equal(cJSON_GetObjectItem(j, "rows")->valuestring, "0:900");
    assert_int_equal(cJSON_GetObjectItem(cJSON_GetObjectItem(j, "train"), "epochs")->valueint, 20);
    assert_string_equal(cJSON_GetObjectItem(cJSON_GetObjectItem(j, "data"), "source")->valuestring, "a/b.h5");
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(j, "list")), 2);
    check_fails(rt_json_override(j, "x.y=1"), RT_USAGE, "'x' is not an object");
    check_fails(rt_json_override(j, "=1"), RT_USAGE, "not of the form");
    check_fails(rt_json_override(j, "a..b=1"), RT_USAGE, "not of the form");
    cJSON_Delete(j);
}

static rt_status read_one(const char *text)
{
    static const char *const kinds[] = {"sgd", "adamw", NULL};
    cJSON *j = parse(text);
    rt_cfg c = rt_cfg_begin(j, "");
    rt_cfg t = rt_cfg_object(&c, "train");
    rt_cfg_int(&t, "epochs", 20, 1, 100);
    rt_cfg_number(&t, "rate", 0.5, 0, 1);
    rt_cfg_bool(&t, "flag", 0);
    rt_cfg_choice(&t, "optimizer", kinds, 0);
    rt_cfg_join(&c, &t);
    rt_status st = rt_cfg_end(&c);
    if (!st) {                         /* defaults are filled in */
        cJSON *e = cJSON_GetObjectItem(cJSON_GetObjectItem(j, "train"), "epochs");
        assert_true(cJSON_IsNumber(e));
    }
    cJSON_Delete(j);
    return st;
}

static void validation(void **state)
{
    (void)state;
    check_ok(read_one("{}"));
    check_ok(read_one("{\"train\": {\"epochs\": 7, \"flag\": true}}"));
    check_fails(read_one("{\"train\": {\"epoch\": 7}}"), RT_USAGE, "train.epoch: unknown key; did you mean 'epochs'?");
    check_fails(read_one("{\"tarin\": {}}"), RT_USAGE, "did you mean 'train'?");
    check_fails(read_one("{\"train\": {\"epochs\": 7.5}}"), RT_USAGE,
                "train.epochs: a whole number from 1 to 100 is expected, not 7.5");
    check_fails(read_one("{\"train\": {\"epochs\": \"7\"}}"), RT_USAGE, "train.epochs");
    check_fails(read_one("{\"train\": {\"epochs\": 0}}"), RT_USAGE, "from 1 to 100");
    check_fails(read_one("{\"train\": {\"rate\": 2}}"), RT_USAGE, "a number from 0 to 1");
    check_fails(read_one("{\"train\": {\"flag\": 1}}"), RT_USAGE, "true or false");
    check_fails(read_one("{\"train\": {\"optimizer\": \"adam\"}}"), RT_USAGE, "did you mean 'adamw'?");
    check_fails(read_one("{\"train\": 3}"), RT_USAGE, "an object");
}

/* Equal configurations print as equal text, whatever the order of their keys; lists keep theirs. */
static void sorted(void **state)
{
    (void)state;
    static const char *const texts[] = {"{\"b\":[{\"d\":1,\"C\":[3,2]}],\"a\":{}}",
                                        "{\"a\":{},\"b\":[{\"C\":[3,2],\"d\":1}]}"};
    char *printed[2];
    for (int i = 0; i < 2; i++) {
        cJSON *j;
        check_ok(rt_json_parse(&j, texts[i], strlen(texts[i]), "text"));
        rt_json_sort(j);
        printed[i] = cJSON_PrintUnformatted(j);
        cJSON_Delete(j);
    }
    assert_string_equal(printed[0], printed[1]);
    assert_string_equal(printed[0], texts[1]);
    free(printed[0]);
    free(printed[1]);
}

/* Text of others may hold as many keys as its bytes allow: comparing each with each took minutes. */
static void many_keys(void **state)
{
    (void)state;
    enum { KEYS = 200000 };
    char *text = malloc(KEYS * 16 + 64);
    size_t n = (size_t)sprintf(text, "{");
    for (int i = 0; i < KEYS; i++)
        n += (size_t)sprintf(text + n, "\"k%07d\":%d,", (int)((long long)i * 7919 % KEYS), i % 10);
    size_t last = n;
    n += (size_t)sprintf(text + n, "\"end\":0}");
    cJSON *j;
    clock_t start = clock();
    check_ok(rt_json_parse(&j, text, n, "text"));
    rt_json_sort(j);
    assert_string_equal(j->child->string, "end");
    assert_string_equal(j->child->next->string, "k0000000");
    assert_string_equal(j->child->prev->string, "k0199999");
    assert_null(j->child->prev->next);
    cJSON_Delete(j);
    n = last + (size_t)sprintf(text + last, "\"k0000077\":0}");
    check_fails(rt_json_parse(&j, text, n, "text"), RT_INPUT, "'k0000077' is given twice");
    assert_true((double)(clock() - start) / CLOCKS_PER_SEC < 60);         /* also under valgrind */
    free(text);
}

/* Every bit of a sealed text: a flip is refused, or leaves every value as it was. */
static void sealed(void **state)
{
    (void)state;
    char path[64];
    cJSON *j, *got;
    size_t n;
    snprintf(path, sizeof path, "%s/sealed.json", test_folder);
    static const char source[] = "{\"a\": [1.5, \"x\"], \"seal A\": true}";
    check_ok(rt_json_parse(&j, source, sizeof source - 1, "text"));
    char *text = rt_json_sealed(j), *want = rt_json_text(j, 0);
    n = strlen(text);
    assert_null(strstr(text, "00000000000000000000000000000000"));
    for (size_t bit = 0; bit <= n * 8; bit++) {
        if (bit < n * 8) text[bit / 8] = (char)(text[bit / 8] ^ 1 << bit % 8);
        FILE *f = fopen(path, "wb");
        fwrite(text, 1, n, f);
        fclose(f);
        rt_status st = rt_json_sealed_file(&got, path);
        if (bit < n * 8) text[bit / 8] = (char)(text[bit / 8] ^ 1 << bit % 8);
        if (st) {
            assert_int_equal(st, RT_INPUT);
            assert_non_null(strstr(rt_error_message(), "sealed.json"));
            continue;
        }
        char *is = rt_json_text(got, 0);
        size_t same = strlen(want) - 1; /* all but the brace that ends it: a seal may have another name */
        if (strncmp(is, want, same)) fail_msg("bit %zu: %s", bit, is);
        if (bit == n * 8) assert_string_equal(is, want);
        free(is);
        cJSON_Delete(got);
    }
    free(text);
    free(want);
    cJSON_Delete(j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(suite),     cmocka_unit_test(refusals),   cmocka_unit_test(comments),
        cmocka_unit_test(overrides), cmocka_unit_test(validation), cmocka_unit_test(sorted),
        cmocka_unit_test(many_keys), cmocka_unit_test(sealed),
    };
    return cmocka_run_group_tests(tests, make_test_folder, remove_test_folder);
}
