/* data/labels_file.c - the file of a label store while it is made. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "data/files.h"
#include "data/labels_parts.h"

enum { ITEMS = RT_LABEL_COLUMNS + RT_LABEL_FIXED + 3 };

static const char *const fixed_name[RT_LABEL_FIXED] = {
    "labels/block_crc32c", "labels/status_count", "labels/class_count", "labels/confidence_mean", "source/leaves",
    "labels/head_crc32c", "labels/complete", "manifest"};

/* ---- memory ---- */

rt_status rt_label_file_init(rt_label_file *w, const char *path, const rt_labels_spec *spec, uint64_t span_rows,
                             rt_pool *pool)
{
    *w = (rt_label_file){.spec = *spec, .fd = -1, .span_rows = span_rows};
    if (snprintf(w->path, sizeof w->path, "%s", path) >= (int)sizeof w->path)
        return rt_fail(RT_USAGE, "%.60s...: the path is too long", path);
    w->cols = rt_label_columns(spec, w->col);
    w->blocks = rt_label_blocks(spec);
    w->first_span = spec->first / span_rows;
    w->spans = (spec->first + spec->rows - 1) / span_rows + 1 - w->first_span;
    w->crc = calloc(w->blocks, sizeof *w->crc);
    w->confidence = calloc(w->blocks, sizeof *w->confidence);
    w->class_count = calloc((size_t)spec->classes, sizeof *w->class_count);
    w->buffer = malloc(rt_label_block_bytes(spec, RT_LABEL_BLOCK));
    w->by_hand = malloc((size_t)(spec->heads ? spec->heads : 1) * RT_LABEL_BLOCK * sizeof *w->by_hand);
    if (!w->crc || !w->confidence || !w->class_count || !w->buffer || !w->by_hand)
        return rt_fail(RT_RUN, "out of memory");
    return rt_label_coder_new(&w->coder, &w->spec, pool);
}

void rt_label_file_free(rt_label_file *w)
{
    if (w->fd >= 0) close(w->fd);
    rt_label_coder_free(w->coder);
    free(w->crc);
    free(w->confidence);
    free(w->class_count);
    free(w->buffer);
    free(w->by_hand);
    rt_label_hand_free(&w->hand);
    *w = (rt_label_file){.fd = -1};
}

/* ---- what the store is ---- */

static void describe_source(const rt_label_file *w, const rt_h5_dataset *d, cJSON *m)
{
    cJSON_DeleteItemFromObjectCaseSensitive(m, "source");
    cJSON *s = cJSON_AddObjectToObject(m, "source");
    cJSON_AddStringToObject(s, "dataset", d->name);
    cJSON_AddStringToObject(s, "type", rt_dtype_name(d->type));
    cJSON *shape = cJSON_AddArrayToObject(s, "shape");
    for (int i = 0; i < d->rank; i++) cJSON_AddItemToArray(shape, cJSON_CreateNumber((double)d->dim[i]));
    cJSON_AddNumberToObject(s, "span_rows", (double)w->span_rows);
    cJSON_AddNumberToObject(s, "first_span", (double)w->first_span);
    cJSON_AddStringToObject(s, "leaves", "XXH3-128 of the rows of each span, from first_span on");
}

void rt_label_file_describe(const rt_label_file *w, const rt_h5_dataset *source, cJSON *manifest)
{
    rt_label_spec_tell(&w->spec, manifest);
    describe_source(w, source, manifest);
}

