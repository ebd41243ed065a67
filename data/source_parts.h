/* data/source_parts.h - what source.c and source_join.c share; nothing else includes it. */
#ifndef RT_DATA_SOURCE_PARTS_H
#define RT_DATA_SOURCE_PARTS_H

#include <pthread.h>
#include <stdatomic.h>

#include "data/cache.h"
#include "data/checks.h"
#include "data/decode.h"
#include "data/grid.h"
#include "data/h5_unpack.h"
#include "data/source.h"

enum { RT_SOURCE_CACHE = 256 << 20 };  /* bytes of decoded blocks that a source holds */

/* A decoder with room for the chunks that are spread over rows together; or a child that has the HDF5 library do it
 * all. Idle ones wait in a list. */
typedef struct rt_source_worker {
    rt_decoder *decoder;
    char *group;
    rt_h5_unpacker *unpacker;
    struct rt_source_worker *next;
} rt_source_worker;

/* One of the data sets that stand side by side. */
typedef struct {
    rt_source *source;
    char *name;
    size_t at;                     /* bytes from the beginning of a row */
} joined_part;

struct rt_source {
    joined_part part[RT_SOURCE_PARTS];
    int parts; /* side by side: only file, set, row_bytes and rows below are used; 0: one data set */
    rt_h5_dataset *joined;         /* what `set` is then */
    struct rt_source **link;       /* behind each other: the same, and cache */
    int links;                     /* 0: one file's */
    uint64_t *first;               /* (links + 1) row of each link, then all rows */
    uint64_t *first_block;         /* (links + 1) block of each link in the cache of all */
    rt_h5_file *file;
    const rt_h5_dataset *set;
    size_t row_bytes;
    uint64_t rows;
    void *map;
    size_t map_bytes;
    _Atomic long checked;          /* when the file's size was last compared, in ticks of the coarse clock */
    rt_checks *checks;             /* of data that lies in one piece; NULL: there are none */
    const char *base;              /* row 0 of data that lies in one piece */
    const char *chunks;            /* byte 0 of the file, of chunks without filters */
    rt_cache *cache;               /* of other chunks' blocks */
    uint64_t cache_base;           /* number of block 0 in it */
    int linked;                    /* is a link: the cache is that of all links */
    rt_grid grid;
    rt_source_worker *idle;
    pthread_mutex_t lock;          /* of idle */
};

/* One file's set. linked: it has no cache of its own, but is given one where rt_source_decoded_bytes is not 0. */
rt_status rt_source_open_set(rt_source **out, rt_h5_file *, const char *dataset, int linked);
/* Bytes of a block that the cache holds; 0: nothing is decoded. */
size_t rt_source_decoded_bytes(const rt_source *);
/* Decodes a block of one file's set; block 0 is its own first. */
rt_status rt_source_load(rt_source *, uint64_t block, char *data);

/* source_join.c: of sets side by side. */
rt_status rt_source_read_joined(rt_source *, const uint64_t *row, uint64_t first, uint64_t n, char *dst);
int rt_source_slowest(const rt_source *);             /* the part with the largest blocks */
int rt_source_joined_window(const rt_source *);
/* Of sets behind each other, of a file that is several. row NULL: those from first on. */
rt_status rt_source_chain(rt_source **out, rt_h5_file *, const char *dataset);
rt_status rt_source_read_chained(rt_source *, const uint64_t *row, uint64_t first, uint64_t n, char *dst);
uint64_t rt_source_chained_block(const rt_source *);
int rt_source_chained_window(const rt_source *);
#endif
