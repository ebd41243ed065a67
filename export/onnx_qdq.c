/* export/onnx_qdq.c - an integer program as an ONNX graph of float operators between QuantizeLinear and
 * DequantizeLinear, which runtimes turn into integer ones. Tensors are (batch, C, H, W), (batch, C, W) of nets of lines
 * alone, (batch, C) of single pixels. A table is a Gather, which is exact; a concat stands between the quantizers of
 * its parts. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/json.h"
#include "engine/version.h"
#include "export/exporter.h"
#include "export/onnx_write.h"

typedef struct {
    const rt_program *p;
    const rt_net *n;
    const rt_onnx_spec *spec;
    rt_onnx *o;
    int sides;                       /* of an image: 2, or 1 of lines */
    const char **value;              /* (tensors) bytes */
    const char **scale, **zero;      /* (tensors) constants, once they are there */
    int packed;                      /* weights that stand two to a byte */
} qdq;

static int is_flat(const rt_net_tensor *t) { return t->h * t->w == 1; }

/* Nothing in the net has a height. */
static int only_lines(const rt_net *n)
{
    for (int t = 0; t < n->tensors; t++) if (n->tensor[t].h != 1) return 0;
    for (const rt_net_call *c = n->call; c < n->call + n->calls; c++)
        if (c->kh != 1 || c->sh != 1 || c->pad[0] || c->pad[1]) return 0;
    return 1;
}

/* (batch, C, H, W) and the like; flat: of a pixel (batch, C). */
static int shape_of(const qdq *e, const rt_net_tensor *t, int flat, int64_t batch, int64_t dim[4])
{
    int rank = 0;
    dim[rank++] = batch;
    dim[rank++] = t->c;
    if (flat) return rank;
    if (e->sides == 2) dim[rank++] = t->h;
    dim[rank++] = t->w;
    return rank;
}

static const char *put(qdq *e, const char *op, const char *out, const char *a, const char *b, const char *c)
{
    const char *in[] = {a, b, c, NULL};
    rt_onnx_add(e->o, op, out, in);
    return out;
}

static void quantizer(qdq *e, int t)
{
    const rt_quant *q = &e->n->tensor[t].q;
    uint8_t zero = (uint8_t)q->zero;
    if (e->scale[t]) return;
    e->scale[t] = rt_onnx_scalar(e->o, rt_onnx_name(e->o, "/scale%d", t), RT_ONNX_F32, &q->scale);
    e->zero[t] = rt_onnx_scalar(e->o, rt_onnx_name(e->o, "/zero%d", t), RT_ONNX_U8, &zero);
}

static const char *dequantized(qdq *e, const char *bytes, int t, int call, int which)
{
    quantizer(e, t);
    return put(e, "DequantizeLinear", rt_onnx_name(e->o, "/call%d/in%d", call, which), bytes, e->scale[t], e->zero[t]);
}

/* Tensor t, which `call` reads as its input `which`, as an image even where it is a pixel. */
static const char *image(qdq *e, int t, int call, int which)
{
    const char *bytes = e->value[t];
    if (is_flat(&e->n->tensor[t])) {
        int64_t dim[4], rank = shape_of(e, &e->n->tensor[t], 0, 0, dim);
        const char *shape = rt_onnx_const(e->o, rt_onnx_name(e->o, "/call%d/shape", call), RT_ONNX_I64, 1, &rank, dim);
        bytes = put(e, "Reshape", rt_onnx_name(e->o, "/call%d/image", call), bytes, shape, NULL);
    }
    return dequantized(e, bytes, t, call, which);
}

/* Floats as the bytes of tensor t, which an operator on images gave (image) or not. */
static void quantized(qdq *e, const char *floats, int t, int image)
{
    int flatten = image && is_flat(&e->n->tensor[t]);
    quantizer(e, t);
    const char *bytes = put(e, "QuantizeLinear", rt_onnx_name(e->o, flatten ? "/image%d" : "/tensor%d", t), floats,
                            e->scale[t], e->zero[t]);
    if (flatten) bytes = put(e, "Flatten", rt_onnx_name(e->o, "/tensor%d", t), bytes, NULL, NULL);
    e->value[t] = bytes;
}

/* ---- order: channels last, as rows lie in memory, and channels first ---- */

