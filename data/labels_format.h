/* data/labels_format.h - what the writer and the reader of label stores share; nothing else includes it. */
#ifndef RT_DATA_LABELS_FORMAT_H
#define RT_DATA_LABELS_FORMAT_H

#include "data/labels.h"

enum { RT_LABEL_COLUMNS = 3 * RT_MAX_HEADS + 1, RT_LABEL_TILE = 64, RT_LABEL_NAME = RT_HEAD_NAME + 24 };
#define RT_LABEL_FORMAT "retort-labels-2"             /* of one head of classes named "y" */
#define RT_LABEL_FORMAT_HEADS "retort-labels-3"

/* What a row has: up to three arrays a head, then the status byte. */
typedef struct { char name[RT_LABEL_NAME]; rt_dtype type; uint64_t width; } rt_label_column;

/* A head in the store: its place in an answer, its first column; topk 0: full. */
typedef struct { rt_task task; int at, size, topk, column; } rt_label_head;
int rt_label_heads(const rt_labels_spec *, rt_label_head h[RT_MAX_HEADS]);

int rt_label_columns(const rt_labels_spec *, rt_label_column c[RT_LABEL_COLUMNS]);
size_t rt_label_column_bytes(const rt_label_column *);
size_t rt_label_row_bytes(const rt_labels_spec *);
uint64_t rt_label_blocks(const rt_labels_spec *);
uint64_t rt_label_block_rows(const rt_labels_spec *, uint64_t block);

/* PATH.journal; RT_USAGE when it is too long. */
rt_status rt_label_journal_path(char *out, size_t room, const char *path);
/* A line of the journal that is no block's: an error of a sync. */
#define RT_LABEL_SYNC_MARK "sync failed: "
enum { RT_LABEL_FAILED = 128 };
/* The blocks that the journal's whole lines name: crc[b] and named[b] = 1. A journal that is not there names none.
 * failed (may be NULL): the error of a sync that failed, "" when none did. */
rt_status rt_label_read_journal(const char *journal, uint64_t blocks, uint32_t *crc, unsigned char *named,
                                char failed[RT_LABEL_FAILED]);

/* A coder turns answers into the bytes of a block and back. A block in memory is its columns, one behind the other. */
typedef struct rt_label_coder rt_label_coder;
rt_status rt_label_coder_new(rt_label_coder **out, const rt_labels_spec *, rt_pool *);
void rt_label_coder_free(rt_label_coder *);
/* Codes rows into the block, those whose status is not DONE as zeros (status NULL: all are), adds them to the counts by
 * class and by status, and returns the sum of their confidences. */
double rt_label_encode(rt_label_coder *, char *block, const float *logits, const unsigned char *status, uint64_t rows,
                       uint64_t *class_count, uint64_t *status_count);
/* Counts a block that is coded: the same numbers. */
double rt_label_count(rt_label_coder *, char *block, uint64_t rows, uint64_t *class_count, uint64_t *status_count);
#endif
