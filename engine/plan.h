/* engine/plan.h - a graph compiled for a batch size: a flat list of kernel calls over arenas.
 *
 * A plan is a list of phases with a barrier between them. A phase over rows cuts the batch into slots (by shape alone)
 * that threads take from a queue; a slot walks its rows in chunks small enough for the cache and runs every call of the
 * phase on a chunk before the next chunk. So operators need no fusing to be cache-hot: the batch leaves the cache only
 * where an operator needs the whole batch (batch norm) or a value is kept for the backward pass. A tensor that lives
 * within one phase is held in a thread's own chunk arena; only others get memory for the whole batch. A phase over
 * tiles does work that is not cut by rows (weight gradients of dense layers, merging of slots).
 *
 * Gradients of convolutions are summed per slot and merged in a fixed tree, so that bits do not depend on threads. */
#ifndef RT_ENGINE_PLAN_H
#define RT_ENGINE_PLAN_H

#include "engine/losses.h"
#include "engine/pool.h"
#include "engine/qat.h"

typedef struct rt_plan rt_plan;

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


typedef struct {
    const rt_graph *graph;
    int batch;
    int train;                        /* with backward pass; else inference */
    rt_loss_spec loss[RT_MAX_LOSSES]; /* train */
    int losses;
    int output[RT_MAX_OUTPUTS];       /* tensors to keep; of inference, in front of none the graph's output */
    int outputs;
    int wanted[RT_MAX_OUTPUTS]; /* train, to explain: tensors whose gradients are kept; see rt_lower_spec.wanted */
    int wants;
    int plain;                        /* as the graph is written, nothing fused or left out: for tests */
    const rt_qat *qat;                /* train: what is done with the graph's quantizers, borrowed; NULL: nothing */
    rt_input_fn *input;               /* NULL: rt_run.x is read in place */
    void *input_arg;
} rt_plan_spec;

/* One execution. Pointers are borrowed for the call. */
typedef struct {
    int rows;                         /* 1 to batch */
    uint32_t row_base;                /* of dropout: the first row's number */
    int total;                        /* what losses are divided by; 0: rows */
    const float *x[RT_MAX_INPUTS];    /* (rows, input) of each when the spec has no input function */
    float *params, *states;           /* flat buffers of the graph; states are updated by training */
    float *grads;                     /* train: flat, written */
    uint64_t seed;
    uint32_t epoch, step;             /* for dropout */
    double loss[RT_MAX_LOSSES];       /* out: mean over rows */
} rt_run;

/* RT_USAGE with a layer that has no gradient and would need one, RT_RUN when memory is out. The plan keeps a pointer to
 * the graph and the pool; it is used by one thread at a time. */
rt_status rt_plan_new(rt_plan **, const rt_plan_spec *, rt_pool *);
void rt_plan_free(rt_plan *);
/* After a run with quantizers that stand: the weights whose integers could not be made, as they are not finite or sums
 * may leave 32 bits; NULL: none. */
const char *rt_plan_fault(const rt_plan *);

/* Inference plans: call after parameters or states changed, before rt_plan_run; makes derived fields, packs weights. */
void rt_plan_prepare(rt_plan *, const rt_run *);
void rt_plan_run(rt_plan *, rt_run *);

/* Output i of the spec after a run, (rows, n); valid until the next run. */
const float *rt_plan_output(const rt_plan *, int i);
/* The gradient of wanted tensor i after a run, (rows, n); valid until the next. NULL: no loss depends on it. */
const float *rt_plan_gradient(const rt_plan *, int i);
/* (rows) What each row added to loss l in the last run. */
const float *rt_plan_loss_rows(const rt_plan *, int l);
size_t rt_plan_bytes(const rt_plan *);               /* memory of all arenas */
int rt_plan_batch(const rt_plan *);

/* Prints the phases and calls, for `retort info --plan` and for whoever tunes. */
void rt_plan_describe(const rt_plan *, void (*line)(void *, const char *), void *);
/* Seconds spent in each call of the plan, summed over threads, when profiling was switched on. */
void rt_plan_profile(rt_plan *, int on);
#endif
