/* data/import_csv_guess.c - what a CSV file does not say: its separator, and whether its first line is a header. Both
 * are told from the first hundred records, said in the report, and asked for when they cannot be told. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/import_parts.h"

enum { SAMPLE = 100 };

typedef struct { char *text; size_t *at; int cells; } line_of;
typedef struct { line_of line[SAMPLE]; int lines; } sample;

static void sample_free(sample *s)
{
    for (int i = 0; i < s->lines; i++) {
        free(s->line[i].text);
        free(s->line[i].at);
    }
    s->lines = 0;
}

/* The first records; what follows an error of the file is not looked at: the reader will say it. */
static rt_status sample_read(sample *s, const char *path, const char *encoding, char separator, int skip)
{
    rt_csv *c;
    rt_record r;
    s->lines = 0;
    RT_TRY(rt_csv_open(&c, path, encoding, separator, skip));
    rt_status st = RT_OK;
    while (s->lines < SAMPLE) {
        rt_status next = rt_csv_next(c, &r);
        if (next == RT_RUN) st = next;
        if (next || !r.cells) break;
        size_t bytes = r.at[r.cells - 1] + strlen(rt_cell(&r, r.cells - 1)) + 1;
        line_of *l = &s->line[s->lines++];
        *l = (line_of){malloc(bytes), malloc((size_t)r.cells * sizeof *l->at), r.cells};
        if (!l->text || !l->at) {
            st = rt_fail(RT_RUN, "out of memory");
            break;
        }
        memcpy(l->text, r.text, bytes);
        memcpy(l->at, r.at, (size_t)r.cells * sizeof *l->at);
    }
    rt_csv_close(c);
    return st;
}

static const char *cell(const sample *s, int line, int i) { return s->line[line].text + s->line[line].at[i]; }

static rt_cell_kind kind(const char *text)
{
    rt_number v;
    rt_cell_kind k = rt_cell_read(text, '.', &v);
    return k == RT_CELL_TEXT ? rt_cell_read(text, ',', &v) : k;
}

/* ---- separator ---- */

static const char candidates[] = {',', ';', '\t', '|', ' '};
enum { CANDIDATES = sizeof candidates };

const char *rt_separator_name(char c)
{
    static const char *const names[] = {",", ";", "tab", "|", "blanks"};
    for (int i = 0; i < CANDIDATES; i++) if (candidates[i] == c) return names[i];
    return NULL;
}

/* How well a separator fits: 0 when records have one column or differ in number; else 1 + the share of numbers. */
static double fit(const sample *s)
{
    if (!s->lines || s->line[s->lines - 1].cells < 2) return 0;
    int n = s->line[s->lines - 1].cells, numbers = 0, all = 0;
    for (int i = 0; i < s->lines; i++) {
        if (s->line[i].cells != n && !(i == 0 && s->line[i].cells == n - 1)) return 0;
        for (int k = 0; k < s->line[i].cells && (i || s->lines == 1); k++, all++) numbers += kind(cell(s, i, k))
            != RT_CELL_TEXT;
    }
    return 1 + (double)numbers / all;
}

/* never: what it cannot be, or 0. */
static rt_status find_separator(const char *path, const char *encoding, int skip, char never, char *found)
{
    double best = 0;
    int most = 1;
    sample s = {.lines = 0};
    *found = 0;
    for (int i = 0; i < CANDIDATES; i++) {
        if (candidates[i] == never) continue;
        rt_status st = sample_read(&s, path, encoding, candidates[i], skip);
        double f = st ? 0 : fit(&s);
        int columns = s.lines ? s.line[0].cells : 0;
        if (candidates[i] == ' ' && (f < 1.5 || best > 0)) f = 0;       /* blanks stand in texts, too */
        if (f > best) {
            best = f;
            *found = candidates[i];
        }
        if (!best && columns > most && candidates[i] != ' ') {          /* uneven: the reader will say where */
            most = columns;
            *found = candidates[i];
        }
        sample_free(&s);
        RT_TRY(st);
    }
    return RT_OK;
}

char rt_csv_better_separator(const char *path, const char *encoding, char than)
{
    char found;
    return find_separator(path, encoding, 0, 0, &found) || found == than ? 0 : found;
}

