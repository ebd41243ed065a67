/* Labels of rows: every integer type, floats of whole numbers, no label, mapped by name; refusals with both lists. */
#include "data/targets.h"
#include "tests/support.h"

enum { ROWS = 1200, K = 3 };

/* A file with x (ROWS, 1) and y of this type, in which y[i] = value[i % n]. */
static const char *write_y(rt_dtype type, const double *value, int n, int columns, const char *manifest)
{
    static char path[128], raw[ROWS * 16];
    static const unsigned char x[ROWS];
    size_t size = rt_dtype_size(type);
    for (int i = 0; i < ROWS * columns; i++) {
        double v = value[i % n];
        char *p = raw + (size_t)i * size;
        switch (type) {
#define CASE(E, T) case E: { T w = (T)v; memcpy(p, &w, sizeof w); break; }
        CASE(RT_U8, uint8_t) CASE(RT_I8, int8_t) CASE(RT_U16, uint16_t) CASE(RT_I16, int16_t) CASE(RT_U32, uint32_t)
        CASE(RT_I32, int32_t) CASE(RT_U64, uint64_t) CASE(RT_I64, int64_t) CASE(RT_F32, float) CASE(RT_F64, double)
        default: fail();
        }
    }
    snprintf(path, sizeof path, "%s/y.h5", test_folder);
    rt_h5_item it[3] = {{.name = "x", .type = RT_U8, .rank = 2, .dim = {ROWS, 1}, .data = x},
                        {.name = "y", .type = type, .rank = columns == 1 ? 1 : 2, .dim = {ROWS, (uint64_t)columns},
                         .data = raw},
                        {.name = "manifest", .type = RT_TEXT, .element = (uint32_t)strlen(manifest), .data = manifest}};
    check_ok(rt_h5_save(path, "retort-data-1", it, *manifest ? 3 : 2));
    return path;
}

static rt_names named(const char *list)
{
    rt_names n;
    cJSON *j = cJSON_Parse(list);
    if (j) check_ok(rt_names_from_json(&n, j, "m.h5", "classes"));
    else check_ok(rt_names_numbered(&n, K, "m.h5"));
    cJSON_Delete(j);
    return n;
}

/* The labels of all rows, last row first, as the model `list` numbers them; the status, with the message kept. */
static rt_status read_y(const char *path, const char *list, rt_match match, int32_t *y)
{
    static uint64_t row[ROWS];
    rt_source *x;
    rt_targets *t;
    rt_names model = named(list);
    check_ok(rt_source_open(&x, path, "x"));
    rt_status st = rt_targets_open(&t, x, "y", &model, match);
    for (int i = 0; i < ROWS; i++) row[i] = (uint64_t)(ROWS - 1 - i);
    if (!st) st = rt_targets_read(t, row, ROWS, y);
    if (!st) assert_int_equal(rt_targets_classes(t), model.count);
    rt_names_free(&model);
    rt_targets_close(t);
    rt_source_close(x);
    return st;
}

static void check_y(const char *path, const char *list, rt_match match, const int *want, int n)
{
    static int32_t y[ROWS];
    check_ok(read_y(path, list, match, y));
    for (int i = 0; i < ROWS; i++) assert_int_equal(y[i], want[(ROWS - 1 - i) % n]);
}

static void types(void **state)
{
    (void)state;
    static const rt_dtype type[] = {RT_U8, RT_I8, RT_U16, RT_I16, RT_U32, RT_I32, RT_U64, RT_I64, RT_F32, RT_F64};
    static const double value[] = {2, 0, 1, 1, 2, 0, 0};
    static const int want[] = {2, 0, 1, 1, 2, 0, 0}, some[] = {2, RT_NO_LABEL, 1};
    for (size_t i = 0; i < sizeof type / sizeof type[0]; i++) {
        check_y(write_y(type[i], value, 7, 1, ""), "", RT_MATCH_NAMES, want, 7);
        int is_unsigned = type[i] == RT_U8 || type[i] == RT_U16 || type[i] == RT_U32 || type[i] == RT_U64;
        if (!is_unsigned) check_y(write_y(type[i], (double[]){2, -1, 1}, 3, 1, ""), "", RT_MATCH_NAMES, some, 3);
    }
    check_y(write_y(RT_F64, (double[]){2, NAN, 1}, 3, 1, ""), "", RT_MATCH_NAMES, some, 3);
    check_y(write_y(RT_F32, (double[]){2, NAN, 1}, 3, 1, ""), "", RT_MATCH_NAMES, some, 3);
}

