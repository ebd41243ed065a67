/* data/labels_write.c - a label store while it is made. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "data/files.h"
#include "data/labels_parts.h"

enum { COMMIT_BYTES = 64 << 20 };

struct rt_labels_writer {
    rt_label_file f;
    rt_labels_job job;
    char journal_path[RT_LABEL_PATH];
    rt_output *output;                 /* the store's lock */
    int journal;
    int broken;                        /* a write or a sync failed: nothing more is done */
    int suspect; /* a sync of an earlier run failed: what memory holds of the file proves nothing */
    unsigned char *done, *span_done;
    uint64_t *pending, pendings, pending_bytes;
    struct timespec last_commit;
    unsigned char *status;             /* (block) */
    float *limit;                      /* (W) largest that the file can hold */
};

/* ---- what is there already ---- */

/* A block counts when its bytes have the CRC that the journal's line tells. */
static rt_status read_done(rt_labels_writer *w)
{
    unsigned char *named = calloc(w->f.blocks, 1);
    uint32_t *crc = calloc(w->f.blocks, sizeof *crc);
    rt_status st = named && crc ? RT_OK : rt_fail(RT_RUN, "out of memory");
    if (!st) st = rt_label_read_journal(w->journal_path, w->f.blocks, crc, named, NULL);
    for (uint64_t b = 0; b < w->f.blocks && !st; b++) {
        if (!named[b]) continue;
        if (!(b & 63) && rt_stopped())
            st = rt_fail(RT_INTERRUPTED, "interrupted; the same command goes on from here");
        if (!st) st = rt_label_file_read(&w->f, b);
        if (st || rt_label_file_crc(&w->f, b) != crc[b]) continue;
        w->done[b] = 1;
        w->f.crc[b] = crc[b];
        rt_label_file_count(&w->f, b);
    }
    free(named);
    free(crc);
    return st;
}

static rt_status read_summary(rt_labels_writer *w)
{
    memset(w->done, 1, w->f.blocks);
    return rt_label_file_get_counts(&w->f);
}

/* The spans that block b's rows lie in, counted from first_span. */
static void spans_of(const rt_labels_writer *w, uint64_t b, uint64_t *from, uint64_t *to)
{
    uint64_t first = w->f.spec.first + b * RT_LABEL_BLOCK, size = w->f.span_rows;
    *from = first / size - w->f.first_span;
    *to = (first + rt_label_block_rows(&w->f.spec, b) - 1) / size + 1 - w->f.first_span;
}

