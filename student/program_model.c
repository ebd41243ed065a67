#include "student/program_model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/qat.h"
#include "student/arch.h"

enum { TAPS_MOST = 256 /* of a layer that pools */, NEAR = 64 /* floats that are tried around the likely one */ };

typedef struct {
    const rt_net *net;
    const rt_net_origin *of;
    int lines;                       /* nothing has a height */
    int *same;                       /* (tensors) another of the same rank; itself: the first */
    char *sides;                     /* (tensors, of the first) rows have pixels: (H, W, C) or (T, C); else (C) */
    const char **layer;              /* (tensors) that gives it */
    const char **weights;            /* (calls) the layer with its weights */
    const char *head[RT_NET_HEADS];
    cJSON *layers;
    rt_model *m;
} rebuild;

static int is_flat(const rt_net_tensor *t) { return t->h * t->w == 1; }
static int pads(const rt_net_call *c) { return c->pad[0] || c->pad[1] || c->pad[2] || c->pad[3]; }
static int is_point(const rt_net_call *c) { return c->kh * c->kw == 1 && c->sh == 1 && c->sw == 1 && !pads(c); }

static int only_lines(const rt_net *n)
{
    for (int t = 0; t < n->tensors; t++) if (n->tensor[t].h != 1) return 0;
    for (const rt_net_call *c = n->call; c < n->call + n->calls; c++)
        if (c->kh != 1 || c->sh != 1 || c->pad[0] || c->pad[1]) return 0;
    return 1;
}

/* One weight a channel: what becomes of a norm alone, too. */
static int is_affine(const rt_net *n, const rt_net_call *c)
{ return c->op == RT_NET_CONV && is_point(c) && c->groups > 1 && c->groups == c->n && n->tensor[c->in[0]].c == c->n; }

static int is_dense(const rt_net *n, const rt_net_call *c)
{ return c->op == RT_NET_CONV && is_point(c) && c->groups == 1 && is_flat(&n->tensor[c->in[0]]); }

static int is_global(const rt_net *n, const rt_net_call *c)
{
    const rt_net_tensor *x = &n->tensor[c->in[0]];
    return c->op == RT_NET_AVG_POOL && c->kh == x->h && c->kw == x->w && c->sh == 1 && c->sw == 1 && !pads(c);
}

/* ---- ranks: a pixel alone is (C) unless something asks for sides ---- */

static int first_of(const rebuild *b, int t)
{
    while (b->same[t] != t) t = b->same[t];
    return t;
}

static void join(rebuild *b, int t, int u)
{
    int x = first_of(b, t), y = first_of(b, u);
    b->same[x > y ? x : y] = x > y ? y : x;
}

static void find_ranks(rebuild *b)
{
    const rt_net *n = b->net;
    for (int t = 0; t < n->tensors; t++) b->same[t] = t;
    for (const rt_net_call *c = n->call; c < n->call + n->calls; c++) {
        int keeps = c->op == RT_NET_ADD || c->op == RT_NET_MUL || c->op == RT_NET_MAP || is_dense(n, c) ||
                    is_affine(n, c);
        if (keeps && c->out >= 0) join(b, c->in[0], c->out);
        if (c->op == RT_NET_ADD || c->op == RT_NET_MUL) join(b, c->in[1], c->out);
    }
    for (int t = 0; t < n->tensors; t++) if (!is_flat(&n->tensor[t])) b->sides[first_of(b, t)] = 1;
    for (const rt_net_call *c = n->call; c < n->call + n->calls; c++) {
        int window = (c->op == RT_NET_CONV && !is_dense(n, c) && !is_affine(n, c)) || c->op == RT_NET_MAX_POOL ||
                     c->op == RT_NET_AVG_POOL;
        if (!window) continue;
        b->sides[first_of(b, c->in[0])] = 1;
        if (c->out >= 0 && !is_global(n, c)) b->sides[first_of(b, c->out)] = 1;
    }
}

