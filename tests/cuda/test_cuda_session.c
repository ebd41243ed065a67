/* A card's session as a whole: steps that are queued, numbers that are not finite, rows that stay on the card, views,
 * memory that does not suffice, layers that cards lack, calls that fail; against the CPU's session. */
#include "engine/cuda/cuda_block.h"
#include "engine/schema.h"
#include "tests/cuda/cuda_scene.h"

enum { B = 6, D = 5, K = 3, STEPS = 9 };

#define SMALL "{\"input\": [5], \"classes\": 3, \"layers\": [{\"op\": \"dense\", \"out\": 7}, {\"op\": \"relu\"}, " \
              "{\"op\": \"dense\", \"out\": 3}]}"

static float x[STEPS][B * D];
static int32_t y[B] = {0, 1, 2, -1, 1, 0};
static rt_model *model;
static rt_device *card, *cpu;
static rt_loss_batch loss = {.config = {.hard = 1}, .y = y, .hard_scale = 1, .soft_scale = 1, .lambda = 1};
static rt_update_desc update = {.kind = RT_SGD, .momentum = 0.9, .ema = 0.5};

static rt_session_spec training(void)
{
    return (rt_session_spec){.graph = model->graph, .batch = B, .train = 1, .losses = 1, .update = &update, .keeps = 1,
                             .loss = {{.tensor = model->head[0].tensor, .batch = &loss}}};
}

static rt_session *begin(const rt_session_spec *spec, rt_device *device)
{
    rt_session *s;
    check_ok(rt_session_new(&s, spec, device));
    memcpy(rt_session_buffer(s, RT_B_PARAMS, NULL), model->params, model->graph->floats[RT_PARAM] * sizeof(float));
    if (rt_session_buffer(s, RT_B_EMA, NULL))
        memcpy(rt_session_buffer(s, RT_B_EMA, NULL), model->params, model->graph->floats[RT_PARAM] * sizeof(float));
    check_ok(rt_session_write(s, RT_B_ALL));
    return s;
}

static rt_step step_at(int t)
{
    return (rt_step){.rows = B, .x = {x[t]}, .epoch = 2, .step = (uint32_t)t, .first = 1, .last = 1, .summed = 1,
                     .lr = 0.1};
}

/* A block of many bytes is copied by threads, whole, and without room for partners that nobody asks for. */
static void packed(void **state)
{
    (void)state;
    enum { ROWS = 900, WIDE = 1250, FIRST = 7 };
    rt_model *m = scene_model("{\"input\": [1250], \"classes\": 2, \"layers\": [{\"op\": \"dense\", \"out\": 2}]}");
    rt_input_take(&m->input[0], RT_U8);
    rt_row_desc rows = rt_input_rows(&m->input[0]);
    rt_session_spec spec = {.graph = m->graph, .batch = ROWS, .rows = &rows};
    size_t room = rt_cuda_block_bytes(&spec, m->graph, WIDE), all = (size_t)ROWS * WIDE;
    unsigned char *raw = malloc(all + FIRST * WIDE);
    char *block = malloc(room);
    for (size_t i = 0; i < all + FIRST * WIDE; i++) raw[i] = (unsigned char)(i * 2654435761u >> 13);
    for (int threads = 0; threads < 4; threads++) {
        rt_pool *pool = threads ? rt_pool_new(threads) : NULL;
        memset(block, 0xaa, room);
        rt_feed feed = {.raw = raw, .first = FIRST, .rows = ROWS - threads};
        size_t there = (size_t)(ROWS - threads) * WIDE;
        size_t bytes = rt_cuda_block_pack(block, room, &spec, m->graph, &(rt_step){.rows = ROWS, .feed = &feed}, NULL,
                                          pool);
        const rt_cuda_now *now = (const rt_cuda_now *)(const void *)block;
        assert_in_range(bytes, there, there + sizeof *now + 64);
        assert_memory_equal(block + now->raw, raw + FIRST * WIDE, there);
        rt_pool_free(pool);
    }
    free(raw);
    free(block);
    rt_model_free(m);
}

