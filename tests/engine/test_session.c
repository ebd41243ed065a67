/* Sessions: a whole step against its formula in double, over accumulations, with momentum and averages; what is kept; a
 * loss that is not finite changes no weights; inference follows the weights that it is given. */
#include "engine/session.h"
#include "tests/engine/session_step.h"
#include "tests/support.h"

enum { B = 6, D = 3 };

static rt_device *device;
static const float target[B] = {1, -1, 0.5f, 2, 0, -0.5f};

static int set_up(void **state)
{
    (void)state;
    device = rt_device_cpu(2);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    rt_device_close(device);
    return 0;
}

static rt_graph *net(int *out)
{
    rt_graph *g = rt_graph_new();
    rt_shape_attr in = {.shape = {1, {D}}};
    rt_dense_attr dense = {.out = 1};
    check_ok(rt_graph_add(g, RT_OP_INPUT, "input", NULL, 0, &in, NULL, out));
    check_ok(rt_graph_add(g, RT_OP_DENSE, "d", out, 1, &dense, NULL, out));
    rt_graph_seal(g);
    return g;
}

/* Mean over rows of (z - target)^2 / 2. */
static rt_loss_batch half_square(const float *from)
{
    return (rt_loss_batch){.config = {.task = RT_TASK_REAL, .hard_kind = RT_HARD_HUBER, .hard = 1, .delta = INFINITY},
                           .values = from};
}

static void data(float x[B * D]) { for (int i = 0; i < B * D; i++) x[i] = (float)((i * 7) % 11) / 5 - 1; }

/* `parts` steps of B / parts rows make an update. */
static void follow(int parts, double ema)
{
    int out, rows = B / parts;
    rt_loss_batch loss = half_square(target);
    float x[B * D];
    rt_graph *g = net(&out);
    rt_session *s;
    rt_update_desc u = {.kind = RT_SGD, .momentum = 0.9, .weight_decay = 0.01, .ema = ema};
    rt_session_spec spec = {.graph = g,
                            .batch = B,
                            .train = 1,
                            .losses = 1,
                            .update = &u,
                            .accumulates = parts > 1,
                            .keeps = 1,
                            .loss = {{.tensor = out, .batch = &loss}}};
    double w[D], m[D] = {0}, average[D];
    data(x);
    check_ok(rt_session_new(&s, &spec, device));
    float *own = rt_session_buffer(s, RT_B_PARAMS, NULL), *mean = rt_session_buffer(s, RT_B_EMA, NULL);
    assert_true((mean != NULL) == (ema > 0));
    assert_true((rt_session_buffer(s, RT_B_SUM, NULL) != NULL) == (parts > 1));
    assert_null(rt_session_buffer(s, RT_B_V, NULL));
    for (int i = 0; i < D; i++) average[i] = w[i] = own[i] = 0.3f * (float)(i + 1);
    if (mean) memcpy(mean, own, D * sizeof *own);
    for (int t = 1; t <= 20; t++) {
        double grad[D] = {0}, total = 0, told = 0, decay = fmin(ema, (1.0 + t) / (10.0 + t));
        for (int r = 0; r < B; r++) {
            double z = 0;
            for (int i = 0; i < D; i++) z += x[r * D + i] * w[i];
            for (int i = 0; i < D; i++) grad[i] += (z - target[r]) * x[r * D + i] / B;
            total += (z - target[r]) * (z - target[r]) / 2 / B;
        }
        for (int p = 0; p < parts; p++) {
            loss.values = target + p * rows;
            rt_step step = {.rows = rows,
                            .x = {x + p * rows * D},
                            .first = p == 0,
                            .last = p == parts - 1,
                            .summed = p + 1,
                            .lr = 0.1};
            rt_step_result got = session_step(s, &step);
            assert_false(got.bad);
            told += got.total / parts;
            if (!step.last) assert_true(rt_session_updates(s) == (uint64_t)t - 1);
        }
        check_close("loss", told, total, 1e-6, 1e-5);
        for (int i = 0; i < D; i++) {
            m[i] = 0.9 * m[i] + grad[i] + 0.01 * w[i];
            w[i] -= 0.1 * m[i];
            average[i] += (1 - decay) * (w[i] - average[i]);
            check_close("weight", own[i], w[i], 1e-5, 1e-5);
            if (ema > 0) check_close("average", mean[i], average[i], 1e-5, 1e-5);
        }
    }
    assert_true(rt_session_updates(s) == 20);
    assert_ptr_equal(rt_session_best(s, 0), ema > 0 ? mean : own);
    rt_session_keep(s);
    assert_memory_equal(rt_session_buffer(s, RT_B_BEST, NULL), ema > 0 ? mean : own, D * sizeof *own);
    rt_session_free(s);
    rt_graph_free(g);
}

static void steps(void **state)
{
    (void)state;
    follow(1, 0);
    follow(3, 0);
    follow(2, 0.9);
}

