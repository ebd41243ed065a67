#include "data/label_merge.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "data/files.h"
#include "data/labels_parts.h"

typedef struct { const char *path; rt_labels *store; const rt_labels_spec *spec; } part;

typedef struct {
    const rt_label_merge_job *job;
    part *part;                        /* by their first rows */
    int parts;
    rt_labels_spec spec;
    rt_label_file to;
    rt_leaf *leaf;                     /* (spans) of the whole */
    char *room;                        /* (block) as a part holds it */
} merge;

/* ---- whether they belong together ---- */

static int by_first(const void *a, const void *b)
{
    const part *x = a, *y = b;
    uint64_t p = x->spec->first, q = y->spec->first;
    return p != q ? (p > q) - (p < q) : (x->spec->rows > y->spec->rows) - (x->spec->rows < y->spec->rows);
}

static rt_status open_parts(merge *m)
{
    for (; m->parts < m->job->parts; m->parts++) {
        part *p = &m->part[m->parts];
        p->path = m->job->part[m->parts];
        RT_TRY(rt_labels_open(&p->store, p->path, 0));
        p->spec = rt_labels_info(p->store);
        if (cJSON_HasObjectItem(rt_labels_manifest(p->store), "packed"))
            return rt_fail(RT_USAGE, "%s: is a packed copy; merge what it was packed from, and pack the whole",
                           p->path);
    }
    qsort(m->part, (size_t)m->parts, sizeof *m->part, by_first);
    return RT_OK;
}

/* What a manifest says of all parts alike: without the rows. */
static cJSON *common_of(const cJSON *manifest, const char *key)
{
    static const char *const of_rows[] = {"first_row", "rows", "first_span"};
    cJSON *c = cJSON_Duplicate(cJSON_GetObjectItemCaseSensitive(manifest, key), 1);
    for (int i = 0; i < 3 && c; i++) cJSON_DeleteItemFromObjectCaseSensitive(c, of_rows[i]);
    return c;
}

static rt_status same_kind(const part *a, const part *b)
{
    static const struct { const char *key, *what; } same[] = {
        {"teacher", "is by another teacher, or one whose answers other kernels computed, than"},
        {"int_kernels", "was computed by other kernels than"},
        {"classes", "is by a teacher with other classes than"},
        {"columns", "is by a teacher with other columns than"},
        {"source", "is of other data than"},
        {"labels", "is in another coding than"}};
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        cJSON *x = common_of(rt_labels_manifest(a->store), same[i].key);
        cJSON *y = common_of(rt_labels_manifest(b->store), same[i].key);
        int equal = !x == !y && (!x || cJSON_Compare(x, y, 1));
        cJSON_Delete(x);
        cJSON_Delete(y);
        if (!equal) return rt_fail(RT_USAGE, "%s: %s %s", b->path, same[i].what, a->path);
    }
    return RT_OK;
}

static rt_status follows(const merge *m, const part *a, const part *b)
{
    uint64_t end = a->spec->first + a->spec->rows, first = b->spec->first;
    uint64_t both = end < first + b->spec->rows ? end : first + b->spec->rows;
    rt_label_column col[RT_LABEL_COLUMNS];
    if (first > end)
        return rt_fail(RT_USAGE, "rows %" PRIu64 " to %" PRIu64 " are in no part: %s ends before them, and %s begins "
                       "behind them", end, first - 1, a->path, b->path);
    if (first < end)
        return rt_fail(RT_USAGE, "rows %" PRIu64 " to %" PRIu64 " are in two parts: %s and %s", first, both - 1,
                       a->path, b->path);
    for (int i = 0, n = rt_label_columns(a->spec, col); i < n; i++)
        if (col[i].by_block && (first - m->part[0].spec->first) % RT_LABEL_BLOCK)
            return rt_fail(RT_USAGE, "%s: begins at row %" PRIu64 ": parts in 8 bits can be merged where they begin at "
                           "multiples of %d rows from the first one on, which is row %" PRIu64, b->path, first,
                           RT_LABEL_BLOCK, m->part[0].spec->first);
    return RT_OK;
}

