#include "experiments/eval/predictions.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/eval/predictions_parts.h"
#include "export/exporter.h"

void rt_predictions_free(rt_predictions *p)
{
    if (!p) return;
    for (int h = 0; h < RT_MAX_HEADS; h++) {
        rt_predicted *q = &p->of[h];
        free(q->z);
        free(q->top);
        free(q->log_sum);
        if (!p->borrows) rt_target_rows_free(&q->y);
    }
    for (int i = 0; i < p->columns && !p->borrows; i++) {
        free(p->column[i].name);
        free(p->column[i].number);
        free(p->column[i].text);
    }
    rt_heads_free(p->head, p->heads);
    void *owned[] = {p->path, p->source, p->row, p->id, p->key, p->column};
    for (size_t i = 0; i < (p->borrows ? 2 : sizeof owned / sizeof owned[0]); i++) free(owned[i]);
    free(p);
}

rt_status rt_predicted_room(rt_predictions *p, int h)
{
    rt_predicted *q = &p->of[h];
    int size = p->head[h].size, top = p->head[h].task == RT_TASK_CLASSES && p->topk && p->topk < size;
    q->kept = top ? p->topk : size;
    /* zeros that are made as the rows come: to clear gigabytes at once would not end when asked to */
    q->z = calloc((size_t)p->rows * (size_t)q->kept + 1, sizeof *q->z);
    if (!q->z) return rt_fail(RT_RUN, "out of memory for the answers to %llu rows", (unsigned long long)p->rows);
    if (!top) return RT_OK;
    q->top = calloc((size_t)p->rows * (size_t)q->kept, sizeof *q->top);
    q->log_sum = calloc((size_t)p->rows, sizeof *q->log_sum);
    return q->top && q->log_sum ? RT_OK : rt_fail(RT_RUN, "out of memory");
}

double rt_predictions_row_bytes(const rt_predictions *p, double *of_row)
{
    double answers = 0;
    *of_row = sizeof *p->row + sizeof *p->key + (double)p->id_width;
    for (int h = 0; h < p->heads; h++) {
        int size = p->head[h].size, task = p->head[h].task, top = task == RT_TASK_CLASSES && p->topk && p->topk < size;
        answers += top ? 8.0 * p->topk + 4 : 4.0 * size;
        *of_row += task == RT_TASK_CLASSES ? 4 : task == RT_TASK_REAL ? 5.0 * size : 2.0 * size;
    }
    for (int i = 0; i < p->columns; i++) *of_row += p->column[i].width ? p->column[i].width : 8;
    return answers;
}

rt_status rt_predictions_add_column(rt_predictions *p, const char *name, int width, rt_row_column **out)
{
    if (!p->column) p->column = calloc(RT_PREDICTIONS_COLUMNS, sizeof *p->column);
    if (!p->column) return rt_fail(RT_RUN, "out of memory");
    if (p->columns == RT_PREDICTIONS_COLUMNS)
        return rt_fail(RT_USAGE, "slices: at most %d columns are kept", RT_PREDICTIONS_COLUMNS);
    rt_row_column *c = &p->column[p->columns++];
    c->width = width;
    c->name = strdup(name);
    if (width) c->text = calloc((size_t)p->rows, (size_t)width);
    else c->number = calloc((size_t)p->rows, sizeof *c->number);
    *out = c;
    return c->name && (c->text || c->number) ? RT_OK : rt_fail(RT_RUN, "out of memory");
}

const char *rt_row_text(const char *text, int width, uint64_t r, char *room)
{
    memcpy(room, text + r * (uint64_t)width, (size_t)width);
    room[width] = 0;
    return room;
}

/* ---- the order of rows ---- */

uint64_t rt_key_word(const char *hex)
{
    uint64_t w = 0;
    for (int i = 0; i < 16; i++) {
        int c = hex[i];
        w = w << 4 | (uint64_t)(c <= '9' ? c - '0' : (c | 32) - 'a' + 10);
    }
    return w;
}

typedef struct { rt_row_key key; uint64_t truth; uint32_t at; } sorted;

static int order(uint64_t a, uint64_t b) { return a < b ? -1 : a > b; }

