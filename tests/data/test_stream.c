/* Streams: every row once an epoch, the same batches for any prefetch and from any start, splits, bad data. */
#include <hdf5.h>
#include <unistd.h>

#include "data/row_check.h"
#include "data/rows.h"
#include "data/stream.h"
#include "tests/support.h"

enum { N = 1003, D = 5 };
static char plain[64], chunked[64];

static void write_file(const char *path, int chunk, int bad_row, int bad_label)
{
    static float x[N][D];
    static int y[N];
    hsize_t dim[2] = {N, D}, chunks[2] = {20, D};
    for (int i = 0; i < N * D; i++) (&x[0][0])[i] = (float)i;
    for (int i = 0; i < N; i++) y[i] = i % 7;
    if (bad_row >= 0) x[bad_row][2] = NAN;
    if (bad_label >= 0) y[bad_label] = 7;
    hid_t f = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT), p = H5Pcreate(H5P_DATASET_CREATE),
          s = H5Screate_simple(2, dim, NULL), s1 = H5Screate_simple(1, dim, NULL);
    if (chunk) {
        H5Pset_chunk(p, 2, chunks);
        H5Pset_deflate(p, 1);
    }
    hid_t d = H5Dcreate2(f, "x", H5T_IEEE_F32LE, s, H5P_DEFAULT, p, H5P_DEFAULT),
          e = H5Dcreate2(f, "y", H5T_STD_I32LE, s1, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    H5Dwrite(d, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, x);
    H5Dwrite(e, H5T_NATIVE_INT, H5S_ALL, H5S_ALL, H5P_DEFAULT, y);
    H5Dclose(d); H5Dclose(e); H5Sclose(s); H5Sclose(s1); H5Pclose(p); H5Fclose(f);
}

static int set_up(void **state)
{
    (void)state;
    if (make_test_folder(state)) return 1;
    snprintf(plain, sizeof plain, "%s/plain.h5", test_folder);
    snprintf(chunked, sizeof chunked, "%s/chunked.h5", test_folder);
    write_file(plain, 0, -1, -1);
    write_file(chunked, 1, -1, -1);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return remove_test_folder(state);
}

/* Rows of batches [from, to) in order. */
static uint64_t *rows_of(const char *path, int prefetch, int threads, uint64_t from, uint64_t to)
{
    rt_source *x;
    rt_targets *y;
    rt_names seven = {.count = 7};
    rt_stream *s;
    const rt_rows all = rt_rows_between(0, N);
    check_ok(rt_source_open(&x, path, "x"));
    check_ok(rt_targets_open(&y, x, "y", &seven, RT_MATCH_NAMES));
    rt_stream_spec spec = {.x = x,
                           .target = {y},
                           .heads = 1,
                           .rows = &all,
                           .batch = 32,
                           .shuffle = 1,
                           .keep_tail = 1,
                           .seed = 5,
                           .prefetch = prefetch,
                           .threads = threads};
    check_ok(rt_stream_open(&s, &spec, from));
    assert_int_equal(rt_stream_steps(s), 32);
    uint64_t *out = malloc((to - from) * 32 * sizeof *out), n = 0;
    for (uint64_t g = from; g < to; g++) {
        const rt_batch *b;
        check_ok(rt_stream_next(s, &b));
        assert_int_equal(b->number, g);
        for (int i = 0; i < b->rows; i++) {
            const float *v = (const float *)(b->x + (size_t)i * D * 4);
            for (int k = 0; k < D; k++) assert_true(v[k] == (float)(b->row[i] * D + (uint64_t)k));
            assert_int_equal(b->target[0].y[i], b->row[i] % 7);
            out[n++] = b->row[i];
        }
        for (; n < (g - from + 1) * 32; n++) out[n] = UINT64_MAX;
    }
    rt_stream_close(s);
    rt_source_close(x);
    rt_targets_close(y);
    return out;
}

