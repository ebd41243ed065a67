#include "data/identity.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "data/identity_cache.h"

enum { PIECE_BYTES = 1 << 20, KEEP_SPANS = 64, GROUP = 4, MAX_SPANS = 1 << 24 };
#define RACY_NS INT64_C(2000000000)

/* What is known of a span: it has a leaf; it was asked for; its leaf may be kept and is not yet. */
enum { KNOWN = 1, USED = 2, FRESH = 4 };

struct rt_identity {
    rt_source *source;
    rt_check check;
    uint64_t span_rows, spans, fresh;
    rt_leaf *leaf, *kept;                             /* kept: with RT_CHECK_FULL, what the leaves must be */
    unsigned char *state;
    rt_stamp *stamp;                                  /* (stamps) of each file of each part */
    int stamps;
    int writes_nothing;
    int kept_in;                                      /* files that leaves are kept of: 0 of parts in several files */
    rt_identity *part[RT_SOURCE_PARTS];               /* of data sets side by side: each one's */
    int parts;
};

rt_check rt_check_read(rt_cfg *data)
{
    static const char *const names[] = {"known", "full", NULL};
    return rt_cfg_choice(data, "check", names, 0) ? RT_CHECK_FULL : RT_CHECK_KNOWN;
}

static int is_zero(const rt_leaf *l)
{
    static const rt_leaf zero;
    return !memcmp(l, &zero, sizeof zero);
}

static const char *path_of(const rt_identity *id) { return rt_source_path(id->source); }

/* A file of the source, counted over the parts. */
static rt_source *file_at(const rt_identity *id, int i)
{
    for (int p = 0; ; p++) {
        rt_source *part = rt_source_part(id->source, p, NULL, NULL);
        int files = rt_source_files_behind(part, NULL);
        if (i < files) return rt_source_link(part, i);
        i -= files;
    }
}

static int files_of(const rt_source *source)
{
    int n = 0;
    for (int p = 0; p < rt_source_parts(source); p++)
        n += rt_source_files_behind(rt_source_part(source, p, NULL, NULL), NULL);
    return n;
}

static rt_status stamps_of(const rt_identity *id, rt_stamp *stamp)
{
    for (int i = 0; i < id->stamps; i++) {
        const rt_source *p = file_at(id, i);
        RT_TRY(rt_stamp_of(&stamp[i], rt_source_file(p)->fd, rt_source_path(p)));
    }
    return RT_OK;
}

static int stamps_equal(const rt_identity *id, const rt_stamp *a, const rt_stamp *b)
{
    int same = 1;
    for (int i = 0; i < id->stamps; i++) same &= rt_stamps_equal(&a[i], &b[i]);
    return same;
}

/* When the last of the files was changed. */
static int64_t changed_ns(const rt_identity *id)
{
    int64_t last = INT64_MIN;
    for (int i = 0; i < id->stamps; i++) {
        const rt_stamp *s = &id->stamp[i];
        if (s->mtime > last) last = s->mtime;
        if (s->ctime > last) last = s->ctime;
    }
    return last;
}

/* ---- what is kept ---- */

/* Some of the spans, and the file that their leaves are kept with. */
typedef struct { uint64_t first, count; char *line; rt_leaf_key key; } kept_spans;

/* Spans that begin in file i: those that lie in it wholly (reach 0), whose key tells how many rows of the file come
 * before them; or the one that goes on in the next (reach 1), whose key tells what those are. count 0: there is none. A
 * file alone, or the first of several, keeps its spans under one key. */