static int by_key(const void *a, const void *b)
{
    const sorted *x = a, *y = b;
    int o = order(x->key.word[0], y->key.word[0]);
    if (!o) o = order(x->key.word[1], y->key.word[1]);
    if (!o) o = order(x->truth, y->truth);
    return o ? o : order(x->at, y->at);
}

static uint64_t hash_text(const char *text) { return rt_key_word(rt_digest_of(text, strlen(text)).hex); }

static uint64_t mix(uint64_t a, uint64_t b)
{
    uint64_t x = (a ^ (b + 0x9e3779b97f4a7c15u)) * 0xbf58476d1ce4e5b9u;
    return (x ^ x >> 29) * 0x94d049bb133111ebu;
}

/* Of names and what they go with, summed up: the same in any order of heads, classes, labels and columns. */
static uint64_t hash_truth(const rt_target_rows *y, const uint64_t *name, size_t k, uint64_t r)
{
    uint64_t of = 0;
    if (y->y) return y->y[r] < 0 ? 0 : name[y->y[r]];
    for (size_t e = 0; e < k; e++) {
        float v = y->labels ? (float)y->labels[r * k + e] : y->values[r * k + e];
        uint32_t bits;
        memcpy(&bits, &v, sizeof bits);
        if (y->mask[r * k + e]) of += mix(name[e], bits);
    }
    return of;
}

static rt_status hash_truths(const rt_predictions *p, uint64_t *truth)
{
    for (int h = 0; h < p->heads; h++) {
        const rt_head *head = &p->head[h];
        const rt_target_rows *y = &p->of[h].y;
        char number[16];
        if (!y->y && !y->mask) continue;
        uint64_t *name = calloc((size_t)head->size, sizeof *name), own = hash_text(head->name);
        if (!name) return rt_fail(RT_RUN, "out of memory");
        for (int e = 0; e < head->size; e++) name[e] = hash_text(rt_names_at(&head->names, e, number));
        for (uint64_t r = 0; r < p->rows; r++) truth[r] += mix(own, hash_truth(y, name, (size_t)head->size, r));
        free(name);
    }
    return RT_OK;
}

static rt_status sort_rows(const rt_predictions *p, sorted **out)
{
    uint64_t *truth = calloc(p->rows + 1, sizeof *truth);
    *out = calloc(p->rows + 1, sizeof **out);
    rt_status st = truth && *out ? hash_truths(p, truth) : rt_fail(RT_RUN, "out of memory");
    for (uint64_t r = 0; r < p->rows && !st; r++) (*out)[r] = (sorted){p->key[r], truth[r], (uint32_t)r};
    free(truth);
    if (!st) qsort(*out, p->rows, sizeof **out, by_key);
    return st;
}

rt_status rt_predictions_order(const rt_predictions *p, uint32_t **place, uint64_t **truth)
{
    sorted *s;
    *place = calloc(p->rows + 1, sizeof **place);
    *truth = calloc(p->rows + 1, sizeof **truth);
    rt_status st = sort_rows(p, &s);
    if (!st && (!*place || !*truth)) st = rt_fail(RT_RUN, "out of memory");
    for (uint64_t i = 0; i < p->rows && !st; i++) {
        (*place)[i] = s[i].at;
        (*truth)[s[i].at] = s[i].truth;
    }
    free(s);
    return st;
}

rt_status rt_predictions_hash_rows(rt_predictions *p)
{
    sorted *s;
    rt_status st = sort_rows(p, &s);
    if (!st) {
        rt_hasher *h = rt_hasher_new();
        for (uint64_t i = 0; i < p->rows; i++) rt_hasher_add(h, &s[i], sizeof s[i].key + sizeof s[i].truth);
        p->of_rows = rt_hasher_end(h);
    }
    free(s);
    return st;
}

