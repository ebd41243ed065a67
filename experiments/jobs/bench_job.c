#include "experiments/jobs/bench_job.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/precision.h"
#include "engine/rng.h"
#include "engine/clock.h"
#include "engine/session.h"
#include "experiments/bench_kernels.h"
#include "experiments/energy.h"
#include "experiments/speed.h"
#include "experiments/statistics/statistics.h"
#include "student/calibrate.h"
#include "student/predictor.h"
#include "student/qat_model.h"

enum { TRAIN, INFER, KERNELS, COLD, ROUNDS = RT_BENCH_ROUNDS };

typedef struct {
    int what, batch, rounds, kd, adamw, profile, qat, bits, copies;
    rt_precision precision;
    double seconds, price;
} settings;

/* Of each round; joules are NAN where they cannot be read. */
typedef struct { double rate[ROUNDS], of_cpu[ROUNDS], joules[ROUNDS]; rt_energy energy; } measures;

/* What is timed: a session, or the integer program of a quantized model. */
typedef struct {
    rt_session *session;
    rt_predictor *integers;
    const float *x;                    /* raw rows of the predictor: bytes, or floats that it normalises */
    float *answer;
} subject;

static void add_line(void *list, const char *text) { cJSON_AddItemToArray(list, cJSON_CreateString(text)); }

typedef struct {
    const settings *s;
    const subject *p;
    rt_step *step;
} bench_call;

/* What steps gave; with wait, of those that a card has been given and has not done yet, too. */
static rt_status take_results(const bench_call *b, int wait)
{
    rt_step_result r[RT_QUEUE];
    int n = 1;
    while (b->s->what == TRAIN && n) {
        RT_TRY(rt_session_results(b->p->session, wait, r, RT_QUEUE, &n));
        for (int i = 0; i < n; i++)
            if (r[i].bad)
                return rt_fail(RT_RUN, "the loss is %g at step %u, and steps behind it do no work: the timing tells "
                               "nothing", r[i].total, r[i].step + 1);
    }
    return RT_OK;
}

static rt_status wait_for_steps(void *arg) { return take_results(arg, 1); }

static rt_status call_once(void *arg)
{
    bench_call *b = arg;
    rt_status st;
    if (b->s->what == TRAIN) st = rt_session_step(b->p->session, b->step);
    else if (b->p->session) st = rt_session_infer(b->p->session, b->step);
    else st = rt_predict(b->p->integers, &(rt_feed){.raw = b->p->x, .rows = b->s->batch}, b->p->answer);
    b->step->step++;
    return st ? st : take_results(b, 0);
}

/* Rows a second in each round, of the clock and of the CPU time of all threads, and joules a row; one round before them
 * warms up, one behind them is for the profile, which slows what it looks at. */
static rt_status take_rounds(const settings *s, const subject *p, rt_step *step, measures *m)
{
    bench_call call = {s, p, step};
    rt_energy_count before, after;
    rt_joules used;
    for (int round = -1; round < s->rounds + s->profile; round++) {
        double calls, cpu_calls;
        if (round == s->rounds && p->session) RT_TRY(rt_session_profile(p->session, 1));
        rt_energy_read(&m->energy, &before);
        double start = rt_seconds();
        RT_TRY(rt_speed_window(call_once, wait_for_steps, &call, 4, s->seconds, &calls, &cpu_calls));
        double seconds = rt_seconds() - start;
        rt_energy_read(&m->energy, &after);
        if (round < 0 || round == s->rounds) continue;
        m->rate[round] = calls * s->batch;
        m->of_cpu[round] = cpu_calls * s->batch;
        m->joules[round] = rt_energy_between(&m->energy, &before, &after, &used)
                               ? (used.package + used.dram) / (m->rate[round] * seconds) : NAN;
    }
    return RT_OK;
}

/* What a head learns from: its targets, and with kd from a teacher, too. */
static rt_loss_batch loss_of(const settings *s, rt_task task)
{
    static const rt_soft_kind soft[RT_TASK_COUNT] = {RT_SOFT_KD, RT_SOFT_BKD, RT_SOFT_VALUES};
    static const rt_hard_kind hard[RT_TASK_COUNT] = {RT_HARD_CE, RT_HARD_BCE, RT_HARD_MSE};
    return (rt_loss_batch){.config = {.task = task, .hard_kind = hard[task], .hard = s->kd ? 0.1f : 1,
                                      .soft = s->kd ? 0.9f : 0, .kind = s->kd ? soft[task] : RT_SOFT_NONE,
                                      .temperature = 4},
                           .lambda = 1, .soft_scale = 1};
}

