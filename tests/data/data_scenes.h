/* tests/data/data_scenes.h - small pieces of work on files, each in a process of its own, in which the machine fails at
 * a chosen call. A test that includes this decides which calls those are. */
#ifndef RT_TESTS_DATA_SCENES_H
#define RT_TESTS_DATA_SCENES_H

#include <errno.h>
#include <fcntl.h>
#include <hdf5.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#include "data/import.h"
#include "data/labels.h"
#include "data/provenance.h"
#include "data/run_folder.h"
#include "data/stream.h"
#include "tests/support.h"

#define SAMPLES RETORT_SOURCE_DIR "/tests/data/samples/"

/* Who makes the call: the work itself, the process that starts readers of HDF5's metadata, or such a reader. */
enum { WORK, STARTER, READER, ROLES };
enum { SCENE_ROWS = RT_LABEL_BLOCK + 9, SCENE_WIDTH = 4, SCENE_CLASSES = 3 };

/* In memory that all of these processes share. */
typedef struct {
    int role, at, onwards;                 /* call number `at` of this role fails; and all that follow it */
    int error;                             /* with this errno */
    _Atomic int armed, calls[ROLES];
    rt_status status;
    char message[700], result[40], failed[24];
} fault_plan;
static fault_plan *fault;
static int own_role;

static void forked(void) { if (own_role < READER) own_role++; }

/* 1 when this call is to fail, with errno set. */
static inline int fault_turn(const char *name)
{
    if (!fault || !fault->armed) return 0;
    int number = ++fault->calls[own_role];
    if (own_role != fault->role || !fault->at || number < fault->at) return 0;
    if (number > fault->at && !fault->onwards) return 0;
    snprintf(fault->failed, sizeof fault->failed, "%s", name);
    errno = fault->error;
    return 1;
}

static char scene_data[64], scene_packed[64], scene_store[64], scene_out[64], scene_folder[64];

/* ---- the work ---- */

static rt_status add_file(rt_hasher *h, const char *path)
{
    rt_digest d;
    RT_TRY(rt_digest_file(&d, path, 0));
    rt_hasher_add(h, d.hex, sizeof d.hex);
    return RT_OK;
}

static rt_status import_into(rt_hasher *h, const rt_import_spec *spec)
{
    cJSON *report = NULL;
    rt_status st = rt_import_run(spec, &(rt_target){.path = scene_out, .force = 1}, &report);
    cJSON_Delete(report);
    return st ? st : add_file(h, scene_out);
}

static const char *in_scene(const char *name)
{
    static char path[4][96];
    static int at;
    char *p = path[at++ & 3];
    snprintf(p, sizeof *path, "%s/%s", test_folder, name);
    return p;
}

static rt_status import_csv(rt_hasher *h)
{
    return import_into(h, &(rt_import_spec){.input = in_scene("t.csv"), .label = "kind", .drop = {"b"},
                                            .drops = 1, .separator = ';', .decimal = ','});
}

static rt_status import_csv_like(rt_hasher *h)
{
    return import_into(h, &(rt_import_spec){.input = in_scene("u.csv"), .labels = in_scene("l.csv"),
                                            .like = in_scene("like.h5"), .drop_missing = 1});
}

static rt_status import_idx(rt_hasher *h)
{
    return import_into(h, &(rt_import_spec){.input = in_scene("x.idx.gz"), .labels = in_scene("y.idx")});
}

static rt_status import_npz(rt_hasher *h)
{
    return import_into(h, &(rt_import_spec){.input = SAMPLES "arrays/packed.npz", .x = "x_train", .y = "y_train"});
}

static rt_status import_npy(rt_hasher *h)
{
    return import_into(h, &(rt_import_spec){.input = SAMPLES "arrays/fortran.npy"});
}

static rt_status import_words(rt_hasher *h)
{
    return import_into(h, &(rt_import_spec){.input = SAMPLES "arrays/bool.npy",
                                            .labels = SAMPLES "arrays/y_words.npy"});
}

static rt_status import_pictures(rt_hasher *h)
{
    return import_into(h, &(rt_import_spec){.input = SAMPLES "pictures", .alpha = RT_ALPHA_WHITE});
}

