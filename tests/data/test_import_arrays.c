/* IDX, NPY and NPZ against the bytes that numpy gives (tests/data/samples/make_import_samples.py). */
#include <math.h>
#include <unistd.h>
#include <zlib.h>

#include "data/import_parts.h"
#include "tests/data/import_support.h"

/* An import of samples/arrays/NAME gives these bytes of x. */
static imported check_raw(rt_import_spec s, const char *raw)
{
    char path[400];
    imported r = import(s);
    size_t bytes = rt_dtype_size(r.type);
    for (int i = 0; i < r.rank; i++) bytes *= r.dim[i];
    snprintf(path, sizeof path, SAMPLES "arrays/%s.raw", raw);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    unsigned char *want = malloc(bytes + 1);
    if (fread(want, 1, bytes + 1, f) != bytes) fail_msg("%s: not %zu bytes", raw, bytes);
    fclose(f);
    assert_memory_equal(r.x, want, bytes);
    free(want);
    return r;
}

static void npy_types(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        rt_dtype type;
        int rank;
        uint64_t dim[4];
        rt_channel_place place;
    } all[] = {
        {"bool", RT_U8, 2, {4, 3}, 0}, {"big_f4", RT_F32, 2, {4, 3}, 0}, {"big_i2", RT_I16, 2, {4, 3}, 0},
            {"f2", RT_F16, 2, {4, 3}, 0},
        {"fortran", RT_F32, 4, {4, 2, 3, 5}, 0}, {"fortran_big", RT_I32, 2, {4, 6}, 0}, {"first", RT_U8, 4,
            {4, 5, 6, 3}, RT_CHANNELS_FIRST},
        {"first_fortran", RT_F64, 4, {4, 5, 6, 3}, RT_CHANNELS_FIRST}, {"series_first", RT_F32, 3, {4, 9, 3},
            RT_CHANNELS_FIRST},
        {"nhw", RT_U8, 4, {4, 5, 6, 1}, 0}, {"nhw", RT_U8, 3, {4, 5, 6}, RT_CHANNELS_LAST}, {"version2", RT_U8, 2,
            {4, 2}, 0}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        char path[400];
        snprintf(path, sizeof path, SAMPLES "arrays/%s.npy", all[i].name);
        imported r = check_raw((rt_import_spec){.input = path, .place = all[i].place}, all[i].name);
        assert_true(r.type == all[i].type && r.rank == all[i].rank);
        for (int k = 0; k < r.rank; k++) assert_int_equal(r.dim[k], all[i].dim[k]);
        if (strcmp(all[i].name, "nhw") == 0 && !all[i].place) assert_true(noted(&r, "is taken as (N, 5, 6, 1)"));
        done(&r);
    }
}

static void npy_refused(void **state)
{
    (void)state;
    refuse((rt_import_spec){.input = SAMPLES "arrays/first.npy"}, RT_INPUT,
           "x of shape (4, 3, 5, 6) looks as if channels came first; give --channels first");
    imported r = import((rt_import_spec){.input = SAMPLES "arrays/first.npy", .place = RT_CHANNELS_LAST});
    assert_true(r.dim[1] == 3 && r.dim[3] == 6);
    done(&r);
    refuse((rt_import_spec){.input = SAMPLES "arrays/fields.npy"}, RT_INPUT,
           "is a structured array, [('age', '<f4'), ('size', '<f4')]; save its fields as columns");
    refuse((rt_import_spec){.input = SAMPLES "arrays/objects.npy"}, RT_INPUT, "holds Python objects");
    refuse((rt_import_spec){.input = SAMPLES "arrays/complex.npy"}, RT_INPUT, "holds complex numbers");
    refuse((rt_import_spec){.input = SAMPLES "arrays/y_words.npy"}, RT_INPUT, "x holds texts");
    refuse((rt_import_spec){.input = SAMPLES "arrays/bool.npy", .label = "k"}, RT_USAGE,
           "--label does not apply to npy");
    refuse((rt_import_spec){.input = SAMPLES "arrays/bool.npy", .place = RT_CHANNELS_FIRST}, RT_USAGE,
           "and so no channels");
    char b[600];
    FILE *f = fopen(SAMPLES "arrays/big_f4.npy", "rb");
    size_t n = fread(b, 1, sizeof b, f);
    fclose(f);
    r = import((rt_import_spec){.input = SAMPLES "arrays/big_f4.npy"});
    assert_false(noted(&r, "NaN"));
    done(&r);
    char odd[600];
    memcpy(odd, b, n);
    memcpy(odd + n - 4, "\x7f\xc0\0\0", 4);             /* NaN, and minus infinity; big-endian */
    memcpy(odd + n - 16, "\xff\x80\0\0", 4);
    r = import((rt_import_spec){.input = put("odd.npy", odd, n)});
    assert_true(noted(&r, "2 values are NaN or infinite"));
    done(&r);
    refuse((rt_import_spec){.input = put("cut.npy", b, n - 1)}, RT_INPUT, "truncated");
    refuse((rt_import_spec){.input = put("cut2.npy", b, 40)}, RT_INPUT, "truncated");
    b[n] = 0;
    refuse((rt_import_spec){.input = put("more.npy", b, n + 1)}, RT_INPUT, "holds more data than its header tells");
    memcpy(memmem(b, n, "(4, 3)", 6), "(9999999999999, 3), }", 21);
    refuse((rt_import_spec){.input = put("huge.npy", b, n)}, RT_INPUT, "truncated");
}

