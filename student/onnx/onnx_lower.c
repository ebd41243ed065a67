#include "student/onnx/onnx_lower.h"

#include <stdio.h>
#include <string.h>

#include "engine/text.h"
#include "student/arch.h"
#include "student/onnx/onnx_call.h"
#include "student/onnx/onnx_parts.h"

rt_status rt_lower_no(rt_lowering *l, const char *why)
{
    l->bad = why;
    return RT_OK;
}

/* ---- what a node has ---- */

const rt_array *rt_lower_const(const rt_lowering *l, const rt_eval_node *n, int i)
{
    if (i >= n->inputs || n->in[i] < 0 || l->row->varies[n->in[i]]) return NULL;
    return l->row->value[n->in[i]];
}

rt_lowered_value *rt_lower_in(rt_lowering *l, const rt_eval_node *n, int i)
{
    if (i >= n->inputs || n->in[i] < 0 || !l->row->varies[n->in[i]]) return NULL;
    return &l->v[n->in[i]];
}

const rt_array *rt_lower_shape(const rt_lowering *l, const rt_eval_node *n, int i) { return l->row->value[n->out[i]]; }

static const rt_eval_attr *attribute(const rt_eval_node *n, const char *name, rt_eval_attr_kind kind)
{
    for (int i = 0; i < n->attrs; i++)
        if (n->attr[i].kind == kind && !strcmp(n->attr[i].name, name)) return &n->attr[i];
    return NULL;
}

int64_t rt_lower_int(const rt_eval_node *n, const char *name, int64_t none)
{
    const rt_eval_attr *a = attribute(n, name, RT_EA_INT);
    return a ? a->i[0] : none;
}

double rt_lower_float(const rt_eval_node *n, const char *name, double none)
{
    const rt_eval_attr *a = attribute(n, name, RT_EA_FLOAT);
    return a ? (double)a->f[0] : none;
}

const char *rt_lower_string(const rt_eval_node *n, const char *name, const char *none)
{
    const rt_eval_attr *a = attribute(n, name, RT_EA_STRING);
    return a ? a->s[0] : none;
}

int rt_lower_ints(const rt_eval_node *n, const char *name, const int64_t **list)
{
    const rt_eval_attr *a = attribute(n, name, RT_EA_INTS);
    *list = a ? a->i : NULL;
    return a ? a->n : -1;
}

void rt_lower_places(const rt_eval_node *n, int rank, int to[RT_ARRAY_RANK])
{
    const int64_t *perm;
    int given = rt_lower_ints(n, "perm", &perm) == rank;   /* an empty list is none */
    for (int i = 0; i < rank; i++) to[given ? perm[i] + (perm[i] < 0 ? rank : 0) : rank - 1 - i] = i;
}

int rt_lower_list(rt_lowering *l, const rt_eval_node *n, int i, const char *name, const int64_t **list)
{
    int count = name ? rt_lower_ints(n, name, list) : -1;
    if (count >= 0 || i < 0 || i >= n->inputs || n->in[i] < 0) return count;
    const rt_array *a = rt_lower_const(l, n, i);
    if (!a) {
        l->bad = "a list of numbers that depends on data";
        return -1;
    }
    int64_t *to = rt_region_list(l->region, a->count, sizeof *to);
    for (size_t k = 0; to && k < a->count; k++) to[k] = rt_array_int(a, k);
    *list = to;
    return to ? (int)a->count : -1;
}

/* ---- layers ---- */

enum { NUMBERS = 8 * RT_MAX_NODES /* of names with the same stem: more are not looked for */ };

/* Names that are taken, of which one is looked for. */
typedef struct {
    const char *stem;
    size_t n;
    int bare;                          /* the stem without a number behind it is taken */
    unsigned char *number;             /* (NUMBERS / 8) bits: which are */
} taken_names;

static void take_name(taken_names *t, const char *name)
{
    int k = 0;
    if (strncmp(name, t->stem, t->n)) return;
    t->bare |= !name[t->n];
    name += t->n;
    if (*name < '1') return;
    while (*name >= '0' && *name <= '9' && k < NUMBERS) k = 10 * k + *name++ - '0';
    if (!*name && k < NUMBERS) t->number[k / 8] |= (unsigned char)(1 << k % 8);
}

