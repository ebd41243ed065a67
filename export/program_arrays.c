/* export/program_arrays.c - the arrays of an integer program as safetensors. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/version.h"
#include "export/exporter.h"
#include "export/out_file.h"

enum { NAME = 32 };

typedef struct { char name[NAME]; int dim[4]; } own;     /* an array's name and shape */

typedef struct { rt_safe_array *a; own *o; int count; } list;

static void add(list *l, const char *name, const char *type, const int *dim, int rank, const void *data, size_t bytes)
{
    own *o = &l->o[l->count];
    snprintf(o->name, sizeof o->name, "%s", name);
    memcpy(o->dim, dim, (size_t)rank * sizeof *dim);
    l->a[l->count++] = (rt_safe_array){o->name, type, o->dim, rank, data, bytes};
}

static void add_conv(list *l, const rt_net *n, int i)
{
    const rt_net_call *c = &n->call[i];
    const int dim[] = {c->kh, c->kw, n->tensor[c->in[0]].c / c->groups, c->n};
    char name[NAME];
    snprintf(name, sizeof name, "call%d.weight", i);
    add(l, name, "I8", dim, 4, n->weight + c->weight,
        (size_t)dim[0] * (size_t)dim[1] * (size_t)dim[2] * (size_t)dim[3]);
    snprintf(name, sizeof name, "call%d.step", i);
    add(l, name, "F32", &dim[3], 1, n->step + c->channel, 4 * (size_t)c->n);
    snprintf(name, sizeof name, "call%d.bias", i);
    add(l, name, "I32", &dim[3], 1, n->bias + c->channel, 4 * (size_t)c->n);
}

static cJSON *call_json(const rt_net_call *c)
{
    static const char *const ops[RT_NET_OPS] = {"sums", "add", "multiply", "max_pool", "avg_pool", "table", "reshape",
                                                "floats"}, *const acts[] = {"none", "relu", "relu6"};
    const int pair = c->op == RT_NET_ADD || c->op == RT_NET_MUL, sums = c->op == RT_NET_CONV;
    cJSON *j = cJSON_CreateObject();
    cJSON_AddStringToObject(j, "op", ops[c->op]);
    cJSON_AddItemToObject(j, "in", cJSON_CreateIntArray(c->in, pair ? 2 : 1));
    cJSON_AddNumberToObject(j, c->out >= 0 ? "out" : "head", c->out >= 0 ? c->out : c->head);
    if (sums || c->op == RT_NET_MAX_POOL || c->op == RT_NET_AVG_POOL) {
        cJSON_AddItemToObject(j, "kernel", cJSON_CreateIntArray((const int[]){c->kh, c->kw}, 2));
        cJSON_AddItemToObject(j, "stride", cJSON_CreateIntArray((const int[]){c->sh, c->sw}, 2));
        cJSON_AddItemToObject(j, "padding", cJSON_CreateIntArray(c->pad, 4));      /* top, bottom, left, right */
    }
    if (sums) cJSON_AddNumberToObject(j, "groups", c->groups);
    if (sums) cJSON_AddNumberToObject(j, "bits", c->bits);
    if (sums || pair) cJSON_AddStringToObject(j, "act", acts[c->act]);
    if (c->op == RT_NET_MAP) cJSON_AddNumberToObject(j, "table", c->table);
    if (c->op == RT_NET_MAP) cJSON_AddNumberToObject(j, "at", c->at);
    return j;
}

static void add_text(cJSON *meta, const char *key, cJSON *value)
{
    char *text = rt_json_text(value, 0);
    if (text) cJSON_AddStringToObject(meta, key, text);
    free(text);
    cJSON_Delete(value);
}

static rt_status describe(cJSON *meta, const rt_program *p)
{
    const rt_net *n = rt_program_net(p);
    cJSON *calls = cJSON_CreateArray();
    uint8_t *bytes;
    size_t size;
    RT_TRY(rt_program_write(p, &bytes, &size));
    cJSON_AddStringToObject(meta, "creator", rt_tool());
    cJSON_AddStringToObject(meta, "program", rt_digest_of(bytes, size).hex);
    free(bytes);
    cJSON_AddStringToObject(meta, "input", n->floats ? "f32" : "u8");
    add_text(meta, "contract", cJSON_CreateNumber(RT_INT_CONTRACT));
    add_text(meta, "about", cJSON_Duplicate(rt_program_about(p), 1));
    for (int i = 0; i < n->calls; i++) cJSON_AddItemToArray(calls, call_json(&n->call[i]));
    add_text(meta, "calls", calls);
    return RT_OK;
}

rt_status rt_export_program_safetensors(const rt_program *p, rt_output *out)
{
    const rt_net *n = rt_program_net(p);
    const size_t most = 3 * (size_t)n->calls + 4;
    list l = {calloc(most, sizeof *l.a), calloc(most, sizeof *l.o), 0};
    int *shape = calloc(4 * (size_t)n->tensors, sizeof *shape), *zero = shape + 3 * n->tensors;
    float *scale = calloc((size_t)n->tensors, sizeof *scale);
    cJSON *meta = cJSON_CreateObject();
    rt_status st = l.a && l.o && shape && scale ? describe(meta, p) : rt_fail(RT_RUN, "out of memory");
    if (!st) {
        for (int t = 0; t < n->tensors; t++) {
            const rt_net_tensor *x = &n->tensor[t];
            memcpy(&shape[3 * t], (const int[]){x->h, x->w, x->c}, 3 * sizeof *shape);
            zero[t] = x->q.zero;
            scale[t] = x->q.scale;
        }
        const int tensors[] = {n->tensors, 3}, tables[] = {n->tables, 256};
        add(&l, "tensor.shape", "I32", tensors, 2, shape, 12 * (size_t)n->tensors);
        add(&l, "tensor.scale", "F32", tensors, 1, scale, 4 * (size_t)n->tensors);
        add(&l, "tensor.zero", "I32", tensors, 1, zero, 4 * (size_t)n->tensors);
        if (n->tables) add(&l, "table", "U8", tables, 2, n->table, 256 * (size_t)n->tables);
        for (int i = 0; i < n->calls; i++) if (n->call[i].op == RT_NET_CONV) add_conv(&l, n, i);
        st = rt_write_safetensors(out, meta, l.a, l.count);
    } else cJSON_Delete(meta);
    free(l.a);
    free(l.o);
    free(shape);
    free(scale);
    return st;
}
