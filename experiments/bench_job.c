#include "experiments/bench_job.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/clock.h"
#include "engine/conv_image.h"
#include "engine/rng.h"
#include "student/model.h"
#include "train/losses.h"
#include "train/optimizer.h"

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

static rt_status bench_model(const settings *s, const cJSON *arch, rt_pool *pool, cJSON *r)
{
    rt_model *m = NULL;
    rt_optimizer *o = NULL;
    rt_plan *p = NULL;
    rt_loss_batch loss = {.config = {.hard = s->kd ? 0.1f : 1, .soft = s->kd ? 0.9f : 0, .kind = s->kd ? RT_SOFT_KD : RT_SOFT_NONE, .temperature = 4}, .lambda = 1, .soft_scale = 1};
    rt_optimizer_config c = {.kind = s->adamw ? RT_ADAMW : RT_SGD, .lr = 0.01, .momentum = 0.9, .weight_decay = 5e-4, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8};
    RT_TRY(rt_model_new(&m, arch, 1));
    size_t n = rt_model_input_size(m) * (size_t)s->batch, k = (size_t)m->classes * (size_t)s->batch;
    float *x = rt_floats_new(n), *grads = rt_floats_new(m->graph->param_floats), *teacher = rt_floats_new(k);
    int32_t *y = calloc((size_t)s->batch, sizeof *y);
    rt_plan_spec spec = {.graph = m->graph, .batch = s->batch, .train = s->what == TRAIN};
    if (spec.train) spec.loss[spec.losses++] = (rt_loss_spec){.tensor = m->graph->output, .fn = rt_loss_fn_logits, .arg = &loss, .scratch_planes = RT_LOSS_PLANES};
    rt_status st = x && grads && teacher && y ? RT_OK : rt_fail(RT_RUN, "out of memory");
    if (!st) st = rt_optimizer_new(&o, &c, m->graph, pool, m->params);
    if (!st && !(p = rt_plan_new(&spec, pool))) st = RT_RUN;
    if (!st) {
        double rate[ROUNDS];
        rt_normal(x, n, 1, RT_RNG_TEST, 0);
        rt_normal(teacher, k, 1, RT_RNG_TEST, 1);
        for (int i = 0; i < s->batch; i++) y[i] = i % m->classes;
        loss.y = y;
        loss.teacher = s->kd ? teacher : NULL;
        rt_run run = {.rows = s->batch, .x = x, .params = m->params, .states = m->states, .grads = grads, .seed = 1};
        rt_plan_prepare(p, &run);
        for (int round = -1; round < s->rounds; round++) {      /* the first one warms up */
            double start = rt_seconds(), gone;
            uint64_t steps = 0;
            if (round == 0) rt_plan_profile(p, s->profile);
            do {
                for (int i = 0; i < 4; i++, steps++) {
                    rt_plan_run(p, &run);
                    if (spec.train) rt_optimizer_step(o, m->params, grads, 0.01, 1);
                    run.step++;
                }
            } while ((gone = rt_seconds() - start) < s->seconds);
            if (round >= 0) rate[round] = (double)steps * s->batch / gone;
        }
        qsort(rate, (size_t)s->rounds, sizeof rate[0], by_value);
        double median = rate[s->rounds / 2], peak = rt_kernels_peak(rt_kernels_get());
        cJSON_AddNumberToObject(r, "samples_per_second", median);
        cJSON_AddNumberToObject(r, "slowest_round", rate[0]);
        cJSON_AddNumberToObject(r, "fastest_round", rate[s->rounds - 1]);
        cJSON_AddNumberToObject(r, "parameters", (double)rt_graph_param_count(m->graph));
        cJSON_AddNumberToObject(r, "macs", rt_graph_macs(m->graph));
        cJSON_AddNumberToObject(r, "gflops", median * rt_graph_macs(m->graph) * (spec.train ? 6 : 2) * 1e-9);
        cJSON_AddNumberToObject(r, "peak_gflops_1thread", peak);
        if (s->profile) rt_plan_describe(p, add_line, cJSON_AddArrayToObject(r, "profile"));
    }
    rt_plan_free(p);
    rt_optimizer_free(o);
    rt_model_free(m);
    free(x);
    free(grads);
    free(teacher);
    free(y);
    return st;
}

