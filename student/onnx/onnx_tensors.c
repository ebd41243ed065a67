/* student/onnx/onnx_tensors.c - TensorProto as arrays: raw bytes, typed fields, data in other files. */
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <errno.h>
#include <unistd.h>

#include "data/files.h"
#include "onnx.pb-c.h"
#include "student/onnx/onnx_parts.h"

rt_dtype rt_onnx_element(int32_t number, const char **name)
{
    static const struct { const char *name; rt_dtype type; } of[] = {
        {"undefined", RT_DTYPE_COUNT}, {"float32", RT_F32}, {"uint8", RT_U8}, {"int8", RT_I8}, {"uint16", RT_U16},
        {"int16", RT_I16}, {"int32", RT_I32}, {"int64", RT_I64}, {"string", RT_STRING}, {"bool", RT_BOOL},
        {"float16", RT_F16}, {"float64", RT_F64}, {"uint32", RT_U32}, {"uint64", RT_U64},
        {"complex64", RT_DTYPE_COUNT}, {"complex128", RT_DTYPE_COUNT}, {"bfloat16", RT_BF16},
        {"float8e4m3fn", RT_F8E4M3}, {"float8e4m3fnuz", RT_F8E4M3Z}, {"float8e5m2", RT_F8E5M2},
        {"float8e5m2fnuz", RT_F8E5M2Z}, {"uint4", RT_U4}, {"int4", RT_I4}, {"float4e2m1", RT_F4E2M1},
        {"float8e8m0", RT_F8E8M0}, {"uint2", RT_U2}, {"int2", RT_I2}};
    int known = number >= 0 && (size_t)number < sizeof of / sizeof of[0];
    if (name) *name = known ? of[number].name : "an unknown type";
    return known ? of[number].type : RT_DTYPE_COUNT;
}

/* Elements of 4 and 2 bits share bytes in files, the first in the low bits. */
static int packed_bits(rt_dtype t)
{ return t == RT_U4 || t == RT_I4 || t == RT_F4E2M1 ? 4 : t == RT_U2 || t == RT_I2 ? 2 : 0; }

static size_t packed_bytes(rt_dtype t, size_t count)
{
    size_t each = packed_bits(t) ? 8 / (size_t)packed_bits(t) : 1;
    return each > 1 ? count / each + (count % each > 0) : count * rt_dtype_size(t);
}

/* Packed elements at the start of an array become its elements. */
static void unpack(rt_array *a)
{
    int bits = packed_bits(a->type);
    uint8_t *data = a->data;
    for (size_t i = a->count; bits && i--;) {
        int v = data[i * (size_t)bits / 8] >> i % (8 / (size_t)bits) * (size_t)bits & ((1 << bits) - 1);
        if (a->type == RT_F4E2M1) data[i] = (uint8_t)v;
        else rt_array_put_int(a, i, v);
    }
}

/* ---- data in another file ---- */

typedef struct { const char *location; uint64_t offset, length; int has_length; } place;

static rt_status number(const char *key, const char *text, uint64_t *v)
{
    char *end;
    errno = 0;
    *v = strtoull(text, &end, 10);
    if (errno || *end || end == text || *text == '-' || *text == '+' || *v > INT64_MAX)
        return rt_fail(RT_INPUT, "external data: '%s' of %s is no number", text, key);
    return RT_OK;
}

static rt_status place_of(const Onnx__TensorProto *t, place *p)
{
    memset(p, 0, sizeof *p);
    for (size_t i = 0; i < t->n_external_data; i++) {
        const char *key = t->external_data[i]->key, *value = t->external_data[i]->value;
        if (!key || !value) return rt_fail(RT_INPUT, "external data: an entry has no key or value");
        if (!strcmp(key, "location")) p->location = value;
        else if (!strcmp(key, "offset")) RT_TRY(number(key, value, &p->offset));
        else if (!strcmp(key, "length")) {
            RT_TRY(number(key, value, &p->length));
            p->has_length = 1;
        } else if (strcmp(key, "checksum") && strcmp(key, "basepath"))
            return rt_fail(RT_INPUT, "external data: the entry '%s' is not known", key);
    }
    return p->location && *p->location ? RT_OK : rt_fail(RT_INPUT, "external data: has no location");
}

