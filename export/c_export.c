/* export/c_export.c - an integer program as C99. */
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "export/c_parts.h"
#include "export/exporter.h"

/* Headers that C code of others includes: one beside it of the same name would be found first. */
static const char *const headers[] = {
    "assert", "complex", "ctype", "errno", "fenv", "float", "inttypes", "iso646", "limits", "locale", "math", "setjmp",
    "signal", "stdalign", "stdarg", "stdatomic", "stdbool", "stddef", "stdint", "stdio", "stdlib", "stdnoreturn",
    "string", "tgmath", "threads", "time", "uchar", "wchar", "wctype", "immintrin", "arm_neon"};

/* Names as files and as the begin of identifiers, in any case. */
static rt_status check_name(const char *name)
{
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++)
        if (!strcasecmp(name, headers[i]))
            return rt_fail(RT_USAGE, "'%s.h' is a header of C, which the exported one would hide: give --out another "
                           "name, such as net.c", headers[i]);
    size_t n = strlen(name);
    int ok = n >= 1 && n <= 63 && isalpha((unsigned char)name[0]);
    for (size_t i = 0; i < n && ok; i++)
        ok = (name[i] >= 'a' && name[i] <= 'z') || (name[i] >= 'A' && name[i] <= 'Z') ||
             (name[i] >= '0' && name[i] <= '9') || name[i] == '_';
    if (ok) return RT_OK;
    rt_string shown = {0};
    rt_put_plain(&shown, name);
    rt_status st = rt_fail(RT_USAGE,
                           "'%s' is no C identifier, and the files' names begin what C code calls: give --out "
                           "another name, of letters, digits and '_', that begins with a letter, such as net.c",
                           shown.p ? shown.p : "");
    free(shown.p);
    return st;
}

/* Whether (float)(a ra + (float)(b rb + fx)), in double or in anything longer, is the contract's sum for all bytes. */
static int sums_in_double(const rt_int_pair *p)
{
    const double ra = (double)p->ra, rb = (double)p->rb;
    for (int b = 0; b < 256; b++) {
        float inner = fmaf((float)b, p->rb, p->fx);
        long double wide = (long double)b * (long double)p->rb + (long double)p->fx;
        if ((float)((double)b * rb + (double)p->fx) != inner || (float)wide != inner || (float)(double)wide != inner)
            return 0;
        for (int a = 0; a < 256; a++) {
            float want = fmaf((float)a, p->ra, inner);
            wide = (long double)a * (long double)p->ra + (long double)inner;
            if ((float)((double)a * ra + (double)inner) != want || (float)wide != want || (float)(double)wide != want)
                return 0;
        }
    }
    return 1;
}

static rt_status check_sums(const rt_net *n)
{
    for (int i = 0; i < n->calls; i++) {
        const rt_net_call *c = &n->call[i];
        rt_int_pair p = {0};
        if (c->op != RT_NET_ADD) continue;
        rt_int_add_factors(&p, n->tensor[c->in[0]].q, n->tensor[c->in[1]].q, n->tensor[c->out].q);
        if (!sums_in_double(&p))
            return rt_fail(RT_USAGE,
                           "call %d adds tensors whose scales are so far apart (%.9g and %.9g) that C code without "
                           "fused multiply-add would answer otherwise; calibrate with other data",
                           i, (double)n->tensor[c->in[0]].q.scale, (double)n->tensor[c->in[1]].q.scale);
    }
    return RT_OK;
}

/* A row of the self test where none was given: bytes, or floats over the input's range, of all sizes. */
static void *some_row(const rt_net *n)
{
    const rt_net_tensor *t = &n->tensor[0];
    size_t count = (size_t)t->h * (size_t)t->w * (size_t)t->c;
    uint8_t *bytes = malloc(count + 1);
    float *floats = n->floats ? malloc((count + 1) * sizeof *floats) : NULL;
    uint32_t dice = 1;
    for (size_t i = 0; bytes && i < count; i++) {
        dice = dice * 1664525u + 1013904223u;
        bytes[i] = (uint8_t)(dice >> 24);
        if (floats) floats[i] = t->q.scale * ((float)(dice >> 8) / 65536.0f - (float)t->q.zero);
    }
    if (!n->floats) return bytes;
    free(bytes);
    return floats;
}

static rt_status run_row(rt_c_net *e, const void *row)
{
    RT_TRY(rt_linked_new(&e->linked, e->n, rt_int_kernels_get(), 1));
    size_t bytes = (rt_linked_bytes(e->linked) + 63) & ~(size_t)63;
    e->context = aligned_alloc(64, bytes);
    e->answer = calloc((size_t)rt_linked_width(e->linked), sizeof *e->answer);
    if (!e->context || !e->answer || !row) return rt_fail(RT_RUN, "out of memory");
    const rt_net_tensor *t = &e->n->tensor[0];
    for (size_t i = 0; e->n->floats && i < (size_t)t->h * (size_t)t->w * (size_t)t->c; i++)
        if (!isfinite(((const float *)row)[i]))
            return rt_fail(RT_INPUT, "the row of the self test has a value that is not finite; take another");
    e->row = row;
    rt_linked_start(e->linked, e->context);
    rt_linked_infer(e->linked, e->context, e->answer, row, 1);
    return RT_OK;
}

/* Twice: the stamp is of the files without it. */
static rt_status put_files(rt_c_net *e, rt_c_files *out)
{
    for (int pass = 0; pass < 2; pass++) {
        rt_c_files_free(out);
        rt_c_put_header(&out->header, e);
        rt_c_put_code(&out->code, e);
        rt_c_put_data(&out->data, e);
        if (out->header.failed || out->code.failed || out->data.failed) return rt_fail(RT_RUN, "out of memory");
        if (pass) break;
        const rt_string *text[] = {&out->header, &out->code, &out->data};
        rt_hasher *hash = rt_hasher_new();
        for (int i = 0; i < 3; i++) rt_hasher_add(hash, text[i]->p, text[i]->n);
        memcpy(e->stamp, rt_hasher_end(hash).hex, sizeof e->stamp - 1);
    }
    return RT_OK;
}

rt_status rt_export_c(const rt_program *p, const char *name, const void *row, rt_c_files *out)
{
    rt_c_net e = {.p = p, .n = rt_program_net(p), .name = name, .stamp = "0000000000000000"};
    void *own = NULL;
    *out = (rt_c_files){{0}, {0}, {0}};
    RT_TRY(check_name(name));
    RT_TRY(check_sums(e.n));
    for (size_t i = 0; name[i]; i++) e.upper[i] = (char)toupper((unsigned char)name[i]);
    if (!row) row = own = some_row(e.n);
    rt_status st = rt_c_place(&e);
    if (!st) st = run_row(&e, row);
    if (!st) st = put_files(&e, out);
    rt_linked_free(e.linked);
    void *owned[] = {own, e.root, e.at, e.context, e.answer};
    for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++) free(owned[i]);
    if (st) rt_c_files_free(out);
    return st;
}

void rt_c_files_free(rt_c_files *f)
{
    free(f->header.p);
    free(f->code.p);
    free(f->data.p);
    *f = (rt_c_files){{0}, {0}, {0}};
}
