/* engine/schema.h - what an operator can be told, as a table: its attributes' names, kinds, ranges and defaults. JSON
 * is read by it, messages, `retort help layers` and `retort info` are printed from it, and tests walk it. */
#ifndef RT_ENGINE_SCHEMA_H
#define RT_ENGINE_SCHEMA_H

#include <stddef.h>

#include "engine/error.h"
#include "engine/types.h"

typedef enum {
    RT_A_INT,                          /* int */
    RT_A_NUMBER,                       /* float */
    RT_A_BOOL,                         /* int */
    RT_A_PAIR,                         /* int[2], (h, w); one number stands for both */
    RT_A_PADDING,                      /* rt_padding */
    RT_A_SHAPE,                        /* rt_shape */
    RT_A_INTS,                         /* rt_ints */
    RT_A_CHOICE                        /* int, the place of a name in the list of names */
} rt_attr_kind;

/* given: how many numbers side holds: 1 for all sides, 2 for (h, w), 4 for top, bottom, left, right; 0: none;
 * RT_PAD_SAME: so many that the output has ceil(input / stride) pixels, of an odd number the one more behind. */
typedef struct { int side[4], given; } rt_padding;
enum { RT_PAD_SAME = -1 };

/* A number a dimension, or none at all. */
typedef struct { int count, value[RT_MAX_RANK]; } rt_ints;

/* Not required, and younger than its operator: where it is absent it stays so, as models are known by the digest of
 * their architecture's text. */
enum { RT_A_LATER = -1 };

typedef struct {
    const char *name;
    rt_attr_kind kind;
    size_t at;                         /* offset in the operator's attributes */
    double low, high, fallback;        /* of each number; a fallback outside of them means "not given" */
    int required;                      /* or RT_A_LATER */
    const char *help;                  /* one sentence */
    const char *const *names;          /* of a choice, ended by NULL; low is 0, high the last */
} rt_attr_spec;

typedef struct { const rt_attr_spec *spec; int count; size_t size; } rt_schema;

/* Zeroes the attributes, so that equal ones are equal bytes, then sets the defaults. */
void rt_schema_defaults(const rt_schema *, void *attributes);
/* RT_USAGE with name and range when a number is out of range. */
rt_status rt_schema_check(const rt_schema *, const void *attributes);
/* "out 16 kernel 3x3 padding 1": what differs from the defaults, into text, which it returns. */
char *rt_schema_text(const rt_schema *, const void *attributes, char *text, size_t room);
#endif