static int has_sides(const rebuild *b, int t) { return b->sides[first_of(b, t)]; }

static cJSON *shape_of(const rebuild *b, int t)
{
    const rt_net_tensor *x = &b->net->tensor[t];
    const int dim[3] = {x->h, x->w, x->c};
    int from = !has_sides(b, t) ? 2 : b->lines ? 1 : 0;
    return cJSON_CreateIntArray(dim + from, 3 - from);
}

/* ---- layers ---- */

static int is_taken(const rebuild *b, const char *name)
{
    for (const cJSON *j = b->layers->child; j; j = j->next)
        if (!strcmp(cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(j, "name")), name)) return 1;
    return !strcmp(name, "input");
}

/* The tensors of `from` are its inputs, of which there are n. */
static cJSON *add_layer(rebuild *b, const char *op, int call, const char *const *from, int n)
{
    char name[RT_NAME_MAX + 1];
    const char *hint = b->of->name && b->of->name[call] && *b->of->name[call] ? b->of->name[call] : op;
    if (strlen(hint) > RT_NAME_MAX - 16) hint = op;
    snprintf(name, sizeof name, "%s", hint);
    for (int k = call + 1; is_taken(b, name); k++) snprintf(name, sizeof name, "%.*s_%d", RT_NAME_MAX - 16, hint, k);
    cJSON *j = cJSON_CreateObject();
    cJSON_AddStringToObject(j, "op", op);
    cJSON_AddStringToObject(j, "name", name);
    if (n == 1) cJSON_AddStringToObject(j, "from", from[0]);
    else cJSON_AddItemToObject(j, "from", cJSON_CreateStringArray(from, n));
    cJSON_AddItemToArray(b->layers, j);
    return j;
}

static const char *name_of(const cJSON *layer)
{ return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(layer, "name")); }

static void set_window(cJSON *j, const rt_net_call *c)
{
    cJSON_AddItemToObject(j, "kernel", cJSON_CreateIntArray((const int[]){c->kh, c->kw}, 2));
    cJSON_AddItemToObject(j, "stride", cJSON_CreateIntArray((const int[]){c->sh, c->sw}, 2));
    if (pads(c)) cJSON_AddItemToObject(j, "padding", cJSON_CreateIntArray(c->pad, 4));
}

/* The layer of the call's sums, or that and the activation behind it. */
static const char *with_act(rebuild *b, const cJSON *j, int call)
{
    const rt_act act = b->net->call[call].act;
    const char *name = name_of(j);
    return act == RT_ACT_NONE ? name : name_of(add_layer(b, act == RT_ACT_RELU ? "relu" : "relu6", call, &name, 1));
}

static int same_numbers(const rt_net *n, const rt_net_call *a, const rt_net_call *c)
{
    size_t count = (size_t)a->kh * (size_t)a->kw * (size_t)(n->tensor[a->in[0]].c / a->groups) * (size_t)a->n,
           channels = (size_t)a->n;
    return a->n == c->n && a->groups == c->groups && a->bits == c->bits && a->kh == c->kh && a->kw == c->kw &&
           a->sh == c->sh && a->sw == c->sw && !memcmp(a->pad, c->pad, sizeof a->pad) &&
           !memcmp(n->weight + a->weight, n->weight + c->weight, count) &&
           !memcmp(n->step + a->channel, n->step + c->channel, channels * sizeof *n->step) &&
           !memcmp(n->bias + a->channel, n->bias + c->channel, channels * sizeof *n->bias);
}

/* A head's sums may be those of the call before, whose bytes others read, or that is another head's. */
static const char *sums_before(const rebuild *b, int call)
{
    const rt_net_call *c = &b->net->call[call];
    for (int i = call - 1; i >= 0 && b->net->call[i].op == RT_NET_CONV && b->net->call[i].in[0] == c->in[0]; i--)
        if (b->weights[i] && b->net->call[i].act == RT_ACT_NONE && same_numbers(b->net, &b->net->call[i], c))
            return b->weights[i];
    return NULL;
}