/* Columns, what is fixed, and labels by hand. */
static int items_of(const rt_label_file *w, rt_h5_item it[ITEMS], const char *manifest)
{
    int n = w->cols, by_hand = w->hand.count ? w->spec.heads > 1 ? 3 : 2 : 0;
    for (int i = 0; i < n; i++) {
        const rt_label_column *c = &w->col[i];
        it[i] = (rt_h5_item){.name = c->name, .type = c->type, .note = c->decode ? "decode" : NULL, .said = c->decode};
        if (c->planes) it[i].dim[it[i].rank++] = (uint64_t)c->planes;
        it[i].dim[it[i].rank++] = c->planes ? w->spec.rows : rt_label_column_entries(c, &w->spec);
        if (!c->flat) it[i].dim[it[i].rank++] = c->width;
    }
    for (int i = 0; i < RT_LABEL_FIXED; i++) it[n + i] = (rt_h5_item){.name = fixed_name[i], .rank = 1, .dim = {1}};
    it[n + RT_LABEL_CRC].type = it[n + RT_LABEL_HEAD_CRC].type = RT_U32;
    it[n + RT_LABEL_CRC].dim[0] = w->blocks;
    it[n + RT_LABEL_STATUS_COUNT].type = it[n + RT_LABEL_CLASS_COUNT].type = RT_U64;
    it[n + RT_LABEL_STATUS_COUNT].dim[0] = RT_LABEL_STATUSES;
    it[n + RT_LABEL_CLASS_COUNT].dim[0] = (uint64_t)w->spec.classes;
    it[n + RT_LABEL_CONFIDENCE].type = RT_F64;
    it[n + RT_LABEL_LEAVES].type = it[n + RT_LABEL_COMPLETE].type = RT_U8;
    it[n + RT_LABEL_LEAVES].rank = 2;
    it[n + RT_LABEL_LEAVES].dim[0] = w->spans;
    it[n + RT_LABEL_LEAVES].dim[1] = RT_LEAF_BYTES;
    it[n + RT_LABEL_MANIFEST].type = RT_TEXT;
    it[n + RT_LABEL_MANIFEST].rank = 0;
    it[n + RT_LABEL_MANIFEST].element = (uint32_t)strlen(manifest);
    n += RT_LABEL_FIXED;
    const struct { const char *name; rt_dtype type; const void *data; } hand[] = {
        {"hand/row", RT_U64, w->hand.row}, {"hand/label", RT_I32, w->hand.label}, {"hand/head", RT_U8, w->hand.head}};
    for (int i = 0; i < by_hand; i++)
        it[n + i] = (rt_h5_item){.name = hand[i].name, .type = hand[i].type, .rank = 1, .dim = {w->hand.count},
                                 .data = hand[i].data};
    return n + by_hand;
}

rt_status rt_label_file_make(rt_label_file *w, rt_output *output, const char *manifest)
{
    uint64_t offsets[ITEMS];
    rt_h5_item it[ITEMS] = {{0}};
    int n = items_of(w, it, manifest), fd;
    uint32_t head = rt_crc32c(0, manifest, strlen(manifest));        /* until it is that of all: see check_head */
    RT_TRY(rt_output_create(output, &fd));
    RT_TRY(rt_h5_create(fd, w->path, rt_label_format(&w->spec, w->hand.count > 0), it, n, offsets));
    for (int i = 0; i < w->cols; i++) w->at[i] = offsets[i];
    for (int i = 0; i < RT_LABEL_FIXED; i++) w->fixed[i] = offsets[w->cols + i];
    RT_TRY(rt_pwrite_all(fd, manifest, strlen(manifest), w->fixed[RT_LABEL_MANIFEST], w->path));
    for (int i = w->cols + RT_LABEL_FIXED; i < n; i++)
        RT_TRY(rt_pwrite_all(fd, it[i].data, w->hand.count * rt_dtype_size(it[i].type), offsets[i], w->path));
    RT_TRY(rt_pwrite_all(fd, &head, sizeof head, w->fixed[RT_LABEL_HEAD_CRC], w->path));
    w->manifest_crc = head;
    w->made = 1;
    do w->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    while (w->fd < 0 && errno == EINTR);
    return w->fd < 0 ? rt_fail(RT_RUN, "%s: %s", w->path, strerror(errno)) : RT_OK;
}

rt_status rt_label_file_create(rt_label_file *w, rt_output *output, const char *manifest)
{
    rt_status st = rt_label_file_make(w, output, manifest);
    w->made = 0;
    if (w->fd >= 0) close(w->fd);
    w->fd = -1;
    return st ? st : rt_output_commit(output);
}

/* ---- what is there already ---- */

static rt_status damaged(const rt_label_file *w, const char *name)
{
    return rt_fail(RT_INPUT, "%s: data set '%s' is missing or damaged; remove the file to label again", w->path, name);
}

