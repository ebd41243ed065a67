#include "data/import.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "data/h5.h"
#include "engine/digest.h"

void rt_table_free(rt_table *t)
{
    free(t->x);
    free(t->y);
    for (int i = 0; i < t->classes && t->class_name; i++) free(t->class_name[i]);
    free(t->class_name);
    *t = (rt_table){0};
}

rt_status rt_read_maybe_gzip(char **data, size_t *size, const char *path, size_t max)
{
    *data = NULL;
    FILE *probe = fopen(path, "rb");
    if (!probe) return rt_fail(RT_INPUT, "%s: %s", path, strerror(errno));
    fclose(probe);
    gzFile f = gzopen(path, "rb");          /* reads plain files as they are */
    if (!f) return rt_fail(RT_INPUT, "%s: %s", path, strerror(errno));
    size_t room = 1 << 20, n = 0;
    char *p = malloc(room);
    rt_status st = p ? RT_OK : rt_fail(RT_RUN, "out of memory");
    while (!st) {
        if (n == room) {
            char *q = room < max ? realloc(p, room * 2) : NULL;
            if (!q) {
                st = rt_fail(RT_INPUT, "%s: is larger than %zu bytes or than memory", path, max);
                break;
            }
            p = q;
            room *= 2;
        }
        size_t want = room - n < 1 << 30 ? room - n : 1 << 30;
        int k = gzread(f, p + n, (unsigned)want), code;
        if (k < 0) st = rt_fail(RT_INPUT, "%s: damaged gzip data: %s", path, gzerror(f, &code));
        else if (k == 0) break;
        else n += (size_t)k;
    }
    if (!st && gzclose(f) == Z_BUF_ERROR) st = rt_fail(RT_INPUT, "%s: the gzip data ends too early; the file is truncated", path);
    else if (st) gzclose(f);
    if (st) free(p);
    else {
        *data = p;
        *size = n;
    }
    return st;
}

/* ---- IDX (LeCun): magic 0 0 type rank, big-endian dimensions, data ---- */

static uint32_t big32(const unsigned char *p) { return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]; }

static rt_status read_idx(const char *path, char **data, rt_dtype *type, int *rank, uint64_t *dim, size_t *at)
{
    static const struct { int code; rt_dtype type; } types[] = {{8, RT_U8}, {9, RT_I8}, {11, RT_I16}, {12, RT_I32}, {13, RT_F32}, {14, RT_F64}};
    size_t size;
    RT_TRY(rt_read_maybe_gzip(data, &size, path, (size_t)1 << 36));
    const unsigned char *p = (unsigned char *)*data;
    int known = -1;
    if (size >= 4 && !p[0] && !p[1])
        for (int i = 0; i < 6; i++) if (types[i].code == p[2]) known = i;
    if (known < 0 || p[3] < 1 || p[3] > 4 || size < 4 + 4 * (size_t)p[3]) return rt_fail(RT_INPUT, "%s: is no IDX file", path);
    *type = types[known].type;
    *rank = p[3];
    uint64_t bytes = rt_dtype_size(*type);
    for (int i = 0; i < *rank; i++) {
        dim[i] = big32(p + 4 + 4 * i);
        if (__builtin_mul_overflow(bytes, dim[i], &bytes)) return rt_fail(RT_INPUT, "%s: impossible dimensions", path);
    }
    *at = 4 + 4 * (size_t)*rank;
    if (bytes != size - *at) return rt_fail(RT_INPUT, "%s: its header tells %llu bytes of data, it has %zu; the file is truncated or damaged", path, (unsigned long long)bytes, size - *at);
    size_t e = rt_dtype_size(*type);
    char *q = *data + *at;
    for (uint64_t i = 0; e > 1 && i < bytes; i += e)
        for (size_t k = 0; k < e / 2; k++) {
            char c = q[i + k];
            q[i + k] = q[i + e - 1 - k];
            q[i + e - 1 - k] = c;
        }
    return RT_OK;
}

