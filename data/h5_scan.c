/* data/h5_scan.c - the plan of an HDF5 file: made in a locked-down child (h5_child.c), checked here. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "data/files.h"
#include "data/h5_plan.h"

enum { WALL_SECONDS = 600, MAX_CHUNK_BYTES = 256 << 20 };

pthread_mutex_t rt_h5_library = PTHREAD_MUTEX_INITIALIZER;

const char *rt_h5_filter_name(int filter)
{
    switch (filter) {
    case RT_H5_DEFLATE: return "deflate";
    case RT_H5_SHUFFLE: return "shuffle";
    case RT_H5_FLETCHER32: return "fletcher32";
    case RT_H5_LZF: return "lzf";
    default: return "?";
    }
}

/* ---- records from the child ---- */

typedef struct {
    int pipe;
    struct timespec start;
    const char *path;
    uint64_t compact, chunks;
    rt_h5_end end;
} plan;

/* Exactly n bytes. RT_NOTHING when the pipe ends before them: why is known once the child has been waited for. The
 * child is limited by its own CPU time; wall time only ends a wait for a dead disk or a stopped process. */
static rt_status take(plan *p, void *out, size_t n)
{
    for (char *at = out; n;) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        struct pollfd f = {.fd = p->pipe, .events = POLLIN};
        long left = (WALL_SECONDS - (now.tv_sec - p->start.tv_sec)) * 1000L;
        int ready = left > 0 ? poll(&f, 1, (int)left) : 0;
        if (ready == 0)
            return rt_fail(RT_RUN, "%s: its metadata was not read within %d s; does its disk answer?", p->path,
                           WALL_SECONDS);
        ssize_t k = ready < 0 ? -1 : read(p->pipe, at, n);
        if (k < 0 && errno == EINTR) continue;
        if (k < 0) return rt_fail(RT_RUN, "%s: the reader process does not answer: %s", p->path, strerror(errno));
        if (k == 0) return RT_NOTHING;
        at += k;
        n -= (size_t)k;
    }
    return RT_OK;
}

static void printable(char *s)
{
    for (; *s; s++) if ((unsigned char)*s < 32 || *s == 127) *s = '?';
}

static void refuse(rt_h5_dataset *d, const char *why)
{
    if (!d->refused[0]) snprintf(d->refused, sizeof d->refused, "%s", why);
}

/* Bytes of the set and of a chunk; 0 when they cannot be. */
static int possible(const rt_h5_dataset *d, uint64_t *bytes, uint64_t *chunk_bytes)
{
    uint64_t grid = 1;
    int bad = d->element == 0 || d->element > INT32_MAX || (d->type != RT_TEXT && d->element != rt_dtype_size(d->type));
    *bytes = *chunk_bytes = d->element;
    for (int i = 0; i < d->rank; i++) bad |= __builtin_mul_overflow(*bytes, d->dim[i], bytes);
    if (bad || *bytes >> 62) return 0;
    for (int i = 0; i < d->rank && d->chunked; i++) {
        if (!d->chunk_dim[i] || __builtin_mul_overflow(*chunk_bytes, d->chunk_dim[i], chunk_bytes)) return 0;
        uint64_t steps = d->dim[i] / d->chunk_dim[i] + (d->dim[i] % d->chunk_dim[i] != 0);
        if (__builtin_mul_overflow(grid, steps, &grid)) return 0;
    }
    return !d->chunked || grid == d->chunks;
}

/* The plan is as untrusted as the file: every number is checked before it is used. RT_INPUT: this is no plan at all. */
static rt_status check_record(plan *p, rt_h5_record *r, uint64_t file_size)
{
    rt_h5_dataset *d = &r->set;
    uint64_t bytes, chunk_bytes;
    d->name[sizeof d->name - 1] = d->refused[sizeof d->refused - 1] = r->unfilled[sizeof r->unfilled - 1] = 0;
    printable(d->name);
    printable(d->refused);
    d->compact = NULL;
    d->chunk = NULL;
    d->swap = d->swap != 0;
    d->chunked = d->chunked != 0;
    if (d->rank < 0 || d->rank > RT_H5_RANK || (unsigned)d->type >= RT_DTYPE_COUNT || d->filters < 0 ||
        d->filters > RT_H5_FILTERS || r->compact > RT_H5_MAX_COMPACT || d->chunks > RT_H5_MAX_CHUNKS ||
        (!d->chunked && d->chunks) ||
        (p->compact += r->compact) > RT_H5_ALL_COMPACT || (p->chunks += d->chunks) > RT_H5_ALL_CHUNKS)
        return rt_fail(RT_INPUT, "%s: damaged metadata", p->path);
    if (d->refused[0]) return RT_OK;
    for (int i = 0; i < d->filters; i++)
        if (strcmp(rt_h5_filter_name(d->filter[i]), "?") == 0) refuse(d, "it has a filter that is not supported");
    if (!possible(d, &bytes, &chunk_bytes)) refuse(d, "its shape is impossible: no file can hold as many bytes");
    else if (r->compact && (bytes != r->compact || d->chunked))
        refuse(d, "its compact layout holds another number of bytes than its shape asks for");
    else if (d->chunked && chunk_bytes > MAX_CHUNK_BYTES) refuse(d, "its chunks are larger than 256 MiB");
    else if (d->chunked || r->compact || !bytes) return RT_OK;
    else if (d->offset == UINT64_MAX && r->unfilled[0])
        snprintf(d->refused, sizeof d->refused, "nothing was ever written to it, and %s", r->unfilled);
    else if (d->offset != UINT64_MAX && (d->offset > file_size || bytes > file_size - d->offset))
        refuse(d, "its bytes lie outside the file, which is truncated");
    return RT_OK;
}

