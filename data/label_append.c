#include "data/label_append.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/id_find.h"
#include "data/import_parts.h"
#include "data/label_scan.h"
#include "data/labels_parts.h"
#include "data/row_ids.h"
#include "engine/text.h"

/* A line of the CSV. */
typedef struct { uint64_t row, line; int32_t label; char *id; } given;

typedef struct {
    const rt_label_append_job *job;
    rt_labels *store;                  /* as it is */
    const rt_head *head;
    int number;                        /* of that head */
    given *line;
    size_t lines, room, rows;          /* rows: lines once each row is there once, at the beginning */
    uint64_t without, fresh, same, replaced, unanswered;
    cJSON *not_read;
} append;

/* ---- the CSV ---- */

static rt_status keep_line(append *a, given g)
{
    if (a->lines == a->room) {
        size_t room = 2 * a->room + 1024;
        given *more = realloc(a->line, room * sizeof *more);
        if (!more) return rt_fail(RT_RUN, "out of memory");
        a->line = more;
        a->room = room;
    }
    a->line[a->lines++] = g;
    return RT_OK;
}

/* The cell without blanks around it. */
static void trim(const char *cell, char *to, size_t room)
{
    cell += strspn(cell, " \t\r");
    size_t n = strlen(cell);
    while (n && strchr(" \t\r", cell[n - 1])) n--;
    snprintf(to, room, "%.*s", n < room ? (int)n : (int)room - 1, cell);
}

static const char *key_of(const append *a) { return a->job->data ? "id" : "row"; }

/* Of which row the line is: its number, or, to be found later, its id. */
static rt_status read_row(append *a, const rt_record *r, int row_at, given *g)
{
    const rt_labels_spec *s = rt_labels_info(a->store);
    const char *path = a->job->hand;
    char cell[RT_HEAD_NAME * 4], *end;
    trim(rt_cell(r, row_at), cell, sizeof cell);
    if (a->job->data) {
        if (!*cell) return rt_fail(RT_INPUT, "%s: line %" PRIu64 " has no id", path, r->line);
        g->id = strdup(cell);
        return g->id ? RT_OK : rt_fail(RT_RUN, "out of memory");
    }
    if (!*cell || strspn(cell, "0123456789") != strlen(cell) || strlen(cell) > 19)
        return rt_fail(RT_INPUT, "%s: line %" PRIu64 ": '%.60s' is no number of a row", path, r->line, cell);
    g->row = strtoull(cell, &end, 10);
    if (g->row >= s->first && g->row - s->first < s->rows) return RT_OK;
    return rt_fail(RT_INPUT, "%s: line %" PRIu64 ": %s has no row %" PRIu64 ": it covers rows %" PRIu64 " to %" PRIu64,
                   path, r->line, a->job->store, g->row, s->first, s->first + s->rows - 1);
}

static rt_status read_line(append *a, const rt_record *r, int row_at, int label_at)
{
    const char *path = a->job->hand;
    char text[RT_NAMES_TEXT], cell[RT_HEAD_NAME * 4];
    given g = {.line = r->line};
    if (r->cells == 1 && !*rt_cell(r, 0)) return RT_OK;                   /* an empty line */
    if (r->cells <= (row_at > label_at ? row_at : label_at))
        return rt_fail(RT_INPUT, "%s: line %" PRIu64 " has %d cells, too few for columns %s and label", path, r->line,
                       r->cells, key_of(a));
    trim(rt_cell(r, label_at), cell, sizeof cell);
    if (!*cell) {
        a->without++;
        return read_row(a, r, row_at, &g) ? RT_INPUT : (free(g.id), RT_OK);
    }
    g.label = rt_names_find(&a->head->names, rt_cell(r, label_at));
    if (g.label < 0) g.label = rt_names_find(&a->head->names, cell);
    RT_TRY(read_row(a, r, row_at, &g));
    rt_status st = RT_OK;
    if (g.label < 0)
        st = rt_fail(RT_INPUT, "%s: line %" PRIu64 ": '%.60s' is no class of %s; its classes: %s", path, r->line, cell,
                     a->job->store, rt_names_text(&a->head->names, text));
    if (!st) st = keep_line(a, g);
    if (st) free(g.id);
    return st;
}

