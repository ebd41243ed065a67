/* engine/cuda/cuda_session.c - sessions on a card.
 *
 * A step is captured into a graph once for each number of rows and launched again from then on: its scalars, rows and
 * targets reach it through a ring of blocks in device memory (cuda_step.h), what it gave leaves through a ring of
 * results. The host runs ahead of the card: it waits for the block that it wants to pack, and for results that are
 * asked for. Copies to the card go through a stream of their own, so that they run beside the step before. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/cuda/cuda_feed.h"
#include "engine/cuda/cuda_losses.h"
#include "engine/cuda/cuda_session.h"
#include "engine/update_blocks.h"

typedef rt_cuda_session session;
enum { SPARE = 2 << 20 /* bytes that are lost between what is taken */ };

static session *of(rt_session *s) { return (session *)(void *)s; }
static const session *in(const rt_session *s) { return (const session *)(const void *)s; }

#define CHECK RT_CARD_CHECK

/* ---- memory ---- */

rt_status rt_cuda_session_take(session *s, void *out, size_t bytes)
{
    if (!bytes) bytes = 1;
    CHECK(s, cudaMalloc((void **)out, bytes), "taking device memory");
    s->bytes += bytes;
    return RT_OK;
}

static rt_status take_pinned(session *s, void *out, size_t bytes)
{ return rt_cuda_check(s->card, cudaMallocHost((void **)out, bytes ? bytes : 1), "taking pinned memory"); }

static rt_status take_buffer(session *s, rt_buffer_id id, size_t floats, float *borrowed)
{
    size_t bytes = floats * sizeof(float);
    s->floats[id] = floats;
    RT_TRY(rt_cuda_session_take(s, &s->device[id], bytes));
    CHECK(s, cudaMemsetAsync(s->device[id], 0, bytes, s->stream), "clearing device memory");
    s->host[id] = borrowed ? borrowed : calloc(floats ? floats : 1, sizeof(float));
    s->owned[id] = !borrowed;
    return s->host[id] ? RT_OK : rt_fail(RT_RUN, "out of memory");
}

/* Which buffers such a session has, and their floats. */
static void list_buffers(const rt_session_spec *spec, size_t floats[RT_BUFFERS], char has[RT_BUFFERS])
{
    const rt_graph *g = spec->graph;
    const rt_update_desc *u = spec->update;
    size_t n = g->floats[RT_PARAM], q = g->floats[RT_STATE], d = g->grad_floats;
    int average = u && u->ema > 0;
    const size_t all[RT_BUFFERS] = {n, q, d, d, d, d, n, q, n, q};
    const char there[RT_BUFFERS] = {1, 1, (char)(spec->train != 0), (char)(spec->accumulates != 0), (char)(u != NULL),
                                    (char)(u && u->kind == RT_ADAMW), (char)average, (char)average,
                                    (char)(spec->keeps != 0), (char)(spec->keeps != 0)};
    memcpy(floats, all, sizeof all);
    memcpy(has, there, sizeof there);
}

static rt_status take_buffers(session *s)
{
    size_t floats[RT_BUFFERS];
    char has[RT_BUFFERS];
    list_buffers(&s->spec, floats, has);
    for (int i = 0; i < RT_BUFFERS; i++)
        if (has[i])
            RT_TRY(take_buffer(s, i, floats[i], i == RT_B_PARAMS ? s->spec.params : i == RT_B_STATES ? s->spec.states
                                                                                                    : NULL));
    s->params = s->host[RT_B_PARAMS];
    s->states = s->host[RT_B_STATES];
    s->plan->home[RT_PARAM] = s->device[RT_B_PARAMS];
    s->plan->home[RT_STATE] = s->device[RT_B_STATES];
    s->plan->grads = s->device[RT_B_GRADS];
    return RT_OK;
}

/* ---- what comes beside the graph ---- */

/* How the chain's fields are trained. */
static void find_tuning(session *s, const rt_update_block *block, int blocks)
{
    const rt_cuda_chain *c = s->plan->fused;
    for (int i = 0; c && i < c->layers; i++) {
        const rt_node *n = &s->plan->graph->node[c->node[i]];
        for (int k = 0; k < n->fields && k < 2; k++)
            for (int b = 0; b < blocks; b++) {
                size_t at = s->plan->graph->field[n->field[k]].grad_at;
                if (at >= block[b].grad && at < block[b].grad + block[b].count)
                    s->chain_update.how[i][k] = block[b].how;
            }
    }
}

