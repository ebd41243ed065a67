#include "data/targets.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/source_files.h"

struct rt_targets {
    rt_source *y;
    rt_task task;
    int size;                          /* elements that the head wants */
    size_t at, row_bytes;              /* bytes: of the first of them in a row; of a row of the set */
    rt_names data, model;
    rt_match match;
    uint64_t first, end;               /* rows that have labels */
    int *map;                          /* the file's class to the model's; NULL: the file names none */
    int *pick;                         /* column of each of the head's labels or values; NULL: as they stand */
    int unnamed; /* they stand as they do for want of names in the file, though the head has some */
};

/* Labels and values by name, where the file names the set's columns and the head its own. */
static rt_status match_columns(rt_targets *t, const rt_target_where *w, int columns)
{
    rt_names names;
    if (t->match != RT_MATCH_NAMES || !t->model.name) return RT_OK;
    RT_TRY(rt_names_read_targets(rt_source_file(t->y), w->set, &names));
    rt_status st = RT_OK;
    if (names.name && names.count != columns)
        st = rt_fail(RT_INPUT, "%s: its manifest names %d columns of '%s', which has %d", rt_source_path(t->y),
                     names.count, w->set, columns);
    else if (!names.name) t->unnamed = columns > 1;
    else st = rt_names_map(&t->pick, &t->model, &names, t->task == RT_TASK_REAL ? "output" : "label");
    rt_names_free(&names);
    return st;
}

/* Whether a row of the set, or the column of it, is what the head wants. */
static rt_status check_shape(rt_targets *t, const rt_target_where *w)
{
    const char *path = rt_source_path(t->y), *name = rt_source_info(t->y)->name;
    rt_dtype type = rt_source_type(t->y);
    size_t size = rt_dtype_size(type), is = size ? t->row_bytes / size : 0;
    if (type == RT_TEXT)
        return rt_fail(RT_INPUT, "%s: data set '%s' is text; labels are whole numbers, and \"classes\" of the manifest "
                       "names them", path, name);
    if (w->column >= 0 && (size_t)w->column >= is)
        return rt_fail(RT_INPUT, "%s: data set '%s' has %zu columns, so there is no column %d (from 0)", path, name, is,
                       w->column);
    if (w->column >= 0) {
        t->at = (size_t)w->column * size;
        is = 1;
    }
    if (t->task == RT_TASK_CLASSES && is != 1)
        return rt_fail(RT_INPUT,
                       "%s: data set '%s' does not hold one whole number a row, but %zu; of one-hot rows, keep "
                       "np.argmax(y, axis=1)",
                       path, name, is);
    if (t->task != RT_TASK_CLASSES && w->column < 0) RT_TRY(match_columns(t, w, (int)is));
    if (t->task != RT_TASK_CLASSES && !t->pick && is != (size_t)t->size)
        return rt_fail(RT_INPUT, "%s: data set '%s' holds %zu values a row, the head has %d outputs", path, name, is,
                       t->size);
    return RT_OK;
}

int rt_targets_named(const rt_h5_file *f, const char *set, int only)
{ return !strcmp(set, "y") || (only && !rt_h5_find(f, "y")); }

rt_status rt_targets_open_head(rt_targets **out, const rt_source *x, const rt_target_where *w, const rt_head *head,
                               rt_match match)
{
    *out = NULL;
    rt_targets *t = calloc(1, sizeof *t);
    if (!t) return rt_fail(RT_RUN, "out of memory");
    t->match = match;
    t->end = UINT64_MAX;
    t->task = head->task;
    t->size = head->size;
    rt_status st = w->source ? rt_source_open(&t->y, w->source, w->set)
                             : rt_source_open_in(&t->y, rt_source_file(x), w->set);
    if (!st && rt_source_rows(t->y) != rt_source_rows(x))
        st = rt_fail(RT_INPUT, "%s: '%s' has %" PRIu64 " rows, '%s' has %" PRIu64, rt_source_path(t->y), w->set,
                     rt_source_rows(t->y), rt_source_info(x)->name, rt_source_rows(x));
    if (!st) t->row_bytes = rt_source_row_bytes(t->y);
    if (!st) st = rt_names_copy(&t->model, &head->names);
    if (!st) st = check_shape(t, w);
    if (!st && head->task == RT_TASK_CLASSES && rt_targets_named(rt_source_file(t->y), w->set, w->only))
        st = rt_names_read(rt_source_file(t->y), &t->data, NULL);
    if (!st && match == RT_MATCH_NAMES && t->data.name) st = rt_names_map(&t->map, &t->data, &t->model, "class");
    if (st) rt_targets_close(t);
    else *out = t;
    return st;
}

