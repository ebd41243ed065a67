#include "experiments/bench_job.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/clock.h"
#include "engine/session.h"
#include "engine/conv_image.h"
#include "engine/rng.h"
#include "engine/winograd.h"
#include "student/model.h"
#include "train/losses.h"

enum { TRAIN, INFER, KERNELS, ROUNDS = 101 };

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

typedef struct {
    int what, batch, rounds, kd, adamw, profile;
    double seconds;
} settings;

static void add_line(void *list, const char *text) { cJSON_AddItemToArray(list, cJSON_CreateString(text)); }

/* Rows a second in each round, of the clock and of the CPU time of all threads; one round before them warms up. */
static rt_status take_rounds(const settings *s, rt_session *p, rt_step *step, double *rate, double *of_cpu)
{
    for (int round = -1; round < s->rounds; round++) {
        double start = rt_seconds(), cpu = rt_process_seconds(), gone;
        uint64_t steps = 0;
        if (round == 0) rt_session_profile(p, s->profile);
        do {
            RT_TRY(rt_check_stop());
            for (int i = 0; i < 4; i++, steps++) {
                if (s->what == TRAIN) rt_session_step(p, step);
                else rt_session_infer(p, step);
                step->step++;
            }
        } while ((gone = rt_seconds() - start) < s->seconds);
        if (round < 0) continue;
        rate[round] = (double)steps * s->batch / gone;
        of_cpu[round] = (double)steps * s->batch / (rt_process_seconds() - cpu);
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

static rt_status bench_model(const settings *s, const cJSON *arch, rt_pool *pool, cJSON *r)
{
    rt_model *m = NULL;
    rt_session *p = NULL;
    rt_loss_batch loss[RT_MAX_HEADS];
    rt_update_desc update = {.kind = s->adamw ? RT_ADAMW : RT_SGD, .momentum = 0.9, .weight_decay = 5e-4, .beta1 = 0.9,
                             .beta2 = 0.999, .eps = 1e-8};
    RT_TRY(rt_model_new(&m, arch, 1));
    size_t n = 0, k = (size_t)rt_model_width(m) * (size_t)s->batch;
    for (int i = 0; i < m->inputs; i++) if (m->input[i].size > n) n = m->input[i].size;
    n *= (size_t)s->batch;                             /* the same numbers for each input */
    float *x = rt_floats_new(n), *teacher = rt_floats_new(k);
    int32_t *y = calloc((size_t)s->batch, sizeof *y);
    uint8_t *labels = calloc(k, 1);
    int classes = INT32_MAX;
    rt_session_spec spec = {.graph = m->graph, .batch = s->batch, .train = s->what == TRAIN, .params = m->params,
                            .states = m->states, .update = s->what == TRAIN ? &update : NULL};
    if (!spec.train) spec.outputs = m->heads;
    rt_model_outputs(m, spec.output);
    for (int h = 0; h < m->heads; h++) {
        loss[h] = loss_of(s, m->head[h].task);
        loss[h].y = y;
        loss[h].labels = labels;
        loss[h].values = teacher;
        if (m->head[h].task == RT_TASK_CLASSES && m->head[h].size < classes) classes = m->head[h].size;
        loss[h].stride = (size_t)rt_model_width(m);
        if (s->kd) loss[h].teacher = teacher + m->head[h].at;
        if (spec.train) spec.loss[spec.losses++] = rt_loss_spec_of(&loss[h], m->head[h].tensor, m->head[h].size);
    }
    rt_status st = x && teacher && y && labels ? RT_OK : rt_fail(RT_RUN, "out of memory");
    if (!st) st = rt_session_new(&p, &spec, pool);
    double rate[ROUNDS], of_cpu[ROUNDS];
    if (!st) {
        rt_normal(x, n, 1, RT_RNG_TEST, 0);
        rt_normal(teacher, k, 1, RT_RNG_TEST, 1);
        for (int i = 0; i < s->batch; i++) y[i] = i % classes;
        rt_step step = {.rows = s->batch, .seed = 1, .first = 1, .last = 1, .summed = 1, .lr = 0.01};
        for (int i = 0; i < m->inputs; i++) step.x[i] = x;
        st = take_rounds(s, p, &step, rate, of_cpu);
    }
    if (!st) {
        qsort(rate, (size_t)s->rounds, sizeof rate[0], by_value);
        qsort(of_cpu, (size_t)s->rounds, sizeof of_cpu[0], by_value);
        double median = rate[s->rounds / 2], peak = rt_kernels_peak(rt_kernels_get());
        cJSON_AddNumberToObject(r, "samples_per_second", median);
        cJSON_AddNumberToObject(r, "samples_per_cpu_second", of_cpu[s->rounds / 2]);
        cJSON_AddNumberToObject(r, "slowest_round", rate[0]);
        cJSON_AddNumberToObject(r, "fastest_round", rate[s->rounds - 1]);
        cJSON_AddNumberToObject(r, "parameters", (double)rt_graph_param_count(m->graph));
        cJSON_AddNumberToObject(r, "macs", rt_graph_macs(m->graph));
        cJSON_AddNumberToObject(r, "gflops", median * rt_graph_macs(m->graph) * (spec.train ? 6 : 2) * 1e-9);
        cJSON_AddNumberToObject(r, "peak_gflops_1thread", peak);
        if (s->profile) rt_session_describe(p, add_line, cJSON_AddArrayToObject(r, "profile"));
    }
    rt_session_free(p);
    rt_model_free(m);
    free(x);
    free(teacher);
    free(y);
    free(labels);
    return st;
}

/* What is timed of a 3x3 convolution: the direct kernels (dX is the forward kernel over dY, adding to what is there),
 * and the same sums by Winograd, as plans run them, over some images at once. */
enum { FORWARD, DX, DW, WINO_FORWARD, WINO_DW, CONV_KINDS, WINO_IMAGES = 4, PAIRS = 4096 };

typedef struct {
    const rt_kernels *k;
    int c, w;
    float *x, *y, *wt, *dw;      /* x (w + 2, w + 2, C), padded; y (w, w, C) */
    rt_wino_shape shape;
    float *images, *out, *planes, *sums, *scratch;   /* (WINO_IMAGES, w, w, C) twice, (36, C, C) twice */
} conv_case;

static void run_conv(const conv_case *b, int kind)
{
    int c = b->c, w = b->w, wp = w + 2;
    switch (kind) {
    case FORWARD: case DX: {
        rt_conv_line a = {.y = b->y,
                          .y_px = c,
                          .x = b->x,
                          .x_px = c,
                          .x_row = wp * c,
                          .w = b->wt,
                          .w_ld = c,
                          .px = w,
                          .lines = w,
                          .y_line = w * c,
                          .x_line = wp * c,
                          .kh = 3,
                          .klen = 3 * c,
                          .kw = 3,
                          .n = c,
                          .accumulate = kind == DX};
        rt_conv_image(b->k, &a);
        break;
    }
    case DW: {
        rt_conv_dw a = {.dw = b->dw,
                        .dw_ld = c,
                        .x = b->x,
                        .x_px = c,
                        .x_row = wp * c,
                        .x_line = wp * c,
                        .dy = b->y,
                        .dy_px = c,
                        .dy_line = w * c,
                        .lines = w,
                        .px = w,
                        .kh = 3,
                        .klen = 3 * c,
                        .n = c,
                        .overwrite = 1};
        b->k->conv_dw(&a);
        break;
    }
    case WINO_FORWARD:
        rt_wino_forward(b->k, &b->shape, b->out, b->images, b->planes, NULL, RT_ACT_NONE, 0, WINO_IMAGES, b->scratch);
        break;
    default:
        rt_wino_grad(b->k, &b->shape, b->sums, b->images, b->out, 0, WINO_IMAGES, b->scratch);
    }
}

typedef struct { double share, peak; } pair;

static int by_share(const void *a, const void *b)
{ return by_value(&((const pair *)a)->share, &((const pair *)b)->share); }
static int by_peak(const void *a, const void *b)
{ return by_value(&((const pair *)a)->peak, &((const pair *)b)->peak); }

/* Multiply-adds per second, as the direct sum counts them, over those of a loop in registers that runs right after,
 * each for 0.1 ms, as a shared machine changes its clock and what it leaves of a core from one millisecond to the next.
 * Of all such pairs the quarter counts in which the loop was fastest, and of their shares the median. *rate gets the
 * loop's. */
static double share_of_peak(conv_case *b, int kind, double flop, const settings *s, double *rate)
{
    pair p[PAIRS];
    double end = rt_seconds() + s->seconds / 4, probe = rt_seconds();
    double per_round = rt_kernels_fma(b->k, 1000) / 1000;
    long loop = (long)(1e-4 / (rt_seconds() - probe) * 1000) + 1;
    int n = 0;
    for (int i = 0; i < PAIRS && (i < 16 || (rt_seconds() < end && !rt_stopped())); i++) {
        int times = 0;
        double start = rt_seconds(), gone;
        do {
            run_conv(b, kind);
            times++;
        } while ((gone = rt_seconds() - start) < 1e-4);
        double middle = rt_seconds();
        rt_kernels_fma(b->k, loop);
        p[n].peak = per_round * (double)loop / (rt_seconds() - middle);
        p[n].share = flop * times / gone / p[n].peak;
        n++;
        if (kind == DX && i % 16 == 0) memset(b->y, 0, (size_t)(b->w * b->w * b->c) * sizeof *b->y); /* it adds up */
    }
    qsort(p, (size_t)n, sizeof p[0], by_peak);
    int fast = n / 4;
    *rate = p[n - fast / 2].peak * 1e-9;
    qsort(p + n - fast, (size_t)fast, sizeof p[0], by_share);
    return p[n - fast / 2].share;
}

/* What is known of a shape: of each kind, and of the loop in registers, one figure a round. */
enum { PEAK = CONV_KINDS, FIGURES };
typedef struct { int c, w; double figure[FIGURES][ROUNDS]; } conv_result;

static rt_status bench_conv(const rt_kernels *k, conv_result *r, int round, const settings *s)
{
    int c = r->c, w = r->w;
    size_t nx = (size_t)((w + 2) * (w + 2) * c), ny = (size_t)(w * w * c), nw = (size_t)(9 * c * c),
           nm = (size_t)(RT_WINO_PLANES * c * c);
    conv_case b = {.k = k,
                   .c = c,
                   .w = w,
                   .x = rt_floats_new(nx),
                   .y = rt_floats_new(ny),
                   .wt = rt_floats_new(nw),
                   .dw = rt_floats_new(nw),
                   .shape = {w, w, c, w, w, c, 1, 1},
                   .images = rt_floats_new(WINO_IMAGES * ny),
                   .out = rt_floats_new(WINO_IMAGES * ny),
                   .planes = rt_floats_new(nm),
                   .sums = rt_floats_new(nm)};
    b.scratch = rt_floats_new(rt_wino_scratch(&b.shape));
    double flop = 2.0 * w * w * 9 * c * c;
    int ok = b.x && b.y && b.wt && b.dw && b.images && b.out && b.planes && b.sums && b.scratch;
    if (ok) {
        rt_normal(b.x, nx, 1, RT_RNG_TEST, 0);
        rt_normal(b.wt, nw, 1, RT_RNG_TEST, 1);
        rt_normal(b.images, WINO_IMAGES * ny, 1, RT_RNG_TEST, 2);
        rt_wino_weights(k, b.planes, b.wt, c, c);
        for (int kind = 0; kind < CONV_KINDS; kind++) {
            run_conv(&b, kind);
            r->figure[kind][round] = share_of_peak(&b, kind, flop * (kind < WINO_FORWARD ? 1 : WINO_IMAGES), s,
                                                   &r->figure[PEAK][round]);
        }
    }
    float *owned[] = {b.x, b.y, b.wt, b.dw, b.images, b.out, b.planes, b.sums, b.scratch};
    for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++) free(owned[i]);
    return ok ? RT_OK : rt_fail(RT_RUN, "out of memory");
}

/* Rounds over all shapes, so that what disturbs a second spoils few figures of each; the median over the rounds counts.
 */
static rt_status bench_kernels(const settings *s, cJSON *list)
{
    static const char *const names[] = {"forward_of_peak",          "dx_of_peak",          "dw_of_peak",
                                        "winograd_forward_of_peak", "winograd_dw_of_peak", "peak_gflops"};
    conv_result r[] = {{16, 32, {{0}}}, {16, 28, {{0}}}, {32, 16, {{0}}}, {32, 14, {{0}}},
                       {64, 8, {{0}}},  {64, 7, {{0}}},  {128, 8, {{0}}}};
    int shapes = (int)(sizeof r / sizeof r[0]);
    for (int round = 0; round < s->rounds; round++)
        for (int i = 0; i < shapes; i++) {
            RT_TRY(bench_conv(rt_kernels_get(), &r[i], round, s));
            RT_TRY(rt_check_stop());
        }
    for (int i = 0; i < shapes; i++) {
        cJSON *q = cJSON_CreateObject();
        cJSON_AddItemToArray(list, q);
        cJSON_AddNumberToObject(q, "channels", r[i].c);
        cJSON_AddNumberToObject(q, "image", r[i].w);
        for (int f = 0; f < FIGURES; f++) {
            qsort(r[i].figure[f], (size_t)s->rounds, sizeof(double), by_value);
            cJSON_AddNumberToObject(q, names[f], r[i].figure[f][s->rounds / 2]);
        }
    }
    return RT_OK;
}

rt_status rt_bench(cJSON *config, rt_pool *pool, const rt_progress *progress, cJSON **result)
{
    static const char *const whats[] = {"train", "infer", "kernels", NULL},
                             *const optimizers[] = {"sgd", "adamw", NULL}, *const losses[] = {"ce", "kd", NULL};
    settings s = {0};
    (void)progress;
    *result = NULL;
    rt_cfg c = rt_cfg_begin(config, "");
    s.what = rt_cfg_choice(&c, "what", whats, TRAIN);
    s.rounds = rt_cfg_int(&c, "rounds", 3, 1, ROUNDS);
    s.seconds = rt_cfg_number(&c, "seconds", 1, 0.001, 3600);
    cJSON *arch = s.what != KERNELS ? rt_cfg_any(&c, "model") : NULL;   /* what does not apply is not known here */
    if (s.what != KERNELS) {
        s.batch = rt_cfg_int(&c, "batch", 128, 1, 65536);
        s.profile = rt_cfg_bool(&c, "profile", 0);
        if (!arch) rt_cfg_fail(&c, "model", "an architecture is required");
    }
    if (s.what == TRAIN) {
        s.adamw = rt_cfg_choice(&c, "optimizer", optimizers, 0);
        s.kd = rt_cfg_choice(&c, "loss", losses, 0);
    }
    RT_TRY(rt_cfg_end(&c));
    cJSON *r = cJSON_CreateObject();
    cJSON_AddStringToObject(r, "what", whats[s.what]);
    cJSON_AddStringToObject(r, "kernels", rt_kernels_get()->name);
    cJSON_AddNumberToObject(r, "threads", rt_pool_threads(pool));
    rt_status st = RT_OK;
    if (s.what != KERNELS) st = bench_model(&s, arch, pool, r);
    else st = bench_kernels(&s, cJSON_AddArrayToObject(r, "conv3x3"));
    if (st) cJSON_Delete(r); else *result = r;
    return st;
}
