#include "data/targets.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { AT_ONCE = 512 };

struct rt_targets {
    rt_source *y;
    rt_names data, model;
    rt_match match;
    uint64_t first, end;               /* rows that have labels */
    int *map;                          /* the file's class to the model's; NULL: the file names none */
};

rt_status rt_targets_open(rt_targets **out, const rt_source *x, const char *name, const rt_names *model, rt_match match)
{
    *out = NULL;
    const char *path = rt_source_path(x);
    rt_targets *t = calloc(1, sizeof *t);
    if (!t) return rt_fail(RT_RUN, "out of memory");
    t->match = match;
    t->end = UINT64_MAX;
    rt_status st = rt_source_open_in(&t->y, rt_source_file(x), name);
    if (!st && rt_source_rows(t->y) != rt_source_rows(x))
        st = rt_fail(RT_INPUT, "%s: '%s' has %" PRIu64 " rows, '%s' has %" PRIu64, path, name, rt_source_rows(t->y),
                     rt_source_info(x)->name, rt_source_rows(x));
    if (!st && rt_source_type(t->y) == RT_TEXT)
        st = rt_fail(RT_INPUT, "%s: data set '%s' is text; labels are whole numbers, and \"classes\" of the manifest "
                     "names them", path, name);
    if (!st && rt_source_row_bytes(t->y) != rt_dtype_size(rt_source_type(t->y)))
        st = rt_fail(RT_INPUT, "%s: data set '%s' does not hold one whole number a row, but %zu; of one-hot rows, keep "
                     "np.argmax(y, axis=1)", path, name,
                     rt_source_row_bytes(t->y) / rt_dtype_size(rt_source_type(t->y)));
    if (!st) st = rt_names_copy(&t->model, model);
    if (!st) st = rt_names_read(rt_source_file(x), &t->data, NULL);
    if (!st && match == RT_MATCH_NAMES && t->data.name) st = rt_names_map(&t->map, &t->data, &t->model, "class");
    if (st) rt_targets_close(t);
    else *out = t;
    return st;
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
    free(t);
}

int rt_targets_classes(const rt_targets *t) { return t->model.count; }
const char *rt_targets_path(const rt_targets *t) { return rt_source_path(t->y); }

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

rt_status rt_targets_read(const rt_targets *t, const uint64_t *row, int n, int32_t *y)
{
    rt_dtype type = rt_source_type(t->y);
    size_t size = rt_dtype_size(type);
    char raw[AT_ONCE * 8];
    for (int at = 0; at < n; at += AT_ONCE) {
        int count = n - at < AT_ONCE ? n - at : AT_ONCE;
        RT_TRY(rt_source_read(t->y, row + at, count, raw));
        for (int i = 0; i < count; i++) {
            int64_t v = 0;
            int is_whole = whole(raw + (size_t)i * size, type, &v);
            if ((is_whole && v == RT_NO_LABEL) || row[at + i] < t->first || row[at + i] >= t->end) {
                y[at + i] = RT_NO_LABEL;
                continue;
            }
            y[at + i] = is_whole ? meaning(t, v) : -1;
            if (y[at + i] >= 0) continue;
            char label[40];
            double d;
            if (type == RT_F64) memcpy(&d, raw + (size_t)i * size, sizeof d);
            else {
                float f;
                rt_to_float(&f, raw + (size_t)i * size, type, 1);
                d = f;
            }
            snprintf(label, sizeof label, "%.9g", d);
            return refuse(t, row[at + i], label, v, is_whole);
        }
    }
    return RT_OK;
}
