/* How well orders mix: each figure against the same of permutations that this test draws and counts itself. */
#include <hdf5.h>
#include <unistd.h>

#include "data/mixing.h"
#include "tests/support.h"

enum { N = 3000, K = 6, CHUNK = 25 };
static char path[64];

/* x in gzip chunks or in one piece, y sorted by class or dealt out; every 9th row without a label. */
static void write_file(int sorted, int chunk)
{
    static float x[N][4];
    static int32_t y[N];
    hsize_t dim[2] = {N, 4}, chunks[2] = {(hsize_t)chunk, 4};
    for (int i = 0; i < N; i++) y[i] = i % 9 == 8 ? -1 : sorted ? i * K / N : (i * 7919 + i / 13) % K;
    hid_t f = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT), p = H5Pcreate(H5P_DATASET_CREATE);
    hid_t s = H5Screate_simple(2, dim, NULL), s1 = H5Screate_simple(1, dim, NULL);
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
    if (make_test_folder(state)) return 1;
    snprintf(path, sizeof path, "%s/m.h5", test_folder);
    return 0;
}

static int tear_down(void **state) { return remove_test_folder(state); }

typedef struct { double moved, runs; } sums;
static sums of_order(const uint64_t *rank, const int32_t *y, uint64_t n)
{
    sums s = {0, 0};
    int last = -2;
    for (uint64_t p = 0; p < n; p++) {
        s.moved += fabs((double)p - (double)rank[p]);
        if (y[rank[p]] < 0) continue;
        s.runs += y[rank[p]] != last;
        last = y[rank[p]];
    }
    return s;
}

/* The mean of permutations by Fisher and Yates. */
static sums usual(const int32_t *y, uint64_t n)
{
    enum { TIMES = 400 };
    static uint64_t rank[N];
    sums mean = {0, 0};
    uint64_t dice = 88172645463325252u;
    for (int t = 0; t < TIMES; t++) {
        for (uint64_t i = 0; i < n; i++) rank[i] = i;
        for (uint64_t i = n - 1; i > 0; i--) {
            dice ^= dice << 13, dice ^= dice >> 7, dice ^= dice << 17;
            uint64_t k = dice % (i + 1), other = rank[k];
            rank[k] = rank[i];
            rank[i] = other;
        }
        sums s = of_order(rank, y, n);
        mean.moved += s.moved / TIMES;
        mean.runs += s.runs / TIMES;
    }
    return mean;
}

static void figures(void **state)
{
    (void)state;
    for (int which = 0; which < 4; which++) {
        int sorted = which & 1, masked = which >> 1;
        rt_source *x;
        rt_targets *y;
        rt_names names = {.count = K};
        rt_rows_config c = {masked ? "37:2411" : "", masked ? 0.2 : 0, 1};
        rt_rows rows, test;
        rt_stream *t;
        rt_mixing m;
        static uint64_t rank[N], row[N];
        static int32_t label[N];
        write_file(sorted, CHUNK);
        check_ok(rt_source_open(&x, path, "x"));
        check_ok(rt_targets_open(&y, x, "y", &names, RT_MATCH_NAMES));
        check_ok(rt_rows_select(&c, N, &rows, &test));
        rt_stream_spec spec = {
            .x = x, .rows = &rows, .batch = 64, .shuffle = 1, .window = 4, .seed = 11, .target = {y}, .heads = 1};
        check_ok(rt_mixing_of(&m, &spec, y));
        assert_int_equal(m.measured, 1);
        assert_int_equal(m.places, rows.count);

        spec.keep_tail = 1;                           /* what the stream really gives */
        check_ok(rt_stream_open(&t, &spec, 0));
        uint64_t n = 0;
        for (uint64_t g = 0; g < rt_stream_steps(t); g++) {
            const rt_batch *b;
            check_ok(rt_stream_next(t, &b));
            for (int i = 0; i < b->rows; i++) rank[n++] = rt_rows_below(&rows, b->row[i]);
        }
        rt_stream_close(t);
        assert_int_equal(n, rows.count);
        rt_rows_list(&rows, 0, n, row);
        check_ok(rt_targets_read(y, row, (int)n, label));
        sums got = of_order(rank, label, n), want = usual(label, n);
        check_close("displacement", m.displacement, got.moved / want.moved, 0, 0.01);
        check_close("class runs", m.class_runs, got.runs / want.runs, 0, 0.01);
        assert_true(m.displacement > 0.8 && m.displacement < 1.2);      /* blocks of all places meet */
        if (sorted) assert_true(m.class_runs < RT_MIXING_LOW);
        else assert_true(m.class_runs > 0.95 && m.class_runs < 1.05);
        assert_true(m.window_share > 3.0 * CHUNK / N && m.window_share < 6.0 * CHUNK / (double)(masked ? 2374 : N));

        char text[RT_MIXING_TEXT];
        rt_mixing_text(&m, text);
        assert_non_null(strstr(text, "classes change"));
        check_ok(rt_mixing_of(&m, &spec, NULL));      /* without classes */
        assert_true(isnan(m.class_runs));
        rt_mixing_text(&m, text);
        assert_null(strstr(text, "classes"));
        cJSON *j = rt_mixing_json(&m);
        assert_true(cJSON_IsNull(cJSON_GetObjectItem(j, "class_runs")) &&
                    cJSON_IsNumber(cJSON_GetObjectItem(j, "displacement")));
        cJSON_Delete(j);
        rt_targets_close(y);
        rt_source_close(x);
        rt_rows_free(&rows);
        rt_rows_free(&test);
    }
}

