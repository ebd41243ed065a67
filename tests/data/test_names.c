/* Lists of names: read, found, matched; what cannot be matched is refused with both lists. */
#include "data/file_name.h"
#include "data/names.h"
#include "tests/support.h"

static rt_names make(const char *json, const char *of)
{
    rt_names n;
    cJSON *j = cJSON_Parse(json);
    check_ok(rt_names_from_json(&n, j, of, "classes"));
    cJSON_Delete(j);
    return n;
}

static void refused(const char *json, const char *part)
{
    rt_names n;
    cJSON *j = cJSON_Parse(json);
    check_fails(rt_names_from_json(&n, j, "d.h5", "classes"), RT_INPUT, part);
    assert_null(n.name);
    cJSON_Delete(j);
}

static void lists(void **state)
{
    (void)state;
    char number[16];
    rt_names n = make("[\"b\",\"a\",\"\xc3\xa4\",\" a\",\"\"]", "d.h5"), copy, none = make("null", NULL);
    assert_int_equal(n.count, 5);
    for (int i = 0; i < 5; i++) assert_int_equal(rt_names_find(&n, rt_names_at(&n, i, number)), i);
    assert_int_equal(rt_names_find(&n, "a "), -1);
    assert_int_equal(rt_names_find(&n, "0"), -1);
    check_ok(rt_names_copy(&copy, &n));
    assert_string_equal(copy.of, "d.h5");
    assert_int_equal(rt_names_find(&copy, "\xc3\xa4"), 2);
    cJSON *j = rt_names_to_json(&copy);
    assert_string_equal(cJSON_GetArrayItem(j, 3)->valuestring, " a");
    cJSON_Delete(j);
    rt_names_free(&n);
    rt_names_free(&copy);
    n = make("[]", NULL);
    assert_null(n.name);
    rt_names_free(&n);
    assert_null(none.name);
    assert_null(rt_names_to_json(&none));
    rt_names_free(&none);
    refused("[\"a\",\"b\",\"a\"]", "d.h5: 'classes' of its manifest has the name 'a' twice");
    refused("[\"a\",1]", "entry 1 is no string");
    refused("{\"a\":1}", "no list of names");
    refused("[\"\xff\"]", "not valid UTF-8");
    refused("[\"\xed\xa0\x80\"]", "not valid UTF-8");
    refused("[\"\xc0\xaf\"]", "not valid UTF-8");
}

static void numbers(void **state)
{
    (void)state;
    rt_names n;
    check_ok(rt_names_numbered(&n, 12, NULL));
    assert_int_equal(rt_names_find(&n, "11"), 11);
    assert_int_equal(rt_names_find(&n, "0"), 0);
    static const char *const none[] = {"12", "01", "-1", "+1", "1.0", "", " 1", "1 ", "99999999999999999999", "a"};
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) assert_int_equal(rt_names_find(&n, none[i]), -1);
    rt_names_free(&n);
}

static void matching(void **state)
{
    (void)state;
    int *map;
    rt_names model = make("[\"a\",\"b\",\"c\",\"d\"]", "m.h5"), part = make("[\"d\",\"a\",\"c\"]", "t.h5"),
        odd = make("[\"a\",\"e\"]", "t.h5"),
             whole = make("[\"b\",\"c\",\"d\",\"a\"]", "l.h5"), digits = make("[\"2\",\"0\",\"1\"]", "n.h5"), none;
    check_ok(rt_names_map(&map, &part, &model, "class"));
    static const int want[] = {3, 0, 2};
    assert_memory_equal(map, want, sizeof want);
    free(map);
    check_fails(rt_names_map(&map, &odd, &model, "class"), RT_INPUT,
                "t.h5: its class 'e' is not among those of m.h5; classes of t.h5: a, e; of m.h5: a, b, c, d");
    assert_null(map);
    check_ok(rt_names_permute(&map, &whole, &model, "class"));
    static const int turned[] = {1, 2, 3, 0};
    assert_memory_equal(map, turned, sizeof turned);
    free(map);
    check_ok(rt_names_permute(&map, &model, &model, "class"));
    assert_null(map);
    check_fails(rt_names_permute(&map, &part, &model, "class"), RT_INPUT,
                "m.h5: its class 'b' is not among those of t.h5");
    check_fails(rt_names_permute(&map, &model, &part, "class"), RT_INPUT,
                "m.h5: its class 'b' is not among those of t.h5");
    check_ok(rt_names_numbered(&none, 3, "k.h5"));
    check_ok(rt_names_permute(&map, &none, &none, "class"));
    assert_null(map);
    check_ok(rt_names_permute(&map, &digits, &none, "class"));
    static const int counted[] = {2, 0, 1};
    assert_memory_equal(map, counted, sizeof counted);
    free(map);
    check_fails(rt_names_map(&map, &odd, &none, "class"), RT_INPUT,
                "of k.h5: numbers from 0 to 2, without names; names cannot be matched with numbers");
    check_fails(rt_names_map(&map, &none, &model, "column"), RT_INPUT,
                "columns of k.h5: numbers from 0 to 2, without names; of m.h5: a, b, c, d");
    rt_names *all[] = {&model, &part, &odd, &whole, &digits, &none};
    for (int i = 0; i < 6; i++) rt_names_free(all[i]);
}

