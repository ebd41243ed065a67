/* engine/session.c - sessions on the CPU, over plans. */
#include "engine/session.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/kernels.h"
#include "engine/losses_parts.h"
#include "engine/memory.h"
#include "engine/plan.h"

enum { TILE = 1 << 16 };               /* floats of a tile of what is done element by element */

struct rt_session {
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
};

static void fill(void *arg, int input, float *x, int row0, int rows)
{
    const rt_session *s = arg;
    rt_rows_fill(&s->rows[input], s->feed, x, row0, rows);
}

static rt_status take(rt_session *s, rt_buffer_id id, size_t floats, float *borrowed)
{
    s->floats[id] = floats;
    s->buffer[id] = borrowed ? borrowed : rt_floats_new(floats);
    s->owned[id] = !borrowed;
    return s->buffer[id] ? RT_OK : rt_fail(RT_RUN, "out of memory");
}

static rt_status take_all(rt_session *s, const rt_session_spec *spec)
{
    const rt_graph *g = spec->graph;
    const rt_update_desc *u = spec->update;
    size_t n = g->floats[RT_PARAM], q = g->floats[RT_STATE], d = g->grad_floats;
    RT_TRY(take(s, RT_B_PARAMS, n, spec->params));
    RT_TRY(take(s, RT_B_STATES, q, spec->states));
    if (spec->train) RT_TRY(take(s, RT_B_GRADS, d, NULL));
    if (spec->accumulates) RT_TRY(take(s, RT_B_SUM, d, NULL));
    if (u) RT_TRY(take(s, RT_B_M, d, NULL));
    if (u && u->kind == RT_ADAMW) RT_TRY(take(s, RT_B_V, d, NULL));
    if (u && u->ema > 0) RT_TRY(take(s, RT_B_EMA, n, NULL));
    if (u && u->ema > 0) RT_TRY(take(s, RT_B_EMA_STATES, q, NULL));
    if (spec->keeps) RT_TRY(take(s, RT_B_BEST, n, NULL));
    if (spec->keeps) RT_TRY(take(s, RT_B_BEST_STATES, q, NULL));
    return u ? rt_updates_new(&s->updates, u, g, s->pool) : RT_OK;
}

rt_status rt_session_new(rt_session **out, const rt_session_spec *spec, rt_pool *pool)
{
    *out = NULL;
    rt_session *s = calloc(1, sizeof *s);
    if (!s) return rt_fail(RT_RUN, "out of memory");
    s->graph = spec->graph;
    s->pool = pool;
    s->losses = spec->losses;
    s->train = spec->train;
    s->stale = 1;
    s->rows = spec->rows;
    rt_plan_spec p = {.graph = spec->graph, .batch = spec->batch, .train = spec->train, .losses = spec->losses,
                      .outputs = spec->outputs, .qat = spec->qat, .input = spec->rows ? fill : NULL, .input_arg = s};
    for (int i = 0; i < spec->losses; i++)
        p.loss[i] = rt_loss_spec_of(spec->loss[i].batch, spec->loss[i].tensor,
                                    (int)rt_shape_count(&spec->graph->tensor[spec->loss[i].tensor].shape));
    memcpy(p.output, spec->output, sizeof p.output);
    rt_status st = take_all(s, spec);
    if (!st && !(s->plan = rt_plan_new(&p, pool))) st = RT_RUN;
    s->params = s->buffer[RT_B_PARAMS];
    s->states = s->buffer[RT_B_STATES];
    if (st) rt_session_free(s);
    else *out = s;
    return st;
}

void rt_session_free(rt_session *s)
{
    if (!s) return;
    rt_plan_free(s->plan);
    rt_updates_free(s->updates);
    for (int i = 0; i < RT_BUFFERS; i++) if (s->owned[i]) free(s->buffer[i]);
    free(s);
}

float *rt_session_buffer(const rt_session *s, rt_buffer_id id, size_t *floats)
{
    if (floats) *floats = s->floats[id];
    return s->buffer[id];
}

void rt_session_borrow(rt_session *s, const float *params, const float *states)
{
    if (params) s->params = params;
    if (states) s->states = states;
    s->stale = 1;
}

/* ---- element by element, in tiles ---- */