/* A larger window mixes more; all of them is a full permutation, of which nothing is told. */
static void windows(void **state)
{
    (void)state;
    rt_source *x;
    rt_targets *y;
    rt_names names = {.count = K};
    rt_mixing m;
    double last = 0;
    const rt_rows all = rt_rows_between(0, N);
    write_file(1, CHUNK);
    check_ok(rt_source_open(&x, path, "x"));
    check_ok(rt_targets_open(&y, x, "y", &names, RT_MATCH_NAMES));
    for (int w = 1; w <= 64; w *= 4) {
        rt_stream_spec spec = {.x = x, .rows = &all, .batch = 50, .shuffle = 1, .window = w, .seed = 2};
        check_ok(rt_mixing_of(&m, &spec, y));
        assert_true(m.class_runs > last);
        last = m.class_runs;
        check_close("share", m.window_share, w * (double)CHUNK / N, 0, 0.4);
    }
    assert_true(last > 0.95);
    for (int shuffle = 0; shuffle < 2; shuffle++) {
        rt_stream_spec spec = {
            .x = x, .rows = &all, .batch = 50, .shuffle = shuffle, .window = shuffle ? 120 : 0, .seed = 2};
        check_ok(rt_mixing_of(&m, &spec, y));
        assert_int_equal(m.measured, 0);
    }
    rt_targets_close(y);
    rt_source_close(x);
}

/* A window of data that is not decoded: blocks of 1 MiB, asked for alone. */
static void in_one_piece(void **state)
{
    (void)state;
    enum { ROWS = 64, WIDTH = 1 << 16 };              /* rows of 256 KiB, three in a block */
    rt_source *x;
    rt_mixing m;
    char text[160];
    float *data = calloc((size_t)ROWS * WIDTH, sizeof *data);
    for (int i = 0; i < ROWS; i++) data[(size_t)i * WIDTH] = (float)i;
    rt_h5_item it = {.name = "x", .type = RT_F32, .rank = 2, .dim = {ROWS, WIDTH}, .data = data};
    check_ok(rt_h5_save(path, "retort-data-1", &it, 1));
    check_ok(rt_source_open(&x, path, "x"));
    const rt_rows all = rt_rows_between(0, ROWS);
    rt_stream_spec spec = {.x = x, .rows = &all, .batch = 4, .shuffle = 1, .seed = 2};
    check_ok(rt_stream_order_text(&spec, text, sizeof text));
    assert_string_equal(text, "all rows mixed");
    spec.window = 2;
    check_ok(rt_stream_order_text(&spec, text, sizeof text));
    assert_string_equal(text, "blocks of 3 rows mixed within windows of 2 blocks");
    check_ok(rt_mixing_of(&m, &spec, NULL));
    check_close("share", m.window_share, 6.0 / ROWS, 0, 0.1);
    rt_stream *t;
    int seen[ROWS] = {0};
    check_ok(rt_stream_open(&t, &spec, 0));
    for (uint64_t g = 0; g < rt_stream_steps(t); g++) {
        const rt_batch *b;
        check_ok(rt_stream_next(t, &b));
        for (int i = 0; i < b->rows; i++) {
            seen[b->row[i]]++;
            assert_true(*(const float *)(b->x + (size_t)i * WIDTH * 4) == (float)b->row[i]);
        }
    }
    for (int i = 0; i < ROWS; i++) assert_int_equal(seen[i], 1);
    rt_stream_close(t);
    spec.window = 22;
    check_fails(rt_stream_order_text(&spec, text, sizeof text), RT_USAGE,
                "has 22 blocks of 3 rows, so that 22 would mix all");
    rt_source_close(x);
    it.dim[0] = 8;
    it.dim[1] = WIDTH * 8;
    check_ok(rt_h5_save(path, "retort-data-1", &it, 1));
    check_ok(rt_source_open(&x, path, "x"));
    const rt_rows eight = rt_rows_between(0, 8);
    spec = (rt_stream_spec){.x = x, .rows = &eight, .batch = 4, .shuffle = 1, .window = 2};
    check_fails(rt_stream_order_text(&spec, text, sizeof text), RT_USAGE, "rows so large");
    rt_source_close(x);
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(figures), cmocka_unit_test(windows),
                                       cmocka_unit_test(in_one_piece)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
