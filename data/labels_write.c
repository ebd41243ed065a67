/* data/labels_write.c - a label store while it is made. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "data/files.h"
#include "data/labels_format.h"

enum { COMMIT_BYTES = 64 << 20, PATH_ROOM = 1100 };

/* Data sets behind the columns, in the order of the file. */
enum { CRC, STATUS_COUNT, CLASS_COUNT, CONFIDENCE, LEAVES, HEAD_CRC, COMPLETE, MANIFEST, FIXED };
static const char *const fixed_name[FIXED] = {
    "labels/block_crc32c", "labels/status_count", "labels/class_count", "labels/confidence_mean", "source/leaves",
    "labels/head_crc32c", "labels/complete", "manifest"};

struct rt_labels_writer {
    rt_labels_spec spec;
    rt_labels_job job;
    rt_label_column col[RT_LABEL_COLUMNS];
    int cols;
    uint64_t at[RT_LABEL_COLUMNS], fixed[FIXED];       /* offsets in the file */
    char path[PATH_ROOM], journal_path[PATH_ROOM];
    rt_output *output;                 /* the store's lock */
    int fd, journal;
    int broken;                        /* a write or a sync failed: nothing more is done */
    int suspect; /* a sync of an earlier run failed: what memory holds of the file proves nothing */
    uint64_t blocks, first_span, spans;
    unsigned char *done, *span_done;
    uint32_t *crc;
    double *confidence;                /* sum of each block */
    uint64_t *class_count, status_count[RT_LABEL_STATUSES];
    uint64_t *pending, pendings, pending_bytes;
    struct timespec last_commit;
    rt_label_coder *coder;
    unsigned char *status;             /* (block) */
    float *limit;                      /* (W) largest that the file can hold */
    char *buffer;                      /* (block) as it is stored */
};

/* ---- what the store is ---- */

static void describe_spec(const rt_labels_spec *s, cJSON *m)
{
    cJSON_DeleteItemFromObjectCaseSensitive(m, "labels");
    cJSON *l = cJSON_AddObjectToObject(m, "labels");
    cJSON_AddNumberToObject(l, "first_row", (double)s->first);
    cJSON_AddNumberToObject(l, "rows", (double)s->rows);
    if (s->heads) cJSON_AddItemToObject(l, "heads", rt_heads_to_json(s->head, s->heads));
    else cJSON_AddNumberToObject(l, "classes", s->classes);
    cJSON_AddStringToObject(l, "coding", s->topk ? "topk" : "full");
    if (s->topk) cJSON_AddNumberToObject(l, "topk", s->topk);
    cJSON_AddStringToObject(l, "type", rt_dtype_name(s->type));
    cJSON_AddStringToObject(l, "values", !s->topk ? "logits" :
                            "logits of the k best classes; 'tail' is the logit of each other class that keeps their "
                            "total probability");
    cJSON_AddStringToObject(l, "status", "0 not yet, 1 labelled, 3 bad input (NaN or infinity), 5 bad answer");
    cJSON_AddNumberToObject(l, "block", RT_LABEL_BLOCK);
}

/* The same whether or not anything is known of the source yet: equal labels are equal files. */
static void describe_source(const rt_labels_writer *w, cJSON *m)
{
    const rt_h5_dataset *d = rt_identity_set(w->job.source);
    cJSON_DeleteItemFromObjectCaseSensitive(m, "source");
    cJSON *s = cJSON_AddObjectToObject(m, "source");
    cJSON_AddStringToObject(s, "dataset", d->name);
    cJSON_AddStringToObject(s, "type", rt_dtype_name(d->type));
    cJSON *shape = cJSON_AddArrayToObject(s, "shape");
    for (int i = 0; i < d->rank; i++) cJSON_AddItemToArray(shape, cJSON_CreateNumber((double)d->dim[i]));
    cJSON_AddNumberToObject(s, "span_rows", (double)rt_identity_span_rows(w->job.source));
    cJSON_AddNumberToObject(s, "first_span", (double)w->first_span);
    cJSON_AddStringToObject(s, "leaves", "XXH3-128 of the rows of each span, from first_span on");
}

