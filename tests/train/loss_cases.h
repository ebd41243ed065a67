/* tests/train/loss_cases.h - losses that PyTorch's values are recorded of, and how the CPU computes one. */
#ifndef RT_TESTS_LOSS_CASES_H
#define RT_TESTS_LOSS_CASES_H

#include "engine/losses_parts.h"
#include "engine/memory.h"
#include "tests/support.h"
#include "tests/train/loss_reference.h"

/* The rows of a batch from row0 on. */
static inline void run_rows(const rt_loss_batch *b, const float *z, int row0, int rows, int total, int k, float *grad,
                     float *loss)
{
    rt_loss_spec spec = rt_loss_spec_of(b, 0, k);
    rt_loss_io io = {.value = z,
                     .grad = grad,
                     .loss = loss,
                     .scratch = rt_floats_new(spec.scratch),
                     .row0 = row0,
                     .rows = rows,
                     .total = total,
                     .n = k};
    if (spec.planes) io.planes = rt_floats_new((size_t)spec.planes * (size_t)rows * (size_t)k);
    spec.fn(spec.arg, &io);
    free(io.scratch);
    free(io.planes);
}

/* Of `reference`. */
static inline rt_loss_desc config_of(const char *name)
{
    rt_loss_desc c = {.kind = RT_SOFT_NONE, .soft = 1, .temperature = 4, .alpha = 1, .beta = 8, .gamma = 1};
    if (strstr(name, "ce") && strcmp(name, "zscore")) {
        c.hard = 1;
        c.soft = 0;
        c.smoothing = strstr(name, "smooth") ? 0.1f : 0;
    }
    if (strcmp(name, "kd") == 0) c.kind = RT_SOFT_KD;
    if (strcmp(name, "dkd") == 0) c.kind = RT_SOFT_DKD;
    if (strcmp(name, "mse") == 0) c.kind = RT_SOFT_MSE;
    if (strcmp(name, "dist") == 0) {
        c.kind = RT_SOFT_DIST;
        c.temperature = c.beta = 1;
    }
    if (strcmp(name, "zscore") == 0) {
        c.kind = RT_SOFT_ZSCORE;
        c.temperature = 2;
    }
    return c;
}

static inline rt_loss_batch classes_of(size_t i)
{
    rt_loss_batch b = {.config = config_of(reference[i].name), .y = reference_y, .teacher = reference_t, .lambda = 1,
                       .soft_scale = 1};
    if (reference[i].name[0] == 'w') {                  /* PyTorch divides by the sum of the rows' weights */
        b.class_weight = reference_w;
        b.hard_scale = 3 / (reference_w[3] + reference_w[0] + reference_w[1]);
    }
    return b;
}

/* Of `elements`. */
static inline rt_loss_batch batch_of(const char *name)
{
    int bits = name[0] == 'b', soft = strstr(name, "soft") || strcmp(name, "bkd") == 0;
    rt_loss_batch b = {.config = {.task = bits ? RT_TASK_MULTILABEL : RT_TASK_REAL, .temperature = 2, .delta = 0.75f,
                                  .level = 0.9f, .hard = !soft, .soft = (float)soft},
                       .labels = bits ? reference_labels : NULL, .values = bits ? NULL : reference_values,
                       .mask = strstr(name, "masked") ? reference_mask : NULL, .teacher = soft ? reference_t : NULL,
                       .lambda = 1, .soft_scale = 1};
    b.config.hard_kind = bits ? RT_HARD_BCE : name[0] == 'h' ? RT_HARD_HUBER
                       : name[0] == 'q' ? RT_HARD_QUANTILE : RT_HARD_MSE;
    b.config.kind = !soft ? RT_SOFT_NONE : bits ? RT_SOFT_BKD : RT_SOFT_VALUES;
    return b;
}
#endif