rt_status rt_targets_open(rt_targets **out, const rt_source *x, const char *name, const rt_names *model, rt_match match)
{
    rt_target_where w = {.set = name, .column = -1, .only = 1};
    rt_head head = {.task = RT_TASK_CLASSES, .size = model->count, .names = *model};
    return rt_targets_open_head(out, x, &w, &head, match);
}

/* ---- where they lie ---- */

/* key: "targets", or "y" of one head alone. */
static void read_where(rt_cfg *c, cJSON *item, const char *key, const char *head, rt_target_where *w)
{
    char path[RT_HEAD_NAME + 24];
    int y = !strcmp(key, "y");
    snprintf(path, sizeof path, y ? "data.y" : "data.targets.%s", head);
    if (cJSON_IsString(item)) {                         /* "": none */
        w->set = item->valuestring;
        return;
    }
    if (!cJSON_IsObject(item)) {
        rt_cfg_fail(c, key, y ? "a data set's name is expected, or {\"source\", \"set\", \"column\"}"
                              : "{\"HEAD\": \"data set\"} is expected, or {\"HEAD\": {\"source\", \"set\", "
                                "\"column\"}}");
        return;
    }
    rt_cfg one = rt_cfg_begin(item, path);
    if (rt_cfg_any(&one, "source")) w->source = rt_cfg_source(&one, "source", NULL);
    w->set = rt_cfg_file(&one, "set", head);
    w->column = rt_cfg_any(&one, "column") ? rt_cfg_int(&one, "column", 0, 0, 1 << 24) : -1;
    rt_cfg_join(c, &one);
}

int rt_target_sources(const cJSON *data, const char **list, int n)
{
    const cJSON *y = cJSON_GetObjectItemCaseSensitive(data, "y"),
                *t = cJSON_GetObjectItemCaseSensitive(data, "targets");
    int most = n + RT_TARGET_SOURCES;
    const char *of_y = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(y, "source"));
    if (of_y) list[n++] = of_y;
    for (const cJSON *c = cJSON_IsObject(t) ? t->child : NULL; c && n < most; c = c->next) {
        rt_cfg one = rt_cfg_begin((cJSON *)(uintptr_t)c, "");
        const char *of = cJSON_IsObject(c) ? rt_cfg_source(&one, "source", "") : "";
        if (*of) list[n++] = of;
    }
    return n;
}

int rt_target_y_read(rt_cfg *data, rt_target_where *y)
{
    *y = (rt_target_where){.set = "", .column = -1};
    if (!rt_cfg_has(data, "y")) return 0;
    read_where(data, rt_cfg_any(data, "y"), "y", "y", y);
    return 1;
}

void rt_target_where_read(rt_cfg *data, const rt_head *head, int heads, const rt_target_where *y,
                          rt_target_where where[RT_MAX_HEADS], int given[RT_MAX_HEADS])
{
    int of_classes = 0;
    for (int h = 0; h < heads; h++) of_classes += head[h].task == RT_TASK_CLASSES;
    for (int h = 0; h < heads; h++) {
        int single = heads == 1 && y;
        where[h] = single ? *y : (rt_target_where){.set = head[h].name, .column = -1};
        where[h].only = of_classes == 1;
        given[h] = single;
    }
    if (heads > 1 && y)
        rt_cfg_fail(data, "y", "the model has several heads; data.targets names the data set of each");
    cJSON *targets = rt_cfg_has(data, "targets") ? rt_cfg_any(data, "targets") : NULL;
    if (targets && y) rt_cfg_fail(data, "targets", "give either data.y or data.targets, not both");
    if (targets && !cJSON_IsObject(targets))
        rt_cfg_fail(data, "targets", "{\"HEAD\": \"data set\"} is expected, or {\"HEAD\": {\"source\", \"set\", "
                    "\"column\"}}");
    for (cJSON *t = cJSON_IsObject(targets) ? targets->child : NULL; t && !data->status && heads; t = t->next) {
        char text[RT_NAMES_TEXT], what[RT_NAMES_TEXT + 120];
        int h = 0;
        while (h < heads && strcmp(head[h].name, t->string)) h++;
        snprintf(what, sizeof what, "the model has no head '%.60s'; its heads: %s", t->string,
                 rt_heads_text(head, heads, text));
        if (h == heads) rt_cfg_fail(data, "targets", what);
        else {
            read_where(data, t, "targets", head[h].name, &where[h]);
            given[h] = 1;
        }
    }
}

void rt_targets_limit(rt_targets *t, uint64_t first, uint64_t end)
{
    t->first = first;
    t->end = end;
}

void rt_targets_close(rt_targets *t)
{
    if (!t) return;
    rt_source_close(t->y);
    rt_names_free(&t->data);
    rt_names_free(&t->model);
    free(t->map);
    free(t->pick);
    free(t);
}