/* "sep=;" is how Excel is told. */
static char told_separator(const char *path, const char *encoding)
{
    rt_text *t;
    const char *p;
    size_t n;
    uint64_t line;
    char found = 0;
    if (rt_text_open(&t, path, encoding)) return 0;
    if (!rt_text_next(t, &p, &n, &line) && n >= 5 && n <= 7 && !strncmp(p, "sep=", 4) && (n == 5 || p[5] == '\r'
        || p[5] == '\n')) found = p[4];
    rt_text_close(t);
    return found;
}

/* ---- header ---- */

typedef struct {
    int n, label;                  /* columns; the label's, -1 unknown */
    int text, number, gap;         /* cells of line 1 without the label's */
    int against;                   /* cells of line 1 that are text where the rows below hold numbers,
        the label's too */
    int label_text, label_again;   /* the label of line 1 is text; and stands below again */
    int labels_repeat;             /* each label of the rows below stands twice or more */
} evidence;

static evidence look(const sample *s, int label)
{
    evidence e = {.n = s->line[0].cells, .label = label, .labels_repeat = s->lines > 2};
    for (int k = 0; k < e.n; k++) {
        rt_cell_kind first = kind(cell(s, 0, k));
        int numbers = 0, texts = 0;
        for (int i = 1; i < s->lines; i++) {
            if (k >= s->line[i].cells) continue;
            rt_cell_kind below = kind(cell(s, i, k));
            numbers += below == RT_CELL_NUMBER;
            texts += below == RT_CELL_TEXT;
        }
        e.against += first == RT_CELL_TEXT && numbers && !texts;
        if (k != label) {
            e.text += first == RT_CELL_TEXT;
            e.number += first == RT_CELL_NUMBER;
            e.gap += first == RT_CELL_MISSING;
            continue;
        }
        e.label_text = first == RT_CELL_TEXT;
        for (int i = 1; i < s->lines; i++) {
            int again = 0;
            for (int j = 0; j < s->lines; j++) again += k < s->line[i].cells && k < s->line[j].cells
                && !strcmp(cell(s, i, k), cell(s, j, k));
            if (again < 2) e.labels_repeat = 0;
            if (e.label_text && k < s->line[i].cells && !strcmp(cell(s, i, k), cell(s, 0, k))) e.label_again = 1;
        }
    }
    return e;
}

typedef enum { PLAIN, COUNTED, YEARS, RISING } pattern;

/* How the numbers of a line, the label's left out below line 1, follow each other. */
typedef struct { pattern is; int n, from_zero, from_one, binary, years; } run_of;

/* Numbers that look like names: 0 1 2 ..., years, or a long row that only rises or only falls. */
static run_of follow(const sample *s, int line, int label)
{
    double before = 0, step = 0;
    int one = 1, years = 1, same_way = 1;
    run_of r = {.is = PLAIN, .binary = 1};
    for (int k = 0; k < s->line[line].cells; k++) {
        rt_number v;
        if (line && k == label) continue;
        if (rt_cell_read(cell(s, line, k), '.', &v) != RT_CELL_NUMBER) {
            if (line) return r;
            continue;
        }
        if (r.n == 0) {
            r.from_zero = v.v == 0;
            r.from_one = v.v == 1;
        }
        if (r.n == 1) step = v.v - before;
        if (r.n) same_way &= step > 0 ? v.v > before : v.v < before;
        years &= v.whole && v.i >= 1800 && v.i <= 2200;
        one &= v.whole && (r.n == 0 || v.v == before + 1);
        r.binary &= v.v == 0 || v.v == 1;
        before = v.v;
        r.n++;
    }
    if (one && (line ? r.n >= 2 : r.from_zero || r.from_one)) r.is = COUNTED;
    else if (years && r.n >= 2 && same_way) r.is = YEARS;
    else if (same_way && r.n >= 8) r.is = RISING;
    r.years = years && r.n;
    return r;
}

/* The pattern of line 1; *shared rows below have it, too (years in any order); *binary: all lines are 0 and 1. */
static run_of pattern_of(const sample *s, int label, int *shared, int *binary)
{
    run_of r = follow(s, 0, label);
    *shared = 0;
    *binary = r.binary;
    for (int i = 1; i < s->lines; i++) {
        run_of q = follow(s, i, label);
        *binary &= q.binary;
        *shared += q.is == r.is || (r.is == RISING && q.is != PLAIN) || (r.is == YEARS && q.years);
    }
    return r;
}

