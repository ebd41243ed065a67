#include "data/labels.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "data/files.h"
#include "engine/kernels.h"

enum { COMMIT_BYTES = 64 << 20, MAX_ITEMS = 8 };

/* What a row has: up to three arrays, then the status byte. */
typedef struct { const char *name; rt_dtype type; uint64_t width; } column;

static int columns_of(const rt_labels_spec *s, column c[4])
{
    int n = 0;
    if (s->topk) {
        c[n++] = (column){"labels/topk_id", RT_I32, (uint64_t)s->topk};
        c[n++] = (column){"labels/topk_logit", s->type, (uint64_t)s->topk};
        c[n++] = (column){"labels/tail", RT_F32, 1};
    } else c[n++] = (column){"labels/logits", s->type, (uint64_t)s->classes};
    c[n++] = (column){"labels/status", RT_U8, 1};
    return n;
}

static size_t column_bytes(const column *c) { return rt_dtype_size(c->type) * c->width; }

struct rt_labels_writer {
    rt_labels_spec spec;
    column col[4];
    int cols;
    uint64_t at[4], at_crc, at_complete;
    char path[1024], journal_path[1100];
    int fd, journal;
    uint64_t blocks;
    unsigned char *done;
    uint32_t *crc;
    uint64_t *pending;
    uint64_t pendings, pending_bytes;
    struct timespec last_commit;
    char *buffer;
};

static void spec_to_manifest(const rt_labels_spec *s, cJSON *m)
{
    cJSON_DeleteItemFromObjectCaseSensitive(m, "labels");
    cJSON *l = cJSON_AddObjectToObject(m, "labels");
    cJSON_AddNumberToObject(l, "first_row", (double)s->first);
    cJSON_AddNumberToObject(l, "rows", (double)s->rows);
    cJSON_AddNumberToObject(l, "classes", s->classes);
    cJSON_AddStringToObject(l, "coding", s->topk ? "topk" : "full");
    if (s->topk) cJSON_AddNumberToObject(l, "topk", s->topk);
    cJSON_AddStringToObject(l, "type", rt_dtype_name(s->type));
    cJSON_AddStringToObject(l, "values", s->topk ? "logits of the k best classes; 'tail' is the logit of each other class that keeps their total probability" : "logits");
    cJSON_AddNumberToObject(l, "block", RT_LABEL_BLOCK);
}

static uint64_t block_rows(const rt_labels_spec *s, uint64_t b)
{
    uint64_t left = s->rows - b * RT_LABEL_BLOCK;
    return left < RT_LABEL_BLOCK ? left : RT_LABEL_BLOCK;
}

static rt_status create(const char *path, const rt_labels_spec *s, const char *manifest)
{
    char temp[1100];
    column col[4];
    int cols = columns_of(s, col), n = 0;
    uint64_t offsets[MAX_ITEMS], blocks = (s->rows + RT_LABEL_BLOCK - 1) / RT_LABEL_BLOCK;
    rt_h5_item it[MAX_ITEMS] = {{0}};
    for (int i = 0; i < cols; i++) {
        it[n] = (rt_h5_item){.name = col[i].name, .type = col[i].type, .rank = col[i].width > 1 || i == 0 ? 2 : 1, .dim = {s->rows, col[i].width}};
        if (col[i].type == RT_U8 || strcmp(col[i].name, "labels/tail") == 0) it[n].rank = 1;
        n++;
    }
    it[n++] = (rt_h5_item){.name = "labels/block_crc32c", .type = RT_U32, .rank = 1, .dim = {blocks}};
    it[n++] = (rt_h5_item){.name = "labels/complete", .type = RT_U8, .rank = 1, .dim = {1}};
    it[n++] = (rt_h5_item){.name = "manifest", .type = RT_TEXT, .element = (uint32_t)strlen(manifest)};
    RT_TRY(rt_temp_name(temp, sizeof temp, path));
    unlink(temp);
    RT_TRY(rt_h5_create(temp, "retort-labels-1", it, n, offsets));
    int fd = open(temp, O_RDWR | O_CLOEXEC);
    rt_status st = fd < 0 ? rt_fail(RT_RUN, "%s: %s", temp, strerror(errno)) : rt_pwrite_all(fd, manifest, strlen(manifest), offsets[n - 1], path);
    if (fd >= 0) close(fd);
    if (st) {
        unlink(temp);
        return st;
    }
    return rt_commit_file(temp, path);
}

