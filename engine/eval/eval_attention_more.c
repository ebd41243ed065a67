/* engine/eval/eval_attention_more.c - RotaryEmbedding (Su et al. 2021) and LinearAttention. */
#include <math.h>
#include <string.h>

#include "engine/eval/layers.h"

/* ---- RotaryEmbedding ---- */

typedef struct {
    const rt_array *x, *cosine, *sine, *position;
    int64_t batch, heads, length, size, half;       /* half: of what is turned of each head */
    int interleaved;
} rotary;

static rt_status rotary_read(rt_eval_call *call, rotary *r)
{
    const unsigned types = 1 << RT_F32 | 1 << RT_F16 | 1 << RT_BF16;
    char text[128];
    int64_t heads = rt_eval_int(call, "num_heads", 0), turned = rt_eval_int(call, "rotary_embedding_dim", 0);
    r->interleaved = rt_eval_int(call, "interleaved", 0) != 0;
    RT_TRY(rt_layer_in(call, 0, types, 3, 4, &r->x));
    RT_TRY(rt_layer_optional(call, 3, 1 << RT_I64, 2, 2, &r->position));
    int rank = r->position ? 2 : 3;
    RT_TRY(rt_layer_in(call, 1, types, rank, rank, &r->cosine));
    RT_TRY(rt_layer_in(call, 2, types, rank, rank, &r->sine));
    const rt_array *x = r->x;
    int packed = x->rank == 3;
    if (packed && (heads < 1 || heads > 1 << 20 || x->dim[2] % heads))
        return rt_fail(RT_INPUT, "num_heads is %lld for %s", (long long)heads, rt_array_describe(x, text));
    r->batch = x->dim[0];
    r->heads = packed ? heads : x->dim[1];
    r->length = x->dim[packed ? 1 : 2];
    r->size = packed ? x->dim[2] / heads : x->dim[3];
    if (!turned) turned = r->size;
    if (turned < 0 || turned > r->size || turned % 2)
        return rt_fail(RT_INPUT, "%lld of the %lld numbers of a head are to be turned", (long long)turned,
                       (long long)r->size);
    r->half = turned / 2;
    const int64_t table[] = {-1, r->half}, all[] = {r->batch, r->length, r->half};
    RT_TRY(rt_layer_shape(r->cosine, "the cosines", x->type, rank, r->position ? table : all));
    RT_TRY(rt_layer_shape(r->sine, "the sines", x->type, rank, r->cosine->dim));
    RT_TRY(rt_layer_shape(r->position, "position_ids", RT_I64, 2, all));
    for (size_t i = 0; r->position && i < r->position->count; i++)
        if (rt_array_int(r->position, i) < 0 || rt_array_int(r->position, i) >= r->cosine->dim[0])
            return rt_fail(RT_INPUT, "position %lld; the tables have %lld", (long long)rt_array_int(r->position, i),
                           (long long)r->cosine->dim[0]);
    return RT_OK;
}

/* Pairs of numbers of a head, side by side or half a head apart, are turned by the angle of their position. */
rt_status rt_eval_rotary_embedding(rt_eval_call *call)
{
    rotary r;
    rt_array *y;
    RT_TRY(rotary_read(call, &r));
    RT_TRY(rt_eval_like(call, 0, r.x->type, r.x, &y));
    if (!y->count) return RT_OK;
    double *head = rt_eval_scratch(call, (size_t)r.size, sizeof *head);
    double *turned = rt_eval_scratch(call, (size_t)r.size, sizeof *turned);
    if (!head || !turned) return RT_INPUT;
    for (int64_t l = 0; l < r.batch * r.heads * r.length; l++) {
        int packed = r.x->rank == 3;                /* (b, t, h) or (b, h, t) */
        int64_t b = l / (r.heads * r.length), t = packed ? l / r.heads % r.length : l % r.length;
        int64_t row = b * r.length + t, at = r.position ? rt_array_int(r.position, (size_t)row) : row;
        RT_TRY(rt_eval_tick(call, 16 * (double)r.size));
        rt_layer_load(head, r.x, (size_t)(l * r.size), 1, (size_t)r.size);
        memcpy(turned, head, (size_t)r.size * sizeof *head);
        for (int64_t i = 0; i < r.half; i++) {
            int64_t p = r.interleaved ? 2 * i : i, q = r.interleaved ? 2 * i + 1 : i + r.half;
            double c = rt_array_double(r.cosine, (size_t)(at * r.half + i));
            double s = rt_array_double(r.sine, (size_t)(at * r.half + i));
            turned[p] = c * head[p] - s * head[q];
            turned[q] = s * head[p] + c * head[q];
        }
        rt_layer_store(y, (size_t)(l * r.size), 1, turned, (size_t)r.size);
    }
    return RT_OK;
}

