/* What was reported as done is on disk: the order of writes, syncs and renames, and what follows when one of them
 * fails. The linker puts the functions below in the place of the system's calls (--wrap); calls of the HDF5 library are
 * not seen. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "data/files.h"
#include "data/labels.h"
#include "tests/support.h"

enum { ROWS = 5 * RT_LABEL_BLOCK + 9, BLOCKS = 6, K = 3, WIDTH = 4, MAX_EVENTS = 4096 };
typedef enum { WRITE, SYNC, RENAME, UNLINK } call;
typedef enum { OTHER, STORE, JOURNAL, TEMPORARY, FOLDER } object;
typedef struct {
    call call;
    object object;
    uint64_t at, bytes;
    int failed;
    char text[24];
} event;

static event log_of[MAX_EVENTS];
static int events, logging, syncs, writes, fail_sync, fail_write, halve;
static char store[128], journal[160], data[128];
static float *logits, *content;
static cJSON *notes;

static object object_of(const char *path)
{
    if (!strcmp(path, store)) return STORE;
    if (!strcmp(path, journal)) return JOURNAL;
    if (!strcmp(path, test_folder)) return FOLDER;
    size_t n = strlen(test_folder);                    /* FOLDER/#123: a file that has no name yet */
    if (strncmp(path, test_folder, n)) return OTHER;
    return !strncmp(path + n, "/#", 2) || !strncmp(path + n, "/.l.h5.tmp-", 11) ? TEMPORARY : OTHER;
}

static object object_at(int fd)
{
    char link[64], path[256];
    if (fd <= 2) return OTHER;                        /* and of the reader of metadata, which may not ask */
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    path[n < 0 ? 0 : n] = 0;
    return object_of(path);
}

static event *note(call c, object o)
{
    static event nowhere;
    if (!logging || o == OTHER) return &nowhere;
    assert_true(events < MAX_EVENTS);
    log_of[events] = (event){.call = c, .object = o};
    return &log_of[events++];
}

ssize_t __real_pwrite(int, const void *, size_t, off_t);
ssize_t __real_write(int, const void *, size_t);
int __real_fsync(int);
int __real_fdatasync(int);
int __real_linkat(int, const char *, int, const char *, int);
int __real_renameat(int, const char *, int, const char *);
int __real_renameat2(int, const char *, int, const char *, unsigned);
int __real_unlinkat(int, const char *, int);
int __real_unlink(const char *);

/* Counts what a test makes fail; 1 when it is the turn of this one. */
static int turn(object o, int *count, int which)
{
    return logging && o != OTHER && ++*count == which;
}

ssize_t __wrap_pwrite(int fd, const void *p, size_t n, off_t at)
{
    object o = object_at(fd);
    event *e = note(WRITE, o);
    e->at = (uint64_t)at;
    e->bytes = n;
    if ((e->failed = turn(o, &writes, fail_write))) {
        errno = ENOSPC;
        return -1;
    }
    return __real_pwrite(fd, p, halve && n > 1 ? n / 2 : n, at);
}

ssize_t __wrap_write(int fd, const void *p, size_t n)
{
    object o = object_at(fd);
    event *e = note(WRITE, o);
    e->bytes = n;
    snprintf(e->text, sizeof e->text, "%.*s", n < 20 ? (int)n : 20, (const char *)p);
    if ((e->failed = turn(o, &writes, fail_write))) {
        errno = ENOSPC;
        return -1;
    }
    return __real_write(fd, p, n);
}

static int sync_with(int (*real)(int), int fd)
{
    object o = object_at(fd);
    event *e = note(SYNC, o);
    if ((e->failed = turn(o, &syncs, fail_sync))) {
        errno = EIO;
        return -1;
    }
    return real(fd);
}

int __wrap_fsync(int fd) { return sync_with(__real_fsync, fd); }
int __wrap_fdatasync(int fd) { return sync_with(__real_fdatasync, fd); }

/* What a name in the folder of the store stands for. */
static object object_named(const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", test_folder, name);
    return object_of(path);
}

/* A name that is only there for the moment is no news to anybody. */
int __wrap_linkat(int a, const char *from, int b, const char *to, int flags)
{
    if (object_named(to) != TEMPORARY) note(RENAME, object_named(to));
    return __real_linkat(a, from, b, to, flags);
}

int __wrap_renameat(int a, const char *from, int b, const char *to)
{
    note(RENAME, object_named(to));
    return __real_renameat(a, from, b, to);
}

int __wrap_renameat2(int a, const char *from, int b, const char *to, unsigned flags)
{
    note(RENAME, object_named(to));
    return __real_renameat2(a, from, b, to, flags);
}

int __wrap_unlinkat(int dir, const char *name, int flags)
{
    note(UNLINK, object_named(name));
    return __real_unlinkat(dir, name, flags);
}

int __wrap_unlink(const char *path)
{
    note(UNLINK, object_of(path));
    return __real_unlink(path);
}

