/* Timing: percentiles of known samples, calls that lost the CPU told apart, medians of rounds, and an end when asked.
 */
#include <signal.h>

#include "engine/clock.h"
#include "experiments/speed.h"
#include "tests/experiments/evaluator_models.h"

/* 1 to n microseconds in a scattered order. */
static float *samples(int n)
{
    float *v = malloc((size_t)n * sizeof *v);
    assert_non_null(v);
    for (int i = 0; i < n; i++) v[i] = (float)(1 + rt_permute((uint64_t)i, (uint64_t)n, 1, RT_RNG_TEST, 0, 0)) * 1e-6f;
    return v;
}

static void check_percentiles(int n, double p50, double p90, double p99, double p99_9)
{
    float *v = samples(n), *room = malloc((size_t)n * sizeof *room);
    assert_non_null(room);
    cJSON *j = cJSON_CreateObject();
    rt_speed_percentiles(j, v, room, (uint64_t)n);
    const char *const key[] = {"samples", "min_us", "p50_us", "p90_us", "p99_us", "p99_9_us", "max_us"};
    double value[] = {n, 1, p50, p90, p99, p99_9, n};
    for (int i = 0; i < 7; i++) {
        const cJSON *got = get(j, key[i]);
        if (isnan(value[i])) {
            assert_true(cJSON_IsNull(got));
            assert_non_null(get(get(j, "undefined"), key[i]));
        } else check_close(key[i], cJSON_GetNumberValue(got), value[i], 0, 1e-6);
    }
    cJSON_Delete(j);
    free(v);
    free(room);
}

/* The medians are NumPy's; the tails are samples at the indices that test_statistics has from SciPy, counted from 1. */
static void percentiles(void **state)
{
    (void)state;
    check_percentiles(63, 32, NAN, NAN, NAN);
    check_percentiles(64, 32.5, 64, NAN, NAN);
    check_percentiles(662, 331.5, 615, 662, NAN);
    check_percentiles(2000, 1000.5, 1833, 1992, NAN);
    check_percentiles(20000, 10000.5, 18100, 19834, 19992);
}

/* Ten million calls are reported in about a second, all of them and the undisturbed ones; the limit is for a loaded
 * machine and for sanitizers. */
static void ten_million(void **state)
{
    (void)state;
    enum { N = 10000000, LOST = 1000 };
    rt_speed s = {.count = 1, .taken = 1, .scenarios = 1u << RT_SINGLE_STREAM};
    rt_speed_calls *c = &s.subject[0].calls[0];
    *c = (rt_speed_calls){
        .sample = malloc(N * sizeof *c->sample), .undisturbed = N - LOST, .disturbed = LOST, .room = N};
    assert_non_null(c->sample);
    for (int i = 0; i < N; i++) c->sample[i] = (float)((uint64_t)i * 7654321 % N);
    cJSON *j = cJSON_CreateObject();
    double start = rt_thread_seconds();
    check_ok(rt_speed_describe(j, &s, 0));
    double took = rt_thread_seconds() - start;
    const cJSON *l = get(j, "latency_batch1_1thread");
    check_close("p90", cJSON_GetNumberValue(get(l, "p90_us")), 9002207e6, 0, 1e-6);
    check_number(l, "samples", N);
    check_number(get(l, "undisturbed"), "samples", N - LOST);
    if (took > 20) fail_msg("%.1f s for ten million samples", took);
    cJSON_Delete(j);
    rt_speed_free(&s);
}

static void disturbed(void **state)
{
    (void)state;
    unsigned char lost[8];
    /* Alone: beyond 1.1 times the CPU time and 10 us. */
    const double us = 1e-6;
    rt_speed_disturbed((double[]){5, 5 + 119 * us}, 1, 100 * us, lost);
    assert_int_equal(lost[0], 0);
    rt_speed_disturbed((double[]){5, 5 + 121 * us}, 1, 100 * us, lost);
    assert_int_equal(lost[0], 1);
    rt_speed_disturbed((double[]){5, 5 + 10.5 * us}, 1, 1 * us, lost);
    assert_int_equal(lost[0], 0);
    rt_speed_disturbed((double[]){5, 5 + 12 * us}, 1, 1 * us, lost);
    assert_int_equal(lost[0], 1);
    /* A group: the call that took so long, and only when the group lost time. */
    const double stamp[] = {0, 2 * us, 4 * us, 4004 * us, 4006 * us};
    rt_speed_disturbed(stamp, 4, 9 * us, lost);
    assert_memory_equal(lost, ((unsigned char[]){0, 0, 1, 0}), 4);
    rt_speed_disturbed(stamp, 4, 4000 * us, lost);
    assert_memory_equal(lost, ((unsigned char[]){0, 0, 0, 0}), 4);
}

