/* data/import_label_file.c - labels of a second file: IDX, NPY, or CSV with one label a row. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/import_parts.h"

/* Codes of all rows of the input to classes of those that are kept. Takes codes. */
static rt_status finish(rt_import_job *job, rt_label_set *set, int32_t *codes, uint64_t rows, const char *where)
{
    uint64_t kept = 0;
    for (uint64_t i = 0; i < rows; i++) {
        if (job->dropped && job->dropped[i / 64] >> (i % 64) & 1) set->rows[codes[i]]--;
        else codes[kept++] = codes[i];
    }
    job->y = codes;
    return rt_label_resolve(job, set, where, kept, 0);
}

static rt_status no_rows(const rt_import_job *job)
{
    return rt_fail(RT_NOTHING, "%s: there are no rows to import", job->spec->input);
}

/* ---- arrays ---- */

static int code_of_text(rt_label_set *set, const rt_array *a, const unsigned char *p)
{
    char text[4 * 256 + 1];
    int n = 0;
    if (!a->wide) {
        for (; n < a->text && p[n]; n++) text[n] = (char)p[n];
    } else for (int i = 0; i < a->text; i += 4) {                     /* UTF-32 to UTF-8 */
        uint32_t c = a->swap ? (uint32_t)p[i] << 24 | (uint32_t)p[i + 1] << 16 | (uint32_t)p[i + 2] << 8 | p[i + 3]
                             : (uint32_t)p[i + 3] << 24 | (uint32_t)p[i + 2] << 16 | (uint32_t)p[i + 1] << 8 | p[i];
        if (!c) break;
        if (c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) return -(int)rt_fail(RT_INPUT, "%s: a label is no valid text",
            a->path);
        if (c < 0x80) text[n++] = (char)c;
        else {
            int more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
            text[n++] = (char)((more == 1 ? 0xc0 : more == 2 ? 0xe0 : 0xf0) | c >> (6 * more));
            while (more--) text[n++] = (char)(0x80 | (c >> (6 * more) & 0x3f));
        }
    }
    text[n] = 0;
    return rt_label_add(set, text);
}

static int code_of_number(rt_label_set *set, const rt_array *a, const void *p)
{
    char text[40];
    double d;
    switch (a->type) {
    case RT_U8: return a->boolean ? rt_label_add(set, *(const uint8_t *)p ? "True" : "False")
        : rt_label_add_whole(set, *(const uint8_t *)p);
    case RT_I8: return rt_label_add_whole(set, *(const int8_t *)p);
    case RT_I16: { int16_t v; memcpy(&v, p, 2); return rt_label_add_whole(set, v); }
    case RT_U16: { uint16_t v; memcpy(&v, p, 2); return rt_label_add_whole(set, v); }
    case RT_I32: { int32_t v; memcpy(&v, p, 4); return rt_label_add_whole(set, v); }
    case RT_U32: { uint32_t v; memcpy(&v, p, 4); return rt_label_add_whole(set, v); }
    case RT_I64: { int64_t v; memcpy(&v, p, 8); return rt_label_add_whole(set, v); }
    case RT_U64: {
        uint64_t v;
        memcpy(&v, p, 8);
        if (v <= INT64_MAX) return rt_label_add_whole(set, (int64_t)v);
        return -(int)rt_fail(RT_INPUT, "%s: label %llu is too large", a->path, (unsigned long long)v);
    }
    case RT_F32: { float v; memcpy(&v, p, 4); d = v; break; }
    case RT_F64: memcpy(&d, p, 8); break;
    default: return -(int)rt_fail(RT_INPUT, "%s: labels of type %s are not supported; save whole numbers or texts",
                                  a->path, rt_dtype_name(a->type));
    }
    if (d == (double)(int64_t)(d > -1e15 && d < 1e15 ? d : 0)) return rt_label_add_whole(set, (int64_t)d);
    snprintf(text, sizeof text, d != d ? "nan" : a->type == RT_F32 ? "%.9g" : "%.17g", d);
    return rt_label_add(set, text);
}