static void order(void **state)
{
    (void)state;
    const char *const files[] = {plain, chunked};
    for (int f = 0; f < 2; f++) {
        uint64_t *base = rows_of(files[f], 0, 0, 0, 64);
        for (int epoch = 0; epoch < 2; epoch++) {          /* a permutation each, and not the same */
            char seen[N] = {0};
            for (int i = 0; i < 32 * 32; i++) if (base[epoch * 1024 + i] != UINT64_MAX) seen[base[epoch * 1024 + i]]++;
            for (int i = 0; i < N; i++) assert_int_equal(seen[i], 1);
        }
        assert_true(memcmp(base, base + 1024, 1024 * sizeof *base) != 0);
        static const int prefetch[] = {1, 2, 8, 40}, threads[] = {1, 2, 3, 1};
        for (int i = 0; i < 4; i++) {
            uint64_t *again = rows_of(files[f], prefetch[i], threads[i], 0, 64),
                     *late = rows_of(files[f], prefetch[i], threads[i], 29, 64);
            assert_memory_equal(base, again, 64 * 32 * sizeof *base);
            assert_memory_equal(base + 29 * 32, late, 35 * 32 * sizeof *base);
            free(again);
            free(late);
        }
        free(base);
    }
}

/* A set of n rows of D elements of any type. */
static void write_set(const char *path, hid_t type, int n, int chunk, const void *x)
{
    hsize_t dim[2] = {(hsize_t)n, D}, chunks[2] = {(hsize_t)chunk, D};
    hid_t f = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT), p = H5Pcreate(H5P_DATASET_CREATE),
          s = H5Screate_simple(2, dim, NULL);
    if (chunk) {
        H5Pset_chunk(p, 2, chunks);
        H5Pset_deflate(p, 1);
    }
    hid_t d = H5Dcreate2(f, "x", type, s, H5P_DEFAULT, p, H5P_DEFAULT);
    H5Dwrite(d, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, x);
    H5Dclose(d); H5Sclose(s); H5Pclose(p); H5Fclose(f);
}

/* The reproduced case: 1,010 rows in blocks of 100, and batches that leave a tail; rows from the last, odd block on
 * came never. And rows that are not all of the source's: the blocks are those of the source. */
static void turns(void **state)
{
    (void)state;
    enum { ROWS = 1010, EPOCHS = 60 };
    static float x[ROWS][D];
    char path[64], text[160];
    snprintf(path, sizeof path, "%s/turns.h5", test_folder);
    for (int i = 0; i < ROWS; i++) x[i][0] = (float)i;
    write_set(path, H5T_NATIVE_FLOAT, ROWS, 100, x);
    rt_source *source;
    check_ok(rt_source_open(&source, path, "x"));
    for (int window = 0; window < 4; window++)
        for (int part = 0; part < 2; part++) {
            rt_rows_config c = {part ? "30:" : "", part ? 0.2 : 0, 1};
            rt_rows rows, test;
            rt_stream *s;
            const rt_batch *b;
            int times[ROWS] = {0};
            check_ok(rt_rows_select(&c, ROWS, &rows, &test));
            rt_stream_spec spec = {.x = source,
                                   .rows = &rows,
                                   .batch = 64,
                                   .shuffle = 1,
                                   .window = window,
                                   .seed = 5,
                                   .prefetch = 4,
                                   .threads = 2};
            check_ok(rt_stream_order_text(&spec, text, sizeof text));
            if (window) snprintf(path, sizeof path, "blocks of 100 rows mixed within windows of %d blocks", window);
            assert_string_equal(text, window ? path : "all rows mixed");
            check_ok(rt_stream_open(&s, &spec, 0));
            for (uint64_t g = 0; g < EPOCHS * rt_stream_steps(s); g++) {
                check_ok(rt_stream_next(s, &b));
                assert_int_equal(b->rows, 64);
                for (int r = 0; r < b->rows; r++) {
                    assert_true(((const float *)(b->x + (size_t)r * D * 4))[0] == (float)b->row[r]);
                    times[b->row[r]]++;
                }
            }
            for (uint64_t r = 0; r < ROWS; r++)
                if (rt_rows_has(&rows, r) ? times[r] < EPOCHS * 3 / 4 || times[r] > EPOCHS : times[r])
                    fail_msg("window %d, part %d: row %d came %d times", window, part, (int)r, times[r]);
            rt_stream_close(s);
            rt_rows_free(&rows);
            rt_rows_free(&test);
        }
    rt_source_close(source);
}

