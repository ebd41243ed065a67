/* engine/cuda/cuda_ops.h - what operators use to add themselves to a step on a card. Only engine/cuda/ includes it.
 *
 * The planner walks the lowered graph while the stream is being captured: operators launch kernels, and what they
 * launch becomes the step. A step is captured once for each number of rows; it works on all rows at once. Tensors are
 * (rows, shape), NHWC, 32-bit floats (ids: int32), and stand where they are for the session's life. Nothing here may
 * allocate, wait, or copy to the host. Sums go in a fixed order: no atomic additions of floats.
 *
 * A row's values may not depend on its place in the batch, nor on how many rows there are: algorithms are chosen by the
 * shape of a row (and, in training, by the batch). */
#ifndef RT_ENGINE_CUDA_OPS_H
#define RT_ENGINE_CUDA_OPS_H

#include <cuda_runtime_api.h>

#include "engine/cuda/cuda_parts.h"
#include "engine/cuda/cuda_side.h"
#include "engine/cuda/cuda_step.h"
#include "engine/device.h"
#include "engine/graph.h"

/* A step being captured. */
typedef struct rt_cuda_emit {
    cudaStream_t stream;
    const rt_graph *graph;             /* the lowered one */
    int rows;                          /* of this step */
    int batch;                         /* of the session: rows at most */
    int train;
    rt_precision precision;
    int capability;                    /* 75, 80, 90 */
    int processors;                    /* streaming multiprocessors */
    float *given; /* rows of the only input, made ahead of the step; NULL: they lie with the values */
    const rt_cuda_now *now;            /* device memory */
    const rt_cuda_trouble *trouble;    /* device memory; training: states stay as they are where ->bad is set and is not
                                          now->number */
    struct rt_cuda_plan *plan;
    rt_cuda_side *side;                /* NULL: all is launched into `stream` */
} rt_cuda_emit;

/* An operator on cards. Each function is told the node of the lowered graph. */
typedef struct {
    /* Optional: why this node cannot run, after its name ("has 3 axes; cards take 2"); NULL: it can. */
    const char *(*lacks)(const rt_graph *, const rt_node *);
    /* Optional: bytes that forward leaves for backward, of a batch of so many rows. */
    size_t (*keeps)(const rt_graph *, const rt_node *, int batch);
    /* Optional: bytes that forward, and that backward, works in; what lies there is gone when the function returns. */
    size_t (*scratch)(const rt_graph *, const rt_node *, int batch, int train);
    /* Optional: bytes of rt_cuda_parts that backward asks for, at most. */
    size_t (*parts)(const rt_graph *, const rt_node *, int batch);
    /* Backward launches something between rt_cuda_beside_begin and _end, which reads the value of input 0 and the
     * gradient of the output, neither of which it changes. */
    int beside;
    rt_status (*forward)(rt_cuda_emit *, const rt_node *);
    /* Adds the gradients of the node's inputs and fields, from that of its output. NULL: it has none (views, ids). */
    rt_status (*backward)(rt_cuda_emit *, const rt_node *);
} rt_cuda_op;

/* NULL where cards have no such operator. Views (reshape, flatten) launch nothing. */
extern const rt_cuda_op *const rt_cuda_ops[RT_OP_COUNT];

/* ---- for operators ---- */

/* Where a tensor lies: (rows, shape). A view lies where the tensor lies that it is a view of. */
float *rt_cuda_value(const rt_cuda_emit *, int tensor);
/* Backward: the whole gradient of the node's output. The node may change it in place (nobody reads it after). */
float *rt_cuda_grad(const rt_cuda_emit *, const rt_node *);
/* Backward: where the gradient of input i goes; *add: something is there already, to which it is added, else it is
 * written. NULL: nobody needs it. Called once for each input, just before the launch that writes it; where a node has
 * the same tensor twice the second call says add. */
float *rt_cuda_grad_into(rt_cuda_emit *, const rt_node *, int i, int *add);
/* Field i of the node: parameter, state, constant or derived field; NULL: it has none. */
float *rt_cuda_field(const rt_cuda_emit *, const rt_node *, int i);
/* Where the gradient of field i goes, and whether it is added; NULL: it is not trained. Called once each. */
float *rt_cuda_field_grad(rt_cuda_emit *, const rt_node *, int i, int *add);
/* Training: the addition of equal shapes behind a batch norm, with its activation, that the norm's launches make, too:
 * where the norm's output has no other reader and no activation, and the other side is there before the norm. NULL:
 * none. Nothing is launched where the addition stands. */