/* What the CPU alone does is refused by name, before anything is taken and when a session is made. */
static void left_to_the_cpu(void **state)
{
    (void)state;
    rt_session_spec spec = training();
    rt_loss_batch focal = loss;
    rt_ask ask = {.tensor = model->head[0].tensor};
    rt_session *s;
    focal.focal.on = 1;
    spec.loss[0].batch = &focal;
    check_fails(rt_session_check(&spec, card), RT_USAGE, "loss.focal is computed by the CPU alone");
    check_fails(rt_session_new(&s, &spec, card), RT_USAGE, "loss.focal is computed by the CPU alone");
    spec = training();
    spec.losses = 0;
    spec.ask = &ask;
    check_fails(rt_session_check(&spec, card), RT_USAGE, "gradients of inputs");
    check_fails(rt_session_new(&s, &spec, card), RT_USAGE, "gradients of inputs");
    assert_null(s);
}

/* ---- queues ---- */

static void queued(void **state)
{
    (void)state;
    rt_session_spec spec = training();
    rt_session *a = begin(&spec, cpu), *b = begin(&spec, card);
    rt_step_result want[STEPS], got[STEPS];
    int n;
    for (int t = 0; t < STEPS; t++) {
        rt_step step = step_at(t);
        check_ok(rt_session_step(a, &step));
        check_ok(rt_session_results(a, 1, &want[t], 1, &n));
        check_ok(rt_session_step(b, &step));
    }
    assert_true(rt_session_updates(b) == STEPS);
    check_ok(rt_session_results(b, 1, got, 4, &n));
    assert_int_equal(n, 4);
    check_ok(rt_session_results(b, 1, got + 4, STEPS, &n));
    assert_int_equal(n, STEPS - 4);
    check_ok(rt_session_results(b, 1, got, STEPS, &n));
    assert_int_equal(n, 0);
    for (int t = 0; t < STEPS; t++) {
        assert_true(got[t].epoch == 2 && got[t].step == (uint32_t)t && !got[t].bad);
        check_close("loss", got[t].total, want[t].total, 1e-6, 1e-5);
        check_close("of the loss", got[t].loss[0], want[t].total, 1e-6, 1e-5);
    }
    check_ok(rt_session_keep(a));
    check_ok(rt_session_keep(b));
    check_ok(rt_session_read(b, RT_B_ALL));
    for (rt_buffer_id id = 0; id < RT_BUFFERS; id++) {
        size_t floats;
        const float *p = rt_session_buffer(a, id, &floats), *q = rt_session_buffer(b, id, NULL);
        assert_true(!p == !q);
        if (p && floats) scene_close("a buffer", q, p, floats, 1e-5);
    }
    rt_session_free(a);
    rt_session_free(b);
}

/* More than the queue holds: the oldest are no longer told, the rest in order. */
static void full_queue(void **state)
{
    (void)state;
    rt_session_spec spec = training();
    rt_session *s = begin(&spec, card);
    rt_step_result r[RT_QUEUE + 8];
    int n;
    for (uint32_t t = 0; t < RT_QUEUE + 5; t++) {
        rt_step step = step_at((int)t % STEPS);
        step.step = t;
        check_ok(rt_session_step(s, &step));
    }
    check_ok(rt_session_results(s, 1, r, RT_QUEUE + 8, &n));
    assert_int_equal(n, RT_QUEUE);
    for (int i = 0; i < n; i++) assert_int_equal(r[i].step, i + 5);
    rt_session_free(s);
}

/* ---- numbers that are not finite ---- */

static void diverged_in(int order)
{
    rt_emulated_order(order, 3);
    rt_session_spec spec = training();
    rt_session *good = begin(&spec, card), *s = begin(&spec, card);
    rt_step_result r[STEPS];
    char text[300];
    float before = x[3][4];
    int n;
    for (int t = 0; t < 3; t++) {
        rt_step step = step_at(t);
        check_ok(rt_session_step(good, &step));
    }
    x[3][4] = INFINITY;
    for (int t = 0; t < STEPS; t++) {
        rt_step step = step_at(t);
        check_ok(rt_session_step(s, &step));
    }
    x[3][4] = before;
    check_ok(rt_session_results(s, 1, r, STEPS, &n));
    assert_int_equal(n, STEPS);
    for (int t = 0; t < STEPS; t++) assert_int_equal(r[t].bad, t >= 3);
    assert_true(!isfinite(r[3].total) && isfinite(r[2].total) && r[3].step == 3);
    rt_session_find_bad(s, text, sizeof text);
    assert_string_equal(text, "first in the gradient of dense1.weight");
    check_ok(rt_session_read(s, RT_B_ALL));
    check_ok(rt_session_read(good, RT_B_ALL));
    size_t floats;
    const float *a = rt_session_buffer(good, RT_B_PARAMS, &floats);
    assert_memory_equal(a, rt_session_buffer(s, RT_B_PARAMS, NULL), floats * sizeof *a);
    a = rt_session_buffer(good, RT_B_M, &floats);
    assert_memory_equal(a, rt_session_buffer(s, RT_B_M, NULL), floats * sizeof *a);
    rt_session_free(s);
    rt_session_free(good);
    rt_emulated_order(RT_EMULATED_FORWARD, 0);
}

