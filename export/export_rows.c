/* export/export_rows.c - answers to rows: a model's predictions, or what a label store holds. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/memory.h"
#include "engine/progress.h"
#include "engine/text.h"
#include "export/exporter.h"
#include "export/out_file.h"

enum { BLOCK = 1024, FLUSH = 1 << 18 };

typedef struct {
    rt_out_file f;
    int csv, width, heads, hard;       /* hard: of heads the prediction alone */
    const rt_head *head;
    char **cell[RT_MAX_HEADS];         /* (size) names of a head's classes as cells; NULL: there are none */
    const rt_export_column *more;      /* behind the answers */
    int columns;
    uint64_t at;                       /* of the rows that are put: the first one's place */
    char *text;                        /* what waits to be written */
    size_t n, room;
} table;

/* Room for `more` bytes in the text, which is written first when it has grown. */
static int make_room(table *t, size_t more)
{
    if (t->n >= FLUSH || t->n + more > t->room) {
        rt_out_put(&t->f, t->text, t->n);
        t->n = 0;
    }
    if (more <= t->room) return 1;
    char *text = realloc(t->text, more + FLUSH);
    if (!text) {
        if (!t->f.status) t->f.status = rt_fail(RT_RUN, "out of memory");
        return 0;
    }
    t->text = text;
    t->room = more + FLUSH;
    return 1;
}

static rt_status make_cells(table *t, int h)
{
    const rt_head *head = &t->head[h];
    if (head->task != RT_TASK_CLASSES || !head->names.name) return RT_OK;
    t->cell[h] = calloc((size_t)head->size, sizeof *t->cell[h]);
    for (int c = 0; c < head->size && t->cell[h]; c++) {
        rt_string cell = {0};
        rt_put_csv(&cell, head->names.name[c]);
        t->cell[h][c] = cell.p;
        if (cell.failed) return rt_fail(RT_RUN, "out of memory");
    }
    return t->cell[h] ? RT_OK : rt_fail(RT_RUN, "out of memory");
}

/* A column's title: of a single head of classes without the head's name. */
static void put_title(rt_string *line, const char *prefix, const char *what)
{
    rt_string label = {0};
    rt_put(&label, "%s%s%s", prefix, *prefix && *what ? ":" : "", what);
    rt_put(line, ",");
    if (label.failed) line->failed = 1;
    else rt_put_csv(line, label.p);
    free(label.p);
}

static void put_head_titles(const table *t, int h, rt_string *line)
{
    const rt_head *head = &t->head[h];
    const char *prefix = t->heads == 1 && head->task == RT_TASK_CLASSES ? "" : head->name;
    rt_string label = {0};
    if (head->task == RT_TASK_CLASSES) put_title(line, prefix, "prediction");
    if (t->cell[h]) put_title(line, prefix, "name");
    for (int c = 0; c < head->size && !t->hard; c++) {
        const char *p = head->task == RT_TASK_REAL ? "" : "p";
        label.n = 0;
        if (head->names.name) rt_put(&label, "%s%s%s", p, *p ? ":" : "", head->names.name[c]);
        else if (head->task == RT_TASK_REAL && head->size == 1) rt_put(&label, "%s", "");
        else rt_put(&label, "%s%d", p, c);
        put_title(line, prefix, label.p ? label.p : "");
        line->failed |= label.failed;
    }
    free(label.p);
}

static void put_csv_head(table *t)
{
    rt_string line = {0};
    rt_put(&line, "row");
    for (int h = 0; h < t->heads; h++) put_head_titles(t, h, &line);
    for (int i = 0; i < t->columns; i++) put_title(&line, "", t->more[i].title);
    rt_put(&line, "\n");
    if (line.failed) t->f.status = rt_fail(RT_RUN, "out of memory");
    else rt_out_put(&t->f, line.p, line.n);
    free(line.p);
}

