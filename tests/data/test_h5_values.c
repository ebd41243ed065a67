/* HDF5: sets of every layout, chunk index and fill value that the library writes have the values that H5Dread gives. */
#include <hdf5.h>

#include "tests/data/h5_support.h"

enum { A = 13, B = 9, C = 7, N = A * B * C };

typedef struct { int newest, unlimited, filter, early, edges, whole; } grid_case;

static void path_of(char path[128], const char *name) { snprintf(path, 128, "%s/%s", test_folder, name); }

static rt_h5_file *scan(const char *path)
{
    rt_h5_file *f;
    check_ok(rt_h5_scan(&f, path));
    return f;
}

/* Writes a cut of x and the rest never; gives back what the library reads. */
static void write_grid(const char *path, const grid_case *k, int32_t got[N])
{
    static int32_t x[N];
    int32_t fill = -3;
    hsize_t dim[3] = {A, B, C}, most[3] = {A, B, C}, chunk[3] = {4, 3, 2}, at[3] = {2, 1, 0}, n[3] = {11, 5, 7};
    for (int i = 0; i < N; i++) x[i] = i * 37 % 1001 + 1;
    for (int i = 0; i < 3; i++) if (k->unlimited >> i & 1) most[i] = H5S_UNLIMITED;
    hid_t access = H5Pcreate(H5P_FILE_ACCESS), p = H5Pcreate(H5P_DATASET_CREATE), s = H5Screate_simple(3, dim, most);
    if (k->newest) H5Pset_libver_bounds(access, H5F_LIBVER_V110, H5F_LIBVER_V110);
    H5Pset_chunk(p, 3, k->whole ? dim : chunk);
    H5Pset_fill_value(p, H5T_NATIVE_INT32, &fill);
    if (k->early) H5Pset_alloc_time(p, H5D_ALLOC_TIME_EARLY);
    if (k->edges) H5Pset_chunk_opts(p, H5D_CHUNK_DONT_FILTER_PARTIAL_CHUNKS);
    if (k->filter >= 2) H5Pset_shuffle(p);
    if (k->filter) H5Pset_deflate(p, 3);
    if (k->filter == 3) H5Pset_fletcher32(p);
    hid_t f = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, access), d = H5Dcreate2(f, "x", H5T_STD_I32LE, s, 0, p, 0);
    H5Sselect_hyperslab(s, H5S_SELECT_SET, at, NULL, n, NULL);
    assert_true(H5Dwrite(d, H5T_NATIVE_INT32, s, s, H5P_DEFAULT, x) >= 0);
    H5Sselect_all(s);
    H5Dclose(d);
    d = H5Dopen2(f, "x", 0);
    assert_true(H5Dread(d, H5T_NATIVE_INT32, s, s, H5P_DEFAULT, got) >= 0);
    H5Dclose(d);
    H5Fclose(f);
    H5Sclose(s);
    H5Pclose(p);
    H5Pclose(access);
}

/* B-tree 1; implicit, single chunk, fixed array, extensible array (whichever dimension is unlimited), B-tree 2. */
static void chunk_indexes(void **state)
{
    (void)state;
    char path[128];
    static int32_t want[N];
    path_of(path, "grid.h5");
    for (int newest = 0; newest < 2; newest++)
        for (int unlimited = 0; unlimited < 8; unlimited++)
            for (int filter = 0; filter < 4; filter++)
                for (int extra = 0; extra < 4; extra++) {
                    grid_case k = {newest, unlimited, filter, extra == 1, extra == 2, extra == 3 && !unlimited};
                    if (extra == 2 && (!newest || !filter)) continue;
                    size_t n;
                    write_grid(path, &k, want);
                    rt_h5_file *f = scan(path);
                    int32_t *got = h5_read(f, "x", RT_I32, &n);
                    assert_int_equal(n, N);
                    for (int i = 0; i < N; i++)
                        if (got[i] != want[i])
                            fail_msg("newest %d, unlimited %d, filter %d, extra %d: element %d is %d, want %d", newest,
                                     unlimited, filter, extra, i, got[i], want[i]);
                    free(got);
                    rt_h5_close(f);
                }
}