static rt_status create(rt_labels_writer *w, const char *manifest)
{
    uint64_t offsets[RT_LABEL_COLUMNS + FIXED];
    rt_h5_item it[RT_LABEL_COLUMNS + FIXED] = {{0}};
    int n = 0, fd;
    for (int i = 0; i < w->cols; i++) {
        const char *last = strrchr(w->col[i].name, '/');
        int one = w->col[i].type == RT_U8 || !strcmp(last, "/tail");
        it[n++] = (rt_h5_item){.name = w->col[i].name, .type = w->col[i].type, .rank = one ? 1 : 2,
                               .dim = {w->spec.rows, w->col[i].width}};
    }
    for (int i = 0; i < FIXED; i++) it[n + i] = (rt_h5_item){.name = fixed_name[i], .rank = 1, .dim = {1}};
    it[n + CRC].type = it[n + HEAD_CRC].type = RT_U32;
    it[n + CRC].dim[0] = w->blocks;
    it[n + STATUS_COUNT].type = it[n + CLASS_COUNT].type = RT_U64;
    it[n + STATUS_COUNT].dim[0] = RT_LABEL_STATUSES;
    it[n + CLASS_COUNT].dim[0] = (uint64_t)w->spec.classes;
    it[n + CONFIDENCE].type = RT_F64;
    it[n + LEAVES].type = it[n + COMPLETE].type = RT_U8;
    it[n + LEAVES].rank = 2;
    it[n + LEAVES].dim[0] = w->spans;
    it[n + LEAVES].dim[1] = RT_LEAF_BYTES;
    it[n + MANIFEST] = (rt_h5_item){.name = "manifest", .type = RT_TEXT, .element = (uint32_t)strlen(manifest)};
    uint32_t head = rt_crc32c(0, manifest, strlen(manifest));        /* until it is that of all: see check_head */
    RT_TRY(rt_output_create(w->output, &fd));
    RT_TRY(rt_h5_create(fd, w->path, w->spec.heads ? RT_LABEL_FORMAT_HEADS : RT_LABEL_FORMAT, it, n + FIXED, offsets));
    RT_TRY(rt_pwrite_all(fd, manifest, strlen(manifest), offsets[n + MANIFEST], w->path));
    RT_TRY(rt_pwrite_all(fd, &head, sizeof head, offsets[n + HEAD_CRC], w->path));
    return rt_output_commit(w->output);
}

/* ---- what is there already ---- */

static rt_status damaged(const rt_labels_writer *w, const char *name)
{
    return rt_fail(RT_INPUT, "%s: data set '%s' is missing or damaged; remove the file to label again", w->path, name);
}

static uint64_t fixed_bytes(const rt_labels_writer *w, int which)
{
    switch (which) {
    case CRC: return 4 * w->blocks;
    case STATUS_COUNT: return 8 * RT_LABEL_STATUSES;
    case CLASS_COUNT: return 8 * (uint64_t)w->spec.classes;
    case CONFIDENCE: return 8;
    case LEAVES: return RT_LEAF_BYTES * w->spans;
    case HEAD_CRC: return 4;
    default: return 1;
    }
}

static rt_status locate(rt_labels_writer *w, rt_h5_file *f)
{
    for (int i = 0; i < w->cols + FIXED; i++) {
        const char *name = i < w->cols ? w->col[i].name : fixed_name[i - w->cols];
        const rt_h5_dataset *d = rt_h5_find(f, name);
        uint64_t bytes = i < w->cols ? rt_label_column_bytes(&w->col[i]) * w->spec.rows : fixed_bytes(w, i - w->cols);
        uint64_t is = d ? d->element : 0;
        for (int k = 0; d && k < d->rank; k++) is *= d->dim[k];
        if (!d || d->refused[0] || d->chunked || d->offset == UINT64_MAX || (is != bytes && i != w->cols + MANIFEST))
            return damaged(w, name);
        if (i < w->cols) w->at[i] = d->offset;
        else w->fixed[i - w->cols] = d->offset;
    }
    return RT_OK;
}

/* "avx512": the kernels that computed the answers; NULL: it does not tell, as of answers that no kernel changes. */
static const char *kernels_of(const cJSON *manifest)
{
    const cJSON *teacher = cJSON_GetObjectItemCaseSensitive(manifest, "teacher");
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(teacher, "kernels"));
}

