/* data/h5.h - HDF5 without trust: files are scanned in a locked-down child, and raw bytes are read and written here.
 *
 * Reading: HDF5's own reader of metadata is not made for hostile files and holds a global lock. rt_h5_scan has a child
 * made that holds nothing but the open file, gives up its identity and all system calls but a few, lets the library
 * read the metadata, and hands back a plan: names, types, shapes, layout, filters, offsets. The plan is checked against
 * the file's size and treated as hostile, too. Data is then read by rt_source (data/source.h) with plain reads.
 * Writing: the library creates the metadata with every data set allocated contiguously; the bytes are ours to write. */
#ifndef RT_DATA_H5_H
#define RT_DATA_H5_H

#include <stdint.h>

#include "engine/types.h"
#include "engine/error.h"

enum { RT_H5_RANK = 8, RT_H5_FILTERS = 8, RT_H5_PARAMS = 5, RT_H5_NAME = 1024, RT_H5_MAX_CHUNKS = 1 << 24 };
/* filters that are undone here; others are left to the HDF5 library (by_library) */
enum { RT_H5_DEFLATE = 1, RT_H5_SHUFFLE = 2, RT_H5_FLETCHER32 = 3, RT_H5_LZF = 32000, RT_H5_LZ4 = 32004,
       RT_H5_BITSHUFFLE = 32008, RT_H5_ZSTD = 32015 };

/* How elements come from the library: as they are stored; or as integers or floats of d->type, whose stored form has
 * fewer bits, or another layout. */
typedef enum { RT_H5_AS_STORED = 1, RT_H5_CONVERTED } rt_h5_library_use;

/* bytes 0: never written, every element is the set's fill value. mask, bit i: filter i was not applied; all ones: none
 * was. */
typedef struct { uint64_t offset; uint32_t bytes, mask; } rt_h5_chunk;

/* What is needed to read a data set with plain reads. Its bytes are in one of four places:
 *   compact != NULL                              in memory: element * dim[0] * ... bytes, at most 64 KiB
 *   !chunked, offset == UINT64_MAX               nowhere: nothing was ever written, every element is the fill value
 *   !chunked                                     in the file from offset on (counted with the user block)
 *   chunked                                      in chunk[], row-major over the grid of chunks
 * rt_h5_scan has checked that they lie inside the file, that the fill value is known where it is needed, and that
 * element * dim[0] * ... and a chunk's bytes do not overflow. Filters are undone last first; then, with swap, the bytes
 * of each element are reversed; fill is stored like the elements, so it is reversed, too. With by_library none of that
 * is done here: the chunks tell no more than which were written, and rows come from data/h5_unpack.h. */
typedef struct {
    char name[RT_H5_NAME];              /* path without the leading '/' */
    rt_dtype type;                      /* booleans and enumerations: the integer they are stored as */
    uint32_t element;                   /* bytes of one element (TEXT: its length) */
    int swap;                           /* 1: stored big-endian */
    unsigned char fill[8];              /* one element as stored; TEXT: zeros */
    int rank;
    uint64_t dim[RT_H5_RANK];
    int chunked;
    int by_library;                     /* 0, or an rt_h5_library_use: a filter or a type needs the HDF5 library */
    char filter_name[32];               /* what the file calls the first filter that is not undone here */
    uint64_t offset;
    unsigned char *compact;
    uint64_t chunk_dim[RT_H5_RANK];
    int filters;
    int filter[RT_H5_FILTERS];          /* RT_H5_DEFLATE, ... in the order in which they were applied */
    uint32_t param[RT_H5_FILTERS][RT_H5_PARAMS];   /* shuffle: [0] element; LZF: [2] bytes of a chunk, or 0;
                                         * bitshuffle: data/codecs.h */
    rt_h5_chunk *chunk;
    uint64_t chunks;
    char refused[384];                  /* why it cannot be read, "" when it can */
} rt_h5_dataset;

