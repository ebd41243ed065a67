/* data/h5_unpack.h - rows of chunked sets that need the HDF5 library (rt_h5_dataset.by_library): for a filter that is
 * not undone here, be it the library's own or a plugin's, or a type that has to be converted.
 *
 * A child as locked down as that of rt_h5_scan opens the set and reads what is asked for into memory that is shared
 * with it. Plugins, of HDF5_PLUGIN_PATH or else of the library's own folder, are loaded before it is locked down. */
#ifndef RT_DATA_H5_UNPACK_H
#define RT_DATA_H5_UNPACK_H

#include "data/h5.h"

/* A child at work, or none yet. For one thread at a time; any number of them for a set. */
typedef struct rt_h5_unpacker rt_h5_unpacker;
/* Nothing is started. most: bytes of rows that are asked for at once, at most; row_bytes: as rt_source has them. The
 * file and the set must outlive it. NULL: out of memory. */
rt_h5_unpacker *rt_h5_unpacker_new(const rt_h5_file *, const rt_h5_dataset *, size_t row_bytes, uint64_t most);
void rt_h5_unpacker_free(rt_h5_unpacker *);

/* Rows [first, first + n), which exist, to dst, as the set's type has them but for `swap`. A child that was ended by
 * what it did for others is replaced once. RT_INPUT, naming the rows, when they are damaged or end the child; RT_RUN
 * when the machine is at fault: memory, a failing disk, a child killed from outside. */
rt_status rt_h5_unpack(rt_h5_unpacker *, uint64_t first, uint64_t n, char *dst);
#endif