uint64_t rt_label_fixed_bytes(const rt_label_file *w, int which)
{
    switch (which) {
    case RT_LABEL_CRC: return 4 * w->blocks;
    case RT_LABEL_STATUS_COUNT: return 8 * RT_LABEL_STATUSES;
    case RT_LABEL_CLASS_COUNT: return 8 * (uint64_t)w->spec.classes;
    case RT_LABEL_CONFIDENCE: return 8;
    case RT_LABEL_LEAVES: return RT_LEAF_BYTES * w->spans;
    case RT_LABEL_HEAD_CRC: return 4;
    default: return 1;
    }
}

static rt_status read_hand(rt_label_file *w, rt_h5_file *f)
{
    char *text;
    cJSON *manifest = NULL;
    if (!rt_h5_find(f, "hand/row")) return RT_OK;
    RT_TRY(rt_h5_read_all((void **)&text, f, fixed_name[RT_LABEL_MANIFEST], RT_JSON_MAX_BYTES));
    rt_status st = rt_json_parse(&manifest, text, strlen(text), w->path);
    free(text);
    rt_label_hand_free(&w->hand);
    if (!st) st = rt_label_hand_read(&w->hand, f, &w->spec, manifest, w->path);
    cJSON_Delete(manifest);
    return st;
}

rt_status rt_label_file_open(rt_label_file *w, rt_h5_file *f)
{
    for (int i = 0; i < w->cols + RT_LABEL_FIXED; i++) {
        const char *name = i < w->cols ? w->col[i].name : fixed_name[i - w->cols];
        const rt_h5_dataset *d = rt_h5_find(f, name);
        uint64_t bytes = i < w->cols ? rt_label_column_bytes(&w->col[i]) * rt_label_column_entries(&w->col[i], &w->spec)
                                     : rt_label_fixed_bytes(w, i - w->cols);
        uint64_t is = d ? d->element : 0;
        for (int k = 0; d && k < d->rank; k++) is *= d->dim[k];
        if (!d || d->refused[0] || d->chunked || d->offset == UINT64_MAX ||
            (is != bytes && i != w->cols + RT_LABEL_MANIFEST)) return damaged(w, name);
        if (i < w->cols) w->at[i] = d->offset;
        else w->fixed[i - w->cols] = d->offset;
    }
    RT_TRY(read_hand(w, f));
    do w->fd = open(w->path, O_RDWR | O_CLOEXEC);
    while (w->fd < 0 && errno == EINTR);
    return w->fd < 0 ? rt_fail(RT_RUN, "%s: %s", w->path, strerror(errno)) : RT_OK;
}

/* "avx512": the kernels that computed the answers; NULL: it does not tell, as of answers that no kernel changes. */
static const char *kernels_of(const cJSON *manifest)
{
    const cJSON *teacher = cJSON_GetObjectItemCaseSensitive(manifest, "teacher");
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(teacher, "kernels"));
}

/* The same teacher, on another device or with other kernels: last digits would differ from block to block. */
static rt_status same_kernels(const rt_label_file *w, const cJSON *old, const cJSON *mine)
{
    const char *then = kernels_of(old), *now = kernels_of(mine);
    cJSON *a = cJSON_Duplicate(cJSON_GetObjectItemCaseSensitive(old, "teacher"), 1);
    cJSON *b = cJSON_Duplicate(cJSON_GetObjectItemCaseSensitive(mine, "teacher"), 1);
    cJSON_DeleteItemFromObjectCaseSensitive(a, "kernels");
    cJSON_DeleteItemFromObjectCaseSensitive(b, "kernels");
    int differ = then && now && strcmp(then, now) && cJSON_Compare(a, b, 1);
    cJSON_Delete(a);
    cJSON_Delete(b);
    if (!differ) return RT_OK;
    return rt_fail(RT_USAGE, "%s: holds labels of this teacher that were computed by %s, and this is %s: last digits "
                   "would differ; use what it was begun with (--kernels, --device, label.precision), give another "
                   "--out, or --force to replace it", w->path, then, now);
}

