/* engine/eval/eval_loss.c - losses of classes: NegativeLogLikelihoodLoss, SoftmaxCrossEntropyLoss.
 *
 * loss[n, d] = -weight[t] x[n, t, d], t = target[n, d]; a target that is ignored has loss and weight 0. `mean` divides
 * the sum by the sum of the weights. The second takes the logarithm of the softmax over classes of x first. */
#include <math.h>
#include <string.h>

#include "engine/eval/layers.h"

typedef enum { NONE, SUM, MEAN } reduction;

typedef struct {
    const rt_array *x, *target, *weight;
    reduction how;
    int ignores;
    int64_t ignored;
    size_t rows, classes, places;
} loss;

static rt_status loss_read(rt_eval_call *call, loss *f)
{
    const char *how = rt_eval_string(call, "reduction", "mean");
    f->how = !strcmp(how, "none") ? NONE : !strcmp(how, "sum") ? SUM : MEAN;
    if (f->how == MEAN && strcmp(how, "mean")) return rt_fail(RT_INPUT, "reduction \"%s\" is unknown", how);
    f->ignores = rt_eval_has(call, "ignore_index");
    f->ignored = rt_eval_int(call, "ignore_index", 0);
    RT_TRY(rt_layer_in(call, 0, RT_EVAL_FLOATS, 2, RT_ARRAY_RANK, &f->x));
    int rank = f->x->rank - 1;
    RT_TRY(rt_layer_in(call, 1, 1 << RT_I32 | 1 << RT_I64, rank, rank, &f->target));
    RT_TRY(rt_layer_optional(call, 2, RT_EVAL_FLOATS, 1, 1, &f->weight));
    int64_t dim[RT_ARRAY_RANK] = {f->x->dim[0]};
    f->rows = (size_t)dim[0];
    f->classes = (size_t)f->x->dim[1];
    f->places = 1;
    for (int i = 1; i < rank; i++) f->places *= (size_t)(dim[i] = f->x->dim[i + 1]);
    RT_TRY(rt_layer_shape(f->target, "the target", f->target->type, rank, dim));
    return rt_layer_shape(f->weight, "the weight", f->x->type, 1, f->x->dim + 1);
}

/* x (rows, classes, places) may have been replaced by its logarithms. */
static rt_status loss_run(rt_eval_call *call, const loss *f, const rt_array *x)
{
    rt_array *y;
    double sum = 0, weights = 0;
    RT_TRY(rt_eval_make(call, 0, x->type, f->how == NONE ? f->target->rank : 0, f->target->dim, &y));
    for (size_t i = 0; i < f->rows * f->places; i++) {
        int64_t t = rt_array_int(f->target, i);
        if (i % 65536 == 0) RT_TRY(rt_eval_tick(call, 65536));
        if (f->ignores && t == f->ignored) continue;
        if (t < 0 || (size_t)t >= f->classes)
            return rt_fail(RT_INPUT, "target %lld; there are %zu classes", (long long)t, f->classes);
        double w = f->weight ? rt_array_double(f->weight, (size_t)t) : 1;
        double l = -w * rt_array_double(x, (i / f->places * f->classes + (size_t)t) * f->places + i % f->places);
        if (f->how == NONE) rt_array_put(y, i, l);
        sum += l;
        weights += w;
    }
    if (f->how == SUM) rt_array_put(y, 0, sum);
    if (f->how == MEAN) rt_array_put(y, 0, sum / weights);
    return RT_OK;
}

static rt_status run_likelihood(rt_eval_call *call)
{
    loss f;
    RT_TRY(loss_read(call, &f));
    return loss_run(call, &f, f.x);
}

static rt_status run_cross_entropy(rt_eval_call *call)
{
    loss f;
    rt_array *logs;
    RT_TRY(loss_read(call, &f));
    RT_TRY(rt_eval_like(call, 1, f.x->type, f.x, &logs));
    double *line = rt_eval_scratch(call, f.classes, sizeof *line);
    if (!line) return RT_INPUT;
    for (size_t i = 0; f.classes && i < f.rows * f.places; i++) {
        size_t first = i / f.places * f.classes * f.places + i % f.places;
        double most = -INFINITY, sum = 0;
        RT_TRY(rt_eval_tick(call, 40 * (double)f.classes));
        rt_layer_load(line, f.x, first, f.places, f.classes);
        for (size_t c = 0; c < f.classes; c++) most = fmax(most, line[c]);
        for (size_t c = 0; c < f.classes; c++) sum += exp(line[c] - most);
        for (size_t c = 0; c < f.classes; c++) line[c] -= most + log(sum);
        rt_layer_store(logs, first, f.places, line, f.classes);
    }
    return loss_run(call, &f, logs);
}

const rt_eval_op rt_eval_loss_ops[] = {
    {"", "NegativeLogLikelihoodLoss", 12, 2, 3, 1, run_likelihood, 0},
    {"", "SoftmaxCrossEntropyLoss", 12, 2, 3, 2, run_cross_entropy, 0},
    {NULL, NULL, 0, 0, 0, 0, NULL, 0}};
