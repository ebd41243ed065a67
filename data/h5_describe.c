/* data/h5_describe.c - what an open data set is: type, shape, layout, filters, fill value; or why it is not read. */
#include <hdf5.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/codecs.h"
#include "data/h5_plan.h"

void rt_h5_refuse(rt_h5_dataset *d, const char *fmt, ...)
{
    va_list a;
    va_start(a, fmt);
    vsnprintf(d->refused, sizeof d->refused, fmt, a);
    va_end(a);
}

/* ---- types ---- */

static void floating(hid_t t, rt_h5_dataset *d)
{
    static const struct { rt_dtype type; size_t bytes, sign, exponent, exponent_bits, mantissa_bits, bias; } known[] = {
        {RT_F16, 2, 15, 10, 5, 10, 15}, {RT_BF16, 2, 15, 7, 8, 7, 127},
        {RT_F32, 4, 31, 23, 8, 23, 127}, {RT_F64, 8, 63, 52, 11, 52, 1023},
    };
    size_t sign, exponent, exponent_bits, mantissa, mantissa_bits, bytes = H5Tget_size(t), bias = H5Tget_ebias(t);
    H5Tget_fields(t, &sign, &exponent, &exponent_bits, &mantissa, &mantissa_bits);
    int plain = H5Tget_norm(t) == H5T_NORM_IMPLIED && H5Tget_offset(t) == 0 && H5Tget_precision(t) == 8 * bytes &&
                mantissa == 0;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (plain && bytes == known[i].bytes && sign == known[i].sign && exponent == known[i].exponent &&
            bias == known[i].bias && exponent_bits == known[i].exponent_bits &&
            mantissa_bits == known[i].mantissa_bits) {
            d->type = known[i].type;
            return;
        }
    /* Every such number is one of a wider format: the library converts it to that, where the layout lets it. */
    double most = ldexp(1, (int)exponent_bits) - 2 - (double)bias, least = 1 - (double)bias - (double)mantissa_bits;
    for (int i = 2; i < 4; i++)
        if (exponent_bits <= known[i].exponent_bits && mantissa_bits <= known[i].mantissa_bits &&
            most <= (double)known[i].bias && least >= 1.0 - (double)known[i].bias - (double)known[i].mantissa_bits &&
            !d->by_library) {
            d->type = known[i].type;
            d->element = (uint32_t)known[i].bytes;
            d->by_library = RT_H5_CONVERTED;
        }
    rt_h5_refuse(d, "floating-point numbers of %zu bytes with %zu bits of exponent and %zu of mantissa cannot be read; "
                    "write them as float32 or float64", bytes, exponent_bits, mantissa_bits);
}

static void integer(hid_t t, rt_h5_dataset *d)
{
    size_t bytes = H5Tget_size(t), bits = H5Tget_precision(t);
    int sign = H5Tget_class(t) == H5T_INTEGER && H5Tget_sign(t) == H5T_SGN_2;
    if (bits != 8 * bytes || H5Tget_offset(t) != 0 || (bytes != 1 && bytes != 2 && bytes != 4 && bytes != 8))
        rt_h5_refuse(d, "integers of %zu bits in %zu bytes cannot be read; write them as int8, 16, 32 or 64", bits,
                     bytes);
    if (bytes == 1) d->type = sign ? RT_I8 : RT_U8;
    else if (bytes == 2) d->type = sign ? RT_I16 : RT_U16;
    else if (bytes == 4) d->type = sign ? RT_I32 : RT_U32;
    else if (bytes == 8) d->type = sign ? RT_I64 : RT_U64;
    else return;
    if (d->refused[0] && H5Tget_class(t) == H5T_INTEGER) d->by_library = RT_H5_CONVERTED; /* where the layout lets it */
}

/* Records; h5py writes complex numbers as records of r and i. */
static void compound(hid_t t, rt_h5_dataset *d)
{
    int members = H5Tget_nmembers(t), n = 0;
    char list[120] = "";
    for (int i = 0; i < members && n < 80; i++) {
        char *name = H5Tget_member_name(t, (unsigned)i);
        if (name) n += snprintf(list + n, sizeof list - (size_t)n, "%s%.30s", i ? ", " : "", name);
        H5free_memory(name);
    }
    if (members == 2 && strcmp(list, "r, i") == 0)
        rt_h5_refuse(d, "its type is complex numbers; write real and imaginary parts as data sets of their own");
    else rt_h5_refuse(d, "its type is compound, records of %d fields (%s%s); write each field as a data set of its own",
                      members, list, n >= 80 ? ", ..." : "");
}

