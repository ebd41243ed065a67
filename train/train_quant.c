/* train/train_quant.c - quantization-aware training: when a run goes from floats to quantizers, and when those stand
 * (train_settle.c).
 *
 * All of a run has one training graph, with quantizers from the start, so that checkpoints hold the same buffers
 * throughout. What changes is the session: in float for the warm-up; then, with quantizers that rows of calibration
 * gave their numbers, LIVE; from `freeze` on FROZEN. Which one a batch needs follows from its number alone. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/version.h"
#include "student/calibrate.h"
#include "train/trainer_parts.h"

#define RANGE_MOMENTUM 0.01f
#define HIGH_RATE 0.03                 /* of the peak */

/* ---- what there is ---- */

/* Which layers and tensors get quantizers, of the model, which is in float. */
static rt_status choose(rt_trainer *t)
{
    const rt_train_settings *s = &t->set;
    const rt_graph *g = t->model->graph;
    rt_train_quant *q = &t->quant;
    RT_TRY(rt_model_one_input(g, *s->init ? s->init : "the model"));
    RT_TRY(rt_model_own_size(t->model, *s->init ? s->init : "the model"));
    RT_TRY(rt_quant_choose_input(&s->quant.of, t->model, rt_source_type(t->x), s->x.set, s->source, &q->bytes,
                                 t->notes));
    q->bits = calloc((size_t)g->nodes, sizeof *q->bits);
    q->learn = calloc((size_t)g->nodes, 1);
    q->range = calloc((size_t)g->tensors, 1);
    if (!q->bits || !q->learn || !q->range) return rt_fail(RT_RUN, "out of memory");
    RT_TRY(rt_quant_bits(&s->quant.of, g, t->model->head, t->model->heads, q->bits));
    /* At 8 bits learned steps run away, and there is nothing to win. */
    for (int i = 0; i < g->nodes; i++) q->learn[i] = s->quant.how.learn && q->bits[i] && q->bits[i] < 8;
    return rt_program_needs(t->model, q->bytes, q->range);
}

static rt_quantize_spec spec_of(const rt_train_quant *q)
{ return (rt_quantize_spec){.bytes = q->bytes, .bits = q->bits, .range = q->range, .learn = q->learn}; }

rt_status rt_train_check_quant(const rt_device *d)
{
    if (rt_device_is_cpu(d)) return RT_OK;
    return rt_fail(RT_USAGE, "quant: %s has no quantized kernels: train on the CPU (--device cpu), or in float",
                   rt_device_name(d));
}

rt_status rt_train_quant_begin(rt_trainer *t)
{
    const rt_train_settings *s = &t->set;
    rt_train_quant *q = &t->quant;
    if (!s->quant.on) return RT_OK;
    RT_TRY(choose(t));
    rt_quantize_spec spec = spec_of(q);
    RT_TRY(rt_graph_quantize(t->graph, &spec));
    for (int i = 0; i < t->model->graph->nodes; i++) {
        if (!q->learn[i]) continue;
        rt_tuning *how = &t->graph->field[t->graph->quant.step[i]].tuning;
        how->lr_scale = (float)s->quant.how.step_lr;
        how->relative = s->optimizer.update.kind == RT_ADAMW;      /* whose steps do not know how large a value is */
    }
    q->of.qat.follow = s->quant.of.method == RT_CALIBRATE_MINMAX;
    q->of.qat.momentum = s->quant.of.method == RT_CALIBRATE_MINMAX ? RANGE_MOMENTUM : 0;
    RT_TRY(rt_model_qat_begin(&q->of, t->model, q->bytes));
    return RT_OK;
}

void rt_train_quant_free(rt_train_quant *q)
{
    free(q->bits);
    free(q->learn);
    free(q->range);
    rt_model_qat_free(&q->of);
}

/* ---- numbers ---- */

/* Rows of calibration: as many as are asked for, evenly among those to learn from; *x and *raw are the caller's to
 * free, also after an error. */
static rt_status read_rows(const rt_trainer *t, float **x, char **raw, size_t *n)
{
    const uint64_t most = (uint64_t)t->set.quant.of.rows;
    *n = (size_t)(most < t->train.count ? most : t->train.count);
    uint64_t *row = malloc(*n * sizeof *row);
    if (!row) return rt_fail(RT_RUN, "out of memory");
    for (uint64_t i = 0; i < *n; i++) row[i] = rt_rows_at(&t->train, i * (t->train.count / *n));
    rt_status st = rt_calibrate_rows(x, raw, t->x, row, *n, &t->model->input[0]);
    free(row);
    return st;
}

