/* data/import_csv.c - a CSV file: read once to decide (types, classes, gaps, columns), and once more to write. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/import_parts.h"
#include "engine/text.h"

enum { MAX_NAMED = 12, STOP_EVERY = 4096 };

typedef enum { FEATURE, LABEL, TARGET, LEFT_OUT } use;

typedef struct {
    use use;
    const char *why;               /* left out */
    uint64_t numbers, gaps, texts, fractions;
    uint64_t gap_line, text_line, narrow_line;     /* the first of each; narrow: not to be held by f32 */
    char text[48], narrow[48];
    int counts;                    /* the column counts rows: each value is one more than that above */
    int64_t last;
} column;

typedef struct {
    rt_import_job *job;
    const char *path;
    rt_csv_form form;
    char **name;                   /* of all columns of the file, NULL without a header */
    column *col;
    int columns, label;            /* label -1: none */
    int *feature, features;        /* columns of x, in order */
    int *target[RT_IMPORT_TARGETS];/* columns of each target */
    uint64_t records, rows, dropped, dropped_room, y_room, blank_lines;
    int all_f32, all_whole, all_i32, all_f64;
    rt_label_set labels;
} table;

static rt_status no_memory(void) { return rt_fail(RT_RUN, "out of memory"); }

/* 'name' (column 3), for messages. */
static const char *called(const table *t, int i)
{
    static char text[2][160];
    static int turn;
    char *p = text[turn ^= 1];
    if (t->name) snprintf(p, sizeof *text, "column '%.100s' (%d)", t->name[i], i);
    else snprintf(p, sizeof *text, "column %d", i);
    return p;
}

/* ---- columns ---- */

/* What helps when a told separator gives one column; "" otherwise. */
static const char *better_separator(const table *t)
{
    static char text[100];
    char c = t->job->spec->separator && t->columns == 1 ? rt_csv_better_separator(t->path, t->job->spec->encoding,
        t->form.separator) : 0;
    *text = 0;
    if (c) snprintf(text, sizeof text, "; it looks separated by '%s': use --separator '%s'", rt_separator_name(c),
                    rt_separator_name(c));
    return text;
}

/* Position of a column by name or number; -1 with a message. */
static int find_column(const table *t, const char *which, const char *option)
{
    char *stop, list[700];
    for (int i = 0; i < t->columns && t->name; i++) if (strcmp(t->name[i], which) == 0) return i;
    long v = strtol(which, &stop, 10);
    if (*which && !*stop && v < t->columns && v >= -t->columns) return (int)(v < 0 ? v + t->columns : v);
    if (t->name) rt_list_text(list, sizeof list, (const char *const *)t->name, t->columns);
    else snprintf(list, sizeof list, "no names, as it has no header; numbers go from 0 to %d", t->columns - 1);
    const char *hint = better_separator(t);
    if (!*hint && t->columns == 1) hint = "; lines above the header, such as a title or a comment, must be taken out";
    rt_fail(RT_USAGE, "%s: there is no column '%s' for --%s; the file has %s%s", t->path, which, option, list, hint);
    return -1;
}

static rt_status name_columns(table *t, const rt_record *r)
{
    int off = t->form.short_header;
    t->name = calloc((size_t)t->columns + 1, sizeof *t->name);
    if (!t->name) return no_memory();
    for (int i = 0; i < t->columns; i++) {
        char number[32];
        const char *text = i < off ? "" : rt_cell(r, i - off);
        snprintf(number, sizeof number, "Unnamed: %d", i);
        if (!(t->name[i] = strdup(*text || i == 0 ? text : number))) return no_memory();
    }
    rt_names all;
    cJSON *list = cJSON_CreateStringArray((const char *const *)t->name, t->columns);
    rt_status st = rt_names_from_json(&all, list, NULL, "columns");
    if (!st) rt_names_free(&all);
    cJSON_Delete(list);
    for (int i = 0; i < t->columns && st; i++)
        for (int k = 0; k < i; k++)
            if (strcmp(t->name[i], t->name[k]) == 0)
                return rt_fail(RT_INPUT,
                               "%s: the column name '%.100s' stands twice, in columns %d and %d; rename one, or say "
                               "--header no if line 1 is data", t->path, t->name[i], k, i);
    return st;
}