static rt_status locate(rt_labels_writer *w)
{
    rt_h5_file *f;
    RT_TRY(rt_h5_scan(&f, w->path));
    rt_status st = RT_OK;
    for (int i = 0; i < w->cols + 2 && !st; i++) {
        const char *name = i < w->cols ? w->col[i].name : i == w->cols ? "labels/block_crc32c" : "labels/complete";
        const rt_h5_dataset *d = rt_h5_find(f, name);
        if (!d || d->refused[0] || d->chunked || (i < w->cols && d->dim[0] != w->spec.rows))
            st = rt_fail(RT_INPUT, "%s: data set '%s' is missing or damaged; remove the file to label again", w->path, name);
        else if (i < w->cols) w->at[i] = d->offset;
        else if (i == w->cols) w->at_crc = d->offset;
        else w->at_complete = d->offset;
    }
    rt_h5_close(f);
    return st;
}

static uint32_t block_crc_from_file(rt_labels_writer *w, uint64_t b, rt_status *st)
{
    uint32_t crc = 0;
    for (int i = 0; i < w->cols && !*st; i++) {
        size_t row = column_bytes(&w->col[i]), n = row * block_rows(&w->spec, b);
        *st = rt_pread_all(w->fd, w->buffer, n, w->at[i] + b * RT_LABEL_BLOCK * row, w->path);
        crc = rt_crc32c(crc, w->buffer, n);
    }
    return crc;
}

/* A line counts when its own CRC holds; a block counts when its bytes have the CRC the line tells. */
static rt_status read_journal(rt_labels_writer *w)
{
    FILE *f = fopen(w->journal_path, "r");
    char line[128];
    rt_status st = RT_OK;
    if (!f) return RT_OK;
    while (!st && fgets(line, sizeof line, f)) {
        unsigned long long b;
        unsigned crc, own;
        int n = 0;
        if (sscanf(line, "%llu %8x %n%8x", &b, &crc, &n, &own) != 3 || n <= 0 || b >= w->blocks) continue;
        if (rt_crc32c(0, line, (size_t)n) != own || !strchr(line, '\n')) continue;
        if (block_crc_from_file(w, b, &st) == crc && !st) {
            w->done[b] = 1;
            w->crc[b] = crc;
        }
    }
    fclose(f);
    return st;
}

static rt_status same_manifest(const char *path, const cJSON *manifest)
{
    rt_h5_file *f;
    char *text;
    cJSON *old;
    RT_TRY(rt_h5_scan(&f, path));
    rt_status st = rt_h5_read_all((void **)&text, f, "manifest", RT_JSON_MAX_BYTES);
    rt_h5_close(f);
    if (st) return st;
    st = rt_json_parse(&old, text, strlen(text), path);
    free(text);
    if (st) return st;
    static const char *const parts[] = {"teacher", "source", "labels"};
    static const char *const what[] = {"by another teacher", "of other data", "of other rows or in another coding"};
    for (int i = 0; i < 3 && !st; i++)
        if (!cJSON_Compare(cJSON_GetObjectItemCaseSensitive(old, parts[i]), cJSON_GetObjectItemCaseSensitive(manifest, parts[i]), 1))
            st = rt_fail(RT_USAGE, "%s: holds labels %s; give another --out, or --force to replace it", path, what[i]);
    cJSON_Delete(old);
    return st;
}

