/* engine/cuda/cuda_plan.h - a graph on a card: where its tensors, fields and working memory lie, and the walk over it
 * that launches a step. Private to engine/cuda/, beside what operators use (cuda_ops.h). */
#ifndef RT_ENGINE_CUDA_PLAN_H
#define RT_ENGINE_CUDA_PLAN_H

#include "engine/cuda/cuda_blas.h"
#include "engine/cuda/cuda_card.h"
#include "engine/cuda/cuda_chain.h"
#include "engine/cuda/cuda_ops.h"
#include "engine/pass.h"

enum { RT_CUDA_TICKETS = 16 /* a node */ };

/* Small dense layers, one behind the other, that are computed by one launch: where the first stands in the walk; their
 * way back, where the last stands. `fused`: with the step's only loss, which is of what they give, in one launch when
 * all else of the forward pass is done. */
typedef struct { int node[RT_CHAIN_LAYERS], layers, fused; } rt_cuda_chain;

typedef struct rt_cuda_plan {
    const rt_cuda_card *card;
    rt_lowered low;
    const rt_graph *graph;             /* the lowered one */
    int batch, train, outputs, losses;
    int output[RT_MAX_OUTPUTS], loss_tensor[RT_MAX_LOSSES];      /* of the lowered graph */
    size_t *value_at, *grad_at;        /* (tensors) bytes into the arena */
    size_t *keep_at, scratch_at;       /* (nodes) */
    size_t arena_bytes, scratch_bytes, workspace_bytes, parts_at, parts_bytes;
    char *arena, *workspace;           /* device memory */
    float *partials;
    unsigned *ticket;                  /* (nodes, RT_CUDA_TICKETS), device memory */
    float *home[RT_HOMES], *grads;     /* device memory: parameters, states, constants, derived fields; gradients */
    size_t *const_at;                  /* (fields) floats into home[RT_CONST] of those that are constants */
    size_t const_floats;
    rt_cuda_chain *chain;
    int chains, *chain_of;             /* (nodes) -1: is in none */
    int *joined, *pooled, *aside;      /* (nodes) of a batch norm its addition, its pooling and a norm made along, the
                                          addition's other side; of those the norm; -1: none */
    const rt_cuda_chain *fused;        /* or NULL */
    const rt_chain_update *update;     /* made by the launch of the chain's gradients; NULL: by one of its own */
    /* while a step is walked */
    char *started, *field_started;     /* (tensors), (fields): a part of the gradient is there */
    int *tickets;                      /* (nodes) */
    rt_parts later[RT_PARTS_JOBS];     /* what is to be added up */
    int laters;
    size_t later_bytes, parts_used;    /* of those; of room taken */
    int in_backward;
} rt_cuda_plan;

/* Lowers the graph and lays it out; takes no device memory. RT_USAGE with their names when cards lack operators. */
rt_status rt_cuda_plan_new(rt_cuda_plan **, const rt_session_spec *, const rt_cuda_card *);
void rt_cuda_plan_free(rt_cuda_plan *);
size_t rt_cuda_plan_bytes(const rt_cuda_plan *);       /* of what rt_cuda_plan_take takes */
/* Takes device memory and uploads constants. */
rt_status rt_cuda_plan_take(rt_cuda_plan *, cudaStream_t);
/* Derived fields from the host's copies of parameters and states, into the device. */
rt_status rt_cuda_plan_derive(rt_cuda_plan *, const float *params, const float *states, cudaStream_t);

/* Launches the forward pass but for inputs, which are there; then the backward pass, from the gradients of losses'
 * tensors, which are there (rt_cuda_loss_grad). */
rt_status rt_cuda_plan_forward(rt_cuda_emit *);
rt_status rt_cuda_plan_backward(rt_cuda_emit *);
/* cuda_chain.c: finds chains and fills the tables; what they compute. */
rt_status rt_cuda_chains_find(rt_cuda_plan *, const rt_session_spec *);
rt_status rt_cuda_chain_forward(rt_cuda_emit *, const rt_cuda_chain *);
rt_status rt_cuda_chain_backward(rt_cuda_emit *, const rt_cuda_chain *);
/* Of plan->fused, with loss 0 of the step: forward, loss and what rt_k_loss_end does, backward. */
rt_status rt_cuda_chain_step(rt_cuda_emit *, const rt_cuda_chain *, const rt_loss_desc *, const rt_loss_sums *,
                             float *loss_rows);
/* Whether the fused chain is all that there is of the graph; and all its parameters are trained. */
int rt_cuda_chain_is_all(const rt_cuda_plan *);
int rt_cuda_chain_trains_all(const rt_cuda_plan *);
/* cuda_joins.c: finds additions, poolings and other sides' norms that batch norms make. The node whose launches make
 * node i, which is i where it has launches of its own; and the last of those that are made with i, the only one whose
 * output is anywhere. */
void rt_cuda_joins_find(rt_cuda_plan *);
int rt_cuda_made_at(const rt_cuda_plan *, int i);
int rt_cuda_made_last(const rt_cuda_plan *, int i);
/* Begins a walk. */
void rt_cuda_plan_begin(rt_cuda_emit *);
/* Where the gradient of a loss's tensor goes; *add as of rt_cuda_grad_into. */
float *rt_cuda_loss_grad(rt_cuda_emit *, int tensor, int *add);

/* For products and sums: device memory that is free between launches of one operator. *floats (may be NULL): how much.
 */
void *rt_cuda_workspace(const rt_cuda_emit *, size_t *bytes);
rt_cuda_blas *rt_cuda_blas_of(const rt_cuda_emit *);

void rt_cuda_plan_describe(const rt_cuda_plan *, void (*line)(void *, const char *), void *arg);
#endif