static void leave_out(table *t, int i, const char *why)
{
    t->col[i].use = LEFT_OUT;
    t->col[i].why = why;
}

/* The label's column, by --label or as in the file that this one shall be like. */
static rt_status find_label(table *t)
{
    rt_import_job *job = t->job;
    const char *label = job->spec->labels ? NULL : job->spec->label;
    t->label = -1;
    if (label) t->label = find_column(t, label, "label");
    else if (job->label_like && !job->spec->labels && t->name) {
        for (int i = 0; i < t->columns; i++) if (strcmp(t->name[i], job->label_like) == 0) t->label = i;
        if (t->label >= 0) rt_import_note(job, "the label is column '%s', as in %s", job->label_like, job->spec->like);
    }
    if (label && t->label < 0) return RT_USAGE;
    if (t->label >= 0) {
        t->col[t->label].use = LABEL;
        if (t->name) cJSON_AddStringToObject(job->report, "label_column", t->name[t->label]);
        else cJSON_AddNumberToObject(job->report, "label_column", t->label);
    }
    return RT_OK;
}

/* Features in the order of the file that this one shall be like. */
static rt_status order_like(table *t)
{
    const rt_names *like = &t->job->columns_like;
    char mine[900], theirs[900];
    int mapped = 0;
    if (!like->name) return RT_OK;
    if (!t->name) {
        if (t->features != like->count)
            return rt_fail(RT_INPUT, "%s: has %d columns without names, and %s has %d with; they cannot be matched",
                           t->path, t->features, like->of, like->count);
        rt_import_note(t->job, "the file names no columns: they are taken as those of %s, in its order", like->of);
        return RT_OK;
    }
    int *feature = malloc(((size_t)like->count + 1) * sizeof *feature);
    if (!feature) return no_memory();
    for (int k = 0; k < like->count; k++) feature[k] = -1;
    for (int j = 0; j < t->features; j++) {
        int k = rt_names_find(like, t->name[t->feature[j]]);
        if (k >= 0) feature[k] = t->feature[j];
        else leave_out(t, t->feature[j], "is no column of the file that this one shall be like");
    }
    for (int k = 0; k < like->count; k++) {
        mapped |= k && feature[k] < feature[k - 1];
        if (feature[k] >= 0) continue;
        const char **names = malloc(((size_t)t->features + 1) * sizeof *names);
        for (int i = 0; i < t->features && names; i++) names[i] = t->name[t->feature[i]];
        rt_list_text(mine, sizeof mine, names, names ? t->features : 0);
        rt_list_text(theirs, sizeof theirs, (const char *const *)like->name, like->count);
        free(names);
        free(feature);
        return rt_fail(RT_INPUT, "%s: has no column '%.100s' of %s; it has %s; needed are %s", t->path,
                       like->name[k], like->of, mine, theirs);
    }
    if (mapped) rt_import_note(t->job, "columns are put in the order of %s", like->of);
    free(t->feature);
    t->feature = feature;
    t->features = like->count;
    return RT_OK;
}