static void number(hid_t t, H5T_class_t class, rt_h5_dataset *d)
{
    H5T_order_t order = H5Tget_order(t);
    size_t size = H5Tget_size(t);
    if (size > 1 && order != H5T_ORDER_LE && order != H5T_ORDER_BE)
        rt_h5_refuse(d, "the order of bytes in its numbers is neither little- nor big-endian");
    else if (class == H5T_FLOAT) floating(t, d);
    else integer(t, d);
    d->swap = size > 1 && order == H5T_ORDER_BE && !d->by_library;
}

static void find_type(hid_t t, rt_h5_dataset *d)
{
    H5T_class_t class = H5Tget_class(t);
    size_t size = H5Tget_size(t);
    d->element = (uint32_t)size;
    switch (class) {
    case H5T_INTEGER: case H5T_FLOAT: case H5T_BITFIELD: number(t, class, d); break;
    case H5T_ENUM: {
        hid_t base = H5Tget_super(t);
        number(base, H5T_INTEGER, d);
        H5Tclose(base);
        d->by_library = 0;                            /* names of numbers are not converted */
        break;
    }
    case H5T_STRING:
        d->type = RT_TEXT;
        if (H5Tis_variable_str(t) > 0)
            rt_h5_refuse(d, "its type is variable-length strings; write fixed-length ones, with NumPy: a.astype('S')");
        break;
    case H5T_COMPOUND: compound(t, d); break;
    case H5T_VLEN:
        rt_h5_refuse(d, "its type is variable-length: elements are lists of different lengths; pad them to one length");
        break;
    case H5T_ARRAY:
        rt_h5_refuse(d, "its type is array: elements are arrays; write them as further dimensions of the data set");
        break;
    case H5T_REFERENCE: rt_h5_refuse(d, "its type is references to objects or regions, not values"); break;
    case H5T_OPAQUE: {
        char *tag = H5Tget_tag(t);
        rt_h5_refuse(d, "its type is opaque: %zu bytes an element with the tag '%.60s'; write numbers", size,
                     tag ? tag : "");
        H5free_memory(tag);
        break;
    }
    case H5T_TIME: rt_h5_refuse(d, "its type is HDF5's time, which nothing reads any more; write numbers"); break;
    default:
        rt_h5_refuse(d, "its type is of a class that HDF5 %d.%d does not know", H5_VERS_MAJOR, H5_VERS_MINOR);
        break;
    }
    if (!d->refused[0] && (size == 0 || size > INT32_MAX)) rt_h5_refuse(d, "its elements take %zu bytes each", size);
}

static hid_t native(rt_dtype t)
{
    switch (t) {
    case RT_U8: return H5T_NATIVE_UINT8;
    case RT_I8: return H5T_NATIVE_INT8;
    case RT_U16: return H5T_NATIVE_UINT16;
    case RT_I16: return H5T_NATIVE_INT16;
    case RT_U32: return H5T_NATIVE_UINT32;
    case RT_I32: return H5T_NATIVE_INT32;
    case RT_U64: return H5T_NATIVE_UINT64;
    case RT_I64: return H5T_NATIVE_INT64;
    case RT_F32: return H5T_NATIVE_FLOAT;
    default: return H5T_NATIVE_DOUBLE;
    }
}

int64_t rt_h5_memory_type(int64_t type, rt_dtype t, int use)
{
    int is_float = t == RT_F32 || t == RT_F64;
    hid_t copy = H5Tcopy(use == RT_H5_CONVERTED && is_float ? native(t) : type);
    if (use == RT_H5_CONVERTED && !is_float && H5Tset_order(copy, H5T_ORDER_LE) < 0) {
        H5Tclose(copy);
        return -1;
    }
    return copy;
}

int rt_h5_convert(int64_t memory, rt_dtype t, int use, size_t n, void *data)
{
    if (use != RT_H5_CONVERTED || t == RT_F32 || t == RT_F64) return 0;
    return H5Tconvert(memory, native(t), n, data, NULL, H5P_DEFAULT) < 0 ? -1 : 0;
}