/* The same teacher, on another device or with other kernels: last digits would differ from block to block. */
static rt_status same_kernels(const rt_labels_writer *w, const cJSON *old, const cJSON *mine)
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

static rt_status same_manifest(const rt_labels_writer *w, rt_h5_file *f, const cJSON *manifest)
{
    static const char *const part[] = {"teacher", "classes", "columns", "source", "labels"};
    static const char *const what[] = {"by another teacher", "by a teacher with other classes",
                                       "by a teacher with other columns",
                                       "of other data", "of other rows or in another coding"};
    char *text;
    cJSON *old, *mine = NULL;
    if (!rt_h5_find(f, "manifest") || !rt_h5_find(f, "labels/status"))
        return rt_fail(RT_USAGE, "%s: is there and is no label store; give another --out", w->path);
    if (!rt_h5_find(f, fixed_name[LEAVES]))
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
    for (int i = 0; i < 5 && !st; i++) {
        const cJSON *a = cJSON_GetObjectItemCaseSensitive(old, part[i]);
        const cJSON *b = cJSON_GetObjectItemCaseSensitive(mine, part[i]);
        if ((a || b) && !cJSON_Compare(a, b, 1))
            st = rt_fail(RT_USAGE, "%s: holds labels %s; give another --out, or --force to replace it", w->path,
                         what[i]);
    }
    cJSON_Delete(old);
    cJSON_Delete(mine);
    return st;
}

static rt_status read_block(const rt_labels_writer *w, uint64_t b)
{
    char *to = w->buffer;
    for (int i = 0; i < w->cols; i++) {
        size_t row = rt_label_column_bytes(&w->col[i]), n = row * rt_label_block_rows(&w->spec, b);
        RT_TRY(rt_pread_all(w->fd, to, n, w->at[i] + b * RT_LABEL_BLOCK * row, w->path));
        to += n;
    }
    return RT_OK;
}

/* A block counts when its bytes have the CRC that the journal's line tells. */
static rt_status read_done(rt_labels_writer *w)
{
    unsigned char *named = calloc(w->blocks, 1);
    uint32_t *crc = calloc(w->blocks, sizeof *crc);
    rt_status st = named && crc ? RT_OK : rt_fail(RT_RUN, "out of memory");
    if (!st) st = rt_label_read_journal(w->journal_path, w->blocks, crc, named, NULL);
    for (uint64_t b = 0; b < w->blocks && !st; b++) {
        uint64_t rows = rt_label_block_rows(&w->spec, b);
        if (!named[b]) continue;
        if (!(b & 63) && rt_stopped())
            st = rt_fail(RT_INTERRUPTED, "interrupted; the same command goes on from here");
        if (!st) st = read_block(w, b);
        if (st || rt_crc32c(0, w->buffer, rows * rt_label_row_bytes(&w->spec)) != crc[b]) continue;
        w->done[b] = 1;
        w->crc[b] = crc[b];
        w->confidence[b] = rt_label_count(w->coder, w->buffer, rows, w->class_count, w->status_count);
    }
    free(named);
    free(crc);
    return st;
}

static rt_status read_summary(rt_labels_writer *w)
{
    double mean;
    memset(w->done, 1, w->blocks);
    RT_TRY(rt_pread_all(w->fd, w->status_count, fixed_bytes(w, STATUS_COUNT), w->fixed[STATUS_COUNT], w->path));
    RT_TRY(rt_pread_all(w->fd, w->class_count, fixed_bytes(w, CLASS_COUNT), w->fixed[CLASS_COUNT], w->path));
    RT_TRY(rt_pread_all(w->fd, &mean, sizeof mean, w->fixed[CONFIDENCE], w->path));
    w->confidence[0] = mean * (double)w->status_count[RT_LABEL_DONE];
    return RT_OK;
}

/* The spans that block b's rows lie in, counted from first_span. */
static void spans_of(const rt_labels_writer *w, uint64_t b, uint64_t *from, uint64_t *to)
{
    uint64_t first = w->spec.first + b * RT_LABEL_BLOCK, size = rt_identity_span_rows(w->job.source);
    *from = first / size - w->first_span;
    *to = (first + rt_label_block_rows(&w->spec, b) - 1) / size + 1 - w->first_span;
}

