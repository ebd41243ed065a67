/* data/import_arrays.c - IDX and NPY files and NPZ archives: headers, and data in C order, little-endian, channels
 * last. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/import_parts.h"
#include "data/npy.h"

enum { BLOCK = 1 << 18 };
static const uint64_t HELD = UINT64_C(4) << 30;           /* of memory, for another order of elements */

void rt_array_close(rt_array *a)
{
    rt_bytes_close(a->in);
    a->in = NULL;
}

static rt_status read_exactly(rt_array *a, void *to, size_t n)
{
    size_t got;
    RT_TRY(rt_bytes_read(a->in, to, n, &got));
    return got == n ? RT_OK : rt_fail(RT_INPUT, "%s%s%s: the header is truncated", a->path, *a->member ? ": " : "",
                                      a->member);
}

/* The bytes that the header tells, which the file must be able to hold. */
static rt_status count_bytes(rt_array *a)
{
    uint64_t element = a->text ? (uint64_t)a->text : rt_dtype_size(a->type);
    int none = 0;
    a->bytes = element;
    for (int i = 0; i < a->rank; i++) {
        none |= !a->dim[i];
        if (!none && __builtin_mul_overflow(a->bytes, a->dim[i], &a->bytes))
            return rt_fail(RT_INPUT, "%s: impossible dimensions", a->path);
    }
    if (none) a->bytes = 0;
    if (a->bytes > rt_bytes_most(a->in))
        return rt_fail(RT_INPUT,
                       "%s%s%s: its header tells %llu bytes of data, it has fewer; the file is truncated or damaged",
                           a->path, *a->member ? ": " : "", a->member, (unsigned long long)a->bytes);
    return RT_OK;
}

/* ---- IDX (LeCun): magic 0 0 type rank, big-endian dimensions, data ---- */

static rt_status idx_header(rt_array *a, const unsigned char *magic)
{
    static const struct { int code; rt_dtype type; } types[] = {{8, RT_U8}, {9, RT_I8}, {11, RT_I16}, {12, RT_I32},
                                                                {13, RT_F32}, {14, RT_F64}};
    unsigned char p[4];
    int known = -1;
    for (int i = 0; i < 6 && !magic[0] && !magic[1]; i++) if (types[i].code == magic[2]) known = i;
    if (known < 0 || magic[3] < 1 || magic[3] > RT_H5_RANK - 1) return rt_fail(RT_INPUT, "%s: is no IDX file", a->path);
    a->type = types[known].type;
    a->swap = rt_dtype_size(a->type) > 1;
    a->rank = magic[3];
    for (int i = 0; i < a->rank; i++) {
        RT_TRY(read_exactly(a, p, 4));
        a->dim[i] = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
    }
    return count_bytes(a);
}

/* ---- NPY (data/npy.h) ---- */

static rt_status npy_header(rt_array *a, const unsigned char magic[4])
{
    unsigned char start[RT_NPY_START], told[4];
    rt_npy h;
    int bytes;
    size_t n;
    memcpy(start, magic, 4);
    RT_TRY(read_exactly(a, start + 4, RT_NPY_START - 4));
    RT_TRY(rt_npy_start(start, a->path, &bytes));
    RT_TRY(read_exactly(a, told, (size_t)bytes));
    RT_TRY(rt_npy_length(told, bytes, a->path, &n));
    char *text = calloc(n + 1, 1);
    if (!text) return rt_fail(RT_RUN, "out of memory");
    rt_status st = read_exactly(a, text, n);
    if (!st) st = rt_npy_parse(&h, text, a->path);
    free(text);
    if (!st && h.rank == 0) st = rt_fail(RT_INPUT, "%s: holds a single value, not rows", a->path);
    if (st) return st;
    a->type = h.type;
    a->swap = h.swap;
    a->fortran = h.fortran;
    a->boolean = h.boolean;
    a->text = h.text;
    a->wide = h.wide;
    a->rank = h.rank;
    memcpy(a->dim, h.dim, sizeof h.dim);
    return count_bytes(a);
}

static rt_status read_header(rt_array *a)
{
    unsigned char magic[4];
    RT_TRY(read_exactly(a, magic, 4));
    return memcmp(magic, "\223NUM", 4) == 0 ? npy_header(a, magic) : idx_header(a, magic);
}

rt_status rt_array_open(rt_array *a, const char *path)
{
    *a = (rt_array){.path = path};
    RT_TRY(rt_bytes_open(&a->in, path));
    return read_header(a);
}

rt_status rt_array_open_member(rt_array *a, const rt_zip *z, int member)
{
    *a = (rt_array){.path = z->path};
    snprintf(a->member, sizeof a->member, "%s", z->member[member].name);
    RT_TRY(rt_bytes_open_member(&a->in, z, member));
    return read_header(a);
}

/* ---- data ---- */

static void swap_bytes(unsigned char *p, size_t bytes, size_t e)
{
    for (size_t i = 0; i < bytes; i += e)
        for (size_t k = 0; k < e / 2; k++) {
            unsigned char c = p[i + k];
            p[i + k] = p[i + e - 1 - k];
            p[i + e - 1 - k] = c;
        }
}