/* A regular file beneath the folder: the kernel sees to it that no name, and unless links are allowed no link, leads
 * out. */
static rt_status open_beneath(const rt_onnx_data *d, const char *name, int *fd)
{
    struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | (d->links ? 0 : RESOLVE_NO_SYMLINKS)};
    struct stat s;
    if (d->folder < 0) return rt_fail(RT_INPUT, "external data: '%s', but the model is not read from a folder", name);
    do *fd = (int)syscall(SYS_openat2, d->folder, name, &how, sizeof how);
    while (*fd < 0 && errno == EINTR);
    int error = errno;
    if (*fd < 0 && (error == EXDEV || error == ELOOP))
        return rt_fail(RT_INPUT, "external data: '%s' leads out of %s%s", name, d->folder_name,
                       d->links ? "" : ", or is a link; --data-root names a folder within which links are followed");
    if (*fd < 0) return rt_fail(rt_errno_status(error), "external data: '%s': %s", name, strerror(error));
    if (fstat(*fd, &s) || !S_ISREG(s.st_mode)) {
        close(*fd);
        return rt_fail(RT_INPUT, "external data: '%s' is no regular file", name);
    }
    return RT_OK;
}

/* Opens what has the tensor's bytes, which are there, and allows the memory that they need. */
static rt_status open_external(int *fd, place *p, rt_dtype type, size_t bytes, const Onnx__TensorProto *t,
                               rt_onnx_data *d)
{
    struct stat s;
    RT_TRY(place_of(t, p));
    if (type == RT_STRING) return rt_fail(RT_INPUT, "external data: strings cannot lie in another file");
    if (p->has_length && p->length != bytes)
        return rt_fail(RT_INPUT, "external data: %llu bytes are announced, the shape has %zu",
                       (unsigned long long)p->length, bytes);
    RT_TRY(open_beneath(d, p->location, fd));
    if (fstat(*fd, &s) || p->offset > (uint64_t)s.st_size || bytes > (uint64_t)s.st_size - p->offset) {
        close(*fd);
        return rt_fail(RT_INPUT, "external data: '%s' has not %zu bytes from byte %llu on", p->location, bytes,
                       (unsigned long long)p->offset);
    }
    if (d->grows)
        rt_region_allow(d->region, bytes > RT_ONNX_BUDGET / RT_ONNX_EACH ? RT_ONNX_BUDGET : bytes * RT_ONNX_EACH,
                        RT_ONNX_BUDGET);
    return RT_OK;
}

static rt_status read_external(rt_array *a, size_t bytes, int fd, const place *p, rt_onnx_data *d)
{
    rt_status st = rt_pread_all(fd, a->data, bytes, p->offset, p->location);
    if (st) return rt_fail_in(st, "external data");
    if (d->hash) rt_hasher_add(d->hash, a->data, bytes);
    d->bytes += bytes;
    d->count++;
    return RT_OK;
}

/* ---- data in the message ---- */

static rt_status copy_raw(rt_array *a, size_t bytes, const Onnx__TensorProto *t)
{
    if (a->type == RT_STRING) return rt_fail(RT_INPUT, "strings cannot be raw data");
    if (t->raw_data.len != bytes)
        return rt_fail(RT_INPUT, "has %zu bytes of raw data, its shape needs %zu", t->raw_data.len, bytes);
    if (bytes) memcpy(a->data, t->raw_data.data, bytes);
    return RT_OK;
}

static rt_status copy_texts(rt_array *a, const Onnx__TensorProto *t, rt_region *r)
{
    const char **to = a->data;
    for (size_t i = 0; i < a->count; i++)
        if (!(to[i] = rt_region_text(r, (const char *)t->string_data[i].data, t->string_data[i].len))) return RT_INPUT;
    return RT_OK;
}

