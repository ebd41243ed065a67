/* data/labels_read.c - a label store that is there. */
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/labels_open.h"
#include "data/labels_parts.h"

enum { PIECE_BYTES = 1 << 18, SCAN_ROWS = 1 << 16 };

/* ---- opening ---- */

static rt_status damaged(const rt_labels *l, const char *name)
{
    return rt_fail(RT_INPUT, "%s: '%s' is not what the store's manifest tells; the file is damaged, label again",
                   l->path, name);
}

static rt_status read_spec(rt_labels *l, uint64_t file_bytes)
{
    RT_TRY(rt_label_spec_read(&l->spec, l->head, &l->heads, l->feature, l->manifest, l->path));
    if (!l->spec.rows || l->spec.rows > UINT64_MAX / 2 || l->spec.first > UINT64_MAX / 2)
        return damaged(l, "manifest.labels.rows");
    /* All rows lie in the file, labelled or not, so that no later number is beyond its size. */
    if (l->spec.rows > file_bytes / rt_label_row_bytes(&l->spec))
        return rt_fail(RT_INPUT,
                       "%s: its manifest tells %" PRIu64 " rows, more than its %" PRIu64 " bytes can hold; the "
                       "file is damaged, label again",
                       l->path, l->spec.rows, file_bytes);
    l->blocks = rt_label_blocks(&l->spec);
    return RT_OK;
}

static rt_status read_source(rt_labels *l)
{
    cJSON *copy = cJSON_Duplicate(cJSON_GetObjectItemCaseSensitive(l->manifest, "source"), 1);
    rt_cfg c = rt_cfg_begin(copy, "manifest.source");
    const char *dataset = rt_cfg_string(&c, "dataset", NULL), *type = rt_cfg_string(&c, "type", NULL);
    l->span_rows = rt_cfg_u64(&c, "span_rows", 0);
    l->first_span = rt_cfg_u64(&c, "first_span", 0);
    const cJSON *shape = rt_cfg_array(&c, "shape");
    rt_status st = c.status ? rt_fail_in(RT_INPUT, "%s", l->path) : RT_OK;
    l->rank = cJSON_GetArraySize(shape);
    if (!st && (l->rank < 1 || l->rank > RT_H5_RANK || !l->span_rows || l->first_span != l->spec.first / l->span_rows))
        st = damaged(l, "manifest.source");
    for (int i = 0; i < l->rank && !st; i++) {
        double d = cJSON_GetNumberValue(cJSON_GetArrayItem(shape, i));
        if (!(d >= 0 && d <= 0x1p53)) st = damaged(l, "manifest.source.shape");
        else l->shape[i] = (uint64_t)d;
    }
    if (!st && (l->spec.first > l->shape[0] || l->spec.rows > l->shape[0] - l->spec.first))
        st = damaged(l, "manifest.source.shape");
    if (!st) {
        l->dataset = strdup(dataset);
        l->type = strdup(type);
        if (!l->dataset || !l->type) st = rt_fail(RT_RUN, "out of memory");
        l->spans = (l->spec.first + l->spec.rows - 1) / l->span_rows + 1 - l->first_span;
    }
    cJSON_Delete(copy);
    return st;
}

/* A small set of exactly so many bytes, for the caller to free. */
static rt_status read_set(rt_labels *l, rt_h5_file *f, const char *name, uint64_t bytes, void *out)
{
    const rt_h5_dataset *d = rt_h5_find(f, name);
    uint64_t is = d ? d->element : 0;
    for (int i = 0; d && i < d->rank; i++) is = d->dim[i] && is > UINT64_MAX / d->dim[i] ? UINT64_MAX : is * d->dim[i];
    if (is != bytes) return damaged(l, name);
    return rt_h5_read_all(out, f, name, bytes);
}

/* What belongs to the whole store, and its CRC. Of a store that is not complete that is the manifest's alone, or, cut
 * at the very end, that of all; 0 where an older version began it. It is read before what it covers: another process
 * that ends the store meanwhile writes it last. */
