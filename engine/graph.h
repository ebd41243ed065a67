/* engine/graph.h - a static graph of operators over tensors with a leading batch dimension.
 *
 * A shape leaves the batch out: (H, W, C) for images, (T, C) for sequences, (D) for features. A node has one output
 * tensor. What a node computes with beside its inputs are fields: parameters (trained), states (running statistics),
 * constants (which stay), derived ones (made of others by a recipe, see pass.h). A field lies in the buffer of its
 * home, which the graph lays out, and may have several nodes as users (tied weights); the one list of them gives the
 * order in files. */
#ifndef RT_ENGINE_GRAPH_H
#define RT_ENGINE_GRAPH_H

#include <stddef.h>
#include <stdint.h>

#include "engine/attr.h"
#include "engine/error.h"
#include "engine/tuning.h"
#include "engine/types.h"

enum { RT_NAME_MAX = 255 /* bytes of a layer's name */, RT_MAX_NODES = 4096 };

/* One list of operators: the enum, the registry and the names in model files all come from it. AFFINE, the last, is
 * made by passes alone. */
#define RT_OPS(X) \
    X(INPUT, input) \
    X(DENSE, dense) X(CONV2D, conv2d) X(CONV1D, conv1d) X(BATCH_NORM, batch_norm) X(LAYER_NORM, layer_norm) \
    X(ACTIVATION, activation) X(UNARY, unary) \
    X(MAX_POOL, max_pool) X(AVG_POOL, avg_pool) X(GLOBAL_AVG_POOL, global_avg_pool) \
    X(GLOBAL_MAX_POOL, global_max_pool) \
    X(ADD, add) X(MUL, multiply) X(CONCAT, concat) X(FLATTEN, flatten) X(RESHAPE, reshape) X(DROPOUT, dropout) \
    X(SOFTMAX, softmax) X(EMBEDDING, embedding) X(POSITION, position) X(CALL, call) \
    X(MATMUL, matmul) X(ATTENTION, attention) X(GROUP_NORM, group_norm) X(RMS_NORM, rms_norm) X(LRN, lrn) \
    X(LSTM, lstm) X(GRU, gru) X(RNN, rnn) \
    X(CONV_TRANSPOSE2D, conv_transpose2d) X(CONV_TRANSPOSE1D, conv_transpose1d) X(RESIZE, resize) \
    X(CONV3D, conv3d) X(CONV_TRANSPOSE3D, conv_transpose3d) X(MAX_POOL3D, max_pool3d) X(AVG_POOL3D, avg_pool3d) \
    X(TREES, trees) X(DENSE_INT8, dense_int8) \
    X(CONV_INT8, conv_int8) X(PAIR_INT8, pair_int8) X(QUANTIZE, quantize) \
    X(SUBTRACT, subtract) X(DIVIDE, divide) X(MINIMUM, minimum) X(MAXIMUM, maximum) X(POWER, power) X(PRELU, prelu) \
    X(MODULO, modulo) X(LESS, less) X(LESS_OR_EQUAL, less_or_equal) X(GREATER, greater) \
    X(GREATER_OR_EQUAL, greater_or_equal) X(EQUAL, equal) X(AND, and) X(OR, or) X(XOR, xor) \
    X(WHERE, where) X(CONSTANT, constant) \
    X(PERMUTE, permute) X(SLICE, slice) X(PAD, pad) X(GATHER, gather) X(EXPAND, expand) X(TILE, tile) \
    X(REDUCE_SUM, reduce_sum) X(REDUCE_MEAN, reduce_mean) X(REDUCE_MAX, reduce_max) X(REDUCE_MIN, reduce_min) \
    X(REDUCE_PROD, reduce_prod) X(REDUCE_L1, reduce_l1) X(REDUCE_L2, reduce_l2) \
    X(REDUCE_SUM_SQUARE, reduce_sum_square) X(REDUCE_LOG_SUM, reduce_log_sum) \
    X(REDUCE_LOG_SUM_EXP, reduce_log_sum_exp) X(LOG_SOFTMAX, log_softmax) \
    X(AFFINE, affine)
