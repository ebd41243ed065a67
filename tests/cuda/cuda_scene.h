/* tests/cuda/cuda_scene.h - one model on the CPU and on the emulated card: answers, losses, gradients, what training
 * leaves. Numbers are compared by the largest of their tensor or field; the card's own must be equal to the bit in
 * every order of its threads. */
#ifndef RT_TESTS_CUDA_SCENE_H
#define RT_TESTS_CUDA_SCENE_H

#include "data/json.h"
#include "engine/session.h"
#include "student/model.h"
#include "tests/cuda/emulator.h"
#include "tests/support.h"

typedef struct {
    const char *arch;              /* JSON: its last layer gives `classes` logits */
    int batch, rows, steps;        /* rows: of the last step, where that has fewer; 0: batch */
    rt_precision precision;
    double forward, gradient;      /* limits, relative; 0: 2e-5 */
    double drift;                  /* of parameters after all steps; 0: 1e-4 */
    double loss_far;               /* of losses; 0: 1e-4 */
    rt_loss_desc loss;             /* zeros: cross-entropy */
    rt_update_desc update;         /* zeros: SGD with momentum 0.9 */
    float scale;                   /* of inputs; 0: 1 */
    int ids;                       /* inputs are ids below this; 0: floats */
    double lr;                     /* 0: 0.05 */
    int orders;                    /* of threads that are tried; 0: all 3 */
} cuda_scene;

static inline float scene_noise(uint32_t stream, uint32_t i)
{
    uint32_t w[4];
    rt_random4(w, 77, RT_RNG_TEST, stream, 0, 0, i);
    return 2 * rt_unit(w[0]) - 1;
}

static inline rt_model *scene_model(const char *text)
{
    cJSON *j;
    rt_model *m;
    check_ok(rt_json_parse(&j, text, strlen(text), "scene"));
    if (rt_model_new(&m, j, 5)) fail_msg("%s: %s", text, rt_error_message());
    cJSON_Delete(j);
    for (int i = 0; i < m->graph->fields; i++) {              /* biases, shifts and statistics are not all the same */
        const rt_field *f = &m->graph->field[i];
        float *p = rt_model_field(m, i);
        if (f->home == RT_CONST || f->init == RT_INIT_HE || f->init == RT_INIT_XAVIER) continue;
        for (size_t k = 0; k < f->count; k++)
            p[k] = (f->init == RT_INIT_ONE ? 1 : 0) + 0.3f * scene_noise(900 + (uint32_t)i, (uint32_t)k);
    }
    return m;
}

/* The text of a model that speed is measured on; the caller frees it. */
static inline char *scene_text(const char *name)
{
    char path[400];
    const char *folder = getenv("RETORT_MODELS");             /* where the source tree is not */
    snprintf(path, sizeof path, "%s/%s.json", folder ? folder : RETORT_SOURCE_DIR "/experiments/peers/models", name);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    fseek(f, 0, SEEK_END);
    size_t size = (size_t)ftell(f);
    rewind(f);
    char *text = calloc(1, size + 1);
    assert_int_equal(fread(text, 1, size, f), size);
    fclose(f);
    return text;
}

/* What one device made of it. */
typedef struct { float *answers, *grads, *params, *states; double loss[128]; } scene_result;

static inline void scene_free(scene_result *r)
{
    free(r->answers);
    free(r->grads);
    free(r->params);
    free(r->states);
}

typedef struct { float *x[RT_MAX_INPUTS], *teacher; int32_t *y; size_t size[RT_MAX_INPUTS]; } scene_data;

static inline scene_data scene_fill(const cuda_scene *c, const rt_model *m)
{
    scene_data d = {0};
    int k = rt_model_width(m);
    for (int i = 0; i < m->inputs; i++) {
        d.size[i] = m->input[i].size;
        size_t n = d.size[i] * (size_t)c->batch;
        d.x[i] = malloc(n * sizeof(float));
        for (size_t j = 0; j < n; j++) {
            float v = scene_noise(10 + (uint32_t)i, (uint32_t)j);
            int32_t id = (int32_t)((v + 1) / 2 * (float)c->ids);
            if (c->ids) memcpy(d.x[i] + j, &id, sizeof id);
            else d.x[i][j] = v * (c->scale != 0 ? c->scale : 1);
        }
    }
    d.teacher = malloc((size_t)(c->batch * k) * sizeof(float));
    d.y = malloc((size_t)c->batch * sizeof *d.y);
    for (int i = 0; i < c->batch * k; i++) d.teacher[i] = 3 * scene_noise(3, (uint32_t)i);
    for (int i = 0; i < c->batch; i++) d.y[i] = i % 7 == 3 ? -1 : i % k;
    return d;
}

