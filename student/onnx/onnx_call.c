#include "student/onnx/onnx_call.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONSTANT_BYTES = 1 << 20, ATTRIBUTES = 64, INPUTS = 64, ROW_MOST = 1 << 24 };

/* ---- base64 (RFC 4648) ---- */

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static char *to_base64(const unsigned char *p, size_t n)
{
    char *text = malloc((n + 2) / 3 * 4 + 1), *t = text;
    for (size_t i = 0; text && i < n; i += 3) {
        uint32_t v = (uint32_t)p[i] << 16 | (i + 1 < n ? (uint32_t)p[i + 1] << 8 : 0) | (i + 2 < n ? p[i + 2] : 0);
        for (int k = 0; k < 4; k++) *t++ = i + (size_t)k <= n ? letters[v >> (18 - 6 * k) & 63] : '=';
    }
    if (text) *t = 0;
    return text;
}

static int from_base64(unsigned char *to, size_t n, const char *text)
{
    if (strlen(text) != (n + 2) / 3 * 4) return 0;
    for (size_t i = 0; i < n; i += 3) {
        uint32_t v = 0;
        for (int k = 0; k < 4; k++) {
            const char *at = *text == '=' ? letters : strchr(letters, *text);
            if (!at || !*text) return 0;
            v = v << 6 | (uint32_t)(at - letters);
            text++;
        }
        for (size_t k = 0; k < 3 && i + k < n; k++) to[i + k] = (unsigned char)(v >> (16 - 8 * k));
    }
    return 1;
}

/* ---- arrays ---- */

static rt_dtype type_named(const char *name)
{
    for (int t = 0; name && t < RT_DTYPE_COUNT; t++)
        if (!strcmp(rt_array_type_name((rt_dtype)t), name)) return (rt_dtype)t;
    return RT_DTYPE_COUNT;
}

static cJSON *shape_of(const rt_array *a)
{
    cJSON *shape = cJSON_CreateArray();
    for (int i = 0; i < a->rank; i++) cJSON_AddItemToArray(shape, cJSON_CreateNumber((double)a->dim[i]));
    return shape;
}

static cJSON *write_array(const rt_array *a, int with_data, const char **why)
{
    cJSON *j = cJSON_CreateObject();
    size_t bytes = a->count * rt_dtype_size(a->type);
    cJSON_AddStringToObject(j, "type", rt_array_type_name(a->type));
    cJSON_AddItemToObject(j, "shape", shape_of(a));
    if (!with_data) return j;
    if (bytes > CONSTANT_BYTES) *why = "needs a constant of more than a mebibyte";
    else if (a->type == RT_STRING) {
        cJSON *list = cJSON_AddArrayToObject(j, "texts");
        for (size_t i = 0; i < a->count; i++) cJSON_AddItemToArray(list, cJSON_CreateString(rt_array_text(a, i)));
    } else {
        char *text = to_base64(a->data, bytes);
        if (!text) rt_out_of_memory();
        cJSON_AddStringToObject(j, "data", text);
        free(text);
    }
    return j;
}

