/* Updates on cards against the CPU's: both optimizers, fields that are trained otherwise or not at all, clipping,
 * accumulation, averages; what stands still when a loss was not finite, and what is found then. In several orders of
 * threads, which give the same bits. */
#include "tests/cuda/step_block.h"

#include "engine/cuda/cuda_update.h"
#include "engine/graph.h"
#include "engine/update_blocks.h"

/* Layers of many sizes: d1 alone has more than a block of weights. */
static rt_graph *net(void)
{
    rt_graph *g = rt_graph_new();
    rt_shape_attr in = {.shape = {1, {301}}};
    static const int widths[] = {33, 3, 70, 1, 9};
    int t;
    check_ok(rt_graph_add(g, RT_OP_INPUT, "input", NULL, 0, &in, NULL, &t));
    for (int i = 0; i < 5; i++) {
        rt_dense_attr dense = {.out = widths[i], .bias = 1};
        char name[2][8];
        snprintf(name[0], sizeof name[0], "d%d", i + 1);
        snprintf(name[1], sizeof name[1], "n%d", i + 1);
        check_ok(rt_graph_add(g, RT_OP_DENSE, name[0], &t, 1, &dense, NULL, &t));
        if (i % 2) check_ok(rt_graph_add(g, RT_OP_BATCH_NORM, name[1], &t, 1, NULL, NULL, &t));
    }
    rt_graph_seal(g);
    return g;
}

static void tune(rt_graph *g)
{
    static const char *const frozen[] = {"d2"};
    check_ok(rt_graph_freeze(g, frozen, 1));
    check_ok(rt_graph_tune(g, "d3", &(rt_tuning){.lr_scale = 0.5f, .grad_scale = 2, .weight_decay = NAN, .low = NAN}));
    check_ok(rt_graph_tune(g, "d4", &(rt_tuning){.lr_scale = 1, .grad_scale = 1, .weight_decay = 0.3f, .low = 0.1f}));
    check_ok(rt_graph_tune(g, "d5.bias", &(rt_tuning){.lr_scale = 1, .grad_scale = 0.3f, .weight_decay = 0,
                                                      .low = 0.01f, .relative = 1}));
}

enum { W, M, V, EMA, SUM, STATE, EMA_STATE, G, BUFFERS };
typedef struct { float *at[BUFFERS]; size_t floats[BUFFERS]; } buffers;

static float number(size_t i, uint32_t lane)
{
    uint32_t r[4];
    rt_random4(r, 6, RT_RNG_TEST, 0, 0, (uint32_t)i, lane);
    return rt_unit(r[0]) * 2 - 1;
}

/* Values of the fields, zeros between them. */
static void spread(const rt_graph *g, float *to, int grads, uint32_t lane)
{
    for (int i = -1; (i = rt_graph_next_field(g, RT_PARAM, i)) >= 0;) {
        const rt_field *f = &g->field[i];
        if (grads && f->grad_at == RT_NOWHERE) continue;
        for (size_t k = 0; k < f->count; k++) to[(grads ? f->grad_at : f->offset) + k] = number(f->offset + k, lane);
    }
}

static buffers buffers_of(const rt_graph *g, const rt_update_desc *d, int accumulates)
{
    size_t p = g->floats[RT_PARAM], q = g->floats[RT_STATE], n = g->grad_floats;
    buffers b = {.floats = {p, n, d->kind == RT_ADAMW ? n : 0, d->ema > 0 ? p : 0, accumulates ? n : 0, q,
                            d->ema > 0 ? q : 0, n}};
    for (int i = 0; i < BUFFERS; i++) b.at[i] = b.floats[i] ? calloc(b.floats[i], sizeof(float)) : NULL;
    spread(g, b.at[W], 0, 100);
    if (b.at[EMA]) spread(g, b.at[EMA], 0, 101);
    for (size_t i = 0; i < q; i++) b.at[STATE][i] = number(i, 102);
    for (size_t i = 0; i < b.floats[EMA_STATE]; i++) b.at[EMA_STATE][i] = number(i, 103);
    return b;
}
static void buffers_end(buffers b) { for (int i = 0; i < BUFFERS; i++) free(b.at[i]); }
static int same(const buffers *a, const buffers *b)
{
    for (int i = 0; i < BUFFERS; i++)
        if (a->floats[i] && memcmp(a->at[i], b->at[i], a->floats[i] * sizeof(float))) return 0;
    return 1;
}

