/* student/onnx/onnx_graph.c - GraphProto as a graph of numbered values. A function that the model brings along is put
 * in the place of each call: names inside it are its own, attributes that it refers to are those of the call. A body
 * that reads a value of a graph around it gets a value of its own for it. */
#include <stdio.h>
#include <string.h>

#include "engine/clock.h"
#include "onnx.pb-c.h"
#include "student/onnx/onnx_parts.h"

enum { MAX_NODES = 1 << 20, DEPTH = 32 };

typedef struct {
    rt_region *region;
    rt_onnx_data *data;
    const Onnx__ModelProto *model;
    rt_onnx_names functions;                               /* by domain and name; RT_ONNX_ABSENT: there twice */
    int nodes, depth;                                      /* of all graphs; of bodies and calls in each other */
} reader;

typedef struct {                                           /* a graph that is being built */
    reader *r;
    rt_eval_graph *g;
    int value_room, node_room, capture_room;
} builder;

typedef struct scope {                                     /* where names mean values */
    builder *b;
    rt_onnx_names names;
    const struct scope *around;                            /* of the graph around; NULL: a function's, or the model's */
    const char *prefix;                                    /* of names inside a function's call; "" */
    const rt_eval_attr *attr; int attrs;                   /* of the call */
    const Onnx__FunctionProto *function;                   /* NULL: none */
} scope;

static void *more(rt_region *r, void *old, int *room, int used, size_t size)
{
    if (used < *room) return old;
    int n = *room ? *room * 2 : 16;
    void *p = rt_region_list(r, (size_t)n, size);
    if (p && used) memcpy(p, old, (size_t)used * size);
    if (p) *room = n;
    return p;
}

static rt_status new_value(builder *b, const char *name, int *value)
{
    rt_eval_graph *g = b->g;
    int room = b->value_room;
    const char **names = more(b->r->region, g->value, &b->value_room, g->values, sizeof *names);
    rt_array **known = more(b->r->region, g->known, &room, g->values, sizeof *known);
    if (!names || !known) return RT_INPUT;
    g->value = names;
    g->known = known;
    g->value[g->values] = name;
    *value = g->values++;
    return RT_OK;
}

static rt_status define(scope *s, const char *name, int *value)
{
    char *full = (char *)(uintptr_t)name;
    if (*s->prefix) {
        size_t n = strlen(s->prefix) + strlen(name) + 1;
        if (!(full = rt_region_take(s->b->r->region, n + 1))) return RT_INPUT;
        snprintf(full, n + 1, "%s/%s", s->prefix, name);
    }
    RT_TRY(new_value(s->b, full, value));
    return rt_onnx_names_put(&s->names, name, *value);
}

/* The value that a name means here; RT_ONNX_NO_NAME: none. */
static rt_status resolve(scope *s, const char *name, int *value)
{
    *value = rt_onnx_names_find(&s->names, name);
    if (*value != RT_ONNX_NO_NAME || !s->around) return RT_OK;
    int outer;
    RT_TRY(resolve((scope *)(uintptr_t)s->around, name, &outer));
    if (outer == RT_ONNX_NO_NAME || outer == RT_ONNX_ABSENT) {
        *value = outer;
        return RT_OK;
    }
    rt_eval_graph *g = s->b->g;
    rt_region *r = s->b->r->region;
    RT_TRY(new_value(s->b, name, value));
    int room = s->b->capture_room;
    int *in = more(r, g->capture, &s->b->capture_room, g->captures, sizeof *in);
    int *from = more(r, g->captured_from, &room, g->captures, sizeof *from);
    if (!in || !from) return RT_INPUT;
    g->capture = in;
    g->captured_from = from;
    in[g->captures] = *value;
    from[g->captures++] = outer;
    return rt_onnx_names_put(&s->names, name, *value);
}

/* ---- attributes ---- */

static rt_status read_graph(rt_eval_graph **, reader *, const Onnx__GraphProto *, const scope *around);

