#include "engine/losses_parts.h"

#include "engine/kernels.h"

void rt_loss_elements(const rt_loss_batch *b, const rt_loss_io *io, rt_hard_element *hard, rt_soft_element *soft)
{
    size_t k = (size_t)io->n;
    float weight = b->config.hard * (b->hard_scale > 0 ? b->hard_scale : 1), total = (float)io->total;
    if (!b->teacher || b->config.soft <= 0) soft = NULL;
    for (int r = 0; r < io->rows; r++) {
        int row = io->row0 + r, partner = b->partner ? b->partner[row] : -1;
        const float *z = io->value + (size_t)r * k, *t = soft ? rt_loss_teacher(b, row, io->n) : NULL,
                    *other = soft && partner >= 0 && !b->teacher_mixed ? rt_loss_teacher(b, partner, io->n) : NULL;
        float *g = io->grad + (size_t)r * k, loss = 0, own = partner >= 0 ? b->lambda : 1;
        for (size_t j = 0; j < k; j++) {
            g[j] = 0;
            if (hard && weight > 0) {
                hard(b, (size_t)row * k + j, z[j], own * weight, total, &g[j], &loss);
                if (partner >= 0) hard(b, (size_t)partner * k + j, z[j], (1 - own) * weight, total, &g[j], &loss);
            }
            if (soft) soft(b, z[j], t, other, (int)j, total, &g[j], &loss);
        }
        io->loss[r] = loss;
    }
}

/* Real values whose mean square is the loss. */
static void hint(const rt_loss_batch *b, const rt_loss_io *io)
{
    size_t n = (size_t)io->n;
    float weight = b->config.hard;
    for (int r = 0; r < io->rows; r++) {
        const float *v = io->value + (size_t)r * n, *t = b->values + (size_t)(io->row0 + r) * n;
        float *g = io->grad + (size_t)r * n, s = 0, scale = weight * 2.0f / ((float)n * (float)io->total);
        for (size_t i = 0; i < n; i++) {
            float d = v[i] - t[i];
            g[i] = scale * d;
            s += d * d;
        }
        io->loss[r] = weight * s / (float)n;
    }
}

static void compute(void *arg, const rt_loss_io *io)
{
    const rt_loss_batch *b = arg;
    if (b->config.task == RT_TASK_CLASSES) rt_loss_classes(b, io);
    else if (b->config.task == RT_TASK_MULTILABEL) rt_loss_multilabel(b, io);
    else if (b->config.hard_kind == RT_HARD_HINT) hint(b, io);
    else rt_loss_real(b, io);
}

rt_loss_spec rt_loss_spec_of(const rt_loss_batch *b, int tensor, int n)
{
    enum { PLANES = 7 };                                             /* of sixteen rows, which losses_classes.c takes */
    int dist = b->config.kind == RT_SOFT_DIST && b->config.soft > 0; /* correlates over the batch: all rows at once */
    return (rt_loss_spec){.tensor = tensor,
                          .fn = compute,
                          .arg = (void *)(uintptr_t)b,
                          .whole = dist,
                          .planes = dist ? 3 : 0,
                          .scratch = b->config.task == RT_TASK_CLASSES ? (size_t)n * RT_LANES * PLANES : 0};
}