static rt_status labels_from(rt_table *t, const char *path, const char *raw, rt_dtype type, uint64_t n)
{
    if (n != t->dim[0]) return rt_fail(RT_INPUT, "%s: has %llu labels for %llu rows", path, (unsigned long long)n, (unsigned long long)t->dim[0]);
    t->y = malloc((n + 1) * sizeof *t->y);
    if (!t->y) return rt_fail(RT_RUN, "out of memory");
    size_t e = rt_dtype_size(type);
    for (uint64_t i = 0; i < n; i++) {
        const char *p = raw + i * e;
        int64_t v;
        switch (type) {
        case RT_U8: v = *(const uint8_t *)p; break;
        case RT_I8: v = *(const int8_t *)p; break;
        case RT_I16: { int16_t w; memcpy(&w, p, 2); v = w; break; }
        case RT_U16: { uint16_t w; memcpy(&w, p, 2); v = w; break; }
        case RT_I32: { int32_t w; memcpy(&w, p, 4); v = w; break; }
        case RT_U32: { uint32_t w; memcpy(&w, p, 4); v = w; break; }
        case RT_I64: case RT_U64: memcpy(&v, p, 8); break;
        default: return rt_fail(RT_INPUT, "%s: labels must be whole numbers, not %s", path, rt_dtype_name(type));
        }
        if (v < 0 || v > INT32_MAX) return rt_fail(RT_INPUT, "%s: label %lld of row %llu is out of range", path, (long long)v, (unsigned long long)i);
        t->y[i] = (int32_t)v;
    }
    return RT_OK;
}

static uint64_t table_bytes(const rt_table *t)
{
    uint64_t n = rt_dtype_size(t->type);
    for (int i = 0; i < t->rank; i++) n *= t->dim[i];
    return n;
}

rt_status rt_import_idx(rt_table *t, const char *images, const char *labels)
{
    char *data = NULL, *raw = NULL;
    size_t at = 0;
    rt_status st = read_idx(images, &data, &t->type, &t->rank, t->dim, &at);
    if (!st) {
        memmove(data, data + at, table_bytes(t));
        t->x = data;
        data = NULL;
        if (t->rank == 3) t->dim[t->rank++] = 1;       /* grey images: (N, H, W, 1) */
    }
    if (!st && labels) {
        rt_dtype type;
        int rank;
        uint64_t dim[4];
        st = read_idx(labels, &raw, &type, &rank, dim, &at);
        if (!st && rank != 1) st = rt_fail(RT_INPUT, "%s: labels must have one dimension, not %d", labels, rank);
        if (!st) st = labels_from(t, labels, raw + at, type, dim[0]);
    }
    free(data);
    free(raw);
    return st;
}

/* ---- NPY, versions 1 to 3 (NEP 1): magic, header length, a Python dictionary ---- */

static rt_status read_npy(const char *path, char **data, rt_dtype *type, int *rank, uint64_t *dim, size_t *at)
{
    static const struct { const char *name; rt_dtype type; } types[] = {
        {"|u1", RT_U8}, {"|i1", RT_I8}, {"<u2", RT_U16}, {"<i2", RT_I16}, {"<u4", RT_U32}, {"<i4", RT_I32}, {"<u8", RT_U64},
        {"<i8", RT_I64}, {"<f2", RT_F16}, {"<f4", RT_F32}, {"<f8", RT_F64}, {"|b1", RT_U8}};
    size_t size;
    RT_TRY(rt_read_maybe_gzip(data, &size, path, (size_t)1 << 36));
    const unsigned char *p = (unsigned char *)*data;
    if (size < 12 || memcmp(p, "\223NUMPY", 6)) return rt_fail(RT_INPUT, "%s: is no NPY file", path);
    size_t head = p[6] == 1 ? 10 : 12, n = p[6] == 1 ? (size_t)p[8] | (size_t)p[9] << 8 : (size_t)p[8] | (size_t)p[9] << 8 | (size_t)p[10] << 16 | (size_t)p[11] << 24;
    if (p[6] < 1 || p[6] > 3 || n > 65536 || n > size - head) return rt_fail(RT_INPUT, "%s: damaged NPY header", path);
    char *text = strndup(*data + head, n);
    if (!text) return rt_fail(RT_RUN, "out of memory");
    const char *descr = strstr(text, "'descr':"), *order = strstr(text, "'fortran_order':"), *shape = strstr(text, "'shape':");
    rt_status st = descr && order && shape ? RT_OK : rt_fail(RT_INPUT, "%s: damaged NPY header", path);
    int known = -1;
    if (!st) {
        descr += 8 + strspn(descr + 8, " ");
        for (int i = 0; i < 12; i++) if (*descr == '\'' && strncmp(descr + 1, types[i].name, 3) == 0 && descr[4] == '\'') known = i;
        order += 16 + strspn(order + 16, " ");
        shape += 8 + strspn(shape + 8, " ");
        if (known < 0) st = rt_fail(RT_INPUT, "%s: element type %.12s is not supported; save numbers in little-endian order", path, descr);
        else if (strncmp(order, "False", 5)) st = rt_fail(RT_INPUT, "%s: is in Fortran order; save np.ascontiguousarray(x)", path);
        else if (*shape != '(') st = rt_fail(RT_INPUT, "%s: damaged NPY header", path);
    }
    if (!st) {
        *type = types[known].type;
        *rank = 0;
        uint64_t bytes = rt_dtype_size(*type);
        for (const char *q = shape + 1; !st;) {
            q += strspn(q, " ,");
            if (*q == ')') break;
            char *stop;
            unsigned long long v = strtoull(q, &stop, 10);
            if (stop == q || *rank == 6 || __builtin_mul_overflow(bytes, v, &bytes)) st = rt_fail(RT_INPUT, "%s: its shape cannot be read or has more than 6 dimensions", path);
            else dim[(*rank)++] = v;
            q = stop;
        }
        *at = head + n;
        if (!st && *rank == 0) st = rt_fail(RT_INPUT, "%s: holds a single value, not rows", path);
        if (!st && bytes != size - *at) st = rt_fail(RT_INPUT, "%s: its header tells %llu bytes of data, it has %zu; the file is truncated or damaged", path, (unsigned long long)bytes, size - *at);
    }
    free(text);
    return st;
}

