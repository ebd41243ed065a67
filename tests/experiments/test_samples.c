/* Statistics of two samples against SciPy's, scikit-learn's and NumPy's (samples_reference.h, by record_samples.py),
 * and the columns of 'retort drift' on the same samples. */
#include "experiments/drift/drift_parts.h"
#include "experiments/statistics/statistics.h"
#include "experiments/statistics/statistics_samples.h"
#include "tests/experiments/samples_reference.h"
#include "tests/support.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void distances(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(ks_case); i++) {
        int exact;
        double p = rt_ks_p(ks_case[i].n, ks_case[i].m, ks_case[i].d, &exact), other;
        char what[80];
        snprintf(what, sizeof what, "%llu and %llu rows, d %g", (unsigned long long)ks_case[i].n,
                 (unsigned long long)ks_case[i].m, ks_case[i].d);
        check_close(what, p, ks_case[i].p, 1e-14, 1e-8);
        assert_int_equal(exact, ks_case[i].exact);
        other = rt_ks_p(ks_case[i].m, ks_case[i].n, ks_case[i].d, NULL);
        check_close("the other way round", other, p, 0, 1e-9);
    }
    /* Beyond 1e-20 nothing depends on it: not exact, and small. */
    int exact;
    double p = rt_ks_p(10000, 9000, 0.9, &exact);
    assert_true(!exact && p >= 0 && p < 1e-20);
    /* The distance that is found is about the one that is significant. */
    for (int k = 1; k < 6; k++) {
        double level = pow(10, -k), d = rt_ks_detects(20000, 15000, level);
        check_close("detects", rt_ks_p(20000, 15000, d, NULL), level, 0, 0.03);
    }
    assert_true(rt_ks_detects(1, 1, 0.01) == 1);
}

/* A column of both sides, as 'retort drift' has it. */
static void columns(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(sample_case); i++) {
        int n = sample_case[i].n, m = sample_case[i].m;
        const double *v = sample_value + sample_case[i].at;
        rt_drift_column c = {.name = NULL};
        rt_drift_bins bins;
        double *pool = malloc((size_t)(n + m) * sizeof *pool), nothing = NAN;
        assert_non_null(pool);
        memcpy(pool, v, (size_t)(n + m) * sizeof *pool);
        check_ok(rt_drift_column_cells(&c, pool, (uint64_t)(n + m), 1));
        assert_int_equal(c.category, 0);
        rt_drift_column_add(&c, 0, v, n / 2);           /* in two blocks, with what is missing between them */
        rt_drift_column_add(&c, 0, &nothing, 1);
        rt_drift_column_add(&c, 0, v + n / 2, n - n / 2);
        rt_drift_column_add(&c, 1, v + n, m);
        double d = rt_ks_distance(c.count[0], c.count[1], c.edges + 1);
        check_close("distance", d, sample_case[i].d, 1e-12, 0);
        check_close("p", rt_ks_p((uint64_t)n, (uint64_t)m, d, NULL), sample_case[i].p, 1e-14, 1e-9);
        check_ok(rt_drift_column_bins(&c, &bins));
        assert_int_equal(bins.bins, sample_case[i].bins);
        check_close("PSI", rt_psi(bins.count[0], bins.count[1], bins.bins), sample_case[i].psi, 1e-13, 1e-12);
        assert_int_equal(c.side[0].missing, 1);
        assert_int_equal(c.side[0].rows, n + 1);
        double sum = 0, square = 0, least = INFINITY, most = -INFINITY, finite = 0;
        for (int k = 0; k < n; k++) {
            least = fmin(least, v[k]);
            most = fmax(most, v[k]);
            if (!isfinite(v[k])) continue;
            sum += v[k];
            finite++;
        }
        for (int k = 0; k < n; k++) if (isfinite(v[k])) square += (v[k] - sum / finite) * (v[k] - sum / finite);
        check_close("mean", c.side[0].mean, sum / finite, 1e-12, 1e-12);
        check_close("squares", c.side[0].m2, square, 1e-12, 1e-9);
        assert_true(c.side[0].least == least && c.side[0].most == most);
        assert_int_equal(c.side[0].infinite, n - (int)finite);
        free(pool);
        rt_drift_column_free(&c);
    }
}

