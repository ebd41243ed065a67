/* data/dtype.h - element types of data sets, all little-endian. BF16 is the upper half of a float. */
#ifndef RT_DATA_DTYPE_H
#define RT_DATA_DTYPE_H

#include <stddef.h>

#define RT_DTYPES(X) \
    X(U8, "u8", 1) X(I8, "i8", 1) X(U16, "u16", 2) X(I16, "i16", 2) X(U32, "u32", 4) X(I32, "i32", 4) \
    X(U64, "u64", 8) X(I64, "i64", 8) X(F16, "f16", 2) X(BF16, "bf16", 2) X(F32, "f32", 4) X(F64, "f64", 8) \
    X(TEXT, "text", 1)
typedef enum {
#define X(E, n, s) RT_##E,
    RT_DTYPES(X)
#undef X
    RT_DTYPE_COUNT
} rt_dtype;

size_t rt_dtype_size(rt_dtype);
const char *rt_dtype_name(rt_dtype);
#endif