/* What was labelled must be what the source holds now. */
static rt_status same_rows(rt_labels_writer *w)
{
    uint64_t from, to, size = rt_identity_span_rows(w->job.source);
    for (uint64_t b = 0; b < w->blocks; b++) {
        if (!w->done[b]) continue;
        spans_of(w, b, &from, &to);
        memset(w->span_done + from, 1, to - from);
    }
    for (from = 0; from < w->spans; from = to) {      /* runs of spans, which are hashed side by side */
        for (to = from; to < w->spans && w->span_done[to] == w->span_done[from]; to++) {}
        if (w->span_done[from])
            RT_TRY(rt_identity_know(w->job.source, (w->first_span + from) * size, (w->first_span + to) * size,
                                    w->job.pool, w->job.progress));
    }
    for (uint64_t s = 0; s < w->spans; s++) {
        rt_leaf stored, now;
        if (!w->span_done[s]) continue;
        now = rt_identity_leaf(w->job.source, w->first_span + s);
        RT_TRY(rt_pread_all(w->fd, &stored, sizeof stored, w->fixed[LEAVES] + s * sizeof stored, w->path));
        if (!memcmp(&stored, &now, sizeof now)) continue;
        uint64_t first = (w->first_span + s) * size, end = first + size;
        if (first < w->spec.first) first = w->spec.first;
        if (end > w->spec.first + w->spec.rows) end = w->spec.first + w->spec.rows;
        return rt_fail(RT_USAGE, "%s: holds labels of other data: rows %" PRIu64 " to %" PRIu64 " of the source have "
                       "changed since; give another --out, or --force to replace it", w->path, first, end - 1);
    }
    return RT_OK;
}

/* ---- beginning ---- */

static rt_status open_journal(rt_labels_writer *w)
{
    do w->journal = open(w->journal_path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666);
    while (w->journal < 0 && errno == EINTR);
    return w->journal < 0 ? rt_fail(RT_RUN, "%s: %s", w->journal_path, strerror(errno)) : RT_OK;
}

/* A new store has its name only after the old journal is gone, which would speak of other rows. */
static rt_status make_store(rt_labels_writer *w, cJSON *manifest)
{
    RT_TRY(rt_output_may_replace(w->output, RT_OUTPUT_LABELS));
    if (unlink(w->journal_path) && errno != ENOENT)
        return rt_fail(RT_RUN, "%s: cannot be removed: %s", w->journal_path, strerror(errno));
    char *text = rt_json_text(manifest, 1);
    rt_status st = text ? create(w, text) : rt_fail(RT_RUN, "out of memory");
    free(text);
    return st;
}

/* The store's file, made anew where there is none. */
static rt_status open_store(rt_labels_writer *w, cJSON *manifest, int force)
{
    rt_h5_file *f;
    int fresh = !rt_output_exists(w->output) || force;
    RT_TRY(rt_refuse_inputs(w->journal_path, w->job.inputs));
    if (fresh) RT_TRY(make_store(w, manifest));
    rt_status st = rt_h5_scan(&f, w->path);
    if (st) return st == RT_INPUT ? rt_fail_in(st, "give another --out, for this one cannot be gone on with") : st;
    st = fresh ? RT_OK : same_manifest(w, f, manifest);
    if (!st) st = locate(w, f);
    rt_h5_close(f);
    if (st) return st;
    do w->fd = open(w->path, O_RDWR | O_CLOEXEC);
    while (w->fd < 0 && errno == EINTR);
    return w->fd < 0 ? rt_fail(RT_RUN, "%s: %s", w->path, strerror(errno)) : open_journal(w);
}

