#include <math.h>

#include "train/losses.h"

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

void rt_loss_fn_multilabel(void *arg, const rt_loss_io *io)
{
    const rt_loss_batch *b = arg;
    size_t k = (size_t)io->n;
    float hard = b->config.hard * (b->hard_scale > 0 ? b->hard_scale : 1), total = (float)io->total;
    int soft = b->teacher && b->config.kind == RT_SOFT_BKD && b->config.soft > 0;
    for (int r = 0; r < io->rows; r++) {
        int row = io->row0 + r, partner = b->partner ? b->partner[row] : -1;
        const float *z = io->value + (size_t)r * k, *t = soft ? rt_loss_teacher(b, row, io->n) : NULL,
                    *other = soft && partner >= 0 && !b->teacher_mixed ? rt_loss_teacher(b, partner, io->n) : NULL;
        float *g = io->grad + (size_t)r * k, loss = 0, own = partner >= 0 ? b->lambda : 1;
        for (size_t j = 0; j < k; j++) {
            g[j] = 0;
            if (hard > 0 && b->labels) {
                hard_element(b, (size_t)row * k + j, z[j], own * hard, total, &g[j], &loss);
                if (partner >= 0)
                    hard_element(b, (size_t)partner * k + j, z[j], (1 - own) * hard, total, &g[j], &loss);
            }
            if (soft) soft_element(b, z[j], t, other, (int)j, total, &g[j], &loss);
        }
        io->loss[r] = loss;
    }
}