/* Cells of a part of the values bound the distance: it is at most what is found and the fullest cell. */
static void cells(void **state)
{
    (void)state;
    enum { N = 4000, PART = 400 };
    static double a[N], b[N], pool[PART];
    float *x = random_floats(N, 1), *y = random_floats(N, 2);
    for (int i = 0; i < N; i++) {
        a[i] = x[i];
        b[i] = y[i] + 0.2;
    }
    for (int i = 0; i < PART / 2; i++) {
        pool[i] = a[i];
        pool[PART / 2 + i] = b[i];
    }
    rt_drift_column c = {.name = NULL};
    check_ok(rt_drift_column_cells(&c, pool, PART, 0));
    rt_drift_column_add(&c, 0, a, N);
    rt_drift_column_add(&c, 1, b, N);
    uint64_t all = 0;
    double fullest = 0;
    for (int i = 0; i <= c.edges; i++) {
        all += c.count[0][i] + c.count[1][i];
        fullest = fmax(fullest, (double)(c.count[0][i] > c.count[1][i] ? c.count[0][i] : c.count[1][i]) / N);
    }
    assert_int_equal(all, 2 * N);
    rt_sort_doubles(a, N);
    rt_sort_doubles(b, N);
    double want = 0;
    for (int i = 0, j = 0; i < N; i++) {
        while (j < N && b[j] <= a[i]) j++;
        want = fmax(want, fabs((i + 1.0) / N - (double)j / N));
    }
    double got = rt_ks_distance(c.count[0], c.count[1], c.edges + 1);
    assert_true(got <= want + 1e-12 && got >= want - fullest && fullest < 0.05);
    rt_drift_column_free(&c);
    free(x);
    free(y);
}

static void counts(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(chi_square_case); i++)
        check_close("tail", rt_chi_square_tail(chi_square_case[i].x, chi_square_case[i].df), chi_square_case[i].p,
                    1e-300, 1e-10);
    for (int df = 1; df < 2000; df += df)
        check_close("quantile", rt_chi_square_tail(rt_chi_square_quantile(0.01, df), df), 0.01, 0, 1e-9);
    for (size_t i = 0; i < COUNT(fisher_case); i++)
        check_close("Fisher", rt_fisher_p(fisher_case[i].a, fisher_case[i].b, fisher_case[i].c, fisher_case[i].d),
                    fisher_case[i].p, 1e-15, 1e-10);
    for (size_t i = 0; i < COUNT(count_case); i++) {
        const uint64_t *a = count_value + count_case[i].at;
        rt_counts_result r;
        check_ok(rt_counts_p(a, a + count_case[i].k, count_case[i].k, &r));
        assert_int_equal(r.test, count_case[i].test);
        assert_int_equal(r.df, count_case[i].df);
        check_close("chi-square", r.statistic, count_case[i].statistic, 1e-12, 1e-11);
        check_close("p of counts", r.p, count_case[i].p, 1e-15, 1e-10);
    }
    /* Nothing to tell. */
    rt_counts_result r;
    const uint64_t one[] = {7, 0, 9, 0}, none[] = {0, 0, 3, 4};
    check_ok(rt_counts_p(one, one + 2, 2, &r));
    assert_true(r.test == RT_COUNTS_NONE && r.p == 1);
    check_ok(rt_counts_p(none, none + 2, 2, &r));
    assert_true(r.test == RT_COUNTS_NONE && r.p == 1);
    check_ok(rt_counts_p(none, none, 0, &r));
    assert_true(r.p == 1);
}

static void ranks(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(above_case); i++)
        check_close("above", rt_above_p(above_case[i].n, above_case[i].r, above_case[i].m, above_case[i].k),
                    above_case[i].p, 0, 1e-10);
    assert_true(rt_above_p(10, 5, 3, 4) == 0);
    for (size_t i = 0; i < COUNT(rank_case); i++) {
        const double *v = rank_value + rank_case[i].at;
        double auc, p;
        check_ok(rt_rank_auc(v, (uint64_t)rank_case[i].n, v + rank_case[i].n, (uint64_t)rank_case[i].m, &auc, &p));
        check_close("auc", auc, rank_case[i].auc, 1e-14, 0);
        check_close("p of ranks", p, rank_case[i].p, 0, 1e-11);
    }
    double auc = rt_auc_detects(500, 700, 1e-3);
    check_close("detects", 0.5 * erfc((auc - 0.5) / sqrt(1201.0 / (12 * 500.0 * 700.0)) / sqrt(2)), 1e-3, 0, 1e-9);
}