static rt_status read_head(rt_labels *l, rt_h5_file *f, const char *manifest)
{
    double *confidence = NULL;
    uint32_t *head = NULL, crc = rt_crc32c(0, manifest, strlen(manifest)), of_manifest = crc;
    RT_TRY(read_set(l, f, "labels/head_crc32c", 4, &head));
    rt_status st = read_set(l, f, "source/leaves", RT_LEAF_BYTES * l->spans, &l->leaf);
    if (!st) st = read_set(l, f, "labels/status_count", 8 * RT_LABEL_STATUSES, &l->status_count);
    if (!st) st = read_set(l, f, "labels/class_count", 8 * (uint64_t)l->spec.classes, &l->class_count);
    if (!st) st = read_set(l, f, "labels/block_crc32c", 4 * l->blocks, &l->crc);
    if (!st) st = read_set(l, f, "labels/confidence_mean", 8, &confidence);
    if (!st) {
        crc = rt_crc32c(crc, l->leaf, RT_LEAF_BYTES * l->spans);
        crc = rt_crc32c(crc, l->status_count, 8 * RT_LABEL_STATUSES);
        crc = rt_crc32c(crc, l->class_count, 8 * (size_t)l->spec.classes);
        crc = rt_crc32c(crc, confidence, 8);
        l->head_crc = rt_crc32c(crc, l->crc, 4 * l->blocks);
        l->confidence = *confidence;
        if (l->complete && l->head_crc != *head)
            st = rt_fail(RT_INPUT, "%s: its manifest, counts or checksums are damaged: their CRC32C is %08x, %08x is "
                         "stored; label again", l->path, l->head_crc, *head);
        if (!l->complete && *head && *head != of_manifest && *head != l->head_crc)
            st = rt_fail(RT_INPUT, "%s: the manifest of this unfinished store, or its checksum, is damaged: its CRC32C "
                         "is %08x, %08x is stored; take the file from a backup, or remove it and label again (the "
                         "same 'retort label' command ends one that was cut at its very end)", l->path, of_manifest,
                         *head);
    }
    free(confidence);
    free(head);
    return st;
}

/* A set of views becomes one of V N entries for who opens it next: of its first two dimensions the second is rows. */
static rt_status fold(rt_labels *l, rt_h5_file *f, const rt_label_column *c)
{
    for (int i = 0; i < f->sets && c->planes; i++) {
        rt_h5_dataset *d = &f->set[i];
        if (strcmp(d->name, c->name) != 0 || d->refused[0]) continue;
        if (d->rank < 2 || d->chunked || d->dim[0] != (uint64_t)c->planes || d->dim[1] != l->spec.rows)
            return damaged(l, c->name);
        d->dim[0] *= d->dim[1];
        d->rank--;
        memmove(&d->dim[1], &d->dim[2], (size_t)(d->rank - 1) * sizeof d->dim[0]);
    }
    return RT_OK;
}

static rt_status read_columns(rt_labels *l, rt_h5_file *f)
{
    l->cols = rt_label_columns(&l->spec, l->col);
    int heads = rt_label_heads(&l->spec, l->kept);
    l->features = l->kept[heads - 1].column + l->kept[heads - 1].columns;
    for (int i = 0; i < l->cols; i++) {
        RT_TRY(fold(l, f, &l->col[i]));
        RT_TRY(rt_source_open_in(&l->src[i], f, l->col[i].name));
        if (rt_source_rows(l->src[i]) != rt_label_column_entries(&l->col[i], &l->spec) ||
            rt_source_row_bytes(l->src[i]) != rt_label_column_bytes(&l->col[i]) ||
            rt_source_type(l->src[i]) != l->col[i].type) return damaged(l, l->col[i].name);
    }
    /* The rows are there, so that many blocks are no lie. */
    l->committed = calloc(l->blocks, 1);
    l->checked = calloc(l->blocks, sizeof *l->checked);
    return l->committed && l->checked ? RT_OK : rt_fail(RT_RUN, "out of memory");
}

static rt_status read_committed(rt_labels *l)
{
    rt_label_named named = {.blocks = l->blocks, .stored = l->crc, .crc = l->crc, .named = l->committed};
    char path[PATH_MAX];
    if (!l->complete) {
        RT_TRY(rt_label_real_path(path, sizeof path, l->path));
        return rt_label_read_journals(path, &named);
    }
    memset(l->committed, 1, l->blocks);
    return RT_OK;
}

