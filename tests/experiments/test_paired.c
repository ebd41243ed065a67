/* Statistics of a comparison against values of SciPy, statsmodels and scikit-learn (qa-reference.py). */
#include "data/json.h"
#include "engine/rng.h"
#include "experiments/statistics/statistics.h"
#include "student/metrics.h"
#include "tests/support.h"

static cJSON *reference;
static const double near = 1e-9;

static int read_reference(void **state)
{
    (void)state;
    return rt_json_file(&reference, RETORT_SOURCE_DIR "/tests/experiments/qa-reference.json") != RT_OK;
}

static int drop_reference(void **state)
{
    (void)state;
    cJSON_Delete(reference);
    return 0;
}

static const cJSON *get(const cJSON *j, const char *key)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(j, key);
    if (!v) fail_msg("no %s", key);
    return v;
}

static double number(const cJSON *j, const char *key)
{
    const cJSON *v = get(j, key);
    return cJSON_IsNumber(v) ? v->valuedouble : NAN;
}

static uint64_t whole(const cJSON *j, const char *key) { return (uint64_t)number(j, key); }

static void same_range(const char *what, const cJSON *j, const char *key, double low, double high)
{
    const cJSON *v = get(j, key);
    check_close(what, low, cJSON_GetArrayItem(v, 0)->valuedouble, near, 0);
    check_close(what, high, cJSON_GetArrayItem(v, 1)->valuedouble, near, 0);
}

/* NAN where the reference has null. */
static void same(const char *what, double got, const cJSON *j, const char *key)
{
    if (cJSON_IsNull(get(j, key))) {
        if (!isnan(got)) fail_msg("%s is %g, and not defined", what, got);
    } else check_close(what, got, number(j, key), near, 0);
}

static void pairs(void **state)
{
    int n = 0;
    (void)state;
    for (const cJSON *t = get(reference, "paired")->child; t; t = t->next, n++) {
        uint64_t a = whole(t, "a"), b = whole(t, "b"), c = whole(t, "c"), all = whole(t, "n");
        double range[2];
        check_close("mid-p", rt_mcnemar_midp(b, c), number(t, "mcnemar_midp"), 1e-12, 0);
        rt_wilson(a + c, all, 0.95, range);
        same_range("wilson of the candidate", t, "wilson_cand", range[0], range[1]);
    }
    assert_int_equal(n, 30);
}

static void shares(void **state)
{
    (void)state;
    for (const cJSON *t = get(reference, "proportions")->child; t; t = t->next) {
        double range[2];
        rt_wilson(whole(t, "k"), whole(t, "n"), 0.95, range);
        same_range("wilson", t, "wilson", range[0], range[1]);
    }
}

