/* A label store of several heads: what is read is what was put, in every coding; the order of heads and classes that is
 * asked for; counts; a store that goes on; heads that differ; what other tools see of the file. */
#include "data/labels.h"
#include "data/source.h"
#include "tests/support.h"

enum { ROWS = 3000, K = 5, L = 3, D = 2, W = K + L + D };

static float *answers;
static rt_head head[RT_MAX_HEADS];
static int heads;

static char *in_folder(const char *name)
{
    static char path[4][128];
    static int at;
    at = (at + 1) % 4;
    snprintf(path[at], sizeof path[at], "%s/%s", test_folder, name);
    return path[at];
}

static int set_up(void **state)
{
    static const unsigned char x[ROWS] = {1};
    rt_h5_item item = {.name = "x", .type = RT_U8, .rank = 2, .dim = {ROWS, 1}, .data = x};
    if (make_test_folder(state)) return 1;
    check_ok(rt_h5_save(in_folder("x.h5"), "retort-data-1", &item, 1));
    answers = random_floats(ROWS * W, 5);
    for (size_t i = 0; i < ROWS; i++) answers[i * W + K + L] *= 1e6f;               /* a value that no f16 holds */
    check_ok(rt_heads_add(head, &heads, "kind", RT_TASK_CLASSES, K));
    check_ok(rt_heads_add(head, &heads, "tags", RT_TASK_MULTILABEL, L));
    check_ok(rt_heads_add(head, &heads, "size", RT_TASK_REAL, D));
    return 0;
}

static int tear_down(void **state)
{
    rt_heads_free(head, heads);
    free(answers);
    return remove_test_folder(state);
}

/* Blocks up to `upto`; counts: (W) of what is written. */
static rt_status write_store(const char *path, const rt_head *h, int count, int topk, rt_dtype type, int upto,
                             uint64_t *counts)
{
    rt_labels_writer *w;
    rt_source *x;
    rt_identity *id;
    rt_labels_spec spec = {.rows = ROWS, .classes = W, .topk = topk, .type = type, .head = h, .heads = count};
    check_ok(rt_source_open(&x, in_folder("x.h5"), "x"));
    check_ok(rt_identity_open(&id, x, RT_CHECK_KNOWN));
    rt_labels_job job = {.source = id, .mark_bad = 1};
    cJSON *m = cJSON_CreateObject();
    cJSON_AddStringToObject(cJSON_AddObjectToObject(m, "teacher"), "digest", "t");
    rt_status st = rt_labels_begin(&w, &(rt_target){.path = path}, &spec, m, &job);
    cJSON_Delete(m);
    uint64_t first = 0, end = 0;
    do {
        if (!st) st = rt_labels_next(w, &first, &end);
        for (; first < end && !st; first += RT_LABEL_BLOCK)
            if (first - spec.first >= (uint64_t)upto * RT_LABEL_BLOCK) end = 0;
            else st = rt_labels_put(w, (first - spec.first) / RT_LABEL_BLOCK, answers + (first - spec.first) * W, NULL);
    } while (end && !st);
    if (!st && counts) memcpy(counts, rt_labels_written(w).class_count, W * sizeof *counts);
    if (!st) st = rt_labels_end(w);
    rt_identity_close(id);
    rt_source_close(x);
    return st;
}

/* A class's logit in top-k coding: as it is for the k best, else what keeps the tail's probability. */
static double topk_logit(const float *z, int c, int k)
{
    int better = 0;
    double tail = 0;
    for (int i = 0; i < K; i++) better += z[i] > z[c];
    if (better < k) return z[c];
    for (int i = 0; i < K; i++) {
        int before = 0;
        for (int j = 0; j < K; j++) before += z[j] > z[i];
        if (before >= k) tail += exp((double)z[i]);
    }
    return log(tail / (K - k));
}

static void every_coding(void **state)
{
    (void)state;
    for (int topk = 0; topk <= 2; topk += 2)
        for (int half = 0; half < 2; half++) {
            char name[32];
            snprintf(name, sizeof name, "s%d%d.h5", topk, half);
            uint64_t counts[W], want[W] = {0}, row[3] = {0, 1023, 2999};
            float z[3 * W];
            rt_labels *l;
            rt_labels_summary s;
            int n;
            check_ok(write_store(in_folder(name), head, heads, topk, half ? RT_F16 : RT_F32, 3, counts));
            check_ok(rt_labels_open(&l, in_folder(name), 0));
            const rt_head *of = rt_labels_heads(l, &n);
            assert_int_equal(n, 3);
            assert_string_equal(of[2].name, "size");
            assert_int_equal(of[1].task, RT_TASK_MULTILABEL);
            check_ok(rt_labels_verify(l));
            check_ok(rt_labels_read(l, row, 3, z));
            double near = half ? 1e-3 : 1e-6;
            for (int i = 0; i < 3; i++) {
                const float *a = answers + row[i] * W, *got = z + i * W;
                for (int c = 0; c < K; c++)
                    check_close("class", got[c], topk ? topk_logit(a, c, topk) : a[c], near, near);
                for (int c = K; c < K + L; c++) check_close("label", got[c], a[c], near, near);
                for (int c = K + L; c < W; c++) assert_true(got[c] == a[c]);       /* values are f32 in any coding */
            }
            for (int r = 0; r < ROWS; r++) {
                const float *a = answers + (size_t)r * W;
                int best = 0;
                for (int c = 1; c < K; c++) best = a[c] > a[best] ? c : best;
                want[best] += !half;
                for (int c = K; c < K + L; c++) want[c] += a[c] > 0;
            }
            check_ok(rt_labels_summarize(l, &s));
            assert_memory_equal(s.class_count, counts, sizeof counts);
            for (int c = half ? K : 0; c < W; c++) assert_int_equal(counts[c], want[c]);
            rt_labels_close(l);
        }
}

