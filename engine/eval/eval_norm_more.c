/* engine/eval/eval_norm_more.c - layer norms that ONNX Runtime's optimizer writes (domain com.microsoft).
 *
 * Source: github.com/microsoft/onnxruntime, docs/ContribOperators.md. */
#include <math.h>

#include "engine/eval/layers.h"

/* One row, standardized in place: y = (x - mean) / sqrt(variance + epsilon) gamma + beta. */
static void standardize(double *x, size_t n, double epsilon, const rt_array *gamma, const rt_array *beta)
{
    double mean, variance;
    rt_layer_moments(x, n, &mean, &variance);
    for (size_t i = 0; i < n; i++)
        x[i] = (x[i] - mean) / sqrt(variance + epsilon) * rt_array_double(gamma, i) +
               (beta ? rt_array_double(beta, i) : 0);
}

/* Layer norm of input + skip + bias. Outputs 1 and 2 are statistics of training, which are not given. */
rt_status rt_eval_skip_layer_norm(rt_eval_call *call)
{
    const rt_array *x, *skip, *gamma, *beta, *bias;
    rt_array *y, *sum;
    double epsilon = rt_eval_float(call, "epsilon", 1e-12f);
    RT_TRY(rt_layer_in(call, 0, RT_EVAL_FLOATS, 2, 3, &x));
    RT_TRY(rt_layer_in(call, 1, RT_EVAL_FLOATS, x->rank, x->rank, &skip));
    RT_TRY(rt_layer_in(call, 2, RT_EVAL_FLOATS, 1, 1, &gamma));
    RT_TRY(rt_layer_optional(call, 3, RT_EVAL_FLOATS, 1, 1, &beta));
    RT_TRY(rt_layer_optional(call, 4, RT_EVAL_FLOATS, 1, 1, &bias));
    const int64_t *width = x->dim + x->rank - 1;
    RT_TRY(rt_layer_shape(skip, "skip", x->type, x->rank, x->dim));
    RT_TRY(rt_layer_shape(gamma, "gamma", x->type, 1, width));
    RT_TRY(rt_layer_shape(beta, "beta", x->type, 1, width));
    RT_TRY(rt_layer_shape(bias, "bias", x->type, 1, width));
    if (rt_eval_wants(call, 1) || rt_eval_wants(call, 2))
        return rt_fail(RT_INPUT, "the mean and the deviation are not given");
    RT_TRY(rt_eval_like(call, 0, x->type, x, &y));
    RT_TRY(rt_eval_like(call, 3, x->type, x, &sum));
    size_t n = (size_t)*width;
    double *line = rt_eval_scratch(call, n, sizeof *line);
    if (!line) return RT_INPUT;
    for (size_t at = 0; at < x->count; at += n) {
        RT_TRY(rt_eval_tick(call, 8 * (double)n));
        for (size_t i = 0; i < n; i++)
            line[i] = rt_array_double(x, at + i) + rt_array_double(skip, at + i) +
                      (bias ? rt_array_double(bias, i) : 0);
        rt_layer_store(sum, at, 1, line, n);
        standardize(line, n, epsilon, gamma, beta);
        rt_layer_store(y, at, 1, line, n);
    }
    return RT_OK;
}

/* ---- EmbedLayerNormalization ---- */

typedef struct {
    const rt_array *ids, *segments, *words, *places, *segment_rows, *gamma, *beta, *mask, *place_ids;
    size_t rows, tokens, width;
} embed;

