/* data/labels_share.c - processes that write one label store.
 *
 * Three kinds of locks, files beside the store: that of the store, which who labels alone holds for the whole run, and
 * a shard for the moments in which it opens the store, takes blocks, or completes it; that of each shard, which it
 * holds for the whole run; that of who reads the finished store back. All but the first are taken and looked at under
 * the first. What a shard has taken stands in its journal, and counts as long as its lock is held. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "data/files.h"
#include "data/labels_parts.h"

/* Seconds for which the lock of the store is waited for; shares of the blocks left that are taken at a time. */
enum { PATIENCE = 20, SHARES = 4 };

static int is_shard(const rt_labels_writer *w) { return w->who[0] && !w->job.take; }

/* .NAME.shard-I-N.retort-lock */
static rt_status lock_name(const rt_labels_writer *w, const char *what, char out[RT_LOCK_NAME])
{
    int n = snprintf(out, RT_LOCK_NAME, ".%s.%s.retort-lock", w->name, what);
    return n < 0 || n >= RT_LOCK_NAME ? rt_fail(RT_USAGE, "%.60s...: the file's name is too long", w->path) : RT_OK;
}

static rt_status shard_lock(const rt_labels_writer *w, const char *who, char out[RT_LOCK_NAME])
{
    char what[RT_LABEL_WHO + 8];
    snprintf(what, sizeof what, "shard-%s", who);
    return lock_name(w, what, out);
}

/* The name between ".NAME.shard-" and ".retort-lock". */
static int is_shard_lock(const rt_labels_writer *w, const char *entry, char who[RT_LABEL_WHO])
{
    char begin[RT_LOCK_NAME];
    static const char end[] = ".retort-lock";
    size_t n = strlen(entry), m = sizeof end - 1;
    size_t b = (size_t)snprintf(begin, sizeof begin, ".%s.shard-", w->name);
    if (b >= sizeof begin || n <= b + m || strncmp(entry, begin, b) || strcmp(entry + n - m, end)) return 0;
    if (n - b - m >= RT_LABEL_WHO || strspn(entry + b, "0123456789-") != n - b - m) return 0;
    memcpy(who, entry + b, n - b - m);
    who[n - b - m] = 0;
    return 1;
}

/* Locks of shards: RT_RUN at the first that is held; with `remove`, those that are not go. */
static rt_status look_at_shards(const rt_labels_writer *w, int remove)
{
    DIR *d = rt_folder_entries(w->dir, ".");
    rt_status st = d ? RT_OK : rt_fail(RT_RUN, "%s: its folder: %s", w->path, strerror(errno));
    for (struct dirent *e; d && !st && !(st = rt_folder_next(d, w->path, &e)) && e;) {
        char who[RT_LABEL_WHO], text[RT_LABEL_PATH + 2 * RT_LABEL_WHO];
        if (!is_shard_lock(w, e->d_name, who) || !strcmp(who, w->who)) continue;
        snprintf(text, sizeof text, "%s, its shard %s", w->path, who);
        char *dash = strrchr(text, '-');
        if (dash) *dash = '/';                         /* as it was given */
        st = rt_lock_free(w->dir, e->d_name, text);
        if (remove && !st) unlinkat(w->dir, e->d_name, 0);
        if (remove) st = RT_OK;
    }
    if (d) closedir(d);
    return st;
}

/* ---- coming and going ---- */

static rt_status take_own(rt_labels_writer *w)
{
    char name[RT_LOCK_NAME], text[RT_LABEL_PATH + RT_LABEL_WHO], message[1024];
    RT_TRY(shard_lock(w, w->who, name));
    snprintf(text, sizeof text, "%s, its shard %d/%d", w->path, w->job.shard, w->job.shards);
    if (w->job.take_over) return rt_lock_take_over(&w->own, w->dir, name, text);
    rt_status st = rt_lock_take(&w->own, w->dir, name, text);
    if (st != RT_RUN) return st;
    snprintf(message, sizeof message, "%s", rt_error_message());
    return rt_fail(st, "%s; --takeover puts this process in its place if it does not go on", message);
}

rt_status rt_label_enter(rt_labels_writer *w, const rt_target *target)
{
    int follows = w->job.take && w->job.shard;         /* number 0 has the store's lock */
    if (is_shard(w) && target->force)
        return rt_fail(RT_USAGE, "%s: --force would let each shard begin anew; remove the file first", w->path);
    if (!follows)
        RT_TRY(rt_output_take_within(&w->output, target, w->job.inputs, is_shard(w) ? PATIENCE : 0));
    RT_TRY(rt_open_folder_of(&w->dir, w->name, w->path));
    if (w->who[0]) RT_TRY(take_own(w));
    return is_shard(w) || follows ? RT_OK : look_at_shards(w, 0);
}

rt_status rt_label_alone(const char *path)
{
    rt_labels_writer *w = calloc(1, sizeof *w);
    if (!w) return rt_fail(RT_RUN, "out of memory");
    w->dir = -1;
    rt_status st = rt_label_real_path(w->path, sizeof w->path, path);
    if (!st) st = rt_open_folder_of(&w->dir, w->name, w->path);
    if (!st) st = look_at_shards(w, 0);
    if (w->dir >= 0) close(w->dir);
    free(w);
    return st;
}

void rt_label_go_on(rt_labels_writer *w)
{
    if (is_shard(w)) rt_output_yield(w->output);
}