/* The one head of a store that tells of no heads. */
static rt_status read_classes(rt_labels *l)
{
    rt_names names;
    RT_TRY(rt_names_from_json(&names, cJSON_GetObjectItemCaseSensitive(l->manifest, "classes"), l->path, "classes"));
    if (names.name && names.count != l->spec.classes) {
        int count = names.count;
        rt_names_free(&names);
        return rt_fail(RT_INPUT, "%s: its manifest names %d classes, but its logits are of %d", l->path, count,
                       l->spec.classes);
    }
    rt_status st = rt_heads_add(l->head, &l->heads, "y", RT_TASK_CLASSES, l->spec.classes);
    if (!st && names.name) {
        rt_names_free(&l->head[0].names);
        l->head[0].names = names;
        return RT_OK;
    }
    if (!st && !l->head[0].names.of) l->head[0].names.of = strdup(l->path);
    rt_names_free(&names);
    return st;
}

static rt_status read_all(rt_labels *l, rt_h5_file *f, int partial)
{
    char *text = NULL;
    unsigned char *complete = NULL;
    if (!rt_h5_find(f, "manifest") || !rt_h5_find(f, "labels/status"))
        return rt_fail(RT_INPUT, "%s: is no label store; make one with 'retort label'", l->path);
    if (!rt_h5_find(f, "source/leaves"))
        return rt_fail(RT_INPUT, "%s: is a label store of an older format, which does not say what rows it is of; "
                       "make it again with 'retort label ... --out %s --force'", l->path, l->path);
    rt_status st = rt_h5_read_all((void **)&text, f, "manifest", RT_JSON_MAX_BYTES);
    if (!st) st = read_set(l, f, "labels/complete", 1, &complete);
    l->complete = !st && *complete;
    free(complete);
    if (!st && !l->complete && !partial)
        st = rt_fail(RT_INPUT, "%s: labelling is not finished; run the same 'retort label' command again to go on",
                     l->path);
    if (!st) st = rt_json_parse(&l->manifest, text, strlen(text), l->path);
    if (!st) st = read_spec(l, f->size);
    if (!st) st = read_source(l);
    if (!st && !l->heads) st = read_classes(l);
    if (st == RT_USAGE) st = rt_fail_in(RT_INPUT, "%s: its manifest is damaged, label again", l->path);
    l->width = l->spec.classes;
    if (!st) st = read_columns(l, f);
    if (!st) st = rt_label_hand_read(&l->hand, f, &l->spec, l->manifest, l->path);
    if (!st) st = read_head(l, f, text);
    if (!st) st = read_committed(l);
    free(text);
    return st;
}

rt_status rt_labels_open(rt_labels **out, const char *path, int partial)
{
    rt_h5_file *f = NULL;
    *out = NULL;
    rt_labels *l = calloc(1, sizeof *l);
    if (!l) return rt_fail(RT_RUN, "out of memory");
    snprintf(l->path, sizeof l->path, "%s", path);
    rt_status st = rt_h5_scan(&f, path);
    if (!st) {
        st = read_all(l, f, partial);
        rt_h5_close(f);
    }
    if (st) rt_labels_close(l);
    else *out = l;
    return st;
}

void rt_labels_close(rt_labels *l)
{
    if (!l) return;
    for (int i = 0; i < RT_LABEL_COLUMNS; i++) rt_source_close(l->src[i]);
    for (int i = 0; i < RT_LABEL_FEATURES; i++) free((char *)(uintptr_t)l->feature[i].name);
    rt_label_hand_free(&l->hand);
    cJSON_Delete(l->manifest);
    rt_heads_free(l->head, l->heads);
    void *owned[] = {l->place, l->crc, l->committed, l->checked, l->class_count, l->status_count, l->dataset, l->type,
                     l->leaf, l};
    for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++) free(owned[i]);
}

const rt_labels_spec *rt_labels_info(const rt_labels *l) { return &l->spec; }
const cJSON *rt_labels_manifest(const rt_labels *l) { return l->manifest; }

const rt_head *rt_labels_heads(const rt_labels *l, int *count)
{
    *count = l->heads;
    return l->head;
}

int rt_labels_complete(const rt_labels *l) { return l->complete; }
uint64_t rt_labels_span_rows(const rt_labels *l) { return l->span_rows; }