/* A 3x3 convolution of c channels on a w x w image; GFLOP/s of the best of several repeats, alternating with the peak. */
static void bench_conv(const rt_kernels *k, int c, int w, const settings *s, cJSON *list)
{
    int wp = w + 2;
    size_t nx = (size_t)(wp * wp * c), ny = (size_t)(w * w * c), nw = (size_t)(9 * c * c);
    float *x = rt_floats_new(nx), *y = rt_floats_new(ny), *wt = rt_floats_new(nw), *dw = rt_floats_new(nw);
    double rate[3][ROUNDS], peak[ROUNDS], flop = 2.0 * w * w * 9 * c * c;
    if (x && y && wt && dw) {
        rt_normal(x, nx, 1, RT_RNG_TEST, 0);
        rt_normal(wt, nw, 1, RT_RNG_TEST, 1);
        for (int round = 0; round < s->rounds; round++) {
            peak[round] = rt_kernels_peak(k);
            for (int kind = 0; kind < 3; kind++) {      /* forward; dX, the same kernel over dY; dW */
                /* Short bursts, the best of which counts, as for the peak: a shared machine takes time away from long ones. */
                double end = rt_seconds() + s->seconds / 20, best = 1e9;
                do {
                    double start = rt_seconds();
                    if (kind < 2) {
                        rt_conv_line a = {.y = y, .y_px = c, .x = x, .x_px = c, .x_row = wp * c, .w = wt, .w_ld = c, .px = w, .kh = 3, .klen = 3 * c, .kw = 3, .n = c, .accumulate = kind};
                        rt_conv_image(k, &a, w, w * c, wp * c);
                    } else {
                        rt_conv_dw a = {.dw = dw, .dw_ld = c, .x = x, .x_px = c, .x_row = wp * c, .x_line = wp * c, .dy = y, .dy_px = c, .dy_line = w * c, .lines = w, .px = w, .kh = 3, .klen = 3 * c, .n = c, .overwrite = 1};
                        k->conv_dw(&a);
                    }
                    double gone = rt_seconds() - start;
                    if (gone < best) best = gone;
                } while (rt_seconds() < end);
                if (kind == 1) memset(y, 0, ny * sizeof *y);
                rate[kind][round] = flop / best * 1e-9 / peak[round];
            }
        }
        static const char *const names[] = {"forward_of_peak", "dx_of_peak", "dw_of_peak"};
        cJSON *q = cJSON_CreateObject();
        cJSON_AddItemToArray(list, q);
        cJSON_AddNumberToObject(q, "channels", c);
        cJSON_AddNumberToObject(q, "image", w);
        for (int kind = 0; kind < 3; kind++) {
            qsort(rate[kind], (size_t)s->rounds, sizeof(double), by_value);
            cJSON_AddNumberToObject(q, names[kind], rate[kind][s->rounds / 2]);
        }
        qsort(peak, (size_t)s->rounds, sizeof(double), by_value);
        cJSON_AddNumberToObject(q, "peak_gflops", peak[s->rounds / 2]);
    }
    free(x);
    free(y);
    free(wt);
    free(dw);
}

rt_status rt_bench(cJSON *config, rt_pool *pool, const rt_progress *progress, cJSON **result)
{
    static const char *const whats[] = {"train", "infer", "kernels", NULL}, *const optimizers[] = {"sgd", "adamw", NULL}, *const losses[] = {"ce", "kd", NULL};
    settings s;
    (void)progress;
    *result = NULL;
    rt_cfg c = rt_cfg_begin(config, "");
    s.what = rt_cfg_choice(&c, "what", whats, TRAIN);
    cJSON *arch = rt_cfg_any(&c, "model");
    s.batch = rt_cfg_int(&c, "batch", 128, 1, 65536);
    s.rounds = rt_cfg_int(&c, "rounds", 3, 1, ROUNDS);
    s.seconds = rt_cfg_number(&c, "seconds", 1, 0.001, 3600);
    s.adamw = rt_cfg_choice(&c, "optimizer", optimizers, 0);
    s.kd = rt_cfg_choice(&c, "loss", losses, 0);
    s.profile = rt_cfg_bool(&c, "profile", 0);
    if (s.what != KERNELS && !arch) rt_cfg_fail(&c, "model", "an architecture is required");
    RT_TRY(rt_cfg_end(&c));
    cJSON *r = cJSON_CreateObject();
    cJSON_AddStringToObject(r, "what", whats[s.what]);
    cJSON_AddStringToObject(r, "kernels", rt_kernels_get()->name);
    cJSON_AddNumberToObject(r, "threads", rt_pool_threads(pool));
    rt_status st = RT_OK;
    if (s.what != KERNELS) st = bench_model(&s, arch, pool, r);
    else {
        static const int shapes[][2] = {{16, 32}, {16, 28}, {32, 16}, {32, 14}, {64, 8}, {64, 7}, {128, 8}};
        cJSON *list = cJSON_AddArrayToObject(r, "conv3x3");
        for (int i = 0; i < 7; i++) bench_conv(rt_kernels_get(), shapes[i][0], shapes[i][1], &s, list);
    }
    if (st) cJSON_Delete(r); else *result = r;
    return st;
}
