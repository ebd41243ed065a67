/* student/onnx/onnx_integer.c - quantized graphs as integer programs: tensors, calls, moves of bytes, and the whole. */
#include "student/onnx/onnx_integer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "student/onnx/onnx_integer_parts.h"
#include "student/program_model.h"

rt_status rt_integer_no(rt_integer *g, const char *why)
{
    g->bad = why;
    return RT_OK;
}

const rt_integer_value *rt_integer_in(const rt_integer *g, const rt_eval_node *n, int i)
{ return i < n->inputs && n->in[i] >= 0 && g->row->varies[n->in[i]] ? &g->v[n->in[i]] : NULL; }

const rt_array *rt_integer_const(const rt_integer *g, const rt_eval_node *n, int i)
{ return i < n->inputs && n->in[i] >= 0 && !g->row->varies[n->in[i]] ? g->row->value[n->in[i]] : NULL; }

/* ---- order ---- */

/* Axes in this order (NULL: as they come) lie as the value does; those of one element are nowhere. */
static int is_in_order(const rt_array *a, const int *have, const int *want)
{
    for (int i = 0, k = 0; i < a->rank || k < a->rank;) {
        if (i < a->rank && a->dim[have[i]] == 1) i++;
        else if (k < a->rank && a->dim[want ? want[k] : k] == 1) k++;
        else if (i == a->rank || k == a->rank || have[i] != (want ? want[k] : k)) return 0;
        else i++, k++;
    }
    return 1;
}

static const int *channels_last(int rank)
{
    static const int orders[5][4] = {{0}, {0}, {0, 1}, {0, 2, 1}, {0, 2, 3, 1}};
    return orders[rank];
}

int rt_integer_image(const rt_integer *g, int value, int hwc[3])
{
    const rt_array *a = g->row->value[value];
    if (a->rank < 2 || a->rank > 4 || a->dim[0] != 1 || !is_in_order(a, g->v[value].order, channels_last(a->rank)))
        return 0;
    hwc[0] = a->rank == 4 ? (int)a->dim[2] : 1;
    hwc[1] = a->rank == 2 ? 1 : (int)a->dim[a->rank - 1];
    hwc[2] = (int)a->dim[1];
    return 1;
}

static void in_rows(rt_integer_value *v) { for (int i = 0; i < RT_ARRAY_RANK; i++) v->order[i] = i; }

static int same_shape(const rt_net_tensor *t, const int hwc[3])
{ return t->h == hwc[0] && t->w == hwc[1] && t->c == hwc[2]; }

/* ---- the net ---- */

/* Room for one more of what a list holds. */
static int grow(void **list, int *room, int used, size_t each)
{
    if (used < *room) return 1;
    int more = *room ? 2 * *room : 32;
    void *p = realloc(*list, (size_t)more * each);
    if (!p) return 0;
    *list = p;
    *room = more;
    return 1;
}

static int add_tensor(rt_integer *g, const int hwc[3], rt_quant q)
{
    if (!grow((void **)&g->net.tensor, &g->tensor_room, g->net.tensors, sizeof *g->net.tensor))
        return (void)rt_fail(RT_RUN, "out of memory"), -1;
    g->net.tensor[g->net.tensors] = (rt_net_tensor){hwc[0], hwc[1], hwc[2], q};
    return g->net.tensors++;
}

static rt_net_call *add_call(rt_integer *g, const rt_net_call *like, int out, const char *name)
{
    int room = g->call_room;
    if (!grow((void **)&g->net.call, &room, g->net.calls, sizeof *g->net.call) ||
        !grow((void **)&g->name, &g->call_room, g->net.calls, sizeof *g->name))
        return (void)rt_fail(RT_RUN, "out of memory"), NULL;
    g->name[g->net.calls] = name;
    rt_net_call *c = &g->net.call[g->net.calls++];
    *c = *like;
    c->out = out;
    return c;
}

static const rt_net_call blank = {.head = -1, .kh = 1, .kw = 1, .sh = 1, .sw = 1, .groups = 1};

static rt_net_call reshape_of(int tensor)
{
    rt_net_call c = blank;
    c.op = RT_NET_RESHAPE;
    c.in[0] = tensor;
    return c;
}