static rt_status set_update(session *s)
{
    const rt_update_desc *u = s->spec.update;
    rt_update_block *block;
    int blocks;
    if (!u) return RT_OK;
    RT_TRY(rt_update_blocks(&block, &blocks, u, s->spec.graph));
    rt_status st = rt_cuda_session_take(s, &s->update_block, (size_t)blocks * sizeof *block);
    if (!st)
        st = rt_cuda_check(s->card, cudaMemcpy(s->update_block, block, (size_t)blocks * sizeof *block,
                                               cudaMemcpyHostToDevice), "copying the optimizer's blocks");
    find_tuning(s, block, blocks);
    free(block);
    RT_TRY(st);
    s->update = (rt_cuda_update){
        .block = s->update_block, .blocks = blocks, .adamw = u->kind == RT_ADAMW, .nesterov = u->nesterov,
        .momentum = (float)u->momentum, .beta1 = (float)u->beta1, .beta2 = (float)u->beta2, .eps = (float)u->eps,
        .clip = u->clip, .params = s->floats[RT_B_PARAMS], .grads = s->floats[RT_B_GRADS],
        .states = s->floats[RT_B_STATES], .w = s->device[RT_B_PARAMS], .ema = s->device[RT_B_EMA],
        .g = s->device[RT_B_GRADS], .sum = s->device[RT_B_SUM], .m = s->device[RT_B_M], .v = s->device[RT_B_V],
        .state = s->device[RT_B_STATES], .ema_state = s->device[RT_B_EMA_STATES], .now = s->now,
        .trouble = s->trouble};
    s->chain_update.of = s->update;
    if (rt_cuda_chain_is_all(s->plan) && rt_cuda_chain_trains_all(s->plan) && !(u->clip > 0) && !s->update.sum &&
        !s->update.states)
        s->plan->update = &s->chain_update;
    if (!(u->clip > 0)) return RT_OK;
    RT_TRY(rt_cuda_session_take(s, &s->update.work, rt_cuda_update_work(blocks) * sizeof(double)));
    RT_TRY(rt_cuda_session_take(s, &s->update.ticket, sizeof(unsigned)));
    return rt_cuda_check(s->card, cudaMemset(s->update.ticket, 0, sizeof(unsigned)), "clearing device memory");
}

/* Floats that losses work in. */
static size_t planes_of(const rt_session_spec *spec)
{
    size_t planes = 0;
    for (int i = 0; i < spec->losses; i++) {
        int n = (int)rt_shape_count(&spec->graph->tensor[spec->loss[i].tensor].shape);
        size_t own = rt_cuda_loss_planes(&spec->loss[i].batch->config, spec->batch, n);
        if (own > planes) planes = own;
    }
    return planes;
}

static rt_status set_training(session *s)
{
    const rt_cuda_trouble none = {0, ~0ull, ~0ull};
    size_t planes = planes_of(&s->spec);
    for (int i = 0; i < s->spec.losses; i++) s->loss[i] = s->spec.loss[i].batch->config;
    RT_TRY(rt_cuda_session_take(s, &s->loss_rows, (size_t)s->spec.losses * (size_t)s->spec.batch * sizeof(float)));
    RT_TRY(rt_cuda_session_take(s, &s->planes, planes * sizeof(float)));
    RT_TRY(take_pinned(s, &s->results, RT_RESULTS * sizeof *s->results));
    RT_TRY(rt_cuda_session_take(s, &s->held_results, RT_RESULTS * sizeof *s->held_results));
    RT_TRY(rt_cuda_session_take(s, &s->trouble, sizeof none));
    CHECK(s, cudaMemcpy(s->trouble, &none, sizeof none, cudaMemcpyHostToDevice), "clearing device memory");
    for (int i = 0; i < RT_RESULTS; i++)
        CHECK(s, cudaEventCreateWithFlags(&s->done[i], cudaEventDisableTiming), "making an event");
    return set_update(s);
}

/* ---- a step ---- */