typedef enum {
#define X(E, n) RT_OP_##E,
    RT_OPS(X)
#undef X
    RT_OP_COUNT
} rt_op_id;

typedef enum { RT_INIT_ZERO, RT_INIT_ONE, RT_INIT_HE, RT_INIT_XAVIER } rt_init;

typedef enum {
    RT_PARAM, RT_STATE,              /* a buffer that whoever runs the graph has */
    RT_CONST,                        /* the graph itself */
    RT_DERIVED,                      /* a buffer of the plan */
    RT_HOMES
} rt_home;
enum { RT_F_DECAY = 1 /* weight decay applies (weights, not biases or norms) */, RT_F_FROZEN = 2 /* not trained */,
       RT_F_QUANTIZER = 4 /* of a quantizer: no node names it */ };
#define RT_NOWHERE ((size_t)-1)

typedef struct {
    const char *name;                /* of the first layer that has it, a dot, and what it is there; the graph's */
    rt_home home;
    rt_shape shape;
    size_t offset, count;            /* in floats, into the home's buffer; offsets are multiples of 16 */
    const float *value;              /* of a constant, the graph's; else NULL */
    size_t grad_at;                  /* floats into gradients and moments; RT_NOWHERE: has none */
    uint32_t key;                    /* how many of its home came before: what its first values depend on */
    int users;                       /* nodes that name it */
    int straight;                    /* a derived field's: 1 + the field that its gradient goes to unchanged; 0: none */
    unsigned flags;
    rt_tuning tuning;                /* of a parameter: factors 1, NAN and -INFINITY unless rt_graph_tune was told */
    rt_init init;
    int64_t fan_in, fan_out; /* of the sums that the weights enter; beyond an int in shapes that are then refused */
} rt_field;

typedef struct {
    rt_op_id op;
    uint32_t key;                    /* its place in the graph that it was declared in: dropout's mask depends on it */
    const char *name;                /* the graph's, as the lists are */
    const int *in, *field;           /* tensors; fields in the order in which the operator declares them */
    int inputs, fields;
    int out;                         /* tensor */
    int share;                       /* node whose fields it uses, -1: has its own */
    unsigned char attr[RT_ATTR_BYTES] __attribute__((aligned(8))); /* RT_ATTR(node, type of the operator) */
} rt_node;

/* All but shape, type and producer is filled by rt_graph_seal. */
typedef struct {
    rt_shape shape;
    rt_dtype type;                   /* RT_F32; RT_I32: ids, of an input */
    int producer, consumers;
    int memory;                      /* the tensor whose bytes it is: itself, unless it is a view of another */
    int needs_grad;                  /* a parameter that is trained lies on the way to it, or one that is wanted */
    int wanted;                      /* its own gradient is asked for: lowering sets it, see rt_lower_spec.wanted */
} rt_tensor;

/* Quantizers, as properties of tensors and weights. Their numbers are fields behind all others, so that buffers, files
 * and digests hold them; what computes in float does not read them. -1: has none. */
typedef struct {
    int bytes;                       /* rows of input are bytes as they are in the data, not normalised floats */
    const int *range;                /* (tensors): state (2), the least and the greatest value; NULL: a float graph */
    const int *bits;                 /* (nodes): of their weights, 2 to 8; 0: have none */
    const int *step;                 /* (nodes): parameter (N) of their weights, of nodes that share them the same */
    const int *shift;                /* (nodes): state (N), added to sums of weights as trained */
    int nodes, tensors;              /* that there were: later ones have none */
} rt_quantizers;

typedef struct rt_graph_block rt_graph_block;
typedef struct { void *thing; void (*end)(void *); } rt_graph_thing;

