/* data/source.h - one data set of an HDF5 file as rows, read by many threads at once.
 *
 * Contiguous data is mapped; chunked data (deflate, shuffle, fletcher32) is decoded here, block by block, into a cache
 * that threads share. The HDF5 library takes no part in it. */
#ifndef RT_DATA_SOURCE_H
#define RT_DATA_SOURCE_H

#include "data/h5.h"
#include "engine/digest.h"
#include "engine/graph.h"

typedef struct rt_source rt_source;

/* Dimension 0 counts rows. RT_INPUT with the reason when the set is missing, refused or has no rows' dimension. */
rt_status rt_source_open(rt_source **out, const char *path, const char *dataset);
/* The same, of a file that is scanned already. */
rt_status rt_source_open_in(rt_source **out, rt_h5_file *, const char *dataset);
void rt_source_close(rt_source *);

uint64_t rt_source_rows(const rt_source *);
size_t rt_source_row_bytes(const rt_source *);
rt_dtype rt_source_type(const rt_source *);
const rt_h5_dataset *rt_source_info(const rt_source *);
const char *rt_source_path(const rt_source *);
/* The file it is a data set of; it lives as long as the source. */
rt_h5_file *rt_source_file(const rt_source *);
/* Rows that lie together (a chunk's), 1 for contiguous data: what a shuffle should keep together. */
uint64_t rt_source_block(const rt_source *);
/* The shape of a row; a scalar row is (1). RT_INPUT when it has more dimensions than a tensor. */
rt_status rt_source_shape(const rt_source *, rt_shape *);

/* Copies rows row[0..n) into dst, in that order. Thread-safe. RT_INPUT when a row is out of range or damaged. */
rt_status rt_source_read(rt_source *, const uint64_t *row, int n, void *dst);

/* Hash of type, shape and all rows in order. */
rt_status rt_source_digest(rt_source *, rt_digest *);

/* Elements as float: integers and floats of any width. */
void rt_to_float(float *dst, const void *src, rt_dtype, size_t n);
#endif
