/* student/input.h - what a model takes: the shape of a row, how it is normalised, the names of its columns, and how raw
 * rows of a source become one. */
#ifndef RT_STUDENT_INPUT_H
#define RT_STUDENT_INPUT_H

#include "data/names.h"
#include "data/source.h"
#include "engine/views.h"
#include "student/resizing.h"

enum { RT_MAX_CHANNELS = 65536 };      /* a manifest holds their normalisation as text */

typedef struct {
    const char *name;                  /* the graph's */
    rt_shape shape;                    /* of a row */
    size_t size;                       /* its elements */
    int channels;                      /* of the normalisation: 1 or the last dimension */
    float *mul, *add;                  /* x' = (x + add[c]) mul[c] */
    rt_resizing resizing;              /* how an image of the data becomes one of its own, once it is bound */
    int ids;                           /* how many there are, of an input of ids; 0: numbers */
    rt_names columns;                  /* count is `size`, or 0 when they have no names */
    char *of;                          /* the file it belongs to, for messages; NULL: a model that is no file yet */
    /* How its elements stand in a raw row: of the source that it is bound to, or float32 side by side. */
    rt_dtype raw_type;
    size_t raw_at, raw_bytes;          /* bytes: of the first of them in a row, of a row */
    rt_resize resize; /* of images of another size in that source; from_h 0: rows are `size` elements */
    int *pick;                         /* (size) which of them is each of the input's; NULL: as they come */
} rt_input;

/* An input that is not normalised, of rows as they are; the name is borrowed. It must be zero before, and is freed also
 * after an error. */
rt_status rt_input_begin(rt_input *, const char *name, const rt_shape *);
void rt_input_free(rt_input *);
int rt_input_last(const rt_input *);                   /* the last dimension */
/* mean and standard deviation per channel; count 1 or the last dimension. RT_USAGE for another count, or a deviation
 * that is not above 0. */
rt_status rt_input_set_normalization(rt_input *, const double *mean, const double *std, int count);
/* {"mul": [...], "add": [...], "formula"}, with "resize" and "crop" where there are some, as files have it; the
 * caller frees. */
cJSON *rt_input_normalization(const rt_input *);
/* Appends the names of inputs to a list of n, as far as they are not in it; the new n. */
int rt_inputs_list(const rt_input *, int inputs, const char *name[RT_SOURCE_PARTS], int n);
/* Raw rows have its `size` elements alone, of this type. */
void rt_input_take(rt_input *, rt_dtype);
/* Raw rows are the elements of all n inputs side by side as they are before normalisation: float32, of ids int32. */
void rt_inputs_take(rt_input *, int n);
/* Makes raw rows of this source the n inputs of a model, until they are bound to another: of data sets side by side
 * each input takes the part of its name, else a single input the source. Columns that have names are matched by name:
 * in another order they are mapped, those that the model does not know are left out; `notes` (a list, or NULL) gets a
 * line about either. Images of another size are resized where that is told. RT_INPUT with both lists when parts or
 * columns are missing, with both shapes when rows cannot be the input. */
rt_status rt_inputs_bind(rt_input *, int n, const rt_source *, rt_match, cJSON *notes);
/* For each part of a source which of its values are ids of these inputs, as rt_source_fault has it: ids begins as 0, or
 * as other models left it. */
void rt_inputs_ids(const rt_input *, int inputs, const rt_source *, int ids[RT_SOURCE_PARTS]);
/* How raw rows become its own, for a session: borrowed, and true until it is bound or normalised otherwise. */
rt_row_desc rt_input_rows(const rt_input *);
/* dst (rows, size): raw rows, normalised. Thread-safe. */
void rt_input_normalize(const rt_input *, float *dst, const void *raw, int rows);
#endif
