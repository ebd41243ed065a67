/* engine/eval/eval_attention.c - scaled dot products: Attention, FlexAttention. RotaryEmbedding and LinearAttention
 * are in eval_attention_more.c, com.microsoft's in eval_attention_fused.c. In double, a row of scores at a time.
 *
 * Y[b, h, i] = sum over j of softmax_j(cap(scale Q[b, h, i] . K[b, g, j]) + bias[b, h, i, j]) V[b, g, j], where g is
 * the head of keys that h shares. A row whose keys are all hidden gives 0. */
#include <math.h>
#include <string.h>

#include "engine/eval/layers.h"

enum { MOST_HEADS = 1 << 20 };

/* Queries, keys and values as (batch, heads, length, size), and what is added to scores. */
typedef struct {
    int64_t batch, q_heads, heads, length, keys, past, size, v_size;
    const double *q, *k, *v;
    double scale, cap;
    const rt_array *mask;                   /* stretches to (batch, q_heads, length, ...); its last may be short */
    int64_t mask_step[4], mask_keys;
    const int64_t *real;                    /* (batch) keys that are no padding; NULL: all */
    int causal;
    int64_t left, right;                    /* of a window around a query; -1: no bound */
} attention;

/* X (batch, length, heads * size) or (batch, heads, length, size), behind what is past (batch, heads, past, size), as
 * (batch, heads, past + length, size). */
static rt_status split_heads(rt_eval_call *call, const rt_array *x, int64_t heads, const rt_array *past, double **out)
{
    int packed = x->rank == 3;
    int64_t length = x->dim[packed ? 1 : 2], size = packed ? x->dim[2] / heads : x->dim[3];
    int64_t before = past ? past->dim[2] : 0, lines = x->dim[0] * heads;
    size_t count, bytes;
    RT_TRY(rt_array_size(RT_F64, 4, (int64_t[]){x->dim[0], heads, before + length, size}, &count, &bytes));
    double *to = *out = rt_eval_scratch(call, count, sizeof *to);
    if (!to) return RT_INPUT;
    RT_TRY(rt_eval_tick(call, 2 * (double)count));
    for (int64_t l = 0; l < lines; l++) {
        if (past) rt_layer_load(to, past, (size_t)(l * before * size), 1, (size_t)(before * size));
        to += before * size;
        for (int64_t t = 0; t < length; t++, to += size) {
            int64_t at = packed ? ((l / heads * length + t) * heads + l % heads) * size : (l * length + t) * size;
            rt_layer_load(to, x, (size_t)at, 1, (size_t)size);
        }
    }
    return RT_OK;
}

/* scale Q . K of one query with all keys. */
static void score_row(const attention *a, int64_t b, int64_t h, int64_t i, double *row)
{
    int64_t g = h / (a->q_heads / a->heads);
    const double *q = a->q + ((b * a->q_heads + h) * a->length + i) * a->size;
    const double *k = a->k + (b * a->heads + g) * a->keys * a->size;
    for (int64_t j = 0; j < a->keys; j++, k += a->size) {
        double sum = 0;
        for (int64_t d = 0; d < a->size; d++) sum += q[d] * k[d];
        row[j] = a->scale * sum;
    }
}

/* exp(x - most) / sum; a row of -infinity alone is 0. */
static void softmax_row(double *row, int64_t n)
{
    double most = -INFINITY, sum = 0;
    for (int64_t j = 0; j < n; j++) if (row[j] > most || isnan(row[j])) most = row[j];
    if (most == -INFINITY) {
        memset(row, 0, (size_t)n * sizeof *row);
        return;
    }
    for (int64_t j = 0; j < n; j++) sum += row[j] = exp(row[j] - most);
    for (int64_t j = 0; j < n; j++) row[j] /= sum;
}

/* Sums of values; a key of weight 0 is left out, whatever its value. */
static void value_row(const attention *a, int64_t b, int64_t h, const double *weight, double *out)
{
    int64_t g = h / (a->q_heads / a->heads);
    const double *v = a->v + (b * a->heads + g) * a->keys * a->v_size;
    memset(out, 0, (size_t)a->v_size * sizeof *out);
    for (int64_t j = 0; j < a->keys; j++, v += a->v_size)
        if (weight[j] != 0)
            for (int64_t d = 0; d < a->v_size; d++) out[d] += weight[j] * v[d];
}