static void areas(void **state)
{
    int n = 0;
    (void)state;
    for (const cJSON *t = get(reference, "delong")->child; t; t = t->next, n++) {
        unsigned char y[64];
        double base[64], cand[64], auc[2], cov[3] = {0}, part[2][64];
        int rows = cJSON_GetArraySize(get(t, "y"));
        for (int i = 0; i < rows; i++) {
            y[i] = (unsigned char)cJSON_GetArrayItem(get(t, "y"), i)->valueint;
            base[i] = cJSON_GetArrayItem(get(t, "base"), i)->valuedouble;
            cand[i] = cJSON_GetArrayItem(get(t, "cand"), i)->valuedouble;
        }
        for (int s = 0; s < 2; s++) check_ok(rt_delong(y, s ? cand : base, (uint64_t)rows, &auc[s], part[s]));
        for (int i = 0; i < rows; i++) {
            cov[0] += part[0][i] * part[0][i];
            cov[1] += part[0][i] * part[1][i];
            cov[2] += part[1][i] * part[1][i];
        }
        check_close("auc", auc[0], number(t, "auc_base"), near, 0);
        check_close("auc", auc[1], number(t, "auc_cand"), near, 0);
        const cJSON *s = get(t, "cov");
        if (cJSON_IsNull(s)) {
            assert_true(isnan(cov[0]) && isnan(cov[1]) && isnan(cov[2]));
            continue;
        }
        const cJSON *first = s->child, *second = first->next;
        check_close("variance", cov[0], first->child->valuedouble, near, 0);
        check_close("covariance", cov[1], first->child->next->valuedouble, near, 0);
        check_close("variance", cov[2], second->child->next->valuedouble, near, 0);
    }
    assert_int_equal(n, 7);
    double auc, part[2];
    check_ok(rt_delong((const unsigned char[]){1, 1}, (const double[]){0.1, 0.2}, 2, &auc, part));
    assert_true(isnan(auc) && isnan(part[0]));
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Ends of the BCa interval of (c - b) / n within three standard errors: of a quantile of 10,000 resamples on either
 * side, and of one step of the grid that shares lie on. */
static void resamples(void **state)
{
    enum { TIMES = 10000 };
    static double t[TIMES], left[10000];
    int compared = 0;
    (void)state;
    for (const cJSON *j = get(reference, "paired")->child; j; j = j->next) {
        uint64_t b = whole(j, "b"), c = whole(j, "c"), n = whole(j, "n");
        if (cJSON_IsNull(get(j, "boot_bca")) || n > 1000) continue;
        double all = (double)n, gain = ((double)c - (double)b) / all, range[2];
        for (int i = 0; i < TIMES; i++) {
            double sum = 0;
            for (uint64_t r = 0; r < n; r++) {
                uint32_t w[4];
                rt_random4(w, 5, RT_RNG_BOOTSTRAP, (uint32_t)i, (uint32_t)r, 0, 0);
                uint64_t at = (uint64_t)w[0] * n >> 32;
                sum += at < b ? -1 : at < b + c ? 1 : 0;
            }
            t[i] = sum / all;
        }
        qsort(t, TIMES, sizeof *t, by_value);
        for (uint64_t r = 0; r < n; r++)
            left[r] = (gain * all - (r < b ? -1 : r < b + c ? 1 : 0)) / (all - 1);
        rt_bca(t, TIMES, gain, rt_acceleration(left, n), 0.95, range);
        double deviation = sqrt(((double)(b + c) / all - gain * gain) / all), error = 3 * 0.038 * deviation + 1 / all;
        check_close("low", range[0], cJSON_GetArrayItem(get(j, "boot_bca"), 0)->valuedouble, error, 0);
        check_close("high", range[1], cJSON_GetArrayItem(get(j, "boot_bca"), 1)->valuedouble, error, 0);
        compared++;
    }
    assert_true(compared >= 8);
}

/* The one-sided p of a limit that is an end of the interval is half the level. */
static void limits(void **state)
{
    enum { TIMES = 4001 };
    static double t[TIMES];
    (void)state;
    for (int i = 0; i < TIMES; i++) t[i] = rt_normal_quantile((i + 0.5) / TIMES) + 0.1;
    for (int i = 0; i < 3; i++) {
        double a = (i - 1) * 0.05, range[2];
        rt_bca(t, TIMES, 0.2, a, 0.9, range);
        check_close("low", rt_bca_p(t, TIMES, 0.2, a, range[0]), 0.05, 5e-4, 0);
        check_close("high", rt_bca_p(t, TIMES, 0.2, a, range[1]), 0.95, 5e-4, 0);
    }
}

/* The metrics of rows whose probabilities are given: confidence, nll and brier are put in as double. */
static void classes(void **state)
{
    int n = 0;
    (void)state;
    for (const cJSON *t = get(reference, "classification")->child; t; t = t->next, n++) {
        int k = (int)number(t, "K"), rows = cJSON_GetArraySize(get(t, "y"));
        rt_scores s;
        rt_calibrated row[64];
        check_ok(rt_scores_begin(&s, RT_TASK_CLASSES, k, 1, (uint64_t)rows));
        for (int i = 0; i < rows; i++) {
            int y = cJSON_GetArrayItem(get(t, "y"), i)->valueint;
            const cJSON *p = cJSON_GetArrayItem(get(t, "p"), i);
            float z[16];
            double q[16], brier = 0;
            for (int c = 0; c < k; c++) {
                q[c] = cJSON_GetArrayItem(p, c)->valuedouble;
                z[c] = (float)log(fmax(q[c], 1e-15));
                brier += (q[c] - (c == y)) * (q[c] - (c == y));
            }
            rt_row_score r = rt_score_row(z, k, y);
            r.confidence = q[r.answer];
            r.nll = -log(fmax(q[y], 1e-15));
            r.brier = brier;
            rt_scores_add(&s, &r, z, y);
            row[i] = (rt_calibrated){q[r.answer], r.answer == y};
        }
        check_close("adaptive ece", rt_adaptive_ece(row, (uint64_t)rows), number(t, "adaptive_ece15"), near, 0);
        static const struct { const char *metric, *key; } of[] = {
            {"accuracy", "accuracy"}, {"balanced_accuracy", "balanced_accuracy"}, {"macro_f1", "macro_f1_seen"},
            {"macro_f1_all", "macro_f1_all_K"}, {"weighted_f1", "weighted_f1"}, {"nll", "nll"}, {"brier", "brier"},
            {"ece", "ece15"}};
        for (size_t i = 0; i < sizeof of / sizeof *of; i++)
            same(of[i].metric, rt_metric_find(RT_TASK_CLASSES, of[i].metric)->of(&s), t, of[i].key);
        if (k == 2) same("auc", rt_metric_find(RT_TASK_CLASSES, "auc")->of(&s), t, "auc");
        check_close("adaptive ece of logits", rt_metric_find(RT_TASK_CLASSES, "adaptive_ece")->of(&s),
                    number(t, "adaptive_ece15"), 1e-6, 0);
        rt_scores_free(&s);
    }
    assert_int_equal(n, 14);
    assert_true(isnan(rt_adaptive_ece(NULL, 0)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(pairs),  cmocka_unit_test(shares),
                                       cmocka_unit_test(areas),  cmocka_unit_test(resamples),
                                       cmocka_unit_test(limits), cmocka_unit_test(classes)};
    return cmocka_run_group_tests(tests, read_reference, drop_reference);
}
