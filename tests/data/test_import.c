/* Importers: round trips, refusals with file and place. */
#include <unistd.h>
#include <zlib.h>

#include "data/import.h"
#include "data/source.h"
#include "tests/support.h"


static char *file(const char *name, const void *data, size_t n)
{
    static char path[4][128];
    static int at;
    char *p = path[at++ & 3];
    snprintf(p, 128, "%s/%s", test_folder, name);
    FILE *f = fopen(p, "wb");
    assert_int_equal(fwrite(data, 1, n, f), n);
    fclose(f);
    return p;
}
#define TEXT(name, s) file(name, s, sizeof s - 1)

static void idx(void **state)
{
    (void)state;
    static const char x[] = "\0\0\x08\x03\0\0\0\2\0\0\0\2\0\0\0\3abcdefghijkl", y[] = "\0\0\x08\x01\0\0\0\2\5\1", s[] = "\0\0\x0b\x01\0\0\0\2\1\2\3\4";
    rt_table t = {0};
    check_ok(rt_import_idx(&t, TEXT("x", x), TEXT("y", y)));
    assert_true(t.rank == 4 && t.dim[0] == 2 && t.dim[1] == 2 && t.dim[2] == 3 && t.dim[3] == 1 && t.type == RT_U8);
    assert_memory_equal(t.x, "abcdefghijkl", 12);
    assert_true(t.y[0] == 5 && t.y[1] == 1);
    rt_table_free(&t);
    check_ok(rt_import_idx(&t, TEXT("s", s), NULL));
    assert_true(((short *)t.x)[0] == 0x102 && ((short *)t.x)[1] == 0x304);
    rt_table_free(&t);
    check_fails(rt_import_idx(&t, file("short", x, 20), NULL), RT_INPUT, "truncated");
    rt_table_free(&t);
    check_fails(rt_import_idx(&t, TEXT("none", "hello"), NULL), RT_INPUT, "no IDX file");
    rt_table_free(&t);
    char path[128];
    snprintf(path, sizeof path, "%s/x.gz", test_folder);
    gzFile z = gzopen(path, "wb");
    gzwrite(z, x, sizeof x - 1);
    gzclose(z);
    check_ok(rt_import_idx(&t, path, NULL));
    assert_memory_equal(t.x, "abcdefghijkl", 12);
    rt_table_free(&t);
    assert_int_equal(truncate(path, 25), 0);
    assert_int_equal(rt_import_idx(&t, path, NULL), RT_INPUT);
    rt_table_free(&t);
}

static void npy(void **state)
{
    (void)state;
    char b[128 + 24];
    memset(b, ' ', 128);
    memcpy(b, "\223NUMPY\1\0\x76\0{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", 68);
    b[127] = '\n';
    float v[6] = {1, 2, 3, 4, 5, 6};
    memcpy(b + 128, v, 24);
    rt_table t = {0};
    check_ok(rt_import_npy(&t, file("a.npy", b, sizeof b), NULL));
    assert_true(t.rank == 2 && t.dim[0] == 2 && t.dim[1] == 3);
    assert_memory_equal(t.x, v, sizeof v);
    rt_table_free(&t);
    check_fails(rt_import_npy(&t, file("b.npy", b, sizeof b - 1), NULL), RT_INPUT, "truncated");
    rt_table_free(&t);
    memcpy(memmem(b, sizeof b, "False", 5), "True ", 5);
    check_fails(rt_import_npy(&t, file("c.npy", b, sizeof b), NULL), RT_INPUT, "Fortran");
    rt_table_free(&t);
}

static void csv(void **state)
{
    (void)state;
    rt_table t = {0};
    check_ok(rt_import_csv(&t, TEXT("a.csv", "a,b,kind\n1,2.5,\"dog, big\"\n-3,4e2,cat\n5,6,cat\n"), "kind", ','));
    assert_true(t.dim[0] == 3 && t.dim[1] == 2 && t.classes == 2);
    float want[] = {1, 2.5f, -3, 400, 5, 6};
    assert_memory_equal(t.x, want, sizeof want);
    assert_string_equal(t.class_name[0], "cat");
    assert_true(t.y[0] == 1 && t.y[1] == 0 && t.y[2] == 0);
    rt_table_free(&t);
    check_ok(rt_import_csv(&t, TEXT("b.csv", "1\t10\t7\n2\t9\t8\n"), "1", '\t'));       /* no header; numeric classes in order of value */
    assert_true(t.dim[0] == 2 && t.dim[1] == 2 && t.y[0] == 1 && t.y[1] == 0);
    rt_table_free(&t);
    check_fails(rt_import_csv(&t, TEXT("c.csv", "a,b\n1,2\n3\n"), NULL, ','), RT_INPUT, "record 3 has 1 columns");
    rt_table_free(&t);
    check_fails(rt_import_csv(&t, TEXT("d.csv", "a,b\n1,2\n3,x\n"), NULL, ','), RT_INPUT, "'x' is not a finite number");
    rt_table_free(&t);
    check_fails(rt_import_csv(&t, TEXT("e.csv", "a,b\n1,nan\n"), NULL, ','), RT_INPUT, "not a finite number");
    rt_table_free(&t);
    check_fails(rt_import_csv(&t, TEXT("f.csv", "a,b\n1,2\n"), "c", ','), RT_USAGE, "no column 'c'");
    rt_table_free(&t);
    check_fails(rt_import_csv(&t, TEXT("g.csv", ""), NULL, ','), RT_NOTHING, "no records");
    rt_table_free(&t);
    check_fails(rt_import_csv(&t, TEXT("h.csv", "a,b\n1,\"2\n"), NULL, ','), RT_INPUT, "h.csv");
    rt_table_free(&t);
    /* the HIGGS sample of LightGBM's examples, by the counts its documentation gives */
    if (rt_import_csv(&t, RETORT_TEST_MATERIAL "/tabular/lightgbm-examples/examples/binary_classification/binary.train", "0", '\t') == RT_OK) {
        assert_true(t.dim[0] == 7000 && t.dim[1] == 28 && t.classes == 2);
    }
    rt_table_free(&t);
}

static void written(void **state)
{
    (void)state;
    char out[128];
    rt_table t = {0};
    rt_source *x;
    const char *input = TEXT("w.csv", "a,b,c\n1,2,0\n3,4,1\n");
    uint64_t row = 1;
    float v[2];
    snprintf(out, sizeof out, "%s/w.h5", test_folder);
    check_ok(rt_import_csv(&t, input, "c", ','));
    check_ok(rt_import_write(&t, out, "csv", &input, 1));
    rt_table_free(&t);
    check_ok(rt_source_open(&x, out, "x"));
    check_ok(rt_source_read(x, &row, 1, v));
    assert_true(v[0] == 3 && v[1] == 4);
    rt_source_close(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(idx), cmocka_unit_test(npy), cmocka_unit_test(csv), cmocka_unit_test(written)};
    return cmocka_run_group_tests(tests, make_test_folder, remove_test_folder);
}