/* What is added to the score of query i with key j. */
static double bias_of(const attention *a, int64_t b, int64_t h, int64_t i, int64_t j)
{
    int64_t at = i + (a->past ? a->past : a->real ? a->real[b] - a->length : 0);
    if ((a->causal && j > at) || (a->real && j >= a->real[b])) return -INFINITY;
    if ((a->left >= 0 && j < at - a->left) || (a->right >= 0 && j > at + a->right)) return -INFINITY;
    if (!a->mask) return 0;
    if (j >= a->mask_keys) return -INFINITY;
    size_t m = (size_t)(b * a->mask_step[0] + h * a->mask_step[1] + i * a->mask_step[2] + j * a->mask_step[3]);
    if (a->mask->type == RT_BOOL) return rt_array_int(a->mask, m) ? 0 : -INFINITY;
    return rt_array_double(a->mask, m);
}

/* ---- Attention ---- */

static rt_status read_mask(rt_eval_call *call, attention *a)
{
    char text[128];
    const int64_t want[] = {a->batch, a->q_heads, a->length, a->keys};
    RT_TRY(rt_layer_optional(call, 3, RT_EVAL_NUMBERS | 1 << RT_BOOL, 1, 4, &a->mask));
    if (!a->mask) return RT_OK;
    int64_t step[RT_ARRAY_RANK];
    int rank = a->mask->rank, fits = 1;
    rt_array_steps(rank, a->mask->dim, step);
    a->mask_keys = a->mask->dim[rank - 1];
    fits = a->mask_keys <= a->keys && (a->mask_keys > 1 || a->keys <= 1);       /* 1: stretched or padded? */
    for (int i = 0; i < rank; i++) {
        int at = 4 - rank + i;
        a->mask_step[at] = a->mask->dim[i] == 1 && at < 3 ? 0 : step[i];
        if (at < 3 && a->mask->dim[i] != 1 && a->mask->dim[i] != want[at]) fits = 0;
    }
    if (fits) return RT_OK;
    return rt_fail(RT_INPUT, "a mask of %s for (%lld, %lld, %lld, %lld)", rt_array_describe(a->mask, text),
                   (long long)want[0], (long long)want[1], (long long)want[2], (long long)want[3]);
}

/* Heads: of inputs of rank 3 the attributes, of rank 4 their dimension. */
static rt_status read_heads(rt_eval_call *call, const rt_array *q, const rt_array *k, const rt_array *v, attention *a)
{
    char tq[128], tk[128];
    int packed = q->rank == 3;
    int64_t q_heads = rt_eval_int(call, "q_num_heads", 0), heads = rt_eval_int(call, "kv_num_heads", 0);
    a->q_heads = packed ? q_heads : q->dim[1];
    a->heads = packed ? heads : k->dim[1];
    a->batch = q->dim[0];
    a->length = q->dim[packed ? 1 : 2];
    a->keys = k->dim[packed ? 1 : 2];
    if (a->q_heads < 1 || a->heads < 1 || a->q_heads > MOST_HEADS || a->q_heads % a->heads || k->type != q->type ||
        k->dim[0] != a->batch || v->dim[0] != a->batch || v->dim[packed ? 1 : 2] != a->keys ||
        (packed ? q->dim[2] % q_heads || k->dim[2] % heads || v->dim[2] % heads : v->dim[1] != a->heads))
        return rt_fail(RT_INPUT, "queries of %s in %lld heads, keys of %s in %lld and the values do not fit each other",
                       rt_array_describe(q, tq), (long long)a->q_heads, rt_array_describe(k, tk),
                       (long long)a->heads);
    a->size = packed ? q->dim[2] / q_heads : q->dim[3];
    a->v_size = packed ? v->dim[2] / heads : v->dim[3];
    if ((packed ? k->dim[2] / heads : k->dim[3]) != a->size)
        return rt_fail(RT_INPUT, "heads of queries and of keys have different sizes");
    return RT_OK;
}

