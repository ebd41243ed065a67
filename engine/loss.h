/* engine/loss.h - what a step calls outside of the graph: the inputs' rows and the losses. */
#ifndef RT_ENGINE_LOSS_H
#define RT_ENGINE_LOSS_H

#include <stddef.h>

/* Rows [row0, row0 + rows) of a loss on one tensor of n floats a row: write d(loss)/d(value) of the batch mean (already
 * divided by total) to grad and each row's loss to loss. whole losses are called once with all rows. */
typedef struct {
    const float *value;   /* (rows, n) */
    float *grad;          /* (rows, n) */
    float *loss;          /* (rows) */
    float *planes;        /* (planes of the spec, rows, n) */
    float *scratch;       /* scratch floats of the spec, this thread's */
    int row0, rows, total, n;
} rt_loss_io;
typedef void rt_loss_fn(void *arg, const rt_loss_io *);

typedef struct { int tensor; rt_loss_fn *fn; void *arg; int whole, planes; size_t scratch; } rt_loss_spec;

/* Fills rows [row0, row0 + rows) of one of the graph's inputs; called from the pool's threads, also twice for a row. */
typedef void rt_input_fn(void *arg, int input, float *x, int row0, int rows);

enum { RT_MAX_LOSSES = 15, RT_MAX_OUTPUTS = 15 };
#endif
