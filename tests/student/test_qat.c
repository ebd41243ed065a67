/* Quantization-aware training steps: LIVE ones against PyTorch; FROZEN ones are the integer program, and their
 * gradients those that the same values have in float. */
#include "engine/session.h"
#include "student/arch.h"
#include "student/qat_model.h"
#include "tests/engine/session_step.h"
#include "tests/student/program_scene.h"
#include "tests/student/qat_reference.h"

static int field_of(const rt_graph *g, const char *name)
{
    for (int i = 0; i < g->fields; i++) if (!strcmp(g->field[i].name, name)) return i;
    fail_msg("no field %s", name);
    return -1;
}

static rt_graph *copy_of(const rt_model *m)
{
    rt_graph *g;
    cJSON *arch = cJSON_Duplicate(m->arch, 1);
    check_ok(rt_arch_build(&g, arch, "model"));
    cJSON_Delete(arch);
    return g;
}

/* ---- LIVE ---- */

enum { BATCH = 6, STEPS = 3 };
typedef struct { const char *name; int bits, learn; } layer_case;
typedef struct {
    const char *arch;
    layer_case layer[4];
    const char *range[5];            /* layers that have one */
    const double *x, *loss;
    const field_case *fields;
    int bytes;
} live_case;

static const live_case live_cases[] = {
    {"{\"input\":[4,4,2],\"classes\":3,\"layers\":["
     "{\"name\":\"conv2d1\",\"op\":\"conv2d\",\"out\":4,\"kernel\":3,\"padding\":1,\"bias\":false},"
     "{\"name\":\"batch_norm2\",\"op\":\"batch_norm\"},{\"name\":\"relu3\",\"op\":\"relu\"},"
     "{\"name\":\"conv2d4\",\"op\":\"conv2d\",\"out\":4,\"kernel\":3,\"padding\":1},"
     "{\"name\":\"add5\",\"op\":\"add\",\"from\":[\"conv2d4\",\"relu3\"]},{\"name\":\"relu6_6\",\"op\":\"relu6\"},"
     "{\"op\":\"max_pool\",\"kernel\":2},{\"op\":\"flatten\"},{\"name\":\"dense8\",\"op\":\"dense\",\"out\":3}]}",
     {{"conv2d1", 8, 0}, {"conv2d4", 4, 1}, {"dense8", 8, 0}}, {"input", "relu3", "conv2d4", "relu6_6"},
     image_x, image_loss, image_fields, 0},
    {"{\"input\":[5],\"classes\":3,\"layers\":[{\"name\":\"dense1\",\"op\":\"dense\",\"out\":6},"
     "{\"name\":\"gelu2\",\"op\":\"gelu\"},{\"name\":\"dense3\",\"op\":\"dense\",\"out\":6},"
     "{\"name\":\"relu3\",\"op\":\"relu\"},"
     "{\"name\":\"multiply4\",\"op\":\"multiply\",\"from\":[\"gelu2\",\"relu3\"]},"
     "{\"name\":\"dense5\",\"op\":\"dense\",\"out\":3}]}",
     {{"dense1", 7, 0}, {"dense3", 5, 1}, {"dense5", 6, 0}}, {"input", "dense1", "gelu2", "relu3", "multiply4"},
     table_x, table_loss, table_fields, 0},
    {"{\"input\":[3,3,3],\"classes\":3,\"layers\":[{\"name\":\"conv2d1\",\"op\":\"conv2d\",\"out\":4,\"kernel\":2},"
     "{\"name\":\"relu2\",\"op\":\"relu\"},{\"name\":\"global_avg_pool3\",\"op\":\"global_avg_pool\"},"
     "{\"name\":\"dense4\",\"op\":\"dense\",\"out\":3}]}",
     {{"conv2d1", 4, 0}, {"dense4", 8, 0}}, {"relu2", "global_avg_pool3"},
     pictures_x, pictures_loss, pictures_fields, 1}};

