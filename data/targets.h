/* data/targets.h - the class labels of a data set's rows, in the order of a model's classes.
 *
 * A label is a whole number: the position of its class among the data file's class names, or the class itself where
 * the file names none. It is mapped by name to the model's classes (data/names.h), so that a file that lacks a
 * class, or has them in another order, means the same. Sets of shape (N) or (N, 1), of integers or truth values, or
 * of floats that hold whole numbers. No label: -1, or NaN in a set of floats. */
#ifndef RT_DATA_TARGETS_H
#define RT_DATA_TARGETS_H

#include "data/names.h"
#include "data/source.h"

enum { RT_NO_LABEL = -1 };

typedef struct rt_targets rt_targets;

/* The set `name` of the file that x is of; model: the classes that labels are mapped to, copied. RT_INPUT when the
 * set is missing, does not hold one number a row of x, or when the file names a class that the model does not know. */
rt_status rt_targets_open(rt_targets **out, const rt_source *x, const char *name, const rt_names *model,
                          rt_match match);
void rt_targets_close(rt_targets *);

/* Only rows [first, end) have labels: those of others are not looked at. Not while others read. */
void rt_targets_limit(rt_targets *, uint64_t first, uint64_t end);

/* y[i] is the model's class of row[i], or RT_NO_LABEL. Thread-safe. RT_INPUT with file, row and both lists for a
 * label that is no class of the model, below -1 or no whole number. */
rt_status rt_targets_read(const rt_targets *, const uint64_t *row, int n, int32_t *y);

int rt_targets_classes(const rt_targets *);             /* of the model */
const char *rt_targets_path(const rt_targets *);
#endif
