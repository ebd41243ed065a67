#include "data/label_scan.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/progress.h"

enum { ROOM = 1 << 20 };               /* floats of answers at a time, as long as a row has fewer */

rt_status rt_label_find_head(rt_labels *l, const char *path, const char *name, const rt_head **out)
{
    int heads;
    char text[RT_NAMES_TEXT];
    const rt_head *head = rt_labels_heads(l, &heads);
    for (int h = 0; h < heads; h++) {
        if (*name ? strcmp(head[h].name, name) : head[h].task != RT_TASK_CLASSES) continue;
        *out = &head[h];
        if (head[h].task == RT_TASK_CLASSES) return RT_OK;
        return rt_fail(RT_USAGE, "%s: its head '%s' is no head of classes; its heads: %s", path, name,
                       rt_heads_text(head, heads, text));
    }
    if (*name)
        return rt_fail(RT_USAGE, "%s: has no head '%s'; its heads: %s", path, name, rt_heads_text(head, heads, text));
    return rt_fail(RT_USAGE, "%s: has no head of classes, which this needs; its heads: %s", path,
                   rt_heads_text(head, heads, text));
}

/* Answers are finite when they are written; a file that says otherwise is not ours. */
static rt_status check_finite(const char *path, const uint64_t *row, int n, const float *z, size_t width)
{
    for (size_t i = 0; i < (size_t)n * width; i++)
        if (!isfinite(z[i]))
            return rt_fail(RT_INPUT, "%s: its answer to row %" PRIu64 " is not finite; label again", path,
                           row[i / width]);
    return RT_OK;
}

rt_label_facts rt_label_facts_at(const rt_label_batch *b, int i, const rt_head *head, double temperature)
{
    if (temperature == 1 || b->status[i] == RT_LABEL_BY_HAND) return b->fact[i];
    return rt_label_facts_of(b->z + (size_t)i * b->width + head->at, head->size, temperature);
}

/* From the logits, and over that from the columns, which are of the answer before it was coded. */
static rt_status find_facts(rt_labels *l, const rt_head *head, const rt_label_batch *b, rt_label_facts *fact)
{
    int heads, number = (int)(head - rt_labels_heads(l, &heads));
    const rt_labels_spec *s = rt_labels_info(l);
    for (int i = 0; i < b->n && s->columns != 15; i++)
        fact[i] = rt_label_facts_of(b->z + (size_t)i * b->width + head->at, head->size, 1);
    return s->columns || memchr(b->status, RT_LABEL_BY_HAND, (size_t)b->n)
               ? rt_labels_read_columns(l, number, RT_LABEL_NO_VIEW, b->row, b->n, fact) : RT_OK;
}

rt_status rt_label_scan(rt_labels *l, const char *path, const rt_head *head, const rt_rows *rows,
                        uint64_t status[RT_LABEL_STATUSES], rt_label_rows_fn *fn, void *arg)
{
    const rt_labels_spec *s = rt_labels_info(l);
    size_t width = (size_t)s->classes;
    int heads, number = (int)(head - rt_labels_heads(l, &heads));
    uint64_t most = width < ROOM / RT_LABEL_BLOCK ? RT_LABEL_BLOCK : width < ROOM ? ROOM / width : 1;
    rt_rows all = rt_rows_between(s->first, s->first + s->rows);
    if (!rows) rows = &all;
    float *z = malloc((size_t)most * width * sizeof *z);
    uint64_t *row = malloc((size_t)most * sizeof *row);
    unsigned char *is = malloc((size_t)most);
    rt_label_facts *fact = calloc((size_t)most, sizeof *fact);
    rt_status st = z && row && is && fact ? RT_OK : rt_fail(RT_RUN, "out of memory");
    if (status) memset(status, 0, RT_LABEL_STATUSES * sizeof *status);
    for (uint64_t at = 0; at < rows->count && !st; at += most) {
        int n = rows->count - at < most ? (int)(rows->count - at) : (int)most;
        rt_label_batch b = {.row = row, .z = z, .width = width, .status = is, .fact = fact};
        st = rt_check_stop();
        rt_rows_list(rows, at, (uint64_t)n, row);
        if (!st) st = rt_labels_status(l, row, n, is);
        for (int i = 0; i < n && !st; i++) {
            if (status) status[is[i] < RT_LABEL_STATUSES ? is[i] : RT_LABEL_NOT_YET]++;
            if (!rt_label_is_there(is[i])) continue;
            /* Of several heads a row by hand may be so for another one. */
            int others = is[i] == RT_LABEL_BY_HAND && !rt_labels_is_by_hand(l, number, row[i]);
            if (others && status) status[RT_LABEL_BY_HAND]--, status[RT_LABEL_DONE]++;
            is[b.n] = others ? RT_LABEL_DONE : is[i];
            row[b.n++] = row[i];
        }
        if (!st && b.n) st = rt_labels_read(l, row, b.n, z);
        if (!st && b.n) st = check_finite(path, row, b.n, z, width);
        if (!st && b.n) st = find_facts(l, head, &b, fact);
        if (!st && b.n) st = fn(arg, &b);
    }
    free(z);
    free(row);
    free(is);
    free(fact);
    return st;
}
