/* experiments/eval/predictions_ask.c - asks models about rows and keeps what they say. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/file_name.h"
#include "data/stream.h"
#include "engine/clock.h"
#include "engine/convert.h"
#include "engine/int/integer.h"
#include "engine/kernels.h"
#include "engine/version.h"
#include "experiments/eval/predictions_parts.h"
#include "experiments/machine.h"

enum { BLOCK = 1024, STATISTICS = 4 };
static const char *const statistic[STATISTICS] = {"input.mean", "input.deviation", "input.min", "input.max"};

int rt_predictions_statistic(const char *name)
{
    for (int i = 0; i < STATISTICS; i++) if (!strcmp(name, statistic[i])) return 1;
    return 0;
}

/* Where a column of texts or numbers is read: a data set of its own, or an element of the rows. */
typedef struct {
    char name[RT_H5_NAME];
    rt_source *set;                    /* NULL: an element of x */
    rt_dtype type;
    size_t at, bytes;                  /* of it in a row; bytes of a row of the set */
    int width;                         /* of text; 0: a number */
} column;

typedef struct {
    const rt_predictions_spec *spec;
    rt_eval_data data;
    const char *id, *slice[RT_PREDICTIONS_COLUMNS];
    int slices;
    column of_id, of_slice[RT_PREDICTIONS_COLUMNS];
    rt_teacher **teacher;
    rt_predictions **out;
    const rt_head *head;               /* model 0's */
    int heads, width;
    char *cells;                       /* of a block of a column */
    double *values;                    /* of a row's elements */
} asking;

static rt_status read_keys(asking *a)
{
    rt_cfg d = rt_cfg_begin(a->spec->data, "data");
    rt_eval_data_read(&d, &a->data);
    a->id = rt_cfg_string(&d, "id", "");
    a->slices = rt_cfg_strings(&d, "slices", a->slice, RT_PREDICTIONS_COLUMNS - STATISTICS);
    return rt_cfg_end(&d);
}

rt_status rt_predictions_check(cJSON *data, const char *files[RT_EVAL_DATA_FILES + 1])
{
    asking *a = calloc(1, sizeof *a);
    if (!a) return rt_fail(RT_RUN, "out of memory");
    a->spec = &(rt_predictions_spec){.data = data};
    rt_status st = read_keys(a);
    if (!st) files[rt_eval_data_files(&a->data, files, 0)] = NULL;
    free(a);
    return st;
}

/* ---- columns ---- */

static rt_status no_column(const asking *a, const char *key, const char *name, const rt_names *columns)
{
    char text[RT_NAMES_TEXT], sets[400] = "";
    const rt_h5_file *f = rt_source_file(a->data.x);
    size_t n = 0;
    for (int i = 0; i < f->sets && n < sizeof sets - 80; i++)
        if (f->set[i].rank && f->set[i].dim[0] == rt_source_rows(a->data.x) && strchr(f->set[i].name, '/') == NULL)
            n += (size_t)snprintf(sets + n, sizeof sets - n, "%s%.60s", n ? ", " : "", f->set[i].name);
    return rt_fail(
        RT_INPUT, "%s: data.%s: there is no column '%.60s'; data sets of as many rows: %s; columns of a row: %s",
        a->data.source, key, name, *sets ? sets : "none", columns->name ? rt_names_text(columns, text) : "none");
}

static rt_status open_column(asking *a, const char *key, const char *name, column *c)
{
    rt_names columns = {0};
    rt_source *x = a->data.x;
    const rt_h5_file *f = rt_source_file(x);
    snprintf(c->name, sizeof c->name, "%s", name);
    if (rt_h5_find(f, name)) {
        RT_TRY(rt_source_open_in(&c->set, rt_source_file(x), name));
        c->type = rt_source_type(c->set);
        c->bytes = rt_source_row_bytes(c->set);
        size_t one = c->type == RT_TEXT ? c->bytes : rt_dtype_size(c->type);
        if (rt_source_rows(c->set) != rt_source_rows(x))
            return rt_fail(RT_INPUT, "%s: data.%s: '%.60s' has %llu rows, the data %llu", a->data.source, key, name,
                           (unsigned long long)rt_source_rows(c->set), (unsigned long long)rt_source_rows(x));
        if (c->bytes != one || one > RT_PREDICTIONS_ID)
            return rt_fail(RT_INPUT, "%s: data.%s: '%.60s' must hold one number or one text of up to %d bytes a row",
                           a->data.source, key, name, RT_PREDICTIONS_ID);
        c->width = c->type == RT_TEXT ? (int)c->bytes : 0;
        return RT_OK;
    }
    int at = -1;
    rt_status st = rt_source_parts(x) == 1 ? rt_source_columns(x, &columns) : RT_OK;
    if (!st && columns.name) at = rt_names_find(&columns, name);
    if (!st && at < 0) st = no_column(a, key, name, &columns);
    rt_names_free(&columns);
    c->type = rt_source_type(x);
    c->at = (size_t)at * rt_dtype_size(c->type);
    return st;
}