static rt_status open_table(table *t, rt_output *out, uint64_t rows, const rt_head *head, int heads, int csv,
                            int hard, const rt_export_column *more, int columns)
{
    char opening[256];
    int width = rt_heads_width(head, heads);
    uint64_t dim[2] = {rows, (uint64_t)width};
    *t = (table){.csv = csv,
                 .hard = hard,
                 .width = width,
                 .head = head,
                 .heads = heads,
                 .more = more,
                 .columns = columns,
                 .f = rt_out_open(out)};
    RT_TRY(t->f.status);
    if (!csv) {
        rt_out_put(&t->f, opening, rt_npy_header(opening, "<f4", dim, 2));
        return t->f.status;
    }
    for (int h = 0; h < heads; h++) RT_TRY(make_cells(t, h));
    put_csv_head(t);
    return t->f.status;
}

static rt_status close_table(table *t, rt_status st)
{
    if (t->n) rt_out_put(&t->f, t->text, t->n);
    for (int h = 0; h < t->heads; h++) {
        for (int c = 0; c < t->head[h].size && t->cell[h]; c++) free(t->cell[h][c]);
        free(t->cell[h]);
    }
    free(t->text);
    return rt_out_close(&t->f, st);
}

static void put_classes(table *t, int h, const float *z)
{
    int k = t->head[h].size, best = 0;
    double sum = 0;
    for (int c = 1; c < k; c++) if (z[c] > z[best]) best = c;
    for (int c = 0; c < k; c++) sum += exp((double)z[c] - z[best]);
    const char *name = t->cell[h] ? t->cell[h][best] : "";
    if (!make_room(t, (size_t)k * 16 + 48 + strlen(name))) return;
    char *p = t->text + t->n;
    p += sprintf(p, ",%d", best);
    if (t->cell[h]) p += sprintf(p, ",%s", name);
    for (int c = 0; c < k && !t->hard; c++) p += sprintf(p, ",%.7g", exp((double)z[c] - z[best]) / sum);
    t->n = (size_t)(p - t->text);
}

/* Probabilities of labels, or values. */
static void put_numbers(table *t, int h, const float *z)
{
    int k = t->head[h].size, real = t->head[h].task == RT_TASK_REAL;
    if (!make_room(t, (size_t)k * 24 + 8)) return;
    char *p = t->text + t->n;
    for (int c = 0; c < k; c++)
        p += real ? sprintf(p, ",%.9g", (double)z[c]) : sprintf(p, ",%.7g", 1 / (1 + exp(-(double)z[c])));
    t->n = (size_t)(p - t->text);
}

static void put_more(table *t, uint64_t r)
{
    rt_string cell = {0};
    for (int i = 0; i < t->columns; i++) {
        rt_put(&cell, ",");
        t->more[i].put(t->more[i].of, r, &cell);
    }
    if (cell.failed && !t->f.status) t->f.status = rt_fail(RT_RUN, "out of memory");
    if (cell.n && !cell.failed && make_room(t, cell.n)) {
        memcpy(t->text + t->n, cell.p, cell.n);
        t->n += cell.n;
    }
    free(cell.p);
}

/* Cells with nothing in them, as many as the heads have. */
static void put_nothing(table *t)
{
    for (int h = 0; h < t->heads; h++) {
        int classes = t->head[h].task == RT_TASK_CLASSES;
        size_t cells = (size_t)classes + (t->cell[h] != NULL) + (t->hard ? 0 : (size_t)t->head[h].size);
        if (!make_room(t, cells)) return;
        memset(t->text + t->n, ',', cells);
        t->n += cells;
    }
}

/* z NULL: the row has no answer. */
static void put_csv_row(table *t, const float *z, uint64_t row, uint64_t r)
{
    if (!make_room(t, 32)) return;
    t->n += (size_t)sprintf(t->text + t->n, "%llu", (unsigned long long)row);
    if (!z) put_nothing(t);
    for (int h = 0; h < t->heads && z; h++) {
        if (t->head[h].task == RT_TASK_CLASSES) put_classes(t, h, z + t->head[h].at);
        else put_numbers(t, h, z + t->head[h].at);
    }
    put_more(t, r);
    if (make_room(t, 1)) t->text[t->n++] = '\n';
}