/* After a failed sync the system calls clean what never reached the disk: it must be read from there. */
static rt_status look_for_failure(rt_labels_writer *w)
{
    char failed[RT_LABEL_FAILED], text[2 * RT_LABEL_FAILED];
    RT_TRY(rt_label_read_journal(w->journal_path, 0, NULL, NULL, failed));
    if (!failed[0]) return RT_OK;
    w->suspect = 1;
    posix_fadvise(w->fd, 0, 0, POSIX_FADV_DONTNEED);
    posix_fadvise(w->journal, 0, 0, POSIX_FADV_DONTNEED);
    snprintf(text, sizeof text,
             "a sync of an earlier run failed (%s); what it labelled is read from the disk again and "
             "made anew where it is not there",
             failed);
    rt_progress_line(w->job.progress, text);
    if (w->job.notes) cJSON_AddItemToArray(w->job.notes, cJSON_CreateString(text));
    return RT_OK;
}

static rt_status manifest_crc(const rt_labels_writer *w, uint32_t *crc)
{
    rt_h5_file *f;
    char *text;
    RT_TRY(rt_h5_scan(&f, w->path));
    rt_status st = rt_h5_read_all((void **)&text, f, fixed_name[MANIFEST], RT_JSON_MAX_BYTES);
    rt_h5_close(f);
    if (st) return st;
    *crc = rt_crc32c(0, text, strlen(text));
    free(text);
    return RT_OK;
}

/* From the manifest's CRC32C that of the whole head, once every block is there. */
static rt_status head_crc(const rt_labels_writer *w, uint32_t *head)
{
    rt_leaf *leaf = malloc(fixed_bytes(w, LEAVES));
    double mean = rt_labels_written(w).confidence;
    rt_status st = leaf ? RT_OK : rt_fail(RT_RUN, "out of memory");
    if (!st) st = rt_pread_all(w->fd, leaf, fixed_bytes(w, LEAVES), w->fixed[LEAVES], w->path);
    if (!st) *head = rt_crc32c(*head, leaf, fixed_bytes(w, LEAVES));
    free(leaf);
    *head = rt_crc32c(*head, w->status_count, fixed_bytes(w, STATUS_COUNT));
    *head = rt_crc32c(*head, w->class_count, fixed_bytes(w, CLASS_COUNT));
    *head = rt_crc32c(*head, &mean, fixed_bytes(w, CONFIDENCE));
    *head = rt_crc32c(*head, w->crc, fixed_bytes(w, CRC));
    return st;
}

/* Of a store that is not complete the checksum is the manifest's alone, or, killed at the very end, that of the whole
 * head; 0 where an older version began it. */
static rt_status check_head(const rt_labels_writer *w)
{
    uint32_t told, crc;
    RT_TRY(rt_pread_all(w->fd, &told, sizeof told, w->fixed[HEAD_CRC], w->path));
    RT_TRY(manifest_crc(w, &crc));
    if (!told || told == crc) return RT_OK;
    RT_TRY(head_crc(w, &crc));
    if (told == crc && !memchr(w->done, 0, w->blocks)) return RT_OK;
    return rt_fail(RT_INPUT, "%s: its manifest (or %s) does not match its checksum: the store is damaged; remove it to "
                   "label again", w->path, w->journal_path);
}

static rt_status resume(rt_labels_writer *w)
{
    unsigned char complete = 0;
    RT_TRY(look_for_failure(w));
    RT_TRY(rt_pread_all(w->fd, &complete, 1, w->fixed[COMPLETE], w->path));
    if (complete && !w->suspect) {
        RT_TRY(read_summary(w));
        return same_rows(w);
    }
    RT_TRY(rt_output_sync_folder(w->output));
    RT_TRY(read_done(w));
    if (!complete) RT_TRY(check_head(w));
    RT_TRY(same_rows(w));
    /* A torn last line would swallow the next one. */
    return rt_write_all(w->journal, "\n", 1, w->journal_path);
}

