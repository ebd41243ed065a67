/* student/shorten.c - an architecture of rows of another length: the same layers, and every number among their
 * attributes that is the length's becomes another. Which ones those are is told by the shapes that come in: a layer
 * that reshapes keeps the count of its numbers, one that spreads has its input's length, an operand that of what it is
 * added to. */
#include <math.h>
#include <string.h>

#include "student/arch.h"
#include "student/lengths.h"

enum { MOST = 8 /* dimensions in a list */ };

typedef struct {
    const rt_graph *was;               /* of the architecture as it was */
    rt_graph *now;                     /* as far as it is built */
    int from, to;
} shortening;

/* The shapes of what a layer reads, before and now. */
static int shapes_of(const shortening *s, const cJSON *from, rt_shape *was, rt_shape *now)
{
    const char *name = cJSON_GetStringValue(from);
    int a = name ? rt_arch_find(s->was, name) : -1, b = name ? rt_arch_find(s->now, name) : -1;
    if (a < 0 || b < 0) return 0;
    *was = s->was->tensor[a].shape;
    *now = s->now->tensor[b].shape;
    return 1;
}

static int read_list(const cJSON *list, int dim[MOST])
{
    int n = cJSON_GetArraySize(list);
    if (!cJSON_IsArray(list) || n > MOST) return -1;
    for (int i = 0; i < n; i++) dim[i] = cJSON_GetArrayItem(list, i)->valueint;
    return n;
}

static void write_list(cJSON *list, const int *dim, int n)
{
    for (int i = 0; i < n; i++) cJSON_SetNumberValue(cJSON_GetArrayItem(list, i), dim[i]);
}

/* Those that are the length, or a multiple of it (heads by length), as many as keep the count; all of them before some,
 * the first ones before others. */
static int reshape(const shortening *s, cJSON *list, const rt_shape *now)
{
    int dim[MOST], trial[MOST], at[MOST], lengths = 0, n = read_list(list, dim);
    if (n < 0) return 0;
    for (int i = 0; i < n; i++) if (dim[i] % s->from == 0) at[lengths++] = i;
    for (int mask = (1 << lengths) - 1; mask >= 0; mask--) {
        double count = 1;
        memcpy(trial, dim, sizeof trial);
        for (int k = 0; k < lengths; k++)
            if (mask >> (lengths - 1 - k) & 1) trial[at[k]] = dim[at[k]] / s->from * s->to;
        for (int i = 0; i < n; i++) count *= trial[i];
        if (count != (double)rt_shape_count(now)) continue;
        write_list(list, trial, n);
        return 1;
    }
    return 0;
}

/* Dimensions that stand beside those of the input, from the last on: the length's where the input's became shorter, or
 * has one element there, or none. */
static int beside(const shortening *s, cJSON *list, const rt_shape *was, const rt_shape *now)
{
    int dim[MOST], n = read_list(list, dim);
    if (n < 0) return 0;
    for (int i = 0; i < n; i++) {
        int k = was->rank - n + i, before = k >= 0 ? was->dim[k] : 1, after = k >= 0 ? now->dim[k] : 1;
        if (before != after && dim[i] == before) dim[i] = after;
        else if (before == 1 && dim[i] == s->from) dim[i] = s->to;
    }
    write_list(list, dim, n);
    return 1;
}

/* What a node computed by its definition expects: the input's dimensions, with some of one element between. */
static int like_input(cJSON *list, const rt_shape *was, const rt_shape *now)
{
    int dim[MOST], n = read_list(list, dim), k = 0;
    for (int i = 0; i < n; i++) {
        while (k < was->rank && was->dim[k] == 1) k++;
        if (dim[i] == 1) continue;
        if (k == was->rank || dim[i] != was->dim[k]) return 0;
        dim[i] = now->dim[k++];
    }
    while (k < was->rank && was->dim[k] == 1) k++;
    if (n < 0 || k < was->rank) return 0;
    write_list(list, dim, n);
    return 1;
}

static int call(const shortening *s, cJSON *layer)
{
    const cJSON *from = cJSON_GetObjectItemCaseSensitive(layer, "from");
    cJSON *inputs = cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(layer, "onnx"), "inputs");
    int read = 0;
    for (cJSON *in = inputs ? inputs->child : NULL; in; in = in->next) {
        rt_shape was, now;
        cJSON *shape = cJSON_GetObjectItemCaseSensitive(in, "shape");
        if (!cJSON_IsObject(in) || !shape || cJSON_HasObjectItem(in, "data") || cJSON_HasObjectItem(in, "texts"))
            continue;
        const cJSON *name = cJSON_IsArray(from) ? cJSON_GetArrayItem(from, read) : read ? NULL : from;
        read++;
        if (!shapes_of(s, name, &was, &now) || !like_input(shape, &was, &now)) return 0;
    }
    return 1;
}

static int shorten_layer(const shortening *s, cJSON *layer)
{
    const char *op = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(layer, "op"));
    const cJSON *from = cJSON_GetObjectItemCaseSensitive(layer, "from");
    cJSON *shape = cJSON_GetObjectItemCaseSensitive(layer, "shape"),
          *operand = cJSON_GetObjectItemCaseSensitive(layer, "operand");
    rt_shape was, now;
    if (!op || !from)
        return op && !strcmp(op, "constant") ? beside(s, shape, &(rt_shape){.rank = 0}, &(rt_shape){.rank = 0}) : 0;
    if (!strcmp(op, "call")) return call(s, layer);
    if (!shape && !operand) return 1;
    if (!shapes_of(s, cJSON_IsArray(from) ? from->child : from, &was, &now)) return 0;
    if (operand) return beside(s, operand, &was, &now);
    return strcmp(op, "reshape") ? beside(s, shape, &was, &now) : reshape(s, shape, &now);
}

static rt_status shorten(shortening *s, cJSON *arch)
{
    cJSON *one = cJSON_GetObjectItemCaseSensitive(arch, "input"),
          *inputs = cJSON_GetObjectItemCaseSensitive(arch, "inputs"),
          *layers = cJSON_GetObjectItemCaseSensitive(arch, "layers");
    int i = 0;
    if (one) write_list(one, &s->to, 1);
    for (cJSON *in = inputs ? inputs->child : NULL; in; in = in->next)
        write_list(cJSON_GetObjectItemCaseSensitive(in, "shape"), &s->to, 1);
    RT_TRY(rt_arch_inputs(s->now, arch, "model"));
    for (cJSON *l = layers->child; l; l = l->next, i++) {
        const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(l, "name"));
        rt_status st = shorten_layer(s, l) ? rt_arch_layer_add(s->now, l, "model", i)
                                           : rt_fail(RT_INPUT, "its shapes cannot be told for another length");
        if (st) return rt_fail_in(RT_INPUT, "layer '%s'", name ? name : "?");
    }
    return RT_OK;
}

rt_status rt_arch_shorten(cJSON **out, const cJSON *arch, const rt_graph *g, int from, int to)
{
    shortening s = {.was = g, .now = rt_graph_new(), .from = from, .to = to};
    *out = cJSON_Duplicate(arch, 1);
    rt_status st = s.now && *out ? shorten(&s, *out) : rt_fail(RT_RUN, "out of memory");
    rt_graph_free(s.now);
    if (st) {
        cJSON_Delete(*out);
        *out = NULL;
    }
    return st;
}
