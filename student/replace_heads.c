#include "student/replace_heads.h"

#include <stdio.h>
#include <string.h>

#include "student/arch.h"
#include "student/quantizers.h"

static cJSON *layer_of(const cJSON *arch, const char *name)
{
    int i = 0;
    char fallback[80];
    for (cJSON *l = cJSON_GetObjectItemCaseSensitive(arch, "layers")->child; l; l = l->next, i++) {
        const char *own = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(l, "name")),
                   *op = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(l, "op"));
        snprintf(fallback, sizeof fallback, "%.40s%d", op ? op : "", i + 1);
        if (!strcmp(own ? own : fallback, name)) return l;
    }
    return NULL;
}

/* Heads of the new architecture, as the old model has them, before any is replaced. */
static cJSON *heads_of(const rt_model *m)
{
    cJSON *list = rt_heads_to_json(m->head, m->heads);
    cJSON *j = list->child;
    for (int h = 0; h < m->heads; h++, j = j->next) {
        cJSON_DeleteItemFromObjectCaseSensitive(j, "names");
        cJSON_AddStringToObject(j, "layer", rt_arch_layer(m->graph, m->head[h].tensor));
    }
    return list;
}

static int readers(const rt_model *m, int tensor)
{
    int n = 0;
    for (int i = 0; i < m->graph->nodes; i++)
        for (int k = 0; k < m->graph->node[i].inputs; k++) n += m->graph->node[i].in[k] == tensor;
    return n;
}

static void put(cJSON *j, const char *key, cJSON *v)
{
    cJSON_DeleteItemFromObjectCaseSensitive(j, key);
    cJSON_AddItemToObject(j, key, v);
}

/* The head's own dense layer becomes the new one. */
static rt_status change_layer(const rt_model *m, cJSON *arch, int h, const char *fresh, int size, const char *at)
{
    int producer = m->graph->tensor[m->head[h].tensor].producer;
    const rt_node *n = &m->graph->node[producer];
    const char *old = m->head[h].name;
    if (n->op != RT_OP_DENSE || n->share >= 0)
        return rt_fail(RT_USAGE,
                       "%s: head '%s' is given by '%s' (%s), not by a dense layer of its own; name the layer whose "
                       "output the new head is to read: \"from\"",
                       at, old, n->name, rt_layer_name(n));
    if (readers(m, n->out))
        return rt_fail(RT_USAGE, "%s: layer '%s' of head '%s' is read by other layers", at, n->name, old);
    for (int k = 0; k < m->graph->nodes; k++)
        if (m->graph->node[k].share == producer)
            return rt_fail(RT_USAGE, "%s: layer '%s' of head '%s' shares its weights", at, n->name, old);
    cJSON *layer = layer_of(arch, n->name);
    if (!layer) return rt_fail(RT_USAGE, "%s: layer '%s' cannot be replaced", at, n->name);
    put(layer, "name", cJSON_CreateString(fresh));
    put(layer, "out", cJSON_CreateNumber(size));
    put(layer, "bias", cJSON_CreateBool(1));
    return RT_OK;
}

/* A new dense layer on the output of a layer, all of it in one dimension. */
static rt_status add_layer(const rt_model *m, cJSON *arch, const char *from, const char *fresh, int size,
                           const char *at)
{
    int tensor = rt_arch_find(m->graph, from);
    cJSON *list = cJSON_GetObjectItemCaseSensitive(arch, "layers");
    char flat[RT_NAME_MAX + 1];
    if (tensor < 0) return rt_fail(RT_USAGE, "%s.from: the model has no layer named '%.60s'", at, from);
    for (int f = m->graph->tensor[tensor].shape.rank < 2; f < 2; f++) {
        cJSON *l = cJSON_CreateObject();
        snprintf(flat, sizeof flat, "%.*s_flat", RT_NAME_MAX - 20, fresh);
        cJSON_AddStringToObject(l, "op", f ? "dense" : "flatten");
        cJSON_AddStringToObject(l, "name", f ? fresh : flat);
        cJSON_AddStringToObject(l, "from", from);
        if (f) cJSON_AddNumberToObject(l, "out", size);
        cJSON_AddItemToArray(list, l);
        from = flat;
    }
    return RT_OK;
}

/* Every layer names what it reads, so that others may go. */
static void spell_out(const rt_model *m, cJSON *arch)
{
    const char *before = m->graph->node[0].name;
    for (cJSON *l = cJSON_GetObjectItemCaseSensitive(arch, "layers")->child; l; l = l->next) {
        const char *op = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(l, "op"));
        if (!cJSON_HasObjectItem(l, "from") && op && strcmp(op, "constant")) cJSON_AddStringToObject(l, "from", before);
        before = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(l, "name"));
    }
}

