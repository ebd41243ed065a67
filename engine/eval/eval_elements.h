/* engine/eval/eval_elements.h - what the tables of operators have in common: inputs with their types, attributes of
 * old opsets, and the walk over pairs of elements. Every function: RT_INPUT with a message where it cannot. */
#ifndef RT_ENGINE_EVAL_ELEMENTS_H
#define RT_ENGINE_EVAL_ELEMENTS_H

#include "engine/eval/eval.h"

/* Input i, which must be there and have one of the types. */
rt_status rt_eval_need(const rt_eval_call *, int i, unsigned types, const rt_array **);
/* The same, but NULL when it is left out. */
rt_status rt_eval_may(const rt_eval_call *, int i, unsigned types, const rt_array **);
/* Input i, one integer in any shape of one element. */
rt_status rt_eval_one_int(const rt_eval_call *, int i, int64_t *);
/* `consumed_inputs` of opsets 1 to 5 says nothing about values. */
void rt_eval_consumed(rt_eval_call *);
/* The type that a number of onnx.TensorProto.DataType names; RT_INPUT with the number's name for one that is not
 * supported. */
rt_status rt_eval_type_of(int64_t code, rt_dtype *);

/* Inputs 0 and 1 as two that broadcast as NumPy does; before opset `since` the second has the shape of the first, or,
 * with attribute `broadcast`, of dimensions of it in a row from `axis` on. b gets the second so seen. */
rt_status rt_eval_pair(rt_eval_call *, int since, unsigned types, const rt_array **a, rt_array *b);

/* One operation on two elements. `whole` sees int64, of uint64 its bits, and what it gives is cut to the type. */
typedef struct {
    double (*real)(double, double);
    int64_t (*whole)(int64_t, int64_t);
    uint64_t (*natural)(uint64_t, uint64_t);       /* of uint64 where `whole` would err; else NULL */
    void (*row)(float *, const float *, int, const float *, int, size_t);   /* y[i] = a[i da] . b[i db]; or NULL */
} rt_eval_dyad;
/* Output 0 (make) or an array that is there: y = a . b, types all the same. */
rt_status rt_eval_dyad_make(rt_eval_call *, const rt_eval_dyad *, const rt_array *a, const rt_array *b, rt_array **y);
void rt_eval_dyad_run(const rt_eval_dyad *, const rt_array *a, const rt_array *b, rt_array *y);

/* The order of two elements of the same type: below 0, 0 or above. Not a number is the greatest, and one like another.
 */
int rt_eval_order(const rt_array *, size_t i, const rt_array *, size_t k);

/* A shape seen as outer x n x inner around an axis. */
void rt_eval_around(const rt_array *, int axis, size_t *outer, size_t *n, size_t *inner);
#endif