static rt_status read_past(rt_eval_call *call, const rt_array *k, const rt_array *v, const rt_array **past_k,
                           const rt_array **past_v, attention *a)
{
    int count;
    RT_TRY(rt_layer_optional(call, 4, RT_EVAL_FLOATS, 4, 4, past_k));
    RT_TRY(rt_layer_optional(call, 5, RT_EVAL_FLOATS, 4, 4, past_v));
    RT_TRY(rt_eval_list(call, 6, &a->real, &count));
    if (!*past_k != !*past_v || (*past_k && a->real))
        return rt_fail(RT_INPUT, "past keys and past values come together, and without nonpad_kv_seqlen");
    if (count >= 0 && count != a->batch)
        return rt_fail(RT_INPUT, "nonpad_kv_seqlen has %d numbers for %lld rows", count, (long long)a->batch);
    for (int i = 0; i < count; i++)
        if (a->real[i] < 0 || a->real[i] > a->keys)
            return rt_fail(RT_INPUT, "nonpad_kv_seqlen is %lld; there are %lld keys", (long long)a->real[i],
                           (long long)a->keys);
    if (!*past_k) return RT_OK;
    a->past = (*past_k)->dim[2];
    RT_TRY(rt_layer_shape(*past_k, "past_key", k->type, 4, (int64_t[]){a->batch, a->heads, a->past, a->size}));
    RT_TRY(rt_layer_shape(*past_v, "past_value", v->type, 4, (int64_t[]){a->batch, a->heads, a->past, a->v_size}));
    a->keys += a->past;
    return RT_OK;
}

/* The present keys or values, which are those past and those given. */
static rt_status give_present(rt_eval_call *call, int i, rt_dtype type, const attention *a, int64_t size,
                              const double *x)
{
    rt_array *y;
    if (!rt_eval_wants(call, i)) return RT_OK;
    RT_TRY(rt_eval_make(call, i, type, 4, (int64_t[]){a->batch, a->heads, a->keys, size}, &y));
    rt_layer_store(y, 0, 1, x, y->count);
    return RT_OK;
}

static rt_status attend(rt_eval_call *call, const attention *a, int mode, rt_array *y, rt_array *scores)
{
    double *row = rt_eval_scratch(call, (size_t)a->keys, sizeof *row);
    double *out = rt_eval_scratch(call, (size_t)a->v_size, sizeof *out);
    if (!row || !out) return RT_INPUT;
    for (int64_t l = 0; l < a->batch * a->q_heads * a->length; l++) {
        int64_t i = l % a->length, h = l / a->length % a->q_heads, b = l / a->length / a->q_heads;
        size_t at = (size_t)(l * a->keys);
        RT_TRY(rt_eval_tick(call, (double)a->keys * (double)(2 * a->size + a->v_size + 64)));
        score_row(a, b, h, i, row);
        if (scores && mode == 0) rt_layer_store(scores, at, 1, row, (size_t)a->keys);
        for (int64_t j = 0; a->cap > 0 && j < a->keys; j++) row[j] = a->cap * tanh(row[j] / a->cap);
        if (scores && mode == 1) rt_layer_store(scores, at, 1, row, (size_t)a->keys);
        for (int64_t j = 0; j < a->keys; j++) {
            double bias = bias_of(a, b, h, i, j);
            row[j] = bias == -INFINITY ? bias : row[j] + bias;
        }
        if (scores && mode == 2) rt_layer_store(scores, at, 1, row, (size_t)a->keys);
        softmax_row(row, a->keys);
        if (scores && mode == 3) rt_layer_store(scores, at, 1, row, (size_t)a->keys);
        value_row(a, b, h, row, out);
        int64_t line = y->rank == 3 ? (b * a->length + i) * a->q_heads + h : l;
        rt_layer_store(y, (size_t)(line * a->v_size), 1, out, (size_t)a->v_size);
    }
    return RT_OK;
}