static rt_eval_attr_kind guess(const Onnx__AttributeProto *p, int *known)    /* files of before IR version 2 */
{
    *known = 1;
    if (p->has_f) return RT_EA_FLOAT;
    if (p->has_i) return RT_EA_INT;
    if (p->has_s) return RT_EA_STRING;
    if (p->t) return RT_EA_TENSOR;
    if (p->g) return RT_EA_GRAPH;
    if (p->n_floats) return RT_EA_FLOATS;
    if (p->n_ints) return RT_EA_INTS;
    if (p->n_strings) return RT_EA_STRINGS;
    *known = 0;
    return RT_EA_INTS;
}

static rt_eval_attr_kind kind_of(const Onnx__AttributeProto *p, int *known)
{
    static const int of[] = {-1, RT_EA_FLOAT, RT_EA_INT, RT_EA_STRING, RT_EA_TENSOR, RT_EA_GRAPH, RT_EA_FLOATS,
                             RT_EA_INTS, RT_EA_STRINGS};
    if (!p->has_type || !p->type) return guess(p, known);
    *known = p->type > 0 && p->type < (int)(sizeof of / sizeof of[0]);
    return *known ? (rt_eval_attr_kind)of[p->type] : RT_EA_INT;
}

static rt_status read_attribute(rt_eval_attr *a, scope *s, const Onnx__AttributeProto *p)
{
    rt_region *r = s->b->r->region;
    int known;
    a->kind = kind_of(p, &known);
    a->n = 1;
    if (!known)
        return rt_fail(RT_INPUT, "a kind of attribute that is not supported (%d)", p->has_type ? (int)p->type : 0);
    size_t n = a->kind == RT_EA_FLOATS ? p->n_floats : a->kind == RT_EA_INTS ? p->n_ints
             : a->kind == RT_EA_STRINGS ? p->n_strings : 1;
    if (n > INT32_MAX) return rt_fail(RT_INPUT, "has %zu values", n);
    a->n = (int)n;
    switch (a->kind) {
    case RT_EA_FLOAT: case RT_EA_FLOATS: {
        float *f = rt_region_list(r, n, sizeof *f);
        if (!f) return RT_INPUT;
        if (a->kind == RT_EA_FLOAT) f[0] = p->f;
        else if (n) memcpy(f, p->floats, n * sizeof *f);
        a->f = f;
        return RT_OK;
    }
    case RT_EA_INT: case RT_EA_INTS: {
        int64_t *i = rt_region_list(r, n, sizeof *i);
        if (!i) return RT_INPUT;
        if (a->kind == RT_EA_INT) i[0] = p->i;
        else if (n) memcpy(i, p->ints, n * sizeof *i);
        a->i = i;
        return RT_OK;
    }
    case RT_EA_STRING: case RT_EA_STRINGS: {
        const char **t = rt_region_list(r, n, sizeof *t);
        for (size_t k = 0; t && k < n; k++) {
            const ProtobufCBinaryData *b = a->kind == RT_EA_STRING ? &p->s : &p->strings[k];
            if (!(t[k] = rt_region_text(r, (const char *)b->data, b->len))) return RT_INPUT;
        }
        a->s = t;
        return t ? RT_OK : RT_INPUT;
    }
    case RT_EA_TENSOR: return p->t ? rt_onnx_array(&a->t, p->t, s->b->r->data) : rt_fail(RT_INPUT, "holds no tensor");
    case RT_EA_GRAPH: return p->g ? read_graph(&a->g, s->b->r, p->g, s) : rt_fail(RT_INPUT, "holds no graph");
    }
    return RT_OK;
}

/* Default values of a function's attributes are a field that IR version 9 brought: 11, attribute_proto. */
static rt_status function_default(const Onnx__FunctionProto *f, const char *name, scope *s, rt_eval_attr *a, int *found)
{
    *found = 0;
    for (unsigned i = 0; i < f->base.n_unknown_fields && !*found; i++) {
        const ProtobufCMessageUnknownField *u = &f->base.unknown_fields[i];
        uint64_t length = 0;
        size_t at = 0;
        if (u->tag != 11 || u->wire_type != PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED) continue;
        for (int shift = 0; at < u->len && shift < 64; shift += 7) {
            length |= (uint64_t)(u->data[at] & 127) << shift;
            if (!(u->data[at++] & 128)) break;
        }
        if (length != u->len - at) return rt_fail(RT_INPUT, "function '%s': a default is damaged", f->name);
        Onnx__AttributeProto *p = onnx__attribute_proto__unpack(NULL, length, u->data + at);
        if (!p) return rt_fail(RT_INPUT, "function '%s': a default is damaged", f->name);
        rt_status st = RT_OK;
        if (p->name && !strcmp(p->name, name)) {
            *found = 1;
            st = read_attribute(a, s, p);
        }
        onnx__attribute_proto__free_unpacked(p, NULL);
        RT_TRY(st);
    }
    return RT_OK;
}