/* ---- a card's buffers ---- */

typedef struct { rt_cuda_update u; float *at[BUFFERS]; rt_update_block *block; int parts; } card;

static card card_of(const rt_graph *g, const rt_update_desc *d, const buffers *b, const rt_cuda_trouble *t)
{
    card c = {.parts = 0};
    check_ok(rt_update_blocks(&c.block, &c.u.blocks, d, g));
    unsigned ticket = 0;
    for (int i = 0; i < BUFFERS; i++) c.at[i] = b->floats[i] ? card_put(b->at[i], b->floats[i] * sizeof(float)) : NULL;
    c.u.block = card_put(c.block, (size_t)c.u.blocks * sizeof *c.block);
    c.u.adamw = d->kind == RT_ADAMW;
    c.u.nesterov = d->nesterov;
    c.u.momentum = (float)d->momentum;
    c.u.beta1 = (float)d->beta1, c.u.beta2 = (float)d->beta2, c.u.eps = (float)d->eps;
    c.u.clip = d->clip;
    c.u.params = b->floats[W], c.u.grads = b->floats[G], c.u.states = b->floats[STATE];
    c.u.w = c.at[W], c.u.ema = c.at[EMA], c.u.g = c.at[G], c.u.sum = c.at[SUM], c.u.m = c.at[M], c.u.v = c.at[V];
    c.u.state = c.at[STATE], c.u.ema_state = c.at[EMA_STATE];
    if (d->clip > 0) c.u.work = card_new(rt_cuda_update_work(c.u.blocks) * sizeof(double));
    c.u.ticket = card_put(&ticket, sizeof ticket);
    c.u.trouble = card_put(t, sizeof *t);
    return c;
}
static void card_end(card c)
{
    unsigned ticket;
    card_get(&ticket, c.u.ticket, sizeof ticket);
    assert_int_equal(ticket, 0);
    for (int i = 0; i < BUFFERS; i++) card_ok(cudaFree(c.at[i]));
    void *all[] = {(void *)c.u.block, c.u.work, c.u.ticket, c.u.trouble};
    for (size_t i = 0; i < 4; i++) card_ok(cudaFree(all[i]));
    free(c.block);
}

typedef struct { int first, last, summed; uint64_t update; double lr; } turn;

static void card_step(card *c, const rt_update_desc *d, const buffers *b, uint64_t number, const turn *now, double ema)
{
    step_block s = block_new(number, 1);
    void *ring;
    double t = (double)now->update;
    s.now.first = now->first, s.now.last = now->last;
    s.now.lr = now->lr, s.now.grad_scale = 1.0 / now->summed;
    s.now.bias1 = (float)(1 - pow(d->beta1, t)), s.now.bias2 = (float)(1 - pow(d->beta2, t));
    s.now.ema = (float)ema;
    rt_cuda_now *record = block_send(&s, &ring);
    card_ok(cudaMemcpy(c->at[G], b->at[G], b->floats[G] * sizeof(float), cudaMemcpyHostToDevice));
    if (b->floats[STATE])
        card_ok(cudaMemcpy(c->at[STATE], b->at[STATE], b->floats[STATE] * sizeof(float), cudaMemcpyHostToDevice));
    c->u.now = record;
    rt_k_update(0, &c->u);
    card_ok(cudaDeviceSynchronize());
    card_ok(cudaFree(record));
    card_ok(cudaFree(ring));
}
static void card_read(const card *c, buffers *b)
{
    for (int i = 0; i < BUFFERS; i++) if (b->floats[i]) card_get(b->at[i], c->at[i], b->floats[i] * sizeof(float));
}

