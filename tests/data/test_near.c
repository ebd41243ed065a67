/* Neighbours: against scikit-learn's, against a plain search in double, for any number of threads, at any size of
 * blocks, and planted pairs by hashing, with what it says of its recall. */
#include "data/near.h"

#include <math.h>

#include "engine/dots.h"
#include "engine/rng.h"
#include "tests/data/near_reference.h"
#include "tests/support.h"

static rt_pool *pool;

static int set_up(void **s) { return (void)s, !(pool = rt_pool_new(3)); }
static int tear_down(void **s) { return (void)s, rt_pool_free(pool), 0; }

static float *normals(uint64_t n, uint64_t seed)
{
    float *x = malloc((n + 1) * sizeof *x);
    assert_non_null(x);
    rt_normal(x, n, seed, RT_RNG_TEST, 0);
    return x;
}

static rt_near_spec spec_of(const float *x, uint64_t rows, int width, int k)
{
    return (rt_near_spec){.x = x, .rows = rows, .others = rows, .width = width, .k = k, .within = INFINITY, .exact = 1,
                          .recall = 0.99, .tables = 32, .seed = 1};
}

static void scikit_learn(void **state)
{
    (void)state;
    for (size_t c = 0; c < sizeof near_cases / sizeof *near_cases; c++) {
        const near_case *q = &near_cases[c];
        int cosine = !strcmp(q->metric, "cosine");
        float *x = malloc((size_t)(q->rows * q->width) * sizeof *x);
        uint64_t state_of = (uint64_t)q->seed;
        for (int i = 0; i < q->rows * q->width; i++) {
            state_of = state_of * 6364136223846793005u + 1442695040888963407u;
            x[i] = (float)((double)(state_of >> 33) / 2147483648.0);
        }
        for (int r = 0; r < q->rows && cosine; r++) {
            double sum = 0;
            for (int i = 0; i < q->width; i++) sum += (double)x[r * q->width + i] * (double)x[r * q->width + i];
            for (int i = 0; i < q->width; i++) x[r * q->width + i] = (float)((double)x[r * q->width + i] / sqrt(sum));
        }
        rt_near_spec s = spec_of(x, (uint64_t)q->rows, q->width, q->k);
        rt_near n;
        check_ok(rt_near_find(&n, &s));
        for (int i = 0; i < q->rows * q->k; i++) {
            double d = cosine ? n.square[i] / 2 : sqrt(n.square[i]);
            if ((int)n.row[i] != q->row[i]) fail_msg("case %zu, place %d: row %u, not %d", c, i, n.row[i], q->row[i]);
            if (!(fabs(d - q->distance[i]) <= 2e-7 * (1 + q->distance[i])))
                fail_msg("case %zu, place %d: %.12g, not %.12g", c, i, d, q->distance[i]);
        }
        rt_near_free(&n);
        free(x);
    }
}

/* ---- a plain search ---- */

typedef struct { double d; uint32_t j; } pair;

static int by_distance(const void *a, const void *b)
{
    const pair *x = a, *y = b;
    if (x->d != y->d) return x->d < y->d ? -1 : 1;
    return x->j < y->j ? -1 : x->j > y->j;
}

static double plain_square(const float *a, const float *b, int width)
{
    long double sum = 0;
    for (int i = 0; i < width; i++)
        sum += ((long double)a[i] - (long double)b[i]) * ((long double)a[i] - (long double)b[i]);
    return (double)sum;
}

static void check_plain(const rt_near *n, const rt_near_spec *s, const char *what)
{
    const float *o = s->o ? s->o : s->x;
    pair *p = malloc((s->others + 1) * sizeof *p);
    for (uint64_t i = 0; i < s->rows; i++) {
        uint64_t m = 0;
        for (uint64_t j = 0; j < s->others; j++) {
            double d = plain_square(s->x + i * (uint64_t)s->width, o + j * (uint64_t)s->width, s->width);
            if ((!s->o && (i == j || (s->lower && j > i))) || d > s->within * s->within) continue;
            p[m++] = (pair){d, (uint32_t)j};
        }
        qsort(p, m, sizeof *p, by_distance);
        for (uint64_t a = 0; a < (uint64_t)s->k; a++) {
            uint32_t row = n->row[i * (uint64_t)s->k + a];
            double square = n->square[i * (uint64_t)s->k + a];
            if (a >= m) {
                if (row != RT_NEAR_NONE) fail_msg("%s: row %d has a neighbour too many", what, (int)i);
                continue;
            }
            if (row != p[a].j && !(fabs(square - p[a].d) <= 1e-12 * p[a].d))
                fail_msg("%s: row %d, place %d: %u, not %u", what, (int)i, (int)a, row, p[a].j);
            if (!(fabs(square - p[a].d) <= 1e-12 * p[a].d)) fail_msg("%s: %.15g, not %.15g", what, square, p[a].d);
        }
    }
    free(p);
}