static void put_rows(table *t, const float *z, const uint64_t *row, int rows)
{
    size_t k = (size_t)t->width;
    if (!t->csv) rt_out_put(&t->f, z, (size_t)rows * k * sizeof *z);
    else for (int r = 0; r < rows; r++) put_csv_row(t, z + (size_t)r * k, row[r], t->at + (uint64_t)r);
}

rt_status rt_export_predictions(const rt_head *head, int heads, const float *const *z, const uint64_t *row,
                                uint64_t rows, const rt_export_column *more, int columns, rt_output *out, int csv)
{
    table t = {0};
    int width = rt_heads_width(head, heads);
    if (!rows) return rt_fail(RT_NOTHING, "%s: no rows to predict", rt_output_path(out));
    float *block = rt_floats_new((size_t)BLOCK * (size_t)width);
    rt_status st = block ? open_table(&t, out, rows, head, heads, csv, 0, more, columns) : RT_RUN;
    for (uint64_t at = 0; at < rows && !st; at += BLOCK) {
        int n = rows - at < BLOCK ? (int)(rows - at) : BLOCK;
        for (int r = 0; r < n; r++)
            for (int h = 0; h < heads; h++) {
                size_t size = (size_t)head[h].size;
                memcpy(block + (size_t)r * (size_t)width + head[h].at, z[h] + (at + (uint64_t)r) * size,
                       size * sizeof *block);
            }
        t.at = at;
        put_rows(&t, block, row + at, n);
        st = t.f.status;
        if (!st) st = rt_check_stop();
    }
    free(block);
    return close_table(&t, st);
}

/* ---- label stores ---- */

enum { FACTS = 4, STATUS = FACTS };

/* A store that is exported, a block at a time. */
typedef struct export export;
typedef struct { const export *e; int head, which; } cell_of;
struct export {
    rt_labels *l;
    const rt_head *head;
    int heads;
    const rt_rows *chosen;
    int view;
    unsigned char status[BLOCK];       /* of the block; NOT_YET where a row is not chosen */
    rt_label_facts *fact;              /* (heads, BLOCK) */
    rt_export_column column[RT_MAX_HEADS * FACTS + 1];
    cell_of of[RT_MAX_HEADS * FACTS + 1];
    int columns;
};

static double number_of(const rt_label_facts *f, int which)
{ return which == 1 ? (double)f->confidence : which == 2 ? (double)f->margin : (double)f->entropy; }

static void put_cell(const void *of, uint64_t r, rt_string *cell)
{
    const cell_of *c = of;
    const rt_label_facts *f = &c->e->fact[(size_t)c->head * BLOCK + r];
    if (c->which == STATUS) rt_put(cell, "%s", rt_label_status_word(c->e->status[r]));
    else if (!rt_label_is_there(c->e->status[r])) return;
    else if (!c->which) rt_put(cell, "%d", f->best);
    else rt_put(cell, "%.9g", number_of(f, c->which));
}

static rt_status add_column(export *e, int head, int which)
{
    char title[RT_HEAD_NAME + 16];
    const char *name = which == STATUS ? "status" : rt_label_column_names[which];
    snprintf(title, sizeof title, "%s%s%s", e->heads > 1 && which != STATUS ? e->head[head].name : "",
             e->heads > 1 && which != STATUS ? ":" : "", name);
    e->of[e->columns] = (cell_of){e, head, which};
    e->column[e->columns] = (rt_export_column){strdup(title), put_cell, &e->of[e->columns]};
    return e->column[e->columns++].title ? RT_OK : rt_fail(RT_RUN, "out of memory");
}

/* What the store keeps beside answers, and the word of each row's status. */
static rt_status open_export(export *e, rt_labels *l, const rt_rows *chosen, int view)
{
    *e = (export){.l = l, .chosen = chosen, .view = view};
    e->head = rt_labels_heads(l, &e->heads);
    e->fact = calloc((size_t)e->heads * BLOCK, sizeof *e->fact);
    if (!e->fact) return rt_fail(RT_RUN, "out of memory");
    for (int h = 0; h < e->heads; h++)
        for (int c = 0; c < FACTS && e->head[h].task == RT_TASK_CLASSES; c++)
            if (rt_labels_info(l)->columns >> c & 1) RT_TRY(add_column(e, h, c));
    return add_column(e, 0, STATUS);
}