static void quantize(rt_graph *g, const live_case *c)
{
    int *bits = calloc((size_t)g->nodes, sizeof *bits);
    char *learn = calloc((size_t)g->nodes, 1), *range = calloc((size_t)g->tensors, 1);
    for (int i = 0; i < g->nodes; i++) {
        for (const layer_case *l = c->layer; l < c->layer + 4 && l->name; l++)
            if (!strcmp(g->node[i].name, l->name)) {
                bits[i] = l->bits;
                learn[i] = (char)l->learn;
            }
        for (int k = 0; k < 5 && c->range[k]; k++)
            if (!strcmp(g->node[i].name, c->range[k])) range[g->node[i].out] = 1;
    }
    check_ok(rt_graph_quantize(g, &(rt_quantize_spec){.bytes = c->bytes, .bits = bits, .range = range,
                                                      .learn = learn}));
    free(bits);
    free(learn);
    free(range);
}

/* Values of parameters and states by name, to and from buffers. */
static float *place(const rt_graph *g, const char *name, float *params, float *states, size_t *count)
{
    const rt_field *f = &g->field[field_of(g, name)];
    *count = f->count;
    return (f->home == RT_PARAM ? params : states) + f->offset;
}

static void live_steps_are_those_of_pytorch(void **state)
{
    static const float mul[3] = {1 / 60.0f, 1 / 73.0f, 1 / 52.0f}, add[3] = {-90, -90.4f, -89.7f};
    static const int32_t y[BATCH] = {0, 2, 1, 0, 2, 1};
    (void)state;
    for (const live_case *c = live_cases; c < live_cases + sizeof live_cases / sizeof *live_cases; c++) {
        rt_model *m;
        cJSON *arch;
        check_ok(rt_json_parse(&arch, c->arch, strlen(c->arch), "arch"));
        check_ok(rt_model_new(&m, arch, 1));
        cJSON_Delete(arch);
        rt_graph *g = copy_of(m);
        quantize(g, c);
        float factor[3];
        for (int k = 0; k < 3; k++) factor[k] = mul[k] / mul[2];
        rt_qat qat = {.mode = RT_QAT_LIVE, .follow = 1, .momentum = 0.01f};
        if (c->bytes) {
            qat.mul = mul;
            qat.add = add;
            qat.channels = 3;
            qat.factor = factor;
        }
        size_t size = m->input[0].size, n;
        float *x = malloc(size * BATCH * sizeof *x);
        for (size_t i = 0; i < size * BATCH; i++)
            x[i] = c->bytes ? ((float)c->x[i] + add[i % 3]) * mul[i % 3] : (float)c->x[i];
        rt_loss_batch loss = {.config = {.task = RT_TASK_CLASSES, .hard = 1}, .y = y, .hard_scale = 1};
        rt_update_desc update = {.kind = RT_SGD, .momentum = 0.9};
        rt_session_spec spec = {.graph = g, .batch = BATCH, .train = 1, .losses = 1, .qat = &qat, .update = &update,
                                .loss = {{.tensor = m->head[0].tensor, .batch = &loss}}};
        rt_session *s;
        check_ok(rt_session_new(&s, &spec, device));
        float *params = rt_session_buffer(s, RT_B_PARAMS, NULL), *states = rt_session_buffer(s, RT_B_STATES, NULL);
        for (const field_case *f = c->fields; f->name; f++) {
            float *to = place(g, f->name, params, states, &n);
            for (size_t i = 0; i < n; i++) to[i] = (float)f->before[i];
        }
        for (int t = 0; t < STEPS; t++) {
            rt_step step = {.rows = BATCH, .x = {x}, .first = 1, .last = 1, .summed = 1, .lr = 0.05};
            rt_step_result got = session_step(s, &step);
            assert_false(got.bad);
            check_close("loss", got.total, c->loss[t], 1e-6, 2e-6);
        }
        for (const field_case *f = c->fields; f->name; f++) {
            const float *is = place(g, f->name, params, states, &n);
            for (size_t i = 0; i < n; i++) check_close(f->name, is[i], f->after[i], 4e-6, 2e-5);
        }
        rt_session_free(s);
        rt_graph_free(g);
        rt_model_free(m);
        free(x);
    }
}

/* ---- FROZEN ---- */

