/* Sets of rows: the draws that were recorded when sets were lists of numbers, a mask against a plain list, memory. */
#include <malloc.h>

#include "data/rows.h"
#include "engine/progress.h"
#include "tests/support.h"

/* Numbers and FNV-1a (64 bits, over the row numbers as 8 little-endian bytes) of the sets that `data.rows`,
 * `data.test`, `data.validation` and `data.hard_rows` gave at commit a3c9fee, where a set was an array of row numbers.
 */
typedef struct {
    const char *range;
    double test;
    uint64_t test_seed, rows;
    double validation;
    uint64_t seed;
    const char *hard;
    uint64_t train, train_sum, tests, test_sum, held, held_sum;
    uint64_t common;               /* of train with the test rows of share 0.3, seed 4 */
} recorded;
static const recorded record[] = {
    {"", 0, 1, 1003, 0.1, 1, "",
     903, 0xdf23a25586497580, 0, 0xcbf29ce484222325, 100, 0x22c166c32f991e32, 275},
    {"100:900", 0.25, 7, 1003, 50, 3, "",
     550, 0x49da3cc630aa45f4, 200, 0x227d2d38208cabe3, 50, 0x7c5dae608efd75da, 165},
    {"", 0.1, 1, 60000, 0.1, 1, "",
     48600, 0xd37637a82f1f43bd, 6000, 0xb5df0b5d617826d6, 5400, 0xfec8ab351907030e, 14589},
    {"", 0.5, 2, 60000, 0.75, 5, "1000:50000",
     11608, 0x72688c6e8d12e29e, 30000, 0xb8cad6161e025a8c, 18392, 0x104daca0466b9313, 3357},
    {"17:", 12345, 9, 70001, 0.9, 11, "0:30000",
     35350, 0xbb213198ab656959, 12345, 0x77431108756de6fb, 22305, 0x86b22df29cce0aa5, 10606},
    {":65", 1, 1, 66, 1, 2, "",
     63, 0xf8c2960f0e856f42, 1, 0x145f84e702cc0459, 1, 0xaf456814397876fe, 18},
    {"", 0.999, 3, 4097, 0.5, 4, "",
     3, 0x66cb01f1f8d9a7ae, 4092, 0xbdfb626ddf969619, 2, 0x74b5e17fc390924a, 0},
    {"3:4", 0, 1, 10, 0, 1, "",
     1, 0xc7c2bf3b330983e6, 0, 0xcbf29ce484222325, 0, 0xcbf29ce484222325, 0},
    {"", 0.01, 1, 300000, 50000, 8, "200000:300000",
     247000, 0x9bbbaf3a6dc814cd, 3000, 0xff357268c03648dc, 50000, 0xe9d97aab2604a554, 74061},
};

static uint64_t fnv(const rt_rows *a)
{
    uint64_t h = 14695981039346656037u;
    for (uint64_t i = 0; i < a->count; i++)
        for (int b = 0; b < 64; b += 8) h = (h ^ (rt_rows_at(a, i) >> b & 255)) * 1099511628211u;
    return h;
}

static void same_draws(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof record / sizeof *record; i++) {
        const recorded *r = &record[i];
        rt_rows_config c = {r->range, r->test, r->test_seed}, other = {"", 0.3, 4};
        rt_rows train, test, held, pool, rest, third;
        check_ok(rt_rows_select(&c, r->rows, &train, &test));
        if (*r->hard) {
            check_ok(rt_rows_range(&pool, r->hard, r->rows));
            check_ok(rt_rows_remove(&pool, &test));
            check_ok(rt_rows_draw(&pool, r->validation, r->seed, RT_RNG_SPLIT, "validation", &held));
            check_ok(rt_rows_remove(&train, &held));
            rt_rows_free(&pool);
        } else check_ok(rt_rows_draw(&train, r->validation, r->seed, RT_RNG_SPLIT, "validation", &held));
        check_ok(rt_rows_select(&other, r->rows, &rest, &third));
        if (train.count != r->train || fnv(&train) != r->train_sum) fail_msg("case %zu: other rows to train on", i);
        if (test.count != r->tests || fnv(&test) != r->test_sum) fail_msg("case %zu: other test rows", i);
        if (held.count != r->held || fnv(&held) != r->held_sum) fail_msg("case %zu: other validation rows", i);
        if (rt_rows_common(&train, &third) != r->common)
            fail_msg("case %zu: %llu rows in common", i, (unsigned long long)rt_rows_common(&train, &third));
        assert_int_equal(rt_rows_common(&train, &test) + rt_rows_common(&train, &held) + rt_rows_common(&test, &held),
                         0);
        rt_rows *all[] = {&train, &test, &held, &rest, &third};
        for (int k = 0; k < 5; k++) rt_rows_free(all[k]);
    }
}

