/* Identity of data: leaves and root against hashes of the very bytes; what is kept, believed, and passed over. */
#include <fcntl.h>
#include <hdf5.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data/identity.h"
#include "tests/support.h"

/* rows of 3 MiB: five in a span of 16 MiB, the last span short */
enum { ROWS = 17, WIDTH = 3 << 18, SPAN_ROWS = 5, SPANS = 4 };
#define ROW_BYTES ((size_t)WIDTH * 4)
static char data[96], cache[128];
static float *content;

static void write_data(const char *path)
{
    int32_t y[ROWS];
    for (int i = 0; i < ROWS; i++) y[i] = i % 3;
    rt_h5_item it[] = {{.name = "x", .type = RT_F32, .rank = 2, .dim = {ROWS, WIDTH}, .data = content},
                       {.name = "a set/y %", .type = RT_I32, .rank = 1, .dim = {ROWS}, .data = y}};
    check_ok(rt_h5_save(path, "retort-data-1", it, 2));
}

/* Sets up files that are old enough for their leaves to be kept. */
static int set_up(void **state)
{
    if (make_test_folder(state)) return 1;
    setenv("XDG_CACHE_HOME", test_folder, 1);
    content = random_floats((size_t)ROWS * WIDTH, 8);
    snprintf(data, sizeof data, "%s/d.h5", test_folder);
    snprintf(cache, sizeof cache, "%s.retort-id", data);
    write_data(data);
    return 0;
}

static int tear_down(void **state)
{
    free(content);
    return remove_test_folder(state);
}

static void grow_old(void) { usleep(2100000); }

static rt_digest leaf_hex(const rt_identity *id, uint64_t span)
{
    rt_digest d;
    rt_leaf l = rt_identity_leaf(id, span);
    for (int i = 0; i < RT_LEAF_BYTES; i++) snprintf(d.hex + 2 * i, 3, "%02x", l.byte[i]);
    return d;
}

static rt_source *open_x(void)
{
    rt_source *x;
    check_ok(rt_source_open(&x, data, "x"));
    return x;
}

static rt_identity *open_id(rt_source *x, rt_check check)
{
    rt_identity *id;
    check_ok(rt_identity_open(&id, x, check));
    return id;
}

static int count_known(const rt_identity *id)
{
    int n = 0;
    for (uint64_t s = 0; s < rt_identity_spans(id); s++) n += rt_identity_known(id, s) != 0;
    return n;
}

static int known_now(void)
{
    rt_source *x = open_x();
    rt_identity *id = open_id(x, RT_CHECK_KNOWN);
    int n = count_known(id);
    rt_identity_close(id);
    rt_source_close(x);
    return n;
}

static rt_status root_now(rt_digest *root, rt_check check)
{
    rt_source *x = open_x();
    rt_status st = rt_identity_of(root, x, check, NULL, NULL);
    rt_source_close(x);
    return st;
}

static uint64_t offset_of_row(int row)
{
    rt_source *x = open_x();
    uint64_t at = rt_source_info(x)->offset + (size_t)row * ROW_BYTES;
    rt_source_close(x);
    return at;
}

/* Everything is computed a second time from the documented rule. */
static void rule(void **state)
{
    (void)state;
    rt_source *x = open_x();
    rt_pool *pool = rt_pool_new(3);
    rt_digest alone, shared, want;
    char head[80];
    rt_hasher *h = rt_hasher_new();
    rt_identity *id = open_id(x, RT_CHECK_KNOWN);
    assert_int_equal(rt_identity_spans(id), SPANS);
    assert_int_equal(rt_identity_span_rows(id), SPAN_ROWS);
    check_ok(rt_identity_know(id, 6, 7, NULL, NULL));
    assert_int_equal(count_known(id), 1);
    assert_true(rt_identity_known(id, 1));
    check_ok(rt_identity_know(id, 3, 3, NULL, NULL));
    assert_int_equal(count_known(id), 1);
    check_ok(rt_identity_root(&shared, id, pool, NULL));
    rt_hasher_add(h, head, (size_t)sprintf(head, "retort-identity-1 f32 %d %d\n", ROWS, WIDTH));
    for (int s = 0; s < SPANS; s++) {
        size_t rows = s == SPANS - 1 ? ROWS - s * SPAN_ROWS : SPAN_ROWS;
        rt_digest d = rt_digest_of((char *)content + (size_t)s * SPAN_ROWS * ROW_BYTES, rows * ROW_BYTES),
                got = leaf_hex(id, (uint64_t)s);
        rt_leaf l = rt_identity_leaf(id, (uint64_t)s);
        assert_string_equal(got.hex, d.hex);
        rt_hasher_add(h, l.byte, sizeof l.byte);
    }
    want = rt_hasher_end(h);
    assert_string_equal(shared.hex, want.hex);
    rt_identity_close(id);
    assert_int_equal(access(cache, F_OK), -1);        /* the file is too young for that */
    check_ok(rt_identity_of(&alone, x, RT_CHECK_KNOWN, NULL, NULL));
    assert_string_equal(alone.hex, want.hex);
    rt_source_close(x);
    rt_pool_free(pool);
}

