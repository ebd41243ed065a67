#include "data/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/progress.h"

enum { BLOCK = 1 << 20, HOLES_MOST = 1 << 30, RANDOM_DIGITS = 16, NAME_TRIES = 100 };
static const char temp_mark[] = ".tmp-";

/* ---- reading ---- */

rt_status rt_errno_status(int error)
{
    int machine = error == EMFILE || error == ENFILE || error == ENOMEM || error == EIO || error == ENOSPC ||
                  error == EDQUOT || error == ENOBUFS || error == EAGAIN || error == EROFS || error == ESTALE ||
                  error == ETIMEDOUT || error == EINTR;
    return machine ? RT_RUN : RT_INPUT;
}

rt_status rt_open_input(int *fd, const char *path)
{
    struct stat s;
    do *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    while (*fd < 0 && errno == EINTR);
    if (*fd < 0) return rt_fail(rt_errno_status(errno), "%s: %s", path, strerror(errno));
    rt_status st = RT_OK;
    if (fstat(*fd, &s)) st = rt_fail(RT_RUN, "%s: %s", path, strerror(errno));
    else if (S_ISDIR(s.st_mode)) st = rt_fail(RT_INPUT, "%s: is a folder", path);
    else if (!S_ISREG(s.st_mode)) st = rt_fail(RT_INPUT, "%s: is no regular file: it is a device or a pipe", path);
    if (!st) return RT_OK;
    close(*fd);
    *fd = -1;
    return st;
}

/* at < 0: where the descriptor stands. */
static rt_status read_until(int fd, void *data, size_t n, int64_t at, const char *path, size_t *got)
{
    char *p = data;
    *got = 0;
    while (*got < n) {
        ssize_t k = at < 0 ? read(fd, p + *got, n - *got) : pread(fd, p + *got, n - *got, at + (off_t)*got);
        if (k < 0 && errno == EINTR) continue;
        if (k < 0) return rt_fail(RT_RUN, "%s: reading failed: %s", path, strerror(errno));
        if (k == 0) break;
        *got += (size_t)k;
    }
    return RT_OK;
}

rt_status rt_read_some(int fd, void *data, size_t n, const char *path, size_t *got)
{
    return read_until(fd, data, n, -1, path, got);
}

rt_status rt_pread_some(int fd, void *data, size_t n, uint64_t at, const char *path, size_t *got)
{
    *got = 0;
    return at > INT64_MAX ? RT_OK : read_until(fd, data, n, (int64_t)at, path, got);
}

rt_status rt_pread_all(int fd, void *data, size_t n, uint64_t at, const char *path)
{
    size_t got;
    RT_TRY(rt_pread_some(fd, data, n, at, path, &got));
    if (got == n) return RT_OK;
    return rt_fail(RT_INPUT, "%s: the file ends too early; it is truncated or was changed", path);
}

rt_status rt_read_file(char **out, size_t *n, const char *path, size_t most)
{
    struct stat s;
    int fd;
    *out = NULL;
    *n = 0;
    RT_TRY(rt_open_input(&fd, path));
    rt_status st = fstat(fd, &s) ? rt_fail(RT_RUN, "%s: %s", path, strerror(errno)) : RT_OK;
    size_t room = st || s.st_size < 0 ? 0 : (size_t)s.st_size;
    if (room < BLOCK) room = BLOCK;                      /* files of /proc and those that grow say 0 */
    if (room > most) room = most;
    char *text = st ? NULL : malloc(room + 2);
    if (!st && !text) st = rt_fail(RT_RUN, "out of memory while reading %s", path);
    if (!st) st = rt_read_some(fd, text, room + 1, path, n);
    if (!st && *n > room) st = rt_fail(RT_INPUT, "%s: is longer than %zu bytes", path, room);
    close(fd);
    if (st) {
        free(text);
        *n = 0;
        return st;
    }
    text[*n] = 0;
    *out = text;
    return RT_OK;
}

int rt_hollow(uint64_t bytes, uint64_t stored)
{
    uint64_t holes = stored < bytes ? bytes - stored : 0;
    return holes > HOLES_MOST && holes / 64 > stored;
}