/* Where the columns are; the others are told. -1: line 1 names no such column, -2: it names one twice. */
static int find_columns(append *a, const rt_record *r, int *row_at, int *label_at)
{
    *row_at = *label_at = -1;
    for (int i = 0; i < r->cells; i++) {
        char name[64];
        trim(rt_cell(r, i), name, sizeof name);
        int *at = !strcmp(name, key_of(a)) ? row_at : !strcmp(name, "label") ? label_at : NULL;
        if (at && *at >= 0) return -2;
        if (at) *at = i;
    }
    if (*row_at < 0 || *label_at < 0) return -1;
    for (int i = 0; i < r->cells; i++)
        if (i != *row_at && i != *label_at) cJSON_AddItemToArray(a->not_read, cJSON_CreateString(rt_cell(r, i)));
    return 0;
}

static rt_status read_csv(append *a)
{
    static const char separators[] = ",;\t";
    const char *path = a->job->hand;
    rt_csv *csv = NULL;
    rt_record r;
    int row_at = -1, label_at = -1, found = -1;
    for (const char *s = separators; *s && found == -1; s++) {            /* the first one that tells the columns */
        rt_csv_close(csv);
        RT_TRY(rt_csv_open(&csv, path, NULL, *s, 0));
        rt_status st = rt_csv_next(csv, &r);
        if (!st) found = find_columns(a, &r, &row_at, &label_at);
        if (st) {
            rt_csv_close(csv);
            return st;
        }
    }
    rt_status st = RT_OK;
    if (found)
        st = rt_fail(RT_INPUT,
                     found == -2 ? "%s: line 1 names column '%s' or 'label' twice"
                                 : "%s: line 1 must name the columns '%s' and 'label'; 'retort select' "
                                   "writes rows, to which a column label is added",
                     path, key_of(a));
    while (!st && !(st = rt_csv_next(csv, &r)) && r.cells) st = read_line(a, &r, row_at, label_at);
    rt_csv_close(csv);
    if (!st && !a->lines) st = rt_fail(RT_NOTHING, "%s: gives no row a label", path);
    return st;
}

/* Rows of ids, in the data that was labelled. */
static rt_status find_rows(append *a)
{
    const rt_label_append_job *job = a->job;
    const rt_labels_spec *spec = rt_labels_info(a->store);
    rt_source *x = NULL, *ids = NULL;
    rt_identity *identity = NULL;
    const char **id = malloc((a->lines + 1) * sizeof *id);
    uint64_t *row = malloc((a->lines + 1) * sizeof *row);
    rt_status st = id && row ? rt_source_open(&x, job->data, job->x ? job->x : "x") : rt_fail(RT_RUN, "out of memory");
    if (!st) st = rt_identity_open(&identity, x, RT_CHECK_KNOWN);
    if (!st) st = rt_labels_check_source(a->store, identity, NULL, job->progress);
    if (!st && job->id) st = rt_source_open(&ids, job->data, job->id);
    if (!st && ids && rt_source_rows(ids) != rt_source_rows(x))
        st = rt_fail(RT_INPUT, "%s: '%s' has %" PRIu64 " rows, not %" PRIu64, job->data, job->id, rt_source_rows(ids),
                     rt_source_rows(x));
    for (size_t i = 0; i < a->lines && !st; i++) id[i] = a->line[i].id;
    if (!st) st = rt_ids_find(ids ? ids : x, !ids, spec->first, spec->first + spec->rows, id, a->lines, row);
    for (size_t i = 0; i < a->lines && !st; i++) {
        a->line[i].row = row[i];
        if (row[i] == RT_NO_ROW)
            st = rt_fail(RT_INPUT, "%s: line %" PRIu64 ": no row of %s has the id '%.80s'", job->hand, a->line[i].line,
                         job->store, id[i]);
        else if (row[i] == RT_ROW_TWICE)
            st = rt_fail(RT_INPUT, "%s: line %" PRIu64 ": several rows of %s have the id '%.80s'; give a column row",
                         job->hand, a->line[i].line, job->store, id[i]);
    }
    free(id);
    free(row);
    rt_source_close(ids);
    rt_identity_close(identity);
    rt_source_close(x);
    return st;
}

