/* data/labels_grow.c - a label store whose source has grown. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data/files.h"
#include "data/labels_parts.h"

/* The number behind NAME.grown- and before what may follow; 0: it is no such name. */
static uint64_t rows_of_name(const char *name, const char *entry, const char **rest)
{
    static const char mark[] = ".grown-";
    size_t n = strlen(name), m = sizeof mark - 1, digits;
    if (strncmp(entry, name, n) || strncmp(entry + n, mark, m)) return 0;
    entry += n + m;
    digits = strspn(entry, "0123456789");
    *rest = entry + digits;
    return digits && digits < 19 ? strtoull(entry, NULL, 10) : 0;
}

/* Calls f for each store that was begun, of less than so many rows. */
static rt_status each(const rt_labels_writer *w, uint64_t below, rt_status (*f)(void *, const char *), void *arg)
{
    DIR *d = rt_folder_entries(w->dir, ".");
    rt_status st = d ? RT_OK : rt_fail(RT_RUN, "%s: its folder: %s", w->path, strerror(errno));
    for (struct dirent *e; d && !st && !(st = rt_folder_next(d, w->path, &e)) && e;) {
        char path[RT_LABEL_PATH + 32];
        const char *rest;
        uint64_t rows = rows_of_name(w->name, e->d_name, &rest);
        if (!rows || *rest || rows >= below) continue;
        snprintf(path, sizeof path, "%s.grown-%" PRIu64, w->path, rows);
        st = f(arg, path);
    }
    if (d) closedir(d);
    return st;
}

rt_status rt_label_remove_grown(const rt_labels_writer *w, uint64_t rows)
{
    DIR *d = rt_folder_entries(w->dir, ".");
    rt_status st = d ? RT_OK : rt_fail(RT_RUN, "%s: its folder: %s", w->path, strerror(errno));
    for (struct dirent *e; d && !st && !(st = rt_folder_next(d, w->path, &e)) && e;) {
        const char *rest;
        char base[256];
        snprintf(base, sizeof base, "%s", e->d_name[0] == '.' ? e->d_name + 1 : "");
        char *temp = strstr(base, ".tmp-");
        if (temp) *temp = 0;
        uint64_t of = rows_of_name(w->name, base, &rest);
        if (temp && of && of <= rows) rt_temp_sweep(w->dir, base);       /* what a kill left of a journal */
        of = rows_of_name(w->name, e->d_name, &rest);
        if (!of || of > rows || (*rest && strncmp(rest, ".journal", 8))) continue;
        if (unlinkat(w->dir, e->d_name, 0) && errno != ENOENT)
            st = rt_fail(RT_RUN, "%s: %s cannot be removed: %s", w->path, e->d_name, strerror(errno));
    }
    if (d) closedir(d);
    return st;
}

rt_status rt_label_not_growing(const char *store)
{
    char name[256];
    int fd;
    RT_TRY(rt_open_folder_of(&fd, name, store));
    DIR *d = fdopendir(fd);
    rt_status st = d ? RT_OK : rt_fail(RT_RUN, "%s: its folder: %s", store, strerror(errno));
    if (!d) close(fd);
    for (struct dirent *e; d && !st && !(st = rt_folder_next(d, store, &e)) && e;) {
        const char *rest;
        if (rows_of_name(name, e->d_name, &rest) && !*rest)
            st = rt_fail(RT_USAGE,
                         "%s: rows that its source has grown by are being labelled (%s); finish that first, by "
                         "the same 'retort label' command",
                         store, e->d_name);
    }
    if (d) closedir(d);
    return st;
}

/* ---- what is there ---- */

typedef struct {
    rt_labels_writer *w;
    const cJSON *manifest;
} search;

