/* student/onnx/onnx_parts.h - what the parts of the ONNX reader share. */
#ifndef RT_STUDENT_ONNX_ONNX_PARTS_H
#define RT_STUDENT_ONNX_ONNX_PARTS_H

#include "student/onnx/onnx_file.h"

/* Of onnx.pb-c.h, which is generated from libonnx's onnx.proto. */
typedef struct Onnx__TensorProto Onnx__TensorProto;
typedef struct Onnx__ModelProto Onnx__ModelProto;

enum { RT_ONNX_EACH = 16 };            /* bytes of memory for a byte of a file */

/* onnx_budget.c: bytes of memory for a file of so many; bytes more for weights that are told by their shapes alone
 * (ConstantOfShape of one number, read by one product), at most 4 GiB, and nothing where they are more. */
size_t rt_onnx_budget_of(size_t bytes);
size_t rt_onnx_filled(const rt_eval_graph *);

/* onnx_wire.c: RT_INPUT unless the bytes are a message of this kind, with all lengths inside and no deeper than
 * protobuf-c may go. */
typedef enum { RT_WIRE_MODEL, RT_WIRE_TENSOR } rt_wire_kind;
rt_status rt_onnx_wire(const unsigned char *bytes, size_t n, rt_wire_kind);

/* Where external data is found, and what reading may take. */
typedef struct {
    rt_region *region;
    double seconds, end;               /* of computing that reading may take; when it is over, as the thread's clock has
                                          it */
    int folder;                        /* descriptor, or -1: there is none */
    int links;                         /* links may be followed */
    int grows;                         /* the region's budget, with what is read */
    const char *folder_name;
    rt_hasher *hash;                   /* gets what was read */
    uint64_t bytes;
    int count;
} rt_onnx_data;

/* onnx_names.c: names to numbers, in the region. */
typedef struct { rt_region *region; const char **name; int *number; size_t room, used; } rt_onnx_names;
int rt_onnx_names_find(const rt_onnx_names *, const char *);          /* -1: none; -2 is a number as others */
enum { RT_ONNX_NO_NAME = -1, RT_ONNX_ABSENT = -2 };
rt_status rt_onnx_names_put(rt_onnx_names *, const char *, int number);   /* the name is borrowed; new, or set anew */

/* onnx_graph.c: the model's graph, whose functions are put in place. */
rt_status rt_onnx_graph(rt_eval_graph **, const Onnx__ModelProto *, rt_onnx_data *);
/* onnx_fused.c: whether the node is one of ONNX Runtime's that is two or three of ai.onnx, and those, in opset
 * `version`: with values of the graph between them. */
int rt_onnx_is_fused(const rt_eval_node *);
rt_status rt_onnx_split_fused(rt_region *, const rt_eval_node *, const int middle[2], int version,
                              rt_eval_node part[3], int *parts);
/* onnx_sort.c: each node after those whose outputs it reads. RT_INPUT with a node's name when there is a cycle. */
rt_status rt_onnx_sort(rt_eval_graph *, rt_region *);

/* onnx_tensors.c */
rt_status rt_onnx_array(rt_array **, const Onnx__TensorProto *, rt_onnx_data *);
/* The element type of ONNX's number; RT_DTYPE_COUNT: none of ours. *name: what ONNX calls it. */
rt_dtype rt_onnx_element(int32_t, const char **name);

/* onnx_row.c: the node of a body with values `to` of the graph around in place of its own; bodies inside of it capture
 * those. */
rt_status rt_onnx_move_node(rt_region *, rt_eval_node *, const int *to);
#endif
