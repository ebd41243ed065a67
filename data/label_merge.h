/* data/label_merge.h - label stores of parts of a source, as one. */
#ifndef RT_DATA_LABEL_MERGE_H
#define RT_DATA_LABEL_MERGE_H

#include "data/json.h"
#include "data/output.h"
#include "engine/pool.h"
#include "engine/progress.h"

enum { RT_MERGE_PARTS = 1024 };

typedef struct {
    const char *const *part;           /* (parts) stores, in any order */
    int parts;
    rt_pool *pool;                     /* counts in its threads; NULL: alone */
    const rt_progress *progress;       /* may be NULL */
} rt_label_merge_job;

/* Writes the store that one process would have made of all their rows, to the byte where it was given the same paths as
 * the one that made the part of the first rows. Each part must be complete, undamaged (the CRC of every block), by the
 * same teacher with the same kernels, of the same source (leaves of spans that two parts share are equal), in the same
 * coding; the parts' rows must follow each other without gap and overlap. Labels by hand come along. {"labels",
 * "parts", "first_row", "rows", "rows_labelled", "source_rows"}, and "note" where the source has other rows, too.
 * RT_USAGE names the two parts that do not fit, or the rows that are missing or there twice; RT_INPUT the damaged one.
 * Blocks of 8-bit codes tell their largest error, which cannot be told of a piece of one: their parts must begin at
 * multiples of RT_LABEL_BLOCK from the first row on. */
rt_status rt_label_merge(const rt_label_merge_job *, const rt_target *out, cJSON **result);
#endif
