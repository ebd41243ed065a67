/* data/h5_plan.h - what passes from the locked-down child to rt_h5_scan, and the parts of that child. Only for h5_*.c.
 *
 * The child writes records to a pipe: an int32_t kind, then its struct. The first, sent before the file is touched, is
 * an int32_t of what the kernel enforces (rt_h5_file.guard). A set's record is followed by its compact
 * bytes, or by its chunk table (16 bytes a chunk, in blocks) and a rt_h5_tail. The last record is the end; without it
 * the plan is worth nothing. The parent believes no number of it. hid_t is written int64_t here, as it is since HDF5
 * 1.10. */
#ifndef RT_DATA_H5_PLAN_H
#define RT_DATA_H5_PLAN_H

#include <pthread.h>
#include <time.h>

#include "data/h5.h"

/* Budgets. A child may take RT_H5_CHILD_BYTES of memory beyond what it was born with, a plan RT_H5_MAX_SETS records,
 * and its tables and compact bytes together rt_h5_payload_budget. */
enum { RT_H5_MAX_SETS = 1 << 16, RT_H5_MAX_COMPACT = 64 << 10, RT_H5_CHILD_BYTES = 256 << 20 };
enum { RT_H5_GUARD = 1, RT_H5_SET = 2, RT_H5_END = 3 };

typedef struct {
    rt_h5_dataset set;                  /* its pointers are NULL */
    uint32_t compact;                   /* bytes that follow */
    char unfilled[128];                 /* why what was never written cannot be read, "" when fill is its value */
} rt_h5_record;

typedef struct { char refused[384]; } rt_h5_tail;    /* after a chunk table: why it is worth nothing, or "" */

typedef enum {
    RT_H5_DONE,
    RT_H5_UNREADABLE,                   /* the library refuses the file; text says why */
    RT_H5_FAULT,                        /* reading failed: error is the errno */
    RT_H5_MEMORY,                       /* the machine has no memory */
    RT_H5_GREEDY,                       /* the file asks for more than rt_h5_memory_budget */
    RT_H5_NO_FILTER                     /* error: the one that HDF5 cannot undo here */
} rt_h5_outcome;

typedef struct { int32_t outcome, error, cut; char text[160]; } rt_h5_end;

/* What a child is asked, together with its descriptors: the file, the pipe for the plan, the pipe for rt_h5_exit, and
 * for RT_H5_UNPACK the memory that it shares with who asks; else -1. */
typedef enum {
    RT_H5_SCAN, /* a plan of the file */
    RT_H5_FIND_FILTERS, /* whether filter[] can be undone: an rt_h5_end, of a file that is not looked at */
    RT_H5_UNPACK /* rows of a set, as long as they are asked for (data/h5_unpack.h) */
} rt_h5_task;
typedef struct {
    int32_t task;
    int32_t filters, filter[RT_H5_FILTERS];
    uint64_t block, chunk;              /* bytes that are asked for at once, at most; of a chunk */
    int32_t use, type;                  /* rt_h5_library_use, rt_dtype */
    char name[RT_H5_NAME];              /* of the set */
    uint64_t size;
    uint64_t stored;                    /* bytes on disk, less than size when it has holes */
    int32_t second;                     /* a failed allocation is the machine's fault only if there is really no memory;
                                         * the first time it always is */
} rt_h5_request;
enum { RT_H5_FDS = 4 };

/* How the child ended. error: it could not be started. */
typedef struct { int32_t error, status, memory_short; double cpu; } rt_h5_exit;

/* Chunk tables and compact bytes of a file, kept by the parent: in proportion to what the file takes on disk. */
static inline uint64_t rt_h5_payload_budget(uint64_t stored) { return ((uint64_t)64 << 20) + stored; }
/* CPU seconds of a child: files of nothing but the smallest chunks take a quarter of it; the most chunks that are read
 * take less than the end. One that unpacks may take 2 s and 0.2 us a byte of what it is asked for at once: no filter is
 * that slow; where others' blocks have used it up, there is another child. */
static inline double rt_h5_cpu_budget(const rt_h5_request *r)
{
    if (r->task == RT_H5_UNPACK) return 2 + 2e-7 * (double)r->block;
    return r->stored < 196000000 ? 4 + 1e-6 * (double)r->stored : 200;
}
/* Memory of a child beyond what it was born with: filters hold a chunk several times. */
static inline uint64_t rt_h5_memory_budget(const rt_h5_request *r)
{
    return RT_H5_CHILD_BYTES + (r->task == RT_H5_UNPACK ? 8 * r->chunk : 0);
}

/* Held while the library is used in this process, and while it forks: the reader gets a library at rest. */
extern pthread_mutex_t rt_h5_library;

/* h5_plan.c: reads a plan from a pipe into f, whose sets are checked against its size. RT_NOTHING when the pipe ends
 * before the plan does. */
typedef struct {
    int pipe;
    uint64_t stored;
    struct timespec start;
    uint64_t payload;
    rt_h5_end end;
} rt_h5_plan;
rt_status rt_h5_take_plan(rt_h5_file *f, rt_h5_plan *);
void rt_h5_free_bytes(rt_h5_dataset *);
/* Exactly n bytes of a pipe, within the wall time of a plan that was begun at start. */
rt_status rt_h5_take(int pipe, const struct timespec *start, const char *path, void *out, size_t n);