/* Sizes around those of the blocks, far from the origin (where products say little), with copies and with ties. */
static void all_pairs(void **state)
{
    (void)state;
    static const struct { uint64_t rows, others; int width, k; double within, far; int lower; } cases[] = {
        {1, 0, 3, 1, INFINITY, 0, 0},       {2, 0, 1, 1, INFINITY, 0, 0},       {127, 0, 7, 3, INFINITY, 0, 0},
        {129, 0, 8, 256, INFINITY, 0, 0},   {1025, 0, 9, 5, INFINITY, 0, 0},    {300, 0, 16, 1, 4.5, 0, 1},
        {300, 1030, 17, 2, INFINITY, 0, 0}, {200, 100, 5, 1, 1.2, 0, 0},        {400, 0, 33, 3, INFINITY, 1000, 0},
        {400, 0, 4, 1, 0, 0, 1},            {500, 0, 2, 4, INFINITY, 30000, 0}, {257, 0, 70, 2, 10, 5, 1}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        uint64_t width = (uint64_t)cases[c].width, m = cases[c].others;
        float *x = normals(cases[c].rows * width, 10 + c), *o = m ? normals(m * width, 90 + c) : NULL;
        for (uint64_t i = 0; i < cases[c].rows * width; i++) x[i] += (float)cases[c].far;
        for (uint64_t r = 50; r < cases[c].rows; r += 37)
            memcpy(x + r * width, x + (r - 41) * width, width * sizeof *x);
        rt_near_spec s = spec_of(x, cases[c].rows, cases[c].width, cases[c].k);
        s.o = o;
        if (o) s.others = m;
        s.within = cases[c].within;
        s.lower = cases[c].lower;
        rt_near a, b;
        char what[40];
        snprintf(what, sizeof what, "case %zu", c);
        check_ok(rt_near_find(&a, &s));
        check_plain(&a, &s, what);
        s.pool = pool;
        check_ok(rt_near_find(&b, &s));
        assert_memory_equal(a.row, b.row, cases[c].rows * (uint64_t)s.k * sizeof *a.row);
        assert_memory_equal(a.square, b.square, cases[c].rows * (uint64_t)s.k * sizeof *a.square);
        uint64_t some[3] = {cases[c].rows - 1, 0, cases[c].rows / 2};
        rt_near few;
        if (!s.lower) {
            check_ok(rt_near_some(&few, &s, some, 3));
            for (int i = 0; i < 3 * s.k; i++)
                assert_int_equal(few.row[i], a.row[some[i / s.k] * (uint64_t)s.k + (uint64_t)(i % s.k)]);
            rt_near_free(&few);
        }
        rt_near_free(&a);
        rt_near_free(&b);
        free(x);
        free(o);
    }
}

/* What overflows in float is measured all the same. */
static void large_numbers(void **state)
{
    (void)state;
    float x[] = {3e38f, 1, 3e38f, 2, -3e38f, 0, 1e-30f, 0, 0, 0, 1, 0};
    rt_near_spec s = spec_of(x, 6, 2, 2);
    rt_near n;
    check_ok(rt_near_find(&n, &s));
    check_plain(&n, &s, "large numbers");
    assert_int_equal(n.row[0], 1);
    rt_near_free(&n);
    assert_true(rt_dots_error(1 << 30) == 1);
}

/* ---- hashing ---- */

enum { PLANTED = 400 };

/* Row 2 p of the list is a copy of row 2 p + 1 that is moved by `by` in a random direction; all are spread over x. */
static uint64_t *plant(float *x, uint64_t rows, int width, double by)
{
    uint64_t *place = malloc(2 * PLANTED * sizeof *place);
    float *move = normals(PLANTED * (uint64_t)width, 77);
    for (int p = 0; p < 2 * PLANTED; p++) place[p] = rt_permute((uint64_t)p, rows, 5, RT_RNG_TEST, 0, 0);
    for (int p = 0; p < PLANTED; p++) {
        const float *from = x + place[2 * p + 1] * (uint64_t)width;
        float *to = x + place[2 * p] * (uint64_t)width, *m = move + p * width;
        double length = 0;
        for (int i = 0; i < width; i++) length += (double)m[i] * (double)m[i];
        for (int i = 0; i < width; i++) to[i] = from[i] + (float)((double)m[i] * by / sqrt(length));
    }
    free(move);
    return place;
}