static int by_row(const void *x, const void *y)
{
    const given *a = x, *b = y;
    if (a->row != b->row) return a->row < b->row ? -1 : 1;
    return a->line < b->line ? -1 : a->line > b->line;
}

/* Lines by row, each row once. */
static rt_status settle(append *a)
{
    char one[16], two[16];
    size_t n = 0;
    qsort(a->line, a->lines, sizeof *a->line, by_row);
    for (size_t i = 0; i < a->lines; i++) {
        const given g = a->line[i], *last = n ? &a->line[n - 1] : NULL;
        if (!last || last->row != g.row) {
            a->line[i] = a->line[n];                   /* what is dropped stays behind, for its id to be freed */
            a->line[n++] = g;
        } else if (last->label != g.label)
            return rt_fail(RT_INPUT,
                           "%s: lines %" PRIu64 " and %" PRIu64 " give row %" PRIu64 " two labels, '%.60s' and "
                           "'%.60s'",
                           a->job->hand, last->line, g.line, g.row, rt_names_at(&a->head->names, last->label, one),
                           rt_names_at(&a->head->names, g.label, two));
    }
    a->rows = n;
    return RT_OK;
}

/* ---- the new store ---- */

/* The labels that there were and those that are given. */
static rt_status join(append *a, const rt_label_hand *old, rt_label_hand *to)
{
    char one[16], two[16];
    uint64_t most = old->count + a->rows, i = 0, k = 0;
    RT_TRY(rt_label_hand_new(to, most));
    while (i < old->count || k < a->rows) {
        const given *g = k < a->rows ? &a->line[k] : NULL;
        int is_old = i < old->count && (!g || old->row[i] < g->row || (old->row[i] == g->row &&
                                                                       old->head[i] <= a->number));
        int both = is_old && g && old->row[i] == g->row && old->head[i] == a->number;
        int32_t label = is_old ? old->label[i] : g->label;
        if (both && g->label != label && !a->job->replace)
            return rt_fail(RT_INPUT,
                           "%s: line %" PRIu64 " gives row %" PRIu64 " the label '%.60s', and %s has '%.60s' by "
                           "hand; --replace takes the new one",
                           a->job->hand, g->line, g->row, rt_names_at(&a->head->names, g->label, one), a->job->store,
                           rt_names_at(&a->head->names, label, two));
        if (both) a->same += g->label == label, a->replaced += g->label != label;
        else if (!is_old) a->fresh++;
        to->row[to->count] = is_old ? old->row[i] : g->row;
        to->head[to->count] = is_old ? old->head[i] : (unsigned char)a->number;
        to->label[to->count++] = both ? g->label : label;
        i += (uint64_t)is_old;
        k += (uint64_t)(both || !is_old);
    }
    return RT_OK;
}

/* Every block of the old file that is there as it is, but for the statuses and the counts of what is by hand. done:
 * RT_LABEL_NAMED where it is. */
static rt_status copy(const append *a, rt_label_file *from, rt_label_file *to, unsigned char *done)
{
    static const unsigned char one = 1;
    uint64_t leaves = rt_label_fixed_bytes(from, RT_LABEL_LEAVES);
    char *bytes = malloc(leaves);
    rt_status st = bytes ? RT_OK : rt_fail(RT_RUN, "out of memory");
    if (!st) st = rt_pread_all(from->fd, bytes, leaves, from->fixed[RT_LABEL_LEAVES], from->path);
    if (!st) st = rt_pwrite_all(to->fd, bytes, leaves, to->fixed[RT_LABEL_LEAVES], to->path);
    free(bytes);
    for (uint64_t b = 0; b < from->blocks && !st; b++) {
        if (!done[b]) continue;
        rt_progress_update(a->job->progress, "append", (double)b, (double)from->blocks, 0, "blocks", "");
        st = rt_check_stop();
        if (!st) st = rt_label_file_read(from, b);
        if (!st && rt_label_file_crc(from, b) != from->crc[b])
            st = rt_fail(RT_INPUT, "%s: block %" PRIu64 " is damaged; label again", from->path, b);
        if (st) return st;
        memcpy(to->buffer, from->buffer, rt_label_block_bytes(&to->spec, rt_label_block_rows(&to->spec, b)));
        rt_label_file_count(to, b);
        to->crc[b] = rt_label_file_crc(to, b);
        st = rt_label_file_write(to, b);
    }
    if (!st && !rt_labels_complete(a->store))
        return rt_pwrite_all(to->fd, to->crc, rt_label_fixed_bytes(to, RT_LABEL_CRC), to->fixed[RT_LABEL_CRC],
                             to->path);
    if (!st) st = rt_label_file_put_head(to);
    return st ? st : rt_pwrite_all(to->fd, &one, 1, to->fixed[RT_LABEL_COMPLETE], to->path);
}

