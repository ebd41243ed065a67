/* export/out_file.h - files that are written piece by piece and then committed, and cells of CSV files. */
#ifndef RT_EXPORT_OUT_FILE_H
#define RT_EXPORT_OUT_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "engine/error.h"

typedef struct {
    int fd;
    uint64_t at;                  /* bytes put so far */
    char temp[1100];
    const char *path;             /* borrowed */
    rt_status status;             /* of the first failure; later calls do nothing */
} rt_out_file;

/* A temporary file beside path. */
rt_out_file rt_out_open(const char *path);
void rt_out_put(rt_out_file *, const void *data, size_t n);
/* Puts the file in path's place when st and the file's own status are RT_OK, or removes it; returns the first
 * failure. */
rt_status rt_out_close(rt_out_file *, rt_status st);

/* Header of an NPY 1.0 array in C order, padded to 64 bytes; returns its length. */
size_t rt_npy_header(char out[256], const char *type, const uint64_t *dim, int rank);

/* A cell of a CSV file (RFC 4180) into out, which has room for rt_csv_room bytes; returns its length. Quoted where
 * needed. Text that a spreadsheet would run as a formula, that is one whose first character other than space is = +
 * - @ and which is no number, gets an apostrophe before it. */
size_t rt_csv_cell(char *out, const char *text);
size_t rt_csv_room(const char *text);
#endif
