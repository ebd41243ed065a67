/* data/targets.h - what a data set says of rows, as a model's head wants it, by the head's task.
 *
 * Classes: a label is a whole number: the position of its class among the data file's class names, or the class itself
 * where the file names none. It is mapped by name to the model's classes (data/names.h), so that a file that lacks a
 * class, or has them in another order, means the same. Sets of shape (N) or (N, 1), of integers or truth values, or
 * of floats that hold whole numbers. No label: -1, or NaN in a set of floats.
 * Multilabel: (N, K) of 0 and 1, integers, truth values or floats. Element without a label: -1 or NaN.
 * Real: (N, D), or (N) for D = 1, of any type. Element without a target: NaN.
 * With a column, only that element of a row is taken, for heads of size 1 and for classes. */
#ifndef RT_DATA_TARGETS_H
#define RT_DATA_TARGETS_H

#include "data/heads.h"
#include "data/source.h"

enum { RT_NO_LABEL = -1 };

typedef struct rt_targets rt_targets;

/* Where a head's targets lie. */
typedef struct {
    const char *source;                /* as data/source_files.h has it; NULL: that of x */
    const char *set;
    int column;                        /* -1: a whole row of the set */
    int only;                          /* of the only head of classes */
} rt_target_where;

/* Whether "classes" of a file's manifest are those of this set: of "y", as importers write it, and in a file without
 * "y" those of the only head of classes. */
int rt_targets_named(const rt_h5_file *, const char *set, int only);

/* "y" of a configuration's "data": "SET" (empty: none), or {"source", "set", "column"}; texts belong to it. 0: it is
 * not given, and *y is an empty set. */
int rt_target_y_read(rt_cfg *data, rt_target_where *y);

/* Appends to a list of n sources those that y and targets of a configuration's "data" lie in; the new n. */
enum { RT_TARGET_SOURCES = RT_MAX_HEADS + 1 };
int rt_target_sources(const cJSON *data, const char **list, int n);

/* "targets" of a configuration's "data", {"HEAD": "SET"} or {"HEAD": {"source", "set", "column"}}, or for a single head
 * y (NULL: not given); an empty SET: none. Where a head is not named, its set has its name; given[h] says
 * which are. Texts belong to the configuration. heads 0: not known yet, anything goes. */
void rt_target_where_read(rt_cfg *data, const rt_head *, int heads, const rt_target_where *y,
                          rt_target_where where[RT_MAX_HEADS], int given[RT_MAX_HEADS]);

/* Targets of rows; what the task has no use for is NULL. */
typedef struct {
    int32_t *y;                        /* classes: (rows), RT_NO_LABEL where there is none */
    uint8_t *labels;                   /* multilabel: (rows, K) of 0 and 1 */
    float *values;                     /* real: (rows, D) */
    uint8_t *mask;                     /* of labels and values: 0 where there is no target */
} rt_target_rows;
rt_status rt_target_rows_new(rt_target_rows *, rt_task, int size, int rows);
void rt_target_rows_free(rt_target_rows *);
/* Whether row r of these has any target. */
int rt_target_has(const rt_target_rows *, rt_task, int size, int r);

/* The set `name` of the file that x is of; model: the classes that labels are mapped to, copied. RT_INPUT when the
 * set is missing, does not hold one number a row of x, or when the file names a class that the model does not know. */
rt_status rt_targets_open(rt_targets **out, const rt_source *x, const char *name, const rt_names *model,
                          rt_match match);
/* The same for a head of any task. RT_INPUT also when a row holds another number of values than the head has. */
rt_status rt_targets_open_head(rt_targets **out, const rt_source *x, const rt_target_where *, const rt_head *,
                               rt_match);
void rt_targets_close(rt_targets *);

/* Only rows [first, end) have labels: those of others are not looked at. Not while others read. */
void rt_targets_limit(rt_targets *, uint64_t first, uint64_t end);

/* y[i] is the model's class of row[i], or RT_NO_LABEL. Thread-safe. RT_INPUT with file, row and both lists for a
 * label that is no class of the model, below -1 or no whole number. */
rt_status rt_targets_read(const rt_targets *, const uint64_t *row, int n, int32_t *y);

/* Targets of any task. RT_INPUT with file, row and column for what is no label or no finite number. */
rt_status rt_targets_read_rows(const rt_targets *, const uint64_t *row, int n, rt_target_rows *);

rt_task rt_targets_task(const rt_targets *);
/* Whether columns are taken as they stand though the head names its own, as the file names none: nobody can know
 * whether they stand in the same order, so whoever uses them gives the text to the user. */
enum { RT_TARGETS_TEXT = RT_NAMES_TEXT + 1600 };
int rt_targets_unnamed(const rt_targets *, const char *head, char text[RT_TARGETS_TEXT]);
int rt_targets_classes(const rt_targets *);             /* of the model; the head's size */
const char *rt_targets_path(const rt_targets *);
const char *rt_targets_set(const rt_targets *);
#endif