/* A store of less rows is a place to copy from; what is none is passed over. */
static rt_status add_old(void *arg, const char *path)
{
    search *q = arg;
    rt_labels_writer *w = q->w;
    rt_h5_file *f;
    int grown = 0;
    if (w->olds == RT_LABEL_OLDS) return RT_OK;
    rt_status st = rt_h5_scan(&f, path);
    if (st) return st == RT_INPUT && strcmp(path, w->path) ? RT_OK : st;
    st = rt_label_file_same(&w->f, f, q->manifest, &grown);
    rt_h5_close(f);
    if (st || !grown) return st == RT_RUN ? st : RT_OK;
    st = rt_labels_open(&w->old[w->olds], path, 1);
    if (!st) w->olds++;
    return st == RT_INPUT && strcmp(path, w->path) ? RT_OK : st;
}

/* The file of the new store, made where it is not there. */
static rt_status open_new(rt_labels_writer *w, const char *text, const cJSON *manifest, int *fresh)
{
    rt_output *o;
    rt_h5_file *f;
    rt_target target = {.path = w->f.path};
    RT_TRY(rt_output_take(&o, &target, w->job.inputs));
    rt_status st = RT_OK;
    if ((*fresh = !rt_output_exists(o))) {
        st = rt_label_remove_journals(w->f.path);
        if (!st) st = rt_label_file_create(&w->f, o, text);
    }
    rt_output_end(o);
    if (!st) st = rt_h5_scan(&f, w->f.path);
    if (st) return st;
    if (!*fresh) st = rt_label_file_same(&w->f, f, manifest, NULL);
    rt_label_hand_free(&w->f.hand);
    if (!st) st = rt_label_file_open(&w->f, f);
    rt_h5_close(f);
    return st;
}

static void close_olds(rt_labels_writer *w)
{
    while (w->olds) rt_labels_close(w->old[--w->olds]);
}

static rt_status find_olds(rt_labels_writer *w, const cJSON *manifest)
{
    search q = {w, manifest};
    close_olds(w);
    RT_TRY(add_old(&q, w->path));
    return each(w, rt_identity_set(w->job.source)->dim[0], add_old, &q);
}

rt_status rt_label_check_olds(rt_labels_writer *w, const cJSON *manifest)
{
    RT_TRY(find_olds(w, manifest));
    rt_label_go_on(w);
    for (int i = 0; i < w->olds; i++)
        RT_TRY(rt_labels_check_prefix(w->old[i], w->job.source, w->job.pool, w->job.progress));
    return rt_label_lead(w);
}

rt_status rt_label_grow(rt_labels_writer *w, cJSON *manifest, int *fresh)
{
    const rt_h5_dataset *set = rt_identity_set(w->job.source);
    RT_TRY(find_olds(w, manifest));
    int n = snprintf(w->f.path, sizeof w->f.path, "%s.grown-%" PRIu64, w->path, set->dim[0]);
    if (n >= (int)sizeof w->f.path) return rt_fail(RT_USAGE, "%.60s...: the path is too long", w->path);
    /* What people said of old rows stays. */
    RT_TRY(rt_labels_hand_copy(w->old[0], &w->f.hand));
    if (w->f.hand.count) rt_label_hand_tell(&w->f.hand, manifest);
    char *text = rt_json_text(manifest, 1);
    rt_status st = text ? open_new(w, text, manifest, fresh) : rt_fail(RT_RUN, "out of memory");
    free(text);
    return st;
}

/* ---- blocks ---- */

/* Rows of the block that the old store has. */
static uint64_t rows_there(const rt_labels_writer *w, const rt_labels *old, uint64_t b)
{
    const rt_labels_spec *spec = rt_labels_info(old);
    if (!rt_labels_has_block(old, b) || w->done[b] & RT_LABEL_LOST) return 0;
    uint64_t has = rt_label_block_rows(spec, b), wants = rt_label_block_rows(&w->f.spec, b);
    return has < wants ? has : wants;
}

static rt_labels *best_old(const rt_labels_writer *w, uint64_t b, uint64_t *rows)
{
    rt_labels *best = NULL;
    *rows = 0;
    for (int i = 0; i < w->olds; i++) {
        uint64_t has = rows_there(w, w->old[i], b);
        if (has > *rows) best = w->old[i], *rows = has;
    }
    return best;
}

