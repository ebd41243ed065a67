/* Layers against PyTorch's answers and gradients, which record_layers.py recorded in double, in every kernel family;
 * gradients against central differences of the layers' own answers; the same bits whatever the threads and the batch.
 */
#include "data/json.h"
#include "engine/plan.h"
#include "student/arch.h"
#include "tests/support.h"

typedef struct {
    const char *name, *json;
    const double *out, *grads;         /* of (ROWS, n), of each parameter in order: every stride_of() */
    int outputs, params;
} layer_case;

#ifndef LAYERS_REFERENCE
#define LAYERS_REFERENCE "tests/engine/layers_reference.h"
#endif
#include LAYERS_REFERENCE

enum { ROWS = 3, CASES = sizeof layer_cases / sizeof *layer_cases };

static size_t stride_of(size_t n) { return n < 120 ? 1 : 7 + 6 * (n / 420); }

/* Value k of the stream s, as record_layers.py has it. */
static float value(size_t k, double s) { return (float)sin(0.37 * (double)k * (double)k + 1.13 * (double)k + s); }

typedef struct {
    const layer_case *c;
    rt_graph *g;
    float *x[RT_MAX_INPUTS], *params, *states, *grads;
    double *weight;
    size_t n;                          /* outputs of a row */
} net;

static net net_of(const layer_case *c)
{
    net t = {.c = c};
    cJSON *j;
    check_ok(rt_json_parse(&j, c->json, strlen(c->json), c->name));
    if (rt_arch_build(&t.g, j, "test")) fail_msg("%s: %s", c->name, rt_error_message());
    cJSON_Delete(j);
    const rt_graph *g = t.g;
    for (int i = 0; i < g->inputs; i++) {
        size_t n = rt_shape_count(&g->tensor[g->input[i]].shape) * ROWS;
        t.x[i] = malloc(n * sizeof(float));
        for (size_t k = 0; k < n; k++) t.x[i][k] = value(k, i);
    }
    t.params = calloc(g->floats[RT_PARAM] + 1, sizeof(float));
    t.states = calloc(g->floats[RT_STATE] + 1, sizeof(float));
    t.grads = calloc(g->grad_floats + 1, sizeof(float));
    int number = 0, all = 0;
    for (int i = -1; (i = rt_graph_next_field(g, RT_PARAM, i)) >= 0; number++) {
        const rt_field *f = &g->field[i];
        int gamma = strlen(f->name) > 5 && !strcmp(f->name + strlen(f->name) - 5, "gamma");
        for (size_t k = 0; k < f->count; k++) {
            float v = value(k, 10 + number);
            t.params[f->offset + k] = gamma ? (float)(1 + 0.3 * (double)v) : (float)(0.5 * (double)v);
        }
        all += (int)f->count;
    }
    assert_int_equal(all, c->params);
    for (int i = -1; (i = rt_graph_next_field(g, RT_CONST, i)) >= 0; number++) {
        const rt_field *f = &g->field[i];
        float *v = rt_graph_constant_values(t.g, i);
        int whole = strstr(f->name, ".indices") != NULL,
            ours = strstr(f->name, ".operand") || strstr(f->name, ".value");
        for (size_t k = 0; k < f->count && (whole || ours); k++)
            v[k] = whole ? (float)((int)(k * 5 + k * k) % 4 - (int)(k % 2) * 2) : value(k, 10 + number);
    }
    t.n = rt_shape_count(&g->tensor[g->output].shape);
    if ((int)t.n * ROWS != c->outputs) fail_msg("%s: %zu outputs a row, not %d", c->name, t.n, c->outputs / ROWS);
    t.weight = malloc(t.n * ROWS * sizeof *t.weight);
    for (size_t k = 0; k < t.n * ROWS; k++) t.weight[k] = value(k, 5);
    return t;
}

static void free_net(net *t)
{
    for (int i = 0; i < t->g->inputs; i++) free(t->x[i]);
    free(t->params);
    free(t->states);
    free(t->grads);
    free(t->weight);
    rt_graph_free(t->g);
}

static void loss_fn(void *arg, const rt_loss_io *io)
{
    const double *weight = arg;
    for (int r = 0; r < io->rows; r++) {
        double s = 0;
        for (int i = 0; i < io->n; i++) {
            double w = weight[(size_t)(io->row0 + r) * (size_t)io->n + (size_t)i];
            io->grad[r * io->n + i] = (float)(w / io->total);
            s += w * io->value[r * io->n + i];
        }
        io->loss[r] = (float)s;
    }
}

static void train(net *t, int threads, int batch)
{
    rt_pool *pool = rt_pool_new(threads);
    rt_plan_spec spec = {.graph = t->g, .batch = batch, .train = 1, .losses = 1};
    spec.loss[0] = (rt_loss_spec){.tensor = t->g->output, .fn = loss_fn, .arg = t->weight};
    rt_plan *p;
    if (rt_plan_new(&p, &spec, pool)) fail_msg("%s: %s", t->c->name, rt_error_message());
    rt_run run = {.rows = ROWS, .params = t->params, .states = t->states, .grads = t->grads};
    memcpy(run.x, t->x, sizeof t->x);
    rt_plan_run(p, &run);
    rt_plan_free(p);
    rt_pool_free(pool);
}

