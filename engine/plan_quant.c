/* engine/plan_quant.c - the planner's part in quantization-aware training, see qat.h: what quantizers add to a plan
 * behind the calls that make values and in front of those that take gradients back. */
#include <math.h>
#include <stdlib.h>

#include "engine/int/integer.h"
#include "engine/ops.h"

enum { NONE = -1, BYTES = -2 };

rt_status rt_quant_begin(rt_plan *p, const rt_graph *source)
{
    const rt_qat *qat = p->spec.qat;
    size_t tensors = (size_t)p->graph->tensors + 1;
    if (!qat) return RT_OK;
    p->range_of = malloc(tensors * sizeof *p->range_of);
    p->seen_room = malloc(tensors * sizeof *p->seen_room);
    p->seen = calloc(tensors, 1);
    p->clipped = calloc(tensors, 1);
    if (!p->range_of || !p->seen_room || !p->seen || !p->clipped) return RT_RUN;
    for (size_t t = 0; t < tensors; t++) p->range_of[t] = NONE;
    for (int t = 0; t < source->quant.tensors; t++)
        if (source->quant.range[t] >= 0 && p->low.tensor_of[t] >= 0)
            p->range_of[p->low.tensor_of[t]] = source->quant.range[t];
    if (qat->mul) p->range_of[p->graph->input[0]] = BYTES;
    return RT_OK;
}

int rt_quant_has(const rt_plan *p, int tensor) { return p->range_of && p->range_of[tensor] != NONE; }

static rt_quant quant_of(const rt_ctx *x, int field)
{
    const float *range = x->plan->field[field];
    return rt_quant_of(range[0], range[1]);
}

/* ---- forward ---- */

/* value: 0 what was made, 1 what it becomes; at[0]: the tensor's range; at[1]: a room for what is seen, or -1. Rows
 * that come in are divided by the step, as the program does that is deployed. */
static void run_quantize(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    const float *v = rt_at(x, c->value[0], row0);
    float *seen = NULL;
    rt_quant q = quant_of(x, (int)c->at[0]);
    if (c->at[1] >= 0) {
        seen = rt_slot_sums(x, (int)c->at[1], x->slot);
        if (row0 == x->slot_row0) seen[0] = seen[1] = 0;         /* 0 is a value, too */
    }
    float by = rt_graph_input_of(x->plan->graph, c->flag) >= 0 ? 0 : 1 / q.scale;
    x->plan->k->fake_quant(rt_at(x, c->value[1], row0), v, rt_floats_of(x, c->flag, rows), q.scale, by, q.zero, seen);
}

/* Rows that were bytes, and views of them: to the nearest byte. */
static void run_bytes(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    const rt_qat *q = x->plan->spec.qat;
    const float *v = rt_at(x, c->value[0], row0);
    float *y = rt_at(x, c->value[1], row0);
    size_t n = rt_floats_of(x, c->flag, rows), m = (size_t)q->channels;
    for (size_t i = 0; i < n; i += m)
        for (size_t k = 0; k < m; k++) {
            float u = v[i + k] / q->mul[k] - q->add[k];
            u = u < 0 ? 0 : u;
            u = u > 255 ? 255 : u;
            y[i + k] = (((u + 12582912.0f) - 12582912.0f) + q->add[k]) * q->mul[k];
        }
}

void rt_quant_made(rt_plan *p, int tensor)
{
    if (!rt_quant_has(p, tensor)) return;
    int bytes = p->range_of[tensor] == BYTES, room = -1, from = p->value_of[tensor], to = from;
    if (p->value[from].external) to = p->value_of[tensor] = rt_plan_temp(p, p->value[from].row_bytes);   /* not ours */
    rt_call *c = rt_plan_rows(p, "quantize", &p->node[p->graph->tensor[tensor].producer],
                              bytes ? run_bytes : run_quantize);
    c->value[0] = from;
    c->value[1] = to;
    c->flag = tensor;
    c->at[0] = p->range_of[tensor];
    c->work = c->weights = 0;                     /* counted with the call that makes the value */
    if (!bytes && !p->seen[tensor]) room = p->seen_room[tensor] = rt_plan_slot_room(p, 2);
    c->at[1] = room;
    p->seen[tensor] = 1;                          /* what is made again was seen before */
}

/* ---- backward ---- */

/* at[0]: the tensor's range. */
static void run_clip(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    rt_quant q = quant_of(x, (int)c->at[0]);
    x->plan->k->clip_back(rt_at(x, c->value[1], row0), rt_at(x, c->value[0], row0), rt_floats_of(x, c->flag, rows),
                          q.scale * (float)-q.zero, q.scale * (float)(255 - q.zero));
}

void rt_quant_clip(rt_plan *p, const rt_node *n)
{
    if (!rt_quant_has(p, n->out) || p->range_of[n->out] < 0 || p->clipped[n->out]) return;
    int y = rt_plan_read(p, n->out), dy = rt_plan_grad_own(p, n->out);
    rt_call *c = rt_plan_rows(p, "clip back", n, run_clip);
    c->value[0] = y;
    c->value[1] = dy;
    c->flag = n->out;
    c->at[0] = p->range_of[n->out];
    c->work = c->weights = 0;
    p->clipped[n->out] = 1;
}

int rt_quant_clips(const rt_plan *p, const rt_node *n) { return p->clipped && p->clipped[n->out]; }

/* ---- behind the backward pass ---- */

/* A range goes towards what the batch had. */
static void run_range(const rt_call *c, rt_ctx *x, int tile, int unused)
{
    (void)tile;
    (void)unused;
    int room = (int)c->at[1], slots = rt_slots_used(x, room);
    float low = 0, high = 0, *range = x->plan->field[c->at[0]], m = x->plan->spec.qat->momentum;
    for (int k = 0; k < slots; k++) {
        const float *seen = rt_slot_sums(x, room, k);
        low = seen[0] < low ? seen[0] : low;
        high = seen[1] > high ? seen[1] : high;
    }
    if (!isfinite(low) || !isfinite(high) || !(low < 0 || high > 0)) return; /* of a batch that is refused; of zeros */
    range[0] += m * (low - range[0]);
    range[1] += m * (high - range[1]);
}

static void run_learn(const rt_call *c, rt_ctx *x, int tile, int unused)
{
    (void)tile;
    (void)unused;
    rt_quant_learn(x->plan->graph, c->arg, x->plan->field, x->plan->grad);
}

void rt_quant_end(rt_plan *p)
{
    if (!p->spec.qat) return;
    for (int t = 0; t < p->graph->tensors && p->spec.qat->mode == RT_QAT_LIVE; t++) {
        if (!p->seen[t] || p->range_of[t] < 0) continue;
        rt_call *c = rt_plan_merge_tiles(p, "range", NULL, 1, run_range);
        c->at[0] = p->range_of[t];
        c->at[1] = p->seen_room[t];
    }
    for (int i = 0; i < p->low.recipes; i++) {
        const rt_recipe *r = &p->low.recipe[i];
        if (r->kind == RT_QUANT_WEIGHT && !r->follow) rt_plan_last_tiles(p, "learn steps", NULL, 1, run_learn)->arg = r;
    }
}