rt_task rt_targets_task(const rt_targets *t) { return t->task; }

int rt_targets_unnamed(const rt_targets *t, const char *head, char text[RT_TARGETS_TEXT])
{
    char names[RT_NAMES_TEXT];
    if (t->unnamed)
        snprintf(
            text, RT_TARGETS_TEXT,
            "head '%s': the data names no columns of '%s', which are taken in the head's order: %s; \"targets\" of "
            "its manifest would name them",
            head, rt_source_info(t->y)->name, rt_names_text(&t->model, names));
    return t->unnamed;
}

int rt_targets_classes(const rt_targets *t) { return t->model.count; }
const char *rt_targets_path(const rt_targets *t) { return rt_source_path(t->y); }
const char *rt_targets_set(const rt_targets *t) { return rt_source_info(t->y)->name; }

/* The whole number at p: 0 when it is none or beyond what a class can be. */
static int whole(const void *p, rt_dtype type, int64_t *v)
{
    double d;
    float f;
    switch (type) {
    case RT_U8: *v = *(const uint8_t *)p; return 1;
    case RT_I8: *v = *(const int8_t *)p; return 1;
    case RT_U16: { uint16_t w; memcpy(&w, p, sizeof w); *v = w; return 1; }
    case RT_I16: { int16_t w; memcpy(&w, p, sizeof w); *v = w; return 1; }
    case RT_U32: { uint32_t w; memcpy(&w, p, sizeof w); *v = w; return 1; }
    case RT_I32: { int32_t w; memcpy(&w, p, sizeof w); *v = w; return 1; }
    case RT_I64: memcpy(v, p, sizeof *v); return 1;
    case RT_U64: { uint64_t w; memcpy(&w, p, sizeof w); *v = (int64_t)w; return w <= INT64_MAX; }
    case RT_F64: memcpy(&d, p, sizeof d); break;
    default: rt_to_float(&f, p, type, 1); d = f;
    }
    if (isnan(d)) *v = RT_NO_LABEL;
    else if (!(fabs(d) <= INT32_MAX) || d != floor(d)) return 0;
    else *v = (int64_t)d;
    return 1;
}

/* What a label means to the model, -1 when it means nothing. */
static int meaning(const rt_targets *t, int64_t v)
{
    char name[24];
    if (v < 0) return -1;
    if (t->map) return v < t->data.count ? t->map[v] : -1;
    if (t->match == RT_MATCH_POSITION || !t->model.name) return v < t->model.count ? (int)v : -1;
    snprintf(name, sizeof name, "%" PRId64, v);
    return rt_names_find(&t->model, name);
}

static rt_status refuse(const rt_targets *t, uint64_t row, const char *label, int64_t v, int is_whole)
{
    char a[RT_NAMES_TEXT], b[RT_NAMES_TEXT], what[1200];
    const char *path = rt_source_path(t->y), *set = rt_source_info(t->y)->name;
    if (!is_whole)
        return rt_fail(RT_INPUT, "%s: row %" PRIu64 " of '%s' is %s, which is no class number", path, row, set, label);
    snprintf(what, sizeof what, "%s: row %" PRIu64 " has the label %" PRId64, path, row, v);
    if (v < 0) return rt_fail(RT_INPUT, "%s; a row without a label has -1", what);
    if (t->data.name && t->match == RT_MATCH_NAMES)
        return rt_fail(RT_INPUT, "%s, but the file names %d classes (from 0): %s", what, t->data.count,
                       rt_names_text(&t->data, a));
    if (!t->model.name || t->match == RT_MATCH_POSITION)
        return rt_fail(RT_INPUT, "%s, but there are %d classes (0 to %d)%s", what, t->model.count, t->model.count - 1,
                       v == t->model.count ? "; if they are numbered from 1, subtract 1" : "");
    return rt_fail(RT_INPUT, "%s, which is not among the classes of %s; classes of %s: %s; of the model: %s; name the "
                   "file's classes (\"classes\" of its manifest), or take them by number with data.names=position",
                   what, t->model.of ? t->model.of : "the model", path, rt_names_text(&t->data, a),
                   rt_names_text(&t->model, b));
}

static double number(const void *p, rt_dtype type)
{
    double d;
    float f;
    if (type == RT_F64) memcpy(&d, p, sizeof d);
    else {
        rt_to_float(&f, p, type, 1);
        d = f;
    }
    return d;
}

