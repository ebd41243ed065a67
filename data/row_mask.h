/* data/row_mask.h - a set of rows that a file tells: one number a row of the source, 0 where the row is left out. */
#ifndef RT_DATA_ROW_MASK_H
#define RT_DATA_ROW_MASK_H

#include "data/json.h"
#include "data/rows.h"
#include "engine/digest.h"

typedef struct { const char *source, *set; } rt_row_mask;      /* source "": none; texts belong to the configuration */

/* "mask" of "data": FILE, whose data set is "keep" as 'retort clean' writes it, or {"source", "set"}. */
void rt_row_mask_read(rt_cfg *data, rt_row_mask *);
/* Takes the rows that the mask leaves out from a set of rows of a source of `rows` rows; *digest is of all its numbers.
 * The mask is read by pieces. RT_INPUT when it is no (rows) or (rows, 1) of u8, i8 or truth values. */
rt_status rt_row_mask_apply(const rt_row_mask *, rt_rows *, uint64_t rows, rt_digest *);
#endif
