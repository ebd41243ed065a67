#include "train/optimizer.h"

#include <math.h>
#include <string.h>

static void read_kind(rt_cfg *c, rt_optimizer_config *o)
{
    static const char *const of_sgd[] = {"momentum", "nesterov"}, *const of_adamw[] = {"beta1", "beta2", "eps"};
    if (o->update.kind == RT_SGD) {
        o->update.momentum = rt_cfg_number(c, "momentum", 0.9, 0, 0.9999);
        o->update.nesterov = rt_cfg_bool(c, "nesterov", 0);
        if (o->update.nesterov && o->update.momentum == 0) rt_cfg_fail(c, "nesterov", "needs momentum above 0");
        for (int i = 0; i < 3; i++)
            rt_cfg_refuse(c, of_adamw[i], "belongs to train.optimizer adamw, not to sgd; leave it out");
    } else {
        o->update.beta1 = rt_cfg_number(c, "beta1", 0.9, 0, 0.9999);
        o->update.beta2 = rt_cfg_number(c, "beta2", 0.999, 0, 0.999999);
        o->update.eps = rt_cfg_number(c, "eps", 1e-8, 1e-16, 1);
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
    o->update.kind = (rt_optimizer_kind)rt_cfg_choice(c, "optimizer", kinds, RT_SGD);
    o->lr = rt_cfg_number(c, "lr", o->update.kind == RT_SGD ? 0.05 : 0.001, 1e-12, 1000);
    read_kind(c, o);
    o->update.weight_decay = rt_cfg_number(c, "weight_decay", o->update.kind == RT_SGD ? 5e-4 : 0.01, 0, 10);
    o->update.decay_all = rt_cfg_bool(c, "decay_all", 0);
    o->schedule = (rt_schedule)rt_cfg_choice(c, "schedule", schedules, RT_COSINE);
    o->warmup = rt_cfg_number(c, "warmup", 0, 0, epochs);
    read_schedule(c, o);
    o->update.clip = rt_cfg_number(c, "clip", 0, 0, 1e9);
    o->update.ema = rt_cfg_number(c, "ema", 0, 0, 0.999999);
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