static void kept(void **state)
{
    (void)state;
    rt_digest a, b;
    grow_old();
    check_ok(root_now(&a, RT_CHECK_KNOWN));
    assert_int_equal(access(cache, F_OK), 0);
    assert_int_equal(known_now(), SPANS);
    check_ok(root_now(&b, RT_CHECK_KNOWN));
    assert_string_equal(a.hex, b.hex);
    check_ok(root_now(&b, RT_CHECK_FULL));
    assert_string_equal(a.hex, b.hex);
    /* Two that know different spans keep both, also of another set. */
    unlink(cache);
    rt_source *x = open_x(), *y;
    check_ok(rt_source_open(&y, data, "a set/y %"));
    rt_identity *one = open_id(x, RT_CHECK_KNOWN), *two = open_id(x, RT_CHECK_KNOWN);
    rt_identity *three = open_id(y, RT_CHECK_KNOWN);
    check_ok(rt_identity_know(one, 0, 1, NULL, NULL));
    check_ok(rt_identity_know(two, 16, 17, NULL, NULL));
    check_ok(rt_identity_know(three, 0, ROWS, NULL, NULL));
    rt_identity_close(one);
    rt_identity_close(three);
    rt_identity_close(two);
    assert_int_equal(known_now(), 2);
    three = open_id(y, RT_CHECK_KNOWN);
    assert_int_equal(count_known(three), 1);
    rt_identity_close(three);
    rt_source_close(x);
    rt_source_close(y);
}

/* A line for the checksum of a text that a test has changed. */
static void write_cache(const char *text, size_t n)
{
    FILE *f = fopen(cache, "wb");
    fwrite(text, 1, n, f);
    fprintf(f, "crc32c %08x\n", rt_crc32c(0, text, n));
    fclose(f);
}

static size_t read_cache(char *text, size_t room)
{
    FILE *f = fopen(cache, "rb");
    assert_non_null(f);
    size_t n = fread(text, 1, room - 1, f);
    text[n] = 0;
    fclose(f);
    return n;
}

static void damaged(void **state)
{
    (void)state;
    char text[1024], was[1024];
    rt_digest a, b;
    unlink(cache);
    check_ok(root_now(&a, RT_CHECK_KNOWN));
    size_t n = read_cache(text, sizeof text);
    /* a flipped bit, and the end lost, anywhere: as if it were not there */
    for (size_t i = 0; i < n; i++) {
        flip_bit(cache, i, 0);
        assert_int_equal(known_now(), 0);
        flip_bit(cache, i, 0);
        if (i % 7) continue;
        FILE *f = fopen(cache, "wb");
        fwrite(text, 1, i, f);
        fclose(f);
        assert_int_equal(known_now(), 0);
        f = fopen(cache, "wb");
        fwrite(text, 1, n, f);
        fclose(f);
    }
    assert_int_equal(known_now(), SPANS);
    flip_bit(cache, 40, 0);
    check_ok(root_now(&b, RT_CHECK_KNOWN));           /* and made anew */
    assert_string_equal(a.hex, b.hex);
    assert_int_equal(known_now(), SPANS);
    /* Lines that a checksum covers and that make no sense. */
    memcpy(was, text, sizeof was);
    char *end = strstr(text, "crc32c "), *set = strstr(text, "set x");
    strcpy(end, "99999999999999999999 00112233445566778899aabbccddeeff\n7 00\n4 00112233445566778899aabbccddeeff\n-1 "
           "00\nset\n\nset  \n0 ff\n");
    write_cache(text, strlen(text));
    assert_int_equal(known_now(), SPANS);
    *(strstr(text, "\n0 ") + 1) = '8';                /* a span that there is not */
    write_cache(text, strlen(text));
    assert_int_equal(known_now(), SPANS - 1);
    memcpy(text, was, sizeof was);
    size_t body = (size_t)(strstr(text, "crc32c ") - text);
    for (size_t i = 0; i < 2 * body; i++) { /* any byte changed under a right checksum: believed or not, no more */
        memcpy(text, was, sizeof was);
        text[i / 2] ^= i % 2 ? 1 : 0x30;
        write_cache(text, body);
        assert_in_range(known_now(), 0, SPANS);
    }
    memcpy(text, was, sizeof was);
    memcpy(set, "set z", 5);
    write_cache(text, (size_t)(strstr(text, "crc32c ") - text));
    assert_int_equal(known_now(), 0);
}