rt_status rt_array_labels(rt_import_job *job, rt_array *a, uint64_t rows)
{
    enum { BLOCK = 1 << 18 };
    char where[1300];
    snprintf(where, sizeof where, "%.1000s%s%s", a->path, *a->member ? ": " : "", a->member);
    size_t e = a->text ? (size_t)a->text : rt_dtype_size(a->type);
    if (!rows) return no_rows(job);
    if (a->rank == 2 && a->dim[1] == 1) rt_import_note(job, "labels of shape (%llu, 1) are taken as (%llu)",
                                                       (unsigned long long)a->dim[0], (unsigned long long)a->dim[0]);
    else if (a->rank == 2)
        return rt_fail(RT_INPUT,
                       "%s: labels of shape (%llu, %llu) are not one a row; one-hot labels y are saved as "
                       "y.argmax(1)", where, (unsigned long long)a->dim[0], (unsigned long long)a->dim[1]);
    else if (a->rank != 1) return rt_fail(RT_INPUT, "%s: labels must have one dimension, not %d", where, a->rank);
    if (a->dim[0] != rows) return rt_fail(RT_INPUT, "%s: has %llu labels for %llu rows", where,
                                          (unsigned long long)a->dim[0], (unsigned long long)rows);
    if (a->text > (a->wide ? 4 * 256 : 1024)) return rt_fail(RT_INPUT, "%s: labels of more than 256 letters", where);
    rt_label_set set = {0};
    int32_t *codes = malloc((rows + 1) * sizeof *codes);
    unsigned char *block = malloc(BLOCK);
    rt_status st = codes && block ? RT_OK : rt_fail(RT_RUN, "out of memory");
    for (uint64_t i = 0; i < rows && !st;) {
        size_t n = rows - i < BLOCK / e ? (size_t)(rows - i) : BLOCK / e, got;
        st = rt_bytes_read(a->in, block, n * e, &got);
        if (!st && got < n * e) st = rt_fail(RT_INPUT, "%s: the file is truncated", where);
        for (size_t k = 0; k < n && !st; k++) {
            unsigned char *p = block + k * e;
            for (size_t b = 0; a->swap && !a->text && b < e / 2; b++) {
                unsigned char c = p[b];
                p[b] = p[e - 1 - b];
                p[e - 1 - b] = c;
            }
            codes[i + k] = a->text ? code_of_text(&set, a, p) : code_of_number(&set, a, p);
            if (codes[i + k] < 0) st = (rt_status)-codes[i + k];
        }
        i += n;
    }
    free(block);
    if (st) free(codes);
    else st = finish(job, &set, codes, rows, where);
    rt_label_set_free(&set);
    return st;
}

/* ---- CSV ---- */

typedef struct {
    const char *path;
    rt_label_set set;
    int32_t *codes;                /* of the records behind the first, from codes[1] */
    char *first;                   /* the first record's label, which may be a header */
    uint64_t records, room, inner_blanks;
    int column, cells, header;     /* header: 1 sure */
} label_file;

/* Which column holds the labels, by the first record and how many cells the second has. */
static rt_status choose_column(rt_import_job *job, label_file *f, const rt_record *r, int next_cells)
{
    const char *label = job->spec->label;
    char *stop, list[600];
    f->cells = next_cells ? next_cells : r->cells;
    f->column = -1;
    if (label) {
        for (int i = 0; i < r->cells; i++) if (!strcmp(rt_cell(r, i), label)) f->column = i;
        f->header = f->column >= 0;
        long v = strtol(label, &stop, 10);
        if (f->column < 0 && *label && !*stop && v < f->cells && v >= -f->cells)
            f->column = (int)(v < 0 ? v + f->cells : v);
    } else if (f->cells == 1) f->column = 0;
    else if (f->cells == 2 && (r->cells == 1 || !*rt_cell(r, 0))) {
        f->column = 1;
        f->header = 1;
        rt_import_note(job, "%s: the first column has no name: it is left out as an index", f->path);
    }
    if (f->column >= 0) return RT_OK;
    const char **names = malloc((size_t)r->cells * sizeof *names);
    for (int i = 0; i < r->cells && names; i++) names[i] = rt_cell(r, i);
    rt_list_text(list, sizeof list, names, names ? r->cells : 0);
    free(names);
    if (label) return rt_fail(RT_USAGE, "%s: there is no column '%s'; line 1 has %s", f->path, label, list);
    return rt_fail(RT_USAGE,
                   "%s: one label a row is expected, but it has %d columns (%s); name that of the labels by --label",
                       f->path, f->cells, list);
}

static rt_status take(label_file *f, const rt_record *r)
{
    if (r->cells != f->cells && !(f->records == 0 && f->header && r->cells == f->cells - 1))
        return rt_fail(RT_INPUT, "%s: line %llu has %d columns, line 1 has %d", f->path, (unsigned long long)r->line,
                       r->cells, f->cells);
    if (f->records + 1 >= f->room) {
        f->room = f->room ? 2 * f->room : 1024;
        int32_t *q = realloc(f->codes, f->room * sizeof *q);
        if (!q) return rt_fail(RT_RUN, "out of memory");
        f->codes = q;
    }
    const char *text = rt_cell(r, r->cells < f->cells ? f->column - 1 : f->column);
    if (f->records == 0) f->first = strdup(text);
    else f->codes[f->records] = rt_label_add(&f->set, text);
    if (f->records ? f->codes[f->records] < 0 : !f->first)
        return f->records ? (rt_status)-f->codes[f->records] : rt_fail(RT_RUN, "out of memory");
    f->records++;
    return RT_OK;
}

