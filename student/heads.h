/* student/heads.h - what a model answers: its heads, each with a name, a task and a place in the answer.
 *
 * A model's answer to a row is one row of W floats, W the sum of the heads' sizes: head h at [at, at + size), logits
 * for classes and labels, values for numbers. An architecture with "classes" has one head of classes, named "y", which
 * is its last layer. */
#ifndef RT_STUDENT_HEADS_H
#define RT_STUDENT_HEADS_H

#include "data/names.h"
#include "engine/graph.h"

enum { RT_MAX_HEADS = 8 };

typedef struct {
    char *name;
    const char *layer;      /* of the graph that it was added from */
    rt_task task;
    int size, at;
    int tensor;             /* the layer's output in that graph: (size) floats a row */
    rt_names names;         /* of its classes, labels or numbers; count is `size`, with or without names */
} rt_head;

/* Appends the head `name` that answers with this tensor of the graph, which must outlive it; *count counts the heads.
 * The name is copied; its classes are known by number. RT_USAGE when the tensor is not one row of numbers, when
 * a head has that name, or when there are RT_MAX_HEADS; then *count is as before. */
rt_status rt_heads_add(rt_head head[RT_MAX_HEADS], int *count, const rt_graph *, const char *name, rt_task, int tensor);
void rt_heads_free(rt_head *, int count);
/* W: floats in an answer. */
int rt_heads_width(const rt_head *, int count);
#endif
