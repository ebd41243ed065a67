/* Streams: every row once an epoch, the same batches for any prefetch and from any start, splits, bad data. */
#include <hdf5.h>
#include <unistd.h>

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
    hid_t f = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT), p = H5Pcreate(H5P_DATASET_CREATE), s = H5Screate_simple(2, dim, NULL), s1 = H5Screate_simple(1, dim, NULL);
    if (chunk) {
        H5Pset_chunk(p, 2, chunks);
        H5Pset_deflate(p, 1);
    }
    hid_t d = H5Dcreate2(f, "x", H5T_IEEE_F32LE, s, H5P_DEFAULT, p, H5P_DEFAULT), e = H5Dcreate2(f, "y", H5T_STD_I32LE, s1, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
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
    rt_stream_spec spec = {.x = x, .y = y, .rows = &all, .classes = 7, .batch = 32, .shuffle = 1, .keep_tail = 1, .seed = 5, .prefetch = prefetch, .threads = threads};
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
            assert_int_equal(b->y[i], b->row[i] % 7);
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
            uint64_t *again = rows_of(files[f], prefetch[i], threads[i], 0, 64), *late = rows_of(files[f], prefetch[i], threads[i], 29, 64);
            assert_memory_equal(base, again, 64 * 32 * sizeof *base);
            assert_memory_equal(base + 29 * 32, late, 35 * 32 * sizeof *base);
            free(again);
            free(late);
        }
        free(base);
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
        rt_stream_spec spec = {.x = x, .y = y, .rows = &all, .classes = 7, .batch = 32, .prefetch = 3};
        check_ok(rt_stream_open(&s, &spec, 0));
        check_ok(rt_stream_next(s, &b));
        check_fails(rt_stream_next(s, &b), RT_INPUT, kind ? "row 41 has the label 7, but there are 7 classes" : "row 40 of 'x' contains NaN");
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

    check_fails(rt_rows_range(&kept, "100:90", 1000), RT_USAGE, "outside");
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(order), cmocka_unit_test(bad_data), cmocka_unit_test(splits)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
