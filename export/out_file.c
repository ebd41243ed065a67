#include "export/out_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "data/files.h"

rt_out_file rt_out_open(const char *path)
{
    rt_out_file f = {.fd = -1, .path = path};
    f.status = rt_temp_name(f.temp, sizeof f.temp, path);
    if (f.status) return f;
    unlink(f.temp);
    f.fd = open(f.temp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (f.fd < 0) f.status = rt_fail(RT_RUN, "%s: %s", path, strerror(errno));
    return f;
}

void rt_out_put(rt_out_file *f, const void *data, size_t n)
{
    if (!f->status) f->status = rt_pwrite_all(f->fd, data, n, f->at, f->path);
    f->at += n;
}

rt_status rt_out_close(rt_out_file *f, rt_status st)
{
    if (!st) st = f->status;
    if (f->fd < 0) return st;
    if (close(f->fd) && !st) st = rt_fail(RT_RUN, "%s: %s", f->path, strerror(errno));
    if (!st) return rt_commit_file(f->temp, f->path);
    unlink(f->temp);
    return st;
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

/* ---- CSV ---- */

/* Past blanks, control characters and Unicode's spaces (NBSP, U+1680, U+2000 to U+200F, U+2028 to U+202F, U+205F to
 * U+206F, U+3000, BOM), which spreadsheets skip before a formula. */
static const unsigned char *past_spaces(const char *text)
{
    const unsigned char *p = (const unsigned char *)text;
    for (;;) {
        if ((*p && *p <= ' ') || *p == 0x7f) p++;
        else if (*p == 0xc2 && p[1] >= 0x80 && p[1] <= 0xa0) p += 2;
        else if (*p == 0xe1 && p[1] == 0x9a && p[2] == 0x80) p += 3;
        else if (*p == 0xe2 && p[1] == 0x80 && (p[2] <= 0x8f || (p[2] >= 0xa8 && p[2] <= 0xaf))) p += 3;
        else if (*p == 0xe2 && p[1] == 0x81 && p[2] >= 0x9f && p[2] <= 0xaf) p += 3;
        else if (*p == 0xe3 && p[1] == 0x80 && p[2] == 0x80) p += 3;
        else if (*p == 0xef && p[1] == 0xbb && p[2] == 0xbf) p += 3;
        else return p;
    }
}

/* Decimal numbers only: strtod would take hexadecimal and words, too. */
static int is_number(const char *text)
{
    char *stop;
    if (text[strspn(text, "+-.0123456789eE")] || !text[strcspn(text, "0123456789")]) return 0;
    strtod(text, &stop);
    return !*stop;
}

/* Full-width forms (U+FF0B, FF0D, FF1D, FF20) are formulas to some spreadsheets, too. */
static int is_formula(const char *text)
{
    const unsigned char *p = past_spaces(text);
    int wide = *p == 0xef && p[1] == 0xbc && (p[2] == 0x8b || p[2] == 0x8d || p[2] == 0x9d || p[2] == 0xa0);
    return wide || (*p && strchr("=+-@", *p) && !is_number(text));
}

size_t rt_csv_room(const char *text) { return 2 * strlen(text) + 3; }

size_t rt_csv_cell(char *out, const char *text)
{
    int formula = is_formula(text), quoted = formula || !*text || strpbrk(text, ",\"\r\n") || *text == ' ' ||
        text[strlen(text) - 1] == ' ';
    size_t n = 0;
    if (quoted) out[n++] = '"';
    if (formula) out[n++] = '\'';
    for (; *text; text++) {
        if (*text == '"') out[n++] = '"';
        out[n++] = *text;
    }
    if (quoted) out[n++] = '"';
    return n;
}
