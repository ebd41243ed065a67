#include "train/optimizer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/memory.h"

enum { BLOCK = 8192 };

/* Floats of the parameters from `first` on, of gradients and moments from `grad` on. */
struct rt_block { size_t first, grad, count; int decay; };

static void read_kind(rt_cfg *c, rt_optimizer_config *o)
{
    static const char *const of_sgd[] = {"momentum", "nesterov"}, *const of_adamw[] = {"beta1", "beta2", "eps"};
    if (o->kind == RT_SGD) {
        o->momentum = rt_cfg_number(c, "momentum", 0.9, 0, 0.9999);
        o->nesterov = rt_cfg_bool(c, "nesterov", 0);
        if (o->nesterov && o->momentum == 0) rt_cfg_fail(c, "nesterov", "needs momentum above 0");
        for (int i = 0; i < 3; i++)
            rt_cfg_refuse(c, of_adamw[i], "belongs to train.optimizer adamw, not to sgd; leave it out");
    } else {
        o->beta1 = rt_cfg_number(c, "beta1", 0.9, 0, 0.9999);
        o->beta2 = rt_cfg_number(c, "beta2", 0.999, 0, 0.999999);
        o->eps = rt_cfg_number(c, "eps", 1e-8, 1e-16, 1);
        for (int i = 0; i < 2; i++)
            rt_cfg_refuse(c, of_sgd[i], "belongs to train.optimizer sgd, not to adamw; leave it out");
    }
}

static void read_schedule(rt_cfg *c, rt_optimizer_config *o)
{
    static const char *const of_step = "belongs to train.schedule step; leave it out";
    if (o->schedule == RT_COSINE || o->schedule == RT_ONE_CYCLE) o->final_lr = rt_cfg_number(c, "final_lr", 0, 0, 1000);
    else rt_cfg_refuse(c, "final_lr", "belongs to train.schedule cosine and one_cycle; leave it out");
    if (o->schedule == RT_STEP) {
        int m[16];
        o->milestones = rt_cfg_ints(c, "milestones", m, 16, 1, 1000000);
        if (!o->milestones) rt_cfg_fail(c, "milestones", "a list of epochs is required by the step schedule");
        for (int i = 0; i < o->milestones; i++) o->milestone[i] = m[i];
        o->step_gamma = rt_cfg_number(c, "step_gamma", 0.1, 0, 1);
    } else {
        rt_cfg_refuse(c, "milestones", of_step);
        rt_cfg_refuse(c, "step_gamma", of_step);
    }
}

void rt_optimizer_read(rt_cfg *c, rt_optimizer_config *o, double epochs)
{
    static const char *const kinds[] = {"sgd", "adamw", NULL};
    static const char *const schedules[] = {"constant", "cosine", "step", "one_cycle", NULL};
    memset(o, 0, sizeof *o);
    o->kind = (rt_optimizer_kind)rt_cfg_choice(c, "optimizer", kinds, RT_SGD);
    o->lr = rt_cfg_number(c, "lr", o->kind == RT_SGD ? 0.05 : 0.001, 1e-12, 1000);
    read_kind(c, o);
    o->weight_decay = rt_cfg_number(c, "weight_decay", o->kind == RT_SGD ? 5e-4 : 0.01, 0, 10);
    o->decay_all = rt_cfg_bool(c, "decay_all", 0);
    o->schedule = (rt_schedule)rt_cfg_choice(c, "schedule", schedules, RT_COSINE);
    o->warmup = rt_cfg_number(c, "warmup", 0, 0, epochs);
    read_schedule(c, o);
    o->clip = rt_cfg_number(c, "clip", 0, 0, 1e9);
    o->ema = rt_cfg_number(c, "ema", 0, 0, 0.999999);
}

double rt_learning_rate(const rt_optimizer_config *o, uint64_t s, uint64_t total, uint64_t steps)
{
    double warm = o->warmup * (double)steps, x, lr = o->lr;
    if ((double)s < warm) return lr * ((double)s + 1) / warm;
    x = total > warm ? ((double)s - warm) / ((double)total - warm) : 1;
    switch (o->schedule) {
    case RT_COSINE: return o->final_lr + (lr - o->final_lr) * 0.5 * (1 + cos(3.14159265358979323846 * x));
    case RT_STEP:
        for (int i = 0; i < o->milestones; i++) if ((double)s >= o->milestone[i] * (double)steps) lr *= o->step_gamma;
        return lr;
    case RT_ONE_CYCLE:
        if (x < 0.3) return lr * (0.04 + 0.96 * x / 0.3);
        return o->final_lr + (lr - o->final_lr) * 0.5 * (1 + cos(3.14159265358979323846 * (x - 0.3) / 0.7));
    default: return lr;
    }
}