/* The columns of --target, each of which is that and nothing else. */
static rt_status choose_targets(table *t)
{
    const rt_import_spec *spec = t->job->spec;
    cJSON *all = spec->targets ? cJSON_AddObjectToObject(t->job->report, "targets") : NULL;
    for (int i = 0; i < spec->targets; i++) {
        const rt_import_target *q = &spec->target[i];
        cJSON *names = cJSON_AddArrayToObject(all, q->name);
        t->target[i] = malloc((size_t)q->columns * sizeof *t->target[i]);
        if (!t->target[i]) return no_memory();
        for (int k = 0; k < q->columns; k++) {
            char number[16];
            int c = t->target[i][k] = find_column(t, q->column[k], "target");
            if (c < 0) return RT_USAGE;
            if (t->col[c].use != FEATURE)
                return rt_fail(RT_USAGE, "%s: %s is a target, and the label, left out or a target, too", t->path,
                               called(t, c));
            t->col[c].use = TARGET;
            snprintf(number, sizeof number, "%d", c);
            cJSON_AddItemToArray(names, cJSON_CreateString(t->name ? t->name[c] : number));
        }
    }
    return RT_OK;
}

/* What each column is for. */
static rt_status choose_columns(table *t)
{
    const rt_import_spec *spec = t->job->spec;
    t->feature = malloc(((size_t)t->columns + 1) * sizeof *t->feature);
    if (!t->feature) return no_memory();
    for (int i = 0; i < spec->drops; i++) {
        int k = find_column(t, spec->drop[i], "drop");
        if (k < 0) return RT_USAGE;
        leave_out(t, k, "as told by --drop");
    }
    int index = t->name && !*t->name[0];
    if (spec->keep_index && !index)
        return rt_fail(RT_USAGE, "%s: --keep-index: the first column has a name, and is no index", t->path);
    if (spec->keep_index) {
        free(t->name[0]);
        if (!(t->name[0] = strdup("Unnamed: 0"))) return no_memory();
    } else if (index) leave_out(t, 0, "has no name: an index, as pandas and R write it (--keep-index keeps it)");
    if (t->form.trailing) leave_out(t, t->columns - 1, "has neither name nor content: each line ends in a separator");
    RT_TRY(find_label(t));
    if (t->label >= 0 && t->col[t->label].why) return rt_fail(RT_USAGE, "%s: %s is the label and is left out",
                                                              t->path, called(t, t->label));
    RT_TRY(choose_targets(t));
    for (int i = 0; i < t->columns; i++) if (t->col[i].use == FEATURE) t->feature[t->features++] = i;
    return RT_OK;
}

/* ---- first reading ---- */

static void keep(char *to, size_t room, const char *text) { snprintf(to, room, "%.40s", text); }

static void weigh(table *t, column *c, const char *text, uint64_t line)
{
    rt_number v;
    switch (rt_cell_read(text, t->form.decimal, &v)) {
    case RT_CELL_MISSING:
        if (!c->gaps++) c->gap_line = line;
        c->counts = 0;
        return;
    case RT_CELL_TEXT:
        if (!c->texts++) {
            c->text_line = line;
            keep(c->text, sizeof c->text, text);
        }
        return;
    case RT_CELL_NUMBER: break;
    }
    c->counts = v.whole && (c->numbers ? c->counts && v.i == c->last + 1 : !c->gaps && (v.i == 0 || v.i == 1));
    c->last = v.whole ? v.i : 0;
    c->numbers++;
    c->fractions += !v.whole;
    if (!v.f32 && !c->narrow_line) {
        c->narrow_line = line;
        keep(c->narrow, sizeof c->narrow, text);
    }
    t->all_f32 &= v.f32;
    t->all_whole &= v.whole;
    t->all_i32 &= v.whole && v.i >= INT32_MIN && v.i <= INT32_MAX;
    t->all_f64 &= v.f64;
}

static int has_gap(const table *t, const rt_record *r)
{
    rt_number v;
    for (int i = 0; i < t->features; i++)
        if (rt_cell_read(rt_cell(r, t->feature[i]), t->form.decimal, &v) == RT_CELL_MISSING) return 1;
    return 0;
}