static rt_status read_attributes(rt_eval_attr **out, int *count, scope *s, const Onnx__NodeProto *p)
{
    rt_eval_attr *list = *out = rt_region_list(s->b->r->region, p->n_attribute, sizeof *list);
    *count = 0;
    if (!list) return RT_INPUT;
    if (p->n_attribute > 64) return rt_fail(RT_INPUT, "has %zu attributes", p->n_attribute);
    for (size_t i = 0; i < p->n_attribute; i++) {
        const Onnx__AttributeProto *q = p->attribute[i];
        rt_eval_attr *a = &list[*count];
        if (!q->name || !*q->name) return rt_fail(RT_INPUT, "an attribute has no name");
        for (int k = 0; k < *count; k++)
            if (!strcmp(list[k].name, q->name)) return rt_fail(RT_INPUT, "has attribute '%s' twice", q->name);
        int given = 1;
        rt_status st = RT_OK;
        if (q->ref_attr_name && *q->ref_attr_name) {
            given = 0;
            for (int k = 0; k < s->attrs && !given; k++)
                if (!strcmp(s->attr[k].name, q->ref_attr_name)) *a = s->attr[k], given = 1;
            if (!given && s->function) st = function_default(s->function, q->ref_attr_name, s, a, &given);
        } else st = read_attribute(a, s, q);
        if (st) return rt_fail_in(st, "attribute '%s'", q->name);
        if (!given) continue;
        a->name = rt_region_text(s->b->r->region, q->name, strlen(q->name));
        if (!a->name) return RT_INPUT;
        ++*count;
    }
    return RT_OK;
}

/* ---- nodes ---- */

static int same_domain(const char *a, const char *b)
{
    a = a ? a : "";
    b = b ? b : "";
    return !strcmp(strcmp(a, "ai.onnx") ? a : "", strcmp(b, "ai.onnx") ? b : "");
}

static int version_in(Onnx__OperatorSetIdProto *const *set, size_t n, const char *domain)
{
    for (size_t i = 0; i < n; i++)
        if (same_domain(set[i]->domain, domain))
            return set[i]->version > 0 && set[i]->version < INT32_MAX ? (int)set[i]->version : 0;
    return n ? 0 : 1;                                      /* files of before IR version 3 name none: opset 1 */
}

static int version_of(const scope *s, const char *domain)
{
    const Onnx__ModelProto *m = s->b->r->model;
    int v = s->function ? version_in(s->function->opset_import, s->function->n_opset_import, domain) : 0;
    return v ? v : version_in(m->opset_import, m->n_opset_import, domain);
}

/* What a function is found by. */
static const char *function_key(reader *r, const char *domain, const char *name)
{
    if (!domain || !strcmp(domain, "ai.onnx")) domain = "";
    size_t n = strlen(domain) + strlen(name) + 2;
    char *key = rt_region_take(r->region, n);
    if (key) snprintf(key, n, "%s\n%s", domain, name);
    return key;
}

/* As many operator sets as a file may name, and defaults of a function's attributes. */
enum { MAX_SETS = 64, MAX_DEFAULTS = 64 };

