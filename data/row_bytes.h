/* data/row_bytes.h - a set that has one byte for each row of the data: a mask, numbers of folds. */
#ifndef RT_ROW_BYTES_H
#define RT_ROW_BYTES_H

#include <stdint.h>

#include "engine/digest.h"
#include "engine/error.h"
#include "engine/types.h"

/* The bytes of rows [first, first + n), which the function may change. */
typedef rt_status rt_row_bytes_fn(void *arg, unsigned char *byte, uint64_t first, uint64_t n);

typedef struct {
    const char *source, *set;
    rt_dtype type[3];                  /* any of them */
    int types;
    const char *what;                  /* "mask", of which there is one for each row */
    const char *wants;                 /* "u8, i8 or truth values, one a row, are expected" */
} rt_row_bytes;

/* Calls fn on all rows in their order, some millions at a time; *digest is of the bytes as they are stored. RT_INPUT
 * when the set is of another type or number of rows, and what fn returns. One thread. */
rt_status rt_row_bytes_each(const rt_row_bytes *, uint64_t source_rows, rt_row_bytes_fn *fn, void *arg,
                            rt_digest *digest);

#endif