static void close_export(export *e)
{
    for (int i = 0; i < e->columns; i++) free(e->column[i].title);
    free(e->fact);
}

/* Rows [at, at + n) of the store: their numbers and statuses; *facts (or NULL): of their columns. */
static rt_status look(export *e, uint64_t at, int n, uint64_t *row, int facts)
{
    for (int i = 0; i < n; i++) row[i] = rt_labels_info(e->l)->first + at + (uint64_t)i;
    RT_TRY(rt_labels_status(e->l, row, n, e->status));
    for (int i = 0; i < n && e->chosen; i++)
        if (!rt_rows_has(e->chosen, row[i])) e->status[i] = RT_LABEL_NOT_YET;
    for (int h = 0; h < e->heads && facts; h++)
        if (e->head[h].task == RT_TASK_CLASSES)
            RT_TRY(rt_labels_read_columns(e->l, h, e->view, row, n, e->fact + (size_t)h * BLOCK));
    return RT_OK;
}

/* Logits of rows [at, at + n) of the store. Those without a label, or not chosen, are NaN in an array, where the
 * place is the row, and in a text, where each row has its number, left out, or, with all, without a cell but status. */
static rt_status put_labels(table *t, export *e, int all, uint64_t at, int n, float *z)
{
    uint64_t row[BLOCK] = {0};
    size_t k = (size_t)t->width;
    RT_TRY(look(e, at, n, row, t->csv && e->columns > 1));
    for (int i = 0, end; i < n; i = end) {
        int there = rt_label_is_there(e->status[i]);
        for (end = i; end < n && rt_label_is_there(e->status[end]) == there; end++) {}
        t->at = (uint64_t)i;
        if (there) RT_TRY(rt_labels_read_view(e->l, e->view, row + i, end - i, z + (size_t)i * k));
        else for (size_t j = (size_t)i * k; j < (size_t)end * k; j++) z[j] = NAN;
        if (there || !t->csv) put_rows(t, z + (size_t)i * k, row + i, end - i);
        else for (int r = i; r < end && all; r++) put_csv_row(t, NULL, row[r], (uint64_t)r);
    }
    return t->f.status;
}

static rt_status export_answers(export *e, const rt_label_export *x, rt_output *out)
{
    const rt_labels_spec *s = rt_labels_info(e->l);
    table t = {0};
    float *z = rt_floats_new((size_t)BLOCK * (size_t)s->classes);
    rt_status st = z ? RT_OK : rt_fail(RT_RUN, "out of memory");
    if (!st) st = open_table(&t, out, s->rows, e->head, e->heads, x->csv, s->hard, e->column, e->columns);
    for (uint64_t at = 0; at < s->rows && !st; at += BLOCK) {
        int n = s->rows - at < BLOCK ? (int)(s->rows - at) : BLOCK;
        st = rt_check_stop();
        if (!st) st = put_labels(&t, e, x->all, at, n, z);
    }
    free(z);
    return close_table(&t, st);
}

/* ---- one column as an array ---- */

typedef struct { int which, head, feature, width; } array;

/* "status", "[HEAD/]confidence", "features/NAME". */
static rt_status find_array(const export *e, const char *path, const char *said, array *a)
{
    const rt_labels_spec *s = rt_labels_info(e->l);
    const char *slash = strrchr(said, '/'), *name = slash ? slash + 1 : said;
    *a = (array){.which = -1, .head = -1, .feature = -1, .width = 1};
    if (!strcmp(said, "status")) a->which = STATUS;
    if (slash && !strncmp(said, "features/", 9) && (a->feature = rt_labels_find_feature(e->l, said + 9)) >= 0)
        a->width = s->feature[a->feature].width;
    for (int c = 0; c < FACTS; c++)
        if (!strcmp(name, rt_label_column_names[c]) && s->columns >> c & 1) a->which = c;
    for (int h = 0; h < e->heads && a->which >= 0 && a->which != STATUS && a->head < 0; h++)
        if (e->head[h].task == RT_TASK_CLASSES &&
            (!slash || (strlen(e->head[h].name) == (size_t)(slash - said) &&
                        !strncmp(e->head[h].name, said, (size_t)(slash - said))))) a->head = h;
    if (a->feature >= 0 || a->which == STATUS || a->head >= 0) return RT_OK;
    rt_string list = {0};
    for (int c = 0; c < FACTS; c++) if (s->columns >> c & 1) rt_put(&list, "%s, ", rt_label_column_names[c]);
    for (int i = 0; i < s->features; i++) rt_put(&list, "features/%s, ", s->feature[i].name);
    rt_status st = rt_fail(RT_USAGE, "%s: has no column '%.60s'; it has: %sstatus", path, said,
                           list.p ? list.p : "");
    free(list.p);
    return st;
}

