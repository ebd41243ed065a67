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

/* ---- what is there already ---- */

/* What the journals say. */
static rt_status read_journals(rt_labels_writer *w, char failed[RT_LABEL_FAILED])
{
    uint64_t blocks = w->f.blocks;
    unsigned char *named = calloc(blocks, 1);
    rt_label_named all = {.blocks = blocks, .stored = w->f.crc, .crc = w->f.crc, .named = named};
    rt_status st = named ? RT_OK : rt_fail(RT_RUN, "out of memory");
    if (!st) st = rt_label_file_get_crc(&w->f);
    if (!st) st = rt_label_read_journals(w->f.path, &all);
    for (uint64_t b = 0; b < blocks && !st; b++)
        w->done[b] = (w->done[b] & (unsigned char)~RT_LABEL_NAMED) | (named[b] ? RT_LABEL_NAMED : 0);
    memcpy(failed, all.failed, RT_LABEL_FAILED);
    free(named);
    return st;
}

static int all_named(const rt_labels_writer *w)
{
    for (uint64_t b = 0; b < w->f.blocks; b++) if (!(w->done[b] & RT_LABEL_NAMED)) return 0;
    return 1;
}

/* Reads the blocks back that are named and not counted, and counts them. A block whose bytes do not have the CRC that
 * its line told is not there: *lost. */