static void full(void **state)
{
    (void)state;
    char text[1024];
    rt_digest a;
    unlink(cache);
    check_ok(root_now(&a, RT_CHECK_KNOWN));
    read_cache(text, sizeof text);
    char *line = strstr(text, "\n2 ") + 3;            /* a leaf that is not that of the rows, with all times right */
    *line = *line == '0' ? '1' : '0';
    write_cache(text, (size_t)(strstr(text, "crc32c ") - text));
    check_ok(root_now(&a, RT_CHECK_KNOWN));
    check_fails(root_now(&a, RT_CHECK_FULL), RT_INPUT, "rows 10 to 14 are not what they were");
}

/* Nothing waits for or writes into what is no regular file; the user's cache takes the leaves. */
static void elsewhere(void **state)
{
    (void)state;
    rt_digest a;
    char command[160];
    for (int kind = 0; kind < 3; kind++) {
        unlink(cache);
        snprintf(command, sizeof command, "rm -rf %s/retort", test_folder);
        assert_int_equal(system(command), 0);
        if (kind == 0) assert_int_equal(mkfifo(cache, 0666), 0);
        if (kind == 1) assert_int_equal(symlink("/dev/zero", cache), 0);
        if (kind == 2) assert_int_equal(mkdir(cache, 0777), 0);
        assert_int_equal(known_now(), 0);
        check_ok(root_now(&a, RT_CHECK_KNOWN));
        assert_int_equal(known_now(), SPANS);
        snprintf(command, sizeof command, "test $(ls %s/retort/*.retort-id | wc -l) = 1", test_folder);
        assert_int_equal(system(command), 0);
    }
    rmdir(cache);
    setenv("XDG_CACHE_HOME", "not/absolute", 1);
    unsetenv("HOME");
    assert_int_equal(mkdir(cache, 0777), 0);
    check_ok(root_now(&a, RT_CHECK_KNOWN));           /* no place at all: hashed each time */
    assert_int_equal(known_now(), 0);
    rmdir(cache);
    setenv("XDG_CACHE_HOME", test_folder, 1);
}

static void changed(void **state)
{
    (void)state;
    rt_digest a, b;
    struct stat s;
    unlink(cache);
    check_ok(root_now(&a, RT_CHECK_KNOWN));
    assert_int_equal(stat(data, &s), 0);
    flip_bit(data, offset_of_row(11) + 77, 0); /* contents change, size and mtime do not; inode's ctime tells */
    struct timespec times[2] = {s.st_atim, s.st_mtim};
    assert_int_equal(utimensat(AT_FDCWD, data, times, 0), 0);
    assert_int_equal(known_now(), 0);
    check_ok(root_now(&b, RT_CHECK_KNOWN));
    assert_string_not_equal(a.hex, b.hex);
    flip_bit(data, offset_of_row(11) + 77, 0);
    check_ok(root_now(&b, RT_CHECK_KNOWN));
    assert_string_equal(a.hex, b.hex);
    unlink(cache);

    rt_source *x = open_x();                          /* while it is read */
    rt_identity *id = open_id(x, RT_CHECK_KNOWN);
    check_ok(rt_identity_know(id, 0, 12, NULL, NULL));
    check_ok(rt_identity_unchanged(id));
    usleep(20000);
    assert_int_equal(utimensat(AT_FDCWD, data, NULL, 0), 0);      /* touched only */
    check_ok(rt_identity_unchanged(id));
    usleep(20000);
    flip_bit(data, offset_of_row(16), 0);                    /* where nobody looked */
    check_ok(rt_identity_unchanged(id));
    usleep(20000);
    flip_bit(data, offset_of_row(5), 0);
    check_fails(rt_identity_unchanged(id), RT_INPUT, "rows 5 to 9 were changed while they were read");
    rt_identity_close(id);
    rt_source_close(x);
    assert_int_equal(access(cache, F_OK), -1);
}

/* ---- rows that were never written ---- */

typedef enum { LATE, LATE_PIECE, EARLY, EARLY_PIECE, PACKED } hollow_kind;