/* Hashes the data, labels it in two runs, and reads back all that was said of it. */
static rt_status write_labels(rt_identity *id, int blocks)
{
    static float z[SCENE_ROWS * SCENE_CLASSES];
    rt_labels_writer *w;
    rt_labels_spec spec = {.rows = SCENE_ROWS, .classes = SCENE_CLASSES, .type = RT_F32};
    rt_labels_job job = {.source = id};
    for (int i = 0; i < SCENE_ROWS * SCENE_CLASSES; i++) z[i] = (float)(i % 7);
    cJSON *m = cJSON_CreateObject();
    cJSON_AddItemToObject(m, "classes", cJSON_Parse("[\"a\", \"b\", \"c\"]"));
    rt_status st = rt_labels_begin(&w, &(rt_target){.path = scene_store}, &spec, m, &job);
    cJSON_Delete(m);
    if (st) return st;
    uint64_t first = 0, end = 0;
    do {
        st = rt_labels_next(w, &first, &end);
        for (uint64_t at = first - spec.first; first < end && !st; first += RT_LABEL_BLOCK, at += RT_LABEL_BLOCK)
            if (at >= (uint64_t)blocks * RT_LABEL_BLOCK) end = 0;
            else st = rt_labels_put(w, at / RT_LABEL_BLOCK, z + at * SCENE_CLASSES, NULL);
    } while (end && !st);
    rt_status ended = rt_labels_end(w);
    return st ? st : ended;
}

static rt_status read_labels(rt_hasher *h, rt_identity *id)
{
    rt_labels *l;
    rt_labels_summary sum;
    rt_digest d;
    rt_rows rows = rt_rows_between(0, SCENE_ROWS);
    uint64_t row[3] = {0, SCENE_ROWS - 1, 5}, removed = 0;
    float z[3 * SCENE_CLASSES] = {0};
    unsigned char status[3] = {0};
    RT_TRY(rt_labels_open(&l, scene_store, 0));
    rt_status st = rt_labels_verify(l);
    if (!st) st = rt_labels_check_source(l, id, NULL, NULL);
    if (!st) st = rt_labels_digest(l, &d);
    if (!st) st = rt_labels_summarize(l, &sum);
    if (!st) st = rt_labels_read(l, row, 3, z);
    if (!st) st = rt_labels_status(l, row, 3, status);
    if (!st) st = rt_labels_remove_bad(l, &rows, &removed);
    if (!st) {
        rt_hasher_add(h, d.hex, sizeof d.hex);
        rt_hasher_add(h, sum.class_count, SCENE_CLASSES * sizeof *sum.class_count);
        rt_hasher_add(h, z, sizeof z);
        rt_hasher_add(h, status, sizeof status);
    }
    rt_labels_close(l);
    return st;
}

static rt_status label(rt_hasher *h)
{
    rt_source *x;
    rt_identity *id;
    RT_TRY(rt_source_open(&x, scene_data, "x"));
    rt_status st = rt_identity_open(&id, x, RT_CHECK_FULL);
    if (!st) {
        st = write_labels(id, 1);
        if (!st) st = write_labels(id, 2);
        if (!st) st = read_labels(h, id);
        if (!st) st = rt_identity_unchanged(id);
        rt_identity_close(id);
    }
    rt_source_close(x);
    return st;
}

/* Batches of packed data with its classes, of rows that are drawn from it. */
static rt_status batches(rt_hasher *h, rt_source *x, const rt_targets *y, const rt_rows *rows, int threads)
{
    rt_stream *s;
    rt_stream_spec spec = {.x = x, .target = {y}, .heads = 1, .rows = rows, .batch = 300, .shuffle = 1,
                           .keep_tail = 1, .seed = 3, .mark_bad = 1, .prefetch = 2 * threads, .threads = threads};
    RT_TRY(rt_stream_open(&s, &spec, 0));
    rt_status st = RT_OK;
    for (uint64_t g = 0; g < rt_stream_steps(s) && !st; g++) {
        const rt_batch *b;
        st = rt_stream_next(s, &b);
        if (!st) rt_hasher_add(h, b->x, (size_t)b->rows * rt_source_row_bytes(x));
        if (!st) rt_hasher_add(h, b->target[0].y, (size_t)b->rows * sizeof(int32_t));
    }
    rt_stream_close(s);
    return st;
}