static rt_status list_functions(reader *r)
{
    r->functions.region = r->region;
    if (r->model->n_opset_import > MAX_SETS)
        return rt_fail(RT_INPUT, "names %zu operator sets, at most %d are looked at", r->model->n_opset_import,
                       MAX_SETS);
    for (size_t i = 0; i < r->model->n_functions; i++) {
        const Onnx__FunctionProto *q = r->model->functions[i];
        if (!q->name) continue;
        if (q->n_opset_import > MAX_SETS || q->base.n_unknown_fields > MAX_DEFAULTS)
            return rt_fail(RT_INPUT, "function '%s': names %zu operator sets and %u defaults, at most %d are looked at",
                           q->name, q->n_opset_import, q->base.n_unknown_fields, MAX_SETS);
        const char *key = function_key(r, q->domain, q->name);
        if (!key) return RT_INPUT;
        int twice = rt_onnx_names_find(&r->functions, key) != RT_ONNX_NO_NAME;
        RT_TRY(rt_onnx_names_put(&r->functions, key, twice ? RT_ONNX_ABSENT : (int)i));
    }
    return RT_OK;
}

static rt_status function_of(reader *r, const Onnx__NodeProto *p, const Onnx__FunctionProto **f)
{
    *f = NULL;
    if (!r->functions.used) return RT_OK;
    const char *key = function_key(r, p->domain, p->op_type);
    if (!key) return RT_INPUT;
    int i = rt_onnx_names_find(&r->functions, key);
    if (i == RT_ONNX_ABSENT)
        return rt_fail(RT_INPUT, "function '%s' is there twice; overloads are not supported", p->op_type);
    if (i != RT_ONNX_NO_NAME) *f = r->model->functions[i];
    return RT_OK;
}

/* Nodes, and calls of functions, which may make none. */
static rt_status count_node(reader *r)
{
    if (r->nodes++ >= MAX_NODES) return rt_fail(RT_INPUT, "has more than %d nodes", MAX_NODES);
    if (r->nodes % 256 || rt_thread_seconds() < r->data->end) return RT_OK;
    return rt_fail(RT_INPUT,
                   "takes more than the %.3g seconds that are allowed to read; \"seconds\" of the binding, or of "
                   "the configuration of retort import, allows more",
                   r->data->seconds);
}

static rt_status add_node(builder *b, const rt_eval_node *n)
{
    rt_eval_node *list = more(b->r->region, b->g->node, &b->node_room, b->g->nodes, sizeof *list);
    if (!list) return RT_INPUT;
    RT_TRY(count_node(b->r));
    b->g->node = list;
    list[b->g->nodes++] = *n;
    return RT_OK;
}

/* Outputs get their values before any input is looked for, so that the order of nodes does not matter. */
static rt_status define_outputs(scope *s, Onnx__NodeProto *const *node, size_t nodes)
{
    for (size_t i = 0; i < nodes; i++) {
        if (!node[i]->op_type || !*node[i]->op_type) return rt_fail(RT_INPUT, "node %zu has no operator", i);
        for (size_t k = 0; k < node[i]->n_output; k++) {
            const char *name = node[i]->output[k];
            int value = rt_onnx_names_find(&s->names, name);
            if (!*name) continue;
            if (value == RT_ONNX_NO_NAME) RT_TRY(define(s, name, &value));
            else if (!s->function || s->b->g->known[value])
                return rt_fail(RT_INPUT, "node '%s' (%s) gives '%s', which is there already",
                               node[i]->name ? node[i]->name : "", node[i]->op_type, name);
        }
    }
    return RT_OK;
}

static rt_status read_nodes(scope *, Onnx__NodeProto *const *, size_t);

static rt_status identity(builder *b, const char *name, int from, int to)
{
    int *io = rt_region_list(b->r->region, 2, sizeof *io);
    if (!io) return RT_INPUT;
    io[0] = from;
    io[1] = to;
    rt_eval_node n = {.name = name, .op = "Identity", .domain = "", .in = io, .inputs = 1, .out = io + 1, .outputs = 1,
                      .version = 13, .def = rt_eval_find("", "Identity", 13)};
    return add_node(b, &n);
}