/* ---- the CPU's ---- */

static double cpu_step(rt_updates *u, buffers *b, const turn *now)
{
    float *g = b->at[G];
    if (b->at[SUM]) {
        for (size_t i = 0; i < b->floats[SUM]; i++) b->at[SUM][i] = now->first ? g[i] : b->at[SUM][i] + g[i];
        g = b->at[SUM];
    }
    if (!now->last) return 0;
    rt_update_buffers at = {b->at[W], b->at[M], b->at[V], b->at[EMA], g};
    double ema = rt_updates_step(u, &at, now->update, now->lr, 1.0 / now->summed);
    for (size_t i = 0; i < b->floats[EMA_STATE]; i++)
        b->at[EMA_STATE][i] += (1.0f - (float)ema) * (b->at[STATE][i] - b->at[EMA_STATE][i]);
    return ema;
}

enum { STEPS = 7 };

/* Steps on both. accumulate: steps in an update. */
static void follow(const rt_graph *g, rt_update_desc d, int accumulate)
{
    static const rt_cuda_trouble none = {0, ~0ull, ~0ull};
    rt_pool *pool = rt_pool_new(1);
    buffers first = {.floats = {0}};
    for (int order = 0; order < ORDERS; order++) {
        buffers b = buffers_of(g, &d, accumulate > 1), got = buffers_of(g, &d, accumulate > 1);
        rt_updates *u;
        check_ok(rt_updates_new(&u, &d, g, pool));
        card c = card_of(g, &d, &b, &none);
        in_order(order);
        for (int s = 0; s < STEPS; s++) {
            int at = s % accumulate;
            turn now = {at == 0, at == accumulate - 1 || s == STEPS - 1, at + 1, (uint64_t)(s / accumulate) + 1,
                        0.1 / (s + 1)};
            spread(g, b.at[G], 1, 200 + (uint32_t)s);
            for (size_t i = 0; i < b.floats[STATE]; i++) b.at[STATE][i] = number(i, 300 + (uint32_t)s);
            double ema = cpu_step(u, &b, &now);
            card_step(&c, &d, &b, (uint64_t)s + 1, &now, ema);
        }
        in_order(0);
        card_read(&c, &got);
        for (int i = 0; i < BUFFERS; i++)
            for (size_t k = 0; k < b.floats[i]; k++) check_close("buffer", got.at[i][k], b.at[i][k], 1e-6, 2e-6);
        if (order) assert_true(same(&first, &got));
        if (order) buffers_end(got);
        else first = got;
        rt_updates_free(u);
        card_end(c);
        buffers_end(b);
    }
    buffers_end(first);
    rt_pool_free(pool);
}

static const rt_update_desc adamw = {.kind = RT_ADAMW, .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-3, .weight_decay = 0.1};

static void as_on_the_cpu(void **state)
{
    (void)state;
    for (int tuned = 0; tuned < 2; tuned++) {
        rt_graph *g = net();
        if (tuned) tune(g);
        for (int way = 0; way < 12; way++) {
            rt_update_desc d = way % 3 == 2 ? adamw
                                            : (rt_update_desc){.kind = RT_SGD, .momentum = 0.9, .weight_decay = 0.01,
                                                               .nesterov = way % 3};
            d.ema = way & 4 ? 0.6 : 0;
            d.clip = way > 5 ? way % 2 ? 3 : 1e4 : 0;
            d.decay_all = way == 7;
            follow(g, d, 1 + way % 4);
        }
        rt_graph_free(g);
    }
}

