/* Chunks that need the HDF5 library: by its own filters, a plugin's, or types of odd bits (samples/make_unpacked.py, by
 * h5py): the values that h5py reads, in any order and by several threads; and what a filter does that fails, dies,
 * never ends or wants more than it is given. */
#include <errno.h>
#include <hdf5.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "data/h5_unpack.h"
#include "data/identity.h"
#include "tests/data/h5_support.h"
#include "tests/data/unpack_plugin.h"

#define SAMPLE RETORT_SOURCE_DIR "/tests/data/samples/unpacked.h5"
#define PLUGINS RETORT_SOURCE_DIR "/tests/data/samples/plugins.h5"

#ifdef RETORT_SANITIZE
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

static size_t bytes_of(rt_source *s) { return rt_source_rows(s) * rt_source_row_bytes(s); }

/* ---- values ---- */

/* NAME and want/NAME: the same type, shape and bytes; at once, and row by row from the last to the first. */
static void check_twins(rt_h5_file *f, const char *name)
{
    char twin[80];
    rt_source *a, *b;
    snprintf(twin, sizeof twin, "want/%s", name);
    check_ok(rt_source_open_in(&a, f, name));
    check_ok(rt_source_open_in(&b, f, twin));
    if (rt_source_type(a) != rt_source_type(b))
        fail_msg("%s is %s, want %s", name, rt_dtype_name(rt_source_type(a)), rt_dtype_name(rt_source_type(b)));
    assert_int_equal(bytes_of(a), bytes_of(b));
    size_t n = bytes_of(a), row = rt_source_row_bytes(a);
    uint64_t rows = rt_source_rows(a);
    char *got = malloc(n), *want = malloc(n);
    check_ok(rt_source_read_stored(b, 0, rows, want));
    check_ok(rt_source_read_stored(a, 0, rows, got));
    if (memcmp(got, want, n)) fail_msg("%s is not what h5py reads of it", name);
    memset(got, 0, n);
    for (uint64_t i = rows; i--;) check_ok(rt_source_read(a, &i, 1, got + i * row));
    if (memcmp(got, want, n)) fail_msg("%s is another when it is read backwards", name);
    rt_source_close(a);
    rt_source_close(b);
    free(got);
    free(want);
}

static void values(void **state)
{
    (void)state;
    rt_h5_file *f;
    int sets = 0, converted = 0;
    check_ok(rt_h5_scan(&f, SAMPLE));
    for (int i = 0; i < f->sets; i++) {
        const rt_h5_dataset *d = &f->set[i];
        if (!strncmp(d->name, "want/", 5)) continue;
        if (d->refused[0]) fail_msg("%s: %s", d->name, d->refused);
        assert_true(d->by_library);
        converted += d->by_library == RT_H5_CONVERTED;
        check_twins(f, d->name);
        sets++;
    }
    assert_true(sets >= 24 && converted >= 9);
    size_t n;
    int32_t *x = h5_read(f, "scale_i4", RT_I32, &n);           /* and by the script's rule */
    for (size_t i = 0; i < n; i++) assert_int_equal(x[i], (int)((37 * i + 11) % 251) - 100);
    free(x);
    rt_h5_close(f);
}

/* The content's digest is that of the same rows stored otherwise. */
static void identity(void **state)
{
    (void)state;
    static const char *const names[] = {"szip", "want/szip", "bits_big", "want/bits_big", "scale_f8", "want/scale_f8"};
    rt_digest root[6];
    char path[128], command[256];
    snprintf(path, sizeof path, "%s/unpacked.h5", test_folder);
    snprintf(command, sizeof command, "cp %s %s", SAMPLE, path);
    assert_int_equal(system(command), 0);
    for (int i = 0; i < 6; i++) {
        rt_source *s;
        check_ok(rt_source_open(&s, path, names[i]));
        check_ok(rt_identity_of(&root[i], s, RT_CHECK_FULL, NULL, NULL));
        rt_source_close(s);
    }
    for (int i = 0; i < 6; i += 2) assert_string_equal(root[i].hex, root[i + 1].hex);
    assert_string_not_equal(root[0].hex, root[2].hex);
}

typedef struct { rt_source *s; const char *want; int seed; rt_status st; int same; } reader;

static void *read_scattered(void *arg)
{
    reader *r = arg;
    uint64_t rows = rt_source_rows(r->s);
    size_t bytes = rt_source_row_bytes(r->s);
    char got[256];
    r->same = 1;
    for (uint64_t k = 0; k < 4 * rows && !r->st; k++) {
        uint64_t i = rt_permute(k % rows, rows, (uint64_t)r->seed, RT_RNG_TEST, 0, 0);
        r->st = rt_source_read(r->s, &i, 1, got);
        r->same &= !r->st && !memcmp(got, r->want + i * bytes, bytes);
    }
    return NULL;
}

