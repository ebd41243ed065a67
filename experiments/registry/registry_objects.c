#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data/files.h"
#include "engine/progress.h"
#include "engine/sha256.h"
#include "experiments/registry/registry_parts.h"

enum { BLOCK = 1 << 18 };
static const char digits[] = "0123456789abcdef";

/* ---- hashes ---- */

void rt_sha256_of(char sha256[RT_SHA256], const void *data, size_t n)
{
    rt_sha256 s = {0};
    rt_sha256_add(&s, data, n);
    rt_sha256_end(&s, sha256);
}

/* What is read from `from` is hashed, and written to `to` where it is >= 0. */
static rt_status pass(int from, int to, const char *path, const char *to_path, char sha256[RT_SHA256], int64_t *bytes)
{
    rt_sha256 s = {0};
    size_t got = BLOCK;
    char *block = malloc(BLOCK);
    rt_status st = block ? rt_check_holes(from, path) : rt_fail(RT_RUN, "out of memory");
    *bytes = 0;
    while (!st && got == BLOCK) {
        st = rt_read_some(from, block, BLOCK, path, &got);
        if (!st) st = rt_check_stop();
        if (!st) rt_sha256_add(&s, block, got);
        if (!st && to >= 0) st = rt_pwrite_all(to, block, got, (uint64_t)*bytes, to_path);
        if (!st) *bytes += (int64_t)got;
    }
    rt_sha256_end(&s, sha256);
    free(block);
    return st;
}

rt_status rt_sha256_of_file(char sha256[RT_SHA256], int64_t *bytes, const char *path)
{
    int fd;
    RT_TRY(rt_open_input(&fd, path));
    rt_status st = pass(fd, -1, path, "", sha256, bytes);
    close(fd);
    return st;
}

/* ---- places ---- */

void rt_registry_object(const rt_registry *r, char path[RT_FOLDER_PATH], const char *sha256)
{
    snprintf(path, RT_FOLDER_PATH, "%s/objects/%.2s/%.62s", r->folder, sha256, strlen(sha256) > 2 ? sha256 + 2 : "");
}

int rt_registry_openat(int dir, const char *name, int flags)
{
    int fd;
    do fd = openat(dir, name, flags | O_CLOEXEC, 0600);
    while (fd < 0 && errno == EINTR);
    return fd;
}

