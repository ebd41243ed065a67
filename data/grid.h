/* data/grid.h - where the rows of a chunked data set lie: its grid of chunks, and rows put together from them.
 *
 * A block is the chunks that hold the same rows, in row-major order over the other dimensions; `per` of them. Chunks at
 * an edge are stored whole; what hangs over is cut off. */
#ifndef RT_DATA_GRID_H
#define RT_DATA_GRID_H

#include "data/h5.h"

typedef struct {
    int rank;
    size_t element, row_bytes, chunk_bytes;
    uint64_t block_rows, blocks, per;
    int whole;                          /* a chunk is rows end to end, nothing cut or hanging over */
    uint64_t dim[RT_H5_RANK], chunk_dim[RT_H5_RANK], chunks[RT_H5_RANK];
    int cut;                            /* the last dimension > 0 that is cut; those behind it lie together */
    size_t from[RT_H5_RANK], to[RT_H5_RANK];   /* bytes between neighbours in a dimension: in a chunk, in a row */
} rt_grid;

/* Of a set with chunks, as checked by rt_h5_scan, and at least one dimension. */
void rt_grid_init(rt_grid *, const rt_h5_dataset *);

/* Rows first, first + 1, ... of a block, as far as they lie in its chunks number from, from + 1, ... (to - 1), go to
 * their places in dst, (rows, row_bytes). chunk[i] holds chunk from + i decoded; NULL: it is all fill. */
void rt_grid_gather(const rt_grid *, char *dst, uint64_t first, uint64_t rows, const char *const *chunk, uint64_t from,
                    uint64_t to, const unsigned char *fill);

/* n bytes of elements that are all `fill` (8 bytes known; longer elements are zeros). */
void rt_fill(char *dst, size_t n, const unsigned char *fill, size_t element);
#endif
