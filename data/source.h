/* data/source.h - one data set of an HDF5 file, or of several behind each other, as rows, read by many threads at once.
 *
 * What the file holds as it is (contiguous data, chunks without filters) is copied from a map of it; other chunks are
 * decoded here, block by block, into a cache that threads share. The HDF5 library takes no part in it. Rows are given
 * in the type that the file has, little-endian. */
#ifndef RT_DATA_SOURCE_H
#define RT_DATA_SOURCE_H

#include "engine/convert.h"
#include "data/h5.h"
#include "engine/digest.h"
#include "engine/types.h"

typedef struct rt_source rt_source;

enum { RT_SOURCE_ROW_BYTES = 256 << 20 /* no row is larger */, RT_SOURCE_PARTS = 8 };

/* path: a source, as data/source_files.h has it. Dimension 0 counts rows. RT_INPUT with the reason when the set is
 * missing, refused, has no rows' dimension, has rows of more than RT_SOURCE_ROW_BYTES, or needs blocks decoded that are
 * above 1 GiB. */
rt_status rt_source_open(rt_source **out, const char *path, const char *dataset);
/* The same, of a file that is scanned already. */
rt_status rt_source_open_in(rt_source **out, rt_h5_file *, const char *dataset);
void rt_source_close(rt_source *);

uint64_t rt_source_rows(const rt_source *);
size_t rt_source_row_bytes(const rt_source *);
rt_dtype rt_source_type(const rt_source *);
const rt_h5_dataset *rt_source_info(const rt_source *);
const char *rt_source_path(const rt_source *);
/* The file it is a data set of, which may be several as one (rt_source_scan); it lives as long as the source. */
rt_h5_file *rt_source_file(const rt_source *);
/* Data sets side by side as one: a row is one of each, in the order given, each at a multiple of 8 bytes (between them
 * zeros). Its type is u8, its rows are flat; path and file are those of part `home`. Takes the parts over, also when
 * it fails: RT_INPUT when they differ in rows, or their rows are larger together than RT_SOURCE_ROW_BYTES. Names are
 * copied. */
rt_status rt_source_join(rt_source **out, rt_source **part, const char *const *name, int parts, int home);
/* Of a source that is no such: 1, itself at byte 0, its name "". */
int rt_source_parts(const rt_source *);
rt_source *rt_source_part(const rt_source *, int i, const char **name, size_t *at);
/* The part of this name, -1: none. */
int rt_source_find_part(const rt_source *, const char *name);

/* The files whose rows stand behind each other: how many, and the row that each begins with, *first[0] to
 * *first[files]; 1 and NULL of one file. first may be NULL. Of parts side by side those of the part that
 * rt_source_block is of. */
int rt_source_files_behind(const rt_source *, const uint64_t **first);
/* The rows of one of them, of a source that is no parts side by side; of one file itself. It belongs to the source. */
rt_source *rt_source_link(const rt_source *, int i);

/* Rows that lie together (a chunk's): what a shuffle should keep together. 1 where any row is read for itself as fast:
 * contiguous data, and chunks of whole rows without filters. */
uint64_t rt_source_block(const rt_source *);
/* How many such blocks may be read from in turn without any being decoded twice; at least 1, INT_MAX where nothing is
 * decoded. */
int rt_source_window_blocks(const rt_source *);
/* The shape of a row; a scalar row is (1). RT_INPUT when it has more dimensions than a tensor. */
rt_status rt_source_shape(const rt_source *, rt_shape *);

/* Before rows [first, end) are read one after the other: RT_INPUT when next to nothing of them is stored (rt_hollow).
 * Not while others read the file by its position. */
rt_status rt_source_check_stored(const rt_source *, uint64_t first, uint64_t end);
/* Copies rows row[0..n) into dst, in that order. Thread-safe. RT_INPUT when a row is out of range or damaged, or the
 * file was cut short since it was opened. */
rt_status rt_source_read(rt_source *, const uint64_t *row, int n, void *dst);
/* Copies rows [first, first + n) into dst. Thread-safe. */
rt_status rt_source_read_stored(rt_source *, uint64_t first, uint64_t n, void *dst);
#endif