static void start_log(int sync, int write_number)
{
    events = syncs = writes = 0;
    fail_sync = sync;
    fail_write = write_number;
    logging = 1;
}

static int set_up(void **state)
{
    if (make_test_folder(state)) return 1;
    setenv("XDG_CACHE_HOME", test_folder, 1);
    snprintf(store, sizeof store, "%s/l.h5", test_folder);
    snprintf(journal, sizeof journal, "%s.journal", store);
    /* in a folder of its own, where what is known of its content may be kept at any time */
    snprintf(data, sizeof data, "%s/data", test_folder);
    check_ok(rt_make_folder(data));
    strcat(data, "/d.h5");
    logits = random_floats((size_t)ROWS * K, 1);
    content = random_floats((size_t)ROWS * WIDTH, 2);
    rt_h5_item it = {.name = "x", .type = RT_F32, .rank = 2, .dim = {ROWS, WIDTH}, .data = content};
    check_ok(rt_h5_save(data, "retort-data-1", &it, 1));
    return 0;
}

static int tear_down(void **state)
{
    free(logits);
    free(content);
    return remove_test_folder(state);
}

/* Labels what is left, with a commit behind each two blocks. */
static rt_status label(void)
{
    rt_source *x;
    rt_identity *id;
    rt_labels_writer *w;
    rt_labels_spec spec = {.rows = ROWS, .classes = K, .type = RT_F32};
    cJSON *m = cJSON_CreateObject();
    check_ok(rt_source_open(&x, data, "x"));
    check_ok(rt_identity_open(&id, x, RT_CHECK_KNOWN));
    rt_labels_job job = {.source = id, .notes = notes};
    rt_status st = rt_labels_begin(&w, &(rt_target){.path = store}, &spec, m, &job);
    if (!st) {
        uint64_t first = 0, end = 0;
        do {
            st = rt_labels_next(w, &first, &end);
            for (uint64_t b = first / RT_LABEL_BLOCK; b * RT_LABEL_BLOCK < end && !st; b++) {
                st = rt_labels_put(w, b, logits + b * RT_LABEL_BLOCK * K, NULL);
                if (!st && b % 2) st = rt_labels_commit(w);
            }
        } while (end && !st);
        rt_status ended = rt_labels_end(w);
        if (!st) st = ended;
    }
    rt_identity_close(id);
    rt_source_close(x);
    cJSON_Delete(m);
    return st;
}

static void remove_store(void)
{
    __real_unlink(store);
    __real_unlink(journal);
}

static uint64_t offset_of(const char *set)
{
    rt_h5_file *f;
    check_ok(rt_h5_scan(&f, store));
    uint64_t at = rt_h5_find(f, set)->offset;
    rt_h5_close(f);
    return at;
}

static rt_digest digest_of_store(void)
{
    rt_digest d;
    check_ok(rt_digest_file(&d, store, 0));
    return d;
}

/* Nothing is named before it is synced: rows before their journal line, lines before the next thing is said to be done,
 * all before "complete", that before the journal goes. */
static void check_order(void)
{
    int dirty[FOLDER + 1] = {0}, lines = 0, renamed = 0, folder_after = 0, completed = 0, removed = 0;
    uint64_t complete_at = offset_of("labels/complete");
    for (int i = 0; i < events; i++) {
        const event *e = &log_of[i];
        if (e->call == SYNC) {
            dirty[e->object] = 0;
            if (e->object == FOLDER && renamed) folder_after = 1;
        } else if (e->call == RENAME) {
            assert_int_equal(e->object, STORE);
            assert_false(dirty[TEMPORARY]);
            renamed = 1;
        } else if (e->call == UNLINK) {
            if (e->object != JOURNAL || !renamed) continue;
            assert_true(completed && !dirty[STORE]);
            removed = 1;
        } else if (e->object == JOURNAL && e->text[0] != '\n') {
            assert_true(renamed && folder_after);
            assert_false(dirty[STORE]);
            lines++;
            dirty[JOURNAL] = 1;
        } else {
            int is_complete = e->object == STORE && e->at == complete_at;
            if (is_complete) assert_false(dirty[STORE] || dirty[JOURNAL]);
            if (is_complete) completed = 1;
            if (e->object != JOURNAL) dirty[e->object] = 1;
            if (e->object == STORE) assert_false(dirty[JOURNAL]);
        }
    }
    assert_int_equal(lines, BLOCKS / 2);
    assert_true(completed && removed);
    assert_false(dirty[STORE] || dirty[JOURNAL]);
}

static void order_of_labelling(void **state)
{
    (void)state;
    start_log(0, 0);
    check_ok(label());
    logging = 0;
    check_order();
    rt_digest whole = digest_of_store();
    remove_store();
    halve = 1;                                         /* a write that takes half is gone on with */
    start_log(0, 0);
    check_ok(label());
    logging = halve = 0;
    check_order();
    assert_string_equal(digest_of_store().hex, whole.hex);
    remove_store();
}