/* The tensor again as another, of this shape; -1: memory. */
static int reshaped(rt_integer *g, int tensor, const int hwc[3])
{
    int out = add_tensor(g, hwc, g->net.tensor[tensor].q);
    const rt_net_call c = reshape_of(tensor);
    return out < 0 || !add_call(g, &c, out, NULL) ? -1 : out;
}

int rt_integer_apart(rt_integer *g, int tensor, int pairs)
{
    const rt_net_tensor t = g->net.tensor[tensor];
    int sums = 0;
    for (const rt_net_call *c = g->net.call; c < g->net.call + g->net.calls; c++) {
        if (c->out != tensor || c->act != RT_ACT_NONE) continue;
        int norm = c->op == RT_NET_CONV && c->groups > 1 && c->groups == c->n && c->kh * c->kw == 1 && t.h * t.w == 1;
        sums |= (c->op == RT_NET_CONV && !norm) || (pairs && c->op == RT_NET_ADD);
    }
    return sums ? reshaped(g, tensor, (const int[]){t.h, t.w, t.c}) : tensor;
}

int rt_integer_tensor(rt_integer *g, int value)
{
    rt_integer_value *v = &g->v[value];
    int hwc[3];
    if (v->kind != RT_IV_BYTES && v->kind != RT_IV_FLOATS) {
        g->bad = v->kind == RT_IV_SUMS ? "reads a value that nothing quantizes" : "reads what was not quantized";
        return -1;
    }
    if (!rt_integer_image(g, value, hwc)) {
        g->bad = "its input lies in another order than bytes do (channels last)";
        return -1;
    }
    if (same_shape(&g->net.tensor[v->tensor], hwc)) return v->tensor;
    int out = reshaped(g, v->tensor, hwc);
    if (out < 0) return -2;
    return v->tensor = out;
}

int rt_integer_has(rt_integer *g, int tensor, rt_quant q)
{
    rt_quant *own = &g->net.tensor[tensor].q;
    if (!(own->scale > 0)) *own = q;                       /* bytes that nobody has told the scale of yet */
    if (own->zero == q.zero && !memcmp(&own->scale, &q.scale, sizeof q.scale)) return 1;
    g->bad = "its input is taken in another scale than it was given in";
    return 0;
}

int rt_integer_quant(rt_integer *g, const rt_eval_node *n, int scale, int zero, rt_dtype type, rt_quant *q)
{
    const rt_array *s = rt_integer_const(g, n, scale), *z = rt_integer_const(g, n, zero);
    int has_zero = zero < n->inputs && n->in[zero] >= 0;
    if (!s || (has_zero && !z)) return g->bad = "its scale depends on data", 0;
    if (s->count != 1 || (z && z->count != 1)) return g->bad = "its activations have a scale a channel", 0;
    if (s->type != RT_F32) return g->bad = "its scale is no float32", 0;
    if (z) type = z->type;
    if (type != RT_U8 && type != RT_I8) return g->bad = "its activations are not of 8 bits", 0;
    q->scale = ((const float *)s->data)[0];
    q->zero = (z ? (int)rt_array_int(z, 0) : 0) + (type == RT_I8 ? 128 : 0);
    return q->scale > 0 && isfinite(q->scale) ? 1 : (g->bad = "its scale is not above 0", 0);
}

/* ---- what waits for its scale ---- */

static int take_room(rt_integer *g, size_t weights, size_t channels)
{
    rt_net *n = &g->net;
    if (n->weights + weights > g->weight_room) {
        size_t room = 2 * (n->weights + weights);
        int8_t *w = realloc(n->weight, room);
        if (!w) return 0;
        n->weight = w;
        g->weight_room = room;
    }
    if (n->channels + channels <= g->channel_room) return 1;
    size_t room = 2 * (n->channels + channels);
    float *s = realloc(n->step, room * sizeof *s);
    if (s) n->step = s;
    int32_t *b = realloc(n->bias, room * sizeof *b);
    if (b) n->bias = b;
    if (!s || !b) return 0;
    g->channel_room = room;
    return 1;
}

