/* Several files as one source: rows as in one file whatever the layouts and the cuts, one content, leaves that are kept
 * by file, orders that decode each block about once, and what cannot be one named with two files. The HDF5 library
 * writes the files. */
#include <hdf5.h>
#include <limits.h>
#include <pthread.h>
#include <unistd.h>

#include "data/identity.h"
#include "data/names.h"
#include "data/order.h"
#include "data/source_files.h"
#include "data/stream.h"
#include "tests/support.h"

enum { N = 2003, D = 7, FILES = 6 };
static float x[N][D];
static char folder[64];

static const char *at(const char *name)
{
    static char path[4][96];
    static int next;
    next = (next + 1) % 4;
    snprintf(path[next], sizeof path[next], "%s/%s", folder, name);
    return path[next];
}

/* Rows [first, end) of what is given, chunk rows in a chunk (0: in one piece), filters as told. */
typedef enum { PLAIN, GZIP = 1, BIG_ENDIAN_TYPE = 2, COLUMNS_CUT = 4 } how;
static void write_rows(const char *path, const float *data, hsize_t rows, hsize_t width, int chunk, how h)
{
    hsize_t dim[2] = {rows, width}, chunks[2] = {(hsize_t)chunk, h & COLUMNS_CUT ? 3 : width};
    hsize_t most[2] = {H5S_UNLIMITED, width};
    hid_t f = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT), p = H5Pcreate(H5P_DATASET_CREATE);
    hid_t s = H5Screate_simple(2, dim, chunk ? most : NULL);
    if (chunk) H5Pset_chunk(p, 2, chunks);
    if (h & GZIP) {
        H5Pset_shuffle(p);
        H5Pset_deflate(p, 1);
    }
    hid_t d = H5Dcreate2(f, "x", h & BIG_ENDIAN_TYPE ? H5T_IEEE_F32BE : H5T_IEEE_F32LE, s, H5P_DEFAULT, p, H5P_DEFAULT);
    if (rows) assert_true(H5Dwrite(d, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) >= 0);
    H5Dclose(d);
    H5Pclose(p);
    H5Sclose(s);
    H5Fclose(f);
}

static int set_up(void **state)
{
    if (make_test_folder(state)) return 1;
    strcpy(folder, test_folder);
    setenv("XDG_CACHE_HOME", test_folder, 1);
    for (int i = 0; i < N * D; i++) (&x[0][0])[i] = (float)i * 0.5f;
    return 0;
}

static int tear_down(void **state) { return remove_test_folder(state); }

/* ---- rows ---- */

/* Ends of the files' rows; one is empty, one has a single row. */
static const int cut[FILES + 1] = {0, 500, 500, 501, 1100, 1787, N};

static void write_cut(void)
{
    static const struct { int chunk; how h; } as[FILES] = {{0, PLAIN},    {10, GZIP}, {100, GZIP | BIG_ENDIAN_TYPE},
                                                           {64, PLAIN}, {33, GZIP | COLUMNS_CUT}, {21, GZIP}};
    char name[16];
    for (int i = 0; i < FILES; i++) {
        snprintf(name, sizeof name, "cut%d.h5", i);
        write_rows(at(name), x[cut[i]], (hsize_t)(cut[i + 1] - cut[i]), D, as[i].chunk, as[i].h);
    }
}

typedef struct { rt_source *s; unsigned seed; int bad; } reading;
static void *read_some(void *arg)
{
    reading *r = arg;
    unsigned dice = r->seed;
    for (int k = 0; k < 300; k++) {
        uint64_t row[700];
        float got[700][D];
        int n = (int)((dice = dice * 1664525u + 1013904223u) >> 16) % 700, runs = k % 2;
        uint64_t first = (dice = dice * 1664525u + 1013904223u) % (N - 700);
        for (int i = 0; i < n; i++) row[i] = runs ? first + (uint64_t)i : (dice = dice * 1664525u + 1013904223u) % N;
        r->bad |= runs ? rt_source_read_stored(r->s, first, (uint64_t)n, got) : rt_source_read(r->s, row, n, got);
        for (int i = 0; i < n; i++) r->bad |= memcmp(got[i], x[row[i]], sizeof x[0]) != 0;
    }
    return NULL;
}