static void put_conv(rebuild *b, int call)
{
    const rt_net *n = b->net;
    const rt_net_call *c = &n->call[call];
    const char *const *from = &b->layer[c->in[0]], *before = c->out < 0 ? sums_before(b, call) : NULL;
    int norm = is_affine(n, c) && !has_sides(b, c->in[0]);
    if (before) {
        b->head[c->head] = before;
        return;
    }
    cJSON *j = add_layer(b, norm             ? "batch_norm"
                            : is_dense(n, c) ? "dense"
                            : b->lines       ? "conv1d"
                                             : "conv2d", call, from, 1);
    if (!norm) cJSON_AddNumberToObject(j, "out", c->n);
    if (!norm && !is_dense(n, c)) {
        set_window(j, c);
        if (c->groups > 1) cJSON_AddNumberToObject(j, "groups", c->groups);
    }
    b->weights[call] = name_of(j);
    if (c->out < 0) b->head[c->head] = name_of(j);
    else b->layer[c->out] = with_act(b, j, call);
}

static rt_status put_pool(rebuild *b, int call)
{
    const rt_net_call *c = &b->net->call[call];
    if (is_global(b->net, c) && !has_sides(b, c->out)) {
        b->layer[c->out] = name_of(add_layer(b, "global_avg_pool", call, &b->layer[c->in[0]], 1));
        return RT_OK;
    }
    if (c->kh * c->kw > TAPS_MOST)
        return rt_fail(RT_USAGE, "call %d pools %d taps, and a layer %d", call, c->kh * c->kw, TAPS_MOST);
    cJSON *j = add_layer(b, c->op == RT_NET_MAX_POOL ? "max_pool" : "avg_pool", call, &b->layer[c->in[0]], 1);
    set_window(j, c);
    b->layer[c->out] = name_of(j);
    return RT_OK;
}

/* The slope below 0 that gives this table. 0: none does. */
static int find_slope(const uint8_t table[256], rt_quant x, rt_quant y, float *slope)
{
    double low = 0, high = 1;
    uint8_t made[256];
    for (int q = 0; q < x.zero; q++) {                     /* rint(slope s / sy) + zy is the byte, or beyond the ends */
        double by = (double)x.scale * (q - x.zero) / (double)y.scale, at = table[q] - y.zero;
        if (table[q] > 0) high = fmin(high, (at - 0.5) / by);
        if (table[q] < 255) low = fmax(low, (at + 0.5) / by);
    }
    for (int i = 0; i <= NEAR; i++) {
        *slope = i == NEAR ? 0.01f : (float)(low + (high - low) * (0.5 + (i % 2 ? 1 : -1) * i / (2.0 * NEAR)));
        if (!(*slope >= 0 && *slope <= 1)) continue;
        rt_int_table(made, x, y, RT_ACT_LEAKY, *slope);
        if (!memcmp(made, table, sizeof made)) return 1;
    }
    return 0;
}

static rt_status put_table(rebuild *b, int call)
{
    const rt_net *n = b->net;
    const rt_net_call *c = &n->call[call];
    const rt_quant x = n->tensor[c->in[0]].q, y = n->tensor[c->out].q;
    uint8_t made[256];
    float slope = 0;
    int act = RT_ACT_RELU, found = 0;
    for (; act < RT_ACT_COUNT && !found; act += !found) {
        if (act == RT_ACT_LEAKY) found = find_slope(n->table[c->table], x, y, &slope);
        else {
            rt_int_table(made, x, y, (rt_act)act, 0);
            found = !memcmp(made, n->table[c->table], sizeof made);
        }
    }
    if (!found) return rt_fail(RT_USAGE, "call %d: no activation has its table of bytes", call);
    cJSON *j = add_layer(b, rt_act_name((rt_act)act), call, &b->layer[c->in[0]], 1);
    if (act == RT_ACT_LEAKY) cJSON_AddNumberToObject(j, "slope", (double)slope);
    b->layer[c->out] = name_of(j);
    return RT_OK;
}

