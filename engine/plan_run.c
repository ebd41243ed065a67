/* engine/plan_run.c - the running half of plans: phases, tiles, slots. */
#include <stdio.h>
#include <string.h>

#include "engine/clock.h"
#include "engine/plan_build.h"

float *rt_slot_sums(const rt_ctx *c, int room, int slot)
{
    const rt_room *r = &c->plan->room[room];
    RT_ASSERT(slot < r->slots);
    return c->plan->slot_grads + r->at + (size_t)slot * r->floats;
}

float *rt_slot_grad(const rt_ctx *c, const rt_node *n, int i, int row0)
{
    float *g = rt_slot_sums(c, c->plan->slot_room[c->plan->use[n - c->plan->node] + i], c->slot);
    if (row0 == c->slot_row0) memset(g, 0, c->plan->graph->field[n->field[i]].count * sizeof *g);
    return g;
}

static int slots_of(int rows, int px, int slot_rows)
{ return (int)(((int64_t)rows * px + slot_rows - 1) / slot_rows); }

int rt_slots_used(const rt_ctx *c, int room)
{
    const rt_room *r = &c->plan->room[room];
    return slots_of(c->run->rows, r->px, r->rows);
}

void rt_merge_slots(const rt_ctx *c, float *sum, int room, size_t first, size_t n)
{
    const rt_room *r = &c->plan->room[room];
    c->plan->k->reduce_slots(sum, c->plan->slot_grads + r->at + first, r->floats, rt_slots_used(c, room), n);
}

static inline void call_fn(rt_plan *p, rt_call *c, rt_ctx *x, int a, int b)
{
    if (!p->profile) {
        c->fn(c, x, a, b);
        return;
    }
    double t = rt_seconds();
    c->fn(c, x, a, b);
    atomic_fetch_add_explicit(&c->nanoseconds, (unsigned long long)(1e9 * (rt_seconds() - t)), memory_order_relaxed);
}

static void run_tile(void *arg, int tile, int thread)
{
    rt_plan *p = arg;
    const rt_phase *f = p->running;
    rt_ctx x = {.plan = p, .run = p->run, .px = f->px, .arena = p->local + p->local_bytes * (size_t)thread,
                .scratch = p->scratch + p->scratch_floats * (size_t)thread};
    if (f->tiles) {
        int c = f->first;
        while (tile >= p->call[c].tiles) tile -= p->call[c++].tiles;
        call_fn(p, &p->call[c], &x, tile, 0);
        return;
    }
    x.slot = tile;
    x.slot_row0 = tile * f->rows;
    int end = x.slot_row0 + f->rows, all = p->run->rows * f->px;
    if (end > all) end = all;
    for (x.chunk0 = x.slot_row0; x.chunk0 < end; x.chunk0 += f->chunk) {
        int rows = end - x.chunk0 < f->chunk ? end - x.chunk0 : f->chunk;
        for (int c = f->first; c < f->first + f->count; c++) call_fn(p, &p->call[c], &x, x.chunk0, rows);
    }
}

static void find_fields(rt_plan *p, const rt_run *run)
{
    for (int i = 0; i < p->graph->fields; i++) {
        const rt_field *f = &p->graph->field[i];
        float *const home[RT_HOMES] = {[RT_PARAM] = run->params, [RT_STATE] = run->states, [RT_DERIVED] = p->derived};
        p->field[i] = home[f->home] ? home[f->home] + f->offset : (float *)(uintptr_t)f->value;
        p->grad[i] = run->grads && f->grad_at != RT_NOWHERE ? run->grads + f->grad_at : NULL;
    }
}

static void run_phases(rt_plan *p, const rt_run *run, int from, int to)
{
    p->run = (rt_run *)run;
    find_fields(p, run);
    for (int i = from; i < to; i++) {
        const rt_phase *f = p->running = &p->phase[i];
        if (!f->count) continue;
        rt_pool_run(p->pool, f->tiles ? f->tiles : slots_of(run->rows, f->px, f->rows), run_tile, p);
    }
}

void rt_plan_prepare(rt_plan *p, const rt_run *run) { run_phases(p, run, 0, p->prepare_phases); }

void rt_plan_run(rt_plan *p, rt_run *run)
{
    run_phases(p, run, p->spec.train ? 0 : p->prepare_phases, p->phases);
    for (int l = 0; l < p->spec.losses; l++) {
        double s = 0;
        for (int i = 0; i < run->rows; i++) s += p->loss_rows[l * p->spec.batch + i];
        run->loss[l] = s / (run->total ? run->total : run->rows);
    }
}

const float *rt_plan_output(const rt_plan *p, int i)
{
    const rt_value *v = &p->value[p->output_value[i]];
    return v->external ? p->run->x[v->external - 1] : (const float *)(p->arena + v->offset);
}

const float *rt_plan_gradient(const rt_plan *p, int i)
{ return p->wanted_value[i] < 0 ? NULL : (const float *)(p->arena + p->value[p->wanted_value[i]].offset); }

const float *rt_plan_loss_rows(const rt_plan *p, int l) { return p->loss_rows + l * p->spec.batch; }

size_t rt_plan_bytes(const rt_plan *p)
{
    size_t threads = (size_t)rt_pool_threads(p->pool);
    size_t floats = p->scratch_floats * threads + p->buffer_floats + p->graph->floats[RT_DERIVED] +
                    p->slot_floats;
    return p->arena_bytes + p->local_bytes * threads + floats * sizeof(float);
}

int rt_plan_batch(const rt_plan *p) { return p->spec.batch; }
void rt_plan_profile(rt_plan *p, int on) { p->profile = on; }

void rt_plan_describe(const rt_plan *p, void (*line)(void *, const char *), void *arg)
{
    char text[256];
    for (int i = 0; i < p->phases; i++) {
        const rt_phase *f = &p->phase[i];
        if (!f->count) continue;
        if (f->tiles) snprintf(text, sizeof text, "phase %d: %d tiles", i, f->tiles);
        else
            snprintf(text, sizeof text, "phase %d: %s in %d slots of %d, chunks of %d, %zu KiB a thread", i,
                     f->px > 1 ? "positions" : "rows", f->slots, f->rows, f->chunk, f->arena >> 10);
        line(arg, text);
        for (int c = f->first; c < f->first + f->count; c++) {
            const rt_call *q = &p->call[c];
            int n = snprintf(text, sizeof text, "  %-14s %-24s", q->what, q->node ? q->node->name : "");
            if (p->profile) snprintf(text + n, sizeof text - (size_t)n, " %.3f s", 1e-9 * (double)q->nanoseconds);
            line(arg, text);
        }
    }
}
