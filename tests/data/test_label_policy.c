/* Views of a label store: the rows that NumPy chooses by sorting, for each kind of policy; random choices; more rows
 * than are marked at once; what is refused. */
#include "data/label_policy.h"
#include "data/label_scan.h"
#include "policy_labels.h"

typedef struct { const char *policy; uint64_t before[4], passed[4], after[4], sum, squares; } policy_case;
#include "label_policy_reference.h"

static rt_row_weights *weights_wanted;                  /* NULL: not asked for */

static rt_status apply(const char *text, const char *path, rt_rows *rows, cJSON **report)
{
    rt_label_policy *p;
    rt_labels *l;
    cJSON *j = cJSON_Parse(text);
    *report = NULL;
    rt_status st = rt_label_policy_read(&p, j, "data.policy");
    cJSON_Delete(j);
    if (st) return st;
    check_ok(rt_labels_open(&l, path, 0));
    st = rt_label_policy_apply(p, l, path, rows, weights_wanted, report);
    rt_labels_close(l);
    rt_label_policy_free(p);
    return st;
}

static double number(const cJSON *j, const char *key)
{ return cJSON_GetObjectItemCaseSensitive(j, key)->valuedouble; }

static void check_counts(const cJSON *report, const policy_case *q)
{
    static const char *const name[] = {"ant", "bee", "cat", "dog"};
    const cJSON *classes = cJSON_GetObjectItemCaseSensitive(report, "classes");
    uint64_t all = 0;
    assert_int_equal(cJSON_GetArraySize(classes), 4);
    for (int c = 0; c < 4; c++) {
        const cJSON *one = cJSON_GetObjectItemCaseSensitive(classes, name[c]);
        if ((uint64_t)number(one, "before") != q->before[c] || (uint64_t)number(one, "passed") != q->passed[c] ||
            (uint64_t)number(one, "after") != q->after[c])
            fail_msg("%s: class %s: %s", q->policy, name[c], cJSON_PrintUnformatted(one));
        all += q->after[c];
    }
    assert_int_equal((uint64_t)number(report, "rows_after"), all);
}

static void test_recorded(void **s)
{
    (void)s;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        rt_rows rows = rt_rows_between(FIRST, FIRST + ROWS);
        cJSON *report;
        uint64_t sum = 0, squares = 0;
        check_ok(apply(cases[i].policy, store, &rows, &report));
        check_counts(report, &cases[i]);
        for (uint64_t k = 0; k < rows.count; k++) {
            uint64_t row = rt_rows_at(&rows, k);
            sum += row;
            squares += row * row;
        }
        if (sum != cases[i].sum || squares != cases[i].squares)
            fail_msg("%s: other rows: sum %llu, of squares %llu", cases[i].policy, (unsigned long long)sum,
                     (unsigned long long)squares);
        assert_int_equal(rows.count, (uint64_t)number(report, "rows_after"));
        cJSON_Delete(report);
        rt_rows_free(&rows);
    }
}

/* Of some rows alone the policy knows nothing of the others. */
static void test_some_rows(void **s)
{
    (void)s;
    rt_rows rows = rt_rows_between(FIRST + 100, FIRST + 400);
    cJSON *report;
    check_ok(apply("{\"per_class\": {\"top\": 5}}", store, &rows, &report));
    assert_int_equal(rows.count, 20);
    assert_true(rows.first >= FIRST + 100 && rows.end <= FIRST + 400);
    double before = number(report, "rows_before");
    assert_int_equal((int)before, 296);                                       /* four have no label */
    cJSON_Delete(report);
    rt_rows_free(&rows);
}

/* Of an even number of rows the upper of the middle two: half of them stay; of an odd number the middle one, too. */
static void test_median(void **s)
{
    (void)s;
    static const float w[18] = {0.3f, 0, 0.1f, 0, 0.4f, 0, 0.2f, 0, 0, 0.5f, 0, 0.2f, 0, 0.1f, 0, 0.3f, 0, 0.4f};
    static const int stays[9] = {1, 0, 1, 0, 1, 0, 0, 1, 1};
    char path[64];
    cJSON *report;
    snprintf(path, sizeof path, "%s/nine.h5", test_folder);
    write_store(path, data, (rt_labels_spec){.first = 3, .rows = 9, .classes = 2, .type = RT_F32}, w, NULL,
                "{\"teacher\": {\"digest\": \"t\"}}");
    rt_rows rows = rt_rows_between(3, 12);
    check_ok(apply("{\"per_class\": {\"median_capped\": 1}}", path, &rows, &report));
    for (uint64_t i = 0; i < 9; i++) assert_int_equal(rt_rows_has(&rows, 3 + i), stays[i]);
    cJSON_Delete(report);
    rt_rows_free(&rows);
}