/* Folds have no row in common, all rows together, sizes that differ by one at most, and the rows that the permutation
 * itself, asked row by row, takes to each. */
static void folds_part_the_rows(void **state)
{
    (void)state;
    static const struct { uint64_t rows, first, end; int folds; } cases[] = {
        {10, 0, 10, 2}, {10, 0, 10, 10}, {1000, 0, 1000, 3}, {1000, 17, 990, 7}, {5000, 0, 5000, 100}};
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        uint64_t n = cases[k].end - cases[k].first;
        char range[40];
        snprintf(range, sizeof range, "%d:%d", (int)cases[k].first, (int)cases[k].end);
        uint64_t sum = 0;
        for (int f = 0; f < cases[k].folds; f++) {
            rt_rows_config c = {.range = range, .test_seed = 5, .fold = f, .folds = cases[k].folds};
            rt_rows others, fold;
            check_ok(rt_rows_select(&c, cases[k].rows, &others, &fold));
            assert_true(rt_rows_tests(&c));
            assert_int_equal(fold.count + others.count, n);
            assert_int_equal(rt_rows_common(&fold, &others), 0);
            assert_in_range(fold.count, n / (uint64_t)c.folds, n / (uint64_t)c.folds + 1);
            for (uint64_t i = 0; i < n; i++) {
                uint64_t to = rt_permute(i, n, 5, RT_RNG_HELD, 0, 0), of = 0;
                while ((of + 1) * n / (uint64_t)c.folds <= to) of++;
                if (rt_rows_has(&fold, cases[k].first + i) != (of == (uint64_t)f))
                    fail_msg("case %zu, fold %d: row %d", k, f, (int)i);
            }
            sum += fold.count;
            rt_rows_free(&others);
            rt_rows_free(&fold);
        }
        assert_int_equal(sum, n);
    }
    rt_rows a, b;
    check_fails(rt_rows_select(&(rt_rows_config){.range = "", .test_seed = 1, .folds = 3}, 2, &a, &b), RT_USAGE,
                "2 rows make no 3 folds");
    rt_rows_free(&a);
    rt_rows_free(&b);
    static const char *const bad[] = {"3/3", "0/1",  "0/101", "-1/3",  "1/",     "/3",
                                      "1",   "1/3x", " 1/3",  "1/3/3", "01234/9"};
    int fold, folds;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (rt_rows_fold_of(bad[i], &fold, &folds) || folds) fail_msg("'%s' is taken for a fold", bad[i]);
    assert_true(rt_rows_fold_of("99/100", &fold, &folds) && fold == 99 && folds == 100);
    assert_true(rt_rows_fold_of("", &fold, &folds) && !folds);
}

/* Every question asked of a set, against a plain list of truth values over rows [0, n + 200). */
static void check_set(const rt_rows *a, const char *in, uint64_t n)
{
    uint64_t count = 0, *list = malloc((n + 1) * sizeof *list), *got = malloc((n + 1) * sizeof *got);
    for (uint64_t r = 0; r < n + 200; r++) {
        int is = r < n && in[r];
        assert_int_equal(rt_rows_has(a, r), is);
        assert_int_equal(rt_rows_below(a, r), count);
        if (!is) continue;
        assert_true(rt_rows_at(a, count) == r);
        list[count++] = r;
    }
    assert_int_equal(a->count, count);
    for (uint64_t i = 0; i < count; i += 1 + i / 3)
        for (uint64_t len = 0; i + len <= count; len += 1 + len / 2) {
            rt_rows_list(a, i, len, got);
            assert_memory_equal(got, list + i, len * sizeof *got);
        }
    for (uint64_t i = 0; i < count; i++) got[i] = (i * 7919 + 5) % count;
    rt_rows_pick(a, got, (int)count);
    for (uint64_t i = 0; i < count; i++) assert_true(got[i] == list[(i * 7919 + 5) % count]);
    free(list);
    free(got);
}