static rt_status stream_by(rt_hasher *h, int threads)
{
    static const rt_rows_config rows = {.range = "3:", .test = 0.1, .test_seed = 2};
    rt_source *x;
    rt_targets *y = NULL;
    rt_names classes = {0}, columns = {0};
    rt_rows others = {0}, test = {0};
    RT_TRY(rt_source_open(&x, scene_packed, "x"));
    rt_status st = rt_names_read(rt_source_file(x), &classes, &columns);
    classes.count = SCENE_CLASSES;                     /* it names none */
    if (!st) st = rt_targets_open(&y, x, "y", &classes, RT_MATCH_NAMES);
    if (!st) st = rt_rows_select(&rows, rt_source_rows(x), &others, &test);
    if (!st) st = batches(h, x, y, &others, threads);
    rt_rows_free(&others);
    rt_rows_free(&test);
    rt_targets_close(y);
    rt_names_free(&classes);
    rt_names_free(&columns);
    rt_source_close(x);
    return st;
}

static rt_status stream(rt_hasher *h) { return stream_by(h, 0); }
static rt_status stream_ahead(rt_hasher *h) { return stream_by(h, 2); }

/* Files of a run: one with sets that the library lays out, one that is a text, in folders that are made for them. */
static rt_status fill_folder(rt_hasher *h)
{
    static const char *const names[] = {"a.h5", "b.json", NULL};
    static const float x[6] = {1, 2, 3, 4, 5, 6};
    rt_h5_item it[] = {{.name = "in/x", .type = RT_F16, .rank = 1, .dim = {6}, .data = x},
                       {.name = "in/y", .type = RT_BF16, .rank = 1, .dim = {6}, .data = x},
                       {.name = "z", .type = RT_TEXT, .element = 5, .data = "hello"}};
    char path[RT_FOLDER_PATH], *text;
    size_t n;
    rt_run_folder *f;
    RT_TRY(rt_run_folder_open(&f, &(rt_target){.path = scene_folder}, NULL, names));
    rt_run_folder_path(f, path, "a.h5");
    rt_status st = rt_h5_save(path, "retort-test-1", it, 3);
    if (!st) st = add_file(h, path);
    if (!st) st = rt_run_folder_write(f, "b.json", "{\"a\": 1}", 8);
    if (!st) st = rt_run_folder_sweep(f, "inner");
    if (!st) st = rt_run_folder_sync(f, "inner");
    rt_run_folder_path(f, path, "b.json");
    if (!st) st = rt_read_file(&text, &n, path, 100);
    if (!st) {
        rt_hasher_add(h, text, n);
        free(text);
    }
    rt_run_folder_close(f);
    return st;
}

/* Every link of a file of many kinds of sets, as it is described. */
static rt_status scan_links(rt_hasher *h)
{
    static const char *const files[] = {SAMPLES "links.h5", SAMPLES "kinds.h5", SAMPLES "userblock.h5"};
    for (int k = 0; k < 3; k++) {
        rt_h5_file *f;
        RT_TRY(rt_h5_scan(&f, files[k]));
        for (int i = 0; i < f->sets; i++) {
            const rt_h5_dataset *d = &f->set[i];
            rt_hasher_add(h, d->name, strlen(d->name) + 1);
            rt_hasher_add(h, d->refused, strlen(d->refused) + 1);
            rt_hasher_add(h, d->dim, sizeof *d->dim * (size_t)d->rank);
            rt_hasher_add(h, &d->offset, sizeof d->offset);
        }
        rt_h5_close(f);
    }
    return RT_OK;
}

typedef struct { const char *name; rt_status (*run)(rt_hasher *); const char *made[2]; } scene;
static const scene scenes[] = {
    {"import of CSV", import_csv, {scene_out}}, {"import of CSV like another file", import_csv_like, {scene_out}},
    {"import of IDX", import_idx, {scene_out}}, {"import of NPZ", import_npz, {scene_out}},
    {"import of NPY", import_npy, {scene_out}}, {"import with texts as labels", import_words, {scene_out}},
    {"import of pictures", import_pictures, {scene_out}}, {"labelling", label, {scene_store}},
    {"batches", stream, {NULL}}, {"batches ahead", stream_ahead, {NULL}},
    {"a folder of a run", fill_folder, {NULL}}, {"a look at all links", scan_links, {NULL}},
};
enum { SCENES = sizeof scenes / sizeof *scenes };

/* ---- files that they start from ---- */