/* A chunk that was written past a filter has the filter's bit in its mask. */
static void skipped_filter(void **state)
{
    (void)state;
    char path[128];
    size_t count;
    int32_t x[8] = {5, -1, 7, 1 << 30, 2, 3, 4, 9};
    hsize_t dim[1] = {16}, chunk[1] = {8}, at[1] = {8};
    path_of(path, "skipped.h5");
    hid_t f = H5Fcreate(path, H5F_ACC_TRUNC, 0, 0), p = H5Pcreate(H5P_DATASET_CREATE);
    hid_t s = H5Screate_simple(1, dim, NULL);
    H5Pset_chunk(p, 1, chunk);
    H5Pset_shuffle(p);
    H5Pset_deflate(p, 3);
    hid_t d = H5Dcreate2(f, "x", H5T_STD_I32LE, s, 0, p, 0);
    assert_true(H5Dwrite_chunk(d, H5P_DEFAULT, 3, at, sizeof x, x) >= 0);
    H5Dclose(d);
    H5Fclose(f);
    rt_h5_file *file = scan(path);
    const rt_h5_dataset *q = rt_h5_find(file, "x");
    assert_int_equal(q->chunks, 2);
    assert_int_equal(q->chunk[0].bytes, 0);
    assert_int_equal(q->chunk[1].mask, 3);
    int32_t *got = h5_read(file, "x", RT_I32, &count);
    for (int i = 0; i < 8; i++) assert_int_equal(got[i], 0);
    assert_memory_equal(got + 8, x, sizeof x);
    free(got);
    rt_h5_close(file);
}

static void put(hid_t f, const char *name, hid_t type, hid_t p, int rows_written, const void *rows, hid_t rows_type)
{
    hsize_t dim[2] = {6, 2}, at[2] = {0, 0}, n[2] = {(hsize_t)rows_written, 2};
    hid_t s = H5Screate_simple(2, dim, NULL), m = H5Screate_simple(2, n, NULL);
    hid_t d = H5Dcreate2(f, name, type, s, 0, p, 0);
    assert_true(d >= 0);
    if (rows_written) {
        H5Sselect_hyperslab(s, H5S_SELECT_SET, at, NULL, n, NULL);
        assert_true(H5Dwrite(d, rows_type, m, s, H5P_DEFAULT, rows) >= 0);
    }
    H5Dclose(d);
    H5Sclose(m);
    H5Sclose(s);
}

static void check_filled(rt_h5_file *f, const char *name, rt_dtype type, size_t written, double fill)
{
    size_t n;
    void *data = h5_read(f, name, type, &n);
    assert_int_equal(n, 12);
    for (size_t i = 0; i < n; i++)
        check_close(name, h5_element(data, type, i), i < written ? 1.0 + (double)i : fill, 0, 0);
    free(data);
}

