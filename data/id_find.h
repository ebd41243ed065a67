/* data/id_find.h - rows of a source by what they are called, for lists that people hold. */
#ifndef RT_DATA_ID_FIND_H
#define RT_DATA_ID_FIND_H

#include "data/source.h"

/* row[i]: the row among [first, end) whose id is id[i]: its element of a set of whole numbers or texts, or, with
 * content, the XXH128 of its bytes in hexadecimal, as 'retort select' writes it; RT_NO_ROW (data/row_ids.h) where there
 * is none, RT_ROW_TWICE where several are called so. One pass, memory for the ids alone. RT_INPUT for a set of another
 * type. */
rt_status rt_ids_find(rt_source *, int content, uint64_t first, uint64_t end, const char *const *id, size_t n,
                      uint64_t *row);
#endif
