#include "engine/updates.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/kernels.h"

enum { BLOCK = 8192 };

/* Floats of the parameters from `first` on, of gradients and moments from `grad` on. */
typedef struct { size_t first, grad, count; rt_tuning how; int decays; } block;

struct rt_updates {
    rt_update_desc desc;
    rt_pool *pool;
    block *block;
    int blocks;
    double *partial;               /* (blocks) sums of squares */
    rt_update_buffers now;
    rt_update update;
    double lr, grad_scale;         /* of the update, before a block's factors */
};

/* How a field is trained, with the weight decay that it has, and its place. */
static block begin(const rt_updates *u, const rt_field *f, size_t done)
{
    block b = {f->offset + done, f->grad_at + done, 0, f->tuning, (f->flags & RT_F_DECAY) || u->desc.decay_all};
    if (isnan(b.how.weight_decay)) b.how.weight_decay = b.decays ? (float)u->desc.weight_decay : 0;
    return b;
}

/* Not the decay alone: what lies in a block, and with it the order of sums, is the same at a decay of 0. */
static int alike(const block *a, const block *b)
{
    return a->decays == b->decays && a->how.lr_scale == b->how.lr_scale && a->how.grad_scale == b->how.grad_scale &&
           a->how.weight_decay == b->how.weight_decay && a->how.low == b->how.low && a->how.relative == b->how.relative;
}

/* Neighbouring fields that are trained alike share blocks: few calls for nets of many small fields. */
static void cut(rt_updates *u, const rt_graph *g)
{
    for (int i = -1; (i = rt_graph_next_field(g, RT_PARAM, i)) >= 0;) {
        const rt_field *f = &g->field[i];
        size_t room = (f->count + 15) & ~(size_t)15;
        if (f->grad_at == RT_NOWHERE) continue;
        for (size_t done = 0; done < room;) {
            block *last = u->blocks ? &u->block[u->blocks - 1] : NULL;
            block next = begin(u, f, done);
            if (!last || !alike(last, &next) || last->count == BLOCK || last->first + last->count != next.first) {
                last = &u->block[u->blocks++];
                *last = next;
            }
            size_t n = room - done < BLOCK - last->count ? room - done : BLOCK - last->count;
            last->count += n;
            done += n;
        }
    }
}

rt_status rt_updates_new(rt_updates **out, const rt_update_desc *desc, const rt_graph *g, rt_pool *pool)
{
    size_t most = (size_t)g->fields + g->grad_floats / BLOCK + 1;
    *out = NULL;
    rt_updates *u = calloc(1, sizeof *u);
    if (!u) return rt_fail(RT_RUN, "out of memory");
    u->desc = *desc;
    u->pool = pool;
    u->block = calloc(most, sizeof *u->block);
    u->partial = calloc(most, sizeof *u->partial);
    if (!u->block || !u->partial) {
        rt_updates_free(u);
        return rt_fail(RT_RUN, "out of memory for the optimizer");
    }
    cut(u, g);
    *out = u;
    return RT_OK;
}

void rt_updates_free(rt_updates *u)
{
    if (!u) return;
    free(u->block);
    free(u->partial);
    free(u);
}

static void square_block(void *arg, int tile, int thread)
{
    rt_updates *u = arg;
    (void)thread;
    const block *b = &u->block[tile];
    u->partial[tile] = rt_kernels_get()->sum_squares(u->now.g + b->grad, b->count) * b->how.grad_scale *
                       b->how.grad_scale;
}

/* What an update left is brought up to the bound, and the average follows that. */
static void raise_to_bound(float *w, float *ema, const block *b, float decay)
{
    for (size_t i = 0; i < b->count; i++) if (w[i] < b->how.low) w[i] = b->how.low;
    for (size_t i = 0; i < b->count && ema; i++) ema[i] += (1.0f - decay) * (w[i] - ema[i]);
}

static void update_block(void *arg, int tile, int thread)
{
    const rt_updates *u = arg;
    const block *b = &u->block[tile];
    const rt_update_buffers *n = &u->now;
    rt_update how = u->update;
    (void)thread;
    int bound = b->how.low > -INFINITY;
    how.lr = (float)(u->lr * b->how.lr_scale);
    how.weight_decay = b->how.weight_decay;
    how.grad_scale = (float)(u->grad_scale * b->how.grad_scale);
    float *average = n->ema ? n->ema + b->first : NULL, *ema = bound || b->how.relative ? NULL : average;
    float before[BLOCK];
    if (b->how.relative) memcpy(before, n->w + b->first, b->count * sizeof *before);
    if (u->desc.kind == RT_SGD)
        rt_kernels_get()->sgd(n->w + b->first, n->m + b->grad, ema, n->g + b->grad, b->count, &how);
    else rt_kernels_get()->adamw(n->w + b->first, n->m + b->grad, n->v + b->grad, ema, n->g + b->grad, b->count, &how);
    float *w = n->w + b->first;
    for (size_t i = 0; i < b->count && b->how.relative; i++) w[i] = before[i] + (w[i] - before[i]) * before[i];
    if (bound || b->how.relative) raise_to_bound(w, average, b, how.ema);
}

double rt_updates_step(rt_updates *u, const rt_update_buffers *now, uint64_t number, double lr, double grad_scale)
{
    const rt_update_desc *c = &u->desc;
    double t = (double)number;
    u->now = *now;
    if (c->clip > 0) {
        double s = 0;
        rt_pool_run(u->pool, u->blocks, square_block, u);
        for (int i = 0; i < u->blocks; i++) s += u->partial[i];
        double norm = sqrt(s) * grad_scale;
        if (norm > c->clip) grad_scale *= c->clip / norm;
    }
    /* The average follows closely at first. */
    double ema = c->ema < (1 + t) / (10 + t) ? c->ema : (1 + t) / (10 + t);
    u->lr = lr;
    u->grad_scale = grad_scale;
    u->update = (rt_update){.momentum = (float)c->momentum,
                            .beta1 = (float)c->beta1,
                            .beta2 = (float)c->beta2,
                            .eps = (float)c->eps,
                            .bias1 = (float)(1 - pow(c->beta1, t)),
                            .bias2 = (float)(1 - pow(c->beta2, t)),
                            .ema = (float)ema,
                            .nesterov = c->nesterov};
    rt_pool_run(u->pool, u->blocks, update_block, u);
    return u->update.ema;
}