/* An architecture, or the file of a model. */
static rt_status get_model(const settings *s, const cJSON *from, rt_model **m)
{
    if (!cJSON_IsString(from)) return rt_model_new(m, from, 1);
    RT_TRY(rt_model_load(m, from->valuestring));
    if (!rt_model_quantized(*m) || s->what != TRAIN) return RT_OK;
    rt_model_free(*m);
    *m = NULL;
    return rt_fail(RT_USAGE, "%s: is quantized: --infer times its integer program; training is timed of a float model",
                   from->valuestring);
}

/* A step of quantization-aware training: quantizers that the rows of a batch calibrate. */
static rt_status quantize(const settings *s, rt_model *m, const float *x, rt_device *device, rt_model_qat *q)
{
    int *bits = calloc((size_t)m->graph->nodes, sizeof *bits);
    if (!bits) return rt_fail(RT_RUN, "out of memory");
    for (int i = 0; i < m->graph->nodes; i++) bits[i] = s->bits;
    rt_status st = rt_calibrate(m, &(rt_calibrate_spec){.bits = bits}, x, s->batch, device);
    free(bits);
    q->qat.mode = (rt_qat_mode)s->qat;
    q->qat.follow = 1;
    q->qat.momentum = 0.01f;
    return st || s->qat != RT_QAT_FROZEN ? st : rt_model_qat_freeze(q, m);
}

/* As in training on a card, whose data lies there after the first epoch: of models with one input that is no id. */
static void hold_on_card(const settings *s, const rt_model *m, const float *x, rt_row_desc *rows, rt_feed *feed,
                         uint64_t *row, rt_session_spec *spec)
{
    static const float one = 1, zero = 0;
    const rt_input *in = &m->input[0];
    if (m->inputs > 1 || in->ids) return;
    for (int i = 0; i < s->batch; i++) row[i] = (uint64_t)i;
    *rows = (rt_row_desc){.name = in->name, .shape = in->shape, .size = in->size, .type = RT_F32,
                          .bytes = in->size * sizeof *x, .channels = 1, .mul = &one, .add = &zero};
    *feed = (rt_feed){.raw = x, .rows = s->batch, .row = row, .lambda = 1};
    spec->rows = rows;
    spec->data_rows = (uint64_t)s->batch;
}

static void add_costs(const settings *s, cJSON *r, measures *m, double rate)
{
    int known = 1;
    for (int i = 0; i < s->rounds; i++) known &= isfinite(m->joules[i]);
    double joules = known ? rt_median_of(m->joules, s->rounds) : NAN;
    const char *why = *m->energy.why ? m->energy.why : "a round has no reading";
    rt_json_number(r, "joules_per_sample", joules, why);
    rt_json_number(r, "joules_per_million", joules * 1e6, why);
    if (s->price > 0) cJSON_AddNumberToObject(r, "cost_per_million", s->price / 3600 * 1e6 / rate / s->copies);
}

