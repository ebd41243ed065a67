/* engine/eval/eval.h - ONNX graphs in memory, and an evaluator of them: each operator as one plain C function over
 * arrays. It is the definition that planned operators are tested against, folds what does not depend on data, answers
 * conformance tests, and is the body of the graph operator `call`.
 *
 * Source of every operator: github.com/onnx/onnx, docs/Operators.md, Operators-ml.md and their changelogs; behaviour
 * that those leave open is that of onnx.reference.
 *
 * Floats are computed in double and rounded once where an element is made of few; integers in 64 bits. What comes from
 * a file is checked here: types, ranks, shapes, indices, sizes. Sequences, optionals, maps and complex numbers are not
 * supported, and are refused by whoever reads the file; elements below 8 bits and floats of 8 are cast, quantized to,
 * dequantized and moved. */
#ifndef RT_ENGINE_EVAL_EVAL_H
#define RT_ENGINE_EVAL_EVAL_H

#include "engine/array.h"

typedef struct rt_eval_graph rt_eval_graph;
typedef struct rt_eval_call rt_eval_call;

typedef enum {
    RT_EA_FLOAT, RT_EA_INT, RT_EA_STRING, RT_EA_TENSOR, RT_EA_GRAPH, RT_EA_FLOATS, RT_EA_INTS, RT_EA_STRINGS
} rt_eval_attr_kind;

typedef struct {
    const char *name;
    rt_eval_attr_kind kind;
    int n;                             /* of the list; 1 of a single one */
    const float *f;
    const int64_t *i;
    const char *const *s;
    rt_array *t;
    rt_eval_graph *g;
} rt_eval_attr;

/* One operator, from one opset of its domain on, until the next entry of its name. */
typedef struct {
    const char *domain;                /* "" is ai.onnx */
    const char *name;
    int since;
    int min_inputs, max_inputs;        /* -1: any number */
    int max_outputs;                   /* -1: any number */
    rt_status (*run)(rt_eval_call *);
    unsigned flags;
} rt_eval_op;
enum {
    RT_EVAL_RANDOM = 1                 /* its output is not a function of its inputs: never folded, never a teacher's */
};

typedef struct {
    const char *name;                  /* "": none */
    const char *op, *domain;
    const int *in; int inputs;         /* values; -1: left out */
    const int *out; int outputs;
    const rt_eval_attr *attr; int attrs;
    const rt_eval_op *def;             /* NULL: there is no such operator here */
    int version;                       /* the opset of its domain that its model imports */
    /* What bodies of its graph attributes read of this graph: values, each for itself. */
} rt_eval_node;

/* Values are numbered; a name is unique in its graph. A body's own values are followed by those that it reads of the
 * graph around it (capture). */
struct rt_eval_graph {
    const char *name;
    int values;
    const char **value;                /* names */
    rt_array **known;                  /* (values) initializers, and what was found to be constant; NULL */
    int *input, inputs, *output, outputs;
    rt_eval_node *node; int nodes;     /* each after those whose outputs it reads */
    int *capture, *captured_from, captures;   /* value here, value there */
    rt_eval_graph *around;             /* NULL: a model's own graph */
};

/* All rows of all tables; ended by one without a name. */
const rt_eval_op *rt_eval_find(const char *domain, const char *name, int version);
/* Whether an operator of this name is known at all, whatever the version; *since gets its first. */
int rt_eval_known(const char *domain, const char *name, int *since);
/* Row i of all operators, NULL behind the last. */
const rt_eval_op *rt_eval_op_at(int i);
/* The newest opset of a domain whose operators are known as they are defined there; 0: an unknown domain. */
int rt_eval_newest(const char *domain);

typedef struct rt_eval rt_eval;

/* An evaluator, in the region that its arrays lie in and that ends it. One thread at a time. */
rt_status rt_eval_new(rt_eval **, rt_region *);
/* Ends an evaluation with RT_INPUT when it has computed for this many seconds; 0: no limit. */
void rt_eval_limit(rt_eval *, double seconds);
/* Evaluates nodes in order as far as their inputs are there: value[v] (values) holds what is known, and gets what is
 * found; NULL stays where an input is missing. Without `all` nodes that are random are left out, and a node that fails
 * is left out, too; with it, a node that cannot run ends the evaluation: RT_INPUT with its name. */
rt_status rt_eval_run(rt_eval *, const rt_eval_graph *, rt_array **value, int all);
/* One node: out (outputs) gets its outputs, NULL for those without a name. in as the node's, NULL: left out. */
rt_status rt_eval_one(rt_eval *, const rt_eval_graph *, const rt_eval_node *, rt_array *const *value, rt_array **out);

/* ---- for operators (engine/eval/eval_*.c) ---- */

struct rt_eval_call {
    rt_eval *e;
    rt_region *region;                 /* for what it makes */
    const rt_eval_graph *graph;
    const rt_eval_node *node;
    int version;
    const rt_array *const *in; int inputs;   /* NULL: left out; trailing ones that are left out are not counted */
    rt_array **out; int outputs;       /* to be filled where wanted */
    rt_array *const *value;            /* of the graph, for bodies */
    uint64_t read;                     /* attributes that were asked for, a bit each */
};
/* Input i, NULL when it is left out or not there. */
const rt_array *rt_eval_in(const rt_eval_call *, int i);
/* Whether output i has a name. */
int rt_eval_wants(const rt_eval_call *, int i);

