/* student/lengths.h - plans for rows that end before a model's inputs do: ids, of which those behind the last that is
 * not 0 are padding.
 *
 * A row of n ids goes to the plan of the least length of 8, 12, 16, 24, 32, 48, ... that holds it, or to that of the
 * whole length: by itself, so its answer is the same to the bit whatever rows are beside it. The plan's graph is the
 * model's with another length in its place, and its weights are the model's own: of a field that is as long as a row, a
 * table of places say, the first part. Nobody has to prove that padding changes nothing: each plan is tried on rows of
 * its lengths, and kept where it answers as the whole one does, to 1e-5 of the answers' scale; where one does not, none
 * is used. A row without ids takes the whole length.
 *
 * Only for models whose architecture says "shorter": true, as an import does where the file leaves the length open; of
 * one length for all inputs, in float, on the CPU. */
#ifndef RT_STUDENT_LENGTHS_H
#define RT_STUDENT_LENGTHS_H

#include "engine/session.h"
#include "student/model.h"

enum {
    RT_LENGTHS = 24,
    RT_LENGTHS_BYTES = 1 << 30 /* of memory for all plans; fewer lengths where it is not enough */
};

typedef struct {
    int length;                        /* ids of a row that it reads */
    rt_graph *graph;
    rt_session *session;
    rt_row_desc rows[RT_MAX_INPUTS];
} rt_length;

typedef struct {
    rt_length plan[RT_LENGTHS];        /* by rising length */
    int plans;                         /* 0: rows take the whole length */
    int full;                          /* the whole length */
    char why[240];                     /* there are none; "" where nobody expects some */
} rt_lengths;

/* whole: the session of all ids, of `batch` rows, whose row descriptions are `rows` (inputs), which the trial changes.
 * RT_RUN alone is an error: who has no plans is told why. */
rt_status rt_lengths_new(rt_lengths **, const rt_model *, rt_session *whole, rt_row_desc *rows, int batch,
                         rt_device *);
void rt_lengths_free(rt_lengths *);
/* Which plan row i of the feed takes, -1: the whole length. id: room for that many ids. rows (inputs): how raw rows
 * become the model's. */
int rt_lengths_of(const rt_lengths *, const rt_row_desc *rows, int inputs, const rt_feed *, int i, int32_t *id);
/* Rows of the same raw rows as the plans take them. */
void rt_lengths_bind(rt_lengths *, const rt_row_desc *rows, int inputs);
void rt_lengths_borrow(rt_lengths *, const float *params, const float *states);
size_t rt_lengths_bytes(const rt_lengths *);
/* {"plans": [8, 12, ..., 64]}, or {"plans": [64], "why_no_shorter"}, for the caller to delete. */
cJSON *rt_lengths_json(const rt_lengths *);

/* shorten.c: the architecture for rows of `to` ids in place of `from`; of the graph that it has now. RT_INPUT with the
 * layer when that cannot be told. The caller deletes it. */
rt_status rt_arch_shorten(cJSON **out, const cJSON *arch, const rt_graph *, int from, int to);
#endif
