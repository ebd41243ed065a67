/* data/npy.h - headers of NPY arrays, versions 1 to 3 (NEP 1; numpy.lib.format): magic, version, length, and a Python
 * dictionary of type, order and shape. */
#ifndef RT_DATA_NPY_H
#define RT_DATA_NPY_H

#include <stddef.h>
#include <stdint.h>

#include "data/h5.h"
#include "engine/types.h"

enum { RT_NPY_START = 8 /* bytes of magic and version */, RT_NPY_TEXT = 65536 /* no dictionary is longer */ };

typedef struct {
    rt_dtype type;
    int swap, fortran, boolean;            /* big-endian; Fortran order; False and True, as u8 */
    int text, wide;                        /* bytes of an element that is text; UTF-32 when wide */
    int rank;                              /* 0: a single value */
    uint64_t dim[RT_H5_RANK];
} rt_npy;

/* By the first RT_NPY_START bytes: how many bytes tell the length of the dictionary (2 or 4). RT_INPUT when they begin
 * no NPY array; of: the file, for the message. */
rt_status rt_npy_start(const unsigned char start[RT_NPY_START], const char *of, int *bytes);
/* The length that these bytes tell; RT_INPUT above RT_NPY_TEXT. */
rt_status rt_npy_length(const unsigned char *told, int bytes, const char *of, size_t *length);
/* The dictionary: text, ended by a zero. RT_INPUT for what is none, for elements that are no numbers or texts, and for
 * more dimensions than RT_H5_RANK - 1. */
rt_status rt_npy_parse(rt_npy *, const char *text, const char *of);

/* Header of an array of version 1.0 in C order, padded to 64 bytes; returns its length. */
size_t rt_npy_header(char out[256], const char *type, const uint64_t *dim, int rank);
/* "<f4" of a type; NULL for BF16 and TEXT, which NPY has not, or not so. */
const char *rt_npy_type(rt_dtype);
#endif