static void refuse(const char *text, const char *path, rt_status want, const char *part)
{
    rt_rows rows = rt_rows_between(FIRST, FIRST + ROWS);
    cJSON *report;
    check_fails(apply(text, path, &rows, &report), want, part);
    assert_int_equal(rows.count, ROWS);                                       /* as they were */
    assert_null(report);
}

/* Of several heads the first one of classes, or the one that is named. */
static void test_heads(void **s)
{
    (void)s;
    static const float w[4 * 6] = {9, 0, 2, 0, 3, 0, -9, 0, 1, 0, 0, 1, 9, 2, 0, 0, 0, 2, 9, 1, 0, 3, 0, 0};
    static const int first[4] = {1, 0, 1, 0}, named[4] = {1, 0, 0, 1};
    rt_head head[RT_MAX_HEADS];
    int heads = 0;
    char path[64];
    cJSON *report;
    check_ok(rt_heads_add(head, &heads, "size", RT_TASK_REAL, 1));
    check_ok(rt_heads_add(head, &heads, "kind", RT_TASK_CLASSES, 2));
    check_ok(rt_heads_add(head, &heads, "tone", RT_TASK_CLASSES, 3));
    snprintf(path, sizeof path, "%s/heads.h5", test_folder);
    rt_labels_spec spec = {.rows = 4, .classes = 6, .type = RT_F32, .head = head, .heads = heads};
    write_store(path, data, spec, w, NULL, "{\"teacher\": {\"digest\": \"t\"}}");
    for (int i = 0; i < 2; i++) {
        rt_rows rows = rt_rows_between(0, 4);
        check_ok(apply(i ? "{\"head\": \"tone\", \"confidence\": {\"min\": 0.8}, \"allow_empty\": true}"
                         : "{\"confidence\": {\"min\": 0.8}}", path, &rows, &report));
        for (uint64_t r = 0; r < 4; r++) assert_int_equal(rt_rows_has(&rows, r), i ? named[r] : first[r]);
        assert_string_equal(cJSON_GetObjectItemCaseSensitive(report, "head")->valuestring, i ? "tone" : "kind");
        cJSON_Delete(report);
        rt_rows_free(&rows);
    }
    refuse("{\"head\": \"size\"}", path, RT_USAGE, "'size' is no head of classes");
    refuse("{\"head\": \"y\"}", path, RT_USAGE, "has no head 'y'; its heads: size (real, 1), kind (classes, 2), tone");
    rt_heads_free(head, heads);
}

/* By chance: as many of each class, other rows by another seed, no surer than the rest. */
static void test_random(void **s)
{
    (void)s;
    rt_rows of[3];
    static const char *const text[] = {"{\"per_class\":{\"top\":200},\"choose\":\"random\"}",
                                       "{\"per_class\":{\"top\":200},\"choose\":\"random\",\"seed\":1}",
                                       "{\"per_class\":{\"top\":200},\"choose\":\"random\",\"seed\":2}"};
    double sure[2] = {0, 0};
    for (int i = 0; i < 3; i++) {
        cJSON *report;
        of[i] = rt_rows_between(FIRST, FIRST + ROWS);
        check_ok(apply(text[i], store, &of[i], &report));
        assert_int_equal(of[i].count, 800);
        cJSON_Delete(report);
    }
    assert_int_equal(rt_rows_common(&of[0], &of[1]), 800);
    uint64_t common = rt_rows_common(&of[0], &of[2]);                         /* about 800 x 800 / 2573 = 260 */
    if (common < 200 || common > 330) fail_msg("%llu rows are common", (unsigned long long)common);
    for (uint64_t k = 0; k < 800; k++)
        for (int i = 0; i < 2; i++) {
            const float *v = z + (rt_rows_at(&of[2 * i], k) - FIRST) * K;
            sure[i] += rt_label_facts_of(v, K, 1).confidence / 800;
        }
    for (int i = 0; i < 2; i++) check_close("mean confidence", sure[i], summed.confidence, 0.025, 0);
    for (int i = 0; i < 3; i++) rt_rows_free(&of[i]);
}