static rt_status spans_of(const rt_identity *id, int i, int reach, kept_spans *k)
{
    const uint64_t *first;
    int files = rt_source_files_behind(id->source, &first), last = i;
    const rt_source *file = file_at(id, i);
    uint64_t rows = rt_source_rows(id->source), from = files > 1 ? first[i] : 0, to = files > 1 ? first[i + 1] : rows;
    uint64_t begin = from / id->span_rows + (from % id->span_rows != 0),
             end = to == rows ? id->spans : to / id->span_rows;
    *k = (kept_spans){.first = begin, .count = end > begin ? end - begin : 0};
    uint64_t stop = end < begin ? begin : end;        /* the span that is the first not to lie in the file wholly */
    if (reach) *k = (kept_spans){.first = stop, .count = stop < id->spans && stop * id->span_rows < to};
    if (!k->count) return RT_OK;
    char *line = rt_leaf_line(files > 1 ? rt_source_info(file) : rt_source_info(id->source), id->span_rows);
    size_t room = line ? strlen(line) + 64 : 0;
    k->line = line ? malloc(room) : NULL;
    if (k->line && !reach && from == begin * id->span_rows) snprintf(k->line, room, "%s", line);
    else if (k->line && !reach)
        snprintf(k->line, room, "%s +%" PRIu64, line, begin * id->span_rows - from);
    else if (k->line) {
        rt_hasher *h = rt_hasher_new();
        uint64_t until = (stop + 1) * id->span_rows < rows ? (stop + 1) * id->span_rows : rows;
        while (first[last + 1] < until) {
            last++;
            rt_hasher_add(h, &id->stamp[last], sizeof id->stamp[last]);
        }
        snprintf(k->line, room, "%s +%" PRIu64 "~%s", line, stop * id->span_rows - from, rt_hasher_end(h).hex);
    }
    free(line);
    if (!k->line) return rt_fail(RT_RUN, "out of memory");
    k->key = (rt_leaf_key){.path = rt_source_path(files > 1 ? file : id->source), .key = k->line, .stamp = id->stamp[i],
                           .spans = k->count};
    return RT_OK;
}

static rt_status load_kept(rt_identity *id, rt_leaf *leaf)
{
    for (int i = 0; i < id->kept_in; i++)
        for (int reach = 0; reach < 2; reach++) {
            kept_spans k;
            RT_TRY(spans_of(id, i, reach, &k));
            if (k.count) rt_leaves_load(&k.key, leaf + k.first);
            free(k.line);
        }
    return RT_OK;
}

rt_status rt_identity_open(rt_identity **out, rt_source *source, rt_check check)
{
    rt_identity *id = *out = calloc(1, sizeof *id);
    if (!id) return rt_fail(RT_RUN, "out of memory");
    uint64_t rows = rt_source_rows(source);
    size_t row_bytes = rt_source_row_bytes(source);
    id->source = source;
    id->check = check;
    id->span_rows = !row_bytes ? (rows ? rows : 1) : row_bytes < RT_SPAN_BYTES ? RT_SPAN_BYTES / row_bytes : 1;
    id->spans = rows / id->span_rows + (rows % id->span_rows != 0);
    if (id->spans > MAX_SPANS) {
        free(id);
        *out = NULL;
        return rt_fail(RT_INPUT, "%s: data set '%s': %" PRIu64 " rows are more than %d spans of %d bytes; keep them in "
                       "several files",
                       rt_source_path(source), rt_source_info(source)->name, rows, MAX_SPANS, RT_SPAN_BYTES);
    }
    id->leaf = calloc(id->spans + 1, sizeof *id->leaf);
    id->kept = calloc(id->spans + 1, sizeof *id->kept);
    id->state = calloc(id->spans + 1, 1);
    id->stamps = files_of(source);
    id->stamp = calloc((size_t)id->stamps, sizeof *id->stamp);
    rt_status st = id->leaf && id->kept && id->state && id->stamp ? RT_OK : rt_fail(RT_RUN, "out of memory");
    if (!st) st = stamps_of(id, id->stamp);
    if (!st) {
        int same = 1, joined = rt_source_part(source, 0, NULL, NULL) != source;
        for (int i = 1; i < id->stamps; i++) same &= rt_stamps_equal(&id->stamp[i], &id->stamp[0]);
        id->kept_in = !joined ? id->stamps : same && rt_source_files_behind(source, NULL) == 1;
        st = load_kept(id, check == RT_CHECK_FULL ? id->kept : id->leaf);
    }
    if (!st) {
        for (uint64_t i = 0; i < id->spans; i++) if (!is_zero(&id->leaf[i])) id->state[i] = KNOWN;
        int parts = rt_source_part(source, 0, NULL, NULL) == source ? 0 : rt_source_parts(source);
        while (id->parts < parts && !st) {
            st = rt_identity_open(&id->part[id->parts], rt_source_part(source, id->parts, NULL, NULL), check);
            id->parts += !st;
        }
        if (!st) return RT_OK;
    }
    rt_identity_close(id);
    *out = NULL;
    return st;
}

