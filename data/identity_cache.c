#include "data/identity_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data/files.h"

enum { MAX_BYTES = 64 << 20, LEAF_LINE = 56, PATH_ROOM = 4200, PLACES = 2 };

char *rt_leaf_line(const rt_h5_dataset *d, uint64_t span_rows)
{
    size_t room = 3 * strlen(d->name) + 24 * (RT_H5_RANK + 1) + 32, n = 0;
    char *line = malloc(room);
    if (!line) return NULL;
    n += (size_t)snprintf(line + n, room - n, "set ");
    for (const unsigned char *p = (const unsigned char *)d->name; *p; p++)
        n += (size_t)snprintf(line + n, room - n, *p > ' ' && *p < 0x7f && *p != '%' ? "%c" : "%%%02X", *p);
    n += (size_t)snprintf(line + n, room - n, " %s", rt_dtype_name(d->type));
    for (int i = 0; i < d->rank; i++) n += (size_t)snprintf(line + n, room - n, "%c%" PRIu64, i ? 'x' : ' ', d->dim[i]);
    snprintf(line + n, room - n, " %" PRIu64, span_rows);
    return line;
}

/* Where leaves may lie: 0 beside the data, 1 in the user's cache folder. 0 when there is no such place. */
static int place(int which, const char *path, char out[PATH_ROOM])
{
    if (which == 0) return snprintf(out, PATH_ROOM, "%s.retort-id", path) < PATH_ROOM;
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    int in_home = !cache || cache[0] != '/';
    if (in_home && (!home || home[0] != '/')) return 0;
    char *whole = realpath(path, NULL);
    if (!whole) return 0;
    rt_digest d = rt_digest_of(whole, strlen(whole));
    free(whole);
    return snprintf(out, PATH_ROOM, "%s%s/retort/%s.retort-id", in_home ? home : cache, in_home ? "/.cache" : "",
                    d.hex) < PATH_ROOM;
}

/* ---- reading ---- */

/* The whole text with a zero behind, or NULL. Never waits: what is no regular file is not opened for long. */
static char *read_text(const char *path, size_t *bytes)
{
    char *text;
    if (rt_read_file(&text, bytes, path, MAX_BYTES)) return NULL;
    if (*bytes && !memchr(text, 0, *bytes)) return text;
    free(text);
    return NULL;
}

static void stamp_line(char line[160], const rt_stamp *s)
{
    snprintf(line, 160, "retort-id 1\nfile %" PRIu64 " %" PRId64 " %" PRId64 " %" PRIu64 " %" PRIu64 "\n", s->size,
             s->mtime, s->ctime, s->inode, s->device);
}

/* The sets of a text whose checksum holds and that is about the file as it is now, ended by a zero; else NULL. */
static char *valid_sets(char *text, size_t bytes, const rt_stamp *stamp)
{
    enum { END = 16 };                                /* "crc32c 01234567\n" */
    char head[160], end[END + 1];
    stamp_line(head, stamp);
    if (bytes < strlen(head) + END || strncmp(text, head, strlen(head)) || text[bytes - END - 1] != '\n') return NULL;
    snprintf(end, sizeof end, "crc32c %08x\n", rt_crc32c(0, text, bytes - END));
    if (strcmp(text + bytes - END, end)) return NULL;
    text[bytes - END] = 0;
    return text + strlen(head);
}

static int digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "SPAN HEX": 1 when it is one. */
static int parse_leaf(const char *line, uint64_t *span, rt_leaf *leaf)
{
    char *stop;
    if (*line < '0' || *line > '9') return 0;
    errno = 0;
    *span = strtoull(line, &stop, 10);
    if (errno || *stop++ != ' ') return 0;
    for (int i = 0; i < RT_LEAF_BYTES; i++) {
        int high = digit(stop[2 * i]), low = high < 0 ? -1 : digit(stop[2 * i + 1]);
        if (low < 0) return 0;
        leaf->byte[i] = (unsigned char)(high << 4 | low);
    }
    return stop[2 * RT_LEAF_BYTES] == '\n';
}

static int is_zero(const rt_leaf *l)
{
    static const rt_leaf zero;
    return !memcmp(l, &zero, sizeof zero);
}