/* More rows than are marked at once, with a rank that many of them share. */
static void test_many(void **s)
{
    (void)s;
    enum { MANY = (1 << 20) + 70000, KEPT = 200000 };
    float *w = calloc(MANY, 2 * sizeof *w);
    unsigned char *x = calloc(MANY, 1);
    char source[64], path[64];
    uint64_t sure = 0;
    snprintf(source, sizeof source, "%s/many.h5", test_folder);
    snprintf(path, sizeof path, "%s/many_labels.h5", test_folder);
    rt_h5_item item = {.name = "x", .type = RT_U8, .rank = 2, .dim = {MANY, 1}, .data = x};
    check_ok(rt_h5_save(source, "retort-data-1", &item, 1));
    for (size_t i = 0; i < MANY; i++) {
        w[2 * i + i / 2 % 2] = i % 10 ? 1 : 3;
        sure += i % 10 == 0 && i / 2 % 2 == 0;
    }
    write_store(path, source, (rt_labels_spec){.rows = MANY, .classes = 2, .type = RT_F32}, w, NULL,
                "{\"teacher\": {\"digest\": \"t\"}}");
    rt_rows rows = rt_rows_between(0, MANY);
    cJSON *report;
    check_ok(apply("{\"per_class\": {\"quota\": {\"0\": 200000}}}", path, &rows, &report));
    uint64_t kept = 0, of_one = 0;
    for (uint64_t i = 0; i < MANY; i++) {
        int class = (int)(i / 2 % 2), in = rt_rows_has(&rows, i), want = 1;
        if (class == 0) want = i % 10 == 0 || (kept < KEPT - sure);
        if (class == 0 && i % 10) kept++;
        of_one += class == 1;
        if (in != want) fail_msg("row %llu: %d", (unsigned long long)i, in);
    }
    assert_int_equal(rows.count, KEPT + of_one);
    cJSON_Delete(report);
    rt_rows_free(&rows);
    free(w);
    free(x);
}

static void test_refused(void **s)
{
    (void)s;
    refuse("{\"confidense\": {\"min\": 0.5}}", store, RT_USAGE, "did you mean 'confidence'");
    refuse("{\"confidence\": {\"min\": 1.5}}", store, RT_USAGE, "data.policy.confidence.min");
    refuse("{\"confidence\": {}}", store, RT_USAGE, "data.policy.confidence.min");
    refuse("{\"margin\": {\"min\": 0.5, \"max\": 0.4}}", store, RT_USAGE, "no row could pass");
    refuse("{\"confidence\": 0.5}", store, RT_USAGE, "an object {...} is expected");
    refuse("{\"per_class\": {\"min\": [0.5]}}", store, RT_USAGE, "has 1 numbers");
    refuse("{\"per_class\": {\"min\": [0.5, 2, 0, 0]}}", store, RT_USAGE, "per_class.min");
    refuse("{\"per_class\": {\"quota\": {\"eel\": 5}}}", store, RT_USAGE, "'eel' is no class");
    refuse("{\"per_class\": {\"quota\": {\"ant\": 5.5}}}", store, RT_USAGE, "per_class.quota");
    refuse("{\"per_class\": {\"top\": 5.5}}", store, RT_USAGE, "per_class.top");
    refuse("{\"balance\": \"even\"}", store, RT_USAGE, "data.policy.balance");
    refuse("{\"seed\": 5}", store, RT_USAGE, "choose");
    refuse("{\"weights\": [1, 2, 3, 4]}", store, RT_USAGE, "weights");
    refuse("{\"weights\": {}}", store, RT_USAGE, "all weights would be the same");
    refuse("{\"weights\": {\"classes\": \"even\"}}", store, RT_USAGE, "is not one of");
    refuse("{\"weights\": {\"confidence\": -1}}", store, RT_USAGE, "weights.confidence");
    refuse("{\"head\": \"kind\"}", store, RT_USAGE, "has no head 'kind'; its heads: y");
    refuse("5", store, RT_USAGE, "a file's name or an object");
    refuse("\"/nowhere/p.json\"", store, RT_INPUT, "/nowhere/p.json");
}

