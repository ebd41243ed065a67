/* engine/eval/eval_norm.c - normalizations, y = (x - mean) / sqrt(variance + epsilon) scale + bias, by what the mean
 * and the variance are taken over; LRN and LpNormalization. Means and variances in double, the variance from the
 * differences. Those of com.microsoft are in eval_norm_more.c. */
#include <math.h>
#include <string.h>

#include "engine/eval/layers.h"

void rt_layer_moments(const double *x, size_t n, double *mean, double *variance)
{
    double sum = 0, square = 0;
    for (size_t i = 0; i < n; i++) sum += x[i];
    *mean = n ? sum / (double)n : 0;
    for (size_t i = 0; i < n; i++) square += (x[i] - *mean) * (x[i] - *mean);
    *variance = n ? square / (double)n : 0;
}

/* RT_INPUT unless a, of any type of float, has this shape. */
static rt_status shaped(const rt_array *a, const char *what, int rank, const int64_t *dim)
{ return rt_layer_shape(a, what, a ? a->type : RT_F32, rank, dim); }

/* ---- batch norm ---- */

/* Features are the channels, or all elements of a row when spatial is 0; each has `pixels` elements in a row. */
typedef struct {
    const rt_array *x;
    const double *scale, *bias, *mean, *variance;
    size_t rows, features, pixels;
    double epsilon, momentum;
} batch_norm;

static rt_status batch_norm_read(rt_eval_call *call, batch_norm *b, const rt_array *part[4])
{
    static const char *const what[] = {"the scale", "the bias", "the mean", "the variance"};
    int spatial = call->version >= 9 || rt_eval_int(call, "spatial", 1) != 0;
    b->epsilon = rt_eval_float(call, "epsilon", 1e-5f);
    b->momentum = rt_eval_float(call, "momentum", 0.9f);
    RT_TRY(rt_layer_in(call, 0, RT_EVAL_FLOATS, 1, RT_ARRAY_RANK, &b->x));
    const rt_array *x = b->x;
    int64_t channels = x->rank > 1 ? x->dim[1] : 1;
    const double **to[] = {&b->scale, &b->bias, &b->mean, &b->variance};
    for (int i = 0; i < 4; i++) {
        RT_TRY(rt_layer_in(call, i + 1, RT_EVAL_FLOATS, 1, RT_ARRAY_RANK, &part[i]));
        if (spatial) RT_TRY(shaped(part[i], what[i], 1, &channels));
        else RT_TRY(shaped(part[i], what[i], x->rank - 1, x->dim + 1));
        RT_TRY(rt_layer_doubles(call, part[i], to[i]));
    }
    b->rows = (size_t)x->dim[0];
    b->features = part[0]->count;
    b->pixels = b->rows && b->features ? x->count / b->rows / b->features : 0;
    return RT_OK;
}

/* Training: the statistics of this batch take the place of the given ones, which move towards them. */
static rt_status batch_statistics(rt_eval_call *call, batch_norm *b, const rt_array *part[4])
{
    rt_array *mean, *variance;
    RT_TRY(rt_eval_like(call, 1, part[2]->type, part[2], &mean));
    RT_TRY(rt_eval_like(call, 2, part[3]->type, part[3], &variance));
    size_t n = b->rows * b->pixels;
    double *line = rt_eval_scratch(call, n, sizeof *line), *m = rt_eval_scratch(call, b->features, sizeof *m);
    double *v = rt_eval_scratch(call, b->features, sizeof *v);
    if (!line || !m || !v) return RT_INPUT;
    for (size_t f = 0; f < b->features; f++) {
        RT_TRY(rt_eval_tick(call, 3 * (double)n));
        for (size_t r = 0; r < b->rows; r++)
            rt_layer_load(line + r * b->pixels, b->x, (r * b->features + f) * b->pixels, 1, b->pixels);
        rt_layer_moments(line, n, &m[f], &v[f]);
        rt_array_put(mean, f, b->mean[f] * b->momentum + m[f] * (1 - b->momentum));
        rt_array_put(variance, f, b->variance[f] * b->momentum + v[f] * (1 - b->momentum));
    }
    b->mean = m;
    b->variance = v;
    return RT_OK;
}