/* Bits of a weight, as the file's own list says, where they fit; of INT4 4; else 8. */
static int bits_of(const rt_integer *g, const rt_pending *p, int most)
{
    const cJSON *own = cJSON_GetArrayItem(g->bits, g->convs);
    int bits = cJSON_IsNumber(own) && own->valuedouble >= 2 && own->valuedouble <= 8 ? own->valueint
               : p->weight->type == RT_I4                                            ? 4
                                                                                     : 8;
    return most <= (1 << (bits - 1)) - 1 ? bits : 8;
}

/* Weights of (N, C / groups, kh, kw), (K, N) or (N, K) as (kh, kw, C / groups, N). */
static rt_status put_numbers(rt_integer *g, const rt_pending *p, rt_net_call *c)
{
    const size_t n = (size_t)c->n, taps = (size_t)c->kh * (size_t)c->kw, cg = p->weight->count / n / taps;
    rt_net *net = &g->net;
    int most = 0;
    if (!take_room(g, p->weight->count, n)) return rt_fail(RT_RUN, "out of memory");
    c->weight = net->weights;
    c->channel = net->channels;
    int8_t *w = net->weight + net->weights;
    for (size_t k = 0; k < cg; k++) {
        size_t image = (size_t)p->chw[1] * (size_t)p->chw[2],            /* row k, as memory has it, is that of ONNX */
            from = p->chw[0] ? k % (size_t)p->chw[0] * image + k / (size_t)p->chw[0] : k;
        for (size_t t = 0; t < taps; t++)
            for (size_t o = 0; o < n; o++) {
                size_t at = !p->dense ? (o * cg + k) * taps + t : p->by_rows ? o * cg + from : from * n + o;
                int v = (int)rt_array_int(p->weight, at) - p->unsigned_by;
                most = abs(v) > most ? abs(v) : most;
                w[(t * cg + k) * n + o] = (int8_t)v;
            }
    }
    memcpy(net->step + net->channels, p->step, n * sizeof *net->step);
    for (size_t o = 0; o < n; o++) net->bias[net->channels + o] = p->bias ? (int32_t)rt_array_int(p->bias, o) : 0;
    c->bits = bits_of(g, p, most);
    net->weights += p->weight->count;
    net->channels += n;
    g->convs++;
    return RT_OK;
}

static int add_table(rt_integer *g, rt_quant x, rt_quant y, rt_act act, float slope)
{
    if (!grow((void **)&g->net.table, &g->table_room, g->net.tables, sizeof *g->net.table))
        return (void)rt_fail(RT_RUN, "out of memory"), -1;
    rt_int_table(g->net.table[g->net.tables], x, y, act, slope);
    return g->net.tables++;
}

static rt_status emit_map(rt_integer *g, const rt_pending *p, int out)
{
    rt_net_call c = p->call;
    for (int i = 0; i < p->count; i++) {
        c.in[0] = p->parts[i];
        if (p->count > 1) c.in[1] = p->parts[1];
        c.table = add_table(g, g->net.tensor[c.in[0]].q, g->net.tensor[out].q, p->table, p->slope);
        if (c.table < 0 || !add_call(g, &c, out, p->name)) return RT_RUN;
        c.at += g->net.tensor[c.in[0]].c;
    }
    return RT_OK;
}

rt_status rt_integer_emit(rt_integer *g, const rt_pending *p, rt_quant q, int head, int *tensor)
{
    const int hwc[3] = {p->h, p->w, p->c};
    *tensor = -1;
    if (p->call.op == RT_NET_MAX_POOL) {
        const rt_quant x = g->net.tensor[p->call.in[0]].q;
        if (x.zero != q.zero || memcmp(&x.scale, &q.scale, sizeof q.scale))
            return rt_integer_no(g, "its maximum is given in another scale than it was taken in");
    }
    if (head < 0 && (*tensor = add_tensor(g, hwc, q)) < 0) return RT_RUN;
    if (p->call.op == RT_NET_MAP) return emit_map(g, p, *tensor);
    rt_net_call *c = add_call(g, &p->call, *tensor, p->name);
    if (!c) return RT_RUN;
    c->head = head;
    return c->op == RT_NET_CONV ? put_numbers(g, p, c) : RT_OK;
}

