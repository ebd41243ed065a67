/* Rows to label: scikit-activeml's core set and uncertainties, BADGE by gradients that are formed (record_votes.py);
 * copies, ties, labelled rows, and too few rows. */
#include <math.h>

#include "data/select.h"
#include "tests/data/votes_reference.h"
#include "tests/support.h"

enum { N = 40, D = 2, K = 3 };
static float features[N * D], p[N * K];
static double draw[N];

static double unit(uint64_t *x)
{
    *x = *x * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (double)(*x >> 33) / 2147483648.0;
}

static int set_up(void **state)
{
    (void)state;
    uint64_t x = 11, y = 12, z = 13;
    for (int i = 0; i < N * D; i++) features[i] = (float)unit(&x);
    for (int i = 0; i < N; i++) {
        double u[K] = {unit(&y), unit(&y), unit(&y)};
        for (int c = 0; c < K; c++) p[i * K + c] = (float)(u[c] / (u[0] + u[1] + u[2]));
    }
    for (int i = 0; i < 10; i++) draw[i] = unit(&z);
    return 0;
}

static rt_select_spec spec(rt_select_by by, uint64_t n)
{
    return (rt_select_spec){.by = by, .rows = N, .n = n, .classes = K, .width = D, .p = p, .h = features, .draw = draw,
                            .pool = 10};
}

static void choose(rt_selected *out, const rt_select_spec *s, const int *want)
{
    check_ok(rt_select(out, s));
    for (uint64_t i = 0; i < s->n && want; i++)
        if (out[i].row != (uint64_t)want[i])
            fail_msg("%s: choice %d is row %d, want %d", rt_select_names[s->by], (int)i, (int)out[i].row, want[i]);
}

static void uncertainties(void **state)
{
    (void)state;
    static const struct { rt_select_by by; const int *row; const double *score; } cases[] = {
        {RT_SELECT_ENTROPY, entropy_order, entropy_score}, {RT_SELECT_MARGIN, margin_order, margin_score},
        {RT_SELECT_LEAST_CONFIDENCE, least_order, least_score}};
    rt_selected out[N];
    for (int i = 0; i < 3; i++) {
        rt_select_spec s = spec(cases[i].by, 12);
        choose(out, &s, cases[i].row);
        for (int k = 0; k < 12; k++)
            if (!(fabs(out[k].score - cases[i].score[k]) < 1e-7))
                fail_msg("%s: score %g, want %g", rt_select_names[cases[i].by], out[k].score, cases[i].score[k]);
    }
}

static void core_sets(void **state)
{
    (void)state;
    rt_selected out[N];
    unsigned char labelled[N] = {1};
    rt_select_spec s = spec(RT_SELECT_K_CENTER, 6);
    s.labelled = labelled;
    s.p = NULL;
    choose(out, &s, core_set);
    assert_int_equal(out[0].near, 0);
    double dx = (double)features[19 * D] - (double)features[0], dy = (double)features[19 * D + 1] - (double)features[1];
    if (!(fabs(out[0].score - sqrt(dx * dx + dy * dy)) < 1e-12)) fail_msg("distance %g", out[0].score);
    for (int i = 1; i < 6; i++) assert_true(out[i].score <= out[i - 1].score);
    s.labelled = NULL;                                  /* the first is drawn: row 0.21.. * 40 */
    choose(out, &s, NULL);
    assert_int_equal(out[0].row, (uint64_t)(draw[0] * N));
    assert_true(out[0].near == RT_NO_NEAR);
    s = spec(RT_SELECT_MIX, 4);
    s.pool = 3;
    choose(out, &s, mix_rows);
}

static void gradients(void **state)
{
    (void)state;
    rt_selected out[N];
    rt_select_spec s = spec(RT_SELECT_BADGE, 10);
    choose(out, &s, badge_rows);
    s.h = NULL;
    choose(out, &s, badge_flat_rows);
    s.n = N;                                            /* all of them, each once */
    for (int i = 0; i < N; i++) draw[i] = (i * 7 % N) / (double)N;
    choose(out, &s, NULL);
    unsigned char seen[N] = {0};
    for (int i = 0; i < N; i++) assert_false(seen[out[i].row]++);
    uint64_t z = 13;
    for (int i = 0; i < 10; i++) draw[i] = unit(&z);
}

/* 40 rows five times over: no row is chosen twice, by any name, and never a copy of what has a label. */
static void copies(void **state)
{
    (void)state;
    enum { MANY = 5 * N };
    static float h[MANY * D], q[MANY * K];
    uint64_t group[MANY];
    unsigned char labelled[MANY] = {0};
    double numbers[MANY];
    for (int i = 0; i < MANY; i++) {
        group[i] = (uint64_t)(i % N);
        numbers[i] = (double)(i * 13 % MANY) / MANY;
        memcpy(h + i * D, features + i % N * D, D * sizeof *h);
        memcpy(q + i * K, p + i % N * K, K * sizeof *q);
    }
    labelled[3 * N + 5] = labelled[N + 5] = 1;          /* both copies of row 5 */
    for (int by = RT_SELECT_ENTROPY; by <= RT_SELECT_MIX; by++) {
        rt_selected out[MANY];
        unsigned char seen[N] = {0};
        rt_select_spec s = {.by = (rt_select_by)by, .rows = MANY, .n = N - 1, .classes = K, .width = D, .p = q, .h = h,
                            .group = group, .labelled = labelled, .draw = numbers, .pool = 10};
        choose(out, &s, NULL);
        for (int i = 0; i < N - 1; i++) {
            if (seen[out[i].row % N]++) fail_msg("%s: row %d again", rt_select_names[by], (int)out[i].row);
            assert_int_not_equal(out[i].row % N, 5);
        }
        s.n = N;
        check_fails(rt_select(out, &s), RT_NOTHING, "40 rows are asked for, and there are 39 different ones");
    }
    rt_selected out[12];
    rt_select_spec s = {.by = RT_SELECT_ENTROPY, .rows = MANY, .n = 12, .classes = K, .p = q, .group = group};
    choose(out, &s, entropy_order);                     /* the first of each */
}

/* Equal scores go by row; rows that are left out are never chosen. */
static void ties(void **state)
{
    (void)state;
    float same[6 * K], far[6] = {0, 1, 1, 1, 0, 1};
    unsigned char left_out[6] = {0, 1, 0, 0, 0, 0}, labelled[6] = {1, 0, 0, 0, 0, 0};
    static const int want[] = {2, 3, 4}, by_row[] = {2, 3, 4};
    rt_selected out[6];
    for (int i = 0; i < 6 * K; i++) same[i] = 1.0f / K;
    rt_select_spec s = {.by = RT_SELECT_MARGIN, .rows = 6, .n = 3, .classes = K, .width = 1, .p = same, .h = far,
                        .left_out = left_out, .labelled = labelled, .draw = draw, .pool = 1};
    choose(out, &s, by_row);
    s.by = RT_SELECT_K_CENTER;                          /* 2 is as far as 3 and 5; then all are at distance 0 */
    choose(out, &s, want);
    s.n = 5;
    check_fails(rt_select(out, &s), RT_NOTHING, "there are 4");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(uncertainties), cmocka_unit_test(core_sets),
                                       cmocka_unit_test(gradients), cmocka_unit_test(copies), cmocka_unit_test(ties)};
    return cmocka_run_group_tests(tests, set_up, NULL);
}
