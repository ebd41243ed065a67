/* data/h5_plan.c - reads and checks the plan that the child sends, which is as untrusted as the file. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "data/h5_plan.h"
#include "engine/progress.h"

enum { WALL_SECONDS = 600, LOOK_AT_STOP = 200, MAX_CHUNK_BYTES = 256 << 20 };      /* seconds, ms, bytes */

/* The child is limited by its own CPU time; wall time only ends a wait for a dead disk or a stopped process. */
rt_status rt_h5_take(int pipe, const struct timespec *start, const char *path, void *out, size_t n)
{
    for (char *at = out; n;) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        struct pollfd f = {.fd = pipe, .events = POLLIN};
        long left = (WALL_SECONDS - (now.tv_sec - start->tv_sec)) * 1000L;
        RT_TRY(rt_check_stop());
        int ready = left > 0 ? poll(&f, 1, LOOK_AT_STOP) : 0;
        if (ready == 0 && left > LOOK_AT_STOP) continue;
        if (ready == 0)
            return rt_fail(RT_RUN, "%s: the process that reads it gave no answer within %d s; does its disk answer?",
                           path, WALL_SECONDS);
        ssize_t k = ready < 0 ? -1 : read(pipe, at, n);
        if (k < 0 && errno == EINTR) continue;
        if (k < 0) return rt_fail(RT_RUN, "%s: the reader process does not answer: %s", path, strerror(errno));
        if (k == 0) return RT_NOTHING;
        at += k;
        n -= (size_t)k;
    }
    return RT_OK;
}

static rt_status take(const rt_h5_file *f, const rt_h5_plan *p, void *out, size_t n)
{
    return rt_h5_take(p->pipe, &p->start, f->path, out, n);
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

static rt_status no_plan(const rt_h5_file *f)
{
    return rt_fail(RT_INPUT, "%s: its metadata made the process that read it send nonsense; the file is hostile",
                   f->path);
}

/* Every number is checked before it is used. RT_INPUT: this is no plan
 * at all. */
static rt_status check_record(const rt_h5_file *f, rt_h5_plan *p, rt_h5_record *r)
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
    d->filter_name[sizeof d->filter_name - 1] = 0;
    printable(d->filter_name);
    if (d->rank < 0 || d->rank > RT_H5_RANK || (unsigned)d->type >= RT_DATA_TYPES || d->filters < 0 ||
        d->filters > RT_H5_FILTERS || r->compact > RT_H5_MAX_COMPACT || d->chunks > RT_H5_MAX_CHUNKS ||
        (!d->chunked && (d->chunks || d->by_library)) || d->by_library < 0 || d->by_library > RT_H5_CONVERTED ||
        (p->payload += r->compact + d->chunks * sizeof *d->chunk) > rt_h5_payload_budget(p->stored))
        return no_plan(f);
    if (d->refused[0]) return RT_OK;
    for (int i = 0; i < d->filters; i++)
        if (!rt_h5_filter_undone(d->filter[i]) && !d->by_library) refuse(d, "it has a filter that is not supported");
    if (!possible(d, &bytes, &chunk_bytes)) refuse(d, "its shape is impossible: no file can hold as many bytes");
    else if (r->compact && (bytes != r->compact || d->chunked))
        refuse(d, "its compact layout holds another number of bytes than its shape asks for");
    else if (d->chunked && chunk_bytes > MAX_CHUNK_BYTES) refuse(d, "its chunks are larger than 256 MiB");
    else if (d->chunked || r->compact || !bytes) return RT_OK;
    else if (d->offset == UINT64_MAX && r->unfilled[0])
        snprintf(d->refused, sizeof d->refused, "nothing was ever written to it, and %s", r->unfilled);
    else if (d->offset != UINT64_MAX && (d->offset > f->size || bytes > f->size - d->offset))
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
        else if (c->bytes && plain && c->bytes != chunk_bytes && !d->by_library)
            refuse(d, "a chunk takes another number of bytes than its shape asks for");
    }
}

static rt_status take_payload(const rt_h5_file *f, const rt_h5_plan *p, rt_h5_record *r)
{
    rt_h5_dataset *d = &r->set;
    rt_h5_tail tail;
    if (r->compact) {
        d->compact = malloc(r->compact);
        if (!d->compact) return rt_fail(RT_RUN, "%s: out of memory", f->path);
        RT_TRY(take(f, p, d->compact, r->compact));
    }
    if (!d->chunks) return RT_OK;
    d->chunk = malloc(d->chunks * sizeof *d->chunk);
    if (!d->chunk)
        return rt_fail(RT_RUN, "%s: no memory for a table of %llu chunks", f->path, (unsigned long long)d->chunks);
    RT_TRY(take(f, p, d->chunk, d->chunks * sizeof *d->chunk));
    RT_TRY(take(f, p, &tail, sizeof tail));
    tail.refused[sizeof tail.refused - 1] = 0;
    printable(tail.refused);
    refuse(d, tail.refused);
    if (!d->refused[0]) check_chunks(d, f->size, r->unfilled);
    return RT_OK;
}

void rt_h5_free_bytes(rt_h5_dataset *d)
{
    free(d->chunk);
    free(d->compact);
    d->chunk = NULL;
    d->compact = NULL;
    d->chunks = 0;
}

static rt_status take_set(rt_h5_file *f, rt_h5_plan *p, int *room)
{
    rt_h5_record r;
    if (f->sets >= RT_H5_MAX_SETS) return no_plan(f);
    RT_TRY(take(f, p, &r, sizeof r));
    RT_TRY(check_record(f, p, &r));
    if (f->sets == *room) {
        *room = *room ? 2 * *room : 16;
        rt_h5_dataset *grown = realloc(f->set, (size_t)*room * sizeof *grown);
        if (!grown) return rt_fail(RT_RUN, "%s: out of memory", f->path);
        f->set = grown;
    }
    rt_status st = take_payload(f, p, &r);
    if (st || r.set.refused[0]) rt_h5_free_bytes(&r.set);
    if (!st) f->set[f->sets++] = r.set;
    return st;
}

rt_status rt_h5_take_plan(rt_h5_file *f, rt_h5_plan *p)
{
    int32_t kind, guard;
    int room = 0;
    RT_TRY(take(f, p, &kind, sizeof kind));
    if (kind != RT_H5_GUARD) return no_plan(f);
    RT_TRY(take(f, p, &guard, sizeof guard));
    f->guard = guard;
    for (;;) {
        RT_TRY(take(f, p, &kind, sizeof kind));
        if (kind == RT_H5_END) {
            RT_TRY(take(f, p, &p->end, sizeof p->end));
            p->end.text[sizeof p->end.text - 1] = 0;
            printable(p->end.text);
            f->cut = p->end.cut != 0;
            return RT_OK;
        }
        if (kind != RT_H5_SET) return no_plan(f);
        RT_TRY(take_set(f, p, &room));
    }
}
