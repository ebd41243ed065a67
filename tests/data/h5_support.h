/* tests/data/h5_support.h - values of data sets, for the tests of reading HDF5. */
#ifndef RT_TESTS_H5_SUPPORT_H
#define RT_TESTS_H5_SUPPORT_H

#include "data/source.h"
#include "tests/support.h"

/* Element i of little-endian data, exactly. */
static inline double h5_element(const void *data, rt_dtype type, size_t i)
{
    union {
        uint8_t u8; int8_t i8; uint16_t u16; int16_t i16; uint32_t u32; int32_t i32; uint64_t u64; int64_t i64;
        float f32; double f64;
    } v;
    size_t size = rt_dtype_size(type);
    memcpy(&v, (const char *)data + i * size, size);
    switch (type) {
    case RT_U8: return v.u8;
    case RT_I8: return v.i8;
    case RT_U16: return v.u16;
    case RT_I16: return v.i16;
    case RT_U32: return v.u32;
    case RT_I32: return v.i32;
    case RT_U64: return (double)v.u64;
    case RT_I64: return (double)v.i64;
    case RT_F16: {
        int exponent = v.u16 >> 10 & 31, mantissa = v.u16 & 1023;
        double x = exponent ? ldexp(1024 + mantissa, exponent - 25) : ldexp(mantissa, -24);
        return v.u16 >> 15 ? -x : x;
    }
    case RT_BF16: v.u32 = (uint32_t)v.u16 << 16; return v.f32;
    case RT_F32: return v.f32;
    case RT_F64: return v.f64;
    default: fail_msg("type %s has no value", rt_dtype_name(type)); return 0;
    }
}

/* All rows of a set, which must be readable; the caller frees them. *count: elements. */
static inline void *h5_read(rt_h5_file *f, const char *name, rt_dtype type, size_t *count)
{
    rt_source *s;
    check_ok(rt_source_open_in(&s, f, name));
    if (rt_source_type(s) != type)
        fail_msg("%s is %s, want %s", name, rt_dtype_name(rt_source_type(s)), rt_dtype_name(type));
    size_t rows = rt_source_rows(s), row_bytes = rt_source_row_bytes(s);
    char *data = malloc(rows * row_bytes + 1);
    for (uint64_t i = 0; i < rows; i++) check_ok(rt_source_read(s, &i, 1, data + i * row_bytes));
    *count = rows * row_bytes / rt_source_info(s)->element;
    rt_source_close(s);
    return data;
}

/* The set is in the list and not readable; its reason contains part. */
static inline void h5_refused(const rt_h5_file *f, const char *name, const char *part)
{
    const rt_h5_dataset *d;
    check_fails(rt_h5_need(&d, f, name), RT_INPUT, name);
    if (!strstr(rt_error_message(), part)) fail_msg("'%s' does not contain '%s'", rt_error_message(), part);
    for (const char *q = rt_error_message(); *q; q++) assert_true((unsigned char)*q >= 32);
}
#endif