static rt_status run_batch_norm(rt_eval_call *call)
{
    const rt_array *part[4];
    const int64_t *list;
    batch_norm b;
    rt_array *y;
    RT_TRY(batch_norm_read(call, &b, part));
    int train = call->version >= 14 && rt_eval_int(call, "training_mode", 0) != 0, more = 0;
    if (call->version < 6) rt_eval_ints(call, "consumed_inputs", &list);
    for (int i = 1; i < call->outputs; i++) more |= rt_eval_wants(call, i);
    if ((call->version < 7 && !rt_eval_int(call, "is_test", 0)) || (call->version < 14 && more))
        return rt_fail(RT_INPUT, "batch norm as in training, which is supported from opset 14 on");
    if (more && !train) return rt_fail(RT_INPUT, "statistics are asked for without training_mode");
    RT_TRY(rt_eval_like(call, 0, b.x->type, b.x, &y));
    if (train) RT_TRY(batch_statistics(call, &b, part));
    double *line = rt_eval_scratch(call, b.pixels, sizeof *line);
    if (!line) return RT_INPUT;
    for (size_t l = 0; b.pixels && l < b.rows * b.features; l++) {
        size_t f = l % b.features;
        double by = b.scale[f] / sqrt(b.variance[f] + b.epsilon);
        RT_TRY(rt_eval_tick(call, (double)b.pixels));
        rt_layer_load(line, b.x, l * b.pixels, 1, b.pixels);
        for (size_t p = 0; p < b.pixels; p++) line[p] = (line[p] - b.mean[f]) * by + b.bias[f];
        rt_layer_store(y, l * b.pixels, 1, line, b.pixels);
    }
    return RT_OK;
}

/* ---- blocks of neighbouring channels: instance and group norm ---- */

/* Groups of `each` channels of every row are normalized; channel c has scale and bias c / `share`. */
static rt_status normalize_groups(rt_eval_call *call, const rt_array *x, const rt_array *scale, const rt_array *bias,
                                  int64_t each, int64_t share)
{
    const double *s, *b;
    rt_array *y;
    double epsilon = rt_eval_float(call, "epsilon", 1e-5f), mean, variance;
    int64_t channels = x->dim[1], lines = x->dim[0] * channels;
    RT_TRY(rt_eval_like(call, 0, x->type, x, &y));
    RT_TRY(rt_layer_doubles(call, scale, &s));
    RT_TRY(rt_layer_doubles(call, bias, &b));
    if (!y->count) return RT_OK;
    size_t pixels = x->count / (size_t)lines, n = pixels * (size_t)each;
    double *block = rt_eval_scratch(call, n, sizeof *block);
    if (!block) return RT_INPUT;
    for (int64_t l = 0; l < lines; l += each) {
        RT_TRY(rt_eval_tick(call, 4 * (double)n));
        rt_layer_load(block, x, (size_t)l * pixels, 1, n);
        rt_layer_moments(block, n, &mean, &variance);
        for (size_t i = 0; i < n; i++) {
            int64_t at = (l % channels + (int64_t)(i / pixels)) / share;
            block[i] = (block[i] - mean) / sqrt(variance + epsilon) * s[at] + b[at];
        }
        rt_layer_store(y, (size_t)l * pixels, 1, block, n);
    }
    return RT_OK;
}

static rt_status run_instance_norm(rt_eval_call *call)
{
    const rt_array *x, *scale, *bias;
    const int64_t *list;
    if (call->version < 6) rt_eval_ints(call, "consumed_inputs", &list);
    RT_TRY(rt_layer_in(call, 0, RT_EVAL_FLOATS, 3, RT_ARRAY_RANK, &x));
    RT_TRY(rt_layer_in(call, 1, RT_EVAL_FLOATS, 1, 1, &scale));
    RT_TRY(rt_layer_in(call, 2, RT_EVAL_FLOATS, 1, 1, &bias));
    RT_TRY(rt_layer_shape(scale, "the scale", x->type, 1, x->dim + 1));
    RT_TRY(rt_layer_shape(bias, "the bias", x->type, 1, x->dim + 1));
    return normalize_groups(call, x, scale, bias, 1, 1);
}

/* The types that statistics may be asked for in; they are computed in double. */
static rt_status stash_type(rt_eval_call *call, rt_dtype *type)
{
    int64_t code = rt_eval_int(call, "stash_type", 1);
    *type = code == 16 ? RT_BF16 : code == 10 ? RT_F16 : code == 11 ? RT_F64 : RT_F32;
    if (*type != RT_F32 || code == 1) return RT_OK;
    return rt_fail(RT_INPUT, "stash_type %lld is no type of floats", (long long)code);
}