/* Chunks lie inside the file, whole where nothing packs them, and holes have a value. */
static void check_chunks(rt_h5_dataset *d, uint64_t file_size, const char *unfilled)
{
    uint64_t chunk_bytes = d->element;
    for (int i = 0; i < d->rank; i++) chunk_bytes *= d->chunk_dim[i];
    for (uint64_t i = 0; i < d->chunks && !d->refused[0]; i++) {
        const rt_h5_chunk *c = &d->chunk[i];
        int plain = d->filters == 0 || c->mask == UINT32_MAX;
        if (!c->bytes && unfilled[0])
            snprintf(d->refused, sizeof d->refused, "parts of it were never written, and %s", unfilled);
        else if (c->bytes && (c->offset > file_size || c->bytes > file_size - c->offset))
            refuse(d, "a chunk lies outside the file, which is truncated");
        else if (c->bytes && plain && c->bytes != chunk_bytes)
            refuse(d, "a chunk takes another number of bytes than its shape asks for");
    }
}

static rt_status take_payload(plan *p, rt_h5_record *r, uint64_t file_size)
{
    rt_h5_dataset *d = &r->set;
    rt_h5_tail tail;
    if (r->compact) {
        d->compact = malloc(r->compact);
        if (!d->compact) return rt_fail(RT_RUN, "%s: out of memory", p->path);
        RT_TRY(take(p, d->compact, r->compact));
    }
    if (!d->chunks) return RT_OK;
    d->chunk = malloc(d->chunks * sizeof *d->chunk);
    if (!d->chunk)
        return rt_fail(RT_RUN, "%s: no memory for a table of %llu chunks", p->path, (unsigned long long)d->chunks);
    RT_TRY(take(p, d->chunk, d->chunks * sizeof *d->chunk));
    RT_TRY(take(p, &tail, sizeof tail));
    tail.refused[sizeof tail.refused - 1] = 0;
    printable(tail.refused);
    refuse(d, tail.refused);
    if (!d->refused[0]) check_chunks(d, file_size, r->unfilled);
    return RT_OK;
}

static void free_bytes(rt_h5_dataset *d)
{
    free(d->chunk);
    free(d->compact);
    d->chunk = NULL;
    d->compact = NULL;
    d->chunks = 0;
}

/* All records, to the last one. */
static rt_status take_plan(rt_h5_file *f, plan *p)
{
    int room = 0;
    for (;;) {
        int32_t kind;
        RT_TRY(take(p, &kind, sizeof kind));
        if (kind == RT_H5_END) {
            RT_TRY(take(p, &p->end, sizeof p->end));
            p->end.text[sizeof p->end.text - 1] = 0;
            printable(p->end.text);
            f->cut = p->end.cut != 0;
            return RT_OK;
        }
        rt_h5_record r;
        if (kind != RT_H5_SET || f->sets >= RT_H5_MAX_SETS) return rt_fail(RT_INPUT, "%s: damaged metadata", p->path);
        RT_TRY(take(p, &r, sizeof r));
        RT_TRY(check_record(p, &r, f->size));
        if (f->sets == room) {
            room = room ? 2 * room : 16;
            rt_h5_dataset *grown = realloc(f->set, (size_t)room * sizeof *grown);
            if (!grown) return rt_fail(RT_RUN, "%s: out of memory", p->path);
            f->set = grown;
        }
        rt_status st = take_payload(p, &r, f->size);
        if (st || r.set.refused[0]) free_bytes(&r.set);
        if (st) return st;
        f->set[f->sets++] = r.set;
    }
}

/* ---- the child ---- */

/* What a child without an end record says about the file: signals of the library's own making are damage; being killed
 * from outside is not. */