int rt_label_is_old(const rt_labels_writer *w, uint64_t b)
{
    uint64_t rows;
    return w->olds && best_old(w, b, &rows) && rows == rt_label_block_rows(&w->f.spec, b);
}

uint64_t rt_label_old_rows(const rt_labels_writer *w, uint64_t b)
{
    uint64_t rows = 0;
    if (w->olds) best_old(w, b, &rows);
    return rows;
}

/* Old rows of a block, or, where they are damaged, none: *lost, and they are labelled again. */
static rt_status read_old(rt_labels_writer *w, uint64_t b, char *out, uint64_t *rows, int *lost)
{
    rt_labels *old = best_old(w, b, rows);
    *lost = 0;
    if (!old) return RT_OK;
    rt_status st = rt_labels_coded(old, b * RT_LABEL_BLOCK, *rows, out);
    if (st != RT_INPUT) return st;
    *lost = 1;
    w->done[b] |= RT_LABEL_LOST;
    if (w->job.notes) cJSON_AddItemToArray(w->job.notes, cJSON_CreateString(rt_error_message()));
    return RT_OK;
}

rt_status rt_label_copy(rt_labels_writer *w, uint64_t b, int *lost)
{
    uint64_t rows;
    return read_old(w, b, w->f.buffer, &rows, lost);
}

rt_status rt_label_check_old(rt_labels_writer *w, uint64_t b)
{
    uint64_t rows;
    int lost;
    return read_old(w, b, w->f.buffer, &rows, &lost);
}

/* Largest errors of two parts of a block. */
static void join_errors(char *out, const char *a, const char *b, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += sizeof(float)) {
        float x, y;
        memcpy(&x, a + i, sizeof x);
        memcpy(&y, b + i, sizeof y);
        memcpy(out + i, x > y ? &x : &y, sizeof x);
    }
}

rt_status rt_label_splice(rt_labels_writer *w, uint64_t b)
{
    uint64_t kept = 0, rows = rt_label_block_rows(&w->f.spec, b);
    size_t bytes = rt_label_block_bytes(&w->f.spec, rows);
    char *both = malloc(2 * bytes), *of_old = both + bytes, *of_new = w->f.buffer, *out = both;
    int lost = 0;
    rt_status st = both ? read_old(w, b, of_old, &kept, &lost) : rt_fail(RT_RUN, "out of memory");
    if (!st && lost) st = rt_fail(RT_INPUT, "%s", rt_error_message());
    for (int i = 0; i < w->f.cols && !st; i++) {
        const rt_label_column *c = &w->f.col[i];
        size_t a = rt_label_piece_bytes(c, kept), n = rt_label_piece_bytes(c, rows - kept);
        for (int p = 0; p < rt_label_column_planes(c); p++) {
            if (c->by_block) join_errors(out, of_old, of_new, a);
            else memcpy(out, of_old, a);
            if (!c->by_block) memcpy(out + a, of_new, n);
            of_old += a;
            of_new += n;
            out += rt_label_piece_bytes(c, rows);
        }
    }
    if (!st) memcpy(w->f.buffer, both, bytes);
    free(both);
    return st;
}

/* ---- the end ---- */

rt_status rt_label_grown(rt_labels_writer *w)
{
    char name[256 + 32];
    struct stat mine, there;
    if (!strcmp(w->path, w->f.path)) return RT_OK;
    if (!fstat(w->f.fd, &mine) && !fstatat(w->dir, w->name, &there, AT_SYMLINK_NOFOLLOW) &&
        mine.st_ino == there.st_ino && mine.st_dev == there.st_dev) return RT_OK;
    int n = snprintf(name, sizeof name, "%s%s", w->name, w->f.path + strlen(w->path));
    if (n >= (int)sizeof name || renameat(w->dir, name, w->dir, w->name))
        return rt_fail(RT_RUN, "%s: cannot take the place of %s: %s", w->f.path, w->path, strerror(errno));
    return rt_sync_folder(w->dir, w->path);
}