static void npy_labels(void **state)
{
    (void)state;
    static const struct { const char *name, *classes; int y[4]; } all[] = {
        {"words", "owl|äöü", {0, 1, -1, 0}}, {"bytes", "a|b|c", {1, 0, 1, 2}}, {"floats", "0|1|2", {1, 0, -1, 2}},
            {"truth", "False|True", {1, 0, 1, 1}},
        {"column", "0|1|2", {1, 0, 1, 2}}, {"from_one", "1|2|3", {0, 1, 2, 1}}, {"wide", "0|1|2", {0, 2, 0, 2}}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        char path[400];
        snprintf(path, sizeof path, SAMPLES "arrays/y_%s.npy", all[i].name);
        imported r = import((rt_import_spec){.input = SAMPLES "arrays/bool.npy", .labels = path});
        assert_string_equal(names_of(r.manifest, "classes"), all[i].classes);
        CHECK_Y(r, all[i].y[0], all[i].y[1], all[i].y[2], all[i].y[3]);
        done(&r);
    }
    refuse((rt_import_spec){.input = SAMPLES "arrays/bool.npy", .labels = SAMPLES "arrays/y_halves.npy"}, RT_INPUT,
           "label '0.5' is no whole number");
    refuse((rt_import_spec){.input = SAMPLES "arrays/bool.npy", .labels = SAMPLES "arrays/y_one_hot.npy"}, RT_INPUT,
           "one-hot");
    imported r = import((rt_import_spec){.input = SAMPLES "arrays/bool.npy", .labels = TEXT("y.csv",
        "k\nb\na\nb\nb\n")});
    CHECK_Y(r, 1, 0, 1, 1);
    done(&r);
    r = import((rt_import_spec){.input = TEXT("x.csv", "a\n1\n2\n3\n4\n"), .labels = SAMPLES "arrays/y_bytes.npy"});
    CHECK_Y(r, 1, 0, 1, 2);
    done(&r);
    r = import((rt_import_spec){.input = SAMPLES "arrays/bool.npy", .labels = SAMPLES "arrays/y_column.npy",
                                .classes = {"no", "yes", "what"}, .class_count = 3});
    CHECK_Y(r, 1, 0, 1, 2);
    assert_string_equal(names_of(r.manifest, "classes"), "no|yes|what");
    done(&r);
}

