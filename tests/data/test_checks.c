/* Checksums beside imported data: as many and as large as documented, and no flipped bit of what is read goes unseen.
 */
#include "data/checks.h"
#include "data/import.h"
#include "data/names.h"
#include "data/source.h"
#include "engine/digest.h"
#include "tests/support.h"

enum { ROWS = 3000, WIDTH = 30 };

static char csv[64], path[64];
static float want[ROWS * WIDTH];
static int32_t want_y[ROWS];

static int set_up(void **state)
{
    if (make_test_folder(state)) return 1;
    snprintf(csv, sizeof csv, "%s/a.csv", test_folder);
    snprintf(path, sizeof path, "%s/a.h5", test_folder);
    FILE *f = fopen(csv, "w");
    for (int r = 0; r < ROWS; r++) {
        for (int c = 0; c < WIDTH; c++) {
            want[r * WIDTH + c] = (float)((r * 31 + c * 7) % 1000) + 0.5f;
            fprintf(f, "%.1f,", (double)want[r * WIDTH + c]);
        }
        fprintf(f, "%s\n", (want_y[r] = (r * 7 + r / 3) % 3) ? want_y[r] == 1 ? "b" : "c" : "a");
    }
    fclose(f);
    rt_import_spec s = {.format = RT_FORMAT_CSV, .input = csv, .label = "-1", .header = RT_HEADER_NO};
    cJSON *report = NULL;
    check_ok(rt_import_run(&s, &(rt_target){.path = path}, &report));
    cJSON_Delete(report);
    return 0;
}

static void flip(uint64_t at, int bit) { flip_bit(path, at, bit); }

/* Reads all of a set, in pieces. */
static rt_status read_all(const char *set, void *to)
{
    rt_source *s;
    rt_status st = rt_source_open(&s, path, set);
    if (st) return st;
    size_t row = rt_source_row_bytes(s);
    for (uint64_t r = 0; r < ROWS && !st; r += 7)
        st = rt_source_read_stored(s, r, ROWS - r < 7 ? ROWS - r : 7, (char *)to + r * row);
    rt_source_close(s);
    return st;
}

static void are_as_documented(void **state)
{
    (void)state;
    static const struct { const char *set, *sums; uint64_t row_bytes; } sets[] = {
        {"x", "retort_crc32c/x", WIDTH * 4}, {"y", "retort_crc32c/y", 4}};
    rt_h5_file *f;
    check_ok(rt_h5_scan(&f, path));
    for (int i = 0; i < 2; i++) {
        char *data;
        uint32_t *sum;
        uint64_t rows = 65536 / sets[i].row_bytes, blocks = (ROWS + rows - 1) / rows;
        check_ok(rt_h5_read_all((void **)&data, f, sets[i].set, 1 << 20));
        check_ok(rt_h5_read_all((void **)&sum, f, sets[i].sums, 1 << 20));
        assert_int_equal(rt_h5_find(f, sets[i].sums)->dim[0], blocks);
        for (uint64_t b = 0; b < blocks; b++) {
            uint64_t n = ROWS - b * rows < rows ? ROWS - b * rows : rows;
            assert_int_equal(sum[b], rt_crc32c(0, data + b * rows * sets[i].row_bytes, n * sets[i].row_bytes));
        }
        free(data);
        free(sum);
    }
    rt_h5_close(f);
    assert_int_equal(rt_check_rows(0), 1);
    assert_int_equal(rt_check_rows(65536), 1);
    assert_int_equal(rt_check_rows(1 << 20), 1);
    assert_int_equal(rt_check_rows(1), 65536);
    assert_int_equal(rt_check_blocks(65537, 1), 2);
}

/* A stream in pieces of any length has the sums of the whole. */
static void pieces(void **state)
{
    (void)state;
    enum { N = 200000 };
    char *data = (char *)random_floats(N / 4, 3);
    for (int step = 1; step < 70000; step = step * 7 + 3) {
        rt_check_sum s;
        check_ok(rt_check_begin(&s, N / 100, 100));
        for (int at = 0; at < N; at += step) rt_check_add(&s, data + at, (size_t)(N - at < step ? N - at : step));
        for (int b = 0; b < 4; b++) {
            int from = b * 65500, n = N - from < 65500 ? N - from : 65500;
            assert_int_equal(s.crc[b], rt_crc32c(0, data + from, (size_t)n));
        }
        rt_check_free(&s);
    }
    free(data);
}