/* What was never written is the fill value, in the byte order of the set; where there is none, the set is refused. */
static void fill_values(void **state)
{
    (void)state;
    char path[128];
    double fill = 258.5, rows[4] = {1, 2, 3, 4};
    hsize_t chunk[2] = {2, 2};
    path_of(path, "fill.h5");
    hid_t f = H5Fcreate(path, H5F_ACC_TRUNC, 0, 0);
    hid_t p = H5Pcreate(H5P_DATASET_CREATE), q = H5Pcreate(H5P_DATASET_CREATE);
    put(f, "contiguous_default", H5T_STD_I16LE, p, 0, NULL, -1);
    H5Pset_fill_value(p, H5T_NATIVE_DOUBLE, &fill);
    put(f, "contiguous", H5T_IEEE_F32BE, p, 0, NULL, -1);
    put(f, "contiguous_part", H5T_STD_I32BE, p, 2, rows, H5T_NATIVE_DOUBLE);
    H5Pset_chunk(p, 2, chunk);
    put(f, "chunks", H5T_IEEE_F64LE, p, 2, rows, H5T_NATIVE_DOUBLE);
    put(f, "no_chunk", H5T_STD_I16BE, p, 0, NULL, -1);
    H5Pset_deflate(p, 1);
    put(f, "packed", H5T_STD_U16BE, p, 2, rows, H5T_NATIVE_DOUBLE);
    H5Pset_fill_time(p, H5D_FILL_TIME_NEVER);
    put(f, "never", H5T_STD_I32LE, p, 2, rows, H5T_NATIVE_DOUBLE);
    H5Pset_layout(q, H5D_COMPACT);
    H5Pset_fill_value(q, H5T_NATIVE_DOUBLE, &fill);
    put(f, "compact", H5T_STD_I32BE, q, 0, NULL, -1);
    H5Pset_layout(q, H5D_CONTIGUOUS);
    H5Pset_fill_value(q, -1, NULL);
    put(f, "undefined", H5T_STD_I32LE, q, 0, NULL, -1);
    H5Pset_chunk(q, 2, chunk);
    put(f, "undefined_part", H5T_STD_I32LE, q, 2, rows, H5T_NATIVE_DOUBLE);
    put(f, "undefined_full", H5T_STD_I32LE, q, 6, (double[]){1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, H5T_NATIVE_DOUBLE);
    hid_t text = H5Tcopy(H5T_C_S1), r = H5Pcreate(H5P_DATASET_CREATE);
    H5Tset_size(text, 12);
    put(f, "text", text, r, 0, NULL, -1);
    H5Pset_fill_value(r, text, "not given\0\0");
    put(f, "text_filled", text, r, 0, NULL, -1);
    H5Fclose(f);
    rt_h5_file *file = scan(path);
    check_filled(file, "contiguous_default", RT_I16, 0, 0);
    check_filled(file, "contiguous", RT_F32, 0, 258.5);
    check_filled(file, "contiguous_part", RT_I32, 4, 258);
    check_filled(file, "chunks", RT_F64, 4, 258.5);
    check_filled(file, "no_chunk", RT_I16, 0, 258);
    check_filled(file, "packed", RT_U16, 4, 258);
    check_filled(file, "compact", RT_I32, 0, 258);
    check_filled(file, "undefined_full", RT_I32, 12, 0);
    h5_refused(file, "never", "parts of it were never written, and the file defines no fill value");
    h5_refused(file, "undefined", "nothing was ever written to it, and the file defines no fill value");
    h5_refused(file, "undefined_part", "parts of it were never written");
    h5_refused(file, "text_filled", "its fill value is a text");
    size_t n;
    char *empty = h5_read(file, "text", RT_TEXT, &n);
    for (size_t i = 0; i < 12 * n; i++) assert_int_equal(empty[i], 0);
    free(empty);
    rt_h5_close(file);
}

/* Every number type in both byte orders, and integers in another guise. */
static void number_types(void **state)
{
    (void)state;
    char path[128];
    double rows[12];
    for (int i = 0; i < 12; i++) rows[i] = 1 + i;
    path_of(path, "types.h5");
    hid_t half = H5Tcopy(H5T_IEEE_F32BE), brain = H5Tcopy(H5T_IEEE_F32BE);
    hid_t odd = H5Tcopy(H5T_STD_I32LE), bits = H5Tcopy(H5T_IEEE_F32LE);
    H5Tset_fields(half, 15, 10, 5, 0, 10);
    H5Tset_size(half, 2);
    H5Tset_ebias(half, 15);
    H5Tset_fields(brain, 15, 7, 8, 0, 7);
    H5Tset_size(brain, 2);
    H5Tset_precision(odd, 31);
    H5Tset_ebias(bits, 126);
    hid_t names = H5Tenum_create(H5T_STD_U16BE);
    for (uint16_t v = 1; v <= 12; v++) {
        char name[8];
        snprintf(name, sizeof name, "v%d", v);
        H5Tenum_insert(names, name, (uint16_t[]){(uint16_t)(v << 8)});
    }
    const struct { const char *name; hid_t type; rt_dtype want; } k[] = {
        {"u8", H5T_STD_U8LE, RT_U8}, {"i8", H5T_STD_I8BE, RT_I8}, {"u16", H5T_STD_U16LE, RT_U16},
        {"u16be", H5T_STD_U16BE, RT_U16},
        {"i16", H5T_STD_I16LE, RT_I16}, {"i16be", H5T_STD_I16BE, RT_I16}, {"u32be", H5T_STD_U32BE, RT_U32},
        {"i32be", H5T_STD_I32BE, RT_I32}, {"u64be", H5T_STD_U64BE, RT_U64}, {"i64", H5T_STD_I64LE, RT_I64},
        {"i64be", H5T_STD_I64BE, RT_I64}, {"f32be", H5T_IEEE_F32BE, RT_F32}, {"f64be", H5T_IEEE_F64BE, RT_F64},
        {"f16be", half, RT_F16}, {"bf16be", brain, RT_BF16}};
    hid_t f = H5Fcreate(path, H5F_ACC_TRUNC, 0, 0);
    for (size_t i = 0; i < sizeof k / sizeof k[0]; i++) put(f, k[i].name, k[i].type, 0, 6, rows, H5T_NATIVE_DOUBLE);
    uint16_t code[12];
    for (int i = 0; i < 12; i++) code[i] = (uint16_t)(i + 1);
    put(f, "bitfield", H5T_STD_B16BE, 0, 6, code, H5T_NATIVE_B16);
    for (int i = 0; i < 12; i++) code[i] = (uint16_t)((i + 1) << 8);      /* as the file has them */
    put(f, "enum", names, 0, 6, code, names);
    put(f, "odd", odd, 0, 6, rows, H5T_NATIVE_DOUBLE);
    put(f, "biased", bits, 0, 6, rows, H5T_NATIVE_DOUBLE);
    put(f, "vax", H5T_VAX_F32, 0, 0, NULL, -1);
    H5Fclose(f);
    rt_h5_file *file = scan(path);
    for (size_t i = 0; i < sizeof k / sizeof k[0]; i++) check_filled(file, k[i].name, k[i].want, 12, 0);
    check_filled(file, "bitfield", RT_U16, 12, 0);
    check_filled(file, "enum", RT_U16, 12, 0);
    h5_refused(file, "odd", "integers of 31 bits in 4 bytes");
    h5_refused(file, "biased", "floating-point numbers of 4 bytes");
    h5_refused(file, "vax", "neither little- nor big-endian");
    rt_h5_close(file);
}

/* Offsets are told from the start of the file, whatever stands before the superblock. */
static void user_blocks(void **state)
{
    (void)state;
    static const hsize_t size[] = {512, 2048, 65536};
    double rows[12];
    hsize_t chunk[2] = {4, 2};
    for (int i = 0; i < 12; i++) rows[i] = 1 + i;
    for (int i = 0; i < 3; i++) {
        char path[128];
        path_of(path, "block.h5");
        hid_t c = H5Pcreate(H5P_FILE_CREATE), p = H5Pcreate(H5P_DATASET_CREATE);
        H5Pset_userblock(c, size[i]);
        hid_t f = H5Fcreate(path, H5F_ACC_TRUNC, c, 0);
        put(f, "x", H5T_IEEE_F32LE, p, 6, rows, H5T_NATIVE_DOUBLE);
        put(f, "nothing", H5T_STD_U16LE, p, 0, NULL, 0);
        double fill = 7;
        hid_t q = H5Pcopy(p);
        H5Pset_fill_value(q, H5T_NATIVE_DOUBLE, &fill);
        put(f, "filled", H5T_IEEE_F32BE, q, 0, NULL, 0);
        H5Pset_chunk(q, 2, chunk);
        put(f, "part", H5T_STD_I32LE, q, 2, rows, H5T_NATIVE_DOUBLE);
        H5Pclose(q);
        H5Pset_chunk(p, 2, chunk);
        put(f, "chunks", H5T_IEEE_F32LE, p, 6, rows, H5T_NATIVE_DOUBLE);
        H5Pset_deflate(p, 2);
        put(f, "packed", H5T_IEEE_F32LE, p, 6, rows, H5T_NATIVE_DOUBLE);
        H5Fclose(f);
        rt_h5_file *file = scan(path);
        check_filled(file, "x", RT_F32, 12, 0);
        check_filled(file, "nothing", RT_U16, 0, 0);
        check_filled(file, "filled", RT_F32, 0, 7);
        check_filled(file, "part", RT_I32, 4, 7);
        check_filled(file, "chunks", RT_F32, 12, 0);
        check_filled(file, "packed", RT_F32, 12, 0);
        rt_h5_close(file);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chunk_indexes), cmocka_unit_test(skipped_filter), cmocka_unit_test(fill_values),
        cmocka_unit_test(number_types), cmocka_unit_test(user_blocks)};
    return cmocka_run_group_tests(tests, make_test_folder, remove_test_folder);
}