/* Long lists and long names are shortened, between characters; the work is not quadratic. */
static void long_lists(void **state)
{
    (void)state;
    enum { MANY = 200000 };
    char text[RT_NAMES_TEXT], name[400];
    cJSON *j = cJSON_CreateArray();
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "class%07d", MANY - i);
        cJSON_AddItemToArray(j, cJSON_CreateString(name));
    }
    rt_names n;
    int *map;
    check_ok(rt_names_from_json(&n, j, NULL, "classes"));
    check_ok(rt_names_permute(&map, &n, &n, "class"));
    assert_null(map);
    assert_int_equal(rt_names_find(&n, "class0000001"), MANY - 1);
    assert_non_null(strstr(rt_names_text(&n, text), "class0200000, class0199999"));
    assert_non_null(strstr(text, ", ... (200000 in all)"));
    rt_names_free(&n);
    cJSON_Delete(j);
    for (int i = 0; i < 100; i++) memcpy(name + 3 * i, "\xe2\x82\xac", 4);
    for (int cut = 0; cut < 3; cut++) {
        char list[420];
        snprintf(list, sizeof list, "[\"%.*s%s\"]", cut, "ab", name);
        n = make(list, NULL);
        rt_names_text(&n, text);
        size_t euros = (strlen(text) - (size_t)cut - 3) / 3;
        assert_int_equal(strlen(text), (size_t)cut + 3 * euros + 3);
        assert_string_equal(text + strlen(text) - 6, "\xe2\x82\xac...");
        rt_names_free(&n);
    }
}

static void save(const char *path, const char *manifest)
{
    static const float x[4] = {1, 2, 3, 4};
    rt_h5_item it[2] = {{.name = "x", .type = RT_F32, .rank = 2, .dim = {2, 2}, .data = x},
                        {.name = "manifest", .type = RT_TEXT, .element = (uint32_t)strlen(manifest), .data = manifest}};
    check_ok(rt_h5_save(path, "retort-data-1", it, *manifest ? 2 : 1));
}

static void files(void **state)
{
    (void)state;
    char path[128];
    rt_h5_file *f;
    rt_names classes, columns;
    snprintf(path, sizeof path, "%s/d.h5", test_folder);
    save(path, "{\"classes\": [\"x\", \"y\"], \"columns\": [\"l\", \"r\"]}");
    check_ok(rt_h5_scan(&f, path));
    check_ok(rt_names_read(f, &classes, &columns));
    assert_string_equal(classes.name[1], "y");
    assert_string_equal(columns.name[0], "l");
    assert_string_equal(columns.of, path);
    rt_names_free(&classes);
    rt_names_free(&columns);
    rt_h5_close(f);
    save(path, "");
    check_ok(rt_h5_scan(&f, path));
    check_ok(rt_names_read(f, &classes, NULL));
    assert_null(classes.name);
    assert_string_equal(classes.of, path);
    rt_names_free(&classes);
    rt_h5_close(f);
    static const char *const bad[][2] = {{"{\"classes\": [\"x\"", "not the JSON text"},
                                         {"{\"columns\": 2}", "'columns' of its manifest is no list"}};
    for (int i = 0; i < 2; i++) {
        save(path, bad[i][0]);
        check_ok(rt_h5_scan(&f, path));
        check_fails(rt_names_read(f, &classes, &columns), RT_INPUT, bad[i][1]);
        rt_names_free(&classes);
        rt_names_free(&columns);
        rt_h5_close(f);
    }
}

/* What models are called: points in names of folders and files stay, endings of formats go. */
static void titles(void **state)
{
    (void)state;
    static const struct { const char *path, *title; } of[] = {
        {"runs/ft_round10.01/model.h5", "ft_round10.01"}, {"ft_round10.01/model.h5", "ft_round10.01"},
        {"runs/ft_round10.01.h5", "ft_round10.01"}, {"v1.2.3.onnx", "v1.2.3"}, {"a/v1.2", "v1.2"}, {"x.H5", "x"},
        {"model.h5", "model"}, {"./model.h5", "model"}, {"../model.h5", "model"}, {"/model.h5", "model"},
        {"a//model.h5", "a"}, {"small.h5/model.h5", "small.h5"}, {".h5", ".h5"}, {"p.predictions.h5", "p.predictions"},
        {"t.json", "t"}, {"z.npy", "z"}, {"runs/a.b/m.hdf5", "m"}, {"h5", "h5"}, {"1e-4.5", "1e-4.5"}};
    char name[32], cut[6];
    for (size_t i = 0; i < sizeof of / sizeof of[0]; i++) {
        rt_file_title(name, sizeof name, of[i].path);
        if (strcmp(name, of[i].title)) fail_msg("%s is called %s", of[i].path, name);
    }
    rt_file_title(cut, sizeof cut, "abcd\303\244z.h5");       /* not in the middle of a character */
    assert_string_equal(cut, "abcd");
    rt_file_title(cut, sizeof cut, "abc\303\244z.h5");
    assert_string_equal(cut, "abc\303\244");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(lists), cmocka_unit_test(numbers), cmocka_unit_test(matching),
                                       cmocka_unit_test(long_lists), cmocka_unit_test(files),
                                       cmocka_unit_test(titles)};
    return cmocka_run_group_tests(tests, make_test_folder, remove_test_folder);
}