/* Of the child: only system calls of a list (seccomp), no path at all (Landlock), no privilege. A kernel or a container
 * may lack each; memory, CPU time and descriptors are always limited. */
enum { RT_H5_GUARD_CALLS = 1, RT_H5_GUARD_FILES = 2, RT_H5_GUARD_USER = 4 };

typedef struct rt_h5_file {
    int fd;                             /* the file, open for reading; -1 of several */
    uint64_t size;
    struct rt_h5_file **part; /* of several files as one (rt_source_scan): each, by order; set[] are their sets
                               * behind each other, which rt_source_open_in reads, and "manifest", that of the
                               * first */
    int parts;                          /* 0: one file */
    rt_h5_dataset *set;
    int sets;
    char path[1024];
    int cut;                            /* 1: it holds more data sets or links than are looked at; set[] is not all */
    int guard;                          /* what held the child that read the metadata */
    int users;                          /* sources opened from it keep it; rt_h5_close gives one use back */
} rt_h5_file;

/* The process that children are forked from. It holds what is in memory when it is started, so main does that first;
 * where nobody did, the first scan does. What goes wrong is said by the scan. stop waits for its end, so that its use
 * of the CPU is accounted for; without, it ends with this process. Thread-safe; stop waits for scans that are under
 * way. */
void rt_h5_reader_start(void);
void rt_h5_reader_stop(void);

/* "deflate", "szip", ... of a filter that somebody is known to use; "?" of another. */
const char *rt_h5_filter_name(int filter);
/* Whether it is undone here. */
int rt_h5_filter_undone(int filter);

/* Lists every link of the file: data sets that can be read, and by name, with the reason in `refused`, everything else
 * that stands where a data set could (sets in a layout that the library does not know, dangling and external links,
 * virtual sets, stored types, ...). Soft links to sets of the same file are listed under both names. A user block is
 * skipped. Thread-safe. RT_INPUT with the file's name when it is no HDF5 file or its metadata is damaged; RT_RUN when
 * the machine is at fault (memory, processes, a failing disk): nothing is then known about the file. */
rt_status rt_h5_scan(rt_h5_file **out, const char *path);
void rt_h5_close(rt_h5_file *);
/* The data set of this name, which may be refused, or NULL. */
const rt_h5_dataset *rt_h5_find(const rt_h5_file *, const char *name);
/* The same, readable; else RT_INPUT with the reason, or with the names that the file has. */
rt_status rt_h5_need(const rt_h5_dataset **out, const rt_h5_file *, const char *name);
/* Reads a whole contiguous or compact data set into memory that the caller frees; bounded by max_bytes. Text gets a
 * zero behind. Of several files as one "manifest" alone. */
rt_status rt_h5_read_all(void **out, const rt_h5_file *, const char *name, uint64_t max_bytes);

typedef struct {
    const char *name;                   /* "group/name": one level of groups */
    rt_dtype type;
    uint32_t element;                   /* TEXT: length */
    int rank;
    uint64_t dim[RT_H5_RANK];
    const void *data;                   /* rt_h5_write and _save only; NULL: left zero */
    const char *note, *said;            /* an attribute of the set and its text; NULL: none */
} rt_h5_item;

/* Fills the empty file fd (path is for messages) with the items allocated, zero, contiguous; offsets[i] tells where
 * item i's bytes belong. The disk's blocks are reserved: a full disk fails here. kind goes into the root attribute
 * "format". */
rt_status rt_h5_create(int fd, const char *path, const char *kind, const rt_h5_item *, int items, uint64_t *offsets);

/* The same with the items' data: a whole file, which the caller syncs. */
rt_status rt_h5_write(int fd, const char *path, const char *kind, const rt_h5_item *, int items);
/* Writes a whole file with its data, durably, in the place of what has its name; for files that a lock guards
 * already. */
rt_status rt_h5_save(const char *path, const char *kind, const rt_h5_item *, int items);
#endif