static inline void scene_free_data(scene_data *d)
{
    for (int i = 0; i < RT_MAX_INPUTS; i++) free(d->x[i]);
    free(d->teacher);
    free(d->y);
}

static inline float *scene_copy(rt_session *s, rt_buffer_id id)
{
    size_t n;
    check_ok(rt_session_read(s, 1u << id));
    const float *from = rt_session_buffer(s, id, &n);
    float *to = malloc((n + 1) * sizeof *to);
    if (n) memcpy(to, from, n * sizeof *to);
    return to;
}

static inline void scene_train(const cuda_scene *c, rt_model *m, rt_device *device, const scene_data *d,
                               scene_result *r)
{
    rt_loss_batch loss = {.config = c->loss, .y = d->y, .teacher = c->loss.kind ? d->teacher : NULL, .hard_scale = 1,
                          .soft_scale = 1, .lambda = 1};
    rt_update_desc update = c->update;
    rt_session *s;
    if (loss.config.hard == 0 && loss.config.soft == 0) loss.config = (rt_loss_desc){.hard = 1};
    if (update.kind == RT_SGD && update.momentum == 0) update.momentum = 0.9;
    rt_session_spec spec = {.graph = m->graph, .batch = c->batch, .train = 1, .losses = 1, .update = &update,
                            .loss = {{.tensor = m->head[0].tensor, .batch = &loss}}};
    check_ok(rt_session_new(&s, &spec, device));
    memcpy(rt_session_buffer(s, RT_B_PARAMS, NULL), m->params, m->graph->floats[RT_PARAM] * sizeof(float));
    memcpy(rt_session_buffer(s, RT_B_STATES, NULL), m->states, m->graph->floats[RT_STATE] * sizeof(float));
    check_ok(rt_session_write(s, RT_B_WEIGHTS));
    for (int t = 0; t < c->steps; t++) {
        rt_step_result got;
        int n, last = t + 1 == c->steps, rows = last && c->rows ? c->rows : c->batch;
        rt_step step = {.rows = rows, .seed = 9, .epoch = 1, .step = (uint32_t)t, .first = 1, .last = 1, .summed = 1,
                        .lr = c->lr > 0 ? c->lr : 0.05};
        for (int i = 0; i < m->inputs; i++) step.x[i] = d->x[i];
        check_ok(rt_session_step(s, &step));
        check_ok(rt_session_results(s, 1, &got, 1, &n));
        assert_int_equal(n, 1);
        r->loss[t] = got.total;
        if (!t) r->grads = scene_copy(s, RT_B_GRADS);
    }
    r->params = scene_copy(s, RT_B_PARAMS);
    r->states = scene_copy(s, RT_B_STATES);
    rt_session_free(s);
}

static inline void scene_answer(const cuda_scene *c, rt_model *m, rt_device *device, const scene_data *d,
                                scene_result *r)
{
    rt_session *s;
    rt_session_spec spec = {.graph = m->graph, .batch = c->batch, .params = m->params, .states = m->states,
                            .outputs = 1, .output = {m->head[0].tensor}};
    rt_step step = {.rows = c->batch};
    size_t n = (size_t)rt_model_width(m) * (size_t)c->batch;
    for (int i = 0; i < m->inputs; i++) step.x[i] = d->x[i];
    check_ok(rt_session_new(&s, &spec, device));
    check_ok(rt_session_infer(s, &step));
    r->answers = malloc(n * sizeof(float));
    memcpy(r->answers, rt_session_output(s, 0), n * sizeof(float));
    rt_session_free(s);
}