/* ---- LinearAttention ---- */

typedef struct {
    const double *q, *k, *v, *decay, *beta;
    int64_t batch, length, q_heads, heads, size, v_size, decays, betas;
    double scale;
} linear;

/* decay and beta, where the rule has them and only there. */
static rt_status linear_gates(rt_eval_call *call, const rt_array *q, linear *n)
{
    const rt_array *decay, *beta;
    const char *rule = rt_eval_string(call, "update_rule", "gated_delta");
    int gated = !strncmp(rule, "gated", 5), delta = strstr(rule, "delta") != NULL;
    if (strcmp(rule, "linear") && strcmp(rule, "gated") && strcmp(rule, "delta") && strcmp(rule, "gated_delta"))
        return rt_fail(RT_INPUT, "update_rule \"%s\" is unknown", rule);
    RT_TRY(rt_layer_optional(call, 4, RT_EVAL_FLOATS, 3, 3, &decay));
    RT_TRY(rt_layer_optional(call, 5, RT_EVAL_FLOATS, 3, 3, &beta));
    if (!decay != !gated || !beta != !delta)
        return rt_fail(RT_INPUT, "update_rule \"%s\" with%s decay and with%s beta", rule, decay ? "" : "out",
                       beta ? "" : "out");
    const int64_t dim[] = {n->batch, n->length, -1};
    RT_TRY(rt_layer_shape(decay, "decay", q->type, 3, dim));
    RT_TRY(rt_layer_shape(beta, "beta", q->type, 3, dim));
    n->decays = decay ? decay->dim[2] : 0;
    n->betas = beta ? beta->dim[2] : 0;
    if ((decay && n->decays != n->heads && n->decays != n->heads * n->size) ||
        (beta && n->betas != n->heads && n->betas != 1))
        return rt_fail(RT_INPUT, "decay of %lld or beta of %lld do not fit %lld heads", (long long)n->decays,
                       (long long)n->betas, (long long)n->heads);
    if (decay) RT_TRY(rt_layer_doubles(call, decay, &n->decay));
    return beta ? rt_layer_doubles(call, beta, &n->beta) : RT_OK;
}

static rt_status linear_read(rt_eval_call *call, const rt_array **q, const rt_array **past, linear *n)
{
    const rt_array *k, *v;
    const unsigned types = 1 << RT_F32 | 1 << RT_F16 | 1 << RT_BF16;
    n->q_heads = rt_eval_int(call, "q_num_heads", 0);
    n->heads = rt_eval_int(call, "kv_num_heads", 0);
    n->scale = rt_eval_float(call, "scale", 0);
    rt_eval_int(call, "chunk_size", 64);                /* how fast it is elsewhere */
    RT_TRY(rt_layer_in(call, 0, types, 3, 3, q));
    RT_TRY(rt_layer_in(call, 1, types, 3, 3, &k));
    RT_TRY(rt_layer_in(call, 2, types, 3, 3, &v));
    RT_TRY(rt_layer_optional(call, 3, types, 4, 4, past));
    n->batch = (*q)->dim[0];
    n->length = (*q)->dim[1];
    if (n->q_heads < 1 || n->heads < 1 || n->q_heads > 1 << 20 || n->q_heads % n->heads ||
        (*q)->dim[2] % n->q_heads || v->dim[2] % n->heads)
        return rt_fail(RT_INPUT, "%lld heads of queries and %lld of keys", (long long)n->q_heads, (long long)n->heads);
    n->size = (*q)->dim[2] / n->q_heads;
    n->v_size = v->dim[2] / n->heads;
    if (n->scale == 0) n->scale = 1 / sqrt((double)n->size);
    const int64_t dim[] = {n->batch, n->length, n->heads * n->size}, state[] = {n->batch, n->heads, n->size, n->v_size};
    RT_TRY(rt_layer_shape(k, "the key", (*q)->type, 3, dim));
    RT_TRY(rt_layer_shape(v, "the value", (*q)->type, 3, (int64_t[]){n->batch, n->length, -1}));
    RT_TRY(rt_layer_shape(*past, "past_state", *past ? (*past)->type : RT_F32, 4, state));
    RT_TRY(linear_gates(call, *q, n));
    RT_TRY(rt_layer_doubles(call, *q, &n->q));
    RT_TRY(rt_layer_doubles(call, k, &n->k));
    return rt_layer_doubles(call, v, &n->v);
}

