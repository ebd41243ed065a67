/* Ensembles of trees against a walk down each in double, for every test and aggregate, with NaN, infinities and zeros
 * of both signs among features and thresholds; and against rubbish in their constants. */
#include <float.h>

#include "engine/plan.h"
#include "tests/support.h"

enum { FEATURES = 5, TREES = 7, TARGETS = 3, MOST_NODES = 400, BATCH = 150 };
enum { ROOT, FEATURE, THRESHOLD, YES, NO, MISSING, VALUE, BASE, FIELDS };
static const char *const field_names[FIELDS] = {"root", "feature", "threshold", "yes",
                                                "no",   "missing", "value",     "base"};
enum { LEQ, LT, GTE, GT, EQ, NEQ, TESTS };
enum { SUM, MEAN, LEAST, MOST, AGGREGATES };

typedef struct { float *of[FIELDS]; int nodes, leaves; uint32_t at; } forest;

static int roll(forest *f, int n)
{
    uint32_t w[4];
    rt_random4(w, 3, 7, f->at++, 0, 0, 0);
    return (int)(w[0] % (uint32_t)n);
}

static const float odd[] = {0, -0.0f, 1, -1, 0.5f, INFINITY, -INFINITY, NAN, FLT_MIN, -FLT_MIN, 2, 3.0000002f, FLT_MAX};
static float odd_number(forest *f) { return odd[roll(f, sizeof odd / sizeof *odd)]; }

/* A node, or -1 - number of a leaf. */
static float grow(forest *f, int depth)
{
    if (depth == 0 || roll(f, 5) == 0 || f->nodes >= MOST_NODES) {
        for (int k = 0; k < TARGETS; k++)
            f->of[VALUE][f->leaves * TARGETS + k] = roll(f, 4) ? (float)(roll(f, 200) - 100) / 7 : NAN;
        return (float)(-1 - f->leaves++);
    }
    int i = f->nodes++;
    f->of[FEATURE][i] = (float)roll(f, FEATURES);
    do f->of[THRESHOLD][i] = odd_number(f);
    while (isnan(f->of[THRESHOLD][i]));
    f->of[MISSING][i] = (float)roll(f, 2);
    f->of[YES][i] = grow(f, depth - 1);
    f->of[NO][i] = grow(f, depth - 1);
    return (float)i;
}

static forest new_forest(uint32_t seed, int aggregate)
{
    static const size_t room[FIELDS] = {TREES, MOST_NODES, MOST_NODES, MOST_NODES, MOST_NODES, MOST_NODES,
                                        (MOST_NODES + TREES) * 2 * TARGETS, TARGETS};
    forest f = {.at = seed * 100000};
    for (int i = 0; i < FIELDS; i++) f.of[i] = calloc(room[i], sizeof(float));
    for (int t = 0; t < TREES; t++) f.of[ROOT][t] = grow(&f, t % 6);
    for (int k = 0; k < TARGETS; k++) f.of[BASE][k] = (float)k - 0.75f;
    for (int i = 0; i < f.leaves * TARGETS && aggregate < LEAST; i++) if (isnan(f.of[VALUE][i])) f.of[VALUE][i] = 0;
    return f;
}

static int holds(const forest *f, int i, float x, int test)
{
    float t = f->of[THRESHOLD][i];
    if (isnan(x)) return f->of[MISSING][i] > 0 || test == NEQ;
    switch (test) {
    case LEQ: return x <= t;
    case LT: return x < t;
    case GTE: return x >= t;
    case GT: return x > t;
    case EQ: return x >= t && x <= t;
    default: return x < t || x > t;
    }
}

static void walk(const forest *f, const float *x, int test, int aggregate, double y[TARGETS])
{
    int said[TARGETS] = {0};
    for (int k = 0; k < TARGETS; k++) y[k] = 0;
    for (int t = 0; t < TREES; t++) {
        int i = (int)f->of[ROOT][t];
        while (i >= 0) i = (int)f->of[holds(f, i, x[(int)f->of[FEATURE][i]], test) ? YES : NO][i];
        for (int k = 0; k < TARGETS; k++) {
            double v = f->of[VALUE][(-1 - i) * TARGETS + k];
            if (isnan(v)) continue;
            if (aggregate == SUM || aggregate == MEAN || !said[k]) y[k] += v;
            else y[k] = aggregate == LEAST ? fmin(y[k], v) : fmax(y[k], v);
            said[k] = 1;
        }
    }
    for (int k = 0; k < TARGETS; k++) {
        if (aggregate == MEAN) y[k] /= TREES;
        if (said[k] || aggregate == SUM || aggregate == MEAN) y[k] += (double)f->of[BASE][k];
    }
}

/* The answers of a plan for some of BATCH rows, at so many threads. */
static void run_graph(float *y, const forest *f, const rt_trees_attr *a, const float *x, int rows, int threads)
{
    rt_graph *g = rt_graph_new();
    int t;
    check_ok(rt_graph_add(g, RT_OP_INPUT, "x", NULL, 0, &(rt_shape_attr){.shape = {1, {FEATURES}}}, NULL, &t));
    check_ok(rt_graph_add(g, RT_OP_TREES, "t", &t, 1, a, NULL, &t));
    rt_graph_seal(g);
    const rt_node *n = &g->node[1];
    assert_int_equal(n->fields, FIELDS);
    for (int i = 0; i < FIELDS; i++) {
        assert_string_equal(g->field[n->field[i]].name + 2, field_names[i]);
        memcpy(rt_graph_constant_values(g, n->field[i]), f->of[i], g->field[n->field[i]].count * sizeof(float));
    }
    rt_pool *pool = rt_pool_new(threads);
    rt_plan *p;
    check_ok(rt_plan_new(&p, &(rt_plan_spec){.graph = g, .batch = BATCH}, pool));
    rt_run run = {.rows = rows, .x = {x}};
    rt_plan_prepare(p, &run);
    rt_plan_run(p, &run);
    memcpy(y, rt_plan_output(p, 0), (size_t)(rows * TARGETS) * sizeof *y);
    rt_plan_free(p);
    rt_pool_free(pool);
    rt_graph_free(g);
}