/* The fresh leaves of one file's spans; they count as kept then. */
static void save_some(rt_identity *id, const kept_spans *k, rt_leaf *room)
{
    uint64_t n = 0;
    memset(room, 0, k->count * sizeof *room);
    for (uint64_t i = 0; i < k->count; i++) {
        if (!(id->state[k->first + i] & FRESH)) continue;
        room[i] = id->leaf[k->first + i];
        id->state[k->first + i] &= (unsigned char)~FRESH;
        n++;
    }
    if (n) rt_leaves_save(&k->key, room);
}

static void save(rt_identity *id)
{
    char message[512];
    if (!id->fresh || !id->kept_in || id->writes_nothing) return;
    snprintf(message, sizeof message, "%s", rt_error_message());
    rt_leaf *room = malloc(id->spans * sizeof *room);
    rt_stamp *now = malloc((size_t)id->stamps * sizeof *now);
    /* A file that changed meanwhile has other stamps than its leaves. */
    if (room && now && !stamps_of(id, now) && stamps_equal(id, now, id->stamp)) {
        for (int i = 0; i < id->kept_in; i++)
            for (int reach = 0; reach < 2; reach++) {
                kept_spans k;
                if (spans_of(id, i, reach, &k)) continue;
                if (k.count) save_some(id, &k, room);
                free(k.line);
            }
        id->fresh = 0;
    }
    free(now);
    free(room);
    rt_fail(RT_OK, "%s", message);
}

void rt_identity_write_nothing(rt_identity *id)
{
    for (int i = 0; i < id->parts; i++) rt_identity_write_nothing(id->part[i]);
    id->writes_nothing = 1;
}

void rt_identity_keep(rt_identity *id)
{
    for (int i = 0; i < id->parts; i++) rt_identity_keep(id->part[i]);
    if (id->fresh >= KEEP_SPANS) save(id);
}

void rt_identity_close(rt_identity *id)
{
    if (!id) return;
    save(id);
    for (int i = 0; i < id->parts; i++) rt_identity_close(id->part[i]);
    free(id->leaf);
    free(id->kept);
    free(id->state);
    free(id->stamp);
    free(id);
}

const rt_h5_dataset *rt_identity_set(const rt_identity *id) { return rt_source_info(id->source); }
uint64_t rt_identity_span_rows(const rt_identity *id) { return id->span_rows; }
uint64_t rt_identity_spans(const rt_identity *id) { return id->spans; }
int rt_identity_known(const rt_identity *id, uint64_t span) { return id->state[span] & KNOWN; }
rt_leaf rt_identity_leaf(const rt_identity *id, uint64_t span) { return id->leaf[span]; }

static void span_range(const rt_identity *id, uint64_t span, uint64_t *first, uint64_t *end)
{
    uint64_t rows = rt_source_rows(id->source);
    *first = span * id->span_rows;
    *end = rows - *first < id->span_rows ? rows : *first + id->span_rows;
}

/* ---- hashing ---- */

static rt_leaf leaf_of(const rt_digest *d)
{
    rt_leaf l;
    for (int i = 0; i < RT_LEAF_BYTES; i++) {
        unsigned byte = 0;
        sscanf(d->hex + 2 * i, "%2x", &byte);
        l.byte[i] = (unsigned char)byte;
    }
    return l;
}

static rt_status hash_rows(const rt_identity *id, uint64_t at, uint64_t end, int stoppable, rt_leaf *leaf)
{
    size_t row_bytes = rt_source_row_bytes(id->source);
    size_t piece = row_bytes && row_bytes < PIECE_BYTES ? PIECE_BYTES / row_bytes : 1;
    char *raw = malloc(piece * row_bytes + 64);
    rt_hasher *h = rt_hasher_new();
    rt_status st = raw ? RT_OK : rt_fail(RT_RUN, "out of memory");
    while (row_bytes && at < end && !st) {
        size_t n = end - at < piece ? (size_t)(end - at) : piece;
        st = rt_source_read_stored(id->source, at, n, raw);
        if (!st) rt_hasher_add(h, raw, n * row_bytes);
        at += n;
        if (!st && at < end && stoppable && rt_stopped())      /* what is read to its end is kept */
            st = rt_fail(RT_INTERRUPTED, "interrupted while %s was hashed", path_of(id));
    }
    rt_digest d = rt_hasher_end(h);
    if (!st) *leaf = leaf_of(&d);
    free(raw);
    return st;
}