/* What a session of the scene's graph needs, with the mean square of each head as loss; by the program, or in float. */
typedef struct {
    rt_model_qat of;
    rt_loss_batch loss;
    float *zeros;
    rt_update_desc update;
    rt_session *s;
} frozen;

static void begin(frozen *f, const scene *of, int program, int bytes, rt_device *threads)
{
    const rt_model *m = of->m;
    *f = (frozen){.update = {.kind = RT_SGD, .momentum = 0.9}};
    check_ok(rt_model_qat_begin(&f->of, m, bytes));
    f->of.qat.mode = RT_QAT_FROZEN;
    f->of.qat.follow = 1;
    if (program) check_ok(rt_model_qat_freeze(&f->of, m));
    f->zeros = calloc((size_t)ROWS * 16, sizeof *f->zeros);
    f->loss = (rt_loss_batch){.config = {.task = RT_TASK_REAL, .hard_kind = RT_HARD_HINT, .hard = 1},
                              .values = f->zeros};
    rt_session_spec spec = {.graph = m->graph, .batch = ROWS, .train = 1, .qat = &f->of.qat, .update = &f->update};
    for (int h = 0; h < m->heads; h++) {
        spec.loss[spec.losses].tensor = m->head[h].tensor;
        spec.loss[spec.losses++].batch = &f->loss;
    }
    check_ok(rt_session_new(&f->s, &spec, threads));
    size_t params, states;
    float *to = rt_session_buffer(f->s, RT_B_PARAMS, &params),
          *of_states = rt_session_buffer(f->s, RT_B_STATES, &states);
    memcpy(to, m->params, params * sizeof *to);
    memcpy(of_states, m->states, states * sizeof *to);
}

static void end(frozen *f)
{
    rt_session_free(f->s);
    rt_model_qat_free(&f->of);
    free(f->zeros);
}

static rt_step_result step_of(frozen *f, const scene *s, int rows)
{
    rt_step step = {.rows = rows, .x = {s->x}, .first = 1, .last = 1, .summed = 1, .lr = 0.01};
    rt_step_result got = session_step(f->s, &step);
    assert_false(got.bad);
    return got;
}

/* The numbers of the program of the model as it is, and the losses of what that answers. */
static void check_step(const scene *s, const frozen *f, const rt_step_result *step, int rows)
{
    rt_program *p;
    check_ok(rt_program_of(&p, s->m));
    const rt_net *a = rt_program_net(p), *b = f->of.qat.net;
    assert_true(a->weights == b->weights && a->channels == b->channels);
    assert_memory_equal(a->weight, b->weight, a->weights);
    assert_memory_equal(a->step, b->step, a->channels * sizeof *a->step);
    assert_memory_equal(a->bias, b->bias, a->channels * sizeof *a->bias);
    int width = rt_program_width(p), at = 0;
    float *y = calloc((size_t)(rows * width), sizeof *y);
    void *context = aligned_alloc(64, (rt_program_bytes(p) + 63) & ~(size_t)63);
    rt_program_start(p, context);
    rt_program_infer(p, context, y, rt_program_takes(p) ? (const void *)s->raw : s->x, rows);
    for (int h = 0; h < s->m->heads; at += s->m->head[h++].size) {
        double sum = 0;
        for (int r = 0; r < rows; r++)
            for (int k = 0; k < s->m->head[h].size; k++) {
                double v = (double)y[r * width + at + k];
                sum += v * v;
            }
        check_close("loss", step->loss[h], sum / rows / s->m->head[h].size, 0, 1e-6);
    }
    free(context);
    free(y);
    rt_program_free(p);
}

/* |a - b| / |b| */
static double apart(const float *a, const float *b, size_t n)
{
    double d = 0, all = 0;
    for (size_t i = 0; i < n; i++) {
        d += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
        all += (double)b[i] * (double)b[i];
    }
    return sqrt(d / all);
}