static void put_file(const char *name, const void *data, size_t n)
{
    FILE *f = fopen(in_scene(name), "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    fclose(f);
}
#define PUT_TEXT(name, text) put_file(name, text, sizeof text - 1)

/* The data of scene_data in packed chunks. */
static void pack(const float *x, const int32_t *y)
{
    hsize_t dim[2] = {SCENE_ROWS, SCENE_WIDTH}, chunk[2] = {100, SCENE_WIDTH};
    hid_t f = H5Fcreate(scene_packed, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT), p = H5Pcreate(H5P_DATASET_CREATE),
          s = H5Screate_simple(2, dim, NULL), s1 = H5Screate_simple(1, dim, NULL);
    H5Pset_chunk(p, 2, chunk);
    H5Pset_shuffle(p);
    H5Pset_deflate(p, 1);
    hid_t d = H5Dcreate2(f, "x", H5T_IEEE_F32BE, s, H5P_DEFAULT, p, H5P_DEFAULT),
          e = H5Dcreate2(f, "y", H5T_STD_I32LE, s1, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(H5Dwrite(d, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, x) >= 0);
    assert_true(H5Dwrite(e, H5T_NATIVE_INT, H5S_ALL, H5S_ALL, H5P_DEFAULT, y) >= 0);
    H5Dclose(d); H5Dclose(e); H5Sclose(s); H5Sclose(s1); H5Pclose(p); H5Fclose(f);
}

static int make_scenes(void **state)
{
    if (make_test_folder(state)) return 1;
    fault = mmap(NULL, sizeof *fault, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (fault == MAP_FAILED || pthread_atfork(NULL, NULL, forked)) return 1;
    setenv("XDG_CACHE_HOME", test_folder, 1);
    snprintf(scene_data, sizeof scene_data, "%s/data.h5", test_folder);
    snprintf(scene_packed, sizeof scene_packed, "%s/packed.h5", test_folder);
    snprintf(scene_store, sizeof scene_store, "%s/store.h5", test_folder);
    snprintf(scene_out, sizeof scene_out, "%s/out.h5", test_folder);
    snprintf(scene_folder, sizeof scene_folder, "%s/runs/one", test_folder);
    PUT_TEXT("t.csv", "a;b;kind\n1,5;x;yes\n2,5;x;no\n\"3\";y;yes\n4;z;\n");
    PUT_TEXT("u.csv", "\xff\xfep\0,\0q\0\n\0" "1\0,\0" "2\0\n\0" "3\0,\0\n\0" "5\0,\0" "6\0\n\0");
    PUT_TEXT("l.csv", "label\nno\nyes\nyes\n");
    PUT_TEXT("y.idx", "\0\0\x08\x01\0\0\0\2\5\1");
    float *x = random_floats((size_t)SCENE_ROWS * SCENE_WIDTH, 1);
    static int32_t y[SCENE_ROWS];
    for (int i = 0; i < SCENE_ROWS; i++) y[i] = i % SCENE_CLASSES;
    static const char names[] = "{\"classes\": [\"a\", \"b\", \"c\"], \"columns\": [\"k\", \"l\", \"m\", \"n\"]}",
                      like[] = "{\"classes\": [\"no\", \"yes\"], \"columns\": [\"p\", \"q\"], \"imported\": {}}";
    rt_h5_item it[] = {{.name = "x", .type = RT_F32, .rank = 2, .dim = {SCENE_ROWS, SCENE_WIDTH}, .data = x},
                       {.name = "y", .type = RT_I32, .rank = 1, .dim = {SCENE_ROWS}, .data = y},
                       {.name = "manifest", .type = RT_TEXT, .element = sizeof names - 1, .data = names}};
    check_ok(rt_h5_save(scene_data, "retort-data-1", it, 3));
    pack(x, y);
    gzFile z = gzopen(in_scene("x.idx.gz"), "wb");
    assert_int_equal(gzwrite(z, "\0\0\x08\x03\0\0\0\2\0\0\0\2\0\0\0\3abcdefghijkl", 28), 28);
    gzclose(z);
    rt_h5_item two[] = {{.name = "x", .type = RT_F32, .rank = 2, .dim = {2, 2}, .data = x},
                        {.name = "manifest", .type = RT_TEXT, .element = sizeof like - 1, .data = like}};
    check_ok(rt_h5_save(in_scene("like.h5"), "retort-data-1", two, 2));
    free(x);
    return 0;
}

static int remove_scenes(void **state)
{
    munmap(fault, sizeof *fault);
    fault = NULL;
    return remove_test_folder(state);
}

/* ---- in a process of its own ---- */

static void end_of_memory(void)
{
    fault->armed = 0;
    fault->status = RT_RUN;
    snprintf(fault->message, sizeof fault->message, "out of memory");
    _exit(0);
}

/* The scene once; call number `at` of a role fails with this error, 0: none does. */
static void run_scene(const scene *s, int role, int at, int onwards, int error)
{
    int status;
    fault->role = role;
    fault->at = at;
    fault->onwards = onwards;
    fault->error = error;
    fault->armed = 0;
    fault->failed[0] = 0;
    for (int i = 0; i < ROLES; i++) fault->calls[i] = 0;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        own_role = WORK;
        signal(SIGSEGV, SIG_DFL);              /* cmocka's would go on with the tests, in this process too */
        rt_on_out_of_memory(end_of_memory);
        rt_fail(RT_OK, "%s", "");
        rt_hasher *h = rt_hasher_new();
        fault->armed = 1;
        fault->status = s->run(h);
        fault->armed = 0;
        snprintf(fault->message, sizeof fault->message, "%s", rt_error_message());
        rt_digest d = rt_hasher_end(h);
        snprintf(fault->result, sizeof fault->result, "%s", d.hex);
        rt_h5_reader_stop();
        exit(0);
    }
    assert_true(pid > 0);
    while (waitpid(pid, &status, 0) < 0) assert_int_equal(errno, EINTR);
    if (!WIFEXITED(status) || WEXITSTATUS(status))
        fail_msg("%s: %s, call %d of role %d: the process ended with status %x", s->name, fault->failed, at, role,
                 status);
}

/* What the scene makes is gone, and what is known of its data. */
static void forget_scene(const scene *s)
{
    for (int i = 0; i < 2 && s->made[i]; i++) unlink(s->made[i]);
    unlink(in_scene("data.h5.retort-id"));
    unlink(in_scene("store.h5.journal"));
    unlink(in_scene("runs/one/a.h5"));
    unlink(in_scene("runs/one/b.json"));
    rmdir(in_scene("runs/one"));
    rmdir(in_scene("runs"));
}

/* What the scene makes is as an undisturbed run makes it, or not there. */
static void check_whole(const scene *s, rt_digest whole[2])
{
    rt_digest now;
    for (int i = 0; i < 2 && s->made[i]; i++) {
        if (access(s->made[i], F_OK)) continue;
        check_ok(rt_digest_file(&now, s->made[i], 0));
        assert_string_equal(now.hex, whole[i].hex);
    }
}

/* The scene as it is when nothing fails. */
static void undisturbed(const scene *s, const char *result)
{
    run_scene(s, WORK, 0, 0, 0);
    if (fault->status) fail_msg("%s, with no failure: status %d: %s", s->name, fault->status, fault->message);
    if (result) assert_string_equal(fault->result, result);
}

enum { DENSE = 80 };                       /* of later calls, which mostly repeat earlier ones, each third */

/* Call 1 of each role fails with this error, then call 2, and so on: the work ends with RT_RUN and a message that
 * contains `part`, or does what it does undisturbed, which an interrupted call must. */
static void each_call(const scene *s, int onwards, int error, const char *part)
{
    char result[sizeof fault->result];
    rt_digest whole[2] = {{{0}}};
    forget_scene(s);
    undisturbed(s, NULL);
    strcpy(result, fault->result);
    for (int i = 0; i < 2 && s->made[i]; i++) check_ok(rt_digest_file(&whole[i], s->made[i], 0));
    int roles = s->run == scan_links || s->run == import_csv_like ? ROLES : STARTER;    /* all scans are alike */
    for (int role = WORK, ends = 0, all = 0; role < roles; role++, ends = all = 0) {
        for (int at = 1;; at += at < DENSE ? 1 : 3) {
            if (all % 2 == 0) forget_scene(s);
            run_scene(s, role, at, onwards, error);
            if (!fault->failed[0]) break;
            int ended = fault->status != RT_OK;
            if (ended && (fault->status != RT_RUN || error == EINTR || !strstr(fault->message, part)))
                fail_msg("%s: %s, call %d of role %d: status %d: %s", s->name, fault->failed, at, role, fault->status,
                         fault->message);
            if (!ended && strcmp(fault->result, result))
                fail_msg("%s: %s, call %d of role %d fails: another result", s->name, fault->failed, at, role);
            if (s->run == label && ended) undisturbed(s, result);      /* a store goes on from what there is */
            check_whole(s, whole);
            all++;
            ends += ended;
        }
        print_message("%s, role %d%s: %d calls, %d end it\n", s->name, role, onwards ? " onwards" : "", all, ends);
    }
    undisturbed(s, result);
    forget_scene(s);
}
#endif