static rt_status at_end(rt_array *a)
{
    char more;
    size_t got;
    RT_TRY(rt_bytes_read(a->in, &more, 1, &got));
    return got ? rt_fail(RT_INPUT, "%s%s%s: holds more data than its header tells (several arrays in one file?)",
                         a->path, *a->member ? ": " : "", a->member) : RT_OK;
}

static rt_status truncated(const rt_array *a)
{
    return rt_fail(RT_INPUT,
                   "%s%s%s: its header tells %llu bytes of data, it has fewer; the file is truncated or damaged",
                       a->path, *a->member ? ": " : "", a->member, (unsigned long long)a->bytes);
}

static rt_status put_in_order(rt_import_job *job, rt_array *a)
{
    unsigned char *block = malloc(BLOCK);
    rt_status st = block ? RT_OK : rt_fail(RT_RUN, "out of memory");
    for (uint64_t left = a->bytes; left && !st;) {
        size_t n = left < BLOCK ? (size_t)left : BLOCK, got;
        st = rt_bytes_read(a->in, block, n, &got);
        if (!st && got < n) st = truncated(a);
        if (!st && a->swap) swap_bytes(block, n, rt_dtype_size(a->type));
        if (!st) st = rt_import_put(job, block, n);
        left -= n;
    }
    free(block);
    return st ? st : at_end(a);
}

/* One row (dim[1], ...) in C order from elements that are stride[1], ... bytes apart. */
static void gather(unsigned char *to, const unsigned char *from, size_t e, int rank, const uint64_t *dim,
                   const uint64_t *stride)
{
    if (rank == 0) memcpy(to, from, e);
    else {
        uint64_t inner = e;
        for (int i = 1; i < rank; i++) inner *= dim[i];
        for (uint64_t i = 0; i < dim[0]; i++) gather(to + i * inner, from + i * stride[0], e, rank - 1, dim + 1,
                                                     stride + 1);
    }
}

/* In memory at once, where the order of elements changes. */
static uint64_t bytes_held(const rt_array *a) { return a->fortran || !a->dim[0] ? a->bytes : a->bytes / a->dim[0]; }

/* Another order of elements: whole rows when they lie together, the whole array when it is in Fortran order. */
static rt_status put_turned(rt_import_job *job, rt_array *a, int channels_first)
{
    uint64_t stride[RT_H5_RANK], e = rt_dtype_size(a->type), row = a->dim[0] ? a->bytes / a->dim[0] : 0;
    for (int i = 0; i < a->rank; i++) {
        stride[i] = e;
        for (int k = a->fortran ? 0 : i + 1; k < (a->fortran ? i : a->rank); k++) stride[i] *= a->dim[k];
    }
    if (channels_first) {
        uint64_t s = stride[1];
        memmove(stride + 1, stride + 2, (size_t)(a->rank - 2) * sizeof *stride);
        stride[a->rank - 1] = s;
    }
    uint64_t hold = bytes_held(a);
    unsigned char *all = malloc(hold + 1), *out = malloc(row + 1);
    rt_status st = all && out ? RT_OK : rt_fail(RT_RUN, "%s: %llu bytes of memory are needed and not to be had",
                                                a->path, (unsigned long long)(hold + row));
    for (uint64_t i = 0; i < a->dim[0] && !st; i++) {
        size_t got = hold;
        if (i == 0 || !a->fortran) st = rt_bytes_read(a->in, all, hold, &got);
        if (!st && got < hold) st = truncated(a);
        if (st) break;
        gather(out, all + (a->fortran ? i * stride[0] : 0), e, a->rank - 1, job->dim + 1, stride + 1);
        if (a->swap) swap_bytes(out, row, e);
        st = rt_import_put(job, out, row);
    }
    free(all);
    free(out);
    return st ? st : at_end(a);
}

static int few(uint64_t channels) { return channels == 1 || channels == 3 || channels == 4; }

