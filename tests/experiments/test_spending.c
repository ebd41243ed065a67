/* Alpha spent over releases: SciPy's values (qa-reference.json, by qa-reference.py), and twelve looks simulated. */
#include "data/json.h"
#include "experiments/gate/spending.h"
#include "experiments/statistics/statistics.h"
#include "experiments/gate/verdict.h"
#include "tests/experiments/binomial_draw.h"
#include "tests/support.h"

enum { LOOKS = 12 };

static void recorded(void **state)
{
    (void)state;
    cJSON *j;
    check_ok(rt_json_file(&j, RETORT_SOURCE_DIR "/tests/experiments/qa-reference.json"));
    const cJSON *of = cJSON_GetObjectItemCaseSensitive(j, "alpha_spending");
    for (int how = RT_SPEND_OBRIEN_FLEMING; how < RT_SPENDINGS; how++) {
        const cJSON *list = cJSON_GetObjectItemCaseSensitive(of, rt_spending_name[how]);
        double before = 0;
        assert_int_equal(cJSON_GetArraySize(list), LOOKS);
        for (int i = 1; i <= LOOKS; i++) {
            double want = cJSON_GetArrayItem(list, i - 1)->valuedouble;
            check_close("spent", rt_spent((rt_spending)how, 0.05, i / 12.0), want, 0, 1e-9);
            check_close("of a look", rt_spending_alpha((rt_spending)how, 0.05, i, LOOKS), want - before, 1e-16, 1e-9);
            before = want;
        }
    }
    cJSON_Delete(j);
}

/* All of alpha and no more, whatever it and the number of looks are; none of it is an error. */
static void adds_up(void **state)
{
    (void)state;
    static const double alpha[] = {0.5, 0.05, 0.01, 1e-6};
    static const int looks[] = {1, 2, 12, 1000};
    for (int how = RT_SPEND_OBRIEN_FLEMING; how < RT_SPENDINGS; how++)
        for (int a = 0; a < 4; a++)
            for (int k = 0; k < 4; k++) {
                double sum = 0, least = 1;
                for (int i = 1; i <= looks[k]; i++) {
                    double one = rt_spending_alpha((rt_spending)how, alpha[a], i, looks[k]);
                    least = fmin(least, one);
                    sum += one;
                }
                check_close("sum", sum, alpha[a], 1.001e-9, 1e-12);
                assert_true(least >= 1e-12 && isfinite(rt_normal_quantile(0.5 + (1 - least) / 2)));
            }
    assert_true(rt_spending_alpha(RT_SPEND_NONE, 0.05, 40, 12) == 0.05 && rt_spent(RT_SPEND_NONE, 0.05, 0.1) == 0.05);
    assert_true(rt_spent(RT_SPEND_POCOCK, 0.05, 0) == 0 && rt_spent(RT_SPEND_OBRIEN_FLEMING, 0.05, 1) == 0.05);
}

/* ---- simulated ---- */

typedef struct { double regression, pass; } wrong;

/* The share of 4,000 series of twelve releases in which one at least is called a regression, or passes, where every
 * true drop stands exactly at the limit (one point of 10,000 rows, of which 5 % flip): either claim is an error then,
 * and as likely as it can be. */
static wrong simulate(rt_spending how, uint32_t stream)
{
    enum { SERIES = 4000, ROWS = 10000 };
    const double limit = 0.01, worse = 0.5 * (0.05 + limit), better = 0.5 * (0.05 - limit);
    int count[RT_OUTCOMES] = {0};
    for (uint32_t i = 0; i < SERIES; i++) {
        int any[RT_OUTCOMES] = {0};
        for (int look = 1; look <= LOOKS; look++) {
            uint32_t w[4];
            double range[2], alpha = rt_spending_alpha(how, 0.05, look, LOOKS);
            rt_random4(w, 20261126, RT_RNG_TEST, i, (uint32_t)look, stream, 0);
            uint64_t b = binomial(ROWS, worse, (w[0] + 0.5) * 0x1p-32);
            uint64_t c = binomial((double)(ROWS - b), better / (1 - worse), (w[1] + 0.5) * 0x1p-32);
            rt_tango(b, c, ROWS, 1 - alpha, range);
            any[rt_decide(range[0], range[1], limit)] = 1;
        }
        for (int o = 0; o < RT_OUTCOMES; o++) count[o] += any[o];
    }
    return (wrong){count[RT_REGRESSED] / (double)SERIES, count[RT_PASSED] / (double)SERIES};
}

/* Without spending one series in four goes wrong on either side, 1 - 0.975^12 = 0.262; with it one in forty, and all of
 * that is used. Three standard errors of 4,000 series are 0.021 and 0.0074. */
static void twelve_looks(void **state)
{
    (void)state;
    wrong none = simulate(RT_SPEND_NONE, 1), fleming = simulate(RT_SPEND_OBRIEN_FLEMING, 2),
          pocock = simulate(RT_SPEND_POCOCK, 3);
    check_close("regressions without", none.regression, 0.262, 0.035, 0);
    check_close("passes without", none.pass, 0.262, 0.035, 0);
    check_close("regressions, O'Brien-Fleming", fleming.regression, 0.025, 0.0074, 0);
    check_close("passes, O'Brien-Fleming", fleming.pass, 0.025, 0.0074, 0);
    check_close("regressions, Pocock", pocock.regression, 0.025, 0.0074, 0);
    check_close("passes, Pocock", pocock.pass, 0.025, 0.0074, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(recorded), cmocka_unit_test(adds_up),
                                       cmocka_unit_test(twelve_looks)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
