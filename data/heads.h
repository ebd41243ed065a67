/* data/heads.h - what a model answers and what a label store keeps: heads, each with a name, a task and a place in the
 * answer.
 *
 * An answer to a row is one row of W floats, W the sum of the heads' sizes: head h at [at, at + size), logits for
 * classes and labels, values for numbers. "classes": K of an architecture is one head of classes, named "y". */
#ifndef RT_DATA_HEADS_H
#define RT_DATA_HEADS_H

#include "data/names.h"

enum { RT_MAX_HEADS = 8, RT_HEAD_NAME = 64, RT_HEADS_WIDTH = 1 << 20 };

typedef struct {
    char *name;
    rt_task task;
    int size, at;
    int tensor;             /* of the model's graph, (size) floats a row; -1 where there is no graph */
    rt_names names;         /* of its classes, labels or numbers; count is `size`, with or without names */
} rt_head;

const char *rt_task_name(rt_task);                     /* "classes", "multilabel", "real" */
/* Appends a head; *count counts them. The name is copied; its classes are known by number. RT_USAGE when a head has
 * that name, when the name is empty, longer than RT_HEAD_NAME bytes or holds '/', '.' or controls, when there are
 * RT_MAX_HEADS, or the answer grows beyond RT_HEADS_WIDTH; then *count is as before. */
rt_status rt_heads_add(rt_head head[RT_MAX_HEADS], int *count, const char *name, rt_task, int size);
void rt_heads_free(rt_head *, int count);
rt_status rt_heads_copy(rt_head out[RT_MAX_HEADS], const rt_head *, int count);
/* W: floats in an answer. */
int rt_heads_width(const rt_head *, int count);
/* One head of classes named "y": what "classes" of an architecture gives. Files of such models have no list. */
int rt_heads_plain(const rt_head *, int count);
/* "kind (classes, 10), age (real, 1)" for messages. */
const char *rt_heads_text(const rt_head *, int count, char text[RT_NAMES_TEXT]);

/* [{"name", "task", "size", "names"}, ...] for the caller to delete; names only where there are some. */
cJSON *rt_heads_to_json(const rt_head *, int count);
/* The heads of such a list; `of` (a file) and `key` name it in messages. RT_INPUT when it is something else. */
rt_status rt_heads_from_json(rt_head out[RT_MAX_HEADS], int *count, const cJSON *list, const char *of,
                             const char *key);

/* The head among `list` that answers what `one` of `count` heads asks: that of its name; where both lists have a single
 * head, that one, whatever its name. -1: none. */
int rt_heads_find(const rt_head *list, int listed, const rt_head *one, int count);
/* (*place)[i] is where element i of an answer of `from` stands in an answer of `to`, -1 when `to` has no such head; for
 * the caller to free; NULL when both are the same. Classes and labels go by name, or by position. RT_INPUT with both
 * lists when heads of one name differ in task, size or names, or when no head is common; from_of and to_of name the
 * sides. */
rt_status rt_heads_place(int **place, const rt_head *from, int from_count, const char *from_of, const rt_head *to,
                         int to_count, const char *to_of, rt_match);
void rt_heads_hash(rt_hasher *, const rt_head *, int count);
#endif