const rt_node *rt_cuda_joined(const rt_cuda_emit *, const rt_node *norm);
/* The same of a pooling behind that, or behind the norm: a greatest in windows that lie side by side and cover the
 * image, or the mean over it. What is pooled has no other reader, and is nowhere. */
const rt_node *rt_cuda_pooled(const rt_cuda_emit *, const rt_node *norm);
/* Of a batch norm whose joined addition's other side is one, too, which nobody else reads and which has no activation:
 * that one, which stands before it and leaves but its moments; its way back is made along. */
const rt_node *rt_cuda_side_norm(const rt_cuda_emit *, const rt_node *norm);
/* Whether a norm is such another side. */
int rt_cuda_is_side_norm(const rt_cuda_emit *, const rt_node *norm);
void *rt_cuda_kept(const rt_cuda_emit *, const rt_node *);
void *rt_cuda_scratch(const rt_cuda_emit *);
/* A word of device memory that is 0 before the step begins and that the kernel leaves at 0: tickets of "the last block
 * adds up". Each call of this function gives another one; 16 a node at most. */
unsigned *rt_cuda_ticket(rt_cuda_emit *, const rt_node *);
/* Room that a launch may fill and read again while it runs, 1 MiB or more, aligned to 256 bytes: partial sums that its
 * last block adds up. One launch at a time has it. */
float *rt_cuda_partials(const rt_cuda_emit *, size_t *floats);
/* Room for parts of a field's gradient that stays until the launch that adds them up, which rt_cuda_add_later asks for:
 * it comes with that of other fields, before anything else is added to the field, and before the update; beside the
 * walk, where `stream`, which fills the parts, is there, as soon as it is worth a launch. */
float *rt_cuda_parts(rt_cuda_emit *, size_t floats);
void rt_cuda_add_later(rt_cuda_emit *, const rt_parts *, cudaStream_t stream);
/* Elements of one row of a tensor; (H, W, C) of it. */
static inline size_t rt_cuda_size(const rt_cuda_emit *e, int tensor)
{ return rt_shape_count(&e->graph->tensor[tensor].shape); }

/* Products, row-major: c (m, n) = act(op(a) op(b) + bias), or with add c + op(a) op(b). op(a) is (m, k): a itself with
 * rows lda apart, or the transpose of a (k, m). count products, their factors so far apart. In the precision of the
 * step: 32-bit floats, or factors rounded on the way in. Sums go over k in an order that m does not change. */
typedef struct {
    float *c;        const float *a, *b;
    int m, n, k, ldc, lda, ldb;
    int trans_a, trans_b;
    int count;                         /* 0: 1 */
    size_t c_next, a_next, b_next;
    float alpha;                       /* 0: 1 */
    const float *bias;                 /* (n) or NULL */
    int add;
    rt_act act;                        /* NONE, RELU, RELU6; not with add */
} rt_cuda_product;
rt_status rt_cuda_multiply(rt_cuda_emit *, const rt_cuda_product *);

/* What is launched into the stream between these two is beside the walk; its results are there at the end, or where
 * rt_cuda_field_grad says `add`. Of operators that say `beside`. */
cudaStream_t rt_cuda_beside_begin(rt_cuda_emit *);
void rt_cuda_beside_end(rt_cuda_emit *);

/* x = act'(y) x in place, where y is what the activation gave (those up to RELU6). n elements. */
rt_status rt_cuda_act_back(rt_cuda_emit *, float *x, const float *y, rt_act, float slope, size_t n);
/* sum (n) = or += the sum over rows of x (rows, n), in a fixed order. */
rt_status rt_cuda_column_sums(rt_cuda_emit *, const rt_node *, float *sum, const float *x, size_t rows, int n, int add);
/* RT_RUN with the node's name when the last launch failed. Operators end with it. */
rt_status rt_cuda_launched(const rt_cuda_emit *, const rt_node *);
#endif
