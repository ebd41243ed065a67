/* experiments/eval/predictions_file.c - predictions as a file, and back. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/checks.h"
#include "data/json.h"
#include "engine/memory.h"
#include "engine/text.h"
#include "experiments/eval/predictions_parts.h"
#include "experiments/machine.h"

#define FORMAT "retort-predictions-1"
enum { SETS = 2 * (4 * RT_MAX_HEADS + RT_PREDICTIONS_COLUMNS + 3), NAME = RT_HEAD_NAME + 24 };

/* ---- writing ---- */

typedef struct {
    rt_h5_item item[SETS];
    char name[SETS][RT_H5_NAME];
    rt_check_sum sum[SETS];
    void *owned[SETS];
    int n;
} file;

/* A set of `width` elements a row (0: one, without a dimension of its own), with its checksums beside it. */
static rt_status add_set(file *f, const char *name, rt_dtype type, uint64_t rows, uint64_t width, const void *data)
{
    uint64_t bytes = type == RT_TEXT ? width : rt_dtype_size(type) * (width ? width : 1);
    rt_h5_item *it = &f->item[f->n];
    snprintf(f->name[f->n], RT_H5_NAME, "%s", name);
    *it = (rt_h5_item){.name = f->name[f->n], .type = type, .rank = 1, .dim = {rows}, .data = data};
    if (type == RT_TEXT) it->element = (uint32_t)width;
    else if (width) it->dim[it->rank++] = width;
    if (!rows) it->rank = 0;
    rt_check_sum *sum = &f->sum[f->n++];
    RT_TRY(rt_check_begin(sum, rows ? rows : 1, rows ? bytes : 1));
    rt_check_add(sum, data, rows ? rows * bytes : width);
    snprintf(f->name[f->n], RT_H5_NAME, RT_CHECKS_GROUP "%.900s", name);
    f->item[f->n] = (rt_h5_item){.name = f->name[f->n], .type = RT_U32, .rank = 1, .data = sum->crc,
                                 .dim = {rt_check_blocks(rows ? rows : 1, rows ? bytes : 1)}};
    f->n++;
    return RT_OK;
}

/* What stands in the file for a truth: masked elements as the format has them. */
static rt_status add_truth(file *f, const rt_predictions *p, int h)
{
    char name[NAME];
    const rt_target_rows *y = &p->of[h].y;
    uint64_t size = (uint64_t)p->head[h].size, n = p->rows * size;
    snprintf(name, sizeof name, "truth/%s", p->head[h].name);
    if (y->y) return add_set(f, name, RT_I32, p->rows, 0, y->y);
    if (y->labels) {
        uint8_t *copy = f->owned[f->n] = malloc(n + 1);
        if (!copy) return rt_fail(RT_RUN, "out of memory");
        for (uint64_t i = 0; i < n; i++) copy[i] = y->mask[i] ? y->labels[i] : 255;
        return add_set(f, name, RT_U8, p->rows, size, copy);
    }
    if (!y->values) return RT_OK;
    float *copy = f->owned[f->n] = malloc(n * sizeof *copy + 1);
    if (!copy) return rt_fail(RT_RUN, "out of memory");
    for (uint64_t i = 0; i < n; i++) copy[i] = y->mask[i] ? y->values[i] : NAN;
    return add_set(f, name, RT_F32, p->rows, size, copy);
}

static rt_status add_head(file *f, const rt_predictions *p, int h)
{
    char name[NAME];
    const rt_predicted *q = &p->of[h];
    snprintf(name, sizeof name, "logits/%s", p->head[h].name);
    RT_TRY(add_set(f, name, RT_F32, p->rows, (uint64_t)q->kept, q->z));
    if (q->top) {
        snprintf(name, sizeof name, "classes/%s", p->head[h].name);
        RT_TRY(add_set(f, name, RT_I32, p->rows, (uint64_t)q->kept, q->top));
        snprintf(name, sizeof name, "log_sum/%s", p->head[h].name);
        RT_TRY(add_set(f, name, RT_F32, p->rows, 0, q->log_sum));
    }
    return add_truth(f, p, h);
}

