/* HDF5: what others wrote is read to the same numbers as h5dump's; hostile files are refused and kill nothing. */
#include <dirent.h>
#include <hdf5.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data/source.h"
#include "tests/support.h"


/* Rows of every layout and filter, written by the library, read by us. */
static void layouts(void **state)
{
    (void)state;
    enum { N = 53, A = 7, B = 5 };
    static float x[N][A][B];
    for (int i = 0; i < N * A * B; i++) (&x[0][0][0])[i] = (float)(i * 37 % 1000);
    for (int kind = 0; kind < 6; kind++) {
        char path[128];
        snprintf(path, sizeof path, "%s/layout%d.h5", test_folder, kind);
        hid_t f = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT), p = H5Pcreate(H5P_DATASET_CREATE);
        hsize_t dim[3] = {N, A, B}, whole[3] = {8, A, B}, cut[3] = {10, 3, 2};
        if (kind) H5Pset_chunk(p, 3, kind == 5 ? cut : whole);
        if (kind == 3 || kind == 4 || kind == 5) H5Pset_shuffle(p);
        if (kind >= 2 && kind != 3) H5Pset_deflate(p, 4);
        if (kind >= 4) H5Pset_fletcher32(p);
        hid_t s = H5Screate_simple(3, dim, NULL),
              d = H5Dcreate2(f, "x", H5T_IEEE_F32LE, s, H5P_DEFAULT, p, H5P_DEFAULT);
        assert_true(H5Dwrite(d, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, x) >= 0);
        H5Dclose(d);
        H5Sclose(s);
        H5Pclose(p);
        H5Fclose(f);
        rt_source *src;
        check_ok(rt_source_open(&src, path, "x"));
        assert_int_equal(rt_source_rows(src), N);
        assert_int_equal(rt_source_row_bytes(src), sizeof x[0]);
        uint64_t row[N];
        static float got[N][A][B];
        for (int i = 0; i < N; i++) row[i] = (uint64_t)(i * 29 % N);
        check_ok(rt_source_read(src, row, N, got));
        for (int i = 0; i < N; i++) assert_memory_equal(got[i], x[row[i]], sizeof x[0]);
        row[0] = N;
        check_fails(rt_source_read(src, row, 1, got), RT_INPUT, "row 53");
        rt_source_close(src);
    }
}

/* A flipped bit in a chunk with a checksum is found. */
static void flipped_bit(void **state)
{
    (void)state;
    char path[128];
    rt_h5_file *f;
    rt_source *s;
    float got[35];
    uint64_t row = 3;
    snprintf(path, sizeof path, "%s/layout4.h5", test_folder);
    check_ok(rt_h5_scan(&f, path));
    uint64_t at = rt_h5_find(f, "x")->chunk[0].offset + 9;
    rt_h5_close(f);
    flip_bit(path, at, 2);
    check_ok(rt_source_open(&s, path, "x"));
    check_fails(rt_source_read(s, &row, 1, got), RT_INPUT, "is damaged");
    rt_source_close(s);
}

static void truncated(void **state)
{
    (void)state;
    char path[128], copy[160], command[400];
    snprintf(path, sizeof path, "%s/layout0.h5", test_folder);
    struct stat st;
    stat(path, &st);
    for (long size = 0; size < st.st_size; size += st.st_size / 23 + 1) {
        rt_source *s = NULL;
        snprintf(copy, sizeof copy, "%s/short.h5", test_folder);
        snprintf(command, sizeof command, "head -c %ld %s > %s", size, path, copy);
        assert_int_equal(system(command), 0);
        assert_int_equal(rt_source_open(&s, copy, "x"), RT_INPUT);
        assert_null(s);
    }
}

static void refused_by_name(void **state)
{
    (void)state;
    char path[128];
    rt_source *s;
    snprintf(path, sizeof path, "%s/kinds.h5", test_folder);
    hid_t f = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    hsize_t dim[1] = {8};
    hid_t space = H5Screate_simple(1, dim, NULL), p = H5Pcreate(H5P_DATASET_CREATE);
    hid_t vlen = H5Tcopy(H5T_C_S1);
    H5Tset_size(vlen, H5T_VARIABLE);
    H5Dclose(H5Dcreate2(f, "text", vlen, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    H5Pset_external(p, "/etc/passwd", 0, 64);
    H5Dclose(H5Dcreate2(f, "outside", H5T_STD_U8LE, space, H5P_DEFAULT, p, H5P_DEFAULT));
    H5Lcreate_external("other.h5", "x", f, "link", H5P_DEFAULT, H5P_DEFAULT);
    H5Fclose(f);
    check_fails(rt_source_open(&s, path, "text"), RT_INPUT, "variable-length");
    check_fails(rt_source_open(&s, path, "outside"), RT_INPUT, "external file");
    check_fails(rt_source_open(&s, path, "link"), RT_INPUT, "a link to 'x' in the file 'other.h5'");
    check_fails(rt_source_open(&s, path, "none"), RT_INPUT, "has no data set 'none'");
    check_fails(rt_source_open(&s, "/nonexistent.h5", "x"), RT_INPUT, "No such file");
    check_fails(rt_source_open(&s, "/tmp", "x"), RT_INPUT, "is a folder");
}

/* Every file below a folder is scanned, and every set that can be read is read; nothing dies. */
static int each_file(const char *path, int *scanned)
{
    DIR *d = opendir(path);
    struct dirent *e;
    int files = 0;
    while (d && (e = readdir(d))) {
        char sub[2048];
        struct stat st;
        if (e->d_name[0] == '.') continue;
        snprintf(sub, sizeof sub, "%s/%s", path, e->d_name);
        if (stat(sub, &st)) continue;
        if (S_ISDIR(st.st_mode)) {
            files += each_file(sub, scanned);
            continue;
        }
        rt_h5_file *f;
        files++;
        if (rt_h5_scan(&f, sub)) continue;
        (*scanned)++;
        for (int i = 0; i < f->sets; i++) {
            rt_source *s;
            const rt_h5_dataset *q = &f->set[i];
            double bytes = q->element;
            for (int k = 0; k < q->rank; k++) bytes *= (double)q->dim[k];
            if (q->refused[0] || q->rank < 1 || bytes > 1e8) continue;
            if (!rt_source_open_in(&s, f, q->name)) {
                char *raw = malloc(rt_source_row_bytes(s) + 1);
                for (uint64_t r = 0; raw && r < rt_source_rows(s); r++) if (rt_source_read(s, &r, 1, raw)) break;
                free(raw);
                rt_source_close(s);
            }
        }
        rt_h5_close(f);
    }
    if (d) closedir(d);
    return files;
}

static void hostile_files(void **state)
{
    (void)state;
    int scanned = 0, files = each_file(RETORT_TEST_MATERIAL "/hdf5-malformed", &scanned);
    if (!files) skip();
    assert_true(files > 60);
}

static void valid_files(void **state)
{
    (void)state;
    int scanned = 0, files = each_file(RETORT_TEST_MATERIAL "/hdf5-valid/pyfive", &scanned) +
                             each_file(RETORT_TEST_MATERIAL "/hdf5-valid/jhdf", &scanned);
    if (!files) skip();
    assert_true(scanned > 60);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(layouts),       cmocka_unit_test(flipped_bit),
                                       cmocka_unit_test(truncated),     cmocka_unit_test(refused_by_name),
                                       cmocka_unit_test(hostile_files), cmocka_unit_test(valid_files)};
    return cmocka_run_group_tests(tests, make_test_folder, remove_test_folder);
}
