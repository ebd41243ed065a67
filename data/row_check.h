/* data/row_check.h - rows that must not reach a model unnoticed. */
#ifndef RT_DATA_ROW_CHECK_H
#define RT_DATA_ROW_CHECK_H

#include <stddef.h>

#include "data/source.h"

/* Models compute in float32. What is wrong with a row of n elements for that, as the end of "row 5 contains ...", or
 * NULL: NaN, infinity, a float64 beyond the range of float32, or an integer that float32 would round (one above 2^24
 * that has more than 24 significant bits). A float64 within the range is rounded as is usual. */
const char *rt_row_fault(const void *row, rt_dtype, size_t n);

/* 0: none of n elements, of any number of rows, has such a fault; else one may. One pass without a branch. */
int rt_rows_suspect(const void *rows, rt_dtype, size_t n);
/* The same of a row of a source, whose parts are looked at one by one: *part is the one at fault. ids (a number for
 * each part, or NULL): a part of ids holds whole numbers from 0 to that number - 1; 0: it holds numbers of any kind.
 * The text is this thread's until the next call. */
const char *rt_source_fault(const rt_source *, const int *ids, const void *row, const rt_source **part);
/* 0: none of n rows of it, side by side, has such a fault; else one may. */
int rt_source_suspect(const rt_source *, const int *ids, const void *rows, int n);
#endif