static rt_label_views views_of(const cJSON *manifest)
{
    rt_labels_spec s = {0};
    rt_head head[RT_MAX_HEADS];
    rt_label_feature feature[RT_LABEL_FEATURES];
    int heads = 0;
    if (rt_label_spec_read(&s, head, &heads, feature, manifest, "")) s.views.count = 0;
    for (int i = 0; i < s.features; i++) free((char *)(uintptr_t)feature[i].name);
    rt_heads_free(head, heads);
    return s.views;
}

/* The same rows, seen otherwise: what differs is told by its name. */
static rt_status same_views(const rt_label_file *w, const cJSON *old, const cJSON *mine)
{
    const rt_label_views then = views_of(old), now = views_of(mine);
    char why[160];
    if (then.count != now.count)
        return rt_fail(RT_USAGE, "%s: holds labels of %d views of each row, and %d are wanted; give label.views=%d, "
                       "another --out, or --force to replace it", w->path, then.count, now.count, then.count);
    if (!then.count || rt_label_views_same(&then, &now, why)) return RT_OK;
    return rt_fail(RT_USAGE, "%s: holds labels of other views, made with augment.%s; give that, another --out, or "
                   "--force to replace it", w->path, why);
}

static void set_number(cJSON *item, const cJSON *like)
{
    if (cJSON_IsNumber(item) && cJSON_IsNumber(like)) cJSON_SetNumberValue(item, like->valuedouble);
}

/* The part of a manifest that a source which grows changes, as it is in another one. */
static cJSON *grow(const cJSON *old, const cJSON *mine, const char *part)
{
    cJSON *a = cJSON_Duplicate(cJSON_GetObjectItemCaseSensitive(old, part), 1);
    const cJSON *b = cJSON_GetObjectItemCaseSensitive(mine, part);
    set_number(cJSON_GetObjectItemCaseSensitive(a, "rows"), cJSON_GetObjectItemCaseSensitive(b, "rows"));
    set_number(cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(a, "shape"), 0),
               cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(b, "shape"), 0));
    return a;
}

static double rows_of(const cJSON *manifest)
{
    const cJSON *labels = cJSON_GetObjectItemCaseSensitive(manifest, "labels");
    return cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(labels, "rows"));
}

static double source_rows_of(const cJSON *manifest)
{
    const cJSON *source = cJSON_GetObjectItemCaseSensitive(manifest, "source");
    return cJSON_GetNumberValue(cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(source, "shape"), 0));
}

/* The source has more rows than the store at hand knows of, and the store's rows are the first of those wanted. */
static int has_grown(const cJSON *old, const cJSON *mine)
{
    if (!(source_rows_of(old) < source_rows_of(mine) && rows_of(old) <= rows_of(mine))) return 0;
    cJSON *source = grow(old, mine, "source"), *labels = grow(old, mine, "labels");
    int same = cJSON_Compare(source, cJSON_GetObjectItemCaseSensitive(mine, "source"), 1) &&
               cJSON_Compare(labels, cJSON_GetObjectItemCaseSensitive(mine, "labels"), 1);
    cJSON_Delete(source);
    cJSON_Delete(labels);
    return same;
}

rt_status rt_label_or_damaged(const char *path, rt_status st)
{
    char message[1024];
    rt_labels *l = NULL;
    if (st != RT_USAGE) return st;
    snprintf(message, sizeof message, "%s", rt_error_message());
    rt_status seen = rt_labels_open(&l, path, 1);
    rt_labels_close(l);
    return seen == RT_INPUT || seen == RT_RUN ? seen : rt_fail(st, "%s", message);
}