/* All rows, `at_once` of them in a run of a plan for so many. */
static void infer(net *t, float *y, int threads, int at_once)
{
    rt_pool *pool = rt_pool_new(threads);
    rt_plan *p;
    rt_plan_spec spec = {.graph = t->g, .batch = at_once};
    if (rt_plan_new(&p, &spec, pool)) fail_msg("%s: %s", t->c->name, rt_error_message());
    for (int r = 0; r < ROWS; r += at_once) {
        rt_run run = {.rows = ROWS - r < at_once ? ROWS - r : at_once, .params = t->params, .states = t->states};
        for (int i = 0; i < t->g->inputs; i++)
            run.x[i] = t->x[i] + (size_t)r * rt_shape_count(&t->g->tensor[t->g->input[i]].shape);
        if (r == 0) rt_plan_prepare(p, &run);
        rt_plan_run(p, &run);
        memcpy(y + (size_t)r * t->n, rt_plan_output(p, 0), (size_t)run.rows * t->n * sizeof *y);
    }
    rt_plan_free(p);
    rt_pool_free(pool);
}

static double loss_of(net *t)
{
    float *y = malloc(t->n * ROWS * sizeof *y);
    double s = 0;
    infer(t, y, 1, ROWS);
    for (size_t k = 0; k < t->n * ROWS; k++) s += t->weight[k] * (double)y[k] / ROWS;
    free(y);
    return s;
}

static void check_values(const layer_case *c)
{
    net t = net_of(c);
    float *y = malloc(t.n * ROWS * sizeof *y);
    char text[300];
    infer(&t, y, 1, ROWS);
    double scale = 0;
    size_t outputs = (size_t)c->outputs, by = stride_of(outputs);
    for (size_t k = 0; k < outputs; k += by) scale = fmax(scale, fabs(c->out[k / by]));
    for (size_t k = 0; k < outputs; k += by) {
        snprintf(text, sizeof text, "%s: output %zu (%s)", c->name, k, rt_kernels_get()->name);
        check_close(text, y[k], c->out[k / by], 2e-6 * scale + 1e-7, 1e-5);
    }
    train(&t, 2, ROWS + 2);
    int at = 0;
    for (int i = -1; (i = rt_graph_next_field(t.g, RT_PARAM, i)) >= 0;) {
        const rt_field *f = &t.g->field[i];
        scale = 0;
        by = stride_of(f->count);
        for (size_t k = 0; k < f->count; k += by) scale = fmax(scale, fabs(c->grads[at + (int)(k / by)]));
        if (!(scale > 1e-6)) fail_msg("%s: the recorded gradient of %s is 0", c->name, f->name);
        for (size_t k = 0; k < f->count; k += by, at++) {
            snprintf(text, sizeof text, "%s: d/d %s[%zu] (%s)", c->name, f->name, k, rt_kernels_get()->name);
            check_close(text, t.grads[f->grad_at + k], c->grads[at], 1e-5 * scale, 5e-5);
        }
    }
    free(y);
    free_net(&t);
}

static void recorded(void **state)
{
    (void)state;
    for (const rt_kernels *const *k = rt_kernels_all(); *k; k++) {
        if (!rt_kernels_runnable(*k)) continue;
        check_ok(rt_kernels_select((*k)->name));
        for (int i = 0; i < CASES; i++) check_values(&layer_cases[i]);
    }
    check_ok(rt_kernels_select(NULL));
}

/* Some of each parameter. Layers are smooth but at ties, where a step may cross; there the recorded value must be met,
 * so that one in twenty may be far from the difference. */
static void differences(void **state)
{
    (void)state;
    int compared = 0, far = 0;
    for (int i = 0; i < CASES; i++) {
        net t = net_of(&layer_cases[i]);
        train(&t, 1, ROWS);
        for (int q = -1; (q = rt_graph_next_field(t.g, RT_PARAM, q)) >= 0;) {
            const rt_field *f = &t.g->field[q];
            double scale = 0;
            for (size_t k = 0; k < f->count; k++) scale = fmax(scale, fabs((double)t.grads[f->grad_at + k]));
            for (size_t k = 0; k < f->count; k += f->count / 7 + 1) {
                float *v = &t.params[f->offset + k], keep = *v, step = 4e-3f;
                *v = keep + step;
                double up = loss_of(&t), to = *v;
                *v = keep - step;
                double want = (up - loss_of(&t)) / (to - (double)*v), got = t.grads[f->grad_at + k];
                *v = keep;
                assert_true(isfinite(got));
                compared++;
                far += !(fabs(got - want) <= 5e-3 * scale + 5e-3 * fabs(want));
            }
        }
        if (far * 20 > compared) fail_msg("%s: %d of %d gradients are far", layer_cases[i].name, far, compared);
        free_net(&t);
    }
    assert_true(compared > 7 * CASES);
}

static void same_bits(void **state)
{
    (void)state;
    for (int i = 0; i < CASES; i++) {
        net t = net_of(&layer_cases[i]);
        size_t bytes = t.n * ROWS * sizeof(float), all = t.g->grad_floats * sizeof(float);
        float *first = malloc(bytes), *y = malloc(bytes), *grads = malloc(all + 1);
        infer(&t, first, 1, ROWS);
        for (int n = 1; n <= 3; n++) {
            infer(&t, y, n, n == 3 ? 1 : 2);
            if (memcmp(y, first, bytes)) fail_msg("%s: %d threads give other answers", t.c->name, n);
            train(&t, n, ROWS);
            if (n == 1) memcpy(grads, t.grads, all);
            if (memcmp(t.grads, grads, all)) fail_msg("%s: %d threads give other gradients", t.c->name, n);
        }
        free(first);
        free(y);
        free(grads);
        free_net(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(recorded), cmocka_unit_test(differences),
                                       cmocka_unit_test(same_bits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