static inline void scene_close(const char *what, const float *got, const float *want, size_t n, double limit)
{
    double most = 0;
    for (size_t i = 0; i < n; i++) most = fmax(most, fabs((double)want[i]));
    for (size_t i = 0; i < n; i++)
        if (!(fabs((double)got[i] - want[i]) <= limit * most + 1e-12))
            fail_msg("%s[%zu]: %.9g on the card, %.9g on the CPU; the largest is %.4g, the limit %.2g of it", what, i,
                     (double)got[i], (double)want[i], most, limit);
}

static inline void scene_fields(const rt_graph *g, const scene_result *a, const scene_result *b, const cuda_scene *c)
{
    char what[300];
    for (rt_home home = RT_PARAM; home <= RT_STATE; home++)
        for (int i = -1; (i = rt_graph_next_field(g, home, i)) >= 0;) {
            const rt_field *f = &g->field[i];
            snprintf(what, sizeof what, "%s of %s", home == RT_PARAM ? "the trained" : "the state", f->name);
            const float *x = home == RT_PARAM ? a->params : a->states, *y = home == RT_PARAM ? b->params : b->states;
            scene_close(what, x + f->offset, y + f->offset, f->count, c->drift > 0 ? c->drift : 1e-4);
            if (f->grad_at == RT_NOWHERE) continue;
            snprintf(what, sizeof what, "the gradient of %s", f->name);
            scene_close(what, a->grads + f->grad_at, b->grads + f->grad_at, f->count,
                        c->gradient > 0 ? c->gradient : 2e-5);
        }
}

static inline void scene_same(const char *what, const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (memcmp(a + i, b + i, sizeof *a))
            fail_msg("%s[%zu]: %.9g or %.9g, by the order of threads", what, i, (double)a[i], (double)b[i]);
}

/* Trains and answers on both, and on the card in every order of threads. steps 0: answers alone. */
static inline void scene_check(const cuda_scene *c)
{
    rt_model *m = scene_model(c->arch);
    rt_device *cpu = rt_device_cpu(1), *card;
    scene_data d = scene_fill(c, m);
    scene_result want = {0}, got[3] = {{0}};
    size_t width = (size_t)rt_model_width(m) * (size_t)c->batch;
    const rt_graph *g = m->graph;
    check_ok(rt_device_open(&card, "cuda", 1));
    check_ok(rt_device_set_precision(card, c->precision));
    scene_answer(c, m, cpu, &d, &want);
    if (c->steps) scene_train(c, m, cpu, &d, &want);
    int orders = c->orders ? c->orders : 3;
    for (int order = 0; order < orders; order++) {
        rt_emulated_order(order, 5);
        scene_answer(c, m, card, &d, &got[order]);
        if (c->steps) scene_train(c, m, card, &d, &got[order]);
    }
    rt_emulated_order(RT_EMULATED_FORWARD, 0);
    scene_close("the answer", got[0].answers, want.answers, width, c->forward > 0 ? c->forward : 2e-5);
    double far = c->precision ? c->drift : c->loss_far > 0 ? c->loss_far : 1e-4, worst = 0;
    for (int t = 0; t < c->steps; t++) worst = fmax(worst, fabs(got[0].loss[t] / want.loss[t] - 1));
    if (c->loss_far > 0) printf("%d steps: the losses differ by at most %.2g of themselves\n", c->steps, worst);
    for (int t = 0; t < c->steps; t++)
        check_close("the loss", got[0].loss[t], want.loss[t], 1e-5 * want.loss[0], far);
    if (c->steps) scene_fields(g, &got[0], &want, c);
    for (int order = 1; order < orders; order++) {
        scene_same("the answer", got[order].answers, got[0].answers, width);
        if (!c->steps) continue;
        scene_same("gradients", got[order].grads, got[0].grads, g->grad_floats);
        scene_same("parameters", got[order].params, got[0].params, g->floats[RT_PARAM]);
        scene_same("states", got[order].states, got[0].states, g->floats[RT_STATE]);
    }
    for (int i = 0; i < 3; i++) scene_free(&got[i]);
    scene_free(&want);
    scene_free_data(&d);
    rt_device_close(card);
    rt_device_close(cpu);
    rt_model_free(m);
}
#endif