/* Names that would be a path in the file stand by their number. */
static void column_set(const rt_predictions *p, int i, char name[RT_H5_NAME])
{
    const char *own = p->column[i].name;
    int plain = strlen(own) < 200 && !strchr(own, '/') && rt_is_utf8(own);
    for (const char *c = own; *c; c++) plain &= (unsigned char)*c >= 32;
    if (plain && strcmp(own, ".")) snprintf(name, RT_H5_NAME, "slices/%s", own);
    else snprintf(name, RT_H5_NAME, "slices/column %d", i);
}

static char *manifest_of(const rt_predictions *p)
{
    char set[RT_H5_NAME];
    cJSON *m = cJSON_CreateObject(), *q = cJSON_AddObjectToObject(m, "predictions");
    cJSON_AddStringToObject(m, "format", FORMAT);
    cJSON_AddStringToObject(q, "model", p->name);
    cJSON_AddStringToObject(q, "model_file", p->path);
    cJSON_AddStringToObject(q, "model_digest", p->model.hex);
    cJSON_AddStringToObject(q, "data", p->source);
    cJSON_AddStringToObject(q, "data_digest", p->data.hex);
    cJSON_AddStringToObject(q, "rows_digest", p->of_rows.hex);
    cJSON_AddNumberToObject(q, "rows", (double)p->rows);
    cJSON_AddStringToObject(q, "id", *p->id_from ? p->id_from : "hash of the row");
    cJSON_AddBoolToObject(q, "id_is_hash", !*p->id_from);
    cJSON_AddStringToObject(q, "kernels", p->kernels);
    cJSON_AddStringToObject(q, "tool", p->tool);
    cJSON_AddNumberToObject(q, "topk", p->topk);
    if (isnan(p->seen)) cJSON_AddNullToObject(q, "rows_seen_in_training");
    else cJSON_AddNumberToObject(q, "rows_seen_in_training", p->seen);
    cJSON_AddItemToObject(q, "heads", rt_heads_to_json(p->head, p->heads));
    cJSON *columns = cJSON_AddArrayToObject(q, "slices");
    for (int i = 0; i < p->columns; i++) {
        cJSON *c = cJSON_CreateObject();
        column_set(p, i, set);
        cJSON_AddStringToObject(c, "name", p->column[i].name);
        cJSON_AddStringToObject(c, "set", set);
        cJSON_AddItemToArray(columns, c);
    }
    char *text = rt_json_text(m, 0);
    cJSON_Delete(m);
    return text;
}

static rt_status fill(file *f, const rt_predictions *p, const char *manifest)
{
    char set[RT_H5_NAME];
    RT_TRY(add_set(f, "manifest", RT_TEXT, 0, strlen(manifest), manifest));
    RT_TRY(add_set(f, "row", RT_U64, p->rows, 0, p->row));
    RT_TRY(add_set(f, "id", RT_TEXT, p->rows, (uint64_t)p->id_width, p->id));
    for (int h = 0; h < p->heads; h++) RT_TRY(add_head(f, p, h));
    for (int i = 0; i < p->columns; i++) {
        const rt_row_column *c = &p->column[i];
        column_set(p, i, set);
        RT_TRY(add_set(f, set, c->text ? RT_TEXT : RT_F64, p->rows, (uint64_t)c->width,
                       c->text ? (const void *)c->text : c->number));
    }
    return RT_OK;
}

rt_status rt_predictions_write(const rt_predictions *p, rt_output *out)
{
    int fd;
    file *f = calloc(1, sizeof *f);
    char *manifest = manifest_of(p);
    rt_status st = f && manifest ? fill(f, p, manifest) : rt_fail(RT_RUN, "out of memory");
    if (!st) st = rt_output_create(out, &fd);
    if (!st) st = rt_h5_write(fd, rt_output_path(out), FORMAT, f->item, f->n);
    if (!st) st = rt_output_commit(out);
    for (int i = 0; f && i < SETS; i++) {
        rt_check_free(&f->sum[i]);
        free(f->owned[i]);
    }
    free(manifest);
    free(f);
    return st;
}

