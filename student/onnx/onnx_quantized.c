#include "student/onnx/onnx_quantized.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "student/onnx/onnx_integer.h"
#include "student/program.h"

const char *rt_onnx_meta_of(const rt_onnx_file *f, const char *key)
{
    for (int i = 0; i < f->metas; i++) if (!strcmp(f->meta[i].key, key)) return f->meta[i].value;
    return NULL;
}

int rt_onnx_is_own_program(const rt_onnx_file *f)
{ return rt_onnx_meta_of(f, "integer") && rt_onnx_meta_of(f, "heads") && rt_onnx_meta_of(f, "program"); }

/* JSON of the metadata; NULL: there is none, or it is damaged. */
static cJSON *parsed(const rt_onnx_file *f, const char *key)
{
    const char *text = rt_onnx_meta_of(f, key);
    cJSON *j = NULL;
    return text && !rt_json_parse(&j, text, strlen(text), key) ? j : NULL;
}

static void say(cJSON *notes, const char *fmt, const char *why)
{
    char text[600];
    if (!notes) return;
    snprintf(text, sizeof text, fmt, why);
    cJSON_AddItemToArray(notes, cJSON_CreateString(text));
}

/* Names of classes, as an own file has them of its heads; other heads have none. */
static int own_heads(const rt_onnx_quantized_spec *s, rt_head *head)
{
    int count = 0;
    cJSON *list = s->own ? parsed(s->file, "heads") : NULL;
    if (list && rt_heads_from_json(head, &count, list, "its metadata", "heads")) count = 0;
    cJSON_Delete(list);
    if (count == s->outputs) return count;
    rt_heads_free(head, count);
    return 0;
}

rt_status rt_onnx_quantized(rt_model **out, const rt_onnx_quantized_spec *s, cJSON *notes)
{
    rt_head head[RT_MAX_HEADS] = {{0}};
    const char *why;
    cJSON *normalization = NULL;
    *out = NULL;
    if (!rt_onnx_is_quantized(s->row)) return RT_OK;
    rt_onnx_integer_spec spec = {.row = s->row, .in = s->in, .input = -1, .output = s->output, .outputs = s->outputs,
                                 .head = head};
    int data = 0, own = own_heads(s, head);
    for (int i = 0; i < s->row->graph->inputs; i++) {
        if (s->bound[i].role != RT_ONNX_DATA) continue;
        spec.input = data++ ? -1 : i;
    }
    for (int h = 0; h < s->outputs && !own; h++)
        head[h] = (rt_head){.name = (char *)(uintptr_t)s->head[h], .task = s->task[h]};
    if (rt_onnx_is_own_program(s->file)) {
        spec.own = rt_onnx_meta_of(s->file, "integer");
        spec.normalization = normalization = parsed(s->file, "normalization");
    }
    rt_status st = rt_onnx_integer(out, &spec, &why);
    cJSON_Delete(normalization);
    if (own) rt_heads_free(head, own);
    if (!st && !*out)
        say(notes, "its quantized operators are layers by themselves, as it is no integer program: %s", why);
    else if (!st) say(notes, "its quantizers are those of an integer program: a quantized model%s", "");
    return st;
}

static rt_status take_columns(rt_model *m, const rt_onnx_file *f)
{
    cJSON *list = parsed(f, "columns");
    rt_names names = {0};
    if (!list) return RT_OK;
    rt_status st = rt_names_from_json(&names, list, NULL, "columns");
    if (!st && names.count == (int)m->input[0].size) st = rt_model_set_columns(m, 0, &names);
    rt_names_free(&names);
    cJSON_Delete(list);
    return st;
}

rt_status rt_onnx_keep_program(rt_model *m, const rt_onnx_file *f, cJSON *notes)
{
    const char *model = rt_onnx_meta_of(f, "model"), *told = rt_onnx_meta_of(f, "program");
    cJSON *onnx = cJSON_GetObjectItemCaseSensitive(m->provenance, "onnx"), *was = parsed(f, "provenance");
    rt_program *p;
    uint8_t *bytes;
    size_t n;
    RT_TRY(take_columns(m, f));
    cJSON *from = cJSON_AddObjectToObject(onnx, "stands_for");
    cJSON_AddStringToObject(from, "as", rt_model_digest(m).hex);
    if (model) cJSON_AddStringToObject(from, "model", model);
    cJSON_AddItemToObject(from, "provenance", was ? was : cJSON_CreateObject());
    RT_TRY(rt_program_of(&p, m));
    rt_status st = rt_program_write(p, &bytes, &n);
    rt_program_free(p);
    if (st) return st;
    int same = told && !strcmp(rt_digest_of(bytes, n).hex, told);
    free(bytes);
    if (!same) cJSON_DeleteItemFromObjectCaseSensitive(onnx, "stands_for");
    say(notes, same ? "its integer program is the one that was exported, to the byte%s"
                    : "its integer program is not the one that was exported: the file was changed since%s", "");
    return RT_OK;
}