/* The file's classes in another order, a part of them, and rows without a label. */
static void by_name(void **state)
{
    (void)state;
    static const double value[] = {0, 1, -1, 1, 0};
    const char *path = write_y(RT_I32, value, 5, 1, "{\"classes\": [\"c\", \"a\"]}");
    static const int mapped[] = {2, 0, RT_NO_LABEL, 0, 2}, kept[] = {0, 1, RT_NO_LABEL, 1, 0},
        turned[] = {3, 1, RT_NO_LABEL, 1, 3};
    check_y(path, "[\"a\",\"b\",\"c\"]", RT_MATCH_NAMES, mapped, 5);
    check_y(path, "[\"d\",\"a\",\"b\",\"c\"]", RT_MATCH_NAMES, turned, 5);
    check_y(path, "[\"a\",\"b\",\"c\"]", RT_MATCH_POSITION, kept, 5);
    static int32_t y[ROWS];
    check_fails(read_y(path, "[\"a\",\"b\"]", RT_MATCH_NAMES, y), RT_INPUT,
                "its class 'c' is not among those of m.h5; classes of ");
    assert_non_null(strstr(rt_error_message(), "y.h5: c, a; of m.h5: a, b"));
    check_fails(read_y(path, "", RT_MATCH_NAMES, y), RT_INPUT, "names cannot be matched with numbers");
    path = write_y(RT_I32, (double[]){2, 0}, 2, 1, "{\"classes\": [\"c\", \"a\"]}");
    check_fails(read_y(path, "[\"a\",\"b\",\"c\"]", RT_MATCH_NAMES, y), RT_INPUT,
                "row 1198 has the label 2, but the file names 2 classes (from 0): c, a");
}

/* A number is the name of its class where there is no other. */
static void by_number(void **state)
{
    (void)state;
    static int32_t y[ROWS];
    const char *path = write_y(RT_U8, (double[]){0, 7, 1}, 3, 1, "");
    check_y(path, "[\"7\",\"1\",\"0\"]", RT_MATCH_NAMES, (int[]){2, 0, 1}, 3);
    check_fails(read_y(path, "[\"a\",\"b\",\"c\"]", RT_MATCH_NAMES, y), RT_INPUT,
                "row 1199 has the label 1, which is not among the classes of m.h5");
    assert_non_null(strstr(rt_error_message(), "numbers, without names; of the model: a, b, c"));
    check_fails(read_y(path, "", RT_MATCH_NAMES, y), RT_INPUT,
                "row 1198 has the label 7, but there are 3 classes (0 to 2)");
    check_fails(read_y(path, "[\"a\",\"b\",\"c\"]", RT_MATCH_POSITION, y), RT_INPUT,
                "row 1198 has the label 7, but there are 3 classes (0 to 2)");
    path = write_y(RT_I64, (double[]){-1}, 1, 1, "");
    check_y(path, "[\"a\",\"b\",\"c\"]", RT_MATCH_NAMES, (int[]){RT_NO_LABEL}, 1);
    path = write_y(RT_I32, (double[]){0, 1, 2}, 3, 1, "{\"classes\": [\"2\", \"0\", \"1\"]}");
    check_y(path, "", RT_MATCH_NAMES, (int[]){2, 0, 1}, 3);
}

static void no_labels(void **state)
{
    (void)state;
    static int32_t y[ROWS];
    static const double part[] = {0, 0.5}, low[] = {0, -2}, huge[] = {0, 1e19}, endless[] = {1, INFINITY};
    check_fails(read_y(write_y(RT_F32, part, 2, 1, ""), "", RT_MATCH_NAMES, y), RT_INPUT,
                "row 1199 of 'y' is 0.5, which is no class number");
    check_fails(read_y(write_y(RT_F64, endless, 2, 1, ""), "", RT_MATCH_NAMES, y), RT_INPUT,
                "is inf, which is no class number");
    check_fails(read_y(write_y(RT_F64, huge, 2, 1, ""), "", RT_MATCH_NAMES, y), RT_INPUT,
                "is 1e+19, which is no class number");
    check_fails(read_y(write_y(RT_U64, huge, 2, 1, ""), "", RT_MATCH_NAMES, y), RT_INPUT,
                "e+18, which is no class number");
    check_fails(read_y(write_y(RT_F64, low, 2, 1, ""), "", RT_MATCH_NAMES, y), RT_INPUT,
                "row 1199 has the label -2; a row without a label has -1");
    check_fails(read_y(write_y(RT_I8, low, 2, 1, ""), "", RT_MATCH_NAMES, y), RT_INPUT, "has the label -2");
    check_fails(read_y(write_y(RT_I64, (double[]){4294967296.0}, 1, 1, ""), "", RT_MATCH_NAMES, y), RT_INPUT,
                "has the label 4294967296, but there are 3");
}