/* Heads in another order, classes by name, one head alone, one that the store lacks. */
static void as_asked(void **state)
{
    (void)state;
    rt_head other[RT_MAX_HEADS];
    int n = 0;
    rt_labels *l;
    uint64_t row = 77;
    float own[W], z[D + 4 + K];
    check_ok(write_store(in_folder("order.h5"), head, heads, 0, RT_F32, 3, NULL));
    check_ok(rt_labels_open(&l, in_folder("order.h5"), 0));
    check_ok(rt_labels_read(l, &row, 1, own));
    check_ok(rt_heads_add(other, &n, "size", RT_TASK_REAL, D));
    check_ok(rt_heads_add(other, &n, "nobody", RT_TASK_REAL, 4));
    check_ok(rt_heads_add(other, &n, "kind", RT_TASK_CLASSES, K));
    cJSON *names = cJSON_Parse("[\"4\",\"0\",\"1\",\"2\",\"3\"]");
    rt_names_free(&other[2].names);
    check_ok(rt_names_from_json(&other[2].names, names, "m.h5", "names"));
    cJSON_Delete(names);
    check_ok(rt_labels_set_heads(l, other, n, "m.h5", RT_MATCH_NAMES));
    check_ok(rt_labels_read(l, &row, 1, z));
    for (int i = 0; i < D; i++) assert_true(z[i] == own[K + L + i]);
    for (int i = 0; i < 4; i++) assert_true(z[D + i] == 0);
    for (int c = 0; c < K; c++) assert_true(z[D + 4 + c] == own[(c + 4) % 5]);
    other[0].task = RT_TASK_MULTILABEL;
    check_fails(rt_labels_set_heads(l, other, n, "m.h5", RT_MATCH_NAMES), RT_INPUT,
                "its head 'size' is of task real with 2");
    rt_labels_close(l);
    rt_heads_free(other, n);
}

static void goes_on(void **state)
{
    (void)state;
    rt_labels *l;
    rt_digest a, b;
    check_ok(write_store(in_folder("whole.h5"), head, heads, 2, RT_F16, 3, NULL));
    check_ok(write_store(in_folder("parts.h5"), head, heads, 2, RT_F16, 1, NULL));
    check_fails(rt_labels_open(&l, in_folder("parts.h5"), 0), RT_INPUT, "is not finished");
    check_fails(write_store(in_folder("parts.h5"), head, 2, 2, RT_F16, 3, NULL), RT_USAGE,
                "of other rows or in another coding");
    check_ok(write_store(in_folder("parts.h5"), head, heads, 2, RT_F16, 3, NULL));
    check_ok(rt_labels_open(&l, in_folder("whole.h5"), 0));
    check_ok(rt_labels_digest(l, &a));
    rt_labels_close(l);
    check_ok(rt_labels_open(&l, in_folder("parts.h5"), 0));
    check_ok(rt_labels_digest(l, &b));
    rt_labels_close(l);
    assert_string_equal(a.hex, b.hex);
}

/* Each head's sets, by their paths. */
static void sets(void **state)
{
    (void)state;
    static const struct { const char *name; rt_dtype type; int width; } set[] = {
        {"labels/kind/topk_id", RT_I32, 2}, {"labels/kind/topk_logit", RT_F16, 2}, {"labels/kind/tail", RT_F32, 1},
        {"labels/tags/logits", RT_F16, L}, {"labels/size/values", RT_F32, D}, {"labels/status", RT_U8, 1}};
    rt_h5_file *f;
    check_ok(write_store(in_folder("sets.h5"), head, heads, 2, RT_F16, 3, NULL));
    check_ok(rt_h5_scan(&f, in_folder("sets.h5")));
    for (size_t i = 0; i < sizeof set / sizeof *set; i++) {
        const rt_h5_dataset *d = rt_h5_find(f, set[i].name);
        assert_non_null(d);
        assert_int_equal(d->type, set[i].type);
        assert_int_equal(d->dim[0], ROWS);
        assert_int_equal(d->rank == 2 ? d->dim[1] : 1, set[i].width);
    }
    assert_null(rt_h5_find(f, "labels/logits"));
    rt_h5_close(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_coding), cmocka_unit_test(as_asked),
                                       cmocka_unit_test(goes_on), cmocka_unit_test(sets)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