rt_status rt_label_file_same(const rt_label_file *w, rt_h5_file *f, const cJSON *manifest, int *grown)
{
    static const char *const part[] = {"teacher", "classes", "columns", "source", "labels"};
    static const char *const what[] = {"by another teacher", "by a teacher with other classes",
                                       "by a teacher with other columns",
                                       "of other data", "of other rows or in another coding"};
    char *text;
    cJSON *old, *mine = NULL;
    if (!rt_h5_find(f, "manifest") || !rt_h5_find(f, "labels/status"))
        return rt_fail(RT_USAGE, "%s: is there and is no label store; give another --out", w->path);
    if (!rt_h5_find(f, fixed_name[RT_LABEL_LEAVES]))
        return rt_fail(RT_USAGE, "%s: is a label store of an older format, which cannot go on; give another --out, or "
                       "--force to replace it", w->path);
    RT_TRY(rt_h5_read_all((void **)&text, f, "manifest", RT_JSON_MAX_BYTES));
    rt_status st = rt_json_parse(&old, text, strlen(text), w->path);
    free(text);
    if (st) return st;
    text = rt_json_text(manifest, 0);                   /* as it would be read back */
    st = text ? rt_json_parse(&mine, text, strlen(text), w->path) : rt_fail(RT_RUN, "out of memory");
    free(text);
    if (!st) st = same_kernels(w, old, mine);
    if (!st) st = same_views(w, old, mine);
    int more = !st && grown && has_grown(old, mine);
    if (grown) *grown = more;
    for (int i = 0; i < (more ? 3 : 5) && !st; i++) {
        const cJSON *a = cJSON_GetObjectItemCaseSensitive(old, part[i]);
        const cJSON *b = cJSON_GetObjectItemCaseSensitive(mine, part[i]);
        if ((a || b) && !cJSON_Compare(a, b, 1))
            st = rt_fail(RT_USAGE, "%s: holds labels %s; give another --out, or --force to replace it", w->path,
                         what[i]);
    }
    cJSON_Delete(old);
    cJSON_Delete(mine);
    return rt_label_or_damaged(w->path, st);
}

/* A block lies in the file in pieces, one of each plane of each column. */
static rt_status each_piece(const rt_label_file *w, uint64_t b, int writes)
{
    char *at = w->buffer;
    for (int i = 0; i < w->cols; i++) {
        const rt_label_column *c = &w->col[i];
        size_t n = rt_label_piece_bytes(c, rt_label_block_rows(&w->spec, b)), entry = rt_label_column_bytes(c);
        for (int p = 0; p < rt_label_column_planes(c); p++, at += n) {
            uint64_t to = w->at[i] + entry * rt_label_entry(c, &w->spec, p, b * RT_LABEL_BLOCK);
            RT_TRY(writes ? rt_pwrite_all(w->fd, at, n, to, w->path) : rt_pread_all(w->fd, at, n, to, w->path));
        }
    }
    return RT_OK;
}

rt_status rt_label_file_read(const rt_label_file *w, uint64_t b) { return each_piece(w, b, 0); }
rt_status rt_label_file_write(const rt_label_file *w, uint64_t b) { return each_piece(w, b, 1); }

/* ---- blocks ---- */

static const int32_t *hand_of(const rt_label_file *w, uint64_t b)
{
    return rt_label_hand_of(&w->hand, w->spec.heads ? w->spec.heads : 1, w->spec.first + b * RT_LABEL_BLOCK,
                            rt_label_block_rows(&w->spec, b), w->by_hand);
}

void rt_label_file_encode(rt_label_file *w, uint64_t b, const rt_label_rows *rows)
{
    rt_label_rows these = *rows;
    these.rows = rt_label_block_rows(&w->spec, b);
    these.by_hand = hand_of(w, b);
    w->confidence[b] = rt_label_encode(w->coder, w->buffer, &these, w->class_count, w->status_count);
    w->crc[b] = rt_label_file_crc(w, b);
}

void rt_label_file_count(rt_label_file *w, uint64_t b)
{
    w->confidence[b] = rt_label_count(w->coder, w->buffer, rt_label_block_rows(&w->spec, b), hand_of(w, b),
                                      w->class_count, w->status_count);
}

uint32_t rt_label_file_crc(const rt_label_file *w, uint64_t b)
{ return rt_crc32c(0, w->buffer, rt_label_block_bytes(&w->spec, rt_label_block_rows(&w->spec, b))); }

/* ---- counts and checksums ---- */

double rt_label_file_mean(const rt_label_file *w)
{
    uint64_t labelled = rt_labels_labelled(w->status_count);
    double sum = 0;
    for (uint64_t b = 0; b < w->blocks; b++) sum += w->confidence[b];
    return labelled ? sum / (double)labelled : 0;
}