/* Rows outside a range have no label, whatever is stored there. */
static void limits(void **state)
{
    (void)state;
    static int32_t y[ROWS];
    static uint64_t row[ROWS];
    static double value[ROWS];
    rt_source *x;
    rt_targets *t;
    rt_names model = named("");
    for (int i = 0; i < ROWS; i++) {
        value[i] = i >= 500 && i < 600 ? i % 3 : i % 2 ? 0.5 : 99;
        row[i] = (uint64_t)i;
    }
    check_ok(rt_source_open(&x, write_y(RT_F32, value, ROWS, 1, ""), "x"));
    check_ok(rt_targets_open(&t, x, "y", &model, RT_MATCH_NAMES));
    check_fails(rt_targets_read(t, row, ROWS, y), RT_INPUT, "row 0 has the label 99");
    rt_targets_limit(t, 500, 600);
    check_ok(rt_targets_read(t, row, ROWS, y));
    for (int i = 0; i < ROWS; i++) assert_int_equal(y[i], i >= 500 && i < 600 ? i % 3 : RT_NO_LABEL);
    rt_targets_close(t);
    rt_source_close(x);
    rt_names_free(&model);
}

static void shapes(void **state)
{
    (void)state;
    static int32_t y[ROWS];
    static const unsigned char flat[ROWS + 1];
    char path[128];
    rt_source *x;
    rt_targets *t;
    rt_names model = named("");
    check_fails(read_y(write_y(RT_U8, (double[]){0, 1, 0}, 3, 3, ""), "", RT_MATCH_NAMES, y), RT_INPUT,
                "does not hold one whole number a row, but 3; of one-hot rows, keep np.argmax");
    snprintf(path, sizeof path, "%s/s.h5", test_folder);
    rt_h5_item it[4] = {{.name = "x", .type = RT_U8, .rank = 2, .dim = {ROWS, 1}, .data = flat},
                        {.name = "y", .type = RT_U8, .rank = 2, .dim = {ROWS, 1}, .data = flat},
                        {.name = "z", .type = RT_U8, .rank = 1, .dim = {ROWS + 1}, .data = flat},
                            {.name = "w", .type = RT_TEXT, .element = 1, .rank = 1, .dim = {ROWS}, .data = flat}};
    check_ok(rt_h5_save(path, "retort-data-1", it, 4));
    check_ok(read_y(path, "", RT_MATCH_NAMES, y));
    check_ok(rt_source_open(&x, path, "x"));
    check_fails(rt_targets_open(&t, x, "z", &model, RT_MATCH_NAMES), RT_INPUT, "'z' has 1201 rows, 'x' has 1200");
    check_fails(rt_targets_open(&t, x, "w", &model, RT_MATCH_NAMES), RT_INPUT, "is text");
    check_fails(rt_targets_open(&t, x, "q", &model, RT_MATCH_NAMES), RT_INPUT, "q");
    assert_null(t);
    rt_source_close(x);
    rt_names_free(&model);
}

/* Labels and values: every type, elements without a target, a column alone, rows outside the limit, what is refused. */
static rt_status read_rows(rt_task task, int size, int column, uint64_t end, rt_target_rows *y)
{
    static uint64_t row[6] = {0, 1, 2, 3, 4, 5};
    char path[128];
    rt_source *x;
    rt_targets *t;
    rt_head head = {.name = (char *)"y", .task = task, .size = size};
    rt_target_where w = {.set = "y", .column = column};
    snprintf(path, sizeof path, "%s/y.h5", test_folder);
    check_ok(rt_source_open(&x, path, "x"));
    rt_status st = rt_targets_open_head(&t, x, &w, &head, RT_MATCH_NAMES);
    if (!st) rt_targets_limit(t, 0, end);
    if (!st) st = rt_targets_read_rows(t, row, 6, y);
    rt_targets_close(t);
    rt_source_close(x);
    return st;
}