/* The column's n cells for these rows; x: their bytes. */
static rt_status read_cells(asking *a, const column *c, const rt_batch *b)
{
    size_t row = rt_source_row_bytes(a->data.x), size = rt_dtype_size(c->type);
    if (c->set) return rt_source_read(c->set, b->row, b->rows, a->cells);
    for (int r = 0; r < b->rows; r++) memcpy(a->cells + (size_t)r * size, b->x + (size_t)r * row + c->at, size);
    return RT_OK;
}

/* A number as an id: whole ones alone tell rows apart without doubt. */
static rt_status number_id(const asking *a, const column *c, const char *cell, uint64_t row, char text[32])
{
    double v;
    uint64_t u;
    if (c->type == RT_U64) {
        memcpy(&u, cell, sizeof u);
        snprintf(text, 32, "%llu", (unsigned long long)u);
        return RT_OK;
    }
    if (c->type == RT_I64) {
        memcpy(&u, cell, sizeof u);
        snprintf(text, 32, "%lld", (long long)u);
        return RT_OK;
    }
    rt_to_double(&v, cell, c->type, 1);
    if (!(fabs(v) <= 0x1p53) || v != floor(v))
        return rt_fail(RT_INPUT, "%s: data.id: row %llu of '%.60s' is %g, which is no whole number", a->data.source,
                       (unsigned long long)row, c->name, v);
    snprintf(text, 32, "%.0f", v);
    return RT_OK;
}

static rt_status keep_ids(asking *a, const rt_batch *b, uint64_t at)
{
    rt_predictions *p = a->out[0];
    size_t bytes = rt_source_row_bytes(a->data.x), w = (size_t)p->id_width;
    const column *c = &a->of_id;
    char text[33];
    if (*a->id) RT_TRY(read_cells(a, c, b));
    for (int r = 0; r < b->rows; r++) {
        char *id = p->id + (at + (uint64_t)r) * w;
        if (!*a->id) memcpy(id, rt_digest_of(b->x + (size_t)r * bytes, bytes).hex, 32);
        else if (c->width) memcpy(id, a->cells + (size_t)r * w, strnlen(a->cells + (size_t)r * w, w));
        else {
            RT_TRY(number_id(a, c, a->cells + (size_t)r * rt_dtype_size(c->type), b->row[r], text));
            memcpy(id, text, strlen(text));
        }
    }
    return RT_OK;
}

static rt_status keep_slices(asking *a, const rt_batch *b, uint64_t at)
{
    rt_predictions *p = a->out[0];
    for (int i = 0; i < a->slices; i++) {
        const column *c = &a->of_slice[i];
        rt_row_column *to = &p->column[i];
        RT_TRY(read_cells(a, c, b));
        size_t w = (size_t)c->width;
        for (int r = 0; r < b->rows && w; r++)
            memcpy(to->text + (at + (uint64_t)r) * w, a->cells + (size_t)r * w, strnlen(a->cells + (size_t)r * w, w));
        if (!w) rt_to_double(to->number + at, a->cells, c->type, (size_t)b->rows);
    }
    return RT_OK;
}

/* Mean, standard deviation, least and greatest of all numbers of a row. */
static void keep_statistics(asking *a, const rt_batch *b, uint64_t at)
{
    rt_row_column *to = &a->out[0]->column[a->slices];
    size_t bytes = rt_source_row_bytes(a->data.x);
    for (int r = 0; r < b->rows; r++) {
        double sum = 0, square = 0, least = INFINITY, most = -INFINITY;
        size_t count = 0;
        for (int i = 0; i < rt_source_parts(a->data.x); i++) {
            size_t place;
            const char *name;
            const rt_source *part = rt_source_part(a->data.x, i, &name, &place);
            size_t n = rt_source_row_bytes(part) / rt_dtype_size(rt_source_type(part));
            rt_to_double(a->values + count, b->x + (size_t)r * bytes + place, rt_source_type(part), n);
            count += n;
        }
        for (size_t k = 0; k < count; k++) {
            sum += a->values[k];
            least = fmin(least, a->values[k]);
            most = fmax(most, a->values[k]);
        }
        double mean = sum / (double)count;
        for (size_t k = 0; k < count; k++) square += (a->values[k] - mean) * (a->values[k] - mean);
        to[0].number[at + (uint64_t)r] = mean;
        to[1].number[at + (uint64_t)r] = sqrt(square / (double)count);
        to[2].number[at + (uint64_t)r] = least;
        to[3].number[at + (uint64_t)r] = most;
    }
}