static rt_status take_class(const rt_targets *t, const void *p, rt_dtype type, uint64_t row, int32_t *y)
{
    int64_t v = 0;
    char label[40];
    int is_whole = whole(p, type, &v);
    *y = is_whole && v != RT_NO_LABEL ? meaning(t, v) : -1;
    if (*y >= 0) return RT_OK;
    if (is_whole && v == RT_NO_LABEL) {
        *y = RT_NO_LABEL;
        return RT_OK;
    }
    snprintf(label, sizeof label, "%.9g", number(p, type));
    return refuse(t, row, label, v, is_whole);
}

/* Element i of a row of labels or values. */
static rt_status take_element(const rt_targets *t, const void *p, rt_dtype type, uint64_t row, size_t i, size_t at,
                              rt_target_rows *out)
{
    int64_t v = 0;
    double d = number(p, type);
    float f = (float)d;
    if (t->task == RT_TASK_REAL) {
        out->mask[at] = !isnan(d);
        out->values[at] = isnan(d) ? 0 : f;
        if (isnan(d) || isfinite(f)) return RT_OK;
    } else {
        int good = whole(p, type, &v) && v >= -1 && v <= 1;
        out->mask[at] = good && v != RT_NO_LABEL;
        out->labels[at] = good && v == 1;
        if (good) return RT_OK;
    }
    return rt_fail(RT_INPUT, "%s: row %" PRIu64 " of '%s', column %zu, is %.9g; %s", rt_source_path(t->y), row,
                   rt_source_info(t->y)->name, i, d,
                   t->task == RT_TASK_REAL ? "a finite number is expected, or NaN where there is no target"
                                           : "labels are 0 or 1, or -1 where it is not known");
}

rt_status rt_targets_read_rows(const rt_targets *t, const uint64_t *row, int n, rt_target_rows *out)
{
    enum { BYTES = 1 << 16 };
    rt_dtype type = rt_source_type(t->y);
    size_t size = rt_dtype_size(type), k = t->task == RT_TASK_CLASSES ? 1 : (size_t)t->size;
    int at_once = t->row_bytes < BYTES ? (int)(BYTES / t->row_bytes) : 1;
    char *raw = malloc((size_t)at_once * t->row_bytes);
    rt_status st = raw ? RT_OK : rt_fail(RT_RUN, "out of memory");
    for (int at = 0; at < n && !st; at += at_once) {
        int count = n - at < at_once ? n - at : at_once;
        st = rt_source_read(t->y, row + at, count, raw);
        for (int r = 0; r < count && !st; r++) {
            const char *p = raw + (size_t)r * t->row_bytes + t->at;
            size_t first = (size_t)(at + r) * k;
            if (row[at + r] < t->first || row[at + r] >= t->end) {
                if (t->task == RT_TASK_CLASSES) out->y[at + r] = RT_NO_LABEL;
                else memset(out->mask + first, 0, k);
                if (out->labels) memset(out->labels + first, 0, k);
                if (out->values) memset(out->values + first, 0, k * sizeof *out->values);
                continue;
            }
            if (t->task == RT_TASK_CLASSES) st = take_class(t, p, type, row[at + r], &out->y[at + r]);
            for (size_t i = 0; i < k && !st && t->task != RT_TASK_CLASSES; i++)
                st = take_element(t, p + (t->pick ? (size_t)t->pick[i] : i) * size, type, row[at + r], i, first + i,
                                  out);
        }
    }
    free(raw);
    return st;
}

rt_status rt_targets_read(const rt_targets *t, const uint64_t *row, int n, int32_t *y)
{
    rt_target_rows out = {.y = y};
    return rt_targets_read_rows(t, row, n, &out);
}

/* ---- rows of them ---- */

rt_status rt_target_rows_new(rt_target_rows *t, rt_task task, int size, int rows)
{
    size_t n = (size_t)rows * (size_t)size + 1;
    *t = (rt_target_rows){0};
    switch (task) {
    case RT_TASK_CLASSES: t->y = malloc(((size_t)rows + 1) * sizeof *t->y); break;
    case RT_TASK_MULTILABEL: t->labels = malloc(n); break;
    case RT_TASK_REAL: t->values = malloc(n * sizeof *t->values); break;
    case RT_TASK_COUNT: break;
    }
    if (task != RT_TASK_CLASSES) t->mask = malloc(n);
    if (t->y || (t->mask && (t->labels || t->values))) return RT_OK;
    rt_target_rows_free(t);
    return rt_fail(RT_RUN, "out of memory");
}

void rt_target_rows_free(rt_target_rows *t)
{
    free(t->y);
    free(t->labels);
    free(t->values);
    free(t->mask);
    *t = (rt_target_rows){0};
}

int rt_target_has(const rt_target_rows *t, rt_task task, int size, int r)
{
    if (task == RT_TASK_CLASSES) return t->y[r] != RT_NO_LABEL;
    return memchr(t->mask + (size_t)r * (size_t)size, 1, (size_t)size) != NULL;
}