/* Whether the rows that share the pattern of line 1 may do so by chance: a few of them, or of two numbers each. */
static int by_chance(const sample *s, const evidence *e, const run_of *r, int shared, int binary)
{
    int few = 4 * shared < s->lines - 1, half = 2 * shared < s->lines - 1;
    if (r->is == PLAIN || !shared) return 0;
    if (r->is != COUNTED || !r->from_zero) return r->n >= 3 && few;
    return r->n >= 3 ? half || (e->label >= 0 && r->n == 3) : half && !binary;
}

static rt_status cannot_tell(const char *path, const char *what)
{
    return rt_fail(RT_USAGE, "%s: cannot tell whether line 1 is a header: %s; give --header yes or no", path, what);
}

/* One column, whose first number could be a year, as no other could. */
static int lone_year(const sample *s)
{
    rt_number v;
    for (int i = 0; i < s->lines; i++) {
        int year = rt_cell_read(cell(s, i, 0), '.', &v) == RT_CELL_NUMBER && v.whole && v.i >= 1800 && v.i <= 2200;
        if (year != (i == 0)) return 0;
    }
    return s->lines > 1;
}

/* Line 1 holds no text but numbers and gaps, or numbers and a text label. */
static rt_status judge_numbers(const sample *s, const evidence *e, const char *path, rt_csv_form *f)
{
    static const char *const said[] = {"", "counts up by one", "holds years",
                                       "holds numbers that only rise or only fall"};
    int shared, binary, first_gap = kind(cell(s, 0, 0)) == RT_CELL_MISSING;
    run_of r = pattern_of(s, e->label, &shared, &binary);
    if (!e->label_again && !(e->gap && !(first_gap && e->gap == 1)) && by_chance(s, e, &r, shared, binary))
        return cannot_tell(path, "it holds numbers that may be names, and rows below hold such, too");
    if (shared) r.is = PLAIN;
    if (e->n == 1 && lone_year(s)) return cannot_tell(path, "it holds a year, and no row below does");
    int label_is_name = e->label_text && !e->label_again && e->labels_repeat;
    int sure = r.n >= 8 || (r.is == YEARS && r.n >= 3) || (r.from_zero && r.n >= 3)
        || (r.is == COUNTED && (first_gap || label_is_name));
    int data = r.is == PLAIN || e->label_again || s->lines == 1 || (e->gap && !(first_gap && e->gap == 1));
    if (data || (!sure && (binary || (r.from_one && r.n == 2)))) {
        f->header = RT_HEADER_NO;
        const char *what = e->gap ? "numbers and gaps" : e->label_text ? "numbers and a label" : "numbers";
        snprintf(f->why, sizeof f->why, s->lines == 1 ? "there is one line, and it holds %s"
                 : "line 1 holds %s, as the rows below", what);
        return RT_OK;
    }
    if (!sure) return cannot_tell(path, "it holds numbers that may be names");
    f->header = RT_HEADER_YES;
    snprintf(f->why, sizeof f->why, "line 1 %s, and no row below does", said[r.is]);
    return RT_OK;
}

static rt_status judge(const sample *s, int label, const char *path, rt_csv_form *f)
{
    int n = s->line[0].cells, longer = s->lines > 1;
    for (int i = 1; i < s->lines; i++) longer &= s->line[i].cells == n + 1;
    f->header = RT_HEADER_YES;
    if (longer) {
        f->short_header = 1;
        snprintf(f->why, sizeof f->why, "line 1 has one name less than the rows have columns, as R writes it");
        return RT_OK;
    }
    evidence e = look(s, label);
    if (e.against && e.number + (label >= 0 && !e.label_text && n > 1) == 0) {
        snprintf(f->why, sizeof f->why, "line 1 holds names where the rows below hold numbers");
        return RT_OK;
    }
    if (e.against && !e.label_again) {                    /* names and numbers side by side */
        int shared, binary;
        run_of r = pattern_of(s, label, &shared, &binary);
        if (r.is == PLAIN || shared || (r.n < 3 && e.label_text && !e.text))
            return cannot_tell(path, "it holds text where the rows below hold numbers, and numbers");
        snprintf(f->why, sizeof f->why, "line 1 holds names and numbers that are names, and no row below does");
        return RT_OK;
    }
    if (e.text && !e.number && !(label >= 0 && !e.label_text)) {
        int repeats = 0;
        for (int i = 1; i < s->lines && n == 1; i++) repeats |= !strcmp(cell(s, i, 0), cell(s, 0, 0));
        f->header = repeats ? RT_HEADER_NO : RT_HEADER_YES;
        snprintf(f->why, sizeof f->why, repeats ? "what line 1 holds stands below again" : "line 1 holds text only");
        return RT_OK;
    }
    if (e.text) {
        f->header = RT_HEADER_NO;
        snprintf(f->why, sizeof f->why, "line 1 holds numbers and text, as the rows below");
        return RT_OK;
    }
    return judge_numbers(s, &e, path, f);
}

