/* data/import_csv_read.c - records of CSV text, by libcsv; and numbers as people write them. */
#include <csv.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "data/import_parts.h"

enum { MAX_CELL = 1 << 20, MAX_COLUMNS = 1 << 18, MAX_RECORD = 1 << 28 };

struct rt_csv {
    char *path;
    rt_text *in;
    struct csv_parser p;
    int begun, hash;                            /* hash: line 1 started with "# " */
    int parsing, blanks, skip, ended, done;     /* blanks: runs of them separate; done: a record is complete */
    int quoted, started, owed;                  /* while runs of blanks are squeezed: inside quotes,
        a cell has begun, blanks wait */
    char *text, *squeezed;
    size_t used, room, *at, at_room;
    int cells, new_cells;                       /* new: since the last piece */
    uint64_t line, quote_line, blank_lines;     /* of the record; where the open quote was opened */
    rt_status status;
};

static void each_cell(void *cell, size_t n, void *arg)
{
    rt_csv *c = arg;
    if (c->status) return;
    if (c->cells == MAX_COLUMNS || c->used + n > MAX_RECORD) {
        c->status = rt_fail(RT_INPUT, "%s: line %llu: a record of more than %d columns or %d bytes", c->path,
                            (unsigned long long)c->line, MAX_COLUMNS, MAX_RECORD);
        return;
    }
    if (c->used + n + 1 > c->room) {
        size_t room = 2 * (c->used + n + 1) + 4096;
        char *q = realloc(c->text, room);
        if (q) {
            c->text = q;
            c->room = room;
        } else c->status = rt_fail(RT_RUN, "out of memory");
    }
    if ((size_t)c->cells == c->at_room) {
        size_t room = 2 * c->at_room + 64, *q = realloc(c->at, room * sizeof *q);
        if (q) {
            c->at = q;
            c->at_room = room;
        } else c->status = rt_fail(RT_RUN, "out of memory");
    }
    if (c->status) return;
    c->at[c->cells++] = c->used;
    c->new_cells++;
    if (n) memcpy(c->text + c->used, cell, n);
    c->used += n;
    c->text[c->used++] = 0;
}

static void each_record(int end, void *arg)
{
    (void)end;
    ((rt_csv *)arg)->done = 1;
}

rt_status rt_csv_open(rt_csv **out, const char *path, const char *encoding, char separator, int skip)
{
    rt_csv *c = calloc(1, sizeof *c);
    *out = NULL;
    if (!c) return rt_fail(RT_RUN, "out of memory");
    c->path = strdup(path);
    c->squeezed = separator == ' ' ? malloc(1 << 17) : NULL;
    c->blanks = separator == ' ';
    c->skip = skip;
    rt_status st = RT_OK;
    if (!c->path || (c->blanks && !c->squeezed) || csv_init(&c->p, CSV_STRICT | CSV_STRICT_FINI | CSV_APPEND_NULL))
        st = rt_fail(RT_RUN, "out of memory");
    else {
        c->parsing = 1;
        csv_set_delim(&c->p, (unsigned char)separator);
        csv_set_blk_size(&c->p, 4096);
        st = rt_text_open(&c->in, path, encoding);
    }
    if (st) rt_csv_close(c);
    else *out = c;
    return st;
}

void rt_csv_close(rt_csv *c)
{
    if (!c) return;
    if (c->parsing) csv_free(&c->p);
    rt_text_close(c->in);
    free(c->path);
    free(c->squeezed);
    free(c->text);
    free(c->at);
    free(c);
}

uint64_t rt_csv_blank_lines(const rt_csv *c) { return c->blank_lines; }
int rt_csv_hash(const rt_csv *c) { return c->hash; }
const char *rt_csv_encoding(const rt_csv *c) { return rt_text_encoding(c->in); }