rt_status rt_integer_wait(rt_integer *g, const rt_eval_node *n, const rt_pending *p)
{
    rt_integer_value *v = &g->v[n->out[0]];
    const rt_array *a = g->row->value[n->out[0]];
    rt_pending *own = rt_region_take(g->region, sizeof *own);
    int hwc[3];
    if (!own) return RT_RUN;
    *own = *p;
    if (!own->name) own->name = n->name;
    v->kind = RT_IV_SUMS;
    v->sums = own;
    if (a->rank < 2 || a->rank > 4) return rt_integer_no(g, "its output is no image, line or row");
    for (int i = 0; i < a->rank; i++) v->order[i] = channels_last(a->rank)[i];
    if (!rt_integer_image(g, n->out[0], hwc)) return rt_integer_no(g, "its output is of several rows");
    own->h = hwc[0];
    own->w = hwc[1];
    own->c = hwc[2];
    return RT_OK;
}

/* ---- moves ---- */

static int is_move(const rt_eval_node *n)
{
    static const char *const ops[] = {"Identity", "Dropout", "Flatten", "Reshape", "Squeeze", "Unsqueeze", "Transpose"};
    for (size_t i = 0; i < sizeof ops / sizeof *ops && !*n->domain; i++) if (!strcmp(n->op, ops[i])) return 1;
    return 0;
}

/* Moves end here, and bytes lie as the value is: something else reads them, or an own file names them as a tensor. */
static int is_end(const rt_integer *g, int value)
{
    const char *name = g->g->value[value];
    if (g->of->own) return !strncmp(name, "/tensor", 7) && !name[7 + strspn(name + 7, "0123456789")];
    for (const rt_eval_node *n = g->g->node; n < g->g->node + g->g->nodes; n++)
        for (int i = 0; i < n->inputs; i++) if (n->in[i] == value && !is_move(n)) return 1;
    return 0;
}

static rt_status move(rt_integer *g, const rt_eval_node *n)
{
    rt_integer_value *v = &g->v[n->out[0]];
    const rt_integer_value *x = rt_integer_in(g, n, 0);
    const rt_array *from = g->row->value[n->in[0]], *to = g->row->value[n->out[0]];
    int hwc[3], place[RT_ARRAY_RANK], same = !strcmp(n->op, "Identity") || !strcmp(n->op, "Dropout");
    *v = *x;
    if (!strcmp(n->op, "Transpose")) {
        rt_lower_places(n, to->rank, place);
        for (int i = 0; i < to->rank; i++) v->order[i] = place[x->order[i]];
        if (x->chw[0]) return rt_integer_no(g, "turns a row of an image");
    } else if (!same) {
        if (is_in_order(from, x->order, NULL)) in_rows(v);
        else if (rt_integer_image(g, n->in[0], hwc) && to->rank == 2 && to->dim[0] == 1 && x->kind != RT_IV_INPUT) {
            v->chw[0] = hwc[2];                            /* memory stays as it is, weights behind it are turned */
            v->chw[1] = hwc[0];
            v->chw[2] = hwc[1];
            in_rows(v);
        } else return rt_integer_no(g, "reshapes what lies in another order than ONNX has");
    }
    if (v->kind != RT_IV_BYTES || !is_end(g, n->out[0]) || !rt_integer_image(g, n->out[0], hwc)) return RT_OK;
    if (!same) return rt_integer_tensor(g, n->out[0]) == -2 ? RT_RUN : RT_OK;
    if (!g->of->own) return RT_OK;
    return (v->tensor = reshaped(g, v->tensor, hwc)) < 0 ? RT_RUN : RT_OK;       /* a reshape that changes nothing */
}

/* ---- quantizers ---- */

/* Number k of a normalisation: what the file tells, where its nodes do the same; else that of its nodes. */
static float told_number(const cJSON *told, const rt_array *have, size_t k, float none)
{
    float v = have ? (float)rt_array_double(have, have->count == 1 ? 0 : k) : none;
    double t = told ? cJSON_GetNumberValue(cJSON_GetArrayItem(told, (int)k)) : NAN;
    return (double)v == t ? (float)t : v;                  /* -0 stays -0 */
}