/* Attributes, or what stands for one that is not given. An attribute that no call asked for is refused after the
 * operator has run: so ask for all that the definition has, whether they matter or not. RT_INPUT is set aside, and told
 * after the run, when an attribute has another kind: values are then the default. */
int rt_eval_has(rt_eval_call *, const char *name);
int64_t rt_eval_int(rt_eval_call *, const char *name, int64_t none);
double rt_eval_float(rt_eval_call *, const char *name, double none);
const char *rt_eval_string(rt_eval_call *, const char *name, const char *none);
int rt_eval_ints(rt_eval_call *, const char *name, const int64_t **list);      /* their number; -1: not given */
int rt_eval_floats(rt_eval_call *, const char *name, const float **list);
int rt_eval_strings(rt_eval_call *, const char *name, const char *const **list);
const rt_array *rt_eval_tensor(rt_eval_call *, const char *name);              /* NULL: not given */
const rt_eval_graph *rt_eval_body(rt_eval_call *, const char *name);

/* Output i, new and zero; *a gets it also where it has no name. */
rt_status rt_eval_make(rt_eval_call *, int i, rt_dtype, int rank, const int64_t *dim, rt_array **a);
rt_status rt_eval_like(rt_eval_call *, int i, rt_dtype, const rt_array *shape, rt_array **a);
/* Output i is an array's elements in another shape of the same count, without a copy. */
rt_status rt_eval_view(rt_eval_call *, int i, const rt_array *, int rank, const int64_t *dim);
/* A passing array, or n zero things of this size. NULL with a message: return RT_INPUT. */
rt_status rt_eval_temp(rt_eval_call *, rt_dtype, int rank, const int64_t *dim, rt_array **a);
void *rt_eval_scratch(rt_eval_call *, size_t n, size_t size);
/* An axis in [-rank, rank) as one in [0, rank). RT_INPUT else. */
rt_status rt_eval_axis(int64_t axis, int rank, int *out);
/* The axes of an attribute or, in later opsets, of an input: flags (rank). none: what it means that they are missing or
 * empty is up to the operator; *given tells. A repeated axis is refused. */
rt_status rt_eval_axes(int rank, const int64_t *axis, int n, int flag[RT_ARRAY_RANK]);
/* The elements of input i, a list or scalar of integers, as int64; *n -1: left out. RT_INPUT for other ranks or types.
 */
rt_status rt_eval_list(rt_eval_call *, int i, const int64_t **list, int *n);
/* RT_INPUT with the type's name when input i has none of the types, a bit 1 << RT_F32 and so on each. */
rt_status rt_eval_types(const rt_eval_call *, int i, unsigned types);
enum {
    RT_EVAL_FLOATS = 1 << RT_F16 | 1 << RT_BF16 | 1 << RT_F32 | 1 << RT_F64,
    RT_EVAL_INTEGERS = 1 << RT_U8 | 1 << RT_I8 | 1 << RT_U16 | 1 << RT_I16 | 1 << RT_U32 | 1 << RT_I32 | 1 << RT_U64 |
                       1 << RT_I64,
    RT_EVAL_NUMBERS = RT_EVAL_FLOATS | RT_EVAL_INTEGERS,
    RT_EVAL_ANY = RT_EVAL_NUMBERS | 1 << RT_BOOL | 1 << RT_STRING,
    RT_EVAL_NARROW = 1 << RT_U4 | 1 << RT_I4 | 1 << RT_U2 | 1 << RT_I2 | 1 << RT_F8E4M3 | 1 << RT_F8E4M3Z |
                     1 << RT_F8E5M2 | 1 << RT_F8E5M2Z | 1 << RT_F4E2M1 | 1 << RT_F8E8M0,
    RT_EVAL_MOVED = RT_EVAL_ANY | RT_EVAL_NARROW       /* of operators that look at no element */
};
/* Evaluates a body with these inputs; out (its outputs). */
rt_status rt_eval_body_run(rt_eval_call *, const rt_eval_graph *, rt_array *const *in, int inputs, rt_array **out);
/* RT_INPUT when the evaluator's time is over, RT_INTERRUPTED when the process was told to end; for long loops. */
rt_status rt_eval_tick(rt_eval_call *, double operations);
/* Ends an evaluation whose time does not last for so many elements of so many nanoseconds: for loops that do not look
 * at the clock. Few elements pass. */
rt_status rt_eval_reckon(rt_eval_call *, size_t elements, double nanoseconds);
enum { RT_EVAL_SLOW = 40 /* nanoseconds of an element whose type is asked for each time, and of a function of it */ };

/* The tables of operators, a file each; every one is ended by a row without a name. */
#define RT_EVAL_TABLES(X) \
    X(math) X(logic) X(reduce) X(move) X(index) X(shape) X(cast) X(quant) X(ml) X(flow) \
    X(linear) X(conv) X(pool) X(norm) X(recurrent) X(attention) X(loss) X(image) X(signal)
#define X(n) extern const rt_eval_op rt_eval_##n##_ops[];
RT_EVAL_TABLES(X)
#undef X
#endif
