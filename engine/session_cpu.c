/* engine/session_cpu.c - sessions on the CPU, over plans. */
#include "engine/device_parts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/kernels.h"
#include "engine/losses_parts.h"
#include "engine/memory.h"
#include "engine/plan.h"

enum { TILE = 1 << 16 };               /* floats of a tile of what is done element by element */

typedef struct {
    rt_session base;
    const rt_graph *graph;
    rt_pool *pool;
    rt_plan *plan;
    rt_run run;                        /* the last: an output that is a view of the input is read where that lies */
    rt_updates *updates;
    float *buffer[RT_BUFFERS];
    size_t floats[RT_BUFFERS];
    int owned[RT_BUFFERS], losses, train, stale;
    const float *params, *states;      /* that are used: own or borrowed */
    uint64_t made;
    float decay;                       /* of the averages, of the last update */
    const rt_row_desc *rows;
    const rt_feed *feed;               /* of the step in hand */
    rt_step_result result;             /* of the last step */
    int told;                          /* it was asked for, or there is none */
} session;

static session *of(rt_session *s) { return (session *)(void *)s; }
static const session *in(const rt_session *s) { return (const session *)(const void *)s; }

static void fill(void *arg, int input, float *x, int row0, int rows)
{
    const session *s = arg;
    rt_rows_fill(&s->rows[input], s->feed, x, row0, rows);
}

static rt_status take(session *s, rt_buffer_id id, size_t floats, float *borrowed)
{
    s->floats[id] = floats;
    s->buffer[id] = borrowed ? borrowed : rt_floats_new(floats);
    s->owned[id] = !borrowed;
    return s->buffer[id] ? RT_OK : rt_fail(RT_RUN, "out of memory");
}

static rt_status take_all(session *s, const rt_session_spec *spec)
{
    const rt_graph *g = spec->graph;
    const rt_update_desc *u = spec->update;
    size_t n = g->floats[RT_PARAM], q = g->floats[RT_STATE], d = g->grad_floats;
    RT_TRY(take(s, RT_B_PARAMS, n, spec->params));
    RT_TRY(take(s, RT_B_STATES, q, spec->states));
    if (spec->train && !spec->ask) RT_TRY(take(s, RT_B_GRADS, d, NULL));
    if (spec->accumulates) RT_TRY(take(s, RT_B_SUM, d, NULL));
    if (u) RT_TRY(take(s, RT_B_M, d, NULL));
    if (u && u->kind == RT_ADAMW) RT_TRY(take(s, RT_B_V, d, NULL));
    if (u && u->ema > 0) RT_TRY(take(s, RT_B_EMA, n, NULL));
    if (u && u->ema > 0) RT_TRY(take(s, RT_B_EMA_STATES, q, NULL));
    if (spec->keeps) RT_TRY(take(s, RT_B_BEST, n, NULL));
    if (spec->keeps) RT_TRY(take(s, RT_B_BEST_STATES, q, NULL));
    return u ? rt_updates_new(&s->updates, u, g, s->pool) : RT_OK;
}

static void end(rt_session *base)
{
    session *s = of(base);
    rt_plan_free(s->plan);
    rt_updates_free(s->updates);
    for (int i = 0; i < RT_BUFFERS; i++) if (s->owned[i]) free(s->buffer[i]);
    free(s);
}

static float *buffer(const rt_session *base, rt_buffer_id id, size_t *floats)
{
    const session *s = in(base);
    if (floats) *floats = s->floats[id];
    return s->buffer[id];
}

/* The host has them. */
static rt_status nothing(rt_session *base, unsigned buffers)
{
    (void)base, (void)buffers;
    return RT_OK;
}

static void borrow(rt_session *base, const float *params, const float *states)
{
    session *s = of(base);
    if (params) s->params = params;
    if (states) s->states = states;
    s->stale = 1;
}

/* ---- element by element, in tiles ---- */

