/* data/stream.h - batches of rows with their labels, in a set order, prefetched by threads.
 *
 * Batch g of a stream (counted over all epochs) is a pure function of the specification and g, so a stream needs no
 * state to be saved: it is opened at any g. Threads and depth of the prefetch change nothing but time. */
#ifndef RT_DATA_STREAM_H
#define RT_DATA_STREAM_H

#include "data/order.h"
#include "data/row_weights.h"
#include "data/rows.h"
#include "data/source.h"
#include "data/targets.h"

/* answers (n, W) of a teacher to source rows row[0..n), to the rows as they are (view -1) or to a view of them. */
typedef rt_status rt_answers_fn(void *teacher, int view, const uint64_t *row, int n, float *answers);

typedef struct {
    rt_source *x;
    int ids[RT_SOURCE_PARTS];      /* of each part: as rt_source_fault has it */
    const rt_targets *target[RT_MAX_HEADS];   /* by head; NULL: none */
    int heads;
    rt_answers_fn *answers;        /* a teacher's, by row; thread-safe; NULL: none */
    void *teacher;                 /* its first argument */
    int views;                     /* epoch e asks for view e mod views; 0: for none */
    const rt_rows *rows;           /* the rows of this stream, of the sources; borrowed */
    const rt_row_draws *draws;     /* how often they come, with shuffle; borrowed. NULL: each once an epoch */
    int width;                     /* of the teacher's answers */
    int batch;
    int shuffle;                   /* a new order each epoch, by seed; else as given */
    int keep_tail;                 /* the last, smaller batch of an epoch is kept */
    int window;                    /* train.shuffle_window: blocks mixed with each other; 0: rt_stream_order_text */
    int mark_bad;                  /* rows that rt_row_fault names are marked in the batch; else they are an error */
    uint64_t seed;
    int prefetch, threads;         /* batches ahead (0: read when asked), reader threads */
} rt_stream_spec;

typedef struct {
    uint64_t number;               /* g */
    uint32_t epoch, step;
    int rows;
    uint64_t *row;                 /* (rows) in the source */
    char *x;                       /* (rows, row_bytes) raw */
    rt_target_rows target[RT_MAX_HEADS];      /* of the specification's targets */
    float *soft;                   /* (rows, W) the teacher's answers, or NULL */
    unsigned char *bad;            /* (rows) 1: contains what a model cannot compute with; NULL unless mark_bad */
} rt_batch;

typedef struct rt_stream rt_stream;

/* How a stream orders its rows, in words for a result: "rising", "all rows mixed", or "blocks of 100 rows mixed within
 * windows of 164 blocks". The last is for data that is decoded in blocks, and where a window is asked for of other
 * data, in blocks of 1 MiB: a batch has rows of no more blocks than a window has. By default a window of data that is
 * decoded has all blocks where the source's cache holds them, or else blocks of 16,384 rows, at least 16 of them, as
 * far as the cache holds those. RT_USAGE for a window that the cache does not hold, or that would do nothing. */
rt_status rt_stream_order_text(const rt_stream_spec *, char *text, size_t size);
/* The order itself; x and rows of the specification are borrowed. */
rt_status rt_stream_plan(const rt_stream_spec *, rt_order *);

rt_status rt_stream_open(rt_stream **out, const rt_stream_spec *, uint64_t first_batch);
void rt_stream_close(rt_stream *);
uint64_t rt_stream_steps(const rt_stream *);          /* batches in an epoch, at least 1 */
/* Seconds that a reader has been reading so far, the mean of them: less than have gone by where it waits for room. */
double rt_stream_reading(rt_stream *);
/* The next batch, valid until the next call. RT_INPUT for labels that are no class, and for a row
 * that rt_row_fault names. */
rt_status rt_stream_next(rt_stream *, const rt_batch **);
#endif