rt_status rt_stored_bytes(int fd, const char *path, uint64_t first, uint64_t end, uint64_t *stored)
{
    off_t stands = lseek(fd, 0, SEEK_CUR);
    *stored = 0;
    if (stands < 0) return rt_fail(RT_RUN, "%s: %s", path, strerror(errno));
    for (uint64_t at = first; at < end && rt_hollow(end - first, *stored);) {
        off_t from = lseek(fd, (off_t)at, SEEK_DATA);
        if (from < 0 && errno == ENXIO) break;                  /* a hole to the end */
        off_t hole = from < 0 ? -1 : lseek(fd, from, SEEK_HOLE);
        if (hole < 0) {
            *stored = end - first;
            break;
        }
        uint64_t low = (uint64_t)from < end ? (uint64_t)from : end;
        at = (uint64_t)hole < end ? (uint64_t)hole : end;
        *stored += at - low;
    }
    if (lseek(fd, stands, SEEK_SET) < 0) return rt_fail(RT_RUN, "%s: %s", path, strerror(errno));
    return RT_OK;
}

rt_status rt_check_holes(int fd, const char *path)
{
    struct stat s;
    uint64_t stored;
    if (fstat(fd, &s)) return rt_fail(RT_RUN, "%s: %s", path, strerror(errno));
    if (!rt_hollow((uint64_t)s.st_size, 0)) return RT_OK;
    RT_TRY(rt_stored_bytes(fd, path, 0, (uint64_t)s.st_size, &stored));
    if (!rt_hollow((uint64_t)s.st_size, stored)) return RT_OK;
    return rt_fail(RT_INPUT,
                   "%s: is %llu bytes long, of which %llu are stored and the rest are holes: it is damaged, or "
                   "no file to be read to its end",
                   path, (unsigned long long)s.st_size, (unsigned long long)stored);
}

rt_status rt_digest_rest(rt_digest *d, int fd, const char *path, int stoppable)
{
    size_t n = BLOCK;
    unsigned char *buffer = malloc(BLOCK);
    rt_hasher *h = rt_hasher_new();
    rt_status st = buffer ? rt_check_holes(fd, path) : rt_fail(RT_RUN, "out of memory while reading %s", path);
    while (!st && n == BLOCK) {
        st = rt_read_some(fd, buffer, BLOCK, path, &n);
        if (!st) rt_hasher_add(h, buffer, n);
        if (!st && stoppable) st = rt_check_stop();
    }
    rt_digest out = rt_hasher_end(h);
    if (!st) *d = out;
    free(buffer);
    return st;
}

rt_status rt_digest_file(rt_digest *d, const char *path, int stoppable)
{
    int fd;
    RT_TRY(rt_open_input(&fd, path));
    rt_status st = rt_digest_rest(d, fd, path, stoppable);
    close(fd);
    return st;
}

rt_status rt_file_there(const char *path, int *there)
{
    struct stat s;
    *there = !stat(path, &s);
    if (!*there && rt_errno_status(errno) == RT_RUN) return rt_fail(RT_RUN, "%s: %s", path, strerror(errno));
    return RT_OK;
}

static rt_stamp stamp_of(const struct stat *s)
{
    return (rt_stamp){.size = (uint64_t)s->st_size, .inode = s->st_ino, .device = s->st_dev,
                      .mtime = s->st_mtim.tv_sec * INT64_C(1000000000) + s->st_mtim.tv_nsec,
                      .ctime = s->st_ctim.tv_sec * INT64_C(1000000000) + s->st_ctim.tv_nsec};
}

rt_status rt_stamp_of(rt_stamp *stamp, int fd, const char *path)
{
    struct stat s;
    if (fstat(fd, &s)) return rt_fail(RT_RUN, "%s: %s", path, strerror(errno));
    *stamp = stamp_of(&s);
    return RT_OK;
}

