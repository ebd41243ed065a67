/* engine/pass.h - lowering: a graph as its author wrote it becomes the one that is run, by a list of passes.
 *
 * A pass turns a graph into another and never edits the first. Nodes keep their order and their key, and one that takes
 * up another stands at its own place, so that gradients are added in the order of before. Fields keep their numbers,
 * homes and places; what a pass computes from them (weights with a batch norm folded in) is a derived field with a
 * recipe that reads fields of the source alone. */
#ifndef RT_ENGINE_PASS_H
#define RT_ENGINE_PASS_H

#include "engine/qat.h"

typedef enum { RT_INFER, RT_TRAIN, RT_MODES } rt_mode;

typedef struct {
    rt_mode mode;
    const int *keep;                 /* tensors that must be there as they are: outputs, losses */
    int keeps;
    int plain;                       /* only what makes it runnable at all, nothing that saves work: for tests */
    /* RT_TRAIN, of a graph that is explained, not trained: tensors, kept too, whose gradients are asked for. Batch
     * norms and dropout are then those of inference, and no parameter is trained. */
    const int *wanted;
    int wants;
    const rt_qat *qat;               /* RT_TRAIN: how the source's quantizers are used; NULL: not */
    const rt_quantizers *quant;      /* the source's, set by rt_graph_lower */
} rt_lower_spec;

/* QUANT_WEIGHT: a weight (..., C) brought to its steps (C), see qat.h. FOLD_*: a batch norm into the weight (..., C)
 * and bias (C) before it, w s[c] and beta + (bias - mean) s; NORM_*: the batch norm itself as x s[c] + (beta - mean s);
 * s = gamma / sqrt(variance + eps). In double. */
typedef enum { RT_FOLD_WEIGHT, RT_FOLD_BIAS, RT_NORM_SCALE, RT_NORM_SHIFT, RT_QUANT_WEIGHT } rt_recipe_kind;
enum { RT_FROM_GAMMA, RT_FROM_BETA, RT_FROM_MEAN, RT_FROM_VARIANCE, RT_FROM_OWN, RT_FROM, RT_FROM_STEP = 0 };

typedef struct {
    rt_recipe_kind kind;
    int field, from[RT_FROM];        /* fields; OWN: the weight or bias that is folded into, -1: none */
    float eps;
    int bits, follow;                /* QUANT_WEIGHT: of a weight; steps are made first */
    const float *factor; int factors, groups;    /* of input channels, as of rt_qat, or NULL; groups of the layer */
} rt_recipe;

typedef struct {
    rt_graph *graph;                 /* sealed; the fields of the source, then derived ones */
    int *tensor_of;                  /* of a tensor of the source: the one that has its values, -1: gone */
    rt_recipe *recipe; int recipes;  /* of the derived fields, in order */
} rt_lowered;

/* What the graph is after a pass that changed it; name NULL: the source. */
typedef void rt_stage_fn(void *arg, const char *name, const char *what, const rt_graph *, const rt_lowered *);

/* Runs the passes of the mode on a sealed graph. stage may be NULL. RT_RUN when memory is out. */
rt_status rt_graph_lower(const rt_graph *source, const rt_lower_spec *, rt_lowered *, rt_stage_fn *stage, void *arg);
void rt_lowered_free(rt_lowered *);
/* Fills a derived field; field[i] is where field i of the lowered graph lies. */
void rt_recipe_run(const rt_graph *, const rt_recipe *, float *const *field);
/* engine/quantize.c. The same of QUANT_WEIGHT; and, when the gradient of the weight is whole, that of its step (see
 * qat.h), where that is trained. */
void rt_quant_weights(const rt_graph *, const rt_recipe *, float *const *field);
void rt_quant_learn(const rt_graph *, const rt_recipe *, float *const *field, float *const *grad);

/* ---- for passes.c ---- */

typedef struct {
    const rt_graph *in;
    const rt_lower_spec *spec;
    rt_lowered *out;                 /* its graph is being built; tensor_of is that of tensors of `in` */
    char *kept, *live;               /* tensors of in: must stay; something that must stay depends on it */
    char *done;                      /* nodes of in that another took up */
    int changes;
    rt_status status;                /* the first failure */
} rt_rewrite;

/* What a pass does at each node that is not done, in order: keep it, or one of the others. */
typedef struct {
    const char *name, *what;
    unsigned modes;                  /* bits 1 << mode */
    int needed;                      /* also when the lowering is plain */
    void (*node)(rt_rewrite *, int node);
} rt_pass;
extern const rt_pass rt_passes[];    /* ended by one without a name */

/* Copies the node; the copy may be changed until the next one is kept. NULL: memory is out. */
rt_node *rt_rewrite_keep(rt_rewrite *, int node);
/* Leaves the node out: who reads its output reads its input. */
void rt_rewrite_drop(rt_rewrite *, int node);
/* The node's output is from now on that of `into`, kept before; it is done. */
void rt_rewrite_absorb(rt_rewrite *, int node, const rt_node *into);
/* A derived field for a node that was kept; its number. */
int rt_rewrite_derive(rt_rewrite *, const rt_node *, const char *suffix, const rt_shape *, const rt_recipe *);
/* The node that alone reads the tensor, which need not stay; -1: there is none. */
int rt_rewrite_consumer(const rt_rewrite *, int tensor);
#endif
