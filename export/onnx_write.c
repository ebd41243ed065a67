#include "export/onnx_write.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/version.h"
#include "onnx.pb-c.h"

typedef struct block { struct block *next; max_align_t data[]; } block;

struct rt_onnx {
    block *blocks;                   /* all memory */
    int failed;
    Onnx__ModelProto model;
    Onnx__GraphProto graph;
    size_t sets, nodes, constants, inputs, outputs, metas;      /* room in the lists */
};

struct rt_onnx_node { rt_onnx *o; Onnx__NodeProto *p; size_t room, outputs; };

/* The IR version of each opset's release (github.com/onnx/onnx, docs/Versioning.md). */
static const unsigned char ir_version[] = {7, 7, 8, 8, 8, 8, 9, 9, 10, 10, 11, 12, 13, 13, 13, 14};
_Static_assert(sizeof ir_version == RT_ONNX_NEWEST - RT_ONNX_OLDEST + 1, "an IR version for each opset");

/* n bytes of zeros that live as long as the file; NULL when memory is out. */
static void *take(rt_onnx *o, size_t n)
{
    block *b = calloc(1, sizeof *b + n);
    if (!b) {
        o->failed = 1;
        return NULL;
    }
    b->next = o->blocks;
    o->blocks = b;
    return b->data;
}

static char *copy(rt_onnx *o, const char *text)
{
    char *p = take(o, strlen(text) + 1);
    if (p) strcpy(p, text);
    return p;
}

/* Room for one more in a list of pointers. */
static int grow(rt_onnx *o, void *list, size_t n, size_t *room)
{
    void **old, **more;
    if (n < *room) return 1;
    memcpy(&old, list, sizeof old);
    more = take(o, (2 * n + 8) * sizeof *more);
    if (!more) return 0;
    if (n) memcpy(more, old, n * sizeof *more);
    memcpy(list, &more, sizeof more);
    *room = 2 * n + 8;
    return 1;
}

rt_onnx *rt_onnx_new(int opset, const char *graph)
{
    rt_onnx *o = calloc(1, sizeof *o);
    if (!o) rt_out_of_memory();
    onnx__model_proto__init(&o->model);
    onnx__graph_proto__init(&o->graph);
    Onnx__OperatorSetIdProto *set = take(o, sizeof *set), **sets = take(o, sizeof *sets);
    o->model.graph = &o->graph;
    o->model.has_ir_version = 1;
    o->model.ir_version = ir_version[opset - RT_ONNX_OLDEST];
    o->model.producer_name = copy(o, "retort");
    o->model.producer_version = copy(o, rt_tool());
    o->graph.name = copy(o, graph);
    if (o->failed) return o;
    onnx__operator_set_id_proto__init(set);
    set->has_version = 1;
    set->version = opset;
    sets[0] = set;
    o->model.opset_import = sets;
    o->model.n_opset_import = o->sets = 1;
    return o;
}