/* *has_data: what lies in it is told. */
static rt_status read_array(rt_array **out, rt_region *r, const cJSON *j, int *has_data)
{
    const cJSON *shape = cJSON_GetObjectItemCaseSensitive(j, "shape"),
                *texts = cJSON_GetObjectItemCaseSensitive(j, "texts");
    const char *data = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(j, "data"));
    rt_dtype type = type_named(cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(j, "type")));
    int64_t dim[RT_ARRAY_RANK];
    int rank = 0;
    if (type == RT_DTYPE_COUNT || !cJSON_IsArray(shape))
        return rt_fail(RT_INPUT, "an array needs \"type\" and \"shape\"");
    for (const cJSON *d = shape->child; d; d = d->next) {
        if (rank == RT_ARRAY_RANK || !cJSON_IsNumber(d) || !(d->valuedouble >= 0 && d->valuedouble <= 1 << 30))
            return rt_fail(RT_INPUT, "\"shape\" is no shape of an array");
        dim[rank++] = (int64_t)d->valuedouble;
    }
    RT_TRY(rt_array_make(out, r, type, rank, dim));
    rt_array *a = *out;
    *has_data = data || texts;
    if (data && (type == RT_STRING || !from_base64(a->data, a->count * rt_dtype_size(type), data)))
        return rt_fail(RT_INPUT, "\"data\" is not the array's elements in base64");
    for (size_t i = 0; type == RT_BOOL && i < a->count; i++) ((uint8_t *)a->data)[i] = !!((uint8_t *)a->data)[i];
    if (!texts) return RT_OK;
    if (type != RT_STRING || (size_t)cJSON_GetArraySize(texts) != a->count)
        return rt_fail(RT_INPUT, "\"texts\" are not the array's elements");
    size_t i = 0;
    for (const cJSON *t = texts->child; t; t = t->next, i++) {
        if (!cJSON_IsString(t)) return rt_fail(RT_INPUT, "\"texts\" are not the array's elements");
        if (!(((char **)a->data)[i] = rt_region_text(r, t->valuestring, strlen(t->valuestring)))) return RT_INPUT;
    }
    return RT_OK;
}

/* ---- attributes: {"NAME": {KIND: value}} ---- */

static const char *const kinds[] = {"float", "int", "string", "tensor", "graph", "floats", "ints", "strings"};

/* int64 beyond 2^53 as text. */
static cJSON *write_int(int64_t v)
{
    char text[24];
    if (v > -(1ll << 53) && v < 1ll << 53) return cJSON_CreateNumber((double)v);
    snprintf(text, sizeof text, "%lld", (long long)v);
    return cJSON_CreateString(text);
}

static cJSON *write_value(const rt_eval_attr *a, int i)
{
    switch (a->kind) {
    case RT_EA_FLOAT: case RT_EA_FLOATS: return cJSON_CreateNumber((double)a->f[i]);
    case RT_EA_INT: case RT_EA_INTS: return write_int(a->i[i]);
    default: return cJSON_CreateString(a->s[i]);
    }
}

static cJSON *write_attribute(const rt_eval_attr *a, const char **why)
{
    cJSON *j = cJSON_CreateObject();
    if (a->kind == RT_EA_GRAPH) *why = "has a body";
    else if (a->kind == RT_EA_TENSOR) cJSON_AddItemToObject(j, "tensor", write_array(a->t, 1, why));
    else if (a->kind < RT_EA_FLOATS) cJSON_AddItemToObject(j, kinds[a->kind], write_value(a, 0));
    else {
        cJSON *list = cJSON_AddArrayToObject(j, kinds[a->kind]);
        for (int i = 0; i < a->n; i++) cJSON_AddItemToArray(list, write_value(a, i));
    }
    return j;
}

static rt_status read_value(const cJSON *j, rt_eval_attr_kind kind, float *f, int64_t *i, const char **s, rt_region *r)
{
    char *end = NULL;
    if ((kind == RT_EA_FLOAT || kind == RT_EA_FLOATS) && cJSON_IsNumber(j)) *f = (float)j->valuedouble;
    else if ((kind == RT_EA_INT || kind == RT_EA_INTS) && cJSON_IsNumber(j) && j->valuedouble > -9e15 &&
             j->valuedouble < 9e15)
        *i = (int64_t)j->valuedouble;
    else if ((kind == RT_EA_INT || kind == RT_EA_INTS) && cJSON_IsString(j)) *i = strtoll(j->valuestring, &end, 10);
    else if ((kind == RT_EA_STRING || kind == RT_EA_STRINGS) && cJSON_IsString(j)) {
        if (!(*s = rt_region_text(r, j->valuestring, strlen(j->valuestring)))) return RT_INPUT;
    } else return rt_fail(RT_INPUT, "has a value of another kind");
    return end && (*end || end == j->valuestring) ? rt_fail(RT_INPUT, "has a value that is no number") : RT_OK;
}