static rt_status calibrate(rt_trainer *t)
{
    const rt_train_quant *q = &t->quant;
    rt_calibrate_spec spec = {.method = t->set.quant.of.method, .bytes = q->bytes, .bits = q->bits};
    float *x = NULL;
    char *raw = NULL;
    size_t n;
    rt_status st = read_rows(t, &x, &raw, &n);
    if (!st) st = rt_calibrate(t->model, &spec, x, (int)n, t->opt->device);
    /* Learned steps begin where the squared error is least. 2 mean |w| / sqrt(most) (Esser et al. 2020, section 2.1) is
     * 1.8 times that for normal weights of 4 bits, which a small rate does not make good. */
    for (int i = 0; i < t->model->graph->nodes && !st; i++)
        if (q->learn[i]) st = rt_calibrate_steps(t->model, i, RT_CALIBRATE_MSE);
    free(x);
    free(raw);
    return st;
}

/* Fields of quantizers, which the model and the training graph have in the same places. */
static void copy_quantizers(const rt_model *m, float *params, float *states)
{
    for (int i = 0; i < m->graph->fields; i++) {
        const rt_field *f = &m->graph->field[i];
        if (!(f->flags & RT_F_QUANTIZER)) continue;
        float *to = f->home == RT_PARAM ? params : states;
        if (to) memcpy(to + f->offset, rt_model_field(m, i), f->count * sizeof *to);
    }
}

static void take(rt_model *m, const float *params, const float *states)
{
    memcpy(m->params, params, m->graph->floats[RT_PARAM] * sizeof *params);
    memcpy(m->states, states, m->graph->floats[RT_STATE] * sizeof *states);
}

/* The model gets quantizers, and they their numbers, of the weights as they are. */
static rt_status enter(rt_trainer *t)
{
    rt_session *s = t->session;
    RT_TRY(rt_session_read(s, RT_B_ALL));
    float *params = rt_session_buffer(s, RT_B_PARAMS, NULL), *states = rt_session_buffer(s, RT_B_STATES, NULL);
    take(t->model, params, states);
    RT_TRY(calibrate(t));
    copy_quantizers(t->model, params, states);
    copy_quantizers(t->model, rt_session_buffer(s, RT_B_EMA, NULL), rt_session_buffer(s, RT_B_EMA_STATES, NULL));
    return rt_session_write(s, RT_B_ALL);
}

rt_status rt_train_quant_take(rt_trainer *t, const float *params, const float *states)
{
    const rt_train_quant *q = &t->quant;
    const rt_graph *g = t->model->graph;
    take(t->model, params, states);
    for (int i = 0; i < g->nodes && rt_model_quantized(t->model); i++)
        if (q->bits[i] && !q->learn[i]) RT_TRY(rt_calibrate_steps(t->model, i, t->set.quant.of.method));
    return RT_OK;
}

/* ---- sessions ---- */

static rt_qat_mode mode_of(const rt_trainer *t, uint64_t batch)
{
    const rt_train_quant *q = &t->quant;
    return batch < q->live_from ? RT_QAT_OFF : batch < q->frozen_from ? RT_QAT_LIVE : RT_QAT_FROZEN;
}

/* Where quantizers begin and where they stand, in batches: at the begin of an epoch, and at that of an update. */
static void find_borders(rt_trainer *t)
{
    const rt_quant_training *how = &t->set.quant.how;
    rt_train_quant *q = &t->quant;
    uint64_t k = (uint64_t)t->set.accumulate, at = (uint64_t)ceil(how->freeze * (double)t->total), in = at % t->steps;
    in = (in + k - 1) / k * k;
    q->live_from = (uint64_t)how->warmup * t->steps;
    q->frozen_from = at / t->steps * t->steps + (in < t->steps ? in : t->steps);
    if (q->frozen_from < q->live_from) q->frozen_from = q->live_from;
}

/* Gradients no longer reach what the batch norms scale and shift by, and momentum is not to move it either. */
static void hold_norms(rt_graph *g)
{
    for (int i = 0; i < g->nodes; i++)
        for (int k = 0; k < g->node[i].fields && g->node[i].op == RT_OP_BATCH_NORM; k++)
            g->field[g->node[i].field[k]].tuning.lr_scale = 0;
}

/* Where the rate is still high, weights whose norms no longer follow them run away. It is said when the run begins, and
 * when it goes on, so that the result has it either way. */
static void say_early(rt_trainer *t)
{
    const rt_optimizer_config *o = &t->set.optimizer;
    uint64_t from = t->quant.frozen_from;
    char text[240];
    int norms = 0;
    for (int i = 0; i < t->graph->nodes; i++) norms |= t->graph->node[i].op == RT_OP_BATCH_NORM;
    double part = rt_learning_rate(o, from, t->total, t->steps) / o->lr;
    if (!norms || from >= t->total || part <= HIGH_RATE) return;
    snprintf(text, sizeof text, "quant.freeze: batch norms and ranges stand from step %llu on, at %.2f of the peak "
             "learning rate; training may diverge: freeze later, or let the rate fall before (train.schedule)",
             (unsigned long long)from, part);
    cJSON_AddItemToArray(t->notes, cJSON_CreateString(text));
    rt_progress_line(t->opt->progress, text);
}