/* h5_reader.c: has a child made for these descriptors, which stay the caller's. An errno, or 0; EPIPE:
 * the process that makes them was killed. */
int rt_h5_ask(const rt_h5_request *, const int fd[RT_H5_FDS]);

/* h5_run.c: a child at work. doing: "reading its metadata", for messages. */
typedef struct { int plan, end; struct timespec start; } rt_h5_run;
rt_status rt_h5_run_begin(rt_h5_run *, const char *path, const rt_h5_request *, int file, int memory);
/* Closes the plan, which ends a child that is not done, and waits for how it ended. RT_RUN where that is not to be had.
 */
rt_status rt_h5_run_end(rt_h5_run *, const char *path, rt_h5_exit *);
/* What an end without a word from the child says: signals of the library's own making are damage; being killed from
 * outside, or for want of memory, is not. */
rt_status rt_h5_ended(const char *path, const char *doing, const rt_h5_request *, const rt_h5_exit *);
/* What a child's own word says. */
rt_status rt_h5_verdict(const char *path, const char *doing, const rt_h5_request *, const rt_h5_end *);

/* h5_child.c: scans the file behind RT_H5_FILE_FD and writes the plan to RT_H5_PLAN_FD. */
_Noreturn void rt_h5_child(const rt_h5_request *, int guard);
/* What the library takes to start, done once, before there is a file. */
void rt_h5_warm_up(void);
void rt_h5_send(const void *, size_t);
/* How the library's last call failed, in its own words, of at least 100 bytes. 1: for want of memory. */
int rt_h5_library_says(char *text, size_t room);
int rt_h5_private_memory_for(size_t bytes);

/* h5_unpack_child.c: makes filters ready to be undone, plugins, too, for which it needs its rights yet. 0, or the first
 * that cannot be. */
int rt_h5_load_filters(const rt_h5_request *);
/* Sends an rt_h5_end; the process ends with any but RT_H5_DONE. */
void rt_h5_answer(rt_h5_outcome, int error, const char *text);
/* What the two share: this, a page, and behind it room for `block` bytes. turn changes with each request for rows
 * [first, first + rows), which are answered with an rt_h5_end each; the first such says that the set is open. */
typedef struct { _Atomic uint32_t turn; uint64_t first, rows; } rt_h5_shared;
enum { RT_H5_SHARED_HEAD = 4096 };
static inline size_t rt_h5_shared_bytes(uint64_t block) { return RT_H5_SHARED_HEAD + (size_t)block; }
/* Unpacks what is asked for in the memory until it is ended; behind rt_h5_isolate. */
_Noreturn void rt_h5_unpack_child(const rt_h5_request *, void *memory);

/* h5_sandbox.c: what a reader of one open file gives up, in this order. rt_h5_isolate: descriptors (the file and the
 * plan become the two numbers below), files, resources, identity; returns an errno, or 0 with what is enforced.
 * rt_h5_filter_calls: all system calls but those of a list; 1 when the kernel enforces it. */
enum { RT_H5_FILE_FD = 0, RT_H5_PLAN_FD = 1 };
int rt_h5_isolate(int file, int plan, const rt_h5_request *, int *guard);
int rt_h5_filter_calls(void);
/* Closes every descriptor from this one on. */
void rt_h5_close_from(int first);
/* 1 when this much memory is to be had from the machine, whatever this process is limited to. */
int rt_h5_memory_for(size_t bytes);

/* h5_driver.c: opens RT_H5_FILE_FD with a file driver that opens nothing; a hid_t. Once a process. */
int64_t rt_h5_driver_open(uint64_t size);
/* The errno of the first read that failed, or 0. */
int rt_h5_driver_error(void);
/* Where the chunk at these coordinates lies, from the index that the library itself reads by: 1 found, 0 never written,
 * -1 with the library's error stack set. */
int rt_h5_driver_chunk(int64_t dataset, const uint64_t *at, rt_h5_chunk *);

/* h5_write_driver.c: sets the driver that writes to fd in the file access list; path is for messages. 0, or -1. Under
 * rt_h5_library, as is what follows until the file is closed. */
int rt_h5_write_driver(int64_t access, int fd, const char *path);
/* The first failure of a read or a write, whose message is at hand; RT_OK when there was none. */
rt_status rt_h5_write_status(void);

/* h5_filters.c: a set whose chunks need the library's filters is refused where these cannot be undone. Asks the
 * reader's process, once for each filter. RT_RUN when the machine is at fault. */
rt_status rt_h5_filters_find(rt_h5_dataset *, const rt_h5_file *);

/* h5_describe.c: everything about an open data set but its chunk table; bytes go to *compact, which the caller frees.
 * 0, or -1 when there is no memory. */
int rt_h5_describe(int64_t dataset, rt_h5_record *, unsigned char **compact);
/* The type in which elements of a set of this type are read, a hid_t; and what is left to do to n of them then, in
 * place. 0, or -1. HDF5 1.10 takes integers that differ in the order of their bytes for equal otherwise, whatever their
 * bits: these are put in order first. */
int64_t rt_h5_memory_type(int64_t type, rt_dtype, int use);
int rt_h5_convert(int64_t memory, rt_dtype, int use, size_t n, void *);
void rt_h5_refuse(rt_h5_dataset *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
#endif