void rt_onnx_free(rt_onnx *o)
{
    for (block *b = o ? o->blocks : NULL, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    free(o);
}

const char *rt_onnx_name(rt_onnx *o, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    char *p = take(o, (size_t)n + 1);
    if (!p) return "";
    va_start(args, fmt);
    vsnprintf(p, (size_t)n + 1, fmt, args);
    va_end(args);
    return p;
}

static size_t bytes_of(rt_onnx_type type, size_t count)
{
    switch (type) {
    case RT_ONNX_F32: case RT_ONNX_I32: case RT_ONNX_U32: return 4 * count;
    case RT_ONNX_I64: case RT_ONNX_U64: case RT_ONNX_F64: return 8 * count;
    case RT_ONNX_U16: case RT_ONNX_I16: case RT_ONNX_F16: case RT_ONNX_BF16: return 2 * count;
    case RT_ONNX_I4: return (count + 1) / 2;
    case RT_ONNX_U8: case RT_ONNX_I8: case RT_ONNX_BOOL: break;
    }
    return count;
}

static Onnx__TensorProto *tensor(rt_onnx *o, const char *name, rt_onnx_type type, int rank, const int64_t *dim,
                                 const void *data)
{
    Onnx__TensorProto *t = take(o, sizeof *t);
    size_t count = 1;
    for (int i = 0; i < rank; i++) count *= (size_t)dim[i];
    size_t bytes = bytes_of(type, count);
    uint8_t *raw = take(o, bytes + 1);
    int64_t *dims = take(o, ((size_t)rank + 1) * sizeof *dims);
    if (o->failed) return NULL;
    onnx__tensor_proto__init(t);
    memcpy(raw, data, bytes);
    if (rank) memcpy(dims, dim, (size_t)rank * sizeof *dims);
    t->name = copy(o, name);
    t->n_dims = (size_t)rank;
    t->dims = dims;
    t->has_data_type = 1;
    t->data_type = (int32_t)type;
    t->has_raw_data = 1;
    t->raw_data = (ProtobufCBinaryData){bytes, raw};
    return t;
}

const char *rt_onnx_const(rt_onnx *o, const char *name, rt_onnx_type type, int rank, const int64_t *dim,
                          const void *data)
{
    Onnx__TensorProto *t = tensor(o, name, type, rank, dim, data);
    if (t && grow(o, &o->graph.initializer, o->graph.n_initializer, &o->constants))
        o->graph.initializer[o->graph.n_initializer++] = t;
    return name;
}

const char *rt_onnx_scalar(rt_onnx *o, const char *name, rt_onnx_type type, const void *data)
{
    return rt_onnx_const(o, name, type, 0, NULL, data);
}

const char **rt_onnx_list(rt_onnx *o, int n) { return take(o, ((size_t)n + 1) * sizeof(const char *)); }

rt_onnx_node *rt_onnx_add(rt_onnx *o, const char *op, const char *out, const char *const *in)
{
    size_t n = 0;
    while (in[n]) n++;
    rt_onnx_node *node = take(o, sizeof *node);
    Onnx__NodeProto *p = take(o, sizeof *p);
    char **input = take(o, (n + 1) * sizeof *input), **output = take(o, sizeof *output);
    if (!node) return NULL;
    *node = (rt_onnx_node){.o = o, .p = p, .outputs = 1};
    if (o->failed || !grow(o, &o->graph.node, o->graph.n_node, &o->nodes)) return node;
    onnx__node_proto__init(p);
    for (size_t i = 0; i < n; i++) input[i] = copy(o, in[i]);
    output[0] = copy(o, out);
    p->name = copy(o, out);
    p->op_type = copy(o, op);
    p->input = input;
    p->n_input = n;
    p->output = output;
    p->n_output = 1;
    o->graph.node[o->graph.n_node++] = p;
    return node;
}

void rt_onnx_more(rt_onnx_node *n, const char *out)
{
    if (!n || n->o->failed || !grow(n->o, &n->p->output, n->p->n_output, &n->outputs)) return;
    n->p->output[n->p->n_output++] = copy(n->o, out);
    if (!*n->p->name) n->p->name = copy(n->o, out);
}

int rt_onnx_rename(rt_onnx *o, const char *from, const char *to)
{
    int given = 0;
    char *name = copy(o, to);
    for (size_t i = 0; i < o->graph.n_node && !o->failed; i++) {
        Onnx__NodeProto *p = o->graph.node[i];
        for (size_t k = 0; k < p->n_input; k++) if (!strcmp(p->input[k], from)) p->input[k] = name;
        for (size_t k = 0; k < p->n_output; k++) {
            if (strcmp(p->output[k], from)) continue;
            p->output[k] = name;
            if (!k) p->name = name;
            given = 1;
        }
    }
    return given;
}

static Onnx__AttributeProto *attribute(rt_onnx_node *n, const char *name, Onnx__AttributeProto__AttributeType type)
{
    if (!n || n->o->failed) return NULL;
    Onnx__AttributeProto *a = take(n->o, sizeof *a);
    if (!a || !grow(n->o, &n->p->attribute, n->p->n_attribute, &n->room)) return NULL;
    onnx__attribute_proto__init(a);
    a->name = copy(n->o, name);
    a->has_type = 1;
    a->type = type;
    n->p->attribute[n->p->n_attribute++] = a;
    return a;
}

void rt_onnx_int(rt_onnx_node *n, const char *name, int64_t v)
{
    Onnx__AttributeProto *a = attribute(n, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT);
    if (!a) return;
    a->has_i = 1;
    a->i = v;
}

void rt_onnx_float(rt_onnx_node *n, const char *name, float v)
{
    Onnx__AttributeProto *a = attribute(n, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT);
    if (!a) return;
    a->has_f = 1;
    a->f = v;
}

void rt_onnx_string(rt_onnx_node *n, const char *name, const char *text)
{
    Onnx__AttributeProto *a = attribute(n, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING);
    char *s = a ? copy(n->o, text) : NULL;
    if (!s) return;
    a->has_s = 1;
    a->s = (ProtobufCBinaryData){strlen(s), (uint8_t *)s};
}

void rt_onnx_ints(rt_onnx_node *n, const char *name, int count, const int64_t *v)
{
    Onnx__AttributeProto *a = attribute(n, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS);
    int64_t *list = a ? take(n->o, ((size_t)count + 1) * sizeof *list) : NULL;
    if (!list) return;
    memcpy(list, v, (size_t)count * sizeof *list);
    a->ints = list;
    a->n_ints = (size_t)count;
}

void rt_onnx_floats(rt_onnx_node *n, const char *name, int count, const float *v)
{
    Onnx__AttributeProto *a = attribute(n, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOATS);
    float *list = a ? take(n->o, ((size_t)count + 1) * sizeof *list) : NULL;
    if (!list) return;
    if (count) memcpy(list, v, (size_t)count * sizeof *list);
    a->floats = list;
    a->n_floats = (size_t)count;
}

void rt_onnx_strings(rt_onnx_node *n, const char *name, int count, const char *const *v)
{
    Onnx__AttributeProto *a = attribute(n, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRINGS);
    ProtobufCBinaryData *list = a ? take(n->o, ((size_t)count + 1) * sizeof *list) : NULL;
    if (!list) return;
    for (int i = 0; i < count; i++) {
        char *s = copy(n->o, v[i]);
        if (!s) return;
        list[i] = (ProtobufCBinaryData){strlen(s), (uint8_t *)s};
    }
    a->strings = list;
    a->n_strings = (size_t)count;
}

void rt_onnx_tensor_of(rt_onnx_node *n, const char *name, rt_onnx_type type, int rank, const int64_t *dim,
                       const void *data)
{
    Onnx__AttributeProto *a = attribute(n, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TENSOR);
    if (a) a->t = tensor(n->o, name, type, rank, dim, data);
}

void rt_onnx_domain(rt_onnx_node *n, const char *domain, int version)
{
    if (!n || n->o->failed) return;
    Onnx__ModelProto *m = &n->o->model;
    n->p->domain = copy(n->o, domain);
    for (size_t i = 0; i < m->n_opset_import; i++)
        if (m->opset_import[i]->domain && !strcmp(m->opset_import[i]->domain, domain)) return;
    Onnx__OperatorSetIdProto *set = take(n->o, sizeof *set);
    if (!set || !grow(n->o, &m->opset_import, m->n_opset_import, &n->o->sets)) return;
    onnx__operator_set_id_proto__init(set);
    set->domain = copy(n->o, domain);
    set->has_version = 1;
    set->version = version;
    m->opset_import[m->n_opset_import++] = set;
}

static Onnx__ValueInfoProto *value(rt_onnx *o, const char *name, rt_onnx_type type, int rank, const int64_t *dim)
{
    Onnx__ValueInfoProto *v = take(o, sizeof *v);
    Onnx__TypeProto *t = take(o, sizeof *t);
    Onnx__TypeProto__Tensor *tensor = take(o, sizeof *tensor);
    Onnx__TensorShapeProto *shape = take(o, sizeof *shape);
    Onnx__TensorShapeProto__Dimension *d = take(o, (size_t)rank * sizeof *d + 1),
                                      **list = take(o, (size_t)rank * sizeof *list + 1);
    if (o->failed) return NULL;
    onnx__value_info_proto__init(v);
    onnx__type_proto__init(t);
    onnx__type_proto__tensor__init(tensor);
    onnx__tensor_shape_proto__init(shape);
    for (int i = 0; i < rank; i++) {
        onnx__tensor_shape_proto__dimension__init(&d[i]);
        if (dim[i]) d[i].value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE, d[i].dim_value = dim[i];
        else d[i].value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM, d[i].dim_param = copy(o, "batch");
        list[i] = &d[i];
    }
    shape->n_dim = (size_t)rank;
    shape->dim = list;
    tensor->has_elem_type = 1;
    tensor->elem_type = (int32_t)type;
    tensor->shape = shape;
    t->value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
    t->tensor_type = tensor;
    v->name = copy(o, name);
    v->type = t;
    return v;
}

void rt_onnx_input(rt_onnx *o, const char *name, rt_onnx_type type, int rank, const int64_t *dim)
{
    Onnx__ValueInfoProto *v = value(o, name, type, rank, dim);
    if (o->failed || !grow(o, &o->graph.input, o->graph.n_input, &o->inputs)) return;
    o->graph.input[o->graph.n_input++] = v;
}

void rt_onnx_output(rt_onnx *o, const char *name, rt_onnx_type type, int rank, const int64_t *dim)
{
    Onnx__ValueInfoProto *v = value(o, name, type, rank, dim);
    if (o->failed || !grow(o, &o->graph.output, o->graph.n_output, &o->outputs)) return;
    o->graph.output[o->graph.n_output++] = v;
}

void rt_onnx_meta(rt_onnx *o, const char *key, const char *text)
{
    Onnx__StringStringEntryProto *e = take(o, sizeof *e);
    if (o->failed || !grow(o, &o->model.metadata_props, o->model.n_metadata_props, &o->metas)) return;
    onnx__string_string_entry_proto__init(e);
    e->key = copy(o, key);
    e->value = copy(o, text);
    o->model.metadata_props[o->model.n_metadata_props++] = e;
}

rt_status rt_onnx_pack(const rt_onnx *o, uint8_t **bytes, size_t *n)
{
    *bytes = NULL;
    *n = o->failed ? 0 : onnx__model_proto__get_packed_size(&o->model);
    if (*n > INT_MAX)
        return rt_fail(RT_USAGE, "an ONNX file holds 2 GiB at most, and the model takes %zu bytes: export it to "
                       "safetensors", *n);
    if (*n) *bytes = malloc(*n);
    if (!*bytes) return rt_fail(RT_RUN, "out of memory for an ONNX file");
    onnx__model_proto__pack(&o->model, *bytes);
    return RT_OK;
}
