/* Teachers, whatever their kind: what one says of itself and answers, its rows in any order and number, heads as they
 * are asked for; a label store answers as the model that it is of; what a kind cannot do is refused by name. */
#include "data/provenance.h"
#include "teacher/labeler.h"
#include "teacher/spec.h"
#include "teacher/teacher.h"
#include "tests/train/train_support.h"

enum { ROWS = 1500, D = 6, W = 5 };

static float *x;

#define ARCH "{'input': [6], 'family': 'mlp', 'width': 8, 'depth': 1, 'heads': [{'name': 'kind', 'size': 3}, " \
    "{'name': 'size', 'task': 'real', 'size': 2}]}"

static void write_model(const char *name, uint64_t seed)
{
    cJSON *arch = parse_config(ARCH);
    rt_model *m;
    check_ok(rt_model_new(&m, arch, seed));
    cJSON_AddItemToObject(m->provenance, "seen", cJSON_CreateArray());
    check_ok(rt_model_save(m, in_folder(name)));
    rt_model_free(m);
    cJSON_Delete(arch);
}

static int set_up(void **s)
{
    uint64_t dim[] = {ROWS, D};
    if (make_test_folder(s)) return 1;
    test_device = rt_device_cpu(2);
    x = random_floats(ROWS * D, 11);
    write_data("x.h5", x, 2, dim, NULL);
    x[0] += 1;
    write_data("other.h5", x, 2, dim, NULL);
    x[0] -= 1;
    write_model("a.h5", 1);
    write_model("b.h5", 2);
    for (int two = 0; two < 2; two++) {
        cJSON *c = parse_config(two ? "{'teacher': ['@a.h5', '@b.h5'], 'data': {'source': '@x.h5', 'rows': '100:1400'}}"
                                    : "{'teacher': '@a.h5', 'data': {'source': '@x.h5', 'rows': '100:1400'}}"), *r;
        rt_target out = {.path = in_folder(two ? "two.h5" : "one.h5")};
        check_ok(rt_label(c, &out, test_device, NULL, &r));
        cJSON_Delete(r);
        cJSON_Delete(c);
    }
    return 0;
}

static int tear_down(void **s)
{
    rt_device_close(test_device);
    free(x);
    return remove_test_folder(s);
}

/* Opened and bound, ready to be asked. */
static rt_teacher *open_teacher(const char *first, const char *second, rt_source **source, rt_identity **id)
{
    const char *path[2] = {in_folder(first), second ? in_folder(second) : NULL};
    static char kept[2][160];
    rt_teacher *t;
    for (int i = 0; i < (second ? 2 : 1); i++) {
        snprintf(kept[i], sizeof kept[i], "%s", path[i]);
        path[i] = kept[i];
    }
    check_ok(rt_teacher_open(&t, path, second ? 2 : 1, NULL));
    check_ok(rt_source_open(source, in_folder("x.h5"), "x"));
    check_ok(rt_identity_open(id, *source, RT_CHECK_KNOWN));
    check_ok(rt_teacher_bind(t, &(rt_teacher_binding){.source = *source, .id = *id}));
    check_ok(rt_teacher_ready(t, test_device, 64, NULL, 0));
    return t;
}

static rt_teacher *open_mix(rt_source **source, rt_identity **id)
{
    rt_teacher *t;
    cJSON *config = parse_config("{'teacher': {'mix': 'probabilities', 'teachers': ['@a.h5', '@b.h5']}}");
    rt_cfg c = rt_cfg_begin(config, "");
    rt_teacher_spec spec = rt_teacher_spec_read(&c, "teacher", "a teacher");
    check_ok(c.status);
    check_ok(rt_teacher_open_spec(&t, &spec, NULL));
    check_ok(rt_source_open(source, in_folder("x.h5"), "x"));
    check_ok(rt_identity_open(id, *source, RT_CHECK_KNOWN));
    check_ok(rt_teacher_bind(t, &(rt_teacher_binding){.source = *source, .id = *id}));
    check_ok(rt_teacher_ready(t, test_device, 64, NULL, 0));
    cJSON_Delete(config);
    return t;
}

static void close_all(rt_teacher *t, rt_source *source, rt_identity *id)
{
    rt_teacher_close(t);
    rt_identity_close(id);
    rt_source_close(source);
}