/* ---- layouts ---- */

/* What the library reads where nothing is stored: with a fill time of "never", or an undefined fill value, it is
 * whatever the memory held before (h5py shows zeros). Such holes are refused, never zero. */
static int find_fill(hid_t p, hid_t t, rt_h5_record *r)
{
    H5D_fill_value_t defined = H5D_FILL_VALUE_ERROR;
    H5D_fill_time_t when = H5D_FILL_TIME_ERROR;
    rt_h5_dataset *d = &r->set;
    snprintf(r->unfilled, sizeof r->unfilled, "the file defines no fill value for it");
    if (H5Pfill_value_defined(p, &defined) < 0 || H5Pget_fill_time(p, &when) < 0) return 0;
    if (defined == H5D_FILL_VALUE_UNDEFINED || when == H5D_FILL_TIME_NEVER) return 0;
    size_t room = d->type == RT_TEXT ? d->element : sizeof d->fill;
    unsigned char *value = calloc(1, room);
    if (!value && room <= RT_H5_MAX_COMPACT) return -1;         /* a larger one is the file's fault */
    if (value && (defined == H5D_FILL_VALUE_DEFAULT ||
                  (H5Pget_fill_value(p, t, value) >= 0 && !rt_h5_convert(t, d->type, d->by_library, 1, value)))) {
        size_t used = 0;
        while (used < room && (d->type != RT_TEXT || !value[used])) used++;
        if (used < room) snprintf(r->unfilled, sizeof r->unfilled, "its fill value is a text");
        else r->unfilled[0] = 0;
        if (d->type != RT_TEXT) memcpy(d->fill, value, sizeof d->fill);
    }
    free(value);
    return 0;
}

static void find_filters(hid_t p, rt_h5_dataset *d)
{
    int filters = H5Pget_nfilters(p);
    if (filters < 0 || filters > RT_H5_FILTERS) {
        rt_h5_refuse(d, "it has %d filters; at most %d are undone", filters, RT_H5_FILTERS);
        return;
    }
    for (int i = 0; i < filters && !d->refused[0]; i++) {
        unsigned flags, config, data[RT_H5_PARAMS] = {0};
        size_t n = RT_H5_PARAMS;
        char name[64] = "";
        int f = H5Pget_filter2(p, (unsigned)i, &flags, &n, data, sizeof name, name, &config);
        name[sizeof name - 1] = 0;
        d->filter[d->filters++] = f;
        for (size_t k = 0; k < RT_H5_PARAMS && k < n; k++) d->param[i][k] = data[k];
        int odd = f == RT_H5_BITSHUFFLE && (!d->param[i][2] || d->param[i][4] == 1 || d->param[i][4] > 3);
        if (odd) rt_h5_refuse(d, "it is compressed by a bitshuffle of a kind that nobody writes (filter %d)", f);
        if (rt_h5_filter_undone(f) && !rt_codec_lacks(f, d->param[i])) continue;
        if (!d->by_library) d->by_library = RT_H5_AS_STORED;
        if (!rt_h5_filter_undone(f) && !d->filter_name[0])
            snprintf(d->filter_name, sizeof d->filter_name, "%.*s", (int)sizeof d->filter_name - 1, name);
    }
}

static void find_grid(hid_t p, rt_h5_dataset *d)
{
    hsize_t dims[H5S_MAX_RANK];
    double count = 1;
    int rank = H5Pget_chunk(p, H5S_MAX_RANK, dims);
    d->chunked = 1;
    if (rank != d->rank) {
        rt_h5_refuse(d, "its chunks have %d dimensions, and it has %d", rank, d->rank);
        return;
    }
    for (int i = 0; i < rank; i++) {
        d->chunk_dim[i] = dims[i];
        count *= dims[i] ? (double)(d->dim[i] / dims[i] + (d->dim[i] % dims[i] != 0)) : 0;
    }
    if (count > RT_H5_MAX_CHUNKS)
        rt_h5_refuse(d, "it is cut into %.0f chunks; at most %d are read: write it again with larger ones", count,
                     RT_H5_MAX_CHUNKS);
    else d->chunks = (uint64_t)count;
}