static void accumulate_tile(void *arg, int tile, int thread)
{
    rt_session *s = arg;
    size_t first = (size_t)tile * TILE, n = s->floats[RT_B_SUM] - first;
    (void)thread;
    rt_kernels_get()->accumulate(s->buffer[RT_B_SUM] + first, s->buffer[RT_B_GRADS] + first, n < TILE ? n : TILE);
}

static void average_tile(void *arg, int tile, int thread)
{
    rt_session *s = arg;
    size_t first = (size_t)tile * TILE, end = first + TILE;
    float *average = s->buffer[RT_B_EMA_STATES];
    const float *states = s->buffer[RT_B_STATES];
    (void)thread;
    if (end > s->floats[RT_B_STATES]) end = s->floats[RT_B_STATES];
    for (size_t i = first; i < end; i++) average[i] += (1.0f - s->decay) * (states[i] - average[i]);
}

static int tiles_of(size_t floats) { return (int)((floats + TILE - 1) / TILE); }

/* ---- steps ---- */

static void run(rt_session *s, rt_step *step)
{
    rt_run *r = &s->run;
    *r = (rt_run){.rows = step->rows, .params = (float *)s->params, .states = (float *)s->states,
                  .grads = s->buffer[RT_B_GRADS], .seed = step->seed, .epoch = step->epoch, .step = step->step};
    memcpy(r->x, step->x, sizeof r->x);
    s->feed = step->feed;
    if (s->stale && !s->train) rt_plan_prepare(s->plan, r);
    s->stale = 0;
    rt_plan_run(s->plan, r);
    memcpy(step->loss, r->loss, sizeof r->loss);
}

void rt_session_step(rt_session *s, rt_step *step)
{
    const float *g = s->buffer[RT_B_GRADS];
    run(s, step);
    step->total = 0;
    for (int i = 0; i < s->losses; i++) step->total += step->loss[i];
    step->bad = !isfinite(step->total) || rt_plan_fault(s->plan);
    if (step->bad || !s->updates) return;
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

uint64_t rt_session_updates(const rt_session *s) { return s->made; }
void rt_session_set_updates(rt_session *s, uint64_t made) { s->made = made; }

const float *rt_session_best(const rt_session *s, int states)
{
    const float *average = s->buffer[states ? RT_B_EMA_STATES : RT_B_EMA];
    return average ? average : s->buffer[states ? RT_B_STATES : RT_B_PARAMS];
}

void rt_session_keep(rt_session *s)
{
    memcpy(s->buffer[RT_B_BEST], rt_session_best(s, 0), s->floats[RT_B_BEST] * sizeof(float));
    memcpy(s->buffer[RT_B_BEST_STATES], rt_session_best(s, 1), s->floats[RT_B_BEST_STATES] * sizeof(float));
}

void rt_session_find_bad(const rt_session *s, char *text, size_t room)
{
    const rt_graph *g = s->graph;
    const char *fault = rt_plan_fault(s->plan);
    if (fault) {
        snprintf(text, room, "as %s has no integers: it is not finite, or sums may leave 32 bits", fault);
        return;
    }
    for (int grads = 0; grads < 2; grads++)
        for (int i = -1; (i = rt_graph_next_field(g, RT_PARAM, i)) >= 0;) {
            const rt_field *f = &g->field[i];
            if (grads && f->grad_at == RT_NOWHERE) continue;
            const float *p = grads ? s->buffer[RT_B_GRADS] + f->grad_at : s->buffer[RT_B_PARAMS] + f->offset;
            for (size_t k = 0; k < f->count; k++)
                if (!isfinite(p[k])) {
                    snprintf(text, room, "first in the %s of %s", grads ? "gradient" : "weights", f->name);
                    return;
                }
        }
    snprintf(text, room, "in the forward pass, while all weights are finite");
}

void rt_session_infer(rt_session *s, rt_step *step) { run(s, step); }
const float *rt_session_output(const rt_session *s, int i) { return rt_plan_output(s->plan, i); }
size_t rt_session_bytes(const rt_session *s) { return rt_plan_bytes(s->plan); }

void rt_session_describe(const rt_session *s, void (*line)(void *, const char *), void *arg)
{ rt_plan_describe(s->plan, line, arg); }

void rt_session_profile(rt_session *s, int on) { rt_plan_profile(s->plan, on); }