/* Rows of floats: normalised, then bytes. */
static rt_status quantize_input(rt_integer *g, const rt_integer_value *x, rt_quant q)
{
    const rt_net_tensor *t = g->net.tensor;
    const cJSON *told[2] = {cJSON_GetObjectItemCaseSensitive(g->of->normalization, "mul"),
                            cJSON_GetObjectItemCaseSensitive(g->of->normalization, "add")};
    const rt_array *have[2] = {x->mul, x->add};
    float *to[2];
    if (t->q.scale > 0) return rt_integer_no(g, "the input is quantized twice");
    size_t n = 1;
    for (int i = 0; i < 2; i++) {
        if (have[i] && have[i]->count != 1 && have[i]->count != (size_t)t->c)
            return rt_integer_no(g, "the input's normalisation is not a number a channel");
        if (have[i] && have[i]->count > n) n = have[i]->count;
    }
    if (cJSON_GetArraySize(told[0]) == t->c && cJSON_GetArraySize(told[1]) == t->c) n = (size_t)t->c;
    for (int i = 0; i < 2; i++) {
        if (!(to[i] = rt_region_list(g->region, n, sizeof **to))) return RT_RUN;
        for (size_t k = 0; k < n; k++) to[i][k] = told_number(told[i], have[i], k, i ? 0 : 1);
    }
    g->mul = to[0];
    g->add = to[1];
    g->channels = (int)n;
    g->net.tensor->q = q;
    return RT_OK;
}

/* What bytes stand for: as the file says, or by their scale. */
static rt_status take_bytes(rt_integer *g, rt_quant q)
{
    const cJSON *mul = cJSON_GetObjectItemCaseSensitive(g->of->normalization, "mul"),
                *add = cJSON_GetObjectItemCaseSensitive(g->of->normalization, "add");
    int n = cJSON_GetArraySize(mul), told = n && n == cJSON_GetArraySize(add);
    if (!told) n = 1;
    float *v = rt_region_list(g->region, 2 * (size_t)n, sizeof *v);
    if (!v) return RT_RUN;
    for (int i = 0; i < n; i++) {
        v[i] = told ? (float)cJSON_GetNumberValue(cJSON_GetArrayItem(mul, i)) : q.scale;
        v[n + i] = told ? (float)cJSON_GetNumberValue(cJSON_GetArrayItem(add, i)) : (float)-q.zero;
    }
    g->mul = v;
    g->add = v + n;
    g->channels = n;
    g->net.tensor->q = q;
    return RT_OK;
}

/* Bytes of a scale that waits, or of floats that are given back in the scale that they came in. */
static rt_status quantize(rt_integer *g, const rt_eval_node *n)
{
    rt_integer_value *v = &g->v[n->out[0]];
    const rt_integer_value *x = rt_integer_in(g, n, 0);
    rt_quant q;
    if (!x) return rt_integer_no(g, "quantizes a constant by a scale that depends on data");
    if (!rt_integer_quant(g, n, 1, 2, g->row->value[n->out[0]]->type, &q)) return RT_OK;
    rt_integer_value in = *x;
    *v = in;
    v->kind = RT_IV_BYTES;
    if (in.kind == RT_IV_INPUT) {
        int is_one = q.scale == 1 && !q.zero && g->own_bytes && !in.mul && !in.add;
        if (!is_one) g->net.floats = 1;
        return is_one ? RT_OK : quantize_input(g, &in, q);
    }
    if (in.kind == RT_IV_FLOATS) {
        rt_integer_has(g, in.tensor, q);
        if (g->bad) g->bad = "brings bytes to another scale";
        return RT_OK;
    }
    if (in.kind != RT_IV_SUMS) return rt_integer_no(g, "quantizes what is no sum of bytes");
    return rt_integer_emit(g, in.sums, q, -1, &v->tensor);
}

static rt_status dequantize(rt_integer *g, const rt_eval_node *n)
{
    rt_integer_value *v = &g->v[n->out[0]];
    const rt_integer_value *x = rt_integer_in(g, n, 0);
    rt_quant q;
    if (!x || x->kind != RT_IV_BYTES) return rt_integer_no(g, "its input are no bytes of a tensor");
    if (!rt_integer_quant(g, n, 1, 2, g->row->value[n->in[0]]->type, &q)) return RT_OK;
    if (!x->tensor && !(g->net.tensor->q.scale > 0)) RT_TRY(take_bytes(g, q));
    *v = *x;
    v->kind = RT_IV_FLOATS;
    rt_integer_has(g, x->tensor, q);
    return RT_OK;
}