static void test_empty(void **s)
{
    (void)s;
    cJSON *report;
    refuse("{\"confidence\": {\"min\": 0.99999}}", store, RT_NOTHING, "chooses none of 2573 rows");
    refuse("{\"per_class\": {\"quota\": {\"bee\": 0}}}", store, RT_NOTHING, "no row of 1 of 4 classes");
    refuse("{\"per_class\": {\"min\": {\"cat\": 1}}}", store, RT_NOTHING, "'cat' (of 617 rows 0 pass)");
    rt_rows rows = rt_rows_between(FIRST, FIRST + ROWS);
    check_ok(apply("{\"per_class\": {\"quota\": {\"bee\": 0}}, \"allow_empty\": true}", store, &rows, &report));
    assert_int_equal(rows.count, 849 + 617 + 519);
    cJSON_Delete(report);
    rt_rows_free(&rows);
}

/* What a store does not keep. */
static void test_columns(void **s)
{
    (void)s;
    char path[64];
    rt_labels_spec spec = {.first = FIRST, .rows = ROWS, .classes = K, .type = RT_F32};
    static const char only[] = "{\"teacher\": {\"given\": {\"gives\": \"classes\"}}}";
    snprintf(path, sizeof path, "%s/other.h5", test_folder);
    write_store(path, data, spec, z, status, only);
    refuse("{\"confidence\": {\"min\": 0.5}}", path, RT_USAGE, "data.policy: confidence: ");
    refuse("{\"per_class\": {\"median_capped\": 0.5}}", path, RT_USAGE, "keeps classes alone");
    refuse("{\"per_class\": {\"top\": 5}}", path, RT_USAGE, "data.policy: choose: ");
    rt_rows rows = rt_rows_between(FIRST, FIRST + ROWS);
    cJSON *report;
    check_ok(apply("{\"balance\": \"equal\", \"choose\": \"random\"}", path, &rows, &report));
    assert_int_equal(rows.count, 4 * 519);
    cJSON_Delete(report);
    rt_rows_free(&rows);
    spec.topk = 1;
    write_store(path, data, spec, z, status, NAMED);
    refuse("{\"entropy\": {\"max\": 0.5}}", path, RT_USAGE, "keeps the top 1 of 4 logits");
    refuse("{\"margin\": {\"min\": 0.5}}", path, RT_USAGE, "keeps the top 1 of 4 logits");
}

/* The digest is of what the policy means. */
static void test_digest(void **s)
{
    (void)s;
    static const char *const text[] = {
        "{\"confidence\": {\"min\": 0.5}, \"balance\": \"equal\"}",
        "{\"balance\": \"equal\", \"temperature\": 1, \"confidence\": {\"max\": 1, \"min\": 0.5}}",
        "{\"confidence\": {\"min\": 0.51}, \"balance\": \"equal\"}"};
    rt_digest d[3];
    for (int i = 0; i < 3; i++) {
        rt_label_policy *p;
        cJSON *j = cJSON_Parse(text[i]);
        check_ok(rt_label_policy_read(&p, j, "data.policy"));
        d[i] = rt_label_policy_digest(p);
        rt_label_policy_free(p);
        cJSON_Delete(j);
    }
    assert_string_equal(d[0].hex, d[1].hex);
    assert_string_not_equal(d[0].hex, d[2].hex);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recorded), cmocka_unit_test(test_some_rows), cmocka_unit_test(test_random),
        cmocka_unit_test(test_many),     cmocka_unit_test(test_refused),   cmocka_unit_test(test_empty),
        cmocka_unit_test(test_columns),  cmocka_unit_test(test_digest),    cmocka_unit_test(test_median),
        cmocka_unit_test(test_heads),
    };
    return cmocka_run_group_tests(tests, set_up, remove_test_folder);
}
