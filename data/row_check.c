#include "data/row_check.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>

#include "engine/convert.h"

int rt_rows_suspect(const void *rows, rt_dtype type, size_t n)
{
    const uint16_t *h = rows;
    const uint32_t *w = rows;
    const uint64_t *d = rows;
    uint32_t found = 0;
    uint64_t bits = 0;
    switch (type) {
    case RT_F16: for (size_t i = 0; i < n; i++) found |= (h[i] & 0x7c00u) == 0x7c00u; break;
    case RT_BF16: for (size_t i = 0; i < n; i++) found |= (h[i] & 0x7f80u) == 0x7f80u; break;
    case RT_F32: for (size_t i = 0; i < n; i++) found |= (w[i] & 0x7f800000u) == 0x7f800000u; break;
    case RT_F64:                                      /* from 2^127 on */
        for (size_t i = 0; i < n; i++) found |= (int32_t)(w[2 * i + 1] & 0x7fffffffu) >= 0x47e00000;
        break;
    case RT_U32: for (size_t i = 0; i < n; i++) found |= w[i] & ~0xffffffu; break;
    case RT_I32: for (size_t i = 0; i < n; i++) found |= (w[i] + 0x1000000u) & ~0x1ffffffu; break;
    case RT_U64: for (size_t i = 0; i < n; i++) bits |= d[i] & ~(uint64_t)0xffffff; break;
    case RT_I64: for (size_t i = 0; i < n; i++) bits |= (d[i] + 0x1000000u) & ~(uint64_t)0x1ffffff; break;
    default: break;                                   /* float32 has all 8 and 16-bit integers */
    }
    return found || bits;
}

static int float_has(int64_t v)
{
    float f = (float)v;
    return f < 0x1p63f && (int64_t)f == v;
}

static int float_has_unsigned(uint64_t v)
{
    float f = (float)v;
    return f < 0x1p64f && (uint64_t)f == v;
}

static const char *float64_fault(double v)
{
    if (!isfinite(v)) return "NaN or infinity; clean the data first";
    return isfinite((float)v) ? NULL : "a number beyond the range of float32; scale the data first";
}

const char *rt_row_fault(const void *row, rt_dtype type, size_t n)
{
    if (!rt_rows_suspect(row, type, n)) return NULL;
    int exact = 1;
    const char *fault = NULL;
    switch (type) {
    case RT_F64: for (size_t i = 0; i < n && !fault; i++) fault = float64_fault(((const double *)row)[i]); return fault;
    case RT_U32: for (size_t i = 0; i < n && exact; i++) exact = float_has(((const uint32_t *)row)[i]); break;
    case RT_I32: for (size_t i = 0; i < n && exact; i++) exact = float_has(((const int32_t *)row)[i]); break;
    case RT_U64: for (size_t i = 0; i < n && exact; i++) exact = float_has_unsigned(((const uint64_t *)row)[i]); break;
    case RT_I64: for (size_t i = 0; i < n && exact; i++) exact = float_has(((const int64_t *)row)[i]); break;
    default: return "NaN or infinity; clean the data first";
    }
    return exact ? NULL
                 : "an integer that float32 would round (up to 16777216 all are exact); scale or shift the numbers, "
                   "or store them as float32 if rounding is meant";
}

static size_t elements(const rt_source *s) { return rt_source_row_bytes(s) / rt_dtype_size(rt_source_type(s)); }

/* The first value that is no id; NULL: there is none. */
static const char *id_fault(const void *row, rt_dtype type, size_t n, int ids)
{
    static _Thread_local char text[120];
    for (size_t i = 0; i < n; i++) {
        double v;
        rt_to_double(&v, (const char *)row + i * rt_dtype_size(type), type, 1);
        if (v >= 0 && v < ids && v == floor(v)) continue;
        snprintf(text, sizeof text, "%.17g, which is no id: those of the model's embedding are 0 to %d", v, ids - 1);
        return text;
    }
    return NULL;
}

const char *rt_source_fault(const rt_source *s, const int *ids, const void *row, const rt_source **part)
{
    const char *fault = NULL;
    for (int i = 0; i < rt_source_parts(s) && !fault; i++) {
        size_t at;
        *part = rt_source_part(s, i, NULL, &at);
        const char *p = (const char *)row + at;
        rt_dtype type = rt_source_type(*part);
        fault = ids && ids[i] ? id_fault(p, type, elements(*part), ids[i]) : rt_row_fault(p, type, elements(*part));
    }
    return fault;
}

int rt_source_suspect(const rt_source *s, const int *ids, const void *rows, int n)
{
    int any = 0;
    for (int i = 0; i < rt_source_parts(s); i++) {
        size_t at;
        const rt_source *p = rt_source_part(s, i, NULL, &at);
        const char *row = (const char *)rows + at;
        rt_dtype type = rt_source_type(p);
        if (ids && ids[i]) return 1;                  /* each is looked at */
        if (p == s) return rt_rows_suspect(rows, type, (size_t)n * elements(s));
        for (int r = 0; r < n && !any; r++, row += rt_source_row_bytes(s))
            any = rt_rows_suspect(row, type, elements(p));
    }
    return any;
}
