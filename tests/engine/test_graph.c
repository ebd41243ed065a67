/* Graphs: first values have the spread that their paper gives; gradients are asked for once a tensor, not once a path;
 * shapes beyond an int are refused without overflow. */
#include <time.h>

#include "data/json.h"
#include "engine/graph.h"
#include "engine/plan.h"
#include "student/arch.h"
#include "tests/support.h"

static rt_status build(rt_graph **g, const char *text)
{
    cJSON *j;
    check_ok(rt_json_parse(&j, text, strlen(text), "test"));
    rt_status st = rt_arch_build(g, j, "test");
    cJSON_Delete(j);
    return st;
}

/* Mean 0 and deviation sqrt(2 / fan_in) (He et al. 2015, eq. 10), fan_in counted over a kernel's taps and a group's
 * channels. */
static void first_values_have_he_deviation(void **state)
{
    (void)state;
    static const struct { const char *text; double fan_in; } cases[] = {
        {"{\"input\":[300],\"classes\":64,\"layers\":[{\"op\":\"dense\",\"out\":64}]}", 300},
        {"{\"input\":[9,9,16],\"classes\":40,\"layers\":[{\"op\":\"conv2d\",\"out\":40,\"kernel\":3},"
         "{\"op\":\"global_avg_pool\"}]}", 144},
        {"{\"input\":[9,9,64],\"classes\":64,\"layers\":[{\"op\":\"conv2d\",\"out\":64,\"kernel\":[3,5],\"groups\":4},"
         "{\"op\":\"global_avg_pool\"}]}", 240},
        {"{\"input\":[40,20],\"classes\":40,\"layers\":[{\"op\":\"conv1d\",\"out\":40,\"kernel\":7},"
         "{\"op\":\"flatten\"},{\"op\":\"dense\",\"out\":40}]}", 140},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        rt_graph *g;
        check_ok(build(&g, cases[i].text));
        float *p = random_floats(g->floats[RT_PARAM], 1), *s = random_floats(g->floats[RT_STATE] + 1, 2);
        rt_graph_init(g, 5, p, s);
        const rt_field *f = &g->field[0];
        double sum = 0, square = 0, n = (double)f->count;
        for (size_t k = 0; k < f->count; k++) {
            sum += p[f->offset + k];
            square += (double)p[f->offset + k] * p[f->offset + k];
        }
        double want = sqrt(2 / cases[i].fan_in), got = sqrt(square / n);
        check_close("deviation", got / want, 1, 5 / sqrt(2 * n), 0);        /* five standard errors */
        check_close("mean", sum / n / want, 0, 5 / sqrt(n), 0);
        free(p);
        free(s);
        rt_graph_free(g);
    }
}

static void no_loss(void *arg, const rt_loss_io *io)
{
    (void)arg;
    for (int i = 0; i < io->rows * io->n; i++) io->grad[i] = 1;
    for (int r = 0; r < io->rows; r++) io->loss[r] = 0;
}

/* 60 additions of a tensor to itself: 2^60 paths to the input. */
static void gradients_are_asked_for_once(void **state)
{
    (void)state;
    rt_graph *g = rt_graph_new();
    int t = -1, first;
    char name[16];
    check_ok(rt_graph_add(g, RT_OP_INPUT, "x", NULL, 0, &(rt_shape_attr){.shape = {1, {4}}}, NULL, &t));
    first = t;
    for (int i = 0; i < 60; i++) {
        snprintf(name, sizeof name, "add%d", i);
        check_ok(rt_graph_add(g, RT_OP_ADD, name, (int[]){t, t}, 2, NULL, NULL, &t));
    }
    rt_graph_seal(g);
    assert_false(g->tensor[t].needs_grad);
    check_ok(rt_graph_add(g, RT_OP_DENSE, "dense", &t, 1, &(rt_dense_attr){.out = 3, .bias = 1}, NULL, &t));
    rt_graph_seal(g);
    assert_true(g->tensor[t].needs_grad);
    assert_false(g->tensor[first].needs_grad);
    rt_graph_set_output(g, t);
    rt_pool *pool = rt_pool_new(1);
    rt_plan_spec spec = {.graph = g, .batch = 4, .train = 1, .losses = 1, .loss = {{.tensor = t, .fn = no_loss}}};
    clock_t start = clock();
    rt_plan *p;
    check_ok(rt_plan_new(&p, &spec, pool));
    assert_true((double)(clock() - start) / CLOCKS_PER_SEC < 5);
    rt_plan_free(p);
    rt_pool_free(pool);
    rt_graph_free(g);
}

static void shapes_beyond_an_int_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{\"input\":[2048,2048,8],\"classes\":10,\"layers\":[{\"op\":\"conv2d\",\"out\":65536,\"kernel\":1024}]}",
        "{\"input\":[4096,65536],\"classes\":10,\"layers\":[{\"op\":\"conv1d\",\"out\":65536,\"kernel\":1024}]}",
        "{\"input\":[65536],\"classes\":10,\"layers\":[{\"op\":\"dense\",\"out\":65536}]}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        rt_graph *g = NULL;
        check_fails(build(&g, texts[i]), RT_USAGE, "too large");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_values_have_he_deviation),
        cmocka_unit_test(gradients_are_asked_for_once),
        cmocka_unit_test(shapes_beyond_an_int_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
