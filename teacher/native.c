/* teacher/native.c - native models, one or an ensemble, as a teacher. */
#include <stdlib.h>

#include "data/provenance.h"
#include "student/arch.h"
#include "student/view_config.h"
#include "teacher/teacher_parts.h"

typedef struct {
    rt_teacher base;
    rt_model **model;
    int models, owned;
    rt_predictor *predictor;
} native;

static const rt_teacher_kind kind;

static const native *of(const rt_teacher *t) { return (const native *)(const void *)t; }
static native *own(rt_teacher *t) { return (native *)(void *)t; }

rt_status rt_teacher_open_models(rt_teacher **out, const char *const *path, int count, const rt_x_where *x)
{
    native *n = calloc(1, sizeof *n);
    if (!n) return rt_fail(RT_RUN, "out of memory");
    n->base.kind = &kind;
    n->models = count;
    n->owned = 1;
    rt_status st = rt_models_load(&n->model, path, count, x);
    if (st) free(n);
    else *out = &n->base;
    return st;
}

rt_status rt_teacher_open_bound(rt_teacher **out, const char *path, const cJSON *binding, const rt_x_where *x)
{
    native *n = calloc(1, sizeof *n);
    if (!n || !(n->model = calloc(1, sizeof *n->model))) {
        free(n);
        return rt_fail(RT_RUN, "out of memory");
    }
    n->base.kind = &kind;
    n->models = n->owned = 1;
    rt_status st = rt_model_load_bound(&n->model[0], path, binding, x);
    if (st) {
        free(n->model);
        free(n);
        return st;
    }
    *out = &n->base;
    return RT_OK;
}

static rt_status twin(rt_teacher **out, const rt_teacher *t)
{
    native *n = calloc(1, sizeof *n);
    if (!n) return rt_fail(RT_RUN, "out of memory");
    n->base.kind = &kind;
    n->model = of(t)->model;
    n->models = of(t)->models;
    *out = &n->base;
    return RT_OK;
}

static void close_models(rt_teacher *t)
{
    native *n = own(t);
    rt_predictor_free(n->predictor);
    if (n->owned) rt_models_free(n->model, n->models);
    free(n);
}

static const rt_head *heads(const rt_teacher *t, int *count)
{
    *count = of(t)->model[0]->heads;
    return of(t)->model[0]->head;
}

static const rt_names *columns(const rt_teacher *t)
{
    static const rt_names none;
    const rt_model *m = of(t)->model[0];
    return m->inputs == 1 ? &m->input[0].columns : &none;
}

static int inputs(const rt_teacher *t, const char *name[RT_SOURCE_PARTS], int n)
{
    for (int i = 0; i < of(t)->models; i++)
        n = rt_inputs_list(of(t)->model[i]->input, of(t)->model[i]->inputs, name, n);
    return n;
}

static void ids(const rt_teacher *t, const rt_source *s, int list[RT_SOURCE_PARTS])
{
    for (int i = 0; i < of(t)->models; i++) rt_inputs_ids(of(t)->model[i]->input, of(t)->model[i]->inputs, s, list);
}

static rt_status digest(const rt_teacher *t, rt_digest *d)
{
    *d = rt_models_digest(of(t)->model, of(t)->models);
    return RT_OK;
}

static void hash_names(const rt_teacher *t, rt_hasher *h)
{
    for (int i = 0; i < of(t)->models; i++) {
        const rt_model *m = of(t)->model[i];
        rt_heads_hash(h, m->head, m->heads);
        for (int k = 0; k < m->inputs; k++) rt_names_hash(h, &m->input[k].columns);
    }
}

static rt_status seen(const rt_teacher *t, cJSON *list)
{
    for (int i = 0; i < of(t)->models; i++) {
        const rt_model *m = of(t)->model[i];
        rt_status st = rt_seen_join(list, m->provenance, "teacher", rt_model_digest(m).hex);
        if (st) return rt_fail_in(st, "%s", t->path[i]);
    }
    return RT_OK;
}

static const cJSON *provenance(const rt_teacher *t, int member)
{ return member < of(t)->models ? of(t)->model[member]->provenance : NULL; }

/* Of several the digest of each; one is known by the teacher's. */
static rt_status tell(const rt_teacher *t, cJSON *into)
{
    if (of(t)->models < 2) return RT_OK;
    cJSON *list = cJSON_AddArrayToObject(into, "members");
    for (int i = 0; i < of(t)->models; i++)
        cJSON_AddItemToArray(list, cJSON_CreateString(rt_model_digest(of(t)->model[i]).hex));
    return RT_OK;
}

static rt_status describe(const rt_teacher *t, cJSON *into)
{
    cJSON_AddStringToObject(into, "teacher_digest", rt_models_digest(of(t)->model, of(t)->models).hex);
    return of(t)->models < 2 ? RT_OK : tell(t, cJSON_AddObjectToObject(into, "teacher"));
}

