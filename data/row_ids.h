/* data/row_ids.h - rows of one data set found in another by what they are called. */
#ifndef RT_DATA_ROW_IDS_H
#define RT_DATA_ROW_IDS_H

#include "data/source.h"

/* In the place of a row: no row is called so; more than one is, on either side. */
#define RT_NO_ROW UINT64_MAX
#define RT_ROW_TWICE (UINT64_MAX - 1)

typedef struct {
    uint64_t missing, twice;           /* rows of `to` with RT_NO_ROW, with RT_ROW_TWICE */
    uint64_t unused;                   /* rows of `from` that none of `to` is */
} rt_row_ids;

/* (*place)[i] is the row of `from` that has the id of row i of `to`, for the caller to free. Sets of one whole number
 * or one text a row; a text that is a whole number as it is printed is that number. RT_INPUT for other sets, with file
 * and row for an id that is no whole number. */
rt_status rt_row_ids_match(uint64_t **place, rt_source *to, rt_source *from, rt_row_ids *counts);
/* The id of a row, for messages. */
const char *rt_row_id_text(rt_source *, uint64_t row, char text[80]);
#endif