rt_status rt_stamp_at(rt_stamp *stamp, const char *path)
{
    struct stat s;
    if (stat(path, &s)) return rt_fail(rt_errno_status(errno), "%s: %s", path, strerror(errno));
    *stamp = stamp_of(&s);
    return RT_OK;
}

int rt_stamps_equal(const rt_stamp *a, const rt_stamp *b)
{
    return a->size == b->size && a->inode == b->inode && a->device == b->device && a->mtime == b->mtime &&
           a->ctime == b->ctime;
}

rt_status rt_stamp_unchanged(const rt_stamp *then, const char *path)
{
    rt_stamp now = {0};
    RT_TRY(rt_stamp_at(&now, path));
    if (rt_stamps_equal(then, &now)) return RT_OK;
    return rt_fail(RT_INPUT, "%s: was changed while it was read; start again when nothing writes to it", path);
}

/* ---- writing ---- */

static rt_status write_until(int fd, const void *data, size_t n, int64_t at, const char *path)
{
    const char *p = data;
    for (size_t done = 0; done < n;) {
        ssize_t k = at < 0 ? write(fd, p + done, n - done) : pwrite(fd, p + done, n - done, at + (off_t)done);
        if (k < 0 && errno == EINTR) continue;
        if (k <= 0) return rt_fail(RT_RUN, "%s: writing failed: %s", path, k ? strerror(errno) : "no progress");
        done += (size_t)k;
    }
    return RT_OK;
}

rt_status rt_write_all(int fd, const void *data, size_t n, const char *path)
{
    return write_until(fd, data, n, -1, path);
}

rt_status rt_pwrite_all(int fd, const void *data, size_t n, uint64_t at, const char *path)
{
    if (at > INT64_MAX) return rt_fail(RT_RUN, "%s: writing failed: impossible offset", path);
    return write_until(fd, data, n, (int64_t)at, path);
}

/* An interrupted sync has neither failed nor forgotten anything: the one case in which it is called again. */
static rt_status sync_by(int (*sync_call)(int), int fd, const char *path)
{
    int r;
    do r = sync_call(fd);
    while (r && errno == EINTR);
    if (!r) return RT_OK;
    int error = errno;
    rt_fail(RT_RUN, "%s: could not be synced: %s", path, strerror(error));
    errno = error;
    return RT_RUN;
}

rt_status rt_sync_file(int fd, const char *path) { return sync_by(fsync, fd, path); }
rt_status rt_sync_data(int fd, const char *path) { return sync_by(fdatasync, fd, path); }

rt_status rt_sync_folder(int dir, const char *path)
{
    int r;
    do r = fsync(dir);
    while (r && errno == EINTR);
    if (!r || errno == EINVAL) return RT_OK;          /* EINVAL: its folders are never behind, there is no such sync */
    return rt_fail(RT_RUN, "%s: its folder could not be synced: %s", path, strerror(errno));
}

static rt_status open_folder(int *dir, const char *path)
{
    do *dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    while (*dir < 0 && errno == EINTR);
    if (*dir >= 0) return RT_OK;
    return rt_fail(RT_RUN, "%s: %s", path, errno == ENOTDIR ? "is not a folder" : strerror(errno));
}

rt_status rt_open_folder_of(int *dir, char name[256], const char *path)
{
    char folder[PATH_MAX];
    struct stat s;
    *dir = -1;
    if (strlen(path) >= sizeof folder) return rt_fail(RT_USAGE, "%.60s...: the path is too long", path);
    strcpy(folder, path);
    int there = !lstat(path, &s);
    if (!there && rt_errno_status(errno) == RT_RUN) return rt_fail(RT_RUN, "%s: %s", path, strerror(errno));
    if (there && S_ISLNK(s.st_mode) && !realpath(path, folder))
        return rt_fail(RT_USAGE, "%s: is a link to nothing that can be found: %s", path, strerror(errno));
    char *slash = strrchr(folder, '/'), *last = slash ? slash + 1 : folder;
    if (!*last || !strcmp(last, ".") || !strcmp(last, ".."))
        return rt_fail(RT_USAGE, "'%s' is no name of a file", path);
    if (strlen(last) > NAME_MAX - RANDOM_DIGITS - sizeof temp_mark)
        return rt_fail(RT_USAGE, "%.60s...: the file's name is too long", path);
    strcpy(name, last);
    if (slash == folder) slash[1] = 0;
    else if (slash) *slash = 0;
    return open_folder(dir, slash ? folder : ".");
}

