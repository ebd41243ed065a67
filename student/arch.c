#include "student/arch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/text.h"
#include "student/onnx/onnx_call.h"

const char *const rt_arch_families[] = {"mlp", "cnn", "resnet", "dscnn", "conv1d", NULL};
enum { MLP, CNN, RESNET, DSCNN, CONV1D };

int rt_arch_find(const rt_graph *g, const char *layer)
{
    for (int i = 0; i < g->nodes; i++)
        if (strcmp(g->node[i].name, layer) == 0) return g->node[i].out;
    return -1;
}

const char *rt_arch_layer(const rt_graph *g, int tensor)
{
    for (int i = 0; i < g->nodes; i++)
        if (g->node[i].out == tensor) return g->node[i].name;
    return "input";
}

static int reads(const cJSON *from, const char *name)
{
    if (cJSON_IsString(from)) return !strcmp(from->valuestring, name);
    for (const cJSON *e = from ? from->child : NULL; e; e = e->next)
        if (cJSON_IsString(e) && !strcmp(e->valuestring, name)) return 1;
    return 0;
}

/* From the end: each layer stands behind what it reads. */
void rt_arch_prune(cJSON *layers, const cJSON *heads)
{
    for (cJSON *l = layers->child ? layers->child->prev : NULL, *before; l; l = before) {
        const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(l, "name"));
        int read = !name;
        before = l == layers->child ? NULL : l->prev;
        for (const cJSON *h = heads->child; h && !read; h = h->next)
            read = reads(cJSON_GetObjectItemCaseSensitive(h, "layer"), name);
        for (const cJSON *k = l->next; k && !read; k = k->next)
            read = reads(cJSON_GetObjectItemCaseSensitive(k, "from"), name) ||
                   reads(cJSON_GetObjectItemCaseSensitive(k, "share"), name);
        if (!read) cJSON_Delete(cJSON_DetachItemViaPointer(layers, l));
    }
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

/* What a family ends with: a dense layer for each head, of the head's name, on a layer "trunk"; or, where there are
 * only classes, one without a name. */
typedef struct { const rt_head *head; int heads, classes; } outputs;

static void answer(cJSON *list, const outputs *o)
{
    if (o->heads > 1) named(cJSON_GetArrayItem(list, cJSON_GetArraySize(list) - 1), "trunk");
    for (int i = 0; i < o->heads; i++) {
        cJSON *l = layer(list, "dense");
        cJSON_AddNumberToObject(l, "out", o->head[i].size);
        named(l, o->head[i].name);
        if (i) cJSON_AddStringToObject(l, "from", "trunk");
    }
    if (!o->heads) cJSON_AddNumberToObject(layer(list, "dense"), "out", o->classes);
}

static void head(cJSON *list, const outputs *o, double dropout)
{
    layer(list, "global_avg_pool");
    if (dropout > 0) cJSON_AddNumberToObject(layer(list, "dropout"), "rate", dropout);
    answer(list, o);
}

/* width: of the last hidden layer; each one before is twice as wide. */
static void write_mlp(cJSON *list, int width, int depth, const outputs *o, double dropout, const char *act)
{
    layer(list, "flatten");
    for (int i = 0; i < depth; i++) {
        cJSON_AddNumberToObject(layer(list, "dense"), "out", width << (depth - 1 - i));
        layer(list, act);
        if (dropout > 0) cJSON_AddNumberToObject(layer(list, "dropout"), "rate", dropout);
    }
    answer(list, o);
}

/* depth blocks of `convs` 3x3 convolutions; channels double and the image halves from block to block. */
static void write_cnn(cJSON *list, const char *op, int kernel, int width, int depth, int convs,
                      const outputs *o, double dropout, const char *act)
{
    for (int b = 0; b < depth; b++) {
        if (b) cJSON_AddNumberToObject(layer(list, "max_pool"), "kernel", 2);
        for (int i = 0; i < convs; i++) conv_bn_act(list, op, width << b, kernel, 1, 1, act);
    }
    head(list, o, dropout);
}

/* He et al. 2016 for small images: a 3x3 stem, then three stages of depth blocks at width, 2 width, 4 width. */
static void write_resnet(cJSON *list, int width, int depth, const outputs *o, double dropout, const char *act)
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
    head(list, o, dropout);
}