static rt_status copy_fields(rt_array *a, const Onnx__TensorProto *t, rt_region *r)
{
    size_t n;
    switch (a->type) {
    case RT_F32: n = t->n_float_data; break;
    case RT_F64: n = t->n_double_data; break;
    case RT_I64: n = t->n_int64_data; break;
    case RT_U32: case RT_U64: n = t->n_uint64_data; break;
    case RT_STRING: n = t->n_string_data; break;
    default: n = t->n_int32_data;
    }
    size_t want = packed_bits(a->type) ? packed_bytes(a->type, a->count) : a->count;
    if (n != want) return rt_fail(RT_INPUT, "has %zu values, its shape needs %zu", n, want);
    if (!n) return RT_OK;
    switch (a->type) {
    case RT_F32: memcpy(a->data, t->float_data, n * 4); break;
    case RT_F64: memcpy(a->data, t->double_data, n * 8); break;
    case RT_I64: memcpy(a->data, t->int64_data, n * 8); break;
    case RT_U32: case RT_U64:
        for (size_t i = 0; i < n; i++) rt_array_put_int(a, i, (int64_t)t->uint64_data[i]);
        break;
    case RT_STRING: return copy_texts(a, t, r);
    case RT_F16: case RT_BF16:                          /* the bits */
        for (size_t i = 0; i < n; i++) ((uint16_t *)a->data)[i] = (uint16_t)t->int32_data[i];
        break;
    case RT_U4: case RT_I4: case RT_U2: case RT_I2: case RT_F4E2M1:
    case RT_F8E4M3: case RT_F8E4M3Z: case RT_F8E5M2: case RT_F8E5M2Z: case RT_F8E8M0:
        for (size_t i = 0; i < n; i++) ((uint8_t *)a->data)[i] = (uint8_t)t->int32_data[i];
        break;
    default:
        for (size_t i = 0; i < n; i++) rt_array_put_int(a, i, t->int32_data[i]);
    }
    return RT_OK;
}

static rt_status array_of(rt_array **out, const Onnx__TensorProto *t, rt_onnx_data *d)
{
    const char *name;
    size_t count, bytes;
    rt_dtype type = rt_onnx_element(t->has_data_type ? t->data_type : 0, &name);
    if (type == RT_DTYPE_COUNT) return rt_fail(RT_INPUT, "elements of %s are not supported", name);
    if (t->segment) return rt_fail(RT_INPUT, "tensors in segments are not supported");
    if (t->n_dims > RT_ARRAY_RANK)
        return rt_fail(RT_INPUT, "rank %zu; up to %d is supported", t->n_dims, RT_ARRAY_RANK);
    RT_TRY(rt_array_size(type, (int)t->n_dims, t->dims, &count, &bytes));
    bytes = packed_bytes(type, count);
    int external = t->has_data_location && t->data_location == ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
    /* what a few bytes of the file announce is not believed before memory is taken */
    size_t there = t->raw_data.len + t->n_float_data + t->n_int32_data + t->n_int64_data + t->n_uint64_data +
                   t->n_double_data + t->n_string_data;
    if (!external && there < (packed_bits(type) ? bytes : count))
        return rt_fail(RT_INPUT, "its shape needs %zu values, the file has fewer", count);
    place p;
    int fd = -1;
    if (external) RT_TRY(open_external(&fd, &p, type, bytes, t, d));
    rt_status st = rt_array_make(out, d->region, type, (int)t->n_dims, t->dims);
    if (!st && external) st = read_external(*out, bytes, fd, &p, d);
    if (external) close(fd);
    RT_TRY(st);
    if (!external)
        RT_TRY(t->has_raw_data && (t->raw_data.len || !count) ? copy_raw(*out, bytes, t)
                                                              : copy_fields(*out, t, d->region));
    unpack(*out);
    if (type == RT_BOOL)
        for (size_t i = 0; i < count; i++) ((uint8_t *)(*out)->data)[i] = !!((uint8_t *)(*out)->data)[i];
    return RT_OK;
}

rt_status rt_onnx_array(rt_array **out, const Onnx__TensorProto *t, rt_onnx_data *d)
{
    rt_status st = array_of(out, t, d);
    if (st && t->name && *t->name) return rt_fail_in(st, "tensor '%s'", t->name);
    return st;
}