/* ---- reading ---- */

static rt_status damaged(const rt_predictions *p, const char *what)
{ return rt_fail(RT_INPUT, "%s: is damaged: %s; make it anew with 'retort predict'", p->path, what); }

static rt_status read_manifest(rt_h5_file *f, cJSON **m)
{
    char *text = NULL;
    const rt_h5_dataset *d = rt_h5_find(f, "manifest");
    *m = NULL;
    if (!d) return RT_OK;
    RT_TRY(rt_h5_read_all((void **)&text, f, "manifest", RT_JSON_MAX_BYTES));
    rt_status st = rt_checks_whole(f, d, text, strlen(text));
    if (!st) st = rt_json_parse(m, text, strlen(text), f->path);
    free(text);
    return st;
}

static const cJSON *get(const cJSON *j, const char *key) { return cJSON_GetObjectItemCaseSensitive(j, key); }
static const char *text_of(const cJSON *j, const char *key)
{
    const char *text = cJSON_GetStringValue(get(j, key));
    return text ? text : "";
}

rt_status rt_predictions_is(const char *path, int *yes)
{
    rt_h5_file *f;
    cJSON *m;
    *yes = 0;
    RT_TRY(rt_h5_scan(&f, path));
    rt_status st = read_manifest(f, &m);
    *yes = !st && cJSON_IsObject(get(m, "predictions"));
    cJSON_Delete(m);
    rt_h5_close(f);
    return st == RT_INPUT ? RT_OK : st;
}

static int is_digest(const char *text) { return strlen(text) == 32 && strspn(text, "0123456789abcdef") == 32; }

/* A set of the file into memory: rows of `width` elements, as it was written. */
static rt_status read_set(const rt_predictions *p, rt_h5_file *f, const char *name, rt_dtype type, size_t width,
                          void *into)
{
    rt_source *s;
    size_t bytes = type == RT_TEXT ? width : rt_dtype_size(type) * width;
    char what[RT_H5_NAME + 64];
    RT_TRY(rt_source_open_in(&s, f, name));
    snprintf(what, sizeof what, "'%s' is not what the manifest says", name);
    rt_status st = rt_source_type(s) != type || rt_source_rows(s) != p->rows || rt_source_row_bytes(s) != bytes
                       ? damaged(p, what) : RT_OK;
    for (uint64_t at = 0, n; at < p->rows && !st; at += n) {
        n = p->rows - at < 1 << 16 ? p->rows - at : 1 << 16;
        st = rt_source_read_stored(s, at, n, (char *)into + at * bytes);
        if (!st) st = rt_check_stop();
    }
    rt_source_close(s);
    return st;
}

/* Memory is taken for what the file holds, not for what its manifest says. */
static rt_status check_shape(const rt_predictions *p, const rt_h5_file *f, const char *name, uint64_t width)
{
    const rt_h5_dataset *d;
    char what[RT_H5_NAME + 64];
    RT_TRY(rt_h5_need(&d, f, name));
    snprintf(what, sizeof what, "'%s' is not what the manifest says", name);
    int one = d->rank == 1 && width == 1, fits = one || (d->rank == 2 && d->dim[1] == width);
    return fits && d->dim[0] == p->rows ? RT_OK : damaged(p, what);
}