/* An unfinished store has what its journals name, and goes on when its file has become another: the journal of both
 * files is one, of lines that each hold for one of them (data/labels_journal.c). *done: RT_LABEL_NAMED by block. */
static rt_status begin_swap(append *a, rt_label_file *from, rt_label_journal *j, unsigned char *done)
{
    for (uint64_t b = 0; b < from->blocks; b++) done[b] = rt_labels_has_block(a->store, b) ? RT_LABEL_NAMED : 0;
    RT_TRY(rt_label_file_get_crc(from));
    if (rt_labels_complete(a->store)) return RT_OK;
    RT_TRY(rt_label_alone(a->job->store));
    rt_label_named named = {.blocks = from->blocks, .stored = from->crc, .crc = from->crc, .named = done};
    RT_TRY(rt_label_read_journals(from->path, &named));
    if (named.failed[0])
        return rt_fail(RT_RUN, "%s: a sync failed while it was labelled (%s), and what is there is not known; run the "
                       "same 'retort label' command first", from->path, named.failed);
    if (named.damaged[0])
        return rt_fail(RT_INPUT, "%s: a line of %s is damaged, and which blocks are labelled is not known; run the "
                       "same 'retort label' command first", from->path, named.damaged);
    RT_TRY(rt_label_journal_path(j->path, sizeof j->path, from->path, ""));
    RT_TRY(rt_label_journal_sum(j, done, from->crc, from->blocks));
    return rt_label_remove_shards(from->path);
}

/* Puts the new file in the place of the old one. */
static rt_status swap(append *a, rt_output *out, rt_label_journal *j, const rt_label_file *to,
                      const unsigned char *done)
{
    if (rt_labels_complete(a->store)) return rt_output_commit(out);
    RT_TRY(rt_label_journal_also(j, done, to->crc, to->blocks));
    RT_TRY(rt_output_commit(out));
    return rt_label_journal_sum(j, done, to->crc, to->blocks);
}

/* Rows of several heads that the teacher gave no answer to: their labels by hand wait for one. */
static uint64_t count_unanswered(const rt_label_file *to)
{
    uint64_t rows = 0;
    for (uint64_t i = 0; i < to->hand.count; i++) rows += !i || to->hand.row[i] != to->hand.row[i - 1];
    return rows - to->status_count[RT_LABEL_BY_HAND];
}

static rt_status write_store(append *a, rt_output *out, rt_label_file *from, rt_label_file *to, uint64_t *by_hand)
{
    rt_label_journal j = {.fd = -1};
    unsigned char *done = NULL;
    const rt_labels_spec *spec = rt_labels_info(a->store);
    rt_h5_file *f;
    cJSON *manifest = cJSON_Duplicate(rt_labels_manifest(a->store), 1);
    uint64_t span_rows = rt_labels_span_rows(a->store);
    rt_status st = manifest ? rt_label_file_init(from, a->job->store, spec, span_rows, NULL)
                            : rt_fail(RT_RUN, "out of memory");
    if (!st) st = rt_label_file_init(to, a->job->store, spec, span_rows, NULL);
    if (!st && !(st = rt_h5_scan(&f, a->job->store))) {
        st = rt_label_file_open(from, f);
        rt_h5_close(f);
    }
    if (!st) st = join(a, &from->hand, &to->hand);
    if (!st) rt_label_hand_tell(&to->hand, manifest);
    char *text = st ? NULL : rt_json_text(manifest, 1);
    cJSON_Delete(manifest);
    if (!st && !text) st = rt_fail(RT_RUN, "out of memory");
    if (!st && !(done = calloc(from->blocks, 1))) st = rt_fail(RT_RUN, "out of memory");
    if (!st) st = begin_swap(a, from, &j, done);
    if (!st) st = rt_label_file_make(to, out, text);
    free(text);
    if (!st) st = copy(a, from, to, done);
    if (!st) st = swap(a, out, &j, to, done);
    rt_label_journal_close(&j);
    free(done);
    *by_hand = to->hand.count;
    if (!st && rt_labels_complete(a->store)) a->unanswered = count_unanswered(to);
    return st;
}

