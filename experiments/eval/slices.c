/* experiments/eval/slices.c - sets of compared rows that have something in common. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/eval/comparison_parts.h"
#include "experiments/statistics/statistics.h"

enum { VALUES = 20, PARTS = 5, CONFIDENCES = 10, MOST = 100000 };
static const char *const built_in[] = {"class", "predicted", "confidence"};

typedef struct slice_list {
    struct slice_list *next;
    char *column;
    int head, count;
    rt_slice *slice;
    char **value;
    uint32_t *row;                     /* of all slices, one after the other */
} slice_list;

static void free_list(slice_list *l)
{
    for (int i = 0; i < l->count && l->value; i++) free(l->value[i]);
    free(l->value);
    free(l->slice);
    free(l->row);
    free(l->column);
    free(l);
}

void rt_slices_free(rt_comparison *c)
{
    for (slice_list *l = c->lists, *next; l; l = next) {
        next = l->next;
        free_list(l);
    }
}

/* Rows by a number that says which slice each is in; -1: none. */
static rt_status cut(slice_list *l, const rt_comparison *c, const int32_t *in)
{
    uint64_t *count = calloc((size_t)l->count + 1, sizeof *count), at = 0;
    l->slice = calloc((size_t)l->count + 1, sizeof *l->slice);
    l->row = malloc((c->n + 1) * sizeof *l->row);
    if (!count || !l->slice || !l->row) {
        free(count);
        return rt_fail(RT_RUN, "out of memory");
    }
    for (uint64_t i = 0; i < c->n; i++) if (in[i] >= 0) count[in[i]]++;
    for (int s = 0; s < l->count; s++) {
        l->slice[s] = (rt_slice){l->column, l->value[s], 0, l->row + at};
        at += count[s];
        count[s] = at - count[s];
    }
    for (uint64_t i = 0; i < c->n; i++) {
        if (in[i] < 0) continue;
        l->slice[in[i]].rows++;
        l->row[count[in[i]]++] = (uint32_t)i;
    }
    free(count);
    return RT_OK;
}

static rt_status name_slices(slice_list *l, int count)
{
    l->value = calloc((size_t)count + 1, sizeof *l->value);
    l->count = count;
    return l->value ? RT_OK : rt_fail(RT_RUN, "out of memory");
}

static rt_status set_name(slice_list *l, int s, const char *name)
{ return (l->value[s] = strdup(name)) ? RT_OK : rt_fail(RT_RUN, "out of memory"); }

/* Classes, by truth or by the baseline's answer. */
static rt_status by_class(slice_list *l, const rt_comparison *c, int h, int predicted, int32_t *in)
{
    char number[16];
    const rt_facts *f = &c->facts[RT_BASELINE][h];
    RT_TRY(name_slices(l, c->head[h].size));
    for (int k = 0; k < l->count; k++) RT_TRY(set_name(l, k, rt_names_at(&c->head[h].names, k, number)));
    for (uint64_t i = 0; i < c->n; i++) in[i] = predicted ? f->answer[i] : c->y[h].y ? c->y[h].y[i] : -1;
    return cut(l, c, in);
}

static rt_status by_confidence(slice_list *l, const rt_comparison *c, int h, int32_t *in)
{
    char text[32];
    RT_TRY(name_slices(l, CONFIDENCES));
    for (int k = 0; k < CONFIDENCES; k++) {
        snprintf(text, sizeof text, "%.1f to %.1f", (double)k / CONFIDENCES, (double)(k + 1) / CONFIDENCES);
        RT_TRY(set_name(l, k, text));
    }
    for (uint64_t i = 0; i < c->n; i++) {
        int k = (int)(c->facts[RT_BASELINE][h].confidence[i] * CONFIDENCES);
        in[i] = k < CONFIDENCES ? k : CONFIDENCES - 1;
    }
    return cut(l, c, in);
}

typedef struct { const char *text; int width; double number; uint32_t at; } cell;

static int by_text(const void *a, const void *b)
{
    const cell *x = a, *y = b;
    int o = memcmp(x->text, y->text, (size_t)x->width);
    return o ? o : x->at < y->at ? -1 : x->at > y->at;
}

static int by_number(const void *a, const void *b)
{
    const cell *x = a, *y = b;
    return x->number < y->number ? -1 : x->number > y->number ? 1 : x->at < y->at ? -1 : x->at > y->at;
}

static int same_cell(const cell *a, const cell *b)
{ return a->text ? !memcmp(a->text, b->text, (size_t)a->width) : a->number == b->number; }

/* Fifths of the rows, equal numbers together. */
static rt_status by_fifths(slice_list *l, const rt_comparison *c, const cell *list, uint64_t n, int32_t *in)
{
    char text[80];
    int part = 0;
    RT_TRY(name_slices(l, PARTS));
    l->count = 0;
    for (uint64_t from = 0, end; from < n; from = end) {
        do end = n * (uint64_t)++part / PARTS; while (end <= from && part < PARTS);
        if (part >= PARTS) end = n;
        while (end < n && list[end].number == list[end - 1].number) end++;
        for (uint64_t i = from; i < end; i++) in[list[i].at] = l->count;
        snprintf(text, sizeof text, "%.6g to %.6g", list[from].number, list[end - 1].number);
        RT_TRY(set_name(l, l->count, text));
        l->count++;
    }
    return cut(l, c, in);
}