static rt_status hash_span(const rt_identity *id, uint64_t span, int stoppable, rt_leaf *leaf)
{
    uint64_t first, end;
    span_range(id, span, &first, &end);
    return hash_rows(id, first, end, stoppable, leaf);
}

rt_status rt_identity_prefix(const rt_identity *id, uint64_t span, uint64_t rows, rt_leaf *leaf)
{
    uint64_t first, end;
    span_range(id, span, &first, &end);
    if (rows < end - first) return hash_rows(id, first, first + rows, 1, leaf);
    *leaf = id->leaf[span];
    return RT_OK;
}

typedef struct {
    rt_identity *id;
    const uint64_t *span;
    pthread_mutex_t lock;
    rt_status status;
    uint64_t failed;                                  /* the lowest span that failed: no message depends on chance */
    char message[512];
} hash_job;

static void hash_tile(void *arg, int tile, int thread)
{
    (void)thread;
    hash_job *j = arg;
    uint64_t span = j->span[tile];
    rt_status st = hash_span(j->id, span, 1, &j->id->leaf[span]);
    if (!st) return;
    pthread_mutex_lock(&j->lock);
    if (!j->status || span < j->failed) {
        j->status = st;
        j->failed = span;
        snprintf(j->message, sizeof j->message, "%s", rt_error_message());
    }
    pthread_mutex_unlock(&j->lock);
}

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static rt_status changed(const rt_identity *id, uint64_t span, const char *how)
{
    uint64_t first, end;
    const uint64_t *begin;
    int files = rt_source_files_behind(id->source, &begin), k = 0;
    const char *set = rt_source_info(id->source)->name;
    span_range(id, span, &first, &end);
    if (files == 1 || id->parts)
        return rt_fail(RT_INPUT, "%s: data set '%s': rows %" PRIu64 " to %" PRIu64 " %s", path_of(id), set, first,
                       end - 1, how);
    while (begin[k + 1] <= first) k++;
    return rt_fail(RT_INPUT, "%s: data set '%s': rows %" PRIu64 " to %" PRIu64 ", from row %" PRIu64 " of %s on, %s",
                   path_of(id), set, first, end - 1, first - begin[k], rt_source_path(file_at(id, k)), how);
}

/* Hashes n spans; the caller makes them known. */
static rt_status hash_group(rt_identity *id, const uint64_t *span, int n, rt_pool *pool)
{
    hash_job j = {.id = id, .span = span};
    int64_t start = now_ns(), last = changed_ns(id);
    pthread_mutex_init(&j.lock, NULL);
    if (pool) rt_pool_run(pool, n, hash_tile, &j);
    else for (int i = 0; i < n; i++) hash_tile(&j, i, 0);
    pthread_mutex_destroy(&j.lock);
    if (j.status) return rt_fail(j.status, "%s", j.message);
    for (int i = 0; i < n; i++) {
        uint64_t s = span[i];
        if (!is_zero(&id->kept[s]) && memcmp(&id->kept[s], &id->leaf[s], sizeof(rt_leaf)))
            return changed(id, s, "are not what they were, though the file's size and times are; if that is right, "
                           "remove the file's .retort-id and try again");
        id->state[s] |= KNOWN;
        if (start - last < RACY_NS) continue;
        id->state[s] |= FRESH;
        id->fresh++;
    }
    return RT_OK;
}

rt_status rt_identity_know(rt_identity *id, uint64_t first, uint64_t end, rt_pool *pool, const rt_progress *progress)
{
    int threads = pool ? rt_pool_threads(pool) : 1, n = 0;
    if (first >= end) return RT_OK;
    RT_TRY(rt_source_check_stored(id->source, first, end));
    uint64_t *group = malloc((size_t)threads * GROUP * sizeof *group);
    uint64_t from = first / id->span_rows, to = (end - 1) / id->span_rows + 1;
    rt_status st = group ? RT_OK : rt_fail(RT_RUN, "out of memory");
    if (to > id->spans) to = id->spans;
    for (uint64_t s = from; s < to && !st; s++) {
        id->state[s] |= USED;
        if (!(id->state[s] & KNOWN)) group[n++] = s;
        if (n < threads * GROUP && s + 1 < to) continue;
        if (!n) continue;
        st = hash_group(id, group, n, pool);
        n = 0;
        if (to - from > 1)
            rt_progress_update(progress, "hash", (double)(s + 1 - from), (double)(to - from), 0, "spans", "");
    }
    free(group);
    return st;
}