/* One step of one head of keys: state (size, v_size) decays and takes up k v, or what v differs from the state's own
 * answer. change (v_size). */
static void linear_update(const linear *n, int64_t b, int64_t h, int64_t t, double *state, double *change)
{
    int64_t row = b * n->length + t;
    const double *k = n->k + (row * n->heads + h) * n->size, *v = n->v + (row * n->heads + h) * n->v_size;
    for (int64_t i = 0; n->decay && i < n->size; i++) {
        double by = exp(n->decay[row * n->decays + (n->decays == n->heads ? h : h * n->size + i)]);
        for (int64_t j = 0; j < n->v_size; j++) state[i * n->v_size + j] *= by;
    }
    for (int64_t j = 0; j < n->v_size; j++) {
        change[j] = v[j];
        for (int64_t i = 0; n->beta && i < n->size; i++) change[j] -= state[i * n->v_size + j] * k[i];
        if (n->beta) change[j] *= n->beta[row * n->betas + (n->betas == 1 ? 0 : h)];
    }
    for (int64_t i = 0; i < n->size; i++)
        for (int64_t j = 0; j < n->v_size; j++) state[i * n->v_size + j] += k[i] * change[j];
}

rt_status rt_eval_linear_attention(rt_eval_call *call)
{
    const rt_array *q, *past;
    rt_array *y, *present;
    linear n = {0};
    RT_TRY(linear_read(call, &q, &past, &n));
    RT_TRY(rt_eval_make(call, 0, q->type, 3, (int64_t[]){n.batch, n.length, n.q_heads * n.v_size}, &y));
    RT_TRY(rt_eval_make(call, 1, past ? past->type : q->type, 4, (int64_t[]){n.batch, n.heads, n.size, n.v_size},
                        &present));
    size_t each = (size_t)(n.size * n.v_size);
    double *state = rt_eval_scratch(call, each, sizeof *state);
    double *out = rt_eval_scratch(call, (size_t)n.v_size, sizeof *out);
    if (!state || !out) return RT_INPUT;
    for (int64_t l = 0; l < n.batch * n.heads; l++) {
        int64_t b = l / n.heads, h = l % n.heads, group = n.q_heads / n.heads;
        memset(state, 0, each * sizeof *state);
        if (past) rt_layer_load(state, past, (size_t)l * each, 1, each);
        for (int64_t t = 0; t < n.length; t++) {
            RT_TRY(rt_eval_tick(call, (double)(4 + group) * (double)each));
            linear_update(&n, b, h, t, state, out);
            for (int64_t g = h * group; g < (h + 1) * group; g++) {
                size_t head = (size_t)((b * n.length + t) * n.q_heads + g);
                memset(out, 0, (size_t)n.v_size * sizeof *out);
                for (int64_t i = 0; i < n.size; i++)
                    for (int64_t j = 0; j < n.v_size; j++)
                        out[j] += n.scale * n.q[head * (size_t)n.size + (size_t)i] * state[i * n.v_size + j];
                rt_layer_store(y, head * (size_t)n.v_size, 1, out, (size_t)n.v_size);
            }
        }
        rt_layer_store(present, (size_t)l * each, 1, state, each);
    }
    return RT_OK;
}