static rt_status by_values(slice_list *l, const rt_comparison *c, const cell *list, uint64_t n, int values,
                           int32_t *in)
{
    int s = -1;
    char text[RT_PREDICTIONS_ID + 1];
    RT_TRY(name_slices(l, values));
    for (uint64_t i = 0; i < n; i++) {
        if (!i || !same_cell(&list[i - 1], &list[i])) {
            if (list[i].text) snprintf(text, sizeof text, "%.*s", list[i].width, list[i].text);
            else snprintf(text, sizeof text, "%.9g", list[i].number);
            RT_TRY(set_name(l, ++s, text));
        }
        in[list[i].at] = s;
    }
    return cut(l, c, in);
}

/* A column's values one by one; of numbers that are many, fifths. Rows without a number are in no slice. */
static rt_status by_column(slice_list *l, const rt_comparison *c, int side, const rt_row_column *column, int32_t *in)
{
    cell *list = malloc((c->n + 1) * sizeof *list);
    uint64_t n = 0, values = 0;
    if (!list) return rt_fail(RT_RUN, "out of memory");
    for (uint64_t i = 0; i < c->n; i++) {
        uint64_t r = c->at[side][i];
        in[i] = -1;
        cell one = {column->text ? column->text + r * (uint64_t)column->width : NULL, column->width,
                    column->number ? column->number[r] : 0, (uint32_t)i};
        if (!isnan(one.number)) list[n++] = one;
    }
    qsort(list, n, sizeof *list, column->text ? by_text : by_number);
    for (uint64_t i = 0; i < n; i++) values += !i || !same_cell(&list[i - 1], &list[i]);
    rt_status st = RT_OK;
    if (column->text && values > MOST)
        st = rt_fail(RT_INPUT, "slices: '%.60s' has %llu values, more than %d: it tells rows apart and makes no groups",
                     column->name, (unsigned long long)values, MOST);
    else if (!column->text && values > VALUES) st = by_fifths(l, c, list, n, in);
    else st = by_values(l, c, list, n, (int)values, in);
    free(list);
    return st;
}

static const rt_row_column *find_column(const rt_comparison *c, const char *name, int *side)
{
    for (*side = 0; *side < RT_SIDES; (*side)++)
        for (int i = 0; i < c->p[*side]->columns; i++)
            if (!strcmp(c->p[*side]->column[i].name, name)) return &c->p[*side]->column[i];
    return NULL;
}

int rt_comparison_columns(const rt_comparison *c, int h, const char *const **names)
{
    rt_comparison *own = (rt_comparison *)c;
    int n = 0, of_classes = c->head[h].task == RT_TASK_CLASSES;
    if (!own->columns) own->columns = calloc(3 + RT_SIDES * RT_PREDICTIONS_COLUMNS, sizeof *own->columns);
    *names = own->columns;
    if (!own->columns) return 0;
    for (int i = 0; i < 3 && of_classes; i++) own->columns[n++] = built_in[i];
    for (int s = 0; s < RT_SIDES; s++)
        for (int i = 0; i < c->p[s]->columns; i++) {
            int k = 0;
            while (k < n && strcmp(own->columns[k], c->p[s]->column[i].name)) k++;
            if (k == n) own->columns[n++] = c->p[s]->column[i].name;
        }
    return n;
}

static rt_status no_column(const rt_comparison *c, int h, const char *name)
{
    const char *const *names;
    char text[400] = "";
    int count = rt_comparison_columns(c, h, &names);
    size_t n = 0;
    for (int i = 0; i < count && n < sizeof text - 80; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%.60s", n ? ", " : "", names[i]);
    return rt_fail(RT_INPUT, "%s and %s have no slice column '%.60s'; there are %s; others are kept by --slices",
                   c->p[0]->path, c->p[1]->path, name, text);
}

rt_status rt_comparison_slices(rt_comparison *c, int h, const char *column, const rt_slice **list, int *count)
{
    int side, place = 0, of_classes = c->head[h].task == RT_TASK_CLASSES;
    for (slice_list *l = c->lists; l; l = l->next) {
        if (l->head != h || strcmp(l->column, column)) continue;
        *list = l->slice;
        *count = l->count;
        return RT_OK;
    }
    while (place < 3 && (!of_classes || strcmp(built_in[place], column))) place++;
    const rt_row_column *from = place == 3 ? find_column(c, column, &side) : NULL;
    if (place == 3 && !from) return no_column(c, h, column);
    slice_list *l = calloc(1, sizeof *l);
    int32_t *in = malloc((c->n + 1) * sizeof *in);
    rt_status st = l && in && (l->column = strdup(column)) ? RT_OK : rt_fail(RT_RUN, "out of memory");
    if (st) ;
    else if (from) st = by_column(l, c, side, from, in);
    else if (place == 2) st = by_confidence(l, c, h, in);
    else st = by_class(l, c, h, place, in);
    free(in);
    if (st) {
        if (l) free_list(l);
        return st;
    }
    l->head = h;
    l->next = c->lists;
    c->lists = l;
    *list = l->slice;
    *count = l->count;
    return RT_OK;
}