static void npz(void **state)
{
    (void)state;
    imported r = check_raw((rt_import_spec){.input = SAMPLES "arrays/stored.npz"}, "archive");
    CHECK_Y(r, 2, 0, 2, 1);
    done(&r);
    r = check_raw((rt_import_spec){.input = SAMPLES "arrays/packed.npz", .x = "x_train", .y = "y_train"}, "archive");
    CHECK_Y(r, 2, 0, 2, 1);
    done(&r);
    r = check_raw((rt_import_spec){.input = SAMPLES "arrays/single.npz"}, "archive");
    assert_null(r.y);
    done(&r);
    r = check_raw((rt_import_spec){.input = SAMPLES "arrays/single.npz", .labels = SAMPLES "arrays/y_truth.npy"},
                  "archive");
    CHECK_Y(r, 1, 0, 1, 1);
    done(&r);
    refuse((rt_import_spec){.input = SAMPLES "arrays/packed.npz"}, RT_USAGE,
           "which array is x? It has x_train.npy, y_train.npy, x_test.npy");
    refuse((rt_import_spec){.input = SAMPLES "arrays/stored.npz", .x = "z"}, RT_USAGE,
           "has no array 'z'; it has x.npy, y.npy");
    refuse((rt_import_spec){.input = SAMPLES "arrays/packed.npz", .x = "x_test", .y = "y_train"}, RT_INPUT,
           "has 4 labels for 1 rows");
    /* Cuts and changed bytes are refused, or change nothing. */
    unsigned char b[4000];
    FILE *f = fopen(SAMPLES "arrays/packed.npz", "rb");
    size_t n = fread(b, 1, sizeof b, f);
    fclose(f);
    assert_true(n > 300 && n < sizeof b);
    for (size_t i = 0; i < n; i += 17) {
        rt_import_spec s = {.format = RT_FORMAT_NPZ, .input = put("cut.npz", b, i), .x = "x_train"};
        cJSON *report;
        assert_int_equal(rt_import_run(&s, &(rt_target){.path = out_path(), .force = 1}, &report), RT_INPUT);
    }
    for (size_t i = 0; i < n; i += 3) {
        rt_import_spec s = {.format = RT_FORMAT_NPZ, .x = "x_train"};
        cJSON *report;
        b[i] ^= 0x55;
        s.input = put("bad.npz", b, n);
        b[i] ^= 0x55;
        if (rt_import_run(&s, &(rt_target){.path = out_path(), .force = 1}, &report)) {
            assert_true(*rt_error_message() != 0);
            continue;
        }
        cJSON_Delete(report);
        unlink(out_path());
        done(&(imported[]){check_raw(s, "archive")}[0]);
    }
}

static void idx(void **state)
{
    (void)state;
    static const char x[] = "\0\0\x08\x03\0\0\0\2\0\0\0\2\0\0\0\3abcdefghijkl", y[] = "\0\0\x08\x01\0\0\0\2\5\1";
    static const char s[] = "\0\0\x0b\x01\0\0\0\2\1\2\3\4", minus[] = "\0\0\x09\x01\0\0\0\2\xff\0";
    imported r = import((rt_import_spec){.input = TEXT("x", x), .labels = TEXT("y", y)});
    assert_true(r.rank == 4 && r.dim[0] == 2 && r.dim[1] == 2 && r.dim[2] == 3 && r.dim[3] == 1 && r.type == RT_U8);
    assert_memory_equal(r.x, "abcdefghijkl", 12);
    CHECK_Y(r, 1, 0);
    assert_string_equal(names_of(r.manifest, "classes"), "1|5");
    done(&r);
    r = import((rt_import_spec){.input = TEXT("s", s)});
    CHECK_X(r, int16_t, 0x102, 0x304);
    done(&r);
    r = import((rt_import_spec){.input = TEXT("x", x), .labels = TEXT("m", minus), .no_label = "-1"});
    CHECK_Y(r, -1, 0);
    done(&r);
    refuse((rt_import_spec){.input = put("short", x, 20)}, RT_INPUT, "truncated");
    refuse((rt_import_spec){.format = RT_FORMAT_IDX, .input = TEXT("none", "hello, world")}, RT_INPUT, "no IDX file");
    refuse((rt_import_spec){.input = TEXT("x", x), .labels = TEXT("x2", x)}, RT_INPUT,
           "labels must have one dimension");
    refuse((rt_import_spec){.input = TEXT("s", s), .labels = TEXT("y3", "\0\0\x08\x01\0\0\0\3\5\1\2")}, RT_INPUT,
           "has 3 labels for 2 rows");
    char path[128];
    snprintf(path, sizeof path, "%s/x.gz", test_folder);
    gzFile z = gzopen(path, "wb");
    gzwrite(z, x, sizeof x - 1);
    gzclose(z);
    r = import((rt_import_spec){.input = path});
    assert_memory_equal(r.x, "abcdefghijkl", 12);
    done(&r);
    assert_int_equal(truncate(path, 36), 0);
    refuse((rt_import_spec){.input = path}, RT_INPUT, "x.gz");
}