rt_status rt_import_npy(rt_table *t, const char *x, const char *y)
{
    char *data = NULL, *raw = NULL;
    size_t at = 0;
    rt_status st = read_npy(x, &data, &t->type, &t->rank, t->dim, &at);
    if (!st) {
        memmove(data, data + at, table_bytes(t));
        t->x = data;
        data = NULL;
        if (t->rank == 1) t->dim[t->rank++] = 1;
    }
    if (!st && y) {
        rt_dtype type;
        int rank;
        uint64_t dim[8];
        st = read_npy(y, &raw, &type, &rank, dim, &at);
        if (!st && rank != 1) st = rt_fail(RT_INPUT, "%s: labels must have one dimension, not %d", y, rank);
        if (!st) st = labels_from(t, y, raw + at, type, dim[0]);
    }
    free(data);
    free(raw);
    return st;
}

/* ---- writing ---- */

rt_status rt_import_write(const rt_table *t, const char *out, const char *format, const char *const *inputs, int n_inputs)
{
    if (t->dim[0] == 0 || table_bytes(t) == 0) return rt_fail(RT_NOTHING, "%s: there are no rows to import", inputs[0]);
    cJSON *m = cJSON_CreateObject(), *from = cJSON_CreateObject();
    cJSON_AddStringToObject(m, "what", "data set");
    cJSON_AddItemToObject(m, "imported", from);
    cJSON_AddStringToObject(from, "format", format);
    cJSON *files = cJSON_AddArrayToObject(from, "inputs");
    rt_status st = RT_OK;
    for (int i = 0; i < n_inputs && !st; i++) {
        rt_digest d;
        cJSON *f = cJSON_CreateObject();
        cJSON_AddStringToObject(f, "path", inputs[i]);
        if (strcmp(format, "images")) {               /* a folder has no bytes of its own */
            st = rt_digest_file(&d, inputs[i]);
            if (!st) cJSON_AddStringToObject(f, "xxh128", d.hex);
        }
        cJSON_AddItemToArray(files, f);
    }
    if (t->class_name) {
        cJSON *names = cJSON_AddArrayToObject(m, "classes");
        for (int i = 0; i < t->classes; i++) cJSON_AddItemToArray(names, cJSON_CreateString(t->class_name[i]));
    }
    char *text = cJSON_Print(m);
    cJSON_Delete(m);
    rt_h5_item it[3] = {{.name = "x", .type = t->type, .rank = t->rank, .data = t->x}};
    int n = 1;
    memcpy(it[0].dim, t->dim, sizeof t->dim);
    if (t->y) it[n++] = (rt_h5_item){.name = "y", .type = RT_I32, .rank = 1, .dim = {t->dim[0]}, .data = t->y};
    if (text) it[n++] = (rt_h5_item){.name = "manifest", .type = RT_TEXT, .element = (uint32_t)strlen(text), .data = text};
    if (!st && !text) st = rt_fail(RT_RUN, "out of memory");
    if (!st) st = rt_h5_save(out, "retort-data-1", it, n);
    cJSON_free(text);
    return st;
}