static const char *transposed(qdq *e, const char *in, const char *out, int to_last)
{
    static const int64_t last[][4] = {{0, 2, 1, 0}, {0, 2, 3, 1}}, first[][4] = {{0, 2, 1, 0}, {0, 3, 1, 2}};
    const char *ins[] = {in, NULL};
    rt_onnx_node *n = rt_onnx_add(e->o, "Transpose", out, ins);
    rt_onnx_ints(n, "perm", e->sides + 2, to_last ? last[e->sides - 1] : first[e->sides - 1]);
    return out;
}

static const char *reshaped(qdq *e, const char *in, const char *out, int64_t rank, const int64_t *dim)
{
    const char *shape = rt_onnx_const(e->o, rt_onnx_name(e->o, "%s/shape", out), RT_ONNX_I64, 1, &rank, dim);
    return put(e, "Reshape", out, in, shape, NULL);
}

/* An image's values as a row, in the order of memory. */
static const char *as_row(qdq *e, const char *in, const rt_net_tensor *t, const char *out)
{
    const int64_t row[] = {0, (int64_t)t->h * t->w * t->c};
    if (t->c > 1 && t->h * t->w > 1) in = transposed(e, in, rt_onnx_name(e->o, "%s/last", out), 1);
    return reshaped(e, in, out, 2, row);
}

static void put_reshape(qdq *e, const rt_net_call *c)
{
    const rt_net_tensor *from = &e->n->tensor[c->in[0]], *to = &e->n->tensor[c->out];
    const char *row = e->value[c->in[0]], *name = rt_onnx_name(e->o, "/tensor%d", c->out);
    int turn = to->c > 1 && !is_flat(to);
    if (from->h == to->h && from->w == to->w && from->c == to->c) {      /* a call nonetheless: a reader finds it */
        e->value[c->out] = put(e, "Identity", name, row, NULL, NULL);
        return;
    }
    if (!is_flat(from)) row = as_row(e, row, from, is_flat(to) ? name : rt_onnx_name(e->o, "%s/row", name));
    if (!is_flat(to)) {
        int64_t first[4], last[4] = {0, to->h, to->w, to->c}, rank = shape_of(e, to, 0, 0, first);
        if (e->sides == 1) last[1] = to->w, last[2] = to->c;
        row = reshaped(e, row, turn ? rt_onnx_name(e->o, "%s/image", name) : name, rank, turn ? last : first);
        if (turn) row = transposed(e, row, name, 0);
    }
    e->value[c->out] = row;
}

/* ---- layers ---- */

static const char *activation(qdq *e, const char *in, rt_act act, int call)
{
    const float six = 6, zero = 0;
    const char *out = rt_onnx_name(e->o, "/call%d/act", call);
    if (act == RT_ACT_RELU) return put(e, "Relu", out, in, NULL, NULL);
    if (act != RT_ACT_RELU6) return in;
    const char *low = rt_onnx_scalar(e->o, rt_onnx_name(e->o, "/call%d/zero", call), RT_ONNX_F32, &zero),
               *high = rt_onnx_scalar(e->o, rt_onnx_name(e->o, "/call%d/six", call), RT_ONNX_F32, &six);
    return put(e, "Clip", out, in, low, high);
}

static void set_window(qdq *e, rt_onnx_node *n, const rt_net_call *c)
{
    int from = 2 - e->sides;
    const int64_t kernel[] = {c->kh, c->kw}, strides[] = {c->sh, c->sw}, lines[] = {c->pad[2], c->pad[3]},
                  pads[] = {c->pad[0], c->pad[2], c->pad[1], c->pad[3]};
    rt_onnx_ints(n, "kernel_shape", e->sides, kernel + from);
    rt_onnx_ints(n, "strides", e->sides, strides + from);
    rt_onnx_ints(n, "pads", 2 * e->sides, e->sides == 2 ? pads : lines);
}