static rt_status read_truth(rt_predictions *p, rt_h5_file *f, int h)
{
    char name[NAME];
    const rt_head *head = &p->head[h];
    rt_target_rows *y = &p->of[h].y;
    uint64_t n = p->rows * (uint64_t)head->size;
    snprintf(name, sizeof name, "truth/%s", head->name);
    if (!rt_h5_find(f, name)) return RT_OK;
    RT_TRY(check_shape(p, f, name, head->task == RT_TASK_CLASSES ? 1 : (uint64_t)head->size));
    RT_TRY(rt_target_rows_new(y, head->task, head->size, (int)p->rows));
    if (head->task == RT_TASK_CLASSES) {
        RT_TRY(read_set(p, f, name, RT_I32, 1, y->y));
        for (uint64_t r = 0; r < p->rows; r++)
            if (y->y[r] < RT_NO_LABEL || y->y[r] >= head->size) return damaged(p, "a truth is no class");
        return RT_OK;
    }
    if (head->task == RT_TASK_MULTILABEL) {
        RT_TRY(read_set(p, f, name, RT_U8, (size_t)head->size, y->labels));
        for (uint64_t i = 0; i < n; i++) {
            y->mask[i] = y->labels[i] < 2;
            if (!y->mask[i]) y->labels[i] = 0;
        }
        return RT_OK;
    }
    RT_TRY(read_set(p, f, name, RT_F32, (size_t)head->size, y->values));
    for (uint64_t i = 0; i < n; i++) {
        y->mask[i] = isfinite(y->values[i]) != 0;
        if (!y->mask[i]) y->values[i] = 0;
    }
    return RT_OK;
}

static rt_status read_head(rt_predictions *p, rt_h5_file *f, int h)
{
    char name[NAME];
    rt_predicted *q = &p->of[h];
    q->there = 1;
    snprintf(name, sizeof name, "logits/%s", p->head[h].name);
    int top = p->head[h].task == RT_TASK_CLASSES && p->topk && p->topk < p->head[h].size;
    RT_TRY(check_shape(p, f, name, (uint64_t)(top ? p->topk : p->head[h].size)));
    RT_TRY(rt_predicted_room(p, h));
    uint64_t n = p->rows * (uint64_t)q->kept;
    RT_TRY(read_set(p, f, name, RT_F32, (size_t)q->kept, q->z));
    for (uint64_t i = 0; i < n; i++)
        if (!isfinite(q->z[i]))
            return rt_fail(RT_INPUT,
                           "%s: row %llu has a logit of head '%s' that is not finite: nothing can be compared "
                           "with it; make it anew with 'retort predict'",
                           p->path, (unsigned long long)p->row[i / (uint64_t)q->kept], p->head[h].name);
    if (q->top) {
        snprintf(name, sizeof name, "classes/%s", p->head[h].name);
        RT_TRY(read_set(p, f, name, RT_I32, (size_t)q->kept, q->top));
        for (uint64_t i = 0; i < n; i++)
            if (q->top[i] < 0 || q->top[i] >= p->head[h].size) return damaged(p, "an answer is no class");
        snprintf(name, sizeof name, "log_sum/%s", p->head[h].name);
        RT_TRY(read_set(p, f, name, RT_F32, 1, q->log_sum));
        for (uint64_t r = 0; r < p->rows; r++)
            if (!isfinite(q->log_sum[r])) return damaged(p, "log_sum is not finite");
    }
    return read_truth(p, f, h);
}

static rt_status read_column(rt_predictions *p, rt_h5_file *f, const cJSON *c)
{
    const rt_h5_dataset *d;
    rt_row_column *to;
    RT_TRY(rt_h5_need(&d, f, text_of(c, "set")));
    RT_TRY(check_shape(p, f, text_of(c, "set"), 1));
    int width = d->type == RT_TEXT && d->element <= RT_PREDICTIONS_ID ? (int)d->element : 0;
    RT_TRY(rt_predictions_add_column(p, text_of(c, "name"), width, &to));
    if (width) return read_set(p, f, d->name, RT_TEXT, (size_t)width, to->text);
    return read_set(p, f, d->name, RT_F64, 1, to->number);
}