/* ---- answers ---- */

static rt_status answer(rt_integer *g, int value, int head)
{
    const rt_integer_value *v = &g->v[value];
    const rt_array *a = g->row->value[value];
    int none;
    if (v->chw[0] || !is_in_order(a, v->order, NULL))
        return rt_integer_no(g, "the answer lies in another order than bytes do");
    g->net.size[head] = (int)a->count;
    g->answered[head] = 1;
    if (v->kind == RT_IV_FLOATS) {
        rt_net_call c = blank;
        c.op = RT_NET_FLOATS;
        c.in[0] = v->tensor;
        if ((c.in[0] = rt_integer_apart(g, v->tensor, 0)) < 0) return RT_RUN;
        for (const rt_net_call *k = g->net.call; k < g->net.call + g->net.calls; k++)
            if (k->out == c.in[0]) c.in[1] = k->in[1];      /* as a program has it, which never reads it */
        c.head = head;
        return add_call(g, &c, -1, NULL) ? RT_OK : RT_RUN;
    }
    if (v->kind != RT_IV_SUMS || v->sums->call.op != RT_NET_CONV || v->sums->call.act != RT_ACT_NONE)
        return rt_integer_no(g, "gives the answer, and nothing quantizes it");
    return rt_integer_emit(g, v->sums, (rt_quant){1, 0}, head, &none);
}

/* ---- the whole ---- */

static int is_quantizer(const rt_eval_node *n)
{
    return !strcmp(n->op, "QuantizeLinear") || !strcmp(n->op, "DequantizeLinear") || !strncmp(n->op, "QLinear", 7) ||
           !strcmp(n->op, "QGemm");
}

int rt_onnx_is_quantized(const rt_onnx_row *row)
{
    for (const rt_eval_node *n = row->graph->node; n < row->graph->node + row->graph->nodes; n++)
        if (is_quantizer(n) && n->inputs && n->in[0] >= 0 && row->varies[n->in[0]]) return 1;
    return 0;
}

static rt_status read_node(rt_integer *g, const rt_eval_node *n)
{
    rt_integer_fn *fn = rt_integer_function(n);
    for (int i = 1; i < n->outputs; i++) {
        int read = 0;
        for (int k = 0; n->out[i] >= 0 && k < g->g->nodes; k++)
            for (int e = 0; e < g->g->node[k].inputs; e++) read |= g->g->node[k].in[e] == n->out[i];
        if (read) return rt_integer_no(g, "its second output is read");
    }
    if (!strcmp(n->op, "QuantizeLinear")) return quantize(g, n);     /* com.microsoft's is the same */
    if (!strcmp(n->op, "DequantizeLinear")) return dequantize(g, n);
    if (is_move(n) && rt_integer_in(g, n, 0)) return move(g, n);
    return fn ? fn(g, n) : rt_integer_no(g, "has no integer form here");
}

/* Which values the answers are made of. */
static char *needed_values(const rt_integer *g)
{
    char *needed = rt_region_take(g->region, (size_t)g->g->values + 1);
    for (int h = 0; needed && h < g->of->outputs; h++) needed[g->of->output[h]] = 1;
    for (int i = g->g->nodes - 1; needed && i >= 0; i--) {
        const rt_eval_node *n = &g->g->node[i];
        int is = 0;
        for (int k = 0; k < n->outputs; k++) is |= n->out[k] >= 0 && needed[n->out[k]];
        for (int k = 0; is && k < n->inputs; k++) if (n->in[k] >= 0) needed[n->in[k]] = 1;
    }
    return needed;
}