static void check_throughput(const cJSON *m, int rounds)
{
    const cJSON *t = get(m, "throughput"), *all = get(t, "by_batch");
    char batch[8];
    double most = 0;
    assert_int_equal(cJSON_GetArraySize(all), 4);
    for (const cJSON *b = all->child; b; b = b->next) {
        double middle = cJSON_GetNumberValue(get(b, "rows_per_second"));
        assert_true(middle >= cJSON_GetNumberValue(get(b, "lowest")) &&
                    middle <= cJSON_GetNumberValue(get(b, "highest")));
        assert_true(cJSON_GetNumberValue(get(b, "lowest")) > 0);
        most = fmax(most, middle);
    }
    snprintf(batch, sizeof batch, "%.0f", cJSON_GetNumberValue(get(t, "batch")));
    assert_true(cJSON_Compare(get(get(all, batch), "rows_per_second"), get(t, "rows_per_second"), 1));
    assert_true(cJSON_Compare(get(get(all, batch), "highest"), get(t, "highest"), 1));
    check_number(t, "rows_per_second", most);
    check_number(t, "rounds", rounds);
}

/* What a run writes: every sample counted once, percentiles that rise, medians within their range. */
static void measured(void **state)
{
    (void)state;
    cJSON *e, *c = config_of("a.h5", "b.h5", "data.h5");
    override(c, "eval={\"latency_samples\": 1001, \"seconds\": 0.02, \"rounds\": 4}");
    override(c, "speed.seconds=0");                /* no further rounds, however noisy */
    check_ok(evaluate(c, NULL, 0, &e));
    for (int i = 0; i < 2; i++) {
        const cJSON *l = get(model_of(e, i), "latency_batch1_1thread"), *calm = get(l, "undisturbed");
        static const char *const rising[] = {"min_us", "p50_us", "p90_us", "p99_us", "max_us"};
        for (int k = 1; k < 5; k++)
            assert_true(cJSON_GetNumberValue(get(l, rising[k])) >= cJSON_GetNumberValue(get(l, rising[k - 1])));
        check_number(l, "samples", 1001);
        check_number(calm, "samples", 1001 - cJSON_GetNumberValue(get(l, "disturbed")));
        assert_true(cJSON_GetNumberValue(get(calm, "max_us")) <= cJSON_GetNumberValue(get(l, "max_us")));
        assert_true(cJSON_GetNumberValue(get(l, "clock_us_taken_off")) < 100);
        check_throughput(model_of(e, i), 4);
    }
    cJSON_Delete(e);
}

/* ---- figures of known rounds ---- */

enum { TURNS = 20 };

/* Of three subjects, A, C and A': microseconds of each round, undisturbed and disturbed calls. */
static void fill(rt_speed *s, float room[3][TURNS], const double *us, uint64_t lost)
{
    *s = (rt_speed){.count = 3, .taken = TURNS, .scenarios = 1u << RT_SINGLE_STREAM};
    for (int i = 0; i < 3; i++) {
        s->subject[i].name = "model";
        for (int r = 0; r < TURNS; r++) room[i][r] = (float)(us[i] * (1 + 0.001 * (r - TURNS / 2)) * 1e-6);
        for (int q = 0; q < RT_QUANTILES; q++) s->subject[i].calls[0].round[q] = room[i];
        s->subject[i].calls[0].undisturbed = 1000 - lost;
        s->subject[i].calls[0].disturbed = lost;
    }
}

/* Rounds that are slower alike leave the ratio as it is; the interval of 20 rounds at 95 % is from the 6th to the 15th.
 */
static void ratios(void **state)
{
    (void)state;
    rt_speed s;
    float room[3][TURNS];
    fill(&s, room, (double[]){100, 130, 100}, 0);
    rt_speed_figure f = rt_speed_compare(&s, RT_SINGLE_STREAM, RT_P50, 0, 1, 0.95);
    check_close("ratio", f.ratio, 1.3, 0, 1e-6);
    check_close("lo", f.ratio_lo, 1.3, 0, 1e-6);
    check_close("baseline", f.baseline, 99.95, 0, 1e-6);
    check_close("candidate", f.candidate, 1.3 * 99.95, 0, 1e-6);
    check_close("5 below", f.lo, 1.3 * 99.5, 0, 1e-6);
    check_close("5 above", f.hi, 1.3 * 100.4, 0, 1e-6);
    assert_true(f.rounds == TURNS && f.calls == 1000);
    /* The baseline is the mean of A and A'; one slow phase of one subject moves no median. */
    fill(&s, room, (double[]){100, 130, 102}, 0);
    for (int r = 0; r < 4; r++) room[1][r] *= 50;
    f = rt_speed_compare(&s, RT_SINGLE_STREAM, RT_P50, 0, 1, 0.95);
    check_close("against both", f.ratio, 130 / 101.0, 0, 1e-6);
    assert_true(f.ratio_hi < 1.31);
    /* Rounds without enough calls do not count; below six there is no interval. */
    for (int r = 0; r < 15; r++) room[1][r] = NAN;
    f = rt_speed_compare(&s, RT_SINGLE_STREAM, RT_P99, 0, 1, 0.95);
    assert_true(f.rounds == 5 && isnan(f.ratio_lo) && isnan(f.hi) && isfinite(f.ratio));
}