static rt_status ended(const char *path, int status)
{
    int killed = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    if (killed == SIGKILL)
        return rt_fail(RT_RUN, "%s: the process that reads its metadata was killed; is there enough memory?", path);
    if (killed == SIGXCPU)
        return rt_fail(RT_INPUT, "%s: reading its metadata takes over %d s of CPU time; the file is damaged or hostile",
                       path, RT_H5_CPU_SECONDS);
    if (killed)
        return rt_fail(RT_INPUT, "%s: the HDF5 library died reading its metadata (signal %d); the file is damaged or "
                       "hostile", path, killed);
    return rt_fail(RT_RUN, "%s: the process that reads its metadata ended early (status %d)", path,
                   WEXITSTATUS(status));
}

static rt_status scan_once(rt_h5_file *f, const char *path, int second, rt_h5_outcome *outcome)
{
    int pipes[2], status = 0;
    plan p = {.path = path};
    *outcome = RT_H5_DONE;
    if (pipe2(pipes, O_CLOEXEC)) return rt_fail(RT_RUN, "%s: no pipe: %s", path, strerror(errno));
    pthread_mutex_lock(&rt_h5_library);
    pid_t pid = fork();
    int error = errno;
    if (pid == 0) {
        close(pipes[0]);
        rt_h5_child(f->fd, f->size, pipes[1], second);
    }
    pthread_mutex_unlock(&rt_h5_library);
    close(pipes[1]);
    p.pipe = pipes[0];
    clock_gettime(CLOCK_MONOTONIC, &p.start);
    rt_status st = pid < 0 ? RT_RUN : take_plan(f, &p);
    close(pipes[0]);
    if (pid < 0) return rt_fail(RT_RUN, "%s: could not start a reader process: %s", path, strerror(error));
    if (st && st != RT_NOTHING) kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) ;
    if (st == RT_NOTHING) return ended(path, status);
    if (st) return st;
    *outcome = (rt_h5_outcome)p.end.outcome;
    switch (*outcome) {
    case RT_H5_DONE: return RT_OK;
    case RT_H5_UNREADABLE:
        return rt_fail(RT_INPUT, "%s: is no readable HDF5 file (%s); it is damaged, truncated or was not closed", path,
                       p.end.text);
    case RT_H5_FAULT: return rt_fail(RT_RUN, "%s: reading it failed: %s", path, strerror(p.end.error));
    case RT_H5_MEMORY: return rt_fail(RT_RUN, "%s: no memory to read its metadata", path);
    default: return rt_fail(RT_INPUT, "%s: damaged metadata", path);
    }
}

static void forget_sets(rt_h5_file *f)
{
    for (int i = 0; i < f->sets; i++) free_bytes(&f->set[i]);
    free(f->set);
    f->set = NULL;
    f->sets = 0;
}

/* ---- the file ---- */

static int machine_fault(int error)
{
    return error == EIO || error == ENOMEM || error == EMFILE || error == ENFILE || error == ESTALE;
}

/* The signature is at byte 0, or behind a user block at 512, 1024, 2048, ... */
static rt_status find_signature(const rt_h5_file *f, const char *path)
{
    for (uint64_t at = 0; at + 8 <= f->size; at = at ? 2 * at : 512) {
        char magic[8];
        ssize_t k;
        do k = pread(f->fd, magic, sizeof magic, (off_t)at);
        while (k < 0 && errno == EINTR);
        if (k < 0) return rt_fail(RT_RUN, "%s: reading it failed: %s", path, strerror(errno));
        if (k == sizeof magic && memcmp(magic, "\211HDF\r\n\032\n", sizeof magic) == 0) return RT_OK;
    }
    return rt_fail(RT_INPUT, "%s: is no HDF5 file; bring other formats in with 'retort import'", path);
}

static rt_status open_file(rt_h5_file *f, const char *path)
{
    struct stat s;
    f->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);      /* a FIFO must not block before it is recognized */
    if (f->fd < 0 || fstat(f->fd, &s))
        return rt_fail(machine_fault(errno) ? RT_RUN : RT_INPUT, "%s: %s", path, strerror(errno));
    if (!S_ISREG(s.st_mode)) return rt_fail(RT_INPUT, "%s: is not a file", path);
    f->size = (uint64_t)s.st_size;
    return find_signature(f, path);
}

rt_status rt_h5_scan(rt_h5_file **out, const char *path)
{
    *out = NULL;
    rt_h5_file *f = calloc(1, sizeof *f);
    if (!f) return rt_fail(RT_RUN, "out of memory");
    snprintf(f->path, sizeof f->path, "%s", path);
    f->users = 1;
    rt_h5_outcome outcome = RT_H5_DONE;
    rt_status st = open_file(f, path);
    for (int attempt = 0; attempt < 2 && !st; attempt++) {
        st = scan_once(f, path, attempt, &outcome);
        if (outcome != RT_H5_MEMORY || attempt) break;
        forget_sets(f);
        st = RT_OK;
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
    if (st) free(p); else *out = p;
    return st;
}