/* The leaves of the whole; a span in which one part ends and another begins was hashed by both. */
static rt_status join_leaves(merge *m)
{
    const rt_leaf none = {{0}};
    m->leaf = calloc(m->to.spans, sizeof *m->leaf);
    if (!m->leaf) return rt_fail(RT_RUN, "out of memory");
    for (int i = 0; i < m->parts; i++) {
        uint64_t count, first = m->part[i].spec->first / m->to.span_rows - m->to.first_span;
        const rt_leaf *leaf = rt_labels_leaves(m->part[i].store, &count);
        for (uint64_t s = 0; s < count && first + s < m->to.spans; s++) {
            rt_leaf *to = &m->leaf[first + s];
            uint64_t row = (m->to.first_span + first + s) * m->to.span_rows;
            if (memcmp(to, &none, sizeof none) && memcmp(to, &leaf[s], sizeof none))
                return rt_fail(RT_USAGE, "%s: is of other data than %s: rows %" PRIu64 " to %" PRIu64 " of the source "
                               "differ", m->part[i].path, m->part[i - 1].path, row, row + m->to.span_rows - 1);
            *to = leaf[s];
        }
    }
    return RT_OK;
}

static rt_status join_hands(merge *m)
{
    rt_label_hand *all = &m->to.hand;
    for (int i = 0; i < m->parts; i++) {
        rt_label_hand one;
        RT_TRY(rt_labels_hand_copy(m->part[i].store, &one));
        size_t n = (size_t)(all->count + one.count);
        uint64_t *row = realloc(all->row, (n + 1) * sizeof *row);
        if (row) all->row = row;
        int32_t *label = realloc(all->label, (n + 1) * sizeof *label);
        if (label) all->label = label;
        unsigned char *head = realloc(all->head, n + 1);
        if (head) all->head = head;
        if (row && label && head) {
            memcpy(row + all->count, one.row, (size_t)one.count * sizeof *row);
            memcpy(label + all->count, one.label, (size_t)one.count * sizeof *label);
            memcpy(head + all->count, one.head, (size_t)one.count);
            all->count = n;
        }
        rt_label_hand_free(&one);
        if (!row || !label || !head) return rt_fail(RT_RUN, "out of memory");
    }
    return RT_OK;
}

/* ---- rows ---- */

/* Rows [at, at + n) of the whole block, whose columns are at `to`, from `rows` rows that are at `from`. */
static void place(const merge *m, char *to, uint64_t block_rows, uint64_t at, const char *from, uint64_t rows)
{
    for (int i = 0; i < m->to.cols; i++) {
        const rt_label_column *c = &m->to.col[i];
        size_t bytes = rt_label_piece_bytes(c, rows);
        for (int p = 0; p < rt_label_column_planes(c); p++) {
            memcpy(to + (c->by_block ? 0 : at * rt_label_column_bytes(c)), from, bytes);
            from += bytes;
            to += rt_label_piece_bytes(c, block_rows);
        }
    }
}

static rt_status put_block(merge *m, uint64_t b, int *p)
{
    uint64_t rows = rt_label_block_rows(&m->spec, b);
    for (uint64_t at = 0, n; at < rows; at += n) {
        uint64_t row = m->spec.first + b * RT_LABEL_BLOCK + at;
        while (row >= m->part[*p].spec->first + m->part[*p].spec->rows) ++*p;
        const rt_labels_spec *s = m->part[*p].spec;
        n = s->first + s->rows - row < rows - at ? s->first + s->rows - row : rows - at;
        RT_TRY(rt_labels_coded(m->part[*p].store, row - s->first, n, m->room));
        place(m, m->to.buffer, rows, at, m->room, n);
    }
    rt_label_file_count(&m->to, b);
    m->to.crc[b] = rt_label_file_crc(&m->to, b);
    return rt_label_file_write(&m->to, b);
}

static rt_status put_all(merge *m, rt_output *out, const char *manifest)
{
    static const unsigned char one = 1;
    int p = 0;
    RT_TRY(rt_label_file_make(&m->to, out, manifest));
    RT_TRY(rt_pwrite_all(m->to.fd, m->leaf, m->to.spans * sizeof *m->leaf, m->to.fixed[RT_LABEL_LEAVES], m->to.path));
    for (uint64_t b = 0; b < m->to.blocks; b++) {
        RT_TRY(rt_check_stop());
        RT_TRY(put_block(m, b, &p));
        if (!(b & 63)) rt_progress_update(m->job->progress, "merge", (double)b, (double)m->to.blocks, 0, "blocks", "");
    }
    if (m->to.status_count[RT_LABEL_NOT_YET])
        return rt_fail(RT_INPUT, "%" PRIu64 " rows of the parts are not labelled, though the parts say that they are "
                       "complete; look at them with 'retort labels verify'", m->to.status_count[RT_LABEL_NOT_YET]);
    RT_TRY(rt_label_file_put_head(&m->to));
    RT_TRY(rt_pwrite_all(m->to.fd, &one, 1, m->to.fixed[RT_LABEL_COMPLETE], m->to.path));
    return rt_output_commit(out);
}

