/* Three verdicts and one exit code; their chances simulated, against what they are said to be. */
#include "experiments/chances.h"
#include "experiments/statistics/statistics.h"
#include "experiments/gate/verdict.h"
#include "tests/experiments/binomial_draw.h"
#include "tests/support.h"

static void decisions(void **state)
{
    (void)state;
    assert_int_equal(rt_decide(-0.01, 0.005, 0.005), RT_PASSED);
    assert_int_equal(rt_decide(-0.01, 0.0050001, 0.005), RT_OPEN);
    assert_int_equal(rt_decide(0.005, 0.02, 0.005), RT_OPEN);
    assert_int_equal(rt_decide(0.0050001, 0.02, 0.005), RT_REGRESSED);
    assert_int_equal(rt_decide(1, 1, 1), RT_PASSED);
}

/* Limits of each class: ten slices, one with p below alpha / 10, one below alpha alone. The family of another limit
 * does not count. */
static void claims(void **state)
{
    (void)state;
    static const rt_limit each = {.name = "recall class=*", .each = 1}, other = {.name = "accuracy"};
    rt_finding f[12];
    for (int i = 0; i < 12; i++)
        f[i] = (rt_finding){.limit = i == 11 ? &other : &each, .outcome = RT_PASSED, .p = 0.5};
    f[3].p = 0.0024;
    f[7].p = 0.02;
    f[11].p = 0.02;
    f[3].outcome = f[7].outcome = f[11].outcome = RT_REGRESSED;
    f[10].outcome = RT_LISTED;
    f[10].p = NAN;
    check_ok(rt_verdict_claims(f, 12, 0.95));
    assert_int_equal(f[3].outcome, RT_REGRESSED);              /* 10 x 0.0024 <= 0.025 */
    assert_int_equal(f[7].outcome, RT_OPEN);                   /* 9 x 0.02 > 0.025 */
    assert_non_null(strstr(f[7].reason, "Holm's correction for 10"));
    assert_int_equal(f[11].outcome, RT_REGRESSED);
    assert_int_equal(f[10].outcome, RT_LISTED);
    /* The same in two families of kernels: each is its own family. */
    for (int i = 0; i < 12; i++) strcpy(f[i].kernels, i % 2 ? "avx2" : "scalar");
    f[7].outcome = RT_REGRESSED;
    f[7].p = 0.005;                                            /* 0.0024 is the smallest of 5; 4 x 0.005 <= 0.025 */
    check_ok(rt_verdict_claims(f, 12, 0.95));
    assert_int_equal(f[7].outcome, RT_REGRESSED);
}

/* A regression beats what was not measured, and that beats what is undecided; waivers and lists do not count. */
static void precedence(void **state)
{
    (void)state;
    static const rt_limit l = {.name = "accuracy"};
    static const rt_waiver waiver = {"accuracy", "2100-01-01", "why"};
    rt_policy release = {0}, request = {.proven = 1};
    static const struct { rt_outcome of[3]; rt_status release, request; } want[] = {
        {{RT_PASSED, RT_PASSED, RT_LISTED}, RT_OK, RT_OK},
        {{RT_PASSED, RT_OPEN, RT_PASSED}, RT_UNDECIDED, RT_OK},
        {{RT_OPEN, RT_NOT_MEASURED, RT_PASSED}, RT_NOTHING, RT_NOTHING},
        {{RT_OPEN, RT_NOT_MEASURED, RT_REGRESSED}, RT_GATE, RT_GATE},
        {{RT_REGRESSED, RT_PASSED, RT_PASSED}, RT_GATE, RT_GATE}};
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        rt_finding f[3] = {{.limit = &l}, {.limit = &l}, {.limit = &l}};
        for (int k = 0; k < 3; k++) f[k].outcome = want[i].of[k];
        assert_int_equal(rt_verdict(&release, f, 3), want[i].release);
        assert_int_equal(rt_verdict(&request, f, 3), want[i].request);
        for (int k = 0; k < 3; k++) f[k].waiver = &waiver;
        assert_int_equal(rt_verdict(&release, f, 3), RT_OK);
    }
}

/* ---- chances ---- */

typedef struct { uint64_t n; double psi, limit; } setting;

/* Verdicts of 20,000 test sets (of 2,000, a true 2.5 % is above 3 % one time in fourteen). A row flips for the worse
 * with (psi + drop) / 2, for the better with (psi - drop) / 2; equal counts have equal verdicts, which are looked up.
 */