static void rows_are_those_of_one(void **state)
{
    (void)state;
    rt_source *s, *one;
    rt_shape shape;
    uint64_t past = N;
    float row[D];
    rt_digest a, b;
    const uint64_t *first;
    write_cut();
    write_rows(at("whole.h5"), x[0], N, D, 0, PLAIN);
    check_ok(rt_source_open(&s, at("cut*.h5"), "x"));
    assert_int_equal(rt_source_rows(s), N);
    assert_int_equal(rt_source_row_bytes(s), D * 4);
    check_ok(rt_source_shape(s, &shape));
    assert_true(shape.rank == 1 && shape.dim[0] == D);
    assert_int_equal(rt_source_files_behind(s, &first), FILES);
    for (int i = 0; i <= FILES; i++) assert_int_equal(first[i], cut[i]);
    pthread_t thread[3];
    reading r[3];
    for (int i = 0; i < 3; i++) {
        r[i] = (reading){s, (unsigned)i + 1, 0};
        pthread_create(&thread[i], NULL, read_some, &r[i]);
    }
    for (int i = 0; i < 3; i++) pthread_join(thread[i], NULL);
    for (int i = 0; i < 3; i++) assert_false(r[i].bad);
    check_fails(rt_source_read(s, &past, 1, row), RT_INPUT, "row 2003 is asked for, but data set 'x' has 2003");
    check_fails(rt_source_read_stored(s, N - 1, 2, row), RT_INPUT, "row 2003");
    check_ok(rt_source_open(&one, at("whole.h5"), "x"));
    check_ok(rt_identity_of(&a, one, RT_CHECK_KNOWN, NULL, NULL));
    check_ok(rt_identity_of(&b, s, RT_CHECK_KNOWN, NULL, NULL));
    assert_string_equal(a.hex, b.hex);
    rt_source_close(s);
    rt_source_close(one);

    char list[400];                                   /* another order is another content */
    snprintf(list, sizeof list, "[\"%s\", \"%s/cut[0-4].h5\"]", at("cut5.h5"), folder);
    check_ok(rt_source_open(&s, list, "x"));
    check_ok(rt_source_read_stored(s, N - 1787, 1, row));
    assert_memory_equal(row, x[0], sizeof x[0]);
    check_ok(rt_identity_of(&b, s, RT_CHECK_KNOWN, NULL, NULL));
    assert_string_not_equal(a.hex, b.hex);
    rt_source_close(s);
}

static void names_by_bytes(void **state)
{
    (void)state;
    static const char *const name[] = {"s10.h5", "s2.h5", "sA.h5", "s\303\244.h5", "sa.h5"};
    rt_source_files l;
    char text[600], sub[80];
    for (int i = 0; i < 5; i++) write_rows(at(name[i]), x[i], 1, D, 0, PLAIN);
    FILE *beside = fopen(at("s2.h5.retort-id"), "w");  /* what lies beside data, and what is hidden, is none */
    fclose(beside);
    FILE *hidden = fopen(at(".s3.h5"), "w");
    fclose(hidden);
    check_ok(rt_source_files_of(&l, at("s*")));
    assert_int_equal(l.count, 5);
    static const int order[] = {0, 1, 2, 4, 3};
    for (int i = 0; i < 5; i++) assert_string_equal(l.path[i], at(name[order[i]]));
    rt_source_files_free(&l);
    snprintf(sub, sizeof sub, "%s/s[1].h5", folder);   /* a file of a pattern's name is that file */
    write_rows(sub, x[7], 1, D, 0, PLAIN);
    check_ok(rt_source_files_of(&l, sub));
    assert_true(l.count == 1 && !strcmp(l.path[0], sub));
    rt_source_files_free(&l);
    unlink(sub);
    check_fails(rt_source_files_of(&l, sub), RT_INPUT, "no file has such a name");
    snprintf(text, sizeof text, "[\"%s\", \"%s/s2*\"]", at("sa.h5"), folder);
    check_ok(rt_source_files_of(&l, text));
    assert_int_equal(l.count, 2);
    assert_true(!strcmp(l.path[0], at("sa.h5")) && !strcmp(l.path[1], at("s2.h5")));
    rt_source_files_free(&l);
    static const char *const bad[] = {"[\"a\"", "[\"a\", 3]", "[\"a\", \"\"]"};
    for (int i = 0; i < 3; i++) check_fails(rt_source_files_of(&l, bad[i]), RT_USAGE, "is no list of files");
}