/* Tables side by side are a concat, written with the last of them. */
static rt_status put_map(rebuild *b, int call)
{
    const rt_net *n = b->net;
    const int out = n->call[call].out;
    int parts = 0;
    for (int i = 0; i < n->calls; i++) {
        if (n->call[i].out != out) continue;
        if (i > call) return RT_OK;
        parts++;
    }
    if (parts == 1) return put_table(b, call);
    const char **from = calloc((size_t)parts, sizeof *from);
    if (!from) return rt_fail(RT_RUN, "out of memory");
    for (int i = 0, k = 0; i <= call; i++)
        if (n->call[i].out == out) from[k++] = b->layer[n->call[i].in[0]];
    b->layer[out] = name_of(add_layer(b, "concat", call, from, parts));
    free(from);
    return RT_OK;
}

static rt_status put_call(rebuild *b, int i)
{
    const rt_net_call *c = &b->net->call[i];
    switch (c->op) {
    case RT_NET_CONV: put_conv(b, i); return RT_OK;
    case RT_NET_ADD: case RT_NET_MUL: {
        const char *from[2] = {b->layer[c->in[0]], b->layer[c->in[1]]};
        b->layer[c->out] = with_act(b, add_layer(b, c->op == RT_NET_ADD ? "add" : "multiply", i, from, 2), i);
        return RT_OK;
    }
    case RT_NET_MAX_POOL: case RT_NET_AVG_POOL: return put_pool(b, i);
    case RT_NET_MAP: return put_map(b, i);
    case RT_NET_FLOATS: b->head[c->head] = b->layer[c->in[0]]; return RT_OK;
    case RT_NET_RESHAPE: case RT_NET_OPS: break;
    }
    cJSON *j = add_layer(b, "reshape", i, &b->layer[c->in[0]], 1);
    cJSON_AddItemToObject(j, "shape", shape_of(b, c->out));
    b->layer[c->out] = name_of(j);
    return RT_OK;
}

/* A layer's name as the model has it, in place of that of the architecture, which goes. */
static void keep_name(const rebuild *b, const char **name)
{
    if (*name) *name = rt_arch_layer(b->m->graph, rt_arch_find(b->m->graph, *name));
}

static rt_status set_input(const rebuild *b)
{
    rt_input *in = &b->m->input[0];
    const int n = b->of->channels;
    if (!n) return RT_OK;
    if (n != 1 && n != rt_input_last(in))
        return rt_fail(RT_USAGE, "its normalisation is of %d channels, and its input has %d", n, rt_input_last(in));
    in->channels = n;
    memcpy(in->mul, b->of->mul, (size_t)n * sizeof *in->mul);
    memcpy(in->add, b->of->add, (size_t)n * sizeof *in->add);
    return RT_OK;
}

static rt_status build_model(rebuild *b)
{
    cJSON *arch = cJSON_CreateObject(), *heads = NULL;
    b->layers = cJSON_AddArrayToObject(arch, "layers");
    b->layer[0] = "input";
    rt_status st = RT_OK;
    cJSON_AddItemToObject(arch, "input", shape_of(b, 0));
    for (int i = 0; i < b->net->calls && !st; i++) st = put_call(b, i);
    heads = cJSON_AddArrayToObject(arch, "heads");
    for (int h = 0; h < b->of->heads && !st; h++) {
        cJSON *j = cJSON_CreateObject();
        cJSON_AddStringToObject(j, "name", b->of->head[h].name);
        cJSON_AddStringToObject(j, "task", rt_task_name(b->of->head[h].task));
        cJSON_AddNumberToObject(j, "size", b->of->head[h].size);
        cJSON_AddStringToObject(j, "layer", b->head[h]);
        cJSON_AddItemToArray(heads, j);
    }
    if (!st) st = rt_model_blank(&b->m, arch);
    for (int h = 0; h < b->of->heads && !st; h++) st = rt_model_set_classes(b->m, h, &b->of->head[h].names);
    if (!st) st = set_input(b);
    for (int t = 0; t < b->net->tensors && !st; t++) keep_name(b, &b->layer[t]);
    for (int i = 0; i < b->net->calls && !st; i++) keep_name(b, &b->weights[i]);
    cJSON_Delete(arch);
    return st;
}