/* Rows first, first + step, ... */
static void ask(rt_teacher *t, int first, int step, int rows, float *z)
{
    uint64_t row[ROWS];
    float *raw = malloc((size_t)rows * D * sizeof *raw);
    for (int i = 0; i < rows; i++) {
        row[i] = (uint64_t)(first + i * step);
        memcpy(raw + (size_t)i * D, x + row[i] * D, D * sizeof *raw);
    }
    check_ok(rt_teacher_ask(t, &(rt_feed){.raw = raw, .row = row, .rows = rows}, z));
    free(raw);
}

/* The same bits whatever rows are asked about together, by model, ensemble and store, and by store as by who it is of.
 */
static void same_answers(void **state)
{
    (void)state;
    static const char *const of[2][2] = {{"a.h5", NULL}, {"a.h5", "b.h5"}};
    static const char *const stored[2] = {"one.h5", "two.h5"};
    static float want[1300 * W], z[1300 * W];
    for (int n = 0; n < 2; n++)
        for (int kept = 0; kept < 2; kept++) {
            rt_source *source;
            rt_identity *id;
            rt_teacher *t = kept ? open_teacher(stored[n], NULL, &source, &id)
                                 : open_teacher(of[n][0], of[n][1], &source, &id);
            ask(t, 100, 1, 1300, kept ? z : want);
            if (kept) assert_memory_equal(z, want, sizeof want);
            for (int at = 0; at < 1300; at += 77) {                    /* some at a time, and backwards */
                int rows = 1300 - at < 77 ? 1300 - at : 77;
                ask(t, 100 + at + rows - 1, -1, rows, z);
                for (int r = 0; r < rows; r++)
                    assert_memory_equal(z + (size_t)r * W, want + (size_t)(at + rows - 1 - r) * W, W * sizeof(float));
            }
            close_all(t, source, id);
        }
}

static void what_it_is(void **state)
{
    (void)state;
    rt_source *source;
    rt_identity *id;
    for (int kept = 0; kept < 2; kept++) {
        rt_teacher *t = open_teacher(kept ? "one.h5" : "a.h5", NULL, &source, &id), *twin;
        int count;
        rt_digest a, b;
        uint64_t first, end;
        cJSON *seen = cJSON_CreateArray(), *said = cJSON_CreateObject();
        const rt_head *head = rt_teacher_heads(t, &count);
        assert_int_equal(count, 2);
        assert_string_equal(head[1].name, "size");
        assert_int_equal(rt_teacher_abilities(t), kept ? RT_TEACHER_KEEPS
                                                             : RT_TEACHER_COMPUTES | RT_TEACHER_TIMED);
        rt_teacher_covers(t, &first, &end);
        assert_int_equal(first, kept ? 100 : 0);
        assert_true(end == (kept ? 1400 : UINT64_MAX));
        assert_int_equal(rt_teacher_top(t, 0), 3);
        assert_int_equal(rt_teacher_top(t, 1), 2);
        assert_true(rt_teacher_costs(t).parameters == (kept ? 0 : 6 * 8 + 8 + 8 * 5 + 5));
        check_ok(rt_teacher_seen(t, seen));
        check_ok(rt_teacher_describe(t, said));
        assert_non_null(cJSON_GetObjectItem(said, kept ? "labels" : "teacher_digest"));
        assert_non_null(rt_teacher_provenance(t, 0));
        assert_null(rt_teacher_provenance(t, 1));
        check_ok(rt_teacher_twin(&twin, t));
        check_ok(rt_teacher_digest(t, &a));
        check_ok(rt_teacher_digest(twin, &b));
        assert_string_equal(a.hex, b.hex);
        assert_string_equal(rt_teacher_path(twin), rt_teacher_path(t));
        rt_teacher_close(twin);
        cJSON_Delete(seen);
        cJSON_Delete(said);
        close_all(t, source, id);
    }
}

/* All members of an ensemble have a say in what a twin answers, and each its own past. */
static void ensemble(void **state)
{
    (void)state;
    rt_source *source[2];
    rt_identity *id[2];
    rt_teacher *t = open_teacher("a.h5", "b.h5", &source[0], &id[0]),
               *one = open_teacher("a.h5", NULL, &source[1], &id[1]);
    rt_teacher *twin;
    static float want[200 * W], z[200 * W];
    rt_digest a, b;
    check_ok(rt_teacher_twin(&twin, t));
    check_ok(rt_teacher_digest(t, &a));
    check_ok(rt_teacher_digest(twin, &b));
    assert_string_equal(a.hex, b.hex);
    check_ok(rt_teacher_digest(one, &b));
    assert_string_not_equal(a.hex, b.hex);
    check_ok(rt_teacher_ready(twin, test_device, 32, NULL, 0));
    ask(t, 5, 1, 200, want);
    ask(twin, 5, 1, 200, z);
    for (int i = 0; i < 200 * W; i++) check_close("a twin's answer", z[i], want[i], 1e-5, 1e-5);
    ask(one, 5, 1, 200, z);
    assert_memory_not_equal(z, want, sizeof want);
    assert_ptr_not_equal(rt_teacher_provenance(t, 0), rt_teacher_provenance(t, 1));
    assert_non_null(rt_teacher_provenance(t, 1));
    assert_null(rt_teacher_provenance(t, 2));
    rt_teacher_close(twin);
    close_all(one, source[1], id[1]);
    close_all(t, source[0], id[0]);
}

