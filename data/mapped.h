/* data/mapped.h - reading from a map of a file that may lose its end, or whose disk may fail.
 *
 * The kernel answers both with SIGBUS in the thread that reads. A thread that is about to read from a map says so; a
 * fault inside its map then ends the reading and nothing else. What the thread does in between must leave nothing
 * half done when it is left at any instruction: no locks, no memory taken. Costs some ten nanoseconds.
 *
 * The other way, a handler that puts a page of zeros where the file's was, would give zeros to every other reader of
 * the map as well, and whoever forgets to ask would take them for data. */
#ifndef RT_DATA_MAPPED_H
#define RT_DATA_MAPPED_H

#include <setjmp.h>
#include <stddef.h>

typedef struct {
    sigjmp_buf back;
    const char *from, *end;            /* the map */
} rt_mapped;

/* Makes the process answer faults in maps; any other SIGBUS stays what it was. Any thread; once is enough. */
void rt_mapped_init(void);
/* Begins and ends reading in this thread; reading does not nest. */
void rt_mapped_begin(rt_mapped *, const void *map, size_t bytes);
void rt_mapped_end(void);

/* 0 at first; 1 when a fault came: reading has ended then. */
#define RT_MAPPED_FAULT(m) sigsetjmp((m)->back, 0)
#endif