rt_status rt_labels_set_heads(rt_labels *l, const rt_head *head, int count, const char *of, rt_match match)
{
    free(l->place);
    l->place = NULL;
    RT_TRY(rt_heads_place(&l->place, l->head, l->heads, l->path, head, count, of ? of : "the model", match));
    l->width = rt_heads_width(head, count);
    return RT_OK;
}

rt_status rt_labels_digest(const rt_labels *l, rt_digest *digest)
{
    if (!l->complete) return rt_fail(RT_INPUT, "%s: labelling is not finished", l->path);
    cJSON *manifest = cJSON_Duplicate(l->manifest, 1);
    cJSON_DeleteItemFromObjectCaseSensitive(manifest, "tool");
    cJSON_DeleteItemFromObjectCaseSensitive(manifest, "paths");
    rt_json_sort(manifest);
    char *text = cJSON_PrintUnformatted(manifest);
    cJSON_Delete(manifest);
    if (!text) return rt_fail(RT_RUN, "out of memory");
    rt_hasher *h = rt_hasher_new();
    rt_hasher_add(h, text, strlen(text));
    rt_hasher_add(h, l->leaf, RT_LEAF_BYTES * l->spans);
    rt_hasher_add(h, l->crc, 4 * l->blocks);
    *digest = rt_hasher_end(h);
    cJSON_free(text);
    return RT_OK;
}

/* ---- what it is of ---- */

/* Whether a row of the span has a label that is on disk. */
static int is_used(const rt_labels *l, uint64_t span)
{
    uint64_t first = (l->first_span + span) * l->span_rows, end = first + l->span_rows;
    first = first < l->spec.first ? 0 : first - l->spec.first;
    end = end - l->spec.first < l->spec.rows ? end - l->spec.first : l->spec.rows;
    for (uint64_t b = first / RT_LABEL_BLOCK; b * RT_LABEL_BLOCK < end; b++) if (l->committed[b]) return 1;
    return 0;
}

/* Rows [*first, *end) of the first span with labels that are not what was labelled; none: both 0. The data may have
 * more rows than it had then. */
static rt_status find_changed(const rt_labels *l, rt_identity *id, rt_pool *pool, const rt_progress *progress,
                              uint64_t *first, uint64_t *end)
{
    *first = *end = 0;
    if (l->complete)
        RT_TRY(rt_identity_know(id, l->spec.first, l->spec.first + l->spec.rows, pool, progress));
    for (uint64_t s = 0; s < l->spans; s++) {
        uint64_t from = (l->first_span + s) * l->span_rows, to = from + l->span_rows;
        rt_leaf now;
        if (!l->complete && !is_used(l, s)) continue;
        if (to > l->shape[0]) to = l->shape[0];
        RT_TRY(rt_identity_know(id, from, to, pool, progress));
        RT_TRY(rt_identity_prefix(id, l->first_span + s, to - from, &now));
        if (!memcmp(&now, &l->leaf[s], sizeof now)) continue;
        *first = from < l->spec.first ? l->spec.first : from;
        *end = to < l->spec.first + l->spec.rows ? to : l->spec.first + l->spec.rows;
        return RT_OK;
    }
    return RT_OK;
}

rt_status rt_labels_check_prefix(const rt_labels *l, rt_identity *id, rt_pool *pool, const rt_progress *progress)
{
    uint64_t first, end;
    RT_TRY(find_changed(l, id, pool, progress, &first, &end));
    if (first == end) return RT_OK;
    return rt_fail(RT_USAGE, "%s: holds labels of other data: rows %" PRIu64 " to %" PRIu64 " of the source have "
                   "changed since; give another --out, or --force to replace it", l->path, first, end - 1);
}