static rt_cuda_emit emit_of(session *s, int rows)
{
    return (rt_cuda_emit){.stream = s->stream, .graph = s->plan->graph, .rows = rows, .batch = s->spec.batch,
                          .train = s->spec.train, .precision = s->precision, .capability = s->card->capability,
                          .processors = s->card->processors, .now = s->now, .trouble = s->trouble, .plan = s->plan,
                          .side = s->spec.train && !s->stamps ? &s->side : NULL};
}

static rt_loss_sums sums_of(session *s, int tells, int slot)
{
    return (rt_loss_sums){.rows = s->loss_rows, .losses = s->spec.losses, .batch = s->spec.batch, .result = s->results,
                          .results = RT_RESULTS, .trouble = s->trouble, .held = s->held_results, .tells = tells,
                          .count = slot < 0 ? NULL : s->count};
}

static rt_status emit_losses(session *s, rt_cuda_emit *e, int tells, int slot)
{
    if (s->plan->fused) {
        rt_loss_sums sums = sums_of(s, tells, slot);
        return rt_cuda_chain_step(e, s->plan->fused, &s->loss[0], &sums, s->loss_rows);
    }
    for (int i = 0; i < s->spec.losses; i++) {
        int t = s->plan->loss_tensor[i], add, n = (int)rt_cuda_size(e, t);
        float *grad = rt_cuda_loss_grad(e, t, &add);
        rt_k_loss(s->stream, &s->loss[i], i, rt_cuda_value(e, t), grad, add,
                  s->loss_rows + (size_t)i * (size_t)s->spec.batch, s->planes, e->rows, n, e->now);
    }
    rt_loss_sums sums = sums_of(s, tells, slot);
    rt_k_loss_end(s->stream, &sums, e->now);
    return rt_cuda_check(s->card, cudaGetLastError(), "launching a loss");
}

rt_status rt_cuda_session_emit(session *s, int rows, int tells, int slot)
{
    rt_cuda_emit e = emit_of(s, rows);
    rt_cuda_plan_begin(&e);
    rt_cuda_ring ring = {.fixed = s->now, .blocks = s->ring, .bytes = s->block_bytes, .count_of = s->depth,
                         .count = s->count, .ticket = s->ticket};
    if (slot >= 0) {
        e.now = s->ahead + slot;
        e.given = s->ahead_rows + (size_t)slot * (size_t)s->spec.batch * rt_cuda_size(&e, e.graph->input[0]);
    }
    for (int i = 0; i < e.graph->inputs && slot < 0; i++)
        rt_k_rows(s->stream, rt_cuda_value(&e, e.graph->input[i]), s->rows + i, rt_cuda_size(&e, e.graph->input[i]),
                  rows, s->now, i ? NULL : &ring);
    CHECK(s, cudaGetLastError(), "launching the rows of a step");
    RT_TRY(rt_cuda_plan_forward(&e));
    if (!s->spec.train) return RT_OK;
    rt_cuda_stamps_layer("losses", 0);
    RT_TRY(emit_losses(s, &e, tells, slot));
    RT_TRY(rt_cuda_plan_backward(&e));
    rt_cuda_update update = s->update;
    update.now = e.now;
    if (s->spec.update && !s->plan->update) rt_k_update(s->stream, &update);
    return rt_cuda_check(s->card, cudaGetLastError(), "launching the update");
}

static rt_status step(rt_session *base, const rt_step *now)
{
    session *s = of(base);
    return s->bad ? RT_OK : rt_cuda_queue(s, now);
}

static rt_status results(rt_session *base, int wait, rt_step_result *out, int most, int *count)
{ return rt_cuda_results(of(base), wait, out, most, count); }

/* ---- buffers ---- */

static float *buffer(const rt_session *base, rt_buffer_id id, size_t *floats)
{
    const session *s = in(base);
    if (floats) *floats = s->floats[id];
    return s->host[id];
}