/* Opset 18 has a scale a group, 21 a scale a channel. */
static rt_status run_group_norm(rt_eval_call *call)
{
    const rt_array *x, *scale, *bias;
    rt_dtype stash;
    int64_t groups = rt_eval_int(call, "num_groups", 0);
    if (call->version >= 21) RT_TRY(stash_type(call, &stash));
    RT_TRY(rt_layer_in(call, 0, RT_EVAL_FLOATS, 2, RT_ARRAY_RANK, &x));
    RT_TRY(rt_layer_in(call, 1, RT_EVAL_FLOATS, 1, 1, &scale));
    RT_TRY(rt_layer_in(call, 2, RT_EVAL_FLOATS, 1, 1, &bias));
    if (groups < 1 || x->dim[1] % groups)
        return rt_fail(RT_INPUT, "num_groups is %lld for %lld channels", (long long)groups, (long long)x->dim[1]);
    int64_t each = x->dim[1] / groups, parts = call->version >= 21 ? x->dim[1] : groups;
    RT_TRY(rt_layer_shape(scale, "the scale", x->type, 1, &parts));
    RT_TRY(rt_layer_shape(bias, "the bias", x->type, 1, &parts));
    return normalize_groups(call, x, scale, bias, each, call->version >= 21 ? 1 : each);
}

/* ---- the last dimensions: layer and RMS norm ---- */

/* What is multiplied and added after standardization, stretched to x's shape. NULL: nothing. */
static rt_status stretches(const rt_array *a, const char *what, const rt_array *x)
{
    char text[128], with[128];
    for (int i = 0; a && i < a->rank; i++) {
        int at = x->rank - a->rank + i;
        if (at < 0 || (a->dim[i] != 1 && a->dim[i] != x->dim[at]))
            return rt_fail(RT_INPUT, "%s is %s, which does not broadcast to %s", what, rt_array_describe(a, text),
                           rt_array_describe(x, with));
    }
    return RT_OK;
}

typedef struct {
    const rt_array *x, *scale, *bias;
    rt_array *y, *mean, *deviation;
    double epsilon;
    int centred;                            /* 0: RMS */
    size_t n;                               /* elements that are normalized together */
} layer_norm;

static rt_status normalize_rows(rt_eval_call *call, const layer_norm *f)
{
    const rt_array *part[] = {f->scale, f->bias};
    double *line = rt_eval_scratch(call, f->n, sizeof *line), mean = 0, variance = 0;
    if (!line) return RT_INPUT;
    rt_walk w;
    rt_walk_begin(&w, f->x->rank, f->x->dim, part, 2);
    for (size_t r = 0; f->n && r < f->x->count / f->n; r++) {
        RT_TRY(rt_eval_tick(call, 8 * (double)f->n));
        rt_layer_load(line, f->x, r * f->n, 1, f->n);
        rt_layer_moments(line, f->n, &mean, &variance);
        if (!f->centred) variance += mean * mean, mean = 0;
        double by = 1 / sqrt(variance + f->epsilon);
        for (size_t i = 0; i < f->n; i++, rt_walk_next(&w)) {
            line[i] = (line[i] - mean) * by * rt_array_double(f->scale, w.pos[0]);
            if (f->bias) line[i] += rt_array_double(f->bias, w.pos[1]);
        }
        rt_layer_store(f->y, r * f->n, 1, line, f->n);
        if (f->mean) rt_array_put(f->mean, r, mean);
        if (f->deviation) rt_array_put(f->deviation, r, by);
    }
    return RT_OK;
}

static rt_status layer_norm_read(rt_eval_call *call, layer_norm *f, rt_dtype *stash, int *axis)
{
    f->epsilon = rt_eval_float(call, "epsilon", 1e-5f);
    RT_TRY(stash_type(call, stash));
    RT_TRY(rt_layer_in(call, 0, RT_EVAL_FLOATS, 1, RT_ARRAY_RANK, &f->x));
    RT_TRY(rt_layer_in(call, 1, RT_EVAL_FLOATS, 0, RT_ARRAY_RANK, &f->scale));
    RT_TRY(rt_eval_axis(rt_eval_int(call, "axis", -1), f->x->rank, axis));
    RT_TRY(stretches(f->scale, "the scale", f->x));
    f->n = 1;
    for (int i = *axis; i < f->x->rank; i++) f->n *= (size_t)f->x->dim[i];
    return RT_OK;
}