/* One head alone, as the student has it. */
static void as_asked(void **state)
{
    (void)state;
    rt_head head[RT_MAX_HEADS];
    int count = 0;
    float all[40 * W], some[40 * 2];
    check_ok(rt_heads_add(head, &count, "size", RT_TASK_REAL, 2));
    for (int way = 0; way < 3; way++) {                     /* models, a store, a mixture */
        rt_source *source;
        rt_identity *id;
        rt_teacher *t = way == 2 ? open_mix(&source, &id)
                                 : open_teacher(way ? "two.h5" : "a.h5", way ? NULL : "b.h5", &source, &id);
        ask(t, 100, 3, 40, all);
        check_ok(rt_teacher_answer_as(t, head, count, "the student", RT_MATCH_NAMES));
        ask(t, 100, 3, 40, some);
        for (int r = 0; r < 40; r++) assert_memory_equal(some + 2 * r, all + W * r + 3, 2 * sizeof(float));
        close_all(t, source, id);
    }
    rt_heads_free(head, count);
}

static void refused(void **state)
{
    (void)state;
    rt_source *source, *other;
    rt_identity *id, *other_id;
    rt_teacher *t = open_teacher("one.h5", NULL, &source, &id), *two;
    uint64_t row = 99;
    float z[W];
    rt_shape shape;
    char a[160], b[160];
    const char *path[2] = {a, b};
    static const char *const layer[] = {"dense1"};
    snprintf(a, sizeof a, "%s", in_folder("a.h5"));
    snprintf(b, sizeof b, "%s", in_folder("one.h5"));
    check_fails(rt_teacher_ask(t, &(rt_feed){.row = &row, .rows = 1}, z), RT_INPUT, "has no label for row 99");
    check_fails(rt_teacher_ready(t, test_device, 0, layer, 1), RT_USAGE, "is a label store, and has no layers");
    check_fails(rt_teacher_feature_shape(t, "dense1", &shape), RT_USAGE, "keeps no feature 'dense1'");
    check_fails(rt_teacher_open(&two, path, 2, NULL), RT_USAGE, "answers alone");
    check_ok(rt_source_open(&other, in_folder("other.h5"), "x"));
    check_ok(rt_identity_open(&other_id, other, RT_CHECK_KNOWN));
    check_fails(rt_teacher_bind(t, &(rt_teacher_binding){.source = source}), RT_USAGE, "a model is needed here");
    snprintf(a, sizeof a, "%s", in_folder("x.h5"));
    check_fails(rt_teacher_open(&two, path, 1, NULL), RT_INPUT, "is no retort model");
    check_fails(rt_teacher_open(&two, path, 0, NULL), RT_USAGE, "no teacher is given");
    rt_identity_close(other_id);
    rt_source_close(other);
    close_all(t, source, id);
    cJSON *c = parse_config("{'teacher': '@one.h5', 'data': {'source': '@x.h5'}}"), *r;
    rt_target out = {.path = in_folder("never.h5")};
    check_fails(rt_label(c, &out, test_device, NULL, &r), RT_USAGE, "has answers already");
    cJSON_Delete(c);
    check_fails(train_with("{'model': " ARCH
                           ", 'data': {'source': '@x.h5'}, 'teacher': '@one.h5', 'loss': {'kind': {'hard': 0}, "
                           "'size': {'hard': 0}}}",
                           "never", 1, NULL, &r),
                RT_USAGE, "give it as data.labels");
    check_fails(train_with("{'model': " ARCH
                           ", 'data': {'source': '@x.h5', 'labels': '@a.h5'}, 'loss': {'kind': {'hard': 0}, "
                           "'size': {'hard': 0}}}",
                           "never", 1, NULL, &r),
                RT_INPUT, "is no label store");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(same_answers), cmocka_unit_test(what_it_is),
                                       cmocka_unit_test(ensemble), cmocka_unit_test(as_asked),
                                       cmocka_unit_test(refused)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
