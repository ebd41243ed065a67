#include "data/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

rt_status rt_temp_name(char *out, size_t room, const char *path)
{
    int n = snprintf(out, room, "%s.tmp-%ld", path, (long)getpid());
    return n < 0 || (size_t)n >= room ? rt_fail(RT_USAGE, "%.60s...: the path is too long", path) : RT_OK;
}

rt_status rt_sync_folder_of(const char *path)
{
    char folder[4096];
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) : 0;
    if (n >= sizeof folder) return rt_fail(RT_USAGE, "%.60s...: the path is too long", path);
    if (!slash) strcpy(folder, ".");
    else if (n == 0) strcpy(folder, "/");
    else {
        memcpy(folder, path, n);
        folder[n] = 0;
    }
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return rt_fail(RT_RUN, "%s: %s", folder, strerror(errno));
    int bad = fsync(fd);
    close(fd);
    return bad ? rt_fail(RT_RUN, "%s: could not be synced: %s", folder, strerror(errno)) : RT_OK;
}

rt_status rt_commit_file(const char *temp, const char *path)
{
    rt_status st = RT_OK;
    int fd = open(temp, O_RDWR | O_CLOEXEC);
    if (fd < 0) st = rt_fail(RT_RUN, "%s: %s", temp, strerror(errno));
    else if (fsync(fd)) st = rt_fail(RT_RUN, "%s: could not be synced: %s", temp, strerror(errno));
    if (fd >= 0) close(fd);
    if (!st && rename(temp, path)) st = rt_fail(RT_RUN, "%s: %s", path, strerror(errno));
    if (st) unlink(temp);
    return st ? st : rt_sync_folder_of(path);
}

rt_status rt_pwrite_all(int fd, const void *data, size_t n, uint64_t at, const char *path)
{
    const char *p = data;
    while (n) {
        ssize_t k = pwrite(fd, p, n, (off_t)at);
        if (k < 0 && errno == EINTR) continue;
        if (k <= 0) return rt_fail(RT_RUN, "%s: writing failed: %s", path, k ? strerror(errno) : "no progress");
        p += k;
        n -= (size_t)k;
        at += (uint64_t)k;
    }
    return RT_OK;
}

rt_status rt_pread_all(int fd, void *data, size_t n, uint64_t at, const char *path)
{
    char *p = data;
    while (n) {
        ssize_t k = pread(fd, p, n, (off_t)at);
        if (k < 0 && errno == EINTR) continue;
        if (k < 0) return rt_fail(RT_INPUT, "%s: reading failed: %s", path, strerror(errno));
        if (k == 0) return rt_fail(RT_INPUT, "%s: the file ends too early; it is truncated or was changed", path);
        p += k;
        n -= (size_t)k;
        at += (uint64_t)k;
    }
    return RT_OK;
}

rt_status rt_write_file(const char *path, const void *data, size_t n)
{
    char temp[4200];
    RT_TRY(rt_temp_name(temp, sizeof temp, path));
    unlink(temp);                                     /* of a process of this number that was killed */
    int fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0) return rt_fail(RT_RUN, "%s: %s", path, strerror(errno));
    rt_status st = rt_pwrite_all(fd, data, n, 0, path);
    if (close(fd) && !st) st = rt_fail(RT_RUN, "%s: %s", path, strerror(errno));
    if (st) {
        unlink(temp);
        return st;
    }
    return rt_commit_file(temp, path);
}

rt_status rt_make_folder(const char *path)
{
    char part[4096];
    size_t n = strlen(path);
    if (n == 0 || n >= sizeof part) return rt_fail(RT_USAGE, "'%.60s' is no folder name", path);
    memcpy(part, path, n + 1);
    for (size_t i = 1; i <= n; i++) {
        if (part[i] != '/' && part[i] != 0) continue;
        char c = part[i];
        part[i] = 0;
        if (mkdir(part, 0777) && errno != EEXIST) return rt_fail(RT_RUN, "%s: cannot make the folder: %s", part, strerror(errno));
        part[i] = c;
    }
    struct stat s;
    if (stat(path, &s) || !S_ISDIR(s.st_mode)) return rt_fail(RT_RUN, "%s: is not a folder", path);
    return RT_OK;
}

int rt_file_exists(const char *path)
{
    struct stat s;
    return stat(path, &s) == 0;
}
