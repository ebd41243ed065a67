/* Statistics against published values. */
#include "experiments/statistics.h"
#include "tests/support.h"

static void mcnemar(void **state)
{
    (void)state;
    check_close("150,130", rt_mcnemar(150, 130), 0.2561, 5e-5, 0);
    check_close("150,100", rt_mcnemar(150, 100), 0.0019, 5e-5, 0);
    check_close("30,20", rt_mcnemar(30, 20), 0.2026, 5e-5, 0);
    check_close("15,5", rt_mcnemar(15, 5), 0.0414, 5e-5, 0);
    check_close("5,15", rt_mcnemar(5, 15), 0.0414, 5e-5, 0);
    assert_true(rt_mcnemar(7, 7) == 1 && rt_mcnemar(0, 0) == 1);
    check_close("0,5", rt_mcnemar(0, 5), 0.0625, 1e-9, 0);
}

/* MLPerf Inference: 64 queries for p90, 662 for p99, 6,636 for p99.9; 127, 1,307 and 13,105 for t = 5. */
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
}

static void wilson(void **state)
{
    (void)state;
    double low, high;
    rt_wilson(81, 263, &low, &high);          /* Newcombe 1998, table I */
    check_close("low", low, 0.2553, 5e-5, 0);
    check_close("high", high, 0.3662, 5e-5, 0);
    rt_wilson(0, 20, &low, &high);
    check_close("low", low, 0, 5e-5, 0);
    check_close("high", high, 0.1611, 5e-5, 0);
}

static void calibration_and_front(void **state)
{
    (void)state;
    rt_ece_bin bin[RT_ECE_BINS] = {{0}};
    bin[14] = (rt_ece_bin){60, 60 * 0.95, 54};
    bin[7] = (rt_ece_bin){40, 40 * 0.5, 20};
    check_close("ece", rt_ece(bin, 100), 0.03, 1e-12, 0);
    double a[] = {0.9, 0.8, 0.85, 0.9}, c[] = {10, 1, 20, 10};
    int on[4], want[] = {1, 1, 0, 1};
    rt_pareto(a, c, 4, on);
    assert_memory_equal(on, want, sizeof on);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(mcnemar), cmocka_unit_test(percentiles), cmocka_unit_test(wilson), cmocka_unit_test(calibration_and_front)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