/* Weights (kh, kw, C / groups, N) as (N, C / groups, kh, kw), or of a dense layer (C, N) as they are. */
static const char *put_weights(qdq *e, const rt_net_call *c, int call, int dense)
{
    const int cg = e->n->tensor[c->in[0]].c / c->groups, taps = c->kh * c->kw;
    const size_t count = (size_t)taps * (size_t)cg * (size_t)c->n;
    const int8_t *w = e->n->weight + c->weight;
    int8_t *to = calloc(count + 1, 1);
    const char *name = rt_onnx_name(e->o, "/call%d/weight", call);
    int64_t dim[4] = {c->n, cg, c->kh, c->kw};
    int rank = 4, packed = e->spec->packed && c->bits <= 4;
    if (!to) return name;
    for (size_t i = 0; i < count; i++) {
        size_t n = i % (size_t)c->n, k = i / (size_t)c->n % (size_t)cg, tap = i / (size_t)c->n / (size_t)cg;
        to[dense ? i : (n * (size_t)cg + k) * (size_t)taps + tap] = w[i];
    }
    for (size_t i = 0; i < count && packed; i += 2)
        to[i / 2] = (int8_t)(uint8_t)((to[i] & 15) | (i + 1 < count ? (to[i + 1] & 15) << 4 : 0));
    if (dense) dim[0] = cg, dim[1] = c->n, rank = 2;
    else if (e->sides == 1) dim[2] = c->kw, rank = 3;
    e->packed += packed;
    rt_onnx_const(e->o, name, packed ? RT_ONNX_I4 : RT_ONNX_I8, rank, dim, to);
    free(to);
    return name;
}

static const char *put_parameters(qdq *e, const rt_net_call *c, int call, int dense, const char **bias)
{
    const int64_t n = c->n;
    const float *step = e->n->step + c->channel, sx = e->n->tensor[c->in[0]].q.scale;
    const int packed = e->spec->packed && c->bits <= 4;
    float *scale = calloc((size_t)n + 1, sizeof *scale);
    int32_t *zeros = calloc((size_t)n + 1, sizeof *zeros);
    const char *weight = put_weights(e, c, call, dense);
    for (int64_t i = 0; i < n && scale; i++) scale[i] = sx * step[i];
    const char *in[] = {weight, rt_onnx_const(e->o, rt_onnx_name(e->o, "%s/scale", weight), RT_ONNX_F32, 1, &n, step),
                        "", NULL},
               *of_bias[] = {rt_onnx_const(e->o, rt_onnx_name(e->o, "/call%d/bias", call), RT_ONNX_I32, 1, &n,
                                           e->n->bias + c->channel),
                             "", "", NULL};
    if (scale && zeros) {
        in[2] = rt_onnx_const(e->o, rt_onnx_name(e->o, "%s/zero", weight), packed ? RT_ONNX_I4 : RT_ONNX_I8, 1, &n,
                              zeros);
        of_bias[1] = rt_onnx_const(e->o, rt_onnx_name(e->o, "/call%d/bias/scale", call), RT_ONNX_F32, 1, &n, scale);
        of_bias[2] = rt_onnx_const(e->o, rt_onnx_name(e->o, "/call%d/bias/zero", call), RT_ONNX_I32, 1, &n, zeros);
    }
    free(scale);
    free(zeros);
    const char *w = rt_onnx_name(e->o, "%s/float", weight);
    *bias = rt_onnx_name(e->o, "/call%d/bias/float", call);
    rt_onnx_int(rt_onnx_add(e->o, "DequantizeLinear", w, in), "axis", dense ? 1 : 0);
    rt_onnx_int(rt_onnx_add(e->o, "DequantizeLinear", *bias, of_bias), "axis", 0);
    return w;
}

static const char *head_name(const qdq *e, int head)
{
    int heads;
    return rt_program_heads(e->p, &heads)[head].name;
}

static void put_conv(qdq *e, const rt_net_call *c, int call)
{
    rt_net_tensor x = e->n->tensor[c->in[0]], y = {.c = c->n};
    const char *bias, *out = rt_onnx_name(e->o, "/call%d/sums", call);
    int dense = is_flat(&x) && c->kh * c->kw == 1 && c->groups == 1 && c->sh == 1 && c->sw == 1 &&
                !(c->pad[0] + c->pad[1] + c->pad[2] + c->pad[3]);
    rt_net_window(c, &x, &y.h, &y.w);
    const char *in = dense ? dequantized(e, e->value[c->in[0]], c->in[0], call, 0) : image(e, c->in[0], call, 0);
    const char *weight = put_parameters(e, c, call, dense, &bias), *ins[] = {in, weight, bias, NULL};
    if (dense && c->out < 0) out = head_name(e, c->head);
    rt_onnx_node *n = rt_onnx_add(e->o, dense ? "Gemm" : "Conv", out, ins);
    if (!dense) {
        set_window(e, n, c);
        rt_onnx_int(n, "group", c->groups);
    }
    if (c->out >= 0) quantized(e, activation(e, out, c->act, call), c->out, !dense);
    else if (!dense) as_row(e, out, &y, head_name(e, c->head));
}