static void free_forest(forest *f) { for (int i = 0; i < FIELDS; i++) free(f->of[i]); }

static void answers(void **state)
{
    (void)state;
    float *y = malloc(BATCH * TARGETS * sizeof *y), *again = malloc(BATCH * TARGETS * sizeof *y),
          x[BATCH * FEATURES];
    int different = 0;
    for (int test = 0; test < TESTS; test++)
        for (int aggregate = 0; aggregate < AGGREGATES; aggregate++) {
            forest f = new_forest((uint32_t)(test * 10 + aggregate + 1), aggregate);
            rt_trees_attr a = {.trees = TREES, .nodes = f.nodes, .leaves = f.leaves, .out = TARGETS, .test = test,
                               .aggregate = aggregate};
            for (int i = 0; i < BATCH * FEATURES; i++) x[i] = odd_number(&f);
            run_graph(y, &f, &a, x, BATCH, 1);
            run_graph(again, &f, &a, x, BATCH, 3);
            assert_memory_equal(y, again, BATCH * TARGETS * sizeof *y);
            run_graph(again, &f, &a, x, 2, 1);              /* few rows go another way */
            assert_memory_equal(y, again, 2 * TARGETS * sizeof *y);
            for (int r = 0; r < BATCH; r++) {
                double want[TARGETS];
                char text[80];
                walk(&f, x + r * FEATURES, test, aggregate, want);
                snprintf(text, sizeof text, "test %d, aggregate %d, row %d", test, aggregate, r);
                for (int k = 0; k < TARGETS; k++) check_close(text, y[r * TARGETS + k], want[k], 1e-5, 1e-6);
                different += r && fabs(want[0] - (double)y[0]) > 1e-3;
            }
            free_forest(&f);
        }
    assert_true(different > TESTS * AGGREGATES * BATCH / 4);
    free(y);
    free(again);
}

/* Trees that are lines: a leaf beside each node, or, of the last, whose leaves are further away than is kept count of,
 * both ways to the next. */
static void lines(void **state)
{
    static const int length[TREES] = {1, 2, 3, 4, 9, 60, 300};
    (void)state;
    float *y = malloc(BATCH * TARGETS * sizeof *y), x[BATCH * FEATURES];
    forest f = new_forest(5, SUM);
    f.nodes = f.leaves = 0;
    for (int t = 0; t < TREES; t++) {
        f.of[ROOT][t] = (float)f.nodes;
        for (int i = 0; i < length[t]; i++, f.nodes++) {
            int last = i == length[t] - 1, n = f.nodes;
            f.of[FEATURE][n] = (float)roll(&f, FEATURES);
            f.of[THRESHOLD][n] = (float)roll(&f, 100) / 100;
            f.of[MISSING][n] = 0;
            f.of[NO][n] = last ? (float)(-1 - f.leaves++) : (float)(n + 1);
            f.of[YES][n] = last || t < TREES - 1 ? (float)(-1 - f.leaves++) : (float)(n + 1);
        }
    }
    for (int i = 0; i < f.leaves * TARGETS; i++) f.of[VALUE][i] = (float)(i % 97) / 7;
    for (int i = 0; i < BATCH * FEATURES; i++) x[i] = (float)roll(&f, 100) / 100;
    rt_trees_attr a = {.trees = TREES, .nodes = f.nodes, .leaves = f.leaves, .out = TARGETS};
    run_graph(y, &f, &a, x, BATCH, 1);
    for (int r = 0; r < BATCH; r++) {
        double want[TARGETS];
        walk(&f, x + r * FEATURES, LEQ, SUM, want);
        for (int k = 0; k < TARGETS; k++) check_close("a line", y[r * TARGETS + k], want[k], 1e-5, 1e-6);
    }
    free_forest(&f);
    free(y);
}

/* Whatever the constants hold, a plan ends, and reads nothing but its own. */
static void rubbish(void **state)
{
    (void)state;
    float y[BATCH * TARGETS], x[BATCH * FEATURES];
    for (uint32_t seed = 1; seed < 200; seed++) {
        forest f = new_forest(seed, SUM);
        if (!f.nodes) f.nodes = 1;
        for (int k = 0; k < 5; k++) {
            int field = roll(&f, MISSING + 1), n = field == ROOT ? TREES : f.nodes;
            f.of[field][roll(&f, n)] = roll(&f, 2) ? odd_number(&f) * 1e9f
                                                   : (float)(roll(&f, 2 * MOST_NODES) - MOST_NODES);
        }
        rt_trees_attr a = {.trees = TREES, .nodes = f.nodes, .leaves = f.leaves, .out = TARGETS};
        for (int i = 0; i < BATCH * FEATURES; i++) x[i] = odd_number(&f);
        run_graph(y, &f, &a, x, BATCH, 1);
        free_forest(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(answers), cmocka_unit_test(lines),
                                       cmocka_unit_test(rubbish)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