rt_status rt_make_folder(const char *path)
{
    char part[PATH_MAX];
    size_t n = strlen(path);
    if (n == 0 || n >= sizeof part) return rt_fail(RT_USAGE, "'%.60s' is no folder name", path);
    memcpy(part, path, n + 1);
    for (size_t i = 1; i <= n; i++) {
        if ((part[i] != '/' && part[i] != 0) || part[i - 1] == '/') continue;
        char c = part[i], name[256];
        int dir;
        part[i] = 0;
        if (!mkdir(part, 0777)) {
            RT_TRY(rt_open_folder_of(&dir, name, part));
            rt_status st = rt_sync_folder(dir, part);
            close(dir);
            RT_TRY(st);
        } else if (errno != EEXIST)
            return rt_fail(errno == ENOTDIR ? RT_USAGE : RT_RUN, "%s: cannot make the folder: %s", part,
                           strerror(errno));
        part[i] = c;
    }
    struct stat s;
    if (stat(path, &s)) return rt_fail(RT_RUN, "%s: %s", path, strerror(errno));
    return S_ISDIR(s.st_mode) ? RT_OK : rt_fail(RT_USAGE, "%s: is not a folder; give another one", path);
}

/* ---- a file that appears whole ---- */

static rt_status random_name(char out[256], const char *name, const char *path)
{
    uint64_t r;
    if (getentropy(&r, sizeof r)) return rt_fail(RT_RUN, "%s: no random numbers: %s", path, strerror(errno));
    if (snprintf(out, 256, ".%s%s%016llx", name, temp_mark, (unsigned long long)r) >= 256)
        return rt_fail(RT_USAGE, "%.60s...: the file's name is too long", path);
    return RT_OK;
}

/* A nameless file gets its name through /proc. */
static void proc_name(char out[40], int fd) { snprintf(out, 40, "/proc/self/fd/%d", fd); }

static int open_nameless(int dir)
{
    char name[40];
    struct stat s;
    int fd;
    do fd = openat(dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0666);
    while (fd < 0 && errno == EINTR);
    proc_name(name, fd);
    if (fd < 0 || !stat(name, &s)) return fd;
    close(fd);
    return -1;
}