static int found_of(const rt_near *n, const uint64_t *place)
{
    int found = 0;
    for (int p = 0; p < PLANTED; p++) {
        uint64_t a = place[2 * p], b = place[2 * p + 1], high = a > b ? a : b, low = a > b ? b : a;
        found += n->row[high] == low;
    }
    return found;
}

/* Pairs as far apart as is asked for are found as often as the bound says; nearer ones more often; rows of a cloud, of
 * clusters, and far from the origin. */
static void planted_pairs(void **state)
{
    (void)state;
    const uint64_t rows = 20000;
    const int width = 32;
    for (int kind = 0; kind < 3; kind++) {
        float *x = normals(rows * (uint64_t)width, 3);
        for (uint64_t i = 0; i < rows * (uint64_t)width && kind; i++) {
            uint64_t r = i / (uint64_t)width;
            x[i] = kind == 1 ? x[i] * 0.3f + (float)((r * 7 + i % (uint64_t)width * r) % 11) : x[i] + 100;
        }
        double by = kind == 1 ? 0.3 : 1;
        uint64_t *place = plant(x, rows, width, by * (1 - 1e-4));
        rt_near_spec s = spec_of(x, rows, width, 1);
        rt_near hashed, one, all;
        s.within = by;
        s.lower = 1;
        s.exact = 0;
        check_ok(rt_near_find(&hashed, &s));
        assert_true(hashed.tables >= 1 && hashed.tables <= RT_NEAR_TABLES);
        if (!(hashed.bound >= 0.99 && hashed.bound <= 1)) fail_msg("kind %d: bound %.4f", kind, hashed.bound);
        int found = found_of(&hashed, place);
        if (found < PLANTED * 99 / 100) fail_msg("kind %d: %d of %d planted pairs", kind, found, PLANTED);
        s.pool = pool;
        check_ok(rt_near_find(&one, &s));
        assert_memory_equal(hashed.row, one.row, rows * sizeof *one.row);
        assert_memory_equal(hashed.square, one.square, rows * sizeof *one.square);
        s.exact = 1;
        check_ok(rt_near_find(&all, &s));
        assert_int_equal(found_of(&all, place), PLANTED);
        for (uint64_t r = 0; r < rows; r++)             /* never a wrong one */
            if (hashed.row[r] != RT_NEAR_NONE && !(hashed.square[r] >= all.square[r] && hashed.row[r] < r &&
                                                   hashed.square[r] <= s.within * s.within))
                fail_msg("kind %d: row %d", kind, (int)r);
        rt_near_free(&one);
        s.exact = 0;
        s.recall = 0.5;                                  /* fewer tables, and the bound holds */
        check_ok(rt_near_find(&one, &s));
        assert_true(one.tables < hashed.tables && one.bound >= 0.5);
        found = found_of(&one, place);
        if (found < (int)(PLANTED * (one.bound - 0.08)))
            fail_msg("kind %d: %d found, bound %.3f", kind, found, one.bound);
        rt_near_free(&one);
        s.seed = 2;
        check_ok(rt_near_find(&one, &s));
        assert_true(one.bound != hashed.bound);
        rt_near_free(&one);
        rt_near_free(&hashed);
        rt_near_free(&all);
        free(place);
        free(x);
    }
}