static void threads(void **state)
{
    (void)state;
    rt_h5_file *f;
    rt_source *s;
    size_t n;
    pthread_t t[4];
    reader r[4];
    check_ok(rt_h5_scan(&f, SAMPLE));
    char *want = h5_read(f, "want/rows_1", RT_I32, &n);
    check_ok(rt_source_open_in(&s, f, "rows_1"));
    for (int i = 0; i < 4; i++) {
        r[i] = (reader){.s = s, .want = want, .seed = i};
        assert_int_equal(pthread_create(&t[i], NULL, read_scattered, &r[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(t[i], NULL);
        assert_int_equal(r[i].st, RT_OK);
        assert_true(r[i].same);
    }
    rt_source_close(s);
    free(want);
    rt_h5_close(f);
}

/* Plugins that are not here are named, with where they would be looked for; with RETORT_TEST_PLUGINS, a folder of
 * them, such as hdf5plugin's, the values are what h5py reads. */
static void plugins(void **state)
{
    (void)state;
    rt_h5_file *f;
    int there = getenv("RETORT_TEST_PLUGINS") != NULL;
    check_ok(rt_h5_scan(&f, PLUGINS));
    if (!there) {
        h5_refused(f, "blosc", "Blosc (filter 32001)");
        h5_refused(f, "bzip2", "HDF5 has no plugin for it here: name its folder in HDF5_PLUGIN_PATH");
    }
    for (int i = 0; i < f->sets && there; i++)
        if (strncmp(f->set[i].name, "want/", 5)) check_twins(f, f->set[i].name);
    rt_h5_close(f);
}

/* ---- a plugin that does what it wants ---- */

enum { ROWS = 40, COLUMNS = 16, IN_CHUNK = 10 };

static size_t at_first(unsigned flags, size_t n, const unsigned *value, size_t bytes, size_t *room, void **buffer)
{
    unsigned char *p = *buffer;
    (void)flags, (void)n, (void)value, (void)room;
    for (size_t i = 0; i < bytes; i++) p[i] ^= (unsigned char)i;
    return bytes;
}

/* The file of 40 rows whose chunk i begins with word[i], or 0 for none. filters: those before and behind it. */
static void make(char *path, size_t room, const uint32_t *word, int id, int shuffled)
{
    static int made;
    H5Z_class2_t class = {H5Z_CLASS_T_VERS, id, 1, 1, "of a test", NULL, NULL, at_first};
    uint32_t x[ROWS][COLUMNS];
    hsize_t dim[2] = {ROWS, COLUMNS}, chunk[2] = {IN_CHUNK, COLUMNS};
    snprintf(path, room, "%s/made%d.h5", test_folder, made++);
    for (int i = 0; i < ROWS; i++) for (int k = 0; k < COLUMNS; k++) x[i][k] = (uint32_t)(1000 * i + k);
    for (int i = 0; i < ROWS / IN_CHUNK && word; i++) if (word[i]) x[i * IN_CHUNK][0] = word[i];
    assert_true(H5Zregister(&class) >= 0);
    hid_t f = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT), p = H5Pcreate(H5P_DATASET_CREATE);
    hid_t s = H5Screate_simple(2, dim, NULL);
    H5Pset_chunk(p, 2, chunk);
    if (shuffled) H5Pset_shuffle(p);
    H5Pset_filter(p, id, 0, 0, NULL);
    if (shuffled) H5Pset_fletcher32(p);
    hid_t d = H5Dcreate2(f, "x", H5T_STD_U32LE, s, H5P_DEFAULT, p, H5P_DEFAULT);
    assert_true(d >= 0 && H5Dwrite(d, H5T_NATIVE_UINT32, H5S_ALL, H5S_ALL, H5P_DEFAULT, x) >= 0);
    H5Dclose(d);
    H5Sclose(s);
    H5Pclose(p);
    H5Fclose(f);
    H5Zunregister(id);
}

static rt_status read_row(rt_source *s, uint64_t row, uint32_t *x)
{
    return rt_source_read(s, &row, 1, x);
}

static void check_row(rt_source *s, uint64_t row)
{
    uint32_t x[COLUMNS];
    check_ok(read_row(s, row, x));
    for (uint32_t k = 1; k < COLUMNS; k++) assert_int_equal(x[k], 1000 * row + k);
}

static void of_users(void **state)
{
    (void)state;
    char path[128];
    rt_source *s;
    rt_h5_file *f;
    for (int shuffled = 0; shuffled < 2; shuffled++) {
        make(path, sizeof path, NULL, RT_TEST_FILTER, shuffled);
        check_ok(rt_source_open(&s, path, "x"));
        for (uint64_t i = 0; i < ROWS; i++) check_row(s, i);
        rt_source_close(s);
    }
    make(path, sizeof path, NULL, 258, 0);
    check_ok(rt_h5_scan(&f, path));
    h5_refused(f, "x", "of a test (filter 258), and HDF5 has no plugin for it here");
    rt_h5_close(f);
}

/* Each in its chunk: one line that names the rows, the exit code of who is at fault, and other chunks are read. */
static void misdeeds(void **state)
{
    (void)state;
    static const struct { uint32_t word; const char *says;
    } k[] = {
        {RT_TEST_FAIL, "failed (filter returned failure during read); it is damaged"},
        {RT_TEST_SHORT, "failed (filter returned failure during read); it is damaged"},
        {RT_TEST_LONG, "failed (filter returned failure during read); it is damaged"},
        {RT_TEST_CRASH, "the HDF5 library died unpacking rows 10 to 19 of data set 'x' (signal 11)"},
        {RT_TEST_LEAVE, "unpacking rows 10 to 19 of data set 'x' ended without a result"},
        {RT_TEST_HANG,
         "unpacking rows 10 to 19 of data set 'x' takes over 3 s of CPU time; the file is damaged or hostile"},
        {RT_TEST_EAT, "unpacking rows 10 to 19 of data set 'x'"},
    };
    for (size_t i = 0; i < sizeof k / sizeof *k; i++) {
        if (SANITIZED && (k[i].word == RT_TEST_CRASH || k[i].word == RT_TEST_EAT || k[i].word == RT_TEST_HANG))
            continue;
        char path[128];
        uint32_t x[COLUMNS], word[4] = {0, k[i].word};
        rt_source *s;
        make(path, sizeof path, word, RT_TEST_FILTER, 0);
        check_ok(rt_source_open(&s, path, "x"));
        check_row(s, 3);
        check_fails(read_row(s, 15, x), RT_INPUT, k[i].says);
        assert_non_null(strstr(rt_error_message(), path));
        check_row(s, 22);
        check_row(s, 5);
        rt_source_close(s);
    }
}

/* A filter can do nothing but compute. */
static void held(void **state)
{
    (void)state;
    char path[128];
    uint32_t x[COLUMNS], word[4] = {RT_TEST_LOOK};
    rt_source *s;
    rt_h5_file *f;
    make(path, sizeof path, word, RT_TEST_FILTER, 0);
    check_ok(rt_h5_scan(&f, path));
    if (!(f->guard & RT_H5_GUARD_CALLS)) skip();
    check_ok(rt_source_open_in(&s, f, "x"));
    check_ok(read_row(s, 0, x));
    for (int i = 1; i < 8; i++) if (!x[i]) fail_msg("attempt %d works in a child", i - 1);
    for (int i = 1; i < 6; i++) assert_int_equal(x[i], EPERM);
    assert_int_not_equal(x[7], 0);
    assert_int_equal(x[8], ENOENT);
    assert_int_equal(access("made.txt", F_OK), -1);
    rt_source_close(s);
    rt_h5_close(f);
}

/* A child that others' rows have worn out is replaced. */
static void worn(void **state)
{
    (void)state;
    char path[128];
    uint32_t word[4] = {RT_TEST_SLOW, RT_TEST_SLOW, RT_TEST_SLOW};
    rt_source *s;
    make(path, sizeof path, word, RT_TEST_FILTER, 0);
    check_ok(rt_source_open(&s, path, "x"));
    for (uint64_t i = 0; i < 3; i++) check_row(s, 10 * i + 1);
    rt_source_close(s);
}

/* ---- damage ---- */

/* Every byte of a chunk turned over, in turn: values, or one line; never another end. What is cut is said. */
static void damaged(void **state)
{
    (void)state;
    static const char *const names[] = {"szip", "scale_i4", "bits_u2", "scale_lzf", "scale_lz4", "scale_gzip_sum",
                                        "bits_i1"};
    char path[128], command[300];
    snprintf(path, sizeof path, "%s/damaged.h5", test_folder);
    snprintf(command, sizeof command, "cp %s %s", SAMPLE, path);
    assert_int_equal(system(command), 0);
    int refused = 0, read = 0;
    rt_h5_file *f;
    check_ok(rt_h5_scan(&f, path));
    for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
        const rt_h5_dataset *d = rt_h5_find(f, names[k]);
        assert_true(d->chunks > 1);
        const rt_h5_chunk *c = &d->chunk[0];
        FILE *w = fopen(path, "r+b");
        unsigned char *before = malloc(c->bytes);
        fseek(w, (long)c->offset, SEEK_SET);
        assert_int_equal(fread(before, 1, c->bytes, w), c->bytes);
        for (uint32_t i = 0; i < c->bytes; i += !k && i < 4 ? 1 : c->bytes / 6 + 1) {
            uint64_t row = 0;
            double x[64];
            rt_source *s;
            fseek(w, (long)(c->offset + i), SEEK_SET);
            fputc(before[i] ^ 0xff, w);
            fflush(w);
            check_ok(rt_source_open_in(&s, f, names[k]));
            rt_status st = rt_source_read(s, &row, 1, x);
            if (st) check_fails(st, RT_INPUT, names[k]);
            if (!k && i < 4) check_fails(st, RT_INPUT, "becomes another number of bytes");        /* szip's size */
            read += !st;
            refused += st != RT_OK;
            rt_source_close(s);
            fseek(w, (long)(c->offset + i), SEEK_SET);
            fputc(before[i], w);
        }
        free(before);
        fclose(w);
    }
    print_message("%d flips are refused, %d read\n", refused, read);
    assert_true(refused >= 8);
    rt_source *s;
    uint64_t row = 0;
    double x[64];
    check_ok(rt_source_open_in(&s, f, "szip"));
    assert_int_equal(truncate(path, 2000), 0);
    check_fails(rt_source_read(s, &row, 1, x), RT_INPUT, "was cut from");
    rt_source_close(s);
    rt_h5_close(f);
}

/* ---- the machine's faults ---- */

static pid_t child_of(pid_t parent)
{
    char command[128];
    int pid = 0;
    snprintf(command, sizeof command, "ps -o pid= --ppid %d | tail -1", parent);
    FILE *p = popen(command, "r");
    if (fscanf(p, "%d", &pid) != 1) pid = 0;
    pclose(p);
    return pid;
}

/* Killed from outside: no file is at fault; the next who asks is answered. */
static void killed(void **state)
{
    (void)state;
    char path[128];
    uint32_t x[COLUMNS];
    rt_source *s;
    if (system("ps > /dev/null 2>&1")) skip();
    make(path, sizeof path, NULL, RT_TEST_FILTER, 0);
    check_ok(rt_source_open(&s, path, "x"));
    check_row(s, 0);
    char command[128];
    int reader = 0;
    snprintf(command, sizeof command, "ps -o pid=,comm= --ppid %d | grep retort-reader", getpid());
    FILE *p = popen(command, "r");
    assert_int_equal(fscanf(p, "%d", &reader), 1);
    pclose(p);
    pid_t keeper = child_of(reader), child = child_of(keeper);
    assert_true(keeper > 0 && child > 0);
    assert_int_equal(kill(child, SIGKILL), 0);
    check_fails(read_row(s, 15, x), RT_RUN, "was killed; is there enough memory?");
    check_row(s, 25);
    keeper = child_of(reader);
    child = child_of(keeper);
    assert_int_equal(kill(keeper, SIGKILL), 0);               /* its child goes with it */
    for (int i = 0; i < 1000 && !kill(child, 0); i++) usleep(10000);
    assert_int_equal(kill(child, 0), -1);
    assert_int_equal(read_row(s, 35, x), RT_RUN);
    check_row(s, 35);
    rt_source_close(s);
}

int main(void)
{
    const char *more = getenv("RETORT_TEST_PLUGINS");
    char folders[2048];
    snprintf(folders, sizeof folders, "%s%s%s", RETORT_TEST_PLUGIN, more ? ":" : "", more ? more : "");
    setenv("HDF5_PLUGIN_PATH", folders, 1);
    setenv("TEST_SECRET", "secret", 1);
    rt_h5_reader_start();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values),   cmocka_unit_test(identity), cmocka_unit_test(threads), cmocka_unit_test(plugins),
        cmocka_unit_test(of_users), cmocka_unit_test(misdeeds), cmocka_unit_test(held),    cmocka_unit_test(worn),
        cmocka_unit_test(damaged),  cmocka_unit_test(killed)};
    return cmocka_run_group_tests(tests, make_test_folder, remove_test_folder);
}
