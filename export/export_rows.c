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
    int csv, width, heads;
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
    for (int c = 0; c < head->size; c++) {
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
                            const rt_export_column *more, int columns)
{
    char opening[256];
    int width = rt_heads_width(head, heads);
    uint64_t dim[2] = {rows, (uint64_t)width};
    *t = (table){.csv = csv, .width = width, .head = head, .heads = heads, .more = more, .columns = columns,
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
    for (int c = 0; c < k; c++) p += sprintf(p, ",%.7g", exp((double)z[c] - z[best]) / sum);
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

static void put_csv_row(table *t, const float *z, uint64_t row, uint64_t r)
{
    if (!make_room(t, 32)) return;
    t->n += (size_t)sprintf(t->text + t->n, "%llu", (unsigned long long)row);
    for (int h = 0; h < t->heads; h++) {
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

/* Logits of rows [at, at + n) of the store. Those without a label, or not chosen, are NaN in an array, where the
 * place is the row, and left out of a text, where each row has its number. */
static rt_status put_labels(table *t, rt_labels *l, const rt_rows *chosen, uint64_t at, int n, float *z)
{
    uint64_t row[BLOCK] = {0};
    unsigned char status[BLOCK];
    size_t k = (size_t)t->width;
    for (int i = 0; i < n; i++) row[i] = rt_labels_info(l)->first + at + (uint64_t)i;
    RT_TRY(rt_labels_status(l, row, n, status));
    for (int i = 0; i < n && chosen; i++) if (!rt_rows_has(chosen, row[i])) status[i] = RT_LABEL_NOT_YET;
    for (int i = 0, end; i < n; i = end) {
        int there = rt_label_is_there(status[i]);
        for (end = i; end < n && rt_label_is_there(status[end]) == there; end++) {}
        if (there) RT_TRY(rt_labels_read(l, row + i, end - i, z + (size_t)i * k));
        else for (size_t j = (size_t)i * k; j < (size_t)end * k; j++) z[j] = NAN;
        if (there || !t->csv) put_rows(t, z + (size_t)i * k, row + i, end - i);
    }
    return t->f.status;
}

rt_status rt_export_labels(rt_labels *l, const rt_rows *chosen, rt_output *out, int csv)
{
    const rt_labels_spec *s = rt_labels_info(l);
    table t = {0};
    float *z = rt_floats_new((size_t)BLOCK * (size_t)s->classes);
    int heads;
    const rt_head *head = rt_labels_heads(l, &heads);
    rt_status st = z ? open_table(&t, out, s->rows, head, heads, csv, NULL, 0) : rt_fail(RT_RUN, "out of memory");
    for (uint64_t at = 0; at < s->rows && !st; at += BLOCK) {
        int n = s->rows - at < BLOCK ? (int)(s->rows - at) : BLOCK;
        st = rt_check_stop();
        if (!st) st = put_labels(&t, l, chosen, at, n, z);
    }
    free(z);
    return close_table(&t, st);
}

rt_status rt_export_predictions(const rt_head *head, int heads, const float *const *z, const uint64_t *row,
                                uint64_t rows, const rt_export_column *more, int columns, rt_output *out, int csv)
{
    table t = {0};
    int width = rt_heads_width(head, heads);
    if (!rows) return rt_fail(RT_NOTHING, "%s: no rows to predict", rt_output_path(out));
    float *block = rt_floats_new((size_t)BLOCK * (size_t)width);
    rt_status st = block ? open_table(&t, out, rows, head, heads, csv, more, columns) : RT_RUN;
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
