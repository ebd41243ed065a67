#include "student/arch.h"

#include <stdio.h>
#include <string.h>

#include "engine/text.h"

const char *const rt_arch_families[] = {"mlp", "cnn", "resnet", "dscnn", "conv1d", NULL};
enum { MLP, CNN, RESNET, DSCNN, CONV1D };

int rt_arch_find(const rt_graph *g, const char *layer)
{
    for (int i = 0; i < g->nodes; i++)
        if (strcmp(g->node[i].name, layer) == 0) return g->node[i].out;
    return -1;
}

/* ---- families: writers of layer lists ---- */

static cJSON *layer(cJSON *list, const char *op)
{
    cJSON *l = cJSON_CreateObject();
    cJSON_AddStringToObject(l, "op", op);
    cJSON_AddItemToArray(list, l);
    return l;
}

static void named(cJSON *l, const char *name) { cJSON_AddStringToObject(l, "name", name); }

static cJSON *conv(cJSON *list, const char *op, int out, int kernel, int stride, int groups)
{
    cJSON *l = layer(list, op);
    cJSON_AddNumberToObject(l, "out", out);
    cJSON_AddNumberToObject(l, "kernel", kernel);
    if (stride != 1) cJSON_AddNumberToObject(l, "stride", stride);
    if (groups != 1) cJSON_AddNumberToObject(l, "groups", groups);
    cJSON_AddNumberToObject(l, "padding", kernel / 2);
    cJSON_AddBoolToObject(l, "bias", 0);
    return l;
}

static void conv_bn_act(cJSON *list, const char *op, int out, int kernel, int stride, int groups, const char *act)
{
    conv(list, op, out, kernel, stride, groups);
    layer(list, "batch_norm");
    layer(list, act);
}

static void head(cJSON *list, int classes, double dropout)
{
    layer(list, "global_avg_pool");
    if (dropout > 0) cJSON_AddNumberToObject(layer(list, "dropout"), "rate", dropout);
    cJSON_AddNumberToObject(layer(list, "dense"), "out", classes);
}

/* width: of the last hidden layer; each one before is twice as wide. */
static void write_mlp(cJSON *list, int width, int depth, int classes, double dropout, const char *act)
{
    layer(list, "flatten");
    for (int i = 0; i < depth; i++) {
        cJSON_AddNumberToObject(layer(list, "dense"), "out", width << (depth - 1 - i));
        layer(list, act);
        if (dropout > 0) cJSON_AddNumberToObject(layer(list, "dropout"), "rate", dropout);
    }
    cJSON_AddNumberToObject(layer(list, "dense"), "out", classes);
}

/* depth blocks of `convs` 3x3 convolutions; channels double and the image halves from block to block. */
static void write_cnn(cJSON *list, const char *op, int kernel, int width, int depth, int convs, int classes,
                      double dropout, const char *act)
{
    for (int b = 0; b < depth; b++) {
        if (b) cJSON_AddNumberToObject(layer(list, "max_pool"), "kernel", 2);
        for (int i = 0; i < convs; i++) conv_bn_act(list, op, width << b, kernel, 1, 1, act);
    }
    head(list, classes, dropout);
}

/* He et al. 2016 for small images: a 3x3 stem, then three stages of depth blocks at width, 2 width, 4 width. */
static void write_resnet(cJSON *list, int width, int depth, int classes, double dropout, const char *act)
{
    char name[32], body[48], from[32] = "stem";
    conv(list, "conv2d", width, 3, 1, 1);
    layer(list, "batch_norm");
    named(layer(list, act), "stem");
    for (int s = 0; s < 3; s++)
        for (int b = 0; b < depth; b++) {
            int stride = s && !b ? 2 : 1, out = width << s;
            char shortcut[48];
            snprintf(name, sizeof name, "stage%d_block%d", s + 1, b + 1);
            snprintf(body, sizeof body, "%s_body", name);
            snprintf(shortcut, sizeof shortcut, "%s", from);
            cJSON *l;
            if (stride != 1) {                              /* first: the input is still in the cache for the body */
                snprintf(shortcut, sizeof shortcut, "%s_skip", name);
                l = conv(list, "conv2d", out, 1, stride, 1);
                cJSON_AddStringToObject(l, "from", from);
                named(layer(list, "batch_norm"), shortcut);
            }
            l = conv(list, "conv2d", out, 3, stride, 1);
            cJSON_AddStringToObject(l, "from", from);
            layer(list, "batch_norm");
            layer(list, act);
            conv(list, "conv2d", out, 3, 1, 1);
            named(layer(list, "batch_norm"), body);
            l = layer(list, "add");
            cJSON *inputs = cJSON_AddArrayToObject(l, "from");
            cJSON_AddItemToArray(inputs, cJSON_CreateString(body));
            cJSON_AddItemToArray(inputs, cJSON_CreateString(shortcut));
            named(layer(list, act), name);
            snprintf(from, sizeof from, "%s", name);
        }
    head(list, classes, dropout);
}

