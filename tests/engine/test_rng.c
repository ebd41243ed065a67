/* Philox against the known answers of Random123 (kat_vectors), the bijection, the normal distribution. */
#include "tests/support.h"

static void known_answers(void **state)
{
    (void)state;
    static const struct { uint32_t counter[4], key[2], want[4];
    } kat[] = {{{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
               {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
                {0xffffffff, 0xffffffff},
                {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
               {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
                {0xa4093822, 0x299f31d0},
                {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}}};
    for (int i = 0; i < 3; i++) {
        uint32_t got[4];
        rt_philox(got, kat[i].counter, kat[i].key);
        assert_memory_equal(got, kat[i].want, sizeof got);
    }
}

static void bijection(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {1, 2, 3, 5, 16, 17, 100, 1000, 4096, 60001};
    for (int s = 0; s < 10; s++)
        for (uint32_t epoch = 0; epoch < 3; epoch++) {
            uint64_t n = sizes[s], fixed = 0;
            char *seen = calloc(n, 1);
            for (uint64_t i = 0; i < n; i++) {
                uint64_t j = rt_permute(i, n, 7, RT_RNG_SHUFFLE, epoch, 0);
                assert_true(j < n && !seen[j]);
                seen[j] = 1;
                fixed += i == j;
            }
            if (n >= 1000) assert_true(fixed < 12);
            free(seen);
        }
}

/* The table's answers are rt_permute's, and backwards it undoes them, within and beyond what a table holds. */
static void permutation(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {0,  1,    2,     3,        4,         5,          17,         64,
                                     65, 1000, 60001, 16777216, 100000000, 4294967296, 4294967297, 1000000000000};
    rt_permutation p = {0};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (uint32_t epoch = 0; epoch < 2; epoch++) {
            uint64_t n = sizes[s], step = n / 997 + 1;
            check_ok(rt_permutation_set(&p, n, 7 + s, epoch ? RT_RNG_HELD : RT_RNG_SHUFFLE, epoch, 3));
            for (uint64_t i = 0; i < n; i += step) {
                uint64_t j = rt_permutation_at(&p, i);
                if (j != rt_permute(i, n, 7 + s, epoch ? RT_RNG_HELD : RT_RNG_SHUFFLE, epoch, 3))
                    fail_msg("%llu of %llu", (unsigned long long)i, (unsigned long long)n);
                assert_true(rt_permutation_from(&p, j) == i);
            }
        }
    rt_permutation_free(&p);
}

/* Mean displacement of a good shuffle is n / 3. */
static void spreads(void **state)
{
    (void)state;
    double sum = 0;
    const uint64_t n = 60000;
    for (uint64_t i = 0; i < n; i++) sum += fabs((double)rt_permute(i, n, 1, RT_RNG_SHUFFLE, 4, 0) - (double)i);
    check_close("displacement", sum / (double)n / (double)n, 1.0 / 3, 0.01, 0);
}

static void normal(void **state)
{
    (void)state;
    enum { N = 200000 };
    float *x = random_floats(N, 9);
    double m = 0, v = 0, k = 0;
    for (int i = 0; i < N; i++) m += x[i];
    m /= N;
    for (int i = 0; i < N; i++) {
        v += (x[i] - m) * (x[i] - m);
        k += pow(x[i] - m, 4);
    }
    v /= N;
    check_close("mean", m, 0, 0.01, 0);
    check_close("variance", v, 1, 0.01, 0);
    check_close("kurtosis", k / N / v / v, 3, 0.06, 0);
    free(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(known_answers), cmocka_unit_test(bijection),
                                       cmocka_unit_test(permutation), cmocka_unit_test(spreads),
                                       cmocka_unit_test(normal)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
