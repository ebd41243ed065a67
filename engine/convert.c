#include "engine/convert.h"

#include <stdint.h>
#include <string.h>

#include "engine/kernels.h"

void rt_swap_bytes(void *p, size_t n, size_t size)
{
    char *at = p;
#define SWAP(T, swapped) \
    for (size_t i = 0; i < n; i++, at += sizeof(T)) { \
        T v; \
        memcpy(&v, at, sizeof v); \
        v = swapped(v); \
        memcpy(at, &v, sizeof v); \
    }
    if (size == 2) SWAP(uint16_t, __builtin_bswap16)
    else if (size == 4) SWAP(uint32_t, __builtin_bswap32)
    else if (size == 8) SWAP(uint64_t, __builtin_bswap64)
#undef SWAP
}

static void from_bf16(float *dst, const void *src, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint16_t half;
        memcpy(&half, (const char *)src + 2 * i, sizeof half);
        uint32_t bits = (uint32_t)half << 16;
        memcpy(&dst[i], &bits, sizeof bits);
    }
}

/* dst[i] = (D)src[i] of any integer type or f64; 0 for other types. */
#define CONVERT(D) \
    switch (type) { \
    CASE(D, RT_U8, uint8_t) CASE(D, RT_I8, int8_t) CASE(D, RT_U16, uint16_t) CASE(D, RT_I16, int16_t) \
    CASE(D, RT_U32, uint32_t) CASE(D, RT_I32, int32_t) CASE(D, RT_U64, uint64_t) CASE(D, RT_I64, int64_t) \
    CASE(D, RT_F64, double) \
    default: memset(dst, 0, n * sizeof *dst); break; \
    }
#define CASE(D, E, T) \
    case E: \
        for (size_t i = 0; i < n; i++) { \
            T v; \
            memcpy(&v, (const char *)src + i * sizeof v, sizeof v); \
            dst[i] = (D)v; \
        } \
        break;

void rt_to_float(float *dst, const void *src, rt_dtype type, size_t n)
{
    if (type == RT_F16) rt_kernels_get()->from_f16(dst, src, n);
    else if (type == RT_BF16) from_bf16(dst, src, n);
    else if (type == RT_F32) memcpy(dst, src, n * sizeof *dst);
    else CONVERT(float)
}

void rt_to_double(double *dst, const void *src, rt_dtype type, size_t n)
{
    if (type == RT_F16 || type == RT_BF16 || type == RT_F32) {
        float part[256];
        size_t size = rt_dtype_size(type), most = sizeof part / sizeof part[0];
        for (size_t i = 0; i < n; i += most) {
            size_t m = n - i < most ? n - i : most;
            rt_to_float(part, (const char *)src + i * size, type, m);
            for (size_t k = 0; k < m; k++) dst[i + k] = part[k];
        }
    } else CONVERT(double)
}