/* A little NPY file of version 1. */
static const char *npy(const char *name, const char *header, const void *data, size_t n)
{
    char text[400] = "\223NUMPY\1";
    size_t k = strlen(header);
    text[8] = (char)k;
    memcpy(text + 10, header, k);
    memcpy(text + 10 + k, data, n);
    return put(name, text, 10 + k + n);
}

/* Arrays have no names: --like gives them those of its columns, where there are as many. */
static void like(void **state)
{
    (void)state;
    char like[128];
    static const float x[6] = {1, 2, 3, 4, 5, 6};
    const char *three = npy("x3.npy", "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n", x, sizeof x);
    const char *two = npy("x2.npy", "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }\n", x, sizeof x);
    imported r;
    rt_import_spec named = {.input = TEXT("n.csv", "a,b,c\n1,2,3\n4,5,6\n")};
    check_ok(rt_import_run(&named, &(rt_target){.path = out_path(), .force = 1}, &r.report));
    cJSON_Delete(r.report);
    snprintf(like, sizeof like, "%s/like.h5", test_folder);
    assert_int_equal(rename(out_path(), like), 0);
    r = import((rt_import_spec){.input = three, .like = like});
    assert_string_equal(names_of(r.manifest, "columns"), "a|b|c");
    assert_true(noted(&r, "names no columns: they are taken as those of"));
    done(&r);
    refuse((rt_import_spec){.input = two, .like = like}, RT_INPUT, "its rows have the shape (2), and those of");
}

/* Labels and data that are none. */
static void odd_labels(void **state)
{
    (void)state;
    static const float x[4] = {1, 2, 3, 4};
    static const double inf[2] = {0, INFINITY};
    const char *two = npy("x.npy", "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }\n", x, sizeof x);
    const char *latin = npy("y.npy", "{'descr': '|S2', 'fortran_order': False, 'shape': (2,), }\n", "\xe9\0b\0", 4);
    const char *big = npy("i.npy", "{'descr': '<f8', 'fortran_order': False, 'shape': (2,), }\n", inf, sizeof inf);
    const char *none = npy("n.npy", "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 2), }\n", x, 0);
    const char *flat = npy("f.npy", "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 0), }\n", x, 0);
    const char *nolabel = npy("m.npy", "{'descr': '<i4', 'fortran_order': False, 'shape': (0,), }\n", x, 0);
    refuse((rt_import_spec){.input = two, .labels = latin}, RT_INPUT, "label '?' is no valid UTF-8");
    refuse((rt_import_spec){.input = two, .labels = big}, RT_INPUT, "label 'inf' among numbers is no class");
    refuse((rt_import_spec){.input = none, .labels = nolabel}, RT_NOTHING, "there are no rows to import");
    refuse((rt_import_spec){.input = flat}, RT_NOTHING, "its rows are empty");
    refuse((rt_import_spec){.input = npy("c.npy", "{'descr': '<c8', 'fortran_order': False, 'shape': (1,), }\n", x, 8)},
           RT_INPUT, "holds complex numbers (c8); save numbers");
}

/* What would be held whole has a limit, told before memory or disk is taken. */
static void held(void **state)
{
    (void)state;
    const char *turned = npy("turned.npy",
                             "{'descr': '<f4', 'fortran_order': True, 'shape': (1100000000, 1), }\n", "", 0);
    const char *rows = npy("rows.npy",
                           "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 3, 50000, 8000), }\n", "", 0);
    if (truncate(turned, 5000000000) || truncate(rows, 5000000000)) skip();           /* no bytes of these are there */
    refuse((rt_import_spec){.input = turned}, RT_INPUT, "its array in Fortran order has 4400000000 bytes");
    refuse((rt_import_spec){.input = rows, .place = RT_CHANNELS_FIRST}, RT_INPUT, "a row has 4800000000 bytes");
    unlink(turned);
    unlink(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(npy_types), cmocka_unit_test(npy_refused),
                                       cmocka_unit_test(held), cmocka_unit_test(npy_labels), cmocka_unit_test(npz),
                                       cmocka_unit_test(idx), cmocka_unit_test(like),
                                       cmocka_unit_test(odd_labels)};
    return cmocka_run_group_tests(tests, make_test_folder, remove_test_folder);
}