static void against_lists(void **state)
{
    (void)state;
    enum { N = 9000 };
    static const uint64_t edge[][2] = {{0, 1},    {0, 64},  {1, 64},     {63, 65},
                                       {64, 128}, {5, 700}, {127, 4608}, {100, 8999}};
    static char in[N], out[N];
    for (size_t e = 0; e < sizeof edge / sizeof *edge; e++) {
        uint64_t first = edge[e][0], end = edge[e][1], n = end - first;
        for (uint64_t block = 1; block <= n; block = block * 3 + 1)
            for (uint32_t kind = 0; kind < 5; kind++) {           /* none, all, half, few, all but few of the blocks */
                unsigned char *take = calloc(n / block + 1, 1);
                memset(in, 0, sizeof in);
                for (uint64_t b = 0; b * block < n; b++) {
                    uint32_t w[4];
                    rt_random4(w, 11, RT_RNG_TEST, (uint32_t)e, kind, (uint32_t)b, (uint32_t)block);
                    take[b] = kind == 0 ? 0 : kind == 1 ? 1 : kind == 2 ? w[0] & 1 : (w[0] % 50 == 0) == (kind == 3);
                    for (uint64_t r = b * block; take[b] && r < (b + 1) * block && r < n; r++) in[first + r] = 1;
                }
                rt_rows a, drawn, copy;
                check_ok(rt_rows_from_blocks(&a, first, n, block, take));
                check_set(&a, in, N);
                check_ok(rt_rows_from_blocks(&copy, first, n, block, take));

                uint64_t third = a.count / 3;
                check_ok(rt_rows_draw(&a, (double)third, 5, RT_RNG_SPLIT, "part", &drawn));
                memcpy(out, in, sizeof in);
                for (uint64_t r = 0, i = 0; r < N; r++) {
                    if (!in[r]) continue;
                    int goes = third && rt_permute(i++, copy.count, 5, RT_RNG_SPLIT, 0, 0) < third;
                    in[r] = (char)goes;
                    out[r] = (char)!goes;
                }
                check_set(&drawn, in, N);
                check_set(&a, out, N);
                assert_int_equal(rt_rows_common(&a, &copy), a.count);
                assert_int_equal(rt_rows_common(&drawn, &copy), drawn.count);
                check_ok(rt_rows_remove(&copy, &drawn));
                rt_rows both = {0}, far = rt_rows_between(end + 70, end + 80);
                check_ok(rt_rows_add(&both, &drawn));
                check_ok(rt_rows_add(&both, &copy));
                check_ok(rt_rows_add(&both, &copy));
                for (uint64_t r = 0; r < N; r++) out[r] = (char)(out[r] | in[r]);
                check_set(&both, out, N);
                check_ok(rt_rows_add(&both, &far));
                assert_true(both.count == copy.count + drawn.count + 10 && rt_rows_common(&both, &far) == 10);
                rt_rows_free(&both);
                for (uint64_t r = 0; r < N; r++) out[r] = (char)(out[r] & !in[r]);
                check_set(&copy, out, N);
                check_ok(rt_rows_remove(&copy, &a));
                assert_int_equal(copy.count, 0);
                rt_rows_free(&a);
                rt_rows_free(&drawn);
                rt_rows_free(&copy);
                free(take);
            }
    }
}

/* What configurations say of rows: parts are shares or whole numbers, and a seed of nothing is refused. */
static void parts(void **state)
{
    (void)state;
    static const struct { const char *text, *part; } all[] = {
        {"{\"test\": 0.25}", NULL}, {"{\"test\": 1}", NULL}, {"{\"test\": 250, \"test_seed\": 9}", NULL},
        {"{\"test_seed\": 1}", NULL}, {"{\"test\": 1.5}", "test: a share below 1 or a whole number"},
        {"{\"test\": 2.5}", "test: a share below 1 or a whole number"},
        {"{\"test_seed\": 2}", "test_seed: does nothing without data.test"}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        cJSON *j;
        rt_rows_config rows;
        check_ok(rt_json_parse(&j, all[i].text, strlen(all[i].text), "text"));
        rt_cfg c = rt_cfg_begin(j, "data");
        rt_rows_read(&c, &rows);
        if (all[i].part) check_fails(rt_cfg_end(&c), RT_USAGE, all[i].part);
        else check_ok(rt_cfg_end(&c));
        cJSON_Delete(j);
    }
}