static rt_status read_attribute(rt_eval_attr *a, rt_region *r, const cJSON *j)
{
    const cJSON *v = cJSON_IsObject(j) ? j->child : NULL;
    int kind = 0, has_data = 0;
    while (v && kind < 8 && strcmp(v->string, kinds[kind])) kind++;
    if (!v || v->next || kind == 8 || kind == RT_EA_GRAPH) return rt_fail(RT_INPUT, "{KIND: value} is expected");
    a->kind = (rt_eval_attr_kind)kind;
    a->n = 1;
    if (kind == RT_EA_TENSOR) {
        RT_TRY(read_array(&a->t, r, v, &has_data));
        return has_data || !a->t->count ? RT_OK : rt_fail(RT_INPUT, "its tensor has no data");
    }
    const cJSON *e = kind >= RT_EA_FLOATS ? v->child : v;
    if (kind >= RT_EA_FLOATS) a->n = cJSON_IsArray(v) ? cJSON_GetArraySize(v) : 0;
    float *f = rt_region_list(r, (size_t)a->n, sizeof *f);
    int64_t *i = rt_region_list(r, (size_t)a->n, sizeof *i);
    const char **s = rt_region_list(r, (size_t)a->n, sizeof *s);
    if (!f || !i || !s) return RT_INPUT;
    for (int k = 0; k < a->n && e; k++, e = e->next) RT_TRY(read_value(e, a->kind, &f[k], &i[k], &s[k], r));
    a->f = f;
    a->i = i;
    a->s = s;
    return RT_OK;
}

/* ---- the node ---- */

cJSON *rt_onnx_call_write(const rt_eval_node *n, rt_array *const *value, const char *varies, int output,
                          const char **why)
{
    cJSON *j = cJSON_CreateObject();
    *why = NULL;
    cJSON_AddStringToObject(j, "op", n->op);
    cJSON_AddStringToObject(j, "domain", n->domain);
    cJSON_AddNumberToObject(j, "opset", n->version);
    cJSON *attributes = cJSON_AddObjectToObject(j, "attributes"), *inputs = cJSON_AddArrayToObject(j, "inputs");
    for (int a = 0; a < n->attrs; a++)
        cJSON_AddItemToObject(attributes, n->attr[a].name, write_attribute(&n->attr[a], why));
    for (int i = 0; i < n->inputs; i++) {
        const rt_array *a = n->in[i] >= 0 ? value[n->in[i]] : NULL;
        cJSON_AddItemToArray(inputs, a ? write_array(a, !varies[n->in[i]], why) : cJSON_CreateNull());
    }
    cJSON_AddNumberToObject(j, "outputs", n->outputs);
    cJSON_AddNumberToObject(j, "output", output);
    if (!*why) return j;
    cJSON_Delete(j);
    return NULL;
}

static rt_status read_inputs(rt_onnx_call *c, const cJSON *list, int *in, int *count)
{
    rt_eval_graph *g = &c->graph;
    for (const cJSON *j = list->child; j; j = j->next, ++*count) {
        rt_array *a;
        int has_data = 0;
        if (*count == INPUTS) return rt_fail(RT_INPUT, "has more than %d inputs", INPUTS);
        in[*count] = -1;
        if (cJSON_IsNull(j)) continue;
        RT_TRY(read_array(&a, c->region, j, &has_data));
        in[*count] = g->values;
        if (has_data || !a->count) g->known[g->values] = a;
        else {
            if (g->inputs == RT_CALL_INPUTS || a->type == RT_STRING)
                return rt_fail(RT_INPUT, "has more than %d inputs that depend on data, or texts among them",
                               RT_CALL_INPUTS);
            if (a->count > ROW_MOST) return rt_fail(RT_INPUT, "an input has more than %d elements", ROW_MOST);
            c->in[g->inputs].type = a->type;
            c->in[g->inputs].rank = a->rank;
            memcpy(c->in[g->inputs].dim, a->dim, sizeof a->dim);
            g->input[g->inputs++] = g->values;
        }
        g->values++;
    }
    return RT_OK;
}

