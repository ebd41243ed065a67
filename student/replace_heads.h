/* student/replace_heads.h - a trained model with other heads: what is learned again when a trunk serves another task.
 *
 *   [{"replace": "y", "name": "kind", "task": "classes", "size": 4, "names": ["a", "b", "c", "d"]}, ...]
 *
 * The layer that gives the head named by "replace", a dense one, gives way to a dense layer of `size` outputs with
 * first values by seed, on the same input; "name" and "task" are the old head's where they are not given. With "from"
 * the new layer reads the output of the layer of that name, whatever gave the old head. Other heads stay, as do all
 * layers that a head depends on, with their weights. */
#ifndef RT_STUDENT_REPLACE_HEADS_H
#define RT_STUDENT_REPLACE_HEADS_H

#include "student/model.h"

/* *m is replaced, and freed; on an error it stays. RT_USAGE with the reason: a head that is not there, a layer that is
 * not dense or that other layers read, a list that is none. The list is read with its defaults filled in. */
rt_status rt_model_replace_heads(rt_model **m, cJSON *list, uint64_t seed, const char *path);
#endif