static rt_status put_array(export *e, const array *a, rt_out_file *f, uint64_t at, int n, float *z)
{
    uint64_t row[BLOCK];
    int32_t best[BLOCK];
    RT_TRY(look(e, at, n, row, a->head >= 0));
    if (a->which == STATUS) rt_out_put(f, e->status, (size_t)n);
    for (int i = 0; i < n && a->head >= 0; i++) {
        const rt_label_facts *of = &e->fact[(size_t)a->head * BLOCK + (size_t)i];
        int there = rt_label_is_there(e->status[i]);
        best[i] = there ? of->best : -1;
        z[i] = there ? (float)number_of(of, a->which) : NAN;
    }
    if (a->head >= 0) rt_out_put(f, a->which ? (void *)z : (void *)best, 4 * (size_t)n);
    for (int i = 0; i < n && a->feature >= 0; i++) {
        float *to = z + (size_t)i * (size_t)a->width;
        if (rt_label_is_there(e->status[i])) RT_TRY(rt_labels_read_feature(e->l, a->feature, e->view, row + i, 1, to));
        else for (int c = 0; c < a->width; c++) to[c] = NAN;
    }
    if (a->feature >= 0) rt_out_put(f, z, (size_t)n * (size_t)a->width * sizeof *z);
    return f->status;
}

static rt_status export_array(export *e, const rt_label_export *x, rt_output *out)
{
    char opening[256];
    uint64_t rows = rt_labels_info(e->l)->rows;
    array a;
    RT_TRY(find_array(e, x->path, x->column, &a));
    uint64_t dim[2] = {rows, (uint64_t)a.width};
    float *z = malloc((size_t)BLOCK * (size_t)a.width * sizeof *z);
    rt_out_file f = rt_out_open(out);
    rt_status st = z ? f.status : rt_fail(RT_RUN, "out of memory");
    const char *type = a.which == STATUS ? "|u1" : a.which ? "<f4" : "<i4";
    if (!st)
        rt_out_put(&f, opening, rt_npy_header(opening, a.feature >= 0 ? "<f4" : type, dim, a.feature >= 0 ? 2 : 1));
    for (uint64_t at = 0; at < rows && !st; at += BLOCK) {
        st = rt_check_stop();
        if (!st) st = put_array(e, &a, &f, at, rows - at < BLOCK ? (int)(rows - at) : BLOCK, z);
    }
    free(z);
    return rt_out_close(&f, st);
}

rt_status rt_export_labels(rt_labels *l, const rt_label_export *x, rt_output *out)
{
    export e;
    const int views = rt_labels_info(l)->views.count;
    rt_status st = open_export(&e, l, x->chosen, x->view);
    if (!st && x->view >= views)
        st = views
                 ? rt_fail(RT_USAGE, "view: %s has views 0 to %d of each row, and no view %d", x->path, views - 1,
                           x->view)
                 : rt_fail(RT_USAGE, "view: %s has labels of rows as they are alone; label.views keeps those of views",
                           x->path);
    if (!st && !x->csv && !x->column && rt_labels_info(l)->hard)
        st = rt_fail(RT_USAGE,
                     "%s: keeps hard labels and no labels/logits, which npy would hold; column=hard writes the "
                     "labels",
                     x->path);
    if (!st) st = x->column ? export_array(&e, x, out) : export_answers(&e, x, out);
    close_export(&e);
    return st;
}