/* Howard et al. 2017 at the size of Zhang et al. 2017 (DS-CNN): a strided stem, then depth pairs of 3x3 depthwise and
 * 1x1. */
static void write_dscnn(cJSON *list, int width, int depth, const outputs *o, double dropout, const char *act)
{
    conv_bn_act(list, "conv2d", width, 3, 2, 1, act);
    for (int i = 0; i < depth; i++) {
        conv_bn_act(list, "conv2d", width, 3, 1, width, act);
        conv_bn_act(list, "conv2d", width, 1, 1, 1, act);
    }
    head(list, o, dropout);
}

static void write_family(rt_cfg *c, int family, const outputs *o)
{
    static const char *const acts[] = {"relu",       "relu6",   "leaky_relu", "gelu", "silu",
                                       "hard_swish", "sigmoid", "tanh", "gelu_erf",  NULL};
    static const int widths[] = {64, 16, 16, 64, 32}, depths[] = {2, 3, 1, 4, 3};
    int width = rt_cfg_int(c, "width", widths[family], 1, 4096);
    int depth = rt_cfg_int(c, "depth", depths[family], 1, family == RESNET || family == DSCNN ? 64 : 8);
    int convs = family == CNN || family == CONV1D ? rt_cfg_int(c, "convs", 1, 1, 8) : 1;
    double dropout = rt_cfg_number(c, "dropout", 0, 0, 0.95);
    const char *act = acts[rt_cfg_choice(c, "activation", acts, 0)];
    if (c->status) return;
    cJSON *list = cJSON_CreateArray();
    switch (family) {
    case MLP: write_mlp(list, width, depth, o, dropout, act); break;
    case CNN: write_cnn(list, "conv2d", 3, width, depth, convs, o, dropout, act); break;
    case RESNET: write_resnet(list, width, depth, o, dropout, act); break;
    case DSCNN: write_dscnn(list, width, depth, o, dropout, act); break;
    default: write_cnn(list, "conv1d", 5, width, depth, convs, o, dropout, act); break;
    }
    cJSON_DeleteItemFromObjectCaseSensitive(c->object, "layers");
    cJSON_AddItemToObject(c->object, "layers", list);
}

/* ---- layers ---- */

static rt_status read_kind(rt_cfg *c, rt_layer_kind *kind)
{
    const char *names[RT_LAYER_KINDS], *op = rt_cfg_string(c, "op", NULL);
    if (c->status) return c->status;
    for (int i = 0; i < RT_LAYER_KINDS; i++) {
        *kind = rt_layer_kind_at(i);
        if (strcmp(kind->name, op) == 0) return RT_OK;
        names[i] = kind->name;
    }
    char text[600];
    const char *near = rt_nearest(op, names, RT_LAYER_KINDS);
    int k = snprintf(text, sizeof text, "unknown layer '%.40s'", op);
    if (near) snprintf(text + k, sizeof text - (size_t)k, "; did you mean '%s'?", near);
    else {
        k += snprintf(text + k, sizeof text - (size_t)k, "; known:");
        for (int i = 0; i < RT_LAYER_KINDS && k < 560; i++)
            k += snprintf(text + k, sizeof text - (size_t)k, " %s", names[i]);
    }
    rt_cfg_fail(c, "op", text);
    return c->status;
}

/* *in: a list of them, which the caller frees. */
static int read_from(rt_cfg *c, const rt_graph *g, int previous, int **in)
{
    cJSON *from = rt_cfg_any(c, "from");
    int most = cJSON_IsArray(from) ? cJSON_GetArraySize(from) : 1, n = 0;
    *in = malloc(((size_t)most + 1) * sizeof **in);
    if (!*in) rt_out_of_memory();
    if (!from) {
        if (previous < 0) return 0;                      /* a layer without input */
        if (g->inputs > 1 && rt_graph_input_of(g, previous) >= 0)
            rt_cfg_fail(c, "from", "the model has several inputs: name those that this layer takes");
        **in = previous;
        return 1;
    }
    for (const cJSON *e = cJSON_IsArray(from) ? from->child : from; e; e = cJSON_IsArray(from) ? e->next : NULL) {
        int t = cJSON_IsString(e) ? rt_arch_find(g, e->valuestring) : -1;
        if (t < 0) {
            char text[160];
            snprintf(text, sizeof text, "no layer before this one is named '%.100s'",
                     cJSON_IsString(e) ? e->valuestring : "?");
            rt_cfg_fail(c, "from", text);
            return 0;
        }
        (*in)[n++] = t;
    }
    return n;
}