/* In every order of blocks: those that update find the trouble themselves, or the block that tells of it did before. */
static void diverged(void **state)
{
    (void)state;
    for (int order = RT_EMULATED_FORWARD; order <= RT_EMULATED_RANDOM; order++) diverged_in(order);
}

/* ---- rows of data ---- */

enum { ROWS = 24, SIDE = 5, CHANNELS = 2, PIXELS = SIDE * SIDE * CHANNELS };
#define IMAGE \
    "{\"input\": [5, 5, 2], \"classes\": 3, \"layers\": [{\"op\": \"flatten\"}, {\"op\": \"dense\", \"out\": 3}]}"

/* Epochs of a feed with views and mixtures; from the second on the card is shown other bytes, which it must not read
 * where it holds the rows. waits: for each step, so that none are launched together. */
static void feed_epochs(uint64_t data_rows, int spoil, int waits, rt_device *device, rt_model *m, float *params)
{
    static uint8_t raw[ROWS * PIXELS], spoilt[B * PIXELS];
    static const float mul[2] = {0.01f, 0.02f}, add[2] = {-100, -120};
    rt_row_desc rows = {.name = "x", .shape = m->graph->tensor[m->graph->input[0]].shape, .size = PIXELS, .type = RT_U8,
                        .bytes = PIXELS, .channels = 2, .mul = mul, .add = add};
    rt_view_desc view = {.flip = 1, .shift = 1, .erase = 0.5};
    for (int i = 0; i < ROWS * PIXELS; i++) raw[i] = (uint8_t)((i * 37 + i * i % 11) % 251);
    rt_session_spec spec = {.graph = m->graph, .batch = B, .train = 1, .losses = 1, .update = &update, .rows = &rows,
                            .data_rows = data_rows, .loss = {{.tensor = m->head[0].tensor, .batch = &loss}}};
    rt_session *s;
    check_ok(rt_session_new(&s, &spec, device));
    memcpy(rt_session_buffer(s, RT_B_PARAMS, NULL), m->params, m->graph->floats[RT_PARAM] * sizeof(float));
    check_ok(rt_session_write(s, RT_B_ALL));
    for (uint32_t epoch = 0; epoch < 3; epoch++)
        for (uint32_t t = 0; t < ROWS / B; t++) {
            uint64_t row[B];
            uint8_t batch[B * PIXELS];
            int partner[B];
            for (int i = 0; i < B; i++) {
                row[i] = (t * B + (uint32_t)i * 7 + epoch) % ROWS;
                partner[i] = B - 1 - i;
                memcpy(batch + i * PIXELS, raw + row[i] * PIXELS, PIXELS);
            }
            loss.partner = partner;
            loss.lambda = 0.7f;
            rt_feed feed = {.raw = spoil && epoch ? spoilt : batch, .rows = B, .row = row, .view = &view, .seed = 3,
                            .epoch = epoch, .partner = partner, .lambda = 0.7f};
            rt_step step = {.rows = B, .feed = &feed, .epoch = epoch, .step = t, .first = 1, .last = 1, .summed = 1,
                            .lr = 0.01};
            rt_step_result r;
            int n;
            check_ok(rt_session_step(s, &step));
            if (waits) check_ok(rt_session_results(s, 1, &r, 1, &n));
        }
    loss.partner = NULL;
    loss.lambda = 1;
    check_ok(rt_session_read(s, RT_B_WEIGHTS));
    memcpy(params, rt_session_buffer(s, RT_B_PARAMS, NULL), m->graph->floats[RT_PARAM] * sizeof(float));
    rt_session_free(s);
}