static rt_status take_manifest(rt_predictions *p, const cJSON *m)
{
    const cJSON *q = get(m, "predictions"), *rows = get(q, "rows"), *topk = get(q, "topk");
    const cJSON *seen = get(q, "rows_seen_in_training");
    if (!cJSON_IsObject(q))
        return rt_fail(RT_INPUT, "%s: holds no predictions; 'retort predict' writes them", p->path);
    if (strcmp(text_of(m, "format"), FORMAT))
        return rt_fail(RT_INPUT,
                       "%s: has the format '%.40s', and this version reads %s; make it anew with 'retort predict'",
                       p->path, text_of(m, "format"), FORMAT);
    if (!cJSON_IsNumber(rows) || !(rows->valuedouble >= 1 && rows->valuedouble <= INT32_MAX) || !cJSON_IsNumber(topk) ||
        topk->valueint < 0 || !is_digest(text_of(q, "model_digest")) || !is_digest(text_of(q, "data_digest")))
        return damaged(p, "its manifest");
    p->rows = (uint64_t)rows->valuedouble;
    p->topk = topk->valueint;
    p->seen = cJSON_IsNumber(seen) ? seen->valuedouble : NAN;
    snprintf(p->name, sizeof p->name, "%s", text_of(q, "model"));
    memcpy(p->model.hex, text_of(q, "model_digest"), 33);
    memcpy(p->data.hex, text_of(q, "data_digest"), 33);
    snprintf(p->kernels, sizeof p->kernels, "%s", text_of(q, "kernels"));
    snprintf(p->tool, sizeof p->tool, "%s", text_of(q, "tool"));
    if (!cJSON_IsTrue(get(q, "id_is_hash"))) snprintf(p->id_from, sizeof p->id_from, "%s", text_of(q, "id"));
    if (!cJSON_IsTrue(get(q, "id_is_hash")) && !*p->id_from) return damaged(p, "its manifest");
    p->source = strdup(text_of(q, "data"));
    if (!p->source) return rt_fail(RT_RUN, "out of memory");
    return rt_heads_from_json(p->head, &p->heads, get(q, "heads"), p->path, "heads");
}

static rt_status read_ids(rt_predictions *p, rt_h5_file *f)
{
    const rt_h5_dataset *d;
    RT_TRY(rt_h5_need(&d, f, "id"));
    RT_TRY(check_shape(p, f, "id", 1));
    if (d->type != RT_TEXT || !d->element || d->element > RT_PREDICTIONS_ID || (!*p->id_from && d->element != 32))
        return damaged(p, "'id' is not what the manifest says");
    p->id_width = (int)d->element;
    double of_row, answers = rt_predictions_row_bytes(p, &of_row);
    RT_TRY(rt_machine_room_for(p->rows, answers + of_row, p->path, "make predictions of a part of the rows"));
    p->id = calloc(p->rows, d->element);
    p->row = calloc(p->rows, sizeof *p->row);
    if (!p->id || !p->row) return rt_fail(RT_RUN, "out of memory");
    RT_TRY(read_set(p, f, "row", RT_U64, 1, p->row));
    RT_TRY(read_set(p, f, "id", RT_TEXT, d->element, p->id));
    for (uint64_t r = 0; !*p->id_from && r < p->rows; r++) {
        char id[33];
        if (!is_digest(rt_row_text(p->id, 32, r, id))) return damaged(p, "an id is no hash");
    }
    return rt_predictions_keys(p);
}

rt_status rt_predictions_read(rt_predictions **out, const char *path)
{
    rt_h5_file *f;
    cJSON *m = NULL;
    *out = NULL;
    RT_TRY(rt_h5_scan(&f, path));
    rt_predictions *p = calloc(1, sizeof *p);
    rt_status st = p && (p->path = strdup(path)) ? read_manifest(f, &m) : rt_fail(RT_RUN, "out of memory");
    if (!st) p->stored = 1;
    if (!st) st = take_manifest(p, m);
    if (!st) st = read_ids(p, f);
    for (int h = 0; !st && h < p->heads; h++) st = read_head(p, f, h);
    for (const cJSON *c = st ? NULL : get(get(m, "predictions"), "slices"), *i = c ? c->child : NULL; i && !st;
         i = i->next)
        st = read_column(p, f, i);
    if (!st) st = rt_predictions_hash_rows(p);
    cJSON_Delete(m);
    rt_h5_close(f);
    if (st) rt_predictions_free(p);
    else *out = p;
    return st;
}
