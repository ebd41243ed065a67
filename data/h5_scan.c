/* data/h5_scan.c - the plan of an HDF5 file: made in a locked-down child (h5_child.c), checked by h5_plan.c. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "data/checks.h"
#include "data/files.h"
#include "data/h5_plan.h"

pthread_mutex_t rt_h5_library = PTHREAD_MUTEX_INITIALIZER;

/* ---- the child ---- */

/* Worth a second look: memory may be there the next time, and a library that met a failed allocation may die of it. */
static int unlucky(rt_status st, const rt_h5_plan *p, const rt_h5_exit *e)
{
    if (st == RT_NOTHING && WIFEXITED(e->status)) return WEXITSTATUS(e->status) == ENOMEM;
    if (st == RT_NOTHING)
        return WIFSIGNALED(e->status) && WTERMSIG(e->status) != SIGKILL && WTERMSIG(e->status) != SIGXCPU &&
               e->cpu < 0.5;
    return !st && p->end.outcome == RT_H5_MEMORY;
}

static rt_status scan_once(rt_h5_file *f, uint64_t stored, int second, int *again)
{
    static const char doing[] = "reading its metadata";
    rt_h5_exit e;
    rt_h5_run run;
    rt_h5_request r;
    memset(&r, 0, sizeof r);           /* all of it is sent, what lies between its members, too */
    r.size = f->size;
    r.stored = stored;
    r.second = second;
    *again = 0;
    RT_TRY(rt_h5_run_begin(&run, f->path, &r, f->fd, -1));
    rt_h5_plan p = {.pipe = run.plan, .stored = stored, .start = run.start};
    rt_status st = rt_h5_take_plan(f, &p);
    if (st && st != RT_NOTHING) {
        close(run.plan);                              /* a child that is not done is ended by this */
        close(run.end);
        return st;
    }
    RT_TRY(rt_h5_run_end(&run, f->path, &e));
    *again = !second && unlucky(st, &p, &e);
    return st == RT_NOTHING ? rt_h5_ended(f->path, doing, &r, &e) : rt_h5_verdict(f->path, doing, &r, &p.end);
}

static void forget_sets(rt_h5_file *f)
{
    for (int i = 0; i < f->sets; i++) rt_h5_free_bytes(&f->set[i]);
    free(f->set);
    f->set = NULL;
    f->sets = 0;
}

/* ---- the file ---- */

/* The signature is at byte 0, or behind a user block at 512, 1024, 2048, ... */
static rt_status find_signature(const rt_h5_file *f, const char *path)
{
    for (uint64_t at = 0; at + 8 <= f->size; at = at ? 2 * at : 512) {
        char magic[8];
        size_t k;
        RT_TRY(rt_pread_some(f->fd, magic, sizeof magic, at, path, &k));
        if (k == sizeof magic && memcmp(magic, "\211HDF\r\n\032\n", sizeof magic) == 0) return RT_OK;
    }
    return rt_fail(RT_INPUT, "%s: is no HDF5 file; bring other formats in with 'retort import'", path);
}

static rt_status open_file(rt_h5_file *f, const char *path, uint64_t *stored)
{
    struct stat s;
    RT_TRY(rt_open_input(&f->fd, path));
    if (fstat(f->fd, &s)) return rt_fail(RT_RUN, "%s: %s", path, strerror(errno));
    f->size = (uint64_t)s.st_size;
    *stored = (uint64_t)s.st_blocks * 512 < f->size ? (uint64_t)s.st_blocks * 512 : f->size;
    return find_signature(f, path);
}

rt_status rt_h5_scan(rt_h5_file **out, const char *path)
{
    *out = NULL;
    rt_h5_file *f = calloc(1, sizeof *f);
    if (!f) return rt_fail(RT_RUN, "out of memory");
    snprintf(f->path, sizeof f->path, "%s", path);
    f->users = 1;
    uint64_t stored = 0;
    int again = 0;
    rt_status st = open_file(f, path, &stored);
    if (!st) st = scan_once(f, stored, 0, &again);
    if (again) {
        forget_sets(f);
        st = scan_once(f, stored, 1, &again);
    }
    for (int i = 0; i < f->sets && !st; i++) st = rt_h5_filters_find(&f->set[i], f);
    if (st) rt_h5_close(f);
    else *out = f;
    return st;
}

void rt_h5_close(rt_h5_file *f)
{
    if (!f || --f->users > 0) return;
    if (f->fd >= 0) close(f->fd);
    forget_sets(f);
    for (int i = 0; i < f->parts; i++) rt_h5_close(f->part[i]);
    free(f->part);
    free(f);
}

const rt_h5_dataset *rt_h5_find(const rt_h5_file *f, const char *name)
{
    while (*name == '/') name++;
    for (int i = 0; i < f->sets; i++)
        if (strcmp(f->set[i].name, name) == 0) return &f->set[i];
    return NULL;
}

rt_status rt_h5_need(const rt_h5_dataset **out, const rt_h5_file *f, const char *name)
{
    char list[400] = "";
    *out = rt_h5_find(f, name);
    if (*out && (*out)->refused[0]) return rt_fail(RT_INPUT, "%s: data set '%s': %s", f->path, name, (*out)->refused);
    if (*out) return RT_OK;
    int i = 0, n = 0;
    for (; i < f->sets && n < 280; i++)
        n += snprintf(list + n, sizeof list - (size_t)n, "%s%.60s%s", i ? ", " : "", f->set[i].name,
                      f->set[i].refused[0] ? " (unreadable)" : "");
    if (i < f->sets)
        snprintf(list + n, sizeof list - (size_t)n, " and %d more, which 'retort info' lists", f->sets - i);
    return rt_fail(RT_INPUT, "%s: has no data set '%s'%s; it has: %s", f->path, name,
                   f->cut ? " among those that were looked at, and it holds more than are looked at" : "",
                   f->sets ? list : "none");
}

rt_status rt_h5_read_all(void **out, const rt_h5_file *f, const char *name, uint64_t max_bytes)
{
    const rt_h5_dataset *d;
    *out = NULL;
    RT_TRY(rt_h5_need(&d, f, name));
    if (f->parts && !strcmp(d->name, "manifest")) return rt_h5_read_all(out, f->part[0], name, max_bytes);
    uint64_t bytes = d->element;
    for (int i = 0; i < d->rank; i++) bytes *= d->dim[i];
    if (d->chunked || d->swap || (bytes && !d->compact && d->offset == UINT64_MAX))
        return rt_fail(RT_INPUT, "%s: data set '%s' is not contiguous, little-endian and written, as this tool makes "
                       "it", f->path, name);
    if (bytes > max_bytes)
        return rt_fail(RT_INPUT, "%s: data set '%s' has %llu bytes; at most %llu are expected", f->path, name,
                       (unsigned long long)bytes, (unsigned long long)max_bytes);
    char *p = aligned_alloc(64, (bytes + 64) & ~(uint64_t)63);
    if (!p) return rt_fail(RT_RUN, "out of memory");
    rt_status st = RT_OK;
    if (d->compact) memcpy(p, d->compact, bytes);
    else if (bytes) st = rt_pread_all(f->fd, p, bytes, d->offset, f->path);
    p[bytes] = 0;
    if (!st) st = rt_checks_whole(f, d, p, bytes);
    if (st) free(p); else *out = p;
    return st;
}
