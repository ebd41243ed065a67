/* Statistics against values of SciPy, statsmodels and scikit-learn (qa-reference.json, by qa-reference.py). */
#include "engine/sha256.h"
#include "experiments/chances.h"
#include "experiments/statistics/statistics.h"
#include "data/json.h"
#include "tests/support.h"

static cJSON *reference;

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

static void check_range(const char *what, const cJSON *want, double lo, double hi)
{
    check_close(what, lo, cJSON_GetArrayItem(want, 0)->valuedouble, 1e-9, 0);
    check_close(what, hi, cJSON_GetArrayItem(want, 1)->valuedouble, 1e-9, 0);
}

/* The tables' difference is the candidate's share less the baseline's; a drop is the other way round. */
static void paired(void **state)
{
    (void)state;
    for (const cJSON *t = get(reference, "paired")->child; t; t = t->next) {
        uint64_t b = whole(t, "b"), c = whole(t, "c"), n = whole(t, "n");
        double share[2], drop[2];
        rt_tango(b, c, n, 0.95, drop);
        check_range("Tango", get(t, "tango"), -drop[1], -drop[0]);
        check_close("McNemar", rt_mcnemar(b, c), number(t, "mcnemar_exact"), 1e-12, 1e-9);
        double z = number(t, "tango_z_margin_001");
        if (isfinite(z)) check_close("score", -rt_tango_score(b, c, n, 0.01), z, 1e-9, 1e-9);
        rt_wilson(b, n, 0.95, share);
        check_range("Wilson of NFR", get(t, "wilson_nfr"), share[0], share[1]);
    }
}

static void holm(void **state)
{
    (void)state;
    for (const cJSON *t = get(reference, "holm")->child; t; t = t->next) {
        double p[64], adjusted[64];
        int n = 0;
        for (const cJSON *v = get(t, "p")->child; v; v = v->next) p[n++] = v->valuedouble;
        check_ok(rt_holm(p, n, adjusted));
        for (int i = 0; i < n; i++)
            check_close("Holm", adjusted[i], cJSON_GetArrayItem(get(t, "adjusted"), i)->valuedouble, 1e-12, 0);
    }
}

static void connor(void **state)
{
    (void)state;
    const cJSON *power = get(reference, "power_mcnemar");
    for (const cJSON *t = get(power, "smallest_detectable_drop")->child; t; t = t->next) {
        double want = number(t, "two_sided"), got = rt_power_mcnemar(number(t, "n"), number(t, "psi"), 0.95, 0.8);
        if (isnan(want)) assert_true(isnan(got));
        else check_close("Connor", got, want, 1e-9, 0);
        want = number(t, "one_sided");
        got = rt_power_mcnemar(number(t, "n"), number(t, "psi"), 0.9, 0.8);
        if (!isnan(want)) check_close("Connor, one-sided", got, want, 1e-9, 0);
    }
}

/* SciPy's norm.ppf and norm.cdf. */
static void normal(void **state)
{
    (void)state;
    static const struct { double p, x; } quantile[] = {
        {0.975, 1.959963984540054},  {0.8, 0.8416212335729143},     {0.5, 0},
        {1e-10, -6.361340902404056}, {1e-300, -37.0470962993612}, {0.001, -3.090232306167813},
        {0.07, -1.4757910281791706}, {0.99999, 4.264890793923841}};
    for (size_t i = 0; i < sizeof quantile / sizeof quantile[0]; i++) {
        check_close("quantile", rt_normal_quantile(quantile[i].p), quantile[i].x, 1e-15, 1e-12);
        check_close("cdf", rt_normal_cdf(quantile[i].x), quantile[i].p, 0, 1e-11);
    }
}

/* Binomial quantiles of SciPy: ranks k with P(Binomial(n, 1/2) < k) <= (1 - confidence) / 2. */
static void medians(void **state)
{
    (void)state;
    static const struct { int n; double confidence; int k; } rank[] = {
        {5, 0.95, 0}, {6, 0.95, 1}, {10, 0.95, 2}, {20, 0.95, 6}, {40, 0.95, 14}, {101, 0.95, 41}, {40, 0.99, 12}};
    for (size_t i = 0; i < sizeof rank / sizeof rank[0]; i++) {
        double v[101], lo, hi;
        int n = rank[i].n;
        for (int k = 0; k < n; k++) v[k] = (k * 37) % n + 1;
        check_close("median", rt_median_interval(v, n, rank[i].confidence, &lo, &hi), 0.5 * (n + 1), 0, 0);
        if (!rank[i].k) assert_true(isnan(lo) && isnan(hi));
        else assert_true(lo == rank[i].k && hi == n + 1 - rank[i].k);
    }
}

/* FIPS 180-4's examples, and a length at each edge of a block, as sha256sum gives them. */
static void sha256(void **state)
{
    (void)state;
    static const struct { int n; const char *hex; } of_a[] = {
        {0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {55, "9f4390f8d30c2dd92ec9f095b65e2b9ae9b0a925a5258e241c9f1e910f734318"},
        {56, "b35439a4ac6f0948b6d6f9e3c6af0f5f590ce20f1bde7090ef7970686ec6738a"},
        {64, "ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb"},
        {1000, "41edece42d63e8d9bf515a9ba6932e1c20cbc9f5a5d134645adb5db1b9737ea3"}};
    char text[1001], hex[65];
    memset(text, 'a', sizeof text);
    for (size_t i = 0; i < sizeof of_a / sizeof of_a[0]; i++)
        for (int cut = 0; cut <= of_a[i].n; cut += 13) {
            rt_sha256 s = {0};
            rt_sha256_add(&s, text, (size_t)cut);
            rt_sha256_add(&s, text, (size_t)(of_a[i].n - cut));
            rt_sha256_end(&s, hex);
            assert_string_equal(hex, of_a[i].hex);
        }
    rt_sha256 s = {0};
    rt_sha256_add(&s, "abc", 3);
    rt_sha256_end(&s, hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static int read_reference(void **state)
{
    (void)state;
    return rt_json_file(&reference, RETORT_SOURCE_DIR "/tests/experiments/qa-reference.json");
}

static int drop_reference(void **state)
{
    (void)state;
    cJSON_Delete(reference);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(paired), cmocka_unit_test(holm), cmocka_unit_test(connor),
                                       cmocka_unit_test(normal), cmocka_unit_test(medians), cmocka_unit_test(sha256)};
    return cmocka_run_group_tests(tests, read_reference, drop_reference);
}