/* ---- a configuration ---- */

static void configurations(void **state)
{
    (void)state;
    static const struct { const char *text, *want;
    } good[] = {{"{\"source\": \"a.h5\"}", "a.h5"},
                {"{\"source\": [\"a.h5\"]}", "a.h5"},
                {"{\"source\": [\"a.h5\", \"b*\"]}", "[\"a.h5\",\"b*\"]"}};
    static const char *const bad[] = {"{\"source\": []}", "{\"source\": [1]}",       "{\"source\": [\"\"]}",
                                      "{\"source\": 5}",  "{\"source\": [[\"a\"]]}", "{\"source\": \"\"}"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        cJSON *j;
        check_ok(rt_json_parse(&j, good[i].text, strlen(good[i].text), "test"));
        rt_cfg c = rt_cfg_begin(j, "data");
        assert_string_equal(rt_cfg_source(&c, "source", NULL), good[i].want);
        assert_string_equal(cJSON_GetObjectItem(j, "source")->valuestring, good[i].want);    /* also when read again */
        assert_string_equal(rt_source_in(j), good[i].want);
        check_ok(rt_cfg_end(&c));
        cJSON_Delete(j);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cJSON *j;
        check_ok(rt_json_parse(&j, bad[i], strlen(bad[i]), "test"));
        rt_cfg c = rt_cfg_begin(j, "data");
        rt_cfg_source(&c, "source", NULL);
        check_fails(rt_cfg_end(&c), RT_USAGE, "data.source");
        cJSON_Delete(j);
    }
}

/* ---- what cannot be one ---- */

static void refused(const char *second, rt_status st, const char *part, const char *other)
{
    rt_source *s;
    char list[300];
    snprintf(list, sizeof list, "[\"%s\", \"%s\"]", at("one.h5"), second);
    check_fails(rt_source_open(&s, list, "x"), st, part);
    if (!strstr(rt_error_message(), other) || !strstr(rt_error_message(), second))
        fail_msg("'%s' does not name both files", rt_error_message());
    assert_null(strchr(rt_error_message(), '\n'));
}

static void write_named(const char *path, const char *manifest)
{
    rt_h5_item it[] = {{.name = "x", .type = RT_F32, .rank = 2, .dim = {3, D}, .data = x},
                       {.name = "manifest", .type = RT_TEXT, .element = (uint32_t)strlen(manifest), .data = manifest}};
    check_ok(rt_h5_save(path, "retort-data-1", it, 2));
}

