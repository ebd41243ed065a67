/* Rows that are drawn more often than others: places against a plain count, how often each row comes, epochs of a
 * shuffled order, and the weights that a policy gives. */
#include "data/row_weights.h"

#include <math.h>

#include "data/label_policy.h"
#include "data/label_scan.h"
#include "data/order.h"
#include "policy_labels.h"

typedef unsigned __int128 wide;

static rt_row_weights weights_of(uint64_t first, uint64_t end, uint64_t seed, int kind)
{
    rt_row_weights w;
    check_ok(rt_row_weights_new(&w, first, end));
    for (uint64_t r = 0; r < end - first; r++) {
        uint32_t word[4];
        rt_random4(word, seed, RT_RNG_TEST, 0, 0, (uint32_t)r, 0);
        w.weight[r] = (uint16_t)(kind == 0      ? 1
                                 : kind == 1    ? 1 + word[0] % 65535
                                 : r % 100 == 7 ? 65535
                                                : 1 + word[0] % 3);
    }
    return w;
}

static void draws_against_a_count(void **s)
{
    (void)s;
    static const struct { uint64_t source, test; const char *range; int kind;
    } cases[] = {{1, 0, "", 1},         {7, 0, "", 0}, {1000, 0, "", 1}, {1000, 300, "", 1}, {3000, 500, "700:2900", 2},
                 {513, 0, "255:513", 1}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        rt_rows_config config = {.range = cases[c].range, .test = (double)cases[c].test, .test_seed = 1};
        rt_rows rows, test;
        check_ok(rt_rows_select(&config, cases[c].source, &rows, &test));
        rt_row_weights w = weights_of(rows.first, rows.end, c + 1, cases[c].kind);
        rt_row_draws *d;
        check_ok(rt_row_draws_new(&d, &rows, &w));
        uint64_t total = 0, n = rows.count;
        for (uint64_t i = 0; i < n; i++) total += w.weight[rt_rows_at(&rows, i) - w.first];
        uint32_t *times = calloc(n, sizeof *times);
        enum { EPOCHS = 200 };
        for (uint32_t e = 0; e < EPOCHS; e++) {
            uint64_t start = rt_row_draws_start(d, 9, e), k = 0, sum = 0;
            assert_true(start < total);
            for (uint64_t i = 0; i < n; i++) {
                uint64_t row = rt_rows_at(&rows, i), own = w.weight[row - w.first], here = 0;
                sum += own;
                if (e < 3 && rt_row_draws_below(d, start, row) != k)
                    fail_msg("case %zu: places below row %d", c, (int)row);
                while (k < n && (wide)k * total + start < (wide)sum * n) {
                    if (rt_row_draws_at(d, start, k) != row) fail_msg("case %zu: place %d", c, (int)k);
                    k++;
                    here++;
                }
                double mean = (double)n * (double)own / (double)total;
                if (here < (uint64_t)floor(mean - 1e-9) || here > (uint64_t)ceil(mean + 1e-9))
                    fail_msg("case %zu: row %d comes %d times, not %.3f", c, (int)row, (int)here, mean);
                times[i] += (uint32_t)here;
            }
            assert_int_equal(k, n);
            assert_int_equal(rt_row_draws_below(d, start, rows.end), n);
            assert_int_equal(rt_row_draws_below(d, start, rows.first), 0);
        }
        for (uint64_t i = 0; i < n; i++) {
            double mean = (double)n * w.weight[rt_rows_at(&rows, i) - w.first] / (double)total,
                   part = mean - floor(mean);
            double error = 5.5 * sqrt(part * (1 - part) / EPOCHS) + 1e-9;
            if (!(fabs((double)times[i] / EPOCHS - mean) <= error)) fail_msg("case %zu: row %d in the mean", c, (int)i);
        }
        free(times);
        rt_row_draws_free(d);
        rt_row_weights_free(&w);
        rt_rows_free(&rows);
        rt_rows_free(&test);
    }
    rt_row_weights w = weights_of(10, 20, 1, 1);
    rt_row_draws *d;
    rt_rows rows = rt_rows_between(10, 21);
    check_fails(rt_row_draws_new(&d, &rows, &w), RT_INPUT, "row 20 has no weight");
    w.weight[3] = 0;
    rows = rt_rows_between(10, 20);
    check_fails(rt_row_draws_new(&d, &rows, &w), RT_INPUT, "row 13 has no weight");
    rt_row_weights_free(&w);
}