static void accumulate_tile(void *arg, int tile, int thread)
{
    session *s = arg;
    size_t first = (size_t)tile * TILE, n = s->floats[RT_B_SUM] - first;
    (void)thread;
    rt_kernels_get()->accumulate(s->buffer[RT_B_SUM] + first, s->buffer[RT_B_GRADS] + first, n < TILE ? n : TILE);
}

static void average_tile(void *arg, int tile, int thread)
{
    session *s = arg;
    size_t first = (size_t)tile * TILE, end = first + TILE;
    float *average = s->buffer[RT_B_EMA_STATES];
    const float *states = s->buffer[RT_B_STATES];
    (void)thread;
    if (end > s->floats[RT_B_STATES]) end = s->floats[RT_B_STATES];
    for (size_t i = first; i < end; i++) average[i] += (1.0f - s->decay) * (states[i] - average[i]);
}

static int tiles_of(size_t floats) { return (int)((floats + TILE - 1) / TILE); }

/* ---- steps ---- */

static void run(session *s, const rt_step *step)
{
    rt_run *r = &s->run;
    *r = (rt_run){.rows = step->rows, .params = (float *)s->params, .states = (float *)s->states,
                  .grads = s->buffer[RT_B_GRADS], .seed = step->seed, .epoch = step->epoch, .step = step->step};
    r->row_base = step->row_base;
    r->total = step->total ? step->total : step->rows;
    memcpy(r->x, step->x, sizeof r->x);
    s->feed = step->feed;
    if (s->stale && !s->train) rt_plan_prepare(s->plan, r);
    s->stale = 0;
    rt_plan_run(s->plan, r);
}

static void update(session *s, const rt_step *step)
{
    const float *g = s->buffer[RT_B_GRADS];
    if (s->buffer[RT_B_SUM]) {
        if (step->first) memcpy(s->buffer[RT_B_SUM], g, s->floats[RT_B_SUM] * sizeof *g);
        else rt_pool_run(s->pool, tiles_of(s->floats[RT_B_SUM]), accumulate_tile, s);
        g = s->buffer[RT_B_SUM];
    }
    if (!step->last) return;
    rt_update_buffers now = {.w = s->buffer[RT_B_PARAMS], .m = s->buffer[RT_B_M], .v = s->buffer[RT_B_V],
                             .ema = s->buffer[RT_B_EMA], .g = g};
    s->decay = (float)rt_updates_step(s->updates, &now, ++s->made, step->lr, 1.0 / step->summed);
    if (s->buffer[RT_B_EMA_STATES] && s->floats[RT_B_STATES])
        rt_pool_run(s->pool, tiles_of(s->floats[RT_B_STATES]), average_tile, s);
}

static rt_status step(rt_session *base, const rt_step *now)
{
    session *s = of(base);
    rt_step_result *r = &s->result;
    if (r->bad) return RT_OK;              /* what was bad stands until the session ends */
    run(s, now);
    *r = (rt_step_result){.epoch = now->epoch, .step = now->step};
    for (int i = 0; i < s->losses; i++) r->total += r->loss[i] = s->run.loss[i];
    r->bad = !isfinite(r->total) || rt_plan_fault(s->plan);
    s->told = 0;
    if (!r->bad && s->updates) update(s, now);
    return RT_OK;
}

static rt_status results(rt_session *base, int wait, rt_step_result *r, int most, int *count)
{
    session *s = of(base);
    (void)wait;
    *count = !s->told && most > 0;
    if (*count) *r = s->result;
    s->told |= *count;
    return RT_OK;
}

static uint64_t updates(const rt_session *base) { return in(base)->made; }
static void set_updates(rt_session *base, uint64_t made) { of(base)->made = made; }

