/* data/h5_plan.h - what passes from the locked-down child to rt_h5_scan, and the parts of that child. Only for h5_*.c.
 *
 * The child writes records to a pipe: an int32_t kind, then its struct. A set's record is followed by its compact
 * bytes, or by its chunk table (16 bytes a chunk, in blocks) and a rt_h5_tail. The last record is the end; without it
 * the plan is worth nothing. The parent believes no number of it. hid_t is written int64_t here, as it is since HDF5
 * 1.10. */
#ifndef RT_DATA_H5_PLAN_H
#define RT_DATA_H5_PLAN_H

#include <pthread.h>

#include "data/h5.h"

enum { RT_H5_MAX_SETS = 1 << 16, RT_H5_MAX_COMPACT = 64 << 10, RT_H5_ALL_COMPACT = 64 << 20,
       RT_H5_ALL_CHUNKS = 2 * RT_H5_MAX_CHUNKS, RT_H5_CPU_SECONDS = 5 };
enum { RT_H5_SET = 1, RT_H5_END = 2 };

typedef struct {
    rt_h5_dataset set;                  /* its pointers are NULL */
    uint32_t compact;                   /* bytes that follow */
    char unfilled[128];                 /* why what was never written cannot be read, "" when fill is its value */
} rt_h5_record;

typedef struct { char refused[256]; } rt_h5_tail;    /* after a chunk table: why it is worth nothing, or "" */

typedef enum {
    RT_H5_DONE,
    RT_H5_UNREADABLE,                   /* the library refuses the file; text says why */
    RT_H5_FAULT,                        /* reading failed: error is the errno */
    RT_H5_MEMORY                        /* no memory */
} rt_h5_outcome;

typedef struct { int32_t outcome, error, cut; char text[160]; } rt_h5_end;

/* Held while the library is used in this process, and while it forks: the child gets a library at rest. */
extern pthread_mutex_t rt_h5_library;

/* h5_child.c: scans the file behind fd and writes the plan to out. second: a failed allocation is the machine's fault
 * only if there is really no memory; the first time it always is. */
_Noreturn void rt_h5_child(int fd, uint64_t size, int out, int second);

/* h5_sandbox.c: gives up what a reader of one open file does not need. An errno, or 0. */
int rt_h5_lock_down(void);
/* The CPU seconds that the child may use from its start on; more only up to what the parent's limits leave. */
void rt_h5_limit_cpu(double seconds);

/* h5_driver.c: opens the file behind fd with a file driver that opens nothing; a hid_t. Once a process. */
int64_t rt_h5_driver_open(int fd, uint64_t size);
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

/* h5_describe.c: everything about an open data set but its chunk table; bytes go to *compact, which the caller frees.
 * 0, or -1 when there is no memory. */
int rt_h5_describe(int64_t dataset, rt_h5_record *, unsigned char **compact);
void rt_h5_refuse(rt_h5_dataset *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
#endif