static void put_pair(qdq *e, const rt_net_call *c, int call)
{
    const char *a = dequantized(e, e->value[c->in[0]], c->in[0], call, 0),
               *b = dequantized(e, e->value[c->in[1]], c->in[1], call, 1);
    const char *y = put(e, c->op == RT_NET_ADD ? "Add" : "Mul", rt_onnx_name(e->o, "/call%d/sum", call), a, b, NULL);
    quantized(e, activation(e, y, c->act, call), c->out, 0);
}

static void put_pool(qdq *e, const rt_net_call *c, int call)
{
    const rt_net_tensor *x = &e->n->tensor[c->in[0]];
    const char *in[] = {image(e, c->in[0], call, 0), NULL}, *out = rt_onnx_name(e->o, "/call%d/pool", call);
    int whole = c->op == RT_NET_AVG_POOL && c->kh == x->h && c->kw == x->w && c->sh == 1 && c->sw == 1 &&
                !(c->pad[0] + c->pad[1] + c->pad[2] + c->pad[3]);
    const char *op = whole ? "GlobalAveragePool" : c->op == RT_NET_MAX_POOL ? "MaxPool" : "AveragePool";
    rt_onnx_node *n = rt_onnx_add(e->o, op, out, in);
    if (!whole) set_window(e, n, c);
    quantized(e, out, c->out, 1);
}

/* A table: the byte at the place that a byte says. */
static const char *put_gather(qdq *e, const rt_net_call *c, int call, const char *out)
{
    const int64_t all = 256;
    const char *table = rt_onnx_name(e->o, "/call%d/table", call), *index = rt_onnx_name(e->o, "/call%d/index", call);
    const char *in[] = {e->value[c->in[0]], NULL};
    rt_onnx_const(e->o, table, RT_ONNX_U8, 1, &all, e->n->table[c->table]);
    rt_onnx_int(rt_onnx_add(e->o, "Cast", index, in), "to", RT_ONNX_I32);
    return put(e, "Gather", out, table, index, NULL);
}

/* Whether a table brings bytes from the one scale to the other, and does nothing else. */
static int rescales(const rt_net *n, const rt_net_call *c)
{
    uint8_t table[256];
    rt_int_table(table, n->tensor[c->in[0]].q, n->tensor[c->out].q, RT_ACT_NONE, 0);
    return !memcmp(table, n->table[c->table], sizeof table);
}

/* Call `last` completes tensor `out` that it and earlier ones write channels of. */
static rt_status put_maps(qdq *e, int last)
{
    const rt_net *n = e->n;
    const int out = n->call[last].out;
    const char *name = rt_onnx_name(e->o, "/tensor%d", out);
    int parts = 0, floats = 1;
    for (int i = 0; i <= last; i++) {
        if (n->call[i].out != out) continue;
        parts++;
        floats &= rescales(n, &n->call[i]);
    }
    if (parts == 1) {
        e->value[out] = put_gather(e, &n->call[last], last, name);
        return RT_OK;
    }
    const char **in = calloc((size_t)parts + 1, sizeof *in);
    if (!in) return rt_fail(RT_RUN, "out of memory");
    for (int i = 0, k = 0; i <= last; i++) {
        const rt_net_call *c = &n->call[i];
        if (c->out != out) continue;
        in[k++] = floats ? dequantized(e, e->value[c->in[0]], c->in[0], i, 0)
                         : put_gather(e, c, i, rt_onnx_name(e->o, "/call%d/part", i));
    }
    const char *all = floats ? rt_onnx_name(e->o, "/call%d/concat", last) : name;
    rt_onnx_int(rt_onnx_add(e->o, "Concat", all, in), "axis", 1);
    free(in);
    if (floats) quantized(e, all, out, 0);
    else e->value[out] = name;
    return RT_OK;
}

