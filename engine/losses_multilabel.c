#include <math.h>

#include "engine/losses_parts.h"

/* ln(1 + e^x), without overflow. */
static float softplus(float x) { return fmaxf(x, 0) + log1pf(expf(-fabsf(x))); }
static float sigmoid(float x) { return x >= 0 ? 1 / (1 + expf(-x)) : expf(x) / (1 + expf(x)); }

/* Binary cross-entropy of one element, times weight, added to gradient and loss. */
static void hard_element(const rt_loss_batch *b, size_t at, float z, float weight, float total, float *g, float *loss)
{
    if (b->mask && !b->mask[at]) return;
    float y = b->labels[at];
    *g += weight * (sigmoid(z) - y) / total;
    *loss += weight * (softplus(z) - y * z);
}

/* T^2 KL of two Bernoulli distributions, the teacher's (or the mixture of two answers of it) and the student's. */
static void soft_element(const rt_loss_batch *b, float z, const float *t, const float *other, int j, float total,
                         float *g, float *loss)
{
    float temperature = b->config.temperature, a = t[j] / temperature, x = z / temperature, q = sigmoid(a),
          kl = q * (softplus(x) - softplus(a) + a - x) + (1 - q) * (softplus(x) - softplus(a));
    if (other) {
        float not_q = b->lambda * sigmoid(-a) + (1 - b->lambda) * sigmoid(-other[j] / temperature);
        q = b->lambda * q + (1 - b->lambda) * sigmoid(other[j] / temperature);
        kl = q * (logf(fmaxf(q, 1e-30f)) + softplus(-x)) + not_q * (logf(fmaxf(not_q, 1e-30f)) + softplus(x));
    }
    *g += b->config.soft * temperature * (sigmoid(x) - q) / total;
    *loss += b->config.soft * temperature * temperature * kl;
}

void rt_loss_multilabel(const rt_loss_batch *b, const rt_loss_io *io)
{
    rt_loss_elements(b, io, b->labels ? hard_element : NULL, b->config.kind == RT_SOFT_BKD ? soft_element : NULL);
}