static void ranges(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t first, end;
    } good[] = {{"", 0, 1000},         {":", 0, 1000},      {"5:", 5, 1000},    {":7", 0, 7},
                {"1000:", 1000, 1000}, {"0:1000", 0, 1000}, {"007:0008", 7, 8}, {"3:3", 3, 3}};
    static const struct {
        const char *text, *part;
    } bad[] = {{"100:90", "end before they begin"},
               {"0:1001", "outside"},
               {"18446744073709551616:", "outside"},
               {"18446744073709551616:18446744073709551617", "outside"},
               {":18446744073709551626", "outside"},
               {"0:99999999999999999999999999999999999", "outside"},
               {"184467440737095516160:5", "outside"},
               {"x", "first:end"},
               {"5", "first:end"},
               {"1:2:3", "first:end"},
               {"-1:5", "first:end"},
               {"1e2:5", "first:end"},
               {" 1:5", "first:end"},
               {"+1:5", "first:end"}};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        uint64_t first, end;
        rt_rows a;
        check_ok(rt_parse_range(good[i].text, 1000, &first, &end));
        assert_true(first == good[i].first && end == good[i].end);
        check_ok(rt_rows_range(&a, good[i].text, 1000));
        assert_true(a.count == end - first && !a.word);
        assert_int_equal(rt_rows_has(&a, first), end > first);
        assert_false(rt_rows_has(&a, end));
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        rt_rows a;
        check_fails(rt_rows_range(&a, bad[i].text, 1000), RT_USAGE, bad[i].part);
    }
    rt_rows a = rt_rows_between(UINT64_MAX - 10, UINT64_MAX);
    assert_true(a.count == 10 && rt_rows_at(&a, 9) == UINT64_MAX - 1 && rt_rows_has(&a, UINT64_MAX - 1) &&
                !rt_rows_has(&a, UINT64_MAX));
    rt_rows b = rt_rows_between(9, 3);
    assert_true(b.count == 0 && !rt_rows_common(&a, &b));
}

/* The sets of a training run over 100 million rows, and what labelling and evaluation add: bytes that malloc has given
 * out. */
static void memory(void **state)
{
    (void)state;
    const uint64_t n = 100000000;
    size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
    rt_rows_config c = {"", 0.1, 1};
    rt_rows train, test, held, todo;
    check_ok(rt_rows_select(&c, n, &train, &test));
    check_ok(rt_rows_draw(&train, 100000, 1, RT_RNG_SPLIT, "validation", &held));
    uint64_t blocks = (n + 1023) / 1024;
    unsigned char *in = malloc(blocks);
    for (uint64_t b = 0; b < blocks; b++) in[b] = b % 3 > 0;
    check_ok(rt_rows_from_blocks(&todo, 0, n, 1024, in));
    free(in);
    assert_true(train.count == 89900000 && test.count == 10000000 && held.count == 100000);
    size_t bytes = mallinfo2().uordblks + mallinfo2().hblkhd - before;
    print_message("4 masks of 100 million rows: %.1f MiB\n", (double)bytes / 1048576);
    assert_true(bytes < (size_t)4 * 15000000);
    uint64_t last = 0;
    for (uint64_t i = 0; i < train.count; i += 999983) {
        uint64_t row = rt_rows_at(&train, i);
        assert_true(row >= last && rt_rows_has(&train, row) && !rt_rows_has(&test, row) &&
                    rt_rows_below(&train, row) == i);
        last = row;
    }
    rt_rows *all[] = {&train, &test, &held, &todo};
    for (int k = 0; k < 4; k++) rt_rows_free(all[k]);
    assert_true(mallinfo2().uordblks + mallinfo2().hblkhd <= before + 4096);
}

/* A draw from 2^26 rows is a second's work: it ends when it is asked to. */
static void interrupted(void **state)
{
    (void)state;
    rt_rows a = rt_rows_between(0, (uint64_t)1 << 26), drawn;
    rt_ask_to_stop(1);
    check_fails(rt_rows_draw(&a, 0.5, 1, RT_RNG_SPLIT, "part", &drawn), RT_INTERRUPTED, "");
    rt_ask_to_stop(0);
    assert_true(a.count == (uint64_t)1 << 26 && !a.word && !drawn.word);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(same_draws),    cmocka_unit_test(folds_part_the_rows),
                                       cmocka_unit_test(against_lists), cmocka_unit_test(ranges),
                                       cmocka_unit_test(parts),         cmocka_unit_test(memory),
                                       cmocka_unit_test(interrupted)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