static rt_status allocate(rt_labels_writer *w)
{
    w->done = calloc(w->blocks, 1);
    w->span_done = calloc(w->spans, 1);
    w->crc = calloc(w->blocks, sizeof *w->crc);
    w->confidence = calloc(w->blocks, sizeof *w->confidence);
    w->pending = calloc(w->blocks, sizeof *w->pending);
    w->class_count = calloc((size_t)w->spec.classes, sizeof *w->class_count);
    w->status = malloc(RT_LABEL_BLOCK);
    w->limit = malloc((size_t)w->spec.classes * sizeof *w->limit);
    w->buffer = malloc(rt_label_row_bytes(&w->spec) * RT_LABEL_BLOCK);
    if (!w->done || !w->span_done || !w->crc || !w->confidence || !w->pending || !w->class_count || !w->status ||
        !w->limit || !w->buffer)
        return rt_fail(RT_RUN, "out of memory");
    rt_label_head head[RT_MAX_HEADS];
    for (int h = 0, heads = rt_label_heads(&w->spec, head); h < heads; h++)
        for (int i = 0; i < head[h].size; i++)
            w->limit[head[h].at + i] = head[h].task != RT_TASK_REAL && w->spec.type == RT_F16 ? 65504.0f : 3e38f;
    return rt_label_coder_new(&w->coder, &w->spec, w->job.pool);
}

static void free_writer(rt_labels_writer *w)
{
    if (w->journal >= 0) close(w->journal);
    if (w->fd >= 0) close(w->fd);
    rt_output_end(w->output);
    rt_label_coder_free(w->coder);
    void *owned[] = {w->done, w->span_done, w->crc, w->confidence, w->pending, w->class_count, w->status, w->limit,
                     w->buffer, w};
    for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++) free(owned[i]);
}

rt_status rt_labels_begin(rt_labels_writer **out, const rt_target *target, const rt_labels_spec *spec, cJSON *manifest,
                          const rt_labels_job *job)
{
    const char *path = target->path;
    *out = NULL;
    if (!spec->rows) return rt_fail(RT_NOTHING, "%s: there are no rows to label", path);
    if (strlen(path) >= PATH_ROOM - 16) return rt_fail(RT_USAGE, "%.60s...: the path is too long", path);
    rt_labels_writer *w = calloc(1, sizeof *w);
    if (!w) return rt_fail(RT_RUN, "out of memory");
    uint64_t span = rt_identity_span_rows(job->source);
    w->spec = *spec;
    w->job = *job;
    w->cols = rt_label_columns(spec, w->col);
    w->fd = w->journal = -1;
    w->blocks = rt_label_blocks(spec);
    w->first_span = spec->first / span;
    w->spans = (spec->first + spec->rows - 1) / span + 1 - w->first_span;
    snprintf(w->path, sizeof w->path, "%s", path);
    rt_status st = rt_label_journal_path(w->journal_path, sizeof w->journal_path, path);
    if (!st) st = allocate(w);
    describe_spec(spec, manifest);
    describe_source(w, manifest);
    if (!st) st = rt_output_take(&w->output, target, job->inputs);
    if (!st) st = open_store(w, manifest, target->force);
    if (!st) st = resume(w);
    clock_gettime(CLOCK_MONOTONIC, &w->last_commit);
    if (!st) {
        *out = w;
        return RT_OK;
    }
    free_writer(w);
    return st;
}

/* ---- writing ---- */

uint64_t rt_labels_blocks(const rt_labels_writer *w) { return w->blocks; }
int rt_labels_done(const rt_labels_writer *w, uint64_t b) { return w->done[b]; }

rt_labels_summary rt_labels_written(const rt_labels_writer *w)
{
    rt_labels_summary s = {.class_count = w->class_count};
    uint64_t labelled = w->status_count[RT_LABEL_DONE];
    memcpy(s.status, w->status_count, sizeof s.status);
    for (uint64_t b = 0; b < w->blocks; b++) s.confidence += w->confidence[b];
    s.confidence = labelled ? s.confidence / (double)labelled : 0;
    return s;
}