static void held_rows(void **state)
{
    (void)state;
    rt_model *m = scene_model(IMAGE);
    size_t n = m->graph->floats[RT_PARAM];
    float *want = malloc(n * sizeof *want), *sent = malloc(n * sizeof *sent), *held = malloc(n * sizeof *held);
    feed_epochs(0, 0, 1, cpu, m, want);
    feed_epochs(0, 0, 1, card, m, sent);
    scene_close("weights", sent, want, n, 1e-4);
    /* Steps that are launched together bring rows, and read those that others of them brought. */
    for (int turn = 0; turn < 8; turn++) {
        rt_emulated_order(turn < 4 ? RT_EMULATED_FORWARD : RT_EMULATED_REVERSE, 0);
        feed_epochs(ROWS, turn & 1, turn >> 1 & 1, card, m, held);      /* all rows came in the first epoch */
        assert_memory_equal(held, sent, n * sizeof *held);
    }
    rt_emulated_order(RT_EMULATED_FORWARD, 0);
    feed_epochs(0, 1, 1, card, m, held);
    assert_memory_not_equal(held, sent, n * sizeof *held);
    free(want);
    free(sent);
    free(held);
    rt_model_free(m);
}

/* ---- a row's bits, wherever it stands ---- */

static void any_place(void **state)
{
    (void)state;
    enum { MANY = 70 };
    float a[MANY * D], b[MANY * D], first[MANY * K];
    rt_session *s;
    rt_session_spec spec = {.graph = model->graph, .batch = MANY, .params = model->params, .states = model->states,
                            .outputs = 1, .output = {model->head[0].tensor}};
    for (int i = 0; i < MANY * D; i++) a[i] = scene_noise(50, (uint32_t)i);
    for (int r = 0; r < MANY; r++) memcpy(b + (r * 11 + 3) % MANY * D, a + r * D, D * sizeof *a);
    check_ok(rt_session_new(&s, &spec, card));
    check_ok(rt_session_infer(s, &(rt_step){.rows = MANY, .x = {a}}));
    memcpy(first, rt_session_output(s, 0), sizeof first);
    check_ok(rt_session_infer(s, &(rt_step){.rows = MANY, .x = {b}}));
    for (int r = 0; r < MANY; r++)
        assert_memory_equal(first + r * K, rt_session_output(s, 0) + (r * 11 + 3) % MANY * K, K * sizeof *first);
    model->params[0] += 1;                           /* not seen before it is told */
    check_ok(rt_session_infer(s, &(rt_step){.rows = MANY, .x = {a}}));
    assert_memory_equal(first, rt_session_output(s, 0), sizeof first);
    rt_session_borrow(s, NULL, NULL);
    check_ok(rt_session_infer(s, &(rt_step){.rows = MANY, .x = {a}}));
    assert_memory_not_equal(first, rt_session_output(s, 0), sizeof first);
    model->params[0] -= 1;
    rt_session_free(s);
}

/* ---- steps that are begun before the answers of others are taken ---- */

static void begun_ahead(void **state)
{
    (void)state;
    enum { MANY = 20, STEPS = 7 };
    float x[MANY * D], want[STEPS][MANY * K];
    rt_session *s;
    rt_session_spec spec = {.graph = model->graph, .batch = MANY, .params = model->params, .states = model->states,
                            .outputs = 1, .output = {model->head[0].tensor}};
    const rt_step step = {.rows = MANY, .x = {x}};
    check_ok(rt_session_new(&s, &spec, card));
    for (int t = 0; t < STEPS; t++) {
        for (int i = 0; i < MANY * D; i++) x[i] = scene_noise(60 + (uint64_t)t, (uint32_t)i);
        check_ok(rt_session_infer(s, &step));
        memcpy(want[t], rt_session_output(s, 0), sizeof want[t]);
    }
    for (int t = 0; t <= STEPS; t++) {
        /* its rows are taken at once: what comes after them in the same place is of the next step */
        for (int i = 0; i < MANY * D && t < STEPS; i++) x[i] = scene_noise(60 + (uint64_t)t, (uint32_t)i);
        if (t < STEPS) check_ok(rt_session_ahead(s, &step));
        if (!t) continue;
        check_ok(rt_session_infer(s, &step));
        assert_memory_equal(rt_session_output(s, 0), want[t - 1], sizeof want[0]);
    }
    for (int t = 0; t < 2; t++) check_ok(rt_session_ahead(s, &step));
    check_ok(rt_session_ahead(s, NULL));             /* forgotten */
    for (int i = 0; i < MANY * D; i++) x[i] = scene_noise(60, (uint32_t)i);
    check_ok(rt_session_infer(s, &step));
    assert_memory_equal(rt_session_output(s, 0), want[0], sizeof want[0]);
    rt_session_free(s);
}