static rt_status read_back(rt_labels_writer *w, uint64_t *lost)
{
    rt_label_file *f = &w->f;
    *lost = 0;
    for (uint64_t b = 0; b < f->blocks; b++) {
        if (!(w->done[b] & RT_LABEL_NAMED) || w->done[b] & RT_LABEL_COUNTED) continue;
        if (!(b & 63) && rt_stopped())
            return rt_fail(RT_INTERRUPTED, "interrupted; the same command goes on from here");
        RT_TRY(rt_label_file_read(f, b));
        if (rt_label_file_crc(f, b) != f->crc[b]) {
            w->done[b] &= (unsigned char)~RT_LABEL_NAMED;
            ++*lost;
            continue;
        }
        rt_label_file_count(f, b);
        w->done[b] |= RT_LABEL_COUNTED;
        if (!(b & 1023)) rt_progress_update(w->job.progress, "check", (double)b, (double)f->blocks, 0, "blocks", "");
    }
    return RT_OK;
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
        if (!(w->done[b] & RT_LABEL_NAMED)) continue;
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

/* A new store has its name only after the old journals are gone, which would speak of other rows. */
static rt_status make_store(rt_labels_writer *w, const char *manifest)
{
    RT_TRY(rt_output_may_replace(w->output, RT_OUTPUT_LABELS));
    RT_TRY(rt_label_remove_journals(w->path));
    RT_TRY(rt_label_remove_grown(w, UINT64_MAX));
    RT_TRY(rt_label_file_create(&w->f, w->output, manifest));
    w->begun = 1;
    return RT_OK;
}

/* Opens the file, unless the store is of less of the source than there is now. */
static rt_status open_file(rt_labels_writer *w, const cJSON *manifest, int fresh, int *grown)
{
    rt_h5_file *f;
    *grown = 0;
    rt_status st = rt_h5_scan(&f, w->path);
    if (st == RT_INPUT) return rt_fail_in(st, "give another --out, for this one cannot be gone on with");
    RT_TRY(st);
    if (!fresh) st = rt_label_file_same(&w->f, f, manifest, w->job.grows ? grown : NULL);
    if (!st && !*grown) st = rt_label_file_open(&w->f, f);
    rt_h5_close(f);
    return st;
}

/* The store's file, made anew where there is none. */
static rt_status open_store(rt_labels_writer *w, cJSON *manifest, int force, int *fresh)
{
    int grown;
    if ((*fresh = w->output && (!rt_output_exists(w->output) || force))) {
        char *text = rt_json_text(manifest, 1);
        rt_status st = text ? make_store(w, text) : rt_fail(RT_RUN, "out of memory");
        free(text);
        RT_TRY(st);
    }
    RT_TRY(open_file(w, manifest, *fresh, &grown));
    if (!grown) return RT_OK;
    RT_TRY(rt_label_check_olds(w, manifest));
    RT_TRY(open_file(w, manifest, 0, &grown));         /* somebody may have finished it meanwhile */
    return grown ? rt_label_grow(w, manifest, fresh) : RT_OK;
}

/* After a failed sync the system calls clean what never reached the disk: it must be read from there. */
static rt_status look_for_failure(rt_labels_writer *w, char failed[RT_LABEL_FAILED])
{
    char text[2 * RT_LABEL_FAILED];
    uint64_t lost;
    if (!failed[0]) return RT_OK;
    w->suspect = 1;
    posix_fadvise(w->f.fd, 0, 0, POSIX_FADV_DONTNEED);
    RT_TRY(rt_label_forget_journals(w->f.path));
    RT_TRY(read_journals(w, failed));
    snprintf(text, sizeof text,
             "a sync of an earlier run failed (%s); what it labelled is read from the disk again and "
             "made anew where it is not there",
             failed);
    rt_progress_line(w->job.progress, text);
    if (w->job.notes) cJSON_AddItemToArray(w->job.notes, cJSON_CreateString(text));
    return read_back(w, &lost);
}

/* Of a store that is not complete the checksum is the manifest's alone, or, killed at the very end, that of the whole
 * head; 0 where an older version began it. */
static rt_status check_head(rt_labels_writer *w)
{
    uint32_t told, crc;
    uint64_t lost;
    RT_TRY(rt_pread_all(w->f.fd, &told, sizeof told, w->f.fixed[RT_LABEL_HEAD_CRC], w->f.path));
    RT_TRY(rt_label_file_manifest_crc(&w->f, &crc));
    if (!told || told == crc) return RT_OK;
    RT_TRY(read_back(w, &lost));
    RT_TRY(rt_label_file_head_crc(&w->f, &crc));
    if (told == crc && all_named(w)) return RT_OK;
    return rt_fail(RT_INPUT, "%s: its manifest (or %s) does not match its checksum: the store is damaged; remove it to "
                   "label again", w->f.path, w->journal.path);
}

/* What is done, and a journal to go on with. */
static rt_status resume(rt_labels_writer *w, int fresh)
{
    unsigned char complete = 0;
    char failed[RT_LABEL_FAILED];
    RT_TRY(read_journals(w, failed));
    RT_TRY(look_for_failure(w, failed));
    RT_TRY(rt_pread_all(w->f.fd, &complete, 1, w->f.fixed[RT_LABEL_COMPLETE], w->f.path));
    if (complete && !w->suspect) {
        w->complete = w->verified = 1;
        memset(w->done, RT_LABEL_NAMED | RT_LABEL_COUNTED, w->f.blocks);
        return rt_label_file_get_counts(&w->f);
    }
    if (!complete) RT_TRY(check_head(w));
    /* Anew, where something may stand in it or somebody may still write to it. A torn last line would swallow the next.
     */
    RT_TRY(fresh && !w->who[0] ? rt_label_journal_open(&w->journal) :
           rt_label_journal_sum(&w->journal, w->done, w->f.crc, w->f.blocks));
    return rt_sync_folder(w->dir, w->f.path);
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
    rt_label_journal_close(&w->journal);
    rt_label_leave(w);
    rt_label_file_free(&w->f);
    for (int i = 0; i < w->olds; i++) rt_labels_close(w->old[i]);
    void *owned[] = {w->done, w->span_done, w->pending, w->status, w->limit, w};
    for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++) free(owned[i]);
}

/* Names and memory. */
static rt_status set_up(rt_labels_writer *w, const char *path, const rt_labels_spec *spec)
{
    const rt_labels_job *job = &w->job;
    w->f.fd = w->journal.fd = w->dir = -1;
    w->own = w->last = (rt_lock)RT_LOCK_FREE;
    w->alone = !job->shards;
    if (job->shards) snprintf(w->who, sizeof w->who, "%d-%d", job->shard, job->shards);
    RT_TRY(rt_label_real_path(w->path, sizeof w->path, path));
    RT_TRY(rt_label_file_init(&w->f, w->path, spec, rt_identity_span_rows(job->source), job->pool));
    RT_TRY(allocate(w));
    w->cursor = job->shards ? (uint64_t)((double)w->f.blocks * job->shard / job->shards) : 0;
    return rt_label_journal_path(w->journal.path, sizeof w->journal.path, w->path, w->who);
}