rt_status rt_array_data(rt_import_job *job, rt_array *a)
{
    const rt_channel_place place = job->spec->place;
    uint64_t dim[RT_H5_RANK], *d = a->dim;
    int rank = a->rank, first = place == RT_CHANNELS_FIRST;
    if (a->text) return rt_fail(RT_INPUT, "%s: x holds texts, not numbers", a->path);
    if (place && rank < 3) return rt_fail(RT_USAGE, "--channels: x has %d dimensions, and so no channels", rank);
    if (rank == 4 && !place && few(d[1]) && !few(d[3]) && d[2] > 4)
        return rt_fail(RT_INPUT,
                       "%s: x of shape (%llu, %llu, %llu, %llu) looks as if channels came first; give --channels "
                       "first to bring them last, as retort has them, or --channels last if they are",
                       a->path, (unsigned long long)d[0], (unsigned long long)d[1], (unsigned long long)d[2],
                           (unsigned long long)d[3]);
    memcpy(dim, d, sizeof dim);
    if (first) {
        memmove(dim + 1, d + 2, (size_t)(rank - 2) * sizeof *dim);
        dim[rank - 1] = d[1];
        rt_import_note(job, "channels were first and are brought last");
    } else if (rank == 1) {
        dim[rank++] = 1;
        rt_import_note(job, "x has one number a row");
    } else if (rank == 3 && !place) {
        dim[rank++] = 1;
        if (a->in && *a->path && job->spec->format != RT_FORMAT_IDX)
            rt_import_note(job, "x of shape (N, %llu, %llu) is taken as (N, %llu, %llu, 1), grey pictures; --channels "
                                "last keeps it as it is", (unsigned long long)d[1], (unsigned long long)d[2],
                           (unsigned long long)d[1], (unsigned long long)d[2]);
    }
    if (a->boolean) rt_import_note(job, "x is False and True: kept as 0 and 1");
    if (a->fortran && a->rank > 1) rt_import_note(job, "x was in Fortran order");
    int turned = first || (a->fortran && a->rank > 1);
    if (turned && bytes_held(a) > HELD)
        return rt_fail(RT_INPUT, "%s: %s has %llu bytes and would be held whole; at most %llu are: save it in C order, "
                       "channels last", a->path, a->fortran ? "its array in Fortran order" : "a row",
                       (unsigned long long)bytes_held(a), (unsigned long long)HELD);
    RT_TRY(rt_import_begin(job, a->type, rank, dim));
    RT_TRY(turned ? put_turned(job, a, first) : put_in_order(job, a));
    return rt_import_end(job);
}

rt_status rt_import_arrays(rt_import_job *job)
{
    rt_array a;
    rt_status st = rt_array_open(&a, job->spec->input);
    if (!st && job->spec->labels) st = rt_import_labels(job, a.dim[0]);
    if (!st) st = rt_array_data(job, &a);
    rt_array_close(&a);
    return st;
}

/* ---- NPZ ---- */

static int member_of(const rt_zip *z, const char *name)
{
    for (int i = 0; i < z->members; i++) {
        const char *m = z->member[i].name;
        size_t n = strlen(name);
        if (strncmp(m, name, n) == 0 && (!m[n] || strcmp(m + n, ".npy") == 0)) return i;
    }
    return -1;
}

static rt_status choose_members(rt_import_job *job, const rt_zip *z, int *x, int *y)
{
    const rt_import_spec *s = job->spec;
    char list[600];
    int arrays = 0, only = -1;
    const char **names = malloc(((size_t)z->members + 1) * sizeof *names);
    if (!names) return rt_fail(RT_RUN, "out of memory");
    for (int i = 0; i < z->members; i++) {
        const char *dot = strrchr(z->member[i].name, '.');
        if (!dot || strcmp(dot, ".npy")) continue;
        names[arrays++] = z->member[i].name;
        only = i;
    }
    rt_list_text(list, sizeof list, names, arrays);
    free(names);
    *x = s->x ? member_of(z, s->x) : member_of(z, "x") >= 0 ? member_of(z, "x") : arrays == 1 ? only : -1;
    *y = s->y ? member_of(z, s->y) : !s->x && !s->labels ? member_of(z, "y") : -1;
    if (!arrays) return rt_fail(RT_INPUT, "%s: is a ZIP archive without NPY arrays (a workbook? save it as CSV)",
                                z->path);
    if (s->x && *x < 0) return rt_fail(RT_USAGE, "%s: has no array '%s'; it has %s", z->path, s->x, list);
    if (s->y && *y < 0) return rt_fail(RT_USAGE, "%s: has no array '%s'; it has %s", z->path, s->y, list);
    if (*x < 0) return rt_fail(RT_USAGE, "%s: which array is x? It has %s; give --x NAME, and --y NAME for labels",
                               z->path, list);
    if (arrays > 1 + (*y >= 0))
        rt_import_note(job, "of the arrays %s, '%s'%s%s%s imported", list, z->member[*x].name, *y >= 0 ? " and '" : "",
                       *y >= 0 ? z->member[*y].name : "", *y >= 0 ? "' are" : " is");
    return RT_OK;
}

rt_status rt_import_npz(rt_import_job *job)
{
    rt_zip z;
    rt_array a = {.in = NULL}, labels = {.in = NULL};
    int x = -1, y = -1;
    rt_status st = rt_zip_open(&z, job->spec->input);
    if (!st) st = choose_members(job, &z, &x, &y);
    if (!st) st = rt_array_open_member(&a, &z, x);
    if (!st) cJSON_AddStringToObject(job->report, "x_array", a.member);
    if (!st && y >= 0) {
        st = rt_array_open_member(&labels, &z, y);
        if (!st) cJSON_AddStringToObject(job->report, "y_array", labels.member);
        if (!st) st = rt_array_labels(job, &labels, a.dim[0]);
    } else if (!st && job->spec->labels) st = rt_import_labels(job, a.dim[0]);
    if (!st) st = rt_array_data(job, &a);
    rt_array_close(&a);
    rt_array_close(&labels);
    rt_zip_close(&z);
    return st;
}