static void wrong_windows(void **state)
{
    (void)state;
    rt_source *x;
    char text[160];
    const rt_rows all = rt_rows_between(0, N), few = rt_rows_between(5, 15);
    check_ok(rt_source_open(&x, plain, "x"));
    rt_stream_spec spec = {.x = x, .rows = &all, .batch = 32, .shuffle = 1, .window = 2};
    check_fails(rt_stream_order_text(&spec, text, sizeof text), RT_USAGE, "train.shuffle_window: 'x' of");
    spec.shuffle = 0;
    check_ok(rt_stream_order_text(&spec, text, sizeof text));
    assert_string_equal(text, "rising");
    rt_source_close(x);
    check_ok(rt_source_open(&x, chunked, "x"));
    spec = (rt_stream_spec){.x = x, .rows = &all, .batch = 32, .shuffle = 1, .window = 100000};
    rt_stream *s;
    check_fails(rt_stream_open(&s, &spec, 0), RT_USAGE, "100000 blocks are asked for");
    assert_null(s);
    spec.window = 50;
    check_ok(rt_stream_order_text(&spec, text, sizeof text));
    assert_string_equal(text, "blocks of 20 rows mixed within windows of 50 blocks");
    spec.rows = &few;
    check_ok(rt_stream_order_text(&spec, text, sizeof text));
    assert_string_equal(text, "all rows mixed");
    rt_source_close(x);
}

/* Each kind of number that a float does not hold, by type; the same row marked where that is asked for. */
static void numbers(void **state)
{
    (void)state;
    enum { ROWS = 40 };
    static const struct {
        double value;
        const char *part;
        int f16, f32, f64, i32, u32, i64, u64;
    } cases[] = {/* 1: refused, 0: read, -1: not of the type */
                 {NAN, "NaN", 1, 1, 1, -1, -1, -1, -1},
                 {INFINITY, "infinity", 1, 1, 1, -1, -1, -1, -1},
                 {-INFINITY, "infinity", 1, 1, 1, -1, -1, -1, -1},
                 {65504, NULL, 0, 0, 0, 0, 0, 0, 0},
                 {16777216, NULL, -1, 0, 0, 0, 0, 0, 0},
                 {-16777216, NULL, -1, 0, 0, 0, -1, 0, -1},
                 {16777218, NULL, -1, 0, 0, 0, 0, 0, 0},
                 {16777217, "float32 would round", -1, -1, 0, 1, 1, 1, 1},
                 {-16777217, "float32 would round", -1, -1, 0, 1, -1, 1, -1},
                 {2147483647, "float32 would round", -1, -1, 0, 1, 1, 1, 1},
                 {-2147483648.0, NULL, -1, 0, 0, 0, -1, 0, -1},
                 {4294967295.0, "float32 would round", -1, -1, 0, -1, 1, 1, 1},
                 {0x1p53 - 1, "float32 would round", -1, -1, 0, -1, -1, 1, 1},
                 {0x1p62, NULL, -1, 0, 0, -1, -1, 0, 0},
                 {-0x1p63, NULL, -1, 0, 0, -1, -1, 0, -1},
                 {0x1p63, NULL, -1, 0, 0, -1, -1, -1, 0},
                 {3.4028234663852886e38, NULL, -1, 0, 0, -1, -1, -1, -1},
                 {3.5e38, "beyond the range", -1, -1, 1, -1, -1, -1, -1},
                 {-1e300, "beyond the range", -1, -1, 1, -1, -1, -1, -1},
                 {0.1, NULL, -1, -1, 0, -1, -1, -1, -1},
                 {5e-324, NULL, -1, -1, 0, -1, -1, -1, -1}};
    char path[64], row[64];
    snprintf(path, sizeof path, "%s/numbers.h5", test_folder);
    const rt_rows all = rt_rows_between(0, ROWS);
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++)
        for (int type = 0; type < 7; type++) {
            int want = (const int[]){cases[k].f16, cases[k].f32, cases[k].f64, cases[k].i32,
                                     cases[k].u32, cases[k].i64, cases[k].u64}[type],
                bad = 7 + (int)k;
            if (want < 0) continue;
            static union {
                uint16_t f16[ROWS][D];
                float f32[ROWS][D];
                double f64[ROWS][D];
                int32_t i32[ROWS][D];
                uint32_t u32[ROWS][D];
                int64_t i64[ROWS][D];
                uint64_t u64[ROWS][D];
            } x;
            memset(&x, 0, sizeof x);
            double v = cases[k].value;
            hid_t half = H5Tcopy(H5T_IEEE_F32LE);
            H5Tset_fields(half, 15, 10, 5, 0, 10);
            H5Tset_size(half, 2);
            H5Tset_ebias(half, 15);
            int at = (int)k % D;
            switch (type) {
            case 0: x.f16[bad][at] = isnan(v) ? 0x7e00 : v == 65504 ? 0x7bff : v > 0 ? 0x7c00 : 0xfc00; break;
            case 1: x.f32[bad][at] = (float)v; break;
            case 2: x.f64[bad][at] = v; break;
            case 3: x.i32[bad][at] = (int32_t)v; break;
            case 4: x.u32[bad][at] = (uint32_t)v; break;
            case 5: x.i64[bad][at] = (int64_t)v; break;
            default: x.u64[bad][at] = (uint64_t)v; break;
            }
            const hid_t types[] = {half,          H5T_IEEE_F32LE, H5T_IEEE_F64LE, H5T_STD_I32LE,
                                   H5T_STD_U32LE, H5T_STD_I64LE,  H5T_STD_U64LE};
            write_set(path, types[type], ROWS, 0, &x);
            H5Tclose(half);
            rt_source *source;
            rt_stream *s;
            const rt_batch *b;
            check_ok(rt_source_open(&source, path, "x"));
            for (int mark = 0; mark < 2; mark++) {
                rt_stream_spec spec = {.x = source, .rows = &all, .batch = ROWS, .mark_bad = mark};
                check_ok(rt_stream_open(&s, &spec, 0));
                snprintf(row, sizeof row, "row %d of 'x' contains", bad);
                if (want && !mark) {
                    check_fails(rt_stream_next(s, &b), RT_INPUT, row);
                    check_fails(RT_INPUT, RT_INPUT, cases[k].part);
                } else {
                    if (rt_stream_next(s, &b)) fail_msg("case %zu, type %d: %s", k, type, rt_error_message());
                    if (!mark) assert_null(b->bad);
                    for (int r = 0; mark && r < ROWS; r++) assert_int_equal(b->bad[r], want && r == bad);
                }
                rt_stream_close(s);
            }
            rt_source_close(source);
        }
}