/* All names are looked at once, however many have the same stem. */
static void take_names(const rt_lowering *l, taken_names *t, const char *stem)
{
    t->stem = stem;
    t->n = strlen(stem);
    t->bare = 0;
    memset(t->number, 0, NUMBERS / 8);
    for (const cJSON *j = l->layers->child; j; j = j->next) take_name(t, rt_lower_name(j));
    for (int i = 0; i < l->g->inputs; i++) if (l->in[i].name) take_name(t, l->in[i].name);
    for (int i = 0; i < l->want->features; i++) take_name(t, l->want->feature[i].name);
    take_name(t, "input");
}

/* A name that no layer has, as near to the hint as UTF-8, the length of names and others allow: the hint, or the least
 * number behind it that is free, or one behind the operator. */
static void name_layer(const rt_lowering *l, const char *op, const char *hint, char name[RT_NAME_MAX + 1])
{
    unsigned char number[NUMBERS / 8];
    taken_names taken = {.number = number};
    int n = hint && *hint && rt_is_utf8(hint) ? (int)strlen(hint) : 0, k = 1;
    char stem[RT_NAME_MAX - 12];
    if (n > RT_NAME_MAX - 16) n = 0;
    if (n) {
        take_names(l, &taken, hint);
        snprintf(name, RT_NAME_MAX + 1, "%s", hint);
        if (!taken.bare) return;
        snprintf(stem, sizeof stem, "%.*s_", n, hint);
    } else snprintf(stem, sizeof stem, "%.40s", op);
    take_names(l, &taken, stem);
    while (k < NUMBERS && number[k / 8] >> k % 8 & 1) k++;
    if (k == NUMBERS) k += l->total;   /* of a node of so many layers that it is refused when it is done */
    snprintf(name, RT_NAME_MAX + 1, "%s%d", stem, k);
}

cJSON *rt_lower_layer(rt_lowering *l, const char *op, const char *hint, const char *const *from, int inputs)
{
    char name[RT_NAME_MAX + 1];
    cJSON *layer = cJSON_CreateObject();
    name_layer(l, op, hint, name);
    cJSON_AddStringToObject(layer, "op", op);
    cJSON_AddStringToObject(layer, "name", name);
    if (inputs == 1) cJSON_AddStringToObject(layer, "from", from[0]);
    else {
        cJSON *list = cJSON_AddArrayToObject(layer, "from");
        for (int i = 0; i < inputs; i++) cJSON_AddItemToArray(list, cJSON_CreateString(from[i]));
    }
    cJSON_AddItemToArray(l->layers, layer);
    l->total++;
    return layer;
}

const char *rt_lower_name(const cJSON *layer)
{ return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(layer, "name")); }

float *rt_lower_fill(rt_lowering *l, const cJSON *layer, const char *suffix, size_t n)
{
    const char *name = rt_lower_name(layer);
    size_t length = strlen(name) + strlen(suffix) + 2;
    char *field = rt_region_take(l->region, length);
    float *value = rt_region_list(l->region, n, sizeof *value);
    if (!field || !value) return NULL;
    snprintf(field, length, "%s.%s", name, suffix);
    if (l->fields == l->field_room) {
        int room = l->field_room ? 2 * l->field_room : 64;
        rt_lowered_field *more = rt_region_list(l->region, (size_t)room, sizeof *more);
        if (!more) return NULL;
        if (l->fields) memcpy(more, l->field, (size_t)l->fields * sizeof *more);
        l->field = more;
        l->field_room = room;
    }
    l->field[l->fields++] = (rt_lowered_field){field, value, n};
    return value;
}

const float *rt_lower_floats(rt_lowering *l, const rt_array *a)
{
    if (a->type == RT_F32 && a->count) return a->data;
    float *f = rt_region_list(l->region, a->count, sizeof *f);
    for (size_t i = 0; f && i < a->count; i++) f[i] = (float)rt_array_double(a, i);
    return f;
}

rt_status rt_lower_put(rt_lowering *l, const cJSON *layer, const char *suffix, const rt_array *c, const int *order)
{
    float *to = rt_lower_fill(l, layer, suffix, c->count);
    const float *from = rt_lower_floats(l, c);
    int64_t step[RT_ARRAY_RANK], at[RT_ARRAY_RANK] = {0};
    if (!to || !from) return RT_RUN;
    rt_array_steps(c->rank, c->dim, step);
    for (size_t m = 0; m < c->count; m++) {
        int64_t place = 0;
        for (int i = 0; i < c->rank; i++) place += at[i] * step[order ? order[i] : i];
        to[m] = from[place];
        for (int i = c->rank - 1; i >= 0 && ++at[i] == c->dim[order ? order[i] : i]; i--) at[i] = 0;
    }
    return RT_OK;
}