static rt_status copy(session *s, unsigned buffers, int to_host)
{
    RT_TRY(rt_cuda_flush(s));
    for (int i = 0; i < RT_BUFFERS; i++) {
        if (!(buffers >> i & 1) || !s->device[i] || !s->floats[i]) continue;
        size_t bytes = s->floats[i] * sizeof(float);
        cudaError_t e = to_host ? cudaMemcpyAsync(s->host[i], s->device[i], bytes, cudaMemcpyDeviceToHost, s->stream)
                                : cudaMemcpyAsync(s->device[i], s->host[i], bytes, cudaMemcpyHostToDevice, s->stream);
        CHECK(s, e, "copying weights");
    }
    return rt_cuda_check(s->card, cudaStreamSynchronize(s->stream), "copying weights");
}

static rt_status read_buffers(rt_session *base, unsigned buffers) { return copy(of(base), buffers, 1); }
/* In training, derived fields are those of frozen norms: they change when weights are written alone. */
static rt_status write_buffers(rt_session *base, unsigned buffers)
{
    session *s = of(base);
    RT_TRY(copy(s, buffers, 0));
    if (!s->spec.train || !(buffers & RT_B_WEIGHTS)) return RT_OK;
    return rt_cuda_plan_derive(s->plan, s->host[RT_B_PARAMS], s->host[RT_B_STATES], s->stream);
}

static void borrow(rt_session *base, const float *params, const float *states)
{
    session *s = of(base);
    if (params) s->params = params;
    if (states) s->states = states;
    s->stale = 1;
}

static uint64_t updates(const rt_session *base) { return in(base)->made; }
static void set_updates(rt_session *base, uint64_t made) { of(base)->made = made; }

static rt_status keep(rt_session *base)
{
    session *s = of(base);
    RT_TRY(rt_cuda_flush(s));
    for (int states = 0; states < 2; states++) {
        rt_buffer_id to = states ? RT_B_BEST_STATES : RT_B_BEST, average = states ? RT_B_EMA_STATES : RT_B_EMA;
        const float *from = s->device[average] ? s->device[average] : s->device[states ? RT_B_STATES : RT_B_PARAMS];
        CHECK(s, cudaMemcpyAsync(s->device[to], from, s->floats[to] * sizeof(float), cudaMemcpyDeviceToDevice,
                                 s->stream), "keeping the best weights");
    }
    return RT_OK;
}

/* The field that float `at` of parameters, or of gradients, belongs to. */
static const char *field_at(const rt_graph *g, unsigned long long at, int grads)
{
    for (int i = -1; (i = rt_graph_next_field(g, RT_PARAM, i)) >= 0;) {
        const rt_field *f = &g->field[i];
        size_t first = grads ? f->grad_at : f->offset;
        if (first != RT_NOWHERE && at >= first && at < first + f->count) return f->name;
    }
    return "?";
}

static void find_bad(const rt_session *base, char *text, size_t room)
{
    const session *s = in(base);
    rt_cuda_trouble t;
    if (cudaMemcpy(&t, s->trouble, sizeof t, cudaMemcpyDeviceToHost) != cudaSuccess)
        snprintf(text, room, "and the card no longer answers");
    else if (t.weight != ~0ull)
        snprintf(text, room, "first in the weights of %s", field_at(s->spec.graph, t.weight, 0));
    else if (t.gradient != ~0ull)
        snprintf(text, room, "first in the gradient of %s", field_at(s->spec.graph, t.gradient, 1));
    else snprintf(text, room, "in the forward pass, while all weights are finite");
}

/* ---- inference ---- */

static rt_status refresh(session *s)
{
    const float *const from[] = {s->params, s->states};
    for (int i = 0; i < 2; i++) {
        rt_buffer_id id = i ? RT_B_STATES : RT_B_PARAMS;
        if (!s->floats[id]) continue;
        CHECK(s, cudaMemcpyAsync(s->device[id], from[i], s->floats[id] * sizeof(float), cudaMemcpyHostToDevice,
                                 s->stream), "copying weights");
    }
    CHECK(s, cudaStreamSynchronize(s->stream), "copying weights");
    RT_TRY(rt_cuda_plan_derive(s->plan, s->params, s->states, s->stream));
    s->stale = 0;
    return RT_OK;
}

static rt_asked_rows asked_by(const rt_step *now)
{
    const rt_feed *f = now->feed;
    return f ? (rt_asked_rows){f->raw, f->first, f->rows} : (rt_asked_rows){now->x[0], 0, now->rows};
}