/* ---- the whole ---- */

static rt_status check_store(append *a)
{
    int heads, classes = 0;
    char text[RT_NAMES_TEXT];
    RT_TRY(rt_labels_open(&a->store, a->job->store, 1));
    const rt_head *head = rt_labels_heads(a->store, &heads);
    for (int h = 0; h < heads; h++) classes += head[h].task == RT_TASK_CLASSES;
    if (!a->job->head && classes > 1)
        return rt_fail(RT_USAGE, "%s: has several heads of classes: %s; --head names the one that the labels are of",
                       a->job->store, rt_heads_text(head, heads, text));
    RT_TRY(rt_label_find_head(a->store, a->job->store, a->job->head ? a->job->head : "", &a->head));
    a->number = (int)(a->head - head);
    return RT_OK;
}

static rt_status run(append *a, rt_output *out, cJSON **result)
{
    rt_label_file from = {.fd = -1}, to = {.fd = -1};
    uint64_t by_hand = 0;
    if (!rt_output_exists(out)) return rt_fail(RT_INPUT, "%s: is not there", a->job->store);
    RT_TRY(check_store(a));                            /* one that is damaged is told to be that */
    RT_TRY(rt_output_may_replace(out, RT_OUTPUT_LABELS));
    RT_TRY(read_csv(a));
    uint64_t said = a->lines;
    if (a->job->data) RT_TRY(find_rows(a));
    RT_TRY(settle(a));
    rt_status st = write_store(a, out, &from, &to, &by_hand);
    rt_label_file_free(&from);
    rt_label_file_free(&to);
    if (st) return st;
    cJSON *r = *result = cJSON_CreateObject();
    cJSON_AddStringToObject(r, "labels", a->job->store);
    cJSON_AddStringToObject(r, "hand", a->job->hand);
    cJSON_AddNumberToObject(r, "rows_given", (double)said);
    cJSON_AddNumberToObject(r, "new", (double)a->fresh);
    cJSON_AddNumberToObject(r, "same", (double)a->same);
    cJSON_AddNumberToObject(r, "replaced", (double)a->replaced);
    cJSON_AddNumberToObject(r, "without_label", (double)a->without);
    cJSON_AddNumberToObject(r, "by_hand", (double)by_hand);
    if (a->unanswered) cJSON_AddNumberToObject(r, "without_answer", (double)a->unanswered);
    cJSON_AddBoolToObject(r, "complete", rt_labels_complete(a->store));
    if (a->not_read->child) cJSON_AddItemToObject(r, "columns_not_read", cJSON_Duplicate(a->not_read, 1));
    return RT_OK;
}

rt_status rt_label_append(const rt_label_append_job *job, cJSON **result)
{
    const char *inputs[] = {job->hand, job->data ? job->data : "", NULL};
    rt_output *out;
    append a = {.job = job, .not_read = cJSON_CreateArray()};
    *result = NULL;
    rt_status st = rt_output_take(&out, &(rt_target){.path = job->store, .force = 1}, inputs);
    if (!st) {
        st = rt_label_not_growing(job->store);
        if (!st) st = run(&a, out, result);
        rt_output_end(out);
    }
    rt_labels_close(a.store);
    for (size_t i = 0; i < a.lines; i++) free(a.line[i].id);
    free(a.line);
    cJSON_Delete(a.not_read);
    return st;
}