/* Runs of blanks to one, none at a line's ends, outside of quotes. */
static void squeeze(rt_csv *c, const char **piece, size_t *n)
{
    size_t k = 0;
    for (size_t i = 0; i < *n; i++) {
        char b = (*piece)[i];
        int blank = (b == ' ' || b == '\t') && !c->quoted, end = (b == '\n' || b == '\r') && !c->quoted;
        if (blank) {
            c->owed = c->started;
            continue;
        }
        if (c->owed && !end) c->squeezed[k++] = ' ';
        c->owed = 0;
        c->started = !end;
        if (b == '"') c->quoted = !c->quoted;
        c->squeezed[k++] = b;
    }
    *piece = c->squeezed;
    *n = k;
}

/* libcsv's states: 0 no record begun, 2 inside a cell. */
static int in_quotes(const rt_csv *c) { return c->p.pstate == 2 && c->p.quoted; }

static rt_status feed(rt_csv *c, const char *piece, size_t n, uint64_t line)
{
    int before = in_quotes(c), idle = c->p.pstate == 0;
    if (!c->begun && n > 2 && piece[0] == '#' && piece[1] == ' ') {        /* as numpy.savetxt marks a header */
        piece += 2;
        n -= 2;
        c->hash = 1;
    }
    c->begun = 1;
    if (c->blanks) squeeze(c, &piece, &n);
    if (idle) c->line = line;
    c->new_cells = 0;
    size_t fed = csv_parse(&c->p, piece, n, each_cell, each_record, c);
    RT_TRY(c->status);
    if (fed != n) {
        if (csv_error(&c->p) != CSV_EPARSE) return rt_fail(RT_RUN, "out of memory");
        return rt_fail(RT_INPUT,
                       "%s: line %llu, column %d: a quote inside a cell that does not start with one, or text behind "
                       "a closing quote; a quoted cell writes its own quotes twice",
                       c->path, (unsigned long long)line, c->cells + 1);
    }
    if (in_quotes(c) && (!before || c->new_cells)) c->quote_line = line;
    if (c->p.entry_pos > MAX_CELL)
        return rt_fail(RT_INPUT,
                       "%s: the cell that starts on line %llu has more than %d bytes; is its quote never closed?",
                           c->path,
                       (unsigned long long)(in_quotes(c) ? c->quote_line : line), MAX_CELL);
    if (idle && c->p.pstate == 0 && !c->done && n) c->blank_lines++;
    return RT_OK;
}

rt_status rt_csv_next(rt_csv *c, rt_record *r)
{
    const char *piece;
    size_t n;
    uint64_t line;
    c->cells = c->done = 0;
    c->used = 0;
    *r = (rt_record){0};
    while (!c->done && !c->ended) {
        RT_TRY(rt_text_next(c->in, &piece, &n, &line));
        if (n && line <= (uint64_t)c->skip) continue;
        /* the second half of a line's end */
        if (n == 1 && *piece == '\n' && c->p.pstate == 0 && !c->cells && line == c->line) continue;
        if (n) RT_TRY(feed(c, piece, n, line));
        else {
            c->ended = 1;
            if (in_quotes(c)) return rt_fail(RT_INPUT, "%s: the quote that is opened on line %llu is never closed",
                                             c->path, (unsigned long long)c->quote_line);
            csv_fini(&c->p, each_cell, each_record, c);
            RT_TRY(c->status);
        }
    }
    *r = (rt_record){.cells = c->done ? c->cells : 0, .line = c->line, .text = c->text, .at = c->at};
    return RT_OK;
}

/* ---- numbers ---- */

static const char *const missing[] = {"", "NA", "N/A", "n/a", "NaN", "nan", "NAN", "-nan", "-NaN", "<NA>", "#N/A",
                                      "NULL", "null", "None", "?", "\\N", NULL};