/* Columns go by name where the file names them, and whether they do not is known. */
static void columns_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *manifest;
        int column, size, unnamed, turned;
        rt_match match;
    } c[] = {{"", -1, 2, 1, 0, RT_MATCH_NAMES},
             {"{}", -1, 2, 1, 0, RT_MATCH_NAMES},
             {"{\"targets\": {\"y\": [\"v\", \"u\"]}}", -1, 2, 0, 1, RT_MATCH_NAMES},
             {"{\"targets\": {\"y\": [\"u\", \"v\"]}}", -1, 2, 0, 0, RT_MATCH_NAMES},
             {"{\"targets\": {\"y\": [\"v\", \"u\"]}}", -1, 2, 0, 0, RT_MATCH_POSITION},
             {"", -1, 2, 0, 0, RT_MATCH_POSITION},
             {"", 1, 1, 0, 1, RT_MATCH_NAMES}};
    static const double value[] = {0, 1};
    for (size_t i = 0; i < sizeof c / sizeof *c; i++) {
        rt_source *x;
        rt_targets *t;
        rt_target_rows y;
        rt_head head = {.name = (char *)"y", .task = RT_TASK_MULTILABEL, .size = c[i].size};
        head.names = named(c[i].size == 2 ? "[\"u\", \"v\"]" : "[\"v\"]");
        rt_target_where w = {.set = "y", .column = c[i].column};
        check_ok(rt_source_open(&x, write_y(RT_I8, value, 2, 2, c[i].manifest), "x"));
        check_ok(rt_targets_open_head(&t, x, &w, &head, c[i].match));
        char text[RT_TARGETS_TEXT];
        assert_int_equal(rt_targets_unnamed(t, "y", text), c[i].unnamed);
        if (c[i].unnamed) assert_non_null(strstr(text, "in the head's order: u, v;"));
        check_ok(rt_target_rows_new(&y, RT_TASK_MULTILABEL, c[i].size, 1));
        check_ok(rt_targets_read_rows(t, (uint64_t[]){3}, 1, &y));
        assert_int_equal(y.labels[0], c[i].turned);
        rt_target_rows_free(&y);
        rt_targets_close(t);
        rt_source_close(x);
        rt_names_free(&head.names);
    }
}

static void labels_and_values(void **state)
{
    (void)state;
    static const rt_dtype type[] = {RT_I8, RT_I32, RT_I64, RT_F32, RT_F64};
    static const double label[] = {0, 1, -1, 1, 0}, value[] = {0.5, -3, NAN, 1e20, 7}, two[] = {0, 1, 2},
                        odd[] = {0, 0.5};
    static const double wide[] = {1, INFINITY};
    rt_target_rows y, v;
    check_ok(rt_target_rows_new(&y, RT_TASK_MULTILABEL, 2, 6));
    check_ok(rt_target_rows_new(&v, RT_TASK_REAL, 2, 6));
    for (size_t i = 0; i < sizeof type / sizeof *type; i++) {
        write_y(type[i], label, 5, 2, "");
        check_ok(read_rows(RT_TASK_MULTILABEL, 2, -1, 5, &y));
        for (int e = 0; e < 12; e++) {
            assert_int_equal(y.mask[e], label[e % 5] >= 0 && e < 10);        /* row 5 is beyond the limit */
            assert_int_equal(y.labels[e], label[e % 5] == 1 && e < 10);
        }
        assert_true(rt_target_has(&y, RT_TASK_MULTILABEL, 2, 0) && !rt_target_has(&y, RT_TASK_MULTILABEL, 2, 5));
        check_ok(read_rows(RT_TASK_MULTILABEL, 1, 1, 6, &y));
        for (int r = 0; r < 6; r++) assert_int_equal(y.labels[r], label[(2 * r + 1) % 5] == 1);
    }
    for (size_t i = 3; i < sizeof type / sizeof *type; i++) {
        write_y(type[i], value, 5, 2, "");
        check_ok(read_rows(RT_TASK_REAL, 2, -1, 6, &v));
        for (int e = 0; e < 12; e++) {
            assert_int_equal(v.mask[e], !isnan(value[e % 5]));
            assert_true(v.values[e] == (isnan(value[e % 5]) ? 0 : (float)value[e % 5]));
        }
    }
    write_y(RT_I8, two, 3, 2, "");
    check_fails(read_rows(RT_TASK_MULTILABEL, 2, -1, 6, &y), RT_INPUT,
                "row 1 of 'y', column 0, is 2; labels are 0 or 1");
    check_fails(read_rows(RT_TASK_MULTILABEL, 3, -1, 6, &y), RT_INPUT, "holds 2 values a row, the head has 3");
    check_fails(read_rows(RT_TASK_REAL, 1, 2, 6, &v), RT_INPUT, "so there is no column 2");
    write_y(RT_F32, odd, 2, 2, "");
    check_fails(read_rows(RT_TASK_MULTILABEL, 2, -1, 6, &y), RT_INPUT, "column 1, is 0.5");
    write_y(RT_F64, wide, 2, 2, "");
    check_fails(read_rows(RT_TASK_REAL, 2, -1, 6, &v), RT_INPUT, "a finite number is expected");
    rt_target_rows_free(&y);
    rt_target_rows_free(&v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(labels_and_values),
                                       cmocka_unit_test(columns_by_name),
                                       cmocka_unit_test(types),
                                       cmocka_unit_test(by_name),
                                       cmocka_unit_test(by_number),
                                       cmocka_unit_test(no_labels),
                                       cmocka_unit_test(limits),
                                       cmocka_unit_test(shapes)};
    return cmocka_run_group_tests(tests, make_test_folder, remove_test_folder);
}
