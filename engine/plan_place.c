/* engine/plan_place.c - the planner's second half: what lives how long, how the batch is cut, where all of it lies.
 *
 * The batch is cut twice. Into slots, for threads: there should be many, but each has costs of its own (weights are
 * read again, sums are written and merged), which must stay small against its work. Into chunks, for the cache: as many
 * rows as fit with all that is alive between two calls. Neither may depend on the number of threads while training,
 * since sums of gradients are cut with the slots; inference is free to. */
#include <limits.h>
#include <math.h>
#include <stdlib.h>

#include "engine/place.h"
#include "engine/plan_build.h"

enum {
    CHUNK_BYTES = 256 << 10,       /* what is alive of a chunk at a time: half of a small L2 */
    PAIR_BYTES = 512 << 10,        /* the same of two rows, which share the way of weights from there */
    WIDE_BYTES = 8 << 20,          /* the same where weights leave no room for it in L2 anyhow */
    WIDE_FLOATS = 256 << 10,       /* of weights, from which that is so */
    SLOTS = 64,                    /* of a batch, at most */
    SLOT_WORK = 1 << 18,           /* multiply-adds of a slot, at least */
    REUSE = 32, WIDE_REUSE = 256,  /* multiply-adds for each float of weights that a slot, a chunk reads, at least */
    THREAD_SLOTS = 4               /* inference: slots for each thread */
};

/* Life spans of values follow from the calls that name them; calls are numbered through all phases. */
static void find_spans(rt_plan *p)
{
    for (int v = 0; v < p->values; v++) {
        rt_value *x = &p->value[v];
        x->first = x->first_call = INT_MAX;
        x->last = x->last_call = -1;
    }
    for (int ph = 0; ph < p->phases; ph++)
        for (int i = p->phase[ph].first; i < p->phase[ph].first + p->phase[ph].count; i++)
            for (int k = 0; k < RT_CALL_VALUES; k++) {
                int v = p->call[i].value[k];
                if (v < 0) continue;
                rt_value *x = &p->value[v];
                if (x->last < 0) {
                    x->first = ph;
                    x->first_call = i;
                }
                x->last = ph;
                x->last_call = i;
            }
    for (int v = 0; v < p->values; v++) {
        rt_value *x = &p->value[v];
        x->local = !x->external && x->first == x->last && p->phase[x->first].tiles == 0;
    }
    for (int i = 0; i < p->spec.outputs + p->spec.wants; i++) {
        int v = i < p->spec.outputs ? p->output_value[i] : p->wanted_value[i - p->spec.outputs];
        if (v < 0) continue;
        p->value[v].local = 0;
        p->value[v].last = p->phases;
    }
}

static size_t aligned(size_t n) { return (n + 63) & ~(size_t)63; }

/* ---- slots and chunks ---- */

/* Of a row of the phase; live in bytes. Weights count for slots what they cost, held as many floats as they are. */
typedef struct { double work, weights, held, live; int grain; } load;

/* What a call reads of its node's fields, in floats. */
static double held_by(const rt_plan *p, const rt_call *c)
{
    double floats = 0;
    for (int i = 0; c->node && i < c->node->fields; i++) floats += (double)p->graph->field[c->node->field[i]].count;
    return fmin(floats, c->weights);
}

static load load_of(const rt_plan *p, const rt_phase *f)
{
    load l = {.grain = 1};
    for (int i = f->first; i < f->first + f->count; i++) {
        const rt_call *c = &p->call[i];
        double live = 0;
        for (int v = 0; v < p->values; v++) {
            const rt_value *x = &p->value[v];
            int used = 0;
            for (int k = 0; k < RT_CALL_VALUES; k++) used |= c->value[k] == v;
            if (used) l.work += (double)x->row_bytes / (double)sizeof(float);
            if (used || (x->local && x->first_call <= i && i <= x->last_call)) live += (double)x->row_bytes;
        }
        l.work += c->work;
        l.weights += c->weights;
        l.held += held_by(p, c);
        if (c->grain > l.grain) l.grain = c->grain;
        if (live > l.live) l.live = live;
    }
    l.work = l.work / f->px + 1;
    l.live = l.live / f->px + 1;
    return l;
}

static int round_up(double rows, int grain) { return (int)(ceil(rows / grain) * grain); }

static int least(int a, int b) { return a < b ? a : b; }

static void cut(rt_plan *p, rt_phase *f)
{
    load l = load_of(p, f);
    double all = (double)p->spec.batch * f->px, rows = fmax(SLOT_WORK / l.work, REUSE * l.weights / l.work);
    int threads = rt_pool_threads(p->pool), grain = l.grain > 8 || rows <= 8 ? l.grain : 8;
    if (p->spec.train) rows = fmax(rows, all / SLOTS);
    else rows = fmin(fmax(rows, all / (THREAD_SLOTS * threads)), ceil(all / threads));
    f->rows = round_up(fmax(fmin(rows, all), 1), grain);
    f->slots = (int)ceil(all / f->rows);
    double chunk = CHUNK_BYTES / l.live;
    double weights = p->spec.train ? l.weights : l.held;      /* chunks of training decide its sums: they stay */
    if (!p->spec.train && 2 * l.live <= PAIR_BYTES) chunk = fmax(chunk, 2);
    if (weights > WIDE_FLOATS)
        chunk = fmax(chunk, fmin(WIDE_REUSE * weights / l.work, WIDE_BYTES / l.live));
    f->chunk = least(chunk < l.grain ? l.grain : (int)fmin(chunk, f->rows) / l.grain * l.grain, f->rows);
}

/* ---- places ---- */

static void place_rooms(rt_plan *p)
{
    for (int i = 0; i < p->rooms; i++) {
        rt_room *r = &p->room[i];
        if (!r->rows) {
            const rt_phase *f = &p->phase[r->phase];
            r->rows = f->rows;
            r->slots = f->slots;
            r->px = f->px;
        }
        r->floats = (r->floats + 15) & ~(size_t)15;
        r->at = p->slot_floats;
        p->slot_floats += r->floats * (size_t)r->slots;
    }
}

rt_status rt_plan_place(rt_plan *p)
{
    rt_span *s = calloc((size_t)p->values + 1, sizeof *s);
    if (!s) return rt_fail(RT_RUN, "out of memory for a plan");
    int n = 0;
    find_spans(p);
    for (int v = 0; v < p->values; v++) {
        rt_value *x = &p->value[v];
        if (x->local || x->external || x->last < 0) continue;
        s[n++] = (rt_span){aligned(x->row_bytes * (size_t)p->spec.batch), x->first, x->last, &x->offset};
    }
    p->arena_bytes = rt_place(s, n);
    for (int ph = 0; ph < p->phases; ph++) {
        rt_phase *f = &p->phase[ph];
        if (f->tiles) continue;
        cut(p, f);
        n = 0;
        for (int v = 0; v < p->values; v++) {
            rt_value *x = &p->value[v];
            if (x->local && x->first == ph)
                s[n++] = (rt_span){aligned(x->row_bytes * (size_t)f->chunk / (size_t)f->px + 1), x->first_call,
                                x->last_call, &x->offset};
        }
        f->arena = rt_place(s, n);
        if (f->arena > p->local_bytes) p->local_bytes = f->arena;
    }
    p->local_bytes = aligned(p->local_bytes) + 64;
    place_rooms(p);
    free(s);
    return RT_OK;
}