/* The function's nodes, in the place of the call n. */
static rt_status put_function(builder *b, const rt_eval_node *n, const Onnx__FunctionProto *f)
{
    scope inside = {.b = b, .names = {.region = b->r->region}, .prefix = *n->name ? n->name : n->op, .attr = n->attr,
                    .attrs = n->attrs, .function = f};
    if (n->inputs > (int)f->n_input || n->outputs > (int)f->n_output)
        return rt_fail(RT_INPUT, "function '%s' takes %zu inputs and gives %zu outputs", f->name, f->n_input,
                       f->n_output);
    for (int i = 0; i < (int)f->n_input; i++)
        RT_TRY(rt_onnx_names_put(&inside.names, f->input[i],
                                 i < n->inputs && n->in[i] >= 0 ? n->in[i] : RT_ONNX_ABSENT));
    for (int i = 0; i < n->outputs; i++) {
        int from = rt_onnx_names_find(&inside.names, f->output[i]);
        if (n->out[i] < 0) continue;
        if (from >= 0) RT_TRY(identity(b, n->name, from, n->out[i]));
        else if (from == RT_ONNX_ABSENT)
            return rt_fail(RT_INPUT, "function '%s' gives an input that is left out", f->name);
        else RT_TRY(rt_onnx_names_put(&inside.names, f->output[i], n->out[i]));
    }
    RT_TRY(count_node(b->r));
    if (++b->r->depth > DEPTH) return rt_fail(RT_INPUT, "functions call each other more than %d deep", DEPTH);
    RT_TRY(define_outputs(&inside, f->node, f->n_node));
    RT_TRY(read_nodes(&inside, f->node, f->n_node));
    b->r->depth--;
    return RT_OK;
}

/* What ONNX Runtime has fused, as the operators that it was. */
static rt_status put_apart(scope *s, const rt_eval_node *n)
{
    rt_eval_node part[3];
    int middle[2], parts;
    for (int i = 0; i < 2; i++) RT_TRY(new_value(s->b, n->name, &middle[i]));
    RT_TRY(rt_onnx_split_fused(s->b->r->region, n, middle, version_of(s, ""), part, &parts));
    for (int i = 0; i < parts; i++) RT_TRY(add_node(s->b, &part[i]));
    return RT_OK;
}

static rt_status read_node(scope *s, const Onnx__NodeProto *p)
{
    rt_region *r = s->b->r->region;
    const char *domain = p->domain && strcmp(p->domain, "ai.onnx") ? p->domain : "";
    const Onnx__FunctionProto *f;
    rt_eval_attr *attr;
    int *in = rt_region_list(r, p->n_input, sizeof *in), *out = rt_region_list(r, p->n_output, sizeof *out);
    rt_eval_node n = {.in = in, .out = out, .inputs = (int)p->n_input, .outputs = (int)p->n_output};
    n.op = rt_region_text(r, p->op_type, strlen(p->op_type));
    n.domain = rt_region_text(r, domain, strlen(domain));
    /* nodes need no name: the first output is one */
    const char *name = p->name && *p->name ? p->name : p->n_output ? p->output[0] : "";
    n.name = rt_region_text(r, name, strlen(name));
    if (!in || !out || !n.op || !n.domain || !n.name) return RT_INPUT;
    for (int i = 0; i < n.inputs; i++) {
        if (!*p->input[i]) in[i] = -1;
        else {
            RT_TRY(resolve(s, p->input[i], &in[i]));
            if (in[i] == RT_ONNX_NO_NAME) return rt_fail(RT_INPUT, "reads '%s', which nothing gives", p->input[i]);
            if (in[i] == RT_ONNX_ABSENT) in[i] = -1;
        }
    }
    for (int i = 0; i < n.outputs; i++) out[i] = *p->output[i] ? rt_onnx_names_find(&s->names, p->output[i]) : -1;
    RT_TRY(read_attributes(&attr, &n.attrs, s, p));
    n.attr = attr;
    RT_TRY(function_of(s->b->r, p, &f));
    if (f) return put_function(s->b, &n, f);
    if (rt_onnx_is_fused(&n)) return put_apart(s, &n);
    n.version = version_of(s, domain);
    n.def = rt_eval_find(domain, n.op, n.version);
    return add_node(s->b, &n);
}

static rt_status read_nodes(scope *s, Onnx__NodeProto *const *node, size_t nodes)
{
    for (size_t i = 0; i < nodes; i++) {
        rt_status st = read_node(s, node[i]);
        if (st) return rt_fail_in(st, "node '%s' (%s)", node[i]->name && *node[i]->name ? node[i]->name
                                  : node[i]->n_output ? node[i]->output[0] : "", node[i]->op_type);
    }
    return RT_OK;
}