static rt_status embed_read(rt_eval_call *call, embed *f)
{
    const unsigned whole = 1 << RT_I32;
    RT_TRY(rt_layer_in(call, 0, whole, 2, 2, &f->ids));
    RT_TRY(rt_layer_optional(call, 1, whole, 2, 2, &f->segments));
    RT_TRY(rt_layer_in(call, 2, RT_EVAL_FLOATS, 2, 2, &f->words));
    RT_TRY(rt_layer_in(call, 3, RT_EVAL_FLOATS, 2, 2, &f->places));
    RT_TRY(rt_layer_optional(call, 4, RT_EVAL_FLOATS, 2, 2, &f->segment_rows));
    RT_TRY(rt_layer_in(call, 5, RT_EVAL_FLOATS, 1, 1, &f->gamma));
    RT_TRY(rt_layer_in(call, 6, RT_EVAL_FLOATS, 1, 1, &f->beta));
    RT_TRY(rt_layer_optional(call, 7, whole, 2, 2, &f->mask));
    RT_TRY(rt_layer_optional(call, 8, whole, 2, 2, &f->place_ids));
    const int64_t table[] = {-1, f->words->dim[1]};
    RT_TRY(rt_layer_shape(f->places, "the table of positions", f->words->type, 2, table));
    RT_TRY(rt_layer_shape(f->segment_rows, "the table of segments", f->words->type, 2, table));
    RT_TRY(rt_layer_shape(f->gamma, "gamma", f->words->type, 1, table + 1));
    RT_TRY(rt_layer_shape(f->beta, "beta", f->words->type, 1, table + 1));
    RT_TRY(rt_layer_shape(f->segments, "the segments", RT_I32, 2, f->ids->dim));
    RT_TRY(rt_layer_shape(f->mask, "the mask", RT_I32, 2, f->ids->dim));
    RT_TRY(rt_layer_shape(f->place_ids, "the positions", RT_I32, 2, (int64_t[]){-1, f->ids->dim[1]}));
    if (!f->segments != !f->segment_rows) return rt_fail(RT_INPUT, "segments without their table, or the reverse");
    if (f->place_ids && f->place_ids->dim[0] != 1 && f->place_ids->dim[0] != f->ids->dim[0])
        return rt_fail(RT_INPUT, "positions for %lld rows", (long long)f->place_ids->dim[0]);
    f->rows = (size_t)f->ids->dim[0];
    f->tokens = (size_t)f->ids->dim[1];
    f->width = (size_t)f->words->dim[1];
    return RT_OK;
}

static rt_status add_row(const rt_array *table, int64_t row, size_t width, double *sum)
{
    if (row < 0 || row >= table->dim[0])
        return rt_fail(RT_INPUT, "row %lld of a table of %lld", (long long)row, (long long)table->dim[0]);
    for (size_t i = 0; i < width; i++) sum[i] += rt_array_double(table, (size_t)row * width + i);
    return RT_OK;
}

/* Layer norm of the sum of the rows of a word, its position and its segment; and how many of a row's mask are 1. */
rt_status rt_eval_embed_layer_norm(rt_eval_call *call)
{
    embed f;
    rt_array *y, *index, *sum;
    double epsilon = rt_eval_float(call, "epsilon", 1e-12f);
    int64_t mask_index_type = rt_eval_int(call, "mask_index_type", 0);
    if (mask_index_type) return rt_fail(RT_INPUT, "mask_index_type %lld", (long long)mask_index_type);
    RT_TRY(embed_read(call, &f));
    const int64_t dim[] = {f.ids->dim[0], f.ids->dim[1], f.words->dim[1]};
    RT_TRY(rt_eval_make(call, 0, f.words->type, 3, dim, &y));
    RT_TRY(rt_eval_make(call, 1, RT_I32, 1, dim, &index));
    RT_TRY(rt_eval_make(call, 2, f.words->type, 3, dim, &sum));
    double *line = rt_eval_scratch(call, f.width, sizeof *line);
    if (!line) return RT_INPUT;
    for (size_t t = 0; t < f.rows * f.tokens; t++) {
        size_t place = f.place_ids && f.place_ids->dim[0] == 1 ? t % f.tokens : t;
        RT_TRY(rt_eval_tick(call, 16 * (double)f.width));
        for (size_t i = 0; i < f.width; i++) line[i] = 0;
        RT_TRY(add_row(f.words, rt_array_int(f.ids, t), f.width, line));
        RT_TRY(add_row(f.places, f.place_ids ? rt_array_int(f.place_ids, place) : (int64_t)(t % f.tokens), f.width,
                       line));
        if (f.segments) RT_TRY(add_row(f.segment_rows, rt_array_int(f.segments, t), f.width, line));
        rt_layer_store(sum, t * f.width, 1, line, f.width);
        standardize(line, f.width, epsilon, f.gamma, f.beta);
        rt_layer_store(y, t * f.width, 1, line, f.width);
        if (f.mask && rt_array_int(f.mask, t) == 1)
            rt_array_put_int(index, t / f.tokens, rt_array_int(index, t / f.tokens) + 1);
    }
    return RT_OK;
}