/* Nothing is trained: averages of weights stay, those of states follow. */
static void nothing_to_train(void **state)
{
    (void)state;
    static const char *const all[] = {"*"};
    rt_graph *g = net();
    check_ok(rt_graph_freeze(g, all, 1));
    assert_true(g->grad_floats == 0);
    follow(g, (rt_update_desc){.kind = RT_SGD, .ema = 0.5, .clip = 1}, 1);
    follow(g, (rt_update_desc){.kind = RT_SGD}, 2);
    rt_graph_free(g);
}

/* Once a loss was not finite nothing moves; the step that met it tells where the first such numbers are. */
static void stands_still(void **state)
{
    (void)state;
    rt_graph *g = net();
    tune(g);
    size_t n = g->grad_floats, p = g->floats[RT_PARAM];
    const struct { size_t weight[2], grad[2]; } places[] = {
        {{RT_NOWHERE, RT_NOWHERE}, {RT_NOWHERE, RT_NOWHERE}},
        {{0, p - 1}, {n - 16, 17}},
        {{p - 16, RT_NOWHERE}, {RT_NOWHERE, RT_NOWHERE}},
        {{9000, 8999}, {n / 2, n / 2 + 1}},
    };
    for (int way = 0; way < 32; way++) {
        rt_update_desc d = way & 4 ? adamw : (rt_update_desc){.kind = RT_SGD, .momentum = 0.9};
        d.clip = way & 8 ? 1 : 0;
        d.ema = 0.5;
        buffers b = buffers_of(g, &d, way & 16), got = buffers_of(g, &d, way & 16);
        spread(g, b.at[G], 1, 400);
        unsigned long long weight = ~0ull, gradient = ~0ull;
        for (int i = 0; i < 2; i++) {
            size_t w = places[way % 4].weight[i], q = places[way % 4].grad[i];
            if (w != RT_NOWHERE) b.at[W][w] = i ? NAN : -INFINITY;
            if (q != RT_NOWHERE) b.at[G][q] = i ? INFINITY : NAN;
            if (w < weight) weight = w;
            if (q < gradient) gradient = q;
        }
        in_order(way % ORDERS);
        for (uint64_t bad = 4; bad < 6; bad++) {      /* in step 5: of the step before, and of itself */
            rt_cuda_trouble t = {bad, ~0ull, ~0ull};
            card c = card_of(g, &d, &b, &t);
            card_step(&c, &d, &b, 5, &(turn){1, 1, 1, 3, 0.1}, 0.5);
            card_read(&c, &got);
            assert_true(same(&b, &got));
            card_get(&t, c.u.trouble, sizeof t);
            assert_true(t.bad == bad);
            assert_true(t.weight == (bad == 5 ? weight : ~0ull));
            assert_true(t.gradient == (bad == 5 ? gradient : ~0ull));
            card_end(c);
        }
        in_order(0);
        buffers_end(b);
        buffers_end(got);
    }
    rt_graph_free(g);
}

/* A gradient that is not finite beside a finite loss is not hidden by clipping. */
static void clipping_hides_nothing(void **state)
{
    (void)state;
    static const rt_cuda_trouble none = {0, ~0ull, ~0ull};
    rt_graph *g = net();
    rt_update_desc d = {.kind = RT_SGD, .clip = 1};
    for (int i = 0; i < 2; i++) {
        buffers b = buffers_of(g, &d, 0), got = buffers_of(g, &d, 0);
        spread(g, b.at[G], 1, 500);
        b.at[G][3] = i ? NAN : INFINITY;
        card c = card_of(g, &d, &b, &none);
        card_step(&c, &d, &b, 1, &(turn){1, 1, 1, 1, 0.1}, 0);
        card_read(&c, &got);
        assert_false(isfinite(got.at[W][3]));
        card_end(c);
        buffers_end(b);
        buffers_end(got);
    }
    rt_graph_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_on_the_cpu), cmocka_unit_test(nothing_to_train), cmocka_unit_test(stands_still),
        cmocka_unit_test(clipping_hides_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
