/* data/labels_rows.c - rows of a label store: answers, columns, features. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/labels_open.h"

static rt_status need_label(const rt_labels *l, uint64_t row, unsigned char status)
{
    if (rt_label_is_there(status)) return RT_OK;
    const char *why = NULL;
    if (status == RT_LABEL_ABSTAINED) why = "nobody said anything of it";
    if (status == RT_LABEL_BAD_INPUT) why = "it contains NaN or infinity";
    if (status == RT_LABEL_BAD_ANSWER) why = "the teacher's answer was not finite";
    if (!why) return rt_fail(RT_INPUT, "%s: row %" PRIu64 " has no label: its status is %d", l->path, row, status);
    return rt_fail(RT_INPUT, "%s: row %" PRIu64 " has no label: %s", l->path, row, why);
}

static rt_status bad_class(const rt_labels *l, uint64_t row, int32_t c, int classes)
{
    return rt_fail(RT_INPUT, "%s: row %" PRIu64 " names class %d of %d; the store is damaged", l->path, row, c,
                   classes);
}

/* Rows of the store, and where a plane has them: behind `shift` columns, at these entries. */
typedef struct { const uint64_t *row, *at, *entry; int n, shift; } found;

static float float_at(const char *column, int i)
{
    float v;
    memcpy(&v, column + (size_t)i * sizeof v, sizeof v);
    return v;
}

/* The logits of top-k row i of n: its columns are id, logit and tail, and, of 8 bits, scale and offset. */
static rt_status expand(const rt_labels *l, const rt_label_head *h, char *const column[5], int i, uint64_t row,
                        float *z)
{
    size_t top = (size_t)h->topk, size = rt_dtype_size(l->spec.type);
    const rt_label_column *ids = &l->col[h->column];
    int32_t id[RT_LABEL_TOPK];
    float value[RT_LABEL_TOPK], tail = float_at(column[2], i);
    const char *logit = column[1] + (size_t)i * top * size;
    rt_label_get_ids(id, column[0] + (size_t)i * rt_label_column_bytes(ids), ids->type, h->topk);
    if (h->coded)
        rt_label_q8_back(value, (const unsigned char *)logit, float_at(column[3], i), float_at(column[4], i), h->topk);
    else rt_to_float(value, logit, l->spec.type, top);
    if (rt_label_topk_back(z, h->size, h->topk, id, value, tail)) return RT_OK;
    for (size_t j = 0; j < top; j++)
        if (id[j] < 0 || id[j] >= h->size) return bad_class(l, row, id[j], h->size);
    return RT_OK;
}

/* answers (n, width wanted) of z (n, W), each element in its place. */
static void turn(const rt_labels *l, const float *z, float *answers, int n)
{
    size_t own = (size_t)l->spec.classes, width = (size_t)l->width;
    memset(answers, 0, (size_t)n * width * sizeof *answers);
    for (size_t i = 0; i < (size_t)n; i++)
        for (size_t c = 0; c < own; c++)
            if (l->place[c] >= 0) answers[i * width + (size_t)l->place[c]] = z[i * own + c];
}

/* Entries at[0..n) of a column, floats of any type. raw: room for them as they are stored. */
static rt_status read_floats(const rt_labels *l, int column, const uint64_t *at, int n, char *raw, float *to)
{
    const rt_label_column *c = &l->col[column];
    RT_TRY(rt_source_read(l->src[column], at, n, raw));
    rt_to_float(to, raw, c->type, (size_t)n * c->width);
    return RT_OK;
}

/* Of a store of hard labels: the answer that is certain of them. */
static rt_status read_hard(const rt_labels *l, const rt_label_head *h, const found *f, char *raw, float *z)
{
    RT_TRY(rt_source_read(l->src[h->fact[0] + f->shift], f->entry, f->n, raw));
    for (int i = 0; i < f->n; i++) {
        int32_t c;
        memcpy(&c, raw + 4 * (size_t)i, sizeof c);
        if (c < 0 || c >= h->size) return bad_class(l, f->row[i], c, h->size);
        rt_label_one_hot(z + (size_t)i * (size_t)l->spec.classes + h->at, h->size, c);
    }
    return RT_OK;
}