static rt_status bench_model(const settings *s, const cJSON *from, rt_device *device, cJSON *r)
{
    rt_model *m = NULL;
    subject p = {0};
    rt_model_qat qat = {0};
    rt_loss_batch loss[RT_MAX_HEADS];
    rt_update_desc update = {.kind = s->adamw ? RT_ADAMW : RT_SGD, .momentum = 0.9, .weight_decay = 5e-4, .beta1 = 0.9,
                             .beta2 = 0.999, .eps = 1e-8};
    RT_TRY(get_model(s, from, &m));
    size_t n = 0, k = (size_t)rt_model_width(m) * (size_t)s->batch;
    for (int i = 0; i < m->inputs; i++) if (m->input[i].size > n) n = m->input[i].size;
    n *= (size_t)s->batch;                             /* the same numbers for each input */
    float *ids = rt_floats_new(n), *x = rt_floats_new(n), *teacher = rt_floats_new(k);
    int32_t *y = calloc((size_t)s->batch, sizeof *y);
    uint8_t *labels = calloc(k, 1);
    uint64_t *row = calloc((size_t)s->batch, sizeof *row);
    int classes = INT32_MAX;
    rt_row_desc rows;
    rt_feed feed;
    rt_session_spec spec = {.graph = m->graph, .batch = s->batch, .train = s->what == TRAIN, .params = m->params,
                            .states = m->states, .update = s->what == TRAIN ? &update : NULL};
    if (!spec.train) spec.outputs = m->heads;
    else spec.losses = m->heads;
    rt_model_outputs(m, spec.output);
    for (int h = 0; h < m->heads; h++) {
        loss[h] = loss_of(s, m->head[h].task);
        loss[h].y = y;
        loss[h].labels = labels;
        loss[h].values = teacher;
        if (m->head[h].task == RT_TASK_CLASSES && m->head[h].size < classes) classes = m->head[h].size;
        loss[h].stride = (size_t)rt_model_width(m);
        if (s->kd) loss[h].teacher = teacher + m->head[h].at;
        spec.loss[h].tensor = m->head[h].tensor;
        spec.loss[h].batch = &loss[h];
    }
    rt_status st = ids && x && teacher && y && labels && row ? RT_OK : rt_fail(RT_RUN, "out of memory");
    p.x = x;
    p.answer = teacher;
    if (!st) rt_normal(x, n, 1, RT_RNG_TEST, 0);
    if (!st && s->qat) {
        st = quantize(s, m, x, device, &qat);
        spec.qat = &qat.qat;
        spec.params = m->params;
        spec.states = m->states;
    }
    if (!st && rt_model_quantized(m) && !s->qat) {
        rt_input_take(&m->input[0], m->graph->quant.bytes ? RT_U8 : RT_F32);
        st = rt_predictor_new(&p.integers, &m, 1, device, s->batch, NULL, 0);
    } else if (!st) {
        if (spec.train && !rt_device_is_cpu(device)) hold_on_card(s, m, x, &rows, &feed, row, &spec);
        st = rt_session_new(&p.session, &spec, device);
    }
    measures took;
    if (rt_device_is_cpu(device)) rt_energy_open(&took.energy, rt_energy_folder);
    else took.energy = (rt_energy){.why = "the energy of a card is not measured"};
    if (!st) {
        rt_normal(teacher, k, 1, RT_RNG_TEST, 1);
        for (int i = 0; i < s->batch; i++) y[i] = i % classes;
        rt_step step = {.rows = s->batch, .seed = 1, .first = 1, .last = 1, .summed = 1, .lr = 0.01};
        if (spec.rows) step.feed = &feed;
        for (int i = 0; i < m->inputs; i++) step.x[i] = m->input[i].ids ? ids : x;
        st = take_rounds(s, &p, &step, &took);
    }
    if (!st) {
        double median = rt_median_of(took.rate, s->rounds);
        cJSON_AddNumberToObject(r, "samples_per_second", median);
        cJSON_AddNumberToObject(r, "samples_per_cpu_second", rt_median_of(took.of_cpu, s->rounds));
        cJSON_AddNumberToObject(r, "slowest_round", took.rate[0]);
        cJSON_AddNumberToObject(r, "fastest_round", took.rate[s->rounds - 1]);
        add_costs(s, r, &took, median);
        cJSON_AddNumberToObject(r, "parameters", (double)rt_graph_param_count(m->graph));
        cJSON_AddNumberToObject(r, "macs", rt_graph_macs(m->graph));
        cJSON_AddNumberToObject(r, "gflops", median * rt_graph_macs(m->graph) * (spec.train ? 6 : 2) * 1e-9);
        if (rt_device_is_cpu(device))
            cJSON_AddNumberToObject(r, "peak_gflops_1thread", rt_kernels_peak(rt_kernels_get()));
        if (p.integers) cJSON_AddStringToObject(r, "int_kernels", rt_int_kernels_get()->name);
        if (s->profile && p.session) rt_session_describe(p.session, add_line, cJSON_AddArrayToObject(r, "profile"));
    }
    rt_session_free(p.session);
    rt_predictor_free(p.integers);
    rt_model_qat_free(&qat);
    rt_model_free(m);
    free(ids);
    free(x);
    free(teacher);
    free(y);
    free(labels);
    free(row);
    return st;
}