static rt_status read_call(rt_graph *g, rt_cfg *c, void *attributes)
{
    rt_onnx_call *call;
    rt_status st = rt_onnx_call_read(&call, rt_cfg_any(c, "onnx"));
    if (st) return rt_fail_in(st, "%s.onnx", c->path);
    ((rt_call_attr *)attributes)->call = call;
    return rt_graph_own(g, call, rt_onnx_call_free);
}

rt_status rt_arch_layer_add(rt_graph *g, cJSON *object, const char *path, int index)
{
    char at[200], fallback[48];
    _Alignas(8) unsigned char attributes[RT_ATTR_BYTES] = {0};
    rt_layer_kind kind;
    snprintf(at, sizeof at, "%s.layers[%d]", path, index);
    rt_cfg c = rt_cfg_begin(object, at);
    RT_TRY(read_kind(&c, &kind));
    int *in, inputs = read_from(&c, g, rt_ops[kind.op]->max_inputs ? g->output : -1, &in), out;
    if (kind.schema && !c.status) rt_cfg_read(&c, kind.schema, attributes);
    if (kind.op == RT_OP_CALL && !c.status) c.status = read_call(g, &c, attributes);
    rt_layer_function(&kind, attributes);
    snprintf(fallback, sizeof fallback, "%s%d", kind.name, index + 1);
    const char *name = rt_cfg_string(&c, "name", fallback);
    const char *share = rt_cfg_any(&c, "share") ? rt_cfg_string(&c, "share", NULL) : NULL;
    rt_status st = rt_cfg_end(&c);
    if (!st && (!*name || !rt_is_utf8(name)))
        st = rt_fail(RT_USAGE, "%s.name: '%s' must not be empty or contain what is no valid UTF-8", at, name);
    if (!st) {
        st = rt_graph_add(g, kind.op, name, in, inputs, attributes, share, &out);
        if (st) st = rt_fail_in(st, "%s", at);
    }
    free(in);
    return st;
}

/* ---- heads ---- */

static rt_status read_head(rt_head *head, int *count, cJSON *object, const char *path, int index, const rt_graph *g)
{
    static const char *const tasks[] = {"classes", "multilabel", "real", NULL};
    char at[200], text[64];
    snprintf(at, sizeof at, "%s.heads[%d]", path, index);
    rt_cfg c = rt_cfg_begin(object, at);
    const char *name = rt_cfg_string(&c, "name", NULL);
    rt_task task = (rt_task)rt_cfg_choice(&c, "task", tasks, 0);
    const char *layer = rt_cfg_any(&c, "layer") ? rt_cfg_string(&c, "layer", NULL) : name;
    int size = rt_cfg_any(&c, "size") ? rt_cfg_int(&c, "size", 0, 1, RT_HEADS_WIDTH) : 0;
    const cJSON *list = rt_cfg_any(&c, "names");
    RT_TRY(rt_cfg_end(&c));
    if (list && !size) size = cJSON_GetArraySize(list);
    int tensor = !g ? -1 : rt_arch_find(g, layer);
    if (g && tensor < 0 && layer == name && !index && !object->next) tensor = g->output;   /* a single head */
    if (g && tensor < 0 && layer == name)
        return rt_fail(RT_USAGE, "%s: no layer is named '%.60s'; name the head's layer by \"layer\"", at, name);
    if (g && tensor < 0) return rt_fail(RT_USAGE, "%s.layer: the model has no layer named '%.60s'", at, layer);
    if (g) {
        const rt_shape *shape = &g->tensor[tensor].shape;
        if (shape->rank != 1)
            return rt_fail(RT_USAGE, "%s: its layer gives %s a row; a head needs one row of numbers, such as a dense "
                           "layer's", at, rt_shape_text(shape, text));
        if (size && size != shape->dim[0])
            return rt_fail(RT_USAGE, "%s: its layer gives %s, but the head has %d outputs", at,
                           rt_shape_text(shape, text), size);
        size = shape->dim[0];
    } else if (!size)
        return rt_fail(RT_USAGE, "%s.size: how many outputs the head has is required with a \"family\"", at);
    rt_status st = rt_heads_add(head, count, name, task, size);
    if (st) return rt_fail_in(st, "%s", at);
    head[*count - 1].tensor = tensor;
    rt_names names = {0};
    st = rt_names_from_json(&names, list, NULL, "names");
    if (!st && names.name && names.count != size)
        st = rt_fail(RT_USAGE, "%d names for %d outputs", names.count, size);
    if (st || !names.name) rt_names_free(&names);
    else {
        rt_names_free(&head[*count - 1].names);
        head[*count - 1].names = names;
    }
    return st ? rt_fail_in(RT_USAGE, "%s.names", at) : RT_OK;
}