static rt_status run_layer_norm(rt_eval_call *call)
{
    layer_norm f = {.centred = 1};
    rt_dtype stash;
    int axis = 0;
    RT_TRY(layer_norm_read(call, &f, &stash, &axis));
    RT_TRY(rt_layer_optional(call, 2, RT_EVAL_FLOATS, 0, RT_ARRAY_RANK, &f.bias));
    RT_TRY(stretches(f.bias, "the bias", f.x));
    if (f.scale->type != f.x->type || (f.bias && f.bias->type != f.x->type))
        return rt_fail(RT_INPUT, "X, scale and bias have different types");
    RT_TRY(rt_eval_like(call, 0, f.x->type, f.x, &f.y));
    int64_t dim[RT_ARRAY_RANK];
    for (int i = 0; i < f.x->rank; i++) dim[i] = i < axis ? f.x->dim[i] : 1;
    if (rt_eval_wants(call, 1)) RT_TRY(rt_eval_make(call, 1, stash, f.x->rank, dim, &f.mean));
    if (rt_eval_wants(call, 2)) RT_TRY(rt_eval_make(call, 2, stash, f.x->rank, dim, &f.deviation));
    return normalize_rows(call, &f);
}

/* The result has the scale's type. */
static rt_status run_rms_norm(rt_eval_call *call)
{
    layer_norm f = {0};
    rt_dtype stash;
    int axis = 0;
    RT_TRY(layer_norm_read(call, &f, &stash, &axis));
    RT_TRY(rt_eval_like(call, 0, f.scale->type, f.x, &f.y));
    return normalize_rows(call, &f);
}

/* ---- others ---- */

/* y = x / (bias + alpha / size * sum of squares of the channels around it) ^ beta. */
static rt_status run_lrn(rt_eval_call *call)
{
    const rt_array *x;
    rt_array *y;
    double alpha = rt_eval_float(call, "alpha", 1e-4f), beta = rt_eval_float(call, "beta", 0.75f);
    double bias = rt_eval_float(call, "bias", 1);
    int64_t size = rt_eval_int(call, "size", 0);
    RT_TRY(rt_layer_in(call, 0, RT_EVAL_FLOATS, 2, RT_ARRAY_RANK, &x));
    if (size < 1) return rt_fail(RT_INPUT, "size is %lld; it must be 1 or more", (long long)size);
    RT_TRY(rt_eval_like(call, 0, x->type, x, &y));
    if (!y->count) return RT_OK;
    int64_t channels = x->dim[1];
    size_t pixels = x->count / (size_t)(x->dim[0] * channels);
    double *line = rt_eval_scratch(call, pixels, sizeof *line), *sum = rt_eval_scratch(call, pixels, sizeof *sum);
    if (!line || !sum) return RT_INPUT;
    for (int64_t l = 0; l < x->dim[0] * channels; l++) {
        int64_t c = l % channels, low = (size - 1) / 2 > c ? 0 : c - (size - 1) / 2;
        int64_t high = size / 2 > channels - 1 - c ? channels - 1 : c + size / 2;
        memset(sum, 0, pixels * sizeof *sum);
        for (int64_t i = low; i <= high; i++) {
            RT_TRY(rt_eval_tick(call, 2 * (double)pixels));
            rt_layer_load(line, x, (size_t)(l - c + i) * pixels, 1, pixels);
            for (size_t p = 0; p < pixels; p++) sum[p] += line[p] * line[p];
        }
        RT_TRY(rt_eval_tick(call, 40 * (double)pixels));
        rt_layer_load(line, x, (size_t)l * pixels, 1, pixels);
        for (size_t p = 0; p < pixels; p++) line[p] /= pow(bias + alpha / (double)size * sum[p], beta);
        rt_layer_store(y, (size_t)l * pixels, 1, line, pixels);
    }
    return RT_OK;
}

