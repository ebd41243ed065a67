/* engine/types.h - element types and shapes: what data sets, tensors and kernels have in common. */
#ifndef RT_ENGINE_TYPES_H
#define RT_ENGINE_TYPES_H

#include <stddef.h>

/* All little-endian. BF16 is the upper half of a float. Types of data sets are those up to TEXT; the others are of
 * arrays in memory alone (engine/array.h): BOOL (a byte, 0 or 1), STRING (a pointer to text that ends with 0), integers
 * of 4 and 2 bits (a byte each, within their range), and floats of 8 and 4 bits (engine/narrow.h; a byte each, its
 * code). */
#define RT_DTYPES(X) \
    X(U8, "u8", 1) X(I8, "i8", 1) X(U16, "u16", 2) X(I16, "i16", 2) X(U32, "u32", 4) X(I32, "i32", 4) \
    X(U64, "u64", 8) X(I64, "i64", 8) X(F16, "f16", 2) X(BF16, "bf16", 2) X(F32, "f32", 4) X(F64, "f64", 8) \
    X(TEXT, "text", 1) X(BOOL, "bool", 1) X(STRING, "string", 8) X(U4, "u4", 1) X(I4, "i4", 1) X(U2, "u2", 1) \
    X(I2, "i2", 1) X(F8E4M3, "f8e4m3", 1) X(F8E4M3Z, "f8e4m3z", 1) X(F8E5M2, "f8e5m2", 1) X(F8E5M2Z, "f8e5m2z", 1) \
    X(F4E2M1, "f4e2m1", 1) X(F8E8M0, "f8e8m0", 1)
typedef enum {
#define X(E, n, s) RT_##E,
    RT_DTYPES(X)
#undef X
    RT_DTYPE_COUNT
} rt_dtype;
enum { RT_DATA_TYPES = RT_TEXT + 1 };  /* those before are types of data sets */

size_t rt_dtype_size(rt_dtype);        /* bytes; 0 for what is no type */
const char *rt_dtype_name(rt_dtype);   /* "?" for what is no type */
int rt_dtype_is_integer(rt_dtype);

/* What a model's output answers: one class of K (logits), each of K labels or not (a logit a label), D numbers. */
typedef enum { RT_TASK_CLASSES, RT_TASK_MULTILABEL, RT_TASK_REAL, RT_TASK_COUNT } rt_task;

enum { RT_MAX_RANK = 6, RT_MAX_INPUTS = 8 /* of a graph */ };

/* Of one row: (H, W, C) for images, (T, C) for sequences, (D) for features. The batch is implicit and leads. */
typedef struct { int rank, dim[RT_MAX_RANK]; } rt_shape;

size_t rt_shape_count(const rt_shape *);   /* elements */
int rt_shape_equal(const rt_shape *, const rt_shape *);
/* "(28, 28, 1)" into text, which it returns. */
char *rt_shape_text(const rt_shape *, char text[64]);
/* Any shape as H, W, C: (T, C) is H = 1; (D) is H = W = 1. */
void rt_shape_hwc(const rt_shape *, int *h, int *w, int *c);
#endif