/* Statuses of a block's rows by their logits: w->status when not all are good, else NULL. */
static rt_status judge(const rt_labels_writer *w, uint64_t b, const float *logits, const unsigned char *status,
                       const unsigned char **out)
{
    size_t k = (size_t)w->spec.classes;
    uint64_t rows = rt_label_block_rows(&w->spec, b);
    int any = status != NULL;
    *out = NULL;
    for (uint64_t r = 0; r < rows; r++)
        for (size_t i = 0; i < k; i++) any |= !(fabsf(logits[r * k + i]) <= w->limit[i]);
    if (!any) return RT_OK;
    memset(w->status, RT_LABEL_DONE, RT_LABEL_BLOCK);
    for (uint64_t r = 0; r < rows; r++) {
        const float *z = logits + r * k;
        size_t c = 0;
        int bad = 0, infinite = 0;
        if (status && status[r] != RT_LABEL_DONE) {
            w->status[r] = status[r];
            *out = w->status;
            continue;
        }
        for (size_t i = 0; i < k; i++) bad |= !(fabsf(z[i]) <= w->limit[i]);
        if (!bad) continue;
        for (size_t i = 0; i < k; i++) infinite |= !isfinite(z[i]);
        while (infinite ? isfinite(z[c]) : fabsf(z[c]) <= w->limit[c]) c++;
        if (!infinite || !w->job.mark_bad)
            return rt_fail(RT_INPUT, "%s: the teacher's %s of row %" PRIu64 ", %s %zu is %g, which %s cannot "
                           "hold; %s", w->path,
                           w->spec.heads ? "answer" : "logit", w->spec.first + b * RT_LABEL_BLOCK + r,
                           w->spec.heads ? "element" : "class", c, (double)z[c],
                           rt_dtype_name(w->limit[c] > 1e5f ? RT_F32 : w->spec.type),
                           infinite ? "label.bad_rows=mark goes on without such rows" : "use labels.type=f32");
        w->status[r] = RT_LABEL_BAD_ANSWER;
        *out = w->status;
    }
    return RT_OK;
}

/* After an error it is not known what is on disk: the kernel may have dropped pages that it could not write, and a
 * second sync would succeed without them. */
static rt_status broke(rt_labels_writer *w, rt_status st)
{
    w->broken = 1;
    return st;
}

static rt_status put_leaves(rt_labels_writer *w, uint64_t b)
{
    uint64_t size = rt_identity_span_rows(w->job.source), from, to;
    uint64_t first = w->spec.first + b * RT_LABEL_BLOCK, left = w->spec.rows - b * RT_LABEL_BLOCK;
    int ahead = 1;
    spans_of(w, b, &from, &to);
    /* what is not known is hashed a span a thread ahead of the labels */
    for (uint64_t s = from; s < to; s++)
        if (!rt_identity_known(w->job.source, w->first_span + s) && w->job.pool) ahead = rt_pool_threads(w->job.pool);
    uint64_t rows = left / (uint64_t)ahead < size ? left : (uint64_t)ahead * size;
    uint64_t least = rt_label_block_rows(&w->spec, b);
    if (ahead == 1 || rows < least) rows = least;
    RT_TRY(rt_identity_know(w->job.source, first, first + rows, w->job.pool, w->job.progress));
    for (uint64_t s = from; s < to; s++) {
        if (w->span_done[s]) continue;
        rt_leaf leaf = rt_identity_leaf(w->job.source, w->first_span + s);
        rt_status st = rt_pwrite_all(w->fd, &leaf, sizeof leaf, w->fixed[LEAVES] + s * sizeof leaf, w->path);
        if (st) return broke(w, st);
        w->span_done[s] = 1;
    }
    return RT_OK;
}

rt_status rt_labels_put(rt_labels_writer *w, uint64_t b, const float *logits, const unsigned char *status)
{
    uint64_t rows = rt_label_block_rows(&w->spec, b);
    const char *from = w->buffer;
    if (w->broken) return rt_fail(RT_RUN, "%s: writing has failed", w->path);
    RT_TRY(judge(w, b, logits, status, &status));
    RT_TRY(put_leaves(w, b));
    w->confidence[b] = rt_label_encode(w->coder, w->buffer, logits, status, rows, w->class_count, w->status_count);
    w->crc[b] = rt_crc32c(0, w->buffer, rows * rt_label_row_bytes(&w->spec));
    for (int i = 0; i < w->cols; i++) {
        size_t row = rt_label_column_bytes(&w->col[i]);
        rt_status st = rt_pwrite_all(w->fd, from, row * rows, w->at[i] + b * RT_LABEL_BLOCK * row, w->path);
        if (st) return broke(w, st);
        from += row * rows;
    }
    w->pending_bytes += (uint64_t)(from - w->buffer);
    w->pending[w->pendings++] = b;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    double age = (double)(now.tv_sec - w->last_commit.tv_sec) + 1e-9 * (double)(now.tv_nsec - w->last_commit.tv_nsec);
    return w->pending_bytes >= COMMIT_BYTES || age >= 1.0 ? rt_labels_commit(w) : RT_OK;
}

