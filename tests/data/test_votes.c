/* Voters: crowd-kit's Dawid-Skene and one coin on a recorded case (record_votes.py), majority, priors, and what has no
 * answer. */
#include <math.h>

#include "data/votes.h"
#include "tests/data/votes_reference.h"
#include "tests/support.h"

enum { N = 600, M = 5, K = 3 };
static rt_votes votes;
static int truth[N];

static double unit(uint64_t *x)
{
    *x = *x * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (double)(*x >> 33) / 2147483648.0;
}

static int set_up(void **state)
{
    (void)state;
    static const double right[M] = {.9, .8, .7, .6, .4}, cover[M] = {.9, .8, .7, .6, .5};
    uint64_t x = 7;
    check_ok(rt_votes_new(&votes, N, M, K));
    for (int i = 0; i < N; i++) {
        truth[i] = (i >= 300) + (i >= 500);
        for (int j = 0; j < M; j++) {
            double a = unit(&x), b = unit(&x), c = unit(&x);
            if (a < cover[j])
                rt_votes_put(&votes, (uint64_t)i, j, b < right[j] ? truth[i] : (truth[i] + 1 + (int)(c * (K - 1))) % K);
        }
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    rt_votes_free(&votes);
    return 0;
}

static void close_to(const char *what, double got, double want, double within)
{ if (!(fabs(got - want) <= within)) fail_msg("%s: %.12g, want %.12g", what, got, want); }

/* Share of rows with a vote whose best class is the true one. */
static double accuracy(const rt_vote_model *m)
{
    int n = 0, right = 0;
    double p[K];
    for (int i = 0; i < N; i++) {
        if (!rt_votes_posterior(m, &votes, (uint64_t)i, p, NULL)) continue;
        n++;
        right += rt_vote_best(p, K) == truth[i];
    }
    return (double)right / n;
}

static rt_vote_model fit(const rt_votes *v, rt_vote_method method, const double *prior)
{
    rt_vote_model m;
    rt_vote_options o = {.method = method, .prior = prior, .tolerance = 1e-14, .iterations = 20000};
    check_ok(rt_votes_fit(&m, v, &o));
    return m;
}

static void check_rows(const rt_vote_model *m, const int *row, const double *want, int n)
{
    double p[K];
    for (int i = 0; i < n; i++) {
        assert_true(rt_votes_posterior(m, &votes, (uint64_t)row[i], p, NULL) > 0);
        for (int c = 0; c < K; c++) close_to("p", p[c], want[i * K + c], 2e-5);
    }
}

static void counts_of_votes(void **state)
{
    (void)state;
    int given[M] = {0}, none = 0;
    for (uint64_t i = 0; i < N; i++) {
        int any = 0;
        for (int j = 0; j < M; j++) given[j] += rt_votes_at(&votes, i, j) >= 0, any |= rt_votes_at(&votes, i, j) >= 0;
        none += !any;
    }
    for (int j = 0; j < M; j++) assert_int_equal(given[j], votes_given[j]);
    assert_int_equal(none, 1);
}

static void majority(void **state)
{
    (void)state;
    rt_vote_model m = fit(&votes, RT_VOTE_MAJORITY, NULL);
    double p[K];
    close_to("majority", accuracy(&m), majority_accuracy[0], 1e-12);
    assert_true(isnan(m.log_likelihood));
    rt_vote_model_free(&m);
    rt_votes v;                                        /* 1 0 - 1: a third and two thirds; a tie is the lower class's */
    check_ok(rt_votes_new(&v, 2, 4, K));
    rt_votes_put(&v, 0, 0, 1);
    rt_votes_put(&v, 0, 1, 0);
    rt_votes_put(&v, 0, 3, 1);
    assert_int_equal(rt_votes_majority(&v, 0, p), 3);
    close_to("p0", p[0], 1.0 / 3, 1e-15);
    close_to("p1", p[1], 2.0 / 3, 1e-15);
    assert_int_equal(rt_votes_agreed(&v, 0), -1);
    rt_votes_put(&v, 0, 3, RT_ABSTAIN);
    assert_int_equal(rt_votes_majority(&v, 0, p), 2);
    assert_int_equal(rt_vote_best(p, K), 0);
    assert_int_equal(rt_votes_majority(&v, 1, p), 0);
    assert_true(p[0] == 0 && p[1] == 0 && p[2] == 0);
    rt_votes_put(&v, 0, 0, 0);
    assert_int_equal(rt_votes_agreed(&v, 0), 0);
    rt_votes_put(&v, 0, 1, RT_ABSTAIN);
    assert_int_equal(rt_votes_agreed(&v, 0), -1);      /* one voter agrees with nobody */
    rt_votes_free(&v);
}

static void dawid_skene(void **state)
{
    (void)state;
    rt_vote_model m = fit(&votes, RT_VOTE_DAWID_SKENE, NULL);
    close_to("accuracy", accuracy(&m), ds_accuracy[0], 1e-12);
    assert_true(accuracy(&m) > majority_accuracy[0] + 0.04);
    for (int c = 0; c < K; c++) close_to("prior", m.prior[c], ds_prior[c], 1e-5);
    for (int i = 0; i < M * K * K; i++) close_to("confusion", m.confusion[i], ds_confusion[i], 2e-5);
    check_rows(&m, ds_rows, ds_p, 10);
    for (int j = 0; j < M; j++) {
        double a = 0;
        for (int c = 0; c < K; c++) a += ds_prior[c] * ds_confusion[(j * K + c) * K + c];
        close_to("accuracy of a voter", m.accuracy[j], a, 3e-5);
    }
    assert_true(m.converged && m.log_likelihood > m.log_likelihood_start);
    assert_int_equal(m.voted, N - 1);
    rt_vote_model_free(&m);
}

static void one_coin(void **state)
{
    (void)state;
    rt_vote_model m = fit(&votes, RT_VOTE_ONE_COIN, NULL);
    close_to("accuracy", accuracy(&m), coin_accuracy[0], 1e-12);
    for (int c = 0; c < K; c++) close_to("prior", m.prior[c], coin_prior[c], 1e-5);
    for (int j = 0; j < M; j++) close_to("skill", m.accuracy[j], coin_skill[j], 1e-5);
    check_rows(&m, coin_rows, coin_p, 10);
    for (int j = 0; j < M; j++)
        close_to("off the diagonal", m.confusion[j * K * K + 1], (1 - m.accuracy[j]) / (K - 1), 1e-12);
    rt_vote_model_free(&m);
}

/* Given priors stay; each step of EM raises the likelihood; the same in either width of a vote. */
static void priors_and_steps(void **state)
{
    (void)state;
    static const double given[K] = {.5, 1.0 / 3, 1.0 / 6};
    rt_vote_model m = fit(&votes, RT_VOTE_DAWID_SKENE, given);
    for (int c = 0; c < K; c++) assert_true(m.prior[c] == given[c]);
    assert_true(accuracy(&m) > majority_accuracy[0]);
    rt_vote_model_free(&m);
    double last = -INFINITY;
    for (int n = 1; n < 30; n++) {
        rt_vote_options o = {.method = RT_VOTE_DAWID_SKENE, .tolerance = 0, .iterations = n};
        check_ok(rt_votes_fit(&m, &votes, &o));
        assert_true(m.log_likelihood >= last && !m.converged && m.iterations == n);
        last = m.log_likelihood;
        rt_vote_model_free(&m);
    }
    rt_votes wide;
    double p[300], q[K];
    check_ok(rt_votes_new(&wide, N, M, 300));
    assert_true(wide.wide && !votes.wide);
    for (uint64_t i = 0; i < N; i++) for (int j = 0; j < M; j++) {
        int said = rt_votes_at(&votes, i, j);
        rt_votes_put(&wide, i, j, said < 0 ? said : said + 297);
        assert_int_equal(rt_votes_at(&wide, i, j), said < 0 ? said : said + 297);
    }
    rt_vote_model a = fit(&wide, RT_VOTE_DAWID_SKENE, NULL), b = fit(&votes, RT_VOTE_DAWID_SKENE, NULL);
    for (uint64_t i = 0; i < N; i += 37) {
        rt_votes_posterior(&a, &wide, i, p, NULL);
        rt_votes_posterior(&b, &votes, i, q, NULL);
        for (int c = 0; c < K; c++) close_to("p of 300 classes", p[297 + c], q[c], 1e-5);
    }
    rt_vote_model_free(&a);
    rt_vote_model_free(&b);
    rt_votes_free(&wide);
}

/* A voter who is known to be bad is overruled, though the others agree with it: the model's answer is no majority. */
static void overrules(void **state)
{
    (void)state;
    rt_votes v;
    static const double given[2] = {.999, .001};
    double p[2];
    check_ok(rt_votes_new(&v, 100, 3, 2));
    for (uint64_t i = 0; i < 100; i++) {
        rt_votes_put(&v, i, 0, i % 2 == 0);
        rt_votes_put(&v, i, 1, i % 3 == 0);
        rt_votes_put(&v, i, 2, i % 5 == 0);
    }
    rt_vote_options o = {.method = RT_VOTE_ONE_COIN, .prior = given, .tolerance = 1e-12, .iterations = 1000};
    rt_vote_model m;
    check_ok(rt_votes_fit(&m, &v, &o));
    assert_int_equal(rt_votes_agreed(&v, 0), 1);
    rt_votes_posterior(&m, &v, 0, p, NULL);
    assert_int_equal(rt_vote_best(p, 2), 0);
    rt_vote_model_free(&m);
    rt_votes_free(&v);
}

static int never_mind(void) { return 1; }

static void refusals(void **state)
{
    (void)state;
    rt_votes v;
    rt_vote_model m;
    rt_vote_options o = {.method = RT_VOTE_DAWID_SKENE, .tolerance = 1e-9, .iterations = 10};
    check_ok(rt_votes_new(&v, 7, 2, 2));
    check_fails(rt_votes_fit(&m, &v, &o), RT_INPUT, "every voter abstains from all 7 rows");
    rt_vote_model_free(&m);
    rt_votes_free(&v);
    o.stop = never_mind;
    check_fails(rt_votes_fit(&m, &votes, &o), RT_INTERRUPTED, "interrupted");
    rt_vote_model_free(&m);
    check_fails(rt_votes_new(&v, 7, 0, 2), RT_USAGE, "0 voters");
    check_fails(rt_votes_new(&v, 7, RT_VOTERS + 1, 2), RT_USAGE, "voters");
    check_fails(rt_votes_new(&v, 7, 1, 1), RT_USAGE, "1 classes");
    check_fails(rt_votes_new(&v, 7, RT_VOTERS, 1024), RT_USAGE, "too many");
    check_fails(rt_votes_new(&v, UINT64_MAX, 2, 2), RT_USAGE, "do not fit memory");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(counts_of_votes), cmocka_unit_test(majority),
                                       cmocka_unit_test(dawid_skene), cmocka_unit_test(one_coin),
                                       cmocka_unit_test(priors_and_steps), cmocka_unit_test(overrules),
                                       cmocka_unit_test(refusals)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
