/* Statistics against published values, and against SciPy's (statistics_reference.h, by record_statistics.py). */
#include "experiments/statistics/statistics.h"
#include "student/metrics.h"
#include "tests/experiments/statistics_reference.h"
#include "tests/support.h"

enum { MILLION = 1000000 };
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void binomial(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(binomial_case); i++)
        check_close("cdf", rt_binomial_cdf(binomial_case[i].n, binomial_case[i].p, binomial_case[i].t),
                    binomial_case[i].cdf, 0, 1e-12);
}

static void mcnemar(void **state)
{
    (void)state;
    check_close("150,130", rt_mcnemar(150, 130), 0.2561, 5e-5, 0);
    check_close("15,5", rt_mcnemar(15, 5), 0.0414, 5e-5, 0);
    check_close("5,15", rt_mcnemar(5, 15), 0.0414, 5e-5, 0);
    assert_true(rt_mcnemar(7, 7) == 1 && rt_mcnemar(0, 0) == 1);
    for (size_t i = 0; i < COUNT(mcnemar_case); i++)
        check_close("p", rt_mcnemar(mcnemar_case[i].b, mcnemar_case[i].c), mcnemar_case[i].p, 0, 1e-10);
}

/* MLPerf Inference: 64 queries for p90, 662 for p99, 6,636 for p99.9; 127, 1,307 and 13,105 for t = 5. The sum over
 * all t for each t, as it was once, takes hours for the ten million samples that are here; the test would not end. */
static void percentiles(void **state)
{
    (void)state;
    assert_int_equal(rt_percentile_needs(0.9), 64);
    assert_int_equal(rt_percentile_needs(0.99), 662);
    assert_int_equal(rt_percentile_needs(0.999), 6636);
    assert_int_equal(rt_percentile_index(63, 0.9), -1);
    assert_int_equal(rt_percentile_index(661, 0.99), -1);
    assert_int_equal(rt_percentile_index(662, 0.99), 661);
    assert_int_equal(rt_percentile_index(127, 0.9), 127 - 5);
    assert_int_equal(rt_percentile_index(126, 0.9), 126 - 4);
    assert_int_equal(rt_percentile_index(1307, 0.99), 1307 - 5);
    for (size_t i = 0; i < COUNT(percentile_case); i++)
        if (rt_percentile_index(percentile_case[i].n, percentile_case[i].p) != percentile_case[i].index)
            fail_msg("%llu samples at %g: %lld, want %lld", (unsigned long long)percentile_case[i].n,
                     percentile_case[i].p, (long long)rt_percentile_index(percentile_case[i].n, percentile_case[i].p),
                     (long long)percentile_case[i].index);
}

static int by_value(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return x < y ? -1 : x > y;
}

static void sorting(void **state)
{
    (void)state;
    static float v[MILLION], want[MILLION], room[MILLION];
    rt_normal(v, MILLION, 2024, RT_RNG_TEST, 1);
    for (int i = 0; i < MILLION; i++) {      /* many scales, ties and zeros */
        v[i] = i % 5 ? ldexpf(fabsf(v[i]), i % 60 - 40) : i % 3 ? 0.25f : 0;
        want[i] = v[i];
    }
    qsort(want, MILLION, sizeof want[0], by_value);
    rt_sort_floats(v, room, MILLION);
    assert_memory_equal(v, want, sizeof v);
    rt_sort_floats(v, room, 0);
    float few[] = {4, 1, 3, 2};
    rt_sort_floats(few, room, 4);
    check_close("even", rt_median(few, 4), 2.5, 0, 0);
    check_close("odd", rt_median(few, 3), 2, 0, 0);
    check_close("one", rt_median(few, 1), 1, 0, 0);
}

static void wilson(void **state)
{
    (void)state;
    double range[2];
    rt_wilson(81, 263, 0.95, range);          /* Newcombe 1998, table I */
    check_close("low", range[0], 0.2553, 5e-5, 0);
    check_close("high", range[1], 0.3662, 5e-5, 0);
    for (size_t i = 0; i < COUNT(wilson_case); i++) {
        rt_wilson(wilson_case[i].k, wilson_case[i].n, 0.95, range);
        check_close("low", range[0], wilson_case[i].low, 1e-14, 0);
        check_close("high", range[1], wilson_case[i].high, 1e-14, 0);
        assert_true(range[0] >= 0 && range[1] <= 1);
    }
}

static void calibration_and_front(void **state)
{
    (void)state;
    rt_ece_bin bin[RT_ECE_BINS] = {{0}};
    bin[14] = (rt_ece_bin){60, 60 * 0.95, 54};
    bin[7] = (rt_ece_bin){40, 40 * 0.5, 20};
    check_close("ece", rt_ece(bin, 100), 0.03, 1e-12, 0);
    assert_int_equal(rt_ece_bin_of(0), 0);
    assert_int_equal(rt_ece_bin_of(0.0666), 0);
    assert_int_equal(rt_ece_bin_of(0.0667), 1);
    assert_int_equal(rt_ece_bin_of(1), 14);
    check_close("f1", rt_f1(2, 3, 4), 4.0 / 7, 1e-15, 0);
    check_close("f1 of no hit", rt_f1(0, 0, 4), 0, 0, 0);
    assert_true(isnan(rt_f1(0, 0, 0)));
    double a[] = {0.9, 0.8, 0.85, 0.9}, c[] = {10, 1, 20, 10};
    int on[4], want[] = {1, 1, 0, 1};
    rt_pareto(a, c, 4, on);
    assert_memory_equal(on, want, sizeof on);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(binomial),    cmocka_unit_test(mcnemar),
                                       cmocka_unit_test(percentiles), cmocka_unit_test(sorting),
                                       cmocka_unit_test(wilson),      cmocka_unit_test(calibration_and_front)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