/* Small sets live in the header of the object; they travel with the plan. */
static int find_compact(hid_t id, hid_t t, rt_h5_record *r, unsigned char **bytes)
{
    rt_h5_dataset *d = &r->set;
    uint64_t n = d->element;
    int bad = 0;
    for (int i = 0; i < d->rank; i++) bad |= __builtin_mul_overflow(n, d->dim[i], &n);
    if (bad || n > RT_H5_MAX_COMPACT || H5Dget_storage_size(id) != n) {
        rt_h5_refuse(d, "its compact layout holds another number of bytes than its shape asks for");
        return 0;
    }
    if (n == 0) return 0;
    *bytes = malloc(n);
    if (!*bytes) return -1;
    r->compact = (uint32_t)n;
    if (H5Dread(id, t, H5S_ALL, H5S_ALL, H5P_DEFAULT, *bytes) < 0) {
        r->compact = 0;
        rt_h5_refuse(d, "its compact layout cannot be read");
    }
    return 0;
}

/* A type that must be converted is read where chunks go through the library anyway. */
static int odd_type(const rt_h5_dataset *d, hid_t p)
{
    return d->refused[0] && !(d->by_library == RT_H5_CONVERTED && H5Pget_layout(p) == H5D_CHUNKED);
}

static int find_layout(hid_t id, hid_t t, rt_h5_record *r, unsigned char **compact)
{
    rt_h5_dataset *d = &r->set;
    hid_t p = H5Dget_create_plist(id);
    int bad = 0;
    if (p < 0) {
        rt_h5_refuse(d, "its properties cannot be read");
        return 0;
    }
    if (odd_type(d, p)) {
        H5Pclose(p);
        return 0;
    }
    d->refused[0] = 0;
    hid_t memory = rt_h5_memory_type(t, d->type, d->by_library);
    int no_memory = memory < 0 || find_fill(p, memory, r);
    H5Tclose(memory);
    if (no_memory) bad = -1;
    else if (H5Pget_external_count(p) > 0)
        rt_h5_refuse(d, "its bytes are in an external file, which is never followed; copy it into one file");
    else switch (H5Pget_layout(p)) {
    case H5D_CONTIGUOUS: {
        H5D_space_status_t status;
        haddr_t at = H5Dget_offset(id);
        /* HDF5 1.10 adds a user block's length to "nowhere", too */
        bad = H5Dget_space_status(id, &status) < 0;
        if (!bad && status != H5D_SPACE_STATUS_NOT_ALLOCATED && at != HADDR_UNDEF) d->offset = at;
        break;
    }
    case H5D_CHUNKED:
        find_grid(p, d);
        if (!d->refused[0]) find_filters(p, d);
        break;
    case H5D_COMPACT: bad = find_compact(id, t, r, compact); break;
    case H5D_VIRTUAL:
        rt_h5_refuse(d, "it is a virtual data set, whose parts are never followed; copy it into one file");
        break;
    default: rt_h5_refuse(d, "its layout is one that HDF5 %d.%d does not know", H5_VERS_MAJOR, H5_VERS_MINOR); break;
    }
    if (d->refused[0]) d->chunks = 0;
    H5Pclose(p);
    return bad;
}

int rt_h5_describe(int64_t id, rt_h5_record *r, unsigned char **compact)
{
    rt_h5_dataset *d = &r->set;
    hid_t space = H5Dget_space(id), t = H5Dget_type(id);
    hsize_t dims[H5S_MAX_RANK];
    int rank = H5Sget_simple_extent_ndims(space), bad = 0;
    *compact = NULL;
    d->offset = UINT64_MAX;
    if (H5Sget_simple_extent_type(space) == H5S_NULL) rt_h5_refuse(d, "it is empty: its data space is null");
    else if (rank < 0 || rank > RT_H5_RANK)
        rt_h5_refuse(d, "it has %d dimensions; at most %d are read", rank, RT_H5_RANK);
    else if (H5Sget_simple_extent_dims(space, dims, NULL) == rank) {
        d->rank = rank;
        for (int i = 0; i < rank; i++) d->dim[i] = dims[i];
        find_type(t, d);
        if (!d->refused[0] || d->by_library) bad = find_layout(id, t, r, compact);
        if (!d->chunked || d->refused[0]) d->by_library = 0;
    } else rt_h5_refuse(d, "its shape cannot be read");
    H5Tclose(t);
    H5Sclose(space);
    return bad;
}