/* bfloat16, which not every HDF5 library writes, and 8 and 16 bits. */
static void narrow_numbers(void **state)
{
    (void)state;
    static const uint16_t bf16[] = {0x7f80, 0xff80, 0x7f81, 0xffff, 0x7fc0},
                          fine[] = {0x7f7f, 0xff7f, 0, 0x8000, 0x7c00};
    for (int i = 0; i < 5; i++) {
        uint16_t row[9] = {0};
        row[i + 4] = bf16[i];
        assert_non_null(rt_row_fault(row, RT_BF16, 9));
        assert_null(rt_row_fault(row, RT_BF16, (size_t)i + 4));
        row[i + 4] = fine[i];
        assert_null(rt_row_fault(row, RT_BF16, 9));
        row[i + 4] = 0xffff;
        assert_null(rt_row_fault(row, RT_U16, 9));
        assert_null(rt_row_fault(row, RT_I16, 9));
        assert_null(rt_row_fault(row, RT_U8, 18));
    }
}

static void bad_data(void **state)
{
    (void)state;
    char path[64];
    rt_source *x;
    rt_targets *y;
    rt_names seven = {.count = 7};
    rt_stream *s;
    const rt_batch *b;
    snprintf(path, sizeof path, "%s/bad.h5", test_folder);
    const rt_rows all = rt_rows_between(0, N), none = rt_rows_between(7, 7);
    for (int kind = 0; kind < 2; kind++) {
        write_file(path, 0, kind ? -1 : 40, kind ? 41 : -1);
        check_ok(rt_source_open(&x, path, "x"));
        check_ok(rt_targets_open(&y, x, "y", &seven, RT_MATCH_NAMES));
        rt_stream_spec spec = {.x = x, .target = {y}, .heads = 1, .rows = &all, .batch = 32, .prefetch = 3};
        check_ok(rt_stream_open(&s, &spec, 0));
        check_ok(rt_stream_next(s, &b));
        check_fails(rt_stream_next(s, &b), RT_INPUT,
                    kind ? "row 41 has the label 7, but there are 7 classes" : "row 40 of 'x' contains NaN");
        rt_stream_close(s);
        spec.rows = &none;
        check_fails(rt_stream_open(&s, &spec, 0), RT_NOTHING, "no rows");
        rt_source_close(x);
        rt_targets_close(y);
    }
}