/* A head's outputs of these rows into z (n, W). raw: room for its columns. */
static rt_status read_answers(const rt_labels *l, const rt_label_head *h, const found *f, char *raw, float *z)
{
    char *column[5] = {raw};
    size_t width = (size_t)l->spec.classes, k = (size_t)h->size;
    if (l->spec.hard) return read_hard(l, h, f, raw, z);
    for (int i = 0; i < (h->topk ? 3 : 1) + 2 * h->coded; i++) {
        if (i) column[i] = column[i - 1] + (size_t)f->n * rt_label_column_bytes(&l->col[h->column + i - 1]);
        RT_TRY(rt_source_read(l->src[h->column + i + f->shift], f->entry, f->n, column[i]));
    }
    for (int i = 0; i < f->n; i++) {
        const rt_label_column *c = &l->col[h->column];
        const char *logits = raw + (size_t)i * rt_label_column_bytes(c);
        float *to = z + (size_t)i * width + h->at;
        if (h->topk) RT_TRY(expand(l, h, column, i, f->row[i], to));
        else if (h->coded)
            rt_label_q8_back(to, (const unsigned char *)logits, float_at(column[1], i), float_at(column[2], i),
                             h->size);
        else rt_to_float(to, logits, c->type, k);
    }
    return RT_OK;
}

/* at, entry: room for n. RT_USAGE when the store has no such view. */
static rt_status find(rt_labels *l, int view, const uint64_t *row, int n, uint64_t *at, uint64_t *entry, found *f)
{
    const int views = l->spec.views.count;
    if (view >= views)
        return rt_fail(RT_USAGE, "%s: has labels of %d views of each row, and none of view %d%s", l->path, views, view,
                       views ? ": they are counted from 0" : "; label.views keeps some");
    RT_TRY(rt_label_find_rows(l, row, n, at));
    *f = (found){row, at, at, n, 0};
    if (view < 0) return RT_OK;
    for (int i = 0; i < n; i++) entry[i] = (uint64_t)view * l->spec.rows + at[i];
    f->entry = entry;
    f->shift = rt_label_view_column(&l->spec);
    return RT_OK;
}

int rt_labels_is_by_hand(const rt_labels *l, int head, uint64_t row)
{ return rt_label_hand_at(&l->hand, head, row) >= 0; }

/* Labels by hand into the answer z of a row whose status says that it has some. */
static rt_status put_hand(const rt_labels *l, uint64_t row, float *z)
{
    int any = 0;
    for (int h = 0; h < l->heads; h++) {
        int32_t label = rt_label_hand_at(&l->hand, h, row);
        if (label < 0) continue;
        rt_label_one_hot(z + l->kept[h].at, l->kept[h].size, label);
        any = 1;
    }
    return any ? RT_OK
               : rt_fail(RT_INPUT, "%s: row %" PRIu64 " has the status of a label by hand and none; the store is "
                         "damaged", l->path, row);
}

rt_status rt_labels_read(rt_labels *l, const uint64_t *row, int n, float *answers)
{ return rt_labels_read_view(l, RT_LABEL_NO_VIEW, row, n, answers); }

/* Bytes of a row in the columns of its answers, enough for any head's. */
static size_t answer_bytes(const rt_labels *l)
{
    size_t bytes = 0;
    for (int i = 0; i < rt_label_view_column(&l->spec); i++) bytes += rt_label_column_bytes(&l->col[i]);
    return bytes;
}

