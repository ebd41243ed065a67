#include "data/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "data/h5.h"
#include "data/json.h"
#include "data/lock.h"
#include "data/source_files.h"

static const char mark_name[] = "user.retort.xxh128";

struct rt_output {
    char *path;
    int force, dir, exists;
    char name[256];
    rt_lock lock;
    rt_temp temp;
};

/* ---- what is there ---- */

static rt_status refuse_input(const struct stat *s, const char *path, const char *const *inputs)
{
    struct stat in;
    rt_status st = RT_OK;
    for (int i = 0; inputs && inputs[i] && !st; i++) {
        rt_source_files l;
        if (!*inputs[i]) continue;
        st = rt_source_files_of(&l, inputs[i]);
        if (st && st != RT_RUN) st = RT_OK;           /* what is no source is said by who opens it */
        for (int k = 0; k < l.count && !st; k++)
            if (!stat(l.path[k], &in) && in.st_dev == s->st_dev && in.st_ino == s->st_ino)
                st = rt_fail(RT_USAGE, "%s: is an input of this command (%s) and is never replaced; give another --out",
                             path, l.path[k]);
        rt_source_files_free(&l);
    }
    return st;
}

static const char *kind_of_file(mode_t mode)
{
    if (S_ISDIR(mode)) return "a folder";
    if (S_ISLNK(mode)) return "a link";
    if (S_ISFIFO(mode)) return "a pipe";
    if (S_ISSOCK(mode)) return "a socket";
    return "a device";
}

static rt_status look(const struct stat *s, const char *path, const char *const *inputs)
{
    if (!S_ISREG(s->st_mode))
        return rt_fail(RT_USAGE, "%s: is no regular file but %s, and is never replaced; give another --out", path,
                       kind_of_file(s->st_mode));
    return refuse_input(s, path, inputs);
}

rt_status rt_look_at(int dir, const char *name, const char *path, const char *const *inputs, int *exists)
{
    struct stat s;
    *exists = 0;
    if (fstatat(dir, name, &s, AT_SYMLINK_NOFOLLOW))
        return errno == ENOENT ? RT_OK : rt_fail(RT_RUN, "%s: %s", path, strerror(errno));
    *exists = 1;
    return look(&s, path, inputs);
}

rt_status rt_refuse_inputs(const char *path, const char *const *inputs)
{
    struct stat s;
    if (stat(path, &s)) return errno == ENOENT ? RT_OK : rt_fail(RT_RUN, "%s: %s", path, strerror(errno));
    return look(&s, path, inputs);
}

/* ---- whose it is ---- */

static int has(const cJSON *manifest, const char *key) { return cJSON_HasObjectItem(manifest, key); }

/* *ours is 1 when path is an HDF5 file with the manifest of its kind. */
static rt_status has_manifest(int *ours, const char *path, rt_output_kind kind)
{
    rt_h5_file *f;
    char *text = NULL;
    cJSON *m = NULL;
    rt_status st = rt_h5_scan(&f, path);
    if (!st && rt_h5_find(f, "manifest")) st = rt_h5_read_all((void **)&text, f, "manifest", RT_JSON_MAX_BYTES);
    if (!st && text) st = rt_json_parse(&m, text, strlen(text), path);
    if (m && kind == RT_OUTPUT_LABELS) *ours = rt_h5_find(f, "labels/status") != NULL;
    else if (m && kind == RT_OUTPUT_DATA) *ours = has(m, "imported") && rt_h5_find(f, "x");
    else if (m && kind == RT_OUTPUT_PREDICTIONS) *ours = has(m, "predictions");
    else if (m && kind == RT_OUTPUT_MODEL) {
        const cJSON *p = cJSON_GetObjectItemCaseSensitive(m, "provenance");
        *ours = has(p, "onnx") && !has(p, "config") && !has(m, "quantization");
    } else if (m) *ours = has(m, "quantization") && has(cJSON_GetObjectItemCaseSensitive(m, "provenance"), "quantized");
    cJSON_Delete(m);
    free(text);
    rt_h5_close(f);
    return st == RT_INPUT ? RT_OK : st;
}