rt_status rt_predictions_keys(rt_predictions *p)
{
    char room[RT_PREDICTIONS_ID + 1];
    sorted *s;
    if (!p->key) p->key = calloc(p->rows + 1, sizeof *p->key);
    if (!p->key) return rt_fail(RT_RUN, "out of memory");
    for (uint64_t r = 0; r < p->rows; r++) {
        const char *id = rt_row_text(p->id, p->id_width, r, room);
        rt_digest d;
        if (!*p->id_from) snprintf(d.hex, sizeof d.hex, "%s", id);
        else d = rt_digest_of(id, strlen(id));
        p->key[r] = (rt_row_key){{rt_key_word(d.hex), rt_key_word(d.hex + 16)}};
    }
    if (!*p->id_from) return RT_OK;
    rt_status st = sort_rows(p, &s);
    for (uint64_t i = 1; i < p->rows && !st; i++)
        if (!memcmp(&s[i - 1].key, &s[i].key, sizeof s[i].key))
            st = rt_fail(
                RT_INPUT, "%s: rows %llu and %llu have the same id '%.80s' in '%.80s'; ids must tell rows apart",
                p->stored ? p->path : p->source, (unsigned long long)p->row[s[i - 1].at],
                (unsigned long long)p->row[s[i].at], rt_row_text(p->id, p->id_width, s[i].at, room), p->id_from);
    free(s);
    return st;
}

/* ---- as CSV and NPY ---- */

/* A column behind the answers. */
typedef struct {
    const rt_predictions *p;
    int head, element, column;         /* head -1: the id, or a column */
} extra;

static void put_truth(const rt_predictions *p, int h, int e, uint64_t r, rt_string *text)
{
    const rt_target_rows *y = &p->of[h].y;
    const rt_head *head = &p->head[h];
    uint64_t at = r * (uint64_t)head->size + (uint64_t)e;
    char number[16];
    if (y->y) {
        if (y->y[r] >= 0) rt_put_csv(text, rt_names_at(&head->names, y->y[r], number));
    } else if (!y->mask[at]) return;
    else if (y->labels) rt_put(text, "%d", y->labels[at]);
    else rt_put(text, "%.9g", (double)y->values[at]);
}

static void put_cell(const void *of, uint64_t r, rt_string *text)
{
    const extra *e = of;
    const rt_predictions *p = e->p;
    char room[RT_PREDICTIONS_ID + 1];
    if (e->head >= 0) put_truth(p, e->head, e->element, r, text);
    else if (e->column < 0) rt_put_csv(text, rt_row_text(p->id, p->id_width, r, room));
    else if (p->column[e->column].text)
        rt_put_csv(text, rt_row_text(p->column[e->column].text, p->column[e->column].width, r, room));
    else if (!isnan(p->column[e->column].number[r])) rt_put(text, "%.9g", p->column[e->column].number[r]);
}

static void add_extra(rt_export_column *list, extra *of, int *n, const char *title, extra e)
{
    of[*n] = e;
    list[*n] = (rt_export_column){strdup(title), put_cell, &of[*n]};
    if (!list[(*n)++].title) rt_out_of_memory();
}

rt_status rt_predictions_export(const rt_predictions *p, rt_output *out, int csv)
{
    int most = 1 + p->columns, n = 0;
    const float *z[RT_MAX_HEADS];
    for (int h = 0; h < p->heads; h++) {
        most += p->head[h].size;
        z[h] = p->of[h].z;
    }
    rt_export_column *list = calloc((size_t)most, sizeof *list);
    extra *of = calloc((size_t)most, sizeof *of);
    if (!list || !of) rt_out_of_memory();
    add_extra(list, of, &n, "id", (extra){p, -1, 0, -1});
    for (int h = 0; h < p->heads; h++) {
        const rt_head *head = &p->head[h];
        const rt_target_rows *y = &p->of[h].y;
        int one = head->task == RT_TASK_CLASSES, plain = p->heads == 1 && one;
        if (!y->y && !y->mask) continue;
        for (int e = 0; e < (one ? 1 : head->size); e++) {
            char number[16];
            rt_string title = {0};
            rt_put(&title, "%s%struth", plain ? "" : head->name, plain ? "" : ":");
            if (!one && (head->size > 1 || head->names.name))
                rt_put(&title, ":%s", rt_names_at(&head->names, e, number));
            add_extra(list, of, &n, title.p ? title.p : "truth", (extra){p, h, e, 0});
            free(title.p);
        }
    }
    for (int c = 0; c < p->columns; c++)
        if (!rt_predictions_statistic(p->column[c].name))
            add_extra(list, of, &n, p->column[c].name, (extra){p, -1, 0, c});
    rt_status st = rt_export_predictions(p->head, p->heads, z, p->row, p->rows, list, n, out, csv);
    for (int i = 0; i < n; i++) free(list[i].title);
    free(list);
    free(of);
    return st;
}
