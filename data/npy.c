#include "data/npy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static rt_status damaged(const char *of) { return rt_fail(RT_INPUT, "%s: damaged NPY header", of); }

rt_status rt_npy_start(const unsigned char start[RT_NPY_START], const char *of, int *bytes)
{
    if (memcmp(start, "\223NUMPY", 6) || start[6] < 1 || start[6] > 3)
        return rt_fail(RT_INPUT, "%s: is no NPY file of version 1 to 3", of);
    *bytes = start[6] > 1 ? 4 : 2;
    return RT_OK;
}

rt_status rt_npy_length(const unsigned char *p, int bytes, const char *of, size_t *length)
{
    *length = p[0] | (size_t)p[1] << 8 | (bytes > 2 ? (size_t)p[2] << 16 | (size_t)p[3] << 24 : 0);
    return *length > RT_NPY_TEXT ? damaged(of) : RT_OK;
}

static const struct { const char *name; rt_dtype type; } types[] = {
    {"u1", RT_U8}, {"i1", RT_I8}, {"u2", RT_U16}, {"i2", RT_I16}, {"u4", RT_U32}, {"i4", RT_I32}, {"u8", RT_U64},
    {"i8", RT_I64}, {"f2", RT_F16}, {"f4", RT_F32}, {"f8", RT_F64}, {"b1", RT_U8}};
enum { TYPES = sizeof types / sizeof types[0], BOOLEAN = TYPES - 1 };

static rt_status parse_type(rt_npy *a, const char *descr, const char *of)
{
    const char *end = *descr == '\'' ? strchr(descr + 1, '\'') : NULL, *what = NULL;
    char kind[24];
    if (*descr == '[')
        return rt_fail(RT_INPUT,
                       "%s: is a structured array, %.*s; save its fields as columns: np.stack([a[n] for n in "
                       "a.dtype.names], 1)", of, (int)strcspn(descr, "]") + 1, descr);
    if (!end || end - descr < 3 || end - descr > 20) return damaged(of);
    snprintf(kind, sizeof kind, "%.*s", (int)(end - descr - 2), descr + 2);
    a->swap = descr[1] == '>';
    for (int i = 0; i < TYPES; i++)
        if (strcmp(kind, types[i].name) == 0) {
            a->type = types[i].type;
            a->boolean = i == BOOLEAN;
            return RT_OK;
        }
    if (*kind == 'U' || *kind == 'S') {
        char *stop;
        long n = strtol(kind + 1, &stop, 10);
        if (*stop || n < 1 || n > 1 << 20)
            return rt_fail(RT_INPUT, "%s: texts of a length that is not supported (%s)", of, kind);
        a->wide = *kind == 'U';
        a->text = (int)n * (a->wide ? 4 : 1);
        a->type = RT_TEXT;
        return RT_OK;
    }
    what = *kind == 'O' ? "Python objects, which are pickled code" : *kind == 'c' ? "complex numbers" : *kind == 'M'
        || *kind == 'm' ? "dates or times" : "elements of a type that is not supported";
    return rt_fail(RT_INPUT, "%s: holds %s (%s); save numbers, such as x.astype('float32')", of, what, kind);
}

static rt_status parse_shape(rt_npy *a, const char *shape, const char *of)
{
    for (const char *q = shape + 1;;) {
        q += strspn(q, " ,");
        if (*q == ')') return RT_OK;
        char *stop;
        unsigned long long v = strtoull(q, &stop, 10);
        if (stop == q || *q == '-' || a->rank == RT_H5_RANK - 1)
            return rt_fail(RT_INPUT, "%s: its shape cannot be read or has more than %d dimensions", of,
                           RT_H5_RANK - 1);
        a->dim[a->rank++] = v;
        q = stop;
    }
}

rt_status rt_npy_parse(rt_npy *a, const char *text, const char *of)
{
    const char *descr = strstr(text, "'descr':"), *order = strstr(text, "'fortran_order':"), *shape = strstr(text,
        "'shape':");
    memset(a, 0, sizeof *a);
    if (!descr || !order || !shape) return damaged(of);
    descr += 8 + strspn(descr + 8, " ");
    order += 16 + strspn(order + 16, " ");
    shape += 8 + strspn(shape + 8, " ");
    RT_TRY(parse_type(a, descr, of));
    a->fortran = strncmp(order, "True", 4) == 0;
    if ((!a->fortran && strncmp(order, "False", 5)) || *shape != '(') return damaged(of);
    return parse_shape(a, shape, of);
}

const char *rt_npy_type(rt_dtype type)
{
    switch (type) {
    case RT_U8: return "|u1";
    case RT_I8: return "|i1";
    case RT_U16: return "<u2";
    case RT_I16: return "<i2";
    case RT_U32: return "<u4";
    case RT_I32: return "<i4";
    case RT_U64: return "<u8";
    case RT_I64: return "<i8";
    case RT_F16: return "<f2";
    case RT_F32: return "<f4";
    case RT_F64: return "<f8";
    case RT_BOOL: return "|b1";
    case RT_BF16:
    case RT_STRING:
    case RT_TEXT:
    default: break;
    }
    return NULL;
}

size_t rt_npy_header(char out[256], const char *type, const uint64_t *dim, int rank)
{
    char text[200];
    int n = snprintf(text, sizeof text, "{'descr': '%s', 'fortran_order': False, 'shape': (", type);
    for (int i = 0; i < rank; i++)
        n += snprintf(text + n, sizeof text - (size_t)n, "%llu,%s", (unsigned long long)dim[i],
                      i + 1 < rank ? " " : "");
    n += snprintf(text + n, sizeof text - (size_t)n, "), }");
    size_t total = (10 + (size_t)n + 1 + 63) & ~(size_t)63, length = total - 10;
    memcpy(out, "\223NUMPY\1\0", 8);
    out[8] = (char)(length & 255);
    out[9] = (char)(length >> 8);
    memcpy(out + 10, text, (size_t)n);
    memset(out + 10 + n, ' ', length - (size_t)n);
    out[total - 1] = '\n';
    return total;
}