static rt_status put_call(qdq *e, int i)
{
    const rt_net_call *c = &e->n->call[i];
    switch (c->op) {
    case RT_NET_CONV: put_conv(e, c, i); return RT_OK;
    case RT_NET_ADD: case RT_NET_MUL: put_pair(e, c, i); return RT_OK;
    case RT_NET_MAX_POOL: case RT_NET_AVG_POOL: put_pool(e, c, i); return RT_OK;
    case RT_NET_RESHAPE: put_reshape(e, c); return RT_OK;
    case RT_NET_FLOATS: {
        const rt_net_tensor *x = &e->n->tensor[c->in[0]];
        const char *name = head_name(e, c->head);
        if (!is_flat(x)) as_row(e, dequantized(e, e->value[c->in[0]], c->in[0], i, 0), x, name);
        else {
            quantizer(e, c->in[0]);
            put(e, "DequantizeLinear", name, e->value[c->in[0]], e->scale[c->in[0]], e->zero[c->in[0]]);
        }
        return RT_OK;
    }
    case RT_NET_MAP: case RT_NET_OPS: break;
    }
    for (int k = i + 1; k < e->n->calls; k++) if (e->n->call[k].out == c->out) return RT_OK;
    return put_maps(e, i);
}

/* ---- input, outputs, metadata ---- */

static const char *input_name(const qdq *e)
{
    const char *name = "x";
    for (int h = 0; h < e->n->heads; h++)
        if (!strcmp(head_name(e, h), name)) name = rt_onnx_name(e->o, "/%s", name), h = -1;
    return name;
}

/* Numbers of the normalisation as a constant that stands beside a tensor's channels. */
static const char *constant(qdq *e, const char *name, const cJSON *list)
{
    const rt_net_tensor *t = &e->n->tensor[0];
    const int count = cJSON_GetArraySize(list);
    int64_t dim[3] = {count, 1, 1};
    float *v = calloc((size_t)count + 1, sizeof *v);
    for (int i = 0; i < count && v; i++) v[i] = (float)cJSON_GetNumberValue(cJSON_GetArrayItem(list, i));
    if (v) rt_onnx_const(e->o, name, RT_ONNX_F32, is_flat(t) ? 1 : e->sides + 1, dim, v);
    free(v);
    return name;
}

/* Whether every number of the list is v. */
static int all_are(const cJSON *list, double v)
{
    const cJSON *i;
    cJSON_ArrayForEach(i, list) if (cJSON_GetNumberValue(i) != v) return 0;
    return 1;
}

static rt_status put_input(qdq *e)
{
    const rt_net_tensor *t = &e->n->tensor[0];
    const cJSON *norm = cJSON_GetObjectItemCaseSensitive(rt_program_about(e->p), "normalization"),
                *mul = cJSON_GetObjectItemCaseSensitive(norm, "mul"),
                *add = cJSON_GetObjectItemCaseSensitive(norm, "add");
    int64_t dim[4];
    int rank = shape_of(e, t, is_flat(t), 0, dim), bytes = !e->n->floats, u8 = e->spec->input == RT_ONNX_INPUT_U8 ||
               (e->spec->input == RT_ONNX_INPUT_AUTO && bytes);
    if (u8 && !bytes)
        return rt_fail(RT_USAGE,
                       "the program takes floats, not bytes: quantize the model with bytes as its input, or export "
                       "with input=f32");
    const char *x = input_name(e);
    rt_onnx_input(e->o, x, u8 ? RT_ONNX_U8 : RT_ONNX_F32, rank, dim);
    e->value[0] = x;
    if (u8) return RT_OK;
    if (bytes) {
        const float one = 1;
        const uint8_t zero = 0;
        e->value[0] = put(e, "QuantizeLinear", "/tensor0", x, rt_onnx_scalar(e->o, "/one", RT_ONNX_F32, &one),
                          rt_onnx_scalar(e->o, "/none", RT_ONNX_U8, &zero));
        return RT_OK;
    }
    if (!all_are(add, 0)) x = put(e, "Add", "/centred", x, constant(e, "/add", add), NULL);
    if (!all_are(mul, 1)) x = put(e, "Mul", "/normalized", x, constant(e, "/mul", mul), NULL);
    quantized(e, x, 0, 0);
    return RT_OK;
}