rt_status rt_lower_constant(rt_lowering *l, const rt_array *c, const rt_shape *shape, const int *order,
                            const char **layer)
{
    cJSON *j = rt_lower_layer(l, "constant", "", NULL, 0);
    cJSON_DeleteItemFromObjectCaseSensitive(j, "from");
    cJSON_AddItemToObject(j, "shape", cJSON_CreateIntArray(shape->dim, shape->rank));
    *layer = rt_lower_name(j);
    return rt_lower_put(l, j, "value", c, order);
}

/* ---- orders ---- */

static int is_reshaped(const rt_lowered_value *v)
{ return v->base_rank != v->rank || memcmp(v->base, v->dim, (size_t)v->rank * sizeof *v->dim); }

/* Two orders of the axes of a shape are the same for memory when the axes longer than one come in the same order. */
static int same_order(const int64_t *dim, int rank, const int *a, const int *b)
{
    int i = 0, k = 0;
    for (;; i++, k++) {
        while (i < rank && dim[a ? a[i] : i] == 1) i++;
        while (k < rank && dim[b ? b[k] : k] == 1) k++;
        if (i == rank || k == rank) return i == rank && k == rank;
        if ((a ? a[i] : i) != (b ? b[k] : k)) return 0;
    }
}

int rt_lower_is(const rt_lowered_value *v, const int *order)
{
    if (!is_reshaped(v)) return same_order(v->dim, v->rank, v->order, order);
    return same_order(v->base, v->base_rank, v->order, NULL) && same_order(v->dim, v->rank, NULL, order);
}

static int memory_of(const int64_t *dim, int rank, const int *order, rt_shape *s)
{
    s->rank = 0;
    for (int i = 0; i < rank; i++) {
        int64_t d = dim[order ? order[i] : i];
        if (d == 1) continue;
        if (s->rank == RT_MAX_RANK || d > INT32_MAX) return 0;
        s->dim[s->rank++] = (int)d;
    }
    if (!s->rank) s->dim[s->rank++] = 1;
    return 1;
}

int rt_lower_memory(rt_lowering *l, const rt_lowered_value *v, const int *order, rt_shape *s)
{
    if (memory_of(v->dim, v->rank, order, s)) return 1;
    l->bad = "a tensor of more dimensions than layers have";
    return 0;
}

int rt_lower_channels_last(const rt_lowered_value *v, int order[RT_ARRAY_RANK], rt_shape *s)
{
    if (v->rank < 3 || v->rank > 5 || v->dim[0] != 1) return 0;
    int n = 0;
    order[n++] = 0;
    for (int i = 2; i < v->rank; i++) order[n++] = i;
    order[n] = 1;
    *s = (rt_shape){.rank = v->rank - 1};
    for (int i = 1; i < v->rank; i++) {
        if (v->dim[order[i]] > INT32_MAX) return 0;
        s->dim[i - 1] = (int)v->dim[order[i]];
    }
    return 1;
}

static cJSON *shape_json(const rt_shape *s) { return cJSON_CreateIntArray(s->dim, s->rank); }

static const char *reshaped(rt_lowering *l, const char *layer, const rt_shape *have, const rt_shape *want)
{
    if (rt_shape_equal(have, want)) return layer;
    cJSON *j = rt_lower_layer(l, "reshape", "", &layer, 1);
    cJSON_AddItemToObject(j, "shape", shape_json(want));
    l->made++;
    return rt_lower_name(j);
}

/* Memory in another order: dim are the axes' lengths, from and to orders of them. */
static rt_status permuted(rt_lowering *l, const char **layer, rt_shape *shape, const int64_t *dim, int rank,
                          const int *from, const int *to)
{
    int place[RT_ARRAY_RANK], axes[RT_MAX_RANK], n = 0;
    rt_shape have, want;
    if (same_order(dim, rank, from, to)) return RT_OK;
    if (!memory_of(dim, rank, from, &have) || !memory_of(dim, rank, to, &want))
        return rt_lower_no(l, "a tensor of more dimensions than layers have");
    for (int i = 0, k = 0; i < rank; i++) {
        int axis = from ? from[i] : i;
        place[axis] = dim[axis] == 1 ? -1 : k++;
    }
    for (int i = 0; i < rank; i++) {
        int axis = to ? to[i] : i;
        if (place[axis] >= 0) axes[n++] = place[axis];
    }
    *layer = reshaped(l, *layer, shape, &have);
    cJSON *j = rt_lower_layer(l, "permute", "", layer, 1);
    cJSON_AddItemToObject(j, "axes", cJSON_CreateIntArray(axes, n));
    l->made++;
    *layer = rt_lower_name(j);
    *shape = want;
    return RT_OK;
}