static rt_status open_columns(asking *a)
{
    size_t widest = 64, row = rt_source_row_bytes(a->data.x);
    if (*a->id) RT_TRY(open_column(a, "id", a->id, &a->of_id));
    for (int i = 0; i < a->slices; i++) {
        for (int k = 0; k < i; k++)
            if (!strcmp(a->slice[i], a->slice[k]))
                return rt_fail(RT_USAGE, "data.slices: '%.60s' stands twice", a->slice[i]);
        if (rt_predictions_statistic(a->slice[i]))
            return rt_fail(RT_USAGE, "data.slices: '%s' is always there", a->slice[i]);
        RT_TRY(open_column(a, "slices", a->slice[i], &a->of_slice[i]));
        if ((size_t)a->of_slice[i].width > widest) widest = (size_t)a->of_slice[i].width;
    }
    if ((size_t)a->of_id.width > widest) widest = (size_t)a->of_id.width;
    a->cells = malloc(widest * BLOCK);
    a->values = malloc((row + 1) * sizeof *a->values);
    return a->cells && a->values ? RT_OK : rt_fail(RT_RUN, "out of memory");
}

/* ---- models ---- */

static rt_status describe(asking *a, int m)
{
    rt_predictions *p = a->out[m];
    rt_eval_seen seen;
    rt_digest d;
    char family[RT_FAMILY_TEXT];
    const char *const *path = a->spec->model[m]->path;
    RT_TRY(rt_teacher_digest(a->teacher[m], &d));
    RT_TRY(rt_eval_data_seen(&a->data, a->teacher[m], path, &seen));
    p->model = d;
    p->data = a->data.digest;
    p->path = strdup(path[0]);
    p->source = strdup(a->data.source);
    rt_file_title(p->name, sizeof p->name, path[0]);
    snprintf(p->kernels, sizeof p->kernels, "%s", rt_device_family(a->spec->device, family));
    if (rt_teacher_quantized(a->teacher[m]))
        snprintf(p->kernels, sizeof p->kernels, "%s, integers %.24s", family, rt_int_kernels_get()->name);
    if (!rt_teacher_models(a->teacher[m]) && !(rt_teacher_abilities(a->teacher[m]) & RT_TEACHER_KEEPS))
        snprintf(p->kernels, sizeof p->kernels, "none, a %.40s", rt_teacher_kind_name(a->teacher[m]));
    snprintf(p->tool, sizeof p->tool, "%s", rt_tool());
    snprintf(p->id_from, sizeof p->id_from, "%s", a->id);
    p->topk = a->spec->topk;
    p->rows = a->data.rows.count;
    p->seen = seen.unknown && !seen.rows ? NAN : (double)seen.rows;
    RT_TRY(rt_heads_copy(p->head, a->head, a->heads));
    p->heads = a->heads;
    int own;
    const rt_head *list = rt_teacher_heads(a->teacher[m], &own);
    for (int h = 0; h < a->heads; h++) {
        p->of[h].there = m == 0 || rt_heads_find(list, own, &a->head[h], a->heads) >= 0;
    }
    return p->path && p->source ? RT_OK : rt_fail(RT_RUN, "out of memory");
}

/* Answers of all models, and what is told of rows. */
static rt_status check_memory(const asking *a)
{
    double of_row, answers = rt_predictions_row_bytes(a->out[0], &of_row);
    for (int i = 0; i < a->slices; i++) of_row += a->of_slice[i].width ? a->of_slice[i].width : 8;
    return rt_machine_room_for(a->out[0]->rows, a->spec->models * answers + of_row + STATISTICS * 8 + a->spec->beside,
                               a->data.source,
                               "ask about a part of them (data.rows, --rows), or keep the largest logits alone (topk)");
}