/* The spans that were relied on are what they were. */
static rt_status same_spans(rt_identity *id)
{
    for (uint64_t s = 0; s < id->spans; s++) {
        rt_leaf leaf = {{0}};
        if (!(id->state[s] & KNOWN)) continue;
        if (!(id->state[s] & USED)) {                 /* nobody relied on it: forget it */
            id->state[s] = 0;
            continue;
        }
        RT_TRY(hash_span(id, s, 0, &leaf));
        if (memcmp(&leaf, &id->leaf[s], sizeof leaf))
            return changed(id, s, "were changed while they were read; start again when nothing writes to the file");
        id->state[s] &= (unsigned char)~FRESH;
    }
    return RT_OK;
}

rt_status rt_identity_unchanged(rt_identity *id)
{
    for (int i = 0; i < id->parts; i++) RT_TRY(rt_identity_unchanged(id->part[i]));
    rt_stamp *now = malloc((size_t)id->stamps * sizeof *now);
    rt_status st = now ? stamps_of(id, now) : rt_fail(RT_RUN, "out of memory");
    if (!st && !stamps_equal(id, now, id->stamp)) {
        st = same_spans(id);
        if (!st) {
            memcpy(id->stamp, now, (size_t)id->stamps * sizeof *now);
            id->fresh = 0;
        }
    }
    free(now);
    return st;
}

/* Of data sets side by side: their names and roots. */
static rt_status root_of_parts(rt_digest *root, rt_identity *id, rt_pool *pool, const rt_progress *progress)
{
    rt_digest part[RT_SOURCE_PARTS];
    RT_TRY(rt_identity_roots(part, id, pool, progress));
    rt_hasher *h = rt_hasher_new();
    for (int i = 0; i < id->parts; i++) {
        const char *name;
        rt_source_part(id->source, i, &name, NULL);
        rt_hasher_add(h, name, strlen(name) + 1);
        rt_hasher_add(h, part[i].hex, sizeof part[i].hex);
    }
    *root = rt_hasher_end(h);
    return RT_OK;
}

rt_status rt_identity_root(rt_digest *root, rt_identity *id, rt_pool *pool, const rt_progress *progress)
{
    char head[64 + 24 * RT_H5_RANK];
    const rt_h5_dataset *set = rt_source_info(id->source);
    if (id->parts) return root_of_parts(root, id, pool, progress);
    RT_TRY(rt_identity_know(id, 0, rt_source_rows(id->source), pool, progress));
    int n = snprintf(head, sizeof head, "retort-identity-1 %s", rt_dtype_name(set->type));
    for (int i = 0; i < set->rank; i++) n += snprintf(head + n, sizeof head - (size_t)n, " %" PRIu64, set->dim[i]);
    n += snprintf(head + n, sizeof head - (size_t)n, "\n");
    rt_hasher *h = rt_hasher_new();
    rt_hasher_add(h, head, (size_t)n);
    rt_hasher_add(h, id->leaf, id->spans * sizeof *id->leaf);
    *root = rt_hasher_end(h);
    return RT_OK;
}

rt_status rt_identity_roots(rt_digest root[RT_SOURCE_PARTS], rt_identity *id, rt_pool *pool,
                            const rt_progress *progress)
{
    if (!id->parts) return rt_identity_root(root, id, pool, progress);
    for (int i = 0; i < id->parts; i++) RT_TRY(rt_identity_root(&root[i], id->part[i], pool, progress));
    return RT_OK;
}

rt_status rt_identity_of(rt_digest *root, rt_source *source, rt_check check, rt_pool *pool, const rt_progress *progress)
{
    rt_identity *id;
    RT_TRY(rt_identity_open(&id, source, check));
    rt_status st = rt_identity_root(root, id, pool, progress);
    if (!st) st = rt_identity_unchanged(id);
    rt_identity_close(id);
    return st;
}