static rt_teacher_cost costs(const rt_teacher *t)
{
    rt_teacher_cost c = {0};
    for (int i = 0; i < of(t)->models; i++) {
        const rt_model *m = of(t)->model[i];
        c.parameters += (double)rt_graph_param_count(m->graph);
        c.macs += rt_graph_macs(m->graph);
        c.file_bytes += (double)m->file_bytes;
        const rt_program *p = of(t)->predictor ? rt_predictor_program(of(t)->predictor, i) : NULL;
        if (!p) c.weight_bytes += (double)(m->graph->floats[RT_PARAM] + m->graph->floats[RT_STATE]) * 4;
        else c.weight_bytes += (double)rt_linked_packed(rt_program_linked(p));
        if (p) c.program_bytes += (double)rt_program_size(p);
    }
    if (of(t)->predictor) c.plan_bytes = (double)rt_predictor_bytes(of(t)->predictor);
    return c;
}

static int models(const rt_teacher *t) { return of(t)->models; }

static rt_model *const *looked_into(const rt_teacher *t, int *count)
{
    *count = of(t)->models;
    return of(t)->model;
}

static int quantized(const rt_teacher *t)
{
    int n = 0;
    for (int i = 0; i < of(t)->models; i++) n += rt_model_quantized(of(t)->model[i]);
    return n;
}

static rt_status bind(rt_teacher *t, const rt_teacher_binding *b)
{ return rt_models_bind(of(t)->model, of(t)->models, b->source, b->match, b->notes); }

static rt_status find_layer(const native *n, const char *layer, int *tensor)
{
    *tensor = rt_arch_find(n->model[0]->graph, layer);
    return *tensor >= 0 ? RT_OK : rt_fail(RT_USAGE, "the teacher has no layer named '%s'", layer);
}

static rt_status ready(rt_teacher *t, rt_device *device, int micro, const char *const *feature, int features)
{
    native *n = own(t);
    int tensor[RT_MAX_OUTPUTS];
    for (int i = 0; i < features; i++) RT_TRY(find_layer(n, feature[i], &tensor[i]));
    return rt_predictor_new(&n->predictor, n->model, n->models, device, micro, features ? tensor : NULL, features);
}

static const char *last_features(const rt_teacher *t)
{
    const native *n = of(t);
    const rt_graph *g = n->model[0]->graph;
    int tensor = n->model[0]->head[0].tensor;
    if (n->models != 1 || rt_model_quantized(n->model[0])) return NULL;
    for (int step = 0; step < g->nodes; step++) {
        const rt_node *node = &g->node[g->tensor[tensor].producer];
        if (node->op == RT_OP_INPUT || node->inputs < 1) return NULL;
        tensor = node->in[0];
        if (node->fields) break;
    }
    return g->node[g->tensor[tensor].producer].op == RT_OP_INPUT ? NULL : rt_arch_layer(g, tensor);
}

static rt_status feature_shape(const rt_teacher *t, const char *layer, rt_shape *shape)
{
    int tensor;
    RT_TRY(find_layer(of(t), layer, &tensor));
    *shape = of(t)->model[0]->graph->tensor[tensor].shape;
    return RT_OK;
}

static rt_status answer_as(rt_teacher *t, const rt_head *head, int count, const char *asks, rt_match match)
{ return rt_predictor_set_heads(own(t)->predictor, head, count, asks, match); }

static rt_status ask(rt_teacher *t, const rt_feed *q, float *answers)
{
    return rt_predict(own(t)->predictor, q, answers);
}

static rt_status check_view(const rt_teacher *t, rt_view_desc *v)
{
    for (int i = 0; i < of(t)->models; i++) RT_TRY(rt_view_check(v, of(t)->model[i]->input, of(t)->model[i]->inputs));
    return RT_OK;
}

static int micro_of(const rt_teacher *t) { return rt_predictor_micro(of(t)->predictor); }
static const float *feature_of(const rt_teacher *t, int i) { return rt_predictor_feature(of(t)->predictor, i); }

static const rt_teacher_kind kind = {.name = "model",
                                     .can = RT_TEACHER_COMPUTES | RT_TEACHER_TIMED,
                                     .close = close_models,
                                     .twin = twin,
                                     .heads = heads,
                                     .columns = columns,
                                     .inputs = inputs,
                                     .ids = ids,
                                     .digest = digest,
                                     .hash_names = hash_names,
                                     .seen = seen,
                                     .provenance = provenance,
                                     .describe = describe,
                                     .tell = tell,
                                     .costs = costs,
                                     .models = models,
                                     .native = looked_into,
                                     .quantized = quantized,
                                     .bind = bind,
                                     .answer_as = answer_as,
                                     .ready = ready,
                                     .last_features = last_features,
                                     .feature_shape = feature_shape,
                                     .check_view = check_view,
                                     .ask = ask,
                                     .micro = micro_of,
                                     .feature = feature_of};
