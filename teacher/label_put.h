/* teacher/label_put.h - answers on their way from the teacher into the store, block by block and in order.
 *
 * What a block still needs once its answers are there - the source's digests, statistics, codes, checksums, writing,
 * syncing - takes as long as a card takes to answer the next block. Beside a card it is done by a thread of its own, so
 * that neither waits for the other; on the CPU, whose threads answer, at once. The store's bytes are the same. */
#ifndef RT_TEACHER_LABEL_PUT_H
#define RT_TEACHER_LABEL_PUT_H

#include <pthread.h>

#include "data/labels.h"
#include "engine/progress.h"

/* Room for rows of one block or, without views, of several that are asked together: R rows, W elements an answer, V
 * views. answers (1 + V, R, W), feature[i] (1 + V, R, width) and status (R): what is known of a row before it is
 * asked. */
typedef struct {
    float *answers, *feature[RT_LABEL_FEATURES];
    unsigned char *status;
} rt_label_room;

typedef struct rt_label_put rt_label_put;

/* For up to `most` rows at once. Writer and specification are borrowed; the writer is nobody else's between
 * rt_label_put_blocks and rt_label_put_wait. RT_RUN when out of memory or threads. */
rt_status rt_label_put_new(rt_label_put **, rt_labels_writer *, const rt_labels_spec *, uint64_t most, int beside);
/* Waits for what is underway. */
void rt_label_put_free(rt_label_put *);
/* Where the next answers go; another place after each rt_label_put_blocks. */
const rt_label_room *rt_label_put_room(const rt_label_put *);
/* The blocks in that room, of so many rows, from this one on. An error may be that of blocks before: nothing that came
 * behind those is put. */
rt_status rt_label_put_blocks(rt_label_put *, uint64_t block, uint64_t rows);
/* All blocks are put; an error of the last ones. */
rt_status rt_label_put_wait(rt_label_put *);
double rt_label_put_writing(const rt_label_put *);     /* seconds that putting took so far, behind rt_label_put_wait */

/* Progress that two threads may tell, one at a time. */
typedef struct {
    rt_progress progress;
    const rt_progress *to;
    pthread_mutex_t lock;
} rt_label_telling;

/* NULL of NULL. */
const rt_progress *rt_label_telling_begin(rt_label_telling *, const rt_progress *to);
void rt_label_telling_end(rt_label_telling *);
#endif