/* A step and, behind it, the way of its answers to the host. */
static rt_status begin(session *s, const rt_step *now)
{
    RT_ASSERT(s->begun < RT_AHEAD);
    if (s->stale) RT_TRY(refresh(s));
    int part = (int)(s->number % RT_AHEAD);
    RT_TRY(rt_cuda_queue(s, now));
    rt_cuda_emit e = emit_of(s, now->rows);
    for (int i = 0; i < s->plan->outputs; i++) {
        int t = s->plan->output[i];
        CHECK(s, cudaMemcpyAsync(s->output[i] + (size_t)part * s->output_floats[i], rt_cuda_value(&e, t),
                                 rt_cuda_size(&e, t) * (size_t)now->rows * sizeof(float), cudaMemcpyDeviceToHost,
                                 s->stream), "copying answers");
    }
    s->asked[part] = asked_by(now);
    s->begun++;
    return rt_cuda_check(s->card, cudaEventRecord(s->done[part], s->stream), "computing answers");
}

/* After an error nobody asks for what was begun. */
static rt_status forget(session *s, rt_status st)
{
    if (st && s->begun) cudaStreamSynchronize(s->stream);
    if (st) s->begun = 0;
    return st;
}

static rt_status ahead(rt_session *base, const rt_step *now)
{
    session *s = of(base);
    if (now) return forget(s, begin(s, now));
    if (s->begun) cudaStreamSynchronize(s->stream);
    s->begun = 0;
    return RT_OK;
}

static rt_status infer(rt_session *base, const rt_step *now)
{
    session *s = of(base);
    if (!s->begun) RT_TRY(forget(s, begin(s, now)));
    s->answered = (int)((s->number - (uint64_t)s->begun) % RT_AHEAD);
    rt_asked_rows a = asked_by(now), b = s->asked[s->answered];
    RT_ASSERT(a.from == b.from && a.first == b.first && a.rows == b.rows);
    s->begun--;
    return forget(s, rt_cuda_check(s->card, cudaEventSynchronize(s->done[s->answered]), "computing answers"));
}

static const float *output(const rt_session *base, int i)
{
    const session *s = in(base);
    return s->output[i] + (size_t)s->answered * s->output_floats[i];
}

static rt_status set_inference(session *s)
{
    for (int i = 0; i < RT_AHEAD; i++)
        CHECK(s, cudaEventCreateWithFlags(&s->done[i], cudaEventDisableTiming), "making an event");
    for (int i = 0; i < s->plan->outputs; i++) {
        s->output_floats[i] = rt_shape_count(&s->plan->graph->tensor[s->plan->output[i]].shape) * (size_t)s->spec.batch;
        RT_TRY(take_pinned(s, &s->output[i], RT_AHEAD * s->output_floats[i] * sizeof(float)));
    }
    return RT_OK;
}

static size_t bytes(const rt_session *base) { return in(base)->bytes; }

static void describe(const rt_session *base, void (*line)(void *, const char *), void *arg)
{
    const session *s = in(base);
    char text[160];
    snprintf(text, sizeof text,
             "%zu launches in one graph for %d rows; %.1f MiB of device memory, of which %d blocks of "
             "rows and targets %.1f",
             s->launches - (s->stamps ? (size_t)rt_cuda_stamps_count(s->stamps) : 0), s->spec.batch,
             (double)s->bytes / 0x1p20, s->depth, (double)((size_t)s->depth * s->block_bytes) / 0x1p20);
    line(arg, text);
    if (s->together > 1) {
        snprintf(text, sizeof text, "%d steps are launched together", s->together);
        line(arg, text);
    }
    rt_cuda_plan_describe(s->plan, line, arg);
    if (s->stamps) rt_cuda_stamps_describe(s->stamps, line, arg);
}

/* Steps go one by one then, by graphs with stamps in them. */
static rt_status profile(rt_session *base, int on)
{
    session *s = of(base);
    if (!on == !s->stamps) return RT_OK;
    RT_TRY(rt_cuda_flush(s));
    CHECK(s, cudaStreamSynchronize(s->stream), "waiting for steps");
    rt_cuda_forget_graphs(s);
    rt_cuda_stamps_free(s->stamps);
    s->stamps = NULL;
    s->group = on ? 1 : s->together;
    return on ? rt_cuda_stamps_new(&s->stamps, &s->bytes) : RT_OK;
}