/* As a new process, again and again; or, once, as that process. */
static rt_status bench_cold(rt_cfg *c, rt_device *device, cJSON **result)
{
    int once = rt_cfg_bool(c, "once", 0), rounds = once ? 1 : rt_cfg_int(c, "rounds", 5, 1, RT_COLD_RUNS);
    if (once) return rt_cold_answer(c, device, result);
    rt_cold *cold = calloc(1, sizeof *cold);
    if (!cold) return rt_fail(RT_RUN, "out of memory");
    cold->model = rt_cfg_any(c, "model");
    cold->data = rt_cfg_any(c, "data");
    if (!cold->model) rt_cfg_fail(c, "model", "a model is required");
    if (!cold->data) rt_cfg_fail(c, "data", "rows are required, of which one is answered: --data");
    rt_status st = rt_cfg_end(c);
    for (int i = 0; i < rounds && !st && !*cold->why; i++) st = rt_cold_start(cold, device);
    if (!st && *cold->why) st = rt_fail(RT_INPUT, "%s", cold->why);
    if (!st) {
        *result = cJSON_CreateObject();
        cJSON_AddStringToObject(*result, "what", "cold");
        rt_cold_describe(*result, cold);
    }
    free(cold);
    return st;
}

rt_status rt_bench(cJSON *config, rt_device *device, const rt_progress *progress, cJSON **result)
{
    static const char *const whats[] = {"train", "infer", "kernels", "cold", NULL},
                             *const optimizers[] = {"sgd", "adamw", NULL}, *const losses[] = {"ce", "kd", NULL},
                             *const qats[] = {"off", "live", "frozen", NULL};
    settings s = {0};
    char family[RT_FAMILY_TEXT];
    (void)progress;
    *result = NULL;
    rt_cfg c = rt_cfg_begin(config, "");
    s.what = rt_cfg_choice(&c, "what", whats, TRAIN);
    if (s.what == COLD) return bench_cold(&c, device, result);
    s.rounds = rt_cfg_int(&c, "rounds", 3, 1, ROUNDS);
    s.seconds = rt_cfg_number(&c, "seconds", 1, 0.001, 3600);
    cJSON *arch = s.what != KERNELS ? rt_cfg_any(&c, "model") : NULL;   /* what does not apply is not known here */
    if (s.what != KERNELS) {
        s.batch = rt_cfg_int(&c, "batch", 128, 1, 65536);
        s.profile = rt_cfg_bool(&c, "profile", 0);
        s.precision = rt_precision_read(&c);
        s.price = rt_cfg_number(&c, "price_per_hour", 0, 0, 1e9);
        s.copies = rt_cfg_int(&c, "copies", 1, 1, 100000);
        if (!arch) rt_cfg_fail(&c, "model", "an architecture, or a model file, is required");
    }
    if (s.what == TRAIN) {
        s.adamw = rt_cfg_choice(&c, "optimizer", optimizers, 0);
        s.kd = rt_cfg_choice(&c, "loss", losses, 0);
        s.qat = rt_cfg_choice(&c, "qat", qats, 0);
        s.bits = s.qat ? rt_cfg_int(&c, "weights", 8, 4, 8) : 8;
    }
    RT_TRY(rt_cfg_end(&c));
    if (s.what == KERNELS && !rt_device_is_cpu(device))
        return rt_fail(RT_USAGE, "bench: the kernels that are timed are the CPU's: leave --device %s out",
                       rt_device_name(device));
    if (s.qat && !rt_device_is_cpu(device))
        return rt_fail(RT_USAGE, "qat: %s has no quantized kernels: leave qat, or --device, out",
                       rt_device_name(device));
    RT_TRY(rt_precision_take(device, s.precision, "precision"));
    cJSON *r = cJSON_CreateObject();
    cJSON_AddStringToObject(r, "what", whats[s.what]);
    cJSON_AddStringToObject(r, "kernels", rt_device_family(device, family));
    cJSON_AddNumberToObject(r, "threads", rt_device_threads(device));
    rt_status st = RT_OK;
    if (s.what != KERNELS) st = bench_model(&s, arch, device, r);
    else st = rt_bench_kernels(s.rounds, s.seconds, r);
    if (st) cJSON_Delete(r); else *result = r;
    return st;
}