/* Howard et al. 2017 at the size of Zhang et al. 2017 (DS-CNN): a strided stem, then depth pairs of 3x3 depthwise and
 * 1x1. */
static void write_dscnn(cJSON *list, int width, int depth, int classes, double dropout, const char *act)
{
    conv_bn_act(list, "conv2d", width, 3, 2, 1, act);
    for (int i = 0; i < depth; i++) {
        conv_bn_act(list, "conv2d", width, 3, 1, width, act);
        conv_bn_act(list, "conv2d", width, 1, 1, 1, act);
    }
    head(list, classes, dropout);
}

static void write_family(rt_cfg *c, int family, int classes)
{
    static const char *const acts[] = {"relu",       "relu6",   "leaky_relu", "gelu", "silu",
                                       "hard_swish", "sigmoid", "tanh",       NULL};
    static const int widths[] = {64, 16, 16, 64, 32}, depths[] = {2, 3, 1, 4, 3};
    int width = rt_cfg_int(c, "width", widths[family], 1, 4096);
    int depth = rt_cfg_int(c, "depth", depths[family], 1, family == RESNET || family == DSCNN ? 64 : 8);
    int convs = family == CNN || family == CONV1D ? rt_cfg_int(c, "convs", 1, 1, 8) : 1;
    double dropout = rt_cfg_number(c, "dropout", 0, 0, 0.95);
    const char *act = acts[rt_cfg_choice(c, "activation", acts, 0)];
    if (c->status) return;
    cJSON *list = cJSON_CreateArray();
    switch (family) {
    case MLP: write_mlp(list, width, depth, classes, dropout, act); break;
    case CNN: write_cnn(list, "conv2d", 3, width, depth, convs, classes, dropout, act); break;
    case RESNET: write_resnet(list, width, depth, classes, dropout, act); break;
    case DSCNN: write_dscnn(list, width, depth, classes, dropout, act); break;
    default: write_cnn(list, "conv1d", 5, width, depth, convs, classes, dropout, act); break;
    }
    cJSON_DeleteItemFromObjectCaseSensitive(c->object, "layers");
    cJSON_AddItemToObject(c->object, "layers", list);
}

/* ---- layers ---- */

/* "padding": a number, [h, w], [top, bottom, left, right], "same" (ONNX SAME_UPPER) or "valid". */
static void read_padding(rt_cfg *c, rt_attr *a, int rank2, int h, int w)
{
    cJSON *p = rt_cfg_any(c, "padding");
    if (!p) return;
    if (cJSON_IsString(p)) {
        if (strcmp(p->valuestring, "valid") == 0) return;
        if (strcmp(p->valuestring, "same")) {
            rt_cfg_fail(c, "padding", "a number, a list of 2 or 4 numbers, \"same\" or \"valid\" is expected");
            return;
        }
        int size[2] = {h, w};
        for (int i = 0; i < 2; i++) {
            int out = (size[i] + a->stride[i] - 1) / a->stride[i],
                need = (out - 1) * a->stride[i] + a->kernel[i] - size[i];
            if (need < 0) need = 0;
            a->pad[2 * i] = need / 2;
            a->pad[2 * i + 1] = need - need / 2;
        }
        return;
    }
    int v[4], n = rt_cfg_ints(c, "padding", v, 4, 0, 1024);
    if (n == 1 && !rank2) v[1] = v[0];
    if (n == 1 && rank2) { a->pad[2] = a->pad[3] = v[0]; return; }
    if (n == 1 || (n == 2 && !rank2)) { a->pad[0] = a->pad[1] = v[0]; a->pad[2] = a->pad[3] = v[1]; }
    else if (n == 2) { a->pad[2] = v[0]; a->pad[3] = v[1]; }
    else if (n == 4) memcpy(a->pad, v, sizeof v);
    else if (n) rt_cfg_fail(c, "padding", "1, 2 or 4 numbers are expected");
}