/* What was labelled must be what the source holds now. */
static rt_status same_rows(rt_labels_writer *w)
{
    uint64_t from, to, size = w->f.span_rows;
    for (uint64_t b = 0; b < w->f.blocks; b++) {
        if (!w->done[b]) continue;
        spans_of(w, b, &from, &to);
        memset(w->span_done + from, 1, to - from);
    }
    for (from = 0; from < w->f.spans; from = to) {      /* runs of spans, which are hashed side by side */
        for (to = from; to < w->f.spans && w->span_done[to] == w->span_done[from]; to++) {}
        if (w->span_done[from])
            RT_TRY(rt_identity_know(w->job.source, (w->f.first_span + from) * size, (w->f.first_span + to) * size,
                                    w->job.pool, w->job.progress));
    }
    for (uint64_t s = 0; s < w->f.spans; s++) {
        rt_leaf stored, now;
        if (!w->span_done[s]) continue;
        now = rt_identity_leaf(w->job.source, w->f.first_span + s);
        RT_TRY(rt_pread_all(w->f.fd, &stored, sizeof stored, w->f.fixed[RT_LABEL_LEAVES] + s * sizeof stored,
                            w->f.path));
        if (!memcmp(&stored, &now, sizeof now)) continue;
        uint64_t first = (w->f.first_span + s) * size, end = first + size;
        if (first < w->f.spec.first) first = w->f.spec.first;
        if (end > w->f.spec.first + w->f.spec.rows) end = w->f.spec.first + w->f.spec.rows;
        return rt_fail(RT_USAGE, "%s: holds labels of other data: rows %" PRIu64 " to %" PRIu64 " of the source have "
                       "changed since; give another --out, or --force to replace it", w->f.path, first, end - 1);
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
    rt_status st = text ? rt_label_file_create(&w->f, w->output, text) : rt_fail(RT_RUN, "out of memory");
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
    rt_status st = rt_h5_scan(&f, w->f.path);
    if (st) return st == RT_INPUT ? rt_fail_in(st, "give another --out, for this one cannot be gone on with") : st;
    st = fresh ? RT_OK : rt_label_file_same(&w->f, f, manifest);
    if (!st) st = rt_label_file_open(&w->f, f);
    rt_h5_close(f);
    return st ? st : open_journal(w);
}

/* After a failed sync the system calls clean what never reached the disk: it must be read from there. */
static rt_status look_for_failure(rt_labels_writer *w)
{
    char failed[RT_LABEL_FAILED], text[2 * RT_LABEL_FAILED];
    RT_TRY(rt_label_read_journal(w->journal_path, 0, NULL, NULL, failed));
    if (!failed[0]) return RT_OK;
    w->suspect = 1;
    posix_fadvise(w->f.fd, 0, 0, POSIX_FADV_DONTNEED);
    posix_fadvise(w->journal, 0, 0, POSIX_FADV_DONTNEED);
    snprintf(text, sizeof text,
             "a sync of an earlier run failed (%s); what it labelled is read from the disk again and "
             "made anew where it is not there",
             failed);
    rt_progress_line(w->job.progress, text);
    if (w->job.notes) cJSON_AddItemToArray(w->job.notes, cJSON_CreateString(text));
    return RT_OK;
}

/* Of a store that is not complete the checksum is the manifest's alone, or, killed at the very end, that of the whole
 * head; 0 where an older version began it. */
static rt_status check_head(const rt_labels_writer *w)
{
    uint32_t told, crc;
    RT_TRY(rt_pread_all(w->f.fd, &told, sizeof told, w->f.fixed[RT_LABEL_HEAD_CRC], w->f.path));
    RT_TRY(rt_label_file_manifest_crc(&w->f, &crc));
    if (!told || told == crc) return RT_OK;
    RT_TRY(rt_label_file_head_crc(&w->f, &crc));
    if (told == crc && !memchr(w->done, 0, w->f.blocks)) return RT_OK;
    return rt_fail(RT_INPUT, "%s: its manifest (or %s) does not match its checksum: the store is damaged; remove it to "
                   "label again", w->f.path, w->journal_path);
}

static rt_status resume(rt_labels_writer *w)
{
    unsigned char complete = 0;
    RT_TRY(look_for_failure(w));
    RT_TRY(rt_pread_all(w->f.fd, &complete, 1, w->f.fixed[RT_LABEL_COMPLETE], w->f.path));
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
    w->done = calloc(w->f.blocks, 1);
    w->span_done = calloc(w->f.spans, 1);
    w->pending = calloc(w->f.blocks, sizeof *w->pending);
    w->status = malloc(RT_LABEL_BLOCK);
    w->limit = malloc((size_t)w->f.spec.classes * sizeof *w->limit);
    if (!w->done || !w->span_done || !w->pending || !w->status || !w->limit) return rt_fail(RT_RUN, "out of memory");
    rt_label_head head[RT_MAX_HEADS];
    for (int h = 0, heads = rt_label_heads(&w->f.spec, head); h < heads; h++)
        for (int i = 0; i < head[h].size; i++)
            w->limit[head[h].at + i] = head[h].coded                                                     ? 1e38f
                                       : head[h].task != RT_TASK_REAL && w->f.spec.type == RT_F16 ? 65504.0f
                                                                                                  : 3e38f;
    return RT_OK;
}

static void free_writer(rt_labels_writer *w)
{
    if (w->journal >= 0) close(w->journal);
    rt_label_file_free(&w->f);
    rt_output_end(w->output);
    void *owned[] = {w->done, w->span_done, w->pending, w->status, w->limit, w};
    for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++) free(owned[i]);
}

