/* engine/cuda/cuda_chain.h - launches of a chain of small dense layers: y_l (rows, n_l) = act(x_l (rows, k_l) w_l +
 * bias_l), where x_l is y of the layer before. C and C++.
 *
 * A block has a few rows and takes them through all layers; with a loss it goes back through them, too: the whole step
 * of a small net but for the gradients of its weights, which are one more launch. Where the first layer has so many
 * weights that reading them would take a block longer than all else, it is a launch of its own, in which blocks have
 * columns, too. A sum of a row's goes over k in slices that k and n decide, so its bits depend neither on its place nor
 * on other rows. */
#ifndef RT_ENGINE_CUDA_CHAIN_H
#define RT_ENGINE_CUDA_CHAIN_H

#include <cuda_runtime_api.h>

#include "engine/cuda/cuda_losses.h"
#include "engine/cuda/cuda_update.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    RT_CHAIN_LAYERS = 8,
    RT_CHAIN_ROWS = 4,                 /* of a block, that go back */
    RT_CHAIN_SHARED = 45 << 10,        /* bytes that a block chooses of; it has some more */
    RT_CHAIN_FIRST = 1 << 14,          /* weights of a first layer, from which on it has a launch of its own */
    RT_CHAIN_FIRST_K = 1024,           /* and its inputs, at most */
    RT_CHAIN_PARTS = 4                 /* of k there, for which there are blocks of their own where rows are few */
};

typedef struct {
    const float *w, *bias;             /* (k, n), (n) or NULL */
    float *y;
    float *dz;                         /* (rows, n): the gradient of y, which becomes that of what act is of */
    float *dw, *dbias;                 /* NULL: not trained */
    int add_dw, add_dbias;
    int k, n, act;                     /* act: 0 none, 1 relu, 2 relu6 */
} rt_chain_layer;

typedef struct {
    rt_chain_layer layer[RT_CHAIN_LAYERS];
    int layers, rows, round;           /* round: factors of products, 0 as they are, 1 to tf32, 2 to bf16 */
    int from;                          /* 1: the first layer is rt_k_chain_first's */
    float *part;                       /* (RT_CHAIN_PARTS, rows, n): what it gives, to be added up; NULL: its y */
    int stop;                          /* the first layer whose dz is asked for */
    const float *x;                    /* of the first layer */
    float *dx;                         /* the gradient of x, or NULL */
    int add_dx;
} rt_chain;

/* What is there of a loss of the last layer's y that one launch computes, too. */
typedef struct {
    rt_loss_desc loss;                 /* loss 0 of the step, not dist */
    float *rows;                       /* each row's loss before the division */
} rt_chain_loss;

/* Bytes of shared memory of a block with so many rows. */
size_t rt_chain_shared(const rt_chain *, int rows);

/* Whether a chain of so many layers, the first with these sizes, has a launch for it. */
static inline int rt_chain_has_first(int layers, int k, int n)
{ return layers > 1 && k <= RT_CHAIN_FIRST_K && (long)k * n >= RT_CHAIN_FIRST; }

/* y of the first layer, with from = 1, or its parts, of which the launch behind it makes y. */
void rt_k_chain_first(cudaStream_t, const rt_chain *);
/* y of all layers, but for the first where from is 1. */
void rt_k_chain(cudaStream_t, const rt_chain *);
/* From layer[layers - 1].dz, a gradient of y, dz of all layers down to stop, and dx. */
void rt_k_chain_back(cudaStream_t, const rt_chain *);
/* Both, with the loss between them. */
void rt_k_chain_step(cudaStream_t, const rt_chain *, const rt_chain_loss *, const rt_cuda_now *now);
/* The same by a block for each row, where rows are few; 0: it has no launch for this chain, and nothing is done. */
int rt_k_chain_row(cudaStream_t, const rt_chain *, const rt_chain_loss *, const rt_cuda_now *now);
/* Behind the step of a net that is this chain alone: the update of all parameters, in the launch that makes their
 * gradients. Without clipping and accumulation. how: of each layer's weights and bias. */
typedef struct {
    rt_cuda_update of;
    rt_tuning how[RT_CHAIN_LAYERS][2];
} rt_chain_update;

/* dw and dbias of all layers from stop on: sums over rows in an order that their number decides. sums, or NULL: what
 * rt_k_loss_end does. update, or NULL, and with sums: what rt_k_update does. */
void rt_k_chain_weights(cudaStream_t, const rt_chain *, const rt_chain_update *, const rt_loss_sums *sums,
                        const rt_cuda_now *now);

#ifdef __cplusplus
}
#endif
#endif