static void read_window(rt_cfg *c, rt_attr *a, const rt_shape *in, int kernel_required)
{
    int h, w, ch, rank2 = in->rank == 2;
    rt_shape_hwc(in, &h, &w, &ch);
    int n = rt_cfg_ints(c, "kernel", a->kernel, 2, 1, 1024);
    if (!n && kernel_required) rt_cfg_fail(c, "kernel", "a kernel size is required here");
    if (n == 1) a->kernel[1] = a->kernel[0];
    if (rank2) a->kernel[0] = 1;
    a->stride[0] = a->stride[1] = 1;
    n = rt_cfg_ints(c, "stride", a->stride, 2, 1, 1024);
    if (n == 1) a->stride[1] = a->stride[0];
    if (rank2) a->stride[0] = 1;
    read_padding(c, a, rank2, h, w);
}

static int activation_by_name(const char *name)
{
    for (int i = RT_ACT_RELU; i < RT_ACT_COUNT; i++)
        if (strcmp(rt_act_name((rt_act)i), name) == 0) return i;
    return 0;
}

static rt_op_id read_op(rt_cfg *c, rt_attr *a)
{
    const char *op = rt_cfg_string(c, "op", NULL);
    if (c->status) return RT_OP_FLATTEN;
    int act = activation_by_name(op), id = rt_op_by_name(op);
    if (act) {
        a->act = (rt_act)act;
        return RT_OP_ACTIVATION;
    }
    if (id > RT_OP_INPUT && id != RT_OP_ACTIVATION) return (rt_op_id)id;
    const char *names[RT_OP_COUNT + RT_ACT_COUNT];
    int n = 0;
    for (int i = 1; i < RT_OP_COUNT; i++) if (i != RT_OP_ACTIVATION) names[n++] = rt_ops[i]->name;
    for (int i = 1; i < RT_ACT_COUNT; i++) names[n++] = rt_act_name((rt_act)i);
    char text[600];
    const char *near = rt_nearest(op, names, n);
    int k = snprintf(text, sizeof text, "unknown layer '%.40s'", op);
    if (near) snprintf(text + k, sizeof text - (size_t)k, "; did you mean '%s'?", near);
    else {
        k += snprintf(text + k, sizeof text - (size_t)k, "; known:");
        for (int i = 0; i < n && k < 560; i++) k += snprintf(text + k, sizeof text - (size_t)k, " %s", names[i]);
    }
    rt_cfg_fail(c, "op", text);
    return RT_OP_FLATTEN;
}

static int read_inputs(rt_cfg *c, const rt_graph *g, int previous, int *in)
{
    cJSON *from = rt_cfg_any(c, "from");
    if (!from) {
        in[0] = previous;
        return 1;
    }
    int n = 0;
    for (const cJSON *e = cJSON_IsArray(from) ? from->child : from; e; e = cJSON_IsArray(from) ? e->next : NULL) {
        int t = cJSON_IsString(e) ? rt_arch_find(g, e->valuestring) : -1;
        if (t < 0 || n == RT_MAX_INPUTS) {
            char text[160];
            snprintf(text, sizeof text,
                     t < 0 ? "no layer before this one is named '%.64s'" : "more inputs than the %s allows",
                     cJSON_IsString(e) ? e->valuestring : "?");
            rt_cfg_fail(c, "from", text);
            return 0;
        }
        in[n++] = t;
    }
    return n;
}