rt_status rt_labels_begin(rt_labels_writer **out, const rt_target *target, const rt_labels_spec *spec, cJSON *manifest,
                          const rt_labels_job *job)
{
    *out = NULL;
    if (!spec->rows) return rt_fail(RT_NOTHING, "%s: there are no rows to label", target->path);
    rt_labels_writer *w = calloc(1, sizeof *w);
    if (!w) return rt_fail(RT_RUN, "out of memory");
    w->job = *job;
    w->journal = -1;
    rt_status st = rt_label_journal_path(w->journal_path, sizeof w->journal_path, target->path);
    if (!st) st = rt_label_file_init(&w->f, target->path, spec, rt_identity_span_rows(job->source), job->pool);
    else w->f.fd = -1;
    if (!st) st = allocate(w);
    if (!st) rt_label_file_describe(&w->f, rt_identity_set(job->source), manifest);
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

uint64_t rt_labels_blocks(const rt_labels_writer *w) { return w->f.blocks; }
int rt_labels_done(const rt_labels_writer *w, uint64_t b) { return w->done[b]; }

rt_labels_summary rt_labels_written(const rt_labels_writer *w)
{
    rt_labels_summary s = {.class_count = w->f.class_count, .confidence = rt_label_file_mean(&w->f)};
    memcpy(s.status, w->f.status_count, sizeof s.status);
    return s;
}

/* Statuses of a block's rows by their logits: w->status when not all are good, else NULL. */
static rt_status judge(const rt_labels_writer *w, uint64_t b, const float *logits, const unsigned char *status,
                       const unsigned char **out)
{
    size_t k = (size_t)w->f.spec.classes;
    uint64_t rows = rt_label_block_rows(&w->f.spec, b);
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
                           "hold; %s", w->f.path,
                           w->f.spec.heads ? "answer" : "logit", w->f.spec.first + b * RT_LABEL_BLOCK + r,
                           w->f.spec.heads ? "element" : "class", c, (double)z[c],
                           w->limit[c] > 2e38f ? "f32" : w->limit[c] > 1e5f ? "q8" : "f16",
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
    uint64_t size = w->f.span_rows, from, to;
    uint64_t first = w->f.spec.first + b * RT_LABEL_BLOCK, left = w->f.spec.rows - b * RT_LABEL_BLOCK;
    int ahead = 1;
    spans_of(w, b, &from, &to);
    /* what is not known is hashed a span a thread ahead of the labels */
    for (uint64_t s = from; s < to; s++)
        if (!rt_identity_known(w->job.source, w->f.first_span + s) && w->job.pool) ahead = rt_pool_threads(w->job.pool);
    uint64_t rows = left / (uint64_t)ahead < size ? left : (uint64_t)ahead * size;
    uint64_t least = rt_label_block_rows(&w->f.spec, b);
    if (ahead == 1 || rows < least) rows = least;
    RT_TRY(rt_identity_know(w->job.source, first, first + rows, w->job.pool, w->job.progress));
    for (uint64_t s = from; s < to; s++) {
        if (w->span_done[s]) continue;
        rt_leaf leaf = rt_identity_leaf(w->job.source, w->f.first_span + s);
        uint64_t at = w->f.fixed[RT_LABEL_LEAVES] + s * sizeof leaf;
        rt_status st = rt_pwrite_all(w->f.fd, &leaf, sizeof leaf, at, w->f.path);
        if (st) return broke(w, st);
        w->span_done[s] = 1;
    }
    return RT_OK;
}

rt_status rt_labels_put(rt_labels_writer *w, uint64_t b, const float *logits, const unsigned char *status)
{ return rt_labels_put_features(w, b, logits, NULL, status); }

rt_status rt_labels_put_features(rt_labels_writer *w, uint64_t b, const float *logits, const float *const *feature,
                                 const unsigned char *status)
{
    if (w->broken) return rt_fail(RT_RUN, "%s: writing has failed", w->f.path);
    RT_TRY(judge(w, b, logits, status, &status));
    RT_TRY(put_leaves(w, b));
    rt_label_file_encode(&w->f, b, &(rt_label_rows){.answers = logits, .feature = feature, .status = status});
    rt_status st = rt_label_file_write(&w->f, b);
    if (st) return broke(w, st);
    w->pending_bytes += rt_label_block_bytes(&w->f.spec, rt_label_block_rows(&w->f.spec, b));
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

static rt_status sync_store(rt_labels_writer *w) { return sync_file(w, w->f.fd, w->f.path); }

rt_status rt_labels_commit(rt_labels_writer *w)
{
    if (w->broken) return rt_fail(RT_RUN, "%s: writing has failed", w->f.path);
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
        int len = snprintf(line, sizeof line, "%" PRIu64 " %08x ", w->pending[i], w->f.crc[w->pending[i]]);
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

static rt_status complete(rt_labels_writer *w)
{
    static const unsigned char one = 1;
    rt_status st = rt_label_file_put_head(&w->f);
    if (st) return broke(w, st);
    RT_TRY(sync_store(w));
    st = rt_pwrite_all(w->f.fd, &one, 1, w->f.fixed[RT_LABEL_COMPLETE], w->f.path);
    if (st) return broke(w, st);
    return sync_store(w);
}

rt_status rt_labels_end(rt_labels_writer *w)
{
    rt_status st = w->broken ? rt_fail(RT_RUN, "%s: writing has failed", w->f.path) : RT_OK;
    unsigned char is_complete = 0;
    int all = 1;
    if (!st) st = rt_labels_commit(w);
    for (uint64_t b = 0; b < w->f.blocks && all; b++) all = w->done[b];
    if (!st && all) st = rt_pread_all(w->f.fd, &is_complete, 1, w->f.fixed[RT_LABEL_COMPLETE], w->f.path);
    if (!st && all && (!is_complete || w->suspect)) st = complete(w);
    if (!st && all) unlink(w->journal_path);
    free_writer(w);
    return st;
}
