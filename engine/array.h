/* engine/array.h - arrays of any type and rank, as an ONNX graph computes with: row-major, without gaps.
 *
 * What an evaluator (engine/eval/eval.h) works with; tensors of a plan are another thing. Elements are read and written
 * one by one, as doubles, as integers or as text, whatever their type; who needs speed looks at `data`. */
#ifndef RT_ENGINE_ARRAY_H
#define RT_ENGINE_ARRAY_H

#include <stdint.h>

#include "engine/error.h"
#include "engine/region.h"
#include "engine/types.h"

enum { RT_ARRAY_RANK = 8 };

typedef struct {
    rt_dtype type;                     /* not TEXT */
    int rank;                          /* 0: a scalar */
    int64_t dim[RT_ARRAY_RANK];
    size_t count;                      /* of elements: the product of dim, 1 of a scalar */
    void *data;                        /* aligned for its type; of STRING: char *, ends with 0 */
} rt_array;

/* The elements and bytes of a shape, without overflow. RT_INPUT for a negative dimension, a rank beyond RT_ARRAY_RANK,
 * or a size that no memory has. */
rt_status rt_array_size(rt_dtype, int rank, const int64_t *dim, size_t *count, size_t *bytes);
/* A new one in the region, zero (texts ""). */
rt_status rt_array_make(rt_array **, rt_region *, rt_dtype, int rank, const int64_t *dim);

int rt_array_is_float(const rt_array *);             /* F16, BF16, F32, F64 */
int rt_array_is_integer(const rt_array *);           /* not BOOL */

/* Element i as a double; an integer beyond 2^53 is rounded, BOOL is 0 or 1, a STRING is NaN. */
double rt_array_double(const rt_array *, size_t i);
/* Element i as an integer: of a float towards zero, clamped, NaN 0; U64 as its bits. */
int64_t rt_array_int(const rt_array *, size_t i);
const char *rt_array_text(const rt_array *, size_t i);   /* of STRING; else "" */
/* Rounds to the type: floats to nearest even (F16 and BF16 from the double directly); integers from a double as
 * rt_array_int, then their low bits. */
void rt_array_put(rt_array *, size_t i, double);
/* The low bits; of floats the nearest. BOOL: whether it is not 0. */
void rt_array_put_int(rt_array *, size_t i, int64_t);
void rt_array_copy(rt_array *to, size_t i, const rt_array *from, size_t k);   /* of the same type */

/* "float32 (2, 3)" into text, which it returns: the type as ONNX and NumPy name it. */
char *rt_array_describe(const rt_array *, char text[128]);
const char *rt_array_type_name(rt_dtype);

/* Steps of a row-major shape, in elements. */
void rt_array_steps(int rank, const int64_t *dim, int64_t step[RT_ARRAY_RANK]);

/* The shape that n shapes broadcast to, as NumPy does: aligned at the last dimension, 1 stretches. RT_INPUT with the
 * shapes when they do not. */
rt_status rt_array_broadcast(const rt_array *const *, int n, int *rank, int64_t dim[RT_ARRAY_RANK]);

/* Walks the elements of a shape in order, and tells where each is in up to RT_WALK arrays that broadcast to it. */
enum { RT_WALK = 4 };
typedef struct {
    int rank, n;
    int64_t dim[RT_ARRAY_RANK], at[RT_ARRAY_RANK];
    int64_t step[RT_WALK][RT_ARRAY_RANK];
    size_t pos[RT_WALK];               /* the element's place in each */
    size_t left;                       /* elements to come, this one included */
} rt_walk;
/* for (rt_walk_begin(&w, rank, dim, in, n); w.left; rt_walk_next(&w)) ... w.pos[k] ... ; NULL entries stay at 0. */
void rt_walk_begin(rt_walk *, int rank, const int64_t *dim, const rt_array *const *in, int n);
void rt_walk_next(rt_walk *);
#endif