/* Row numbers, ids, columns and truths are gathered with the first model's answers. */
static rt_status make_room(asking *a)
{
    rt_predictions *p = a->out[0];
    int any;
    rt_row_column *c;
    if (p->rows > UINT32_MAX || p->rows > INT32_MAX)
        return rt_fail(RT_USAGE, "data.rows: at most %d rows are compared at once", INT32_MAX);
    p->id_width = !*a->id ? 32 : a->of_id.width ? a->of_id.width : 24;
    RT_TRY(check_memory(a));
    for (int m = 0; m < a->spec->models; m++)
        for (int h = 0; h < a->heads; h++) RT_TRY(rt_predicted_room(a->out[m], h));
    p->id = calloc(p->rows, (size_t)p->id_width);
    p->row = calloc(p->rows, sizeof *p->row);
    if (!p->id || !p->row) return rt_fail(RT_RUN, "out of memory");
    for (int i = 0; i < a->slices; i++)
        RT_TRY(rt_predictions_add_column(p, a->slice[i], a->of_slice[i].width, &c));
    for (int i = 0; i < STATISTICS; i++) RT_TRY(rt_predictions_add_column(p, statistic[i], 0, &c));
    RT_TRY(rt_eval_data_targets(&a->data, a->head, a->heads, a->spec->data, a->spec->notes, &any));
    for (int h = 0; h < a->heads; h++)
        if (a->data.y[h])
            RT_TRY(rt_target_rows_new(&p->of[h].y, a->head[h].task, a->head[h].size, (int)p->rows));
    return RT_OK;
}

static rt_status open_models(asking *a)
{
    const rt_predictions_spec *s = a->spec;
    const char *input[RT_SOURCE_PARTS];
    int inputs = 0;
    for (int m = 0; m < s->models; m++) {
        RT_TRY(rt_teacher_open_spec(&a->teacher[m], s->model[m], &a->data.where));
        inputs = rt_teacher_inputs(a->teacher[m], input, inputs);
    }
    RT_TRY(rt_eval_data_open(&a->data, s->data, input, inputs, s->device, s->progress));
    rt_teacher_binding to = {.source = a->data.x, .id = a->data.identity, .match = a->data.match, .device = s->device,
                             .progress = s->progress, .notes = s->notes};
    for (int m = 0; m < s->models; m++) {
        RT_TRY(rt_teacher_bind(a->teacher[m], &to));
        RT_TRY(rt_teacher_ready(a->teacher[m], s->device, 0, NULL, 0));
        if (!m) a->head = rt_teacher_heads(a->teacher[0], &a->heads);
        RT_TRY(describe(a, m));
        RT_TRY(rt_teacher_answer_as(a->teacher[m], a->head, a->heads, s->model[0]->path[0], a->data.match));
    }
    a->width = rt_heads_width(a->head, a->heads);
    RT_TRY(open_columns(a));
    return make_room(a);
}

/* ---- answers ---- */

/* A micro-batch at a time, so that a large model can be stopped between them. */
static rt_status answer(const asking *a, int m, const rt_batch *b, float *z)
{
    int most = rt_teacher_micro(a->teacher[m]), micro = most ? most : b->rows;
    size_t row = rt_source_row_bytes(a->data.x), w = (size_t)a->width;
    for (int at = 0; at < b->rows; at += micro) {
        rt_feed q = {.raw = b->x + (size_t)at * row, .row = b->row + at,
                     .rows = b->rows - at < micro ? b->rows - at : micro};
        RT_TRY(rt_teacher_ask(a->teacher[m], &q, z + (size_t)at * w));
        RT_TRY(rt_check_stop());
    }
    for (size_t i = 0; i < (size_t)b->rows * w; i++)
        if (!isfinite(z[i]))
            return rt_fail(RT_INPUT, "%s: row %llu gets a logit that is not finite; its numbers are too large for the "
                           "model", a->data.source, (unsigned long long)b->row[i / w]);
    return RT_OK;
}

/* The k largest logits, falling, of equal ones the first. */
static void keep_top(rt_predicted *q, const float *z, int size, uint64_t r)
{
    float *kept = q->z + r * (uint64_t)q->kept;
    int32_t *top = q->top + r * (uint64_t)q->kept;
    int n = 0;
    double sum = 0;
    for (int c = 0; c < size; c++) {
        int at = n < q->kept ? n++ : q->kept;
        while (at > 0 && z[c] > kept[at - 1]) {
            if (at < q->kept) {
                kept[at] = kept[at - 1];
                top[at] = top[at - 1];
            }
            at--;
        }
        if (at < q->kept) {
            kept[at] = z[c];
            top[at] = c;
        }
    }
    for (int c = 0; c < size; c++) sum += exp((double)z[c] - kept[0]);
    q->log_sum[r] = (float)(log(sum) + kept[0]);
}

static void keep_answers(const asking *a, int m, const float *z, int rows, uint64_t at)
{
    for (int h = 0; h < a->heads; h++) {
        rt_predicted *q = &a->out[m]->of[h];
        size_t size = (size_t)a->head[h].size;
        for (int r = 0; r < rows; r++) {
            const float *own = z + (size_t)r * (size_t)a->width + a->head[h].at;
            if (q->top) keep_top(q, own, (int)size, at + (uint64_t)r);
            else memcpy(q->z + (at + (uint64_t)r) * size, own, size * sizeof *own);
        }
    }
}