static void end(rt_session *base)
{
    session *s = of(base);
    if (s->copies) cudaStreamSynchronize(s->copies);
    if (s->stream) cudaStreamSynchronize(s->stream);
    rt_cuda_forget_graphs(s);
    if (s->copies) cudaStreamDestroy(s->copies);
    rt_cuda_side_free(&s->side);
    if (s->stream) cudaStreamDestroy(s->stream);        /* nothing is queued behind what is freed now */
    rt_cuda_plan_free(s->plan);
    rt_cuda_stamps_free(s->stamps);
    rt_pool_free(s->packers);
    free(s->held.seen);
    void *device[] = {s->ring, s->held.rows, s->count, s->ticket, s->now, s->rows, s->trouble, s->loss_rows, s->planes,
                      s->update_block, s->update.work, s->update.ticket, s->held_results,
                      s->ahead};
    void *pinned[] = {s->block, s->results};
    for (size_t i = 0; i < sizeof device / sizeof device[0]; i++) if (device[i]) cudaFree(device[i]);
    for (size_t i = 0; i < sizeof pinned / sizeof pinned[0]; i++) if (pinned[i]) cudaFreeHost(pinned[i]);
    for (int i = 0; i < RT_MAX_OUTPUTS; i++) if (s->output[i]) cudaFreeHost(s->output[i]);
    for (int i = 0; i < RT_MAX_INPUTS; i++) {
        if (s->row_lists[i]) cudaFree(s->row_lists[i]);
        free((void *)(uintptr_t)s->seen[i].mul);
    }
    for (int i = 0; i < RT_BUFFERS; i++) {
        if (s->device[i]) cudaFree(s->device[i]);
        if (s->owned[i]) free(s->host[i]);
    }
    for (int i = 0; i < 2 * RT_GROUP; i++) if (s->copied[i]) cudaEventDestroy(s->copied[i]);
    for (int i = 0; i < RT_RESULTS; i++) if (s->done[i]) cudaEventDestroy(s->done[i]);
    if (s->in_turn) cudaEventDestroy(s->in_turn);
    free(s);
}

static const rt_session_kind kind = {end, buffer, read_buffers, write_buffers, borrow, step, results, updates,
                                     set_updates, keep, find_bad, infer, ahead, output, bytes, describe, profile,
                                     NULL, NULL};

/* ---- making one ---- */

/* Bytes of device memory that a batch needs: activations, buffers, blocks, losses, and what goes lost between them. */
static rt_status need_of(const rt_session_spec *spec, const rt_cuda_card *card, size_t *need)
{
    rt_cuda_plan *p;
    size_t floats[RT_BUFFERS];
    char has[RT_BUFFERS];
    RT_TRY(rt_cuda_plan_new(&p, spec, card));
    int group;
    size_t block = rt_cuda_block_bytes(spec, spec->graph, spec->rows ? spec->rows[0].bytes : 0);
    int depth = rt_cuda_ring_depth(p, block, &group);
    *need = rt_cuda_plan_bytes(p) + (size_t)depth * block + rt_cuda_ahead_bytes(spec, depth, group);
    list_buffers(spec, floats, has);
    for (int i = 0; i < RT_BUFFERS; i++) *need += has[i] ? floats[i] * sizeof(float) : 0;
    size_t planes = planes_of(spec);
    *need += ((size_t)spec->losses * (size_t)spec->batch + planes) * sizeof(float) + SPARE;
    rt_cuda_plan_free(p);
    return RT_OK;
}

/* Before anything is taken: whether it fits, and the largest batch that does. */
static rt_status check_memory(const rt_session_spec *spec, const rt_cuda_card *card)
{
    size_t need, available = 0, all = 0;
    RT_TRY(need_of(spec, card, &need));
    RT_TRY(rt_cuda_check(card, cudaMemGetInfo(&available, &all), "asking for free device memory"));
    if (need <= available) return RT_OK;
    rt_session_spec less = *spec;
    int fits = 0, most = spec->batch;
    size_t other;
    for (int low = 1; low < most;) {
        less.batch = low + (most - low) / 2;
        RT_TRY(need_of(&less, card, &other));
        if (other <= available) low = (fits = less.batch) + 1;
        else most = less.batch;
    }
    char hint[80] = "not even a batch of 1 would fit";
    if (fits) snprintf(hint, sizeof hint, "a batch of %d would fit", fits);
    return rt_fail(RT_RUN, "cuda:%d: out of device memory: a batch of %d needs %.1f MiB, %.1f MiB are free; %s",
                   card->index, spec->batch, (double)need / 0x1p20, (double)available / 0x1p20, hint);
}