/* A code of a float's type; what is computed is computed in double. */
static rt_status check_precision(rt_eval_call *call, int64_t *code)
{
    *code = rt_eval_int(call, "softmax_precision", 1);
    return *code == 1 || *code == 10 || *code == 11 || *code == 16
               ? RT_OK : rt_fail(RT_INPUT, "softmax_precision %lld is no type of floats", (long long)*code);
}

static rt_status run_attention(rt_eval_call *call)
{
    const rt_array *q, *k, *v, *past_k, *past_v;
    rt_array *y, *scores = NULL;
    attention a = {.left = -1, .right = -1};
    int64_t mode = rt_eval_int(call, "qk_matmul_output_mode", 0), precision;
    RT_TRY(rt_layer_in(call, 0, RT_EVAL_FLOATS, 3, 4, &q));
    RT_TRY(rt_layer_in(call, 1, RT_EVAL_FLOATS, q->rank, q->rank, &k));
    RT_TRY(rt_layer_in(call, 2, RT_EVAL_FLOATS, q->rank, q->rank, &v));
    RT_TRY(read_heads(call, q, k, v, &a));
    RT_TRY(read_past(call, k, v, &past_k, &past_v, &a));
    RT_TRY(read_mask(call, &a));
    RT_TRY(check_precision(call, &precision));
    a.cap = rt_eval_float(call, "softcap", 0);
    a.causal = rt_eval_int(call, "is_causal", 0) != 0;
    a.scale = rt_eval_float(call, "scale", 1 / sqrt((double)a.size));
    if (call->version >= 25) {
        a.left = rt_eval_int(call, "left_window_size", -1);
        a.right = rt_eval_int(call, "right_window_size", -1);
    }
    if (mode < 0 || mode > 3 || a.left < -1 || a.right < -1 || a.left > 1 << 30 || a.right > 1 << 30)
        return rt_fail(RT_INPUT, "qk_matmul_output_mode or a window's size is out of range");
    int64_t packed[] = {a.batch, a.length, a.q_heads * a.v_size}, whole[] = {a.batch, a.q_heads, a.length, a.v_size};
    RT_TRY(rt_eval_make(call, 0, q->type, q->rank, q->rank == 3 ? packed : whole, &y));
    if (rt_eval_wants(call, 3))
        RT_TRY(rt_eval_make(call, 3, q->type, 4, (int64_t[]){a.batch, a.q_heads, a.length, a.keys}, &scores));
    double *part[3];
    RT_TRY(split_heads(call, q, a.q_heads, NULL, &part[0]));
    RT_TRY(split_heads(call, k, a.heads, past_k, &part[1]));
    RT_TRY(split_heads(call, v, a.heads, past_v, &part[2]));
    a.q = part[0];
    a.k = part[1];
    a.v = part[2];
    RT_TRY(give_present(call, 1, k->type, &a, a.size, a.k));
    RT_TRY(give_present(call, 2, v->type, &a, a.v_size, a.v));
    return attend(call, &a, (int)mode, y, scores);
}

/* ---- FlexAttention ---- */

/* A body that makes of scores or weights others of the same shape and type. */
static rt_status modify(rt_eval_call *call, const char *name, rt_array **scores)
{
    const rt_eval_graph *body = rt_eval_body(call, name);
    if (!body) return RT_OK;
    rt_array *out[1], *in[] = {*scores};
    if (body->outputs != 1) return rt_fail(RT_INPUT, "%s has %d outputs; it must have one", name, body->outputs);
    RT_TRY(rt_eval_body_run(call, body, in, 1, out));
    RT_TRY(rt_layer_shape(out[0], name, in[0]->type, 4, in[0]->dim));
    *scores = out[0];
    return RT_OK;
}