/* ---- what is refused ---- */

static void lacking(void **state)
{
    (void)state;
    rt_model *m = scene_model(
        "{\"input\": [4, 6], \"classes\": 3, \"layers\": [{\"op\": \"lstm\", \"name\": \"memory\", "
        "\"out\": 5}, {\"op\": \"attention\", \"name\": \"look\", \"heads\": 1, "
        "\"from\": [\"memory\", \"memory\", \"memory\"]}, {\"op\": \"flatten\"}, "
        "{\"op\": \"dense\", \"out\": 3}]}");
    rt_session_spec spec = {.graph = m->graph, .batch = 2, .params = m->params, .states = m->states, .outputs = 1,
                            .output = {m->head[0].tensor}};
    rt_session *s;
    check_fails(rt_session_new(&s, &spec, card), RT_USAGE, "cards cannot compute these layers: memory (lstm), look "
                "(attention); use --device cpu");
    assert_null(s);
    rt_model_free(m);
}

/* Steps of a small net are launched eight at a time: to the bits of steps that are waited for one by one, whatever
 * comes between them, with a fraction of the calls; who asks for results again gets them. */
static void together(void **state)
{
    (void)state;
    enum { MANY = 41 };
    rt_session_spec spec = training();
    rt_session *a = begin(&spec, card), *b = begin(&spec, card);
    rt_step_result want[MANY], got[MANY];
    int n = 0, more;
    for (int t = 0; t < MANY; t++) {
        rt_step step = step_at(t % STEPS);
        if (t % 11 == 7) step.rows = B - 2;
        check_ok(rt_session_step(a, &step));
        check_ok(rt_session_results(a, 1, &want[t], 1, &more));
        check_ok(rt_session_step(b, &step));
        if (t == 12) check_ok(rt_session_read(b, 1u << RT_B_PARAMS));
        if (t == 22) check_ok(rt_session_keep(b));
        if (t == 30) check_ok(rt_session_keep(a));
    }
    while (n < MANY) {
        check_ok(rt_session_results(b, n > 5, got + n, MANY - n, &more));
        n += more;
    }
    for (int t = 0; t < MANY; t++) assert_true(got[t].step == want[t].step && got[t].total == want[t].total);
    for (int id = RT_B_PARAMS; id <= RT_B_EMA; id++) {
        size_t floats;
        if (!rt_session_buffer(a, id, &floats)) continue;
        float *x = scene_copy(a, id), *y = scene_copy(b, id);
        assert_memory_equal(x, y, floats * sizeof *x);
        free(x);
        free(y);
    }
    uint64_t calls = 0;
    for (int t = MANY; t < 64; t++) { /* blocks of a ring of 16 are launched from its begin or middle on */
        rt_step step = step_at(t % STEPS);
        if (t == 48) calls = rt_emulated_calls();
        check_ok(rt_session_step(b, &step));
    }
    if (calls)
        assert_in_range(rt_emulated_calls() - calls, 1,
                        16 + 2 * 9); /* the card's choice; copy, rows, their event; launch, its event */
    rt_step step = step_at(0);
    check_ok(rt_session_results(b, 1, got, MANY, &more));
    check_ok(rt_session_step(b, &step));
    check_ok(rt_session_results(b, 0, got, 1, &more));
    for (int tries = 0; !more && tries < 10000000; tries++) check_ok(rt_session_results(b, 0, got, 1, &more));
    assert_int_equal(more, 1);
    rt_session_free(a);
    rt_session_free(b);
}

static void set_memory(size_t bytes)
{
    char text[40];
    snprintf(text, sizeof text, "%zu", bytes);
    rt_device_close(card);
    if (bytes) setenv("RETORT_EMULATE_MEMORY", text, 1);
    else unsetenv("RETORT_EMULATE_MEMORY");
    rt_emulated_reset();
    check_ok(rt_device_open(&card, "cuda", 1));
}