static rt_status mark_dropped(table *t)
{
    uint64_t *bits = t->job->dropped;
    if (t->records / 64 >= t->dropped_room) {
        uint64_t room = 2 * (t->records / 64) + 64;
        bits = realloc(bits, room * sizeof *bits);
        if (!bits) return no_memory();
        memset(bits + t->dropped_room, 0, (room - t->dropped_room) * sizeof *bits);
        t->job->dropped = bits;
        t->dropped_room = room;
    }
    bits[t->records / 64] |= (uint64_t)1 << (t->records % 64);
    t->dropped++;
    return RT_OK;
}

static rt_status take_label(table *t, const char *text)
{
    rt_number v;
    char copy[64];
    if (t->rows == t->y_room) {
        t->y_room = t->y_room ? t->y_room + t->y_room / 2 : 4096;
        int32_t *y = realloc(t->job->y, t->y_room * sizeof *y);
        if (!y) return no_memory();
        t->job->y = y;
    }
    if (t->form.decimal == ',' && strlen(text) < sizeof copy && strchr(text, ',') && rt_cell_read(text, ',',
        &v) == RT_CELL_NUMBER) {
        strcpy(copy, text);
        *strchr(copy, ',') = '.';
        text = copy;
    }
    int code = rt_label_add(&t->labels, text);
    if (code < 0) return rt_fail_in((rt_status)-code, "%s: %s", t->path, called(t, t->label));
    t->job->y[t->rows] = code;
    return RT_OK;
}

static rt_status uneven(const table *t, const rt_record *r)
{
    return rt_fail(RT_INPUT, "%s: line %llu has %d columns, line %d has %d%s", t->path, (unsigned long long)r->line,
                   r->cells, t->form.skip + 1, t->columns,
                   t->columns == 1 ? better_separator(t)
                       : "; a cell that holds the separator or a line's end is put in quotes");
}

static rt_status weigh_row(table *t, const rt_record *r)
{
    if (r->cells != t->columns) return uneven(t, r);
    if (t->form.trailing && *rt_cell(r, t->columns - 1))
        return rt_fail(RT_INPUT,
                       "%s: line %llu has '%.40s' in the last column, which has no name and is empty on the first "
                       "lines", t->path, (unsigned long long)r->line,
                       rt_cell(r, t->columns - 1));
    if (t->job->spec->drop_missing && has_gap(t, r)) RT_TRY(mark_dropped(t));
    else {
        for (int i = 0; i < t->features; i++) weigh(t, &t->col[t->feature[i]], rt_cell(r, t->feature[i]), r->line);
        if (t->label >= 0) RT_TRY(take_label(t, rt_cell(r, t->label)));
        t->rows++;
    }
    t->records++;
    return t->records % STOP_EVERY ? RT_OK : rt_import_stopped(t->job);
}

static rt_status set_up(table *t, const rt_record *r)
{
    t->columns = r->cells + (t->form.header == RT_HEADER_YES && t->form.short_header);
    t->col = calloc((size_t)t->columns + 1, sizeof *t->col);
    if (!t->col) return no_memory();
    if (t->form.header == RT_HEADER_YES) RT_TRY(name_columns(t, r));
    return choose_columns(t);
}

static rt_status open_again(const table *t, rt_csv **c, rt_record *r)
{
    RT_TRY(rt_csv_open(c, t->path, t->job->spec->encoding, t->form.separator, t->form.skip));
    rt_status st = rt_csv_next(*c, r);
    if (st) rt_csv_close(*c);
    return st;
}

static rt_status first_reading(table *t)
{
    rt_csv *c;
    rt_record r;
    RT_TRY(open_again(t, &c, &r));
    cJSON_AddStringToObject(t->job->report, "encoding", rt_csv_encoding(c));
    rt_status st = r.cells ? set_up(t, &r) : rt_fail(RT_NOTHING, "%s: has no records", t->path);
    if (!st && t->form.header == RT_HEADER_YES) st = rt_csv_next(c, &r);
    if (!st && !r.cells) st = rt_fail(RT_NOTHING, "%s: has a header and no rows", t->path);
    if (!st) st = order_like(t);
    if (!st && !t->features) {
        st = rt_fail(RT_INPUT, "%s: has no column beside the label and what is left out%s", t->path,
                     better_separator(t));
    }
    while (!st && r.cells) {
        st = weigh_row(t, &r);
        if (!st) st = rt_csv_next(c, &r);
    }
    if (rt_csv_hash(c)) rt_import_note(t->job, "line 1 starts with '# ', which is left out");
    t->blank_lines = rt_csv_blank_lines(c);
    rt_csv_close(c);
    return st;
}