/* ---- numbers ---- */

/* Floats around v, in turn: v, its neighbours, theirs ... */
static float near_float(float v, int i)
{
    for (int k = 0; k < (i + 1) / 2; k++) v = nextafterf(v, i % 2 ? INFINITY : -INFINITY);
    return v;
}

/* A range that gives exactly this scale and zero point. */
static int fit_range(rt_quant q, float range[2])
{
    float high = (float)((255 - q.zero) * (double)q.scale);
    for (int i = 0; i < NEAR; i++)
        for (int k = 0; k < 9; k++) {
            float h = near_float(high, i), l = near_float((float)((double)h - 255 * (double)q.scale), k);
            if (!(h >= 0)) continue;
            if (!(l <= 0)) l = 0;
            rt_quant made = rt_quant_of(l, h);
            if (made.zero != q.zero || memcmp(&made.scale, &q.scale, sizeof q.scale)) continue;
            range[0] = l;
            range[1] = h;
            return 1;
        }
    return 0;
}

/* A float, or the sum of two, that becomes this integer once `offset` is added and the whole is divided by the step. */
static int fit_bias(int32_t want, float sx, float step, double offset, float *bias, float *shift)
{
    float likely = (float)(want * ((double)sx * (double)step)), b;
    for (int two = 0; two <= (shift != NULL); two++)
        for (int i = 0; i < NEAR; i++) {
            float sum = near_float(likely, i), more;
            int32_t got;
            *bias = b = (float)((double)sum - offset);
            more = two ? (float)((double)sum - offset - (double)b) : 0;
            sum = (float)((double)b + (double)more + offset);
            if (rt_int_bias(&got, &sum, &step, sx, 1) || got != want) continue;
            if (shift) *shift = more;
            return 1;
        }
    return 0;
}

/* What bytes, whose zero point is one for all channels, add to a channel's sums: see engine/int/int_numbers.c. */
static double offset_of(const rebuild *b, const rt_net_call *c, int channel)
{
    const rt_net_tensor *x = &b->net->tensor[c->in[0]];
    int cg = x->c / c->groups;
    size_t rows = (size_t)c->kh * (size_t)c->kw * (size_t)cg;
    double sum = 0, used = (double)b->net->step[c->channel + (size_t)channel];
    for (size_t r = 0; r < rows; r++) {
        int k = rt_quant_channel(r, channel, cg, c->groups, c->n), at = b->of->channels == 1 ? 0 : k;
        double mul = (double)b->of->mul[at], q = b->net->weight[c->weight + r * (size_t)c->n + (size_t)channel];
        sum += q * used / (mul / (double)x->q.scale) * ((double)x->q.zero + (double)b->of->add[at]) * mul;
    }
    return sum;
}

static rt_status no_floats(int call, int channel)
{
    return rt_fail(RT_USAGE, "call %d: no floats give the numbers of its output channel %d", call, channel);
}