static void too_little(void **state)
{
    (void)state;
    if (!rt_emulated_calls()) skip();                /* a real card's memory is what it is */
    rt_session_spec spec = training();
    rt_session *s;
    set_memory((size_t)40 << 20);
    spec.batch = 1 << 20;
    check_fails(rt_session_new(&s, &spec, card), RT_RUN, "out of device memory: a batch of 1048576 needs");
    const char *part = strstr(rt_error_message(), "a batch of ");
    part = strstr(part + 1, "a batch of ");
    assert_non_null(part);
    int fits = atoi(part + strlen("a batch of "));
    assert_in_range(fits, 100, 1 << 20);
    spec.batch = fits;
    check_ok(rt_session_new(&s, &spec, card));
    rt_session_free(s);
    spec.batch = fits + 1;
    check_fails(rt_session_new(&s, &spec, card), RT_RUN, "out of device memory");
    set_memory((size_t)1 << 20);
    spec.batch = B;
    check_fails(rt_session_new(&s, &spec, card), RT_RUN, "not even a batch of 1 would fit");
    assert_int_equal(rt_emulated_live(), 0);
    set_memory(0);
}

/* ---- calls that fail ---- */

/* Opens the card, makes a session, steps, reads, answers; the first failure. */
static rt_status whole(void)
{
    rt_device *own;
    rt_session *s = NULL;
    rt_session_spec spec = training();
    RT_TRY(rt_device_open(&own, "cuda", 1));
    rt_status st = rt_session_new(&s, &spec, own);
    for (int t = 0; t < 2 && !st; t++) {
        rt_step step = step_at(t);
        rt_step_result r;
        int n;
        st = rt_session_step(s, &step);
        if (!st) st = rt_session_results(s, 1, &r, 1, &n);
    }
    if (!st) st = rt_session_keep(s);
    if (!st) st = rt_session_read(s, RT_B_ALL);
    rt_session_free(s);
    rt_device_close(own);
    return st;
}

static void failing_calls(void **state)
{
    (void)state;
    char text[40];
    int failed = 0;
    if (!rt_emulated_calls()) skip();
    rt_device_close(card);
    rt_emulated_reset();
    check_ok(whole());
    uint64_t calls = rt_emulated_calls();
    assert_true(calls > 50);
    for (int lost = 0; lost < 2; lost++)
        for (uint64_t n = 1; n <= calls; n += lost ? 7 : 1) {
            snprintf(text, sizeof text, "%llu%s", (unsigned long long)n, lost ? ":lost" : "");
            setenv("RETORT_EMULATE_FAIL", text, 1);
            rt_emulated_reset();
            size_t before = rt_emulated_live();
            rt_status st = whole();
            if (st) {
                failed++;
                if (!strstr(rt_error_message(), "cuda:0") && !strstr(rt_error_message(), "cuBLASLt"))
                    fail_msg("call %llu: '%s'", (unsigned long long)n, rt_error_message());
            }
            unsetenv("RETORT_EMULATE_FAIL");
            if (!lost && rt_emulated_live() > before + 1) /* the call that fails may be one that gives something back */
                fail_msg("call %llu leaves %zu things: '%s'", (unsigned long long)n, rt_emulated_live() - before,
                         rt_error_message());
        }
    assert_true(failed > (int)calls / 2);
    rt_emulated_reset();
    check_ok(whole());
    check_ok(rt_device_open(&card, "cuda", 1));
}

static int set_up(void **state)
{
    (void)state;
    for (int t = 0; t < STEPS; t++)
        for (int i = 0; i < B * D; i++) x[t][i] = scene_noise(30 + (uint32_t)t, (uint32_t)i);
    model = scene_model(SMALL);
    cpu = rt_device_cpu(1);
    return !cpu || rt_device_open(&card, "cuda", 1);
}

static int tear_down(void **state)
{
    (void)state;
    rt_model_free(model);
    rt_device_close(card);
    rt_device_close(cpu);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packed),
        cmocka_unit_test(left_to_the_cpu), cmocka_unit_test(queued),       cmocka_unit_test(full_queue),
        cmocka_unit_test(together),        cmocka_unit_test(diverged),     cmocka_unit_test(held_rows),
        cmocka_unit_test(any_place),       cmocka_unit_test(begun_ahead),  cmocka_unit_test(lacking),
        cmocka_unit_test(too_little),      cmocka_unit_test(failing_calls)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