static void put_text(qdq *e, const char *key, const cJSON *j)
{
    char *text = j ? rt_json_text(j, 0) : NULL;
    if (text) rt_onnx_meta(e->o, key, text);
    free(text);
}

/* What the operators do not tell: bits of weights that stand as int8, and scales of bytes that only tables read. */
static void put_integer(qdq *e)
{
    cJSON *j = cJSON_CreateObject(), *bits = cJSON_AddArrayToObject(j, "bits"),
          *scales = cJSON_AddArrayToObject(j, "scales"), *zeros = cJSON_AddArrayToObject(j, "zeros");
    cJSON_AddBoolToObject(j, "bytes", !e->n->floats);
    for (const rt_net_call *c = e->n->call; c < e->n->call + e->n->calls; c++)
        if (c->op == RT_NET_CONV) cJSON_AddItemToArray(bits, cJSON_CreateNumber(c->bits));
    for (const rt_net_tensor *t = e->n->tensor; t < e->n->tensor + e->n->tensors; t++) {
        cJSON_AddItemToArray(scales, cJSON_CreateNumber((double)t->q.scale));
        cJSON_AddItemToArray(zeros, cJSON_CreateNumber(t->q.zero));
    }
    put_text(e, "integer", j);
    cJSON_Delete(j);
}

static rt_status put_metadata(qdq *e)
{
    static const char *const keys[] = {"columns", "normalization", "provenance"};
    const cJSON *about = rt_program_about(e->p), *heads = cJSON_GetObjectItemCaseSensitive(about, "heads"), *h;
    const cJSON *model = cJSON_GetObjectItemCaseSensitive(about, "model");
    uint8_t *bytes;
    size_t n;
    RT_TRY(rt_program_write(e->p, &bytes, &n));
    rt_onnx_meta(e->o, "program", rt_digest_of(bytes, n).hex);
    free(bytes);
    if (cJSON_IsString(model)) rt_onnx_meta(e->o, "model", model->valuestring);
    rt_onnx_meta(e->o, "contract", rt_onnx_name(e->o, "%d", RT_INT_CONTRACT));
    put_integer(e);
    put_text(e, "heads", heads);
    if (cJSON_GetArraySize(heads) == 1)
        put_text(e, "class_names", cJSON_GetObjectItemCaseSensitive(heads->child, "names"));
    else cJSON_ArrayForEach(h, heads) {
        const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(h, "name"));
        put_text(e, rt_onnx_name(e->o, "class_names.%s", name ? name : ""),
                 cJSON_GetObjectItemCaseSensitive(h, "names"));
    }
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        put_text(e, keys[i], cJSON_GetObjectItemCaseSensitive(about, keys[i]));
    return RT_OK;
}

rt_status rt_export_onnx(const rt_program *p, const rt_onnx_spec *spec, uint8_t **bytes, size_t *n, int *packed)
{
    qdq e = {.p = p, .n = rt_program_net(p), .spec = spec};
    *bytes = NULL;
    if (spec->opset != 17 && spec->opset != 21) return rt_fail(RT_USAGE, "opset: %d is neither 17 nor 21", spec->opset);
    if (spec->packed && spec->opset < 21)
        return rt_fail(RT_USAGE, "weights two to a byte need INT4, which ONNX has from opset 21 on: give opset=21");
    e.o = rt_onnx_new(spec->opset, "retort");
    e.sides = only_lines(e.n) ? 1 : 2;
    const size_t tensors = (size_t)e.n->tensors;
    e.value = calloc(tensors, sizeof *e.value);
    e.scale = calloc(tensors, sizeof *e.scale);
    e.zero = calloc(tensors, sizeof *e.zero);
    rt_status st = e.value && e.scale && e.zero ? put_input(&e) : rt_fail(RT_RUN, "out of memory");
    for (int i = 0; i < e.n->calls && !st; i++) st = put_call(&e, i);
    for (int h = 0; h < e.n->heads && !st; h++) {
        const int64_t dim[] = {0, e.n->size[h]};
        rt_onnx_output(e.o, head_name(&e, h), RT_ONNX_F32, 2, dim);
    }
    if (!st) st = put_metadata(&e);
    if (!st) st = rt_onnx_pack(e.o, bytes, n);
    *packed = e.packed;
    rt_onnx_free(e.o);
    free(e.value);
    free(e.scale);
    free(e.zero);
    return st;
}