static void not_finite(void **state)
{
    (void)state;
    int out;
    rt_loss_batch loss = half_square(target);
    float x[B * D], before[D];
    char text[100];
    rt_graph *g = net(&out);
    rt_session *s;
    rt_update_desc u = {.kind = RT_SGD, .momentum = 0.9};
    rt_session_spec spec = {.graph = g, .batch = B, .train = 1, .losses = 1, .update = &u,
                            .loss = {{.tensor = out, .batch = &loss}}};
    data(x);
    check_ok(rt_session_new(&s, &spec, device));
    float *own = rt_session_buffer(s, RT_B_PARAMS, NULL);
    for (int i = 0; i < D; i++) before[i] = own[i] = 1;
    x[4] = INFINITY;
    rt_step step = {.rows = B, .x = {x}, .first = 1, .last = 1, .summed = 1, .lr = 0.1};
    rt_step_result got = session_step(s, &step);
    assert_true(got.bad && !isfinite(got.total));
    assert_true(rt_session_updates(s) == 0);
    assert_memory_equal(own, before, sizeof before);
    rt_session_find_bad(s, text, sizeof text);
    assert_string_equal(text, "first in the gradient of d.weight");
    own[1] = NAN;
    rt_session_find_bad(s, text, sizeof text);
    assert_string_equal(text, "first in the weights of d.weight");
    rt_session_free(s);
    rt_graph_free(g);
}

static void inference(void **state)
{
    (void)state;
    int out;
    float x[B * D], other[D] = {2, 0, -1};
    rt_graph *g = net(&out);
    rt_session *s;
    rt_session_spec spec = {.graph = g, .batch = B, .outputs = 1, .output = {out}};
    data(x);
    check_ok(rt_session_new(&s, &spec, device));
    float *own = rt_session_buffer(s, RT_B_PARAMS, NULL);
    assert_null(rt_session_buffer(s, RT_B_GRADS, NULL));
    for (int turn = 0; turn < 3; turn++) {
        const float *w = turn == 2 ? other : own;
        for (int i = 0; i < D; i++) own[i] = (float)(i + turn);
        rt_session_borrow(s, turn == 2 ? other : NULL, NULL);
        rt_session_infer(s, &(rt_step){.rows = B, .x = {x}});
        for (int r = 0; r < B; r++) {
            double z = 0;
            for (int i = 0; i < D; i++) z += x[r * D + i] * w[i];
            check_close("output", rt_session_output(s, 0)[r], z, 1e-6, 1e-6);
        }
    }
    rt_session_free(s);
    rt_graph_free(g);
}

/* A batch norm is folded into the layer before it once, and again when weights or statistics have changed. */
static void folded(void **state)
{
    (void)state;
    int out;
    float x[B * D];
    rt_graph *g = rt_graph_new();
    rt_shape_attr in = {.shape = {1, {D}}};
    rt_dense_attr dense = {.out = 1};
    rt_batch_norm_attr norm = {.momentum = 0.1f, .eps = 1e-3f};
    rt_session *s;
    data(x);
    check_ok(rt_graph_add(g, RT_OP_INPUT, "input", NULL, 0, &in, NULL, &out));
    check_ok(rt_graph_add(g, RT_OP_DENSE, "d", &out, 1, &dense, NULL, &out));
    check_ok(rt_graph_add(g, RT_OP_BATCH_NORM, "n", &out, 1, &norm, NULL, &out));
    rt_graph_seal(g);
    rt_session_spec spec = {.graph = g, .batch = B, .outputs = 1, .output = {out}};
    check_ok(rt_session_new(&s, &spec, device));
    float *own = rt_session_buffer(s, RT_B_PARAMS, NULL), *statistics = rt_session_buffer(s, RT_B_STATES, NULL);
    for (int turn = 0; turn < 3; turn++) {
        float value[] = {0.5f + (float)turn, -2.0f, 3.0f, 1.0f - (float)turn};         /* gamma, beta, mean, variance */
        for (int i = 0; i < D; i++) own[i] = (float)(i + 1);
        int at = rt_graph_next_field(g, RT_PARAM, -1);
        for (int i = 0; i < 2; i++) own[g->field[at = rt_graph_next_field(g, RT_PARAM, at)].offset] = value[i];
        at = -1;
        if (turn == 2) value[3] = 9;
        for (int i = 2; i < 4; i++) statistics[g->field[at = rt_graph_next_field(g, RT_STATE, at)].offset] = value[i];
        if (turn) rt_session_borrow(s, NULL, NULL);
        rt_session_infer(s, &(rt_step){.rows = B, .x = {x}});
        for (int r = 0; r < B; r++) {
            double z = 0;
            for (int i = 0; i < D; i++) z += x[r * D + i] * own[i];
            check_close("output", rt_session_output(s, 0)[r],
                        value[0] * (z - value[2]) / sqrt(value[3] + 1e-3) + value[1], 1e-5, 1e-5);
        }
    }
    rt_session_free(s);
    rt_graph_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(steps), cmocka_unit_test(not_finite),
                                       cmocka_unit_test(inference), cmocka_unit_test(folded)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
