/* Every metric of the table against scikit-learn. */
#include "student/metrics.h"
#include "tests/student/metrics_reference.h"
#include "tests/support.h"

static void fill(rt_scores *s, const reference_case *c, int ranks, uint64_t room)
{
    check_ok(rt_scores_begin(s, c->classes, ranks, room));
    for (int i = 0; i < c->rows; i++) {
        const float *z = c->z + i * c->classes;
        rt_row_score r = rt_score_row(z, c->classes, c->y[i]);
        rt_scores_add(s, &r, z, c->y[i]);
    }
}

static void values(void **state)
{
    (void)state;
    assert_int_equal(RT_METRICS, sizeof reference_name / sizeof *reference_name);
    for (int i = 0; i < CASES; i++) {
        rt_scores s;
        fill(&s, &reference[i], 1, 100);
        for (int m = 0; m < RT_METRICS; m++) {
            char text[80];
            const rt_metric *q = rt_metric_find(reference_name[m]);
            double want = reference[i].want[m], got = q->of(&s);
            snprintf(text, sizeof text, "case %d, %s", i, q->name);
            if (isnan(want) != isnan(got)) fail_msg("%s: got %g, want %g", text, got, want);
            if (!isnan(want)) check_close(text, got, want, 1e-12, 1e-12);
            if (isnan(want)) assert_true(strlen(rt_metric_undefined(q, &s)) > 20);
        }
        rt_scores_free(&s);
    }
}

/* What is not defined says why; metrics of order are so without the rows' probabilities, and never of a part of them.
 */
static void undefined(void **state)
{
    (void)state;
    rt_scores s;
    const rt_metric *auc = rt_metric_find("auc"), *top5 = rt_metric_find("top5");
    check_ok(rt_scores_begin(&s, 4, 1, 10));
    for (int i = 0; i < RT_METRICS; i++) {
        assert_true(isnan(rt_metrics[i].of(&s)));
        assert_string_equal(rt_metric_undefined(&rt_metrics[i], &s), "no row has a label");
    }
    rt_scores_free(&s);
    for (int way = 0; way < 2; way++) {
        fill(&s, &reference[0], way, way ? 59 : 100);              /* not kept; room for all but the last */
        assert_true(isnan(auc->of(&s)) && !isnan(top5->of(&s)));
        rt_scores_free(&s);
    }
    fill(&s, &reference[0], 0, 100);
    assert_non_null(strstr(rt_metric_undefined(auc, &s), "not kept"));
    rt_scores_free(&s);
    check_ok(rt_scores_begin(&s, 1 << 20, 1, UINT64_MAX / 4));        /* no memory is asked for that is not allowed */
    assert_false(s.ranks);
    rt_scores_free(&s);
    static const float bad[3] = {0, INFINITY, 1}, nan[3] = {NAN, 0, 0};
    assert_int_equal(rt_score_row(bad, 3, 1).answer, -1);
    assert_int_equal(rt_score_row(nan, 3, 1).answer, -1);
}

static void names(void **state)
{
    (void)state;
    assert_null(rt_metric_find("acuracy"));
    assert_non_null(strstr(rt_error_message(), "did you mean 'accuracy'"));
    for (int i = 0; i < RT_METRICS; i++) assert_ptr_equal(rt_metric_find(rt_metrics[i].name), &rt_metrics[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(values), cmocka_unit_test(undefined), cmocka_unit_test(names)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