rt_status rt_optimizer_new(rt_optimizer **out, const rt_optimizer_config *c, const rt_graph *g, rt_pool *pool,
                           const float *params)
{
    *out = NULL;
    rt_optimizer *o = calloc(1, sizeof *o);
    if (!o) return rt_fail(RT_RUN, "out of memory");
    o->config = *c;
    o->graph = g;
    o->pool = pool;
    o->m = rt_floats_new(g->grad_floats);
    if (c->kind == RT_ADAMW) o->v = rt_floats_new(g->grad_floats);
    if (c->ema > 0) {
        o->ema = rt_floats_new(g->floats[RT_PARAM]);
        if (o->ema) memcpy(o->ema, params, g->floats[RT_PARAM] * sizeof *params);
    }
    /* Neighbouring fields of one decay rule share blocks: few calls for nets of many small fields. */
    size_t most = (size_t)g->fields + g->grad_floats / BLOCK + 1;
    o->block = calloc(most, sizeof *o->block);
    o->partial = calloc(most, sizeof *o->partial);
    if (!o->m || (c->kind == RT_ADAMW && !o->v) || (c->ema > 0 && !o->ema) || !o->block || !o->partial) {
        rt_optimizer_free(o);
        return rt_fail(RT_RUN, "out of memory for the optimizer");
    }
    for (int i = -1; (i = rt_graph_next_field(g, RT_PARAM, i)) >= 0;) {
        const rt_field *f = &g->field[i];
        size_t room = (f->count + 15) & ~(size_t)15;
        int decay = (f->flags & RT_F_DECAY) || c->decay_all;
        if (f->grad_at == RT_NOWHERE) continue;
        for (size_t done = 0; done < room;) {
            struct rt_block *last = o->blocks ? &o->block[o->blocks - 1] : NULL;
            if (!last || last->decay != decay || last->count == BLOCK ||
                last->first + last->count != f->offset + done) {
                last = &o->block[o->blocks++];
                *last = (struct rt_block){f->offset + done, f->grad_at + done, 0, decay};
            }
            size_t n = room - done < BLOCK - last->count ? room - done : BLOCK - last->count;
            last->count += n;
            done += n;
        }
    }
    *out = o;
    return RT_OK;
}

void rt_optimizer_free(rt_optimizer *o)
{
    if (!o) return;
    free(o->m);
    free(o->v);
    free(o->ema);
    free(o->block);
    free(o->partial);
    free(o);
}

static void square_block(void *arg, int tile, int thread)
{
    rt_optimizer *o = arg;
    (void)thread;
    o->partial[tile] = rt_kernels_get()->sum_squares(o->g + o->block[tile].grad, o->block[tile].count);
}

static void update_block(void *arg, int tile, int thread)
{
    rt_optimizer *o = arg;
    const struct rt_block *b = &o->block[tile];
    rt_update u = o->update;
    (void)thread;
    if (!b->decay) u.weight_decay = 0;
    float *ema = o->ema ? o->ema + b->first : NULL;
    if (o->config.kind == RT_SGD)
        rt_kernels_get()->sgd(o->w + b->first, o->m + b->grad, ema, o->g + b->grad, b->count, &u);
    else rt_kernels_get()->adamw(o->w + b->first, o->m + b->grad, o->v + b->grad, ema, o->g + b->grad, b->count, &u);
}

void rt_optimizer_step(rt_optimizer *o, float *params, const float *grads, double lr, double grad_scale)
{
    const rt_optimizer_config *c = &o->config;
    o->w = params;
    o->g = grads;
    if (c->clip > 0) {
        double s = 0;
        rt_pool_run(o->pool, o->blocks, square_block, o);
        for (int i = 0; i < o->blocks; i++) s += o->partial[i];
        o->grad_norm = sqrt(s) * grad_scale;
        if (o->grad_norm > c->clip) grad_scale *= c->clip / o->grad_norm;
    }
    o->updates++;
    double t = (double)o->updates;
    /* The average follows closely at first: decay min(ema, (1 + t) / (10 + t)). */
    double ema = c->ema < (1 + t) / (10 + t) ? c->ema : (1 + t) / (10 + t);
    o->update = (rt_update){.lr = (float)lr,
                            .momentum = (float)c->momentum,
                            .weight_decay = (float)c->weight_decay,
                            .beta1 = (float)c->beta1,
                            .beta2 = (float)c->beta2,
                            .eps = (float)c->eps,
                            .bias1 = (float)(1 - pow(c->beta1, t)),
                            .bias2 = (float)(1 - pow(c->beta2, t)),
                            .ema = (float)ema,
                            .grad_scale = (float)grad_scale,
                            .nesterov = c->nesterov};
    rt_pool_run(o->pool, o->blocks, update_block, o);
}