static rt_status keep_truths(const asking *a, const rt_batch *b, uint64_t at)
{
    for (int h = 0; h < a->heads; h++) {
        const rt_target_rows *y = &a->out[0]->of[h].y;
        size_t from = at * (size_t)a->head[h].size;
        if (!a->data.y[h]) continue;
        rt_target_rows part = {.y = y->y ? y->y + at : NULL, .labels = y->labels ? y->labels + from : NULL,
                               .values = y->values ? y->values + from : NULL, .mask = y->mask ? y->mask + from : NULL};
        RT_TRY(rt_targets_read_rows(a->data.y[h], b->row, b->rows, &part));
    }
    return RT_OK;
}

static rt_status ask_all(asking *a)
{
    rt_stream *stream = NULL;
    rt_stream_spec spec = {.x = a->data.x, .rows = &a->data.rows, .batch = BLOCK, .keep_tail = 1, .prefetch = 2};
    float *z = rt_floats_new((size_t)BLOCK * (size_t)a->width);
    for (int m = 0; m < a->spec->models; m++) rt_teacher_ids(a->teacher[m], a->data.x, spec.ids);
    rt_status st = z ? rt_stream_open(&stream, &spec, 0) : RT_RUN;
    uint64_t done = 0, rows = a->data.rows.count;
    double since = rt_seconds();
    for (uint64_t g = 0; !st && g < rt_stream_steps(stream); g++) {
        const rt_batch *b;
        st = rt_stream_next(stream, &b);
        if (st) break;
        memcpy(a->out[0]->row + done, b->row, (size_t)b->rows * sizeof *b->row);
        st = keep_ids(a, b, done);
        if (!st) st = keep_slices(a, b, done);
        if (!st) st = keep_truths(a, b, done);
        if (!st) keep_statistics(a, b, done);
        for (int m = 0; m < a->spec->models && !st; m++) {
            st = answer(a, m, b, z);
            if (!st) keep_answers(a, m, z, b->rows, done);
        }
        done += (uint64_t)b->rows;
        double spent = rt_seconds() - since;
        rt_progress_update(a->spec->progress, "predict", (double)done, (double)rows,
                           spent > 0 ? (double)done / spent : 0, "rows", "");
    }
    free(z);
    rt_stream_close(stream);
    return st;
}

/* What was gathered with the first model's answers is true of the others, too. */
static void share_facts(const rt_predictions *from, rt_predictions *to)
{
    to->borrows = 1;
    to->id_width = from->id_width;
    to->id = from->id;
    to->row = from->row;
    to->key = from->key;
    to->of_rows = from->of_rows;
    to->column = from->column;
    to->columns = from->columns;
    for (int h = 0; h < from->heads; h++) to->of[h].y = from->of[h].y;
}

rt_status rt_predictions_ask(rt_predictions **out, const rt_predictions_spec *spec)
{
    asking *a = calloc(1, sizeof *a);
    for (int m = 0; m < spec->models; m++) out[m] = NULL;
    if (!a) return rt_fail(RT_RUN, "out of memory");
    a->spec = spec;
    a->out = out;
    a->teacher = calloc((size_t)spec->models, sizeof(rt_teacher *));
    rt_status st = a->teacher ? read_keys(a) : rt_fail(RT_RUN, "out of memory");
    for (int m = 0; m < spec->models && !st; m++)
        if (!(out[m] = calloc(1, sizeof **out))) st = rt_fail(RT_RUN, "out of memory");
    if (!st) st = open_models(a);
    if (!st) st = ask_all(a);
    if (!st) st = rt_identity_unchanged(a->data.identity);
    if (!st) st = rt_predictions_keys(out[0]);
    if (!st) st = rt_predictions_hash_rows(out[0]);
    for (int m = 1; m < spec->models && !st; m++) share_facts(out[0], out[m]);
    for (int m = 0; m < spec->models && a->teacher; m++) rt_teacher_close(a->teacher[m]);
    rt_source_close(a->of_id.set);
    for (int i = 0; i < a->slices; i++) rt_source_close(a->of_slice[i].set);
    rt_eval_data_close(&a->data);
    free(a->teacher);
    free(a->cells);
    free(a->values);
    free(a);
    for (int m = 0; m < spec->models && st; m++) {
        rt_predictions_free(out[m]);
        out[m] = NULL;
    }
    return st;
}
