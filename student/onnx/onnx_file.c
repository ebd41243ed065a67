#include "student/onnx/onnx_file.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "data/files.h"
#include "engine/clock.h"
#include "onnx.pb-c.h"
#include "student/onnx/onnx_parts.h"

enum { LARGEST = 0x7fffffff /* protobuf's own bound */ };

/* What protobuf-c takes is counted: a node without content is two bytes in a file and a hundred in memory. */
typedef struct { size_t left; int over; } purse;

static void *take(void *p, size_t n)
{
    purse *b = p;
    if (n > b->left) {
        b->over = 1;
        return NULL;
    }
    size_t *at = malloc(n + 16);
    if (!at) return NULL;
    b->left -= n;
    *at = n;
    return (char *)at + 16;
}

static void give(void *p, void *at)
{
    if (!at) return;
    size_t *from = (size_t *)(void *)((char *)at - 16);
    ((purse *)p)->left += *from;
    free(from);
}

static rt_status no_message(const purse *b, size_t budget)
{
    if (b->over)
        return rt_fail(RT_INPUT,
                       "needs more than the budget of %zu MiB of memory; \"memory\" of the binding, or of the "
                       "configuration of retort import, allows more",
                       budget >> 20);
    return rt_fail(RT_INPUT, "is no ONNX model: its bytes are not those of the message");
}

static size_t budget_of(const rt_onnx_spec_read *spec, size_t n)
{ return spec && spec->budget ? spec->budget : rt_onnx_budget_of(n); }

/* ---- what is told of a model ---- */

static rt_status read_value(rt_onnx_value *v, const Onnx__ValueInfoProto *p, rt_region *r)
{
    static const struct { Onnx__TypeProto__ValueCase is; const char *name;
    } others[] = {{ONNX__TYPE_PROTO__VALUE_SEQUENCE_TYPE, "sequence"},
                  {ONNX__TYPE_PROTO__VALUE_MAP_TYPE, "map"},
                  {ONNX__TYPE_PROTO__VALUE_OPTIONAL_TYPE, "optional"},
                  {ONNX__TYPE_PROTO__VALUE_SPARSE_TENSOR_TYPE, "sparse tensor"}};
    v->type = RT_DTYPE_COUNT;
    v->rank = -1;
    v->name = p->name ? rt_region_text(r, p->name, strlen(p->name)) : "";
    if (!v->name) return RT_INPUT;
    for (size_t i = 0; p->type && i < sizeof others / sizeof others[0]; i++)
        if (p->type->value_case == others[i].is) v->strange = others[i].name;
    if (!p->type || p->type->value_case != ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE || !p->type->tensor_type) return RT_OK;
    const Onnx__TypeProto__Tensor *t = p->type->tensor_type;
    const char *name;
    v->type = rt_onnx_element(t->has_elem_type ? t->elem_type : 0, &name);
    if (v->type == RT_DTYPE_COUNT) v->strange = name;
    if (!t->shape) return RT_OK;
    if (t->shape->n_dim > RT_ARRAY_RANK)
        return rt_fail(RT_INPUT, "'%s' has rank %zu; up to %d is supported", v->name, t->shape->n_dim, RT_ARRAY_RANK);
    v->rank = (int)t->shape->n_dim;
    for (int i = 0; i < v->rank; i++) {
        const Onnx__TensorShapeProto__Dimension *d = t->shape->dim[i];
        v->dim[i] = -1;
        if (d->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE && d->dim_value >= 0)
            v->dim[i] = d->dim_value;
        else if (d->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM && d->dim_param &&
                 !(v->param[i] = rt_region_text(r, d->dim_param, strlen(d->dim_param))))
            return RT_INPUT;
    }
    return RT_OK;
}

static rt_status read_values(rt_onnx_file *f, const Onnx__GraphProto *p)
{
    const rt_eval_graph *g = f->graph;
    f->input = rt_region_list(f->region, (size_t)g->inputs, sizeof *f->input);
    f->output = rt_region_list(f->region, (size_t)g->outputs, sizeof *f->output);
    if (!f->input || !f->output) return RT_INPUT;
    for (int i = 0, k = 0; i < (int)p->n_input && k < g->inputs; i++)
        if (!strcmp(p->input[i]->name, g->value[g->input[k]]))
            RT_TRY(read_value(&f->input[k++], p->input[i], f->region));
    for (int i = 0; i < g->outputs; i++) RT_TRY(read_value(&f->output[i], p->output[i], f->region));
    return RT_OK;
}

static rt_status read_about(rt_onnx_file *f, const Onnx__ModelProto *m)
{
    rt_region *r = f->region;
    f->ir_version = m->ir_version;
    for (size_t i = 0; i < m->n_opset_import && f->opsets < 32; i++) {
        const char *d = m->opset_import[i]->domain;
        if (d && !strcmp(d, "ai.onnx")) d = "";
        f->opset[f->opsets].domain = rt_region_text(r, d ? d : "", d ? strlen(d) : 0);
        f->opset[f->opsets].version = (int)m->opset_import[i]->version;
        if (!f->opset[f->opsets++].domain) return RT_INPUT;
    }
    f->producer = rt_region_text(r, m->producer_name ? m->producer_name : "",
                                 m->producer_name ? strlen(m->producer_name) : 0);
    f->producer_version = rt_region_text(r, m->producer_version ? m->producer_version : "",
                                         m->producer_version ? strlen(m->producer_version) : 0);
    f->meta = rt_region_list(r, m->n_metadata_props, sizeof *f->meta);
    if (!f->producer || !f->producer_version || !f->meta) return RT_INPUT;
    for (size_t i = 0; i < m->n_metadata_props; i++) {
        const Onnx__StringStringEntryProto *p = m->metadata_props[i];
        if (!p->key || !p->value) continue;
        f->meta[f->metas].key = rt_region_text(r, p->key, strlen(p->key));
        f->meta[f->metas].value = rt_region_text(r, p->value, strlen(p->value));
        if (!f->meta[f->metas].key || !f->meta[f->metas].value) return RT_INPUT;
        f->metas++;
    }
    return RT_OK;
}