rt_status rt_labels_read_view(rt_labels *l, int view, const uint64_t *row, int n, float *answers)
{
    size_t k = (size_t)l->spec.classes, count = (size_t)n;
    uint64_t *at = malloc(2 * (count + 1) * sizeof *at);
    char *raw = malloc(count * answer_bytes(l) + 1);
    unsigned char *status = malloc(count + 1);
    float *z = l->place ? malloc((count * k + 1) * sizeof *z) : answers;
    int direct = l->heads == 1 && !l->kept[0].topk && l->col[0].type == RT_F32 && !l->spec.hard;
    found f = {0};
    rt_status st = at && raw && status && z ? find(l, view, row, n, at, at + count, &f)
                                            : rt_fail(RT_RUN, "out of memory");
    if (!st) st = rt_source_read(l->src[l->cols - 1], at, n, status);
    for (int i = 0; i < n && !st; i++) st = need_label(l, row[i], status[i]);
    if (!st && direct) st = rt_source_read(l->src[f.shift], f.entry, n, z);
    for (int h = 0; h < l->heads && !st && !direct; h++) st = read_answers(l, &l->kept[h], &f, raw, z);
    for (int i = 0; i < n && !st; i++)
        if (status[i] == RT_LABEL_BY_HAND) st = put_hand(l, row[i], z + (size_t)i * k);
    if (!st && l->place) turn(l, z, answers, n);
    if (l->place) free(z);
    free(at);
    free(raw);
    free(status);
    return st;
}

/* What the columns of a head hold of these rows, whatever their status. */
static rt_status read_facts(const rt_labels *l, const rt_label_head *h, const found *rows, const unsigned char *status,
                            rt_label_facts *f)
{
    const uint64_t *row = rows->row;
    int n = rows->n;
    char *raw = malloc(4 * (size_t)n + 4);
    rt_status st = raw ? RT_OK : rt_fail(RT_RUN, "out of memory");
    for (int c = 0; c < 4 && !st; c++) {
        if (h->fact[c] < 0) continue;
        st = rt_source_read(l->src[h->fact[c] + rows->shift], rows->entry, n, raw);
        for (int i = 0; i < n && !st; i++) {
            int32_t best = 0;
            float x = 0, *to[] = {NULL, &f[i].confidence, &f[i].margin, &f[i].entropy};
            memcpy(c ? (void *)&x : (void *)&best, raw + 4 * (size_t)i, 4);
            if (!rt_label_is_there(status[i])) continue;
            if (c) *to[c] = x;
            else f[i].best = best;
            if (c && !isfinite(x))
                st = rt_fail(RT_INPUT, "%s: row %" PRIu64 " has a %s that is not finite; the store is damaged", l->path,
                             row[i], rt_label_column_names[c]);
            else if (!c && (best < 0 || best >= h->size)) st = bad_class(l, row[i], best, h->size);
        }
    }
    free(raw);
    return st;
}

rt_status rt_labels_read_columns(rt_labels *l, int head, int view, const uint64_t *row, int n, rt_label_facts *f)
{
    uint64_t *at = malloc(2 * ((size_t)n + 1) * sizeof *at);
    unsigned char *status = malloc((size_t)n + 1);
    found rows = {0};
    rt_status st = at && status ? find(l, view, row, n, at, at + n, &rows) : rt_fail(RT_RUN, "out of memory");
    if (!st) st = rt_source_read(l->src[l->cols - 1], at, n, status);
    if (!st) st = read_facts(l, &l->kept[head], &rows, status, f);
    for (int i = 0; i < n && !st; i++) {
        int32_t label = status[i] == RT_LABEL_BY_HAND ? rt_label_hand_at(&l->hand, head, row[i]) : -1;
        if (label >= 0) f[i] = rt_label_facts_certain(label);
    }
    free(at);
    free(status);
    return st;
}