static rt_status open_all(rt_labels_writer *w, const rt_target *target, cJSON *manifest)
{
    int fresh;
    RT_TRY(rt_label_enter(w, target));
    RT_TRY(rt_refuse_inputs(w->journal.path, w->job.inputs));
    RT_TRY(open_store(w, manifest, target->force, &fresh));
    RT_TRY(rt_label_journal_path(w->journal.path, sizeof w->journal.path, w->f.path, w->who));
    RT_TRY(resume(w, fresh));
    rt_label_go_on(w);
    return rt_label_or_damaged(w->f.path, same_rows(w));
}

/* A store that this process just made and did not come to write to: nothing of it is to be gone on with. */
static rt_status unmake(const rt_labels_writer *w, rt_status st)
{
    char message[1024];
    snprintf(message, sizeof message, "%s", rt_error_message());
    unlinkat(w->dir, w->name, 0);
    (void)rt_label_remove_journals(w->path);
    return rt_fail(st, "%s", message);
}

rt_status rt_labels_begin(rt_labels_writer **out, const rt_target *target, const rt_labels_spec *spec, cJSON *manifest,
                          const rt_labels_job *job)
{
    *out = NULL;
    if (!spec->rows) return rt_fail(RT_NOTHING, "%s: there are no rows to label", target->path);
    rt_labels_writer *w = calloc(1, sizeof *w);
    if (!w) return rt_fail(RT_RUN, "out of memory");
    w->job = *job;
    rt_status st = set_up(w, target->path, spec);
    if (!st) rt_label_file_describe(&w->f, rt_identity_set(job->source), manifest);
    if (!st) st = open_all(w, target, manifest);
    clock_gettime(CLOCK_MONOTONIC, &w->last_commit);
    if (!st) {
        *out = w;
        return RT_OK;
    }
    if (w->begun && w->alone) st = unmake(w, st);
    w->complete = 0;                   /* what is left of others is not looked at */
    free_writer(w);
    return st;
}

/* ---- writing ---- */

uint64_t rt_labels_blocks(const rt_labels_writer *w) { return w->f.blocks; }
int rt_labels_all_done(const rt_labels_writer *w) { return w->verified; }

uint64_t rt_labels_rows_done(const rt_labels_writer *w)
{
    uint64_t rows = 0;
    for (uint64_t b = 0; b < w->f.blocks; b++)
        if (w->done[b] & RT_LABEL_NAMED) rows += rt_label_block_rows(&w->f.spec, b);
    return rows;
}

rt_labels_summary rt_labels_written(const rt_labels_writer *w)
{
    rt_labels_summary s = {.class_count = w->f.class_count, .confidence = rt_label_file_mean(&w->f)};
    memcpy(s.status, w->f.status_count, sizeof s.status);
    return s;
}

/* " of view 3", "" of rows as they are */
static const char *of_view(int plane, char text[32])
{
    text[0] = 0;
    if (plane) snprintf(text, 32, " of view %d", plane - 1);
    return text;
}

/* Statuses of a block's rows by the logits of a plane, of source rows from `first` on, over those they have: w->status
 * when not all are good, else NULL. */
static rt_status judge(const rt_labels_writer *w, uint64_t first, uint64_t rows, int plane, const float *logits,
                       const unsigned char *status, const unsigned char **out)
{
    size_t k = (size_t)w->f.spec.classes;
    int any = 0;
    char view[32];
    for (uint64_t r = 0; r < rows; r++)
        for (size_t i = 0; i < k; i++) any |= !(fabsf(logits[r * k + i]) <= w->limit[i]);
    if (!any && !status) return RT_OK;
    if (!status) memset(w->status, RT_LABEL_DONE, RT_LABEL_BLOCK);
    else if (status != w->status) memcpy(w->status, status, rows);
    status = w->status;
    for (uint64_t r = 0; r < rows; r++) {
        const float *z = logits + r * k;
        size_t c = 0;
        int bad = 0, infinite = 0;
        if (status[r] != RT_LABEL_DONE) {
            *out = w->status;
            continue;
        }
        for (size_t i = 0; i < k; i++) bad |= !(fabsf(z[i]) <= w->limit[i]);
        if (!bad) continue;
        for (size_t i = 0; i < k; i++) infinite |= !isfinite(z[i]);
        while (infinite ? isfinite(z[c]) : fabsf(z[c]) <= w->limit[c]) c++;
        if (!infinite || !w->job.mark_bad)
            return rt_fail(RT_INPUT, "%s: the teacher's %s of row %" PRIu64 "%s, %s %zu is %g, which %s cannot "
                           "hold; %s", w->f.path,
                           w->f.spec.heads ? "answer" : "logit", first + r, of_view(plane, view),
                           w->f.spec.heads ? "element" : "class", c, (double)z[c],
                           w->limit[c] > 2e38f ? "f32" : w->limit[c] > 1e5f ? "q8" : "f16",
                           infinite ? "label.bad_rows=mark goes on without such rows" : "use labels.type=f32");
        w->status[r] = RT_LABEL_BAD_ANSWER;
        *out = w->status;
    }
    return RT_OK;
}