/* x (rows, 16) bytes in chunks of (2^20, 8), or in one piece; of the packed set `written` chunks, from the first. */
static void write_hollow(const char *path, hollow_kind kind, hsize_t rows, int written)
{
    const hsize_t dim[] = {rows, 16}, chunk[] = {1 << 20, 8};
    hid_t f = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT), p = H5Pcreate(H5P_DATASET_CREATE),
          all = H5Screate_simple(2, dim, NULL), piece = H5Screate_simple(2, chunk, NULL);
    int whole = kind == LATE_PIECE || kind == EARLY_PIECE, early = kind == EARLY || kind == EARLY_PIECE;
    if (!whole) H5Pset_chunk(p, 2, chunk);
    if (kind == PACKED) H5Pset_deflate(p, 1);
    if (early) H5Pset_alloc_time(p, H5D_ALLOC_TIME_EARLY), H5Pset_fill_time(p, H5D_FILL_TIME_NEVER);
    hid_t d = H5Dcreate2(f, "x", H5T_STD_U8LE, all, H5P_DEFAULT, p, H5P_DEFAULT);
    unsigned char *ones = malloc(8 << 20);
    memset(ones, 1, 8 << 20);
    for (int i = 0; i < written; i++) {
        const hsize_t at[] = {(hsize_t)(i / 2) << 20, (hsize_t)(i % 2) * 8};
        H5Sselect_hyperslab(all, H5S_SELECT_SET, at, NULL, chunk, NULL);
        assert_true(H5Dwrite(d, H5T_STD_U8LE, piece, all, H5P_DEFAULT, ones) >= 0);
    }
    free(ones);
    H5Dclose(d), H5Pclose(p), H5Sclose(all), H5Sclose(piece);
    assert_true(H5Fclose(f) >= 0);
}

/* Whether rows [first, end) are read; else it is told that so many bytes of them are stored. */
static void know_hollow(const char *path, uint64_t first, uint64_t end, const char *stored)
{
    rt_source *x;
    check_ok(rt_source_open(&x, path, "x"));
    rt_identity *id = open_id(x, RT_CHECK_FULL);
    if (stored) check_fails(rt_identity_know(id, first, end, NULL, NULL), RT_INPUT, stored);
    else check_ok(rt_identity_know(id, first, end, NULL, NULL));
    rt_identity_close(id);
    rt_source_close(x);
}

static void never_written(void **state)
{
    (void)state;
    const uint64_t m = 1 << 20;
    char path[128], all[128];
    snprintf(path, sizeof path, "%s/hollow1.h5", test_folder);
    snprintf(all, sizeof all, "%s/hollow*.h5", test_folder);
    write_hollow(path, LATE, (hsize_t)1 << 40, 0);
    know_hollow(path, 0, (uint64_t)1 << 40, "17592186044416 bytes, of which 0 are stored");
    know_hollow(path, 5, 2 * m, NULL);
    write_hollow(path, LATE_PIECE, (hsize_t)1 << 40, 0);
    know_hollow(path, m, 200 * m, "of which 0 are stored");
    write_hollow(path, EARLY, 100 * m, 0);
    know_hollow(path, 0, 100 * m, "'x': rows 0 to 104857599 are 1677721600 bytes, of which ");
    write_hollow(path, EARLY_PIECE, 100 * m, 0);
    know_hollow(path, m, 100 * m, "rows 1048576 to 104857599 are 1660944384 bytes, of which ");
    /* 7 chunks, each half a row wide, are 56 MiB: more than a 64th of 3.5 GiB, less than that of 4. */
    write_hollow(path, PACKED, 256 * m, 7);
    know_hollow(path, 0, 256 * m, "4294967296 bytes, of which 58720256 are stored");
    know_hollow(path, 4 * m, 200 * m, "of which 0 are stored");
    know_hollow(path, 0, 72 * m, NULL);
    know_hollow(path, 0, 1000 * m, "rows 0 to 268435455 are 4294967296 bytes, of which 58720256 are stored");
    snprintf(path, sizeof path, "%s/hollow0.h5", test_folder);
    write_hollow(path, PACKED, 2 * m, 4);
    know_hollow(all, 0, 2 * m, NULL);
    know_hollow(all, 0, 258 * m, "hollow1.h5: data set 'x': rows 0 to 268435455 are");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rule), cmocka_unit_test(kept), cmocka_unit_test(damaged), cmocka_unit_test(full),
        cmocka_unit_test(elsewhere), cmocka_unit_test(changed), cmocka_unit_test(never_written)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