typedef struct {
    rt_node *node;      int nodes;
    rt_tensor *tensor;  int tensors;
    rt_field *field;    int fields;
    size_t floats[RT_HOMES];         /* of each home's buffer */
    size_t grad_floats;
    int input[RT_MAX_INPUTS], inputs;   /* tensors of the INPUT nodes, which come first */
    int output;
    int sealed, still;               /* still: no parameter is trained */
    rt_quantizers quant;
    rt_graph_block *block;           /* names and lists */
    rt_graph_thing *own; int owns;
} rt_graph;

struct rt_plan;

/* What an operator is: what it can be told, a shape rule that also declares its parameters, and what it adds to a plan.
 */
typedef struct {
    const char *name, *help;
    int min_inputs, max_inputs;
    const rt_schema *schema;         /* NULL: nothing */
    /* Optional, in place of schema: what it is depends on the attributes' beginning. */
    const rt_schema *(*schema_of)(const void *attributes);
    /* Optional: gives attributes that depend on the input their numbers, before infer. */
    rt_status (*settle)(const rt_graph *, rt_node *);
    rt_status (*infer)(rt_graph *, rt_node *, rt_shape *out);    /* NULL: passes alone make it */
    void (*forward)(struct rt_plan *, const rt_node *);
    void (*backward)(struct rt_plan *, const rt_node *);
    double (*macs)(const rt_graph *, const rt_node *);   /* multiply-adds a row; NULL: none */
    int view;                        /* the output is the input's bytes */
    int ids;                         /* takes ids; others but views take numbers alone */
    int recompute;                   /* cheap: training computes the output again rather than keep it */
    int positions;                   /* computes each position of a row alone: all but the last dimension count them */
    int (*alone)(const rt_graph *, const rt_node *);     /* optional: whether this node does */
    /* Optional: the part of backward that can go as soon as the gradient of the output is complete, ahead of its turn.
     */
    void (*backward_early)(struct rt_plan *, const rt_node *);
} rt_op;

extern const rt_op *const rt_ops[RT_OP_COUNT];

rt_graph *rt_graph_new(void);
void rt_graph_free(rt_graph *);

/* Adds a node; *out is its output tensor. attributes: those of the operator's schema, set by rt_schema_defaults and on
 * from there; NULL: the defaults. share: the name of a layer of the same operator whose fields the node is to use, in
 * place of its own; NULL: none. INPUT nodes come before all others. RT_USAGE with the node's name and the reason when
 * attributes are out of range or shapes do not fit. The last tensor added is the graph's output until
 * rt_graph_set_output. */
rt_status rt_graph_add(rt_graph *, rt_op_id, const char *name, const int *in, int inputs, const void *attributes,
                       const char *share, int *out);
/* After the last node, and again after a change: lays out gradients, finds users, consumers, views and needs_grad. */
void rt_graph_seal(rt_graph *);
/* Fields of layers whose name matches one of n patterns (fnmatch(3)) are not trained. Seals the graph. RT_USAGE with
 * the layers when a pattern matches none that has a field. */
rt_status rt_graph_freeze(rt_graph *, const char *const *patterns, int n);
/* Parameters whose layer's or own name ("conv1", "conv1.weight") matches the pattern (fnmatch(3)) are trained so; what
 * is NAN stays. RT_USAGE with names when it matches none that is trained. */
rt_status rt_graph_tune(rt_graph *, const char *pattern, const rt_tuning *);
/* Fields of one home in the order of its buffer: the next after field `after` (-1: the first), -1 behind the last. */
int rt_graph_next_field(const rt_graph *, rt_home, int after);
/* How many ids there are for input i, by the smallest table that reads it: 0 to n - 1; 0: it is not of ids, or nothing
 * reads it. */
