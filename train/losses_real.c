#include <math.h>

#include "train/losses.h"

/* The loss of the difference d = value - target, times weight, added to gradient and loss. */
static void element(const rt_loss_config *c, float d, float weight, float total, float *g, float *loss)
{
    float value = d * d, slope = 2 * d, level = c->level;
    if (c->hard_kind == RT_HARD_HUBER && fabsf(d) <= c->delta) {
        value = d * d / 2;
        slope = d;
    } else if (c->hard_kind == RT_HARD_HUBER) {
        value = c->delta * (fabsf(d) - c->delta / 2);
        slope = copysignf(c->delta, d);
    } else if (c->hard_kind == RT_HARD_QUANTILE) {
        slope = d > 0 ? 1 - level : d < 0 ? -level : 0;
        value = slope * d;
    }
    *g += weight * slope / total;
    *loss += weight * value;
}

static void hard_element(const rt_loss_batch *b, size_t at, float z, float weight, float total, float *g, float *loss)
{
    if (!b->mask || b->mask[at]) element(&b->config, z - b->values[at], weight, total, g, loss);
}

void rt_loss_fn_real(void *arg, const rt_loss_io *io)
{
    const rt_loss_batch *b = arg;
    size_t k = (size_t)io->n;
    float hard = b->config.hard * (b->hard_scale > 0 ? b->hard_scale : 1), total = (float)io->total;
    int soft = b->teacher && b->config.kind == RT_SOFT_VALUES && b->config.soft > 0;
    for (int r = 0; r < io->rows; r++) {
        int row = io->row0 + r, partner = b->partner ? b->partner[row] : -1;
        const float *z = io->value + (size_t)r * k, *t = soft ? rt_loss_teacher(b, row, io->n) : NULL,
                    *other = soft && partner >= 0 && !b->teacher_mixed ? rt_loss_teacher(b, partner, io->n) : NULL;
        float *g = io->grad + (size_t)r * k, loss = 0, own = partner >= 0 ? b->lambda : 1;
        for (size_t j = 0; j < k; j++) {
            g[j] = 0;
            if (hard > 0 && b->values) {
                hard_element(b, (size_t)row * k + j, z[j], own * hard, total, &g[j], &loss);
                if (partner >= 0)
                    hard_element(b, (size_t)partner * k + j, z[j], (1 - own) * hard, total, &g[j], &loss);
            }
            if (!soft) continue;
            float answer = other ? b->lambda * t[j] + (1 - b->lambda) * other[j] : t[j];
            element(&b->config, z[j] - answer, b->config.soft, total, &g[j], &loss);
        }
        io->loss[r] = loss;
    }
}