/* ---- judgement ---- */

static rt_status refuse_text(const table *t)
{
    char list[700];
    const char *names[MAX_NAMED];
    char number[MAX_NAMED][16];
    int texts = 0, first = -1;
    for (int k = 0; k < t->features; k++) {
        int i = t->feature[k];
        if (!t->col[i].texts) continue;
        if (first < 0) first = i;
        if (texts < MAX_NAMED) {
            snprintf(number[texts], sizeof number[0], "%d", i);
            names[texts] = t->name ? t->name[i] : number[texts];
        }
        texts++;
    }
    if (first < 0) return RT_OK;
    const column *c = &t->col[first];
    const char *text = c->text;
    const char *better = better_separator(t);
    if (*better) return rt_fail(RT_INPUT, "%s: line %llu: '%s' is no number%s", t->path,
                                (unsigned long long)c->text_line, text, better);
    if (t->form.separator != ',' && rt_cell_other_decimal(text, t->form.decimal))
        return rt_fail(RT_INPUT,
                       "%s: line %llu, %s: '%s' is no number with the decimal sign '%c'; if '%c' is the decimal sign, "
                       "use --decimal '%c'", t->path, (unsigned long long)c->text_line,
                       called(t, first), text, t->form.decimal, t->form.decimal == '.' ? ',' : '.',
                           t->form.decimal == '.' ? ',' : '.');
    rt_list_text(list, sizeof list, names, texts < MAX_NAMED ? texts : MAX_NAMED);
    for (char *p = list; *p; p++) if (p[0] == ',' && p[1] == ' ') memmove(p + 1, p + 2, strlen(p + 1));
    return rt_fail(RT_INPUT,
                   "%s: line %llu, %s: '%s' is no finite number (%llu of %llu rows); encode it as numbers, name it by "
                   "--label, or leave it out: --drop '%s'%s", t->path,
                   (unsigned long long)c->text_line, called(t, first), text, (unsigned long long)c->texts,
                       (unsigned long long)t->rows, list, texts > MAX_NAMED ? " and more" : "");
}

static rt_status refuse_gaps(const table *t)
{
    uint64_t gaps = 0;
    int first = -1, columns = 0;
    for (int k = 0; k < t->features; k++) {
        int i = t->feature[k];
        gaps += t->col[i].gaps;
        columns += t->col[i].gaps > 0;
        if (t->col[i].gaps && (first < 0 || t->col[i].gap_line < t->col[first].gap_line)) first = i;
    }
    if (first < 0) return RT_OK;
    if (!t->col[first].numbers) return rt_fail(RT_INPUT, "%s: %s holds nothing; leave it out: --drop %s", t->path,
                                               called(t, first), t->name ? t->name[first] : "NUMBER");
    return rt_fail(RT_INPUT,
                   "%s: line %llu, %s: there is no value, and %llu gaps in %d columns in all; fill them, leave "
                   "columns out (--drop), or leave such rows out: --missing drop", t->path,
                   (unsigned long long)t->col[first].gap_line, called(t, first), (unsigned long long)gaps, columns);
}