rt_status rt_label_file_get_counts(rt_label_file *w)
{
    const struct { int which; void *to; } part[] = {
        {RT_LABEL_STATUS_COUNT, w->status_count}, {RT_LABEL_CLASS_COUNT, w->class_count},
        {RT_LABEL_CONFIDENCE, w->confidence}};
    for (int i = 0; i < 3; i++) {
        int which = part[i].which;
        RT_TRY(rt_pread_all(w->fd, part[i].to, rt_label_fixed_bytes(w, which), w->fixed[which], w->path));
    }
    w->confidence[0] *= (double)rt_labels_labelled(w->status_count);
    return RT_OK;
}

rt_status rt_label_file_get_crc(rt_label_file *w)
{
    return rt_pread_all(w->fd, w->crc, rt_label_fixed_bytes(w, RT_LABEL_CRC), w->fixed[RT_LABEL_CRC], w->path);
}

/* Runs of blocks at once. */
rt_status rt_label_file_put_crc(const rt_label_file *w, const uint64_t *block, uint64_t n)
{
    for (uint64_t i = 0, k; i < n; i = k) {
        for (k = i + 1; k < n && block[k] == block[k - 1] + 1; k++) {}
        RT_TRY(rt_pwrite_all(w->fd, w->crc + block[i], (size_t)(k - i) * sizeof *w->crc,
                             w->fixed[RT_LABEL_CRC] + block[i] * sizeof *w->crc, w->path));
    }
    return RT_OK;
}

rt_status rt_label_file_manifest_crc(const rt_label_file *w, uint32_t *crc)
{
    rt_h5_file *f;
    char *text;
    *crc = w->manifest_crc;
    if (w->made) return RT_OK;
    RT_TRY(rt_h5_scan(&f, w->path));
    rt_status st = rt_h5_read_all((void **)&text, f, fixed_name[RT_LABEL_MANIFEST], RT_JSON_MAX_BYTES);
    rt_h5_close(f);
    if (st) return st;
    *crc = rt_crc32c(0, text, strlen(text));
    free(text);
    return RT_OK;
}

rt_status rt_label_file_head_crc(const rt_label_file *w, uint32_t *head)
{
    uint64_t leaves = rt_label_fixed_bytes(w, RT_LABEL_LEAVES);
    rt_leaf *leaf = malloc(leaves);
    double mean = rt_label_file_mean(w);
    rt_status st = leaf ? RT_OK : rt_fail(RT_RUN, "out of memory");
    if (!st) st = rt_pread_all(w->fd, leaf, leaves, w->fixed[RT_LABEL_LEAVES], w->path);
    if (!st) *head = rt_crc32c(*head, leaf, leaves);
    free(leaf);
    *head = rt_crc32c(*head, w->status_count, rt_label_fixed_bytes(w, RT_LABEL_STATUS_COUNT));
    *head = rt_crc32c(*head, w->class_count, rt_label_fixed_bytes(w, RT_LABEL_CLASS_COUNT));
    *head = rt_crc32c(*head, &mean, rt_label_fixed_bytes(w, RT_LABEL_CONFIDENCE));
    *head = rt_crc32c(*head, w->crc, rt_label_fixed_bytes(w, RT_LABEL_CRC));
    return st;
}

rt_status rt_label_file_put_head(rt_label_file *w)
{
    double mean = rt_label_file_mean(w);
    const struct { int which; const void *data; } part[] = {
        {RT_LABEL_STATUS_COUNT, w->status_count}, {RT_LABEL_CLASS_COUNT, w->class_count}, {RT_LABEL_CONFIDENCE, &mean},
        {RT_LABEL_CRC, w->crc}};
    uint32_t head;
    RT_TRY(rt_label_file_manifest_crc(w, &head));
    RT_TRY(rt_label_file_head_crc(w, &head));
    for (int i = 0; i < 4; i++) {
        int which = part[i].which;
        RT_TRY(rt_pwrite_all(w->fd, part[i].data, rt_label_fixed_bytes(w, which), w->fixed[which], w->path));
    }
    return rt_pwrite_all(w->fd, &head, sizeof head, w->fixed[RT_LABEL_HEAD_CRC], w->path);
}