rt_status rt_lower_as(rt_lowering *l, rt_lowered_value *v, const int *order, const rt_shape *want, const char **layer)
{
    rt_shape have = v->shape;
    *layer = v->layer;
    if (!rt_lower_is(v, order)) {
        if (is_reshaped(v)) {
            RT_TRY(permuted(l, layer, &have, v->base, v->base_rank, v->order, NULL));
            if (!l->bad) RT_TRY(permuted(l, layer, &have, v->dim, v->rank, NULL, order));
        } else RT_TRY(permuted(l, layer, &have, v->dim, v->rank, v->order, order));
    }
    if (!l->bad) *layer = reshaped(l, *layer, &have, want);
    return RT_OK;
}

/* ---- what a node gives ---- */

static void set_dims(rt_lowered_value *v, const rt_array *a)
{
    v->rank = a->rank;
    memcpy(v->dim, a->dim, sizeof v->dim);
}

void rt_lower_give(rt_lowering *l, const rt_eval_node *n, int i, const cJSON *layer, const rt_shape *shape,
                   const int *order)
{
    rt_lowered_value *v = &l->v[n->out[i]];
    const rt_array *a = rt_lower_shape(l, n, i);
    v->layer = rt_lower_name(layer);
    v->shape = *shape;
    set_dims(v, a);
    v->base_rank = v->rank;
    memcpy(v->base, v->dim, sizeof v->base);
    for (int k = 0; k < v->rank; k++) v->order[k] = order ? order[k] : k;
}

void rt_lower_alias(rt_lowering *l, const rt_eval_node *n, int i, const rt_lowered_value *of)
{
    rt_lowered_value *v = &l->v[n->out[i]];
    *v = *of;
    set_dims(v, rt_lower_shape(l, n, i));
}

int rt_lower_next(const rt_lowering *l, const rt_eval_node *n, const char *op)
{
    if (l->readers[n->out[0]] != 1) return -1;
    for (int i = (int)(n - l->g->node) + 1; i < l->g->nodes; i++)
        for (int k = 0; k < l->g->node[i].inputs; k++)
            if (l->g->node[i].in[k] == n->out[0])
                return !l->done[i] && !*l->g->node[i].domain && !strcmp(l->g->node[i].op, op) ? i : -1;
    return -1;
}

/* ---- the whole ---- */

static rt_lower_fn *function_of(const rt_eval_node *n)
{
    static const rt_lower_entry *const tables[] = {rt_lower_layers, rt_lower_math, rt_lower_moves, rt_lower_recurrent,
                                                 rt_lower_trees, rt_lower_dynamic,
                                                 rt_lower_quantized};
    char name[200];
    snprintf(name, sizeof name, "%s%s%s", n->domain, *n->domain ? ":" : "", n->op);
    for (size_t t = 0; t < sizeof tables / sizeof tables[0]; t++)
        for (const rt_lower_entry *e = tables[t]; e->op; e++) if (!strcmp(e->op, name)) return e->fn;
    return NULL;
}

static int needs_lowering(const rt_lowering *l, const rt_eval_node *n)
{
    for (int i = 0; i < n->outputs; i++)
        if (n->out[i] >= 0 && l->row->varies[n->out[i]] && !l->v[n->out[i]].layer) return 1;
    return 0;
}

typedef struct { char text[1500]; int used, nodes; } complaints;

static void complain(complaints *c, const rt_eval_node *n, const char *why)
{
    if (c->used < (int)sizeof c->text - 300)
        c->used += snprintf(c->text + c->used, sizeof c->text - (size_t)c->used,
                            "%snode '%.80s' (%.40s, opset %d): %.120s", c->nodes ? "; " : "", n->name, n->op,
                            n->version, why);
    c->nodes++;
}