/* Of the rows of calibration, which are the same whenever a run begins or goes on. */
static rt_status say_coarse(rt_trainer *t)
{
    char text[300] = "", *raw = NULL;
    float *x = NULL;
    size_t n;
    if (t->quant.bytes || !t->quant.range[t->model->graph->input[0]]) return RT_OK;
    rt_status st = read_rows(t, &x, &raw, &n);
    if (!st) st = rt_calibrate_coarse(text, sizeof text, t->model, x, (int)n, NULL);
    free(x);
    free(raw);
    if (!*text) return st;
    cJSON_AddItemToArray(t->notes, cJSON_CreateString(text));
    rt_progress_line(t->opt->progress, text);
    return RT_OK;
}

/* What stands from now on: norms, ranges, and with them the program but for its numbers. */
static rt_status freeze(rt_trainer *t)
{
    hold_norms(t->graph);
    RT_TRY(rt_session_read(t->session, RT_B_WEIGHTS));
    RT_TRY(rt_train_quant_take(t, rt_session_buffer(t->session, RT_B_PARAMS, NULL),
                               rt_session_buffer(t->session, RT_B_STATES, NULL)));
    return rt_model_qat_freeze(&t->quant.of, t->model);
}

static rt_status change(rt_trainer *t, rt_qat_mode to)
{
    rt_session *old = t->session, *next;
    rt_session_spec spec = t->spec;
    t->quant.of.qat.mode = to;
    spec.qat = &t->quant.of.qat;
    if (to == RT_QAT_FROZEN) RT_TRY(freeze(t));
    RT_TRY(rt_session_new(&next, &spec, t->opt->device));
    rt_status st = rt_session_read(old, RT_B_ALL);
    for (rt_buffer_id id = 0; id < RT_BUFFERS; id++) {
        size_t n;
        float *from = rt_session_buffer(old, id, &n);
        if (from && n) memcpy(rt_session_buffer(next, id, NULL), from, n * sizeof *from);
    }
    rt_session_set_updates(next, rt_session_updates(old));
    rt_session_free(old);
    t->session = next;
    return st ? st : rt_session_write(next, RT_B_ALL);
}

static rt_status go_to(rt_trainer *t, rt_qat_mode to)
{
    rt_quantize_spec spec = spec_of(&t->quant);
    rt_qat_mode now = t->quant.of.qat.mode;
    if (to == now) return RT_OK;
    if (now == RT_QAT_OFF) {
        if (t->done == t->quant.live_from) RT_TRY(enter(t));
        else RT_TRY(rt_model_quantize(t->model, &spec));        /* the numbers are in the checkpoint */
    }
    if (to == RT_QAT_FROZEN && t->done == t->quant.frozen_from) RT_TRY(rt_train_quant_settle(t));
    return change(t, to);
}

rt_status rt_train_quant_ready(rt_trainer *t, int next)
{
    if (!t->set.quant.on) return RT_OK;
    if (!t->quant.begun) {
        find_borders(t);
        say_early(t);
        RT_TRY(say_coarse(t));
        t->quant.begun = 1;
    }
    if (!next && !t->done) return RT_OK;
    return go_to(t, mode_of(t, next ? t->done : t->done - 1));
}

rt_status rt_train_quant_epoch(rt_trainer *t)
{
    if (t->quant.of.qat.mode == RT_QAT_OFF || t->set.quant.of.method != RT_CALIBRATE_MSE || t->done % t->steps)
        return RT_OK;
    RT_TRY(rt_session_read(t->session, RT_B_WEIGHTS));
    float *params = rt_session_buffer(t->session, RT_B_PARAMS, NULL);
    RT_TRY(rt_train_quant_take(t, params, rt_session_buffer(t->session, RT_B_STATES, NULL)));
    copy_quantizers(t->model, params, NULL);
    return rt_session_write(t->session, 1u << RT_B_PARAMS);
}

int rt_train_quant_first(const rt_trainer *t, int epoch)
{ return t->set.quant.on && t->quant.of.qat.mode != RT_QAT_OFF && epoch == t->set.quant.how.warmup + 1; }

void rt_train_quant_describe(const rt_trainer *t, cJSON *provenance)
{
    if (!t->set.quant.on) return;
    cJSON *q = cJSON_AddObjectToObject(provenance, "quantized");
    cJSON_AddStringToObject(q, "tool", rt_tool());
    cJSON_AddStringToObject(q, "by", "training");
    cJSON_AddNumberToObject(q, "calibrated_at_step", (double)t->quant.live_from);
    cJSON_AddNumberToObject(q, "frozen_from_step", (double)t->quant.frozen_from);
    if (t->quant.frozen_from < t->total) cJSON_AddNumberToObject(q, "norms_of_rows", (double)rt_train_quant_rows(t));
}
