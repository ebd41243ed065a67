/* What label stores are said to hold: against SciPy and scikit-learn. Warnings, and rows that the teacher has seen. */
#include "data/label_append.h"
#include "data/label_report.h"
#include "policy_labels.h"

typedef struct { const char *policy; uint64_t before[4], passed[4], after[4], sum, squares; } policy_case;
#include "label_policy_reference.h"

static double number(const cJSON *j, const char *key)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(j, key);
    if (!cJSON_IsNumber(v)) fail_msg("no number '%s' in %s", key, cJSON_Print(j));
    return v->valuedouble;
}

static const char *warning(const cJSON *r)
{
    const cJSON *w = cJSON_GetObjectItemCaseSensitive(r, "warnings");
    return w ? cJSON_GetArrayItem(w, 0)->valuestring : "none";
}

static void test_calibrate(void **s)
{
    (void)s;
    rt_label_report q = {.store = store, .data = data};
    cJSON *r;
    check_ok(rt_label_calibrate_report(&q, &r));
    check_close("rows", number(r, "rows"), calibrated.rows, 0, 0);
    check_close("accuracy", number(r, "accuracy"), calibrated.accuracy, 0, 1e-14);
    check_close("temperature", number(r, "temperature"), calibrated.temperature, 0, 1e-7);
    check_close("nll before", number(r, "nll_before"), calibrated.nll_before, 0, 1e-12);
    check_close("nll after", number(r, "nll_after"), calibrated.nll_after, 0, 1e-12);
    check_close("ece before", number(r, "ece_before"), calibrated.ece_before, 0, 1e-12);
    check_close("ece after", number(r, "ece_after"), calibrated.ece_after, 1e-7, 0);
    cJSON_Delete(r);
    q.data = NULL;
    check_fails(rt_label_calibrate_report(&q, &r), RT_USAGE, "--data");
    q.data = data;
    q.rows = "37:38";                                                   /* the one row without a true class */
    check_fails(rt_label_calibrate_report(&q, &r), RT_NOTHING, "no labelled row has a true class");
    q.rows = "30:100";
    check_fails(rt_label_calibrate_report(&q, &r), RT_USAGE, "has labels from row 37 on");
}

static void test_summary(void **s)
{
    (void)s;
    static const char *const name[] = {"ant", "bee", "cat", "dog"};
    cJSON *r;
    check_ok(rt_label_summary_report(&(rt_label_report){.store = store, .data = data}, &r));
    check_close("rows", number(r, "rows"), ROWS, 0, 0);
    check_close("labelled", number(r, "rows_labelled"), summed.rows, 0, 0);
    check_close("bad", number(r, "bad_input"), ROWS - summed.rows, 0, 0);
    check_close("entropy", number(r, "entropy_mean"), summed.entropy, 0, 1e-8);
    check_close("margin", number(r, "margin_mean"), summed.margin, 0, 1e-8);
    const cJSON *c = cJSON_GetObjectItemCaseSensitive(r, "confidence"), *h;
    const cJSON *a = cJSON_GetObjectItemCaseSensitive(r, "agreement");
    check_close("confidence", number(c, "mean"), summed.confidence, 0, 1e-8);
    h = cJSON_GetObjectItemCaseSensitive(c, "histogram");
    for (int i = 0; i < 10; i++) assert_int_equal(cJSON_GetArrayItem(h, i)->valueint, summed.tenths[i]);
    for (int i = 0; i < 4; i++)
        check_close(name[i], number(cJSON_GetObjectItemCaseSensitive(r, "class_counts"), name[i]), summed.counts[i], 0,
                    0);
    check_close("compared", number(a, "rows"), calibrated.rows, 0, 0);
    check_close("agree", number(a, "agree"), summed.agree, 0, 0);
    check_close("share", number(a, "share"), calibrated.accuracy, 0, 1e-14);
    int of[K] = {0}, most = 0, rows = 0;                 /* of the truths, by counting */
    for (int i = 0; i < ROWS; i++)
        if (status[i] == RT_LABEL_DONE && y[FIRST + i] >= 0) of[y[FIRST + i]]++, rows++;
    for (int c = 0; c < K; c++) if (of[c] > most) most = of[c];
    check_close("commonest", number(a, "commonest_class"), (double)most / rows, 0, 1e-14);
    assert_string_equal(warning(r), "none");
    cJSON_Delete(r);
}

/* A confidence that is a tenth belongs to the tenth that ends there, as numpy.searchsorted finds it. */
static void test_tenths(void **s)
{
    (void)s;
    static float w[ROWS * K];
    char path[64];
    cJSON *r;
    for (int i = 0; i < ROWS * K; i++) w[i] = i % K < 2 ? 0 : -200;                 /* two of four: a half each */
    snprintf(path, sizeof path, "%s/tenths.h5", test_folder);
    write_store(path, data, (rt_labels_spec){.first = FIRST, .rows = ROWS, .classes = K, .type = RT_F32}, w, NULL,
                NAMED);
    check_ok(rt_label_summary_report(&(rt_label_report){.store = path}, &r));
    const cJSON *c = cJSON_GetObjectItemCaseSensitive(r, "confidence");
    check_close("confidence", number(c, "mean"), 0.5, 0, 0);
    const cJSON *h = cJSON_GetObjectItemCaseSensitive(c, "histogram");
    for (int i = 0; i < 10; i++) assert_int_equal(cJSON_GetArrayItem(h, i)->valueint, i == 4 ? ROWS : 0);
    cJSON_Delete(r);
}

