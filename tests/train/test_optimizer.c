/* Optimizers against their formulas in double over many steps; schedules at known points. */
#include "train/optimizer.h"
#include "tests/support.h"

enum { N = 37, STEPS = 50 };

static rt_graph *net(void)
{
    rt_graph *g = rt_graph_new();
    rt_shape_attr in = {.shape = {1, {N}}};
    rt_dense_attr dense = {.out = 1, .bias = 1};
    int t;
    check_ok(rt_graph_add(g, RT_OP_INPUT, "input", NULL, 0, &in, NULL, &t));
    check_ok(rt_graph_add(g, RT_OP_DENSE, "d", &t, 1, &dense, NULL, &t));
    rt_graph_seal(g);
    return g;
}

static void follow(rt_update_desc c)
{
    rt_graph *g = net();
    rt_pool *pool = rt_pool_new(2);
    float *w = calloc(g->floats[RT_PARAM], 4), *grad = calloc(g->floats[RT_PARAM], 4);
    double wd[N], m[N] = {0}, v[N] = {0}, ema[N];
    for (int i = 0; i < N; i++) ema[i] = wd[i] = w[i] = (float)sin(i);
    rt_updates *o;
    check_ok(rt_updates_new(&o, &c, g, pool));
    rt_update_buffers b = {w, calloc(g->floats[RT_PARAM], 4), calloc(g->floats[RT_PARAM], 4),
                           c.ema > 0 ? calloc(g->floats[RT_PARAM], 4) : NULL, grad};
    if (b.ema) memcpy(b.ema, w, g->floats[RT_PARAM] * 4);
    for (int s = 1; s <= STEPS; s++) {
        double norm = 0, scale = 0.5;
        for (int i = 0; i < N; i++) {
            grad[i] = (float)(cos(i * s) + wd[i]);
            norm += (double)grad[i] * grad[i];
        }
        grad[g->field[1].offset] = 2;
        norm = sqrt(norm + 4) * scale;
        double told = rt_updates_step(o, &b, (uint64_t)s, 0.01, 0.5);
        if (c.clip > 0 && norm > c.clip) scale *= c.clip / norm;
        double decay = fmin(c.ema, (1.0 + s) / (10.0 + s));
        check_close("decay", told, decay, 1e-6, 0);
        for (int i = 0; i < N; i++) {
            double d = grad[i] * scale;
            if (c.kind == RT_SGD) {
                d += c.weight_decay * wd[i];
                m[i] = c.momentum * m[i] + d;
                wd[i] -= 0.01 * (c.nesterov ? d + c.momentum * m[i] : m[i]);
            } else {
                m[i] = c.beta1 * m[i] + (1 - c.beta1) * d;
                v[i] = c.beta2 * v[i] + (1 - c.beta2) * d * d;
                wd[i] = wd[i] * (1 - 0.01 * c.weight_decay) -
                        0.01 * (m[i] / (1 - pow(c.beta1, s))) / (sqrt(v[i] / (1 - pow(c.beta2, s))) + c.eps);
            }
            ema[i] += (1 - decay) * (wd[i] - ema[i]);
            check_close("weight", w[i], wd[i], 2e-5, 2e-5);
            if (b.ema) check_close("ema", b.ema[i], ema[i], 2e-5, 2e-5);
        }
    }
    rt_updates_free(o);
    free(b.m);
    free(b.v);
    free(b.ema);
    rt_pool_free(pool);
    rt_graph_free(g);
    free(w);
    free(grad);
}

static void formulas(void **state)
{
    (void)state;
    follow((rt_update_desc){.kind = RT_SGD, .momentum = 0.9, .weight_decay = 0.01});
    follow((rt_update_desc){.kind = RT_SGD, .momentum = 0.9, .weight_decay = 0.01, .nesterov = 1, .ema = 0.99});
    follow((rt_update_desc){.kind = RT_SGD, .clip = 0.7});
    follow((rt_update_desc){
        .kind = RT_ADAMW, .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8, .weight_decay = 0.1, .ema = 0.9, .clip = 2});
}

/* Biases are not decayed unless asked: with a zero gradient they stay. */
static void decay_rule(void **state)
{
    (void)state;
    for (int all = 0; all < 2; all++) {
        rt_graph *g = net();
        rt_pool *pool = rt_pool_new(1);
        rt_update_desc c = {.kind = RT_SGD, .weight_decay = 0.1, .decay_all = all};
        rt_updates *o;
        float *m = calloc(g->floats[RT_PARAM], 4);
        float *w = calloc(g->floats[RT_PARAM], 4), *grad = calloc(g->floats[RT_PARAM], 4);
        w[0] = w[g->field[1].offset] = 1;
        check_ok(rt_updates_new(&o, &c, g, pool));
        rt_updates_step(o, &(rt_update_buffers){.w = w, .m = m, .g = grad}, 1, 1, 1);
        check_close("weight", w[0], 0.9, 1e-6, 0);
        check_close("bias", w[g->field[1].offset], all ? 0.9 : 1, 1e-6, 0);
        rt_updates_free(o);
        free(m);
        rt_pool_free(pool);
        rt_graph_free(g);
        free(w);
        free(grad);
    }
}

static void schedules(void **state)
{
    (void)state;
    rt_optimizer_config c = {.lr = 1, .schedule = RT_COSINE, .warmup = 2, .final_lr = 0.1};
    check_close("warm-up", rt_learning_rate(&c, 0, 100, 5), 0.1, 1e-12, 0);
    check_close("warm-up end", rt_learning_rate(&c, 9, 100, 5), 1, 1e-12, 0);
    check_close("cosine start", rt_learning_rate(&c, 10, 100, 5), 1, 1e-12, 0);
    check_close("cosine middle", rt_learning_rate(&c, 55, 100, 5), 0.55, 1e-12, 0);
    check_close("cosine end", rt_learning_rate(&c, 100, 100, 5), 0.1, 1e-12, 0);
    c = (rt_optimizer_config){.lr = 1, .schedule = RT_STEP, .milestone = {2, 4}, .milestones = 2, .step_gamma = 0.1};
    check_close("step", rt_learning_rate(&c, 9, 100, 5), 1, 1e-12, 0);
    check_close("step", rt_learning_rate(&c, 10, 100, 5), 0.1, 1e-12, 0);
    check_close("step", rt_learning_rate(&c, 20, 100, 5), 0.01, 1e-12, 0);
    c = (rt_optimizer_config){.lr = 1, .schedule = RT_ONE_CYCLE};
    check_close("one cycle", rt_learning_rate(&c, 0, 100, 5), 0.04, 1e-12, 0);
    check_close("one cycle", rt_learning_rate(&c, 30, 100, 5), 1, 1e-12, 0);
    check_close("one cycle", rt_learning_rate(&c, 100, 100, 5), 0, 1e-12, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(formulas), cmocka_unit_test(decay_rule),
                                       cmocka_unit_test(schedules)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
