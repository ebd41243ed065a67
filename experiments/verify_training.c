/* experiments/verify_training.c - the forward pass of a training step whose ranges stand: a session as the trainer has
 * it, from the model's weights in float, whose bytes are looked at while it takes steps. Weights stay. */
#include <stdlib.h>
#include <string.h>

#include "engine/session.h"
#include "experiments/verify_parts.h"
#include "student/qat_model.h"

enum { BATCH = 64 };

typedef struct {
    const verify_job *j;
    verify_family plain;               /* differ: of the session's bytes; y: its answers */
    int base;                          /* the row that the step begins with */
    double own;                        /* seconds spent on looking */
} watcher;

/* One thread steps, so that rows come one after another. */
static void see(void *who, const struct rt_linked *linked, void *context, int row, int rows, const float *y)
{
    watcher *w = who;
    const rt_net *n = rt_program_net(w->j->p);
    const double start = rt_verify_seconds();
    for (int r = 0; r < rows; r++) {
        const int at = w->base + row + r;
        rt_verify_row(&w->plain, w->j, at);
        for (int i = 0; i < n->calls; i++) {
            if (n->call[i].out < 0) continue;
            rt_int_image a = rt_linked_tensor(linked, context, n->call[i].out),
                         b = rt_linked_tensor(w->plain.linked, w->plain.context, n->call[i].out);
            if (rt_linked_rows(linked) > 1) a.p += r * a.c;
            for (int h = 0; h < b.h; h++)
                for (int k = 0; k < b.w * b.c; k++) w->plain.differ[i] += a.p[h * a.row + k] != b.p[h * b.row + k];
        }
        memcpy(w->plain.y + (size_t)at * w->j->width, y + (size_t)r * w->j->width, w->j->width * sizeof *y);
    }
    w->own += rt_verify_seconds() - start;
}

/* Rows [first, first + n) as the session takes them: normalised. */
static void normalised(const verify_job *j, float *x, int first, int n)
{
    const rt_input *in = &j->m->input[0];
    const size_t count = (size_t)n * j->elements, m = (size_t)in->channels;
    const char *from = (const char *)j->x + (size_t)first * j->row;
    if (!rt_program_takes(j->p)) memcpy(x, from, count * sizeof *x);
    else
        for (size_t i = 0; i < count; i++) x[i] = ((float)((const uint8_t *)from)[i] + in->add[i % m]) * in->mul[i % m];
}

static rt_status run_steps(watcher *w, rt_session *s, double *seconds)
{
    const verify_job *j = w->j;
    float *x = calloc(BATCH * j->elements, sizeof *x);
    rt_status st = x ? RT_OK : rt_fail(RT_RUN, "out of memory");
    for (w->base = 0; w->base < j->rows && !st; w->base += BATCH) {
        const int n = j->rows - w->base < BATCH ? j->rows - w->base : BATCH;
        rt_step_result r = {0};
        int told;
        normalised(j, x, w->base, n);
        double start = rt_verify_seconds();
        st = rt_session_step(s, &(rt_step){.rows = n, .x = {x}, .first = 1, .last = 1, .summed = 1});
        if (!st) st = rt_session_results(s, 1, &r, 1, &told);
        *seconds += rt_verify_seconds() - start;
        if (!st && r.bad) {
            char where[300];
            rt_session_find_bad(s, where, sizeof where);
            st = rt_fail(RT_INPUT, "%s: a training step ends %s", j->spec->input, where);
        }
        if (!st) st = rt_check_stop();
    }
    *seconds -= w->own;
    free(x);
    return st;
}

/* Of the nets' numbers, how many are not the same bits. */
static uint64_t numbers_apart(const rt_net *a, const rt_net *b)
{
    uint64_t apart = 0;
    for (size_t i = 0; i < a->weights; i++) apart += a->weight[i] != b->weight[i];
    for (size_t i = 0; i < a->channels; i++)
        apart += (memcmp(&a->step[i], &b->step[i], sizeof *a->step) != 0) + (uint64_t)(a->bias[i] != b->bias[i]);
    return apart;
}

static rt_status run(watcher *w, rt_model_qat *of, rt_device *device, cJSON *one, int *differs)
{
    const verify_job *j = w->j;
    rt_model *m = j->m;
    rt_session *s = NULL;
    double seconds = 0;
    float *zeros = calloc(BATCH * j->width, sizeof *zeros);
    if (!zeros) return rt_fail(RT_RUN, "out of memory");
    rt_loss_batch loss = {.config = {.task = RT_TASK_REAL, .hard_kind = RT_HARD_HINT, .hard = 1}, .values = zeros};
    rt_session_spec spec = {.graph = m->graph, .batch = BATCH, .train = 1, .qat = &of->qat, .params = m->params,
                            .states = m->states};
    for (int h = 0; h < m->heads; h++) {
        spec.loss[spec.losses].tensor = m->head[h].tensor;
        spec.loss[spec.losses++].batch = &loss;
    }
    rt_status st = rt_session_new(&s, &spec, device);
    if (!st) st = run_steps(w, s, &seconds);
    if (!st) {
        const uint64_t apart = numbers_apart(of->qat.net, rt_program_net(j->p));
        cJSON_AddNumberToObject(one, "numbers", (double)apart);
        *differs |= rt_verify_describe(one, j, seconds, w->plain.differ, w->plain.y) || apart;
    }
    rt_session_free(s);
    free(zeros);
    return st;
}

rt_status rt_verify_training(const verify_job *j, cJSON *one, int *differs)
{
    watcher w = {.j = j};
    rt_model_qat of = {0};
    rt_device *device = NULL;
    if (!j->m) {
        cJSON_AddStringToObject(one, "left_out", "a program has no weights in float to train: verify the model");
        return RT_OK;
    }
    rt_status st = rt_verify_begin(&w.plain, j, rt_verify_plain());
    if (!st) st = rt_model_qat_begin(&of, j->m, rt_program_takes(j->p));
    if (!st) st = rt_model_qat_freeze(&of, j->m);
    of.qat.see = see;
    of.qat.who = &w;
    if (!st && !(device = rt_device_cpu(1))) st = RT_RUN;
    if (!st) st = run(&w, &of, device, one, differs);
    if (st == RT_USAGE) {                              /* a layer without a gradient is not trained */
        cJSON_AddStringToObject(one, "left_out", rt_error_message());
        st = RT_OK;
    }
    rt_device_close(device);
    rt_model_qat_free(&of);
    rt_verify_end(&w.plain);
    return st;
}