/* The one place where bytes are made durable. A failure is final, and the journal says so to the next run, as far as it
 * still can be written. */
static rt_status sync_file(rt_labels_writer *w, int fd, const char *path)
{
    char line[RT_LABEL_FAILED + 32], message[1024];
    rt_status st = rt_sync_data(fd, path);
    if (!st) return RT_OK;
    snprintf(line, sizeof line, "\n" RT_LABEL_SYNC_MARK "%s\n", strerror(errno));
    snprintf(message, sizeof message, "%s", rt_error_message());
    (void)rt_write_all(w->journal, line, strlen(line), w->journal_path);
    return broke(w, rt_fail(st, "%s; run the command again to go on from the last good block", message));
}

static rt_status sync_store(rt_labels_writer *w) { return sync_file(w, w->fd, w->path); }

rt_status rt_labels_commit(rt_labels_writer *w)
{
    if (w->broken) return rt_fail(RT_RUN, "%s: writing has failed", w->path);
    clock_gettime(CLOCK_MONOTONIC, &w->last_commit);
    if (!w->pendings) return RT_OK;
    rt_status st = rt_identity_unchanged(w->job.source);          /* else these blocks may be of rows that are gone */
    if (st) return broke(w, st);
    RT_TRY(sync_store(w));
    char *text = malloc(w->pendings * 64 + 1);
    size_t n = 0;
    if (!text) return rt_fail(RT_RUN, "out of memory");
    for (uint64_t i = 0; i < w->pendings; i++) {
        char line[64];
        int len = snprintf(line, sizeof line, "%" PRIu64 " %08x ", w->pending[i], w->crc[w->pending[i]]);
        n += (size_t)sprintf(text + n, "%s%08x\n", line, rt_crc32c(0, line, (size_t)len));
    }
    st = rt_write_all(w->journal, text, n, w->journal_path);
    free(text);
    if (st) return broke(w, st);
    RT_TRY(sync_file(w, w->journal, w->journal_path));
    for (uint64_t i = 0; i < w->pendings; i++) w->done[w->pending[i]] = 1;
    w->pendings = w->pending_bytes = 0;
    rt_identity_keep(w->job.source);
    return RT_OK;
}

/* ---- the end ---- */

static rt_status put_head(rt_labels_writer *w)
{
    double mean = rt_labels_written(w).confidence;
    const struct { int which; const void *data; } part[] = {
        {STATUS_COUNT, w->status_count}, {CLASS_COUNT, w->class_count}, {CONFIDENCE, &mean}, {CRC, w->crc}};
    uint32_t head;
    RT_TRY(manifest_crc(w, &head));
    RT_TRY(head_crc(w, &head));
    for (int i = 0; i < 4; i++)
        RT_TRY(rt_pwrite_all(w->fd, part[i].data, fixed_bytes(w, part[i].which), w->fixed[part[i].which], w->path));
    return rt_pwrite_all(w->fd, &head, sizeof head, w->fixed[HEAD_CRC], w->path);
}

static rt_status complete(rt_labels_writer *w)
{
    static const unsigned char one = 1;
    rt_status st = put_head(w);
    if (st) return broke(w, st);
    RT_TRY(sync_store(w));
    st = rt_pwrite_all(w->fd, &one, 1, w->fixed[COMPLETE], w->path);
    if (st) return broke(w, st);
    return sync_store(w);
}

rt_status rt_labels_end(rt_labels_writer *w)
{
    rt_status st = w->broken ? rt_fail(RT_RUN, "%s: writing has failed", w->path) : RT_OK;
    unsigned char is_complete = 0;
    int all = 1;
    if (!st) st = rt_labels_commit(w);
    for (uint64_t b = 0; b < w->blocks && all; b++) all = w->done[b];
    if (!st && all) st = rt_pread_all(w->fd, &is_complete, 1, w->fixed[COMPLETE], w->path);
    if (!st && all && (!is_complete || w->suspect)) st = complete(w);
    if (!st && all) unlink(w->journal_path);
    free_writer(w);
    return st;
}
