/* data/identity_cache.h - the file in which identity.c keeps leaves. It is a text of lines:
 *   retort-id 1
 *   file SIZE MTIME_NS CTIME_NS INODE DEVICE
 *   set NAME TYPE DIM0xDIM1... SPAN_ROWS          NAME with %XX for what is not printable ASCII; then
 *   SPAN HEX                                      a line for each known leaf, and further sets
 *   crc32c HEX                                    of all bytes before this line
 * It comes from outside like any other file: what does not hold in every detail counts as not there. */
#ifndef RT_DATA_IDENTITY_CACHE_H
#define RT_DATA_IDENTITY_CACHE_H

#include "data/files.h"
#include "data/identity.h"

/* One set's leaves; `key` is its line without the newline. */
typedef struct {
    const char *path, *key;        /* path of the data file */
    rt_stamp stamp;                /* what the file must still be for its leaves to count */
    uint64_t spans;
} rt_leaf_key;

/* The line of a set, for the caller to free; NULL when out of memory. */
char *rt_leaf_line(const rt_h5_dataset *, uint64_t span_rows);
/* Fills leaves that are still zero with what is kept. */
void rt_leaves_load(const rt_leaf_key *, rt_leaf *);
/* Keeps those of leaf[0..spans) that are not zero, beside what is kept of this file already. */
void rt_leaves_save(const rt_leaf_key *, const rt_leaf *);
#endif