/* [+-]digits[.digits][e[+-]digits]: decimal, nothing that only C or a locale takes for a number. */
static int shape_of(const char *s, char decimal, int *digits, int *whole, int *exponent)
{
    int n = 0, fraction = 0;
    s += *s == '+' || *s == '-';
    for (; *s >= '0' && *s <= '9'; s++) n++;
    *whole = !*s;
    if (*s == decimal) for (s++; *s >= '0' && *s <= '9'; s++) fraction++;
    *digits = n + fraction;
    *exponent = 0;
    if (n + fraction == 0) return 0;
    if (*s == 'e' || *s == 'E') {
        *exponent = 1;
        s += 1 + (s[1] == '+' || s[1] == '-');
        if (*s < '0' || *s > '9') return 0;
        while (*s >= '0' && *s <= '9') s++;
    }
    return !*s;
}

/* Of up to 15 digits and 22 places, one correctly rounded division gives the nearest double (Clinger 1990). */
static int quick(const char *s, char decimal, double *v)
{
    static const double ten[] = {1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
    int minus = *s == '-', places = 0, n = 0;
    int64_t m = 0;
    s += *s == '+' || *s == '-';
    for (; *s >= '0' && *s <= '9' && n < 16; s++, n++) m = m * 10 + (*s - '0');
    if (*s == decimal) for (s++; *s >= '0' && *s <= '9' && n < 16; s++, n++, places++) m = m * 10 + (*s - '0');
    if (*s || n > 15) return 0;
    *v = (double)m / ten[places];
    if (minus) *v = -*v;
    return 1;
}

rt_cell_kind rt_cell_read(const char *s, char decimal, rt_number *out)
{
    int digits, whole, exponent;
    char copy[400];
    *out = (rt_number){0};
    s += strspn(s, " \t");
    size_t n = strlen(s);
    while (n && (s[n - 1] == ' ' || s[n - 1] == '\t')) n--;
    if (n >= sizeof copy) return RT_CELL_TEXT;
    if (s[n]) {
        memcpy(copy, s, n);
        copy[n] = 0;
        s = copy;
    }
    if (!shape_of(s, decimal, &digits, &whole, &exponent)) {
        for (int i = 0; missing[i]; i++) if (strcmp(s, missing[i]) == 0) return RT_CELL_MISSING;
        return RT_CELL_TEXT;
    }
    if (!quick(s, decimal, &out->v)) {
        if (s != copy) memcpy(copy, s, n + 1);
        char *point = strchr(copy, decimal);
        if (point) *point = '.';
        out->v = strtod(copy, NULL);
        if (!isfinite(out->v)) return RT_CELL_TEXT;
    }
    double v = out->v;
    if (whole) {
        const char *p = s + (*s == '+' || *s == '-');
        out->whole = 1;
        for (int64_t d; *p && out->whole; p++) {
            d = *s == '-' ? -(*p - '0') : *p - '0';
            if (__builtin_mul_overflow(out->i, 10, &out->i) || __builtin_add_overflow(out->i, d, &out->i))
                out->whole = 0;
        }
        /* (double)INT64_MAX is 2^63: only below it may the double go back to an integer. */
        out->f64 = out->whole && fabs(v) < 0x1p63 ? (int64_t)v == out->i : 0;
    } else {
        out->whole = v == floor(v) && fabs(v) < 0x1p53;
        if (out->whole) out->i = (int64_t)v;
        out->f64 = 1;
    }
    float f = (float)v;
    /* A written-out number beyond 2^24 is meant to the last digit; one with an exponent and few digits was a float. */
    out->f32 = out->f64 && isfinite(f) && (v == 0 || f != 0)
        && (fabs(v) <= 0x1p24 || (double)f == v || (exponent && digits <= 9));
    return RT_CELL_NUMBER;
}

int rt_cell_other_decimal(const char *s, char decimal)
{
    rt_number v;
    return rt_cell_read(s, decimal, &v) == RT_CELL_TEXT && rt_cell_read(s, decimal == '.' ? ',' : '.',
        &v) == RT_CELL_NUMBER;
}
