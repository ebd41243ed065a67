/* engine/eval/eval_attention_fused.c - attention as ONNX Runtime's optimizer writes it (domain com.microsoft):
 * Attention with its projection, MultiHeadAttention behind one.
 *
 * Source: github.com/microsoft/onnxruntime, docs/ContribOperators.md; without state of the past, packed inputs and
 * turned positions, which are refused. A key that the mask hides has mask_filter_value added to its score. */
#include <math.h>
#include <string.h>

#include "engine/eval/layers.h"

typedef struct {
    int64_t batch, length, keys, heads, size, v_size;
    const double *q, *k, *v;                /* (batch, length or keys, heads * size) */
    int64_t q_step, k_step, v_step;         /* from a token to the next */
    const rt_array *mask, *bias;            /* mask: (batch) lengths, (batch, keys), (batch, length, keys) */
    double scale, hidden;
    int causal;
} fused;

static rt_status fused_attributes(rt_eval_call *call, fused *f)
{
    f->heads = rt_eval_int(call, "num_heads", 0);
    f->causal = rt_eval_int(call, "unidirectional", 0) != 0;
    f->hidden = rt_eval_float(call, "mask_filter_value", -10000);
    f->scale = rt_eval_float(call, "scale", 0);
    return f->heads < 1 || f->heads > 1 << 20 ? rt_fail(RT_INPUT, "num_heads is %lld", (long long)f->heads) : RT_OK;
}

static rt_status fused_masks(rt_eval_call *call, int mask, int bias, rt_dtype type, fused *f)
{
    char text[128];
    const int64_t two[] = {f->batch, f->keys}, three[] = {f->batch, f->length, f->keys};
    RT_TRY(rt_layer_optional(call, mask, 1 << RT_I32, 1, 3, &f->mask));
    RT_TRY(rt_layer_optional(call, bias, RT_EVAL_FLOATS, 4, 4, &f->bias));
    if (f->mask) RT_TRY(rt_layer_shape(f->mask, "the mask", RT_I32, f->mask->rank, f->mask->rank == 3 ? three : two));
    const int64_t want[] = {f->batch, f->heads, f->length, f->keys};
    for (int d = 0; f->bias && d < 4; d++)
        if (f->bias->type != type || (f->bias->dim[d] != want[d] && (f->bias->dim[d] != 1 || d > 1)))
            return rt_fail(RT_INPUT, "a bias of %s for (%lld, %lld, %lld, %lld)", rt_array_describe(f->bias, text),
                           (long long)want[0], (long long)want[1], (long long)want[2], (long long)want[3]);
    return RT_OK;
}

static double added(const fused *f, int64_t b, int64_t h, int64_t i, int64_t j)
{
    double sum = 0;
    if (f->causal && j > i + f->keys - f->length) return -INFINITY;
    if (f->mask) {
        int shown = f->mask->rank == 1 ? j < rt_array_int(f->mask, (size_t)b) :
                    rt_array_int(f->mask, (size_t)((f->mask->rank == 2 ? b : b * f->length + i) * f->keys + j)) > 0;
        sum = shown ? 0 : f->hidden;
    }
    if (!f->bias) return sum;
    int64_t row = (f->bias->dim[0] == 1 ? 0 : b) * f->bias->dim[1] + (f->bias->dim[1] == 1 ? 0 : h);
    return sum + rt_array_double(f->bias, (size_t)((row * f->length + i) * f->keys + j));
}

static rt_status fused_run(rt_eval_call *call, const fused *f, rt_array *y)
{
    double *row = rt_eval_scratch(call, (size_t)f->keys, sizeof *row);
    double *out = rt_eval_scratch(call, (size_t)f->v_size, sizeof *out);
    double scale = f->scale != 0 ? f->scale : 1 / sqrt((double)f->size);
    if (!row || !out) return RT_INPUT;
    for (int64_t l = 0; l < f->batch * f->length * f->heads; l++) {
        int64_t h = l % f->heads, i = l / f->heads % f->length, b = l / f->heads / f->length;
        double most = -INFINITY, sum = 0;
        RT_TRY(rt_eval_tick(call, (double)f->keys * (double)(2 * f->size + f->v_size + 64)));
        for (int64_t j = 0; j < f->keys; j++) {
            const double *q = f->q + (b * f->length + i) * f->q_step + h * f->size;
            const double *k = f->k + (b * f->keys + j) * f->k_step + h * f->size;
            double dot = 0;
            for (int64_t d = 0; d < f->size; d++) dot += q[d] * k[d];
            row[j] = scale * dot + added(f, b, h, i, j);
            most = fmax(most, row[j]);
        }
        if (most == -INFINITY) return rt_fail(RT_INPUT, "a query without keys");
        memset(out, 0, (size_t)f->v_size * sizeof *out);
        for (int64_t j = 0; j < f->keys; j++) sum += row[j] = exp(row[j] - most);
        for (int64_t j = 0; j < f->keys; j++)
            for (int64_t d = 0; d < f->v_size; d++)
                out[d] += row[j] / sum * f->v[(b * f->keys + j) * f->v_step + h * f->v_size + d];
        rt_layer_store(y, (size_t)(l * f->v_size), 1, out, (size_t)f->v_size);
    }
    return RT_OK;
}

/* Output 0 is (batch, length, heads * v_size). */
static rt_status fused_make(rt_eval_call *call, const fused *f, rt_dtype type, rt_array **y)
{ return rt_eval_make(call, 0, type, 3, (int64_t[]){f->batch, f->length, f->heads * f->v_size}, y); }