static rt_status fill(rt_onnx_file *f, const void *bytes, size_t n, rt_onnx_data *data, size_t budget)
{
    purse b = {.left = budget};
    ProtobufCAllocator from = {take, give, &b};
    RT_TRY(rt_onnx_wire(bytes, n, RT_WIRE_MODEL));
    Onnx__ModelProto *m = onnx__model_proto__unpack(&from, n, bytes);
    if (!m) return no_message(&b, budget);
    rt_status st = m->has_ir_version ? RT_OK : rt_fail(RT_INPUT, "is no ONNX model: it names no IR version");
    if (!st) st = rt_onnx_graph(&f->graph, m, data);
    if (!st) st = read_values(f, m->graph);
    if (!st) st = read_about(f, m);
    onnx__model_proto__free_unpacked(m, &from);
    return st;
}

static rt_status parse(rt_onnx_file **out, const void *bytes, size_t n, const rt_onnx_spec_read *spec,
                       rt_onnx_data *data)
{
    size_t budget = budget_of(spec, n);
    rt_region *r = rt_region_new(budget);
    *out = NULL;
    if (!r) return RT_RUN;
    rt_onnx_file *f = rt_region_take(r, sizeof *f);
    rt_status st = f ? RT_OK : RT_RUN;
    if (f) {
        f->region = r;
        data->region = r;
        data->hash = rt_hasher_new();
        rt_hasher_add(data->hash, bytes, n);
        data->grows = !(spec && spec->budget);
        data->seconds = spec && spec->seconds > 0 ? spec->seconds : 4 + (double)n / (1 << 20);
        data->end = rt_thread_seconds() + data->seconds;
        st = fill(f, bytes, n, data, budget);
        f->digest = rt_hasher_end(data->hash);
        f->bytes = n + data->bytes;
        f->external = data->count;
        f->budget = budget_of(spec, f->bytes);
        if (!st && !(spec && spec->budget)) f->budget += rt_onnx_filled(f->graph);
        f->seconds = spec && spec->seconds > 0 ? spec->seconds : 4 + (double)f->bytes / (1 << 20);
    }
    if (st) rt_region_free(r);
    else *out = f;
    return st;
}

rt_status rt_onnx_parse(rt_onnx_file **out, const void *bytes, size_t n, const rt_onnx_spec_read *spec)
{
    rt_onnx_data none = {.folder = -1};
    return parse(out, bytes, n, spec, &none);
}

static rt_status folder_of(const char *path, const rt_onnx_spec_read *spec, rt_onnx_data *d, char **name)
{
    const char *slash = strrchr(path, '/');
    d->links = spec && spec->data_root;
    *name = d->links ? strdup(spec->data_root)
            : slash  ? strndup(path, slash > path ? (size_t)(slash - path) : 1)
                     : strdup(".");
    if (!*name) return rt_fail(RT_RUN, "out of memory");
    d->folder_name = *name;
    d->folder = open(*name, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return d->folder >= 0 ? RT_OK : rt_fail(RT_INPUT, "cannot open folder %s", *name);
}

rt_status rt_onnx_read(rt_onnx_file **out, const char *path, const rt_onnx_spec_read *spec)
{
    char *bytes, *folder = NULL;
    size_t n;
    rt_onnx_data data = {.folder = -1};
    *out = NULL;
    RT_TRY(rt_read_file(&bytes, &n, path, LARGEST));
    rt_status st = folder_of(path, spec, &data, &folder);
    if (!st) st = parse(out, bytes, n, spec, &data);
    if (st && data.folder >= 0) st = rt_fail_in(st, "%s", path);
    if (data.folder >= 0) close(data.folder);
    free(folder);
    free(bytes);
    return st;
}

void rt_onnx_close(rt_onnx_file *f)
{
    if (f) rt_region_free(f->region);
}

/* A message whose first field is the IR version (field 1, a small number), as all writers put it. */
rt_status rt_onnx_look(const char *path, int *is_onnx)
{
    unsigned char head[3] = {0};
    size_t got;
    int fd;
    *is_onnx = 0;
    RT_TRY(rt_open_input(&fd, path));
    rt_status st = rt_pread_some(fd, head, sizeof head, 0, path, &got);
    close(fd);
    if (!st) *is_onnx = got == sizeof head && head[0] == 8 && head[1] > 0 && head[1] < 64;
    return st;
}

rt_status rt_onnx_tensor(rt_array **out, const char **name, rt_region *r, const void *bytes, size_t n)
{
    purse b = {.left = RT_ONNX_BUDGET};
    ProtobufCAllocator from = {take, give, &b};
    rt_onnx_data none = {.region = r, .folder = -1};
    RT_TRY(rt_onnx_wire(bytes, n, RT_WIRE_TENSOR));
    Onnx__TensorProto *t = onnx__tensor_proto__unpack(&from, n, bytes);
    if (!t) return no_message(&b, RT_ONNX_BUDGET);
    rt_status st = rt_onnx_array(out, t, &none);
    if (!st && name && !(*name = rt_region_text(r, t->name ? t->name : "", t->name ? strlen(t->name) : 0)))
        st = RT_INPUT;
    onnx__tensor_proto__free_unpacked(t, &from);
    return st;
}