static void differing(void **state)
{
    (void)state;
    char one[96], two[96];
    int32_t whole[3][D] = {{0}};
    strcpy(one, at("one.h5"));
    strcpy(two, at("two.h5"));
    write_rows(one, x[0], 3, D, 0, PLAIN);
    write_rows(two, x[0], 3, D - 1, 0, PLAIN);
    refused(two, RT_INPUT, "has rows of (7) f32", one);
    rt_h5_item ints = {.name = "x", .type = RT_I32, .rank = 2, .dim = {3, D}, .data = whole};
    check_ok(rt_h5_save(two, "retort-data-1", &ints, 1));
    refused(two, RT_INPUT, "of (7) i32", one);
    rt_h5_item flat = {.name = "x", .type = RT_F32, .rank = 1, .dim = {3}, .data = x};
    check_ok(rt_h5_save(two, "retort-data-1", &flat, 1));
    refused(two, RT_INPUT, "of f32", one);
    rt_h5_item other = {.name = "z", .type = RT_F32, .rank = 2, .dim = {3, D}, .data = x};
    check_ok(rt_h5_save(two, "retort-data-1", &other, 1));
    refused(two, RT_INPUT, "has it, ", one);
    rt_h5_item single = {.name = "x", .type = RT_F32, .rank = 0, .data = x};
    check_ok(rt_h5_save(two, "retort-data-1", &single, 1));
    refused(two, RT_INPUT, "rows of (7) f32", one);
    assert_int_equal(symlink(one, at("link.h5")), 0);
    refused(at("link.h5"), RT_USAGE, "twice", one);

    write_named(one, "{\"classes\": [\"cat\", \"dog\"], \"columns\": [\"a\",\"b\",\"c\",\"d\",\"e\",\"f\",\"g\"]}");
    static const char *const manifest[][2] = {{"{\"classes\": [\"dog\", \"cat\"]}", "its classes are dog, cat"},
                                              {"{}", "its classes are numbers, without names"},
                                              {"{\"classes\": [\"cat\", \"dog\"]}", "its columns are"}};
    for (int i = 0; i < 3; i++) {
        write_named(two, manifest[i][0]);
        refused(two, RT_INPUT, manifest[i][1], one);
    }
    rt_names classes;
    rt_h5_file *f;
    char list[300];
    write_named(
        two,
        "{\"columns\": [\"a\",\"b\",\"c\",\"d\",\"e\",\"f\",\"g\"], \"other\": 1, \"classes\": [\"cat\", \"dog\"]}");
    snprintf(list, sizeof list, "[\"%s\",\"%s\"]", one, two);
    check_ok(rt_source_scan(&f, list));
    check_ok(rt_names_read(f, &classes, NULL));
    assert_true(classes.count == 2 && !strcmp(classes.name[1], "dog"));
    rt_names_free(&classes);
    const rt_h5_dataset *d;
    check_fails(rt_h5_need(&d, f, "none"), RT_INPUT, "has no data set 'none'; it has: manifest, x");
    rt_source *s;
    assert_int_equal(rt_source_open_in(&s, f, "manifest"), RT_INPUT);
    rt_h5_close(f);
}

/* ---- what is kept ---- */

enum { WIDTH = 3 << 18, SPAN = 5, LARGE = 19 };       /* rows of 3 MiB, five in a span */
static const int large_cut[] = {0, 7, 8, 14, LARGE};
static void write_large(int i)
{
    float *v = random_floats((size_t)(large_cut[i + 1] - large_cut[i]) * WIDTH, (uint32_t)i);
    char name[16];
    snprintf(name, sizeof name, "large%d.h5", i);
    rt_h5_item it = {
        .name = "x", .type = RT_F32, .rank = 2, .dim = {(uint64_t)(large_cut[i + 1] - large_cut[i]), WIDTH}, .data = v};
    check_ok(rt_h5_save(at(name), "retort-data-1", &it, 1));
    free(v);
}

/* Which spans are known, as bits; then all are made known. */
static unsigned known(const char *source, rt_digest *root)
{
    rt_source *s;
    rt_identity *id;
    unsigned bits = 0;
    check_ok(rt_source_open(&s, source, "x"));
    check_ok(rt_identity_open(&id, s, RT_CHECK_KNOWN));
    assert_int_equal(rt_identity_span_rows(id), SPAN);
    for (uint64_t i = 0; i < rt_identity_spans(id); i++) bits |= (unsigned)(rt_identity_known(id, i) != 0) << i;
    check_ok(rt_identity_root(root, id, NULL, NULL));
    check_ok(rt_identity_unchanged(id));
    rt_identity_close(id);
    rt_source_close(s);
    return bits;
}