/* objects/ab, made where it is not there. */
static rt_status open_shelf(rt_registry *r, const char *sha256, int *dir)
{
    char shelf[3] = {sha256[0], sha256[1], 0};
    *dir = rt_registry_openat(r->objects, shelf, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (*dir >= 0) return RT_OK;
    if (errno != ENOENT) return rt_fail(RT_RUN, "%s/objects/%s: %s", r->folder, shelf, strerror(errno));
    if (mkdirat(r->objects, shelf, 0777) && errno != EEXIST)
        return rt_fail(RT_RUN, "%s/objects/%s: cannot make the folder: %s", r->folder, shelf, strerror(errno));
    RT_TRY(rt_sync_folder(r->objects, r->folder));
    *dir = rt_registry_openat(r->objects, shelf, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    return *dir >= 0 ? RT_OK : rt_fail(RT_RUN, "%s/objects/%s: %s", r->folder, shelf, strerror(errno));
}

/* Whether the object is there, whole and on disk. */
static rt_status is_there(int shelf, const char *sha256, const char *path, int *there)
{
    char now[RT_SHA256];
    int64_t bytes;
    *there = 0;
    int fd = rt_registry_openat(shelf, sha256 + 2, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) return errno == ENOENT ? RT_OK : rt_fail(RT_RUN, "%s: %s", path, strerror(errno));
    rt_status st = pass(fd, -1, path, "", now, &bytes);
    *there = !st && !strcmp(now, sha256);
    if (*there) st = rt_sync_file(fd, path);          /* who made it may not have come that far */
    if (*there && !st) st = rt_sync_folder(shelf, path);
    close(fd);
    return st;
}

/* Objects are read only, as nothing that has their name may ever hold other bytes. */
static rt_status finish(rt_temp *t)
{
    struct stat s;
    if (!fstat(t->fd, &s) && fchmod(t->fd, s.st_mode & 0444))
        return rt_fail(RT_RUN, "%s: %s", t->path, strerror(errno));
    return rt_temp_commit(t, 1);
}

rt_status rt_object_put_file(rt_registry *r, const char *path, char sha256[RT_SHA256], int64_t *bytes)
{
    char to[RT_FOLDER_PATH], copied[RT_SHA256];
    int shelf, there, fd;
    rt_temp t;
    RT_TRY(rt_sha256_of_file(sha256, bytes, path));
    rt_registry_object(r, to, sha256);
    RT_TRY(open_shelf(r, sha256, &shelf));
    rt_status st = is_there(shelf, sha256, to, &there);
    if (!st && !there) {
        st = rt_open_input(&fd, path);
        if (!st) st = rt_temp_open(&t, shelf, sha256 + 2, to);
        if (!st) {
            st = pass(fd, t.fd, path, to, copied, bytes);
            if (!st && strcmp(copied, sha256))
                st = rt_fail(RT_INPUT, "%s: was changed while it was read; start again when nothing writes to it",
                             path);
            if (!st) st = finish(&t);
            rt_temp_drop(&t);
        }
        if (fd >= 0) close(fd);
    }
    close(shelf);
    return st;
}

rt_status rt_object_put(rt_registry *r, const void *data, size_t n, char sha256[RT_SHA256])
{
    char to[RT_FOLDER_PATH];
    int shelf, there;
    rt_temp t;
    rt_sha256_of(sha256, data, n);
    rt_registry_object(r, to, sha256);
    RT_TRY(open_shelf(r, sha256, &shelf));
    rt_status st = is_there(shelf, sha256, to, &there);
    if (!st && !there) {
        st = rt_temp_open(&t, shelf, sha256 + 2, to);
        if (!st) {
            st = rt_pwrite_all(t.fd, data, n, 0, to);
            if (!st) st = finish(&t);
            rt_temp_drop(&t);
        }
    }
    close(shelf);
    return st;
}

rt_status rt_object_refer(rt_registry *r, const char *sha256, int64_t bytes, const char *kind, int *gone)
{
    char path[RT_FOLDER_PATH];
    struct stat s;
    rt_registry_object(r, path, sha256);
    *gone = fstatat(r->dir, path + strlen(r->folder) + 1, &s, AT_SYMLINK_NOFOLLOW) != 0;
    if (*gone) return errno == ENOENT ? RT_OK : rt_fail(RT_RUN, "%s: %s", path, strerror(errno));
    return rt_sql_run(r, "INSERT OR IGNORE INTO object (sha256, bytes, kind) VALUES (?, ?, ?)", "sis", sha256, bytes,
                      kind);
}

rt_status rt_object_read(rt_registry *r, char **out, size_t *n, const char *sha256)
{
    char path[RT_FOLDER_PATH], now[RT_SHA256];
    *out = NULL;
    RT_TRY(rt_registry_check_object(r, sha256, 0));
    rt_registry_object(r, path, sha256);
    RT_TRY(rt_read_file(out, n, path, RT_REGISTRY_OBJECT_MAX));
    rt_sha256_of(now, *out, *n);
    if (!strcmp(now, sha256)) return RT_OK;
    free(*out);
    *out = NULL;
    return rt_fail(RT_INPUT, "%s: is damaged: its SHA-256 is %.16s...; put a good copy in its place", path, now);
}

rt_status rt_object_json(rt_registry *r, cJSON **out, const char *sha256)
{
    char path[RT_FOLDER_PATH], *text;
    size_t n;
    *out = NULL;
    RT_TRY(rt_object_read(r, &text, &n, sha256));
    rt_registry_object(r, path, sha256);
    rt_status st = rt_json_parse(out, text, n, path);
    free(text);
    return st;
}

rt_status rt_registry_check_object(rt_registry *r, const char *sha256, int full)
{
    char path[RT_FOLDER_PATH], now[RT_SHA256];
    int64_t want, bytes;
    struct stat s;
    if (strlen(sha256) != 64 || strspn(sha256, digits) != 64)
        return rt_fail(RT_INPUT, "%s/registry.db: is damaged: '%.70s' is no SHA-256", r->folder, sha256);
    rt_registry_object(r, path, sha256);
    RT_TRY(rt_sql_number(r, &want, -1, "SELECT bytes FROM object WHERE sha256 = ?", "s", sha256));
    if (fstatat(r->dir, path + strlen(r->folder) + 1, &s, AT_SYMLINK_NOFOLLOW)) {
        if (errno != ENOENT) return rt_fail(rt_errno_status(errno), "%s: %s", path, strerror(errno));
        return rt_fail(RT_INPUT, "%s: this object of the registry is missing; put a copy in its place, or add the same "
                       "file again", path);
    }
    if (!S_ISREG(s.st_mode)) return rt_fail(RT_INPUT, "%s: this object of the registry is no regular file", path);
    if (want >= 0 && s.st_size != want)
        return rt_fail(RT_INPUT, "%s: this object of the registry is damaged: it has %lld bytes instead of %lld; put a "
                       "good copy in its place, or add the same file again", path, (long long)s.st_size,
                       (long long)want);
    if (!full) return RT_OK;
    RT_TRY(rt_sha256_of_file(now, &bytes, path));
    if (!strcmp(now, sha256)) return RT_OK;
    return rt_fail(RT_INPUT, "%s: this object of the registry is damaged: the SHA-256 of its bytes is %.16s...; put a "
                   "good copy in its place, or add the same file again", path, now);
}
