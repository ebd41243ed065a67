/* engine/session.h - a graph on a device: it owns parameters, states, gradients, moments, averages and the plan, and
 * takes whole steps: forward, losses, backward, the sum of gradients, clipping, update, averages of weights and states,
 * and whether a number is no longer finite. Above engine/ nobody knows what a plan is. On the CPU a step runs in the
 * pool; its bits do not depend on the threads.
 *
 * One thread uses a session, and its pool, at a time. All memory is taken when it is made: a later step cannot run out.
 */
#ifndef RT_ENGINE_SESSION_H
#define RT_ENGINE_SESSION_H

#include "engine/graph.h"
#include "engine/losses.h"
#include "engine/qat.h"
#include "engine/updates.h"
#include "engine/views.h"

typedef enum {
    RT_B_PARAMS, RT_B_STATES,          /* as the graph lays them out */
    RT_B_GRADS, RT_B_SUM,              /* of what is trained: of the last step, and summed over an accumulation */
    RT_B_M, RT_B_V,                    /* moments of the optimizer; V of AdamW */
    RT_B_EMA, RT_B_EMA_STATES,         /* averages of weights and states */
    RT_B_BEST, RT_B_BEST_STATES,       /* what rt_session_keep kept */
    RT_BUFFERS
} rt_buffer_id;

typedef struct {
    const rt_graph *graph;             /* borrowed, sealed */
    int batch;
    int train;                         /* with backward pass; else inference */
    struct {
        int tensor;
        const rt_loss_batch *batch;    /* borrowed; its config is read now, the rest at each step */
    } loss[RT_MAX_LOSSES];             /* train */
    int losses;
    int output[RT_MAX_OUTPUTS];        /* inference: tensors to keep */
    int outputs;
    const rt_row_desc *rows;           /* of each input, borrowed, read at each step: how rt_step.feed becomes its rows;
                                          NULL: rt_step.x is read in place */
    const rt_update_desc *update;      /* train; NULL: gradients alone, weights stay */
    const rt_qat *qat;                 /* train: what is done with the graph's quantizers, borrowed; NULL: nothing */
    int accumulates;                   /* steps are summed before an update: there is RT_B_SUM */
    int keeps;                         /* there are RT_B_BEST and RT_B_BEST_STATES */
    float *params, *states;            /* borrowed in place of own ones; NULL: own */
} rt_session_spec;

typedef struct {
    int rows;                          /* 1 to batch */
    const rt_feed *feed;               /* the rows, as they are in the data, */
    const float *x[RT_MAX_INPUTS];     /* or (rows, input) of each */
    uint64_t seed;                     /* of dropout, with epoch and step */
    uint32_t epoch, step;
    int first, last;                   /* of an accumulation: the sum begins; the update is made */
    int summed;                        /* steps in it so far, this one included */
    double lr;
    double loss[RT_MAX_LOSSES];        /* out: each loss's mean over rows */
    double total;                      /* out: their sum */
    int bad; /* out: the sum is not finite, and nothing but gradients and states was changed */
} rt_step;

typedef struct rt_session rt_session;

/* RT_RUN when out of memory. */
rt_status rt_session_new(rt_session **, const rt_session_spec *, rt_pool *);
void rt_session_free(rt_session *);

/* The buffer and, in *floats (may be NULL), its size; NULL where the session has none. Belongs to the session. After a
 * change of parameters or states an inference session is told by rt_session_borrow. */
float *rt_session_buffer(const rt_session *, rt_buffer_id, size_t *floats);
/* Other weights than the session's own, borrowed (NULL: as before, whose values may have changed); an inference
 * session's. */
void rt_session_borrow(rt_session *, const float *params, const float *states);

/* Training. */
void rt_session_step(rt_session *, rt_step *);
uint64_t rt_session_updates(const rt_session *);       /* that were made */
void rt_session_set_updates(rt_session *, uint64_t);   /* of a run that goes on */
/* What validates and is kept: the averages, where there are some, else the weights as they are. */
const float *rt_session_best(const rt_session *, int states);
/* Keeps that in RT_B_BEST and RT_B_BEST_STATES. */
void rt_session_keep(rt_session *);
/* "first in the gradient of conv1.weight": where a number that is not finite is, or that there is none in the weights.
 */
void rt_session_find_bad(const rt_session *, char *text, size_t room);

/* Inference; derived fields are made anew when weights have changed. */
void rt_session_infer(rt_session *, rt_step *);
/* Output i of the specification after rt_session_infer, (rows, n); valid until the next. */
const float *rt_session_output(const rt_session *, int i);

size_t rt_session_bytes(const rt_session *);           /* of the plan's arenas */
/* Prints phases and calls, with the seconds of each when rt_session_profile switched that on. */
void rt_session_describe(const rt_session *, void (*line)(void *, const char *), void *);
void rt_session_profile(rt_session *, int on);
#endif
