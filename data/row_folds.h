/* data/row_folds.h - folds that a file tells: one number a row of the source, i where the row is of fold i, RT_NO_FOLD
 * where it is of none. */
#ifndef RT_DATA_ROW_FOLDS_H
#define RT_DATA_ROW_FOLDS_H

#include "data/rows.h"
#include "engine/digest.h"

enum { RT_NO_FOLD = 255 };

/* "fold_by" of "data": FILE, whose data set is "fold" as 'retort clean --folds' writes it, or {"source", "set",
 * "digest"}. */
void rt_row_folds_read(rt_cfg *data, rt_rows_config *);
/* Takes the rows of the configuration's fold, as far as they are in `from`, out of it; *digest is of all the numbers of
 * the file, which is read by pieces. RT_INPUT when it is no (rows) of u8, has a number that is of no fold, or when the
 * configuration's digest is another; RT_USAGE for a fold without rows. Both sets are for the caller to free, also after
 * an error. */
rt_status rt_row_folds_take(const rt_rows_config *, uint64_t source_rows, rt_rows *from, rt_rows *drawn,
                            rt_digest *digest);
#endif