static rt_status add_layer(rt_graph *g, cJSON *object, const char *path, int index)
{
    char at[200], fallback[48];
    snprintf(at, sizeof at, "%s.layers[%d]", path, index);
    rt_cfg c = rt_cfg_begin(object, at);
    rt_attr a = {.groups = 1, .bias = 1, .slope = 0.01f, .eps = 1e-5f, .momentum = 0.1f};
    rt_op_id op = read_op(&c, &a);
    int in[RT_MAX_INPUTS], inputs = read_inputs(&c, g, g->output, in), out;
    if (c.status) return c.status;
    const rt_shape *shape = &g->tensor[in[0]].shape;
    switch (op) {
    case RT_OP_DENSE:
        a.out = rt_cfg_int(&c, "out", 0, 1, 1 << 20);
        a.bias = rt_cfg_bool(&c, "bias", 1);
        break;
    case RT_OP_CONV2D:
    case RT_OP_CONV1D:
        a.out = rt_cfg_int(&c, "out", 0, 1, 1 << 16);
        read_window(&c, &a, shape, 1);
        a.groups = rt_cfg_int(&c, "groups", 1, 1, 1 << 16);
        a.bias = rt_cfg_bool(&c, "bias", 1);
        break;
    case RT_OP_MAX_POOL:
    case RT_OP_AVG_POOL: {
        read_window(&c, &a, shape, 1);
        if (!rt_cfg_has(&c, "stride")) {
            a.stride[0] = a.kernel[0];
            a.stride[1] = a.kernel[1];
        }
        break;
    }
    case RT_OP_BATCH_NORM:
        a.momentum = (float)rt_cfg_number(&c, "momentum", 0.1, 0, 1);
        a.eps = (float)rt_cfg_number(&c, "eps", 1e-5, 1e-12, 1);
        break;
    case RT_OP_LAYER_NORM: a.eps = (float)rt_cfg_number(&c, "eps", 1e-5, 1e-12, 1); break;
    case RT_OP_ACTIVATION: if (a.act == RT_ACT_LEAKY) a.slope = (float)rt_cfg_number(&c, "slope", 0.01, 0, 1); break;
    case RT_OP_DROPOUT: a.rate = (float)rt_cfg_number(&c, "rate", 0.5, 0, 0.999); break;
    case RT_OP_RESHAPE:
        a.shape.rank = rt_cfg_ints(&c, "shape", a.shape.dim, RT_MAX_RANK, 1, 1 << 24);
        if (!a.shape.rank) rt_cfg_fail(&c, "shape", "a list of dimensions is required here");
        break;
    default: break;
    }
    snprintf(fallback, sizeof fallback, "%s%d", a.act ? rt_act_name(a.act) : rt_ops[op]->name, index + 1);
    const char *name = rt_cfg_string(&c, "name", fallback);
    RT_TRY(rt_cfg_end(&c));
    if (strpbrk(name, "/.") || !*name || !rt_is_utf8(name))
        return rt_fail(RT_USAGE, "%s.name: '%s' must not be empty or contain '/', '.' or what is no valid UTF-8", at,
                       name);
    rt_status st = rt_graph_add(g, op, name, in, inputs, &a, &out);
    return st ? rt_fail_in(st, "%s", at) : RT_OK;
}

rt_status rt_arch_build(rt_graph **result, cJSON *arch, const char *path)
{
    rt_cfg c = rt_cfg_begin(arch, path);
    rt_attr a = {.act = RT_ACT_NONE};
    *result = NULL;
    a.shape.rank = rt_cfg_ints(&c, "input", a.shape.dim, 3, 1, 1 << 24);
    if (!a.shape.rank) rt_cfg_fail(&c, "input", "the input's shape is required here, such as [28, 28, 1]");
    int classes = rt_cfg_int(&c, "classes", 0, 1, 1 << 20);
    if (rt_cfg_has(&c, "family")) write_family(&c, rt_cfg_choice(&c, "family", rt_arch_families, -1), classes);
    cJSON *layers = rt_cfg_array(&c, "layers");
    if (!layers) rt_cfg_fail(&c, "layers", "a list of layers, or a \"family\", is required here");
    RT_TRY(rt_cfg_end(&c));
    rt_graph *g = rt_graph_new();
    if (!g) return RT_RUN;
    int out, i = 0;
    rt_status st = rt_graph_add(g, RT_OP_INPUT, "input", NULL, 0, &a, &out);
    for (cJSON *l = layers->child; l && !st; l = l->next) st = add_layer(g, l, path, i++);
    char text[64];
    if (!st && (g->tensor[g->output].shape.rank != 1 || g->tensor[g->output].shape.dim[0] != classes))
        st = rt_fail(RT_USAGE, "%s: the last layer gives %s, but there are %d classes", path,
                     rt_shape_text(&g->tensor[g->output].shape, text), classes);
    if (st) {
        rt_graph_free(g);
        return st;
    }
    *result = g;
    return RT_OK;
}