rt_status rt_labels_check_source(const rt_labels *l, rt_identity *id, rt_pool *pool, const rt_progress *progress)
{
    const rt_h5_dataset *d = rt_identity_set(id);
    int same = d->rank == l->rank && !strcmp(rt_dtype_name(d->type), l->type) &&
               rt_identity_span_rows(id) == l->span_rows;
    for (int i = 0; i < l->rank && same; i++) same = d->dim[i] == l->shape[i];
    if (!same)
        return rt_fail(RT_INPUT, "%s: its labels are of other data: of '%s', %s with %" PRIu64 " rows, not of '%s', "
                       "%s with %" PRIu64 " rows; label this data again",
                       l->path, l->dataset, l->type, l->shape[0], d->name, rt_dtype_name(d->type),
                       d->rank ? d->dim[0] : 0);
    uint64_t first, end;
    RT_TRY(find_changed(l, id, pool, progress, &first, &end));
    if (first == end) return RT_OK;
    return rt_fail(RT_INPUT, "%s: its labels are of other data: rows %" PRIu64 " to %" PRIu64 " are not what was "
                   "labelled; label this data again", l->path, first, end - 1);
}

/* ---- rows ---- */

/* The block's bytes against its CRC, once. Two threads may do the same work. */
static rt_status check_block(rt_labels *l, uint64_t b)
{
    if (atomic_load_explicit(&l->checked[b], memory_order_relaxed)) return RT_OK;
    if (!l->committed[b])
        return rt_fail(RT_INPUT, "%s: row %" PRIu64 " is not labelled yet", l->path,
                       l->spec.first + b * RT_LABEL_BLOCK);
    uint32_t crc = 0;
    uint64_t first = b * RT_LABEL_BLOCK, rows = rt_label_block_rows(&l->spec, b);
    size_t widest = 1, piece;
    for (int i = 0; i < l->cols; i++)
        if (rt_label_column_bytes(&l->col[i]) > widest) widest = rt_label_column_bytes(&l->col[i]);
    piece = widest < PIECE_BYTES ? PIECE_BYTES / widest : 1;
    char *raw = malloc(piece * widest);
    rt_status st = raw ? RT_OK : rt_fail(RT_RUN, "out of memory");
    for (int i = 0; i < l->cols && !st; i++)
        for (int p = 0; p < rt_label_column_planes(&l->col[i]) && !st; p++) {
            const rt_label_column *c = &l->col[i];
            uint64_t entries = c->by_block ? 1 : rows, from = rt_label_entry(c, &l->spec, p, first);
            for (uint64_t at = 0; at < entries && !st; at += piece) {
                uint64_t n = entries - at < piece ? entries - at : piece;
                st = rt_source_read_stored(l->src[i], from + at, n, raw);
                crc = rt_crc32c(crc, raw, n * rt_label_column_bytes(c));
            }
        }
    free(raw);
    if (!st && crc != l->crc[b])
        st = rt_fail(RT_INPUT, "%s: block %" PRIu64 " (rows from %" PRIu64 ") is damaged: its CRC32C is %08x, %08x is "
                     "stored; label again", l->path, b, l->spec.first + first, crc, l->crc[b]);
    if (!st) atomic_store_explicit(&l->checked[b], 1, memory_order_relaxed);
    return st;
}

rt_status rt_labels_coded(rt_labels *l, uint64_t at, uint64_t rows, char *out)
{
    for (uint64_t b = at / RT_LABEL_BLOCK; b * RT_LABEL_BLOCK < at + rows; b++) RT_TRY(check_block(l, b));
    for (int i = 0; i < l->cols; i++) {
        const rt_label_column *c = &l->col[i];
        for (int p = 0; p < rt_label_column_planes(c); p++) {
            RT_TRY(rt_source_read_stored(l->src[i], rt_label_entry(c, &l->spec, p, at), c->by_block ? 1 : rows, out));
            out += rt_label_piece_bytes(c, rows);
        }
    }
    return RT_OK;
}

int rt_labels_has_block(const rt_labels *l, uint64_t block) { return block < l->blocks && l->committed[block]; }

/* at[i]: the store's row of source row row[i], in a block that holds. */
static rt_status find_rows(rt_labels *l, const uint64_t *row, int n, uint64_t *at)
{
    for (int i = 0; i < n; i++) {
        at[i] = row[i] - l->spec.first;
        if (row[i] < l->spec.first || at[i] >= l->spec.rows)
            return rt_fail(RT_INPUT, "%s: has no label for row %" PRIu64 ": it covers rows %" PRIu64 " to %" PRIu64,
                           l->path, row[i], l->spec.first, l->spec.first + l->spec.rows - 1);
        RT_TRY(check_block(l, at[i] / RT_LABEL_BLOCK));
    }
    return RT_OK;
}

