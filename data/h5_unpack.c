#include "data/h5_unpack.h"

#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "data/h5_plan.h"

struct rt_h5_unpacker {
    const rt_h5_file *file;
    const rt_h5_dataset *set;
    size_t row_bytes;
    uint64_t most;
    int running, served;               /* served: requests since the child was begun */
    rt_h5_request request;
    rt_h5_run run;
    rt_h5_shared *shared;              /* the child's memory, and ours as long as it runs */
    char doing[160];
};

rt_h5_unpacker *rt_h5_unpacker_new(const rt_h5_file *f, const rt_h5_dataset *d, size_t row_bytes, uint64_t most)
{
    rt_h5_unpacker *u = calloc(1, sizeof *u);
    if (!u) return NULL;
    u->file = f;
    u->set = d;
    u->row_bytes = row_bytes;
    u->most = most;
    return u;
}

static void forget(rt_h5_unpacker *u)
{
    munmap(u->shared, rt_h5_shared_bytes(u->most));
    u->running = 0;
}

void rt_h5_unpacker_free(rt_h5_unpacker *u)
{
    rt_h5_exit e;
    if (u && u->running) {
        close(u->run.plan);                           /* ends it */
        while (read(u->run.end, &e, sizeof e) > 0 || errno == EINTR) errno = 0;
        close(u->run.end);
        forget(u);
    }
    free(u);
}

static void fill_request(rt_h5_unpacker *u)
{
    rt_h5_request *r = &u->request;
    const rt_h5_dataset *d = u->set;
    r->task = RT_H5_UNPACK;
    r->size = r->stored = u->file->size;
    r->filters = d->filters;
    for (int i = 0; i < d->filters; i++) r->filter[i] = d->filter[i];
    r->block = u->most;
    r->chunk = d->element;
    for (int i = 0; i < d->rank; i++) r->chunk *= d->chunk_dim[i];
    r->use = d->by_library;
    r->type = (int32_t)d->type;
    snprintf(r->name, sizeof r->name, "%s", d->name);
}

/* How it ended, when it gave no answer. */
static rt_status ended(rt_h5_unpacker *u, int *worn)
{
    rt_h5_exit e;
    rt_status st = rt_h5_run_end(&u->run, u->file->path, &e);
    forget(u);
    if (st) return st;
    *worn = u->served > 0 && WIFSIGNALED(e.status) && WTERMSIG(e.status) == SIGXCPU;
    return rt_h5_ended(u->file->path, u->doing, &u->request, &e);
}

/* The child's answer, which ends it unless it is that all went well. */
static rt_status answer(rt_h5_unpacker *u, int *worn)
{
    rt_h5_end end;
    clock_gettime(CLOCK_MONOTONIC, &u->run.start);
    rt_status st = rt_h5_take(u->run.plan, &u->run.start, u->file->path, &end, sizeof end);
    if (st == RT_NOTHING) return ended(u, worn);
    if (!st) {
        end.text[sizeof end.text - 1] = 0;
        for (char *c = end.text; *c; c++) if ((unsigned char)*c < 32 || *c == 127) *c = '?';
        st = rt_h5_verdict(u->file->path, u->doing, &u->request, &end);
    }
    if (!st) return RT_OK;
    close(u->run.plan);
    close(u->run.end);
    forget(u);
    return st;
}

static rt_status begin(rt_h5_unpacker *u)
{
    const char *path = u->file->path;
    size_t bytes = rt_h5_shared_bytes(u->most);
    int fd = memfd_create("retort-rows", MFD_CLOEXEC), none;
    if (fd < 0 || ftruncate(fd, (off_t)bytes)) {
        rt_status st = rt_fail(RT_RUN, "%s: no memory to unpack rows in: %s", path, strerror(errno));
        if (fd >= 0) close(fd);
        return st;
    }
    u->shared = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    rt_status st = u->shared == MAP_FAILED ? rt_fail(RT_RUN, "%s: no memory to unpack rows in: %s", path,
                                                     strerror(errno)) : RT_OK;
    fill_request(u);
    if (!st && (st = rt_h5_run_begin(&u->run, path, &u->request, u->file->fd, fd))) munmap(u->shared, bytes);
    close(fd);
    if (st) return st;
    u->running = 1;
    u->served = 0;
    return answer(u, &none);
}

static rt_status unpack(rt_h5_unpacker *u, uint64_t first, uint64_t n, char *dst, int *worn)
{
    *worn = 0;
    if (!u->running) RT_TRY(begin(u));
    u->shared->first = first;
    u->shared->rows = n;
    atomic_fetch_add(&u->shared->turn, 1);
    syscall(SYS_futex, &u->shared->turn, FUTEX_WAKE, 1, NULL, NULL, 0);
    RT_TRY(answer(u, worn));
    memcpy(dst, (const char *)u->shared + RT_H5_SHARED_HEAD, n * u->row_bytes);
    u->served++;
    return RT_OK;
}

/* The better reason, where there is one: bytes that are no longer there. */
static rt_status cut_or(const rt_h5_file *f, rt_status st)
{
    struct stat s;
    if (fstat(f->fd, &s) || (uint64_t)s.st_size >= f->size) return st;
    return rt_fail(RT_INPUT, "%s: was cut from %llu to %llu bytes while it was read", f->path,
                   (unsigned long long)f->size, (unsigned long long)s.st_size);
}

rt_status rt_h5_unpack(rt_h5_unpacker *u, uint64_t first, uint64_t n, char *dst)
{
    int worn;
    if (!n || n > u->most / u->row_bytes) return rt_fail(RT_RUN, "%s: rows are too many to unpack", u->file->path);
    snprintf(u->doing, sizeof u->doing, "unpacking rows %llu to %llu of data set '%.80s'", (unsigned long long)first,
             (unsigned long long)(first + n - 1), u->set->name);
    rt_status st = unpack(u, first, n, dst, &worn);
    if (st && worn) st = unpack(u, first, n, dst, &worn);
    return st == RT_INPUT ? cut_or(u->file, st) : st;
}
