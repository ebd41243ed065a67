/* experiments/clean/clean_parts.h - several files of answers as one list of rows: each file has rows of its own, in any
 * order among the files, and what is read is all of them by rising row. */
#ifndef RT_EXPERIMENTS_CLEAN_PARTS_H
#define RT_EXPERIMENTS_CLEAN_PARTS_H

#include "experiments/clean/clean_input.h"

enum { RT_CLEAN_PARTS = 64 };

/* Rows of one part that were read and not given yet. */
typedef struct {
    uint64_t next;                     /* the row of the part that is read next */
    int at, count;
    uint64_t *row;                     /* (room) numbers */
    int32_t *y;
    double *p;                         /* (room, K) */
} rt_clean_ahead;

typedef struct {
    rt_clean_input *part;              /* (parts) */
    rt_clean_ahead *ahead;             /* (parts); NULL where there is one part */
    int parts, block, room;
    const rt_head *head;               /* the first part's */
    uint64_t rows, source_rows;
    uint64_t *at;                      /* (block) numbers of the rows that were read last */
    uint64_t last;                     /* the highest number so far, plus one */
    int before;                        /* the part that had it */
} rt_clean_parts;

/* input: what is true of all of them; copied for each path. block: rows asked for at a time, at most. RT_INPUT when
 * their classes differ. To be closed, also after an error. */
rt_status rt_clean_parts_open(rt_clean_parts *, const char *const *path, int count, const rt_clean_input *, int block,
                              rt_device *, const rt_progress *);
void rt_clean_parts_close(rt_clean_parts *);
/* For rt_quality_input, passes from row 0 on; at[0..n) are the rows' numbers in the data then. RT_INPUT for a row that
 * stands in two parts. */
rt_status rt_clean_parts_read(void *parts, uint64_t first, int n, int32_t *y, double *p);
#endif