/* All that the nodes before could not give is unknown to those behind: only causes are told. */
static int has_inputs(const rt_lowering *l, const rt_eval_node *n)
{
    for (int i = 0; i < n->inputs; i++)
        if (n->in[i] >= 0 && l->row->varies[n->in[i]] && !l->v[n->in[i]].layer) return 0;
    return 1;
}

/* What has no layer of its own: computed by the operator's definition, each output that is read by itself. l->bad "":
 * there is no definition either. */
static rt_status by_definition(rt_lowering *l, const rt_eval_node *n)
{
    const char *from[RT_MAX_INPUTS], *why;
    int count = 0;
    l->bad = NULL;
    if (!n->def) return rt_lower_no(l, "");
    for (int i = 0; i < n->inputs; i++) {
        rt_lowered_value *x = rt_lower_in(l, n, i);
        rt_shape shape;
        if (!x) continue;
        if (count == RT_MAX_INPUTS) return rt_lower_no(l, "more inputs than a layer has");
        if (!rt_lower_memory(l, x, NULL, &shape)) return RT_OK;
        RT_TRY(rt_lower_as(l, x, NULL, &shape, &from[count++]));
        if (l->bad) return RT_OK;
    }
    for (int i = 0; i < n->outputs; i++) {
        rt_shape shape;
        if (n->out[i] < 0 || !l->readers[n->out[i]] || l->v[n->out[i]].layer) continue;
        cJSON *node = rt_onnx_call_write(n, l->row->value, l->row->varies, i, &why);
        if (!node) return rt_lower_no(l, why);
        cJSON *j = rt_lower_layer(l, "call", n->name, from, count);
        cJSON_AddItemToObject(j, "onnx", node);
        rt_lowered_value like = {.rank = l->row->value[n->out[i]]->rank};
        memcpy(like.dim, l->row->value[n->out[i]]->dim, sizeof like.dim);
        if (!rt_lower_memory(l, &like, NULL, &shape)) return RT_OK;
        rt_lower_give(l, n, i, j, &shape, NULL);
        l->calls++;
    }
    return RT_OK;
}

/* Ids of an input go to tables, and through what moves nothing; all else that reads them does so by definition, which
 * takes them as the integers that they are. */
static int reads_ids(const rt_lowering *l, const rt_eval_node *n)
{
    static const char *const takes[] = {"Cast", "Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"};
    int ids = 0;
    for (int i = 0; i < n->inputs; i++) ids |= n->in[i] >= 0 && l->v[n->in[i]].layer && l->v[n->in[i]].ids;
    if (!ids) return 0;
    if (!*n->domain && !strcmp(n->op, "Gather")) return l->v[n->in[0]].layer != NULL;
    for (size_t i = 0; i < sizeof takes / sizeof *takes; i++)
        if (!*n->domain && !strcmp(n->op, takes[i])) return 0;
    return 1;
}

static rt_status lower_nodes(rt_lowering *l)
{
    complaints c = {.used = 0};
    for (l->node = 0; l->node < l->g->nodes; l->node++) {
        const rt_eval_node *n = &l->g->node[l->node];
        if (l->done[l->node] || !needs_lowering(l, n) || !has_inputs(l, n)) continue;
        rt_lower_fn *fn = function_of(n);
        l->bad = NULL;
        if (!fn) l->bad = "has no layer here";
        else if (reads_ids(l, n)) l->bad = "reads ids as numbers";
        else RT_TRY(fn(l, n));
        const char *why = l->bad;
        if (why) RT_TRY(by_definition(l, n));
        if (why && l->bad) complain(&c, n, *l->bad ? l->bad : why);
        if (l->total > RT_MAX_NODES) return rt_fail(RT_INPUT, "becomes more than %d layers", RT_MAX_NODES);
    }
    if (!c.nodes) return RT_OK;
    return rt_fail(RT_INPUT, "%d node%s cannot become layers: %s", c.nodes, c.nodes == 1 ? "" : "s", c.text);
}