/* 200 rows each copied 5 times, and rows that are all equal: the first one stays, all others are found. */
static void copies(void **state)
{
    (void)state;
    const uint64_t rows = 6000;
    const int width = 10;
    float *x = normals(rows * (uint64_t)width, 6), *o = normals(300 * (uint64_t)width, 7);
    for (uint64_t r = 1000; r < 2000; r++)
        memcpy(x + r * (uint64_t)width, x + (r - 1000) / 5 * (uint64_t)width, sizeof *x * (size_t)width);
    memset(x + 3000 * (uint64_t)width, 0, sizeof *x * 3000 * (size_t)width);
    memcpy(o + 17 * (uint64_t)width, x + 2500 * (uint64_t)width, sizeof *x * (size_t)width);
    memset(o + 40 * (uint64_t)width, 0, sizeof *x * 3 * (size_t)width);
    for (int exact = 0; exact < 2; exact++) {
        rt_near_spec s = spec_of(x, rows, width, 1);
        rt_near n;
        s.exact = exact;
        s.within = 1e-6;
        s.lower = 1;
        check_ok(rt_near_find(&n, &s));
        for (uint64_t r = 0; r < rows; r++) {
            uint32_t want = r >= 1000 && r < 2000 ? (uint32_t)((r - 1000) / 5) : r > 3000 ? 3000 : RT_NEAR_NONE;
            if (n.row[r] != want)
                fail_msg("exact %d: row %d is a copy of %u, not of %u", exact, (int)r, n.row[r], want);
        }
        rt_near_free(&n);
        s.o = o;
        s.others = 300;
        s.lower = 0;
        check_ok(rt_near_find(&n, &s));
        for (uint64_t r = 0; r < rows; r++) {
            uint32_t want = r == 2500 ? 17 : r >= 3000 ? 40 : RT_NEAR_NONE;
            if (n.row[r] != want)
                fail_msg("exact %d: row %d is %u of the others, not %u", exact, (int)r, n.row[r], want);
        }
        rt_near_free(&n);
    }
    free(x);
    free(o);
}

/* More rows than are compared at once that no plane tells apart: each has a copy before it. */
static void a_crowd(void **state)
{
    (void)state;
    const uint64_t rows = 3000, from = 1200, crowd = 1000;
    const int width = 12;
    float *x = normals(rows * (uint64_t)width, 14);
    for (uint64_t i = from * (uint64_t)width; i < (from + crowd) * (uint64_t)width; i++) x[i] = 50 + x[i] * 1e-5f;
    rt_near_spec s = spec_of(x, rows, width, 1);
    rt_near n;
    s.exact = 0;
    s.within = 0.01;
    s.lower = 1;
    check_ok(rt_near_find(&n, &s));
    for (uint64_t r = 0; r < rows; r++) {
        int in = r > from && r < from + crowd;
        if ((n.row[r] != RT_NEAR_NONE) != in) fail_msg("row %d: %u", (int)r, n.row[r]);
        if (in) assert_true(n.row[r] >= from && n.row[r] < r);
    }
    rt_near_free(&n);
    free(x);
}

/* Neighbours by hashing: most are found, and those at the top of the mean distance are the same. */
static void hashed_neighbours(void **state)
{
    (void)state;
    const uint64_t rows = 8000;
    const int width = 16, k = 5;
    float *x = normals(rows * (uint64_t)width, 8);
    for (uint64_t i = 0; i < 10 * (uint64_t)width; i++) x[i] *= 6;      /* ten rows far out */
    rt_near_spec s = spec_of(x, rows, width, k);
    rt_near all, hashed;
    check_ok(rt_near_find(&all, &s));
    s.exact = 0;
    s.tables = 64;
    check_ok(rt_near_find(&hashed, &s));
    assert_int_equal(hashed.tables, 64);
    uint64_t hits = 0, far = 0;
    for (uint64_t r = 0; r < rows; r++) {
        double sum = 0;
        for (int a = 0; a < k; a++) {
            assert_true(hashed.row[r * (uint64_t)k + (uint64_t)a] != RT_NEAR_NONE);
            assert_true(hashed.square[r * (uint64_t)k + (uint64_t)a] >= all.square[r * (uint64_t)k + (uint64_t)a]);
            for (int b = 0; b < k; b++)
                hits += hashed.row[r * (uint64_t)k + (uint64_t)b] == all.row[r * (uint64_t)k + (uint64_t)a];
            sum += sqrt(hashed.square[r * (uint64_t)k + (uint64_t)a]);
        }
        far += sum / k > 10;
    }
    assert_int_equal(far, 10);
    if (hits < rows * (uint64_t)k * 8 / 10) fail_msg("%d of %d neighbours", (int)hits, (int)(rows * (uint64_t)k));
    rt_near_free(&all);
    rt_near_free(&hashed);
    free(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scikit_learn), cmocka_unit_test(all_pairs),         cmocka_unit_test(large_numbers),
        cmocka_unit_test(planted_pairs), cmocka_unit_test(copies), cmocka_unit_test(a_crowd),
        cmocka_unit_test(hashed_neighbours)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