/* Takes the leaves of the key's set; others' lines are moved to the front of the text, where they end with a zero. */
static void take_leaves(const rt_leaf_key *k, char *sets, rt_leaf *leaf)
{
    char *to = sets;
    int ours = 0;
    size_t key = strlen(k->key);
    for (char *line = sets, *next; *line; line = next) {
        next = strchr(line, '\n');
        next = next ? next + 1 : line + strlen(line);
        if (!strncmp(line, "set ", 4)) ours = (size_t)(next - line) == key + 1 && !strncmp(line, k->key, key);
        if (!ours) {
            memmove(to, line, (size_t)(next - line));
            to += next - line;
            continue;
        }
        uint64_t span;
        rt_leaf l;
        if (parse_leaf(line, &span, &l) && span < k->spans && is_zero(&leaf[span])) leaf[span] = l;
    }
    *to = 0;
}

void rt_leaves_load(const rt_leaf_key *k, rt_leaf *leaf)
{
    char path[PATH_ROOM];
    for (int i = 0; i < PLACES; i++) {
        size_t bytes;
        char *text = place(i, k->path, path) ? read_text(path, &bytes) : NULL;
        char *sets = text ? valid_sets(text, bytes, &k->stamp) : NULL;
        if (sets) take_leaves(k, sets, leaf);
        free(text);
    }
}

/* ---- writing ---- */

/* What may be replaced: leaves, damaged ones too as far as they can be told, and what a full disk made of them. */
static int is_kept(const char *text, const struct stat *s)
{
    return !s->st_size || (text && (!strncmp(text, "retort-id ", 10) || strstr(text, "\ncrc32c ")));
}

/* Without a lock, as what is lost only costs time, and without a second name for a moment, which a kill would leave. */
static rt_status replace(const char *path, const char *text, size_t n)
{
    char name[256];
    int dir;
    rt_temp t = {.fd = -1};
    RT_TRY(rt_open_folder_of(&dir, name, path));
    rt_temp_sweep(dir, name);
    rt_status st = rt_temp_open(&t, dir, name, path);
    if (!st) st = rt_pwrite_all(t.fd, text, n, 0, path);
    if (!st && unlinkat(dir, name, 0) && errno != ENOENT) st = rt_fail(RT_RUN, "%s: %s", path, strerror(errno));
    if (!st) st = rt_temp_commit(&t, 0);
    rt_temp_drop(&t);
    close(dir);
    return st;
}

static rt_status write_at(const char *path, const rt_leaf_key *k, const rt_leaf *leaf, int which)
{
    char head[160], *others = NULL, *old = NULL;
    size_t bytes = 0, count = 0;
    struct stat s;
    int there = !lstat(path, &s);
    if (!there && errno != ENOENT) return rt_fail(RT_RUN, "%s: %s", path, strerror(errno));
    if (there && !S_ISREG(s.st_mode)) return rt_fail(RT_RUN, "%s: is no regular file", path);
    if (there) old = read_text(path, &bytes);
    if (there && !is_kept(old, &s)) {
        free(old);
        return rt_fail(RT_RUN, "%s: is somebody else's file", path);
    }
    rt_leaf *all = malloc((size_t)k->spans * sizeof *all + 1);
    if (all) memcpy(all, leaf, (size_t)k->spans * sizeof *all);
    if (all && old && (others = valid_sets(old, bytes, &k->stamp))) take_leaves(k, others, all);
    for (uint64_t i = 0; all && i < k->spans; i++) count += !is_zero(&all[i]);
    stamp_line(head, &k->stamp);
    size_t room = strlen(head) + (others ? strlen(others) : 0) + strlen(k->key) + count * LEAF_LINE + 64, n;
    char *text = all && room < MAX_BYTES ? malloc(room) : NULL;
    rt_status st = RT_OK;
    if (text) {
        n = (size_t)snprintf(text, room, "%s%s%s\n", head, others ? others : "", k->key);
        for (uint64_t i = 0; i < k->spans; i++) {
            if (is_zero(&all[i])) continue;
            n += (size_t)snprintf(text + n, room - n, "%" PRIu64 " ", i);
            for (int j = 0; j < RT_LEAF_BYTES; j++) n += (size_t)snprintf(text + n, room - n, "%02x", all[i].byte[j]);
            text[n++] = '\n';
        }
        n += (size_t)snprintf(text + n, room - n, "crc32c %08x\n", rt_crc32c(0, text, n));
        char folder[PATH_ROOM];
        if (which == 1) {
            snprintf(folder, sizeof folder, "%s", path);
            *strrchr(folder, '/') = 0;
            st = rt_make_folder(folder);
        }
        if (!st) st = replace(path, text, n);
    }
    free(text);
    free(all);
    free(old);
    return st;
}

void rt_leaves_save(const rt_leaf_key *k, const rt_leaf *leaf)
{
    char path[PATH_ROOM];
    for (int i = 0; i < PLACES; i++)
        if (place(i, k->path, path) && !write_at(path, k, leaf, i)) return;
}
