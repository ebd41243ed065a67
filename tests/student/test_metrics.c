/* Every metric of the table against scikit-learn. */
#include "student/metrics.h"
#include "tests/student/elements_reference.h"
#include "tests/student/metrics_reference.h"
#include "tests/support.h"

static void fill(rt_scores *s, const reference_case *c, int ranks, uint64_t room)
{
    check_ok(rt_scores_begin(s, RT_TASK_CLASSES, c->classes, ranks, room));
    for (int i = 0; i < c->rows; i++) {
        const float *z = c->z + i * c->classes;
        rt_row_score r = rt_score_row(z, c->classes, c->y[i]);
        rt_scores_add(s, &r, z, c->y[i]);
    }
}

static void values(void **state)
{
    (void)state;
    assert_int_equal(RT_CLASSES_METRICS, sizeof reference_name / sizeof *reference_name);
    for (int i = 0; i < CASES; i++) {
        rt_scores s;
        fill(&s, &reference[i], 1, 100);
        for (int m = 0; m < RT_CLASSES_METRICS; m++) {
            char text[80];
            const rt_metric *q = rt_metric_find(RT_TASK_CLASSES, reference_name[m]);
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
    const rt_metric *auc = rt_metric_find(RT_TASK_CLASSES, "auc"), *top5 = rt_metric_find(RT_TASK_CLASSES, "top5");
    check_ok(rt_scores_begin(&s, RT_TASK_CLASSES, 4, 1, 10));
    for (int i = 0; i < RT_CLASSES_METRICS; i++) {
        assert_true(isnan(rt_classes_metrics[i].of(&s)));
        assert_string_equal(rt_metric_undefined(&rt_classes_metrics[i], &s), "no row has a label");
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
    check_ok(rt_scores_begin(&s, RT_TASK_CLASSES, 1 << 20, 1,
                             UINT64_MAX / 4)); /* no memory is asked for that is not allowed */
    assert_false(s.ranks);
    rt_scores_free(&s);
    static const float bad[3] = {0, INFINITY, 1}, nan[3] = {NAN, 0, 0};
    assert_int_equal(rt_score_row(bad, 3, 1).answer, -1);
    assert_int_equal(rt_score_row(nan, 3, 1).answer, -1);
}

static int add_elements(rt_scores *s, const element_case *c, int row)
{
    int at = row * c->size;
    uint8_t label[ELEMENTS];
    for (int j = 0; j < c->size; j++) label[j] = c->y[at + j] != 0;
    return c->task == RT_TASK_REAL ? rt_scores_add_values(s, c->z + at, c->y + at, c->mask + at)
                                   : rt_scores_add_labels(s, c->z + at, label, c->mask + at);
}

/* With room for all rows, for all but the last and for none: metrics of order are defined with room for all alone. */
static void of_elements(void **state)
{
    (void)state;
    assert_int_equal(RT_MULTILABEL_METRICS, sizeof label_metric / sizeof *label_metric);
    assert_int_equal(RT_REAL_METRICS, sizeof value_metric / sizeof *value_metric);
    for (int i = 0; i < ELEMENT_CASES; i++)
        for (int way = 0; way < 3; way++) {
            const element_case *c = &element_reference[i];
            const char *const *name = c->task == RT_TASK_REAL ? value_metric : label_metric;
            rt_scores s;
            check_ok(rt_scores_begin(&s, c->task, c->size, way != 2, way == 1 ? 4 : 50 + 10 * (way == 0)));
            for (int r = 0; r < c->rows; r++) assert_true(add_elements(&s, c, r));
            for (int m = 0; m < rt_metrics[c->task].count; m++) {
                char text[80];
                const rt_metric *q = rt_metric_find(c->task, name[m]);
                int lost = q->ranks && (way == 2 || (way == 1 && s.rows > 4));
                double want = lost ? NAN : c->want[m], got = q->of(&s);
                snprintf(text, sizeof text, "case %d, way %d, %s", i, way, q->name);
                if (isnan(want) != isnan(got)) fail_msg("%s: got %g, want %g", text, got, want);
                if (!isnan(want)) check_close(text, got, want, 1e-12, q->ranks ? 1e-7 : 1e-12);
                if (isnan(want)) assert_true(strlen(rt_metric_undefined(q, &s)) > 16);
            }
            rt_scores_free(&s);
        }
}

/* An output that is not finite adds nothing; logits far off give the limit; values far from 0 keep their deviation. */
static void elements_far_off(void **state)
{
    (void)state;
    rt_scores s;
    static const float bad[2] = {0, NAN}, far[2] = {1000, -1000}, large[3] = {1e6f, 1e6f + 1, 1e6f + 2};
    static const uint8_t wrong[2] = {0, 1};
    check_ok(rt_scores_begin(&s, RT_TASK_MULTILABEL, 2, 1, 9));
    assert_false(rt_scores_add_labels(&s, bad, wrong, NULL) || s.rows);
    assert_true(rt_scores_add_labels(&s, far, wrong, NULL));
    check_close("bce", rt_metric_find(RT_TASK_MULTILABEL, "bce")->of(&s), 1000, 1e-9, 0);
    check_close("brier", rt_metric_find(RT_TASK_MULTILABEL, "brier")->of(&s), 1, 1e-12, 0);
    rt_scores_free(&s);
    check_ok(rt_scores_begin(&s, RT_TASK_REAL, 1, 1, 9));
    assert_false(rt_scores_add_values(&s, bad + 1, large, NULL) || s.rows);
    for (int i = 0; i < 3; i++) assert_true(rt_scores_add_values(&s, &large[i < 2 ? i : 1], &large[i], NULL));
    check_close("r2", rt_metric_find(RT_TASK_REAL, "r2")->of(&s), 0.5, 1e-12, 0);     /* 1 - 1 / 2 */
    rt_scores_free(&s);
}

static void names(void **state)
{
    (void)state;
    assert_null(rt_metric_find(RT_TASK_CLASSES, "acuracy"));
    assert_non_null(strstr(rt_error_message(), "did you mean 'accuracy'"));
    for (rt_task task = 0; task < RT_TASK_COUNT; task++)
        for (int i = 0; i < rt_metrics[task].count; i++)
            assert_ptr_equal(rt_metric_find(task, rt_metrics[task].metric[i].name), &rt_metrics[task].metric[i]);
    assert_null(rt_metric_find(RT_TASK_REAL, "maee"));
    assert_non_null(strstr(rt_error_message(), "did you mean 'mae'"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(values), cmocka_unit_test(undefined), cmocka_unit_test(names),
                                       cmocka_unit_test(of_elements), cmocka_unit_test(elements_far_off)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