/* Changes the head in `heads` and its layer in `arch`. */
static rt_status replace_one(const rt_model *m, cJSON *arch, cJSON *heads, cJSON *object, const char *path, int index)
{
    static const char *const tasks[] = {"classes", "multilabel", "real", NULL};
    char at[160], text[RT_NAMES_TEXT];
    int h = 0;
    snprintf(at, sizeof at, "%.100s[%d]", path, index);
    rt_cfg c = rt_cfg_begin(object, at);
    const char *old = rt_cfg_string(&c, "replace", NULL);
    while (!c.status && h < m->heads && strcmp(m->head[h].name, old)) h++;
    if (!c.status && h == m->heads) {
        char what[RT_NAMES_TEXT + 60];
        snprintf(what, sizeof what, "the model has no such head; it has %s", rt_heads_text(m->head, m->heads, text));
        rt_cfg_fail(&c, "replace", what);
    }
    RT_TRY(c.status);
    const char *from = rt_cfg_has(&c, "from") ? rt_cfg_string(&c, "from", NULL) : NULL;
    const char *name = rt_cfg_string(&c, "name", m->head[h].name);
    int task = rt_cfg_choice(&c, "task", tasks, (int)m->head[h].task);
    cJSON *names = rt_cfg_has(&c, "names") ? rt_cfg_array(&c, "names") : NULL;
    int size = rt_cfg_int(&c, "size", names ? cJSON_GetArraySize(names) : m->head[h].size, 1, RT_HEADS_WIDTH);
    RT_TRY(rt_cfg_end(&c));
    char fresh[RT_NAME_MAX + 1];
    const char *base = from ? from : rt_arch_layer(m->graph, m->head[h].tensor);
    snprintf(fresh, sizeof fresh, "%.*s_new", RT_NAME_MAX - 20, base);
    if (rt_arch_find(m->graph, fresh) >= 0)
        return rt_fail(RT_USAGE, "%s: the model has a layer named '%s' already", at, fresh);
    cJSON *j = cJSON_GetArrayItem(heads, h);
    RT_TRY(from ? add_layer(m, arch, from, fresh, size, at) : change_layer(m, arch, h, fresh, size, at));
    put(j, "name", cJSON_CreateString(name));
    put(j, "task", cJSON_CreateString(tasks[task]));
    put(j, "size", cJSON_CreateNumber(size));
    put(j, "layer", cJSON_CreateString(fresh));
    if (names) put(j, "names", cJSON_Duplicate(names, 1));
    return RT_OK;
}

static int field_named(const rt_graph *g, const char *name)
{
    for (int i = 0; i < g->fields; i++) if (!strcmp(g->field[i].name, name)) return i;
    return -1;
}

/* All that both have: fields, normalisation, columns, names of heads that stay. */
static rt_status carry_over(rt_model *to, rt_model *from, const cJSON *replaced)
{
    for (int i = 0; i < to->graph->fields; i++) {
        int k = field_named(from->graph, to->graph->field[i].name);
        if (k >= 0 && from->graph->field[k].count == to->graph->field[i].count)
            memcpy(rt_model_field(to, i), rt_model_field(from, k), to->graph->field[i].count * sizeof(float));
    }
    for (int i = 0; i < to->inputs; i++) {                 /* an input is the same one */
        rt_input was = to->input[i];
        const char *name = was.name;
        to->input[i] = from->input[i];
        to->input[i].name = name;
        was.name = from->input[i].name;
        from->input[i] = was;
    }
    for (int h = 0; h < to->heads; h++) {
        int gone = 0;
        for (const cJSON *j = replaced->child; j; j = j->next)
            gone |= !strcmp(cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(j, "replace")), from->head[h].name);
        if (!gone && from->head[h].names.name) RT_TRY(rt_model_set_classes(to, h, &from->head[h].names));
    }
    cJSON *p = to->provenance;
    to->provenance = from->provenance;
    from->provenance = p;
    to->file_bytes = from->file_bytes;
    return RT_OK;
}

rt_status rt_model_replace_heads(rt_model **m, cJSON *list, uint64_t seed, const char *path)
{
    rt_model *old = *m, *fresh = NULL;
    if (!cJSON_IsArray(list) || !list->child)
        return rt_fail(RT_USAGE, "%s: a list of {\"replace\": HEAD, ...} is expected", path);
    if (rt_model_quantized(old))
        return rt_fail(RT_USAGE, "%s: the model is quantized; start from the float model that it came from", path);
    cJSON *arch = cJSON_Duplicate(old->arch, 1), *heads = heads_of(old);
    static const char *const gone[] = {"classes", "heads", "family",  "width",
                                       "depth",   "convs", "dropout", "activation"};
    for (size_t i = 0; i < sizeof gone / sizeof gone[0]; i++) cJSON_DeleteItemFromObjectCaseSensitive(arch, gone[i]);
    spell_out(old, arch);
    rt_status st = RT_OK;
    int i = 0;
    for (cJSON *j = list->child; j && !st; j = j->next, i++) st = replace_one(old, arch, heads, j, path, i);
    cJSON_AddItemToObject(arch, "heads", heads);
    if (!st) rt_arch_prune(cJSON_GetObjectItemCaseSensitive(arch, "layers"), heads);
    if (!st) {
        st = rt_model_new(&fresh, arch, seed);
        if (st) st = rt_fail_in(st, "%s", path);
    }
    if (!st) st = carry_over(fresh, old, list);
    cJSON_Delete(arch);
    if (st) rt_model_free(fresh);
    else {
        rt_model_free(old);
        *m = fresh;
    }
    return st;
}