static void frozen_steps_are_the_program(void **state)
{
    (void)state;
    for (int which = 0; which < ARCHS; which++)
        for (int bytes = 0; bytes < (which == 1 ? 1 : 2); bytes++)     /* rows of a table are no bytes */
            for (int bits = 4; bits <= 8; bits += 4) {
                int each[64];
                for (int i = 0; i < 64; i++) each[i] = bits;
                scene s = scene_new(which, bytes, &(rt_calibrate_spec){.bits = each});
                frozen f, emulated, alone;
                rt_device *one = rt_device_cpu(1);
                begin(&f, &s, 1, bytes, device);
                begin(&alone, &s, 1, bytes, one);
                begin(&emulated, &s, 0, bytes, device);
                size_t n;
                for (int t = 0, rows = ROWS; t < 3; t++, rows -= 7) {
                    const rt_graph *g = s.m->graph;
                    rt_step_result by_program = step_of(&f, &s, rows);
                    step_of(&alone, &s, rows);
                    if (t) for (int i = 0; i < g->nodes; i++)
                        if (rt_has_weights(&g->node[i])) check_ok(rt_calibrate_steps(s.m, i, RT_CALIBRATE_MINMAX));
                    check_step(&s, &f, &by_program, rows);
                    if (!t) step_of(&emulated, &s, rows);
                    const float *a = rt_session_buffer(f.s, RT_B_GRADS, &n),
                                *b = rt_session_buffer(emulated.s, RT_B_GRADS, NULL);
                    if (!t && apart(a, b, n) > 0.03)     /* bytes differ where a value is near a border */
                        fail_msg("arch %d, bytes %d, %d bits: gradients are %g apart", which, bytes, bits,
                                 apart(a, b, n));
                    assert_memory_equal(a, rt_session_buffer(alone.s, RT_B_GRADS, NULL), n * sizeof *a);
                    memcpy(s.m->params, rt_session_buffer(f.s, RT_B_PARAMS, NULL),
                           s.m->graph->floats[RT_PARAM] * sizeof(float));
                }
                end(&f);
                end(&alone);
                end(&emulated);
                rt_device_close(one);
                scene_free(&s);
            }
}

/* Rows that are a bit of a float beside a border between two bytes: a step gives them the bytes of the program. */
static void rows_beside_borders_are_those_of_the_program(void **state)
{
    (void)state;
    frozen f;
    scene s = scene_new(1, 0, &(rt_calibrate_spec){0});
    size_t n = s.m->input[0].size * ROWS;
    const float *range = rt_model_range(s.m, s.m->graph->input[0]);
    rt_quant q = rt_quant_of(range[0], range[1]);
    for (size_t i = 0; i < n; i++) {
        float border = (float)(((double)(i / 3 % 250) + 1.5 - q.zero) * (double)q.scale);
        s.x[i] = i % 3 ? nextafterf(border, i % 3 == 1 ? INFINITY : -INFINITY) : border;
    }
    begin(&f, &s, 1, 0, device);
    rt_step_result got = step_of(&f, &s, ROWS);
    check_step(&s, &f, &got, ROWS);
    end(&f);
    scene_free(&s);
}

/* What has no integers ends the step: nothing is changed, and the layer is named. */
static void weights_without_integers_are_told(void **state)
{
    (void)state;
    char text[300];
    frozen f;
    scene s = scene_new(1, 0, &(rt_calibrate_spec){0});
    begin(&f, &s, 1, 0, device);
    float *w = rt_session_buffer(f.s, RT_B_PARAMS, NULL) + s.m->graph->field[s.m->graph->node[1].field[0]].offset;
    w[3] = INFINITY;
    rt_step step = {.rows = ROWS, .x = {s.x}, .first = 1, .last = 1, .summed = 1, .lr = 0.01};
    assert_true(session_step(f.s, &step).bad);
    rt_session_find_bad(f.s, text, sizeof text);
    if (!strstr(text, "dense1.weight has no integers")) fail_msg("'%s'", text);
    end(&f);
    scene_free(&s);
}

static int set_up(void **state)
{
    (void)state;
    device = rt_device_cpu(3);
    return device == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    rt_device_close(device);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(live_steps_are_those_of_pytorch),
                                       cmocka_unit_test(frozen_steps_are_the_program),
                                       cmocka_unit_test(rows_beside_borders_are_those_of_the_program),
                                       cmocka_unit_test(weights_without_integers_are_told)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