static void flipped_bits_of_rows(void **state)
{
    (void)state;
    float *x = malloc(sizeof want);
    int32_t *y = malloc(sizeof want_y);
    rt_h5_file *f;
    check_ok(rt_h5_scan(&f, path));
    uint64_t at_x = rt_h5_find(f, "x")->offset, at_y = rt_h5_find(f, "y")->offset;
    uint64_t sums = rt_h5_find(f, "retort_crc32c/x")->offset, blocks = rt_h5_find(f, "retort_crc32c/x")->dim[0];
    rt_h5_close(f);
    check_ok(read_all("x", x));
    check_ok(read_all("y", y));
    assert_memory_equal(x, want, sizeof want);
    for (int r = 0; r < ROWS; r++) assert_int_equal(y[r] == y[0], want_y[r] == want_y[0]);
    for (uint64_t i = 0; i < sizeof want; i += 1709) {
        flip(at_x + i, (int)i % 8);
        check_fails(read_all("x", x), RT_INPUT, "their checksum differs");
        check_ok(read_all("y", y));
        flip(at_x + i, (int)i % 8);
    }
    for (uint64_t i = 0; i < sizeof want_y; i += 211) {
        flip(at_y + i, (int)i % 8);
        check_fails(read_all("y", y), RT_INPUT, "data set 'y'");
        flip(at_y + i, (int)i % 8);
    }
    for (uint64_t i = 0; i < blocks * 4; i++) {
        flip(sums + i, (int)i % 8);
        check_fails(read_all("x", x), RT_INPUT, "their checksum differs");
        flip(sums + i, (int)i % 8);
    }
    check_ok(read_all("x", x));
    free(x);
    free(y);
}

/* Rows of other blocks are read all the same, and a row read alone is compared, too. */
static void only_what_is_read(void **state)
{
    (void)state;
    rt_h5_file *f;
    rt_source *s;
    float row[WIDTH];
    uint64_t block = rt_check_rows(WIDTH * 4), far = 2 * block + 5;
    check_ok(rt_h5_scan(&f, path));
    flip(rt_h5_find(f, "x")->offset + far * WIDTH * 4, 3);
    check_ok(rt_source_open_in(&s, f, "x"));
    for (uint64_t r = 0; r < ROWS; r += 97)
        if (r / block == far / block)
            check_fails(rt_source_read(s, &r, 1, row), RT_INPUT, "'x': among the rows from 1092 to 1637");
        else check_ok(rt_source_read(s, &r, 1, row));
    float *all = malloc(sizeof want);                 /* a read that goes over more than one block */
    check_fails(rt_source_read_stored(s, block + 3, ROWS - block - 3, all), RT_INPUT, "from 1092 to 1637");
    free(all);
    rt_source_close(s);
    flip(rt_h5_find(f, "x")->offset + far * WIDTH * 4, 3);
    rt_h5_close(f);
}

static void manifest(void **state)
{
    (void)state;
    rt_h5_file *f;
    check_ok(rt_h5_scan(&f, path));
    const rt_h5_dataset *d = rt_h5_find(f, "manifest");
    for (uint32_t i = 0; i < d->element; i += 3) {
        char *text;
        flip(d->offset + i, (int)i % 8);
        check_fails(rt_h5_read_all((void **)&text, f, "manifest", 1 << 20), RT_INPUT, "its checksum differs");
        flip(d->offset + i, (int)i % 8);
    }
    rt_h5_close(f);
}

/* Sums of another length are refused, not taken for none. */
static void other_lengths(void **state)
{
    (void)state;
    char other[80];
    float x[8] = {0};
    uint32_t sum[2] = {0};
    rt_source *s;
    snprintf(other, sizeof other, "%s/other.h5", test_folder);
    rt_h5_item it[] = {{.name = "x", .type = RT_F32, .rank = 2, .dim = {4, 2}, .data = x},
                       {.name = "retort_crc32c/x", .type = RT_U32, .rank = 1, .dim = {2}, .data = sum}};
    check_ok(rt_h5_save(other, "retort-data-1", it, 2));
    check_fails(rt_source_open(&s, other, "x"), RT_INPUT, "do not fit 'x'");
    it[1].dim[0] = 1;
    sum[0] = rt_crc32c(0, x, sizeof x);
    check_ok(rt_h5_save(other, "retort-data-1", it, 2));
    check_ok(rt_source_open(&s, other, "x"));
    check_ok(rt_source_read_stored(s, 1, 2, x));
    rt_source_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(are_as_documented),    cmocka_unit_test(pieces),
                                       cmocka_unit_test(flipped_bits_of_rows), cmocka_unit_test(only_what_is_read),
                                       cmocka_unit_test(manifest),             cmocka_unit_test(other_lengths)};
    return cmocka_run_group_tests(tests, set_up, remove_test_folder);
}