static rt_status read_node(rt_onnx_call *c, const cJSON *j)
{
    rt_region *r = c->region;
    rt_eval_graph *g = &c->graph;
    const char *op = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(j, "op")),
               *domain = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(j, "domain"));
    const cJSON *opset = cJSON_GetObjectItemCaseSensitive(j, "opset"),
                *inputs = cJSON_GetObjectItemCaseSensitive(j, "inputs"),
                *attributes = cJSON_GetObjectItemCaseSensitive(j, "attributes"),
                *outputs = cJSON_GetObjectItemCaseSensitive(j, "outputs"),
                *output = cJSON_GetObjectItemCaseSensitive(j, "output");
    int n = cJSON_IsNumber(outputs) ? outputs->valueint : 1, which = cJSON_IsNumber(output) ? output->valueint : 0;
    if (!op || !domain || !cJSON_IsNumber(opset) || !cJSON_IsArray(inputs) || n < 1 || n > INPUTS || which < 0 ||
        which >= n)
        return rt_fail(RT_INPUT, "needs \"op\", \"domain\", \"opset\" and \"inputs\", as an import writes them");
    rt_eval_node *node = g->node = rt_region_take(r, sizeof *node);
    int *in = rt_region_list(r, INPUTS, sizeof *in), *out = rt_region_list(r, (size_t)n, sizeof *out), count = 0;
    rt_eval_attr *attr = rt_region_list(r, ATTRIBUTES, sizeof *attr);
    g->known = rt_region_list(r, 2 * INPUTS, sizeof *g->known);
    g->value = rt_region_list(r, 2 * INPUTS, sizeof *g->value);
    g->input = rt_region_list(r, RT_CALL_INPUTS, sizeof *g->input);
    if (!node || !in || !out || !attr || !g->known || !g->value || !g->input) return RT_INPUT;
    RT_TRY(read_inputs(c, inputs, in, &count));
    for (int i = 0; i < n; i++) out[i] = i == which ? g->values : -1;
    c->output = g->values++;
    for (const cJSON *a = attributes ? attributes->child : NULL; a; a = a->next) {
        if (node->attrs == ATTRIBUTES) return rt_fail(RT_INPUT, "has more than %d attributes", ATTRIBUTES);
        rt_status st = read_attribute(&attr[node->attrs], r, a);
        if (st) return rt_fail_in(st, "attribute '%.60s'", a->string);
        if (!(attr[node->attrs++].name = rt_region_text(r, a->string, strlen(a->string)))) return RT_INPUT;
    }
    node->attr = attr;
    node->name = node->op = rt_region_text(r, op, strlen(op));
    node->domain = rt_region_text(r, domain, strlen(domain));
    node->version = opset->valueint;
    node->in = in;
    node->inputs = count;
    node->out = out;
    node->outputs = n;
    if (!node->op || !node->domain) return RT_INPUT;
    node->def = rt_eval_find(domain, op, node->version);
    if (node->def && node->def->flags & RT_EVAL_RANDOM) return rt_fail(RT_INPUT, "draws random numbers");
    g->nodes = 1;
    g->name = "";
    return rt_onnx_call_try(c);
}

rt_status rt_onnx_call_read(rt_onnx_call **out, const cJSON *j)
{
    rt_region *r = rt_region_new((size_t)64 << 20);
    *out = NULL;
    if (!r) return RT_RUN;
    rt_onnx_call *c = rt_region_take(r, sizeof *c);
    rt_status st = c ? RT_OK : RT_RUN;
    if (c) c->region = r;
    if (!st)
        st = cJSON_IsObject(j) ? read_node(c, j)
                               : rt_fail(RT_USAGE, "\"onnx\" must be an object, as an import writes it");
    if (st) rt_region_free(r);
    else *out = c;
    return st;
}

void rt_onnx_call_free(void *call) { rt_region_free(((rt_onnx_call *)call)->region); }
