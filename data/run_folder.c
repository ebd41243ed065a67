#include "data/run_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data/lock.h"

enum { PATH_ROOM = 1100, TRIES = 100 };
static const char lock_name[] = ".retort-lock";

struct rt_run_folder {
    char path[PATH_ROOM];
    int dir, made;
    rt_lock lock;
};

/* The folder and its lock. Another run may remove a folder that it had made just when this one has opened it. */
static rt_status take(rt_run_folder *f)
{
    for (int i = 0; i < TRIES; i++) {
        struct stat mine, there;
        int was_there;
        RT_TRY(rt_file_there(f->path, &was_there));
        f->made = !was_there;
        RT_TRY(rt_make_folder(f->path));
        do f->dir = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        while (f->dir < 0 && errno == EINTR);
        if (f->dir < 0 && errno == ENOENT) continue;
        if (f->dir < 0) return rt_fail(RT_RUN, "%s: %s", f->path, strerror(errno));
        rt_status st = rt_lock_take(&f->lock, f->dir, lock_name, f->path);
        int same = !fstat(f->dir, &mine) && !stat(f->path, &there) && mine.st_ino == there.st_ino &&
            mine.st_dev == there.st_dev;
        if (same) return st;
        rt_lock_release(&f->lock);
        close(f->dir);
        f->dir = -1;
    }
    return rt_fail(RT_RUN, "%s: is made and removed by others again and again", f->path);
}

rt_status rt_run_folder_open(rt_run_folder **out, const rt_target *t, const char *const *inputs,
                             const char *const *names)
{
    const char *const config[] = {t->config ? t->config : "", NULL};
    rt_run_folder *f = calloc(1, sizeof *f);
    *out = NULL;
    if (!f) return rt_fail(RT_RUN, "out of memory");
    f->dir = -1;
    f->lock = (rt_lock)RT_LOCK_FREE;
    rt_status st = RT_OK;
    if (snprintf(f->path, sizeof f->path, "%s", t->path) >= (int)sizeof f->path)
        st = rt_fail(RT_USAGE, "%.60s...: the path is too long", t->path);
    if (!st) st = take(f);
    for (int i = 0; names[i] && !st; i++) {
        char path[RT_FOLDER_PATH];
        int exists;
        rt_run_folder_path(f, path, names[i]);
        st = rt_look_at(f->dir, names[i], path, config, &exists);
        if (!st) st = rt_look_at(f->dir, names[i], path, inputs, &exists);
        if (!st) rt_temp_sweep(f->dir, names[i]);
    }
    if (st) rt_run_folder_close(f);
    else *out = f;
    return st;
}

void rt_run_folder_close(rt_run_folder *f)
{
    if (!f) return;
    rt_lock_release(&f->lock);
    if (f->made && f->dir >= 0) rmdir(f->path);       /* fails, as it should, when there is something in it */
    if (f->dir >= 0) close(f->dir);
    free(f);
}

void rt_run_folder_path(const rt_run_folder *f, char out[RT_FOLDER_PATH], const char *name)
{
    snprintf(out, RT_FOLDER_PATH, "%s/%s", f->path, name);
}

rt_status rt_run_folder_has(const rt_run_folder *f, const char *name, int *has)
{
    char path[RT_FOLDER_PATH];
    rt_run_folder_path(f, path, name);
    return rt_file_there(path, has);
}

rt_status rt_run_folder_write(rt_run_folder *f, const char *name, const void *data, size_t n)
{
    char path[RT_FOLDER_PATH];
    rt_run_folder_path(f, path, name);
    return rt_write_file_at(f->dir, name, data, n, path);
}

rt_status rt_run_folder_remove(rt_run_folder *f, const char *name)
{
    if (!unlinkat(f->dir, name, 0) || errno == ENOENT) return RT_OK;     /* nor its folder */
    return rt_fail(RT_RUN, "%s/%s: cannot be removed: %s", f->path, name, strerror(errno));
}

/* -1 with RT_OK when there is none. A link would lead into a folder of somebody else. */
static rt_status open_inner(const rt_run_folder *f, const char *name, int *dir)
{
    do *dir = openat(f->dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    while (*dir < 0 && errno == EINTR);
    if (*dir >= 0 || errno == ENOENT) return RT_OK;
    if (errno == ELOOP || errno == ENOTDIR)
        return rt_fail(RT_USAGE, "%s/%s: is no folder; give another --out", f->path, name);
    return rt_fail(RT_RUN, "%s/%s: %s", f->path, name, strerror(errno));
}

rt_status rt_run_folder_sweep(rt_run_folder *f, const char *name)
{
    int dir;
    RT_TRY(open_inner(f, name, &dir));
    if (dir < 0) return RT_OK;
    rt_temp_sweep(dir, "");
    close(dir);
    return RT_OK;
}

rt_status rt_run_folder_sync(rt_run_folder *f, const char *name)
{
    char path[RT_FOLDER_PATH];
    int dir;
    RT_TRY(open_inner(f, name, &dir));
    if (dir < 0) return RT_OK;
    rt_run_folder_path(f, path, name);
    rt_status st = rt_sync_folder(dir, path);
    close(dir);
    return st;
}