/* ---- graphs ---- */

static rt_status read_initializers(scope *s, const Onnx__GraphProto *p)
{
    if (p->n_sparse_initializer) return rt_fail(RT_INPUT, "sparse initializers are not supported");
    for (size_t i = 0; i < p->n_initializer; i++) {
        const Onnx__TensorProto *t = p->initializer[i];
        int value;
        if (!t->name || !*t->name) return rt_fail(RT_INPUT, "an initializer has no name");
        if (rt_onnx_names_find(&s->names, t->name) != RT_ONNX_NO_NAME)
            return rt_fail(RT_INPUT, "initializer '%s' is there twice", t->name);
        char *name = rt_region_text(s->b->r->region, t->name, strlen(t->name));
        if (!name) return RT_INPUT;
        RT_TRY(define(s, name, &value));
        RT_TRY(rt_onnx_array(&s->b->g->known[value], t, s->b->r->data));
    }
    return RT_OK;
}

static rt_status read_inputs(scope *s, const Onnx__GraphProto *p)
{
    rt_eval_graph *g = s->b->g;
    if (!(g->input = rt_region_list(s->b->r->region, p->n_input, sizeof *g->input))) return RT_INPUT;
    for (size_t i = 0; i < p->n_input; i++) {
        const char *name = p->input[i]->name;
        if (!name || !*name) return rt_fail(RT_INPUT, "input %zu has no name", i);
        int value = rt_onnx_names_find(&s->names, name);
        if (value >= 0 && g->known[value]) continue;      /* of before IR version 4: an initializer is an input, too */
        if (value >= 0) return rt_fail(RT_INPUT, "input '%s' is there twice", name);
        RT_TRY(define(s, name, &value));
        g->input[g->inputs++] = value;
    }
    return RT_OK;
}

static rt_status read_graph(rt_eval_graph **out, reader *r, const Onnx__GraphProto *p, const scope *around)
{
    rt_eval_graph *g = *out = rt_region_take(r->region, sizeof *g);
    if (!g) return RT_INPUT;
    builder b = {.r = r, .g = g};
    scope s = {.b = &b, .names = {.region = r->region}, .around = around, .prefix = ""};
    if (around) {                                          /* a body inside of a function has the call's attributes */
        g->around = around->b->g;
        s.attr = around->attr;
        s.attrs = around->attrs;
        s.function = around->function;
    }
    if (++r->depth > DEPTH) return rt_fail(RT_INPUT, "graphs are more than %d deep in each other", DEPTH);
    g->name = rt_region_text(r->region, p->name ? p->name : "", p->name ? strlen(p->name) : 0);
    RT_TRY(read_initializers(&s, p));
    RT_TRY(read_inputs(&s, p));
    RT_TRY(define_outputs(&s, p->node, p->n_node));
    RT_TRY(read_nodes(&s, p->node, p->n_node));
    if (!(g->output = rt_region_list(r->region, p->n_output, sizeof *g->output))) return RT_INPUT;
    for (size_t i = 0; i < p->n_output; i++) {
        int value;
        const char *name = p->output[i]->name ? p->output[i]->name : "";
        RT_TRY(resolve(&s, name, &value));
        if (value < 0) return rt_fail(RT_INPUT, "output '%s' is given by no node", name);
        g->output[g->outputs++] = value;
    }
    for (int v = 0; v < g->values; v++)                    /* names outlive the file's bytes */
        if (!(g->value[v] = rt_region_text(r->region, g->value[v], strlen(g->value[v])))) return RT_INPUT;
    r->depth--;
    return rt_onnx_sort(g, r->region);
}

rt_status rt_onnx_graph(rt_eval_graph **out, const Onnx__ModelProto *m, rt_onnx_data *data)
{
    reader r = {.region = data->region, .data = data, .model = m};
    if (!m->graph) return rt_fail(RT_INPUT, "has no graph");
    RT_TRY(list_functions(&r));
    return read_graph(out, &r, m->graph, NULL);
}