static void splits(void **state)
{
    (void)state;
    rt_rows kept, held, test, again, others;
    char seen[1000] = {0};
    check_ok(rt_rows_range(&kept, "100:900", 1000));
    check_ok(rt_rows_draw(&kept, 0.1, 3, RT_RNG_SPLIT, "validation", &held));
    assert_true(kept.count == 720 && held.count == 80 && rt_rows_common(&kept, &held) == 0);
    for (uint64_t i = 0; i < kept.count; i++) seen[rt_rows_at(&kept, i)]++;
    for (uint64_t i = 0; i < held.count; i++) seen[rt_rows_at(&held, i)]++;
    for (int i = 0; i < 1000; i++) assert_int_equal(seen[i], i >= 100 && i < 900);
    for (uint64_t i = 1; i < kept.count; i++) assert_true(rt_rows_at(&kept, i - 1) < rt_rows_at(&kept, i));
    rt_rows_free(&kept);
    rt_rows_free(&held);

    /* The same test rows whoever asks, others with another seed, and not those that validation would draw. */
    rt_rows_config c = {"", 30, 7};
    check_ok(rt_rows_select(&c, 1000, &kept, &test));
    check_ok(rt_rows_select(&c, 1000, &others, &again));
    assert_true(kept.count == 970 && test.count == 30 && rt_rows_common(&test, &again) == 30);
    rt_rows_free(&others);
    rt_rows_free(&again);
    c.test_seed = 8;
    check_ok(rt_rows_select(&c, 1000, &others, &again));
    assert_true(rt_rows_common(&test, &again) < 15);
    rt_rows_free(&again);
    rt_rows_free(&others);
    check_ok(rt_rows_range(&others, "", 1000));
    check_ok(rt_rows_draw(&others, 30, 7, RT_RNG_SPLIT, "validation", &again));
    assert_true(rt_rows_common(&test, &again) < 15);
    check_ok(rt_rows_remove(&others, &test));
    assert_true(rt_rows_common(&others, &test) == 0 && others.count == 970 - (30 - rt_rows_common(&test, &again)));
    rt_rows_free(&others);
    rt_rows_free(&again);
    rt_rows_free(&kept);
    rt_rows_free(&test);

    check_fails(rt_rows_range(&kept, "100:90", 1000), RT_USAGE, "end before they begin");
    check_fails(rt_rows_range(&kept, "0:1001", 1000), RT_USAGE, "outside");
    check_fails(rt_rows_range(&kept, "x", 1000), RT_USAGE, "first:end");
    c = (rt_rows_config){"0:10", 10, 1};
    check_fails(rt_rows_select(&c, 1000, &kept, &test), RT_USAGE, "data.test takes 10 of 10 rows, which leaves none");
    rt_rows_free(&kept);
    rt_rows_free(&test);
    c.range = "5:5";
    c.test = 0.5;
    check_ok(rt_rows_select(&c, 1000, &kept, &test));
    assert_true(kept.count == 0 && test.count == 0);
    rt_rows_free(&kept);
    rt_rows_free(&test);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(order),   cmocka_unit_test(bad_data),
                                       cmocka_unit_test(turns),   cmocka_unit_test(wrong_windows),
                                       cmocka_unit_test(numbers), cmocka_unit_test(narrow_numbers),
                                       cmocka_unit_test(splits)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