rt_status rt_labels_read_stored(rt_labels *l, int view, const uint64_t *row, int n, float *z, rt_label_facts *fact,
                                unsigned char *status)
{
    size_t k = (size_t)l->spec.classes;
    uint64_t at[RT_LABEL_BLOCK], entry[RT_LABEL_BLOCK];
    char *raw = malloc((size_t)n * answer_bytes(l) + 1);
    found rows = {0};
    rt_status st = raw ? find(l, view, row, n, at, entry, &rows) : rt_fail(RT_RUN, "out of memory");
    if (!st) st = rt_source_read(l->src[l->cols - 1], at, n, status);
    for (int h = 0; h < l->heads && !st; h++) {
        const rt_label_head *of = &l->kept[h];
        rt_label_facts *f = fact + (size_t)h * RT_LABEL_BLOCK;
        st = read_answers(l, of, &rows, raw, z);
        for (int i = 0; i < n && !st && of->task == RT_TASK_CLASSES; i++)
            f[i] = rt_label_facts_of(z + (size_t)i * k + of->at, of->size, 1);
        if (!st) st = read_facts(l, of, &rows, status, f);
    }
    for (int i = 0; i < n && !st; i++) {
        int any = 0;
        if (status[i] != RT_LABEL_BY_HAND) continue;
        if (l->heads > 1) any = 1;                     /* else it would have no label */
        for (size_t c = 0; c < k; c++) any |= z[(size_t)i * k + c] != 0;
        status[i] = any ? RT_LABEL_DONE : RT_LABEL_BAD_INPUT;
    }
    free(raw);
    return st;
}

const rt_leaf *rt_labels_leaves(const rt_labels *l, uint64_t *count)
{
    *count = l->spans;
    return l->leaf;
}

rt_status rt_labels_hand_copy(const rt_labels *l, rt_label_hand *to)
{
    size_t n = (size_t)l->hand.count;
    RT_TRY(rt_label_hand_new(to, n));
    if (!n) return RT_OK;
    memcpy(to->row, l->hand.row, n * sizeof *to->row);
    memcpy(to->label, l->hand.label, n * sizeof *to->label);
    memcpy(to->head, l->hand.head, n);
    to->count = n;
    return RT_OK;
}

int rt_labels_find_feature(const rt_labels *l, const char *name)
{
    for (int i = 0; i < l->spec.features; i++) if (!strcmp(l->feature[i].name, name)) return i;
    return -1;
}

static rt_status read_feature(rt_labels *l, int feature, int view, const uint64_t *row, int n, int any_status,
                              float *to)
{
    int column = l->features + feature;
    uint64_t *at = malloc(2 * ((size_t)n + 1) * sizeof *at);
    found f = {0};
    unsigned char *status = malloc((size_t)n + 1);
    char *raw = malloc((size_t)n * rt_label_column_bytes(&l->col[column]) + 1);
    rt_status st = at && status && raw ? find(l, view, row, n, at, at + n, &f) : rt_fail(RT_RUN, "out of memory");
    if (!st && !any_status) st = rt_source_read(l->src[l->cols - 1], at, n, status);
    for (int i = 0; i < n && !st && !any_status; i++) st = need_label(l, row[i], status[i]);
    if (!st) st = read_floats(l, column + f.shift, f.entry, n, raw, to);
    free(at);
    free(status);
    free(raw);
    return st;
}

rt_status rt_labels_read_feature(rt_labels *l, int feature, int view, const uint64_t *row, int n, float *to)
{ return read_feature(l, feature, view, row, n, 0, to); }

rt_status rt_labels_read_feature_stored(rt_labels *l, int feature, int view, const uint64_t *row, int n, float *to)
{ return read_feature(l, feature, view, row, n, 1, to); }

rt_status rt_labels_code_error(rt_labels *l, int head, double worst[2])
{
    int at = l->kept[head].error, column = l->cols - 2;
    float *all = at < 0 ? NULL : malloc(rt_label_column_bytes(&l->col[column]));
    worst[0] = worst[1] = 0;
    if (at < 0) return RT_OK;
    rt_status st = all ? RT_OK : rt_fail(RT_RUN, "out of memory");
    for (uint64_t b = 0; b < l->blocks && !st; b++) {
        if (!l->committed[b]) continue;
        st = rt_label_check_block(l, b);
        if (!st) st = rt_source_read_stored(l->src[column], b, 1, all);
        for (int i = 0; i < 2 && !st; i++) {
            double x = all[2 * at + i];
            if (!(x >= 0 && isfinite(x)))
                st = rt_fail(RT_INPUT, "%s: '%s' holds what is no error; the store is damaged", l->path,
                             l->col[column].name);
            else if (x > worst[i]) worst[i] = x;
        }
    }
    free(all);
    return st;
}