static rt_chances simulate(const setting *s, double drop, uint32_t stream)
{
    enum { PAIRS = 20000, MOST = 1500 };
    static unsigned char known[MOST][MOST];
    double worse = 0.5 * (s->psi + drop), better = 0.5 * (s->psi - drop);
    int count[3] = {0};
    memset(known, 255, sizeof known);
    for (uint32_t i = 0; i < PAIRS; i++) {
        uint32_t w[4];
        double range[2];
        rt_random4(w, 20261126, RT_RNG_TEST, i, stream, 0, 0);
        uint64_t b = binomial((double)s->n, worse, (w[0] + 0.5) * 0x1p-32);
        uint64_t c = better > 0 ? binomial((double)(s->n - b), better / (1 - worse), (w[1] + 0.5) * 0x1p-32) : 0;
        assert_true(b < MOST && c < MOST);
        if (known[b][c] == 255) {
            rt_tango(b, c, s->n, 0.95, range);
            known[b][c] = (unsigned char)rt_decide(range[0], range[1], s->limit);
        }
        count[known[b][c]]++;
    }
    return (rt_chances){count[RT_PASSED] / (double)PAIRS, count[RT_REGRESSED] / (double)PAIRS,
                        count[RT_OPEN] / (double)PAIRS};
}

static void check_setting(const setting *s, uint32_t stream)
{
    rt_chances at = simulate(s, s->limit, 2 * stream), same = simulate(s, 0, 2 * stream + 1);
    rt_chances told = rt_power_of_share(s->n, s->psi, 0, s->limit, 0.95);
    unsigned n = (unsigned)s->n;
    if (at.pass > 0.03) fail_msg("n %u: a drop at the limit passes in %.4f", n, at.pass);
    if (at.regression > 0.04) fail_msg("n %u: a drop at the limit is a regression in %.4f", n, at.regression);
    if (same.regression > 0.01) fail_msg("n %u: no change is a regression in %.4f", n, same.regression);
    if (fabs(same.undecided - told.undecided) > 0.03)
        fail_msg("n %u, psi %g, limit %g: undecided in %.4f, told %.4f", n, s->psi, s->limit, same.undecided,
                 told.undecided);
    if (fabs(same.pass - told.pass) > 0.03) fail_msg("n %u: passes in %.4f, told %.4f", n, same.pass, told.pass);
    check_close("sum", told.pass + told.regression + told.undecided, 1, 1e-6, 0);
}

static void simulated(void **state)
{
    (void)state;
    static const uint64_t rows[] = {200, 500, 1000, 2000, 5000, 10000};
    static const struct { double psi, limit; } of[] = {{0.05, 0.005}, {0.05, 0.01}, {0.05, 0.02}, {0.1, 0.03}};
    uint32_t stream = 0;
    for (int i = 0; i < 6; i++)
        for (int k = 0; k < 4; k++) {
            /* far below what so few rows can show, lo > limit nears lo > 0, which is 2.5 % of equal models */
            if (of[k].limit < 0.01 && rows[i] < 1000) continue;
            check_setting(&(setting){rows[i], of[k].psi, of[k].limit}, stream++);
        }
}

/* The study's own simulation (3,000 pairs): what a limit below the width of the interval does to equal models. */
static void published(void **state)
{
    (void)state;
    check_close("0.5 point", 1 - rt_power_of_share(10000, 0.05, 0, 0.005, 0.95).pass, 0.3785, 0.03, 0);
    check_close("1 point", 1 - rt_power_of_share(10000, 0.05, 0, 0.01, 0.95).pass, 0.0065, 0.005, 0);
    check_close("0.2 point", 1 - rt_power_of_share(10000, 0.02, 0, 0.002, 0.95).pass, 0.7035, 0.03, 0);
}

/* The drop that is found with 80 % is found with 80 %, by draws. */
static void detects(void **state)
{
    (void)state;
    static const setting of[] = {{1000, 0.05, 0.01}, {10000, 0.05, 0.005}, {300, 0.02, 0.02}};
    for (uint32_t i = 0; i < 3; i++) {
        double drop = rt_power_detects(of[i].n, of[i].psi, of[i].limit, 0.95, 0.8);
        setting s = of[i];
        if (s.psi < drop) s.psi = drop;
        check_close("found", simulate(&s, drop, 100 + i).regression, 0.8, 0.03, 0);
    }
    assert_true(isnan(rt_power_detects(1, 1, 0.5, 0.95, 0.8)));
    /* Of a number: with the standard error e, a limit l and a drop l + 2.8016 e. */
    double drop = rt_power_number_detects(0.01, 0.02, 0.95, 0.8);
    check_close("number", drop, 0.02 + 0.01 * (1.959963984540054 + 0.8416212335729143), 1e-12, 0);
    check_close("chance", rt_power_of_number(0.01, drop, 0.02, 0.95).regression, 0.8, 1e-12, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(decisions),  cmocka_unit_test(claims),
                                       cmocka_unit_test(precedence), cmocka_unit_test(simulated),
                                       cmocka_unit_test(published),  cmocka_unit_test(detects)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