static rt_status keep(rt_session *base)
{
    session *s = of(base);
    memcpy(s->buffer[RT_B_BEST], rt_session_best(base, 0), s->floats[RT_B_BEST] * sizeof(float));
    memcpy(s->buffer[RT_B_BEST_STATES], rt_session_best(base, 1), s->floats[RT_B_BEST_STATES] * sizeof(float));
    return RT_OK;
}

static void find_bad(const rt_session *base, char *text, size_t room)
{
    const session *s = in(base);
    const char *fault = rt_plan_fault(s->plan);
    char where[280];
    if (fault)
        snprintf(text, room, "as %s has no integers: it is not finite, or sums may leave 32 bits", fault);
    else if (rt_graph_find_bad(s->graph, s->buffer[RT_B_PARAMS], s->buffer[RT_B_GRADS], where, sizeof where))
        snprintf(text, room, "first in %s", where);
    else snprintf(text, room, "in the forward pass, while all weights are finite");
}

static rt_status infer(rt_session *base, const rt_step *now)
{
    run(of(base), now);
    return RT_OK;
}

static const float *output(const rt_session *base, int i) { return rt_plan_output(in(base)->plan, i); }
static const float *asked(const rt_session *base) { return rt_plan_loss_rows(in(base)->plan, 0); }
static const float *gradient(const rt_session *base, int i) { return rt_plan_gradient(in(base)->plan, i); }
static size_t bytes(const rt_session *base) { return rt_plan_bytes(in(base)->plan); }

static void describe(const rt_session *base, void (*line)(void *, const char *), void *arg)
{ rt_plan_describe(in(base)->plan, line, arg); }

static rt_status profile(rt_session *base, int on)
{
    rt_plan_profile(in(base)->plan, on);
    return RT_OK;
}

static const rt_session_kind kind = {end, buffer, nothing, nothing, borrow, step, results, updates, set_updates, keep,
                                     find_bad, infer, NULL, output, bytes, describe, profile, asked, gradient};

/* Of each row for itself: nothing is divided. */
static void ask_rows(void *arg, const rt_loss_io *io)
{
    const rt_ask *a = arg;
    for (int r = 0; r < io->rows; r++)
        io->loss[r] = (float)rt_ask_row(a->kind, a->task, io->value + (size_t)r * (size_t)io->n, io->n,
                                        a->element[io->row0 + r], io->grad + (size_t)r * (size_t)io->n);
}

rt_status rt_session_cpu(rt_session **out, const rt_session_spec *spec, rt_pool *pool)
{
    *out = NULL;
    session *s = calloc(1, sizeof *s);
    if (!s) return rt_fail(RT_RUN, "out of memory");
    *s = (session){.base = {&kind}, .graph = spec->graph, .pool = pool, .losses = spec->losses, .train = spec->train,
                   .stale = 1, .rows = spec->rows, .told = 1};
    rt_plan_spec p = {.graph = spec->graph, .batch = spec->batch, .train = spec->train, .losses = spec->losses,
                      .outputs = spec->outputs, .qat = spec->qat, .input = spec->rows ? fill : NULL, .input_arg = s};
    for (int i = 0; i < spec->losses; i++)
        p.loss[i] = rt_loss_spec_of(spec->loss[i].batch, spec->loss[i].tensor,
                                    (int)rt_shape_count(&spec->graph->tensor[spec->loss[i].tensor].shape));
    memcpy(p.output, spec->output, sizeof p.output);
    if (spec->ask) {
        p.loss[0] = (rt_loss_spec){.tensor = spec->ask->tensor, .fn = ask_rows, .arg = (void *)(uintptr_t)spec->ask};
        p.losses = 1;
        p.wants = spec->wants;
        memcpy(p.wanted, spec->wanted, sizeof p.wanted);
    }
    rt_status st = take_all(s, spec);
    if (!st) st = rt_plan_new(&s->plan, &p, pool);
    s->params = s->buffer[RT_B_PARAMS];
    s->states = s->buffer[RT_B_STATES];
    if (st) end(&s->base);
    else *out = &s->base;
    return st;
}