static rt_status read_all(rt_import_job *job, label_file *f, char separator, uint64_t *blank)
{
    rt_csv *c;
    rt_record r;
    int next_cells = 0;
    RT_TRY(rt_csv_open(&c, f->path, job->spec->encoding, separator, 0));
    rt_status st = rt_csv_next(c, &r);
    if (!st) st = rt_csv_next(c, &r);
    if (!st) next_cells = r.cells;
    rt_csv_close(c);
    if (!st) st = rt_csv_open(&c, f->path, job->spec->encoding, separator, 0);
    if (st) return st;
    st = rt_csv_next(c, &r);
    if (!st && r.cells) st = choose_column(job, f, &r, next_cells);
    while (!st && r.cells) {
        st = take(f, &r);
        f->inner_blanks = rt_csv_blank_lines(c);
        if (!st) st = rt_csv_next(c, &r);
    }
    *blank = rt_csv_blank_lines(c);
    rt_csv_close(c);
    return st;
}

/* A label of line 1 that stands below, too, or a text above nothing but numbers: header or label? */
static rt_status tell_header(const label_file *f, uint64_t rows, int header)
{
    rt_number v;
    int again = 0, numbers = f->set.count > 0;
    for (int i = 0; i < f->set.count; i++) {
        again |= strcmp(f->set.text[i], f->first) == 0;
        numbers &= rt_cell_read(f->set.text[i], '.', &v) == RT_CELL_NUMBER;
    }
    if (f->inner_blanks && f->cells == 1)
        return rt_fail(RT_INPUT,
                       "%s: there are blank lines between labels: %llu; write NA for a row that has no label, or take "
                       "them out", f->path, (unsigned long long)f->inner_blanks);
    if (header && !f->header && again)
        return rt_fail(RT_USAGE,
                       "%s: there is one line more than rows, but line 1 ('%.60s') may be a label, as it stands below, "
                       "too; if it is the column's name, say --label '%.60s'", f->path, f->first, f->first);
    if (!header && numbers && rt_cell_read(f->first, '.', &v) == RT_CELL_TEXT)
        return rt_fail(RT_INPUT,
                       "%s: line 1 ('%.60s') looks like a header above numbers, which leaves %llu labels for %llu "
                       "rows; write NA for a row that has no label", f->path, f->first,
                       (unsigned long long)rows - 1, (unsigned long long)rows);
    return RT_OK;
}

static rt_status csv_labels(rt_import_job *job, uint64_t rows)
{
    label_file f = {.path = job->spec->labels};
    uint64_t blank = 0;
    char where[1300], separator = rt_csv_better_separator(f.path, job->spec->encoding, 0);
    rt_status st = read_all(job, &f, separator ? separator : ',', &blank);
    int header = f.header || f.records == rows + 1;
    uint64_t labels = f.records - (header && f.records);
    if (!st && labels != rows)
        st = rt_fail(RT_INPUT, "%s: has %llu labels%s for %llu rows%s", f.path, (unsigned long long)labels, header
                     ? " below its header" : "", (unsigned long long)rows,
                     blank ? "; blank lines are no labels: write NA for a row that has none" : "");
    if (!st) st = tell_header(&f, rows, header);
    snprintf(where, sizeof where, "%.1000s, column %d", f.path, f.column);
    if (!st && header) {
        memmove(f.codes, f.codes + 1, rows * sizeof *f.codes);
        cJSON_AddStringToObject(job->report, "label_column", f.first);
        rt_import_note(job, "%.1000s: line 1 ('%.100s') is a header%s", f.path, f.first, f.header ? ""
                       : ": there is one line more than rows");
    } else if (!st) {
        f.codes[0] = rt_label_add(&f.set, f.first);
        if (f.codes[0] < 0) st = (rt_status)-f.codes[0];
    }
    if (!st) {
        st = finish(job, &f.set, f.codes, rows, where);
        f.codes = NULL;
    }
    free(f.codes);
    free(f.first);
    rt_label_set_free(&f.set);
    return st;
}

rt_status rt_import_labels(rt_import_job *job, uint64_t rows)
{
    rt_format format;
    rt_array a;
    if (!rows) return no_rows(job);
    RT_TRY(rt_import_format(&format, job->spec->labels));
    if (format == RT_FORMAT_CSV) return csv_labels(job, rows);
    if (format != RT_FORMAT_IDX && format != RT_FORMAT_NPY)
        return rt_fail(RT_USAGE, "%s: labels are an IDX, NPY or CSV file; those of an NPZ are named by --y",
                       job->spec->labels);
    if (job->spec->label) return rt_fail(RT_USAGE, "--label: names a column of a CSV file, and %s is none",
                                         job->spec->labels);
    rt_status st = rt_array_open(&a, job->spec->labels);
    if (!st) st = rt_array_labels(job, &a, rows);
    rt_array_close(&a);
    return st;
}
