/* experiments/mask_file.h - a mask of rows as a file, for data.mask: u8 of all rows of the data, 1 where a row stays,
 * as data set "keep" of an HDF5 file or as NPY, by the name's ending. */
#ifndef RT_EXPERIMENTS_MASK_FILE_H
#define RT_EXPERIMENTS_MASK_FILE_H

#include "export/out_file.h"

typedef struct {
    const char *path;
    rt_output *out;
    rt_out_file npy;
    int fd;                            /* of HDF5; -1: none */
    uint64_t base, done, rows;         /* where its bytes are; rows so far, in all */
} rt_mask_file;

/* RT_USAGE when the name's ending is none; NULL is fine. */
rt_status rt_mask_check(const char *path);
rt_status rt_mask_begin(rt_mask_file *, rt_output *, uint64_t rows);
/* The next n rows. */
rt_status rt_mask_put(rt_mask_file *, const unsigned char *keep, uint64_t n);
/* Rows up to `end` stay. */
rt_status rt_mask_keep(rt_mask_file *, uint64_t end);
/* The rows that are left stay; the file gets its name when st is RT_OK; the first failure. */
rt_status rt_mask_end(rt_mask_file *, rt_status st);
#endif