/* ---- the whole ---- */

/* The first part's manifest, of all rows, in the order in which a labelling writes it. */
static char *manifest_of(const merge *m)
{
    cJSON *all = cJSON_Duplicate(rt_labels_manifest(m->part[0].store), 1);
    cJSON *source = cJSON_DetachItemFromObjectCaseSensitive(all, "source");
    cJSON *first = cJSON_GetObjectItemCaseSensitive(source, "first_span");
    if (first) cJSON_SetNumberValue(first, (double)m->to.first_span);
    rt_label_spec_tell(&m->spec, all);
    cJSON_AddItemToObject(all, "source", source);
    rt_label_hand_tell(&m->to.hand, all);
    char *text = rt_json_text(all, 1);
    cJSON_Delete(all);
    return text;
}

static double source_rows(const part *p)
{
    const cJSON *source = cJSON_GetObjectItemCaseSensitive(rt_labels_manifest(p->store), "source");
    return cJSON_GetNumberValue(cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(source, "shape"), 0));
}

static cJSON *result_of(const merge *m, const rt_target *out)
{
    cJSON *r = cJSON_CreateObject();
    double all = source_rows(&m->part[0]);
    cJSON_AddStringToObject(r, "labels", out->path);
    cJSON_AddNumberToObject(r, "parts", m->parts);
    cJSON_AddNumberToObject(r, "first_row", (double)m->spec.first);
    cJSON_AddNumberToObject(r, "rows", (double)m->spec.rows);
    cJSON_AddNumberToObject(r, "rows_labelled", (double)rt_labels_labelled(m->to.status_count));
    cJSON_AddNumberToObject(r, "source_rows", all);
    if ((double)m->spec.rows < all)
        cJSON_AddStringToObject(r, "note", "the source has rows before or behind these, which no part has");
    return r;
}

static rt_status run(merge *m, const rt_target *target, rt_output *out, cJSON **result)
{
    RT_TRY(rt_output_may_replace(out, RT_OUTPUT_LABELS));
    RT_TRY(open_parts(m));
    for (int i = 1; i < m->parts; i++) RT_TRY(same_kind(&m->part[0], &m->part[i]));
    for (int i = 1; i < m->parts; i++) RT_TRY(follows(m, &m->part[i - 1], &m->part[i]));
    const part *last = &m->part[m->parts - 1];
    m->spec = *m->part[0].spec;
    m->spec.rows = last->spec->first + last->spec->rows - m->spec.first;
    RT_TRY(rt_label_file_init(&m->to, target->path, &m->spec, rt_labels_span_rows(m->part[0].store), m->job->pool));
    m->room = malloc(rt_label_block_bytes(&m->spec, RT_LABEL_BLOCK));
    if (!m->room) return rt_fail(RT_RUN, "out of memory");
    RT_TRY(join_leaves(m));
    RT_TRY(join_hands(m));
    char *text = manifest_of(m);
    rt_status st = text ? put_all(m, out, text) : rt_fail(RT_RUN, "out of memory");
    free(text);
    if (!st) *result = result_of(m, target);
    return st;
}

rt_status rt_label_merge(const rt_label_merge_job *job, const rt_target *target, cJSON **result)
{
    *result = NULL;
    if (job->parts < 1 || job->parts > RT_MERGE_PARTS)
        return rt_fail(RT_USAGE, "labels merge: 1 to %d parts are wanted, not %d", RT_MERGE_PARTS, job->parts);
    merge m = {.job = job, .part = calloc((size_t)job->parts, sizeof *m.part), .to = {.fd = -1}};
    const char **inputs = calloc((size_t)job->parts + 1, sizeof *inputs);
    rt_output *out = NULL;
    rt_status st = m.part && inputs ? RT_OK : rt_fail(RT_RUN, "out of memory");
    for (int i = 0; i < job->parts && !st; i++) inputs[i] = job->part[i];
    if (!st) st = rt_output_take(&out, target, inputs);
    if (!st) st = run(&m, target, out, result);
    rt_output_end(out);
    for (int i = 0; m.part && i < job->parts; i++) rt_labels_close(m.part[i].store);
    rt_label_file_free(&m.to);
    free(m.part);
    free(m.leaf);
    free(m.room);
    free(inputs);
    return st;
}
