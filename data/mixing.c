#include "data/mixing.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "data/order.h"
#include "engine/progress.h"

enum { AT_ONCE = 4096 };

typedef struct {
    const rt_targets *y;
    double *count;                 /* rows by class; NULL without classes */
    double labelled, runs, places;
    int last;
} classes;

/* The rows of an epoch as they rise: n of them from place `at` on. */
static void list(const rt_order *o, uint64_t drawn, uint64_t at, int n, uint64_t *row)
{
    if (!o->draws) rt_rows_list(o->rows, at, (uint64_t)n, row);
    for (int i = 0; i < n && o->draws; i++) row[i] = rt_row_draws_at(o->draws, drawn, at + (uint64_t)i);
}

/* Rows of the whole epoch by class. */
static rt_status count_classes(classes *c, const rt_order *o, uint64_t drawn)
{
    uint64_t row[AT_ONCE];
    int32_t y[AT_ONCE];
    for (uint64_t at = 0; at < o->rows->count && c->y; at += AT_ONCE) {
        int n = o->rows->count - at < AT_ONCE ? (int)(o->rows->count - at) : AT_ONCE;
        RT_TRY(rt_check_stop());
        list(o, drawn, at, n, row);
        RT_TRY(rt_targets_read(c->y, row, n, y));
        for (int i = 0; i < n; i++) {
            if (y[i] == RT_NO_LABEL) continue;
            c->count[y[i]]++;
            c->labelled++;
        }
    }
    return RT_OK;
}

static rt_status add_places(classes *c, const uint64_t *row, int n, int32_t *y)
{
    if (!c->y) return RT_OK;
    RT_TRY(rt_targets_read(c->y, row, n, y));
    for (int i = 0; i < n; i++) {
        if (y[i] == RT_NO_LABEL) continue;
        c->runs += !c->places || y[i] != c->last;
        c->last = y[i];
        c->places++;
    }
    return RT_OK;
}

static double class_runs(const classes *c)
{
    double same = 0;
    if (!c->y || c->places < 2) return NAN;
    for (int k = 0; k < rt_targets_classes(c->y); k++) same += c->count[k] * (c->count[k] - 1);
    return c->runs / (1 + (c->places - 1) * (1 - same / (c->labelled * (c->labelled - 1))));
}

static rt_status measure(rt_mixing *m, rt_order_reader *r, classes *c, uint64_t drawn, uint64_t *row, int32_t *y)
{
    const rt_order *o = r->order;
    double n = (double)o->rows->count, moved = 0, usual = 0;
    for (uint64_t g = 0; g < o->steps && m->places < RT_MIXING_PLACES; g++) {
        int k;
        RT_TRY(rt_check_stop());
        RT_TRY(rt_order_batch(r, g, row, &k));
        for (int i = 0; i < k; i++) {
            double p = (double)(m->places + (uint64_t)i);
            moved += fabs(p - (double)(o->draws ? rt_row_draws_below(o->draws, drawn, row[i])
                                                : rt_rows_below(o->rows, row[i])));
            usual += (p * (p + 1) + (n - 1 - p) * (n - p)) / (2 * n);
        }
        RT_TRY(add_places(c, row, k, y));
        m->places += (uint64_t)k;
    }
    for (uint64_t k = 0; k * o->window < o->units; k++) {
        double share = (double)(r->start[k + 1] - r->start[k]) / n;
        m->window_share += share * share;
    }
    m->displacement = usual > 0 ? moved / usual : 1;
    m->class_runs = class_runs(c);
    m->measured = 1;
    return RT_OK;
}

rt_status rt_mixing_of(rt_mixing *m, const rt_stream_spec *s, const rt_targets *y)
{
    rt_stream_spec whole = *s;
    rt_order o;
    rt_order_reader r;
    classes c = {.y = y && rt_targets_task(y) == RT_TASK_CLASSES ? y : NULL};
    *m = (rt_mixing){0};
    whole.keep_tail = 1;
    RT_TRY(rt_stream_plan(&whole, &o));
    if (!o.shuffle || !o.window) return RT_OK;
    RT_TRY(rt_order_reader_open(&r, &o));
    uint64_t *row = calloc((size_t)o.batch, sizeof *row);
    int32_t *label = calloc((size_t)o.batch, sizeof *label);
    if (c.y) c.count = calloc((size_t)rt_targets_classes(y) + 1, sizeof *c.count);
    rt_status st = row && label && (!c.y || c.count) ? RT_OK : rt_fail(RT_RUN, "out of memory");
    uint64_t drawn = o.draws ? rt_row_draws_start(o.draws, o.seed, 0) : 0;
    if (!st) st = count_classes(&c, &o, drawn);
    if (!st) st = measure(m, &r, &c, drawn, row, label);
    free(c.count);
    free(label);
    free(row);
    rt_order_reader_close(&r);
    return st;
}

void rt_mixing_text(const rt_mixing *m, char text[RT_MIXING_TEXT])
{
    int n = snprintf(text, RT_MIXING_TEXT,
                     "a batch is drawn from %.3g %% of the rows; against a full permutation, rows are "
                     "displaced %.3g times as far",
                     100 * m->window_share, m->displacement);
    if (!isnan(m->class_runs))
        snprintf(text + n, RT_MIXING_TEXT - (size_t)n, " and classes change %.3g times as often", m->class_runs);
}

cJSON *rt_mixing_json(const rt_mixing *m)
{
    cJSON *j = cJSON_CreateObject();
    cJSON_AddNumberToObject(j, "places", (double)m->places);
    rt_json_number(j, "displacement", m->displacement, "");
    rt_json_number(j, "class_runs", m->class_runs, "no classes are known");
    rt_json_number(j, "window_share", m->window_share, "");
    return j;
}
