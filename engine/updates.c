#include "engine/updates.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/kernels.h"
#include "engine/update_blocks.h"

struct rt_updates {
    rt_update_desc desc;
    rt_pool *pool;
    rt_update_block *block;
    int blocks;
    double *partial;               /* (blocks) sums of squares */
    rt_update_buffers now;
    rt_update update;
    double lr, grad_scale;         /* of the update, before a block's factors */
};

rt_status rt_updates_new(rt_updates **out, const rt_update_desc *desc, const rt_graph *g, rt_pool *pool)
{
    *out = NULL;
    rt_updates *u = calloc(1, sizeof *u);
    if (!u) return rt_fail(RT_RUN, "out of memory");
    u->desc = *desc;
    u->pool = pool;
    rt_status st = rt_update_blocks(&u->block, &u->blocks, desc, g);
    u->partial = calloc((size_t)u->blocks + 1, sizeof *u->partial);
    if (!st && !u->partial) st = rt_fail(RT_RUN, "out of memory for the optimizer");
    if (st) {
        rt_updates_free(u);
        return st;
    }
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
    const rt_update_block *b = &u->block[tile];
    u->partial[tile] = rt_kernels_get()->sum_squares(u->now.g + b->grad, b->count) * b->how.grad_scale *
                       b->how.grad_scale;
}

/* What an update left is brought up to the bound, and the average follows that. */
static void raise_to_bound(float *w, float *ema, const rt_update_block *b, float decay)
{
    for (size_t i = 0; i < b->count; i++) if (w[i] < b->how.low) w[i] = b->how.low;
    for (size_t i = 0; i < b->count && ema; i++) ema[i] += (1.0f - decay) * (w[i] - ema[i]);
}

static void update_block(void *arg, int tile, int thread)
{
    const rt_updates *u = arg;
    const rt_update_block *b = &u->block[tile];
    const rt_update_buffers *n = &u->now;
    rt_update how = u->update;
    (void)thread;
    int bound = b->how.low > -INFINITY;
    how.lr = (float)(u->lr * b->how.lr_scale);
    how.weight_decay = b->how.weight_decay;
    how.grad_scale = (float)(u->grad_scale * b->how.grad_scale);
    float *average = n->ema ? n->ema + b->first : NULL, *ema = bound || b->how.relative ? NULL : average;
    float before[RT_UPDATE_BLOCK];
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