static rt_status begin(rt_lowering *l, const rt_onnx_row *row, const rt_onnx_bound *bound, const rt_lower_input *in,
                       const rt_lower_wanted *want)
{
    const rt_eval_graph *g = l->g = row->graph;
    l->row = row;
    l->in = in;
    l->want = want;
    l->v = rt_region_list(l->region, (size_t)g->values, sizeof *l->v);
    l->readers = rt_region_list(l->region, (size_t)g->values, sizeof *l->readers);
    l->done = rt_region_take(l->region, (size_t)g->nodes);
    if (!l->v || !l->readers || !l->done) return RT_RUN;
    for (int i = 0; i < g->nodes; i++)
        for (int k = 0; k < g->node[i].inputs; k++) if (g->node[i].in[k] >= 0) l->readers[g->node[i].in[k]]++;
    for (int i = 0; i < want->heads; i++) l->readers[want->head[i].value]++;
    for (int i = 0; i < want->features; i++) l->readers[want->feature[i].value]++;
    for (int i = 0; i < g->inputs; i++) {
        rt_lowered_value *v = &l->v[g->input[i]];
        if (bound[i].role != RT_ONNX_DATA) continue;
        v->layer = in[i].name;
        v->shape = in[i].shape;
        v->ids = in[i].ids;
        v->rank = v->base_rank = bound[i].rank;
        memcpy(v->dim, bound[i].dim, sizeof v->dim);
        memcpy(v->base, bound[i].dim, sizeof v->base);
        memcpy(v->order, in[i].order, sizeof v->order);
    }
    return RT_OK;
}

/* A mask of ids: the sign of each, which is 1 where there is one and 0 where there is none. */
static rt_status add_masks(rt_lowering *l, const rt_onnx_bound *bound)
{
    static const int in = 0, out = 1;
    for (int i = 0; i < l->g->inputs; i++) {
        rt_lowered_value *v = &l->v[l->g->input[i]], *ids = &l->v[l->g->input[bound[i].of]];
        if (bound[i].role != RT_ONNX_PRESENT) continue;
        rt_array id = *l->row->value[l->g->input[bound[i].of]], *value[2] = {&id, NULL};
        const rt_eval_node sign = {
            .op = "Sign", .domain = "", .version = 13, .in = &in, .inputs = 1, .out = &out, .outputs = 1};
        const char varies[2] = {1, 1}, *why;
        cJSON *node = rt_onnx_call_write(&sign, value, varies, 0, &why);
        cJSON *j = rt_lower_layer(l, "call", l->g->value[l->g->input[i]], &ids->layer, 1);
        cJSON_AddItemToObject(j, "onnx", node);
        *v = *ids;
        v->ids = 0;
        v->layer = rt_lower_name(j);
        if (!rt_lower_memory(l, v, NULL, &v->shape))
            return rt_fail(RT_INPUT, "input '%s': %s", l->g->value[l->g->input[i]], l->bad);
    }
    return RT_OK;
}

static cJSON *inputs_json(const rt_lowering *l, const rt_onnx_bound *bound, const rt_lower_input *in)
{
    cJSON *list = cJSON_CreateArray();
    for (int i = 0; i < l->g->inputs; i++) {
        if (bound[i].role != RT_ONNX_DATA) continue;
        cJSON *j = cJSON_CreateObject();
        cJSON_AddStringToObject(j, "name", in[i].name);
        cJSON_AddItemToObject(j, "shape", shape_json(&in[i].shape));
        if (in[i].ids) cJSON_AddStringToObject(j, "type", "i32");
        cJSON_AddItemToArray(list, j);
    }
    return list;
}

/* Each head reads its output as one row of numbers, in ONNX's order. */
static rt_status add_heads(rt_lowering *l, cJSON *arch)
{
    static const char *const tasks[] = {"classes", "multilabel", "real"};
    cJSON *list = cJSON_AddArrayToObject(arch, "heads");
    for (int i = 0; i < l->want->heads; i++) {
        const rt_lower_head *head = &l->want->head[i];
        int value = head->value;
        rt_lowered_value *v = &l->v[value];
        const char *layer;
        const rt_array *a = l->row->value[value];
        rt_shape flat = {1, {(int)a->count}};
        if (l->row->varies[value] && !v->layer)
            return rt_fail(RT_INPUT, "output '%s': nothing here gives it", l->g->value[value]);
        if (!l->row->varies[value])
            return rt_fail(RT_INPUT, "output '%s' does not depend on the data", l->g->value[value]);
        if (!a->count || a->count > RT_HEADS_WIDTH)
            return rt_fail(RT_INPUT, "output '%s' has %zu numbers a row; a head has 1 to %d", l->g->value[value],
                           a->count, RT_HEADS_WIDTH);
        RT_TRY(rt_lower_as(l, v, NULL, &flat, &layer));
        if (l->bad) return rt_fail(RT_INPUT, "output '%s': %s", l->g->value[value], l->bad);
        cJSON *j = cJSON_CreateObject();
        cJSON_AddStringToObject(j, "name", head->name);
        if (head->task) cJSON_AddStringToObject(j, "task", tasks[head->task]);
        cJSON_AddStringToObject(j, "layer", layer);
        cJSON_AddNumberToObject(j, "size", (double)a->count);
        cJSON_AddItemToArray(list, j);
    }
    return RT_OK;
}