static rt_status check_losses(const rt_session_spec *spec)
{
    if (spec->ask) return rt_fail(RT_USAGE, "gradients of inputs are computed by the CPU alone; use --device cpu");
    for (int i = 0; i < spec->losses; i++)
        if (spec->loss[i].batch->focal.on)
            return rt_fail(RT_USAGE, "loss.focal is computed by the CPU alone; train on it (--device cpu)");
    return RT_OK;
}

static rt_status make(session *s)
{
    RT_TRY(check_losses(&s->spec));
    CHECK(s, cudaSetDevice(s->card->index), "choosing the card");
    RT_TRY(check_memory(&s->spec, s->card));
    CHECK(s, cudaStreamCreateWithFlags(&s->stream, cudaStreamNonBlocking), "making a stream");
    CHECK(s, cudaStreamCreateWithFlags(&s->copies, cudaStreamNonBlocking), "making a stream");
    if (s->spec.train) CHECK(s, rt_cuda_side_new(&s->side), "making a stream");
    for (int i = 0; i < 2 * RT_GROUP; i++)
        CHECK(s, cudaEventCreateWithFlags(&s->copied[i], cudaEventDisableTiming), "making an event");
    CHECK(s, cudaEventCreateWithFlags(&s->in_turn, cudaEventDisableTiming), "making an event");
    RT_TRY(rt_cuda_plan_new(&s->plan, &s->spec, s->card));
    RT_TRY(rt_cuda_plan_take(s->plan, s->stream));
    s->bytes += rt_cuda_plan_bytes(s->plan);
    RT_TRY(take_buffers(s));
    RT_TRY(rt_cuda_session_take(s, &s->count, sizeof *s->count));
    RT_TRY(rt_cuda_session_take(s, &s->now, sizeof *s->now));
    RT_TRY(rt_cuda_session_take(s, &s->rows, RT_MAX_INPUTS * sizeof *s->rows));
    RT_TRY(rt_cuda_session_take(s, &s->ticket, sizeof *s->ticket));
    CHECK(s, cudaMemsetAsync(s->count, 0, sizeof *s->count, s->stream), "clearing device memory");
    CHECK(s, cudaMemsetAsync(s->ticket, 0, sizeof *s->ticket, s->stream), "clearing device memory");
    RT_TRY(s->spec.train ? set_training(s) : set_inference(s));
    RT_TRY(rt_cuda_look_at_rows(s));
    RT_TRY(rt_cuda_hold_rows(s));
    cudaGraphExec_t exec;
    RT_TRY(rt_cuda_find_graph(s, s->spec.batch, 1, -1, &exec));
    for (int slot = 0; slot < s->depth && s->group > 1; slot += s->group)
        RT_TRY(rt_cuda_find_graph(s, s->spec.batch, s->group, s->ahead ? slot : -1, &exec));
    return rt_cuda_check(s->card, cudaStreamSynchronize(s->stream), "making a session");
}

rt_status rt_session_cuda_takes(const void *card, const rt_session_spec *spec)
{
    rt_cuda_plan *p;
    RT_TRY(check_losses(spec));
    RT_TRY(rt_cuda_plan_new(&p, spec, card));
    rt_cuda_plan_free(p);
    return RT_OK;
}

rt_status rt_session_cuda(rt_session **out, const rt_session_spec *spec, rt_device *device)
{
    *out = NULL;
    session *s = calloc(1, sizeof *s);
    if (!s) return rt_fail(RT_RUN, "out of memory");
    *s = (session){.base = {&kind}, .card = device->card, .spec = *spec, .precision = device->precision, .stale = 1,
                   .threads = rt_device_threads(device)};
    rt_status st = make(s);
    if (st) end(&s->base);
    else *out = &s->base;
    return st;
}
