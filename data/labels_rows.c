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

/* The logits of top-k row i of n: its columns are at id, value and tail. */
static rt_status expand(const rt_labels *l, const rt_label_head *h, char *const column[3], int i, uint64_t row,
                        float *z)
{
    size_t top = (size_t)h->topk, size = rt_dtype_size(l->spec.type);
    int32_t id[RT_LABEL_TOPK];
    float value[RT_LABEL_TOPK], tail;
    memcpy(id, column[0] + (size_t)i * top * sizeof *id, top * sizeof *id);
    rt_to_float(value, column[1] + (size_t)i * top * size, l->spec.type, top);
    memcpy(&tail, column[2] + (size_t)i * sizeof tail, sizeof tail);
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

/* A head's outputs in 8 bits, of rows at[0..n) into z (n, W). */
static rt_status read_coded(const rt_labels *l, const rt_label_head *h, const uint64_t *at, int n, char *raw, float *z)
{
    size_t width = (size_t)l->spec.classes, k = (size_t)h->size, all = (size_t)n;
    char *scale = raw + all * k, *offset = scale + 4 * all;
    RT_TRY(rt_source_read(l->src[h->column], at, n, raw));
    RT_TRY(rt_source_read(l->src[h->column + 1], at, n, scale));
    RT_TRY(rt_source_read(l->src[h->column + 2], at, n, offset));
    for (size_t i = 0; i < all; i++) {
        float of[2];
        memcpy(&of[0], scale + 4 * i, 4);
        memcpy(&of[1], offset + 4 * i, 4);
        rt_label_q8_back(z + i * width + h->at, (const unsigned char *)raw + i * k, of[0], of[1], h->size);
    }
    return RT_OK;
}

/* Of a store of hard labels: the answer that is certain of them. */
static rt_status read_hard(const rt_labels *l, const rt_label_head *h, const uint64_t *row, const uint64_t *at, int n,
                           char *raw, float *z)
{
    RT_TRY(rt_source_read(l->src[h->fact[0]], at, n, raw));
    for (int i = 0; i < n; i++) {
        int32_t c;
        memcpy(&c, raw + 4 * (size_t)i, sizeof c);
        if (c < 0 || c >= h->size) return bad_class(l, row[i], c, h->size);
        rt_label_one_hot(z + (size_t)i * (size_t)l->spec.classes + h->at, h->size, c);
    }
    return RT_OK;
}

/* A head's outputs of rows at[0..n) into z (n, W). raw: room for its columns. */
static rt_status read_answers(const rt_labels *l, const rt_label_head *h, const uint64_t *row, const uint64_t *at,
                              int n, char *raw, float *z)
{
    char *column[3] = {raw};
    size_t width = (size_t)l->spec.classes, k = (size_t)h->size;
    if (l->spec.hard) return read_hard(l, h, row, at, n, raw, z);
    if (h->coded) return read_coded(l, h, at, n, raw, z);
    for (int i = 0; i < (h->topk ? 3 : 1); i++) {
        const rt_label_column *c = &l->col[h->column + i];
        if (i) column[i] = column[i - 1] + (size_t)n * rt_label_column_bytes(&l->col[h->column + i - 1]);
        RT_TRY(rt_source_read(l->src[h->column + i], at, n, column[i]));
        if (!h->topk)
            for (size_t r = 0; r < (size_t)n; r++)
                rt_to_float(z + r * width + h->at, raw + r * rt_label_column_bytes(c), c->type, k);
    }
    for (int i = 0; i < n && h->topk; i++)
        RT_TRY(expand(l, h, column, i, row[i], z + (size_t)i * width + h->at));
    return RT_OK;
}

/* The label by hand of a row whose status says that it has one. */
static rt_status hand_label(const rt_labels *l, uint64_t row, int32_t *label)
{
    *label = rt_label_hand_at(&l->hand, row);
    return *label >= 0 ? RT_OK
                       : rt_fail(RT_INPUT,
                                 "%s: row %" PRIu64 " has the status of a label by hand and none; the "
                                 "store is damaged",
                                 l->path, row);
}

rt_status rt_labels_read(rt_labels *l, const uint64_t *row, int n, float *answers)
{
    size_t k = (size_t)l->spec.classes, count = (size_t)n, bytes = rt_label_row_bytes(&l->spec);
    uint64_t *at = malloc((count + 1) * sizeof *at);
    char *raw = malloc(count * bytes + 1);
    unsigned char *status = malloc(count + 1);
    float *z = l->place ? malloc((count * k + 1) * sizeof *z) : answers;
    int direct = l->heads == 1 && !l->kept[0].topk && l->col[0].type == RT_F32 && !l->spec.hard;
    rt_status st = at && raw && status && z ? rt_label_find_rows(l, row, n, at) : rt_fail(RT_RUN, "out of memory");
    if (!st) st = rt_source_read(l->src[l->cols - 1], at, n, status);
    for (int i = 0; i < n && !st; i++) st = need_label(l, row[i], status[i]);
    if (!st && direct) st = rt_source_read(l->src[0], at, n, z);
    for (int h = 0; h < l->heads && !st && !direct; h++) st = read_answers(l, &l->kept[h], row, at, n, raw, z);
    for (int i = 0; i < n && !st; i++) {
        int32_t label;
        if (status[i] == RT_LABEL_BY_HAND && !(st = hand_label(l, row[i], &label)))
            rt_label_one_hot(z + (size_t)i * k, l->spec.classes, label);
    }
    if (!st && l->place) turn(l, z, answers, n);
    if (l->place) free(z);
    free(at);
    free(raw);
    free(status);
    return st;
}

/* What the columns of a head hold of rows at[0..n), whatever their status. */
static rt_status read_facts(const rt_labels *l, const rt_label_head *h, const uint64_t *row, const uint64_t *at, int n,
                            const unsigned char *status, rt_label_facts *f)
{
    char *raw = malloc(4 * (size_t)n + 4);
    rt_status st = raw ? RT_OK : rt_fail(RT_RUN, "out of memory");
    for (int c = 0; c < 4 && !st; c++) {
        if (h->fact[c] < 0) continue;
        st = rt_source_read(l->src[h->fact[c]], at, n, raw);
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

rt_status rt_labels_read_columns(rt_labels *l, int head, const uint64_t *row, int n, rt_label_facts *f)
{
    uint64_t *at = malloc(((size_t)n + 1) * sizeof *at);
    unsigned char *status = malloc((size_t)n + 1);
    rt_status st = at && status ? rt_label_find_rows(l, row, n, at) : rt_fail(RT_RUN, "out of memory");
    if (!st) st = rt_source_read(l->src[l->cols - 1], at, n, status);
    if (!st) st = read_facts(l, &l->kept[head], row, at, n, status, f);
    for (int i = 0; i < n && !st; i++) {
        int32_t label;
        if (status[i] == RT_LABEL_BY_HAND && !(st = hand_label(l, row[i], &label)))
            f[i] = rt_label_facts_certain(label);
    }
    free(at);
    free(status);
    return st;
}

rt_status rt_labels_read_stored(rt_labels *l, const uint64_t *row, int n, float *z, rt_label_facts *fact,
                                unsigned char *status)
{
    size_t k = (size_t)l->spec.classes;
    uint64_t at[RT_LABEL_BLOCK];
    char *raw = malloc((size_t)n * rt_label_row_bytes(&l->spec) + 1);
    rt_status st = raw ? rt_label_find_rows(l, row, n, at) : rt_fail(RT_RUN, "out of memory");
    if (!st) st = rt_source_read(l->src[l->cols - 1], at, n, status);
    for (int h = 0; h < l->heads && !st; h++) {
        const rt_label_head *of = &l->kept[h];
        rt_label_facts *f = fact + (size_t)h * RT_LABEL_BLOCK;
        st = read_answers(l, of, row, at, n, raw, z);
        for (int i = 0; i < n && !st && of->task == RT_TASK_CLASSES; i++)
            f[i] = rt_label_facts_of(z + (size_t)i * k + of->at, of->size, 1);
        if (!st) st = read_facts(l, of, row, at, n, status, f);
    }
    for (int i = 0; i < n && !st; i++) {
        int any = 0;
        if (status[i] != RT_LABEL_BY_HAND) continue;
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
    *to = (rt_label_hand){malloc((n + 1) * sizeof *to->row), malloc((n + 1) * sizeof *to->label), n};
    if (!to->row || !to->label) return rt_fail(RT_RUN, "out of memory");
    memcpy(to->row, l->hand.row ? l->hand.row : to->row, n * sizeof *to->row);
    memcpy(to->label, l->hand.label ? l->hand.label : to->label, n * sizeof *to->label);
    return RT_OK;
}

int rt_labels_find_feature(const rt_labels *l, const char *name)
{
    for (int i = 0; i < l->spec.features; i++) if (!strcmp(l->feature[i].name, name)) return i;
    return -1;
}

static rt_status read_feature(rt_labels *l, int feature, const uint64_t *row, int n, int any_status, float *to)
{
    int column = l->features + feature;
    uint64_t *at = malloc(((size_t)n + 1) * sizeof *at);
    unsigned char *status = malloc((size_t)n + 1);
    char *raw = malloc((size_t)n * rt_label_column_bytes(&l->col[column]) + 1);
    rt_status st = at && status && raw ? rt_label_find_rows(l, row, n, at) : rt_fail(RT_RUN, "out of memory");
    if (!st && !any_status) st = rt_source_read(l->src[l->cols - 1], at, n, status);
    for (int i = 0; i < n && !st && !any_status; i++) st = need_label(l, row[i], status[i]);
    if (!st) st = read_floats(l, column, at, n, raw, to);
    free(at);
    free(status);
    free(raw);
    return st;
}

rt_status rt_labels_read_feature(rt_labels *l, int feature, const uint64_t *row, int n, float *to)
{ return read_feature(l, feature, row, n, 0, to); }

rt_status rt_labels_read_feature_stored(rt_labels *l, int feature, const uint64_t *row, int n, float *to)
{ return read_feature(l, feature, row, n, 1, to); }

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
