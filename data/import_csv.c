/* data/import_csv.c - CSV through libcsv: numeric columns to f32 rows, one column to classes. */
#include <csv.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/import.h"

enum { MAX_CLASSES = 65536, MAX_COLUMNS = 1 << 16 };

typedef struct {
    const char *path, *label;
    rt_table *t;
    char **cell;               /* of the record in hand */
    int cells, cell_room;
    int columns, label_at;     /* of the table; label_at -1: none */
    int has_header, first;
    uint64_t line, rows, room;
    int label_room;
    rt_status status;
} reader;

static int is_number(const char *s, double *v)
{
    char *stop;
    s += strspn(s, " \t");
    if (!*s) return 0;
    *v = strtod(s, &stop);
    return stop[strspn(stop, " \t")] == 0;
}

static void each_cell(void *text, size_t n, void *arg)
{
    reader *r = arg;
    if (r->status) return;
    if (r->cells == MAX_COLUMNS) {
        r->status = rt_fail(RT_INPUT, "%s: record %llu has more than %d columns", r->path, (unsigned long long)r->line + 1, MAX_COLUMNS);
        return;
    }
    if (r->cells == r->cell_room) {
        int room = r->cell_room ? 2 * r->cell_room : 64;
        char **q = realloc(r->cell, (size_t)room * sizeof *q);
        if (!q) { r->status = rt_fail(RT_RUN, "out of memory"); return; }
        r->cell = q;
        r->cell_room = room;
    }
    r->cell[r->cells] = strndup(text ? text : "", text ? n : 0);
    if (!r->cell[r->cells++]) r->status = rt_fail(RT_RUN, "out of memory");
}

static void find_label(reader *r)
{
    char *stop;
    r->label_at = -1;
    if (!r->label) return;
    for (int i = 0; i < r->cells && r->has_header; i++) if (strcmp(r->cell[i], r->label) == 0) r->label_at = i;
    if (r->label_at >= 0) return;
    long v = strtol(r->label, &stop, 10);
    if (*r->label && !*stop && v < r->cells && v >= -r->cells) r->label_at = (int)(v < 0 ? v + r->cells : v);
    else r->status = rt_fail(RT_USAGE, "%s: there is no column '%s'; give a name from the header or a number from 0 to %d (-1 is the last)", r->path, r->label, r->cells - 1);
}

/* A first record with a cell that is no number, other than the label's, is a header. */
static void look_at_first(reader *r)
{
    double v;
    int words = 0, by_name = 0, named = r->label && !is_number(r->label, &v);
    for (int i = 0; i < r->cells; i++) {
        words += !is_number(r->cell[i], &v);
        by_name |= named && strcmp(r->cell[i], r->label) == 0;
    }
    r->has_header = by_name || words > (r->label ? 1 : 0) || (words == r->cells && r->cells > 0);
    r->columns = r->cells;
    find_label(r);
}

static int class_of(reader *r, const char *name)
{
    name += strspn(name, " \t");
    for (int i = 0; i < r->t->classes; i++) if (strcmp(r->t->class_name[i], name) == 0) return i;
    if (r->t->classes == MAX_CLASSES) {
        r->status = rt_fail(RT_INPUT, "%s: the label column has more than %d different values; is it the right column?", r->path, MAX_CLASSES);
        return 0;
    }
    if (r->t->classes == r->label_room) {
        r->label_room = r->label_room ? 2 * r->label_room : 16;
        char **q = realloc(r->t->class_name, (size_t)r->label_room * sizeof *q);
        if (!q) { r->status = rt_fail(RT_RUN, "out of memory"); return 0; }
        r->t->class_name = q;
    }
    r->t->class_name[r->t->classes] = strdup(name);
    return r->t->classes++;
}

