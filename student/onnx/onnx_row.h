/* student/onnx/onnx_row.h - an ONNX graph bound to one row: a batch of one, shapes known, and all that does not depend
 * on data evaluated away.
 *
 * The graph is evaluated on two rows of made-up data. A value depends on data when one that a node reads does; Shape
 * and Size see the shape alone, which the row gives. What does not depend is a constant, whatever computed it. Where
 * shapes or such constants differ between the two rows the model's shapes depend on data, and it is refused with the
 * node's name. Where the batch is open, two rows are evaluated together and alone: a model whose rows influence each
 * other is refused with the first node that mixes them. A file of several rows is bound to one, shapes that are written
 * for them included, and the file as it is must give the same for so many rows. */
#ifndef RT_STUDENT_ONNX_ONNX_ROW_H
#define RT_STUDENT_ONNX_ONNX_ROW_H

#include "student/onnx/onnx_file.h"

typedef enum {
    RT_ONNX_DATA,                      /* comes with each row */
    RT_ONNX_CONST,                     /* always the same */
    RT_ONNX_PRESENT                    /* 1 where another input's id is not 0, else 0: a mask of what is there */
} rt_onnx_role;

/* What stands for an input of the graph. */
typedef struct {
    rt_onnx_role role;
    int rank;                          /* of the whole, with a batch of one in front */
    int64_t dim[RT_ARRAY_RANK];
    double value;                      /* CONST: of every element */
    int of;                            /* PRESENT: the other input */
    int ids;                           /* DATA: 1 + the greatest id that is tried, of an input of integers; else 0 */
} rt_onnx_bound;

typedef struct {
    rt_eval_graph *graph;              /* conditions are decided; lies in the region */
    rt_array **value;                  /* (values) of the first row; NULL: of nothing that is reached */
    char *varies;                      /* (values) depends on data */
    rt_region *region;                 /* has all of it */
    size_t budget;                     /* bytes that may be taken, the region's among them */
    double seconds, end;               /* of computing that is allowed; when it is over, as the thread's clock has it */
} rt_onnx_row;

/* A region for what is made on the way, of what is left of the budget. */
rt_region *rt_onnx_row_rest(const rt_onnx_row *);

/* bound (graph inputs). output: values of the graph that matter; what nothing of them reads is not computed.
 * RT_INPUT with the node's name when a node cannot be computed, is random, or its shape depends on data. */
rt_status rt_onnx_row_new(rt_onnx_row *, const rt_onnx_file *, const rt_onnx_bound *, const int *output, int outputs);
void rt_onnx_row_free(rt_onnx_row *);

/* onnx_batch.c: shapes that are written for so many rows become those of one; *changed: there were some. */
rt_status rt_onnx_one_row(rt_onnx_row *, int64_t rows, int *changed);

/* onnx_unroll.c: loops whose turns are known become their bodies; *changed: there were some. To be asked again for
 * those inside of them, the row evaluated anew. */
rt_status rt_onnx_unroll(rt_onnx_row *, int *changed);

/* onnx_fuse.c: chains that spell a larger operator become it; how many. Nodes that nothing reads any more are dropped
 * by rt_onnx_row_trim. */
rt_status rt_onnx_fuse(rt_onnx_row *, int *fused);
/* Drops nodes that none of these values needs. */
rt_status rt_onnx_row_trim(rt_onnx_row *, const int *value, int values);

/* Evaluates other rows of data with the row's graph (rows of a batch of one): in[i] (graph inputs) arrays as the row's,
 * into value (values), in the region given. */
rt_status rt_onnx_row_run(const rt_onnx_row *, rt_region *, rt_array **value);
#endif