int rt_graph_ids(const rt_graph *, int input);
/* Which input the tensor is; -1: none. */
int rt_graph_input_of(const rt_graph *, int tensor);
/* n ints or bytes that live as long as the graph; NULL with a message when memory is out. */
int *rt_graph_list(rt_graph *, const int *from, int n);
const char *rt_graph_text(rt_graph *, const char *);
/* The thing lives as long as the graph, which frees it so; at once when memory is out (RT_RUN). Graphs that are lowered
 * from this one point to it, too, and end before it. */
rt_status rt_graph_own(rt_graph *, void *thing, void (*end)(void *));

/* For shape rules: declares a field of the node. */
rt_status rt_graph_param(rt_graph *, rt_node *, const char *suffix, rt_shape, rt_init, int64_t fan_in, int64_t fan_out,
                         int decay);
rt_status rt_graph_state(rt_graph *, rt_node *, const char *suffix, rt_shape, rt_init);

/* Which quantizers a graph gets. */
typedef struct {
    int bytes;
    const int *bits;                 /* (nodes): of those with weights of their own, 2 to 8; others have 0 */
    const char *range;               /* (tensors): has one */
    int shift;                       /* layers with weights have corrections */
    const char *learn;               /* (nodes): steps are trained; NULL: none */
} rt_quantize_spec;

/* engine/quantize.c. Adds fields for quantizers to a sealed graph that has none: NAME.weight_step, NAME.range,
 * NAME.shift. */
rt_status rt_graph_quantize(rt_graph *, const rt_quantize_spec *);
/* Takes them away again; buffers may stay, as nothing before them moves. */
void rt_graph_unquantize(rt_graph *);
/* For it: a field of no node. */
rt_status rt_graph_field(rt_graph *, const char *name, const rt_field *like, int *number);

/* RT_USAGE where a dimension is below 1 or there are too many values. */
rt_status rt_graph_check_shape(const rt_shape *);
/* The same of a constant; its values are copied, NULL: zeros. */
rt_status rt_graph_constant(rt_graph *, rt_node *, const char *suffix, rt_shape, const float *value);
/* The values of field i, which is a constant, for whoever brings others: as many. */
float *rt_graph_constant_values(rt_graph *, int i);

/* First values: He et al. 2015 (normal, sqrt(2 / fan_in)) or Glorot & Bengio 2010 (normal, sqrt(2 / (fan_in +
 * fan_out))), by Philox keyed by seed. */
void rt_graph_init(const rt_graph *, uint64_t seed, float *params, float *states);

void rt_graph_set_output(rt_graph *, int tensor);
double rt_graph_macs(const rt_graph *);
size_t rt_graph_param_count(const rt_graph *);       /* quantizers' steps aside */

/* What a layer list can name: an operator, or one of the activations. */
typedef struct {
    const char *name, *help;
    rt_op_id op;
    rt_act act;                      /* of the operator ACTIVATION; else RT_ACT_NONE */
    rt_unary unary;                  /* of the operator UNARY; else RT_UNARY_NONE */
    const rt_schema *schema;         /* what the layer can be told; NULL: nothing */
} rt_layer_kind;
/* Not INPUT, ACTIVATION, UNARY, AFFINE and no function. */
enum { RT_LAYER_KINDS = RT_OP_AFFINE - 3 + RT_ACT_COUNT - 1 + RT_UNARY_COUNT - 1 };
rt_layer_kind rt_layer_kind_at(int i);
/* Sets in attributes which function of its operator the kind is. */
void rt_layer_function(const rt_layer_kind *, void *attributes);
/* What the node can be told; NULL: nothing. */
const rt_schema *rt_node_schema(const rt_node *);
/* The node computes each position of a row alone. */
int rt_node_positions(const rt_graph *, const rt_node *);
/* A sum or a product of two inputs of one shape. */
int rt_is_plain_pair(const rt_graph *, const rt_node *);
/* The kind's name, for a node. */
const char *rt_layer_name(const rt_node *);
/* The activation that the node ends with; RT_ACT_NONE: none. */
rt_act rt_node_act(const rt_node *);
#endif