static void kept_by_file(void **state)
{
    (void)state;
    rt_digest first, again, three, grown, other;
    char all[80], some[80], alone[80];
    for (int i = 0; i < 4; i++) write_large(i);
    snprintf(all, sizeof all, "%s/large*.h5", folder);
    snprintf(some, sizeof some, "%s/large[0-2].h5", folder);
    snprintf(alone, sizeof alone, "%s/large0.h5", folder);
    usleep(2100000);                                  /* old enough for leaves to be kept */
    assert_int_equal(known(some, &three), 0);         /* rows 0-4; 5-9 of three files; 10-13 */
    assert_int_equal(known(some, &again), 7);
    assert_string_equal(three.hex, again.hex);
    assert_int_equal(known(all, &grown), 3);          /* the span that got rows of the new file is not known */
    assert_int_equal(known(all, &again), 15);
    assert_string_equal(grown.hex, again.hex);
    assert_int_equal(known(some, &again), 7);         /* nothing that was known is forgotten */
    assert_string_equal(three.hex, again.hex);
    assert_int_equal(known(alone, &first), 1);        /* the first file by itself begins as the source does */
    char last[80];
    snprintf(last, sizeof last, "%s/large3.h5", folder);
    assert_int_equal(known(last, &first), 0);         /* another does not */
    assert_int_equal(known(last, &first), 1);
    assert_int_equal(known(all, &again), 15);
    assert_string_equal(grown.hex, again.hex);
    char cache[120];
    snprintf(cache, sizeof cache, "%s/large2.h5.retort-id", folder);
    assert_int_equal(unlink(cache), 0);
    assert_int_equal(known(all, &again), 11);         /* span 2 begins in that file */
    assert_string_equal(grown.hex, again.hex);
    write_large(1);                                   /* written anew, with the same rows: what has its row is hashed */
    assert_int_equal(known(all, &again), 13);
    assert_string_equal(grown.hex, again.hex);
    rt_source *s;
    rt_identity *id;
    check_ok(rt_source_open(&s, all, "x"));
    check_ok(rt_identity_open(&id, s, RT_CHECK_KNOWN));
    check_ok(rt_identity_know(id, 0, LARGE, NULL, NULL));
    rt_source *link = rt_source_link(s, 2);
    flip_bit(rt_source_path(link), rt_source_info(link)->offset + (size_t)WIDTH * 4 * 3 + 5, 1);    /* row 11 */
    check_fails(rt_identity_unchanged(id), RT_INPUT, "rows 10 to 14, from row 2 of ");
    assert_non_null(strstr(rt_error_message(), "large2.h5 on, were changed while they were read"));
    rt_identity_close(id);
    rt_source_close(s);
    assert_int_equal(known(all, &other), 9);          /* of spans 1 and 2 some rows lie in the changed file */
    assert_string_not_equal(grown.hex, other.hex);
}

/* ---- orders ---- */