/* Columns of queries, keys and values in the projection: a third each unless they are told. */
static rt_status projected_sizes(rt_eval_call *call, const rt_array *weights, const fused *f, int64_t width[3])
{
    const int64_t *list;
    int n = rt_eval_ints(call, "qkv_hidden_sizes", &list);
    for (int i = 0; i < 3; i++) width[i] = n == 3 ? list[i] : weights->dim[1] / 3;
    for (int i = 0; i < 3; i++)
        if (width[i] < 1 || width[i] > 1 << 30 || width[i] % f->heads || width[0] != width[1] || (n > 0 && n != 3))
            return rt_fail(RT_INPUT, "%lld columns for %lld heads", (long long)width[i], (long long)f->heads);
    return width[0] + width[1] + width[2] == weights->dim[1]
               ? RT_OK : rt_fail(RT_INPUT, "the weight has %lld columns", (long long)weights->dim[1]);
}

rt_status rt_eval_fused_attention(rt_eval_call *call)
{
    const rt_array *x, *weights, *bias;
    const double *in, *w;
    int64_t width[3];
    fused f = {0};
    rt_array *y;
    RT_TRY(fused_attributes(call, &f));
    if (rt_eval_int(call, "do_rotary", 0) || rt_eval_int(call, "past_present_share_buffer", 0) || rt_eval_in(call, 4) ||
        rt_eval_in(call, 6) || rt_eval_wants(call, 1))
        return rt_fail(RT_INPUT, "attention with a past or turned positions is not supported");
    rt_eval_int(call, "rotary_embedding_dim", 0);
    RT_TRY(rt_layer_in(call, 0, RT_EVAL_FLOATS, 3, 3, &x));
    RT_TRY(rt_layer_in(call, 1, RT_EVAL_FLOATS, 2, 2, &weights));
    RT_TRY(rt_layer_optional(call, 2, RT_EVAL_FLOATS, 1, 1, &bias));
    f.batch = x->dim[0];
    f.length = f.keys = x->dim[1];
    RT_TRY(rt_layer_shape(weights, "the weight", x->type, 2, (int64_t[]){x->dim[2], -1}));
    RT_TRY(rt_layer_shape(bias, "the bias", x->type, 1, weights->dim + 1));
    RT_TRY(projected_sizes(call, weights, &f, width));
    f.size = width[0] / f.heads;
    f.v_size = width[2] / f.heads;
    RT_TRY(fused_masks(call, 3, 5, x->type, &f));
    RT_TRY(fused_make(call, &f, x->type, &y));
    if (!y->count) return RT_OK;
    RT_TRY(rt_layer_doubles(call, x, &in));
    RT_TRY(rt_layer_doubles(call, weights, &w));
    int64_t tokens = f.batch * f.length, columns = weights->dim[1];
    double *all = rt_eval_scratch(call, (size_t)tokens, (size_t)columns * sizeof *all);
    if (!all) return RT_INPUT;
    for (int64_t i = 0; bias && i < tokens * columns; i++) all[i] = rt_array_double(bias, (size_t)(i % columns));
    RT_TRY(rt_layer_product_double(call, tokens, columns, x->dim[2], in, x->dim[2], 1, w, columns, 1, all, columns));
    f.q = all;
    f.k = all + width[0];
    f.v = all + width[0] + width[1];
    f.q_step = f.k_step = f.v_step = columns;
    return fused_run(call, &f, y);
}

rt_status rt_eval_multi_head_attention(rt_eval_call *call)
{
    const rt_array *part[3], *bias;
    fused f = {0};
    rt_array *y;
    RT_TRY(fused_attributes(call, &f));
    for (int i = 0; i < 3; i++) RT_TRY(rt_layer_in(call, i, RT_EVAL_FLOATS, 3, 3, &part[i]));
    RT_TRY(rt_layer_optional(call, 3, RT_EVAL_FLOATS, 1, 1, &bias));
    int past = 0;
    for (int i = 6; i < call->inputs; i++) past |= rt_eval_in(call, i) != NULL;
    for (int i = 1; i < call->outputs; i++) past |= rt_eval_wants(call, i);
    if (past) return rt_fail(RT_INPUT, "attention with a past is not supported");
    f.batch = part[0]->dim[0];
    f.length = part[0]->dim[1];
    f.keys = part[1]->dim[1];
    int64_t q = part[0]->dim[2], v = part[2]->dim[2], columns = q + q + v;
    if (q % f.heads || v % f.heads || !q) return rt_fail(RT_INPUT, "%lld and %lld numbers for %lld heads", (long long)q,
                                                         (long long)v, (long long)f.heads);
    RT_TRY(rt_layer_shape(part[1], "the key", part[0]->type, 3, (int64_t[]){f.batch, -1, q}));
    RT_TRY(rt_layer_shape(part[2], "the value", part[0]->type, 3, (int64_t[]){f.batch, f.keys, -1}));
    RT_TRY(rt_layer_shape(bias, "the bias", part[0]->type, 1, &columns));
    f.size = q / f.heads;
    f.v_size = v / f.heads;
    RT_TRY(fused_masks(call, 4, 5, part[0]->type, &f));
    RT_TRY(fused_make(call, &f, part[0]->type, &y));
    if (!y->count) return RT_OK;
    const double **to[] = {&f.q, &f.k, &f.v};
    int64_t *step[] = {&f.q_step, &f.k_step, &f.v_step};
    for (int i = 0, first = 0; i < 3; first += (int)part[i]->dim[2], i++) {
        double *copy = rt_eval_scratch(call, part[i]->count, sizeof *copy);
        if (!copy) return RT_INPUT;
        rt_layer_load(copy, part[i], 0, 1, part[i]->count);
        *step[i] = part[i]->dim[2];
        for (size_t k = 0; bias && k < part[i]->count; k++)
            copy[k] += rt_array_double(bias, (size_t)first + k % (size_t)*step[i]);
        *to[i] = copy;
    }
    return fused_run(call, &f, y);
}