/* One type for all: f32 where it holds what is written, else one that does. */
static rt_status choose_type(table *t, rt_dtype *type)
{
    *type = RT_F32;
    if (t->all_f32) return RT_OK;
    int first = -1;
    for (int k = 0; k < t->features; k++) {
        int i = t->feature[k];
        if (t->col[i].narrow_line && (first < 0 || t->col[i].narrow_line < t->col[first].narrow_line)) first = i;
    }
    const column *c = &t->col[first];
    if (!t->all_whole && !t->all_f64)
        return rt_fail(RT_INPUT,
                       "%s: line %llu, %s: '%s' fits no type exactly that holds all other numbers, too; if it is an "
                       "identifier, leave it out: --drop", t->path,
                       (unsigned long long)c->narrow_line, called(t, first), c->narrow);
    *type = t->all_i32 ? RT_I32 : t->all_whole ? RT_I64 : RT_F64;
    rt_import_note(t->job,
                   "x is stored as %s: f32 would round '%s' (line %llu, %s); models compute in f32, so leave "
                   "identifiers out (--drop)", rt_dtype_name(*type), c->narrow,
                   (unsigned long long)c->narrow_line, called(t, first));
    return RT_OK;
}

static void report_columns(table *t)
{
    rt_import_job *job = t->job;
    cJSON *h = cJSON_AddObjectToObject(job->report, "header"), *left = cJSON_AddArrayToObject(job->report, "left_out");
    int whole = 0;
    char number[16];
    cJSON_AddBoolToObject(h, "present", t->form.header == RT_HEADER_YES);
    rt_one_line(t->form.why);
    cJSON_AddStringToObject(h, "why", t->form.why);
    const char *separator = rt_separator_name(t->form.separator);
    char own[2] = {t->form.separator, 0};
    cJSON_AddStringToObject(job->report, "separator", separator ? separator : own);
    snprintf(number, sizeof number, "%c", t->form.decimal);
    cJSON_AddStringToObject(job->report, "decimal", number);
    for (int k = 0; k < t->features; k++) {
        const column *c = &t->col[t->feature[k]];
        whole += !c->fractions;
        if (c->counts && t->rows > 2)
            rt_import_note(job, "%s counts the rows: if it is an index, leave it out: --drop '%s'",
                           called(t, t->feature[k]),
                           t->name ? t->name[t->feature[k]] : (snprintf(number, sizeof number, "%d", t->feature[k]),
                                                               number));
    }
    cJSON_AddNumberToObject(job->report, "columns_of_whole_numbers", whole);
    cJSON_AddNumberToObject(job->report, "columns_with_fractions", t->features - whole);
    for (int i = 0; i < t->columns; i++) {
        if (t->col[i].use != LEFT_OUT) continue;
        cJSON *l = cJSON_CreateObject();
        snprintf(number, sizeof number, "%d", i);
        cJSON_AddStringToObject(l, "column", t->name ? t->name[i] : number);
        cJSON_AddStringToObject(l, "why", t->col[i].why);
        cJSON_AddItemToArray(left, l);
    }
    if (t->name) {
        job->columns = cJSON_CreateArray();
        for (int k = 0; k < t->features; k++)
            cJSON_AddItemToArray(job->columns, cJSON_CreateString(t->name[t->feature[k]]));
    } else if (job->columns_like.name) job->columns = rt_names_to_json(&job->columns_like);
    rt_import_skipped(job, "rows", t->dropped, "a cell is empty (--missing drop)");
    rt_import_skipped(job, "blank lines", t->blank_lines, "hold no record");
}

/* ---- second reading ---- */

static rt_status put_row(table *t, const rt_record *r, rt_dtype type, void *row)
{
    rt_number v;
    for (int i = 0; i < t->features; i++) {
        rt_cell_read(rt_cell(r, t->feature[i]), t->form.decimal, &v);
        switch (type) {
        case RT_F32: ((float *)row)[i] = (float)v.v; break;
        case RT_F64: ((double *)row)[i] = v.v; break;
        case RT_I32: ((int32_t *)row)[i] = (int32_t)v.i; break;
        default: ((int64_t *)row)[i] = v.i; break;
        }
    }
    return rt_import_put(t->job, row, (size_t)t->features * rt_dtype_size(type));
}