/* Blocks are counted in each file; a window's batches have rows of its blocks alone, and each row comes once. */
static void blocks_of_files(void **state)
{
    (void)state;
    static const uint64_t first[] = {0, 95, 95, 130, 331, 400};
    enum { ROWS = 400, BLOCK = 20, WINDOW = 3, UNITS = 5 + 0 + 2 + 11 + 4 };
    rt_rows all = rt_rows_between(0, ROWS);
    rt_order o = {.rows = &all,
                  .batch = 1,
                  .shuffle = 1,
                  .seed = 3,
                  .block = BLOCK,
                  .window = WINDOW,
                  .file_first = first,
                  .files = 5};
    rt_order_reader c;
    assert_int_equal(rt_order_block_of(&o, 94), 4);
    assert_int_equal(rt_order_block_of(&o, 95), 5);
    assert_int_equal(rt_order_block_of(&o, 399), UNITS - 1);
    rt_order_plan(&o);
    assert_int_equal(o.units, UNITS);
    check_ok(rt_order_reader_open(&c, &o));
    for (int epoch = 0; epoch < 4; epoch++) {
        int seen[ROWS] = {0}, open[UNITS] = {0}, left[UNITS] = {0}, n;
        for (int i = 0; i < ROWS; i++) left[rt_order_block_of(&o, (uint64_t)i)]++;
        for (uint64_t g = 0; g < o.steps; g++) {
            uint64_t row;
            check_ok(rt_order_batch(&c, (uint64_t)epoch * o.steps + g, &row, &n));
            assert_int_equal(n, 1);
            seen[row]++;
            uint64_t unit = rt_order_block_of(&o, row);
            open[unit] = 1;
            if (!--left[unit]) open[unit] = 0;
            int count = 0;
            for (int u = 0; u < UNITS; u++) count += open[u];
            assert_true(count <= WINDOW);
        }
        for (int i = 0; i < ROWS; i++) assert_int_equal(seen[i], 1);
    }
    rt_order_reader_close(&c);

    static const uint64_t one[] = {0, ROWS};          /* of one file as if nothing was told of files */
    for (int files = 0; files < 2; files++) {
        static uint64_t row[2][ROWS];
        rt_order p = {.rows = &all,
                      .batch = 7,
                      .shuffle = 1,
                      .keep_tail = 1,
                      .seed = 9,
                      .block = BLOCK,
                      .window = WINDOW,
                      .file_first = files ? one : NULL,
                      .files = 1};
        int n;
        rt_order_plan(&p);
        check_ok(rt_order_reader_open(&c, &p));
        for (uint64_t g = 0, k = 0; g < p.steps; g++, k += (uint64_t)n)
            check_ok(rt_order_batch(&c, g, row[files] + k, &n));
        rt_order_reader_close(&c);
        if (files) assert_memory_equal(row[0], row[1], sizeof row[0]);
    }
}

/* A stream of compressed files: every row once an epoch, in blocks of the largest file's, and the same for any
 * prefetch. */
static void streams(void **state)
{
    (void)state;
    rt_source *s;
    char text[160];
    static uint64_t row[2][2 * N];
    rt_rows all = rt_rows_between(0, N);
    write_cut();
    check_ok(rt_source_open(&s, at("cut*.h5"), "x"));
    assert_int_equal(rt_source_block(s), 33);
    for (int k = 0; k < 2; k++) {
        rt_stream *t;
        rt_stream_spec spec = {.x = s, .rows = &all, .batch = 50, .shuffle = 1, .keep_tail = 1, .window = 5, .seed = 4,
                               .prefetch = k * 3, .threads = k * 2};
        check_ok(rt_stream_order_text(&spec, text, sizeof text));
        assert_string_equal(text, "blocks of 33 rows mixed within windows of 5 blocks");
        check_ok(rt_stream_open(&t, &spec, 0));
        uint64_t n = 0;
        for (uint64_t g = 0; g < 2 * rt_stream_steps(t); g++) {
            const rt_batch *b;
            check_ok(rt_stream_next(t, &b));
            for (int i = 0; i < b->rows; i++) {
                assert_memory_equal(b->x + (size_t)i * D * 4, x[b->row[i]], D * 4);
                row[k][n++] = b->row[i];
            }
        }
        assert_int_equal(n, 2 * N);
        rt_stream_close(t);
        for (int e = 0; e < 2; e++) {
            int seen[N] = {0};
            for (int i = 0; i < N; i++) seen[row[k][e * N + i]]++;
            for (int i = 0; i < N; i++) assert_int_equal(seen[i], 1);
        }
    }
    assert_memory_equal(row[0], row[1], sizeof row[0]);
    rt_source_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_those_of_one), cmocka_unit_test(names_by_bytes),  cmocka_unit_test(configurations),
        cmocka_unit_test(differing),             cmocka_unit_test(kept_by_file),    cmocka_unit_test(blocks_of_files),
        cmocka_unit_test(streams)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