rt_status rt_labels_status(rt_labels *l, const uint64_t *row, int n, unsigned char *status)
{
    uint64_t *at = malloc(((size_t)n + 1) * sizeof *at);
    rt_status st = at ? find_rows(l, row, n, at) : rt_fail(RT_RUN, "out of memory");
    if (!st) st = rt_source_read(l->src[l->cols - 1], at, n, status);
    free(at);
    return st;
}

rt_status rt_label_find_rows(rt_labels *l, const uint64_t *row, int n, uint64_t *at)
{
    return find_rows(l, row, n, at);
}
rt_status rt_label_check_block(rt_labels *l, uint64_t block) { return check_block(l, block); }

rt_status rt_labels_verify(rt_labels *l)
{
    for (uint64_t b = 0; b < l->blocks; b++) {
        RT_TRY(rt_check_stop());
        if (l->committed[b]) RT_TRY(check_block(l, b));
    }
    return RT_OK;
}

/* ---- counts ---- */

rt_status rt_labels_summarize(rt_labels *l, rt_labels_summary *s)
{
    *s = (rt_labels_summary){0};
    if (l->complete) {
        memcpy(s->status, l->status_count, sizeof s->status);
        s->class_count = l->class_count;
        s->confidence = l->confidence;
        return RT_OK;
    }
    for (uint64_t b = 0; b < l->blocks; b++) {
        unsigned char status[RT_LABEL_BLOCK];
        uint64_t rows = rt_label_block_rows(&l->spec, b);
        RT_TRY(rt_check_stop());
        if (!l->committed[b]) {
            s->status[RT_LABEL_NOT_YET] += rows;
            continue;
        }
        RT_TRY(rt_source_read_stored(l->src[l->cols - 1], b * RT_LABEL_BLOCK, rows, status));
        for (uint64_t i = 0; i < rows; i++) s->status[status[i] < RT_LABEL_STATUSES ? status[i] : RT_LABEL_NOT_YET]++;
    }
    return RT_OK;
}

static cJSON *counts_of(const uint64_t *count, const rt_names *names)
{
    cJSON *counts = cJSON_CreateObject();
    for (int c = 0; c < names->count; c++) {
        char number[16];
        cJSON_AddNumberToObject(counts, rt_names_at(names, c, number), (double)count[c]);
    }
    return counts;
}

cJSON *rt_labels_class_counts(const rt_labels_summary *s, const rt_head *head, int heads)
{
    if (rt_heads_plain(head, heads)) return counts_of(s->class_count, &head[0].names);
    cJSON *all = cJSON_CreateObject();
    for (int h = 0; h < heads; h++)
        if (head[h].task != RT_TASK_REAL)
            cJSON_AddItemToObject(all, head[h].name, counts_of(s->class_count + head[h].at, &head[h].names));
    return all;
}

rt_status rt_labels_remove_bad(rt_labels *l, rt_rows *rows, uint64_t *removed)
{
    uint64_t before = rows->count;
    unsigned char *status = malloc(SCAN_ROWS);
    rt_status st = status ? RT_OK : rt_fail(RT_RUN, "out of memory");
    *removed = 0;
    if (l->complete && rt_labels_labelled(l->status_count) == l->spec.rows) {
        free(status);
        return st;
    }
    for (uint64_t at = 0; at < l->spec.rows && !st; at += SCAN_ROWS) {
        uint64_t n = l->spec.rows - at < SCAN_ROWS ? l->spec.rows - at : SCAN_ROWS;
        int bad = 0;
        st = rt_check_stop();
        for (uint64_t i = 0; i < n && !st; i += RT_LABEL_BLOCK) st = check_block(l, (at + i) / RT_LABEL_BLOCK);
        if (!st) st = rt_source_read_stored(l->src[l->cols - 1], at, n, status);
        for (uint64_t i = 0; i < n && !st; i++) bad |= status[i] = !rt_label_is_there(status[i]);
        if (st || !bad) continue;
        rt_rows these;
        st = rt_rows_from_blocks(&these, l->spec.first + at, n, 1, status);
        if (!st) st = rt_rows_remove(rows, &these);
        rt_rows_free(&these);
    }
    *removed = before - rows->count;
    free(status);
    return st;
}