/* A feature that is not finite is an answer that is not: *status becomes w->status where there is one. A plane's rows
 * begin `skip` rows behind the feature. */
static rt_status judge_features(const rt_labels_writer *w, uint64_t first, uint64_t rows, uint64_t skip, int plane,
                                const float *const *feature, const unsigned char **status)
{
    char view[32];
    const rt_labels_spec *s = &w->f.spec;
    for (int i = 0; i < s->features; i++)
        for (uint64_t r = 0; r < rows; r++) {
            const rt_label_feature *f = &s->feature[i];
            const float limit = f->type == RT_F16 ? 65504.0f : 3e38f, *v = feature[i] + (skip + r) * (size_t)f->width;
            int bad = 0, infinite = 0;
            if (*status && (*status)[r] != RT_LABEL_DONE) continue;
            for (int k = 0; k < f->width; k++) bad |= !(fabsf(v[k]) <= limit);
            for (int k = 0; k < f->width && bad; k++) infinite |= !isfinite(v[k]);
            if (!bad) continue;
            if (!infinite || !w->job.mark_bad)
                return rt_fail(RT_INPUT, "%s: feature '%s' of row %" PRIu64 "%s has a number that %s cannot hold; %s",
                               w->f.path, f->name, first + r, of_view(plane, view), rt_dtype_name(f->type),
                               infinite ? "label.bad_rows=mark goes on without such rows"
                                        : "use label.feature_type=f32");
            if (!*status) memset(w->status, RT_LABEL_DONE, RT_LABEL_BLOCK);
            w->status[r] = RT_LABEL_BAD_ANSWER;
            *status = w->status;
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

/* f.buffer, coded and counted, to the file. */
static rt_status put_bytes(rt_labels_writer *w, uint64_t b)
{
    rt_status st = rt_label_file_write(&w->f, b);
    if (st) return broke(w, st);
    w->done[b] |= RT_LABEL_COUNTED;
    w->pending_bytes += rt_label_block_bytes(&w->f.spec, rt_label_block_rows(&w->f.spec, b));
    w->pending[w->pendings++] = b;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    double age = (double)(now.tv_sec - w->last_commit.tv_sec) + 1e-9 * (double)(now.tv_nsec - w->last_commit.tv_nsec);
    return w->pending_bytes >= COMMIT_BYTES || age >= 1.0 ? rt_labels_commit(w) : RT_OK;
}

/* New rows behind old ones of the block. */
static rt_status put_behind(rt_labels_writer *w, uint64_t b, uint64_t old, rt_label_rows rows)
{
    rt_label_file *f = &w->f;
    const float *feature[RT_LABEL_FEATURES];
    uint64_t *spare = calloc((size_t)f->spec.classes + RT_LABEL_STATUSES, sizeof *spare);
    if (!spare) return rt_fail(RT_RUN, "out of memory");
    for (int i = 0; i < f->spec.features && rows.feature; i++)
        feature[i] = rows.feature[i] + old * (uint64_t)f->spec.feature[i].width;
    if (rows.feature) rows.feature = feature;
    rt_label_encode(f->coder, f->buffer, &rows, spare, spare + f->spec.classes);
    free(spare);
    RT_TRY(rt_label_splice(w, b));
    rt_label_file_count(f, b);
    f->crc[b] = rt_label_file_crc(f, b);
    return RT_OK;
}

rt_status rt_labels_put(rt_labels_writer *w, uint64_t b, const float *answers, const unsigned char *status)
{ return rt_labels_put_planes(w, b, &(rt_label_planes){.answers = answers, .status = status}); }

rt_status rt_labels_put_planes(rt_labels_writer *w, uint64_t b, const rt_label_planes *p)
{
    rt_label_file *f = &w->f;
    uint64_t all = rt_label_block_rows(&f->spec, b), old = rt_label_old_rows(w, b), rows = all - old;
    uint64_t first = f->spec.first + b * RT_LABEL_BLOCK + old, width = (uint64_t)f->spec.classes;
    const unsigned char *status = p->status ? p->status + old : NULL;
    if (w->broken) return rt_fail(RT_RUN, "%s: writing has failed", f->path);
    for (int i = 0; i <= f->spec.views.count; i++) {
        uint64_t skip = (uint64_t)i * all + old;
        RT_TRY(judge(w, first, rows, i, p->answers + skip * width, status, &status));
        RT_TRY(judge_features(w, first, rows, skip, i, p->feature, &status));
    }
    RT_TRY(put_leaves(w, b));
    const rt_label_rows these = {.rows = rows, .plane = all, .answers = p->answers + old * width,
                                 .feature = p->feature, .status = status};
    if (old) RT_TRY(put_behind(w, b, old, these));
    else rt_label_file_encode(f, b, &these);
    return put_bytes(w, b);
}

/* The one place where bytes are made durable. A failure is final, and the journal says so to the next run, as far as it
 * still can be written. */
static rt_status sync_file(rt_labels_writer *w, int fd, const char *path)
{
    char message[1024];
    rt_status st = rt_sync_data(fd, path);
    int error = errno;
    if (!st) return RT_OK;
    snprintf(message, sizeof message, "%s", rt_error_message());
    rt_label_journal_mark(&w->journal, error);
    return broke(w, rt_fail(st, "%s; run the command again to go on from the last good block", message));
}

static rt_status sync_store(rt_labels_writer *w) { return sync_file(w, w->f.fd, w->f.path); }

rt_status rt_labels_commit(rt_labels_writer *w)
{
    if (w->broken) return rt_fail(RT_RUN, "%s: writing has failed", w->f.path);
    clock_gettime(CLOCK_MONOTONIC, &w->last_commit);
    if (!w->pendings) return RT_OK;
    rt_status st = rt_identity_unchanged(w->job.source);          /* else these blocks may be of rows that are gone */
    if (!st) st = rt_label_still_mine(w);
    if (!st) st = rt_label_file_put_crc(&w->f, w->pending, w->pendings);
    if (st) return broke(w, st);
    RT_TRY(sync_store(w));
    st = rt_label_still_mine(w);
    if (!st) st = rt_label_journal_add(&w->journal, w->pending, w->pendings, w->f.crc);
    if (st) return broke(w, st);
    RT_TRY(sync_file(w, w->journal.fd, w->journal.path));
    st = rt_label_still_mine(w);                      /* a line that was written after that is in nobody's journal */
    if (st) return broke(w, st);
    for (uint64_t i = 0; i < w->pendings; i++) w->done[w->pending[i]] |= RT_LABEL_NAMED;
    w->pendings = w->pending_bytes = 0;
    if (rt_label_journal_long(&w->journal)) st = rt_label_journal_sum(&w->journal, w->done, w->f.crc, w->f.blocks);
    if (st) return broke(w, st);
    rt_identity_keep(w->job.source);
    return RT_OK;
}

/* ---- what is to be done ---- */

/* Blocks [run, run_end) that nobody else labels; when there are none, the end: all is read back and counted, or the
 * rest is with others. */
static rt_status take_more(rt_labels_writer *w)
{
    uint64_t lost;
    int last = w->alone;
    w->run = w->run_end = 0;
    if (!w->alone && w->job.take) {
        uint64_t left = 0, n, at;
        for (uint64_t b = 0; b < w->f.blocks; b++) left += !(w->done[b] & RT_LABEL_NAMED);
        n = left / (32 * (uint64_t)w->job.shards) + 1;
        RT_TRY(w->job.take(w->job.counter, n, &at));
        w->run = at < w->f.blocks ? at : w->f.blocks;
        w->run_end = w->f.blocks - w->run < n ? w->f.blocks : w->run + n;
        if (w->run < w->run_end) return RT_OK;
    } else if (w->alone && !w->passed) {
        w->passed = 1;
        w->run_end = w->f.blocks;
        return RT_OK;
    } else if (!w->alone) RT_TRY(rt_label_claim(w));
    if (w->run < w->run_end || w->complete) return RT_OK;
    RT_TRY(rt_labels_commit(w));
    if (!w->alone && !w->job.take) RT_TRY(rt_label_is_last(w, &last));
    w->left = !last || !all_named(w);
    if (w->left) return RT_OK;
    RT_TRY(read_back(w, &lost));
    w->alone = 1;
    w->verified = !lost;
    w->run_end = lost ? w->f.blocks : 0;
    return RT_OK;
}

static rt_status copy(rt_labels_writer *w, uint64_t b)
{
    int lost;
    RT_TRY(rt_check_stop());
    RT_TRY(rt_label_copy(w, b, &lost));
    if (!(b & 1023)) rt_progress_update(w->job.progress, "copy", (double)b, (double)w->f.blocks, 0, "blocks", "");
    if (lost) return RT_OK;
    RT_TRY(put_leaves(w, b));
    rt_label_file_count(&w->f, b);
    w->f.crc[b] = rt_label_file_crc(&w->f, b);
    return put_bytes(w, b);
}

rt_status rt_labels_next(rt_labels_writer *w, uint64_t *first, uint64_t *end)
{
    rt_label_file *f = &w->f;
    *first = *end = 0;
    if (w->broken) return rt_fail(RT_RUN, "%s: writing has failed", f->path);
    while (!w->verified && !w->left) {
        uint64_t b = w->run;
        if (b >= w->run_end) {
            RT_TRY(take_more(w));
            continue;
        }
        if (w->done[b] & (RT_LABEL_NAMED | RT_LABEL_COUNTED)) {
            w->run++;
            continue;
        }
        if (rt_label_is_old(w, b)) RT_TRY(copy(w, b));
        if (w->done[b] & RT_LABEL_COUNTED) continue;
        RT_TRY(rt_label_check_old(w, b));
        *first = f->spec.first + b * RT_LABEL_BLOCK + rt_label_old_rows(w, b);
        do b++;
        while (b < w->run_end && !(w->done[b] & (RT_LABEL_NAMED | RT_LABEL_COUNTED)) && !rt_label_old_rows(w, b));
        w->run = b;
        *end = f->spec.first + (b < f->blocks ? b * RT_LABEL_BLOCK : f->spec.rows);
        return RT_OK;
    }
    return RT_OK;
}

rt_status rt_labels_alone(rt_labels_writer *w)
{
    char failed[RT_LABEL_FAILED];
    RT_TRY(rt_labels_commit(w));
    RT_TRY(read_journals(w, failed));
    w->alone = 1;
    w->left = w->passed = 0;
    return RT_OK;
}

/* ---- the end ---- */

static rt_status complete(rt_labels_writer *w)
{
    static const unsigned char one = 1;
    rt_status st = rt_label_file_put_head(&w->f);
    if (st) return broke(w, st);
    RT_TRY(sync_store(w));
    RT_TRY(rt_label_lead(w));
    st = rt_pwrite_all(w->f.fd, &one, 1, w->f.fixed[RT_LABEL_COMPLETE], w->f.path);
    if (st) return broke(w, st);
    RT_TRY(sync_store(w));
    w->complete = 1;
    return RT_OK;
}

/* Nothing is left beside a complete store. */
static rt_status clear(rt_labels_writer *w)
{
    const rt_h5_dataset *set = rt_identity_set(w->job.source);
    RT_TRY(rt_label_remove_journals(w->path));
    return rt_label_remove_grown(w, set->dim[0]);
}

rt_status rt_labels_end(rt_labels_writer *w)
{
    rt_status st = w->broken ? rt_fail(RT_RUN, "%s: writing has failed", w->f.path) : RT_OK;
    uint64_t lost = 0;
    if (!st) st = rt_labels_commit(w);
    if (!st && w->alone && !w->verified && all_named(w)) {
        st = read_back(w, &lost);
        w->verified = !st && !lost;
        if (!st && lost)                               /* whoever asks for what is to be done does not come here */
            st = rt_label_journal_sum(&w->journal, w->done, w->f.crc, w->f.blocks);
    }
    if (!st && w->verified && !w->complete) st = complete(w);
    if (!st && w->complete) st = rt_label_lead(w);
    if (!st && w->complete) st = rt_label_grown(w);
    if (!st && w->complete) st = clear(w);
    free_writer(w);
    return st;
}
