/* engine/session.h - a graph on a device: it owns parameters, states, gradients, moments, averages and the plan, and
 * takes whole steps: forward, losses, backward, the sum of gradients, clipping, update, averages of weights and states,
 * and whether a number is no longer finite. Above engine/ nobody knows what a plan is. On the CPU a step runs in the
 * pool and is done when it returns; its bits do not depend on the threads. A card may do it later: steps are queued,
 * and what they gave is asked for.
 *
 * One thread uses a session, and its device, at a time. All memory is taken when it is made: a later step cannot run
 * out. */
#ifndef RT_ENGINE_SESSION_H
#define RT_ENGINE_SESSION_H

#include "engine/ask.h"
#include "engine/device.h"
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
    int output[RT_MAX_OUTPUTS];        /* inference, and where something is asked: tensors to keep */
    int outputs;
    /* train, in place of losses and of an update: the gradients of what is asked of each row (the same rows' alone, as
     * batch norms and dropout are those of inference) by these tensors, inputs or others. The CPU's. */
    const rt_ask *ask;                 /* borrowed; NULL: nothing */
    int wanted[RT_MAX_OUTPUTS], wants;
    const rt_row_desc *rows;           /* of each input, borrowed, read at each step: how rt_step.feed becomes its rows;
                                          NULL: rt_step.x is read in place */
    const rt_update_desc *update;      /* train; NULL: gradients alone, weights stay */
    const rt_qat *qat;                 /* train: what is done with the graph's quantizers, borrowed; NULL: nothing */
    uint64_t data_rows; /* train: rows of the data that feeds are of, whose numbers are below it: a card may
                           hold those that it has seen; 0: not known */
    int accumulates;                   /* steps are summed before an update: there is RT_B_SUM */
    int keeps;                         /* there are RT_B_BEST and RT_B_BEST_STATES */
    float *params, *states;            /* borrowed in place of own ones; NULL: own */
} rt_session_spec;

/* Rows row_base to row_base + rows of a batch of `total` rows that several sessions share; one has it whole. */
typedef struct {
    int rows;                          /* 1 to batch */
    uint32_t row_base;                 /* of dropout's masks: the first row's number in the batch */
    int total;                         /* losses are sums over rows, divided by it; 0: rows */
    const rt_feed *feed;               /* the rows, as they are in the data, */
    const float *x[RT_MAX_INPUTS];     /* or (rows, input) of each */
    uint64_t seed;                     /* of dropout, with epoch and step */
    uint32_t epoch, step;
    int first, last;                   /* of an accumulation: the sum begins; the update is made */
    int summed;                        /* steps in it so far, this one included */
    double lr;
} rt_step;

typedef struct {
    uint32_t epoch, step;
    double loss[RT_MAX_LOSSES];        /* each loss's sum over rows, divided by total */
    double total;                      /* their sum */
    int bad; /* it is not finite, and nothing but gradients and states was changed, neither then nor since */
} rt_step_result;

typedef struct rt_session rt_session;

/* RT_RUN when out of memory. RT_USAGE with their names when the device lacks operators of the graph. */
rt_status rt_session_new(rt_session **, const rt_session_spec *, rt_device *);
void rt_session_free(rt_session *);
/* Whether the device has what the graph needs, as far as that is known before anything is taken: RT_USAGE as of
 * rt_session_new. */
rt_status rt_session_check(const rt_session_spec *, const rt_device *);

/* The buffer, where the host sees it, and in *floats (may be NULL) its size; NULL where the session has none. Belongs
 * to the session. On the CPU it is the buffer itself; a card's is brought by rt_session_read and taken by
 * rt_session_write, of a set of buffers: 1u << RT_B_PARAMS | ... Both wait for steps that are queued. After a change of
 * parameters or states an inference session is told by rt_session_borrow. */
float *rt_session_buffer(const rt_session *, rt_buffer_id, size_t *floats);
enum { RT_B_ALL = (1 << RT_BUFFERS) - 1, RT_B_WEIGHTS = 1 << RT_B_PARAMS | 1 << RT_B_STATES };
rt_status rt_session_read(rt_session *, unsigned buffers);
rt_status rt_session_write(rt_session *, unsigned buffers);
/* Other weights than the session's own, borrowed (NULL: as before, whose values may have changed); an inference
 * session's. */
void rt_session_borrow(rt_session *, const float *params, const float *states);

/* Training. RT_RUN when the device fails. */
rt_status rt_session_step(rt_session *, const rt_step *);
/* What steps gave, in their order, at most `most` of those that are done and have not been told yet; with wait, of all
 * that were queued. */
rt_status rt_session_results(rt_session *, int wait, rt_step_result *, int most, int *count);
enum { RT_QUEUE = 64 };                                /* steps that can be queued: one more waits */
uint64_t rt_session_updates(const rt_session *);       /* that were queued or made */
void rt_session_set_updates(rt_session *, uint64_t);   /* of a run that goes on */
/* What validates and is kept: the averages, where there are some, else the weights as they are. As the host sees them:
 * RT_B_BEST_SEEN are the buffers to read before. */
enum { RT_B_BEST_SEEN = RT_B_WEIGHTS | 1 << RT_B_EMA | 1 << RT_B_EMA_STATES };
const float *rt_session_best(const rt_session *, int states);
/* Keeps that in RT_B_BEST and RT_B_BEST_STATES. */
rt_status rt_session_keep(rt_session *);
/* After a bad step: "first in the gradient of conv1.weight": where a number that is not finite is, or that there is
 * none in the weights. */
void rt_session_find_bad(const rt_session *, char *text, size_t room);

/* Inference; derived fields are made anew when weights have changed. RT_RUN when the device fails. */
rt_status rt_session_infer(rt_session *, const rt_step *);
/* Begins a step that rt_session_infer will be asked for, in the same order, so that a card works while the host takes
 * what it answered before; at most RT_AHEAD that have not been asked for. Its rows are taken at once, weights stay as
 * they are until then. On the CPU nothing happens. An error of either forgets all that were begun, and so does NULL. */
enum { RT_AHEAD = 2 };
rt_status rt_session_ahead(rt_session *, const rt_step *);
/* Output i of the specification after rt_session_infer, (rows, n); valid until more is inferred or begun. */
const float *rt_session_output(const rt_session *, int i);

/* After rt_session_step, of a session that asks; valid until the next: (rows) the number that is asked for, and by
 * wanted tensor i its gradient (rows, n), NULL where it does not depend on that. */
const float *rt_session_asked(const rt_session *);
const float *rt_session_gradient(const rt_session *, int i);

size_t rt_session_bytes(const rt_session *);           /* of the plan's arenas */
/* Prints phases and calls; since rt_session_profile(on) with the seconds of each, or on a card with the microseconds of
 * each launch of a step, whose stamps slow all. */
void rt_session_describe(const rt_session *, void (*line)(void *, const char *), void *);
rt_status rt_session_profile(rt_session *, int on);
#endif
