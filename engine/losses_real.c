#include <math.h>

#include "engine/losses_parts.h"

/* The loss of the difference d = value - target, times weight, added to gradient and loss. */
static void element(const rt_loss_desc *c, float d, float weight, float total, float *g, float *loss)
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

static void soft_element(const rt_loss_batch *b, float z, const float *t, const float *other, int j, float total,
                         float *g, float *loss)
{
    float answer = other ? b->lambda * t[j] + (1 - b->lambda) * other[j] : t[j];
    element(&b->config, z - answer, b->config.soft, total, g, loss);
}

void rt_loss_real(const rt_loss_batch *b, const rt_loss_io *io)
{
    rt_loss_elements(b, io, b->values ? hard_element : NULL, b->config.kind == RT_SOFT_VALUES ? soft_element : NULL);
}