/* shifts: whether there are any; 0 with *need where they must be. */
static rt_status set_weights(const rebuild *b, int call, const rt_node *node, int i, int *need)
{
    const rt_net *n = b->net;
    const rt_net_call *c = &n->call[call];
    int cg = n->tensor[c->in[0]].c / c->groups, of_bytes = !n->floats && c->in[0] == 0;
    const size_t rows = (size_t)c->kh * (size_t)c->kw * (size_t)cg, channels = (size_t)c->n;
    const float *step = n->step + c->channel, sx = n->tensor[c->in[0]].q.scale;
    float *w = rt_model_field(b->m, node->field[0]), *bias = rt_model_field(b->m, node->field[1]),
          *own = rt_model_steps(b->m, i), *shift = rt_model_shifts(b->m, i);
    memcpy(own, step, channels * sizeof *own);
    for (size_t r = 0; r < rows; r++)
        for (size_t k = 0; k < channels; k++) {
            double v = n->weight[c->weight + r * channels + k] * (double)step[k];
            if (of_bytes) {
                int at = rt_quant_channel(r, (int)k, cg, c->groups, c->n);
                v /= (double)(b->of->mul[b->of->channels == 1 ? 0 : at] / sx);
            }
            w[r * channels + k] = (float)v;
        }
    for (int k = 0; k < c->n; k++) {
        double offset = of_bytes ? offset_of(b, c, k) : 0;
        int32_t want = n->bias[c->channel + (size_t)k];
        if (fit_bias(want, sx, step[k], offset, &bias[k], shift ? &shift[k] : NULL)) continue;
        if (shift) return no_floats(call, k);
        *need = 1;
    }
    return RT_OK;
}

static rt_status set_norm(const rebuild *b, int call, const rt_node *node)
{
    const rt_net *n = b->net;
    const rt_net_call *c = &n->call[call];
    float *gamma = rt_model_field(b->m, node->field[0]), *beta = rt_model_field(b->m, node->field[1]),
          *variance = rt_model_field(b->m, node->field[3]);
    const double root = sqrt(1 + (double)RT_ATTR(node, rt_batch_norm_attr)->eps);
    for (int k = 0; k < c->n; k++) {
        float step = n->step[c->channel + (size_t)k];
        int q = n->weight[c->weight + (size_t)k], found = 0;
        variance[k] = 1;
        for (int i = 0; i < NEAR && !found; i++) {
            gamma[k] = near_float((float)(q * (double)step * root), i);
            float made = (float)(fabs((double)(float)(gamma[k] / root)) / 127);
            found = abs(q) != 127 || !memcmp(&made, &step, sizeof step);
        }
        if (!found || !fit_bias(n->bias[c->channel + (size_t)k], n->tensor[c->in[0]].q.scale, step, 0, &beta[k], NULL))
            return no_floats(call, k);
    }
    return RT_OK;
}

static int node_named(const rt_graph *g, const char *name)
{
    for (int i = 0; i < g->nodes; i++) if (!strcmp(g->node[i].name, name)) return i;
    return -1;
}

static rt_status set_numbers(rebuild *b, int *need)
{
    const rt_graph *g = b->m->graph;
    for (int t = 0; t < b->net->tensors; t++) {
        float *range = rt_model_range(b->m, rt_arch_find(g, b->layer[t]));
        if (range && !fit_range(b->net->tensor[t].q, range))
            return rt_fail(RT_USAGE, "no range gives the scale %.9g and the zero point %d of '%s'",
                           (double)b->net->tensor[t].q.scale, b->net->tensor[t].q.zero, b->layer[t]);
    }
    for (int i = 0; i < b->net->calls; i++) {
        int at = b->weights[i] ? node_named(g, b->weights[i]) : -1;
        if (at < 0) continue;
        if (g->node[at].op == RT_OP_BATCH_NORM) RT_TRY(set_norm(b, i, &g->node[at]));
        else RT_TRY(set_weights(b, i, &g->node[at], at, need));
    }
    return RT_OK;
}

static rt_status quantize(rebuild *b, char *range, int *bits)
{
    const rt_graph *g = b->m->graph;
    rt_quantize_spec spec = {.bytes = !b->net->floats, .bits = bits, .range = range};
    RT_TRY(rt_program_needs(b->m, spec.bytes, range));
    for (int i = 0; i < b->net->calls; i++) {
        int at = b->weights[i] ? node_named(g, b->weights[i]) : -1;
        if (at >= 0 && rt_has_weights(&g->node[at])) bits[at] = b->net->call[i].bits;
    }
    for (spec.shift = 0; spec.shift < 2; spec.shift++) {
        int need = 0;
        RT_TRY(rt_model_quantize(b->m, &spec));
        RT_TRY(set_numbers(b, &need));
        if (!need) return RT_OK;
        if (!spec.shift) rt_model_unquantize(b->m);
    }
    return RT_OK;
}