rt_status rt_labels_begin(rt_labels_writer **out, const char *path, const rt_labels_spec *spec, cJSON *manifest, int force)
{
    *out = NULL;
    if (spec->rows == 0) return rt_fail(RT_NOTHING, "%s: there are no rows to label", path);
    rt_labels_writer *w = calloc(1, sizeof *w);
    if (!w) return rt_fail(RT_RUN, "out of memory");
    w->spec = *spec;
    w->cols = columns_of(spec, w->col);
    w->fd = w->journal = -1;
    w->blocks = (spec->rows + RT_LABEL_BLOCK - 1) / RT_LABEL_BLOCK;
    snprintf(w->path, sizeof w->path, "%s", path);
    snprintf(w->journal_path, sizeof w->journal_path, "%s.journal", w->path);
    size_t widest = 0;
    for (int i = 0; i < w->cols; i++) if (column_bytes(&w->col[i]) > widest) widest = column_bytes(&w->col[i]);
    w->done = calloc(w->blocks, 1);
    w->crc = calloc(w->blocks, sizeof *w->crc);
    w->pending = calloc(w->blocks, sizeof *w->pending);
    w->buffer = malloc(widest * RT_LABEL_BLOCK + (size_t)spec->classes * sizeof(float) + 64);
    rt_status st = w->done && w->crc && w->pending && w->buffer ? RT_OK : rt_fail(RT_RUN, "out of memory");
    spec_to_manifest(spec, manifest);
    if (!st && force && rt_file_exists(path)) {
        if (unlink(path) || (unlink(w->journal_path) && errno != ENOENT)) st = rt_fail(RT_RUN, "%s: %s", path, strerror(errno));
    }
    if (!st && !rt_file_exists(path)) {
        unlink(w->journal_path);
        char *text = cJSON_Print(manifest);
        st = text ? create(path, spec, text) : rt_fail(RT_RUN, "out of memory");
        cJSON_free(text);
    } else if (!st) st = same_manifest(path, manifest);
    if (!st) st = locate(w);
    if (!st && (w->fd = open(path, O_RDWR | O_CLOEXEC)) < 0) st = rt_fail(RT_RUN, "%s: %s", path, strerror(errno));
    unsigned char complete = 0;
    if (!st) st = rt_pread_all(w->fd, &complete, 1, w->at_complete, path);
    if (!st && complete) memset(w->done, 1, w->blocks);
    if (!st && !complete) {
        w->journal = open(w->journal_path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
        if (w->journal < 0) st = rt_fail(RT_RUN, "%s: %s", w->journal_path, strerror(errno));
        else if (flock(w->journal, LOCK_EX | LOCK_NB)) st = rt_fail(RT_RUN, "%s: another process is labelling into it", path);
        if (!st) st = rt_sync_folder_of(path);
        if (!st) st = read_journal(w);
        /* A torn last line would swallow the next one. */
        if (!st && write(w->journal, "\n", 1) != 1) st = rt_fail(RT_RUN, "%s: %s", w->journal_path, strerror(errno));
    }
    clock_gettime(CLOCK_MONOTONIC, &w->last_commit);
    *out = w;
    if (st) {
        rt_labels_end(w);
        *out = NULL;
    }
    return st;
}

uint64_t rt_labels_blocks(const rt_labels_writer *w) { return w->blocks; }
int rt_labels_done(const rt_labels_writer *w, uint64_t b) { return w->done[b]; }

static void take_topk(const float *z, int classes, int k, int32_t *id, float *value, float *tail)
{
    for (int i = 0; i < k; i++) {                     /* k is small; equal logits go to the lower class */
        int best = -1;
        for (int c = 0; c < classes; c++) {
            int used = 0;
            for (int j = 0; j < i; j++) used |= id[j] == c;
            if (!used && (best < 0 || z[c] > z[best])) best = c;
        }
        id[i] = best;
        value[i] = z[best];
    }
    double sum = 0, max = value[k - 1];
    for (int c = 0; c < classes; c++) {
        int used = 0;
        for (int j = 0; j < k; j++) used |= id[j] == c;
        if (!used) sum += exp(z[c] - max);
    }
    *tail = k < classes && sum > 0 ? (float)(max + log(sum / (classes - k))) : k < classes ? -1e30f : 0.0f;
}

rt_status rt_labels_put(rt_labels_writer *w, uint64_t b, const float *logits)
{
    uint64_t rows = block_rows(&w->spec, b), row0 = b * RT_LABEL_BLOCK;
    size_t k = (size_t)w->spec.classes, top = (size_t)w->spec.topk;
    uint32_t crc = 0;
    float limit = w->spec.type == RT_F16 ? 65504.0f : 3e38f;
    for (size_t i = 0; i < rows * k; i++)
        if (!(logits[i] >= -limit && logits[i] <= limit))
            return rt_fail(RT_INPUT, "%s: the teacher's logit of row %llu, class %zu is %g, which %s cannot hold%s", w->path, (unsigned long long)(w->spec.first + row0 + i / k), i % k,
                           (double)logits[i], rt_dtype_name(w->spec.type), w->spec.type == RT_F16 && isfinite(logits[i]) ? "; use labels.type=f32" : "; check the teacher's input for NaN");
    float *value = malloc((rows * (top + 2) + k) * sizeof *value);
    int32_t *id = malloc((rows * top + 1) * sizeof *id);
    rt_status st = value && id ? RT_OK : rt_fail(RT_RUN, "out of memory");
    float *tail = value + rows * top;
    for (size_t r = 0; r < rows && !st && top; r++) take_topk(logits + r * k, (int)k, (int)top, id + r * top, value + r * top, tail + r);
    for (int i = 0; i < w->cols && !st; i++) {
        size_t row = column_bytes(&w->col[i]), n = row * rows;
        const float *src = !top ? logits : w->col[i].width == 1 && i == 2 ? tail : value;
        if (i == w->cols - 1) memset(w->buffer, 1, n);
        else if (w->col[i].type == RT_I32) memcpy(w->buffer, id, n);
        else if (w->col[i].type == RT_F16) rt_kernels_get()->to_f16((uint16_t *)w->buffer, src, n / 2);
        else memcpy(w->buffer, src, n);
        crc = rt_crc32c(crc, w->buffer, n);
        st = rt_pwrite_all(w->fd, w->buffer, n, w->at[i] + row0 * row, w->path);
        w->pending_bytes += n;
    }
    free(value);
    free(id);
    if (st) return st;
    w->crc[b] = crc;
    w->pending[w->pendings++] = b;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    double age = (double)(now.tv_sec - w->last_commit.tv_sec) + 1e-9 * (double)(now.tv_nsec - w->last_commit.tv_nsec);
    return w->pending_bytes >= COMMIT_BYTES || age >= 1.0 ? rt_labels_commit(w) : RT_OK;
}

rt_status rt_labels_commit(rt_labels_writer *w)
{
    clock_gettime(CLOCK_MONOTONIC, &w->last_commit);
    if (!w->pendings) return RT_OK;
    for (uint64_t i = 0; i < w->pendings; i++)
        RT_TRY(rt_pwrite_all(w->fd, &w->crc[w->pending[i]], 4, w->at_crc + 4 * w->pending[i], w->path));
    if (fdatasync(w->fd)) return rt_fail(RT_RUN, "%s: could not be synced: %s; run the command again to go on from the last good block", w->path, strerror(errno));
    char *text = malloc(w->pendings * 64 + 1);
    size_t n = 0;
    if (!text) return rt_fail(RT_RUN, "out of memory");
    for (uint64_t i = 0; i < w->pendings; i++) {
        char line[64];
        int len = snprintf(line, sizeof line, "%llu %08x ", (unsigned long long)w->pending[i], w->crc[w->pending[i]]);
        n += (size_t)sprintf(text + n, "%s%08x\n", line, rt_crc32c(0, line, (size_t)len));
        w->done[w->pending[i]] = 1;
    }
    ssize_t put = write(w->journal, text, n);
    free(text);
    if (put != (ssize_t)n || fdatasync(w->journal)) return rt_fail(RT_RUN, "%s: %s", w->journal_path, strerror(errno));
    w->pendings = w->pending_bytes = 0;
    return RT_OK;
}

rt_status rt_labels_end(rt_labels_writer *w)
{
    rt_status st = RT_OK;
    if (w->journal >= 0) {
        st = rt_labels_commit(w);
        int all = !st;
        for (uint64_t b = 0; b < w->blocks && all; b++) all = w->done[b];
        if (all) {
            unsigned char one = 1;
            for (uint64_t b = 0; b < w->blocks && !st; b++) st = rt_pwrite_all(w->fd, &w->crc[b], 4, w->at_crc + 4 * b, w->path);
            if (!st && fdatasync(w->fd)) st = rt_fail(RT_RUN, "%s: %s", w->path, strerror(errno));
            if (!st) st = rt_pwrite_all(w->fd, &one, 1, w->at_complete, w->path);
            if (!st && fdatasync(w->fd)) st = rt_fail(RT_RUN, "%s: %s", w->path, strerror(errno));
            if (!st) unlink(w->journal_path);
        }
        close(w->journal);
    }
    if (w->fd >= 0) close(w->fd);
    free(w->done);
    free(w->crc);
    free(w->pending);
    free(w->buffer);
    free(w);
    return st;
}

/* ---- reading ---- */

struct rt_labels {
    rt_labels_spec spec;
    column col[4];
    int cols;
    rt_source *src[4], *crc;
    cJSON *manifest;
    rt_names classes;
    int *order;                        /* place of each class in the order that is read; NULL: the store's */
    char path[1024];
};

rt_status rt_labels_open(rt_labels **out, const char *path, int partial)
{
    *out = NULL;
    rt_labels *l = calloc(1, sizeof *l);
    if (!l) return rt_fail(RT_RUN, "out of memory");
    snprintf(l->path, sizeof l->path, "%s", path);
    rt_h5_file *f = NULL;
    char *text = NULL;
    unsigned char *complete = NULL;
    rt_status st = rt_h5_scan(&f, path);
    if (!st && (!rt_h5_find(f, "manifest") || !rt_h5_find(f, "labels/status"))) st = rt_fail(RT_INPUT, "%s: is no label store; make one with 'retort label'", path);
    if (!st) st = rt_h5_read_all((void **)&text, f, "manifest", RT_JSON_MAX_BYTES);
    if (!st) st = rt_h5_read_all((void **)&complete, f, "labels/complete", 1);
    if (!st && !*complete && !partial) st = rt_fail(RT_INPUT, "%s: labelling is not finished; run the same 'retort label' command again to go on", path);
    if (!st) st = rt_json_parse(&l->manifest, text, strlen(text), path);
    free(text);
    free(complete);
    if (!st) {
        static const char *const coding[] = {"full", "topk", NULL}, *const types[] = {"f32", "f16", NULL};
        cJSON *copy = cJSON_Duplicate(cJSON_GetObjectItemCaseSensitive(l->manifest, "labels"), 1);
        rt_cfg c = rt_cfg_begin(copy, "manifest.labels");
        l->spec.first = rt_cfg_u64(&c, "first_row", 0);
        l->spec.rows = rt_cfg_u64(&c, "rows", 0);
        l->spec.classes = rt_cfg_int(&c, "classes", 0, 1, 1 << 20);
        if (rt_cfg_choice(&c, "coding", coding, 0)) l->spec.topk = rt_cfg_int(&c, "topk", 0, 1, l->spec.classes > 0 ? l->spec.classes : 1);
        l->spec.type = rt_cfg_choice(&c, "type", types, 0) ? RT_F16 : RT_F32;
        st = c.status ? rt_fail_in(RT_INPUT, "%s", path) : RT_OK;
        cJSON_Delete(copy);
    }
    if (!st) st = rt_names_from_json(&l->classes, cJSON_GetObjectItemCaseSensitive(l->manifest, "classes"), path, "classes");
    if (!st && !l->classes.name) l->classes.count = l->spec.classes;
    if (!st && l->classes.count != l->spec.classes)
        st = rt_fail(RT_INPUT, "%s: its manifest names %d classes, but its logits are of %d", path, l->classes.count, l->spec.classes);
    l->cols = st ? 0 : columns_of(&l->spec, l->col);
    for (int i = 0; i < l->cols && !st; i++) {
        st = rt_source_open_in(&l->src[i], f, l->col[i].name);
        if (!st && (rt_source_rows(l->src[i]) != l->spec.rows || rt_source_row_bytes(l->src[i]) != column_bytes(&l->col[i]) || rt_source_type(l->src[i]) != l->col[i].type))
            st = rt_fail(RT_INPUT, "%s: '%s' does not have the shape that the manifest tells", path, l->col[i].name);
    }
    if (!st) st = rt_source_open_in(&l->crc, f, "labels/block_crc32c");
    rt_h5_close(f);
    if (st) rt_labels_close(l);
    else *out = l;
    return st;
}

void rt_labels_close(rt_labels *l)
{
    if (!l) return;
    for (int i = 0; i < 4; i++) rt_source_close(l->src[i]);
    rt_source_close(l->crc);
    cJSON_Delete(l->manifest);
    rt_names_free(&l->classes);
    free(l->order);
    free(l);
}

const rt_labels_spec *rt_labels_info(const rt_labels *l) { return &l->spec; }
const cJSON *rt_labels_manifest(const rt_labels *l) { return l->manifest; }
const rt_names *rt_labels_classes(const rt_labels *l) { return &l->classes; }

rt_status rt_labels_set_classes(rt_labels *l, const rt_names *classes)
{
    free(l->order);
    return rt_names_permute(&l->order, &l->classes, classes, "class");
}

uint64_t rt_labels_count_done(rt_labels *l)
{
    uint64_t n = 0;
    unsigned char s;
    for (uint64_t i = 0; i < l->spec.rows; i++)
        if (!rt_source_read(l->src[l->cols - 1], &i, 1, &s)) n += s == 1;
    return n;
}

static rt_status read_rows(rt_labels *l, const uint64_t *row, int n, float *logits)
{
    size_t k = (size_t)l->spec.classes;
    for (int i = 0; i < n; i++) {
        unsigned char status, raw[4096];
        uint64_t at = row[i] - l->spec.first;
        float *z = logits + (size_t)i * k;
        if (row[i] < l->spec.first || at >= l->spec.rows)
            return rt_fail(RT_INPUT, "%s: has no label for row %llu: it covers rows %llu to %llu", l->path, (unsigned long long)row[i], (unsigned long long)l->spec.first, (unsigned long long)(l->spec.first + l->spec.rows - 1));
        RT_TRY(rt_source_read(l->src[l->cols - 1], &at, 1, &status));
        if (status != 1) return rt_fail(RT_INPUT, "%s: row %llu is not labelled yet", l->path, (unsigned long long)row[i]);
        if (!l->spec.topk) {
            if (l->spec.type == RT_F32) RT_TRY(rt_source_read(l->src[0], &at, 1, z));
            else {
                char *half = k * 2 <= sizeof raw ? (char *)raw : malloc(k * 2);
                if (!half) return rt_fail(RT_RUN, "out of memory");
                rt_status st = rt_source_read(l->src[0], &at, 1, half);
                if (!st) rt_to_float(z, half, RT_F16, k);
                if (half != (char *)raw) free(half);
                RT_TRY(st);
            }
            continue;
        }
        enum { MOST = 512 };
        int32_t id[MOST];
        float value[MOST], tail;
        int top = l->spec.topk;
        if (top > MOST) return rt_fail(RT_INPUT, "%s: top-%d is more than %d", l->path, top, MOST);
        RT_TRY(rt_source_read(l->src[0], &at, 1, id));
        RT_TRY(rt_source_read(l->src[1], &at, 1, raw));
        RT_TRY(rt_source_read(l->src[2], &at, 1, &tail));
        rt_to_float(value, raw, l->spec.type, (size_t)top);
        for (size_t c = 0; c < k; c++) z[c] = tail;
        for (int j = 0; j < top; j++) {
            if (id[j] < 0 || id[j] >= l->spec.classes) return rt_fail(RT_INPUT, "%s: row %llu names class %d of %d; the store is damaged", l->path, (unsigned long long)row[i], id[j], l->spec.classes);
            z[id[j]] = value[j];
        }
    }
    return RT_OK;
}

rt_status rt_labels_read(rt_labels *l, const uint64_t *row, int n, float *logits)
{
    RT_TRY(read_rows(l, row, n, logits));
    if (!l->order) return RT_OK;
    size_t k = (size_t)l->spec.classes;
    float *z = malloc(k * sizeof *z);
    if (!z) return rt_fail(RT_RUN, "out of memory");
    for (int i = 0; i < n; i++, logits += k) {
        memcpy(z, logits, k * sizeof *z);
        for (size_t c = 0; c < k; c++) logits[l->order[c]] = z[c];
    }
    free(z);
    return RT_OK;
}

rt_status rt_labels_verify(rt_labels *l)
{
    size_t widest = 0;
    for (int i = 0; i < l->cols; i++) if (column_bytes(&l->col[i]) > widest) widest = column_bytes(&l->col[i]);
    char *buffer = malloc(widest * RT_LABEL_BLOCK + 1);
    if (!buffer) return rt_fail(RT_RUN, "out of memory");
    rt_status st = RT_OK;
    for (uint64_t b = 0; b * RT_LABEL_BLOCK < l->spec.rows && !st; b++) {
        uint32_t crc = 0, stored;
        uint64_t rows[RT_LABEL_BLOCK], n = block_rows(&l->spec, b);
        for (uint64_t i = 0; i < n; i++) rows[i] = b * RT_LABEL_BLOCK + i;
        for (int i = 0; i < l->cols && !st; i++) {
            st = rt_source_read(l->src[i], rows, (int)n, buffer);
            crc = rt_crc32c(crc, buffer, n * column_bytes(&l->col[i]));
        }
        if (!st) st = rt_source_read(l->crc, &b, 1, &stored);
        if (!st && stored != crc) st = rt_fail(RT_INPUT, "%s: block %llu (rows from %llu) is damaged: its CRC32C is %08x, %08x is stored", l->path, (unsigned long long)b, (unsigned long long)(l->spec.first + rows[0]), crc, stored);
    }
    free(buffer);
    return st;
}