rt_status rt_label_lead(rt_labels_writer *w) { return w->output ? rt_output_retake(w->output, PATIENCE) : RT_OK; }

rt_status rt_label_still_mine(const rt_labels_writer *w)
{
    if (!w->who[0] || rt_lock_mine(&w->own)) return RT_OK;
    return rt_fail(RT_RUN, "%s: another process was put in the place of this shard %d/%d; what this one labelled since "
                   "its last commit does not count", w->path, w->job.shard, w->job.shards);
}

/* Only under the store's lock, so that nobody is just coming in. */
void rt_label_leave(rt_labels_writer *w)
{
    char last[RT_LOCK_NAME];
    rt_lock_release(&w->last);
    rt_lock_release(&w->own);
    if (w->complete && w->output && w->dir >= 0) {
        (void)look_at_shards(w, 1);
        if (!lock_name(w, "last", last) && !rt_lock_free(w->dir, last, w->path)) unlinkat(w->dir, last, 0);
    }
    if (w->dir >= 0) close(w->dir);
    rt_output_end(w->output);
}

/* ---- blocks ---- */

typedef struct {
    const rt_labels_writer *w;
    rt_label_named all, living;
} look;

static rt_status look_at(void *arg, const char *journal, const char *who)
{
    look *l = arg;
    char name[RT_LOCK_NAME];
    if (!strcmp(who, l->w->who)) return RT_OK;
    int lives = 0;
    if (*who) {
        RT_TRY(shard_lock(l->w, who, name));
        lives = rt_lock_free(l->w->dir, name, journal) != RT_OK;
    }
    return rt_label_read_journal(journal, lives ? &l->living : &l->all);
}

/* What the others have done since, and with taken, what those that live are doing. */
static rt_status look_around(rt_labels_writer *w, unsigned char *taken)
{
    uint64_t blocks = w->f.blocks;
    uint32_t *stored = malloc(blocks * sizeof *stored);
    unsigned char *named = calloc(blocks, 1);
    rt_status st = stored && named ? RT_OK : rt_fail(RT_RUN, "out of memory");
    look l = {.w = w, .all = {.blocks = blocks, .stored = stored, .crc = stored, .named = named}};
    if (!st)
        st = rt_pread_all(w->f.fd, stored, blocks * sizeof *stored, w->f.fixed[RT_LABEL_CRC], w->f.path);
    l.living = l.all;
    l.living.taken = taken;
    if (!st) st = rt_label_each_journal(w->f.path, look_at, &l);
    for (uint64_t b = 0; b < blocks && !st; b++) {
        if (!named[b] || w->done[b] & RT_LABEL_NAMED) continue;
        w->done[b] |= RT_LABEL_NAMED;
        w->f.crc[b] = stored[b];
    }
    free(stored);
    free(named);
    return st;
}

static void choose(rt_labels_writer *w, const unsigned char *taken)
{
    const unsigned char mine = RT_LABEL_NAMED | RT_LABEL_COUNTED;      /* on disk, or on the way there */
    uint64_t blocks = w->f.blocks, left = 0, from = blocks;
    for (uint64_t i = 0; i < blocks; i++) {
        uint64_t b = (w->cursor + i) % blocks;
        if (w->done[b] & mine || taken[b]) continue;
        if (from == blocks) from = b;
        left++;
    }
    uint64_t most = left / (SHARES * (uint64_t)w->job.shards) + 1, to = from;
    while (to < blocks && to - from < most && !(w->done[to] & mine || taken[to])) to++;
    w->run = from;
    w->cursor = w->run_end = to;
}

/* The file says it: all is done, whoever did it. */
static rt_status is_complete(rt_labels_writer *w)
{
    unsigned char complete;
    RT_TRY(rt_pread_all(w->f.fd, &complete, 1, w->f.fixed[RT_LABEL_COMPLETE], w->f.path));
    if (!complete) return RT_OK;
    w->complete = w->verified = 1;
    return rt_label_file_get_counts(&w->f);
}

rt_status rt_label_claim(rt_labels_writer *w)
{
    unsigned char *taken = calloc(w->f.blocks, 1);
    rt_status st = taken ? rt_output_retake(w->output, PATIENCE) : rt_fail(RT_RUN, "out of memory");
    w->run = w->run_end = 0;
    if (!st) st = rt_label_still_mine(w);
    if (!st) st = is_complete(w);
    if (!st && !w->complete) st = look_around(w, taken);
    if (!st && !w->complete) choose(w, taken);
    if (!st && w->run < w->run_end) st = rt_label_journal_take(&w->journal, w->run, w->run_end);
    rt_output_yield(w->output);
    free(taken);
    return st;
}

rt_status rt_label_is_last(rt_labels_writer *w, int *is_last)
{
    char name[RT_LOCK_NAME];
    *is_last = 0;
    RT_TRY(lock_name(w, "last", name));
    RT_TRY(rt_output_retake(w->output, PATIENCE));
    rt_status st = is_complete(w);
    if (!st && !w->complete) st = look_around(w, NULL);
    int all = !st && !w->complete;
    for (uint64_t b = 0; b < w->f.blocks && all; b++) all = w->done[b] & RT_LABEL_NAMED;
    if (all && !rt_lock_free(w->dir, name, w->path)) {
        st = rt_lock_take(&w->last, w->dir, name, w->path);
        *is_last = !st;
    }
    rt_output_yield(w->output);
    return st;
}