static rt_status put_targets(table *t, const rt_record *r, uint64_t row)
{
    const rt_import_spec *spec = t->job->spec;
    for (int i = 0; i < spec->targets; i++)
        for (int k = 0, n = spec->target[i].columns; k < n; k++) {
            rt_number v;
            const char *text = rt_cell(r, t->target[i][k]);
            rt_cell_kind kind = rt_cell_read(text, t->form.decimal, &v);
            if (kind == RT_CELL_TEXT)
                return rt_fail(RT_INPUT, "%s: line %llu, %s: the target '%.40s' is no finite number; leave the cell "
                               "empty where there is none", t->path, (unsigned long long)r->line,
                               called(t, t->target[i][k]), text);
            t->job->target[i].value[row * (uint64_t)n + (uint64_t)k] = kind == RT_CELL_MISSING ? NAN : (float)v.v;
        }
    return RT_OK;
}

/* Room for them, and what is written where nothing is read. */
static rt_status take_targets(table *t)
{
    const rt_import_spec *spec = t->job->spec;
    for (int i = 0; i < spec->targets; i++) {
        t->job->target[i].value = calloc(t->rows * (uint64_t)spec->target[i].columns, sizeof(float));
        if (!t->job->target[i].value) return no_memory();
    }
    return RT_OK;
}

static rt_status second_reading(table *t, rt_dtype type)
{
    rt_csv *c;
    rt_record r;
    uint64_t at = 0, row_at = 0;
    RT_TRY(take_targets(t));
    RT_TRY(rt_import_begin(t->job, type, 2, (uint64_t[]){t->rows, (uint64_t)t->features}));
    RT_TRY(open_again(t, &c, &r));
    void *row = malloc((size_t)t->features * 8);
    rt_status st = row ? RT_OK : no_memory();
    if (!st && t->form.header == RT_HEADER_YES) st = rt_csv_next(c, &r);
    while (!st && r.cells) {
        int dropped = t->dropped && at < t->dropped_room * 64 && t->job->dropped[at / 64] >> (at % 64) & 1;
        if (r.cells != t->columns) st = uneven(t, &r);
        if (!st && !dropped) st = put_row(t, &r, type, row);
        if (!st && !dropped) st = put_targets(t, &r, row_at++);
        if (!st) st = rt_csv_next(c, &r);
        at++;
    }
    free(row);
    rt_csv_close(c);
    return st ? st : rt_import_end(t->job);
}

static void free_table(table *t)
{
    for (int i = 0; i < t->columns && t->name; i++) free(t->name[i]);
    free(t->name);
    free(t->col);
    free(t->feature);
    for (int i = 0; i < RT_IMPORT_TARGETS; i++) free(t->target[i]);
    rt_label_set_free(&t->labels);
}

rt_status rt_import_csv(rt_import_job *job)
{
    table t = {.job = job, .path = job->spec->input, .label = -1, .all_f32 = 1, .all_whole = 1, .all_i32 = 1,
               .all_f64 = 1};
    rt_dtype type = RT_F32;
    char where[1300];
    rt_status st = rt_csv_find_form(job, t.path, &t.form);
    if (!st) st = first_reading(&t);
    if (!st) st = refuse_text(&t);
    if (!st) st = refuse_gaps(&t);
    if (!st && !t.rows) st = rt_fail(RT_NOTHING, "%s: every row has a gap; nothing is left", t.path);
    if (!st) st = choose_type(&t, &type);
    if (!st) report_columns(&t);
    if (!st && t.label >= 0) {
        snprintf(where, sizeof where, "%.1000s, %s", t.path, called(&t, t.label));
        st = rt_label_resolve(job, &t.labels, where, t.rows, 0);
    } else if (!st && job->spec->labels) st = rt_import_labels(job, t.records);
    if (!st) st = second_reading(&t, type);
    free_table(&t);
    return st;
}