/* Labels by hand are not the teacher's: its temperature is found without them. */
static void test_hand(void **s)
{
    (void)s;
    char path[64], csv[64];
    cJSON *r;
    int rows = 0;
    snprintf(path, sizeof path, "%s/hand.h5", test_folder);
    snprintf(csv, sizeof csv, "%s/hand.csv", test_folder);
    FILE *f = fopen(csv, "w");
    assert_non_null(f);
    fprintf(f, "row,label\n");
    for (int i = 0; i < ROWS; i++) {
        if (i % 5 == 3) fprintf(f, "%d,cat\n", FIRST + i);
        else rows += status[i] == RT_LABEL_DONE && y[FIRST + i] >= 0;
    }
    fclose(f);
    write_store(path, data, (rt_labels_spec){.first = FIRST, .rows = ROWS, .classes = K, .type = RT_F32}, z, status,
                NAMED);
    check_ok(rt_label_append(&(rt_label_append_job){.store = path, .hand = csv}, &r));
    cJSON_Delete(r);
    check_ok(rt_label_calibrate_report(&(rt_label_report){.store = path, .data = data}, &r));
    check_close("rows", number(r, "rows"), rows, 0, 0);
    cJSON_Delete(r);
}

/* The first warning of a store of these logits: row i has a + b (i % K == c) + d (c == 1). */
static void check_warning(float a, float each, float bee, rt_dtype type, const char *want)
{
    static float w[ROWS * K];
    char path[64];
    cJSON *r;
    snprintf(path, sizeof path, "%s/warned.h5", test_folder);
    for (int i = 0; i < ROWS * K; i++) w[i] = a + (i % K == i / K % K ? each : 0) + (i % K == 1 ? bee : 0);
    write_store(path, data, (rt_labels_spec){.first = FIRST, .rows = ROWS, .classes = K, .type = type}, w, NULL, NAMED);
    check_ok(rt_label_summary_report(&(rt_label_report){.store = path}, &r));
    if (!strstr(warning(r), want)) fail_msg("'%s' is no '%s'", warning(r), want);
    cJSON_Delete(r);
}

static void test_warnings(void **s)
{
    (void)s;
    check_warning(1, 0, 0.5f, RT_F32, "the logits of all 2600 rows are the same");
    check_warning(1, 0.5f, 9, RT_F32, "the class 'bee' for all 2600 rows");
    check_warning(1, 0.2f, 0, RT_F32, "confidence is 0.2893, near the 0.2500 of chance");
    check_warning(0, 99, 0, RT_F32, "2600 rows have a confidence that rounds to 1");
    check_warning(0, 65504, 0, RT_F16, "2600 rows have a logit at the limit of f16");
    check_warning(0, 1, 0, RT_F32, "none");
    unsigned char none[ROWS];
    char path[64];
    cJSON *r;
    memset(none, RT_LABEL_BAD_INPUT, sizeof none);
    snprintf(path, sizeof path, "%s/none.h5", test_folder);
    write_store(path, data, (rt_labels_spec){.first = FIRST, .rows = ROWS, .classes = K, .type = RT_F32}, z, none,
                NAMED);
    check_fails(rt_label_summary_report(&(rt_label_report){.store = path}, &r), RT_NOTHING, "none of its rows");
}

/* A teacher that was trained on some of the rows, and one of which nothing is known. */
static void test_seen(void **s)
{
    (void)s;
    rt_source *x;
    rt_identity *id;
    rt_digest root;
    char text[600], path[64];
    cJSON *r;
    snprintf(path, sizeof path, "%s/seen.h5", test_folder);
    check_ok(rt_source_open(&x, data, "x"));
    check_ok(rt_identity_open(&id, x, RT_CHECK_KNOWN));
    check_ok(rt_identity_root(&root, id, NULL, NULL));
    snprintf(
        text, sizeof text,
        "{\"teacher\": {\"digest\": \"t\"}, \"classes\": [\"ant\", \"bee\", \"cat\", \"dog\"], \"seen\": "
        "[{\"by\": \"self\", \"data\": \"%s\", \"source_rows\": %d, \"rows\": {\"range\": \"100:300\", \"test\": 0, "
        "\"test_seed\": 1}}]}",
        root.hex, SOURCE_ROWS);
    rt_identity_close(id);
    rt_source_close(x);
    write_store(path, data, (rt_labels_spec){.first = FIRST, .rows = ROWS, .classes = K, .type = RT_F32}, z, status,
                text);
    rt_label_report q = {.store = path, .data = data, .rows = "250:1000"};
    check_ok(rt_label_calibrate_report(&q, &r));
    check_close("seen", number(r, "seen_by_teacher"), 50, 0, 0);
    assert_non_null(strstr(warning(r), "has seen 50 of these 750 rows"));
    cJSON_Delete(r);
    q.rows = "300:1000";
    check_ok(rt_label_calibrate_report(&q, &r));
    assert_string_equal(warning(r), "none");
    cJSON_Delete(r);
    q.store = store;
    check_ok(rt_label_calibrate_report(&q, &r));
    assert_non_null(strstr(warning(r), "does not say what the teacher was trained on"));
    cJSON_Delete(r);
}

static void test_verify(void **s)
{
    (void)s;
    cJSON *r;
    check_ok(rt_label_verify_report(&(rt_label_report){.store = store}, &r));
    check_close("labelled", number(r, "rows_labelled"), summed.rows, 0, 0);
    assert_true(cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(r, "complete")));
    cJSON_Delete(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_calibrate), cmocka_unit_test(test_summary), cmocka_unit_test(test_tenths),
        cmocka_unit_test(test_hand), cmocka_unit_test(test_warnings),
        cmocka_unit_test(test_seen),      cmocka_unit_test(test_verify),
    };
    return cmocka_run_group_tests(tests, set_up, remove_test_folder);
}