/* After the event that failed: no sync, nothing written to store or journal, nothing renamed. */
static void check_silence(void)
{
    int failed = 0;
    for (int i = 0; i < events; i++) {
        int mark = log_of[i].object == JOURNAL && strstr(log_of[i].text, "sync failed");
        if (failed && log_of[i].call != UNLINK && !mark)
            fail_msg("call %d of kind %d on object %d follows a failure", i, log_of[i].call, log_of[i].object);
        failed |= log_of[i].failed;
    }
    assert_true(failed);
}

/* Blocks that the journal names, when the store is there. */
static uint64_t rows_named(void)
{
    rt_labels *l;
    rt_labels_summary s;
    if (access(store, F_OK)) return 0;
    check_ok(rt_labels_open(&l, store, 1));
    check_ok(rt_labels_summarize(l, &s));
    rt_labels_close(l);
    return s.status[RT_LABEL_DONE];
}

/* Rows that may be named: those before the last sync of the store that succeeded. */
static uint64_t rows_synced(void)
{
    uint64_t rows = 0, synced = 0, at = !access(store, F_OK) ? offset_of("labels/logits") : 0;
    for (int i = 0; i < events; i++) {
        const event *e = &log_of[i];
        if (e->object != STORE || e->failed) continue;
        if (e->call == SYNC) synced = rows;
        else if (e->call == WRITE && e->at >= at && e->at < at + (uint64_t)ROWS * K * 4) rows += e->bytes / (K * 4);
    }
    return synced;
}

/* A failed sync of the store or its journal is told to the run that goes on. */
static int failed_sync_of_store(void)
{
    for (int i = 0; i < events; i++)
        if (log_of[i].failed && log_of[i].call == SYNC) return log_of[i].object == STORE || log_of[i].object == JOURNAL;
    return 0;
}

static void failures(void **state)
{
    (void)state;
    check_ok(label());
    rt_digest whole = digest_of_store();
    for (int kind = 0; kind < 2; kind++) {
        int number = 0;
        /* the first sync or write fails, the second, ... until there is none */
        for (;;) {
            remove_store();
            number++;
            start_log(kind ? 0 : number, kind ? number : 0);
            rt_status st = label();
            logging = 0;
            if ((kind ? writes : syncs) < number) break;
            assert_int_equal(st, RT_RUN);
            assert_non_null(strstr(rt_error_message(), test_folder));
            check_silence();
            assert_true(rows_named() <= rows_synced());
            int told = failed_sync_of_store();
            notes = cJSON_CreateArray();
            check_ok(label());
            assert_int_equal(cJSON_GetArraySize(notes), told);
            if (told) assert_non_null(strstr(notes->child->valuestring, "failed (Input/output error)"));
            cJSON_Delete(notes);
            notes = NULL;
            assert_string_equal(digest_of_store().hex, whole.hex);
            assert_true(access(journal, F_OK));
        }
        assert_true(number > 8);
    }
    remove_store();
}

/* Whole files: bytes, then a sync, then the name, then the folder; without a sync of the bytes there is no name. */
static void order_of_files(void **state)
{
    (void)state;
    static const call want_call[] = {WRITE, SYNC, RENAME, SYNC};
    static const object want_object[] = {TEMPORARY, TEMPORARY, STORE, FOLDER};
    for (int fail = 0; fail < 3; fail++) {
        __real_unlink(store);
        start_log(fail, 0);
        rt_status st = rt_write_file(store, "text", 4);
        logging = 0;
        for (int i = 0; i < 4 && (fail != 1 || i < 2); i++) {
            assert_true(i < events);
            assert_int_equal(log_of[i].call, want_call[i]);
            assert_int_equal(log_of[i].object, want_object[i]);
        }
        if (!fail) {
            check_ok(st);
            assert_int_equal(events, 4);
        } else check_fails(st, RT_RUN, "could not be synced");
        assert_int_equal(!access(store, F_OK), fail != 1);
        for (int i = 2; i < events && fail == 1; i++) assert_int_equal(log_of[i].call, UNLINK);
    }
    __real_unlink(store);
    rt_h5_item it = {.name = "x", .type = RT_F32, .rank = 1, .dim = {WIDTH}, .data = content};
    start_log(0, 0);
    check_ok(rt_h5_save(store, "retort-data-1", &it, 1));
    logging = 0;
    int synced = 0, renamed = 0, folder = 0;
    for (int i = 0; i < events; i++) {
        const event *e = &log_of[i];
        if (e->call == WRITE) synced = 0;
        if (e->call == SYNC && e->object == TEMPORARY) synced = 1;
        if (e->call == RENAME) renamed = synced;
        if (e->call == SYNC && e->object == FOLDER) folder = renamed;
    }
    assert_true(synced && renamed && folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(order_of_labelling), cmocka_unit_test(failures),
                                       cmocka_unit_test(order_of_files)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