/* A column of line 1 that the settings name: then it is a header. */
static const char *named_in(const sample *s, const rt_import_spec *spec, const rt_names *columns_like)
{
    rt_number v;
    int n = s->line[0].cells;
    for (int i = -1; i < spec->drops; i++) {
        const char *name = i >= 0 ? spec->drop[i] : spec->labels ? NULL : spec->label;
        if (!name || rt_cell_read(name, '.', &v) == RT_CELL_NUMBER) continue;
        for (int k = 0; k < n; k++) if (!strcmp(cell(s, 0, k), name)) return name;
    }
    int found = 0;
    for (int k = 0; k < n && columns_like->name; k++) found += rt_names_find(columns_like, cell(s, 0, k)) >= 0;
    return found && found == columns_like->count ? columns_like->name[0] : NULL;
}

/* Each line ends in a separator: a last column without name and content. */
static int ends_in_separator(const sample *s, const rt_csv_form *f)
{
    int n = s->line[0].cells, rows = 0;
    for (int i = 0; i < s->lines && n > 1; i++) {
        if (s->line[i].cells != n || *cell(s, i, n - 1)) return 0;
        rows += i || f->header == RT_HEADER_NO;
    }
    return rows > 1;
}

rt_status rt_csv_find_form(rt_import_job *job, const char *path, rt_csv_form *f)
{
    const rt_import_spec *spec = job->spec;
    sample s = {.lines = 0};
    char told = told_separator(path, spec->encoding), *stop;
    *f = (rt_csv_form){.separator = spec->separator, .decimal = '.', .header = spec->header, .skip = told != 0};
    if (spec->decimal) f->decimal = spec->decimal;
    if (told && !f->separator) f->separator = told;
    if (told) rt_import_skipped(job, "line 'sep='", 1, "tells the separator");
    if (!f->separator) {
        RT_TRY(find_separator(path, spec->encoding, f->skip, f->decimal == ',' ? ',' : 0, &f->separator));
        if (f->separator && f->separator != ',') rt_import_note(job, "the separator is '%s', as found in the file",
                                                                rt_separator_name(f->separator));
        if (!f->separator) f->separator = f->decimal == ',' ? ';' : ',';
    }
    rt_status st = sample_read(&s, path, spec->encoding, f->separator, f->skip);
    int n = st || !s.lines ? 0 : s.line[0].cells, label = -1;
    if (n && spec->label && !spec->labels) {
        long v = strtol(spec->label, &stop, 10);
        if (*spec->label && !*stop && v < n && v >= -n) label = (int)(v < 0 ? v + n : v);
    }
    if (!n) {
        if (f->header == RT_HEADER_AUTO) f->header = RT_HEADER_NO;
    } else if (f->header != RT_HEADER_AUTO) {
        snprintf(f->why, sizeof f->why, "as told by --header");
        f->short_header = f->header == RT_HEADER_YES && s.lines > 1 && s.line[1].cells == n + 1;
    } else {
        const char *name = named_in(&s, spec, &job->columns_like);
        st = name ? RT_OK : judge(&s, label, path, f);
        if (name) {
            f->header = RT_HEADER_YES;
            f->short_header = s.lines > 1 && s.line[1].cells == n + 1;
            snprintf(f->why, sizeof f->why, "line 1 has the column '%.100s'", name);
        }
    }
    if (!st && n) f->trailing = ends_in_separator(&s, f);
    sample_free(&s);
    return st;
}