static rt_status read_nodes(rt_integer *g, const char **why)
{
    const char *needed = needed_values(g);
    if (!needed) return RT_RUN;
    for (int i = 0; i < g->g->nodes; i++) {
        const rt_eval_node *n = &g->g->node[i];
        int varies = 0;
        for (int k = 0; k < n->outputs; k++)
            varies |= n->out[k] >= 0 && needed[n->out[k]] && g->row->varies[n->out[k]];
        if (!varies) continue;
        g->bad = NULL;
        RT_TRY(read_node(g, n));
        for (int h = 0; h < g->of->outputs && !g->bad; h++)
            if (n->outputs && g->of->output[h] == n->out[0]) RT_TRY(answer(g, n->out[0], h));
        if (!g->bad) continue;
        char *text = rt_region_take(g->region, 400);
        if (!text) return RT_RUN;
        snprintf(text, 400, "node '%.80s' (%.40s): %.200s", n->name, n->op, g->bad);
        *why = text;
        return RT_OK;
    }
    for (int h = 0; h < g->of->outputs; h++) if (!g->answered[h]) *why = "an output is not computed by its nodes";
    return RT_OK;
}

static rt_status begin(rt_integer *g, const rt_onnx_integer_spec *s, const char **why)
{
    const int input = s->input >= 0 ? g->g->input[s->input] : -1;
    g->region = s->row->region;
    g->v = rt_region_list(g->region, (size_t)g->g->values, sizeof *g->v);
    g->answered = rt_region_take(g->region, (size_t)s->outputs + 1);
    if (!g->v || !g->answered) return RT_RUN;
    if (g->g->nodes > 4 * RT_NET_MOST) {
        *why = "it has more nodes than a program has calls";
        return RT_OK;
    }
    if (input < 0) {
        *why = "has several inputs, and an integer program one";
        return RT_OK;
    }
    const rt_array *a = s->row->value[input];
    rt_integer_value *v = &g->v[input];
    int hwc[3];
    memcpy(v->order, s->in[s->input].order, sizeof v->order);
    if (a->rank < 2 || a->rank > 4 || !rt_integer_image(g, input, hwc)) {
        *why = "the input is no image with its channels last in the data, no line and no row";
        return RT_OK;
    }
    v->kind = a->type == RT_U8 ? RT_IV_BYTES : RT_IV_INPUT;
    if (a->type != RT_U8 && a->type != RT_F32) *why = "the input is neither float32 nor uint8";
    g->net.heads = s->outputs;
    return add_tensor(g, hwc, (rt_quant){0, 0}) < 0 ? RT_RUN : RT_OK;
}

static rt_status make_model(rt_model **out, rt_integer *g, const char **why)
{
    rt_head head[RT_MAX_HEADS];
    for (int h = 0; h < g->of->outputs; h++) {
        head[h] = g->of->head[h];
        head[h].size = g->net.size[h];
        if (head[h].names.name && head[h].names.count != head[h].size) head[h].names = (rt_names){0};
    }
    rt_net_origin origin = {.head = head, .heads = g->of->outputs, .mul = g->mul, .add = g->add,
                            .channels = g->channels, .name = g->name};
    rt_status st = rt_net_check(&g->net);
    if (!st) st = rt_model_of_net(out, &g->net, &origin);
    if (st != RT_USAGE && st != RT_INPUT) return st;
    char *text = rt_region_text(g->region, rt_error_message(), strlen(rt_error_message()));
    if (!text) return RT_RUN;
    *why = text;
    return RT_OK;
}

rt_status rt_onnx_integer(rt_model **out, const rt_onnx_integer_spec *s, const char **why)
{
    rt_integer g = {.of = s, .row = s->row, .g = s->row->graph};
    cJSON *own = NULL;
    *out = NULL;
    *why = NULL;
    if (s->own && rt_json_parse(&own, s->own, strlen(s->own), "integer")) own = NULL;
    g.bits = cJSON_GetObjectItemCaseSensitive(own, "bits");
    g.scales = cJSON_GetObjectItemCaseSensitive(own, "scales");
    g.zeros = cJSON_GetObjectItemCaseSensitive(own, "zeros");
    g.own_bytes = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(own, "bytes"));
    rt_status st = begin(&g, s, why);
    if (!st && !*why) st = read_nodes(&g, why);
    if (!st && !*why) st = make_model(out, &g, why);
    rt_net_free(&g.net);
    free(g.name);
    cJSON_Delete(own);
    return st;
}