static rt_status run_lp_norm(rt_eval_call *call)
{
    const rt_array *x;
    rt_array *y;
    int axis = 0;
    int64_t p = rt_eval_int(call, "p", 2), step[RT_ARRAY_RANK];
    if (p != 1 && p != 2) return rt_fail(RT_INPUT, "p is %lld; it must be 1 or 2", (long long)p);
    RT_TRY(rt_layer_in(call, 0, RT_EVAL_FLOATS, 1, RT_ARRAY_RANK, &x));
    RT_TRY(rt_eval_axis(rt_eval_int(call, "axis", -1), x->rank, &axis));
    RT_TRY(rt_eval_like(call, 0, x->type, x, &y));
    rt_array_steps(x->rank, x->dim, step);
    size_t n = (size_t)x->dim[axis], s = (size_t)step[axis];
    double *line = rt_eval_scratch(call, n, sizeof *line);
    if (!line) return RT_INPUT;
    for (size_t l = 0; n && l < x->count / n; l++) {
        size_t first = l / s * s * n + l % s;
        double norm = 0;
        RT_TRY(rt_eval_tick(call, 2 * (double)n));
        rt_layer_load(line, x, first, s, n);
        for (size_t i = 0; i < n; i++) norm += p == 1 ? fabs(line[i]) : line[i] * line[i];
        if (p == 2) norm = sqrt(norm);
        for (size_t i = 0; i < n; i++) line[i] = norm == 0 ? 0 : line[i] / norm;
        rt_layer_store(y, first, s, line, n);
    }
    return RT_OK;
}

/* (x - mean) / (sqrt(variance) + 1e-9) over some axes: the function body that the standard gives. */
static rt_status run_mean_variance(rt_eval_call *call)
{
    static const int64_t usual[] = {0, 2, 3};
    const rt_array *x;
    const int64_t *axis;
    rt_array *y;
    int flag[RT_ARRAY_RANK], n = rt_eval_ints(call, "axes", &axis);
    RT_TRY(rt_layer_in(call, 0, RT_EVAL_FLOATS, 0, RT_ARRAY_RANK, &x));
    RT_TRY(rt_eval_axes(x->rank, n < 0 ? usual : axis, n < 0 ? 3 : n, flag));
    RT_TRY(rt_eval_like(call, 0, x->type, x, &y));
    rt_array kept = *x;                     /* the shape of the statistics */
    kept.count = 1;
    for (int i = 0; i < x->rank; i++) kept.count *= (size_t)(kept.dim[i] = flag[i] ? 1 : x->dim[i]);
    const rt_array *in[] = {&kept};
    double *mean = rt_eval_scratch(call, kept.count, sizeof *mean);
    double *square = rt_eval_scratch(call, kept.count, sizeof *square);
    if (!mean || !square) return RT_INPUT;
    double each = kept.count ? (double)x->count / (double)kept.count : 1;
    rt_walk w;
    RT_TRY(rt_eval_tick(call, 30 * (double)x->count));
    size_t i = 0;
    for (rt_walk_begin(&w, x->rank, x->dim, in, 1); w.left; rt_walk_next(&w))
        mean[w.pos[0]] += rt_array_double(x, i++) / each;
    i = 0;
    for (rt_walk_begin(&w, x->rank, x->dim, in, 1); w.left; rt_walk_next(&w)) {
        double d = rt_array_double(x, i++) - mean[w.pos[0]];
        square[w.pos[0]] += d * d / each;
    }
    i = 0;
    for (rt_walk_begin(&w, x->rank, x->dim, in, 1); w.left; rt_walk_next(&w), i++)
        rt_array_put(y, i, (rt_array_double(x, i) - mean[w.pos[0]]) / (sqrt(square[w.pos[0]]) + 1e-9));
    return RT_OK;
}

const rt_eval_op rt_eval_norm_ops[] = {
    {"", "BatchNormalization", 1, 5, 5, 5, run_batch_norm, 0},
    {"", "BatchNormalization", 14, 5, 5, 3, run_batch_norm, 0},
    {"", "InstanceNormalization", 1, 3, 3, 1, run_instance_norm, 0},
    {"", "LayerNormalization", 17, 2, 3, 3, run_layer_norm, 0},
    {"", "GroupNormalization", 18, 3, 3, 1, run_group_norm, 0},
    {"", "RMSNormalization", 23, 2, 2, 1, run_rms_norm, 0},
    {"", "LRN", 1, 1, 1, 1, run_lrn, 0},
    {"", "LpNormalization", 1, 1, 1, 1, run_lp_norm, 0},
    {"", "MeanVarianceNormalization", 9, 1, 1, 1, run_mean_variance, 0},
    {"com.microsoft", "SkipLayerNormalization", 1, 3, 5, 4, rt_eval_skip_layer_norm, 0},
    {"com.microsoft", "EmbedLayerNormalization", 1, 7, 9, 3, rt_eval_embed_layer_norm, 0},
    {NULL, NULL, 0, 0, 0, 0, NULL, 0}};