/* *ours is 1: marked, and as it was written; 0: not; -1: its file system keeps no marks. */
static rt_status has_mark(int *ours, const rt_output *o)
{
    char mark[33] = "";
    rt_digest d;
    int fd;
    do fd = openat(o->dir, o->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    while (fd < 0 && errno == EINTR);
    if (fd < 0) return rt_errno_status(errno) == RT_RUN ? rt_fail(RT_RUN, "%s: %s", o->path, strerror(errno)) : RT_OK;
    rt_status st = RT_OK;
    ssize_t n = fgetxattr(fd, mark_name, mark, sizeof mark - 1);
    if (n == 32) {
        st = rt_digest_rest(&d, fd, o->path, 1);
        *ours = !st && !strcmp(d.hex, mark);
    } else if (n < 0) *ours = errno == EOPNOTSUPP ? -1 : 0;
    close(fd);
    return st == RT_INPUT ? RT_OK : st;
}

rt_status rt_output_may_replace(const rt_output *o, rt_output_kind kind)
{
    static const char *const what[] = {"data that retort imported", "a label store of retort", "predictions of retort",
                                       "a model that 'retort quantize' wrote",
                                       "a model that 'retort import' wrote",
                                       "a file that retort exported and nobody changed since"};
    int ours = 0;
    if (!o->exists) return RT_OK;
    if (!o->force)
        return rt_fail(RT_USAGE, "%s: exists; give another --out, or --force to replace it if a run of retort wrote it",
                       o->path);
    RT_TRY(kind == RT_OUTPUT_EXPORT ? has_mark(&ours, o) : has_manifest(&ours, o->path, kind));
    if (ours > 0) return RT_OK;
    if (ours < 0)
        return rt_fail(RT_USAGE,
                       "%s: its file system keeps no mark (extended attribute) that would tell who wrote it, so "
                       "--force does not replace it; remove it, or give another --out",
                       o->path);
    return rt_fail(RT_USAGE, "%s: is not %s, so --force does not replace it; remove it, or give another --out", o->path,
                   what[kind]);
}

/* ---- from its lock to its end ---- */

static rt_status take_lock(rt_output *o, double seconds)
{
    char lock[256 + 16];
    snprintf(lock, sizeof lock, ".%s.retort-lock", o->name);
    return rt_lock_take_within(&o->lock, o->dir, lock, o->path, seconds);
}

rt_status rt_output_take(rt_output **out, const rt_target *t, const char *const *inputs)
{
    return rt_output_take_within(out, t, inputs, 0);
}

void rt_output_yield(rt_output *o) { rt_lock_release(&o->lock); }

rt_status rt_output_retake(rt_output *o, double seconds)
{
    return o->lock.fd >= 0 ? RT_OK : take_lock(o, seconds);
}

rt_status rt_output_take_within(rt_output **out, const rt_target *t, const char *const *inputs, double seconds)
{
    const char *const config[] = {t->config ? t->config : "", NULL};
    rt_output *o = calloc(1, sizeof *o);
    *out = NULL;
    if (!o || !(o->path = strdup(t->path))) {
        free(o);
        return rt_fail(RT_RUN, "out of memory");
    }
    o->lock = (rt_lock)RT_LOCK_FREE;
    o->temp.fd = -1;
    o->force = t->force;
    rt_status st = rt_refuse_inputs(o->path, config);         /* a FIFO or a device gets no lock beside it */
    if (!st) st = rt_open_folder_of(&o->dir, o->name, o->path);
    else o->dir = -1;
    if (!st) st = take_lock(o, seconds);
    if (!st) rt_temp_sweep(o->dir, o->name);
    if (!st) st = rt_look_at(o->dir, o->name, o->path, config, &o->exists);
    if (!st) st = rt_look_at(o->dir, o->name, o->path, inputs, &o->exists);
    if (!st) *out = o;
    else rt_output_end(o);
    return st;
}

int rt_output_exists(const rt_output *o) { return o->exists; }
const char *rt_output_path(const rt_output *o) { return o->path; }

rt_status rt_output_create(rt_output *o, int *fd)
{
    rt_status st = rt_temp_open(&o->temp, o->dir, o->name, o->path);
    *fd = o->temp.fd;
    return st;
}

void rt_output_mark(rt_output *o, const rt_digest *d) { (void)!fsetxattr(o->temp.fd, mark_name, d->hex, 32, 0); }

rt_status rt_output_commit(rt_output *o)
{
    RT_TRY(rt_temp_commit(&o->temp, o->exists));
    o->exists = 1;
    return RT_OK;
}

rt_status rt_output_sync_folder(const rt_output *o) { return rt_sync_folder(o->dir, o->path); }

void rt_output_end(rt_output *o)
{
    if (!o) return;
    rt_temp_drop(&o->temp);
    rt_lock_release(&o->lock);
    if (o->dir >= 0) close(o->dir);
    free(o->path);
    free(o);
}
