/* Label stores for tests: a source, a writer of blocks, and a look at what was written. */
#ifndef RT_TESTS_LABEL_STORES_H
#define RT_TESTS_LABEL_STORES_H

#include "data/labels.h"
#include "tests/support.h"

enum { FIRST = 100, ROWS = 2 * RT_LABEL_BLOCK + 77, K = 6, SOURCE_ROWS = FIRST + ROWS + 50, WIDTH = 1 << 12 };
enum { SPAN = RT_SPAN_BYTES / (WIDTH * 4) };           /* rows of a span: 1024, not in step with blocks */
static float *logits, *content;
static char data[96];

static void write_source(const char *path)
{
    rt_h5_item it[] = {{.name = "x", .type = RT_F32, .rank = 2, .dim = {SOURCE_ROWS, WIDTH}, .data = content}};
    check_ok(rt_h5_save(path, "retort-data-1", it, 1));
}

static int set_up(void **state)
{
    logits = random_floats((size_t)ROWS * K, 4);
    content = random_floats((size_t)SOURCE_ROWS * WIDTH, 5);
    if (make_test_folder(state)) return 1;
    setenv("XDG_CACHE_HOME", test_folder, 1);
    snprintf(data, sizeof data, "%s/data.h5", test_folder);
    write_source(data);
    return 0;
}

static int tear_down(void **state)
{
    free(logits);
    free(content);
    return remove_test_folder(state);
}

static char *in_folder(char path[128], const char *name)
{
    snprintf(path, 128, "%s/%s", test_folder, name);
    return path;
}

static cJSON *manifest(const char *teacher)
{
    cJSON *m = cJSON_CreateObject();
    cJSON_AddStringToObject(cJSON_AddObjectToObject(m, "teacher"), "digest", teacher);
    return m;
}

typedef struct {
    const char *path, *teacher, *source;               /* source NULL: data */
    rt_labels_spec spec;
    const float *logits;                               /* NULL: the test's */
    const unsigned char *status;                       /* of all rows, or NULL */
    int upto, force, mark_bad, threads;                /* threads 0: 2 */
    const cJSON *classes;
    rt_labels_summary summary;                         /* with the counts below */
    uint64_t counts[K];
} writing;

static rt_status write_labels(writing *q)
{
    rt_labels_writer *w;
    rt_source *x;
    rt_identity *id;
    rt_pool *pool = rt_pool_new(q->threads ? q->threads : 2);
    check_ok(rt_source_open(&x, q->source ? q->source : data, "x"));
    check_ok(rt_identity_open(&id, x, RT_CHECK_KNOWN));
    rt_labels_job job = {.source = id, .mark_bad = q->mark_bad, .pool = pool};
    cJSON *m = manifest(q->teacher ? q->teacher : "t");
    if (q->classes) cJSON_AddItemToObject(m, "classes", cJSON_Duplicate(q->classes, 1));
    rt_status st = rt_labels_begin(&w, &(rt_target){.path = q->path, .force = q->force}, &q->spec, m, &job);
    cJSON_Delete(m);
    if (!st) {
        const float *z = q->logits ? q->logits : logits;
        uint64_t first = 0, end = 0;
        do {
            st = rt_labels_next(w, &first, &end);
            for (uint64_t b = (first - q->spec.first) / RT_LABEL_BLOCK; first < end && !st;
                 b++, first += RT_LABEL_BLOCK) {
                size_t at = (size_t)b * RT_LABEL_BLOCK;
                if (b >= (uint64_t)q->upto) end = 0;
                else st = rt_labels_put(w, b, z + at * (size_t)q->spec.classes, q->status ? q->status + at : NULL);
            }
        } while (end && !st);
        if (!st) {
            q->summary = rt_labels_written(w);
            if (q->spec.classes == K) memcpy(q->counts, q->summary.class_count, sizeof q->counts);
        }
        rt_status ended = rt_labels_end(w);
        if (!st) st = ended;
    }
    rt_identity_close(id);
    rt_source_close(x);
    rt_pool_free(pool);
    return st;
}

static const rt_labels_spec plain = {.first = FIRST, .rows = ROWS, .classes = K, .type = RT_F32};

__attribute__((unused)) static rt_status write_blocks(const char *path, rt_labels_spec spec, const char *teacher,
                                                      int upto, int force)
{
    writing q = {.path = path, .teacher = teacher, .spec = spec, .upto = upto, .force = force};
    return write_labels(&q);
}

static void files_equal(const char *a, const char *b)
{
    rt_digest x, y;
    check_ok(rt_digest_file(&x, a, 0));
    check_ok(rt_digest_file(&y, b, 0));
    assert_string_equal(x.hex, y.hex);
}

__attribute__((unused)) static uint64_t labelled_rows(const char *path)
{
    rt_labels *l;
    rt_labels_summary s;
    check_ok(rt_labels_open(&l, path, 1));
    check_ok(rt_labels_verify(l));
    check_ok(rt_labels_summarize(l, &s));
    rt_labels_close(l);
    return s.status[RT_LABEL_DONE];
}

static uint64_t offset_of(const char *path, const char *set)
{
    rt_h5_file *f;
    check_ok(rt_h5_scan(&f, path));
    uint64_t at = rt_h5_find(f, set)->offset;
    rt_h5_close(f);
    return at;
}

#endif