/* A layer that gives the value's memory as it is, by the name that is asked for. kept: layers that stay. */
static rt_status add_features(rt_lowering *l, cJSON *kept)
{
    for (int i = 0; i < l->want->features; i++) {
        const rt_lower_feature *f = &l->want->feature[i];
        const rt_lowered_value *v = &l->v[f->value];
        if (!v->layer || !l->row->varies[f->value])
            return rt_fail(RT_INPUT, "features: '%s' does not depend on the data", f->tensor);
        if (v->ids) return rt_fail(RT_INPUT, "features: '%s' is an input of ids", f->tensor);
        cJSON *j = rt_lower_layer(l, "reshape", "", &v->layer, 1), *one = cJSON_CreateObject();
        cJSON_AddItemToObject(j, "shape", shape_json(&v->shape));
        cJSON_ReplaceItemInObjectCaseSensitive(j, "name", cJSON_CreateString(f->name));
        cJSON_AddStringToObject(one, "layer", f->name);
        cJSON_AddItemToArray(kept, one);
    }
    return RT_OK;
}

/* The layer whose field this is: its name ends with the last dot. */
static int has_layer(const rt_graph *g, const char *field)
{
    size_t n = (size_t)(strrchr(field, '.') - field);
    for (int i = 0; i < g->nodes; i++)
        if (strlen(g->node[i].name) == n && !strncmp(g->node[i].name, field, n)) return 1;
    return 0;
}

static rt_status set_fields(const rt_lowering *l, rt_model *m)
{
    for (int i = 0; i < l->fields; i++) {
        int at = -1;
        for (int f = 0; f < m->graph->fields && at < 0; f++)
            if (!strcmp(m->graph->field[f].name, l->field[i].field)) at = f;
        if (at < 0 && !has_layer(m->graph, l->field[i].field)) continue;      /* it was pruned */
        if (at < 0 || m->graph->field[at].count != l->field[i].count)
            return rt_fail(RT_RUN, "a layer made of the file has no field '%s' of %zu numbers", l->field[i].field,
                           l->field[i].count);
        memcpy(rt_model_field(m, at), l->field[i].value, l->field[i].count * sizeof(float));
    }
    return RT_OK;
}

rt_status rt_onnx_lower(rt_model **out, const rt_onnx_row *row, const rt_onnx_bound *bound, const rt_lower_input *in,
                        const rt_lower_wanted *want)
{
    rt_lowering l = {.region = rt_onnx_row_rest(row), .layers = cJSON_CreateArray()};
    cJSON *arch = cJSON_CreateObject();
    *out = NULL;
    rt_status st = l.region ? begin(&l, row, bound, in, want) : RT_RUN;
    if (!st) st = add_masks(&l, bound);
    if (!st) st = lower_nodes(&l);
    if (!st) {
        cJSON *list = inputs_json(&l, bound, in), *only = list->child;
        if (only->next || strcmp(cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(only, "name")), "input"))
            cJSON_AddItemToObject(arch, "inputs", list);
        else {
            cJSON_AddItemToObject(arch, "input", cJSON_DetachItemFromObjectCaseSensitive(only, "shape"));
            cJSON_Delete(list);
        }
        st = add_heads(&l, arch);
        cJSON *kept = cJSON_Duplicate(cJSON_GetObjectItemCaseSensitive(arch, "heads"), 1);
        if (!st) st = add_features(&l, kept);
        if (!st) rt_arch_prune(l.layers, kept);
        cJSON_Delete(kept);
    }
    if (want->shorter) cJSON_AddTrueToObject(arch, "shorter");
    cJSON_AddItemToObject(arch, "layers", l.layers);
    if (!st) st = rt_model_blank(out, arch);
    if (!st && (st = set_fields(&l, *out))) {
        rt_model_free(*out);
        *out = NULL;
    }
    cJSON_Delete(arch);
    rt_region_free(l.region);
    return st;
}