static int ascending(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* Rows of an epoch are those of its places, whatever the order; batch g is the same when asked for alone. */
static void orders_of_draws(void **s)
{
    (void)s;
    static const struct {
        uint64_t block, window;
        int batch;
    } cases[] = {{1, UINT64_MAX, 32}, {50, 4, 25}, {64, 3, 50}};
    enum { N = 900 };
    rt_rows_config config = {.range = "13:1113", .test = 200, .test_seed = 1};
    rt_rows rows, test;
    check_ok(rt_rows_select(&config, 1113, &rows, &test));
    assert_int_equal(rows.count, N);
    rt_row_weights w = weights_of(rows.first, rows.end, 4, 1);
    rt_row_draws *d;
    check_ok(rt_row_draws_new(&d, &rows, &w));
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        rt_order o = {.rows = &rows, .draws = d, .batch = cases[c].batch, .shuffle = 1, .keep_tail = 1, .seed = 3,
                      .block = cases[c].block, .window = cases[c].window};
        rt_order_reader in_turn, alone;
        rt_order_plan(&o);
        check_ok(rt_order_reader_open(&in_turn, &o));
        uint64_t list[N], batch[64], g = 0;
        for (uint32_t e = 0; e < 3; e++) {
            int count = 0, sorted = 1;
            for (uint64_t t = 0; t < o.steps; t++, g++) {
                int n, m;
                uint64_t again[64];
                check_ok(rt_order_batch(&in_turn, g, batch, &n));
                for (int i = 0; i < n; i++) list[count++] = batch[i];
                check_ok(rt_order_reader_open(&alone, &o));
                check_ok(rt_order_batch(&alone, g, again, &m));
                assert_int_equal(m, n);
                assert_memory_equal(again, batch, (size_t)n * sizeof *batch);
                rt_order_reader_close(&alone);
            }
            assert_int_equal(count, N);
            for (int i = 1; i < N; i++) sorted &= list[i] >= list[i - 1];
            assert_false(sorted);
            qsort(list, N, sizeof *list, ascending);
            uint64_t start = rt_row_draws_start(d, 3, e);
            for (int k = 0; k < N; k++)
                if (list[k] != rt_row_draws_at(d, start, (uint64_t)k)) fail_msg("case %zu, epoch %u", c, e);
        }
        rt_order_reader_close(&in_turn);
    }
    rt_row_draws_free(d);
    rt_row_weights_free(&w);
    rt_rows_free(&rows);
    rt_rows_free(&test);
}

/* ---- a policy's ---- */

static double member(const cJSON *report, const char *class, const char *key)
{
    const cJSON *one = cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(report, "classes"), class);
    return cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(one, key));
}

static void weights_of_a_policy(void **s)
{
    (void)s;
    static const char *const name[] = {"ant", "bee", "cat", "dog"};
    static const struct { const char *text; int classes; double power; } cases[] = {
        {"{\"confidence\": {\"min\": 0.6}, \"weights\": {\"classes\": \"equal\"}}", 1, 0},
        {"{\"confidence\": {\"min\": 0.6}, \"weights\": {\"classes\": \"prior\"}}", 2, 0},
        {"{\"confidence\": {\"min\": 0.6}, \"weights\": {\"classes\": \"sqrt\"}}", 3, 0},
        {"{\"weights\": {\"confidence\": 2}}", 0, 2},
        {"{\"per_class\": {\"top\": 150}, \"weights\": {\"classes\": \"prior\", \"confidence\": 1}}", 2, 1}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        rt_label_policy *p;
        rt_labels *l;
        rt_row_weights w;
        cJSON *report, *j = cJSON_Parse(cases[c].text);
        rt_rows rows = rt_rows_between(FIRST, FIRST + ROWS);
        check_ok(rt_label_policy_read(&p, j, "data.policy"));
        cJSON_Delete(j);
        assert_true(rt_label_policy_weighs(p));
        check_ok(rt_labels_open(&l, store, 0));
        check_ok(rt_label_policy_apply(p, l, store, &rows, &w, &report));
        double factor[K], weight[ROWS], most = 0, sum = 0, of_class[K] = {0};
        for (int k = 0; k < K; k++) {
            double had = member(report, name[k], "before"), kept = member(report, name[k], "after");
            factor[k] = cases[c].classes == 0 ? 1
                                              : (cases[c].classes == 1   ? 1
                                                 : cases[c].classes == 2 ? had
                                                                         : sqrt(had)) /
                                                    kept;
            most = fmax(most, factor[k]);
        }
        for (uint64_t i = 0; i < rows.count; i++) {
            const float *v = z + (rt_rows_at(&rows, i) - FIRST) * K;
            double all = 0;
            int best = 0;
            for (int k = 0; k < K; k++) if (v[k] > v[best]) best = k;
            for (int k = 0; k < K; k++) all += exp((double)v[k] - (double)v[best]);
            weight[i] = factor[best] * pow(1 / all, cases[c].power) / most * 65535;
            double got = w.weight[rt_rows_at(&rows, i) - w.first];
            if (!(fabs(got - fmax(weight[i], 1)) <= 0.51))
                fail_msg("%s: row %d: %g, not %g", cases[c].text, (int)i, got, weight[i]);
            of_class[best] += got;
            sum += got;
        }
        for (int k = 0; k < K; k++)
            if (!(fabs(member(report, name[k], "drawn") - of_class[k] / sum) < 1e-9))
                fail_msg("%s: %s", cases[c].text, name[k]);
        for (int k = 0; k < K && cases[c].classes == 1; k++)
            assert_true(fabs(member(report, name[k], "drawn") - 0.25) < 1e-3);
        rt_row_weights_free(&w);
        check_ok(rt_label_policy_apply(p, l, store, &rows, NULL, &j));         /* the rows it has left, once more */
        cJSON_Delete(j);
        rt_labels_close(l);
        rt_label_policy_free(p);
        rt_rows_free(&rows);
        cJSON_Delete(report);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(draws_against_a_count), cmocka_unit_test(orders_of_draws),
                                       cmocka_unit_test(weights_of_a_policy)};
    return cmocka_run_group_tests(tests, set_up, remove_test_folder);
}
