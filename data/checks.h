/* data/checks.h - checksums that stand in a file beside its data: CRC32C of each 64 KiB or so.
 *
 * The data set NAME of a file that we wrote whole has "retort_crc32c/NAME" beside it: u32 (blocks), the checksum of
 * each block of rt_check_rows(bytes of a row) rows, the last one shorter; a set that is no rows, as a manifest, is one
 * block. The blocks of what is read are compared when they are first touched. */
#ifndef RT_DATA_CHECKS_H
#define RT_DATA_CHECKS_H

#include "data/h5.h"

#define RT_CHECKS_GROUP "retort_crc32c/"

/* Rows of a block; at least 1. */
uint64_t rt_check_rows(uint64_t row_bytes);
uint64_t rt_check_blocks(uint64_t rows, uint64_t row_bytes);

/* Checksums of a stream of rows, from the first to the last. */
typedef struct { uint32_t *crc; uint64_t block, block_bytes, held; } rt_check_sum;
rt_status rt_check_begin(rt_check_sum *, uint64_t rows, uint64_t row_bytes);
void rt_check_add(rt_check_sum *, const void *, size_t);
void rt_check_free(rt_check_sum *);

/* What is known of a data set's blocks; thread-safe. */
typedef struct rt_checks rt_checks;
/* NULL where the file has none for this set. RT_INPUT when they do not fit it. */
rt_status rt_checks_open(rt_checks **, const rt_h5_file *, const rt_h5_dataset *);
/* The blocks of rows [first, first + n), whose set begins at base, are as they were written; RT_INPUT names the rows
 * that are not. */
rt_status rt_checks_rows(rt_checks *, const char *base, uint64_t first, uint64_t n);
void rt_checks_close(rt_checks *);

/* The n bytes of a whole set, where the file has a checksum of it. */
rt_status rt_checks_whole(const rt_h5_file *, const rt_h5_dataset *, const void *, size_t n);
#endif