/* g NULL: before there are layers, when each head must tell its size. */
static rt_status read_heads(rt_head head[RT_MAX_HEADS], int *count, cJSON *list, const char *path, const rt_graph *g)
{
    int i = 0;
    rt_status st = list->child ? RT_OK : rt_fail(RT_USAGE, "%s.heads: the list is empty", path);
    *count = 0;
    for (cJSON *j = list->child; j && !st; j = j->next) st = read_head(head, count, j, path, i++, g);
    if (!st) return RT_OK;
    rt_heads_free(head, *count);
    *count = 0;
    return st;
}

rt_status rt_arch_heads(rt_head out[RT_MAX_HEADS], int *count, const rt_graph *g, cJSON *arch, const char *path)
{
    cJSON *list = cJSON_GetObjectItemCaseSensitive(arch, "heads");
    if (list) return read_heads(out, count, list, path, g);
    *count = 0;
    RT_TRY(rt_heads_add(out, count, "y", RT_TASK_CLASSES, g->tensor[g->output].shape.dim[0]));
    out[0].tensor = g->output;
    return RT_OK;
}

/* A family's layer of a head's name comes after others, whose names are the family's. */
static rt_status check_free(const rt_graph *g, const cJSON *layer, const cJSON *heads, const char *path)
{
    const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(layer, "name"));
    int i = 0;
    for (const cJSON *h = heads ? heads->child : NULL; h && name; h = h->next, i++) {
        const char *own = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(h, "name"));
        if (own && !strcmp(own, name) && rt_arch_find(g, name) >= 0)
            return rt_fail(RT_USAGE, "%s.heads[%d].name: the family has a layer '%.60s' of its own; give the head "
                           "another name", path, i, name);
    }
    return RT_OK;
}

/* ---- inputs ---- */

static const char whats_shape[] = "the input's shape is required here, such as [28, 28, 1]";

/* A node for each. */
static rt_status add_inputs(rt_graph *g, cJSON *list, const rt_shape_attr *single, const char *path)
{
    static const char *const types[] = {"f32", "i32", NULL};
    char at[200];
    int i = 0, out;
    rt_status st = RT_OK;
    if (!list) return rt_graph_add(g, RT_OP_INPUT, "input", NULL, 0, single, NULL, &out);
    for (cJSON *j = list->child; j && !st; j = j->next, i++) {
        rt_shape_attr a = {.ids = 0};
        snprintf(at, sizeof at, "%s.inputs[%d]", path, i);
        rt_cfg c = rt_cfg_begin(j, at);
        const char *name = rt_cfg_string(&c, "name", NULL);
        a.shape.rank = rt_cfg_ints(&c, "shape", a.shape.dim, RT_MAX_RANK, 1, 1 << 24);
        if (!a.shape.rank) rt_cfg_fail(&c, "shape", whats_shape);
        a.ids = rt_cfg_has(&c, "type") && rt_cfg_choice(&c, "type", types, 0);
        RT_TRY(rt_cfg_end(&c));
        if (!*name || !rt_is_utf8(name))
            return rt_fail(RT_USAGE, "%s.name: '%s' must not be empty or contain what is no valid UTF-8", at, name);
        st = rt_graph_add(g, RT_OP_INPUT, name, NULL, 0, &a, NULL, &out);
        if (st) st = rt_fail_in(st, "%s", at);
    }
    return st;
}