/* 3 % either way, 5 % of calls. */
static void noise(void **state)
{
    (void)state;
    static const struct { double control; uint64_t lost; int noisy; } of[] = {
        {100, 0, 0}, {102.9, 0, 0}, {103.1, 0, 1}, {97.2, 0, 0}, {97, 0, 1}, {100, 50, 0}, {100, 51, 1}};
    for (size_t i = 0; i < sizeof of / sizeof of[0]; i++) {
        rt_speed s;
        float room[3][TURNS];
        char text[256];
        fill(&s, room, (double[]){100, 150, of[i].control}, of[i].lost);
        rt_speed_control c = rt_speed_noise(&s, RT_SINGLE_STREAM);
        if (c.noisy != of[i].noisy)
            fail_msg("A'/A %g, %llu lost: noisy %d", c.ratio, (unsigned long long)of[i].lost, c.noisy);
        check_close("A'/A", c.ratio, of[i].control / 100, 0, 1e-6);
        check_close("disturbed", c.disturbed, (double)of[i].lost / 1000, 1e-12, 0);
        rt_speed_say_noisy(&s, RT_SINGLE_STREAM, text, sizeof text);
        assert_non_null(strstr(text, "machine too noisy: SingleStream"));
    }
}

/* A machine that is never quiet: rounds go on until the time is gone, and there are no ratios. */
static void goes_on(void **state)
{
    (void)state;
    cJSON *e, *c = config_of("a.h5", "b.h5", "data.h5");
    override(c, "eval={\"latency_samples\": 64, \"seconds\": 0.01, \"rounds\": 2}");
    override(c, "speed.seconds=0.5");
    check_ok(evaluate(c, NULL, 0, &e));
    const cJSON *speed = get(e, "speed");
    double rounds = cJSON_GetNumberValue(get(speed, "rounds"));
    int noisy = cJSON_IsTrue(get(speed, "noisy"));
    assert_true(rounds >= 2 && (rounds == 2 || noisy || cJSON_GetNumberValue(get(speed, "seconds")) < 30));
    const cJSON *ratios_of = get(model_of(e, 1), "speed_vs_reference");
    static const char *const key[] = {"latency_p50", "multistream_p50", "throughput"};
    static const char *const scenario[] = {"SingleStream", "MultiStream", "Offline"};
    for (int i = 0; i < 3; i++) {
        int quiet = cJSON_IsFalse(get(get(get(speed, "control"), scenario[i]), "noisy"));
        assert_int_equal(cJSON_IsNumber(get(ratios_of, key[i])), quiet);
        if (!quiet) assert_non_null(get(get(ratios_of, "undefined"), key[i]));
    }
    cJSON_Delete(e);
}

static double stopped_at, last_done, last_total;

static void stop_when_measuring(void *arg, const char *what, double done, double total, double rate, const char *unit,
                                const char *note)
{
    (void)arg, (void)rate, (void)note;
    if (strcmp(what, "measure")) return;
    assert_string_equal(unit, "calls");
    last_done = done;
    last_total = total;
    if (done > 0 && !rt_stopped()) {
        stopped_at = rt_seconds();
        rt_ask_to_stop(1);
    }
}

/* The samples asked for take minutes. */
static void ends_when_asked(void **state)
{
    (void)state;
    cJSON *e, *c = config_of("a.h5", "b.h5", "data.h5");
    rt_progress progress = {.update = stop_when_measuring};
    override(c, "eval={\"latency_samples\": 10000000, \"seconds\": 3600, \"rounds\": 2}");
    rt_device *device = rt_device_cpu(1);
    check_fails(rt_evaluate(c, &(rt_target){.path = at("stopped")}, device, &progress, &e), RT_INTERRUPTED,
                "interrupted");
    double took = rt_seconds() - stopped_at;
    rt_ask_to_stop(0);
    assert_null(e);
    assert_true(last_total == 3 * 1.125e7 && last_done > 0 && last_done < last_total);       /* two models and A' */
    if (took > 5) fail_msg("%.1f s until it ended", took);
    assert_true(fopen(at("stopped/evaluation.json"), "r") == NULL);
    rt_device_close(device);
    cJSON_Delete(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(percentiles), cmocka_unit_test(ten_million),
                                       cmocka_unit_test(disturbed), cmocka_unit_test(measured),
                                       cmocka_unit_test(ends_when_asked), cmocka_unit_test(ratios),
                                       cmocka_unit_test(noise), cmocka_unit_test(goes_on)};
    return cmocka_run_group_tests(tests, make_models, remove_test_folder);
}