static void take_row(reader *r)
{
    int features = r->columns - (r->label_at >= 0);
    if (r->cells != r->columns) {
        r->status = rt_fail(RT_INPUT, "%s: record %llu has %d columns, the first has %d", r->path, (unsigned long long)r->line, r->cells, r->columns);
        return;
    }
    if (r->rows == r->room) {
        uint64_t room = r->room ? 2 * r->room : 1024;
        float *x = realloc(r->t->x, room * (size_t)(features ? features : 1) * sizeof *x);
        if (x) r->t->x = x;
        int32_t *y = realloc(r->t->y, room * sizeof *y);
        if (y) r->t->y = y;
        if (!x || !y) { r->status = rt_fail(RT_RUN, "out of memory"); return; }
        r->room = room;
    }
    float *x = (float *)r->t->x + r->rows * (size_t)features;
    for (int i = 0, k = 0; i < r->cells && !r->status; i++) {
        double v;
        if (i == r->label_at) r->t->y[r->rows] = class_of(r, r->cell[i]);
        else if (is_number(r->cell[i], &v) && isfinite((float)v)) x[k++] = (float)v;
        else r->status = rt_fail(RT_INPUT, "%s: record %llu, column %d: '%.40s' is not a finite number; encode text columns as numbers and fill gaps before importing", r->path, (unsigned long long)r->line, i + 1, r->cell[i]);
    }
    r->rows++;
}

static void each_record(int end, void *arg)
{
    reader *r = arg;
    (void)end;
    r->line++;
    if (!r->status && r->cells) {
        int first = r->first;
        if (first) look_at_first(r);
        r->first = 0;
        if (!r->status && !(first && r->has_header)) take_row(r);
    }
    for (int i = 0; i < r->cells; i++) free(r->cell[i]);
    r->cells = 0;
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }
static int by_value(const void *a, const void *b)
{
    double x = atof(*(char *const *)a), y = atof(*(char *const *)b);
    return x < y ? -1 : x > y;
}

/* Classes are numbered in the order of their names (of their values when all are numbers), not of their appearance. */
static rt_status order_classes(reader *r)
{
    rt_table *t = r->t;
    char **old = malloc(((size_t)t->classes + 1) * sizeof *old);
    int32_t *to = malloc(((size_t)t->classes + 1) * sizeof *to);
    if (!old || !to) {
        free(old);
        free(to);
        return rt_fail(RT_RUN, "out of memory");
    }
    int numbers = 1;
    double v;
    for (int i = 0; i < t->classes; i++) numbers &= is_number(t->class_name[i], &v);
    memcpy(old, t->class_name, (size_t)t->classes * sizeof *old);
    qsort(t->class_name, (size_t)t->classes, sizeof *old, numbers ? by_value : by_name);
    for (int i = 0; i < t->classes; i++)
        for (int k = 0; k < t->classes; k++) if (old[i] == t->class_name[k]) to[i] = k;
    for (uint64_t i = 0; i < r->rows; i++) t->y[i] = to[t->y[i]];
    free(old);
    free(to);
    return RT_OK;
}

rt_status rt_import_csv(rt_table *t, const char *path, const char *label, char separator)
{
    char *data;
    size_t size;
    reader r = {.path = path, .label = label, .t = t, .label_at = -1, .first = 1};
    RT_TRY(rt_read_maybe_gzip(&data, &size, path, (size_t)1 << 34));
    struct csv_parser p;
    if (csv_init(&p, CSV_STRICT | CSV_APPEND_NULL)) r.status = rt_fail(RT_RUN, "out of memory");
    else {
        csv_set_delim(&p, (unsigned char)separator);
        size_t skip = size >= 3 && memcmp(data, "\357\273\277", 3) == 0 ? 3 : 0;
        for (size_t at = skip; at < size && !r.status;) {
            size_t n = size - at < 1 << 16 ? size - at : 1 << 16;
            if (csv_parse(&p, data + at, n, each_cell, each_record, &r) != n && !r.status)
                r.status = rt_fail(RT_INPUT, "%s: record %llu: %s", path, (unsigned long long)r.line + 1, csv_strerror(csv_error(&p)));
            at += n;
        }
        if (!r.status) csv_fini(&p, each_cell, each_record, &r);
        csv_free(&p);
    }
    for (int i = 0; i < r.cells; i++) free(r.cell[i]);
    free(r.cell);
    free(data);
    if (!r.status && r.rows == 0) r.status = rt_fail(RT_NOTHING, "%s: has no records", path);
    if (!r.status && r.columns == (r.label_at >= 0)) r.status = rt_fail(RT_INPUT, "%s: has no column beside the label", path);
    t->type = RT_F32;
    t->rank = 2;
    t->dim[0] = r.rows;
    t->dim[1] = (uint64_t)(r.columns - (r.label_at >= 0));
    if (!r.status && label) r.status = order_classes(&r);
    if (!label) {
        free(t->y);
        t->y = NULL;
    }
    return r.status;
}