/* Siddiqi's table of a scorecard's stability, smoothing put aside by counts large enough. */
static void index_of_counts(void **state)
{
    (void)state;
    const uint64_t a[] = {100000000, 200000000, 300000000, 400000000},
                   b[] = {150000000, 200000000, 300000000, 350000000};
    double want = 0.05 * log(0.15 / 0.10) - 0.05 * log(0.35 / 0.40);
    check_close("PSI", rt_psi(a, b, 4), want, 0, 1e-6);
    check_close("of equal counts", rt_psi(a, a, 4), 0, 1e-15, 0);
    /* An empty bin: half a row. */
    const uint64_t c[] = {10, 0}, d[] = {10, 10};
    double p = 0.5 / 11, q = 10.5 / 21;
    check_close("empty", rt_psi(c, d, 2), (q - p) * log(q / p) + (1 - q - (1 - p)) * log((1 - q) / (1 - p)), 1e-12, 0);
    check_close("detects", rt_psi_detects(1000, 500, 10, 0.01), rt_chi_square_quantile(0.01, 9) * 0.003, 1e-12, 0);
}

/* Categories: by number, in any order of coming, a code that comes late, more than are told apart. */
static void categories(void **state)
{
    (void)state;
    double pool[] = {3, 1, 2, 3, 1}, more[200];
    rt_drift_column c = {.name = NULL};
    rt_drift_bins b;
    check_ok(rt_drift_column_cells(&c, pool, 5, 1));
    assert_true(c.category && c.guessed && c.codes == 3);
    rt_drift_column_add(&c, 0, (double[]){3, 1, 2, 3, 3, NAN}, 6);
    rt_drift_column_add(&c, 1, (double[]){2, 7, 7, -1, 3}, 5);
    check_ok(rt_drift_column_bins(&c, &b));
    assert_int_equal(b.bins, 4);                        /* 3, then 1 and 2, then what is new */
    assert_true(b.edge[0] == 3 && b.edge[1] == 1 && b.edge[2] == 2 && isinf(b.edge[3]));
    assert_true(b.count[0][0] == 3 && b.count[1][0] == 1 && b.count[0][3] == 0 && b.count[1][3] == 3);
    assert_int_equal(c.codes, 5);
    for (int i = 0; i < 200; i++) more[i] = i;
    rt_drift_column_add(&c, 1, more, 200);
    assert_int_equal(c.codes + (int)c.other[1], 5 + 196);    /* 1, 2, 3 and 7 were there */
    assert_int_equal(c.codes, 2 * RT_DRIFT_GUESS);
    rt_drift_column_free(&c);
    /* 33 whole numbers are numbers, 32 are categories, and so are 32 that are no whole ones not. */
    for (int k = 32; k <= 34; k++) {
        c = (rt_drift_column){.name = NULL};
        for (int i = 0; i < k; i++) more[i] = k == 34 ? i % 32 + 0.5 : i;
        check_ok(rt_drift_column_cells(&c, more, (uint64_t)k, 1));
        assert_int_equal(c.category, k == 32);
        rt_drift_column_free(&c);
    }
    rt_drift_words *w = rt_drift_words_new();
    assert_non_null(w);
    assert_int_equal(rt_drift_word(w, "ab", 2), 0);
    assert_int_equal(rt_drift_word(w, "a", 1), 1);
    assert_int_equal(rt_drift_word(w, "abc", 2), 0);
    assert_int_equal(rt_drift_word(w, "", 0), 2);
    char text[16];
    for (int i = 3; i < RT_DRIFT_WORDS; i++)
        assert_int_equal(rt_drift_word(w, text, (size_t)sprintf(text, "w%d", i)), i);
    assert_int_equal(rt_drift_word(w, "new", 3), RT_DRIFT_WORDS);
    assert_int_equal(rt_drift_word(w, "w77", 3), 77);
    assert_string_equal(rt_drift_word_at(w, 77), "w77");
    rt_drift_words_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(distances), cmocka_unit_test(columns), cmocka_unit_test(cells),
                                       cmocka_unit_test(counts), cmocka_unit_test(ranks),
                                       cmocka_unit_test(index_of_counts), cmocka_unit_test(categories)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