/* Like Attention, but what is done to scores before and to weights behind the softmax is given as graphs. */
static rt_status run_flex_attention(rt_eval_call *call)
{
    const rt_array *q, *k, *v;
    rt_array *y, *scores;
    attention a = {.left = -1, .right = -1};
    int64_t precision;
    double *part[3];
    RT_TRY(rt_layer_in(call, 0, RT_EVAL_FLOATS, 4, 4, &q));
    RT_TRY(rt_layer_in(call, 1, RT_EVAL_FLOATS, 4, 4, &k));
    RT_TRY(rt_layer_in(call, 2, RT_EVAL_FLOATS, 4, 4, &v));
    RT_TRY(read_heads(call, q, k, v, &a));
    RT_TRY(check_precision(call, &precision));
    if (!rt_eval_has(call, "softmax_precision")) precision = q->type == RT_F64 ? 11 : 1;
    a.scale = rt_eval_float(call, "scale", 1 / sqrt((double)a.size));
    rt_dtype type = precision == 11 ? RT_F64 : precision == 10 ? RT_F16 : precision == 16 ? RT_BF16 : RT_F32;
    RT_TRY(rt_eval_make(call, 0, q->type, 4, (int64_t[]){a.batch, a.q_heads, a.length, a.v_size}, &y));
    RT_TRY(rt_eval_temp(call, type, 4, (int64_t[]){a.batch, a.q_heads, a.length, a.keys}, &scores));
    RT_TRY(split_heads(call, q, a.q_heads, NULL, &part[0]));
    RT_TRY(split_heads(call, k, a.heads, NULL, &part[1]));
    RT_TRY(split_heads(call, v, a.heads, NULL, &part[2]));
    a.q = part[0];
    a.k = part[1];
    a.v = part[2];
    double *row = rt_eval_scratch(call, (size_t)a.keys, sizeof *row);
    double *out = rt_eval_scratch(call, (size_t)a.v_size, sizeof *out);
    if (!row || !out) return RT_INPUT;
    const int64_t lines = a.batch * a.q_heads * a.length;
    for (int64_t l = 0; l < lines; l++) {
        RT_TRY(rt_eval_tick(call, 2 * (double)a.keys * (double)a.size));
        score_row(&a, l / a.length / a.q_heads, l / a.length % a.q_heads, l % a.length, row);
        rt_layer_store(scores, (size_t)(l * a.keys), 1, row, (size_t)a.keys);
    }
    RT_TRY(modify(call, "score_mod", &scores));
    rt_array *weights;
    RT_TRY(rt_eval_temp(call, type, 4, scores->dim, &weights));
    for (int64_t l = 0; l < lines; l++) {
        RT_TRY(rt_eval_tick(call, 64 * (double)a.keys));
        rt_layer_load(row, scores, (size_t)(l * a.keys), 1, (size_t)a.keys);
        softmax_row(row, a.keys);
        rt_layer_store(weights, (size_t)(l * a.keys), 1, row, (size_t)a.keys);
    }
    RT_TRY(modify(call, "prob_mod", &weights));
    for (int64_t l = 0; l < lines; l++) {
        RT_TRY(rt_eval_tick(call, 2 * (double)a.keys * (double)a.v_size));
        rt_layer_load(row, weights, (size_t)(l * a.keys), 1, (size_t)a.keys);
        value_row(&a, l / a.length / a.q_heads, l / a.length % a.q_heads, row, out);
        rt_layer_store(y, (size_t)(l * a.v_size), 1, out, (size_t)a.v_size);
    }
    return RT_OK;
}

const rt_eval_op rt_eval_attention_ops[] = {
    {"", "Attention", 23, 3, 6, 4, run_attention, 0},
    {"", "Attention", 24, 3, 7, 4, run_attention, 0},
    {"", "RotaryEmbedding", 23, 3, 4, 1, rt_eval_rotary_embedding, 0},
    {"", "LinearAttention", 27, 3, 6, 2, rt_eval_linear_attention, 0},
    {"ai.onnx.preview", "FlexAttention", 1, 3, 3, 1, run_flex_attention, 0},
    {"com.microsoft", "Attention", 1, 2, 7, 2, rt_eval_fused_attention, 0},
    {"com.microsoft", "MultiHeadAttention", 1, 3, 10, 4, rt_eval_multi_head_attention, 0},
    {NULL, NULL, 0, 0, 0, 0, NULL, 0}};