rt_status rt_arch_inputs(rt_graph *g, cJSON *arch, const char *path)
{
    rt_shape_attr a = {.ids = 0};
    rt_cfg c = rt_cfg_begin(arch, path);
    cJSON *inputs = rt_cfg_any(&c, "inputs") ? rt_cfg_array(&c, "inputs") : NULL;
    if (!inputs) a.shape.rank = rt_cfg_ints(&c, "input", a.shape.dim, RT_MAX_RANK, 1, 1 << 24);
    RT_TRY(c.status);
    return add_inputs(g, inputs, &a, path);
}

/* ---- the whole ---- */

/* The last layer answers, or the heads' layers do. */
static rt_status check_answer(const rt_graph *g, cJSON *arch, int classes, const char *path)
{
    char text[64];
    rt_head head[RT_MAX_HEADS];
    int count;
    const rt_shape *shape = &g->tensor[g->output].shape;
    if (classes && (shape->rank != 1 || shape->dim[0] != classes))
        return rt_fail(RT_USAGE, "%s: the last layer gives %s, but there are %d classes", path,
                       rt_shape_text(shape, text), classes);
    RT_TRY(rt_arch_heads(head, &count, g, arch, path));
    rt_status st = RT_OK;
    for (int h = 0; h < count && !st; h++)
        if (g->tensor[head[h].tensor].type == RT_I32)
            st = rt_fail(RT_USAGE, "%s: head '%s' would answer by ids, not by numbers", path, head[h].name);
    rt_heads_free(head, count);
    return st;
}

rt_status rt_arch_build(rt_graph **result, cJSON *arch, const char *path)
{
    rt_cfg c = rt_cfg_begin(arch, path);
    rt_shape_attr a = {.ids = 0};
    rt_head head[RT_MAX_HEADS];
    outputs o = {.head = head};
    *result = NULL;
    cJSON *inputs = rt_cfg_any(&c, "inputs") ? rt_cfg_array(&c, "inputs") : NULL;
    if (inputs) rt_cfg_refuse(&c, "input", "is short for one input, and \"inputs\" are given; leave it out");
    else a.shape.rank = rt_cfg_ints(&c, "input", a.shape.dim, RT_MAX_RANK, 1, 1 << 24);
    if (inputs ? !inputs->child : !a.shape.rank) rt_cfg_fail(&c, inputs ? "inputs" : "input", whats_shape);
    cJSON *heads = rt_cfg_any(&c, "heads") ? rt_cfg_array(&c, "heads") : NULL;
    if (heads) rt_cfg_refuse(&c, "classes", "is short for one head of classes, and \"heads\" are given; leave it out");
    else o.classes = rt_cfg_int(&c, "classes", 0, 1, 1 << 20);
    if (rt_cfg_has(&c, "family") && !c.status) {
        int family = rt_cfg_choice(&c, "family", rt_arch_families, -1);
        if (cJSON_GetArraySize(inputs) > 1) rt_cfg_fail(&c, "family", "has one input; give \"layers\" for several");
        if (heads && !c.status) RT_TRY(read_heads(head, &o.heads, heads, path, NULL));
        write_family(&c, family, &o);
        rt_heads_free(head, o.heads);
    }
    if (rt_cfg_has(&c, "shorter")) rt_cfg_bool(&c, "shorter", 0);
    cJSON *layers = rt_cfg_array(&c, "layers");
    if (!layers) rt_cfg_fail(&c, "layers", "a list of layers, or a \"family\", is required here");
    RT_TRY(rt_cfg_end(&c));
    rt_graph *g = rt_graph_new();
    if (!g) return RT_RUN;
    int i = 0;
    rt_status st = add_inputs(g, inputs, &a, path);
    for (cJSON *l = layers->child; l && !st; l = l->next) {
        if (rt_cfg_has(&c, "family")) st = check_free(g, l, heads, path);
        if (!st) st = rt_arch_layer_add(g, l, path, i++);
    }
    if (!st) st = check_answer(g, arch, o.classes, path);
    if (st) {
        rt_graph_free(g);
        return st;
    }
    rt_graph_seal(g);
    for (i = 0; i < g->inputs && g->inputs > 1; i++) {
        const rt_tensor *t = &g->tensor[g->input[i]];
        if (t->consumers) continue;
        st = rt_fail(RT_USAGE, "%s.inputs[%d]: no layer takes '%.60s'", path, i, g->node[t->producer].name);
        rt_graph_free(g);
        return st;
    }
    *result = g;
    return RT_OK;
}