/* ---- that it is the same ---- */

static int same_call(const rt_net_call *a, const rt_net_call *c)
{
    return a->op == c->op && a->in[0] == c->in[0] && a->in[1] == c->in[1] && a->out == c->out && a->head == c->head &&
           a->kh == c->kh && a->kw == c->kw && a->sh == c->sh && a->sw == c->sw &&
           !memcmp(a->pad, c->pad, sizeof a->pad) && a->groups == c->groups && a->n == c->n && a->bits == c->bits &&
           a->act == c->act && a->at == c->at && a->weight == c->weight && a->channel == c->channel &&
           a->table == c->table;
}

static rt_status compare(const rt_net *a, const rt_net *c)
{
    int same = a->tensors == c->tensors && a->calls == c->calls && a->floats == c->floats && a->heads == c->heads &&
               a->weights == c->weights && a->channels == c->channels && a->tables == c->tables;
    for (int t = 0; t < a->tensors && same; t++) {
        const rt_net_tensor *x = &a->tensor[t], *y = &c->tensor[t];
        if (x->h != y->h || x->w != y->w || x->c != y->c || x->q.zero != y->q.zero ||
            memcmp(&x->q.scale, &y->q.scale, sizeof x->q.scale))
            return rt_fail(RT_USAGE, "tensor %d comes back as another one", t);
    }
    for (int i = 0; i < a->calls && same; i++)
        if (!same_call(&a->call[i], &c->call[i])) return rt_fail(RT_USAGE, "call %d comes back as another one", i);
    if (!same) return rt_fail(RT_USAGE, "its %d calls come back as %d", a->calls, c->calls);
    if (memcmp(a->weight, c->weight, a->weights)) return rt_fail(RT_USAGE, "its weights come back as others");
    if (memcmp(a->step, c->step, a->channels * sizeof *a->step) ||
        memcmp(a->bias, c->bias, a->channels * sizeof *a->bias))
        return rt_fail(RT_USAGE, "its steps and biases come back as others");
    if (a->tables && memcmp(a->table, c->table, (size_t)a->tables * sizeof *a->table))
        return rt_fail(RT_USAGE, "its tables come back as others");
    return RT_OK;
}

static rt_status rebuilt(rebuild *b)
{
    rt_program *p = NULL;
    char *range;
    int *bits;
    find_ranks(b);
    RT_TRY(build_model(b));
    range = calloc((size_t)b->m->graph->tensors, 1);
    bits = calloc((size_t)b->m->graph->nodes, sizeof *bits);
    rt_status st = range && bits ? quantize(b, range, bits) : rt_fail(RT_RUN, "out of memory");
    free(range);
    free(bits);
    if (!st) st = rt_quantizers_check(b->m, "the net");
    if (!st) st = rt_program_of(&p, b->m);
    if (!st) st = compare(b->net, rt_program_net(p));
    rt_program_free(p);
    return st;
}

rt_status rt_model_of_net(rt_model **out, const rt_net *net, const rt_net_origin *of)
{
    rebuild b = {.net = net, .of = of, .lines = only_lines(net)};
    size_t tensors = (size_t)net->tensors;
    b.same = calloc(tensors, sizeof *b.same);
    b.sides = calloc(tensors, 1);
    b.layer = calloc(tensors, sizeof *b.layer);
    b.weights = calloc((size_t)net->calls, sizeof *b.weights);
    rt_status st = b.same && b.sides && b.layer && b.weights ? rebuilt(&b) : rt_fail(RT_RUN, "out of memory");
    free(b.same);
    free(b.sides);
    free(b.layer);
    free(b.weights);
    if (st) rt_model_free(b.m);
    *out = st ? NULL : b.m;
    return st;
}
