/* data/h5_scan.c - the plan of an HDF5 file: made in a locked-down child (h5_child.c), checked by h5_plan.c. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
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

/* What a child without an end record says about the file: signals of the library's own making are damage; being killed
 * from outside, or for want of memory, is not. */
static rt_status ended(const rt_h5_file *f, const rt_h5_exit *e, uint64_t stored)
{
    int killed = WIFSIGNALED(e->status) ? WTERMSIG(e->status) : 0;
    if (killed == SIGXCPU)
        return rt_fail(RT_INPUT,
                       "%s: reading its metadata takes over %.0f s of CPU time; the file is damaged or hostile",
                       f->path, ceil(rt_h5_cpu_budget(stored)));
    if (killed == SIGKILL)
        return rt_fail(RT_RUN, "%s: the process that reads its metadata was killed; is there enough memory?", f->path);
    if (killed && e->memory_short)
        return rt_fail(RT_RUN,
                       "%s: the process that reads its metadata died (signal %d), with less than %d MiB of memory "
                       "to be had",
                       f->path, killed, RT_H5_CHILD_BYTES >> 20);
    if (killed)
        return rt_fail(RT_INPUT, "%s: the HDF5 library died reading its metadata (signal %d); the file is damaged or "
                       "hostile", f->path, killed);
    if (!WEXITSTATUS(e->status)) return rt_fail(RT_INPUT, "%s: damaged metadata", f->path);
    return rt_fail(RT_RUN, "%s: the process that reads its metadata ended early: %s", f->path,
                   strerror(WEXITSTATUS(e->status)));
}

static rt_status verdict(const rt_h5_file *f, const rt_h5_end *end)
{
    switch (end->outcome) {
    case RT_H5_DONE: return RT_OK;
    case RT_H5_UNREADABLE:
        return rt_fail(RT_INPUT, "%s: is no readable HDF5 file (%s); it is damaged, truncated or was not closed",
                       f->path, end->text);
    case RT_H5_FAULT: return rt_fail(RT_RUN, "%s: reading it failed: %s", f->path, strerror(end->error));
    case RT_H5_MEMORY: return rt_fail(RT_RUN, "%s: no memory to read its metadata", f->path);
    case RT_H5_GREEDY:
        return rt_fail(RT_INPUT, "%s: reading its metadata takes over %d MiB of memory; the file is damaged or hostile",
                       f->path, RT_H5_CHILD_BYTES >> 20);
    default: return rt_fail(RT_INPUT, "%s: damaged metadata", f->path);
    }
}

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
    int plan[2], end[2];
    rt_h5_exit e = {0};
    rt_h5_plan p = {.stored = stored};
    rt_h5_request r;
    memset(&r, 0, sizeof r);           /* all of it is sent, what lies between its members, too */
    r.size = f->size;
    r.stored = stored;
    r.second = second;
    if (pipe2(plan, O_CLOEXEC)) return rt_fail(RT_RUN, "%s: no pipe: %s", f->path, strerror(errno));
    if (pipe2(end, O_CLOEXEC)) {
        rt_status st = rt_fail(RT_RUN, "%s: no pipe: %s", f->path, strerror(errno));
        close(plan[0]);
        close(plan[1]);
        return st;
    }
    int error = rt_h5_ask(&r, (int[RT_H5_FDS]){f->fd, plan[1], end[1]});
    close(plan[1]);
    close(end[1]);
    clock_gettime(CLOCK_MONOTONIC, &p.start);
    p.pipe = plan[0];
    rt_status st = error ? RT_RUN : rt_h5_take_plan(f, &p);
    close(plan[0]);                                   /* a child that is not done is ended by this */
    rt_status last = error || (st && st != RT_NOTHING) ? st : rt_h5_take(end[0], &p.start, f->path, &e, sizeof e);
    close(end[0]);
    *again = !second && !last && unlucky(st, &p, &e);
    if (last == RT_NOTHING) rt_h5_reader_stop();      /* it is gone: the next scan has another */
    if (error == EPIPE || last == RT_NOTHING)
        return rt_fail(RT_RUN, "%s: the process that starts readers of metadata was killed; is there enough memory?",
                       f->path);
    if (error || (!last && e.error))
        return rt_fail(RT_RUN, "%s: could not start a reader process: %s", f->path, strerror(error ? error : e.error));
    if (last) return last;
    return st == RT_NOTHING ? ended(f, &e, stored) : verdict(f, &p.end);
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