rt_status rt_temp_open(rt_temp *t, int dir, const char *name, const char *path)
{
    *t = (rt_temp){.dir = dir, .fd = -1, .path = path};
    if (snprintf(t->name, sizeof t->name, "%s", name) >= (int)sizeof t->name)
        return rt_fail(RT_USAGE, "%.60s...: the file's name is too long", path);
    t->fd = open_nameless(dir);
    for (int i = 0; t->fd < 0 && i < NAME_TRIES; i++) {
        RT_TRY(random_name(t->temp, name, path));
        t->fd = openat(dir, t->temp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
        if (t->fd < 0 && errno != EEXIST && errno != EINTR) break;
    }
    if (t->fd >= 0) return RT_OK;
    t->temp[0] = 0;
    return rt_fail(RT_RUN, "%s: %s", path, strerror(errno));
}

static rt_status taken(const rt_temp *t)
{
    return rt_fail(RT_USAGE, "%s: was made by somebody else meanwhile; give another --out", t->path);
}

static int link_file(const rt_temp *t, const char *name)
{
    char from[40];
    if (t->temp[0]) return linkat(t->dir, t->temp, t->dir, name, 0);
    proc_name(from, t->fd);
    return linkat(AT_FDCWD, from, t->dir, name, AT_SYMLINK_FOLLOW);
}

/* Where nothing has the name. */
static rt_status give_new_name(rt_temp *t)
{
    if (t->temp[0] && !renameat2(t->dir, t->temp, t->dir, t->name, RENAME_NOREPLACE)) t->temp[0] = 0;
    else if (t->temp[0] && errno != EINVAL && errno != ENOSYS)
        return errno == EEXIST ? taken(t) : rt_fail(RT_RUN, "%s: %s", t->path, strerror(errno));
    else if (link_file(t, t->name))
        return errno == EEXIST ? taken(t) : rt_fail(RT_RUN, "%s: %s", t->path, strerror(errno));
    else if (t->temp[0] && !unlinkat(t->dir, t->temp, 0)) t->temp[0] = 0;
    return RT_OK;
}

static rt_status take_name(rt_temp *t)
{
    for (int i = 0; !t->temp[0]; i++) {
        char name[256];
        RT_TRY(random_name(name, t->name, t->path));
        if (!link_file(t, name)) strcpy(t->temp, name);
        else if (errno != EEXIST || i == NAME_TRIES) return rt_fail(RT_RUN, "%s: %s", t->path, strerror(errno));
    }
    if (renameat(t->dir, t->temp, t->dir, t->name)) return rt_fail(RT_RUN, "%s: %s", t->path, strerror(errno));
    t->temp[0] = 0;
    return RT_OK;
}

rt_status rt_temp_commit(rt_temp *t, int replace)
{
    rt_status st = rt_sync_file(t->fd, t->path);
    if (!st) st = replace ? take_name(t) : give_new_name(t);
    if (!st) return rt_sync_folder(t->dir, t->path);
    rt_temp_drop(t);
    return st;
}

void rt_temp_drop(rt_temp *t)
{
    if (t->temp[0]) unlinkat(t->dir, t->temp, 0);
    if (t->fd >= 0) close(t->fd);
    t->temp[0] = 0;
    t->fd = -1;
}

/* .NAME.tmp-0123456789abcdef */
static int is_left(const char *entry, const char *name)
{
    size_t n = strlen(entry), end = sizeof temp_mark - 1 + RANDOM_DIGITS;
    if (entry[0] != '.' || n < end + 2) return 0;
    const char *mark = entry + n - end;
    if (strncmp(mark, temp_mark, sizeof temp_mark - 1)) return 0;
    if (strspn(mark + sizeof temp_mark - 1, "0123456789abcdef") != RANDOM_DIGITS) return 0;
    return !*name || (strlen(name) == n - end - 1 && !strncmp(entry + 1, name, n - end - 1));
}

DIR *rt_folder_entries(int dir, const char *name)
{
    int fd;
    do fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    while (fd < 0 && errno == EINTR);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    int error = errno;
    if (!d && fd >= 0) close(fd);
    errno = error;
    return d;
}

rt_status rt_folder_next(DIR *d, const char *path, struct dirent **e)
{
    errno = 0;
    *e = readdir(d);
    return *e || !errno ? RT_OK : rt_fail(RT_RUN, "%s: cannot be read: %s", path, strerror(errno));
}

void rt_temp_sweep(int dir, const char *name)
{
    DIR *d = rt_folder_entries(dir, ".");
    for (struct dirent *e; d && (e = readdir(d));) {
        struct stat s;
        if (is_left(e->d_name, name) && !fstatat(dir, e->d_name, &s, AT_SYMLINK_NOFOLLOW) && S_ISREG(s.st_mode))
            unlinkat(dir, e->d_name, 0);
    }
    if (d) closedir(d);
}

rt_status rt_write_file_at(int dir, const char *name, const void *data, size_t n, const char *path)
{
    rt_temp t;
    RT_TRY(rt_temp_open(&t, dir, name, path));
    rt_status st = rt_pwrite_all(t.fd, data, n, 0, path);
    if (!st) st = rt_temp_commit(&t, 1);
    rt_temp_drop(&t);
    return st;
}

rt_status rt_write_file(const char *path, const void *data, size_t n)
{
    char name[256];
    int dir;
    RT_TRY(rt_open_folder_of(&dir, name, path));
    rt_status st = rt_write_file_at(dir, name, data, n, path);
    close(dir);
    return st;
}
